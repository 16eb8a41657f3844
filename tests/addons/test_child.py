"""Programs that share the terminal with us, without a proxy."""

import os
import pty
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.process import ROOT

DRIVER = """
import os, resource, sys, threading
from addons.child import Child, held, hold_signals
usual = hold_signals()
if len(sys.argv) < 2:
    print("held", held(), flush=True)
    signum = None
    while not signum:
        signum = held()
    os._exit(signum)
resource.setrlimit(resource.RLIMIT_NOFILE, (usual.files[1],) * 2)
statuses, ended = [], threading.Event()
def end(status):
    statuses.append(status)
    ended.set()
try:
    Child(tuple(sys.argv[1:]), os.environ, usual, end, lambda: os._exit(99))
except OSError as e:
    sys.exit(type(e).__name__)
ended.wait()
if "LINGER" in os.environ:
    print("ended", flush=True)
    threading.Event().wait()
os._exit(statuses[0])
"""
"""Runs its arguments as a child, and exits with the child's status; with LINGER, when it is hurried."""
COMMAND = [sys.executable, "-c", DRIVER]


def start(*command: str, **variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **variables},
        start_new_session=True,
    )


def run(*command: str, text: str = "") -> tuple[int, str, str]:
    process = start(*command)
    out, error = process.communicate(text, timeout=60)
    return process.returncode, out, error


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("exit 0", 0),
        ("exit 200", 200),
        ("kill -TERM $$", 128 + signal.SIGTERM),
        ("kill -KILL $$", 128 + signal.SIGKILL),
    ],
)
def test_status(command: str, status: int) -> None:
    assert run("sh", "-c", command) == (status, "", "")


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("no-such-command", "FileNotFoundError"),
        ("", "FileNotFoundError"),
        ("/etc/passwd", "PermissionError"),
        ("/", "PermissionError"),
    ],
)
def test_what_cannot_be_started(command: str, error: str) -> None:
    assert run(command) == (1, "", f"{error}\n")


def test_a_script_that_names_no_interpreter(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text('echo "$0 $1"; exit 3\n')
    script.chmod(0o755)
    assert run(str(script), "a b") == (3, f"{script} a b\n", "")


def test_input_and_output_are_its_own() -> None:
    assert run("sh", "-c", "cat; echo error >&2", text="text\n") == (0, "text\n", "error\n")


SHOW = """
import resource, signal
print(signal.pthread_sigmask(signal.SIG_BLOCK, []), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
for signum in sorted(signal.valid_signals() - {*range(32, 34)}):
    print(signum, signal.getsignal(signum))
"""


def test_it_gets_what_any_program_gets() -> None:
    """No signal is blocked or ignored, and the limit of open files is not raised."""
    told = run(sys.executable, "-c", SHOW)
    directly = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True).stdout
    assert told == (0, directly, "")
    assert str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]) in directly


def test_what_we_ignore_it_ignores_too() -> None:
    """As after `nohup`, or behind `&` in a script."""
    ignoring = ["sh", "-c", "trap '' INT HUP; exec \"$@\"", "sh", *COMMAND]
    command = [*ignoring, "sh", "-c", "kill -INT $$; kill -HUP $$; echo alive"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "alive\n"


PASSED_ON = ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2")


@pytest.mark.parametrize("name", PASSED_ON)
def test_signals_are_passed_on(name: str) -> None:
    process = start("sh", "-c", f"trap 'echo {name}; exit 7' {name}; echo ready; while :; do sleep 0.1; done")
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, f"SIG{name}"))
    assert process.communicate(timeout=30) == (f"{name}\n", "")
    assert process.returncode == 7


def test_a_signal_after_its_end_hurries() -> None:
    with start("true", LINGER="1") as process:
        assert process.stdout
        assert process.stdout.readline() == "ended\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 99


def test_a_signal_before_it_is_started_is_held() -> None:
    with start() as process:
        assert process.stdout
        assert process.stdout.readline() == "held None\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == signal.SIGTERM


class Terminal:
    """An interactive shell in a terminal of its own."""

    def __init__(self) -> None:
        self._seen = b""
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            environment = {**os.environ, "PS1": "SHELL> ", "DRIVER": DRIVER, "PYTHON": sys.executable, "TERM": "dumb"}
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)
        self.until("SHELL> ")

    def type(self, text: str) -> None:
        os.write(self._file, text.encode())

    def until(self, text: str, seconds: float = 60) -> str:
        """Reads until the terminal shows `text`; what it has shown before, and that."""
        deadline = time.monotonic() + seconds
        while text.encode() not in self._seen:
            ready, _, _ = select.select([self._file], [], [], max(0, deadline - time.monotonic()))
            assert ready, self._seen
            self._seen += os.read(self._file, 65536)
        before, found, self._seen = self._seen.partition(text.encode())
        return (before + found).decode()

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.close(self._file)
        os.waitpid(self.pid, 0)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


INTERACTIVE = """
import os, signal, threading
print("foreground", os.getpgrp() == os.tcgetpgrp(0), flush=True)
# Python runs a handler only after input() has returned, if the signal comes just before input() begins to read.
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
def tell():
    while signal.sigwait([signal.SIGINT]):
        print("interrupted", flush=True)
threading.Thread(target=tell, daemon=True).start()
while (line := input("ask> ")) != "quit":
    print(line.upper(), flush=True)
raise SystemExit(5)
"""


class TestTerminal:
    def test_an_interactive_program(self, terminal: Terminal) -> None:
        terminal.type('"$PYTHON" -c "$DRIVER" "$PYTHON" -c "$ASKS"\n'.replace("$ASKS", INTERACTIVE.replace('"', "'")))
        terminal.until("foreground True")
        terminal.until("ask> ")
        terminal.type("hello\n")
        terminal.until("HELLO")
        # Ctrl-C reaches it, once.
        terminal.type("\x03")
        terminal.until("interrupted")
        terminal.type("again\n")
        assert "interrupted" not in terminal.until("AGAIN")
        # Ctrl-Z stops both, and the shell gets the terminal back, again and again.
        for word in [f"word{number}." for number in range(12)]:
            terminal.type("\x1a")
            terminal.until("SHELL> ")
            terminal.type("jobs\n")
            terminal.until("Stopped")
            terminal.type("fg\n")
            terminal.type(f"{word}\n")
            terminal.until(word.upper())
        terminal.type("quit\n")
        terminal.until("SHELL> ")
        terminal.type("echo status=$?\n")
        terminal.until("status=5")

    def test_a_program_that_stops_itself(self, terminal: Terminal) -> None:
        terminal.type("\"$PYTHON\" -c \"$DRIVER\" sh -c 'kill -TSTP $$; echo ba''ck'\n")
        terminal.until("Stopped")
        terminal.type("fg\n")
        terminal.until("back\r\n")

    def test_in_the_background(self, terminal: Terminal) -> None:
        terminal.type('"$PYTHON" -c "$DRIVER" cat &\n')
        time.sleep(1)
        for _ in range(60):
            terminal.type("jobs; echo do''ne\n")
            if "Stopped" in terminal.until("done\r\n"):
                break
            time.sleep(0.5)
        terminal.type("fg\n")
        terminal.until("cat\r\n")
        terminal.type("hello\n")
        terminal.until("hello\r\nhello")
        terminal.type("\x04")
        terminal.until("SHELL> ")
