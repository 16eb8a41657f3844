"""Chooses the service and the upstream of a call, as far as the request headers tell."""

import re
from urllib.parse import quote

from mitmproxy import http

from addons import keys
from addons.addressing import ALIAS
from addons.addressing import NOWHERE
from addons.addressing import VERSION
from addons.addressing import go_to
from addons.addressing import is_google
from addons.addressing import names_listener
from addons.addressing import parent
from addons.addressing import query_of
from addons.addressing import reverse_target
from addons.addressing import vertex_endpoint
from addons.configuration import values
from addons.configuration.services import Service
from addons.configuration.values import Endpoint
from addons.exchange import LIKE_OPENAI
from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.exchange import candidates_for
from addons.exchange import fails_closed
from addons.exchange import is_elsewhere
from addons.offer import no_route
from addons.progress import Progress
from addons.repeatable import goes_out_at_once
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.errors import refusal
from addons.translation.publishers import model_of
from metering.call import ErrorType
from metering.hosts import GEMINI_HOST
from metering.hosts import api_of
from metering.hosts import is_by_location
from metering.paths import Target
from metering.paths import parse
from metering.usage.formats import RESPONSES

LOST_MODEL = (
    "The request has no path, and so no model: google-genai sends it like this when it has a base_url but neither"
    " an API key nor a project. Give genai.Client api_key=..., or project=... and location=... (or set"
    " GOOGLE_API_KEY, or GOOGLE_CLOUD_PROJECT and GOOGLE_CLOUD_LOCATION)."
)


UNKNOWN = (
    "This path is not known, neither as Vertex AI's nor as OpenAI's. OpenAI's paths begin with /v1, such as"
    " /v1/chat/completions."
)
BY_BODY = frozenset({"openai", "anthropic"})
"""APIs whose calls may be rewritten: the model in the body chooses the service."""
_VERTEX = re.compile(r"/(?:projects|publishers)/")
_PLACE = re.compile(r"/projects/[^/]+/locations/[^/]+(?=/(?:publishers|endpoints/openapi)/)")
"""The project and the location in the path of a model that is not a project's own."""
NO_MESSAGES = (
    "Anthropic's Messages API is not available here. Set openai_mode=convert, so that its calls are converted. Claude"
    " on Vertex AI has other paths: set CLAUDE_CODE_USE_VERTEX=1, or use AnthropicVertex."
)
HTTP_INSTEAD = (
    "Responses are converted here, which is not possible over a WebSocket. Send POST /v1/responses over HTTP instead,"
    " as Codex and other clients do by themselves after this error."
)
A_PROXY = (
    "{url} is a proxy, not a base URL. Leave the client's base URL at its default, and set HTTPS_PROXY={url}, and"
    " SSL_CERT_FILE to the certificates that vertex-tap names when it starts. Or start vertex-tap with `--mode"
    " reverse:https://aiplatform.googleapis.com`: then its address is a base URL."
)
OF_ANOTHER = (
    "This call has a credential of {issuer}, but its path leads to {host}, which must not see it. Nothing was sent."
    " Send a credential for that host, or use a path of the API that the credential belongs to."
)


class Route:
    """Redirects calls in reverse mode. In forward mode the client has chosen the upstream."""

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges

    @fails_closed
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if not exchange or flow.error or flow.response:
            return
        if named := reverse_target(flow):
            if _must_use_http(flow.request, exchange):
                _refuse_upgrade(flow, exchange)
                return
            if _is_taken_by_none(exchange):
                exchange.refuse(flow, no_route(exchange), ErrorType.NO_ROUTE)
                return
            try:
                self._send_on(flow.request, exchange, named)
            except InvalidRequest as e:
                exchange.refuse(flow, Failure(e.status, e.message, "UNKNOWN_URL"), ErrorType.BAD_REQUEST)
                return
            except ValueError as e:
                exchange.refuse(flow, refusal(400, str(e)), ErrorType.BAD_REQUEST)
                return
            check_recipient(flow, exchange, named)
        elif names_listener(flow):
            url = f"http://{flow.request.host}:{flow.request.port}"
            exchange.refuse(flow, refusal(400, A_PROXY.format(url=url)), ErrorType.BAD_REQUEST)
        if exchange.goes_on:
            exchange.note_upstream(flow.request.host, flow.request.path)

    def _send_on(self, request: http.Request, exchange: Exchange, named: Endpoint) -> None:
        """Redirect a call, or let it wait for its body.

        A `reverse:` target of the user's own gets every path. If the target is a host of Google's, the path decides
        which of Google's hosts gets it, and OpenAI's paths go to OpenAI or are rewritten. Raises ValueError,
        InvalidRequest.
        """
        self._check_path(request, exchange, named)
        target = exchange.target
        if target and target.api in BY_BODY:
            if _may_be_converted(exchange) or not exchange.configuration.gateway.has_default:
                _wait(request, exchange, Progress.AWAITS_BODY)
            else:
                pass_on(request, exchange, named)
            return
        service = exchange.find_service(exchange.call.model) or exchange.configuration.gateway.default
        if exchange.has_fallback and not _is_sent_at_once(request, exchange):
            exchange.choose(service.name)
            _wait(request, exchange, Progress.AWAITS_SERVICE)
        else:
            _send_to(request, exchange, service, named)

    def _check_path(self, request: http.Request, exchange: Exchange, named: Endpoint) -> None:
        """Raises ValueError or InvalidRequest for a path that nothing answers here."""
        target, path = exchange.target, exchange.path
        rewrites = exchange.configuration.gateway.default.rewrites("openai")
        if not target and path in ("", "/") and _wants_a_model(request):
            raise ValueError(LOST_MODEL)
        is_probe = path in ("", "/")
        if not target and rewrites and (is_probe or (LIKE_OPENAI.match(path) and not _VERTEX.search(path))):
            raise InvalidRequest(UNKNOWN, status=404)


def _is_sent_at_once(request: http.Request, exchange: Exchange) -> bool:
    """Whether the request goes upstream before its body is complete."""
    return "upgrade" in request.headers or goes_out_at_once(request, needs_body=exchange.needs_body)


def _wait(request: http.Request, exchange: Exchange, state: Progress) -> None:
    """Point the request at a placeholder host until it is known where it goes, so that it cannot be sent early."""
    exchange.move(state)
    go_to(request, NOWHERE, exchange.path + query_of(request))


def aim(flow: http.HTTPFlow, exchange: Exchange, service: Service) -> None:
    """Point a complete request at one of several services, or refuse it."""
    named, request, target = reverse_target(flow), flow.request, exchange.target
    assert named
    try:
        if not target or target.api not in BY_BODY:
            exchange.move(Progress.ASKED)
            _send_to(request, exchange, service, named)
        elif service.provider == "openai" or service.rewrites(target.surface):
            exchange.choose(service.name, service)
            exchange.move(Progress.AWAITS_BODY)
        else:
            raise InvalidRequest(f"The service {service.name} does not convert calls of this API (openai: convert).")
    except (InvalidRequest, ValueError) as e:
        exchange.refuse(flow, refusal(getattr(e, "status", 400), str(e)), ErrorType.BAD_REQUEST)
        return
    check_recipient(flow, exchange, named)
    if exchange.goes_on:
        exchange.note_upstream(request.host, request.path)


def _send_to(request: http.Request, exchange: Exchange, service: Service, named: Endpoint) -> None:
    """Redirect a call of Google's API to a service, or let it wait for its conversion. Raises ValueError,
    InvalidRequest."""
    target, path, upstream = exchange.target, exchange.path, named
    exchange.choose(service.name)
    if target and service.provider == "openai":
        exchange.choose(service.name, service)
        _wait(request, exchange, Progress.AWAITS_BODY)
        return
    if exchange.candidate and target and target.api == "gemini" and "action" in target.fields:
        # A Gemini API call that a Vertex AI service answers: use the same action of Vertex AI.
        model = quote(target.fields["model"], safe="@")
        path = f"/{VERSION}/publishers/google/models/{model}:{target.fields['action']}"
        target = parse(request.method, path, "vertex")
    if is_elsewhere(exchange) and service.injects:
        # The client names the project of another service.
        path = _PLACE.sub("", path, count=1)
        target = parse(request.method, path, "vertex") if target else None
    if exchange.candidate and exchange.candidate.model and target:
        path = _renamed(path, target, exchange, exchange.candidate.model)
        target = parse(request.method, path, "vertex")
    if target is None or target.api == "vertex":
        if target or api_of(named.host) != "gemini":
            exchange.choose(service.name, service)
        if target:
            path, upstream = _to_vertex(request, exchange, service, target, path, named)
    elif is_by_location(named.host) and "version" in target.fields:
        upstream = named._replace(host=GEMINI_HOST)
    go_to(request, upstream, path + query_of(request))


def _to_vertex(
    request: http.Request, exchange: Exchange, service: Service, target: Target, path: str, named: Endpoint
) -> tuple[str, Endpoint]:
    """The path and the upstream for a Vertex AI call. Raises ValueError."""
    if service.injects:
        path = _in_project(path, target, service)
        target = parse(request.method, path, "vertex") or target
        note = exchange.learn if is_elsewhere(exchange) else exchange.suppose
        note(project=target.fields.get("project"), location=target.fields.get("location"))
    location = target.fields.get("location") or _usual_location(service)
    return path, exchange.configuration.settings.vertex_endpoint or vertex_endpoint(location, named)


def _renamed(path: str, target: Target, exchange: Exchange, name: str) -> str:
    """A path of Vertex AI that asks for another model; unchanged if it names none. Raises InvalidRequest if the model
    is not named in the path."""
    fields = target.fields
    if "action" not in fields or not fields.keys() & {"model", "endpoint"}:
        if target.surface != "vertex" or "rpc" in fields:
            raise InvalidRequest(f"The route of this call asks for the model {name}, which is not possible here.")
        return path
    model = model_of(name)
    exchange.learn(model=model.name, publisher=model.publisher or (None if model.is_endpoint else "google"))
    above = f"/projects/{fields['project']}/locations/{fields['location']}" if "project" in fields else ""
    return f"{target.base}/{fields.get('version') or VERSION}{above}/{model.resource(fields['action'])}"


def _may_be_converted(exchange: Exchange) -> bool:
    """Whether a call of an OpenAI or Anthropic client may be answered by another service, which its body decides."""
    gateway, target = exchange.configuration.gateway, exchange.target
    assert target
    surface = target.surface
    return gateway.default.rewrites(surface) or gateway.may_serve(base_path=exchange.base, surface=surface)


def _is_taken_by_none(exchange: Exchange) -> bool:
    """Whether no service takes a call whose model is known already. (Those that wait for their body are not meant.)"""
    gateway, target = exchange.configuration.gateway, exchange.target
    if gateway.has_default or (target and target.api in BY_BODY):
        return False
    return not candidates_for(exchange, exchange.call.model)


def _must_use_http(request: http.Request, exchange: Exchange) -> bool:
    """Whether the call is a WebSocket for responses that may have to be converted. Their models are only told by
    messages on that WebSocket."""
    target = exchange.target
    is_responses = target is not None and target.api == "openai" and target.operation == RESPONSES
    return is_responses and _is_upgrade(request) and _may_be_converted(exchange)


def _refuse_upgrade(flow: http.HTTPFlow, exchange: Exchange) -> None:
    exchange.refuse(flow, Failure(426, HTTP_INSTEAD, "UPGRADE_REQUIRED"), ErrorType.BAD_REQUEST)
    assert flow.response
    # RFC 9110, section 15.5.22: the answer must name the protocol to be used.
    flow.response.headers["upgrade"] = "HTTP/1.1"
    flow.response.headers["connection"] = "Upgrade"


def _is_upgrade(request: http.Request) -> bool:
    return str(request.headers.get("upgrade", "")).lower() == "websocket"


def pass_on(request: http.Request, exchange: Exchange, named: Endpoint) -> None:
    """Point an OpenAI or Anthropic call at its upstream, without converting it. Raises InvalidRequest for one of
    Anthropic's where the user has named no upstream for it."""
    settings, target, path, upstream = exchange.configuration.settings, exchange.target, exchange.path, named
    assert target
    if target.api == "anthropic":
        if is_google(named):
            raise InvalidRequest(NO_MESSAGES, status=404)
        exchange.choose(exchange.configuration.gateway.default.name)
        go_to(request, upstream, path + query_of(request))
        return
    exchange.choose("openai")
    if is_google(named) or settings.names_openai_endpoint:
        upstream = settings.openai_endpoint
        path = path.removeprefix(target.base).removeprefix("/v1")
    go_to(request, upstream, path + query_of(request))


def check_recipient(flow: http.HTTPFlow, exchange: Exchange, named: Endpoint) -> None:
    """Refuse the call if its upstream may not see the client's own credentials."""
    if exchange.awaits_service or exchange.awaits_body or (exchange.service and exchange.service.injects):
        # The client's credentials are removed before anything is sent.
        return
    settings, request = exchange.configuration.settings, flow.request
    at = (request.host, request.port)
    targets = [endpoint[1:3] for endpoint in (named, settings.vertex_endpoint) if endpoint]
    whom = keys.recipient(request.host, is_target=at in targets, is_named=settings.names_openai_endpoint)
    issuer = next((one for one in keys.issuers(request) if whom not in keys.MAY_GO[one]), None)
    if issuer:
        problem = OF_ANOTHER.format(issuer=issuer.value, host=request.host)
        exchange.refuse(flow, refusal(400, problem), ErrorType.BAD_REQUEST)


def _in_project(path: str, target: Target, service: Service) -> str:
    """Add the service's project and location to a path that has none, as clients with an API key send it. Raises
    ValueError."""
    path = path.removeprefix(target.base).replace(*ALIAS)
    for name, check in (("location", values.location), ("project", values.project)):
        try:
            check(target.fields.get(name, "global"))
        except ValueError as e:
            raise ValueError(f"The {name} in the path is not valid: {e}.") from None
    if "rpc" in target.fields or "project" in target.fields or service.api_key or _is_catalogue(target):
        return path
    version = target.fields.get("version")
    rest = path.removeprefix(f"/{version}") if version else path
    return f"/{version or VERSION}{parent(service)}{rest}"


def _usual_location(service: Service) -> str | None:
    """The location for a path that names none, such as that of a Live connection: the service's own, if it has Google
    credentials."""
    return service.location if service.tokens else None


def _is_catalogue(target: Target) -> bool:
    """Whether the path is that of a publisher's models, such as `/publishers/google/models`, which belong to no
    project."""
    return target.publisher is not None and str(target.operation).startswith("models.")


def _wants_a_model(request: http.Request) -> bool:
    return request.method == "POST" or _is_upgrade(request)
