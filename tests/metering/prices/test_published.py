"""Of models whose prices are the same in the versions of genai-prices for all Pythons."""

import subprocess
import sys
from datetime import date
from decimal import Decimal

import pytest
from genai_prices.data import providers
from genai_prices.types import TimeOfDateConstraint

from metering.prices import published
from tests.process import ROOT


def test_a_model_of_openai() -> None:
    (price,) = published.prices("gpt-4o", "")
    assert price.tokens.at(0) == {"input": Decimal("2.5"), "cached": Decimal("1.25"), "output": Decimal(10)}
    assert price.source == "genai-prices: OpenAI"


def test_long_inputs() -> None:
    (price,) = published.prices("gemini-1.5-flash", "google")
    assert price.tokens.at(0)["input"] == Decimal("0.075")
    assert price.tokens.at(128_000)["input"] == Decimal("0.15")


def test_prices_that_began_on_a_day() -> None:
    before, after = published.prices("o3", "")
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
