import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Finish
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import TokenLogprob
from addons.translation.conversation import ToolCall
from addons.translation.conversation import Usage
from addons.translation.gemini.read_answer import AnswerReader as GeminiReader
from addons.translation.gemini.write_request import write_request as write_for_gemini
from addons.translation.openai_responses.write_answer import write_answer
from tests.addons.translation.chats import check
from tests.addons.translation.gemini.examples import documents
from tests.addons.translation.openai_responses.answers import BEGIN
from tests.addons.translation.openai_responses.answers import Stream
from tests.addons.translation.openai_responses.answers import bodies
from tests.addons.translation.openai_responses.answers import items_of
from tests.addons.translation.openai_responses.answers import piece
from tests.addons.translation.openai_responses.answers import said_parts
from tests.addons.translation.openai_responses.answers import told
from tests.addons.translation.openai_responses.answers import without
from tests.addons.translation.openai_responses.inputs import HI
from tests.addons.translation.openai_responses.inputs import SEALED
from tests.addons.translation.openai_responses.inputs import output
from tests.addons.translation.openai_responses.inputs import read

Json = dict[str, Any]


def test_an_answer() -> None:
    answer = Answer("r", "served", [Choice(0, [Text("Hel"), Text("lo")])], Usage(5, 7, 1, 2, cache_written=3), "flex")
    response = write_answer(answer, "asked", {})
    assert (response["id"], response["object"], response["model"]) == ("resp_r", "response", "served")
    assert (response["status"], response["error"], response["incomplete_details"]) == ("completed", None, None)
    assert 0 <= response["completed_at"] - response["created_at"] <= 60  # type: ignore[operator]
    assert response["service_tier"] == "flex"
    assert response["usage"] == {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 3},
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


@pytest.mark.parametrize(
    ("parts", "kinds"),
    [
        ([], []),
        ([Text("a")], [("message", "incomplete")]),
        ([ToolCall("1", "f", {})], [("function_call", "completed")]),
    ],
)
def test_an_invalid_answer(parts: list[Part], kinds: list[tuple[str, str]]) -> None:
    response = told(*parts, finish=Finish.STOP, refusal="why", is_invalid=True)
    assert (response["status"], response["error"]) == ("failed", {"code": "server_error", "message": "why"})
    assert (response["incomplete_details"], "completed_at" in response) == (None, False)
    assert [(item["type"], item["status"]) for item in response["output"]] == kinds
    events = Stream({}).write(piece(*parts), piece(finish=Finish.STOP, refusal="why", is_invalid=True)).end().events
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"] == response["error"]


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
