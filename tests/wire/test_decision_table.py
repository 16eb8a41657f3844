"""Every line of the decision table of `state` and `usage_state`, produced on the wire."""

import signal
import socket
from contextlib import closing
from typing import Any

import pytest

from metering.database import open_for_reading
from tests.conftest import StartProxy
from tests.http import HELLO
from tests.http import MODEL
from tests.http import PROJECT
from tests.http import call
from tests.http import comes_whole
from tests.http import connection
from tests.http import read_until
from tests.http import request
from tests.ledgers import broken_invariants
from tests.process import Proxy
from tests.process import Row
from tests.process import until
from tests.vertex_simulator import OPENAI_KEY
from tests.vertex_simulator import Simulator

STREAM = f"{MODEL}:streamGenerateContent?alt=sse"
UNARY = f"{MODEL}:generateContent"
CLAUDE = f"{PROJECT}/publishers/anthropic/models/claude-sonnet-4:streamRawPredict"
CLAUDE_BODY = {
    "anthropic_version": "vertex-2023-10-16",
    "max_tokens": 5,
    "stream": True,
    "messages": [{"role": "user", "content": "Hello, Claude"}],
}
INTERACTION = {"model": "gemini-3.5-flash", "input": "Hello there"}
INTERACTIONS = f"{PROJECT}/interactions"
CHAT_BODY = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
OPENAI = {"authorization": f"Bearer {OPENAI_KEY}", "x-goog-api-key": ""}

Outcome = tuple[str, str | None, str | None, int | None]


def outcome(row: Row) -> Outcome:
    return row["state"], row["usage_state"], row["error_type"], row["status"]


def hang_up_after(url: str, path: str, text: bytes, body: object, **options: Any) -> None:
    """Close the connection when `text` has come."""
    with connection(url) as client:
        request(client, path, body, **options)
        read_until(client.getresponse(), text)


class TestComplete:
    def test_usage_in_it(self, tap: Proxy) -> None:
        for path in (UNARY, STREAM, f"{MODEL}:streamGenerateContent"):
            assert call(tap.url, path, HELLO).status == 200
            row = tap.new_row()
            assert outcome(row) == ("done", "final", None, 200)
            assert (row["input_tokens"], row["output_tokens"], row["total_tokens"]) == (4, 4, 8)

    def test_images(self, tap: Proxy) -> None:
        body = {"instances": [{"prompt": "a cat"}], "parameters": {"sampleCount": 2}}
        call(tap.url, f"{PROJECT}/publishers/google/models/imagen-4.0-generate-001:predict", body)
        row = tap.new_row()
        assert outcome(row) == ("done", "final", None, 200)
        assert (row["images"], row["input_tokens"]) == (2, None)

    @pytest.mark.parametrize("path", [UNARY, STREAM, f"{MODEL}:streamGenerateContent"])
    def test_no_usage_in_it(self, tap: Proxy, path: str) -> None:
        assert call(tap.url, path, HELLO, plan={"usage": "none"}).status == 200
        row = tap.new_row()
        assert outcome(row) == ("done", "absent", None, 200)
        assert (row["input_tokens"], row["output_tokens"], row["finish_reason"]) == (None, None, "STOP")

    def test_only_the_traffic_type(self, tap: Proxy) -> None:
        call(tap.url, STREAM, HELLO, plan={"usage": "traffic"})
        row = tap.new_row()
        assert outcome(row) == ("done", "absent", None, 200)
        assert row["traffic_type"] == "ON_DEMAND"

    def test_a_chat_that_was_not_asked_for_usage(self, tap: Proxy) -> None:
        call(tap.url, "/v1/chat/completions", CHAT_BODY, headers=OPENAI)
        assert outcome(tap.new_row()) == ("done", "absent", None, 200)

    def test_a_video_from_submission_to_settlement(self, tap: Proxy) -> None:
        veo = f"{PROJECT}/publishers/google/models/veo-3.0-generate-001"
        asked = {"sampleCount": 1, "durationSeconds": 8, "resolution": "1080p", "generateAudio": True}
        body = {"instances": [{"prompt": "a cat"}], "parameters": asked}
        name = call(tap.url, f"{veo}:predictLongRunning", body).json()["name"]
        submission = tap.new_row()
        assert outcome(submission) == ("done", "absent", None, 200)
        assert (submission["response_id"], submission["video_seconds"]) == (name, None)
        done = [
            call(tap.url, f"{veo}:fetchPredictOperation", {"operationName": name}).json().get("done") for _ in "1234"
        ]
        assert done == [None, True, True, True]
        polls = tap.new_rows()
        assert {outcome(row) for row in polls} == {("done", "not_applicable", None, 200)}
        assert {row["video_seconds"] for row in polls} == {None}
        (settled,) = tap.rows(f"id = '{submission['id']}'")
        assert (settled["usage_state"], settled["video_seconds"]) == ("final", 8)
        assert settled["variant"] == "1080p+audio"

    @pytest.mark.parametrize(
        "path", [INTERACTIONS, "/v1beta1/interactions", "/v1/interactions", "/v1beta/interactions"]
    )
    @pytest.mark.parametrize("stream", [False, True])
    def test_an_interaction(self, tap: Proxy, path: str, stream: bool) -> None:
        body = INTERACTION | {"stream": stream, "tools": [{"type": "google_search"}], "service_tier": "flex"}
        assert call(tap.url, path, body, plan={"thoughts": 5}).status == 200
        row = tap.new_row()
        assert outcome(row) == ("done", "final", None, 200)
        assert (row["operation"], row["model"], row["streamed"]) == ("interactions.create", "gemini-3.5-flash", stream)
        names = ("input_tokens", "input_tool_tokens", "output_tokens", "output_thought_tokens", "total_tokens")
        assert [row[name] for name in names] == [2 + 3, 3, 4 + 5, 5, 14]
        assert (row["search_queries"], row["traffic_type"], row["finish_reason"]) == (1, "flex", "completed")

    @pytest.mark.parametrize("action", ["create", "createStream"])
    def test_an_interaction_in_camel_case(self, tap: Proxy, action: str) -> None:
        body = {"interaction": {"modelInteraction": {"model": "gemini-3.5-flash"}, "stringContent": "Hello there"}}
        assert call(tap.url, f"{INTERACTIONS}:{action}", body, plan={"thoughts": 5}).status == 200
        row = tap.new_row()
        assert outcome(row) == ("done", "final", None, 200)
        assert (row["operation"], row["model"]) == (f"interactions.{action}", "gemini-3.5-flash")
        assert (row["input_tokens"], row["output_tokens"], row["total_tokens"]) == (2, 9, 11)
        assert row["streamed"] == (action == "createStream")

    def test_an_interaction_in_the_background(self, tap: Proxy) -> None:
        agent = {"agent": "deep-research-pro-preview-12-2025", "input": "Dig", "background": True}
        id = call(tap.url, INTERACTIONS, agent).json()["id"]
        begun = tap.new_row()
        assert outcome(begun) == ("done", "absent", None, 200)
        assert (begun["model"], begun["response_id"]) == (agent["agent"], id)
        for query in ("?stream=false", "", "?stream=true", ""):
            assert call(tap.url, f"{INTERACTIONS}/{id}{query}").status == 200
        polls = tap.new_rows()
        assert {outcome(row) for row in polls} == {("done", "not_applicable", None, 200)}
        assert {row["total_tokens"] for row in polls} == {None}
        (settled,) = tap.rows(f"id = '{begun['id']}'")
        names = ("usage_state", "input_tokens", "output_tokens", "total_tokens", "finish_reason")
        assert [settled[name] for name in names] == ["final", 1, 4, 5, "completed"]
        assert broken_invariants(tap.ledger) == []

    def test_an_interaction_that_was_cut(self, tap: Proxy) -> None:
        body = INTERACTION | {"stream": True, "background": True}
        assert not comes_whole(tap.url, INTERACTIONS, body, plan={"cut": 4, "pause": 0.03})
        until(lambda: not tap.rows("state = 'open'"))
        begun = tap.new_row()
        assert outcome(begun)[:3] == ("upstream_failed", "partial", "upstream_cut")
        assert (begun["input_tokens"], begun["output_tokens"]) == (2, None)
        path = f"{INTERACTIONS}/{begun['response_id']}?stream=true&last_event_id=event-3"
        for _ in "12":
            assert call(tap.url, path).status == 200
        (settled,) = tap.rows(f"id = '{begun['id']}'")
        assert outcome(settled)[:3] == ("upstream_failed", "final", "upstream_cut")
        assert (settled["input_tokens"], settled["output_tokens"]) == (2, 4)

    def test_an_interaction_that_is_cancelled(self, tap: Proxy) -> None:
        id = call(tap.url, INTERACTIONS, INTERACTION | {"background": True}).json()["id"]
        begun = tap.new_row()
        assert call(tap.url, f"{INTERACTIONS}/{id}/cancel", {}).json()["status"] == "cancelled"
        assert call(tap.url, f"{INTERACTIONS}/{id}", method="DELETE").status == 200
        rows = tap.new_rows()
        assert [row["operation"] for row in rows] == ["interactions.cancel", "interactions.delete"]
        assert {outcome(row) for row in rows} == {("done", "not_applicable", None, 200)}
        (settled,) = tap.rows(f"id = '{begun['id']}'")
        assert (settled["usage_state"], settled["finish_reason"]) == ("absent", "cancelled")

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_response_in_the_background(self, tap: Proxy, stream: bool) -> None:
        body = {"model": "gpt-5", "input": "x", "background": True, "stream": stream}
        if stream:
            assert not comes_whole(tap.url, "/v1/responses", body, headers=OPENAI, plan={"cut": 3, "pause": 0.03})
            until(lambda: not tap.rows("state = 'open'"))
        else:
            call(tap.url, "/v1/responses", body, headers=OPENAI)
        begun = tap.new_row()
        assert begun["usage_state"] == "absent"
        assert begun["state"] == ("upstream_failed" if stream else "done")
        path = f"/v1/responses/{begun['response_id']}"
        for query in ("", "", "") if not stream else ("?stream=true&starting_after=2",) * 2:
            assert call(tap.url, path + query, headers=OPENAI).status == 200
        polls = tap.new_rows()
        assert {outcome(row) for row in polls} == {("done", "not_applicable", None, 200)}
        assert {row["total_tokens"] for row in polls} == {None}
        (settled,) = tap.rows(f"id = '{begun['id']}'")
        assert (settled["usage_state"], settled["state"]) == ("final", begun["state"])
        names = ("input_tokens", "output_tokens", "output_thought_tokens", "total_tokens", "finish_reason")
        assert [settled[name] for name in names] == [1, 6, 2, 7, "completed"]
        assert broken_invariants(tap.ledger) == []

    def test_a_response_that_is_cancelled(self, tap: Proxy) -> None:
        body = {"model": "gpt-5", "input": "x", "background": True}
        call(tap.url, "/v1/responses", body, headers=OPENAI)
        begun = tap.new_row()
        path = f"/v1/responses/{begun['response_id']}"
        assert call(tap.url, f"{path}/cancel", {}, headers=OPENAI).json()["status"] == "cancelled"
        assert outcome(tap.new_row()) == ("done", "not_applicable", None, 200)
        (settled,) = tap.rows(f"id = '{begun['id']}'")
        assert (settled["usage_state"], settled["finish_reason"]) == ("absent", "cancelled")

    def test_a_response_that_nobody_began_here(self, tap: Proxy) -> None:
        assert call(tap.url, "/v1/responses/resp_unknown", headers=OPENAI).status == 404
        assert outcome(tap.new_row()) == ("done", "not_applicable", "invalid_request_error", 404)

    @pytest.mark.parametrize("action", ["rawPredict", "streamRawPredict"])
    def test_an_answer_that_two_models_made(self, tap: Proxy, action: str) -> None:
        body = CLAUDE_BODY | {
            "stream": action == "streamRawPredict",
            "anthropic_beta": ["compact-2026-01-12"],
            "context_management": {"edits": [{"type": "compact_20260112"}]},
            "tools": [{"type": "advisor_20260301", "name": "advisor", "model": "claude-fable-5-1"}],
        }
        path = f"{PROJECT}/publishers/anthropic/models/claude-sonnet-4@20250514:{action}"
        assert call(tap.url, path, body).status == 200
        row = tap.new_row()
        assert outcome(row) == ("done", "final", None, 200)
        assert (row["attempts"], row["input_tokens"], row["output_tokens"]) == (
            1,
            2 + 7 + 55_196 + 823,
            9 + 1_200 + 1_612,
        )
        with closing(open_for_reading(tap.ledger)) as db:
            asked = "SELECT kind, model, input_tokens, output_tokens FROM attempts WHERE call_id = ? ORDER BY n"
            found = [tuple(one) for one in db.execute(asked, (row["id"],))]
        assert found == [
            ("attempt", "claude-sonnet-4@20250514", 2 + 7 + 55_196, 9 + 1_200),
            ("iteration", "claude-fable-5-1", 823, 1_612),
        ]
        assert broken_invariants(tap.ledger) == []

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", f"{MODEL}:countTokens", HELLO),
            ("POST", f"{MODEL}:computeTokens", HELLO),
            ("GET", "/v1beta1/publishers/google/models", None),
            ("GET", f"{PROJECT}/models", None),
            ("GET", f"{PROJECT}/cachedContents", None),
            ("POST", f"{PROJECT}/cachedContents", {"model": "m", **HELLO}),
        ],
    )
    def test_what_uses_nothing(self, tap: Proxy, method: str, path: str, body: object) -> None:
        assert call(tap.url, path, body, method=method).status == 200
        row = tap.new_row()
        assert outcome(row) == ("done", "not_applicable", None, 200)
        assert (row["input_tokens"], row["total_tokens"]) == (None, None)
        assert row["counted_tokens"] == (4 if "Tokens" in path else None)

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/v1beta1/unknown", None),
            ("/favicon.ico", None),
            ("/v1/fine_tuning/jobs", {}),
        ],
    )
    def test_what_is_not_read(self, start_proxy: StartProxy, path: str, body: object) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            proxy = start_proxy(mode=f"reverse:http://127.0.0.1:{server.getsockname()[1]}")
            with connection(proxy.url) as client:
                request(client, path, body)
                upstream, _ = server.accept()
                upstream.recv(65536)
                upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi")
                assert client.getresponse().read() == b"hi"
                upstream.close()
            assert outcome(proxy.new_row()) == ("done", "unsupported", None, 200)

    @pytest.mark.parametrize(
        ("status", "error", "error_type"),
        [
            (400, "google", "INVALID_ARGUMENT"),
            (429, "array", "RESOURCE_EXHAUSTED"),
            (503, "html", None),
            (500, "empty", None),
        ],
    )
    def test_an_error_of_the_upstream(self, tap: Proxy, status: int, error: str, error_type: str | None) -> None:
        assert call(tap.url, STREAM, HELLO, plan={"status": status, "error": error}).status == status
        row = tap.new_row()
        assert outcome(row) == ("done", "not_applicable", error_type, status)
        assert row["upstream_status"] == status

    def test_an_error_of_openai(self, tap: Proxy) -> None:
        call(tap.url, "/v1/chat/completions", CHAT_BODY, headers=OPENAI | {"authorization": "Bearer sk-wrong"})
        assert outcome(tap.new_row()) == ("done", "not_applicable", "invalid_request_error", 401)


class TestUpstreamFailed:
    @pytest.mark.parametrize(
        ("path", "body", "headers", "error_after", "usage_state", "error_type"),
        [
            (STREAM, HELLO, {}, 1, "absent", "UNAVAILABLE"),
            (f"{MODEL}:streamGenerateContent", HELLO, {}, 1, "absent", "UNAVAILABLE"),
            (CLAUDE, CLAUDE_BODY, {}, 4, "partial", "overloaded_error"),
            (INTERACTIONS, INTERACTION | {"stream": True}, {}, 3, "partial", "internal"),
            ("/v1/chat/completions", CHAT_BODY, OPENAI, 2, "absent", "server_error"),
            (
                "/v1/responses",
                {"model": "gpt-5", "input": "x", "stream": True},
                OPENAI,
                2,
                "absent",
                "server_error",
            ),
        ],
    )
    def test_an_error_event(
        self,
        tap: Proxy,
        path: str,
        body: object,
        headers: dict[str, str],
        error_after: int,
        usage_state: str,
        error_type: str,
    ) -> None:
        call(tap.url, path, body, headers=headers, plan={"error_after": error_after})
        row = tap.new_row()
        assert outcome(row) == ("upstream_failed", usage_state, error_type, 200)
        assert row["output_tokens"] is None
        assert (row["input_tokens"] is not None) == (usage_state == "partial")

    def test_an_error_event_after_counts(self, tap: Proxy) -> None:
        call(tap.url, STREAM, HELLO, plan={"error_after": 1, "usage": "cumulative"})
        assert outcome(tap.new_row()) == ("upstream_failed", "partial", "UNAVAILABLE", 200)

    def test_no_connection(self, start_proxy: StartProxy) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        proxy = start_proxy(mode=f"reverse:http://127.0.0.1:{port}")
        assert call(proxy.url, UNARY, HELLO).status == 502
        row = proxy.new_row()
        assert outcome(row) == ("upstream_failed", "absent", "connect_failed", 502)
        assert row["upstream_status"] is None

    def test_no_tls(self, start_proxy: StartProxy, simulator: Simulator) -> None:
        proxy = start_proxy(mode=f"reverse:https://127.0.0.1:{simulator.port}")
        assert call(proxy.url, UNARY, HELLO).status == 502
        assert outcome(proxy.new_row()) == ("upstream_failed", "absent", "tls_failed", 502)

    def test_cut_before_any_answer(self, start_proxy: StartProxy) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            proxy = start_proxy(mode=f"reverse:http://127.0.0.1:{server.getsockname()[1]}")
            with connection(proxy.url) as client:
                request(client, UNARY, HELLO)
                upstream, _ = server.accept()
                upstream.recv(65536)
                upstream.close()
                assert client.getresponse().status == 502
        assert outcome(proxy.new_row()) == ("upstream_failed", "absent", "upstream_cut", 502)

    @pytest.mark.parametrize(
        ("path", "body", "plan", "usage_state"),
        [
            (STREAM, HELLO, {"cut": 1}, "absent"),
            (STREAM, HELLO, {"cut": 1, "usage": "cumulative"}, "partial"),
            (UNARY, HELLO, {"cut": 3, "split": 50, "encoding": "identity"}, "absent"),
            (f"{MODEL}:streamGenerateContent", HELLO, {"cut": 1, "usage": "cumulative"}, "partial"),
            (CLAUDE, CLAUDE_BODY, {"cut": 5}, "partial"),
        ],
    )
    def test_cut(self, tap: Proxy, path: str, body: object, plan: dict[str, Any], usage_state: str) -> None:
        # The pause lets what was sent be read before the reset.
        assert not comes_whole(tap.url, path, body, plan={"pause": 0.03, **plan})
        until(lambda: not tap.rows("state = 'open'"))
        assert outcome(tap.new_row()) == ("upstream_failed", usage_state, "upstream_cut", 200)

    def test_a_stream_that_ends_without_its_last_event(self, tap: Proxy) -> None:
        """The framing is complete; the format says that more should come."""
        assert comes_whole(tap.url, CLAUDE, CLAUDE_BODY, plan={"stop_after": 5})
        row = tap.new_row()
        assert outcome(row) == ("upstream_failed", "partial", "upstream_cut", 200)


class TestAfterTheLastEvent:
    @pytest.mark.parametrize(
        ("path", "body"),
        [(STREAM, HELLO), (f"{MODEL}:streamGenerateContent", HELLO), (CLAUDE, CLAUDE_BODY)],
    )
    def test_cut(self, tap: Proxy, path: str, body: object) -> None:
        assert not comes_whole(tap.url, path, body, plan={"cut_end": True, "linger": 0.05, "pause": 0.02})
        until(lambda: not tap.rows("state = 'open'"))
        row = tap.new_row()
        assert outcome(row) == ("done", "final", None, 200)
        assert row["input_tokens"] is not None

    @pytest.mark.parametrize(
        ("path", "body", "headers", "end", "usage_state"),
        [
            (STREAM, HELLO, {}, b'"finishReason": "STOP"', "final"),
            (CLAUDE, CLAUDE_BODY, {}, b'"message_stop"', "final"),
            (INTERACTIONS, INTERACTION | {"stream": True}, {}, b'"interaction.completed"', "final"),
            ("/v1/chat/completions", CHAT_BODY, OPENAI, b"[DONE]", "absent"),
            (
                "/v1/chat/completions",
                CHAT_BODY | {"stream_options": {"include_usage": True}},
                OPENAI,
                b"[DONE]",
                "final",
            ),
            (
                "/v1/responses",
                {"model": "gpt-5", "input": "x", "stream": True},
                OPENAI,
                b"response.completed",
                "final",
            ),
        ],
    )
    def test_hang_up(
        self, tap: Proxy, path: str, body: object, headers: dict[str, str], end: bytes, usage_state: str
    ) -> None:
        hang_up_after(tap.url, path, end, body, headers=headers, plan={"linger": 0.5, "pause": 0.01})
        until(lambda: not tap.rows("state = 'open'"))
        assert outcome(tap.new_row()) == ("done", usage_state, None, 200)

    def test_the_row_is_there_when_the_last_event_is(self, tap: Proxy) -> None:
        with connection(tap.url) as client:
            request(client, "/v1/chat/completions", CHAT_BODY, headers=OPENAI, plan={"linger": 0.5})
            read_until(client.getresponse(), b"[DONE]")
            assert tap.new_row()["state"] == "done"


class TestClientClosed:
    @pytest.mark.parametrize(
        ("path", "body", "plan", "usage_state"),
        [
            (STREAM, HELLO, {}, "absent"),
            (STREAM, HELLO, {"usage": "cumulative"}, "partial"),
            (CLAUDE, CLAUDE_BODY, {}, "partial"),
        ],
    )
    def test_in_a_stream(self, tap: Proxy, path: str, body: object, plan: dict[str, Any], usage_state: str) -> None:
        hang_up_after(tap.url, path, b"data: ", body, plan={"pause": 0.3, **plan})
        until(lambda: not tap.rows("state = 'open'"))
        row = tap.new_row()
        assert outcome(row) == ("client_closed", usage_state, "client_closed", 200)
        assert (row["input_tokens"] is not None) == (usage_state == "partial")

    def test_before_any_answer(self, tap: Proxy, simulator: Simulator) -> None:
        arrived = len(simulator.seen)
        with connection(tap.url) as client:
            request(client, UNARY, HELLO, plan={"hang": True})
            until(lambda: len(simulator.seen) > arrived)
            assert outcome(tap.rows()[-1]) == ("open", None, None, None)
        until(lambda: not tap.rows("state = 'open'"))
        assert outcome(tap.new_row()) == ("client_closed", "absent", "client_closed", None)

    def test_while_it_uploads(self, tap: Proxy) -> None:
        with connection(tap.url) as client:
            client.putrequest("POST", UNARY)
            client.putheader("content-length", "1000")
            client.endheaders(b"{")
        until(lambda: tap.rows("state = 'client_closed' AND request_bytes IS NULL"))
        row = tap.new_row()
        assert outcome(row) == ("client_closed", "absent", "client_closed", None)
        assert row["attempts"] == 0


class TestTheEndOfTheProxy:
    @pytest.mark.parametrize(
        ("signum", "state", "usage_state", "tokens"),
        [(signal.SIGTERM, "interrupted", "partial", 4), (signal.SIGKILL, "lost", "absent", None)],
    )
    def test_in_flight(
        self,
        start_proxy: StartProxy,
        simulator: Simulator,
        signum: int,
        state: str,
        usage_state: str,
        tokens: int | None,
    ) -> None:
        proxy = start_proxy(mode=f"reverse:{simulator.url}")
        with connection(proxy.url) as client:
            request(client, STREAM, HELLO, plan={"gate": "never", "usage": "cumulative"})
            answer = client.getresponse()
            answer.read1(65536)
            assert outcome(proxy.new_row()) == ("open", None, None, None)
            proxy.stop(signum)
        if signum == signal.SIGKILL:
            proxy = start_proxy(mode=f"reverse:{simulator.url}")
        (row,) = proxy.rows()
        assert (row["state"], row["usage_state"], row["error_type"]) == (state, usage_state, None)
        assert row["input_tokens"] == tokens


def test_our_own_refusal(tap: Proxy) -> None:
    answer = call(tap.url, "/", HELLO)
    assert answer.status == 400
    assert "project=... and location=..." in answer.json()["error"]["message"]
    row = tap.new_row()
    assert outcome(row) == ("refused", "not_applicable", "bad_request", 400)
    assert (row["upstream_status"], row["attempts"]) == (None, 0)


def test_a_malformed_request(tap: Proxy) -> None:
    with connection(tap.url) as client:
        client.putrequest("POST", UNARY)
        client.putheader("content-length", "1")
        client.putheader("transfer-encoding", "chunked")
        client.endheaders(b"x")
        assert client.getresponse().status == 400
    assert outcome(tap.new_row()) == ("refused", "not_applicable", "bad_request", 400)


def test_another_protocol_takes_over(start_proxy: StartProxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = start_proxy(mode=f"reverse:http://127.0.0.1:{server.getsockname()[1]}")
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
            client.sendall(b"GET /v1/x HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n")
            upstream, _ = server.accept()
            with upstream:
                upstream.recv(65536)
                upstream.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n")
                assert client.recv(1000).startswith(b"HTTP/1.1 101")
                assert outcome(proxy.new_row()) == ("done", "unsupported", None, 101)


def test_a_large_request_to_nobody(start_proxy: StartProxy) -> None:
    """It is passed on as it comes, so it never was complete."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    proxy = start_proxy(mode=f"reverse:http://127.0.0.1:{port}")
    with connection(proxy.url) as client:
        client.putrequest("POST", UNARY)
        client.putheader("content-length", str(65 * 1024 * 1024))
        client.endheaders()
        assert client.getresponse().status == 502
    row = proxy.new_row()
    assert (*outcome(row), row["attempts"]) == ("upstream_failed", "absent", "connect_failed", 502, 1)
