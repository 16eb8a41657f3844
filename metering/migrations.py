"""The ledger's schema, in steps. A step that has been released is never changed; what is next gets a new one."""

import secrets

from sqlite_utils import Database
from sqlite_utils import Migrations

from metering import rollup

migrations = Migrations("vertex-tap")


@migrations()
def m001_calls(db: Database) -> None:
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
    rollup.create(db.conn)


@migrations()
def m003_meta(db: Database) -> None:
    """`secret` keys the fingerprints of clients; `pruned_before` is where rows begin; `spilled:<instance>` is
    the last line of a spill file that is in the ledger."""
    db.table("meta").create({"key": str, "value": str}, pk="key", strict=True)
    db.table("meta").insert({"key": "secret", "value": secrets.token_hex(32)})


@migrations()
def m004_videos(db: Database) -> None:
    """OpenAI's videos are settled by polls, as Vertex AI's are."""
    db.execute("DROP INDEX calls_unsettled")
    db.execute(
        "CREATE INDEX calls_unsettled ON calls (response_id) WHERE operation IN ('predictLongRunning', 'videos')"
    )


VERSION = 4
"""Of the schema: the number of migrations, also in `PRAGMA user_version`."""
