import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from addons import ledger_budgets
from addons.classify import Classify
from addons.configuration.settings import OPTIONS
from addons.configuration.settings import read
from addons.exchange import Exchange
from addons.ledger_budgets import Away
from addons.ledger_budgets import LedgerBudgets
from addons.options import Options
from addons.recorder import Recorder
from metering.allowance import Unit
from metering.allowance import allowance
from metering.budgets import Charge
from metering.sliding_sum import Need
from metering.sliding_sum import Over
from metering.sliding_sum import Reserved
from tests.addons.routed import Routed
from tests.configuration import DEFAULTS
from tests.process import rows_of

TOKENS = allowance(Unit.TOKENS, "100/hour")


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    options = Options()
    options.configuration = read(DEFAULTS | {"usage_db": str(tmp_path / "usage.db")}, [])
    made = Recorder(options, Classify(options).exchanges)
    made.configure(set(OPTIONS))
    yield made
    made.close()


def exchange(folder: Path) -> Exchange:
    return Routed(folder, "POST", "/v1/chat/completions").exchange


def reserve(recorder: Recorder, asked: Exchange, amount: int | None) -> Reserved | Over:
    return asyncio.run(LedgerBudgets(recorder).reserve(asked, "a", [Need(TOKENS, amount)]))


def test_a_reservation_is_made_with_the_open_row(recorder: Recorder, tmp_path: Path) -> None:
    asked = exchange(tmp_path)
    reserved = reserve(recorder, asked, 60)
    assert isinstance(reserved, Reserved)
    assert reserved.rooms[0].left == 40
    assert [(row["id"], row["state"]) for row in rows_of(tmp_path / "usage.db")] == [(asked.call.id, "open")]
    assert isinstance(reserve(recorder, exchange(tmp_path), 41), Over)
    assert len(rows_of(tmp_path / "usage.db")) == 1


def test_a_client_that_has_gone_gets_nothing(recorder: Recorder, tmp_path: Path) -> None:
    asked = exchange(tmp_path)
    asked.refuse_unanswered()
    with pytest.raises(Away):
        reserve(recorder, asked, 60)
    assert rows_of(tmp_path / "usage.db") == []


def test_a_ledger_that_another_process_writes(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets = LedgerBudgets(recorder)

    async def step() -> None:
        with closing(sqlite3.connect(tmp_path / "usage.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(budgets.reserve(exchange(tmp_path), "a", [Need(TOKENS, 60)]))
            await asyncio.sleep(0)
            # What is used meanwhile is charged with the next call.
            budgets.settle("a", [Charge(TOKENS, 15, time.time_ns() // 1000)])
            assert not waiting.done()
            other.execute("ROLLBACK")
            assert isinstance(await waiting, Reserved)
            other.execute("BEGIN IMMEDIATE")
            monkeypatch.setattr(ledger_budgets, "PATIENCE_S", 0.1)
            with pytest.raises(Away):
                await budgets.reserve(exchange(tmp_path), "a", [Need(TOKENS, 1)])
            other.execute("ROLLBACK")
        budgets.settle("a", [])
        left = await budgets.reserve(exchange(tmp_path), "a", [Need(TOKENS, None)])
        assert isinstance(left, Reserved)
        assert left.rooms[0].left == 100 - 60 - 15

    asyncio.run(step())
