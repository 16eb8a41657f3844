"""What becomes of a call: the requests that are planned for it, what is refused, and what its answers become."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from pydantic_core import from_json
from pydantic_core import to_json

from addons.translation import videos
from addons.translation.conversation import Failure
from addons.translation.conversation import InvalidRequest
from addons.translation.conversions import CLIENTS
from addons.translation.conversions import SERVED
from addons.translation.conversions import Asked
from addons.translation.conversions import Plan
from addons.translation.conversions import from_google
from addons.translation.conversions import from_openai
from addons.translation.conversions import listed
from addons.translation.conversions import passed
from tests.addons.translation import chats
from tests.vertex_simulator.openai_chat import check_chat
from tests.vertex_simulator.pictures import png
from tests.vertex_simulator.schema import check_request

Json = dict[str, Any]

JSON = "application/json"
FORM = "multipart/form-data; boundary=x"
ROOT = "/v1/projects/p/locations/l/"
GOOGLE = "publishers/google/models/"
OPERATION = f"projects/other/locations/eu/{GOOGLE}veo-3.0-generate-001/operations/1-0000-4000"
VIDEO = videos.id_of(OPERATION, 8)


def same(name: str) -> str:
    return name


def aliased(name: str) -> str:
    return {"gpt-4o": "gemini-2.5-pro", "opus": "claude-opus-4-1", "mine": "1234567890"}.get(name, name)


def asked(operation: str, body: Json | bytes | None = None, **more: Any) -> Asked:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    given: dict[str, Any] = {"method": "GET" if body is None else "POST", "path": operation, "content_type": JSON}
    return Asked(**({"operation": operation, "resource": "", "raw": raw} | given | more))


def form(**fields: str | bytes) -> bytes:
    """A multipart body; bytes are PNG files."""
    parts = b""
    for name, value in fields.items():
        file = b'; filename="a.png"\r\nContent-Type: image/png' if isinstance(value, bytes) else b""
        data = value if isinstance(value, bytes) else value.encode()
        parts += b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name.encode(), file, data)
    return parts + b"--x--\r\n"


def chat(**fields: Any) -> Json:
    return {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello"}], **fields}


def response(**fields: Any) -> Json:
    return {"model": "gemini-2.5-flash", "input": "Hello", **fields}


def check(plan: Plan) -> None:
    """Raises what Google would refuse."""
    for sending in plan.sendings:
        path, _, query = sending.resource.partition("?")
        assert query in ("", "alt=sse")
        assert (sending.method, sending.content_type) == ("POST", JSON)
        check_request("POST", ROOT + path, json.loads(sending.body))


CHATS = [
    ("gemini-2.5-flash", False, f"{GOOGLE}gemini-2.5-flash:generateContent"),
    ("gemini-2.5-flash", True, f"{GOOGLE}gemini-2.5-flash:streamGenerateContent?alt=sse"),
    ("vertex_ai/gemini-2.5-flash", False, f"{GOOGLE}gemini-2.5-flash:generateContent"),
    ("1234567890", False, "endpoints/1234567890:generateContent"),
    ("1234567890", True, "endpoints/1234567890:streamGenerateContent?alt=sse"),
    ("claude-sonnet-4@1", False, "publishers/anthropic/models/claude-sonnet-4@1:rawPredict"),
    ("claude-sonnet-4@1", True, "publishers/anthropic/models/claude-sonnet-4@1:streamRawPredict"),
    ("anthropic/claude-sonnet-4", False, "publishers/anthropic/models/claude-sonnet-4:rawPredict"),
    ("mistral-small-2503@001", False, "publishers/mistralai/models/mistral-small-2503@001:rawPredict"),
    ("mistral-small-2503@001", True, "publishers/mistralai/models/mistral-small-2503@001:streamRawPredict"),
    ("llama-4-maas", False, "endpoints/openapi/chat/completions"),
    ("llama-4-maas", True, "endpoints/openapi/chat/completions"),
]
SENT = {
    "mistral-small-2503@001": "mistral-small-2503",
    "llama-4-maas": "meta/llama-4-maas",
}
"""Model -> its name in bodies, for those that are asked in OpenAI's dialect."""


class TestChats:
    @pytest.mark.parametrize(("operation", "body"), [("chat/completions", chat()), ("responses", response())])
    @pytest.mark.parametrize(("model", "stream", "resource"), CHATS)
    def test_where_they_go(self, operation: str, body: Json, model: str, stream: bool, resource: str) -> None:
        plan = from_openai(asked(operation, body | {"model": model, "stream": stream}), same)
        (sending,) = plan.sendings
        assert sending.resource == resource
        check(plan)
        assert json.loads(sending.body).get("model") == SENT.get(model)
        is_the_same = operation == "chat/completions" and model in SENT
        assert (plan.conversion is None) == is_the_same
        assert plan.conversion is None or plan.conversion.streams == stream

    @pytest.mark.parametrize(
        ("model", "resource", "sent"),
        [
            ("gemini-2.5-flash", "endpoints/openapi/chat/completions", "google/gemini-2.5-flash"),
            ("1234567890", "endpoints/1234567890/chat/completions", "1234567890"),
            ("llama-4-maas", "endpoints/openapi/chat/completions", "meta/llama-4-maas"),
            # Vertex's OpenAI endpoint has no Claude.
            ("claude-sonnet-4", "publishers/anthropic/models/claude-sonnet-4:rawPredict", None),
        ],
    )
    def test_compatible(self, model: str, resource: str, sent: str | None) -> None:
        plan = from_openai(asked("chat/completions", chat(model=model)), same, compatible=True)
        check(plan)
        (sending,) = plan.sendings
        assert (sending.resource, json.loads(sending.body).get("model")) == (resource, sent)
        assert (plan.conversion is None) == (sent is not None)

    def test_only_the_name_of_a_model_changes(self) -> None:
        raw = b'{ "messages":[{"role":"user","content":"H\\u00e9 \\/"}],\n "model" : "llama-4-maas" , "top_k":5.0 }\n'
        (sending,) = from_openai(asked("chat/completions", raw), same).sendings
        assert sending.body == raw.replace(b"llama-4-maas", b"meta/llama-4-maas")


PICTURE = {"prompt": "A cat"}
EDIT = form(model="gemini-2.5-flash-image", prompt="Bluer", image=png(64, 48))
IMAGEN_EDIT = form(model="imagen-3.0-capability-001", prompt="Bluer", image=png(64, 48))
OTHERS: dict[str, tuple[Asked, list[str]]] = {
    "image of Gemini": (
        asked("images/generations", PICTURE | {"model": "gemini-2.5-flash-image"}),
        [f"{GOOGLE}gemini-2.5-flash-image:generateContent"],
    ),
    "images of Gemini": (
        asked("images/generations", PICTURE | {"model": "gemini-2.5-flash-image", "n": 3}),
        [f"{GOOGLE}gemini-2.5-flash-image:generateContent"] * 3,
    ),
    "images of Imagen": (
        asked("images/generations", PICTURE | {"model": "imagen-4.0-generate-001", "n": 6}),
        [f"{GOOGLE}imagen-4.0-generate-001:predict"] * 2,
    ),
    "edit by Gemini": (
        asked("images/edits", EDIT, content_type=FORM),
        [f"{GOOGLE}gemini-2.5-flash-image:generateContent"],
    ),
    "edit by Imagen": (
        asked("images/edits", IMAGEN_EDIT, content_type=FORM),
        [f"{GOOGLE}imagen-3.0-capability-001:predict"],
    ),
    "variation": (
        asked("images/variations", form(model="gemini-2.5-flash-image", image=png(64, 48)), content_type=FORM),
        [f"{GOOGLE}gemini-2.5-flash-image:generateContent"],
    ),
    "embeddings": (
        asked("embeddings", {"model": "text-embedding-005", "input": ["a", "b"]}),
        [f"{GOOGLE}text-embedding-005:predict"],
    ),
    "embeddings one by one": (
        asked("embeddings", {"model": "gemini-embedding-001", "input": ["a", "b"]}),
        [f"{GOOGLE}gemini-embedding-001:predict"] * 2,
    ),
    "embeddings by embedContent": (
        asked("embeddings", {"model": "gemini-embedding-2", "input": "a"}),
        [f"{GOOGLE}gemini-embedding-2:embedContent"],
    ),
    "embeddings of an endpoint": (
        asked("embeddings", {"model": "1234567890", "input": "a"}),
        ["endpoints/1234567890:predict"],
    ),
    "video": (
        asked("videos", PICTURE | {"model": "veo-3.0-generate-001"}),
        [f"{GOOGLE}veo-3.0-generate-001:predictLongRunning"],
    ),
    "video of a form": (
        asked("videos", form(model="veo-3.0-generate-001", prompt="A cat"), content_type=FORM),
        [f"{GOOGLE}veo-3.0-generate-001:predictLongRunning"],
    ),
    "poll": (
        asked("videos", path=f"videos/{VIDEO}", resource=VIDEO),
        [f"{GOOGLE}veo-3.0-generate-001:fetchPredictOperation"],
    ),
    "content": (
        asked("videos/content", path=f"videos/{VIDEO}/content?variant=video", resource=VIDEO),
        [f"{GOOGLE}veo-3.0-generate-001:fetchPredictOperation"],
    ),
}


class TestOthers:
    def test_all_that_is_served_is_here(self) -> None:
        assert {(told.method, told.operation) for told, _ in OTHERS.values()} == {
            key for key in SERVED if key[1] not in CLIENTS
        }

    @pytest.mark.parametrize("name", OTHERS)
    def test_where_they_go(self, name: str) -> None:
        told, resources = OTHERS[name]
        plan = from_openai(told, same)
        assert [sending.resource for sending in plan.sendings] == resources
        check(plan)
        assert plan.conversion
        assert not plan.conversion.streams

    def test_a_poll_goes_where_the_job_is(self) -> None:
        told, _ = OTHERS["poll"]
        plan = from_openai(told, same)
        assert (plan.project, plan.location) == ("other", "eu")
        assert json.loads(plan.sendings[0].body) == {"operationName": OPERATION}

    @pytest.mark.parametrize("resource", ["publishers/acme/models/veo-3", "endpoints/123", f"{GOOGLE}claude"])
    def test_a_poll_goes_to_whoever_has_the_job(self, resource: str) -> None:
        id = videos.id_of(f"projects/p/locations/l/{resource}/operations/1")
        (sending,) = from_openai(asked("videos", path=f"videos/{id}", resource=id), same).sendings
        assert sending.resource == f"{resource}:fetchPredictOperation"

    @pytest.mark.parametrize("query", ["variant=thumbnail", "variant=spritesheet", "variant=video&variant=thumbnail"])
    def test_of_a_job_there_is_the_video_only(self, query: str) -> None:
        told = asked("videos/content", path=f"videos/{VIDEO}/content?{query}", resource=VIDEO)
        with pytest.raises(InvalidRequest, match="video only") as error:
            from_openai(told, same)
        assert (error.value.param, error.value.status) == ("variant", 400)

    @pytest.mark.parametrize(
        ("operation", "kind"), [("videos", dict), ("videos/content", videos.Content)], ids=["poll", "content"]
    )
    def test_what_a_poll_becomes(self, operation: str, kind: type) -> None:
        made = {"videos": [{"bytesBase64Encoded": base64.b64encode(b"mp4").decode(), "mimeType": "video/mp4"}]}
        path = operation.replace("videos", f"videos/{VIDEO}")
        conversion = from_openai(asked(operation, path=path, resource=VIDEO), same).conversion
        assert conversion
        assert type(conversion.whole([{"name": OPERATION, "done": True, "response": made}])) is kind

    @pytest.mark.parametrize("rest", ["/thumbnail", "/content/x"])
    def test_of_a_job_there_is_nothing_else(self, rest: str) -> None:
        with pytest.raises(InvalidRequest, match="is not served"):
            from_openai(asked("videos", path=f"videos/{VIDEO}{rest}", resource=VIDEO), same)

    def test_what_is_no_stream_says_nothing_in_pieces(self) -> None:
        conversion = from_openai(OTHERS["embeddings"][0], same).conversion
        assert conversion
        assert (conversion.end(), conversion.cut(), conversion.failed) == (b"", b"", False)
        assert conversion.fail(Failure(502, "x", "UNAVAILABLE")) == b""
        with pytest.raises(TypeError):
            conversion.feed({})


MODELS = [
    ("gpt-4o", "gemini-2.5-pro", None),
    ("opus", "claude-opus-4-1", "anthropic"),
    ("mine", "1234567890", None),
    ("models/gemini-2.5-flash", "gemini-2.5-flash", None),
]


@pytest.mark.parametrize(("name", "model", "publisher"), MODELS)
@pytest.mark.parametrize(("operation", "body"), [("chat/completions", chat()), ("responses", response())])
def test_aliases(operation: str, body: Json, name: str, model: str, publisher: str | None) -> None:
    plan = from_openai(asked(operation, body | {"model": name}), aliased)
    assert plan.model
    assert (plan.model.name, plan.model.publisher) == (model, publisher)
    assert model in plan.sendings[0].resource


@pytest.mark.parametrize(
    ("operation", "body", "alias", "model"),
    [
        ("embeddings", {"input": "a"}, "embedder", "text-embedding-005"),
        ("images/generations", PICTURE, "painter", "imagen-4.0-generate-001"),
        ("images/generations", PICTURE, "drawer", "gemini-2.5-flash-image"),
        ("videos", PICTURE, "filmer", "veo-3.0-generate-001"),
    ],
)
def test_aliases_of_others(operation: str, body: Json, alias: str, model: str) -> None:
    plan = from_openai(asked(operation, body | {"model": alias}), {alias: model}.__getitem__)
    assert plan.model == (model, None)
    assert plan.sendings[0].resource.startswith(f"{GOOGLE}{model}:")


PLACED = [
    ("chat/completions", chat()),
    ("chat/completions", chat(model="llama-4-maas")),
    ("responses", response()),
    ("embeddings", {"model": "text-embedding-005", "input": "a"}),
    ("images/generations", PICTURE | {"model": "imagen-4.0-generate-001"}),
    ("videos", PICTURE | {"model": "veo-3.0-generate-001"}),
]


@pytest.mark.parametrize(("operation", "body"), PLACED)
def test_a_place_of_its_own(operation: str, body: Json) -> None:
    plan = from_openai(asked(operation, body | {"project_id": "other", "region": "eu"}), same)
    assert (plan.project, plan.location) == ("other", "eu")
    assert b"project_id" not in plan.sendings[0].body
    assert b"region" not in plan.sendings[0].body
    elsewhere = from_openai(asked(operation, body), same)
    assert (elsewhere.project, elsewhere.location) == (None, None)


class TestRefused:
    @pytest.mark.parametrize(
        ("method", "operation", "path"),
        [
            ("POST", "completions", "completions"),
            ("POST", "audio/speech", "audio/speech"),
            ("GET", "files", "files"),
            ("GET", "chat/completions", "chat/completions"),
            ("GET", "responses", "responses/resp_1"),
            ("POST", "responses/cancel", "responses/resp_1/cancel"),
            ("POST", "chat/completions", "chat/completions/chatcmpl-1"),
            ("POST", "videos", "videos/video_1"),
            ("POST", "videos/remix", "videos/video_1/remix"),
            ("GET", "videos", "videos"),
            ("DELETE", "videos", "videos/video_1"),
            ("POST", "moderations", "moderations?x=1"),
        ],
    )
    def test_what_is_not_served(self, method: str, operation: str, path: str) -> None:
        with pytest.raises(InvalidRequest, match="is not served when Vertex AI answers") as told:
            from_openai(asked(operation, {}, method=method, path=path), same)
        assert (told.value.status, told.value.code) == (404, "UNKNOWN_URL")
        assert told.value.message.startswith(f"{method} /v1/{path.partition('?')[0]} ")
        assert "POST /v1/embeddings, " in told.value.message

    @pytest.mark.parametrize("operation", sorted({operation for _, operation in SERVED} - {"chat/completions"}))
    def test_compatible_serves_chat_only(self, operation: str) -> None:
        with pytest.raises(
            InvalidRequest, match=r"POST /v1/chat/completions, GET /v1/models \(openai_mode=convert"
        ) as told:
            from_openai(asked(operation, {}), same, compatible=True)
        assert (told.value.status, told.value.code) == (404, "UNKNOWN_URL")

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    def test_models_are_only_listed(self, method: str) -> None:
        with pytest.raises(InvalidRequest, match="is not served") as told:
            listed(asked("models", {}, method=method), ["g"], True)
        assert told.value.code == "UNKNOWN_URL"

    @pytest.mark.parametrize(
        ("operation", "body", "param"),
        [
            ("chat/completions", {"messages": []}, "model"),
            ("chat/completions", chat(model=5), "model"),
            ("chat/completions", chat(model=""), "model"),
            ("chat/completions", chat(model="../x"), "model"),
            ("chat/completions", chat(messages=[]), "messages"),
            ("chat/completions", chat(model="llama-4-maas", region=5), "region"),
            ("responses", response(model=None), "model"),
            ("responses", response(previous_response_id="resp_1"), "previous_response_id"),
            ("embeddings", {"input": "a"}, "model"),
            ("embeddings", {"model": "../x", "input": "a"}, "model"),
            ("images/generations", {"model": "a b", "prompt": "x"}, "model"),
            ("images/generations", {"model": "imagen-4.0-generate-001"}, "prompt"),
            ("videos", {"model": "veo-3.0-generate-001"}, "prompt"),
            ("videos", {"model": "a/b/c", "prompt": "x"}, "model"),
        ],
    )
    def test_what_is_wrong_with_a_body(self, operation: str, body: Json, param: str) -> None:
        with pytest.raises(InvalidRequest) as told:
            from_openai(asked(operation, body), same)
        assert (told.value.status, told.value.param) == (400, param)

    @pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 5000])
    @pytest.mark.parametrize(
        "operation", ["chat/completions", "responses", "embeddings", "images/generations", "videos"]
    )
    def test_what_is_no_body(self, operation: str, raw: bytes) -> None:
        with pytest.raises(InvalidRequest, match="the body is not") as told:
            from_openai(asked(operation, raw), same)
        assert told.value.status == 400

    @pytest.mark.parametrize("operation", ["videos", "videos/content"])
    @pytest.mark.parametrize("id", ["video_1", "../x", "video_" + "A" * 300])
    def test_what_is_no_video(self, operation: str, id: str) -> None:
        with pytest.raises(InvalidRequest) as told:
            from_openai(asked(operation, resource=id), same)
        assert told.value.status == 404


OWN = {"name": "projects/p/locations/l/models/77", "displayName": "Mine"}


class TestModels:
    def test_those_that_are_configured(self) -> None:
        plan = listed(asked("models"), ["gemini-2.5-flash", "gpt-4o"], False)
        assert plan.sendings == []
        assert plan.conversion
        answer = plan.conversion.whole([])
        assert isinstance(answer, dict)
        assert [model["id"] for model in json.loads(to_json(answer))["data"]] == ["gemini-2.5-flash", "gpt-4o"]

    def test_those_of_the_project(self) -> None:
        plan = listed(asked("models"), [], True)
        (first,) = plan.sendings
        assert (first.method, first.resource, first.body) == ("GET", "models", b"")
        assert plan.next_page
        more = plan.next_page({"models": [], "nextPageToken": "a/b&c=1"})
        assert more
        assert (more.method, more.resource) == ("GET", "models?pageToken=a%2Fb%26c%3D1")
        assert plan.next_page({"models": [OWN]}) is None

    @pytest.mark.parametrize(("id", "found"), [("77", True), ("gemini-2.5-flash", True), ("78", False)])
    def test_one(self, id: str, found: bool) -> None:
        plan = listed(asked("models", resource=id), ["gemini-2.5-flash"], True)
        assert plan.conversion
        answer = plan.conversion.whole([{"models": [OWN]}])
        if found:
            assert isinstance(answer, dict)
            assert answer["id"] == id
        else:
            assert isinstance(answer, Failure)
            assert answer.status == 404

    def test_none_are_known(self) -> None:
        with pytest.raises(InvalidRequest, match="Name models in the proxy's gateway_config") as told:
            listed(asked("models"), [], False)
        assert told.value.status == 404


class TestPassed:
    """To a service that speaks the same."""

    def test_only_an_alias_is_replaced(self) -> None:
        raw = b'{ "n":1.0, "model" : "opus", "unknown":"H\\u00e9" }'
        plan = passed(asked("embeddings", raw, path="embeddings?x=1"), aliased)
        (sending,) = plan.sendings
        assert sending == ("embeddings?x=1", raw.replace(b"opus", b"claude-opus-4-1"), JSON, "POST")
        assert (plan.conversion, plan.model and plan.model.name) == (None, "claude-opus-4-1")

    @pytest.mark.parametrize(
        "told",
        [
            asked("chat/completions", b'{"model": "qwen-max",  "x":1}'),
            asked("images/edits", form(model="qwen-image", image=png(4, 4)), content_type=FORM),
            asked("audio/speech", b"{}", content_type="text/plain"),
            asked("files", {"model": 5}, method="PATCH", path="files/file-1"),
            asked("models", path="models?limit=1"),
        ],
    )
    def test_all_else_passes(self, told: Asked) -> None:
        (sending,) = passed(told, aliased).sendings
        assert sending == (told.path, told.raw, told.content_type, told.method)

    def test_a_body_that_cannot_be_read(self) -> None:
        """It could name another model than the one that a route has seen."""
        with pytest.raises(InvalidRequest, match="the body is not JSON"):
            passed(asked("chat/completions", b"{"), aliased)


HELLO = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}


class TestFromGoogle:
    @pytest.mark.parametrize(
        ("action", "path", "streams", "content_type"),
        [
            ("generateContent", "", False, JSON),
            ("streamGenerateContent", "?alt=sse", True, "text/event-stream"),
            ("streamGenerateContent", "?x=1&alt=sse", True, "text/event-stream"),
            ("streamGenerateContent", "", True, JSON),
            ("streamGenerateContent", "?alt=json", True, JSON),
        ],
    )
    def test_a_chat(self, action: str, path: str, streams: bool, content_type: str) -> None:
        plan = from_google(asked(action, HELLO, path=f"models/m:{action}{path}", resource="opus"), aliased)
        (sending,) = plan.sendings
        assert (sending.resource, plan.model) == ("chat/completions", ("claude-opus-4-1", None))
        body = json.loads(sending.body)
        check_chat(body)
        assert (body["model"], body.get("stream", False)) == ("claude-opus-4-1", streams)
        assert plan.conversion
        assert plan.conversion.streams == streams
        assert not streams or plan.conversion.content_type == content_type

    def test_images(self) -> None:
        body = {"instances": [{"prompt": "A cat"}], "parameters": {"sampleCount": 2}}
        plan = from_google(asked("predict", body, resource="gpt-image-1"), aliased)
        (sending,) = plan.sendings
        assert (sending.resource, json.loads(sending.body)["n"]) == ("images/generations", 2)
        assert plan.conversion
        answer = plan.conversion.whole([{"data": [{"b64_json": base64.b64encode(png(4, 4)).decode()}]}])
        assert isinstance(answer, dict)
        assert list(answer) == ["predictions"]

    @pytest.mark.parametrize("action", ["countTokens", "embedContent", "predictLongRunning", "models.list", "invoke"])
    def test_what_is_not_served(self, action: str) -> None:
        with pytest.raises(InvalidRequest, match="there are generateContent, streamGenerateContent, predict") as told:
            from_google(asked(action, {}, resource="m"), same)
        assert (told.value.status, action in told.value.message) == (404, True)

    def test_another_method(self) -> None:
        with pytest.raises(InvalidRequest) as told:
            from_google(asked("generateContent", resource="m"), same)
        assert told.value.status == 404

    @pytest.mark.parametrize("body", [{}, {"contents": []}, HELLO | {"contents": "x"}, b"[]"])
    def test_what_is_wrong_with_a_body(self, body: Json | bytes) -> None:
        with pytest.raises(InvalidRequest) as told:
            from_google(asked("generateContent", body, resource="m"), same)
        assert told.value.status == 400


# What answers become, for every client and service

TEXT = "Hello there."
GEMINI: list[Any] = [
    {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hello "}]}}], "responseId": "r"},
    {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "there."}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3},
    },
]
CLAUDE: list[Any] = [
    {"type": "message_start", "message": {"id": "m", "model": "claude", "usage": {"input_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "there."}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]
OPENAI: list[Any] = [
    {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello "}}]},
    {"id": "c", "choices": [{"index": 0, "delta": {"content": "there."}}]},
    {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
    None,
]
STREAMS = {"gemini-2.5-flash": GEMINI, "claude-sonnet-4": CLAUDE, "llama-4-maas": OPENAI, "gpt-5": OPENAI}
WHOLE: dict[str, Json] = {
    "gemini-2.5-flash": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": TEXT}]}, "finishReason": "STOP"}]
    },
    "claude-sonnet-4": {"type": "message", "content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn"},
    "llama-4-maas": {"choices": [{"index": 0, "message": {"content": TEXT}, "finish_reason": "stop"}]},
}
WHOLE["gpt-5"] = WHOLE["llama-4-maas"]
ERRORS: dict[str, Json] = {
    "gemini-2.5-flash": {"error": {"code": 429, "message": "Too many.", "status": "RESOURCE_EXHAUSTED"}},
    "claude-sonnet-4": {"type": "error", "error": {"type": "rate_limit_error", "message": "Too many."}},
    "llama-4-maas": {"error": {"type": "rate_limit_error", "message": "Too many."}},
}
ERRORS["gpt-5"] = ERRORS["llama-4-maas"]


def text_of(value: object) -> str:
    """What an answer says, whoever's dialect it is in."""
    if isinstance(value, list):
        return "".join(map(text_of, value))
    if not isinstance(value, dict):
        return ""
    kind, text = value.get("type"), value.get("text") or value.get("content") or value.get("delta")
    if isinstance(text, str) and kind in (None, "output_text", "response.output_text.delta"):
        return text
    return "".join(text_of(value[name]) for name in INSIDE if name in value)


INSIDE = ("candidates", "choices", "message", "delta", "output", "content", "parts")


def events(written: bytes) -> list[Any]:
    """Those of a stream, of any framing."""
    if written.startswith(b"["):
        return list(json.loads(written))
    data = [re.sub(rb"^event: .*\n", b"", event) for event in re.split(rb"\r?\n\r?\n", written) if event]
    assert all(event.startswith(b"data: ") for event in data)
    return [event[6:] if event == b"data: [DONE]" else json.loads(event[6:]) for event in data]


def openai_plan(operation: str, body: Json) -> Callable[[str, bool], Plan]:
    return lambda model, stream: from_openai(asked(operation, body | {"model": model, "stream": stream}), same)


def google_plan(query: str) -> Callable[[str, bool], Plan]:
    def plan(model: str, stream: bool) -> Plan:
        action = "streamGenerateContent" if stream else "generateContent"
        return from_google(asked(action, HELLO, path=f"m:{action}{query}", resource=model), same)

    return plan


PAIRS = [
    pytest.param(plan, model, id=f"{client}-{model}")
    for client, plan, models in [
        ("chat", openai_plan("chat/completions", chat()), ["gemini-2.5-flash", "claude-sonnet-4"]),
        (
            "responses",
            openai_plan("responses", response()),
            ["gemini-2.5-flash", "claude-sonnet-4", "llama-4-maas"],
        ),
        ("google events", google_plan("?alt=sse"), ["gpt-5"]),
        ("google array", google_plan(""), ["gpt-5"]),
    ]
    for model in models
]
ENDS: dict[str, Callable[[Any], bool]] = {
    "chat": lambda last: last == b"[DONE]",
    "responses": lambda last: last["type"] == "response.completed",
    "google": lambda last: last["candidates"][0]["finishReason"] == "STOP",
}


def is_end(last: Any) -> bool:
    return any(_holds(end, last) for end in ENDS.values())


def _holds(end: Callable[[Any], bool], last: Any) -> bool:
    try:
        return end(last)
    except (KeyError, TypeError):
        return False


def is_error(last: Any) -> bool:
    if last.get("type") == "response.failed":
        return bool(last["response"]["error"]["message"])
    return bool(last["error"]["message"])


@pytest.mark.parametrize(("plan", "model"), PAIRS)
class TestAnswers:
    def streaming(self, plan: Callable[[str, bool], Plan], model: str) -> Any:
        conversion = plan(model, True).conversion
        assert conversion
        assert conversion.streams
        return conversion

    def test_whole(self, plan: Callable[[str, bool], Plan], model: str) -> None:
        conversion = plan(model, False).conversion
        assert conversion
        assert text_of(conversion.whole([WHOLE[model]])) == TEXT

    def test_an_error_that_came_whole(self, plan: Callable[[str, bool], Plan], model: str) -> None:
        conversion = plan(model, False).conversion
        assert conversion
        failure = conversion.whole([ERRORS[model]])
        assert isinstance(failure, Failure)
        assert failure.message == "Too many."

    def test_a_stream(self, plan: Callable[[str, bool], Plan], model: str) -> None:
        conversion = self.streaming(plan, model)
        pieces = [conversion.feed(event) for event in STREAMS[model]]
        said = next(number for number, event in enumerate(STREAMS[model]) if "Hello" in str(event))
        assert b"Hello" in pieces[said], "an event has waited for a later one"
        told = events(b"".join(pieces) + conversion.end())
        deltas = [event for event in told if isinstance(event, dict) and not _repeats(event)]
        assert "".join(map(text_of, deltas)) == TEXT
        assert is_end(told[-1])
        assert not conversion.failed
        assert (conversion.end(), conversion.cut(), conversion.fail(Failure(500, "x", "INTERNAL"))) == (b"",) * 3

    def test_cut_before_its_end(self, plan: Callable[[str, bool], Plan], model: str) -> None:
        conversion = self.streaming(plan, model)
        written = b"".join(conversion.feed(event) for event in STREAMS[model][:1])
        told = events(written + conversion.cut())
        assert is_error(told[-1])
        assert not any(map(is_end, told))
        assert conversion.failed
        assert conversion.end() == b""

    def test_cut_after_its_end(self, plan: Callable[[str, bool], Plan], model: str) -> None:
        conversion = self.streaming(plan, model)
        written = b"".join(map(conversion.feed, STREAMS[model]))
        told = events(written + conversion.cut())
        assert is_end(told[-1])
        assert not conversion.failed

    def test_ended_before_its_end(self, plan: Callable[[str, bool], Plan], model: str) -> None:
        conversion = self.streaming(plan, model)
        written = b"".join(conversion.feed(event) for event in STREAMS[model][:1])
        assert is_error(events(written + conversion.end())[-1])
        assert conversion.failed

    def test_an_error_inside(self, plan: Callable[[str, bool], Plan], model: str) -> None:
        conversion = self.streaming(plan, model)
        written = b"".join(conversion.feed(event) for event in [*STREAMS[model][:1], ERRORS[model]])
        told = events(written + conversion.end())
        assert is_error(told[-1])
        assert "Too many." in str(told[-1])
        assert conversion.failed

    def test_failed_by_us(self, plan: Callable[[str, bool], Plan], model: str) -> None:
        conversion = self.streaming(plan, model)
        told = events(conversion.fail(Failure(502, "Of ours.", "UNAVAILABLE")))
        assert is_error(told[-1])
        assert "Of ours." in str(told[-1])
        assert conversion.failed
        assert b"".join(map(conversion.feed, STREAMS[model])) + conversion.end() + conversion.cut() == b""


def _repeats(event: Json) -> bool:
    """Whether an event of a Response tells again what deltas have told."""
    kind = event.get("type", "")
    return kind.startswith("response.") and not kind.endswith(".delta")


json_values: st.SearchStrategy[Any] = chats.values | st.sampled_from(
    [None, [], "x", 5, {"error": {}}, {"candidates": 1}, {"choices": [1]}]
)


@pytest.mark.parametrize(("plan", "model"), PAIRS)
@given(documents=st.lists(json_values, max_size=3))
@settings(max_examples=20)
def test_any_answer_becomes_one(plan: Callable[[str, bool], Plan], model: str, documents: list[object]) -> None:
    whole, conversion = plan(model, False).conversion, plan(model, True).conversion
    assert whole
    assert conversion
    for document in documents:
        assert isinstance(whole.whole([document]), dict | Failure)
    told = events(b"".join(map(conversion.feed, documents)) + conversion.end())
    # Nothing of it says why the answer ended.
    assert is_error(told[-1])
    assert conversion.failed


LEFT_OUT = frozenset({"messages", "tools", "tool_choice", "metadata"})


def responding(body: Json) -> Json:
    """A chat as a Response: its messages are items, its tools are flat."""
    asked = {name: value for name, value in body.items() if name not in LEFT_OUT}
    items: list[Any] = []
    for message in body["messages"]:
        calls = message.get("tool_calls") or []
        if message["role"] == "tool":
            items.append(
                {"type": "function_call_output", "call_id": message["tool_call_id"], "output": str(message["content"])}
            )
        elif message["role"] != "function":
            content = message.get("content")
            items += [{"role": message["role"], "content": content}] if isinstance(content, str) else []
        items += [{"type": "function_call", "call_id": call["id"], **call["function"]} for call in calls]
    tools = [{**tool.get("function", {}), **tool} for tool in body.get("tools", [])]
    return {**asked, "input": items, "tools": tools}


SERVING = st.sampled_from(["gemini-2.5-flash", "claude-sonnet-4", "llama-4-maas", "mistral-small-2503", "1234567890"])


@given(body=chats.chats, model=SERVING, operation=st.sampled_from(sorted(CLIENTS)), compatible=st.booleans())
def test_any_chat_is_planned_or_refused(body: Json, model: str, operation: str, compatible: bool) -> None:
    given = (body if operation == "chat/completions" else responding(body)) | {"model": model}
    try:
        plan = from_openai(asked(operation, to_json(given)), same, compatible=compatible)
    except InvalidRequest:
        return
    (sending,) = plan.sendings
    check(plan)
    if sending.resource.startswith(GOOGLE):
        chats.check(from_json(sending.body))


@st.composite
def half_valid(draw: st.DrawFn) -> tuple[str, Json]:
    operation = draw(st.sampled_from(sorted(CLIENTS)))
    body = draw(chats.chats)
    if operation == "responses":
        body = chats.spoiled(draw, responding(body), "input")
    else:
        body = chats.spoiled(draw, body, "messages")
    return operation, body | {"model": draw(SERVING)}


@given(half_valid())
def test_what_is_nearly_a_chat_is_planned_or_refused(given: tuple[str, Json]) -> None:
    operation, body = given
    try:
        plan = from_openai(asked(operation, to_json(body, inf_nan_mode="constants")), same)
    except InvalidRequest:
        return
    check(plan)
