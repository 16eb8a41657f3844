from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from metering.pages import rendering
from metering.pages.board import Section
from tests.metering.pages.filled import HOSTILE

UTC = ZoneInfo("UTC")


class Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.hrefs: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.hrefs += [value or "" for name, value in attrs if name == "href"]


def board(section: Section, query: rendering.Pairs | None = ()) -> str:
    return rendering.render("board.html", tables=rendering.tables([section], UTC, query))


@pytest.mark.parametrize("value", [HOSTILE, "javascript:alert(1)", '"><img src=x onerror=alert(1)>', "</script><p>"])
def test_data_is_text(value: str) -> None:
    figure = {"data": [{"name": value}], "layout": {}}
    columns = ("model", "tag:x-team", "path")
    html = board(Section("x", value, columns, [dict.fromkeys(columns, value)], figure, value))
    read = Links(html)
    assert set(read.tags) <= set("section h2 p div script table thead tr th tbody td a data".split())
    assert read.tags.count("script") == 1
    assert read.hrefs
    assert all(href.startswith("./?") for href in read.hrefs)


def test_control_characters_are_visible() -> None:
    html = board(Section("x", "x", ("model",), [{"model": "a\x1b[31m\u202eb"}]))
    assert "a\\x1b[31m\\u202eb" in html
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_numbers_can_be_read_by_programs() -> None:
    assert '<data value="1234">1,234</data>' in board(Section("x", "x", ("calls",), [{"calls": 1234}]))


def test_unknown_numbers_stand_below_numbers() -> None:
    html = board(Section("x", "x", ("calls",), [{"calls": 1}, {"calls": None}]))
    assert '<td class="number">unknown</td>' in html


def test_links() -> None:
    rows = [{"model": "gemini-2.5-pro", "tag:x-team": "a[b", "started_at": 1, "id": "0199", "client": None}]
    html = board(Section("x", "x", ("model", "tag:x-team", "started_at", "client"), rows), [("since", "7d")])
    assert Links(html).hrefs == [
        "./?since=7d&model=gemini-2.5-pro",
        "./?since=7d&tag=x-team%3Da%5B%5B%5Db",
        "calls/0199",
    ]


def test_a_file_has_no_links() -> None:
    assert not Links(board(Section("x", "x", ("model",), [{"model": "g"}]), None)).hrefs


def test_plotly_is_that_of_its_package() -> None:
    assert b"plotly.js v" in rendering.plotly().read_bytes()[:200]
