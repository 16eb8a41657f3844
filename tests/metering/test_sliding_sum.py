import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import sliding_sum
from metering.allowance import Unit
from metering.allowance import allowance
from metering.sliding_sum import Need
from metering.sliding_sum import Over
from metering.sliding_sum import Room
from metering.sliding_sum import judge

MINUTE = allowance(Unit.TOKENS, "100/minute")
DAY = allowance(Unit.TOKENS, "100/day")
SECOND_US = 1_000_000
NOW = 1_800_000_000 * SECOND_US


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as opened:
        sliding_sum.create(opened)
        yield opened


def begin(db: sqlite3.Connection) -> None:
    for client, one in (("a", MINUTE), ("a", DAY), ("b", MINUTE)):
        sliding_sum.begin(db, client, one, [])


def used(db: sqlite3.Connection, client: str = "a", now: int = NOW, one: object = MINUTE) -> int | None:
    slices = sliding_sum.slices_of(db, client, one, now)  # type: ignore[arg-type]
    return None if slices is None else sum(slices.values())


def test_what_was_used_slides_out_of_the_window(db: sqlite3.Connection) -> None:
    assert used(db) is None
    begin(db)
    for second, amount in enumerate((5, 7, 0, 9)):
        sliding_sum.add(db, "a", MINUTE, NOW + second * SECOND_US, amount)
    at = {second: used(db, now=NOW + second * SECOND_US) for second in (0, 4, 60, 61, 62, 63, 64)}
    assert at == {0: 21, 4: 21, 60: 21, 61: 16, 62: 9, 63: 9, 64: 0}


def test_what_has_slid_out_is_deleted(db: sqlite3.Connection) -> None:
    sliding_sum.begin(db, "a", MINUTE, [(NOW, 5), (NOW + 90 * SECOND_US, 6)])
    assert used(db, now=NOW + 91 * SECOND_US) == 6
    assert db.execute("SELECT slice, amount FROM spent ORDER BY slice").fetchall() == [(-1, 0), (1_800_000_090, 6)]
    # It is known for ever that this client's use is kept.
    assert used(db, now=NOW + 900 * SECOND_US) == 0


def test_what_was_charged_before_is_part_of_what_was_used_before(db: sqlite3.Connection) -> None:
    sliding_sum.add(db, "a", MINUTE, NOW, 5)
    assert used(db) is None
    sliding_sum.begin(db, "a", MINUTE, [(NOW, 7)])
    assert used(db) == 7


def test_clients_and_windows_are_apart(db: sqlite3.Connection) -> None:
    begin(db)
    sliding_sum.add(db, "a", MINUTE, NOW, 5)
    sliding_sum.add(db, "a", DAY, NOW, 6)
    sliding_sum.add(db, "b", MINUTE, NOW, 7)
    assert (used(db), used(db, one=DAY), used(db, "b"), used(db, "c")) == (5, 6, 7, None)


def test_what_is_taken_off_was_there(db: sqlite3.Connection) -> None:
    begin(db)
    sliding_sum.add(db, "a", MINUTE, NOW, 5)
    sliding_sum.add(db, "a", MINUTE, NOW, -3)
    assert used(db) == 2
    sliding_sum.add(db, "a", MINUTE, NOW, -3)
    assert used(db) == 0
    sliding_sum.add(db, "a", MINUTE, NOW - 10 * SECOND_US, -3)
    assert used(db) == 0


JUDGED = {
    (): Room(MINUTE, 90, 60.0),
    ((0, 90),): Room(MINUTE, 0, 60.0),
    ((0, 91),): Over(Need(MINUTE, 10), 91, 61.0),
    # The oldest slice suffices, in 11 seconds; later it takes both.
    ((-50, 5), (-3, 90)): Over(Need(MINUTE, 10), 95, 11.0),
    ((-50, 4), (-3, 90)): Over(Need(MINUTE, 10), 94, 11.0),
    ((-50, 1), (-3, 94)): Over(Need(MINUTE, 10), 95, 58.0),
}


def test_whether_enough_is_left() -> None:
    found = {
        slices: judge(Need(MINUTE, 10), {NOW // SECOND_US + at: amount for at, amount in slices}, NOW)
        for slices in JUDGED
    }
    assert found == JUDGED


def test_a_call_that_needs_more_than_there_ever_is() -> None:
    need = Need(MINUTE, 101)
    assert judge(need, {}, NOW) == Over(need, 0, 60.0)


def test_a_call_of_unknown_size_is_admitted_while_anything_is_left() -> None:
    need, slice = Need(MINUTE, None), NOW // SECOND_US - 20
    assert judge(need, {}, NOW) == Room(MINUTE, 100, 0.0)
    assert judge(need, {slice: 99}, NOW) == Room(MINUTE, 1, 40.0)
    assert judge(need, {slice: 100}, NOW) == Over(need, 100, 41.0)


@given(st.lists(st.tuples(st.integers(0, 200 * SECOND_US), st.integers(1, 60)), max_size=30))
def test_no_window_has_more_than_is_allowed(asked: list[tuple[int, int]]) -> None:
    slices: dict[int, int] = defaultdict(int)
    admitted: list[tuple[int, int]] = []
    for after, amount in sorted(asked):
        now = NOW + after
        first = sliding_sum.first_slice(MINUTE, now)
        judged = judge(Need(MINUTE, amount), {at: told for at, told in slices.items() if at >= first}, now)
        if isinstance(judged, Room):
            slices[now // MINUTE.slice_us] += amount
            admitted.append((now, amount))
    for start, _ in admitted:
        assert sum(amount for at, amount in admitted if start <= at <= start + MINUTE.window_us) <= 100
