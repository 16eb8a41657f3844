"""Fixtures for all tests. They import what they need when a test uses them, so that tests that need little start soon:
every process of pytest reads this file."""

import json
import signal
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import trustme

    from metering.ledger import Ledger
    from tests.postgresql_server import Server
    from tests.process import Proxy
    from tests.vertex_simulator import Credentials
    from tests.vertex_simulator import Simulator


def pytest_configure(config: pytest.Config) -> None:
    """Sets hypothesis up before the tests are imported, but not in the process that only hands out tests to others.
    `--hypothesis-profile thorough` is loaded by hypothesis after this."""
    for signum, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(signum) is signal.SIG_IGN:
            # Started in the background of a shell. Programs that tests start and interrupt would ignore it too.
            signal.signal(signum, usual)
    hands_out = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if not hands_out or config.getoption("--hypothesis-profile"):
        from hypothesis import HealthCheck
        from hypothesis import settings

        # No deadline and no check of speed, as the machine may be slow. Each run generates other examples.
        for name, examples in (("quick", 20), ("thorough", 50)):
            settings.register_profile(
                name, deadline=None, max_examples=examples, suppress_health_check=[HealthCheck.too_slow]
            )
        settings.load_profile("quick")


@pytest.fixture(scope="session")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mitmproxy's configuration folder, shared by all proxies, which so have the same CA."""
    return tmp_path_factory.mktemp("confdir")


@pytest.fixture(scope="session")
def credentials() -> "Credentials":
    """Google's credentials, shared by all simulators: a token from one is valid at the others."""
    from tests.vertex_simulator import Credentials

    return Credentials()


@pytest.fixture(scope="session")
def simulator(credentials: "Credentials") -> Iterator["Simulator"]:
    from tests.vertex_simulator import Simulator

    with Simulator(credentials=credentials) as running:
        yield running


@pytest.fixture(scope="session")
def key_file(simulator: "Simulator", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key file of a service account that the simulator knows."""
    file = tmp_path_factory.mktemp("keys") / "service-account.json"
    file.write_text(json.dumps(simulator.credentials.service_account(simulator.token_uri)))
    return file


StartProxy = Callable[..., "Proxy"]


@pytest.fixture
def start_proxy(tmp_path: Path, confdir: Path) -> Iterator[StartProxy]:
    """A function that starts proxies, which are stopped after the test."""
    from tests.process import Proxy

    with ExitStack() as stack:

        def start(*options: str, **settings: object) -> Proxy:
            defaults = {"folder": tmp_path, "confdir": confdir}
            proxy = Proxy(*options, **defaults | settings)  # type: ignore[arg-type]
            return stack.enter_context(proxy)

        yield start


@pytest.fixture
def proxy(start_proxy: StartProxy, simulator: "Simulator") -> "Proxy":
    """A proxy in front of the simulator."""
    return start_proxy(mode=f"reverse:{simulator.url}")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator["Ledger"]:
    from metering.ledger import Ledger
    from tests.ledgers import new_ledger

    opened = Ledger(new_ledger(tmp_path / "usage.db"))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def postgresql() -> Iterator["Server"]:
    """A PostgreSQL server."""
    from tests.postgresql_server import running

    with running() as server:
        yield server


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> "trustme.CA":
    """The CA that signs the certificates of simulated Google hosts."""
    import trustme

    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(ca: "trustme.CA", tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ca") / "google-ca.pem"
    ca.cert_pem.write_to_path(file)
    return file


@pytest.fixture(scope="session")
def google(ca: "trustme.CA", credentials: "Credentials") -> Iterator["Simulator"]:
    """A simulator with TLS and certificates for the names of Google's hosts and of OpenAI's."""
    from tests.loopback import GOOGLE
    from tests.loopback import server_context
    from tests.vertex_simulator import Simulator

    with Simulator(tls=server_context(ca, GOOGLE), credentials=credentials) as running:
        yield running
