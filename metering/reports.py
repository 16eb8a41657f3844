"""Reports on ledgers: sums, percentiles, errors, rows. All SQL of reports is here.

A report is a list of flat dicts, made from any number of open ledgers (`database.open_for_reading`) and a `Selection`.
Sums and approximate percentiles come from the tables `rollup` and `rollup_days`. Rows (of the view `uses`, which has
the same columns) are read only for open calls, and for the parts of buckets at the ends of the span.

All SQL works in SQLite and PostgreSQL: no JSON functions, no `iif`. What differs is `?` for values and `GLOB`, which
`postgresql.py` translates.
"""

from bisect import bisect_left
from collections import Counter
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from functools import cache
from itertools import accumulate
from itertools import islice
from math import ceil
from typing import Any

from metering import days
from metering import histograms
from metering import rollup
from metering.call import ATTEMPT_COLUMNS
from metering.call import COLUMNS
from metering.selection import Grouping
from metering.selection import ReportError
from metering.selection import Selection
from metering.selection import Span
from metering.store import Store

Row = dict[str, object]

PERCENTILES = (50, 90, 99)
MEASURES = tuple(histograms.MEASURES)
MANY = 1000
"""How many histograms are added up at a time."""


def columns(kind: str, grouping: Grouping) -> tuple[str, ...]:
    """The names of a report's columns. `kind` is `latency`, `errors` or `calls`."""
    percentiles = (f"{measure}_p{percent}_us" for measure in MEASURES for percent in PERCENTILES)
    return {
        "latency": (*grouping.keys, "calls", *percentiles),
        "errors": (*_wider(grouping).keys, "calls"),
        "calls": COLUMNS,
    }[kind]


def errors(ledgers: Iterable[Store], grouping: Grouping, selection: Selection) -> list[Row]:
    """Errors by group: the keys, then `status`, `error_type`, `model` and `calls`; the most frequent ones first."""
    wider = _wider(grouping)
    counts: Counter[tuple[object, ...]] = Counter()
    for db in ledgers:
        with snapshot(db):
            for group, count, _ in sums(db, wider, ["errors"], selection, "errors > 0"):
                counts[group] += count
    # What was taken off again is 0.
    ordered = sorted((+counts).items(), key=lambda item: (-item[1], order(item[0])))
    return [dict(zip(wider.keys, group, strict=True)) | {"calls": count} for group, count in ordered]


def _wider(grouping: Grouping) -> Grouping:
    more = (key for key in ("status", "error_type", "model") if key not in grouping.keys)
    return Grouping((*grouping.keys, *more), grouping.zone)


def latency(ledgers: Iterable[Store], grouping: Grouping, selection: Selection, exact: bool = True) -> list[Row]:
    """Latencies by group: the keys, `calls`, and percentiles (nearest rank) in microseconds, None if nothing was
    measured.

    With `exact`, all rows of the span are read. Otherwise percentiles are within 5 % of the exact values.
    """
    return latency_and_total(ledgers, grouping, selection, exact)[0]


def latency_and_total(
    ledgers: Iterable[Store], grouping: Grouping, selection: Selection, exact: bool = True
) -> tuple[list[Row], Row]:
    """The rows of `latency`, and one of all calls together, without keys."""
    groups: dict[tuple[object, ...], tuple[Counter[int], ...]] = defaultdict(lambda: tuple(Counter() for _ in MEASURES))
    calls: Counter[tuple[object, ...]] = Counter()
    whole, edges = _parts(selection.span)
    for db in ledgers:
        with snapshot(db):
            if not exact:
                waiting: dict[tuple[tuple[object, ...], int], list[str]] = defaultdict(list)
                for group, sign, count, times in _histograms(db, grouping, selection, whole):
                    calls[group] += sign * count
                    texts = waiting[group, sign]
                    texts.append(times)
                    if len(texts) == MANY:
                        _add_up(waiting.pop((group, sign)), sign, groups[group])
                for (group, sign), texts in waiting.items():
                    _add_up(texts, sign, groups[group])
            for part in [selection.span] if exact else edges:
                for group, *times in _times(db, grouping, selection, part):
                    calls[group] += 1
                    for measured, time in zip(groups[group], times, strict=True):
                        if time is not None:
                            measured[time] += 1
    rows = [
        dict(zip(grouping.keys, group, strict=True)) | {"calls": calls[group]} | _percentiles(groups[group])
        for group in sorted(+calls, key=order)
    ]
    together = [Counter[int]() for _ in MEASURES]
    for measures in groups.values():
        for counter, measured in zip(together, measures, strict=True):
            counter.update(measured)
    return rows, {"calls": calls.total()} | _percentiles(together)


def _add_up(texts: Iterable[str], sign: int, measured: Sequence[Counter[int]]) -> None:
    """Add histograms (JSON) to what was measured, or take them off (`sign` -1). Parts such as `"d544":1` come again and
    again, so they are counted before they are read, which takes a quarter of the time."""
    for part, times in Counter(",".join(text[1:-1] for text in texts).split(",")).items():
        name, _, number = part.partition(":")
        if found := _bin(name):
            measured[found[0]][found[1]] += sign * times * int(number)


@cache
def _bin(name: str) -> tuple[int, int] | None:
    """The index in MEASURES and the middle of a bin, from its name in JSON such as `"d544"`; None for `"d"`, which
    counts unknown times."""
    letter, bin = name[1:2], name[2:-1]
    return ([*histograms.MEASURES.values()].index(letter), histograms.middle(bin)) if bin else None


def _percentiles(measured: Iterable[Counter[int]]) -> Row:
    row: Row = {}
    for measure, values in zip(MEASURES, measured, strict=True):
        ordered, total = sorted(values.items()), values.total()
        below = [*accumulate(number for _, number in ordered)]
        for percent in PERCENTILES:
            at = bisect_left(below, ceil(total * percent / 100))
            row[f"{measure}_p{percent}_us"] = ordered[at][0] if total else None
    return row


# What is read


def _parts(span: Span) -> tuple[Span, list[Span]]:
    """The complete buckets of a span, and the remaining parts before and after them."""
    size = rollup.BUCKET_US
    first, last = -(-span.since // size) * size, span.until // size * size
    if first >= last:
        return Span(0, 0), [span]
    edges = (Span(span.since, first), Span(last, span.until))
    return Span(first, last), [edge for edge in edges if edge.since < edge.until]


@contextmanager
def snapshot(db: Store) -> Iterator[None]:
    """A read transaction: all statements inside see the same state, so that a call which ends between two of them is
    counted once."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


def _read(
    db: Store, selection: Selection, source: str, where: str, part: Span, columns: Sequence[str], tail: str
) -> Iterator[tuple[Any, ...]]:
    """Values of columns (SQL) of the rows in a part of the span that meet the filters. `tail` is the end of the
    query."""
    condition, patterns = selection.condition
    # A column more: with filters for tags, the tags.
    told = "tags" if selection.tags else "0"
    sql = f"SELECT {', '.join([told, *columns])} FROM {source} WHERE {where} AND {condition}{tail}"
    takes = cache(selection.takes)
    for tags, *values in db.execute(sql, (*part, *patterns)):
        if not selection.tags or takes(tags):
            yield tuple(values)


def sums(
    db: Store,
    grouping: Grouping,
    columns: Sequence[str],
    selection: Selection,
    condition: str = "1 = 1",
    classes: Sequence[str] = (),
    is_by_bucket: bool = False,
) -> Iterator[tuple[Any, ...]]:
    """The group, the values of `classes`, the sums of `columns` of calls that meet `condition`, and whether these sums
    are only added. All three are SQL over the rollup. A group may come more than once.

    Of sums from which others are taken off, what is left is 0 where it may be unknown. There are none with
    `is_by_bucket`, which takes longer.
    """
    whole, edges = _parts(selection.span)
    of = cache(grouping.of)
    keys = len(grouping.keys)
    # In PostgreSQL the sum of bigint is numeric.
    summed = [f"CAST(sum({name}) AS bigint)" for name in columns]

    def read(source: str, where: str, part: Span, time: str = "bucket", off: str = "") -> Iterator[tuple[Any, ...]]:
        grouped = [*grouping.columns_at(time), *(grouping.columns_at(off) if off else ()), *classes]
        places = ", ".join(str(place) for place in range(1, len(grouped) + 2))
        tail = f" AND {condition} GROUP BY {places}"
        for values in _read(db, selection, source, where, part, [*grouped, *summed], tail):
            named, added = values[len(grouped) - len(classes) : len(grouped)], values[len(grouped) :]
            yield of(values[:keys]), *named, *added, time == "bucket"
            if off:
                yield of(values[keys : 2 * keys]), *named, *(value and -value for value in added), False

    pieces = [days.Piece("rollup", whole)] if is_by_bucket else days.pieces(db, whole, grouping.keys, grouping.zone)
    for table, part, time, off in pieces:
        yield from read(table, "bucket >= ? AND bucket < ?", part, time, off)
    # The `+` keeps SQLite from using the index on `started_at`, which would read all rows to find the few open ones.
    yield from read("uses", "state = 'open' AND +started_at >= ? AND +started_at < ?", whole)
    for edge in edges:
        yield from read("uses", "started_at >= ? AND started_at < ?", edge)


def _histograms(db: Store, grouping: Grouping, selection: Selection, part: Span) -> Iterator[tuple[Any, ...]]:
    """The group, 1 or -1 (to be taken off), the number of calls and the histograms (JSON) of closed calls in complete
    buckets. A group may come more than once."""
    of, where = cache(grouping.of), "bucket >= ? AND bucket < ? AND calls > 0"
    keys = len(grouping.keys)
    for table, span, time, off in days.pieces(db, part, grouping.keys, grouping.zone):
        columns = [*grouping.columns_at(time), *(grouping.columns_at(off) if off else ()), "calls", "times"]
        for values in _read(db, selection, table, where, span, columns, ""):
            yield of(values[:keys]), 1, *values[-2:]
            if off:
                yield of(values[keys : 2 * keys]), -1, *values[-2:]


def _times(db: Store, grouping: Grouping, selection: Selection, part: Span) -> Iterator[tuple[Any, ...]]:
    """The group and the times of each closed call."""
    columns = [*grouping.columns_at(rollup.bucket())]
    columns += [f"{measure}_us" for measure in MEASURES]
    of, where = cache(grouping.of), "started_at >= ? AND started_at < ? AND state <> 'open'"
    for values in _read(db, selection, "calls", where, part, columns, ""):
        yield of(values[: len(grouping.keys)]), *values[len(grouping.keys) :]


def calls(ledgers: Iterable[Store], selection: Selection, newest: int | None = None) -> Iterator[Row]:
    """Rows, ledger by ledger, ordered by when the calls started: all, or only the `newest` of all ledgers."""
    if newest is None:
        for db in ledgers:
            with snapshot(db):
                yield from _rows(db, selection, " ORDER BY started_at, id")
        return
    # Whether a call has a tag is seen after it was read.
    tail = " ORDER BY started_at DESC, id DESC" + ("" if selection.tags else f" LIMIT {newest}")
    found: list[Row] = []
    for db in ledgers:
        with snapshot(db):
            found += islice(_rows(db, selection, tail), newest)
    found.sort(key=lambda row: (row["started_at"], row["id"]))
    yield from found[-newest:]


def one(ledgers: Iterable[Store], beginning: str) -> tuple[Row, list[Row]]:
    """The call whose id is, or begins with, a text, and its rows of the table `attempts`. Raises ReportError if there
    is none, or more than one."""
    found: dict[object, tuple[Row, list[Row]]] = {}
    for db in ledgers:
        with snapshot(db):
            columns = ", ".join(COLUMNS)
            # Ids are ASCII, so this is the end of all that begin so; an index finds them.
            rows = db.execute(
                f"SELECT {columns} FROM calls WHERE id >= ? AND id < ? ORDER BY id LIMIT 2",
                (beginning, beginning + "\x7f"),
            )
            for row in [dict(zip(COLUMNS, values, strict=True)) for values in rows]:
                tries = db.execute(
                    f"SELECT {', '.join(ATTEMPT_COLUMNS)} FROM attempts WHERE call_id = ? ORDER BY n", (row["id"],)
                )
                found[row["id"]] = row, [dict(zip(ATTEMPT_COLUMNS, values, strict=True)) for values in tries]
    if beginning in found:
        return found[beginning]
    if len(found) != 1:
        problem = "several calls have ids" if found else "no call has an id"
        raise ReportError(f"{problem} that begin{'' if found else 's'} with {beginning!r}")
    return next(iter(found.values()))


def _rows(db: Store, selection: Selection, tail: str) -> Iterator[dict[str, Any]]:
    where = "started_at >= ? AND started_at < ?"
    for values in _read(db, selection, "calls", where, selection.span, COLUMNS, tail):
        yield dict(zip(COLUMNS, values, strict=True))


def order(group: tuple[object, ...]) -> list[tuple[bool, str]]:
    """The sort key of a group: unknown values come last. Numbers (only statuses) sort correctly as text."""
    return [(value is None, str(value)) for value in group]
