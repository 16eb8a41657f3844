"""Parts, answers and requests of Gemini's dialect for tests, and strategies that generate any."""

import json
from typing import Any

import pytest
from hypothesis import strategies as st

from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Function
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import ToolCall
from addons.translation.conversation import Turn
from addons.translation.errors import InvalidRequest
from addons.translation.gemini.read_answer import AnswerReader
from addons.translation.gemini.read_request import read_request as gemini_request
from addons.translation.gemini.write_request import write_request
from metering.json_values import snake
from tests.addons.translation.chats import check
from tests.addons.translation.recorded import HI
from tests.addons.translation.recorded import REQUESTS
from tests.metering.test_json_array import json_values

Json = dict[str, Any]

OLD = "gemini-2.5-flash"
NEW = "gemini-3-pro-preview"
FUNCTIONS = [Function("f")]


def written(*turns: Turn, model: str = OLD, **members: Any) -> Json:
    request = Request(model, turns=[*turns] or [Turn("user", [Text("Hi")])], **members)
    body = write_request(request).body
    check(body)
    return body


def config(**members: Any) -> Json:
    found: Json = written(**members).get("generationConfig", {})
    return found


def user(*parts: Part) -> Turn:
    return Turn("user", [*parts])


def assistant(*parts: Part) -> Turn:
    return Turn("assistant", [*parts])


def call(id: str, name: str = "f", signature: str | None = None, **arguments: object) -> ToolCall:
    return ToolCall(id, name, arguments, Signature("google", signature) if signature else None)


def read(*documents: object) -> list[Answer]:
    reader = AnswerReader()
    answers = [reader.read(document) for document in documents]
    assert reader.failure is None
    return answers


def candidate(*parts: object, **members: object) -> Json:
    return {"content": {"role": "model", "parts": [*parts]}, **members}


def choice_of(*candidates: Json) -> Choice:
    """What is made of the last of the candidates of a stream."""
    (choice,) = read(*({"candidates": [one]} for one in candidates))[-1].choices
    return choice


BLOB: Json = {"mimeType": "image/png", "data": "AAAA"}


def grounded(text: str | None, **segment: object) -> Json:
    """The metadata of a candidate whose segment rests on the first of two pages."""
    said = {"text": text} if text else {}
    return {
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"web": {"uri": "https://b"}}],
        "groundingSupports": [{"segment": {**segment, **said}, "groundingChunkIndices": [0]}],
    }


NAMES = (
    "candidates index content parts text thought thoughtSignature functionCall id name args inlineData data mimeType"
    " fileData fileUri executableCode language codeExecutionResult output finishReason finishMessage promptFeedback"
    " blockReason blockReasonMessage groundingMetadata groundingChunks web uri title groundingSupports segment"
    " startIndex endIndex partIndex groundingChunkIndices logprobsResult chosenCandidates topCandidates token"
    " logProbability usageMetadata promptTokenCount candidatesTokenCount promptTokensDetails modality tokenCount"
    " trafficType modelVersion responseId error code message status details fieldViolations field retryDelay"
).split()
SHAPE: Json = {
    "candidates": [
        candidate(
            {"text": "é"},
            {"functionCall": {"id": "1", "name": "f", "args": {}}, "thoughtSignature": "AAAA"},
            {"inlineData": {"data": "AAAA", "mimeType": "image/png"}},
            {"executableCode": {"language": "PYTHON", "code": "1"}},
            finishReason="STOP",
            index=0,
            groundingMetadata=grounded("é", startIndex=0, endIndex=2, partIndex=0),
            logprobsResult={
                "chosenCandidates": [{"token": "a", "logProbability": 1}],
                "topCandidates": [{"candidates": [{}]}],
            },
        )
    ],
    "promptFeedback": {"blockReason": "SAFETY"},
    "usageMetadata": {"promptTokenCount": 1, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1}]},
    "error": None,
}


@st.composite
def documents(draw: st.DrawFn) -> object:
    """Any JSON, with Google's names in it, or an answer with any JSON in one place."""
    if draw(st.booleans()):
        inner = st.recursive(
            json_values,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
            max_leaves=6,
        )
        return draw(inner)
    document: Any = json.loads(json.dumps(SHAPE))
    value = document
    while True:
        place = draw(st.sampled_from(list(value) if isinstance(value, dict) else list(range(len(value)))))
        if isinstance(value[place], dict | list) and value[place] and draw(st.integers(0, 4)):
            value = value[place]
        else:
            value[place] = draw(json_values)
            return document


def asked(*contents: Json, **members: object) -> Request:
    return gemini_request(NEW, {"contents": [*contents] or HI["contents"], **members}, stream=False)


def refusal(*contents: Json, **members: object) -> str | None:
    """Which member is wrong."""
    with pytest.raises(InvalidRequest) as caught:
        asked(*contents, **members)
    assert (caught.value.status, bool(caught.value.message)) == (400, True)
    return caught.value.param


def content(*parts: Json, role: str = "user") -> Json:
    return {"role": role, "parts": [*parts]}


REQUEST_NAMES = (
    "contents role parts text thought thoughtSignature inlineData mimeType data fileData fileUri functionCall id name"
    " args functionResponse response systemInstruction tools functionDeclarations parameters parametersJsonSchema type"
    " nullable anyOf items googleSearch toolConfig functionCallingConfig mode allowedFunctionNames generationConfig"
    " temperature topK maxOutputTokens stopSequences responseMimeType responseSchema responseModalities thinkingConfig"
    " thinkingBudget mediaResolution videoMetadata executableCode labels"
).split()


@st.composite
def bodies(draw: st.DrawFn) -> Json:
    """Any object with Google's names, or a recorded body with any JSON in one place."""
    if draw(st.booleans()):
        names = st.sampled_from([*REQUEST_NAMES, *map(snake, REQUEST_NAMES)])
        inner = st.recursive(
            json_values,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
            max_leaves=8,
        )
        return draw(st.dictionaries(names, inner, max_size=4))
    body: Json = json.loads(json.dumps(REQUESTS[draw(st.sampled_from(sorted(REQUESTS)))]))
    value: Any = body
    while True:
        place = draw(st.sampled_from(list(value) if isinstance(value, dict) else list(range(len(value)))))
        if isinstance(value[place], dict | list) and value[place] and draw(st.integers(0, 6)):
            value = value[place]
        else:
            value[place] = draw(json_values)
            return body
