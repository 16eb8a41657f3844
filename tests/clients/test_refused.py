"""What clients do when Google refuses the proxy's credentials: they say so, and do not try again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.addons.test_credentials import UNKNOWN
from tests.addons.test_credentials import key_for
from tests.addons.test_credentials import options
from tests.clients.conftest import RunClient
from tests.conftest import StartProxy
from tests.vertex_simulator import Credentials
from tests.vertex_simulator import Simulator


@pytest.fixture
def refusing() -> Iterator[Simulator]:
    with Simulator(credentials=Credentials()) as running:
        running.credentials.refusal = (400, UNKNOWN)
        yield running


def test_one_call_is_one_request(
    start_proxy: StartProxy, refusing: Simulator, run_client: RunClient, tmp_path: Path
) -> None:
    proxy = start_proxy(*options(key_for(refusing, tmp_path)), mode=f"reverse:{refusing.url}", serve=True)
    told = run_client("refused_calls.py", {"base_url": proxy.url, "calls": ["chat", "native"]})
    assert told == {"chat": ["AuthenticationError", 401, True], "native": ["ClientError", 401, True]}
    rows = proxy.new_rows()
    assert [(row["state"], row["error_type"], row["model"]) for row in rows] == [
        ("refused", "no_credentials", "gemini-2.5-flash")
    ] * 2
    assert refusing.credentials.refused == 2
