"""The YAML file that `gateway_config` names: its schema and its checks.

`metering/yaml_document.py` parses the file, and the pydantic models of this module validate it. An invalid file is
refused with all of its problems, each with its line.
"""

import re
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from fnmatch import fnmatchcase
from operator import itemgetter
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator
from pydantic import BeforeValidator
from pydantic import Field
from pydantic import InstanceOf
from pydantic import ValidationError
from pydantic import ValidationInfo
from pydantic_core import ErrorDetails

from addons.configuration import clients
from addons.configuration import values
from addons.configuration.clients import Callers
from addons.configuration.clients import DescribedClient
from addons.configuration.clients import Networks
from addons.configuration.identity import Identity
from addons.configuration.identity import KeyFile
from addons.configuration.identity import KeyVariable
from addons.configuration.key_command import KeyCommand
from addons.configuration.limits import DescribedLimits
from addons.configuration.limits import DescribedStorage
from addons.configuration.section import Section
from addons.configuration.services import DEFAULT
from addons.configuration.services import OPENAI
from addons.configuration.services import Auth
from addons.configuration.services import Candidate
from addons.configuration.services import OpenAiMode
from addons.configuration.services import Provider
from addons.configuration.services import Service
from addons.configuration.services import ServiceRoute
from addons.configuration.values import Endpoint
from addons.tokens import TokenSource
from metering import wording
from metering import yaml_document
from metering.templates import TEMPLATES
from metering.wording import suggestion
from metering.yaml_document import Data
from metering.yaml_document import MemberPath
from metering.yaml_document import Problem


class ConfigurationError(ValueError):
    """All problems of a configuration. The messages quote no secrets."""

    def __init__(self, problems: Sequence[str]) -> None:
        """`problems` are messages that say where each problem is, and what to write instead."""
        super().__init__("; ".join(problems))
        self.problems = problems


# Single values


def _service_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", text):
        raise ValueError("write names of letters, digits, dots, dashes and underscores")
    return text


def _model_name(text: str) -> str:
    if not _MODEL.fullmatch(text):
        raise ValueError("write a model such as gemini-2.5-flash, or the number of a tuned one")
    return text


_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@:-]{0,127}(?:/[A-Za-z0-9][A-Za-z0-9_.@:-]{0,127})*")


def _base_path_glob(text: str) -> str:
    if not re.fullmatch(r"(?:\*|/[^/#\s]+)(?:/[^/#\s]+)*/?", text):
        raise ValueError("write a path that begins with a slash, such as /gemini or /team-*")
    return text.rstrip("/")


def _surface_glob(text: str) -> str:
    if not any(fnmatchcase(surface, text) for surface in SURFACES):
        raise ValueError(f"there is no such surface; write one of {', '.join(SURFACES)}")
    return text


SURFACES = tuple(dict.fromkeys(template.surface for template in TEMPLATES))
"""The surfaces that a route's `surface` can match, such as `openai`."""


def _key_in_file(value: object, info: ValidationInfo) -> Identity:
    """Read a key file. Its path is relative to the folder of the YAML file, which is in the validation context."""
    assert info.context
    try:
        return KeyFile(info.context["folder"] / Path(values.text(value)).expanduser()).read()
    except RuntimeError:
        raise ValueError("names a home directory that does not exist; write another path") from None


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not value[0] or not all(isinstance(word, str) for word in value):
        raise ValueError("write a program and its arguments as a list, such as [secret-tool, lookup, name, vertex]")
    return tuple(value)


def _key_of_command(words: tuple[str, ...], info: ValidationInfo) -> Identity:
    """Run a command that prints a key. It runs in the folder of the YAML file."""
    assert info.context
    return KeyCommand(words, info.context["folder"]).read()


def _key_in_variable(name: str) -> Identity:
    return KeyVariable(name).read()


def _named_alone(value: object) -> object:
    return {"service": value} if isinstance(value, str) else value


def _seconds(value: float) -> float:
    if not 0 < value <= LONGEST_TIMEOUT_S:
        raise ValueError("write seconds, such as 120")
    return value


LONGEST_TIMEOUT_S = 86400
_ServiceName = Annotated[str, AfterValidator(_service_name)]
_ModelName = Annotated[str, AfterValidator(_model_name)]
_Glob = Annotated[str, Field(min_length=1)]
_Project = Annotated[str, AfterValidator(values.project)]
_Location = Annotated[str, AfterValidator(values.location)]
_Seconds = Annotated[float, AfterValidator(_seconds)]


# Schema


class DescribedService(Section):
    """An entry of `services`, or the service `default` as the options describe it."""

    provider: Provider = "vertex"
    auth: Auth = "passthrough"
    credentials: Annotated[InstanceOf[Identity], BeforeValidator(_key_in_file)] | None = None
    credentials_command: (
        Annotated[InstanceOf[Identity], BeforeValidator(_key_of_command), BeforeValidator(_words)] | None
    ) = None
    credentials_env: (
        Annotated[InstanceOf[Identity], BeforeValidator(_key_in_variable), BeforeValidator(values.text)] | None
    ) = None
    api_key: Annotated[str, AfterValidator(values.environment_key)] | None = Field(
        default=None, alias="api_key_env", repr=False
    )
    project: _Project | None = None
    location: _Location = "global"
    openai: OpenAiMode = "convert"
    base_url: Annotated[Endpoint, BeforeValidator(values.endpoint), BeforeValidator(values.text)] | None = None
    timeout: _Seconds | None = None

    @property
    def injects(self) -> bool:
        """Whether calls get credentials that the client does not have."""
        return self.api_key is not None or self.auth != "passthrough"

    def service(self, name: str, default_tokens: Callable[[], TokenSource]) -> Service:
        """Make the service. Raises ValueError if it needs application default credentials and there are none."""
        if self.provider == "openai":
            return Service(name, "openai", api_key=self.api_key, base_url=self.base_url, timeout=self.timeout)
        key, tokens = self.credentials or self.credentials_command or self.credentials_env, None
        if self.auth == "service_account" and key:
            tokens = TokenSource(key)
        elif self.auth == "adc":
            tokens = default_tokens()
        return Service(
            name,
            "vertex",
            self.auth,
            self.openai,
            self.location,
            self.project or (tokens.identity.project if tokens else None),
            self.api_key if self.auth == "express" else None,
            getattr(tokens.identity.credentials, "quota_project_id", None) if tokens else None,
            tokens,
            timeout=self.timeout,
        )


class DescribedFallback(Section):
    """An entry of a route's `fallback`, which may also be the name of a service alone."""

    service: str
    served_as: _ModelName | None = Field(default=None, alias="as")

    @property
    def candidate(self) -> Candidate:
        return Candidate(self.service, self.served_as)


class DescribedRoute(Section):
    """An entry of `routes`."""

    service: str
    served_as: _ModelName | None = Field(default=None, alias="as")
    fallback: tuple[Annotated[DescribedFallback, BeforeValidator(_named_alone)], ...] = ()
    base_path: Annotated[str, AfterValidator(_base_path_glob)] | None = None
    surface: Annotated[str, AfterValidator(_surface_glob)] | None = None
    publisher: _Glob | None = None
    model: _Glob | None = None
    client: _Glob | None = None

    @property
    def route(self) -> ServiceRoute:
        fallback = tuple(described.candidate for described in self.fallback)
        return ServiceRoute(**dict(self) | {"fallback": fallback})


class DescribedGateway(Section):
    """The whole file."""

    services: dict[_ServiceName, DescribedService] = Field(default_factory=dict)
    routes: tuple[DescribedRoute, ...] = ()
    aliases: dict[_ModelName, _ModelName] = Field(default_factory=dict)
    models: tuple[_ModelName, ...] = ()
    allow_from: Networks | None = None
    trusted_proxies: Networks = ()
    clients: tuple[DescribedClient, ...] = ()
    limits: DescribedStorage = Field(default_factory=DescribedStorage)

    @property
    def callers(self) -> Callers:
        """Who may call."""
        described = tuple(described.client() for described in self.clients)
        return Callers(described, self.allow_from, self.trusted_proxies)


_SECTIONS: dict[object, type[Section]] = {
    "services": DescribedService,
    "routes": DescribedRoute,
    "clients": DescribedClient,
    "limits": DescribedStorage,
}
_VERTEX = frozenset({"passthrough", "service_account", "adc", "express"})
_KEYS = ("credentials", "credentials_command", "credentials_env")
"""Where the key of a service account can be; a service says one of them."""
_NEEDS = {"openai": ("base_url",), "service_account": _KEYS, "express": ("api_key_env",)}
"""`auth`, or `openai` for that provider -> the keys of which such a service requires one."""
_ONLY = {
    "auth": (_VERTEX, "provider: vertex"),
    "project": (_VERTEX - {"express"}, "auth: passthrough, service_account and adc"),
    "location": (_VERTEX, "provider: vertex"),
    "openai": (_VERTEX, "provider: vertex"),
    **dict.fromkeys(_KEYS, ({"service_account"}, "auth: service_account")),
    "api_key_env": ({"express", "openai"}, "auth: express and provider: openai"),
    "base_url": ({"openai"}, "provider: openai"),
}
"""Key of a service -> the kinds of services that may have it, and how error messages name them."""
_REFUSED = {
    "key": "keys cannot be in the file; write key_env (in services: api_key_env) and the name of the environment"
    " variable that holds it",
    "api_key": "keys cannot be in the file; write api_key_env and the name of the environment variable that holds it",
}
"""Keys that users may try -> why they are not allowed."""


# Reading


@dataclass(frozen=True, slots=True)
class GatewayFile:
    """A valid configuration file."""

    path: Path
    described: DescribedGateway
    line: Callable[[MemberPath], int] = field(repr=False)
    """The line where a member begins."""

    @property
    def injects(self) -> bool:
        """Whether any of its services adds credentials that the client does not have."""
        return any(described.injects for described in self.described.services.values())

    @property
    def only_names_callers(self) -> bool:
        """Whether it says who may call, and nothing about what answers."""
        said = self.described
        answers = said.services or said.routes or said.aliases or said.models
        return not answers and (bool(said.clients) or said.allow_from is not None)

    def message(self, member: MemberPath, text: str) -> str:
        """The error message for a problem that is found only after the file was validated."""
        return Problem(self.line(member), member, text).message(self.path)


def read_file(path: Path, known: Iterable[str] = (DEFAULT,)) -> GatewayFile:
    """Read and validate a configuration file.

    `known` are names of services that routes may use although the file does not describe them. Raises
    ConfigurationError.
    """
    try:
        document = yaml_document.parse(path.expanduser().read_bytes())
    except RuntimeError:
        raise ConfigurationError([f"{path} names a home directory that does not exist; write another path"]) from None
    except OSError as e:
        raise ConfigurationError([f"{path} cannot be read ({e.strerror}); name a YAML file"]) from e
    problems, described = document.problems, DescribedGateway()
    if document.data is not None:
        try:
            described = DescribedGateway.model_validate(document.data, context={"folder": path.expanduser().parent})
        except ValidationError as e:
            problems += [
                Problem(document.line(error["loc"]), _place(document, error["loc"]), _explain(error))
                for error in e.errors()
            ]
        problems += [Problem(document.line(at), at, text) for at, text in _contradictions(document.data, known)]
    if problems:
        raise ConfigurationError([problem.message(path) for problem in sorted(problems, key=itemgetter(0))])
    return GatewayFile(path, described, document.line)


def _place(document: yaml_document.Document, member: MemberPath) -> MemberPath:
    """Where a problem is. A single text that is read as a list of one has no index."""
    is_index = bool(member) and isinstance(member[-1], int)
    return member[:-1] if is_index and member not in document.lines else member


def _explain(error: ErrorDetails) -> str:
    """A pydantic error as a message that says what to write instead."""
    if error["type"] != "extra_forbidden":
        return wording.explain(error)
    *above, name = error["loc"]
    is_of_client = above[:1] == ["clients"] and above[-1] == "limits"
    section = DescribedLimits if is_of_client else _SECTIONS[above[0]] if above else DescribedGateway
    if "fallback" in above:
        section = DescribedFallback
    return _REFUSED.get(str(name)) or f"there is no such key{suggestion(str(name), section.names())}"


def _contradictions(data: Data, known: Iterable[str]) -> Iterator[tuple[MemberPath, str]]:
    """Problems with members that are valid alone but not together."""
    services = _mapping(data, "services")
    for name, described in services.items():
        if isinstance(described, dict):
            for inside, text in _contradictions_of_service(described):
                yield ("services", name, *inside), text
    routes = data.get("routes") if isinstance(data, dict) else None
    names = dict.fromkeys((*services, *known))
    for place, route in enumerate(routes if isinstance(routes, list) else ()):
        for at, service in _services_of(route):
            if isinstance(service, str) and service not in names:
                yield ("routes", place, *at), f"there is no such service{suggestion(service, names)}"
        client = route.get("client") if isinstance(route, dict) else None
        if isinstance(client, str) and not any(fnmatchcase(name, client) for name in clients.names_in(data)):
            yield ("routes", place, "client"), "there is no such client; write the name of one, or a glob"
    if isinstance(data, dict) and "clients" in data:
        # `openai` is also the service of calls that go to `openai_endpoint` as they are.
        for inside, text in clients.contradictions(data["clients"], dict.fromkeys((*names, OPENAI))):
            yield ("clients", *inside), text
    aliases = _mapping(data, "aliases")
    for name, model in aliases.items():
        if isinstance(model, str) and aliases.get(model, model) != model:
            yield ("aliases", name), "is an alias of an alias; name the model itself"


def _services_of(route: Data) -> Iterator[tuple[MemberPath, object]]:
    """The services that a route names, each with where it does."""
    if not isinstance(route, dict):
        return
    yield ("service",), route.get("service")
    fallback = route.get("fallback")
    for place, described in enumerate(fallback if isinstance(fallback, list) else ()):
        if isinstance(described, dict):
            yield ("fallback", place, "service"), described.get("service")
        else:
            yield ("fallback", place), described


def _mapping(data: Data, name: str) -> dict[str, Data]:
    value = data.get(name) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def _contradictions_of_service(described: dict[str, Data]) -> Iterator[tuple[MemberPath, str]]:
    """Keys that a service has but may not have, or lacks but needs."""
    kind = described.get("auth", "passthrough")
    if described.get("provider", "vertex") != "vertex":
        kind = described["provider"]
    if not isinstance(kind, str) or kind not in _VERTEX | {"openai"}:
        return
    if (needed := _NEEDS.get(kind)) and not described.keys() & set(needed):
        others = f" (or {' or '.join(needed[1:])})" if needed[1:] else ""
        yield (), f"{needed[0]} is missing, which {'provider' if kind == 'openai' else 'auth'}: {kind} needs{others}"
    first, *more = [name for name in described if name in _KEYS] or [""]
    for name in more:
        yield (name,), f"says where the key is, and so does {first}; leave one out"
    for name in described.keys() & _ONLY.keys():
        kinds, whose = _ONLY[name]
        if kind not in kinds:
            yield (name,), f"is only for {whose}; leave it out"
    if kind == "express" and described.get("openai") == "compatible":
        yield ("openai",), "Vertex's OpenAI endpoint takes no API keys; write convert, or another auth"
