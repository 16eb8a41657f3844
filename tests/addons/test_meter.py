"""What a row tells beyond its state: who, where, how large, how fast."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import connection as connections
from mitmproxy import flow as flows
from mitmproxy import http
from mitmproxy.proxy import mode_specs
from mitmproxy.test import tflow

from addons.classify import Classify
from addons.classify import Exchange
from addons.configuration.settings import OPTIONS
from addons.configuration.settings import read
from addons.meter import Meter
from addons.metered import Told
from addons.options import Options
from metering.database import open_for_reading
from metering.paths import parse
from tests.configuration import DEFAULTS
from tests.conftest import StartProxy
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.http import PROJECT
from tests.http import call
from tests.http import connection
from tests.http import request
from tests.process import Proxy
from tests.process import Row
from tests.process import until
from tests.vertex_simulator import OPENAI_KEY
from tests.vertex_simulator import Simulator

UNARY = f"{MODEL}:generateContent"
STREAM = f"{MODEL}:streamGenerateContent"


def test_who_and_where(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy("usage_tags=x-team,x-app", "gateway_base_path=/vertex", mode=f"reverse:{simulator.url}")
    path = f"{PROJECT}/publishers/google/models/gemini-2.5-flash:generateContent"
    headers = {"x-team": "red", "user-agent": "OpenAI/Python 3.52.0"}
    call(proxy.url, f"/vertex{path}?x=1", HELLO, headers=headers)
    row = proxy.new_row()
    assert {name: row[name] for name in row if name in KNOWN} == KNOWN | {
        "path": path,
        "upstream_path": path,
        "request_bytes": len(json.dumps(HELLO)),
    }
    assert json.loads(row["usage_raw"])["candidatesTokenCount"] == 4
    assert len(row["client"]) == 12

    call(proxy.url, path, HELLO, headers={"x-goog-api-key": "", "authorization": "Bearer other"})
    other = proxy.new_row()
    assert other["client"] not in (row["client"], None)
    call(proxy.url, path, HELLO, headers={"x-goog-api-key": ""})
    assert proxy.new_row()["client"] is None


KNOWN = {
    "state": "done",
    "surface": "vertex",
    "operation": "generateContent",
    "method": "POST",
    "path": "",
    "service": "default",
    "upstream_host": "127.0.0.1",
    "upstream_path": "",
    "rewritten": 0,
    "attempts": 1,
    "project": "test-project",
    "location": "us-central1",
    "publisher": "google",
    "model": "gemini-2.5-flash",
    "model_served": "gemini-2.5-flash",
    "response_id": "resp-0001",
    "sdk": "openai/3.52.0",
    "tags": '{"x-team":"red"}',
    "streamed": 0,
    "status": 200,
    "upstream_status": 200,
    "error_type": None,
    "finish_reason": "STOP",
    "request_bytes": 0,
    "ttft_us": None,
    "usage_state": "final",
    "input_tokens": 4,
    "output_tokens": 4,
    "total_tokens": 8,
    "input_by_modality": '{"text":4}',
    "output_by_modality": '{"text":4}',
    "traffic_type": "ON_DEMAND",
}


def test_the_model_of_a_body(proxy: Proxy) -> None:
    headers = {"x-goog-api-key": "", "authorization": f"Bearer {OPENAI_KEY}"}
    call(proxy.url, "/v1/embeddings", {"model": "text-embedding-3-small", "input": ["a b"]}, headers=headers)
    row = proxy.new_row()
    assert (row["surface"], row["operation"], row["service"]) == ("openai", "embeddings", "openai")
    assert (row["model"], row["publisher"]) == ("text-embedding-3-small", None)
    assert (row["input_tokens"], row["input_items"], row["usage_state"]) == (2, 1, "final")

    body = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello"}]}
    call(proxy.url, f"{PROJECT}/endpoints/openapi/chat/completions", body, plan={"thoughts": 9})
    row = proxy.new_row()
    assert (row["surface"], row["model"], row["publisher"]) == ("vertex-openai", "gemini-2.5-flash", "google")
    assert (row["model_served"], row["traffic_type"]) == ("gemini-2.5-flash", "ON_DEMAND")
    assert (row["input_tokens"], row["output_tokens"], row["output_thought_tokens"]) == (1, 15, 9)


def test_times(proxy: Proxy) -> None:
    before = time.time_ns() // 1000
    call(proxy.url, f"{STREAM}?alt=sse", HELLO, plan={"pause": 0.1, "linger": 0.1})
    after = time.time_ns() // 1000
    row = proxy.new_row()
    assert before <= row["started_at"] < row["ended_at"] <= after
    # A pause before each of two events, one before the end.
    assert 100_000 <= row["ttft_us"] < row["upstream_us"] <= row["duration_us"]
    assert row["upstream_us"] >= 300_000
    assert 0 <= row["overhead_us"] <= row["duration_us"] - row["upstream_us"]
    assert row["streamed"] == 1


def test_the_first_content_is_timed_not_the_first_event(proxy: Proxy) -> None:
    claude = f"{PROJECT}/publishers/anthropic/models/claude-sonnet-4:streamRawPredict"
    body = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 5, "stream": True}
    call(proxy.url, claude, body | {"messages": [{"role": "user", "content": "Hi"}]}, plan={"pause": 0.1})
    assert proxy.new_row()["ttft_us"] >= 200_000


@pytest.mark.parametrize(
    ("path", "streamed"),
    [(UNARY, 0), (STREAM, 1), (f"{STREAM}?alt=sse", 1), (f"{MODEL}:countTokens", 0)],
)
def test_streamed(proxy: Proxy, path: str, streamed: int) -> None:
    call(proxy.url, path, HELLO)
    assert proxy.new_row()["streamed"] == streamed
    call(proxy.url, path, HELLO, plan={"status": 429})
    assert proxy.new_row()["streamed"] == 0


def test_sizes_are_those_of_the_wire(proxy: Proxy) -> None:
    answer = call(proxy.url, UNARY, HELLO, headers={"accept-encoding": "gzip"})
    assert answer.header("content-encoding") == "gzip"
    assert proxy.new_row()["response_bytes"] == len(answer.body)


def test_an_answer_without_a_body(proxy: Proxy) -> None:
    assert call(proxy.url, "/v1beta1/publishers/google/models", method="HEAD").status == 404
    row = proxy.new_row()
    assert (row["state"], row["status"], row["response_bytes"]) == ("done", 404, 0)


def test_the_open_row_is_there_before_the_request_goes_upstream(proxy: Proxy, simulator: Simulator) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"x-goog-api-key": "", "authorization": f"Bearer {OPENAI_KEY}"}
    arrived = len(simulator.seen)
    with connection(proxy.url) as client:
        request(client, "/v1/chat/completions", body, headers=headers, plan={"hang": True})
        until(lambda: len(simulator.seen) > arrived)
        row = proxy.new_row()
    assert (row["state"], row["usage_state"], row["model"], row["attempts"]) == ("open", None, "gpt-4o", 1)


def test_a_body_without_its_length(proxy: Proxy) -> None:
    """Chunked, and the path tells the model: it is passed on as it comes, so its row must be open before that."""
    with connection(proxy.url) as client:
        _begin_chunked(client, UNARY, {"x-goog-api-key": API_KEY})
        until(proxy.rows)
        assert proxy.rows()[0]["state"] == "open"
        body = json.dumps(HELLO).encode()
        client.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        assert client.getresponse().read()
    row = proxy.new_row()
    assert (row["state"], row["usage_state"], row["request_bytes"]) == ("done", "final", len(body))


def test_a_body_without_its_length_that_names_the_model(proxy: Proxy) -> None:
    with connection(proxy.url) as client:
        _begin_chunked(client, "/v1/chat/completions", {"authorization": f"Bearer {OPENAI_KEY}"})
        body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}).encode()
        client.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        assert client.getresponse().read()
    row = proxy.new_row()
    assert (row["state"], row["model"], row["request_bytes"]) == ("done", "gpt-4o", len(body))


def _begin_chunked(client: HTTPConnection, path: str, headers: dict[str, str]) -> None:
    client.putrequest("POST", path)
    for name, value in {"content-type": "application/json", "transfer-encoding": "chunked", **headers}.items():
        client.putheader(name, value)
    client.endheaders()


def answer(status: int = 200, **members: Any) -> http.Response:
    """Gemini's, of 2 tokens for 3."""
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    body = {"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage} | members
    return http.Response.make(status, json.dumps(body), {"content-type": "application/json"})


class Held:
    """A call whose answer has come whole, and is held as it will be another."""

    ASKED = parse("POST", f"{PROJECT}/publishers/google/models/gemini-2.5-flash:generateContent")

    def __init__(self, ledger: Path, response: http.Response, *others: http.Response) -> None:
        self._ledger = ledger
        options = Options()
        options.configuration = read(DEFAULTS | {"usage_db": str(ledger)}, [])
        classify = Classify(options)
        self.meter = Meter(options, classify)
        self.meter.configure(set(OPTIONS))
        flow = self.flow = tflow.tflow(req=http.Request.make("POST", "http://127.0.0.1/v1/chat/completions"))
        flow.client_conn.proxy_mode = mode_specs.ProxyMode.parse("reverse:http://127.0.0.1")
        flow.request.timestamp_start = flow.request.timestamp_end = time.time()
        classify.requestheaders(flow)
        self.exchange: Exchange = classify.exchanges[flow]
        self.exchange.is_rewritten, self.exchange.answered_by = True, self.ASKED
        self.meter.requestheaders(flow)
        asyncio.run(self.meter.request(flow))
        flow.response = response
        # An upstream's: its head is here, its body not yet.
        response.timestamp_end = None
        self.meter.responseheaders(flow)
        response.stream, self.exchange.held = False, True
        self.exchange.others += others
        asyncio.run(self.meter.response(flow))

    @property
    def row(self) -> Row:
        with closing(open_for_reading(self._ledger)) as db:
            return dict(db.execute("SELECT * FROM calls").fetchone())


class TestHeld:
    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Path:
        return tmp_path / "held.db"

    @pytest.fixture
    def held(self, ledger: Path) -> Iterator[Held]:
        one = Held(ledger, answer())
        yield one
        one.meter.close()

    def test_it_is_open_until_it_has_become_another(self, held: Held) -> None:
        assert (held.row["state"], held.meter.calls_under_way) == ("open", 1)
        held.meter.end_held(held.flow, None)
        assert (held.row["state"], held.meter.calls_under_way) == ("done", 0)
        row = held.row
        assert (row["usage_state"], row["total_tokens"], row["status"]) == ("final", 5, 200)

    def test_its_conversion_is_of_the_proxys_time(self, held: Held) -> None:
        time.sleep(0.05)
        held.meter.end_held(held.flow, None)
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
        held.meter.end_held(held.flow, told)
        row = held.row
        assert (row["state"], row["usage_state"], row["error_type"]) == (state, usage_state, error_type)
        assert (row["status"], row["upstream_status"], row["total_tokens"]) == (status, 200, 5)

    def test_an_error_of_the_upstreams(self, ledger: Path) -> None:
        error = {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED"}
        held = Held(ledger, answer(429, error=error))
        assert held.row["state"] == "open"
        held.meter.end_held(held.flow, None)
        held.meter.close()
        row = held.row
        assert (row["state"], row["usage_state"], row["status"]) == ("done", "not_applicable", 429)
        assert row["error_type"] == "RESOURCE_EXHAUSTED"

    def test_the_others_are_added(self, ledger: Path) -> None:
        refused = http.Response.make(429, b'{"usageMetadata": {"promptTokenCount": 9}}')
        held = Held(ledger, answer(), answer(), answer(), refused)
        held.meter.end_held(held.flow, None)
        held.meter.close()
        row = held.row
        assert (row["input_tokens"], row["output_tokens"], row["total_tokens"]) == (9, 6, 15)
        assert (row["usage_state"], row["finish_reason"]) == ("final", "STOP")

    @pytest.mark.parametrize("other", [http.Response.make(200, b"<html>"), http.Response.make(200, b"{}")])
    def test_one_that_tells_no_counts(self, ledger: Path, other: http.Response) -> None:
        """Nothing is known of the sum, then."""
        held = Held(ledger, answer(), other)
        held.meter.end_held(held.flow, None)
        held.meter.close()
        row = held.row
        assert (row["state"], row["usage_state"], row["total_tokens"]) == ("done", "absent", None)

    @pytest.fixture
    def unfinished(self, ledger: Path) -> Iterator[Held]:
        """No word of why it ended has come."""
        one = Held(ledger, answer(candidates=[]))
        yield one
        one.meter.close()

    def test_a_client_that_does_not_wait(self, unfinished: Held) -> None:
        held = unfinished
        held.flow.error = flows.Error("the client has gone")
        held.flow.client_conn.state = connections.ConnectionState.CLOSED
        held.meter.error(held.flow)
        row = held.row
        # No header has gone out.
        assert (row["state"], row["error_type"], row["status"]) == ("client_closed", "client_closed", None)
        held.meter.end_held(held.flow, None)
        assert held.row == row

    def test_an_end_of_the_process(self, unfinished: Held) -> None:
        held = unfinished
        held.meter.interrupt()
        row = held.row
        assert (row["state"], row["usage_state"], row["total_tokens"]) == ("interrupted", "partial", 5)
        held.meter.end_held(held.flow, None)
        assert held.row == row


def test_what_needs_no_upstream(tmp_path: Path) -> None:
    """It is answered at once, and not as a stream: mitmproxy would send no body."""
    options = Options()
    options.configuration = read(DEFAULTS | {"usage_db": str(tmp_path / "usage.db")}, [])
    classify = Classify(options)
    meter = Meter(options, classify)
    meter.configure(set(OPTIONS))
    flow = tflow.tflow(req=http.Request.make("GET", "http://127.0.0.1/v1/models"))
    flow.client_conn.proxy_mode = mode_specs.ProxyMode.parse("reverse:http://127.0.0.1")
    classify.requestheaders(flow)
    classify.exchanges[flow].answered = True
    meter.requestheaders(flow)
    asyncio.run(meter.request(flow))
    flow.response = http.Response.make(200, b"{}")
    meter.responseheaders(flow)
    asyncio.run(meter.response(flow))
    meter.close()
    assert flow.response.stream is False
    with closing(open_for_reading(tmp_path / "usage.db")) as db:
        row = dict(db.execute("SELECT * FROM calls").fetchone())
    assert (row["state"], row["usage_state"], row["status"]) == ("done", "not_applicable", 200)
    assert (row["attempts"], row["upstream_status"], row["response_bytes"]) == (0, None, 2)


def test_trouble_with_metering_does_not_break_traffic(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def hooks() -> None:
        flow = tflow.tflow(resp=True)
        broken = Meter(Options(), Classify(Options()))
        broken._exchanges = None  # type: ignore[assignment]
        with caplog.at_level(logging.ERROR):
            broken.requestheaders(flow)
        assert "metering failed in requestheaders (AttributeError)" in caplog.text
        assert flow.response is not None

    asyncio.run(hooks())


def test_every_hook_is_harmless() -> None:
    hooks = {name for name in vars(Meter) if not name.startswith("_")} & {
        "requestheaders",
        "request",
        "responseheaders",
        "response",
        "error",
        "websocket_message",
        "websocket_end",
        "server_connect_error",
        "tls_failed_server",
    }
    assert len(hooks) == 9
    for name in hooks:
        assert hasattr(getattr(Meter, name), "__wrapped__"), name
