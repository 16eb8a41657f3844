"""Compares what a call may use with the limits of its client, before anything is sent, and counts what it has used when
it has ended."""

import functools
import logging
import math
import time
from collections.abc import Awaitable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import MutableMapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import NamedTuple
from weakref import WeakKeyDictionary

from mitmproxy import ctx
from mitmproxy import http

from addons.configuration.clients import Client
from addons.configuration.limits import Storage
from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.exchange import fails_closed
from addons.exchange import harmless
from addons.layers import close_websocket
from addons.ledger_budgets import Away
from addons.ledger_budgets import LedgerBudgets
from addons.needs import Unpriced
from addons.needs import has_price
from addons.needs import needs_of
from addons.options import Options
from addons.options import is_start
from addons.permit import POLICY_VIOLATION
from addons.recorder import Listener
from addons.recorder import Recorder
from addons.translation.errors import Failure
from addons.translation.errors import refusal
from addons.upstream import OffLoop
from addons.upstream import content_of
from metering import budgets
from metering.allowance import PICODOLLARS
from metering.allowance import Allowance
from metering.allowance import Unit
from metering.call import Call
from metering.call import ErrorType
from metering.call import UsageState
from metering.call_cost import call_cost
from metering.estimate import estimate
from metering.prices.catalog import Catalog
from metering.responses_socket import asked_in
from metering.sliding_sum import Need
from metering.sliding_sum import Over
from metering.sliding_sum import Room
from metering.usage.formats import RESPONSES
from metering.usual_answers import UNKNOWN
from metering.usual_answers import UsualAnswers
from metering.written import Kept

if TYPE_CHECKING:
    from addons.counters import Counters
    from addons.redis_budgets import RedisBudgets

AWAY_S = 1.0
"""How long a store that could not be reached is not asked again."""
SAY_AWAY_S = 60.0
NO_PRICE = (
    "The cost of the client {} is limited, and no price of the model {} is known. Whoever runs this proxy can write one"
    " into the file that usage_prices names."
)
NOT_CHECKED = refusal(503, "The limits of this proxy cannot be checked at the moment. Nothing was sent.")


logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Store:
    """Where use is counted: in memory and the ledger, or in Redis."""

    counters: "Counters"
    budgets: "LedgerBudgets | RedisBudgets"
    errors: tuple[type[Exception], ...]
    """What is raised if it cannot be reached."""
    away_until: float = 0.0
    """By the monotonic clock."""

    @property
    def is_away(self) -> bool:
        return time.monotonic() < self.away_until


class Held(NamedTuple):
    """What is reserved for a call."""

    amounts: dict[Unit, int]
    at: int
    """When, in microseconds since the epoch, by the clock of the store."""


class Admit(Listener):
    """Refuses calls of clients that have used up a limit. It comes after `meter`, which reads the model, and before
    `rewrite`, which may send something."""

    def __init__(self, options: Options, exchanges: Exchanges, recorder: Recorder) -> None:
        self._options = options
        self.exchanges = exchanges
        self._recorder = recorder
        self._stores: dict[str | None, Store] = {}
        """URL of a storage (None: there is none) -> the store."""
        self._held: MutableMapping[Exchange, Held] = WeakKeyDictionary()
        self._usual = UsualAnswers()
        self._off_loop = OffLoop()
        self._said_at = -SAY_AWAY_S
        recorder.listeners.append(self)

    def configure(self, updated: set[str]) -> None:
        if is_start(updated):
            gateway = self._options.configuration.gateway
            if any(client.limits for client in gateway.callers.clients):
                # The first call would have to wait for the imports.
                self._store_of(gateway.limits)

    @fails_closed
    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if exchange and exchange.goes_on and flow.request.stream:
            # Its body is not held, so it is admitted while anything is left.
            await self._admit(flow, exchange)

    @fails_closed
    async def request(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if not exchange or flow.response or flow.error:
            return
        if exchange.goes_on or exchange.awaits_body or exchange.awaits_service:
            await self._admit(flow, exchange)

    async def websocket_message(self, flow: http.HTTPFlow) -> None:
        """Close a connection of OpenAI's Responses on which something is asked when a budget is used up."""
        exchange, socket = self.exchanges.get(flow), flow.websocket
        client = exchange.client if exchange else None
        if not exchange or not client or not socket or exchange.call.operation != RESPONSES:
            return
        message, allowances = socket.messages[-1], _budgets_of(client)
        if allowances and message.from_client and asked_in(message.content):
            why = await self._why_not(exchange, client, allowances)
            if why:
                message.drop()
                close_websocket(flow, POLICY_VIOLATION, why)

    def done(self) -> Awaitable[None] | None:
        # Not a coroutine function: when mitmproxy reloads a script, it calls `done` without awaiting the result.
        return self._close() if ctx.master.should_exit.is_set() else None

    async def _close(self) -> None:
        for store in self._stores.values():
            await store.budgets.close()

    @harmless
    def ended(self, exchange: Exchange, kept: Kept, flow: http.HTTPFlow | None) -> None:
        """Count what a call has used, in place of what was reserved."""
        held, client = self._held.pop(exchange, None), exchange.client
        if client and (allowances := _budgets_of(client)):
            call, held = exchange.call, held or Held({}, exchange.call.started_at)
            catalog = exchange.configuration.settings.usage_prices
            used = budgets.used_by(call, _cost_of(call, allowances, catalog), held.amounts)
            now = time.time_ns() // 1000
            charges = budgets.charges(allowances, held.amounts, used, held.at, now)
            self._store_of(exchange.configuration.gateway.limits).budgets.settle(client.name, charges)

    @harmless
    def completed(self, before: Call, after: Call) -> None:
        """Count what a poll says about a call that had ended earlier."""
        configuration = self._options.configuration
        clients = configuration.gateway.callers.clients
        client = next((client for client in clients if client.name == after.client), None)
        if client and (allowances := _budgets_of(client)):
            cost_of = functools.partial(_cost_of, allowances=allowances, catalog=configuration.settings.usage_prices)
            reserved = {
                Unit.TOKENS: before.reserved_tokens or 0,
                Unit.COST: budgets.picodollars(before.reserved_usd or 0),
            }
            known, used = (budgets.used_by(call, cost_of(call), reserved) for call in (before, after))
            now = time.time_ns() // 1000
            charges = budgets.charges(allowances, known, used, before.started_at, now)
            self._store_of(configuration.gateway.limits).budgets.settle(client.name, charges)

    async def _why_not(self, exchange: Exchange, client: Client, allowances: Sequence[Allowance]) -> str | None:
        """Why nothing more may be asked on a connection; None if something is left of each budget."""
        storage = exchange.configuration.gateway.limits
        try:
            store = self._store_of(storage)
            needs = [Need(allowance, None) for allowance in allowances]
            judged = await store.budgets.reserve(exchange, client.name, needs)
            return _reached(client, judged) if isinstance(judged, Over) else None
        except Exception as e:
            # mitmproxy would send the message on.
            self._say_away(storage, type(e).__name__)
            return None if storage.is_open_when_away else NOT_CHECKED.message

    async def _admit(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Count a call and reserve what it may use, or refuse it."""
        client = exchange.client
        if not client or not client.limits:
            return
        storage = exchange.configuration.gateway.limits
        store = self._store_of(storage)
        try:
            if store.is_away:
                raise Away
            await self._count(flow, exchange, client, store)
        except Unpriced as e:
            told = NO_PRICE.format(client.name, e)
            _refuse(flow, exchange, refusal(403, told))
        except store.errors as e:
            _note_reserved(exchange.call, {})
            if exchange.is_over:
                return
            if not store.is_away:
                store.away_until = time.monotonic() + AWAY_S
            self._say_away(storage, type(e).__name__)
            if not storage.is_open_when_away:
                _refuse(flow, exchange, NOT_CHECKED)

    async def _count(self, flow: http.HTTPFlow, exchange: Exchange, client: Client, store: Store) -> None:
        rooms: list[Room] = []
        for allowance in client.limits:
            if allowance.unit is Unit.REQUESTS:
                judged = await store.counters.hit(client.name, allowance)
                if isinstance(judged, Over):
                    _refuse_over(flow, exchange, client, judged)
                    return
                rooms.append(judged)
        allowances = _budgets_of(client)
        if allowances and (exchange.metered.usage.state is not UsageState.NOT_APPLICABLE or _is_socket(flow)):
            needs = await self._needs(flow, exchange, allowances)
            amounts = {need.allowance.unit: need.amount for need in needs if need.amount is not None}
            # It is written with the open row.
            _note_reserved(exchange.call, amounts)
            reserved = await store.budgets.reserve(exchange, client.name, needs)
            if isinstance(reserved, Over):
                _note_reserved(exchange.call, {})
                _refuse_over(flow, exchange, client, reserved)
                return
            rooms += reserved.rooms
            self._held[exchange] = Held(amounts, reserved.at)
            if exchange.is_over:
                # The client has gone meanwhile, so nothing is sent.
                self.ended(exchange, Kept.COMMITTED, flow)
        exchange.left = dict(_headers(rooms))

    async def _needs(self, flow: http.HTTPFlow, exchange: Exchange, allowances: Sequence[Allowance]) -> list[Need]:
        if any(one.unit is Unit.COST for one in allowances):
            exchange.leave_out([one for one in exchange.candidates[1:] if not has_price(exchange, one)])
        told = None
        if exchange.target and not flow.request.stream and not _is_socket(flow):
            body = content_of(flow.request)
            told = await self._off_loop(len(body), estimate, exchange.target.operation, body)
        return [*needs_of(exchange, allowances, told, self._usual_of)]

    def _usual_of(self, model: str | None) -> int:
        """How long the answers of a model usually are."""
        lengths: list[int] = []
        self._recorder.change(lambda db: lengths.append(self._usual.of(db, model)))
        return lengths[0] if lengths else UNKNOWN

    def _store_of(self, storage: Storage) -> Store:
        if storage.url not in self._stores:
            self._stores[storage.url] = _store(storage.url, self._recorder)
        return self._stores[storage.url]

    def _say_away(self, storage: Storage, why: str) -> None:
        if time.monotonic() - self._said_at >= SAY_AWAY_S:
            self._said_at = time.monotonic()
            where = "limits.storage" if storage.url else "the ledger"
            what = "let through unchecked" if storage.is_open_when_away else "refused"
            logger.warning("vertex-tap: %s cannot be reached (%s); calls of limited clients are %s", where, why, what)


def _store(url: str | None, recorder: Recorder) -> Store:
    # Proxies without limits need not import what takes long.
    from addons.counters import Counters

    if url is None:
        return Store(Counters(), LedgerBudgets(recorder), (Away,))
    from redis.exceptions import RedisError

    from addons.redis_budgets import RedisBudgets
    from addons.redis_budgets import pool_of

    pool = pool_of(url)
    return Store(Counters(pool), RedisBudgets(pool), (Away, RedisError, OSError))


def _budgets_of(client: Client) -> list[Allowance]:
    return [allowance for allowance in client.limits if allowance.unit is not Unit.REQUESTS]


def _is_socket(flow: http.HTTPFlow) -> bool:
    return str(flow.request.headers.get("upgrade", "")).lower() == "websocket"


def _cost_of(call: Call, allowances: Iterable[Allowance], catalog: Catalog) -> float | None:
    """What a call has cost, if that matters."""
    return call_cost(call, catalog) if any(one.unit is Unit.COST for one in allowances) else None


def _note_reserved(call: Call, amounts: Mapping[Unit, int]) -> None:
    cost = amounts.get(Unit.COST)
    call.reserved_tokens = amounts.get(Unit.TOKENS)
    call.reserved_usd = None if cost is None else cost / PICODOLLARS


# What clients are told


def _refuse(flow: http.HTTPFlow, exchange: Exchange, failure: Failure) -> None:
    exchange.refuse(flow, failure, ErrorType.OVER_LIMIT)
    # A call that is refused must not be streamed.
    flow.request.stream = False


def _refuse_over(flow: http.HTTPFlow, exchange: Exchange, client: Client, over: Over) -> None:
    allowance, amount = over.need
    told = _reached(client, over)
    if amount is not None and allowance.unit is not Unit.REQUESTS:
        left = max(0, allowance.amount - over.used)
        told += f" This call may use {_written(allowance, amount)}, and {_written(allowance, left)} are left."
    seconds = max(1, math.ceil(over.retry_s))
    _refuse(flow, exchange, refusal(429, f"{told} Try again in {seconds} s."))
    assert flow.response
    flow.response.headers["retry-after"] = str(seconds)


def _reached(client: Client, over: Over) -> str:
    return f"The client {client.name} has reached its limit {over.need.allowance.name}."


def _written(allowance: Allowance, amount: int) -> str:
    return f"{amount / PICODOLLARS:.6f} US dollars" if allowance.unit is Unit.COST else f"{amount} {allowance.unit}"


def _headers(rooms: Iterable[Room]) -> Iterator[tuple[str, str]]:
    """What is left, as OpenAI names it. It has no headers for money."""
    for allowance, left, reset_s in rooms:
        if allowance.unit is not Unit.COST:
            yield f"x-ratelimit-limit-{allowance.unit}", str(allowance.amount)
            yield f"x-ratelimit-remaining-{allowance.unit}", str(left)
            yield f"x-ratelimit-reset-{allowance.unit}", duration(reset_s)


def duration(seconds: float) -> str:
    """A time as OpenAI writes it, such as `12ms` or `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
