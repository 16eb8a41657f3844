from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Finish
from addons.translation.conversation import Media
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import TokenLogprob
from addons.translation.conversation import ToolCall
from addons.translation.conversation import Usage
from tests.addons.translation import chats
from tests.addons.translation.openai_responses.answers import BEGIN
from tests.addons.translation.openai_responses.answers import Stream
from tests.addons.translation.openai_responses.answers import bodies
from tests.addons.translation.openai_responses.answers import items_of
from tests.addons.translation.openai_responses.answers import piece
from tests.addons.translation.openai_responses.answers import said_parts
from tests.addons.translation.openai_responses.answers import told
from tests.addons.translation.openai_responses.answers import without
from tests.addons.translation.openai_responses.inputs import SEALED
from tests.addons.translation.openai_responses.inputs import SIGNATURE

Json = dict[str, Any]


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


@given(st.lists(answers, max_size=4), bodies)
def test_deltas_make_the_items(given_: list[Answer], body: Json) -> None:
    stream = Stream(body).write(*given_).end()
    events = stream.events
    assert [event for event in events if "response" in event] == [*events[:2], events[-1]]
    output, final = rebuilt(events), events[-1]["response"]["output"]
    if events[-1]["type"] == "response.failed" and final and "status" in final[-1]:
        output[-1]["status"] = final[-1]["status"]
    assert output == final
    assert len({item["id"] for item in final}) == len(final)
