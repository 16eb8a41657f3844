"""The files that stand beside a ledger: their names, and the lock that tells whether a process lives.

For the ledger `usage.db`: `usage.db-wal` and `usage.db-shm` are SQLite's own, `usage.db.<instance>.lock` is held by
the process that writes rows under this name, `usage.db.spill-<instance>` has its rows that wait for the ledger, and
`usage.db.rejected` those that cannot be stored.
"""

import fcntl
import glob
import os
import re
from pathlib import Path

_INSTANCE = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
COMPANION = re.compile(rf"-(?:wal|shm|journal)$|\.{_INSTANCE}\.lock$|\.(?:spill|copy)-{_INSTANCE}$|\.rejected$")
"""Found in the name of each of these files, and in no ledger's."""


def is_instance(name: str) -> bool:
    """Whether `name` can be the name of a process: a UUID. It becomes part of file names."""
    return bool(re.fullmatch(_INSTANCE, name))


def lock_path(ledger: Path, instance: str) -> Path:
    return Path(f"{ledger}.{instance}.lock")


def spill_path(ledger: Path, instance: str) -> Path:
    return Path(f"{ledger}.spill-{instance}")


def rejected_path(ledger: Path) -> Path:
    return Path(f"{ledger}.rejected")


def copy_path(ledger: Path, instance: str) -> Path:
    """Where a ledger is copied to while it is put in the place of itself."""
    return Path(f"{ledger}.copy-{instance}")


def instances(ledger: Path, name_of: str) -> list[str]:
    """Of the files that are there: the processes that left a `spill` or a `lock`. Other names are not ours."""
    before, after = {"spill": (f"{ledger.name}.spill-", ""), "lock": (f"{ledger.name}.", ".lock")}[name_of]
    names = (file.name for file in ledger.parent.glob(f"{glob.escape(before)}*{after}"))
    found = (name.removeprefix(before).removesuffix(after) for name in names)
    return sorted(filter(is_instance, found))


def lock(path: Path, wait: bool = False) -> int:
    """The open and locked file. Raises BlockingIOError if another process (or object) has it, OSError."""
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            os.close(descriptor)
            raise
        # Before it was locked a sweep may have taken it for a dead one's, and removed it.
        if is_at(path, descriptor):
            return descriptor
        os.close(descriptor)


def is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one that is found at `path` now."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def is_alive(ledger: str | os.PathLike[str], instance: str) -> bool:
    """Whether the process that wrote under this name still runs."""
    if not is_instance(instance):
        return False
    try:
        with lock_path(Path(ledger), instance).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:
        return False
    return False
