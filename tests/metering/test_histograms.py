import json
import sqlite3
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from metering.histograms import bin_of
from metering.histograms import middle
from tests.ledgers import empty
from tests.metering.test_rollup import db
from tests.metering.test_rollup import groups
from tests.metering.test_rollup import is_sound
from tests.metering.test_rollup import put

__all__ = ["db"]


@given(st.integers(0, 10**13))
def test_no_value_is_more_than_5_percent_from_the_middle(value: int) -> None:
    assert abs(middle(bin_of(value)) - value) <= 0.05 * value


@given(st.lists(st.integers(0, 10**13), max_size=20))
def test_sql_and_python_agree(values: list[int]) -> None:
    with empty() as db:
        for number, value in enumerate(values):
            put(db, str(number), duration_us=value, ttft_us=value if number % 2 else None)
        found = [json.loads(times) for (times,) in db.execute("SELECT times FROM rollup")]
    bins = Counter(f"d{bin_of(value)}" for value in values)
    bins.update(f"t{bin_of(value)}" if number % 2 else "t" for number, value in enumerate(values))
    bins["o"] = len(values)
    assert found == ([bins] if values else [])


def test_what_is_no_time(db: sqlite3.Connection) -> None:
    put(db, "a", duration_us=-5)
    assert groups(db, "times") == [('{"d":1,"t":1,"o":1}',)]
    assert is_sound(db)


def test_bins_are_few() -> None:
    assert len({bin_of(value) for value in range(100_000, 1_000_000, 100)}) == 33


def test_a_time_that_changes(db: sqlite3.Connection) -> None:
    put(db, "a", duration_us=1000)
    put(db, "a", duration_us=2000, overhead_us=5)
    (times,) = groups(db, "times")[0]
    assert {name: n for name, n in json.loads(str(times)).items() if n} == {"d420": 1, "t": 1, "o105": 1}
    assert is_sound(db)
