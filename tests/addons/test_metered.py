import time

from addons.metered import Metered
from addons.metered import perf_counter_at
from metering.call import Call
from metering.usage.formats import Usage

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
