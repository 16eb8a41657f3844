"""Every option: declared as text, parsed once, all problems reported together."""

import ipaddress
import os
import re
import socket
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from typing import NamedTuple

from mitmproxy import ctx
from mitmproxy import exceptions
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy import mode_specs
from pydantic import AfterValidator
from pydantic import BaseModel
from pydantic import BeforeValidator
from pydantic import ConfigDict
from pydantic import Field
from pydantic import ValidationError

from addons import services
from addons.keys import holds_credential
from addons.services import Auth
from addons.services import Endpoint
from addons.services import Mode
from metering import database
from metering.paths import api_of

PREFIXES = ("vertex_", "openai_", "gateway_", "usage_")
"""Of our options; no other addon's begin like this."""


LOOPBACK = "127.0.0.1"


def _endpoint(text: str) -> Endpoint | None:
    return services.endpoint(text) if text else None


def _comma_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _base_paths(paths: tuple[str, ...]) -> tuple[str, ...]:
    for path in paths:
        if not re.fullmatch(r"(?:/[^/?#\s]+)+/?", path):
            raise ValueError("write paths that begin with a slash, such as /vertex,/api/vertex-ai")
    return _longest_first(path.rstrip("/") for path in paths)


def _longest_first(paths: Iterable[str]) -> tuple[str, ...]:
    """The longest that matches is stripped."""
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
        raise ValueError(f"{text} names the home of nobody; write another path") from None
    except OSError as e:
        raise ValueError(f"{text} cannot be a file ({e.strerror}); write another path") from e
    return path


def _key(text: str) -> services.Key | None:
    try:
        return services.key(Path(text).expanduser()) if text else None
    except RuntimeError:
        raise ValueError(f"{text} names the home of nobody; write another path") from None


def _project(text: str) -> str | None:
    return services.project(text) if text else None


CommaList = Annotated[tuple[str, ...], BeforeValidator(_comma_list)]


OPTIONS = {
    "vertex_auth": (
        "passthrough",
        "Whose credentials Vertex AI sees: passthrough, the client's own; service_account; adc, application"
        " default credentials; express, an API key.",
    ),
    "vertex_credentials": ("", "Key file of the service account; else GOOGLE_APPLICATION_CREDENTIALS."),
    "vertex_api_key": ("", "API key for express; better from the environment: VERTEX_API_KEY."),
    "vertex_project": ("", "Google Cloud project; else that of the credentials."),
    "vertex_location": ("global", "Location of calls that name none."),
    "vertex_endpoint": ("", "Send Vertex calls to this URL instead (a private endpoint, a simulator)."),
    "openai_mode": (
        "observe",
        "What becomes of OpenAI calls: observe, they go to openai_endpoint as they are; convert, Vertex's native"
        " API answers; compatible, Vertex's own OpenAI endpoint answers.",
    ),
    "openai_endpoint": (
        "https://api.openai.com/v1",
        "Upstream of OpenAI calls; its path replaces the client's leading /v1.",
    ),
    "openai_api_key": (
        "",
        "API key for openai_endpoint, used only where Vertex calls of OpenAI's models are rewritten towards it;"
        " better from the environment: OPENAI_API_KEY.",
    ),
    "gateway_base_path": (
        "",
        "Prefixes (comma list) that clients put before every path, such as /vertex,/gemini,/api/vertex-ai;"
        " the longest that matches is stripped.",
    ),
    "gateway_config": ("", "YAML file with services, routes, aliases and models."),
    "usage_db": ("usage.db", "The ledger, an SQLite file."),
    "usage_tags": ("", "Request headers (comma list) whose values become tags, such as x-team."),
}
"""Name -> default and help."""

ENVIRONMENT = {
    "vertex_credentials": "GOOGLE_APPLICATION_CREDENTIALS",
    "vertex_api_key": "VERTEX_API_KEY",
    "openai_api_key": "OPENAI_API_KEY",
}
"""What is used where an option is not set, if others ask for it."""
INJECTING = ("service_account", "adc", "express")
"""Values of `vertex_auth` with which calls get credentials that the client does not have."""
NEEDS = {"service_account": "vertex_credentials", "express": "vertex_api_key"}
"""`vertex_auth` -> the option that it cannot do without."""
SINGLE = (
    "vertex_auth",
    "vertex_credentials",
    "vertex_api_key",
    "vertex_project",
    "vertex_location",
    "openai_mode",
)
"""What describes the service `default`."""


class Settings(BaseModel):
    """The options, parsed."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    vertex_auth: Auth
    vertex_credentials: Annotated[services.Key | None, BeforeValidator(_key)]
    vertex_api_key: Annotated[str, AfterValidator(services.api_key), Field(repr=False)]
    vertex_project: Annotated[str | None, BeforeValidator(_project)]
    vertex_location: Annotated[str, AfterValidator(services.location)]
    vertex_endpoint: Annotated[Endpoint | None, BeforeValidator(_endpoint)]
    openai_mode: Mode
    openai_endpoint: Annotated[Endpoint, BeforeValidator(services.endpoint)]
    openai_api_key: Annotated[str, AfterValidator(services.api_key), Field(repr=False)]
    gateway_base_path: Annotated[CommaList, AfterValidator(_base_paths)]
    """With those of the file's routes, once `Options` has taken them."""
    gateway_config: services.File | None
    usage_db: Annotated[Path, BeforeValidator(_ledger)]
    usage_tags: Annotated[CommaList, AfterValidator(_tags)]

    @property
    def names_openai_endpoint(self) -> bool:
        """Whether `openai_endpoint` is not at its default."""
        return self.openai_endpoint != _endpoint(OPTIONS["openai_endpoint"][0])

    @property
    def openai_key(self) -> str | None:
        """What answers OpenAI's models on Vertex paths goes with; None where calls are only observed."""
        return self.openai_api_key or None if self.openai_mode != "observe" else None


class Listening(NamedTuple):
    """What mitmproxy's own options say of who may come in, and whom we trust."""

    modes: Sequence[mode_specs.ProxyMode]
    host: str
    insecure: bool


NOBODY = Listening((), "", False)
LISTENING = {"mode", "listen_host", "ssl_insecure"}
"""The options of mitmproxy's that `Listening` is made of."""


def _listening() -> Listening:
    modes = [mode_specs.ProxyMode.parse(mode) for mode in ctx.options.mode]
    return Listening(modes, ctx.options.listen_host, ctx.options.ssl_insecure)


class Options:
    """Declares the options and holds them as `settings`. They are read once: a later change is refused."""

    settings: Settings
    gateway: services.Gateway

    def __init__(self, prefixes: tuple[str, ...] = PREFIXES) -> None:
        """`prefixes` are those of names that no other addon may have; an unknown one is a misspelling."""
        self._prefixes = prefixes
        self._started = False
        self._unusable: list[str] = []
        """What is wrong with values that never were one text."""

    def load(self, loader: Loader) -> None:
        # mitmproxy would drop the script over a value that is no text, and go on without it.
        for name in OPTIONS.keys() & ctx.options.deferred.keys():
            value = ctx.options.deferred[name]
            texts = getattr(value, "val", [value])
            if len(texts) != 1 or not isinstance(texts[0], str):
                self._unusable.append(f"{name}: {'set it once' if len(texts) > 1 else 'write it as text'}")
                del ctx.options.deferred[name]
        for name, (default, help) in OPTIONS.items():
            loader.add_option(name, str, default, help)

    def configure(self, updated: set[str]) -> None:
        values = {name: getattr(ctx.options, name) for name in OPTIONS if name in ctx.options}
        if is_start(updated) and not self._started:
            unknown = [name for name in ctx.options.deferred if name.startswith(self._prefixes)]
            listening = _listening()
            self.take(read(values, unknown, listening._replace(host=listening.host or LOOPBACK), self._unusable))
            if self.gateway.injects and not listening.host:
                ctx.options.update(listen_host=LOOPBACK)
            self._started = True
        elif self._started and (changed := sorted(updated & OPTIONS.keys())):
            raise exceptions.OptionsError(f"{', '.join(changed)}: read at start only; restart to change it")
        elif self._started and updated & LISTENING:
            problems = [*_contradictions(values, _listening(), self.gateway.injects)]
            if problems:
                raise exceptions.OptionsError("; ".join(problems))

    def take(self, settings: Settings) -> None:
        """Raises SystemExit where there are no application default credentials."""
        try:
            self.gateway = services.from_settings(settings)
        except ValueError as e:
            whose = "vertex_auth" if settings.vertex_auth == "adc" else "gateway_config"
            raise SystemExit(f"vertex-tap cannot start:\n  {whose}: {e}") from e
        base_paths = _longest_first(settings.gateway_base_path + self.gateway.base_paths)
        self.settings = settings.model_copy(update={"gateway_base_path": base_paths})


def is_start(updated: set[str]) -> bool:
    """Whether a `configure` is the one at start, which names every option."""
    return OPTIONS.keys() <= updated


def read(
    values: dict[str, str], unknown: Sequence[str], listening: Listening = NOBODY, unusable: Sequence[str] = ()
) -> Settings:
    """Parse the options; `unusable` are problems that are known already. Raises SystemExit with one message that
    names every problem: mitmproxy then ends with status 1, with this on stderr, without a listener and without a
    traceback."""
    for name, variable in ENVIRONMENT.items():
        if not values[name] and _asks_for(values, name):
            values = values | {name: os.environ.get(variable, "")}
    problems = [f"{name}: there is no such option{services.suggestion(name, OPTIONS)}" for name in sorted(unknown)]
    problems += unusable
    file = None
    has_openai_key = bool(values["openai_api_key"]) and _asks_for(values, "openai_api_key")
    try:
        if values["gateway_config"]:
            known = (services.DEFAULT, services.OPENAI) if has_openai_key else (services.DEFAULT,)
            file = services.read_file(Path(values["gateway_config"]), known)
    except services.FileProblems as e:
        problems += [f"gateway_config: {problem}" for problem in e.problems]
    try:
        settings = Settings.model_validate(values | {"gateway_config": file})
    except ValidationError as e:
        problems += [f"{error['loc'][0]}: {services.problem(error)}" for error in e.errors()]
    injects = values["vertex_auth"] in INJECTING or has_openai_key or (file is not None and file.injects)
    problems += _contradictions(values, listening, injects)
    if file and services.DEFAULT in file.content.services:
        set_twice = (name for name in SINGLE if values[name] != OPTIONS[name][0])
        problems += [f"{name}: {file.path} has a service default; write it there" for name in set_twice]
    if problems:
        raise SystemExit("\n  ".join(["vertex-tap cannot start:", *problems]))
    return settings


def _asks_for(values: dict[str, str], name: str) -> bool:
    """Whether other options ask for one that may be in the environment."""
    if name == "openai_api_key":
        return values["openai_mode"] != "observe"
    return NEEDS.get(values["vertex_auth"]) == name


def _contradictions(values: dict[str, str], listening: Listening, injects: bool) -> Iterator[str]:
    """What is wrong with options that are right by themselves. `injects` is whether any service does."""
    auth = values["vertex_auth"]
    if (needed := NEEDS.get(auth)) and not (values[needed] or os.environ.get(ENVIRONMENT[needed])):
        yield f"{needed}: vertex_auth={auth} needs it; set it, or {ENVIRONMENT[needed]} in the environment"
    if auth == "express" and values["openai_mode"] == "compatible":
        yield "openai_mode: Vertex's OpenAI endpoint takes no API keys; write convert, or another vertex_auth"
    named = [mode for mode in listening.modes if isinstance(mode, mode_specs.ReverseMode)]
    if listening.modes and not named and values["openai_mode"] in ("convert", "compatible"):
        yield "openai_mode: calls are rewritten in reverse mode only; write observe, or --mode reverse:..."
    if listening.modes and not named and values["gateway_config"]:
        yield "gateway_config: calls are routed in reverse mode only; leave it out, or write --mode reverse:..."
    if not injects:
        return
    if listening.modes and not named and auth in INJECTING:
        yield "vertex_auth: credentials are added in reverse mode only; write passthrough, or --mode reverse:..."
    if any(mode.scheme == "http" and api_of(mode.address[0]) for mode in named):
        yield "mode: credentials go to Google over TLS only; write reverse:https://..."
    hosts = (mode.listen_host(listening.host) for mode in listening.modes)
    if host := next((host for host in hosts if not _is_here(host)), None):
        yield f"listen_host: whoever reaches {host} could use your credentials; write 127.0.0.1"
    if listening.insecure:
        yield "ssl_insecure: credentials go to verified hosts only; leave it out"


def is_loopback(host: str) -> bool:
    """Whether a host is an address that can only be this machine, or `localhost`."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    # ::ffff:127.0.0.1, which Python 3.11 does not take for one.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _is_here(host: str) -> bool:
    """Whether to listen at a host is to listen on this machine only, by its name in /etc/hosts, for instance."""
    if is_loopback(host):
        return True
    try:
        found = socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return all(is_loopback(str(address[0])) for *_, address in found)
