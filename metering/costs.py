"""What calls cost: the report of costs, and the report of usage with its cost.

Costs are computed when a report runs. The sums of the rollup are read by price class (see `rollup.py`) and by the times
between which no price changes, so the cost is linear in the sums: no call needs to be looked at.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from math import prod
from typing import Any
from typing import get_args

from metering import reports
from metering import rollup
from metering.call import COUNTS
from metering.prices.catalog import EVERYONES
from metering.prices.catalog import Catalog
from metering.prices.file import RegionName
from metering.prices.file import TierName
from metering.prices.rates import Cost
from metering.prices.rates import cost as cost_of
from metering.selection import TIMES
from metering.selection import Grouping
from metering.selection import Selection
from metering.store import Store

Row = dict[str, object]

SUMS = ("calls", "errors", "covered_calls", *COUNTS)
USD = ("input_usd", "cached_usd", "output_usd", "other_usd")
"""Columns of the report of costs -> the parts of a `Cost`, in this order. They add up to `cost_usd`."""
COST_COLUMNS = ("cost_usd", "unpriced_calls")

NAMES = ("model", "nullif(model_served, model)", "publisher", "variant")
"""What a price is looked up by, as SQL over the rollup."""
TIERS = ("standard", *get_args(TierName))
REGIONS = ("global", *get_args(RegionName))
KNOWN = ("input", "output", "images", "video_seconds")
"""The words of the column `known`. What is known is the same for all calls of a price class."""
PARTS = (*(name for name in rollup.KINDS if name not in ("input_text_tokens", "output_text_tokens")), "search_uses")
"""Further sums that a price may need. Text is what is nothing else."""
BILLABLE = "CASE WHEN usage_state = 'not_applicable' OR state = 'refused' THEN 0 ELSE uses END"


def usage_columns(grouping: Grouping) -> tuple[str, ...]:
    """The columns of the report of usage."""
    return (*grouping.keys, *SUMS, *COST_COLUMNS)


def cost_columns(grouping: Grouping) -> tuple[str, ...]:
    """The columns of the report of costs."""
    return (*grouping.keys, "calls", *USD, "cost_usd", "cache_saved_usd", "unpriced_calls")


def usage(
    ledgers: Sequence[Store], grouping: Grouping, selection: Selection, catalog: Catalog = EVERYONES
) -> list[Row]:
    """Sums by group: the keys, `calls`, `errors`, `covered_calls`, the counts, `cost_usd` and `unpriced_calls`. A sum
    of only unknown values is None."""
    return [
        dict(zip(grouping.keys, group, strict=True))
        | dict(zip(SUMS, total.sums, strict=True))
        | {"cost_usd": total.cost.usd, "unpriced_calls": total.cost.unpriced}
        for group, total in _totals(ledgers, grouping, selection, catalog)
    ]


def cost(ledgers: Sequence[Store], grouping: Grouping, selection: Selection, catalog: Catalog = EVERYONES) -> list[Row]:
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
            | {"cost_usd": total.cost.usd, "cache_saved_usd": usd[-1], "unpriced_calls": parts.unpriced}
        )
    return rows


class _Sums:
    """Sums of some columns; None where nothing is known."""

    def __init__(self, size: int) -> None:
        self.values: list[int | None] = [None] * size
        self._is_told = [False] * size
        """Whether a sum has a part that says so itself. Else, if it is 0, something was taken off that was all of it:
        it may be unknown."""

    def add(self, values: Sequence[int | None], is_told: Sequence[bool]) -> None:
        for position, value in enumerate(values):
            if value is not None:
                self.values[position] = (self.values[position] or 0) + value
                self._is_told[position] = self._is_told[position] or is_told[position]

    def merge(self, other: "_Sums") -> None:
        """Add the first of other sums."""
        self.add(other.values[: len(self.values)], other._is_told)

    def are_doubtful(self, positions: Iterable[int]) -> bool:
        """Whether one of these is 0 or unknown."""
        return any(self.values[position] == 0 and not self._is_told[position] for position in positions)


class _Total:
    """The sums and the cost of a group."""

    def __init__(self) -> None:
        self._sums = _Sums(len(SUMS))
        self.cost = Cost()
        self._is_doubtful = False

    @property
    def sums(self) -> list[int | None]:
        return self._sums.values

    @property
    def is_doubtful(self) -> bool:
        """Whether something that is 0 may be unknown."""
        return self._is_doubtful or self._sums.are_doubtful(map(SUMS.index, COUNTS))

    def add(self, sums: _Sums, cost: Cost) -> None:
        self._sums.merge(sums)
        # What is billed by items, but has none, has no price. That other counts are known is part of the price class.
        self._is_doubtful = self._is_doubtful or sums.are_doubtful([SUMS.index("input_items")])
        self.cost = self.cost.plus(cost)


Totals = list[tuple[tuple[object, ...], _Total]]


def _totals(ledgers: Sequence[Store], grouping: Grouping, selection: Selection, catalog: Catalog) -> Totals:
    """The totals by group: the most expensive first, then those with the most tokens. Days and hours, if they are the
    first key, come first, in their order."""
    totals: dict[tuple[object, ...], _Total] = {}
    for is_by_bucket in (False, True):
        totals = {}
        for db in ledgers:
            with reports.snapshot(db):
                for group, cost, sums in _priced(db, grouping, selection, catalog, is_by_bucket):
                    totals.setdefault(group, _Total()).add(sums, cost)
        if not any(total.is_doubtful for total in totals.values()):
            break
    is_timed = grouping.keys[:1] and grouping.keys[0] in TIMES

    def place(item: tuple[tuple[object, ...], _Total]) -> tuple[Any, ...]:
        group, total = item
        tokens = total.sums[SUMS.index("input_tokens")] or 0, total.sums[SUMS.index("output_tokens")] or 0
        time = reports.order(group[:1]) if is_timed else []
        return (time, -(total.cost.usd or 0), -sum(tokens), reports.order(group))

    return sorted(totals.items(), key=place)


def _priced(
    db: Store, grouping: Grouping, selection: Selection, catalog: Catalog, is_by_bucket: bool
) -> Iterator[tuple[tuple[object, ...], Cost, _Sums]]:
    """The group, the cost and the sums (SUMS come first) of each price class. A group may come more than once."""
    columns = (*SUMS, *PARTS, BILLABLE, "uses")
    changes: set[int] = set()
    needed = catalog.changes()
    found: list[tuple[Any, ...]] = []
    while needed - changes:
        # Seldom more than once: if there are models whose prices change at further times.
        changes |= needed
        starts = sorted(changes)
        classes = (*NAMES, _price_class(starts))
        found = [*reports.sums(db, grouping, columns, selection, classes=classes, is_by_bucket=is_by_bucket)]
        for model, served, publisher in {row[1:4] for row in found}:
            needed |= catalog.changes((model, served), publisher)
    for (group, model, served, publisher, variant, code), sums in _together(found, len(columns)).items():
        *_, billable, uses = sums.values
        if not uses:
            # All of it was taken off.
            continue
        start, tier, region, context = _parts(code, starts)
        price = catalog.price((model, served), publisher, start)
        cost = Cost(unpriced=billable or 0)
        if price is not None:
            counts = dict(zip(columns, sums.values, strict=True))
            cost = cost_of(price.rates(tier, context, region, variant), counts, billable or 0)
        yield group, cost, sums


def _together(rows: Iterable[Sequence[Any]], size: int) -> dict[tuple[Any, ...], _Sums]:
    """Rows with the same keys as one. The last values of a row are as many sums, and whether they are only added. A day
    has a row for each of its buckets."""
    found: dict[tuple[Any, ...], _Sums] = {}
    for row in rows:
        key = tuple(row[: -size - 1])
        if key not in found:
            found[key] = _Sums(size)
        found[key].add(row[-size - 1 : -1], [row[-1]] * size)
    return found


# The rest of the price class as one number, as sorting by one number takes half the time of sorting by six columns. Its
# digits: context, tier, region, what is known, and the time between changes of prices.

_CONTEXTS = 1_000_000
_SIZES = (_CONTEXTS, len(TIERS) + 1, len(REGIONS), 2 ** len(KNOWN))


def _price_class(starts: Sequence[int]) -> str:
    """SQL for the number of the price class of a use. `starts` are the times at which prices change."""
    known = " + ".join(
        f"CASE WHEN known LIKE '%{word}%' THEN {2**place} ELSE 0 END" for place, word in enumerate(KNOWN)
    )
    times = " ".join(f"WHEN bucket >= {start} THEN {place}" for place, start in reversed([*enumerate(starts)]))
    digits = (
        "context",
        _place(rollup.COMPUTED["tier"], TIERS, len(TIERS)),
        _place(rollup.COMPUTED["region"], REGIONS, 0),
        # Most calls have no more than these, which is faster to see.
        f"CASE known WHEN 'input output' THEN 3 ELSE {known} END",
        f"CASE {times} ELSE 0 END",
    )
    return " + ".join(f"({digit}) * {prod(_SIZES[:place])}" for place, digit in enumerate(digits))


def _place(value: str, words: Sequence[str], other: int) -> str:
    cases = " ".join(f"WHEN '{word}' THEN {place}" for place, word in enumerate(words))
    return f"CASE {value} {cases} ELSE {other} END"


def _parts(code: int, starts: Sequence[int]) -> tuple[int, str, str, int]:
    """The start of the time without changes, the tier, the region and the context of a price class."""
    digits = []
    for size in _SIZES:
        code, digit = divmod(code, size)
        digits.append(digit)
    context, tier, region, _ = digits
    # Tiers that no price can name have no rates.
    return starts[code], (*TIERS, "")[tier], REGIONS[region], context
