"""Makes ledgers for tests, and reads what is in them."""

import json
import os
import resource
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import closing
from contextlib import contextmanager
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from typing import TextIO

from sqlite_utils import Database

from metering.call import Call
from metering.companions import is_alive
from metering.database import open_for_reading
from metering.ledger import Ledger
from metering.migrations import migrations
from metering.verify import verify
from tests.process import ROOT


@cache
def _made() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "usage.db"
        Ledger(path).close()
        return path.read_bytes()


def new_ledger(path: Path) -> Path:
    """Creates a ledger without calls. It is copied, as it takes long to create one anew."""
    path.touch(0o600)
    path.write_bytes(_made())
    return path


def call(**fields: Any) -> Call:
    defaults: dict[str, Any] = {"started_at": time.time_ns() // 1000, "model": "g"}
    return Call(**defaults | fields)


def done(call: Call, **fields: Any) -> Call:
    for name, value in ({"state": "done", "usage_state": "final", "input_tokens": 5, "ended_at": 1} | fields).items():
        setattr(call, name, value)
    return call


def of_version(path: Path, version: int, calls: Iterable[dict[str, Any]] = ()) -> None:
    """Creates a ledger with an older version of the schema, as earlier releases made it, with these rows."""
    db = Database(path)
    after = [migration.name for migration in migrations.pending(db)][version:]
    migrations.apply(db, stop_before=after[0] if after else None)
    defaults = {"instance": "i", "state": "done", "started_at": 1, "ended_at": 2, "rewritten": 0, "attempts": 1}
    for number, one in enumerate(calls):
        db.table("calls").insert(defaults | {"id": str(number)} | one)
    db.execute(f"PRAGMA user_version = {version}")
    db.close()


def rows(path: Path, columns: str = "id, state, usage_state, input_tokens") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"SELECT {columns} FROM calls ORDER BY id").fetchall()


def spills(path: Path) -> list[Path]:
    return list(path.parent.glob(f"{path.name}.spill-*"))


def rejected(path: Path) -> list[str]:
    """The lines of the file `.rejected`: rows of spill files that could not be put into the ledger."""
    file = Path(f"{path}.rejected")
    return file.read_text().splitlines() if file.exists() else []


def broken_invariants(path: Path) -> list[str]:
    with closing(open_for_reading(path)) as db:
        return [name for name, times in verify(db, lambda instance: is_alive(path, instance)).items() if times]


_FORKING = """
import json, os, socket, sqlite3, sys, time
from metering.call import Call
from metering.ledger import Ledger
def say(line):
    # As one piece, so that the lines of several processes do not mix.
    os.write(1, line.encode() + b"\\n")
def run(script, path, number):
    children = []
    for _ in range(number):
        if not (child := os.fork()):
            sys.argv = ["", path]
            exec(script, globals())
            break
        children.append(child)
    else:
        os.close(0)
        ended = [os.waitpid(child, 0)[1] for child in children]
        say(" ".join(["ended", *(str(os.waitstatus_to_exitcode(status)) for status in ended)]))
asked = socket.socket(fileno=os.dup(0))
while True:
    told, pipes, _, _ = socket.recv_fds(asked, 65536, 2)
    if not told:
        break
    child = os.fork()
    for number, pipe in enumerate(pipes):
        if not child:
            os.dup2(pipe, number)
        os.close(pipe)
    if not child:
        asked.close()
        run(*json.loads(told))
        break
    os.waitpid(child, 0)
"""


@cache
def _forking(imports: str) -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    """A process that has imported what scripts need, and a socket to tell it which one to run in a fork. It ends with
    this process."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with theirs:
        return ours, subprocess.Popen([sys.executable, "-c", imports + _FORKING], stdin=theirs.fileno(), cwd=ROOT)


@dataclass(frozen=True)
class Program:
    """The input and the output that processes share."""

    stdin: TextIO
    stdout: TextIO


@contextmanager
def processes(script: str, path: Path, number: int = 1, imports: str = "") -> Iterator[Program]:
    """Starts processes that run `script` at the same time, with the path of a ledger as argument. They are forked from
    one that has imported what they need (`imports` is more of it), so that they start quickly. They share an input and
    an output, whose last line is `ended` with the status of each process: `ended 0 -9` if the second one was killed."""
    (theirs_in, ours_in), (ours_out, theirs_out) = os.pipe(), os.pipe()
    with open(ours_in, "w") as stdin, open(ours_out) as stdout:
        told = json.dumps([script, str(path), number]).encode()
        socket.send_fds(_forking(imports)[0], [told], [theirs_in, theirs_out])
        os.close(theirs_in)
        os.close(theirs_out)
        yield Program(stdin, stdout)


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Holds the ledger's write lock, from another connection."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


class Disk:
    """A small file system that can be filled up. Raises PermissionError if none can be mounted."""

    def __init__(self, folder: Path, megabytes: int = 2) -> None:
        self.folder = folder
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=False)
        if mounted.returncode:
            raise PermissionError("no file system can be mounted here")

    def remove(self) -> None:
        subprocess.run(["umount", "-l", self.folder], check=True)

    @contextmanager
    def full(self) -> Iterator[None]:
        ballast = self.folder / "ballast"
        descriptor = os.open(ballast, os.O_CREAT | os.O_WRONLY)
        for size in (65536, 4096, 1):
            with suppress(OSError):
                while os.write(descriptor, b"x" * size):
                    pass
        os.close(descriptor)
        try:
            yield
        finally:
            ballast.unlink()


class Limit:
    """Stands in for `Disk` where none can be mounted: a limit of 0 on the size of files that this process writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def remove(self) -> None:
        pass

    @contextmanager
    def full(self) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@cache
def _template() -> sqlite3.Connection:
    made = sqlite3.connect(":memory:", isolation_level=None)
    migrations.apply(Database(made))
    return made


def fresh() -> sqlite3.Connection:
    """An empty ledger in memory."""
    opened = sqlite3.connect(":memory:", isolation_level=None)
    _template().backup(opened)
    return opened


@cache
def _one() -> sqlite3.Connection:
    return fresh()


@contextmanager
def empty() -> Iterator[sqlite3.Connection]:
    """An empty ledger in memory. It is always the same one, and what is written is rolled
    back: a new connection would have to compile the triggers again."""
    db = _one()
    db.execute("BEGIN")
    try:
        yield db
    finally:
        db.execute("ROLLBACK")
