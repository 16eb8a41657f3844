"""Records that wait for the ledger: in `<usage_db>.spill-<instance>`, or in memory while that takes none either.

They are numbered, and the ledger keeps the number of the last one that was folded into it, so that a crash at any
point folds each exactly once. A line that is none is set aside, and costs no other.
"""

import errno
import os
import sqlite3
import threading
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import IO
from typing import NamedTuple

from metering.companions import is_at
from metering.companions import spill_path
from metering.database import meta
from metering.database import transaction
from metering.record import BadLine
from metering.record import Record
from metering.record import decode
from metering.record import encode
from metering.record import put
from metering.rejected import Rejected
from metering.rejected import set_aside

MOST_WAITING = 10_000
"""Rows that are held in memory; more are lost."""
LONGEST_LINE = 8 * 1024 * 1024
"""Bytes. The longest record that can be made is shorter."""


class Numbered(NamedTuple):
    number: int
    record: Record


class Waiting(NamedTuple):
    number: int
    record: Record
    line: bytes


class Spill:
    """Of one process, `instance`. `put` may be called while another thread folds."""

    def __init__(self, ledger: Path, instance: str) -> None:
        self.path = spill_path(ledger, instance)
        self.waiting: dict[object, Waiting] = {}
        """By the row's id, in order: of a row only the last form waits."""
        self.lost = 0
        """Rows of calls that have ended, and found no room."""
        self.trouble: OSError | None = None
        """Why the file takes nothing."""
        self._ledger = ledger
        self._instance = instance
        self._turn = threading.Lock()
        self._file: int | None = None
        self._number = 0
        """Of the last record that came."""
        self._folded_to = 0
        """Bytes of the file that are in the ledger."""
        self._set_aside = 0
        """Of the records that come next to be folded: how many were set aside already by an attempt that failed."""

    @property
    def is_empty(self) -> bool:
        """Whether records may go to the ledger directly: no earlier one waits."""
        return self._file is None and not self.waiting

    def put(self, record: Record) -> None:
        """Keep a record; written to the file if that is possible at all. Never raises, never waits."""
        with self._turn:
            earlier = self.waiting.pop(record.id, None)
            if earlier is None and len(self.waiting) >= MOST_WAITING:
                # The open row of a call is not lost before its end is.
                self.lost += not record.is_open
            else:
                if earlier and not record.settlement:
                    record = record._replace(settlement=earlier.record.settlement)
                self._number += 1
                self.waiting[record.id] = Waiting(self._number, record, encode(self._number, record))
            self._drain()

    def _drain(self) -> None:
        """Move what waits to the file. Tries one line first: with a full disk that is all it costs."""
        self.trouble = None
        try:
            if self._file is None:
                self._file = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
                self._folded_to = 0
            elif not is_at(self.path, self._file):
                self._restore(self._file)
            size = 1
            while self.waiting:
                self._append([*self.waiting.values()][:size])
                size = MOST_WAITING
        except OSError as e:
            self.trouble = e

    def _append(self, waiting: list[Waiting]) -> None:
        """Writes as many whole lines as there is room for. Raises OSError if that is none."""
        assert self._file is not None
        before = os.fstat(self._file).st_size
        written = os.write(self._file, b"".join(one.line for one in waiting))
        whole = 0
        for one in waiting:
            if whole + len(one.line) > written:
                break
            whole += len(one.line)
            del self.waiting[one.record.id]
        if whole < written:
            os.ftruncate(self._file, before + whole)
        if not whole:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _restore(self, removed: int) -> None:
        """The file was removed while it was in use: write it anew."""
        new = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        content = _read(removed, 0)
        try:
            if os.write(new, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.close(new)
            self.path.unlink(missing_ok=True)
            raise
        os.close(removed)
        self._file = new

    def fold(self, db: sqlite3.Connection) -> None:
        """Write to the ledger what has come so far. Raises sqlite3.Error, OSError."""
        with self._turn:
            waiting = [Numbered(one.number, one.record) for one in self.waiting.values()]
            last, file, start = self._number, self._file, self._folded_to
            lines = b"" if file is None else _read(file, start)
        entries = [_known(entry, last) for entry in _entries(BytesIO(lines))]
        entries += waiting
        self._write(db, entries)
        with self._turn:
            self.waiting = {id: one for id, one in self.waiting.items() if one.number > last}
            if file is None or self._file != file:
                # Another file has been opened meanwhile. What is in it is read next time.
                return
            self._folded_to = end = start + len(lines)
            if os.fstat(file).st_size == end:
                os.close(file)
                self._file = None
                with suppress(OSError):
                    self.path.unlink()

    def _write(self, db: sqlite3.Connection, entries: list[Numbered | Rejected]) -> None:
        with transaction(db):
            rejected = _put_all(db, self._instance, entries)
            set_aside(self._ledger, rejected[self._set_aside :])
            self._set_aside = max(self._set_aside, len(rejected))
        self._set_aside = 0

    def give_up(self) -> bool:
        """The process ends: what waits in memory is lost, what is in the file is for the next one. Whether that is
        nothing."""
        with self._turn:
            self.lost += len(self.waiting)
            self.waiting.clear()
            if self._file is None:
                return True
            left = os.fstat(self._file).st_size
            os.close(self._file)
            self._file = None
            if not left:
                self.path.unlink(missing_ok=True)
            return not left


def _known(entry: Numbered | Rejected, last: int) -> Numbered | Rejected:
    if isinstance(entry, Numbered) and entry.number > last:
        return Rejected("its number was never given", entry.record.named)
    return entry


def fold_file(db: sqlite3.Connection, ledger: Path, instance: str) -> None:
    """Write to the ledger what a dead process has left, and remove its file. Raises sqlite3.Error, OSError."""
    path = spill_path(ledger, instance)
    with path.open("rb") as file, transaction(db):
        set_aside(ledger, _put_all(db, instance, _entries(file)))
    path.unlink()


def _put_all(db: sqlite3.Connection, instance: str, entries: Iterable[Numbered | Rejected]) -> list[Rejected]:
    """What has been folded before is told by its number alone; the order is that of the file."""
    key = f"spilled:{instance}"
    last = folded = int(meta(db, key) or 0)
    rejected = []
    for entry in entries:
        if isinstance(entry, Rejected):
            rejected.append(entry)
        elif entry.number > folded:
            last = max(last, entry.number)
            if reason := put(db, entry.record):
                rejected.append(Rejected(reason, entry.record.named))
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, str(last)))
    return rejected


def _read(file: int, start: int) -> bytes:
    """All from `start` on. By position: what is appended meanwhile moves the place that is shared with it."""
    size, pieces = os.fstat(file).st_size, []
    while start < size and (piece := os.pread(file, size - start, start)):
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


def _entries(file: IO[bytes]) -> Iterator[Numbered | Rejected]:
    """The lines of a spill file."""
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
            yield Rejected("it is longer than any row", line[:1024].decode(errors="replace"))
        elif line.strip():
            try:
                yield Numbered(*decode(line))
            except BadLine as e:
                yield Rejected(e.reason, e.row)
