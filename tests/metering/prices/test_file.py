from decimal import Decimal
from pathlib import Path

import pytest

from metering.prices.file import Price
from metering.prices.file import PriceError
from metering.prices.file import read


def written(folder: Path, text: str) -> Path:
    file = folder / "prices.yaml"
    file.write_text(text)
    return file


def price(folder: Path, entry: str) -> Price:
    (only,) = read(written(folder, f"prices:\n  - {entry}\n"))
    return only


def tokens(one: Price, tier: str = "standard", context: int = 0, region: str = "global") -> dict[str, float]:
    return {kind: float(rate) for kind, rate in one.rates(tier, context, region, "").tokens.items()}


class TestRates:
    ENTRY = (
        "{model: m, tokens: {input: 1, cached: 0.1, output: 10, above: {200000: {input: 2}}},"
        " tiers: {flex: {times: 0.5, cached: 0.1, above: {200000: {cached: 0.2}}}, priority: 2, provisioned: 0},"
        " uplift: {regional: 1.1}}"
    )

    def test_long_inputs(self, tmp_path: Path) -> None:
        one = price(tmp_path, self.ENTRY)
        assert tokens(one) == {"input": 1, "cached": 0.1, "output": 10}
        assert tokens(one, context=128_000) == tokens(one)
        assert tokens(one, context=200_000) == tokens(one, context=272_000) == {"input": 2, "cached": 0.1, "output": 10}

    def test_tiers(self, tmp_path: Path) -> None:
        one = price(tmp_path, self.ENTRY)
        assert tokens(one, "flex") == {"input": 0.5, "cached": 0.1, "output": 5}
        assert tokens(one, "flex", 200_000) == {"input": 1, "cached": 0.2, "output": 5}
        assert tokens(one, "priority", 200_000) == {"input": 4, "cached": 0.2, "output": 20}
        assert tokens(one, "provisioned") == {"input": 0, "cached": 0, "output": 0}
        assert not one.rates("flex", 0, "", "").unknown

    def test_a_tier_that_is_not_told_is_unknown(self, tmp_path: Path) -> None:
        one = price(tmp_path, self.ENTRY)
        assert tokens(one, "offpeak") == {}
        assert one.rates("offpeak", 0, "", "").unknown

    def test_endpoints_that_are_not_global(self, tmp_path: Path) -> None:
        one = price(tmp_path, self.ENTRY)
        assert one.rates("standard", 0, "regional", "").tokens["output"] == Decimal(11)
        assert tokens(one, region="multi-regional") == tokens(one, region="") == tokens(one)

    def test_units(self, tmp_path: Path) -> None:
        one = price(tmp_path, "{model: m, per_image: {2k: 0.2, any: 0.1}, per_item: 3, per_search_query: 4}")
        rates = one.rates("standard", 0, "", "2k")
        assert [rates.image, rates.item, rates.search_query, rates.video_second] == [
            Decimal("0.2"),
            Decimal(3),
            Decimal(4),
            None,
        ]
        assert one.rates("standard", 0, "", "").image == Decimal("0.1")
        # Not billed by tokens, so no tier is missing.
        assert not one.rates("odd", 0, "", "").unknown

    def test_a_variant_that_is_not_told_is_unknown(self, tmp_path: Path) -> None:
        one = price(tmp_path, "{model: m, per_video_second: {720p: 0.2}}")
        assert one.rates("standard", 0, "", "4k").unknown
        assert not one.rates("standard", 0, "", "720p").unknown

    def test_kinds_cost_what_they_are_part_of(self, tmp_path: Path) -> None:
        rates = price(tmp_path, "{model: m, tokens: {input: 1, input_image: 2, cached: 3, output: 4}}").rates(
            "standard", 0, "", ""
        )
        kinds = ("input_audio", "input_document", "cached_audio", "cache_write", "cache_write_1h", "output_video")
        assert [rates.of(kind) for kind in kinds] == [1, 2, 3, 1, 1, 4]


def test_several_models(tmp_path: Path) -> None:
    assert price(tmp_path, "{model: [a, b], per_item: 1}").model == ("a", "b")


PROBLEMS = {
    "prices": "prices.yaml:1: write names and values, such as {name: value}",
    "price: []": "there is no such key; did you mean prices?",
    "prices: []\n": "",
    "prices:\n  - model: a": "prices.yaml:2: prices[0]: has no rate; write tokens, per_image",
    "prices:\n  - per_item: 1": "prices.yaml:2: prices[0].model: is missing",
    "prices:\n  - {model: a, per_item: x}": "prices[0].per_item: write a number such as 0.30, in US dollars",
    "prices:\n  - {model: a, per_item: -1}": "prices[0].per_item: write a number such as 0.30, in US dollars",
    "prices:\n  - {model: a, per_item: inf}": "prices[0].per_item: write a number such as 0.30, in US dollars",
    "prices:\n  - {model: a, per_item: 1, since: soon}": "prices[0].since: write a date such as 2026-11-28",
    "prices:\n  - {model: a, tokens: {inptu: 1}}": "prices[0].tokens.inptu: there is no such key; did you mean input?",
    "prices:\n  - {model: a, tokens: {input: 1, abov: {}}}": "tokens.abov: there is no such key; did you mean above?",
    "prices:\n  - {model: a, tokens: {input: 1, above: {200000: {abov: 1}}}}": "abov: there is no such key; choose",
    "prices:\n  - {model: a, tokens: {input: 1, above: {7: {input: 1}}}}": "know these limits only: 32000, 100000,",
    "prices:\n  - {model: a, tokens: {input: 1, above: {x: {input: 1}}}}": "write a number",
    "prices:\n  - {model: a, per_item: 1, tiers: {slow: 2}}": "tiers.slow: write 'flex', 'priority', 'batch'",
    "prices:\n  - {model: a, per_item: 1, tiers: {flex: {tims: 2}}}": "tims: there is no such key; did you mean times?",
    "prices:\n  - {model: a, per_item: 1, uplift: {eu: 2}}": "uplift.eu: write 'regional' or 'multi-regional'",
    "prices: [}": "cannot be read as YAML",
}


@pytest.mark.parametrize("text", PROBLEMS)
def test_problems(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, text)
    if not PROBLEMS[text]:
        assert read(file) == ()
        return
    with pytest.raises(PriceError) as raised:
        read(file)
    assert PROBLEMS[text] in str(raised.value)


def test_all_problems_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, "prices:\n  - {model: a, per_item: x}\n  - {model: b, since: x, per_item: 1}\n")
    with pytest.raises(PriceError) as raised:
        read(file)
    assert str(raised.value) == (
        f"{file}:2: prices[0].per_item: write a number such as 0.30, in US dollars; "
        f"{file}:3: prices[1].since: write a date such as 2026-11-28"
    )


@pytest.mark.parametrize(
    ("path", "problem"),
    [("nosuch.yaml", "cannot be read (No such file"), (".", "cannot be read (Is a directory"), ("~nobody9/x", "home")],
)
def test_no_file(path: str, problem: str) -> None:
    with pytest.raises(PriceError) as raised:
        read(Path(path))
    assert problem in str(raised.value)
