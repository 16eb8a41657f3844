from datetime import UTC
from datetime import date
from datetime import datetime
from functools import cache
from pathlib import Path

import pytest

from metering.prices import catalog
from metering.prices import published
from metering.prices.catalog import EVERYONES
from metering.prices.catalog import Catalog
from metering.prices.catalog import own
from metering.prices.file import Price
from metering.prices.file import PriceError
from metering.prices.file import read


def at(*day: int) -> int:
    return int(datetime(*day, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[misc, arg-type]


NOW = at(2026, 11, 28)


def with_prices(folder: Path, *entries: str) -> Catalog:
    file = folder / "prices.yaml"
    file.write_text("prices:\n" + "".join(f"  - {entry}\n" for entry in entries))
    return Catalog.with_file(file)


@cache
def read_with_checks(path: Path) -> tuple[Price, ...]:
    """One of our own files, read as those of users are. This takes long."""
    return read(path)


class TestOwn:
    @pytest.mark.parametrize("path", catalog.OWN, ids=lambda path: path.name)
    def test_each_row_has_its_date_and_source(self, path: Path) -> None:
        for price in read_with_checks(path):
            assert price.checked, price.model
            assert price.checked >= date(2026, 11, 28)
            assert price.source.startswith("https://"), price.model
            assert not [name for name in price.model if "*" in name]

    def test_all_are_read(self) -> None:
        assert catalog.own() == tuple(price for path in catalog.OWN for price in read_with_checks(path))
        assert {path.name for path in catalog.OWN} == {"claude.yaml", "gemini.yaml", "media.yaml", "partners.yaml"}

    def test_every_model_has_one_price_at_a_time(self) -> None:
        told = [(name, price.publisher, price.since) for price in catalog.own() for name in price.model]
        assert len(told) == len(set(told))

    def test_every_model_has_a_first_price(self) -> None:
        """What a model cost before the first day that is known is what it cost on that day."""
        for price in catalog.own():
            assert all(EVERYONES.price([name], price.publisher or "", 0) for name in price.model), price.model


class TestLookup:
    def test_the_price_of_the_day(self) -> None:
        def input_of(*day: int) -> float:
            price = EVERYONES.price(["gemini-3.8-flash"], "google", at(*day))
            assert price
            return float(price.tokens.told["input"])

        assert (input_of(2026, 12, 31), input_of(2027, 1, 1)) == (0.75, 1.5)

    def test_the_first_name_that_has_a_price(self) -> None:
        price = EVERYONES.price(["123", "gemini-2.5-pro"], "google", NOW)
        assert price
        assert price.model == ("gemini-2.5-pro",)
        assert EVERYONES.price(["", "gemini-9"], "google", NOW) is None

    def test_open_models_have_a_price_of_their_publisher_only(self) -> None:
        assert EVERYONES.price(["llama-3.3-70b-instruct-maas"], "meta", NOW)
        assert EVERYONES.price(["llama-3.3-70b-instruct-maas"], "", NOW) is None

    def test_a_file_goes_first(self, tmp_path: Path) -> None:
        prices = with_prices(
            tmp_path,
            "{model: gemini-2.5-pro, since: 2026-06-01, tokens: {input: 1}}",
            "{model: gemini-2.5-pro, since: 2026-12-01, tokens: {input: 0.5}}",
            "{model: 'gemini-*', publisher: google, tokens: {input: 7}}",
        )
        found = [
            prices.price([model], publisher, at(*day))
            for model, publisher, day in (
                ("gemini-2.5-pro", "google", (2026, 6, 1)),
                ("gemini-2.5-pro", "google", (2026, 12, 1)),
                # Before its first day, the file does not say what it costs.
                ("gemini-2.5-pro", "google", (2026, 5, 31)),
                ("gemini-9", "google", (2026, 5, 31)),
                ("gemini-9", "", (2026, 5, 31)),
                ("claude-haiku-4-5", "anthropic", (2026, 5, 31)),
            )
        ]
        assert [price and float(price.tokens.told["input"]) for price in found] == [1, 0.5, 1.25, 7, None, 1]

    def test_genai_prices_before_the_first_day_of_a_file(self, tmp_path: Path) -> None:
        prices = with_prices(tmp_path, "{model: gpt-4o, since: 2026-06-01, tokens: {input: 1}}")
        told = [float(price.tokens.told["input"]) for price in prices.history("gpt-4o")]
        assert (told[0], told[-1]) == (1, 2.5)

    def test_changes(self, tmp_path: Path) -> None:
        prices = with_prices(tmp_path, "{model: x, since: 2026-06-02, tokens: {input: 1}}")
        assert {at(2026, 6, 2), at(2027, 1, 1), 0} <= prices.changes()
        assert at(2025, 6, 10) in prices.changes(["o3"]) - prices.changes()


class TestAbout:
    def test_of_all_publishers(self) -> None:
        (price,) = EVERYONES.about("llama-3.3-70b-instruct-maas")
        assert price.publisher == "meta"
        assert EVERYONES.about("gemini-9") == []

    def test_all(self) -> None:
        assert EVERYONES.about(None) == [*catalog.own()]


def test_a_bad_file(tmp_path: Path) -> None:
    with pytest.raises(PriceError, match=r"prices.yaml:2: prices\[0\].model: is missing"):
        with_prices(tmp_path, "{tokens: {input: 1}}")


def test_prepared() -> None:
    """Nothing is loaded by the first look-up."""
    loaded = (own, published.providers)
    for one in loaded:
        one.cache_clear()
    Catalog().prepare()
    assert [one.cache_info().currsize for one in loaded] == [1, 1]
    assert Catalog().price(["gpt-4o"], "", 10**15)
    assert [one.cache_info().misses for one in loaded] == [1, 1]
