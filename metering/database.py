"""Opens and checks the SQLite file of a ledger."""

import os
import sqlite3
from contextlib import closing
from contextlib import suppress
from functools import partial
from pathlib import Path

from metering.older import VERSION
from metering.older import read_as_new

START_PATIENCE_S = 30.0
"""How long to wait for another process that writes, where no call waits for us."""


class LedgerError(Exception):
    """The file cannot be used as a ledger. The message says why, and what to do."""


def check(path: Path) -> None:
    """Raises LedgerError if `path` cannot be a ledger. Changes nothing."""
    if path.is_dir():
        raise LedgerError(f"{path} is a directory; name a file in it, such as {path / 'usage.db'}")
    # SQLite creates its files where a link leads.
    place = Path(os.path.realpath(path)) if path.is_symlink() else path
    if place.is_symlink():
        raise LedgerError(f"{path} is a link that leads to itself; name another file")
    if not place.absolute().parent.is_dir():
        raise LedgerError(f"there is no directory {place.parent}; create it or name another file")
    if not os.access(place.absolute().parent, os.W_OK | os.X_OK):
        raise LedgerError(
            f"no files can be created in {place.absolute().parent}; change its permissions or name another file"
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
    version = version_of(db, path)
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
        version_of(db, path)
    except BaseException:
        db.close()
        raise
    return db


def connect(path: Path, patience_s: float) -> sqlite3.Connection:
    """Open a ledger for writing; several threads may use the connection in turn. Raises sqlite3.Error."""
    db = sqlite3.connect(path, timeout=patience_s, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous = NORMAL")
    return db


def version_of(db: sqlite3.Connection, path: Path) -> int:
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


def meta(db: sqlite3.Connection, key: str) -> str | None:
    """The value for `key` in the table `meta`; None if it has none."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return row[0] if row else None
