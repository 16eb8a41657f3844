import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

from metering.call import Settlement
from metering.database import open_for_reading
from metering.ledger import Ledger
from metering.older import VERSION
from metering.rollup import BUCKET_US
from metering.upkeep import migrate
from metering.upkeep import prune
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

    def test_prune_upgrades_it(self, tmp_path: Path) -> None:
        path = tmp_path / "usage.db"
        of_version_3(path)
        assert prune(path, BUCKET_US) == 1
        with closing(open_for_reading(path)) as db:
            assert db.execute("SELECT sum(calls) FROM rollup").fetchone()[0] == 1
        assert broken_invariants(path) == []


class TestStart:
    def test_several_start_at_once(self, tmp_path: Path) -> None:
        with processes("Ledger(sys.argv[1]).close()", tmp_path / "usage.db", 4) as program:
            assert program.stdout.read() == "ended 0 0 0 0\n"
        assert rows(tmp_path / "usage.db") == []

    def test_a_file_that_another_process_begins(self, tmp_path: Path) -> None:
        """SQLite itself does not wait for it."""
        path = tmp_path / "usage.db"
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        ends = threading.Timer(0.3, other.execute, ["ROLLBACK"])

        class Late(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                if "journal_mode" in sql and not ends.ident:
                    other.execute("BEGIN IMMEDIATE")
                    ends.start()
                return super().execute(sql, *args)

        with closing(other), closing(sqlite3.connect(path, isolation_level=None, factory=Late)) as db:
            migrate(db, path)
            assert not other.in_transaction
        assert rows(path) == []

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
