import sqlite3
from collections.abc import Iterable

import pytest

from metering import usual_answers
from metering.usual_answers import UsualAnswers
from tests.ledgers import empty
from tests.metering.test_rollup import put


def answers(db: sqlite3.Connection, model: str, lengths: Iterable[int | None]) -> None:
    for number, length in enumerate(lengths):
        put(db, f"{model}{number}", model=model, output_tokens=length, started_at=number)


def test_nine_of_ten_answers_are_not_longer() -> None:
    with empty() as db:
        answers(db, "a", range(1, 101))
        answers(db, "b", [7])
        answers(db, "c", [None])
        answers(db, "d", range(10, 0, -1))
        usual = UsualAnswers()
        assert {model: usual.of(db, model) for model in "abcd"} == {"a": 90, "b": 7, "c": 4096, "d": 9}
        assert usual.of(db, "unknown") == usual.of(db, None) == 4096


def test_it_is_asked_for_once() -> None:
    with empty() as db:
        usual = UsualAnswers()
        answers(db, "a", [5])
        assert usual.of(db, "a") == 5
        answers(db, "a", [9] * 3)
        assert usual.of(db, "a") == 5
        assert UsualAnswers().of(db, "a") == 9


def test_only_the_newest_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usual_answers, "NEWEST", 3)
    with empty() as db:
        answers(db, "a", [100, 100, 100, 1, 2, 3])
        assert UsualAnswers().of(db, "a") == 3
