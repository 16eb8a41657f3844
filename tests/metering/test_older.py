import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from metering import reports
from metering.call import COLUMNS
from metering.costs import usage
from metering.database import connect
from metering.database import open_for_reading
from metering.older import VERSION
from metering.rollup import BUCKET_US
from metering.selection import EVER
from metering.selection import Grouping
from metering.selection import Selection
from metering.selection import Span
from metering.upkeep import migrate
from metering.verify import verify
from tests.ledgers import of_version

CALLS: list[dict[str, Any]] = [
    {"model": "g", "usage_state": "final", "input_tokens": 7, "duration_us": 1000, "status": 200},
    {"model": "g", "usage_state": "absent", "started_at": BUCKET_US, "tags": '{"x-team":"red"}'},
    {"model": "g", "usage_state": "not_applicable", "started_at": 2 * BUCKET_US + 5, "status": 429},
    {"model": None, "state": "open", "ended_at": None, "usage_state": None},
]
BY = [(), ("model",), ("day", "status"), ("tag:x-team", "model")]


def told(path: Path) -> list[dict[str, object]]:
    """All that reports tell of a ledger."""
    with closing(open_for_reading(path)) as db:
        made: list[dict[str, object]] = []
        for by in BY:
            grouping = Grouping(by, ZoneInfo("UTC"))
            for span in (EVER, Span(1, 2 * BUCKET_US + 6)):
                selection = Selection(span)
                made += usage([db], grouping, selection)
                made += reports.errors([db], grouping, selection)
                for exact in (False, True):
                    made += reports.latency([db], grouping, selection, exact)
        return [*made, *reports.calls([db], Selection())]


@pytest.mark.parametrize("version", range(1, VERSION))
def test_reports_tell_the_same_before_and_after_the_upgrade(tmp_path: Path, version: int) -> None:
    path = tmp_path / "usage.db"
    of_version(path, version, CALLS)
    content = path.read_bytes()
    with closing(open_for_reading(path)) as db:
        assert set(verify(db, lambda instance: True).values()) == {0}
    before = told(path)
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["usage.db"]
    with closing(connect(path, 1)) as writing:
        migrate(writing, path)
    assert told(path) == before
    calls = [row for row in before if tuple(row) == COLUMNS]
    assert len(calls) == 4
    assert {(row["variant"], row["reserved_tokens"], row["reserved_usd"]) for row in calls} == {(None, None, None)}


@pytest.mark.parametrize("version", range(1, VERSION))
def test_sums(tmp_path: Path, version: int) -> None:
    of_version(tmp_path / "usage.db", version, CALLS)
    with closing(open_for_reading(tmp_path / "usage.db")) as db:
        found = usage([db], Grouping(("model", "tag:x-team"), ZoneInfo("UTC")), Selection())
        names = ("model", "tag:x-team", "calls", "errors", "covered_calls", "input_tokens")
        assert [tuple(row[name] for name in names) for row in found] == [
            ("g", None, 2, 1, 1, 7),
            ("g", "red", 1, 0, 0, None),
            (None, None, 1, 0, 0, None),
        ]
        (row,) = reports.latency([db], Grouping((), ZoneInfo("UTC")), Selection(), exact=False)
        assert (row["calls"], row["duration_p50_us"], row["ttft_p50_us"]) == (3, 1047, None)


@pytest.mark.parametrize("version", [3, 4])
def test_pruned_rows_are_summed(tmp_path: Path, version: int) -> None:
    of_version(tmp_path / "usage.db", version, CALLS)
    with closing(sqlite3.connect(tmp_path / "usage.db")) as db, db:
        db.execute("DELETE FROM calls WHERE started_at < ? AND state <> 'open'", (BUCKET_US,))
        db.execute("INSERT INTO meta VALUES ('pruned_before', ?)", (str(BUCKET_US),))
    with closing(open_for_reading(tmp_path / "usage.db")) as db:
        (row, _) = usage([db], Grouping(("model",), ZoneInfo("UTC")), Selection())
        assert (row["calls"], row["errors"], row["input_tokens"]) == (3, 1, 7)
