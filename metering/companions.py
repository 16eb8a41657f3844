"""The files beside a ledger: their names, and the lock that shows whether a process is alive.

For the ledger `usage.db`: `usage.db-wal` and `usage.db-shm` belong to SQLite. The process with the id `<instance>`
holds a lock on `usage.db.<instance>.lock`, and keeps rows that wait for the ledger in `usage.db.spill-<instance>`. Rows
that cannot be stored are in `usage.db.rejected`.
"""

import fcntl
import glob
import os
import re
from pathlib import Path

_INSTANCE = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
COMPANION = re.compile(rf"-(?:wal|shm|journal)$|\.{_INSTANCE}\.lock$|\.(?:spill|copy)-{_INSTANCE}$|\.rejected$")
"""Matches the end of each such file's name, and of no ledger's."""


def is_instance(name: str) -> bool:
    """Whether `name` can be the id of a process: a UUID. It becomes part of file names."""
    return bool(re.fullmatch(_INSTANCE, name))


def lock_path(ledger: Path, instance: str) -> Path:
    """The lock file that the process `instance` holds."""
    return Path(f"{ledger}.{instance}.lock")


def spill_path(ledger: Path, instance: str) -> Path:
    """The spill file of the process `instance`."""
    return Path(f"{ledger}.spill-{instance}")


def rejected_path(ledger: Path) -> Path:
    """The file of rows that cannot be stored."""
    return Path(f"{ledger}.rejected")


def copy_path(ledger: Path, instance: str) -> Path:
    """The path of a temporary copy of the ledger, which then replaces it."""
    return Path(f"{ledger}.copy-{instance}")


def instances(ledger: Path, name_of: str) -> list[str]:
    """The ids of the processes whose files of one kind exist. `name_of` is `spill` or `lock`. Files whose names have no
    valid id are ignored."""
    before, after = {"spill": (f"{ledger.name}.spill-", ""), "lock": (f"{ledger.name}.", ".lock")}[name_of]
    names = (file.name for file in ledger.parent.glob(f"{glob.escape(before)}*{after}"))
    found = (name.removeprefix(before).removesuffix(after) for name in names)
    return sorted(filter(is_instance, found))


def lock(path: Path, wait: bool = False) -> int:
    """Open and lock a file, and return its descriptor. Raises BlockingIOError if it is locked already, OSError."""
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            os.close(descriptor)
            raise
        # Between `open` and `flock` another process may have removed the file, as that of a dead process.
        if is_at(path, descriptor):
            return descriptor
        os.close(descriptor)


def is_at(path: Path, descriptor: int) -> bool:
    """Whether `descriptor` is the file that is at `path` now."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def is_alive(ledger: str | os.PathLike[str], instance: str) -> bool:
    """Whether the process with this id is still running."""
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
