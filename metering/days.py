"""Sums of whole days, so that reports of long spans read few rows.

The table `rollup_days` holds the rows of `rollup` of whole UTC days, added up; its `bucket` is the start of a day. The
table `summed_days` names the days for which that is done (`token` is '') or under way (`token` names who does it). If
anything of a day changes later, such as when a video is settled, a trigger deletes the day from `summed_days`. Until it
is summed up again, reports read `rollup` for that day.

A report by the days of another time zone needs both tables: in Berlin's winter, the calls from 23:00 UTC on are of the
next day. So the sums of a UTC day count for the day that its noon is in, and what is of another day is taken off.
"""

import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterable
from collections.abc import Iterator
from datetime import datetime
from datetime import tzinfo
from itertools import groupby
from typing import NamedTuple
from zoneinfo import ZoneInfo

from metering import rollup
from metering.selection import EVER
from metering.selection import Span
from metering.store import Store
from metering.transactions import savepoint

DAY_US = 86_400_000_000
REST_US = 3_600_000_000
"""How long a day must be over. Until then, calls of that day may still end."""
UTC = ZoneInfo("UTC")


def create(db: sqlite3.Connection) -> None:
    """Create the tables, which are empty, and the triggers. Needs the table `rollup`."""
    rollup.create_table(db, "rollup_days")
    db.execute("CREATE TABLE summed_days (day INTEGER PRIMARY KEY, token TEXT NOT NULL) STRICT")
    for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        day = f"{row}.bucket / {DAY_US} * {DAY_US}"
        db.execute(
            f"CREATE TRIGGER summed_days_{event.lower()} AFTER {event} ON rollup"
            f" WHEN EXISTS (SELECT 1 FROM summed_days WHERE day = {day})"
            f" BEGIN DELETE FROM summed_days WHERE day = {day}; END"
        )


def sum_up(db: sqlite3.Connection, now: int) -> Iterator[int]:
    """Add up the days that are over at `now` (microseconds since the epoch) and not summed up yet. Yields each day that
    is done, so that the caller can stop. `db` is in no transaction. Raises sqlite3.Error."""
    for day in _unsummed(db, now - DAY_US - REST_US):
        token = str(uuid.uuid4())
        # From here on, a change deletes the token.
        db.execute("INSERT OR REPLACE INTO summed_days VALUES (?, ?)", (day, token))
        groups = _groups(db, day)
        with savepoint(db):
            if db.execute("UPDATE summed_days SET token = '' WHERE day = ? AND token = ?", (day, token)).rowcount:
                db.execute("DELETE FROM rollup_days WHERE bucket = ?", (day,))
                rollup.insert(db, "rollup_days", groups)
        yield day


def _unsummed(db: sqlite3.Connection, until: int) -> Iterator[int]:
    """The days up to `until` that have rows in the rollup, and are not summed up."""
    day = -DAY_US
    while True:
        row = db.execute(
            "SELECT bucket FROM rollup WHERE bucket >= ? ORDER BY bucket LIMIT 1", (day + DAY_US,)
        ).fetchone()
        if row is None or (day := row[0] // DAY_US * DAY_US) > until:
            return
        if not db.execute("SELECT 1 FROM summed_days WHERE day = ? AND token = ''", (day,)).fetchone():
            yield day


def _groups(db: sqlite3.Connection, day: int) -> rollup.Groups:
    """The groups of a day, from those of its buckets."""
    whole: rollup.Groups = {}
    for _, groups in rollup.groups_of_rollup(db, day, day + DAY_US):
        for (_, *key), (sums, bins) in groups.items():
            total, counted = whole.setdefault((day, *key), ([None] * len(rollup.SUMS), Counter()))
            for position, value in enumerate(sums):
                if value is not None:
                    total[position] = (total[position] or 0) + value
            counted.update(bins)
    return whole


def kept(db: sqlite3.Connection) -> Iterator[tuple[int, rollup.Groups]]:
    """What is in the table, for each day that is summed up."""
    for day in _summed(db, EVER):
        yield from rollup.groups_of_rollup(db, day, day + DAY_US, "rollup_days")


def computed(db: sqlite3.Connection) -> Iterator[tuple[int, rollup.Groups]]:
    """What must be in the table, for each day that is summed up."""
    for day in _summed(db, EVER):
        yield day, _groups(db, day)


def _summed(db: Store, span: Span) -> Iterator[int]:
    asked = "SELECT day FROM summed_days WHERE token = '' AND day >= ? AND day <= ? ORDER BY day"
    return (day for (day,) in db.execute(asked, (span.since, span.until - DAY_US)).fetchall())


class Piece(NamedTuple):
    """Sums that a report reads."""

    table: str
    span: Span
    time: str = "bucket"
    """SQL for the time that says of which day they are."""
    off: str = ""
    """SQL for the time that says from which day they are taken off; '' if they are taken off from none."""


_NOON = f"bucket / {DAY_US} * {DAY_US} + {DAY_US // 2}"


def pieces(db: Store, span: Span, keys: tuple[str, ...], zone: tzinfo) -> Iterator[Piece]:
    """What a report with these keys reads for a span that begins and ends with a bucket."""
    summed = [] if "hour" in keys else _summed(db, span)
    is_split = "day" in keys and zone != UTC
    at = span.since
    for first, last in _runs(summed):
        if at < first:
            yield Piece("rollup", Span(at, first))
        yield Piece("rollup_days", Span(first, last), _NOON if is_split else "bucket")
        for day in range(first, last, DAY_US) if is_split else ():
            for part in _parts_of_other_days(day, zone):
                yield Piece("rollup", part, off=_NOON)
        at = last
    if at < span.until:
        yield Piece("rollup", Span(at, span.until))


def _parts_of_other_days(day: int, zone: tzinfo) -> Iterator[Span]:
    """The parts of a UTC day that are not of the same day in another zone as its noon."""

    def date_of(time: int) -> object:
        return datetime.fromtimestamp(time // 1_000_000, zone).date()

    for date, some in groupby(range(day, day + DAY_US, rollup.BUCKET_US), date_of):
        buckets = [*some]
        if date != date_of(day + DAY_US // 2):
            yield Span(buckets[0], buckets[-1] + rollup.BUCKET_US)


def _runs(days: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Days that follow each other, as the start of the first one and the end of the last one."""
    run: tuple[int, int] | None = None
    for day in days:
        if run and run[1] == day:
            run = (run[0], day + DAY_US)
        else:
            if run:
                yield run
            run = (day, day + DAY_US)
    if run:
        yield run
