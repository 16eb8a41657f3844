"""Budgets of tokens and money in the ledger: what a call may use is reserved before it is sent, and replaced by what it
has used when it has ended.

Check and reservation are one transaction with the call's open row. So processes that share a ledger share its budgets,
and a process that is killed leaves its reservations: they count as used.
"""

import sqlite3
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from metering import costs
from metering import sliding_sum
from metering.allowance import PICODOLLARS
from metering.allowance import WINDOWS
from metering.allowance import Allowance
from metering.allowance import Unit
from metering.call import Call
from metering.days import UTC
from metering.prices.catalog import Catalog
from metering.rollup import BUCKET_US
from metering.selection import TIMES
from metering.selection import Grouping
from metering.selection import Selection
from metering.selection import Span
from metering.sliding_sum import Need
from metering.sliding_sum import Over
from metering.sliding_sum import Reserved
from metering.sliding_sum import Room
from metering.sliding_sum import judge

HISTORY = WINDOWS["day"]
"""From which length of a window on, in seconds, what a client has used before its first limited call counts too. It is
known by the hour."""
HOUR_US = 3_600_000_000
_HOURS = Grouping(("hour",), UTC)


class Charge(NamedTuple):
    """A change of what a client has used of an allowance."""

    allowance: Allowance
    amount: int
    at: int
    """In microseconds since the epoch: when the call was admitted, for what was reserved then."""


def reserve(db: sqlite3.Connection, client: str, needs: Sequence[Need], now: int, catalog: Catalog) -> Reserved | Over:
    """Reserve what a call needs, if all of its allowances suffice. `db` is in a transaction. Raises sqlite3.Error."""
    rooms: list[Room] = []
    for need in needs:
        judged = judge(need, _slices(db, client, need.allowance, now, catalog), now)
        if isinstance(judged, Over):
            return judged
        rooms.append(judged)
    for need in needs:
        if need.amount:
            sliding_sum.add(db, client, need.allowance, now, need.amount)
    return Reserved(rooms, now)


def settle(db: sqlite3.Connection, client: str, charges: Iterable[Charge]) -> None:
    """Replace what was reserved by what was used. Raises sqlite3.Error."""
    for charge in charges:
        sliding_sum.add(db, client, charge.allowance, charge.at, charge.amount)


def charges(
    allowances: Iterable[Allowance], reserved: dict[Unit, int], used: dict[Unit, int], admitted: int, now: int
) -> Iterator[Charge]:
    """What changes when a call has ended. What it has used beyond the reservation counts from its end on: a connection
    may be open for longer than the window."""
    for allowance in allowances:
        more = used.get(allowance.unit, 0) - reserved.get(allowance.unit, 0)
        if more:
            yield Charge(allowance, more, admitted if more < 0 else now)


def used_by(call: Call, cost_usd: float | None, reserved: dict[Unit, int]) -> dict[Unit, int]:
    """What counts as used by a call that has ended. `cost_usd` is what it cost, None if that is unknown."""
    if call.keeps_reservation:
        return reserved
    if not call.has_counts:
        return {}
    tokens = (call.input_tokens or 0) + (call.output_tokens or 0)
    cost = reserved.get(Unit.COST, 0) if cost_usd is None else picodollars(cost_usd)
    return {Unit.TOKENS: tokens, Unit.COST: cost}


def picodollars(usd: float) -> int:
    """An amount of money, as allowances count it."""
    return round(usd * PICODOLLARS)


def _slices(
    db: sqlite3.Connection, client: str, allowance: Allowance, now: int, catalog: Catalog
) -> sliding_sum.Slices:
    slices = sliding_sum.slices_of(db, client, allowance, now)
    if slices is None:
        sliding_sum.begin(db, client, allowance, _used_before(db, client, allowance, now, catalog))
        slices = sliding_sum.slices_of(db, client, allowance, now) or {}
    return slices


def _used_before(
    db: sqlite3.Connection, client: str, allowance: Allowance, now: int, catalog: Catalog
) -> Iterator[tuple[int, int]]:
    """What a client has used within the window before its use was kept, as reports tell it, with the times."""
    if WINDOWS[allowance.window] < HISTORY:
        return
    # Whole buckets only: reports read single calls for the rest.
    span = Span(*((at // BUCKET_US + 1) * BUCKET_US for at in (now - allowance.window_us, now)))
    for row in costs.usage([db], _HOURS, Selection(span, {"client": [client]}), catalog):
        hour = int(datetime.strptime(str(row["hour"]), TIMES["hour"]).timestamp()) * 1_000_000
        cost = row["cost_usd"]
        tokens = sum(count for name in ("input_tokens", "output_tokens") if isinstance(count := row[name], int))
        used = tokens if allowance.unit is Unit.TOKENS else picodollars(cost) if isinstance(cost, float) else 0
        if used:
            yield min(hour + HOUR_US - 1, now), used
