"""Sums of finished calls by 15-minute UTC bucket, kept by triggers in the transaction that writes the row.

15 minutes, so that the days of every time zone can be summed from them. Open calls are in no bucket; reports
read them from `calls`. `NULL` plus `NULL` stays `NULL`: a sum of unknowns is unknown.
"""

import sqlite3

from metering.call import COUNTS

BUCKET_US = 900_000_000

KEYS = (
    "model",
    "model_served",
    "publisher",
    "location",
    "project",
    "surface",
    "operation",
    "service",
    "client",
    "sdk",
    "status",
    "state",
    "traffic_type",
)
CALLS = {
    "calls": "1",
    "errors": "({row}state NOT IN ('open', 'done') OR coalesce({row}status, 0) >= 400 OR {row}error_type IS NOT NULL)",
    "covered_calls": "({row}usage_state IS 'final')",
}
"""Kinds of calls, as SQL over a row of `calls`."""
SUMS = (*CALLS, *COUNTS)


def values(row: str = "") -> list[str]:
    """What one row adds, in the order of SUMS; `row` is a prefix such as `NEW.`."""
    return [expression.format(row=row) for expression in CALLS.values()] + [row + name for name in COUNTS]


def bucket(row: str = "") -> str:
    return f"{row}started_at / {BUCKET_US} * {BUCKET_US}"


def key(row: str = "") -> str:
    """One text for bucket and keys, as NULLs are never equal in an index."""
    return f"json_array({bucket(row)}, {', '.join(row + name for name in KEYS)})"


def create(db: sqlite3.Connection) -> None:
    """The table `rollup` and its triggers, filled from `calls`."""
    columns = [f"{name} {'INTEGER' if name == 'status' else 'TEXT'}" for name in KEYS]
    columns += [f"{name} INTEGER NOT NULL" for name in CALLS] + [f"{name} INTEGER" for name in COUNTS]
    db.execute(f"CREATE TABLE rollup (key TEXT PRIMARY KEY, bucket INTEGER NOT NULL, {', '.join(columns)}) STRICT")
    db.execute("CREATE INDEX rollup_bucket ON rollup (bucket)")
    db.execute(f"CREATE TRIGGER rollup_insert AFTER INSERT ON calls WHEN NEW.state <> 'open' BEGIN {_ADD_NEW}; END")
    db.execute(
        f"CREATE TRIGGER rollup_close AFTER UPDATE ON calls WHEN OLD.state = 'open' AND NEW.state <> 'open'"
        f" BEGIN {_ADD_NEW}; END"
    )
    db.execute(
        f"CREATE TRIGGER rollup_update AFTER UPDATE ON calls WHEN OLD.state <> 'open'"
        f" BEGIN {_SUBTRACT_OLD}; {_ADD_NEW}; {_RECOMPUTE_LEFT}; {_DROP_LEFT}; END"
    )
    db.execute(f"INSERT INTO rollup {computed()}")


def computed(where: str = "1") -> str:
    """The SELECT that gives the rollup anew from `calls`."""
    sums = [f"sum({value})" for value in values()]
    return (
        f"SELECT {key()}, {bucket()}, {', '.join(KEYS)}, {', '.join(sums)} FROM calls"
        f" WHERE state <> 'open' AND {where} GROUP BY 1"
    )


_ADD_NEW = (
    f"INSERT INTO rollup VALUES ({key('NEW.')}, {bucket('NEW.')},"
    f" {', '.join('NEW.' + name for name in KEYS)}, {', '.join(values('NEW.'))})"
    " ON CONFLICT (key) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in CALLS)
    + ", "
    + ", ".join(f"{n} = CASE WHEN excluded.{n} IS NULL THEN {n} ELSE ifnull({n}, 0) + excluded.{n} END" for n in COUNTS)
)
_SUBTRACT_OLD = (
    "UPDATE rollup SET "
    + ", ".join(f"{name} = {name} - ifnull({value}, 0)" for name, value in zip(SUMS, values("OLD."), strict=True))
    + f" WHERE key = {key('OLD.')}"
)
_RECOMPUTE_LEFT = (
    # A group that a row has left may hold unknowns only: exact sums need the rows. Rare.
    f"UPDATE rollup SET ({', '.join(COUNTS)}) = (SELECT {', '.join(f'sum({name})' for name in COUNTS)} FROM calls"
    f" WHERE started_at >= {bucket('OLD.')} AND started_at < {bucket('OLD.')} + {BUCKET_US}"
    f" AND state <> 'open' AND {key()} = {key('OLD.')})"
    f" WHERE key = {key('OLD.')} AND {key('OLD.')} <> {key('NEW.')}"
)
_DROP_LEFT = f"DELETE FROM rollup WHERE key = {key('OLD.')} AND calls = 0"
