"""Real SDKs that send the keys of a proxy's clients."""

from collections.abc import Callable
from pathlib import Path

import pytest

from addons.entrance import BUNDLE
from tests.addons import guarded as g
from tests.clients.conftest import RunClient
from tests.conftest import StartProxy
from tests.loopback import environment
from tests.vertex_simulator import OPENAI_KEY
from tests.vertex_simulator import Simulator

NOBODYS = "vt-nobody-0123456789"
KEYS = [g.A, g.FLASH, NOBODYS]
MODELS = ["gemini-2.5-flash", "gemini-2.5-pro", "gpt-4o", "fast", "cheap"]
TOLD = {
    "openai": [True, "PermissionDeniedError", "AuthenticationError"],
    "models": [MODELS, ["gemini-2.5-flash", "fast"], "AuthenticationError"],
    "genai": [True, True, "UNAUTHENTICATED"],
    "anthropic": [True, True, "AuthenticationError"],
}


@pytest.mark.parametrize(
    ("script", "told"), [("keyed_calls.py", TOLD), ("keyed_calls.mjs", {"genai": [True, True, 401]})]
)
def test_base_url(
    start_proxy: StartProxy,
    simulator: Simulator,
    key_file: Path,
    run_client: RunClient,
    tmp_path: Path,
    script: str,
    told: dict[str, list[object]],
) -> None:
    sets = g.options(simulator, key_file, tmp_path)
    proxy = start_proxy(*sets, mode=f"reverse:{simulator.url}", serve=True, env=g.KEYS | g.UPSTREAM)
    before = len(simulator.seen)
    asked = {"base_url": proxy.url, "keys": KEYS, "calls": [*told], "model": "gemini-2.5-pro"}
    assert run_client(script, asked) == told
    assert {row["client"] for row in proxy.rows()} == {"team-a", "flash", None}
    assert {row["error_type"] for row in proxy.rows("client IS NULL")} == {"unauthorized"}
    assert "vt-" not in str([seen.request.raw_headers for seen in simulator.seen[before:]])


def test_https_proxy(
    start_proxy: StartProxy,
    google: Simulator,
    ca_file: Path,
    confdir: Path,
    run_client: RunClient,
    trusting: Callable[[Path | None], dict[str, str]],
    tmp_path: Path,
) -> None:
    """The key is the password in the proxy's URL, and the SDK's own key goes to the upstream."""
    (tmp_path / "gateway.yaml").write_text(g.CLIENTS.replace("services: [qwen]", "services: [openai]"))
    trusted = f"ssl_verify_upstream_trusted_ca={ca_file}"
    env = g.KEYS | environment({443: google.port})
    proxy = start_proxy("gateway_config=gateway.yaml", trusted, mode="regular", serve=True, env=env)
    through = {"HTTPS_PROXY": proxy.url.replace("://", f"://anybody:{g.A}@")} | trusting(confdir / BUNDLE)
    asked = {"keys": [OPENAI_KEY], "calls": ["openai"], "model": "gpt-4o"}
    assert run_client("keyed_calls.py", asked, through) == {"openai": [True]}
    row = proxy.new_row()
    assert (row["client"], row["status"], row["upstream_host"]) == ("team-a", 200, "api.openai.com")
    assert "vt-" not in str(google.seen[-1].request.raw_headers)
