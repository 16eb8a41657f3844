import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from metering import rollup
from metering.migrations import migrations
from metering.verify import verify


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(fresh()) as opened:
        yield opened


@cache
def _template() -> sqlite3.Connection:
    made = sqlite3.connect(":memory:", isolation_level=None)
    migrations.apply(Database(made))
    return made


def fresh() -> sqlite3.Connection:
    """An empty ledger in memory."""
    opened = sqlite3.connect(":memory:", isolation_level=None)
    _template().backup(opened)
    return opened


def put(db: sqlite3.Connection, id: str, **columns: object) -> None:
    """Insert or update a row."""
    columns = {
        "id": id,
        "instance": "i",
        "started_at": 0,
        "rewritten": 0,
        "attempts": 1,
        "state": "done",
    } | columns
    names = ", ".join(columns)
    marks = ", ".join("?" * len(columns))
    updates = ", ".join(f"{name} = excluded.{name}" for name in columns)
    db.execute(
        f"INSERT INTO calls ({names}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {updates}",
        tuple(columns.values()),
    )


def sums(db: sqlite3.Connection) -> list[tuple[object, ...]]:
    names = ", ".join(f"sum({name})" for name in ("calls", "errors", "covered_calls", "input_tokens"))
    return db.execute(f"SELECT model, state, {names} FROM rollup GROUP BY 1, 2 ORDER BY 1, 2").fetchall()


def is_sound(db: sqlite3.Connection) -> bool:
    found = verify(db, lambda instance: True)
    return not found["the rollup is the sum of the rows"] and not found["the histograms are of the rows"]


def test_a_call_counts_when_it_is_closed(db: sqlite3.Connection) -> None:
    put(db, "a", state="open", model="g")
    assert sums(db) == []
    put(db, "a", state="done", model="g", usage_state="final", input_tokens=5)
    assert sums(db) == [("g", "done", 1, 0, 1, 5)]


def test_a_later_count_replaces_the_earlier(db: sqlite3.Connection) -> None:
    put(db, "a", model="g", input_tokens=5)
    put(db, "a", model="g", input_tokens=8)
    assert sums(db) == [("g", "done", 1, 0, 0, 8)]


def test_unknown_stays_unknown(db: sqlite3.Connection) -> None:
    put(db, "a", model="g")
    put(db, "b", model="g")
    assert sums(db) == [("g", "done", 2, 0, 0, None)]
    put(db, "c", model="g", input_tokens=0)
    assert sums(db) == [("g", "done", 3, 0, 0, 0)]


def test_a_row_that_changes_its_group(db: sqlite3.Connection) -> None:
    put(db, "a", model="g", input_tokens=5)
    put(db, "b", model="g")
    put(db, "a", model="h", input_tokens=5)
    # What is left in the old group is unknown again.
    assert sums(db) == [("g", "done", 1, 0, 0, None), ("h", "done", 1, 0, 0, 5)]
    put(db, "b", model="h")
    assert sums(db) == [("h", "done", 2, 0, 0, 5)]


@pytest.mark.parametrize(
    ("columns", "errors"),
    [
        ({"status": 200}, 0),
        ({"status": 429}, 1),
        ({"status": 200, "error_type": "UNAVAILABLE"}, 1),
        ({"state": "client_closed"}, 1),
        ({"state": "refused", "status": 400}, 1),
        ({"state": "lost"}, 1),
    ],
)
def test_errors(db: sqlite3.Connection, columns: dict[str, object], errors: int) -> None:
    put(db, "a", **columns)
    assert [row[3] for row in sums(db)] == [errors]


def test_buckets_are_a_quarter_of_an_hour(db: sqlite3.Connection) -> None:
    for minute in (0, 14, 15, 59):
        put(db, str(minute), started_at=minute * 60_000_000)
    rows = db.execute("SELECT bucket / 60000000, calls FROM rollup ORDER BY bucket").fetchall()
    assert rows == [(0, 2), (15, 1), (45, 1)]


def test_names_that_look_like_sql(db: sqlite3.Connection) -> None:
    put(db, "a", model="""x"'); DROP TABLE calls; --""")
    assert is_sound(db)


_steps = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from("abc"),
            "state": st.sampled_from(["open", "done", "client_closed"]),
            "model": st.sampled_from([None, "g", "h"]),
            "status": st.sampled_from([None, 200, 500]),
            "usage_state": st.sampled_from([None, "final", "absent"]),
            "input_tokens": st.sampled_from([None, 0, 3]),
            "started_at": st.sampled_from([0, 1, rollup.BUCKET_US]),
        }
    ),
    max_size=12,
)


@given(steps=_steps)
def test_the_rollup_is_the_sum_of_the_rows(steps: list[dict[str, object]]) -> None:
    known: dict[object, object] = {}
    with closing(fresh()) as db:
        for step in steps:
            # As the ledger has it: a row does not open again, a count does not become unknown, time stays.
            row = known.setdefault(step["id"], {"started_at": step["started_at"]})
            assert isinstance(row, dict)
            if row.get("state") not in (None, "open") and step["state"] == "open":
                continue
            tokens = row.get("input_tokens") if step["input_tokens"] is None else step["input_tokens"]
            row.update(step | {"input_tokens": tokens, "started_at": row["started_at"]})
            put(db, **row)
        assert is_sound(db)
