"""The pages in a real proxy. What they show is tested beside `metering/pages`."""

import base64
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from metering.call_line import dollars
from tests.addons import guarded as g
from tests.conftest import StartProxy
from tests.forked import run
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator import Simulator

CALL = f"{MODEL}:generateContent"


@pytest.fixture(scope="module")
def tap(tmp_path_factory: pytest.TempPathFactory, confdir: Path, simulator: Simulator) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("proxy")
    with Proxy(folder=folder, confdir=confdir, mode=f"reverse:{simulator.url}") as running:
        assert call(running.url, CALL, HELLO).status == 200
        yield running


def test_they_leave_no_row(tap: Proxy) -> None:
    before = len(tap.rows())
    for path in ("/-/", "/-/board", "/-/api/usage", "/-/nothing", "/-", "/-/api/usage?by=x"):
        assert httpx.get(tap.url + path).status_code in (200, 302, 307, 400, 404), path
    assert len(tap.rows()) == before
    assert "GET http://vertex-tap.local/-/board" in tap.output


def test_they_show_the_ledger(tap: Proxy) -> None:
    (row,) = httpx.get(tap.url + "/-/api/usage?model=gemini-2.5*&by=model,operation").json()
    assert (row["model"], row["operation"], row["calls"]) == ("gemini-2.5-flash", "generateContent", len(tap.rows()))
    assert "gemini-2.5-flash" in httpx.get(tap.url + "/-/board").text


def test_what_calls_cost_is_everywhere_the_same(tap: Proxy) -> None:
    """In the report, in the metrics, and in mitmdump's log."""
    (row,) = httpx.get(tap.url + "/-/api/cost").json()
    assert row["cost_usd"] > 0
    text = httpx.get(tap.url + "/-/metrics").text
    (counted,) = re.findall(r"^vertex_tap_cost_usd_total (\S+)$", text, re.MULTILINE)
    assert float(counted) == pytest.approx(row["cost_usd"])
    assert until(lambda: dollars(row["cost_usd"] / row["calls"]) in tap.output)


def test_prices_of_a_file(start_proxy: StartProxy, simulator: Simulator, tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text('prices: [{model: "gemini-*", tokens: {input: 1000000, output: 0}}]')
    tap = start_proxy(f"usage_prices={prices}", mode=f"reverse:{simulator.url}")
    call(tap.url, CALL, HELLO)
    (row,) = httpx.get(tap.url + "/-/api/usage").json()
    assert row["cost_usd"] == row["input_tokens"] > 0
    assert f"vertex_tap_cost_usd_total {row['cost_usd']}" in httpx.get(tap.url + "/-/metrics").text


def test_probes(tap: Proxy) -> None:
    assert httpx.get(tap.url + "/-/health").status_code == 200
    assert httpx.get(tap.url + "/-/ready").status_code == 200
    assert httpx.get(tap.url + "/-/ready", headers={"host": "10.0.0.7"}).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"host": "evil.example"}, {"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}]
)
def test_no_page_of_another_site(tap: Proxy, headers: dict[str, str]) -> None:
    answer = httpx.get(tap.url + "/-/api/usage", headers=headers)
    assert answer.status_code == 403
    assert "gemini" not in answer.text


def test_head_and_what_follows(tap: Proxy) -> None:
    """The client would take a body for the beginning of its next answer."""
    with httpx.Client(base_url=tap.url) as client:
        assert client.head("/-/").status_code == 200
        assert client.post("/-/api/usage", json={}).status_code == 405
        assert client.get("/-/health").text == "ok\n"


def test_plotly_comes_whole(tap: Proxy) -> None:
    answer = httpx.get(tap.url + "/-/static/plotly.min.js")
    assert len(answer.content) > 4_000_000
    assert "max-age" in answer.headers["cache-control"]


def test_the_clients_host_is_not_sent_on(tap: Proxy, simulator: Simulator) -> None:
    """It is looked at for pages only."""
    call(tap.url, CALL, HELLO, headers={"host": "evil.example"})
    assert simulator.seen[-1].request.headers["host"] == simulator.url.removeprefix("http://")


def test_ready_only_if_rows_are_kept(start_proxy: StartProxy, simulator: Simulator, tmp_path: Path) -> None:
    tap = start_proxy(mode=f"reverse:{simulator.url}")
    moved = tmp_path / "moved"
    for path in tmp_path.glob("usage.db*"):
        path.rename(moved.with_name(f"moved{path.name.removeprefix('usage.db')}"))
    (tmp_path / "usage.db").mkdir()
    assert until(lambda: httpx.get(tap.url + "/-/ready").status_code == 503)
    assert httpx.get(tap.url + "/-/health").status_code == 200
    (tmp_path / "usage.db").rmdir()
    assert until(lambda: httpx.get(tap.url + "/-/ready").status_code == 200)


def test_through_a_forward_proxy(start_proxy: StartProxy) -> None:
    tap = start_proxy(mode="regular")
    with httpx.Client(proxy=tap.url, trust_env=False) as client:
        assert client.get("http://vertex-tap.local/-/health").text == "ok\n"
        assert client.get("http://vertex-tap.local/").headers["location"] == "/-/"
        assert json.loads(client.get("http://vertex-tap.local/-/api/usage").text) == []
        assert client.get("http://vertex-tap.local/-/api/usage", headers={"host": "evil.example"}).status_code == 403
    # What watches over processes knows their addresses only.
    assert httpx.get(f"{tap.url}/-/health").text == "ok\n"
    assert httpx.get(f"{tap.url}/-/api/usage").json() == []
    assert httpx.get(f"{tap.url}/-/api/usage", headers={"origin": "http://evil.example"}).status_code == 403
    with socket.create_connection(("127.0.0.1", tap.port)) as capitals:
        capitals.sendall(b"GET http://VERTEX-TAP.local/-/health HTTP/1.1\r\nhost: VERTEX-TAP.local\r\n\r\n")
        assert b" 200 OK" in capitals.recv(1000)
    assert tap.rows() == []


def basic(key: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"anybody:{key}".encode()).decode()}


class TestClients:
    """With clients only the keys of those that may see the pages open them, also at this machine."""

    @pytest.mark.parametrize(
        "path", ["/-/", "/-/board", "/-/metrics", "/-/api/usage", "/-/calls/x", "/-/static/pages.css"]
    )
    def test_without_a_key(self, guarded: Proxy, path: str) -> None:
        for headers in ({}, g.bearer("vt-nobody-0123456789"), {"x-vertex-tap-key": g.A}):
            answer = httpx.get(guarded.url + path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")

    @pytest.mark.parametrize("path", ["/-/health", "/-/ready"])
    def test_probes_need_none(self, guarded: Proxy, path: str) -> None:
        assert httpx.get(guarded.url + path, headers={"x-forwarded-for": "192.168.1.1"}).status_code == 200

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"authorization": f"Bearer {g.A}"}, 200),
            (basic(g.A), 200),
            (basic(g.KEYS["OLD_KEY"]), 200),
            (basic(g.FLASH), 403),
            (basic(g.A) | {"host": "llm.example"}, 200),
            (basic(g.A) | {"host": "llm.example", "origin": "https://llm.example"}, 200),
            (basic(g.A) | {"origin": "https://evil.example"}, 403),
            (basic(g.A) | {"sec-fetch-site": "cross-site"}, 403),
            (basic(g.A) | {"x-forwarded-for": "192.168.1.1"}, 403),
            (basic(g.FAR), 403),
            (basic(g.FAR) | {"x-forwarded-for": "10.1.2.3"}, 200),
        ],
    )
    def test_with_a_key(self, guarded: Proxy, headers: dict[str, str], status: int) -> None:
        assert httpx.get(f"{guarded.url}/-/api/usage", headers=headers).status_code == status

    def test_reports_have_the_names_of_clients(self, guarded: Proxy) -> None:
        for key in (g.A, g.FLASH, "vt-nobody-0123456789"):
            call(guarded.url, g.NATIVE, HELLO, headers=g.bearer(key))
        query = f"{guarded.url}/-/api/usage?by=client"
        rows = httpx.get(query, headers=basic(g.A)).json()
        assert {row["client"] for row in rows} >= {"team-a", "flash", None}
        command = ["vertex-tap", "report", "--by", "client", "--format", "json", str(guarded.ledger)]
        assert json.loads(run(command, guarded.folder).stdout) == rows

    def test_through_a_forward_proxy(self, start_proxy: StartProxy, tmp_path: Path) -> None:
        """The browser has given the key to the proxy; another program may give it to the page."""
        (tmp_path / "gateway.yaml").write_text(g.CLIENTS.replace("services: [qwen]", "services: [openai]"))
        tap = start_proxy("gateway_config=gateway.yaml", mode="regular", env=g.KEYS, serve=True)
        page = "http://vertex-tap.local/-/api/usage"
        for user, status in ((f"user:{g.A}@", 200), (f"user:{g.FLASH}@", 403), ("", 401)):
            with httpx.Client(proxy=tap.url.replace("://", f"://{user}"), trust_env=False) as client:
                assert client.get(page).status_code == status
                assert client.get("http://vertex-tap.local/-/health").status_code == 200
        with httpx.Client(proxy=tap.url, trust_env=False) as client:
            assert client.get(page, headers=basic(g.A)).status_code == 200


def test_a_trusted_proxy_is_not_the_visitor(start_proxy: StartProxy, simulator: Simulator, tmp_path: Path) -> None:
    """Without clients pages are for this machine, and not for all that come through a proxy on it."""
    (tmp_path / "gateway.yaml").write_text("trusted_proxies: [127.0.0.1]\n")
    tap = start_proxy("gateway_config=gateway.yaml", mode=f"reverse:{simulator.url}", serve=True)
    statuses = [
        httpx.get(f"{tap.url}/-/", headers={"x-forwarded-for": address} if address else {}).status_code
        for address in ("", "127.0.0.1", "192.168.1.1", "x")
    ]
    assert statuses == [200, 200, 403, 403]
