import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from metering.call import ATTEMPT_COLUMNS
from metering.call import COLUMNS
from metering.database import meta
from metering.ledger import Ledger
from metering.migrations import migrations
from metering.older import VERSION
from metering.rollup import BUCKET_US
from tests.ledgers import broken_invariants
from tests.ledgers import empty
from tests.ledgers import of_version
from tests.ledgers import rows
from tests.metering.test_rollup import put


def test_the_schema_is_the_record() -> None:
    db = Database(memory=True)
    migrations.apply(db)
    for name, columns in (("calls", COLUMNS), ("attempts", ATTEMPT_COLUMNS)):
        assert tuple(column.name for column in db[name].columns) == columns
        assert db.table(name).strict
    assert len(migrations.applied(db)) == VERSION
    db.close()


def test_secrets_differ() -> None:
    secrets = set()
    for _ in range(2):
        db = Database(memory=True)
        migrations.apply(db)
        secrets.add(db.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()[0])
        db.close()
    assert len(secrets) == 2


@pytest.mark.parametrize(
    ("version", "digest"),
    [
        (1, "766686c18b07b684"),
        (2, "ab426b1da816e6a4"),
        (3, "2219f37b4a047a24"),
        (4, "0741afd488ed04e6"),
        (5, "7b8671775aeaeb26"),
        (6, "9192790c94b43f86"),
        (7, "7ca01c514eb665a8"),
        (8, "d40c393a95355ef2"),
    ],
)
def test_a_step_that_was_released_does_not_change(tmp_path: Path, version: int, digest: str) -> None:
    of_version(tmp_path / "usage.db", version)
    with closing(sqlite3.connect(tmp_path / "usage.db")) as db:
        found = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
    text = "\n".join(f"{name} {sql}" for name, sql in found)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest


@pytest.mark.parametrize("version", range(1, VERSION))
def test_ledgers_of_every_version_go_on(tmp_path: Path, version: int) -> None:
    path = tmp_path / "usage.db"
    of_version(
        path,
        version,
        [
            {"model": "g", "usage_state": "final", "input_tokens": 7, "duration_us": 1000, "status": 200},
            {"model": "g", "usage_state": "absent", "started_at": BUCKET_US, "tags": '{"x-team":"red"}'},
            {"model": "h", "state": "open", "ended_at": None, "instance": "dead"},
        ],
    )
    Ledger(path).close()
    assert rows(path, "id, state, input_tokens, changed") == [
        ("0", "done", 7, 1),
        ("1", "done", None, 2),
        # The dead process's row is written once more.
        ("2", "lost", None, 4),
    ]
    with closing(sqlite3.connect(path)) as db:
        names = "model, state, tags, calls, input_tokens, times"
        assert db.execute(f"SELECT {names} FROM rollup ORDER BY bucket, model").fetchall() == [
            ("g", "done", "", 1, 7, '{"d410":1,"t":1,"o":1}'),
            ("h", "lost", "", 1, None, '{"d":1,"t":1,"o":1}'),
            ("g", "done", '{"x-team":"red"}', 1, None, '{"d":1,"t":1,"o":1}'),
        ]
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert broken_invariants(path) == []


@pytest.mark.parametrize("version", [3, 4])
def test_sums_of_pruned_rows_are_carried_over(tmp_path: Path, version: int) -> None:
    path = tmp_path / "usage.db"
    of_version(path, version, [{"model": "g", "input_tokens": 7, "usage_state": "final"}] * 2)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM calls")
        db.execute("INSERT INTO meta VALUES ('pruned_before', ?)", (str(BUCKET_US),))
    Ledger(path).close()
    with closing(sqlite3.connect(path)) as db:
        names = "model, calls, uses, covered_calls, input_tokens, output_tokens, known, times"
        assert db.execute(f"SELECT {names} FROM rollup").fetchall() == [("g", 2, 2, 2, 14, None, "input", "{}")]
        assert [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE name LIKE 'rollup_4%'")] == []
    assert broken_invariants(path) == []


class TestChanged:
    def changed(self, db: sqlite3.Connection) -> dict[str, int]:
        return dict(db.execute("SELECT id, changed FROM calls ORDER BY id").fetchall())

    def test_every_writer_makes_it_grow(self) -> None:
        """Those too that know nothing of it, such as an older process or a person with `sqlite3`."""
        with empty() as db:
            put(db, "a", state="open")
            put(db, "b")
            assert self.changed(db) == {"a": 1, "b": 2}
            put(db, "a", state="done")
            assert self.changed(db) == {"a": 3, "b": 2}
            db.execute("UPDATE calls SET error_type = 'X'")
            assert sorted(self.changed(db).values()) == [4, 5]

    def test_it_does_not_go_back(self) -> None:
        with empty() as db:
            for id in "abc":
                put(db, id)
            db.execute("DELETE FROM calls WHERE id = 'c'")
            assert meta(db, "changed") == "3"
            put(db, "d")
            assert self.changed(db) == {"a": 1, "b": 2, "d": 4}
            db.execute("DELETE FROM calls")
            put(db, "e")
            assert self.changed(db) == {"e": 5}

    def test_it_does_not_go_back_whatever_the_order(self) -> None:
        """Rows are deleted in the order of their ids, not of their numbers."""
        with empty() as db:
            for id in "abc":
                put(db, id, state="open")
            for id in "bca":
                put(db, id)
            assert self.changed(db) == {"a": 6, "b": 4, "c": 5}
            db.execute("DELETE FROM calls")
            put(db, "d")
            assert self.changed(db) == {"d": 7}


def test_attempts_go_with_their_call() -> None:
    with empty() as db:
        for id in "ab":
            put(db, id)
            db.execute("INSERT INTO attempts (call_id, n, kind, started_at) VALUES (?, 1, 'attempt', 1)", (id,))
        db.execute("DELETE FROM calls WHERE id = 'a'")
        assert db.execute("SELECT call_id FROM attempts").fetchall() == [("b",)]
