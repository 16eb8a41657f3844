"""A real browser: Debian's Chromium, else Playwright's own. `scripts/setup browser` sets it up."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import BrowserContext
from playwright.sync_api import ConsoleMessage
from playwright.sync_api import Dialog
from playwright.sync_api import Page
from playwright.sync_api import expect
from playwright.sync_api import sync_playwright

from tests.metering.pages.filled import filled
from tests.process import BIN

WAIT_MS = 40_000
PLOTLY = "**/plotly*"
FOREIGN = "evil.example"
"""A host of another site, which leads to this machine too."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser. While it runs, so does Playwright's event loop in this thread, so it ends before the tests of the next
    file, which may start a loop of their own."""
    arguments = [f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1"]
    # Chromium's sandbox cannot be made by root.
    arguments += ["--no-sandbox"] if os.getuid() == 0 else []
    # Tests may run beside many others.
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield running
        running.close()


class Watched:
    """A page, and all that it did that can be wrong."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", self._dismiss)
        page.on("request", lambda request: self.requests.append(request.url))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _dismiss(self, dialog: Dialog) -> None:
        self.errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def elsewhere(self, url: str) -> list[str]:
        """What was asked of others than the server at `url`."""
        return [one for one in self.requests if not one.startswith((f"{url}/", "data:"))]


@contextmanager
def opened(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    context = browser.new_context(**options)
    context.set_default_timeout(WAIT_MS)
    yield context
    context.close()


@contextmanager
def watched(browser: Browser, **options: Any) -> Iterator[Watched]:
    """A page in a profile of its own."""
    with opened(browser, **options) as context:
        yield Watched(context.new_page())


@pytest.fixture(scope="module")
def profile(browser: Browser) -> Iterator[BrowserContext]:
    """What the pages of a file share, so that the browser reads plotly.js once."""
    with opened(browser) as context:
        yield context


@pytest.fixture
def tab(profile: BrowserContext) -> Iterator[Watched]:
    found = Watched(profile.new_page())
    yield found
    found.page.close()


@contextmanager
def without_charts(page: Page) -> Iterator[None]:
    """What is loaded meanwhile has no charts: plotly.js takes seconds to start."""
    page.route(PLOTLY, lambda route: route.fulfill(content_type="text/javascript", body=""))
    yield
    page.unroute(PLOTLY)


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("ledger") / "usage.db")


@contextmanager
def serving(ledger: Path) -> Iterator[str]:
    """The address of `vertex-tap dashboard` with this ledger."""
    command = [str(BIN / "vertex-tap"), "dashboard", "--port", "0", str(ledger)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        line = process.stdout.readline()
        match = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/-/\n", line)
        assert match, line
        try:
            yield match[1]
        finally:
            process.terminate()
    assert process.returncode == 0


@pytest.fixture(scope="session")
def dashboard(ledger: Path) -> Iterator[str]:
    """The address of `vertex-tap dashboard`."""
    with serving(ledger) as url:
        yield url
