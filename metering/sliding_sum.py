"""What clients have used, in slices of time: the table `spent`, and sums over windows that slide.

A window has `SLICES` slices, and the sum counts the slice that the window begins in as a whole. So it is never too
small, and reads at most one row more than that, however many calls there are.
"""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from metering.allowance import Allowance

Slices = dict[int, int]
"""Number of a slice, counted from the epoch -> what was used in it."""
BEGAN = -1
"""The number of a row that only says that the client's use is kept from then on."""


def create(db: sqlite3.Connection) -> None:
    """Create the table."""
    db.execute(
        "CREATE TABLE spent (client TEXT NOT NULL, unit TEXT NOT NULL, window TEXT NOT NULL, slice INTEGER NOT NULL,"
        " amount INTEGER NOT NULL, PRIMARY KEY (client, unit, window, slice)) STRICT, WITHOUT ROWID"
    )


def slices_of(db: sqlite3.Connection, client: str, allowance: Allowance, now: int) -> Slices | None:
    """What a client has used within the window that ends now, by slice; None if that was never kept."""
    rows = db.execute(
        "SELECT slice, amount FROM spent WHERE client = ? AND unit = ? AND window = ?",
        (client, allowance.unit, allowance.window),
    ).fetchall()
    first = first_slice(allowance, now)
    if any(BEGAN < number < first for number, _ in rows):
        db.execute(
            "DELETE FROM spent WHERE client = ? AND unit = ? AND window = ? AND slice > ? AND slice < ?",
            (client, allowance.unit, allowance.window, BEGAN, first),
        )
    if not any(number == BEGAN for number, _ in rows):
        return None
    return {number: amount for number, amount in rows if number >= first}


def add(db: sqlite3.Connection, client: str, allowance: Allowance, at: int, amount: int) -> None:
    """Add to what a client has used. `at` is a time in microseconds since the epoch. A negative amount is ignored if
    the slice has been deleted."""
    key = (client, allowance.unit, allowance.window, at // allowance.slice_us)
    if amount < 0:
        db.execute(
            "UPDATE spent SET amount = max(0, amount + ?) WHERE client = ? AND unit = ? AND window = ? AND slice = ?",
            (amount, *key),
        )
    else:
        db.execute(
            "INSERT INTO spent VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (client, unit, window, slice) DO UPDATE SET amount = amount + excluded.amount",
            (*key, amount),
        )


def begin(db: sqlite3.Connection, client: str, allowance: Allowance, used: Iterable[tuple[int, int]]) -> None:
    """Begin to keep what a client uses. `used` is what it has used already, with the times."""
    key = (client, allowance.unit, allowance.window)
    db.execute("DELETE FROM spent WHERE client = ? AND unit = ? AND window = ?", key)
    db.execute("INSERT INTO spent VALUES (?, ?, ?, ?, 0)", (*key, BEGAN))
    for at, amount in used:
        add(db, client, allowance, at, amount)


# What follows from slices, wherever they are kept


class Need(NamedTuple):
    """What a call may use of an allowance."""

    allowance: Allowance
    amount: int | None
    """None if that is only known when it has been used. The call is then admitted while anything is left."""


class Room(NamedTuple):
    """What is left of an allowance."""

    allowance: Allowance
    left: int
    reset_s: float
    """The time until all of it is left."""


class Reserved(NamedTuple):
    """What is left of several allowances after a reservation, and when it was made, by the clock of whatever keeps the
    sums, in microseconds since the epoch."""

    rooms: list[Room]
    at: int


class Over(NamedTuple):
    """An allowance that does not suffice for a call."""

    need: Need
    used: int
    retry_s: float
    """The time until enough is left. If it never is, the length of the window."""


def first_slice(allowance: Allowance, now: int) -> int:
    """The number of the first slice of the window that ends now."""
    return (now - allowance.window_us) // allowance.slice_us


def judge(need: Need, slices: Slices, now: int) -> Room | Over:
    """Whether a call may be made, and if so, what is left afterwards. `slices` are those of the window."""
    allowance, used = need.allowance, sum(slices.values())
    wanted = 1 if need.amount is None else need.amount
    if used + wanted > allowance.amount:
        return Over(need, used, _wait_s(need, slices, used + wanted - allowance.amount, now))
    left = allowance.amount - used - (need.amount or 0)
    newest = now if need.amount else max((number * allowance.slice_us for number in slices), default=None)
    return Room(allowance, left, 0.0 if newest is None else (newest + allowance.window_us - now) / 1e6)


def _wait_s(need: Need, slices: Slices, excess: int, now: int) -> float:
    allowance = need.allowance
    for number in sorted(slices):
        excess -= slices[number]
        if excess <= 0:
            return ((number + 1) * allowance.slice_us + allowance.window_us - now) / 1e6
    return allowance.window_us / 1e6
