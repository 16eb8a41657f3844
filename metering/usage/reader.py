"""What every reader has: JSON documents in, a `Reading` out.

A reader gets every JSON value of an answer (the one of a unary body, each event of a stream) and never raises on its
shape. Counts may come with every event; they are worked out when `reading` is asked for, which is at the end.
"""

from metering.call import Reading
from metering.call import Settlement


class Reader:
    wanted: frozenset[str] = frozenset()
    """The names of all members that it looks at, for `JsonScanner`."""
    ends_with_event = False
    """Whether a stream of this format ends with an event of its own, such as `[DONE]`."""

    def __init__(self) -> None:
        self._reading = Reading()
        self._settlement: Settlement | None = None

    @property
    def reading(self) -> Reading:
        """What was told so far."""
        return self._reading

    @property
    def content(self) -> bool:
        """Whether content has come, not only metadata."""
        return self._reading.content

    @property
    def terminal(self) -> bool:
        """Whether the event has come that ends the answer."""
        return self._reading.terminal

    @property
    def settlement(self) -> Settlement | None:
        """What the answer tells of a call that was made before, if it is a poll that has found it done."""
        return self._settlement

    def fail(self, error_type: str) -> None:
        """Note an error that came after the answer, outside of it, such as in the trailers of gRPC."""
        self._reading.failed, self._reading.error_type = True, error_type

    def read(self, event: object) -> None:
        raise NotImplementedError
