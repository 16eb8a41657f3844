"""The options: their table, the types they are parsed to, and which of them exclude each other.

`read` makes one `Configuration` of the options, the environment and the YAML file. It reports all problems at once.
"""

import functools
import os
import re
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from typing import NamedTuple

from mitmproxy.proxy import mode_specs
from pydantic import AfterValidator
from pydantic import BaseModel
from pydantic import BeforeValidator
from pydantic import ConfigDict
from pydantic import Field
from pydantic import InstanceOf
from pydantic import ValidationError

from addons.configuration import identity
from addons.configuration import values
from addons.configuration.file import ConfigurationError
from addons.configuration.file import DescribedGateway
from addons.configuration.file import DescribedService
from addons.configuration.file import GatewayFile
from addons.configuration.file import read_file
from addons.configuration.listening import NOBODY
from addons.configuration.listening import WITH_KEYS
from addons.configuration.listening import Listening
from addons.configuration.listening import is_here
from addons.configuration.services import DEFAULT
from addons.configuration.services import OPENAI
from addons.configuration.services import OPENAI_ROUTES
from addons.configuration.services import Auth
from addons.configuration.services import Gateway
from addons.configuration.services import OpenAiMode
from addons.configuration.services import Service
from addons.configuration.values import Endpoint
from addons.keys import holds_credential
from addons.tokens import TokenSource
from metering import database
from metering import wording
from metering.hosts import api_of
from metering.prices.catalog import Catalog
from metering.prices.file import PriceError

OPTIONS = {
    "vertex_auth": (
        "passthrough",
        "Credentials for Vertex AI: passthrough (the client's own), service_account, adc (application default"
        " credentials), express (an API key).",
    ),
    "vertex_credentials": ("", "Key file of the service account; if not set: GOOGLE_APPLICATION_CREDENTIALS."),
    "vertex_api_key": ("", "API key for express; better set in the environment: VERTEX_API_KEY."),
    "vertex_project": ("", "Google Cloud project; if not set: the project of the credentials."),
    "vertex_location": ("global", "Location for calls that name none."),
    "vertex_endpoint": (
        "",
        "Send Vertex AI calls to this URL instead of Google's hosts (a private endpoint, a simulator).",
    ),
    "openai_mode": (
        "observe",
        "OpenAI calls: observe sends them to openai_endpoint, convert makes them native Vertex AI calls, compatible"
        " sends them to Vertex AI's OpenAI endpoint.",
    ),
    "openai_endpoint": (
        "https://api.openai.com/v1",
        "Where OpenAI calls go; its path replaces the client's leading /v1.",
    ),
    "openai_api_key": (
        "",
        "API key for Vertex AI calls that ask for OpenAI's models; not used if openai_mode is observe; better set in"
        " the environment: OPENAI_API_KEY.",
    ),
    "gateway_base_path": (
        "",
        "Prefixes that clients put before every path, such as /vertex,/gemini,/api/vertex-ai; the longest that"
        " matches is removed.",
    ),
    "gateway_config": ("", "YAML file with services, routes, aliases, models and clients."),
    "gateway_keep_content": (
        "false",
        "true keeps the bodies of AI calls in memory, for mitmproxy's screens and saved flows (-w).",
    ),
    "usage_db": ("usage.db", "The ledger's file (SQLite)."),
    "usage_prices": (
        "",
        "Price file (YAML) that goes before all other prices, in reports, limits, pages and metrics of this proxy.",
    ),
    "usage_tags": ("", "Request headers whose values are stored as tags, such as x-team,x-app."),
}
"""Option name -> its default and its help text."""

ENVIRONMENT = {
    "vertex_credentials": "GOOGLE_APPLICATION_CREDENTIALS",
    "vertex_api_key": "VERTEX_API_KEY",
    "openai_api_key": "OPENAI_API_KEY",
}
"""Option -> the environment variable that replaces it if it is empty and another option needs it."""
INJECTING = ("service_account", "adc", "express")
"""Values of `vertex_auth` for which the proxy adds credentials of its own to calls."""
NEEDS = {"service_account": "vertex_credentials", "express": "vertex_api_key"}
"""`vertex_auth` -> the option that it requires."""
OF_REVERSE_MODE = {
    "vertex_endpoint": None,
    "gateway_base_path": None,
    "vertex_credentials": "vertex_auth",
    "vertex_api_key": "vertex_auth",
    "vertex_project": "vertex_auth",
    "vertex_location": "vertex_auth",
    "openai_api_key": "openai_mode",
}
"""Option that does nothing in forward mode -> the option that it belongs to, if any: where that one is wrong already,
this one is not mentioned."""
USELESS: tuple[tuple[str, Callable[[Mapping[str, str]], bool], str], ...] = (
    ("vertex_credentials", lambda given: given["vertex_auth"] != "service_account", "vertex_auth=service_account"),
    ("vertex_api_key", lambda given: given["vertex_auth"] != "express", "vertex_auth=express"),
    (
        "vertex_project",
        lambda given: (
            given["vertex_auth"] == "express"
            or (given["vertex_auth"] == "passthrough" and given["openai_mode"] == "observe")
        ),
        "vertex_auth=service_account or adc, or with openai_mode=convert or compatible",
    ),
    (
        "vertex_location",
        lambda given: given["vertex_auth"] in ("passthrough", "express") and given["openai_mode"] == "observe",
        "vertex_auth=service_account or adc, or with openai_mode=convert or compatible",
    ),
    (
        "openai_endpoint",
        lambda given: given["openai_mode"] != "observe" and not (given["openai_api_key"] or given["gateway_config"]),
        "openai_mode=observe, or with openai_api_key",
    ),
)
"""Option, when it does nothing in reverse mode, and what it is used with."""


SINGLE = (
    "vertex_auth",
    "vertex_credentials",
    "vertex_api_key",
    "vertex_project",
    "vertex_location",
    "openai_mode",
)
"""The options that describe the service `default`. If the file describes that service, they must not be set."""


# Single values


def _endpoint(text: str) -> Endpoint | None:
    return values.endpoint(text) if text else None


def _comma_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _base_paths(paths: tuple[str, ...]) -> tuple[str, ...]:
    for path in paths:
        if not re.fullmatch(r"(?:/[^/?#\s]+)+/?", path):
            raise ValueError("write paths that begin with a slash, such as /vertex,/api/vertex-ai")
    return _longest_first(path.rstrip("/") for path in paths)


def _longest_first(paths: Iterable[str]) -> tuple[str, ...]:
    """Base paths without duplicates, longest first: the longest one that matches is stripped."""
    return tuple(sorted(dict.fromkeys(paths), key=len, reverse=True))


def _tags(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9-]+", name):
            raise ValueError("write names of request headers, such as x-team,x-app")
        if holds_credential(name):
            raise ValueError(f"{name} holds a credential, which is never stored; name another header")
    return tuple(name.lower() for name in names)


def _ledger(text: str) -> Path:
    try:
        path = Path(text).expanduser()
        database.check(path)
    except database.LedgerError as e:
        raise ValueError(str(e)) from e
    except RuntimeError:
        raise ValueError(f"{text} names a home directory that does not exist; write another path") from None
    except OSError as e:
        raise ValueError(f"{text} cannot be a file ({e.strerror}); write another path") from e
    return path


def _prices(text: str) -> Catalog:
    try:
        return Catalog.with_file(Path(text) if text else None)
    except PriceError as e:
        raise ValueError(str(e)) from e


def _key(text: str) -> identity.Identity | None:
    try:
        return identity.KeyFile(Path(text).expanduser()).read() if text else None
    except RuntimeError:
        raise ValueError(f"{text} names a home directory that does not exist; write another path") from None


def _file(text: str) -> Path | None:
    return Path(text) if text else None


def _project(text: str) -> str | None:
    return values.project(text) if text else None


_CommaList = Annotated[tuple[str, ...], BeforeValidator(_comma_list)]


class Settings(BaseModel):
    """The parsed options: one field for each entry of `OPTIONS`."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    vertex_auth: Auth
    vertex_credentials: Annotated[InstanceOf[identity.Identity] | None, BeforeValidator(_key)]
    vertex_api_key: Annotated[str, AfterValidator(values.api_key), Field(repr=False)]
    vertex_project: Annotated[str | None, BeforeValidator(_project)]
    vertex_location: Annotated[str, AfterValidator(values.location)]
    vertex_endpoint: Annotated[Endpoint | None, BeforeValidator(_endpoint)]
    openai_mode: OpenAiMode
    openai_endpoint: Annotated[Endpoint, BeforeValidator(values.endpoint)]
    openai_api_key: Annotated[str, AfterValidator(values.api_key), Field(repr=False)]
    gateway_base_path: Annotated[_CommaList, AfterValidator(_base_paths)]
    """Longest first. In a `Configuration` this includes the base paths of the file's routes."""
    gateway_config: Annotated[Path | None, BeforeValidator(_file)]
    gateway_keep_content: Annotated[bool, BeforeValidator(values.switch)]
    usage_db: Annotated[Path, BeforeValidator(_ledger)]
    usage_prices: Annotated[InstanceOf[Catalog], BeforeValidator(_prices)]
    """All prices: those of the file, then those that everyone has."""
    usage_tags: Annotated[_CommaList, AfterValidator(_tags)]

    @property
    def names_openai_endpoint(self) -> bool:
        """Whether `openai_endpoint` differs from its default."""
        return self.openai_endpoint != _endpoint(OPTIONS["openai_endpoint"][0])

    @property
    def openai_key(self) -> str | None:
        """The API key for calls of OpenAI's models on Vertex paths; None in the mode `observe`."""
        return self.openai_api_key or None if self.openai_mode != "observe" else None


# Reading


class Configuration(NamedTuple):
    """The complete configuration. It never changes: if the files are read again, calls under way keep the old one."""

    settings: Settings
    gateway: Gateway


def read(
    given: Mapping[str, str],
    unknown: Sequence[str],
    listening: Listening = NOBODY,
    unusable: Sequence[str] = (),
    *,
    is_private: bool = False,
) -> Configuration:
    """Parse the options (name -> text), and the file that they name.

    `unknown` are names of options that do not exist; `unusable` are messages about problems found before; `is_private`
    is whether the proxy serves one program only. Raises ConfigurationError.
    """
    for name, variable in ENVIRONMENT.items():
        if not given[name] and asks_for(given, name):
            given = {**given, name: os.environ.get(variable, "")}
    problems = [f"{name}: there is no such option{wording.suggestion(name, OPTIONS)}" for name in sorted(unknown)]
    problems += unusable
    file = None
    has_openai_key = bool(given["openai_api_key"]) and asks_for(given, "openai_api_key")
    try:
        if given["gateway_config"]:
            file = read_file(Path(given["gateway_config"]), (DEFAULT, OPENAI) if has_openai_key else (DEFAULT,))
    except ConfigurationError as e:
        problems += [f"gateway_config: {problem}" for problem in e.problems]
    try:
        settings = Settings.model_validate(given)
    except ValidationError as e:
        problems += [f"{error['loc'][0]}: {wording.explain(error)}" for error in e.errors()]
    injects = given["vertex_auth"] in INJECTING or has_openai_key or (file is not None and file.injects)
    # An option that has a problem of its own already is not reported twice.
    named = {problem.partition(":")[0] for problem in problems}
    if given["gateway_config"] and not file:
        # The file may name clients, with which any host is allowed.
        named.add("listen_host")
    against = contradictions(
        given,
        listening,
        injects,
        has_clients=bool(file and file.described.clients),
        only_names_callers=bool(file and file.only_names_callers),
    )
    problems += [problem for problem in against if problem.partition(":")[0] not in named]
    if file and DEFAULT in file.described.services:
        set_twice = (name for name in SINGLE if given[name] != OPTIONS[name][0])
        problems += [f"{name}: {file.path} has a service named default; write it there" for name in set_twice]
    if problems:
        raise ConfigurationError(problems)
    try:
        is_described = any(given[name] != OPTIONS[name][0] for name in SINGLE)
        gateway = _gateway(settings, file, is_described=is_described, is_private=is_private)
    except ValueError as e:
        whose = "vertex_auth" if settings.vertex_auth == "adc" else "gateway_config"
        raise ConfigurationError([f"{whose}: {e}"]) from e
    base_paths = _longest_first(settings.gateway_base_path + gateway.base_paths)
    return Configuration(settings.model_copy(update={"gateway_base_path": base_paths}), gateway)


def asks_for(given: Mapping[str, str], name: str) -> bool:
    """Whether other options need this one, so that it may come from the environment."""
    if name == "openai_api_key":
        return given["openai_mode"] != "observe"
    return NEEDS.get(given["vertex_auth"]) == name


def contradictions(
    given: Mapping[str, str], listening: Listening, injects: bool, *, has_clients: bool, only_names_callers: bool
) -> Iterator[str]:
    """Problems with options that are valid alone but not together.

    `injects` is whether any service adds the proxy's own credentials, `has_clients` whether calls need the key of a
    client, `only_names_callers` whether the file says nothing but who may call.
    """
    auth = given["vertex_auth"]
    if (needed := NEEDS.get(auth)) and not (given[needed] or os.environ.get(ENVIRONMENT[needed])):
        yield f"{needed}: vertex_auth={auth} needs it; set it, or {ENVIRONMENT[needed]} in the environment"
    if auth == "express" and given["openai_mode"] == "compatible":
        yield "openai_mode: Vertex's OpenAI endpoint takes no API keys; write convert, or another vertex_auth"
    named = [mode for mode in listening.modes if isinstance(mode, mode_specs.ReverseMode)]
    if listening.modes and not named and given["openai_mode"] in ("convert", "compatible"):
        yield "openai_mode: OpenAI calls are converted in reverse mode only; write observe, or --mode reverse:..."
    if listening.modes and not named and given["gateway_config"] and not only_names_callers:
        yield (
            "gateway_config: calls are routed in reverse mode only, and in forward mode the file can only say who may"
            " call (clients, allow_from, trusted_proxies, limits); leave the rest out, or write --mode reverse:..."
        )
    if has_clients and (other := next((mode for mode in listening.modes if not isinstance(mode, WITH_KEYS)), None)):
        yield f"mode: clients cannot send their keys to {other.type_name}; write reverse:..., regular or upstream:..."
    if listening.modes:
        yield from _useless(given, forward_only=not named)
    if not injects:
        return
    if listening.modes and not named and auth in INJECTING:
        yield "vertex_auth: credentials are added in reverse mode only; write passthrough, or --mode reverse:..."
    if any(mode.scheme == "http" and api_of(mode.address[0]) for mode in named):
        yield "mode: credentials go to Google over TLS only; write reverse:https://..."
    hosts = (mode.listen_host(listening.host) for mode in listening.modes)
    if not has_clients and (host := next((host for host in hosts if not is_here(host)), None)) is not None:
        yield (
            f"listen_host: anyone who reaches {host or 'this machine'} could use your credentials; write 127.0.0.1, or"
            " name who may call under clients in gateway_config"
        )
    if listening.insecure:
        yield "ssl_insecure: credentials go to verified hosts only; leave it out"


def _useless(given: Mapping[str, str], *, forward_only: bool) -> Iterator[str]:
    """Problems with options that are set and do nothing."""
    is_set = {name for name, (default, _) in OPTIONS.items() if given[name] != default}
    if forward_only:
        for name, owner in OF_REVERSE_MODE.items():
            if name in is_set and owner not in is_set:
                yield f"{name}: does nothing in forward mode; leave it out, or write --mode reverse:..."
        return
    for name, does_nothing, used_with in USELESS:
        if name in is_set and does_nothing(given):
            yield f"{name}: does nothing here, as it is used with {used_with} only; leave it out"


def _gateway(settings: Settings, file: GatewayFile | None, *, is_described: bool, is_private: bool) -> Gateway:
    """What the options and the file describe.

    `is_described` is whether any option describes the service `default`. Raises ValueError if application default
    credentials are needed and there are none.
    """
    by_file = file.described if file else DescribedGateway()
    default_tokens = functools.cache(lambda: TokenSource(identity.DefaultCredentials().read()))
    by_options = DescribedService.model_construct(
        auth=settings.vertex_auth,
        openai=settings.openai_mode,
        location=settings.vertex_location,
        project=settings.vertex_project,
        credentials=settings.vertex_credentials,
        api_key=settings.vertex_api_key or None,
    )
    services = {}
    for name, described in ({DEFAULT: by_options} | by_file.services).items():
        try:
            services[name] = described.service(name, default_tokens)
        except ValueError as e:
            if file and name in by_file.services:
                raise ValueError(file.message(("services", name, "auth"), str(e))) from e
            raise
    routes = tuple(described.route for described in by_file.routes)
    if settings.openai_key and OPENAI not in services:
        services[OPENAI] = Service(OPENAI, "openai", api_key=settings.openai_key, base_url=settings.openai_endpoint)
        routes += OPENAI_ROUTES
    callers = replace(by_file.callers, is_private=is_private)
    has_default = is_described or DEFAULT in by_file.services or not by_file.routes
    limits = by_file.limits.made()
    return Gateway(services, routes, by_file.aliases, by_file.models, callers, has_default, limits)
