import fcntl
import json
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metering import ledger as ledgers
from metering import record as records
from metering.call import AttemptRow
from metering.call import Call
from metering.call import Reading
from metering.call import Settlement
from metering.companions import is_alive
from metering.companions import rejected_path
from metering.ledger import Ledger
from tests.ledgers import broken_invariants
from tests.ledgers import call
from tests.ledgers import done
from tests.ledgers import new_ledger
from tests.ledgers import processes
from tests.ledgers import rejected
from tests.ledgers import rows
from tests.ledgers import spills
from tests.ledgers import write_lock
from tests.process import until


def test_a_row_and_its_end(ledger: Ledger) -> None:
    one = call(tags={"x-team": "a"}, input_by_modality={"text": 5})
    ledger.commit(one)
    assert rows(ledger.path) == [(one.id, "open", None, None)]
    ledger.commit(done(one))
    assert rows(ledger.path) == [(one.id, "done", "final", 5)]
    assert rows(ledger.path, "instance, tags, input_by_modality") == [(ledger.instance, '{"x-team":"a"}', '{"text":5}')]


def test_files_are_private(ledger: Ledger) -> None:
    with write_lock(ledger.path):
        ledger.commit(call())
        files = list(ledger.path.parent.glob("usage.db*"))
        assert {file.name.removeprefix("usage.db").split("-")[0].split(".")[0] for file in files} == {""}
        assert len(files) == 5
        for file in files:
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_clean_end_leaves_one_file(ledger: Ledger) -> None:
    ledger.commit(done(call()))
    ledger.close()
    assert [file.name for file in ledger.path.parent.iterdir()] == ["usage.db"]
    assert broken_invariants(ledger.path) == []
    Ledger(ledger.path).close()


def test_what_is_known_stays_known(ledger: Ledger) -> None:
    one = done(call())
    ledger.commit(one)
    ledger.commit(done(one, usage_state="absent", input_tokens=None))
    ledger.commit(done(one, state="open", usage_state=None))
    assert rows(ledger.path) == [(one.id, "done", "final", 5)]


class TestBusy:
    def test_a_commit_does_not_wait_long(self, ledger: Ledger) -> None:
        one, two = call(), call()
        with write_lock(ledger.path):
            ledger.commit(one)
            ledger.commit(two)
            ledger.commit(done(one))
            assert rows(ledger.path) == []
            (spill,) = spills(ledger.path)
            assert len(spill.read_bytes().split()) > 3
        until(lambda: not spills(ledger.path))
        assert rows(ledger.path) == [(one.id, "done", "final", 5), (two.id, "open", None, None)]
        ledger.commit(done(two))
        assert rows(ledger.path)[1] == (two.id, "done", "final", 5)

    def test_only_the_first_commit_waits(self, ledger: Ledger) -> None:
        tried: list[str] = []
        assert ledger._db
        ledger._db.set_trace_callback(tried.append)
        with write_lock(ledger.path):
            for _ in range(20):
                ledger.commit(call())
            assert tried == ["BEGIN IMMEDIATE"]
        until(lambda: not spills(ledger.path))
        ledger.commit(call())
        assert len(rows(ledger.path)) == 21

    def test_order_is_kept_under_load(self, ledger: Ledger) -> None:
        """Records go to the spill and to the ledger in turns; the last of each call wins."""
        stop = threading.Event()

        def lock_now_and_then() -> None:
            while not stop.is_set():
                with write_lock(ledger.path):
                    time.sleep(0.06)
                time.sleep(0.02)

        locker = threading.Thread(target=lock_now_and_then)
        locker.start()
        calls = [call() for _ in range(300)]
        for step in range(3):
            for one in calls:
                ledger.commit(done(one, input_tokens=step) if step else one)
        stop.set()
        locker.join()
        until(lambda: not spills(ledger.path))
        assert rows(ledger.path) == sorted((one.id, "done", "final", 2) for one in calls)
        assert broken_invariants(ledger.path) == []

    def test_close_folds(self, ledger: Ledger) -> None:
        with write_lock(ledger.path):
            ledger.commit(done(call()))
        ledger.close()
        assert len(rows(ledger.path)) == 1
        assert spills(ledger.path) == []

    def test_close_leaves_what_it_cannot_fold(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ledgers, "FOLD_PATIENCE_S", 0.05)
        ledger = Ledger(new_ledger(tmp_path / "usage.db"))
        one = done(call())
        with write_lock(ledger.path):
            ledger.commit(one)
            ledger.close()
            assert len(spills(ledger.path)) == 1
        Ledger(ledger.path).close()
        assert rows(ledger.path) == [(one.id, "done", "final", 5)]
        assert spills(ledger.path) == []

    def test_a_record_is_folded_once(self, tmp_path: Path) -> None:
        """A crash after the fold and before the spill file is gone."""
        ledger = Ledger(new_ledger(tmp_path / "usage.db"))
        one = call(operation="predictLongRunning", response_id="op", usage_raw={"durationSeconds": 8})
        with write_lock(ledger.path):
            ledger.commit(done(one, usage_state="absent", input_tokens=None))
            (spill,) = spills(ledger.path)
            left = spill.read_bytes()
        until(lambda: not spills(ledger.path))
        ledger.commit(done(call()), Settlement("op", videos=1))
        instance = ledger.instance
        ledger.close()
        spill.write_bytes(left)
        Ledger(ledger.path).close()
        assert (one.id, "done", "final", None) in rows(ledger.path)
        with closing(sqlite3.connect(ledger.path)) as db:
            assert db.execute("SELECT value FROM meta WHERE key = ?", (f"spilled:{instance}",)).fetchone() == ("1",)

    def test_a_line_that_was_cut_short(self, tmp_path: Path) -> None:
        ledger = Ledger(new_ledger(tmp_path / "usage.db"))
        with write_lock(ledger.path):
            ledger.commit(done(call()))
            (spill,) = spills(ledger.path)
            left = spill.read_bytes()
        until(lambda: not spills(ledger.path))
        ledger.close()
        other = json.loads(left) | {"n": 2}
        other["row"]["id"] = "zzz"
        spill.write_bytes(left + left[:50] + b"\n" + json.dumps(other).encode() + b'\n{"n": 3, "row"')
        Ledger(ledger.path).close()
        assert len(rows(ledger.path)) == 2


class TestCrash:
    """Other processes, killed."""

    def killed(self, path: Path, code: str) -> None:
        script = f"""
ledger = Ledger(sys.argv[1])
one = Call(started_at=1, model="g")
{code}
os.kill(os.getpid(), 9)
"""
        with processes(script, path) as program:
            assert program.stdout.read() == "ended -9\n"

    def test_open_rows_are_lost(self, tmp_path: Path) -> None:
        path = new_ledger(tmp_path / "usage.db")
        self.killed(path, "ledger.commit(one)\nledger.commit(Call(started_at=1, input_tokens=3))")
        assert [row[1] for row in rows(path)] == ["open", "open"]
        assert "open calls belong to running proxies" in broken_invariants(path)
        Ledger(path).close()
        assert sorted(row[1:] for row in rows(path)) == [("lost", "absent", None), ("lost", "partial", 3)]
        assert [file.name for file in tmp_path.iterdir()] == ["usage.db"]
        assert broken_invariants(path) == []

    def test_the_rows_of_others_that_live_stay(self, ledger: Ledger) -> None:
        one = call()
        ledger.commit(one)
        other = Ledger(ledger.path)
        assert is_alive(ledger.path, ledger.instance)
        assert rows(ledger.path) == [(one.id, "open", None, None)]
        other.close()
        ledger.commit(done(one))
        assert rows(ledger.path) == [(one.id, "done", "final", 5)]

    def test_a_spill_is_folded_before_rows_are_lost(self, tmp_path: Path) -> None:
        path = new_ledger(tmp_path / "usage.db")
        self.killed(
            path,
            """
lock = sqlite3.connect(ledger.path, isolation_level=None)
ledger.commit(one)
lock.execute("BEGIN IMMEDIATE")
one.state, one.usage_state, one.input_tokens, one.ended_at = "done", "final", 7, 2
ledger.commit(one)
ledger.commit(Call(started_at=1))
""",
        )
        assert len(spills(path)) == 1
        Ledger(path).close()
        assert sorted(row[1:] for row in rows(path)) == [("done", "final", 7), ("lost", "absent", None)]
        assert spills(path) == []

    def test_a_spill_beside_a_name_with_brackets(self, tmp_path: Path) -> None:
        path = new_ledger(tmp_path / "led[1].db")
        self.killed(
            path,
            """
lock = sqlite3.connect(ledger.path, isolation_level=None)
lock.execute("BEGIN IMMEDIATE")
one.state, one.usage_state, one.ended_at = "done", "absent", 2
ledger.commit(one)
""",
        )
        Ledger(path).close()
        assert [row[1] for row in rows(path)] == ["done"]
        assert [file.name for file in tmp_path.iterdir()] == ["led[1].db"]

    def test_a_sweep_in_the_middle_of_a_start(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The lock file is there, not yet locked: a sweep takes it for a dead one's and removes it."""
        path = new_ledger(tmp_path / "usage.db")
        flock = fcntl.flock
        swept: list[bool] = []

        def sweep_first(descriptor: int, how: int) -> None:
            if not swept:
                swept.append(True)
                Ledger(path).close()
            flock(descriptor, how)

        monkeypatch.setattr("metering.companions.fcntl.flock", sweep_first)
        started = Ledger(path)
        started.commit(call())
        Ledger(path).close()
        assert [row[1] for row in rows(path)] == ["open"]
        started.close()


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    ledger = Ledger(new_ledger(tmp_path_factory.mktemp("opened") / "usage.db"))
    yield ledger
    ledger.close()


class TestSettlement:
    @pytest.fixture
    def ledger(self, opened: Ledger) -> Iterator[Ledger]:
        """An empty ledger that stays open for all of these tests, as opening it takes longer than they do."""
        yield opened
        assert opened._db
        for table in ("calls", "rollup", "meta WHERE key <> 'secret'"):
            opened._db.execute(f"DELETE FROM {table}")
        rejected_path(opened.path).unlink(missing_ok=True)

    def submission(self, **fields: Any) -> Call:
        ordered = {"durationSeconds": 8, "sampleCount": 2}
        one = call(operation="predictLongRunning", response_id="op", usage_raw=ordered)
        return done(one, usage_state="absent", input_tokens=None, **fields)

    @pytest.mark.parametrize("operation", ["predictLongRunning", "videos"])
    @pytest.mark.parametrize(
        ("ordered", "settlement", "expected"),
        [
            ({"durationSeconds": 8}, Settlement("op", videos=2), ("final", 16, None)),
            ({"durationSeconds": 8}, Settlement("op", videos=0), ("final", 0, None)),
            ({}, Settlement("op", videos=2), ("absent", None, None)),
            (None, Settlement("op", videos=0), ("final", 0, None)),
            (
                {"durationSeconds": 8},
                Settlement("op", error_type="INTERNAL"),
                ("not_applicable", None, "INTERNAL"),
            ),
            ({"durationSeconds": 8}, Settlement("other", videos=2), ("absent", None, None)),
        ],
    )
    def test_settled_once(
        self,
        ledger: Ledger,
        operation: str,
        ordered: dict[str, object] | None,
        settlement: Settlement,
        expected: tuple[object, ...],
    ) -> None:
        submission = self.submission(usage_raw=ordered, operation=operation)
        ledger.commit(submission)
        # Polls of Vertex AI's are another operation, those of OpenAI's are not.
        polled = {"predictLongRunning": "fetchPredictOperation"}.get(operation, operation)
        for _ in range(5):
            poll = call(operation=polled, response_id="op")
            ledger.commit(done(poll, usage_state="not_applicable", input_tokens=None), settlement)
        settled = rows(ledger.path, "id, usage_state, video_seconds, error_type")
        assert [row[1:] for row in settled if row[0] == submission.id] == [expected]
        assert {row[1:] for row in settled if row[0] != submission.id} == {("not_applicable", None, None)}
        assert broken_invariants(ledger.path) == []

    USED = Reading(
        response_id="op", finish_reason="completed", input_tokens=9, output_tokens=5, usage_raw={"total_tokens": 14}
    )

    def begun(self, **fields: Any) -> Call:
        """A call whose answer is made in the background."""
        defaults: dict[str, Any] = {"usage_state": "absent", "input_tokens": None}
        return done(call(operation="responses", response_id="op"), **defaults | fields)

    def poll(self, ledger: Ledger, answer: Reading, error_type: str | None = None) -> None:
        poll = done(call(operation="responses", response_id="op"), usage_state="not_applicable", input_tokens=None)
        ledger.commit(poll, Settlement("op", error_type=error_type, answer=answer))

    @pytest.mark.parametrize("operation", ["responses", "interactions.create", "interactions.createStream"])
    @pytest.mark.parametrize(
        ("state", "usage_state", "counts"),
        [
            ("done", "absent", {}),
            ("client_closed", "absent", {}),
            ("upstream_failed", "partial", {"input_tokens": 7}),
            ("interrupted", "absent", {}),
        ],
    )
    def test_an_answer_settles_once(
        self, ledger: Ledger, operation: str, state: str, usage_state: str, counts: dict[str, int]
    ) -> None:
        one = self.begun(operation=operation, state=state, usage_state=usage_state, **counts)
        ledger.commit(one)
        for _ in range(3):
            self.poll(ledger, self.USED)
        self.poll(ledger, replace(self.USED, input_tokens=1, finish_reason="failed"), "server_error")
        found = rows(
            ledger.path, "id, state, usage_state, input_tokens, output_tokens, finish_reason, error_type, usage_raw"
        )
        assert [row[1:] for row in found if row[0] == one.id] == [
            (state, "final", 9, 5, "completed", None, '{"total_tokens":14}')
        ]
        assert {row[2:4] for row in found if row[0] != one.id} == {("not_applicable", None)}
        assert broken_invariants(ledger.path) == []

    @pytest.mark.parametrize(
        "operation",
        "batches batchPredictionJobs.create batchGenerateContent asyncBatchEmbedContent videos videos/edits"
        " videos/extensions videos/remix".split(),
    )
    def test_what_else_an_answer_settles(self, ledger: Ledger, operation: str) -> None:
        ledger.commit(self.begun(operation=operation))
        self.poll(ledger, self.USED)
        assert ("final", 9) in rows(ledger.path, "usage_state, input_tokens")

    def test_all_that_an_answer_tells(self, ledger: Ledger) -> None:
        told: dict[str, Any] = {
            "model_served": "gpt-5-2025",
            "traffic_type": "flex",
            "input_cached_tokens": 1,
            "input_cache_write_tokens": 2,
            "input_tool_tokens": 3,
            "output_thought_tokens": 4,
            "total_tokens": 14,
            "images": 5,
            "input_items": 6,
            "search_queries": 7,
        }
        modalities: dict[str, Any] = {"input_by_modality": {"text": 9}, "output_by_modality": {"image": 5}}
        one = self.begun()
        ledger.commit(one)
        self.poll(ledger, replace(self.USED, **told, **modalities))
        found = {row[0]: row[1:] for row in rows(ledger.path, f"id, {', '.join((*told, *modalities))}")}
        assert found[one.id] == (*told.values(), '{"text":9}', '{"image":5}')

    def test_each_poll_after_that_changes_nothing(self, ledger: Ledger) -> None:
        one = self.begun()
        ledger.commit(one)
        changes = set()
        for _ in range(3):
            self.poll(ledger, Reading(response_id="op", finish_reason="cancelled"))
            changes |= {changed for id, changed in rows(ledger.path, "id, changed") if id == one.id}
        assert len(changes) == 1

    @pytest.mark.parametrize(
        ("answer", "error_type", "expected"),
        [
            (Reading(response_id="op", finish_reason="cancelled"), None, ("absent", None, None)),
            (
                Reading(response_id="op", finish_reason="failed", failed=True),
                "server_error",
                ("absent", None, "server_error"),
            ),
            (replace(USED, failed=True), "server_error", ("partial", 9, "server_error")),
            (replace(USED, finish_reason="max_output_tokens"), None, ("final", 9, None)),
        ],
    )
    def test_how_an_answer_ends(
        self, ledger: Ledger, answer: Reading, error_type: str | None, expected: tuple[object, ...]
    ) -> None:
        one = self.begun()
        ledger.commit(one)
        self.poll(ledger, answer, error_type)
        found = {row[0]: row[1:] for row in rows(ledger.path, "id, usage_state, input_tokens, error_type")}
        assert found[one.id] == expected
        assert broken_invariants(ledger.path) == []

    def test_usage_that_is_told_after_the_end(self, ledger: Ledger) -> None:
        ledger.commit(self.begun())
        self.poll(ledger, Reading(response_id="op", finish_reason="cancelled"))
        self.poll(ledger, self.USED)
        assert ("final", 9) in rows(ledger.path, "usage_state, input_tokens")

    @pytest.mark.parametrize("fields", [{"usage_state": "final", "input_tokens": 5}, {"response_id": "another"}])
    def test_calls_that_an_answer_does_not_settle(self, ledger: Ledger, fields: dict[str, Any]) -> None:
        one = self.begun(finish_reason="stop", **fields)
        ledger.commit(one)
        self.poll(ledger, self.USED)
        assert (one.usage_state, one.input_tokens) in rows(ledger.path, "usage_state, input_tokens")

    def test_an_answer_to_the_second_attempt(self, ledger: Ledger) -> None:
        tries = [AttemptRow(started_at=1, status=401), AttemptRow(started_at=2, status=200)]
        ledger.commit(self.begun(attempts=2, tries=tries))
        self.poll(ledger, self.USED)
        with closing(sqlite3.connect(ledger.path)) as db:
            assert db.execute("SELECT input_tokens FROM attempts ORDER BY n").fetchall() == [(None,), (9,)]
            assert db.execute("SELECT sum(input_tokens) FROM rollup").fetchone() == (9,)
        assert broken_invariants(ledger.path) == []

    def test_an_answer_while_the_ledger_is_busy(self, ledger: Ledger) -> None:
        ledger.commit(self.begun())
        with write_lock(ledger.path):
            self.poll(ledger, self.USED)
        until(lambda: not spills(ledger.path))
        assert ("final", 9) in rows(ledger.path, "usage_state, input_tokens")

    def test_its_row_is_found_by_an_index(self, ledger: Ledger) -> None:
        assert ledger._db
        for told in ({"operation": "op", "usage_state": None}, {"operation": "op", "usage_state": "final"}):
            (plan,) = ledger._db.execute(f"EXPLAIN QUERY PLAN {records.UNSETTLED}", told).fetchall()
            assert "calls_unsettled" in plan[3]

    @pytest.mark.parametrize(
        "settlement", [Settlement("op", videos=2**62), Settlement("op", videos=2**70), Settlement("op\udce9", 1)]
    )
    def test_one_that_cannot_be_stored_costs_itself(self, ledger: Ledger, settlement: Settlement) -> None:
        submission, poll = self.submission(), call(operation="fetchPredictOperation")
        ledger.commit(submission)
        ledger.commit(done(poll, usage_state="not_applicable", input_tokens=None), settlement)
        assert rows(ledger.path, "id, usage_state") == [(submission.id, "absent"), (poll.id, "not_applicable")]
        (line,) = rejected(ledger.path)
        assert json.loads(line)["reason"].startswith("what it settles: ")
        assert broken_invariants(ledger.path) == []

    def test_while_the_ledger_is_busy(self, ledger: Ledger) -> None:
        ledger.commit(self.submission())
        with write_lock(ledger.path):
            ledger.commit(done(call()), Settlement("op", videos=1))
        until(lambda: not spills(ledger.path))
        assert ("final", 8) in rows(ledger.path, "usage_state, video_seconds")


class TestFingerprint:
    def test_it_tells_clients_apart(self, ledger: Ledger) -> None:
        one, two = ledger.fingerprint("AIzaOne"), ledger.fingerprint("AIzaTwo")
        assert one != two
        assert one == ledger.fingerprint("AIzaOne")
        assert "AIza" not in one

    def test_it_stays_and_is_of_this_ledger(self, tmp_path: Path) -> None:
        made = []
        for name in ("a.db", "a.db", "b.db"):
            ledger = Ledger(tmp_path / name)
            made.append(ledger.fingerprint("AIzaOne"))
            ledger.close()
        assert made[0] == made[1] != made[2]


LARGE = 2**53


def fill(ledger: Ledger, **fields: Any) -> None:
    """One more row of this kind and its sums in the rollup are beyond an integer of SQLite's."""
    ledger.commit(done(call(started_at=1, **fields), input_tokens=2**63 - 1))


class TestARowThatCannotBeStored:
    def test_a_sum_that_is_too_large(self, ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
        fill(ledger, status=200)
        one, next = call(started_at=1), call(started_at=1, model="h")
        ledger.commit(one)
        ledger.commit(done(one, input_tokens=LARGE, status=200))
        ledger.commit(done(next))
        assert ledger._spill.is_empty
        (line,) = rejected(ledger.path)
        said = json.loads(line)
        assert said["reason"] == "cannot store REAL value in INTEGER column rollup.input_tokens"
        assert (said["row"]["id"], said["row"]["input_tokens"]) == (one.id, LARGE)
        # It has ended, and what it used is not known here.
        assert rows(ledger.path, "id, state, usage_state, input_tokens, status, ended_at")[-2:] == [
            (one.id, "done", "absent", None, 200, 1),
            (next.id, "done", "final", 5, None, 1),
        ]
        assert broken_invariants(ledger.path) == []
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        ledger.close()
        Ledger(ledger.path).close()
        assert len(rejected(ledger.path)) == 1

    def test_without_an_open_row(self, ledger: Ledger) -> None:
        fill(ledger)
        ledger.commit(done(call(started_at=1), input_tokens=LARGE))
        assert (len(rows(ledger.path)), len(rejected(ledger.path))) == (1, 1)
        assert broken_invariants(ledger.path) == []

    def test_in_the_spill(self, ledger: Ledger) -> None:
        fill(ledger)
        one, next = call(started_at=1), call(started_at=1)
        ledger.commit(one)
        with write_lock(ledger.path):
            ledger.commit(done(one, input_tokens=LARGE))
            ledger.commit(done(next, input_tokens=0))
        until(lambda: not spills(ledger.path))
        assert rows(ledger.path)[-2:] == [(one.id, "done", "absent", None), (next.id, "done", "final", 0)]
        assert len(rejected(ledger.path)) == 1

    @pytest.mark.parametrize("by_kill", [False, True])
    def test_an_open_row_that_is_lost(self, tmp_path: Path, by_kill: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        ledger = Ledger(new_ledger(tmp_path / "usage.db"))
        fill(ledger, state="lost")
        with closing(sqlite3.connect(ledger.path)) as db:
            # Nobody was told how they ended.
            db.execute("UPDATE calls SET state = 'lost', usage_state = 'partial'")
            db.commit()
        one, two = call(started_at=1, input_tokens=LARGE), call(started_at=1, input_tokens=3, model="h")
        ledger.commit(one)
        ledger.commit(two)
        with monkeypatch.context() as patch:
            if by_kill:
                patch.setattr(ledgers, "_mark_lost", lambda *_: None)
            ledger.close()
        Ledger(ledger.path).close()
        assert rows(ledger.path)[-2:] == [(one.id, "lost", "absent", None), (two.id, "lost", "partial", 3)]
        assert len(rejected(ledger.path)) == 1
        assert broken_invariants(ledger.path) == []

    @pytest.mark.parametrize("column", ["started_at", "state", "attempts"])
    def test_a_value_that_must_be_there(self, ledger: Ledger, column: str) -> None:
        ledger.commit(call(**{column: None}))
        ledger.commit(done(call()))
        assert len(rows(ledger.path)) == len(rejected(ledger.path)) == 1

    def test_the_file_for_them_cannot_be_written(self, ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
        Path(f"{ledger.path}.rejected").mkdir()
        ledger.commit(call(started_at=None))
        ledger.commit(done(call()))
        assert len(rows(ledger.path)) == 1
        assert "lost (1)" in caplog.text


def test_a_clean_end_leaves_nothing_open(ledger: Ledger) -> None:
    one, two = call(), call(input_tokens=2)
    ledger.commit(one)
    ledger.commit(two)
    ledger.close()
    assert rows(ledger.path) == [(one.id, "lost", "absent", None), (two.id, "lost", "partial", 2)]
