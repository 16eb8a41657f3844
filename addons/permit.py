"""Refuses calls for models and services that a client may not use."""

import json
import re
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import suppress
from weakref import WeakSet

from mitmproxy import http

from addons.configuration.clients import Client
from addons.configuration.services import Service
from addons.exchange import COUNT_TOKENS
from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.exchange import fails_closed
from addons.layers import close_websocket
from addons.translation.errors import InvalidRequest
from addons.translation.errors import refusal
from addons.translation.publishers import model_of
from addons.translation.publishers import without_publisher
from addons.upstream import OffLoop
from addons.upstream import content_of
from metering.call import ErrorType
from metering.json_values import member
from metering.json_values import text_of
from metering.request import named
from metering.usage.spending import may_spend

NOT_THIS_SERVICE = "The client {name} may not use the service {asked}; it may use {allowed}."
NOT_THIS_MODEL = "The client {name} may not use the model {asked}; it may use {allowed}."
NO_MODEL = "The client {name} may use certain models only ({allowed}), and this call does not name one."
SEVERAL_MODELS = "The client {name} may use certain models only ({allowed}), and this call names several."
UNREAD = (
    "The client {name} may use certain models only ({allowed}), and the model of this call cannot be read before it is"
    " sent. Send it over HTTP, with a body of at most 64 MB."
)
SETUPS = frozenset({"BidiGenerateContent", "BidiGenerateContentConstrained", "BidiGenerateMusic"})
"""WebSockets whose first message names the model."""
MANY_REQUESTS = frozenset({"streamingPredict", "streamingRawPredict", "streamDirectPredict", "streamDirectRawPredict"})
"""gRPC's methods whose clients send several messages, and may wait for answers in between."""
POLICY_VIOLATION = 1008
"""The code of a WebSocket that is closed because of what was sent (RFC 6455, section 7.4.1)."""


class Permit:
    """Compares the service and the model of a call with what its client may use.

    It comes after `meter`, which reads the model, and before anything is sent. If a client may use certain models only,
    a call that may spend something must say its model once, where it can be read.
    """

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges
        self._off_loop = OffLoop()
        self._set_up: WeakSet[Exchange] = WeakSet()
        """The WebSocket connections whose first message was permitted."""

    @fails_closed
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if not exchange or not exchange.client or not exchange.goes_on:
            return
        client, model = exchange.client, _model_of(exchange)
        if not _is_permitted(flow, exchange, client) or client.models is None or model:
            return
        is_unread = bool(flow.request.stream) and may_spend(exchange.target, flow.request.method)
        is_socket = flow.request.headers.get("upgrade", "").lower() == "websocket"
        if is_unread or (is_socket and not _is_set_up_first(exchange)):
            _forbid(flow, exchange, UNREAD, client.models)

    @fails_closed
    async def request(self, flow: http.HTTPFlow) -> None:
        exchange, request = self.exchanges.get(flow), flow.request
        if not exchange or not exchange.client or flow.response or flow.error:
            return
        if not (exchange.goes_on or exchange.awaits_body):
            # Its body was streamed, so `requestheaders` has decided.
            return
        client = exchange.client
        if not _is_permitted(flow, exchange, client) or client.models is None or _is_in_path(exchange):
            return
        if not _model_of(exchange):
            if may_spend(exchange.target, request.method) and not _is_set_up_first(exchange):
                _forbid(flow, exchange, NO_MODEL, client.models)
            return
        body, content_type = content_of(request), request.headers.get("content-type", "")
        if content_type.startswith("application/grpc"):
            # Of a field that comes twice, the last counts everywhere.
            return
        if await self._off_loop(len(body), names_several, content_type, body):
            _forbid(flow, exchange, SEVERAL_MODELS, client.models)

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if not exchange or not exchange.client or exchange.client.models is None or exchange in self._set_up:
            return
        assert flow.websocket
        message = flow.websocket.messages[-1]
        if not _is_set_up_first(exchange) or not message.from_client:
            return
        if _may_set_up(exchange, exchange.client, message.content):
            self._set_up.add(exchange)
        else:
            message.drop()
            close_websocket(flow, POLICY_VIOLATION, f"The client {exchange.client.name} may not use this model.")


def must_be_read_first(exchange: Exchange) -> bool:
    """Whether the body of a gRPC call is held, and so its model read, before anything of it is sent."""
    target, client = exchange.target, exchange.client
    is_limited = client is not None and client.models is not None
    return is_limited and target is not None and (target.operation or "") not in MANY_REQUESTS


def _is_set_up_first(exchange: Exchange) -> bool:
    return exchange.target is not None and exchange.target.operation in SETUPS


def _may_set_up(exchange: Exchange, client: Client, message: bytes) -> bool:
    """Whether a client may use the model in the first message of a WebSocket."""
    assert exchange.target
    try:
        document = None if names_several("application/json", message) else json.loads(message)
        model = named(exchange.target, text_of(member(member(document, "setup"), "model"))).model
        return model is not None and client.may_use_model(*names_of(exchange, model, exchange.service))
    except Exception:
        # mitmproxy would send the message on.
        return False


def _is_permitted(flow: http.HTTPFlow, exchange: Exchange, client: Client) -> bool:
    """Whether a client may use the service and the model of a call, as far as they are known. If not, the call is
    refused."""
    service, model = exchange.call.service, _model_of(exchange)
    if service and not client.may_use_service(service):
        _forbid(flow, exchange, NOT_THIS_SERVICE, client.services, service)
    elif model and not client.may_use_model(*names_of(exchange, model, exchange.service)):
        _forbid(flow, exchange, NOT_THIS_MODEL, client.models, model)
    return not exchange.is_refused


def names_of(exchange: Exchange, model: str, service: Service | None) -> Iterator[str]:
    """The names by which a call may ask for a model: its own, the one that it is an alias of, those without and with a
    publisher. `service` is the one that answers, if it is known."""
    meant = exchange.configuration.gateway.named(model)
    yield from (model, without_publisher(model), meant, without_publisher(meant))
    if exchange.call.publisher:
        yield f"{exchange.call.publisher}/{model}"
    if service and service.provider == "vertex":
        with suppress(InvalidRequest):
            yield model_of(meant).name


def _model_of(exchange: Exchange) -> str | None:
    return None if exchange.call.model == COUNT_TOKENS else exchange.call.model


def _is_in_path(exchange: Exchange) -> bool:
    """Whether the path of a call names its model, so that no body can name another one."""
    fields = exchange.target.fields if exchange.target else {}
    named = fields.get("model") or fields.get("endpoint")
    return named not in (None, COUNT_TOKENS, "openapi")


def _forbid(
    flow: http.HTTPFlow, exchange: Exchange, why: str, allowed: Sequence[str] | None, asked: str | None = None
) -> None:
    client = exchange.client
    assert client
    told = why.format(name=client.name, asked=asked, allowed=", ".join(allowed or ()) or "none")
    exchange.refuse(flow, refusal(403, told), ErrorType.FORBIDDEN)
    # A call that is refused must not be streamed.
    flow.request.stream = False


_FORM_FIELD = re.compile(rb'name\s*=\s*"?\s*model\b', re.IGNORECASE)


def names_several(content_type: str, body: bytes) -> bool:
    """Whether an object in a body has more than one member `model` or `setup`, or a form more than one such field:
    parsers differ in which of them counts. Some also ignore the case of names."""
    if content_type.strip().lower().startswith("multipart/"):
        return len(_FORM_FIELD.findall(body)) > 1
    several = False

    def look(pairs: list[tuple[str, object]]) -> None:
        nonlocal several
        names = [name.lower() for name, _ in pairs]
        several = several or names.count("model") > 1 or names.count("setup") > 1

    try:
        json.loads(body or b"{}", object_pairs_hook=look)
    except (ValueError, RecursionError):
        # What no parser reads names nothing; those that read more than JSON must not find another model in it.
        return True
    return several
