"""The attempts of a call, which may be sent more than once, and their rows in the table `attempts`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace

from mitmproxy import http

from metering.call import COUNTED
from metering.call import MODALITIES
from metering.call import AttemptKind
from metering.call import AttemptRow
from metering.call import Call
from metering.call import Reading
from metering.call import is_same_model
from metering.paths import Target
from metering.usage.errors import http_code


@dataclass(slots=True, eq=False)
class Attempt:
    """One request to one upstream, and its response."""

    target: Target | None
    """The parsed path of this request; None for an unknown path."""
    method: str
    answer: http.Response | None = None
    """The response, if this proxy sent the request itself. If mitmproxy sent it, the response is on the flow."""
    reading: Reading | None = None
    """The usage that was read from a response that the client does not get, or from one of several that its response is
    made of."""
    row: AttemptRow | None = None
    """Where it went and how it failed, if another attempt took its place."""
    started_at: int = field(default_factory=lambda: time.time_ns() // 1000)
    """When the request was sent, and in `ended_at` when its response was complete (None: not measured), in microseconds
    since the epoch."""
    ended_at: int | None = None

    @property
    def is_error(self) -> bool:
        """Whether this proxy sent the request itself, and got a status of 400 or more."""
        return self.answer is not None and self.answer.status_code >= 400

    def answered(self, answer: http.Response, reading: Reading | None = None) -> "Attempt":
        """A copy of this attempt that has its response."""
        return replace(self, answer=answer, reading=reading, ended_at=time.time_ns() // 1000)

    def read(self, reading: Reading | None) -> None:
        """Note what was read from a response that the client does not get."""
        self.reading = reading

    def replaced(self, call: Call, status: int | None = None, error_type: str | None = None) -> None:
        """Note how it failed, now that another attempt takes its place. `call` still says where it went."""
        if self.answer is not None:
            status, error_type = self.answer.status_code, None
        self.ended_at = self.ended_at or time.time_ns() // 1000
        self.row = _row(self, call)
        self.row.status, self.row.error_type = status, error_type

    def stays(self) -> None:
        """Note that no other attempt takes its place."""
        self.row = None


def attempt_rows(call: Call, attempts: Sequence[Attempt], reading: Reading) -> list[AttemptRow]:
    """The rows for the table `attempts`; none if the call was tried once, and used no other model in its answer. Their
    counts add up to those of the call. `reading` is of the response that mitmproxy has got."""
    if len(attempts) < 2 and not reading.iterations:
        return []
    rows: list[AttemptRow] = []
    iterations: list[AttemptRow] = []
    others_failed = any(attempt.is_error and not attempt.row for attempt in attempts)
    for attempt in attempts:
        row = replace(attempt.row) if attempt.row else _row(attempt, call)
        told = row.error_type
        if attempt.answer is None and not attempt.row:
            row.status, row.duration_us = call.upstream_status, row.duration_us or call.upstream_us
            _take(attempt.reading or reading, row, iterations, call)
            told = None if others_failed else call.error_type
        else:
            row.status = attempt.answer.status_code if attempt.answer else row.status
            _take(attempt.reading or Reading(), row, iterations, call)
            if attempt.is_error:
                told = row.error_type or http_code(row.status)
        row.error_type = told or row.error_type
        rows.append(row)
    # The one that has answered comes last, by which the sums of reports know it.
    return [*rows, *iterations] if len(rows) + len(iterations) > 1 else []


def _row(attempt: Attempt, call: Call) -> AttemptRow:
    return AttemptRow(
        service=call.service,
        upstream_host=call.upstream_host,
        upstream_path=call.upstream_path,
        model=call.model,
        location=call.location,
        started_at=attempt.started_at,
        duration_us=None if attempt.ended_at is None else attempt.ended_at - attempt.started_at,
    )


def _take(reading: Reading, attempt: AttemptRow, iterations: list[AttemptRow], call: Call) -> None:
    """Put what was read from an attempt's response into its row. What other models have made of it gets rows of its own
    in `iterations`, and is not counted in the attempt's row."""
    attempt.take(reading, call)
    for part in reading.iterations or ():
        if is_same_model(part.model_served, attempt.model):
            continue
        row = AttemptRow(
            kind=AttemptKind.ITERATION,
            service=attempt.service,
            upstream_host=attempt.upstream_host,
            upstream_path=attempt.upstream_path,
            model=part.model_served,
            location=attempt.location,
            status=attempt.status,
            started_at=attempt.started_at,
        )
        row.take(part, call)
        for name in COUNTED:
            if (count := getattr(row, name)) is not None:
                setattr(attempt, name, (getattr(attempt, name) or 0) - count)
        for name in MODALITIES:
            rest = getattr(attempt, name) or {}
            parts = getattr(row, name) or {}
            setattr(attempt, name, {key: tokens - parts.get(key, 0) for key, tokens in rest.items()} or None)
        iterations.append(row)
