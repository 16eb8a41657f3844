"""The Call record: one row of the ledger.

Every field of `Call` is a column of the table `calls`, in the same order. `Reading` is the part of a row that is read
from a response. A count that nobody reported is None, never 0.
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
    """Values of the column `state`: how a call ended. An `open` call is under way; a `lost` one was open when its
    process died."""

    OPEN = "open"
    DONE = "done"
    CLIENT_CLOSED = "client_closed"
    UPSTREAM_FAILED = "upstream_failed"
    INTERRUPTED = "interrupted"
    LOST = "lost"
    REFUSED = "refused"


class UsageState(StrEnum):
    """Values of the column `usage_state`: how complete the counts of a closed call are."""

    FINAL = "final"
    PARTIAL = "partial"
    ABSENT = "absent"
    UNSUPPORTED = "unsupported"
    NOT_APPLICABLE = "not_applicable"


class ErrorType(StrEnum):
    """Errors for which the upstream has no code; an upstream's own code takes precedence."""

    CLIENT_CLOSED = "client_closed"
    CONNECT_FAILED = "connect_failed"
    TLS_FAILED = "tls_failed"
    UPSTREAM_CUT = "upstream_cut"
    TIMED_OUT = "timed_out"
    BAD_REQUEST = "bad_request"
    NO_CREDENTIALS = "no_credentials"
    UNAUTHORIZED = "unauthorized"
    """No key of a client, or a wrong one."""
    FORBIDDEN = "forbidden"
    OVER_LIMIT = "over_limit"
    NO_ROUTE = "no_route"


@dataclass(slots=True)
class Reading:
    """What was read from a response so far.

    Token counts are inclusive: cached, cache-write and tool-use tokens are part of `input_tokens`, thoughts are part of
    `output_tokens`.
    """

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
    """Whether content has come, not only metadata."""
    terminal: bool = False
    """Whether the event that ends the response has come. Nothing is lost if the connection breaks after it."""
    by_tokens: bool = field(default=False, compare=False)
    """Whether the call is billed by tokens, whatever else is counted."""
    measured: bool = False
    """Whether a quantity has come that the call is billed by and that is none of `BILLED`, such as pages, or seconds of
    sound (which only `usage_raw` has)."""
    failed: bool = False
    """Whether an error has come inside the response."""
    iterations: "list[Reading] | None" = None
    """The parts of the response that another model may have made (`model_served`). Their counts are part of the counts
    above."""

    @property
    def counted(self) -> bool:
        """Whether any count that a call is billed by has come."""
        names = TOKENS if self.by_tokens else BILLED
        return self.measured or any(getattr(self, name) is not None for name in names)

    def add(self, turn: "Reading") -> None:
        """Add the counts of another turn of the same connection. What a turn does not tell is 0 there."""
        for name in COUNTED:
            if (more := getattr(turn, name)) is not None:
                setattr(self, name, (getattr(self, name) or 0) + more)
        for name in MODALITIES:
            setattr(self, name, _sums(getattr(self, name), getattr(turn, name)))
        self.traffic_type = turn.traffic_type or self.traffic_type

    def plus(self, other: "Reading") -> "Reading":
        """The sum of the readings of two responses that are one to the client. Token counts are known only if both are;
        any other missing count is 0."""
        both = replace(self, content=self.content or other.content, measured=self.measured or other.measured)
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


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a poll says of the call that began an operation, for that call's row. Its `response_id` is the name of the
    operation."""

    operation: str
    videos: int | None = None
    """How many videos Veo has made. None if it has failed, or if a model has answered."""
    error_type: str | None = None
    answer: Reading | None = None
    """The answer of a model that answered in the background."""


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
"""Columns that reports sum up. `counted_tokens` is not among them, as counting tokens uses none."""
COUNTED = (*COUNTS, "counted_tokens")
"""All columns that are counts."""
TOKENS = ("input_tokens", "output_tokens", "total_tokens")
BILLED = (*TOKENS, "images", "video_seconds")
"""The counts that calls are billed by."""


class AttemptKind(StrEnum):
    """The kind of a row of the table `attempts`."""

    ATTEMPT = "attempt"
    ITERATION = "iteration"
    """A part of an attempt's response that another model has made."""


@dataclass(slots=True, kw_only=True)
class AttemptRow:
    """One of several attempts of a call: a row of the table `attempts`.

    Its columns are `call_id`, `n` (from 1, its place in `Call.tries`) and these fields. Times and counts are as in
    `Call`.
    """

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
        """Copy what was read from the attempt's response, without counts that are unknown for the whole call."""
        self.error_type, self.traffic_type = reading.error_type, reading.traffic_type
        for name in (*COUNTED, *MODALITIES):
            if getattr(call, name) is not None:
                setattr(self, name, getattr(reading, name))


@dataclass(slots=True, kw_only=True)
class Call:
    """One HTTP request and its response, or one WebSocket connection, with an AI API.

    Times are integer microseconds: `started_at` and `ended_at` since the epoch (UTC), durations from the monotonic
    clock.
    """

    id: str = field(default_factory=lambda: uuid7())
    instance: str | None = None
    """The id of the process that wrote the row; the ledger sets it."""
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
    """Properties of the request that its price depends on beside tokens, such as `1080p+audio` or `2k`."""
    changed: int | None = None
    """A number that grows with every row that is written; the ledger sets it."""
    reserved_tokens: int | None = None
    reserved_usd: float | None = None
    tries: list[AttemptRow] = field(default_factory=list)
    """Not a column: the rows of the table `attempts`, whose counts add up to the call's. Empty if it was tried once."""

    @property
    def has_counts(self) -> bool:
        """Whether it is known what the call has used."""
        return self.usage_state == UsageState.FINAL or any(getattr(self, name) is not None for name in BILLED)

    @property
    def keeps_reservation(self) -> bool:
        """Whether what limits reserved counts as used, now that the call has ended: it was sent, and nobody knows what
        it has used."""
        is_sent = self.attempts > 0 and self.error_type not in (ErrorType.CONNECT_FAILED, ErrorType.TLS_FAILED)
        return is_sent and not self.has_counts and self.usage_state not in (None, UsageState.NOT_APPLICABLE)

    def release(self) -> None:
        """Clear what limits reserved, unless it counts as used."""
        if not self.keeps_reservation:
            self.reserved_tokens = self.reserved_usd = None

    def forget_counts(self) -> None:
        """Clear all counts, as they are not reliable."""
        for name in (*COUNTED, *MODALITIES, "usage_raw"):
            setattr(self, name, None)

    def take(self, reading: Reading) -> None:
        """Copy what was read from the response; what it did not report stays as it is."""
        for name in _READ:
            value = getattr(reading, name)
            if value is not None:
                setattr(self, name, value)


COLUMNS = tuple(f.name for f in fields(Call) if f.name != "tries")
ATTEMPT_COLUMNS = ("call_id", "n", *(f.name for f in fields(AttemptRow)))
_READ = tuple(f.name for f in fields(Reading) if f.name in COLUMNS)


def uuid7() -> str:
    """A new time-ordered UUID (RFC 9562, version 7, with the fraction of the millisecond in `rand_a`)."""
    millis, nanos = divmod(time.time_ns(), 1_000_000)
    fraction = nanos * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8)) >> 2
    return str(uuid.UUID(int=millis << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | random))


_WORD = re.compile(r"[\w@-][\w@./:+=~|-]*")


LONGEST_ID = 512
"""The most characters of the id of an answer or an operation. Some gateways put what they need to know into it."""
LONGEST_MODEL = 128
"""The most characters of the name of the model that has answered."""


def word(value: object, limit: int = 64) -> str | None:
    """`value` if it looks like a name or an enum value, otherwise None: free text must not get into the ledger."""
    if isinstance(value, str) and len(value) <= limit and _WORD.fullmatch(value):
        return value
    return None


_DATED = re.compile(r"(?:@[\w-]*|-\d{8}|-latest)+$")


def is_same_model(one: str | None, other: str | None) -> bool:
    """Whether two names are of one model. Claude's may end with a date: `claude-opus-4-6@20260205`, or `-20260205`."""
    return one is not None and other is not None and _DATED.sub("", one) == _DATED.sub("", other)


LARGEST_COUNT = 10**12
"""The largest plausible count of one call; a larger one is ignored."""


def count(value: object) -> int | None:
    """`value` as a count, or None if it is not one. Google's JSON has int64 values as strings, and some counts as
    floats."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 17:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT:
        return value
    return None


def including(whole: int | None, *parts: int | None) -> int | None:
    """A count, with those of its parts added that are larger than it: they must have been told beside it. Thus
    `including(10, 4, 30)` is 40."""
    return None if whole is None else whole + sum(part for part in parts if part is not None and part > whole)
