import pytest

from metering.allowance import SLICES
from metering.allowance import Unit
from metering.allowance import allowance

WINDOWS = {
    "60/second": (60, 1),
    "60/minute": (60, 60),
    "2000000/day": (2_000_000, 24 * 60 * 60),
    "7/hour": (7, 3600),
    "7 / week": (7, 604_800),
    "999999999999999/month": (999_999_999_999_999, 2_592_000),
}


def test_amounts_and_windows() -> None:
    parsed = {text: allowance(Unit.TOKENS, text) for text in WINDOWS}
    assert {text: (one.amount, one.window_us / 1e6) for text, one in parsed.items()} == WINDOWS
    assert {one.slice_us for one in parsed.values()} == {
        16_666,
        1_000_000,
        60_000_000,
        24 * 60_000_000,
        168 * 60_000_000,
        720 * 60_000_000,
    }
    # So many slices and one more cover the window.
    assert all(one.window_us <= (SLICES + 1) * one.slice_us for one in parsed.values())


def test_money_is_counted_in_picodollars() -> None:
    assert allowance(Unit.COST, "20/day").amount == 20_000_000_000_000
    assert allowance(Unit.COST, "0.000001/day").amount == 1_000_000
    assert allowance(Unit.COST, "1000000/month").amount == 10**18


def test_what_clients_are_told() -> None:
    assert allowance(Unit.COST, "0.5/hour").name == "cost: 0.5/hour"


@pytest.mark.parametrize(
    ("unit", "text", "message"),
    [
        ("tokens", "60", "such as 60/minute"),
        ("tokens", "/minute", "such as 60/minute"),
        ("tokens", "-1/minute", "such as 60/minute"),
        ("tokens", "1e6/minute", "such as 60/minute"),
        ("tokens", "6/minutes", r"^there is no such window; did you mean minute\?$"),
        ("tokens", "6/fortnight", "^there is no such window; choose from second, minute, hour, day, week, month$"),
        ("tokens", "0.5/minute", "a whole number"),
        ("requests", "0/minute", "more than 0"),
        ("cost", "0.0/minute", "more than 0"),
        ("cost", "1000001/day", "a million dollars"),
    ],
)
def test_what_is_wrong(unit: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        allowance(Unit(unit), text)
