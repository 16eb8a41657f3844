import pytest

from addons.translation.errors import Failure
from addons.translation.plan import Plan
from addons.translation.plan import Sending
from addons.translation.plan import WholeConversion


def test_a_request_of_json() -> None:
    assert Sending.of_json("a:b", {"c": "é", "d": float("inf")}) == (
        "a:b",
        '{"c":"é","d":null}'.encode(),
        "application/json",
        "POST",
    )


def test_an_answer_that_is_no_stream() -> None:
    conversion = WholeConversion(lambda documents: {"all": documents})
    assert not conversion.streams
    assert conversion.whole([1, {"a": 2}]) == {"all": [1, {"a": 2}]}


def test_what_is_no_stream_says_nothing_in_pieces() -> None:
    conversion = Plan([], WholeConversion(lambda documents: {})).conversion
    assert conversion
    assert (conversion.end(), conversion.cut(), conversion.failed) == (b"", b"", False)
    assert conversion.fail(Failure(502, "x", "UNAVAILABLE")) == b""
    with pytest.raises(TypeError):
        conversion.feed({})


def test_plans_share_nothing() -> None:
    first, second = Plan([], None), Plan([], None)
    first.notes.dropped.append("x")
    first.headers["a"] = "b"
    assert (second.notes.dropped, second.headers) == ([], {})
