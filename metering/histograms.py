"""Histograms of durations, as JSON: name of a bin -> number of calls. `d544` is a bin of durations; `d` counts the
unknown ones."""

MEASURES = {"duration": "d", "ttft": "t", "overhead": "o"}
"""Durations that are stored as histograms -> their letters in the column `times`."""


def _width(lead: int) -> int:
    return 1 if lead < 20 else 2 if lead < 40 else 4 if lead < 80 else 8


_LEADS = "".join(f"{lead // _width(lead) * _width(lead):02}" for lead in range(100))
"""For each two leading digits, 00 to 99: those of the start of its bin."""


def bin_of(value: int) -> str:
    """The bin of a time in microseconds: the number of its digits, then its first two digits, rounded down so that a
    bin is at most a tenth wide. 47,123 is in the bin `544` (44,000 to 48,000)."""
    digits = str(value)
    lead = int(digits[:2])
    return f"{len(digits)}{_LEADS[2 * lead : 2 * lead + 2]}"


def middle(bin: str) -> int:
    """The value, in microseconds, that represents a bin: every value in the bin is within 5 % of it."""
    digits, low = int(bin[:-2]), int(bin[-2:])
    if digits == 1:
        return low
    high = min(low + _width(low), 100)
    return int(2 * low * high / (low + high) * 10 ** (digits - 2))


def _bin(value: str) -> str:
    """`bin_of` as SQL; NULL for NULL and for negative values."""
    return f"CASE WHEN {value} >= 0 THEN length({value}) || substr('{_LEADS}', 2 * substr({value}, 1, 2) + 1, 2) END"


def name_of_bin(letter: str, time: str) -> str:
    """SQL for the name of a bin in `times`: `d544`, or `d` for an unknown time."""
    return f"'{letter}' || ifnull({_bin(time)}, '')"
