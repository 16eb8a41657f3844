"""The table `rollup`: sums of finished calls, by 15-minute UTC bucket and by everything that reports group or price by.

It is fine enough for reports of usage, cost and latency. Triggers update it in the transaction that writes the row.
Buckets of 15 minutes can be summed to days of any time zone. Open calls are in no bucket.

A *use* is what one model was used for: a call that was tried once, or one row of `attempts` of a call that was tried
more than once or used several models. The view `uses` lists all uses, those of open calls included, with the columns of
the rollup. If a call has attempts, the one that answered stands for the call (`calls`, `errors`, times), and each has
its tokens under its own model and price class. `rollup` is the sum of the finished calls in `uses`; nothing else
defines its content.

An unknown key is '' (an unknown status is 0), as NULLs are never equal in an index. A sum of only unknown values is
NULL.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from metering.call import COLUMNS as CALL_COLUMNS
from metering.call import COUNTS
from metering.call import LARGEST_COUNT
from metering.call import MODALITIES
from metering.histograms import MEASURES
from metering.histograms import bin_of
from metering.histograms import name_of_bin

BUCKET_US = 900_000_000

BANDS = (512_000, 272_000, 256_000, 200_000, 128_000, 100_000, 32_000)
"""Numbers of input tokens above which some model has another price: 200,000 for Gemini and Claude, 272,000 for OpenAI,
128,000 for Gemini 1.5, the others for newer Claude, Qwen and MiniMax (the price tiers of genai-prices 0.2.3)."""
_TIERS = {
    "": "standard",
    "on_demand": "standard",
    "default": "standard",
    "auto": "standard",
    "unspecified": "standard",
    "traffic_type_unspecified": "standard",
    "on_demand_priority": "priority",
    "on_demand_flex": "flex",
    "on_demand_offpeak": "offpeak",
    "provisioned_throughput": "provisioned",
    "service_tier_unspecified": "standard",
    "service_tier_standard": "standard",
    "service_tier_priority": "priority",
    "service_tier_flex": "flex",
    "service_tier_deferred": "deferred",
}
"""Lowercase `traffic_type` -> tier. Any other value, such as Anthropic's `batch`, is itself a tier."""
INPUT_KINDS = ("text", "image", "audio", "video", "document")
OUTPUT_KINDS = ("text", "image", "audio", "video")


def tier_of(traffic_type: str | None) -> str:
    """The tier that a `traffic_type` names, in whatever spelling."""
    word = (traffic_type or "").lower()
    return _TIERS.get(word, word)


def region_of(location: str) -> str:
    """What prices tell locations apart by: `global`, `regional`, `multi-regional`, or '' if it is unknown."""
    if location in ("", "global"):
        return location
    return "regional" if "-" in location else "multi-regional"


def context_of(input_tokens: int) -> int:
    """The largest of `BANDS` that the input exceeds, or 0."""
    return next((band for band in BANDS if input_tokens > band), 0)


# The keys and sums of a use, as SQL. `{c}` is a row of `calls`; `{u}` is the row with the counts: the same one, or one
# of `attempts`.


def known(row: str) -> str:
    """SQL for the names of the billed counts that a row has, such as `input output`. `row` is its prefix, such as
    `NEW.`."""
    names = {"input": "input_tokens", "output": "output_tokens", "images": "images", "video_seconds": "video_seconds"}
    cases = (f"CASE WHEN {row}{column} IS NULL THEN '' ELSE ' {name}' END" for name, column in names.items())
    # True for most calls, and faster than the rest.
    usual = f"{row}input_tokens + {row}output_tokens IS NOT NULL AND coalesce({row}images, {row}video_seconds) IS NULL"
    return f"CASE WHEN {usual} THEN 'input output' ELSE trim({' || '.join(cases)}) END"


_CONTEXT = " ".join(f"WHEN {{u}}input_tokens > {band} THEN {band}" for band in BANDS)
_FAILED = (
    "CASE WHEN {c}state NOT IN ('open', 'done') OR coalesce({c}status, 0) >= 400 OR {c}error_type IS NOT NULL"
    " THEN 1 ELSE 0 END"
)
_COVERED = "CASE WHEN {c}usage_state = 'final' THEN 1 ELSE 0 END"


def _integer(json: str, path: str) -> str:
    """SQL for a count in a JSON column. Counts are at most 10^12; a larger number could make a sum overflow."""
    return f"CAST(json_extract({json}, '{path}') AS INTEGER) % {LARGEST_COUNT + 1}"


def _kind(column: str, kind: str) -> str:
    # Searching for the name first is cheap, and most calls have only text.
    return f"CASE WHEN instr({{u}}{column}, '\"{kind}\"') THEN {_integer(f'{{u}}{column}', f'$.{kind}')} END"


# Cache tokens that have another price, from `usage_raw`. NULL if their total there is not that of the column, as it is
# not if several responses were summed up.


def _written_1h(is_of_use: str) -> str:
    """SQL for the tokens that were written to the cache for an hour. `is_of_use` is SQL for whether an element of
    Claude's `iterations` belongs to the use: their sums count where they are given."""
    total = "$.cache_creation_input_tokens"
    hour = "$.cache_creation.ephemeral_1h_input_tokens"
    return (
        "CASE WHEN {u}input_cache_write_tokens > 0 THEN"
        f" CASE WHEN {{u}}input_cache_write_tokens = json_extract({{c}}usage_raw, '{total}')"
        f" THEN {_integer('{c}usage_raw', hour)}"
        " WHEN instr({c}usage_raw, '\"iterations\"')"
        " THEN (SELECT CASE WHEN sum(tokens) = {u}input_cache_write_tokens THEN sum(hourly) END"
        f" FROM (SELECT {_integer('value', total)} AS tokens, {_integer('value', hour)} AS hourly"
        f" FROM json_each({{c}}usage_raw, '$.iterations') WHERE {is_of_use})) END END"
    )


_IS_PART = "{u}kind = 'iteration'"
_IS_OF_USE = (
    f"CASE WHEN {_IS_PART} THEN json_extract(value, '$.model') = {{u}}model"
    " AND json_extract(value, '$.cache_creation_input_tokens') = {u}input_cache_write_tokens ELSE NOT EXISTS (SELECT 1"
    " FROM attempts AS part WHERE part.call_id = {c}id AND part.kind = 'iteration'"
    " AND part.model = json_extract(value, '$.model')) END"
)
"""Whether an element of `iterations` is of the model that a row of `attempts` is of."""
_CACHED_AUDIO = (
    "CASE WHEN {u}input_cached_tokens > 0 AND instr({c}usage_raw, '\"AUDIO\"')"
    " THEN (SELECT CASE WHEN sum(tokens) = {u}input_cached_tokens"
    " THEN CAST(sum(CASE WHEN modality = 'AUDIO' THEN tokens ELSE 0 END) AS INTEGER) END"
    " FROM (SELECT json_extract({c}usage_raw, fullkey || '.modality') AS modality,"
    " json_extract({c}usage_raw, fullkey || '.tokenCount') AS tokens"
    " FROM json_each({c}usage_raw, '$.cacheTokensDetails'))) END"
)

GROUPS = (
    "model",
    "model_served",
    "publisher",
    "location",
    "project",
    "surface",
    "operation",
    "service",
    "client",
    "sdk",
    "tags",
    "status",
    "state",
    "error_type",
    "traffic_type",
    "usage_state",
)
"""Keys of the rollup that are columns of `calls`."""
FIRST_GROUPS = tuple(name for name in GROUPS if name not in ("tags", "error_type", "usage_state"))
"""The keys that the rollup has had since its first version. Reports can group by them directly."""
_CLASS = {
    "variant": "coalesce({c}variant, '')",
    "context": f"CASE WHEN coalesce({{u}}input_tokens, 0) <= {BANDS[-1]} THEN 0 {_CONTEXT} END",
    "known": known("{u}"),
}
"""Further keys that a price depends on. `context` is the largest of `BANDS` that the input exceeds, or 0; `known`
lists the known counts, such as `input output`."""
KEYS = (*GROUPS, *_CLASS)
_INTEGERS = ("status", "context")
COMPUTED = {
    "tier": "CASE lower(coalesce(traffic_type, '')) "
    + " ".join(f"WHEN '{word}' THEN '{tier}'" for word, tier in _TIERS.items())
    + " ELSE lower(traffic_type) END",
    "region": "CASE WHEN location IN ('', 'global') THEN location WHEN location LIKE '%-%' THEN 'regional'"
    " ELSE 'multi-regional' END",
}
"""Further parts of the price class, computed from the keys. Google's multi-regions are `us` and `eu`."""

_CALLS = {"calls": "1", "errors": _FAILED, "covered_calls": _COVERED}
_USES = {"uses": "1", "search_uses": "CASE WHEN {u}search_queries > 0 THEN 1 ELSE 0 END"}
KINDS = {
    **{f"input_{kind}_tokens": _kind("input_by_modality", kind) for kind in INPUT_KINDS},
    **{f"output_{kind}_tokens": _kind("output_by_modality", kind) for kind in OUTPUT_KINDS},
    "input_cached_audio_tokens": _CACHED_AUDIO,
    "input_cache_write_1h_tokens": _written_1h("1"),
}
"""The parts of the counts that have prices of their own."""
TOTALS = (*_CALLS, *_USES)
"""Sums that are never NULL."""
AMOUNTS = (*COUNTS, *KINDS)
"""Sums of counts, which are NULL if all counts are unknown."""
SUMS = (*TOTALS, *AMOUNTS)
COLUMNS = ("bucket", *KEYS, *SUMS)
_KEY = ("bucket", *KEYS)


def bucket(row: str = "") -> str:
    """SQL for the start of a call's bucket. `row` is the prefix of its row, such as `NEW.`."""
    return f"{row}started_at / {BUCKET_US} * {BUCKET_US}"


def _of_call() -> dict[str, str]:
    """The columns of a use that is a whole call, as SQL."""
    keys = {name: f"coalesce({{c}}{name}, {0 if name in _INTEGERS else repr('')})" for name in GROUPS}
    keys["state"] = "{c}state"
    times = {f"{measure}_us": f"{{c}}{measure}_us" for measure in MEASURES}
    return {
        "id": "{c}id",
        "started_at": "{c}started_at",
        "bucket": bucket("{c}"),
        **keys,
        **_CLASS,
        **_CALLS,
        **_USES,
        **{name: f"{{u}}{name}" for name in COUNTS},
        **KINDS,
        **times,
    }


def _of_attempt() -> dict[str, str]:
    """The columns of a use that is a row of `attempts`, as SQL.

    The attempt has its own model, location, service and counts. Other columns are those of the call if both have the
    same model or service. An attempt without a response used nothing. A part of a response that another model has made
    (kind `iteration`) is of the same publisher, and was served by the model that it names.
    """
    own = {
        name: f"coalesce(CASE WHEN answered THEN {{c}}{name} ELSE {{u}}{name} END, '')"
        for name in ("model", "location", "service", "traffic_type")
    }
    own |= {
        name: f"coalesce(CASE {part} WHEN answered OR {{u}}{of} IS {{c}}{of} THEN {{c}}{name} END, '')"
        for name, of, part in (
            ("publisher", "model", f"WHEN {_IS_PART} THEN {{c}}publisher"),
            ("model_served", "model", f"WHEN {_IS_PART} THEN {{u}}model"),
            ("project", "service", ""),
        )
    }
    own["input_cache_write_1h_tokens"] = _written_1h(_IS_OF_USE)
    own["usage_state"] = (
        "CASE WHEN answered OR {u}status < 400 THEN coalesce({c}usage_state, '') ELSE 'not_applicable' END"
    )
    own |= {name: f"CASE WHEN answered THEN {value} ELSE 0 END" for name, value in _CALLS.items()}
    own |= {f"{measure}_us": f"CASE WHEN answered THEN {{c}}{measure}_us END" for measure in MEASURES}
    return _of_call() | own


USE = tuple(_of_call())
"""The columns of a use."""
ATTEMPTS = (
    # Reads the primary key from its end, so that not all rows of a call with thousands of attempts are read for each
    # row.
    "(SELECT *, n = coalesce((SELECT n FROM attempts AS other WHERE other.call_id = attempts.call_id"
    " AND kind = 'attempt' ORDER BY n DESC LIMIT 1),"
    " (SELECT max(n) FROM attempts AS other WHERE other.call_id = attempts.call_id)) AS answered"
    " FROM attempts) AS attempt"
)
"""SQL for the rows of `attempts`, with `answered`: whether it is the one that stands for the call."""


def once(call: str, names: Sequence[str]) -> list[str]:
    """SQL for columns of the use that a call without attempts is. `call` is the prefix of its row, such as `NEW.`."""
    made = _of_call()
    return [made[name].format(c=call, u=call) for name in names]


def tried(call: str, names: Sequence[str]) -> list[str]:
    """SQL for columns of the uses that the attempts of a call are. `call` is the prefix of its row."""
    made = _of_attempt()
    return [made[name].format(c=call, u="attempt.") for name in names]


def view() -> str:
    """The SELECT of the view `uses`."""
    of_calls, of_attempts = (
        ", ".join(f"{value} AS {name}" for name, value in zip(USE, values, strict=True))
        for values in (once("calls.", USE), tried("calls.", USE))
    )
    computed = ", ".join(f"{value} AS {name}" for name, value in COMPUTED.items())
    return (
        f"SELECT *, {computed} FROM (SELECT {of_calls} FROM calls"
        " WHERE NOT EXISTS (SELECT 1 FROM attempts WHERE call_id = calls.id)"
        f" UNION ALL SELECT {of_attempts} FROM calls, {ATTEMPTS} WHERE attempt.call_id = calls.id)"
    )


# The table and its triggers


def create(db: sqlite3.Connection) -> None:
    """Create the view `uses` and the empty table `rollup`. Needs the tables `calls` and `attempts`."""
    create_table(db, "rollup")
    db.execute(f"CREATE VIEW uses AS {view()}")


def create_table(db: sqlite3.Connection, name: str) -> None:
    """Create an empty table with the columns of the rollup."""
    keys = [f"{name} {'INTEGER' if name in _INTEGERS else 'TEXT'} NOT NULL" for name in KEYS]
    sums = [f"{name} INTEGER NOT NULL" for name in TOTALS] + [f"{name} INTEGER" for name in AMOUNTS]
    computed = [f"{name} TEXT GENERATED ALWAYS AS ({value}) VIRTUAL" for name, value in COMPUTED.items()]
    columns = ", ".join(["bucket INTEGER NOT NULL", *keys, *sums, "times TEXT NOT NULL", *computed])
    db.execute(f"CREATE TABLE {name} ({columns}, PRIMARY KEY ({', '.join(_KEY)})) STRICT, WITHOUT ROWID")


def create_triggers(db: sqlite3.Connection) -> None:
    """Create the triggers that keep the rollup up to date.

    The usual case, a call without attempts that is closed, is added directly. In all other cases a row is inserted into
    the view `rollup_add`, whose trigger does the work. This keeps the triggers of `calls` short, and the usual case
    fast.
    """
    db.execute(
        f"CREATE VIEW rollup_add AS SELECT id, 1 AS sign, 0 AS is_leaving, {', '.join(_TIMES)} FROM calls WHERE 1 = 0"
    )
    db.execute(f"CREATE TRIGGER rollup_add INSTEAD OF INSERT ON rollup_add BEGIN {'; '.join(_STEPS)}; END")
    summed = ", ".join(name for name in CALL_COLUMNS if name not in _NOT_SUMMED)
    is_leaving = " OR ".join(
        f"OLD.{name} IS NOT NEW.{name}" for name in (*GROUPS, "variant", "usage_raw", *COUNTS, *MODALITIES)
    )
    for name, event, condition, step in (
        ("insert", "AFTER INSERT", "NEW.state <> 'open'", _put("NEW.", 1)),
        ("close", "AFTER UPDATE", "OLD.state = 'open' AND NEW.state <> 'open'", _CLOSE),
        ("before", f"BEFORE UPDATE OF {summed}", "OLD.state <> 'open'", _put("OLD.", -1, is_leaving)),
        ("after", f"AFTER UPDATE OF {summed}", "OLD.state <> 'open' AND NEW.state <> 'open'", _put("NEW.", 1)),
    ):
        db.execute(f"CREATE TRIGGER rollup_{name} {event} ON calls WHEN {condition} BEGIN {step}; END")


Groups = dict[tuple[Any, ...], tuple[list[int | None], Counter[str]]]
"""The groups of one bucket: key -> (sums, histograms). A histogram is name of a bin -> number of calls."""


def fill(db: sqlite3.Connection, since: int) -> None:
    """Add the calls that started at `since` or later (microseconds since the epoch) to a rollup that has none of them
    yet."""
    for _, groups in groups_of_uses(db, since):
        insert(db, "rollup", groups)


def insert(db: sqlite3.Connection, table: str, groups: Groups) -> None:
    """Insert groups into `rollup`, or another table with its columns."""
    marks = ", ".join("?" * (len(COLUMNS) + 1))
    rows = [(*key, *sums, json.dumps(bins, separators=(",", ":"))) for key, (sums, bins) in groups.items()]
    db.executemany(f"INSERT INTO {table} ({', '.join(COLUMNS)}, times) VALUES ({marks})", rows)


def groups_of_uses(db: sqlite3.Connection, since: int) -> Iterator[tuple[int, Groups]]:
    """What the rollup must contain from `since` on: the start of each bucket, and its groups."""
    names = ", ".join((*COLUMNS, *_TIMES))
    rows = db.execute(
        f"SELECT {names} FROM uses WHERE state <> 'open' AND started_at >= ? ORDER BY started_at", (since,)
    )
    return _by_bucket((row[: len(COLUMNS)], _bins(row)) for row in rows)


def groups_of_rollup(
    db: sqlite3.Connection, since: int, until: int = 2**62, table: str = "rollup"
) -> Iterator[tuple[int, Groups]]:
    """What the rollup, or another table with its columns, does contain from `since` until `until`: the start of each
    bucket, and its groups."""
    asked = f"SELECT {', '.join(COLUMNS)}, times FROM {table} WHERE bucket >= ? AND bucket < ? ORDER BY bucket"
    return _by_bucket((row[:-1], json.loads(row[-1])) for row in db.execute(asked, (since, until)))


def _bins(row: tuple[Any, ...]) -> dict[str, int]:
    if not row[len(_KEY)]:
        return {}
    times = zip(MEASURES.values(), row[len(COLUMNS) :], strict=True)
    return {letter if time is None or time < 0 else letter + bin_of(time): 1 for letter, time in times}


def _by_bucket(rows: Iterable[tuple[tuple[Any, ...], dict[str, int]]]) -> Iterator[tuple[int, Groups]]:
    for bucket, some in groupby(rows, key=lambda row: row[0][0]):
        groups: Groups = {}
        for row, bins in some:
            sums, counted = groups.setdefault(row[: len(_KEY)], ([None] * len(SUMS), Counter()))
            for position, value in enumerate(row[len(_KEY) :]):
                if value is not None:
                    sums[position] = (sums[position] or 0) + value
            counted.update(bins)
        yield bucket, groups


_TIMES = tuple(f"{measure}_us" for measure in MEASURES)
_HAS_ATTEMPTS = "EXISTS (SELECT 1 FROM attempts WHERE call_id = NEW.id)"
_NOT_SUMMED = ("changed", "reserved_tokens", "reserved_usd")


def _put(call: str, sign: int, is_leaving: str = "0") -> str:
    """SQL that adds the uses of a call to the rollup, or subtracts them (`sign` -1). `is_leaving` is SQL for whether
    the call leaves its groups."""
    return f"INSERT INTO rollup_add SELECT {call}id, {sign}, {is_leaving}, {', '.join(call + name for name in _TIMES)}"


def times_of_use(sign: str = "", call: str = "", is_call: str = "calls") -> str:
    """SQL for the histograms of one use, as JSON."""
    bins = ", ".join(f"{name_of_bin(letter, f'{call}{measure}_us')}, {sign}1" for measure, letter in MEASURES.items())
    return f"CASE {is_call} WHEN 0 THEN '{{}}' ELSE json_object({bins}) END"


def _add(uses: Sequence[str], source: str, sign: str = "") -> str:
    """The SQL statement that adds uses to the rollup. `sign` is '', or a factor such as `-1 *`."""
    keys, sums = uses[: len(_KEY)], [f"{sign}{value}" for value in uses[len(_KEY) :]]
    bins = [name_of_bin(letter, f"NEW.{measure}_us") for measure, letter in MEASURES.items()]
    counted = ", ".join(f"'$.' || {bin}, ifnull(json_extract(times, '$.' || {bin}), 0) + {sign}1" for bin in bins)
    return (
        f"INSERT INTO rollup ({', '.join(COLUMNS)}, times) SELECT {', '.join([*keys, *sums])},"
        f" {times_of_use(sign, 'NEW.', uses[len(_KEY)])} {source}"
        f" ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET "
        + ", ".join(f"{name} = {name} + excluded.{name}" for name in TOTALS)
        + ", "
        + ", ".join(f"{name} = coalesce({name} + excluded.{name}, {name}, excluded.{name})" for name in AMOUNTS)
        + f", times = CASE excluded.calls WHEN 0 THEN times ELSE json_set(times, {counted}) END"
    )


_CLOSE = f"{_add(once('NEW.', COLUMNS), f'WHERE NOT {_HAS_ATTEMPTS}')}; {_put('NEW.', 1)} WHERE {_HAS_ATTEMPTS}"
_LEFT = f"NEW.is_leaving AND ({', '.join(_KEY)}) IN (SELECT {', '.join(_KEY)} FROM uses WHERE id = NEW.id)"
_SUMMED_USES = ", ".join(f"sum(uses.{name})" for name in AMOUNTS)
_STEPS = (
    _add(COLUMNS, "FROM uses WHERE id = NEW.id", "NEW.sign * "),
    f"DELETE FROM rollup WHERE uses = 0 AND {_LEFT}",
    # If a sum is now 0, perhaps only unknown values are left in the group, and the sum must be NULL. So it is summed
    # again from the rows. Rare.
    f"UPDATE rollup SET ({', '.join(AMOUNTS)}) = (SELECT {_SUMMED_USES} FROM uses"
    f" WHERE uses.started_at >= rollup.bucket AND uses.started_at < rollup.bucket + {BUCKET_US} AND uses.id <> NEW.id"
    f" AND uses.state <> 'open' AND {' AND '.join(f'uses.{name} = rollup.{name}' for name in KEYS)})"
    # Buckets from which rows were pruned cannot be summed again.
    f" WHERE 0 IN ({', '.join(AMOUNTS)}) AND {_LEFT} AND bucket >= ifnull("
    "(SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'pruned_before'), 0)",
)
