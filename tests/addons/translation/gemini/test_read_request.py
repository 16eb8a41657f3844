import json
from typing import Any

import pytest
from hypothesis import example
from hypothesis import given

from addons.translation.conversation import Media
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.errors import InvalidRequest
from addons.translation.gemini.read_request import read_request as gemini_request
from addons.translation.gemini.write_request import write_request
from metering.json_values import snake
from tests.addons.translation.chats import PATH
from tests.addons.translation.gemini.examples import NEW
from tests.addons.translation.gemini.examples import OLD
from tests.addons.translation.gemini.examples import Json
from tests.addons.translation.gemini.examples import asked
from tests.addons.translation.gemini.examples import assistant
from tests.addons.translation.gemini.examples import bodies
from tests.addons.translation.gemini.examples import content
from tests.addons.translation.gemini.examples import refusal
from tests.addons.translation.gemini.examples import user
from tests.addons.translation.recorded import OPAQUE
from tests.addons.translation.recorded import REQUESTS
from tests.addons.translation.recorded import camel
from tests.vertex_simulator.schema import check_request


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_comes_back_the_same(name: str) -> None:
    body = REQUESTS[name]
    check_request("POST", PATH, body)
    before = json.dumps(body)
    model = "gemini-2.5-flash-image" if "image" in name else NEW if "tools" in name or "part" in name else OLD
    back = write_request(gemini_request(model, body, stream=False)).body
    check_request("POST", PATH, back)
    assert camel(back) == camel(body)
    assert json.dumps(body) == before


def snakes(value: Any) -> Any:
    """The other spelling of a body, but for what is the user's."""
    if isinstance(value, list):
        return [snakes(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {snake(name): item if name in OPAQUE else snakes(item) for name, item in value.items()}


@pytest.mark.parametrize("name", REQUESTS)
def test_either_case_of_letters(name: str) -> None:
    body = camel(REQUESTS[name])
    one, other = gemini_request(NEW, body, stream=True), gemini_request(NEW, snakes(body), stream=True)
    assert camel(write_request(one).body) == camel(write_request(other).body)
    assert [function.parameters for function in one.functions] == [function.parameters for function in other.functions]
    assert (one.format and one.format.schema) == (other.format and other.format.schema)
    assert (one.stream, one.include_usage) == (True, True)


def test_camel_case_wins_by_presence() -> None:
    config = {"topP": 0, "top_p": 0.5, "imageConfig": {}, "image_config": {"aspectRatio": "1:1"}}
    request = asked(generationConfig=config, generation_config={"topP": 1})
    assert (request.top_p, request.google and request.google.generation_config) == (0, {"imageConfig": {}})
    part = {"inlineData": {"mimeType": "image/png", "mime_type": "x/y", "data": "AAAA"}}
    assert asked(content(part)).turns[0].parts[0] == Media("image/png", data="AAAA", google=None)


@pytest.mark.parametrize(
    ("contents", "turns"),
    [
        # As Google's own pages write it.
        ([{"role": "user", "parts": {"text": "a"}}], [user(Text("a"))]),
        ([{"parts": [{"text": "a"}]}], [user(Text("a"))]),
        ([content({"text": ""}, {"text": "a"})], [user(Text("a"))]),
        (
            [content({"inline_data": {"mime_type": "image/png", "data": "-_8"}})],
            [user(Media("image/png", data="+/8="))],
        ),
        ([content({"text": "a"}), content({"text": "b"})], [user(Text("a"), Text("b"))]),
        (
            [content({"text": "a", "thought_signature": "AAAA"}, role="model"), content({"text": "b"})],
            [assistant(Text("a", Signature("google", "AAAA"))), user(Text("b"))],
        ),
    ],
)
def test_contents(contents: list[Json], turns: list[Turn]) -> None:
    assert asked(*contents).turns == turns


def made(name: str = "f", **members: object) -> Json:
    return {"functionCall": {"name": name, "args": {}, **members}}


def result(name: str = "f", **members: object) -> Json:
    return {"functionResponse": {"name": name, "response": {"a": 1}, **members}}


def results_of(request: Request) -> list[tuple[str | None, object]]:
    return [(part.id, part.output) for turn in request.turns for part in turn.parts if isinstance(part, ToolResult)]


@pytest.mark.parametrize(
    ("calls", "results", "expected"),
    [
        ([made()], [content(result())], [(None, {"a": 1})]),
        # By name, and in order.
        (
            [made("f"), made("g"), made("f")],
            [content(result("g", response={"b": 2}), result("f"), result("f", response={}))],
            [(None, {"a": 1}), (None, {"b": 2}), (None, {})],
        ),
        # By id.
        (
            [made(id="1"), made(id="2")],
            [content(result(id="2", response={}), result(id="1"))],
            [("1", {"a": 1}), ("2", {})],
        ),
        ([made(id="1")], [content(result())], [(None, {"a": 1})]),
        # One by one, and by the roles of older clients.
        (
            [made("f"), made("g")],
            [content(result("f"), role="function"), content(result("g"), role="tool")],
            [(None, {"a": 1}), (None, {"a": 1})],
        ),
        ([made()], [content(result(), {"text": "And?"})], [(None, {"a": 1})]),
        # Google's chats keep each event of a stream as a content of its own.
        (
            [made("f")],
            [content(made("g"), role="model"), content({"text": ""}, role="model"), content(result("f"), result("g"))],
            [(None, {"a": 1}), (None, {"a": 1})],
        ),
        ([made()], [content({"functionResponse": {"name": "f"}})], [(None, {})]),
    ],
)
def test_results_find_their_calls(calls: list[Json], results: list[Json], expected: list[object]) -> None:
    assert results_of(asked(content({"text": "x"}), content(*calls, role="model"), *results)) == expected


@pytest.mark.parametrize(
    ("contents", "param"),
    [
        ([], None),
        ([{"role": "robot", "parts": [{"text": "x"}]}], "contents[0].role"),
        ([{"role": "user", "parts": []}], "contents[0].parts"),
        ([{"role": "user"}], "contents[0].parts"),
        ([content({"text": ""})], "contents"),
        ([content({"text": 5})], "contents[0].parts[0].text"),
        ([content({"inlineData": {"mimeType": "image/png", "data": "?"}})], "contents[0].parts[0]"),
        ([content({"inline_data": {"data": "AAAA"}})], "contents[0].parts[0].inlineData.mimeType"),
        ([content(made(), role="model")], "contents[0]"),
        ([content(made(), role="model"), content({"text": "x"})], "contents[1]"),
        ([content(made(), made("g"), role="model"), content(result())], "contents[1]"),
        ([content(made(), role="model"), content(result("g"))], "contents[1]"),
        (
            [content(made(), made("g"), role="model"), content(result()), content(made("h"), role="model")],
            "contents[2]",
        ),
        ([content(result())], "contents[0]"),
        ([content(made())], "contents[0]"),
        ([content(result(), role="model")], "contents[0]"),
    ],
)
def test_what_is_no_content(contents: list[Json], param: str | None) -> None:
    if param is None:
        with pytest.raises(InvalidRequest):
            gemini_request(NEW, {"contents": contents}, stream=False)
    else:
        assert refusal(*contents) == param


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"maxOutputTokens": "5", "topK": 5.0, "seed": "7"}, {"max_tokens": 5, "top_k": 5.0, "seed": 7}),
        ({"temperature": 0, "topP": 0, "candidateCount": 2}, {"temperature": 0, "top_p": 0, "n": 2}),
        ({"responseLogprobs": True, "logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
        ({"responseModalities": ["TEXT", "AUDIO"]}, {"modalities": ["text", "audio"]}),
        ({"stopSequences": "a"}, {"stop": ["a"]}),
        ({"responseMimeType": "text/plain"}, {"format": None}),
        ({"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING"}}, {"format": None}),
    ],
)
def test_a_generation_config(config: Json, expected: Json) -> None:
    request = asked(generationConfig=config)
    assert {name: getattr(request, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("config", "effort", "budget", "include"),
    [
        ({"thinkingBudget": 0}, None, 0, None),
        ({"thinking_level": "LOW", "include_thoughts": False}, "low", None, False),
        ({"thinkingLevel": "MINIMAL"}, "minimal", None, None),
        ({"thinkingLevel": "MEDIUM"}, "medium", None, None),
        ({"thinkingLevel": "HIGH", "include_thoughts": True}, "high", None, True),
        # As the AI SDK sends it.
        ({"thinkingLevel": "low"}, "low", None, None),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, None, None, None),
    ],
)
def test_how_a_client_wants_it_to_think(config: Json, effort: Any, budget: int | None, include: bool | None) -> None:
    thinking = asked(generationConfig={"thinkingConfig": config}).thinking
    assert thinking
    assert (thinking.effort, thinking.budget, thinking.include) == (effort, budget, include)
    assert thinking.param == "generationConfig.thinkingConfig"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("temperature", "generationConfig.temperature"),
        ("top_p", "generationConfig.topP"),
        ("top_k", "generationConfig.topK"),
        ("max_tokens", "generationConfig.maxOutputTokens"),
        ("stop", "generationConfig.stopSequences"),
        ("n", "generationConfig.candidateCount"),
        ("presence_penalty", "generationConfig.presencePenalty"),
        ("frequency_penalty", "generationConfig.frequencyPenalty"),
        ("seed", "generationConfig.seed"),
        ("logprobs", "generationConfig.responseLogprobs"),
        ("top_logprobs", "generationConfig.logprobs"),
        ("modalities", "generationConfig.responseModalities"),
        ("format", "generationConfig.responseMimeType"),
        ("include", "generationConfig.thinkingConfig.includeThoughts"),
        ("turns", "contents"),
        ("tool_choice", "toolConfig.functionCallingConfig"),
        ("media", "inlineData"),
        ("clip", "videoMetadata"),
        ("detail", "mediaResolution"),
    ],
)
def test_what_the_client_calls_a_member(name: str, path: str) -> None:
    assert asked().named(name) == path


@pytest.mark.parametrize(
    ("calling", "mode", "names"),
    [
        ({}, "auto", []),
        ({"mode": "AUTO"}, "auto", []),
        ({"mode": "NONE"}, "none", []),
        ({"mode": "ANY", "allowed_function_names": ["f"]}, "required", ["f"]),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, "auto", ["f"]),
    ],
)
def test_which_functions_may_be_called(calling: Json, mode: str, names: list[str]) -> None:
    tools = [{"function_declarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}]
    request = asked(tools=tools, tool_config={"function_calling_config": calling})
    assert request.tool_choice
    assert (request.tool_choice.mode, request.tool_choice.names) == (mode, names)
    assert request.functions[0].parameters == {"type": "object"}


INSTRUCTED_ONLY: Json = {
    "contents": [{"role": "user", "parts": [{"text": ""}]}],
    "systemInstruction": {"role": "user", "parts": [{"text": "s"}]},
}


@given(bodies())
@example(INSTRUCTED_ONLY)
def test_any_body_is_read_or_refused(body: Json) -> None:
    before = repr(body)
    try:
        request = gemini_request(NEW, body, stream=False)
    except InvalidRequest:
        return
    assert request.turns or request.system
    assert repr(body) == before
    back = gemini_request(NEW, write_request(request).body, stream=False)
    # Instructions alone become a turn.
    assert back.turns == request.turns if request.turns else [*back.turns[0].parts] == [*request.system]
