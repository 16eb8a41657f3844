"""A report as one HTML file that needs nothing else: scripts, styles and data are in it."""

import base64
import hashlib
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from metering.kinds import MakeReport
from metering.pages import board
from metering.pages import rendering
from metering.pages.board import Section
from metering.selection import Asked

MOST_BYTES = 1_000_000
"""Of tables and charts. plotly.js takes 4.8 MB."""
FOLDED_AFTER_DAYS = (None, 120, 28, -7)
"""How many days ago days are folded to weeks: the first that makes the data small enough."""


def document(
    ledgers: board.Connections,
    title: str,
    columns: Sequence[str],
    rows: Iterable[board.Row],
    asked: Asked,
    make: Mapping[str, MakeReport],
    now: datetime,
) -> str:
    """The file. `rows` (with `columns`) is the report that was asked for; the charts of the dashboard follow."""
    wanted = Section("report", title, columns, [*rows])
    html = ""
    for days in FOLDED_AFTER_DAYS:
        monday = "" if days is None else board.monday_before(now, days)
        sections = [wanted, *board.sections(ledgers, asked, make, now, monday)]
        html = _board(sections, asked)
        if len(html.encode()) <= MOST_BYTES:
            break
    else:
        html = _cut(sections, asked)
    scripts = [_script(rendering.plotly().read_text()), _script((rendering.STATIC / "board.js").read_text())]
    return rendering.render(
        "report.html",
        title=f"{title}, {now.astimezone(asked.zone):%Y-%m-%d %H:%M} {asked.zone}",
        style=(rendering.STATIC / "pages.css").read_text(),
        board=html,
        scripts=scripts,
        hashes=[_hash(script) for script in scripts],
    )


def _board(sections: Sequence[Section], asked: Asked) -> str:
    return rendering.render("board.html", tables=rendering.tables(sections, asked.zone, None))


def _cut(sections: Sequence[Section], asked: Asked) -> str:
    """The sections, with as many lines of the long tables as there is room for."""
    lines = max(len(section.rows) for section in sections)
    while True:
        lines //= 2
        html = _board([_shortened(section, lines) for section in sections], asked)
        if len(html.encode()) <= MOST_BYTES or not lines:
            return html


def _shortened(section: Section, lines: int) -> Section:
    if len(section.rows) <= lines:
        return section
    note = f"The first {lines:,} of {len(section.rows):,} lines; --format csv writes all."
    return replace(section, rows=section.rows[:lines], note=note)


def _script(text: str) -> str:
    """A script as it can stand in a file: nothing in it may look like the end of the element. In strings, where this
    occurs, `<\\/` means the same."""
    return text.replace("</script", "<\\/script").replace("\r\n", "\n")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
