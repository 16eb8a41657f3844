"""Which services rest, with a clock that is set by hand."""

import pytest

from addons import cooldown
from addons.cooldown import Cooldown


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Calls:
    """Something that stands for a call."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(cooldown, "JITTER", 0)
    return Clock()


@pytest.fixture
def rests(clock: Clock) -> Cooldown:
    return Cooldown(clock)


def length(rests: Cooldown, clock: Clock, service: str = "a", model: str | None = "m") -> float:
    return max(rests.until(service, model, Calls()) - clock.now, 0)


def test_only_what_has_failed_rests(rests: Cooldown, clock: Clock) -> None:
    rests.failed("a", "m", Calls())
    assert [length(rests, clock, *key) for key in (("a", "m"), ("a", "n"), ("b", "m"))] == [4, 0, 0]
    rests.failed("b", None, Calls(), unconnected=True)
    assert [length(rests, clock, *key) for key in (("b", "m"), ("b", None), ("a", "n"))] == [1, 1, 0]


@pytest.mark.parametrize(("told", "expected"), [(0, 0.5), (0.4, 0.5), (7, 7), (1000, 300), (None, 4)])
def test_how_long(rests: Cooldown, clock: Clock, told: float | None, expected: float) -> None:
    rests.failed("a", "m", Calls(), retry_after=told)
    assert length(rests, clock) == expected


def test_each_failure_doubles_it(rests: Cooldown, clock: Clock) -> None:
    lengths = []
    for _ in range(9):
        rests.failed("a", "m", Calls())
        lengths.append(length(rests, clock))
        clock.now += lengths[-1] + 0.001
    assert [round(one, 3) for one in lengths] == [4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_chance_spreads_it(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cooldown, "JITTER", 0.25)
    lengths = []
    for _ in range(50):
        rests = Cooldown(clock)
        rests.failed("a", "m", Calls())
        lengths.append(length(rests, clock))
    assert 3 <= min(lengths) < max(lengths) <= 5


def test_calls_that_fail_at_the_same_time_count_once(rests: Cooldown, clock: Clock) -> None:
    for _ in "123":
        rests.failed("a", "m", Calls())
    assert length(rests, clock) == 4
    rests.failed("a", "m", Calls(), retry_after=60)
    assert length(rests, clock) == 60


def test_one_call_probes_it(rests: Cooldown, clock: Clock) -> None:
    rests.failed("a", "m", Calls())
    clock.now += 5
    probe = Calls()
    assert length(rests, clock) == 0
    rests.begin("a", "m", probe)
    assert (length(rests, clock) > 0, rests.until("a", "m", probe)) == (True, 0)
    rests.answered("a", "m", probe)
    assert length(rests, clock) == 0
    rests.failed("a", "m", Calls())
    assert length(rests, clock) == 4


@pytest.mark.parametrize("how", ["ended", "lost"])
def test_a_probe_without_a_result(rests: Cooldown, clock: Clock, how: str) -> None:
    """Another call may be the probe."""
    rests.failed("a", "m", Calls())
    clock.now += 5
    probe: Calls | None = Calls()
    rests.begin("a", "m", probe)
    if how == "ended":
        rests.ended(probe)
    probe = None
    assert length(rests, clock) == 0


def test_a_probe_that_fails(rests: Cooldown, clock: Clock) -> None:
    rests.failed("a", "m", Calls())
    clock.now += 5
    probe = Calls()
    rests.begin("a", "m", probe)
    rests.failed("a", "m", probe)
    assert length(rests, clock) == 8


def test_an_answer_from_before_does_not_end_it(rests: Cooldown, clock: Clock) -> None:
    """That call was sent before the other failed."""
    rests.failed("a", "m", Calls())
    rests.answered("a", "m", Calls())
    assert length(rests, clock) == 4


def test_not_everything_is_remembered(rests: Cooldown, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients may name any number of models."""
    monkeypatch.setattr(cooldown, "MOST_RESTS", 3)
    for name in "abc":
        rests.failed("s", name, Calls())
    clock.now += 5
    rests.failed("s", "d", Calls())
    assert len(rests._rests) == 1
    for name in "efgh":
        rests.failed("s", name, Calls())
    assert len(rests._rests) <= 3
