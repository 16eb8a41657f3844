"""Costs and sums of ledgers. `test_promise.py` in `prices/` holds amounts that were worked out by hand."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import costs
from metering.costs import usage
from metering.rollup import BUCKET_US
from metering.selection import Selection
from metering.selection import Span
from tests.ledgers import empty
from tests.ledgers import fresh
from tests.metering.test_reports import EVER
from tests.metering.test_reports import HOUR
from tests.metering.test_reports import START
from tests.metering.test_reports import Row
from tests.metering.test_reports import by
from tests.metering.test_reports import short
from tests.metering.test_rollup import put


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(fresh()) as opened:
        opened.row_factory = sqlite3.Row
        yield opened


class TestUsage:
    def test_sums_and_unknowns(self, db: sqlite3.Connection) -> None:
        put(db, "a", model="g", status=200, usage_state="final", input_tokens=5, output_tokens=0)
        put(db, "b", model="g", status=200, usage_state="partial", input_tokens=2)
        put(db, "c", model="h", status=429, usage_state="not_applicable")
        put(db, "d", model=None, state="open")
        rows = usage([db], by("model"), EVER)
        names = ("model", "calls", "errors", "covered_calls", "input_tokens", "output_tokens", "images")
        assert short(rows, *names) == [
            ("g", 2, 0, 1, 7, 0, None),
            ("h", 1, 1, 0, None, None, None),
            (None, 1, 0, 0, None, None, None),
        ]
        assert tuple(rows[0]) == costs.usage_columns(by("model"))

    def test_no_keys_are_one_line(self, db: sqlite3.Connection) -> None:
        put(db, "a", input_tokens=1)
        put(db, "b", input_tokens=2)
        assert short(usage([db], by(), EVER), "calls", "input_tokens") == [(2, 3)]

    def test_days_of_every_zone(self, db: sqlite3.Connection) -> None:
        # 18:15 and 18:30 UTC are either side of midnight in Kathmandu (+05:45).
        put(db, "a", started_at=START + 6 * HOUR + HOUR // 4 - 1)
        put(db, "b", started_at=START + 6 * HOUR + HOUR // 4)
        rows = usage([db], by("day", zone="Asia/Kathmandu"), EVER)
        assert short(rows, "day", "calls") == [("2026-11-20", 1), ("2026-11-21", 1)]
        assert short(usage([db], by("hour"), EVER), "hour") == [("2026-11-20T18:00+0000",)]

    def test_tags(self, db: sqlite3.Connection) -> None:
        put(db, "a", tags='{"x-team":"red"}', model="g")
        put(db, "b", tags='{"x-team":"blue"}', model="g")
        put(db, "c", model="g")
        rows = usage([db], by("tag:X-Team", "model"), EVER)
        assert short(rows, "tag:X-Team", "calls") == [("blue", 1), ("red", 1), (None, 1)]

    def test_tiers_are_of_one_spelling(self, db: sqlite3.Connection) -> None:
        told = ["ON_DEMAND", None, "standard", "ON_DEMAND_FLEX", "flex", "PROVISIONED_THROUGHPUT", "batch"]
        for number, traffic_type in enumerate(told):
            put(db, str(number), traffic_type=traffic_type)
        tiers = [("batch", 1), ("flex", 2), ("provisioned", 1), ("standard", 3)]
        assert short(usage([db], by("tier"), EVER), "tier", "calls") == tiers
        # Read from rows: half of a bucket.
        half = Selection(Span(0, BUCKET_US // 2))
        assert short(usage([db], by("tier"), half), "tier", "calls") == tiers

    def test_several_ledgers(self, db: sqlite3.Connection) -> None:
        put(db, "a", model="g", input_tokens=1)
        with closing(fresh()) as other:
            put(other, "a", model="g", input_tokens=2)
            put(other, "b", model="h")
            rows = usage([db, other], by("model"), EVER)
        assert short(rows, "model", "calls", "input_tokens") == [("g", 2, 3), ("h", 1, None)]

    def test_pruned_rows_are_still_summed(self, db: sqlite3.Connection) -> None:
        put(db, "a", model="g", input_tokens=1)
        db.execute("DELETE FROM calls")
        assert short(usage([db], by("model"), EVER), "input_tokens") == [(1,)]


_starts = st.lists(st.integers(0, 4 * BUCKET_US), max_size=10)
_edges = st.tuples(st.integers(0, 4 * BUCKET_US), st.integers(0, 4 * BUCKET_US))


@given(starts=_starts, edges=_edges, tagged=st.booleans())
def test_sums_are_exact_at_any_edge(starts: list[int], edges: tuple[int, int], tagged: bool) -> None:
    """Whether they come from the rollup, its edges, or the rows."""
    with empty() as db:
        for number, start in enumerate(starts):
            put(
                db,
                str(number),
                started_at=start,
                input_tokens=start,
                state="open" if start % 3 == 0 else "done",
            )
        span = Span(*edges)
        within = [start for start in starts if span.since <= start < span.until]
        rows: list[Row] = usage([db], by("tag:x") if tagged else by(), Selection(span))
        assert sum(row["calls"] for row in rows) == len(within)
        assert sum(row["input_tokens"] or 0 for row in rows) == sum(within)
