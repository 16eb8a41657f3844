"""The rows of attempts; those of calls on the wire are in `test_recorder.py` and `test_fallback.py`."""

import pytest
from mitmproxy import http

from addons.attempts import Attempt
from addons.attempts import attempt_rows
from metering.call import Call
from metering.call import Reading


@pytest.fixture
def call() -> Call:
    made = Call(started_at=0, service="one", upstream_host="one.example", model="m", input_tokens=7, output_tokens=1)
    made.upstream_status, made.upstream_us = 200, 5
    return made


def test_one_attempt_has_no_row(call: Call) -> None:
    assert attempt_rows(call, [Attempt(None, "POST")], Reading(input_tokens=7)) == []


def test_each_says_where_it_went(call: Call) -> None:
    first = Attempt(None, "POST", started_at=10)
    first.read(Reading(input_tokens=3, counted_tokens=4))
    first.replaced(call, 200, "upstream_cut")
    call.service, call.upstream_host, call.model = "two", "two.example", "n"
    rows = attempt_rows(call, [first, Attempt(None, "POST")], Reading(input_tokens=4, output_tokens=1))
    told = [(row.service, row.upstream_host, row.model, row.status, row.error_type) for row in rows]
    assert told == [("one", "one.example", "m", 200, "upstream_cut"), ("two", "two.example", "n", 200, None)]
    # What is not known of the call is known of no attempt.
    counts = [(row.input_tokens, row.output_tokens, row.counted_tokens) for row in rows]
    assert counts == [(3, None, None), (4, 1, None)]
    assert [row.duration_us is None for row in rows] == [False, False]
    assert rows[1].duration_us == 5


def test_one_that_stays_is_the_calls(call: Call) -> None:
    first, last = Attempt(None, "POST"), Attempt(None, "POST")
    first.replaced(call, 429, "RESOURCE_EXHAUSTED")
    last.replaced(call, 503)
    last.stays()
    call.upstream_status, call.error_type = 503, "UNAVAILABLE"
    rows = attempt_rows(call, [first, last], Reading(error_type="UNAVAILABLE"))
    assert [(row.status, row.error_type) for row in rows] == [(429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE")]


def test_one_that_got_no_answer_failed_as_the_call(call: Call) -> None:
    first, last = Attempt(None, "POST"), Attempt(None, "POST")
    first.replaced(call, None, "connect_failed")
    call.upstream_status, call.error_type = None, "timed_out"
    rows = attempt_rows(call, [first, last], Reading())
    assert [(row.status, row.error_type) for row in rows] == [(None, "connect_failed"), (None, "timed_out")]


def test_one_that_broke_off_failed_as_the_call(call: Call) -> None:
    """Also if nothing of its answer was read."""
    first, last = Attempt(None, "POST"), Attempt(None, "POST")
    first.replaced(call, 503, "UNAVAILABLE")
    call.error_type = "upstream_cut"
    rows = attempt_rows(call, [first, last], Reading())
    assert [(row.status, row.error_type) for row in rows] == [(503, "UNAVAILABLE"), (200, "upstream_cut")]


def test_those_that_were_sent_together(call: Call) -> None:
    """They keep their answers, whatever became of the first."""
    first = Attempt(None, "POST")
    other = Attempt(None, "POST").answered(http.Response.make(429), Reading())
    for attempt in (first, other):
        attempt.replaced(call, 503, "UNAVAILABLE")
    rows = attempt_rows(call, [first, other, Attempt(None, "POST")], Reading(input_tokens=7))
    assert [(row.status, row.error_type) for row in rows] == [
        (503, "UNAVAILABLE"),
        (429, "RESOURCE_EXHAUSTED"),
        (200, None),
    ]
