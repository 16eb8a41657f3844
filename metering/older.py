"""Reads ledgers of older versions without changing them: temporary views show their rows with today's columns. A column
that they lack is NULL."""

import sqlite3

from metering import rollup
from metering.call import ATTEMPT_COLUMNS
from metering.call import COLUMNS
from metering.call import COUNTS

VERSION = 8
"""The version of the schema: the number of migrations. It is stored in `PRAGMA user_version`."""
WITH_META = 3
"""The first version of the schema with a table `meta`, so that its ledgers can be pruned."""
WITH_FINE_ROLLUP = 5
"""The first version whose rollup has all sums that reports need."""
WITH_DAYS = 6
"""The first version with sums of whole days."""
_ADDED = {"variant": "NULL", "changed": "rowid", "reserved_tokens": "NULL", "reserved_usd": "NULL"}
"""Columns of `calls` that version 5 added -> their values in older ledgers, as SQL."""


def read_as_new(db: sqlite3.Connection, version: int) -> None:
    """Create the temporary views for a ledger of an older version. Writes nothing to the file.

    Below version 5, the view `rollup` has one row for each call that was not pruned, as there are no finer sums to
    read.
    """
    if version >= WITH_DAYS:
        return
    db.execute("CREATE TEMP VIEW summed_days AS SELECT NULL AS day, NULL AS token WHERE 1 = 0")
    if version >= WITH_FINE_ROLLUP:
        return
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
    keys, sums = ", ".join(("bucket", *rollup.KEYS)), ", ".join(rollup.SUMS)
    parts = [f"SELECT {keys}, {sums}, {rollup.times_of_use()} AS times FROM uses WHERE state <> 'open'"]
    if version >= WITH_META:
        parts = [f"{parts[0]} AND started_at >= {_PRUNED}", pruned("main.rollup")]
    computed = ", ".join(f"{value} AS {name}" for name, value in rollup.COMPUTED.items())
    db.execute(f"CREATE TEMP VIEW rollup AS SELECT *, {computed} FROM ({' UNION ALL '.join(parts)})")


_PRUNED = "ifnull((SELECT CAST(max(value) AS INTEGER) FROM meta WHERE key = 'pruned_before'), 0)"


def pruned(old: str) -> str:
    """The SELECT for the sums of pruned calls in a rollup older than version 5; `old` is the name of that table."""
    columns = zip(_kept(), (*rollup.KEYS, *rollup.SUMS), strict=True)
    named = ", ".join(f"{value} AS {name}" for value, name in columns)
    return f"SELECT bucket, {named}, '{{}}' AS times FROM {old} WHERE bucket < {_PRUNED}"


def _kept() -> list[str]:
    """SQL for today's keys and sums, over a row of the old rollup."""
    keys = [
        f"coalesce({name}, {0 if name == 'status' else repr('')})" if name in rollup.FIRST_GROUPS else "''"
        for name in rollup.GROUPS
    ]
    sums = {"calls": "calls", "errors": "errors", "covered_calls": "covered_calls", "uses": "calls"}
    sums["search_uses"] = "CASE WHEN search_queries < calls THEN search_queries ELSE calls * (search_queries > 0) END"
    return [
        *keys,
        *("''", "0", rollup.known("")),
        *(f"ifnull({sums[name]}, 0)" for name in rollup.TOTALS),
        *(name if name in COUNTS else "NULL" for name in rollup.AMOUNTS),
    ]
