"""What is measured of a call under way, and how its durations get into its row."""

import time
from dataclasses import dataclass
from dataclasses import field
from typing import NamedTuple

from addons.classify import Exchange
from addons.tap import Tap
from addons.translation.conversation import from_bytes
from addons.upstream import content_of
from metering.budget import Budget
from metering.call import Reading
from metering.usage import Usage
from metering.usage import usage_of


class Told(NamedTuple):
    """An error that the client is told, and its upstream's answer did not tell."""

    status: int
    error_type: str | None
    broke: bool = False
    """Whether the answer could not be read, or broke off."""
    of_another: bool = False
    """Whether it is of another call than mitmproxy's."""


@dataclass(slots=True, eq=False)
class Metered:
    """What is measured of a call under way. Times are nanoseconds of `time.perf_counter_ns`."""

    exchange: Exchange
    usage: Usage
    started: int
    received: int | None = None
    """When the request was complete."""
    released: int | None = None
    """When it was let go, and `released_at` the same in seconds since the epoch, as mitmproxy times connections."""
    released_at: float = 0.0
    connecting: int = 0
    """How long it then waited for a connection."""
    tap: Tap | None = None
    settled_at: int | None = None
    """The length of the answer when its row was last settled."""
    others: list[Reading] = field(default_factory=list)
    """What the answers to the other calls have told that this one became."""
    told: Told | None = None
    budget: Budget = field(default_factory=Budget)
    """For the messages of a Live connection."""


def perf_counter_at(timestamp: float) -> int:
    """What `time.perf_counter_ns` was at a time that mitmproxy has noted, in seconds since the epoch."""
    return time.perf_counter_ns() - max(0, int((time.time() - timestamp) * 1e9))


def take_times(metered: Metered) -> None:
    """Put the durations into the row, as of now."""
    call, tap, now = metered.exchange.call, metered.tap, time.perf_counter_ns()
    call.ended_at = time.time_ns() // 1000
    call.duration_us = (now - metered.started) // 1000
    if metered.received is None or metered.released is None:
        return
    sent = metered.released + metered.connecting
    upstream = 0
    if call.upstream_status is not None:
        upstream = max(0, ((tap and tap.last_byte) or now) - sent)
        call.upstream_us = upstream // 1000
    if call.streamed and tap and tap.first_content:
        call.ttft_us = (tap.first_content - sent) // 1000
    if call.upstream_status is not None or metered.exchange.refused:
        call.overhead_us = max(0, metered.released - metered.received + now - sent - upstream) // 1000


def read_others(exchange: Exchange) -> list[Reading]:
    """What the answers tell that came whole, beside that of the flow."""
    readings = []
    for answer in exchange.others:
        reader = usage_of(exchange.answered_by, exchange.answered_with, exchange.call.model).reader
        if reader and answer.status_code < 400:
            reader.read(from_bytes(content_of(answer)))
            readings.append(reader.reading)
    return readings


def count_request(metered: Metered, piece: bytes) -> bytes | list[bytes]:
    call = metered.exchange.call
    call.request_bytes = (call.request_bytes or 0) + len(piece)
    return piece or []
