"""The same rules as those of the ledger, in a real Redis."""

import asyncio
import time
import uuid
from collections.abc import Callable
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from addons import redis_budgets
from addons.counters import Counters
from addons.exchange import Exchange
from addons.redis_budgets import RedisBudgets
from addons.redis_budgets import pool_of
from metering.allowance import Unit
from metering.allowance import allowance
from metering.budgets import Charge
from metering.sliding_sum import Need
from metering.sliding_sum import Over
from metering.sliding_sum import Reserved
from tests.addons.routed import Routed
from tests.redis_server import RedisServer

TOKENS = allowance(Unit.TOKENS, "100/hour")
COST = allowance(Unit.COST, "20/day")
Step = Callable[[list[RedisBudgets], str], Coroutine[None, None, None]]


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    return Routed(tmp_path, "POST", "/v1/chat/completions").exchange


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be slow."""
    monkeypatch.setattr(redis_budgets, "PATIENCE_S", 60.0)


def run(url: str, step: Step) -> None:
    """Runs a step with the budgets of two proxies, and a new client."""

    async def within() -> None:
        budgets = [RedisBudgets(pool_of(url)) for _ in range(2)]
        await step(budgets, uuid.uuid4().hex)
        for one in budgets:
            await one.close()

    asyncio.run(within())


def left(reserved: Reserved | Over) -> list[int] | Over:
    return [room.left for room in reserved.rooms] if isinstance(reserved, Reserved) else reserved


def test_proxies_share_a_budget(redis_server: RedisServer, exchange: Exchange) -> None:
    async def step(budgets: list[RedisBudgets], client: str) -> None:
        a, b = budgets
        assert left(await a.reserve(exchange, client, [Need(TOKENS, 60)])) == [40]
        over = await b.reserve(exchange, client, [Need(TOKENS, 41)])
        assert isinstance(over, Over)
        assert over[:2] == (Need(TOKENS, 41), 60)
        assert 3600 <= over.retry_s <= 3660
        assert left(await b.reserve(exchange, client, [Need(TOKENS, 40)])) == [0]
        assert left(await b.reserve(exchange, "another", [Need(TOKENS, 1)])) == [99]

    run(redis_server.url, step)


def test_many_at_once_never_get_more_than_there_is(redis_server: RedisServer, exchange: Exchange) -> None:
    async def step(budgets: list[RedisBudgets], client: str) -> None:
        calls = [one.reserve(exchange, client, [Need(TOKENS, 9)]) for one in budgets for _ in range(25)]
        admitted = [one for one in await asyncio.gather(*calls) if isinstance(one, Reserved)]
        assert len(admitted) == 11

    run(redis_server.url, step)


def test_all_allowances_must_suffice(redis_server: RedisServer, exchange: Exchange) -> None:
    async def step(budgets: list[RedisBudgets], client: str) -> None:
        a, b = budgets
        much = Need(COST, 19 * 10**12)
        assert left(await a.reserve(exchange, client, [much, Need(TOKENS, 60)])) == [10**12, 40]
        assert isinstance(await b.reserve(exchange, client, [Need(COST, 1), Need(TOKENS, 60)]), Over)
        assert left(await b.reserve(exchange, client, [Need(COST, 10**12), Need(TOKENS, None)])) == [0, 40]
        assert isinstance(await b.reserve(exchange, client, [Need(COST, None)]), Over)

    run(redis_server.url, step)


def test_use_takes_the_place_of_the_reservation(redis_server: RedisServer, exchange: Exchange) -> None:
    async def step(budgets: list[RedisBudgets], client: str) -> None:
        a, b = budgets
        reserved = await a.reserve(exchange, client, [Need(TOKENS, 60)])
        assert isinstance(reserved, Reserved)
        assert abs(reserved.at / 1e6 - time.time()) < 60
        a.settle(client, [Charge(TOKENS, -35, reserved.at), Charge(COST, 7, reserved.at)])
        await a.close()
        assert left(await b.reserve(exchange, client, [Need(TOKENS, None), Need(COST, None)])) == [75, COST.amount - 7]
        # What has slid out is not taken off again.
        a.settle(client, [Charge(TOKENS, -25, reserved.at - 2 * TOKENS.window_us)])
        a.settle(client, [Charge(TOKENS, -25, reserved.at)])
        await a.close()
        assert left(await b.reserve(exchange, client, [Need(TOKENS, 100)])) == [0]

    run(redis_server.url, step)


def test_nothing_is_kept_longer_than_the_window(redis_server: RedisServer, exchange: Exchange) -> None:
    async def step(budgets: list[RedisBudgets], client: str) -> None:
        a, _ = budgets
        await a.reserve(exchange, client, [Need(TOKENS, 60)])
        redis = Redis.from_url(redis_server.url, decode_responses=True)
        key = f"vertex-tap:{{{client}}}:tokens:hour"
        assert 3_600_000 < await redis.pttl(key) <= 3_660_000
        # A slice that is over is removed with the next call.
        await redis.hset(key, "1", "1000")
        assert left(await a.reserve(exchange, client, [Need(TOKENS, None)])) == [40]
        assert await redis.hexists(key, "1") is False
        await redis.aclose()

    run(redis_server.url, step)


def test_what_a_server_did_not_take_is_charged_when_it_is_back(tmp_path: Path, exchange: Exchange) -> None:
    with RedisServer(tmp_path) as server:

        async def step(budgets: list[RedisBudgets], client: str) -> None:
            a, b = budgets
            assert left(await a.reserve(exchange, client, [Need(TOKENS, 10)])) == [90]
            server.stop()
            a.settle(client, [Charge(TOKENS, 30, time.time_ns() // 1000)])
            await a.close()
            with pytest.raises((RedisError, OSError)):
                await a.reserve(exchange, client, [Need(TOKENS, 10)])
            server.start()
            # It is empty now.
            assert left(await a.reserve(exchange, client, [Need(TOKENS, 10)])) == [90]
            await a.close()
            assert left(await b.reserve(exchange, client, [Need(TOKENS, None)])) == [60]

        run(server.url, step)


@pytest.mark.parametrize("answer", [b"+OK\r\n", b":1\r\n", b"*2\r\n:1\r\n:2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_what_is_no_redis_server_is_away(answer: bytes, exchange: Exchange) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while await reader.read(65536):
                # More than once, as several commands may come at a time.
                writer.write(answer * 10)
        writer.close()

    async def within() -> None:
        async with await asyncio.start_server(answers, "127.0.0.1", 0) as server:
            pool = pool_of(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
            with pytest.raises((RedisError, OSError)):
                await RedisBudgets(pool).reserve(exchange, "a", [Need(TOKENS, 1)])
            if not answer.startswith(b"*"):
                # Such a list may be an answer of Redis.
                with pytest.raises((RedisError, OSError)):
                    await Counters(pool).hit("a", allowance(Unit.REQUESTS, "1/day"))
            await pool.aclose()

    asyncio.run(within())
