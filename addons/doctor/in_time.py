"""Work that may hang, such as the lookup of a name: it gets so many seconds, and is then left alone."""

import threading
import time
from collections.abc import Callable
from collections.abc import Sequence
from typing import Generic
from typing import TypeVar

T = TypeVar("T")


class _Work(Generic[T]):
    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self.result: T | Exception = TimeoutError()
        # Such a thread does not keep the process from ending.
        self.thread = threading.Thread(target=self._run, name="vertex-tap doctor", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.result = self._work()
        except Exception as e:
            self.result = e


def all_in_time(works: Sequence[Callable[[], T]], seconds: float) -> list[T | Exception]:
    """The results of functions that run at the same time. What one raises is its result; TimeoutError is that of one
    that takes too long."""
    until = time.monotonic() + seconds
    started = [_Work(work) for work in works]
    for one in started:
        one.thread.join(max(0.0, until - time.monotonic()))
    return [one.result for one in started]


def in_time(work: Callable[[], T], seconds: float) -> T:
    """The result of a function. Raises what it raises, and TimeoutError if it takes too long."""
    (result,) = all_in_time([work], seconds)
    if isinstance(result, Exception):
        raise result
    return result
