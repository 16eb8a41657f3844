"""What one commit writes: a row, its attempts and, for a poll, the result for another row. A `Record` has only values
that SQLite can store. It can be written as SQL, or as a line of a spill file.

Any value that a response may contain can be stored. Text that UTF-8 or a C string cannot hold becomes U+FFFD, long text
is cut, and a number that is not a 64-bit integer becomes NULL: a row is worth more than one of its values.
"""

import json
import math
import operator
import re
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from typing import Any
from typing import NamedTuple
from typing import get_args

from metering.call import ATTEMPT_COLUMNS
from metering.call import COLUMNS
from metering.call import COUNTED
from metering.call import COUNTS
from metering.call import MODALITIES
from metering.call import AttemptKind
from metering.call import AttemptRow
from metering.call import Call
from metering.call import Settlement
from metering.call import State
from metering.call import UsageState
from metering.migrations import NEXT_CHANGED
from metering.transactions import savepoint

LONGEST_TEXT = 16_384
"""The most characters of a column. Longer text is cut; longer JSON is left out."""
LARGEST_INTEGER = 2**63 - 1


class Record(NamedTuple):
    """A row (in the order of COLUMNS), the result for the row of another call, and the rows of `attempts` (in the order
    of ATTEMPT_COLUMNS)."""

    row: tuple[object, ...]
    settlement: dict[str, object] | None = None
    """`operation`, `videos` and `error_type` of a `Settlement`, and if it has an answer, `usage_state` and the columns
    of `ANSWERED`."""
    tries: tuple[tuple[object, ...], ...] = ()

    @property
    def id(self) -> object:
        return self.row[_ID]

    @property
    def is_open(self) -> bool:
        """Whether the call was still under way."""
        return self.row[_STATE] == State.OPEN

    @property
    def named(self) -> dict[str, object]:
        """Column name -> value."""
        return dict(zip(COLUMNS, self.row, strict=True))


BACKGROUND = (
    "responses",
    "interactions.create",
    "interactions.createStream",
    "batches",
    "batchPredictionJobs.create",
    "batchGenerateContent",
    "asyncBatchEmbedContent",
    "videos",
    "videos/edits",
    "videos/extensions",
    "videos/remix",
)
"""Operations whose answer may be made in the background, and asked for later."""
ANSWERED = ("model_served", "finish_reason", *COUNTS, *MODALITIES, "traffic_type", "usage_raw")
"""The columns that such an answer completes, beside `usage_state` and `error_type`."""
_TOLD = ("operation", "videos", "error_type")
_ID, _STATE, _USAGE_STATE, _CHANGED = (COLUMNS.index(name) for name in ("id", "state", "usage_state", "changed"))


# From a call


def record_of(call: Call, settlement: Settlement | None = None) -> Record:
    """The storable form of a call. Never raises."""
    values = _values(call)
    row = [None if value is None else made(value) for made, value in zip(_MAKERS, values, strict=True)]
    if row[_USAGE_STATE] == UsageState.FINAL and any(row[i] is None and values[i] is not None for i in _COUNTS):
        # A count could not be stored, so the usage is incomplete.
        row[_USAGE_STATE] = UsageState.PARTIAL if any(row[i] is not None for i in _COUNTS) else UsageState.ABSENT
    tries = tuple(_try(row[_ID], number, attempt) for number, attempt in enumerate(call.tries, 1)) if call.tries else ()
    return Record(tuple(row), _told(settlement) if settlement else None, tries)


def _told(settlement: Settlement) -> dict[str, object]:
    told: dict[str, object] = {name: getattr(settlement, name) for name in _TOLD}
    if answer := settlement.answer:
        counted = UsageState.PARTIAL if answer.failed else UsageState.FINAL
        told["usage_state"] = counted if answer.counted else UsageState.ABSENT
        for name in ANSWERED:
            value = getattr(answer, name)
            told[name] = None if value is None else _maker(_TYPES[name])(value)
    return told


def _try(id: object, number: int, attempt: AttemptRow) -> tuple[object, ...]:
    values = (
        None if value is None else made(value) for made, value in zip(_TRY_MAKERS, _try_values(attempt), strict=True)
    )
    return (id, number, *values)


_values = operator.attrgetter(*COLUMNS)
_try_values = operator.attrgetter(*ATTEMPT_COLUMNS[2:])
_COUNTS = [COLUMNS.index(name) for name in COUNTED]
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return str(value) if isinstance(value, int | float) else None
    if len(value) > LONGEST_TEXT:
        value = value[:LONGEST_TEXT]
    return value if value.isascii() and "\0" not in value else _UNSTORABLE.sub("\ufffd", value)


def _integer(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return int(value) if isinstance(value, int) and -LARGEST_INTEGER <= value <= LARGEST_INTEGER else None


def _json(value: object) -> str | None:
    try:
        text = _dump(value)
        if "\\u" in text:
            text = _dump(_cleaned(value))
    except (ValueError, TypeError, RecursionError):
        return None
    return text if isinstance(value, dict) and len(text) <= LONGEST_TEXT else None


_dump = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _cleaned(value: object) -> object:
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_cleaned(name): _cleaned(member) for name, member in value.items()}
    return [_cleaned(item) for item in value] if isinstance(value, list | tuple) else value


def _number(value: object) -> float | None:
    with suppress(OverflowError):
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
    return None


def _types(record: type[Call] | type[AttemptRow]) -> dict[str, tuple[object, ...]]:
    return {field.name: get_args(field.type) or (field.type,) for field in fields(record)}


def _maker(types: tuple[object, ...]) -> Callable[[Any], object]:
    return next((made for made, kinds in _MADE.items() if kinds & {*types}), _json)


_MADE: dict[Callable[[Any], object], set[object]] = {_integer: {int, bool}, _number: {float}, _text: {str}}
_TYPES = {name: types for name, types in _types(Call).items() if name in COLUMNS}
_MAKERS = tuple(map(_maker, _TYPES.values()))
REQUIRED = tuple(name for name, types in _TYPES.items() if type(None) not in types or name == "instance")
"""Columns that must not be NULL."""
_TRY_TYPES = _types(AttemptRow)
_TRY_MAKERS = tuple(map(_maker, _TRY_TYPES.values()))


# As a line of text


def encode(number: int, record: Record) -> bytes:
    """The record as a line of a spill file. It begins and ends with a line break, so that a line cut short does not
    spoil the next one."""
    line: dict[str, object] = {"n": number, "row": record.named}
    if record.settlement:
        line["settlement"] = record.settlement
    if record.tries:
        line["tries"] = [dict(zip(ATTEMPT_COLUMNS[2:], one[2:], strict=True)) for one in record.tries]
    return b"\n" + json.dumps(line).encode() + b"\n"


def decode(line: bytes) -> tuple[int, Record]:
    """The number and the record in a line of a spill file. Raises BadLine."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise BadLine("it is not JSON", line[:LONGEST_TEXT].decode(errors="replace")) from None
    if not isinstance(said, dict):
        raise BadLine("it is no object", said)
    number, row = said.get("n"), said.get("row")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= LARGEST_INTEGER:
        raise BadLine("it has no number", said if row is None else row)
    if not isinstance(row, dict):
        raise BadLine("it has no row", said)
    if problem := _problem(row):
        raise BadLine(problem, row)
    return number, Record(
        tuple(int(value) if isinstance(value := row.get(name), bool) else value for name in COLUMNS),
        _settlement(said["settlement"], row) if "settlement" in said else None,
        _tries(said["tries"], row) if "tries" in said else (),
    )


class BadLine(ValueError):
    """A line of a spill file is invalid. `reason` quotes nothing of it; `row` is its row, or the whole line."""

    def __init__(self, reason: str, row: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.row = row


def _problem(row: dict[str, object]) -> str | None:
    """What is wrong with a row from a spill file; None if it is valid."""
    if row.keys() - _TYPES:
        return "it has a column that is not known"
    for made, name in zip(_MAKERS, COLUMNS, strict=True):
        value = row.get(name)
        if value is None:
            if name in REQUIRED:
                return f"it has no {name}"
        elif problem := _is_not(made, value):
            return f"{name} {problem}"
    state, usage = row["state"], row.get("usage_state")
    if state not in list(State):
        return "state is not known"
    if (usage is None) != (state == State.OPEN) or usage not in [None, *UsageState]:
        return "usage_state is not known"
    if row.get("ended_at") is None and state not in (State.OPEN, State.LOST):
        return "it has no ended_at"
    return None


def _is_not(made: Callable[[Any], object], value: object) -> str | None:
    """Why a value cannot be a result of the function `made`; None if it can."""
    if made is _integer:
        return None if isinstance(value, int) and _integer(value) is not None else "is no integer"
    if made is _number:
        return None if type(value) is float and _number(value) is not None else "is no number"
    if not isinstance(value, str) or _text(value) != value:
        return "is no text"
    return "is no JSON object" if made is _json and not _is_object(value) else None


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _settlement(said: object, row: object) -> dict[str, object]:
    if isinstance(said, dict) and said.keys() <= {*_TOLD, "usage_state", *ANSWERED}:
        made = dict.fromkeys(_TOLD) | said
        operation, videos, error_type = (made[name] for name in _TOLD)
        is_told = isinstance(operation, str) and _text(operation) == operation
        is_told &= videos is None or (type(videos) is int and _integer(videos) is not None)
        is_told &= error_type is None or not _is_not(_text, error_type)
        if "usage_state" in made:
            answered = {name: made.setdefault(name, None) for name in ANSWERED}
            is_told &= made["usage_state"] in list(UsageState)
            is_told &= not any(v is not None and _is_not(_maker(_TYPES[n]), v) for n, v in answered.items())
        if is_told:
            return made
    raise BadLine("its settlement is none", row)


def _tries(said: object, row: dict[str, object]) -> tuple[tuple[object, ...], ...]:
    if isinstance(said, list) and all(map(_is_try, said)):
        return tuple((row["id"], n, *map(one.get, ATTEMPT_COLUMNS[2:])) for n, one in enumerate(said, 1))
    raise BadLine("its attempts are none", row)


def _is_try(one: object) -> bool:
    return (
        isinstance(one, dict)
        and not one.keys() - _TRY_TYPES
        and one.get("kind") in list(AttemptKind)
        and one.get("started_at") is not None
        and not any(
            _is_not(made, value)
            for made, name in zip(_TRY_MAKERS, _TRY_TYPES, strict=True)
            if (value := one.get(name)) is not None
        )
    )


# As SQL


def is_of_the_row(error: Exception) -> bool:
    """Whether a write failed because of this row, so that other rows can still be written."""
    if not isinstance(error, sqlite3.Error):
        # Python could not convert the value: OverflowError, UnicodeEncodeError.
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # An error of Python's sqlite3 module: about a value, or about a closed connection.
        return "binding" in str(error)
    if code == sqlite3.SQLITE_ERROR:
        return any(words in str(error) for words in ("integer overflow", "malformed JSON", "JSON path"))
    return code & 0xFF in _OF_THE_ROW


_OF_THE_ROW = (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG)


def write(db: sqlite3.Connection, record: Record) -> None:
    """Write a record. Raises sqlite3.Error, after which part of it may be written."""
    if record.tries:
        # The rollup adds a call when it is closed, with the attempts that are there by then.
        db.execute("UPDATE calls SET state = 'open' WHERE id = ? AND state <> 'open'", (record.id,))
        db.executemany(_UPSERT_TRY, record.tries)
    db.execute(_UPSERT, record.row[:_CHANGED] + record.row[_CHANGED + 1 :])
    if record.settlement:
        _settle(db, record.settlement)


def _settle(db: sqlite3.Connection, told: dict[str, object]) -> None:
    told = {"usage_state": None} | told
    for id, state in db.execute(UNSETTLED, told).fetchall():
        told |= {"id": id, "state": state}
        # As in `write`: the rollup adds it again when it is closed.
        db.execute("UPDATE calls SET state = 'open' WHERE id = :id", told)
        db.execute(_SETTLE_VIDEOS if told["usage_state"] is None else _SETTLE_ANSWER, told)
        db.execute(_SETTLE_ATTEMPT, told)
        db.execute("UPDATE calls SET state = :state WHERE id = :id", told)


def put(db: sqlite3.Connection, record: Record) -> str | None:
    """Write a record, or as much of it as can be stored, within a transaction.

    Returns the reason if not all of it was stored. Raises sqlite3.Error if the row is not the cause. A settlement or
    attempts that cannot be stored are left out. If the row itself cannot be stored and its open row exists, that is
    closed without counts: the call has ended, and must not stay open.
    """
    try:
        with savepoint(db):
            write(db, record)
        return None
    except (sqlite3.Error, ValueError, TypeError, OverflowError) as e:
        if not is_of_the_row(e):
            raise
        reason = str(e)
    if record.settlement:
        return put(db, record._replace(settlement=None)) or f"what it settles: {reason}"
    if record.tries:
        return put(db, record._replace(tries=())) or f"its attempts: {reason}"
    with suppress(sqlite3.IntegrityError), savepoint(db):
        db.execute(_CLOSE, record.named)
    return reason


def _update(column: str, table: str) -> str:
    if column in COUNTS or column.endswith("_by_modality"):
        return f"{column} = ifnull(excluded.{column}, {table}.{column})"
    if column == "usage_state":
        return "usage_state = iif(calls.usage_state = 'final', 'final', excluded.usage_state)"
    return f"{column} = excluded.{column}"


_UPSERT = (
    # ABORT is the default. With it written out, SQLite compiles the triggers once for both statements.
    f"INSERT OR ABORT INTO calls ({', '.join(COLUMNS)})"
    f" VALUES ({', '.join(NEXT_CHANGED if column == 'changed' else '?' for column in COLUMNS)})"
    " ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(_update(column, "calls") for column in COLUMNS if column not in ("id", "started_at"))
    + " WHERE calls.state = 'open' OR excluded.state <> 'open'"
)
"""The UPSERT never reopens a row, never makes a count unknown, and never changes final usage."""

_UPSERT_TRY = (
    f"INSERT INTO attempts ({', '.join(ATTEMPT_COLUMNS)}) VALUES ({', '.join('?' * len(ATTEMPT_COLUMNS))})"
    f" ON CONFLICT (call_id, n) DO UPDATE SET {', '.join(_update(c, 'attempts') for c in ATTEMPT_COLUMNS[2:])}"
)

_CLOSE = f"""
UPDATE calls SET state = iif(:ended_at IS NULL, 'lost', :state), usage_state = 'absent', ended_at = :ended_at,
  status = :status, error_type = :error_type, duration_us = :duration_us,
  {", ".join(f"{name} = NULL" for name in (*COUNTED, *MODALITIES))}
WHERE id = :id AND state = 'open' AND :state <> 'open'
"""

UNSETTLED = f"""
SELECT id, state FROM calls
WHERE response_id = :operation AND usage_state IN ('absent', 'partial') AND CASE WHEN :usage_state IS NULL
  THEN operation IN ('predictLongRunning', 'videos') AND usage_state = 'absent'
  ELSE operation IN ({", ".join(f"'{name}'" for name in BACKGROUND)})
    AND (finish_reason IS NULL OR (usage_state = 'absent' AND :usage_state <> 'absent')) END
"""
"""The call that a settlement is for, unless it is settled already. `finish_reason` tells whether its answer is done."""

_SETTLE_VIDEOS = """
UPDATE calls SET
  usage_state = CASE WHEN :videos IS NULL THEN 'not_applicable'
    WHEN :videos = 0 OR json_extract(usage_raw, '$.durationSeconds') THEN 'final' ELSE 'absent' END,
  video_seconds = iif(:videos = 0, 0, json_extract(usage_raw, '$.durationSeconds') * :videos),
  usage_raw = iif(:videos IS NULL, usage_raw, json_set(ifnull(usage_raw, '{}'), '$.videos', :videos)),
  error_type = ifnull(:error_type, error_type)
WHERE id = :id
"""

_SETTLE_ANSWER = (
    "UPDATE calls SET usage_state = :usage_state, error_type = ifnull(:error_type, error_type), "
    + ", ".join(f"{name} = ifnull(:{name}, {name})" for name in ANSWERED)
    + ", reserved_tokens = iif(:usage_state = 'final', NULL, reserved_tokens)"
    + ", reserved_usd = iif(:usage_state = 'final', NULL, reserved_usd)"
    + " WHERE id = :id"
)

_TRIED = ", ".join(name for name in (*COUNTED, *MODALITIES, "traffic_type"))
_SETTLE_ATTEMPT = (
    f"UPDATE attempts SET ({_TRIED}) = (SELECT {_TRIED} FROM calls WHERE id = :id) WHERE call_id = :id"
    " AND n = (SELECT max(n) FROM attempts WHERE call_id = :id AND kind = 'attempt')"
)
"""Of several attempts, the last one has begun the operation; the others have used nothing."""
