"""Figures. plotly's own Python package checks that plotly.js knows all of their members."""

from typing import Any

import plotly.graph_objects
import pytest

from metering.pages import charts


def valid(figure: charts.Figure) -> list[dict[str, Any]]:
    plotly.graph_objects.Figure(figure)
    data: list[dict[str, Any]] = figure["data"]
    return data


def used(day: str, model: str | None, tokens: int | None) -> dict[str, object]:
    return {"day": day, "model": model, "tokens": tokens}


def test_stacked() -> None:
    rows = [used("2026-11-01", "a", 1), used("2026-11-01", "b", 5), used("2026-11-04", "a", 2)]
    rows.append(used("2026-11-04", None, 1))
    figure = charts.stacked(rows, "day", "model", "tokens", "tokens", {"a": "#123456"})
    assert [(bar["name"], bar["x"], bar["y"]) for bar in valid(figure)] == [
        ("b", ["2026-11-01"], [5]),
        ("a", ["2026-11-01", "2026-11-04"], [1, 2]),
        ("unknown", ["2026-11-04"], [1]),
    ]
    assert figure["layout"]["xaxis"]["categoryarray"] == ["2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04"]
    assert [bar["marker"]["color"] for bar in figure["data"]] == [charts.OTHER, "#123456", charts.OTHER]


def test_colors() -> None:
    """A model has the same color in all charts; what is beyond the colors is gray."""
    assert charts.colors("ab") == {"a": charts.COLORS[0], "b": charts.COLORS[1]}
    assert len({*charts.colors(range(99)).values(), charts.BAD, charts.OTHER}) == 9 + 2
    errors = charts.bars_over_time([{"day": "2026-11-01", "errors": 1}], "day", {"errors": "errors"}, "calls")
    assert errors["data"][0]["marker"]["color"] == charts.BAD


def test_many_series_are_one_in_the_end() -> None:
    rows = [used("2026-11-01", f"m{at}", 100 - at) for at in range(20)]
    bars = valid(charts.stacked(rows, "day", "model", "tokens", "tokens", {"a": "#123456"}))
    assert [bar["name"] for bar in bars] == [*(f"m{at}" for at in range(charts.MOST_SERIES)), charts.OTHERS]
    assert sum(sum(bar["y"]) for bar in bars) == sum(range(81, 101))


def test_weeks_have_no_days_between() -> None:
    rows = [used("2026-10-05", "a", 1), used("2026-10-12", "a", 1), used("2026-11-01", "a", 1)]
    figure = charts.stacked(rows, "day", "model", "tokens", "tokens", {"a": "#123456"})
    assert figure["layout"]["xaxis"]["categoryarray"] == ["2026-10-05", "2026-10-12", "2026-11-01"]


def test_hours() -> None:
    rows = [{"hour": "2026-11-28T17:00+0000", "calls": 3}]
    figure = charts.bars_over_time(rows, "hour", {"calls": "calls"}, "calls")
    assert valid(figure)[0]["x"] == figure["layout"]["xaxis"]["categoryarray"] == ["11-28 17:00"]


def test_lines_have_gaps_where_nothing_is_known() -> None:
    rows: list[charts.Row] = [{"day": "2026-11-01", "p": 1500}, {"day": "2026-11-02", "p": None}]
    assert valid(charts.lines(rows, "day", {"p": "p50"}, 0.001, "ms"))[0]["y"] == [1.5, None]


def test_ranked() -> None:
    figure = charts.ranked([{"client": f"c{at}", "tokens": at} for at in range(40)], "client", "tokens", "tokens")
    assert valid(figure)[0]["x"] == [*range(charts.MOST_BARS)]
    assert figure["layout"]["yaxis"]["ticktext"][:2] == ["c0", "c1"]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ('<a href="javascript:alert(1)">x</a>', '&lt;a href="javascript:alert(1)"&gt;x&lt;/a&gt;'),
        ("a&lt;b", "a&amp;lt;b"),
        ("\u202ea", "\\u202ea"),
        ("x" * 99, "x" * 39 + "…"),
        (None, "unknown"),
    ],
)
def test_labels_are_text(name: str | None, label: str) -> None:
    """plotly.js would make links and bold text of what looks like HTML."""
    assert charts.label(name) == label


def test_timing() -> None:
    figure = charts.timing({"duration_us": 2000, "ttft_us": None, "overhead_us": 10})
    assert valid(figure)[0]["x"] == [2.0, 0.01]
    assert figure["layout"]["yaxis"]["ticktext"] == ["whole call", "added by the proxy"]
