from pathlib import Path

import pytest

from metering.ledger_names import opened
from metering.ledger_names import sources
from metering.selection import ReportError
from tests.ledgers import new_ledger


def test_each_once_and_none_of_the_files_beside_them(tmp_path: Path) -> None:
    for name in ("a.db", "b.db", "b.db-wal", "b.db.rejected"):
        (tmp_path / name).touch()
    asked = [str(tmp_path / name) for name in ("*.db*", "b.db", "none.db")]
    assert sources(asked) == [tmp_path / name for name in ("a.db", "b.db", "none.db")]
    assert sources(()) == [Path("usage.db")]


def test_a_misspelt_word(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="there is no report or ledger latencu; did you mean latency"):
        sources(["latencu"], ["latency"])
    with pytest.raises(ReportError, match="one report at a time"):
        sources(["latency"], ["usage", "latency"])
    assert sources(["usage.db"], ["usage"]) == [Path("usage.db")]
    new_ledger(tmp_path / "latencu")
    assert len(sources([str(tmp_path / "latencu")], ["latency"])) == 1


def test_they_are_closed(tmp_path: Path) -> None:
    with opened([str(new_ledger(tmp_path / "usage.db"))]) as (db,):
        assert db.execute("SELECT count(*) FROM calls").fetchone()[0] == 0
    with pytest.raises(Exception, match="closed"):
        db.execute("SELECT 1")
