"""Whether the file at a ledger's path is still the one that was opened.

SQLite goes on writing to a file that was deleted, moved or replaced, and to one that was overwritten in its place,
and tells nobody.
"""

import os
import sqlite3
import time
from contextlib import closing
from contextlib import suppress
from enum import Enum
from enum import auto
from pathlib import Path
from shutil import copyfile

from metering.companions import copy_path
from metering.database import meta

MOMENT_S = 0.05
_Inode = tuple[int, int] | None


class Found(Enum):
    SAME = auto()
    ELSEWHERE = auto()
    """The path leads to another file, or to none; ours may live on under another name."""
    OVERWRITTEN = auto()
    """Another content was written into the file."""
    WITHOUT_LOG = auto()
    """The file is ours; its write-ahead log is not, or what SQLite shares between processes."""


class Identity:
    """Of the ledger that `db` has just opened at `path`, and written to: only then has it a write-ahead log."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self.secret = meta(db, "secret")
        stat = path.stat()
        self._inode: _Inode = (stat.st_dev, stat.st_ino)
        # So that it can be told later whether another one was written over it.
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        try:
            self._is_in_file = _secret_in_file(path) == self.secret
        except sqlite3.Error:
            self._is_in_file = False
        stat = path.stat()
        self._written = (stat.st_size, stat.st_mtime_ns)
        # SQLite keeps them beside the file that a link leads to.
        self._file = path.resolve()
        self._beside = {name: _inode(name) for name in (f"{self._file}-wal", f"{self._file}-shm")}

    def is_there(self) -> bool:
        """Costs three looks at the folder; does not see all that `find` sees."""
        try:
            stat = os.stat(self.path)
        except OSError:
            return False
        is_same = (stat.st_dev, stat.st_ino) == self._inode and stat.st_size > 0
        return is_same and self._has_log()

    def _has_log(self) -> bool:
        return all(_inode(name) == inode for name, inode in self._beside.items())

    def find(self) -> Found:
        try:
            stat = self.path.stat()
        except OSError:
            return Found.ELSEWHERE
        if (stat.st_dev, stat.st_ino) != self._inode:
            return Found.ELSEWHERE
        written = (stat.st_size, stat.st_mtime_ns)
        if written != self._written and self._is_overwritten():
            return Found.OVERWRITTEN
        if not self._has_log():
            return Found.WITHOUT_LOG
        # A checkpoint, ours or another process's.
        self._written = written
        return Found.SAME

    def _is_overwritten(self) -> bool:
        if not self._holds_another():
            return False
        # What is written right now may be read wrong, or be about to come.
        time.sleep(MOMENT_S)
        return self._holds_another()

    def _holds_another(self) -> bool:
        """Whether the file is empty, or has the secret of another ledger, or is none."""
        try:
            if not self.path.stat().st_size:
                return True
            secret = _secret_in_file(self.path)
        except OSError:
            return False
        except sqlite3.Error as e:
            is_known = self._is_in_file and "no such table" in str(e)
            return is_known or getattr(e, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB
        return secret not in (None, self.secret)

    def leave(self, db: sqlite3.Connection, found: Found, instance: str) -> None:
        """Close `db`, so that nothing of it disturbs what is at the path now. What is in the write-ahead log goes
        into the file that was opened, wherever that is, unless that holds something else by now."""
        if found is Found.OVERWRITTEN:
            # SQLite would write its log into the file; it leaves alone what it finds moved.
            self._move(copy_path(self._file, instance))
        elif found is Found.ELSEWHERE or not self._is_written_by_others():
            with suppress(sqlite3.Error):
                if found is Found.ELSEWHERE:
                    # The calls that are under way end in another file.
                    db.execute("DELETE FROM calls WHERE instance = ? AND state = 'open'", (instance,))
                db.execute("PRAGMA busy_timeout = 1000")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        # While they are open no other file can have their numbers.
        for name, inode in self._beside.items():
            if inode and _inode(name) == inode:
                with suppress(OSError):
                    os.unlink(name)
        with suppress(sqlite3.Error):
            db.close()

    def _is_written_by_others(self) -> bool:
        """Whether another process has begun a log of its own, or may have written its log into the file."""
        if any(_inode(name) not in (None, inode) for name, inode in self._beside.items()):
            return True
        try:
            stat = self.path.stat()
        except OSError:
            return True
        return (stat.st_size, stat.st_mtime_ns) != self._written

    def _move(self, copy: Path) -> None:
        """Put a copy in the place of the file."""
        with suppress(OSError):
            copyfile(self._file, copy)
            os.chmod(copy, 0o600)
            if _inode(self._file) == self._inode:
                os.replace(copy, self._file)
        copy.unlink(missing_ok=True)


def _secret_in_file(path: Path) -> str | None:
    """What is in the file itself, not in its write-ahead log. Raises sqlite3.Error."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
        return meta(db, "secret")


def _inode(path: str | Path) -> _Inode:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
