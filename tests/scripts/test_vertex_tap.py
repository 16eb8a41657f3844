"""The command line, as users type it."""

import csv
import io
import json
import os
import re
import select
import signal
import socket
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet
import pytest
import yaml

from addons.configuration.settings import OPTIONS
from metering import progress
from metering import reports
from metering.call import COLUMNS
from metering.call import Call
from metering.kinds import KINDS
from metering.ledger import Ledger
from metering.selection import KEYS
from tests.ledgers import Disk
from tests.ledgers import of_version
from tests.process import BIN
from tests.process import ROOT
from tests.terminal import in_terminal
from tests.vertex_simulator import Simulator
from vertex_tap import FORMATS
from vertex_tap import main

DAY_US = 86_400_000_000


def run(folder: Path, *arguments: str, status: int = 0) -> str:
    command = [str(BIN / "vertex-tap"), *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == status, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout if status == 0 else ended.stdout + ended.stderr


def test_reports_do_not_load_what_they_do_not_need() -> None:
    """It would take longer than the reports themselves."""
    script = "import sys, vertex_tap; print({'mitmproxy', 'sqlite_utils', 'starlette'} & {*sys.modules})"
    assert subprocess.check_output([BIN / "python", "-c", script], text=True) == "set()\n"


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
        assert "Usage is known in full for 2 of 4 calls" in table
        assert re.search(r"total .* 4 .* 1 .* 2,000 .* 14 .* 2 ", table)
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
        assert run(tmp_path, "report", "usage") == "No calls.\nThe ledger has no calls yet.\n"
        assert run(tmp_path, "report", "usage", "--format", "csv").startswith("model,calls,errors,covered_calls,")


class TestCost:
    def test_by_model(self, folder: Path) -> None:
        flash, pro = rows(folder, "report", "cost", "--by", "model")
        assert list(flash) == [
            *("model", "calls", "input_usd", "cached_usd", "output_usd", "other_usd", "cost_usd", "cache_saved_usd"),
            "unpriced_calls",
        ]
        # Twice 1,000 x 0.30/M + 7 x 2.50/M.
        assert flash["cost_usd"] == 0.000635
        assert (flash["unpriced_calls"], pro["cost_usd"], pro["unpriced_calls"]) == (0, None, 1)

    def test_usage_has_it_too(self, folder: Path) -> None:
        flash, pro = rows(folder, "report")
        assert list(flash)[-2:] == ["cost_usd", "unpriced_calls"]
        assert (flash["cost_usd"], pro["cost_usd"], pro["unpriced_calls"]) == (0.000635, None, 1)

    def test_a_price_file(self, folder: Path) -> None:
        (folder / "prices.yaml").write_text("prices: [{model: gemini-*, tokens: {input: 1000, output: 0}}]")
        (report,) = rows(folder, "report", "cost", "--by", "", "--prices", "prices.yaml")
        assert report["cost_usd"] == 2
        (folder / "prices.yaml").write_text("prices: [{model: gemini-*, tokns: {input: 1000}}]")
        told = run(folder, "report", "--prices", "prices.yaml", status=1)
        assert told == "Error: prices.yaml:1: prices[0].tokns: there is no such key; did you mean tokens?\n"

    def test_csv(self, folder: Path) -> None:
        report = list(csv.DictReader(io.StringIO(run(folder, "report", "cost", "--format", "csv"))))
        assert [row["cost_usd"] for row in report] == ["0.000635", ""]


class TestPrices:
    def test_of_a_model(self, tmp_path: Path) -> None:
        told = rows(tmp_path, "prices", "claude-sonnet-4-5@20250929")
        (hourly,) = (
            row for row in told if (row["kind"], row["tier"], row["above"]) == ("cache_write_1h", "standard", 0)
        )
        assert (hourly["usd"], hourly["per"], hourly["model"]) == (6, "million tokens", "claude-sonnet-4-5")
        assert "cache_write_1h" in run(tmp_path, "prices", "claude-sonnet-4-5")

    def test_of_all(self, tmp_path: Path) -> None:
        (tmp_path / "prices.yaml").write_text("prices: [{model: mine, per_item: 3, source: me}]")
        told = rows(tmp_path, "prices", "--prices", "prices.yaml")
        assert (told[0]["model"], told[0]["usd"], told[0]["source"]) == ("mine", 3, "me")
        assert len(told) > 500

    def test_of_no_model(self, tmp_path: Path) -> None:
        told = run(tmp_path, "prices", "gemini-2.5-pro-next", status=1)
        assert told == "Error: no price of gemini-2.5-pro-next is known; vertex-tap prices lists models that have one\n"


def test_latency(folder: Path) -> None:
    flash, pro = rows(folder, "report", "latency", "--by", "model", "--exact")
    assert (flash["duration_p50_us"], flash["ttft_p99_us"], flash["overhead_p90_us"]) == (1500, 500, 90)
    assert pro["duration_p50_us"] is None
    near, _ = rows(folder, "report", "latency", "--by", "model")
    assert 0 < abs(near["duration_p50_us"] - 1500) < 75
    table = run(folder, "report", "latency", "--exact")
    assert re.search(r"gemini-2.5-flash .* 1\.5 ms ", table)
    assert re.search(r"total .* 4 .* 1\.5 ms ", table)
    assert "unknown" in table


def test_errors(folder: Path) -> None:
    (error,) = rows(folder, "report", "errors")
    assert error == {"status": 429, "error_type": "RESOURCE_EXHAUSTED", "model": "gemini-2.5-pro", "calls": 1}
    table = run(folder, "report", "errors")
    assert re.search(r"429 .*RESOURCE_EXHAUSTED .* 1\n", table)
    assert re.search(r"total .* 1\n", table)


def test_calls(folder: Path) -> None:
    calls = rows(folder, "report", "calls")
    assert [tuple(call) for call in calls] == [COLUMNS] * 4
    assert [call["started_at"] for call in calls] == sorted(call["started_at"] for call in calls)
    assert run(folder, "report", "calls").count("gemini-2.5-") == 4


@pytest.mark.parametrize("kind", ["usage", "cost", "latency", "errors", "calls"])
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
        said = f"Error: port {port} cannot be used (Address already in use); choose another with --port\n"
        assert run(folder, "dashboard", "--port", port, status=1) == said


def test_export(folder: Path) -> None:
    exported = list(csv.DictReader(io.StringIO(run(folder, "export"))))
    assert [tuple(row) for row in exported] == [COLUMNS] * 4
    assert json.loads(run(folder, "export", "--format", "json")) == rows(folder, "report", "calls")
    assert run(folder, "export", "--format", "parquet", "--output", "calls.parquet") == ""
    assert [row["id"] for row in pyarrow.parquet.read_table(folder / "calls.parquet").to_pylist()] == [
        row["id"] for row in exported
    ]


def test_parquet_is_not_for_terminals(folder: Path) -> None:
    said, status = in_terminal(80, folder, "export", "--format", "parquet")
    assert (said, status) == ("Error: Parquet is no text; write it to a file with --output FILE\n", 1)


@pytest.mark.parametrize("kind", ["usage", "cost", "latency", "errors"])
def test_a_report_that_takes_long(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE_S", 0.01)
    read = reports.snapshot

    @contextmanager
    def slowly(db: sqlite3.Connection) -> Iterator[None]:
        time.sleep(0.3)
        with read(db):
            yield

    monkeypatch.setattr(reports, "snapshot", slowly)
    said, status = in_terminal(80, folder, "report", kind)
    assert (status, "reading calls" in said) == (0, True), said


@pytest.mark.parametrize("arguments", ["export", "report calls", "report --format csv", "report --format json"])
def test_a_reader_that_goes_away(folder: Path, arguments: str) -> None:
    command = f"set -o pipefail; {BIN / 'vertex-tap'} {arguments} | true"
    ended = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    # Whether it notices depends on who is faster.
    assert ended.returncode in (0, 1)
    assert ended.stderr == ""


def test_a_closed_pipe(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [str(BIN / "vertex-tap"), "export"]
    ended = subprocess.run(command, cwd=folder, stdout=writing, stderr=-1, text=True, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize(
    "arguments", [("export",), ("export", "--format", "parquet"), ("report",), ("report", "calls")]
)
def test_a_full_disk(folder: Path, arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [BIN / "vertex-tap", *arguments], cwd=folder, stdout=full, stderr=-1, text=True, check=False
        )
    assert ended.returncode == 1
    assert ended.stderr == "Error: the output cannot be written (No space left on device)\n"


def test_an_output_that_cannot_be_made(folder: Path) -> None:
    said = run(folder, "export", "--output", "nowhere/x.csv", status=1)
    assert said.endswith("/nowhere/x.csv cannot be used (No such file or directory)\n")
    (folder / "out.csv").write_text("old")
    assert run(folder, "export", "--output", "out.csv", "nowhere.db", status=1).startswith("Error: ")
    assert (folder / "out.csv").read_text() == "old"


def test_show(folder: Path) -> None:
    first, *_ = rows(folder, "report", "calls")
    assert json.loads(run(folder, "show", first["id"], "--format", "json")) == first | {"tries": []}
    assert first["id"] in run(folder, "show", first["id"][:-1])


@pytest.mark.parametrize("form", ["table", "json"])
def test_tail(folder: Path, form: str) -> None:
    command = [str(BIN / "vertex-tap"), "tail", "--model", "gemini-3*", "--format", form]
    with (
        subprocess.Popen(command, cwd=folder, stdout=-1, stderr=-1, text=True) as following,
        closing(Ledger(folder / "usage.db")) as ledger,
    ):
        assert following.stdout
        assert following.stderr
        assert form == "json" or following.stdout.readline().startswith("started ")
        # JSON has no line that says when it has begun, so calls come until one is seen.
        while not select.select([following.stdout], [], [], 0.5)[0]:
            now = time.time_ns() // 1000
            common: dict[str, Any] = {"state": "done", "usage_state": "final", "started_at": now, "ended_at": now}
            ledger.commit(Call(**common, model="gemini-2.5-pro"))
            ledger.commit(Call(**common, model="gemini-3-pro", input_tokens=1000))
        lines = [following.stdout.readline()]
        following.send_signal(signal.SIGINT)
        assert following.wait(30) == 0
        lines += following.stdout.read().splitlines()
        assert following.stderr.read() == ""
    for line in lines:
        if form == "json":
            assert (json.loads(line)["model"], json.loads(line)["input_tokens"]) == ("gemini-3-pro", 1000)
        else:
            assert re.search(r" gemini-3-pro .* 1,000 ", line)


def test_options(folder: Path) -> None:
    said, status = in_terminal(80, folder, "options")
    assert status == 0
    for name in OPTIONS:
        assert re.search(rf"^{name} ", said, re.MULTILINE)
    assert max(map(len, said.splitlines())) <= 80


def test_script_path(tmp_path: Path) -> None:
    assert Path(run(tmp_path, "script-path").strip()) == ROOT / "addons" / "gateway.py"


def test_alone_it_prints_its_help(tmp_path: Path) -> None:
    assert run(tmp_path).startswith("Usage: vertex-tap ")
    assert "vertex-tap options" in run(tmp_path, "serve", "--help")


class TestWhereNothingCanBeWritten:
    """A ledger in an archive."""

    @pytest.fixture
    def archive(self, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
        place = tmp_path_factory.mktemp("archive")
        try:
            disk = Disk(place)
        except PermissionError:
            pytest.skip("no file system can be mounted here")
        of_version(place / "old.db", 3, [{"id": "a", "model": "old", "usage_state": "absent"}])
        for file in (place, folder):
            # The row stays in the -wal file until the ledger is closed.
            assert not (file / "usage.db-wal").exists()
        (place / "usage.db").write_bytes((folder / "usage.db").read_bytes())
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        yield place
        disk.remove()

    def test_it_is_read(self, archive: Path) -> None:
        assert {row["model"] for row in rows(archive, "report", "old.db", "usage.db")} == {
            "old",
            "gemini-2.5-flash",
            "gemini-2.5-pro",
        }
        assert all(": ok: " in line for line in run(archive, "verify", "old.db").splitlines())

    def test_rows_that_are_not_in_it_yet(self, archive: Path) -> None:
        subprocess.run(["mount", "-o", "remount,rw", archive], check=True)
        (archive / "usage.db-wal").write_bytes(b"x" * 100)
        subprocess.run(["mount", "-o", "remount,ro", archive], check=True)
        assert "copy both files into another folder" in run(archive, "report", status=1)


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


@pytest.mark.parametrize("command", [("report", "--by", ""), ("export", "--format", "json")])
def test_what_is_typed_in_latin_1(folder: Path, command: tuple[str, ...]) -> None:
    ledger = Ledger(folder / "usage.db")
    ledger.commit(Call(state="done", usage_state="absent", started_at=1, model="Müller", tags={"x-team": "Müller"}))
    ledger.close()
    typed = "Müller".encode("latin-1").decode(errors="surrogateescape")
    for asked in (("--model", typed), ("--tag", f"x-team={typed}")):
        (row,) = json.loads(run(folder, *command, *asked, *(() if "json" in command else ("--format", "json"))))
        assert row.get("calls", 1) == 1
    assert "no call has an id" in run(folder, "show", typed, status=1)


@pytest.mark.parametrize(
    "arguments",
    [("verify",), ("prune", "--older-than", "90d"), ("export", "--output", "no\x07/x"), ("report", "--by", "\x07")],
)
def test_a_name_with_control_characters(folder: Path, arguments: tuple[str, ...]) -> None:
    (folder / "usage.db").rename(folder / "a\x07b.db")
    said, _ = in_terminal(200, folder, *arguments, "a\x07b.db")
    assert "\\x07" in said
    assert "\x07" not in said


@pytest.mark.parametrize(
    ("arguments", "help"),
    [
        (("report", "usage", "nowhere.db"), "there is no ledger nowhere.db"),
        (("report", "usage", "text.txt"), "text.txt is not a ledger"),
        (("report", "usage", "--by", "modle"), "cannot group by 'modle'; choose from day, hour, model"),
        (("report", "usage", "--since", "tomorrow"), "write 7d, 24h, today, yesterday"),
        (("report", "usage", "--tz", "Mars"), "write an IANA name such as Europe/Berlin"),
        (("report", "calls", "--by", "model"), "leave out --by"),
        (("report", "--exact"), "only the report of latencies takes --exact"),
        (("show", "0"), "several calls have ids that begin with '0'"),
        (("show", "none"), "no call has an id that begins with 'none'"),
        (("tail", "text.txt"), "text.txt is not a ledger"),
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


def test_a_limit_beyond_all_numbers(folder: Path) -> None:
    assert "--limit" in run(folder, "report", "calls", "--limit", "9" * 20, status=2)


def test_misspelt_words(folder: Path) -> None:
    assert "Invalid value for '--format'" in run(folder, "report", "--format", "xml", status=2)
    assert "No such option '--bye'" in run(folder, "report", "--bye", "x", status=2)
    assert "No such command 'reprot'" in run(folder, "reprot", status=2)
    assert "no report or ledger usages; did you mean usage?" in run(folder, "report", "usages", status=1)
    # Any other word that is no report is taken for a ledger.
    assert "there is no ledger march" in run(folder, "report", "march", status=1)
    (folder / "usages").write_bytes((folder / "usage.db").read_bytes())
    assert len(rows(folder, "report", "usages")) == 2


class TestDatasette:
    def test_metadata(self, folder: Path) -> None:
        told = yaml.safe_load(run(folder, "datasette"))
        assert "usage_by_model" in told["databases"]["usage"]["queries"]
        assert told["databases"]["usage"]["tables"]["v_calls"]["units"]["duration_ms"] == "ms"
        (folder / "usage.db").rename(folder / "other.db")
        assert list(yaml.safe_load(run(folder, "datasette", "other.db"))["databases"]) == ["other"]

    def test_configuration(self, folder: Path) -> None:
        assert set(yaml.safe_load(run(folder, "datasette", "--config"))) == {"databases", "plugins"}

    def test_no_ledger(self, folder: Path) -> None:
        assert "Error: there is no ledger none.db" in run(folder, "datasette", "none.db", status=1)


class TestDoctor:
    """Through the eyes of someone who has just set it up."""

    @pytest.fixture
    def sets(self, tmp_path: Path, simulator: Simulator) -> list[str]:
        """A set-up in which nothing is wrong."""
        options = {"confdir": tmp_path / "confdir", "vertex_endpoint": simulator.url, "listen_port": 0}
        return [part for name, value in options.items() for part in ("--set", f"{name}={value}")]

    def test_nothing_is_wrong(self, tmp_path: Path, sets: list[str]) -> None:
        told = run(tmp_path, "doctor", *sets)
        assert told.splitlines()[0] == "Checks this set-up. Of the network it asks for names, connections and TLS only."
        assert f"ok      ledger           {tmp_path / 'usage.db'} can be made" in told
        assert told.splitlines()[-1] == "No fault was found."
        assert [*tmp_path.iterdir()] == []

    def test_json(self, tmp_path: Path, sets: list[str], key_file: Path) -> None:
        sets += ["--set", "vertex_auth=service_account", "--set", f"vertex_credentials={key_file}"]
        found = rows(tmp_path, "doctor", "--online", *sets)
        assert all(one["ok"] for one in found)
        assert {"key file", "clock", "token", "role", "model"} <= {one["check"] for one in found}
        assert all([*one] == ["check", "ok", "message", "remedy"] for one in found)
        told = run(tmp_path, "doctor", *sets, "--set", "vertex_project=A", "--format", "json", status=1)
        (wrong,) = (one for one in json.loads(told) if not one["ok"])
        assert (wrong["check"], wrong["remedy"]) == (
            "project",
            "write the id of a Google Cloud project, such as my-project-123",
        )

    def test_three_faults_at_once(self, tmp_path: Path, sets: list[str]) -> None:
        """The file of an OAuth client, a folder that is not there, and a name with a letter too many."""
        (tmp_path / "key.json").write_text(json.dumps({"installed": {"client_id": "c", "client_secret": "s"}}))
        options = {
            "vertex_auth": "service_account",
            "vertex_credentials": "key.json",
            "vertex_location": "us-centrall1",
            "usage_db": "data/usage.db",
        }
        sets += [part for name, value in options.items() for part in ("--set", f"{name}={value}")]
        said, status = in_terminal(80, tmp_path, "doctor", *sets)
        lines = said.splitlines()
        assert status == 1
        assert max(map(len, lines)) <= 80
        assert lines[-1] == "Faults: 3."
        failed = [" ".join(part.split()) for part in re.split(r"\n(?=\S)", said) if part.startswith("FAILED")]
        assert failed == [
            "FAILED key file vertex_credentials: key.json is an OAuth client, with which users sign in, and no key of a"
            " service account -> make a key of a service account: gcloud iam service-accounts keys create key.json"
            " --iam-account=NAME@PROJECT.iam.gserviceaccount.com",
            "FAILED location default: Vertex AI is not known to have a location us-centrall1"
            " -> write us-central1 in vertex_location",
            "FAILED ledger usage_db: there is no directory data -> create it or name another file",
        ]


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
        assert set(re.findall(r"`vertex-tap ([\w-]+)", self.README)) == set(main.commands)

    def test_words(self) -> None:
        for word in (*KINDS, *FORMATS, *KEYS):
            assert re.search(rf"\b{word}\b", self.README), word
