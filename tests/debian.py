"""Programs of Debian's that tests run: the system's, or those that `scripts/setup` has unpacked into .venv."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process import ROOT


def program(name: str, pattern: str) -> Path:
    """The newest file that fits a pattern such as `usr/sbin/nginx` in the system, or in what `scripts/setup NAME` has
    unpacked."""
    unpacked = ROOT / ".venv" / name
    if not (found := [*Path("/").glob(pattern)] or [*unpacked.glob(pattern)]):
        if not shutil.which("apt-get"):
            pytest.skip(f"{name} is taken from Debian's package")
        setup = {**os.environ, "PYTHON": sys.executable}
        subprocess.run([ROOT / "scripts" / "setup", name], check=True, capture_output=True, env=setup)
        found = [*unpacked.glob(pattern)]
    return max(found)


def libraries(name: str) -> dict[str, str]:
    """Environment variables with which an unpacked program finds the libraries that came with it."""
    folders = (ROOT / ".venv" / name / "usr" / "lib").glob("*-linux-*")
    return {"LD_LIBRARY_PATH": ":".join(map(str, folders))}
