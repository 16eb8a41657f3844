"""Opens, checks, migrates and prunes the SQLite file of a ledger."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from contextlib import suppress
from functools import partial
from pathlib import Path

from sqlite_utils import Database

from metering.migrations import VERSION
from metering.migrations import migrations
from metering.older import read_as_new
from metering.rollup import BUCKET_US
from metering.transactions import transaction

START_PATIENCE_S = 30.0
"""How long to wait for another process that writes, where no call waits for us."""


class LedgerError(Exception):
    """The file cannot be used as a ledger. The message says why, and what to do."""


def check(path: Path) -> None:
    """Raises LedgerError if `path` cannot be a ledger. Changes nothing."""
    if path.is_dir():
        raise LedgerError(f"{path} is a directory; name a file in it, such as {path / 'usage.db'}")
    if not path.absolute().parent.is_dir():
        raise LedgerError(f"there is no directory {path.parent}; create it or name another file")
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise LedgerError(
            f"no files can be created in {path.absolute().parent}; change its permissions or name another file"
        )
    if path.exists():
        if not path.is_file():
            raise LedgerError(f"{path} is not a regular file; name another one")
        if not os.access(path, os.R_OK | os.W_OK):
            raise LedgerError(f"{path} cannot be read and written; change its permissions or name another file")
        with closing(_open_for_reading(path)):
            pass


def open_for_reading(path: str | os.PathLike[str]) -> sqlite3.Connection:
    """Open a ledger for reading only.

    A ledger of an older version is not changed, but shows today's tables and columns, with NULL for what it lacks. So
    is one in a folder where nothing can be written. Bytes that are not UTF-8 are read as U+FFFD. Several threads may
    use the connection in turn. Raises LedgerError if there is no ledger that this version can read.
    """
    path = Path(path)
    if not path.is_file():
        raise LedgerError(f"there is no ledger {path}; name that of the proxy, which logs its path when it starts")
    db = _open_for_reading(path)
    version = _version(db, path)
    if version == 0:
        db.close()
        raise LedgerError(f"{path} holds no calls yet")
    if version < VERSION:
        db.execute("PRAGMA query_only = OFF")
        read_as_new(db, version)
        db.execute("PRAGMA query_only = ON")
    db.row_factory = sqlite3.Row
    db.text_factory = partial(str, encoding="utf-8", errors="replace")
    return db


def _open_for_reading(path: Path) -> sqlite3.Connection:
    try:
        # Not mode=ro, which would leave the -wal and -shm files behind.
        return _opened(path, "mode=rw")
    except sqlite3.Error as e:
        if getattr(e, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise LedgerError(f"{path} is not a ledger ({e}); name another file") from e
    # SQLite wants to create the -wal and -shm files, which is only needed if others write too.
    with suppress(OSError):
        if os.path.getsize(f"{path}-wal"):
            raise LedgerError(
                f"{path} cannot be read where no files can be created, as {path.name}-wal has rows that are not in it"
                " yet; copy both files into another folder"
            )
    try:
        return _opened(path, "mode=ro&immutable=1")
    except sqlite3.Error as e:
        raise LedgerError(f"{path} cannot be read ({e}); change its permissions or name another file") from e


def _opened(path: Path, how: str) -> sqlite3.Connection:
    """A connection to a ledger that does not write. `how` is the query of SQLite's URI."""
    uri = f"{path.absolute().as_uri()}?{how}"
    db = sqlite3.connect(uri, uri=True, timeout=START_PATIENCE_S, check_same_thread=False)
    try:
        db.execute("PRAGMA query_only = ON")
        _version(db, path)
    except BaseException:
        db.close()
        raise
    return db


def connect(path: Path, patience_s: float) -> sqlite3.Connection:
    """Open a ledger for writing; several threads may use the connection in turn. Raises sqlite3.Error."""
    db = sqlite3.connect(path, timeout=patience_s, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous = NORMAL")
    return db


def _version(db: sqlite3.Connection, path: Path) -> int:
    """The version of the schema; 0 for an empty file. Raises LedgerError if the file is not a ledger, or is of a newer
    version."""
    # One statement, as another process may be creating the schema.
    version, tables, calls = db.execute(
        "SELECT user_version, (SELECT count(*) FROM sqlite_master),"
        " (SELECT count(*) FROM sqlite_master WHERE name = 'calls') FROM pragma_user_version"
    ).fetchone()
    if tables and not (version and calls):
        raise LedgerError(f"{path} is the database of another program; name another file")
    if version > VERSION:
        raise LedgerError(
            f"{path} was written by a newer vertex-tap (ledger version {version}, this one knows {VERSION});"
            " upgrade vertex-tap or name another file"
        )
    return int(version)


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Create or upgrade the schema. Raises LedgerError, sqlite3.Error."""
    if _version(db, path) == 0:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
    try:
        with transaction(db):
            if _version(db, path) < VERSION:
                migrations.apply(Database(db))
                db.execute(f"PRAGMA user_version = {VERSION}")
    except sqlite3.OperationalError as e:
        if e.sqlite_errorcode == sqlite3.SQLITE_BUSY and 0 < _version(db, path) < VERSION:
            raise LedgerError(f"{path} is being upgraded by another process; start again when that is done") from e
        raise


def meta(db: sqlite3.Connection, key: str) -> str | None:
    """The value for `key` in the table `meta`; None if it has none."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return row[0] if row else None


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
