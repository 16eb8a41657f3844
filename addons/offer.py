"""Tells clients what there is: models that they may use, and routes if none takes their call."""

from collections.abc import MutableMapping
from fnmatch import fnmatchcase
from weakref import WeakKeyDictionary

from mitmproxy import http

from addons.configuration.clients import Client
from addons.configuration.services import ServiceRoute
from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.exchange import candidates_for
from addons.exchange import harmless
from addons.permit import names_of
from addons.tap import Tap
from addons.translation import models
from addons.translation.conversation import Json
from addons.translation.conversation import from_bytes
from addons.translation.conversation import to_bytes
from addons.translation.errors import Failure
from addons.translation.publishers import without_publisher
from addons.upstream import header_name
from metering.budget import TooMuchWork
from metering.call import ErrorType
from metering.decoding import DecodingError
from metering.decoding import decode
from metering.json_values import items
from metering.json_values import member
from metering.json_values import text_of

LISTING = ("models", "models.list")
"""Operations that list models."""
LISTS = ("data", "models", "publisherModels")
"""Members of an answer that hold a list of models: OpenAI's and Anthropic's, Gemini's and Vertex AI's."""
_OF_THE_BODY = frozenset({"content-length", "content-encoding", "transfer-encoding", "etag"})


class Offer:
    """Leaves out of lists of models what a client may not use. Lists that were converted are complete in `response`;
    all others are streamed."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges
        self._held: MutableMapping[http.HTTPFlow, Exchange] = WeakKeyDictionary()
        """The calls whose lists are converted. In `response` their rows are settled, so they are no exchanges then."""

    @harmless
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        exchange, response = self._exchanges.get(flow), flow.response
        if not exchange or not response or not _is_filtered(exchange):
            return
        if not isinstance(response.stream, Tap):
            self._held[flow] = exchange
            return
        if response.status_code != 200:
            return
        coding = response.headers.get("content-encoding", "")
        fields = response.headers.fields
        response.headers.fields = tuple(field for field in fields if header_name(field) not in _OF_THE_BODY)
        if flow.request.http_version == "HTTP/1.1":
            response.headers["transfer-encoding"] = "chunked"
        response.stream = _Filter(exchange, response.stream, coding)

    @harmless
    def response(self, flow: http.HTTPFlow) -> None:
        exchange, response = self._held.pop(flow, None) or self._exchanges.get(flow), flow.response
        if not exchange or not response or response.stream or response.status_code != 200:
            return
        if _is_filtered(exchange):
            response.content = _filtered(exchange, response.content or b"", "")


class _Filter:
    """A stream callable of mitmproxy that keeps a list until it is complete."""

    def __init__(self, exchange: Exchange, tap: Tap, coding: str) -> None:
        self._exchange, self._tap, self._coding = exchange, tap, coding
        self._pieces: list[bytes] = []

    def __call__(self, piece: bytes) -> list[bytes]:
        self._tap(piece)
        self._pieces.append(piece)
        return [] if piece else [_filtered(self._exchange, b"".join(self._pieces), self._coding)]


def _is_filtered(exchange: Exchange) -> bool:
    """Whether a call asks for a list of models, and its client may not use all of them."""
    target, client = exchange.target, exchange.client
    is_list = target is not None and target.operation in LISTING and not target.fields.get("model")
    is_limited = client is not None and (client.models is not None or client.services is not None)
    return is_list and is_limited


def _filtered(exchange: Exchange, body: bytes, coding: str) -> bytes:
    """A list of models with those only that the client may use. Empty if it cannot be read."""
    try:
        document = from_bytes(decode(coding, body))
    except (ValueError, DecodingError, TooMuchWork):
        document = {}
    if not isinstance(document, dict):
        document = {}
    for name in LISTS:
        if name in document:
            document[name] = [entry for entry in items(document[name]) if may_use(exchange, _id_of(entry))]
    if "first_id" in document:
        ids = [_id_of(entry) for entry in items(document.get("data"))]
        document |= {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
    return to_bytes(document)


def _id_of(entry: object) -> str:
    """The name of a model in a list; it may be the last part of a path."""
    return text_of(member(entry, "id")) or (text_of(member(entry, "name")) or "").rpartition("/")[2]


def may_use(exchange: Exchange, model: str) -> bool:
    """Whether whoever calls may use a model, and the service that answers for it."""
    client, gateway = exchange.client, exchange.configuration.gateway
    if client is None:
        return True
    candidates = candidates_for(exchange, without_publisher(gateway.named(model)))
    if not candidates and not gateway.has_default:
        return False
    first = candidates[0] if candidates else None
    if not client.may_use_model(*names_of(exchange, model, first)):
        return False
    return client.may_use_service(first.service if first else exchange.call.service or gateway.default.name)


def offered(exchange: Exchange) -> list[str]:
    """The models that the configuration names, as far as whoever calls may use them."""
    gateway = exchange.configuration.gateway
    routed = (route.model for route in gateway.routes if route.model and not _is_glob(route.model))
    names = dict.fromkeys((*gateway.models, *gateway.aliases, *routed))
    return [name for name in names if may_use(exchange, name)]


def answer_without_service(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """Answer a call that no service takes: a list of models with those that the configuration names, any other with an
    error that says what there is."""
    target, request = exchange.target, flow.request
    if not target or target.operation != "models" or request.method != "GET":
        exchange.refuse(flow, no_route(exchange), ErrorType.NO_ROUTE)
        return
    id = target.fields.get("model")
    found: Json | Failure = models.one(id, offered(exchange), []) if id else models.catalogue(offered(exchange), [])
    if target.surface == "anthropic":
        found = models.as_anthropics(found)
    if isinstance(found, Failure):
        exchange.refuse(flow, found, ErrorType.NO_ROUTE)
        return
    headers = {"content-type": "application/json", exchange.errors.id_header: exchange.call.id}
    flow.response = http.Response.make(200, to_bytes(found), headers)
    exchange.answer()


def no_route(exchange: Exchange) -> Failure:
    """The error for a call that no route takes."""
    client, gateway = exchange.client, exchange.configuration.gateway
    routes = (route for route in gateway.routes if _is_for(route, client))
    told = [f"No route takes this call{f' for the model {exchange.call.model}' if exchange.call.model else ''}."]
    told.append(f"Routes: {'; '.join(dict.fromkeys(map(_described, routes))) or 'none'}.")
    if client and client.models is not None:
        told.append(f"Models that the client {client.name} may use: {', '.join(client.models) or 'none'}.")
    if names := offered(exchange):
        told.append(f"Models here: {', '.join(names)}.")
    return Failure(404, " ".join(told), "NO_ROUTE")


def _is_for(route: ServiceRoute, client: Client | None) -> bool:
    """Whether calls of a client, or those without one, may take a route."""
    if client is None:
        return route.client is None
    return client.may_use_service(route.service) and fnmatchcase(client.name, route.client or "*")


def _described(route: ServiceRoute) -> str:
    criteria = ((name, getattr(route, name)) for name in ("base_path", "surface", "publisher", "model"))
    said = ", ".join(f"{name} {glob}" for name, glob in criteria if glob is not None)
    return f"{said or 'everything'} to {route.service}"


def _is_glob(text: str) -> bool:
    return any(sign in text for sign in "*?[")
