import fcntl
import json
import logging
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from metering import ledger as ledgers
from metering import record as records
from metering.call import Call
from metering.companions import is_alive
from metering.database import LedgerError
from metering.database import check
from metering.database import open_for_reading
from metering.database import prune
from metering.ledger import Ledger
from metering.migrations import VERSION
from metering.migrations import migrations
from metering.reports import verify
from metering.rollup import BUCKET_US
from metering.usage.videos import Settlement
from tests.process import until


def rows(path: Path, columns: str = "id, state, usage_state, input_tokens") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"SELECT {columns} FROM calls ORDER BY id").fetchall()


def spills(path: Path) -> list[Path]:
    return list(path.parent.glob(f"{path.name}.spill-*"))


def call(**fields: Any) -> Call:
    defaults: dict[str, Any] = {"started_at": time.time_ns() // 1000, "model": "g"}
    return Call(**defaults | fields)


def done(call: Call, **fields: Any) -> Call:
    for name, value in ({"state": "done", "usage_state": "final", "input_tokens": 5, "ended_at": 1} | fields).items():
        setattr(call, name, value)
    return call


def broken_invariants(path: Path) -> list[str]:
    with closing(open_for_reading(path)) as db:
        return [name for name, times in verify(db, lambda instance: is_alive(path, instance)).items() if times]


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Another connection that is writing."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


def test_a_row_and_its_end(ledger: Ledger) -> None:
    one = call(tags={"x-team": "a"}, input_by_modality={"text": 5})
    ledger.commit(one)
    assert rows(ledger.path) == [(one.id, "open", None, None)]
    ledger.commit(done(one))
    assert rows(ledger.path) == [(one.id, "done", "final", 5)]
    assert rows(ledger.path, "instance, tags, input_by_modality") == [(ledger.instance, '{"x-team":"a"}', '{"text":5}')]


def test_files_are_private(ledger: Ledger) -> None:
    with write_lock(ledger.path):
        ledger.commit(call())
        files = list(ledger.path.parent.glob("usage.db*"))
        assert {file.name.removeprefix("usage.db").split("-")[0].split(".")[0] for file in files} == {""}
        assert len(files) == 5
        for file in files:
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_clean_end_leaves_one_file(ledger: Ledger) -> None:
    ledger.commit(done(call()))
    ledger.close()
    assert [file.name for file in ledger.path.parent.iterdir()] == ["usage.db"]
    assert broken_invariants(ledger.path) == []
    Ledger(ledger.path).close()


def test_what_is_known_stays_known(ledger: Ledger) -> None:
    one = done(call())
    ledger.commit(one)
    ledger.commit(done(one, usage_state="absent", input_tokens=None))
    ledger.commit(done(one, state="open", usage_state=None))
    assert rows(ledger.path) == [(one.id, "done", "final", 5)]


class TestBusy:
    def test_a_commit_does_not_wait_long(self, ledger: Ledger) -> None:
        one, two = call(), call()
        with write_lock(ledger.path):
            ledger.commit(one)
            ledger.commit(two)
            ledger.commit(done(one))
            assert rows(ledger.path) == []
            (spill,) = spills(ledger.path)
            assert len(spill.read_bytes().split()) > 3
        until(lambda: not spills(ledger.path))
        assert rows(ledger.path) == [(one.id, "done", "final", 5), (two.id, "open", None, None)]
        ledger.commit(done(two))
        assert rows(ledger.path)[1] == (two.id, "done", "final", 5)

    def test_only_the_first_commit_waits(self, ledger: Ledger) -> None:
        tried: list[str] = []
        ledger._db.set_trace_callback(tried.append)
        with write_lock(ledger.path):
            for _ in range(20):
                ledger.commit(call())
            assert tried == ["BEGIN IMMEDIATE"]
        until(lambda: not spills(ledger.path))
        ledger.commit(call())
        assert len(rows(ledger.path)) == 21

    def test_order_is_kept_under_load(self, ledger: Ledger) -> None:
        """Records go to the spill and to the ledger in turns; the last of each call wins."""
        stop = threading.Event()

        def lock_now_and_then() -> None:
            while not stop.is_set():
                with write_lock(ledger.path):
                    time.sleep(0.06)
                time.sleep(0.02)

        locker = threading.Thread(target=lock_now_and_then)
        locker.start()
        calls = [call() for _ in range(300)]
        for step in range(3):
            for one in calls:
                ledger.commit(done(one, input_tokens=step) if step else one)
        stop.set()
        locker.join()
        until(lambda: not spills(ledger.path))
        assert rows(ledger.path) == sorted((one.id, "done", "final", 2) for one in calls)
        assert broken_invariants(ledger.path) == []

    def test_close_folds(self, ledger: Ledger) -> None:
        with write_lock(ledger.path):
            ledger.commit(done(call()))
        ledger.close()
        assert len(rows(ledger.path)) == 1
        assert spills(ledger.path) == []

    def test_close_leaves_what_it_cannot_fold(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ledgers, "FOLD_PATIENCE_S", 0.05)
        ledger = Ledger(tmp_path / "usage.db")
        one = done(call())
        with write_lock(ledger.path):
            ledger.commit(one)
            ledger.close()
            assert len(spills(ledger.path)) == 1
        Ledger(ledger.path).close()
        assert rows(ledger.path) == [(one.id, "done", "final", 5)]
        assert spills(ledger.path) == []

    def test_a_record_is_folded_once(self, tmp_path: Path) -> None:
        """A crash after the fold and before the spill file is gone."""
        ledger = Ledger(tmp_path / "usage.db")
        one = call(operation="predictLongRunning", response_id="op", usage_raw={"durationSeconds": 8})
        with write_lock(ledger.path):
            ledger.commit(done(one, usage_state="absent", input_tokens=None))
            (spill,) = spills(ledger.path)
            left = spill.read_bytes()
        until(lambda: not spills(ledger.path))
        ledger.commit(done(call()), Settlement("op", videos=1))
        instance = ledger.instance
        ledger.close()
        spill.write_bytes(left)
        Ledger(ledger.path).close()
        assert (one.id, "done", "final", None) in rows(ledger.path)
        with closing(sqlite3.connect(ledger.path)) as db:
            assert db.execute("SELECT value FROM meta WHERE key = ?", (f"spilled:{instance}",)).fetchone() == ("1",)

    def test_a_line_that_was_cut_short(self, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path / "usage.db")
        with write_lock(ledger.path):
            ledger.commit(done(call()))
            (spill,) = spills(ledger.path)
            left = spill.read_bytes()
        until(lambda: not spills(ledger.path))
        ledger.close()
        other = json.loads(left) | {"n": 2}
        other["row"]["id"] = "zzz"
        spill.write_bytes(left + left[:50] + b"\n" + json.dumps(other).encode() + b'\n{"n": 3, "row"')
        Ledger(ledger.path).close()
        assert len(rows(ledger.path)) == 2

    def test_a_full_disk(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def full(*args: object) -> int:
            raise OSError(28, "No space left on device")

        with write_lock(ledger.path):
            monkeypatch.setattr(os, "write", full)
            with caplog.at_level(logging.ERROR):
                ledger.commit(call())
            monkeypatch.undo()
            assert "No space left" in caplog.text
        one = done(call())
        ledger.commit(one)
        until(lambda: rows(ledger.path))
        assert rows(ledger.path) == [(one.id, "done", "final", 5)]


class TestCrash:
    """Other processes, killed."""

    def killed(self, path: Path, code: str) -> None:
        script = f"""
import os, sqlite3, sys, time
from metering.call import Call
from metering.ledger import Ledger
ledger = Ledger({str(path)!r})
one = Call(started_at=1, model="g")
{code}
os.kill(os.getpid(), 9)
"""
        process = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
        assert process.returncode == -9, process.stderr

    def test_open_rows_are_lost(self, tmp_path: Path) -> None:
        path = tmp_path / "usage.db"
        self.killed(path, "ledger.commit(one)\nledger.commit(Call(started_at=1, input_tokens=3))")
        assert [row[1] for row in rows(path)] == ["open", "open"]
        assert "open calls are of running proxies" in broken_invariants(path)
        Ledger(path).close()
        assert sorted(row[1:] for row in rows(path)) == [("lost", "absent", None), ("lost", "partial", 3)]
        assert [file.name for file in tmp_path.iterdir()] == ["usage.db"]
        assert broken_invariants(path) == []

    def test_the_rows_of_others_that_live_stay(self, ledger: Ledger) -> None:
        one = call()
        ledger.commit(one)
        other = Ledger(ledger.path)
        assert is_alive(ledger.path, ledger.instance)
        assert rows(ledger.path) == [(one.id, "open", None, None)]
        other.close()
        ledger.commit(done(one))
        assert rows(ledger.path) == [(one.id, "done", "final", 5)]

    def test_a_spill_is_folded_before_rows_are_lost(self, tmp_path: Path) -> None:
        path = tmp_path / "usage.db"
        self.killed(
            path,
            """
lock = sqlite3.connect(ledger.path, isolation_level=None)
ledger.commit(one)
lock.execute("BEGIN IMMEDIATE")
one.state, one.usage_state, one.input_tokens, one.ended_at = "done", "final", 7, 2
ledger.commit(one)
ledger.commit(Call(started_at=1))
""",
        )
        assert len(spills(path)) == 1
        Ledger(path).close()
        assert sorted(row[1:] for row in rows(path)) == [("done", "final", 7), ("lost", "absent", None)]
        assert spills(path) == []

    def test_a_spill_beside_a_name_with_brackets(self, tmp_path: Path) -> None:
        path = tmp_path / "led[1].db"
        self.killed(
            path,
            """
lock = sqlite3.connect(ledger.path, isolation_level=None)
lock.execute("BEGIN IMMEDIATE")
one.state, one.usage_state, one.ended_at = "done", "absent", 2
ledger.commit(one)
""",
        )
        Ledger(path).close()
        assert [row[1] for row in rows(path)] == ["done"]
        assert [file.name for file in tmp_path.iterdir()] == ["led[1].db"]

    def test_a_sweep_in_the_middle_of_a_start(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The lock file is there, not yet locked: a sweep takes it for a dead one's and removes it."""
        path = tmp_path / "usage.db"
        Ledger(path).close()
        flock = fcntl.flock
        swept: list[bool] = []

        def sweep_first(descriptor: int, how: int) -> None:
            if not swept:
                swept.append(True)
                Ledger(path).close()
            flock(descriptor, how)

        monkeypatch.setattr("metering.companions.fcntl.flock", sweep_first)
        started = Ledger(path)
        started.commit(call())
        Ledger(path).close()
        assert [row[1] for row in rows(path)] == ["open"]
        started.close()


class TestSettlement:
    def submission(self, **fields: Any) -> Call:
        ordered = {"durationSeconds": 8, "sampleCount": 2}
        one = call(operation="predictLongRunning", response_id="op", usage_raw=ordered)
        return done(one, usage_state="absent", input_tokens=None, **fields)

    @pytest.mark.parametrize("operation", ["predictLongRunning", "videos"])
    @pytest.mark.parametrize(
        ("ordered", "settlement", "expected"),
        [
            ({"durationSeconds": 8}, Settlement("op", videos=2), ("final", 16, None)),
            ({"durationSeconds": 8}, Settlement("op", videos=0), ("final", 0, None)),
            ({}, Settlement("op", videos=2), ("absent", None, None)),
            (None, Settlement("op", videos=0), ("final", 0, None)),
            (
                {"durationSeconds": 8},
                Settlement("op", error_type="INTERNAL"),
                ("not_applicable", None, "INTERNAL"),
            ),
            ({"durationSeconds": 8}, Settlement("other", videos=2), ("absent", None, None)),
        ],
    )
    def test_settled_once(
        self,
        ledger: Ledger,
        operation: str,
        ordered: dict[str, object] | None,
        settlement: Settlement,
        expected: tuple[object, ...],
    ) -> None:
        submission = self.submission(usage_raw=ordered, operation=operation)
        ledger.commit(submission)
        # Polls of Vertex AI's are another operation, those of OpenAI's are not.
        polled = {"predictLongRunning": "fetchPredictOperation"}.get(operation, operation)
        for _ in range(5):
            poll = call(operation=polled, response_id="op")
            ledger.commit(done(poll, usage_state="not_applicable", input_tokens=None), settlement)
        settled = rows(ledger.path, "id, usage_state, video_seconds, error_type")
        assert [row[1:] for row in settled if row[0] == submission.id] == [expected]
        assert {row[1:] for row in settled if row[0] != submission.id} == {("not_applicable", None, None)}
        assert broken_invariants(ledger.path) == []

    def test_its_row_is_found_by_an_index(self, ledger: Ledger) -> None:
        nothing = {"videos": None, "error_type": None, "operation": "op"}
        (plan,) = ledger._db.execute(f"EXPLAIN QUERY PLAN {records._SETTLE}", nothing).fetchall()
        assert "calls_unsettled" in plan[3]

    def test_while_the_ledger_is_busy(self, ledger: Ledger) -> None:
        ledger.commit(self.submission())
        with write_lock(ledger.path):
            ledger.commit(done(call()), Settlement("op", videos=1))
        until(lambda: not spills(ledger.path))
        assert ("final", 8) in rows(ledger.path, "usage_state, video_seconds")


def of_version_3(path: Path) -> str:
    """A ledger as the release before last has left it: with a submission that is not settled. Returns its secret."""
    db = Database(path)
    migrations.apply(db, stop_before="m004_videos")
    one = {"id": "0", "instance": "i", "state": "done", "started_at": 1, "ended_at": 2, "rewritten": 0, "attempts": 1}
    ordered = {"operation": "predictLongRunning", "response_id": "op", "usage_raw": '{"durationSeconds":8}'}
    db.table("calls").insert(one | ordered | {"usage_state": "absent"})
    db.execute("PRAGMA user_version = 3")
    secret: str = db.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()[0]
    db.close()
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
            assert "'videos'" in index
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

    def test_a_report_waits_for_a_proxy(self, tmp_path: Path) -> None:
        """Nothing that only reads changes a file."""
        path = tmp_path / "usage.db"
        of_version_3(path)
        with pytest.raises(LedgerError, match="was written by an older vertex-tap"):
            open_for_reading(path)
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (3,)


class TestOpening:
    def test_a_directory(self, tmp_path: Path) -> None:
        with pytest.raises(LedgerError, match=r"is a directory; name a file in it"):
            Ledger(tmp_path)

    def test_no_directory(self, tmp_path: Path) -> None:
        with pytest.raises(LedgerError, match=r"there is no directory .*nowhere; make it"):
            Ledger(tmp_path / "nowhere" / "usage.db")

    def test_not_a_database(self, tmp_path: Path) -> None:
        (tmp_path / "usage.db").write_text("This is a text of some length, and no database at all. " * 20)
        with pytest.raises(LedgerError, match=r"is not a ledger \(file is not a database\)"):
            Ledger(tmp_path / "usage.db")

    def test_another_database(self, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / "usage.db")) as db:
            db.execute("CREATE TABLE calls (id)")
        with pytest.raises(LedgerError, match="is a database of something else"):
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
        script = f"from metering.ledger import Ledger; Ledger({str(tmp_path / 'usage.db')!r}).close()"
        started = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(4)]
        assert [process.wait() for process in started] == [0] * 4
        assert rows(tmp_path / "usage.db") == []

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


class TestFingerprint:
    def test_it_tells_clients_apart(self, ledger: Ledger) -> None:
        one, two = ledger.fingerprint("AIzaOne"), ledger.fingerprint("AIzaTwo")
        assert one != two
        assert one == ledger.fingerprint("AIzaOne")
        assert "AIza" not in one

    def test_it_stays_and_is_of_this_ledger(self, tmp_path: Path) -> None:
        made = []
        for name in ("a.db", "a.db", "b.db"):
            ledger = Ledger(tmp_path / name)
            made.append(ledger.fingerprint("AIzaOne"))
            ledger.close()
        assert made[0] == made[1] != made[2]


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
        for number in range(2000):
            ledger.commit(done(call(started_at=number, path="x" * 500)))
        ledger.close()
        before = ledger.path.stat().st_size
        assert prune(ledger.path, BUCKET_US) == 2000
        assert ledger.path.stat().st_size < before / 2
