"""Tables for people. A terminal may be narrow, but no number is ever cut.

A table that is too wide gets narrower in steps: columns that are unknown in every row are left out; headings take
several lines; names are folded; the table is split into several, each with the columns that say what a row is of. If
not even one column fits beside these, each row becomes a list of names and values.
"""

import sys
from collections.abc import Iterable
from collections.abc import Sequence
from datetime import datetime
from datetime import tzinfo
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from metering.output import visible
from metering.selection import KEYS

Row = dict[str, object]

WIDTH = 200
"""Of tables that do not go to a terminal."""
FOLDED = (16, 10)
"""Widths to which names are folded: to the first for one table, to any for several."""
NARROWEST = 8
"""The characters that a column of names needs at least."""
SHORTEST_ID = 13
"""The characters of an id that are shown at least: those of its time."""
HEADINGS = {
    "covered_calls": "covered",
    "unpriced_calls": "no price",
    "input_tokens": "input",
    "input_cached_tokens": "cached",
    "input_cache_write_tokens": "cache write",
    "input_tool_tokens": "tool",
    "output_tokens": "output",
    "output_thought_tokens": "thoughts",
    "total_tokens": "total",
    "video_seconds": "video s",
    "input_items": "items",
    "search_queries": "searches",
    "started_at": "started",
    "usage_state": "usage",
    "error_type": "error",
    "duration_us": "ms",
    "ttft_us": "ttft ms",
}
"""Column -> its heading, if that is not its name without `_us` and with spaces."""
CALL_COLUMNS = (
    "id",
    "started_at",
    "operation",
    "model",
    "status",
    "state",
    "usage_state",
    "error_type",
    "input_tokens",
    "output_tokens",
    "ttft_us",
    "duration_us",
)
"""The columns of a call that are shown in a list of calls."""
LINE_COLUMNS = tuple(name for name in CALL_COLUMNS if name not in ("id", "state", "usage_state"))
"""The columns of a call in a list that grows."""
_NAMES = {"status", "upstream_status", "n"}
"""Columns whose numbers are names."""
_TIMES = {"started_at", "ended_at"}
_EDGE, _BETWEEN = 1, 3
"""The characters that a table needs beside its cells, once and for each column."""


def print_report(kind: str, rows: Sequence[Row], total: Row | None = None, limit: int | None = None) -> None:
    """Print the report `usage`, `cost`, `latency` or `errors`: the first `limit` rows, a total of all, and what the
    numbers do not tell. `total` is the row for the total; if None, numbers are summed up."""
    if not rows:
        _print(Text("No calls."))
        return
    keys = [name for name in rows[0] if name in (*KEYS, "error_type") or name.startswith("tag:")]
    measured = [name for name in rows[0] if name not in keys]
    shown = list(rows)[:limit]
    total = total or {name: _sum(row[name] for row in rows) for name in measured}
    columns = [_Column(heading(name), [_shown(name, row[name], "-") for row in shown], "", True) for name in keys]
    columns += [
        _Column(heading(name), [_shown(name, row[name], "unknown") for row in shown], _shown(name, total[name], ""))
        for name in measured
        if any(row[name] is not None for row in shown) and (name != "unpriced_calls" or total[name])
    ]
    _print_table(columns, max(1, len(keys)), is_total_shown=bool(keys))
    for sentence in _sentences(kind, len(shown), len(rows), total):
        _print(Text(sentence))


def _sentences(kind: str, shown: int, lines: int, total: Row) -> Iterable[str]:
    calls, covered, unpriced = (total.get(name) for name in ("calls", "covered_calls", "unpriced_calls"))
    if shown < lines:
        yield f"{shown:,} of {lines:,} lines are shown; the total is of all."
    if covered is not None:
        yield f"The sums cover {covered:,} of {calls:,} calls, those whose usage is known in full."
    if unpriced:
        some = f"{unpriced:,}" if calls is None else f"{unpriced:,} of {calls:,}"
        yield f"{some} calls have no price for some or all of their use, which is not in the cost."
    if kind == "latency":
        yield "Times are in milliseconds."


def print_calls(rows: Iterable[Row], zone: tzinfo) -> None:
    """Print a line for each call, with the times in `zone`."""
    shown = [*rows]
    if not shown:
        _print(Text("No calls."))
        return
    lines = [row | {"id": name} for row, name in zip(shown, _short_ids(shown), strict=True)]
    columns = []
    for name in CALL_COLUMNS:
        if any(row[name] is not None for row in lines):
            cells = [_shown(name, row[name], "-", zone) for row in lines]
            total = _shown(name, _sum(row[name] for row in lines), "") if name.endswith("_tokens") else ""
            columns.append(_Column(heading(name), cells, total, is_text(name), is_whole=name == "id"))
    _print_table(columns, 1)


class Lines:
    """Prints calls as they come, a line for each. A column gets wider when a value needs it."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._widths = {name: len(heading(name)) for name in LINE_COLUMNS} | {"started_at": 19}
        self._print({name: heading(name) for name in LINE_COLUMNS})

    def add(self, row: Row) -> None:
        """Print a line."""
        self._print({name: _shown(name, row[name], "-", self._zone) for name in LINE_COLUMNS})

    def _print(self, cells: dict[str, str]) -> None:
        texts = []
        for name, text in cells.items():
            width = self._widths[name] = max(self._widths[name], cell_len(text))
            room = " " * (width - cell_len(text))
            texts.append(text + room if is_text(name) else room + text)
        print("  ".join(texts).rstrip(), flush=True)


def print_call(call: Row, attempts: Sequence[Row], zone: tzinfo) -> None:
    """Print all that is known of one call, a line for each column, and a table of its attempts."""
    known = [(_full_heading(name), _shown(name, value, "", zone)) for name, value in call.items() if value is not None]
    _print_list([known])
    if attempts:
        names = [name for name in attempts[0] if name not in ("call_id", *_TIMES)]
        columns = [
            _Column(heading(name), [_shown(name, row[name], "-", zone) for row in attempts], "", is_text(name))
            for name in names
            if any(row[name] is not None for row in attempts)
        ]
        _print_table(columns, 1, is_total_shown=False)


def print_list(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of texts, whose first column says what a row is of."""
    columns = zip(*rows, strict=True)
    made = [
        _Column(name, [*map(visible, cells)], "", is_text=True) for name, cells in zip(headings, columns, strict=True)
    ]
    _print_table(made, 1, is_total_shown=False)


def heading(name: str) -> str:
    """The heading of a column."""
    if name.endswith("_usd"):
        return f"{name.removesuffix('_usd').replace('_', ' ')} $"
    return HEADINGS.get(name, visible(name).removesuffix("_us").replace("_", " "))


def _full_heading(name: str) -> str:
    """The heading of a column where there is room for all of it."""
    return f"{name.removesuffix('_us')} (ms)" if name.endswith("_us") else name


def is_text(name: str) -> bool:
    """Whether the values of a column of `calls` or `attempts` are read like names, not like numbers."""
    return (
        not name.endswith(("_tokens", "_us", "_bytes", "_usd", "_seconds", "_items", "_queries")) and name != "images"
    )


def _shown(name: str, value: object, missing: str, zone: tzinfo | None = None) -> str:
    if value is None:
        return missing
    if name in _TIMES and isinstance(value, int):
        return datetime.fromtimestamp(value / 1_000_000, zone).strftime("%Y-%m-%d %H:%M:%S")
    if name.endswith("_us") and isinstance(value, int):
        return f"{value / 1000:,.1f}"
    if name.endswith("_usd") and isinstance(value, int | float):
        return usd(value)
    if isinstance(value, int) and name not in _NAMES:
        return f"{value:,}"
    return visible(str(value))


def usd(amount: float, sign: str = "") -> str:
    """An amount in US dollars, to a hundredth of a cent. What is less is not shown as nothing."""
    return f"<{sign}0.0001" if 0 < amount < 0.00005 else f"{sign}{amount:,.4f}"


def _sum(values: Iterable[object]) -> int | float | None:
    known = [value for value in values if isinstance(value, int | float)]
    return sum(known) if known else None


def _short_ids(rows: Sequence[Row]) -> list[str]:
    """The beginnings of ids that tell these rows apart."""
    ids = [str(row["id"]) for row in rows]
    length = SHORTEST_ID
    while length < len(max(ids, key=len)) and len({name[:length] for name in ids}) < len({*ids}):
        length += 1
    return [name[:length] for name in ids]


# Fitting


class _Column(NamedTuple):
    """A column of a table, as it is shown."""

    heading: str
    cells: list[str]
    total: str
    is_text: bool = False
    is_whole: bool = False
    """Whether the text is never folded, as that of ids, which people copy."""

    @property
    def least(self) -> int:
        """The width in which nothing but the heading takes several lines."""
        return max(map(cell_len, (*self.heading.split(), *self.cells, self.total)))

    @property
    def widest(self) -> int:
        """The width in which nothing does."""
        return max(cell_len(self.heading), self.least)

    def folded(self, width: int) -> int:
        """The width if names are folded to `width`. Numbers are not."""
        words = max(map(cell_len, (*self.heading.split(), self.total)))
        return min(self.least, max(width, words)) if self.is_text and not self.is_whole else self.least


Part = list[tuple[_Column, int]]
"""Columns of one table, with their widths."""


def _fitted(columns: Sequence[_Column], identity: int, width: int) -> list[Part] | None:
    """The tables in which the columns fit into `width`. Each begins with the first columns, `identity` of them. None
    if not even one more fits beside these."""
    for widths in (
        [column.widest for column in columns],
        [column.least for column in columns],
        [column.folded(FOLDED[0]) for column in columns],
    ):
        if _width(widths) <= width:
            return [_widened([*zip(columns, widths, strict=True)], width)]
    found = []
    for folded in FOLDED:
        sized = [(column, column.folded(folded)) for column in columns]
        first, rest = sized[:identity], sized[identity:]
        if all(_width([size for _, size in (*first, one)]) <= width for one in rest or first[:1]):
            found.append(_split(first, rest, width))
    # Few tables are better than long names in one line.
    return [_widened(part, width) for part in min(found, key=len)] if found else None


def _split(first: Part, rest: Part, width: int) -> list[Part]:
    parts: list[Part] = []
    for one in rest:
        if not parts or _width([size for _, size in (*parts[-1], one)]) > width:
            parts.append([*first])
        parts[-1].append(one)
    return parts


def _width(widths: Sequence[int]) -> int:
    return sum(widths) + _BETWEEN * len(widths) + _EDGE


def _widened(part: Part, width: int) -> Part:
    """The columns with the room that is left given to those that are folded, from the first on."""
    left = width - _width([size for _, size in part])
    widened: Part = []
    for column, size in part:
        more = min(left, column.widest - size)
        left -= more
        widened.append((column, size + more))
    return widened


def _print_table(columns: Sequence[_Column], identity: int, is_total_shown: bool = True) -> None:
    """Print columns as one table or several. The last row is the total, which is named where the first column has
    none."""
    if is_total_shown and not columns[0].total:
        columns = [columns[0]._replace(total="total"), *columns[1:]]
    parts = _fitted(columns, identity, console().width)
    if parts is None:
        rows = [*zip(*(column.cells for column in columns), strict=True)]
        rows += [tuple(column.total for column in columns)] if is_total_shown else []
        headings = [column.heading for column in columns]
        _print_list([[(name, text) for name, text in zip(headings, row, strict=True) if text] for row in rows])
        return
    for part in parts:
        table = Table()
        for column, size in part:
            table.add_column(
                Text(column.heading), justify="left" if column.is_text else "right", width=size, overflow="fold"
            )
        for row in zip(*(column.cells for column, _ in part), strict=True):
            table.add_row(*map(_styled, row))
        if is_total_shown:
            table.add_section()
            table.add_row(*(Text(column.total, "bold") for column, _ in part))
        console().print(table)


def _print_list(rows: Sequence[Sequence[tuple[str, str]]]) -> None:
    """Print rows as lists of names and values."""
    cells = [cell for row in rows for cell in row]
    names = max(cell_len(name) for name, _ in cells)
    # A number is not folded.
    values = max((cell_len(text) for _, text in cells if _is_number(text)), default=0)
    names = min(names, console().width - values - _width([0, 0]))
    if names < NARROWEST:
        for name, text in cells:
            _print(Text(f"{name}: {text}"))
        return
    table = Table(show_header=False)
    table.add_column(overflow="fold", width=names)
    table.add_column(overflow="fold")
    for row in rows:
        for name, text in row:
            table.add_row(Text(name), _styled(text))
        table.add_section()
    console().print(table)


def _is_number(text: str) -> bool:
    return text[:1].isdigit() and set(text) <= set("0123456789,.")


def _styled(text: str) -> Text:
    return Text(text, "dim" if text in ("unknown", "-") else "")


def _print(text: Text) -> None:
    console().print(text)


def console() -> Console:
    """Where tables go: standard output, as wide as the terminal."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=WIDTH)
