"""Anthropic's clients, served by Gemini and Claude on Vertex AI and by an OpenAI service. They are told
ANTHROPIC_BASE_URL, and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import RunClient
from tests.clients.conftest import check_rewritten
from tests.clients.conftest import recent
from tests.conftest import StartProxy
from tests.process import until
from tests.vertex_simulator import OPENAI_KEY
from tests.vertex_simulator import Simulator

TEXT = "Hello there, this is "
STATUSES = {
    "400": "invalid_request_error",
    "401": "authentication_error",
    "403": "permission_error",
    "404": "not_found_error",
    "429": "rate_limit_error",
    "503": "api_error",
}
EXPECTED: dict[str, Any] = {
    "unary": [TEXT, "end_turn", 6, 4],
    "stream": [TEXT, "end_turn", True, "message_start", "message_stop"],
    "raw_stream": [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ],
    "tool_loop": [["tool_use", ["thinking", "tool_use"]], ["end_turn", ["thinking", "text"]], TEXT],
    "image": "end_turn",
    "count": 4,
    "models": [["1234567890", "model", "My tuned Gemini"], "1234567890"],
    "errors": {status: [type, int(status), True, True] for status, type in STATUSES.items()},
    "bad_input": ["invalid_request_error", "messages.0.content.0.text: Field required"],
    "broken_stream": True,
}
FILE = """\
services: {{qwen: {{provider: openai, base_url: "{url}/v1", api_key_env: QWEN_API_KEY}}}}
routes: [{{model: "qwen*", service: qwen}}]
"""


@pytest.mark.parametrize(("script", "sdk"), [("messages_calls.py", "anthropic/"), ("messages_calls.mjs", "anthropic/")])
@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-flash-preview"])
def test_served_by_gemini(
    start_proxy: StartProxy,
    simulator: Simulator,
    key_file: Path,
    run_client: RunClient,
    script: str,
    sdk: str,
    model: str,
) -> None:
    proxy = start_proxy(
        "openai_mode=convert",
        "vertex_auth=service_account",
        f"vertex_credentials={key_file}",
        mode=f"reverse:{simulator.url}",
    )
    before = len(simulator.seen)
    env = {"ANTHROPIC_BASE_URL": proxy.url, "ANTHROPIC_API_KEY": "sk-ant-api03-nobody"}
    assert run_client(script, {"model": model, "calls": [*EXPECTED]}, env) == EXPECTED
    until(lambda: not proxy.rows("state = 'open'"))
    rows, seen = recent(proxy, simulator, before)
    # The last one was cut before its counts.
    check_rewritten(rows[:-1], seen[:-1])
    assert rows[-1]["state"] == "upstream_failed"
    assert {row["surface"] for row in rows} == {"anthropic"}
    assert all(row["sdk"].startswith(sdk) for row in rows)
    assert {row["operation"] for row in rows} == {"messages", "messages/count_tokens", "models"}
    messages = [row for row in rows if row["operation"] == "messages"]
    assert {row["model"] for row in messages} == {model}
    whole = [row for row in messages if row["usage_state"] == "final"]
    assert [row["streamed"] for row in whole] == [0, 1, 1, 1, 1, 0]
    assert all((row["ttft_us"] is not None) == bool(row["streamed"]) for row in whole)
    assert all(row["input_tokens"] and row["output_tokens"] for row in whole)
    assert "sk-ant" not in str([call.request.raw_headers for call in seen])


@pytest.mark.parametrize("script", ["messages_calls.py", "messages_calls.mjs"])
@pytest.mark.parametrize(
    ("model", "text"), [("claude-sonnet-4-5-20250929", TEXT.strip()), ("qwen-max", "Hello there.")]
)
def test_served_by_others(
    start_proxy: StartProxy,
    simulator: Simulator,
    key_file: Path,
    run_client: RunClient,
    tmp_path: Path,
    script: str,
    model: str,
    text: str,
) -> None:
    (tmp_path / "gateway.yaml").write_text(FILE.format(url=simulator.url))
    proxy = start_proxy(
        "openai_mode=convert",
        "vertex_auth=service_account",
        f"vertex_credentials={key_file}",
        "gateway_config=gateway.yaml",
        mode=f"reverse:{simulator.url}",
        env={"QWEN_API_KEY": OPENAI_KEY},
    )
    before = len(simulator.seen)
    env = {"ANTHROPIC_BASE_URL": proxy.url, "ANTHROPIC_AUTH_TOKEN": "sk-ant-oat01-nobody"}
    told = run_client(script, {"model": model, "calls": ["unary", "stream", "tool_loop"]}, env)
    assert (told["unary"][:2], told["stream"][:2]) == ([text, "end_turn"], [text, "end_turn"])
    (first, _), (last, _), said = told["tool_loop"]
    assert (first, last, said) == ("tool_use", "end_turn", text)
    until(lambda: not proxy.rows("state = 'open'"))
    rows, seen = recent(proxy, simulator, before)
    check_rewritten(rows, seen)
    assert [(row["operation"], row["usage_state"]) for row in rows] == [("messages", "final")] * 4
    assert {row["model"] for row in rows} == {model.replace("-2025", "@2025")}
