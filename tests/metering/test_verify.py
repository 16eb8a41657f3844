import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from metering.verify import verify
from tests.metering.test_rollup import fresh
from tests.metering.test_rollup import put


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(fresh()) as opened:
        yield opened


@pytest.mark.parametrize(
    ("columns", "broken"),
    [
        ({"state": "gone"}, "states are of the vocabulary"),
        ({"usage_state": "some"}, "usage states are of the vocabulary"),
        ({"usage_state": None}, "only open calls have no usage state"),
        ({"ended_at": None}, "closed calls have an end"),
        ({"usage_state": "final"}, "final usage has a count"),
        (
            {"input_tokens": 1, "input_cached_tokens": 2},
            "cached, written and tool tokens are part of the input",
        ),
        ({"output_tokens": 1, "output_thought_tokens": 2}, "thoughts are part of the output"),
        ({"state": "open", "usage_state": None}, "open calls are of running proxies"),
    ],
)
def test_verify(db: sqlite3.Connection, columns: dict[str, object], broken: str) -> None:
    put(db, "a", usage_state="absent", ended_at=1)
    assert set(verify(db, lambda instance: False).values()) == {0}
    put(db, "b", **{"usage_state": "absent", "ended_at": 1} | columns)
    assert [name for name, times in verify(db, lambda instance: False).items() if times] == [broken]


def test_verify_sees_a_wrong_rollup(db: sqlite3.Connection) -> None:
    put(db, "a", usage_state="absent", ended_at=1)
    db.execute("UPDATE rollup SET calls = 2")
    assert verify(db, lambda instance: True)["the rollup is the sum of the rows"] == 2
