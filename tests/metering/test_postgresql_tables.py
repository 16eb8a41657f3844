"""Against a real PostgreSQL server."""

import re
import threading
from contextlib import closing
from datetime import UTC
from datetime import datetime

import pytest

from metering import postgresql_tables as tables
from metering.postgresql import connect
from metering.postgresql_tables import month_of
from metering.selection import microseconds
from tests.postgresql_server import Server


def at(*when: int) -> int:
    return microseconds(datetime(*when, tzinfo=UTC))  # type: ignore[arg-type, misc]


def test_months() -> None:
    november, december = at(2026, 11, 1), at(2026, 12, 1)
    assert month_of(november) == ("2026_11", str(november), str(december))
    assert month_of(december - 1) == month_of(november)
    assert month_of(december) == ("2026_12", str(december), str(at(2027, 1, 1)))
    assert month_of(0).name == "1970_01"
    assert month_of(-1) == ("before_1970", "MINVALUE", "0")
    assert month_of(at(2999, 12, 31)).name == "2999_12"
    assert month_of(at(3000, 1, 1)) == month_of(2**62) == ("from_3000", str(at(3000, 1, 1)), "MAXVALUE")


def test_types() -> None:
    named = {name: kind.split()[0] for name, kind in tables.CALLS.columns.items()}
    wanted = {"id": "text", "streamed": "bigint", "reserved_usd": "double", "tags": "text", "ledger": "integer"}
    assert wanted.items() <= named.items()
    assert tables.CALLS.columns["tried"] == "boolean"
    assert tables.ROLLUP.columns["context"] == tables.ROLLUP.columns["status"] == "bigint"
    assert tables.ROLLUP.columns["known"].startswith("text")


def test_what_is_created() -> None:
    made = tables.definitions()
    found = re.findall(r"^\s*CREATE (?:TABLE IF NOT EXISTS|VIEW) (\w+)", "\n".join(made), re.MULTILINE)
    assert found == ["calls", "attempts", "attempt_uses", "rollup", "shipped", "uses", "summed_days"]
    nothing = "CREATE VIEW summed_days AS SELECT CAST(NULL AS bigint) AS day, CAST(NULL AS text) AS token WHERE false"
    assert made[-1] == nothing
    assert made[-2].startswith("CREATE VIEW uses AS SELECT *, CASE lower(coalesce(traffic_type, ")
    assert {"input_cached_audio_tokens", "output_image_tokens"} <= tables.CALLS.columns.keys()


def test_many_create_them_at_once(postgresql: Server) -> None:
    address = postgresql.new()
    problems: list[BaseException] = []

    def create() -> None:
        try:
            with closing(connect(address)) as db:
                tables.create(db)
                with db.transaction():
                    for table in tables.TABLES:
                        tables.make_partitions(db, table, [at(2026, 11, 5), at(2026, 12, 5), at(2026, 12, 6)])
        except BaseException as e:
            problems.append(e)

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    with postgresql.connect(address) as db:
        found = db.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'calls'::regclass")
        assert {*found} == {("calls_2026_11",), ("calls_2026_12",)}


def test_a_newer_version_adds_what_is_missing(postgresql: Server) -> None:
    with closing(connect(postgresql.new())) as db:
        tables.create(db)
        tables.make_partitions(db, tables.CALLS, [0])
        db.execute("DROP VIEW uses")
        db.execute("ALTER TABLE calls DROP COLUMN variant")
        # Nothing says that it is of another version.
        tables.create(db)
        with pytest.raises(Exception, match="does not exist"):
            db.execute("SELECT 1 FROM uses")
        db.execute("COMMENT ON TABLE shipped IS 'older'")
        tables.create(db)
        assert db.execute("SELECT variant FROM uses").fetchall() == []
        assert db.execute("SELECT variant FROM calls_1970_01").fetchall() == []


def test_only_months_that_are_asked_for_are_read(postgresql: Server) -> None:
    """By reports, and for the attempts of a call."""
    with closing(connect(postgresql.new())) as db:
        tables.create(db)
        for table in tables.TABLES:
            with db.transaction():
                tables.make_partitions(db, table, [at(2026, month, 1) for month in range(1, 13)])
        span = (at(2026, 3, 3), at(2026, 3, 4))
        for asked in ("uses WHERE started_at >= %s AND started_at < %s", "rollup WHERE bucket >= %s AND bucket < %s"):
            lines = db.execute(f"EXPLAIN SELECT count(*) FROM {asked}".encode(), span).fetchall()
            plan = "\n".join(line for (line,) in lines)
            assert {*re.findall(r" on (?:calls|attempt_uses|rollup)_(\w+)", plan)} == {"2026_03"}
