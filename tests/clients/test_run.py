"""Programs with real SDKs under `vertex-tap run`. They know nothing of a proxy, and are told no base URL."""

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.addons.test_run import command as run_command
from tests.addons.test_run import without_settings
from tests.clients.conftest import command
from tests.forked import run
from tests.loopback import environment
from tests.process import rows_of
from tests.vertex_simulator import Simulator

OBSERVED = {"plain_calls.py": ["gemini", "chat", "claude"], "plain_calls.mjs": ["gemini", "chat"]}
SURFACES = {"gemini": "vertex", "chat": "openai", "claude": "vertex", "messages": "anthropic"}


def ran(
    folder: Path,
    confdir: Path,
    script: str,
    calls: list[str],
    token: str,
    variables: dict[str, str],
    sets: tuple[str, ...] = (),
    via: str = "base-url",
) -> CompletedProcess[str]:
    asked = json.dumps({"token": token, "calls": calls})
    program = run_command(folder, confdir, *command(script), asked, sets=sets, via=via)
    ended = run(program, folder, without_settings(**variables), seconds=100)
    assert ended.returncode == 0, ended.stderr
    assert list(json.loads(ended.stdout)) == calls
    rows = rows_of(folder / "usage.db")
    assert [row["surface"] for row in rows] == [SURFACES[name] for name in calls]
    assert {(row["state"], row["usage_state"]) for row in rows} == {("done", "final")}
    return ended


@pytest.mark.parametrize("script", OBSERVED)
def test_base_url(tmp_path: Path, confdir: Path, simulator: Simulator, script: str) -> None:
    before = len(simulator.seen)
    upstreams = {"GOOGLE_VERTEX_BASE_URL": simulator.url, "OPENAI_BASE_URL": f"{simulator.url}/v1"}
    ended = ran(tmp_path, confdir, script, OBSERVED[script], simulator.credentials.token(), upstreams)
    assert len(simulator.seen) - before == len(OBSERVED[script])
    assert "gpt-4o" in ended.stderr


@pytest.mark.parametrize("script", OBSERVED)
def test_messages_that_are_converted(
    tmp_path: Path, confdir: Path, simulator: Simulator, key_file: Path, script: str
) -> None:
    sets = ("openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key_file}")
    upstreams = {"GOOGLE_VERTEX_BASE_URL": simulator.url, "ANTHROPIC_BASE_URL": "https://gateway.example"}
    ran(tmp_path, confdir, script, ["messages"], "", upstreams, sets)


@pytest.mark.parametrize("script", OBSERVED)
def test_proxy(tmp_path: Path, confdir: Path, google: Simulator, ca_file: Path, script: str) -> None:
    variables = environment({443: google.port}) | {"SSL_CERT_FILE": str(ca_file)}
    ended = ran(tmp_path, confdir, script, OBSERVED[script], google.credentials.token(), variables, via="proxy")
    assert "gemini-2.5-flash" in ended.stderr
