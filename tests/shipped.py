"""Ledgers of several proxies, with calls of all kinds, and whether PostgreSQL has the same."""

import random
import secrets
import sqlite3
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import ExitStack
from contextlib import closing
from pathlib import Path
from typing import Any

from metering import database
from metering import postgresql
from metering import rollup
from metering.call import ATTEMPT_COLUMNS
from metering.call import COLUMNS
from metering.call import AttemptRow
from metering.call import Call
from metering.database import connect
from metering.record import record_of
from metering.record import write
from metering.store import Store
from metering.transactions import transaction
from tests.ledgers import new_ledger

DAY_US = 86_400_000_000
CACHED: dict[str, object] = {
    "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 30}, {"modality": "TEXT", "tokenCount": 20}]
}
WRITTEN: dict[str, object] = {"cache_creation_input_tokens": 40, "cache_creation": {"ephemeral_1h_input_tokens": 15}}
ITERATIONS: dict[str, object] = {"iterations": [WRITTEN | {"model": "claude-haiku-4-5"}]}
HOSTILE = "a;b'\"\\ é\u202e\ud7ff\U0001f600%s?\x1b"


def new(path: Path) -> Path:
    """A ledger without calls, with a secret of its own."""
    with closing(connect(new_ledger(path), 30)) as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'secret'", (secrets.token_hex(32),))
    return path


def add(path: Path, calls: Iterable[Call]) -> None:
    with closing(connect(path, 30)) as db, transaction(db):
        for call in calls:
            write(db, record_of(call))


def calls(chance: random.Random, number: int, since: int, span: int = DAY_US, **fields: Any) -> Iterator[Call]:
    """Calls that started in a span of time, in this order."""
    for started in sorted(chance.randrange(since, since + span) for _ in range(number)):
        yield call(chance, started, **fields)


def call(chance: random.Random, started: int, **fields: Any) -> Call:
    """A call of any kind."""
    state = chance.choices(("done", "open", "upstream_failed", "lost", "refused"), (12, 1, 2, 1, 1))[0]
    made = Call(
        instance="of the test",
        started_at=started,
        state=state,
        model=chance.choice(("gemini-2.5-pro", "gemini-3-flash", "claude-sonnet-4-5", HOSTILE, None)),
        publisher=chance.choice(("google", None)),
        client=chance.choice(("team-a", "team-b", None)),
        service=chance.choice(("prod", "spare")),
        location=chance.choice(("global", "us-east5", "us", None)),
        operation=chance.choice(("generateContent", "predict")),
        tags=chance.choice(({"x-team": "red"}, {"x-team": "=blue\n"}, None)),
        traffic_type=chance.choice(("ON_DEMAND", "batch", None)),
        streamed=chance.random() < 0.5,
        status=chance.choice((200, 200, 429)) if state == "done" else None,
        error_type=None if state == "done" else "upstream_cut",
        attempts=1,
    )
    if state != "open":
        made.ended_at = started + (spent := chance.randrange(10**7))
        made.duration_us, made.ttft_us, made.overhead_us = spent, chance.choice((spent // 2, None)), 900
        made.usage_state = "final" if state == "done" else "partial"
    if state == "done":
        count(chance, made)
    if chance.random() < 0.2:
        made.tries = [*tries(chance, made)]
        made.attempts = sum(one.kind == "attempt" for one in made.tries)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def count(chance: random.Random, row: Call | AttemptRow) -> None:
    """Fills in counts, some with parts."""
    row.input_tokens, row.output_tokens = chance.choice((100, 40_000, 250_000)), chance.choice((7, None))
    row.input_cached_tokens, row.input_cache_write_tokens = chance.choice(((50, None), (None, 40), (None, None)))
    row.input_by_modality = chance.choice(({"text": 60, "audio": 40}, None))
    row.output_by_modality = chance.choice(({"text": 3, "image": 4}, None))
    row.images, row.video_seconds = chance.choice((None, 2)), chance.choice((None, 8))
    row.search_queries = chance.choice((None, 0, 3))
    if isinstance(row, Call):
        row.usage_raw = chance.choice((CACHED, WRITTEN, ITERATIONS, None))
        row.variant, row.reserved_usd = chance.choice(("2k", None)), chance.choice((0.1, None))


def tries(chance: random.Random, call: Call) -> Iterator[AttemptRow]:
    for number in range(chance.choice((2, 3))):
        row = AttemptRow(started_at=call.started_at + number, service=chance.choice(("prod", "spare")))
        row.status, row.model = chance.choice((200, 503)), chance.choice((call.model, "gemini-3-flash"))
        row.kind = chance.choice(("attempt", "iteration")) if number else "attempt"
        if chance.random() < 0.5:
            count(chance, row)
        yield row


Content = dict[str, list[tuple[Any, ...]]]


def content(ledgers: Sequence[Store]) -> Content:
    """All that reports read, of several ledgers together: the rows, the uses, and the sums that are not 0."""
    uses = [*rollup.COLUMNS, "id", "started_at", "tier", "region", "duration_us", "ttft_us", "overhead_us"]
    asked = {
        "calls": f"SELECT {', '.join(COLUMNS)} FROM calls",
        "attempts": f"SELECT {', '.join(ATTEMPT_COLUMNS)} FROM attempts",
        "uses": f"SELECT {', '.join(uses)} FROM uses",
        "rollup": f"SELECT {', '.join(rollup.COLUMNS)}, times FROM rollup",
    }
    return {
        name: sorted((tuple(row) for db in ledgers for row in db.execute(sql)), key=repr) for name, sql in asked.items()
    }


def content_of(*sources: Path | str) -> Content:
    """The content of files, or of what is in PostgreSQL."""
    with ExitStack() as stack:
        opened: list[Store] = []
        for source in sources:
            is_file = isinstance(source, Path)
            db: Store = database.open_for_reading(source) if is_file else postgresql.open_for_reading(str(source))
            opened.append(stack.enter_context(closing(db)))
        return content(opened)


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()
