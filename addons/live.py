"""WebSocket connections, such as those of the Live API: reads usage from their messages, and notes how they end."""

import functools
import json
import logging
from collections.abc import Callable
from collections.abc import MutableMapping
from weakref import WeakKeyDictionary

from mitmproxy import http
from mitmproxy import websocket

from addons.addressing import ALIAS
from addons.addressing import parent
from addons.configuration.services import Service
from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.exchange import harmless
from addons.recorder import Recorder
from addons.responses_socket import ResponsesSocket
from metering.budget import TooMuchWork
from metering.json_array import JsonDocument
from metering.outcome import Ending
from metering.request import asked
from metering.usage.formats import OPENAI_SOCKETS
from metering.usage.formats import RESPONSES
from metering.usage.formats import UNREAD
from metering.usage.formats import Usage

logger = logging.getLogger(__name__)

WORDS = (
    *(b"usageMetadata", b"usage_metadata", b"groundingMetadata", b"error"),
    *(b'usage"', b'Usage"', b'"queries"', b'"session"', b'"response.done"', b'"interaction.'),
)
"""A message from the upstream is parsed only if it contains one of these, or while content has not come yet."""
NAMES_MODEL = (b"setup", b'"interaction.create"')
"""The message from the client that names the model contains one of these."""
CLOSED_WELL = (1000, 1001, 1005)
"""WebSocket close codes that are no error (RFC 6455, section 7.4.1; 1005 means that none was sent)."""
CLOSED_ABRUPTLY = 1006


class Live:
    """Reads WebSocket messages without keeping them. If the service has Google credentials, it also puts their project
    into the setup message."""

    def __init__(self, exchanges: Exchanges, recorder: Recorder) -> None:
        self._exchanges = exchanges
        self._recorder = recorder
        self._sockets: MutableMapping[Exchange, ResponsesSocket] = WeakKeyDictionary()

    @harmless
    def response(self, flow: http.HTTPFlow) -> None:
        if flow.websocket and (exchange := self._exchanges.get(flow)):
            flow.websocket = LiveSession(functools.partial(self._end, exchange))
            operation = exchange.target.operation if exchange.target else None
            if operation == RESPONSES:
                self._sockets[exchange] = ResponsesSocket(exchange, self._recorder)
            elif factory := OPENAI_SOCKETS.get(operation or ""):
                exchange.metered.read_with(Usage(factory(), None))

    @harmless
    def websocket_message(self, flow: http.HTTPFlow) -> None:
        assert flow.websocket
        # mitmproxy's dumper still needs the current message; earlier ones are dropped.
        del flow.websocket.messages[:-1]
        exchange = self._exchanges.get(flow)
        if not exchange:
            return
        message, call = flow.websocket.messages[-1], exchange.call
        if message.dropped:
            # Another addon has refused it.
            return
        if socket := self._sockets.get(exchange):
            take = socket.take_asked if message.from_client else socket.take_event
            take(message.content)
            return
        exchange.metered.count_message(len(message.content), from_client=message.from_client)
        if not message.from_client:
            self._read(exchange, message.content)
            return
        if call.model is None and exchange.target and any(word in message.content for word in NAMES_MODEL):
            exchange.take_body(asked(exchange.target, "", message.content))
            if call.model:
                self._recorder.commit(exchange)
        if exchange.service and exchange.service.tokens and b'"setup"' in message.content[:64]:
            message.content = self._in_project(exchange, exchange.service, message.content)

    @harmless
    def websocket_end(self, flow: http.HTTPFlow) -> None:
        assert flow.websocket
        flow.websocket.messages.clear()

    def _in_project(self, exchange: Exchange, service: Service, content: bytes) -> bytes:
        """The setup message with the service's project in its model name, if the client left it out, as clients with an
        API key do. Otherwise the message unchanged."""
        try:
            document = json.loads(content)
            model = document["setup"]["model"]
            if not isinstance(model, str) or not model.startswith("publishers/"):
                return content
            model = f"/{model}".replace(*ALIAS)
            document["setup"]["model"] = f"{parent(service)}{model}".removeprefix("/")
        except Exception as e:
            # The message is sent as it is, and Google reports what is wrong with it.
            logger.warning(
                "vertex-tap: the setup message of a Live connection could not be read (%s)", type(e).__name__
            )
            return content
        exchange.learn(project=service.project, location=service.location)
        return json.dumps(document).encode()

    def _read(self, exchange: Exchange, content: bytes) -> None:
        metered = exchange.metered
        if not (reader := metered.usage.reader):
            return
        if reader.content and not any(word in content for word in WORDS):
            return
        metered.budget.earn(len(content))
        document = JsonDocument(reader.wanted, metered.budget)
        try:
            document.feed(content)
            reader.read(document.close())
        except TooMuchWork as e:
            logger.warning("vertex-tap: a Live connection is no longer metered: %s", e)
            metered.read_with(UNREAD)
            return
        metered.budget.rest()
        if exchange.call.model is None:
            exchange.learn(model=reader.reading.model_served)
        if metered.take_turn(reader.reading):
            self._recorder.commit(exchange)

    @harmless
    def _end(self, exchange: Exchange, session: websocket.WebSocketData) -> None:
        ending, error_type = ending_of(session)
        if socket := self._sockets.pop(exchange, None):
            socket.close(ending, error_type, by_client=bool(session.closed_by_client))
            return
        if error_type and exchange.metered.usage.reader:
            exchange.metered.usage.reader.reading.error_type = error_type
        self._recorder.settle(exchange, ending)


class LiveSession(websocket.WebSocketData):
    """Calls `on_close` as soon as mitmproxy stores why a connection ends. That is just before it sends the closing
    frames, while the hook `websocket_end` comes after them."""

    def __init__(self, on_close: Callable[[websocket.WebSocketData], None]) -> None:
        self._on_close: Callable[[websocket.WebSocketData], None] | None = None
        super().__init__()
        self._on_close = on_close

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "close_reason" and self._on_close:
            on_close, self._on_close = self._on_close, None
            on_close(self)


def ending_of(session: websocket.WebSocketData) -> tuple[Ending, str | None]:
    """How a connection has ended, and the `error_type` of its row, such as `websocket_1011`, if the upstream gave a
    reason."""
    if session.close_code in CLOSED_WELL:
        return Ending.COMPLETE, None
    if session.closed_by_client:
        return Ending.CLIENT_GONE, None
    return Ending.CUT, None if session.close_code == CLOSED_ABRUPTLY else f"websocket_{session.close_code}"
