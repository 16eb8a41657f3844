"""What `scripts/setup` chooses, with interpreters that only seem to be there. It makes nothing here."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.process import ROOT


def interpreter(path: Path, *, runs: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nexit {0 if runs else 1}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("runs", "pyenvs", "python", "chosen"),
    [
        (["python3.13", "python3.12"], ["3.13.2"], "", "python3.13"),
        # pyenv's shim is there, but does not run.
        (["python3.12", "python3"], ["3.12.1", "3.13.2", "3.13.10"], "", "versions/3.13.10/bin/python"),
        (["python3.12", "python3"], ["3.11.1"], "", "python3.12"),
        (["python3"], ["3.11.1"], "", "versions/3.11.1/bin/python"),
        (["python3.13", "python3.11"], [], "python3.11", "python3.11"),
        (["python3.13"], [], "python3.11", None),
    ],
)
def test_the_newest_python_is_used(
    tmp_path: Path, runs: list[str], pyenvs: list[str], python: str, chosen: str | None
) -> None:
    for name in ("python3.13", "python3.12", "python3.11", "python3"):
        interpreter(tmp_path / "bin" / name, runs=name in runs)
    for version in pyenvs:
        interpreter(tmp_path / "versions" / version / "bin" / "python", runs=True)
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "PYENV_ROOT": str(tmp_path),
        "HOME": str(tmp_path),
        "PYTHON": python,
    }
    command = [str(ROOT / "scripts" / "setup"), "python"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if chosen is None:
        assert ended.returncode != 0
        assert "name another in PYTHON" in ended.stderr
    else:
        assert ended.stdout.strip().removeprefix(f"{tmp_path}/") == chosen
