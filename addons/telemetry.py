"""Sends spans and metrics of calls to an OpenTelemetry collector, if `OTEL_EXPORTER_OTLP_ENDPOINT` is set.

A call only puts its finished row into a queue; a thread does the rest (`otlp.py`). If the collector is away, slow or
refuses, the queue fills up, and further rows are not sent, but counted.
"""

import logging
import os
import threading
import time
from collections import deque
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING
from typing import NamedTuple

from mitmproxy import http

from addons.exchange import Exchange
from addons.recorder import Listener
from addons.recorder import Recorder
from metering.call import Call
from metering.written import Kept

if TYPE_CHECKING:
    from addons.otlp import Exports

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
MOST_WAITING = 2048
"""The most rows in the queue."""
MANY_WAITING = 512
"""How many rows are sent at once."""
CLOSING_S = 1.0
"""How long the end of the process may wait for the collector."""
SAY_LOST_S = 60.0

logger = logging.getLogger(__name__)


class Ended(NamedTuple):
    """A call that has ended, and the trace that it is part of (the header `traceparent`)."""

    call: Call
    traceparent: str | None


class Completed(NamedTuple):
    """The row of a call that had ended before, which a poll has completed."""

    before: Call
    after: Call


class Telemetry(Listener):
    """The queue and its thread. It comes after `drain` in the addon chain, so that the last calls have ended when it
    closes."""

    def __init__(self, recorder: Recorder) -> None:
        self.lost = 0
        """How many rows did not get to the collector."""
        self.metrics_lost = 0
        """How often the metrics did not."""
        self._waiting: deque[Ended | Completed] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._said, self._said_at = (0, 0), -SAY_LOST_S
        self._recorder = recorder

    def running(self) -> None:
        if not os.environ.get(ENDPOINT) or self._thread:
            return
        if not _is_installed():
            logger.warning(
                "vertex-tap: %s is set, but nothing is sent: install vertex-tap[otel], or unset it", ENDPOINT
            )
            return
        self._recorder.listeners.append(self)
        self._thread = threading.Thread(target=self._work, name="telemetry", daemon=True)
        self._thread.start()

    def done(self) -> None:
        self._closing = True
        self._wake.set()
        if self._thread:
            self._thread.join(CLOSING_S)

    # What the recorder tells

    def ended(self, exchange: Exchange, kept: Kept, flow: http.HTTPFlow | None) -> None:
        self._put(Ended(exchange.call, exchange.traceparent))

    def completed(self, before: Call, after: Call) -> None:
        self._put(Completed(before, after))

    def _put(self, row: Ended | Completed) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self.lost += 1
            return
        self._waiting.append(row)
        if len(self._waiting) == MANY_WAITING:
            self._wake.set()

    # The thread

    def _work(self) -> None:
        # The SDK takes long to import; calls need not wait for it.
        try:
            from addons.otlp import Exports

            exports = Exports()
        except Exception as e:
            logger.warning("vertex-tap: nothing is sent to the collector of %s (%s: %s)", ENDPOINT, type(e).__name__, e)
            self._recorder.listeners.remove(self)
            return
        spans_s, metrics_s = _seconds("OTEL_BSP_SCHEDULE_DELAY", 5.0), _seconds("OTEL_METRIC_EXPORT_INTERVAL", 60.0)
        metrics_at = time.monotonic() + metrics_s
        is_last = False
        while not is_last:
            self._wake.wait(spans_s)
            self._wake.clear()
            is_last = self._closing
            while self._waiting:
                self._send(exports)
            if is_last or time.monotonic() >= metrics_at:
                self._send_metrics(exports)
                metrics_at = time.monotonic() + metrics_s
            self._say_lost()

    def _send(self, exports: "Exports") -> None:
        rows = [self._waiting.popleft() for _ in range(min(len(self._waiting), MANY_WAITING))]
        try:
            for row in rows:
                if isinstance(row, Ended):
                    exports.take_ended(row.call, row.traceparent)
                else:
                    exports.take_completed(row.before, row.after)
            if not exports.send_spans():
                self.lost += len(rows)
        except Exception:
            # Whatever it is, the thread must go on; the rows are counted.
            self.lost += len(rows)

    def _send_metrics(self, exports: "Exports") -> None:
        sent = False
        with suppress(Exception):
            sent = exports.send_metrics()
        self.metrics_lost += not sent

    def _say_lost(self) -> None:
        lost, now = (self.lost, self.metrics_lost), time.monotonic()
        if lost != self._said and now - self._said_at >= SAY_LOST_S:
            logger.warning(
                "vertex-tap: the collector of %s does not take everything: the spans of %d calls are lost so far, and"
                " metrics were not taken %d times",
                ENDPOINT,
                *lost,
            )
            self._said, self._said_at = lost, now


def _is_installed() -> bool:
    """Whether the extra is there."""
    try:
        return all(find_spec(name) for name in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"))
    except ModuleNotFoundError:
        return False


def _seconds(variable: str, default: float) -> float:
    """The value of a variable that is in milliseconds."""
    text = os.environ.get(variable, "")
    return int(text) / 1000 if text.isdecimal() and int(text) else default
