import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Format
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
from addons.translation.gemini.write_request import write_request as write_for_gemini
from addons.translation.openai_responses.read_request import read_request
from addons.translation.openai_responses.schema import SKIPPED
from addons.translation.openai_responses.write_answer import write_answer
from tests.addons.translation import chats
from tests.addons.translation.chats import check
from tests.addons.translation.chats import exactly
from tests.addons.translation.chats import maybe
from tests.addons.translation.openai_chat.messages import assistant
from tests.addons.translation.openai_chat.messages import user
from tests.addons.translation.openai_responses.answers import items_of
from tests.addons.translation.openai_responses.inputs import CLAUDES
from tests.addons.translation.openai_responses.inputs import HI
from tests.addons.translation.openai_responses.inputs import SEALED
from tests.addons.translation.openai_responses.inputs import SIGNATURE
from tests.addons.translation.openai_responses.inputs import call
from tests.addons.translation.openai_responses.inputs import message
from tests.addons.translation.openai_responses.inputs import output
from tests.addons.translation.openai_responses.inputs import read
from tests.addons.translation.openai_responses.inputs import reasoning
from tests.addons.translation.openai_responses.inputs import refused
from tests.addons.translation.openai_responses.inputs import said
from tests.addons.translation.openai_responses.inputs import tool
from tests.metering.test_json_array import json_values

Json = dict[str, Any]


class TestItems:
    @pytest.mark.parametrize(
        ("items", "system", "turns"),
        [
            ("Hi", [], [user(Text("Hi"))]),
            ([HI], [], [user(Text("Hi"))]),
            ([message({"type": "input_text", "text": "Hi"})], [], [user(Text("Hi"))]),
            (
                [
                    {"role": "system", "content": "s"},
                    HI,
                    message({"type": "input_text", "text": "d"}, role="developer"),
                ],
                ["s", "d"],
                [user(Text("Hi"))],
            ),
            ([{"role": "system", "content": "s"}], ["s"], []),
            # Turns alternate.
            ([HI, HI, said("a"), said("b")], [], [user(Text("Hi"), Text("Hi")), assistant(Text("a"), Text("b"))]),
            ([HI, said(""), {"role": "assistant", "content": ""}], [], [user(Text("Hi"))]),
            (
                [HI, message({"type": "refusal", "refusal": "no"}, role="assistant")],
                [],
                [user(Text("Hi")), assistant(Text("no"))],
            ),
            # Without a signature, or with one of another service, thoughts are of no use.
            (
                [HI, reasoning(None, "hm"), reasoning("gAAAAAB"), reasoning("google:***"), reasoning("google:")],
                [],
                [user(Text("Hi"))],
            ),
        ],
    )
    def test_turns(self, items: object, system: list[str], turns: list[Turn]) -> None:
        request = read_request({"model": "m", "input": items})
        assert request.system == [Text(text) for text in system]
        assert request.turns == turns

    def test_what_is_to_be_remembered(self) -> None:
        hour: Json = {"type": "ephemeral", "ttl": "1h"}
        short: Json = {"type": "ephemeral"}
        items = [
            message({"type": "input_text", "text": "s", "cache_control": hour}, role="system"),
            message({"type": "input_text", "text": "a", "cache_control": hour}, {"type": "input_text", "text": "b"}),
            {"role": "assistant", "content": "c", "cache_control": short},
            {**call(), "cache_control": hour},
            {**output(), "cache_control": short},
            {"role": "user", "content": "d", "cache_control": hour},
        ]
        tools = [{"type": "function", "name": "f", "cache_control": short}]
        request = read_request({"model": "m", "input": items, "tools": tools})
        assert (request.system, request.functions) == ([Text("s", cache=hour)], [Function("f", cache=short)])
        assert request.turns == [
            user(Text("a", cache=hour), Text("b")),
            assistant(Text("c", cache=short), ToolCall("c", "f", {}, cache=hour)),
            user(ToolResult("c", "f", "x", cache=short), Text("d", cache=hour)),
        ]

    @pytest.mark.parametrize("control", [{"type": "x"}, {"type": "ephemeral", "ttl": "1d"}, 5])
    def test_what_nobody_can_remember(self, control: object) -> None:
        assert (refused({**HI, "cache_control": control}) or "").startswith("input[0].cache_control")
        said = {"type": "input_text", "text": "a", "cache_control": control}
        assert (refused(message(said)) or "").startswith("input[0].content[0].cache_control")

    def test_instructions_are_first(self) -> None:
        request = read(HI, {"role": "system", "content": "s"}, instructions="i")
        assert request.system == [Text("i"), Text("s")]

    @pytest.mark.parametrize(
        ("part", "expected"),
        [
            ({"type": "input_image", "image_url": "data:image/png;base64,QUJD"}, Media("image/png", data="QUJD")),
            (
                {"type": "input_image", "image_url": "gs://b/o.webp", "detail": "high", "file_id": None},
                Media("image/webp", uri="gs://b/o.webp", detail="high"),
            ),
            (
                {"type": "input_image", "image_url": "http://h/a.png", "detail": "original"},
                Media("image/png", uri="http://h/a.png", detail="ultra_high"),
            ),
            (
                {"type": "input_image", "image_url": "http://h/a.png", "detail": "auto"},
                Media("image/png", uri="http://h/a.png"),
            ),
            (
                {"type": "input_file", "file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"},
                Media("application/pdf", data="QUJD"),
            ),
            ({"type": "input_file", "file_data": "QUJD", "filename": "a.csv"}, Media("text/csv", data="QUJD")),
            ({"type": "input_file", "file_url": "https://h/a.pdf"}, Media("application/pdf", uri="https://h/a.pdf")),
            (
                {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
                Media("audio/wav", data="QUJD"),
            ),
            (
                {"type": "input_video", "video_url": "gs://b/o.mp4", "video_metadata": {"fps": 2}},
                Media("video/mp4", uri="gs://b/o.mp4", clip={"fps": 2.0}),
            ),
            ({"type": "video_url", "video_url": {"url": "gs://b/o.mp4"}}, Media("video/mp4", uri="gs://b/o.mp4")),
        ],
    )
    def test_media(self, part: Json, expected: Media) -> None:
        assert read(message(part)).turns == [user(expected)]

    def test_a_type_that_is_assumed(self) -> None:
        request = read(message({"type": "input_image", "image_url": "https://h/a"}))
        assert request.notes.assumed == ["input[0].content[0].image_url=image/jpeg"]

    @pytest.mark.parametrize(
        ("items", "param"),
        [
            ([message({"type": "input_image", "file_id": "file-1"})], "input[0].content[0].file_id"),
            ([message({"type": "input_file", "file_id": "file-1"})], "input[0].content[0].file_id"),
            ([message({"type": "input_file", "file_url": "h"})], "input[0].content[0].file_url"),
            ([message({"type": "input_image", "image_url": "ftp://h"})], "input[0].content[0].image_url"),
            ([message({"type": "x"})], "input[0].content[0]"),
            ([{"type": "item_reference", "id": "msg_1"}], "input[0]"),
            ([HI, {"id": "msg_1"}], "input[1]"),
            ([{"type": "unheard_of"}], "input[0].type"),
            ([{"type": 1}], "input[0].type"),
            ([{"role": "tool", "content": "x"}], "input[0].role"),
            ([{"role": "user"}], "input[0].content"),
            ([{"role": "user", "content": ""}], "input"),
            ([message({"type": "input_image", "image_url": "gs://b/o.png"}, role="system")], "input[0].content"),
            (["Hi"], "input[0]"),
            ([HI, call("")], "input[1].call_id"),
            ([HI, {"type": "image_generation_call", "result": "***"}], "input[1].result"),
        ],
    )
    def test_what_is_no_item(self, items: list[object], param: str) -> None:
        assert refused(*items) == param

    def test_nothing(self) -> None:
        with pytest.raises(InvalidRequest) as caught:
            read_request({"model": "m"})
        assert caught.value.param == "input"

    @pytest.mark.parametrize("kind", sorted(SKIPPED))
    def test_items_of_other_tools_are_left_out(self, kind: str) -> None:
        request = read(HI, {"type": kind, "id": "x", "status": "completed"}, said("a"))
        assert request.turns == [user(Text("Hi")), assistant(Text("a"))]
        assert request.notes.dropped == ([] if kind == "web_search_call" else ["input[1]"])

    def test_an_image_that_was_made(self) -> None:
        made = {"type": "image_generation_call", "id": "ig_1", "result": "QUJD", "status": "completed"}
        request = read(HI, made, made | {"output_format": "webp"}, made | {"result": None})
        assert request.turns[1:] == [assistant(Media("image/png", data="QUJD"), Media("image/webp", data="QUJD"))]


class TestCalls:
    def test_results_are_one_turn_in_the_order_of_the_calls(self) -> None:
        request = read(
            HI, said("a"), call("1"), call("2", "g", '{"a": 1}'), output("2", "two"), output("1", '{"b": 2}')
        )
        assert request.turns[1:] == [
            assistant(Text("a"), ToolCall("1", "f", {}), ToolCall("2", "g", {"a": 1})),
            user(ToolResult("1", "f", {"b": 2}), ToolResult("2", "g", "two")),
        ]

    def test_one_after_the_other(self) -> None:
        request = read(HI, call("1"), output("1"), call("1", "g"), output("1", "y"), HI)
        assert request.turns[1:] == [
            assistant(ToolCall("1", "f", {})),
            user(ToolResult("1", "f", "x")),
            assistant(ToolCall("1", "g", {})),
            user(ToolResult("1", "g", "y"), Text("Hi")),
        ]

    def test_something_between_a_call_and_its_result(self) -> None:
        request = read(HI, call("1"), call("2"), output("1"), HI, output("2"))
        assert request.turns[2:] == [user(ToolResult("1", "f", "x"), ToolResult("2", "f", "x"), Text("Hi"))]

    def test_a_result_with_media(self) -> None:
        parts = [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "gs://b/o.png"}]
        request = read(HI, call(), output(output=parts))
        assert request.turns[2:] == [user(ToolResult("c", "f", "a", [Media("image/png", uri="gs://b/o.png")]))]

    @pytest.mark.parametrize(
        ("items", "param"),
        [
            ([HI, call()], "input[1]"),
            ([HI, call("1"), call("2"), output("1"), HI], "input[2]"),
            ([HI, output()], "input[1].call_id"),
            ([HI, output(), call(), output()], "input[1].call_id"),
            ([HI, call(), output(), output()], "input[3].call_id"),
            ([HI, call(), call(), output(), output()], "input[2].call_id"),
            ([HI, call(arguments="[]"), output()], "input[1].arguments"),
            ([HI, call(arguments="{"), output()], "input[1].arguments"),
            ([HI, call(), output(output=[{"type": "input_file", "file_id": "x"}])], "input[2].output[0].file_id"),
        ],
    )
    def test_what_does_not_belong_together(self, items: list[Json], param: str) -> None:
        assert refused(*items) == param


class TestSignatures:
    @pytest.mark.parametrize(
        ("items", "parts"),
        [
            ([reasoning("google:c2lnbmVk", "hm"), said("a")], [Text("a", SIGNATURE)]),
            ([said("a"), reasoning("google:c2lnbmVk")], [Text("a"), Text("", SIGNATURE)]),
            ([reasoning("google:b25l"), reasoning("google:c2lnbmVk"), said("a")], None),
            ([reasoning("google:c2lnbmVk"), call(), output()], [ToolCall("c", "f", {}, SIGNATURE)]),
            # What is in the id is surely its own.
            ([reasoning("google:b25l"), call("c__thought__c2lnbmVk"), output()], [ToolCall("c", "f", {}, SIGNATURE)]),
            ([call("c__thought__c2lnbmVk"), output("c__thought__c2lnbmVk")], [ToolCall("c", "f", {}, SIGNATURE)]),
            (
                [
                    reasoning("google:c2lnbmVk"),
                    {"type": "image_generation_call", "result": "QUJD"},
                ],
                [Media("image/png", data="QUJD", signature=SIGNATURE)],
            ),
            (
                [reasoning("anthropic:Y2xhdWRl", "h", "m"), said("a")],
                [Thought("hm", CLAUDES), Text("a")],
            ),
            ([reasoning("anthropic:Y2xhdWRl")], [Thought("", CLAUDES)]),
        ],
    )
    def test_taken_back(self, items: list[Json], parts: list[Part] | None) -> None:
        expected = parts or [Text("", Signature("google", "b25l")), Text("a", SIGNATURE)]
        assert read(HI, *items).turns[1] == assistant(*expected)

    @pytest.mark.parametrize(
        "parts",
        [
            [Text("a"), Text("", SIGNATURE)],
            [Text("a"), Text("b", SIGNATURE)],
            [Text("a", SIGNATURE), ToolCall("c", "f", {}, SIGNATURE), ToolCall("d", "f", {"a": 1})],
            [ToolCall("c", "f", {}), Text("a"), Media("image/png", data="QUJD", signature=SIGNATURE)],
            [Thought("hm", CLAUDES), Thought("", CLAUDES), Text("a"), Thought("so", CLAUDES), ToolCall("c", "f", {})],
            [Text("", Signature("google", "b25l")), Text("", SIGNATURE)],
        ],
    )
    def test_there_and_back(self, parts: list[Part]) -> None:
        written = write_answer(Answer(choices=[Choice(0, parts)]), "m", {"include": SEALED})
        results = [output(item["call_id"]) for item in items_of(written) if item["type"] == "function_call"]
        assert read(HI, *items_of(written), *results).turns[1] == assistant(*parts)

    @pytest.mark.parametrize("include", [None, [], ["message.output_text.logprobs"]])
    def test_who_did_not_ask_gets_them_with_calls_only(self, include: object) -> None:
        parts: list[Part] = [
            Thought("", SIGNATURE),
            Text("a"),
            Text("b", SIGNATURE),
            ToolCall("c", "f", {}, SIGNATURE),
        ]
        written = write_answer(Answer(choices=[Choice(0, parts)]), "m", {"include": include})
        assert [item["type"] for item in items_of(written)] == ["message", "function_call"]
        assert "encrypted_content" not in json.dumps(written)
        assert items_of(written)[1]["call_id"] == "c__thought__c2lnbmVk"

    def test_the_thoughts_before_a_call_carry_its_signature(self) -> None:
        parts: list[Part] = [Thought("h"), Thought("m"), ToolCall("c", "f", {}, SIGNATURE)]
        thought, called = items_of(write_answer(Answer(choices=[Choice(0, parts)]), "m", {"include": SEALED}))
        assert thought["summary"] == [{"type": "summary_text", "text": "hm"}]
        assert thought["encrypted_content"] == "google:c2lnbmVk"
        assert called["type"] == "function_call"


class TestTools:
    def test_functions(self) -> None:
        schema: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
        request = read(tools=[tool(description="d", parameters=schema, strict=True), tool("g")])
        assert request.functions == [Function("f", "d", schema), Function("g")]

    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            ("web_search", "googleSearch"),
            ("web_search_2025_08_26", "googleSearch"),
            ("web_search_preview", "googleSearch"),
            ("web_search_preview_2025_03_11", "googleSearch"),
            ("code_interpreter", "codeExecution"),
            ("url_context", "urlContext"),
        ],
    )
    def test_tools_of_the_service(self, kind: str, name: str) -> None:
        request = read(tools=[tool(), {"type": kind}])
        assert (request.server_tools, request.modalities) == ({name: "tools[1]"}, None)

    def test_images(self) -> None:
        request = read(tools=[{"type": "image_generation", "size": "auto"}])
        assert (request.modalities, request.server_tools, request.notes.dropped) == (["text", "image"], {}, [])

    def test_options_of_tools_are_named(self) -> None:
        searched = {"type": "web_search", "filters": {"allowed_domains": ["h"]}, "user_location": None}
        request = read(
            tools=[
                searched,
                {"type": "code_interpreter", "container": {"type": "auto"}},
                {"type": "image_generation", "size": "1x1"},
            ]
        )
        assert request.notes.dropped == ["tools[0].filters", "tools[2].size"]

    @pytest.mark.parametrize(
        ("tools", "param"),
        [
            ([{"type": "file_search", "vector_store_ids": ["v"]}], "tools[0].type"),
            ([tool(), {"type": "mcp", "server_label": "x"}], "tools[1].type"),
            ([{"type": "computer_use_preview"}], "tools[0].type"),
            ([{"type": "local_shell"}], "tools[0].type"),
            ([{"type": "custom", "name": "x"}], "tools[0].type"),
            ([{"type": "unheard_of"}], "tools[0]"),
            ([{}], "tools[0]"),
            ([tool(), tool()], "tools"),
            ([{"type": "function", "function": {"name": "f"}}], "tools[0].name"),
            ([tool(parameters={"maximum": float("inf")})], "tools"),
        ],
    )
    def test_what_is_no_tool(self, tools: list[Json], param: str) -> None:
        assert refused(tools=tools) == param

    @pytest.mark.parametrize(
        ("choice", "expected", "others", "dropped"),
        [
            ("auto", ToolChoice("auto"), True, []),
            ("required", ToolChoice("required"), True, []),
            ("none", ToolChoice("none"), False, []),
            ({"type": "function", "name": "f"}, ToolChoice("required", ["f"]), True, []),
            (
                {"type": "allowed_tools", "mode": "required", "tools": [tool(), {"type": "web_search"}]},
                ToolChoice("required", ["f"]),
                True,
                [],
            ),
            (
                {"type": "allowed_tools", "mode": "auto", "tools": [tool()]},
                ToolChoice("auto", ["f"]),
                False,
                [],
            ),
            (
                {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]},
                ToolChoice("none"),
                True,
                [],
            ),
            ({"type": "web_search"}, None, True, ["tool_choice"]),
        ],
    )
    def test_choices(self, choice: object, expected: ToolChoice | None, others: bool, dropped: list[str]) -> None:
        request = read(tools=[tool(), {"type": "web_search"}], tool_choice=choice)
        assert request.tool_choice == expected
        assert bool(request.server_tools) == others
        assert request.notes.dropped == dropped

    def test_a_choice_among_nothing(self) -> None:
        assert read(tools=[{"type": "web_search"}], tool_choice="required").notes.dropped == ["tool_choice"]

    @pytest.mark.parametrize(
        ("choice", "param"),
        [
            ("any", "tool_choice"),
            ({"type": "function"}, "tool_choice.name"),
            ({"type": "function", "name": "g"}, "tool_choice"),
            ({"type": "allowed_tools", "mode": "auto", "tools": [tool("g")]}, "tool_choice"),
            ({"type": "file_search"}, "tool_choice.type"),
            ({"name": "f"}, "tool_choice.type"),
        ],
    )
    def test_what_is_no_choice(self, choice: object, param: str) -> None:
        assert refused(tools=[tool()], tool_choice=choice) == param


class TestParameters:
    def test_those_with_a_target(self) -> None:
        request = read(
            temperature=0,
            top_p=0.5,
            top_k=3,
            seed=7,
            stop="x",
            max_output_tokens=5,
            service_tier="flex",
            stream=True,
            project_id="p",
            region="l",
            labels={"a": "b"},
            extra_body={"google": {"thinking_config": {"include_thoughts": True}}},
        )
        assert (request.temperature, request.top_p, request.top_k, request.seed) == (0, 0.5, 3, 7)
        assert (request.stop, request.max_tokens, request.service_tier, request.stream) == (["x"], 5, "flex", True)
        assert (request.project, request.location, request.notes.dropped) == ("p", "l", [])
        assert request.google
        assert request.google.request == {"labels": {"a": "b"}}
        assert request.google.generation_config == {"thinkingConfig": {"includeThoughts": True}}

    @pytest.mark.parametrize(
        ("members", "expected"),
        [
            ({}, (False, None)),
            ({"include": ["message.output_text.logprobs"]}, (True, None)),
            ({"top_logprobs": 3}, (True, 3)),
            ({"top_logprobs": 0}, (False, 0)),
        ],
    )
    def test_logprobs(self, members: Json, expected: object) -> None:
        request = read(**members)
        assert (request.logprobs, request.top_logprobs) == expected

    def test_the_newer_word_for_a_tier(self) -> None:
        assert read(service_tier="fast").service_tier == "priority"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (None, None),
            ({}, None),
            ({"format": {"type": "text"}}, None),
            ({"format": {"type": "json_object"}}, Format(None, "text.format")),
            (
                {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
                Format({"type": "object"}, "text.format"),
            ),
        ],
    )
    def test_formats(self, text: object, expected: Format | None) -> None:
        assert read(text=text).format == expected

    def test_a_format_that_is_an_instruction_goes_by_the_clients_name(self) -> None:
        body = {"model": "gemini-2.5-flash", "input": "x", "tools": [tool()]}
        request = read_request(body | {"text": {"format": {"type": "json_object"}}})
        assert write_for_gemini(request).notes.assumed == ["text.format=instruction"]

    @pytest.mark.parametrize(
        ("reasoning", "expected"),
        [
            (None, None),
            ({}, None),
            ({"effort": "low"}, Thinking("low", param="reasoning")),
            ({"effort": "xhigh", "summary": "auto"}, Thinking("high", include=True, param="reasoning")),
            ({"summary": "detailed"}, Thinking(include=True, param="reasoning")),
            ({"generate_summary": "concise"}, Thinking(include=True, param="reasoning")),
        ],
    )
    def test_thinking(self, reasoning: object, expected: Thinking | None) -> None:
        assert read(reasoning=reasoning).thinking == expected

    @pytest.mark.parametrize(
        ("members", "dropped"),
        [
            ({"metadata": {"a": "b"}, "user": "u", "safety_identifier": "s", "prompt_cache_key": "k"}, []),
            ({"store": False, "truncation": "disabled", "stream_options": {"include_obfuscation": False}}, []),
            ({"background": False, "previous_response_id": None, "parallel_tool_calls": True}, []),
            ({"store": True}, ["store"]),
            ({"truncation": "auto"}, ["truncation"]),
            ({"text": {"verbosity": "low"}}, ["text.verbosity"]),
            ({"reasoning": {"effort": "low", "mode": "pro"}}, ["reasoning.mode"]),
            ({"parallel_tool_calls": False, "max_tool_calls": 2}, ["max_tool_calls"]),
            ({"include": [*SEALED, "file_search_call.results"]}, ["include[1]"]),
            ({"n": 2}, ["n"]),
        ],
    )
    def test_what_has_no_target_is_named(self, members: Json, dropped: list[str]) -> None:
        assert read(**members).notes.dropped == dropped

    @pytest.mark.parametrize(
        ("members", "param"),
        [
            ({"previous_response_id": "resp_1"}, "previous_response_id"),
            ({"conversation": "conv_1"}, "conversation"),
            ({"conversation": {"id": "conv_1"}}, "conversation"),
            ({"prompt": {"id": "pmpt_1"}}, "prompt"),
            ({"background": True}, "background"),
            ({"max_output_tokens": 0}, "max_output_tokens"),
            ({"temperature": 3}, "temperature"),
            ({"reasoning": {"effort": "much"}}, "reasoning.effort"),
            ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
            ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
            ({"metadata": {"a": 1}}, "metadata.a"),
            ({"model": ""}, "model"),
        ],
    )
    def test_what_is_refused(self, members: Json, param: str) -> None:
        assert refused(**members) == param


parts = (
    exactly(type=st.just("input_text"), text=st.text(max_size=12))
    | exactly(maybe(detail=st.sampled_from(["auto", "high"])), type=st.just("input_image"), image_url=chats.urls)
    | exactly(maybe(filename=st.just("a.csv")), type=st.just("input_file"), file_data=chats.encoded)
)

contents = chats.contents | st.lists(parts, max_size=3)

sealed = chats.encoded.map(lambda value: f"google:{value}") | chats.encoded.map(lambda value: f"anthropic:{value}")

items = (
    exactly(maybe(type=st.just("message")), role=st.sampled_from(["user", "assistant"]), content=contents)
    | exactly(role=st.sampled_from(["system", "developer"]), content=chats.instructions)
    | st.builds(reasoning, st.none() | chats.words | sealed, chats.words)
    | exactly(type=st.just("image_generation_call"), result=st.none() | chats.encoded)
    | exactly(type=st.sampled_from(sorted(SKIPPED)))
)


@st.composite
def rounds(draw: st.DrawFn) -> list[Json]:
    """Calls in parallel, with something between them, and their results in any order."""
    ids = [f"call_{number}" for number in range(draw(st.integers(1, 3)))]
    ids = [id + draw(st.just("") | chats.encoded.map(lambda value: f"__thought__{value}")) for id in ids]
    called: list[Json] = []
    for id in ids:
        called += draw(st.lists(st.builds(reasoning, sealed), max_size=1))
        called.append(call(id, draw(chats.names), draw(chats.objects.map(json.dumps))))
    return called + [output(id, draw(chats.results)) for id in draw(st.permutations(ids))]


histories = st.builds(
    lambda first, more: [first, *(item for part in more for item in part)],
    exactly(role=st.just("user"), content=chats.words),
    st.lists(st.lists(items, min_size=1, max_size=1) | rounds(), max_size=4),
)


@st.composite
def toolboxes(draw: st.DrawFn) -> Json:
    tools = [
        tool(f"f{number}", **draw(maybe(parameters=chats.object_schemas))) for number in range(draw(st.integers(0, 2)))
    ]
    hosted = draw(st.lists(st.sampled_from([{"type": "web_search"}, {"type": "image_generation"}]), max_size=2))
    choices: list[Any] = ["none", "auto", "required", *tools, *hosted]
    choices += [{"type": "allowed_tools", "mode": "auto", "tools": [*tools, *hosted]}]
    return {"tools": [*tools, *hosted], "tool_choice": draw(st.sampled_from(choices))}


requests: st.SearchStrategy[Json] = st.builds(
    lambda request, toolbox, options: {**options, **toolbox, **request},
    exactly(model=st.sampled_from(chats.MODELS), input=chats.words | histories),
    st.just({}) | toolboxes(),
    maybe(
        instructions=st.text(max_size=9),
        temperature=st.floats(0, 2),
        max_output_tokens=st.integers(1, 99),
        top_logprobs=st.integers(0, 20),
        include=st.lists(st.sampled_from([*SEALED, "message.output_text.logprobs"])),
        text=exactly(format=exactly(type=st.sampled_from(["text", "json_object"])))
        | exactly(format=exactly(type=st.just("json_schema"), name=chats.names, schema=chats.object_schemas)),
        reasoning=maybe(effort=st.sampled_from(["none", "low", "max"]), summary=st.just("auto")),
        google=chats.google,
        seed=st.integers(),
        stream=st.booleans(),
    ),
)


@st.composite
def half_valid(draw: st.DrawFn) -> Json:
    return chats.spoiled(draw, draw(requests), "input")


@given(requests)
def test_any_request(body: Json) -> None:
    before = json.dumps(body)
    check(write_for_gemini(read_request(body)).body)
    assert json.dumps(body) == before


@given(half_valid())
def test_any_request_nearly_right(body: Json) -> None:
    try:
        request = read_request(body)
        check(write_for_gemini(request).body)
    except InvalidRequest:
        return
    json.dumps(write_answer(Answer(), request.model, body), allow_nan=False)


@given(st.dictionaries(st.text(), json_values))
def test_any_json(body: Json) -> None:
    with pytest.raises(InvalidRequest):
        read_request(body)
