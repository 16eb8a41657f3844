"""The tables in PostgreSQL that hold the rows of many ledgers.

`calls`, `attempts` and `rollup` have the columns of the ledgers' tables, and a few more: `ledger` says which ledger a
row is from, `tried` whether the call has attempts, and `KINDS` are computed in SQLite, whose JSON functions PostgreSQL
lacks. `attempt_uses` are the uses (`rollup.py`) of calls with attempts. Reports also read the view `uses`, and
`summed_days`, which is empty, as there are no sums of days. `shipped` has a row for each ledger: the place up to which
its rows are here.

All but the last are partitioned by the month in which a call started (UTC), so that old months can be dropped at once.
Text is compared by its bytes, as in SQLite.
"""

import hashlib
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC
from datetime import datetime
from typing import TYPE_CHECKING
from typing import Any
from typing import NamedTuple
from typing import get_args

from metering import rollup
from metering.call import ATTEMPT_COLUMNS
from metering.call import COLUMNS
from metering.call import AttemptRow
from metering.call import Call
from metering.selection import microseconds

if TYPE_CHECKING:
    from psycopg import Connection

KINDS = (*rollup.KINDS,)
"""Columns that SQLite computes from JSON."""
_BIGINT, _TEXT = "bigint", 'text COLLATE "C"'


def _types(record: type[Call] | type[AttemptRow]) -> dict[str, str]:
    return {field.name: _type({*(get_args(field.type) or (field.type,))}) for field in fields(record)}


def _type(kinds: set[object]) -> str:
    # JSON stays the text that it is.
    return _BIGINT if kinds & {int, bool} else "double precision" if float in kinds else _TEXT


class Table(NamedTuple):
    """A table that is partitioned by month."""

    name: str
    columns: dict[str, str]
    """Name -> type."""
    by: str
    """The column with the time whose month decides: microseconds since the epoch."""
    key: str
    """The primary key; '' if there is none."""
    indexes: tuple[str, ...]


def _of_rollup(name: str) -> str:
    """The type of a column of the rollup, or of a use."""
    return _TEXT if name == "id" or name in {*rollup.KEYS} - {"status", "context"} else _BIGINT


CALLS = Table(
    "calls",
    {name: _types(Call)[name] for name in COLUMNS}
    | {"ledger": "integer", "tried": "boolean"}
    | dict.fromkeys(KINDS, _BIGINT),
    by="started_at",
    key="id, started_at",
    indexes=("(started_at, id)", "(started_at) WHERE state = 'open'"),
)
ATTEMPTS = Table(
    "attempts",
    {"call_id": _TEXT, "n": _BIGINT}
    | {name: _types(AttemptRow)[name] for name in ATTEMPT_COLUMNS[2:]}
    | {"call_started_at": _BIGINT},
    by="call_started_at",
    key="call_id, n, call_started_at",
    indexes=(),
)
ATTEMPT_USES = Table(
    "attempt_uses",
    {name: _of_rollup(name) for name in rollup.USE} | {"n": _BIGINT},
    by="started_at",
    key="id, n, started_at",
    indexes=("(started_at)",),
)
ROLLUP = Table(
    "rollup",
    {name: _of_rollup(name) for name in rollup.COLUMNS} | {"times": _TEXT, "ledger": "integer"},
    by="bucket",
    key="",
    indexes=("(bucket, ledger)",),
)
TABLES = (CALLS, ATTEMPTS, ATTEMPT_USES, ROLLUP)

_SHIPPED = f"""
CREATE TABLE IF NOT EXISTS shipped (
  ledger integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name {_TEXT} NOT NULL UNIQUE,
  changed bigint NOT NULL DEFAULT 0,
  last_id {_TEXT},
  last_started_at bigint,
  version integer,
  at timestamptz
)
"""
"""`name` tells ledgers apart. The row that was shipped last had this number in `changed`, this id and this start; the
ledger was of this `version` then. `at` is when."""


def _uses() -> str:
    once = zip(rollup.USE, rollup.once("calls.", rollup.USE), strict=True)
    of_calls = ", ".join(f"{name if name in KINDS else value} AS {name}" for name, value in once)
    computed = ", ".join(f"{value} AS {name}" for name, value in rollup.COMPUTED.items())
    return (
        f"SELECT *, {computed} FROM (SELECT {of_calls} FROM calls WHERE NOT tried"
        f" UNION ALL SELECT {', '.join(rollup.USE)} FROM attempt_uses) AS used"
    )


_VIEWS = {
    "uses": _uses(),
    "summed_days": "SELECT CAST(NULL AS bigint) AS day, CAST(NULL AS text) AS token WHERE false",
}

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('vertex-tap tables'))"
"""Two processes do not create the same table at the same time. The lock is held until the end of the transaction."""


def definitions() -> list[str]:
    """The statements that create tables and views, or change those of an older version."""
    return [
        *(f"DROP VIEW IF EXISTS {name}" for name in _VIEWS),
        *(statement for table in TABLES for statement in _made(table)),
        _SHIPPED,
        *(f"CREATE VIEW {name} AS {select}" for name, select in _VIEWS.items()),
    ]


def create(db: "Connection[Any]") -> None:
    """Create what is missing, or was made by an older version. Raises psycopg.Error."""
    wanted = definitions()
    made = hashlib.sha256(repr(wanted).encode()).hexdigest()
    told = "SELECT obj_description(to_regclass('shipped'), 'pg_class')"
    if db.execute(told).fetchone() == (made,):
        return
    with db.transaction():
        db.execute(_LOCK)
        for statement in (*wanted, f"COMMENT ON TABLE shipped IS '{made}'"):
            db.execute(statement.encode())


def _made(table: Table) -> Iterator[str]:
    key = f", PRIMARY KEY ({table.key})" if table.key else ""
    columns = ", ".join(f"{name} {kind}" for name, kind in table.columns.items())
    yield f"CREATE TABLE IF NOT EXISTS {table.name} ({columns}{key}) PARTITION BY RANGE ({table.by})"
    for name, kind in table.columns.items():
        yield f"ALTER TABLE {table.name} ADD COLUMN IF NOT EXISTS {name} {kind}"
    for number, index in enumerate(table.indexes):
        yield f"CREATE INDEX IF NOT EXISTS {table.name}_{number} ON {table.name} {index}"


class Month(NamedTuple):
    """A month, as SQL: the end of a partition's name, and its bounds."""

    name: str
    since: str
    until: str


_FIRST, _LAST = 0, microseconds(datetime(3000, 1, 1, tzinfo=UTC))


def month_of(time: int) -> Month:
    """The month of a time in microseconds since the epoch. Times that no clock tells are in two parts of their own."""
    if time < _FIRST:
        return Month("before_1970", "MINVALUE", str(_FIRST))
    if time >= _LAST:
        return Month("from_3000", str(_LAST), "MAXVALUE")
    when = datetime.fromtimestamp(time // 1_000_000, UTC)
    first = datetime(when.year, when.month, 1, tzinfo=UTC)
    following = datetime(when.year + when.month // 12, when.month % 12 + 1, 1, tzinfo=UTC)
    return Month(f"{first:%Y_%m}", str(microseconds(first)), str(microseconds(following)))


def make_partitions(db: "Connection[Any]", table: Table, times: Iterable[int]) -> None:
    """Create the partitions of a table for these times that are missing, within a transaction. Raises psycopg.Error."""
    for month in sorted({*map(month_of, times)}):
        name = f"{table.name}_{month.name}"
        if _is_there(db, name):
            continue
        db.execute(_LOCK)
        if _is_there(db, name):
            continue
        # CREATE TABLE ... PARTITION OF would wait for all who read the table, and have all others wait.
        db.execute(f"CREATE TABLE {name} (LIKE {table.name} INCLUDING ALL)".encode())
        bounds = f"FOR VALUES FROM ({month.since}) TO ({month.until})"
        db.execute(f"ALTER TABLE {table.name} ATTACH PARTITION {name} {bounds}".encode())


def _is_there(db: "Connection[Any]", name: str) -> bool:
    # Reading a table has this connection learn what others have created meanwhile; to_regclass alone does not.
    return bool(db.execute("SELECT 1 FROM pg_class WHERE oid = to_regclass(%s)", (name,)).fetchone())
