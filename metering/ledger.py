"""The ledger: an SQLite file with one row for each call, committed before the client has its answer.

A commit waits at most `PATIENCE_MS` for another process. Then the record goes to the spill file of this process
(written before `commit` returns), and so do all later records, in order, until a thread has moved ("folded") them into
the ledger. The same happens while the ledger is full, missing or replaced. If the spill file cannot be written either,
records wait in memory.

However a process ends, the next start repairs the ledger: it folds the spill file, and marks open rows as `lost`. Each
process holds a lock on a file of its own, which shows that it is alive, so several processes can share a ledger.

With `synchronous=NORMAL`, a killed process loses nothing. A power failure may lose the last rows, but never the file.
"""

import hashlib
import hmac
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import closing
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path

from metering import companions
from metering import days
from metering.call import BILLED
from metering.call import COLUMNS
from metering.call import Call
from metering.call import Settlement
from metering.call import State
from metering.call import UsageState
from metering.call import uuid7
from metering.complaints import Complaints
from metering.database import START_PATIENCE_S
from metering.database import LedgerError
from metering.database import check
from metering.database import connect
from metering.identity import Found
from metering.identity import Identity
from metering.record import Record
from metering.record import is_of_the_row
from metering.record import put
from metering.record import record_of
from metering.record import write
from metering.rejected import Rejected
from metering.rejected import set_aside
from metering.spill import Spill
from metering.spill import fold_file
from metering.transactions import transaction
from metering.upkeep import migrate
from metering.written import Kept
from metering.written import Written
from metering.written import completed
from metering.written import to_complete

PATIENCE_MS = 50
"""How long a commit may wait for another process. The event loop is blocked meanwhile."""
FOLD_PATIENCE_S = 1.0
LOOK_S = 0.5
"""How often the thread checks that the ledger is still at its path."""
SUM_AFTER_S = 5.0
"""When to look for days that are over for the first time. What else is wrong with the files is found before."""
SUM_DAYS_S = 600.0
"""How often to look for them later."""

logger = logging.getLogger(__name__)


class Ledger:
    """Opens the ledger at `path`, and creates, migrates and repairs it as needed. Raises LedgerError."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.instance = uuid7()
        self._turn = threading.Lock()
        """A lock that is held while a record goes to the ledger or to the spill file."""
        self._spill = Spill(self.path, self.instance)
        self._open: dict[object, Record] = {}
        """Id of a call under way -> its latest record."""
        self._recent: list[Record] = []
        """Records that were written since the ledger was last seen at its path."""
        self._missing: list[Record] = []
        """Records that were written to a ledger that is gone, and must be written again."""
        self._trouble: str | None = None
        """Why rows cannot be written to the ledger; None if they can."""
        self._complaints = Complaints(self.path, self._spill)
        self._sums_at = time.monotonic() + SUM_AFTER_S
        """When to look for days to sum up, by the monotonic clock."""
        self._db: sqlite3.Connection | None = None
        check(self.path)
        lock_path = companions.lock_path(self.path, self.instance)
        try:
            _make(self.path)
            self._lock = companions.lock(lock_path, wait=True)
        except OSError as e:
            raise LedgerError(f"{self.path} cannot be made ({e.strerror}); name another file") from e
        try:
            self._db = self._connect(START_PATIENCE_S)
        except (sqlite3.Error, LedgerError, OSError) as e:
            self._unlock()
            if isinstance(e, LedgerError):
                raise
            raise LedgerError(f"{self.path} does not open as a ledger ({e}); name another file") from e
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="ledger", daemon=True)
        self._keeper.start()

    def _connect(self, patience_s: float) -> sqlite3.Connection:
        """A connection to the file that is at the path now, migrated and repaired. Raises sqlite3.Error, LedgerError,
        OSError."""
        db = connect(self.path, patience_s)
        try:
            migrate(db, self.path)
            _repair(db, self.path)
            self._identity = Identity(self.path, db)
            db.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
        except BaseException:
            db.close()
            raise
        return db

    @property
    def waiting(self) -> int:
        """The number of rows in memory that neither the ledger nor the spill file can take."""
        return len(self._spill.waiting)

    @property
    def lost(self) -> int:
        """The number of rows that were dropped, as too many waited in memory."""
        return self._spill.lost

    @property
    def is_well(self) -> bool:
        """Whether rows get into the ledger, either at once or when another process has finished writing."""
        return self._trouble is None and not self._spill.waiting

    @property
    def open_rows(self) -> int:
        """The number of calls of this process whose rows are open."""
        return len(self._open)

    def commit(self, call: Call, settlement: Settlement | None = None) -> Written:
        """Write the row of `call`. Afterwards it survives the end of the process, unless neither the ledger nor the
        spill file can be written. Never raises.

        What the settlement has completed is told only if the ledger takes it now, not if it is spilled.
        """
        call.instance = self.instance
        record = record_of(call, settlement)
        with self._turn:
            if record.is_open:
                self._open[record.id] = record
            else:
                self._open.pop(record.id, None)
            if self._spill.is_empty and (written := self._commit(record)):
                return written
            kept = self._spill.put(record)
        self._wake.set()
        return Written(kept)

    def change(self, step: Callable[[sqlite3.Connection], Call | None]) -> bool:
        """Run a step in a transaction, together with writing the row of the call that it returns, if any. Returns False
        if the ledger cannot be written now; nothing has changed then."""
        with self._turn:
            if self._db is None or not self._spill.is_empty or not self._identity.is_there():
                return False
            try:
                with transaction(self._db):
                    if call := step(self._db):
                        call.instance = self.instance
                        record = record_of(call)
                        write(self._db, record)
            except sqlite3.Error:
                return False
            if call:
                self._open[record.id] = record
                self._recent.append(record)
            return True

    def _commit(self, record: Record) -> Written | None:
        """Write a record to the ledger. Returns None if that must be tried again."""
        if self._db is None or not self._identity.is_there():
            return None
        try:
            with transaction(self._db):
                before = to_complete(self._db, record)
                write(self._db, record)
                written = Written(Kept.COMMITTED, completed(self._db, before))
        except (sqlite3.Error, ValueError, TypeError, OverflowError) as e:
            return Written(Kept.REJECTED) if is_of_the_row(e) and self._reject(self._db, record) else None
        self._recent.append(record)
        return written

    def _reject(self, db: sqlite3.Connection, record: Record) -> bool:
        """Store as much of a row as possible, and set the row aside. Returns False if that fails; the record is then
        spilled."""
        try:
            with transaction(db):
                if reason := put(db, record):
                    set_aside(self.path, [Rejected(reason, record.named)])
            return True
        except (sqlite3.Error, OSError):
            return False

    def fingerprint(self, credential: str) -> str:
        """A one-way hash of a credential, of 12 hex digits, that tells clients apart."""
        secret = str(self._identity.secret)
        return hmac.digest(secret.encode(), credential.encode(errors="surrogateescape"), hashlib.sha256).hex()[:12]

    def close(self) -> None:
        """Close the ledger. Rows that are still in the spill file are folded at the next start."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._wake.set()
        self._keeper.join()
        self._tend()
        with self._turn:
            is_folded = self._spill.give_up()
            self._complaints.say_lost(pause_s=0)
            if self._db and is_folded:
                with suppress(sqlite3.Error, OSError), transaction(self._db):
                    _mark_lost(self._db, self.path, self.instance)
            if self._db:
                self._db.close()
            self._db = None
            self._unlock()

    def _unlock(self) -> None:
        with suppress(OSError):
            companions.lock_path(self.path, self.instance).unlink()
        os.close(self._lock)

    # The thread

    def _keep(self) -> None:
        pause: float | None = None
        while not self._closing.is_set():
            if pause is None:
                self._wake.wait(LOOK_S)
            else:
                self._closing.wait(pause)
            self._wake.clear()
            pause = None if self._tend() else min(2 * (pause or 0.005), LOOK_S)

    def _tend(self) -> bool:
        """Check the ledger's file, and fold the spill file. Returns whether all rows are in the ledger."""
        try:
            self._keep_lock()
            self._keep_open()
            if not self._spill.is_empty:
                with closing(connect(self.path, FOLD_PATIENCE_S)) as db:
                    self._spill.fold(db)
            self._sum_days()
            self._trouble = None
            return self._spill.is_empty
        except Exception as e:
            # The thread must go on, or waiting rows would wait for ever.
            if getattr(e, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
                self._trouble = str(e)
            return False
        finally:
            self._complaints.say_trouble(self._trouble)
            self._complaints.say_lost()

    def _sum_days(self) -> None:
        """Sum up one of the days that are over, if it is time."""
        if self._closing.is_set() or time.monotonic() < self._sums_at:
            return
        found = None
        # Reports do without these sums; they are only slower.
        with suppress(sqlite3.Error, ValueError), closing(connect(self.path, FOLD_PATIENCE_S)) as db:
            found = next(days.sum_up(db, time.time_ns() // 1000), None)
        self._sums_at = time.monotonic() + (SUM_DAYS_S if found is None else 0)

    def _keep_lock(self) -> None:
        path = companions.lock_path(self.path, self.instance)
        if not companions.is_at(path, self._lock):
            with suppress(OSError):
                removed, self._lock = self._lock, companions.lock(path)
                os.close(removed)

    def _keep_open(self) -> None:
        """Open the file at the path anew if it is not the one that is open. Raises sqlite3.Error, LedgerError,
        OSError."""
        with self._turn:
            recent, self._recent = self._recent, []
        if self._db is not None:
            found = self._identity.find()
            if found is Found.SAME:
                return
            with self._turn:
                left, self._db = self._db, None
                if found is not Found.ELSEWHERE:
                    self._missing += recent + self._recent
            logger.warning(
                "vertex-tap: the ledger %s %s while in use; rows go to the file that is there now",
                self.path,
                FOUND[found],
            )
            self._identity.leave(left, found, self.instance)
        check(self.path)
        _make(self.path)
        db = self._connect(FOLD_PATIENCE_S)
        with self._turn:
            missing = [*self._missing, *self._open.values()]
        try:
            with transaction(db):
                reasons = [(put(db, record), record) for record in missing]
                set_aside(self.path, [Rejected(reason, record.named) for reason, record in reasons if reason])
        except BaseException:
            db.close()
            raise
        with self._turn:
            self._db, self._missing = db, []


FOUND = {
    Found.ELSEWHERE: "was deleted, moved or replaced",
    Found.OVERWRITTEN: "was overwritten",
    Found.WITHOUT_LOG: "lost its write-ahead log",
}


def _make(path: Path) -> None:
    # SQLite gives its -wal and -shm files the mode of this file.
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _repair(db: sqlite3.Connection, path: Path) -> None:
    """Fold the spill files of dead processes, and mark their open rows as lost. Raises sqlite3.Error, OSError."""
    for instance in companions.instances(path, "spill"):
        with _dead(path, instance) as is_dead:
            if is_dead:
                try:
                    fold_file(db, path, instance)
                except OSError as e:
                    logger.warning("vertex-tap: a spill file cannot be used, and is left where it is: %s", e)
    open_rows = {str(row[0]) for row in db.execute("SELECT DISTINCT instance FROM calls WHERE state = 'open'")}
    for instance in sorted(open_rows | {*companions.instances(path, "lock")}):
        with _dead(path, instance) as is_dead:
            if is_dead:
                with transaction(db):
                    _mark_lost(db, path, instance)


@contextmanager
def _dead(path: Path, instance: str) -> Iterator[bool]:
    """Whether a process is dead. If so, holds its lock, so that no other process repairs its rows at the same time."""
    if not companions.is_instance(instance):
        yield True
        return
    lock_path = companions.lock_path(path, instance)
    try:
        held = companions.lock(lock_path)
    except BlockingIOError:
        yield False
    except OSError as e:
        logger.warning("vertex-tap: a lock file cannot be used, and is left where it is: %s", e)
        # A directory cannot be a lock, so no process holds it.
        yield isinstance(e, IsADirectoryError)
    else:
        try:
            yield True
        finally:
            lock_path.unlink(missing_ok=True)
            os.close(held)


def _mark_lost(db: sqlite3.Connection, path: Path, instance: str) -> None:
    """Mark the open rows of a process as lost. Raises sqlite3.Error, and OSError if there is no room yet for rows that
    must be set aside."""
    # Row by row, with the statement that calls are written with: SQLite takes long to compile the triggers for another.
    rejected = []
    select = f"SELECT {', '.join(COLUMNS)} FROM calls WHERE instance = ? AND state = 'open'"
    for row in db.execute(select, (instance,)).fetchall():
        named = dict(zip(COLUMNS, row, strict=True))
        known = any(named[name] is not None for name in BILLED)
        if known:
            named |= {"reserved_tokens": None, "reserved_usd": None}
        named |= {"state": State.LOST, "usage_state": UsageState.PARTIAL if known else UsageState.ABSENT}
        if reason := put(db, Record(tuple(named.values()))):
            rejected.append(Rejected(reason, named))
    set_aside(path, rejected)
