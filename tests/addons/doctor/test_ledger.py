import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from addons.doctor import ledger as subject
from addons.doctor.finding import Finding
from addons.doctor.ledger import ledger
from metering.ledger import Ledger
from metering.older import VERSION
from tests.addons.doctor.conftest import SetupOf
from tests.addons.doctor.conftest import fault
from tests.addons.doctor.conftest import files_in
from tests.ledgers import Disk
from tests.ledgers import new_ledger
from tests.ledgers import of_version


def wrong(setup_of: SetupOf, path: Path | str) -> Finding:
    found = fault(ledger(setup_of(usage_db=path)))
    assert found.check == "ledger"
    return found


def test_a_new_one(setup_of: SetupOf, home: Path) -> None:
    (found,) = ledger(setup_of())
    assert (found.ok, found.message, found.remedy) == (True, f"{home / 'usage.db'} can be made", "")
    assert files_in(home) == {}


def test_one_that_is_there(setup_of: SetupOf, home: Path) -> None:
    """Nothing of it is changed, and no file is left."""
    new_ledger(home / "usage.db")
    before = files_in(home), (home / "usage.db").read_bytes()
    (found,) = ledger(setup_of())
    assert (found.ok, found.message) == (True, f"{home / 'usage.db'} can be written")
    assert (files_in(home), (home / "usage.db").read_bytes()) == before


def test_one_that_a_proxy_uses(setup_of: SetupOf, home: Path) -> None:
    running = Ledger(home / "usage.db")
    try:
        (found,) = ledger(setup_of())
        assert subject.is_in_use(home / "usage.db")
    finally:
        running.close()
    assert found.ok
    assert not subject.is_in_use(home / "usage.db")


def test_an_older_one(setup_of: SetupOf, home: Path) -> None:
    of_version(home / "usage.db", VERSION - 1)
    (found,) = ledger(setup_of())
    assert found.message.endswith(f"can be written (the proxy upgrades it from version {VERSION - 1})")


def test_a_newer_one(setup_of: SetupOf, home: Path) -> None:
    new_ledger(home / "usage.db")
    with closing(sqlite3.connect(home / "usage.db")) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    found = wrong(setup_of, "usage.db")
    assert "was written by a newer vertex-tap" in found.message
    assert found.remedy == "upgrade vertex-tap or name another file"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "PATIENCE_S", 0.1)


@pytest.mark.parametrize("begin", ["BEGIN IMMEDIATE", "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE"])
@pytest.mark.usefixtures("impatient")
def test_one_that_is_locked(setup_of: SetupOf, home: Path, begin: str) -> None:
    new_ledger(home / "usage.db")
    with closing(sqlite3.connect(home / "usage.db", isolation_level=None)) as other:
        other.executescript(begin)
        found = wrong(setup_of, "usage.db")
    assert "is locked by another program" in found.message
    assert found.remedy == "end that program (fuser names it), or name another file in usage_db"


def test_what_can_be_no_ledger(setup_of: SetupOf, home: Path) -> None:
    (home / "text.txt").write_text("No database at all. " * 50)
    with closing(sqlite3.connect(home / "other.db")) as db:
        db.execute("CREATE TABLE other (x)")
    os.mkfifo(home / "fifo")
    (home / "away").symlink_to("none/usage.db")
    (home / "loop").symlink_to("loop")
    cases = {
        "away": (f"there is no directory {home / 'none'}", "create it or name another file"),
        "loop": ("loop is a link that leads to itself", "name another file"),
        "/proc/usage.db": ("/proc is no place for files", "name a file on a disk"),
        "none/usage.db": ("there is no directory none", "create it or name another file"),
        ".": (". is a directory", "name a file in it, such as usage.db"),
        "text.txt": ("text.txt is not a ledger (file is not a database)", "name another file"),
        "other.db": ("other.db is the database of another program", "name another file"),
        "fifo": ("fifo is not a regular file", "name another one"),
        "~nobody-here/usage.db": (
            "~nobody-here/usage.db names a home directory that does not exist",
            "write another path",
        ),
        "x" * 300: ("x" * 300 + " cannot be a file (File name too long)", "write another path"),
    }
    found = {path: wrong(setup_of, path) for path in cases}
    told = {path: (one.message.removeprefix("usage_db: "), one.remedy) for path, one in found.items()}
    assert told == cases


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write anything, so it becomes another user for a while."""
    if os.getuid():
        yield
        return
    os.setresgid(65534, 65534, 0)
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)


def test_one_that_this_user_cannot_write(setup_of: SetupOf) -> None:
    # Pytest's own folders are closed to others.
    with TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        folder, own = Path(above) / "closed", Path(above) / "own" / "usage.db"
        own.parent.mkdir()
        new_ledger(own)
        own.chmod(0o400)
        own.parent.chmod(0o777)
        folder.mkdir(mode=0o555)
        of_folder, of_file = setup_of(usage_db=folder / "usage.db"), setup_of(usage_db=own)
        with as_nobody():
            found = [fault(ledger(of_folder)), fault(ledger(of_file))]
    assert [(one.message, one.remedy) for one in found] == [
        (f"usage_db: no files can be created in {folder}", "change its permissions or name another file"),
        (f"usage_db: {own} cannot be read and written", "change its permissions or name another file"),
    ]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    (tmp_path / "disk").mkdir()
    try:
        made = Disk(tmp_path / "disk")
    except PermissionError as e:
        pytest.skip(str(e))
    yield made
    made.remove()


def test_a_full_disk(setup_of: SetupOf, disk: Disk) -> None:
    found = wrong(setup_of, disk.folder / "usage.db")
    assert f"the disk of {disk.folder} is full: 2 MB are free" in found.message
    assert found.remedy == "free some space, or name a file on another disk in usage_db"
    with disk.full():
        assert "0 MB are free" in wrong(setup_of, disk.folder / "usage.db").message
