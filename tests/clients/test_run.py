"""Programs with real SDKs under `vertex-tap run`. They know nothing of a proxy, and are told no base URL."""

import json
import os
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.addons.test_run import command as run_command
from tests.addons.test_run import without_settings
from tests.applications import APPLICATIONS
from tests.applications import programs
from tests.clients.conftest import command
from tests.forked import run
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.loopback import environment
from tests.process import rows_of
from tests.vertex_simulator import Simulator

SCRIPTS = ("plain_calls.py", "plain_calls.mjs")
OBSERVED = ["gemini", "chat", "claude"]
CODEX = next(application for application in APPLICATIONS if application.name == "Codex CLI")
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


@pytest.mark.parametrize("script", SCRIPTS)
def test_base_url(tmp_path: Path, confdir: Path, simulator: Simulator, script: str) -> None:
    before = len(simulator.seen)
    upstreams = {"GOOGLE_VERTEX_BASE_URL": simulator.url, "OPENAI_BASE_URL": f"{simulator.url}/v1"}
    ended = ran(tmp_path, confdir, script, OBSERVED, simulator.credentials.token(), upstreams)
    assert len(simulator.seen) - before == len(OBSERVED)
    assert "gpt-4o" in ended.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_messages_that_are_converted(
    tmp_path: Path, confdir: Path, simulator: Simulator, key_file: Path, script: str
) -> None:
    sets = ("openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key_file}")
    upstreams = {"GOOGLE_VERTEX_BASE_URL": simulator.url, "ANTHROPIC_BASE_URL": "https://gateway.example"}
    ran(tmp_path, confdir, script, ["messages"], "", upstreams, sets)


@pytest.mark.parametrize("script", SCRIPTS)
def test_proxy(tmp_path: Path, confdir: Path, google: Simulator, ca_file: Path, script: str) -> None:
    variables = environment({443: google.port}) | {"SSL_CERT_FILE": str(ca_file)}
    ended = ran(tmp_path, confdir, script, OBSERVED, google.credentials.token(), variables, via="proxy")
    assert "gemini-2.5-flash" in ended.stderr


def test_curl(tmp_path: Path, confdir: Path, google: Simulator, ca_file: Path) -> None:
    asked = ["curl", "-sS", "--fail", "-H", f"x-goog-api-key: {API_KEY}", "--json", json.dumps(HELLO)]
    program = [*asked, f"https://aiplatform.googleapis.com{MODEL}:generateContent"]
    variables = environment({443: google.port}) | {"SSL_CERT_FILE": str(ca_file)}
    ended = run(run_command(tmp_path, confdir, *program, via="proxy"), tmp_path, without_settings(**variables))
    assert (ended.returncode, "Hello" in ended.stdout) == (0, True), ended.stderr
    (row,) = rows_of(tmp_path / "usage.db")
    assert (row["surface"], row["state"], row["usage_state"]) == ("vertex", "done", "final")
    assert "gemini-2.5-flash" in ended.stderr


def test_codex(tmp_path: Path, confdir: Path, google: Simulator, ca_file: Path) -> None:
    """It asks OpenAI's own host for a model of OpenAI's, over a WebSocket."""
    flags = ["--model", "gpt-5.5", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    variables = environment({443: google.port}) | {
        "SSL_CERT_FILE": str(ca_file),
        "HOME": str(tmp_path),
        "CODEX_API_KEY": "sk-simulated",
        "PATH": os.pathsep.join([*map(str, programs(CODEX)), os.environ["PATH"]]),
    }
    program = run_command(tmp_path, confdir, "codex", "exec", *flags, "Say hello.", via="proxy")
    ended = run(program, tmp_path, without_settings(**variables), seconds=100)
    assert ended.returncode == 0, ended.stderr
    # It begins with a response that it wants no output of.
    first, second = rows_of(tmp_path / "usage.db")
    assert {(row["operation"], row["upstream_host"], row["state"]) for row in (first, second)} == {
        ("responses", "api.openai.com", "done")
    }
    assert [row["usage_state"] for row in (first, second)] == ["absent", "final"]
    assert second["sdk"].startswith("codex_exec/")
    assert "gpt-5.5" in ended.stderr
