import base64
import hashlib
import re
from datetime import date
from datetime import timedelta
from pathlib import Path

import pytest

from metering import costs
from metering.call import Call
from metering.kinds import columns
from metering.kinds import makers
from metering.ledger import Ledger
from metering.pages import html_report
from metering.pages import questions
from metering.prices.catalog import EVERYONES
from metering.selection import Grouping
from tests.ledgers import new_ledger
from tests.metering.pages.filled import COMMON
from tests.metering.pages.filled import DAY_US
from tests.metering.pages.filled import HOSTILE
from tests.metering.pages.filled import NOW
from tests.metering.pages.filled import filled
from tests.metering.pages.filled import opened


def made(path: Path) -> str:
    asked = questions.calls([], NOW)
    grouping = Grouping(("model",), asked.zone)
    with opened(path) as ledgers:
        rows = costs.usage(ledgers, grouping, asked.calls)
        names = columns("usage", grouping)
        return html_report.document(ledgers, "report usage", names, rows, asked, makers(EVERYONES), NOW)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    return made(filled(tmp_path_factory.mktemp("ledger") / "usage.db"))


def test_nothing_is_elsewhere(report: str) -> None:
    tags = re.sub(r"<script>.*?</script>", "", report, flags=re.DOTALL)
    assert re.findall(r"""(?:src|href)="([^"]*)""", tags) == ["data:,"]
    assert "url(" not in tags
    assert "@import" not in tags


def test_only_our_scripts_run(report: str) -> None:
    scripts = re.findall(r"<script>(.*?)</script>", report, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(hashes) == 2
    assert f"script-src {' '.join(f'&#39;sha256-{hash}&#39;' for hash in hashes)};" in report.replace("'", "&#39;")
    assert HOSTILE not in report
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in report


def test_it_has_the_report_and_the_charts(report: str) -> None:
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", report)
    assert titles[:4] == ["report usage", "In all", "Models", "Clients"]
    assert {"Calls and errors by day", "Duration by day", "Input from the cache by day", "Clients"} <= set(titles)


def test_it_is_small(report: str) -> None:
    assert len(report.encode()) < 5_000_000
    assert html_report.MOST_BYTES == 1_000_000


def test_long_spans_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A year of several models and many clients, where there is little room: old days are folded to weeks, and long
    tables cut."""
    monkeypatch.setattr(html_report, "MOST_BYTES", 100_000)
    ledger = Ledger(new_ledger(tmp_path / "usage.db"))
    started = int(NOW.timestamp() * 1e6)
    for day in range(0, 366, 3):
        for model in range(4):
            times = dict.fromkeys(("started_at", "ended_at"), started - day * DAY_US)
            names = {"model": f"model-{model}", "client": f"client-{day}-{model}", "input_tokens": 5}
            ledger.commit(Call(**COMMON | names | times))
    ledger.close()
    report = made(tmp_path / "usage.db")
    data = report[report.index('<main id="board">') : report.index("</main>")]
    assert 40_000 < len(data.encode()) <= 100_000 + 100
    assert re.search(r"The first \d+ of \d+ lines", data)
    days = re.findall(r">(\d{4}-\d\d-\d\d)<", data)
    assert len(days) > 100
    assert {date.fromisoformat(day).weekday() for day in days} == {0}
    assert "488" in data


def test_days_are_folded_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time that the data is too large, newer days are folded to weeks too."""
    ledger = Ledger(new_ledger(tmp_path / "usage.db"))
    for day in range(200):
        times = dict.fromkeys(("started_at", "ended_at"), int(NOW.timestamp() * 1e6) - day * DAY_US)
        ledger.commit(Call(**COMMON | times))
    ledger.close()
    report, oldest = made(tmp_path / "usage.db"), []
    for _ in range(4):
        data = report[report.index('<main id="board">') : report.index("</main>")]
        days = [date.fromisoformat(day) for day in re.findall(r">(\d{4}-\d\d-\d\d)<", data)]
        oldest.append(min((day for day in days if day.weekday()), default=None))
        monkeypatch.setattr(html_report, "MOST_BYTES", len(data.encode()) - 1000)
        report = made(tmp_path / "usage.db")
    tuesdays = [NOW.date() - timedelta(days) for days in (120, 28)]
    tuesdays = [day - timedelta(day.weekday() - 1) for day in tuesdays]
    assert oldest == [NOW.date() - timedelta(199), *tuesdays, None]
