"""Which service took a job that is under way, such as that of a video."""

import sqlite3
from contextlib import closing
from pathlib import Path

from metering.database import LedgerError
from metering.database import open_for_reading

SERVICE_OF_JOB = """
SELECT service FROM calls WHERE response_id = ? AND usage_state IN ('absent', 'partial') ORDER BY id DESC LIMIT 1
"""
"""Uses the index of calls that are not complete."""


def service_of(ledger: Path, job: str) -> str | None:
    """The service of the call that began a job, by the `response_id` of that call. None if the row of that call is
    complete, or if there is none."""
    try:
        with closing(open_for_reading(ledger)) as db:
            found = db.execute(SERVICE_OF_JOB, (job,)).fetchone()
    except (sqlite3.Error, LedgerError):
        return None
    return found[0] if found else None
