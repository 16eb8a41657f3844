"""Reports on ledgers: sums, percentiles, errors, rows. All SQL of reports is here.

A report is a list of flat dicts, made from any number of open ledgers (`database.open_for_reading`) and a `Span`. Sums
and approximate percentiles come from the table `rollup`. Rows (of the view `uses`, which has the same columns) are read
only for open calls, and for the parts of buckets at the ends of the span.

All SQL works in SQLite and PostgreSQL: no JSON functions, no `iif`, no `GLOB`, `?` for values.
"""

import json
import re
import sqlite3
from bisect import bisect_left
from collections import Counter
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from datetime import timedelta
from datetime import tzinfo
from functools import cache
from itertools import accumulate
from math import ceil
from typing import Any
from typing import NamedTuple
from zoneinfo import ZoneInfo
from zoneinfo import ZoneInfoNotFoundError

from metering import rollup
from metering.call import COLUMNS
from metering.call import COUNTS

Row = dict[str, object]

TIMES = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H:00%z"}
"""Keys that are computed from when a call started, in the report's time zone -> their strftime formats."""
KEYS = (*TIMES, *rollup.FIRST_GROUPS, "tier")
SUMS = ("calls", "errors", "covered_calls", *COUNTS)
PERCENTILES = (50, 90, 99)
MEASURES = tuple(rollup.MEASURES)


class ReportError(Exception):
    """The report cannot be made; the message says what to type instead."""


class Span(NamedTuple):
    """The interval in which calls started: `since` (inclusive) to `until` (exclusive), in microseconds since the
    epoch."""

    since: int = 0
    until: int = 2**62


def span(since: str | None, until: str | None, zone: tzinfo, now: datetime) -> Span:
    """Parse the ends of a span: `7d`, `24h` or `30m` before `now`, or an ISO date or time (in `zone`). None leaves that
    end open. Raises ReportError."""
    whole = Span()
    return Span(
        whole.since if since is None else _instant(since, zone, now),
        whole.until if until is None else _instant(until, zone, now),
    )


UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def ago(text: str, now: datetime) -> datetime | None:
    """The time that is `90d`, `24h` or `30m` before `now`; None if `text` has another form."""
    if match := re.fullmatch(r"(\d{1,5})([dhm])", text):
        return now - timedelta(**{UNITS[match[2]]: int(match[1])})
    return None


def _instant(text: str, zone: tzinfo, now: datetime) -> int:
    when = ago(text, now)
    if when is None:
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            raise ReportError(f"{text!r} is not a time; write 7d, 24h, 2026-11-20 or 2026-11-20T09:30") from None
        when = when if when.tzinfo else when.replace(tzinfo=zone)
    return microseconds(when)


def microseconds(when: datetime) -> int:
    """Microseconds since the epoch."""
    return int(when.timestamp()) * 1_000_000 + when.microsecond


def time_zone(name: str) -> tzinfo:
    """The time zone of an IANA name such as `Europe/Berlin`. Raises ReportError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, IsADirectoryError):
        raise ReportError(f"{name!r} is not a time zone; write an IANA name such as Europe/Berlin") from None


def keys(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list of keys. Raises ReportError for an unknown key."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in KEYS and not re.fullmatch(r"tag:[A-Za-z0-9-]+", name):
            raise ReportError(f"cannot group by {name!r}; choose from {', '.join(KEYS)} and tag:NAME")
    return names


@dataclass(frozen=True)
class Grouping:
    """The keys that a report is grouped by, and the time zone of its days and hours."""

    keys: tuple[str, ...]
    zone: tzinfo

    @property
    def columns(self) -> list[str]:
        """The column that is read for each key, as SQL over `rollup`, `uses` or `calls`."""
        return [_column(key) for key in self.keys]

    def of(self, values: Sequence[object]) -> tuple[object, ...]:
        """The group of a row, given the value of each of `columns`."""
        return tuple(self._value(key, value) for key, value in zip(self.keys, values, strict=True))

    def _value(self, key: str, value: object) -> object:
        if key in TIMES:
            return datetime.fromtimestamp(int(str(value)) // 1_000_000, self.zone).strftime(TIMES[key])
        if key.startswith("tag:") and isinstance(value, str):
            return json.loads(value).get(key.removeprefix("tag:").lower())
        return value


def _column(key: str) -> str:
    if key in TIMES:
        return "bucket"
    if key == "status":
        return "nullif(status, 0)"
    if key == "tier":
        return f"({rollup.COMPUTED['tier']})"
    return f"nullif({'tags' if key.startswith('tag:') else key}, '')"


def columns(kind: str, grouping: Grouping) -> tuple[str, ...]:
    """The names of a report's columns. `kind` is `usage`, `latency`, `errors` or `calls`."""
    percentiles = (f"{measure}_p{percent}_us" for measure in MEASURES for percent in PERCENTILES)
    return {
        "usage": (*grouping.keys, *SUMS),
        "latency": (*grouping.keys, "calls", *percentiles),
        "errors": (*_wider(grouping).keys, "calls"),
        "calls": COLUMNS,
    }[kind]


def usage(ledgers: Iterable[sqlite3.Connection], grouping: Grouping, span: Span) -> list[Row]:
    """Sums by group: the keys, then `calls`, `errors`, `covered_calls` and the counts. A sum of only unknown values is
    None."""
    groups: dict[tuple[object, ...], list[int | None]] = {}
    for db in ledgers:
        with _snapshot(db):
            for group, *sums in _sums(db, grouping, SUMS, span):
                total = groups.setdefault(group, [None] * len(SUMS))
                for position, value in enumerate(sums):
                    if value is not None:
                        total[position] = (total[position] or 0) + value
    return [
        dict(zip((*grouping.keys, *SUMS), (*group, *sums), strict=True))
        for group, sums in sorted(groups.items(), key=lambda item: _order(item[0]))
    ]


def errors(ledgers: Iterable[sqlite3.Connection], grouping: Grouping, span: Span) -> list[Row]:
    """Errors by group: the keys, then `status`, `error_type`, `model` and `calls`; the most frequent ones first."""
    wider = _wider(grouping)
    counts: Counter[tuple[object, ...]] = Counter()
    for db in ledgers:
        with _snapshot(db):
            for group, count in _sums(db, wider, ["errors"], span, "errors > 0"):
                counts[group] += count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], _order(item[0])))
    return [dict(zip(wider.keys, group, strict=True)) | {"calls": count} for group, count in ordered]


def _wider(grouping: Grouping) -> Grouping:
    more = (key for key in ("status", "error_type", "model") if key not in grouping.keys)
    return Grouping((*grouping.keys, *more), grouping.zone)


def latency(ledgers: Iterable[sqlite3.Connection], grouping: Grouping, span: Span, exact: bool = True) -> list[Row]:
    """Latencies by group: the keys, `calls`, and percentiles (nearest rank) in microseconds, None if nothing was
    measured.

    With `exact`, all rows of the span are read. Otherwise percentiles are within 5 % of the exact values.
    """
    groups: dict[tuple[object, ...], tuple[Counter[int], ...]] = defaultdict(lambda: tuple(Counter() for _ in MEASURES))
    calls: Counter[tuple[object, ...]] = Counter()
    whole, edges = _parts(span)
    for db in ledgers:
        with _snapshot(db):
            for group, count, times in () if exact else _histograms(db, grouping, whole):
                calls[group] += count
                bins = groups[group]
                for name, number in json.loads(times).items():
                    if found := _bin(name):
                        bins[found[0]][found[1]] += number
            for part in [span] if exact else edges:
                for group, *times in _times(db, grouping, part):
                    calls[group] += 1
                    for measured, time in zip(groups[group], times, strict=True):
                        if time is not None:
                            measured[time] += 1
    return [
        dict(zip(grouping.keys, group, strict=True)) | {"calls": calls[group]} | _percentiles(groups[group])
        for group in sorted(calls, key=_order)
    ]


@cache
def _bin(name: str) -> tuple[int, int] | None:
    """The index in MEASURES and the middle of a bin such as `d544`; None for `d`, which counts unknown times."""
    return ([*rollup.MEASURES.values()].index(name[0]), rollup.middle(name[1:])) if len(name) > 1 else None


def _percentiles(measured: Iterable[Counter[int]]) -> Row:
    row: Row = {}
    for measure, values in zip(MEASURES, measured, strict=True):
        ordered, total = sorted(values.items()), values.total()
        below = [*accumulate(number for _, number in ordered)]
        for percent in PERCENTILES:
            at = bisect_left(below, ceil(total * percent / 100))
            row[f"{measure}_p{percent}_us"] = ordered[at][0] if total else None
    return row


# What is read


def _parts(span: Span) -> tuple[Span, list[Span]]:
    """The complete buckets of a span, and the remaining parts before and after them."""
    size = rollup.BUCKET_US
    first, last = -(-span.since // size) * size, span.until // size * size
    if first >= last:
        return Span(0, 0), [span]
    edges = (Span(span.since, first), Span(last, span.until))
    return Span(first, last), [edge for edge in edges if edge.since < edge.until]


@contextmanager
def _snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """A read transaction: all statements inside see the same state, so that a call which ends between two of them is
    counted once."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


def _ask(db: sqlite3.Connection, sql: str, values: Sequence[object]) -> Iterator[Any]:
    """Run a query with `?` for its values. A store with other placeholders only needs to replace this function."""
    return db.execute(sql, values)


def _sums(
    db: sqlite3.Connection, grouping: Grouping, sums: Sequence[str], span: Span, condition: str = "1 = 1"
) -> Iterator[tuple[Any, ...]]:
    """The group and the sums of calls that meet `condition`. A group may come more than once."""
    whole, edges = _parts(span)
    of, keys = cache(grouping.of), ", ".join(["0", *grouping.columns])
    # In PostgreSQL the sum of bigint is numeric.
    summed = ", ".join(f"CAST(sum({name}) AS bigint)" for name in sums)
    places = ", ".join(str(place) for place in range(1, len(grouping.keys) + 2))

    def read(source: str, where: str, part: Span) -> Iterator[tuple[Any, ...]]:
        sql = f"SELECT {keys}, {summed} FROM {source} WHERE {where} AND {condition} GROUP BY {places}"
        for _, *values in _ask(db, sql, part):
            yield of(tuple(values[: len(grouping.keys)])), *values[len(grouping.keys) :]

    yield from read("rollup", "bucket >= ? AND bucket < ?", whole)
    # The `+` keeps SQLite from using the index on `started_at`, which would read all rows to find the few open ones.
    yield from read("uses", "state = 'open' AND +started_at >= ? AND +started_at < ?", whole)
    for edge in edges:
        yield from read("uses", "started_at >= ? AND started_at < ?", edge)


def _histograms(db: sqlite3.Connection, grouping: Grouping, span: Span) -> Iterator[tuple[Any, ...]]:
    """The group, the number of calls and the histograms (JSON) of closed calls in complete buckets. A group may come
    more than once."""
    of, keys = cache(grouping.of), ", ".join(["0", *grouping.columns])
    sql = f"SELECT {keys}, calls, times FROM rollup WHERE bucket >= ? AND bucket < ? AND calls > 0"
    for _, *values, count, times in _ask(db, sql, span):
        yield of(tuple(values)), count, times


def _times(db: sqlite3.Connection, grouping: Grouping, span: Span) -> Iterator[tuple[Any, ...]]:
    """The group and the times of each closed call."""
    columns = (rollup.bucket() if column == "bucket" else column for column in grouping.columns)
    of, keys = cache(grouping.of), ", ".join(["0", *columns])
    measures = ", ".join(f"{measure}_us" for measure in MEASURES)
    sql = f"SELECT {keys}, {measures} FROM calls WHERE started_at >= ? AND started_at < ? AND state <> 'open'"
    for _, *values in _ask(db, sql, span):
        yield of(tuple(values[: len(grouping.keys)])), *values[len(grouping.keys) :]


def calls(ledgers: Iterable[sqlite3.Connection], span: Span) -> Iterator[Row]:
    """All rows, ledger by ledger, ordered by when the calls started."""
    for db in ledgers:
        rows = f"SELECT {', '.join(COLUMNS)} FROM calls WHERE started_at >= ? AND started_at < ?"
        yield from map(dict, _ask(db, f"{rows} ORDER BY started_at, id", span))


def _order(group: tuple[object, ...]) -> list[tuple[bool, str]]:
    """The sort key of a group: unknown values come last. Numbers (only statuses) sort correctly as text."""
    return [(value is None, str(value)) for value in group]
