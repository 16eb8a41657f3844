"""What the calls of one process have used: the table at the end of `vertex-tap run`."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from metering import costs
from metering import reports
from metering import tables
from metering.call import ATTEMPT_COLUMNS
from metering.call import COLUMNS
from metering.database import open_for_reading
from metering.prices.catalog import EVERYONES
from metering.prices.catalog import Catalog
from metering.selection import Grouping
from metering.selection import Selection
from metering.upkeep import migrate

Row = dict[str, object]

ADDED_UP = (
    "calls",
    "errors",
    "covered_calls",
    "input_tokens",
    "input_cached_tokens",
    "output_tokens",
    "cost_usd",
    "unpriced_calls",
)
HEADINGS = {
    "model": "model",
    "calls": "calls",
    "input_tokens": "input",
    "input_cached_tokens": "cached",
    "output_tokens": "output",
    "cost_usd": "cost",
    "slowest_us": "slowest",
}
UNKNOWN = "unknown"
LONGEST_LINE = 1000


def of_process(path: str | os.PathLike[str], instance: str, since: int, catalog: Catalog = EVERYONES) -> list[Row]:
    """The usage report, by model, of the calls that one process has recorded in a ledger; with `slowest_us`, the
    longest duration of a call in microseconds.

    `since` is a time before all of these calls, in microseconds since the epoch. Raises LedgerError, sqlite3.Error.
    """
    grouping = Grouping(("model",), UTC)
    with closing(open_for_reading(path)) as ledger, closing(_excerpt(ledger, instance, since)) as calls:
        slowest: dict[object, int] = {}
        for row in reports.calls([calls], Selection()):
            slowest[row["model"]] = max(slowest.get(row["model"], 0), int(str(row["duration_us"] or 0)))
        rows = costs.usage([calls], grouping, Selection(), catalog)
        return [row | {"slowest_us": slowest.get(row["model"])} for row in rows]


def _excerpt(ledger: sqlite3.Connection, instance: str, since: int) -> sqlite3.Connection:
    """A ledger in memory that has only the calls of one process, as the sums of a ledger do not tell processes
    apart."""
    excerpt = sqlite3.connect(":memory:", isolation_level=None)
    migrate(excerpt, Path(":memory:"))
    own = "SELECT id FROM calls WHERE started_at >= ? AND instance = ?"
    # Attempts first: the sums are made when a row of `calls` comes.
    for table, columns, condition in (
        ("attempts", ATTEMPT_COLUMNS, f"call_id IN ({own})"),
        ("calls", COLUMNS, f"id IN ({own})"),
    ):
        found = ledger.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE {condition}", (since, instance))
        places = ", ".join("?" * len(columns))
        excerpt.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", map(tuple, found))
    excerpt.row_factory = sqlite3.Row
    return excerpt


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the rows of `of_process` for people. Numbers are never cut, even if
    the table gets wider than the console."""
    table = _table(rows)
    needed = console.measure(table, options=console.options.update(max_width=LONGEST_LINE)).minimum
    console.width = max(console.width, needed)
    console.print(table)


def _table(rows: Sequence[Row]) -> Table:
    total: Row = {name: _sum(rows, name) for name in ADDED_UP}
    total["model"], total["slowest_us"] = "total", max(_number(row["slowest_us"]) or 0 for row in rows)
    made = Table(box=SIMPLE, show_footer=len(rows) > 1, caption=_caption(total), caption_justify="left")
    for name in HEADINGS:
        footer, is_number = Text(_cell(name, total[name])), name != "model"
        justify: JustifyMethod = "right" if is_number else "left"
        made.add_column(HEADINGS[name], footer, justify=justify, no_wrap=is_number, overflow="fold")
    for row in rows:
        made.add_row(*(Text(_cell(name, row[name])) for name in HEADINGS))
    return made


def _caption(total: Row) -> str | None:
    """What the sums leave out, and how many calls have failed."""
    said = []
    if total["covered_calls"] != total["calls"]:
        said.append(f"Tokens of {total['covered_calls']} of {total['calls']} calls; of others not all is known.")
    if total["unpriced_calls"]:
        said.append(f"The cost of {total['unpriced_calls']} calls is not known, or not all of it.")
    if total["errors"]:
        said.append(f"Calls that failed: {total['errors']}; see vertex-tap report errors.")
    return "\n".join(said) or None


def _sum(rows: Sequence[Row], name: str) -> float | None:
    known = [number for row in rows if (number := _number(row[name])) is not None]
    return sum(known) if known else None


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) else None


def _cell(name: str, value: object) -> str:
    if value is None:
        return UNKNOWN
    if name == "slowest_us":
        return f"{(_number(value) or 0) / 1_000_000:,.2f} s"
    if name == "cost_usd":
        return tables.usd(_number(value) or 0)
    return f"{value:,}" if isinstance(value, int) else str(value)
