"""Checks that the file at a ledger's path is still the one that was opened.

If the file is deleted, moved, replaced or overwritten in place, SQLite goes on writing to it without an error.
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
    """What is at the path of a ledger."""

    SAME = auto()
    ELSEWHERE = auto()
    """There is another file at the path, or none. Ours may still exist under another name."""
    OVERWRITTEN = auto()
    """Other content was written into the same file."""
    WITHOUT_LOG = auto()
    """The file is ours, but its `-wal` or `-shm` file was removed or replaced."""


class Identity:
    """Identifies the ledger file that `db` has just opened and written to. (Before the first write it has no
    write-ahead log.)"""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self.secret = meta(db, "secret")
        stat = path.stat()
        self._inode: _Inode = (stat.st_dev, stat.st_ino)
        # Write the secret into the file itself, to notice later if the file is overwritten.
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        try:
            self._is_in_file = _secret_in_file(path) == self.secret
        except sqlite3.Error:
            self._is_in_file = False
        stat = path.stat()
        self._written = (stat.st_size, stat.st_mtime_ns)
        # SQLite puts these files beside the target of a symbolic link.
        self._file = path.resolve()
        self._beside = {name: _inode(name) for name in (f"{self._file}-wal", f"{self._file}-shm")}

    def is_there(self) -> bool:
        """Whether the file seems to be in place. Makes three `stat` calls; `find` checks more."""
        try:
            stat = os.stat(self.path)
        except OSError:
            return False
        is_same = (stat.st_dev, stat.st_ino) == self._inode and stat.st_size > 0
        return is_same and self._has_log()

    def _has_log(self) -> bool:
        return all(_inode(name) == inode for name, inode in self._beside.items())

    def find(self) -> Found:
        """Compare the file at the path with the one that was opened. Takes up to a few reads and `MOMENT_S` seconds."""
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
        # The file was changed by a checkpoint, ours or another process's.
        self._written = written
        return Found.SAME

    def _is_overwritten(self) -> bool:
        if not self._holds_another():
            return False
        # Try again: while another process writes, the content may be wrong or yet to come.
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
        """Close `db` without damage to the file that is at the path now. The write-ahead log is moved into the file
        that was opened, wherever that is, unless the file has other content by now."""
        if found is Found.OVERWRITTEN:
            # SQLite would write its log into the overwritten file, but not into one that was replaced.
            self._move(copy_path(self._file, instance))
        elif found is Found.ELSEWHERE or not self._is_written_by_others():
            with suppress(sqlite3.Error):
                if found is Found.ELSEWHERE:
                    # Calls under way will be written to the new file.
                    db.execute("DELETE FROM calls WHERE instance = ? AND state = 'open'", (instance,))
                db.execute("PRAGMA busy_timeout = 1000")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        # While `db` is open, no other file can get the same inode numbers.
        for name, inode in self._beside.items():
            if inode and _inode(name) == inode:
                with suppress(OSError):
                    os.unlink(name)
        with suppress(sqlite3.Error):
            db.close()

    def _is_written_by_others(self) -> bool:
        """Whether another process has a new log, or may have written its log into the file."""
        if any(_inode(name) not in (None, inode) for name, inode in self._beside.items()):
            return True
        try:
            stat = self.path.stat()
        except OSError:
            return True
        return (stat.st_size, stat.st_mtime_ns) != self._written

    def _move(self, copy: Path) -> None:
        """Replace the file by a copy of itself, which is a new file to SQLite."""
        with suppress(OSError):
            copyfile(self._file, copy)
            os.chmod(copy, 0o600)
            if _inode(self._file) == self._inode:
                os.replace(copy, self._file)
        copy.unlink(missing_ok=True)


def _secret_in_file(path: Path) -> str | None:
    """The ledger's secret as stored in the file itself, without its write-ahead log. Raises sqlite3.Error."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
        return meta(db, "secret")


def _inode(path: str | Path) -> _Inode:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
