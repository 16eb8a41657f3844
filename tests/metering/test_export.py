import csv
import io
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from metering import export
from metering import reports
from metering.call import COLUMNS
from metering.database import open_for_reading
from metering.output import cell
from metering.selection import ReportError
from metering.selection import Selection
from metering.selection import Span
from tests.ledgers import new_ledger
from tests.ledgers import of_version

EVERYTHING = Selection()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_ledger(tmp_path / "usage.db")


def fill(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes rows, without the sums of the rollup, which take long."""
    defaults = {"instance": "i", "state": "done", "started_at": 1, "ended_at": 2, "rewritten": 0, "attempts": 1}
    with closing(sqlite3.connect(path)) as db, db:
        for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {trigger}")
        db.execute("DELETE FROM calls")
        for number, row in enumerate(rows):
            full = defaults | {"id": f"{number:04}", "usage_state": "absent"} | row
            names, places = ", ".join(full), ", ".join("?" * len(full))
            db.execute(f"INSERT INTO calls ({names}) VALUES ({places})", [*full.values()])


def written(form: str, *paths: Path, selection: Selection = EVERYTHING) -> bytes:
    out, told = io.BytesIO(), list[int]()
    export.WRITERS[form](paths, selection, out, told.append)
    with closing(open_for_reading(paths[0])) as db:
        assert sum(told) <= export.count(db, selection) or len(paths) > 1
    return out.getvalue()


def exported(form: str, *paths: Path, selection: Selection = EVERYTHING) -> list[dict[str, Any]]:
    content = written(form, *paths, selection=selection)
    if form == "parquet":
        found: list[dict[str, Any]] = pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()
        return found
    if form == "csv":
        return [*csv.DictReader(io.StringIO(content.decode()))]
    rows: list[dict[str, Any]] = json.loads(content)
    return rows


def listed(path: Path, selection: Selection = EVERYTHING) -> list[dict[str, Any]]:
    with closing(open_for_reading(path)) as db:
        return [*reports.calls([db], selection)]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1) | st.sampled_from(
    ["=1", "-5", "-x", "a,b", 'a"b', "'=1", " =", "a\nb", "\r", "\x1f", "\x7f", "\u202e", "é", "＝1"]
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "started_at": st.integers(0, 3),
            "model": TEXTS,
            "response_id": TEXTS,
            "tags": st.dictionaries(TEXTS, TEXTS).map(json.dumps) | TEXTS,
            "usage_raw": st.dictionaries(TEXTS, TEXTS).map(lambda value: json.dumps(value, ensure_ascii=False)),
            "request_bytes": st.integers(-5, 2**62),
            "reserved_usd": st.sampled_from([0.5, -0.25, 12.125]),
            "streamed": st.integers(0, 1),
        },
    ),
    max_size=4,
)


@given(ROWS, st.sampled_from([1, 2, 5000]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
def test_it_is_what_the_ledger_holds(path: Path, rows: list[dict[str, Any]], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "SLICE", size)
        patch.setattr(export, "ROW_GROUP", size)
        fill(path, rows)
        expected = listed(path)
        assert exported("json", path) == expected
        texts = [{name: "" if value is None else str(cell(value)) for name, value in row.items()} for row in expected]
        assert exported("csv", path) == texts
        assert exported("parquet", path) == expected


def test_a_careful_row_is_written_alone(path: Path) -> None:
    """Such as one of the many with an id of a response that begins with `-`."""
    fill(path, [{"response_id": "-x" if number == 2 else "x"} for number in range(4)])
    lines = written("csv", path).decode().splitlines()
    assert len(lines) == 5
    assert [row["response_id"] for row in csv.DictReader(lines)] == ["x", "x", "'-x", "x"]


def test_json_with_letters_is_written_by_sql(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path, [{"tags": '{"team": "Düsseldorf, \\"Nord\\""}'}])
    monkeypatch.setattr(export, "_careful", None)
    monkeypatch.setattr(export, "_row", None)
    assert [json.loads(row["tags"]) for row in exported("csv", path)] == [{"team": 'Düsseldorf, "Nord"'}]


@pytest.mark.parametrize("text", ["=1", "", '"', "a,b", '{"a": "\x7f"}', '{"a": "\n"}', "[1]"])
def test_what_stands_where_json_should(path: Path, text: str) -> None:
    """Written by other programs."""
    fill(path, [{"usage_raw": text}, {"usage_raw": '{"a": 1}'}])
    assert [row["usage_raw"] for row in exported("csv", path)] == [cell(text), '{"a": 1}']


def test_odd_ids(path: Path) -> None:
    fill(path, [{"id": "=1"}, {"id": "a,b"}, {"id": "x"}])
    assert [row["id"] for row in exported("csv", path)] == ["'=1", "a,b", "x"]


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_bytes_that_are_not_utf8(path: Path, form: str) -> None:
    fill(path, [{"model": "a"}, {"model": "b"}])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE calls SET model = CAST(x'4dfc6c6c6572' AS TEXT) WHERE model = 'b'")
    assert [row["model"] for row in exported(form, path)] == ["a", "M\ufffdller"]


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_filters_order_and_several_ledgers(path: Path, tmp_path: Path, form: str) -> None:
    rows: list[dict[str, Any]] = [
        {"model": "a", "started_at": 5},
        {"model": "b", "tags": '{"x":"1"}', "started_at": 2},
        {"model": "b"},
    ]
    fill(path, rows)
    of_version(tmp_path / "old.db", 3, [{"id": "old", "model": "b"}])
    names = [row["id"] for row in exported(form, path, tmp_path / "old.db")]
    assert names == ["0002", "0001", "0000", "old"]
    assert [row["id"] for row in exported(form, path, selection=Selection(filters={"model": ["b"]}))] == names[:2]
    assert [row["id"] for row in exported(form, path, selection=Selection(Span(2, 5)))] == ["0001"]
    assert [row["id"] for row in exported(form, path, selection=Selection(tags=[("x", "1")]))] == ["0001"]
    assert exported(form, path, selection=Selection(tags=[("x", "none")])) == []


def test_what_parquet_needs(path: Path) -> None:
    fill(path, [{"streamed": 1, "reserved_usd": 0.1}])
    (row,) = exported("parquet", path)
    assert (row["streamed"], row["rewritten"], row["reserved_usd"]) == (True, False, 0.1)
    assert tuple(row) == COLUMNS


def test_parquet_without_pyarrow(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ReportError, match=r"pip install 'vertex-tap\[parquet\]'"):
        written("parquet", path)


class TestReplaced:
    def test_it_is_there_when_it_is_complete(self, tmp_path: Path) -> None:
        path = tmp_path / "out.csv"
        path.write_text("old")
        with export.replaced(path) as out:
            out.write(b"new")
            assert path.read_text() == "old"
        assert path.read_text() == "new"
        assert [*tmp_path.iterdir()] == [path]

    def test_a_failure_leaves_what_was_there(self, tmp_path: Path) -> None:
        path = tmp_path / "out.csv"

        def fail() -> None:
            with export.replaced(path) as out:
                out.write(b"half")
                raise OSError

        with pytest.raises(OSError):  # noqa: PT011
            fail()
        assert [*tmp_path.iterdir()] == []

    def test_a_device_and_a_link(self, tmp_path: Path) -> None:
        with export.replaced(Path("/dev/null")) as out:
            out.write(b"x")
        assert Path("/dev/null").is_char_device()
        (tmp_path / "link").symlink_to("there")
        with export.replaced(tmp_path / "link") as out:
            out.write(b"x")
        assert (tmp_path / "there").read_bytes() == b"x"
        assert (tmp_path / "link").is_symlink()
