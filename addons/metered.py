"""The measurements of a call under way, and how they get into its row."""

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from typing import NamedTuple

from mitmproxy import http

from addons.tap import Tap
from addons.upstream import document_of
from metering.budget import Budget
from metering.call import Call
from metering.call import ErrorType
from metering.call import Reading
from metering.call import Settlement
from metering.call import State
from metering.call import UsageState
from metering.outcome import Ending
from metering.outcome import Outcome
from metering.outcome import outcome
from metering.paths import Target
from metering.usage.errors import ErrorReader
from metering.usage.errors import rpc_code
from metering.usage.formats import Usage
from metering.usage.formats import usage_of


class Told(NamedTuple):
    """An error that the client gets although the upstream's response was none."""

    status: int
    error_type: str | None
    broke: bool = False
    """Whether the upstream's response could not be read, or broke off."""
    of_another: bool = False
    """Whether the error is that of a request sent beside the first."""


@dataclass(slots=True, eq=False)
class Metered:
    """The measurements of a call under way. Times are in nanoseconds of `time.perf_counter_ns`."""

    call: Call
    usage: Usage
    started: int
    received: int | None = None
    """When the request had come in completely."""
    released: int | None = None
    """When the request was released to go upstream. `released_at` is the same in seconds since the epoch, which is how
    mitmproxy times connections."""
    released_at: float = 0.0
    connecting: int = 0
    """How long the request then waited for a connection."""
    failed_ns: int = 0
    """How long attempts took that have failed."""
    tap: Tap | None = None
    settled_at: int | None = None
    """The length of the response in bytes when the row was last settled."""
    told: Told | None = None
    budget: Budget = field(default_factory=Budget)
    """The budget for reading the messages of a Live connection."""

    @property
    def settlement(self) -> Settlement | None:
        """The result for the row of another call, if this one is a poll that has found it done."""
        reader = self._usage.reader
        return reader.settlement if reader else None

    @property
    def reading(self) -> Reading:
        """What was read from the response to the request that mitmproxy sent."""
        reader = self._usage.reader
        return reader.reading if reader else Reading()

    @property
    def _usage(self) -> Usage:
        return self.tap.usage if self.tap else self.usage

    def mark_released(self) -> None:
        """Note that the request goes upstream now."""
        self.released, self.released_at = time.perf_counter_ns(), time.time()

    def mark_tried_again(self) -> None:
        """Note that another attempt goes upstream now."""
        if self.released:
            self.failed_ns += time.perf_counter_ns() - self.released
        self.take_upstream_status(None)
        self.mark_released()

    def take_request(self, received: float, size: int | None) -> None:
        """Note that the request is complete. `received` is when, in seconds since the epoch; `size` is that of its body
        in bytes, None if it was streamed."""
        self.received = perf_counter_at(received)
        if size is not None:
            self.call.request_bytes = size

    def count_request(self, piece: bytes) -> bytes | list[bytes]:
        """Count a chunk of a streamed request body, and pass it on; a stream callable of mitmproxy."""
        self.call.request_bytes = (self.call.request_bytes or 0) + len(piece)
        return piece or []

    def begin_answer(self, status: int, connected: float) -> None:
        """Note that the upstream's response headers are here. `connected` is when the connection was made, in seconds
        since the epoch; 0 if that is unknown."""
        self.call.status = self.call.upstream_status = status
        if self.released:
            self.connecting = max(0, int((connected - self.released_at) * 1e9))

    def take_upstream_status(self, status: int | None) -> None:
        """Note the status of a response of which the client gets nothing; None: another request takes its place."""
        self.call.upstream_status = status

    def read_with(self, usage: Usage) -> None:
        """Read the response with the reader in `usage` from now on."""
        self.usage = usage

    def take_answer_of_ours(self, status: int, size: int) -> None:
        """Note a response that came from no upstream; `size` is that of its body in bytes."""
        self.call.status, self.call.response_bytes = status, size
        self.usage = Usage(None, UsageState.NOT_APPLICABLE)

    def count_message(self, size: int, *, from_client: bool) -> None:
        """Count a WebSocket message of `size` bytes."""
        call = self.call
        if from_client:
            call.request_bytes = (call.request_bytes or 0) + size
        else:
            call.response_bytes = (call.response_bytes or 0) + size

    def restart(self, usage: Usage, size: int) -> None:
        """Measure from now on a response that a message of `size` bytes on a WebSocket connection asks for."""
        self.read_with(usage)
        self.started = self.received = time.perf_counter_ns()
        self.connecting = 0
        self.call.request_bytes, self.call.response_bytes = size, 0

    def take_turn(self, reading: Reading) -> bool:
        """Put what was read from a Live connection so far into the row. Returns whether it has counts."""
        call = self.call
        if reading.content and call.ttft_us is None and self.released:
            call.ttft_us = (time.perf_counter_ns() - self.released - self.connecting) // 1000
        if reading.counted:
            call.take(reading)
        return reading.counted

    def take_grpc_status(self, status: str) -> None:
        """Note the status of a gRPC call; `0` is none. An error after messages has come inside the response; without
        messages it is like an HTTP status of 400 or more."""
        if status == "0" or not self.tap:
            return
        self.call.error_type = rpc_code(status)
        if not self.tap.bytes:
            self.tap.usage = Usage(None, UsageState.NOT_APPLICABLE)
        elif reader := self.tap.usage.reader:
            reader.fail(self.call.error_type)

    def tell(self, told: Told | None) -> None:
        """Note the error that the client gets in place of the upstream's response, if any."""
        self.told = told

    def tell_again(self, told: Told) -> None:
        """Note such an error after the row was settled, so that it is settled again."""
        self.told, self.settled_at = told, None

    def tell_status(self, status: int | None) -> None:
        """Note the status that the client got; None if it got no response."""
        self.call.status = status

    def settle(
        self,
        ending: Ending,
        others: Sequence[Reading] = (),
        failed: Sequence[Reading] = (),
        refused_as: str | None = None,
    ) -> bool:
        """Put into the row how the call ended.

        `others` are the readings of the responses to the requests sent beside the first, `failed` those of attempts
        that have failed. Returns False if the row says it already, as no more of the response has come since.
        """
        length = self.tap.bytes if self.tap else 0
        if self.settled_at == length:
            return False
        self.settled_at = length
        call, usage = self.call, self._usage
        reading = functools.reduce(Reading.plus, others, self.reading)
        if self.tap and self.tap.is_cut:
            # A connection that closes may be all that ends a body, so its framing tells nothing.
            ending = Ending.CUT if ending is Ending.COMPLETE else ending
            reading = replace(reading, terminal=False)
        whole = _with_failed(reading, failed)
        if not self.tap:
            # Nothing else has come.
            reading = whole
        event_stream = self.tap is not None and self.tap.event_stream
        ended = outcome(ending, call.upstream_status, usage, reading, event_stream=event_stream)
        if told := self.told:
            call.status, call.error_type = told.status, told.error_type
            ended = _of_what_was_told(told, reading) or ended
        call.take(whole)
        if ended.usage_state == UsageState.UNSUPPORTED:
            # The counts that were read before the budget ran out are incomplete.
            call.forget_counts()
        call.state, call.usage_state = ended.state, ended.usage_state
        call.error_type = ended.error_type or call.error_type or refused_as
        call.release()
        if self.tap:
            call.response_bytes = length
        self.take_times(is_refused=ending is Ending.REFUSED)
        return True

    def take_times(self, *, is_refused: bool = False) -> None:
        """Put the durations up to now into the row."""
        call, tap, now = self.call, self.tap, time.perf_counter_ns()
        call.ended_at = time.time_ns() // 1000
        call.duration_us = (now - self.started) // 1000
        if self.received is None or self.released is None:
            return
        sent = self.released + self.connecting
        upstream = 0
        if call.upstream_status is not None:
            upstream = max(0, ((tap and tap.last_byte) or now) - sent)
            call.upstream_us = upstream // 1000
        if call.streamed and tap and tap.first_content:
            call.ttft_us = (tap.first_content - sent) // 1000
        if call.upstream_status is not None or is_refused:
            waited = self.released - self.failed_ns - self.received
            call.overhead_us = max(0, waited + now - sent - upstream) // 1000


def _with_failed(reading: Reading, failed: Sequence[Reading]) -> Reading:
    """What was used in all: also by attempts that have failed, where a count that was not told is 0."""
    if not failed:
        return reading
    whole = replace(reading)
    for one in failed:
        whole.add(one)
        whole.measured = whole.measured or one.measured
    whole.traffic_type = reading.traffic_type or whole.traffic_type
    return whole


def _of_what_was_told(told: Told, reading: Reading) -> Outcome | None:
    known = UsageState.PARTIAL if reading.counted else UsageState.ABSENT
    if told.broke:
        return Outcome(State.UPSTREAM_FAILED, known, reading.error_type or ErrorType.UPSTREAM_CUT)
    return Outcome(State.DONE, known, told.error_type) if told.of_another else None


def perf_counter_at(timestamp: float) -> int:
    """The value of `time.perf_counter_ns` at `timestamp`, which is in seconds since the epoch, as mitmproxy's times
    are."""
    return time.perf_counter_ns() - max(0, int((time.time() - timestamp) * 1e9))


def read_answer(target: Target | None, method: str, model: str | None, answer: http.Response) -> Reading | None:
    """Read the usage of a complete response; None if its format is not read."""
    reader = ErrorReader() if answer.status_code >= 400 else usage_of(target, method, model).reader
    if reader:
        reader.read(document_of(answer))
    return reader.reading if reader else None
