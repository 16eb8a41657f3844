"""What a client may use within a window of time, such as `2000000/day`."""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from metering.wording import suggestion

PICODOLLARS = 10**12
"""Amounts of money are counted in picodollars, so that no sum is rounded: a token costs thousands of them."""
MOST = 10**6 * PICODOLLARS
"""The largest amount: a million dollars, or as many tokens as picodollars. 64 bits hold some of them."""
WINDOWS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "week": 7 * 86_400,
    "month": 30 * 86_400,
}
"""Name of a window -> its length in seconds."""
SLICES = 60
"""Into how many slices a window is divided. It slides by one of them at a time."""


class Unit(StrEnum):
    """What is limited: the keys of `limits` in the configuration file."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    COST = "cost"


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much of a unit a client may use in any window of a length."""

    unit: Unit
    amount: int
    """In requests, tokens or picodollars."""
    window: str
    """The name of the window."""
    text: str
    """How the user has written it."""

    @property
    def name(self) -> str:
        """What clients are told, such as `tokens: 2000000/day`."""
        return f"{self.unit}: {self.text}"

    @property
    def window_us(self) -> int:
        return WINDOWS[self.window] * 1_000_000

    @property
    def slice_us(self) -> int:
        return self.window_us // SLICES


_FORM = re.compile(r"(\d{1,15}(?:\.\d{1,6})?) ?/ ?(\w+)", re.ASCII)


def allowance(unit: Unit, text: str) -> Allowance:
    """Parse an amount for a window. Raises ValueError, whose message says what to write instead."""
    matched = _FORM.fullmatch(text)
    if not matched:
        raise ValueError("write an amount and a window, such as 60/minute or 2000000/day")
    written, window = matched.groups()
    if window not in WINDOWS:
        raise ValueError(f"there is no such window{suggestion(window, WINDOWS)}")
    amount = Decimal(written) * (PICODOLLARS if unit is Unit.COST else 1)
    if amount != int(amount):
        raise ValueError("write a whole number")
    if not 0 < amount <= MOST:
        raise ValueError("write an amount that is more than 0, and at most a million dollars")
    return Allowance(unit, int(amount), window, text)
