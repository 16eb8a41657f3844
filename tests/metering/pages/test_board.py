from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from metering import costs
from metering import reports
from metering.call import Call
from metering.kinds import makers
from metering.ledger import Ledger
from metering.pages import board
from metering.pages import questions
from metering.prices.catalog import EVERYONES
from metering.selection import Grouping
from metering.selection import Selection
from tests.ledgers import new_ledger
from tests.metering.pages.filled import COMMON
from tests.metering.pages.filled import HOSTILE
from tests.metering.pages.filled import NOW
from tests.metering.pages.filled import filled
from tests.metering.pages.filled import opened

UTC = ZoneInfo("UTC")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("ledger") / "usage.db")


MADE = makers(EVERYONES)


@pytest.fixture
def shown(ledger: Path) -> Iterator[dict[str, board.Section]]:
    with opened(ledger) as ledgers:
        yield of(ledgers)


def of(
    ledgers: board.Connections, *pairs: tuple[str, str], make: Any = MADE, monday: str = ""
) -> dict[str, board.Section]:
    found = board.sections(ledgers, questions.calls(pairs, NOW), make, NOW, monday)
    return {section.id: section for section in found}


def test_the_numbers_are_those_of_the_report(ledger: Path, shown: dict[str, board.Section]) -> None:
    with opened(ledger) as ledgers:
        told = {row["model"]: row for row in costs.usage(ledgers, Grouping(("model",), UTC), Selection())}
    rows = {row["model"]: row for row in shown["models"].rows}
    assert rows.keys() == told.keys() == {"gemini-2.5-pro", "gemini-3-flash", HOSTILE}
    for model, row in rows.items():
        assert {name: row[name] for name in told[model]} == told[model]
    (total,) = shown["totals"].rows
    assert (total["calls"], total["errors"], total["covered_calls"], total["input_tokens"]) == (5, 1, 3, 1510)
    assert shown["totals"].note == "Usage is known in full for 3 of 5 calls."


def test_the_largest_consumers_are_first(shown: dict[str, board.Section]) -> None:
    assert [row["model"] for row in shown["models"].rows] == ["gemini-2.5-pro", "gemini-3-flash", HOSTILE]
    assert [row["client"] for row in shown["clients"].rows] == ["team-a", "ci", None]
    assert shown["models"].figure
    # The chart is of what the order is of.
    assert shown["models"].figure["layout"]["xaxis"]["title"]["text"] == "US dollars"
    assert shown["tag-0"].columns[0] == "tag:x-team"
    assert [row["tag:x-team"] for row in shown["tag-0"].rows][:2] == ["red", None]


def test_what_is_asked_first_is_first(shown: dict[str, board.Section]) -> None:
    assert [*shown] == [
        *("totals", "models", "clients", "tag-0", "cost", "errors", "duration", "calls"),
        *("tokens", "calls-and-errors", "cache", "ttft", "overhead"),
    ]
    assert shown["totals"].columns == [
        *("calls", "errors", "cost_usd", "duration_p50_us", "duration_p90_us"),
        *("input_tokens", "input_cached_tokens", "output_tokens", "unpriced_calls"),
    ]
    (error,) = shown["errors"].rows
    assert error["meaning"] == "the quota is used up, or the model has no capacity now; try again later"


def test_unknown_is_not_zero(shown: dict[str, board.Section]) -> None:
    (row,) = (row for row in shown["models"].rows if row["model"] == HOSTILE)
    assert row["input_tokens"] is None


def test_every_chart_has_its_table(shown: dict[str, board.Section]) -> None:
    charts = [section for section in shown.values() if section.figure]
    assert {section.id for section in charts} == {
        *("models", "tokens", "cost", "calls-and-errors", "cache", "errors", "duration", "ttft", "overhead"),
        *("clients", "tag-0"),
    }
    assert all(section.rows and section.columns for section in charts)


def test_columns(tmp_path: Path) -> None:
    """Columns that no row has a value for are left out, except for input and output."""
    ledger = Ledger(new_ledger(tmp_path / "usage.db"))
    counts = dict.fromkeys(
        ("input_cached_tokens", "input_cache_write_tokens", "output_thought_tokens", "images", "video_seconds"), 1
    )
    ledger.commit(Call(**COMMON | {"model": "g", "client": "c", "error_type": "e"} | counts, started_at=1, ended_at=2))
    ledger.close()
    with opened(tmp_path / "usage.db") as ledgers:
        sections = of(ledgers)
    assert sections["models"].columns == (
        *("model", "calls", "errors", "input_tokens", "input_cached_tokens"),
        *("input_cache_write_tokens", "output_tokens", "output_thought_tokens", "images", "video_seconds"),
        "unpriced_calls",
    )
    assert sections["calls"].columns == [
        *("started_at", "model", "status", "error_type", "duration_us", "ttft_us", "input_tokens", "output_tokens"),
        *("client", "operation", "state"),
    ]


def test_calls_under_way(tmp_path: Path) -> None:
    ledger = Ledger(new_ledger(tmp_path / "usage.db"))
    ledger.commit(Call(started_at=1))
    with opened(tmp_path / "usage.db") as ledgers:
        assert of(ledgers)["calls"].columns == ["started_at", "model", "input_tokens", "output_tokens", "state"]
    ledger.close()


def test_shares(shown: dict[str, board.Section]) -> None:
    (row,) = shown["cache"].rows
    assert row["cached_share"] == 250 / 1510
    assert shown["calls-and-errors"].rows[0]["error_share"] == 0.2


def test_short_spans_are_shown_by_hour(ledger: Path) -> None:
    with opened(ledger) as ledgers:
        assert "hour" in of(ledgers, ("since", "24h"))["tokens"].columns
        assert "day" in of(ledgers, ("since", "7d"))["tokens"].columns
        assert "day" in of(ledgers)["tokens"].columns


def test_filters(ledger: Path) -> None:
    with opened(ledger) as ledgers:
        sections = of(ledgers, ("client", "ci"), ("tag", "x-team=<*"))
        assert [row["model"] for row in sections["models"].rows] == ["gemini-3-flash"]
        assert "errors" not in sections
        assert [row["client"] for row in sections["calls"].rows] == ["ci"]


def test_nothing(ledger: Path) -> None:
    with opened(ledger) as ledgers:
        sections = of(ledgers, ("model", "nosuch"))
        assert [*sections] == ["totals", "calls"]
        assert "No model is nosuch; there are gemini-2.5-pro, " in sections["totals"].note


def test_costs_show_when_there_are_some(ledger: Path) -> None:
    def usage(*arguments: Any) -> list[board.Row]:
        rows: list[board.Row] = costs.usage(*arguments)
        for row in rows:
            row["cost_usd"] = 0.5 if row["input_tokens"] else None
            row["unpriced_calls"] = row["calls"] - row["covered_calls"]
        return rows

    with opened(ledger) as ledgers:
        sections = of(ledgers, make={**MADE, "usage": usage})
    assert sections["cost"].figure
    assert {row["model"]: row["cost_usd"] for row in sections["cost"].rows} == {
        "gemini-2.5-pro": 0.5,
        "gemini-3-flash": 0.5,
        HOSTILE: None,
    }
    assert sections["totals"].rows[0]["cost_usd"] == 1.0
    assert sections["totals"].rows[0]["unpriced_calls"] == 2
    assert "cost_usd" in sections["models"].columns


def test_old_days_are_folded_to_weeks(tmp_path: Path) -> None:
    path = filled(tmp_path / "usage.db", days_ago=30)
    with opened(path) as ledgers:
        (days, weeks) = (of(ledgers, monday=monday) for monday in ("", board.monday_before(NOW, 0)))
    day = NOW.date() - timedelta(days=30)
    assert {row["day"] for row in days["tokens"].rows} <= {str(day), str(day - timedelta(days=1))}
    assert {row["day"] for row in weeks["duration"].rows} <= {
        str(when - timedelta(days=when.weekday())) for when in (day, day - timedelta(days=1))
    }
    assert weeks["totals"].rows == days["totals"].rows


def test_one_call(ledger: Path) -> None:
    with opened(ledger) as ledgers:
        call = next(reports.calls(ledgers, Selection()))
    sections = {section.id: section for section in board.one_call(call, [{"call_id": "x", "n": 1, "status": 401}], UTC)}
    assert sections["timing"].columns == ["duration_us", "ttft_us", "overhead_us"]
    (timing, *_) = board.one_call({**call, "upstream_us": 5}, [], UTC)
    assert timing.columns == ["duration_us", "upstream_us", "ttft_us", "overhead_us"]
    assert {"column": "input_tokens", "value": "1,000"} in sections["row"].rows
    assert sections["attempts"].columns == ["n", "status"]
