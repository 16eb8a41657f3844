import sqlite3
from collections.abc import Iterator

import pytest

from metering.verify import verify
from tests.ledgers import empty
from tests.metering.test_rollup import put
from tests.metering.test_rollup import tried


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with empty() as opened:
        yield opened


@pytest.mark.parametrize(
    ("columns", "broken"),
    [
        ({"state": "gone"}, "states are known ones"),
        ({"usage_state": "some"}, "usage states are known ones"),
        ({"usage_state": None}, "only open calls have no usage state"),
        ({"ended_at": None}, "closed calls have an end"),
        ({"usage_state": "final"}, "final usage has a count"),
        (
            {"input_tokens": 1, "input_cached_tokens": 2},
            "cached, written and tool tokens are part of the input",
        ),
        ({"output_tokens": 1, "output_thought_tokens": 2}, "thoughts are part of the output"),
        ({"state": "open", "usage_state": None}, "open calls belong to running proxies"),
    ],
)
def test_verify(db: sqlite3.Connection, columns: dict[str, object], broken: str) -> None:
    put(db, "a", usage_state="absent", ended_at=1)
    assert set(verify(db, lambda instance: False).values()) == {0}
    put(db, "b", **{"usage_state": "absent", "ended_at": 1} | columns)
    assert [name for name, times in verify(db, lambda instance: False).items() if times] == [broken]


def test_seconds_of_sound_are_final_usage_without_a_count(db: sqlite3.Connection) -> None:
    put(db, "a", usage_state="final", ended_at=1, usage_raw='{"seconds":27}')
    assert set(verify(db, lambda instance: False).values()) == {0}


def test_verify_sees_a_wrong_rollup(db: sqlite3.Connection) -> None:
    put(db, "a", usage_state="absent", ended_at=1)
    db.execute("UPDATE rollup SET calls = 2")
    assert verify(db, lambda instance: True)["the rollup is the sum of the rows"] == 2


def test_verify_sees_a_wrong_histogram(db: sqlite3.Connection) -> None:
    put(db, "a", usage_state="absent", ended_at=1, duration_us=1000)
    db.execute('UPDATE rollup SET times = \'{"d411":1,"t":1,"o":1}\'')
    assert verify(db, lambda instance: True)["the histograms match the rows"] == 2


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE calls SET changed = 7", "every row has a number of its own in changed"),
        (
            "INSERT INTO attempts (call_id, n, kind, started_at) VALUES ('x', 1, 'attempt', 1)",
            "attempts belong to calls",
        ),
        ("UPDATE attempts SET n = 4 WHERE n = 3", "attempts are numbered from 1"),
        ("UPDATE attempts SET kind = 'guess' WHERE n = 3", "attempts are of a known kind"),
        ("UPDATE calls SET attempts = 3", "calls count their attempts"),
        (
            "UPDATE calls SET counted_tokens = 4 WHERE id = 'a'",
            "the counts of a call are the sum of its attempts",
        ),
        (
            "UPDATE attempts SET input_cached_tokens = 4 WHERE n = 2",
            "cached, written and tool tokens of an attempt are part of its input",
        ),
        ("UPDATE attempts SET output_thought_tokens = 9 WHERE n = 2", "thoughts of an attempt are part of its output"),
    ],
)
def test_verify_of_attempts_and_changed(db: sqlite3.Connection, statement: str, broken: str) -> None:
    tried(db, "a", 1, status=500)
    tried(db, "a", 2, status=200, input_tokens=3, output_tokens=4)
    tried(db, "a", 3, status=200, kind="iteration", input_tokens=1)
    put(db, "a", attempts=2, usage_state="final", ended_at=1, input_tokens=4, output_tokens=4)
    put(db, "b", attempts=3, usage_state="final", ended_at=1, input_tokens=4)
    assert set(verify(db, lambda instance: False).values()) == {0}
    db.execute(statement)
    assert verify(db, lambda instance: False)[broken] == 1
