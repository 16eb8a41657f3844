import json

import pytest

from addons.translation.conversation import Text
from addons.translation.conversation import ToolCall
from addons.translation.errors import InvalidRequest
from addons.translation.transcript.read_body import chat_of
from addons.translation.transcript.read_body import read_answer
from addons.translation.transcript.read_body import read_documents
from addons.translation.transcript.read_body import read_request
from tests.addons.translation.transcript.bodies import EVENTS
from tests.addons.translation.transcript.bodies import PATHS
from tests.addons.translation.transcript.bodies import REQUESTS


@pytest.mark.parametrize(
    ("path", "body", "model", "stream"),
    [
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent", "gemini", "gemini-2.5-flash", True),
        ("/v1/projects/p/locations/l/endpoints/123:generateContent", "gemini", "123", False),
        ("/vertex/v1/publishers/google/models/g:countTokens", "gemini", "g", False),
        (PATHS["claude"], "claude", "claude-opus-4-1", False),
        (PATHS["claude"].replace(":rawPredict", ":streamRawPredict"), "claude", "claude-opus-4-1", False),
        (PATHS["mistral"], "mistral", "mistral-large", False),
        ("/v1/projects/p/locations/l/endpoints/openapi/chat/completions", "chat", "gpt-5", False),
        ("/v1/messages/count_tokens", "messages", "claude-opus-4-1", False),
    ],
)
def test_the_path_tells_the_dialect(path: str, body: str, model: str, stream: bool) -> None:
    target = chat_of("POST", path)
    assert target
    request = read_request(target, REQUESTS[body])
    assert (request.model, request.stream) == (model, stream)
    assert request.turns[0].role == "user"
    assert isinstance(request.turns[0].parts[0], Text)
    assert isinstance(request.turns[1].parts[0], ToolCall)


def test_a_count_of_the_gemini_api() -> None:
    target = chat_of("POST", "/v1beta/models/g:countTokens")
    assert target
    assert read_request(target, {"generateContentRequest": REQUESTS["gemini"]}).system == [Text("Be brief.")]
    with pytest.raises(InvalidRequest):
        read_request(target, {})


def test_what_is_stored_elsewhere_is_no_fault() -> None:
    target = chat_of("POST", "/v1/responses")
    assert target
    body = {"model": "gpt-5", "input": "Hi", "conversation": "conv_1", "prompt": {"id": "p"}, "background": True}
    assert read_request(target, body).turns[0].parts == [Text("Hi")]


@pytest.mark.parametrize(
    ("data", "kind", "values", "is_broken"),
    [
        (b'{"a": 1}', "application/json", [{"a": 1}], False),
        (b'[{"a": 1},\n{"a": 2}]', "application/json", [{"a": 1}, {"a": 2}], False),
        (b'[{"a": 1},\n{"a": "x', "application/json", [{"a": 1}, {"a": "x"}], True),
        (b'data: {"a": 1}\r\n\r\ndata: [DONE]\r\n\r\n', EVENTS, [{"a": 1}], False),
        (b'event: x\ndata: {"a": 1}\n\n', "", [{"a": 1}], False),
        (b': hi\n\ndata: {"a": 1}\n\ndata: {"a": "x', EVENTS, [{"a": 1}, {"a": "x"}], True),
        (b"data: <p>\n\n", EVENTS, [], True),
        (b'{"a": "\\ud800"}', "", [{"a": "\ud800"}], False),
    ],
)
def test_documents(data: bytes, kind: str, values: list[object], is_broken: bool) -> None:
    assert read_documents(data, kind) == (values, is_broken)


@pytest.mark.parametrize("data", [b"", b"<p>no</p>", b"\xff\xfe", b"null", b"[" * 200_000])
def test_no_documents(data: bytes) -> None:
    assert read_documents(data, "application/json") is None


def test_far_too_many_events() -> None:
    assert read_documents(b"data: 1\n\n" * 200_000, EVENTS) == ([], True)


def test_an_answer_of_several_candidates() -> None:
    pieces = [
        {"candidates": [{"index": 0, "content": {"parts": [{"text": "a"}]}}]},
        {"candidates": [{"index": 1, "content": {"parts": [{"text": "b"}]}}], "usageMetadata": {"promptTokenCount": 1}},
        {"candidates": [{"index": 0, "content": {"parts": [{"text": "c"}]}, "finishReason": "STOP"}]},
    ]
    made = read_answer([json.loads(json.dumps(piece)) for piece in pieces])
    assert made
    assert [choice.parts for choice in made.answer.choices] == [[Text("a"), Text("c")], [Text("b")]]
    assert made.answer.usage
    assert (made.answer.usage.input, made.is_whole) == (1, False)


@pytest.mark.parametrize(
    "document",
    [
        {"type": "message", "content": []},
        {"type": "message_start", "message": {"content": []}},
        {"candidates": []},
        {"usageMetadata": {"promptTokenCount": 1}},
        {"promptFeedback": {"blockReason": "SAFETY"}},
        {"choices": []},
        {"object": "response", "output": []},
        {"type": "response.created", "response": {}},
    ],
    ids=lambda document: next(iter(document.values())) if "type" in document else next(iter(document)),
)
def test_an_answer_is_told_by_its_first_document(document: dict[str, object]) -> None:
    assert read_answer([document])


def test_what_is_no_answer() -> None:
    assert read_answer([{"totalTokens": 4}]) is None
    assert read_answer([]) is None
    assert read_answer(["x", None, 5]) is None
