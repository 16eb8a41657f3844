"""What can answer, and what it is asked: services, routes, aliases and models, from options or from a YAML file."""

import difflib
import functools
import json
import os
import re
import warnings
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from fnmatch import fnmatchcase
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Literal
from typing import NamedTuple
from urllib.parse import urlsplit

import google.auth
from google.auth import crypt
from google.auth.credentials import Credentials
from google.oauth2 import service_account
from pydantic import AfterValidator
from pydantic import BaseModel
from pydantic import BeforeValidator
from pydantic import ConfigDict
from pydantic import Field
from pydantic import ValidationError
from pydantic import ValidationInfo
from pydantic_core import ErrorDetails

from addons import yaml_document
from addons.yaml_document import Data
from addons.yaml_document import Location
from addons.yaml_document import Problem
from metering.paths import TEMPLATES
from metering.paths import vertex_host

if TYPE_CHECKING:
    from addons.options import Settings

Provider = Literal["vertex", "openai"]
Auth = Literal["passthrough", "service_account", "adc", "express"]
Mode = Literal["observe", "convert", "compatible"]


class Endpoint(NamedTuple):
    scheme: str
    host: str
    port: int
    path: str
    """Without a slash at its end; empty for the root."""


def endpoint(text: str) -> Endpoint:
    """Raises ValueError."""
    url = urlsplit(text)
    try:
        port = url.port
    except ValueError:
        port = -1
    host = url.hostname or ""
    if url.scheme not in ("http", "https") or not _HOST.fullmatch(host) or port == -1:
        raise ValueError("write a URL such as https://example.com/v1")
    if url.query or url.fragment or url.username is not None:
        raise ValueError("write a URL without user, query and fragment")
    return Endpoint(url.scheme, host, port or {"http": 80, "https": 443}[url.scheme], url.path.rstrip("/"))


_HOST = re.compile(r"[A-Za-z0-9._:-]+")


@dataclass(frozen=True, slots=True)
class Service:
    """A Vertex project with credentials of ours or of the client's, or an API that speaks as OpenAI's."""

    name: str
    provider: Provider = "vertex"
    auth: Auth = "passthrough"
    openai: Mode = "observe"
    """What becomes of OpenAI calls that Vertex is to answer."""
    location: str = "global"
    project: str | None = None
    api_key: str | None = field(default=None, repr=False)
    """For OpenAI None: no key is sent; the client's own is not meant for it."""
    quota_project: str | None = None
    """Which project pays for calls with credentials of another."""
    credentials: Credentials | None = field(default=None, repr=False)
    base_url: Endpoint | None = None
    """Of an OpenAI service, always."""

    @property
    def injects(self) -> bool:
        """Whether calls get credentials that the client does not have."""
        return self.api_key is not None if self.provider == "openai" else self.auth != "passthrough"

    @property
    def rewrites(self) -> bool:
        """Whether it answers OpenAI calls by rewriting them."""
        return self.provider == "vertex" and self.openai != "observe"


class Route(NamedTuple):
    """Which calls a service answers: globs, and None for any."""

    service: str
    base_path: str | None = None
    surface: str | None = None
    publisher: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Gateway:
    services: dict[str, Service]
    routes: tuple[Route, ...] = ()
    aliases: dict[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    """What lists of models have beside the upstream's own."""

    @property
    def default(self) -> Service:
        """What answers where no route matches."""
        return self.services[DEFAULT]

    @property
    def injects(self) -> bool:
        return any(service.injects for service in self.services.values())

    @property
    def base_paths(self) -> tuple[str, ...]:
        """Those of the routes that are one path, and no pattern of many."""
        paths = (route.base_path for route in self.routes if route.base_path and not _WILDCARD.search(route.base_path))
        return tuple(dict.fromkeys(paths))

    def service_for(self, *, base_path: str, surface: str, publisher: str | None, model: str | None) -> Service | None:
        """That of the first route that matches; what is not known matches no glob."""
        call = (base_path, surface, publisher, model)
        route = next((route for route in self.routes if all(map(_matches, route[1:], call))), None)
        return self.services[route.service] if route else None

    def may_serve(self, *, base_path: str, surface: str) -> bool:
        """Whether a route could match once publisher and model are known."""
        return any(all(map(_matches, route[1:3], (base_path, surface))) for route in self.routes)

    def named(self, model: str) -> str:
        """The model that an alias stands for; any other name is a model's own."""
        return self.aliases.get(model, model)


DEFAULT = "default"
"""The service that the options describe, unless the file has its own."""
OPENAI = "openai"
"""The service that `openai_endpoint` and `openai_api_key` describe, unless the file has its own."""
OPENAI_ROUTES = (
    Route(DEFAULT, surface="vertex", publisher="openai", model="*-maas"),
    Route(OPENAI, surface="vertex", publisher="openai", model="*"),
)
"""OpenAI's models on Vertex paths, but for those that Vertex has itself."""
_WILDCARD = re.compile(r"[*?\[]")


def _matches(glob: str | None, value: str | None) -> bool:
    return glob is None or (value is not None and fnmatchcase(value, glob))


DefaultCredentials = Callable[[], tuple[Credentials, str | None]]
"""Gives them and their project. Raises ValueError where there are none."""


def from_settings(settings: "Settings") -> Gateway:
    """What the options and the file describe. Raises ValueError where there are no application default
    credentials."""
    file = settings.gateway_config
    content = file.content if file else Content()
    default_credentials = functools.cache(_default_credentials)
    by_options = DescribedService.model_construct(
        auth=settings.vertex_auth,
        openai=settings.openai_mode,
        location=settings.vertex_location,
        project=settings.vertex_project,
        credentials=settings.vertex_credentials,
        api_key=settings.vertex_api_key or None,
    )
    services = {}
    for name, described in ({DEFAULT: by_options} | content.services).items():
        try:
            services[name] = described.service(name, default_credentials)
        except ValueError as e:
            if file and name in content.services:
                raise ValueError(file.told(("services", name, "auth"), str(e))) from e
            raise
    routes = tuple(Route(**dict(described)) for described in content.routes)
    if settings.openai_key and OPENAI not in services:
        services[OPENAI] = Service(OPENAI, "openai", api_key=settings.openai_key, base_url=settings.openai_endpoint)
        routes += OPENAI_ROUTES
    return Gateway(services, routes, content.aliases, content.models)


def _default_credentials() -> tuple[Credentials, str | None]:
    try:
        with warnings.catch_warnings():
            # That they are a user's, which is what the user wants.
            warnings.simplefilter("ignore")
            found, project = google.auth.default(scopes=[SCOPE])
    except Exception:
        # google-auth raises what it happens to meet in a file that is none of its own.
        if file := os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
            raise ValueError(
                f"{file} (GOOGLE_APPLICATION_CREDENTIALS) holds no application default credentials"
            ) from None
        raise ValueError(
            "there are no application default credentials here; run `gcloud auth application-default login`, or"
            " write service_account"
        ) from None
    return found, project


@dataclass(frozen=True, slots=True)
class Key:
    """The key file of a service account."""

    info: dict[str, str] = field(repr=False)

    @property
    def project(self) -> str | None:
        return self.info.get("project_id")


KEY_FIELDS = ("client_email", "private_key", "token_uri")
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_PROJECT = re.compile(r"(?:[a-z][a-z0-9.-]{1,61}:)?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def project(text: str) -> str:
    """A project's id or number. Raises ValueError: it becomes part of a path."""
    if not _PROJECT.fullmatch(text):
        raise ValueError("write the id of a Google Cloud project, such as my-project-123")
    return text


def location(text: str) -> str:
    """Raises ValueError: it becomes part of a host."""
    try:
        vertex_host(text)
    except ValueError:
        raise ValueError("write a location of Vertex AI, such as global or us-central1") from None
    return text


def api_key(text: str) -> str:
    """Raises ValueError, which does not quote it: it becomes part of a header."""
    if not re.fullmatch(r"[!-~]*", text):
        raise ValueError("holds what no API key has, such as a space or a line break; copy it again")
    return text


def key(path: Path) -> Key:
    """Reads a key file, and signs with it once. Raises ValueError, which quotes nothing of it."""
    try:
        info = json.loads(path.read_bytes())
    except OSError as e:
        raise ValueError(f"{path} cannot be read ({e.strerror}); name the JSON key of a service account") from e
    except ValueError as e:
        where = f" (line {e.lineno}, column {e.colno})" if isinstance(e, json.JSONDecodeError) else ""
        raise ValueError(f"{path} is not JSON{where}; download the key again") from None
    if not isinstance(info, dict):
        raise ValueError(f"{path} is no JSON object; download the key again")
    if info.get("type") not in (None, "service_account"):
        raise ValueError(f"{path} is no key of a service account; set vertex_auth=adc for other credentials")
    if missing := [name for name in KEY_FIELDS if not isinstance(info.get(name), str) or not info[name]]:
        raise ValueError(f"{path} lacks {', '.join(missing)}; download the key again")
    if info.get("project_id") is not None:
        try:
            project(info["project_id"])
        except (ValueError, TypeError):
            raise ValueError(f"{path}: its project_id is no project; download the key again") from None
    try:
        crypt.RSASigner.from_service_account_info(info).sign(b"vertex-tap")
    except Exception as e:
        # What is wrong with a PEM has many types, and messages that may quote it.
        raise ValueError(f"{path}: its private_key cannot sign; download the key again") from e
    return Key(info)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("write text")
    return value


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", text):
        raise ValueError("write names of letters, digits, dots, dashes and underscores")
    return text


def _model(text: str) -> str:
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


def _key_in_folder(value: object, info: ValidationInfo) -> Key:
    assert info.context
    try:
        return key(info.context["folder"] / Path(_text(value)).expanduser())
    except RuntimeError:
        raise ValueError("names the home of nobody; write another path") from None


def _from_environment(name: str) -> str:
    """Quotes neither: a key may stand where the name of its variable should."""
    if not (value := os.environ.get(name)):
        raise ValueError("the environment has no such variable, or it is empty; write the name of one that holds a key")
    return api_key(value)


_Name = Annotated[str, AfterValidator(_name)]
_Model = Annotated[str, AfterValidator(_model)]
_Glob = Annotated[str, Field(min_length=1)]
_Project = Annotated[str, AfterValidator(project)]
_Location = Annotated[str, AfterValidator(location)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @classmethod
    def names(cls) -> list[str]:
        return [field.alias or name for name, field in cls.model_fields.items()]


class DescribedService(_Section):
    provider: Provider = "vertex"
    auth: Auth = "passthrough"
    credentials: Annotated[Key, BeforeValidator(_key_in_folder)] | None = None
    api_key: Annotated[str, AfterValidator(_from_environment)] | None = Field(
        default=None, alias="api_key_env", repr=False
    )
    project: _Project | None = None
    location: _Location = "global"
    openai: Mode = "convert"
    base_url: Annotated[Endpoint, BeforeValidator(endpoint), BeforeValidator(_text)] | None = None

    @property
    def injects(self) -> bool:
        return self.api_key is not None or self.auth != "passthrough"

    def service(self, name: str, default_credentials: DefaultCredentials) -> Service:
        """Raises ValueError where there are no application default credentials."""
        if self.provider == "openai":
            return Service(name, "openai", api_key=self.api_key, base_url=self.base_url)
        project, credentials = self.project, None
        if self.auth == "service_account" and self.credentials:
            project = project or self.credentials.project
            credentials = service_account.Credentials.from_service_account_info(self.credentials.info, scopes=[SCOPE])
        elif self.auth == "adc":
            credentials, theirs = default_credentials()
            project = project or theirs
        return Service(
            name,
            "vertex",
            self.auth,
            self.openai,
            self.location,
            project,
            self.api_key if self.auth == "express" else None,
            getattr(credentials, "quota_project_id", None),
            credentials,
        )


class DescribedRoute(_Section):
    service: str
    base_path: Annotated[str, AfterValidator(_base_path_glob)] | None = None
    surface: Annotated[str, AfterValidator(_surface_glob)] | None = None
    publisher: _Glob | None = None
    model: _Glob | None = None


class Content(_Section):
    """What a file may hold."""

    services: dict[_Name, DescribedService] = {}
    routes: tuple[DescribedRoute, ...] = ()
    aliases: dict[_Model, _Model] = {}
    models: tuple[_Model, ...] = ()


_SECTIONS: dict[object, type[_Section]] = {"services": DescribedService, "routes": DescribedRoute}
_VERTEX = frozenset({"passthrough", "service_account", "adc", "express"})
_NEEDS = {"openai": "base_url", "service_account": "credentials", "express": "api_key_env"}
"""`auth`, or the provider openai -> what such a service cannot do without."""
_ONLY = {
    "auth": (_VERTEX, "provider: vertex"),
    "project": (_VERTEX, "provider: vertex"),
    "location": (_VERTEX, "provider: vertex"),
    "openai": (_VERTEX, "provider: vertex"),
    "credentials": ({"service_account"}, "auth: service_account"),
    "api_key_env": ({"express", "openai"}, "auth: express and provider: openai"),
    "base_url": ({"openai"}, "provider: openai"),
}
"""Key of a service -> which services can have it, and how to say so."""
_LATER = "is not served yet; leave it out"
_REFUSED = {
    "fallback": _LATER,
    "clients": _LATER,
    "limits": _LATER,
    "api_key": "keys are never in the file; write api_key_env and the name of an environment variable that holds it",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file that is right."""

    path: Path
    content: Content
    line: Callable[[Location], int] = field(repr=False)

    @property
    def injects(self) -> bool:
        return any(described.injects for described in self.content.services.values())

    def told(self, location: Location, text: str) -> str:
        return _told(self.path, Problem(self.line(location), location, text))


class FileProblems(ValueError):
    """What is wrong with a file, all of it. The messages quote no values."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def read_file(path: Path, known: Iterable[str] = (DEFAULT,)) -> File:
    """`known` are services that the file need not describe. Raises FileProblems."""
    try:
        document = yaml_document.parse(path.expanduser().read_bytes())
    except RuntimeError:
        raise FileProblems([f"{path} names the home of nobody; write another path"]) from None
    except OSError as e:
        raise FileProblems([f"{path} cannot be read ({e.strerror}); name a YAML file"]) from e
    problems, content = document.problems, Content()
    if document.data is not None:
        try:
            content = Content.model_validate(document.data, context={"folder": path.expanduser().parent})
        except ValidationError as e:
            problems += [Problem(document.line(error["loc"]), error["loc"], _misfit(error)) for error in e.errors()]
        problems += [Problem(document.line(at), at, text) for at, text in _contradictions(document.data, known)]
    if problems:
        raise FileProblems([_told(path, problem) for problem in sorted(problems, key=itemgetter(0))])
    return File(path, content, document.line)


def _told(path: Path, problem: Problem) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem.location if step != "[key]")
    where = "".join(steps).removeprefix(".")
    return f"{path}:{problem.line}: {where + ': ' if where else ''}{problem.text}"


def _contradictions(data: Data, known: Iterable[str]) -> Iterator[tuple[Location, str]]:
    """What is wrong with members that are right by themselves."""
    services = _mapping(data, "services")
    for name, described in services.items():
        if isinstance(described, dict):
            for inside, text in _unfit(described):
                yield ("services", name, *inside), text
    routes = data.get("routes") if isinstance(data, dict) else None
    names = dict.fromkeys((*services, *known))
    for place, route in enumerate(routes if isinstance(routes, list) else ()):
        service = route.get("service") if isinstance(route, dict) else None
        if isinstance(service, str) and service not in names:
            yield ("routes", place, "service"), f"there is no such service{suggestion(service, names)}"
    aliases = _mapping(data, "aliases")
    for name, model in aliases.items():
        if isinstance(model, str) and aliases.get(model, model) != model:
            yield ("aliases", name), "is an alias of an alias; name the model itself"


def _mapping(data: Data, name: str) -> dict[str, Data]:
    value = data.get(name) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def _unfit(described: dict[str, Data]) -> Iterator[tuple[Location, str]]:
    """What a service has and cannot have, or has not and must."""
    kind = described.get("auth", "passthrough")
    if described.get("provider", "vertex") != "vertex":
        kind = described["provider"]
    if not isinstance(kind, str) or kind not in _VERTEX | {"openai"}:
        return
    if (needed := _NEEDS.get(kind)) and needed not in described:
        yield (), f"{needed} is missing, which {'provider' if kind == 'openai' else 'auth'}: {kind} needs"
    for name in described.keys() & _ONLY.keys():
        kinds, told = _ONLY[name]
        if kind not in kinds:
            yield (name,), f"is for {told}; leave it out"
    if kind == "express" and described.get("openai") == "compatible":
        yield ("openai",), "Vertex's OpenAI endpoint takes no API keys; write convert, or another auth"


def _misfit(error: ErrorDetails) -> str:
    if error["type"] != "extra_forbidden":
        return problem(error)
    *above, name = error["loc"]
    section = _SECTIONS[above[0]] if above else Content
    return _REFUSED.get(str(name)) or f"there is no such key{suggestion(str(name), section.names())}"


def suggestion(name: str, names: Iterable[str]) -> str:
    """What to type instead of a name that is none of `names`."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"


_SHAPES = {
    "missing": "is missing",
    "string_type": "write text",
    "string_too_short": "write text, or leave it out",
    "dict_type": "write names and values, such as {name: value}",
    "model_type": "write names and values, such as {name: value}",
    "tuple_type": "write a list, such as [first, second]",
}


def problem(error: ErrorDetails) -> str:
    """An error of pydantic's as what to type instead."""
    message = error["msg"].removeprefix("Value error, ")
    return _SHAPES.get(error["type"]) or re.sub(r"^Input should be (.*)$", r"write \1", message)
