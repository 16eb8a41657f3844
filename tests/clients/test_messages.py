"""Anthropic's clients served by Gemini, Claude and open models on Vertex AI, and by an OpenAI service. They are told
ANTHROPIC_BASE_URL, and nothing else."""

from pathlib import Path

import pytest

from tests.clients.conftest import RunClient
from tests.clients.conftest import recent
from tests.conftest import StartProxy
from tests.process import until
from tests.vertex_simulator import Simulator

TEXT = "Hello there, this is "
CALLS = [
    "unary",
    "stream",
    "raw_stream",
    "tool_loop",
    "image",
    "count",
    "models",
    "errors",
    "bad_input",
    "broken_stream",
]


@pytest.mark.parametrize("script", ["messages_calls.py"])
@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-flash-preview"])
def test_served_by_gemini(
    start_proxy: StartProxy, simulator: Simulator, key_file: Path, run_client: RunClient, script: str, model: str
) -> None:
    proxy = start_proxy(
        "openai_mode=convert",
        "vertex_auth=service_account",
        f"vertex_credentials={key_file}",
        mode=f"reverse:{simulator.url}",
    )
    before = len(simulator.seen)
    env = {"ANTHROPIC_BASE_URL": proxy.url, "ANTHROPIC_API_KEY": "sk-ant-api03-nobody"}
    told = run_client(script, {"model": model, "calls": CALLS}, env)
    import json

    print(json.dumps(told, indent=1))
    until(lambda: not proxy.rows("state = 'open'"))
    rows, seen = recent(proxy, simulator, before)
    for r in rows:
        print(
            {
                k: r[k]
                for k in (
                    "surface",
                    "operation",
                    "model",
                    "status",
                    "state",
                    "usage_state",
                    "input_tokens",
                    "output_tokens",
                    "sdk",
                    "streamed",
                    "ttft_us",
                    "error_type",
                    "upstream_path",
                )
            }
        )
    assert 0
