"""HTML of the pages. Jinja2 escapes all text; cells of tables are made here."""

import re
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from datetime import tzinfo
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote
from urllib.parse import urlencode

from jinja2 import Environment
from jinja2 import FileSystemLoader
from jinja2 import StrictUndefined

from metering.pages import cells
from metering.pages.board import Section
from metering.selection import FILTERS
from metering.tables import heading

HERE = Path(__file__).parent
STATIC = HERE / "static"

Pairs = Sequence[tuple[str, str]]


class Cell(NamedTuple):
    text: str
    value: int | float | None
    """The number that `text` is made of."""
    href: str | None


class Table(NamedTuple):
    """A section as its template reads it."""

    section: Section
    headings: list[tuple[str, bool]]
    """Text, and whether its column has numbers."""
    lines: list[list[Cell]]


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, **values: object) -> str:
    """A template of the folder `templates`, filled in."""
    return _environment().get_template(template).render(values)


def tables(sections: Sequence[Section], zone: tzinfo, query: Pairs | None) -> list[Table]:
    """Sections, with their cells written out. Values that can be filtered by lead to `query` with that filter; None: to
    nothing, as in a file."""
    return [_table(section, zone, query) for section in sections]


def _table(section: Section, zone: tzinfo, query: Pairs | None) -> Table:
    headings = [
        (heading(name), any(cells.is_number(name, row.get(name)) for row in section.rows)) for name in section.columns
    ]
    lines = [[*_cells(section, row, zone, query)] for row in section.rows]
    return Table(section, headings, lines)


def _cells(section: Section, row: Mapping[str, object], zone: tzinfo, query: Pairs | None) -> Iterator[Cell]:
    for name in section.columns:
        value = row.get(name)
        number = value if isinstance(value, int | float) and cells.is_number(name, value) else None
        yield Cell(cells.shown(name, value, zone), number, None if query is None else _link(name, row, query))


def _link(name: str, row: Mapping[str, object], query: Pairs) -> str | None:
    value = row.get(name)
    if name == "started_at" and row.get("id"):
        return f"calls/{quote(str(row['id']), safe='')}"
    if value is None or value == "" or not (name in FILTERS or name.startswith("tag:")):
        return None
    pattern = re.sub(r"[*?[]", r"[\g<0>]", str(value))
    added = (name, pattern) if name in FILTERS else ("tag", f"{name.removeprefix('tag:')}={pattern}")
    kept = [pair for pair in query if pair != added]
    return "./?" + urlencode([*kept, added], errors="replace")


@cache
def plotly() -> Path:
    """plotly.js, as its Python package brings it. The package is not imported, which would take long."""
    found = find_spec("plotly")
    assert found
    assert found.origin
    return Path(found.origin).parent / "package_data" / "plotly.min.js"
