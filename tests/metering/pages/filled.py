"""A ledger with calls for the tests of pages."""

import time
from collections.abc import Iterator
from contextlib import closing
from contextlib import contextmanager
from datetime import UTC
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from metering.call import Call
from metering.database import open_for_reading
from metering.ledger import Ledger
from tests.ledgers import new_ledger

NOW = datetime.now(UTC)
HOSTILE = "<script>alert(1)</script>"
DAY_US = 86_400_000_000
COMMON: dict[str, Any] = {
    "state": "done",
    "status": 200,
    "operation": "generateContent",
    "usage_state": "final",
    "service": "default",
    "duration_us": 1_500_000,
    "ttft_us": 500_000,
    "overhead_us": 900,
}
PRO: dict[str, Any] = {"model": "gemini-2.5-pro", "client": "team-a"}
CALLS: tuple[dict[str, Any], ...] = (
    PRO | {"input_tokens": 1000, "input_cached_tokens": 250, "output_tokens": 7},
    PRO | {"input_tokens": 500, "output_tokens": 70, "tags": {"x-team": "red"}},
    {"model": "gemini-3-flash", "client": "ci", "input_tokens": 10, "output_tokens": 1, "tags": {"x-team": HOSTILE}},
    {
        "model": HOSTILE,
        "client": "ci",
        "status": 429,
        "error_type": "RESOURCE_EXHAUSTED",
        "usage_state": "not_applicable",
        "tags": {"x-team": "javascript:alert(1)"},
    },
    {"model": "gemini-3-flash", "usage_state": "absent", "tags": {"x-team": "\x1b[31m\u202ered"}},
)
"""Three calls whose usage is known, an error, and one whose usage is not known."""


def filled(path: Path, days_ago: int = 0) -> Path:
    """Creates a ledger with CALLS, which started `days_ago` days and some seconds ago."""
    ledger = Ledger(new_ledger(path))
    started = time.time_ns() // 1000 - days_ago * DAY_US - 10_000_000
    for at, fields in enumerate(CALLS):
        ledger.commit(Call(**COMMON | fields, started_at=started + at, ended_at=started + at + 1_500_000))
    ledger.close()
    return path


@contextmanager
def opened(path: Path) -> Iterator[list[Connection]]:
    with closing(open_for_reading(path)) as db:
        yield [db]
