"""Checks that a ledger is consistent: invariants of its rows, as SQLite's SQL, and how often each is broken."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator
from heapq import merge
from itertools import groupby
from operator import itemgetter

from metering import days
from metering import rollup
from metering.call import COUNTED
from metering.call import AttemptKind
from metering.call import State
from metering.call import UsageState

_KNOWN_STATES = ", ".join(f"'{state}'" for state in State)
_KNOWN_USAGE = ", ".join(f"'{state}'" for state in UsageState)
_KNOWN_KINDS = ", ".join(f"'{kind}'" for kind in AttemptKind)

INVARIANTS = {
    "states are known ones": f"state NOT IN ({_KNOWN_STATES})",
    "usage states are known ones": f"usage_state NOT IN ({_KNOWN_USAGE})",
    "only open calls have no usage state": "(usage_state IS NULL) <> (state = 'open')",
    "closed calls have an end": "ended_at IS NULL AND state NOT IN ('open', 'lost')",
    "final usage has a count": f"usage_state = 'final' AND coalesce({', '.join(COUNTED)}, usage_raw) IS NULL",
    "cached, written and tool tokens are part of the input": "input_cached_tokens > input_tokens"
    " OR input_cache_write_tokens > input_tokens OR input_tool_tokens > input_tokens",
    "thoughts are part of the output": "output_thought_tokens > output_tokens",
}
"""Invariant -> the SQL condition for rows of `calls` that break it."""

_SUMMED = " OR ".join(f"{name} IS NOT (SELECT sum({name}) FROM attempts WHERE call_id = calls.id)" for name in COUNTED)
_TRIED = "id IN (SELECT call_id FROM attempts)"
OF_ATTEMPTS = {
    "attempts belong to calls": "attempts WHERE call_id NOT IN (SELECT id FROM calls)",
    "attempts are numbered from 1": "attempts AS one"
    " WHERE n NOT BETWEEN 1 AND (SELECT count(*) FROM attempts WHERE call_id = one.call_id)",
    "attempts are of a known kind": f"attempts WHERE kind NOT IN ({_KNOWN_KINDS})",
    "calls count their attempts": f"calls WHERE {_TRIED} AND attempts"
    " <> (SELECT count(*) FROM attempts WHERE call_id = calls.id AND kind = 'attempt')",
    "the counts of a call are the sum of its attempts": f"calls WHERE {_TRIED} AND ({_SUMMED})",
    "cached, written and tool tokens of an attempt are part of its input": "attempts"
    f" WHERE {INVARIANTS['cached, written and tool tokens are part of the input']}",
    "thoughts of an attempt are part of its output": f"attempts WHERE {INVARIANTS['thoughts are part of the output']}",
}
"""Invariant -> the SQL after FROM for the rows that break it."""


def verify(db: sqlite3.Connection, is_alive: Callable[[str], bool]) -> dict[str, int]:
    """Invariant -> how often it is broken. `is_alive` tells whether the process with an id is still running."""
    try:
        sound = {"the file is whole": sum(row[0] != "ok" for row in db.execute("PRAGMA quick_check(10)"))}
    except sqlite3.DatabaseError:
        sound = {"the file is whole": 1}
    if sound["the file is whole"]:
        return sound
    for name, broken in INVARIANTS.items():
        sound[name] = db.execute(f"SELECT count(*) FROM calls WHERE {broken}").fetchone()[0]
    pruned_before = db.execute("SELECT ifnull(max(value), 0) FROM meta WHERE key = 'pruned_before'").fetchone()[0]
    instances = db.execute("SELECT instance, count(*) FROM calls WHERE state = 'open' GROUP BY 1").fetchall()
    sound["open calls belong to running proxies"] = sum(n for instance, n in instances if not is_alive(instance))
    for name, broken in OF_ATTEMPTS.items():
        sound[name] = db.execute(f"SELECT count(*) FROM {broken}").fetchone()[0]
    sound["every row has a number of its own in changed"] = db.execute(
        "SELECT count(*) - count(DISTINCT changed) FROM calls"
    ).fetchone()[0]
    since = int(pruned_before)
    sums, bins = _differences(rollup.groups_of_rollup(db, since), rollup.groups_of_uses(db, since))
    sound["the rollup is the sum of the rows"] = sums
    sound["the histograms match the rows"] = bins
    sound["the sums of days are those of the rollup"] = sum(_differences(days.kept(db), days.computed(db)))
    return sound


def _differences(
    kept: Iterator[tuple[int, rollup.Groups]], summed: Iterator[tuple[int, rollup.Groups]]
) -> tuple[int, int]:
    """How many groups differ in their sums, and how many in their histograms. A group that differs counts once for each
    side."""
    sums = bins = 0
    sides = groupby(merge(((*one, 0) for one in kept), ((*one, 1) for one in summed), key=itemgetter(0)), itemgetter(0))
    for _, found in sides:
        groups: list[rollup.Groups] = [{}, {}]
        for _, some, side in found:
            groups[side] = some
        for one, other in (groups, groups[::-1]):
            for key, (values, counted) in one.items():
                others, other_counted = other.get(key, (None, Counter()))
                sums += values != others
                bins += counted != other_counted
    return sums, bins
