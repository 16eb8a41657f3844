import os
import uuid
from pathlib import Path

import pytest

from metering.call import uuid7
from metering.companions import COMPANION
from metering.companions import copy_path
from metering.companions import instances
from metering.companions import is_alive
from metering.companions import is_instance
from metering.companions import lock
from metering.companions import lock_path
from metering.companions import rejected_path
from metering.companions import spill_path

LEDGER = Path("usage.db")
ONE = "0190aaaa-bbbb-7ccc-8ddd-eeeeffff0001"


def test_companions() -> None:
    names = [
        "usage.db-wal",
        "usage.db-shm",
        "usage.db-journal",
        *(path(LEDGER, ONE).name for path in (lock_path, spill_path, copy_path)),
        rejected_path(LEDGER).name,
    ]
    assert [name for name in names if not COMPANION.search(name)] == []


def test_ledgers() -> None:
    names = ["usage.db", "usage.db.spill-x", "usage-wal.db", "rejected.db", "a.lock", f"{ONE}.db"]
    assert [name for name in names if COMPANION.search(name)] == []


def test_no_instances() -> None:
    assert is_instance(ONE)
    assert is_instance(str(uuid.uuid4()))
    names = ["", "backup", "../../etc/x", "x" * 36, "-" * 36, ONE.upper(), ONE + "\n", f"{ONE}.x"]
    assert [name for name in names if is_instance(name)] == []
    assert [name for name in names if is_alive("usage.db", name)] == []


def test_only_names_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "led[1].db"
    for name in (f"{path.name}.spill-{ONE}", f"{path.name}.spill-backup", f"led1.db.spill-{uuid7()}"):
        (tmp_path / name).touch()
    for name in (f"{path.name}.{ONE}.lock", f"{path.name}.mine.lock", f"{path.name}.lock"):
        (tmp_path / name).touch()
    assert instances(path, "spill") == instances(path, "lock") == [ONE]


def test_a_lock_is_that_of_the_file_at_its_path(tmp_path: Path) -> None:
    path = lock_path(tmp_path / "usage.db", ONE)
    assert not is_alive(tmp_path / "usage.db", ONE)
    held = lock(path)
    assert is_alive(tmp_path / "usage.db", ONE)
    with pytest.raises(BlockingIOError):
        lock(path)
    path.unlink()
    again = lock(path)
    assert not os.path.samestat(os.fstat(held), os.fstat(again))
    os.close(held)
    os.close(again)
    assert not is_alive(tmp_path / "usage.db", ONE)


def test_a_directory_is_no_lock(tmp_path: Path) -> None:
    lock_path(tmp_path / "usage.db", ONE).mkdir()
    assert not is_alive(tmp_path / "usage.db", ONE)
