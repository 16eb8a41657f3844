from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import Proxy
from tests.vertex_simulator import Simulator


@pytest.fixture(scope="module")
def shared_proxy(tmp_path_factory: pytest.TempPathFactory, confdir: Path, simulator: Simulator) -> Iterator[Proxy]:
    """One proxy in front of the simulator for all tests of a module."""
    folder = tmp_path_factory.mktemp("proxy")
    with Proxy(folder=folder, confdir=confdir, mode=f"reverse:{simulator.url}") as running:
        yield running


@pytest.fixture
def tap(shared_proxy: Proxy) -> Proxy:
    """The shared proxy, with the rows of earlier tests behind it."""
    shared_proxy.new_rows()
    return shared_proxy
