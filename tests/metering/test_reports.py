import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import reports
from metering.call import COLUMNS
from metering.reports import Grouping
from metering.reports import ReportError
from metering.reports import Span
from metering.rollup import BUCKET_US
from tests.metering.test_rollup import fresh
from tests.metering.test_rollup import put

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = 3_600_000_000
START = int(NOON.timestamp()) * 1_000_000
EVER = Span()
Row = dict[str, Any]


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(fresh()) as opened:
        opened.row_factory = sqlite3.Row
        yield opened


def by(*keys: str, zone: str = "UTC") -> Grouping:
    return Grouping(keys, ZoneInfo(zone))


def short(rows: list[Row], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


class TestUsage:
    def test_sums_and_unknowns(self, db: sqlite3.Connection) -> None:
        put(db, "a", model="g", status=200, usage_state="final", input_tokens=5, output_tokens=0)
        put(db, "b", model="g", status=200, usage_state="partial", input_tokens=2)
        put(db, "c", model="h", status=429, usage_state="not_applicable")
        put(db, "d", model=None, state="open")
        rows = reports.usage([db], by("model"), EVER)
        names = ("model", "calls", "errors", "covered_calls", "input_tokens", "output_tokens", "images")
        assert short(rows, *names) == [
            ("g", 2, 0, 1, 7, 0, None),
            ("h", 1, 1, 0, None, None, None),
            (None, 1, 0, 0, None, None, None),
        ]
        assert tuple(rows[0]) == reports.columns("usage", by("model"))

    def test_no_keys_are_one_line(self, db: sqlite3.Connection) -> None:
        put(db, "a", input_tokens=1)
        put(db, "b", input_tokens=2)
        assert short(reports.usage([db], by(), EVER), "calls", "input_tokens") == [(2, 3)]

    def test_days_of_every_zone(self, db: sqlite3.Connection) -> None:
        # 18:15 and 18:30 UTC are either side of midnight in Kathmandu (+05:45).
        put(db, "a", started_at=START + 6 * HOUR + HOUR // 4 - 1)
        put(db, "b", started_at=START + 6 * HOUR + HOUR // 4)
        rows = reports.usage([db], by("day", zone="Asia/Kathmandu"), EVER)
        assert short(rows, "day", "calls") == [("2026-11-20", 1), ("2026-11-21", 1)]
        assert short(reports.usage([db], by("hour"), EVER), "hour") == [("2026-11-20T18:00+0000",)]

    def test_tags(self, db: sqlite3.Connection) -> None:
        put(db, "a", tags='{"x-team":"red"}', model="g")
        put(db, "b", tags='{"x-team":"blue"}', model="g")
        put(db, "c", model="g")
        rows = reports.usage([db], by("tag:X-Team", "model"), EVER)
        assert short(rows, "tag:X-Team", "calls") == [("blue", 1), ("red", 1), (None, 1)]

    def test_several_ledgers(self, db: sqlite3.Connection) -> None:
        put(db, "a", model="g", input_tokens=1)
        with closing(fresh()) as other:
            put(other, "a", model="g", input_tokens=2)
            put(other, "b", model="h")
            rows = reports.usage([db, other], by("model"), EVER)
        assert short(rows, "model", "calls", "input_tokens") == [("g", 2, 3), ("h", 1, None)]

    def test_pruned_rows_are_still_summed(self, db: sqlite3.Connection) -> None:
        put(db, "a", model="g", input_tokens=1)
        db.execute("DELETE FROM calls")
        assert short(reports.usage([db], by("model"), EVER), "input_tokens") == [(1,)]


_starts = st.lists(st.integers(0, 4 * BUCKET_US), max_size=10)
_edges = st.tuples(st.integers(0, 4 * BUCKET_US), st.integers(0, 4 * BUCKET_US))


@given(starts=_starts, edges=_edges, tagged=st.booleans())
def test_sums_are_exact_at_any_edge(starts: list[int], edges: tuple[int, int], tagged: bool) -> None:
    """Whether they come from the rollup, its edges, or the rows."""
    with closing(fresh()) as db:
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
        rows: list[Row] = reports.usage([db], by("tag:x") if tagged else by(), span)
        assert sum(row["calls"] for row in rows) == len(within)
        assert sum(row["input_tokens"] or 0 for row in rows) == sum(within)


class TestLatency:
    def test_nearest_rank(self, db: sqlite3.Connection) -> None:
        for number in range(1, 101):
            put(db, str(number), model="g", duration_us=number * 10, ttft_us=7 if number == 1 else None)
        put(db, "open", model="g", state="open")
        (row,) = reports.latency([db], by("model"), EVER)
        assert row == {
            "model": "g",
            "calls": 100,
            "duration_p50_us": 500,
            "duration_p90_us": 900,
            "duration_p99_us": 990,
            "ttft_p50_us": 7,
            "ttft_p90_us": 7,
            "ttft_p99_us": 7,
            "overhead_p50_us": None,
            "overhead_p90_us": None,
            "overhead_p99_us": None,
        }
        assert tuple(row) == reports.columns("latency", by("model"))

    def test_by_day(self, db: sqlite3.Connection) -> None:
        put(db, "a", started_at=START, duration_us=5)
        assert short(reports.latency([db], by("day"), EVER), "day", "duration_p99_us") == [("2026-11-20", 5)]


class TestErrors:
    def test_the_most_frequent_first(self, db: sqlite3.Connection) -> None:
        put(db, "a", model="g", status=200)
        put(db, "b", model="g", status=429, error_type="RESOURCE_EXHAUSTED")
        put(db, "c", model="g", status=429, error_type="RESOURCE_EXHAUSTED")
        put(db, "d", model="g", state="lost")
        rows = reports.errors([db], by(), EVER)
        assert short(rows, "status", "error_type", "model", "calls") == [
            (429, "RESOURCE_EXHAUSTED", "g", 2),
            (None, None, "g", 1),
        ]
        assert tuple(rows[0]) == reports.columns("errors", by())

    def test_by_more(self, db: sqlite3.Connection) -> None:
        put(db, "a", started_at=START, model="g", status=500)
        (row,) = reports.errors([db], by("day", "status"), EVER)
        assert row == {"day": "2026-11-20", "status": 500, "error_type": None, "model": "g", "calls": 1}


def test_calls(db: sqlite3.Connection) -> None:
    put(db, "b", started_at=5)
    put(db, "a", started_at=9)
    put(db, "c", started_at=10)
    rows = list(reports.calls([db], Span(5, 10)))
    assert [row["id"] for row in rows] == ["b", "a"]
    assert tuple(rows[0]) == COLUMNS == reports.columns("calls", by())


class TestAsking:
    @pytest.mark.parametrize(
        ("text", "hours_ago"),
        [("7d", 168), ("24h", 24), ("30m", 0.5), ("2026-11-20", 12), ("2026-11-20T11:00", 1)],
    )
    def test_span(self, text: str, hours_ago: float) -> None:
        assert reports.span(text, text, UTC, NOON) == Span(*[START - int(hours_ago * HOUR)] * 2)

    def test_dates_are_of_the_zone(self) -> None:
        tokyo = reports.span("2026-11-20", "2026-11-20T12:00+00:00", ZoneInfo("Asia/Tokyo"), NOON)
        assert tokyo == Span(START - 21 * HOUR, START)

    def test_ever(self) -> None:
        assert reports.span(None, None, UTC, NOON) == EVER

    @pytest.mark.parametrize("text", ["yesterday", "7 d", "7w", "", "99999999d", "2026-13-01"])
    def test_no_time(self, text: str) -> None:
        with pytest.raises(ReportError, match="write 7d, 24h, 2026-11-20"):
            reports.span(text, None, UTC, NOON)

    @pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe"])
    def test_no_zone(self, name: str) -> None:
        with pytest.raises(ReportError, match="Europe/Berlin"):
            reports.time_zone(name)

    def test_keys(self) -> None:
        assert reports.keys(" day, model ,tag:x-team,") == ("day", "model", "tag:x-team")

    @pytest.mark.parametrize("text", ["foo", "tag:", "tag:a b", """tag:x"'"""])
    def test_no_key(self, text: str) -> None:
        with pytest.raises(ReportError, match="there are day, hour, model"):
            reports.keys(text)
