"""The command `vertex-tap ship`."""

import sqlite3
import sys
from contextlib import closing

import click

from metering import ledger_names
from metering import postgresql
from metering.database import LedgerError
from metering.output import visible
from metering.problems import problems
from metering.progress import progress
from metering.selection import ReportError


@click.command(short_help="Copy ledgers to PostgreSQL.")
@click.option("--to", "address", required=True, metavar=postgresql.FORM, help="The database, without a password.")
@click.argument("ledgers", nargs=-1, metavar="[LEDGER]...")
def ship(address: str, ledgers: tuple[str, ...]) -> None:
    """Copy what is new in each LEDGER (usage.db if none is named; globs are expanded) to a PostgreSQL database, which
    report, show, export and dashboard read like a ledger.

    It may be repeated, killed at any time, and run for many ledgers at once. A password comes from PGPASSWORD or
    ~/.pgpass.
    """
    # Other commands need not pay for the import.
    from metering.ship import Shipping

    failed = False
    with problems():
        if not postgresql.is_address(address):
            raise ReportError(f"--to takes the address of a PostgreSQL database; write {postgresql.FORM}")
        paths = ledger_names.paths(ledgers)
        with closing(Shipping(address)) as shipping:
            for path in paths:
                try:
                    with progress("rows shipped", is_counted=True) as told:
                        rows = shipping.ship(path, told)
                except postgresql.PostgreSQLError:
                    raise
                except (LedgerError, sqlite3.Error) as e:
                    # The others are shipped all the same.
                    click.echo(visible(f"{path}: {e}"), err=True)
                    failed = True
                else:
                    click.echo(visible(f"{path}: {rows} rows shipped"))
    sys.exit(1 if failed else 0)
