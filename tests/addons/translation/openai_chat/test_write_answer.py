import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import ClientTool
from addons.translation.conversation import Finish
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import Usage
from addons.translation.gemini.read_answer import AnswerReader
from addons.translation.openai_chat.write_answer import StreamWriter
from addons.translation.openai_chat.write_answer import write_answer
from tests.addons.translation.gemini.examples import documents
from tests.addons.translation.openai_chat.answers import Stream
from tests.addons.translation.openai_chat.answers import piece
from tests.addons.translation.openai_chat.answers import said
from tests.addons.translation.openai_chat.answers import told

Json = dict[str, Any]


def test_an_answer() -> None:
    usage = Usage(3, 4)
    answer = write_answer(Answer("r", "served", [Choice(0, [Text("Hi")], Finish.STOP)], usage, "flex"), "asked")
    assert isinstance(answer.pop("created"), int)
    assert answer == {
        "id": "chatcmpl-r",
        "object": "chat.completion",
        "model": "served",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        "service_tier": "flex",
    }


def test_an_answer_of_nothing_still_has_a_choice() -> None:
    first, second = write_answer(Answer(), "m"), write_answer(Answer(), "m")
    assert (first["model"], first["id"] != second["id"]) == ("m", True)
    (choice,) = json.loads(json.dumps(first["choices"]))
    assert choice["message"]["content"] == ""
    assert choice["finish_reason"] == "stop"


def test_choices_keep_their_numbers() -> None:
    choices = [Choice(1, [Text("b")], Finish.LENGTH), Choice(0, [Text("a")], Finish.STOP)]
    written: Any = write_answer(Answer(choices=choices), "m")["choices"]
    assert [(one["index"], one["message"]["content"]) for one in written] == [(1, "b"), (0, "a")]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], {"content": ""}),
        ([Text("a"), Text("b")], {"content": "ab"}),
        ([Thought("hm"), Thought("!"), Text("a")], {"content": "a", "reasoning_content": "hm!"}),
        ([Thought("hm")], {"content": "", "reasoning_content": "hm"}),
        (
            [Text("a"), Media("image/png", data="AAAA"), Media("image/png", uri="https://x")],
            {
                "content": "a",
                "images": [
                    {"type": "image_url", "index": 0, "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "image_url", "index": 1, "image_url": {"url": "https://x"}},
                ],
            },
        ),
        (
            [Text("a", Signature("google", "AAAA"))],
            {"content": "a", "extra_content": {"google": {"thought_signature": "AAAA"}}},
        ),
        (
            [Text("a"), Text("", Signature("google", "AAAA"))],
            {"content": "a", "extra_content": {"google": {"thought_signature": "AAAA"}}},
        ),
        # Claude's signatures are of thoughts, and never told as Google's.
        (
            [Thought("hm", Signature("anthropic", "s")), Text("a", Signature("anthropic", "s"))],
            {
                "content": "a",
                "reasoning_content": "hm",
                "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}],
            },
        ),
    ],
)
def test_what_a_message_says(parts: list[Part], expected: Json) -> None:
    assert said(*parts) == expected


def test_calls() -> None:
    signed = ToolCall("1", "f", {"a": "é"}, Signature("google", "AAAA"))
    choice = told(signed, ToolCall(None, "f", {}), ToolCall(None, "f", {}), finish=Finish.TOOL_CALLS)
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    first, second, third = choice["message"]["tool_calls"]
    assert first == {
        "id": "1__thought__AAAA",
        "type": "function",
        "function": {"name": "f", "arguments": '{"a": "é"}'},
        "extra_content": {"google": {"thought_signature": "AAAA"}},
    }
    assert second["function"] == third["function"] == {"name": "f", "arguments": "{}"}
    assert second["id"] != third["id"]
    assert second["id"].startswith("call_")


def test_calls_without_a_finish_reason() -> None:
    """Google leaves out FINISH_REASON_UNSPECIFIED, which is as good as STOP."""
    assert told(Text("a"), finish=None)["finish_reason"] == "stop"
    assert told(ToolCall("1", "f", {}), finish=None)["finish_reason"] == "tool_calls"


def test_a_refusal() -> None:
    choice = told(finish=Finish.CONTENT_FILTER, refusal="why")
    assert choice["finish_reason"] == "content_filter"
    assert (choice["message"]["content"], choice["message"]["refusal"]) == (None, "why")


@pytest.mark.parametrize(
    ("parts", "content"), [([], None), ([Text("a")], "a"), ([ToolCall("1", "f", {})], None), ([Thought("hm")], None)]
)
def test_an_invalid_answer(parts: list[Part], content: str | None) -> None:
    message = told(*parts, finish=Finish.STOP, refusal="why", is_invalid=True)["message"]
    assert (message["content"], message["refusal"]) == (content, "why")
    stream = Stream().write(piece(*parts), piece(finish=Finish.STOP, refusal="why", is_invalid=True)).end()
    assert stream.deltas[-1] == {"refusal": "why"}
    assert stream.events[-2]["choices"][0]["finish_reason"] == "stop"


def test_audio() -> None:
    message = said(Media("audio/wav", data="AAAA"))
    assert message["content"] is None
    assert message["audio"].keys() == {"id", "data", "expires_at", "transcript"}
    assert message["audio"]["data"] == "AAAA"


def test_annotations() -> None:
    assert said(Text("Hi"), citations=[Citation(0, 2, "https://a", "A")])["annotations"] == [
        {
            "type": "url_citation",
            "url_citation": {"start_index": 0, "end_index": 2, "url": "https://a", "title": "A"},
        }
    ]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(3, 4), {}),
        (Usage(3, None), {"completion_tokens": 0, "total_tokens": 3}),
        (
            Usage(3, 4, 2, 1),
            {"prompt_tokens_details": {"cached_tokens": 2}, "completion_tokens_details": {"reasoning_tokens": 1}},
        ),
        (Usage(3, 4, 0), {"prompt_tokens_details": {"cached_tokens": 0}}),
        (Usage(3, 4, 1, cache_written=2), {"prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2}}),
        (Usage(3, 4, cache_written=0), {"prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}}),
        (
            Usage(3, 4, None, None, {"text": 1, "document": 1, "image": 1}, {"audio": 4, "smell": 9}),
            {
                "prompt_tokens_details": {"cached_tokens": 0, "text_tokens": 2, "image_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 4},
            },
        ),
    ],
)
def test_usage(usage: Usage, expected: Json) -> None:
    written = write_answer(Answer(usage=usage), "m")["usage"]
    assert written == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7} | expected


@given(documents())
def test_any_answer(document: object) -> None:
    reader = AnswerReader()
    written: Any = write_answer(reader.read(document), "m")
    assert json.loads(json.dumps(written)) == written
    assert written["choices"]
    for choice in written["choices"]:
        assert choice["finish_reason"] in set(Finish)
    if usage := written.get("usage"):
        assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]


def chunk(delta: Json, finish: str | None = None, index: int = 0) -> Json:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def test_a_stream() -> None:
    stream = Stream().write(piece(Text("Hel")), piece(Text("lo")), piece(finish=Finish.STOP)).end()
    *chunks, done = stream.events
    assert done == "[DONE]"
    assert [event["choices"] for event in chunks] == [
        [chunk({"role": "assistant", "content": ""})],
        [chunk({"content": "Hel"})],
        [chunk({"content": "lo"})],
        [chunk({}, "stop")],
    ]
    heads = [{name: value for name, value in event.items() if name != "choices"} for event in chunks]
    assert all(head == heads[0] for head in heads)
    assert isinstance(heads[0].pop("created"), int)
    assert heads[0] == {"id": "chatcmpl-r", "object": "chat.completion.chunk", "model": "served"}


def test_an_id_of_ours_stays() -> None:
    stream = Stream().write(Answer(choices=[Choice(0, [Text("a")])]), piece(Text("b"), finish=Finish.STOP)).end()
    ids = {event["id"] for event in stream.events[:-1]}
    assert len(ids) == 1
    assert ids != {"chatcmpl-"}


def test_nothing_waits() -> None:
    stream = Stream().write(piece(Text("Hel")))
    assert stream.events[-1]["choices"] == [chunk({"content": "Hel"})]


@pytest.mark.parametrize("include_usage", [True, False])
def test_usage_comes_last_and_when_asked(include_usage: bool) -> None:
    stream = Stream(include_usage)
    stream.write(
        Answer(usage=Usage(3, 1)), piece(Text("a")), piece(finish=Finish.STOP), Answer(usage=Usage(3, 4))
    ).end()
    *chunks, last, done = stream.events
    assert done == "[DONE]"
    if include_usage:
        assert all(event["usage"] is None for event in chunks)
        assert last["choices"] == []
        assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    else:
        assert all("usage" not in event for event in [*chunks, last])


def test_calls_are_counted_over_the_stream() -> None:
    stream = Stream().write(
        piece(ToolCall("1", "f", {"a": "é"}, Signature("google", "AAAA")), ToolCall("2", "f", {})),
        piece(ToolCall("3", "g", {})),
        piece(Text(""), finish=Finish.TOOL_CALLS),
    )
    made = [call for delta in stream.end().deltas for call in delta["tool_calls"]]
    assert [(call["index"], call["id"]) for call in made] == [(0, "1__thought__AAAA"), (1, "2"), (2, "3")]
    assert made[0] == {
        "index": 0,
        "id": "1__thought__AAAA",
        "type": "function",
        "function": {"name": "f", "arguments": '{"a": "é"}'},
        "extra_content": {"google": {"thought_signature": "AAAA"}},
    }
    assert stream.events[-2]["choices"] == [chunk({}, "tool_calls")]


@pytest.mark.parametrize(
    ("parts", "members", "deltas"),
    [
        ([], {}, []),
        ([Text("")], {}, []),
        ([Thought("hm"), Text("a")], {}, [{"reasoning_content": "hm"}, {"content": "a"}]),
        # A signature alone is no content.
        ([Text("", Signature("google", "AAAA"))], {}, [{"extra_content": {"google": {"thought_signature": "AAAA"}}}]),
        # Claude's signature is of all that was thought before it.
        (
            [Thought("h"), Thought("m"), Thought("", Signature("anthropic", "s"))],
            {},
            [
                {"reasoning_content": "h"},
                {"reasoning_content": "m"},
                {"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]},
            ],
        ),
        ([], {"refusal": "why"}, [{"refusal": "why"}]),
        (
            [],
            {"citations": [Citation(0, 2, "u", "t")]},
            [
                {
                    "annotations": [
                        {
                            "type": "url_citation",
                            "url_citation": {"start_index": 0, "end_index": 2, "url": "u", "title": "t"},
                        }
                    ]
                }
            ],
        ),
    ],
)
def test_deltas(parts: list[Part], members: Json, deltas: list[Json]) -> None:
    stream = Stream().write(piece(*parts, finish=Finish.STOP, **members)).end()
    assert stream.deltas == deltas


def test_audio_is_one_over_the_stream() -> None:
    sounds = [Media("audio/L16;rate=24000", data=data) for data in ("AAAA", "BBBB", "CCCC")]
    choices = [Choice(index, [sound]) for sound in sounds for index in (0, 1)]
    ends = [Choice(index, finish=Finish.STOP) for index in (0, 1)]
    stream = Stream().write(*(Answer(choices=[choice]) for choice in choices), Answer(choices=ends)).end()
    told = [
        (choice["index"], choice["delta"]["audio"])
        for event in stream.events[:-1]
        for choice in event["choices"]
        if "audio" in choice["delta"]
    ]
    for index in (0, 1):
        audio = [one for number, one in told if number == index]
        assert "".join(one["data"] for one in audio) == "AAAABBBBCCCC"
        assert {one["transcript"] for one in audio} == {""}
        assert len({(one["id"], one["expires_at"]) for one in audio}) == 1
    assert len({one["id"] for _, one in told}) == 2


def test_images_are_counted_over_the_stream() -> None:
    image = Media("image/png", data="AAAA")
    stream = Stream().write(piece(image, image), piece(image, finish=Finish.STOP)).end()
    assert [image["index"] for delta in stream.deltas for image in delta["images"]] == [0, 1, 2]


def test_what_comes_behind_the_reason_to_stop() -> None:
    stream = Stream().write(piece(Text("a"), finish=Finish.LENGTH), piece(citations=[Citation(0, 1, "u", "t")])).end()
    finishes = [event["choices"][0]["finish_reason"] for event in stream.events[:-1]]
    assert finishes == [None, None, None, "length"]


def test_two_choices() -> None:
    stream = Stream().write(
        Answer("r", "m", [Choice(0, [Text("a")]), Choice(1, [Text("b")])]),
        Answer("r", "m", [Choice(1, [], Finish.LENGTH)]),
        Answer("r", "m", [Choice(0, [ToolCall("1", "f", {})], Finish.TOOL_CALLS)]),
    )
    stream.end()
    for index, finish in ((0, "tool_calls"), (1, "length")):
        own = [event["choices"][0] for event in stream.events[:-1] if event["choices"][0]["index"] == index]
        assert [one["delta"].get("role") for one in own] == ["assistant"] + [None] * (len(own) - 1)
        assert [one["finish_reason"] for one in own] == [None] * (len(own) - 1) + [finish]


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [Answer()],
        [piece(Text("a"))],
        # One of two choices.
        [piece(Text("a"), finish=Finish.STOP), piece(Text("b"), index=1)],
    ],
)
def test_an_end_before_the_end_is_an_error(answers: list[Answer]) -> None:
    events = Stream(include_usage=True).write(*answers).end().events
    assert events[-1]["error"]["type"] == "server_error"
    assert all(choice["finish_reason"] is None for event in events[:-1] for choice in event["choices"])


def test_nothing_after_a_failure() -> None:
    stream = Stream(include_usage=True).write(piece(Text("a"), finish=Finish.STOP)).fail()
    assert stream.events[-1] == {
        "error": {"message": "gone", "type": "server_error", "param": None, "code": "service_unavailable"}
    }
    sent = stream.sent
    assert stream.write(piece(Text("b"))).end().fail().sent == sent


def test_nothing_after_the_end() -> None:
    stream = Stream().write(piece(Text("a"), finish=Finish.STOP)).end()
    sent = stream.sent
    assert stream.write(piece(Text("b"))).end().fail().sent == sent


def streamed(*events: object) -> list[Any]:
    reader, stream = AnswerReader(), Stream(include_usage=True)
    for event in events:
        stream.write(reader.read(event))
        if reader.failure:
            stream.sent += stream.writer.fail(reader.failure)
    return stream.end().events


def test_a_call_and_then_an_empty_stop() -> None:
    """As Gemini 3.5 and newer end a turn of calls."""
    events = streamed(
        {"responseId": "r", "candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}}]},
        {"responseId": "r", "candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP"}]},
    )
    assert [event["choices"][0]["finish_reason"] for event in events[:-2]] == [None, None, "tool_calls"]
    assert events[-1] == "[DONE]"


def test_a_blocked_prompt() -> None:
    *chunks, _, done = streamed({"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "why"}})
    assert [event["choices"][0]["delta"] for event in chunks] == [
        {"role": "assistant", "content": ""},
        {"refusal": "why"},
        {},
    ]
    assert (chunks[-1]["choices"][0]["finish_reason"], done) == ("content_filter", "[DONE]")


def test_an_error_inside_a_stream() -> None:
    events = streamed(
        {"candidates": [{"content": {"parts": [{"text": "a"}]}}]},
        {"error": {"code": 429, "message": "Quota.", "status": "RESOURCE_EXHAUSTED"}},
        {"candidates": [{"content": {"parts": [{"text": "b"}]}, "finishReason": "STOP"}]},
    )
    assert events[-1]["error"]["type"] == "rate_limit_error"
    assert "[DONE]" not in events
    assert '{"content": "b"}' not in json.dumps(events)


@given(events=st.lists(documents(), max_size=4))
def test_any_stream(events: list[object]) -> None:
    sent = streamed(*events)
    assert (sent[-1] == "[DONE]") != ("error" in sent[-1])
    chunks = [event for event in sent if "choices" in event]
    assert len({event["id"] for event in chunks}) <= 1
    own: dict[int, list[Json]] = {}
    for event in chunks:
        for choice in event["choices"]:
            own.setdefault(choice["index"], []).append(choice)
    for choices in own.values():
        assert [bool(choice["delta"].get("role")) for choice in choices] == [True] + [False] * (len(choices) - 1)
        finishes = [choice["finish_reason"] for choice in choices]
        assert not any(finishes[:-1])
        assert bool(finishes[-1]) == (sent[-1] == "[DONE]")
        assert finishes[-1] in (None, *Finish)


def test_a_custom_tool_gets_its_call_as_a_text() -> None:
    tools = {"patch": ClientTool("custom", "apply_patch"), "shell": ClientTool("shell", "shell")}
    parts: list[Part] = [ToolCall("c", "patch", {"input": "***"}), ToolCall("d", "f", {"input": "x"})]
    answer = Answer("r", "m", [Choice(0, parts, Finish.TOOL_CALLS)])
    expected: list[Json] = [
        {"id": "c", "type": "custom", "custom": {"name": "apply_patch", "input": "***"}},
        {"id": "d", "type": "function", "function": {"name": "f", "arguments": '{"input": "x"}'}},
    ]
    whole: Any = write_answer(answer, "m", tools)
    assert whole["choices"][0]["message"]["tool_calls"] == expected
    writer = StreamWriter("m", False, tools)
    lines = (writer.write(answer) + writer.end()).decode().splitlines()
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    streamed = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert streamed == [{"index": index} | call for index, call in enumerate(expected)]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
