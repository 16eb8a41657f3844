"""What can answer a call: services, the routes that choose among them, aliases and names of models."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Literal
from typing import NamedTuple

from google.auth.credentials import Credentials

from addons.configuration.values import Endpoint

Provider = Literal["vertex", "openai"]
Auth = Literal["passthrough", "service_account", "adc", "express"]
OpenAiMode = Literal["observe", "convert", "compatible"]
"""What becomes of OpenAI calls that Vertex is to answer."""


@dataclass(frozen=True, slots=True)
class Service:
    """A Vertex project with credentials of ours or of the client's, or an API that speaks as OpenAI's."""

    name: str
    provider: Provider = "vertex"
    auth: Auth = "passthrough"
    openai: OpenAiMode = "observe"
    location: str = "global"
    project: str | None = None
    api_key: str | None = field(default=None, repr=False)
    """For OpenAI None: no key is sent; the client's own is not meant for it."""
    quota_project: str | None = None
    """The project that pays for calls, where that is not the one that owns the credentials."""
    credentials: Credentials | None = field(default=None, repr=False)
    """Google-auth's. It keeps its last token in them, so they change, but never whose they are."""
    base_url: Endpoint | None = None
    """Where an OpenAI service is; None for Vertex AI."""

    @property
    def injects(self) -> bool:
        """Whether calls get credentials that the client does not have."""
        return self.api_key is not None if self.provider == "openai" else self.auth != "passthrough"

    @property
    def rewrites(self) -> bool:
        """Whether it answers OpenAI calls by rewriting them."""
        return self.provider == "vertex" and self.openai != "observe"


class ServiceRoute(NamedTuple):
    """Which calls a service answers: globs such as `gemini-*`, and None for any."""

    service: str
    """Its name."""
    base_path: str | None = None
    surface: str | None = None
    publisher: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Gateway:
    """All services, and which of them answers which call. Its mappings are copied, and read-only."""

    services: Mapping[str, Service]
    """Name -> service. There is always one named `default`."""
    routes: tuple[ServiceRoute, ...] = ()
    """The first that matches a call chooses its service."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """A name that clients use -> the model that it stands for."""
    models: tuple[str, ...] = ()
    """Names that lists of models have beside the upstream's own."""

    def __post_init__(self) -> None:
        for name in ("services", "aliases"):
            # A frozen object's only way to set its own fields.
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def default(self) -> Service:
        """What answers where no route matches."""
        return self.services[DEFAULT]

    @property
    def injects(self) -> bool:
        """Whether any service gives calls credentials that the client does not have."""
        return any(service.injects for service in self.services.values())

    @property
    def base_paths(self) -> tuple[str, ...]:
        """The base paths of routes that are one path, and no pattern of many."""
        paths = (route.base_path for route in self.routes if route.base_path and not _WILDCARD.search(route.base_path))
        return tuple(dict.fromkeys(paths))

    def service_for(self, *, base_path: str, surface: str, publisher: str | None, model: str | None) -> Service | None:
        """The service of the first route that matches. A publisher or model of None, not known yet, matches no glob."""
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
    ServiceRoute(DEFAULT, surface="vertex", publisher="openai", model="*-maas"),
    ServiceRoute(OPENAI, surface="vertex", publisher="openai", model="*"),
)
"""OpenAI's models on Vertex paths, but for those that Vertex has itself."""
_WILDCARD = re.compile(r"[*?\[]")


def _matches(glob: str | None, value: str | None) -> bool:
    return glob is None or (value is not None and fnmatchcase(value, glob))
