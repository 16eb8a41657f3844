import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from metering import ledger as ledgers
from metering import spill as spilling
from metering.call import uuid7
from metering.companions import lock_path
from metering.companions import spill_path
from metering.database import connect
from metering.ledger import Ledger
from metering.record import encode
from metering.record import record_of
from metering.spill import Spill
from metering.spill import fold_file
from tests.ledgers import Disk
from tests.ledgers import Limit
from tests.ledgers import broken_invariants
from tests.ledgers import call
from tests.ledgers import done
from tests.ledgers import new_ledger
from tests.ledgers import processes
from tests.ledgers import rejected
from tests.ledgers import rows
from tests.ledgers import spills
from tests.ledgers import write_lock
from tests.metering.test_record import BAD
from tests.process import ROOT
from tests.process import until

INSTANCE = uuid7()


def good(number: int, **fields: Any) -> bytes:
    return encode(number, record_of(done(call(id=f"good-{number}", instance=INSTANCE), **fields)))


def ids(path: Path) -> list[str]:
    return [id for (id,) in rows(path, "id")]


class TestLeftByADeadProcess:
    """Whatever is found in the file: good lines are folded, once; others are set aside, and stop nothing."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return new_ledger(tmp_path / "usage.db")

    def start(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        Ledger(path).close()
        # mitmproxy does not start when an error is logged.
        assert {record.levelno for record in caplog.records} <= {logging.WARNING}

    def test_a_bad_line(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """In the middle and at the end of a file; each in one of its own."""
        bad_lines = [bad for bad in BAD if bad]
        with closing(connect(path, 1)) as db:
            for number, bad in enumerate(bad_lines):
                instance = uuid7()
                lines = good(100 + number) + bad + good(200 + number) + b"\n" + bad
                spill_path(path, instance).write_bytes(lines)
                fold_file(db, path, instance)
        folded = [int(id.removeprefix("good-")) for id in ids(path)]
        assert folded == [first + number for first in (100, 200) for number in range(len(bad_lines))]
        reasons = [json.loads(line)["reason"] for line in rejected(path)]
        assert reasons == [BAD[bad] for bad in bad_lines for _ in range(2)]
        said = [record.message.partition("usage.db.rejected ")[2] for record in caplog.records]
        assert said == [f"(2): {BAD[bad]}" for bad in bad_lines]
        assert "secret" not in caplog.text
        assert {record.levelno for record in caplog.records} == {logging.WARNING}
        assert spills(path) == []
        assert broken_invariants(path) == []

    def test_bad_lines_at_a_start(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        lines = [bad.replace(b"\n", b"") for bad in BAD if bad]
        spill_path(path, INSTANCE).write_bytes(b"".join(good(n) + line for n, line in enumerate(lines, 1)))
        self.start(path, caplog)
        assert len(ids(path)) == len(lines)
        assert [json.loads(line)["reason"] for line in rejected(path)] == [BAD[line] for line in lines]
        assert "secret" not in caplog.text
        assert spills(path) == []
        assert broken_invariants(path) == []
        self.start(path, caplog)
        assert len(rejected(path)) == len(lines)

    @pytest.mark.parametrize("numbers", [(1, 1, 1), (3, 2, 1), (10**18, 1, 2), (5, 6, 5)])
    def test_numbers_out_of_order(self, path: Path, numbers: list[int], caplog: pytest.LogCaptureFixture) -> None:
        lines = [
            good(1).replace(b'"n": 1,', b'"n": %d,' % n).replace(b"good-1", b"row-%d" % i)
            for i, n in enumerate(numbers)
        ]
        spill_path(path, INSTANCE).write_bytes(b"".join(lines))
        self.start(path, caplog)
        assert ids(path) == ["row-0", "row-1", "row-2"]
        assert rejected(path) == []

    def test_a_row_that_comes_twice(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        spill_path(path, INSTANCE).write_bytes(good(1) * 3)
        self.start(path, caplog)
        assert ids(path) == ["good-1"]
        assert broken_invariants(path) == []

    def test_a_line_without_end(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with spill_path(path, INSTANCE).open("wb") as file:
            file.write(good(1) + b'{"n": 2, "row": {"path": "')
            for _ in range(30):
                file.write(b"x" * 1_000_000)
            file.write(b'"}}' + good(3))
        self.start(path, caplog)
        assert ids(path) == ["good-1", "good-3"]
        (line,) = rejected(path)
        assert json.loads(line)["reason"] == "it is longer than any row"
        assert len(line) < 10_000

    def test_only_an_end(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        spill_path(path, INSTANCE).write_bytes(good(1) + good(2)[:-9])
        self.start(path, caplog)
        assert (ids(path), len(rejected(path))) == (["good-1"], 1)

    def test_binary(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        spill_path(path, INSTANCE).write_bytes(os.urandom(100_000) + good(1))
        self.start(path, caplog)
        assert ids(path) == ["good-1"]
        assert rejected(path)

    def test_nothing(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        spill_path(path, INSTANCE).touch()
        self.start(path, caplog)
        assert [file.name for file in path.parent.iterdir()] == ["usage.db"]
        assert caplog.records == []

    def test_a_directory(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        spill_path(path, INSTANCE).mkdir()
        self.start(path, caplog)
        assert spill_path(path, INSTANCE).is_dir()
        assert INSTANCE in caplog.text

    def test_a_name_that_is_not_ours(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        for suffix in ("spill-backup", "spill-" + "x" * 36, "mine.lock", f"spill-{INSTANCE}.bak"):
            Path(f"{path}.{suffix}").write_bytes(good(1))
        before = sorted(path.parent.iterdir())
        self.start(path, caplog)
        assert sorted(path.parent.iterdir()) == before
        assert ids(path) == []

    def test_a_lock_that_is_a_directory(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        lock_path(path, INSTANCE).mkdir()
        spill_path(path, INSTANCE).write_bytes(good(1) + encode(2, record_of(call(id="open", instance=INSTANCE))))
        self.start(path, caplog)
        assert rows(path, "id, state") == [("good-1", "done"), ("open", "lost")]
        assert f"{INSTANCE}.lock" in caplog.text

    def test_rows_of_a_process_of_another_name(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        names = ("../../x", "i", uuid7())
        lines = [encode(n, record_of(call(id=f"{n}", instance=name))) for n, name in enumerate(names, 1)]
        spill_path(path, INSTANCE).write_bytes(b"".join(lines))
        self.start(path, caplog)
        assert {state for (state,) in rows(path, "state")} == {"lost"}
        assert broken_invariants(path) == []

    def test_a_row_that_the_ledger_refuses(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        large = [good(n, input_tokens=2**62).replace(b'5, "status', b'5, "status') for n in (1, 2, 3)]
        moment = record_of(done(call(started_at=1))).named["started_at"]
        lines = [json.loads(line) for line in large]
        for line in lines:
            line["row"]["started_at"] = moment
        spill_path(path, INSTANCE).write_bytes(b"".join(b"\n" + json.dumps(line).encode() for line in lines) + good(4))
        self.start(path, caplog)
        assert ids(path) == ["good-1", "good-4"]
        assert len(rejected(path)) == 2
        assert broken_invariants(path) == []

    def test_the_product_starts(self, path: Path) -> None:
        spill_path(path, INSTANCE).write_bytes(b"".join(bad.replace(b"\n", b"") + b"\n" for bad in BAD) + good(1))
        run = f"from metering.ledger import Ledger; import logging; Ledger({str(path)!r}).close()"
        ended = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, cwd=ROOT, check=False)
        assert ended.returncode == 0
        assert "Traceback" not in ended.stderr
        assert ids(path) == ["good-1"]
        assert len(rejected(path)) == len(BAD) - 1


class TestAtRunTime:
    def test_a_bad_line(self, ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
        with write_lock(ledger.path):
            ledger.commit(done(call(id="a")))
            (spill,) = spills(ledger.path)
            with spill.open("ab") as file:
                file.write(b"no JSON\n" + good(10**6) + b'{"n": 2\n')
            ledger.commit(done(call(id="b")))
        until(lambda: not spills(ledger.path))
        assert ids(ledger.path) == ["a", "b"]
        reasons = [json.loads(line)["reason"] for line in rejected(ledger.path)]
        assert reasons == ["it is not JSON", "its number was never given", "it is not JSON"]
        ledger.commit(done(call(id="c")))
        with write_lock(ledger.path):
            ledger.commit(done(call(id="d")))
        until(lambda: not spills(ledger.path))
        assert ids(ledger.path) == ["a", "b", "c", "d"]
        assert len(rejected(ledger.path)) == 3

    def test_a_spill_that_is_removed(self, ledger: Ledger) -> None:
        with write_lock(ledger.path):
            ledger.commit(done(call(id="a")))
            spills(ledger.path)[0].unlink()
            ledger.commit(done(call(id="b")))
            (spill,) = spills(ledger.path)
            assert len(spill.read_bytes().split(b"\n\n")) == 2
        until(lambda: not spills(ledger.path))
        assert ids(ledger.path) == ["a", "b"]


@pytest.fixture(params=[Disk, Limit])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk | Limit]:
    """A disk that becomes full. Where no file system can be mounted, a limit of the process does the same."""
    (tmp_path / "disk").mkdir()
    try:
        made = request.param(tmp_path / "disk")
    except PermissionError as e:
        pytest.skip(f"{e}; the limit is tested")
    yield made
    made.remove()


class TestFullDisk:
    @pytest.fixture
    def ledger(self, disk: Disk | Limit) -> Iterator[Ledger]:
        opened = Ledger(new_ledger(disk.folder / "usage.db"))
        yield opened
        opened.close()

    def fill_ledger(self, ledger: Ledger) -> None:
        """Until rows wait in memory: SQLite may have room in its files."""
        while not ledger.waiting:
            ledger.commit(done(call(path="x" * 9000)))

    def test_rows_wait_and_are_written(
        self, ledger: Ledger, disk: Disk | Limit, caplog: pytest.LogCaptureFixture
    ) -> None:
        before, wait, after = call(), [call() for _ in range(50)], call()
        ledger.commit(before)
        with disk.full():
            self.fill_ledger(ledger)
            for one in wait:
                ledger.commit(one)
            for one in wait[:40]:
                ledger.commit(done(one))
            ledger.commit(done(before, status=200))
            assert ledger.waiting > 50
            assert ledger.lost == 0
            until(lambda: not ledger.is_well)
            until(lambda: "rows wait in memory" in caplog.text)
        ledger.commit(done(after))
        assert ledger.waiting == 0
        until(lambda: not spills(ledger.path))
        until(lambda: ledger.is_well)
        found = dict(rows(ledger.path, "id, state"))
        assert {found[one.id] for one in wait[:40]} == {"done"}
        assert {found[one.id] for one in wait[40:]} == {"open"}
        assert (found[before.id], found[after.id]) == ("done", "done")
        assert broken_invariants(ledger.path) == []
        assert rejected(ledger.path) == []
        assert len([record for record in caplog.records if "rows wait" in record.message]) <= 2
        until(lambda: "can be written again" in caplog.text)

    def test_without_another_call(self, ledger: Ledger, disk: Disk | Limit) -> None:
        one = call()
        with disk.full():
            self.fill_ledger(ledger)
            ledger.commit(done(one))
        until(lambda: ledger.is_well and not spills(ledger.path))
        assert (one.id, "done", "final", 5) in rows(ledger.path)

    def test_more_than_can_wait_are_lost_and_counted(
        self, ledger: Ledger, disk: Disk | Limit, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(spilling, "MOST_WAITING", 100)
        calls = [call() for _ in range(130)]
        with disk.full():
            self.fill_ledger(ledger)
            room = 100 - ledger.waiting
            for one in calls:
                ledger.commit(one)
            for one in calls:
                ledger.commit(done(one))
            assert ledger.waiting == 100
            assert ledger.lost == 130 - room
            until(lambda: "rows are lost so far" in caplog.text)
        until(lambda: ledger.is_well and not spills(ledger.path))
        found = dict(rows(ledger.path, "id, state"))
        assert [found.get(one.id) for one in calls] == ["done"] * room + [None] * (130 - room)
        assert len([record for record in caplog.records if "are lost so far" in record.message]) == 1
        assert broken_invariants(ledger.path) == []

    def test_what_waits_at_the_end_is_told(
        self, ledger: Ledger, disk: Disk | Limit, caplog: pytest.LogCaptureFixture
    ) -> None:
        with disk.full():
            self.fill_ledger(ledger)
            waiting = ledger.waiting
            ledger.close()
        assert f"{waiting} rows are lost so far" in caplog.text
        Ledger(ledger.path).close()
        assert broken_invariants(ledger.path) == []

    def test_a_bad_row_has_room_later(self, ledger: Ledger, disk: Disk | Limit) -> None:
        with disk.full():
            self.fill_ledger(ledger)
            ledger.commit(call(started_at=None))
            ledger.commit(done(call(id="z")))
        until(lambda: ledger.is_well and not spills(ledger.path))
        assert len(rejected(ledger.path)) == 1
        assert ids(ledger.path)[-1] == "z"

    def test_a_line_that_the_disk_cuts_short(self, disk: Disk | Limit) -> None:
        """As many lines as there is room for are written, all of them whole."""
        spill = Spill(disk.folder / "usage.db", INSTANCE)
        records = [record_of(done(call(id=f"{n:03}", path="x" * 5000))) for n in range(300)]
        with disk.full():
            for record in records:
                spill.put(record)
            assert len(spill.waiting) == 300
            if isinstance(disk, Disk):
                with (disk.folder / "ballast").open("r+b") as ballast:
                    ballast.truncate((disk.folder / "ballast").stat().st_size - 200_000)
                spill.put(records[0])
                assert 200 < len(spill.waiting) < 300
                lines = spill.path.read_bytes().split(b"\n\n")
                assert {json.loads(line)["row"]["path"] for line in lines} == {"x" * 5000}
        spill.put(records[0])
        assert (len(spill.waiting), spill.trouble) == (0, None)
        numbers = [json.loads(line)["n"] for line in spill.path.read_bytes().splitlines() if line]
        assert numbers == sorted(numbers)


class TestOtherTroubles:
    def test_no_more_files_can_be_opened(self, ledger: Ledger) -> None:
        held: list[int] = []
        with write_lock(ledger.path):
            try:
                while True:
                    held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                ledger.commit(done(call(id="a")))
                assert ledger.waiting == 1
            finally:
                for descriptor in held:
                    os.close(descriptor)
        until(lambda: ids(ledger.path) == ["a"] and not ledger.waiting)
        assert ledger.lost == 0

    def test_a_spill_that_cannot_be_made(self, ledger: Ledger) -> None:
        """Rows wait in memory until the lock is free."""
        spill_path(ledger.path, ledger.instance).mkdir()
        with write_lock(ledger.path):
            ledger.commit(done(call(id="a")))
            assert ledger.waiting == 1
        until(lambda: ids(ledger.path) == ["a"])

    def test_a_file_that_can_be_opened_again_while_rows_are_folded(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What goes into it then is folded the next time."""
        path, db = ledger.path, ledger._db
        assert db
        spill = Spill(path, INSTANCE)
        for id in "ab":
            spill.put(record_of(done(call(id=id, instance=INSTANCE))))
        spill.fold(db)
        assert spill.is_empty
        spill.path.mkdir()
        spill.put(record_of(done(call(id="c", instance=INSTANCE))))
        assert spill.trouble
        write = spill._write

        def meanwhile(*args: Any) -> None:
            write(*args)
            spill.path.rmdir()
            spill.put(record_of(done(call(id="d", instance=INSTANCE))))

        monkeypatch.setattr(spill, "_write", meanwhile)
        spill.fold(db)
        monkeypatch.setattr(spill, "_write", write)
        spill.fold(db)
        assert spill.is_empty
        assert ids(path) == ["a", "b", "c", "d"]

    def test_a_ledger_that_becomes_read_only(self, ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
        ledger.commit(done(call(id="a")))
        assert ledger._db
        ledger._db.execute("PRAGMA query_only = ON")
        ledger.commit(done(call(id="b")))
        until(lambda: ids(ledger.path) == ["a", "b"])
        assert rejected(ledger.path) == []

    def test_a_table_that_is_gone(self, ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
        """No row is at fault: all wait until the table is there again."""
        with closing(sqlite3.connect(ledger.path)) as db:
            db.execute("ALTER TABLE calls RENAME TO calls_2")
        ledger.commit(done(call(id="a")))
        ledger.commit(done(call(id="b")))
        until(lambda: "no such table" in caplog.text)
        assert not ledger.is_well
        assert len(spills(ledger.path)) == 1
        with closing(sqlite3.connect(ledger.path)) as db:
            db.execute("ALTER TABLE calls_2 RENAME TO calls")
        until(lambda: not spills(ledger.path))
        assert ids(ledger.path) == ["a", "b"]
        assert rejected(ledger.path) == []

    def test_commits_do_not_try_again_what_waits(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        """With many rows in memory a commit costs one attempt to write a line, and never one at the ledger."""
        monkeypatch.setattr(ledgers, "LOOK_S", 60.0)
        spill_path(ledger.path, ledger.instance).mkdir()
        tried: list[str] = []
        with write_lock(ledger.path):
            ledger.commit(call())
            assert ledger._db
            ledger._db.set_trace_callback(tried.append)
            for _ in range(100):
                ledger.commit(call())
            assert tried == []
            assert ledger.waiting == 101


KILLED = """
ledger = Ledger(sys.argv[1])
# Each of the others may have the lock for seconds.
lock = sqlite3.connect(ledger.path, isolation_level=None, timeout=300)
number = 0
while True:
    number += 1
    if number % 40 == 1:
        lock.execute("BEGIN IMMEDIATE")
    if number % 40 == 21:
        lock.execute("ROLLBACK")
    one = Call(started_at=1, path=f"{ledger.instance}/{number}")
    ledger.commit(one)
    one.state, one.usage_state, one.ended_at, one.input_tokens = "done", "final", 2, number
    ledger.commit(one)
    say(f"{os.getpid()} {one.path}")
"""


def test_processes_that_are_killed_while_they_share_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    finished: set[str] = set()
    pids: list[str] = []
    with processes(KILLED, path, 4) as program:
        for line in program.stdout:
            if line.startswith("ended"):
                assert line == "ended -9 -9 -9 -9\n"
                break
            pid, name = line.split()
            finished.add(name)
            if pid not in pids:
                pids.append(pid)
            if int(name.split("/")[1]) == 50 + 10 * pids.index(pid):
                os.kill(int(pid), signal.SIGKILL)
    Ledger(path).close()
    found = rows(path, "path, state, input_tokens")
    assert len({name for name, _, _ in found}) == len(found)
    ended = {name for name, state, tokens in found if state == "done" and tokens == int(name.split("/")[1])}
    assert finished <= ended
    assert len(finished) > 20
    # One call of each may have ended without anybody having heard of it, and one is lost.
    assert len(found) - len(finished) <= 2 * 4
    assert broken_invariants(path) == []
    # A process may be killed while it writes a line of its spill file.
    torn = rejected(path)
    assert len(torn) <= 4
    assert all(json.loads(line)["reason"] == "it is not JSON" for line in torn)
    assert {file.name for file in tmp_path.iterdir()} - {"usage.db.rejected"} == {"usage.db"}
