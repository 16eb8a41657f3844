"""Applications as their users install them, each with its loop of tool calls. `scripts/bench applications` runs more of
them, each with both models."""

from pathlib import Path

import pytest

from tests.applications import APPLICATIONS
from tests.applications import MODELS
from tests.applications import Application
from tests.applications import run
from tests.conftest import StartProxy
from tests.vertex_simulator import Simulator

FLASH, FLASH_3 = MODELS
TRIED = {
    "Codex CLI": FLASH_3,
    "opencode": FLASH,
    "Gemini CLI": FLASH_3,
    "Qwen Code": FLASH,
    "Claude Code": FLASH_3,
    "Continue": FLASH,
    "AI SDK, openai": FLASH_3,
    "AI SDK, openai-compatible": FLASH_3,
    "AI SDK, google-vertex": FLASH_3,
    "LangChain, chat": FLASH_3,
    "pydantic-ai, responses": FLASH_3,
}
"""Application -> the model that it asks for."""


@pytest.mark.parametrize("application", [one for one in APPLICATIONS if one.name in TRIED], ids=lambda one: one.name)
def test_tool_loop(
    start_proxy: StartProxy, simulator: Simulator, key_file: Path, tmp_path: Path, application: Application
) -> None:
    proxy = start_proxy(
        "openai_mode=convert",
        "vertex_auth=service_account",
        f"vertex_credentials={key_file}",
        mode=f"reverse:{simulator.url}",
    )
    ran = run(application, TRIED[application.name], tmp_path / "home", simulator, proxy)
    assert not ran.faults, ran.output
    assert len(TRIED) == sum(one.name in TRIED for one in APPLICATIONS)
