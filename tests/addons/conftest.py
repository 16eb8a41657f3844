from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.addons.guarded import KEYS
from tests.addons.guarded import UPSTREAM
from tests.addons.guarded import options
from tests.configuration import INJECTING_FILE
from tests.process import Proxy
from tests.redis_server import RedisServer
from tests.vertex_simulator import Simulator


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


@pytest.fixture(scope="session")
def guarded(
    simulator: Simulator, key_file: Path, confdir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy with clients, whose service `default` passes calls on."""
    folder = tmp_path_factory.mktemp("guarded")
    sets = options(simulator, key_file, folder, "  default: {openai: observe}\n")
    mode = f"reverse:{simulator.url}"
    with Proxy(*sets, mode=mode, folder=folder, confdir=confdir, serve=True, env=KEYS | UPSTREAM) as proxy:
        yield proxy
