"""How the values of a report are written in a table for people."""

from collections.abc import Iterable
from collections.abc import Mapping
from datetime import datetime
from datetime import tzinfo

from metering import tables
from metering.output import visible
from metering.selection import KEYS

UNKNOWN = "unknown"
NUMBERED_TEXTS = frozenset({"status", "upstream_status"})
"""Numbers that are names."""


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
    if name == "hour":
        # 2026-11-28T17:00+0000; the form names the zone.
        return visible(str(value)[:16].replace("T", " "))
    if not is_number(name, value):
        return visible(str(value))
    number = float(str(value))
    if name.endswith("_us"):
        return tables.duration(number)
    if name.endswith("_usd"):
        return tables.usd(number)
    if name.endswith("_share"):
        return f"{number * 100:.1f} %"
    return f"{value:,}"


def told(columns: Iterable[str], rows: Iterable[Mapping[str, object]], always: Iterable[str]) -> list[str]:
    """The columns that at least one row has a value for, and those in `always`."""
    listed, kept = [*rows], {*always}
    return [name for name in columns if name in kept or any(row.get(name) is not None for row in listed)]
