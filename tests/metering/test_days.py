import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import tzinfo
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import costs
from metering import days
from metering import ledger as ledgers
from metering import reports
from metering.database import open_for_reading
from metering.days import DAY_US
from metering.days import REST_US
from metering.ledger import Ledger
from metering.rollup import BUCKET_US
from metering.selection import EVER
from metering.selection import Grouping
from metering.selection import Selection
from metering.selection import Span
from metering.verify import verify
from tests.ledgers import empty
from tests.ledgers import new_ledger
from tests.metering.test_rollup import put
from tests.process import until

LATE = 100 * DAY_US
UTC = ZoneInfo("UTC")


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with empty() as opened:
        yield opened


def summed(db: sqlite3.Connection) -> list[int]:
    found = db.execute("SELECT day FROM summed_days WHERE token = '' ORDER BY day")
    return [day // DAY_US for (day,) in found]


def is_sound(db: sqlite3.Connection) -> bool:
    return not verify(db, lambda instance: True)["the sums of days are those of the rollup"]


def test_days_that_are_over_are_summed_up(db: sqlite3.Connection) -> None:
    for number, start in enumerate((0, 5, BUCKET_US, DAY_US - 1, DAY_US, 3 * DAY_US)):
        put(db, str(number), started_at=start, model="g", input_tokens=1, duration_us=1000)
    end = 2 * DAY_US
    assert list(days.sum_up(db, end + REST_US - 1)) == [0]
    assert list(days.sum_up(db, end + REST_US)) == [DAY_US]
    assert list(days.sum_up(db, LATE)) == [3 * DAY_US]
    assert list(days.sum_up(db, LATE)) == []
    assert db.execute("SELECT bucket, model, calls, input_tokens, times FROM rollup_days").fetchall() == [
        (0, "g", 4, 4, '{"d410":4,"t":4,"o":4}'),
        (DAY_US, "g", 1, 1, '{"d410":1,"t":1,"o":1}'),
        (3 * DAY_US, "g", 1, 1, '{"d410":1,"t":1,"o":1}'),
    ]
    assert is_sound(db)


def test_unknown_sums_stay_unknown(db: sqlite3.Connection) -> None:
    put(db, "a", started_at=0)
    put(db, "b", started_at=BUCKET_US)
    list(days.sum_up(db, LATE))
    assert db.execute("SELECT calls, input_tokens FROM rollup_days").fetchall() == [(2, None)]


CHANGES: dict[str, dict[str, Any]] = {
    "a new call": {"id": "2", "model": "g"},
    "a later count": {"id": "1", "model": "g", "input_tokens": 5},
    "another model": {"id": "1", "model": "h", "input_tokens": 1},
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_later_is_summed_up_again(db: sqlite3.Connection, change: str) -> None:
    for number in (0, 1):
        put(db, str(number), started_at=number * DAY_US, model="g", input_tokens=1)
    list(days.sum_up(db, LATE))
    put(db, **CHANGES[change], started_at=DAY_US + 1)
    assert summed(db) == [0]
    assert list(days.sum_up(db, LATE)) == [DAY_US]
    assert summed(db) == [0, 1]
    assert is_sound(db)


def test_a_change_while_a_day_is_summed_up(db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sums, which lack it, are not used."""
    put(db, "a", started_at=0, input_tokens=1)
    theirs = days._groups

    def groups(db: sqlite3.Connection, day: int) -> Any:
        found = theirs(db, day)
        put(db, "b", started_at=1, input_tokens=2)
        # Another process begins to sum up this day too.
        db.execute("INSERT OR REPLACE INTO summed_days VALUES (0, 'another')")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(days, "_groups", groups)
        assert list(days.sum_up(db, LATE)) == [0]
    assert summed(db) == []
    assert db.execute("SELECT * FROM rollup_days").fetchall() == []
    list(days.sum_up(db, LATE))
    assert db.execute("SELECT input_tokens FROM rollup_days").fetchall() == [(3,)]


@given(
    with_rows=st.sets(st.integers(0, 9)),
    changed=st.sets(st.integers(0, 9)),
    ends=st.tuples(st.integers(0, 960), st.integers(0, 960)),
)
def test_pieces(with_rows: set[int], changed: set[int], ends: tuple[int, int]) -> None:
    """They are the whole span, one after the other, and days come from where they are summed up."""
    with empty() as db:
        for day in with_rows:
            put(db, str(day), started_at=day * DAY_US + 5)
        list(days.sum_up(db, LATE))
        for day in changed & with_rows:
            put(db, str(day), started_at=day * DAY_US + 5, model="g")
        span = Span(min(ends) * BUCKET_US, max(ends) * BUCKET_US)
        pieces = list(days.pieces(db, span, ("day",), UTC))
    assert all(one.span.until == other.span.since for one, other in pairwise(pieces))
    ends = (pieces[0].span.since, pieces[-1].span.until) if pieces else (span.since, span.since)
    assert ends == span
    assert {(piece.time, piece.off) for piece in pieces} <= {("bucket", "")}
    of_days = {day for piece in pieces if piece.table == "rollup_days" for day in range(*piece.span, DAY_US)}
    within = {day for day in with_rows - changed if span.since <= day * DAY_US <= span.until - DAY_US}
    assert of_days == {day * DAY_US for day in within}


def test_few_pieces() -> None:
    with empty() as db:
        for day in range(2, 30):
            put(db, str(day), started_at=day * DAY_US)
        list(days.sum_up(db, LATE))
        whole = Span(2 * DAY_US, 30 * DAY_US)
        rest = Span(30 * DAY_US, EVER.until // BUCKET_US * BUCKET_US)
        found = [
            days.Piece("rollup", Span(0, whole.since)),
            days.Piece("rollup_days", whole),
            days.Piece("rollup", rest),
        ]
        everything = Span(0, rest.until)
        assert list(days.pieces(db, everything, ("model",), ZoneInfo("Asia/Tokyo"))) == found
        assert list(days.pieces(db, everything, ("hour",), UTC)) == [days.Piece("rollup", everything)]


HOUR_US = DAY_US // 24
DST = 20_540 * DAY_US
"""2026-03-28, the day before clocks change in Berlin."""


@pytest.mark.parametrize(
    ("zone", "parts"),
    [
        ("Europe/Berlin", [(23, 24), (46, 48), (70, 72)]),
        ("America/Los_Angeles", [(0, 7), (24, 31), (48, 55)]),
        ("Atlantic/Reykjavik", []),
    ],
)
def test_days_of_another_zone(zone: str, parts: list[tuple[int, int]]) -> None:
    """Few buckets are read, and taken off from the sums of the day that its noon is in."""
    with empty() as db:
        for day in range(3):
            put(db, str(day), started_at=DST + day * DAY_US)
        list(days.sum_up(db, DST + LATE))
        whole = Span(DST, DST + 3 * DAY_US)
        first, *others = days.pieces(db, whole, ("day",), ZoneInfo(zone))
        noon = db.execute(f"SELECT DISTINCT {first.time} - bucket FROM rollup_days").fetchall()
    assert (first[:2], noon) == (("rollup_days", whole), [(DAY_US // 2,)])
    spans = [Span(DST + since * HOUR_US, DST + until * HOUR_US) for since, until in parts]
    assert others == [days.Piece("rollup", span, off=first.time) for span in spans]


@given(
    starts=st.lists(st.tuples(st.integers(0, 3 * DAY_US), st.sampled_from("gh"), st.integers(0, 8)), max_size=8),
    ends=st.tuples(st.integers(0, 3 * DAY_US), st.integers(0, 3 * DAY_US)),
    keys=st.sampled_from([(), ("model",), ("day",), ("day", "model"), ("hour", "model")]),
    zone=st.sampled_from([UTC, *map(ZoneInfo, ("Asia/Kathmandu", "Europe/Berlin", "America/Los_Angeles"))]),
)
def test_reports_are_the_same(
    starts: list[tuple[int, str, int]], ends: tuple[int, int], keys: tuple[str, ...], zone: tzinfo
) -> None:
    """With sums of days and without them. Counts that are 0 and such that are unknown differ."""
    grouping, selection = Grouping(keys, zone), Selection(Span(DST + ends[0], DST + ends[1]))
    with empty() as db:
        for number, (start, model, kind) in enumerate(starts):
            told: dict[str, Any] = {"duration_us": start % 1000, "ttft_us": 5 if number % 2 else None}
            told |= {"input_tokens": number, "input_cached_tokens": (None, 0, 3)[kind % 3]}
            told |= {"input_items": (None, 0, 1)[kind // 3], "status": 400 + number % 2}
            put(db, str(number), started_at=DST + start, model=model, **told)

        def made() -> list[object]:
            return [
                *costs.usage([db], grouping, selection),
                *reports.errors([db], grouping, selection),
                *reports.latency([db], grouping, selection, exact=False),
            ]

        before = made()
        assert len(list(days.sum_up(db, DST + LATE))) == len({start // DAY_US for start, *_ in starts})
        assert made() == before


def test_what_is_left_may_be_unknown() -> None:
    """Where sums of days leave 0, buckets tell whether it is."""
    grouping, selection = Grouping(("day",), ZoneInfo("Europe/Berlin")), Selection()
    for cached in (0, None):
        with empty() as db:
            put(db, "a", started_at=DST + 12 * HOUR_US, input_cached_tokens=cached)
            put(db, "b", started_at=DST + 23 * HOUR_US, input_cached_tokens=3)
            list(days.sum_up(db, DST + LATE))
            rows = costs.usage([db], grouping, selection)
        assert [(row["day"], row["input_cached_tokens"]) for row in rows] == [("2026-03-28", cached), ("2026-03-29", 3)]


def test_prices_of_days_of_another_zone() -> None:
    """Costs are the same with sums of days and without them."""
    grouping, selection = Grouping(("day",), ZoneInfo("America/Los_Angeles")), Selection()
    told = {"model": "gemini-2.5-pro", "publisher": "google", "usage_state": "final", "output_tokens": 7}
    with empty() as db:
        for hour in range(0, 72, 5):
            put(db, str(hour), started_at=DST + hour * HOUR_US, input_tokens=hour * 10_000, **told)
        before = costs.cost([db], grouping, selection)
        assert len(before) == 4
        assert all(row["cost_usd"] for row in before)
        list(days.sum_up(db, DST + LATE))
        assert costs.cost([db], grouping, selection) == before


def test_a_ledger_sums_up_its_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "LOOK_S", 0.01)
    monkeypatch.setattr(ledgers, "SUM_AFTER_S", 0.0)
    monkeypatch.setattr(ledgers, "SUM_DAYS_S", 0.01)
    path = new_ledger(tmp_path / "usage.db")
    ledger = Ledger(path)
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            for day in range(3):
                put(db, str(day), started_at=day * DAY_US)
            until(lambda: summed(db) == [0, 1, 2])
    finally:
        ledger.close()
    with closing(open_for_reading(path)) as db:
        assert is_sound(db)


def test_verify_sees_a_wrong_sum_of_a_day(db: sqlite3.Connection) -> None:
    put(db, "a", started_at=0)
    list(days.sum_up(db, LATE))
    db.execute("UPDATE rollup_days SET calls = 2")
    assert not is_sound(db)
