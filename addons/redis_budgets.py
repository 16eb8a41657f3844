"""Budgets of tokens and money in Redis or Valkey, which several machines share. They are those of
`metering/budgets.py`, in a hash for each client, unit and window: number of a slice -> what was used in it.

The time is that of the server, so the clocks of the machines need not agree.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError

from addons.counters import PREFIX
from addons.exchange import Exchange
from metering.allowance import Allowance
from metering.budgets import Charge
from metering.sliding_sum import Need
from metering.sliding_sum import Over
from metering.sliding_sum import Reserved
from metering.sliding_sum import Room
from metering.sliding_sum import Slices
from metering.sliding_sum import judge

PATIENCE_S = 2.0
"""How long to wait for a connection, and for an answer."""
MOST_OWED = 10_000
"""The most charges that wait for a server that is away."""

RESERVE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local admitted, found = 1, {}
for i, key in ipairs(KEYS) do
  local amount, need, window, slice = unpack(ARGV, i * 4 - 3, i * 4)
  local first, used, kept = math.floor((now - window) / slice), 0, {}
  local all = redis.call('HGETALL', key)
  for j = 1, #all, 2 do
    if tonumber(all[j]) < first then
      redis.call('HDEL', key, all[j])
    else
      used = used + all[j + 1]
      table.insert(kept, all[j])
      table.insert(kept, all[j + 1])
    end
  end
  if used + (need == '' and 1 or need) > tonumber(amount) then admitted = 0 end
  table.insert(found, kept)
end
if admitted == 1 then
  for i, key in ipairs(KEYS) do
    local amount, need, window, slice = unpack(ARGV, i * 4 - 3, i * 4)
    if need ~= '' then
      redis.call('HINCRBY', key, string.format('%.0f', math.floor(now / slice)), need)
      redis.call('PEXPIRE', key, math.floor((window + slice) / 1000))
    end
  end
end
return {admitted, string.format('%.0f', now), found}
"""
"""Reserves what a call needs, if all allowances suffice. KEYS: the hashes. ARGV, for each: the amount of the allowance,
the need (empty if it is unknown), the length of the window and of a slice. Returns whether it did, the time, and the
slices before."""

CHARGE = """
local at = ARGV[2]
if tonumber(ARGV[1]) > 0 then
  local time = redis.call('TIME')
  at = time[1] * 1000000 + time[2]
end
local slice = string.format('%.0f', math.floor(at / ARGV[4]))
if tonumber(ARGV[1]) > 0 or redis.call('HEXISTS', KEYS[1], slice) == 1 then
  if redis.call('HINCRBY', KEYS[1], slice, ARGV[1]) <= 0 then redis.call('HDEL', KEYS[1], slice) end
  redis.call('PEXPIRE', KEYS[1], math.floor((ARGV[3] + ARGV[4]) / 1000))
end
"""
"""Replaces what was reserved by what was used. KEYS: the hash. ARGV: the difference, when it was reserved, the length
of the window and of a slice. What was used beyond the reservation counts from now on. A negative difference is ignored
if the slice has been deleted."""


def pool_of(url: str) -> ConnectionPool:
    """Connections to a server, which are made when they are needed."""
    return ConnectionPool.from_url(
        url,
        decode_responses=True,
        socket_connect_timeout=PATIENCE_S,
        socket_timeout=PATIENCE_S,
        # A connection that the server has closed meanwhile is noticed when it is used. What took too long is not sent
        # again: it would be reserved twice.
        retry=Retry(NoBackoff(), 1, supported_errors=(Disconnected,)),
    )


class RedisBudgets:
    """Reserves and charges what calls use."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        redis: Redis = Redis(connection_pool=pool)
        self._reserve = redis.register_script(RESERVE)
        self._charge = redis.register_script(CHARGE)
        self._owed: deque[tuple[str, Charge]] = deque(maxlen=MOST_OWED)
        self._paying: asyncio.Task[None] | None = None

    async def reserve(self, exchange: Exchange, client: str, needs: Sequence[Need]) -> Reserved | Over:
        """Reserve what a call needs, if all of its allowances suffice. Raises redis.RedisError, OSError."""
        keys = [_key(client, need.allowance) for need in needs]
        arguments: list[Any] = []
        for allowance, amount in needs:
            needed = "" if amount is None else amount
            arguments += (allowance.amount, needed, allowance.window_us, allowance.slice_us)
        told = await self._reserve(keys=keys, args=arguments)
        try:
            at, found = int(told[1]), [_slices(listed) for listed in told[2]]
            judged = [judge(need, slices, at) for need, slices in zip(needs, found, strict=True)]
        except (TypeError, ValueError, LookupError):
            raise ConnectionError("this is no Redis server") from None
        if over := next((one for one in judged if isinstance(one, Over)), None):
            return over
        self._pay()
        return Reserved([one for one in judged if isinstance(one, Room)], at)

    def settle(self, client: str, charges: Iterable[Charge]) -> None:
        """Replace what was reserved by what was used. If the server is away, that is done when it is back."""
        self._owed.extend((client, charge) for charge in charges)
        self._pay()

    async def close(self) -> None:
        """Wait until everything is charged, and end the connections."""
        if self._paying:
            await self._paying
        await self._pool.aclose()

    def _pay(self) -> None:
        if self._owed and (self._paying is None or self._paying.done()):
            with suppress(RuntimeError):
                self._paying = asyncio.get_running_loop().create_task(self._pay_all())

    async def _pay_all(self) -> None:
        while self._owed:
            client, (allowance, amount, at) = self._owed[0]
            arguments = (amount, at, allowance.window_us, allowance.slice_us)
            try:
                await self._charge(keys=[_key(client, allowance)], args=arguments)
            except (RedisError, OSError):
                return
            self._owed.popleft()


def _slices(listed: list[str]) -> Slices:
    """The slices that Redis tells as a list of numbers and amounts."""
    return {int(slice): int(amount) for slice, amount in zip(listed[::2], listed[1::2], strict=True)}


def _key(client: str, allowance: Allowance) -> str:
    # The braces keep all keys of a client on one node of a cluster.
    return f"{PREFIX}:{{{client}}}:{allowance.unit}:{allowance.window}"
