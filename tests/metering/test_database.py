import io
import sqlite3
from contextlib import closing
from datetime import UTC
from pathlib import Path

import pytest

from metering import costs
from metering.database import LedgerError
from metering.database import check
from metering.database import open_for_reading
from metering.ledger import Ledger
from metering.older import VERSION
from metering.output import write_csv
from metering.output import write_json
from metering.selection import Grouping
from metering.selection import Selection
from metering.tables import print_report
from tests.ledgers import of_version
from tests.ledgers import rows


def test_a_report_reads_an_older_version_as_it_is(tmp_path: Path) -> None:
    """Nothing that only reads changes a file."""
    path = tmp_path / "usage.db"
    of_version(path, 3, [{"usage_state": "absent"}])
    before = path.read_bytes()
    with closing(open_for_reading(path)) as db:
        assert [tuple(row) for row in db.execute("SELECT id, variant, changed FROM calls")] == [("0", None, 1)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("DELETE FROM main.calls")
    assert path.read_bytes() == before


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    of_version(path, 3, [{"usage_state": "absent"}])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE calls SET model = CAST(x'4dfc6c6c6572' AS TEXT), tags = '{\"x-team\":\"M\\udcfcller\"}'")
    with closing(open_for_reading(path)) as db:
        assert tuple(db.execute("SELECT model FROM calls").fetchone()) == ("M\ufffdller",)
        grouping = Grouping(("model", "tag:x-team"), UTC)
        (row,) = costs.usage([db], grouping, Selection())
        assert (row["model"], row["tag:x-team"]) == ("M\ufffdller", "M\udcfcller")
        out = io.StringIO()
        write_json([row], out)
        write_csv([row], costs.usage_columns(grouping), out)
        print_report("usage", [row])
        assert "M\ufffdller" in out.getvalue().encode().decode()


class TestOpening:
    def test_a_directory(self, tmp_path: Path) -> None:
        with pytest.raises(LedgerError, match=r"is a directory; name a file in it"):
            Ledger(tmp_path)

    def test_no_directory(self, tmp_path: Path) -> None:
        with pytest.raises(LedgerError, match=r"there is no directory .*nowhere; create it"):
            Ledger(tmp_path / "nowhere" / "usage.db")

    def test_not_a_database(self, tmp_path: Path) -> None:
        (tmp_path / "usage.db").write_text("This is a text of some length, and no database at all. " * 20)
        with pytest.raises(LedgerError, match=r"is not a ledger \(file is not a database\)"):
            Ledger(tmp_path / "usage.db")

    def test_another_database(self, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / "usage.db")) as db:
            db.execute("CREATE TABLE calls (id)")
        with pytest.raises(LedgerError, match="is the database of another program"):
            Ledger(tmp_path / "usage.db")

    def test_a_newer_ledger(self, tmp_path: Path) -> None:
        Ledger(tmp_path / "usage.db").close()
        with closing(sqlite3.connect(tmp_path / "usage.db")) as db:
            db.execute(f"PRAGMA user_version = {VERSION + 1}")
        before = (tmp_path / "usage.db").read_bytes()
        with pytest.raises(LedgerError, match=r"newer vertex-tap .*upgrade"):
            Ledger(tmp_path / "usage.db")
        assert (tmp_path / "usage.db").read_bytes() == before
        assert [file.name for file in tmp_path.iterdir()] == ["usage.db"]

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "usage.db").touch()
        Ledger(tmp_path / "usage.db").close()
        assert rows(tmp_path / "usage.db") == []

    def test_check_makes_nothing(self, tmp_path: Path) -> None:
        check(tmp_path / "usage.db")
        assert list(tmp_path.iterdir()) == []


class TestReading:
    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(LedgerError, match="there is no ledger"):
            open_for_reading(tmp_path / "usage.db")
        assert list(tmp_path.iterdir()) == []

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "usage.db").touch()
        with pytest.raises(LedgerError, match="holds no calls yet"):
            open_for_reading(tmp_path / "usage.db")

    def test_it_cannot_write(self, ledger: Ledger) -> None:
        with (
            closing(open_for_reading(ledger.path)) as db,
            pytest.raises(sqlite3.OperationalError, match="readonly"),
        ):
            db.execute("DELETE FROM calls")
