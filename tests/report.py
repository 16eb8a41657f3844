"""How long reports, the dashboard and exports take with millions of calls.

python -m tests.report [--rows N] [--keep FILE] [--rounds N]

Makes a ledger (see tests/many_calls.py), and runs commands as users do: each in a process of its own, several times.
Of the quickest round it prints CPU time, elapsed time and the most memory, and for reports, how much of the CPU time is
needed for a ledger with few calls too. The shorter one of the two times must be within the limit: beside other work, a
command waits; alone, an export uses several processors. CPU time grows too beside other work, up to twofold: how long a
loop takes is printed first, about 0.15 s on an idle machine. Ends with 1 if something takes longer than it may.
"""

import argparse
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from contextlib import contextmanager
from datetime import UTC
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import sync_playwright

from tests.many_calls import PIECES
from tests.many_calls import make
from tests.process import BIN

ROWS, EXPORTED = 10_000_000, 1_000_000
FEW = 30 * PIECES
"""Calls of a ledger that is read at once, but has all models, whose prices must be loaded."""
ROUNDS = 3
REPORT_S, PAINT_S, EXPORT_S = 1.0, 2.0, 10.0
"""The limits."""
MOST_MEMORY = 300_000_000
"""Of an export, in bytes: much less than what it writes."""
REPORTS = (
    "usage",
    "cost",
    "latency",
    "usage --by day",
    "cost --by day",
    "latency --by day",
    "usage --by model,client",
    "cost --by model,client",
    "latency --by model,client",
    "usage --since 7d",
    "latency --since 7d",
    "usage --by day --tz Europe/Berlin",
    "cost --by day --tz Europe/Berlin",
    "latency --by day --tz Europe/Berlin",
    "usage --by day --tz America/Los_Angeles",
)
WAIT_MS = 120_000


class Measured(NamedTuple):
    """What a command took."""

    cpu: float
    """In seconds, as the next one."""
    elapsed: float
    memory: int
    """The most that it had at a time, in bytes."""

    @property
    def counts(self) -> float:
        return min(self.cpu, self.elapsed)


def run(arguments: list[str], ledger: Path, out: Path) -> Measured:
    """Runs `vertex-tap` once; it writes to the file `out`."""
    began = time.perf_counter()
    with out.open("wb") as file:
        process = subprocess.Popen([BIN / "vertex-tap", *arguments, ledger], stdout=file)
        _, status, used = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return Measured(used.ru_utime + used.ru_stime, elapsed, used.ru_maxrss * 1024)


def quickest(arguments: list[str], ledger: Path, out: Path, rounds: int) -> Measured:
    return min((run(arguments, ledger, out) for _ in range(rounds)), key=lambda one: one.counts)


def told(name: str, one: Measured, more: str, problems: list[str]) -> bool:
    """Prints what was measured. Returns whether it is within the limits."""
    line = f"{name:44}  CPU {one.cpu:6.2f} s  elapsed {one.elapsed:6.2f} s  {one.memory / 1e6:5.0f} MB  {more}"
    print(f"{line}  {' '.join(problems)}".rstrip(), flush=True)
    return not problems


def reports(ledger: Path, few: Path, out: Path, rounds: int) -> Iterator[bool]:
    for command in REPORTS:
        arguments = ["report", *command.split()]
        start = quickest(arguments, few, out, rounds)
        one = quickest(arguments, ledger, out, rounds)
        problems = ["SLOW"] if one.counts > REPORT_S else []
        yield told(f"report {command}", one, f"of it the start {start.cpu:.2f} s", problems)


def exports(ledger: Path, out: Path, rounds: int) -> Iterator[bool]:
    with closing(sqlite3.connect(ledger)) as db:
        asked = "SELECT started_at FROM calls ORDER BY started_at DESC LIMIT 1 OFFSET ?"
        found = db.execute(asked, (EXPORTED - 1,)).fetchone()
    since = datetime.fromtimestamp(found[0] / 1_000_000 if found else 0, UTC).isoformat()
    for form in ("csv", "json"):
        one = quickest(["export", "--format", form, "--since", since], ledger, out, rounds)
        with out.open("rb") as file:
            rows = sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 24), b""))
        rows -= {"csv": 1, "json": 2}[form]
        problems = ["SLOW"] if one.counts > EXPORT_S else []
        problems += ["MEMORY"] if one.memory > MOST_MEMORY else []
        yield told(f"export {form}", one, f"{rows:,} rows, {out.stat().st_size / 1e6:.0f} MB", problems)


@contextmanager
def dashboard(ledger: Path) -> Iterator[tuple[str, int]]:
    """The address of a dashboard, and the id of its process."""
    command = [str(BIN / "vertex-tap"), "dashboard", "--port", "0", str(ledger)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        match = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/-/\n", process.stdout.readline())
        assert match
        try:
            yield match[1], process.pid
        finally:
            process.terminate()


def used(pid: int) -> tuple[float, int]:
    """The CPU time of a process so far, and the most memory."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK"), int(status.partition("VmHWM:")[2].split()[0]) * 1024


PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def paints(ledger: Path, rounds: int) -> Iterator[bool]:
    """The dashboard in a browser: until something is seen, and until the numbers are. Each round has a new dashboard,
    which has read nothing yet."""
    found: list[tuple[float, Measured]] = []
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        for _ in range(rounds):
            with dashboard(ledger) as (url, pid):
                page = browser.new_page()
                before, began = used(pid)[0], time.perf_counter()
                page.goto(f"{url}/-/")
                page.locator("#calls tbody tr").first.wait_for(timeout=WAIT_MS)
                elapsed = time.perf_counter() - began
                after, memory = used(pid)
                paint = page.evaluate(PAINTED) / 1000
                found.append((paint, Measured(after - before, elapsed, memory)))
                page.close()
        browser.close()
    paint, one = min(found)
    yield told("dashboard", one, f"first paint {paint:.2f} s", ["SLOW"] if paint > PAINT_S else [])
    numbers = min((one for _, one in found), key=lambda one: one.counts)
    problems = ["SLOW"] if numbers.counts > PAINT_S else []
    yield told("dashboard, numbers", numbers, "CPU is that of its process", problems)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench report", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--keep", type=Path, metavar="FILE", help="Keep the ledger there; use the one that is there.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, now = Path(name), time.time_ns() // 1000
        ledger = args.keep or folder / "usage.db"
        if not ledger.exists():
            began = time.perf_counter()
            make(ledger, args.rows, now)
            print(f"made {ledger.stat().st_size / 1e9:.1f} GB in {time.perf_counter() - began:.0f} s")
        with closing(sqlite3.connect(ledger)) as db:
            rows = {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}
        print(", ".join(f"{number:,} {table}" for table, number in rows.items()))
        print(f"a loop of 10 million steps takes {loop():.2f} s")
        few, out = make(folder / "few.db", FEW, now), folder / "out"
        sound = [
            *reports(ledger, few, out, args.rounds),
            *paints(ledger, args.rounds),
            *exports(ledger, out, args.rounds),
        ]
    print(f"report: {sound.count(False)} of {len(sound)} take too long" if False in sound else "report: sound")
    return int(False in sound)


def loop() -> float:
    """The CPU time of an empty loop in Python, in seconds."""
    began = time.process_time()
    for _ in range(10_000_000):
        pass
    return time.process_time() - began


TABLES = ("calls", "attempts", "rollup", "rollup_days")

if __name__ == "__main__":
    sys.exit(main())
