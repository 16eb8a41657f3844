from typing import Any

import pytest
from hypothesis import given

from metering.usage.predict import PredictReader
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.metering.usage.told import counts
from tests.metering.usage.told import pruned
from tests.metering.usage.told import told

Json = dict[str, Any]


def embedding(tokens: object) -> Json:
    return {"embeddings": {"values": [0.1], "statistics": {"token_count": tokens, "truncated": False}}}


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


@given(value=json_values)
def test_any_shape(value: object) -> None:
    told(
        PredictReader("imagen"),
        value,
        {"predictions": value, "metadata": value},
        {"predictions": [value]},
        *ANYTHING,
    )
