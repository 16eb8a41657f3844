import json
from typing import Any

import pytest

from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import ClientTool
from addons.translation.conversation import Function
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.errors import InvalidRequest
from addons.translation.openai_responses.read_request import read_request
from addons.translation.openai_responses.schema import SKIPPED
from addons.translation.openai_responses.write_answer import write_answer
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

    def test_what_other_agents_say(self) -> None:
        told = [{"type": "input_text", "text": "Done."}, {"type": "input_text", "text": "Bye."}]
        sealed = {"type": "encrypted_content", "encrypted_content": "gAAAA"}
        items = [
            {"type": "agent_message", "id": "amsg_1", "author": "/root/a", "recipient": "/root", "content": told},
            {"type": "agent_message", "author": "/root/b", "recipient": "/root", "content": [sealed]},
        ]
        request = read(HI, said("a"), *items)
        assert request.turns == [user(Text("Hi")), assistant(Text("a")), user(Text("From /root/a:\nDone.\nBye."))]
        assert request.notes.dropped == ["input[3].content[0]"]

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

    def test_a_signature_does_not_break_a_message_in_two(self) -> None:
        written = write_answer(
            Answer(choices=[Choice(0, [Text("a"), Text("b", SIGNATURE), Text("c")])]), "m", {"include": SEALED}
        )
        said, sealed = items_of(written)
        assert said["content"][0]["text"] == "abc"
        assert sealed["encrypted_content"] == "google:c2lnbmVk"
        assert read(HI, *items_of(written)).turns[1] == assistant(Text("abc"), Text("", SIGNATURE))

    @pytest.mark.parametrize("part", [ToolCall("c", "f", {}), Media("image/png", data="QUJD")], ids=["call", "image"])
    def test_no_part_gets_the_signature_of_another(self, part: Part) -> None:
        """In a Response a signature stands before its part."""
        written = write_answer(
            Answer(choices=[Choice(0, [Text("a"), Text("b", SIGNATURE), part])]), "m", {"include": SEALED}
        )
        results = [output("c")] if isinstance(part, ToolCall) else []
        assert read(HI, *items_of(written), *results).turns[1] == assistant(Text("ab"), part)

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


def answered(id: str, output: object, kind: str) -> Json:
    return {"type": kind, "call_id": id, "output": output}


CALLS: list[tuple[Json, Json, str, Json, object]] = [
    (
        {"type": "function_call", "call_id": "c", "name": "wait", "namespace": "agents", "arguments": '{"a": 1}'},
        answered("c", "done", "function_call_output"),
        "agents__wait",
        {"a": 1},
        "done",
    ),
    (
        {"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": "*** Begin"},
        answered("c", "Done!", "custom_tool_call_output"),
        "apply_patch",
        {"input": "*** Begin"},
        "Done!",
    ),
    (
        {"type": "custom_tool_call", "call_id": "c", "name": "sql", "namespace": "db", "input": ""},
        answered("c", [{"type": "input_text", "text": "ok"}], "custom_tool_call_output"),
        "db__sql",
        {"input": ""},
        "ok",
    ),
    (
        {
            "type": "shell_call",
            "call_id": "c",
            "action": {"commands": ["ls"], "timeout_ms": None, "max_output_length": 9},
            "status": "completed",
        },
        answered(
            "c",
            [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
            "shell_call_output",
        ),
        "shell",
        {"commands": ["ls"], "max_output_length": 9},
        [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
    ),
    (
        {
            "type": "local_shell_call",
            "id": "lsh_1",
            "call_id": "c",
            "action": {"type": "exec", "command": ["ls"], "env": {}, "user": None},
        },
        {"type": "local_shell_call_output", "id": "c", "output": '{"out": "a"}'},
        "local_shell",
        {"command": ["ls"], "env": {}},
        {"out": "a"},
    ),
    (
        {
            "type": "local_shell_call",
            "id": "lsh_1",
            "call_id": "c",
            "action": {"type": "exec", "command": ["ls"], "env": {}},
        },
        answered("c", "a", "function_call_output"),
        "local_shell",
        {"command": ["ls"], "env": {}},
        "a",
    ),
    (
        {
            "type": "apply_patch_call",
            "call_id": "c",
            "operation": {"type": "update_file", "path": "a.py", "diff": "@@"},
        },
        {"type": "apply_patch_call_output", "call_id": "c", "status": "failed", "output": "no such file"},
        "apply_patch",
        {"type": "update_file", "path": "a.py", "diff": "@@"},
        {"status": "failed", "output": "no such file"},
    ),
    (
        {"type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": {"query": "mail"}},
        {
            "type": "tool_search_output",
            "call_id": "c",
            "tools": [{"type": "namespace", "name": "mail", "tools": [tool("send")]}, tool("post")],
        },
        "tool_search",
        {"query": "mail"},
        {"tools": ["mail__send", "post"]},
    ),
]
"""The item of a call, the item of its result, and what they are read as."""


class TestCallsOfClientTools:
    @pytest.mark.parametrize(("called", "result", "name", "arguments", "output"), CALLS)
    def test_read_back(self, called: Json, result: Json, name: str, arguments: Json, output: object) -> None:
        request = read(HI, called, result)
        assert request.turns[1:] == [
            assistant(ToolCall("c", name, arguments)),
            user(ToolResult("c", name, output)),
        ]
        signed = called | {"call_id": f"c__thought__{SIGNATURE.value}"}
        assert read(HI, signed, result).turns[1] == assistant(ToolCall("c", name, arguments, SIGNATURE))
        assert refused(HI, called) == "input[1]"
        assert refused(HI, result) == "input[1].call_id"

    def test_what_was_found_can_be_called(self) -> None:
        _, result, *_ = CALLS[-1]
        request = read(HI, CALLS[-1][0], result, tools=[{"type": "tool_search", "execution": "client"}])
        assert [function.name for function in request.functions] == ["tool_search", "mail__send", "post"]
        assert request.client_tools["mail__send"] == ClientTool("function", "send", "mail")

    def test_a_call_without_its_namespace(self) -> None:
        group: Json = {"type": "namespace", "name": "n", "tools": [tool()]}
        assert read(HI, call(), output(), tools=[group]).turns[1] == assistant(ToolCall("c", "n__f", {}))
        both = read(HI, call(), output(), tools=[group, tool()])
        assert both.turns[1] == assistant(ToolCall("c", "f", {}))
        twice = read(HI, call(), output(), tools=[group, group | {"name": "m"}])
        assert twice.turns[1] == assistant(ToolCall("c", "f", {}))

    def test_a_search_of_openais_is_left_out(self) -> None:
        searched: Json = {"type": "tool_search_call", "execution": "server", "arguments": {}, "call_id": None}
        found: Json = {"type": "tool_search_output", "execution": "server", "tools": [tool()], "call_id": None}
        request = read(HI, searched, found)
        assert (request.notes.dropped, request.functions) == (["input[1]", "input[2]"], [])

    def test_a_tool_keeps_its_name_in_the_history(self) -> None:
        tools = [tool("apply_patch"), {"type": "custom", "name": "apply_patch"}]
        request = read(HI, CALLS[1][0], CALLS[1][1], tools=tools)
        (called,) = request.turns[1].parts
        assert isinstance(called, ToolCall)
        assert called.name == request.functions[1].name != "apply_patch"


@pytest.mark.parametrize("item", [{"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}])
def test_a_reference_gets_an_error_that_names_the_cure(item: Json) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(HI, item)
    assert caught.value.param == "input[1]"
    assert "providerOptions.openai.store" in caught.value.message
    assert "openai.chat(" in caught.value.message
