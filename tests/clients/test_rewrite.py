"""OpenAI's clients served by Gemini on Vertex AI: nothing is changed in them but `base_url`."""

from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import RunClient
from tests.clients.conftest import recent
from tests.conftest import StartProxy
from tests.process import until
from tests.vertex_simulator import Simulator

TEXT = "Hello there, this is "
USAGE = {
    "prompt_tokens": 6,
    "completion_tokens": 4,
    "total_tokens": 10,
    "prompt_tokens_details": {"cached_tokens": 0, "text_tokens": 6},
    "completion_tokens_details": {"reasoning_tokens": 0, "text_tokens": 4},
}
EXPECTED: dict[str, Any] = {
    "stream": [TEXT, ["stop"], [], 1],
    "stream_usage": [TEXT, ["stop"], [USAGE], 1],
    "parse": 42,
    "tools": ["tool_calls", ["Paris", "Oslo"], "stop", TEXT],
    "tools_stream": [[0, 1, 2], 3, ["tool_calls"]],
    "media": 3 + 3 * 258,
    "reasoning": ["Let me think.", 7],
    "several": [[0, "stop", TEXT], [1, "stop", TEXT]],
    "logprobs": [["Hé", -0.25, [72, 195, 169], 2], ["llo", -1.5, [108, 108, 111], 2]],
    "errors": {
        "400": "BadRequestError",
        "401": "AuthenticationError",
        "403": "PermissionDeniedError",
        "404": "NotFoundError",
        "429": "RateLimitError",
        "503": "InternalServerError",
    },
    "broken_streams": [["APIError", []]] * 3,
    "bad_input": ["invalid_request_error", "messages[0].content[0]"],
}
PYTHON_ONLY: dict[str, Any] = {
    "parallel": [TEXT] * 6,
    "langchain": [[{"city": "Paris"}], TEXT, TEXT, 42],
}


@pytest.mark.parametrize("serve", [True, False])
@pytest.mark.parametrize("script", ["rewrite_calls.py", "rewrite_calls.mjs"])
def test_served_by_gemini(
    start_proxy: StartProxy, simulator: Simulator, key_file: Path, run_client: RunClient, script: str, serve: bool
) -> None:
    proxy = start_proxy(
        "openai_mode=convert",
        "vertex_auth=service_account",
        f"vertex_credentials={key_file}",
        "gateway_base_path=/gemini",
        mode=f"reverse:{simulator.url}",
        serve=serve,
    )
    before = len(simulator.seen)
    expected = EXPECTED | (PYTHON_ONLY if script.endswith(".py") else {})
    answers = run_client(script, {"base_url": f"{proxy.url}/gemini/v1", "calls": ["chat", *expected]})
    chat = answers.pop("chat")
    assert chat["choices"][0]["message"]["content"] == TEXT
    assert chat["usage"] == USAGE
    assert answers == expected

    until(lambda: not proxy.rows("state = 'open'"))
    rows, seen = recent(proxy, simulator, before)
    sent = [row for row in rows if row["state"] != "refused"]
    # A call that got 401 was repeated once.
    assert len(seen) == sum(row["attempts"] for row in sent) == len(sent) + 1
    assert {row["rewritten"] for row in sent} == {1}
    assert all(row["path"] == "/v1/chat/completions" for row in rows)
    assert all(call.request.headers["authorization"].startswith("Bearer ya29.") for call in seen)
    attempts = [row for row in sent for _ in range(row["attempts"])]
    known = [(row, call) for row, call in zip(attempts, seen, strict=True) if row["usage_state"] == "final"]
    assert len(known) >= len(expected) - 3
    for row, call in known:
        assert call.answer
        assert {name: row[name] for name in call.answer.reported} == call.answer.reported
