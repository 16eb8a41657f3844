import subprocess
import sys
from pathlib import Path

from addons.gateway import addons
from tests.process import ROOT


def test_the_chain_in_the_order_of_a_call() -> None:
    names = [type(addon).__name__ for addon in addons]
    assert names == [
        "Options",
        "Reload",
        "Layers",
        "Entrance",
        "Pages",
        "Identify",
        "Classify",
        "Drain",
        "Access",
        "Route",
        "Choose",
        "Credentials",
        "Meter",
        "Permit",
        "Admit",
        "Rewrite",
        "Fallback",
        "Offer",
        "Live",
        "Keep",
        "Recorder",
        "Screens",
        "Telemetry",
        "Redact",
        "Views",
    ]


def test_it_runs_from_a_checkout(tmp_path: Path) -> None:
    """Uninstalled, from anywhere, as mitmproxy loads it: with its own folder first on the path."""
    script = ROOT / "addons" / "gateway.py"
    code = f"""
import sys
sys.path[:] = [{str(script.parent)!r}] + [p for p in sys.path if p not in {(str(ROOT), str(ROOT / "scripts"))!r}]
import importlib.machinery
loader = importlib.machinery.SourceFileLoader("__mitmproxy_script__.gateway", {str(script)!r})
import types
module = types.ModuleType(loader.name)
module.__file__ = {str(script)!r}
loader.exec_module(module)
assert {str(script.parent)!r} not in sys.path
assert sys.path[0] == {str(ROOT)!r}
import addons.route
assert addons.route.__file__ == {str(script.parent / "route.py")!r}
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
