import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from addons.translation.anthropic.read_request import read_count
from addons.translation.anthropic.read_request import read_request
from addons.translation.anthropic.write_answer import write_answer
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Effort
from addons.translation.conversation import Format
from addons.translation.conversation import Function
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import ToolResult
from addons.translation.errors import InvalidRequest
from addons.translation.gemini.write_request import write_request as write_for_gemini
from addons.translation.openai_chat.write_request import write_request as write_for_openai
from tests.addons.translation.anthropic.requests import HI
from tests.addons.translation.anthropic.requests import body
from tests.addons.translation.anthropic.requests import read
from tests.addons.translation.anthropic.requests import refused
from tests.addons.translation.chats import check
from tests.addons.translation.messages import half_valid
from tests.addons.translation.messages import requests
from tests.metering.test_json_array import json_values

Json = dict[str, Any]
SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
F: Json = {"name": "f", "description": "d", "input_schema": SCHEMA}
SEARCH: Json = {"type": "web_search_20250305", "name": "web_search"}
CACHE: Json = {"type": "ephemeral"}


class TestSettings:
    @pytest.mark.parametrize(
        ("members", "field", "value"),
        [
            ({"max_tokens": 7}, "max_tokens", 7),
            ({"temperature": 0}, "temperature", 0),
            ({"top_p": 0.5}, "top_p", 0.5),
            ({"top_k": 0}, "top_k", 0),
            ({"stop_sequences": ["x"]}, "stop", ["x"]),
            ({"stop_sequences": []}, "stop", None),
            ({"stream": True}, "stream", True),
            ({}, "stream", False),
            ({}, "include_usage", True),
            ({"metadata": {"user_id": "u"}}, "user", "u"),
            ({"metadata": {"user_id": ""}}, "user", None),
            ({"service_tier": "auto"}, "service_tier", "auto"),
            ({"service_tier": "standard_only"}, "service_tier", "default"),
            ({"output_format": {"type": "json_schema", "schema": SCHEMA}}, "format", Format(SCHEMA, "output_format")),
            (
                {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
                "format",
                Format(SCHEMA, "output_config.format"),
            ),
        ],
    )
    def test_fields(self, members: Json, field: str, value: object) -> None:
        request = read(**members)
        assert getattr(request, field) == value
        assert (request.notes.dropped, request.notes.assumed) == ([], [])

    def test_a_cache_without_an_answer(self) -> None:
        """`max_tokens` of 0 asks Claude to fill its cache and to say nothing. Other services want a token at least."""
        request = read(max_tokens=0)
        assert (request.max_tokens, request.notes.assumed) == (1, ["max_tokens=1"])

    @pytest.mark.parametrize(
        ("members", "thinking"),
        [
            ({}, None),
            ({"thinking": {"type": "disabled"}}, Thinking("none", include=False, param="thinking")),
            ({"thinking": {"type": "between_tools"}}, Thinking("none", include=False, param="thinking")),
            ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Thinking(None, 2000, True, "thinking")),
            (
                {"thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}},
                Thinking(None, 2000, False, "thinking"),
            ),
            ({"thinking": {"type": "adaptive"}}, Thinking(None, None, True, "thinking")),
            ({"thinking": {"type": "adaptive", "display": "omitted"}}, Thinking(None, None, False, "thinking")),
            (
                {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
                Thinking("low", None, True, "output_config.effort"),
            ),
            # Who does not ask for thoughts gets none.
            ({"output_config": {"effort": "medium"}}, Thinking("medium", None, False, "output_config.effort")),
            (
                {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
                Thinking("none", include=False, param="thinking"),
            ),
        ],
    )
    def test_thinking(self, members: Json, thinking: Thinking | None) -> None:
        assert read(**members).thinking == thinking

    @pytest.mark.parametrize("effort", ["low", "medium", "high", "xhigh", "max"])
    def test_efforts(self, effort: Effort) -> None:
        request = read(output_config={"effort": effort})
        assert request.thinking == Thinking(effort, include=False, param="output_config.effort")
        assert request.notes.assumed == []

    def test_what_has_no_place_is_named(self) -> None:
        request = read(
            container="c", mcp_servers=[{"x": 1}], context_management={"edits": []}, speed="fast", inference_geo=None
        )
        assert request.notes.dropped == ["container", "mcp_servers", "context_management", "speed"]

    @pytest.mark.parametrize(
        ("members", "told"),
        [
            ({"tools": [F | {"input_schema": {"a": float("inf")}}]}, "tools.0.input_schema: "),
            (
                {"output_format": {"type": "json_schema", "schema": {"a": float("inf")}}},
                "output_format.schema: ",
            ),
        ],
    )
    def test_schemas_that_are_no_json(self, members: Json, told: str) -> None:
        assert refused(**members).startswith(told)

    def test_only_counting_needs_no_max_tokens(self) -> None:
        asked = body()
        del asked["max_tokens"]
        assert read_count(asked).max_tokens is None
        with pytest.raises(InvalidRequest, match="max_tokens: field required"):
            read_request(asked)


class TestTools:
    def test_functions(self) -> None:
        request = read(tools=[F | {"type": "custom", "cache_control": CACHE}, {"name": "g", "input_schema": {}}])
        assert request.functions == [Function("f", "d", SCHEMA, cache=CACHE), Function("g", None, {})]

    def test_what_has_no_place_is_named(self) -> None:
        request = read(tools=[F | {"strict": True, "input_examples": [{}], "defer_loading": False}])
        assert request.notes.dropped == ["tools[0].strict", "tools[0].input_examples"]

    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            ("bash_20250124", "bash"),
            ("text_editor_20250728", "str_replace_based_edit_tool"),
            ("memory_20250818", "memory"),
        ],
    )
    def test_tools_of_anthropics_that_the_client_runs(self, kind: str, name: str) -> None:
        for own, expected in ((None, name), ("mine", "mine")):
            (function,) = read(tools=[{"type": kind, "name": own}]).functions
            assert function.name == expected
            assert function.description
            assert function.parameters

    def test_tools_that_the_service_runs(self) -> None:
        tools = [SEARCH, {"type": "web_fetch_20250910"}, {"type": "code_execution_20250825"}, SEARCH]
        request = read(tools=tools)
        assert request.server_tools == {
            "googleSearch": "tools[0]",
            "urlContext": "tools[1]",
            "codeExecution": "tools[2]",
        }
        assert request.notes.dropped == []

    def test_tools_that_nobody_runs_here_are_named(self) -> None:
        request = read(tools=[{"type": "mcp_toolset"}, {"type": "tool_search_tool_bm25_20251119"}, F])
        assert [function.name for function in request.functions] == ["f"]
        assert request.notes.dropped == ["tools[0]", "tools[1]"]

    def test_settings_of_a_search_are_named(self) -> None:
        request = read(tools=[SEARCH | {"max_uses": 3, "cache_control": CACHE}])
        assert request.notes.dropped == ["tools[0].max_uses", "tools[0].cache_control"]

    @pytest.mark.parametrize(
        ("choice", "expected", "parallel"),
        [
            ({"type": "auto"}, ToolChoice("auto"), None),
            ({"type": "any"}, ToolChoice("required"), None),
            ({"type": "none"}, ToolChoice("none"), None),
            ({"type": "tool", "name": "f"}, ToolChoice("required", ["f"]), None),
            ({"type": "auto", "disable_parallel_tool_use": True}, ToolChoice("auto"), False),
            ({"type": "any", "disable_parallel_tool_use": False}, ToolChoice("required"), None),
            ({"type": "tool", "name": "f", "disable_parallel_tool_use": True}, ToolChoice("required", ["f"]), False),
        ],
    )
    def test_choices(self, choice: Json, expected: ToolChoice, parallel: bool | None) -> None:
        request = read(tools=[F], tool_choice=choice)
        assert (request.tool_choice, request.parallel_tool_calls) == (expected, parallel)

    @pytest.mark.parametrize(
        ("tools", "choice", "told"),
        [
            ([F, F], None, "tools: Tool names must be unique."),
            ([F], {"type": "tool", "name": "g"}, "tool_choice: Tool 'g' not found in provided tools"),
        ],
    )
    def test_what_cannot_be(self, tools: list[Json], choice: Json | None, told: str) -> None:
        assert refused(tools=tools, tool_choice=choice).startswith(told)

    @pytest.mark.parametrize("choice", [{"type": "tool", "name": "web_search"}, {"type": "any"}])
    def test_a_search_cannot_be_forced(self, choice: Json) -> None:
        """Claude Code forces its searches. Gemini searches if it wants to."""
        request = read(tools=[SEARCH], tool_choice=choice)
        assert (request.tool_choice, "tool_choice" in request.notes.dropped) == (None, True)
        assert read(tools=[SEARCH, F], tool_choice={"type": "any"}).notes.dropped == []


class TestForGemini:
    """What is left out of what is written for Gemini is named in the client's words."""

    def test_names(self) -> None:
        asked = {
            "metadata": {"user_id": "u"},
            "tools": [F | {"cache_control": CACHE}],
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        }
        assert write_for_gemini(read(**asked)).notes.dropped == [
            "tool_choice.disable_parallel_tool_use",
            "metadata.user_id",
            "cache_control",
        ]

    def test_a_tool_that_has_failed(self) -> None:
        turns = read(
            HI,
            {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {}}]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "1", "is_error": True, "content": "No."}],
            },
        )
        sent: Any = write_for_gemini(turns).body["contents"]
        assert sent[2]["parts"] == [{"functionResponse": {"name": "f", "response": {"error": "No."}}}]
        assert write_for_openai(turns).notes.dropped == ["tool_result.is_error"]


@settings(max_examples=300)
@given(requests)
def test_any_request_is_converted(asked: Json) -> None:
    check(write_for_gemini(read_request(asked)).body)


@settings(max_examples=300)
@given(half_valid())
def test_any_request_is_converted_or_refused(asked: Json) -> None:
    for write in (write_for_gemini, write_for_openai):
        # Any other exception fails the test.
        with contextlib.suppress(InvalidRequest):
            body = write(read_request(asked)).body
            json.dumps(body, allow_nan=False)
            if write is write_for_gemini:
                check(body)


@given(
    st.dictionaries(st.sampled_from(["model", "messages", "max_tokens", "tools", "system", "thinking"]), json_values)
)
def test_any_json(asked: Json) -> None:
    for read_it in (read_request, read_count):
        with contextlib.suppress(InvalidRequest):
            read_it(asked)


GOOGLES = st.none() | st.binary(min_size=1, max_size=40).map(
    lambda raw: Signature("google", base64.b64encode(raw).decode())
)
CALLS = st.builds(
    ToolCall, st.from_regex(r"[a-zA-Z0-9-]{1,12}", fullmatch=True), st.just("f"), st.just({"a": 1}), GOOGLES
)


@given(st.lists(CALLS, min_size=1, max_size=3, unique_by=lambda call: call.id), GOOGLES)
def test_what_was_answered_comes_back(calls: list[ToolCall], signature: Signature | None) -> None:
    """The signatures of Google's, each on its part, from a client that has asked for thoughts."""
    asked = Request("m", thinking=Thinking(budget=2000, include=True))
    text = Text("Let me see.", signature)
    answer = write_answer(Answer(choices=[Choice(0, [Thought("hm"), text, *calls])]), asked)
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "done"}
        for block in answer["content"]  # type: ignore[attr-defined]
        if block["type"] == "tool_use"
    ]
    read_back = read(HI, {"role": "assistant", "content": answer["content"]}, {"role": "user", "content": results})
    assert [part for part in read_back.turns[1].parts if not isinstance(part, Thought)] == [text, *calls]
    assert read_back.turns[2].parts == [ToolResult(call.id, "f", "done") for call in calls]
