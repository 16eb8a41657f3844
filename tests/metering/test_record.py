import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.call import ATTEMPT_COLUMNS
from metering.call import COLUMNS
from metering.call import AttemptRow
from metering.call import Call
from metering.call import Reading
from metering.call import Settlement
from metering.database import open_for_reading
from metering.ledger import Ledger
from metering.record import LONGEST_TEXT
from metering.record import REQUIRED
from metering.record import BadLine
from metering.record import Record
from metering.record import decode
from metering.record import encode
from metering.record import is_of_the_row
from metering.record import put
from metering.record import record_of
from metering.verify import verify
from tests.ledgers import broken_invariants
from tests.ledgers import call
from tests.ledgers import done
from tests.ledgers import empty
from tests.ledgers import rows
from tests.ledgers import spills
from tests.ledgers import write_lock
from tests.process import until

INTEGERS = [name for name in COLUMNS if name.endswith(("_tokens", "_bytes", "_us", "_at", "status"))]


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with empty() as opened:
        yield opened


def stored(**fields: Any) -> dict[str, object]:
    return record_of(call(**fields)).named


class TestStorable:
    def test_text(self) -> None:
        kept: list[tuple[object, str | None]] = [
            ("/v1/models/caf\udce9", "/v1/models/caf\ufffd"),
            ("\ud800", "\ufffd"),
            ("a\0b", "a\ufffdb"),
            ("grün \U0001f600", "grün \U0001f600"),
            ("x" * 10**6, "x" * LONGEST_TEXT),
            (5, "5"),
            (2**70, str(2**70)),
            (b"bytes", None),
            ([], None),
            (None, None),
        ]
        assert [(value, stored(path=value)["path"]) for value, _ in kept] == kept
        assert [(value, stored(model=value)["model"]) for value, _ in kept] == kept

    def test_integers(self) -> None:
        kept: list[tuple[object, int | None]] = [
            (2**63 - 1, 2**63 - 1),
            (2**63, None),
            (-(2**64), None),
            (10**400, None),
            (True, 1),
            (4.0, 4),
            (1e300, None),
            (1.5, None),
            (math.nan, None),
            (-math.inf, None),
            ("5", None),
            ({}, None),
        ]
        assert [(value, stored(total_tokens=value)["total_tokens"]) for value, _ in kept] == kept
        assert [(value, stored(status=value)["status"]) for value, _ in kept] == kept

    @pytest.mark.parametrize(
        ("value", "kept"),
        [(0.25, 0.25), (3, 3.0), (True, 1.0), (math.nan, None), (-math.inf, None), (10**400, None), ("5", None)],
    )
    def test_numbers(self, value: object, kept: float | None) -> None:
        assert stored(reserved_usd=value)["reserved_usd"] == kept

    def test_json(self) -> None:
        kept: list[tuple[object, str | None]] = [
            ({"x-team": "Jos\udce9\0"}, '{"x-team":"Jos\\ufffd\\ufffd"}'),
            ({"x-t\ud800": ["\0"]}, '{"x-t\\ufffd":["\\ufffd"]}'),
            ({"x-team": "ü😀"}, '{"x-team":"\\u00fc\\ud83d\\ude00"}'),
            ({"text": 2**70}, json.dumps({"text": 2**70}, separators=(",", ":"))),
            ({"text": math.nan}, None),
            ({"text": {1}}, None),
            ({"text": "x" * LONGEST_TEXT}, None),
            ([1], None),
            ("{}", None),
        ]
        assert [(value, stored(tags=value)["tags"]) for value, _ in kept] == kept
        assert [(value, stored(usage_raw=value)["usage_raw"]) for value, _ in kept] == kept

    def test_json_that_contains_itself(self) -> None:
        tags: dict[str, Any] = {"text": "\0"}
        tags["self"] = tags
        assert stored(tags=tags)["tags"] is None

    def test_a_count_that_cannot_be_stored_is_missing(self) -> None:
        lost = done(call(), input_tokens=2**64)
        assert record_of(lost).named["usage_state"] == "absent"
        assert record_of(done(lost, input_tokens=2**64, output_tokens=3)).named["usage_state"] == "partial"
        assert record_of(done(lost, input_tokens=2)).named["usage_state"] == "final"

    values = (
        st.none() | st.integers() | st.floats() | st.text(st.characters(), max_size=9) | st.booleans() | st.binary()
    )
    objects = st.dictionaries(st.text(st.characters(), max_size=3), values, max_size=3)

    @given(st.dictionaries(st.sampled_from([name for name in COLUMNS if name not in REQUIRED]), values | objects))
    def test_any_row_can_be_written(self, fields: dict[str, Any]) -> None:
        record = record_of(call(**fields | {"instance": "i", "state": "open", "usage_state": None}))
        with empty() as db:
            assert put(db, record) is None
            changed = {"changed": 1}
            assert [tuple(row) for row in db.execute("SELECT * FROM calls")] == [
                tuple((record.named | changed).values())
            ]
            assert json.loads(encode(1, record))["row"] == record.named
            record = record_of(
                call(**fields | {"instance": "i", "state": "done", "usage_state": "final", "ended_at": 1})
            )
            assert put(db, record) is None
            assert decode(encode(7, record)) == (7, record)

    def test_the_ledger_takes_it(self, ledger: Ledger) -> None:
        ledger.commit(one := call(path="/v1/caf\udce9", tags={"x": "\udce9"}, model="\0", input_tokens=2**63))
        ledger.commit(done(one, input_tokens=2**64, output_tokens=7, finish_reason="\ud800"))
        assert rows(ledger.path, "path, model, tags, usage_state, input_tokens, output_tokens, finish_reason") == [
            ("/v1/caf\ufffd", "\ufffd", '{"x":"\\ufffd"}', "partial", None, 7, "\ufffd")
        ]
        assert broken_invariants(ledger.path) == []


GOOD = json.loads(encode(3, record_of(done(call(instance="i", tags={"a": "b"}), status=200))))


def line(**members: Any) -> bytes:
    return json.dumps({name: value for name, value in (GOOD | members).items() if value is not ...}).encode()


def row(**columns: Any) -> bytes:
    return line(row={name: value for name, value in (GOOD["row"] | columns).items() if value is not ...})


BAD = {
    b"": "it is not JSON",
    b"\x00\xff\x80binary": "it is not JSON",
    b'{"n": 3, "row": {"id": "\xe9"}}': "it is not JSON",
    b'{"n": 3, "row"': "it is not JSON",
    b"[" * 100_000: "it is not JSON",
    b'{"n": ' + b"9" * 5000 + b"}": "it is not JSON",
    b"[1]": "it is no object",
    b'"text"': "it is no object",
    b"null": "it is no object",
    b"NaN": "it is no object",
    line(n=...): "it has no number",
    line(n="3"): "it has no number",
    line(n=3.0): "it has no number",
    line(n=True): "it has no number",
    line(n=0): "it has no number",
    line(n=-1): "it has no number",
    line(n=2**70): "it has no number",
    line(n=[3]): "it has no number",
    line(row=...): "it has no row",
    line(row=None): "it has no row",
    line(row=list(GOOD["row"].values())): "it has no row",
    line(row="row"): "it has no row",
    line(row={}): "it has no id",
    row(prompt="a secret"): "it has a column that is not known",
    **{row(**{name: ...}): f"it has no {name}" for name in REQUIRED},
    row(id=None): "it has no id",
    row(id=5): "id is no text",
    row(path=["/v1"]): "path is no text",
    row(path="\ud800"): "path is no text",
    row(path="a\0b"): "path is no text",
    row(path="x" * 10**6): "path is no text",
    row(started_at="now"): "started_at is no integer",
    row(input_tokens="5"): "input_tokens is no integer",
    row(input_tokens=1.5): "input_tokens is no integer",
    row(input_tokens=math.nan): "input_tokens is no integer",
    row(input_tokens=math.inf): "input_tokens is no integer",
    row(input_tokens=2**63): "input_tokens is no integer",
    row(input_tokens={"n": 1}): "input_tokens is no integer",
    row(tags={"x-team": "a"}): "tags is no text",
    row(tags="not JSON"): "tags is no JSON object",
    row(usage_raw="[1]"): "usage_raw is no JSON object",
    row(state="banana"): "state is not known",
    row(usage_state="banana"): "usage_state is not known",
    row(usage_state=None): "usage_state is not known",
    row(state="open"): "usage_state is not known",
    row(ended_at=None): "it has no ended_at",
    row(reserved_usd=5): "reserved_usd is no number",
    row(reserved_usd=math.inf): "reserved_usd is no number",
    line(tries=None): "its attempts are none",
    line(tries={}): "its attempts are none",
    line(tries=[5]): "its attempts are none",
    line(tries=[{}]): "its attempts are none",
    line(tries=[{"kind": "attempt"}]): "its attempts are none",
    line(tries=[{"kind": "guess", "started_at": 1}]): "its attempts are none",
    line(tries=[{"kind": "attempt", "started_at": "1"}]): "its attempts are none",
    line(tries=[{"kind": "attempt", "started_at": 1, "prompt": "a secret"}]): "its attempts are none",
    line(tries=[{"kind": "attempt", "started_at": 1, "input_by_modality": "5"}]): "its attempts are none",
    line(settlement=None): "its settlement is none",
    line(settlement="op"): "its settlement is none",
    line(settlement={"operation": 5}): "its settlement is none",
    line(settlement={"operation": "op", "videos": "2"}): "its settlement is none",
    line(settlement={"operation": "op", "videos": True}): "its settlement is none",
    line(settlement={"operation": "op", "videos": 2**70}): "its settlement is none",
    line(settlement={"operation": "op", "error_type": 7}): "its settlement is none",
    line(settlement={"operation": "op", "more": 7}): "its settlement is none",
    line(settlement={"operation": "op", "usage_state": "good"}): "its settlement is none",
    line(settlement={"operation": "op", "usage_state": "final", "input_tokens": "5"}): "its settlement is none",
    line(settlement={"operation": "op", "usage_state": "final", "usage_raw": "5"}): "its settlement is none",
    line(settlement={"usage_state": "final"}): "its settlement is none",
}


class TestLines:
    @pytest.mark.parametrize(
        "settlement",
        [
            None,
            Settlement("op", videos=2),
            Settlement("op", error_type="INTERNAL"),
            Settlement("op", answer=Reading(input_tokens=5, output_by_modality={"text": 2}, usage_raw={"x": 1})),
        ],
    )
    def test_there_and_back(self, settlement: Settlement | None) -> None:
        record = record_of(done(call(instance="i", tags={"x": "\0ü"}, rewritten=True)), settlement)
        written = encode(7, record)
        assert written.count(b"\n") == 2
        assert decode(written) == (7, record)

    def test_columns_that_are_not_there_are_null(self) -> None:
        required = {name: GOOD["row"][name] for name in (*REQUIRED, "usage_state", "ended_at")}
        number, record = decode(line(row=required | {"rewritten": False}))
        assert (number, record.named["path"], record.named["rewritten"]) == (3, None, 0)

    def test_none(self) -> None:
        def reason(bad: bytes) -> str | None:
            try:
                decode(bad)
            except BadLine as e:
                return e.reason
            return None

        assert {bad: reason(bad) for bad in BAD} == BAD

    @given(st.binary(max_size=60) | st.text().map(str.encode))
    def test_any_bytes(self, bad: bytes) -> None:
        with pytest.raises(BadLine):
            decode(bad)


class TestPut:
    def test_what_fails_leaves_nothing(self, db: sqlite3.Connection) -> None:
        named = record_of(done(call(instance="i"))).named
        assert put(db, Record(tuple((named | {"attempts": "many"}).values()))) is not None
        assert db.execute("SELECT (SELECT count(*) FROM calls), (SELECT count(*) FROM rollup)").fetchone() == (0, 0)

    @pytest.mark.parametrize("ended_at", [None, 9])
    def test_an_open_call_is_closed(self, db: sqlite3.Connection, ended_at: int | None) -> None:
        one = call(instance="i", input_tokens=3)
        assert put(db, record_of(one)) is None
        named = record_of(done(one, ended_at=ended_at, status=200)).named
        assert put(db, Record(tuple((named | {"output_tokens": "many"}).values()))) is not None
        state = "done" if ended_at else "lost"
        assert db.execute("SELECT state, usage_state, input_tokens, status FROM calls").fetchall() == [
            (state, "absent", None, 200)
        ]
        assert set(verify(db, lambda instance: False).values()) == {0}

    def test_a_call_under_way_stays_open(self, db: sqlite3.Connection) -> None:
        one = call(instance="i")
        assert put(db, record_of(one)) is None
        named = record_of(one).named | {"output_tokens": "many"}
        assert put(db, Record(tuple(named.values()))) is not None
        assert db.execute("SELECT state FROM calls").fetchall() == [("open",)]


def tried(**fields: Any) -> Call:
    """A call that was tried twice."""
    first = AttemptRow(started_at=1, service="a", model="g", status=429, error_type="RESOURCE_EXHAUSTED", duration_us=7)
    second = AttemptRow(started_at=2, service="b", model="h", status=200, input_tokens=5, input_by_modality={"text": 5})
    one = call(instance="i", tries=[first, second], attempts=2, service="b", model="h", status=200)
    return done(one, **{"input_by_modality": {"text": 5}} | fields)


class TestAttempts:
    def written(self, db: sqlite3.Connection) -> list[tuple[object, ...]]:
        names = "n, kind, service, status, error_type, duration_us, input_tokens, input_by_modality"
        return db.execute(f"SELECT {names} FROM attempts ORDER BY n").fetchall()

    WRITTEN: ClassVar = [
        (1, "attempt", "a", 429, "RESOURCE_EXHAUSTED", 7, None, None),
        (2, "attempt", "b", 200, None, None, 5, '{"text":5}'),
    ]

    def test_they_are_written_with_the_call(self, db: sqlite3.Connection) -> None:
        one = tried()
        assert put(db, record_of(one)) is None
        assert self.written(db) == self.WRITTEN
        assert db.execute("SELECT DISTINCT call_id FROM attempts").fetchall() == [(one.id,)]
        sums = db.execute("SELECT model, calls, input_tokens FROM rollup ORDER BY 1").fetchall()
        assert sums == [("g", 0, None), ("h", 1, 5)]
        assert set(verify(db, lambda instance: False).values()) == {0}

    def test_a_call_that_was_tried_once_has_none(self, db: sqlite3.Connection) -> None:
        assert put(db, record_of(done(call(instance="i")))) is None
        assert self.written(db) == []

    def test_what_comes_later(self, db: sqlite3.Connection) -> None:
        """Written first without, then with more: the rollup follows, and counts do not become unknown."""
        one = tried()
        one.tries, tries = [], one.tries
        put(db, record_of(one))
        one.tries = tries
        put(db, record_of(one))
        assert set(verify(db, lambda instance: False).values()) == {0}
        tries[1].output_tokens = one.output_tokens = 3
        tries[1].input_tokens = None
        put(db, record_of(one))
        assert self.written(db) == self.WRITTEN
        assert db.execute("SELECT state, output_tokens, changed FROM calls").fetchall() == [("done", 3, 5)]
        assert set(verify(db, lambda instance: False).values()) == {0}

    def test_there_and_back(self) -> None:
        record = record_of(tried(error_type="caf\udce9"))
        assert len(record.tries) == 2
        assert decode(encode(7, record)) == (7, record)

    @given(st.dictionaries(st.sampled_from(ATTEMPT_COLUMNS[2:]), TestStorable.values | TestStorable.objects))
    def test_any_attempt_can_be_written(self, fields: dict[str, Any]) -> None:
        record = record_of(done(call(instance="i", tries=[AttemptRow(**{"started_at": 1} | fields)])))
        if None not in (record.tries[0][2], record.tries[0][ATTEMPT_COLUMNS.index("started_at")]):
            with empty() as db:
                assert put(db, record) is None
                assert db.execute("SELECT * FROM attempts").fetchall() == [record.tries[0]]

    @pytest.mark.parametrize("bad", [{"kind": None}, {"started_at": None}])
    def test_one_that_cannot_be_stored_costs_no_call(self, db: sqlite3.Connection, bad: dict[str, Any]) -> None:
        one = tried()
        one.tries.append(AttemptRow(**{"started_at": 1} | bad))
        reason = put(db, record_of(one))
        assert reason
        assert reason.startswith("its attempts: NOT NULL")
        assert db.execute("SELECT state, input_tokens FROM calls").fetchall() == [("done", 5)]
        assert self.written(db) == []

    def test_it_is_one_transaction(self, ledger: Ledger) -> None:
        ledger.commit(one := call())
        one.tries = [AttemptRow(started_at=1, status=503), AttemptRow(started_at=2, status=200, input_tokens=5)]
        ledger.commit(done(one, attempts=2))
        with closing(open_for_reading(ledger.path)) as db:
            assert [tuple(row) for row in db.execute("SELECT call_id, n, status FROM attempts")] == [
                (one.id, 1, 503),
                (one.id, 2, 200),
            ]
        assert broken_invariants(ledger.path) == []

    def test_through_the_spill(self, ledger: Ledger) -> None:
        with write_lock(ledger.path):
            ledger.commit(tried())
            assert len(spills(ledger.path)) == 1
        until(lambda: not spills(ledger.path))
        with closing(open_for_reading(ledger.path)) as db:
            assert [tuple(row) for row in self.written(db)] == self.WRITTEN
        assert broken_invariants(ledger.path) == []


class TestWhoseFault:
    def failed(self, db: sqlite3.Connection, sql: str, *values: object) -> Exception:
        try:
            db.execute(sql, values)
        except Exception as e:
            return e
        raise AssertionError("it was written")

    @pytest.mark.parametrize(
        ("sql", "values"),
        [
            ("INSERT INTO calls (id) VALUES ('a')", ()),
            ("INSERT INTO meta VALUES ('a', ?)", (b"x",)),
            ("INSERT INTO meta VALUES ('secret', '')", ()),
            ("INSERT INTO meta VALUES (?, '')", ("\ud800",)),
            ("INSERT INTO meta VALUES ('a', ?)", (2**63,)),
            ("INSERT INTO meta VALUES ('a', ?)", (object(),)),
            ("INSERT INTO meta VALUES ('a', zeroblob(2000000000))", ()),
            ("SELECT sum(column1) FROM (VALUES (9223372036854775807), (1))", ()),
            ("SELECT json_extract('{', '$.a')", ()),
        ],
    )
    def test_of_the_row(self, db: sqlite3.Connection, sql: str, values: tuple[object, ...]) -> None:
        assert is_of_the_row(self.failed(db, sql, *values))

    @pytest.mark.parametrize("sql", ["INSERT INTO nothing VALUES (1)", "INSERT INTO meta (nothing) VALUES (1)"])
    def test_of_the_file(self, db: sqlite3.Connection, sql: str) -> None:
        assert not is_of_the_row(self.failed(db, sql))

    def test_of_a_file_that_is_read_only_closed_or_none(self, ledger: Ledger, tmp_path: Path) -> None:
        ledger.commit(call())
        with closing(open_for_reading(ledger.path)) as db:
            assert not is_of_the_row(self.failed(db, "DELETE FROM calls"))
        assert not is_of_the_row(self.failed(db, "DELETE FROM calls"))
        (tmp_path / "text").write_text("This is a text, and no database at all. " * 99)
        with closing(sqlite3.connect(tmp_path / "text")) as db:
            assert not is_of_the_row(self.failed(db, "SELECT * FROM sqlite_master"))
        with (
            closing(sqlite3.connect(tmp_path / "no" / "folder"))
            if False
            else closing(sqlite3.connect(":memory:")) as db
        ):
            db.execute("PRAGMA max_page_count = 2")
            db.execute("CREATE TABLE t (a)")
            assert not is_of_the_row(self.failed(db, "INSERT INTO t VALUES (zeroblob(100000))"))


def test_the_types_are_those_of_the_table(db: sqlite3.Connection) -> None:
    types = {name: kind for _, name, kind, *_ in db.execute("PRAGMA table_info(calls)")}
    assert types["reserved_usd"] == "REAL"
    for name in COLUMNS:
        value = stored(**{name: 5})[name] if types[name] == "INTEGER" else stored(**{name: "x"})[name]
        assert value in (5, "x", None), name
    assert {name for name, kind in types.items() if kind == "INTEGER"} >= set(INTEGERS)
    assert isinstance(record_of(Call(started_at=1)), Record)
