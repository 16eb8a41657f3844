import sqlite3
from contextlib import closing

import pytest

from metering import spill
from metering.call import Reading
from metering.call import Settlement
from metering.ledger import Ledger
from metering.written import Kept
from metering.written import Written
from tests.ledgers import Limit
from tests.ledgers import call
from tests.ledgers import done
from tests.ledgers import write_lock


def test_a_row_that_is_committed(ledger: Ledger) -> None:
    one = call()
    assert ledger.commit(one) == Written(Kept.COMMITTED)
    assert ledger.open_rows == 1
    assert ledger.commit(done(one)) == Written(Kept.COMMITTED)
    assert ledger.open_rows == 0


def test_a_row_that_is_spilled(ledger: Ledger) -> None:
    with write_lock(ledger.path):
        assert ledger.commit(done(call())).kept == Kept.SPILLED


def test_a_row_that_waits(ledger: Ledger) -> None:
    with write_lock(ledger.path), Limit(ledger.path.parent).full():
        assert ledger.commit(done(call())).kept == Kept.WAITING


def test_a_row_that_is_lost(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "MOST_WAITING", 1)
    with write_lock(ledger.path), Limit(ledger.path.parent).full():
        assert [ledger.commit(done(call())).kept for _ in range(2)] == [Kept.WAITING, Kept.LOST]


def test_a_row_that_is_rejected(ledger: Ledger) -> None:
    with closing(sqlite3.connect(ledger.path)) as db, db:
        db.execute(
            "CREATE TRIGGER no BEFORE INSERT ON calls WHEN NEW.model = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    assert ledger.commit(done(call(model="bad"))).kept == Kept.REJECTED


def test_what_a_poll_completes(ledger: Ledger) -> None:
    begun = done(
        call(operation="responses", response_id="op", model="gpt"),
        usage_state="absent",
        input_tokens=None,
        tags={"x-team": "red"},
    )
    ledger.commit(begun)
    answer = Reading(
        finish_reason="stop", input_tokens=9, output_tokens=5, input_by_modality={"text": 9}, usage_raw={"input": 9}
    )
    poll = call(operation="responses", response_id="op")
    settlement = Settlement("op", answer=answer)
    written = ledger.commit(done(poll, usage_state="not_applicable", input_tokens=None), settlement)
    ((before, after),) = written.completed
    assert (before.id, before.usage_state, before.input_tokens) == (begun.id, "absent", None)
    assert (after.id, after.model, after.usage_state) == (begun.id, "gpt", "final")
    assert (after.input_tokens, after.output_tokens, after.input_by_modality) == (9, 5, {"text": 9})
    assert (after.tags, after.usage_raw) == ({"x-team": "red"}, {"input": 9})
    # Another poll finds nothing more.
    assert ledger.commit(done(poll, usage_state="not_applicable", input_tokens=None), settlement).completed == ()


def test_json_that_somebody_broke(ledger: Ledger) -> None:
    begun = done(call(operation="predictLongRunning", response_id="op"), usage_state="absent", input_tokens=None)
    ledger.commit(begun)
    with closing(sqlite3.connect(ledger.path)) as db, db:
        db.execute("UPDATE calls SET tags = '{', output_by_modality = '[]'")
    poll = done(call(operation="fetchPredictOperation"), usage_state="not_applicable", input_tokens=None)
    ((_, after),) = ledger.commit(poll, Settlement("op", videos=0)).completed
    assert (after.usage_state, after.tags, after.output_by_modality) == ("final", None, None)
