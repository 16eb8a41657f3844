from unittest import mock

import pytest

from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from addons.translation.gemini.families import family_of
from addons.translation.gemini.parts import stands_in_result
from addons.translation.gemini.parts import unknown_in
from tests.addons.translation.gemini.examples import BLOB
from tests.addons.translation.gemini.examples import NEW
from tests.addons.translation.gemini.examples import OLD
from tests.addons.translation.gemini.examples import Json
from tests.addons.translation.gemini.examples import assistant
from tests.addons.translation.gemini.examples import call
from tests.addons.translation.gemini.examples import candidate
from tests.addons.translation.gemini.examples import choice_of
from tests.addons.translation.gemini.examples import user
from tests.addons.translation.gemini.examples import written

DRAFT: Json = {"inlineData": BLOB, "thought": True}
CODE: Json = {"executableCode": {"language": "PYTHON", "code": "1"}}
OUTPUT: Json = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}
SILENCE: Json = {"codeExecutionResult": {"outcome": "OUTCOME_OK"}}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"text": "a"}, Text("a")),
        ({"text": ""}, None),
        ({}, None),
        ({"text": "a", "thoughtSignature": "AAAA"}, Text("a", Signature("google", "AAAA"))),
        ({"text": "", "thoughtSignature": "AAAA"}, Text("", Signature("google", "AAAA"))),
        ({"thought_signature": "AAAA"}, Text("", Signature("google", "AAAA"))),
        ({"text": "a", "thought": True}, Thought("a")),
        ({"text": "", "thought": True}, None),
        ({"functionCall": {"name": "f"}}, ToolCall(None, "f", {})),
        ({"functionCall": {"id": "1", "name": "f", "args": {"a": "é"}}}, ToolCall("1", "f", {"a": "é"})),
        (
            {"function_call": {"name": "f", "args": {}}, "thought_signature": "AAAA"},
            ToolCall(None, "f", {}, Signature("google", "AAAA")),
        ),
        ({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, Media("image/png", data="AAAA")),
        ({"inline_data": {"mime_type": "audio/wav", "data": "AAAA"}}, Media("audio/wav", data="AAAA")),
        ({"inlineData": {"data": "AAAA"}}, Media("application/octet-stream", data="AAAA")),
        # A picture that the model drew while it thought is no part of its answer.
        (DRAFT, Thought("", google=DRAFT)),
        ({"fileData": {"mimeType": "image/png", "fileUri": "gs://x"}}, Media("image/png", uri="gs://x")),
        # What others get instead of it.
        (CODE, Text("\n```python\n1\n```\n", google=CODE)),
        (OUTPUT, Text("\n```\n1\n```\n", google=OUTPUT)),
        (SILENCE, Text("", google=SILENCE)),
        ({"somethingNew": {"a": 1}}, Text("", google={"somethingNew": {"a": 1}})),
        ({"text": "a", "somethingNew": 1}, Text("a", google={"text": "a", "somethingNew": 1})),
        ({"text": "a", "somethingNew": 1, "thought": True}, Thought("a", google=mock.ANY)),
        ({"functionCall": {"name": "f", "willContinue": True}}, ToolCall(None, "f", {}, google=mock.ANY)),
        ({"executableCode": None, "somethingNew": None}, None),
        (
            {"functionResponse": {"id": "1", "name": "f", "response": {"a": 1}, "parts": [{"inlineData": BLOB}]}},
            ToolResult("1", "f", {"a": 1}, [Media("image/png", data="AAAA")]),
        ),
        (
            {"file_data": {"file_uri": "gs://x", "mime_type": "video/mp4"}, "video_metadata": {"fps": 2}},
            Media("video/mp4", uri="gs://x", clip={"fps": 2}),
        ),
        (
            {"inlineData": BLOB, "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"}},
            Media("image/png", data="AAAA", detail="high"),
        ),
    ],
)
def test_parts(part: Json, expected: Part | None) -> None:
    assert choice_of(candidate(part)).parts == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"text": "a", "thoughtSignature": "AAAA"}, []),
        ({"text": "a", "part_metadata": {"k": 1}}, ["partMetadata"]),
        ({"inline_data": {"mime_type": "image/png", "data": "", "display_name": "x"}}, ["inlineData.displayName"]),
        ({"functionResponse": {"name": "f", "scheduling": "SILENT"}}, ["functionResponse.scheduling"]),
        ({"functionCall": {"name": "f", "willContinue": False, "partialArgs": []}}, []),
        ({"executableCode": {"code": "1"}}, []),
        ({}, []),
    ],
)
def test_what_has_no_place(part: Json, expected: list[str]) -> None:
    assert unknown_in(part) == expected


@pytest.mark.parametrize(
    ("media", "model", "expected"),
    [
        (Media("image/png", data="AAAA"), OLD, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}),
        (Media("video/mp4", uri="gs://x"), OLD, {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://x"}}),
        (
            Media("video/mp4", uri="gs://x", clip={"fps": 2.0, "startOffset": "1s"}),
            OLD,
            {
                "fileData": {"mimeType": "video/mp4", "fileUri": "gs://x"},
                "videoMetadata": {"fps": 2.0, "startOffset": "1s"},
            },
        ),
        (
            Media("image/png", data="AAAA", detail="ultra_high"),
            NEW,
            {
                "inlineData": {"mimeType": "image/png", "data": "AAAA"},
                "mediaResolution": {"level": "MEDIA_RESOLUTION_ULTRA_HIGH"},
            },
        ),
    ],
)
def test_media(media: Media, model: str, expected: Json) -> None:
    body = written(user(media), model=model)
    assert body["contents"] == [{"role": "user", "parts": [expected]}]
    assert "generationConfig" not in body


@pytest.mark.parametrize(
    ("output", "response"),
    [
        ({}, {}),
        ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
        ("", {"output": ""}),
        ("[1]", {"output": "[1]"}),
        ([1, "é"], {"output": [1, "é"]}),
        (5, {"output": 5}),
        # Google would look for what the reference points to.
        ({"a": [{"$ref": "#/é"}]}, {"output": '{"a": [{"$ref": "#/é"}]}'}),
        ([{"$ref": "x"}], {"output": '[{"$ref": "x"}]'}),
    ],
)
def test_results(output: object, response: Json) -> None:
    body = written(user(Text("x")), assistant(call("1")), user(ToolResult("1", "f", output)))
    assert body["contents"][2]["parts"][0]["functionResponse"]["response"] == response


@pytest.mark.parametrize(
    ("model", "mime_type", "inside"),
    [
        (NEW, "image/png", True),
        (NEW, "image/jpeg", True),
        (NEW, "image/webp", True),
        (NEW, "application/pdf", True),
        (NEW, "text/plain", True),
        (NEW, "image/heic", False),
        (NEW, "audio/wav", False),
        (NEW, "video/mp4", False),
        (OLD, "image/png", False),
    ],
)
def test_media_that_stand_in_a_result(model: str, mime_type: str, inside: bool) -> None:
    assert stands_in_result(Media(mime_type, data="AAAA"), family_of(model)) == inside
