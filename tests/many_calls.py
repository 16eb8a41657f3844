"""Makes ledgers with millions of calls, for measuring how fast reports are.

The calls of the first three hours are made one by one, of random numbers with a fixed seed, and summed up by the
product. All others are copies of these, and so are their sums. `vertex-tap verify` finds nothing wrong.
"""

import random
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any
from typing import NamedTuple

from metering import days
from metering import rollup
from metering.call import ATTEMPT_COLUMNS
from metering.call import COLUMNS
from metering.call import AttemptRow
from metering.call import Call
from metering.record import record_of
from tests.ledgers import new_ledger

DAYS = 27
PIECE_US = 3 * 3_600_000_000
PIECES = DAYS * days.DAY_US // PIECE_US
"""The spans of which all are alike: how long each is, and how many they are."""
CLIENTS = 20
SEED = 12
INSTANCE = "01932c07-209c-7a3b-8c4d-5e6f70819203"


class Model(NamedTuple):
    """A model, and what its calls look like."""

    name: str
    publisher: str | None
    surface: str
    operations: tuple[str, ...]
    location: str | None
    path: str
    tiers: tuple[str, ...]
    """Values of `traffic_type`, of which the first is that of most calls."""


_VERTEX = "/v1/projects/acme-prod/locations/{location}/publishers/{publisher}/models/{name}:{operation}"
_GEMINI = ("generateContent", "streamGenerateContent")
MODELS = (
    Model("gemini-2.5-pro", "google", "vertex", _GEMINI, "us-central1", _VERTEX, ("ON_DEMAND", "ON_DEMAND_PRIORITY")),
    Model("gemini-3-flash-preview", "google", "vertex", _GEMINI, "global", _VERTEX, ("ON_DEMAND", "ON_DEMAND_FLEX")),
    Model(
        "claude-sonnet-4-5@20250929",
        "anthropic",
        "vertex",
        ("rawPredict", "streamRawPredict"),
        "europe-west1",
        _VERTEX,
        ("standard",),
    ),
    Model("gpt-5.4", None, "openai", ("chat/completions",), None, "/v1/chat/completions", ("default", "flex")),
    Model("gemini-embedding-001", "google", "vertex", ("predict",), "us-central1", _VERTEX, ("ON_DEMAND",)),
)


def make(path: Path, rows: int, until: int) -> Path:
    """Creates a ledger with about `rows` calls of the last `DAYS` times 24 hours before the time `until` (microseconds
    since the epoch), or before the bucket that it is in."""
    since = until // rollup.BUCKET_US * rollup.BUCKET_US - DAYS * days.DAY_US
    count = max(1, round(rows / PIECES))
    with closing(sqlite3.connect(new_ledger(path), isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        kept = db.execute(_KEPT).fetchall()
        for kind, name, _ in kept:
            db.execute(f"DROP {kind} {name}")
        _first(db, since, count)
        rollup.fill(db, since)
        for piece in range(1, PIECES):
            _copy(db, since, piece, count)
        _sum_days(db, until)
        for _, _, sql in kept:
            db.execute(sql)
        db.execute("PRAGMA journal_mode = WAL")
    return path


_KEPT = (
    "SELECT type, name, sql FROM sqlite_master"
    " WHERE type IN ('trigger', 'index') AND tbl_name IN ('calls', 'rollup') AND sql IS NOT NULL"
)
"""What slows down inserting rows."""


def _first(db: sqlite3.Connection, since: int, count: int) -> None:
    db.execute("BEGIN")
    for call in _calls(since, count):
        record = record_of(call)
        db.execute(f"INSERT INTO calls VALUES ({', '.join('?' * len(COLUMNS))})", record.row)
        db.executemany(f"INSERT INTO attempts VALUES ({', '.join('?' * len(ATTEMPT_COLUMNS))})", record.tries)
    db.execute("COMMIT")


def _copy(db: sqlite3.Connection, since: int, piece: int, count: int) -> None:
    """Copies the calls of the first span, and their sums, to another one."""
    later = piece * PIECE_US
    # The first digits of an id are the milliseconds at which its call started.
    millis = f"(started_at + {later}) / 1000"
    id = f"printf('%08x-%04x', {millis} >> 16, {millis} & 65535) || substr(id, 14)"
    moved = {name: f"{name} + {later}" for name in ("started_at", "ended_at", "bucket")}
    moved |= {"id": id, "changed": f"changed + {piece * count}"}
    moved["call_id"] = f"(SELECT {id.replace('started_at', 'calls.started_at')} FROM calls WHERE id = call_id)"
    first = f"rowid <= {count}"
    for table, columns, where in (
        ("calls", COLUMNS, first),
        ("attempts", ATTEMPT_COLUMNS, f"call_id IN (SELECT id FROM calls WHERE {first} AND attempts > 1)"),
        ("rollup", (*rollup.COLUMNS, "times"), f"bucket < {since + PIECE_US}"),
    ):
        values = ", ".join(moved.get(name, name) for name in columns)
        db.execute(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} WHERE {where}")


def _sum_days(db: sqlite3.Connection, until: int) -> None:
    """Sums up the first day, which is not a whole one, and the second. All others that are over are like that."""
    _, second = islice(days.sum_up(db, until), 2)
    columns = ", ".join((*rollup.COLUMNS[1:], "times"))
    for day in range(second + days.DAY_US, until - days.DAY_US - days.REST_US + 1, days.DAY_US):
        db.execute(
            f"INSERT INTO rollup_days (bucket, {columns}) SELECT {day}, {columns} FROM rollup_days WHERE bucket = ?",
            (second,),
        )
        db.execute("INSERT INTO summed_days VALUES (?, '')", (day,))


# The first calls


def _calls(since: int, count: int) -> Iterator[Call]:
    chance = random.Random(SEED)
    for number, started in enumerate(sorted(chance.randrange(PIECE_US) for _ in range(count))):
        call = _call(chance, since + started)
        call.changed = number + 1
        yield call


def _call(chance: random.Random, started: int) -> Call:
    model, client = chance.choice(MODELS), chance.randrange(CLIENTS)
    # A program asks for the same in all of its calls.
    operation = model.operations[client % len(model.operations)]
    tier = model.tiers[-1] if client % 10 == 9 else model.tiers[0]
    path = model.path.format(**model._asdict(), operation=operation)
    duration = round(chance.lognormvariate(14.5, 0.8))
    streamed = operation.startswith("stream") or (model.surface == "openai" and chance.random() < 0.5)
    call = Call(
        id=_id(chance, started),
        instance=INSTANCE,
        state="done",
        started_at=started,
        ended_at=started + duration,
        surface=model.surface,
        operation=operation,
        method="POST",
        path=path,
        service="default" if model.surface == "vertex" else "openai",
        upstream_host="aiplatform.googleapis.com" if model.surface == "vertex" else "api.openai.com",
        upstream_path=path,
        attempts=1,
        project="acme-prod" if model.surface == "vertex" else None,
        location=model.location,
        publisher=model.publisher,
        model=model.name,
        response_id=f"{chance.getrandbits(96):024x}",
        client=f"{(client + 1) * 0x8F3A61B2C7D5 % 2**48:012x}",
        sdk=("google-genai/1.52.0", "openai/2.8.1", "anthropic/0.74.1", "curl")[client % 4],
        tags={"x-team": f"team-{client % 4}"},
        streamed=streamed,
        status=200,
        upstream_status=200,
        request_bytes=chance.randrange(200, 60_000),
        response_bytes=chance.randrange(300, 9_000),
        duration_us=duration,
        ttft_us=duration // 3 if streamed else duration - 1000,
        upstream_us=duration - 1200,
        overhead_us=round(chance.lognormvariate(7, 0.3)),
        traffic_type=tier,
    )
    fate = chance.random()
    if fate < 0.02:
        _fail(call, 429, "RESOURCE_EXHAUSTED")
    elif fate < 0.025:
        _fail(call, 503, "UNAVAILABLE")
    elif fate < 0.03:
        call.state, call.error_type, call.usage_state = "client_closed", "client_closed", "absent"
    else:
        call.model_served, call.finish_reason, call.usage_state = model.name, "STOP", "final"
        _use(call, chance)
        if fate < 0.05:
            _repeat(call)
    return call


def _id(chance: random.Random, started: int) -> str:
    """A UUID of version 7."""
    random = chance.getrandbits(62)
    return str(uuid.UUID(int=started // 1000 << 80 | 0x7 << 76 | started % 1000 << 64 | 0x2 << 62 | random))


def _fail(call: Call, status: int, error_type: str) -> None:
    call.status = call.upstream_status = status
    call.error_type, call.usage_state, call.traffic_type, call.ttft_us = error_type, "not_applicable", None, None


def _repeat(call: Call) -> None:
    """Lets the call be the second attempt, after a first one without success."""
    first = AttemptRow(
        service=call.service, model=call.model, location=call.location, status=429, started_at=call.started_at
    )
    first.upstream_host, first.upstream_path, first.error_type = call.upstream_host, call.path, "RESOURCE_EXHAUSTED"
    same = {name: getattr(call, name) for name in ATTEMPT_COLUMNS[3:]}
    call.tries = [first, AttemptRow(**same)]
    call.attempts = 2


def _use(call: Call, chance: random.Random) -> None:
    """Gives the call counts, and the usage object that they are from."""
    prompt, answer = round(chance.lognormvariate(7.5, 1.5)) + 1, round(chance.lognormvariate(5.5, 1)) + 1
    cached = prompt * chance.randrange(1, 9) // 10 if chance.random() < 0.3 else None
    thoughts = answer // 2 if chance.random() < 0.5 else None
    call.input_tokens = prompt
    if call.operation == "predict":
        call.input_items = chance.randrange(1, 9)
        call.usage_raw = {"tokens": prompt}
        return
    call.input_cached_tokens, call.output_tokens = cached, answer
    call.output_thought_tokens, call.total_tokens = thoughts, prompt + answer
    raw = {"claude": _claude, "gpt-5.": _openai}.get((call.model or "")[:6], _gemini)
    call.usage_raw = raw(call, chance)


def _claude(call: Call, chance: random.Random) -> dict[str, Any]:
    call.output_thought_tokens, call.total_tokens = None, None
    prompt, cached = call.input_tokens or 0, call.input_cached_tokens or 0
    written = (prompt - cached) // 2 if cached else 0
    hour = written if chance.random() < 0.2 else 0
    call.input_cached_tokens, call.input_cache_write_tokens = cached, written
    return {
        "input_tokens": prompt - cached - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "cache_creation": {"ephemeral_5m_input_tokens": written - hour, "ephemeral_1h_input_tokens": hour},
        "output_tokens": call.output_tokens,
        "service_tier": "standard",
    }


def _openai(call: Call, chance: random.Random) -> dict[str, Any]:
    call.input_cached_tokens = call.input_cached_tokens or 0
    call.output_thought_tokens = call.output_thought_tokens or 0
    return {
        "prompt_tokens": call.input_tokens,
        "completion_tokens": call.output_tokens,
        "total_tokens": call.total_tokens,
        "prompt_tokens_details": {"cached_tokens": call.input_cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": call.output_thought_tokens, "audio_tokens": 0},
    }


def _gemini(call: Call, chance: random.Random) -> dict[str, Any]:
    prompt, kind = call.input_tokens or 0, chance.choice(("image", "audio", "video"))
    other = prompt // 3 if chance.random() < 0.1 else 0
    call.input_by_modality = {"text": prompt - other} | ({kind: other} if other else {})
    call.output_by_modality = {"text": (call.output_tokens or 0) - (call.output_thought_tokens or 0)}
    if chance.random() < 0.03:
        call.search_queries = chance.randrange(1, 4)
    raw: dict[str, Any] = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": call.output_by_modality["text"],
        "totalTokenCount": call.total_tokens,
        "trafficType": call.traffic_type,
        "promptTokensDetails": [
            {"modality": name.upper(), "tokenCount": tokens} for name, tokens in call.input_by_modality.items()
        ],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": call.output_by_modality["text"]}],
    }
    if call.input_cached_tokens:
        raw["cachedContentTokenCount"] = call.input_cached_tokens
        raw["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": call.input_cached_tokens}]
    if call.output_thought_tokens:
        raw["thoughtsTokenCount"] = call.output_thought_tokens
    return raw
