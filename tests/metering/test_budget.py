import time

import pytest

from metering.budget import EARNED_BY_BYTE
from metering.budget import RESERVE
from metering.budget import Budget
from metering.budget import TooMuchWork


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which stands still unless it is set."""
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return clock


def test_what_may_be_spent_at_once(now: list[float]) -> None:
    budget = Budget()
    budget.spend(1.0, int(RESERVE))
    with pytest.raises(TooMuchWork):
        budget.spend(1.0)


def test_bytes_earn(now: list[float]) -> None:
    budget = Budget()
    budget.spend(RESERVE)
    budget.earn(1000)
    budget.spend(1000 * EARNED_BY_BYTE)
    with pytest.raises(TooMuchWork):
        budget.spend(1.0)


def test_a_body_that_is_here_whole_has_earned(now: list[float]) -> None:
    Budget(10_000_000).spend(RESERVE + 10_000_000 * EARNED_BY_BYTE)


def test_time_earns_and_no_more_than_the_reserve_is_saved(now: list[float]) -> None:
    budget = Budget()
    budget.spend(RESERVE)
    now[0] += 3600
    budget.earn(0)
    budget.spend(RESERVE)
    with pytest.raises(TooMuchWork):
        budget.spend(1.0)
