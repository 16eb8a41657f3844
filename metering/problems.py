"""What keeps a command from its work, as a plain sentence for its user."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from sqlite3 import DatabaseError

import click

from metering.database import LedgerError
from metering.output import visible
from metering.prices.file import PriceError
from metering.selection import ReportError


@contextmanager
def problems() -> Iterator[None]:
    """Ends the command with a plain sentence, whatever keeps it from its work."""
    try:
        yield
        sys.stdout.flush()
    except (ReportError, LedgerError, PriceError) as e:
        raise click.ClickException(visible(str(e))) from e
    except DatabaseError as e:
        raise click.ClickException(f"the ledger cannot be read: {e}") from e
    except OSError as e:
        # What is still waiting to be written would fail again when Python ends.
        if not isinstance(e, BrokenPipeError) and e.filename:
            raise click.ClickException(visible(f"{e.filename} cannot be used ({e.strerror})")) from e
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(e, BrokenPipeError):
            sys.exit(1)
        raise click.ClickException(f"the output cannot be written ({e.strerror})") from e
