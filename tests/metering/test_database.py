import io
import sqlite3
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from metering import costs
from metering.call import Settlement
from metering.database import LedgerError
from metering.database import check
from metering.database import migrate
from metering.database import open_for_reading
from metering.database import prune
from metering.ledger import Ledger
from metering.migrations import VERSION
from metering.output import write_csv
from metering.output import write_json
from metering.rollup import BUCKET_US
from metering.selection import Grouping
from metering.selection import Selection
from metering.tables import print_report
from tests.ledgers import broken_invariants
from tests.ledgers import call
from tests.ledgers import done
from tests.ledgers import of_version
from tests.ledgers import processes
from tests.ledgers import rows


def of_version_3(path: Path) -> str:
    """A ledger with a submission that is not settled. Returns its secret."""
    ordered = {"operation": "predictLongRunning", "response_id": "op", "usage_raw": '{"durationSeconds":8}'}
    of_version(path, 3, [ordered | {"usage_state": "absent"}])
    with closing(sqlite3.connect(path)) as db:
        secret: str = db.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()[0]
    return secret


class TestVersion3:
    def test_it_is_migrated_and_goes_on(self, tmp_path: Path) -> None:
        path = tmp_path / "usage.db"
        secret = of_version_3(path)
        for _ in range(2):
            ledger = Ledger(path)
            assert ledger._identity.secret == secret
            assert rows(path)[0][:3] == ("0", "done", "absent")
            ledger.close()
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
            (index,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'calls_unsettled'").fetchone()
            assert "usage_state IN ('absent', 'partial')" in index
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert broken_invariants(path) == []

    def test_what_waited_is_settled(self, tmp_path: Path) -> None:
        path = tmp_path / "usage.db"
        of_version_3(path)
        ledger = Ledger(path)
        one = call(operation="videos", response_id="newer", usage_raw={"durationSeconds": 4})
        ledger.commit(done(one, usage_state="absent", input_tokens=None))
        for name in ("op", "newer"):
            poll = done(call(operation="videos"), usage_state="not_applicable", input_tokens=None)
            ledger.commit(poll, Settlement(name, videos=1))
        ledger.close()
        assert [row[0] for row in rows(path, "video_seconds") if row[0] is not None] == [8, 4]

    def test_a_report_reads_it_as_it_is(self, tmp_path: Path) -> None:
        """Nothing that only reads changes a file."""
        path = tmp_path / "usage.db"
        of_version_3(path)
        before = path.read_bytes()
        with closing(open_for_reading(path)) as db:
            assert [tuple(row) for row in db.execute("SELECT id, variant, changed FROM calls")] == [("0", None, 1)]
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                db.execute("DELETE FROM main.calls")
        assert path.read_bytes() == before

    def test_prune_upgrades_it(self, tmp_path: Path) -> None:
        path = tmp_path / "usage.db"
        of_version_3(path)
        assert prune(path, BUCKET_US) == 1
        with closing(open_for_reading(path)) as db:
            assert db.execute("SELECT sum(calls) FROM rollup").fetchone()[0] == 1
        assert broken_invariants(path) == []


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    of_version_3(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE calls SET model = CAST(x'4dfc6c6c6572' AS TEXT), tags = '{\"x-team\":\"M\\udcfcller\"}'")
    with closing(open_for_reading(path)) as db:
        assert tuple(db.execute("SELECT model FROM calls").fetchone()) == ("M\ufffdller",)
        grouping = Grouping(("model", "tag:x-team"), UTC)
        (row,) = costs.usage([db], grouping, Selection())
        assert (row["model"], row["tag:x-team"]) == ("M\ufffdller", "M\udcfcller")
        out = io.StringIO()
        write_json([row], out)
        write_csv([row], costs.usage_columns(grouping), out)
        print_report("usage", [row])
        assert "M\ufffdller" in out.getvalue().encode().decode()


class TestOpening:
    def test_a_directory(self, tmp_path: Path) -> None:
        with pytest.raises(LedgerError, match=r"is a directory; name a file in it"):
            Ledger(tmp_path)

    def test_no_directory(self, tmp_path: Path) -> None:
        with pytest.raises(LedgerError, match=r"there is no directory .*nowhere; create it"):
            Ledger(tmp_path / "nowhere" / "usage.db")

    def test_not_a_database(self, tmp_path: Path) -> None:
        (tmp_path / "usage.db").write_text("This is a text of some length, and no database at all. " * 20)
        with pytest.raises(LedgerError, match=r"is not a ledger \(file is not a database\)"):
            Ledger(tmp_path / "usage.db")

    def test_another_database(self, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / "usage.db")) as db:
            db.execute("CREATE TABLE calls (id)")
        with pytest.raises(LedgerError, match="is the database of another program"):
            Ledger(tmp_path / "usage.db")

    def test_a_newer_ledger(self, tmp_path: Path) -> None:
        Ledger(tmp_path / "usage.db").close()
        with closing(sqlite3.connect(tmp_path / "usage.db")) as db:
            db.execute(f"PRAGMA user_version = {VERSION + 1}")
        before = (tmp_path / "usage.db").read_bytes()
        with pytest.raises(LedgerError, match=r"newer vertex-tap .*upgrade"):
            Ledger(tmp_path / "usage.db")
        assert (tmp_path / "usage.db").read_bytes() == before
        assert [file.name for file in tmp_path.iterdir()] == ["usage.db"]

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "usage.db").touch()
        Ledger(tmp_path / "usage.db").close()
        assert rows(tmp_path / "usage.db") == []

    def test_check_makes_nothing(self, tmp_path: Path) -> None:
        check(tmp_path / "usage.db")
        assert list(tmp_path.iterdir()) == []

    def test_several_start_at_once(self, tmp_path: Path) -> None:
        with processes("Ledger(sys.argv[1]).close()", tmp_path / "usage.db", 4) as program:
            assert program.stdout.read() == "ended 0 0 0 0\n"
        assert rows(tmp_path / "usage.db") == []

    def test_a_schema_that_is_made_meanwhile(self, tmp_path: Path) -> None:
        """Another process makes it after our first look at the file."""
        path = tmp_path / "usage.db"
        asked: list[str] = []

        class Slow(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                asked.append(sql)
                if len(asked) == 2:
                    Ledger(path).close()
                return super().execute(sql, *args)

        with closing(sqlite3.connect(path, isolation_level=None, factory=Slow)) as db:
            migrate(db, path)
        assert rows(path) == []

    def test_the_settings_that_matter(self, ledger: Ledger) -> None:
        with closing(sqlite3.connect(ledger.path)) as db:
            pragmas = ("journal_mode", "auto_vacuum", "user_version")
            assert [db.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas] == ["wal", 2, VERSION]


class TestReading:
    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(LedgerError, match="there is no ledger"):
            open_for_reading(tmp_path / "usage.db")
        assert list(tmp_path.iterdir()) == []

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "usage.db").touch()
        with pytest.raises(LedgerError, match="holds no calls yet"):
            open_for_reading(tmp_path / "usage.db")

    def test_it_cannot_write(self, ledger: Ledger) -> None:
        with (
            closing(open_for_reading(ledger.path)) as db,
            pytest.raises(sqlite3.OperationalError, match="readonly"),
        ):
            db.execute("DELETE FROM calls")


class TestPrune:
    def test_old_rows_go_and_sums_stay(self, ledger: Ledger) -> None:
        for bucket in (1, 2, 3):
            ledger.commit(done(call(started_at=bucket * BUCKET_US)))
        ledger.commit(call(started_at=1))
        assert prune(ledger.path, 3 * BUCKET_US - 1) == 1
        assert prune(ledger.path, 3 * BUCKET_US) == 1
        assert prune(ledger.path, 2 * BUCKET_US) == 0
        assert sorted(rows(ledger.path, "started_at, state")) == [(1, "open"), (3 * BUCKET_US, "done")]
        with closing(open_for_reading(ledger.path)) as db:
            assert db.execute("SELECT sum(calls) FROM rollup").fetchone()[0] == 3
        assert broken_invariants(ledger.path) == []

    def test_the_file_shrinks(self, ledger: Ledger) -> None:
        for number in range(200):
            ledger.commit(done(call(started_at=number, path="x" * 5000)))
        ledger.close()
        before = ledger.path.stat().st_size
        assert prune(ledger.path, BUCKET_US) == 200
        assert ledger.path.stat().st_size < before / 2
