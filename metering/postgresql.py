"""PostgreSQL: how it is connected to, and how reports read the rows that `ship` has put there.

psycopg is imported when it is needed: it is an extra, and most commands read files.
"""

import itertools
import math
import re
import time
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import ExitStack
from contextlib import contextmanager
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING
from typing import Any

from metering.database import LedgerError
from metering.selection import Glob
from metering.store import Rows

if TYPE_CHECKING:
    import psycopg

SCHEMES = ("postgresql://", "postgres://")
PATIENCE_S = 10
"""How long to wait for a connection."""
AT_ONCE = 1000
"""How many rows are fetched at a time."""
PASSWORD = "set PGPASSWORD, or write the password into ~/.pgpass (or the file that PGPASSFILE names)"
FORM = "postgresql://USER@HOST:5432/DATABASE"


class PostgreSQLError(LedgerError):
    """PostgreSQL cannot be used. The message says why, and what to do."""


class TookTooLong(PostgreSQLError):
    """A report took longer than it may."""


def is_address(name: str) -> bool:
    """Whether a name is the address of a PostgreSQL database, not of a file."""
    return name.lower().startswith(SCHEMES)


@contextmanager
def problems() -> Iterator[None]:
    """Tells what PostgreSQL says as a PostgreSQLError."""
    import psycopg

    try:
        yield
    except psycopg.errors.QueryCanceled as e:
        raise TookTooLong("PostgreSQL has stopped a query that took too long") from e
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as e:
        raise PostgreSQLError(
            "the database has no tables of this version of vertex-tap; run vertex-tap ship --to the same address"
        ) from e
    except psycopg.Error as e:
        lines = str(e).strip().splitlines() or [type(e).__name__]
        told = f"PostgreSQL cannot be used: {' '.join(line.strip() for line in lines)}"
        raise PostgreSQLError(f"{told}; {PASSWORD}" if "password" in told else told) from e


def connect(address: str) -> "psycopg.Connection[tuple[Any, ...]]":
    """A connection on which each statement is a transaction. Raises PostgreSQLError."""
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        raise PostgreSQLError(
            "PostgreSQL needs psycopg, which is not installed; run: pip install 'vertex-tap[postgres]'"
        ) from None
    # What libpq says of an address that it cannot read may quote a password. So may what it says of a port or a
    # database, if a password has a slash.
    with suppress(psycopg.Error):
        told = conninfo_to_dict(address)
        if re.fullmatch(r"[\d,]*", str(told.get("port", ""))) and "@" not in str(told.get("dbname", "")):
            return _connected(address, told)
    raise PostgreSQLError(f"the address of PostgreSQL cannot be read; write {FORM}")


def _connected(address: str, told: dict[str, Any]) -> "psycopg.Connection[tuple[Any, ...]]":
    import psycopg

    if told.keys() & {"password", "sslpassword"}:
        raise PostgreSQLError(
            "the address of PostgreSQL has a password, which other users of this machine could see; leave it out, and"
            f" {PASSWORD}"
        )
    more: dict[str, Any] = {"connect_timeout": PATIENCE_S, "fallback_application_name": "vertex-tap"} | told
    with problems():
        # No statement is prepared: it would be planned for any month, and so read all.
        db = psycopg.connect(autocommit=True, prepare_threshold=None, **more | {"client_encoding": "UTF8"})
    encoding = db.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        db.close()
        raise PostgreSQLError(f"the database has the encoding {encoding}; create it anew with ENCODING 'UTF8'")
    return db


class PostgreSQL:
    """Ledgers in PostgreSQL, open for reading. It is a `Store`: all methods raise PostgreSQLError."""

    def __init__(self, address: str) -> None:
        self._db = connect(address)
        _write_patterns(self._db)
        self._numbers = itertools.count()
        self._end = math.inf

    def give_up_after(self, seconds: float) -> None:
        """Raise TookTooLong if a query, or all from now on together, take longer."""
        self.execute(f"SET statement_timeout = '{seconds}s'")
        self._end = time.monotonic() + seconds

    @property
    def in_transaction(self) -> bool:
        return bool(self._db.info.transaction_status)

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Rows:
        if time.monotonic() > self._end and sql != "ROLLBACK":
            raise TookTooLong("queries of PostgreSQL have taken too long")
        with problems():
            translated = _translated(sql).encode()
            if not self.in_transaction or " GROUP BY " in sql or sql == "ROLLBACK":
                return self._db.execute(translated, values)
            # Many rows come a few at a time. Sums are few, and are made in parallel only without a cursor.
            cursor = self._db.cursor(f"rows_{next(self._numbers)}")
            cursor.itersize = AT_ONCE
            with ExitStack() as failed:
                failed.enter_context(cursor)
                cursor.execute(translated, values)
                failed.pop_all()
            return _Found(cursor)

    def close(self) -> None:
        self._db.close()


class _Found:
    """The rows of a cursor of the server's."""

    def __init__(self, cursor: "psycopg.ServerCursor[Any]") -> None:
        self._cursor = cursor

    def __iter__(self) -> Iterator[Any]:
        with problems(), self._cursor:
            yield from self._cursor

    def fetchone(self) -> Any:
        with problems(), self._cursor:
            return self._cursor.fetchone()

    def fetchall(self) -> list[Any]:
        with problems(), self._cursor:
            return self._cursor.fetchall()


def open_for_reading(address: str) -> PostgreSQL:
    """Open the ledgers in PostgreSQL. Raises PostgreSQLError, also if no ledger was shipped to it yet."""
    opened = PostgreSQL(address)
    try:
        opened.execute("SELECT 1 FROM uses LIMIT 0")
        opened.execute("SELECT 1 FROM shipped LIMIT 0")
    except BaseException:
        opened.close()
        raise
    return opened


@cache
def _translated(sql: str) -> str:
    if sql == "BEGIN":
        return "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    return sql.replace("%", "%%").replace("?", "%s").replace(" GLOB ", " ~ ")


def _write_patterns(db: "psycopg.Connection[Any]") -> None:
    """Have a connection write patterns as regular expressions."""
    from psycopg.types.string import StrDumper

    class GlobDumper(StrDumper):
        def dump(self, obj: str) -> bytes:
            return regular_expression(obj).encode()

    db.adapters.register_dumper(Glob, GlobDumper)


def regular_expression(glob: str) -> str:
    """What a pattern of SQLite's GLOB is as a regular expression of PostgreSQL's."""
    made, rest = "", iter(glob)
    for character in rest:
        if character == "[":
            if (members := _members(rest)) is None:
                return _NOTHING
            made += members
        else:
            made += {"*": ".*", "?": "."}.get(character) or _literal(character)
    return f"^{made}$"


_NOTHING = "$.^"
"""Matches no text."""


def _literal(character: str) -> str:
    return f"\\U{ord(character):08x}"


def _members(rest: Iterator[str]) -> str | None:
    """A set of characters, such as `[^a-c]`, whose `[` was read; None if it has no end."""
    told: list[str] = []
    is_closed = False
    for character in rest:
        if is_closed := character == "]" and told not in ([], ["^"]):
            break
        told.append(character)
    if not is_closed:
        return None
    is_negated = told[0] == "^"
    members, at, before = "", int(is_negated), ""
    while at < len(told):
        character = told[at]
        if character == "-" and before and at + 1 < len(told):
            at += 1
            if before <= told[at]:
                members += f"{_literal(before)}-{_literal(told[at])}"
            before = ""
        else:
            members += _literal(character)
            # A `]` that comes first begins no range.
            before = "" if character == "]" else character
        at += 1
    return f"[{'^' if is_negated else ''}{members}]"
