"""Calls of Anthropic's clients, answered by Vertex AI and by an OpenAI service, on the wire."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartProxy
from tests.http import API_KEY
from tests.http import Response
from tests.http import call
from tests.http import connection
from tests.http import send
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator import OPENAI_KEY
from tests.vertex_simulator import Simulator

MESSAGES = "/v1/messages"
COUNT = "/v1/messages/count_tokens"
PARENT = "/v1/projects/test-project/locations/global/publishers"
CLIENT = {"x-goog-api-key": "", "x-api-key": "sk-ant-api03-OfTheClient", "anthropic-version": "2023-06-01"}
NAMELESS = CLIENT | {"x-api-key": ""}
FILE = """\
services:
  qwen: {{provider: openai, base_url: "{url}/v1", api_key_env: QWEN_API_KEY}}
routes:
  - {{base_path: /qwen, service: qwen}}
  - {{surface: anthropic, model: "qwen*", service: qwen}}
aliases: {{opus: gemini-2.5-pro, claude-haiku-4-5-20251001: gemini-2.5-flash}}
models: [gemini-2.5-flash]
"""


def hello(**members: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Hello, who are you?"}]
    return {"model": "gemini-2.5-flash", "max_tokens": 100, "messages": messages, **members}


def error_of(answer: Response) -> tuple[int, str, str]:
    """Status, type and message of an error, which is in Anthropic's form."""
    body = answer.json()
    assert body.keys() == {"type", "error", "request_id"}
    assert body["type"] == "error"
    assert answer.header("request-id") == body["request_id"]
    return answer.status, body["error"]["type"], body["error"]["message"]


def events_of(answer: Response) -> list[dict[str, Any]]:
    pieces = answer.body.decode().split("\n\n")
    assert pieces.pop() == ""
    return [json.loads(piece.partition("data: ")[2]) for piece in pieces]


@pytest.fixture(scope="module")
def upstream() -> Any:
    with Simulator() as running:
        yield running


@pytest.fixture(scope="module")
def converting(upstream: Simulator, tmp_path_factory: pytest.TempPathFactory, confdir: Path) -> Any:
    folder = tmp_path_factory.mktemp("messages")
    key = folder / "key.json"
    key.write_text(json.dumps(upstream.credentials.service_account(upstream.token_uri)))
    (folder / "gateway.yaml").write_text(FILE.format(url=upstream.url))
    options = ["openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key}"]
    options += ["gateway_config=gateway.yaml", "gateway_base_path=/qwen"]
    target, env = f"reverse:{upstream.url}", {"QWEN_API_KEY": OPENAI_KEY}
    with Proxy(*options, folder=folder, confdir=confdir, mode=target, serve=True, env=env) as proxy:
        yield proxy


@pytest.fixture
def before(upstream: Simulator) -> int:
    return len(upstream.seen)


class TestGemini:
    def test_whole(self, converting: Proxy, upstream: Simulator) -> None:
        body = hello(system="Be brief.", metadata={"user_id": "me"}, container="c")
        headers = CLIENT | {"anthropic-beta": "oauth-2025-04-20", "x-app": "cli", "x-claude-code-session-id": "1"}
        answer = call(converting.url, f"{MESSAGES}?beta=true", body, headers=headers)
        told = answer.json()
        assert (answer.status, told["type"], told["stop_reason"]) == (200, "message", "end_turn")
        assert told["content"] == [{"type": "text", "text": "Hello there, this is "}]
        assert (told["usage"]["input_tokens"], told["usage"]["output_tokens"]) == (6, 4)
        assert answer.header("x-vertex-tap-dropped") == "container, metadata.user_id"
        row = converting.new_row()
        assert answer.header("request-id") == row["id"]
        assert (row["surface"], row["operation"], row["path"]) == ("anthropic", "messages", MESSAGES)
        assert (row["model"], row["rewritten"], row["streamed"]) == ("gemini-2.5-flash", 1, 0)
        assert (row["state"], row["usage_state"], row["input_tokens"], row["output_tokens"]) == ("done", "final", 6, 4)
        sent = upstream.seen[-1].request
        assert (sent.path, sent.query) == (f"{PARENT}/google/models/gemini-2.5-flash:generateContent", {})
        told_to_google = str(sent.raw_headers).lower()
        assert not [name for name in ("anthropic", "sk-ant", "x-api-key", "claude", "x-app") if name in told_to_google]

    def test_streamed(self, converting: Proxy) -> None:
        answer = call(converting.url, MESSAGES, hello(stream=True), headers=CLIENT)
        assert answer.header("content-type") == "text/event-stream"
        kinds = [event["type"] for event in events_of(answer)]
        assert kinds[:3] == ["message_start", "ping", "content_block_start"]
        assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
        row = converting.new_row()
        assert (row["streamed"], row["ttft_us"] > 0, row["usage_state"]) == (1, True, "final")

    def test_an_alias(self, converting: Proxy) -> None:
        assert call(converting.url, MESSAGES, hello(model="claude-haiku-4-5-20251001"), headers=CLIENT).status == 200
        assert converting.new_row()["model"] == "gemini-2.5-flash"

    def test_an_error_within_a_stream(self, converting: Proxy) -> None:
        answer = call(converting.url, MESSAGES, hello(stream=True), headers=CLIENT, plan={"error_after": 1})
        last = events_of(answer)[-1]
        assert (answer.status, last["type"]) == (200, "error")
        assert converting.new_row()["state"] == "upstream_failed"

    def test_a_stream_that_is_cut(self, converting: Proxy) -> None:
        with connection(converting.url) as client:
            answer = send(client, MESSAGES, hello(stream=True), headers=CLIENT, plan={"cut": 1})
        assert events_of(answer)[-1]["error"]["type"] == "api_error"
        until(lambda: not converting.rows("state = 'open'"))
        assert converting.new_row()["state"] == "upstream_failed"

    @pytest.mark.parametrize(
        ("status", "type"),
        [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (503, "api_error"),
        ],
    )
    def test_errors(self, converting: Proxy, status: int, type: str) -> None:
        for streamed in (False, True):
            answer = call(converting.url, MESSAGES, hello(stream=streamed), headers=CLIENT, plan={"status": status})
            assert error_of(answer) == (status, type, "Simulated.")
            assert converting.new_row()["status"] == status

    def test_counting(self, converting: Proxy, upstream: Simulator) -> None:
        body = hello(system="Be brief.", thinking={"type": "adaptive"})
        del body["max_tokens"]
        answer = call(converting.url, COUNT, body, headers=CLIENT)
        assert (answer.status, answer.json()) == (200, {"input_tokens": 4})
        assert upstream.seen[-1].request.path == f"{PARENT}/google/models/gemini-2.5-flash:countTokens"
        assert upstream.seen[-1].request.json().keys() == {"contents", "systemInstruction"}
        row = converting.new_row()
        assert (row["operation"], row["usage_state"]) == ("messages/count_tokens", "not_applicable")
        assert (row["counted_tokens"], row["input_tokens"], row["model"]) == (4, None, "gemini-2.5-flash")


class TestClaude:
    @pytest.mark.parametrize("streamed", [False, True])
    def test_bytes_pass(self, converting: Proxy, upstream: Simulator, streamed: bool) -> None:
        raw = b'{ "model" : "claude-opus-4-5-20251101","max_tokens":9,"stream":%s,' % json.dumps(streamed).encode()
        raw += b'"messages":[{"role":"user","content":"H\\u00e9 \\/"}],"temperature":1e0}'
        headers = CLIENT | {"anthropic-beta": "context-1m-2025-08-07,oauth-2025-04-20"}
        answer = call(converting.url, f"{MESSAGES}?beta=true", raw, headers=headers)
        seen = upstream.seen[-1]
        assert seen.answer
        assert (answer.status, answer.body) == (200, b"".join(seen.answer.pieces))
        assert seen.request.body == raw.replace(
            b'{ "model" : "claude-opus-4-5-20251101",', b'{"anthropic_version":"vertex-2023-10-16", '
        )
        action = "streamRawPredict" if streamed else "rawPredict"
        assert seen.request.path == f"{PARENT}/anthropic/models/claude-opus-4-5@20251101:{action}"
        assert seen.request.headers["anthropic-beta"] == "context-1m-2025-08-07"
        assert "sk-ant" not in str(seen.request.raw_headers)
        assert answer.header("x-vertex-tap-dropped") == "anthropic-beta.oauth-2025-04-20"
        row = converting.new_row()
        assert (row["surface"], row["operation"], row["publisher"]) == ("anthropic", "messages", "anthropic")
        assert (row["model"], row["usage_state"], row["rewritten"]) == ("claude-opus-4-5@20251101", "final", 1)
        assert {name: row[name] for name in seen.answer.reported} == seen.answer.reported
        assert (row["streamed"], row["ttft_us"] is None) == (streamed, not streamed)

    def test_what_a_beta_allows(self, converting: Proxy) -> None:
        body = hello(model="claude-opus-4-5-20251101", context_management={"edits": []})
        assert call(converting.url, MESSAGES, body, headers=CLIENT).status == 400
        headers = CLIENT | {"anthropic-beta": "context-management-2025-06-27,effort-2025-11-24"}
        assert call(converting.url, MESSAGES, body, headers=headers).status == 200
        converting.new_rows()

    def test_errors_pass(self, converting: Proxy, upstream: Simulator) -> None:
        answer = call(converting.url, MESSAGES, hello(model="claude-opus-5", temperature=5), headers=CLIENT)
        seen = upstream.seen[-1]
        assert seen.answer
        assert (answer.status, answer.body) == (400, b"".join(seen.answer.pieces))
        assert answer.json()["error"]["message"] == "temperature: Input should be between 0 and 1"
        assert converting.new_row()["error_type"] == "invalid_request_error"

    def test_googles_errors_become_anthropics(self, converting: Proxy) -> None:
        answer = call(converting.url, MESSAGES, hello(model="claude-unknown-5"), headers=CLIENT)
        assert error_of(answer)[:2] == (404, "not_found_error")
        converting.new_row()

    def test_counting(self, converting: Proxy, upstream: Simulator) -> None:
        body = hello(model="claude-opus-4-5-20251101")
        answer = call(converting.url, COUNT, body, headers=CLIENT)
        assert answer.json() == {"input_tokens": 4}
        sent = upstream.seen[-1].request
        assert sent.path == f"{PARENT}/anthropic/models/count-tokens:rawPredict"
        assert sent.json()["model"] == "claude-opus-4-5@20251101"
        row = converting.new_row()
        assert (row["model"], row["counted_tokens"]) == ("claude-opus-4-5@20251101", 4)
        assert (row["usage_state"], row["input_tokens"]) == ("not_applicable", None)


class TestOpenModels:
    def test_on_vertex(self, converting: Proxy, upstream: Simulator) -> None:
        answer = call(converting.url, MESSAGES, hello(model="meta/llama-4-scout-maas"), headers=CLIENT)
        assert answer.json()["content"][0]["type"] == "text"
        assert upstream.seen[-1].request.path.endswith("/endpoints/openapi/chat/completions")
        assert converting.new_row()["model"] == "llama-4-scout-maas"

    def test_at_a_service(self, converting: Proxy, upstream: Simulator) -> None:
        for streamed in (False, True):
            answer = call(converting.url, MESSAGES, hello(model="qwen-max", stream=streamed), headers=CLIENT)
            assert answer.status == 200
            assert upstream.seen[-1].request.path == "/v1/chat/completions"
            assert upstream.seen[-1].request.headers["authorization"] == f"Bearer {OPENAI_KEY}"
            assert "sk-ant" not in str(upstream.seen[-1].request.raw_headers)
            row = converting.new_row()
            assert (row["service"], row["model"], row["usage_state"]) == ("qwen", "qwen-max", "final")
            assert (row["rewritten"], row["streamed"]) == (1, streamed)

    @pytest.mark.parametrize("model", ["meta/llama-4-scout-maas", "qwen-max"])
    def test_counting_is_not_pretended(self, converting: Proxy, upstream: Simulator, before: int, model: str) -> None:
        status, type, message = error_of(call(converting.url, COUNT, hello(model=model), headers=CLIENT))
        assert (status, type, "cannot be counted" in message) == (404, "not_found_error", True)
        assert len(upstream.seen) == before
        assert converting.new_row()["state"] == "refused"


class TestModels:
    def test_the_list(self, converting: Proxy) -> None:
        listed = call(converting.url, "/v1/models?limit=1000", headers=CLIENT).json()
        assert listed["data"][0] == {
            "type": "model",
            "id": "gemini-2.5-flash",
            "display_name": "Gemini 2.5 Flash",
            "created_at": "1970-01-01T00:00:00Z",
            "lifecycle": "active",
        }
        ids = [entry["id"] for entry in listed["data"]]
        assert (listed["first_id"], listed["last_id"], listed["has_more"]) == (ids[0], ids[-1], False)
        assert {"opus", "claude-haiku-4-5-20251001"} <= set(ids)
        row = converting.new_row()
        assert (row["surface"], row["operation"]) == ("anthropic", "models")

    def test_one(self, converting: Proxy) -> None:
        assert call(converting.url, "/v1/models/opus", headers=CLIENT).json()["id"] == "opus"
        answer = call(converting.url, "/v1/models/nobody", headers=CLIENT)
        assert error_of(answer) == (404, "not_found_error", "The model `nobody` does not exist")
        converting.new_rows()

    def test_openais_clients_get_openais(self, converting: Proxy) -> None:
        headers = CLIENT | {"anthropic-version": ""}
        assert call(converting.url, "/v1/models", headers=headers).json()["object"] == "list"
        converting.new_row()

    def test_of_an_openai_service(self, converting: Proxy) -> None:
        listed = call(converting.url, "/qwen/v1/models", headers=CLIENT).json()
        converting.new_rows()
        assert [(entry["type"], entry["id"]) for entry in listed["data"]] == [("model", "gpt-4o")]


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("raw", "told"),
        [
            (b"{", "The body is not JSON"),
            (b"[]", "the body is not a JSON object"),
            (b"{}", "model: Write the name of a model"),
            (json.dumps(hello(thread={"type": "create"})).encode(), "thread: No conversations are held here"),
            (json.dumps(hello(messages=[])).encode(), "messages: List should have at least 1 item"),
            (
                json.dumps(hello(messages=[{"role": "user", "content": [{"type": "text"}]}])).encode(),
                "messages.0.content.0.text: Field required",
            ),
        ],
    )
    def test_requests(self, converting: Proxy, upstream: Simulator, before: int, raw: bytes, told: str) -> None:
        status, type, message = error_of(call(converting.url, MESSAGES, raw, headers=CLIENT))
        assert (status, type) == (400, "invalid_request_error")
        assert message.lower().startswith(told.lower())
        assert len(upstream.seen) == before
        assert converting.new_row()["error_type"] == "bad_request"

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/v1/messages/batches"),
            ("GET", "/v1/messages/batches/1/results"),
            ("GET", MESSAGES),
            ("GET", "/v1/files"),
            ("POST", "/v1/skills"),
        ],
    )
    def test_what_is_not_served(
        self, converting: Proxy, upstream: Simulator, before: int, method: str, path: str
    ) -> None:
        answer = call(converting.url, path, b"{}" if method == "POST" else None, method=method, headers=CLIENT)
        assert error_of(answer)[:2] == (404, "not_found_error")
        assert len(upstream.seen) == before
        converting.new_row()

    @pytest.mark.parametrize("path", ["/", MESSAGES, "/v1/models", "/api/hello"])
    def test_probes_do_no_harm(self, converting: Proxy, path: str) -> None:
        """Claude Code looks whether there is anybody, on the connection that it uses afterwards."""
        with connection(converting.url) as client:
            assert send(client, path, method="HEAD", headers=NAMELESS).status < 500
            assert send(client, path, headers=NAMELESS).status < 500
            assert send(client, MESSAGES, hello(), headers=CLIENT).status == 200


class TestPassthrough:
    @pytest.fixture
    def passing(self, start_proxy: StartProxy, upstream: Simulator) -> Proxy:
        options = ("openai_mode=convert", "vertex_project=test-project")
        return start_proxy(*options, mode=f"reverse:{upstream.url}")

    def test_googles_credentials_go_on(self, passing: Proxy, upstream: Simulator) -> None:
        token = upstream.credentials.token()
        for given, name, value in (
            ({"x-api-key": API_KEY}, "x-goog-api-key", API_KEY),
            ({"authorization": f"Bearer {API_KEY}"}, "x-goog-api-key", API_KEY),
            ({"authorization": f"Bearer {token}"}, "authorization", f"Bearer {token}"),
            ({"x-api-key": token}, "authorization", f"Bearer {token}"),
            ({"x-api-key": "sk-ant-1", "authorization": f"Bearer {token}"}, "authorization", f"Bearer {token}"),
        ):
            answer = call(passing.url, MESSAGES, hello(), headers=NAMELESS | given)
            assert answer.status == 200, given
            sent = upstream.seen[-1].request.headers
            assert sent[name] == value
            assert "x-api-key" not in sent

    @pytest.mark.parametrize(
        "given", [{}, {"x-api-key": "sk-ant-api03-x"}, {"authorization": "Bearer sk-ant-oat01-x"}, {"x-api-key": "any"}]
    )
    def test_others_do_not(self, passing: Proxy, upstream: Simulator, before: int, given: dict[str, str]) -> None:
        status, type, message = error_of(call(passing.url, MESSAGES, hello(), headers=NAMELESS | given))
        assert (status, type) == (401, "authentication_error")
        assert "Vertex AI accepts only" in message
        assert len(upstream.seen) == before
