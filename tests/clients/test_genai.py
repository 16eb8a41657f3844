"""google-genai, Python and JavaScript, through reverse mode: the same results as without the proxy, and N of N."""

from collections.abc import Callable
from pathlib import Path

import pytest

from addons.entrance import BUNDLE
from tests.clients.conftest import RunClient
from tests.clients.conftest import check_rows
from tests.clients.conftest import recent
from tests.conftest import StartProxy
from tests.loopback import Tunnel
from tests.process import until
from tests.vertex_simulator import Simulator

BOTH = "generate stream chat functions count compute embed_predict embed_content images videos models live".split()
CALLS = {
    ("genai_calls.py", "key"): [*BOTH, "think", "picture", "structured", "edit_image", "error"],
    ("genai_calls.py", "service_account"): [*BOTH, "edit_image", "caches"],
    ("genai_calls.mjs", "key"): BOTH,
    ("genai_calls.mjs", "service_account"): BOTH,
}


BASES = ("", "/vertex")
INTERACTIONS = [
    ("genai_calls.py", "service_account", "vertex"),
    ("genai_calls.py", "gemini", "gemini"),
    ("genai_calls.mjs", "key", "vertex"),
    ("genai_calls.mjs", "gemini", "gemini"),
]
"""The script, the credential, and the surface."""


@pytest.mark.parametrize(
    ("script", "auth", "surface", "base", "calls"),
    [
        *((*one, "vertex", base, calls) for one, calls in CALLS.items() for base in BASES),
        *((*one, "", ["interactions", "background"]) for one in INTERACTIONS),
    ],
)
def test_reverse(
    start_proxy: StartProxy,
    simulator: Simulator,
    direct: Simulator,
    run_client: RunClient,
    confdir: Path,
    key_file: Path,
    token_tunnel: Tunnel,
    trusting: Callable[[Path | None], dict[str, str]],
    script: str,
    auth: str,
    surface: str,
    base: str,
    calls: list[str],
) -> None:
    env = {"GOOGLE_APPLICATION_CREDENTIALS": str(key_file), "HTTPS_PROXY": token_tunnel.url, "NO_PROXY": "127.0.0.1"}
    expected = run_client(script, {"base_url": direct.url, "auth": auth, "calls": calls}, env | trusting(None))

    proxy = start_proxy("gateway_base_path=/vertex", mode=f"reverse:{simulator.url}")
    before = len(simulator.seen)
    asked = {"base_url": proxy.url + base, "auth": auth, "calls": calls}
    assert run_client(script, asked, env | trusting(confdir / BUNDLE)) == expected
    until(lambda: not proxy.rows("state = 'open'"))
    rows, seen = recent(proxy, simulator, before)
    assert len(rows) >= len(calls)
    check_rows(rows, seen)
    assert {row["sdk"].split("/")[0] for row in rows} == {"google-genai-sdk"}
    assert len({row["client"] for row in rows}) == 1
    assert {row["surface"] for row in rows} <= {surface, "vertex-live"}


def test_a_client_without_key_and_project(start_proxy: StartProxy, simulator: Simulator, run_client: RunClient) -> None:
    proxy = start_proxy("gateway_base_path=/vertex", mode=f"reverse:{simulator.url}")
    told = run_client("genai_lost.py", {"base_url": f"{proxy.url}/vertex", "calls": ["lost"]})
    code, message = told["lost"]
    assert code == 400
    assert "api_key=..." in message
    assert proxy.new_row()["state"] == "refused"
