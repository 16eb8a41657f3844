"""JSON and CSV of reports, and text that is harmless wherever it is shown.

What clients send (tags, paths, names of models) gets into reports. A terminal must not obey it, and a spreadsheet must
not take it for a formula.
"""

import csv
import io
import json
import re
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import TextIO

_INVISIBLE = (
    r"\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f"
)
"""Control characters beyond ASCII, characters that change the direction of text or take no room, and halves of
surrogate pairs, as part of a regular expression."""
UNSAFE = re.compile(rf"[\x00-\x1f{_INVISIBLE}]")
"""Matches what `visible` replaces."""
_UNSAFE_IN_JSON = re.compile(rf"[{_INVISIBLE}]")
"""In JSON all others are escaped already."""
_BYTE = re.compile("[\udc80-\udcff]")
"""What is left of a byte that is not UTF-8."""
_FORMULA = re.compile(r"""["'\s]*[=+\-@＝＋－＠]|["']*[\t\r]""")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)


def visible(text: str) -> str:
    r"""`text` with its control characters written out, such as `\x1b`, and those that turn the direction of text, such
    as `\u202e`. Half of a surrogate pair, which no UTF-8 can hold, becomes U+FFFD."""
    return text if text.isascii() and text.isprintable() else UNSAFE.sub(_written_out, text)


def readable(text: str) -> str:
    """Text of which Python has made surrogates where its bytes are not UTF-8: these are Latin-1, as in headers (RFC
    9110, 5.5), and in terminals that use it."""
    return text if text.isprintable() else _BYTE.sub(lambda match: chr(ord(match[0]) - 0xDC00), text)


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def cell(value: object) -> object:
    """A value as a cell of CSV: text is made visible, and gets a leading `'` if a spreadsheet could take it for a
    formula. A number, also one that is text (such as `-5`), stays as it is."""
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if _FORMULA.match(value) and not _NUMBER.fullmatch(value) else text


def csv_line(values: Iterable[object]) -> str:
    """A line of CSV, with its line break. An unknown value is empty."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(map(cell, values))
    return line.getvalue()


def write_csv(rows: Iterable[Mapping[str, object]], columns: Sequence[str], out: TextIO) -> None:
    """A line of names, and a line for each row."""
    out.write(csv_line(columns))
    out.writelines(csv_line(row[name] for name in columns) for row in rows)


def write_json(rows: Iterable[Mapping[str, object]], out: TextIO) -> None:
    """An array with one row a line, written as they come: a ledger may hold millions."""
    before = "[\n"
    for row in rows:
        out.write(before + json_of(row))
        before = ",\n"
    out.write("\n]\n" if before != "[\n" else "[]\n")


def json_of(value: object) -> str:
    """JSON in one line, in which nothing is invisible."""
    return safe_json(json.dumps(value, ensure_ascii=False))


def safe_json(text: str) -> str:
    r"""JSON text with whatever is invisible escaped (`\u202e`), which is the same to a parser. Half of a surrogate pair
    becomes U+FFFD."""
    return text if text.isascii() and "\x7f" not in text else _UNSAFE_IN_JSON.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return "\\ufffd" if 0xD800 <= code <= 0xDFFF else f"\\u{code:04x}" if code < 0x10000 else json.dumps(match[0])[1:-1]
