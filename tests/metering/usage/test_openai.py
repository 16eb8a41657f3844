from typing import Any

import pytest
from hypothesis import given

from metering.usage.openai import ChatReader
from metering.usage.openai import ImagesReader
from metering.usage.openai import ResponsesReader
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.metering.usage.told import counts
from tests.metering.usage.told import pruned
from tests.metering.usage.told import told

Json = dict[str, Any]


def chunk(delta: Json, **fields: object) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": fields.pop("finish_reason", None)}
    return {"id": "chatcmpl-1", "model": "gpt-4o-2024", "choices": [choice], **fields}


def usage(prompt: int, completion: int | None, total: int | None, reasoning: int | None = None, **more: object) -> Json:
    known: Json = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **more}
    if reasoning is not None:
        known["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    return {"usage": known}


STREAM: list[object] = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Hi"}),
    chunk({}, finish_reason="stop"),
    {"id": "chatcmpl-1", "model": "gpt-4o-2024", "choices": [], **usage(5, 7, 12)},
    b"[DONE]",
]
EVERYTHING = usage(
    50,
    40,
    90,
    prompt_tokens_details={
        "cached_tokens": 3,
        "cache_write_tokens": 4,
        "text_tokens": 30,
        "image_tokens": 12,
        "audio_tokens": 8,
    },
    completion_tokens_details={"reasoning_tokens": 5, "text_tokens": 20, "image_tokens": 10, "audio_tokens": 5},
    extra_properties={"google": {"traffic_type": "ON_DEMAND"}},
)
RESPONSE: Json = {
    "id": "resp_1",
    "object": "response",
    "model": "gpt-5",
    "status": "completed",
    "output": [{"type": "web_search_call"}, {"type": "image_generation_call"}, {"type": "message"}],
    "usage": {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 1},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 29,
    },
}
RESPONSE_COUNTS = {
    "model_served": "gpt-5",
    "response_id": "resp_1",
    "finish_reason": "completed",
    "input_tokens": 20,
    "input_cached_tokens": 5,
    "input_cache_write_tokens": 1,
    "output_tokens": 9,
    "output_thought_tokens": 4,
    "total_tokens": 29,
    "images": 1,
    "search_queries": 1,
}


class TestChat:
    def test_stream(self) -> None:
        reader = ChatReader()
        reader.read(STREAM[0])
        assert not reader.reading.content
        reader.read(STREAM[1])
        assert reader.reading.content
        for event in STREAM[2:4]:
            reader.read(event)
        assert not reader.reading.terminal
        assert counts(reader, STREAM[4]) == {
            "model_served": "gpt-4o-2024",
            "response_id": "chatcmpl-1",
            "finish_reason": "stop",
            "input_tokens": 5,
            "output_tokens": 7,
            "total_tokens": 12,
        }
        assert reader.reading.terminal

    @pytest.mark.parametrize(
        ("event", "expected"),
        [
            (usage(5, 7, 12, reasoning=4), (5, 7, 4, 12)),
            # Gemini on Vertex: documented, reasoning is left out.
            (usage(27, 45, 576, reasoning=504), (27, 549, 504, 576)),
            # Grok on Vertex: it is not.
            (usage(335, 305, 640, reasoning=284), (335, 305, 284, 640)),
            # AI Studio: only the total tells.
            (usage(2000, 3, 2023), (2000, 23, 20, 2023)),
            # A total that explains nothing.
            (usage(5, 7, 20, reasoning=3), (5, 7, 3, 20)),
            (usage(5, 7, None), (5, 7, None, None)),
            (usage(5, None, 5), (5, None, None, 5)),
            ({"usage": None}, (None, None, None, None)),
            ({}, (None, None, None, None)),
        ],
    )
    def test_reasoning(self, event: Json, expected: tuple[int | None, ...]) -> None:
        reader = ChatReader()
        reader.read(event)
        known = reader.reading
        assert (
            known.input_tokens,
            known.output_tokens,
            known.output_thought_tokens,
            known.total_tokens,
        ) == expected

    def test_details(self) -> None:
        details = {"cached_tokens": 3, "audio_tokens": 2, "text_tokens": 3}
        event = usage(5, 7, 12, prompt_tokens_details=details)
        event["usage"]["extra_properties"] = {"google": {"traffic_type": "ON_DEMAND"}}
        known = counts(ChatReader(), event)
        assert known["input_cached_tokens"] == 3
        assert known["input_by_modality"] == {"audio": 2, "text": 3}
        assert known["traffic_type"] == "ON_DEMAND"

    def test_everything(self) -> None:
        assert counts(ChatReader(), EVERYTHING) == {
            "input_tokens": 50,
            "input_cached_tokens": 3,
            "input_cache_write_tokens": 4,
            "input_by_modality": {"text": 30, "image": 12, "audio": 8},
            "output_tokens": 40,
            "output_thought_tokens": 5,
            "output_by_modality": {"text": 20, "image": 10, "audio": 5},
            "total_tokens": 90,
            "traffic_type": "ON_DEMAND",
        }

    def test_names_without_their_publisher(self) -> None:
        known = counts(ChatReader(), {"model": "google/gemini-2.5-flash", "service_tier": "flex"})
        assert known == {"model_served": "gemini-2.5-flash", "traffic_type": "flex"}

    def test_embeddings(self) -> None:
        answer = {
            "object": "list",
            "data": [{"embedding": [1]}, {}],
            "usage": {"prompt_tokens": 4, "total_tokens": 4},
        }
        assert counts(ChatReader(), answer) == {"input_items": 2, "input_tokens": 4, "total_tokens": 4}

    def test_the_finish_of_the_first_choice(self) -> None:
        choices = [{"index": 1, "finish_reason": "length"}, {"index": 0, "finish_reason": "stop"}]
        assert counts(ChatReader(), {"choices": choices}) == {"finish_reason": "stop"}

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            ({"error": {"type": "server_error", "message": "secret"}}, "server_error"),
            ({"error": {"status": "UNAVAILABLE", "code": 503}}, "UNAVAILABLE"),
            ({"error": {"message": "secret"}}, None),
            ({"error": "secret text"}, None),
        ],
    )
    def test_an_error_event(self, error: Json, code: str | None) -> None:
        known = told(ChatReader(), error)
        assert known == ({"failed": True, "error_type": code} if code else {"failed": True})


class TestResponses:
    def test_unary(self) -> None:
        reader = ResponsesReader()
        assert counts(reader, RESPONSE) == RESPONSE_COUNTS
        assert not reader.reading.terminal

    def test_stream(self) -> None:
        reader = ResponsesReader()
        created = {**RESPONSE, "status": "in_progress", "usage": None, "output": []}
        assert counts(reader, {"type": "response.created", "response": created}) == {
            "model_served": "gpt-5",
            "response_id": "resp_1",
        }
        reader.read({"type": "response.output_text.delta", "delta": "Hi"})
        assert (reader.reading.content, reader.reading.terminal) == (True, False)
        assert counts(reader, {"type": "response.completed", "response": RESPONSE}) == RESPONSE_COUNTS
        assert reader.reading.terminal

    def test_incomplete(self) -> None:
        response = {**RESPONSE, "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        reader = ResponsesReader()
        known = counts(reader, {"type": "response.incomplete", "response": response})
        assert known["finish_reason"] == "max_output_tokens"
        assert (reader.reading.terminal, reader.reading.failed) == (True, False)

    @pytest.mark.parametrize(
        "event",
        [
            {"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error"}}},
            {"type": "error", "code": "server_error", "message": "secret"},
            {
                "object": "response",
                "status": "failed",
                "error": {"code": "server_error", "message": "secret"},
            },
        ],
    )
    def test_failed(self, event: Json) -> None:
        known = told(ResponsesReader(), event)
        assert known["failed"]
        assert known["error_type"] == "server_error"

    def test_in_the_background(self) -> None:
        assert counts(ResponsesReader(), {"id": "resp_1", "status": "queued", "usage": None}) == {
            "response_id": "resp_1"
        }


class TestImages:
    def test_unary(self) -> None:
        details = {"text_tokens": 5, "image_tokens": 0}
        used = {"input_tokens": 5, "input_tokens_details": details, "output_tokens": 100, "total_tokens": 105}
        assert counts(ImagesReader(), {"data": [{}, {}], "usage": used}) == {
            "images": 2,
            "input_tokens": 5,
            "input_by_modality": {"text": 5, "image": 0},
            "output_tokens": 100,
            "total_tokens": 105,
        }

    def test_without_usage(self) -> None:
        assert counts(ImagesReader(), {"data": [{"url": "x"}]}) == {"images": 1}

    def test_stream(self) -> None:
        reader = ImagesReader()
        reader.read({"type": "image_generation.partial_image"})
        assert (reader.reading.content, reader.reading.terminal) == (True, False)
        used = {"input_tokens": 5, "output_tokens": 100, "total_tokens": 105}
        assert counts(reader, {"type": "image_generation.completed", "usage": used})["images"] == 1
        assert reader.reading.terminal


@pytest.mark.parametrize(
    ("reader", "events"),
    [
        (ChatReader, STREAM[:-1]),
        (ChatReader, [{"service_tier": "flex", **EVERYTHING}]),
        (ChatReader, [{"service_tier": "flex", "usage": {"prompt_tokens": 1}}]),
        (ChatReader, [usage(5, 7, 12, prompt_cache_hit_tokens=3)]),
        (ResponsesReader, [RESPONSE]),
        (ImagesReader, [{"data": [], "usage": RESPONSE["usage"]}]),
        (ImagesReader, [{"data": [{"b64_json": "x"}]}]),
    ],
)
def test_pruning_leaves_all_that_is_read(
    reader: type[ChatReader | ResponsesReader | ImagesReader], events: list[object]
) -> None:
    assert told(reader(), *pruned(reader(), *events)) == told(reader(), *events)


@pytest.mark.parametrize("reader", [ChatReader, ResponsesReader, ImagesReader])
@given(value=json_values)
def test_any_shape(reader: type[ChatReader | ResponsesReader | ImagesReader], value: object) -> None:
    for member in ("choices", "usage", "response", "data", "error", "output"):
        told(reader(), value, {member: value, "type": "response.completed"}, {member: [value]}, *ANYTHING)


def test_an_empty_usage_erases_nothing() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    known = counts(ChatReader(), {"choices": [], "usage": usage}, {"choices": [], "usage": {}}, b"[DONE]")
    assert known == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
