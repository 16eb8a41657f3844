"""Two providers behind one proxy, each of which answers for the other: the SDKs' retries are off, and see nothing of
it."""

import json
from pathlib import Path
from typing import Any

from tests.clients.conftest import RunClient
from tests.conftest import StartProxy
from tests.vertex_simulator import OPENAI_KEY
from tests.vertex_simulator import Simulator

GEMINI = "Hello there, this is "
QWEN = "Hello there."
FAILING: list[dict[str, Any]] = [{"status": 503, "retry_after": "0"}, {"status": 429}, {"cut": 0}]


def test_gemini_and_qwen(
    start_proxy: StartProxy, simulator: Simulator, key_file: Path, run_client: RunClient, tmp_path: Path
) -> None:
    rounds: list[dict[str, Any]] = [{"models": ["gemini-2.5-pro", "qwen3"], "plan": {}}]
    expected = [("prod", GEMINI), ("qwen", QWEN)]
    for number, plan in enumerate(FAILING):
        # A model of its own for each, as models rest that have failed.
        rounds.append({"models": [f"gemini-2.5-{number}"], "plan": {"at": {"projects": plan}}})
        rounds.append({"models": [f"qwen-{number}"], "plan": {"at": {"qwen": plan}}})
        expected += [("qwen", QWEN), ("prod", GEMINI)]
    with Simulator(name="qwen") as qwen:
        services = {
            "prod": {"auth": "service_account", "credentials": str(key_file)},
            "qwen": {"provider": "openai", "base_url": f"{qwen.url}/v1", "api_key_env": "QWEN_KEY"},
        }
        routes = [
            {"model": "gemini*", "service": "prod", "fallback": [{"service": "qwen", "as": "qwen-max"}]},
            {"model": "qwen*", "service": "qwen", "fallback": [{"service": "prod", "as": "gemini-2.5-flash"}]},
        ]
        (tmp_path / "gateway.yaml").write_text(json.dumps({"services": services, "routes": routes}))
        env = {"QWEN_KEY": OPENAI_KEY}
        proxy = start_proxy("gateway_config=gateway.yaml", mode=f"reverse:{simulator.url}", serve=True, env=env)
        asked = {"base_url": proxy.url, "calls": ["genai", "openai"], "rounds": rounds}
        told = run_client("fallback_calls.py", asked)
    answers = {name: [answer for one in told[name] for answer in one] for name in told}
    for one in answers.values():
        assert [texts[:2] for texts in one] == [[text, text] for _, text in expected]
    # Two calls for each: a stream, and a whole answer.
    rows = proxy.new_rows()
    assert [row["service"] for row in rows] == [service for service, _ in expected * 2 for _ in "12"]
    assert {(row["state"], row["usage_state"], row["status"]) for row in rows} == {("done", "final", 200)}
    counts = [count for one in answers.values() for texts in one for count in texts[2:]]
    assert [row["total_tokens"] for row in rows] == counts
    assert max(row["attempts"] for row in rows) == 2
    models = {"prod": {"gemini-2.5-pro", "gemini-2.5-flash"}, "qwen": {"qwen3", "qwen-max"}}
    assert {row["model"] for row in rows} == models["prod"] | models["qwen"]
