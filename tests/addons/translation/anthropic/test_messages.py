import base64
import json
import re
from typing import Any

import pytest

from addons.translation.anthropic.read_answer import AnswerReader
from addons.translation.anthropic.read_answer import reader_for
from addons.translation.anthropic.write_request import write_request
from addons.translation.conversation import CONTINUE
from addons.translation.conversation import Answer
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.gemini.write_request import write_request as write_gemini
from addons.translation.openai_chat.read_request import read_request
from addons.translation.openai_chat.write_answer import StreamWriter
from addons.translation.openai_chat.write_answer import write_answer
from tests.addons.translation.anthropic.bodies import ADAPTIVE
from tests.addons.translation.anthropic.bodies import ALWAYS
from tests.addons.translation.anthropic.bodies import MANUAL
from tests.addons.translation.anthropic.bodies import NUMBER
from tests.addons.translation.anthropic.bodies import OBJECT
from tests.addons.translation.anthropic.bodies import OLD
from tests.addons.translation.anthropic.bodies import STRICT
from tests.addons.translation.anthropic.bodies import UNASKED
from tests.addons.translation.anthropic.bodies import Json
from tests.addons.translation.anthropic.bodies import asked
from tests.addons.translation.anthropic.bodies import assistant
from tests.addons.translation.anthropic.bodies import called
from tests.addons.translation.anthropic.bodies import check
from tests.addons.translation.anthropic.bodies import dropped
from tests.addons.translation.anthropic.bodies import refused
from tests.addons.translation.anthropic.bodies import text
from tests.addons.translation.anthropic.bodies import user
from tests.addons.translation.anthropic.bodies import written
from tests.addons.translation.anthropic.events import STOP
from tests.addons.translation.anthropic.events import begin
from tests.addons.translation.anthropic.events import end
from tests.addons.translation.anthropic.events import message
from tests.addons.translation.anthropic.events import read
from tests.addons.translation.anthropic.events import started
from tests.addons.translation.anthropic.events import stopped
from tests.addons.translation.anthropic.events import streamed_events


def turns_of(body: Json) -> list[tuple[str, list[Any]]]:
    """Roles, and the texts of their blocks, or their types."""
    return [
        (message["role"][0], [block.get("text", block["type"]) for block in message["content"]])
        for message in body["messages"]
    ]


class TestMessages:
    @pytest.mark.parametrize(
        ("turns", "expected"),
        [
            # What is empty, or white space, is never sent; turns still alternate.
            ([user(Text("a"), Text(" \n"))], [("u", ["a"])]),
            ([user(Text("a")), assistant(Text(" ")), user(Text("b"))], [("u", ["a", "b"])]),
            ([user(Text("a")), assistant(Thought("hm")), user(Text("b"))], [("u", ["a", "b"])]),
            # Words put into its mouth, without white space behind them.
            ([user(Text("a")), assistant(Text(" b \n"))], [("u", ["a"]), ("a", [" b"])]),
            ([user(Text("a")), assistant(Text("b"), Text("\n"))], [("u", ["a"]), ("a", ["b"])]),
            ([user(Text("a")), assistant(Text("\n"))], [("u", ["a"])]),
            ([user(Text("a")), assistant(Thought("h", Signature("anthropic", "s")))], [("u", ["a"])]),
        ],
    )
    def test_turns(self, turns: list[Turn], expected: list[tuple[str, list[str]]]) -> None:
        assert turns_of(written(*turns)) == expected

    def test_the_user_begins(self) -> None:
        body, _, notes = write_request(asked(assistant(Text("a")), user(Text("b"))))
        assert turns_of(body) == [("u", ["Continue."]), ("a", ["a"]), ("u", ["b"])]
        assert "messages[0]=Continue." in notes.assumed

    def test_instructions_alone_are_what_the_user_says(self) -> None:
        body = write_request(Request(MANUAL, system=[Text("s")])).body
        assert (turns_of(body), "system" in body) == ([("u", ["s"])], False)

    @pytest.mark.parametrize("turns", [[user(Text(" "))], [assistant(Text(" "))], [user()]])
    def test_nothing(self, turns: list[Turn]) -> None:
        assert refused(*turns).param == "messages"

    @pytest.mark.parametrize("model", [ADAPTIVE, STRICT, UNASKED, ALWAYS, NUMBER])
    def test_newer_models_begin_themselves(self, model: str) -> None:
        request = Request(model, turns=[user(Text("a")), assistant(Text("b "))])
        body, _, notes = write_request(request)
        check(body, model)
        assert turns_of(body) == [("u", ["a"]), ("a", ["b"]), ("u", [CONTINUE])]
        assert f"messages[-1]={CONTINUE}" in notes.assumed
        # An empty end is none.
        body, _, notes = write_request(Request(model, turns=[user(Text("a")), assistant(Text(" "))]))
        assert (turns_of(body), f"messages[-1]={CONTINUE}" in notes.assumed) == ([("u", ["a"])], False)

    def test_thoughts_go_back_to_where_they_were(self) -> None:
        parts: list[Part] = [
            Thought("h", Signature("anthropic", "s")),
            Thought("of another", Signature("google", "AAAA")),
            Thought("unsigned"),
            Thought("", Signature("anthropic", "redacted_thinking:d")),
            Text("a", Signature("google", "AAAA")),
            Thought("i", Signature("anthropic", "t")),
            ToolCall("1", "f", {}, Signature("google", "AAAA")),
        ]
        turns = [user(Text("x")), assistant(*parts), user(ToolResult("1", "f", "r"))]
        assert written(*turns)["messages"][1]["content"] == [
            {"type": "thinking", "thinking": "h", "signature": "s"},
            {"type": "redacted_thinking", "data": "d"},
            text("a"),
            {"type": "thinking", "thinking": "i", "signature": "t"},
            {"type": "tool_use", "id": "1", "name": "f", "input": {}},
        ]
        # Who never thought cannot read them.
        assert turns_of(written(*turns, model=OLD))[1] == ("a", ["a", "tool_use"])


PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}


class TestMedia:
    @pytest.mark.parametrize(
        ("media", "expected"),
        [
            (Media("image/png", data="AAAA"), {"type": "image", "source": PNG}),
            (
                Media("image/webp", uri="https://h/a"),
                {"type": "image", "source": {"type": "url", "url": "https://h/a"}},
            ),
            (
                Media("application/pdf", data="AAAA"),
                {"type": "document", "source": {**PNG, "media_type": "application/pdf"}},
            ),
            (
                Media("application/pdf", uri="https://h/a"),
                {"type": "document", "source": {"type": "url", "url": "https://h/a"}},
            ),
            (
                Media("text/csv", data=base64.b64encode("é,1".encode()).decode()),
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é,1"}},
            ),
            (
                Media("application/json", data=base64.b64encode(b"{}\xff").decode()),
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "{}\ufffd"}},
            ),
        ],
    )
    def test_media(self, media: Media, expected: Json) -> None:
        assert written(user(media))["messages"][0]["content"] == [expected]
        result = user(ToolResult("1", "f", "t", [media]))
        content = written(user(Text("x")), assistant(ToolCall("1", "f", {})), result)["messages"][2]["content"]
        assert content == [{"type": "tool_result", "tool_use_id": "1", "content": [text("t"), expected]}]

    @pytest.mark.parametrize("mime_type", ["image/png", "image/jpeg", "image/gif", "image/webp"])
    def test_images(self, mime_type: str) -> None:
        (block,) = written(user(Media(mime_type, data="AAAA")))["messages"][0]["content"]
        assert (block["type"], block["source"]["media_type"]) == ("image", mime_type)

    @pytest.mark.parametrize(
        ("media", "word"),
        [
            (Media("image/png", uri="gs://b/o.png"), "not http:// or gs://"),
            (Media("application/pdf", uri="gs://b/o"), "not http:// or gs://"),
            (Media("image/png", uri="http://h/a"), "https://"),
            (Media("image/heic", data="AAAA"), "JPEG, PNG, GIF"),
            (Media("audio/wav", data="AAAA"), "audio/wav"),
            (Media("video/mp4", uri="https://h/a"), "by URL"),
            (Media("text/plain", uri="https://h/a.txt"), "text files inline"),
            (Media("text/plain", data="IA=="), "is empty"),
            (Media("text/plain", data="A"), "base64"),
        ],
    )
    def test_what_claude_does_not_read(self, media: Media, word: str) -> None:
        error = refused(user(Text("x"), media))
        assert (error.param, word in error.message) == ("messages", True)

    def test_media_of_the_assistant(self) -> None:
        drawn = assistant(Text("a"), Media("image/png", data="AAAA"))
        assert dropped(user(Text("x")), drawn, user(Text("y"))) == ["media"]
        assert dropped(user(Text("x")), drawn, user(Text("y")), names={"media": "input[1]"}) == ["input[1]"]

    def test_how_closely_to_look(self) -> None:
        assert dropped(user(Media("image/png", data="AAAA", detail="high"))) == ["detail"]


class TestToolCalls:
    def test_in_parallel(self) -> None:
        body = written(
            user(Text("x")),
            assistant(Text("Let me see."), ToolCall("1", "f", {"a": 0}), ToolCall("2", "g", {})),
            user(Text("And?"), ToolResult("1", "f", {"b": "é"}), ToolResult("2", "g", " ")),
        )
        assert body["messages"][1:] == [
            {"role": "assistant", "content": [text("Let me see."), called("1", a=0), called("2", "g")]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "1", "content": '{"b": "é"}'},
                    {"type": "tool_result", "tool_use_id": "2"},
                    text("And?"),
                ],
            },
        ]

    @pytest.mark.parametrize(
        ("id", "expected"),
        [
            ("toolu_01-A", "toolu_01-A"),
            ("call.1:é", r"call_1___[0-9a-f]{8}"),
            ("call.1:è", r"call_1___[0-9a-f]{8}"),
            ("", "f"),
            (None, "f"),
        ],
    )
    def test_ids(self, id: str | None, expected: str) -> None:
        turns = [user(Text("x")), assistant(ToolCall(id, "f", {})), user(ToolResult(id, "f", "r"))]
        first, again = written(*turns), written(*turns)
        assert first == again
        assert re.fullmatch(expected, first["messages"][1]["content"][0]["id"])

    def test_foreign_ids_stay_different(self) -> None:
        calls = [ToolCall(id, "f", {}) for id in ("a.b", "a:b", "a_b")]
        results = [ToolResult(id, "f", id) for id in ("a:b", "a_b", "a.b")]
        # In the order of the calls, as a reader leaves them.
        results.sort(key=lambda result: [call.id for call in calls].index(result.id))
        body = written(user(Text("x")), assistant(*calls), user(*results))
        assert [block["content"] for block in body["messages"][2]["content"]] == ["a.b", "a:b", "a_b"]

    def test_an_id_of_two_turns(self) -> None:
        turn = [assistant(ToolCall("1", "f", {})), user(ToolResult("1", "f", "r"))]
        messages = written(user(Text("x")), *turn, *turn)["messages"]
        assert [messages[place]["content"][0]["id"] for place in (1, 3)] == ["1", "1_2"]

    def test_calls_without_ids_go_by_name_and_place(self) -> None:
        calls = assistant(ToolCall(None, "f", {}), ToolCall(None, "f", {}))
        results = user(ToolResult(None, "f", "a"), ToolResult(None, "f", "b"))
        content = written(user(Text("x")), calls, results)["messages"][2]["content"]
        assert [(block["tool_use_id"], block["content"]) for block in content] == [("f", "a"), ("f_2", "b")]

    @pytest.mark.parametrize(
        "turns",
        [
            [assistant(ToolCall("1", "f", {}))],
            [assistant(ToolCall("1", "f", {})), user(Text("x"))],
            [assistant(ToolCall("1", "f", {})), user(Text("x")), user(ToolResult("1", "f", ""))],
            [assistant(ToolCall("1", "f", {})), assistant(Text("x"))],
            [user(ToolResult("1", "f", ""))],
            [assistant(ToolCall("1", "f", {})), user(ToolResult("2", "f", ""))],
            [assistant(ToolCall("1", "f", {})), user(ToolResult("1", "f", ""), ToolResult("1", "f", ""))],
        ],
    )
    def test_calls_that_do_not_hold(self, turns: list[Turn]) -> None:
        assert refused(user(Text("x")), *turns).param == "messages"


def test_from_openai_to_claude() -> None:
    request = read_request(
        {
            "model": MANUAL,
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "x"},
                {"role": "assistant", "tool_calls": [openai_call("call.1")]},
                {"role": "tool", "tool_call_id": "call.1", "content": "r"},
            ],
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "parallel_tool_calls": False,
            "user": "u",
        }
    )
    body, _, notes = write_request(request)
    check(body, MANUAL)
    assert body["metadata"] == {"user_id": "u"}
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert notes.dropped == []
    assert write_gemini(request).notes.dropped == ["parallel_tool_calls", "user"]


def openai_call(id: str, name: str = "f") -> Json:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}}


def completed(answer: Answer) -> Json:
    """The choice, in OpenAI's words."""
    choices: Any = write_answer(answer, "m")["choices"]
    (choice,) = choices
    assert isinstance(choice, dict)
    return choice


BLOCKS: list[Json] = [
    {"type": "thinking", "thinking": "hm", "signature": "sig"},
    {"type": "redacted_thinking", "data": "data"},
]


def went_round(message: Json, model: str = MANUAL) -> Request:
    messages = [
        {"role": "user", "content": "x"},
        message,
        *({"role": "tool", "tool_call_id": call["id"], "content": "r"} for call in message["tool_calls"]),
    ]
    return read_request({"model": model, "messages": messages, "reasoning_effort": "low"})


def test_thoughts_go_round_through_openai() -> None:
    (answer,) = read(message(*BLOCKS, text("a"), called("t"), stop_reason="tool_use"))
    said = completed(answer)["message"]
    assert (said["thinking_blocks"], said["reasoning_content"]) == (BLOCKS, "hm")
    # The signature is Claude's: it is not told as Google's.
    assert ("extra_content" in said, said["tool_calls"][0]["id"]) == (False, "t")
    body: Json = write_request(went_round(said)).body
    check(body, MANUAL)
    assert body["messages"][1]["content"] == [*BLOCKS, text("a"), called("t")]
    assert body["thinking"]["type"] == "enabled"
    assert "sig" not in json.dumps(write_gemini(went_round(said, "gemini-3-pro-preview")).body).replace("signature", "")


def test_thoughts_go_round_in_a_stream() -> None:
    reader, writer = AnswerReader(), StreamWriter("m", include_usage=False)
    events = [started(), *streamed_events(BLOCKS[:1], 1), begin(1, **BLOCKS[1]), end(1)]
    events += [*streamed_events([called("t")], 9), stopped("tool_use"), STOP]
    chunks = b"".join(writer.write(reader.read(event)) for event in events) + writer.end()
    deltas = [
        json.loads(line.removeprefix("data: "))["choices"][0]["delta"]
        for line in chunks.decode().split("\n\n")
        if line and "[DONE]" not in line
    ]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "hm"
    assert [block for delta in deltas for block in delta.get("thinking_blocks", [])] == BLOCKS
    assert not any("extra_content" in delta for delta in deltas)
    assert json.loads(chunks.decode().split("\n\n")[0].removeprefix("data: "))["id"] == "chatcmpl-msg_1"


def test_signatures_of_gemini_are_not_for_claude() -> None:
    call = {**openai_call("t__thought__QUJDRA=="), "extra_content": {"google": {"thought_signature": "QUJDRA=="}}}
    said = {"role": "assistant", "content": "a", "tool_calls": [call], "extra_content": call["extra_content"]}
    body: Json = write_request(went_round(said)).body
    check(body, MANUAL)
    assert body["messages"][1]["content"] == [text("a"), called("t")]


def test_an_answer_in_json_is_one_for_openai() -> None:
    format = {"type": "json_schema", "json_schema": {"name": "n", "schema": OBJECT}}
    request = read_request({"model": MANUAL, "messages": [{"role": "user", "content": "x"}], "response_format": format})
    answer = reader_for(request).read(message(called("t", "answer", a="b"), stop_reason="tool_use"))
    choice = completed(answer)
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", '{"a": "b"}')
    assert "tool_calls" not in choice["message"]
