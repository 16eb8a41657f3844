"""Which service answers a call, and where its request goes."""

from mitmproxy import http
from mitmproxy.proxy import mode_specs

from addons import services
from addons.classify import Classify
from addons.classify import Exchange
from addons.classify import fails_closed
from addons.error_pages import error_response
from addons.options import Endpoint
from addons.options import Options
from addons.options import Settings
from addons.services import Service
from metering.call import ErrorType
from metering.paths import GEMINI_HOST
from metering.paths import Target
from metering.paths import api_of
from metering.paths import parse
from metering.paths import vertex_host

LOST_MODEL = (
    "The request has no path, and so no model: google-genai sends it like this when it has a base_url but neither"
    " an API key nor a project. Give genai.Client api_key=..., or project=... and location=... (or set"
    " GOOGLE_API_KEY, or GOOGLE_CLOUD_PROJECT and GOOGLE_CLOUD_LOCATION)."
)


class Route:
    """Sends the calls of reverse mode on their way; in forward mode the client has decided."""

    def __init__(self, options: Options, classify: Classify) -> None:
        self._options = options
        self.exchanges = classify.exchanges

    @fails_closed
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if not exchange or flow.error or flow.response:
            return
        request = flow.request
        mode = flow.client_conn.proxy_mode
        if isinstance(mode, mode_specs.ReverseMode):
            try:
                self._send_on(request, exchange, Endpoint(mode.scheme, mode.address[0], mode.address[1], ""))
            except ValueError as e:
                exchange.refuse(flow, error_response(400, str(e)), ErrorType.BAD_REQUEST)
                return
        if not exchange.is_rewritten:
            exchange.call.upstream_host = request.host
            exchange.call.upstream_path = request.path.partition("?")[0]

    def _send_on(self, request: http.Request, exchange: Exchange, named: Endpoint) -> None:
        """A `reverse:` target of the user's own is taken at its word for every path; among Google's hosts the
        path decides, and OpenAI's paths go to OpenAI, or are rewritten. Raises ValueError."""
        settings, service = self._options.settings, self._options.service
        target, path = exchange.target, exchange.path
        if not target and path in ("", "/") and _wants_a_model(request):
            raise ValueError(LOST_MODEL)
        to_google = api_of(named.host) in ("vertex", "gemini")
        upstream = named
        exchange.call.service = service.name
        if target and target.api == "openai" and service.rewrites:
            exchange.service, exchange.is_rewritten = service, True
            # Where it goes is known when it is rewritten. Until then it can go nowhere, whatever happens.
            upstream = NOWHERE
        elif target and target.api == "openai":
            exchange.call.service = "openai"
            if to_google or settings.names_openai_endpoint:
                upstream = settings.openai_endpoint
                path = path.removeprefix(target.base).removeprefix("/v1")
        elif target is None or target.api == "vertex":
            if target or api_of(named.host) != "gemini":
                exchange.service = service
            if service.injects and target:
                path = self._in_project(path, target, service)
                target = parse(request.method, path, "vertex") or target
                exchange.call.project = exchange.call.project or target.fields.get("project")
                exchange.call.location = exchange.call.location or target.fields.get("location")
            if target:
                location = target.fields.get("location") or _usual_location(service)
                upstream = settings.vertex_endpoint or vertex_endpoint(location, named)
        elif to_google:
            upstream = named._replace(host=GEMINI_HOST)
        go_to(request, upstream, path + _query(request))

    def _in_project(self, path: str, target: Target, service: Service) -> str:
        """The path with the project of our credentials, which paths that are meant for API keys leave out. Raises
        ValueError."""
        path = path.removeprefix(target.base).replace(*ALIAS)
        for name, check in (("location", services.location), ("project", services.project)):
            try:
                check(target.fields.get(name, "global"))
            except ValueError as e:
                raise ValueError(f"The {name} in the path is none: {e}.") from None
        if "rpc" in target.fields or "project" in target.fields or service.api_key or _is_catalogue(target):
            return path
        version = target.fields.get("version")
        rest = path.removeprefix(f"/{version}") if version else path
        return f"/{version or VERSION}{parent(service)}{rest}"


NOWHERE = Endpoint("https", "rewritten.invalid", 443, "")
"""RFC 6761: no such name is ever resolved."""
VERSION = "v1"
"""Of paths that we make."""
ALIAS = ("/publishers/googleVertexAI/", "/publishers/google/")


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
    return f"/projects/{services.project(project)}/locations/{services.location(location or service.location)}"


def vertex_upstream(flow: http.HTTPFlow, settings: Settings, location: str) -> Endpoint:
    """Where a call of ours goes: the endpoint that the user has named, else Google's host of the location."""
    mode = flow.client_conn.proxy_mode
    assert isinstance(mode, mode_specs.ReverseMode)
    return settings.vertex_endpoint or vertex_endpoint(location, Endpoint(mode.scheme, *mode.address, ""))


def vertex_endpoint(location: str | None, named: Endpoint) -> Endpoint:
    """Google's host of a location, if `named` is one of Google's; that itself where there is no location."""
    api = api_of(named.host)
    if api not in ("vertex", "gemini") or (location is None and api == "vertex"):
        return named
    try:
        return named._replace(host=vertex_host(location))
    except ValueError:
        return named


def _usual_location(service: Service) -> str | None:
    """Of paths that name none, such as those of Live: with credentials of ours the one that goes with them."""
    return service.location if service.credentials else None


def _is_catalogue(target: Target) -> bool:
    """Google's models are listed outside of all projects."""
    return target.publisher is not None and str(target.operation).startswith("models.")


def _wants_a_model(request: http.Request) -> bool:
    return request.method == "POST" or request.headers.get("upgrade", "").lower() == "websocket"


def _query(request: http.Request) -> str:
    _, mark, query = request.path.partition("?")
    return mark + query
