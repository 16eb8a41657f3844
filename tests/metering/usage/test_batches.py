from typing import Any

import pytest
from hypothesis import given

from metering.usage.batches import BatchReader
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.metering.usage.told import counts
from tests.metering.usage.told import pruned
from tests.metering.usage.told import read
from tests.metering.usage.told import told

Json = dict[str, Any]
JOB = "projects/123/locations/us-central1/batchPredictionJobs/456"


def openai(status: str, **more: object) -> Json:
    counted = {"total": 100, "completed": 95, "failed": 5}
    return {"id": "batch_1", "object": "batch", "status": status, "request_counts": counted, **more}


USED = {
    "input_tokens": 1000,
    "input_tokens_details": {"cached_tokens": 64},
    "output_tokens": 300,
    "output_tokens_details": {"reasoning_tokens": 200},
    "total_tokens": 1300,
}
USED_COUNTS = {
    "input_tokens": 1000,
    "input_cached_tokens": 64,
    "output_tokens": 300,
    "output_thought_tokens": 200,
    "total_tokens": 1300,
}


def vertex(state: str | int, **more: object) -> Json:
    return {
        "name": JOB,
        "displayName": "A job",
        "model": "publishers/google/models/gemini-2.5-flash",
        "state": state,
    } | more


def gemini(state: str, *answers: Json, **more: object) -> Json:
    stats = {"requestCount": "3", "successfulRequestCount": "2", "failedRequestCount": "1"}
    response = {"inlinedResponses": {"inlinedResponses": list(answers)}}
    return {"name": "batches/123", "metadata": {"state": state, "batchStats": stats}, "response": response, **more}


def answer(prompt: int, candidates: int | None) -> Json:
    used = {"promptTokenCount": prompt, "candidatesTokenCount": candidates, "thoughtsTokenCount": 5}
    usage = {**used, "totalTokenCount": None if candidates is None else prompt + candidates + 5}
    return {"response": {"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage}}


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (openai("validating", usage={"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}), {}),
        (openai("in_progress", usage=USED), {}),
        (
            openai("completed", usage=USED, model="gpt-5.4"),
            {"finish_reason": "completed", "input_items": 95, **USED_COUNTS},
        ),
        # Of batches before September 2025 it is not told.
        (openai("completed"), {"finish_reason": "completed", "input_items": 95}),
        (openai("expired", usage=USED), {"finish_reason": "expired", "input_items": 95, **USED_COUNTS}),
        (openai("cancelled", usage=USED), {"finish_reason": "cancelled", "input_items": 95, **USED_COUNTS}),
        (
            openai("failed", errors={"object": "list", "data": [{"code": "invalid_json_line", "message": "secret"}]}),
            {"finish_reason": "failed", "input_items": 95, "error_type": "invalid_json_line"},
        ),
    ],
)
def test_openai(job: Json, expected: Json) -> None:
    tier = {"traffic_type": "batch"} if expected else {}
    assert counts(BatchReader(), job) == {"response_id": "batch_1", **tier, **expected}
    assert counts(BatchReader(), *pruned(BatchReader(), job)) == {"response_id": "batch_1", **tier, **expected}


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (vertex("JOB_STATE_PENDING"), {}),
        (vertex("JOB_STATE_RUNNING", completionStats={"successfulCount": "2"}), {}),
        # By number: running, succeeded, one that nobody knows.
        (vertex(3), {}),
        (vertex(4), {"finish_reason": "JOB_STATE_SUCCEEDED"}),
        (vertex(99), {}),
        (
            vertex("JOB_STATE_SUCCEEDED", completionStats={"successfulCount": "4", "failedCount": "1"}),
            {"finish_reason": "JOB_STATE_SUCCEEDED", "input_items": 4},
        ),
        (vertex("JOB_STATE_SUCCEEDED"), {"finish_reason": "JOB_STATE_SUCCEEDED"}),
        (
            vertex("JOB_STATE_PARTIALLY_SUCCEEDED", completionStats={"successfulCount": "4"}),
            {"finish_reason": "JOB_STATE_PARTIALLY_SUCCEEDED", "input_items": 4},
        ),
        (
            vertex("JOB_STATE_FAILED", error={"code": 3, "message": "secret"}),
            {"finish_reason": "JOB_STATE_FAILED", "error_type": "INVALID_ARGUMENT"},
        ),
        (vertex("JOB_STATE_CANCELLED"), {"finish_reason": "JOB_STATE_CANCELLED"}),
        (vertex("JOB_STATE_EXPIRED"), {"finish_reason": "JOB_STATE_EXPIRED"}),
    ],
)
def test_vertex(job: Json, expected: Json) -> None:
    tier = {"traffic_type": "batch"} if expected else {}
    assert counts(BatchReader(), job) == {"response_id": JOB, **tier, **expected}
    assert counts(BatchReader(), *pruned(BatchReader(), job)) == {"response_id": JOB, **tier, **expected}


@pytest.mark.parametrize("state", ["BATCH_STATE_SUCCEEDED", "JOB_STATE_SUCCEEDED"])
def test_gemini(state: str) -> None:
    job = gemini(state, answer(9, 20), {"error": {"code": 3}}, answer(1, 2), done=True)
    expected = {
        "response_id": "batches/123",
        "finish_reason": state,
        "traffic_type": "batch",
        "input_items": 2,
        "input_tokens": 10,
        "output_tokens": 32,
        "output_thought_tokens": 10,
        "total_tokens": 42,
    }
    assert counts(BatchReader(), job) == expected
    assert counts(BatchReader(), *pruned(BatchReader(), job)) == expected
    assert told(BatchReader(), job)["usage_raw"]["successfulRequestCount"] == 2


@pytest.mark.parametrize(
    ("job", "input_tokens", "output_tokens"),
    [
        # In a file.
        ({**gemini("BATCH_STATE_SUCCEEDED"), "response": {"responsesFile": "files/1"}}, None, None),
        # One unknown makes the sum unknown.
        (gemini("BATCH_STATE_SUCCEEDED", answer(9, 20), answer(1, None)), 10, None),
        (gemini("BATCH_STATE_RUNNING", answer(9, 20)), None, None),
        (gemini("BATCH_STATE_PENDING"), None, None),
    ],
)
def test_gemini_without_all_answers(job: Json, input_tokens: int | None, output_tokens: int | None) -> None:
    known = counts(BatchReader(), job)
    assert (known.get("input_tokens"), known.get("output_tokens")) == (input_tokens, output_tokens)


@pytest.mark.parametrize("state", ["BATCH_STATE_CANCELLED", "BATCH_STATE_EXPIRED"])
def test_gemini_that_was_stopped(state: str) -> None:
    assert counts(BatchReader(), gemini(state))["finish_reason"] == state


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (2, None),
        (3, "BATCH_STATE_SUCCEEDED"),
        (4, "BATCH_STATE_FAILED"),
        (5, "BATCH_STATE_CANCELLED"),
        (6, "BATCH_STATE_EXPIRED"),
    ],
)
def test_gemini_with_numbers_for_states(number: int, state: str | None) -> None:
    job = {"name": "batches/123", "metadata": {"state": number}}
    assert counts(BatchReader(), job).get("finish_reason") == state


def test_gemini_with_embeddings() -> None:
    answers = [{"response": {"embedding": {"values": [1]}, "tokenCount": tokens}} for tokens in ("7", 4)]
    job = gemini("BATCH_STATE_SUCCEEDED") | {
        "response": {"inlinedEmbedContentResponses": {"inlinedResponses": [*answers, {"error": {"code": 3}}]}}
    }
    known = counts(BatchReader(), *pruned(BatchReader(), job))
    assert (known["input_tokens"], known["input_items"], known.get("output_tokens")) == (11, 2, None)


def test_an_error_is_of_the_poll_if_there_is_no_job() -> None:
    known = told(BatchReader(), {"error": {"code": 404, "status": "NOT_FOUND"}})
    assert known == {"failed": True, "error_type": "NOT_FOUND"}


@pytest.mark.parametrize("state", ["failed", "JOB_STATE_FAILED", "BATCH_STATE_FAILED"])
def test_a_job_that_failed(state: str) -> None:
    assert told(BatchReader(), vertex(state))["failed"]
    assert "failed" not in told(BatchReader(), vertex("JOB_STATE_CANCELLED"))


def test_a_list_is_no_job() -> None:
    assert counts(BatchReader(), {"object": "list", "data": [openai("completed", usage=USED)]}) == {}


@given(value=json_values)
def test_any_shape(value: object) -> None:
    ended = {"id": "batch_1", "status": "completed"}
    read(
        BatchReader(),
        value,
        {**ended, "usage": value, "request_counts": value, "errors": value},
        {**ended, "metadata": value, "response": value},
        {**ended, "error": value, "errors": {"data": value}, "response": {"inlinedResponses": value}},
        {**ended, "response": {"inlinedResponses": [{"response": value}]}},
        *ANYTHING,
    )
