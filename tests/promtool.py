"""Debian's promtool, which `scripts/setup promtool` gets."""

import os
import subprocess
import sys

from tests.process import ROOT


def check_metrics(text: bytes) -> str:
    """What promtool says of metrics in Prometheus's text format; empty if it has no complaint. Fails if they are not
    valid."""
    setup = {**os.environ, "PYTHON": sys.executable}
    subprocess.run([ROOT / "scripts" / "setup", "promtool"], check=True, capture_output=True, env=setup)
    tool = ROOT / ".venv" / "promtool" / "usr" / "bin" / "promtool"
    done = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, check=False)
    told = done.stderr.decode() + done.stdout.decode()
    # 3: it is valid, but has the complaints that are listed.
    assert done.returncode in (0, 3), told
    return told
