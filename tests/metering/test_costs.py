"""Costs and sums of ledgers. `prices/by_hand.yaml` has amounts that were worked out by hand."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from metering import costs
from metering.costs import usage
from metering.prices.catalog import Catalog
from metering.rollup import BUCKET_US
from metering.selection import Selection
from metering.selection import Span
from tests.ledgers import empty
from tests.ledgers import fresh
from tests.metering.test_reports import EVER
from tests.metering.test_reports import HOUR
from tests.metering.test_reports import START
from tests.metering.test_reports import Row
from tests.metering.test_reports import by
from tests.metering.test_reports import short
from tests.metering.test_rollup import put
from tests.metering.test_rollup import tried


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with empty() as opened:
        yield opened


class TestUsage:
    def test_sums_and_unknowns(self, db: sqlite3.Connection) -> None:
        put(db, "a", model="g", status=200, usage_state="final", input_tokens=5, output_tokens=0)
        put(db, "b", model="g", status=200, usage_state="partial", input_tokens=2)
        put(db, "c", model="h", status=429, usage_state="not_applicable")
        put(db, "d", model=None, state="open")
        rows = usage([db], by("model"), EVER)
        names = ("model", "calls", "errors", "covered_calls", "input_tokens", "output_tokens", "images")
        assert short(rows, *names) == [
            ("g", 2, 0, 1, 7, 0, None),
            ("h", 1, 1, 0, None, None, None),
            (None, 1, 0, 0, None, None, None),
        ]
        assert tuple(rows[0]) == costs.usage_columns(by("model"))

    def test_no_keys_are_one_line(self, db: sqlite3.Connection) -> None:
        put(db, "a", input_tokens=1)
        put(db, "b", input_tokens=2)
        assert short(usage([db], by(), EVER), "calls", "input_tokens") == [(2, 3)]

    def test_days_of_every_zone(self, db: sqlite3.Connection) -> None:
        # 18:15 and 18:30 UTC are either side of midnight in Kathmandu (+05:45).
        put(db, "a", started_at=START + 6 * HOUR + HOUR // 4 - 1)
        put(db, "b", started_at=START + 6 * HOUR + HOUR // 4)
        rows = usage([db], by("day", zone="Asia/Kathmandu"), EVER)
        assert short(rows, "day", "calls") == [("2026-11-20", 1), ("2026-11-21", 1)]
        assert short(usage([db], by("hour"), EVER), "hour") == [("2026-11-20T18:00+0000",)]

    def test_tags(self, db: sqlite3.Connection) -> None:
        put(db, "a", tags='{"x-team":"red"}', model="g")
        put(db, "b", tags='{"x-team":"blue"}', model="g")
        put(db, "c", model="g")
        rows = usage([db], by("tag:X-Team", "model"), EVER)
        assert short(rows, "tag:X-Team", "calls") == [("blue", 1), ("red", 1), (None, 1)]

    def test_tiers_are_of_one_spelling(self, db: sqlite3.Connection) -> None:
        told = ["ON_DEMAND", None, "standard", "ON_DEMAND_FLEX", "flex", "PROVISIONED_THROUGHPUT", "batch"]
        for number, traffic_type in enumerate(told):
            put(db, str(number), traffic_type=traffic_type)
        tiers = [("batch", 1), ("flex", 2), ("provisioned", 1), ("standard", 3)]
        assert short(usage([db], by("tier"), EVER), "tier", "calls") == tiers
        # Read from rows: half of a bucket.
        half = Selection(Span(0, BUCKET_US // 2))
        assert short(usage([db], by("tier"), half), "tier", "calls") == tiers

    def test_several_ledgers(self, db: sqlite3.Connection) -> None:
        put(db, "a", model="g", input_tokens=1)
        with closing(fresh()) as other:
            put(other, "a", model="g", input_tokens=2)
            put(other, "b", model="h")
            rows = usage([db, other], by("model"), EVER)
        assert short(rows, "model", "calls", "input_tokens") == [("g", 2, 3), ("h", 1, None)]

    def test_pruned_rows_are_still_summed(self, db: sqlite3.Connection) -> None:
        put(db, "a", model="g", input_tokens=1)
        db.execute("DELETE FROM calls")
        assert short(usage([db], by("model"), EVER), "input_tokens") == [(1,)]


_starts = st.lists(st.integers(0, 4 * BUCKET_US), max_size=10)
_edges = st.tuples(st.integers(0, 4 * BUCKET_US), st.integers(0, 4 * BUCKET_US))


@given(starts=_starts, edges=_edges, tagged=st.booleans())
def test_sums_are_exact_at_any_edge(starts: list[int], edges: tuple[int, int], tagged: bool) -> None:
    """Whether they come from the rollup, its edges, or the rows."""
    with empty() as db:
        for number, start in enumerate(starts):
            put(
                db,
                str(number),
                started_at=start,
                input_tokens=start,
                state="open" if start % 3 == 0 else "done",
            )
        span = Span(*edges)
        within = [start for start in starts if span.since <= start < span.until]
        rows: list[Row] = usage([db], by("tag:x") if tagged else by(), Selection(span))
        assert sum(row["calls"] for row in rows) == len(within)
        assert sum(row["input_tokens"] or 0 for row in rows) == sum(within)


class TestOrder:
    def test_the_most_expensive_first_then_those_with_most_tokens(self, db: sqlite3.Connection) -> None:
        for name, model, tokens in (
            ("a", "nosuch", 10),
            ("b", "gemini-2.5-flash", 900),
            ("c", "gemini-2.5-pro", 800),
            ("d", "other", 20),
        ):
            put(db, name, model=model, input_tokens=tokens, output_tokens=0)
        rows = usage([db], by("model"), EVER)
        assert [row["model"] for row in rows] == ["gemini-2.5-pro", "gemini-2.5-flash", "other", "nosuch"]

    def test_days_stay_in_order(self, db: sqlite3.Connection) -> None:
        for day, tokens in ((0, 1), (1, 3), (2, 2)):
            put(db, str(day), started_at=START + day * 24 * HOUR, model="gemini-2.5-pro", input_tokens=tokens)
        put(db, "x", started_at=START + 24 * HOUR, model="nosuch", input_tokens=9)
        rows = usage([db], by("day", "model"), EVER)
        assert short(rows, "day", "input_tokens") == [
            ("2026-11-20", 1),
            ("2026-11-21", 3),
            ("2026-11-21", 9),
            ("2026-11-22", 2),
        ]
        # As a later key they are no more than that.
        assert short(usage([db], by("model", "day"), EVER), "input_tokens") == [(3,), (2,), (1,), (9,)]


def test_columns(db: sqlite3.Connection) -> None:
    put(db, "a", model="gemini-2.5-pro", input_tokens=1, output_tokens=1)
    (row,) = costs.cost([db], by("model"), EVER)
    assert tuple(row) == costs.cost_columns(by("model"))
    assert tuple(row)[1:] == (
        *("calls", "input_usd", "cached_usd", "output_usd", "other_usd", "cost_usd", "cache_saved_usd"),
        "unpriced_calls",
    )
    (row,) = usage([db], by("model"), EVER)
    assert tuple(row)[-2:] == ("cost_usd", "unpriced_calls")


def test_a_price_file_goes_first(db: sqlite3.Connection, tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text("prices: [{model: gemini-2.5-*, tokens: {input: 1000000, output: 0}}]")
    catalog = Catalog.with_file(tmp_path / "prices.yaml")
    put(db, "a", model="gemini-2.5-pro", input_tokens=2, output_tokens=1)
    (row,) = usage([db], by(), EVER, catalog)
    assert row["cost_usd"] == 2


def test_prices_that_change_are_those_of_the_time_of_the_call(db: sqlite3.Connection) -> None:
    """In one group, of a model that only genai-prices knows: $10 and $40 until 2025-06-10, then $2 and $8."""
    tenth = int(datetime(2025, 6, 10, tzinfo=UTC).timestamp()) * 1_000_000
    for name, started in (("a", tenth - 1), ("b", tenth)):
        put(db, name, model="o3", started_at=started, input_tokens=1_000_000, output_tokens=1_000_000)
    (row,) = usage([db], by("model"), EVER)
    assert (row["cost_usd"], row["unpriced_calls"]) == (60, 0)


def test_of_attempts_each_has_the_price_of_its_model(db: sqlite3.Connection) -> None:
    tried(db, "a", 1, model="gemini-2.5-pro", status=200, input_tokens=1_000_000, output_tokens=0)
    tried(db, "a", 2, model="nosuch", status=200, input_tokens=1_000_000, output_tokens=0)
    put(db, "a", model="nosuch", status=200, usage_state="final", input_tokens=2_000_000, output_tokens=0)
    (row,) = usage([db], by(), EVER)
    assert (row["calls"], row["cost_usd"], row["unpriced_calls"]) == (1, 1.25 * 2, 1)


# Any calls, whose parts are parts of the whole

MODELS = (
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "gemini-3.8-flash",
    "gemini-2.5-flash-image",
    "claude-sonnet-4-5@20250929",
    "claude-opus-4-6",
    "text-embedding-005",
    "imagen-4.0-generate-001",
    "veo-3.1-generate-001",
    "nosuch",
)
TIMES = (START, int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000, START + 90 * 24 * HOUR)


def _some(most: int) -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(0, most)


_DRAWN = st.fixed_dictionaries(
    {
        "model": st.sampled_from(MODELS),
        "started_at": st.sampled_from(TIMES),
        "location": st.sampled_from(["global", "us-central1", "eu"]),
        "traffic_type": st.sampled_from(["ON_DEMAND", "ON_DEMAND_FLEX", "PROVISIONED_THROUGHPUT", "batch", "odd"]),
        "state": st.sampled_from(["done", "client_closed", "open"]),
        "usage_state": st.sampled_from(["final", "partial", "not_applicable"]),
        "input_tokens": _some(400_000),
        "output_tokens": _some(50_000),
        "images": _some(4),
        "video_seconds": _some(16),
        "search_queries": _some(3),
        "variant": st.sampled_from([None, "720p", "1080p+audio"]),
    }
)
_PARTS = st.tuples(*[_some(400_000)] * 5)
"""Numbers of tokens, of which as many are taken as the whole has."""


def _with_parts(call: dict[str, Any], parts: tuple[int | None, ...]) -> dict[str, Any]:
    def part(number: int | None, whole: int | None) -> int | None:
        return min(number, whole) if number and whole else None

    whole = call["input_tokens"]
    cached = part(parts[0], whole)
    # Of the rest, so that nothing is both written to the cache and read from it.
    written = part(parts[1], (whole or 0) - (cached or 0))
    hour = part(parts[2], written) or 0
    audio = part(parts[3], cached)
    image = part(parts[4], call["output_tokens"]) or 0
    told: dict[str, Any] = {
        "cache_creation_input_tokens": written,
        "cache_creation": {"ephemeral_1h_input_tokens": hour},
    }
    if audio is not None:
        told["cacheTokensDetails"] = [
            {"modality": "AUDIO", "tokenCount": audio},
            {"modality": "TEXT", "tokenCount": (cached or 0) - audio},
        ]
    return call | {
        "input_cached_tokens": cached,
        "input_cache_write_tokens": written,
        "input_by_modality": json.dumps({"audio": audio}) if audio is not None else None,
        "output_by_modality": json.dumps({"image": image}),
        "usage_raw": json.dumps(told),
    }


ANY_CALL = st.builds(_with_parts, _DRAWN, _PARTS)
"""Columns of any call."""


def only(rows: list[Row]) -> Row:
    (row,) = rows
    return row


AMOUNTS = ("input_usd", "cached_usd", "output_usd", "other_usd", "cost_usd", "cache_saved_usd")


@settings(max_examples=40)
@given(calls=st.lists(ANY_CALL, min_size=1, max_size=8))
def test_a_group_costs_what_its_calls_cost(calls: list[dict[str, Any]]) -> None:
    with empty() as db:
        for number, call in enumerate(calls):
            put(db, str(number), client=str(number), **call)
        together = only(costs.cost([db], by(), EVER))
        singly: list[Row] = costs.cost([db], by("client"), EVER)
        for name in AMOUNTS:
            amounts = [row[name] for row in singly if row[name] is not None]
            assert together[name] == (pytest.approx(sum(amounts), rel=1e-12) if amounts else None)
            assert all(amount >= 0 for amount in amounts)
        assert together["unpriced_calls"] == sum(row["unpriced_calls"] for row in singly)
        put(db, "unpriced", model="nosuch", input_tokens=5, output_tokens=5)
        more = only(costs.cost([db], by(), EVER))
        assert [more[name] for name in AMOUNTS] == [together[name] for name in AMOUNTS]
        assert more["unpriced_calls"] == together["unpriced_calls"] + 1


@given(counts=st.lists(st.none() | st.integers(0, 10**12), min_size=5, max_size=5))
def test_nothing_is_negative_whatever_is_reported(counts: list[int | None]) -> None:
    names = ("input_tokens", "input_cached_tokens", "input_cache_write_tokens", "output_tokens", "search_queries")
    with empty() as db:
        odd = json.dumps({"audio": 10**12, "image": 10**12})
        told = dict(zip(names, counts, strict=True)) | {"input_by_modality": odd, "output_by_modality": odd}
        put(db, "a", model="gemini-2.5-flash", **told)
        (row,) = costs.cost([db], by(), EVER)
        values: list[Any] = [row[name] for name in AMOUNTS]
        assert all(value is None or value >= 0 for value in values)


@pytest.mark.parametrize(
    ("model", "count", "others"),
    [
        ("gemini-2.5-pro", "input_tokens", {"output_tokens": 1}),
        ("gemini-2.5-pro", "output_tokens", {"input_tokens": 1}),
        ("gemini-2.5-flash-image", "input_tokens", {"output_tokens": 1, "images": 1}),
        ("gemini-2.5-flash-image", "output_tokens", {"input_tokens": 1, "images": 1}),
        ("imagen-4.0-generate-001", "images", {}),
        ("veo-3.1-generate-001", "video_seconds", {"variant": "720p"}),
    ],
)
def test_one_call_of_two_lacks_a_count(db: sqlite3.Connection, model: str, count: str, others: dict[str, Any]) -> None:
    put(db, "a", model=model, **others, **{count: 1})
    put(db, "b", model=model, **others)
    row = only(usage([db], by(), EVER))
    assert row["unpriced_calls"] == 1
    assert row["cost_usd"] > 0


@pytest.mark.parametrize("location", ["global", "us-central1", "eu"])
def test_an_unknown_tier_has_no_price(db: sqlite3.Connection, location: str) -> None:
    put(db, "a", model="gemini-3.8-flash", traffic_type="odd", location=location, input_tokens=1, output_tokens=1)
    row = only(usage([db], by(), EVER))
    assert (row["cost_usd"], row["unpriced_calls"]) == (None, 1)


def test_all_parts_that_a_price_may_need_are_read() -> None:
    assert (
        *("input_image_tokens", "input_audio_tokens", "input_video_tokens", "input_document_tokens"),
        *("output_image_tokens", "output_audio_tokens", "output_video_tokens"),
        *("input_cached_audio_tokens", "input_cache_write_1h_tokens", "search_uses"),
    ) == costs.PARTS
