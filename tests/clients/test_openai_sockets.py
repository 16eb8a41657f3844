"""The openai SDK over OpenAI's WebSockets: nothing changes, and every response is metered."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from addons.entrance import BUNDLE
from tests.clients.conftest import RunClient
from tests.conftest import StartProxy
from tests.http import API_KEY
from tests.loopback import environment
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator import OPENAI_KEY
from tests.vertex_simulator import Simulator

SCRIPT = "openai_sockets.py"
CALLS = "responses responses_async realtime translation".split()
FINAL = ("responses", "gpt-5.5", "done", "final", 16)
ROWS = [
    FINAL,
    FINAL,
    FINAL,
    ("responses", "gpt-5.5-mini", "done", "final", 16),
    ("realtime", "gpt-realtime", "done", "final", 45),
    ("realtime/translations", "gpt-realtime-translate", "done", "absent", None),
]


def told(proxy: Proxy) -> list[tuple[Any, ...]]:
    until(lambda: not proxy.rows("state = 'open'"))
    names = ("operation", "model", "state", "usage_state", "total_tokens")
    return [tuple(row[name] for name in names) for row in proxy.new_rows()]


def test_observed(start_proxy: StartProxy, simulator: Simulator, run_client: RunClient) -> None:
    asked = {"api_key": OPENAI_KEY, "calls": CALLS}
    expected = run_client(SCRIPT, {"base_url": f"{simulator.url}/v1", **asked})
    assert expected["responses"][1][-1] == "response.completed"
    proxy = start_proxy(mode=f"reverse:{simulator.url}")
    assert run_client(SCRIPT, {"base_url": f"{proxy.url}/v1", **asked}) == expected
    assert told(proxy) == ROWS
    assert {row["sdk"] is not None for row in proxy.rows()} == {True}


def test_forward(
    start_proxy: StartProxy,
    run_client: RunClient,
    trusting: Callable[[Path | None], dict[str, str]],
    google: Simulator,
    confdir: Path,
    ca_file: Path,
) -> None:
    """The SDK knows nothing of the proxy but HTTPS_PROXY and the bundle."""
    env = environment({443: google.port})
    proxy = start_proxy(f"ssl_verify_upstream_trusted_ca={ca_file}", mode="regular", env=env)
    asked = {"base_url": "https://api.openai.com/v1", "api_key": OPENAI_KEY, "calls": CALLS}
    run_client(SCRIPT, asked, {"HTTPS_PROXY": proxy.url, **trusting(confdir / BUNDLE)})
    assert told(proxy) == ROWS
    assert {row["upstream_host"] for row in proxy.rows()} == {"api.openai.com"}


def test_converted(start_proxy: StartProxy, simulator: Simulator, run_client: RunClient) -> None:
    proxy = start_proxy("openai_mode=convert", mode=f"reverse:{simulator.url}")
    asked = {"base_url": f"{proxy.url}/v1", "api_key": API_KEY, "calls": ["fallback"]}
    assert run_client(SCRIPT, asked) == {"fallback": [426, "completed", True]}
    refused, answered = proxy.rows()
    assert (refused["state"], refused["status"]) == ("refused", 426)
    assert (answered["state"], answered["usage_state"], answered["rewritten"]) == ("done", "final", 1)
