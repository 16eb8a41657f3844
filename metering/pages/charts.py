"""Charts, from the rows of reports: each is a figure of plotly.js, as JSON (https://plotly.com/javascript/reference)."""

import html
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from datetime import date
from datetime import timedelta
from itertools import pairwise
from typing import Any

from metering.output import visible

Row = Mapping[str, object]
Figure = dict[str, Any]

MOST_SERIES = 8
"""Models of a chart by day; the rest is one series."""
MOST_BARS = 15
OTHERS = "others"
COLORS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#17becf", "#e377c2", "#bcbd22", "#8c564b", "#4c78a8")
OTHER, BAD = "#7f7f7f", "#d62728"
"""The colors of what is none of the first, and of errors."""
LONGEST_LABEL = 40
_DAYS_WITHOUT_GAPS = 400


def label(value: object) -> str:
    """A value as text of a chart. plotly reads some HTML in texts, also links."""
    text = "unknown" if value is None else visible(str(value))
    return html.escape(text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…", quote=False)


def colors(names: Iterable[object]) -> dict[object, str]:
    """A color for each name, so that it has the same one in all charts."""
    return dict(zip(names, COLORS, strict=False))


def stacked(
    rows: Sequence[Row], time: str, series: str, value: str, title: str, colors: Mapping[object, str]
) -> Figure:
    """Bars by time, with a part for each series, the largest ones first. `rows` have the columns `time`, `series` and
    `value`; `colors` are those of the series."""
    totals: dict[object, float] = {}
    for row in rows:
        totals[row[series]] = totals.get(row[series], 0) + number(row[value])
    largest = sorted(totals, key=lambda name: (-totals[name], str(name)))
    kept = largest[: MOST_SERIES if len(largest) > MOST_SERIES + 1 else len(largest)]
    parts: dict[object, dict[str, float]] = {name: {} for name in kept}
    for row in rows:
        part = parts.setdefault(row[series] if row[series] in kept else OTHERS, {})
        part[str(row[time])] = part.get(str(row[time]), 0) + number(row[value])
    bars = [
        {
            "type": "bar",
            "name": label(name),
            "x": [*map(_moment, part)],
            "y": [round(y, 6) for y in part.values()],
            "marker": {"color": colors.get(name, OTHER)},
        }
        for name, part in parts.items()
    ]
    return _figure(bars, title, _times(rows, time), barmode="stack")


def bars_over_time(rows: Sequence[Row], time: str, columns: Mapping[str, str], title: str) -> Figure:
    """Bars by time, with a part for each of `columns` (column -> name)."""
    x = [_moment(str(row[time])) for row in rows]
    bars = [
        {
            "type": "bar",
            "name": name,
            "x": x,
            "y": [number(row[column]) for row in rows],
            "marker": {"color": BAD if column == "errors" else COLORS[0]},
        }
        for column, name in columns.items()
    ]
    return _figure(bars, title, _times(rows, time), barmode="stack")


def lines(rows: Sequence[Row], time: str, columns: Mapping[str, str], scale: float, title: str) -> Figure:
    """A line by time for each of `columns` (column -> name). Values are multiplied by `scale`; unknown ones are
    gaps."""
    x = [_moment(str(row[time])) for row in rows]
    drawn = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": x,
            "y": [None if row[column] is None else round(number(row[column]) * scale, 4) for row in rows],
        }
        for column, name in columns.items()
    ]
    return _figure(drawn, title, _times(rows, time))


def ranked(rows: Sequence[Row], name: str, value: str, title: str, color: str = COLORS[0]) -> Figure:
    """Horizontal bars, the first row on top."""
    shown = rows[:MOST_BARS]
    # Two names may look the same when they are cut, so the place of a bar is its number.
    places = [*range(len(shown))]
    bar = {
        "type": "bar",
        "orientation": "h",
        "x": [number(row[value]) for row in shown],
        "y": places,
        "marker": {"color": color},
    }
    figure = _figure([bar], "", None)
    figure["layout"]["height"] = 70 + 34 * len(shown)
    figure["layout"]["xaxis"] = {"title": {"text": title}, "automargin": True, "rangemode": "tozero"}
    figure["layout"]["yaxis"] = {
        "autorange": "reversed",
        "automargin": True,
        "tickvals": places,
        "ticktext": [label(row[name]) for row in shown],
    }
    return figure


def number(value: object) -> float:
    """A number of a report; 0 if it is unknown."""
    return value if isinstance(value, int | float) else 0


def _figure(data: list[Figure], title: str, times: Sequence[str] | None, **layout: object) -> Figure:
    axes: Figure = {"yaxis": {"title": {"text": title}, "automargin": True, "rangemode": "tozero"}}
    if times is not None:
        axes["xaxis"] = {
            "type": "category",
            "categoryorder": "array",
            "categoryarray": times,
            "nticks": 8,
            "automargin": True,
        }
    legend = {"orientation": "h", "y": -0.25}
    common = {"height": 320, "margin": {"l": 8, "r": 8, "t": 8, "b": 8}, "legend": legend, "showlegend": len(data) > 1}
    return {"data": data, "layout": common | axes | layout}


def _moment(key: str) -> str:
    """A day as it is, and an hour such as `2026-11-28T17:00+0000` without year and zone."""
    return f"{key[5:10]} {key[11:16]}" if "T" in key else key


def _times(rows: Iterable[Row], time: str) -> list[str]:
    """All days or hours of a chart in order, with those that have no call. Days that are folded to weeks stand as
    they are."""
    found = sorted({str(row[time]) for row in rows})
    return [_moment(key) for key in _without_gaps(found)]


def _without_gaps(found: list[str]) -> list[str]:
    if not found or "T" in found[0]:
        return found
    days = [*map(date.fromisoformat, found)]
    gaps = {later - earlier for earlier, later in pairwise(days)}
    if (days[-1] - days[0]).days > _DAYS_WITHOUT_GAPS or timedelta(days=7) in gaps:
        return found
    return [str(days[0] + timedelta(days=past)) for past in range((days[-1] - days[0]).days + 1)]


def timing(call: Row) -> Figure:
    """How long the parts of one call took, in milliseconds."""
    names = {
        "duration_us": "whole call",
        "upstream_us": "sent to last byte",
        "ttft_us": "sent to first content",
        "overhead_us": "added by the proxy",
    }
    rows = [
        {"part": name, "ms": number(call[column]) / 1000}
        for column, name in names.items()
        if call.get(column) is not None
    ]
    return ranked(rows, "part", "ms", "ms")
