import sqlite3
from collections.abc import Iterator

import pytest

from metering import days
from metering import views
from metering.days import DAY_US
from metering.rollup import BUCKET_US
from tests.ledgers import empty
from tests.metering.test_rollup import put

LATE = 100 * DAY_US


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with empty() as opened:
        yield opened


def test_the_columns_are_stable(db: sqlite3.Connection) -> None:
    """Others read them by name. Columns may be added, but not taken away."""
    columns = {name: [row[0] for row in db.execute(f"SELECT * FROM {name}").description] for name in views.VIEWS}
    sums = "calls errors covered_calls input_tokens input_cached_tokens input_cache_write_tokens input_tool_tokens"
    sums += " output_tokens output_thought_tokens total_tokens images video_seconds input_items search_queries"
    assert columns["v_usage_daily"] == (
        f"day model publisher service client location project surface operation tier {sums}".split()
    )
    assert columns["v_errors_daily"] == "day model service client operation status error_type state errors".split()
    assert columns["v_calls"][:4] == "id started state operation".split()
    assert {"duration_ms", "ttft_ms", "overhead_ms", "input_tokens", "started_at"} < {*columns["v_calls"]}


def test_units_of_people(db: sqlite3.Connection) -> None:
    put(db, "a", started_at=1_700_000_000_123_456, duration_us=1_500_250, status=200, state="open")
    (row,) = db.execute("SELECT id, started, duration_ms, ttft_ms, state FROM v_calls").fetchall()
    assert row == ("a", "2023-11-14T22:13:20.123Z", 1500.25, None, "open")


@pytest.mark.parametrize("until", [-LATE, 3 * DAY_US, LATE], ids=["no day summed", "some", "all"])
def test_days(db: sqlite3.Connection, until: int) -> None:
    starts = (0, 5, BUCKET_US, DAY_US - 1, DAY_US, 7 * DAY_US, 7 * DAY_US + BUCKET_US)
    for number, start in enumerate(starts):
        put(db, str(number), started_at=start, model="g", input_tokens=1, status=200)
    put(db, "x", started_at=DAY_US, model="g", status=429, error_type="RESOURCE_EXHAUSTED", client="c")
    list(days.sum_up(db, until))
    asked = "SELECT day, model, client, tier, calls, errors, input_tokens, output_tokens FROM v_usage_daily"
    assert db.execute(f"{asked} ORDER BY day, client").fetchall() == [
        ("1970-01-01", "g", None, "standard", 4, 0, 4, None),
        ("1970-01-02", "g", None, "standard", 1, 0, 1, None),
        ("1970-01-02", "g", "c", "standard", 1, 1, None, None),
        ("1970-01-08", "g", None, "standard", 2, 0, 2, None),
    ]
    assert db.execute(
        "SELECT day, model, client, status, error_type, state, errors FROM v_errors_daily"
    ).fetchall() == [("1970-01-02", "g", "c", 429, "RESOURCE_EXHAUSTED", "done", 1)]


def test_nothing_yet(db: sqlite3.Connection) -> None:
    assert [db.execute(f"SELECT * FROM {name}").fetchall() for name in views.VIEWS] == [[], [], []]


def test_each_day_is_found_without_reading_its_buckets(db: sqlite3.Connection) -> None:
    plan = db.execute(f"EXPLAIN QUERY PLAN {views.VIEWS['v_usage_daily']}").fetchall()
    read = [detail for *_, detail in plan if "rollup" in detail]
    assert read
    assert all("USING PRIMARY KEY" in detail for detail in read if not detail.startswith("SCAN rollup")), read


def test_the_newest_calls_come_from_the_index(db: sqlite3.Connection) -> None:
    plan = db.execute("EXPLAIN QUERY PLAN SELECT * FROM v_calls ORDER BY started_at DESC LIMIT 10").fetchall()
    assert [detail for *_, detail in plan] == ["SCAN calls USING INDEX calls_started_at"]
