import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from addons.translation.anthropic.write_request import write_request as for_claude
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import ClientTool
from addons.translation.conversation import Finish
from addons.translation.conversation import Function
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.errors import InvalidRequest
from addons.translation.gemini.write_request import write_request as for_gemini
from addons.translation.openai_chat.client_tools import custom_parameters
from addons.translation.openai_chat.read_request import read_request
from addons.translation.openai_chat.schema import NOT_SERVED
from addons.translation.openai_chat.write_answer import StreamWriter
from addons.translation.openai_chat.write_answer import write_answer
from addons.translation.openai_chat.write_request import write_request as for_service
from tests.addons.translation.chats import DEEP
from tests.addons.translation.chats import chats
from tests.addons.translation.openai_chat.messages import HI
from tests.addons.translation.openai_chat.messages import SIGNATURE
from tests.addons.translation.openai_chat.messages import assistant
from tests.addons.translation.openai_chat.messages import call
from tests.addons.translation.openai_chat.messages import calls
from tests.addons.translation.openai_chat.messages import converted
from tests.addons.translation.openai_chat.messages import message
from tests.addons.translation.openai_chat.messages import read
from tests.addons.translation.openai_chat.messages import refused
from tests.addons.translation.openai_chat.messages import result
from tests.addons.translation.openai_chat.messages import tool
from tests.addons.translation.openai_chat.messages import user
from tests.addons.translation.unheard import SERVICES
from tests.addons.translation.unheard import unheard
from tests.metering.test_json_array import json_values

Json = dict[str, Any]


class TestMessages:
    @pytest.mark.parametrize(
        ("messages", "system", "turns"),
        [
            ([HI], [], [user(Text("Hi"))]),
            # Instructions go together, wherever they stand.
            (
                [message("system", "s"), HI, message("developer", [{"type": "text", "text": "d"}])],
                ["s", "d"],
                [user(Text("Hi"))],
            ),
            ([HI, message("system", "s"), HI], ["s"], [user(Text("Hi"), Text("Hi"))]),
            ([message("system", "s")], ["s"], []),
            # Turns alternate.
            ([HI, HI, message("assistant", "a"), message("assistant", "b"), HI], [], None),
            # What is empty is left out.
            ([HI, message("assistant", ""), message("assistant")], [], [user(Text("Hi"))]),
            ([message("user", [{"type": "text", "text": ""}, {"type": "text", "text": "a"}])], [], [user(Text("a"))]),
            # What a model said instead of an answer.
            ([HI, message("assistant", refusal="no")], [], [user(Text("Hi")), assistant(Text("no"))]),
            (
                [HI, message("assistant", [{"type": "refusal", "refusal": "no"}])],
                [],
                [user(Text("Hi")), assistant(Text("no"))],
            ),
            # Claude wants its thoughts back, before what it said.
            (
                [
                    HI,
                    message(
                        "assistant", "a", thinking_blocks=[{"type": "thinking", "thinking": "h", "signature": "s"}]
                    ),
                ],
                [],
                [user(Text("Hi")), assistant(Thought("h", Signature("anthropic", "s")), Text("a"))],
            ),
            (
                [HI, message("assistant", thinking_blocks=[{"type": "redacted_thinking", "data": "d"}])],
                [],
                [user(Text("Hi"))],
            ),
            # Without a signature thoughts are of no use.
            (
                [HI, message("assistant", "a", reasoning_content="hm", audio={"id": "x"}, name="n")],
                [],
                [user(Text("Hi")), assistant(Text("a"))],
            ),
        ],
    )
    def test_turns(self, messages: list[Json], system: list[str], turns: list[Turn] | None) -> None:
        request = read(*messages)
        assert request.system == [Text(text) for text in system]
        if turns is None:
            turns = [user(Text("Hi"), Text("Hi")), assistant(Text("a"), Text("b")), user(Text("Hi"))]
        assert request.turns == turns

    @pytest.mark.parametrize(
        ("messages", "param"),
        [
            ([message("user", "")], "messages"),
            ([message("user")], "messages[0].content"),
            ([message("user", 5)], "messages[0].content"),
            ([HI, message("user", [{"type": "text"}])], "messages[1].content[0].text"),
            ([message("user", [{"type": "hologram"}])], "messages[0].content[0]"),
            ([message("robot", "x")], "messages[0]"),
            ([{"content": "x"}], "messages[0]"),
            ([5], "messages[0]"),
            ([HI, message("system", [{"type": "image_url", "image_url": "gs://x.png"}])], "messages[1].content"),
        ],
    )
    def test_what_is_no_message(self, messages: list[Json], param: str) -> None:
        refusal = refused(*messages)
        assert refusal is not None
        assert refusal.startswith(param)

    @pytest.mark.parametrize("body", [{}, {"model": "m"}, {"messages": [HI]}])
    def test_what_is_no_request(self, body: Json) -> None:
        with pytest.raises(InvalidRequest):
            read_request(body)

    @pytest.mark.parametrize("members", [{"messages": []}, {"messages": {}}, {"messages": None}, {"model": ""}])
    def test_what_a_request_needs(self, members: Json) -> None:
        with pytest.raises(InvalidRequest) as caught:
            read_request({"model": "m", "messages": [HI], **members})
        assert caught.value.param == next(iter(members))


class TestToolCalls:
    def test_in_parallel_with_results_in_any_order(self) -> None:
        request = read(
            HI,
            calls(call("1", arguments='{"a": "é"}'), call("2", "g"), call("3"), content="Let me see."),
            result("3", "third"),
            result("1", '{"b": 1}'),
            result("2", "[2]"),
            HI,
        )
        assert request.turns[1:] == [
            assistant(
                Text("Let me see."), ToolCall("1", "f", {"a": "é"}), ToolCall("2", "g", {}), ToolCall("3", "f", {})
            ),
            user(
                ToolResult("1", "f", {"b": 1}), ToolResult("2", "g", "[2]"), ToolResult("3", "f", "third"), Text("Hi")
            ),
        ]

    def test_ids_count_for_one_turn(self) -> None:
        request = read(HI, calls(call("1", "f")), result("1"), calls(call("1", "g")), result("1"))
        results = [part for turn in request.turns for part in turn.parts if isinstance(part, ToolResult)]
        assert [one.name for one in results] == ["f", "g"]

    def test_functions_as_they_were_before_tools(self) -> None:
        legacy = {"name": "f", "arguments": '{"a": 1}'}
        request = read(HI, message("assistant", function_call=legacy), message("function", "x", name="f"))
        assert request.turns[1:] == [assistant(ToolCall(None, "f", {"a": 1})), user(ToolResult(None, "f", "x"))]

    @pytest.mark.parametrize("text", ["", "  ", "{}"])
    def test_no_arguments(self, text: str) -> None:
        assert read(HI, calls(call("1", arguments=text)), result("1")).turns[1] == assistant(ToolCall("1", "f", {}))

    @pytest.mark.parametrize("text", ["[]", "5", "null", "{", "nonsense", '{"a": NaN}', '{"a": 1e999}', DEEP * 10])
    def test_arguments_that_are_no_object_of_json(self, text: str) -> None:
        param = refused(HI, calls(call("1", arguments=text)), result("1"))
        assert param == "messages[1].tool_calls[0].function.arguments"

    @pytest.mark.parametrize(
        ("content", "output"),
        [
            ("", ""),
            (' {"a": 1}', {"a": 1}),
            ('{"a": 1} and more', '{"a": 1} and more'),
            ('{"a": NaN}', '{"a": NaN}'),
            # Beyond what a double holds is no JSON that anybody could read.
            ('{"a": 1e999}', '{"a": 1e999}'),
            ("null", "null"),
            ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ],
    )
    def test_results(self, content: object, output: object) -> None:
        assert read(HI, calls(call("1")), result("1", content)).turns[2] == user(ToolResult("1", "f", output))

    def test_media_in_a_result(self) -> None:
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        turn = read(HI, calls(call("1")), result("1", [{"type": "text", "text": "a"}, image])).turns[2]
        assert turn == user(ToolResult("1", "f", "a", [Media("image/png", data="AAAA")]))

    @pytest.mark.parametrize("text", [DEEP, '{"a": "\\ud800"}', '{"\\udc00": 1}'])
    @pytest.mark.parametrize("place", ["arguments", "content"])
    def test_json_in_a_text_that_cannot_be_sent_as_such(self, text: str, place: str) -> None:
        """Too deep, or no Unicode: refused, or sent as the text it is."""
        arguments, content = (text, "x") if place == "arguments" else ("{}", text)
        body = converted(HI, calls(call("1", arguments=arguments)), result("1", content))
        assert body is None or "output" in body["contents"][2]["parts"][0]["functionResponse"]["response"]

    @pytest.mark.parametrize(
        ("messages", "param"),
        [
            # Without results, with too few, too many, or others'.
            ([HI, calls(call("1"))], "messages[1]"),
            ([HI, calls(call("1")), HI], "messages[2]"),
            ([HI, calls(call("1"), call("2")), result("1"), HI], "messages[3]"),
            ([HI, calls(call("1"), call("2")), result("1"), calls(call("3")), result("3")], "messages[3]"),
            ([HI, calls(call("1")), result("1"), result("1")], "messages[3].tool_call_id"),
            ([HI, calls(call("1")), result("2")], "messages[2].tool_call_id"),
            ([HI, result("1")], "messages[1].tool_call_id"),
            ([HI, calls(call("1")), result("1"), HI, result("1")], "messages[4].tool_call_id"),
            ([HI, message("function", "x", name="f")], "messages[1].name"),
            # Calls that are none.
            ([HI, calls(call("1"), call("1")), result("1")], "messages[1].tool_calls"),
            ([HI, calls(call("")), result("")], "messages[1].tool_calls[0].id"),
            ([HI, calls(call("1", name="")), result("1")], "messages[1].tool_calls[0].function.name"),
            ([HI, calls({"id": "1", "type": "custom"})], "messages[1].tool_calls[0].custom"),
            ([HI, calls({"id": "1", "type": "mcp", "function": {"name": "f"}})], "messages[1].tool_calls[0].type"),
        ],
    )
    def test_calls_and_results_that_do_not_match(self, messages: list[Json], param: str) -> None:
        assert (refused(*messages) or "").startswith(param)


BIFROST = SIGNATURE.replace("+", "-").replace("/", "_").rstrip("=")


class TestSignatures:
    @pytest.mark.parametrize(
        ("id", "beside", "around"),
        [
            (f"1__thought__{SIGNATURE}", {}, {}),
            (f"1_ts_{BIFROST}", {}, {}),
            ("1", {"extra_content": {"google": {"thought_signature": SIGNATURE}}}, {}),
            ("1", {"provider_specific_fields": {"thought_signature": SIGNATURE}}, {}),
            ("1", {}, {"reasoning_details": [{"type": "reasoning.encrypted", "id": "1", "signature": SIGNATURE}]}),
            # Twice is once.
            (f"1__thought__{SIGNATURE}", {"extra_content": {"google": {"thought_signature": SIGNATURE}}}, {}),
        ],
    )
    def test_of_a_call(self, id: str, beside: Json, around: Json) -> None:
        turns = read(HI, calls(call(id, **beside), **around), result(id)).turns
        assert turns[1] == assistant(ToolCall("1", "f", {}, Signature("google", SIGNATURE)))
        assert turns[2] == user(ToolResult("1", "f", "x"))

    def test_of_a_call_whose_result_has_the_bare_id(self) -> None:
        turns = read(HI, calls(call(f"1__thought__{SIGNATURE}")), result("1")).turns
        assert turns[2] == user(ToolResult("1", "f", "x"))

    @pytest.mark.parametrize("content", ["a", None])
    def test_of_a_message(self, content: str | None) -> None:
        extra = {"google": {"thought_signature": SIGNATURE}}
        turn = read(HI, message("assistant", content, extra_content=extra)).turns[1]
        assert turn == assistant(Text(content or "", Signature("google", SIGNATURE)))

    @pytest.mark.parametrize("model", ["gemini-2.5-pro", "gemini-3-pro-preview"])
    def test_what_is_no_base64_is_refused_or_left_out(self, model: str) -> None:
        """Google takes bytes there; the client may have it from anywhere."""
        extra: Json = {"extra_content": {"google": {"thought_signature": "é***"}}}
        for messages in (
            [HI, message("assistant", "a", **extra), HI],
            [HI, calls(call("1", **extra)), result("1")],
            [HI, calls(call("1__thought__***")), result("1__thought__***")],
        ):
            body = converted(*messages, model=model)
            assert body is None or "***" not in json.dumps(body)

    def test_what_goes_out_comes_back(self) -> None:
        made = ToolCall("1", "f", {"a": 1}, Signature("google", SIGNATURE))
        answer = write_answer(Answer(choices=[Choice(0, [made], Finish.TOOL_CALLS)]), "m")
        told: Any = answer["choices"]
        said = json.loads(json.dumps(told[0]["message"]))
        assert said["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": SIGNATURE}}
        # As SDKs give it back: with all that was beside it, and with nothing but what they know.
        bare = {name: said["tool_calls"][0][name] for name in ("id", "type", "function")}
        for again in (said, message("assistant", tool_calls=[bare])):
            assert read(HI, again, result(bare["id"])).turns[1] == assistant(made)


class TestTools:
    def test_functions_as_they_were_before_tools(self) -> None:
        request = read(functions=[{"name": "f", "parameters": {"type": "object"}}], function_call={"name": "f"})
        assert request.functions == [Function("f", None, {"type": "object"})]
        assert request.tool_choice == ToolChoice("required", ["f"])
        assert read(functions=[{"name": "f"}], function_call="none").tool_choice == ToolChoice("none")

    @pytest.mark.parametrize(
        ("choice", "expected"),
        [
            (None, None),
            ("none", ToolChoice("none")),
            ("auto", ToolChoice("auto")),
            ("required", ToolChoice("required")),
            ("any", ToolChoice("required")),
            (tool("g"), ToolChoice("required", ["g"])),
            ({"type": "function", "name": "g"}, ToolChoice("required", ["g"])),
            (
                {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool("f"), tool("g")]}},
                ToolChoice("auto", ["f", "g"]),
            ),
            (
                {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"name": "f"}]}},
                ToolChoice("required", ["f"]),
            ),
        ],
    )
    def test_choices(self, choice: object, expected: ToolChoice | None) -> None:
        assert read(tools=[tool("f"), tool("g")], tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        # Zeros are kept.
        ({"temperature": 0, "top_p": 0.0, "top_k": 0}, {"temperature": 0, "top_p": 0.0, "top_k": 0}),
        ({"seed": 0, "presence_penalty": 0, "frequency_penalty": -2}, None),
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_completion_tokens": 7}, {"max_tokens": 7}),
        ({"stop": "a"}, {"stop": ["a"]}),
        ({"stop": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"stop": []}, {"stop": None}),
        ({"n": 3, "seed": 2**40}, None),
        ({"logprobs": True, "top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
        # Google refuses the number without the switch.
        ({"top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
        ({"modalities": ["text", "IMAGE"]}, {"modalities": ["text", "image"]}),
        ({"audio": {"voice": "Kore", "format": "pcm16"}}, {"voice": "Kore", "audio_format": "pcm16"}),
        ({"audio": {"voice": "Kore", "format": "wav"}}, {"voice": "Kore", "audio_format": "wav"}),
        ({"audio": {"voice": {"id": "Kore"}}}, {"voice": "Kore"}),
        ({"service_tier": "flex"}, {"service_tier": "flex"}),
        ({"user": "u", "parallel_tool_calls": False}, None),
        ({"user": ""}, {"user": None}),
        ({"stream": True}, {"stream": True, "include_usage": False}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True, "include_usage": True}),
        ({"project_id": "p", "region": "r"}, {"project": "p", "location": "r"}),
        ({"temperature": None, "stop": None, "tools": None, "stream": None}, {"temperature": None, "stream": False}),
    ],
)
def test_parameters(members: Json, expected: Json | None) -> None:
    request = read(**members)
    expected = members if expected is None else expected
    assert {name: getattr(request, name) for name in expected} == expected
    assert request.notes.dropped == []


@pytest.mark.parametrize(
    "members",
    [
        {"temperature": "1"},
        {"temperature": 2.1},
        {"temperature": -1},
        {"temperature": True},
        {"top_p": 1.5},
        {"max_tokens": 0},
        {"max_tokens": 2**31},
        {"max_tokens": 5.5},
        {"n": 0},
        {"seed": "1"},
        {"stop": 5},
        {"stop": ["a"] * 6},
        {"top_logprobs": 21},
        {"presence_penalty": 3},
        {"stream": "yes"},
        {"stream_options": {"include_usage": 1}},
        {"modalities": ["smell"]},
        {"reasoning_effort": "enormous"},
        {"labels": {"Team": "a"}},
        {"labels": {"team": "A b"}},
        {"labels": {"team": 5}},
        {"safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "SOMETIMES"}]},
        {"google": {"thinking_config": {"thinking_budget": "9"}}},
        {"google": {"thinking_config": {"patience": 9}}},
        {"extra_body": {"google": {"thinking_config": {"thinking_level": "EXTREME"}}}},
        {"project_id": 5},
    ],
)
def test_what_is_no_parameter(members: Json) -> None:
    assert (refused(**members) or "").startswith(next(iter(members)))


@pytest.mark.parametrize(
    ("members", "dropped"),
    [
        ({"logit_bias": {"1": 2}, "verbosity": "low"}, ["logit_bias", "verbosity"]),
        # What asks for nothing is not missed.
        ({"store": False, "metadata": {}, "prediction": None}, []),
        # Some services know what to do with them: who does not names them.
        ({"user": "u", "parallel_tool_calls": False}, []),
        ({"google": {"thought_tag_marker": "x"}}, ["google.thought_tag_marker"]),
        ({"stream_options": {"include_obfuscation": True}}, ["stream_options.include_obfuscation"]),
        ({"max_tokens": 5, "max_completion_tokens": 7}, ["max_tokens"]),
        ({"reasoning_effort": "low", "reasoning": {"effort": "high"}}, ["reasoning"]),
        ({"reasoning": {"max_tokens": 5, "effort": "high"}}, ["reasoning.effort"]),
        ({"reasoning": {"effort": "high"}, "thinking": {"type": "disabled"}}, ["thinking"]),
        ({"extra_body": {"top_a": 1, "google": {"labels": {"a": "b"}}}}, ["extra_body.top_a"]),
        ({"tools": [{"type": "web_search", "search_context_size": "low"}]}, ["tools[0].search_context_size"]),
        ({"tools": [{"googleSearch": {"excludeDomains": ["a"]}}]}, ["tools[0].googleSearch.excludeDomains"]),
        ({"web_search_options": {"search_context_size": "low"}}, ["web_search_options.search_context_size"]),
        ({"messages": [HI | {"name": "ann"}]}, ["messages[0].name"]),
        ({"messages": [{"role": "system", "content": "s", "name": "n"}]}, ["messages[0].name"]),
    ],
)
def test_what_has_no_target_is_named(members: Json, dropped: list[str]) -> None:
    assert read(**members).notes.dropped == dropped


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, None),
        ({"reasoning_effort": "low"}, Thinking("low")),
        ({"reasoning_effort": "none"}, Thinking("none")),
        ({"reasoning_effort": "XHIGH"}, Thinking("xhigh")),
        ({"reasoning": {"effort": "medium"}}, Thinking("medium", param="reasoning")),
        ({"reasoning": {"effort": "medium", "exclude": True}}, Thinking("medium", include=False, param="reasoning")),
        # Tokens are more exact than an effort.
        ({"reasoning": {"effort": "low", "max_tokens": 9000}}, Thinking(budget=9000, param="reasoning")),
        ({"reasoning": {"enabled": True}}, Thinking(include=True, param="reasoning")),
        ({"reasoning": {"enabled": False}}, Thinking("none", param="reasoning")),
        ({"reasoning": {}}, None),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            Thinking(budget=2000, include=True, param="thinking"),
        ),
        ({"thinking": {"type": "adaptive"}}, Thinking(include=True, param="thinking")),
        ({"thinking": {"type": "disabled"}}, Thinking("none", param="thinking")),
    ],
)
def test_thinking(members: Json, expected: Thinking | None) -> None:
    assert read(**members).thinking == expected


@given(st.dictionaries(st.sampled_from(["model", "messages", "tools", "google", "stop", "x"]), json_values))
def test_any_object(body: Json) -> None:
    with pytest.raises(InvalidRequest):
        read_request({"messages": [], **body})


@settings(max_examples=30)
@given(chats)
def test_a_chat_is_read_the_same_twice(chat: Json) -> None:
    """Reading changes nothing in a body."""
    before = json.dumps(chat)
    assert read_request(chat) == read_request(chat)
    assert json.dumps(chat) == before


PATCH: Json = {
    "type": "custom",
    "custom": {
        "name": "apply_patch",
        "description": "Edits files.",
        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: PATCH"}},
    },
}
FUNCTION: Json = {"type": "function", "function": {"name": "f"}}


class TestCustomTools:
    def test_a_function_with_a_text(self) -> None:
        request = read(tools=[FUNCTION, PATCH])
        function = request.functions[1]
        assert function.name == "apply_patch"
        assert function.description == "Edits files.\n\nThe input must follow this lark grammar:\nstart: PATCH"
        assert function.parameters == custom_parameters()
        assert request.client_tools == {"apply_patch": ClientTool("custom", "apply_patch")}
        assert request.notes.assumed == ["tools[1].custom.format=description"]

    @pytest.mark.parametrize(
        ("choice", "expected"),
        [
            ({"type": "custom", "custom": {"name": "apply_patch"}}, ToolChoice("required", ["apply_patch"])),
            (
                {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "auto",
                        "tools": [FUNCTION, {"type": "custom", "custom": {"name": "apply_patch"}}],
                    },
                },
                ToolChoice("auto", ["f", "apply_patch"]),
            ),
        ],
    )
    def test_choices(self, choice: Json, expected: ToolChoice) -> None:
        assert read(tools=[FUNCTION, PATCH], tool_choice=choice).tool_choice == expected
        assert refused(tools=[FUNCTION], tool_choice=choice) == "tool_choice"

    def test_calls_are_read_back(self) -> None:
        called = {"id": "1", "type": "custom", "custom": {"name": "apply_patch", "input": "*** Begin"}}
        request = read(HI, calls(called), result("1", "ok"), tools=[PATCH])
        call = ToolCall("1", "apply_patch", {"input": "*** Begin"})
        assert request.turns[1:] == [assistant(call), user(ToolResult("1", "apply_patch", "ok"))]

    def test_a_function_of_the_same_name(self) -> None:
        function: Json = {"type": "function", "function": {"name": "apply_patch"}}
        request = read(tools=[PATCH, function])
        first, second = (function.name for function in request.functions)
        assert second == "apply_patch" != first
        assert request.client_tools == {first: ClientTool("custom", "apply_patch")}

    @pytest.mark.parametrize("kind", sorted(NOT_SERVED))
    def test_tools_of_openai_are_dropped_and_named(self, kind: str) -> None:
        request = read(tools=[FUNCTION, {"type": kind}], tool_choice="required")
        assert request.notes.dropped == ["tools[1]"]
        assert refused(tools=[{"type": kind}], tool_choice="required") == "tool_choice"
        assert read(tools=[{"type": kind}]).functions == []


GOOGLES = {"google": {"thought_signature": "c2lnbmVk"}}
SIGNED = Signature("google", "c2lnbmVk")


class TestAnswersSentBack:
    """An assistant message as `write_answer` writes it is read back: each part, and each signature on its own."""

    @pytest.mark.parametrize(
        "parts",
        [
            [Text("Look:", SIGNED), Media("image/png", data="AAAA", signature=Signature("google", "b3RoZXI="))],
            [Text("Look:"), Media("image/png", data="AAAA", signature=SIGNED), Media("image/jpeg", data="BBBB")],
            [Media("image/png", data="AAAA", signature=SIGNED)],
            [Text("Look:", SIGNED), Media("image/png", data="AAAA", signature=SIGNED)],
            [Text("Hear:", SIGNED), Media("audio/wav", data="UklGRgAA", signature=Signature("google", "b3RoZXI="))],
            [Media("audio/L16;codec=pcm;rate=24000", data="AAAA", signature=SIGNED)],
            [Media("audio/mpeg", data="SUQzAAAA")],
            [Text("Hi", SIGNED), ToolCall("c", "f", {}, Signature("google", "b3RoZXI="))],
            [Thought("hm", Signature("anthropic", "sig")), Text("Hi")],
        ],
    )
    def test_parts(self, parts: list[Part]) -> None:
        written: Any = write_answer(Answer(choices=[Choice(0, parts)]), "m")
        message = written["choices"][0]["message"]
        results = [result("c")] if "tool_calls" in message else []
        request = read(HI, message, *results)
        assert request.turns[1] == assistant(*parts)
        assert request.notes.dropped == []
        # OpenAI's SDK gives a message back with every member that it knows.
        whole: Json = {"refusal": None, "annotations": [], "audio": None, "function_call": None, "tool_calls": None}
        assert read(HI, whole | message, *results).turns == request.turns

    def test_parts_of_a_stream(self) -> None:
        parts: list[Part] = [
            Text("Look:", SIGNED),
            Media("image/png", data="AAAA", signature=Signature("google", "b3RoZXI=")),
        ]
        writer = StreamWriter("m", False)
        sent = b"".join(writer.write(Answer(choices=[Choice(0, [part])])) for part in parts).decode()
        deltas = [
            json.loads(line[6:])["choices"][0]["delta"] for line in sent.splitlines() if line.startswith("data: ")
        ]
        message: Json = {"role": "assistant", "content": "", "images": []}
        for delta in deltas:
            message["content"] += delta.get("content") or ""
            message["images"] += delta.get("images", [])
            message |= {"extra_content": delta["extra_content"]} if "extra_content" in delta else {}
        assert read(HI, message).turns[1] == assistant(*parts)

    def test_an_image_whose_signature_stands_beside_it(self) -> None:
        url = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}, "index": 0}
        signed = message("assistant", "Look:", images=[url, url], extra_content=GOOGLES)
        assert read(HI, signed).turns[1] == assistant(
            Text("Look:"), Media("image/png", data="AAAA"), Media("image/png", data="AAAA", signature=SIGNED)
        )

    @pytest.mark.parametrize("uri", ["gs://bucket/a.webp", "https://h/a.webp?x=1"])
    def test_an_image_by_its_uri(self, uri: str) -> None:
        drawn = Media("image/webp", uri=uri, signature=SIGNED)
        told: Any = write_answer(Answer(choices=[Choice(0, [drawn])]), "m")
        assert read(HI, told["choices"][0]["message"]).turns[1] == assistant(drawn)

    @pytest.mark.parametrize(
        ("members", "dropped"),
        [
            ({"images": [{"image_url": {"url": "file:///a.png"}}]}, ["messages[1].images[0]"]),
            (
                {"images": [{"image_url": "file:///a.png", "alt": "x"}]},
                ["messages[1].images[0]", "messages[1].images[0].alt"],
            ),
            ({"audio": {"id": "audio_1"}}, ["messages[1].audio"]),
            ({"reasoning_content": "hm"}, ["messages[1].reasoning_content"]),
            ({"thinking_blocks": [{"type": "thinking", "thinking": "hm"}]}, ["messages[1].thinking_blocks"]),
            ({"annotations": [{"type": "url_citation"}]}, ["messages[1].annotations"]),
            ({"extra_content": {"google": {"thought_signature": "***"}}}, ["messages[1].extra_content"]),
            ({"name": "ann"}, ["messages[1].name"]),
            ({"annotations": [], "audio": None, "reasoning_content": ""}, []),
        ],
    )
    def test_what_cannot_be_read_is_named(self, members: Json, dropped: list[str]) -> None:
        request = read(HI, message("assistant", "a", **members))
        assert request.turns[1] == assistant(Text("a"))
        assert request.notes.dropped == dropped

    @pytest.mark.parametrize(
        ("name", "holding"),
        [
            ("extra_content", lambda signature: {"google": {"thought_signature": signature}}),
            ("provider_specific_fields", lambda signature: {"thought_signature": signature}),
            ("thought_signature", str),
            ("thoughtSignature", str),
        ],
    )
    def test_where_signatures_are(self, name: str, holding: Callable[[str], object]) -> None:
        signed = read(HI, message("assistant", "a", **{name: holding("c2lnbmVk")}))
        assert signed.turns[1] == assistant(Text("a", SIGNED))
        assert (signed.names["signatures"], signed.notes.dropped) == (f"messages[1].{name}", [])
        spoiled = read(HI, message("assistant", "a", **{name: holding("***")}))
        assert spoiled.turns[1] == assistant(Text("a"))
        assert spoiled.notes.dropped == [f"messages[1].{name}"]

    def test_what_a_service_cannot_take_is_named(self) -> None:
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}, "extra_content": GOOGLES}
        block = {"type": "thinking", "thinking": "hm", "signature": "sig"}
        drawn = message("assistant", "a", images=[image], extra_content=GOOGLES)
        request = read(HI, drawn, HI, message("assistant", "b", thinking_blocks=[block], reasoning_content="hm"), HI)
        googles = for_gemini(request)
        assert googles.notes.dropped == ["messages[3].thinking_blocks"]
        parts: Any = googles.body["contents"]
        assert parts[1]["parts"] == [
            {"text": "a", "thoughtSignature": "c2lnbmVk"},
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thoughtSignature": "c2lnbmVk"},
        ]
        claudes = for_claude(replace(request, model="claude-sonnet-4-5", thinking=Thinking("low")))
        assert claudes.notes.dropped == ["messages[1].images", "messages[1].extra_content"]
        others = for_service(replace(request, model="mistral"))
        assert others.notes.dropped == [
            "messages[1].images",
            "messages[3].thinking_blocks",
            "messages[1].extra_content",
        ]

    def test_media_among_the_parts_of_an_answer(self) -> None:
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        request = read(HI, message("assistant", [{"type": "text", "text": "a"}, image]), HI)
        claudes = for_claude(replace(request, model="claude-sonnet-4-5"))
        assert claudes.notes.dropped == ["messages[1].content"]


WHOLE: Json = {
    "messages": [
        {"role": "system", "content": "Be brief.", "name": "sys"},
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
                {
                    "type": "image_url",
                    "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"},
                    "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"},
                },
            ],
        },
        {
            "role": "assistant",
            "content": "b",
            "refusal": "r",
            "name": "bot",
            "reasoning_content": "hm",
            "annotations": [{"type": "url_citation", "url_citation": {"url": "https://a"}}],
            "images": [
                {
                    "type": "image_url",
                    "index": 0,
                    "image_url": {"url": "data:image/png;base64,BBBB"},
                    "extra_content": {"google": {"thought_signature": "b3RoZXI="}},
                }
            ],
            "extra_content": {"google": {"thought_signature": "c2lnbmVk"}},
            "tool_calls": [
                {"id": "1", "type": "function", "index": 0, "function": {"name": "f", "arguments": '{"a": 1}'}},
                {"id": "2", "type": "custom", "custom": {"name": "patch", "input": "***"}},
            ],
        },
        {"role": "tool", "tool_call_id": "1", "name": "f", "content": "x"},
        {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": "y"}]},
        {"role": "user", "content": "go"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "d",
                "strict": True,
                "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
            },
        },
        {
            "type": "custom",
            "custom": {
                "name": "patch",
                "description": "p",
                "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: X"}},
            },
        },
        {"type": "web_search", "search_context_size": "low"},
        {"type": "mcp", "server_label": "l"},
    ],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "temperature": 0.5,
    "top_p": 0.9,
    "max_tokens": 50,
    "stop": ["x"],
    "seed": 3,
    "n": 1,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
    "logprobs": True,
    "top_logprobs": 2,
    "reasoning_effort": "low",
    "service_tier": "flex",
    "user": "u",
    "safety_identifier": "s",
    "metadata": {"a": "b"},
    "store": True,
    "verbosity": "low",
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit"},
    "logit_bias": {"1": 2},
    "prediction": {"type": "content", "content": "x"},
    "stream": True,
    "stream_options": {"include_usage": True, "include_obfuscation": True},
    "modalities": ["text", "audio"],
    "audio": {"voice": "Kore", "format": "pcm16"},
    "response_format": {
        "type": "json_schema",
        "json_schema": {
            "name": "reply",
            "description": "d",
            "strict": True,
            "schema": {"type": "object", "properties": {"a": {"type": "string"}}},
        },
    },
    "extra_body": {
        "google": {
            "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
            "thought_tag_marker": "t",
        },
        "top_a": 1,
    },
    "labels": {"a": "b"},
}
"""Every member that a chat may have, or that clients send beside these."""


@pytest.mark.parametrize("model", SERVICES)
def test_nothing_vanishes_unnamed(model: str) -> None:
    """Each member changes what the service gets, or is named to the client. So does one that nobody knows, anywhere."""
    assert unheard(read_request, WHOLE, model) == set()


@pytest.mark.parametrize("model", SERVICES)
@pytest.mark.parametrize(
    "members",
    [
        {"reasoning": {"effort": "low", "exclude": True}},
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        {"function_call": {"name": "g"}, "functions": [{"name": "g", "description": "d", "strict": True}]},
        {"tools": [{"type": "function", "function": {"name": "f", "strict": True}}], "tool_choice": "required"},
        {"web_search_options": {"search_context_size": "low", "user_location": {"type": "approximate"}}},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                        {
                            "type": "file",
                            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
                        },
                    ],
                    "cache_control": {"type": "ephemeral"},
                }
            ]
        },
    ],
)
def test_nothing_of_a_few_members_vanishes(model: str, members: Json) -> None:
    assert unheard(read_request, {"messages": [HI]} | members, model) == set()
