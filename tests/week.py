"""A ledger as a week of three teams leaves it, with a question about yesterday whose answer was worked out by hand.

What did team-a spend on gemini-2.5-pro yesterday, was it slow, and why did three calls fail?

| calls | each: input (cached), output | rates per million | US dollars |
|---|---|---|---|
| 30 | 2,000 (500), 400 | 1.25 (0.125), 10 | 30 x (0.001875 + 0.0000625 + 0.004) = 0.178125 |
| 5, slow | 12,000, 3,000 | 1.25, 10 | 5 x (0.015 + 0.03) = 0.225 |
| 1, long | 250,000, 1,000 | 2.50, 15 (above 200,000) | 0.625 + 0.015 = 0.64 |
| 1, its stream cut | 2,000, unknown | 1.25 | 0.0025 |
| 2, refused by Google: 429, 403 | | | 0 |
"""

import random
from collections.abc import Iterator
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from pathlib import Path
from typing import Any

from metering.call import Call
from metering.call import uuid7
from metering.ledger import Ledger
from tests.ledgers import new_ledger

TEAM = "team-a"
MODEL = "gemini-2.5-pro"
COST_USD = 1.045625
CALLS, UNPRICED, ERRORS = 39, 1, 3
TYPICAL_US = 4_000_000
"""What 30 of the calls took; the slow ones took ten times as long."""
SLOW_US = 40_000_000
REASONS = {(429, "RESOURCE_EXHAUSTED"), (403, "PERMISSION_DENIED"), (200, "upstream_cut")}
"""Status and error of the calls that failed."""

Fields = dict[str, Any]

_DONE: Fields = {"state": "done", "usage_state": "final", "status": 200, "streamed": True, "ttft_us": 700_000}
_CALL: Fields = {
    "surface": "vertex",
    "operation": "streamGenerateContent",
    "method": "POST",
    "service": "default",
    "upstream_host": "aiplatform.googleapis.com",
    "project": "acme",
    "location": "global",
    "publisher": "google",
    "sdk": "google-genai/1.52.0",
    "attempts": 1,
    "upstream_us": 3_900_000,
    "overhead_us": 1_100,
}


def _tokens(input: int, output: int, cached: int | None = None) -> Fields:
    text = {"input_by_modality": {"text": input}, "output_by_modality": {"text": output}}
    counts = {"input_tokens": input, "output_tokens": output, "total_tokens": input + output}
    return _DONE | counts | text | ({"input_cached_tokens": cached} if cached else {})


def _yesterday() -> Iterator[Fields]:
    """The calls that the question is about."""
    common = _CALL | {"model": MODEL, "model_served": MODEL, "duration_us": TYPICAL_US}
    for _ in range(30):
        yield common | _tokens(2_000, 400, cached=500)
    for _ in range(5):
        yield common | _tokens(12_000, 3_000) | {"duration_us": SLOW_US, "ttft_us": 9_000_000}
    yield common | _tokens(250_000, 1_000) | {"duration_us": 12_000_000}
    cut = {"state": "upstream_failed", "usage_state": "partial", "error_type": "upstream_cut", "status": 200}
    yield common | cut | {"input_tokens": 2_000, "input_by_modality": {"text": 2_000}, "streamed": True}
    for status, error in ((429, "RESOURCE_EXHAUSTED"), (403, "PERMISSION_DENIED")):
        refused = {"state": "done", "usage_state": "not_applicable", "status": status, "error_type": error}
        yield common | refused | {"model_served": None, "duration_us": 300_000}


def _others(chance: random.Random) -> Iterator[tuple[str, float, Fields]]:
    """The team, the age in days and the fields of all other calls."""
    models = (
        ("gemini-2.5-pro", "google", "global"),
        ("gemini-3-flash-preview", "google", "global"),
        ("claude-sonnet-4-5", "anthropic", "us-east5"),
        ("imagen-4.0-generate-001", "google", "us-central1"),
    )
    for _ in range(400):
        model, publisher, location = chance.choices(models, (3, 8, 2, 0.6))[0]
        team = chance.choices(("team-a", "team-b", "team-c"), (2, 3, 1))[0]
        day = chance.randrange(7)
        if (model, team, day) == (MODEL, TEAM, 1):
            continue
        fields = _CALL | {"model": model, "model_served": model, "publisher": publisher, "location": location}
        if model.startswith("imagen"):
            made = {"operation": "predict", "images": chance.randint(1, 4), "streamed": False}
            fields |= _DONE | made | {"ttft_us": None}
        else:
            size = round(chance.lognormvariate(8, 0.7))
            fields |= _tokens(size, round(chance.lognormvariate(6, 0.6)), chance.choice((None, size // 2)))
        fields |= {"duration_us": round(chance.lognormvariate(15, 0.5))}
        if chance.random() < 0.03:
            error = {
                "state": "done",
                "status": 429,
                "error_type": "RESOURCE_EXHAUSTED",
                "usage_state": "not_applicable",
            }
            fields = _CALL | {name: fields[name] for name in ("model", "publisher", "location", "duration_us")} | error
        yield team, day + chance.random(), fields


def week(path: Path, *, is_named: bool = False) -> Path:
    """Makes the ledger. Teams are told by the tag `x-team`; if `is_named`, by the name of the client."""
    ledger = Ledger(new_ledger(path))
    keys = {team: ledger.fingerprint(f"the key of {team}") for team in ("team-a", "team-b", "team-c")}
    now = datetime.now(UTC)
    yesterday = datetime.combine(now.date() - timedelta(days=1), datetime.min.time(), UTC)
    midnight = yesterday + timedelta(days=1)
    made = [(TEAM, yesterday + timedelta(hours=8, minutes=9 * at), fields) for at, fields in enumerate(_yesterday())]
    for team, age, fields in _others(random.Random(5)):
        # Today's calls were before now.
        when = midnight + (now - midnight) * age if age < 1 else midnight - timedelta(days=age - 1)
        made.append((team, when, fields))
    for team, when, fields in sorted(made, key=lambda one: one[1]):
        started = int(when.timestamp()) * 1_000_000
        who = {"client": team} if is_named else {"client": keys[team], "tags": {"x-team": team}}
        model = fields["model"]
        path_asked = f"/v1/projects/acme/locations/{fields['location']}/publishers/{fields['publisher']}/models/{model}"
        ledger.commit(
            Call(
                **fields | who,
                id=_id_at(started),
                started_at=started,
                ended_at=started + fields["duration_us"],
                path=f"{path_asked}:{fields['operation']}",
            )
        )
    ledger.close()
    return path


def _id_at(started: int) -> str:
    """An id of that time."""
    stamp = f"{started // 1000:012x}"
    return f"{stamp[:8]}-{stamp[8:]}{uuid7()[13:]}"
