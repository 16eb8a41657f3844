"""Real SDKs that know nothing of the proxy but HTTPS_PROXY and the bundle."""

import json
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from addons.entrance import BUNDLE
from tests.clients import test_anthropic
from tests.clients import test_genai
from tests.clients import test_openai
from tests.clients.conftest import RunClient
from tests.clients.conftest import check_rows
from tests.clients.conftest import recent
from tests.conftest import StartProxy
from tests.loopback import GOOGLE
from tests.loopback import OTHER
from tests.loopback import Tunnel
from tests.loopback import environment
from tests.loopback import server_context
from tests.process import until
from tests.vertex_simulator import Credentials
from tests.vertex_simulator import Simulator

OPENAI = "https://api.openai.com/v1"
CLIENTS: list[tuple[str, dict[str, Any], list[str]]] = [
    *[(script, {"auth": auth}, calls) for (script, auth), calls in test_genai.CALLS.items()],
    *[(script, {"base_url": OPENAI}, calls) for script, calls in test_openai.CALLS.items()],
    ("anthropic_calls.py", {}, test_anthropic.CALLS),
]


@pytest.fixture(scope="module")
def internet(ca: trustme.CA, credentials: Credentials) -> Iterator[Simulator]:
    """Every host there is."""
    with Simulator(tls=server_context(ca, GOOGLE + OTHER), credentials=credentials) as running:
        yield running


@pytest.fixture(scope="module")
def google_key_file(credentials: Credentials, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As Google gives them out."""
    file = tmp_path_factory.mktemp("keys") / "service-account.json"
    file.write_text(json.dumps(credentials.service_account("https://oauth2.googleapis.com/token")))
    return file


@pytest.mark.parametrize(("script", "asked", "calls"), CLIENTS, ids=lambda value: str(value)[:25])
def test_forward(
    start_proxy: StartProxy,
    internet: Simulator,
    direct: Simulator,
    run_client: RunClient,
    trusting: Callable[[Path | None], dict[str, str]],
    confdir: Path,
    ca_file: Path,
    token_tunnel: Tunnel,
    google_key_file: Path,
    script: str,
    asked: dict[str, Any],
    calls: list[str],
) -> None:
    if script.endswith(".mjs"):
        # Node's WebSockets know no proxy.
        calls = [name for name in calls if name != "live"]
    asked = {"token": internet.credentials.token(), "calls": calls} | asked
    credentials = {"GOOGLE_APPLICATION_CREDENTIALS": str(google_key_file)}
    there = {"base_url": direct.url if "genai" in script else f"{direct.url}/v1"}
    env = {"HTTPS_PROXY": token_tunnel.url, "NODE_USE_ENV_PROXY": "1", "NO_PROXY": "127.0.0.1"}
    expected = run_client(script, asked | there, credentials | env | trusting(None))

    trusted = f"ssl_verify_upstream_trusted_ca={ca_file}"
    proxy = start_proxy(trusted, mode="regular", env=environment({443: internet.port}))
    before, minted = len(internet.seen), internet.credentials.minted
    env = {"HTTPS_PROXY": proxy.url, "NODE_USE_ENV_PROXY": "1"}
    assert run_client(script, asked, credentials | env | trusting(confdir / BUNDLE)) == expected
    until(lambda: not proxy.rows("state = 'open'"))
    rows, seen = recent(proxy, internet, before)
    assert len(rows) >= len(calls)
    check_rows(rows, seen)
    through_tunnel = [call for call in internet.seen[before:] if call.request.path == "/token"]
    assert bool(through_tunnel) == (asked.get("auth") == "service_account")
    assert internet.credentials.minted - minted == len(through_tunnel)
