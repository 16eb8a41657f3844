"""Counts the requests of clients, in memory or in Redis."""

import time
from typing import TYPE_CHECKING

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.storage import Storage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from metering.allowance import WINDOWS
from metering.allowance import Allowance
from metering.sliding_sum import Need
from metering.sliding_sum import Over
from metering.sliding_sum import Room

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

PREFIX = "vertex-tap"
"""The beginning of the names of all keys in Redis."""
MOST_KEPT = 10_000
"""Up to so many requests, the time of each is kept. Beyond that, the count of the last window is weighted, which is a
little less exact, but takes no room."""


class _Limit(RateLimitItemPerSecond):
    """A limit whose requests stay counted when the amount is changed."""

    def key_for(self, *identifiers: bytes | str | int | float) -> str:
        return "/".join(map(str, (self.namespace, *identifiers, self.multiples)))


class Counters:
    """Counts requests in windows that slide."""

    def __init__(self, pool: "ConnectionPool | None" = None) -> None:
        """`pool` has connections to Redis; None: it is counted in memory."""
        storage = MemoryStorage() if pool is None else _in_redis(pool)
        self._exact = MovingWindowRateLimiter(storage)
        self._weighted = SlidingWindowCounterRateLimiter(storage)

    async def hit(self, client: str, allowance: Allowance) -> Room | Over:
        """Count a request, if it is allowed. Raises redis.RedisError, OSError."""
        limiter = self._exact if allowance.amount <= MOST_KEPT else self._weighted
        item = _Limit(allowance.amount, WINDOWS[allowance.window], PREFIX)
        try:
            admitted = await limiter.hit(item, client)
            stats = await limiter.get_window_stats(item, client)
        except (TypeError, ValueError, LookupError):
            raise ConnectionError("this is no Redis server") from None
        wait_s = max(0.0, stats.reset_time - time.time())
        if not admitted:
            return Over(Need(allowance, 1), allowance.amount - stats.remaining, wait_s)
        return Room(allowance, stats.remaining, wait_s)


def _in_redis(pool: "ConnectionPool") -> Storage:
    from limits.aio.storage import RedisStorage

    return RedisStorage("async+redis://", implementation="redispy", connection_pool=pool, key_prefix=PREFIX)  # type: ignore[arg-type]
