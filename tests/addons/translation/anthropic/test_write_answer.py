import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.anthropic.read_answer import AnswerReader
from addons.translation.anthropic.write_answer import StreamWriter
from addons.translation.anthropic.write_answer import write_answer
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Finish
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import Usage
from addons.translation.errors import Failure

Json = dict[str, Any]
THINKS = Request("asked", thinking=Thinking(budget=2000, include=True))
PLAIN = Request("asked")
GOOGLES = Signature("google", "+/8=")
CALL = ToolCall("call_1", "f", {"a": "é"})


def whole(*parts: Part, request: Request = PLAIN, finish: Finish | None = Finish.STOP, **members: Any) -> Json:
    answer = Answer("r", "served", [Choice(0, [*parts], finish, **members)])
    written = json.loads(json.dumps(write_answer(answer, request)))
    assert (written["type"], written["role"]) == ("message", "assistant")
    return dict(written)


class Stream:
    """What a client reads of a stream."""

    def __init__(self, request: Request = PLAIN) -> None:
        self.writer = StreamWriter(request)
        self.sent = b""

    def write(self, *parts: Part, usage: Usage | None = None, finish: Finish | None = None, **more: Any) -> "Stream":
        self.sent += self.writer.write(Answer("r", "served", [Choice(0, [*parts], finish, **more)], usage))
        return self

    def end(self) -> "Stream":
        self.sent += self.writer.end()
        return self

    @property
    def events(self) -> list[Json]:
        pieces = self.sent.split(b"\n\n")
        assert pieces.pop() == b""
        told = [piece.split(b"\n") for piece in pieces]
        events = [json.loads(data.removeprefix(b"data: ")) for _, data in told]
        assert [kind.removeprefix(b"event: ").decode() for kind, _ in told] == [event["type"] for event in events]
        return events

    @property
    def blocks(self) -> list[Json]:
        """The events of blocks, without the index, which is checked."""
        number, told = 0, []
        for event in self.events:
            if event["type"].startswith("content_block"):
                assert event.pop("index") == number
                number += event["type"] == "content_block_stop"
                told.append(event)
        return told


def begin(**block: object) -> Json:
    return {"type": "content_block_start", "content_block": block}


def delta(kind: str, **members: object) -> Json:
    return {"type": "content_block_delta", "delta": {"type": kind, **members}}


STOP = {"type": "content_block_stop"}
BEGIN_TEXT = begin(type="text", text="")
BEGIN_THINKING = begin(type="thinking", thinking="", signature="")


class TestStop:
    @pytest.mark.parametrize(
        ("finish", "members", "expected"),
        [
            (Finish.STOP, {}, ("end_turn", None)),
            (None, {}, ("end_turn", None)),
            (Finish.LENGTH, {}, ("max_tokens", None)),
            (Finish.TOOL_CALLS, {}, ("tool_use", None)),
            (Finish.CONTENT_FILTER, {}, ("refusal", None)),
            (Finish.STOP, {"stop_sequence": "x"}, ("stop_sequence", "x")),
            (Finish.LENGTH, {"stop_sequence": "x"}, ("max_tokens", None)),
        ],
    )
    def test_reasons(self, finish: Finish | None, members: Json, expected: tuple[str, str | None]) -> None:
        written = whole(Text("a"), finish=finish, **members)
        assert (written["stop_reason"], written["stop_sequence"]) == expected
        if finish:
            (end,) = [e for e in Stream().write(Text("a"), finish=finish, **members).end().events if "usage" in e]
            assert (end["delta"]["stop_reason"], end["delta"]["stop_sequence"]) == expected

    def test_a_call_is_no_end_of_the_turn(self) -> None:
        assert whole(CALL)["stop_reason"] == "tool_use"
        assert Stream().write(CALL).write(finish=Finish.STOP).end().events[-2]["delta"]["stop_reason"] == "tool_use"

    def test_what_was_refused(self) -> None:
        details = {"type": "refusal", "category": None, "explanation": "No."}
        written = whole(finish=Finish.CONTENT_FILTER, refusal="No.")
        assert (written["content"], written["stop_details"]) == ([], details)
        stream = Stream().write(finish=Finish.CONTENT_FILTER, refusal="No.").end()
        assert stream.events[-2]["delta"]["stop_details"] == details

    def test_a_refusal_in_words_is_a_text(self) -> None:
        assert whole(refusal="No.")["content"] == [{"type": "text", "text": "No."}]
        assert Stream().write(refusal="No.").blocks == [BEGIN_TEXT, delta("text_delta", text="No.")]


COUNTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")


class TestUsage:
    @pytest.mark.parametrize(
        ("usage", "expected"),
        [
            (None, (0, 0, 0, 0)),
            (Usage(10, 5), (10, 0, 0, 5)),
            # Anthropic's input does not include what was read from the cache or written to it.
            (Usage(10, 5, cached=4), (6, 4, 0, 5)),
            (Usage(10, 5, cached=4, cache_written=3), (3, 4, 3, 5)),
            (Usage(None, 5, cached=4), (0, 4, 0, 5)),
        ],
    )
    def test_counts(self, usage: Usage | None, expected: tuple[int, ...]) -> None:
        told = write_answer(Answer(usage=usage), PLAIN)["usage"]
        (end,) = [e for e in Stream().write(usage=usage, finish=Finish.STOP).end().events if "usage" in e]
        for written in (told, end["usage"]):
            assert isinstance(written, dict)
            assert tuple(written[name] for name in COUNTS) == expected

    def test_thoughts_and_searches(self) -> None:
        answer = Answer(usage=Usage(1, 5, thoughts=3), choices=[Choice(0, searches=["a", "b"])])
        usage: Any = write_answer(answer, PLAIN)["usage"]
        assert usage["output_tokens_details"] == {"thinking_tokens": 3}
        assert usage["server_tool_use"] == {"web_search_requests": 2, "web_fetch_requests": 0}

    @pytest.mark.parametrize(
        ("tier", "expected"), [("priority", "priority"), ("default", "standard"), (None, "standard")]
    )
    def test_tiers(self, tier: str | None, expected: str) -> None:
        usage: Any = write_answer(Answer(service_tier=tier), PLAIN)["usage"]
        assert usage["service_tier"] == expected

    def test_what_comes_first_is_told_at_the_start(self) -> None:
        stream = Stream().write(usage=Usage(10, 1)).write(Text("a"), usage=Usage(10, 5), finish=Finish.STOP).end()
        assert stream.events[0]["message"]["usage"]["input_tokens"] == 10
        assert stream.events[-2]["usage"]["output_tokens"] == 5


class TestWhole:
    @pytest.mark.parametrize(
        ("parts", "content"),
        [
            ([], []),
            ([Text("a"), Text("b")], [{"type": "text", "text": "ab"}]),
            ([Thought("hm"), Text("a", GOOGLES)], [{"type": "text", "text": "a"}]),
            ([Text("")], []),
            (
                [Text("a"), CALL],
                [
                    {"type": "text", "text": "a"},
                    {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": "é"}},
                ],
            ),
            (
                [ToolCall("call_1", "f", {}, GOOGLES)],
                [{"type": "tool_use", "id": "call_1__thought__-_8", "name": "f", "input": {}}],
            ),
            # Claude would refuse any other id.
            ([ToolCall("a.b", "f", {})], [{"type": "tool_use", "id": "a_b", "name": "f", "input": {}}]),
            (
                [Media("image/png", "AAAA")],
                [{"type": "text", "text": "\n![image/png](data:image/png;base64,AAAA)\n"}],
            ),
            ([Media("image/png", uri="https://h/a")], [{"type": "text", "text": "\n![image/png](https://h/a)\n"}]),
        ],
    )
    def test_content(self, parts: list[Part], content: list[Json]) -> None:
        assert whole(*parts)["content"] == content

    @pytest.mark.parametrize(
        ("parts", "signatures"),
        [
            ([Thought("hm"), Text("a")], ["unsigned:", None]),
            ([Thought("h"), Thought("m", GOOGLES), Text("a")], ["google:+/8=", None]),
            ([Thought("hm"), Text("a", GOOGLES)], ["google:+/8=", None]),
            ([Thought("hm"), Text("a"), Text("", GOOGLES)], ["google:+/8=", None]),
            ([Text("a", GOOGLES)], ["google:+/8=", None]),
            ([Text("", GOOGLES)], ["google:+/8="]),
            ([Thought("hm", Signature("anthropic", "EqQB"))], ["EqQB"]),
            ([Thought("hm", GOOGLES), Text("a", GOOGLES)], ["google:+/8=", "google:+/8=", None]),
        ],
    )
    def test_thoughts_of_clients_that_ask_for_them(self, parts: list[Part], signatures: list[str | None]) -> None:
        content = whole(*parts, request=THINKS)["content"]
        assert [block.get("signature") for block in content] == signatures

    @pytest.mark.parametrize(
        "thinking", [None, Thinking("none"), Thinking("high", include=False), Thinking(budget=0, include=True)]
    )
    def test_other_clients_get_none(self, thinking: Thinking | None) -> None:
        asked = Request("m", thinking=thinking)
        assert whole(Thought("hm"), Text("a"), request=asked)["content"] == [{"type": "text", "text": "a"}]
        assert Stream(asked).write(Thought("hm"), Text("a")).blocks == [BEGIN_TEXT, delta("text_delta", text="a")]

    def test_citations(self) -> None:
        cited = Citation(1, 3, "https://h", "t")
        (text,) = whole(Text("abcd"), citations=[cited])["content"]
        assert text["citations"] == [
            {
                "type": "web_search_result_location",
                "cited_text": "bc",
                "encrypted_index": "unsigned:",
                "title": "t",
                "url": "https://h",
            }
        ]
        stream = Stream().write(Text("ab")).write(Text("cd"), citations=[cited])
        assert stream.blocks[-1] == delta("citations_delta", citation=text["citations"][0])

    @pytest.mark.parametrize(("id", "expected"), [("r.1", "msg_r_1"), ("msg_1", "msg_1")])
    def test_ids(self, id: str, expected: str) -> None:
        assert write_answer(Answer(id), PLAIN)["id"] == expected

    def test_what_the_answer_does_not_say(self) -> None:
        written = write_answer(Answer(), PLAIN)
        assert str(written["id"]).startswith("msg_")
        assert (written["model"], whole()["model"]) == ("asked", "served")

    def test_a_call_without_an_id_gets_one(self) -> None:
        assert whole(ToolCall(None, "f", {}))["content"][0]["id"].startswith("toolu_")


class TestStream:
    def test_the_order_of_events(self) -> None:
        stream = Stream(THINKS).write(Thought("h")).write(Thought("m", GOOGLES)).write(Text("a")).write(Text("b"))
        stream.write(CALL, ToolCall("2", "g", {})).write(finish=Finish.STOP).end()
        kinds = [event["type"] for event in stream.events]
        assert (kinds[:2], kinds[-2:]) == (["message_start", "ping"], ["message_delta", "message_stop"])
        assert stream.blocks == [
            BEGIN_THINKING,
            delta("thinking_delta", thinking="h"),
            delta("thinking_delta", thinking="m"),
            delta("signature_delta", signature="google:+/8="),
            STOP,
            BEGIN_TEXT,
            delta("text_delta", text="a"),
            delta("text_delta", text="b"),
            STOP,
            begin(type="tool_use", id="call_1", name="f", input={}),
            delta("input_json_delta", partial_json='{"a": "é"}'),
            STOP,
            begin(type="tool_use", id="2", name="g", input={}),
            delta("input_json_delta", partial_json="{}"),
            STOP,
        ]

    def test_the_head(self) -> None:
        assert Stream().write(Text("a")).events[0]["message"] == {
            "id": "msg_r",
            "type": "message",
            "role": "assistant",
            "model": "served",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {
                "input_tokens": 0,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 0,
                "service_tier": "standard",
            },
        }

    def test_a_text_signs_the_thoughts_before_it(self) -> None:
        stream = Stream(THINKS).write(Thought("hm")).write(Text("a", GOOGLES)).write(Text("", GOOGLES))
        assert stream.blocks[2] == delta("signature_delta", signature="google:+/8=")
        assert len(stream.blocks) == 6

    @pytest.mark.parametrize(
        "parts",
        [
            [Text("a", GOOGLES)],
            [Thought("hm", GOOGLES), Text("a", GOOGLES), Text("b")],
            [CALL, Text("a", GOOGLES)],
        ],
    )
    def test_a_text_that_begins_with_a_signature(self, parts: list[Part]) -> None:
        """As in a whole answer, a block of its own holds it if no thoughts can."""
        stream = Stream(THINKS)
        for part in parts:
            stream.write(part)
        signed = [event["delta"]["signature"] for event in stream.blocks if "signature" in event.get("delta", {})]
        content = whole(*parts, request=THINKS)["content"]
        assert signed == [block["signature"] for block in content if block["type"] == "thinking"]
        begun = [event["content_block"]["type"] for event in stream.blocks if "content_block" in event]
        assert begun == [block["type"] for block in content]

    def test_nothing_at_all_is_an_error(self) -> None:
        stream = Stream().end()
        assert stream.events == [{"type": "error", "error": {"type": "api_error", "message": ANY_MESSAGE}}]
        assert stream.writer.failed
        assert stream.end().write(Text("a")).events == stream.events

    def test_an_error_ends_it(self) -> None:
        stream = Stream().write(Text("a"))
        stream.sent += stream.writer.fail(Failure(529, "Overloaded", "UNAVAILABLE"))
        assert stream.events[-1] == {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        assert stream.writer.failed
        assert (stream.writer.end(), stream.writer.write(Answer("x")), stream.writer.fail(Failure(500, "", ""))) == (
            b"",
            b"",
            b"",
        )

    def test_it_ends_once(self) -> None:
        stream = Stream().write(Text("a"), finish=Finish.STOP).end()
        assert stream.writer.end() == b""
        assert not stream.writer.failed

    def test_only_one_choice(self) -> None:
        writer = StreamWriter(PLAIN)
        written = writer.write(Answer(choices=[Choice(0, [Text("a")]), Choice(1, [Text("b")])]))
        assert b'"a"' in written
        assert b'"b"' not in written


ANY_MESSAGE = "The upstream ended its answer before its end."
SIGNED = st.sampled_from([None, GOOGLES, Signature("anthropic", "EqQB")])
PARTS = st.lists(
    st.builds(Text, st.text(max_size=5), SIGNED)
    | st.builds(Thought, st.text(max_size=5), SIGNED)
    | st.builds(ToolCall, st.none() | st.just("c"), st.just("f"), st.just({"a": 1}), SIGNED)
    | st.just(Media("image/png", "AAAA")),
    max_size=5,
)


@given(PARTS, st.sampled_from([PLAIN, THINKS]))
def test_streamed_or_not_the_client_reads_the_same(parts: list[Part], request: Request) -> None:
    """Read by the reader of Claude's answers."""
    usual = AnswerReader().read(whole(*parts, request=request))
    stream = Stream(request)
    for part in parts:
        stream.write(part)
    reader = AnswerReader()
    read = [reader.read(event) for event in stream.write(finish=Finish.STOP).end().events]
    assert reader.finished
    assert reader.failure is None
    assert _texts(usual) == "".join(map(_texts, read))
    assert _calls(usual) == [call for one in read for call in _calls(one)]


def _texts(answer: Answer) -> str:
    return "".join(part.text for choice in answer.choices for part in choice.parts if isinstance(part, Text))


def _calls(answer: Answer) -> list[tuple[str, object]]:
    return [
        (part.name, part.arguments) for choice in answer.choices for part in choice.parts if isinstance(part, ToolCall)
    ]
