"""Makes docs/report.svg, the picture of a report in README: python -m tests.report_picture"""

import io
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from rich.console import Console

from metering import costs
from metering import tables
from metering.database import open_for_reading
from metering.selection import EVER
from metering.selection import Grouping
from metering.selection import Selection
from metering.selection import time_zone
from tests.process import ROOT
from tests.week import week

PICTURE = ROOT / "docs" / "report.svg"
COMMAND = "vertex-tap report usage --since 7d"
WIDTH = 100


def drawn(ledger: Path) -> Console:
    """A console that has recorded the report of a week, as the product prints it."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False)
    console.print(f"$ {COMMAND}\n")
    shown, tables.console = tables.console, lambda: console
    try:
        with closing(open_for_reading(ledger)) as db:
            rows = costs.usage([db], Grouping(("model",), time_zone("UTC")), Selection(EVER))
            tables.print_report("usage", rows)
    finally:
        tables.console = shown
    return console


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        console = drawn(week(Path(folder) / "usage.db"))
    console.save_svg(str(PICTURE), title="vertex-tap", unique_id="report")
    sys.stdout.write(f"{PICTURE}\n")


if __name__ == "__main__":
    main()
