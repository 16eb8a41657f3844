"""What of a configuration can be used, if it has problems."""

import os
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from typing import NamedTuple
from typing import NoReturn

from google.auth import external_account
from google.auth.compute_engine import _metadata
from pydantic import BaseModel
from pydantic import ValidationError

from addons.configuration.file import ConfigurationError
from addons.configuration.file import DescribedRoute
from addons.configuration.file import DescribedService
from addons.configuration.identity import DefaultCredentials
from addons.configuration.identity import Identity
from addons.configuration.key_command import KeyCommand
from addons.configuration.limits import DescribedStorage
from addons.configuration.limits import Storage
from addons.configuration.listening import NOBODY
from addons.configuration.listening import Listening
from addons.configuration.services import DEFAULT
from addons.configuration.services import Service
from addons.configuration.services import ServiceRoute
from addons.configuration.settings import ENVIRONMENT
from addons.configuration.settings import OPTIONS
from addons.configuration.settings import Configuration
from addons.configuration.settings import asks_for
from addons.configuration.settings import read
from addons.doctor.accounts import has_credentials
from addons.tokens import TokenSource
from metering import yaml_document

RESETS = 6
"""How often options that have problems are left out, until the others can be read."""


def configuration_of(
    given: dict[str, str], unknown: Sequence[str], listening: Listening
) -> tuple[Configuration, list[str]]:
    """The configuration, and its problems. Options that have problems are left out of it."""
    # The ledger is examined by a check of its own, which does not wait as long for another process.
    given = given | {"usage_db": str(Path(gettempdir()) / f"vertex-tap-doctor-{os.getpid()}.db")}
    try:
        return read(given, unknown, listening), []
    except ConfigurationError as e:
        problems = [*e.problems]
    names = {problem.partition(":")[0] for problem in problems}
    for _ in range(RESETS):
        for name in names & OPTIONS.keys():
            if given[name] == OPTIONS[name][0]:
                # It is missing, or comes from the environment.
                given |= {other: OPTIONS[other][0] for other in ("vertex_auth", "openai_mode")}
            given |= {name: OPTIONS[name][0]}
        try:
            return read(given, (), NOBODY), problems
        except ConfigurationError as e:
            names = {problem.partition(":")[0] for problem in e.problems}
    return read(
        {name: default for name, (default, _) in OPTIONS.items()} | {"usage_db": given["usage_db"]}, ()
    ), problems


@contextmanager
def requests(*, are_sent: bool) -> Iterator[None]:
    """Whether google-auth may ask servers for what no file says: the credentials of a machine of Google's, and the
    project of workload identity."""
    if are_sent:
        yield
        return
    workload: Any = external_account.Credentials
    before = _metadata._NO_GCE_CHECK, workload.get_project_id
    _metadata._NO_GCE_CHECK, workload.get_project_id = True, lambda *_, **__: None
    try:
        yield
    finally:
        _metadata._NO_GCE_CHECK, workload.get_project_id = before


@contextmanager
def commands_run_once() -> Iterator[None]:
    """Each command that prints a key is run once, however often the parts of a configuration are read: it may ask
    somebody, or hang."""
    command: Any = KeyCommand
    read_anew = command.read
    known: dict[KeyCommand, Identity | ValueError] = {}

    def read_once(one: KeyCommand) -> Identity:
        if one not in known:
            try:
                known[one] = read_anew(one)
            except ValueError as e:
                known[one] = e
        found = known[one]
        if isinstance(found, ValueError):
            raise found
        return found

    command.read = read_once
    try:
        yield
    finally:
        command.read = read_anew


class Parts(NamedTuple):
    """What a configuration describes."""

    services: dict[str, Service]
    routes: list[ServiceRoute]
    models: list[str]
    incomplete: frozenset[str]
    """The names of services that something is wrong with. What is wrong is left out of them, and their credentials."""
    storage: Storage
    """Where it is counted what clients use."""
    has_clients: bool
    """Whether calls need the key of a client."""


def parts_of(given: Mapping[str, str], configuration: Configuration) -> Parts:
    """The services, the routes and the models. If the file of services has problems, those that can be used in it."""
    gateway, incomplete = configuration.gateway, set()
    services, routes, storage = dict(gateway.services), [*gateway.routes], gateway.limits
    has_clients = gateway.callers.need_key
    if not gateway.has_default:
        # No call comes to it.
        del services[DEFAULT]
    models: list[Any] = [*gateway.models, *gateway.aliases.values()]
    if given["vertex_auth"] != configuration.settings.vertex_auth:
        incomplete.add(DEFAULT)
    if given["gateway_config"] and configuration.settings.gateway_config is None:
        folder = _expanded(Path(given["gateway_config"])).parent
        document = document_of(given)
        for name, told in members(document, "services"):
            service, is_whole = _service(str(name), told, folder)
            services |= {str(name): service} if service else {}
            incomplete |= set() if is_whole else {str(name)}
        for _, told in members(document, "routes"):
            if described := _valid(DescribedRoute, told, folder):
                routes.append(described.route)
        if limits := _valid(DescribedStorage, document.get("limits") if isinstance(document, dict) else None, folder):
            storage = limits.made()
        models += [told for section in ("models", "aliases") for _, told in members(document, section)]
        has_clients = bool(members(document, "clients"))
    named = [model for model in models if isinstance(model, str)]
    return Parts(services, routes, named, frozenset(incomplete), storage, has_clients)


def _service(name: str, told: Any, folder: Path) -> tuple[Service | None, bool]:
    """A service of the file, if any of it can be used, and whether all of it can."""
    described = _valid(DescribedService, told, folder)
    is_whole = described is not None
    if described is None and isinstance(told, dict):
        left = {key: value for key, value in told.items() if _valid(DescribedService, {key: value}, folder)}
        described = _valid(DescribedService, left | {"auth": "passthrough"}, folder)
    if described is None:
        return None, False
    try:
        service = described.service(name, _default_tokens)
    except ValueError:
        # There are no application default credentials.
        service, is_whole = described.model_copy(update={"auth": "passthrough"}).service(name, _none), False
    if service.provider == "openai" and not service.base_url:
        return None, False
    if service.injects and not has_credentials(service):
        return replace(service, auth="passthrough"), False
    return service, is_whole


def _default_tokens() -> TokenSource:
    return TokenSource(DefaultCredentials().read())


def _none() -> NoReturn:
    raise ValueError("there are no application default credentials")


def document_of(given: Mapping[str, str]) -> yaml_document.Data:
    """The data of the file of services; empty if there is none, or if it cannot be read."""
    try:
        content = Path(given["gateway_config"]).expanduser().read_bytes() if given["gateway_config"] else b""
    except (OSError, RuntimeError):
        return {}
    return yaml_document.parse(content).data or {}


def members(document: yaml_document.Data, name: str) -> list[tuple[object, Any]]:
    """The members of a section of the file, each with its key or its place; none if there is no such section."""
    section = document.get(name) if isinstance(document, dict) else None
    if isinstance(section, dict):
        return [*section.items()]
    return [*enumerate(section)] if isinstance(section, list) else []


def _valid(kind: type[BaseModel], told: object, folder: Path) -> Any:
    """A section of the file, parsed; None if it has problems."""
    try:
        return kind.model_validate(told, context={"folder": folder})
    except ValidationError:
        return None


def key_files(given: Mapping[str, str]) -> dict[str, Path]:
    """The key files of service accounts that are named: by an option or a variable, and in the file of services."""
    found: dict[str, str] = {}
    if asks_for(given, "vertex_credentials"):
        variable = ENVIRONMENT["vertex_credentials"]
        found["vertex_credentials"] = given["vertex_credentials"]
        if not given["vertex_credentials"]:
            found = {variable: os.environ.get(variable, "")}
    files = {name: Path(text) for name, text in found.items() if text}
    file = Path(given["gateway_config"])
    for name, told in members(document_of(given), "services"):
        if isinstance(told, dict) and isinstance(text := told.get("credentials"), str) and text:
            files[f"{file}, service {name}"] = _expanded(file).parent / _expanded(Path(text))
    return {name: _expanded(file) for name, file in files.items()}


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        return path
