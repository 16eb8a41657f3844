from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.configuration import INJECTING_FILE
from tests.redis_server import RedisServer


@pytest.fixture
def injecting_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOME_KEY", "sk-Secret")
    file = tmp_path / "gateway.yaml"
    file.write_text(INJECTING_FILE)
    return file


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running
