import errno
import os
import sqlite3

import click
import pytest

from metering.database import LedgerError
from metering.prices.file import PriceError
from metering.problems import problems
from metering.selection import ReportError


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (ReportError("no key \x1b[1m"), "no key \\x1b[1m"),
        (LedgerError("no ledger"), "no ledger"),
        (PriceError("no price"), "no price"),
        (sqlite3.DatabaseError("malformed"), "the ledger cannot be read: malformed"),
        (PermissionError(errno.EACCES, "Permission denied", "a\x1b"), "a\\x1b cannot be used (Permission denied)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_problems_are_sentences(problem: Exception, message: str) -> None:
    with pytest.raises(click.ClickException) as told, problems():
        raise problem
    assert told.value.message == message


@pytest.mark.parametrize(
    ("problem", "end"),
    [
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1),
        (OSError(errno.ENOSPC, "No space left on device"), "the output cannot be written (No space left on device)"),
    ],
)
def test_an_output_that_is_gone_is_not_written_to_again(problem: OSError, end: object) -> None:
    kept = os.dup(1)
    try:
        with pytest.raises((SystemExit, click.ClickException)) as told, problems():
            raise problem
    finally:
        os.dup2(kept, 1)
        os.close(kept)
    assert getattr(told.value, "message", None) == end or getattr(told.value, "code", None) == end


def test_other_faults_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), problems():
        print(1 / 0)
