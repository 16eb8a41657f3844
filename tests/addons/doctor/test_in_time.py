import threading

import pytest

from addons.doctor.in_time import all_in_time
from addons.doctor.in_time import in_time


def test_results_and_errors() -> None:
    value, error = all_in_time([lambda: 1, lambda: int("x")], 60)
    assert value == 1
    assert isinstance(error, ValueError)


def test_what_hangs_is_left_alone() -> None:
    ended = threading.Event()
    (late,) = all_in_time([lambda: ended.wait(60)], 0.01)
    ended.set()
    assert isinstance(late, TimeoutError)


def test_they_run_at_the_same_time() -> None:
    meeting = threading.Barrier(3)
    assert {*all_in_time([meeting.wait] * 3, 30)} == {0, 1, 2}


def test_one() -> None:
    assert in_time(lambda: 1, 30) == 1
    with pytest.raises(ValueError, match="x"):
        in_time(lambda: int("x"), 30)
    ended = threading.Event()
    with pytest.raises(TimeoutError):
        in_time(lambda: ended.wait(60), 0.01)
    ended.set()
