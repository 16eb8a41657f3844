"""Sends a request again, to the same upstream or to another, before the client has got anything of an answer. mitmproxy
relays one request to one upstream, and has no hook to try another.

Strategy: `Stream` replaces mitmproxy's HttpStream (`layers.py` installs it). If a `Watch` has been set for a flow, the
stream asks it about the answer. While the answer may still fail, it is held. When it has failed, the hook
`attempt_failed` is called, whose addons may put another request on the flow. When it is well, all that was held is
handed to mitmproxy's own states, as if it came now, and the stream is an ordinary one from then on.

Each attempt has a stream number of its own towards the upstream, so that what is left of an earlier answer cannot get
into a later one. All that is used of mitmproxy beside hooks and flows is used in this module, and
`tests/addons/test_again.py` shows when mitmproxy changes.
"""

import itertools
from collections.abc import Generator
from collections.abc import MutableMapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from weakref import WeakKeyDictionary

from mitmproxy import http
from mitmproxy.proxy import commands
from mitmproxy.proxy import events
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers.http import _events

MOST_DRAINED = 64 * 1024
"""The most bytes of a failed answer that are read so that its connection can be used again, and in `DRAIN_S` for how
many seconds."""
DRAIN_S = 2.0

Commands = Generator[Any, Any, None]


class Verdict(Enum):
    """What a `Watch` says of an answer."""

    WAIT = "wait"
    """It may still fail, and is held."""
    PASS = "pass"
    """The client gets it."""
    FAILED = "failed"


class Failed(Enum):
    """How an attempt has failed."""

    UNCONNECTED = "unconnected"
    TIMED_OUT = "timed out"
    CUT = "cut"
    """The connection broke off."""
    ANSWERED = "answered"
    """The upstream has answered, with an error or with nothing."""


@dataclass
class AttemptFailedHook(commands.StartHook):
    """An attempt has failed, and the client has got nothing. The flow's `Watch` says how (`failure`, `message`). To try
    again, an addon changes `flow.request` and sets `again`. An answer is on `flow.response`, with its body as far as it
    is needed."""

    flow: http.HTTPFlow


class Watch:
    """Judges the answers to a call, until one passes. One object serves all attempts of the call."""

    timeout: float | None = None
    """Seconds from the request to the first byte; None: no limit."""
    failure: Failed | None = None
    """How the present attempt has failed, and in `message` mitmproxy's words for it; None: it has not."""
    message = ""
    again = False
    """Whether `flow.request` is to be sent now."""

    def head(self, response: http.Response) -> Verdict:
        """Judge an answer by its status and headers."""
        return Verdict.PASS

    def piece(self, data: bytes) -> Verdict:
        """Judge it by the next piece of its body."""
        return Verdict.PASS

    def end(self) -> Verdict:
        """Judge it now that it is whole."""
        return Verdict.PASS

    def passed(self) -> None:
        """The client gets this answer."""


_watched: MutableMapping[http.HTTPFlow, Watch] = WeakKeyDictionary()


def watch(flow: http.HTTPFlow, by: Watch) -> None:
    """Have the answers to a request judged. It must be complete, and not streamed."""
    _watched[flow] = by


NO_ANSWER = "no answer within"
"""How mitmproxy's error message begins for an upstream that took too long to answer."""
_ANSWERS = (
    _events.ResponseHeaders,
    _events.ResponseData,
    _events.ResponseTrailers,
    _events.ResponseEndOfMessage,
    _events.ResponseProtocolError,
)
_numbers = itertools.count(1 << 40)
"""Stream numbers of further attempts, above all that clients use."""


class Stream(layers.HttpStream):
    """A request of a client and its response; the request may be sent more than once."""

    def __init__(self, context: Any, stream_id: int) -> None:
        super().__init__(context, stream_id)
        self._upstream_id = stream_id
        """The stream number of the present attempt."""
        self._held: list[Any] = []
        """The events of an answer that may still fail."""
        self._timer: commands.RequestWakeup | None = None

    # What happens while the call is watched

    def _handle_watched(self, event: events.Event) -> Commands:
        """Replaces `_handle_event` while the call is watched, and afterwards if the first attempt has failed."""
        if isinstance(event, events.Wakeup):
            theirs = self._woken() if event.command is self._timer else _nothing()
        elif isinstance(event, _ANSWERS) and event.stream_id != self._upstream_id:
            # It belongs to an attempt that is over.
            return
        else:
            theirs = layers.HttpStream._handle_event(self, event)
        reply = None
        while True:
            try:
                command = theirs.send(reply)
            except StopIteration:
                return
            if isinstance(command, layers.SendHttp):
                is_clients = command.connection is self.context.client
                command.event.stream_id = self.stream_id if is_clients else self._upstream_id
            elif isinstance(command, layers.DropStream) and self._upstream_id != self.stream_id:
                yield layers.DropStream(self._upstream_id)
            reply = yield command

    @property
    def _watch(self) -> Watch | None:
        flow = getattr(self, "flow", None)
        return _watched.get(flow) if flow else None

    def make_server_connection(self) -> Generator[Any, Any, bool]:
        while by := self._watch:
            self._handle_event = self._handle_watched
            request, server = self.flow.request, self.flow.server_conn
            connection, error = yield layers.GetHttpConnection(
                (request.host, request.port), request.scheme == "https", server.via, server.transport_protocol
            )
            if not error:
                self.context.server = self.flow.server_conn = connection
                if by.timeout:
                    yield from self._wake_in(by.timeout)
                return True
            again = yield from self._ask(by, Failed.UNCONNECTED, error)
            if not again:
                self._unwatch()
                if again is not None:
                    yield from self.handle_protocol_error(_unconnected(self.stream_id, error))
                return False
        return (yield from super().make_server_connection())

    def state_wait_for_response_headers(self, event: Any) -> Commands:
        by = self._watch
        if not by:
            yield from super().state_wait_for_response_headers(event)
            return
        self._held = [event]
        verdict = by.head(event.response)
        if verdict is Verdict.PASS:
            yield from self._pass(by)
        elif verdict is Verdict.WAIT:
            self.server_state = self._state_hold
        else:
            self.server_state = self._state_drain
            yield from self._wake_in(DRAIN_S)

    def _state_hold(self, event: Any) -> Commands:
        by = self._watch
        assert by
        self._held.append(event)
        verdict, is_whole = Verdict.WAIT, isinstance(event, _events.ResponseEndOfMessage)
        if isinstance(event, _events.ResponseData):
            self._stop_timer()
            verdict = by.piece(event.data)
        elif is_whole:
            verdict = by.end()
        if verdict is Verdict.PASS:
            yield from self._pass(by)
        elif verdict is Verdict.FAILED:
            yield from self._fail(by, Failed.ANSWERED, is_open=not is_whole)

    def _state_drain(self, event: Any) -> Commands:
        self._held.append(event)
        is_whole = isinstance(event, _events.ResponseEndOfMessage)
        if (by := self._watch) and (is_whole or len(_body_of(self._held)) > MOST_DRAINED):
            yield from self._fail(by, Failed.ANSWERED, is_open=not is_whole)

    def handle_protocol_error(self, event: Any) -> Commands:
        by = self._watch
        if not by:
            yield from super().handle_protocol_error(event)
        elif isinstance(event, _events.ResponseProtocolError) and self.client_state == self.state_done:
            is_drained = self.server_state == self._state_drain
            yield from self._fail(by, Failed.ANSWERED if is_drained else Failed.CUT, event.message, event)
        else:
            # The client has gone.
            self._stop_timer()
            self._held = []
            self._unwatch()
            yield from super().handle_protocol_error(event)

    # The end of an attempt

    def _pass(self, by: Watch) -> Commands:
        """Hand what was held to mitmproxy's own states."""
        held, self._held = self._held, []
        self._unwatch()
        self._stop_timer()
        by.passed()
        if self._upstream_id == self.stream_id:
            # Chunks of the answer then take no more work than without a watch.
            self.__dict__.pop("_handle_event", None)
        self.server_state = super().state_wait_for_response_headers
        for event in held:
            yield from self.server_state(event)

    def _fail(self, by: Watch, how: Failed, message: str = "", error: Any = None, *, is_open: bool = False) -> Commands:
        """Ask for another attempt. If there is none, the client gets the answer, or `error`. `is_open` is whether the
        upstream may still send something."""
        self._stop_timer()
        head = self._held[0].response if self._held else None
        if head:
            head.data.content = _body_of(self._held)
        self.flow.response = head
        again = yield from self._ask(by, how, message)
        if again:
            self._held = []
            yield from self._cancel(is_open)
            yield from self._send_again()
            return
        if again is None:
            self._held = []
            self._unwatch()
            yield from self._cancel(is_open)
            return
        self.flow.response = None
        if head and how is Failed.ANSWERED:
            head.data.content = None
            yield from self._pass(by)
            if error and self.server_state not in (self.state_done, self.state_errored):
                # The answer broke off.
                yield from super().handle_protocol_error(error)
            return
        self._held = []
        self._unwatch()
        yield from self._cancel(is_open)
        # Nothing has gone out, so the client can still get a status.
        self.server_state = super().state_wait_for_response_headers
        yield from self.handle_protocol_error(error)

    def _ask(self, by: Watch, how: Failed, message: str) -> Generator[Any, Any, bool | None]:
        """Whether the request is to be sent again; None if the client has gone."""
        by.failure, by.message, by.again = how, message, False
        yield AttemptFailedHook(self.flow)
        if (yield from self.check_killed(True)):
            yield layers.DropStream(self.stream_id)
            return None
        if by.again:
            by.failure = None
        return by.again

    def _unwatch(self) -> None:
        _watched.pop(self.flow, None)

    def _send_again(self) -> Commands:
        self.server_state = self.state_wait_for_response_headers
        before, self._upstream_id = self._upstream_id, next(_numbers)
        self._http_layer.streams[self._upstream_id] = self
        if before != self.stream_id:
            self._http_layer.streams.pop(before, None)
        if not (yield from self.make_server_connection()):
            return
        if (yield from self.check_killed(True)):
            self._stop_timer()
            yield layers.DropStream(self.stream_id)
            return
        number, request, server = self._upstream_id, self.flow.request, self.context.server
        content, trailers = request.raw_content, request.trailers
        yield layers.SendHttp(_events.RequestHeaders(number, request, not (content or trailers)), server)
        if content:
            yield layers.SendHttp(_events.RequestData(number, content), server)
        if trailers:
            yield layers.SendHttp(_events.RequestTrailers(number, trailers), server)
        yield layers.SendHttp(_events.RequestEndOfMessage(number), server)

    def _cancel(self, is_open: bool) -> Commands:
        if is_open:
            yield layers.SendHttp(_cancelled(self._upstream_id), self.context.server)

    # Time

    def _wake_in(self, seconds: float) -> Commands:
        self._stop_timer()
        self._timer = commands.RequestWakeup(seconds)
        yield self._timer

    def _woken(self) -> Commands:
        by, timer, self._timer = self._watch, self._timer, None
        if not by or not timer:
            return
        if self.server_state == self._state_drain:
            yield from self._fail(by, Failed.ANSWERED, is_open=True)
        elif self.server_state in (self.state_wait_for_response_headers, self._state_hold):
            message = f"{NO_ANSWER} {timer.delay:g} seconds"
            yield from self._fail(by, Failed.TIMED_OUT, message, _too_late(self.stream_id, message), is_open=True)

    def _stop_timer(self) -> None:
        """A wakeup cannot be taken back, and would keep this object, and so the request, until then."""
        sources: dict[Any, Any] = self._http_layer.command_sources
        if self._timer in sources:
            sources[self._timer] = _NOBODY
        self._timer = None

    @property
    def _http_layer(self) -> layers.HttpLayer:
        above = self.context.layers[self.context.layers.index(self) - 1]
        assert isinstance(above, layers.HttpLayer)
        return above


class _Nobody:
    """Gets the wakeups that nothing waits for any more."""

    def handle_event(self, event: events.Event) -> Commands:
        return _nothing()


_NOBODY = _Nobody()


def _nothing() -> Commands:
    yield from ()


def _body_of(held: list[Any]) -> bytes:
    return b"".join(event.data for event in held if isinstance(event, _events.ResponseData))


# Errors have numbers up to mitmproxy 11, and an enum in later versions.
_codes: Any = getattr(_events, "ErrorCode", None)


def _unconnected(number: int, message: str) -> Any:
    code: Any = _codes.CONNECT_FAILED if _codes else 502
    return _events.ResponseProtocolError(number, message, code)


def _too_late(number: int, message: str) -> Any:
    error = _unconnected(number, message)
    # `layers.py` writes the response, and takes a status too.
    error.code = 504
    return error


def _cancelled(number: int) -> Any:
    code: Any = _codes.CANCEL if _codes else 499
    return _events.RequestProtocolError(number, "tried elsewhere", code)
