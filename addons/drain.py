"""Clean shutdown: stop listening, finish the calls under way, close the ledger."""

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable
from collections.abc import Callable

from mitmproxy import ctx
from mitmproxy import http
from mitmproxy.addons.proxyserver import Proxyserver

from addons.exchange import Exchanges
from addons.recorder import Recorder
from addons.translation.errors import refusal

PATIENCE_S = 8.0
"""How long calls under way may take to finish. Container managers kill a process after 10 seconds."""
CLOSING_S = 1.0
ENDING = "vertex-tap is shutting down; send the request again."

logger = logging.getLogger(__name__)


class Drain:
    """Finishes calls before the process ends. On SIGTERM and SIGINT, mitmproxy awaits `done` while it still relays
    traffic, and cancels everything afterwards."""

    def __init__(self, exchanges: Exchanges, recorder: Recorder) -> None:
        self._exchanges = exchanges
        self._recorder = recorder
        self._draining = False
        self._is_hurried = False

    @property
    def is_draining(self) -> bool:
        """Whether the process ends, and takes no more calls."""
        return self._draining

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if self._draining and (exchange := self._exchanges.get(flow)):
            exchange.refuse(flow, refusal(503, ENDING), None)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if self._draining and flow.response and flow.request.http_version.startswith("HTTP/1"):
            flow.response.headers["connection"] = "close"

    def done(self) -> Awaitable[None] | None:
        # Not a coroutine function: when mitmproxy reloads a script, it calls `done` without awaiting the result.
        if ctx.master.should_exit.is_set():
            return self._drain()
        self._recorder.interrupt()
        self._recorder.close()
        return None

    def hurry(self) -> None:
        """Wait for no call any longer."""
        self._is_hurried = True

    async def _drain(self) -> None:
        self._draining = True
        ctx.options.update(server=False)
        proxyserver = ctx.master.addons.get("proxyserver")
        if calls := self._recorder.calls_under_way:
            logger.info("vertex-tap: finishing %d call%s, Ctrl-C again to stop at once", calls, "s"[: calls > 1])
        # Replaces mitmproxy's handler, which only shuts down.
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self.hurry)
        await _until(
            lambda: self._is_hurried or not (self._recorder.calls_under_way or _unsent(proxyserver)), PATIENCE_S
        )
        self._recorder.interrupt()
        self._recorder.close()
        # Otherwise mitmproxy cancels the open connections, and logs a traceback for each.
        for handler in list(proxyserver.connections.values()):
            if handler.client in handler.transports:
                handler.close_connection(handler.client)
        await _until(lambda: not proxyserver.connections, CLOSING_S)


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        await asyncio.sleep(0.01)


def _unsent(proxyserver: Proxyserver) -> bool:
    """Whether a part of a response is still in a socket's write buffer, as the client reads slowly."""
    return any(
        io.writer.transport.get_write_buffer_size()
        for handler in proxyserver.connections.values()
        for io in handler.transports.values()
        if isinstance(io.writer, asyncio.StreamWriter)
    )
