"""The recorded answers of every format, through the proxy: each leaves the row that must come of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metering.call import MODALITIES
from tests.http import call
from tests.metering.usage.test_recordings import RECORDINGS
from tests.metering.usage.test_recordings import body_of
from tests.metering.usage.test_recordings import expected_of
from tests.process import Proxy
from tests.raw_upstream import RawUpstream

NO_WEBSOCKET = [path for path in RECORDINGS if json.loads(path.read_bytes())["status"] != 101]


WITHOUT_KEY = {"x-goog-api-key": ""}
"""With one of Google's, paths that several APIs know, such as `/v1/batches`, would be Google's."""
PROJECT = "/v1/projects/p/locations/us-central1"
JOB = "projects/123/locations/us-central1/batchPredictionJobs/456"
OPENAI = {"id": "batch_1", "object": "batch", "model": "gpt-5.4", "endpoint": "/v1/responses", "usage": None}
USED = {
    "input_tokens": 1000,
    "input_tokens_details": {"cached_tokens": 64},
    "output_tokens": 300,
    "output_tokens_details": {"reasoning_tokens": 200},
    "total_tokens": 1300,
}
VERTEX = {"name": JOB, "model": "publishers/google/models/gemini-2.5-flash"}
VIDEO = {"id": "video_1", "object": "video", "model": "sora-2", "seconds": "8", "size": "720x1280", "error": None}
GEMINI = {"name": "batches/123"}
ANSWERS = [
    {"response": {"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 20, "totalTokenCount": 29}}},
    {"response": {"usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}}},
]
JOBS: list[tuple[str, str, list[dict[str, Any]], dict[str, Any]]] = [
    (
        "/v1/batches",
        "/v1/batches/batch_1",
        [
            {**OPENAI, "status": "validating"},
            {**OPENAI, "status": "in_progress", "request_counts": {"total": 9, "completed": 3, "failed": 0}},
            {
                **OPENAI,
                "status": "completed",
                "usage": USED,
                "request_counts": {"total": 9, "completed": 8, "failed": 1},
            },
        ],
        {
            "usage_state": "final",
            "finish_reason": "completed",
            "traffic_type": "batch",
            "input_items": 8,
            "input_tokens": 1000,
            "input_cached_tokens": 64,
            "output_tokens": 300,
            "output_thought_tokens": 200,
            "total_tokens": 1300,
        },
    ),
    (
        f"{PROJECT}/batchPredictionJobs",
        f"/v1/{JOB}",
        [
            {**VERTEX, "state": "JOB_STATE_PENDING"},
            {**VERTEX, "state": "JOB_STATE_RUNNING", "completionStats": {"successfulCount": "1"}},
            {**VERTEX, "state": "JOB_STATE_SUCCEEDED", "completionStats": {"successfulCount": "8", "failedCount": "1"}},
        ],
        {
            # Vertex tells how many were answered, not what they used.
            "usage_state": "absent",
            "finish_reason": "JOB_STATE_SUCCEEDED",
            "traffic_type": "batch",
            "input_items": 8,
            "input_tokens": None,
        },
    ),
    (
        "/v1/videos",
        "/v1/videos/video_1",
        [
            {**VIDEO, "status": "queued", "progress": 0},
            {**VIDEO, "status": "in_progress", "progress": 40},
            {**VIDEO, "status": "completed", "progress": 100},
        ],
        {"usage_state": "final", "finish_reason": "completed", "video_seconds": 8, "model_served": "sora-2"},
    ),
    (
        "/v1beta/models/gemini-2.5-flash:batchGenerateContent",
        "/v1beta/batches/123",
        [
            {**GEMINI, "metadata": {"state": "BATCH_STATE_PENDING", "batchStats": {"requestCount": "2"}}},
            {**GEMINI, "metadata": {"state": "BATCH_STATE_RUNNING", "batchStats": {"requestCount": "2"}}},
            {
                **GEMINI,
                "metadata": {"state": "BATCH_STATE_SUCCEEDED", "batchStats": {"successfulRequestCount": "2"}},
                "done": True,
                "response": {"inlinedResponses": {"inlinedResponses": ANSWERS}},
            },
        ],
        {
            "usage_state": "final",
            "finish_reason": "BATCH_STATE_SUCCEEDED",
            "traffic_type": "batch",
            "input_items": 2,
            "input_tokens": 10,
            "output_tokens": 22,
            "total_tokens": 32,
        },
    ),
]


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, confdir: Path, upstream: RawUpstream) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("proxy")
    with Proxy(folder=folder, confdir=confdir, mode=f"reverse:{upstream.url}") as running:
        yield running


@pytest.mark.parametrize("path", NO_WEBSOCKET, ids=lambda path: path.stem)
def test_the_row(path: Path, proxy: Proxy, upstream: RawUpstream) -> None:
    recording: dict[str, Any] = json.loads(path.read_bytes())
    body = body_of(recording)
    headers = "".join(f"{name}: {value}\r\n" for name, value in recording["headers"].items())
    head = f"HTTP/1.1 {recording['status']} X\r\n{headers}content-length: {len(body)}\r\n\r\n".encode()
    upstream.answers[recording["path"]] = (head, body[: len(body) // 2], body[len(body) // 2 :])
    answer = call(proxy.url, recording["path"], recording["request"], method=recording["method"], headers=WITHOUT_KEY)
    assert (answer.status, answer.body) == (recording["status"], body)
    row = proxy.new_row()
    expected = expected_of(recording)
    read = {
        name: json.loads(row[name]) if name in (*MODALITIES, "usage_raw") and row[name] else row[name]
        for name in expected
    }
    assert read == expected


@pytest.mark.parametrize(("path", "poll", "answers", "expected"), JOBS, ids=["openai", "vertex", "video", "gemini"])
def test_a_job_from_submission_to_settlement(
    path: str,
    poll: str,
    answers: list[dict[str, Any]],
    expected: dict[str, Any],
    proxy: Proxy,
    upstream: RawUpstream,
) -> None:
    bodies = [json.dumps(answer).encode() for answer in answers]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
    pieces = [(head + str(len(body)).encode() + b"\r\n\r\n" + body,) for body in bodies]
    upstream.answers[path] = pieces[0]
    assert call(proxy.url, path, {"model": "m"}, headers=WITHOUT_KEY).status == 200
    submission = proxy.new_row()
    assert (submission["usage_state"], submission["input_items"]) == ("absent", None)
    states = []
    for piece in (pieces[0], pieces[1], pieces[2], pieces[2]):
        upstream.answers[poll] = piece
        assert call(proxy.url, poll, headers=WITHOUT_KEY).status == 200
        polled = proxy.new_row()
        assert (polled["usage_state"], polled["input_tokens"], polled["input_items"]) == ("not_applicable", None, None)
        (row,) = proxy.rows(f"id = '{submission['id']}'")
        states.append((row["finish_reason"], row["changed"]))
    assert [state for state, _ in states] == [None, None, expected["finish_reason"], expected["finish_reason"]]
    # The second poll that sees it done changes nothing.
    assert states[2] == states[3]
    assert {name: row[name] for name in expected} == expected
