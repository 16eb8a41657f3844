"""SQL that both databases know, through the one interface that reports use."""

import sqlite3
from contextlib import closing

from metering.postgresql import PostgreSQL
from metering.selection import Glob
from metering.store import Store
from tests.ledgers import fresh
from tests.postgresql_server import Server


def test_both_are_stores(postgresql: Server) -> None:
    opened: list[Store] = [fresh(), PostgreSQL(postgresql.new())]
    for store in opened:
        with closing(store):
            assert not store.in_transaction
            store.execute("BEGIN")
            assert store.in_transaction
            found = store.execute("SELECT CAST(? AS text) GLOB ?, 100 % 30", ("50%?", Glob("5*%[?]")))
            assert [tuple(row) for row in found] == [(True, 10)]
            assert store.execute("SELECT 1 WHERE 1 = ?", (2,)).fetchone() is None
            assert [*map(tuple, store.execute("SELECT 1 UNION ALL SELECT 2 ORDER BY 1").fetchall())] == [(1,), (2,)]
            store.execute("ROLLBACK")
            assert not store.in_transaction
    assert isinstance(opened[0], sqlite3.Connection)
