"""Copies the rows of ledgers to PostgreSQL.

A row is known by its id, and a ledger by the secret that it was created with. The column `changed` of a ledger grows
with every row that is written, so one number says what was shipped last. It is kept in PostgreSQL, in the table
`shipped`, and moves on in the transaction that writes the rows. So a process may be killed at any moment, or run beside
others: the next one goes on from there. With the rows come their attempts, and all sums of the 15 minutes in which they
started.

What was deleted from a ledger stays in PostgreSQL.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any
from typing import NamedTuple

from metering import postgresql
from metering import postgresql_tables as tables
from metering import reports
from metering import rollup
from metering.call import ATTEMPT_COLUMNS
from metering.call import COLUMNS
from metering.database import LedgerError
from metering.database import meta
from metering.database import open_for_reading
from metering.database import version_of
from metering.older import WITH_FINE_ROLLUP
from metering.postgresql_tables import Table

AT_ONCE = 5000
"""How many rows are shipped in one transaction."""

Row = tuple[Any, ...]
Told = Callable[[int], None]
"""Gets the number of rows that were just shipped."""


class Shipping:
    """A connection to PostgreSQL, with the tables made. Raises PostgreSQLError."""

    def __init__(self, address: str) -> None:
        self._db = postgresql.connect(address)
        try:
            with postgresql.problems():
                tables.create(self._db)
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        self._db.close()

    def ship(self, path: Path, told: Told = lambda rows: None) -> int:
        """Copy what has changed in a ledger. Returns the number of rows. Raises LedgerError, sqlite3.Error."""
        with closing(open_for_reading(path)) as ledger:
            version = version_of(ledger, path)
            if version < WITH_FINE_ROLLUP:
                raise LedgerError(f"{path} is of an older vertex-tap; start a proxy with it once, to upgrade it")
            rows = 0
            with postgresql.problems():
                number = self._number_of(ledger)
                while shipped := self._ship_some(ledger, number, version):
                    rows += shipped
                    told(shipped)
        return rows

    def _number_of(self, ledger: sqlite3.Connection) -> int:
        """The number of a ledger in the table `shipped`."""
        name = hashlib.sha256(f"vertex-tap ledger {meta(ledger, 'secret')}".encode()).hexdigest()
        self._db.execute("INSERT INTO shipped (name) VALUES (%s) ON CONFLICT (name) DO NOTHING", (name,))
        return int(self._one("SELECT ledger FROM shipped WHERE name = %s", name)[0])

    def _one(self, sql: str, *values: object) -> Row:
        row: Row | None = self._db.execute(sql.encode(), values).fetchone()
        assert row is not None
        return row

    def _ship_some(self, ledger: sqlite3.Connection, number: int, version: int) -> int:
        """Copy the rows that changed first. Returns their number."""
        with self._db.transaction(), reports.snapshot(ledger):
            # Another process that ships this ledger waits here, and then finds what we have done.
            place = _Place(*self._one(_PLACE, number))
            goes_on = place.is_of(ledger)
            batch = _Batch(ledger, place.changed if goes_on else 0, number)
            if not batch.calls:
                return 0
            # An upgrade of the ledger may have made other sums of the same rows.
            buckets = batch.buckets if goes_on and place.version == version else _buckets(ledger)
            self._write(tables.CALLS, batch.times, batch.calls, _UPSERT_CALLS)
            self._write(tables.ATTEMPTS, batch.times, batch.of_attempts(ledger, _ATTEMPTS))
            self._write(tables.ATTEMPT_USES, batch.times, batch.of_attempts(ledger, _ATTEMPT_USES))
            self._db.execute("DELETE FROM rollup WHERE ledger = %s AND bucket = ANY(%s)", (number, buckets))
            self._write(tables.ROLLUP, buckets, _sums(ledger, buckets, number))
            self._db.execute(
                "UPDATE shipped SET changed = %s, last_id = %s, last_started_at = %s, version = %s, at = now()"
                " WHERE ledger = %s",
                (*batch.last, version, number),
            )
        return len(batch.calls)

    def _write(self, table: Table, times: Iterable[int], rows: Iterable[Row], sql: str = "") -> None:
        """Write rows of these times to a table; `sql` is an INSERT, or what is usual for the table."""
        tables.make_partitions(self._db, table, times)
        names, left = tuple(table.columns), iter(rows)
        # Temporary tables, to which rows can be copied, would be a burden where a thousand processes come every minute.
        while some := [*islice(left, AT_ONCE)]:
            # A column that is not named is NULL.
            told = [{name: value for name, value in zip(names, row, strict=True) if value is not None} for row in some]
            self._db.execute((sql or _upsert(table)).encode(), (json.dumps(told, ensure_ascii=False),))


def _upsert(table: Table) -> str:
    """The statement that writes rows (JSON), also over those that are there."""
    sql = f"INSERT INTO {table.name} SELECT * FROM json_populate_recordset(NULL::{table.name}, %s)"
    changes = ", ".join(f"{name} = excluded.{name}" for name in table.columns if name not in table.key.split(", "))
    return f"{sql} ON CONFLICT ({table.key}) DO UPDATE SET {changes}" if table.key else sql


_UPSERT_CALLS = (
    # Two ledgers may have the same call: one was moved away while it was open, and the other took its place.
    f"{_upsert(tables.CALLS)} WHERE CASE WHEN calls.ledger = excluded.ledger THEN calls.changed <= excluded.changed"
    " ELSE calls.state = 'open' OR excluded.state <> 'open' END"
)


class _Place(NamedTuple):
    """What was shipped last of a ledger."""

    changed: int
    last_id: str | None
    last_started_at: int | None
    version: int | None

    def is_of(self, ledger: sqlite3.Connection) -> bool:
        """Whether the ledger has gone on from there: it still has the row that was shipped last, or that was pruned. An
        older copy of the file may have taken its place."""
        row = ledger.execute("SELECT changed FROM calls WHERE id = ?", (self.last_id,)).fetchone()
        if row is not None:
            return int(row[0]) >= self.changed
        return self.last_started_at is not None and self.last_started_at < int(meta(ledger, "pruned_before") or 0)


_PLACE = f"SELECT {', '.join(_Place._fields)} FROM shipped WHERE ledger = %s FOR UPDATE"


class _Batch:
    """The rows of a ledger that changed first after some number."""

    def __init__(self, ledger: sqlite3.Connection, since: int, number: int) -> None:
        found = ledger.execute(_CALLS, (since, AT_ONCE)).fetchall()
        self._since = since
        self.calls = [(*row[: len(COLUMNS)], number, *row[len(COLUMNS) :]) for row in found]
        """Rows of the table `calls` in PostgreSQL."""
        self.times = {row["started_at"] for row in found}
        self.buckets = sorted({time // rollup.BUCKET_US * rollup.BUCKET_US for time in self.times})
        self.last = tuple(found[-1][name] for name in ("changed", "id", "started_at")) if found else ()

    def of_attempts(self, ledger: sqlite3.Connection, sql: str) -> Iterator[Row]:
        """What a query tells of their attempts."""
        return map(tuple, ledger.execute(sql, (self._since, self.last[0])))


def _buckets(ledger: sqlite3.Connection) -> list[int]:
    """All buckets that have sums, also those whose rows were pruned."""
    return [bucket for (bucket,) in ledger.execute("SELECT DISTINCT bucket FROM rollup")]


def _sums(ledger: sqlite3.Connection, buckets: Iterable[int], number: int) -> Iterator[Row]:
    """The sums of buckets, as rows of the table `rollup` in PostgreSQL."""
    for bucket in buckets:
        for row in ledger.execute(_SUMS, (bucket,)):
            yield *row, number


_CALLS = (
    f"SELECT {', '.join(COLUMNS)}, EXISTS (SELECT 1 FROM attempts WHERE call_id = calls.id),"
    f" {', '.join(rollup.once('calls.', tables.KINDS))} FROM calls WHERE changed > ? ORDER BY changed LIMIT ?"
)
_OF_BATCH = "attempt.call_id = calls.id AND calls.changed > ? AND calls.changed <= ?"
_ATTEMPTS = (
    f"SELECT {', '.join(f'attempt.{name}' for name in ATTEMPT_COLUMNS)}, calls.started_at"
    f" FROM calls, attempts AS attempt WHERE {_OF_BATCH}"
)
_ATTEMPT_USES = (
    f"SELECT {', '.join(rollup.tried('calls.', rollup.USE))}, attempt.n FROM calls, {rollup.ATTEMPTS} WHERE {_OF_BATCH}"
)
_SUMS = f"SELECT {', '.join(rollup.COLUMNS)}, times FROM rollup WHERE bucket = ?"
