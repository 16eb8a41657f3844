import sqlite3
from contextlib import closing
from contextlib import suppress

from metering.transactions import savepoint
from metering.transactions import transaction


def test_a_savepoint_takes_back_its_own_only() -> None:
    def put(value: int, fail: bool = False) -> None:
        db.execute("INSERT INTO t VALUES (?)", (value,))
        if fail:
            raise ZeroDivisionError

    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE TABLE t (a)")
        with transaction(db):
            put(1)
            with suppress(ZeroDivisionError), savepoint(db):
                put(2, fail=True)
            with savepoint(db):
                put(3)
        with suppress(ZeroDivisionError), transaction(db):
            put(4, fail=True)
        assert db.execute("SELECT a FROM t").fetchall() == [(1,), (3,)]
        assert not db.in_transaction
