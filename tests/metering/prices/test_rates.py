"""The promise: a fixed set of calls costs to the cent what was worked out by hand (`by_hand.yaml`)."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from metering import costs
from metering.prices import rates
from metering.selection import Grouping
from metering.selection import Selection
from metering.selection import Span
from tests.ledgers import fresh
from tests.metering.test_rollup import put

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "by_hand.yaml").read_text())
NOVEMBER = int(datetime(2026, 11, 20, 12, tzinfo=ZoneInfo("UTC")).timestamp()) * 1_000_000
UTC = ZoneInfo("UTC")
WHOLE = Selection()
ROWS = Selection(Span(NOVEMBER - 5, NOVEMBER + 5))
"""Within one bucket, so that rows are read instead of the rollup."""
TOTAL = 14.822375
"""The sum of all amounts in the table, added by hand."""


def insert(db: sqlite3.Connection, case: dict[str, Any]) -> None:
    columns = {"status": 200, "usage_state": "final", "publisher": "google", "location": "global"} | case["call"]
    started = columns.pop("started", None)
    columns["started_at"] = int(started.timestamp()) * 1_000_000 if started else NOVEMBER
    for name, value in columns.items():
        columns[name] = json.dumps(value) if isinstance(value, dict) else value
    put(db, case["name"], client=case["name"], **columns)


@pytest.fixture(scope="module")
def db() -> Iterator[sqlite3.Connection]:
    with closing(fresh()) as opened:
        for case in CASES:
            insert(opened, case)
        yield opened


@pytest.mark.parametrize("selection", [WHOLE, ROWS], ids=["rollup", "rows"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_call_costs_what_the_table_says(db: sqlite3.Connection, case: dict[str, Any], selection: Selection) -> None:
    rows = costs.cost([db], Grouping(("client",), UTC), selection)
    found = [row for row in rows if row["client"] == case["name"]]
    if "started" in case["call"] and selection is ROWS:
        assert not found
        return
    usd = case["usd"]
    absent = None if usd["cost"] is None else 0
    names = ("input", "cached", "output", "other", "cost")
    expected = {f"{name}_usd": pytest.approx(usd.get(name, absent), abs=1e-12) for name in names}
    assert found == [
        {"client": case["name"], "calls": 1}
        | expected
        | {
            "cache_saved_usd": pytest.approx(usd.get("saved", absent), abs=1e-12),
            "unpriced_calls": case.get("unpriced", 0),
        }
    ]


def test_all_calls_together(db: sqlite3.Connection) -> None:
    (row,) = costs.usage([db], Grouping((), UTC), WHOLE)
    assert row["cost_usd"] == pytest.approx(TOTAL, abs=1e-12)
    assert (row["calls"], row["unpriced_calls"]) == (len(CASES), 5)


def test_each_kind_has_its_rate() -> None:
    """Every kind of tokens with a rate of its own, and nothing else: the sum tells them apart."""
    counts = {
        "input_tokens": 10**12,
        "input_image_tokens": 1,
        "input_document_tokens": 10,
        "input_audio_tokens": 100 + 7,
        "input_video_tokens": 1000,
        "input_cached_tokens": 10**4 + 7,
        "input_cached_audio_tokens": 7,
        "input_cache_write_tokens": 10**5 + 10**6,
        "input_cache_write_1h_tokens": 10**6,
        "output_tokens": 10**9,
        "output_image_tokens": 2,
        "output_audio_tokens": 20,
        "output_video_tokens": 200,
    }
    assert rates.kinds(counts) == {
        "input": 10**12 - 1 - 10 - 107 - 1000 - 10**4 - 10**5 - 10**6,
        "input_image": 1,
        "input_document": 10,
        "input_audio": 100,
        "input_video": 1000,
        "cached": 10**4,
        "cached_audio": 7,
        "cache_write": 10**5,
        "cache_write_1h": 10**6,
        "output": 10**9 - 222,
        "output_image": 2,
        "output_audio": 20,
        "output_video": 200,
    }


INPUT_KINDS = ("input", "input_image", "input_document", "input_audio", "input_video", "cache_write", "cache_write_1h")
CACHED_KINDS = ("cached", "cached_audio")
OUTPUT_KINDS = ("output", "output_image", "output_audio", "output_video")
ALL_COUNTS = dict.fromkeys((*costs.SUMS, *costs.PARTS))


@pytest.mark.parametrize("kind", [*INPUT_KINDS, *CACHED_KINDS, *OUTPUT_KINDS])
def test_each_kind_is_in_its_part_of_the_cost(kind: str) -> None:
    """With a rate for one kind only, as rates of 0 are rates too."""
    kinds = dict.fromkeys((*INPUT_KINDS, *CACHED_KINDS, *OUTPUT_KINDS), Decimal())
    counts: dict[str, int | None] = ALL_COUNTS | {
        "input_tokens": 100,
        "input_image_tokens": 1,
        "input_document_tokens": 1,
        "input_audio_tokens": 2,
        "input_video_tokens": 1,
        "input_cached_tokens": 2,
        "input_cached_audio_tokens": 1,
        "input_cache_write_tokens": 2,
        "input_cache_write_1h_tokens": 1,
        "output_tokens": 100,
        "output_image_tokens": 1,
        "output_audio_tokens": 1,
        "output_video_tokens": 1,
    }
    cost = rates.cost(rates.Rates(kinds | {kind: Decimal(10**6)}), counts, 1)
    expected = {"input": 92, "output": 97}.get(kind, 1)
    part = "input" if kind in INPUT_KINDS else "cached" if kind in CACHED_KINDS else "output"
    assert {
        name: amount for name, amount in cost._asdict().items() if amount and name not in ("saved", "is_known")
    } == {part: expected}


@pytest.mark.parametrize(
    ("kind", "part_of"),
    [
        *(
            (kind, "input")
            for kind in ("input_image", "input_document", "input_audio", "input_video", "cached", "cache_write")
        ),
        ("input_document", "input_image"),
        ("cached_audio", "cached"),
        ("cached_audio", "input"),
        ("cache_write_1h", "cache_write"),
        *((kind, "output") for kind in ("output_image", "output_audio", "output_video")),
    ],
)
def test_a_kind_without_a_rate_costs_what_it_is_part_of(kind: str, part_of: str) -> None:
    assert rates.Rates({part_of: Decimal(3)}).of(kind) == 3
    assert rates.Rates({"other": Decimal(3)}).of(kind) is None
