"""The question of README, answered by the commands that stand there. Its sum was worked out by hand (tests/week.py)."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.process import BIN
from tests.process import ROOT
from tests.terminal import in_terminal
from tests.week import CALLS
from tests.week import COST_USD
from tests.week import ERRORS
from tests.week import REASONS
from tests.week import UNPRICED
from tests.week import week

README = (ROOT / "README.md").read_text()
_ASKED = re.search(r'^    asked="(.*)"$', README, re.MULTILINE)
ASKED = shlex.split(_ASKED[1]) if _ASKED else []
COMMANDS = re.findall(r"^    vertex-tap report (\w+) \$asked", README, re.MULTILINE)


@pytest.fixture(scope="module", params=["tag", "client"])
def question(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder of a ledger, and the filters of README; those of a named client instead of a tag."""
    folder: Path = tmp_path_factory.mktemp("week")
    is_named = request.param == "client"
    week(folder / "usage.db", is_named=is_named)
    text = " ".join(ASKED)
    return folder, text.replace("--tag x-team=", "--client ").split() if is_named else ASKED


def rows(question: tuple[Path, list[str]], kind: str) -> list[dict[str, Any]]:
    folder, asked = question
    command = [str(BIN / "vertex-tap"), "report", kind, *asked, "--format", "json"]
    made = subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60).stdout
    parsed: list[dict[str, Any]] = json.loads(made)
    return parsed


def test_readme_has_them() -> None:
    assert COMMANDS == ["usage", "latency", "errors", "calls"]
    assert {"yesterday", "x-team=team-a", "gemini-2.5-pro"} <= {*ASKED}


def test_what_it_cost(question: tuple[Path, list[str]]) -> None:
    (row,) = rows(question, "usage")
    assert (row["calls"], row["errors"], row["unpriced_calls"]) == (CALLS, ERRORS, UNPRICED)
    assert row["cost_usd"] == pytest.approx(COST_USD, abs=1e-9)


def test_whether_it_was_slow(question: tuple[Path, list[str]]) -> None:
    (row,) = rows(question, "latency")
    assert row["duration_p50_us"] == pytest.approx(4_000_000, rel=0.05)
    assert row["duration_p90_us"] == pytest.approx(40_000_000, rel=0.05)


def test_why_calls_failed(question: tuple[Path, list[str]]) -> None:
    assert {(row["status"], row["error_type"]) for row in rows(question, "errors")} == REASONS


@pytest.mark.parametrize("columns", [60, 80])
def test_the_answers_are_seen_at_once(question: tuple[Path, list[str]], columns: int) -> None:
    """In a terminal, each answer is in the first table."""
    folder, asked = question
    said = {kind: in_terminal(columns, folder, "report", kind, *asked)[0] for kind in COMMANDS}
    first = {kind: text.partition("\n\n")[0] for kind, text in said.items()}
    assert re.search(rf"total +{CALLS} +{ERRORS} +\$1\.0456", first["usage"])
    assert re.search(r"total +39 +4\.\d\d s +4\d\.\d\d s", first["latency"])
    assert f"The cost of {UNPRICED} of {CALLS} calls is not known in full" in said["usage"].replace("\n", " ").replace(
        "  ", " "
    )
    for meaning in ("upstream_cut: the", "PERMISSION_DENIED: the", "RESOURCE_EXHAUSTED: the"):
        assert meaning in said["errors"]
    assert all(max(map(len, text.splitlines())) <= columns for text in said.values())


def test_a_team_that_is_no_client(question: tuple[Path, list[str]]) -> None:
    """Whoever takes a tag for a client, or the other way round, is told."""
    folder, asked = question
    text = " ".join(asked)
    if "--tag" in asked:
        said, _ = in_terminal(80, folder, "report", *text.replace("--tag x-team=", "--client ").split())
        assert "There is such a tag: --tag x-team=team-a" in said
    else:
        said, _ = in_terminal(80, folder, "report", *text.replace("--client ", "--tag x-team=").split())
        assert "No call has a tag x-team" in said
