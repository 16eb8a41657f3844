import time

from addons.classify import Exchange
from addons.configuration.settings import read
from addons.metered import Metered
from addons.metered import count_request
from addons.metered import perf_counter_at
from addons.metered import take_times
from metering.call import Call
from metering.usage import Usage
from tests.configuration import DEFAULTS

MS = 1_000_000


def metered(started_ms: int) -> Metered:
    """A call that started so many milliseconds ago."""
    configuration = read(DEFAULTS | {"usage_db": "/tmp/usage.db"}, [])
    exchange = Exchange(Call(started_at=0), None, "", "/", None, configuration)
    return Metered(exchange, Usage(None, None), time.perf_counter_ns() - started_ms * MS)


def test_a_time_that_mitmproxy_has_noted() -> None:
    then = perf_counter_at(time.time() - 2)
    assert 2000 * MS <= time.perf_counter_ns() - then < 3000 * MS
    assert perf_counter_at(time.time() + 100) <= time.perf_counter_ns()


def test_a_call_that_was_never_sent_has_a_duration_only() -> None:
    one = metered(30)
    take_times(one)
    call = one.exchange.call
    assert call.duration_us is not None
    assert call.duration_us >= 30_000
    assert (call.upstream_us, call.ttft_us, call.overhead_us) == (None, None, None)


def test_the_upstreams_time_is_not_the_proxys() -> None:
    one = metered(100)
    call = one.exchange.call
    call.upstream_status = 200
    one.received, one.released = one.started + 10 * MS, one.started + 15 * MS
    take_times(one)
    assert call.upstream_us is not None
    assert call.upstream_us >= 85_000
    assert call.overhead_us is not None
    assert 5_000 <= call.overhead_us < call.upstream_us


def test_a_request_that_is_passed_on_is_counted() -> None:
    one = metered(0)
    assert count_request(one, b"abc") == b"abc"
    assert count_request(one, b"") == []
    assert one.exchange.call.request_bytes == 3
