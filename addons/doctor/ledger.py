"""The ledger: whether a proxy that starts here could write it. It is read only."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from addons.doctor.finding import Finding
from addons.doctor.finding import of_problem
from addons.doctor.setup import Setup
from metering import companions
from metering import database
from metering.older import VERSION

LEDGER = "ledger"
PATIENCE_S = 2.0
"""How long to wait for another program that writes. Proxies hold the ledger for milliseconds."""
LEAST_BYTES = 64 * 1024 * 1024
"""Free bytes below which a disk counts as full. A call takes about one kilobyte."""


def ledger(setup: Setup) -> Iterator[Finding]:
    """Whether the ledger can be written."""
    try:
        path = path_of(setup)
    except RuntimeError:
        told = f"usage_db: {setup.given['usage_db']} names a home directory that does not exist"
        yield Finding(LEDGER, False, told, "write another path")
        return
    try:
        if is_held(path):
            told = f"{path} is locked by another program, which has not finished writing for {PATIENCE_S:.0f} seconds"
            yield Finding(LEDGER, False, told, "end that program (fuser names it), or name another file in usage_db")
            return
        database.check(path)
    except database.LedgerError as e:
        yield of_problem(LEDGER, f"usage_db: {e}")
        return
    except OSError as e:
        yield Finding(LEDGER, False, f"usage_db: {path} cannot be a file ({e.strerror})", "write another path")
        return
    total, _, free = shutil.disk_usage(path.absolute().parent)
    if not total:
        told = f"usage_db: {path.absolute().parent} is no place for files"
        yield Finding(LEDGER, False, told, "name a file on a disk")
        return
    if free < LEAST_BYTES:
        told = f"the disk of {path.absolute().parent} is full: {free // 1_000_000} MB are free"
        yield Finding(LEDGER, False, told, "free some space, or name a file on another disk in usage_db")
        return
    yield Finding(LEDGER, True, f"{path.absolute()} {_state_of(path)}")


def path_of(setup: Setup) -> Path:
    """The ledger's file. Raises RuntimeError if it names the home directory of nobody."""
    return Path(setup.given["usage_db"]).expanduser()


def is_held(path: Path) -> bool:
    """Whether another program keeps the file locked. Nothing is written."""
    if not path.is_file() or not path.stat().st_size:
        return False
    try:
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE_S, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
    except sqlite3.Error as e:
        return getattr(e, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return False


def is_in_use(path: Path) -> bool:
    """Whether a proxy that runs uses this ledger."""
    return any(companions.is_alive(path, instance) for instance in companions.instances(path, "lock"))


def _state_of(path: Path) -> str:
    if not path.is_file() or not path.stat().st_size:
        return "can be made"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=PATIENCE_S)) as db:
        version = database.version_of(db, path)
    return "can be written" if version == VERSION else f"can be written (the proxy upgrades it from version {version})"
