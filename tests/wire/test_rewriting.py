"""Calls answered by a service of another dialect, on the wire: OpenAI's by Vertex AI, and Google's by OpenAI."""

import base64
import contextlib
import gzip
import http.server
import json
import socket
import sqlite3
import threading
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wsproto
from wsproto.events import AcceptConnection

from addons.translation.publishers import model_of
from addons.upstream import AT_ONCE
from tests.addons.translation.client_requests import FORM
from tests.addons.translation.client_requests import form
from tests.conftest import StartProxy
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import call
from tests.http import comes_whole
from tests.http import connection
from tests.http import read_until
from tests.http import request
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator import OPENAI_KEY
from tests.vertex_simulator import Credentials
from tests.vertex_simulator import Simulator
from tests.vertex_simulator.embeddings import vector
from tests.vertex_simulator.pictures import png
from tests.vertex_simulator.veo import VIDEO
from tests.websocket_client import Client
from tests.wire.test_live import PATH
from tests.wire.test_live import turn

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
        assert answer.header("x-vertex-tap-dropped") == "logit_bias, user"
        assert answer.header("x-vertex-tap-assumed") == "messages[0].content[0].image_url=image/jpeg"
        assert answer.header("x-request-id") == converting.new_rows()[-1]["id"]
    sent = upstream.seen[-1].request
    assert {"logit_bias", "user"}.isdisjoint(sent.json())
    assert (sent.headers.keys() & speaking.keys(), sent.headers["x-title"]) == (set(), "kept")


NEWEST, OLDER, SPEAKER = "gemini-3.8-flash", "gemini-2.5-flash", "gemini-2.5-flash-preview-tts"
MAGIC = {"type": "function", "function": {"name": "21st_magic", "parameters": {"type": "object", "properties": {}}}}
CALLED = {"id": "c1", "type": "function", "function": {"name": "21st_magic", "arguments": "{}"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {}}}}
ASKS, SAYS = {"role": "user", "content": "Hello"}, {"role": "assistant", "content": "The answer is"}
CALLS: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [CALLED]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "fine"}
OPENING, CLOSING = "messages[0]=Continue.", "messages[-1]=Continue."


def chunks(answer: Any) -> list[Any]:
    """The events of a stream of chunks."""
    lines = answer.body.decode().split("\n\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


class TestFamilies:
    """The simulator refuses what Google refuses of each model, so an answer says that the conversion was right."""

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("body", "dropped", "assumed"),
        [
            (chat(model=NEWEST, messages=[ASKS, SAYS]), None, CLOSING),
            (chat(model="gemini-3.5-flash-lite", messages=[SAYS]), None, f"{OPENING}, {CLOSING}"),
            (chat(model="gemini-3.5-flash", messages=[ASKS, SAYS]), None, None),
            (chat(model="claude-opus-5", messages=[ASKS, SAYS]), None, f"{CLOSING}, max_tokens=16384"),
            (chat(model=NEWEST, messages=[CALLS, RESULT], tools=[MAGIC]), None, OPENING),
            (chat(model=OLDER, messages=[CALLS, RESULT, ASKS], tools=[MAGIC]), None, OPENING),
            (chat(model=NEWEST, messages=[ASKS, CALLS, RESULT, ASKS], tools=[MAGIC]), None, None),
            (chat(model=NEWEST, reasoning_effort="minimal"), None, "reasoning_effort=low"),
            (
                chat(model=NEWEST, presence_penalty=0.5, frequency_penalty=0.5),
                "presence_penalty, frequency_penalty",
                None,
            ),
            (chat(model=NEWEST, temperature=0.5, logprobs=True), "temperature, logprobs", None),
            (chat(model=OLDER, presence_penalty=0.5, temperature=0.5, logprobs=True), None, None),
            (chat(model=OLDER, tools=[MAGIC], response_format=SCHEMA), None, "response_format=instruction"),
            (chat(model=OLDER, web_search_options={}, response_format=SCHEMA), None, "response_format=instruction"),
            (chat(model=NEWEST, tools=[MAGIC], response_format=SCHEMA), None, None),
            (chat(model=SPEAKER, modalities=["text", "audio"]), None, "modalities=audio"),
            (chat(model=OLDER, modalities=["text", "audio"]), "modalities", None),
        ],
    )
    def test_what_they_take(
        self, converting: Proxy, body: dict[str, Any], dropped: str | None, assumed: str | None, stream: bool
    ) -> None:
        answer = call(converting.url, CHAT, body | {"stream": stream}, headers=NOBODY)
        assert answer.status == 200, answer.body
        assert answer.header("x-vertex-tap-dropped") == dropped
        assert answer.header("x-vertex-tap-assumed") == assumed

    def test_names_that_gemini_does_not_take(self, converting: Proxy, upstream: Simulator) -> None:
        body = chat(model=NEWEST, tools=[MAGIC], tool_choice={"type": "function", "function": {"name": "21st_magic"}})
        answer = call(converting.url, CHAT, body, headers=NOBODY)
        assert answer.json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "21st_magic"
        assert b"_21st_magic" in upstream.seen[-1].request.body
        assert "_21st_magic" not in str(answer.headers)
        streamed = call(converting.url, CHAT, body | {"stream": True}, headers=NOBODY)
        deltas = [choice["delta"] for chunk in chunks(streamed) for choice in chunk["choices"]]
        (name,) = [one["function"]["name"] for delta in deltas for one in delta.get("tool_calls", [])]
        assert name == "21st_magic"

    @pytest.mark.parametrize("words", [0, 4])
    def test_an_answer_that_is_none(self, converting: Proxy, words: int) -> None:
        plan = {"finish": "MALFORMED_FUNCTION_CALL", "words": words}
        why = "MALFORMED_FUNCTION_CALL: Simulated: MALFORMED_FUNCTION_CALL."
        (choice,) = call(converting.url, CHAT, chat(), headers=NOBODY, plan=plan).json()["choices"]
        assert (choice["message"]["refusal"], choice["finish_reason"]) == (why, "stop")
        streamed = call(converting.url, CHAT, chat(stream=True), headers=NOBODY, plan=plan)
        deltas = [choice["delta"] for chunk in chunks(streamed) for choice in chunk["choices"]]
        assert [delta["refusal"] for delta in deltas if delta.get("refusal")] == [why]
        asked = {"model": OLDER, "input": "Hello"}
        response = call(converting.url, "/v1/responses", asked, headers=NOBODY, plan=plan).json()
        assert (response["status"], response["error"]["message"], len(response["output"])) == ("failed", why, words > 0)
        streamed = call(converting.url, "/v1/responses", asked | {"stream": True}, headers=NOBODY, plan=plan)
        last = json.loads(streamed.body.decode().strip().rpartition("data: ")[2])
        assert (last["type"], last["response"]["error"]["message"]) == ("response.failed", why)

    def test_speech(self, converting: Proxy) -> None:
        body = chat(model=SPEAKER, modalities=["text", "audio"], audio={"voice": "Kore", "format": "wav"})
        answer = call(converting.url, CHAT, body, headers=NOBODY)
        wav = base64.b64decode(answer.json()["choices"][0]["message"]["audio"]["data"])
        assert (wav[:4], wav[-12:]) == (b"RIFF", bytes(range(12)))
        assert answer.header("x-vertex-tap-dropped") is None
        streamed = call(converting.url, CHAT, body | {"stream": True}, headers=NOBODY)
        assert streamed.header("x-vertex-tap-dropped") == "audio.format"
        sounds = [
            one["delta"]["audio"] for chunk in chunks(streamed) for one in chunk["choices"] if "audio" in one["delta"]
        ]
        assert b"".join(base64.b64decode(sound["data"]) for sound in sounds) == bytes(range(12))
        assert len({(sound["id"], sound["expires_at"]) for sound in sounds}) == 1


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
            ("POST", "/v1/completions"),
            ("POST", "/v1/audio/speech"),
            ("GET", "/v1/files"),
            ("GET", CHAT),
            ("POST", f"{CHAT}/chatcmpl-1"),
            ("POST", "/v1/images/unknown"),
            ("POST", "/v1/batches"),
            ("GET", "/v1/videos"),
            ("DELETE", "/v1/videos/video_1"),
            ("DELETE", "/v1/models/gemini-2.5-flash"),
            ("POST", "/v1/models"),
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

    @pytest.mark.parametrize("body", [b"{}", b'{"candidates": []}', b"[]", b"<html>", b""])
    def test_an_answer_of_nothing(self, start_proxy: StartProxy, upstream: Simulator, key: Path, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        with socket.create_server(("127.0.0.1", 0)) as server:
            threading.Thread(target=_answer, args=(server, head + body), daemon=True).start()
            options = ("openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key}")
            proxy = start_proxy(*options, mode=f"reverse:http://127.0.0.1:{server.getsockname()[1]}", serve=True)
            answer = call(proxy.url, CHAT, chat(), headers=NOBODY)
        assert answer.status == 502
        row = proxy.new_row()
        assert (row["state"], row["status"], row["upstream_status"]) == ("upstream_failed", 502, 200)

    def test_an_answer_that_is_cut(self, converting: Proxy) -> None:
        answer = call(converting.url, CHAT, chat(), headers=NOBODY, plan={"split": 50, "cut": 2, "chunked": True})
        assert (answer.status, answer.json()["error"]["code"]) == (502, "bad_gateway")
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

    @pytest.mark.parametrize("path", ["/v1/responses", "/v1/embeddings", "/v1/images/generations", "/v1/videos"])
    def test_other_operations_are_told(self, compatible: Proxy, upstream: Simulator, path: str) -> None:
        before = len(upstream.seen)
        answer = call(compatible.url, path, {"model": "gemini-2.5-flash", "input": "Hi"}, headers=NOBODY)
        error = answer.json()["error"]
        assert (answer.status, error["code"]) == (404, "unknown_url")
        assert "openai_mode=convert serves more" in error["message"]
        assert [seen for seen in upstream.seen[before:] if seen.request.path != "/token"] == []
        assert compatible.new_rows()[-1]["state"] == "refused"


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
        opening = wsproto.events.Request(
            host="localhost", target=PATH, extra_headers=[(b"x-goog-api-key", b"AIzaOfTheClient")]
        )
        sock.sendall(client.connection.send(opening))
        assert isinstance(client.hear(), AcceptConnection)
        client.say({"setup": {"model": f"publishers/{publisher}/models/gemini-live-2.5-flash"}})
        assert client.hear() == {"setupComplete": {}}
        turn(client)
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


def test_unknown_paths_are_vertexs(converting: Proxy, upstream: Simulator) -> None:
    call(converting.url, "/v1beta1/unknown?x=1", b"{}", headers=NOBODY)
    assert upstream.seen[-1].request.path == "/v1beta1/unknown"
    row = converting.new_rows()[-1]
    assert (row["surface"], row["rewritten"], row["path"]) == (None, 0, "/v1beta1/unknown")


@pytest.mark.parametrize("path", ["//v1/chat/completions", "/v1//chat/completions", "/V1/chat/completions", "/v1/zork"])
def test_what_is_much_like_openais_goes_nowhere(converting: Proxy, upstream: Simulator, path: str) -> None:
    """A prompt must not get to Vertex AI as it is."""
    before = len(upstream.seen)
    answer = call(converting.url, path, chat(), headers=NOBODY)
    assert (answer.status, answer.json()["error"]["code"]) == (404, "unknown_url")
    assert [seen for seen in upstream.seen[before:] if seen.request.path != "/token"] == []
    assert converting.new_rows()[-1]["state"] == "refused"


EMBEDDINGS = "/v1/embeddings"
Answering = Callable[[str, bytes], tuple[int, object]]
"""What a service answers to a path (with its query) and a body; status 0 hangs up."""


class Serving:
    """A service that answers each of several calls in its own way."""

    def __init__(self) -> None:
        serving = self
        self.answering: Answering = lambda path, body: (200, {})

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                status, document = serving.answering(self.path, body)
                if not status:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                data = json.dumps(document).encode()
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

            do_GET = do_POST

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Serving":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with Serving() as running:
        yield running


@pytest.fixture(scope="module")
def served(serving: Serving, key: Path, tmp_path_factory: pytest.TempPathFactory, confdir: Path) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("served")
    options = ("openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key}")
    with Proxy(*options, folder=folder, confdir=confdir, mode=f"reverse:{serving.url}", serve=True) as proxy:
        yield proxy


COUNTED = {"predictions": [{"embeddings": {"values": [1.0], "statistics": {"token_count": 1.0}}}]}
UNCOUNTED = {"predictions": [{"embeddings": {"values": [1.0]}}]}
"""Google's answers to a text."""


def error(status: int, word: str) -> tuple[int, object]:
    return status, {"error": {"code": status, "message": f"Simulated: {word}.", "status": word}}


def embedding(*texts: str, **fields: Any) -> dict[str, Any]:
    """Of a model that takes one text a call."""
    return {"model": "gemini-embedding-001", "input": list(texts), **fields}


class TestManyCalls:
    """One call that becomes several."""

    @pytest.fixture
    def own(self) -> Iterator[Simulator]:
        """A Google of this test's own, whose tokens it may revoke."""
        with Simulator(credentials=Credentials()) as running:
            yield running

    @pytest.fixture
    def before(self, start_proxy: StartProxy, key: Path) -> Callable[[str], Proxy]:
        """Starts a proxy in front of a service."""
        options = ("openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key}")
        return lambda url: start_proxy(*options, mode=f"reverse:{url}", serve=True)

    def test_images_are_one_row(self, converting: Proxy, upstream: Simulator) -> None:
        before = len(upstream.seen)
        body = {"model": "gemini-2.5-flash-image", "prompt": "A cat", "n": 3}
        answer = call(converting.url, "/v1/images/generations", body, headers=NOBODY)
        assert (answer.status, len(answer.json()["data"])) == (200, 3)
        seen = [seen for seen in upstream.seen[before:] if seen.request.path != "/token"]
        assert len(seen) == 3
        row = converting.new_row()
        assert (row["attempts"], row["images"], row["operation"], row["rewritten"]) == (3, 3, "images/generations", 1)
        assert (row["state"], row["usage_state"], row["upstream_status"]) == ("done", "final", 200)
        for name in ("input_tokens", "output_tokens", "total_tokens"):
            reported = [(one.answer.reported[name] if one.answer else None) or 0 for one in seen]
            assert row[name] == sum(reported) > max(reported)
            assert answer.json()["usage"][name] == row[name]
        assert row["response_bytes"] > 0

    def test_texts_keep_their_order(self, converting: Proxy) -> None:
        texts = [f"text {number} " + "word " * number for number in range(20)]
        answer = call(converting.url, EMBEDDINGS, embedding(*texts, dimensions=4), headers=NOBODY)
        assert [item["embedding"] for item in answer.json()["data"]] == [vector(text, 4) for text in texts]
        row = converting.new_row()
        counts = sum(len(text.split()) for text in texts)
        assert (row["attempts"], row["input_items"], row["input_tokens"]) == (20, 20, counts)
        assert answer.json()["usage"]["prompt_tokens"] == counts

    @pytest.mark.parametrize("texts", [["one", " ", "two"], ["one", "two", " "], [" ", "one", "two"]])
    def test_one_of_them_fails(self, converting: Proxy, texts: list[str]) -> None:
        """Google takes no empty text."""
        answer = call(converting.url, EMBEDDINGS, embedding(*texts), headers=NOBODY)
        error = answer.json()["error"]
        assert (answer.status, error["type"], error["code"]) == (400, "invalid_request_error", "invalid_argument")
        assert "text content is empty" in error["message"]
        row = converting.new_row()
        assert (row["state"], row["status"], row["attempts"]) == ("done", 400, 3)
        assert converting.rows("state = 'open'") == []

    @pytest.mark.parametrize(("status", "word"), [(429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE")])
    def test_the_row_has_the_upstreams_word(self, served: Proxy, serving: Serving, status: int, word: str) -> None:
        serving.answering = lambda path, body: error(status, word) if b"two" in body else (200, COUNTED)
        answer = call(served.url, EMBEDDINGS, embedding("one", "two", "three"), headers=NOBODY)
        row = served.new_row()
        assert (answer.status, row["error_type"]) == (status, word)

    @pytest.mark.parametrize(
        ("status", "word", "kind", "state"),
        [
            (429, "RESOURCE_EXHAUSTED", "rate_limit_error", "done"),
            (403, "PERMISSION_DENIED", "permission_error", "done"),
            (503, "UNAVAILABLE", "server_error", "done"),
        ],
    )
    def test_the_last_of_them_fails(
        self, served: Proxy, serving: Serving, status: int, word: str, kind: str, state: str
    ) -> None:
        serving.answering = lambda path, body: error(status, word) if b"three" in body else (200, COUNTED)
        answer = call(served.url, EMBEDDINGS, embedding("one", "two", "three"), headers=NOBODY)
        assert (answer.status, answer.json()["error"]["type"]) == (status, kind)
        assert f"Simulated: {word}." in answer.json()["error"]["message"]
        row = served.new_row()
        assert (row["state"], row["status"], row["attempts"]) == (state, status, 3)
        # What the others have used is known.
        assert row["input_tokens"] == 2

    def test_one_of_them_gets_no_answer(self, served: Proxy, serving: Serving) -> None:
        serving.answering = lambda path, body: (0, None) if b"two" in body else (200, COUNTED)
        answer = call(served.url, EMBEDDINGS, embedding("one", "two", "three"), headers=NOBODY)
        assert (answer.status, answer.json()["error"]["type"]) == (502, "server_error")
        row = served.new_row()
        assert (row["state"], row["status"], row["upstream_status"]) == ("upstream_failed", 502, 200)
        assert "Traceback" not in served.output

    def test_one_of_them_cannot_be_read(self, served: Proxy, serving: Serving) -> None:
        serving.answering = lambda path, body: (200, [] if b"two" in body else COUNTED)
        answer = call(served.url, EMBEDDINGS, embedding("one", "two"), headers=NOBODY)
        assert (answer.status, answer.json()["error"]["type"]) == (502, "server_error")
        assert served.new_row()["state"] == "upstream_failed"

    def test_a_count_that_one_did_not_tell_is_not_known(self, served: Proxy, serving: Serving) -> None:
        serving.answering = lambda path, body: (200, UNCOUNTED if b"two" in body else COUNTED)
        assert call(served.url, EMBEDDINGS, embedding("one", "two"), headers=NOBODY).status == 200
        row = served.new_row()
        assert (row["input_tokens"], row["input_items"], row["usage_state"]) == (None, 2, "absent")

    def test_a_token_that_has_ended(self, start_proxy: StartProxy, own: Simulator, tmp_path: Path) -> None:
        file = tmp_path / "key.json"
        file.write_text(json.dumps(own.credentials.service_account(own.token_uri)))
        options = ("openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={file}")
        proxy = start_proxy(*options, mode=f"reverse:{own.url}", serve=True)
        texts = ["one", "two", "three"]
        expected = call(proxy.url, EMBEDDINGS, embedding(*texts), headers=NOBODY)
        own.credentials.revoke()
        answer = call(proxy.url, EMBEDDINGS, embedding(*texts), headers=NOBODY)
        assert (answer.status, answer.json()) == (200, expected.json())
        assert own.credentials.minted == 2
        first, second = proxy.new_rows()
        assert (first["attempts"], second["attempts"]) == (3, 6)
        assert (second["state"], second["usage_state"], second["input_tokens"]) == ("done", "final", 3)

    @pytest.mark.parametrize("answered", ["none", "first", "others"])
    def test_a_client_that_hangs_up(self, before: Callable[[str], Proxy], answered: str) -> None:
        asked, gone = threading.Semaphore(0), threading.Event()

        def answering(path: str, body: bytes) -> tuple[int, object]:
            asked.release()
            if answered == "first" and b"one" in body:
                return 200, COUNTED
            if answered == "others" and b"one" not in body:
                return 0, None
            gone.wait(20)
            return 0, None

        with Serving() as serving:
            serving.answering = answering
            proxy = before(serving.url)
            with connection(proxy.url) as client:
                request(client, EMBEDDINGS, embedding("one", "two", "three"), headers=NOBODY)
                for _ in range(3):
                    assert asked.acquire(timeout=20)
            if answered != "first":
                until(lambda: not proxy.rows("state = 'open'"))
            gone.set()
            until(lambda: not proxy.rows("state = 'open'"))
        row = proxy.new_row()
        assert (row["state"], row["error_type"], row["status"]) == ("client_closed", "client_closed", None)
        assert proxy.stop() == 0
        for word in ("Traceback", "Unhandled"):
            assert word not in proxy.output

    def test_what_waits_is_not_sent_for_a_client_that_is_gone(self, served: Proxy, serving: Serving) -> None:
        asked, gone = threading.Semaphore(0), threading.Event()
        seen: list[bytes] = []

        def answering(path: str, body: bytes) -> tuple[int, object]:
            seen.append(body)
            asked.release()
            gone.wait(20)
            return 200, COUNTED

        serving.answering = answering
        with connection(served.url) as client:
            request(client, EMBEDDINGS, embedding(*map(str, range(40))), headers=NOBODY)
            for _ in range(1 + AT_ONCE):
                assert asked.acquire(timeout=20)
        until(lambda: not served.rows("state = 'open'"))
        gone.set()
        assert call(served.url, EMBEDDINGS, embedding("last"), headers=NOBODY).status == 200
        assert len(seen) == 1 + AT_ONCE + 1
        served.new_rows()

    def test_an_upstream_that_is_not_there(self, before: Callable[[str], Proxy]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
        proxy = before(url)
        answer = call(proxy.url, EMBEDDINGS, embedding("one", "two"), headers=NOBODY)
        assert (answer.status, answer.json()["error"]["type"]) == (502, "server_error")
        row = proxy.new_row()
        assert (row["state"], row["error_type"], row["status"]) == ("upstream_failed", "connect_failed", 502)
        assert proxy.stop() == 0
        for word in ("Traceback", "Unhandled"):
            assert word not in proxy.output


MODELS = "/v1/models"
OPENAI = {"x-goog-api-key": "", "authorization": "Bearer sk-OfTheClient"}


def ids(answer: Any) -> list[str]:
    assert answer.json()["object"] == "list"
    return [model["id"] for model in answer.json()["data"]]


class TestListing:
    def test_the_projects_own_come_in_pages(self, converting: Proxy, upstream: Simulator) -> None:
        before = len(upstream.seen)
        assert ids(call(converting.url, MODELS, headers=NOBODY)) == ["1234567890", "78"]
        seen = [seen.request for seen in upstream.seen[before:] if seen.request.path != "/token"]
        assert [(one.method, one.path, one.query) for one in seen] == [
            ("GET", f"{PARENT}/global/models", {}),
            ("GET", f"{PARENT}/global/models", {"pageToken": ["page-1"]}),
        ]
        row = converting.new_row()
        assert (row["operation"], row["state"], row["usage_state"]) == ("models", "done", "not_applicable")
        assert (row["attempts"], row["status"], row["model"]) == (2, 200, None)

    @pytest.mark.parametrize(("id", "status"), [("1234567890", 200), ("78", 200), ("gpt-nothing", 404), ("a/b", 404)])
    def test_one(self, converting: Proxy, id: str, status: int) -> None:
        answer = call(converting.url, f"{MODELS}/{id}", headers=NOBODY)
        assert answer.status == status
        if status == 200:
            assert (answer.json()["id"], answer.json()["object"]) == (id, "model")
        else:
            assert answer.json()["error"]["code"] == "model_not_found"
        row = converting.new_row()
        assert (row["state"], row["status"]) == ("done", status)

    def test_a_page_that_fails(self, served: Proxy, serving: Serving) -> None:
        more = {"models": [], "nextPageToken": "x"}
        serving.answering = lambda path, body: error(503, "UNAVAILABLE") if "pageToken" in path else (200, more)
        answer = call(served.url, MODELS, headers=NOBODY)
        assert (answer.status, answer.json()["error"]["type"]) == (503, "server_error")
        row = served.new_row()
        assert (row["status"], row["attempts"], row["state"]) == (503, 2, "done")

    @pytest.fixture
    def express(self, start_proxy: StartProxy, upstream: Simulator, tmp_path: Path) -> Callable[[str], Proxy]:
        """With an API key no models can be listed."""

        def start(content: str) -> Proxy:
            file = tmp_path / "gateway.yaml"
            file.write_text(content)
            options = ("vertex_auth=express", "openai_mode=convert", f"gateway_config={file}")
            return start_proxy(*options, mode=f"reverse:{upstream.url}", serve=True, env={"VERTEX_API_KEY": API_KEY})

        return start

    def test_what_is_configured_needs_no_upstream(self, express: Callable[[str], Proxy], upstream: Simulator) -> None:
        proxy = express("models: [gemini-2.5-flash, claude-x]\naliases: {gpt-4o: gemini-2.5-pro}\n")
        before = len(upstream.seen)
        assert ids(call(proxy.url, MODELS, headers=OPENAI)) == ["gemini-2.5-flash", "claude-x", "gpt-4o"]
        assert call(proxy.url, f"{MODELS}/gpt-4o", headers=OPENAI).json()["id"] == "gpt-4o"
        missing = call(proxy.url, f"{MODELS}/gpt-5", headers=OPENAI)
        assert (missing.status, missing.json()["error"]["code"]) == (404, "model_not_found")
        assert upstream.seen[before:] == []
        rows = proxy.new_rows()
        assert [(row["state"], row["status"], row["attempts"], row["upstream_status"]) for row in rows] == [
            ("done", 200, 0, None),
            ("done", 200, 0, None),
            ("refused", 404, 0, None),
        ]
        assert {row["usage_state"] for row in rows} == {"not_applicable"}

    def test_nothing_is_known(self, express: Callable[[str], Proxy]) -> None:
        proxy = express("aliases: {}\n")
        answer = call(proxy.url, MODELS, headers=OPENAI)
        assert answer.status == 404
        assert "Name models in the proxy's gateway_config" in answer.json()["error"]["message"]
        assert proxy.new_row()["state"] == "refused"


VIDEOS = "/v1/videos"


class TestVideos:
    def test_from_submission_to_content(self, converting: Proxy, upstream: Simulator) -> None:
        body = {"model": "veo-3.0-generate-001", "prompt": "A cat", "seconds": "4"}
        job = call(converting.url, VIDEOS, body, headers=NOBODY).json()
        assert (job["object"], job["status"], job["seconds"]) == ("video", "queued", "4")
        submission = converting.new_row()
        assert (submission["operation"], submission["state"], submission["usage_state"]) == ("videos", "done", "absent")
        assert submission["upstream_path"].endswith(":predictLongRunning")
        assert submission["response_id"].startswith("projects/test-project/locations/global/")

        path = f"{VIDEOS}/{job['id']}"
        early = call(converting.url, f"{path}/content", headers=NOBODY)
        assert (early.status, "is not ready yet" in early.json()["error"]["message"]) == (400, True)
        statuses = [call(converting.url, path, headers=NOBODY).json()["status"] for _ in "123"]
        assert statuses == ["completed"] * 3
        content = call(converting.url, f"{path}/content", headers=NOBODY)
        assert (content.status, content.header("content-type"), content.body) == (200, "video/mp4", VIDEO)

        polls = converting.new_rows()
        assert {(row["video_seconds"], row["usage_state"]) for row in polls} == {(None, "not_applicable")}
        assert {row["operation"] for row in polls} == {"videos", "videos/content"}
        assert {row["model"] for row in polls} == {"veo-3.0-generate-001"}
        (settled,) = converting.rows(f"id = '{submission['id']}'")
        assert (settled["usage_state"], settled["video_seconds"]) == ("final", 4)

    @pytest.mark.parametrize(
        ("prompt", "code", "usage_state", "seconds"),
        [("forbidden", "content_filtered", "final", 0), ("broken", "internal", "not_applicable", None)],
    )
    def test_one_that_fails(
        self, converting: Proxy, prompt: str, code: str, usage_state: str, seconds: int | None
    ) -> None:
        body = {"model": "veo-3.0-generate-001", "prompt": f"A {prompt} cat"}
        path = f"{VIDEOS}/{call(converting.url, VIDEOS, body, headers=NOBODY).json()['id']}"
        submission = converting.new_row()
        for _ in "12":
            job = call(converting.url, path, headers=NOBODY).json()
        assert (job["status"], job["error"]["code"]) == ("failed", code)
        assert call(converting.url, f"{path}/content", headers=NOBODY).status == 400
        (settled,) = converting.rows(f"id = '{submission['id']}'")
        assert (settled["usage_state"], settled["video_seconds"]) == (usage_state, seconds)
        converting.new_rows()

    def test_one_that_is_none(self, converting: Proxy, upstream: Simulator) -> None:
        before = len(upstream.seen)
        answer = call(converting.url, f"{VIDEOS}/video_1", headers=NOBODY)
        assert (answer.status, "POST /v1/videos returned" in answer.json()["error"]["message"]) == (404, True)
        assert upstream.seen[before:] == []
        assert converting.new_row()["state"] == "refused"


GPT = "/v1/publishers/openai/models/gpt-5"
TEXT = "Hello there."


def elements(body: bytes, as_events: bool) -> list[Any]:
    """Those of a stream of Google's."""
    if not as_events:
        return list(json.loads(body))
    return [json.loads(event.removeprefix(b"data: ")) for event in body.split(b"\r\n\r\n") if event]


def text_of(elements: list[Any]) -> str:
    candidates = [candidate for element in elements for candidate in element.get("candidates", ())]
    return "".join(part["text"] for candidate in candidates for part in candidate.get("content", {}).get("parts", ()))


@pytest.fixture(scope="module")
def back(upstream: Simulator, key: Path, tmp_path_factory: pytest.TempPathFactory, confdir: Path) -> Any:
    folder = tmp_path_factory.mktemp("back")
    options = ["openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key}"]
    options.append(f"openai_endpoint={upstream.url}/v1")
    env = {"OPENAI_API_KEY": OPENAI_KEY}
    target = f"reverse:{upstream.url}"
    with Proxy(*options, folder=folder, confdir=confdir, mode=target, serve=True, env=env) as proxy:
        yield proxy


class TestWayBack:
    """Google's clients, answered by a service that speaks OpenAI's dialect."""

    def test_unary(self, back: Proxy, upstream: Simulator) -> None:
        answer = call(back.url, f"{GPT}:generateContent", HELLO)
        assert (answer.status, answer.header("content-type")) == (200, "application/json")
        (candidate,) = answer.json()["candidates"]
        assert (text_of([answer.json()]), candidate["finishReason"]) == (TEXT, "STOP")
        sent = upstream.seen[-1].request
        assert (sent.path, sent.headers["authorization"]) == (CHAT, f"Bearer {OPENAI_KEY}")
        assert "x-goog-api-key" not in sent.headers
        row = back.new_row()
        assert (row["surface"], row["operation"], row["publisher"]) == ("vertex", "generateContent", "openai")
        assert (row["service"], row["model"], row["rewritten"]) == ("openai", "gpt-5", 1)
        assert (row["upstream_path"], row["state"], row["usage_state"]) == (CHAT, "done", "final")
        counts = answer.json()["usageMetadata"]
        assert (counts["promptTokenCount"], counts["totalTokenCount"]) == (row["input_tokens"], row["total_tokens"])

    @pytest.mark.parametrize("query", ["?alt=sse", ""])
    def test_streams(self, back: Proxy, query: str) -> None:
        answer = call(back.url, f"{GPT}:streamGenerateContent{query}", HELLO)
        expected = "text/event-stream" if query else "application/json"
        assert (answer.status, answer.header("content-type")) == (200, expected)
        told = elements(answer.body, bool(query))
        assert (text_of(told), len(told) > 1) == (TEXT, True)
        assert told[-1]["candidates"][0]["finishReason"] == "STOP"
        assert "usageMetadata" in told[-1]
        row = back.new_row()
        assert (row["state"], row["usage_state"], row["streamed"]) == ("done", "final", 1)

    @pytest.mark.parametrize("query", ["?alt=sse", ""])
    def test_no_element_waits_for_a_later_one(self, back: Proxy, upstream: Simulator, query: str) -> None:
        with connection(back.url) as client:
            plan = {"gate": f"back{query}"}
            request(client, f"{GPT}:streamGenerateContent{query}", HELLO, plan=plan)
            upstream.gates[f"back{query}"].release(1)
            answer = client.getresponse()
            read_until(answer, b"Hello")
            upstream.gates[f"back{query}"].release(20)
            answer.read()
        back.new_rows()

    @pytest.mark.parametrize("query", ["?alt=sse", ""])
    @pytest.mark.parametrize("plan", [{"cut": 2}, {"stop_after": 2}, {"error_after": 2}])
    def test_a_stream_that_breaks(self, back: Proxy, plan: dict[str, Any], query: str) -> None:
        answer = call(back.url, f"{GPT}:streamGenerateContent{query}", HELLO, plan=plan)
        *_, last = told = elements(answer.body, bool(query))
        assert last["error"].keys() == {"code", "message", "status"}
        assert not any("finishReason" in str(element) for element in told)
        row = back.new_row()
        assert (row["state"], row["usage_state"], row["status"]) == ("upstream_failed", "absent", 200)

    @pytest.mark.parametrize("action", ["generateContent", "streamGenerateContent", "streamGenerateContent?alt=sse"])
    @pytest.mark.parametrize(("status", "word"), [(429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE")])
    def test_errors_are_googles(self, back: Proxy, action: str, status: int, word: str) -> None:
        answer = call(back.url, f"{GPT}:{action}", HELLO, plan={"status": status})
        assert (answer.status, answer.header("content-type")) == (status, "application/json")
        assert answer.json() == {"error": {"code": status, "message": "Simulated.", "status": word}}
        row = back.new_row()
        assert (row["state"], row["status"], row["usage_state"]) == ("done", status, "not_applicable")

    @pytest.mark.parametrize(
        ("action", "body", "status"),
        [("countTokens", HELLO, 404), ("generateContent", {}, 400), ("predict", {"instances": []}, 400)],
    )
    def test_what_is_refused(
        self, back: Proxy, upstream: Simulator, action: str, body: dict[str, Any], status: int
    ) -> None:
        before = len(upstream.seen)
        answer = call(back.url, f"{GPT}:{action}", body)
        error = answer.json()["error"]
        assert (answer.status, error["code"], type(error["status"])) == (status, status, str)
        assert upstream.seen[before:] == []
        assert back.new_row()["state"] == "refused"

    def test_images(self, back: Proxy, upstream: Simulator) -> None:
        body = {"instances": [{"prompt": "A cat"}], "parameters": {"sampleCount": 2}}
        answer = call(back.url, "/v1/publishers/openai/models/gpt-image-1:predict", body)
        assert [one["mimeType"] for one in answer.json()["predictions"]] == ["image/png"] * 2
        assert upstream.seen[-1].request.path == "/v1/images/generations"
        row = back.new_row()
        assert (row["operation"], row["images"], row["usage_state"]) == ("predict", 2, "final")

    def test_what_vertex_has_itself_stays_there(self, back: Proxy, upstream: Simulator) -> None:
        path = "/publishers/openai/models/gpt-oss-120b-maas:generateContent"
        assert call(back.url, f"/v1{path}", HELLO).status == 200
        sent = upstream.seen[-1].request
        assert sent.path == f"{PARENT}/global{path}"
        assert OPENAI_KEY not in str(sent.raw_headers)
        row = back.new_row()
        assert (row["service"], row["rewritten"]) == ("default", 0)


FILE = """\
services:
  qwen: {{provider: openai, base_url: "{url}/v1", api_key_env: QWEN_API_KEY}}
  other: {{provider: openai, base_url: "{url}/other/v1", api_key_env: OTHER_API_KEY}}
  keyless: {{provider: openai, base_url: "{url}/v1"}}
routes:
  - {{base_path: /other, service: other}}
  - {{base_path: /keyless, service: keyless}}
  - {{model: "qwen*", service: qwen}}
  - {{model: "my-qwen", service: qwen}}
aliases: {{my-qwen: qwen-max, fast: gemini-2.5-flash}}
"""


@pytest.fixture(scope="module")
def routing(upstream: Simulator, key: Path, tmp_path_factory: pytest.TempPathFactory, confdir: Path) -> Any:
    folder = tmp_path_factory.mktemp("routing")
    (folder / "gateway.yaml").write_text(FILE.format(url=upstream.url))
    options = ["openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key}"]
    options.append("gateway_config=gateway.yaml")
    env = {"QWEN_API_KEY": OPENAI_KEY, "OTHER_API_KEY": "sk-other"}
    target = f"reverse:{upstream.url}"
    with Proxy(*options, folder=folder, confdir=confdir, mode=target, serve=True, env=env) as proxy:
        yield proxy


class TestOpenAiServices:
    """OpenAI's clients, answered by a service that speaks the same."""

    def test_bytes_pass(self, routing: Proxy, upstream: Simulator) -> None:
        raw = (
            b'{ "messages":[{"role":"user","content":"H\\u00e9 \\/"}],\n  "model" : "qwen-max" , "temperature":0.0 }\n'
        )
        headers = OPENAI | {"accept-encoding": "identity", "openai-beta": "x=1", "accept": "a/b"}
        answer = call(routing.url, f"{CHAT}?x=1", raw, headers=headers)
        seen = upstream.seen[-1]
        assert (seen.request.body, seen.request.query) == (raw, {"x": ["1"]})
        assert seen.answer
        assert answer.body == b"".join(seen.answer.pieces)
        assert seen.request.headers["authorization"] == f"Bearer {OPENAI_KEY}"
        assert "sk-OfTheClient" not in str(seen.request.raw_headers)
        assert (seen.request.headers["openai-beta"], seen.request.headers["accept"]) == ("x=1", "a/b")
        row = routing.new_row()
        assert (row["service"], row["model"], row["rewritten"]) == ("qwen", "qwen-max", 0)
        assert (row["state"], row["usage_state"], row["attempts"]) == ("done", "final", 1)

    def test_an_alias_is_replaced(self, routing: Proxy, upstream: Simulator) -> None:
        raw = b'{"model":"my-qwen", "messages" :[{"role":"user","content":"my-qwen"}]}'
        assert call(routing.url, CHAT, raw, headers=OPENAI).status == 200
        assert upstream.seen[-1].request.body == raw.replace(b'"model":"my-qwen"', b'"model":"qwen-max"')
        assert routing.new_row()["model"] == "qwen-max"

    def test_streams_pass(self, routing: Proxy, upstream: Simulator) -> None:
        body = chat(model="qwen-max", stream=True, stream_options={"include_usage": True})
        answer = call(routing.url, CHAT, body, headers=OPENAI)
        seen = upstream.seen[-1]
        assert seen.answer
        assert answer.body == b"".join(seen.answer.pieces)
        row = routing.new_row()
        assert (row["usage_state"], row["streamed"]) == ("final", 1)

    def test_a_stream_that_is_cut_stays_cut(self, routing: Proxy) -> None:
        body = chat(model="qwen-max", stream=True)
        assert not comes_whole(routing.url, CHAT, body, headers=OPENAI, plan={"cut": 1})
        assert routing.new_row()["state"] == "upstream_failed"

    def test_errors_pass(self, routing: Proxy, upstream: Simulator) -> None:
        answer = call(routing.url, CHAT, chat(model="qwen-max"), headers=OPENAI, plan={"status": 429})
        seen = upstream.seen[-1]
        assert seen.answer
        assert (answer.status, answer.body) == (429, b"".join(seen.answer.pieces))
        assert routing.new_row()["error_type"] == "rate_limit_exceeded"

    @pytest.mark.parametrize(
        ("path", "model", "service", "upstream_path"),
        [
            (CHAT, "qwen-max", "qwen", CHAT),
            (CHAT, "gemini-2.5-flash", "default", f"{PARENT}/global/publishers/google/models/gemini-2.5-flash"),
            (CHAT, "fast", "default", f"{PARENT}/global/publishers/google/models/gemini-2.5-flash"),
            (f"/other{CHAT}", "gemini-2.5-flash", "other", f"/other{CHAT}"),
            ("/other/chat/completions", "qwen-max", "other", f"/other{CHAT}"),
        ],
    )
    def test_routes(
        self, routing: Proxy, upstream: Simulator, path: str, model: str, service: str, upstream_path: str
    ) -> None:
        call(routing.url, path, chat(model=model), headers=OPENAI)
        assert upstream.seen[-1].request.path.partition(":")[0] == upstream_path
        sent = upstream.seen[-1].request.headers["authorization"]
        assert sent.startswith(
            {"qwen": f"Bearer {OPENAI_KEY}", "other": "Bearer sk-other"}.get(service, "Bearer ya29.")
        )
        assert routing.new_row()["service"] == service

    def test_the_model_of_a_form(self, routing: Proxy, upstream: Simulator) -> None:
        raw = form(prompt="Bluer", model="qwen-image", image=png(64, 48))
        answer = call(routing.url, "/v1/images/edits", raw, headers=OPENAI | {"content-type": FORM})
        assert answer.status == 200
        sent = upstream.seen[-1].request
        assert (sent.path, sent.body, sent.headers["content-type"]) == ("/v1/images/edits", raw, FORM)
        row = routing.new_row()
        assert (row["service"], row["model"], row["images"]) == ("qwen", "qwen-image", 1)

    def test_a_google_client(self, routing: Proxy, upstream: Simulator) -> None:
        answer = call(routing.url, "/v1/publishers/google/models/qwen-max:generateContent", HELLO)
        assert text_of([answer.json()]) == TEXT
        assert upstream.seen[-1].request.path == CHAT
        assert routing.new_row()["service"] == "qwen"

    def test_a_body_that_cannot_be_read(self, routing: Proxy, upstream: Simulator) -> None:
        before = len(upstream.seen)
        answer = call(routing.url, f"/other{CHAT}", b"{", headers=OPENAI)
        assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_request_error")
        assert upstream.seen[before:] == []
        assert routing.new_row()["state"] == "refused"

    def test_a_service_without_a_key_gets_none(self, routing: Proxy, upstream: Simulator) -> None:
        """The client's own was meant for somebody else."""
        call(routing.url, f"/keyless{CHAT}", chat(), headers=OPENAI)
        assert "authorization" not in upstream.seen[-1].request.headers
        routing.new_rows()

    def test_a_service_without_a_key_gets_no_key_of_googles(self, routing: Proxy, upstream: Simulator) -> None:
        headers = {"x-goog-api-key": "AIzaOfTheClient"}
        call(routing.url, "/keyless/v1/publishers/google/models/g:generateContent", HELLO, headers=headers)
        assert upstream.seen[-1].request.path == CHAT
        assert "AIzaOfTheClient" not in str(upstream.seen[-1].request.raw_headers)
        routing.new_rows()

    def test_the_path_of_the_gemini_apis_own_endpoint(self, routing: Proxy, upstream: Simulator) -> None:
        call(routing.url, "/other/v1beta/openai/chat/completions", chat(), headers=OPENAI)
        assert upstream.seen[-1].request.path == f"/other{CHAT}"
        routing.new_rows()
