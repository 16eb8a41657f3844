from dataclasses import replace
from typing import Any

import pytest

from metering import conventions
from metering.call import Call
from metering.conventions import attributes
from metering.conventions import difference
from metering.conventions import measured
from metering.conventions import provider_of

GEMINI: dict[str, Any] = {
    "started_at": 0,
    "state": "done",
    "status": 200,
    "usage_state": "final",
    "surface": "vertex",
    "operation": "streamGenerateContent",
    "upstream_host": "us-central1-aiplatform.googleapis.com",
    "model": "gemini-2.5-flash",
    "model_served": "gemini-2.5-flash-001",
    "duration_us": 2_500_000,
    "ttft_us": 300_000,
    "input_tokens": 100,
    "input_cached_tokens": 40,
    "output_tokens": 30,
    "output_thought_tokens": 10,
    "input_by_modality": {"text": 60, "image": 40},
    "output_by_modality": {"text": 20},
}


def call(**fields: Any) -> Call:
    return Call(**GEMINI | fields)


def told(one: Call) -> dict[tuple[str, str], float]:
    return {(instrument.name, value): amount for (instrument, value), amount in measured(one).items()}


def test_names() -> None:
    """Those of the conventions, the newest and the previous ones."""
    usage = "gen_ai.client.inference.usage"
    assert {one.name for one in conventions.INSTRUMENTS if one.buckets is None} == {
        f"{usage}.input_tokens",
        f"{usage}.output_tokens",
        f"{usage}.cache_read.input_tokens",
        f"{usage}.cache_write.input_tokens",
        f"{usage}.reasoning.output_tokens",
    }
    assert {one.name: one.buckets[-1] for one in conventions.INSTRUMENTS if one.buckets} == {
        "gen_ai.client.inference.duration": 81.92,
        "gen_ai.client.inference.time_to_first_chunk": 81.92,
        "gen_ai.client.operation.duration": 81.92,
        "gen_ai.client.token.usage": 67108864,
    }


def test_all_that_is_measured() -> None:
    assert attributes(call()) == {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "gcp.vertex_ai",
        "gen_ai.request.model": "gemini-2.5-flash",
        "gen_ai.response.model": "gemini-2.5-flash-001",
    }
    assert told(call()) == {
        ("gen_ai.client.inference.duration", ""): 2.5,
        ("gen_ai.client.operation.duration", ""): 2.5,
        ("gen_ai.client.inference.time_to_first_chunk", ""): 0.3,
        ("gen_ai.client.token.usage", "input"): 100,
        ("gen_ai.client.token.usage", "output"): 30,
        ("gen_ai.client.inference.usage.input_tokens", "text"): 60,
        ("gen_ai.client.inference.usage.input_tokens", "image"): 40,
        ("gen_ai.client.inference.usage.output_tokens", "text"): 20,
        ("gen_ai.client.inference.usage.output_tokens", "unknown"): 10,
        ("gen_ai.client.inference.usage.cache_read.input_tokens", "unknown"): 40,
        ("gen_ai.client.inference.usage.reasoning.output_tokens", "unknown"): 10,
    }


def test_what_is_unknown_is_not_measured() -> None:
    one = call(usage_state="absent", input_tokens=None, output_tokens=None, input_cached_tokens=None, ttft_us=None)
    one.output_thought_tokens = None
    assert {name for name, _ in told(one)} == {"gen_ai.client.inference.duration", "gen_ai.client.operation.duration"}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (None, {"unknown": 100}),
        ({}, {"unknown": 100}),
        ({"text": 100}, {"text": 100}),
        ({"text": 90, "audio": 20}, {"text": 90, "audio": 10}),
        ({"text": 0, "audio": 20}, {"audio": 20, "unknown": 80}),
    ],
)
def test_the_modalities_add_up(parts: dict[str, int] | None, expected: dict[str, int]) -> None:
    found = measured(call(input_by_modality=parts))
    assert {value: n for (one, value), n in found.items() if one is conventions.INPUT} == expected


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"status": 429, "error_type": "RESOURCE_EXHAUSTED"}, "RESOURCE_EXHAUSTED"),
        ({"status": 503}, "503"),
        ({"state": "client_closed", "error_type": "client_closed"}, "client_closed"),
        ({"state": "interrupted", "status": None}, "interrupted"),
    ],
)
def test_errors(fields: dict[str, Any], error: str) -> None:
    one = call(usage_state="not_applicable", input_tokens=None, output_tokens=None, **fields)
    assert ("gen_ai.client.inference.duration", error) in told(one)


@pytest.mark.parametrize(
    "fields",
    [
        {"operation": "models.list", "usage_state": "not_applicable"},
        {"operation": "models.list", "usage_state": "not_applicable", "status": 403},
        {"operation": "fetchPredictOperation", "usage_state": "not_applicable"},
        {"operation": "countTokens", "usage_state": "not_applicable"},
        {"state": "open", "usage_state": None},
    ],
)
def test_what_runs_no_model_is_not_measured(fields: dict[str, Any]) -> None:
    assert measured(call(**fields)) == {}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"upstream_host": "generativelanguage.googleapis.com"}, "gcp.gemini"),
        ({"upstream_host": "api.openai.com"}, "openai"),
        ({"upstream_host": "127.0.0.1"}, "gcp.vertex_ai"),
        ({"upstream_host": "127.0.0.1", "surface": "vertex-live"}, "gcp.vertex_ai"),
        ({"upstream_host": "127.0.0.1", "surface": "vertex-openai"}, "gcp.vertex_ai"),
        ({"upstream_host": "127.0.0.1", "surface": "gemini"}, "gcp.gemini"),
        ({"upstream_host": "127.0.0.1", "surface": "anthropic"}, "anthropic"),
        ({"upstream_host": "127.0.0.1", "rewritten": True, "upstream_path": "/v1/chat/completions"}, "openai"),
        (
            {"upstream_host": "h", "surface": "openai", "rewritten": True, "upstream_path": "/v1/publishers/google/x"},
            "gcp.vertex_ai",
        ),
        ({"upstream_host": None, "surface": None}, ""),
    ],
)
def test_who_answers(fields: dict[str, Any], expected: str) -> None:
    assert provider_of(call(**fields)) == expected


OPERATION_NAMES = {
    "generate_content": "generateContent streamGenerateContent BidiGenerateContent",
    "chat": "rawPredict streamRawPredict chat/completions responses messages realtime interactions.create"
    " interactions.createStream",
    "embeddings": "embedContent batchEmbedContents embeddings",
    "text_completion": "completions complete",
    "predict": "predict",
    "predictLongRunning": "predictLongRunning",
    "images/generations": "images/generations",
    "images/edits": "images/edits",
    "videos": "videos",
}
"""`gen_ai.operation.name` -> the operations that run a model and have this name."""


def test_operations() -> None:
    named = {one: name for name, ours in OPERATION_NAMES.items() for one in ours.split()}
    assert {one: attributes(call(operation=one))["gen_ai.operation.name"] for one in named} == named
    # They are measured even if nothing came.
    failed = [call(operation=one, usage_state="not_applicable", status=500) for one in named]
    assert all(("gen_ai.client.operation.duration", "500") in told(one) for one in failed)


def test_only_what_is_more() -> None:
    before = call(output_tokens=None, input_tokens=90, output_by_modality=None, input_by_modality=None)
    after = replace(before, output_tokens=30, input_tokens=100)
    more = {(one.name, value): amount for (one, value), amount in difference(measured(before), measured(after)).items()}
    assert more == {
        ("gen_ai.client.inference.usage.input_tokens", "unknown"): 10,
        ("gen_ai.client.inference.usage.output_tokens", "unknown"): 30,
        ("gen_ai.client.token.usage", "output"): 30,
    }
    assert difference(measured(after), measured(after)) == {}
