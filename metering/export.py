"""Writes all rows of ledgers as CSV, JSON or Parquet: in bounded memory, and fast enough for millions.

SQLite makes the text of hundreds of rows at a time; several threads wait for it, while other Python code can run. The
few rows that need more care than SQL can give (cells that a spreadsheet could take for a formula, control characters,
bytes that are not UTF-8) are read again and written by `output.py`, as all rows from PostgreSQL are. Rows are read in
slices of time, so a call that ends meanwhile is in the export once, as it was when its slice was read.
"""

import json
import os
import tempfile
from collections import deque
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextlib import closing
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from operator import methodcaller
from pathlib import Path
from queue import SimpleQueue
from sqlite3 import Connection
from typing import Any
from typing import BinaryIO
from typing import NamedTuple
from typing import get_args
from typing import get_type_hints

from metering.call import COLUMNS
from metering.call import Call
from metering.ledger_names import Source
from metering.ledger_names import open_source
from metering.output import UNSAFE
from metering.output import csv_line
from metering.output import safe_json
from metering.selection import ReportError
from metering.selection import Selection
from metering.selection import Span
from metering.store import Store

SLICE = 500
"""How many rows are made into text at a time."""
ROW_GROUP = 20_000
"""How many rows are one group of a Parquet file."""
THREADS = min(4, os.cpu_count() or 1)

Told = Callable[[int], None]
"""Gets the number of rows that were just written."""
Row = tuple[object, ...]


class Piece(NamedTuple):
    """A part of an export: the rows of a slice."""

    rows: int
    content: Any
    """Text in UTF-8, or a table of Arrow."""


def count(db: Store, selection: Selection) -> int:
    """How many rows a ledger has to export. With filters for tags it may have fewer."""
    condition, values = _where(selection, selection.span)
    return int(db.execute(f"SELECT count(*) FROM calls WHERE {condition}", values).fetchone()[0])


def write_csv(ledgers: Sequence[Source], selection: Selection, out: BinaryIO, told: Told) -> None:
    """A line of names, and a line for each row, ordered by when the calls started, ledger by ledger. Raises
    LedgerError, sqlite3.Error, OSError, as the others do."""
    out.write(csv_line(COLUMNS).encode())
    for piece in _pieces(ledgers, selection, _csv, SLICE):
        out.write(piece.content)
        told(piece.rows)


def write_json(ledgers: Sequence[Source], selection: Selection, out: BinaryIO, told: Told) -> None:
    """An array of objects, one a line."""
    before = b"[\n"
    for piece in _pieces(ledgers, selection, _json, SLICE):
        out.write(before)
        out.write(piece.content)
        before = b",\n"
        told(piece.rows)
    out.write(b"\n]\n" if before != b"[\n" else b"[]\n")


def write_parquet(ledgers: Sequence[Source], selection: Selection, out: BinaryIO, told: Told) -> None:
    """A Parquet file, compressed with zstd. JSON is text there too; an empty text is null. Raises ReportError if
    pyarrow is not installed."""
    try:
        arrow, texts, parquet = map(import_module, ("pyarrow", "pyarrow.csv", "pyarrow.parquet"))
    except ImportError:
        raise ReportError(
            "Parquet needs pyarrow, which is not installed; run: pip install 'vertex-tap[parquet]'"
        ) from None
    types = {bool: arrow.bool_(), int: arrow.int64(), float: arrow.float64(), str: arrow.string()}
    schema = arrow.schema([(name, types[kind]) for name, kind in _KINDS.items()])
    how = (
        texts.ReadOptions(column_names=COLUMNS, use_threads=False, block_size=_BLOCK),
        texts.ParseOptions(delimiter=_BETWEEN, quote_char=False, ignore_empty_lines=False),
        texts.ConvertOptions(column_types=schema, strings_can_be_null=True, null_values=[""]),
    )

    def table(db: Store, selection: Selection, span: Span) -> Piece:
        # Arrow reads text faster than Python makes the values of rows.
        if _is_made_by_sql(db, selection):
            count, text = _joined(db, selection, span, _PLAIN_LINE, "char(10)")
            if not count:
                return Piece(0, None)
            ends, between = text.count(b"\n"), text.count(_BETWEEN.encode())
            if (ends, between) == (count - 1, count * (len(COLUMNS) - 1)) and b"\r" not in text:
                text = text if text.isascii() else text.decode(errors="replace").encode()
                return Piece(count, texts.read_csv(arrow.BufferReader(text), *how))
        rows = _rows(db, selection, span)
        arrays = [
            arrow.array([None if value is None else kind(value) for value in values], types[kind])
            for values, kind in zip(zip(*rows, strict=True), _KINDS.values(), strict=bool(rows))
        ]
        return Piece(len(rows), rows and arrow.table(arrays, schema=schema))

    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        for piece in _pieces(ledgers, selection, table, ROW_GROUP):
            writer.write_table(piece.content)
            told(piece.rows)


_HINTS = {name: get_args(hint) or (hint,) for name, hint in get_type_hints(Call).items()}
_KINDS = {name: next((kind for kind in (bool, int, float) if kind in _HINTS[name]), str) for name in COLUMNS}
"""Column -> the type of its values. JSON is text."""
_BETWEEN = "\x1f"
_PLAIN_LINE = f"printf('{_BETWEEN.join(['%s'] * len(COLUMNS))}', {', '.join(COLUMNS)})"
_BLOCK = 2**24
"""The bytes that Arrow reads at a time; more than a line can have."""

WRITERS = {"csv": write_csv, "json": write_json, "parquet": write_parquet}
"""Format -> what writes it."""


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A file that gets the name `path` when the block has ended well; else what was there stays. Only its owner may
    read it, like a ledger. Raises OSError."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        # Such as /dev/stdout.
        with path.open("wb") as out:
            yield out
        return
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as e:
        raise OSError(e.errno, e.strerror, str(path)) from e
    try:
        with open(descriptor, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


# Slices


def _pieces(
    ledgers: Sequence[Source], selection: Selection, make: Callable[[Store, Selection, Span], Piece], size: int
) -> Iterator[Piece]:
    """What `make` makes of each slice of the ledgers that has rows, in order. Some slices are made ahead."""
    for source in ledgers:
        with ExitStack() as stack:
            free: SimpleQueue[Store] = SimpleQueue()
            for _ in range(THREADS):
                free.put(stack.enter_context(closing(open_source(source))))
            slices = _slices(stack.enter_context(closing(open_source(source))), selection.span, size)
            pool = ThreadPoolExecutor(THREADS)
            stack.callback(pool.shutdown, cancel_futures=True)

            def work(span: Span, free: "SimpleQueue[Store]" = free) -> Piece:
                db = free.get()
                try:
                    return make(db, selection, span)
                finally:
                    free.put(db)

            ahead: deque[Future[Piece]] = deque(pool.submit(work, span) for span in islice(slices, THREADS + 1))
            while ahead:
                piece = ahead.popleft().result()
                ahead += (pool.submit(work, span) for span in islice(slices, 1))
                if piece.rows:
                    yield piece


def _slices(db: Store, span: Span, size: int) -> Iterator[Span]:
    """A span in parts of about `size` rows: more if more calls started in the same microsecond."""
    since = span.since
    following = (
        "SELECT started_at FROM calls WHERE started_at > ? AND started_at < ? ORDER BY started_at LIMIT 1 OFFSET ?"
    )
    while found := db.execute(following, (since, span.until, size - 1)).fetchone():
        yield Span(since, found[0])
        since = found[0]
    yield Span(since, span.until)


def _where(selection: Selection, span: Span) -> tuple[str, tuple[object, ...]]:
    condition, patterns = selection.condition
    return f"started_at >= ? AND started_at < ? AND {condition}", (*span, *patterns)


_ORDER = "ORDER BY started_at, id"


def _rows(db: Store, selection: Selection, span: Span) -> list[Row]:
    condition, values = _where(selection, span)
    rows = map(tuple, db.execute(f"SELECT {', '.join(COLUMNS)} FROM calls WHERE {condition} {_ORDER}", values))
    return [row for row in rows if not selection.tags or selection.takes(row[_TAGS])]


_ID, _TAGS = COLUMNS.index("id"), COLUMNS.index("tags")


def _is_made_by_sql(db: Store, selection: Selection) -> bool:
    """Whether the text of rows can be made by SQL: by SQLite's, and if all rows that it finds are meant."""
    return isinstance(db, Connection) and not selection.tags


def _joined(db: Store, selection: Selection, span: Span, line: str, between: str) -> tuple[int, bytes]:
    """The number of rows of a slice, and what the SQL `line` makes of them, with the SQL `between` between them."""
    condition, values = _where(selection, span)
    count, text = db.execute(
        f"SELECT count(*), CAST(group_concat(line, {between}) AS BLOB) FROM"
        f" (SELECT {line} AS line FROM calls WHERE {condition} {_ORDER})",
        values,
    ).fetchone()
    return count, text or b""


# JSON

_JSON_LINE = f"json_object({', '.join(f'{name!r}, {name}' for name in COLUMNS)})"


def _json(db: Store, selection: Selection, span: Span, between: str = ",\n") -> Piece:
    """The rows of a slice as JSON objects, with a text between them."""
    if not _is_made_by_sql(db, selection):
        rows = _rows(db, selection, span)
        objects = (dict(zip(COLUMNS, row, strict=True)) for row in rows)
        # As SQLite writes it.
        texts = (json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in objects)
        return Piece(len(rows), safe_json(between.join(texts)).encode())
    count, text = _joined(db, selection, span, _JSON_LINE, _sql(between.encode()))
    if b"\x7f" in text or not _is_harmless(text):
        text = safe_json(text.decode(errors="replace")).encode()
    return Piece(count, text)


def _is_harmless(text: bytes) -> bool:
    """Whether a text is UTF-8, and nothing in it beyond ASCII is invisible."""
    try:
        return not any(map(UNSAFE.match, {*text.translate(None, _ASCII).decode()}))
    except UnicodeDecodeError:
        return False


_ASCII = bytes(range(128))


def _sql(text: bytes) -> str:
    """SQL for a text of these bytes."""
    return f"CAST(x'{text.hex()}' AS TEXT)"


# CSV. SQL makes marks of bytes that no text in UTF-8 contains: for what separates cells and rows, and for the quotes
# around JSON. Whatever else is a quote, a comma or a control character then stands in a row that needs care.

_ROW, _CELL, _QUOTE = b"\xff", b"\xfe", b"\xf7"
_MEANT = bytes.maketrans(_ROW + _CELL + _QUOTE, b'\n,"')
_CALM_IN_JSON = bytes(range(32, 127))
_CALM = bytes({*_CALM_IN_JSON} - {*b'",'}) + _ROW + _CELL
_BEGINNING = b"="
_BEGINNINGS = bytes.maketrans(b"+-@' " + _ROW, _BEGINNING * 5 + _CELL)
"""Makes the characters that a cell may not begin with all the same, and the marks before cells too."""
_WIDE = frozenset("＝＋－＠")
_is_object = methodcaller("startswith", b"{")


def _cell(name: str) -> str:
    """SQL for the text of a cell."""
    return f"{_sql(_QUOTE)} || {name} || {_sql(_QUOTE)}" if name in _JSON_COLUMNS else name


_JSON_COLUMNS = tuple(name for name in COLUMNS if _KINDS[name] is str and str not in _HINTS[name])
_CSV_LINE = f"printf({_sql(_CELL.join([b'%s'] * len(COLUMNS)))}, {', '.join(map(_cell, COLUMNS))})"


def _csv(db: Store, selection: Selection, span: Span) -> Piece:
    if not _is_made_by_sql(db, selection):
        return _careful(_rows(db, selection, span))
    count, text = _joined(db, selection, span, _CSV_LINE, _sql(_ROW))
    if not count:
        return Piece(0, b"")
    odd = _odd_rows(text, count)
    if odd is None:
        return _careful(_rows(db, selection, span))
    text = text.replace(b'"', b'""')
    if odd:
        lines = text.split(_ROW)
        for number in odd:
            row = _row(db, lines[number].partition(_CELL)[0])
            if row is None:
                return _careful(_rows(db, selection, span))
            lines[number] = csv_line(row).encode()[:-1]
        text = _ROW.join(lines)
    return Piece(count, text.translate(_MEANT) + b"\n")


def _careful(rows: Sequence[Row]) -> Piece:
    return Piece(len(rows), "".join(map(csv_line, rows)).encode())


def _row(db: Store, name: bytes) -> Row | None:
    """The row with an id, as SQL wrote it."""
    sql = f"SELECT {', '.join(COLUMNS)} FROM calls WHERE id = ?"
    row = db.execute(sql, (name.decode(errors="replace"),)).fetchone()
    return row and tuple(row)


def _odd_rows(text: bytes, count: int) -> set[int] | None:
    """The numbers of the rows, of `count`, in which something must not be written as it is. None if it may be any."""
    parts = text.split(_QUOTE)
    plain, objects = b"".join(parts[::2]), parts[1::2]
    if plain.count(_ROW) != count - 1 or plain.count(_CELL) != count * (len(COLUMNS) - 1):
        return None
    try:
        inside = {*b"".join(objects).translate(None, _CALM_IN_JSON).decode()}
        others = {*plain.translate(None, _CALM).decode()}
    except UnicodeDecodeError:
        return None
    if any(map(UNSAFE.match, inside)) or not all(map(_is_object, objects)):
        return None
    places = _places(_CELL + plain.translate(_BEGINNINGS), _CELL + _BEGINNING)
    for other in others:
        if other.isascii() or UNSAFE.match(other) or other in _WIDE:
            places += _places(plain, other.encode())
    return {plain.count(_ROW, 0, place) for place in places}


def _places(text: bytes, wanted: bytes) -> list[int]:
    places, place = [], text.find(wanted)
    while place >= 0:
        places.append(place)
        place = text.find(wanted, place + 1)
    return places
