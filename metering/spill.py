"""Records that wait for the ledger: in the file `<usage_db>.spill-<instance>`, or in memory while that cannot be
written.

Records are numbered, and the ledger stores the number of the last one that was folded into it. So after a crash each
record is folded exactly once. An invalid line is set aside, and affects no other.
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
from metering.record import BadLine
from metering.record import Record
from metering.record import decode
from metering.record import encode
from metering.record import put
from metering.rejected import Rejected
from metering.rejected import set_aside
from metering.transactions import transaction
from metering.written import Kept

MOST_WAITING = 10_000
"""The most rows that are held in memory; further ones are lost."""
LONGEST_LINE = 8 * 1024 * 1024
"""Bytes. No valid record has a longer line."""


class Numbered(NamedTuple):
    """A record and its number, from 1."""

    number: int
    record: Record


class Waiting(NamedTuple):
    """A record that waits in memory, and its line for the spill file."""

    number: int
    record: Record
    line: bytes


class Spill:
    """The spilled records of the process `instance`. `put` may be called while another thread folds."""

    def __init__(self, ledger: Path, instance: str) -> None:
        self.path = spill_path(ledger, instance)
        self.waiting: dict[object, Waiting] = {}
        """Row id -> the latest record of that row, in the order in which they came."""
        self.lost = 0
        """The number of rows of finished calls for which there was no room."""
        self.trouble: OSError | None = None
        """Why the file cannot be written; None if it can."""
        self._ledger = ledger
        self._instance = instance
        self._turn = threading.Lock()
        self._file: int | None = None
        self._number = 0
        """The number of the last record."""
        self._folded_to = 0
        """How many bytes of the file have been folded into the ledger."""
        self._set_aside = 0
        """How many of the records to fold next were set aside by an earlier fold, which then failed."""

    @property
    def is_empty(self) -> bool:
        """Whether no earlier record waits, so that the next one may go to the ledger directly."""
        return self._file is None and not self.waiting

    def put(self, record: Record) -> Kept:
        """Keep a record, in the file if possible. Returns where it is. Never raises, never waits for the ledger."""
        kept = Kept.SPILLED
        with self._turn:
            earlier = self.waiting.pop(record.id, None)
            if earlier is None and len(self.waiting) >= MOST_WAITING:
                # The open row of a call does not count as lost: its final row is still to come.
                self.lost += not record.is_open
                kept = Kept.LOST
            else:
                if earlier and not record.settlement:
                    record = record._replace(settlement=earlier.record.settlement)
                self._number += 1
                self.waiting[record.id] = Waiting(self._number, record, encode(self._number, record))
            self._drain()
            return Kept.WAITING if record.id in self.waiting else kept

    def _drain(self) -> None:
        """Move waiting records to the file. Tries one line first, so that little is wasted if the disk is full."""
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
        """Append as many complete lines as there is room for. Raises OSError if there is room for none."""
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
        """Write the file again after it was removed while in use."""
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
        """Write all records that have come so far to the ledger. Raises sqlite3.Error, OSError."""
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
                # Another file was opened meanwhile; it is read next time.
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
        """Close the file as the process ends. Records in memory are lost; those in the file are left for the next
        process. Returns whether none are left."""
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
    """Write the records of a dead process to the ledger, and remove its spill file. Raises sqlite3.Error, OSError."""
    path = spill_path(ledger, instance)
    with path.open("rb") as file, transaction(db):
        set_aside(ledger, _put_all(db, instance, _entries(file)))
    path.unlink()


def _put_all(db: sqlite3.Connection, instance: str, entries: Iterable[Numbered | Rejected]) -> list[Rejected]:
    """Write the entries that were not folded before, which their numbers tell, in the order of the file. Returns those
    that cannot be stored."""
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
    """The content of a file from `start` on. Uses `pread`, as the file position is shared with the thread that
    appends."""
    size, pieces = os.fstat(file).st_size, []
    while start < size and (piece := os.pread(file, size - start, start)):
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


def _entries(file: IO[bytes]) -> Iterator[Numbered | Rejected]:
    """The entries of a spill file, one for each line."""
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
