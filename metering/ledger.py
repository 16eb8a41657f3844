"""The ledger: one SQLite file, one row a call, committed before the client has its answer.

A commit waits at most `PATIENCE_MS` for another process; then it goes to this instance's spill file (a line a
record, written before `commit` returns) and so do all that follow, in order, until a thread has folded the
spill into the ledger. Records are numbered and the ledger keeps the number of the last one folded, so a crash
at any point folds each exactly once. A process that ends in any way leaves what the next start repairs: its
spill is folded, its open rows become `lost`. A lock on a file of its own tells that a process lives, so
several may write one ledger.

`synchronous=NORMAL`: a killed process loses nothing; a power cut may lose the last rows, never the file.
"""

import fcntl
import glob
import hashlib
import hmac
import json
import logging
import operator
import os
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from sqlite_utils import Database

from metering.call import BILLED
from metering.call import COLUMNS
from metering.call import COUNTS
from metering.call import Call
from metering.call import uuid7
from metering.migrations import VERSION
from metering.migrations import migrations
from metering.rollup import BUCKET_US
from metering.usage.videos import Settlement

COMPANION = re.compile(r"-(?:wal|shm|journal)$|\.[0-9a-f-]{36}\.lock$|\.spill-[0-9a-f-]{36}$")
"""Names of the files that stand beside a ledger."""
PATIENCE_MS = 50
"""How long a commit may wait; the event loop waits with it."""
START_PATIENCE_S = 30.0
FOLD_PATIENCE_S = 1.0

logger = logging.getLogger(__name__)


class LedgerError(Exception):
    """The file cannot be used as a ledger; the message says why and what to do."""


class Record(NamedTuple):
    """What one commit writes: a row, and the Veo submission that its answer settles."""

    row: tuple[object, ...]
    settlement: Settlement | None


class Ledger:
    """Opens the ledger at `path`, which is made, migrated and repaired as needed. Raises LedgerError."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.instance = uuid7()
        self._spill_path = _spill_path(self.path, self.instance)
        self._spill: int | None = None
        """The open spill file, while records go there."""
        self._spilled = 0
        """The number of the last record that was spilled."""
        self._turn = threading.Lock()
        """Held while it is decided where a record goes."""
        self._folder: threading.Thread | None = None
        self._closing = threading.Event()
        check(self.path)
        # SQLite gives its other files the mode of this one.
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._lock = _lock(_lock_path(self.path, self.instance), wait=True)
        except OSError as e:
            raise LedgerError(f"{self.path} cannot be made ({e.strerror}); name another file") from e
        try:
            self._db = _connect(self.path, START_PATIENCE_S)
            _migrate(self._db, self.path)
            _repair(self._db, self.path)
            self._secret = _meta(self._db, "secret")
            self._db.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
        except (sqlite3.Error, LedgerError) as e:
            self._unlock()
            if isinstance(e, LedgerError):
                raise
            raise LedgerError(f"{self.path} does not open as a ledger ({e}); name another file") from e

    def commit(self, call: Call, settlement: Settlement | None = None) -> None:
        """Write the row of `call`. When this returns, it survives the end of the process. Never raises."""
        call.instance = self.instance
        record = Record(_row(call), settlement)
        with self._turn:
            if self._spill is None:
                try:
                    with _transaction(self._db):
                        _write(self._db, record)
                    return
                except sqlite3.Error as e:
                    _complain(e, self.path)
            self._append(record)

    def fingerprint(self, credential: str) -> str:
        """A name for a credential that tells clients apart and cannot be turned back."""
        return hmac.digest(str(self._secret).encode(), credential.encode(), hashlib.sha256).hex()[:12]

    def close(self) -> None:
        """Let go of the ledger. What is still spilled then is folded at the next start."""
        if self._closing.is_set():
            return
        self._closing.set()
        if folder := self._folder:
            folder.join()
            self._fold()
        if self._spill is not None:
            os.close(self._spill)
        self._db.close()
        self._unlock()

    def _unlock(self) -> None:
        _lock_path(self.path, self.instance).unlink(missing_ok=True)
        os.close(self._lock)

    def _append(self, record: Record) -> None:
        line = {"n": self._spilled + 1, "row": dict(zip(COLUMNS, record.row, strict=True))}
        if record.settlement:
            line["settlement"] = asdict(record.settlement)
        try:
            if self._spill is None:
                self._spill = os.open(self._spill_path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
            # The newline comes first: a line that the disk cut short spoils no other.
            os.write(self._spill, b"\n" + json.dumps(line).encode())
        except OSError as e:
            logger.error("vertex-tap: a row is lost, %s takes no more: %s", self._spill_path, e.strerror)
            return
        self._spilled += 1
        if self._folder is None:
            self._folder = threading.Thread(target=self._fold_until_empty, name="ledger", daemon=True)
            self._folder.start()

    def _fold_until_empty(self) -> None:
        pause = 0.01
        while not self._fold() and not self._closing.wait(pause):
            pause = min(2 * pause, 1.0)

    def _fold(self) -> bool:
        """Whether all that was spilled is in the ledger by now, so that records go there again."""
        try:
            with closing(_connect(self.path, FOLD_PATIENCE_S)) as db:
                folded = _fold_spill(db, self._spill_path, self.instance)
        except (sqlite3.Error, OSError):
            return False
        with self._turn:
            if folded < self._spilled:
                return False
            if self._spill is not None:
                os.close(self._spill)
            self._spill = self._folder = None
            self._spill_path.unlink(missing_ok=True)
            return True


def open_for_reading(path: str | os.PathLike[str]) -> sqlite3.Connection:
    """A connection that cannot write. Raises LedgerError if there is no ledger that this version reads."""
    path = Path(path)
    if not path.is_file():
        raise LedgerError(f"there is no ledger {path}")
    db = _open_for_reading(path)
    if (version := db.execute("PRAGMA user_version").fetchone()[0]) != VERSION:
        db.close()
        older = "was written by an older vertex-tap; start this one with it once"
        raise LedgerError(f"{path} {older if version else 'holds no calls yet'}")
    db.row_factory = sqlite3.Row
    return db


def _open_for_reading(path: Path) -> sqlite3.Connection:
    # Not mode=ro: that would leave the files of the write-ahead log behind.
    db: sqlite3.Connection | None = None
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=START_PATIENCE_S)
        db.execute("PRAGMA query_only = ON")
        _version(db, path)
    except (sqlite3.Error, LedgerError) as e:
        if db:
            db.close()
        if isinstance(e, LedgerError):
            raise
        raise LedgerError(f"{path} is not a ledger ({e}); name another file") from e
    return db


def prune(path: str | os.PathLike[str], before: int) -> int:
    """Delete the rows of calls that started before `before` (microseconds since the epoch, rounded down to a
    bucket), in short transactions; their sums stay in the rollup. Returns how many. Raises LedgerError."""
    open_for_reading(path).close()
    before = before // BUCKET_US * BUCKET_US
    deleted = 0
    try:
        with closing(_connect(Path(path), START_PATIENCE_S)) as db:
            with _transaction(db):
                pruned_before = max(before, int(_meta(db, "pruned_before") or 0))
                db.execute("INSERT OR REPLACE INTO meta VALUES ('pruned_before', ?)", (str(pruned_before),))
            while rows := db.execute(_PRUNE, (before,)).rowcount:
                deleted += rows
            # `execute` would take a single step of it.
            db.executescript("PRAGMA incremental_vacuum")
    except sqlite3.Error as e:
        raise LedgerError(f"{path} cannot be pruned ({e})") from e
    return deleted


_PRUNE = """
DELETE FROM calls WHERE rowid IN
  (SELECT rowid FROM calls WHERE started_at < ? AND state <> 'open' LIMIT 5000)
"""


def is_alive(path: str | os.PathLike[str], instance: str) -> bool:
    """Whether the process that wrote under this name still runs."""
    try:
        with _lock_path(Path(path), instance).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


# Files


def _lock_path(path: Path, instance: str) -> Path:
    return Path(f"{path}.{instance}.lock")


def _spill_path(path: Path, instance: str) -> Path:
    return Path(f"{path}.spill-{instance}")


def _lock(path: Path, wait: bool = False) -> int:
    """The open and locked file. Raises BlockingIOError if another process (or object) has it."""
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            raise
        # Before it was locked a sweep may have taken it for a dead one's, and removed it.
        if _is_at(path, descriptor):
            return descriptor
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def check(path: Path) -> None:
    """Raises LedgerError if `path` cannot be a ledger. Makes and changes nothing."""
    if path.is_dir():
        raise LedgerError(f"{path} is a directory; name a file in it, such as {path / 'usage.db'}")
    if not path.absolute().parent.is_dir():
        raise LedgerError(f"there is no directory {path.parent}; make it or name another file")
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise LedgerError(f"no files can be made in {path.absolute().parent}; change its rights or name another file")
    if path.exists():
        if not path.is_file():
            raise LedgerError(f"{path} is no file; name another one")
        if not os.access(path, os.R_OK | os.W_OK):
            raise LedgerError(f"{path} cannot be read and written; change its rights or name another file")
        with closing(_open_for_reading(path)):
            pass


# The database


def _connect(path: Path, patience_s: float) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=patience_s, isolation_level=None)
    db.execute("PRAGMA synchronous = NORMAL")
    return db


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _version(db: sqlite3.Connection, path: Path) -> int:
    """Of the schema, 0 for an empty file. Raises LedgerError if it is not ours, or newer."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    ours = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'calls'").fetchone()[0]
    others = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if others and not (version and ours):
        raise LedgerError(f"{path} is a database of something else; name another file")
    if version > VERSION:
        raise LedgerError(
            f"{path} was written by a newer vertex-tap (ledger version {version}, this one knows {VERSION});"
            " upgrade vertex-tap or name another file"
        )
    return version


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    if _version(db, path) == 0:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
    with _transaction(db):
        if _version(db, path) < VERSION:
            migrations.apply(Database(db))
            db.execute(f"PRAGMA user_version = {VERSION}")


def _meta(db: sqlite3.Connection, key: str) -> str | None:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return row[0] if row else None


def _repair(db: sqlite3.Connection, path: Path) -> None:
    """Fold what dead instances spilled, and mark their open rows as lost."""
    open_rows = db.execute("SELECT DISTINCT instance FROM calls WHERE state = 'open'")
    instances = {row[0] for row in open_rows}
    instances |= {
        file.name.removeprefix(f"{path.name}.spill-") for file in path.parent.glob(f"{glob.escape(path.name)}.spill-*")
    }
    instances |= {file.name[len(path.name) + 1 : -5] for file in path.parent.glob(f"{glob.escape(path.name)}.*.lock")}
    for instance in instances:
        try:
            lock = _lock(_lock_path(path, instance))
        except BlockingIOError:
            continue
        _fold_spill(db, _spill_path(path, instance), instance)
        with _transaction(db):
            counted = " OR ".join(f"{name} IS NOT NULL" for name in BILLED)
            db.execute(
                f"UPDATE calls SET state = 'lost', usage_state = iif({counted}, 'partial', 'absent')"
                " WHERE instance = ? AND state = 'open'",
                (instance,),
            )
        _spill_path(path, instance).unlink(missing_ok=True)
        _lock_path(path, instance).unlink(missing_ok=True)
        os.close(lock)


def _fold_spill(db: sqlite3.Connection, path: Path, instance: str) -> int:
    """Write the records of a spill file that are not in the ledger yet; the number of the last one."""
    with _transaction(db):
        folded = int(_meta(db, f"spilled:{instance}") or 0)
        for line in path.read_bytes().splitlines() if path.exists() else []:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if record["n"] <= folded:
                continue
            settlement = Settlement(**record["settlement"]) if "settlement" in record else None
            _write(db, Record(tuple(record["row"].get(name) for name in COLUMNS), settlement))
            folded = record["n"]
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"spilled:{instance}", str(folded)))
    return folded


def _complain(error: sqlite3.Error, path: Path) -> None:
    if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
        logger.error("vertex-tap: %s takes no rows (%s); they wait in a file beside it", path, error)


_row_values = operator.attrgetter(*COLUMNS)


def _row(call: Call) -> tuple[object, ...]:
    return tuple(
        json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else value for value in _row_values(call)
    )


def _write(db: sqlite3.Connection, record: Record) -> None:
    db.execute(_UPSERT, record.row)
    if settlement := record.settlement:
        db.execute(_SETTLE, asdict(settlement))


def _update(column: str) -> str:
    if column in COUNTS or column.endswith("_by_modality"):
        return f"{column} = ifnull(excluded.{column}, calls.{column})"
    if column == "usage_state":
        return "usage_state = iif(calls.usage_state = 'final', 'final', excluded.usage_state)"
    return f"{column} = excluded.{column}"


_UPSERT = (
    f"INSERT INTO calls ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
    f" ON CONFLICT (id) DO UPDATE SET {', '.join(_update(c) for c in COLUMNS if c != 'id')}"
    " WHERE calls.state = 'open' OR excluded.state <> 'open'"
)
"""A row never opens again, a count never becomes unknown, a final usage stays final."""

_SETTLE = """
UPDATE calls SET
  usage_state = CASE WHEN :videos IS NULL THEN 'not_applicable'
    WHEN :videos = 0 OR json_extract(usage_raw, '$.durationSeconds') THEN 'final' ELSE 'absent' END,
  video_seconds = iif(:videos = 0, 0, json_extract(usage_raw, '$.durationSeconds') * :videos),
  usage_raw = iif(:videos IS NULL, usage_raw, json_set(ifnull(usage_raw, '{}'), '$.videos', :videos)),
  error_type = ifnull(:error_type, error_type)
WHERE response_id = :operation AND operation IN ('predictLongRunning', 'videos') AND usage_state = 'absent'
"""
