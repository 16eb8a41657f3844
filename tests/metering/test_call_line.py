from typing import Any

import pytest

from metering.call import Call
from metering.call_line import call_line
from metering.call_line import comment_line
from metering.call_line import dollars
from metering.call_line import is_error

STREAMED: dict[str, Any] = {
    "state": "done",
    "operation": "streamGenerateContent",
    "model": "gemini-2.5-flash",
    "status": 200,
    "client": "team-a",
    "input_tokens": 12_000,
    "input_cached_tokens": 4000,
    "output_tokens": 30,
    "output_thought_tokens": 20,
    "ttft_us": 310_000,
    "duration_us": 1_204_999,
}


def made(**members: Any) -> Call:
    return Call(started_at=0, **members)


def test_a_streamed_call() -> None:
    call = made(**STREAMED)
    told = "12,000 in (4,000 cached), 30 out (20 thoughts), $0.0012, ttft 0.31 s, 1.20 s"
    assert comment_line(call, 0.00123) == f"gemini-2.5-flash, {told}, done"
    assert call_line(call, 0.00123) == f"streamGenerateContent gemini-2.5-flash 200 done, {told}, from team-a"
    assert "$" not in comment_line(call)


def test_a_call_that_failed() -> None:
    call = made(state="upstream_failed", error_type="connect_failed", method="POST", path="/x", duration_us=5000)
    assert comment_line(call) == "0.01 s, upstream_failed connect_failed"
    assert call_line(call) == "POST /x - upstream_failed connect_failed, 0.01 s"


def test_a_client_that_went_away() -> None:
    """The state and the type of the error are one word."""
    assert comment_line(made(state="client_closed", error_type="client_closed")) == "client_closed"


def test_what_is_not_billed_by_tokens() -> None:
    assert comment_line(made(state="done", images=2)) == "2 images, done"
    assert comment_line(made(state="done", video_seconds=8)) == "8 s of video, done"
    assert comment_line(made(state="done", counted_tokens=0)) == "0 tokens counted, done"


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"state": "done", "status": 200}, False),
        ({"state": "open"}, False),
        ({"state": "done", "status": 400}, True),
        ({"state": "client_closed", "status": 200}, True),
        ({"state": "done", "status": 200, "error_type": "INTERNAL"}, True),
    ],
)
def test_what_is_an_error(members: dict[str, Any], expected: bool) -> None:
    assert is_error(made(**members)) is expected


@pytest.mark.parametrize(
    ("cost", "text"),
    [(0.0, "$0.00"), (1234.5, "$1,234.50"), (0.5, "$0.5"), (0.00123, "$0.0012"), (0.00002, "$2.0e-05")],
)
def test_dollars(cost: float, text: str) -> None:
    assert dollars(cost) == text


def test_control_characters_are_visible() -> None:
    """A model's name comes from a client."""
    assert "\x1b" not in comment_line(made(model="\x1b[2J"))
    assert "\n" not in call_line(made(model="a\nb"))
