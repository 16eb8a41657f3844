from pathlib import Path

import pytest

from tests.configuration import INJECTING_FILE


@pytest.fixture
def injecting_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOME_KEY", "sk-Secret")
    file = tmp_path / "gateway.yaml"
    file.write_text(INJECTING_FILE)
    return file
