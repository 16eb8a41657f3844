from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from metering.usage.predict import PredictReader
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.metering.usage.told import counts
from tests.metering.usage.told import pruned
from tests.metering.usage.told import read
from tests.metering.usage.told import told

Json = dict[str, Any]


def embedding(tokens: object) -> Json:
    return {"embeddings": {"values": [0.1], "statistics": {"token_count": tokens, "truncated": False}}}


def chat(prompt: int | None, completion: int | None, **more: object) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": (prompt or 0) + (completion or 0),
    }
    return {"id": "chat-1", "object": "chat.completion", "model": "google/medgemma", "choices": [choice]} | {
        "usage": usage,
        **more,
    }


IMAGE = {"mimeType": "image/png", "bytesBase64Encoded": "AAAA"}


@pytest.mark.parametrize(
    ("model", "answer", "expected"),
    [
        (
            "text-embedding-005",
            {"predictions": [embedding(3), embedding(4.0)], "metadata": {"billableCharacterCount": 11}},
            {"input_tokens": 7, "input_items": 2},
        ),
        # One unknown makes the sum unknown.
        ("text-embedding-005", {"predictions": [embedding(3), embedding(None)]}, {"input_items": 2}),
        ("multimodalembedding@001", {"predictions": [{"textEmbedding": [0.1]}]}, {"input_items": 1}),
        ("imagen-4.0-generate-001", {"predictions": [IMAGE, IMAGE]}, {"images": 2}),
        ("imagen-4.0-generate-001", {"predictions": [IMAGE, {"raiFilteredReason": "x"}]}, {"images": 1}),
        (
            "imagen-4.0-generate-001",
            {"predictions": [{"gcsUri": "gs://x", "mimeType": "image/png"}]},
            {"images": 1},
        ),
        ("imagen-4.0-generate-001", {}, {"images": 0}),
        ("imagegeneration@006", {}, {"images": 0}),
        ("imagetext@001", {}, {"images": 0}),
        ("virtual-try-on-preview-08-04", {}, {"images": 0}),
        (
            "imagen-4.0-generate-001",
            {"predictions": [{"safetyAttributes": {"contentType": "Positive"}}]},
            {"images": 0},
        ),
        # The shape tells where the name does not.
        ("gpt-image-2", {"predictions": [IMAGE]}, {"images": 1}),
        (None, {"predictions": [[1.0, 2.0]]}, {"input_items": 1}),
        (None, {"predictions": []}, {}),
    ],
)
def test_answers(model: str | None, answer: Json, expected: Json) -> None:
    assert counts(PredictReader(model), answer) == expected
    assert counts(PredictReader(model), *pruned(PredictReader(model), answer)) == expected


def test_characters_are_kept_as_they_came() -> None:
    answer = {"predictions": [embedding(3)], "metadata": {"billableCharacterCount": 11, "note": "text"}}
    assert told(PredictReader("text-embedding-005"), answer)["usage_raw"] == {"billableCharacterCount": 11}


CHAT = {
    "model_served": "medgemma",
    "response_id": "chat-1",
    "finish_reason": "stop",
    "input_tokens": 12,
    "output_tokens": 30,
    "total_tokens": 42,
}


@pytest.mark.parametrize(
    "answer",
    [
        {"predictions": chat(12, 30), "deployedModelId": "1", "modelDisplayName": "medgemma-1"},
        {"predictions": [chat(12, 30)]},
        # What the container answers to rawPredict.
        chat(12, 30),
    ],
)
def test_a_chat(answer: Json) -> None:
    assert counts(PredictReader("m"), answer) == CHAT
    assert counts(PredictReader("m"), *pruned(PredictReader("m"), answer)) == CHAT


def test_a_chat_of_tensors() -> None:
    usage = {"structVal": {"prompt_tokens": {"intVal": [12]}, "completion_tokens": {"int64Val": ["30"]}}}
    choice = {"structVal": {"finish_reason": {"stringVal": ["stop"]}}}
    answer = {"outputs": [{"structVal": {"choices": {"listVal": [choice]}, "usage": usage}}]}
    expected = {"input_tokens": 12, "output_tokens": 30, "finish_reason": "stop"}
    assert counts(PredictReader("m"), answer) == expected
    assert counts(PredictReader("m"), *pruned(PredictReader("m"), answer)) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [("intVal", 12), ("int64Val", "12"), ("uintVal", 12), ("uint64Val", "12"), ("floatVal", 12.0), ("doubleVal", 12.0)],
)
def test_tensors(name: str, value: object) -> None:
    answer = {"outputs": [{"structVal": {"usage": {"structVal": {"prompt_tokens": {name: [value]}}}}}]}
    assert counts(PredictReader("m"), *pruned(PredictReader("m"), answer)) == {"input_tokens": 12}


@pytest.mark.parametrize(
    ("predictions", "tokens"),
    [
        ([chat(12, 30), chat(5, 7)], (17, 37, 54)),
        ([chat(12, 30), chat(5, 7), chat(1, 1)], (18, 38, 56)),
        # One unknown makes the sum unknown.
        ([chat(12, 30), chat(5, 7, usage=None)], (None, None, None)),
    ],
)
def test_several_chats(predictions: list[Json], tokens: tuple[int | None, ...]) -> None:
    known = counts(PredictReader("m"), {"predictions": predictions})
    assert tuple(known.get(name) for name in ("input_tokens", "output_tokens", "total_tokens")) == tokens
    assert known["response_id"] == "chat-1"


@pytest.mark.parametrize("around", [lambda chunk: chunk, lambda chunk: {"predictions": [chunk]}])
def test_a_stream_of_a_chat(around: Callable[[Json], Json]) -> None:
    reader = PredictReader("m")
    assert not reader.ends_with_event
    chunk = {"id": "chat-1", "model": "google/medgemma", "choices": [{"index": 0, "delta": {"role": "assistant"}}]}
    reader.read(around(chunk))
    assert (reader.content, reader.terminal, reader.ends_with_event) == (False, False, True)
    reader.read(around({**chunk, "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}))
    assert (reader.content, reader.terminal) == (True, False)
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
    reader.read(around({**chunk, "choices": [], "usage": usage}))
    usage = {"prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42}
    reader.read(around({**chunk, "choices": [], "usage": usage}))
    reader.read(b"[DONE]")
    assert counts(reader) == CHAT
    assert reader.terminal


@pytest.mark.parametrize(
    ("events", "tokens"),
    [
        ([{"error": {"status": "INTERNAL"}}], None),
        ([{"predictions": [chat(12, 30, error={"code": "INTERNAL"})]}], 12),
        ([{"predictions": [chat(12, 30)]}, {"error": {"status": "INTERNAL"}}], 12),
        ([{"predictions": [chat(12, 30), chat(12, 30)], "error": {"status": "INTERNAL"}}], 24),
    ],
)
def test_errors(events: list[Json], tokens: int | None) -> None:
    known = told(PredictReader("imagen"), *events)
    assert (known["failed"], known["error_type"]) == (True, "INTERNAL")
    assert (known.get("input_tokens"), known.get("images")) == (tokens, None)


@given(value=json_values)
def test_any_shape(value: object) -> None:
    read(
        PredictReader("imagen"),
        value,
        {"predictions": value, "metadata": value},
        {"predictions": [value]},
        {"predictions": value, "usage": value, "choices": value},
        {"predictions": [{"usage": value, "choices": value}], "outputs": value},
        {"outputs": [{"structVal": value}, {"listVal": value}, {"structVal": {"usage": {"intVal": value}}}]},
        *ANYTHING,
    )
