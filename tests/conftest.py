import json
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings

from metering.ledger import Ledger
from tests.process import Proxy
from tests.vertex_simulator import Simulator

# The machine may be slow; how fast inputs are made is not what is tested.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")


@pytest.fixture(scope="session")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mitmproxy's folder, with one CA for all."""
    return tmp_path_factory.mktemp("confdir")


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture(scope="session")
def key_file(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service account that the simulator knows."""
    file = tmp_path_factory.mktemp("keys") / "service-account.json"
    file.write_text(json.dumps(simulator.credentials.service_account(simulator.token_uri)))
    return file


StartProxy = Callable[..., Proxy]


@pytest.fixture
def start_proxy(tmp_path: Path, confdir: Path) -> Iterator[StartProxy]:
    """Starts proxies that end with the test."""
    with ExitStack() as stack:

        def start(*options: str, **settings: object) -> Proxy:
            proxy = Proxy(tmp_path, *options, confdir=confdir, **settings)  # type: ignore[arg-type]
            return stack.enter_context(proxy)

        yield start


@pytest.fixture
def proxy(start_proxy: StartProxy, simulator: Simulator) -> Proxy:
    """A proxy in front of the simulator."""
    return start_proxy(mode=f"reverse:{simulator.url}")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "usage.db")
    yield opened
    opened.close()
