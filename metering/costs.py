"""What calls cost: the report of costs, and the report of usage with its cost.

Costs are computed when a report runs. The sums of the rollup are read by price class (see `rollup.py`) and by the times
between which no price changes, so the cost is linear in the sums: no call needs to be looked at.
"""

import sqlite3
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from metering import reports
from metering import rollup
from metering.call import COUNTS
from metering.prices.catalog import EVERYONES
from metering.prices.catalog import Catalog
from metering.prices.rates import Cost
from metering.prices.rates import cost as cost_of
from metering.selection import TIMES
from metering.selection import Grouping
from metering.selection import Selection

Row = dict[str, object]

SUMS = ("calls", "errors", "covered_calls", *COUNTS)
USD = ("input_usd", "cached_usd", "output_usd", "other_usd")
"""Columns of the report of costs -> the parts of a `Cost`, in this order. They add up to `cost_usd`."""
COST_COLUMNS = ("cost_usd", "unpriced_calls")

CLASSES = (
    "model",
    "model_served",
    "publisher",
    f"({rollup.COMPUTED['tier']})",
    f"({rollup.COMPUTED['region']})",
    "context",
    "variant",
    "known",
)
"""The price class, as SQL over the rollup. What is known is the same for all calls of a class."""
PARTS = (*rollup.KINDS, "search_uses")
"""Further sums that a price may need."""
BILLABLE = "CASE WHEN usage_state = 'not_applicable' OR state = 'refused' THEN 0 ELSE uses END"


def usage_columns(grouping: Grouping) -> tuple[str, ...]:
    """The columns of the report of usage."""
    return (*grouping.keys, *SUMS, *COST_COLUMNS)


def cost_columns(grouping: Grouping) -> tuple[str, ...]:
    """The columns of the report of costs."""
    return (*grouping.keys, "calls", *USD, "cost_usd", "cache_saved_usd", "unpriced_calls")


def usage(
    ledgers: Iterable[sqlite3.Connection], grouping: Grouping, selection: Selection, catalog: Catalog = EVERYONES
) -> list[Row]:
    """Sums by group: the keys, `calls`, `errors`, `covered_calls`, the counts, `cost_usd` and `unpriced_calls`. A sum
    of only unknown values is None."""
    return [
        dict(zip(grouping.keys, group, strict=True))
        | dict(zip(SUMS, total.sums, strict=True))
        | {"cost_usd": total.cost_usd, "unpriced_calls": total.cost.unpriced}
        for group, total in _totals(ledgers, grouping, selection, catalog)
    ]


def cost(
    ledgers: Iterable[sqlite3.Connection], grouping: Grouping, selection: Selection, catalog: Catalog = EVERYONES
) -> list[Row]:
    """Costs by group, in US dollars: the keys, `calls`, the parts (`USD`), `cost_usd`, `cache_saved_usd` and
    `unpriced_calls`. Where nothing has a price, all amounts are None."""
    rows = []
    for group, total in _totals(ledgers, grouping, selection, catalog):
        parts = total.cost
        amounts = (parts.input, parts.cached, parts.output, parts.other)
        usd = [float(amount) if parts.is_known else None for amount in (*amounts, parts.saved)]
        rows.append(
            dict(zip(grouping.keys, group, strict=True))
            | {"calls": total.sums[0]}
            | dict(zip(USD, usd, strict=False))
            | {"cost_usd": total.cost_usd, "cache_saved_usd": usd[-1], "unpriced_calls": parts.unpriced}
        )
    return rows


class _Total:
    """The sums and the cost of a group."""

    def __init__(self) -> None:
        self.sums: list[int | None] = [None] * len(SUMS)
        self.cost = Cost()

    def add(self, sums: Sequence[int | None], cost: Cost) -> None:
        for position, value in enumerate(sums):
            if value is not None:
                self.sums[position] = (self.sums[position] or 0) + value
        self.cost = self.cost.plus(cost)

    @property
    def cost_usd(self) -> float | None:
        if not self.cost.is_known:
            return None
        return float(self.cost.input + self.cost.cached + self.cost.output + self.cost.other)


Totals = list[tuple[tuple[object, ...], _Total]]


def _totals(
    ledgers: Iterable[sqlite3.Connection], grouping: Grouping, selection: Selection, catalog: Catalog
) -> Totals:
    """The totals by group: the most expensive first, then those with the most tokens. Days and hours, if they are the
    first key, come first, in their order."""
    totals: dict[tuple[object, ...], _Total] = {}
    for db in ledgers:
        with reports.snapshot(db):
            for group, cost, sums in _priced(db, grouping, selection, catalog):
                totals.setdefault(group, _Total()).add(sums, cost)
    is_timed = grouping.keys[:1] and grouping.keys[0] in TIMES

    def place(item: tuple[tuple[object, ...], _Total]) -> tuple[Any, ...]:
        group, total = item
        tokens = total.sums[SUMS.index("input_tokens")] or 0, total.sums[SUMS.index("output_tokens")] or 0
        time = reports.order(group[:1]) if is_timed else []
        return (time, -(total.cost_usd or 0), -sum(tokens), reports.order(group))

    return sorted(totals.items(), key=place)


def _priced(
    db: sqlite3.Connection, grouping: Grouping, selection: Selection, catalog: Catalog
) -> Iterator[tuple[tuple[object, ...], Cost, Sequence[int | None]]]:
    """The group, the cost and the sums (SUMS) of each price class. A group may come more than once."""
    columns = (*SUMS, *PARTS, BILLABLE)
    changes: set[int] = set()
    needed = catalog.changes()
    found: list[tuple[Any, ...]] = []
    while needed - changes:
        # Seldom more than once: if there are models whose prices change at further times.
        changes |= needed
        classes = (*CLASSES, _period(sorted(changes)))
        found = [*reports.sums(db, grouping, columns, selection, classes=classes)]
        for model, served, publisher in {row[1:4] for row in found}:
            needed |= catalog.changes((model, served), publisher)
    for group, model, served, publisher, tier, region, context, variant, _, period, *sums in found:
        price = catalog.price((model, served), publisher, period)
        cost = Cost(unpriced=sums[-1])
        if price is not None:
            counts = dict(zip(columns, sums, strict=True))
            cost = cost_of(price.rates(tier, context, region, variant), counts, sums[-1])
        yield group, cost, sums[: len(SUMS)]


def _period(starts: Sequence[int]) -> str:
    """SQL for the start of the time without changes of prices that a use is in."""
    cases = " ".join(f"WHEN bucket >= {start} THEN {start}" for start in reversed(starts) if start)
    return f"CASE {cases} ELSE 0 END" if cases else "0"
