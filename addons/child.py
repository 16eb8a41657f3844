"""A program that shares the terminal with this process, as if it had been started alone.

Both are in one process group. So both are in the foreground of the terminal, and its signals (Ctrl-C) reach the program
directly. Signals from other processes only reach this one, which passes them on. If the terminal stops the program
(Ctrl-Z), this process stops too: only then does the shell take the terminal back. `fg` continues both.
"""

import errno
import os
import resource
import shutil
import signal
import threading
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from contextlib import suppress
from typing import NamedTuple

ENDING = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM})
STOPPING = frozenset({signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
"""Signals by which a terminal stops a program."""
HELD = ENDING | STOPPING | {signal.SIGUSR1, signal.SIGUSR2}
"""Signals that this process does not act on itself."""
SHELL = "/bin/sh"
RESET = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores, but other programs do not."""


class Usual(NamedTuple):
    """What this process was started with, and the program gets."""

    blocked: set[signal.Signals]
    files: tuple[int, int]
    """The soft and the hard limit of open files."""


def hold_signals() -> Usual:
    """Block `HELD` in this thread and in all that it starts later."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    return Usual({*map(signal.Signals, blocked)}, resource.getrlimit(resource.RLIMIT_NOFILE))


def held() -> int | None:
    """A signal that has come to end this process before there was a program; None if none has."""
    return next(iter(signal.sigpending() & ENDING), None)


class Child:
    """A running program."""

    def __init__(
        self,
        command: tuple[str, ...],
        variables: Mapping[str, str],
        usual: Usual,
        ended: Callable[[int], None],
        hurried: Callable[[], None],
    ) -> None:
        """Start the program. Raises OSError.

        When it has ended, `ended` is called with its exit status (128 + n after signal n) in another thread. `hurried`
        is called there for each signal that comes later to end this process.
        """
        self._ended, self._hurried = ended, hurried
        self._is_running = True
        with _file_limit(usual.files):
            self._pid = _start(command, variables, usual)
        for work in (self._wait, self._pass_on):
            threading.Thread(target=work, name=work.__name__, daemon=True).start()

    def _wait(self) -> None:
        _, status = os.waitpid(self._pid, os.WUNTRACED)
        while os.WIFSTOPPED(status):
            changed = 0
            if os.WSTOPSIG(status) in STOPPING:
                # Sent to this thread, which so runs no further before the process has stopped.
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
                # `fg` continues both. By now the terminal may have stopped the program again, which must stay so.
                changed, status = os.waitpid(self._pid, os.WUNTRACED | os.WCONTINUED | os.WNOHANG)
                if not changed:
                    os.kill(self._pid, signal.SIGCONT)
            if not changed or os.WIFCONTINUED(status):
                _, status = os.waitpid(self._pid, os.WUNTRACED)
        self._is_running = False
        self._ended(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))

    def _pass_on(self) -> None:
        while True:
            signum, is_of_terminal = _next_signal()
            if not self._is_running:
                if signum in ENDING:
                    self._hurried()
            elif not is_of_terminal:
                with suppress(ProcessLookupError):
                    os.kill(self._pid, signum)


def _start(command: tuple[str, ...], variables: Mapping[str, str], usual: Usual) -> int:
    if not command[0]:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    def start(*words: str) -> int:
        # Files that Python has opened are not inherited.
        return os.posix_spawnp(words[0], words, variables, setsigmask=usual.blocked, setsigdef=RESET)

    try:
        return start(*command)
    except OSError as e:
        if e.errno != errno.ENOEXEC:
            raise
    # A script whose first line does not name its interpreter. Shells run it themselves.
    return start(SHELL, shutil.which(command[0]) or command[0], *command[1:])


def _next_signal() -> tuple[int, bool]:
    """The next signal, and whether the terminal has sent it: then the program has got it too."""
    if hasattr(signal, "sigwaitinfo"):
        told = signal.sigwaitinfo(HELD)
        # Positive codes are the kernel's. The SIGHUP of a terminal that closes reaches the first process of a session
        # only, which may be this one.
        return told.si_signo, told.si_code > 0 and told.si_signo != signal.SIGHUP
    signum = signal.sigwait(HELD)
    return signum, signum in STOPPING | {signal.SIGINT, signal.SIGQUIT} and os.isatty(0)


@contextmanager
def _file_limit(limit: tuple[int, int]) -> Iterator[None]:
    raised = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, raised)
