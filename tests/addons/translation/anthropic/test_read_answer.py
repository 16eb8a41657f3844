import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from addons.translation.anthropic.read_answer import STOP_REASONS
from addons.translation.anthropic.read_answer import AnswerReader
from addons.translation.anthropic.read_answer import reader_for
from addons.translation.conversation import BROKEN_CALL
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Finish
from addons.translation.conversation import Format
from addons.translation.conversation import Part
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import Usage
from addons.translation.errors import Failure
from addons.translation.openai_chat.write_answer import StreamWriter
from addons.translation.openai_chat.write_answer import write_answer
from addons.translation.openai_responses.write_answer import write_answer as write_response
from tests.addons.translation.anthropic.bodies import LIST
from tests.addons.translation.anthropic.bodies import OBJECT
from tests.addons.translation.anthropic.bodies import Json
from tests.addons.translation.anthropic.bodies import asked
from tests.addons.translation.anthropic.bodies import called
from tests.addons.translation.anthropic.bodies import text
from tests.addons.translation.anthropic.events import STOP
from tests.addons.translation.anthropic.events import begin
from tests.addons.translation.anthropic.events import choice_of
from tests.addons.translation.anthropic.events import cited
from tests.addons.translation.anthropic.events import delta
from tests.addons.translation.anthropic.events import end
from tests.addons.translation.anthropic.events import message
from tests.addons.translation.anthropic.events import read
from tests.addons.translation.anthropic.events import started
from tests.addons.translation.anthropic.events import stopped
from tests.addons.translation.anthropic.events import streamed_events
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING


def test_an_answer() -> None:
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 5,
        "cache_creation_input_tokens": 2,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 3},
        "service_tier": "priority",
    }
    reader = AnswerReader()
    answer = reader.read(message(text("Hi"), stop_reason="end_turn", usage=usage))
    choice = Choice(0, [Text("Hi")], Finish.STOP)
    assert answer == Answer("msg_1", "claude-x", [choice], Usage(17, 7, 5, 3, cache_written=2), "priority")
    assert reader.finished


@pytest.mark.parametrize(("served", "tier"), [("standard", "default"), ("priority", "priority"), ("batch", None)])
def test_tiers(served: str, tier: str | None) -> None:
    (answer,) = read(message(usage={"input_tokens": 1, "output_tokens": 1, "service_tier": served}))
    assert answer.service_tier == tier


def test_a_stream() -> None:
    reader = AnswerReader()
    answers = [
        reader.read(event)
        for event in (
            {"type": "vertex_event"},
            started(cache_read_input_tokens=5),
            {"type": "ping"},
            begin(0, type="text", text=""),
            delta(0, "text_delta", text="H"),
            delta(0, "text_delta", text="i"),
            end(0),
        )
    ]
    assert answers[:3] == [Answer(), Answer("msg_1", "claude-x", [Choice(0)], Usage(15, None, 5)), Answer()]
    assert [choice.parts for answer in answers[3:] for choice in answer.choices] == [[], [Text("H")], [Text("i")], []]
    assert not reader.finished
    assert reader.read(stopped(output_tokens=9)) == Answer(
        choices=[Choice(0, finish=Finish.STOP)], usage=Usage(15, 9, 5)
    )
    assert reader.finished
    assert reader.read(STOP) == Answer(choices=[Choice(0)])


SIGNED = Signature("anthropic", "sig")
REDACTED = Thought("", Signature("anthropic", "redacted_thinking:data"))


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        (text("a"), [Text("a")]),
        (text(""), []),
        ({"type": "thinking", "thinking": "h", "signature": "sig"}, [Thought("h", SIGNED)]),
        ({"type": "thinking", "thinking": "", "signature": "sig"}, [Thought("", SIGNED)]),
        ({"type": "thinking", "thinking": "h"}, [Thought("h")]),
        ({"type": "redacted_thinking", "data": "data"}, [REDACTED]),
        (called("t", a="é"), [ToolCall("t", "f", {"a": "é"})]),
        ({"type": "tool_use", "id": "t", "name": "f"}, [ToolCall("t", "f", {})]),
        ({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}, []),
        ({"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"url": "u"}]}, []),
        ({"type": "something_new", "text": "x"}, []),
    ],
)
def test_blocks(block: Json, parts: list[Part]) -> None:
    assert choice_of(message(block)).parts == parts


@pytest.mark.parametrize(
    ("events", "parts"),
    [
        (
            [
                begin(0, type="thinking", thinking="", signature=""),
                delta(0, "thinking_delta", thinking="h"),
                delta(0, "thinking_delta", thinking="m"),
                delta(0, "signature_delta", signature="sig"),
                end(0),
            ],
            [Thought("h"), Thought("m"), Thought("", SIGNED)],
        ),
        ([begin(0, type="redacted_thinking", data="data"), end(0)], [REDACTED]),
        # A call is told when it is whole.
        (
            [
                begin(1, type="tool_use", id="t", name="f", input={}),
                delta(1, "input_json_delta", partial_json=""),
                delta(1, "input_json_delta", partial_json='{"a": "'),
                delta(1, "input_json_delta", partial_json='é"}'),
                end(1),
            ],
            [ToolCall("t", "f", {"a": "é"})],
        ),
        ([begin(1, type="tool_use", id="t", name="f", input={}), end(1)], [ToolCall("t", "f", {})]),
        ([begin(1, type="tool_use", id="t", name="f", input={})], []),
        # What was cut is no call: nobody may act on half of it.
        ([begin(1, type="tool_use", id="t", name="f"), delta(1, "input_json_delta", partial_json='{"a'), end(1)], []),
        (
            [
                begin(1, type="server_tool_use", id="s", name="web_search", input={}),
                delta(1, "input_json_delta", partial_json='{"query": "q"}'),
                end(1),
            ],
            [],
        ),
    ],
)
def test_blocks_of_a_stream(events: list[Json], parts: list[Part]) -> None:
    assert choice_of(started(), *events).parts == parts


def searched(query: object, name: str = "web_search") -> Json:
    return {"type": "server_tool_use", "id": "s", "name": name, "input": {"query": query}}


SEARCHED = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}


@pytest.mark.parametrize(
    ("blocks", "searches"),
    [
        ([searched("é"), SEARCHED, text("a")], ["é"]),
        # Each is one of its own, also if it is asked again.
        ([searched("p"), searched("q"), searched("p")], ["p", "q", "p"]),
        ([searched(""), searched(5), searched(None), searched("x", name="web_fetch")], []),
        ([{"type": "server_tool_use", "name": "web_search"}, {**searched("q"), "type": "mcp_tool_use"}], []),
    ],
)
def test_searches(blocks: list[Json], searches: list[str]) -> None:
    assert choice_of(message(*blocks)).searches == searches
    events = [
        event
        for number, block in enumerate(blocks)
        for event in (
            begin(number, **block | ({"input": {}} if "input" in block else {})),
            *(delta(number, "input_json_delta", partial_json=piece) for piece in json.dumps(block.get("input", {}))),
            end(number),
        )
    ]
    assert choice_of(started(), *events).searches == searches


@pytest.mark.parametrize(
    ("reason", "status", "refusal"),
    [("tool_use", "failed", BROKEN_CALL), ("end_turn", "failed", BROKEN_CALL), ("max_tokens", "incomplete", None)],
)
def test_an_answer_with_a_broken_call(reason: str, status: str, refusal: str | None) -> None:
    """An answer of nothing would not say that there is nothing to wait for."""
    events = [begin(0, type="tool_use", id="t", name="f"), delta(0, "input_json_delta", partial_json='{"a'), end(0)]
    choice = choice_of(started(), *events, stopped(reason))
    assert (choice.parts, choice.refusal) == ([], refusal)
    response: Json = write_response(Answer(choices=[choice]), "m", {})
    assert response["status"] == status
    assert (response["error"] or {}).get("message") == refusal


def test_a_search_is_told_when_it_is_whole() -> None:
    reader = AnswerReader()
    events = [
        begin(0, type="server_tool_use", id="s", name="web_search", input={}),
        delta(0, "input_json_delta", partial_json='{"query": '),
        delta(0, "input_json_delta", partial_json='"q"}'),
        end(0),
        # What was cut is none.
        begin(1, type="server_tool_use", id="t", name="web_search", input={}),
        delta(1, "input_json_delta", partial_json='{"query": "q'),
        end(1),
    ]
    told = [choice.searches for answer in read(started(), *events, reader=reader) for choice in answer.choices]
    assert told == [[], [], [], [], ["q"], [], [], []]


def test_a_search_is_an_item_of_a_response() -> None:
    said = message(searched("q"), SEARCHED, text("a"), stop_reason="end_turn")
    [answer] = read(said)
    response: Json = write_response(answer, "m", {})
    search, found = response["output"]
    assert search["action"] == {"type": "search", "query": "q", "queries": ["q"]}
    assert (search["type"], found["type"]) == ("web_search_call", "message")


def test_citations() -> None:
    """Of a whole block each; counted in characters of all the text."""
    expected = [Citation(2, 4, "https://a", "T"), Citation(2, 4, "https://b", "")]
    content = [text("é "), {**text("ab"), "citations": [cited("https://a"), cited("https://b", None)]}, text("c")]
    page = {"type": "page_location", "document_title": "d"}
    assert choice_of(message(*content, {**text("d"), "citations": [page]})).citations == expected
    events = [
        begin(0, type="text", text=""),
        delta(0, "text_delta", text="é "),
        end(0),
        begin(1, type="text", text="", citations=[]),
        delta(1, "citations_delta", citation=cited("https://a")),
        delta(1, "text_delta", text="a"),
        delta(1, "citations_delta", citation=cited("https://b", None)),
        delta(1, "citations_delta", citation=cited("https://a")),
        delta(1, "text_delta", text="b"),
    ]
    assert choice_of(*events).citations == []
    assert choice_of(*events, end(1), end(1)).citations == expected


@pytest.mark.parametrize(
    ("reason", "with_text", "without"),
    [
        ("end_turn", "stop", "stop"),
        ("stop_sequence", "stop", "stop"),
        ("pause_turn", "stop", "stop"),
        ("max_tokens", "length", "length"),
        ("model_context_window_exceeded", "length", "length"),
        ("refusal", "content_filter", "content_filter"),
        # Reasons of tomorrow never leak.
        ("bad_mood", "stop", "content_filter"),
    ],
)
def test_stop_reasons(reason: str, with_text: str, without: str) -> None:
    assert choice_of(message(text("a"), stop_reason=reason)).finish == with_text
    assert choice_of(message(stop_reason=reason)).finish == without
    assert choice_of(started(), begin(0, type="text", text="a"), end(0), stopped(reason)).finish == with_text


def test_every_stop_reason_of_the_api_is_known() -> None:
    known = "end_turn max_tokens stop_sequence tool_use pause_turn refusal model_context_window_exceeded"
    assert set(known.split()) == STOP_REASONS.keys()


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("tool_use", "tool_calls"), ("end_turn", "tool_calls"), ("max_tokens", "length"), ("bad_mood", "tool_calls")],
)
def test_calls_stick(reason: str, finish: str) -> None:
    assert choice_of(message(called("t"), stop_reason=reason)).finish == finish
    assert choice_of(begin(0, type="tool_use", id="t", name="f"), end(0), stopped(reason)).finish == finish


def test_a_refusal_tells_why() -> None:
    details = {"type": "refusal", "explanation": "why"}
    assert choice_of(message(stop_reason="refusal", stop_details=details)).refusal == "why"
    assert choice_of(message(text("a"), stop_reason="refusal", stop_details=details)).refusal is None
    ending = {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}}
    assert choice_of(started(), ending).refusal == "why"


@pytest.mark.parametrize(
    ("documents", "finished"),
    [
        ([started(), begin(0, type="text", text="a"), end(0)], False),
        ([started(), {"type": "message_delta", "delta": {"stop_reason": None}}], False),
        ([started(), STOP], True),
        ([message(text("a"))], False),
    ],
)
def test_the_end_is_known(documents: list[Json], finished: bool) -> None:
    reader = AnswerReader()
    read(*documents, reader=reader)
    assert reader.finished == finished


def test_an_end_without_a_reason() -> None:
    assert choice_of(started(), begin(0, type="text", text="a"), end(0), STOP).finish == "stop"


@pytest.mark.parametrize(
    ("document", "failure"),
    [
        (
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            Failure(529, "Overloaded", "UNAVAILABLE"),
        ),
        (
            {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow"}},
            Failure(429, "Slow", "RESOURCE_EXHAUSTED"),
        ),
        (
            {"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED"}},
            Failure(429, "Quota", "RESOURCE_EXHAUSTED"),
        ),
    ],
)
def test_errors(document: Json, failure: Failure) -> None:
    reader = AnswerReader()
    reader.read(started())
    assert reader.read(document) == Answer()
    assert reader.failure == failure


NAMES = (
    "type message content_block delta index id model content text thinking signature data name input partial_json"
    " citations citation url title stop_reason stop_details explanation usage input_tokens output_tokens error"
).split()
KINDS = (
    "message message_start message_delta message_stop content_block_start content_block_delta content_block_stop text"
    " thinking redacted_thinking tool_use text_delta thinking_delta signature_delta input_json_delta citations_delta"
).split()
SHAPES: list[Json] = [
    message({**text("a"), "citations": [cited("u")]}, called("t"), stop_reason="tool_use", usage={"input_tokens": 1}),
    started(),
    begin(0, type="tool_use", id="t", name="answer", input={}),
    delta(0, "input_json_delta", partial_json="{}"),
    delta(0, "citations_delta", citation=cited("u")),
    end(0),
    stopped(output_tokens=1),
]


@st.composite
def documents(draw: st.DrawFn) -> object:
    """Any JSON, with Anthropic's names in it, or an answer with any JSON in one place."""
    words = json_values | st.sampled_from(KINDS)
    if draw(st.booleans()):
        inner = st.recursive(
            words,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
            max_leaves=6,
        )
        return draw(inner | st.sampled_from(ANYTHING))
    document: Any = json.loads(json.dumps(draw(st.sampled_from(SHAPES))))
    value = document
    while True:
        place = draw(st.sampled_from(list(value) if isinstance(value, dict) else list(range(len(value)))))
        if isinstance(value[place], dict | list) and value[place] and draw(st.integers(0, 4)):
            value = value[place]
        else:
            value[place] = draw(words)
            return document


@settings(max_examples=300)
@given(st.lists(documents(), max_size=4), st.sampled_from([None, OBJECT, LIST]))
def test_any_answer(given: list[object], schema: Json | None) -> None:
    reader = reader_for(asked(format=Format(schema)))
    writer = StreamWriter("m", include_usage=True)
    called = False
    for document in given:
        answer = reader.read(document)
        for choice in answer.choices:
            assert choice.index == 0
            called = called or any(isinstance(part, ToolCall) for part in choice.parts)
            assert choice.finish is not Finish.TOOL_CALLS or called
            assert choice.refusal is None or choice.finish is Finish.CONTENT_FILTER
        assert reader.failure is None or 400 <= reader.failure.status < 600
        json.dumps(write_answer(answer, "m"))
        writer.write(answer)
    assert writer.end()


contents = st.lists(
    st.text(max_size=9).map(text)
    | st.builds(lambda said, by: {"type": "thinking", "thinking": said, "signature": by}, st.text(), st.text())
    | st.text(max_size=3).map(lambda value: called("t", a=value))
    | st.builds(lambda said: {**text(said), "citations": [cited("u" + said)]}, st.text(min_size=1)),
    max_size=4,
)


@given(contents, st.sampled_from([*STOP_REASONS, "new"]), st.integers(1, 5))
def test_a_stream_tells_what_the_whole_tells(content: list[Json], reason: str, size: int) -> None:
    whole = choice_of(message(*content, stop_reason=reason))
    streamed = choice_of(started(), *streamed_events(content, size), stopped(reason), STOP)
    assert (streamed.citations, streamed.finish) == (whole.citations, whole.finish)
    assert joined(streamed.parts) == joined(whole.parts)


def joined(parts: list[Part]) -> list[Part]:
    """Neighbours of one kind together."""
    told: list[Part] = []
    for part in parts:
        last = told[-1] if told else None
        if isinstance(part, Text) and isinstance(last, Text):
            told[-1] = Text(last.text + part.text)
        elif isinstance(part, Thought) and isinstance(last, Thought) and last.signature is None:
            told[-1] = Thought(last.text + part.text, part.signature)
        else:
            told.append(part)
    return told
