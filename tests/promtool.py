"""Debian's promtool, which `scripts/setup promtool` gets."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.process import ROOT


def check_metrics(text: bytes) -> str:
    """What promtool says of metrics in Prometheus's text format; empty if it has no complaint. Fails if they are not
    valid."""
    done = _promtool("check", "metrics", text=text)
    told = done.stderr.decode() + done.stdout.decode()
    # 3: it is valid, but has the complaints that are listed.
    assert done.returncode in (0, 3), told
    return told


def check_queries(queries: Iterable[str], folder: Path) -> None:
    """Fails if one of them is no PromQL."""
    rules = [{"record": f"query_{number}", "expr": query} for number, query in enumerate(queries)]
    file = folder / "rules.yaml"
    # JSON is YAML.
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    done = _promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()


def _promtool(*arguments: str, text: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    if not shutil.which("apt-get"):
        pytest.skip("promtool is taken from Debian's package")
    setup = {**os.environ, "PYTHON": sys.executable}
    subprocess.run([ROOT / "scripts" / "setup", "promtool"], check=True, capture_output=True, env=setup)
    tool = ROOT / ".venv" / "promtool" / "usr" / "bin" / "promtool"
    return subprocess.run([tool, *arguments], input=text, capture_output=True, check=False)
