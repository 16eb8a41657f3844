"""The command, and the other commands that read what it has shipped."""

import asyncio
import random
import time
from datetime import datetime
from datetime import tzinfo
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from click.testing import CliRunner
from click.testing import Result

import vertex_tap
from metering import ledger_names
from metering.kinds import KINDS
from metering.kinds import makers
from metering.pages import app
from metering.prices.catalog import EVERYONES
from metering.ship_command import ship
from tests.postgresql_server import Server
from tests.shipped import DAY_US
from tests.shipped import add
from tests.shipped import calls
from tests.shipped import new
from tests.shipped import rows
from vertex_tap import FORMATS
from vertex_tap import main

NOW_US = time.time_ns() // 1000


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], catch_exceptions=False)


def told(*arguments: object) -> bytes:
    ended = run(*arguments)
    assert ended.exit_code == 0, ended.output
    return ended.stdout_bytes


class Fleet(NamedTuple):
    """The ledgers of two proxies, and the PostgreSQL that has the same."""

    files: tuple[Path, Path]
    address: str
    one: Path
    """A ledger that is alone in a database of its own."""
    address_of_one: str


@pytest.fixture(scope="module")
def fleet(postgresql: Server, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    folder, chance = tmp_path_factory.mktemp("fleet"), random.Random(1)
    files = new(folder / "0.db"), new(folder / "1.db")
    for path in files:
        add(path, calls(chance, 150, NOW_US - 3 * DAY_US, 3 * DAY_US))
    addresses = postgresql.new(), postgresql.new()
    assert told("ship", "--to", addresses[0], *files).splitlines() == [
        f"{path}: 150 rows shipped".encode() for path in files
    ]
    assert told("ship", "--to", addresses[1], folder / "*1.db") == f"{files[1]}: 150 rows shipped\n".encode()
    return Fleet(files, addresses[0], files[1], addresses[1])


ASKED = (
    *([kind, "--format", form] for kind in KINDS for form in FORMATS),
    *(
        ["usage", "--format", "csv", "--by", by]
        for by in ("day,client", "hour,model", "tag:x-team,tier,status", "", "state")
    ),
    *([kind, "--by", "day,service", "--tz", "Asia/Kathmandu"] for kind in KINDS[:-1]),
    *([kind, "--since", "47h", "--until", "1h", "--format", "json"] for kind in KINDS),
    ["cost", "--model", "gemini-[!2]*", "--model", "a;b*", "--client", "team-?", "--format", "json"],
    ["usage", "--model", "", "--status", "4*", "--state", "done", "--format", "json"],
    ["latency", "--exact", "--by", "operation", "--service", "s*"],
    ["calls", "--limit", "7", "--tag", "x-team=r*", "--format", "json"],
    ["calls", "--limit", "1000", "--tz", "Europe/Berlin"],
    ["errors", "--by", "model_served,sdk,location", "--limit", "2"],
    ["usage", "--model", "nothing"],
    ["usage", "--since", "2001-01-01", "--until", "2002-01-01"],
    ["calls", "--format", "html", "--limit", "5"],
)


@pytest.mark.parametrize("asked", ASKED, ids=" ".join)
def test_a_report_from_both_is_the_same(fleet: Fleet, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Still(datetime):
        """Time stands still for the command."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Still":
            return cls.fromtimestamp(NOW_US / 1_000_000, tz)

    monkeypatch.setattr(vertex_tap, "datetime", Still)
    of_files, of_both = (told("report", *asked, *ledgers) for ledgers in (fleet.files, [fleet.address]))
    assert of_files == of_both


def test_a_file_and_a_database_together(fleet: Fleet) -> None:
    both = told("report", "--format", "json", *fleet.files)
    assert told("report", "--format", "json", fleet.files[0], fleet.address_of_one) == both


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_an_export_is_the_same(fleet: Fleet, form: str, tmp_path: Path) -> None:
    for number, ledger in enumerate((fleet.one, fleet.address_of_one)):
        told("export", ledger, "--format", form, "--output", tmp_path / str(number), "--model", "*", "--since", "2d")
    found = [(tmp_path / str(number)).read_bytes() for number in range(2)]
    assert len(found[0]) > 4000
    if form == "parquet":
        import pyarrow.parquet

        tables = [pyarrow.parquet.read_table(tmp_path / str(number)).to_pylist() for number in range(2)]
        assert tables[0] == tables[1]
    else:
        assert found[0] == found[1]


def test_one_call(fleet: Fleet) -> None:
    for (id,) in rows(fleet.one, "SELECT call_id FROM attempts WHERE n = 2 LIMIT 3"):
        for form in ("table", "json"):
            assert told("show", id, fleet.address, "--format", form) == told("show", id, fleet.one, "--format", form)
    assert "no call has an id" in run("show", "xyz", fleet.address).output


@pytest.mark.parametrize(
    "command", [["tail"], ["prune", "--older-than", "1d"], ["verify"], ["ship", "--to", "postgresql://h/d"]]
)
def test_commands_that_take_files_only(command: list[str]) -> None:
    ended = run(*command, "postgresql://user:s3cret@127.0.0.1/d")
    assert ended.exit_code == 1
    assert ended.output == "Error: this takes files; only report, show, export and dashboard read PostgreSQL\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["ship", "--to", "usage.db"], "--to takes the address of a PostgreSQL database; write postgresql://"),
        (["ship", "--to", "postgresql://u:s3cret@h/d", "{file}"], "the address of PostgreSQL has a password"),
        (["report", "postgresql://u:s3cret@h/d"], "set PGPASSWORD, or write the password into ~/.pgpass"),
        (["ship", "--to", "postgresql://u@127.0.0.1:1/d", "{file}"], "PostgreSQL cannot be used"),
    ],
)
def test_what_is_wrong_is_told(fleet: Fleet, arguments: list[str], problem: str) -> None:
    ended = run(*(argument.format(file=fleet.one) for argument in arguments))
    assert ended.exit_code == 1
    assert problem in ended.output
    assert "s3cret" not in ended.output


def test_a_ledger_that_cannot_be_read_does_not_keep_others(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("this is not a ledger")
    missing = tmp_path / "none.db"
    ended = run("ship", "--to", fleet.address, tmp_path / "no.db", missing, fleet.one)
    assert ended.exit_code == 1
    assert "no.db is not a ledger" in ended.stderr
    assert f"{missing}: there is no ledger" in ended.stderr
    assert ended.stdout == f"{fleet.one}: 0 rows shipped\n"


def test_help_says_where_a_password_comes_from() -> None:
    assert ship.help is not None
    assert "PGPASSWORD" in ship.help


def test_pages(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dashboard's application, in front of PostgreSQL."""
    made = makers(EVERYONES)

    def ask(page: str, *names: object) -> httpx.Response:
        source = app.Source(lambda: ledger_names.opened([*map(str, names)]), lambda: made, lambda: True)

        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(app.application(source), client=("127.0.0.1", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as asking:
                return await asking.get(page)

        return asyncio.run(answer())

    for page in ("/-/api/usage?by=day,model", "/-/api/latency", "/-/api/calls?limit=9", "/-/board"):
        answers = [ask(page, *ledgers) for ledgers in (fleet.files, [fleet.address])]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].text == answers[1].text
    assert ask("/-/board", "postgresql://u@127.0.0.1:1/d").status_code == 503
    monkeypatch.setattr(app, "LONGEST_S", 0.001)
    late = ask("/-/board", fleet.address)
    assert (late.status_code, "took longer than" in late.text) == (503, True)
