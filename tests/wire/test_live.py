"""The Live API: one row a WebSocket connection, kept current, and no message kept."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from wsproto.events import AcceptConnection
from wsproto.events import BytesMessage
from wsproto.events import CloseConnection
from wsproto.events import RejectConnection

from tests.http import API_KEY
from tests.process import Proxy
from tests.process import until
from tests.websocket_client import Client
from tests.websocket_client import connected

PATH = "//ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent"
SETUP = {"setup": {"model": "projects/p/locations/us-central1/publishers/google/models/gemini-live-2.5-flash"}}


@contextmanager
def live(proxy: Proxy) -> Iterator[Client]:
    with connected(proxy.port, PATH, {"x-goog-api-key": API_KEY}) as (client, answer):
        assert isinstance(answer, AcceptConnection)
        client.say(SETUP)
        assert client.hear() == {"setupComplete": {}}
        yield client


def turn(client: Client, text: str = "Hello") -> None:
    client.say({"client_content": {"turns": [{"parts": [{"text": text}]}], "turnComplete": True}})


def state(proxy: Proxy) -> tuple[Any, ...]:
    row = proxy.rows()[-1]
    return row["state"], row["usage_state"], row["error_type"], row["input_tokens"], row["output_tokens"]


def test_turns_are_counted_as_they_come(tap: Proxy) -> None:
    with live(tap) as client:
        assert state(tap) == ("open", None, None, None, None)
        assert (tap.rows()[-1]["model"], tap.rows()[-1]["status"]) == ("gemini-live-2.5-flash", 101)
        for number in (1, 2, 3):
            turn(client)
            assert "modelTurn" in client.hear()["serverContent"]
            assert "usageMetadata" in client.hear()
            assert state(tap) == ("open", None, None, 10 * number, 4 * number)
        client.close()
    # Before the closing frame could be seen.
    assert state(tap) == ("done", "final", None, 30, 12)
    row = tap.new_row()
    assert (row["surface"], row["operation"], row["status"]) == ("vertex-live", "BidiGenerateContent", 101)
    assert (row["model"], row["publisher"]) == ("gemini-live-2.5-flash", "google")
    assert (row["project"], row["location"], row["streamed"]) == ("p", "us-central1", 1)
    assert row["total_tokens"] == 42
    assert row["ttft_us"] > 0
    assert row["request_bytes"] > 100
    assert row["response_bytes"] > 100


@pytest.mark.parametrize("end", ["completed", "cancelled"])
def test_a_live_interaction(tap: Proxy, end: str) -> None:
    with connected(tap.port, "/v1beta/interactions/live", {"x-goog-api-key": API_KEY}) as (client, answer):
        assert isinstance(answer, AcceptConnection)
        client.say({"event_type": "interaction.create", "model": "gemini-3.5-flash-live"})
        assert client.hear()["event_type"] == "interaction.created"
        assert tap.rows()[-1]["model"] == "gemini-3.5-flash-live"
        for number in (1, 2):
            client.say({"events": [{"event_type": "input", "content": [{"type": "text", "text": "Hi"}]}]})
            assert [client.hear()["event_type"] for _ in range(2)] == ["step.delta", "step.stop"]
            assert state(tap) == ("open", None, None, 10 * number, 4 * number)
        client.say({"event_type": f"interaction.{end.removesuffix('led').removesuffix('d')}"})
        assert client.hear()["event_type"] == f"interaction.{end}"
        client.close()
    assert state(tap) == ("done", "final", None, 20, 8)
    row = tap.new_row()
    assert (row["surface"], row["operation"], row["finish_reason"]) == ("gemini", "interactions.live", end)
    assert (row["response_id"], row["total_tokens"]) == ("int_live_001", 28)


def test_no_turn(tap: Proxy) -> None:
    with live(tap) as client:
        client.close()
    assert state(tap) == ("done", "absent", None, None, None)


def test_an_upstream_that_fails(tap: Proxy) -> None:
    with live(tap) as client:
        turn(client)
        client.hear(), client.hear()
        turn(client, "fail")
        closed = client.hear()
        assert (closed.code, closed.reason) == (1011, "Internal error")
    until(lambda: state(tap) == ("upstream_failed", "partial", "websocket_1011", 10, 4))
    assert "Internal error" not in tap.output


def test_an_upstream_that_is_cut(tap: Proxy) -> None:
    with live(tap) as client:
        turn(client, "drop")
        assert isinstance(client.hear(), CloseConnection)
    until(lambda: state(tap) == ("upstream_failed", "absent", "upstream_cut", None, None))


def test_a_client_that_is_gone(tap: Proxy) -> None:
    with live(tap) as client:
        turn(client)
        client.hear(), client.hear()
    until(lambda: state(tap) == ("client_closed", "partial", "client_closed", 10, 4))


def test_a_refused_connection(tap: Proxy) -> None:
    with connected(tap.port, "/", {}) as (_, answer):
        assert (type(answer), answer.status_code) == (RejectConnection, 400)
    assert tap.rows()[-1]["state"] == "refused"


def test_binary_frames_and_frames_that_are_no_json(tap: Proxy) -> None:
    with live(tap) as client:
        client.say({"client_content": {"turns": [{"parts": [{"text": "Hi"}]}], "turnComplete": True}}, binary=True)
        client.hear(), client.hear()
        client.sock.sendall(client.connection.send(BytesMessage(b"\xff no json", message_finished=True)))
        client.close()
    until(lambda: state(tap)[0] != "open")
    assert state(tap)[3:] == (10, 4)


def test_nothing_is_kept(tap: Proxy) -> None:
    """Memory stays as it is over many large messages."""
    with live(tap) as client:
        message = {"realtime_input": {"audio": {"data": "A" * 1_000_000, "mime_type": "audio/pcm"}}}
        for _ in range(5):
            client.say(message)
        turn(client)
        client.hear(), client.hear()
        before = resident(tap)
        for _ in range(60):
            client.say(message)
        turn(client)
        client.hear(), client.hear()
        assert resident(tap) - before < 20
        client.close()
    until(lambda: state(tap)[0] == "done")


def resident(proxy: Proxy) -> int:
    with open(f"/proc/{proxy.process.pid}/status") as status:
        match = re.search(r"VmRSS:\s+(\d+) kB", status.read())
    assert match
    return int(match[1]) // 1024
