from contextlib import closing
from pathlib import Path
from typing import Any

from metering.database import open_for_reading
from metering.jobs import SERVICE_OF_JOB
from metering.jobs import service_of
from metering.ledger import Ledger
from tests.ledgers import call
from tests.ledgers import done


def test_the_service_of_a_job(ledger: Ledger) -> None:
    """The last one counts, if services give the same name twice."""
    unfinished: dict[str, Any] = {"usage_state": "absent", "input_tokens": None}
    for service, name in (("one", "job-1"), ("two", "job-2"), ("three", "job-2")):
        ledger.commit(done(call(service=service, response_id=name), **unfinished))
    ledger.commit(done(call(service="four", response_id="job-3")))
    assert [service_of(ledger.path, f"job-{number}") for number in range(4)] == [None, "one", "three", None]


def test_it_is_found_by_the_index_of_calls_that_are_not_complete(ledger: Ledger) -> None:
    with closing(open_for_reading(ledger.path)) as db:
        plan = db.execute(f"EXPLAIN QUERY PLAN {SERVICE_OF_JOB}", ("job-1",)).fetchall()
    assert "INDEX calls_unsettled" in str([tuple(step) for step in plan])


def test_there_is_no_ledger(tmp_path: Path) -> None:
    assert service_of(tmp_path / "none.db", "job-1") is None
