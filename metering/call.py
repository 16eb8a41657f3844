"""The Call record: one row of the ledger, in the ledger's own words.

Every field of `Call` is a column of the table `calls`, in its order. `Reading` is the part of a row that
comes out of an answer. A count that nobody reported is None, never 0.
"""

import os
import re
import time
import uuid
from dataclasses import dataclass
from dataclasses import field
from dataclasses import fields
from dataclasses import replace
from enum import StrEnum


class State(StrEnum):
    OPEN = "open"
    DONE = "done"
    CLIENT_CLOSED = "client_closed"
    UPSTREAM_FAILED = "upstream_failed"
    INTERRUPTED = "interrupted"
    LOST = "lost"
    REFUSED = "refused"


class UsageState(StrEnum):
    FINAL = "final"
    PARTIAL = "partial"
    ABSENT = "absent"
    UNSUPPORTED = "unsupported"
    NOT_APPLICABLE = "not_applicable"


class ErrorType(StrEnum):
    """What went wrong where no upstream had a word for it; an upstream's own code comes first."""

    CLIENT_CLOSED = "client_closed"
    CONNECT_FAILED = "connect_failed"
    TLS_FAILED = "tls_failed"
    UPSTREAM_CUT = "upstream_cut"
    BAD_REQUEST = "bad_request"
    NO_CREDENTIALS = "no_credentials"
    FORBIDDEN = "forbidden"


@dataclass(slots=True)
class Reading:
    """What an answer has told so far. Token counts are inclusive: cached, cache-write and tool-use tokens
    are part of `input_tokens`, thoughts are part of `output_tokens`."""

    model_served: str | None = None
    response_id: str | None = None
    error_type: str | None = None
    finish_reason: str | None = None
    input_tokens: int | None = None
    input_cached_tokens: int | None = None
    input_cache_write_tokens: int | None = None
    input_tool_tokens: int | None = None
    output_tokens: int | None = None
    output_thought_tokens: int | None = None
    total_tokens: int | None = None
    input_by_modality: dict[str, int] | None = None
    output_by_modality: dict[str, int] | None = None
    images: int | None = None
    video_seconds: int | None = None
    input_items: int | None = None
    search_queries: int | None = None
    counted_tokens: int | None = None
    traffic_type: str | None = None
    usage_raw: dict[str, object] | None = None
    # Not columns:
    content: bool = False
    """Content has come, not only metadata."""
    terminal: bool = False
    """The event has come that ends the answer; a cut after it loses nothing."""
    by_tokens: bool = field(default=False, compare=False)
    """Whether it is tokens that are billed, whatever else is counted."""
    failed: bool = False
    """An error has come inside the answer."""

    @property
    def counted(self) -> bool:
        """Whether any count that a bill could rest on has come."""
        return any(getattr(self, name) is not None for name in (TOKENS if self.by_tokens else BILLED))

    def plus(self, other: "Reading") -> "Reading":
        """What two answers have told that are one to the client. Tokens are known if both told them; any other
        count that is missing is 0."""
        both = replace(self, content=self.content or other.content)
        for name in COUNTED:
            setattr(both, name, _sum(getattr(self, name), getattr(other, name), name in TOKENS))
        for name in MODALITIES:
            setattr(both, name, _sums(getattr(self, name), getattr(other, name)))
        return both


def _sum(one: int | None, another: int | None, is_billed: bool) -> int | None:
    if one is None or another is None:
        return None if is_billed else (another if one is None else one)
    return one + another


def _sums(one: dict[str, int] | None, another: dict[str, int] | None) -> dict[str, int] | None:
    if one is None or another is None:
        return another if one is None else one
    return {name: one.get(name, 0) + another.get(name, 0) for name in one | another}


MODALITIES = ("input_by_modality", "output_by_modality")
COUNTS = (
    "input_tokens",
    "input_cached_tokens",
    "input_cache_write_tokens",
    "input_tool_tokens",
    "output_tokens",
    "output_thought_tokens",
    "total_tokens",
    "images",
    "video_seconds",
    "input_items",
    "search_queries",
)
"""Columns that can be summed; `counted_tokens` is no use."""
COUNTED = (*COUNTS, "counted_tokens")
"""Columns that are counts."""
TOKENS = ("input_tokens", "output_tokens", "total_tokens")
BILLED = (*TOKENS, "images", "video_seconds")
"""The quantities that make a call's usage known."""


class AttemptKind(StrEnum):
    """What a row of `attempts` is."""

    ATTEMPT = "attempt"
    ITERATION = "iteration"
    """A part of an attempt's answer that another model has made."""


@dataclass(slots=True, kw_only=True)
class AttemptRow:
    """One of several attempts of a call: a row of the table `attempts`, whose columns are `call_id`, `n` (from 1, its
    place in `Call.tries`) and these fields. Times and counts are as in `Call`."""

    kind: str = AttemptKind.ATTEMPT
    service: str | None = None
    upstream_host: str | None = None
    upstream_path: str | None = None
    model: str | None = None
    location: str | None = None
    traffic_type: str | None = None
    status: int | None = None
    error_type: str | None = None
    started_at: int
    duration_us: int | None = None
    input_tokens: int | None = None
    input_cached_tokens: int | None = None
    input_cache_write_tokens: int | None = None
    input_tool_tokens: int | None = None
    output_tokens: int | None = None
    output_thought_tokens: int | None = None
    total_tokens: int | None = None
    input_by_modality: dict[str, int] | None = None
    output_by_modality: dict[str, int] | None = None
    images: int | None = None
    video_seconds: int | None = None
    input_items: int | None = None
    search_queries: int | None = None
    counted_tokens: int | None = None

    def take(self, reading: Reading, call: "Call") -> None:
        """Copy what its answer told. A count that is not known of the call is not told of its attempts."""
        self.error_type, self.traffic_type = reading.error_type, reading.traffic_type
        for name in (*COUNTED, *MODALITIES):
            if getattr(call, name) is not None:
                setattr(self, name, getattr(reading, name))


@dataclass(slots=True, kw_only=True)
class Call:
    """One HTTP exchange, or one WebSocket connection, with an AI API.

    Times are integer microseconds: `started_at` and `ended_at` since the epoch (UTC), durations of the
    monotonic clock.
    """

    id: str = field(default_factory=lambda: uuid7())
    instance: str | None = None
    """The process that wrote the row; the ledger puts it in."""
    state: str = State.OPEN
    started_at: int
    ended_at: int | None = None
    surface: str | None = None
    operation: str | None = None
    method: str | None = None
    path: str | None = None
    service: str | None = None
    upstream_host: str | None = None
    upstream_path: str | None = None
    rewritten: bool = False
    attempts: int = 0
    project: str | None = None
    location: str | None = None
    publisher: str | None = None
    model: str | None = None
    model_served: str | None = None
    response_id: str | None = None
    client: str | None = None
    sdk: str | None = None
    tags: dict[str, str] | None = None
    streamed: bool | None = None
    status: int | None = None
    upstream_status: int | None = None
    error_type: str | None = None
    finish_reason: str | None = None
    request_bytes: int | None = None
    response_bytes: int | None = None
    duration_us: int | None = None
    ttft_us: int | None = None
    upstream_us: int | None = None
    overhead_us: int | None = None
    usage_state: str | None = None
    input_tokens: int | None = None
    input_cached_tokens: int | None = None
    input_cache_write_tokens: int | None = None
    input_tool_tokens: int | None = None
    output_tokens: int | None = None
    output_thought_tokens: int | None = None
    total_tokens: int | None = None
    input_by_modality: dict[str, int] | None = None
    output_by_modality: dict[str, int] | None = None
    images: int | None = None
    video_seconds: int | None = None
    input_items: int | None = None
    search_queries: int | None = None
    counted_tokens: int | None = None
    traffic_type: str | None = None
    usage_raw: dict[str, object] | None = None
    variant: str | None = None
    """What the price depends on beside tokens, from the request: `1080p+audio`, `2k`."""
    changed: int | None = None
    """A number that grows with every row that is written; the ledger puts it in."""
    reserved_tokens: int | None = None
    reserved_usd: float | None = None
    tries: list[AttemptRow] = field(default_factory=list)
    """Not a column: the rows of the table `attempts`, none if the call was tried once. They sum up to the call."""

    def forget_counts(self) -> None:
        """What was read of the answer is not to be relied on."""
        for name in (*COUNTED, *MODALITIES, "usage_raw"):
            setattr(self, name, None)

    def take(self, reading: Reading) -> None:
        """Copy what the answer told; what it did not tell stays as it is."""
        for name in _READ:
            value = getattr(reading, name)
            if value is not None:
                setattr(self, name, value)


COLUMNS = tuple(f.name for f in fields(Call) if f.name != "tries")
ATTEMPT_COLUMNS = ("call_id", "n", *(f.name for f in fields(AttemptRow)))
_READ = tuple(f.name for f in fields(Reading) if f.name in COLUMNS)


def uuid7() -> str:
    """A time-ordered identifier (RFC 9562, version 7, with the fraction of the millisecond in `rand_a`)."""
    millis, nanos = divmod(time.time_ns(), 1_000_000)
    fraction = nanos * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8)) >> 2
    return str(uuid.UUID(int=millis << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | random))


_WORD = re.compile(r"[\w@][\w@./:+=~-]*")


def word(value: object, limit: int = 64) -> str | None:
    """`value` if it looks like a name or an enum, else None: free text must not reach the ledger."""
    if isinstance(value, str) and len(value) <= limit and _WORD.fullmatch(value):
        return value
    return None


LARGEST_COUNT = 10**12
"""More than any one call has ever used: whatever says more says nothing."""


def count(value: object) -> int | None:
    """`value` as a count, or None. Google's JSON writes int64 as strings and some counts as floats."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 17:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT:
        return value
    return None
