import time

import pytest
from mitmproxy import http

from addons.metered import Metered
from addons.metered import perf_counter_at
from addons.tap import Tap
from metering.call import Call
from metering.outcome import Ending
from metering.usage.formats import Usage
from metering.usage.gemini import GeminiReader
from metering.usage.predict import PredictReader
from metering.usage.reader import Reader

MS = 1_000_000


def metered(started_ms: int) -> Metered:
    """A call that started so many milliseconds ago."""
    return Metered(Call(started_at=0), Usage(None, None), time.perf_counter_ns() - started_ms * MS)


def test_a_time_that_mitmproxy_has_noted() -> None:
    then = perf_counter_at(time.time() - 2)
    assert 2000 * MS <= time.perf_counter_ns() - then < 3000 * MS
    assert perf_counter_at(time.time() + 100) <= time.perf_counter_ns()


def test_a_call_that_was_never_sent_has_a_duration_only() -> None:
    one = metered(30)
    one.take_times()
    call = one.call
    assert call.duration_us is not None
    assert call.duration_us >= 30_000
    assert (call.upstream_us, call.ttft_us, call.overhead_us) == (None, None, None)


def test_the_upstreams_time_is_not_the_proxys() -> None:
    one = metered(100)
    call = one.call
    call.upstream_status = 200
    one.received, one.released = one.started + 10 * MS, one.started + 15 * MS
    one.take_times()
    assert call.upstream_us is not None
    assert call.upstream_us >= 85_000
    assert call.overhead_us is not None
    assert 5_000 <= call.overhead_us < call.upstream_us


def test_a_request_that_is_passed_on_is_counted() -> None:
    one = metered(0)
    assert one.count_request(b"abc") == b"abc"
    assert one.count_request(b"") == []
    assert one.call.request_bytes == 3


@pytest.mark.parametrize("reader", [PredictReader(None), GeminiReader()])
def test_a_grpc_status_after_messages_is_an_error_of_the_answer(reader: Reader) -> None:
    one = metered(0)
    one.tap = Tap(
        http.Response.make(200, headers={"content-type": "application/grpc"}), Usage(reader, None), lambda: None
    )
    one.tap.bytes = 7
    one.call.upstream_status = 200
    used = {"prompt_tokens": 3, "completion_tokens": 4}
    reader.read({"choices": [{"delta": {"content": "Hi"}}], "usage": used})
    one.take_grpc_status("14")
    one.settle(Ending.COMPLETE)
    assert (one.call.state, one.call.error_type) == ("upstream_failed", "UNAVAILABLE")


@pytest.mark.parametrize(
    ("body", "state", "usage_state"),
    [
        (b'[{"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 3}}', "done", "final"),
        (
            b'[{"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 3, "candid',
            "upstream_failed",
            "partial",
        ),
    ],
)
@pytest.mark.parametrize("ending", [Ending.CUT, Ending.COMPLETE])
def test_half_of_the_last_event_ends_nothing(ending: Ending, body: bytes, state: str, usage_state: str) -> None:
    one = metered(0)
    response = http.Response.make(200, headers={"content-type": "application/json"})
    one.tap = Tap(response, Usage(GeminiReader(), None), lambda: None)
    one.tap(body)
    if ending is Ending.CUT:
        one.tap.break_off()
    else:
        one.tap(b"")
    one.settle(ending)
    assert (one.call.state, one.call.usage_state, one.call.input_tokens) == (state, usage_state, 3)
