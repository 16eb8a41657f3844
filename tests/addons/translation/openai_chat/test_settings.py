from collections.abc import Callable
from typing import Any

import pytest

from addons.translation.conversation import Format
from addons.translation.conversation import Function
from addons.translation.conversation import Notes
from addons.translation.conversation import Request
from addons.translation.gemini.write_request import write_request as for_gemini
from addons.translation.openai_chat.read_request import read_request as read_chat
from addons.translation.openai_responses.read_request import read_request as read_response
from addons.translation.validation import DEEPEST
from tests.addons.translation.openai_chat.messages import converted
from tests.addons.translation.openai_chat.messages import read
from tests.addons.translation.openai_chat.messages import refused
from tests.addons.translation.openai_chat.messages import tool

Json = dict[str, Any]


class TestTools:
    def test_the_deepest_schema_that_can_come(self) -> None:
        """Google's parser goes no deeper than 100."""
        schema: Json = {"type": "string"}
        for _ in range(DEEPEST - 1):
            schema = {"not": schema}
        assert converted(tools=[tool(parameters={"not": schema})]) is None
        body = converted(tools=[tool(parameters=schema)])
        assert body
        assert body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == schema

    def test_functions(self) -> None:
        schema: Json = {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}}
        request = read(tools=[tool("f", description="d", parameters=schema, strict=True), tool("g")])
        assert request.functions == [Function("f", "d", schema), Function("g")]
        assert request.notes.dropped == ["tools[0].function.strict"]

    @pytest.mark.parametrize(
        ("members", "names"),
        [
            ({"tools": [{"type": "web_search"}]}, {"googleSearch": "tools[0]"}),
            ({"tools": [{"type": "web_search_preview", "search_context_size": "low"}]}, {"googleSearch": "tools[0]"}),
            (
                {"tools": [{"googleSearch": {}}, {"urlContext": {}}]},
                {"googleSearch": "tools[0]", "urlContext": "tools[1]"},
            ),
            ({"tools": [{"type": "code_interpreter"}]}, {"codeExecution": "tools[0]"}),
            ({"web_search_options": {}}, {"googleSearch": "web_search_options"}),
        ],
    )
    def test_tools_of_the_server(self, members: Json, names: dict[str, str]) -> None:
        assert read(**members).server_tools == names

    @pytest.mark.parametrize(
        ("members", "param"),
        [
            ({"tools": [tool(), tool()]}, "tools"),
            ({"tools": [tool()], "functions": [{"name": "f"}]}, "tools"),
            ({"tools": [tool(parameters=[])]}, "tools[0].function.parameters"),
            ({"tools": [tool("")]}, "tools[0].function.name"),
            ({"tools": [{"type": "teleport"}]}, "tools[0]"),
            ({"tools": [{}]}, "tools[0]"),
            ({"tools": [{"type": "function"}]}, "tools[0].function"),
            ({"tools": [tool()], "tool_choice": tool("g")}, "tool_choice"),
            ({"tools": [tool()], "tool_choice": "sometimes"}, "tool_choice"),
            ({"tools": [tool()], "tool_choice": {"type": "function"}}, "tool_choice"),
        ],
    )
    def test_what_is_no_tool(self, members: Json, param: str) -> None:
        assert refused(**members) == param


@pytest.mark.parametrize(
    ("response_format", "expected"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, Format()),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
            Format({"type": "object"}, name="n"),
        ),
    ],
)
def test_formats(response_format: object, expected: Format | None) -> None:
    assert read(response_format=response_format).format == expected


@pytest.mark.parametrize(
    "response_format",
    [{"type": "json_schema"}, {"type": "json_schema", "json_schema": {"name": "n"}}, {"type": "xml"}, {}, "json", 5],
)
def test_what_is_no_format(response_format: object) -> None:
    assert (refused(response_format=response_format) or "").startswith("response_format")


SAFETY = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}


@pytest.mark.parametrize(
    "around", [lambda google: {"google": google}, lambda google: {"extra_body": {"google": google}}]
)
@pytest.mark.parametrize(
    ("google", "request_members", "config"),
    [
        ({}, None, None),
        (
            {"thinking_config": {"thinking_budget": 9, "include_thoughts": True}},
            {},
            {"thinkingConfig": {"thinkingBudget": 9, "includeThoughts": True}},
        ),
        ({"thinkingConfig": {"thinkingLevel": "low"}}, {}, {"thinkingConfig": {"thinkingLevel": "LOW"}}),
        ({"safety_settings": [SAFETY]}, {"safetySettings": [SAFETY]}, {}),
        ({"safetySettings": [SAFETY]}, {"safetySettings": [SAFETY]}, {}),
        ({"cached_content": "c"}, {"cachedContent": "c"}, {}),
        ({"labels": {"team": "a"}}, {"labels": {"team": "a"}}, {}),
        ({"imageConfig": {"aspect_ratio": "16:9"}}, {}, {"imageConfig": {"aspectRatio": "16:9"}}),
        ({"audio_timestamp": False}, {}, {"audioTimestamp": False}),
    ],
)
def test_what_google_takes_beside(around: Any, google: Json, request_members: Json | None, config: Json | None) -> None:
    request = read(**around(google))
    if request_members is None:
        assert request.google is None
        return
    assert request.google
    assert (request.google.request, request.google.generation_config) == (request_members, config)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"safety_settings": [SAFETY]}, {"safetySettings": [SAFETY]}),
        ({"safetySettings": [SAFETY]}, {"safetySettings": [SAFETY]}),
        ({"cached_content": "c"}, {"cachedContent": "c"}),
        ({"cachedContent": "c"}, {"cachedContent": "c"}),
        ({"labels": {"team": "a"}}, {"labels": {"team": "a"}}),
        # What stands at the top is nearer.
        ({"labels": {"team": "a"}, "google": {"labels": {"team": "b"}}}, {"labels": {"team": "a"}}),
    ],
)
def test_what_google_takes_at_the_top(members: Json, expected: Json) -> None:
    google = read(**members).google
    assert google
    assert google.request == expected


@pytest.mark.parametrize(
    "google",
    [
        {"thinkingConfig": {"thinkingBudget": 1}, "thinking_config": {"thinking_budget": 2}},
        {"labels": {"a": "b"}, "safetySettings": [], "safety_settings": [SAFETY]},
    ],
)
def test_both_spellings_at_once(google: Json) -> None:
    """One of them goes out."""
    body = converted(google=google)
    assert body is None or not [name for name in body if "_" in name]


@pytest.mark.parametrize(
    ("given", "config", "dropped"),
    [
        ({"thinking_budget": 5}, {"thinkingBudget": 5}, ["reasoning_effort"]),
        ({"thinking_level": "low"}, {"thinkingLevel": "LOW"}, ["reasoning_effort"]),
        ({"include_thoughts": False}, {"thinkingLevel": "HIGH", "includeThoughts": False}, []),
        ({}, {"thinkingLevel": "HIGH", "includeThoughts": True}, []),
    ],
)
@pytest.mark.parametrize(
    "around", [lambda google: {"google": google}, lambda google: {"extra_body": {"google": google}}]
)
def test_googles_own_word_on_thinking_stands(
    around: Callable[[Json], Json], given: Json, config: Json, dropped: list[str]
) -> None:
    """The effort counts beside it, unless Google's own words say how much to think."""
    request = read(reasoning_effort="high", **around({"thinking_config": given}))
    request.model = "gemini-3.8-flash"
    body, _, notes = for_gemini(request)
    assert body["generationConfig"] == {"thinkingConfig": config}
    assert notes == Notes(dropped)


@pytest.mark.parametrize("read_dialect", [read_chat, read_response])
@pytest.mark.parametrize(
    ("asked", "header", "dropped"),
    [
        ("fast", "priority", []),
        ("priority", "priority", []),
        ("flex", "flex", []),
        ("scale", None, ["service_tier"]),
        ("ultrafast", None, ["service_tier"]),
        ("auto", None, []),
        ("default", None, []),
    ],
)
def test_a_tier_means_the_same_in_both_dialects(
    read_dialect: Callable[[Json], Request], asked: str, header: str | None, dropped: list[str]
) -> None:
    hi = [{"role": "user", "content": "Hi"}]
    written = for_gemini(read_dialect({"model": "m", "messages": hi, "input": hi, "service_tier": asked}))
    own = {"messages", "input"}
    assert written.headers.get("x-vertex-ai-llm-shared-request-type") == header
    assert [name for name in written.notes.dropped if name not in own] == dropped
