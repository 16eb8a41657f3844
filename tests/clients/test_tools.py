"""Tools that are no plain functions, in real SDKs that are served by Gemini."""

from pathlib import Path
from typing import Any

from tests.clients.conftest import RunClient
from tests.conftest import StartProxy
from tests.vertex_simulator import Simulator

PATCH = "*** Begin Patch"
EXPECTED: dict[str, Any] = {
    "namespace": [
        {"type": "function_call", "name": "wait", "namespace": "agents", "arguments": '{"id": "a"}'},
        ["response.function_call_arguments.delta", "response.function_call_arguments.done"],
        "Hello there, this is ",
    ],
    "custom": [
        {"type": "custom_tool_call", "name": "apply_patch", "input": PATCH},
        ["response.custom_tool_call_input.delta", "response.custom_tool_call_input.done"],
        "Hello there, this is ",
    ],
    "shell": [
        {"type": "shell_call", "action": {"commands": ["ls"], "timeout_ms": None, "max_output_length": None}},
        [f"response.shell_call_command.{step}" for step in ("added", "delta", "done")],
        "Hello there, this is ",
    ],
    "chat_custom": ["custom", "apply_patch", PATCH, "Hello there, this is "],
    "dropped": ["tools[3]", "tools[1].format=description"],
}


def test_tools_of_the_client(
    start_proxy: StartProxy, simulator: Simulator, key_file: Path, run_client: RunClient
) -> None:
    proxy = start_proxy(
        "openai_mode=convert",
        "vertex_auth=service_account",
        f"vertex_credentials={key_file}",
        mode=f"reverse:{simulator.url}",
    )
    assert run_client("tools_calls.py", {"base_url": f"{proxy.url}/v1", "calls": [*EXPECTED]}) == EXPECTED


AI_SDK: dict[str, Any] = {
    "chat": "Hello there, this is ",
    "responses": "Hello there, this is ",
    "stream": ["Hello there, this is ", 2],
    # It refers to items unless it is told that they are not stored: the error says what to do.
    "stored": [400, [True, True], "Hello there, this is "],
}


def test_the_ai_sdk(start_proxy: StartProxy, simulator: Simulator, key_file: Path, run_client: RunClient) -> None:
    proxy = start_proxy(
        "openai_mode=convert",
        "vertex_auth=service_account",
        f"vertex_credentials={key_file}",
        mode=f"reverse:{simulator.url}",
    )
    assert run_client("ai_calls.mjs", {"base_url": f"{proxy.url}/v1", "calls": [*AI_SDK]}) == AI_SDK
