"""How the values of a report are written in a table for people."""

import re
from collections.abc import Iterable
from collections.abc import Mapping
from datetime import datetime
from datetime import tzinfo

from metering.selection import KEYS

UNKNOWN = "unknown"
HEADINGS = {
    "covered_calls": "covered",
    "input_cached_tokens": "cached",
    "input_tokens": "input",
    "input_cache_write_tokens": "cache write",
    "output_tokens": "output",
    "output_thought_tokens": "thoughts",
    "started_at": "started",
    "cost_usd": "cost",
    "unpriced_calls": "without price",
    "error_type": "error",
}
"""Column -> its heading, where it is not the name itself."""
UNITS = {"_us": "ms", "_usd": "$", "_share": "%"}
"""The end of a column's name -> the unit of its heading."""
NUMBERED_TEXTS = frozenset({"status", "upstream_status"})
"""Numbers that are names."""
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
"""Control characters, those that turn the direction of text or take no room, and halves of surrogate pairs."""


def visible(text: str) -> str:
    r"""`text` with its invisible characters written out, such as `\x1b` or `\u202e`."""
    return _UNSEEN.sub(_written_out, text)


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def heading(name: str) -> str:
    """The heading of a column, with its unit: `duration_p50_us` is `duration p50 (ms)`."""
    for end, unit in UNITS.items():
        if name.endswith(end) and name not in HEADINGS:
            return f"{name.removesuffix(end).replace('_', ' ')} ({unit})"
    return visible(HEADINGS.get(name, name.replace("_", " ")))


def is_number(name: str, value: object) -> bool:
    """Whether a cell is a quantity, and so is aligned to the right."""
    return isinstance(value, int | float) and name not in NUMBERED_TEXTS and not name.endswith("_at")


def shown(name: str, value: object, zone: tzinfo) -> str:
    """A value of the column `name`, as text. Times are in `zone`."""
    if value is None:
        # A key that a call has not, such as an error, is nothing; a number that was not told is unknown.
        return "–" if name in KEYS or name.startswith("tag:") or name.endswith("_type") else UNKNOWN
    if name.endswith("_at") and isinstance(value, int):
        return datetime.fromtimestamp(value / 1_000_000, zone).strftime("%Y-%m-%d %H:%M:%S")
    if not is_number(name, value):
        return visible(str(value))
    number = float(str(value))
    if name.endswith("_us"):
        return f"{number / 1000:,.1f}"
    if name.endswith("_usd"):
        return f"${number:,.4f}" if number < 1 else f"${number:,.2f}"
    if name.endswith("_share"):
        return f"{number * 100:.1f} %"
    return f"{value:,}"


def told(columns: Iterable[str], rows: Iterable[Mapping[str, object]], always: Iterable[str]) -> list[str]:
    """The columns that at least one row has a value for, and those in `always`."""
    listed, kept = [*rows], {*always}
    return [name for name in columns if name in kept or any(row.get(name) is not None for row in listed)]
