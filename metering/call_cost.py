"""What one call cost, as soon as it has ended: what a report would say of it, without asking the ledger."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from metering import rollup
from metering.call import COUNTS
from metering.call import AttemptKind
from metering.call import AttemptRow
from metering.call import Call
from metering.costs import TIERS
from metering.prices.catalog import Catalog
from metering.prices.rates import Cost
from metering.prices.rates import cost as cost_of

Raw = Mapping[str, Any]
"""The upstream's usage object, `Call.usage_raw`, or a part of it."""


def call_cost(call: Call, catalog: Catalog) -> float | None:
    """What a call cost, in US dollars; None if no part of it has a known price."""
    total = Cost()
    for use in _uses(call):
        total = total.plus(_cost(use, call, catalog))
    return total.usd


class _Use(NamedTuple):
    """What one model was used for, with the columns of the rollup (see `rollup.py`)."""

    counts: Call | AttemptRow
    model: str | None
    served: str | None
    publisher: str | None
    location: str | None
    traffic_type: str | None
    iterations: Sequence[Raw]
    """The elements of Claude's `iterations` that belong to it."""


def _uses(call: Call) -> Iterator[_Use]:
    found = (call.usage_raw or {}).get("iterations")
    iterations = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    if not call.tries:
        yield _Use(call, call.model, call.model_served, call.publisher, call.location, call.traffic_type, iterations)
        return
    parts = [row for row in call.tries if row.kind == AttemptKind.ITERATION]
    answered = ([row for row in call.tries if row not in parts] or call.tries)[-1]
    others = {row.model for row in parts}
    for row in call.tries:
        at = call if row is answered else row
        if row.kind == AttemptKind.ITERATION:
            served, publisher = row.model, call.publisher
            own = [
                one
                for one in iterations
                if one.get("model") == row.model
                and one.get("cache_creation_input_tokens") == row.input_cache_write_tokens
            ]
        else:
            is_same = row is answered or row.model == call.model
            served, publisher = (call.model_served, call.publisher) if is_same else (None, None)
            own = [one for one in iterations if one.get("model") not in others]
        yield _Use(row, at.model, served, publisher, at.location, at.traffic_type, own)


def _cost(use: _Use, call: Call, catalog: Catalog) -> Cost:
    served = use.served if use.served != use.model else None
    start = call.started_at // rollup.BUCKET_US * rollup.BUCKET_US
    price = catalog.price((use.model or "", served or ""), use.publisher or "", start)
    if price is None:
        return Cost()
    row, tier = use.counts, rollup.tier_of(use.traffic_type)
    rates = price.rates(
        tier if tier in TIERS else "",
        rollup.context_of(row.input_tokens or 0),
        rollup.region_of(use.location or "") or "global",
        call.variant or "",
    )
    counts: dict[str, int | None] = {name: getattr(row, name) for name in COUNTS}
    for kind in rollup.INPUT_KINDS:
        counts[f"input_{kind}_tokens"] = (row.input_by_modality or {}).get(kind)
    for kind in rollup.OUTPUT_KINDS:
        counts[f"output_{kind}_tokens"] = (row.output_by_modality or {}).get(kind)
    raw: Raw = call.usage_raw or {}
    counts["input_cached_audio_tokens"] = _cached_audio(raw, row.input_cached_tokens)
    counts["input_cache_write_1h_tokens"] = _written_1h(raw, use.iterations, row.input_cache_write_tokens)
    counts["search_uses"] = 1 if row.search_queries else 0
    return cost_of(rates, counts, 1)


def _cached_audio(raw: Raw, cached: int | None) -> int | None:
    """Cached tokens of sound, if the details add up to all that is cached."""
    told = raw.get("cacheTokensDetails")
    details = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    if not cached or sum(one.get("tokenCount") or 0 for one in details) != cached:
        return None
    return sum(one.get("tokenCount") or 0 for one in details if one.get("modality") == "AUDIO")


def _written_1h(raw: Raw, iterations: Sequence[Raw], written: int | None) -> int | None:
    """Tokens that were written to the cache for an hour, if what is told adds up to all that was written."""
    for told in ([raw], iterations):
        if written and sum(one.get("cache_creation_input_tokens") or 0 for one in told) == written:
            return sum((one.get("cache_creation") or {}).get("ephemeral_1h_input_tokens") or 0 for one in told)
    return None
