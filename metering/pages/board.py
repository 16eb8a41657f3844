"""What the dashboard and the HTML report show: sections with a chart, and the table of its numbers."""

import json
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from datetime import datetime
from datetime import timedelta
from datetime import tzinfo
from functools import partial
from typing import Any

from metering import no_calls
from metering import reports
from metering.error_meanings import meaning
from metering.kinds import MakeReport
from metering.output import visible
from metering.pages import cells
from metering.pages import charts
from metering.pages.charts import number
from metering.selection import Asked
from metering.selection import Grouping
from metering.selection import microseconds
from metering.store import Store

Row = dict[str, Any]
Connections = Sequence[Store]
BY_HOUR = timedelta(days=3)
"""Spans up to this length are shown by hour."""
SHOWN_CALLS = 50
MOST_LINES = 50
"""Of tables of consumers and errors."""
USED = (
    "cost_usd",
    "input_tokens",
    "input_cached_tokens",
    "input_cache_write_tokens",
    "output_tokens",
    "output_thought_tokens",
    "images",
    "video_seconds",
    "unpriced_calls",
)
ALWAYS = ("input_tokens", "output_tokens")
CALL_COLUMNS = (
    "started_at",
    "model",
    "status",
    "error_type",
    "duration_us",
    "ttft_us",
    "input_tokens",
    "output_tokens",
    "client",
    "operation",
    "state",
)
TOTALS = ("calls", "errors", "cost_usd", "duration_p50_us", "duration_p90_us", *USED[1:])
FIRST = ("totals", "models", "clients", "cost", "errors", "duration", "calls")
"""The sections that stand first: who, what it cost, why it failed, whether it was slow."""
TIMES = ("duration_us", "upstream_us", "ttft_us", "overhead_us")


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    id: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    figure: charts.Figure | None = None
    note: str = ""


@dataclass(frozen=True)
class Weeks(Grouping):
    """A grouping in which days before `monday` are folded to weeks, each named by its first day."""

    monday: str = ""

    def of(self, values: Sequence[object]) -> tuple[object, ...]:
        told = zip(self.keys, super().of(values), strict=True)
        return tuple(_week(str(value)) if key == "day" and str(value) < self.monday else value for key, value in told)


def _week(day: str) -> str:
    when = date.fromisoformat(day)
    return str(when - timedelta(days=when.weekday()))


def monday_before(now: datetime, days: int) -> str:
    """The Monday at or before `days` days ago."""
    return _week(str(now.date() - timedelta(days=days)))


def sections(
    ledgers: Connections, asked: Asked, make: Mapping[str, MakeReport], now: datetime, monday: str = ""
) -> list[Section]:
    """All sections for the calls that are asked for. Days before `monday` are folded to weeks."""
    by = partial(Weeks, zone=asked.zone, monday=monday)
    time = _time(asked, now)
    with ExitStack() as stack:
        for db in ledgers:
            # Sections that are read one after the other must tell of the same calls.
            stack.enter_context(reports.snapshot(db))
        usage = [_with_tokens(row) for row in make["usage"](ledgers, by((time, "model")), asked.calls)]
        consumers = [_with_tokens(row) for row in make["usage"](ledgers, by(("client", "tags")), asked.calls)]
        latencies, latency = reports.latency_and_total(ledgers, by((time,)), asked.calls, exact=False)
        errors = make["errors"](ledgers, by(()), asked.calls)
        newest = [*reports.calls(ledgers, asked.calls, newest=SHOWN_CALLS)]
        nothing = "" if usage else " ".join(no_calls.reasons(ledgers, asked.calls))
    found = [
        _totals(usage, latency, nothing),
        *_by_model(usage),
        *_over_time(usage, time),
        *_errors(errors),
        *_latencies(latencies, time),
        *_consumers(consumers),
        _newest(newest),
    ]
    return sorted(found, key=_place)


def _place(section: Section) -> int:
    """The place of a section among those of FIRST, or after them."""
    id = "clients" if section.id.startswith("tag-") else section.id
    return FIRST.index(id) if id in FIRST else len(FIRST)


def _time(asked: Asked, now: datetime) -> str:
    """The key by which times are shown: `hour` for short spans."""
    span = asked.calls.span
    length = min(span.until, microseconds(now)) - span.since
    return "hour" if length <= BY_HOUR / timedelta(microseconds=1) else "day"


def _with_tokens(row: Row) -> Row:
    known = [row[name] for name in ALWAYS if row[name] is not None]
    return row | {"tokens": sum(known) if known else None}


def summed(rows: Iterable[Row], *keys: str) -> list[Row]:
    """The rows of a report of usage, added up by fewer keys. A sum of only unknown values is None."""
    groups: dict[tuple[object, ...], Row] = {}
    for row in rows:
        group = groups.setdefault(tuple(row[key] for key in keys), {key: row[key] for key in keys})
        for name, value in row.items():
            if isinstance(value, int | float) and name not in keys:
                group[name] = (group.get(name) or 0) + value
            elif name not in keys and value is None:
                group.setdefault(name, None)
    return [*groups.values()]


def _used(rows: Sequence[Row]) -> list[str]:
    return _with_values(USED, rows)


def _with_values(columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """The columns that have a value. That no call is without a price needs no column."""
    priced = not any(row.get("unpriced_calls") for row in rows)
    return [name for name in cells.told(columns, rows, ALWAYS) if not (priced and name == "unpriced_calls")]


def _by_use(rows: Sequence[Row]) -> list[Row]:
    """The largest consumers first: by cost if there is one, else by tokens."""
    return sorted(rows, key=lambda row: tuple(-number(row.get(name)) for name in ("cost_usd", "tokens", "calls")))


def _ranked(rows: Sequence[Row], key: str) -> charts.Figure | None:
    """A chart of the consumers in the order of `_by_use`: of costs if there are some, else of tokens. One alone needs
    none."""
    if len(rows) < 2:
        return None
    if any(row.get("cost_usd") for row in rows):
        return charts.ranked(rows, key, "cost_usd", "US dollars")
    return charts.ranked(rows, key, "tokens", "tokens")


def _totals(usage: Sequence[Row], latency: Row, nothing: str) -> Section:
    rows = [latency | row for row in summed(usage)]
    calls, covered = (number(rows[0][name]) if rows else 0 for name in ("calls", "covered_calls"))
    note = f"Usage is known in full for {covered:,} of {calls:,} calls." if rows else nothing
    columns = _with_values(TOTALS, rows) if rows else ALWAYS
    return Section("totals", "In all", columns, rows, note=note)


def _by_model(usage: Sequence[Row]) -> Iterator[Section]:
    if rows := _by_use(summed(usage, "model")):
        columns = ("model", "calls", "errors", *_used(rows))
        figure = _ranked(rows, "model")
        yield Section("models", "Models", columns, rows[:MOST_LINES], figure, _cut(rows))


def _over_time(usage: Sequence[Row], time: str) -> Iterator[Section]:
    rows = summed(usage, time, "model")
    newest = sorted(rows, key=lambda row: str(row[time]), reverse=True)
    colors = charts.colors(row["model"] for row in _by_use(summed(usage, "model")))
    if any(row["tokens"] for row in rows):
        figure = charts.stacked(rows, time, "model", "tokens", "tokens", colors)
        yield Section("tokens", f"Tokens by {time} and model", (time, "model", "calls", *_used(rows)), newest, figure)
    if any(row.get("cost_usd") is not None for row in rows):
        figure = charts.stacked(rows, time, "model", "cost_usd", "US dollars", colors)
        columns = (time, "model", "cost_usd", "unpriced_calls")
        yield Section("cost", f"Cost by {time} and model", columns, newest, figure)
    if by_time := [_with_shares(row) for row in summed(usage, time)]:
        newest = by_time[::-1]
        figure = charts.bars_over_time(by_time, time, {"good_calls": "without error", "errors": "errors"}, "calls")
        yield Section(
            "calls-and-errors", f"Calls and errors by {time}", (time, "calls", "errors", "error_share"), newest, figure
        )
        if any(row["input_cached_tokens"] is not None for row in by_time):
            figure = charts.lines(by_time, time, {"cached_share": "cached"}, 100, "% of input tokens")
            columns = (time, "input_tokens", "input_cached_tokens", "cached_share")
            yield Section("cache", f"Input from the cache by {time}", columns, newest, figure)


def _with_shares(row: Row) -> Row:
    cached, input = row["input_cached_tokens"], row["input_tokens"]
    return row | {
        "good_calls": row["calls"] - row["errors"],
        "error_share": row["errors"] / row["calls"] if row["calls"] else None,
        "cached_share": cached / input if cached is not None and input else None,
    }


def _errors(rows: Sequence[Row]) -> Iterator[Section]:
    if rows:
        named = [{"error": _error(row), "calls": row["calls"]} for row in rows]
        figure = charts.ranked(summed(named, "error"), "error", "calls", "calls", charts.BAD)
        shown = [row | {"meaning": meaning(row["error_type"]) or ""} for row in rows[:MOST_LINES]]
        columns = ("status", "error_type", "calls", "model", "meaning")
        yield Section("errors", "Errors", columns, shown, figure, _cut(rows))


def _error(row: Row) -> str:
    return " ".join(str(row[key]) for key in ("status", "error_type") if row[key] is not None)


def _latencies(rows: Sequence[Row], time: str) -> Iterator[Section]:
    for measure, title in (("duration", "Duration"), ("ttft", "Time to first content"), ("overhead", "Overhead")):
        columns = {f"{measure}_p{percent}_us": f"p{percent}" for percent in reports.PERCENTILES}
        known = [row for row in rows if row[next(iter(columns))] is not None]
        if known:
            figure = charts.lines(known, time, columns, 0.001, "ms")
            yield Section(measure, f"{title} by {time}", (time, "calls", *columns), known[::-1], figure)


def _consumers(usage: Sequence[Row]) -> Iterator[Section]:
    by_client = _by_use(summed(usage, "client"))
    if any(row["client"] is not None for row in by_client):
        yield _ranking("clients", "Clients", "client", by_client)
    tagged = [(json.loads(row["tags"]) if row["tags"] else {}, row) for row in summed(usage, "tags")]
    for at, name in enumerate(sorted({name for tags, _ in tagged for name in tags})):
        rows = [{f"tag:{name}": tags.get(name), **_without(row, "tags")} for tags, row in tagged]
        yield _ranking(f"tag-{at}", f"Tag {visible(name)}", f"tag:{name}", _by_use(summed(rows, f"tag:{name}")))


def _without(row: Row, name: str) -> Row:
    return {key: value for key, value in row.items() if key != name}


def _ranking(id: str, title: str, key: str, rows: Sequence[Row]) -> Section:
    figure = _ranked(rows, key)
    return Section(id, title, (key, "calls", "errors", *_used(rows)), rows[:MOST_LINES], figure, _cut(rows))


def _cut(rows: Sequence[Row]) -> str:
    return f"The first {MOST_LINES} of {len(rows):,}." if len(rows) > MOST_LINES else ""


def _newest(rows: Sequence[Row]) -> Section:
    columns = cells.told(CALL_COLUMNS, rows, ("started_at", "model", *ALWAYS))
    return Section("calls", "Newest calls", columns, rows[::-1])


def one_call(call: Row, attempts: Sequence[Row], zone: tzinfo) -> list[Section]:
    """The sections of one call: its times, everything in its row, its attempts."""
    times = cells.told(TIMES, [call], ())
    everything = [
        {"column": name, "value": cells.shown(name, value, zone)} for name, value in call.items() if value is not None
    ]
    found = [Section("row", "All that is recorded", ("column", "value"), everything)]
    if times:
        found.insert(0, Section("timing", "Timing", times, [call], charts.timing(call)))
    if attempts:
        shown = cells.told([*attempts[0]], attempts, ())
        found.append(Section("attempts", "Attempts", [name for name in shown if name != "call_id"], attempts))
    return found
