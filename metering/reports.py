"""What the ledger tells: sums, percentiles, errors, rows; and whether it is sound.

A report is a list of flat dicts. It takes open ledgers (`ledger.open_for_reading`), any number, and a `Span`.
Sums come from the rollup; rows are read only for the edges that cut through a bucket, for open calls, and
where a tag is asked for.
"""

import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from datetime import timedelta
from datetime import tzinfo
from math import ceil
from typing import NamedTuple
from zoneinfo import ZoneInfo
from zoneinfo import ZoneInfoNotFoundError

from metering import rollup
from metering.call import COLUMNS
from metering.call import COUNTS
from metering.call import State
from metering.call import UsageState

Row = dict[str, object]

TIMES = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H:00%z"}
"""Keys that are made of the time a call started, in the report's time zone."""
KEYS = (*TIMES, *rollup.KEYS)
PERCENTILES = (50, 90, 99)
MEASURES = ("duration", "ttft", "overhead")


class ReportError(Exception):
    """The report cannot be made as asked; the message says what to type instead."""


class Span(NamedTuple):
    """From when (inclusive) until when (exclusive) calls started, in microseconds since the epoch."""

    since: int = 0
    until: int = 2**62


def span(since: str | None, until: str | None, zone: tzinfo, now: datetime) -> Span:
    """Reads `7d`, `24h`, `30m` (before now) and ISO dates and times (in `zone`). Raises ReportError."""
    whole = Span()
    return Span(
        whole.since if since is None else _instant(since, zone, now),
        whole.until if until is None else _instant(until, zone, now),
    )


UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def ago(text: str, now: datetime) -> datetime | None:
    """The instant that `90d`, `24h` or `30m` is before now; None if `text` is not of this kind."""
    if match := re.fullmatch(r"(\d{1,5})([dhm])", text):
        return now - timedelta(**{UNITS[match[2]]: int(match[1])})
    return None


def _instant(text: str, zone: tzinfo, now: datetime) -> int:
    when = ago(text, now)
    if when is None:
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            raise ReportError(f"{text!r} is no time; write 7d, 24h, 2026-11-20 or 2026-11-20T09:30") from None
        when = when if when.tzinfo else when.replace(tzinfo=zone)
    return microseconds(when)


def microseconds(when: datetime) -> int:
    return int(when.timestamp()) * 1_000_000 + when.microsecond


def time_zone(name: str) -> tzinfo:
    """Raises ReportError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, IsADirectoryError):
        raise ReportError(f"{name!r} is no time zone; write an IANA name such as Europe/Berlin") from None


def keys(text: str) -> tuple[str, ...]:
    """A comma list of keys. Raises ReportError for what is none."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in KEYS and not re.fullmatch(r"tag:[A-Za-z0-9-]+", name):
            raise ReportError(f"cannot group by {name!r}; there are {', '.join(KEYS)} and tag:NAME")
    return names


@dataclass(frozen=True)
class Grouping:
    """The keys that a report is grouped by, and the time zone of its days."""

    keys: tuple[str, ...]
    zone: tzinfo

    @property
    def tagged(self) -> bool:
        return any(key.startswith("tag:") for key in self.keys)

    @property
    def columns(self) -> list[str]:
        """Of `calls`, as SQL, for the keys that are not times."""
        return [_column(key) for key in self.keys if key not in TIMES]

    def of(self, bucket: int, values: Sequence[object]) -> tuple[object, ...]:
        """The group that a row belongs to."""
        others = iter(values)
        return tuple(self._time(key, bucket) if key in TIMES else next(others) for key in self.keys)

    def _time(self, key: str, bucket: int) -> str:
        return datetime.fromtimestamp(bucket // 1_000_000, self.zone).strftime(TIMES[key])


def _column(key: str) -> str:
    if key.startswith("tag:"):
        return f"""json_extract(tags, '$."{key.removeprefix("tag:").lower()}"')"""
    return key


def columns(kind: str, grouping: Grouping) -> tuple[str, ...]:
    """The members of a row of a report."""
    percentiles = (f"{measure}_p{percent}_us" for measure in MEASURES for percent in PERCENTILES)
    return {
        "usage": (*grouping.keys, *rollup.SUMS),
        "latency": (*grouping.keys, "calls", *percentiles),
        "errors": (*_wider(grouping).keys, "calls"),
        "calls": COLUMNS,
    }[kind]


def usage(ledgers: Iterable[sqlite3.Connection], grouping: Grouping, span: Span) -> list[Row]:
    """The keys, then `calls`, `errors`, `covered_calls` and the sums; None is a sum of unknowns only."""
    groups: dict[tuple[object, ...], list[int | None]] = {}
    width = len(grouping.columns)
    for db in ledgers:
        for bucket, *values in _sums(db, grouping, span):
            group = groups.setdefault(grouping.of(bucket, values[:width]), [None] * len(rollup.SUMS))
            for position, value in enumerate(values[width:]):
                if value is not None:
                    group[position] = (group[position] or 0) + value
    return [
        dict(zip((*grouping.keys, *rollup.SUMS), (*group, *sums), strict=True))
        for group, sums in sorted(groups.items(), key=lambda item: _order(item[0]))
    ]


def _sums(db: sqlite3.Connection, grouping: Grouping, span: Span) -> Iterator[tuple[int, ...]]:
    """Rows of bucket, keys, sums. Whole buckets come from the rollup."""
    keys = "".join(f", {column}" for column in grouping.columns)
    by_bucket = f"{rollup.bucket()}{keys}"
    of_rows = f"SELECT {by_bucket}, {', '.join(f'sum({value})' for value in rollup.values())} FROM calls"
    if grouping.tagged:
        yield from db.execute(f"{of_rows} WHERE started_at >= ? AND started_at < ? GROUP BY {by_bucket}", span)
        return
    size = rollup.BUCKET_US
    first, last = -(-span.since // size) * size, span.until // size * size
    if first >= last:
        first = last = span.until
    of_buckets = f"SELECT bucket{keys}, {', '.join(f'sum({name})' for name in rollup.SUMS)} FROM rollup"
    yield from db.execute(f"{of_buckets} WHERE bucket >= ? AND bucket < ? GROUP BY bucket{keys}", (first, last))
    yield from db.execute(
        f"{of_rows} WHERE started_at >= :since AND started_at < :until"
        f" AND (started_at < :first OR started_at >= :last OR state = 'open') GROUP BY {by_bucket}",
        {"since": span.since, "until": span.until, "first": first, "last": last},
    )


def latency(ledgers: Iterable[sqlite3.Connection], grouping: Grouping, span: Span) -> list[Row]:
    """The keys, `calls`, and percentiles (nearest rank) in microseconds, None where nothing was measured."""
    groups: dict[tuple[object, ...], tuple[list[int], ...]] = defaultdict(lambda: tuple([] for _ in MEASURES))
    calls: dict[tuple[object, ...], int] = defaultdict(int)
    measures = ", ".join(f"{measure}_us" for measure in MEASURES)
    for db in ledgers:
        keys = "".join(f", {column}" for column in grouping.columns)
        rows = db.execute(
            f"SELECT {rollup.bucket()}, {measures}{keys} FROM calls"
            " WHERE started_at >= ? AND started_at < ? AND state <> 'open'",
            span,
        )
        for bucket, *values in rows:
            group = grouping.of(bucket, values[len(MEASURES) :])
            calls[group] += 1
            for measured, value in zip(groups[group], values, strict=False):
                if value is not None:
                    measured.append(value)
    report = []
    for group in sorted(groups, key=_order):
        row: Row = dict(zip(grouping.keys, group, strict=True)) | {"calls": calls[group]}
        for measure, measured in zip(MEASURES, groups[group], strict=True):
            measured.sort()
            for percent in PERCENTILES:
                row[f"{measure}_p{percent}_us"] = (
                    measured[ceil(len(measured) * percent / 100) - 1] if measured else None
                )
        report.append(row)
    return report


def errors(ledgers: Iterable[sqlite3.Connection], grouping: Grouping, span: Span) -> list[Row]:
    """The keys, then `status`, `error_type`, `model`, `calls`; the most frequent first."""
    wider = _wider(grouping)
    counts: dict[tuple[object, ...], int] = defaultdict(int)
    keys = "".join(f", {_column(key)}" for key in wider.keys if key not in TIMES)
    failed = rollup.CALLS["errors"].format(row="")
    for db in ledgers:
        rows = db.execute(
            f"SELECT {rollup.bucket()}, count(*){keys} FROM calls"
            f" WHERE started_at >= ? AND started_at < ? AND {failed} GROUP BY {rollup.bucket()}{keys}",
            span,
        )
        for bucket, count, *values in rows:
            counts[wider.of(bucket, values)] += count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], _order(item[0])))
    return [dict(zip(wider.keys, group, strict=True)) | {"calls": count} for group, count in ordered]


def _wider(grouping: Grouping) -> Grouping:
    more = (key for key in ("status", "error_type", "model") if key not in grouping.keys)
    return Grouping((*grouping.keys, *more), grouping.zone)


def calls(ledgers: Iterable[sqlite3.Connection], span: Span) -> Iterator[Row]:
    """The rows, as they are in the ledger, by time within each."""
    for db in ledgers:
        rows = f"SELECT {', '.join(COLUMNS)} FROM calls WHERE started_at >= ? AND started_at < ?"
        yield from map(dict, db.execute(f"{rows} ORDER BY started_at, id", span))


def _order(group: tuple[object, ...]) -> list[tuple[bool, str]]:
    """Unknown last; numbers (a status) sort well as text."""
    return [(value is None, str(value)) for value in group]


# Soundness

_KNOWN_STATES = ", ".join(f"'{state}'" for state in State)
_KNOWN_USAGE = ", ".join(f"'{state}'" for state in UsageState)
_COUNTED = " AND ".join(f"{name} IS NULL" for name in (*COUNTS, "counted_tokens"))

INVARIANTS = {
    "states are of the vocabulary": f"state NOT IN ({_KNOWN_STATES})",
    "usage states are of the vocabulary": f"usage_state NOT IN ({_KNOWN_USAGE})",
    "only open calls have no usage state": "(usage_state IS NULL) <> (state = 'open')",
    "closed calls have an end": "ended_at IS NULL AND state NOT IN ('open', 'lost')",
    "final usage has a count": f"usage_state = 'final' AND {_COUNTED}",
    "cached, written and tool tokens are part of the input": "input_cached_tokens > input_tokens"
    " OR input_cache_write_tokens > input_tokens OR input_tool_tokens > input_tokens",
    "thoughts are part of the output": "output_thought_tokens > output_tokens",
}
"""What must hold -> the rows for which it does not."""


def verify(db: sqlite3.Connection, is_alive: Callable[[str], bool]) -> dict[str, int]:
    """Each invariant, and how often it is broken. `is_alive` tells whether an instance still runs."""
    try:
        sound = {"the file is whole": sum(row[0] != "ok" for row in db.execute("PRAGMA quick_check(10)"))}
    except sqlite3.DatabaseError:
        sound = {"the file is whole": 1}
    if sound["the file is whole"]:
        return sound
    for name, broken in INVARIANTS.items():
        sound[name] = db.execute(f"SELECT count(*) FROM calls WHERE {broken}").fetchone()[0]
    pruned_before = db.execute("SELECT ifnull(max(value), 0) FROM meta WHERE key = 'pruned_before'").fetchone()[0]
    instances = db.execute("SELECT instance, count(*) FROM calls WHERE state = 'open' GROUP BY 1").fetchall()
    sound["open calls are of running proxies"] = sum(n for instance, n in instances if not is_alive(instance))
    kept = f"SELECT * FROM rollup WHERE bucket >= {int(pruned_before)}"
    summed = rollup.computed(f"started_at >= {int(pruned_before)}")
    sound["the rollup is the sum of the rows"] = sum(
        db.execute(f"SELECT count(*) FROM ({one} EXCEPT {other})").fetchone()[0]
        for one, other in ((kept, summed), (summed, kept))
    )
    return sound
