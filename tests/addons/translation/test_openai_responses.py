import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Failure
from addons.translation.conversation import Finish
from addons.translation.conversation import Format
from addons.translation.conversation import Function
from addons.translation.conversation import InvalidRequest
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import Thought
from addons.translation.conversation import TokenLogprob
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.conversation import Usage
from addons.translation.gemini.read_answer import AnswerReader as GeminiReader
from addons.translation.gemini.write_request import write_request as write_for_gemini
from addons.translation.openai_responses import SKIPPED
from addons.translation.openai_responses import StreamWriter
from addons.translation.openai_responses import read_request
from addons.translation.openai_responses import write_answer
from tests.addons.translation import chats
from tests.addons.translation.chats import check
from tests.addons.translation.chats import exactly
from tests.addons.translation.chats import maybe
from tests.addons.translation.gemini.examples import documents
from tests.metering.test_json_array import json_values

Json = dict[str, Any]

HI = {"role": "user", "content": "Hi"}
SEALED = ["reasoning.encrypted_content"]
SIGNATURE = Signature("google", "c2lnbmVk")
CLAUDES = Signature("anthropic", "Y2xhdWRl")


def read(*items: object, **members: object) -> Request:
    return read_request({"model": "gemini-3-flash-preview", "input": [*items] or [HI], **members})


def refused(*items: object, **members: object) -> str | None:
    """Which member is wrong."""
    with pytest.raises(InvalidRequest) as caught:
        read(*items, **members)
    assert (caught.value.status, bool(caught.value.message)) == (400, True)
    return caught.value.param


def user(*parts: Part) -> Turn:
    return Turn("user", [*parts])


def assistant(*parts: Part) -> Turn:
    return Turn("assistant", [*parts])


def message(*parts: object, role: str = "user") -> Json:
    return {"type": "message", "role": role, "content": [*parts]}


def said(text: str) -> Json:
    part: Json = {"type": "output_text", "text": text, "annotations": [], "logprobs": None}
    return {"id": "msg_1", "status": "completed", **message(part, role="assistant")}


def call(id: str = "c", name: str = "f", arguments: str = "{}") -> Json:
    return {"type": "function_call", "id": "fc_1", "call_id": id, "name": name, "arguments": arguments}


def output(id: str = "c", output: object = "x") -> Json:
    return {"type": "function_call_output", "call_id": id, "output": output}


def reasoning(encrypted: object = None, *summary: str) -> Json:
    texts = [{"type": "summary_text", "text": text} for text in summary]
    return {"type": "reasoning", "id": "rs_1", "summary": texts, "encrypted_content": encrypted, "content": None}


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


def tool(name: str = "f", **members: object) -> Json:
    return {"type": "function", "name": name, **members}


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

    def test_a_format_that_is_dropped_goes_by_the_clients_name(self) -> None:
        body = {"model": "gemini-2.5-flash", "input": "x", "tools": [tool()]}
        request = read_request(body | {"text": {"format": {"type": "json_object"}}})
        assert write_for_gemini(request).notes.dropped == ["text.format"]

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


# Any request

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


# Answers


def items_of(response: Json) -> list[Json]:
    output = response["output"]
    assert isinstance(output, list)
    return output


def told(*parts: Part, finish: Finish | None = Finish.STOP, body: Json | None = None, **members: Any) -> Json:
    return write_answer(Answer("r", "served", [Choice(0, [*parts], finish, **members)]), "asked", body or {})


def without(item: Json, *names: str) -> Json:
    return {name: value for name, value in item.items() if name not in names}


def test_an_answer() -> None:
    answer = Answer("r", "served", [Choice(0, [Text("Hel"), Text("lo")])], Usage(5, 7, 1, 2), "flex")
    response = write_answer(answer, "asked", {})
    assert (response["id"], response["object"], response["model"]) == ("resp_r", "response", "served")
    assert (response["status"], response["error"], response["incomplete_details"]) == ("completed", None, None)
    assert 0 <= response["completed_at"] - response["created_at"] <= 60  # type: ignore[operator]
    assert response["service_tier"] == "flex"
    assert response["usage"] == {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 12,
    }
    [item] = items_of(response)
    assert item["id"].startswith("msg_")
    assert without(item, "id") == {
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}],
    }


def test_what_is_unknown() -> None:
    response = write_answer(Answer(), "asked", {})
    assert (response["model"], response["usage"], response["service_tier"]) == ("asked", None, None)
    assert (response["status"], response["output"]) == ("completed", [])


def test_only_one_choice() -> None:
    response = write_answer(Answer(choices=[Choice(1, [Text("b")]), Choice(0, [Text("a")])]), "m", {})
    assert [item["content"][0]["text"] for item in items_of(response)] == ["a"]


def test_items_are_in_the_order_of_the_parts() -> None:
    response = told(
        Text("a"),
        Thought("h"),
        Thought("m"),
        ToolCall("c", "f", {"a": "ü"}),
        Text("b"),
        Media("image/webp", data="QUJD"),
    )
    *_, thought, called, _, image = items_of(response)
    assert [item["type"] for item in items_of(response)] == [
        "message",
        "reasoning",
        "function_call",
        "message",
        "image_generation_call",
    ]
    assert without(thought, "id") == {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
    assert without(called, "id") == {
        "type": "function_call",
        "status": "completed",
        "call_id": "c",
        "name": "f",
        "arguments": '{"a": "ü"}',
    }
    assert without(image, "id") == {
        "type": "image_generation_call",
        "status": "completed",
        "result": "QUJD",
        "output_format": "webp",
    }
    prefixes = [item["id"].partition("_")[0] for item in items_of(response)]
    assert prefixes == ["msg", "rs", "fc", "msg", "ig"]


@pytest.mark.parametrize(
    "part", [Media("audio/wav", data="QUJD"), Media("image/png", uri="gs://b/o.png"), Text(""), Thought("")]
)
def test_what_has_no_place(part: Part) -> None:
    assert told(part)["output"] == []


def test_calls_without_an_id_get_one() -> None:
    one, other = items_of(told(ToolCall(None, "f", {}), ToolCall(None, "f", {})))
    assert one["call_id"].startswith("call_")
    assert one["call_id"] != other["call_id"]


@pytest.mark.parametrize(
    ("finish", "status", "reason", "item_status"),
    [
        (Finish.STOP, "completed", None, "completed"),
        (Finish.TOOL_CALLS, "completed", None, "completed"),
        (None, "completed", None, "completed"),
        (Finish.LENGTH, "incomplete", {"reason": "max_output_tokens"}, "incomplete"),
        (Finish.CONTENT_FILTER, "incomplete", {"reason": "content_filter"}, "incomplete"),
    ],
)
def test_ends(finish: Finish | None, status: str, reason: Json | None, item_status: str) -> None:
    response = told(Text("a"), finish=finish)
    assert (response["status"], response["incomplete_details"]) == (status, reason)
    assert items_of(response)[0]["status"] == item_status
    assert ("completed_at" in response) == (status == "completed")


def test_a_refusal() -> None:
    [item] = items_of(told(finish=Finish.CONTENT_FILTER, refusal="why"))
    assert item["content"] == [{"type": "refusal", "refusal": "why"}]


def test_citations_count_in_their_own_message() -> None:
    citations = [Citation(0, 2, "u", "t"), Citation(4, 6, "v", "w"), Citation(2, 5, "x", "y")]
    response = told(Text("abc"), ToolCall("c", "f", {}), Text("def"), citations=citations)
    first, _, second = items_of(response)
    assert first["content"][0]["annotations"] == [
        {"type": "url_citation", "start_index": 0, "end_index": 2, "url": "u", "title": "t"},
        {"type": "url_citation", "start_index": 2, "end_index": 3, "url": "x", "title": "y"},
    ]
    assert second["content"][0]["annotations"] == [
        {"type": "url_citation", "start_index": 1, "end_index": 3, "url": "v", "title": "w"}
    ]


def test_searches_are_before_what_was_found() -> None:
    search, found = items_of(told(Text("a"), searches=["p", "q"]))
    assert without(search, "id") == {
        "type": "web_search_call",
        "status": "completed",
        "action": {"type": "search", "query": "p", "queries": ["p", "q"]},
    }
    assert found["type"] == "message"


def test_logprobs() -> None:
    tokens = [TokenLogprob("ü", -0.5, [TokenLogprob("u", float("-inf"), [])])]
    [item] = items_of(told(Text("ü"), logprobs=tokens))
    assert item["content"][0]["logprobs"] == [
        {
            "token": "ü",
            "logprob": -0.5,
            "bytes": [195, 188],
            "top_logprobs": [{"token": "u", "logprob": -9999.0, "bytes": [117]}],
        }
    ]


def test_what_a_response_says_of_its_request() -> None:
    function = tool(parameters={"type": "object"})
    body: Json = {
        "instructions": "i",
        "metadata": {"a": "b"},
        "temperature": 0,
        "top_p": 0.5,
        "max_output_tokens": 9,
        "parallel_tool_calls": False,
        "tools": [function, {"type": "web_search"}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "reasoning": {"effort": "max", "generate_summary": "auto"},
        "top_logprobs": 2,
        "user": "u",
        "store": True,
        "truncation": "auto",
    }
    response = told(Text("a"), body=body)
    same = ("instructions", "metadata", "temperature", "top_p", "max_output_tokens", "parallel_tool_calls", "user")
    assert {name: response[name] for name in same} == {name: body[name] for name in same}
    assert response["tools"] == [{"description": None, "strict": False, **function}, {"type": "web_search"}]
    assert (response["tool_choice"], response["text"]) == (body["tool_choice"], {"format": {"type": "json_object"}})
    assert response["reasoning"] == {"effort": "high", "summary": "auto"}
    assert (response["store"], response["truncation"], response["top_logprobs"]) == (False, "disabled", 2)


@pytest.mark.parametrize(
    ("choice", "echo"),
    [
        (None, "auto"),
        ("required", "required"),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": []},
            {"type": "allowed_tools", "mode": "auto", "tools": []},
        ),
        # It is not kept.
        ({"type": "web_search"}, "auto"),
    ],
)
def test_what_a_response_says_of_a_choice(choice: object, echo: object) -> None:
    assert told(body={"tool_choice": choice})["tool_choice"] == echo


def test_what_a_response_says_of_a_request_that_said_little() -> None:
    response = told(Text("a"))
    expected: Json = {
        "instructions": None,
        "metadata": {},
        "temperature": None,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "tools": [],
        "tool_choice": "auto",
        "text": {"format": {"type": "text"}},
        "reasoning": {"effort": None, "summary": None},
        "background": False,
    }
    assert {name: response[name] for name in expected} == expected


# Streams


class Stream:
    """What a client reads of a stream."""

    def __init__(self, body: Json | None = None) -> None:
        self.writer = StreamWriter("asked", body or {})
        self.sent = b""

    def write(self, *answers: Answer) -> "Stream":
        for answer in answers:
            self.sent += self.writer.write(answer)
        return self

    def end(self) -> "Stream":
        self.sent += self.writer.end()
        return self

    def fail(self, status: int = 503) -> "Stream":
        self.sent += self.writer.fail(Failure(status, "gone", "UNAVAILABLE"))
        return self

    @property
    def events(self) -> list[Json]:
        events: list[Json] = []
        for piece in self.sent.split(b"\n\n")[:-1]:
            name, data = piece.split(b"\n")
            event = json.loads(data.removeprefix(b"data: "))
            assert name.decode() == f"event: {event['type']}"
            assert event["sequence_number"] == len(events)
            events.append(event)
        return events

    @property
    def types(self) -> list[str]:
        return [event["type"].removeprefix("response.") for event in self.events]


def piece(*parts: Part, finish: Finish | None = None, **members: Any) -> Answer:
    return Answer("r", "served", [Choice(0, [*parts], finish, **members)])


BEGIN = ["created", "in_progress"]
TEXT_BEGIN = ["output_item.added", "content_part.added"]
TEXT_END = ["output_text.done", "content_part.done", "output_item.done"]
THOUGHT_BEGIN = ["output_item.added", "reasoning_summary_part.added"]
THOUGHT_END = ["reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"]
CALL = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"]


def whole(kind: str, between: str) -> list[str]:
    return [
        "output_item.added",
        *(f"{kind}.{step}" for step in ("in_progress", between, "completed")),
        "output_item.done",
    ]


@pytest.mark.parametrize(
    ("answers", "types"),
    [
        (
            [piece(Text("a")), piece(Text("b")), piece(finish=Finish.STOP)],
            [*TEXT_BEGIN, "output_text.delta", "output_text.delta", *TEXT_END, "completed"],
        ),
        (
            [piece(Thought("h")), piece(Thought("m")), piece(Text("a"), finish=Finish.LENGTH)],
            [
                *THOUGHT_BEGIN,
                "reasoning_summary_text.delta",
                "reasoning_summary_text.delta",
                *THOUGHT_END,
                *TEXT_BEGIN,
                "output_text.delta",
                *TEXT_END,
                "incomplete",
            ],
        ),
        (
            [piece(ToolCall("c", "f", {})), piece(ToolCall("d", "f", {}), finish=Finish.STOP)],
            [*CALL, *CALL, "completed"],
        ),
        (
            [piece(Media("image/png", data="QUJD"), finish=Finish.STOP)],
            [*whole("image_generation_call", "generating"), "completed"],
        ),
        (
            # What came at the end does not cut the text.
            [piece(Text("a"), searches=["q"]), piece(Text("b")), piece(searches=["r"], finish=Finish.STOP)],
            [
                *whole("web_search_call", "searching"),
                *TEXT_BEGIN,
                "output_text.delta",
                "output_text.delta",
                *TEXT_END,
                *whole("web_search_call", "searching"),
                "completed",
            ],
        ),
        (
            [piece(Text("a")), piece(citations=[Citation(0, 1, "u", "t")], finish=Finish.STOP)],
            [*TEXT_BEGIN, "output_text.delta", "output_text.annotation.added", *TEXT_END, "completed"],
        ),
        (
            [piece(refusal="no", finish=Finish.CONTENT_FILTER)],
            [*TEXT_BEGIN, "refusal.delta", "refusal.done", "content_part.done", "output_item.done", "incomplete"],
        ),
        ([piece(finish=Finish.STOP)], ["completed"]),
        ([piece(Text("", SIGNATURE), Thought("", SIGNATURE), finish=Finish.STOP)], ["completed"]),
    ],
)
def test_events(answers: list[Answer], types: list[str]) -> None:
    stream = Stream().write(*answers).end()
    assert stream.types == [*BEGIN, *types]
    assert not stream.writer.failed


def test_a_signature_at_the_end_waits_for_citations() -> None:
    stream = Stream({"include": SEALED}).write(
        piece(Text("a")),
        piece(Text("", SIGNATURE), citations=[Citation(0, 1, "u", "t")]),
        piece(finish=Finish.STOP),
    )
    stream.end()
    message, carrier = items_of(stream.events[-1]["response"])
    assert stream.types[5] == "output_text.annotation.added"
    assert (len(message["content"][0]["annotations"]), carrier["encrypted_content"]) == (1, "google:c2lnbmVk")


def test_nothing_waits() -> None:
    stream = Stream()
    for count, text in enumerate(["a", "b", "c"], 1):
        stream.write(piece(Text(text)))
        assert stream.types.count("output_text.delta") == count
        assert stream.types[-1] == "output_text.delta"
    stream.write(piece(Text("d"), ToolCall("c", "f", {})))
    assert stream.types[-1] == "output_item.done"


def test_the_first_and_the_last_event() -> None:
    answer = piece(Text("a"), finish=Finish.STOP)
    answer.usage = Usage(1, 2)
    first, second, *_, last = Stream({"instructions": "i"}).write(answer).end().events
    for event in (first, second):
        assert (event["response"]["status"], event["response"]["output"]) == ("in_progress", [])
        assert (event["response"]["usage"], event["response"]["instructions"]) == (None, "i")
    assert last["response"]["usage"]["total_tokens"] == 3
    assert {event["response"]["id"] for event in (first, second, last)} == {"resp_r"}


@pytest.mark.parametrize("answers", [[], [Answer()], [piece(Text("a"))], [piece(Thought("h"))]])
def test_an_end_before_the_end_is_an_error(answers: list[Answer]) -> None:
    stream = Stream().write(*answers).end()
    assert stream.types[:2] == BEGIN
    assert stream.types[-1] == "failed"
    assert not any(name.endswith((".done", "completed")) for name in stream.types)
    assert stream.events[-1]["response"]["error"]["code"] == "server_error"
    assert stream.writer.failed


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "rate_limit_exceeded"), (400, "invalid_prompt"), (403, "server_error"), (503, "server_error")],
)
def test_a_failure(status: int, code: str) -> None:
    stream = Stream().write(piece(Text("a"), finish=Finish.STOP)).fail(status)
    response = stream.events[-1]["response"]
    assert (response["status"], response["error"]) == ("failed", {"code": code, "message": "gone"})
    [item] = response["output"]
    assert (item["status"], item["content"][0]["text"]) == ("incomplete", "a")


def test_nothing_after_a_failure() -> None:
    stream = Stream().fail()
    sent = stream.sent
    assert stream.types == [*BEGIN, "failed"]
    assert stream.write(piece(Text("b"), finish=Finish.STOP)).end().fail().sent == sent


def test_nothing_after_the_end() -> None:
    stream = Stream().write(piece(Text("a"), finish=Finish.STOP)).end()
    sent = stream.sent
    assert stream.write(piece(Text("b"))).end().fail().sent == sent
    assert not stream.writer.failed


def rebuilt(events: list[Json]) -> list[Json]:
    """The items, as a client makes them of the deltas; what `done` says must be the same."""
    output: list[Json] = []
    ended: set[int] = set()
    for event in events:
        kind, _, step = event["type"].removeprefix("response.").rpartition(".")
        if "output_index" not in event:
            continue
        index = event["output_index"]
        if kind == "output_item" and step == "added":
            assert index == len(output)
            output.append(event["item"])
            continue
        item = output[index]
        assert index not in ended or kind == "output_text.annotation"
        assert event.get("item_id", item["id"]) == item["id"]
        number: Any = event.get("content_index", event.get("summary_index"))
        parts: Any = item.get("content", item.get("summary"))
        match kind, step:
            case "output_item", "done":
                ended.add(index)
                item |= {name: event["item"][name] for name in ("status", "encrypted_content") if name in event["item"]}
                item |= {name: event["item"][name] for name in ("result", "output_format") if name in event["item"]}
                assert event["item"] == item
            case (("content_part" | "reasoning_summary_part"), "added"):
                assert number == len(parts)
                parts.append(event["part"])
            case (("content_part" | "reasoning_summary_part"), "done"):
                assert event["part"] == parts[number]
            case (("output_text" | "reasoning_summary_text"), "delta"):
                parts[number]["text"] += event["delta"]
                if kind == "output_text":
                    parts[number]["logprobs"] += event["logprobs"]
            case "refusal", "delta":
                parts[number]["refusal"] += event["delta"]
            case (("output_text" | "reasoning_summary_text"), "done"):
                assert event["text"] == parts[number]["text"]
            case "refusal", "done":
                assert event["refusal"] == parts[number]["refusal"]
            case "output_text.annotation", "added":
                assert event["annotation_index"] == len(parts[number]["annotations"])
                parts[number]["annotations"].append(event["annotation"])
            case "function_call_arguments", "delta":
                item["arguments"] += event["delta"]
            case "function_call_arguments", "done":
                assert event["arguments"] == item["arguments"]
            case (("web_search_call" | "image_generation_call"), _):
                pass
            case _:
                raise AssertionError(event["type"])
    return output


signed = st.none() | st.sampled_from([SIGNATURE, CLAUDES])
said_parts: st.SearchStrategy[Part] = (
    st.builds(Text, st.text(max_size=4), signed)
    | st.builds(Thought, st.text(max_size=4), signed)
    | st.builds(ToolCall, st.none() | chats.words, chats.words, chats.objects, signed)
    | st.builds(Media, st.sampled_from(["image/png", "audio/wav"]), data=chats.encoded, signature=signed)
)
tokens = st.builds(TokenLogprob, chats.words, st.floats(-9, 0), st.just([]))
cited = st.builds(
    lambda start, length: Citation(start, start + length, "u", "t"), st.integers(0, 12), st.integers(0, 12)
)
choices = st.builds(
    Choice,
    st.integers(0, 1),
    st.lists(said_parts, max_size=3),
    st.none() | st.sampled_from(Finish),
    citations=st.lists(cited, max_size=2),
    logprobs=st.none() | st.lists(tokens, max_size=2),
    searches=st.lists(chats.words, max_size=2),
    refusal=st.none() | chats.words,
)
answers = st.builds(
    Answer,
    st.none() | st.just("r"),
    st.none() | chats.words,
    st.lists(choices, max_size=2),
    st.none() | st.builds(Usage, st.integers(0, 9), st.none()),
)
bodies = st.sampled_from([{}, {"include": SEALED}])


@given(st.lists(answers, max_size=4), bodies)
def test_deltas_make_the_items(given_: list[Answer], body: Json) -> None:
    stream = Stream(body).write(*given_).end()
    events = stream.events
    assert [event for event in events if "response" in event] == [*events[:2], events[-1]]
    output, final = rebuilt(events), events[-1]["response"]["output"]
    if stream.writer.failed and final and "status" in final[-1]:
        output[-1]["status"] = final[-1]["status"]
    assert output == final
    assert len({item["id"] for item in final}) == len(final)


def bare(output: list[Json]) -> list[Json]:
    """Without what is made up, and without searches, whose place depends on when they come."""
    texts = json.dumps([without(item, "id") for item in output if item["type"] != "web_search_call"])
    return [without(item, "call_id") if "call_" in item.get("call_id", "") else item for item in json.loads(texts)]


@given(
    st.lists(st.builds(Choice, st.just(0), st.lists(said_parts, max_size=3)), max_size=4),
    bodies,
    st.sampled_from(Finish),
)
def test_a_stream_says_what_a_whole_answer_says(choices: list[Choice], body: Json, finish: Finish) -> None:
    together = Choice(0, [part for choice in choices for part in choice.parts], finish)
    stream = Stream(body).write(*(Answer(choices=[choice]) for choice in choices), piece(finish=finish)).end()
    final = stream.events[-1]["response"]
    written = write_answer(Answer(choices=[together]), "asked", body)
    assert bare(final["output"]) == bare(items_of(written))
    assert final["status"] == written["status"]


@given(st.lists(documents(), max_size=4))
def test_any_stream_of_gemini(events: list[object]) -> None:
    reader, stream = GeminiReader(), Stream()
    for event in events:
        stream.write(reader.read(event))
        if reader.failure:
            stream.sent += stream.writer.fail(reader.failure)
    ends = [name for name in stream.end().types if name in ("completed", "incomplete", "failed")]
    assert ends == stream.types[-1:]


@settings(max_examples=30)
@given(st.lists(said_parts, max_size=5))
def test_output_is_input(parts: list[Part]) -> None:
    """What was answered can be sent back, and then it is what a model takes."""
    named = [part for part in parts if not isinstance(part, ToolCall) or part.id is None]
    sent = items_of(write_answer(Answer(choices=[Choice(0, named)]), "m", {"include": SEALED}))
    results = [output(item["call_id"]) for item in sent if item["type"] == "function_call"]
    request = read(HI, *sent, *results)
    check(write_for_gemini(request).body)
