"""Which calls a report is of, and what it groups them by: times, filters and keys, as users write them."""

import json
import re
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from datetime import datetime
from datetime import time
from datetime import timedelta
from datetime import tzinfo
from fnmatch import fnmatchcase
from functools import cached_property
from typing import NamedTuple
from zoneinfo import ZoneInfo
from zoneinfo import ZoneInfoNotFoundError

from metering import rollup
from metering.output import readable

TIMES = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H:00%z"}
"""Keys that are computed from when a call started, in the report's time zone -> their strftime formats."""
KEYS = (*TIMES, *rollup.FIRST_GROUPS, "tier")
FILTERS = ("model", "client", "service", "operation", "status", "state")
"""Columns that calls can be filtered by."""


class ReportError(Exception):
    """The report cannot be made; the message says what to type instead."""


class Span(NamedTuple):
    """The interval in which calls started: `since` (inclusive) to `until` (exclusive), in microseconds since the
    epoch."""

    since: int = 0
    until: int = 2**62


EVER = Span()


def span(since: str | None, until: str | None, zone: tzinfo, now: datetime) -> Span:
    """Parse the ends of a span: `7d`, `24h` or `30m` before `now`, `today`, `yesterday` or an ISO date (their
    beginnings in `zone`), or an ISO time. None leaves that end open. Raises ReportError."""
    return Span(
        EVER.since if since is None else _instant(since, zone, now),
        EVER.until if until is None else _instant(until, zone, now),
    )


UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def ago(text: str, now: datetime) -> datetime | None:
    """The time that is `90d`, `24h` or `30m` before `now`; None if `text` has another form."""
    if match := re.fullmatch(r"(\d{1,5})([dhm])", text):
        return now - timedelta(**{UNITS[match[2]]: int(match[1])})
    return None


DAYS_AGO = {"today": 0, "yesterday": 1}


def _instant(text: str, zone: tzinfo, now: datetime) -> int:
    when = ago(text, now)
    if when is None and text in DAYS_AGO:
        day = now.astimezone(zone).date() - timedelta(days=DAYS_AGO[text])
        when = datetime.combine(day, time(), zone)
    if when is None:
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            raise ReportError(
                f"{text!r} is not a time; write 7d, 24h, today, yesterday, 2026-11-20 or 2026-11-20T09:30"
            ) from None
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
    """Parse a comma-separated list of keys, each of which counts once. Raises ReportError for an unknown key."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in KEYS and not re.fullmatch(r"tag:[A-Za-z0-9-]+", name):
            raise ReportError(f"cannot group by {name!r}; choose from {', '.join(KEYS)} and tag:NAME")
    return names


@dataclass(frozen=True)
class Grouping:
    """The keys that a report is grouped by, and the time zone of its days and hours."""

    keys: tuple[str, ...]
    zone: tzinfo

    def columns_at(self, time: str) -> list[str]:
        """The column that is read for each key, as SQL over `rollup`, `uses` or `calls`; `time` is SQL for the time."""
        return [time if key in TIMES else _column(key) for key in self.keys]

    def of(self, values: Sequence[object]) -> tuple[object, ...]:
        """The group of a row, given the value of each of `columns_at`."""
        return tuple(self._value(key, value) for key, value in zip(self.keys, values, strict=True))

    def _value(self, key: str, value: object) -> object:
        if key in TIMES:
            return datetime.fromtimestamp(int(str(value)) // 1_000_000, self.zone).strftime(TIMES[key])
        if key.startswith("tag:") and isinstance(value, str):
            return json.loads(value).get(key.removeprefix("tag:").lower())
        return value


def _column(key: str) -> str:
    if key == "status":
        return "nullif(status, 0)"
    if key == "tier":
        return f"({rollup.COMPUTED['tier']})"
    return f"nullif({'tags' if key.startswith('tag:') else key}, '')"


class Glob(str):
    """A pattern as SQLite's GLOB takes it."""


@dataclass(frozen=True)
class Selection:
    """The calls that a report is of: those in `span` that meet all filters."""

    span: Span = EVER
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Column of FILTERS -> patterns, one of which its value must match, or be: `*` is any text, `?` any character,
    `[45]` one of these, `[!45]` another one. An empty pattern matches an unknown value."""
    tags: Sequence[tuple[str, str]] = ()
    """Names of tags, and patterns. The values of a name must match one of its patterns."""

    @cached_property
    def condition(self) -> tuple[str, list[str]]:
        """The filters as SQL over `rollup`, `uses` or `calls`, and the values of its `?`."""
        terms: list[str] = ["1 = 1"]
        values: list[str] = []
        for name, patterns in self.filters.items():
            column = f"coalesce({'CAST(nullif(status, 0) AS text)' if name == 'status' else name}, '')"
            terms.append("(" + " OR ".join([f"{column} = ? OR {column} GLOB ?"] * len(patterns)) + ")")
            for pattern in map(readable, patterns):
                values += (pattern, Glob(pattern.replace("[!", "[^")))
        return " AND ".join(terms), values

    def takes(self, tags: object) -> bool:
        """Whether a call's `tags` (JSON, or '' or None) meet the filters."""
        told = json.loads(tags) if isinstance(tags, str) and tags else {}
        wanted: dict[str, list[str]] = {}
        for name, pattern in self.tags:
            wanted.setdefault(name.lower(), []).append(pattern)
        return all(
            any(fits(str(told.get(name, "")), pattern) for pattern in patterns) for name, patterns in wanted.items()
        )


class Asked(NamedTuple):
    """What a command or a page is about."""

    calls: Selection
    zone: tzinfo
    """The time zone of the days and times that are shown."""


def fits(text: str, pattern: str) -> bool:
    """Whether a text matches a pattern of a filter, or is it."""
    return text == pattern or fnmatchcase(text, pattern)


def tag(text: str) -> tuple[str, str]:
    """Parse the filter `NAME=VALUE`. Raises ReportError."""
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z0-9-]+", name):
        raise ReportError(f"{text!r} is not the value of a tag; write NAME=VALUE, such as x-team=red")
    return name, readable(value)
