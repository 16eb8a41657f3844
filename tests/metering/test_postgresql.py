"""Against a real PostgreSQL server."""

import builtins
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import postgresql as under_test
from metering import reports
from metering.database import LedgerError
from metering.postgresql import PostgreSQL
from metering.postgresql import PostgreSQLError
from metering.postgresql import TookTooLong
from metering.postgresql import connect
from metering.postgresql import is_address
from metering.postgresql import open_for_reading
from metering.postgresql import regular_expression
from metering.selection import Glob
from metering.ship import Shipping
from tests.postgresql_server import Server

SECRET = "s3cret"


@pytest.fixture(scope="module")
def store(postgresql: Server) -> Iterator[PostgreSQL]:
    with closing(PostgreSQL(postgresql.new())) as opened:
        yield opened


def test_addresses() -> None:
    names = ("postgresql://", "postgres://h/d", "PostgreSQL://u:p@h", "usage.db", "./postgresql://", "postgresql:/h")
    assert [is_address(name) for name in names] == [True, True, True, False, False, False]


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://u:{SECRET}@h/d",
        f"postgresql://h/d?password={SECRET}",
        f"postgresql://h/d?sslpassword={SECRET}",
        f"postgresql://u:{SECRET}/x@h/d",
        f"postgresql://u:1/{SECRET}@h/d",
        f"postgresql://u:{SECRET}%zz@h/d",
        f"PostgreSQL://u:{SECRET}@h/d",
        f"postgresql://h:{SECRET}/d",
        f"postgresql://h/d?pasword={SECRET}",
    ],
)
def test_a_password_in_the_address_is_refused_and_not_told(address: str) -> None:
    with pytest.raises(PostgreSQLError, match=r"PGPASSWORD, or write .* ~/.pgpass|cannot be read; write") as caught:
        connect(address)
    assert SECRET not in str(caught.value)


def test_passwords_come_from_the_environment(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, password = postgresql.with_password()
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(PostgreSQLError, match=r"no password supplied; set PGPASSWORD, or write .* into ~/\.pgpass"):
        connect(address)
    monkeypatch.setenv("PGPASSWORD", f"{password}x")
    with pytest.raises(PostgreSQLError, match="authentication failed") as caught:
        connect(address)
    assert password not in str(caught.value)
    monkeypatch.setenv("PGPASSWORD", password)
    connect(address).close()
    monkeypatch.delenv("PGPASSWORD")
    (tmp_path / ".pgpass").write_text(f"127.0.0.1:*:*:{postgresql.secret_user}:{password}\n")
    (tmp_path / ".pgpass").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / ".pgpass"))
    with closing(Shipping(address)), closing(open_for_reading(address)) as opened:
        assert opened.execute("SELECT count(*) FROM calls").fetchone() == (0,)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_all_text(postgresql: Server, encoding: str) -> None:
    name = f"of_{encoding.lower()}"
    with postgresql.connect() as db:
        db.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0".encode())
    with pytest.raises(PostgreSQLError, match=f"has the encoding {encoding}; create it anew with ENCODING 'UTF8'"):
        Shipping(postgresql.database(name))


def test_an_encoding_that_the_environment_names(postgresql: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with closing(PostgreSQL(postgresql.new())) as store:
        assert store.execute("SELECT ?::text", ("\U0001f600",)).fetchone() == ("\U0001f600",)


def test_nobody_listens() -> None:
    with pytest.raises(PostgreSQLError, match=r"PostgreSQL cannot be used: .*refused"):
        connect("postgresql://u@127.0.0.1:1/d")


def test_psycopg_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("psycopg"):
            raise ImportError
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(LedgerError, match=r"pip install 'vertex-tap\[postgres\]'"):
        connect("postgresql://h/d")


def test_no_ledger_was_shipped_yet(postgresql: Server) -> None:
    with pytest.raises(PostgreSQLError, match="run vertex-tap ship --to"):
        open_for_reading(postgresql.new())


def test_nothing_can_be_written(store: PostgreSQL) -> None:
    store.execute("CREATE SEQUENCE one")
    with reports.snapshot(store), pytest.raises(PostgreSQLError, match="read-only transaction"):
        store.execute("SELECT nextval('one')").fetchone()


def test_rows_come_a_few_at_a_time(store: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a billion rows, the first ones are there at once."""
    monkeypatch.setattr(under_test, "AT_ONCE", 2)
    sql = "SELECT generate_series(1, 1000000000)"
    with reports.snapshot(store):
        assert [n for (n,) in islice(store.execute(sql), 5)] == [1, 2, 3, 4, 5]
        assert store.execute(sql).fetchone() == (1,)


@pytest.mark.parametrize("sql", ["SELECT count(pg_sleep(60)) GROUP BY ()", "SELECT pg_sleep(60)", "SELECT 1"])
def test_queries_that_take_too_long(postgresql: Server, sql: str) -> None:
    """One alone, or all together."""

    def ask_for_ever(store: PostgreSQL) -> None:
        store.give_up_after(0.2)
        while True:
            with reports.snapshot(store):
                store.execute(sql).fetchall()

    with closing(PostgreSQL(postgresql.new())) as store, pytest.raises(TookTooLong):
        ask_for_ever(store)


def test_all_of_a_report_is_of_one_moment(postgresql: Server) -> None:
    with closing(PostgreSQL(address := postgresql.new())) as store, postgresql.connect(address) as other:
        other.execute("CREATE TABLE one (n integer)")
        with reports.snapshot(store):
            assert store.execute("SELECT count(*) FROM one").fetchone() == (0,)
            other.execute("INSERT INTO one VALUES (1)")
            assert store.execute("SELECT count(*) FROM one").fetchone() == (0,)
        assert store.execute("SELECT count(*) FROM one").fetchone() == (1,)


CHARACTERS = st.sampled_from("ab-]^[*?!\\.é\n|$(%")
PATTERN = st.text(CHARACTERS, max_size=7)


@given(st.lists(st.tuples(PATTERN, st.text(CHARACTERS, max_size=4)), min_size=100, max_size=200))
def test_patterns_match_what_they_match_in_sqlite(store: PostgreSQL, cases: list[tuple[str, str]]) -> None:
    with closing(sqlite3.connect(":memory:")) as file:
        for pattern, text in cases:
            sql, values = "SELECT CAST(? AS text) GLOB ?", (text, Glob(pattern))
            (matches,) = file.execute(sql, values).fetchone()
            assert store.execute(sql, values).fetchone() == (bool(matches),), (pattern, text)


def test_what_a_pattern_becomes() -> None:
    assert regular_expression("*?") == "^.*.$"
    assert regular_expression("[^a-c]") == r"^[^\U00000061\U00000061-\U00000063]$"
    assert regular_expression("[a") == "$.^"
