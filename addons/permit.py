"""Refuses calls for models and services that a client may not use."""

import json
import re
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import suppress

from mitmproxy import http

from addons.configuration.clients import Client
from addons.configuration.services import Candidate
from addons.exchange import COUNT_TOKENS
from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.exchange import fails_closed
from addons.translation.errors import InvalidRequest
from addons.translation.errors import refusal
from addons.translation.publishers import model_of
from addons.translation.publishers import without_publisher
from addons.upstream import OffLoop
from addons.upstream import content_of
from metering.call import ErrorType
from metering.usage.spending import may_spend

NOT_THIS_SERVICE = "The client {name} may not use the service {asked}; it may use {allowed}."
NOT_THIS_MODEL = "The client {name} may not use the model {asked}; it may use {allowed}."
NO_MODEL = "The client {name} may use certain models only ({allowed}), and this call does not name one."
SEVERAL_MODELS = "The client {name} may use certain models only ({allowed}), and this call names several."
UNREAD = (
    "The client {name} may use certain models only ({allowed}), and the model of this call cannot be read before it is"
    " sent. Use HTTP instead of a WebSocket or gRPC, with a body of at most 64 MB."
)


class Permit:
    """Compares the service and the model of a call with what its client may use.

    It comes after `meter`, which reads the model, and before anything is sent. If a client may use certain models only,
    a call that may spend something must say its model once, where it can be read.
    """

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges
        self._off_loop = OffLoop()

    @fails_closed
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if not exchange or not exchange.client or not exchange.goes_on:
            return
        client, model = exchange.client, _model_of(exchange)
        if not _is_permitted(flow, exchange, client) or client.models is None or model:
            return
        is_unread = bool(flow.request.stream) and may_spend(exchange.target, flow.request.method)
        if is_unread or flow.request.headers.get("upgrade", "").lower() == "websocket":
            _forbid(flow, exchange, UNREAD, client.models)

    @fails_closed
    async def request(self, flow: http.HTTPFlow) -> None:
        exchange, request = self.exchanges.get(flow), flow.request
        if not exchange or not exchange.client or flow.response or flow.error:
            return
        if not (exchange.goes_on or exchange.awaits_body or exchange.awaits_service):
            # Its body was streamed, so `requestheaders` has decided.
            return
        client = exchange.client
        if not _is_permitted(flow, exchange, client) or client.models is None or _is_in_path(exchange):
            return
        if not _model_of(exchange):
            if may_spend(exchange.target, request.method):
                _forbid(flow, exchange, NO_MODEL, client.models)
            return
        body, content_type = content_of(request), request.headers.get("content-type", "")
        if await self._off_loop(len(body), names_several, content_type, body):
            _forbid(flow, exchange, SEVERAL_MODELS, client.models)


def _is_permitted(flow: http.HTTPFlow, exchange: Exchange, client: Client) -> bool:
    """Whether a client may use the service and the model of a call, as far as they are known. If not, the call is
    refused."""
    service, model = exchange.call.service, _model_of(exchange)
    if service and not client.may_use_service(service):
        _forbid(flow, exchange, NOT_THIS_SERVICE, client.services, service)
    elif model and not client.may_use_model(*names_of(exchange, model, exchange.candidate)):
        _forbid(flow, exchange, NOT_THIS_MODEL, client.models, model)
    return not exchange.is_refused


def names_of(exchange: Exchange, model: str, candidate: Candidate | None) -> Iterator[str]:
    """The names by which a call may ask for a model: its own, the one that its service is asked for, those without and
    with a publisher. `candidate` is what answers, if a route says so."""
    gateway = exchange.configuration.gateway
    meant = (candidate and candidate.model) or gateway.named(model)
    yield from (model, without_publisher(model), meant, without_publisher(meant))
    if exchange.call.publisher:
        yield f"{exchange.call.publisher}/{model}"
    service = gateway.services[candidate.service] if candidate else exchange.service
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
    """Whether an object in a body has more than one member `model`, or a form more than one such field: parsers differ
    in which of them counts. Some also ignore the case of names."""
    if content_type.strip().lower().startswith("multipart/"):
        return len(_FORM_FIELD.findall(body)) > 1
    several = False

    def look(pairs: list[tuple[str, object]]) -> None:
        nonlocal several
        several = several or sum(name.lower() == "model" for name, _ in pairs) > 1

    try:
        json.loads(body or b"{}", object_pairs_hook=look)
    except (ValueError, RecursionError):
        # What no parser reads names nothing; those that read more than JSON must not find another model in it.
        return True
    return several
