"""Budgets of tokens and money in the ledger, which all processes share that write it (`metering/budgets.py`)."""

import asyncio
import sqlite3
import time
from collections.abc import Iterable
from collections.abc import Sequence

from addons.exchange import Exchange
from addons.recorder import Recorder
from metering import budgets
from metering.budgets import Charge
from metering.call import Call
from metering.sliding_sum import Need
from metering.sliding_sum import Over
from metering.sliding_sum import Reserved

PATIENCE_S = 5.0
"""How long a call waits while another process writes the ledger."""
RETRY_S = 0.01
MOST_OWED = 10_000
"""The most charges that wait for a ledger that cannot be written."""


class Away(Exception):
    """What clients use cannot be counted now."""


class LedgerBudgets:
    """Reserves and charges what calls use."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._owed: list[tuple[str, Charge]] = []

    async def reserve(self, exchange: Exchange, client: str, needs: Sequence[Need]) -> Reserved | Over:
        """Reserve what a call needs, if all of its allowances suffice. In the same transaction, its open row is
        written, if anything is reserved. Raises Away."""
        judged: list[Reserved | Over] = []

        def step(db: sqlite3.Connection) -> Call | None:
            judged[:] = [budgets.reserve(db, client, needs, time.time_ns() // 1000, catalog)]
            is_reserved = isinstance(judged[0], Reserved) and any(need.amount for need in needs)
            return exchange.call if is_reserved else None

        catalog, deadline = exchange.configuration.settings.usage_prices, time.monotonic() + PATIENCE_S
        while exchange.is_over or not self._recorder.change(step):
            if exchange.is_over or time.monotonic() > deadline:
                raise Away
            await asyncio.sleep(RETRY_S)
        return judged[0]

    def settle(self, client: str, charges: Iterable[Charge]) -> None:
        """Replace what was reserved by what was used. If the ledger cannot be written now, that is done with the next
        call that ends."""
        self._owed += [(client, charge) for charge in charges]
        owed = self._owed[-MOST_OWED:]

        def step(db: sqlite3.Connection) -> None:
            for whose, charge in owed:
                budgets.settle(db, whose, [charge])

        if owed and self._recorder.change(step):
            owed = []
        self._owed = owed

    async def close(self) -> None:
        """Nothing is left to be done."""
