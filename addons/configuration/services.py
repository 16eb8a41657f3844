"""What can answer a call: services, the routes that choose among them, model aliases and model names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Literal
from typing import NamedTuple

from addons.configuration.clients import Callers
from addons.configuration.limits import Storage
from addons.configuration.values import Endpoint
from addons.tokens import TokenSource

Provider = Literal["vertex", "openai"]
Auth = Literal["passthrough", "service_account", "adc", "express"]
OpenAiMode = Literal["observe", "convert", "compatible"]
"""What happens to OpenAI calls: `observe` passes them on, `convert` converts them to Vertex's native API, `compatible`
sends them to Vertex's OpenAI endpoint."""


REWRITING: Mapping[str, frozenset[OpenAiMode]] = {
    "openai": frozenset({"convert", "compatible"}),
    "anthropic": frozenset({"convert"}),
}
"""Surface -> the modes in which its calls are rewritten."""


@dataclass(frozen=True, slots=True)
class Service:
    """A Vertex AI project, with the proxy's credentials or the client's, or an API that is compatible with OpenAI's."""

    name: str
    provider: Provider = "vertex"
    auth: Auth = "passthrough"
    openai: OpenAiMode = "observe"
    location: str = "global"
    project: str | None = None
    api_key: str | None = field(default=None, repr=False)
    """For a service of the provider `openai`, None means that no key is sent, not even the client's own."""
    quota_project: str | None = None
    """The project that is billed, if it is not the one that owns the credentials."""
    tokens: TokenSource | None = field(default=None, repr=False)
    """Where its access tokens come from, if it has Google credentials. It has the latest token, and so it changes."""
    base_url: Endpoint | None = None
    """The URL of an OpenAI service; None for Vertex AI."""
    timeout: float | None = None
    """Seconds from the request to the first byte of the answer; None: no limit."""

    @property
    def injects(self) -> bool:
        """Whether this service adds credentials that the client does not have."""
        return self.api_key is not None if self.provider == "openai" else self.auth != "passthrough"

    def rewrites(self, surface: str) -> bool:
        """Whether this service answers the calls of a surface (`openai`, `anthropic`) by rewriting them."""
        return self.provider == "vertex" and self.openai in REWRITING[surface]


class Candidate(NamedTuple):
    """A service that may answer a call."""

    service: str
    """The name of the service."""
    model: str | None = None
    """The model that it is asked for, whatever model the client names. None: that of the client."""
    is_elsewhere: bool = False
    """Whether the route's own service is another one."""


class ServiceRoute(NamedTuple):
    """The calls that a service answers. Each criterion is a glob such as `gemini-*`, or None for anything."""

    service: str
    """The name of the service."""
    base_path: str | None = None
    surface: str | None = None
    publisher: str | None = None
    model: str | None = None
    client: str | None = None
    served_as: str | None = None
    """The model that the service is asked for, whatever model the client names. None: that of the client."""
    fallback: tuple[Candidate, ...] = ()
    """What may answer if the service does not, in this order."""

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """All that may answer, the service itself first."""
        others = (one._replace(is_elsewhere=one.service != self.service) for one in self.fallback)
        return (Candidate(self.service, self.served_as), *others)


@dataclass(frozen=True, slots=True)
class Gateway:
    """All services, and the rules for which of them answers a call. Its mappings are read-only copies."""

    services: Mapping[str, Service]
    """Service name -> service. There is always one named `default`."""
    routes: tuple[ServiceRoute, ...] = ()
    """The first route that matches a call decides which service answers."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Alias -> the model that it stands for."""
    models: tuple[str, ...] = ()
    """Model names that are added to the upstream's own list of models."""
    callers: Callers = field(default_factory=Callers)
    """Who may call."""
    has_default: bool = True
    """Whether the service `default` answers calls that no route matches. If not, they are refused."""
    limits: Storage = field(default_factory=Storage)
    """Where it is counted what clients use."""

    def __post_init__(self) -> None:
        for name in ("services", "aliases"):
            # A frozen dataclass can set its own fields only like this.
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def default(self) -> Service:
        """The service for calls that no route matches."""
        return self.services[DEFAULT]

    @property
    def injects(self) -> bool:
        """Whether any service adds credentials that the client does not have."""
        return any(service.injects for service in self.services.values())

    @property
    def only_names_callers(self) -> bool:
        """Whether the file says who may call, and nothing about what answers."""
        answers = self.routes or self.aliases or self.models or self.services.keys() - {DEFAULT, OPENAI}
        return not answers and (bool(self.callers.clients) or self.callers.allow_from is not None)

    @property
    def base_paths(self) -> tuple[str, ...]:
        """The base paths of all routes, except those with wildcards."""
        paths = (route.base_path for route in self.routes if route.base_path and not _WILDCARD.search(route.base_path))
        return tuple(dict.fromkeys(paths))

    def route_for(
        self, *, base_path: str, surface: str, publisher: str | None, model: str | None, client: str | None = None
    ) -> ServiceRoute | None:
        """The first route that matches; None if there is none. A publisher or model that is not known yet (None)
        matches no glob, and neither does a call that is of no client."""
        call = (base_path, surface, publisher, model, client)
        return next((route for route in self.routes if all(map(_matches, route[1:6], call))), None)

    def may_serve(self, *, base_path: str, surface: str) -> bool:
        """Whether any route could match once the publisher and the model are known."""
        return any(all(map(_matches, route[1:3], (base_path, surface))) for route in self.routes)

    def with_tokens_of(self, earlier: "Gateway") -> "Gateway":
        """The same gateway, whose services keep the access tokens that they had in an earlier one, if they may."""
        services = {}
        for name, service in self.services.items():
            before = earlier.services.get(name)
            if service.tokens and before and before.tokens:
                service = replace(service, tokens=service.tokens.taking_over(before.tokens))
            services[name] = service
        return replace(self, services=services)

    def named(self, model: str) -> str:
        """The model that an alias stands for; any other name is returned unchanged."""
        return self.aliases.get(model, model)


DEFAULT = "default"
"""The name of the service that the options describe, unless the file describes one of this name."""
OPENAI = "openai"
"""The name of the service that `openai_endpoint` and `openai_api_key` describe, unless the file describes it."""
OPENAI_ROUTES = (
    ServiceRoute(DEFAULT, surface="vertex", publisher="openai", model="*-maas"),
    ServiceRoute(OPENAI, surface="vertex", publisher="openai", model="*"),
)
"""Routes for OpenAI's models on Vertex paths: Vertex itself serves those named `*-maas`, OpenAI all others."""
_WILDCARD = re.compile(r"[*?\[]")


def _matches(glob: str | None, value: str | None) -> bool:
    return glob is None or (value is not None and fnmatchcase(value, glob))
