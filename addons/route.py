"""Which service answers a call, and where its request goes."""

import re
from urllib.parse import quote

from mitmproxy import http
from mitmproxy.proxy import mode_specs

from addons import keys
from addons.classify import LIKE_OPENAI
from addons.classify import Classify
from addons.classify import Exchange
from addons.classify import fails_closed
from addons.configuration import values
from addons.configuration.services import Service
from addons.configuration.settings import Settings
from addons.configuration.values import Endpoint
from addons.translation import conversions
from addons.translation import videos
from addons.translation.conversation import Failure
from addons.translation.conversation import InvalidRequest
from addons.translation.conversation import refusal
from addons.translation.publishers import bare
from addons.upstream import content_of
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


UNKNOWN = (
    "This path is none of Vertex AI's, and none of OpenAI's that are known here. OpenAI's are below /v1, such as"
    " /v1/chat/completions."
)
_VERTEX = re.compile(r"/(?:projects|publishers)/")
NO_MESSAGES = (
    "Anthropic's Messages API is not served here. Claude on Vertex AI answers on its own paths: set"
    " CLAUDE_CODE_USE_VERTEX=1, or use AnthropicVertex."
)
OF_ANOTHER = (
    "This call has a credential of {issuer}, and its path leads to {host}, which may not see it. Nothing was sent. Send"
    " the credential that belongs to the path, or ask on a path of its own API."
)


class Route:
    """Sends the calls of reverse mode on their way; in forward mode the client has decided."""

    def __init__(self, classify: Classify) -> None:
        self.exchanges = classify.exchanges

    @fails_closed
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if not exchange or flow.error or flow.response:
            return
        if named := _named(flow):
            try:
                self._send_on(flow.request, exchange, named)
            except InvalidRequest as e:
                exchange.refuse(flow, Failure(e.status, e.message, "UNKNOWN_URL"), ErrorType.BAD_REQUEST)
                return
            except ValueError as e:
                exchange.refuse(flow, refusal(400, str(e)), ErrorType.BAD_REQUEST)
                return
            if problem := self._misled(flow.request, exchange, named):
                exchange.refuse(flow, refusal(400, problem), ErrorType.BAD_REQUEST)
                return
        _note_upstream(flow.request, exchange)

    @fails_closed
    def request(self, flow: http.HTTPFlow) -> None:
        """Which service answers an OpenAI call, its body tells."""
        exchange, named = self.exchanges.get(flow), _named(flow)
        if not exchange or not named or not exchange.is_rewritten or exchange.service or flow.response or flow.error:
            return
        model, gateway = self._model_in(flow.request, exchange), exchange.configuration.gateway
        service = self._service_of(exchange, model) or gateway.default
        if service.provider == "openai" or service.rewrites:
            exchange.service, exchange.call.service = service, service.name
        else:
            exchange.is_rewritten = False
            self._pass_on(flow.request, exchange, named)
            if problem := self._misled(flow.request, exchange, named):
                exchange.refuse(flow, refusal(400, problem), ErrorType.BAD_REQUEST)
                return
            _note_upstream(flow.request, exchange)

    def _send_on(self, request: http.Request, exchange: Exchange, named: Endpoint) -> None:
        """A `reverse:` target of the user's own is taken at its word for every path; among Google's hosts the
        path decides, and OpenAI's paths go to OpenAI, or are rewritten. Raises ValueError, InvalidRequest."""
        settings, gateway = exchange.configuration
        target, path = exchange.target, exchange.path
        if not target and path in ("", "/") and _wants_a_model(request):
            raise ValueError(LOST_MODEL)
        if not target and gateway.default.rewrites and LIKE_OPENAI.match(path) and not _VERTEX.search(path):
            raise InvalidRequest(UNKNOWN, status=404)
        to_google = api_of(named.host) in ("vertex", "gemini")
        if target and target.api == "anthropic" and (to_google or gateway.default.rewrites):
            raise InvalidRequest(NO_MESSAGES, status=404)
        upstream = named
        if target and target.api == "openai":
            if gateway.default.rewrites or gateway.may_serve(base_path=exchange.base, surface="openai"):
                # Where it goes is known when its body is here. Until then it can go nowhere, whatever happens.
                exchange.is_rewritten = True
                go_to(request, NOWHERE, path + _query(request))
            else:
                self._pass_on(request, exchange, named)
            return
        found = self._service_of(exchange, exchange.call.model)
        service = found or gateway.default
        exchange.call.service = service.name
        if found and target and target.api == "gemini" and "action" in target.fields and found.provider == "vertex":
            # The same call, of Vertex AI.
            model = quote(target.fields["model"], safe="@")
            path = f"/{VERSION}/publishers/google/models/{model}:{target.fields['action']}"
            target = parse(request.method, path, "vertex")
        if target and service.provider == "openai":
            exchange.service, exchange.is_rewritten, upstream = service, True, NOWHERE
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
        elif to_google and "version" in target.fields:
            upstream = named._replace(host=GEMINI_HOST)
        go_to(request, upstream, path + _query(request))

    def _pass_on(self, request: http.Request, exchange: Exchange, named: Endpoint) -> None:
        """An OpenAI call, as it is."""
        settings, target, path, upstream = exchange.configuration.settings, exchange.target, exchange.path, named
        assert target
        exchange.call.service = "openai"
        if api_of(named.host) in ("vertex", "gemini") or settings.names_openai_endpoint:
            upstream = settings.openai_endpoint
            path = path.removeprefix(target.base).removeprefix("/v1")
        go_to(request, upstream, path + _query(request))

    def _misled(self, request: http.Request, exchange: Exchange, named: Endpoint) -> str | None:
        """What is wrong if the client's own credentials would now go to somebody who may not see them."""
        if exchange.is_rewritten or (exchange.service and exchange.service.injects):
            # They are taken out before anything is sent.
            return None
        settings, at = exchange.configuration.settings, (request.host, request.port)
        targets = [endpoint[1:3] for endpoint in (named, settings.vertex_endpoint) if endpoint]
        whom = keys.recipient(request.host, is_target=at in targets, is_named=settings.names_openai_endpoint)
        issuer = next((one for one in keys.issuers(request) if whom not in keys.MAY_GO[one]), None)
        return OF_ANOTHER.format(issuer=issuer.value, host=request.host) if issuer else None

    def _service_of(self, exchange: Exchange, model: str | None) -> Service | None:
        """By the routes."""
        call = exchange.call
        return exchange.configuration.gateway.service_for(
            base_path=exchange.base, surface=call.surface or "", publisher=call.publisher, model=model
        )

    def _model_in(self, request: http.Request, exchange: Exchange) -> str | None:
        """What an OpenAI call is for, by its real name: its body says it, or the path."""
        gateway, target = exchange.configuration.gateway, exchange.target
        assert target
        if not gateway.routes:
            return None
        if (rest := target.fields.get("openai", "")).startswith("videos/"):
            return videos.model_in(rest.split("/")[1])
        model = exchange.call.model or conversions.model_in(
            request.headers.get("content-type", ""), content_of(request)
        )
        return bare(gateway.named(model)) if model else None

    def _in_project(self, path: str, target: Target, service: Service) -> str:
        """The path with the project of our credentials, which paths that are meant for API keys leave out. Raises
        ValueError."""
        path = path.removeprefix(target.base).replace(*ALIAS)
        for name, check in (("location", values.location), ("project", values.project)):
            try:
                check(target.fields.get(name, "global"))
            except ValueError as e:
                raise ValueError(f"The {name} in the path is none: {e}.") from None
        if "rpc" in target.fields or "project" in target.fields or service.api_key or _is_catalogue(target):
            return path
        version = target.fields.get("version")
        rest = path.removeprefix(f"/{version}") if version else path
        return f"/{version or VERSION}{parent(service)}{rest}"


def _note_upstream(request: http.Request, exchange: Exchange) -> None:
    if not exchange.is_rewritten:
        exchange.call.upstream_host = request.host
        exchange.call.upstream_path = request.path.partition("?")[0]


def _named(flow: http.HTTPFlow) -> Endpoint | None:
    """The `reverse:` target; None in forward mode."""
    mode = flow.client_conn.proxy_mode
    return Endpoint(mode.scheme, *mode.address, "") if isinstance(mode, mode_specs.ReverseMode) else None


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
    return f"/projects/{values.project(project)}/locations/{values.location(location or service.location)}"


def vertex_upstream(flow: http.HTTPFlow, settings: Settings, location: str) -> Endpoint:
    """Where a call of ours goes: the endpoint that the user has named, else Google's host of the location."""
    named = _named(flow)
    assert named
    return settings.vertex_endpoint or vertex_endpoint(location, named)


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
