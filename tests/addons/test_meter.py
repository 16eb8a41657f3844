"""What a row tells beyond its state: who, where, how large, how fast."""

import json
import re
import time
from http.client import HTTPConnection

import pytest

from addons.meter import IN_ARRAYS
from addons.meter import Meter
from metering.paths import parse
from tests.conftest import StartProxy
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.http import PROJECT
from tests.http import call
from tests.http import connection
from tests.http import request
from tests.metering.discovery import methods
from tests.process import Proxy
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


def test_what_streams_is_known() -> None:
    found = {target.operation for one in methods() if (target := parse(one.http, one.path, "vertex"))}
    streams = {name for name in found if name and re.search("stream", name, re.IGNORECASE)}
    assert streams - OTHERS == set(IN_ARRAYS)


OTHERS = {
    *("streamRawPredict", "message.stream", "tasks.stream"),
    *("featureViews.streamingFetchFeatureValues", "entityTypes.streamingReadFeatureValues"),
}
"""The first stream as server-sent events or not at all, the last are data that no model makes."""


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


def test_every_hook_is_harmless() -> None:
    """Trouble with metering never breaks traffic."""
    hooks = {name: hook for name, hook in vars(Meter).items() if not name.startswith("_")}
    assert set(hooks) == {"requestheaders", "request", "responseheaders", "response"}
    for name, hook in hooks.items():
        assert hasattr(hook, "__wrapped__"), name
