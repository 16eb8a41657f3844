"""Why no call meets what was asked for, and what to type instead."""

import json
from collections.abc import Iterator
from collections.abc import Sequence
from datetime import UTC

from metering import costs
from metering.output import visible
from metering.selection import EVER
from metering.selection import Grouping
from metering.selection import Selection
from metering.selection import fits
from metering.store import Store

MOST_VALUES = 8
"""The most values that are named."""


def reasons(ledgers: Sequence[Store], asked: Selection) -> Iterator[str]:
    """Sentences for people why a report of the calls that are `asked` for has no line: the filters that no call meets,
    and which values there are."""
    if _values(ledgers, "day", asked):
        yield "No errors."
        return
    yield "No calls."
    days = sorted(_values(ledgers, "day", Selection(EVER)))
    if not days:
        yield "The ledger has no calls yet."
        return
    in_time = Selection(asked.span)
    if not _values(ledgers, "day", in_time):
        yield f"There are none in this time; those of the ledger are from {days[0]} to {days[-1]}."
        return
    unmet = 0
    for name, patterns in asked.filters.items():
        if not _values(ledgers, name, Selection(asked.span, {name: patterns})):
            unmet += 1
            yield f"No {name} is {_either(patterns)}; there are {_listed(_values(ledgers, name, in_time))}."
            for tag, value in _tags(ledgers, in_time) if name == "client" else ():
                if any(fits(value, pattern) for pattern in patterns):
                    yield f"There is such a tag: --tag {visible(tag)}={visible(value)}"
    told = _tags(ledgers, in_time)
    for name, pattern in asked.tags:
        values = [value for tag, value in told if tag == name.lower()]
        if not any(fits(value, pattern) for value in values):
            unmet += 1
            if values:
                yield f"No call has the tag {name}={visible(pattern)}; there are {_listed(values)}."
            else:
                yield f"No call has a tag {name}; the option usage_tags={name} of the proxy stores that header."
    if not unmet:
        yield "Each filter fits some calls, but no call meets all of them."


def _values(ledgers: Sequence[Store], key: str, calls: Selection) -> list[str]:
    """The values of a key, those of the most expensive calls first. An unknown one is `""`, which a filter takes."""
    rows = costs.usage(ledgers, Grouping((key,), UTC), calls)
    return ['""' if row[key] is None else str(row[key]) for row in rows]


def _tags(ledgers: Sequence[Store], calls: Selection) -> list[tuple[str, str]]:
    """The names and values of tags."""
    found = [json.loads(tags) for tags in _values(ledgers, "tags", calls) if tags != '""']
    return [*dict.fromkeys((name, str(value)) for tags in found for name, value in tags.items())]


def _either(patterns: Sequence[str]) -> str:
    return " or ".join(visible(pattern) or '""' for pattern in patterns)


def _listed(values: Sequence[str]) -> str:
    told = ", ".join(map(visible, values[:MOST_VALUES]))
    return f"{told} and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else told
