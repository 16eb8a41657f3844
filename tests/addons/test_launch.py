import subprocess
from pathlib import Path

from tests.conftest import StartProxy
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.process import BIN
from tests.vertex_simulator import Simulator


def test_it_serves(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy(mode=f"reverse:{simulator.url}", serve=True)
    assert call(proxy.url, f"{MODEL}:generateContent", HELLO).status == 200
    assert proxy.new_row()["usage_state"] == "final"
    # No listing, no line a connection.
    assert len(proxy.stdout.splitlines()) == 2
    assert proxy.stop() == 0
    assert proxy.stderr == ""


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
    sets = ("--set", f"confdir={tmp_path}", "--set", f"usage_db={tmp_path / 'usage.db'}")
    assert "address already in use" in fails("--port", str(simulator.port), *sets)


def test_options_before_config_yaml(start_proxy: StartProxy, simulator: Simulator, tmp_path: Path) -> None:
    own = tmp_path / "confdir"
    own.mkdir()
    (own / "config.yaml").write_text(
        f"vertex_endpoint: http://127.0.0.1:1\nflow_detail: 3\nlisten_port: {simulator.port}\n"
    )
    proxy = start_proxy(f"vertex_endpoint={simulator.url}", confdir=own, serve=True)
    assert call(proxy.url, f"{MODEL}:generateContent", HELLO).status == 200
