"""Which service answers a call, and where its request goes."""

from mitmproxy import http
from mitmproxy.proxy import mode_specs

from addons.classify import Classify
from addons.classify import Exchange
from addons.error_pages import error_response
from addons.options import Endpoint
from addons.options import Options
from metering.call import ErrorType
from metering.paths import GEMINI_HOST
from metering.paths import Target
from metering.paths import api_of
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
        self._classify = classify

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        exchange = self._classify.exchanges.get(flow)
        if not exchange or flow.error:
            return
        request = flow.request
        mode = flow.client_conn.proxy_mode
        if isinstance(mode, mode_specs.ReverseMode):
            if not exchange.target and exchange.path in ("", "/") and _wants_a_model(request):
                exchange.refuse(flow, error_response(400, LOST_MODEL), ErrorType.BAD_REQUEST)
                return
            self._send_on(request, exchange, Endpoint(mode.scheme, mode.address[0], mode.address[1], ""))
        exchange.call.upstream_host = request.host
        exchange.call.upstream_path = request.path.partition("?")[0]

    def _send_on(self, request: http.Request, exchange: Exchange, named: Endpoint) -> None:
        """A `reverse:` target of the user's own is taken at its word for every path; among Google's hosts the
        path decides, and OpenAI's paths go to OpenAI."""
        settings, target, path = self._options.settings, exchange.target, exchange.path
        to_google = api_of(named.host) in ("vertex", "gemini")
        upstream = named
        exchange.call.service = "default"
        if target and target.api == "openai":
            exchange.call.service = "openai"
            if to_google or settings.names_openai_endpoint:
                upstream = settings.openai_endpoint
                path = path.removeprefix(target.base).removeprefix("/v1")
        elif target and target.api == "vertex" and settings.vertex_endpoint:
            upstream = settings.vertex_endpoint
        elif target and to_google:
            upstream = named._replace(host=_google_host(target, named.host))
        request.scheme, request.port = upstream.scheme, upstream.port
        request.host = upstream.host
        request.path = upstream.path + path + _query(request)


def _google_host(target: Target, named: str) -> str:
    if target.api == "gemini":
        return GEMINI_HOST
    location = target.fields.get("location")
    if location is None and api_of(named) == "vertex":
        return named
    try:
        return vertex_host(location)
    except ValueError:
        return named


def _wants_a_model(request: http.Request) -> bool:
    return request.method == "POST" or request.headers.get("upgrade", "").lower() == "websocket"


def _query(request: http.Request) -> str:
    _, mark, query = request.path.partition("?")
    return mark + query
