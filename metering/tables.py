"""Tables for people. A terminal may be narrow, but no number is ever cut.

What is asked for most stands first. A table that is too wide gets narrower in steps: columns that are unknown in every
row are left out; headings take several lines; names are folded; the table is split into several, each with the columns
that say what a row is of. If not even one column fits beside these, each row becomes a list of names and values.
"""

import re
import sys
from collections.abc import Iterable
from collections.abc import Sequence
from datetime import datetime
from datetime import tzinfo
from typing import NamedTuple

from rich.box import SIMPLE
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from metering.error_meanings import meanings
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
    "unpriced_calls": "unpriced",
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
}
"""Column -> its heading, if that is not its name without its unit and with spaces."""
FIRST = ("calls", "errors", "cost_usd")
"""The columns of a report that people look for first."""
LAST = ("covered_calls", "unpriced_calls")
CALL_COLUMNS = (
    "id",
    "started_at",
    "model",
    "status",
    "error_type",
    "input_tokens",
    "output_tokens",
    "duration_us",
    "ttft_us",
    "operation",
)
"""The columns of a call that are shown in a list of calls."""
SPARED = ("operation", "ttft_us")
"""Those of them that are left out one after the other if there is no room."""
LINE_COLUMNS = tuple(name for name in CALL_COLUMNS if name != "id")
"""The columns of a call in a list that grows."""
_NAMES = {"status", "upstream_status", "n"}
"""Columns whose numbers are names."""
_TIMES = {"started_at", "ended_at"}
_BETWEEN = 2
"""The characters between two columns."""


def print_report(kind: str, rows: Sequence[Row], total: Row | None = None, limit: int | None = None) -> None:
    """Print the report `usage`, `cost`, `latency` or `errors`: the first `limit` rows, a total of all, and what the
    numbers do not tell. There is at least one row. `total` is the row for the total; if None, numbers are summed up."""
    keys = [name for name in rows[0] if name in (*KEYS, "error_type") or name.startswith("tag:")]
    measured = _arranged([name for name in rows[0] if name not in keys])
    shown = list(rows)[:limit]
    total = total or {name: _sum(row[name] for row in rows) for name in measured}
    columns = [_Column(heading(name), [_shown(name, row[name], "-") for row in shown], "", True) for name in keys]
    told = {
        name: _Column(
            heading(name), [_shown(name, row[name], "unknown") for row in shown], _shown(name, total[name], "")
        )
        for name in measured
        if any(row[name] is not None for row in shown) and not _tells_nothing(name, total)
    }
    if _width([column.least for column in (*columns, *told.values())]) > console().width:
        # A sentence tells its total.
        told.pop("covered_calls", None)
    columns += told.values()
    _print_table(columns, max(1, len(keys)), is_total_shown=bool(keys))
    for number, sentence in enumerate(_sentences(kind, shown, len(rows), total)):
        _print(Text("" if number else "\n").append(sentence))


def _arranged(names: Sequence[str]) -> list[str]:
    middle = [name for name in names if name not in (*FIRST, *LAST)]
    return [*(name for name in FIRST if name in names), *middle, *(name for name in LAST if name in names)]


def _tells_nothing(name: str, total: Row) -> bool:
    """Whether a column only repeats what others tell, or has an amount of nothing in every line."""
    if name == "total_tokens":
        return total["input_tokens"] is not None and total["output_tokens"] is not None
    if name == "covered_calls":
        return total[name] == total["calls"]
    return (name == "unpriced_calls" or (name.endswith("_usd") and name != "cost_usd")) and not total[name]


def _sentences(kind: str, shown: Sequence[Row], lines: int, total: Row) -> Iterable[str]:
    calls, covered, unpriced = (total.get(name) for name in ("calls", "covered_calls", "unpriced_calls"))
    if len(shown) < lines:
        yield f"{len(shown):,} of {lines:,} lines are shown; the total is of all."
    if covered is not None and covered != calls:
        yield f"Usage is known in full for {covered:,} of {calls:,} calls."
    if unpriced:
        some = f"{unpriced:,}" if calls is None else f"{unpriced:,} of {calls:,}"
        yield f"The cost of {some} calls is not known in full (unpriced): more was spent."
    if kind == "errors":
        yield from meanings(row["error_type"] for row in shown)


def print_calls(rows: Iterable[Row], zone: tzinfo) -> None:
    """Print a line for each call, of which there is at least one, with the times in `zone`. What is the same in all
    lines stands above them."""
    shown = [*rows]
    lines = [row | {"id": name} for row, name in zip(shown, _short_ids(shown), strict=True)]
    cells: dict[str, list[str]] = {}
    for name in CALL_COLUMNS:
        if any(row[name] is not None for row in lines) or name == "error_type":
            cells[name] = [_shown(name, _told(name, row), "-", zone) for row in lines]
    if {*cells["error_type"]} == {"-"}:
        del cells["error_type"]
    days = {text[:10] for text in cells["started_at"]}
    same = [f"{days.pop()} ({zone})" if len(days) == 1 else f"Times are in {zone}"]
    if not days:
        cells["started_at"] = [text[11:] for text in cells["started_at"]]
    if len(lines) > 1:
        for name in ("model", "operation"):
            if len({*cells.get(name, ())}) == 1:
                same.append(cells.pop(name)[0])
    columns = {
        name: _Column(heading(name), texts, _total_of(name, lines), is_text(name), is_whole=name == "id")
        for name, texts in cells.items()
    }
    for name in SPARED:
        if _width([column.folded(FOLDED[0]) for column in columns.values()]) > console().width:
            columns.pop(name, None)
    _print(Text(", ".join(same) + "\n"))
    _print_table([*columns.values()], 1, is_total_shown=any(column.total for column in columns.values()))
    _print(Text("\nvertex-tap show ID prints all of one call."))


def _total_of(name: str, rows: Sequence[Row]) -> str:
    return _shown(name, _sum(row[name] for row in rows), "") if name.endswith("_tokens") else ""


def _told(name: str, row: Row) -> object:
    """A value of a call as a list of calls has it: the state stands for the error of a call that has no other."""
    if name == "error_type" and row[name] is None and row["state"] != "done":
        return row["state"]
    return row[name]


class Lines:
    """Prints calls as they come, a line for each. A column gets wider when a value needs it."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._widths = {name: len(heading(name)) for name in LINE_COLUMNS} | {"started_at": 19}
        self._print({name: heading(name) for name in LINE_COLUMNS})

    def add(self, row: Row) -> None:
        """Print a line."""
        self._print({name: _shown(name, _told(name, row), "-", self._zone) for name in LINE_COLUMNS})

    def _print(self, cells: dict[str, str]) -> None:
        texts = []
        for name, text in cells.items():
            width = self._widths[name] = max(self._widths[name], cell_len(text))
            room = " " * (width - cell_len(text))
            texts.append(text + room if is_text(name) else room + text)
        print("  ".join(texts).rstrip(), flush=True)


def print_call(call: Row, attempts: Sequence[Row], zone: tzinfo) -> None:
    """Print all that is known of one call, a line for each column, and a table of its attempts."""
    told = {
        name.removesuffix("_us"): _shown(name, value, "", zone) for name, value in call.items() if value is not None
    }
    _print_list([[*told.items()]])
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
    """The heading of a column. Units are beside the values."""
    plain = re.sub("_(us|usd)$", "", visible(name))
    return HEADINGS.get(name, plain.replace("_", " "))


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
        return duration(value)
    if name.endswith("_usd") and isinstance(value, int | float):
        return usd(value)
    if isinstance(value, int) and name not in _NAMES:
        return f"{value:,}"
    return visible(str(value))


def usd(amount: float) -> str:
    """An amount in US dollars, to a hundredth of a cent. What is less is not shown as nothing."""
    return "<$0.0001" if 0 < amount < 0.00005 else f"${amount:,.4f}"


def duration(microseconds: float) -> str:
    """A time in the unit in which it is read easily: `1.1 ms`, `700 ms`, `4.19 s`."""
    milliseconds = microseconds / 1000
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 999.5 else f"{milliseconds / 1000:,.2f} s"


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
    return sum(widths) + _BETWEEN * (len(widths) - 1)


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
        table = _plain_table(show_footer=is_total_shown)
        for column, size in part:
            table.add_column(
                Text(column.heading),
                Text(column.total, "bold"),
                justify="left" if column.is_text else "right",
                width=size,
                overflow="fold",
            )
        for row in zip(*(column.cells for column, _ in part), strict=True):
            table.add_row(*map(_styled, row))
        if part is not parts[0]:
            _print(Text())
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
    table = _plain_table(show_header=False)
    table.add_column(overflow="fold", width=names)
    table.add_column(overflow="fold")
    for row in rows:
        for name, text in row:
            table.add_row(Text(name), _styled(text))
        if row is not rows[-1]:
            table.add_row("", "")
    console().print(table)


def _plain_table(*, show_header: bool = True, show_footer: bool = False) -> Table:
    """A table whose only lines are those below its headings and above its total."""
    return Table(
        box=SIMPLE,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
        show_header=show_header,
        show_footer=show_footer,
    )


def _is_number(text: str) -> bool:
    return re.fullmatch(r"<?\$?[\d,.]+( m?s)?", text) is not None


def _styled(text: str) -> Text:
    return Text(text, "dim" if text in ("unknown", "-") else "")


def _print(text: Text) -> None:
    console().print(text)


def console() -> Console:
    """Where tables go: standard output, as wide as the terminal."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=WIDTH)
