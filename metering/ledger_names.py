"""The ledgers that a command names: files, and patterns such as `*.db`."""

import difflib
import glob
import itertools
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import ExitStack
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection

from metering import companions
from metering.database import open_for_reading
from metering.selection import ReportError

USUAL = ("usage.db",)
"""What is meant if none is named."""


def paths(names: Sequence[str], words: Sequence[str] = ()) -> list[Path]:
    """The ledgers that are named, globs expanded, each once; a glob leaves out the files that belong to one. `words`
    are what could have been meant instead of the first name. Raises ReportError if it is one of these, misspelt."""
    if names and names[0].isalpha() and not (Path(names[0]).exists() or glob.glob(names[0])):
        if names[0] in words:
            raise ReportError(f"there is no ledger {names[0]}; ask for one report at a time")
        for word in difflib.get_close_matches(names[0].lower(), words, 1):
            raise ReportError(f"there is no report or ledger {names[0]}; did you mean {word}?")
    found = itertools.chain.from_iterable(_expanded(name) or [name] for name in names or USUAL)
    return list({path.resolve(): path for path in reversed([*map(Path, found)])}.values())[::-1]


def _expanded(name: str) -> list[str]:
    found = sorted(glob.glob(name))
    return found if len(found) == 1 else [path for path in found if not companions.COMPANION.search(path)]


@contextmanager
def opened(names: Sequence[str], words: Sequence[str] = ()) -> Iterator[list[Connection]]:
    """The ledgers of `paths`, open for reading. Raises ReportError, LedgerError."""
    with ExitStack() as stack:
        found = [open_for_reading(path) for path in paths(names, words)]
        for db in found:
            stack.callback(db.close)
        yield found
