"""What `vertex-tap doctor` prints is also tested in tests/scripts/test_vertex_tap.py."""

import json
from pathlib import Path

import pytest

from addons.doctor.finding import Finding
from addons.doctor.report import OFFLINE
from addons.doctor.report import ONLINE
from addons.doctor.report import doctor
from addons.doctor.report import print_lines
from tests.terminal import in_terminal
from tests.vertex_simulator import Simulator

FINDINGS = [
    Finding("Python", True, "3.13.0"),
    Finding("mitmproxy", True, "12.1.1 lacks fixes", "upgrade it"),
    Finding("proxy variables", False, "a sentence of many words, " * 6 + "and [red]its[/red] end", "a remedy " * 12),
]


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_lines(FINDINGS, OFFLINE) == FINDINGS
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        OFFLINE,
        "",
        "ok      Python           3.13.0",
        "advice  mitmproxy        12.1.1 lacks fixes",
        "                         -> upgrade it",
    ]
    assert lines[5].startswith("FAILED  proxy variables  a sentence")
    assert lines[-2:] == ["", "Faults: 1."]
    assert not any(line.endswith(" ") for line in lines)
    assert lines[5].endswith("and [red]its[/red] end")
    # No colours where there is no terminal.
    assert "\x1b" not in "".join(lines)


def test_in_a_terminal(tmp_path: Path) -> None:
    """Whole words, within its width."""
    said, status = in_terminal(
        80, tmp_path, "doctor", "--set", f"confdir={tmp_path}", "--set", "usage_db=a/b", "--online"
    )
    assert status == 1
    assert max(map(len, said.splitlines())) <= 80
    assert said.splitlines()[0] == ONLINE


def test_json(capsys: pytest.CaptureFixture[str], simulator: Simulator, tmp_path: Path) -> None:
    options = [f"confdir={tmp_path}", f"vertex_endpoint={simulator.url}", "listen_port=0"]
    status = doctor([*options, f"usage_db={tmp_path / 'usage.db'}"], "json", is_online=False)
    found = json.loads(capsys.readouterr().out)
    assert status == 0
    assert {tuple(one) for one in found} == {("check", "ok", "message", "remedy")}
    assert all(one["ok"] is True for one in found)
    assert doctor([*options, "usage_db=none/usage.db"], "json", is_online=False) == 1
    wrong = [one for one in json.loads(capsys.readouterr().out) if not one["ok"]]
    assert wrong == [
        {
            "check": "ledger",
            "ok": False,
            "message": "usage_db: there is no directory none",
            "remedy": "create it or name another file",
        }
    ]
