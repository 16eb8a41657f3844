"""Of models whose prices are the same in the versions of genai-prices for all Pythons."""

import subprocess
import sys
from datetime import date
from decimal import Decimal
from types import SimpleNamespace

import pytest
from genai_prices.data import providers
from genai_prices.types import ModelPrice
from genai_prices.types import StartDateConstraint
from genai_prices.types import TimeOfDateConstraint

from metering.prices import published
from tests.process import ROOT


def test_a_model_of_openai() -> None:
    # Newer versions know further prices for tiers, which began on a day.
    price, *_ = published.prices("gpt-4o", "")
    assert price.tokens.at(0) == {"input": Decimal("2.5"), "cached": Decimal("1.25"), "output": Decimal(10)}
    assert price.source == "genai-prices: OpenAI"


def test_long_inputs() -> None:
    (price,) = published.prices("gemini-1.5-flash", "google")
    assert price.tokens.at(0)["input"] == Decimal("0.075")
    assert price.tokens.at(128_000)["input"] == Decimal("0.15")


def test_prices_that_began_on_a_day() -> None:
    before, after, *_ = published.prices("o3", "")
    assert [before.since, before.tokens.input, before.tokens.output] == [None, Decimal(10), Decimal(40)]
    assert [after.since, after.tokens.input, after.tokens.output] == [date(2025, 6, 10), Decimal(2), Decimal(8)]


@pytest.mark.parametrize(
    ("model", "publisher"),
    [
        ("gemini-2.5-pro-next", "google"),
        ("gpt-4o-next", ""),
        ("nosuch", ""),
        ("", ""),
        # What OpenAI's own API would cost says nothing of Vertex AI.
        ("gpt-4o", "openai"),
        ("mistral-large-latest", "mistralai"),
        # Free of charge on the Gemini API, but not elsewhere.
        ("gemma-3-27b-it", "google"),
    ],
)
def test_what_is_unknown_has_no_price(model: str, publisher: str) -> None:
    assert published.prices(model, publisher) == ()


def test_prices_by_time_of_day_are_left_out() -> None:
    by_time = [
        model.id
        for provider in providers
        for model in provider.models
        if provider.id == "deepseek"
        and isinstance(model.prices, list)
        and any(isinstance(price.constraint, TimeOfDateConstraint) for price in model.prices)
    ]
    assert all(published.prices(name, "") == () for name in by_time)


def test_all_of_its_models_can_be_read() -> None:
    """Whatever the conditions and units of its newest version are."""
    read = [price for provider in providers for model in provider.models for price in published.converted(model, "x")]
    assert len(read) > 500
    assert all(rate >= 0 for price in read for rate in price.tokens.told.values())


def test_it_is_imported_only_when_it_is_needed() -> None:
    script = "import sys; from metering.prices import catalog; catalog.own(); assert 'genai_prices' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_tiers() -> None:
    """Which older versions have none of."""
    constraint = StartDateConstraint(date(2026, 10, 14))
    when = {"processing": "batch"}
    entry = SimpleNamespace(
        id="m",
        prices=ModelPrice(input_mtok=Decimal(4), output_mtok=Decimal(8)),
        price_variants=[
            SimpleNamespace(when=when, prices=ModelPrice(input_mtok=Decimal(2)), constraint=constraint),
            SimpleNamespace(when={"service_tier": "fast"}, prices=ModelPrice(input_mtok=Decimal(9)), constraint=None),
        ],
    )
    before, after = published.converted(entry, "x")
    assert before.rates("batch", 0, "", "").unknown
    assert after.since == date(2026, 10, 14)
    assert after.rates("batch", 0, "", "").tokens == {"input": Decimal(2), "output": Decimal(8)}
    assert after.rates("standard", 0, "", "").tokens == {"input": Decimal(4), "output": Decimal(8)}


def test_each_kind_of_tokens() -> None:
    names = (
        "input_mtok input_image_mtok input_audio_mtok input_video_mtok cache_read_mtok cache_audio_read_mtok"
        " cache_write_mtok cache_write_1h_mtok output_mtok output_image_mtok output_audio_mtok output_video_mtok"
    )
    rates = {name: Decimal(number) for number, name in enumerate(names.split(), 1)}
    entry = SimpleNamespace(id="m", prices=SimpleNamespace(**rates, web_searches_kcount=Decimal(14)))
    (price,) = published.converted(entry, "x")
    told = {kind: int(rate) for kind, rate in price.tokens.told.items()}
    assert told == {
        "input": 1,
        "input_image": 2,
        "input_audio": 3,
        "input_video": 4,
        "cached": 5,
        "cached_audio": 6,
        "cache_write": 7,
        "cache_write_1h": 8,
        "output": 9,
        "output_image": 10,
        "output_audio": 11,
        "output_video": 12,
    }
    assert price.per_search_query == Decimal("0.014")
    (written,) = published.converted(
        SimpleNamespace(id="m", prices=SimpleNamespace(cache_write_5m_mtok=Decimal(1))), "x"
    )
    assert written.tokens.cache_write == 1


@pytest.mark.parametrize(
    ("tier", "when"),
    [
        ("batch", {"processing": "batch"}),
        ("flex", {"service_tier": "flex"}),
        ("priority", {"service_tier": "priority"}),
    ],
)
def test_each_tier(tier: str, when: dict[str, str]) -> None:
    variant = SimpleNamespace(when=when, prices=ModelPrice(input_mtok=Decimal(2)), constraint=None)
    entry = SimpleNamespace(id="m", prices=ModelPrice(input_mtok=Decimal(4)), price_variants=[variant])
    (price,) = published.converted(entry, "x")
    assert [str(name) for name in price.tiers] == [tier]


def test_claude_on_vertex_is_listed_under_google() -> None:
    (price, *_) = published.prices("claude-3-opus", "anthropic")
    assert price.source == "genai-prices: Google"
