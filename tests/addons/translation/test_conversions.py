"""What becomes of a call: the requests that are planned for it, what is refused, and what its answers become."""

import base64
import contextlib
import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from pydantic_core import to_json

from addons.translation import videos
from addons.translation.chats import CLIENTS
from addons.translation.conversions import SERVED
from addons.translation.conversions import for_openai
from addons.translation.conversions import from_anthropic
from addons.translation.conversions import from_google
from addons.translation.conversions import from_openai
from addons.translation.conversions import list_models
from addons.translation.conversions import pass_on
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.plan import AnswerBody
from addons.translation.plan import ClientRequest
from tests.addons.translation.client_requests import FORM
from tests.addons.translation.client_requests import GOOGLE
from tests.addons.translation.client_requests import HELLO
from tests.addons.translation.client_requests import JSON
from tests.addons.translation.client_requests import PICTURE
from tests.addons.translation.client_requests import Json
from tests.addons.translation.client_requests import aliased
from tests.addons.translation.client_requests import asked
from tests.addons.translation.client_requests import chat
from tests.addons.translation.client_requests import check
from tests.addons.translation.client_requests import form
from tests.addons.translation.client_requests import response
from tests.addons.translation.client_requests import same
from tests.addons.translation.messages import half_valid
from tests.addons.translation.messages import requests
from tests.vertex_simulator.openai_chat import check_chat
from tests.vertex_simulator.pictures import png

MESSAGE: Json = {"model": "gemini-2.5-flash", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
OPERATION = f"projects/other/locations/eu/{GOOGLE}veo-3.0-generate-001/operations/1-0000-4000"
VIDEO = videos.id_of(OPERATION, 8)
EDIT = form(model="gemini-2.5-flash-image", prompt="Bluer", image=png(64, 48))
IMAGEN_EDIT = form(model="imagen-3.0-capability-001", prompt="Bluer", image=png(64, 48))
OTHERS: dict[str, tuple[ClientRequest, list[str]]] = {
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
        with pytest.raises(InvalidRequest, match="only the video itself") as error:
            from_openai(told, same)
        assert (error.value.param, error.value.status) == ("variant", 400)

    @pytest.mark.parametrize(
        ("operation", "kind"), [("videos", dict), ("videos/content", AnswerBody)], ids=["poll", "content"]
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
            list_models(asked("models", {}, method=method), ["g"], True)
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
        plan = list_models(asked("models"), ["gemini-2.5-flash", "gpt-4o"], False)
        assert plan.sendings == []
        assert plan.conversion
        answer = plan.conversion.whole([])
        assert isinstance(answer, dict)
        assert [model["id"] for model in json.loads(to_json(answer))["data"]] == ["gemini-2.5-flash", "gpt-4o"]

    def test_those_of_the_project(self) -> None:
        plan = list_models(asked("models"), [], True)
        (first,) = plan.sendings
        assert (first.method, first.resource, first.body) == ("GET", "models", b"")
        assert plan.next_page
        more = plan.next_page({"models": [], "nextPageToken": "a/b&c=1"})
        assert more
        assert (more.method, more.resource) == ("GET", "models?pageToken=a%2Fb%26c%3D1")
        assert plan.next_page({"models": [OWN]}) is None

    @pytest.mark.parametrize(("id", "found"), [("77", True), ("gemini-2.5-flash", True), ("78", False)])
    def test_one(self, id: str, found: bool) -> None:
        plan = list_models(asked("models", resource=id), ["gemini-2.5-flash"], True)
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
            list_models(asked("models"), [], False)
        assert told.value.status == 404


class TestPassed:
    """To a service that speaks the same."""

    def test_only_an_alias_is_replaced(self) -> None:
        raw = b'{ "n":1.0, "model" : "opus", "unknown":"H\\u00e9" }'
        plan = pass_on(asked("embeddings", raw, path="embeddings?x=1"), aliased)
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
    def test_all_else_passes(self, told: ClientRequest) -> None:
        (sending,) = pass_on(told, aliased).sendings
        assert sending == (told.path, told.raw, told.content_type, told.method)

    def test_a_body_that_cannot_be_read(self) -> None:
        """It could name another model than the one that a route has seen."""
        with pytest.raises(InvalidRequest, match="the body is not JSON"):
            pass_on(asked("chat/completions", b"{"), aliased)


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
        with pytest.raises(InvalidRequest, match="only generateContent, streamGenerateContent, predict can") as told:
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


class TestFromAnthropic:
    @pytest.mark.parametrize(
        ("model", "stream", "resource"),
        [
            ("gemini-2.5-flash", False, f"{GOOGLE}gemini-2.5-flash:generateContent"),
            ("gemini-2.5-flash", True, f"{GOOGLE}gemini-2.5-flash:streamGenerateContent?alt=sse"),
            ("gpt-4o", False, f"{GOOGLE}gemini-2.5-pro:generateContent"),
            ("mine", False, "endpoints/1234567890:generateContent"),
            ("opus", False, "publishers/anthropic/models/claude-opus-4-1:rawPredict"),
            ("claude-opus-4-5-20251101", True, "publishers/anthropic/models/claude-opus-4-5@20251101:streamRawPredict"),
            ("meta/llama-4-scout-maas", False, "endpoints/openapi/chat/completions"),
            ("mistral-medium-3", True, "publishers/mistralai/models/mistral-medium-3:streamRawPredict"),
        ],
    )
    def test_where_messages_go(self, model: str, stream: bool, resource: str) -> None:
        plan = from_anthropic(asked("messages", MESSAGE | {"model": model, "stream": stream}), aliased)
        (sending,) = plan.sendings
        assert sending.resource == resource
        is_claude = "anthropic" in resource
        assert (plan.conversion is None) == is_claude
        if plan.conversion:
            assert plan.conversion.streams == stream

    @pytest.mark.parametrize(
        ("model", "resource"),
        [
            ("gemini-2.5-flash", f"{GOOGLE}gemini-2.5-flash:countTokens"),
            ("mine", "endpoints/1234567890:countTokens"),
            ("opus", "publishers/anthropic/models/count-tokens:rawPredict"),
        ],
    )
    def test_where_tokens_are_counted(self, model: str, resource: str) -> None:
        plan = from_anthropic(asked("messages/count_tokens", MESSAGE | {"model": model}), aliased)
        assert [sending.resource for sending in plan.sendings] == [resource]
        assert plan.model
        assert plan.model.name == aliased(model)

    @pytest.mark.parametrize(
        ("document", "expected"),
        [({"totalTokens": 7}, {"input_tokens": 7}), ({}, 502), ({"totalTokens": "7"}, 502), (None, 502)],
    )
    def test_what_was_counted(self, document: object, expected: object) -> None:
        conversion = from_anthropic(asked("messages/count_tokens", MESSAGE), same).conversion
        assert conversion
        told = conversion.whole([document])
        assert (told.status if isinstance(told, Failure) else told) == expected

    @settings(max_examples=200)
    @given(
        requests | half_valid(), st.sampled_from(["claude-opus-5", "meta/llama-4-scout-maas", "gemini-3-pro", "x/y"])
    )
    def test_nothing_else_than_a_refusal(self, body: Json, model: str) -> None:
        told = asked("messages", json.dumps(body | {"model": model}).encode())
        counted = told._replace(operation="messages/count_tokens", path="messages/count_tokens")
        for request in (told, counted):
            for plan in (from_anthropic, partial(for_openai, "anthropic")):
                # Any other exception fails the test.
                with contextlib.suppress(InvalidRequest):
                    assert plan(request, same).sendings

    @pytest.mark.parametrize("model", ["gemini-3-pro", "claude-opus-5", "meta/llama-4-scout-maas"])
    def test_no_conversation_is_held(self, model: str) -> None:
        """The SDK's tool runner asks for it with its first request, and goes on without it after this error."""
        body = MESSAGE | {"model": model, "thread": {"type": "create"}}
        for plan in (from_anthropic, partial(for_openai, "anthropic")):
            with pytest.raises(InvalidRequest, match="send all messages") as caught:
                plan(asked("messages", body), same)
            assert (caught.value.status, caught.value.code) == (400, "THREAD_UNSUPPORTED_REQUEST")
            assert plan(asked("messages", body | {"thread": None}), same).sendings

    @given(requests)
    def test_what_is_counted_is_in_googles_form(self, body: Json) -> None:
        check(from_anthropic(asked("messages/count_tokens", body), same))

    @pytest.mark.parametrize(
        ("method", "operation", "path"),
        [
            ("GET", "messages", "messages"),
            ("POST", "messages/batches", "messages/batches"),
            ("DELETE", "messages/batches", "messages/batches/1"),
            ("POST", "models", "models"),
        ],
    )
    def test_what_is_not_served(self, method: str, operation: str, path: str) -> None:
        told = asked(operation, b"{}", method=method, path=path)
        for plan in (from_anthropic, partial(for_openai, "anthropic")):
            with pytest.raises(InvalidRequest, match="POST /v1/messages, POST /v1/messages/count_tokens") as caught:
                plan(told, same)
            assert (caught.value.status, caught.value.code) == (404, "UNKNOWN_URL")

    def test_models_are_only_listed(self) -> None:
        with pytest.raises(InvalidRequest, match="HEAD /v1/models is not served here"):
            list_models(asked("models", method="HEAD"), ["m"], True, as_anthropics=True)

    def test_models(self) -> None:
        plan = list_models(asked("models"), ["gemini-2.5-pro"], False, as_anthropics=True)
        assert plan.conversion
        told = plan.conversion.whole([])
        assert isinstance(told, dict)
        assert told["first_id"] == "gemini-2.5-pro"


class TestAnthropicForOpenAi:
    def test_a_chat(self) -> None:
        plan = for_openai("anthropic", asked("messages", MESSAGE), aliased)
        (sending,) = plan.sendings
        assert (sending.resource, json.loads(sending.body)["model"]) == ("chat/completions", "gemini-2.5-flash")
        assert plan.conversion

    @pytest.mark.parametrize("body", [MESSAGE, b"{"])
    def test_tokens_are_not_counted(self, body: Any) -> None:
        with pytest.raises(InvalidRequest, match="cannot be counted") as caught:
            for_openai("anthropic", asked("messages/count_tokens", body), same)
        assert caught.value.status == 404

    @pytest.mark.parametrize(
        ("id", "resource", "document", "expected"),
        [
            ("", "models", {"object": "list", "data": [{"id": "a"}]}, "a"),
            ("a/b", "models/a%2Fb", {"id": "a/b", "object": "model"}, None),
            ("", "models", None, 502),
        ],
    )
    def test_models(self, id: str, resource: str, document: object, expected: object) -> None:
        plan = for_openai("anthropic", asked("models", resource=id), same)
        assert [(sending.method, sending.resource) for sending in plan.sendings] == [("GET", resource)]
        assert plan.conversion
        told: Any = plan.conversion.whole([document])
        assert (told.status if isinstance(told, Failure) else told.get("first_id")) == expected

    def test_other_surfaces(self) -> None:
        openais = asked("chat/completions", chat())
        assert for_openai("openai", openais, same).sendings == pass_on(openais, same).sendings
        googles = asked("generateContent", HELLO, resource="m")
        assert for_openai("vertex", googles, same).sendings == from_google(googles, same).sendings
