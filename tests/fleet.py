"""What one PostgreSQL carries: rows a second that `ship` brings, bytes a row, and how long reports take.

python -m tests.fleet [--rows N]

Starts a PostgreSQL server, which writes to the disk as usual, and makes a ledger of the calls of 27 days (see
tests/many_calls.py), with copies for a second and a third proxy. Ships the first alone, then the others at the same
time, then a few rows that have changed. The numbers stand in docs/fleet.md.
"""

import argparse
import os
import resource
import secrets
import shutil
import sqlite3
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path

from tests.many_calls import PIECES
from tests.many_calls import make
from tests.postgresql_server import Server
from tests.postgresql_server import running
from tests.process import BIN
from tests.process import until

ROWS = 100_000
CHANGED = 1_000
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
}
TABLES = ("calls", "attempts", "attempt_uses", "rollup")
REPORTS = ("usage", "cost --by day", "latency --by client", "usage --since 7d", "calls")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS)
    rows = max(parser.parse_args().rows // PIECES, 1) * PIECES
    with tempfile.TemporaryDirectory() as name, running(**SETTINGS) as server:
        folder, address = Path(name), server.new()
        first = make(folder / "first.db", rows, time.time_ns() // 1000)
        others = [_copied(first, folder / f"{number}.db") for number in ("second", "third")]
        before = server.cpu_s
        took, cpu = _shipped(address, first)
        print(f"one proxy: {rows:,} rows in {took:.1f} s, {rows / took:,.0f} a second")
        until(lambda: server.cpu_s > before)
        print(f"CPU: {cpu / rows * 1e6:.0f} us a row of ship, {(server.cpu_s - before) / rows * 1e6:.0f} of PostgreSQL")
        print(f"bytes a row: {_bytes(server, address)}")
        took, _ = _shipped(address, *others)
        print(f"two proxies at once: {2 * rows / took:,.0f} rows a second together")
        with closing(sqlite3.connect(first)) as db, db:
            db.execute("UPDATE calls SET client = client WHERE rowid % ? = 0", (rows // CHANGED,))
        took, _ = _shipped(address, first)
        print(f"{CHANGED:,} rows that changed: {took:.2f} s")
        for report in REPORTS:
            times = [_timed([BIN / "vertex-tap", "report", *report.split(), source]) for source in (first, address)]
            print(f"report {report}: {times[0]:.2f} s from one file, {times[1]:.2f} s from the three ledgers here")


def _copied(ledger: Path, path: Path) -> Path:
    """The ledger of another proxy: the same calls, with other ids."""
    shutil.copyfile(ledger, path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'secret'", (secrets.token_hex(32),))
        for trigger in [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]:
            db.execute(f"DROP TRIGGER {trigger}")
        for table, column in (("calls", "id"), ("attempts", "call_id")):
            db.execute(f"UPDATE {table} SET {column} = substr({column}, 1, 33) || ?", (path.stem[:3],))
    return path


def _shipped(address: str, *ledgers: Path) -> tuple[float, float]:
    """Ships ledgers at the same time, in processes of their own. Returns the seconds that it took, and those of CPU."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [str(BIN / "vertex-tap"), "ship", "--to", address]
    processes = [subprocess.Popen([*command, str(ledger)], stdout=subprocess.DEVNULL) for ledger in ledgers]
    assert [process.wait() for process in processes] == [0] * len(processes)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _bytes(server: Server, address: str) -> str:
    """The bytes of a row of each table, with its indexes."""
    told = []
    with server.connect(address) as db:
        for table in TABLES:
            size, rows = (_number(db.execute(sql.format(table).encode()).fetchone()) for sql in (_SIZE, _ROWS))
            told.append(f"{table} {size / max(rows, 1):.0f} ({rows:,} rows)")
    return ", ".join(told)


_SIZE = "SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits WHERE inhparent = to_regclass('{}')"
_ROWS = "SELECT count(*) FROM {}"


def _number(row: tuple[object, ...] | None) -> int:
    assert row is not None
    return int(str(row[0]))


def _timed(command: list[object]) -> float:
    began = time.perf_counter()
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, env=os.environ)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
