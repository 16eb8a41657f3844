"""What `vertex-tap serve` would read here: options, files and environment. Problems do not end it: what is valid beside
them is examined too."""

import os
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from types import SimpleNamespace
from typing import Any

from google.auth import external_account
from google.auth.compute_engine import _metadata
from mitmproxy import exceptions
from mitmproxy import options
from mitmproxy import optmanager
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy import mode_specs
from pydantic import ValidationError

from addons.configuration import identity
from addons.configuration.file import ConfigurationError
from addons.configuration.file import DescribedRoute
from addons.configuration.file import DescribedService
from addons.configuration.services import Service
from addons.configuration.services import ServiceRoute
from addons.configuration.settings import ENVIRONMENT
from addons.configuration.settings import LOOPBACK
from addons.configuration.settings import NOBODY
from addons.configuration.settings import OPTIONS
from addons.configuration.settings import Configuration
from addons.configuration.settings import Listening
from addons.configuration.settings import Settings
from addons.configuration.settings import asks_for
from addons.configuration.settings import read
from addons.launch import AFTER_OURS
from addons.launch import BEFORE_OURS
from addons.launch import HOST
from addons.launch import MODE
from addons.launch import PORT
from addons.options import PREFIXES
from metering import yaml_document

RESETS = 6
"""How often options that have problems are left out, until the others can be read."""


@dataclass
class Setup:
    """A set-up, as far as it can be read."""

    options: options.Options
    """mitmproxy's own options."""
    given: Mapping[str, str]
    """Our options: name -> text."""
    problems: Sequence[str]
    """Messages about what cannot be used, such as `vertex_project: write ...`. None is about the ledger."""
    settings: Settings
    """Our options, parsed. Those with problems have their defaults. `usage_db` is not that of the set-up."""
    services: Mapping[str, Service]
    """Services that can be used, by name."""
    routes: Sequence[ServiceRoute]
    models: Sequence[str] = ()
    """Models that the configuration names."""
    modes: Sequence[mode_specs.ProxyMode] = ()
    key_files: Mapping[str, Path] = field(default_factory=dict)
    """Where a key file is named, such as `vertex_credentials` -> the file."""
    in_file: frozenset[str] = frozenset()
    """The names of services that the file of services describes, and not the options."""
    is_online: bool = False
    made: dict[str, Any] = field(default_factory=dict)
    """What one check has found out for others."""

    @property
    def lacks_credentials(self) -> bool:
        """Whether `vertex_auth` asks for credentials of which a problem is known."""
        return self.given["vertex_auth"] != self.settings.vertex_auth

    @property
    def injects(self) -> bool:
        """Whether any service adds credentials that the client does not have."""
        return any(service.injects for service in self.services.values())

    @property
    def reverse(self) -> list[mode_specs.ReverseMode]:
        """The modes in which this proxy is a base URL."""
        return [mode for mode in self.modes if isinstance(mode, mode_specs.ReverseMode)]

    @property
    def trusted(self) -> tuple[str | None, str | None]:
        """The file and the folder with the CAs that upstreams must have, if they are named."""
        file, folder = self.options.ssl_verify_upstream_trusted_ca, self.options.ssl_verify_upstream_trusted_confdir
        return file and os.path.expanduser(file), folder and os.path.expanduser(folder)


def read_setup(set_options: Sequence[str], *, is_online: bool = False) -> Setup:
    """Read what `vertex-tap serve` with the same `--set` would read. Nothing is written. Without `is_online` nothing is
    asked of the network."""
    opts, given, problems, unknown = _read_options(set_options)
    modes, of_modes = _parsed(opts.mode)
    problems += of_modes
    listening = Listening(modes, opts.listen_host or LOOPBACK, opts.ssl_insecure)
    with _requests(are_sent=is_online):
        configuration, found = _configuration(given, unknown, listening)
        services, routes, models = _described(given, configuration)
    return Setup(
        options=opts,
        given=given,
        problems=[*problems, *found],
        settings=configuration.settings,
        services=services,
        routes=routes,
        models=models,
        modes=modes,
        key_files=_key_files(given),
        in_file=frozenset(str(name) for name, _ in _members(_document(given), "services")),
        is_online=is_online,
    )


# Options


def _read_options(set_options: Sequence[str]) -> tuple[options.Options, dict[str, str], list[str], list[str]]:
    """mitmproxy's options, our options as texts, problems with both, and names of options that there are not."""
    opts = options.Options(mode=[MODE], listen_host=HOST, listen_port=PORT)
    loader = Loader(SimpleNamespace(options=opts))
    for addon in (*BEFORE_OURS, *AFTER_OURS):
        getattr(addon(), "load", lambda _: None)(loader)
    told: dict[str, list[str]] = {}
    for text in set_options:
        name, equals, value = text.partition("=")
        told.setdefault(name, []).extend([value] if equals else [])
    problems = _set(opts, told)
    for name in ("config.yaml", "config.yml"):
        try:
            optmanager.load_paths(opts, Path(opts.confdir).expanduser() / name)
        except (exceptions.OptionsError, OSError) as e:
            problems.append(f"{name}: {_first_line(e)}; correct this file of mitmproxy")
    # They override what the files say.
    _set(opts, told)
    texts: dict[str, list[object]] = {name: [opts.deferred[name]] for name in OPTIONS if name in opts.deferred}
    texts |= {name: [*values] for name, values in told.items() if name in OPTIONS}
    given = {}
    for name, (default, _) in OPTIONS.items():
        try:
            given[name] = _text(texts.get(name, [default]), is_switch=default in ("true", "false"))
        except ValueError as e:
            problems.append(f"{name}: {e}")
            given[name] = default
    unknown = [name for name in told if name not in OPTIONS and name not in opts]
    unknown += [name for name in opts.deferred if name.startswith(PREFIXES) and name not in OPTIONS]
    return opts, given, problems, unknown


def _set(opts: options.Options, told: Mapping[str, list[str]]) -> list[str]:
    """Set mitmproxy's own options, and return the problems."""
    problems = []
    for name, values in told.items():
        if name in opts:
            try:
                opts.set(*(f"{name}={value}" for value in values) if values else (name,))
            except exceptions.OptionsError as e:
                why = _first_line(e).removeprefix(f"Failed to parse option {name}: ")
                problems.append(f"{name}: {why}; set it to another value")
    return problems


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(":;. ")


def _text(values: list[object], *, is_switch: bool) -> str:
    """The text of an option that is set so many times. Raises ValueError."""
    if len(values) > 1:
        raise ValueError("it is set several times; set it once")
    value = values[0] if values else None
    if is_switch and isinstance(value, bool):
        # A switch in config.yaml.
        return str(value).lower()
    if not isinstance(value, str):
        raise ValueError("write it as text")
    return value


def _parsed(specs: Sequence[str]) -> tuple[list[mode_specs.ProxyMode], list[str]]:
    modes, problems = [], []
    for spec in specs:
        try:
            modes.append(mode_specs.ProxyMode.parse(spec))
        except ValueError as e:
            problems.append(f"mode: {_first_line(e)}; write one such as {MODE}")
    return modes, problems


# Configuration


def _configuration(
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
def _requests(*, are_sent: bool) -> Iterator[None]:
    """Whether google-auth may ask servers for what no file says: the credentials of a machine of Google's, and the
    project of workload identity."""
    owners = (
        (_metadata, "_NO_GCE_CHECK", True),
        (external_account.Credentials, "get_project_id", lambda *_, **__: None),
    )
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in owners]
    for owner, name, value in () if are_sent else owners:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def _described(
    given: Mapping[str, str], configuration: Configuration
) -> tuple[dict[str, Service], list[ServiceRoute], list[str]]:
    """The services, the routes and the models of a configuration. If the file of services has problems, those that are
    valid in it."""
    gateway = configuration.gateway
    services, routes = dict(gateway.services), [*gateway.routes]
    models = [*gateway.models, *gateway.aliases.values()]
    if given["gateway_config"] and configuration.settings.gateway_config is None:
        file = Path(given["gateway_config"])
        document = _document(given)
        default_credentials = cache(identity.default_credentials)
        for name, told in _members(document, "services"):
            if described := _valid(DescribedService, told, file):
                try:
                    services[str(name)] = described.service(str(name), default_credentials)
                except ValueError:
                    # This is among the problems.
                    continue
        for _, told in _members(document, "routes"):
            if described := _valid(DescribedRoute, told, file):
                routes.append(ServiceRoute(**dict(described)))
        models += [told for section in ("models", "aliases") for _, told in _members(document, section)]
    return services, routes, [model for model in models if isinstance(model, str)]


def _document(given: Mapping[str, str]) -> yaml_document.Data:
    """The data of the file of services; empty if there is none, or if it cannot be read."""
    try:
        content = Path(given["gateway_config"]).expanduser().read_bytes() if given["gateway_config"] else b""
    except (OSError, RuntimeError):
        return {}
    return yaml_document.parse(content).data or {}


def _members(document: yaml_document.Data, name: str) -> list[tuple[object, Any]]:
    section = document.get(name) if isinstance(document, dict) else None
    if isinstance(section, dict):
        return [*section.items()]
    return [*enumerate(section)] if isinstance(section, list) else []


def _valid(kind: Callable[..., Any], told: object, file: Path) -> Any:
    """A section of the file, parsed; None if it has problems."""
    try:
        return kind.model_validate(told, context={"folder": file.expanduser().parent})  # type: ignore[attr-defined]
    except ValidationError:
        return None


def _key_files(given: Mapping[str, str]) -> dict[str, Path]:
    """The key files of service accounts that are named: by an option or a variable, and in the file of services."""
    found: dict[str, str] = {}
    if asks_for(given, "vertex_credentials"):
        variable = ENVIRONMENT["vertex_credentials"]
        found["vertex_credentials"] = given["vertex_credentials"]
        if not given["vertex_credentials"]:
            found = {variable: os.environ.get(variable, "")}
    files = {name: Path(text) for name, text in found.items() if text}
    file = Path(given["gateway_config"])
    for name, told in _members(_document(given), "services"):
        if isinstance(told, dict) and isinstance(text := told.get("credentials"), str) and text:
            files[f"{file}, service {name}"] = _expanded(file).parent / _expanded(Path(text))
    return {name: _expanded(file) for name, file in files.items()}


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        return path
