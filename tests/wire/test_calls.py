"""What a call is: its operation, whether it may have used something, and who made it."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http import HELLO
from tests.http import MODEL
from tests.http import PROJECT
from tests.http import call
from tests.process import Proxy
from tests.process import until
from tests.raw_upstream import RawUpstream

UNARY = f"{MODEL}:generateContent"


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    """Answers everything with an empty object that tells no usage."""
    with RawUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, confdir: Path, upstream: RawUpstream) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("proxy")
    with Proxy(folder=folder, confdir=confdir, mode=f"reverse:{upstream.url}") as running:
        yield running


@pytest.fixture
def tap(shared: Proxy) -> Proxy:
    shared.new_rows()
    return shared


@pytest.fixture(scope="module")
def converting(tmp_path_factory: pytest.TempPathFactory, confdir: Path, upstream: RawUpstream) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("converting")
    options = ("openai_mode=convert", "vertex_project=test-project")
    with Proxy(*options, folder=folder, confdir=confdir, mode=f"reverse:{upstream.url}") as running:
        yield running


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "GET", "PUT", "DELETE", "PROPFIND"])
@pytest.mark.parametrize("path", [UNARY, f"{PROJECT}:askContexts", "/v1beta/models/g:generateContent", "/v1/messages"])
def test_no_call_of_a_model(tap: Proxy, upstream: RawUpstream, method: str, path: str) -> None:
    upstream.answers[path] = (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",)
    assert call(tap.url, path, method=method).status == 200
    del upstream.answers[path]
    row = tap.new_row()
    assert (row["operation"], row["method"], row["usage_state"]) == (None, method, "not_applicable")
    assert (row["state"], row["path"], row["total_tokens"]) == ("done", path, None)


def test_what_a_browser_asks_first(tap: Proxy) -> None:
    """A preflight is a row of its own, beside that of the call."""
    asked = {"origin": "http://localhost:3000", "access-control-request-method": "POST"}
    call(tap.url, UNARY, method="OPTIONS", headers=asked)
    call(tap.url, UNARY, HELLO)
    rows = [(row["method"], row["operation"], row["usage_state"]) for row in tap.new_rows()]
    assert sorted(rows, key=str) == [("OPTIONS", None, "not_applicable"), ("POST", "generateContent", "absent")]


@pytest.mark.parametrize(
    ("method", "path", "surface", "operation", "usage_state"),
    [
        ("POST", f"{MODEL}%3AgenerateContent", "vertex", "generateContent", "absent"),
        ("POST", f"{MODEL}%253AgenerateContent", "vertex", None, "unsupported"),
        ("POST", f"{PROJECT}:askContexts", "vertex", "askContexts", "unsupported"),
        ("POST", f"{PROJECT}/:askContexts", "vertex", "askContexts", "unsupported"),
        ("POST", f"{PROJECT}%3AevaluateInstances", "vertex", "evaluateInstances", "unsupported"),
        ("POST", f"{PROJECT}/voices:create", "vertex", "voices.create", "absent"),
        ("POST", f"{PROJECT}/agents", "vertex", "agents.create", "not_applicable"),
        ("POST", f"{PROJECT}/agents/7/tasks", "vertex", "tasks.create", "unsupported"),
        ("POST", f"{PROJECT}/interactions/7/cancel", "vertex", "interactions.cancel", "not_applicable"),
        ("POST", f"{PROJECT}/interactions/7:cancel", "vertex", "interactions.cancel", "not_applicable"),
        ("POST", f"{PROJECT}/reasoningEngines/7:query", "vertex", "reasoningEngines.query", "unsupported"),
        (
            "POST",
            f"{PROJECT}/reasoningEngines/7:streamQuery?alt=sse",
            "vertex",
            "reasoningEngines.streamQuery",
            "unsupported",
        ),
        ("POST", "/v1/reasoningEngines/7:query", "vertex", "reasoningEngines.query", "unsupported"),
        ("GET", f"{PROJECT}/reasoningEngines/7/sessions", "vertex", "sessions.list", "not_applicable"),
        ("POST", f"{PROJECT}/tuningJobs", "vertex", "tuningJobs.create", "unsupported"),
        ("POST", "/v1beta/fileSearchStores/s:importFile", "gemini", "fileSearchStores.importFile", "unsupported"),
        ("POST", "/v1beta/models/g:batchGenerateContent", "gemini", "batchGenerateContent", "absent"),
        ("POST", "/v1alpha/auth_tokens", "gemini", "auth_tokens.create", "not_applicable"),
        ("POST", "/v1/messages/batches", "anthropic", "messages/batches", "unsupported"),
        ("POST", "/v1/evals/e/runs", "openai", "evals/runs", "unsupported"),
        ("GET", "/v1/evals/e/runs", "openai", "evals/runs", "not_applicable"),
    ],
)
def test_what_is_asked(
    tap: Proxy, method: str, path: str, surface: str, operation: str | None, usage_state: str
) -> None:
    assert call(tap.url, path, {} if method == "POST" else None, method=method).status == 200
    row = tap.new_row()
    assert (row["surface"], row["operation"], row["usage_state"]) == (surface, operation, usage_state)
    assert (row["state"], row["input_tokens"], row["total_tokens"]) == ("done", None, None)


GENAI = "google-genai-sdk/1.50.1 gl-python/3.11.7"


@pytest.mark.parametrize(
    ("agents", "client", "sdk"),
    [
        # Each has one name, whatever it calls.
        (
            [
                "ai/7.0.1 ai-sdk-provider-utils/5.0.8 node.js/24",
                "ai-sdk-openai/4.0.1 ai-sdk-provider-utils/5.0.8 node.js/24",
            ],
            "",
            "ai-sdk/5.0.8",
        ),
        (["GeminiCLI/0.61.0/gemini-3-pro (linux; x64)", "GeminiCLI-tui/0.61.0 (linux)"], GENAI, "geminicli/0.61.0"),
        ([f"{GENAI} pydantic-ai/1.2.0", "pydantic-ai/1.2.0"], GENAI, "pydantic-ai/1.2.0"),
        (["codex_cli_rs/0.98.0 (Ubuntu 26.4.0; x86_64) xterm"], "", "codex_cli_rs/0.98.0"),
        ([GENAI], GENAI, "google-genai-sdk/1.50.1"),
        (["AIzaSyD1234567890abcdefghijklmnopqrst/1.0", "what is the capital of France"], "", None),
    ],
)
def test_who_made_it(tap: Proxy, agents: list[str], client: str, sdk: str | None) -> None:
    for agent in agents:
        for path in (UNARY, f"{MODEL}:streamGenerateContent?alt=sse", "/v1/chat/completions", "/v1/responses"):
            call(tap.url, path, HELLO, headers={"user-agent": agent, "x-goog-api-client": client})
            assert tap.new_row()["sdk"] == sdk
        assert agent not in tap.output


def test_a_websocket_of_interactions(tap: Proxy) -> None:
    """If it is refused, it has told no usage, which is not to say that it used nothing."""
    upgrade = (
        b"GET /v1beta/interactions/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", tap.port), timeout=10) as client:
        client.sendall(upgrade)
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        until(lambda: not tap.rows("state = 'open'"))
    row = tap.new_row()
    assert (row["operation"], row["usage_state"]) == ("interactions.live", "absent")


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "PUT"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/images/generations"])
def test_nothing_is_converted_for_them(converting: Proxy, method: str, path: str) -> None:
    """They are refused, as nothing here answers them."""
    converting.new_rows()
    assert call(converting.url, path, method=method).status in (400, 404, 405)
    row = converting.new_row()
    assert (row["state"], row["usage_state"], row["rewritten"]) == ("refused", "not_applicable", 0)
    assert row["operation"] is None or method == "PUT"
