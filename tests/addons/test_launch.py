import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from mitmproxy.version import VERSION

from tests.conftest import StartProxy
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.process import BIN
from tests.process import until
from tests.vertex_simulator import Simulator

OUTDATED = VERSION == "11.0.2"
"""Whether a line says that mitmproxy is old."""


def test_it_serves(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy(mode=f"reverse:{simulator.url}", serve=True)
    assert call(proxy.url, f"{MODEL}:generateContent", HELLO).status == 200
    assert proxy.new_row()["usage_state"] == "final"
    assert call(proxy.url, "/", HELLO).status == 400
    assert proxy.stop() == 0
    # No listing, no line a connection.
    *_, one, other = lines = [line.partition("] ")[2] for line in proxy.stdout.splitlines()]
    assert len(lines) == 3 + OUTDATED + 2
    used = r"\d+ in, \d+ out, \$[\d.e-]+, \d\.\d\d s"
    assert re.fullmatch(rf"vertex-tap: generateContent gemini-2.5-flash 200 done, {used}, from \w+", one)
    assert re.fullmatch(r"vertex-tap: POST / 400 refused bad_request, \d\.\d\d s(, from \w+)?", other)
    assert proxy.stderr == ""


def test_quiet(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy(mode=f"reverse:{simulator.url}", serve=True, arguments=("--quiet",))
    assert call(proxy.url, f"{MODEL}:generateContent", HELLO).status == 200
    assert proxy.stop() == 0
    assert "gemini" not in proxy.output


def test_the_default_is_google(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy(
        f"vertex_endpoint={simulator.url}", mode="reverse:https://aiplatform.googleapis.com", serve=True
    )
    assert call(proxy.url, f"{MODEL}:generateContent", HELLO).status == 200


def fails(*arguments: str) -> str:
    command = [str(BIN / "vertex-tap"), "serve", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_bad_values_of_mitmproxys_own_options(tmp_path: Path) -> None:
    confdir = f"confdir={tmp_path}"
    db = f"usage_db={tmp_path / 'usage.db'}"
    assert "integer: abc" in fails("--set", confdir, "--set", db, "--set", "key_size=abc")
    assert "unknown mode" in fails("--set", confdir, "--set", db, "--set", "mode=foo")


def test_a_port_that_is_taken(simulator: Simulator, tmp_path: Path) -> None:
    """It is said once, with the option that helps."""
    sets = ("--set", f"confdir={tmp_path}", "--set", f"usage_db={tmp_path / 'usage.db'}")
    said = "vertex-tap cannot start:\n  port {} at 127.0.0.1 is in use by another program; {}\n"
    port = simulator.port
    assert fails("--port", str(port), *sets) == said.format(port, "choose another one with --port")
    said_of_host = fails("--host", "nowhere.invalid", *sets)
    assert "cannot listen at nowhere.invalid, port 8080 (there is no such host); " in said_of_host
    mode = f"mode=regular@{port}"
    assert fails("--set", mode, *sets) == said.format(port, f"name another one in {mode}")
    # The ledger is closed.
    assert [file.name for file in tmp_path.glob("usage.db*")] == ["usage.db"]


@pytest.mark.parametrize("wait", [0.0, 0.3, 0.8])
def test_ctrl_c_during_the_start(tmp_path: Path, wait: float) -> None:
    """It ends without a word."""
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells what another process does with signals")
    command = [
        str(BIN / "vertex-tap"),
        "serve",
        "--port",
        "0",
        "--set",
        f"confdir={tmp_path}",
        "--set",
        "usage_db=usage.db",
    ]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        # From the first line of the program on, it is no exception.
        until(lambda: _reads_itself(process.pid), 60)
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=30)
    assert (error, "Aborted" in out) == ("", False)
    assert process.returncode in (-signal.SIGINT, 0)


def test_options_before_config_yaml(start_proxy: StartProxy, simulator: Simulator, tmp_path: Path) -> None:
    own = tmp_path / "confdir"
    own.mkdir()
    (own / "config.yaml").write_text(
        f"vertex_endpoint: http://127.0.0.1:1\nflow_detail: 3\nlisten_port: {simulator.port}\n"
    )
    proxy = start_proxy(f"vertex_endpoint={simulator.url}", confdir=own, serve=True)
    assert call(proxy.url, f"{MODEL}:generateContent", HELLO).status == 200


def _reads_itself(pid: int) -> bool:
    """Whether a process is past the start of Python, which handles SIGINT and ignores SIGPIPE, and handles SIGINT no
    longer (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    ignored, caught = (int(bits, 16) for bits in re.findall(r"^Sig(?:Ign|Cgt):\s*(\w+)", status, re.MULTILINE))
    return bool(ignored >> (signal.SIGPIPE - 1) & 1) and not caught >> (signal.SIGINT - 1) & 1
