import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from metering import tail
from metering.call import Call
from metering.ledger import Ledger
from metering.selection import Selection
from metering.tail import Tail
from tests.ledgers import call
from tests.ledgers import done
from tests.ledgers import new_ledger
from tests.ledgers import of_version


def now_us() -> int:
    return time.time_ns() // 1000


def ended(**fields: Any) -> Call:
    return done(call(), **{"ended_at": now_us()} | fields)


def ids(follow: Tail) -> list[object]:
    return [row["id"] for row in follow.ended()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_ledger(tmp_path / "usage.db")


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    opened = Ledger(path)
    yield opened
    opened.close()


def test_calls_as_they_end(ledger: Ledger) -> None:
    before, under_way, later = ended(), call(), call()
    for one in (before, under_way):
        ledger.commit(one)
    follow = Tail([ledger.path], Selection())
    assert ids(follow) == []
    ledger.commit(later)
    assert ids(follow) == []
    ledger.commit(done(later, ended_at=now_us()))
    ledger.commit(done(under_way, ended_at=now_us()))
    assert ids(follow) == [later.id, under_way.id]
    assert ids(follow) == []


def test_a_row_that_is_updated_later_is_not_another_call(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    old = ended(usage_state="absent")
    ledger.commit(old)
    time.sleep(0.001)
    follow = Tail([ledger.path], Selection())
    videos = ended(usage_state="absent")
    ledger.commit(videos)
    assert ids(follow) == [videos.id]
    monkeypatch.setattr(tail, "REMEMBERED", 3)
    for _ in range(5):
        ledger.commit(ended())
    assert len(ids(follow)) == 5
    for one in (old, videos):
        one.usage_state, one.images = "final", 2
        ledger.commit(one)
    assert ids(follow) == []


def test_filters(ledger: Ledger) -> None:
    follow = Tail([ledger.path], Selection(filters={"model": ["gemini-*"]}, tags=[("x-team", "red")]))
    wanted = ended(model="gemini-3", tags={"x-team": "red"})
    for one in (wanted, ended(model="gemini-3", tags={"x-team": "blue"}), ended(model="gpt", tags={"x-team": "red"})):
        ledger.commit(one)
    assert ids(follow) == [wanted.id]


def test_a_ledger_that_comes_later(tmp_path: Path) -> None:
    follow = Tail([tmp_path / "usage.db", tmp_path / "other.db"], Selection())
    (tmp_path / "usage.db").touch()
    assert ids(follow) == []
    expected = []
    for name in ("usage.db", "other.db"):
        with closing(Ledger(tmp_path / name)) as ledger:
            expected.append(ended())
            ledger.commit(expected[-1])
    assert ids(follow) == [one.id for one in expected]


def test_a_ledger_that_is_replaced(path: Path, tmp_path: Path) -> None:
    with closing(Ledger(path)) as ledger:
        old = ended()
        ledger.commit(old)
        ledger.commit(done(call(), state="lost", ended_at=None))
    shutil.copy(path, tmp_path / "copy.db")
    with closing(Ledger(path)) as ledger:
        for _ in range(3):
            ledger.commit(ended())
    time.sleep(0.001)
    follow = Tail([path], Selection())
    (tmp_path / "copy.db").replace(path)
    # What it brings was there before.
    assert ids(follow) == []
    with closing(Ledger(path)) as ledger:
        new = ended()
        ledger.commit(new)
    assert ids(follow) == [new.id]


def test_a_call_that_was_lost_has_no_end(path: Path) -> None:
    with closing(Ledger(path)) as ledger:
        lost = call()
        ledger.commit(ended())
        ledger.commit(lost)
        follow = Tail([path], Selection())
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE calls SET state = 'lost', usage_state = 'absent' WHERE id = ?", (lost.id,))
        assert ids(follow) == [lost.id]


def test_a_ledger_that_is_upgraded(tmp_path: Path) -> None:
    of_version(tmp_path / "usage.db", 3, [{"id": "a"}, {"id": "b"}])
    follow = Tail([tmp_path / "usage.db"], Selection())
    with closing(Ledger(tmp_path / "usage.db")) as ledger:
        assert ids(follow) == []
        new = ended()
        ledger.commit(new)
        assert ids(follow) == [new.id]
