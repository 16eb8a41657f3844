import time

import pytest

from metering import progress
from metering.progress import progress as show


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "PATIENCE_S", 0.05)


@pytest.mark.usefixtures("terminal")
def test_long_work(capsys: pytest.CaptureFixture[str]) -> None:
    with show("rows written", 20) as told:
        told(5)
        time.sleep(0.3)
    out, err = capsys.readouterr()
    assert "rows written" in err
    assert "5/20" in err
    assert not out


@pytest.mark.usefixtures("terminal")
def test_work_without_an_end_in_sight(capsys: pytest.CaptureFixture[str]) -> None:
    with show("checking [/x]\x1b[5m"):
        time.sleep(0.3)
    assert r"checking [/x]\x1b[5m" in capsys.readouterr().err


@pytest.mark.usefixtures("terminal")
def test_short_work_and_quiet_work(capsys: pytest.CaptureFixture[str]) -> None:
    with show("rows written", 20) as told:
        told(5)
    with show("rows written", is_quiet=True):
        time.sleep(0.1)
    assert capsys.readouterr() == ("", "")


def test_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setattr(progress, "PATIENCE_S", 0.01)
    with show("rows written", 20):
        time.sleep(0.1)
    assert capsys.readouterr() == ("", "")
