"""What reports need of an open ledger: what SQLite's connections have, and PostgreSQL's are given."""

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import Protocol


class Rows(Protocol):
    """The rows that a query has found, each a sequence of values."""

    def __iter__(self) -> Iterator[Any]: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class Store(Protocol):
    """An open ledger: an SQLite file, or the rows of many ledgers in PostgreSQL."""

    @property
    def in_transaction(self) -> bool: ...

    def execute(self, sql: str, values: Sequence[Any] = ..., /) -> Rows:
        """Run SQL that both databases know, with `?` for values and `GLOB` for patterns."""

    def close(self) -> None: ...
