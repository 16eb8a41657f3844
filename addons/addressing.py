"""Addresses: which host a call goes to, by the `reverse:` target, the options and the location, and how a request is
sent there. What decides between them is in `route.py`."""

from mitmproxy import http
from mitmproxy.proxy import mode_specs

from addons.configuration import values
from addons.configuration.services import Service
from addons.configuration.settings import Settings
from addons.configuration.values import Endpoint
from metering.paths import api_of
from metering.paths import vertex_host

NOWHERE = Endpoint("https", "rewritten.invalid", 443, "")
"""The host of a call that can go nowhere yet. By RFC 6761 no name below `.invalid` is ever resolved."""
VERSION = "v1"
"""The version in the paths that we make, such as `/v1/projects/...`."""
ALIAS = ("/publishers/googleVertexAI/", "/publishers/google/")
"""A name that some clients give to Google as a publisher, and the one that Vertex AI takes."""


def go_to(request: http.Request, upstream: Endpoint, path: str) -> None:
    """Send a request to an endpoint; `path` is with its query."""
    request.scheme, request.port = upstream.scheme, upstream.port
    request.host = upstream.host
    if not request.is_http2:
        # Of an absolute-form target: the client has no say in this.
        request.authority = ""
    request.path = upstream.path + path


def parent(service: Service, project: str | None = None, location: str | None = None) -> str:
    """`/projects/.../locations/...` of a service. Raises ValueError if no project is known."""
    project = project or service.project
    if not project:
        raise ValueError("No Google Cloud project is known: set vertex_project.")
    return f"/projects/{values.project(project)}/locations/{values.location(location or service.location)}"


def vertex_upstream(flow: http.HTTPFlow, settings: Settings, location: str) -> Endpoint:
    """Where a call of ours goes: the endpoint that the user has named, else Google's host of the location."""
    named = reverse_target(flow)
    assert named
    return settings.vertex_endpoint or vertex_endpoint(location, named)


def is_google(named: Endpoint) -> bool:
    """Whether it is a host of Vertex AI's or the Gemini API's."""
    return api_of(named.host) in ("vertex", "gemini")


def vertex_endpoint(location: str | None, named: Endpoint) -> Endpoint:
    """Google's host of a location, if `named` is one of Google's; that itself where there is no location."""
    if not is_google(named) or (location is None and api_of(named.host) == "vertex"):
        return named
    try:
        return named._replace(host=vertex_host(location))
    except ValueError:
        return named


def reverse_target(flow: http.HTTPFlow) -> Endpoint | None:
    """The `reverse:` target; None in forward mode."""
    mode = flow.client_conn.proxy_mode
    return Endpoint(mode.scheme, *mode.address, "") if isinstance(mode, mode_specs.ReverseMode) else None


def query_of(request: http.Request) -> str:
    """The query with its `?`; empty without one."""
    _, mark, query = request.path.partition("?")
    return mark + query


NOT_TRUSTED = "The upstream is not a Google host with TLS, so nothing was sent."


def may_have_credentials(flow: http.HTTPFlow, settings: Settings) -> bool:
    """Whether a request goes to Vertex AI over TLS, or to where the user wants Vertex calls to go."""
    request, mode = flow.request, flow.client_conn.proxy_mode
    if api_of(request.host):
        return request.scheme == "https" and api_of(request.host) == "vertex"
    named = [settings.vertex_endpoint and settings.vertex_endpoint[1:3]]
    named += [mode.address] if isinstance(mode, mode_specs.ReverseMode) else []
    return (request.host, request.port) in named
