import logging
from pathlib import Path

import pytest

from metering.call import uuid7
from metering.complaints import Complaints
from metering.spill import Spill


@pytest.fixture
def spill(tmp_path: Path) -> Spill:
    return Spill(tmp_path / "usage.db", uuid7())


def test_each_trouble_is_said_once(spill: Spill, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(tmp_path / "usage.db", spill)
    for trouble in (None, "disk full", "disk full", None, None):
        complaints.say_trouble(trouble)
    ledger = tmp_path / "usage.db"
    assert [record.getMessage() for record in caplog.records] == [
        f"vertex-tap: {ledger} cannot be written (disk full); rows wait in {spill.path}",
        f"vertex-tap: {ledger} can be written again",
    ]


def test_lost_rows_are_counted(spill: Spill, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(tmp_path / "usage.db", spill)
    complaints.say_lost(pause_s=0)
    assert caplog.records == []
    spill.lost = 3
    complaints.say_lost()
    spill.lost = 5
    complaints.say_lost()
    complaints.say_lost(pause_s=0)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "vertex-tap: 3 rows are lost so far, as no file can be written"),
        (logging.ERROR, "vertex-tap: 5 rows are lost so far, as no file can be written"),
    ]
