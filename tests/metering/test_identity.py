"""A ledger that is deleted, moved or replaced while it is in use."""

import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest

from metering import ledger as ledgers
from metering.companions import is_alive
from metering.database import connect
from metering.identity import Found
from metering.identity import Identity
from metering.ledger import Ledger
from tests.ledgers import broken_invariants
from tests.ledgers import call
from tests.ledgers import done
from tests.ledgers import new_ledger
from tests.ledgers import processes
from tests.ledgers import rejected
from tests.ledgers import rows
from tests.ledgers import spills
from tests.process import until

LOG = ("-wal", "-shm")


@cache
def _another() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "another.db")
        ledger.commit(done(call(id="another")))
        ledger.close()
        return ledger.path.read_bytes()


def another(path: Path) -> Path:
    """Another ledger, with a call of its own."""
    other = path.parent.parent / "another.db"
    other.write_bytes(_another())
    return other


def delete(path: Path) -> None:
    path.unlink()


def delete_all(path: Path) -> None:
    for file in path.parent.iterdir():
        file.unlink()


def delete_with_log(path: Path) -> None:
    for suffix in ("", *LOG):
        Path(f"{path}{suffix}").unlink()


def move(path: Path) -> None:
    path.rename(path.parent / "old.db")


def move_with_log(path: Path) -> None:
    for suffix in ("", *LOG):
        Path(f"{path}{suffix}").rename(path.parent / f"old.db{suffix}")


def replace(path: Path) -> None:
    os.replace(another(path), path)


def replace_by_nothing(path: Path) -> None:
    (path.parent / "empty").touch()
    os.replace(path.parent / "empty", path)


def copy_over(path: Path) -> None:
    shutil.copyfile(another(path), path)


def truncate(path: Path) -> None:
    path.write_bytes(b"")


def delete_log(path: Path) -> None:
    for suffix in LOG:
        Path(f"{path}{suffix}").unlink()


def delete_wal(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def delete_shm(path: Path) -> None:
    Path(f"{path}-shm").unlink()


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """It looks where it is after a call that finds it gone, and when `look` asks for it, but never in between."""
    monkeypatch.setattr(ledgers, "LOOK_S", 60.0)
    (tmp_path / "folder").mkdir()
    return Ledger(new_ledger(tmp_path / "folder" / "usage.db"))


GONE = [delete, delete_all, delete_with_log, move, move_with_log, replace, replace_by_nothing]
OVERWRITTEN = [copy_over, truncate]
KEPT = [delete_log, delete_wal, delete_shm]
SAID: dict[Callable[[Path], None], str] = {
    **dict.fromkeys(GONE, "was deleted, moved or replaced"),
    **dict.fromkeys(OVERWRITTEN, "was overwritten"),
    **dict.fromkeys(KEPT, "lost its write-ahead log"),
}
"""What happens -> what the log says."""


def look(ledger: Ledger) -> None:
    """Let the ledger see now whether it is still at its path, as it does every `LOOK_S` seconds, and wait for that."""
    tend, has_looked = ledger._tend, threading.Event()

    def tend_and_say() -> bool:
        try:
            return tend()
        finally:
            has_looked.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "_tend", tend_and_say)
        ledger._wake.set()
        assert has_looked.wait(10)


def has_log(ledger: Ledger) -> None:
    """All rows are in the write-ahead log."""


def has_both(ledger: Ledger) -> None:
    """Some rows are in the file, by a checkpoint that the ledger has not seen yet."""
    assert ledger._db
    ledger._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def has_looked(ledger: Ledger) -> None:
    """Some rows are in the file, others in the log. The ledger has seen them there, so it knows them no longer."""
    has_both(ledger)
    ledger.commit(done(call(id="before-log")))
    look(ledger)
    assert not ledger._recent


@pytest.mark.parametrize(
    ("happens", "before"),
    [
        # What is deleted is left like what is moved, where it can be read afterwards.
        *itertools.product([delete_all, replace, replace_by_nothing], [has_looked]),
        *itertools.product([move, move_with_log], [has_log, has_looked]),
        *itertools.product([*OVERWRITTEN, *KEPT], [has_log, has_both, has_looked]),
    ],
)
def test_recording_goes_on(
    ledger: Ledger,
    happens: Callable[[Path], None],
    before: Callable[[Ledger], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for number in range(10):
        ledger.commit(done(call(id=f"before-{number}")))
    before(ledger)
    earlier = len(rows(ledger.path))
    ends, stays = call(id="ends"), call(id="stays")
    ledger.commit(ends)
    ledger.commit(stays)
    happens(ledger.path)
    ledger.commit(done(call(id="first")))
    look(ledger)
    until(lambda: "while in use" in caplog.text)
    until(lambda: ledger._db is not None and not spills(ledger.path))
    # It may notice first that the log is gone, then that all is.
    until(lambda: is_alive(ledger.path, ledger.instance))
    states = dict(rows(ledger.path, "id, state"))
    assert (states["first"], states["ends"], states["stays"]) == ("done", "open", "open")
    ledger.commit(done(call(id="second")))
    ledger.commit(done(ends))
    assert ledger.is_well
    ledger.close()
    found = rows(ledger.path)
    assert len(found) == len({row[0] for row in found})
    expected = {"first": "done", "second": "done", "ends": "done", "stays": "lost"}
    assert {id: state for id, state, *_ in found if "-" not in id and id != "another"} == expected
    assert ("another" in {row[0] for row in found}) == (happens in (replace, copy_over))
    # Of all files that are deleted the log may be the first.
    assert f"{SAID[happens]} while in use" in caplog.text or happens is delete_all
    if happens in KEPT:
        assert len([row for row in found if "-" in row[0]]) == earlier
    if happens in GONE:
        assert not [row for row in found if "-" in row[0]]
    if (old := ledger.path.parent / "old.db").exists():
        # Nothing of what was in its log is gone, and no call is in both.
        assert len(rows(old)) == earlier
        assert broken_invariants(old) == []
    assert broken_invariants(ledger.path) == []
    assert rejected(ledger.path) == []
    # A look in the very moment may find a file without tables, and say so too.
    assert caplog.text.count("while in use") == 1
    assert {file.suffix for file in ledger.path.parent.iterdir()} <= {".db", ".db-wal", ".db-shm"}


def test_it_is_noticed_without_a_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ledger = Ledger(new_ledger(tmp_path / "usage.db"))
    ledger.path.unlink()
    until(ledger.path.exists)
    assert "was deleted, moved or replaced" in caplog.text
    ledger.close()


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def text(path: Path) -> None:
    path.write_bytes(b"no database " * 5000)


def other_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE calls (id)")


def no_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (directory, "is a directory"),
        (text, "is not a ledger"),
        (other_database, "is the database of another program"),
        (no_folder, "there is no directory"),
    ],
)
def test_what_is_there_now_cannot_be_used(
    ledger: Ledger,
    happens: Callable[[Path], None],
    said: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger.commit(call(id="open"))
    happens(ledger.path)
    ledger.commit(done(call(id="a")))
    look(ledger)
    until(lambda: said in caplog.text)
    ledger.commit(done(call(id="b")))
    assert not ledger.is_well
    assert ledger.waiting == (2 if happens is no_folder else 0)
    looks: list[bool] = []
    tend = ledger._tend

    def counted() -> bool:
        looks.append(tend())
        return looks[-1]

    monkeypatch.setattr(ledger, "_tend", counted)
    until(lambda: len(looks) > 2)
    assert looks[-1] is False
    assert len([record for record in caplog.records if said in record.message]) == 1
    if ledger.path.is_dir():
        ledger.path.rmdir()
    else:
        ledger.path.unlink(missing_ok=True)
    ledger.path.parent.mkdir(exist_ok=True)
    until(lambda: ledger.is_well)
    ledger.commit(done(call(id="c")))
    ledger.close()
    assert [id for (id,) in rows(ledger.path, "id")] == ["a", "b", "c", "open"]
    assert broken_invariants(ledger.path) == []


def test_it_is_gone_at_the_end(ledger: Ledger) -> None:
    ledger.commit(done(call(id="a")))
    ledger.path.unlink()
    ledger.commit(done(call(id="b")))
    ledger.close()
    assert [id for (id,) in rows(ledger.path, "id")] == ["b"]


def test_its_clients_have_other_names(ledger: Ledger) -> None:
    before = ledger.fingerprint("AIzaOne")
    ledger.path.unlink()
    look(ledger)
    until(lambda: ledger.fingerprint("AIzaOne") != before)
    ledger.close()


SHARED = """
import select
ledger = Ledger(sys.argv[1])
first, number = ledger._db, 0
while not select.select([0], [], [], 0.002)[0]:
    number += 1
    one = Call(started_at=1, path=f"{ledger.instance}/{number}")
    ledger.commit(one)
    one.state, one.usage_state, one.ended_at = "done", "absent", 2
    ledger.commit(one)
    say(f"{one.path} {'before' if ledger._db in (None, first) else 'after'}")
ledger.close()
"""
"""Each line of its output is the path of a call, and whether the ledger was opened anew before the call ended."""


@pytest.mark.parametrize("happens", [delete_all, move, delete_log])
def test_several_processes(tmp_path: Path, happens: Callable[[Path], None]) -> None:
    """All of them end up with the same new file."""
    (tmp_path / "folder").mkdir()
    path = new_ledger(tmp_path / "folder" / "usage.db")
    finished: dict[str, list[str]] = defaultdict(list)
    said: Counter[tuple[str, str]] = Counter()

    def hear(line: str) -> None:
        name, when = line.split()
        instance, _ = name.split("/")
        finished[instance].append(name)
        said[instance, when] += 1

    def have_said(when: str) -> bool:
        return len(finished) == 2 and all(said[instance, when] >= 20 for instance in finished)

    with processes(SHARED, path, 2) as program:
        while not have_said("before"):
            hear(program.stdout.readline())
        happens(path)
        while not have_said("after"):
            hear(program.stdout.readline())
        program.stdin.close()
        *lines, ended = program.stdout.read().splitlines()
    assert ended == "ended 0 0"
    for line in lines:
        hear(line)
    everything = sorted(itertools.chain(*finished.values()))
    found = [name for (name,) in rows(path, "path")]
    assert len(found) == len(set(found))
    for names in finished.values():
        # From the first that came after it was noticed, nothing is missing.
        noticed = min(names.index(name) for name in found if name in names)
        assert set(names[noticed:]) <= set(found)
        assert len(names) - noticed >= 20
    if happens is move:
        old = [name for (name,) in rows(path.parent / "old.db", "path")]
        assert sorted(old + found) == everything
    if happens is delete_log:
        assert sorted(found) == everything
    assert broken_invariants(path) == []
    assert rejected(path) == []


class TestFind:
    @pytest.mark.parametrize(
        ("happens", "found"),
        [
            *((one, Found.ELSEWHERE) for one in (*GONE, directory)),
            *((one, Found.OVERWRITTEN) for one in (*OVERWRITTEN, text)),
            *((one, Found.WITHOUT_LOG) for one in KEPT),
            (os.utime, Found.SAME),
        ],
    )
    def test_what_has_happened(self, ledger: Ledger, happens: Callable[[Path], None], found: Found) -> None:
        ledger.close()
        with closing(connect(ledger.path, 1)) as db:
            identity = Identity(ledger.path, db)
            assert identity.find() is Found.SAME
            happens(ledger.path)
            assert identity.find() is found
            assert identity.is_there() == (happens in (os.utime, copy_over, text))

    def test_checkpoints_of_others(self, ledger: Ledger) -> None:
        with closing(connect(ledger.path, 1)) as db:
            for _ in range(30):
                for _ in range(20):
                    ledger.commit(done(call(path="x" * 3000)))
                db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                assert ledger._identity.find() is Found.SAME
        ledger.close()
        assert len(rows(ledger.path)) == 600


WRITE_AND_WAIT = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("INSERT INTO meta (key, value) VALUES ('theirs', '1')")
print(flush=True)
input()
"""


class TestLeave:
    def test_a_log_that_others_have_now_is_kept(self, ledger: Ledger) -> None:
        """Our log, which belongs to a file without what they have written, is not moved into it."""
        ledger.close()
        path = ledger.path
        with closing(connect(path, 1)) as db:
            db.execute("INSERT INTO meta (key, value) VALUES ('before', '1')")
            identity = Identity(path, db)
            db.execute("INSERT INTO meta (key, value) VALUES ('ours', '1')")
            delete_log(path)
            command = [sys.executable, "-c", WRITE_AND_WAIT, str(path)]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
                assert other.stdin
                assert other.stdout
                assert other.stdout.readline()
                # Reading the file in this process would end SQLite's locks of it.
                before = subprocess.check_output(["cat", path])
                identity.leave(db, Found.WITHOUT_LOG, "instance")
                assert subprocess.check_output(["cat", path]) == before
                other.stdin.write(b"\n")
        with closing(connect(path, 1)) as db:
            keys = {key for (key,) in db.execute("SELECT key FROM meta WHERE key IN ('before', 'ours', 'theirs')")}
        assert keys == {"before", "theirs"}
        assert broken_invariants(path) == []
