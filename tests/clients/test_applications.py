"""Applications as their users install them, each with its loop of tool calls. `scripts/bench applications` runs more of
them, each with both models."""

from pathlib import Path

import pytest

from tests.applications import APPLICATIONS
from tests.applications import MODELS
from tests.applications import aliases
from tests.applications import run
from tests.conftest import StartProxy
from tests.vertex_simulator import Simulator

FLASH, FLASH_3 = MODELS
TRIED = {
    "Codex CLI": FLASH_3,
    "Codex CLI, OpenAI's model": FLASH_3,
    "opencode": FLASH,
    "Gemini CLI": FLASH_3,
    "Qwen Code": FLASH,
    "Claude Code": FLASH,
    "Claude Code, Anthropic's model": FLASH_3,
    "Continue": FLASH,
    "AI SDK, openai": FLASH_3,
    "AI SDK, openai-compatible": FLASH_3,
    "AI SDK, google-vertex": FLASH_3,
    "LangChain, chat": FLASH_3,
    "pydantic-ai, responses": FLASH_3,
}
"""Application -> the model that it asks for."""
BY_NAME = {application.name: application for application in APPLICATIONS}


@pytest.mark.parametrize(("name", "model"), TRIED.items())
def test_tool_loop(
    start_proxy: StartProxy, simulator: Simulator, key_file: Path, tmp_path: Path, name: str, model: str
) -> None:
    proxy = start_proxy(
        "openai_mode=convert",
        "vertex_auth=service_account",
        f"vertex_credentials={key_file}",
        *aliases(BY_NAME[name], model, tmp_path),
        mode=f"reverse:{simulator.url}",
    )
    ran = run(BY_NAME[name], model, tmp_path / "home", simulator, proxy)
    assert ran.faults == [], ran.output
