"""What a commit tells: where the row is kept now, and which row of another call it has completed."""

import json
import sqlite3
from enum import StrEnum
from typing import NamedTuple

from metering.call import COLUMNS
from metering.call import MODALITIES
from metering.call import Call
from metering.record import UNSETTLED
from metering.record import Record


class Kept(StrEnum):
    """Where a row is."""

    COMMITTED = "committed"
    SPILLED = "spilled"
    """In the spill file, until the ledger can be written."""
    WAITING = "waiting"
    """In memory, as neither can be written."""
    REJECTED = "rejected"
    """In the file `.rejected`, as SQLite does not take it."""
    LOST = "lost"


class Completed(NamedTuple):
    """A row that a poll has completed, before and after."""

    before: Call
    after: Call


class Written(NamedTuple):
    """The result of a commit."""

    kept: Kept
    completed: tuple[Completed, ...] = ()


Rows = dict[str, tuple[object, ...]]
"""Id -> the row, in the order of COLUMNS."""


def to_complete(db: sqlite3.Connection, record: Record) -> Rows:
    """The rows that a record will complete, as they are before it is written. Raises sqlite3.Error."""
    if not record.settlement:
        return {}
    return _rows(db, [id for id, _ in db.execute(UNSETTLED, {"usage_state": None} | record.settlement)])


def completed(db: sqlite3.Connection, before: Rows) -> tuple[Completed, ...]:
    """The rows that are complete now. Raises sqlite3.Error."""
    if not before:
        return ()
    after = _rows(db, [*before])
    return tuple(Completed(_call(before[id]), _call(row)) for id, row in after.items())


def _rows(db: sqlite3.Connection, ids: list[str]) -> Rows:
    asked = f"SELECT {', '.join(COLUMNS)} FROM calls WHERE id = ?"
    return {id: db.execute(asked, (id,)).fetchone() for id in ids}


def _call(row: tuple[object, ...]) -> Call:
    fields = dict(zip(COLUMNS, row, strict=True))
    for name in _OBJECTS:
        fields[name] = _object(fields[name])
    return Call(**fields)  # type: ignore[arg-type]


_OBJECTS = ("tags", "usage_raw", *MODALITIES)
"""Columns with JSON objects."""


def _object(text: object) -> dict[str, int] | None:
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        value = None
    return value if isinstance(value, dict) else None
