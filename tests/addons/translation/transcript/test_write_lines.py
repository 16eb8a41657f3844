from typing import Any

import pytest

from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Finish
from addons.translation.conversation import Format
from addons.translation.conversation import Function
from addons.translation.conversation import Media
from addons.translation.conversation import NativeFinish
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.conversation import Usage
from addons.translation.errors import Failure
from addons.translation.transcript.write_lines import answer_lines
from addons.translation.transcript.write_lines import json_lines
from addons.translation.transcript.write_lines import request_lines
from addons.translation.transcript.write_lines import tokens_in_words


@pytest.mark.parametrize(
    ("part", "lines"),
    [
        (Text("a\nb"), ["  a", "  b"]),
        (Thought("a\nb"), ["  [thought] a", "  [thought] b"]),
        (Thought(""), []),
        (Media("image/png", data="QUJD"), ["  <image/png, 3 bytes>"]),
        (Media("video/mp4", uri="gs://b/x.mp4"), ["  <video/mp4 at gs://b/x.mp4>"]),
        (ToolCall("1", "f", {"x": [1]}), ['  [call] f {"x": [1]}']),
        (ToolCall("1", "f\ng", {}), ["  [call] f", "  g {}"]),
        (ToolResult("1", "f", {"x": 1}), ['  [result] f {"x": 1}']),
        (ToolResult("1", "f", "a\nb", is_error=True), ["  [result] f failed: a", "  b"]),
        (ToolResult("1", "f", "", [Media("image/png", data="QUJD")]), ["  [result] f ", "  <image/png, 3 bytes>"]),
        (
            Text("", google={"executableCode": {"code": "1+1"}, "thoughtSignature": "x"}),
            ['  {"executableCode": {"code": "1+1"}}'],
        ),
    ],
)
def test_parts(part: Part, lines: list[str]) -> None:
    written = [*answer_lines(Answer(choices=[Choice(0, [part])]), None, is_whole=True)]
    assert [line.text for line in written] == ["assistant", *lines]
    assert written[0].style == "role"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"stream": True}, "streamed"),
        ({"temperature": 0.0, "max_tokens": 5, "stop": ["a", "b"]}, "temperature 0.0, max tokens 5, stop at a, b"),
        ({"top_p": 0.5, "top_k": 3, "voice": "Kore"}, "top_p 0.5, top_k 3, voice Kore"),
        ({"modalities": ["text", "audio"]}, "modalities text, audio"),
        ({"thinking": Thinking("low")}, "thinking low"),
        ({"thinking": Thinking(budget=0)}, "thinking 0 tokens"),
        ({"thinking": Thinking(include=True)}, "thinking"),
        ({"format": Format()}, "answer in JSON"),
        ({"format": Format({"type": "object"})}, "answer in JSON with a schema"),
        ({"tool_choice": ToolChoice("required", ["f"])}, "tool choice required f"),
        ({"service_tier": "flex", "seed": 0, "n": 2}, "answers 2, seed 0, tier flex"),
    ],
)
def test_settings(members: dict[str, Any], words: str) -> None:
    assert [line.text for line in request_lines(Request("m", **members))] == [f"m, {words}"]


def test_tools() -> None:
    functions = [Function("f", parameters={"properties": {"a": {}, "b": {}}}), Function("g", parameters={"x": 1})]
    request = Request("m", functions=functions, server_tools={"googleSearch": "tools[0]"}, turns=[Turn("user", [])])
    assert [line.text for line in request_lines(request)] == ["m", "tools: f(a, b), g(), googleSearch", "user"]


def test_how_answers_end() -> None:
    cited = [Citation(0, 1, "https://a.example", "A"), Citation(2, 3, "https://a.example", "A")]
    native = NativeFinish("google", "SAFETY")
    choice = Choice(0, [], Finish.CONTENT_FILTER, "No.\nNo.", citations=cited, searches=["q", "q"], native=native)
    answer = Answer("r", "m", [choice, Choice(1, [Text("b")], Finish.STOP)], Usage(1, None))
    assert [line.text for line in answer_lines(answer, None, is_whole=False)] == [
        "assistant 1",
        "  [refusal] No.",
        "  No.",
        "  [search] q",
        "  [cites] A https://a.example",
        "  [end] SAFETY",
        "assistant 2",
        "  b",
        "  [end] stop",
        "(The answer breaks off here.)",
        "tokens: 1 input, unknown output",
        "model m, id r",
    ]
    failure = Failure(429, "Slow\ndown.", "RESOURCE_EXHAUSTED")
    assert [(line.text, line.style) for line in answer_lines(Answer(), failure, is_whole=False)] == [
        ("error 429 RESOURCE_EXHAUSTED: Slow", "error"),
        ("down.", "error"),
    ]


def test_tokens() -> None:
    assert tokens_in_words(Usage(12_000, 30, 4, 20, cache_written=5)) == (
        "12,000 input (4 cached, 5 written to a cache), 30 output (20 thoughts)"
    )


def test_json() -> None:
    assert [line.text for line in json_lines([1])] == ["[", "  1", "]"]
