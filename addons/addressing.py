"""Which host a call goes to, given the `reverse:` target, the options and the location; and how a request is redirected
there. `route.py` chooses between these hosts."""

from mitmproxy import http
from mitmproxy.proxy import mode_specs

from addons.configuration import values
from addons.configuration.services import Service
from addons.configuration.settings import Settings
from addons.configuration.values import Endpoint
from metering.hosts import api_of
from metering.hosts import is_by_location
from metering.hosts import vertex_host
from metering.local import is_loopback

NOWHERE = Endpoint("https", "rewritten.invalid", 443, "")
"""The placeholder upstream of a call whose real one is not known yet. Names below `.invalid` never resolve (RFC
6761)."""
VERSION = "v1"
"""The API version in the paths that this proxy builds, such as `/v1/projects/...`."""
ALIAS = ("/publishers/googleVertexAI/", "/publishers/google/")
"""A publisher name that some clients use for Google, and the one that Vertex AI accepts."""


def go_to(request: http.Request, upstream: Endpoint, path: str) -> None:
    """Point a request at an endpoint; `path` includes the query, and is appended to the endpoint's path."""
    request.scheme, request.port = upstream.scheme, upstream.port
    request.host = upstream.host
    if not request.is_http2:
        # The host of a request target in absolute form must not override the upstream.
        request.authority = ""
    request.path = upstream.path + path


def parent(service: Service, project: str | None = None, location: str | None = None) -> str:
    """The path `/projects/.../locations/...` for a service; `project` and `location` override the service's own. Raises
    ValueError if no project is known."""
    project = project or service.project
    if not project:
        raise ValueError("No Google Cloud project is known: set vertex_project.")
    return f"/projects/{values.project(project)}/locations/{values.location(location or service.location)}"


def vertex_upstream(flow: http.HTTPFlow, settings: Settings, location: str) -> Endpoint:
    """The upstream of a call that this proxy builds: `vertex_endpoint` if set, otherwise Google's host for the
    location."""
    named = reverse_target(flow)
    assert named
    return settings.vertex_endpoint or vertex_endpoint(location, named)


def is_google(named: Endpoint) -> bool:
    """Whether the endpoint is a host of Vertex AI or of the Gemini API."""
    return api_of(named.host) in ("vertex", "gemini")


def vertex_endpoint(location: str | None, named: Endpoint) -> Endpoint:
    """The Vertex AI host for a location, if `named` is one of Google's public hosts. `named` itself if it is not, if
    the location is invalid, or if there is none and `named` is a host of Vertex AI."""
    if not is_by_location(named.host) or (location is None and api_of(named.host) == "vertex"):
        return named
    try:
        return named._replace(host=vertex_host(location))
    except ValueError:
        return named


def reverse_target(flow: http.HTTPFlow) -> Endpoint | None:
    """The endpoint that `--mode reverse:...` names; None in forward mode."""
    mode = flow.client_conn.proxy_mode
    return Endpoint(mode.scheme, *mode.address, "") if isinstance(mode, mode_specs.ReverseMode) else None


def names_listener(flow: http.HTTPFlow) -> bool:
    """Whether a request in forward mode asks for this proxy's own address, as clients do whose base URL it is."""
    request, at = flow.request, flow.client_conn.sockname
    is_here = request.host == at[0] or is_loopback(request.host)
    return reverse_target(flow) is None and request.port == at[1] and is_here


def query_of(request: http.Request) -> str:
    """The query of a request, including its `?`; empty if it has none."""
    _, mark, query = request.path.partition("?")
    return mark + query


NOT_TRUSTED = "The upstream is not a Google host with TLS, so nothing was sent."


def may_have_credentials(flow: http.HTTPFlow, settings: Settings) -> bool:
    """Whether a request may carry the proxy's credentials: it goes to Vertex AI over TLS, to `vertex_endpoint`, or to a
    `reverse:` target that is not one of the known APIs."""
    request, mode = flow.request, flow.client_conn.proxy_mode
    if api_of(request.host):
        return request.scheme == "https" and api_of(request.host) == "vertex"
    named = [settings.vertex_endpoint and settings.vertex_endpoint[1:3]]
    named += [mode.address] if isinstance(mode, mode_specs.ReverseMode) else []
    return (request.host, request.port) in named
