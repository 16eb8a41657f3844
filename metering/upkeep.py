"""Upkeep of the SQLite file of a ledger: its schema is created and upgraded, its old rows are deleted.

It is apart from `database.py`, as the library for migrations takes longer to import than most reports take.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database

from metering.database import START_PATIENCE_S
from metering.database import LedgerError
from metering.database import connect
from metering.database import meta
from metering.database import open_for_reading
from metering.database import version_of
from metering.migrations import migrations
from metering.older import VERSION
from metering.rollup import BUCKET_US
from metering.transactions import transaction

RETRY_S = 0.01
"""How long to wait before the journal mode is asked for again."""


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Create or upgrade the schema. Raises LedgerError, sqlite3.Error."""
    if version_of(db, path) == 0:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _write_ahead(db)
    try:
        with transaction(db):
            if version_of(db, path) < VERSION:
                migrations.apply(Database(db))
                db.execute(f"PRAGMA user_version = {VERSION}")
    except sqlite3.OperationalError as e:
        if e.sqlite_errorcode == sqlite3.SQLITE_BUSY and 0 < version_of(db, path) < VERSION:
            raise LedgerError(f"{path} is being upgraded by another process; start again when that is done") from e
        raise


def _write_ahead(db: sqlite3.Connection) -> None:
    """Give the file a write-ahead log. If another process is just doing that, SQLite fails at once, so this waits, as
    long as `db` waits for locks. Raises sqlite3.Error."""
    deadline = time.monotonic() + db.execute("PRAGMA busy_timeout").fetchone()[0] / 1000
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as e:
            if e.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_S)


def prune(path: str | os.PathLike[str], before: int, told: Callable[[int], None] = lambda rows: None) -> int:
    """Delete the rows of calls that started before `before`, in short transactions. Their sums stay in the rollup.

    `before` is in microseconds since the epoch, and is rounded down to a bucket. `told` gets the number of rows after
    each transaction. Returns the number of deleted rows. Raises LedgerError.
    """
    open_for_reading(path).close()
    path = Path(path)
    before = before // BUCKET_US * BUCKET_US
    deleted = 0
    try:
        with closing(connect(path, START_PATIENCE_S)) as db:
            migrate(db, path)
            with transaction(db):
                pruned_before = max(before, int(meta(db, "pruned_before") or 0))
                db.execute("INSERT OR REPLACE INTO meta VALUES ('pruned_before', ?)", (str(pruned_before),))
            while rows := db.execute(_PRUNE, (before,)).rowcount:
                deleted += rows
                told(rows)
            # `execute` would free a single page only.
            db.executescript("PRAGMA incremental_vacuum")
    except sqlite3.Error as e:
        raise LedgerError(f"{path} cannot be pruned ({e})") from e
    return deleted


_PRUNE = """
DELETE FROM calls WHERE rowid IN
  (SELECT rowid FROM calls WHERE started_at < ? AND state <> 'open' LIMIT 5000)
"""
