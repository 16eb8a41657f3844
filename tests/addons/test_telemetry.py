import logging
import time
from collections.abc import Callable
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from addons import otlp
from addons import telemetry
from addons.classify import Classify
from addons.configuration.settings import read
from addons.exchange import Exchange
from addons.options import Options
from addons.recorder import Recorder
from addons.telemetry import MOST_WAITING
from addons.telemetry import Telemetry
from metering.call import Call
from metering.written import Kept
from tests.addons.test_otlp import TRACEPARENT
from tests.addons.test_otlp import ended
from tests.collector import Collector
from tests.configuration import DEFAULTS
from tests.process import until

CONFIGURATION = read(DEFAULTS, [])
Start = Callable[..., tuple[Telemetry, Recorder]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts telemetry that goes to a URL."""
    running = []

    def started(url: str, pause_ms: int = 20) -> tuple[Telemetry, Recorder]:
        monkeypatch.setenv(telemetry.ENDPOINT, url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", str(pause_ms))
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", str(pause_ms))
        options = Options()
        options.configuration = CONFIGURATION
        recorder = Recorder(options, Classify(options).exchanges)
        one = Telemetry(recorder)
        one.running()
        running.append(one)
        return one, recorder

    yield started
    for one in running:
        one.done()


def end(recorder: Recorder, call: Call) -> None:
    exchange = Exchange(call, None, "", "", None, CONFIGURATION)
    exchange.note_trace(TRACEPARENT)
    for listener in recorder.listeners:
        listener.ended(exchange, Kept.COMMITTED, None)


def test_rows_get_to_the_collector(start: Start) -> None:
    with Collector() as collector:
        one, recorder = start(collector.url)
        end(recorder, ended())
        for listener in recorder.listeners:
            listener.completed(ended(usage_state="absent", output_tokens=None), ended())
        (span,) = until(lambda: collector.spans)
        assert TRACEPARENT.split("-")[1:3] == [span.trace_id.hex(), span.parent_span_id.hex()]
        usage = until(lambda: collector.metrics.get("gen_ai.client.inference.usage.output_tokens"))
        assert sum(point.as_int for point in usage.sum.data_points) >= 30
        assert one.lost == 0


def test_what_has_not_been_sent_is_sent_at_the_end(start: Start) -> None:
    with Collector() as collector:
        one, recorder = start(collector.url, pause_ms=60_000)
        end(recorder, ended())
        one.done()
        assert len(collector.spans) == 1
        assert "gen_ai.client.operation.duration" in collector.metrics


def test_many_rows_do_not_wait(start: Start) -> None:
    with Collector() as collector:
        _, recorder = start(collector.url, pause_ms=60_000)
        for _ in range(telemetry.MANY_WAITING):
            end(recorder, ended())
        until(lambda: len(collector.spans) == telemetry.MANY_WAITING)


class TestTrouble:
    def test_a_collector_that_hangs(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(telemetry, "CLOSING_S", 0.2)
        with Collector(hangs=True) as collector:
            one, recorder = start(collector.url)
            end(recorder, ended())
            until(lambda: not one._waiting)
            began = time.monotonic()
            for _ in range(MOST_WAITING + 10):
                end(recorder, ended())
            spent = time.monotonic() - began
            # Each takes 5 microseconds, and would take seconds if it waited for the collector.
            assert spent < 30
            assert len(one._waiting) == MOST_WAITING
            assert one.lost == 10
            began = time.monotonic()
            one.done()
            # The collector is given 10 seconds for an answer.
            assert time.monotonic() - began < 8

    def test_a_collector_that_refuses(self, start: Start, caplog: pytest.LogCaptureFixture) -> None:
        with Collector(400) as collector, caplog.at_level(logging.DEBUG):
            one, recorder = start(collector.url)
            end(recorder, ended())
            until(lambda: one.lost == 1)
            end(recorder, ended())
            until(lambda: one.lost == 2 and one.metrics_lost > 3)
        assert one._thread
        # The thread of a test before may still be there.
        records = [record for record in caplog.records if record.thread == one._thread.ident]
        lines = [record.getMessage() for record in records if record.levelno >= logging.INFO]
        assert len(lines) == 1, lines
        assert "does not take everything" in lines[0]

    def test_a_collector_that_is_away(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        with Collector() as collector:
            url = collector.url
        one, recorder = start(url)
        end(recorder, ended())
        until(lambda: one.lost == 1)

    def test_a_row_that_cannot_be_sent(self, start: Start) -> None:
        with Collector() as collector:
            one, recorder = start(collector.url)
            end(recorder, ended(started_at=-(2**80)))
            until(lambda: one.lost == 1)
            end(recorder, ended())
            until(lambda: collector.spans)

    def test_the_extra_is_missing(
        self, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(telemetry, "find_spec", lambda name: find_spec(f"not_there.{name}"))
        _, recorder = start("http://127.0.0.1:9")
        assert recorder.listeners == []
        (record,) = caplog.records
        assert record.getMessage() == (
            "vertex-tap: OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing is sent: install vertex-tap[otel], or unset it"
        )

    def test_an_sdk_that_does_not_start(
        self, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken() -> None:
            raise ValueError("no such certificate")

        monkeypatch.setattr(otlp, "Exports", broken)
        _, recorder = start("http://127.0.0.1:9")
        until(lambda: recorder.listeners == [])
        assert (
            "nothing is sent to the collector of OTEL_EXPORTER_OTLP_ENDPOINT (ValueError: no such certificate)"
            in caplog.text
        )

    def test_the_variable_is_not_set(self, start: Start, caplog: pytest.LogCaptureFixture) -> None:
        _, recorder = start("")
        assert (recorder.listeners, caplog.records) == ([], [])
