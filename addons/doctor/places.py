"""Which hosts are in use: those that calls go to, those that mint access tokens, and the store of limits."""

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from mitmproxy.proxy import mode_specs
from requests.utils import get_environ_proxies
from requests.utils import select_proxy

from addons.addressing import vertex_endpoint
from addons.configuration.services import Service
from addons.configuration.values import Endpoint
from addons.configuration.values import endpoint
from addons.doctor.accounts import token_uri_of
from addons.doctor.projects import LOCATION
from addons.doctor.projects import of_vertex
from addons.doctor.projects import option_of
from addons.doctor.setup import Setup
from metering.hosts import is_by_location

GOOGLE = Endpoint("https", "aiplatform.googleapis.com", 443, "")
"""Where calls go that are not of reverse mode: clients choose the host themselves, and most choose this one."""
USUAL_PORT = 6379
"""Where a Redis or Valkey server listens if its URL does not say."""


class Place(NamedTuple):
    """A host in use."""

    at: Endpoint
    named_in: str
    """Where a user changes it, such as `openai_endpoint`."""
    of_google_auth: bool = False
    """Whether google-auth connects to it, which follows other variables than mitmproxy does."""

    @property
    def host(self) -> str:
        return self.at.host

    @property
    def speaks_http(self) -> bool:
        """Whether requests of HTTP may be sent there. A store takes none."""
        return self.at.scheme in ("http", "https")


def places(setup: Setup) -> Iterator[Place]:
    """Each host in use once."""
    seen = set()
    for place in _all_places(setup):
        if place.at[:3] not in seen:
            seen.add(place.at[:3])
            yield place


def _all_places(setup: Setup) -> Iterator[Place]:
    for mode in setup.modes:
        if isinstance(mode, mode_specs.UpstreamMode):
            yield Place(Endpoint(mode.scheme, *mode.address, ""), "mode")
    for service in of_vertex(setup):
        if at := upstream_of(setup, service):
            yield Place(at, _named_in(setup, service, at))
    if setup.settings.names_openai_endpoint and setup.reverse:
        yield Place(setup.settings.openai_endpoint, "openai_endpoint")
    for service in setup.services.values():
        if service.base_url:
            is_of_file = service.name in setup.in_file
            yield Place(service.base_url, option_of(setup, service, "base_url") if is_of_file else "openai_endpoint")
        if token_uri := token_uri_of(service):
            yield from _of_tokens(token_uri, service)
    if setup.storage.url:
        url = urlsplit(setup.storage.url)
        at = Endpoint(url.scheme, url.hostname or "", url.port or USUAL_PORT, "")
        yield Place(at, f"limits.storage in {setup.given['gateway_config']}")


def upstream_of(setup: Setup, service: Service) -> Endpoint | None:
    """Where calls of a service of Vertex AI go; None if another proxy connects to it."""
    if setup.settings.vertex_endpoint:
        return setup.settings.vertex_endpoint
    if any(isinstance(mode, mode_specs.UpstreamMode) for mode in setup.modes):
        return None
    mode = next((mode for mode in setup.reverse if mode.scheme in ("http", "https")), None)
    return vertex_endpoint(service.location, Endpoint(mode.scheme, *mode.address, "") if mode else GOOGLE)


def _named_in(setup: Setup, service: Service, at: Endpoint) -> str:
    """What a user changes to have the calls of a service go elsewhere."""
    if setup.settings.vertex_endpoint:
        return "vertex_endpoint"
    return option_of(setup, service, LOCATION) if is_by_location(at.host) else "mode"


def _of_tokens(token_uri: str, service: Service) -> Iterator[Place]:
    """The host that mints access tokens, or the HTTP proxy through which google-auth asks it."""
    try:
        at = endpoint(token_uri)._replace(path="")
    except ValueError:
        return
    if proxy := proxy_for(token_uri):
        try:
            url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            yield Place(Endpoint("http", url.hostname or "", url.port or 80, ""), "HTTPS_PROXY", True)
        except ValueError:
            # `proxies.py` tells it.
            return
    else:
        yield Place(at, f"token_uri of the credentials of {service.name}", True)


def proxy_for(url: str) -> str | None:
    """The HTTP proxy through which google-auth sends a request, as the variables have it."""
    found: str | None = select_proxy(url, get_environ_proxies(url))
    return found
