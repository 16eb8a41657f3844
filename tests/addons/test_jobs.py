import json
from pathlib import Path

import pytest

from addons.jobs import Jobs
from addons.translation import videos
from tests.addons.routed import JOB
from tests.addons.routed import Routed

OPERATION = videos.read_id(JOB).operation
MODEL = "/v1/projects/p/locations/l/publishers/google/models/veo-3.0-generate-001"
POLLS = {
    ("POST", f"{MODEL}:fetchPredictOperation", json.dumps({"operationName": OPERATION})): OPERATION,
    ("POST", f"{MODEL}:fetchPredictOperation", "{}"): None,
    ("POST", f"{MODEL}:fetchPredictOperation", "["): None,
    ("GET", f"{MODEL}/operations/1", ""): f"{MODEL.removeprefix('/v1/')}/operations/1",
    ("GET", f"/v1/videos/{JOB}", ""): OPERATION,
    ("GET", f"/v1/videos/{JOB}/content", ""): OPERATION,
    ("GET", "/v1/videos/video_other", ""): "video_other",
    ("GET", "/v1/videos", ""): None,
    ("GET", "/v1/responses/resp_1", ""): "resp_1",
    ("POST", "/v1/videos", "{}"): None,
    ("POST", f"{MODEL}:predictLongRunning", "{}"): None,
    ("POST", "/not/known", "{}"): None,
}


def test_what_a_poll_asks_for(tmp_path: Path) -> None:
    found: dict[tuple[str, str, str], str | None] = {}
    for case in POLLS:
        method, path, body = case
        routed = Routed(tmp_path, method, path)
        routed.flow.request.raw_content = body.encode()
        asked = Asked()
        assert not Jobs(asked).pin(routed.exchange, routed.flow.request)
        found[case] = asked.job
    assert found == POLLS


class Asked:
    """Knows no job, but notes for which one it was asked."""

    job: str | None = None

    def __call__(self, ledger: Path, job: str) -> None:
        self.job = job


@pytest.mark.parametrize(("service", "pinned"), [("qwen", True), ("gone", False), (None, False)])
def test_its_service_is_remembered(tmp_path: Path, service: str | None, pinned: bool) -> None:
    """Once its row is complete the ledger does not tell. A service may be gone after a new start."""
    told = [service]
    jobs = Jobs(lambda ledger, job: told.pop() if told else None)
    for _ in "12":
        routed = Routed(tmp_path, "GET", "/v1/videos/video_other", openai_mode="convert")
        assert jobs.pin(routed.exchange, routed.flow.request) is pinned
        candidate = routed.exchange.candidate
        assert (candidate and candidate.service) == (service if pinned else None)
