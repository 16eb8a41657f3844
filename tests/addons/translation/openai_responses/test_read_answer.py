import json
from typing import Any

import pytest

from addons.translation.conversation import Answer
from addons.translation.conversation import Citation
from addons.translation.conversation import Finish
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import Usage
from addons.translation.openai_responses.read_answer import AnswerReader
from tests.addons.translation.openai_responses.answers import Stream
from tests.addons.translation.openai_responses.answers import piece
from tests.addons.translation.openai_responses.answers import told

Json = dict[str, Any]
NOTE = {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 2}
ITEMS: list[tuple[Json, list[Part]]] = [
    ({"type": "message", "content": [{"type": "output_text", "text": "Hi", "annotations": [NOTE]}]}, [Text("Hi")]),
    ({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}, [Text("No.")]),
    (
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}], "content": [{"text": "b"}]},
        [Thought("a"), Thought("b")],
    ),
    (
        {
            "type": "function_call",
            "id": "fc",
            "call_id": "c",
            "name": "f",
            "arguments": '{"x": 1}',
            "status": "completed",
        },
        [ToolCall("c", "f", {"x": 1})],
    ),
    (
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"},
        [ToolCall("c", "f", {"arguments": "{"})],
    ),
    ({"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"}, [ToolCall("c", "f", {"input": "x"})]),
    (
        {"type": "local_shell_call", "id": "lsh", "status": "completed", "call_id": "c", "action": {"command": ["ls"]}},
        [ToolCall("c", "local_shell", {"action": {"command": ["ls"]}})],
    ),
    ({"type": "image_generation_call", "result": "QUJD"}, [Media("image/png", data="QUJD")]),
    ({"type": "web_search_call", "action": {"type": "search", "query": "q"}}, []),
    ({"type": "new"}, []),
]


@pytest.mark.parametrize(("item", "parts"), ITEMS)
def test_items(item: Json, parts: list[Part]) -> None:
    """Of a whole Response, and of a stream that has nothing else."""
    whole = AnswerReader().read({"object": "response", "status": "completed", "output": [item]})
    event = AnswerReader().read({"type": "response.output_item.done", "output_index": 0, "item": item})
    assert [choice.parts for choice in whole.choices] == [choice.parts for choice in event.choices] == [parts]
    assert whole.choices[0].searches == (["q"] if item["type"] == "web_search_call" else [])
    cited = [Citation(0, 2, "https://a.example", "A")]
    assert whole.choices[0].citations == (cited if parts == [Text("Hi")] else [])


def test_a_response() -> None:
    usage = {"input_tokens": 12, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 4}}
    reader = AnswerReader()
    answer = reader.read(told(Thought("a"), Text("b"), ToolCall("c", "f", {"x": 1})) | {"usage": usage})
    assert (answer.model, answer.usage) == ("served", Usage(12, 5, 4))
    (choice,) = answer.choices
    assert choice.parts == [Thought("a"), Text("b"), ToolCall("c", "f", {"x": 1})]
    assert (choice.finish, reader.finished, reader.failure) == (Finish.STOP, True, None)


def test_a_stream_tells_everything_once() -> None:
    parts: list[Part] = [Thought("a"), Thought("b"), Text("c"), Text("d"), ToolCall("e", "f", {})]
    stream = Stream().write(*map(piece, parts), piece(finish=Finish.TOOL_CALLS)).end()
    reader = AnswerReader()
    answers = [reader.read(event) for event in stream.events[:-1]]
    assert not reader.finished
    answers.append(reader.read(stream.events[-1]))
    assert [part for answer in answers for choice in answer.choices for part in choice.parts] == parts
    assert reader.finished


@pytest.mark.parametrize(
    ("event", "part"),
    [
        ("output_text", Text("a")),
        ("refusal", Text("a")),
        ("reasoning_summary_text", Thought("a")),
        ("reasoning_text", Thought("a")),
    ],
)
def test_pieces_of_text(event: str, part: Part) -> None:
    answer = AnswerReader().read({"type": f"response.{event}.delta", "output_index": 0, "delta": "a"})
    assert [choice.parts for choice in answer.choices] == [[part]]


@pytest.mark.parametrize(
    ("status", "reason", "finish"),
    [
        ("completed", None, Finish.STOP),
        ("cancelled", None, Finish.STOP),
        ("failed", None, Finish.STOP),
        ("incomplete", "max_output_tokens", Finish.LENGTH),
        ("incomplete", "content_filter", Finish.CONTENT_FILTER),
        ("in_progress", None, None),
    ],
)
def test_how_it_ended(status: str, reason: str | None, finish: Finish | None) -> None:
    response = {"object": "response", "status": status, "incomplete_details": reason and {"reason": reason}}
    assert [choice.finish for choice in AnswerReader().read(response).choices] == [finish]


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "Slow."}, 502),
        ({"error": {"type": "rate_limit_error", "message": "Slow."}}, 429),
        ({"type": "response.failed", "response": {"status": "failed", "error": {"message": "Slow."}}}, 502),
    ],
)
def test_errors(event: Json, status: int) -> None:
    reader = AnswerReader()
    reader.read(event)
    assert reader.failure
    assert (reader.failure.status, reader.failure.message) == (status, "Slow.")


def test_incomplete() -> None:
    reader = AnswerReader()
    answer = reader.read(told(Text("a"), finish=Finish.LENGTH))
    assert answer.choices[0].finish is Finish.LENGTH
    assert answer.choices[0].native
    assert answer.choices[0].native.reason == "max_output_tokens"


@pytest.mark.parametrize(
    "document", [None, [], "x", 5, {}, {"type": 5}, {"type": "response.created"}, {"type": "ping"}]
)
def test_what_is_no_answer(document: object) -> None:
    assert AnswerReader().read(json.loads(json.dumps(document))) == Answer()
