"""The ledgers that a command names: files, patterns such as `*.db`, addresses of PostgreSQL databases."""

import difflib
import glob
import itertools
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import ExitStack
from contextlib import closing
from contextlib import contextmanager
from pathlib import Path

from metering import companions
from metering import postgresql
from metering.database import open_for_reading
from metering.selection import ReportError
from metering.store import Store

USUAL = ("usage.db",)
"""What is meant if none is named."""


Source = Path | str
"""Where rows are: a file, or the address of a PostgreSQL database."""


def sources(names: Sequence[str], words: Sequence[str] = ()) -> list[Source]:
    """The ledgers that are named, globs expanded, each once; a glob leaves out the files that belong to one. `words`
    are what could have been meant instead of the first name. Raises ReportError if it is one of these, misspelt."""
    if names and names[0].isalpha() and not (Path(names[0]).exists() or glob.glob(names[0])):
        if names[0] in words:
            raise ReportError(f"there is no ledger {names[0]}; ask for one report at a time")
        for word in difflib.get_close_matches(names[0].lower(), words, 1):
            raise ReportError(f"there is no report or ledger {names[0]}; did you mean {word}?")
    found = [*itertools.chain.from_iterable(map(_meant, names or USUAL))]
    return list({source if isinstance(source, str) else source.resolve(): source for source in found[::-1]}.values())[
        ::-1
    ]


def paths(names: Sequence[str]) -> list[Path]:
    """The ledgers that are named, all of which are files. Raises ReportError if one is not."""
    found = sources(names)
    if any(isinstance(source, str) for source in found):
        # The address may have a password.
        raise ReportError("this takes files; only report, show, export and dashboard read PostgreSQL")
    return [source for source in found if isinstance(source, Path)]


def _meant(name: str) -> Iterable[Source]:
    return [name] if postgresql.is_address(name) else map(Path, _expanded(name) or [name])


def _expanded(name: str) -> list[str]:
    found = sorted(glob.glob(name))
    return found if len(found) == 1 else [path for path in found if not companions.COMPANION.search(path)]


def open_source(source: Source) -> Store:
    """Open a ledger for reading. Raises LedgerError."""
    return postgresql.open_for_reading(source) if isinstance(source, str) else open_for_reading(source)


@contextmanager
def opened(names: Sequence[str], words: Sequence[str] = ()) -> Iterator[list[Store]]:
    """The ledgers that are named, open for reading. Raises ReportError, LedgerError."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(open_source(source))) for source in sources(names, words)]
