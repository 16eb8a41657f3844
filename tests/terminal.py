"""Runs `vertex-tap` in a pseudo-terminal, as a person sees it."""

import fcntl
import os
import pty
import re
import struct
import sys
import termios
import warnings
from pathlib import Path

from metering.prices.catalog import EVERYONES
from vertex_tap import main

_STYLE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")


def in_terminal(columns: int, folder: Path, *arguments: str) -> tuple[str, int]:
    """What a command prints in a terminal of this width, without its styles, and its exit status. It runs in a fork of
    this process, which takes no time to start. Prices are read here, so that no fork has to."""
    EVERYONES.prepare()
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    with warnings.catch_warnings():
        # The threads of this process do not run in the fork, which needs none of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        _run(its, folder, arguments)
    os.close(its)
    said = b""
    try:
        while piece := os.read(ours, 65536):
            said += piece
    except OSError:
        # The terminal is closed.
        pass
    os.close(ours)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return _STYLE.sub("", said.decode().replace("\r\n", "\n")), status


def _run(terminal: int, folder: Path, arguments: tuple[str, ...]) -> None:
    status = 70
    try:
        os.setsid()
        for descriptor in range(3):
            os.dup2(terminal, descriptor)
        os.chdir(folder)
        os.environ["TERM"] = "xterm"
        os.environ.pop("COLUMNS", None)
        sys.stdout, sys.stderr = (os.fdopen(descriptor, "w", closefd=False) for descriptor in (1, 2))
        main.main(arguments, "vertex-tap")
    except SystemExit as e:
        status = e.code if isinstance(e.code, int) else 1
    finally:
        sys.stdout.flush()
        os._exit(status)
