"""Rows that cannot be stored: the file `<usage_db>.rejected`, JSON lines `{"reason": ..., "row": ...}`.

Processes that share a ledger append to the same file, in turn. The program only counts its lines; people read them.
"""

import errno
import fcntl
import json
import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from metering.companions import rejected_path

LONGEST_ROW = 65_536
"""The most characters of a row. Of a longer row only the beginning is kept, as text."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE)
"""Errors that may go away by themselves."""

logger = logging.getLogger(__name__)


class Rejected(NamedTuple):
    """A row that cannot be stored."""

    reason: str
    """Why the row cannot be stored. Quotes nothing of it."""
    row: object
    """Column name -> value, or whatever was found in place of a row."""


def set_aside(ledger: Path, rejected: Sequence[Rejected]) -> None:
    """Append rows to the file beside `ledger`, and log the reasons. Raises OSError if there is no room for them yet. If
    the file cannot be written at all, the rows are lost, which is logged."""
    if not rejected:
        return
    try:
        _append(rejected_path(ledger), b"".join(map(_line, rejected)))
    except OSError as e:
        if e.errno in NO_ROOM:
            raise
        logger.warning("vertex-tap: rows that cannot be stored are lost (%d): %s", len(rejected), e)
        return
    for reason, count in Counter(one.reason for one in rejected).items():
        logger.warning("vertex-tap: rows set aside in %s (%d): %s", rejected_path(ledger), count, reason)


def _append(path: Path, lines: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        before = os.fstat(descriptor).st_size
        if os.write(descriptor, lines) < len(lines):
            os.ftruncate(descriptor, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(descriptor)


def _line(rejected: Rejected) -> bytes:
    try:
        row = json.dumps(rejected.row, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        row = json.dumps(repr(rejected.row)[:LONGEST_ROW])
    if len(row) > LONGEST_ROW:
        row = json.dumps(row[:LONGEST_ROW])
    return f'{{"reason": {json.dumps(rejected.reason)}, "row": {row}}}\n'.encode()


def reasons(ledger: Path) -> Counter[str]:
    """Reason -> how many rows were set aside for it. Raises OSError if the file exists and cannot be read."""
    counted: Counter[str] = Counter()
    try:
        with rejected_path(ledger).open("rb") as file:
            for line in filter(bytes.strip, file):
                counted[_reason(line)] += 1
    except FileNotFoundError:
        pass
    return counted


def _reason(line: bytes) -> str:
    try:
        reason = json.loads(line)["reason"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return UNREADABLE
    return reason if isinstance(reason, str) and reason.isprintable() else UNREADABLE


UNREADABLE = "the line cannot be read"
