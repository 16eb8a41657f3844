import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from metering import budgets
from metering import sliding_sum
from metering.allowance import Unit
from metering.allowance import allowance
from metering.budgets import Charge
from metering.call import Call
from metering.call import Reading
from metering.call import Settlement
from metering.ledger import Ledger
from metering.prices.catalog import EVERYONES
from metering.prices.catalog import Catalog
from metering.sliding_sum import Need
from metering.sliding_sum import Over
from metering.sliding_sum import Reserved
from tests.ledgers import call
from tests.ledgers import done
from tests.ledgers import empty
from tests.ledgers import rows
from tests.metering.test_rollup import put

TOKENS = allowance(Unit.TOKENS, "100/minute")
A_DAY = allowance(Unit.TOKENS, "1000/day")
COST = allowance(Unit.COST, "2/day")
SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
NOW = 1_800_000_000 * SECOND_US


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with empty() as opened:
        yield opened


def reserve(db: sqlite3.Connection, *needs: Need, now: int = NOW, catalog: Catalog = EVERYONES) -> Reserved | Over:
    return budgets.reserve(db, "a", needs, now, catalog)


def left(reserved: Reserved | Over) -> list[int] | Over:
    return reserved if isinstance(reserved, Over) else [room.left for room in reserved.rooms]


def test_what_is_reserved_is_gone(db: sqlite3.Connection) -> None:
    assert left(reserve(db, Need(TOKENS, 60))) == [40]
    assert reserve(db, Need(TOKENS, 41)) == Over(Need(TOKENS, 41), 60, 61.0)
    assert left(reserve(db, Need(TOKENS, 40))) == [0]
    assert left(reserve(db, Need(TOKENS, 100), now=NOW + 61 * SECOND_US)) == [0]


def test_all_allowances_must_suffice(db: sqlite3.Connection) -> None:
    assert left(reserve(db, Need(TOKENS, 60), Need(A_DAY, 60))) == [40, 940]
    assert isinstance(reserve(db, Need(A_DAY, 60), Need(TOKENS, 60)), Over)
    # Nothing was reserved.
    assert left(reserve(db, Need(A_DAY, None))) == [940]


def test_use_takes_the_place_of_the_reservation(db: sqlite3.Connection) -> None:
    reserve(db, Need(TOKENS, 60), Need(A_DAY, 60))
    later = NOW + 10 * SECOND_US
    charges = [*budgets.charges([TOKENS, A_DAY, COST], {Unit.TOKENS: 60}, {Unit.TOKENS: 25}, NOW, later)]
    assert charges == [Charge(TOKENS, -35, NOW), Charge(A_DAY, -35, NOW)]
    budgets.settle(db, "a", charges)
    assert left(reserve(db, Need(TOKENS, None), Need(A_DAY, None), now=later)) == [75, 975]


def test_use_beyond_the_reservation_counts_from_the_end_of_the_call() -> None:
    charges = budgets.charges([TOKENS, COST], {}, {Unit.TOKENS: 25, Unit.COST: 7}, NOW, NOW + HOUR_US)
    assert [*charges] == [Charge(TOKENS, 25, NOW + HOUR_US), Charge(COST, 7, NOW + HOUR_US)]
    assert [*budgets.charges([TOKENS], {Unit.TOKENS: 25}, {Unit.TOKENS: 25}, NOW, NOW)] == []


RESERVED = {Unit.TOKENS: 90, Unit.COST: 9}
USED: dict[str, tuple[dict[str, Any], dict[Unit, int]]] = {
    "answered": ({"usage_state": "final", "input_tokens": 5, "output_tokens": 3}, {Unit.TOKENS: 8, Unit.COST: 5}),
    "cut, with counts": (
        {"state": "upstream_failed", "usage_state": "partial", "input_tokens": 5},
        {Unit.TOKENS: 5, Unit.COST: 5},
    ),
    "pictures": ({"usage_state": "final", "images": 2}, {Unit.TOKENS: 0, Unit.COST: 5}),
    "cut, without counts": ({"state": "upstream_failed", "usage_state": "absent"}, RESERVED),
    "client gone": ({"state": "client_closed", "usage_state": "absent", "error_type": "client_closed"}, RESERVED),
    "client gone before it was sent": ({"state": "client_closed", "usage_state": "absent", "attempts": 0}, {}),
    "not read": ({"usage_state": "unsupported"}, RESERVED),
    "not told": ({"usage_state": "absent"}, RESERVED),
    "no connection": ({"state": "upstream_failed", "usage_state": "absent", "error_type": "connect_failed"}, {}),
    "no TLS": ({"state": "upstream_failed", "usage_state": "absent", "error_type": "tls_failed"}, {}),
    "refused": ({"state": "refused", "usage_state": "not_applicable"}, {}),
    "an error": ({"usage_state": "not_applicable", "status": 500}, {}),
}


@pytest.mark.parametrize("case", USED)
def test_what_counts_as_used(case: str) -> None:
    fields, used = USED[case]
    ended = call(state="done", attempts=1, reserved_tokens=90, reserved_usd=9e-12)
    for name, value in fields.items():
        setattr(ended, name, value)
    assert budgets.used_by(ended, 5e-12, RESERVED) == used
    ended.release()
    kept = (90, 9e-12) if used is RESERVED else (None, None)
    assert (ended.reserved_tokens, ended.reserved_usd) == kept


def test_a_cost_that_is_not_known_is_what_was_reserved() -> None:
    ended = call(state="done", usage_state="final", input_tokens=5)
    assert budgets.used_by(ended, None, RESERVED) == {Unit.TOKENS: 5, Unit.COST: 9}


PRICES = """
prices:
  - {model: g, tokens: {input: 2, output: 8}, checked: 2026-01-01, source: made up}
"""


def test_use_before_the_first_limited_call_counts(db: sqlite3.Connection, tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(PRICES)
    catalog = Catalog.with_file(tmp_path / "prices.yaml")
    counts: dict[str, object] = {"usage_state": "final", "model": "g", "client": "a"}
    put(db, "old", started_at=NOW - 30 * HOUR_US, input_tokens=100, output_tokens=0, **counts)
    put(db, "new", started_at=NOW - 10 * HOUR_US, input_tokens=10, output_tokens=5, **counts)
    put(db, "now", started_at=NOW - 1, input_tokens=1_000, output_tokens=None, **counts)
    put(db, "of another", started_at=NOW - 1, input_tokens=1, output_tokens=0, **counts | {"client": "b"})
    a_week = allowance(Unit.TOKENS, "10000/week")
    needs = (Need(a_week, 1), Need(allowance(Unit.TOKENS, "10000/day"), 1), Need(COST, 7), Need(TOKENS, 1))
    spent = Decimal("2.0") * 1_010 + Decimal("8.0") * 5
    assert left(reserve(db, *needs, catalog=catalog)) == [
        10_000 - 1_115 - 1,
        10_000 - 1_015 - 1,
        COST.amount - int(spent * 10**6) - 7,
        # Windows of less than a day begin empty.
        99,
    ]
    # It is counted once, and slides out.
    put(db, "new", input_tokens=90, **counts)
    assert left(reserve(db, needs[0], catalog=catalog)) == [10_000 - 1_115 - 2]
    assert left(reserve(db, needs[1], now=NOW + 16 * HOUR_US, catalog=catalog)) == [10_000 - 1_000 - 2]


def test_check_reservation_and_row_are_one(ledger: Ledger) -> None:
    other = Ledger(ledger.path)
    admitted = 0
    for number in range(30):

        def step(db: sqlite3.Connection) -> Call | None:
            return (
                call(client="a")
                if isinstance(budgets.reserve(db, "a", [Need(TOKENS, 9)], NOW, EVERYONES), Reserved)
                else None
            )

        before = len(rows(ledger.path))
        assert (ledger, other)[number % 2].change(step)
        admitted += len(rows(ledger.path)) - before
    other.close()
    assert admitted == 11


def test_slices_are_kept_in_the_ledger(ledger: Ledger) -> None:
    def step(db: sqlite3.Connection) -> None:
        budgets.reserve(db, "a", [Need(TOKENS, 9)], NOW, EVERYONES)
        assert sliding_sum.slices_of(db, "a", TOKENS, NOW) == {NOW // SECOND_US: 9}

    assert ledger.change(step)


def test_a_process_that_ends_leaves_what_nobody_knows(ledger: Ledger) -> None:
    ledger.commit(call(id="a", reserved_tokens=9, reserved_usd=0.5))
    ledger.commit(call(id="b", reserved_tokens=9, reserved_usd=0.5, input_tokens=5))
    ledger.close()
    columns = "id, state, usage_state, reserved_tokens, reserved_usd"
    assert rows(ledger.path, columns) == [("a", "lost", "absent", 9, 0.5), ("b", "lost", "partial", None, None)]


def test_a_poll_replaces_what_was_reserved(ledger: Ledger) -> None:
    waiting = {"operation": "responses", "response_id": "resp_1", "reserved_tokens": 9, "reserved_usd": 0.5}
    ledger.commit(done(call(id="a", **waiting), usage_state="absent", input_tokens=None))
    answer = Reading(input_tokens=5, output_tokens=3, finish_reason="completed")
    written = ledger.commit(done(call(id="b")), Settlement("resp_1", answer=answer))
    ((before, after),) = written.completed
    assert (before.reserved_tokens, before.reserved_usd) == (9, 0.5)
    assert (after.input_tokens, after.reserved_tokens, after.reserved_usd) == (5, None, None)
