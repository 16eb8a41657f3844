"""OpenAI's WebSockets: a row for each response of a Responses connection, one for a Realtime connection."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from contextlib import contextmanager
from typing import Any

import pytest
from wsproto.events import AcceptConnection
from wsproto.events import CloseConnection
from wsproto.events import RejectConnection

from metering.database import open_for_reading
from metering.verify import verify
from tests.conftest import StartProxy
from tests.http import API_KEY
from tests.process import Proxy
from tests.process import Row
from tests.process import until
from tests.vertex_simulator import OPENAI_KEY
from tests.vertex_simulator import Simulator
from tests.websocket_client import Client
from tests.websocket_client import connected

CODEX = {
    "authorization": f"Bearer {OPENAI_KEY}",
    "user-agent": "codex_exec/0.135.0 (Linux)",
    "openai-beta": "responses_websockets=2026-02-06",
    "session-id": "1",
}
COUNTS = (10, 3, 6, 2, 16)
FINAL = ("done", "final", None, "completed", *COUNTS)
NAMES = "input_tokens input_cached_tokens output_tokens output_thought_tokens total_tokens".split()


@contextmanager
def responses(proxy: Proxy, **options: bool) -> Iterator[Client]:
    with connected(proxy.port, "/v1/responses", CODEX, **options) as (client, answer):
        assert isinstance(answer, AcceptConnection)
        yield client


def ask(client: Client, said: str = "Hello", **more: object) -> None:
    client.say({"type": "response.create", "model": "gpt-5.5", "input": said, **more})


def hear(client: Client, count: int = 3) -> list[Any]:
    return [client.hear() for _ in range(count)]


def outcome(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("state", "usage_state", "error_type", "finish_reason", *NAMES))


def test_a_row_for_each_response(tap: Proxy) -> None:
    with responses(tap) as client:
        row = tap.rows()[-1]
        assert (row["state"], row["operation"], row["model"]) == ("open", "responses", None)
        for number in (1, 2, 3):
            ask(client, model=f"gpt-5.{number}")
            assert [event["type"] for event in hear(client, 2)] == ["response.created", "response.output_text.delta"]
            assert client.hear()["type"] == "response.completed"
            # It was settled before the event could be seen.
            assert outcome(tap.rows()[-1]) == FINAL
        client.close()
    rows = tap.new_rows()
    assert [outcome(row) for row in rows] == [FINAL] * 3
    assert [row["response_id"] for row in rows] == ["resp_1", "resp_2", "resp_3"]
    assert [row["model"] for row in rows] == [row["model_served"] for row in rows] == ["gpt-5.1", "gpt-5.2", "gpt-5.3"]
    for row in rows:
        assert (row["surface"], row["operation"], row["method"]) == ("openai", "responses", "GET")
        assert (row["path"], row["status"], row["upstream_status"]) == ("/v1/responses", 101, 101)
        assert (row["streamed"], row["attempts"], row["sdk"]) == (1, 1, "codex_exec/0.135.0")
        assert row["client"] == rows[0]["client"] is not None
        assert row["request_bytes"] > 50
        assert row["response_bytes"] > 500
        assert 0 < row["ttft_us"] <= row["upstream_us"] <= row["duration_us"]
        assert row["upstream_host"] == "127.0.0.1"
    assert len({row["id"] for row in rows}) == 3


def test_compressed_messages(tap: Proxy) -> None:
    with responses(tap, compressed=True) as client:
        ask(client)
        hear(client)
        client.close()
    assert outcome(tap.new_row()) == FINAL


def test_nothing_asked(tap: Proxy) -> None:
    with responses(tap) as client:
        client.close()
    row = tap.new_row()
    assert (row["state"], row["usage_state"], row["model"]) == ("done", "not_applicable", None)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("incomplete", ("done", "final", None, "max_output_tokens", *COUNTS)),
        ("fail", ("upstream_failed", "absent", "server_error", "failed", None, None, None, None, None)),
    ],
)
def test_other_ends(tap: Proxy, said: str, expected: tuple[Any, ...]) -> None:
    with responses(tap) as client:
        ask(client, said)
        hear(client)
        assert outcome(tap.rows()[-1]) == expected
        ask(client)
        hear(client)
        client.close()
    assert [outcome(row) for row in tap.new_rows()] == [expected, FINAL]


def test_an_error_event_ends_a_response(tap: Proxy) -> None:
    with responses(tap) as client:
        ask(client, "error")
        assert client.hear()["type"] == "error"
        row = tap.rows()[-1]
        assert outcome(row)[:4] == ("upstream_failed", "absent", "rate_limit_error", None)
        ask(client)
        hear(client)
        client.close()
    assert [outcome(row)[0] for row in tap.new_rows()] == ["upstream_failed", "done"]


def test_responses_at_the_same_time(tap: Proxy) -> None:
    """Streams are answered side by side: the first goes on when the second has ended."""
    with responses(tap) as client:
        ask(client, "wait", stream_id="one", model="gpt-5.1")
        assert [event["type"] for event in hear(client, 2)] == ["response.created", "response.output_text.delta"]
        row = tap.rows()[-1]
        assert (row["state"], row["model"], row["usage_state"]) == ("open", "gpt-5.1", None)
        ask(client, stream_id="two", model="gpt-5.2")
        assert [event["stream_id"] for event in hear(client, 3)] == ["two"] * 3
        # What comes next is held back by nobody, so that it may be there already.
        assert client.hear()["stream_id"] == "one"
        client.close()
    rows = tap.new_rows()
    told = [(row["model"], row["response_id"], *outcome(row)) for row in rows]
    assert told == [("gpt-5.1", "resp_1", *FINAL), ("gpt-5.2", "resp_2", *FINAL)]
    assert rows[0]["ended_at"] >= rows[1]["ended_at"]


def test_a_response_that_the_server_begins(tap: Proxy) -> None:
    with responses(tap) as client:
        ask(client, "wait")
        hear(client, 2)
        client.say({"type": "response.steer", "previous_response_id": "resp_1", "input": "Stop"})
        kinds = [event["type"] for event in hear(client, 5)]
        assert kinds[:3] == ["response.steer.accepted", "response.incomplete", "response.created"]
        client.close()
    first, second = tap.new_rows()
    assert outcome(first) == ("done", "final", None, "steered", *COUNTS)
    assert (second["model"], second["response_id"]) == ("gpt-5.5", "resp_2")
    assert outcome(second) == FINAL


def test_a_warm_up(tap: Proxy) -> None:
    """Codex asks for a response without output first."""
    with responses(tap) as client:
        ask(client, generate=False)
        hear(client, 2)
        ask(client, previous_response_id="resp_1")
        hear(client)
        client.close()
    assert [outcome(row)[:2] for row in tap.new_rows()] == [("done", "absent"), ("done", "final")]


@pytest.mark.parametrize(("said", "error_type"), [("drop", "upstream_cut"), ("close", "websocket_1011")])
def test_an_upstream_that_is_cut(tap: Proxy, said: str, error_type: str) -> None:
    with responses(tap) as client:
        ask(client)
        hear(client)
        ask(client, said)
        hear(client, 2)
        assert isinstance(client.hear(), CloseConnection)
    until(lambda: not tap.rows("state = 'open'"))
    first, second = tap.new_rows()
    assert outcome(first) == FINAL
    assert outcome(second)[:3] == ("upstream_failed", "absent", error_type)


@pytest.mark.parametrize("how", ["close", "cut"])
def test_a_client_that_is_gone(tap: Proxy, how: str) -> None:
    with responses(tap) as client:
        ask(client, "wait")
        hear(client, 2)
        if how == "close":
            client.close()
    until(lambda: not tap.rows("state = 'open'"))
    assert outcome(tap.new_row())[:3] == ("client_closed", "absent", "client_closed")


def test_the_process_ends(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy(mode=f"reverse:{simulator.url}")
    with responses(proxy) as client:
        ask(client)
        hear(client)
        for stream in ("one", "two"):
            ask(client, "wait", stream_id=stream)
            hear(client, 2)
        proxy.stop()
    assert [row["state"] for row in proxy.rows()] == ["done", "interrupted", "interrupted"]


def test_messages_that_are_no_json(tap: Proxy) -> None:
    with responses(tap) as client:
        ask(client, binary=False)
        hear(client)
        client.say(["response.create"])
        client.say({"type": "other", "input": "response.create"})
        client.close()
    until(lambda: not tap.rows("state = 'open'"))
    assert [outcome(row) for row in tap.new_rows()] == [FINAL]


def test_an_upgrade_that_the_upstream_refuses(tap: Proxy) -> None:
    with connected(tap.port, "/v1/responses", {"authorization": "Bearer sk-wrong"}) as (client, answer):
        assert (type(answer), answer.status_code) == (RejectConnection, 401)
        assert client.hear()["error"]["code"] == "invalid_api_key"
    row = tap.new_row()
    assert (row["state"], row["usage_state"], row["status"]) == ("done", "not_applicable", 401)


# Where responses are converted


@pytest.mark.parametrize("mode", ["convert", "compatible"])
def test_converting_refuses_the_upgrade(start_proxy: StartProxy, simulator: Simulator, mode: str) -> None:
    proxy = start_proxy(f"openai_mode={mode}", mode=f"reverse:{simulator.url}")
    before = len(simulator.seen)
    with connected(proxy.port, "/v1/responses", CODEX) as (client, answer):
        assert (type(answer), answer.status_code) == (RejectConnection, 426)
        headers = {name.lower(): value for name, value in answer.headers}
        assert headers[b"upgrade"] == b"HTTP/1.1"
        assert headers[b"connection"] == b"Upgrade"
        error = client.hear()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "upgrade_required")
    assert "POST /v1/responses" in error["message"]
    assert len(simulator.seen) == before
    row = proxy.new_row()
    assert (row["state"], row["status"], row["operation"]) == ("refused", 426, "responses")
    assert (row["usage_state"], row["error_type"]) == ("not_applicable", "bad_request")


@pytest.mark.parametrize("path", ["/v1/realtime?model=gpt-realtime", "/v1/realtime/translations?model=x"])
def test_converting_refuses_realtime(start_proxy: StartProxy, simulator: Simulator, path: str) -> None:
    proxy = start_proxy("openai_mode=convert", mode=f"reverse:{simulator.url}")
    before = len(simulator.seen)
    with connected(proxy.port, path, {"authorization": f"Bearer {API_KEY}"}) as (client, answer):
        assert (type(answer), answer.status_code) == (RejectConnection, 404)
        assert client.hear()["error"]["type"] == "invalid_request_error"
    assert len(simulator.seen) == before
    assert proxy.new_row()["state"] == "refused"


# Forward mode


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/realtime?model=gpt-realtime"])
def test_forward_mode(start_proxy: StartProxy, simulator: Simulator, path: str) -> None:
    proxy = start_proxy(f"openai_endpoint={simulator.url}/v1", mode="regular")
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
        host = f"127.0.0.1:{simulator.port}"
        sock.sendall(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert b" 200 " in sock.recv(1000)
        client = Client(sock)
        assert isinstance(client.connect(path, CODEX), AcceptConnection)
        if "realtime" in path:
            client.hear()
        client.say({"type": "response.create", "model": "gpt-5.5", "input": "Hello"})
        hear(client)
        client.close()
    row = proxy.new_row()
    assert (row["state"], row["usage_state"], row["model"]) == ("done", "final", row["model_served"])
    assert row["input_tokens"] == (30 if "realtime" in path else 10)


# Realtime


@contextmanager
def realtime(proxy: Proxy, target: str = "/v1/realtime?model=gpt-realtime") -> Iterator[Client]:
    with connected(proxy.port, target, CODEX) as (client, answer):
        assert isinstance(answer, AcceptConnection)
        assert client.hear()["type"] == "session.created"
        yield client


SPOKEN = {
    "input_tokens": 30,
    "input_cached_tokens": 12,
    "output_tokens": 15,
    "total_tokens": 45,
    "input_by_modality": {"text": 10, "audio": 20},
    "output_by_modality": {"text": 5, "audio": 10},
}


def counts(row: Row) -> dict[str, Any]:
    return {name: json.loads(row[name]) if isinstance(row[name], str) else row[name] for name in SPOKEN}


def test_a_row_for_a_realtime_connection(tap: Proxy) -> None:
    with realtime(tap) as client:
        assert (tap.rows()[-1]["state"], tap.rows()[-1]["model"]) == ("open", "gpt-realtime")
        for _ in range(2):
            client.say({"type": "response.create"})
            assert hear(client)[-1]["type"] == "response.done"
        assert tap.rows()[-1]["input_tokens"] == 60
        client.say({"type": "input_audio_buffer.commit"})
        client.hear()
        client.close()
    row = tap.new_row()
    assert (row["state"], row["usage_state"], row["finish_reason"]) == ("done", "final", "completed")
    assert counts(row) == {
        "input_tokens": 67,
        "input_cached_tokens": 24,
        "output_tokens": 32,
        "total_tokens": 99,
        "input_by_modality": {"text": 20, "audio": 47},
        "output_by_modality": {"text": 10, "audio": 20},
    }
    raw = json.loads(row["usage_raw"])
    assert raw["input_token_details"]["cached_tokens_details"] == {"text_tokens": 8, "audio_tokens": 16}
    assert raw["input_audio_transcription"]["total_tokens"] == 9
    assert (row["surface"], row["operation"], row["path"]) == ("openai", "realtime", "/v1/realtime")
    assert (row["model"], row["model_served"], row["response_id"]) == ("gpt-realtime", "gpt-realtime", "sess_1")
    assert (row["streamed"], row["status"]) == (1, 101)
    assert row["ttft_us"] > 0
    # What was said was written down by another model.
    own, other = attempts(tap, row["id"])
    assert (own["kind"], own["model"], own["total_tokens"]) == ("attempt", "gpt-realtime", 90)
    assert json.loads(own["input_by_modality"]) == {"text": 20, "audio": 40}
    assert (other["kind"], other["model"], other["total_tokens"]) == ("iteration", "gpt-4o-transcribe", 9)
    assert row["attempts"] == 1
    with closing(open_for_reading(tap.ledger)) as db:
        assert not any(verify(db, lambda _: True).values())


def attempts(proxy: Proxy, id: str) -> list[Row]:
    with closing(open_for_reading(proxy.ledger)) as db:
        return [dict(row) for row in db.execute("SELECT * FROM attempts WHERE call_id = ? ORDER BY n", (id,))]


def test_a_transcription_session(tap: Proxy) -> None:
    with realtime(tap, "/v1/realtime?intent=transcription") as client:
        client.say({"type": "input_audio_buffer.commit"})
        client.hear()
        client.close()
    row = tap.new_row()
    assert (row["usage_state"], row["model"], row["total_tokens"]) == ("final", "gpt-4o-transcribe", 9)


def test_a_translation_session(tap: Proxy) -> None:
    with realtime(tap, "/v1/realtime/translations?model=gpt-realtime-translate") as client:
        client.say({"type": "session.input_audio_buffer.append", "audio": "UklG"})
        assert client.hear()["delta"] == "Bonjour"
        client.say({"type": "session.close"})
        client.hear()
        assert isinstance(client.hear(), CloseConnection)
    until(lambda: not tap.rows("state = 'open'"))
    row = tap.new_row()
    assert (row["state"], row["usage_state"], row["model"]) == ("done", "absent", "gpt-realtime-translate")
    assert row["operation"] == "realtime/translations"
    assert row["ttft_us"] > 0


def test_errors_of_a_realtime_session(tap: Proxy) -> None:
    with realtime(tap) as client:
        client.say({"type": "unknown"})
        assert client.hear()["type"] == "error"
        client.say({"type": "response.create"})
        hear(client)
        client.close()
    row = tap.new_row()
    assert (row["state"], row["usage_state"], row["error_type"]) == ("done", "final", "invalid_request_error")


@pytest.mark.parametrize(("said", "error_type"), [("drop", "upstream_cut"), ("close", "websocket_1011")])
def test_a_realtime_upstream_that_is_cut(tap: Proxy, said: str, error_type: str) -> None:
    with realtime(tap) as client:
        client.say({"type": "response.create"})
        hear(client)
        client.say({"type": "response.create", "response": {"instructions": said}})
        assert isinstance(client.hear(), CloseConnection)
    until(lambda: not tap.rows("state = 'open'"))
    row = tap.new_row()
    assert (row["state"], row["usage_state"], row["error_type"]) == ("upstream_failed", "partial", error_type)
    assert counts(row) == SPOKEN
