"""A budget for the work of reading one message, so that other calls do not wait for it.

Strategy: a token bucket. Its tokens are microseconds, as a slow core would take them, and what costs how much is
a table (`Cost`). A message starts with `RESERVE`, and earns more with its bytes as they come over the network, and
with the time that passes while it is not read. So an answer of any size is read to its end if it is as dense as
answers are; a few bytes that stand for very many ("zip bombs") or millions of tiny events are not.
"""

import time

RESERVE = 250_000.0
"""What may be spent at once: how long other calls may have to wait."""
EARNED_BY_BYTE = 0.3
"""20 ms for the 64 KB that are read from a socket at a time."""
EARNED_BY_TIME = 0.25
"""A long stream may use a quarter of the time that it waits for more."""


class Cost:
    """Microseconds of a slow core, measured and rounded up."""

    CODED_BYTE = 0.02
    """Taken or given by a library for gzip, deflate, br or zstd, and looked at. Bytes without a coding cost nothing."""
    DECODING = 2.0
    """A call of the library."""
    MEMBER = 25.0
    """Of gzip, of which there may be many in a body."""
    SKIPPED_BYTE = 0.04
    """JSON that is skipped, where it is not within a long string."""
    TOKEN = 6.0
    """A step of the scanner: a name, a value or a bracket that is wanted."""
    CONTAINER = 4.0
    """An object or array that is built, and looked at."""
    LINE = 4.0
    """Of server-sent events."""
    EVENT = 12.0


class TooMuchWork(Exception):
    """The budget is used up."""


class Budget:
    def __init__(self, size: int = 0) -> None:
        """`size` is that of a message that is here whole, in bytes."""
        self._left = RESERVE + size * EARNED_BY_BYTE
        self._rests_since = time.monotonic()

    def earn(self, size: int) -> None:
        """More of the message has come, `size` bytes."""
        earned = size * EARNED_BY_BYTE + (time.monotonic() - self._rests_since) * 1e6 * EARNED_BY_TIME
        self._left = min(RESERVE, self._left + earned)

    def rest(self) -> None:
        """All that has come is read."""
        self._rests_since = time.monotonic()

    def spend(self, cost: float, times: int = 1) -> None:
        """Raises TooMuchWork."""
        self._left -= cost * times
        if self._left < 0:
            raise TooMuchWork("it unpacks to far more than its size, or has far too many tiny parts")
