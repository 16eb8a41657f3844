"""A budget for the work of reading one message, so that other calls do not wait for it.

It is a token bucket whose tokens are microseconds of a slow core; `Cost` lists what each step costs. A message starts
with `RESERVE`, and earns more with every byte that arrives and with the time that it waits for more. So responses of
any size are read to their end, unless few bytes expand to very many ("zip bombs"), or hold millions of tiny events.
"""

import time

RESERVE = 250_000.0
"""What may be spent at once, in microseconds: how long other calls may have to wait."""
EARNED_BY_BYTE = 0.3
"""Microseconds for each byte: 20 ms for the 64 KB that are read from a socket at a time."""
EARNED_BY_TIME = 0.25
"""Microseconds for each microsecond that a stream waits for more: a quarter of that time."""


class Cost:
    """Costs in microseconds of a slow core, measured and rounded up."""

    CODED_BYTE = 0.02
    """A byte that goes into or comes out of a library for gzip, deflate, br or zstd. Bytes without a coding cost
    nothing."""
    DECODING = 2.0
    """A call of such a library."""
    MEMBER = 25.0
    """A gzip member; a body may have many."""
    SKIPPED_BYTE = 0.04
    """A byte of JSON that is skipped, unless it is in a long string."""
    TOKEN = 6.0
    """A step of the JSON scanner: a name, a value or a bracket that is wanted."""
    CONTAINER = 4.0
    """An object or array that is built and read."""
    LINE = 4.0
    """A line of server-sent events."""
    EVENT = 12.0
    FIELD = 6.0
    """A field of a protobuf message, or a number of a packed list."""


class TooMuchWork(Exception):
    """The budget of a message is used up."""


class Budget:
    """The work that may still be spent on one message, in microseconds of a slow core."""

    def __init__(self, size: int = 0) -> None:
        """`size` is that of a complete message in bytes; 0 if the message arrives in pieces."""
        self._left = RESERVE + size * EARNED_BY_BYTE
        self._rests_since = time.monotonic()

    def earn(self, size: int) -> None:
        """Add what `size` new bytes of the message earn."""
        earned = size * EARNED_BY_BYTE + (time.monotonic() - self._rests_since) * 1e6 * EARNED_BY_TIME
        self._left = min(RESERVE, self._left + earned)

    def rest(self) -> None:
        """Note that everything so far has been read, and the message waits for more."""
        self._rests_since = time.monotonic()

    def spend(self, cost: float, times: int = 1) -> None:
        """Take `times` times `cost` from the budget. Raises TooMuchWork if it is used up."""
        self._left -= cost * times
        if self._left < 0:
            raise TooMuchWork("it unpacks to far more than its size, or has far too many tiny parts")
