"""Processes of `mitmdump`, `mitmweb` and `vertex-tap`, forked from a process that has imported these programs.

Such a process behaves like any other, but starts in a fifth of the time. The tests start a thousand of them. Processes
that import everything themselves are tested in tests/addons/test_gateway.py and tests/addons/test_launch.py.
"""

import contextlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess

PROGRAMS = frozenset({"mitmdump", "mitmweb", "vertex-tap"})
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.programs"])


class Forked:
    """A forked process, with the methods of `subprocess.Popen` that the tests use. Its output goes to files."""

    def __init__(
        self, command: Sequence[str | Path], folder: Path, env: dict[str, str], stdout: Path, stderr: Path
    ) -> None:
        for path in (stdout, stderr):
            path.write_bytes(b"")
        name, *arguments = Path(command[0]).name, *map(str, command[1:])
        process = _context.Process(target=_run, args=(name, arguments, folder, env, stdout, stderr), daemon=True)
        process.start()
        assert process.pid
        self._process, self.pid = process, process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return status

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    @property
    def returncode(self) -> int | None:
        return self.poll()


def run(
    command: Sequence[str | Path], folder: Path, env: dict[str, str] | None = None, seconds: float = 60
) -> CompletedProcess[str]:
    """Runs a program to its end, like `subprocess.run`. The result has its output."""
    with tempfile.TemporaryDirectory() as temporary:
        stdout, stderr = Path(temporary) / "stdout", Path(temporary) / "stderr"
        process = Forked(command, folder, dict(os.environ) if env is None else env, stdout, stderr)
        try:
            status = process.wait(seconds)
        finally:
            process.kill()
        return CompletedProcess(list(command), status, stdout.read_text(), stderr.read_text())


def _run(name: str, arguments: list[str], folder: Path, env: dict[str, str], stdout: Path, stderr: Path) -> None:
    """Runs a program. Called in the forked process."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    for path, number in ((stdout, 1), (stderr, 2)):
        file = os.open(path, os.O_WRONLY)
        os.dup2(file, number)
        os.close(file)
    sys.argv = [name, *arguments]
    customize = Path(env.get("PYTHONPATH", "")) / "sitecustomize.py"
    if env.get("PYTHONPATH") and customize.is_file():
        runpy.run_path(str(customize))
    from tests.programs import MAIN

    MAIN[name]()
