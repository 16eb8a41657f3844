"""Times a call, reads its usage, commits its row."""

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Coroutine
from collections.abc import MutableMapping
from typing import ParamSpec
from typing import TypeVar
from weakref import WeakKeyDictionary
from weakref import WeakSet

from mitmproxy import connection
from mitmproxy import http
from mitmproxy import tls
from mitmproxy import websocket
from mitmproxy.flow import Error
from mitmproxy.proxy import server_hooks

from addons.classify import Classify
from addons.classify import Exchange
from addons.layers import CRASHED
from addons.layers import too_slow
from addons.live import LIVE_WORDS
from addons.live import LiveSession
from addons.live import ending_of
from addons.metered import Metered
from addons.metered import Told
from addons.metered import count_request
from addons.metered import perf_counter_at
from addons.metered import read_others
from addons.metered import take_times
from addons.options import Options
from addons.options import is_start
from addons.tap import Tap
from addons.upstream import LARGE
from addons.upstream import content_of
from addons.upstream import in_thread
from metering.budget import TooMuchWork
from metering.call import Call
from metering.call import ErrorType
from metering.call import Reading
from metering.call import State
from metering.call import UsageState
from metering.database import LedgerError
from metering.json_array import JsonDocument
from metering.ledger import Ledger
from metering.outcome import Ending
from metering.outcome import Outcome
from metering.outcome import outcome
from metering.paths import Target
from metering.request import Asked
from metering.request import asked
from metering.usage import ErrorReader
from metering.usage import PollReader
from metering.usage import Usage
from metering.usage import usage_of
from metering.usage.errors import rpc_code

logger = logging.getLogger(__name__)

UNANSWERED = (Ending.CLIENT_GONE, Ending.SHUTDOWN)
"""Endings after which the client gets nothing more. An addon that kills a flow, and a crash of mitmproxy's layers, end
a call as the end of the process does."""
LARGEST_HELD = 64 * 1024 * 1024
"""Bytes of a request beyond which it is passed on as it comes, and nothing is read of it."""


P = ParamSpec("P")
R = TypeVar("R")


def _harmless(hook: Callable[P, None]) -> Callable[P, None]:
    """Metering trouble never breaks traffic: an exception would also keep the hooks after ours from running."""

    @functools.wraps(hook)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            hook(*args, **kwargs)
        except Exception as e:
            logger.error("vertex-tap: metering failed in %s (%s)", hook.__name__, type(e).__name__)

    return guarded


def _harmless_later(hook: Callable[P, Awaitable[None]]) -> Callable[P, Coroutine[None, None, None]]:
    """The same for hooks that wait for a thread."""

    @functools.wraps(hook)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            await hook(*args, **kwargs)
        except Exception as e:
            logger.error("vertex-tap: metering failed in %s (%s)", hook.__name__, type(e).__name__)

    return guarded


class Meter:
    def __init__(self, options: Options, classify: Classify) -> None:
        self._options = options
        self._exchanges = classify.exchanges
        self._ledger: Ledger | None = None
        self._metered: MutableMapping[http.HTTPFlow, Metered] = WeakKeyDictionary()
        self._under_way: dict[http.HTTPFlow, Metered] = {}
        """Of those the ones that have not ended. Flows are held here: a row must be settled even if mitmproxy drops the
        flow without a word."""
        self._flows: MutableMapping[connection.Client, WeakSet[http.HTTPFlow]] = WeakKeyDictionary()
        """The calls of each client that is connected."""
        self._connect_errors: MutableMapping[connection.Client, dict[str | None, Ending]] = WeakKeyDictionary()
        """By client: what mitmproxy says of connections that failed, and what it means."""
        self._thread = asyncio.Semaphore(1)

    @property
    def calls_under_way(self) -> int:
        return len(self._under_way)

    def configure(self, updated: set[str]) -> None:
        if is_start(updated) and self._ledger is None:
            try:
                self._ledger = Ledger(self._options.configuration.settings.usage_db)
            except LedgerError as e:
                raise SystemExit(f"vertex-tap cannot start:\n  usage_db: {e}") from e

    @_harmless
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        exchange = self._exchanges.get(flow)
        if not exchange:
            return
        request, call = flow.request, exchange.call
        usage = usage_of(exchange.target, request.method, call.model)
        started = perf_counter_at(request.timestamp_start)
        metered = self._under_way[flow] = self._metered[flow] = Metered(exchange, usage, started)
        self._flows.setdefault(flow.client_conn, WeakSet()).add(flow)
        if exchange.credential and self._ledger:
            call.client = self._ledger.fingerprint(exchange.credential)
        # A malformed request is refused by mitmproxy.
        exchange.refused = exchange.refused or bool(flow.error)
        if exchange.refused or exchange.is_rewritten:
            return
        if _is_grpc(request) or _is_too_large(request, exchange):
            call.request_bytes = 0
            request.stream = functools.partial(count_request, metered)
            # Its head goes upstream before the request hook.
            self._open(metered)

    @_harmless_later
    async def request(self, flow: http.HTTPFlow) -> None:
        metered = self._under_way.get(flow)
        if not metered:
            return
        metered.received = perf_counter_at(flow.request.timestamp_end or time.time())
        exchange, body = metered.exchange, flow.request.raw_content
        if body is not None:
            exchange.call.request_bytes = len(body)
        is_known = not exchange.refused or exchange.call.error_type == ErrorType.NO_CREDENTIALS
        if body and exchange.target and _tells_more(exchange) and is_known:
            self._take_names(metered, await self._unhurried(len(body), _asked, exchange.target, flow.request))
        if not exchange.refused:
            self._open(metered)
        self.let_go(flow)

    def let_go(self, flow: http.HTTPFlow) -> None:
        """The request goes upstream now, for all that we have to do with it."""
        if metered := self._under_way.get(flow):
            metered.released, metered.released_at = time.perf_counter_ns(), time.time()

    @_harmless
    def server_connect_error(self, data: server_hooks.ServerConnectionHookData) -> None:
        errors = self._connect_errors.setdefault(data.client, {})
        # An addon that sets the error keeps mitmproxy from connecting.
        errors[data.server.error] = errors[f"Connection killed: {data.server.error}"] = Ending.NO_CONNECTION

    @_harmless
    def tls_failed_server(self, data: tls.TlsData) -> None:
        self._connect_errors.setdefault(data.context.client, {})[data.conn.error] = Ending.NO_TLS

    @_harmless
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        metered = self._under_way.get(flow)
        if not metered or metered.exchange.refused or metered.exchange.answered or not flow.response:
            return
        exchange, response = metered.exchange, flow.response
        call = exchange.call
        if response.timestamp_end is not None:
            # Another addon has answered: of an upstream's answer no more than the head is here.
            exchange.answered, call.upstream_host, call.upstream_path = True, None, None
            return
        if exchange.answered_by:
            metered.usage = usage_of(exchange.answered_by, exchange.answered_with, call.model)
        call.status = call.upstream_status = response.status_code
        connected = flow.server_conn.timestamp_tls_setup or flow.server_conn.timestamp_tcp_setup or 0.0
        if metered.released:
            metered.connecting = max(0, int((connected - metered.released_at) * 1e9))
        if response.status_code == 101:
            call.streamed = True
            return
        if _is_grpc(response):
            metered.usage = Usage(None, UsageState.UNSUPPORTED)
        elif response.status_code >= 400:
            metered.usage = Usage(ErrorReader(), metered.usage.state)
        on_end = functools.partial(self._settle, metered, Ending.COMPLETE)
        metered.tap = Tap(response, metered.usage, on_end)
        if not exchange.repeated:
            response.stream = metered.tap
        answered = exchange.answered_by or exchange.target
        in_array = getattr(answered, "operation", None) == "streamGenerateContent" and response.status_code < 400
        call.streamed = metered.tap.event_stream or in_array

    @_harmless
    def websocket_message(self, flow: http.HTTPFlow) -> None:
        assert flow.websocket
        # The dumper still wants the current message; none is kept beyond it.
        del flow.websocket.messages[:-1]
        metered = self._under_way.get(flow)
        if not metered:
            return
        message, call = flow.websocket.messages[-1], metered.exchange.call
        if message.from_client:
            if call.model is None and metered.exchange.target and b"setup" in message.content:
                self._take_names(metered, asked(metered.exchange.target, "", message.content))
                if call.model and self._ledger:
                    self._ledger.commit(call)
            call.request_bytes = (call.request_bytes or 0) + len(message.content)
            return
        call.response_bytes = (call.response_bytes or 0) + len(message.content)
        self._read_live(metered, message.content)

    @_harmless
    def websocket_end(self, flow: http.HTTPFlow) -> None:
        assert flow.websocket
        flow.websocket.messages.clear()
        self._under_way.pop(flow, None)

    @_harmless
    def _end_live(self, metered: Metered, session: websocket.WebSocketData) -> None:
        ending, error_type = ending_of(session)
        if error_type and metered.usage.reader:
            metered.usage.reader.reading.error_type = error_type
        self._settle(metered, ending)

    @_harmless_later
    async def response(self, flow: http.HTTPFlow) -> None:
        if flow.websocket:
            if live := self._under_way.get(flow):
                flow.websocket = LiveSession(functools.partial(self._end_live, live))
            return
        metered = self._under_way.get(flow)
        if not metered or not flow.response:
            return
        call = metered.exchange.call
        metered.others = read_others(metered.exchange)
        if metered.exchange.answered or metered.exchange.refused:
            call.status, call.attempts = flow.response.status_code, 0
            call.response_bytes = len(flow.response.raw_content or b"")
            metered.usage = Usage(None, UsageState.NOT_APPLICABLE)
            self._settle(metered, Ending.REFUSED if metered.exchange.refused else Ending.COMPLETE)
        elif tap := metered.tap:
            if not tap.complete:
                # It is held, or ends with its headers.
                content = flow.response.raw_content or b""
                await self._unhurried(len(content), tap.take, content)
                tap.end()
            if _is_grpc(flow.response):
                self._take_grpc_status(call, flow.response)
        else:
            # Some other protocol takes over.
            metered.usage = Usage(None, UsageState.UNSUPPORTED)
            self._settle(metered, Ending.COMPLETE)
        if not metered.exchange.held:
            self._under_way.pop(flow, None)

    @_harmless
    def error(self, flow: http.HTTPFlow) -> None:
        metered = self._under_way.pop(flow, None)
        if not metered or not flow.error:
            return
        call, ending = metered.exchange.call, self._ending(flow)
        if metered.exchange.refused or (ending not in UNANSWERED and not call.attempts):
            # mitmproxy answers a malformed request; an answer of ours has not gone out.
            call.status, ending = None if flow.response else 400, Ending.REFUSED
            call.error_type = call.error_type or ErrorType.BAD_REQUEST
        elif flow.error.msg == Error.KILLED_MESSAGE:
            call.status = None
        elif ending not in UNANSWERED and not (flow.response and flow.response.stream):
            call.status = 502
        self._break_off(metered, ending)

    @_harmless
    def client_disconnected(self, client: connection.Client) -> None:
        """Settles what no other hook has ended: mitmproxy calls none when its layers have crashed."""
        for flow in self._flows.pop(client, ()):
            if metered := self._under_way.pop(flow, None):
                gone = Ending.SHUTDOWN if client.error == CRASHED else Ending.CLIENT_GONE
                self._break_off(metered, Ending.REFUSED if metered.exchange.refused else gone)

    @_harmless
    def correct(self, flow: http.HTTPFlow, status: int) -> None:
        """The client is told an error, with this status, where the upstream's framing told of none."""
        metered = self._metered[flow]
        metered.told, metered.settled_at = Told(status, None, broke=True), None
        self._settle(metered, Ending.CUT)

    @_harmless
    def end_held(self, flow: http.HTTPFlow, told: "Told | None") -> None:
        """The client gets what an answer that was held has become."""
        if metered := self._under_way.pop(flow, None):
            metered.exchange.held, metered.told = False, told
            self._settle(metered, Ending.CUT if told and told.broke else Ending.COMPLETE)

    def interrupt(self) -> None:
        """Settle what is under way: the process ends."""
        while self._under_way:
            self._break_off(self._under_way.popitem()[1], Ending.SHUTDOWN)

    def _break_off(self, metered: Metered, ending: Ending) -> None:
        """Settle a call that has not come to its end."""
        if metered.exchange.held and ending in UNANSWERED:
            # Nothing has gone out yet.
            metered.exchange.call.status = None
        metered.others = read_others(metered.exchange)
        if metered.tap:
            metered.tap.flush()
        self._settle(metered, ending)

    def close(self) -> None:
        if self._ledger:
            self._ledger.close()
        self._ledger = None

    def _open(self, metered: Metered) -> None:
        """Commit the row before the request goes upstream."""
        metered.exchange.call.attempts = 1
        if self._ledger:
            self._ledger.commit(metered.exchange.call)

    def _settle(self, metered: Metered, ending: Ending) -> None:
        """Commit the row as it is at the end; again only if more of the answer has come since."""
        if metered.exchange.held and ending is Ending.COMPLETE:
            return
        length = metered.tap.bytes if metered.tap else 0
        if metered.settled_at == length:
            return
        metered.settled_at = length
        call, usage = metered.exchange.call, metered.tap.usage if metered.tap else metered.usage
        reading = functools.reduce(Reading.plus, metered.others, usage.reader.reading if usage.reader else Reading())
        event_stream = metered.tap is not None and metered.tap.event_stream
        ended = outcome(ending, call.upstream_status, usage, reading, event_stream=event_stream)
        if told := metered.told:
            call.status, call.error_type = told.status, told.error_type
            known = UsageState.PARTIAL if reading.counted else UsageState.ABSENT
            if told.broke:
                ended = Outcome(State.UPSTREAM_FAILED, known, reading.error_type or ErrorType.UPSTREAM_CUT)
            elif told.of_another:
                ended = Outcome(State.DONE, known, told.error_type)
        call.take(reading)
        if ended.usage_state == UsageState.UNSUPPORTED:
            # What was read before an answer turned out to be too much work is not all.
            call.forget_counts()
        call.state, call.usage_state = ended.state, ended.usage_state
        call.error_type = ended.error_type or call.error_type
        if metered.tap:
            call.response_bytes = length
        take_times(metered)
        settlement = usage.reader.settlement if isinstance(usage.reader, PollReader) else None
        if self._ledger:
            self._ledger.commit(call, settlement)

    async def _unhurried(self, size: int, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What is large goes into a thread, one at a time: of several the event loop would have to wait for each."""
        if size <= LARGE:
            return step(*args, **kwargs)
        async with self._thread:
            return await in_thread(step, *args, **kwargs)

    def _take_names(self, metered: Metered, said: Asked) -> None:
        call = metered.exchange.call
        if said.model and (call.model is None or call.model == "count-tokens"):
            call.model, call.publisher = said.model, said.publisher or call.publisher
        call.project, call.location = call.project or said.project, call.location or said.location
        call.usage_raw = said.usage_raw

    def _read_live(self, metered: Metered, content: bytes) -> None:
        reader, call = metered.usage.reader, metered.exchange.call
        if not reader or not (any(word in content for word in LIVE_WORDS) or not reader.reading.content):
            return
        metered.budget.earn(len(content))
        document = JsonDocument(reader.wanted, metered.budget)
        try:
            document.feed(content)
            reader.read(document.close())
        except TooMuchWork as e:
            logger.warning("vertex-tap: a Live connection is no longer metered: %s", e)
            metered.usage = Usage(None, UsageState.UNSUPPORTED)
            return
        metered.budget.rest()
        if reader.reading.content and call.ttft_us is None and metered.released:
            call.ttft_us = (time.perf_counter_ns() - metered.released - metered.connecting) // 1000
        if reader.reading.counted and self._ledger:
            call.take(reader.reading)
            self._ledger.commit(call)

    def _take_grpc_status(self, call: Call, response: http.Response) -> None:
        """HTTP says 200 whatever happened; the trailers tell (or the headers, if there is nothing else)."""
        fields = response.trailers or response.headers
        if (code := fields.get("grpc-status", "0")) != "0" and self._ledger:
            call.error_type = rpc_code(code)
            self._ledger.commit(call)

    def _ending(self, flow: http.HTTPFlow) -> Ending:
        """Which side ended a flow, and how. mitmproxy says so in words only."""
        assert flow.error
        client, server, message = flow.client_conn, flow.server_conn, flow.error.msg
        if client.error == CRASHED or message == Error.KILLED_MESSAGE:
            return Ending.SHUTDOWN
        if not client.state & connection.ConnectionState.CAN_READ:
            return Ending.CLIENT_GONE
        if message == too_slow():
            return Ending.NO_CONNECTION
        if message.startswith("stream reset by client"):
            # mitmproxy says "client" of both sides; only clients cancel.
            by_client = "CANCEL" in message or server.alpn != b"h2"
            return Ending.CLIENT_GONE if by_client else Ending.CUT
        return self._connect_errors.get(client, {}).get(message, Ending.CUT)


def _is_too_large(request: http.Request, exchange: Exchange) -> bool:
    """Whether the body may not be held. One whose size is not announced is held only for what nothing else tells."""
    length = request.headers.get("content-length", "")
    if length.isdecimal():
        return len(length) > 19 or int(length) > LARGEST_HELD
    return "transfer-encoding" in request.headers and not _tells_more(exchange)


def _tells_more(exchange: Exchange) -> bool:
    """Whether a request says in its body what its path does not."""
    asked, model = exchange.target, exchange.call.model
    return asked is not None and (model in (None, "count-tokens") or asked.operation == "predictLongRunning")


def _asked(target: Target, request: http.Request) -> Asked:
    return asked(target, request.headers.get("content-type", ""), content_of(request))


def _is_grpc(message: http.Message) -> bool:
    return str(message.headers.get("content-type", "")).startswith("application/grpc")
