"""Fixes for mitmproxy's protocol layers that no hook allows. No other module patches how they work; `redact.py` only
wraps them, to keep what is shown apart from what is sent.

Each fix ("remedy") replaces one function of mitmproxy. `tests/addons/test_layers.py` shows trailers, interim responses,
failed and slow connects, and idle connections in a bare mitmdump too. When such a test fails, mitmproxy has fixed the
fault itself, and the remedy can be removed.
"""

import asyncio
import logging
import re
import time
from collections.abc import Generator
from collections.abc import MutableMapping
from typing import Any
from weakref import WeakKeyDictionary
from weakref import WeakSet

import h11
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy import ctx
from mitmproxy import http
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Connection
from mitmproxy.connection import ConnectionState
from mitmproxy.connection import Server
from mitmproxy.proxy import commands
from mitmproxy.proxy import events
from mitmproxy.proxy import layer
from mitmproxy.proxy import server
from mitmproxy.proxy import server_hooks
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers import websocket
from mitmproxy.proxy.layers.http import _events
from mitmproxy.proxy.layers.http import _hooks
from mitmproxy.proxy.layers.http import _http1
from wsproto.events import CloseConnection

from addons.error_pages import closing_error_page
from addons.error_pages import error_page
from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.upstream import CONNECT_S
from metering.call import ErrorType

LONGEST_TRAILER = 64 * 1024
"""The most bytes of one trailer line."""
LONGEST_REASON = 100
"""The most characters of the reason for closing a WebSocket; a control frame has 125 bytes."""
CRASHED = "mitmproxy has crashed"
"""The `error` of a client connection that was closed because one of mitmproxy's layers raised an exception."""

Commands = Generator[Any, Any, None]


class Layers:
    """Installs the remedies. They stay installed when the script is reloaded, as calls under way need them."""

    def __init__(self, exchanges: Exchanges) -> None:
        self.exchanges = exchanges

    def load(self, loader: Loader) -> None:
        for owner, name, remedy in REMEDIES:
            setattr(owner, name, remedy)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        _flows.setdefault(flow.client_conn, WeakSet()).add(flow)

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        try:
            (data.server.address or ("",))[0].encode("idna")
        except UnicodeError:
            # mitmproxy expects only OSError here, and would wait for ever.
            data.server.error = "the host's name is not valid"
        handler = ctx.master.addons.get("proxyserver").connections.get(data.client.id)
        for connection, io in list(handler.transports.items() if handler else ()):
            # mitmproxy keeps failed connection attempts until the client disconnects.
            if io.handler and io.handler.done():
                del handler.transports[connection]


def too_slow() -> str:
    """The error message for a connection that was not made in time."""
    return f"no connection within {CONNECT_S:g} seconds"


# JSON instead of mitmproxy's HTML errors, and a proper end for streams that break off. --------------------------------

_their_protocol_error = layers.HttpStream.handle_protocol_error


def _handle_protocol_error(self: layers.HttpStream, event: Any) -> Commands:
    """Does what mitmproxy's function does, but sends the client JSON, or the call's `last_words`."""
    has_begun = self.server_state == self.state_stream_response_body
    # The call is forgotten when its `error` hook has run.
    exchange = _exchange_of(self)
    theirs: Commands = _their_protocol_error(self, event)
    reply = None
    while True:
        try:
            command = theirs.send(reply)
        except StopIteration:
            return
        if _tells_client(self, command):
            ours = _last_words(self, exchange) if has_begun else _answer(self, command.event, exchange)
            if ours:
                yield from ours
                reply = None
                continue
        reply = yield command


def _tells_client(stream: layers.HttpStream, command: Any) -> bool:
    return (
        isinstance(command, layers.SendHttp)
        and isinstance(command.event, _events.ResponseProtocolError)
        and command.connection is stream.context.client
    )


def _exchange_of(stream: layers.HttpStream) -> Exchange | None:
    # The addon may be gone: the remedies stay when the script is unloaded.
    addon, flow = ctx.master.addons.get("layers"), getattr(stream, "flow", None)
    return addon.exchanges.get(flow) if addon and flow else None


def _last_words(stream: layers.HttpStream, exchange: Exchange | None) -> list[layers.SendHttp] | None:
    words = exchange.last_words if exchange else b""
    return _sent(stream, [_events.ResponseData(stream.stream_id, words)]) if words else None


def _answer(stream: layers.HttpStream, event: Any, exchange: Exchange | None) -> list[layers.SendHttp] | None:
    # `code` is a number up to mitmproxy 11, and an enum in later versions.
    status = event.code if isinstance(event.code, int) else event.code.http_status_code()
    if status is None or status in (444, 499) or stream.flow.request.method == "HEAD":
        return None
    response = error_page(status, event.message, exchange)
    head = _events.ResponseHeaders(stream.stream_id, response, False)
    return _sent(stream, [head, _events.ResponseData(stream.stream_id, response.raw_content or b"")])


def _sent(stream: layers.HttpStream, events: list[Any]) -> list[layers.SendHttp]:
    events.append(_events.ResponseEndOfMessage(stream.stream_id))
    return [layers.SendHttp(event, stream.context.client) for event in events]


# HTTP/1.1 trailers, for which mitmproxy raises NotImplementedError. They may be dropped: RFC 9110, 6.5.1. -------------


class ReaderWithoutTrailers(ChunkedReader):
    """Drops trailers line by line, up to the empty line that ends the message."""

    def __call__(self, buf: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        if not self._reading_trailer:
            event: h11.Data | h11.EndOfMessage | None = super().__call__(buf)
            return event
        if buf.maybe_extract_lines() is not None:
            return h11.EndOfMessage()
        while buf.maybe_extract_next_line():
            # More trailers, or the empty line, may still come.
            pass
        if len(buf) > LONGEST_TRAILER:
            raise h11.RemoteProtocolError("a trailer is too long")
        return None


_their_server_send = _http1.Http1Server.send
_their_client_send = _http1.Http1Client.send


def _server_send(self: _http1.Http1Server, event: Any) -> Commands:
    """Drops the trailers of an HTTP/2 upstream, for a client that speaks HTTP/1.1."""
    return _nothing() if isinstance(event, _events.ResponseTrailers) else _their_server_send(self, event)


def _client_send(self: _http1.Http1Client, event: Any) -> Commands:
    """Drops the trailers of an HTTP/2 client, for an upstream that speaks HTTP/1.1."""
    return _nothing() if isinstance(event, _events.RequestTrailers) else _their_client_send(self, event)


_their_stream_response_body = layers.HttpStream.state_stream_response_body


def _stream_response_body(self: layers.HttpStream, event: Any) -> Commands:
    """Drops empty DATA frames of HTTP/2: stream callables take an empty chunk for the end of the body."""
    is_empty = isinstance(event, _events.ResponseData) and not event.data
    return _nothing() if is_empty else _their_stream_response_body(self, event)


def _nothing() -> Commands:
    yield from ()


# Interim responses: mitmproxy takes 100, 102 and 103 for the final response. 101 is final. ----------------------------

_NOT_FINAL = re.compile(rb"\r?\n|HTTP/\d\.\d +1(?!01)\d\d[ \r\n]")
_their_read_headers = _http1.Http1Client.read_headers


def _read_headers(self: _http1.Http1Client, event: Any) -> Commands:
    if isinstance(event, events.DataReceived) and self.request:
        while _NOT_FINAL.match(self.buf._data):
            if self.buf.maybe_extract_lines() is None:
                # The interim response is not complete yet.
                return
    yield from _their_read_headers(self, event)


# Connections: failed attempts are forgotten, and slow ones fail. ------------------------------------------------------

_their_get_connection = layers.HttpLayer.get_connection
_their_register_connection = layers.HttpLayer.register_connection
_their_http_event = layers.HttpLayer._handle_event


class Deadline(commands.RequestWakeup):
    """Wakes an HttpLayer when the time for making a connection is over."""

    def __init__(self, delay: float, connection: Connection) -> None:
        super().__init__(delay)
        self.connection = connection


def _get_connection(self: layers.HttpLayer, event: layers.GetHttpConnection, *, reuse: bool = True) -> Commands:
    waited_for = set(self.waiting_for_establishment)
    for connection in (*self.connections, self.context.server):
        # Otherwise mitmproxy would answer with the error of an earlier attempt.
        if isinstance(connection, Server) and connection not in waited_for:
            connection.error = None
    yield from _their_get_connection(self, event, reuse=reuse)
    for connection in self.waiting_for_establishment.keys() - waited_for:
        yield Deadline(CONNECT_S, connection)


def _handle_http_event(self: layers.HttpLayer, event: events.Event) -> Commands:
    # Handles only the events that matter here: wrapping every chunk of a stream in a generator would cost time.
    is_of_ours = isinstance(event, events.Wakeup | events.OpenConnectionCompleted)
    return _handle_connection_event(self, event) if is_of_ours else _their_http_event(self, event)


def _handle_connection_event(self: layers.HttpLayer, event: events.Event) -> Commands:
    command = event.command if isinstance(event, events.Wakeup) else None
    # A command in `command_sources` belongs to a layer inside this one, which must get its reply.
    if isinstance(command, Deadline) and command not in self.command_sources:
        yield from _check_deadline(self, command.connection)
        return
    yield from _their_http_event(self, event)
    if isinstance(event, events.OpenConnectionCompleted):
        _forget_ended(self)


def _check_deadline(self: layers.HttpLayer, connection: Connection) -> Commands:
    if connection not in self.waiting_for_establishment:
        return
    # With an upstream proxy there are two connections: one to the proxy, and one inside it.
    both = [other for other, child in self.connections.items() if child is self.connections[connection]]
    begun = min((one.timestamp_start for one in both if one.timestamp_start), default=None)
    # mitmproxy opens at most five connections to one address at a time; others have not started yet.
    left = CONNECT_S if begun is None else begun + CONNECT_S - time.time()
    if left > 0:
        yield Deadline(left, connection)
        return
    for one in both:
        yield commands.CloseConnection(one)
    yield from self.register_connection(layers.RegisterHttpConnection(connection, too_slow()))


def _register_connection(self: layers.HttpLayer, command: layers.RegisterHttpConnection) -> Commands:
    # A connection that took too long was registered as failed before mitmproxy noticed that it is closed.
    if command.connection in self.waiting_for_establishment:
        yield from _their_register_connection(self, command)


def _forget_ended(self: layers.HttpLayer) -> None:
    """Drops closed connections that no stream uses and for which no event will come. mitmproxy keeps every connection
    that a client ever had."""
    opening = {command.connection for command in self.command_sources if isinstance(command, commands.OpenConnection)}
    used = {stream.context.server for stream in self.streams.values()} | {self.context.server}
    kept = opening | used | self.waiting_for_establishment.keys()
    for connection in self.connections.keys() - kept:
        was_opened = connection.peername is not None
        if connection.state is ConnectionState.CLOSED and (connection.timestamp_end or not was_opened):
            del self.connections[connection]


# An exception in a layer, after which mitmproxy leaves the client waiting. --------------------------------------------

_their_log = server.ConnectionHandler.log


class Ended(layer.Layer):
    """Ignores all further events: a layer that has raised an exception is in no state to go on."""

    def _handle_event(self, event: events.Event) -> Commands:
        return _nothing()


def _log(self: server.ConnectionHandler, message: str, level: int = logging.INFO, exc_info: Any = None) -> None:
    """When mitmproxy logs a crash, closes the connection to the client, and so ends all of its calls."""
    _their_log(self, message, level, exc_info)
    if exc_info and level >= logging.ERROR:
        self.client.error = CRASHED
        self.layer = Ended(self.layer.context)
        transport = self.transports.get(self.client)
        if transport and transport.handler:
            self.close_connection(self.client)


# The body of a request that has got its answer already. mitmproxy keeps it until it is complete. ----------------------

_their_consume_request_body = layers.HttpStream.state_consume_request_body


def _consume_request_body(self: layers.HttpStream, event: Any) -> Commands:
    """Does not keep what somebody sends who is not let in, as it may be any amount."""
    if isinstance(event, _events.RequestData) and self.flow.response and _is_turned_away(self):
        return _nothing()
    theirs: Commands = _their_consume_request_body(self, event)
    return theirs


def _is_turned_away(stream: layers.HttpStream) -> bool:
    if exchange := _exchange_of(stream):
        return exchange.refused_as == ErrorType.UNAUTHORIZED
    return stream.flow.response is not None and stream.flow.response.status_code == 407


# WebSockets: mitmproxy has no way to close one. -----------------------------------------------------------------------

_their_relay_messages = websocket.WebsocketLayer.relay_messages
_to_close: MutableMapping[http.HTTPFlow, CloseConnection] = WeakKeyDictionary()
"""Flow of a WebSocket that is closed after the current message -> what both sides are told."""


def close_websocket(flow: http.HTTPFlow, code: int, reason: str) -> None:
    """Close a WebSocket, in the hook for one of its messages."""
    _to_close[flow] = CloseConnection(code, reason[:LONGEST_REASON])


def _relay_messages(self: websocket.WebsocketLayer, event: Any) -> Commands:
    yield from _their_relay_messages(self, event)
    told, session = _to_close.pop(self.flow, None), self.flow.websocket
    if not told or not session or self._handle_event == self.done:
        return
    session.timestamp_end, session.closed_by_client = time.time(), False
    session.close_code, session.close_reason = told.code, told.reason
    for side in (self.client_ws, self.server_ws):
        yield side.send2(told)
        yield commands.CloseConnection(side.conn)
    yield websocket.WebsocketEndHook(self.flow)
    self.flow.live = False
    self._handle_event = self.done


# mitmproxy closes a connection after ten idle minutes, but an answer may take longer. ---------------------------------

_flows: MutableMapping[Connection, WeakSet[http.HTTPFlow]] = WeakKeyDictionary()
"""Client connection -> its flows."""
_their_on_timeout = server.ConnectionHandler.on_timeout


async def _on_timeout(self: server.ConnectionHandler) -> None:
    """Waits until no call is under way, and then as long as mitmproxy would."""
    watchdog = self.timeout_watchdog
    while (is_busy := any(flow.live for flow in _flows.get(self.client, ()))) or _idle_s(watchdog) < watchdog.timeout:
        await asyncio.sleep(watchdog.timeout if is_busy else watchdog.timeout - _idle_s(watchdog))
    await _their_on_timeout(self)


def _idle_s(watchdog: server.TimeoutWatchdog) -> float:
    return time.time() - watchdog.last_activity


# mitmproxy replaces Host in reverse mode before the first hook, but pages are only shown under a name of ours. --------

_their_wait_for_request_headers = layers.HttpStream.state_wait_for_request_headers
_called: MutableMapping[http.HTTPFlow, list[str]] = WeakKeyDictionary()


def names_called(flow: http.HTTPFlow) -> list[str]:
    """What the client calls the host of a request: each value of Host, and `:authority` of HTTP/2."""
    return _called.get(flow, [])


def _wait_for_request_headers(self: layers.HttpStream, event: Any) -> Commands:
    request = event.request
    names = request.headers.get_all("host") + ([request.authority] if request.authority else [])
    theirs: Commands = _their_wait_for_request_headers(self, event)
    reply = None
    while True:
        try:
            command = theirs.send(reply)
        except StopIteration:
            return
        if isinstance(command, _hooks.HttpRequestHeadersHook):
            _called[command.flow] = names
        reply = yield command


REMEDIES: tuple[tuple[Any, str, Any], ...] = (
    (layers.HttpStream, "handle_protocol_error", _handle_protocol_error),
    (_http1, "make_error_response", closing_error_page),
    (_http1, "ChunkedReader", ReaderWithoutTrailers),
    (layers.HttpStream, "state_stream_response_body", _stream_response_body),
    (layers.HttpStream, "state_wait_for_request_headers", _wait_for_request_headers),
    (layers.HttpStream, "state_consume_request_body", _consume_request_body),
    (websocket.WebsocketLayer, "relay_messages", _relay_messages),
    (_http1.Http1Server, "send", _server_send),
    (_http1.Http1Client, "send", _client_send),
    (_http1.Http1Client, "read_headers", _read_headers),
    (layers.HttpLayer, "get_connection", _get_connection),
    (layers.HttpLayer, "register_connection", _register_connection),
    (layers.HttpLayer, "_handle_event", _handle_http_event),
    (server.ConnectionHandler, "log", _log),
    (server.ConnectionHandler, "on_timeout", _on_timeout),
)
"""Each remedy: the object, the name of its function, and the replacement."""
