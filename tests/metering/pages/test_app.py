"""The application by itself, as a client sees it."""

import asyncio
import json
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from metering import reports
from metering.database import LedgerError
from metering.kinds import makers
from metering.pages import app as pages
from metering.pages.visitors import Refusal
from metering.pages.visitors import Visit
from metering.prices.catalog import EVERYONES
from metering.selection import Grouping
from metering.selection import Selection
from tests.metering.pages.filled import filled
from tests.metering.pages.filled import opened

made = partial(makers, EVERYONES)
HERE = "http://127.0.0.1:8080"
PAGES = ["/-/", "/-/board", "/-/api/usage", "/-/api/latency", "/-/api/errors", "/-/api/calls", "/-/static/board.js"]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("ledger") / "usage.db")


@pytest.fixture
def source(ledger: Path) -> pages.Source:
    return pages.Source(partial(opened, ledger), made, lambda: True)


def ask(
    source: pages.Source, path: str, method: str = "GET", client: str = "127.0.0.1", **headers: str
) -> httpx.Response:
    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(pages.application(source), client=(client, 4000))
        async with httpx.AsyncClient(transport=transport, base_url=HERE) as asking:
            return await asking.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return asyncio.run(answer())


@pytest.mark.parametrize("kind", ["usage", "cost", "latency", "errors"])
def test_reports_are_those_of_the_command(source: pages.Source, ledger: Path, kind: str) -> None:
    answer = ask(source, f"/-/api/{kind}?by=client,day&model=gemini-*&tz=Asia/Tokyo")
    with opened(ledger) as ledgers:
        grouping = Grouping(("client", "day"), ZoneInfo("Asia/Tokyo"))
        assert answer.json() == made()[kind](ledgers, grouping, Selection(filters={"model": ["gemini-*"]}))
    assert answer.headers["content-type"] == "application/json"


def test_calls(source: pages.Source, ledger: Path) -> None:
    with opened(ledger) as ledgers:
        assert ask(source, "/-/api/calls?limit=2").json() == [*reports.calls(ledgers, Selection(), newest=2)]
    assert len(ask(source, "/-/api/calls").json()) == 5


def test_an_option_is_as_on_the_command_line(source: pages.Source) -> None:
    assert len(ask(source, "/-/api/usage?by=model&limit=1").json()) == 1
    assert ask(source, "/-/api/usage?client=").json()[0]["calls"] == 1
    exact, near = (ask(source, f"/-/api/latency?by=state{more}").json()[0] for more in ("&exact=1", ""))
    assert exact["duration_p50_us"] == 1_500_000
    assert near["duration_p50_us"] == pytest.approx(1_500_000, rel=0.05)


@pytest.mark.parametrize(
    ("query", "say"),
    [("since=soon", "write 7d"), ("by=colour", "choose from"), ("color=1", "choose from"), ("tag=x", "NAME=VALUE")],
)
@pytest.mark.parametrize("path", ["/-/api/usage", "/-/board"])
def test_what_is_wrong_is_told(source: pages.Source, path: str, query: str, say: str) -> None:
    answer = ask(source, f"{path}?{query}")
    assert answer.status_code == 400
    assert say in answer.json()["error"]["message"]


def test_a_report_that_is_not_there(source: pages.Source) -> None:
    answer = ask(source, "/-/api/nothing")
    assert (answer.status_code, "choose from calls, cost, errors" in answer.text) == (404, True)
    assert ask(source, "/-/nothing").status_code == 404
    assert ask(source, "/-/static/../app.py").status_code == 404
    assert ask(source, "/-/static/..%2fapp.py").status_code == 404


def test_one_call(source: pages.Source) -> None:
    call = ask(source, "/-/api/calls?limit=1").json()[0]
    answer = ask(source, f"/-/calls/{call['id']}")
    assert answer.status_code == 200
    assert call["id"] in answer.text
    assert "whole call" in answer.text
    assert ask(source, "/-/calls/nosuch").status_code == 404


def test_the_form_says_what_is_asked(source: pages.Source) -> None:
    text = ask(source, '/-/?model=a"b&model=<c>&until=').text
    assert 'name="model" value="a&#34;b"' in text
    assert 'name="model" value="&lt;c&gt;"' in text
    assert 'name="since" value="7d"' in text
    assert 'name="since" value=""' in ask(source, "/-/?until=today").text


def test_the_links_of_spans(source: pages.Source) -> None:
    text = ask(source, "/-/?since=24h&model=a").text
    found = re.findall(r'<a href="\./\?([^"]*)"( aria-current="true")?>([^<]*)</a>', text)
    assert found == [
        ("since=today&amp;model=a", "", "Today"),
        ("since=yesterday&amp;until=today&amp;model=a", "", "Yesterday"),
        ("since=24h&amp;model=a", ' aria-current="true"', "24 hours"),
        ("since=7d&amp;model=a", "", "7 days"),
        ("since=30d&amp;model=a", "", "30 days"),
    ]


def test_fields_that_are_left_empty_filter_nothing(source: pages.Source) -> None:
    assert 'value="5"' in ask(source, "/-/board?model=&since=&client=&tag=").text


def test_home(source: pages.Source) -> None:
    for path in ("/", "/-"):
        assert ask(source, path).headers["location"] == "/-/"


@pytest.mark.parametrize("path", [*PAGES, "/-/api/usage?by=x", "/-/nothing", "/-/health"])
def test_headers(source: pages.Source, path: str) -> None:
    headers = ask(source, path).headers
    assert headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == ("no-cache" if "static" in path else "no-store")
    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("pages.css", "text/css"), ("board.js", "text/javascript"), ("plotly.min.js", "text/javascript")],
)
def test_files(source: pages.Source, name: str, kind: str) -> None:
    """Browsers run no script of another type."""
    answer = ask(source, f"/-/static/{name}")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, kind)


@pytest.mark.parametrize("path", PAGES)
def test_who_may_see(source: pages.Source, path: str) -> None:
    assert ask(source, path).status_code == 200
    assert ask(source, path, client="192.168.1.5").status_code == 403
    assert ask(source, path, host="evil.example").status_code == 403
    assert ask(source, path, origin="http://evil.example").status_code == 403
    assert ask(source, path, sec_fetch_site="cross-site").status_code == 403


@pytest.mark.parametrize("path", ["/-/health", "/-/ready"])
def test_probes_are_open_to_all(source: pages.Source, path: str) -> None:
    assert ask(source, path, client="192.168.1.5", host="10.0.0.7:8080").status_code == 200


def test_ready(source: pages.Source) -> None:
    not_ready = pages.Source(source.opened, made, lambda: False)
    assert ask(not_ready, "/-/ready").status_code == 503
    assert ask(not_ready, "/-/health").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(source: pages.Source, method: str) -> None:
    assert ask(source, "/-/api/usage", method).status_code == 405


def test_metrics(source: pages.Source) -> None:
    assert ask(source, "/-/metrics").status_code == 404

    def metrics(accept: str) -> tuple[bytes, str]:
        return accept.encode(), "text/plain; version=0.0.4"

    answer = ask(pages.Source(source.opened, made, source.is_ready, metrics=metrics), "/-/metrics", accept="a/b")
    assert (answer.content, answer.headers["content-type"]) == (b"a/b", "text/plain; version=0.0.4")


def test_another_says_who_may_see(source: pages.Source) -> None:
    def refusal(visit: Visit) -> Refusal | None:
        status = visit.headers.get("x-status")
        return Refusal("closed", int(status)) if status else None

    closed = pages.Source(source.opened, made, source.is_ready, refusal)
    assert ask(closed, "/-/", client="192.168.1.5").status_code == 200
    answers = [ask(closed, "/-/", x_status=status) for status in ("403", "401")]
    assert [answer.status_code for answer in answers] == [403, 401]
    assert ["basic" in answer.headers.get("www-authenticate", "").lower() for answer in answers] == [False, True]
    assert ask(closed, "/-/health", x_status="401").status_code == 200


def test_a_ledger_that_cannot_be_read(source: pages.Source) -> None:
    @contextmanager
    def away() -> Iterator[list[sqlite3.Connection]]:
        raise LedgerError("there is no ledger usage.db")
        yield []

    answer = ask(pages.Source(away, made, source.is_ready), "/-/board")
    assert (answer.status_code, "there is no ledger" in answer.text) == (503, True)


def test_a_report_that_takes_too_long(source: pages.Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "LONGEST_S", 0.1)

    def long(ledgers: Any, *_: Any) -> Any:
        return (
            ledgers[0]
            .execute("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n")
            .fetchall()
        )

    begun = time.monotonic()
    answer = ask(pages.Source(source.opened, lambda: {"usage": long}, source.is_ready), "/-/api/usage")
    assert (answer.status_code, "shorter span" in json.loads(answer.text)["error"]["message"]) == (503, True)
    assert time.monotonic() - begun < 10
