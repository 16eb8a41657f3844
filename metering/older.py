"""Ledgers of older versions, read as they are: temporary views stand in front of what they have, and show it in the
columns of today. What they do not have is NULL."""

import sqlite3

from metering import rollup
from metering.call import ATTEMPT_COLUMNS
from metering.call import COLUMNS
from metering.call import COUNTS

WITH_META = 3
"""The version since when ledgers have a table `meta`, and can be pruned."""
_ADDED = {"variant": "NULL", "changed": "rowid", "reserved_tokens": "NULL", "reserved_usd": "NULL"}
"""Columns of `calls` since version 5."""
_KEPT = tuple(name for name in rollup.GROUPS if name not in ("tags", "error_type", "usage_state"))
"""Keys of the rollup before version 5."""


def read_as_new(db: sqlite3.Connection, version: int) -> None:
    """Makes the temporary views for a ledger of `version`, which is below 5. Writes nothing to the file."""
    calls = ", ".join(f"{_ADDED[name]} AS {name}" if name in _ADDED else name for name in COLUMNS)
    views = {
        "calls": f"SELECT {calls} FROM main.calls",
        "attempts": f"SELECT {', '.join(f'NULL AS {name}' for name in ATTEMPT_COLUMNS)} WHERE 1 = 0",
        "uses": rollup.view(),
    }
    if version < WITH_META:
        views["meta"] = "SELECT NULL AS key, NULL AS value WHERE 1 = 0"
    for name, select in views.items():
        db.execute(f"CREATE TEMP VIEW {name} AS {select}")
    computed = ", ".join(f"{value} AS {name}" for name, value in rollup.COMPUTED.items())
    select = rollup_of("main.rollup" if version > 1 else None, has_meta=version >= WITH_META)
    db.execute(f"CREATE TEMP VIEW rollup AS SELECT *, {computed} FROM ({select})")


def rollup_of(old: str | None, has_meta: bool) -> str:
    """The SELECT of the rollup for a ledger before version 5: of the calls that are there, and what its own rollup,
    the table `old`, has of those that were pruned."""
    keys = ", ".join(("bucket", *rollup.KEYS))
    pruned = "ifnull((SELECT CAST(max(value) AS INTEGER) FROM meta WHERE key = 'pruned_before'), 0)"
    there = f"started_at >= {pruned}" if has_meta else "1 = 1"
    nothing = ", ".join(["0"] * len(rollup.TOTALS) + ["NULL"] * len(rollup.AMOUNTS))
    parts = [
        f"SELECT *, NULL AS bin, NULL AS number FROM ({rollup.summed(there)})",
        f"SELECT {keys}, {nothing}, bin, number FROM ({rollup.binned(there)})",
    ]
    if old and has_meta:
        parts.append(f"SELECT bucket, {', '.join(_kept())}, NULL, NULL FROM {old} WHERE bucket < {pruned}")
    sums = ", ".join(f"sum({name}) AS {name}" for name in rollup.SUMS)
    return (
        f"SELECT {keys}, {sums}, json_group_object(bin, number) FILTER (WHERE bin IS NOT NULL) AS times"
        f" FROM ({' UNION ALL '.join(parts)}) GROUP BY {keys}"
    )


def _kept() -> list[str]:
    """What the old rollup has for the keys and sums of this one."""
    keys = [
        f"coalesce({name}, {0 if name == 'status' else repr('')})" if name in _KEPT else "''" for name in rollup.GROUPS
    ]
    sums = {"calls": "calls", "errors": "errors", "covered_calls": "covered_calls", "uses": "calls"}
    sums["search_uses"] = "CASE WHEN search_queries < calls THEN search_queries ELSE calls * (search_queries > 0) END"
    return [
        *keys,
        *("''", "0", rollup.known("")),
        *(f"ifnull({sums[name]}, 0)" for name in rollup.TOTALS),
        *(name if name in COUNTS else "NULL" for name in rollup.AMOUNTS),
    ]
