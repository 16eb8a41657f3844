"""The decision table for how a call ended: `state`, `usage_state` and `error_type` of its row."""

from enum import Enum
from typing import NamedTuple

from metering.call import ErrorType
from metering.call import Reading
from metering.call import State
from metering.call import UsageState
from metering.usage.formats import Usage


class Ending(Enum):
    """How the connection of a call ended."""

    COMPLETE = "complete"
    """The response is complete by its framing."""
    CUT = "cut"
    """The upstream broke off within the response."""
    NO_CONNECTION = "no connection"
    NO_TLS = "no TLS"
    TIMED_OUT = "timed out"
    """The upstream took too long to answer."""
    CLIENT_GONE = "client gone"
    SHUTDOWN = "shutdown"
    REFUSED = "refused"
    """The proxy answered the call itself."""


class Outcome(NamedTuple):
    """What the row of a call says about its end."""

    state: State
    usage_state: UsageState
    error_type: str | None


UNFINISHED = {
    Ending.COMPLETE: (State.UPSTREAM_FAILED, ErrorType.UPSTREAM_CUT),
    Ending.CUT: (State.UPSTREAM_FAILED, ErrorType.UPSTREAM_CUT),
    Ending.NO_CONNECTION: (State.UPSTREAM_FAILED, ErrorType.CONNECT_FAILED),
    Ending.NO_TLS: (State.UPSTREAM_FAILED, ErrorType.TLS_FAILED),
    Ending.TIMED_OUT: (State.UPSTREAM_FAILED, ErrorType.TIMED_OUT),
    Ending.CLIENT_GONE: (State.CLIENT_CLOSED, ErrorType.CLIENT_CLOSED),
    Ending.SHUTDOWN: (State.INTERRUPTED, None),
}
"""How the connection ended -> `state` and `error_type` of a call with an incomplete response."""


def outcome(ending: Ending, status: int | None, usage: Usage, reading: Reading, *, event_stream: bool) -> Outcome:
    """The outcome of a call.

    `status` is the upstream's HTTP status; `event_stream` is whether the response is a stream of server-sent events.
    Some formats end with an event of their own (`[DONE]`): their responses are incomplete without it, even if the
    framing is complete.
    """
    if ending is Ending.REFUSED:
        return Outcome(State.REFUSED, UsageState.NOT_APPLICABLE, reading.error_type)
    counted = UsageState.PARTIAL if reading.counted else UsageState.ABSENT
    known = usage.state or counted
    if known is UsageState.UNSUPPORTED and usage.reader and reading.counted:
        known = counted
    if status is not None and status >= 400:
        known = UsageState.NOT_APPLICABLE
    elif reading.failed:
        return Outcome(State.UPSTREAM_FAILED, known, reading.error_type)
    needs_event = event_stream and usage.reader is not None and usage.reader.ends_with_event
    whole = ending is Ending.COMPLETE and not (needs_event and reading.finish_reason is None)
    if whole or reading.terminal:
        final = UsageState.FINAL if known is UsageState.PARTIAL else known
        return Outcome(State.DONE, final, reading.error_type)
    state, error_type = UNFINISHED[ending]
    return Outcome(state, known, reading.error_type or error_type)
