"""The dashboard in a real browser."""

import json
import subprocess
import threading
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser
from playwright.sync_api import Page
from playwright.sync_api import expect

from tests.browser.conftest import FOREIGN
from tests.browser.conftest import Watched
from tests.browser.conftest import serving
from tests.browser.conftest import watched
from tests.browser.conftest import without_charts
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.metering.pages.filled import HOSTILE
from tests.process import BIN
from tests.process import Proxy
from tests.vertex_simulator import Simulator
from tests.week import CALLS
from tests.week import COST_USD
from tests.week import ERRORS
from tests.week import REASONS
from tests.week import SLOW_US
from tests.week import TYPICAL_US
from tests.week import week
from vertex_tap import main

UP_TO_DATE = "Up to date."


def report(ledger: Path, *arguments: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(main, ["report", *arguments, str(ledger), "--format", "json"], catch_exceptions=False)
    parsed: list[dict[str, Any]] = json.loads(done.stdout)
    return parsed


def is_loaded(page: Page) -> None:
    expect(page.locator("#status")).to_have_text(UP_TO_DATE)
    expect(page.locator("#calls tbody tr").first).to_be_visible()


def numbers(page: Page, id: str) -> list[list[str]]:
    """The numbers of each line of a section's table."""
    lines: list[list[str]] = page.evaluate(
        "id => [...document.querySelectorAll(`#${id} tbody tr`)].map("
        "line => [...line.querySelectorAll('data')].map(one => one.value))",
        id,
    )
    return lines


def test_during_traffic(tab: Watched, start_proxy: Callable[..., Proxy], simulator: Simulator) -> None:
    """It shows what the report says, follows new calls, and outlives the proxy."""
    tap = start_proxy(mode=f"reverse:{simulator.url}")
    assert call(tap.url, f"{MODEL}:generateContent", HELLO).status == 200
    page = tab.page
    page.goto(f"{tap.url}/-/")
    is_loaded(page)
    names = ("calls", "errors", "cost_usd", "input_tokens", "output_tokens")

    def told() -> list[str]:
        return [str(row[name]) for row in report(tap.ledger) for name in names]

    before = numbers(page, "models")
    assert before == [told()]
    for _ in range(3):
        assert call(tap.url, f"{MODEL}:streamGenerateContent?alt=sse", HELLO).status == 200
    page.wait_for_function("() => document.querySelector('#models tbody data').value === '4'")
    after = [told()]
    assert numbers(page, "models") == after
    expect(page.locator("#tokens .plot .main-svg").first).to_be_visible()
    assert tab.errors == []
    assert tab.elsewhere(tap.url) == []
    tap.stop()
    expect(page.locator("#status")).to_contain_text("Cannot be reached")
    assert numbers(page, "models") == after
    start_proxy(mode=f"reverse:{simulator.url}", arguments=("-p", str(tap.port)))
    expect(page.locator("#status")).to_have_text(UP_TO_DATE)
    assert call(tap.url, f"{MODEL}:generateContent", HELLO).status == 200
    page.wait_for_function("() => document.querySelector('#models tbody data').value === '5'")
    assert tab.elsewhere(tap.url) == []


def test_through_a_forward_proxy(browser: Browser, start_proxy: Callable[..., Proxy]) -> None:
    tap = start_proxy(mode="regular")
    with watched(browser, proxy={"server": tap.url}) as tab:
        tab.page.goto("http://vertex-tap.local/-/")
        expect(tab.page.locator("#status")).to_have_text(UP_TO_DATE)
        expect(tab.page.locator("#calls")).to_contain_text("No calls.")
        assert tab.errors == []
        assert tab.elsewhere("http://vertex-tap.local") == []


def test_filters(tab: Watched, dashboard: str) -> None:
    page = tab.page
    with without_charts(page):
        page.goto(f"{dashboard}/-/")
        is_loaded(page)
        page.locator("input[name=model]").fill("gemini-3*")
        page.keyboard.press("Enter")
        is_loaded(page)
        assert "model=gemini-3" in page.url
        expect(page.locator("#models tbody tr")).to_have_count(1)
        expect(page.locator("input[name=model]")).to_have_value("gemini-3*")
        page.locator("#clients a", has_text="ci").click()
        is_loaded(page)
        assert "client=ci" in page.url
        assert numbers(page, "totals")[0][0] == "1"
        page.locator("input[name=since]").fill("soon")
        page.get_by_role("button").click()
        expect(page.locator("#status")).to_contain_text("write 7d")


def test_the_question_of_readme(tab: Watched, tmp_path: Path) -> None:
    """What did team-a spend on gemini-2.5-pro yesterday, was it slow, and why did three calls fail? Three clicks."""
    with serving(week(tmp_path / "usage.db")) as url:
        page = tab.page
        page.goto(f"{url}/-/")
        is_loaded(page)
        for link in (
            page.get_by_role("link", name="Yesterday"),
            page.locator("#tag-0 a", has_text="team-a"),
            page.locator("#models a", has_text="gemini-2.5-pro"),
        ):
            link.click()
            is_loaded(page)
        expect(page.locator("#totals")).to_contain_text(f"${COST_USD:.4f}")
        calls, errors, cost, typical, slow, *_ = map(float, numbers(page, "totals")[0])
        assert (calls, errors, round(cost, 9)) == (CALLS, ERRORS, COST_USD)
        assert 0.95 < typical / TYPICAL_US < 1.05
        assert 0.95 < slow / SLOW_US < 1.05
        for _, error in REASONS:
            expect(page.locator("#errors tbody tr", has_text=error)).to_have_count(1)
        expect(page.locator("#errors")).to_contain_text("the quota is used up")
        assert tab.errors == []


def test_one_call(tab: Watched, dashboard: str, ledger: Path) -> None:
    with without_charts(tab.page):
        tab.page.goto(f"{dashboard}/-/")
        is_loaded(tab.page)
    tab.page.locator("#calls tbody tr").last.locator("a").first.click()
    expect(tab.page.locator("#timing .main-svg").first).to_be_visible()
    first = report(ledger, "calls")[0]
    expect(tab.page.locator("#row")).to_contain_text(first["id"])
    assert tab.errors == []


def test_what_clients_sent_is_text(tab: Watched, dashboard: str) -> None:
    tab.page.goto(f"{dashboard}/-/")
    is_loaded(tab.page)
    expect(tab.page.locator("#tag-0 tbody")).to_contain_text(HOSTILE)
    expect(tab.page.locator("#tag-0 tbody")).to_contain_text("\\x1b[31m\\u202ered")
    assert tab.page.locator("a[href^='javascript']").count() == 0
    with without_charts(tab.page):
        tab.page.locator("#tag-0 a", has_text="javascript:").click()
        is_loaded(tab.page)
    assert numbers(tab.page, "totals")[0][0] == "1"
    assert tab.errors == []


def test_a_small_screen(tab: Watched, dashboard: str) -> None:
    page = tab.page
    page.set_viewport_size({"width": 390, "height": 844})

    def fits(scheme: str) -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        color = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (color == "rgb(255, 255, 255)") == (scheme == "light")

    page.emulate_media(color_scheme="light")
    page.goto(f"{dashboard}/-/")
    is_loaded(page)
    fits("light")
    page.emulate_media(color_scheme="dark")
    fits("dark")
    page.locator("#calls a").first.click()
    expect(page.locator("#timing .main-svg").first).to_be_visible()
    fits("dark")
    page.emulate_media(color_scheme="light")
    fits("light")
    assert tab.errors == []


def test_by_keyboard(tab: Watched, dashboard: str) -> None:
    """The focus stays where it is when the tables are loaded anew."""
    page = tab.page
    with without_charts(page):
        page.goto(f"{dashboard}/-/")
        is_loaded(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.ariaLabel") == "Table: In all"
    page.evaluate("texts.clear(), load()")
    assert page.evaluate("document.activeElement.ariaLabel") == "Table: In all"


# Pages of other sites


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>another site</title>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def site() -> Iterator[int]:
    """A server of another site; its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


READ = """async url => {
  const told = [];
  for (const mode of ["cors", "no-cors"]) {
    try { told.push((await (await fetch(url + "/-/api/usage", {mode})).text())); } catch (e) { told.push("blocked"); }
  }
  const element = (name, fields) => new Promise(resolve => {
    const made = Object.assign(document.createElement(name), fields);
    made.onload = () => resolve("loaded");
    made.onerror = () => resolve("blocked");
    document.documentElement.append(made);
  });
  told.push(await element("script", {src: url + "/-/static/board.js"}));
  const frame = document.createElement("iframe");
  const loaded = new Promise(resolve => { frame.onload = resolve; });
  frame.src = url + "/-/";
  document.documentElement.append(frame);
  await loaded;
  let inside = "blocked";
  try { inside = frame.contentDocument.body.textContent; } catch (e) { }
  return [...told, inside];
}"""


@pytest.mark.parametrize("host", [FOREIGN, "127.0.0.1", "localhost"])
def test_another_site_cannot_read(tab: Watched, dashboard: str, host: str) -> None:
    with site() as port:
        tab.page.goto(f"http://{host}:{port}/")
        told = tab.page.evaluate(READ, dashboard)
        framed = [frame for frame in tab.page.frames[1:] if "vertex-tap" in frame.content()]
    assert [*told[:1], *told[2:]] == ["blocked", "blocked", "blocked"]
    assert told[1] in ("", "blocked")
    assert framed == []


def test_another_name_for_this_machine(tab: Watched, dashboard: str) -> None:
    """After DNS rebinding, the page of another site is of the same origin for the browser."""
    port = dashboard.rpartition(":")[2]
    answer = tab.page.goto(f"http://{FOREIGN}:{port}/-/api/usage")
    assert answer
    assert answer.status == 403
    assert "gemini" not in answer.text()


# The report as a file


def test_a_report_without_network(browser: Browser, ledger: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    with file.open("wb") as out:
        subprocess.run([BIN / "vertex-tap", "report", ledger, "--format", "html"], check=True, stdout=out)
    assert file.stat().st_size < 6_000_000
    with watched(browser, offline=True) as tab:
        tab.page.goto(file.as_uri())
        for id in ("models", "tokens", "calls-and-errors", "duration", "cache", "clients"):
            expect(tab.page.locator(f"#{id} .plot .main-svg").first).to_be_visible()
        sums = ("calls", "errors", "covered_calls", "input_tokens")
        told = [[str(row[name]) for name in sums if row[name] is not None] for row in report(ledger)]
        assert [line[: len(one)] for line, one in zip(numbers(tab.page, "report"), told, strict=True)] == told
        assert tab.requests == [file.as_uri()] or all(one.startswith("data:") for one in tab.requests[1:])
        assert tab.errors == []
