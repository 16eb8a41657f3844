"""OpenAI calls answered by Vertex AI, on the wire."""

import gzip
import json
import socket
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
import wsproto
from wsproto.events import AcceptConnection

from addons.rewrite import Model
from addons.rewrite import model_of
from addons.translation.conversation import InvalidRequest
from tests.conftest import StartProxy
from tests.http import HELLO
from tests.http import call
from tests.http import connection
from tests.http import read_until
from tests.http import request
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator import Simulator
from tests.wire.test_live import PATH
from tests.wire.test_live import Client

CHAT = "/v1/chat/completions"
PARENT = "/v1/projects/test-project/locations"
NOBODY = {"x-goog-api-key": ""}
MARK = "MaRk9d2K"


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello, who are you?"}], **fields}


@pytest.fixture(scope="module")
def upstream() -> Any:
    with Simulator() as running:
        yield running


@pytest.fixture(scope="module")
def key(upstream: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "key.json"
    file.write_text(json.dumps(upstream.credentials.service_account(upstream.token_uri)))
    return file


@pytest.fixture(scope="module")
def converting(upstream: Simulator, key: Path, tmp_path_factory: pytest.TempPathFactory, confdir: Path) -> Any:
    folder = tmp_path_factory.mktemp("converting")
    options = ("openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key}")
    with Proxy(*options, folder=folder, confdir=confdir, mode=f"reverse:{upstream.url}", serve=True) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def compatible(upstream: Simulator, key: Path, tmp_path_factory: pytest.TempPathFactory, confdir: Path) -> Any:
    folder = tmp_path_factory.mktemp("compatible")
    options = ("openai_mode=compatible", "vertex_auth=service_account", f"vertex_credentials={key}")
    with Proxy(*options, folder=folder, confdir=confdir, mode=f"reverse:{upstream.url}") as proxy:
        yield proxy


class TestModels:
    @pytest.mark.parametrize(
        ("text", "model"),
        [
            ("gemini-2.5-flash", Model("gemini-2.5-flash")),
            ("google/gemini-2.5-flash", Model("gemini-2.5-flash")),
            ("vertex_ai/gemini-2.5-flash", Model("gemini-2.5-flash")),
            ("vertex/gemini/gemini-2.5-flash", Model("gemini-2.5-flash")),
            ("publishers/google/models/gemini-2.5-flash", Model("gemini-2.5-flash")),
            ("1234567890", Model("1234567890")),
            ("endpoints/1234567890", Model("1234567890")),
            ("meta/llama-4-maverick-17b-128e-instruct-maas", Model("llama-4-maverick-17b-128e-instruct-maas", "meta")),
            ("llama-4-scout-maas", Model("llama-4-scout-maas", "meta")),
            ("vertex_ai/deepseek-ai/deepseek-v3.1-maas", Model("deepseek-v3.1-maas", "deepseek-ai")),
            ("qwen3-235b", Model("qwen3-235b", "qwen")),
            ("gpt-oss-120b-maas", Model("gpt-oss-120b-maas", "openai")),
            ("mistral-small-2503@001", Model("mistral-small-2503@001", "mistralai")),
            ("google/gemma-3-27b-it", Model("gemma-3-27b-it", "google")),
            ("claude-sonnet-4@20250514", Model("claude-sonnet-4@20250514", "anthropic")),
        ],
    )
    def test_of(self, text: str, model: Model) -> None:
        assert model_of(text) == model

    @pytest.mark.parametrize("text", ["", "a b", "../x", "x/../y", "a/b/c", "m:predict", "m?x", "m#", "é", "x" * 200])
    def test_none(self, text: str) -> None:
        with pytest.raises(InvalidRequest, match="write a model such as"):
            model_of(text)

    @pytest.mark.parametrize(
        ("model", "path", "sent"),
        [
            ("1234567890", f"{PARENT}/global/endpoints/1234567890:generateContent", None),
            ("llama-4-maas", f"{PARENT}/global/endpoints/openapi/chat/completions", "meta/llama-4-maas"),
            ("qwen/qwen3-maas", f"{PARENT}/global/endpoints/openapi/chat/completions", "qwen/qwen3-maas"),
            (
                "mistral-small-2503@001",
                f"{PARENT}/global/publishers/mistralai/models/mistral-small-2503@001:rawPredict",
                "mistral-small-2503",
            ),
        ],
    )
    def test_where_they_are(
        self, converting: Proxy, upstream: Simulator, model: str, path: str, sent: str | None
    ) -> None:
        call(converting.url, CHAT, chat(model=model), headers=NOBODY)
        request = upstream.seen[-1].request
        assert (request.path, request.json().get("model")) == (path, sent)
        row = converting.new_rows()[-1]
        assert (row["upstream_path"], row["rewritten"], row["path"]) == (path, 1, CHAT)
        known = model_of(model)
        assert (row["model"], row["publisher"]) == (known.name, known.publisher)

    def test_claude_is_told(self, converting: Proxy) -> None:
        answer = call(converting.url, CHAT, chat(model="claude-sonnet-4"), headers=NOBODY)
        assert (answer.status, answer.json()["error"]["param"]) == (400, "model")


def test_a_place_of_its_own(converting: Proxy, upstream: Simulator) -> None:
    body = chat(project_id="other-project", region="us-central1")
    assert call(converting.url, CHAT, body, headers=NOBODY).status == 200
    sent = upstream.seen[-1].request
    assert sent.path.startswith("/v1/projects/other-project/locations/us-central1/publishers/google/models/")
    assert b"other-project" not in sent.body
    row = converting.new_rows()[-1]
    assert (row["project"], row["location"]) == ("other-project", "us-central1")


def test_what_was_dropped_and_assumed_is_told(converting: Proxy, upstream: Simulator) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://images.example/picture"}}
    speaking = {
        "x-stainless-lang": "python",
        "openai-organization": "acme",
        "cookie": "a=b",
        "helicone-auth": "Bearer x",
    }
    body = chat(user="me", logit_bias={"1": 2}, messages=[{"role": "user", "content": [picture]}])
    for given in (body, body | {"stream": True}):
        answer = call(converting.url, CHAT, given, headers=NOBODY | speaking | {"x-title": "kept"})
        assert answer.status == 200
        assert answer.header("x-vertex-tap-dropped") == "user, logit_bias"
        assert answer.header("x-vertex-tap-assumed") == "messages[0].content[0].image_url=image/jpeg"
        assert answer.header("x-request-id") == converting.new_rows()[-1]["id"]
    sent = upstream.seen[-1].request
    assert {"logit_bias", "user"}.isdisjoint(sent.json())
    assert (sent.headers.keys() & speaking.keys(), sent.headers["x-title"]) == (set(), "kept")


class TestBadInput:
    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            (b"", {}),
            (b"{", {}),
            (b"[]", {}),
            (b"nul", {}),
            (b'{"model": NaN}', {}),
            (b'{"model": "g", "messages": [{"role": "user", "content": "\\ud800"}]}', {}),
            (b"\xff\xfe", {}),
            (b"[" * 5000, {}),
            (b"no gzip", {"content-encoding": "gzip"}),
            (b"{}", {}),
            (json.dumps(chat(messages=[])).encode(), {}),
            (json.dumps(chat(model=5)).encode(), {}),
            (json.dumps(chat(temperature="hot")).encode(), {}),
        ],
    )
    def test_a_400_before_anything_is_sent(
        self, converting: Proxy, upstream: Simulator, body: bytes, headers: dict[str, str]
    ) -> None:
        before = len(upstream.seen)
        answer = call(converting.url, CHAT, body, method="POST", headers=NOBODY | headers)
        assert answer.status == 400
        assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert [seen for seen in upstream.seen[before:] if seen.request.path != "/token"] == []
        row = converting.new_rows()[-1]
        assert (row["state"], row["error_type"], row["attempts"]) == ("refused", "bad_request", 0)

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/v1/embeddings"),
            ("POST", "/v1/audio/speech"),
            ("GET", "/v1/files"),
            ("GET", CHAT),
            ("POST", f"{CHAT}/chatcmpl-1"),
        ],
    )
    def test_other_operations_are_told(self, converting: Proxy, upstream: Simulator, method: str, path: str) -> None:
        before = len(upstream.seen)
        body: dict[str, Any] | None = {} if method == "POST" else None
        answer = call(converting.url, path, body, method=method, headers=NOBODY)
        error = answer.json()["error"]
        assert (answer.status, error["code"], "chat/completions" in error["message"]) == (404, "unknown_url", True)
        assert [seen for seen in upstream.seen[before:] if seen.request.path != "/token"] == []

    @pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions/"])
    def test_other_spellings_of_the_path(self, converting: Proxy, path: str) -> None:
        assert call(converting.url, path, chat(), headers=NOBODY).json()["object"] == "chat.completion"

    def test_a_body_in_gzip(self, converting: Proxy, upstream: Simulator) -> None:
        body = gzip.compress(json.dumps(chat()).encode())
        assert call(converting.url, CHAT, body, headers=NOBODY | {"content-encoding": "gzip"}).status == 200
        assert "content-encoding" not in upstream.seen[-1].request.headers


class TestErrors:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("form", ["google", "array", "html", "empty"])
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, "invalid_request_error"),
            (404, "invalid_request_error"),
            (429, "rate_limit_error"),
            (503, "server_error"),
        ],
    )
    def test_the_status_stays(self, converting: Proxy, status: int, kind: str, form: str, stream: bool) -> None:
        plan = {"status": status, "error": form}
        answer = call(converting.url, CHAT, chat(stream=stream), headers=NOBODY, plan=plan)
        assert (answer.status, answer.header("content-type")) == (status, "application/json")
        error = answer.json()["error"]
        assert error["type"] == kind
        assert "html" not in error["message"]
        row = converting.new_rows()[-1]
        assert (row["state"], row["usage_state"], row["status"]) == ("done", "not_applicable", status)

    def test_an_error_inside_an_answer(self, converting: Proxy) -> None:
        answer = call(converting.url, CHAT, chat(stream=True), headers=NOBODY, plan={"error_after": 1})
        *_, last, end = answer.body.split(b"\n\n")
        assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "service_unavailable"
        assert (end, b"[DONE]" in answer.body, b'"finish_reason":"stop"' in answer.body) == (b"", False, False)
        row = converting.new_rows()[-1]
        assert (row["state"], row["error_type"], row["status"]) == ("upstream_failed", "UNAVAILABLE", 200)

    def test_a_stream_that_is_cut(self, converting: Proxy) -> None:
        """It ends with an error, and its framing is whole, so that the connection stays."""
        with connection(converting.url) as client:
            request(client, CHAT, chat(stream=True), headers=NOBODY, plan={"cut": 1})
            body = client.getresponse().read()
            assert body.endswith(b"\n\n")
            assert b'data: {"error":' in body.split(b"\n\n")[-2]
            assert b"[DONE]" not in body
            request(client, CHAT, chat(), headers=NOBODY)
            assert client.getresponse().status == 200

    def test_a_stream_that_is_cut_after_its_end(self, converting: Proxy) -> None:
        """All has come but the end of the framing: nothing is lost."""
        answer = call(converting.url, CHAT, chat(stream=True), headers=NOBODY, plan={"cut_end": True})
        assert answer.body.endswith(b"data: [DONE]\n\n")
        row = converting.new_rows()[-1]
        assert (row["state"], row["usage_state"], row["error_type"]) == ("done", "final", None)

    def test_a_stream_that_ends_before_its_end(self, converting: Proxy) -> None:
        """Its framing is whole, but no finish reason came."""
        answer = call(converting.url, CHAT, chat(stream=True), headers=NOBODY, plan={"stop_after": 1})
        assert b'data: {"error":' in answer.body
        row = converting.new_rows()[-1]
        assert (row["state"], row["error_type"], row["status"]) == ("upstream_failed", "upstream_cut", 200)

    def test_an_event_that_cannot_be_read(self, start_proxy: StartProxy, upstream: Simulator, key: Path) -> None:
        """The row says what the client was told, though the rest of the answer is well."""
        events = [b'data: {"candidates": [\r\n\r\n', b'data: {"candidates": [{"finishReason": "STOP"}]}\r\n\r\n']
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
        body = b"".join(events)
        with socket.create_server(("127.0.0.1", 0)) as server:
            threading.Thread(target=_answer, args=(server, head % len(body) + body), daemon=True).start()
            options = ("openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key}")
            proxy = start_proxy(*options, mode=f"reverse:http://127.0.0.1:{server.getsockname()[1]}", serve=True)
            answer = call(proxy.url, CHAT, chat(stream=True), headers=NOBODY)
        assert (b"[DONE]" in answer.body, b'data: {"error":' in answer.body) == (False, True)
        row = proxy.new_row()
        assert (row["state"], row["usage_state"], row["error_type"]) == ("upstream_failed", "absent", "upstream_cut")

    @pytest.mark.parametrize(
        ("body", "status"),
        # What has no member is, in proto3, an answer of defaults.
        [(b"{}", 200), (b'{"candidates": []}', 200), (b"[]", 502), (b"<html>", 502), (b"", 502)],
    )
    def test_an_answer_of_nothing(
        self, start_proxy: StartProxy, upstream: Simulator, key: Path, body: bytes, status: int
    ) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        with socket.create_server(("127.0.0.1", 0)) as server:
            threading.Thread(target=_answer, args=(server, head + body), daemon=True).start()
            options = ("openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key}")
            proxy = start_proxy(*options, mode=f"reverse:http://127.0.0.1:{server.getsockname()[1]}", serve=True)
            answer = call(proxy.url, CHAT, chat(), headers=NOBODY)
        assert answer.status == status
        row = proxy.new_row()
        if status == 200:
            (choice,) = answer.json()["choices"]
            assert (choice["message"]["content"], choice["finish_reason"]) == ("", "stop")
            assert (row["state"], row["usage_state"]) == ("done", "absent")
        else:
            assert (row["state"], row["status"], row["upstream_status"]) == ("upstream_failed", 502, 200)

    def test_an_answer_that_is_cut(self, converting: Proxy) -> None:
        answer = call(converting.url, CHAT, chat(), headers=NOBODY, plan={"split": 50, "cut": 2, "chunked": True})
        assert (answer.status, answer.json()["error"]["status"]) == (502, "UNAVAILABLE")
        row = converting.new_rows()[-1]
        assert (row["state"], row["status"], row["upstream_status"]) == ("upstream_failed", 502, 200)

    def test_a_picture_in_an_answer(self, start_proxy: StartProxy, upstream: Simulator, key: Path) -> None:
        options = ("openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key}")
        proxy = start_proxy(*options, mode=f"reverse:{upstream.url}", serve=True)
        answer = call(proxy.url, CHAT, chat(), headers=NOBODY, plan={"padding": 1, "encoding": "gzip"})
        assert answer.status == 200
        assert answer.json()["choices"][0]["message"]["images"][0]["type"] == "image_url"


def _answer(server: socket.socket, answer: bytes) -> None:
    client, _ = server.accept()
    with client:
        client.recv(65536)
        client.sendall(answer)


class TestStreams:
    @pytest.mark.parametrize("encoding", [None, "gzip", "br", "zstd", "deflate"])
    @pytest.mark.parametrize("split", [0, 1, 7])
    def test_every_coding_and_split(self, converting: Proxy, encoding: str | None, split: int) -> None:
        plan = {"encoding": encoding, "split": split, "newline": "\n"}
        answer = call(converting.url, CHAT, chat(stream=True), headers=NOBODY, plan=plan)
        events = [json.loads(line[6:]) for line in answer.body.decode().split("\n\n")[:-2]]
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == "Hello there, this is "
        assert [event["choices"][0]["finish_reason"] for event in events] == [None] * (len(events) - 1) + ["stop"]

    def test_no_event_waits_for_a_later_one(self, converting: Proxy, upstream: Simulator) -> None:
        with connection(converting.url) as client:
            request(client, CHAT, chat(stream=True), headers=NOBODY, plan={"gate": "rewrite", "words": 6})
            answer = client.getresponse()
            read_until(answer, b"Hello there, ")
            upstream.gates["rewrite"].release(10)
            read_until(answer, b"[DONE]")

    def test_the_row_is_final_before_the_end(self, converting: Proxy) -> None:
        with connection(converting.url) as client:
            request(client, CHAT, chat(stream=True), headers=NOBODY, plan={"linger": 0.3})
            read_until(client.getresponse(), b"[DONE]")
            row = converting.new_rows()[-1]
            assert (row["state"], row["usage_state"], row["total_tokens"]) == ("done", "final", 8)

    def test_a_client_that_hangs_up(self, converting: Proxy) -> None:
        with connection(converting.url) as client:
            request(client, CHAT, chat(stream=True), headers=NOBODY, plan={"gate": "never", "words": 6})
            read_until(client.getresponse(), b"Hello")
        until(lambda: not converting.rows("state = 'open'"))
        row = converting.new_rows()[-1]
        assert (row["state"], row["error_type"], row["rewritten"]) == ("client_closed", "client_closed", 1)


class TestCompatible:
    @pytest.mark.parametrize(
        ("model", "sent"),
        [
            ("gemini-2.5-flash", "google/gemini-2.5-flash"),
            ("google/gemini-2.5-flash", "google/gemini-2.5-flash"),
            ("google/google/gemini-2.5-flash", "google/gemini-2.5-flash"),
            ("meta/llama-4-maas", "meta/llama-4-maas"),
        ],
    )
    def test_only_the_model_changes(self, compatible: Proxy, upstream: Simulator, model: str, sent: str) -> None:
        text = '{ "messages":[{"role":"user","content":"H\\u00e9 \\/"}],\n  "model" : %s , "temperature":0.0 }\n'
        answer = call(compatible.url, CHAT, (text % json.dumps(model)).encode(), headers=NOBODY)
        seen = upstream.seen[-1]
        assert seen.request.body == (text % json.dumps(sent)).encode()
        assert seen.request.path == f"{PARENT}/global/endpoints/openapi/chat/completions"
        assert seen.answer
        assert answer.body == b"".join(seen.answer.pieces)
        row = compatible.new_rows()[-1]
        assert (row["usage_state"], row["rewritten"], row["surface"]) == ("final", 1, "openai")

    def test_streams_pass(self, compatible: Proxy, upstream: Simulator) -> None:
        options = {"include_usage": True}
        answer = call(compatible.url, CHAT, chat(stream=True, stream_options=options), headers=NOBODY)
        seen = upstream.seen[-1]
        assert seen.answer
        assert answer.body == b"".join(seen.answer.pieces)
        assert compatible.new_rows()[-1]["usage_state"] == "final"

    def test_errors_become_openais(self, compatible: Proxy) -> None:
        answer = call(compatible.url, CHAT, chat(), headers=NOBODY, plan={"status": 429, "error": "array"})
        assert (answer.status, answer.json()["error"]["type"]) == (429, "rate_limit_error")

    def test_a_place_of_its_own(self, compatible: Proxy, upstream: Simulator) -> None:
        text = b'{"project_id": "other-project", "model": "google/g", "region":"eu", "messages": [], "region2": 1}'
        call(compatible.url, CHAT, text, headers=NOBODY)
        seen = upstream.seen[-1].request
        assert seen.path.startswith("/v1/projects/other-project/locations/eu/endpoints/openapi/")
        assert seen.body == b'{"model": "google/g", "messages": [], "region2": 1}'


def test_marks_are_nowhere(start_proxy: StartProxy, upstream: Simulator, key: Path) -> None:
    options = ("openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key}")
    proxy = start_proxy(
        *options, mode=f"reverse:{upstream.url}", arguments=("-w", "flows"), env={"COLUMNS": "500", "LINES": "50"}
    )
    headers = NOBODY | {"authorization": f"Bearer {MARK}", "cookie": MARK}
    body = chat(messages=[{"role": "user", "content": MARK}], user=MARK)
    for stream in (False, True):
        for plan in ({}, {"status": 429}, {"cut": 1}):
            call(proxy.url, f"{CHAT}?x={MARK}", body | {"stream": stream}, headers=headers, plan=plan)
    call(proxy.url, CHAT, body | {"messages": [{"role": MARK}]}, headers=headers)
    call(proxy.url, CHAT, MARK.encode(), headers=headers)
    lock = sqlite3.connect(proxy.ledger, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    call(proxy.url, CHAT, body, headers=headers)
    lock.close()
    assert proxy.stop() == 0
    token = upstream.seen[-1].request.headers["authorization"].removeprefix("Bearer ")
    for file in proxy.folder.iterdir():
        for secret in (MARK, token, "Hello there, this is"):
            assert secret.encode() not in file.read_bytes(), (file.name, secret)
    assert MARK.encode() in upstream.seen[-1].request.body


@pytest.mark.parametrize("publisher", ["google", "googleVertexAI"])
def test_live_gets_its_project(converting: Proxy, publisher: str) -> None:
    """A client with an API key names none, and with our token one is needed."""
    with socket.create_connection(("127.0.0.1", converting.port), timeout=10) as sock:
        client = Client(sock)
        opening = wsproto.events.Request(host="x", target=PATH, extra_headers=[(b"x-goog-api-key", b"AIzaOfTheClient")])
        sock.sendall(client.connection.send(opening))
        assert isinstance(client.hear(), AcceptConnection)
        client.say({"setup": {"model": f"publishers/{publisher}/models/gemini-live-2.5-flash"}})
        assert client.hear() == {"setupComplete": {}}
        client.turn()
        client.hear(), client.hear()
        client.close()
    row = converting.new_rows()[-1]
    assert (row["model"], row["state"], row["total_tokens"]) == ("gemini-live-2.5-flash", "done", 14)
    assert (row["project"], row["location"], row["service"]) == ("test-project", "global", "default")


def test_native_calls_are_not_rewritten(converting: Proxy, upstream: Simulator) -> None:
    path = "/v1/publishers/google/models/gemini-2.5-flash:generateContent"
    assert call(converting.url, path, HELLO, headers=NOBODY).status == 200
    assert upstream.seen[-1].request.json() == HELLO
    assert converting.new_rows()[-1]["rewritten"] == 0
