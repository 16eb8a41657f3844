"""Runs vertex-tap in a process: mitmdump with the gateway script, or `vertex-tap serve`."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from metering.database import open_for_reading
from tests.forked import PROGRAMS
from tests.forked import Forked

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
START_S = 90.0
# From the first line that it says to the last.
_DIRECTIONS = re.compile(r"vertex-tap: .*?http://(?P<address>[\d.]+:\d+)[^\0]*?vertex-tap: clients .*must trust .*\n")
_LISTENING = re.compile(r"listening at (?P<address>[\d.]+:\d+)")

Row = dict[str, Any]


class Proxy:
    """A running proxy. Its ledger `usage.db` and its output are in `folder`."""

    def __init__(
        self,
        *options: str,
        folder: Path,
        mode: str = "reverse:https://aiplatform.googleapis.com",
        confdir: Path,
        serve: bool = False,
        program: str = "mitmdump",
        arguments: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        bare: bool = False,
        checkout: Path = ROOT,
        forked: bool = True,
    ) -> None:
        """Starts it. `bare`: mitmdump without our script, so without a ledger. `checkout`: the folder of the project
        whose script is used."""
        self.folder = folder
        self.ledger = folder / "usage.db"
        sets = [part for option in (f"confdir={confdir}", *options) for part in ("--set", option)]
        if serve:
            command: list[str | Path] = [BIN / "vertex-tap", "serve", "--port", "0", "--set", f"mode={mode}", *sets]
        else:
            script: list[str | Path] = [] if bare else ["-s", checkout / "addons" / "gateway.py"]
            command = [
                BIN / program,
                *script,
                "--mode",
                mode,
                "--listen-host",
                "127.0.0.1",
                "-p",
                "0",
                *sets,
            ]
        is_ours = not bare and checkout is ROOT and Path(command[0]).name in PROGRAMS
        start = Forked if forked and is_ours else _begin
        self.process = start(
            [*map(str, command), *arguments],
            folder,
            {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            folder / "stdout.txt",
            folder / "stderr.txt",
        )
        self._last_id = ""
        # An older version says other words.
        self.url = self._wait_for_directions(_LISTENING if bare or checkout is not ROOT else _DIRECTIONS)
        self.port = int(self.url.rpartition(":")[2])

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    @property
    def stdout(self) -> str:
        return (self.folder / "stdout.txt").read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr.txt").read_text(errors="replace")

    def rows(self, where: str = "1") -> list[Row]:
        """The rows of the ledger, oldest first."""
        return rows_of(self.ledger, where)

    def new_rows(self) -> list[Row]:
        """The rows that are new since the last call of this method, oldest first."""
        rows = self.rows(f"id > '{self._last_id}'")
        self._last_id = rows[-1]["id"] if rows else self._last_id
        return rows

    def new_row(self) -> Row:
        """The row that is new since the last call of `new_rows`. There must be exactly one."""
        (row,) = self.new_rows()
        return row

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Stops the process with a signal, as a user would. Returns its exit status."""
        self.process.send_signal(signum)
        return self.process.wait(timeout=30)

    def touch_script(self) -> Path:
        """Makes mitmdump load its script again. Returns the script's path."""
        script = ROOT / "addons" / "gateway.py"
        script.touch()
        return script

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=30)

    def _wait_for_directions(self, directions: re.Pattern[str]) -> str:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if match := directions.search(self.output):
                return f"http://{match['address']}"
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        self.process.kill()
        raise AssertionError(f"the proxy did not start:\n{self.output}")


def _begin(
    command: list[str], folder: Path, env: dict[str, str], stdout: Path, stderr: Path
) -> "subprocess.Popen[bytes]":
    with stdout.open("wb") as out, stderr.open("wb") as err:
        return subprocess.Popen(command, cwd=folder, stdout=out, stderr=err, env=env)


def rows_of(ledger: Path, where: str = "1") -> list[Row]:
    with closing(open_for_reading(ledger)) as db:
        return [dict(row) for row in db.execute(f"SELECT * FROM calls WHERE {where} ORDER BY id")]


def until(condition: Any, seconds: float = 10.0) -> Any:
    """Calls `condition` until it returns a true value, and returns that. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)
    return value
