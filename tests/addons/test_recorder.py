"""When rows are written, and what they say of how a call has ended."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from typing import ClassVar

import pytest
from mitmproxy import connection as connections
from mitmproxy import flow as flows
from mitmproxy import http
from mitmproxy.hooks import all_hooks
from mitmproxy.proxy import mode_specs
from mitmproxy.test import tflow

from addons.attempts import Attempt
from addons.classify import Classify
from addons.configuration.settings import OPTIONS
from addons.configuration.settings import read
from addons.exchange import Exchange
from addons.meter import Meter
from addons.metered import Told
from addons.metered import read_answer
from addons.options import Options
from addons.progress import Progress
from addons.recorder import Listener
from addons.recorder import Recorder
from metering.database import open_for_reading
from metering.outcome import Ending
from metering.paths import parse
from metering.verify import verify
from metering.written import Kept
from tests.configuration import DEFAULTS
from tests.http import PROJECT
from tests.process import Row


def answer(status: int = 200, **members: Any) -> http.Response:
    """Gemini's, of 2 tokens for 3."""
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    body = {"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage} | members
    return http.Response.make(status, json.dumps(body), {"content-type": "application/json"})


def started(ledger: Path, request: http.Request) -> tuple[http.HTTPFlow, Exchange, Meter, Recorder]:
    """A call whose headers have met the addons that measure and record it."""
    options = Options()
    options.configuration = read(DEFAULTS | {"usage_db": str(ledger)}, [])
    classify = Classify(options)
    recorder = Recorder(options, classify.exchanges)
    recorder.configure(set(OPTIONS))
    meter = Meter(classify.exchanges, recorder)
    flow = tflow.tflow(req=request)
    flow.client_conn.proxy_mode = mode_specs.ProxyMode.parse("reverse:http://127.0.0.1")
    request.timestamp_start = request.timestamp_end = time.time()
    for addon in (classify, meter, recorder):
        addon.requestheaders(flow)
    return flow, classify.exchanges[flow], meter, recorder


class Held:
    """A call whose answer has come whole, and is held as it will be another."""

    ASKED = parse("POST", f"{PROJECT}/publishers/google/models/gemini-2.5-flash:generateContent")

    def __init__(self, ledger: Path, response: http.Response, *others: http.Response) -> None:
        self._ledger = ledger
        request = http.Request.make("POST", "http://127.0.0.1/v1/chat/completions")
        flow, self.exchange, meter, self.recorder = started(ledger, request)
        self.flow = flow
        self.exchange.move(Progress.AWAITS_BODY)
        asyncio.run(meter.request(flow))
        self.exchange.note_rewritten(Attempt(self.ASKED, "POST"), is_other=True)
        self.recorder.request(flow)
        flow.response = response
        # An upstream's: its head is here, its body not yet.
        response.timestamp_end = None
        meter.responseheaders(flow)
        response.stream = False
        self.exchange.move(Progress.HELD)
        for other in others:
            reading = read_answer(self.ASKED, "POST", None, other)
            self.exchange.add_attempt(Attempt(self.ASKED, "POST").answered(other, reading))
        asyncio.run(meter.response(flow))
        self.recorder.response(flow)

    @property
    def row(self) -> Row:
        with closing(open_for_reading(self._ledger)) as db:
            return dict(db.execute("SELECT * FROM calls").fetchone())


class Heard(Listener):
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None, Kept]] = []
        self.flows: list[http.HTTPFlow | None] = []
        self.written = 0

    def wrote(self, seconds: float) -> None:
        assert 0 < seconds < 60
        self.written += 1

    def ended(self, exchange: Exchange, kept: Kept, flow: http.HTTPFlow | None) -> None:
        self.calls.append((exchange.call.id, exchange.call.usage_state, kept))
        self.flows.append(flow)


class TestListeners:
    @pytest.fixture
    def held(self, tmp_path: Path) -> Iterator[Held]:
        one = Held(tmp_path / "held.db", answer())
        yield one
        one.recorder.close()

    def test_they_hear_of_the_end_once(self, held: Held) -> None:
        heard = Heard()
        held.recorder.listeners.append(heard)
        held.recorder.settle(held.exchange, Ending.COMPLETE)
        assert (heard.written, heard.calls) == (1, [])
        held.recorder.end_held(held.flow, None)
        held.recorder.end_turn(held.exchange)
        assert heard.calls == [(held.exchange.call.id, "final", Kept.COMMITTED)]
        assert heard.flows == [held.flow]

    def test_they_hear_of_what_the_end_of_the_process_breaks_off(self, held: Held) -> None:
        heard = Heard()
        held.recorder.listeners.append(heard)
        held.recorder.interrupt()
        assert [usage_state for _, usage_state, _ in heard.calls] == ["final"]

    def test_what_they_break_does_no_harm(self, held: Held, caplog: pytest.LogCaptureFixture) -> None:
        class Broken(Listener):
            def ended(self, exchange: Exchange, kept: Kept, flow: http.HTTPFlow | None) -> None:
                raise RuntimeError

        heard = Heard()
        held.recorder.listeners += [Broken(), heard]
        held.recorder.end_held(held.flow, None)
        assert (held.row["state"], held.recorder.calls_under_way) == ("done", 0)
        assert len(heard.calls) == 1
        assert "Broken has failed (RuntimeError)" in caplog.text


class TestHeld:
    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Path:
        return tmp_path / "held.db"

    @pytest.fixture
    def held(self, ledger: Path) -> Iterator[Held]:
        one = Held(ledger, answer())
        yield one
        one.recorder.close()

    def test_it_is_open_until_it_has_become_another(self, held: Held) -> None:
        assert (held.row["state"], held.recorder.calls_under_way) == ("open", 1)
        held.recorder.end_held(held.flow, None)
        assert (held.row["state"], held.recorder.calls_under_way) == ("done", 0)
        row = held.row
        assert (row["usage_state"], row["total_tokens"], row["status"]) == ("final", 5, 200)

    def test_its_conversion_is_of_the_proxys_time(self, held: Held) -> None:
        time.sleep(0.05)
        held.recorder.end_held(held.flow, None)
        row = held.row
        assert row["overhead_us"] >= 50_000
        assert row["duration_us"] >= row["overhead_us"] + row["upstream_us"] - 1000

    @pytest.mark.parametrize(
        ("told", "state", "usage_state", "error_type", "status"),
        [
            (None, "done", "final", None, 200),
            (Told(404, "bad_request"), "done", "final", "bad_request", 404),
            (Told(429, "RESOURCE_EXHAUSTED", of_another=True), "done", "partial", "RESOURCE_EXHAUSTED", 429),
            (Told(502, None, broke=True), "upstream_failed", "partial", "upstream_cut", 502),
        ],
    )
    def test_what_the_client_is_told(
        self, held: Held, told: Told | None, state: str, usage_state: str, error_type: str | None, status: int
    ) -> None:
        held.recorder.end_held(held.flow, told)
        row = held.row
        assert (row["state"], row["usage_state"], row["error_type"]) == (state, usage_state, error_type)
        assert (row["status"], row["upstream_status"], row["total_tokens"]) == (status, 200, 5)

    def test_an_error_of_the_upstreams(self, ledger: Path) -> None:
        error = {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED"}
        held = Held(ledger, answer(429, error=error))
        assert held.row["state"] == "open"
        held.recorder.end_held(held.flow, None)
        held.recorder.close()
        row = held.row
        assert (row["state"], row["usage_state"], row["status"]) == ("done", "not_applicable", 429)
        assert row["error_type"] == "RESOURCE_EXHAUSTED"

    def test_the_others_are_added(self, ledger: Path) -> None:
        refused = http.Response.make(429, b'{"usageMetadata": {"promptTokenCount": 9}}')
        held = Held(ledger, answer(), answer(), answer(), refused)
        held.recorder.end_held(held.flow, None)
        held.recorder.close()
        row = held.row
        assert (row["input_tokens"], row["output_tokens"], row["total_tokens"]) == (9, 6, 15)
        assert (row["usage_state"], row["finish_reason"]) == ("final", "STOP")

    def test_each_attempt_has_a_row(self, ledger: Path) -> None:
        refused = http.Response.make(429, b'{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}')
        held = Held(ledger, answer(), answer(), refused)
        held.recorder.end_held(held.flow, None)
        held.recorder.close()
        with closing(open_for_reading(ledger)) as db:
            rows = [dict(row) for row in db.execute("SELECT * FROM attempts ORDER BY n")]
            assert not any(verify(db, lambda _: True).values())
        told = [(row["n"], row["kind"], row["status"], row["error_type"], row["total_tokens"]) for row in rows]
        assert told == [
            (1, "attempt", 200, None, 5),
            (2, "attempt", 200, None, 5),
            (3, "attempt", 429, "RESOURCE_EXHAUSTED", None),
        ]
        assert (held.row["attempts"], held.row["total_tokens"]) == (3, 10)

    @pytest.mark.parametrize("other", [http.Response.make(200, b"<html>"), http.Response.make(200, b"{}")])
    def test_one_that_tells_no_counts(self, ledger: Path, other: http.Response) -> None:
        """Nothing is known of the sum, then."""
        held = Held(ledger, answer(), other)
        held.recorder.end_held(held.flow, None)
        held.recorder.close()
        row = held.row
        assert (row["state"], row["usage_state"], row["total_tokens"]) == ("done", "absent", None)

    @pytest.fixture
    def unfinished(self, ledger: Path) -> Iterator[Held]:
        """No word of why it ended has come."""
        one = Held(ledger, answer(candidates=[]))
        yield one
        one.recorder.close()

    def test_a_client_that_does_not_wait(self, unfinished: Held) -> None:
        held = unfinished
        held.flow.error = flows.Error("the client has gone")
        held.flow.client_conn.state = connections.ConnectionState.CLOSED
        held.recorder.error(held.flow)
        row = held.row
        # No header has gone out.
        assert (row["state"], row["error_type"], row["status"]) == ("client_closed", "client_closed", None)
        held.recorder.end_held(held.flow, None)
        assert held.row == row

    def test_an_end_of_the_process(self, unfinished: Held) -> None:
        held = unfinished
        held.recorder.interrupt()
        row = held.row
        assert (row["state"], row["usage_state"], row["total_tokens"]) == ("interrupted", "partial", 5)
        held.recorder.end_held(held.flow, None)
        assert held.row == row


class TestIterations:
    """An answer of Claude's that another model had a part in."""

    MESSAGE: ClassVar[dict[str, Any]] = {"type": "message", "model": "claude-opus-4-6", "stop_reason": "end_turn"}
    OWN: ClassVar = {"type": "message", "input_tokens": 220, "cache_read_input_tokens": 30, "output_tokens": 40}
    ADVISOR: ClassVar = {"type": "advisor_message", "input_tokens": 823, "output_tokens": 1_612}

    def rows(self, folder: Path, *iterations: dict[str, Any], path: str = "", model: str = "") -> list[Row]:
        """The call, and its rows in `attempts`."""
        path = path or f"{PROJECT}/publishers/anthropic/models/claude-opus-4-6@20260205:rawPredict"
        asked = http.Request.make("POST", f"http://127.0.0.1{path}", json.dumps({"model": model} if model else {}))
        flow, _, meter, recorder = started(folder / "usage.db", asked)
        asyncio.run(meter.request(flow))
        recorder.request(flow)
        usage = {"input_tokens": 1, "output_tokens": 1, "iterations": iterations}
        flow.response = http.Response.make(200, b"", {"content-type": "application/json"})
        flow.response.timestamp_end = None
        meter.responseheaders(flow)
        assert callable(flow.response.stream)
        for piece in (json.dumps(self.MESSAGE | {"usage": usage}).encode(), b""):
            flow.response.stream(piece)
        asyncio.run(meter.response(flow))
        recorder.response(flow)
        recorder.close()
        with closing(open_for_reading(folder / "usage.db")) as db:
            assert not any(verify(db, lambda _: True).values())
            found = [*db.execute("SELECT * FROM calls"), *db.execute("SELECT * FROM attempts ORDER BY n")]
            return [dict(row) for row in found]

    def test_an_advisor(self, tmp_path: Path) -> None:
        call, own, advisor = self.rows(tmp_path, self.OWN, self.ADVISOR | {"model": "claude-fable-5-1"})
        assert (call["attempts"], call["input_tokens"], call["output_tokens"]) == (1, 1_073, 1_652)
        names = ("n", "kind", "model", "status", "input_tokens", "input_cached_tokens", "output_tokens")
        assert [own[name] for name in names] == [1, "attempt", "claude-opus-4-6@20260205", 200, 250, 30, 40]
        assert [advisor[name] for name in names] == [2, "iteration", "claude-fable-5-1", 200, 823, None, 1_612]
        assert (advisor["location"], advisor["upstream_path"]) == (own["location"], own["upstream_path"])
        assert own["duration_us"] is not None

    def test_each_is_a_row(self, tmp_path: Path) -> None:
        one, another = ({**self.ADVISOR, "model": model} for model in ("claude-fable-5-1", "claude-haiku-5"))
        _, own, *others = self.rows(tmp_path, one, self.OWN, one, another)
        assert [(row["n"], row["model"]) for row in others] == [
            (2, "claude-fable-5-1"),
            (3, "claude-fable-5-1"),
            (4, "claude-haiku-5"),
        ]
        assert own["input_tokens"] == 250

    @pytest.mark.parametrize("model", [None, "claude-opus-4-6", "claude-opus-4-6-20260205"])
    def test_only_the_model_that_was_asked(self, tmp_path: Path, model: str | None) -> None:
        (call,) = self.rows(tmp_path, self.OWN, self.ADVISOR | {"model": model})
        assert (call["input_tokens"], call["output_tokens"]) == (1_073, 1_652)

    def test_a_model_that_answers_instead(self, tmp_path: Path) -> None:
        declined = {**self.OWN, "model": "claude-fable-5"}
        answered = {"type": "fallback_message", "model": "claude-opus-4-6", "input_tokens": 300, "output_tokens": 7}
        call, own, other = self.rows(tmp_path, declined, answered, path="/v1/messages", model="claude-fable-5")
        assert (call["model"], call["model_served"]) == ("claude-fable-5", "claude-opus-4-6")
        assert [(row["model"], row["input_tokens"]) for row in (own, other)] == [
            ("claude-fable-5", 250),
            ("claude-opus-4-6", 300),
        ]


def test_what_was_asked_is_not_kept_with_the_flow(tmp_path: Path) -> None:
    """Consoles keep flows for as long as they run."""
    held = Held(tmp_path / "held.db", answer())
    assert held.flow in held.recorder._exchanges
    held.recorder.end_held(held.flow, None)
    assert held.flow not in held.recorder._exchanges
    held.recorder.close()


@pytest.mark.parametrize("end", ["held", "interrupted", "settled before"])
def test_the_end_of_a_call_is_told_once(tmp_path: Path, end: str) -> None:
    """With its final row, and when it is no longer under way."""
    held = Held(tmp_path / "held.db", answer())
    heard = Heard()
    held.recorder.listeners.append(heard)
    if end == "held":
        held.recorder.end_held(held.flow, None)
    elif end == "settled before":
        held.exchange.move(Progress.STREAMED)
        held.recorder.settle(held.exchange, Ending.COMPLETE)
        assert heard.calls == []
    held.recorder.response(held.flow)
    held.recorder.interrupt()
    assert heard.calls == [(held.exchange.call.id, "final", Kept.COMMITTED)]
    assert heard.flows == [held.flow]
    held.recorder.close()


def test_another_addon_streams_the_request(tmp_path: Path) -> None:
    """One that is loaded after ours: the row is opened all the same."""
    request = http.Request.make("POST", f"http://127.0.0.1{PROJECT}/publishers/google/models/m:x", b"{}")
    flow, exchange, meter, recorder = started(tmp_path / "usage.db", request)
    flow.request.stream = True
    asyncio.run(meter.request(flow))
    recorder.request(flow)
    assert exchange.call.attempts == 1
    recorder.interrupt()
    recorder.close()
    with closing(open_for_reading(tmp_path / "usage.db")) as db:
        row = dict(db.execute("SELECT * FROM calls").fetchone())
    assert (row["state"], row["attempts"]) == ("interrupted", 1)


def test_a_row_that_nothing_else_has_settled(tmp_path: Path) -> None:
    held = Held(tmp_path / "held.db", answer())
    held.exchange.move(Progress.STREAMED)
    held.exchange.metered.settled_at = None
    held.recorder.response(held.flow)
    assert held.row["state"] == "done"
    held.recorder.close()


def test_what_needs_no_upstream(tmp_path: Path) -> None:
    """It is answered at once, and not as a stream: mitmproxy would send no body."""
    request = http.Request.make("GET", "http://127.0.0.1/v1/models")
    flow, exchange, meter, recorder = started(tmp_path / "usage.db", request)
    asyncio.run(meter.request(flow))
    flow.response = http.Response.make(200, b"{}")
    exchange.answer()
    recorder.request(flow)
    meter.responseheaders(flow)
    asyncio.run(meter.response(flow))
    recorder.response(flow)
    assert recorder.calls_under_way == 0
    recorder.close()
    assert flow.response.stream is False
    with closing(open_for_reading(tmp_path / "usage.db")) as db:
        row = dict(db.execute("SELECT * FROM calls").fetchone())
    assert (row["state"], row["usage_state"], row["status"]) == ("done", "not_applicable", 200)
    assert (row["attempts"], row["upstream_status"], row["response_bytes"]) == (0, None, 2)


def test_trouble_with_metering_does_not_break_traffic(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    flow = tflow.tflow(resp=True)
    broken = Recorder(Options(), Classify(Options()).exchanges)
    broken._exchanges = None  # type: ignore[assignment]
    with caplog.at_level(logging.ERROR):
        broken.requestheaders(flow)
    assert "metering failed in requestheaders (AttributeError)" in caplog.text
    assert flow.response is not None


def test_every_hook_is_harmless() -> None:
    for name in all_hooks.keys() & vars(Recorder).keys() - {"configure"}:
        assert hasattr(getattr(Recorder, name), "__wrapped__"), name
