"""Follows ledgers: the calls that end from now on."""

import os
import time
from collections import OrderedDict
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import closing
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path
from sqlite3 import Connection
from sqlite3 import DatabaseError

from metering.call import COLUMNS
from metering.call import UsageState
from metering.database import LedgerError
from metering.database import open_for_reading
from metering.selection import Selection

LOOK_S = 0.25
"""How often ledgers are looked at."""
REMEMBERED = 100_000
"""How many calls are remembered, so that a row that is updated later is not taken for another call."""

Row = dict[str, object]


class Tail:
    """The calls of ledgers that end after this was made. A ledger may come later, and may be replaced."""

    def __init__(self, paths: Sequence[Path], selection: Selection) -> None:
        self._since_us = time.time_ns() // 1000
        self._selection = selection
        self._followed = [_Followed(path) for path in paths]
        self._seen, self._unsettled = _Ids(), _Ids()

    def forever(self) -> Iterator[Row]:
        """Wait for calls, and give each when it has ended."""
        while True:
            yield from self.ended()
            time.sleep(LOOK_S)

    def ended(self) -> list[Row]:
        """The calls that have ended since the last time, in the order of their writing, ledger by ledger."""
        changed = (row for one in self._followed for row in one.changed(self._selection, self._since_us))
        return [*filter(self._is_new, changed)]

    def _is_new(self, row: Row) -> bool:
        # A row may be written again after the call's end: when a poll tells its usage, for example.
        if row["id"] in self._seen or row["id"] in self._unsettled:
            return False
        # A poll may come a long time, and many calls, later.
        is_settled = row["usage_state"] not in (UsageState.ABSENT, UsageState.PARTIAL)
        (self._seen if is_settled else self._unsettled).add(row["id"])
        return True


class _Followed:
    """A ledger, and which of its rows are known by the number in their column `changed`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: tuple[int, int] | None = None
        self._changed = 0
        # All rows that are there already are known.
        with suppress(OSError, LedgerError, DatabaseError), self._opened() as db:
            self._changed = _newest(db)

    @contextmanager
    def _opened(self) -> Iterator[Connection]:
        """The ledger, opened anew, as a proxy may have upgraded or replaced it meanwhile."""
        file = os.stat(self._path)
        with closing(open_for_reading(self._path)) as db:
            if self._file != (file.st_dev, file.st_ino):
                self._file, self._changed = (file.st_dev, file.st_ino), 0
            db.execute("BEGIN")
            yield db

    def changed(self, selection: Selection, since_us: int) -> list[Row]:
        """The rows of calls that were written since the last time, have ended at `since_us` or later, and meet the
        filters."""
        try:
            with self._opened() as db:
                newest = _newest(db)
                known = self._changed if newest >= self._changed else 0
                # A call that was lost may have no end. In another file it was lost some time before.
                endless = since_us if known else 0
                self._changed = newest
                condition, patterns = selection.condition
                found = db.execute(
                    f"SELECT {', '.join(COLUMNS)} FROM calls WHERE changed > ? AND state <> 'open'"
                    f" AND coalesce(ended_at, ?) >= ? AND {condition} ORDER BY changed",
                    (known, endless, since_us, *patterns),
                )
                rows = (dict(zip(COLUMNS, values, strict=True)) for values in found)
                return [row for row in rows if not selection.tags or selection.takes(row["tags"])]
        except (OSError, LedgerError, DatabaseError):
            # Not there yet, or being made, upgraded or replaced just now.
            return []


def _newest(db: Connection) -> int:
    return db.execute("SELECT max(changed) FROM calls").fetchone()[0] or 0


class _Ids:
    """A set of ids that forgets the oldest ones."""

    def __init__(self) -> None:
        self._ids: OrderedDict[object, None] = OrderedDict()

    def __contains__(self, name: object) -> bool:
        return name in self._ids

    def add(self, name: object) -> None:
        self._ids[name] = None
        if len(self._ids) > REMEMBERED:
            self._ids.popitem(last=False)
