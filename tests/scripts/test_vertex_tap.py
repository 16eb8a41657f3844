"""The command line, as users type it."""

import csv
import io
import json
import re
import socket
import sqlite3
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import click
import pytest

from addons.configuration.settings import OPTIONS
from metering.call import COLUMNS
from metering.call import Call
from metering.ledger import Ledger
from metering.selection import KEYS
from tests.process import BIN
from tests.process import ROOT
from vertex_tap import FORMATS
from vertex_tap import KINDS
from vertex_tap import main

DAY_US = 86_400_000_000


def run(folder: Path, *arguments: str, status: int = 0) -> str:
    command = [str(BIN / "vertex-tap"), *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == status, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout if status == 0 else ended.stdout + ended.stderr


def rows(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    parsed: list[dict[str, Any]] = json.loads(run(folder, *arguments, "--format", "json"))
    return parsed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a ledger of four calls, one of them two days old."""
    ledger = Ledger(tmp_path / "usage.db")
    now = time.time_ns() // 1000
    common: dict[str, Any] = {"state": "done", "ended_at": now, "status": 200, "operation": "generateContent"}
    final = {"usage_state": "final", "duration_us": 1500, "ttft_us": 500, "overhead_us": 90}
    one = {"model": "gemini-2.5-flash", "input_tokens": 1000, "output_tokens": 7, "total_tokens": 1007}
    failed = {"model": "gemini-2.5-pro", "status": 429, "error_type": "RESOURCE_EXHAUSTED"}
    for call in (
        Call(**common | final | one, started_at=now - 3000, tags={"x-team": "red"}),
        Call(**common | final | one, started_at=now - 2 * DAY_US),
        Call(**common | failed, usage_state="not_applicable", started_at=now - 2000),
        Call(**common, model="gemini-2.5-pro", usage_state="absent", started_at=now - 1000),
    ):
        ledger.commit(call)
    ledger.close()
    return tmp_path


class TestUsage:
    def test_by_model(self, folder: Path) -> None:
        flash, pro = rows(folder, "report", "usage", "--by", "model")
        assert list(flash)[:4] == ["model", "calls", "errors", "covered_calls"]
        assert (flash["model"], flash["calls"], flash["covered_calls"]) == ("gemini-2.5-flash", 2, 2)
        assert (flash["input_tokens"], flash["images"]) == (2000, None)
        assert (pro["calls"], pro["errors"], pro["covered_calls"], pro["input_tokens"]) == (2, 1, 0, None)

    def test_it_is_the_default(self, folder: Path) -> None:
        assert rows(folder, "report") == rows(folder, "report", "usage", "--by", "model")
        assert rows(folder, "report", "usage.db") == rows(folder, "report", "usage", "usage.db")

    def test_by_several_keys(self, folder: Path) -> None:
        report = rows(folder, "report", "usage", "--by", "day,model,tag:x-team", "--tz", "Europe/Berlin")
        assert len(report) == 4 - 1
        assert list(report[0])[:3] == ["day", "model", "tag:x-team"]
        assert {row["tag:x-team"] for row in report} == {"red", None}

    def test_since(self, folder: Path) -> None:
        (report,) = rows(folder, "report", "usage", "--by", "", "--since", "24h")
        assert (report["calls"], report["input_tokens"]) == (3, 1000)
        (report,) = rows(folder, "report", "usage", "--by", "", "--until", "1d")
        assert report["calls"] == 1

    def test_table(self, folder: Path) -> None:
        table = run(folder, "report", "usage")
        assert re.search(r"gemini-2.5-flash .* 2,000 ", table)
        assert re.search(r"gemini-2.5-pro .* unknown .* unknown", table)
        assert "The sums cover 2 of 4 calls" in table
        # Sums that nobody reported take no room.
        assert "video" not in table

    def test_csv(self, folder: Path) -> None:
        report = list(csv.DictReader(io.StringIO(run(folder, "report", "usage", "--format", "csv"))))
        assert [row["model"] for row in report] == ["gemini-2.5-flash", "gemini-2.5-pro"]
        assert (report[0]["input_tokens"], report[1]["input_tokens"]) == ("2000", "")

    def test_globs_and_several_ledgers(self, folder: Path) -> None:
        other = folder / "other.db"
        other.write_bytes((folder / "usage.db").read_bytes())
        assert sum(row["calls"] for row in rows(folder, "report", "usage", "*.db", "usage.db")) == 8

    def test_no_calls(self, tmp_path: Path) -> None:
        Ledger(tmp_path / "usage.db").close()
        assert rows(tmp_path, "report", "usage") == []
        assert run(tmp_path, "report", "usage") == "No calls.\n"
        assert run(tmp_path, "report", "usage", "--format", "csv").startswith("model,calls,errors,covered_calls,")


def test_latency(folder: Path) -> None:
    flash, pro = rows(folder, "report", "latency", "--by", "model")
    assert (flash["duration_p50_us"], flash["ttft_p99_us"], flash["overhead_p90_us"]) == (1500, 500, 90)
    assert pro["duration_p50_us"] is None
    table = run(folder, "report", "latency")
    assert re.search(r"gemini-2.5-flash .* 1\.5 ", table)
    assert "unknown" in table


def test_errors(folder: Path) -> None:
    (error,) = rows(folder, "report", "errors")
    assert error == {"status": 429, "error_type": "RESOURCE_EXHAUSTED", "model": "gemini-2.5-pro", "calls": 1}
    assert "RESOURCE_EXHAUSTED" in run(folder, "report", "errors")


def test_calls(folder: Path) -> None:
    calls = rows(folder, "report", "calls")
    assert [tuple(call) for call in calls] == [COLUMNS] * 4
    assert [call["started_at"] for call in calls] == sorted(call["started_at"] for call in calls)
    assert len(run(folder, "report", "calls").splitlines()) == 4 + 4


@pytest.mark.parametrize("kind", ["usage", "latency", "errors", "calls"])
def test_html(folder: Path, kind: str) -> None:
    """What is asked for comes first, and nothing but the file is printed."""
    html = run(folder, "report", kind, "--format", "html", "--since", "7d")
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", html)[:2] == [f"report {kind}", "In all"]
    assert html.startswith("<!doctype html>")
    assert html.endswith("</html>")
    assert "gemini-2.5-pro" in html


def test_dashboard_says_what_is_wrong(folder: Path) -> None:
    """That it shows something is tested in tests/browser."""
    assert "there is no ledger none.db" in run(folder, "dashboard", "none.db", status=1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "choose another with --port" in run(folder, "dashboard", "--port", port, status=1)


def test_export(folder: Path) -> None:
    exported = list(csv.DictReader(io.StringIO(run(folder, "export"))))
    assert [tuple(row) for row in exported] == [COLUMNS] * 4
    assert json.loads(run(folder, "export", "--format", "json")) == rows(folder, "report", "calls")


def test_prune(folder: Path) -> None:
    assert run(folder, "prune", "--older-than", "1d") == "usage.db: 1 rows deleted\n"
    assert len(rows(folder, "report", "calls")) == 3
    assert sum(row["calls"] for row in rows(folder, "report", "usage")) == 4
    run(folder, "verify")


def test_verify(folder: Path) -> None:
    assert all(": ok: " in line for line in run(folder, "verify").splitlines())
    with sqlite3.connect(folder / "usage.db") as db:
        db.execute("UPDATE rollup SET calls = 9 WHERE model = 'gemini-2.5-flash'")
    db.close()
    assert "BROKEN" in run(folder, "verify", status=1)


def test_verify_names_rows_that_were_set_aside(folder: Path) -> None:
    """They are no fault of the ledger."""
    rejected = folder / "usage.db.rejected"
    rejected.write_text(
        '{"reason": "integer overflow", "row": {"id": "a"}}\n' * 2 + '{"reason": "it has no id", "row": 1}\n'
    )
    told = run(folder, "verify").splitlines()
    assert told[-2:] == [
        "usage.db: set aside in usage.db.rejected (2 rows): integer overflow",
        "usage.db: set aside in usage.db.rejected (1 rows): it has no id",
    ]
    assert all(": ok: " in line for line in told[:-2])
    rejected.unlink()
    rejected.mkdir()
    assert "usage.db.rejected cannot be read (Is a directory)" in run(folder, "verify")


def test_a_damaged_ledger(folder: Path) -> None:
    with (folder / "usage.db").open("r+b") as file:
        file.seek(24576)
        file.write(b"\xff" * 4000)
    assert "BROKEN (1 times): the file is whole" in run(folder, "verify", status=1)
    assert run(folder, "export", status=1).splitlines()[-1].startswith("Error: the ledger cannot be read")


def test_globs_and_names(folder: Path) -> None:
    """What stands beside a ledger is none; the same file counts once."""
    (folder / "other.db").write_bytes((folder / "usage.db").read_bytes())
    for companion in (
        "usage.db-wal",
        f"usage.db.spill-{uuid.uuid4()}",
        f"usage.db.{uuid.uuid4()}.lock",
        "usage.db.rejected",
    ):
        (folder / companion).touch()
    once = sum(row["calls"] for row in rows(folder, "report", "usage"))
    assert sum(row["calls"] for row in rows(folder, "report", "usage", "*.db*")) == 2 * once
    assert sum(row["calls"] for row in rows(folder, "report", "usage", "usage.db", str(folder / "usage.db"))) == once


@pytest.mark.parametrize(
    ("arguments", "help"),
    [
        (("report", "usage", "nowhere.db"), "there is no ledger nowhere.db"),
        (("report", "usage", "text.txt"), "text.txt is not a ledger"),
        (("report", "usage", "--by", "modle"), "cannot group by 'modle'; choose from day, hour, model"),
        (("report", "usage", "--since", "tomorrow"), "write 7d, 24h, today, yesterday"),
        (("report", "usage", "--tz", "Mars"), "write an IANA name such as Europe/Berlin"),
        (("report", "calls", "--by", "model"), "leave out --by"),
        (("prune", "--older-than", "old"), "write 90d or 12h"),
        (("verify", "nowhere.db"), "there is no ledger nowhere.db"),
    ],
)
def test_what_cannot_be_done(folder: Path, arguments: tuple[str, ...], help: str) -> None:
    (folder / "text.txt").write_text("This is a text of some length, and no database at all. " * 20)
    answer = run(folder, *arguments, status=1)
    assert answer.startswith("Error: ")
    assert help in answer
    assert len(answer.splitlines()) == 1
    assert not (folder / "nowhere.db").exists()


def test_misspelt_words(folder: Path) -> None:
    assert "Invalid value for '--format'" in run(folder, "report", "--format", "xml", status=2)
    assert "No such option '--bye'" in run(folder, "report", "--bye", "x", status=2)
    assert "No such command 'reprot'" in run(folder, "reprot", status=2)
    # A word that is no report is taken for a ledger.
    assert "there is no ledger useage" in run(folder, "report", "useage", status=1)


class TestReadme:
    """README names every option and command, and none that there is not."""

    README = (ROOT / "README.md").read_text()

    @pytest.mark.parametrize("option", OPTIONS)
    def test_options(self, option: str) -> None:
        default = OPTIONS[option][0]
        assert re.search(
            rf"^\| `{option}` \| {re.escape(f'`{default}`' if default else '')} ?\|", self.README, re.MULTILINE
        )

    def test_no_other_options(self) -> None:
        named = set(re.findall(r"^\| `((?:vertex|openai|gateway|usage)_\w+)`", self.README, re.MULTILINE))
        assert named == set(OPTIONS)

    @pytest.mark.parametrize("command", main.commands)
    def test_commands(self, command: str) -> None:
        assert f"`vertex-tap {command}" in self.README
        for parameter in main.commands[command].params:
            if isinstance(parameter, click.Option) and parameter.opts != ["--help"]:
                assert parameter.opts[0] in self.README, parameter

    def test_no_other_commands(self) -> None:
        assert set(re.findall(r"`vertex-tap (\w+)", self.README)) == set(main.commands)

    def test_words(self) -> None:
        for word in (*KINDS, *FORMATS, *KEYS):
            assert re.search(rf"\b{word}\b", self.README), word
