"""The promise: a fixed set of calls costs to the cent what was worked out by hand (`by_hand.yaml`)."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from metering import costs
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
