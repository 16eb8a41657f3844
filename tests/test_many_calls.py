"""Ledgers with many calls, as `scripts/bench report` makes them, are like those that the product has written."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.ledgers import broken_invariants
from tests.ledgers import new_ledger
from tests.many_calls import PIECES
from tests.many_calls import make

NOW = time.time_ns() // 1000


def test_it_is_sound(tmp_path: Path) -> None:
    ledger = make(tmp_path / "usage.db", 60 * PIECES, NOW)
    assert broken_invariants(ledger) == []
    with closing(sqlite3.connect(ledger)) as db:
        first, last, calls = db.execute("SELECT min(started_at), max(started_at), count(*) FROM calls").fetchone()
        assert calls == 60 * PIECES
        assert 26 * 86_400 < (last - first) / 1_000_000 < 27 * 86_400
        assert last < NOW
        assert db.execute("SELECT sum(calls) FROM rollup").fetchone() == (calls,)
        assert db.execute("SELECT count(*) FROM attempts").fetchone() > (0,)
        # So that sums of days are used.
        assert db.execute("SELECT count(*) FROM summed_days WHERE token = ''").fetchone() >= (26,)
        ids = db.execute("SELECT count(DISTINCT id), min(length(id)), max(length(id)) FROM calls").fetchone()
        assert ids == (calls, 36, 36)


def test_what_the_ledger_has_is_kept(tmp_path: Path) -> None:
    def objects(path: Path) -> set[tuple[str, ...]]:
        with closing(sqlite3.connect(path)) as db:
            return {*db.execute("SELECT type, name, sql FROM sqlite_master")}

    assert objects(make(tmp_path / "many.db", PIECES, NOW)) == objects(new_ledger(tmp_path / "new.db"))
