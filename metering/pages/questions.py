"""What is asked in the query of an address: the options of `vertex-tap report`, under the same names."""

from collections.abc import Iterable
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from metering import selection
from metering.selection import Asked
from metering.selection import Grouping
from metering.selection import ReportError
from metering.selection import Selection

SINGLE = ("since", "until", "tz")
SELECTING = (*SINGLE, *selection.FILTERS, "tag")
"""Options that select calls. The first three can be given once, the others several times."""
REPORTING = ("by", "limit", "exact", "format")
SAID = {"": True, "1": True, "true": True, "0": False, "false": False}
"""Values of `exact`, which the command line only names."""
SHOWN_CALLS = 100
MOST_CALLS = 10_000

Pairs = Iterable[tuple[str, str]]


class Report(NamedTuple):
    """What is asked of one of the reports."""

    calls: Selection
    grouping: Grouping
    limit: int | None
    is_exact: bool


def calls(pairs: Pairs, now: datetime, also: Sequence[str] = ()) -> Asked:
    """Which calls are selected. Options named in `also` are left to others. Raises ReportError."""
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in (*SELECTING, *also):
            raise ReportError(f"there is no option {name!r}; choose from {', '.join((*SELECTING, *also))}")
        given.setdefault(name, []).append(value)
    since, until, tz = (given.get(name, [None])[-1] for name in SINGLE)
    zone = selection.time_zone(tz or "UTC")
    filters = {name: given[name] for name in selection.FILTERS if name in given}
    tags = [selection.tag(text) for text in given.get("tag", ())]
    return Asked(Selection(selection.span(since or None, until or None, zone, now), filters, tags), zone)


def report(kind: str, pairs: Pairs, now: datetime) -> Report:
    """What is asked of the report `kind`. Raises ReportError."""
    listed = [*pairs]
    asked = calls(listed, now, REPORTING)
    given = dict(listed)
    by = given.get("by")
    if by is not None and kind == "calls":
        raise ReportError("the report of calls lists single calls; leave out by")
    if "exact" in given and kind != "latency":
        raise ReportError("only the report of latencies takes exact")
    if given.get("format", "json") != "json":
        raise ReportError("format is json here; vertex-tap report writes others")
    default = "" if kind == "errors" else "model"
    grouping = Grouping(selection.keys(default if by is None else by), asked.zone)
    limit = _limit(given.get("limit"), kind)
    exact = SAID.get(given.get("exact", "false").lower())
    if exact is None:
        raise ReportError(f"exact={given['exact']} is neither true nor false")
    return Report(asked.calls, grouping, limit, exact)


def _limit(text: str | None, kind: str) -> int | None:
    if text is None:
        return SHOWN_CALLS if kind == "calls" else None
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text)):
        raise ReportError(f"limit={text} is not a number of lines; write one such as limit=20")
    if kind == "calls" and int(text) > MOST_CALLS:
        raise ReportError(f"limit is at most {MOST_CALLS} for calls; vertex-tap export writes all of them")
    return int(text)
