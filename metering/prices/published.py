"""Prices of genai-prices, a package that brings its data along. Nothing is ever fetched.

https://github.com/pydantic/genai-prices. On Python 3.11 it is an older version, as mitmproxy there and the HTTP client
of newer ones exclude each other; both are read here. What is taken over:

- a model only under a name that its entry tells. The entry of `gemini-2.5-pro` also matches `gemini-2.5-pro-next`, of
  which nothing is known
- prices that begin on a date; none that depend on the time of day
- tiers, where it has them; search by query. Its other units, such as seconds of sound, have no sums in the ledger
"""

from collections.abc import Iterator
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from functools import lru_cache
from typing import Any

from metering.prices.file import AllTokens
from metering.prices.file import Price
from metering.prices.file import Tier
from metering.prices.file import Tokens
from metering.prices.names import is_of
from metering.rollup import BANDS

KINDS = {
    "input_mtok": "input",
    "input_image_mtok": "input_image",
    "input_audio_mtok": "input_audio",
    "input_video_mtok": "input_video",
    "cache_read_mtok": "cached",
    "cache_audio_read_mtok": "cached_audio",
    "cache_write_mtok": "cache_write",
    "cache_write_5m_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
    "output_image_mtok": "output_image",
    "output_audio_mtok": "output_audio",
    "output_video_mtok": "output_video",
}
"""Field of its prices -> our kind of tokens."""
SEARCHES = "web_searches_kcount"
TIERS: Mapping[str, Mapping[str, str]] = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}
"""Our tier -> the condition of its variants."""
PROVIDERS = {"google": "google", "anthropic": "google"}
"""Publisher -> provider. It lists Claude on Vertex AI under Google. Of other publishers it knows no prices on Vertex
AI, only those of their own APIs."""


@cache
def providers() -> tuple[Any, ...]:
    """All that genai-prices knows."""
    # Takes a tenth of a second, which reports on models that we have prices of need not pay.
    from genai_prices import data

    return tuple(data.providers)


@lru_cache(maxsize=4096)
def prices(model: str, publisher: str) -> tuple[Price, ...]:
    """The prices of a model, the oldest first; none if it is unknown. `publisher` is '' where the path of a call names
    none, as in OpenAI's API."""
    for provider in _candidates(model.lower(), publisher):
        found = provider.find_model(model, all_providers=providers())
        if found is not None and any(is_of(model, name) for name in (found.id, *_told(found.match))):
            return tuple(converted(found, provider.name))
    return ()


def _candidates(model: str, publisher: str) -> Iterator[Any]:
    for provider in providers():
        if publisher:
            if provider.id == PROVIDERS.get(publisher):
                yield provider
        elif provider.model_match is not None and provider.model_match.is_match(model):
            yield provider


def _told(match: Any) -> Iterator[str]:
    """The names in a condition on names, such as `ClauseOr([ClauseEquals("a"), ClauseStartsWith("b")])`."""
    for name in ("equals", "starts_with", "ends_with", "contains"):
        if isinstance(told := getattr(match, name, None), str):
            yield told
    for name in ("or_", "and_"):
        for clause in getattr(match, name, ()):
            yield from _told(clause)


def converted(found: Any, provider: str) -> Iterator[Price]:
    """The prices of an entry of genai-prices, the oldest first."""
    conditional = [(None, found.prices)]
    if isinstance(found.prices, list):
        conditional = [(one.constraint, one.prices) for one in found.prices]
    variants = getattr(found, "price_variants", None) or []
    conditions = [condition for condition, _ in conditional] + [variant.constraint for variant in variants]
    if any(condition is not None and not hasattr(condition, "start_date") for condition in conditions):
        return
    for since in sorted({_since(condition) for condition in conditions} | {date.min}):
        # The last that applies counts; if none does, the first.
        applying = [prices for condition, prices in conditional if _since(condition) <= since] or [conditional[0][1]]
        told = _fields(applying[-1])
        tokens = _tokens(told)
        if not tokens["above"] and len(tokens) == 1:
            continue
        tiers = {}
        for tier, condition in TIERS.items():
            chosen: dict[str, Any] = {}
            for variant in variants:
                if variant.when == condition and _since(variant.constraint) <= since:
                    chosen = _fields(variant.prices) | chosen
            if chosen:
                tiers[tier] = Tier(**_tokens(chosen))
        searches = told.get(SEARCHES)
        yield Price(
            model=(found.id,),
            since=None if since == date.min else since,
            source=f"genai-prices: {provider}",
            tokens=AllTokens(**tokens),
            tiers=tiers,
            per_search_query=searches / 1000 if isinstance(searches, Decimal) else None,
        )


def _since(condition: Any) -> date:
    since: date = date.min if condition is None else condition.start_date
    return since


def _fields(prices: Any) -> dict[str, Any]:
    return {name: value for name in (*KINDS, SEARCHES) if (value := getattr(prices, name, None)) is not None}


def _tokens(told: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `AllTokens`."""
    base: dict[str, Any] = {}
    above: dict[int, dict[str, Decimal]] = {}
    for field, kind in KINDS.items():
        if (value := told.get(field)) is None:
            continue
        base[kind] = getattr(value, "base", value)
        for step in getattr(value, "tiers", ()):
            above.setdefault(step.start, {})[kind] = step.price
    return base | {"above": {start: Tokens(**rates) for start, rates in above.items() if start in BANDS}}
