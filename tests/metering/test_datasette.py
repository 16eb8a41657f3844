"""Datasette itself, as its users install it, shows a ledger with our metadata. `scripts/setup datasette` sets it up."""

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import pytest
import yaml

from metering import datasette
from metering.database import LedgerError
from metering.ledger import Ledger
from tests.ledgers import call
from tests.ledgers import done
from tests.ledgers import new_ledger
from tests.ledgers import of_version
from tests.process import ROOT
from tests.process import until

PROGRAM = ROOT / ".venv" / "datasette" / "bin" / "datasette"
FAILED: dict[str, Any] = {
    "status": 429,
    "error_type": "RESOURCE_EXHAUSTED",
    "usage_state": "not_applicable",
    "input_tokens": None,
}
USED: dict[str, Any] = {
    "status": 200,
    "duration_us": 1_200_345,
    "ttft_us": 300_000,
    "input_cached_tokens": 2,
    "output_tokens": 7,
    "total_tokens": 12,
}


def fill(ledger: Ledger) -> None:
    ledger.commit(done(call(operation="generateContent", client="team-a"), **USED))
    ledger.commit(done(call(operation="generateContent", client="team-a"), **FAILED))
    ledger.commit(done(call(operation="generateContent"), usage_state="absent", input_tokens=None))
    ledger.commit(call(operation="generateContent"))


class Running:
    """A running Datasette."""

    def __init__(self, folder: Path, ledger: Path, told: dict[str, Any]) -> None:
        assert PROGRAM.exists(), "scripts/setup datasette"
        file = folder / "metadata.yaml"
        file.write_text(datasette.written(told))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.output = folder / "datasette.txt"
        with self.output.open("wb") as output:
            command: list[str | Path] = [PROGRAM, "serve", ledger, "-m", file, "-p", str(port)]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        self.url = f"http://127.0.0.1:{port}"
        until(self._is_there, 60)

    def _is_there(self) -> bool:
        assert self._process.poll() is None, self.output.read_text()
        try:
            return bool(self.get("/-/versions.json"))
        except URLError:
            return False

    def get(self, path: str) -> str:
        with urlopen(self.url + path, timeout=60) as answer:
            return str(answer.read().decode())

    def rows(self, path: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.get(f"{path}.json?_shape=array"))
        return rows

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(30)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger that is in use, as by a proxy. Its name is one that must be escaped in a URL."""
    opened = Ledger(new_ledger(tmp_path_factory.mktemp("ledger") / "team usage.db"))
    fill(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def told(ledger: Ledger) -> dict[str, Any]:
    return datasette.metadata(ledger.path)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, ledger: Ledger, told: dict[str, Any]) -> Iterator[Running]:
    one = Running(tmp_path_factory.mktemp("datasette"), ledger.path, told)
    yield one
    one.close()


BASE = "/team~20usage"
QUERIES = yaml.safe_load(datasette.TEMPLATE.read_text())["databases"]["LEDGER"]["queries"]


def test_it_is_of_the_version_that_is_meant(running: Running) -> None:
    assert json.loads(running.get("/-/versions.json"))["datasette"]["version"].startswith("0.65")


@pytest.mark.parametrize("name", QUERIES)
def test_each_query_has_rows(running: Running, name: str) -> None:
    assert running.rows(f"{BASE}/{name}")
    page = running.get(f"{BASE}/{name}")
    assert QUERIES[name]["title"] in page


def test_what_queries_tell(running: Running) -> None:
    (row,) = running.rows(f"{BASE}/usage_by_model")
    assert row == {
        "model": "g",
        "calls": 3,
        "errors": 1,
        "covered_percent": 33.3,
        "input_tokens": 5,
        "cached_tokens": 2,
        "output_tokens": 7,
        "thought_tokens": None,
    }
    (row,) = running.rows(f"{BASE}/latency_by_model")
    assert (row["calls"], row["p50_ms"], row["p90_ms"], row["mean_ttft_ms"]) == (1, 1200.345, 1200.345, 300)
    assert json.loads(running.get(f"{BASE}/usage_by_model.json?_shape=array&since=2999-01-01")) == []


@pytest.mark.parametrize("name", ["v_calls", "v_usage_daily", "v_errors_daily"])
def test_views_have_pages(running: Running, told: dict[str, Any], name: str) -> None:
    page = running.get(f"{BASE}/{name}")
    table = told["databases"]["team usage"]["tables"][name]
    assert table["title"] in page
    # What is described and what has a unit is there.
    columns = {*running.rows(f"{BASE}/{name}")[0]}
    assert {*table["columns"], *table.get("units", {}), table["sort_desc"]} <= columns


def test_units_are_shown(running: Running) -> None:
    cells = re.findall(r'<td class="col-duration_ms[^>]*>([^<]*)</td>', running.get(f"{BASE}/v_calls"))
    assert "1.200345 s" in [" ".join(cell.replace("&nbsp;", " ").split()) for cell in cells], cells


def test_the_dashboard(running: Running, told: dict[str, Any]) -> None:
    page = running.get("/-/dashboards/vertex-tap")
    charts = told["plugins"]["datasette-dashboards"]["vertex-tap"]["charts"]
    for name, chart in charts.items():
        assert chart["title"] in page
        assert chart["title"] in running.get(f"/-/dashboards/vertex-tap/{name}")
        for options in ("", "AND day >= '2000-01-01'"):
            sql = chart["query"].split("[[")[0] + options + chart["query"].rpartition("]]")[2]
            assert json.loads(running.get(f"{BASE}.json?_shape=array&sql={quote(sql)}")), name


def test_it_is_usable_while_the_proxy_writes(running: Running, ledger: Ledger) -> None:
    def count() -> int:
        return sum(row["calls"] for row in running.rows(f"{BASE}/usage_by_day"))

    before = count()
    for number in range(50):
        began = time.monotonic()
        written = ledger.commit(done(call(operation="generateContent"), **USED))
        assert written.kept == "committed"
        assert time.monotonic() - began < 5
        if number % 10 == 9:
            assert count() == before + number + 1


def test_the_form_of_1_0(ledger: Ledger, told: dict[str, Any]) -> None:
    """docs.datasette.io/en/latest/configuration.html: queries in `databases`, and `plugins`; no titles."""
    made = yaml.safe_load(datasette.written(datasette.configuration(ledger.path)))
    assert set(made) == {"databases", "plugins"}
    assert made["databases"] == {"team usage": {"queries": told["databases"]["team usage"]["queries"]}}
    assert made["plugins"] == told["plugins"]


def test_it_is_yaml_that_people_can_edit(told: dict[str, Any]) -> None:
    text = datasette.written(told)
    assert yaml.safe_load(text) == told
    assert "        sql: |-\n          SELECT model, sum(calls) AS calls" in text
    assert "&id" not in text
    assert datasette.PLACE not in text


def test_a_ledger_of_an_older_version(tmp_path: Path) -> None:
    of_version(tmp_path / "usage.db", 6)
    with pytest.raises(LedgerError, match="start the proxy with it once"):
        datasette.metadata(tmp_path / "usage.db")


def test_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger"):
        datasette.configuration(tmp_path / "usage.db")
