"""The ledger's schema, as migrations. A released migration is never changed; every change gets a new one."""

import secrets

from sqlite_utils import Database
from sqlite_utils import Migrations

from metering import days
from metering import rollup
from metering import sliding_sum
from metering import views
from metering.older import pruned

migrations = Migrations("vertex-tap")


@migrations()
def m001_calls(db: Database) -> None:
    """The table `calls`."""
    db.table("calls").create(
        {
            "id": str,
            "instance": str,
            "state": str,
            "started_at": int,
            "ended_at": int,
            "surface": str,
            "operation": str,
            "method": str,
            "path": str,
            "service": str,
            "upstream_host": str,
            "upstream_path": str,
            "rewritten": int,
            "attempts": int,
            "project": str,
            "location": str,
            "publisher": str,
            "model": str,
            "model_served": str,
            "response_id": str,
            "client": str,
            "sdk": str,
            "tags": str,
            "streamed": int,
            "status": int,
            "upstream_status": int,
            "error_type": str,
            "finish_reason": str,
            "request_bytes": int,
            "response_bytes": int,
            "duration_us": int,
            "ttft_us": int,
            "upstream_us": int,
            "overhead_us": int,
            "usage_state": str,
            "input_tokens": int,
            "input_cached_tokens": int,
            "input_cache_write_tokens": int,
            "input_tool_tokens": int,
            "output_tokens": int,
            "output_thought_tokens": int,
            "total_tokens": int,
            "input_by_modality": str,
            "output_by_modality": str,
            "images": int,
            "video_seconds": int,
            "input_items": int,
            "search_queries": int,
            "counted_tokens": int,
            "traffic_type": str,
            "usage_raw": str,
        },
        pk="id",
        not_null={"instance", "state", "started_at", "rewritten", "attempts"},
        strict=True,
    )
    db.execute("CREATE INDEX calls_started_at ON calls (started_at)")
    db.execute("CREATE INDEX calls_open ON calls (instance) WHERE state = 'open'")
    db.execute("CREATE INDEX calls_unsettled ON calls (response_id) WHERE operation = 'predictLongRunning'")


@migrations()
def m002_rollup(db: Database) -> None:
    """The first rollup. Its SQL is a frozen copy, as a later migration replaces it."""
    names = "model model_served publisher location project surface operation service client sdk status state"
    keys = [*names.split(), "traffic_type"]
    known = {
        "calls": "1",
        "errors": "({row}state NOT IN ('open', 'done') OR coalesce({row}status, 0) >= 400"
        " OR {row}error_type IS NOT NULL)",
        "covered_calls": "({row}usage_state IS 'final')",
    }
    counts = (
        "input_tokens input_cached_tokens input_cache_write_tokens input_tool_tokens output_tokens"
        " output_thought_tokens total_tokens images video_seconds input_items search_queries"
    ).split()

    def values(row: str = "") -> list[str]:
        return [expression.format(row=row) for expression in known.values()] + [row + name for name in counts]

    def bucket(row: str = "") -> str:
        return f"{row}started_at / 900000000 * 900000000"

    def key(row: str = "") -> str:
        return f"json_array({bucket(row)}, {', '.join(row + name for name in keys)})"

    add = (
        f"INSERT INTO rollup VALUES ({key('NEW.')}, {bucket('NEW.')}, {', '.join('NEW.' + name for name in keys)},"
        f" {', '.join(values('NEW.'))}) ON CONFLICT (key) DO UPDATE SET "
        + ", ".join(f"{name} = {name} + excluded.{name}" for name in known)
        + ", "
        + ", ".join(
            f"{n} = CASE WHEN excluded.{n} IS NULL THEN {n} ELSE ifnull({n}, 0) + excluded.{n} END" for n in counts
        )
    )
    subtract = (
        "UPDATE rollup SET "
        + ", ".join(
            f"{name} = {name} - ifnull({value}, 0)"
            for name, value in zip([*known, *counts], values("OLD."), strict=True)
        )
        + f" WHERE key = {key('OLD.')}"
    )
    recompute = (
        f"UPDATE rollup SET ({', '.join(counts)}) = (SELECT {', '.join(f'sum({name})' for name in counts)} FROM calls"
        f" WHERE started_at >= {bucket('OLD.')} AND started_at < {bucket('OLD.')} + 900000000"
        f" AND state <> 'open' AND {key()} = {key('OLD.')})"
        f" WHERE key = {key('OLD.')} AND {key('OLD.')} <> {key('NEW.')}"
    )
    drop = f"DELETE FROM rollup WHERE key = {key('OLD.')} AND calls = 0"
    columns = [f"{name} {'INTEGER' if name == 'status' else 'TEXT'}" for name in keys]
    columns += [f"{name} INTEGER NOT NULL" for name in known] + [f"{name} INTEGER" for name in counts]
    db.execute(f"CREATE TABLE rollup (key TEXT PRIMARY KEY, bucket INTEGER NOT NULL, {', '.join(columns)}) STRICT")
    db.execute("CREATE INDEX rollup_bucket ON rollup (bucket)")
    for name, event, condition, steps in (
        ("insert", "INSERT", "NEW.state <> 'open'", add),
        ("close", "UPDATE", "OLD.state = 'open' AND NEW.state <> 'open'", add),
        ("update", "UPDATE", "OLD.state <> 'open'", f"{subtract}; {add}; {recompute}; {drop}"),
    ):
        db.execute(f"CREATE TRIGGER rollup_{name} AFTER {event} ON calls WHEN {condition} BEGIN {steps}; END")
    db.execute(
        f"INSERT INTO rollup SELECT {key()}, {bucket()}, {', '.join(keys)},"
        f" {', '.join(f'sum({value})' for value in values())} FROM calls WHERE state <> 'open' GROUP BY 1"
    )


@migrations()
def m003_meta(db: Database) -> None:
    """The table `meta`. `secret` is the HMAC key for the fingerprints of clients. `pruned_before` is the time before
    which rows were deleted. `spilled:<instance>` is the number of the last record of a spill file that is in the
    ledger. `changed` is the largest number of a row that was deleted."""
    db.table("meta").create({"key": str, "value": str}, pk="key", strict=True)
    db.table("meta").insert({"key": "secret", "value": secrets.token_hex(32)})


@migrations()
def m004_videos(db: Database) -> None:
    """Extend the index of unsettled rows to OpenAI's videos, which polls settle as they do Vertex AI's."""
    db.execute("DROP INDEX calls_unsettled")
    db.execute(
        "CREATE INDEX calls_unsettled ON calls (response_id) WHERE operation IN ('predictLongRunning', 'videos')"
    )


@migrations()
def m005_attempts(db: Database) -> None:
    """Add attempts, columns for limits and prices, and a rollup from which all reports of sums can be read.

    `changed` starts with the order of the rows. From now on, triggers set it for rows that are written without it. The
    rows of pruned calls are gone, so their sums are carried over from the old rollup.
    """
    for column in ("variant TEXT", "changed INTEGER", "reserved_tokens INTEGER", "reserved_usd REAL"):
        db.execute(f"ALTER TABLE calls ADD COLUMN {column}")
    for name in ("insert", "close", "update"):
        db.execute(f"DROP TRIGGER rollup_{name}")
    db.execute("UPDATE calls SET changed = rowid")
    db.execute("CREATE INDEX calls_changed ON calls (changed)")
    # Polls settle calls of other operations too, all of which have no final usage yet.
    db.execute("DROP INDEX calls_unsettled")
    db.execute("CREATE INDEX calls_unsettled ON calls (response_id) WHERE usage_state IN ('absent', 'partial')")
    db.execute(
        """
        CREATE TABLE attempts (call_id TEXT NOT NULL, n INTEGER NOT NULL, kind TEXT NOT NULL, service TEXT,
          upstream_host TEXT, upstream_path TEXT, model TEXT, location TEXT, traffic_type TEXT, status INTEGER,
          error_type TEXT, started_at INTEGER NOT NULL, duration_us INTEGER, input_tokens INTEGER,
          input_cached_tokens INTEGER, input_cache_write_tokens INTEGER, input_tool_tokens INTEGER,
          output_tokens INTEGER, output_thought_tokens INTEGER, total_tokens INTEGER, input_by_modality TEXT,
          output_by_modality TEXT, images INTEGER, video_seconds INTEGER, input_items INTEGER,
          search_queries INTEGER, counted_tokens INTEGER, PRIMARY KEY (call_id, n)) STRICT, WITHOUT ROWID
        """
    )
    db.execute("ALTER TABLE rollup RENAME TO rollup_4")
    rollup.create(db.conn)
    keys, sums = ", ".join(("bucket", *rollup.KEYS)), ", ".join(f"sum({name})" for name in rollup.SUMS)
    db.execute(
        f"INSERT INTO rollup ({', '.join(rollup.COLUMNS)}, times)"
        f" SELECT {keys}, {sums}, '{{}}' FROM ({pruned('rollup_4')}) GROUP BY {keys}"
    )
    before = db.execute("SELECT max(CAST(value AS INTEGER)) FROM meta WHERE key = 'pruned_before'").fetchone()[0]
    rollup.fill(db.conn, before or 0)
    db.execute("DROP TABLE rollup_4")
    rollup.create_triggers(db.conn)
    db.execute(
        "CREATE TRIGGER calls_delete AFTER DELETE ON calls BEGIN DELETE FROM attempts WHERE call_id = OLD.id; END"
    )
    # The next number is one more than the largest one, which is saved here when its row is deleted.
    db.execute(
        "CREATE TRIGGER changed_delete AFTER DELETE ON calls"
        f" WHEN OLD.changed >= {NEXT_CHANGED}"
        " BEGIN INSERT OR REPLACE INTO meta VALUES ('changed', OLD.changed); END"
    )
    # The work is done by the trigger of an empty view, which keeps the triggers of `calls` short and fast.
    db.execute("CREATE VIEW changed_next AS SELECT id FROM calls WHERE 1 = 0")
    db.execute(
        "CREATE TRIGGER changed_next INSTEAD OF INSERT ON changed_next"
        f" BEGIN UPDATE calls SET changed = {NEXT_CHANGED} WHERE id = NEW.id; END"
    )
    for event, condition in (("INSERT", "NEW.changed IS NULL"), ("UPDATE", "NEW.changed IS OLD.changed")):
        db.execute(
            f"CREATE TRIGGER changed_{event.lower()} AFTER {event} ON calls WHEN {condition}"
            " BEGIN INSERT INTO changed_next VALUES (NEW.id); END"
        )


@migrations()
def m006_days(db: Database) -> None:
    """Sums of whole days."""
    days.create(db.conn)


@migrations()
def m007_views(db: Database) -> None:
    """The views `v_calls`, `v_usage_daily` and `v_errors_daily`."""
    views.create(db.conn)


@migrations()
def m008_spent(db: Database) -> None:
    """What clients with limits have used."""
    sliding_sum.create(db.conn)


NEXT_CHANGED = (
    "max(ifnull((SELECT max(changed) FROM calls), 0),"
    " ifnull((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'changed'), 0)) + 1"
)
"""SQL for the next value of `changed`."""
