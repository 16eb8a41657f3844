"""Requests are counted alike in memory and in a real Redis."""

import asyncio
import uuid
from collections.abc import Callable
from collections.abc import Coroutine

import pytest

from addons import counters
from addons.counters import Counters
from addons.redis_budgets import pool_of
from metering.allowance import Unit
from metering.allowance import allowance
from metering.sliding_sum import Need
from metering.sliding_sum import Over
from metering.sliding_sum import Room
from tests.redis_server import RedisServer

HOURLY = allowance(Unit.REQUESTS, "3/hour")


@pytest.fixture(params=["memory", "redis"])
def run(request: pytest.FixtureRequest, redis_server: RedisServer) -> Callable[..., None]:
    """Runs a coroutine function with a function that makes counters, which share what they count in Redis."""

    def run(step: Callable[[Callable[[], Counters]], Coroutine[None, None, None]]) -> None:
        async def within() -> None:
            pool = pool_of(redis_server.url) if request.param == "redis" else None
            made = Counters(pool)
            await step(lambda: Counters(pool) if pool else made)
            if pool:
                await pool.aclose()

        asyncio.run(within())

    return run


def client() -> str:
    return uuid.uuid4().hex


def test_so_many_and_no_more(run: Callable[..., None]) -> None:
    async def step(make: Callable[[], Counters]) -> None:
        one, other = client(), client()
        told = [await make().hit(one, HOURLY) for _ in range(4)]
        *rooms, over = told
        assert [room.left if isinstance(room, Room) else None for room in rooms] == [2, 1, 0]
        assert isinstance(over, Over)
        assert over[:2] == (Need(HOURLY, 1), 3)
        assert 3590 < over.retry_s <= 3600
        assert isinstance(await make().hit(other, HOURLY), Room)

    run(step)


def test_another_amount_gives_nothing_back(run: Callable[..., None]) -> None:
    async def step(make: Callable[[], Counters]) -> None:
        one = client()
        amounts = (3, 3, 4, 2, 1, 5)
        told = [await make().hit(one, allowance(Unit.REQUESTS, f"{amount}/hour")) for amount in amounts]
        assert [room.left if isinstance(room, Room) else None for room in told] == [2, 1, 1, None, None, 1]
        assert isinstance(await make().hit(one, allowance(Unit.REQUESTS, "1/day")), Room)

    run(step)


def test_the_window_slides(run: Callable[..., None]) -> None:
    async def step(make: Callable[[], Counters]) -> None:
        one, limit = client(), allowance(Unit.REQUESTS, "2/second")
        clock = asyncio.get_running_loop().time
        admitted: list[tuple[float, float]] = []
        while len(admitted) < 4:
            before = clock()
            told = await make().hit(one, limit)
            if isinstance(told, Room):
                admitted.append((before, clock()))
            else:
                assert told.retry_s <= 1
                await asyncio.sleep(told.retry_s)
        # Redis and this process have clocks of their own.
        spans = [end - begin for (begin, _), (_, end) in zip(admitted, admitted[2:], strict=False)]
        assert min(spans) > 0.95

    run(step)


def test_many_requests_are_weighted(run: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "MOST_KEPT", 2)

    async def step(make: Callable[[], Counters]) -> None:
        one = client()
        told = [await make().hit(one, HOURLY) for _ in range(4)]
        assert [isinstance(one, Room) for one in told] == [True, True, True, False]

    run(step)
