import errno
import json
import os
import threading
from collections import Counter
from pathlib import Path

import pytest

from metering.rejected import LONGEST_ROW
from metering.rejected import UNREADABLE
from metering.rejected import Rejected
from metering.rejected import reasons
from metering.rejected import set_aside
from tests.ledgers import rejected


def test_json_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "usage.db"
    set_aside(path, [])
    assert reasons(path) == Counter()
    assert list(tmp_path.iterdir()) == []
    set_aside(path, [Rejected("integer overflow", {"id": "a", "input_tokens": 5}), Rejected("it is no object", [1])])
    set_aside(path, [Rejected("it is no object", None)])
    assert [json.loads(line) for line in rejected(path)] == [
        {"reason": "integer overflow", "row": {"id": "a", "input_tokens": 5}},
        {"reason": "it is no object", "row": [1]},
        {"reason": "it is no object", "row": None},
    ]
    assert reasons(path) == {"it is no object": 2, "integer overflow": 1}
    assert (tmp_path / "usage.db.rejected").stat().st_mode & 0o777 == 0o600
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    assert "usage.db.rejected (1): integer overflow" in caplog.text


@pytest.mark.parametrize("row", [float("nan"), {"a": float("inf")}, "x\udce9\0\n", {"a": "x" * 10**6}, {"a": {1, 2}}])
def test_any_row_is_one_line_of_json(tmp_path: Path, row: object) -> None:
    path = tmp_path / "usage.db"
    set_aside(path, [Rejected("r", row)])
    (line,) = rejected(path)
    assert len(line) < 2 * LONGEST_ROW
    assert json.loads(line, parse_constant=pytest.fail)["reason"] == "r"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE])
def test_a_file_that_may_have_room_later(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", fails)
    with pytest.raises(OSError, match=os.strerror(number)):
        set_aside(tmp_path / "usage.db", [Rejected("r", {})])


def test_processes_share_it(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    many = [Rejected("r", {"n": n, "text": "x" * 1000}) for n in range(20)]

    def write() -> None:
        for _ in range(20):
            set_aside(path, many)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reasons(path) == {"r": 20 * 20 * 4}


def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    set_aside(path, [Rejected("r", {})])
    with Path(f"{path}.rejected").open("ab") as file:
        file.write(b'{"reason": "x\\u001b[2J", "row": 1}\n[]\n\n{"row": 1}\n\xff\x00\n{"rea')
    assert reasons(path) == {"r": 1, UNREADABLE: 5}


def test_no_file_can_be_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "usage.db"
    (tmp_path / "usage.db.rejected").mkdir()
    set_aside(path, [Rejected("r", {"path": "/secret"})])
    assert "are lost (1)" in caplog.text
    assert "secret" not in caplog.text
    with pytest.raises(OSError, match="directory"):
        reasons(path)
