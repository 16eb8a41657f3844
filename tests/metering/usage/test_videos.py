from typing import Any

import pytest
from hypothesis import given

from metering.call import Settlement
from metering.usage.videos import JobReader
from metering.usage.videos import PollReader
from metering.usage.videos import SubmissionReader
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.metering.usage.told import counts
from tests.metering.usage.told import pruned
from tests.metering.usage.told import read
from tests.metering.usage.told import told

Json = dict[str, Any]
NAME = "projects/p/locations/us-central1/publishers/google/models/veo-3.0/operations/1-2"


def test_submission() -> None:
    assert counts(SubmissionReader(), {"name": NAME}) == {"response_id": NAME}


@pytest.mark.parametrize(
    ("answer", "settlement"),
    [
        ({"name": NAME}, None),
        ({"name": NAME, "done": False}, None),
        ({"done": True, "response": {"videos": []}}, None),
        (
            {"name": NAME, "done": True, "response": {"videos": [{"gcsUri": "x"}, {"gcsUri": "y"}]}},
            Settlement(NAME, videos=2),
        ),
        ({"name": NAME, "done": True, "response": {"raiMediaFilteredCount": 1}}, Settlement(NAME, videos=0)),
        (
            {"name": NAME, "done": True, "response": {"generateVideoResponse": {"generatedSamples": [{}]}}},
            Settlement(NAME, videos=1),
        ),
        (
            {"name": NAME, "done": True, "error": {"code": 3, "message": "secret"}},
            Settlement(NAME, error_type="INVALID_ARGUMENT"),
        ),
        ({"name": NAME, "done": True, "error": {"code": 999}}, Settlement(NAME, error_type="UNKNOWN")),
    ],
)
def test_poll(answer: Json, settlement: Settlement | None) -> None:
    reader = PollReader()
    reader.read(answer)
    assert reader.settlement == settlement
    assert not reader.reading.failed
    scanned = PollReader()
    scanned.read(pruned(scanned, answer)[0])
    assert scanned.settlement == settlement


VIDEO = {"id": "video_1", "object": "video", "model": "sora-2", "progress": 0, "seconds": "8", "size": "720x1280"}


@pytest.mark.parametrize(
    ("video", "expected"),
    [
        ({**VIDEO, "status": "queued"}, {}),
        ({**VIDEO, "status": "in_progress", "error": None}, {}),
        (
            {**VIDEO, "status": "completed", "error": None},
            {"model_served": "sora-2", "finish_reason": "completed", "video_seconds": 8},
        ),
        (
            {**VIDEO, "status": "failed", "error": {"code": "moderation_blocked", "message": "secret"}},
            {"model_served": "sora-2", "finish_reason": "failed", "error_type": "moderation_blocked"},
        ),
    ],
)
def test_a_video_of_openai(video: Json, expected: Json) -> None:
    assert counts(JobReader(), video) == {"response_id": "video_1", **expected}
    assert counts(JobReader(), *pruned(JobReader(), video)) == {"response_id": "video_1", **expected}
    assert told(JobReader(), video).get("failed", False) == (video["status"] == "failed")


@given(value=json_values)
def test_any_shape(value: object) -> None:
    answers = [
        value,
        {"name": value},
        {"name": NAME, "done": True, "response": value, "error": value},
        *ANYTHING,
    ]
    read(SubmissionReader(), *answers)
    read(PollReader(), *answers)
    read(JobReader(), *answers, {"id": "video_1", "status": "completed", "seconds": value, "model": value})
