import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import reports
from metering.call import ATTEMPT_COLUMNS
from metering.call import COLUMNS
from metering.costs import usage
from metering.database import open_for_reading
from metering.ledger import Ledger
from metering.rollup import BUCKET_US
from metering.selection import Grouping
from metering.selection import ReportError
from metering.selection import Selection
from metering.selection import Span
from tests.ledgers import empty
from tests.ledgers import fresh
from tests.metering.test_rollup import put
from tests.metering.test_rollup import tried

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = 3_600_000_000
START = int(NOON.timestamp()) * 1_000_000
EVER = Selection()
Row = dict[str, Any]


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with empty() as opened:
        yield opened


def by(*keys: str, zone: str = "UTC") -> Grouping:
    return Grouping(keys, ZoneInfo(zone))


def short(rows: list[Row], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


class TestOne:
    def test_with_its_attempts(self, db: sqlite3.Connection) -> None:
        put(db, "abc", model="g", attempts=2)
        put(db, "abd", model="h")
        for n in (2, 1):
            db.execute("INSERT INTO attempts (call_id, n, kind, started_at) VALUES ('abc', ?, 'attempt', 1)", (n,))
        row, tries = reports.one([db], "abc")
        assert (row["model"], [one["n"] for one in tries]) == ("g", [1, 2])
        assert tuple(row) == COLUMNS
        assert tuple(tries[0]) == ATTEMPT_COLUMNS
        assert reports.one([db, db], "abd")[1] == []

    def test_beginnings(self, db: sqlite3.Connection) -> None:
        for name in ("ab", "abc", "b_%", "bcd"):
            put(db, name)
        assert reports.one([db], "ab")[0]["id"] == "ab"
        assert reports.one([db], "b_")[0]["id"] == "b_%"
        assert reports.one([db], "bc")[0]["id"] == "bcd"

    @pytest.mark.parametrize(("beginning", "problem"), [("a", "several"), ("x", "no call"), ("", "several")])
    def test_none_or_several(self, db: sqlite3.Connection, beginning: str, problem: str) -> None:
        for name in ("ab", "ac"):
            put(db, name)
        with pytest.raises(ReportError, match=problem):
            reports.one([db], beginning)

    def test_one_in_each_ledger(self, db: sqlite3.Connection) -> None:
        put(db, "ab")
        with closing(fresh()) as other:
            put(other, "ac")
            with pytest.raises(ReportError, match="several"):
                reports.one([db, other], "a")


def test_latency_of_all_together(db: sqlite3.Connection) -> None:
    for name, model, duration in (("a", "g", 100), ("b", "g", 300), ("c", "h", 200)):
        put(db, name, model=model, duration_us=duration)
    rows, total = reports.latency_and_total([db], by("model"), EVER)
    assert short(rows, "model", "calls", "duration_p50_us") == [("g", 2, 100), ("h", 1, 200)]
    assert (total["calls"], total["duration_p50_us"], total["ttft_p50_us"]) == (3, 200, None)


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

    def test_many_histograms(self, db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
        """They are added up in several pieces."""
        monkeypatch.setattr(reports, "MANY", 3)
        for number in range(10):
            told = {"duration_us": 1_000 if number < 6 else 2_000, "overhead_us": 3 if number == 9 else None}
            put(db, str(number), model="g", started_at=number * BUCKET_US, **told)
        (row,) = reports.latency([db], by("model"), EVER, exact=False)
        assert (row["calls"], row["ttft_p50_us"], row["overhead_p50_us"]) == (10, None, 3)
        near = {1_000: "duration_p50_us", 2_000: "duration_p90_us"}
        assert all(row[name] == pytest.approx(time, rel=0.05) for time, name in near.items())

    def test_by_day(self, db: sqlite3.Connection) -> None:
        put(db, "a", started_at=START, duration_us=5)
        assert short(reports.latency([db], by("day"), EVER), "day", "duration_p99_us") == [("2026-11-20", 5)]

    @given(
        st.lists(st.tuples(st.integers(0, 3 * BUCKET_US), st.integers(0, 10**10)), max_size=30),
        st.tuples(st.integers(0, 3 * BUCKET_US), st.integers(0, 3 * BUCKET_US)),
    )
    def test_within_5_percent(self, measured: list[tuple[int, int]], edges: tuple[int, int]) -> None:
        """Whatever of it comes from the rollup."""
        with empty() as db:
            for number, (start, duration) in enumerate(measured):
                put(db, str(number), model="gh"[number % 2], started_at=start, duration_us=duration)
            put(db, "open", state="open")
            exact: list[Row] = reports.latency([db], by("model"), Selection(Span(*edges)), exact=True)
            close: list[Row] = reports.latency([db], by("model"), Selection(Span(*edges)), exact=False)
        assert short(exact, "model", "calls") == short(close, "model", "calls")
        for one, other in zip(exact, close, strict=True):
            assert one.keys() == other.keys()
            for percent in (50, 90, 99):
                name = f"duration_p{percent}_us"
                assert abs(one[name] - other[name]) <= 0.05 * one[name]
            assert other["ttft_p50_us"] is None

    def test_pruned_rows_are_still_there(self, db: sqlite3.Connection) -> None:
        put(db, "a", tags='{"x-team":"red"}', duration_us=1000)
        db.execute("DELETE FROM calls")
        (row,) = reports.latency([db], by("tag:x-team"), EVER, exact=False)
        assert (row["tag:x-team"], row["calls"], row["duration_p50_us"]) == ("red", 1, 1047)
        assert reports.latency([db], by(), EVER) == []


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


def test_attempts(db: sqlite3.Connection) -> None:
    """The call counts once, each attempt has its tokens under its own model: in whole buckets and at their edges."""
    tried(db, "a", 1, model="g", input_tokens=3)
    tried(db, "a", 2, model="h", status=200, input_tokens=4)
    put(db, "a", model="h", status=200, started_at=9, usage_state="final", input_tokens=7, duration_us=1)
    for span in (EVER, Selection(Span(5, 10))):
        rows = usage([db], by("model"), span)
        assert short(rows, "model", "calls", "input_tokens") == [("h", 1, 4), ("g", 0, 3)]
        for exact in (True, False):
            assert short(reports.latency([db], by("model"), span, exact), "model", "calls") == [("h", 1)]


class Listening:
    """A ledger that remembers what it was asked."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.asked: list[tuple[str, Any]] = []

    @property
    def in_transaction(self) -> bool:
        return self.db.in_transaction

    def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
        if sql not in ("BEGIN", "ROLLBACK"):
            self.asked.append((sql, values))
        return self.db.execute(sql, values)


def test_the_sql_is_what_postgresql_knows_too(db: sqlite3.Connection) -> None:
    """All but what the view `uses` is made of, which each store has its own of."""
    put(db, "a", status=500, tags='{"x-team":"red"}', duration_us=1)
    listening: Any = Listening(db)
    grouping = by("day", "model", "status", "tag:x-team")
    for span in (EVER, Selection(Span(5, BUCKET_US + 5))):
        usage([listening], grouping, span)
        reports.errors([listening], grouping, span)
        list(reports.calls([listening], span))
        for exact in (True, False):
            reports.latency([listening], grouping, span, exact)
    assert len(listening.asked) > 10
    for sql, _ in listening.asked:
        assert not re.search(r"json|iif|ifnull|\bglob\b|strftime|[:$]\w|\bIS (?!NOT NULL|NULL)", sql, re.IGNORECASE), (
            sql
        )


def test_few_rows_are_read(db: sqlite3.Connection) -> None:
    """Reports of sums read the rollup, the rows at the edges of the span, and open calls by their index."""
    listening: Any = Listening(db)
    usage([listening], by("model"), Selection(Span(5, 9 * BUCKET_US + 5)))
    plans = []
    for sql, values in listening.asked:
        plans.append({row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", values)})
    _, of_rollup, of_open, *of_edges = plans
    assert any("rollup USING PRIMARY KEY (bucket>? AND bucket<?)" in step for step in of_rollup)
    assert any("calls USING INDEX calls_open" in step for step in of_open)
    assert len(of_edges) == 2
    for steps in of_edges:
        assert any("calls USING INDEX calls_started_at (started_at>? AND started_at<?)" in step for step in steps)
    assert not [step for steps in plans for step in steps if step in ("SCAN calls", "SCAN rollup")]


def test_a_report_is_of_one_moment(tmp_path: Path) -> None:
    """A call that ends while a report reads is in it once."""
    path = tmp_path / "usage.db"
    Ledger(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as writer, closing(open_for_reading(path)) as reader:
        put(writer, "a", state="open", model="g")
        listening: Any = Listening(reader)
        theirs = listening.execute

        def execute(sql: str, values: Any = ()) -> sqlite3.Cursor:
            found: sqlite3.Cursor = theirs(sql, values)
            if "rollup" in sql:
                put(writer, "a", state="done", model="g")
            return found

        listening.execute = execute
        for asked, state in ((listening, "open"), (reader, "done")):
            rows = usage([asked], by("state"), Selection(Span(0, BUCKET_US)))
            assert short(rows, "state", "calls") == [(state, 1)]


def test_calls(db: sqlite3.Connection) -> None:
    put(db, "b", started_at=5)
    put(db, "a", started_at=9)
    put(db, "c", started_at=10)
    rows = list(reports.calls([db], Selection(Span(5, 10))))
    assert [row["id"] for row in rows] == ["b", "a"]
    assert tuple(rows[0]) == COLUMNS == reports.columns("calls", by())


@pytest.mark.parametrize(("newest", "ids"), [(1, ["c"]), (2, ["x", "c"]), (9, ["a", "b", "x", "c"])])
def test_the_newest_calls_of_several_ledgers(db: sqlite3.Connection, newest: int, ids: list[str]) -> None:
    for id, started in (("a", 1), ("b", 2), ("c", 4)):
        put(db, id, started_at=started)
    with closing(fresh()) as other:
        put(other, "x", started_at=3)
        assert short([*reports.calls([db, other], EVER, newest)], "id") == [(id,) for id in ids]


class TestFilters:
    """They hold for what comes from the rollup, from its edges and from open calls."""

    @pytest.fixture
    def db(self, db: sqlite3.Connection) -> sqlite3.Connection:
        for id, start in (("a", 1), ("b", BUCKET_US), ("c", 2 * BUCKET_US + 1)):
            put(
                db,
                f"{id}1",
                started_at=start,
                model="gemini-2.5-pro",
                client="red",
                status=200,
                tags='{"x-team":"r_d"}',
            )
            put(db, f"{id}2", started_at=start, model="gemini-2_5-pro", client="blue", status=429)
            put(db, f"{id}3", started_at=start, model=None, state="open", tags='{"x-team":"red","y":"1"}')
        return db

    @pytest.mark.parametrize(
        ("filters", "numbers"),
        [
            ({}, "123"),
            ({"model": ["gemini-*"]}, "12"),
            ({"model": ["gemini-2.5-pro"]}, "1"),
            ({"model": ["gemini-2?5-pro"]}, "12"),
            ({"model": ["gemini-2[.x]5-pro"]}, "1"),
            ({"model": ["gemini-2[!.]5-pro"]}, "2"),
            ({"model": ["Gemini-*"]}, ""),
            ({"status": ["[45]*"]}, "2"),
            ({"model": ["gemini-2_5*"]}, "2"),
            ({"model": ["*%*", "claude"]}, ""),
            ({"model": [""]}, "3"),
            ({"client": ["red", "bl*"]}, "12"),
            ({"client": ["red", "bl*"], "status": ["4*"]}, "2"),
            ({"status": [""]}, "3"),
            ({"state": ["open"]}, "3"),
            ({"service": ["x"]}, ""),
            ({"operation": [""]}, "123"),
        ],
    )
    def test_columns(self, db: sqlite3.Connection, filters: dict[str, list[str]], numbers: str) -> None:
        self.check(db, Selection(Span(1, 2 * BUCKET_US + 2), filters), numbers)

    @pytest.mark.parametrize(
        ("tags", "numbers"),
        [
            ([("x-team", "r_d")], "1"),
            ([("X-Team", "r?d")], "13"),
            ([("x-team", "r_d"), ("x-team", "red")], "13"),
            ([("x-team", "*"), ("y", "1")], "3"),
            ([("x-team", "")], "2"),
            ([("x-team", "r[_x]d")], "1"),
            ([("x-team", "r[!_]d")], "3"),
            ([("x-team", "RED")], ""),
        ],
    )
    def test_tags(self, db: sqlite3.Connection, tags: list[tuple[str, str]], numbers: str) -> None:
        self.check(db, Selection(Span(1, 2 * BUCKET_US + 2), tags=tags), numbers)

    def check(self, db: sqlite3.Connection, selection: Selection, numbers: str) -> None:
        listed: list[Row] = [*reports.calls([db], selection)]
        assert {row["id"][1] for row in listed} == set(numbers)
        closed = 3 * len(set(numbers) - {"3"})
        for made, calls in (
            (usage([db], by("model"), selection), 3 * len(numbers)),
            (reports.latency([db], by("model"), selection, exact=True), closed),
            (reports.latency([db], by("model"), selection, exact=False), closed),
            (reports.errors([db], by(), selection), 3 if "2" in numbers else 0),
        ):
            summed: list[Row] = made
            assert sum(row["calls"] for row in summed) == calls
