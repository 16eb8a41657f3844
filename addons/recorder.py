"""Writes the ledger row of every call: opens it before the request goes upstream, and settles it before the client can
see the end of the response.

Everything that can end a call is noticed here: the end of its response, an error, a client that disconnects, a crash of
mitmproxy's layers, the end of the process.
"""

import logging
import sqlite3
import time
from collections.abc import Callable
from collections.abc import MutableMapping
from weakref import WeakKeyDictionary
from weakref import WeakSet

from mitmproxy import connection
from mitmproxy import http
from mitmproxy import tls
from mitmproxy.flow import Error
from mitmproxy.proxy import server_hooks

from addons.again import NO_ANSWER
from addons.attempts import attempt_rows
from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.exchange import harmless
from addons.layers import CRASHED
from addons.layers import too_slow
from addons.metered import Told
from addons.options import Options
from addons.options import is_start
from addons.progress import Progress
from metering.call import Call
from metering.call import Settlement
from metering.call import State
from metering.database import LedgerError
from metering.ledger import Ledger
from metering.outcome import UNFINISHED
from metering.outcome import Ending
from metering.written import Kept

logger = logging.getLogger(__name__)

UNANSWERED = (Ending.CLIENT_GONE, Ending.SHUTDOWN)
"""Endings after which the client gets nothing more. SHUTDOWN also stands for a flow that an addon has killed, and for a
crash of mitmproxy's layers."""


class Listener:
    """Is told what the recorder writes: metrics, for example. Calls wait while it listens, so it must be quick."""

    def wrote(self, seconds: float) -> None:
        """A row was written, open or final; it took so long."""

    def ended(self, exchange: Exchange, kept: Kept, flow: http.HTTPFlow | None) -> None:
        """A call has ended. Told once, when its row is final; `kept` is where that is. There is no flow for the second
        and later responses on a WebSocket connection."""

    def completed(self, before: Call, after: Call) -> None:
        """A poll has completed the row of a call that had ended earlier, perhaps in another process."""


class Unconnected:
    """What mitmproxy's error messages for failed upstream connections stand for."""

    def __init__(self) -> None:
        self._errors: MutableMapping[connection.Client, dict[str | None, Ending]] = WeakKeyDictionary()
        """Client connection -> message -> ending."""

    def note(self, client: connection.Client, message: str | None, ending: Ending) -> None:
        errors = self._errors.setdefault(client, {})
        # mitmproxy adds the prefix if an addon has set the error to prevent the connection.
        errors[message] = errors[f"Connection killed: {message}"] = ending

    def ending(self, client: connection.Client, message: str) -> Ending | None:
        """The ending that a message stands for; None if it is not about a connection that failed."""
        return self._errors.get(client, {}).get(message)


class Recorder:
    """Writes the rows. It comes after every addon that may still change a request."""

    def __init__(self, options: Options, exchanges: Exchanges) -> None:
        self.listeners: list[Listener] = []
        self._options = options
        self._exchanges = exchanges
        self._ledger: Ledger | None = None
        self._under_way: dict[http.HTTPFlow, Exchange] = {}
        """The calls that are not settled. This keeps their flows alive: a row must be settled even if mitmproxy drops
        the flow without calling a hook."""
        self._flows: MutableMapping[connection.Client, WeakSet[http.HTTPFlow]] = WeakKeyDictionary()
        """Client connection -> the flows of its calls."""
        self._unconnected = Unconnected()
        self._kept: MutableMapping[Exchange, Kept] = WeakKeyDictionary()
        """Call whose row is closed -> where that is, until the listeners are told."""

    @property
    def instance(self) -> str | None:
        """The id of this process in the ledger; None if no ledger is open."""
        return self._ledger.instance if self._ledger else None

    @property
    def open_rows(self) -> int:
        """The number of rows that are open."""
        return self._ledger.open_rows if self._ledger else 0

    @property
    def calls_under_way(self) -> int:
        """The number of calls that are not settled."""
        return len(self._under_way)

    @property
    def is_well(self) -> bool:
        """Whether rows get into the ledger."""
        return self._ledger is not None and self._ledger.is_well

    def configure(self, updated: set[str]) -> None:
        if is_start(updated) and self._ledger is None:
            try:
                self._ledger = Ledger(self._options.configuration.settings.usage_db)
            except LedgerError as e:
                raise SystemExit(f"vertex-tap cannot start:\n  usage_db: {e}") from e

    @harmless
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        exchange = self._exchanges.get(flow)
        if not exchange:
            return
        self._under_way[flow] = exchange
        self._flows.setdefault(flow.client_conn, WeakSet()).add(flow)
        if flow.request.stream and not exchange.is_over:
            # The body is streamed, so the headers go upstream before the request hook.
            self._open(flow, exchange)

    @harmless
    def request(self, flow: http.HTTPFlow) -> None:
        exchange = self._under_way.get(flow)
        if not exchange:
            return
        if not exchange.is_over:
            self._open(flow, exchange)
        exchange.metered.mark_released()

    @harmless
    def server_connect_error(self, data: server_hooks.ServerConnectionHookData) -> None:
        self._unconnected.note(data.client, data.server.error, Ending.NO_CONNECTION)

    @harmless
    def tls_failed_server(self, data: tls.TlsData) -> None:
        self._unconnected.note(data.context.client, data.conn.error, Ending.NO_TLS)

    @harmless
    def response(self, flow: http.HTTPFlow) -> None:
        exchange = self._under_way.get(flow)
        if exchange and not exchange.is_held and not flow.websocket:
            if exchange.metered.settled_at is None:
                # An earlier hook has failed to settle it.
                self.settle(exchange, Ending.COMPLETE)
            self._end(flow, exchange)

    @harmless
    def websocket_end(self, flow: http.HTTPFlow) -> None:
        if exchange := self._under_way.get(flow):
            self._end(flow, exchange)

    @harmless
    def error(self, flow: http.HTTPFlow) -> None:
        exchange = self._under_way.get(flow)
        if not exchange or not flow.error:
            return
        ending = self._ending(flow)
        if exchange.is_refused or (ending not in UNANSWERED and not exchange.attempts):
            # mitmproxy has answered a malformed request, or our own response could not be sent.
            ending = Ending.REFUSED
            exchange.refuse_unanswered()
            exchange.metered.tell_status(None if flow.response else 400)
        elif flow.error.msg == Error.KILLED_MESSAGE:
            exchange.metered.tell_status(None)
        elif ending not in UNANSWERED and not (flow.response and flow.response.stream):
            exchange.metered.tell_status(504 if ending is Ending.TIMED_OUT else 502)
        self._break_off(flow, exchange, ending)

    @harmless
    def client_disconnected(self, client: connection.Client) -> None:
        """Settles the calls of a client that are still open, as mitmproxy calls no other hook after its layers have
        crashed."""
        for flow in self._flows.pop(client, ()):
            if exchange := self._under_way.get(flow):
                gone = Ending.SHUTDOWN if client.error == CRASHED else Ending.CLIENT_GONE
                self._break_off(flow, exchange, Ending.REFUSED if exchange.is_refused else gone)

    # Methods for other addons

    @harmless
    def settle(self, exchange: Exchange, ending: Ending) -> None:
        """Settle the row and commit it. If it is settled already, this only does something if more of the response has
        come."""
        metered = exchange.metered
        others = [one.reading for one in exchange.others if one.reading and not one.is_error]
        failed = [one.reading for one in exchange.attempts if one.reading and (one.row or one.answer is None)]
        if metered.settle(ending, others, failed, exchange.refused_as):
            exchange.call.tries = attempt_rows(exchange.call, exchange.attempts, metered.reading)
            self._write(exchange, metered.settlement)

    def why_unconnected(self, flow: http.HTTPFlow, message: str) -> str | None:
        """The `error_type` of an attempt for which no connection could be made; `message` is mitmproxy's."""
        return UNFINISHED[self._unconnected.ending(flow.client_conn, message) or Ending.NO_CONNECTION][1]

    @harmless
    def commit(self, exchange: Exchange) -> None:
        """Commit the row with what is known now."""
        self._write(exchange)

    @harmless
    def correct(self, exchange: Exchange, status: int) -> None:
        """Settle the row as cut off: the client gets an error with this status inside a response that seemed
        complete."""
        exchange.metered.tell_again(Told(status, None, broke=True))
        self.settle(exchange, Ending.CUT)

    @harmless
    def end_held(self, flow: http.HTTPFlow, told: Told | None) -> None:
        """Settle a call whose response was held, now that it is converted. `told` is the error that the client gets, if
        any."""
        exchange = self._under_way.get(flow)
        if exchange:
            exchange.metered.tell(told)
            self.settle(exchange, Ending.CUT if told and told.broke else Ending.COMPLETE)
            self._end(flow, exchange)

    @harmless
    def end_turn(self, exchange: Exchange) -> None:
        """Note that a response on a WebSocket connection has ended, whose row may be that of the connection."""
        flows = (flow for flow, one in self._under_way.items() if one is exchange)
        self._tell_ended(exchange, next(flows, None))

    def change(self, step: Callable[[sqlite3.Connection], Call | None]) -> bool:
        """Run a step in a transaction of the ledger's; `Ledger.change` describes it."""
        return self._ledger is not None and self._ledger.change(step)

    def interrupt(self) -> None:
        """Settle all calls under way, as the process ends."""
        for flow, exchange in list(self._under_way.items()):
            self._break_off(flow, exchange, Ending.SHUTDOWN)

    def close(self) -> None:
        """Close the ledger. Nothing is recorded afterwards."""
        if self._ledger:
            self._ledger.close()
        self._ledger = None

    # How a call begins and ends

    def _open(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Commit the open row, before the request goes upstream."""
        if not exchange.attempts:
            exchange.note_sent(flow.request.method)
        self.commit(exchange)

    def _write(self, exchange: Exchange, settlement: Settlement | None = None) -> None:
        if not self._ledger:
            return
        if exchange.credential and exchange.call.client is None:
            exchange.call.client = self._ledger.fingerprint(exchange.credential)
        began = time.perf_counter()
        written = self._ledger.commit(exchange.call, settlement)
        seconds = time.perf_counter() - began
        if exchange.call.state != State.OPEN:
            self._kept[exchange] = written.kept

        def tell(listener: Listener) -> None:
            listener.wrote(seconds)
            for before, after in written.completed:
                listener.completed(before, after)

        self._tell(tell)

    def _end(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        self._under_way.pop(flow, None)
        exchange.move(Progress.SETTLED)
        # Consoles keep flows, and the call's data must not be kept with them.
        self._exchanges.pop(flow, None)
        self._tell_ended(exchange, flow)

    @harmless
    def _tell_ended(self, exchange: Exchange, flow: http.HTTPFlow | None) -> None:
        """Tell the listeners that the row of a call is final, if they have not been told yet."""
        if kept := self._kept.pop(exchange, None):
            self._tell(lambda listener: listener.ended(exchange, kept, flow))

    def _tell(self, tell: Callable[[Listener], None]) -> None:
        for listener in self.listeners:
            try:
                tell(listener)
            except Exception as e:
                # The row must be written, and others told, all the same.
                logger.error("vertex-tap: %s has failed (%s)", type(listener).__name__, type(e).__name__)

    def _break_off(self, flow: http.HTTPFlow, exchange: Exchange, ending: Ending) -> None:
        """Settle a call that has ended early."""
        if exchange.is_held and ending in UNANSWERED:
            # The client has got nothing yet.
            exchange.metered.tell_status(None)
        if exchange.metered.tap:
            exchange.metered.tap.break_off()
        for call in (exchange, *exchange.turns):
            self.settle(call, ending)
            if call is not exchange:
                self._tell_ended(call, None)
        self._end(flow, exchange)

    def _ending(self, flow: http.HTTPFlow) -> Ending:
        """How a flow ended, and which side ended it. mitmproxy reports that only in the text of `flow.error`."""
        assert flow.error
        client, server, message = flow.client_conn, flow.server_conn, flow.error.msg
        if client.error == CRASHED or message == Error.KILLED_MESSAGE:
            return Ending.SHUTDOWN
        if not client.state & connection.ConnectionState.CAN_READ:
            return Ending.CLIENT_GONE
        if message == too_slow():
            return Ending.NO_CONNECTION
        if message.startswith(NO_ANSWER):
            return Ending.TIMED_OUT
        if message.startswith("stream reset by client"):
            # mitmproxy says "client" for either side, but only clients cancel.
            by_client = "CANCEL" in message or server.alpn != b"h2"
            return Ending.CLIENT_GONE if by_client else Ending.CUT
        return self._unconnected.ending(client, message) or Ending.CUT
