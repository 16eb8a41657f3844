"""The requests that gateways' documents show, word for word, apart from host names (OpenAI's SDK: test_rewrite.py)."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartProxy
from tests.http import API_KEY
from tests.http import call
from tests.vertex_simulator import Simulator

CHAT = {
    "model": "gemini-3-flash-preview",
    "messages": [{"role": "user", "content": "Hello. Please introduce yourself."}],
    "stream": False,
}
IMAGE = {
    "instances": [{"prompt": "A cute orange cat napping in the sunshine."}],
    "parameters": {"sampleCount": 1, "aspectRatio": "1:1"},
}
VIDEO = {
    "instances": [{"prompt": "Slow-motion video of an orange cat running on grass."}],
    "parameters": {"aspectRatio": "16:9", "durationSeconds": 8},
}
GOOGLE = "/vertex-api/v1/publishers/google/models"
PROJECT = "/vertex-api/v1/projects/test-project/locations/us-central1/publishers/google/models"
NOTHING = {"x-goog-api-key": ""}
BEARER = {"x-goog-api-key": "", "authorization": "Bearer YOUR_API_KEY"}


@pytest.mark.parametrize("auth", ["service_account", "express"])
@pytest.mark.parametrize(
    ("path", "body", "headers", "counted"),
    [
        ("/gemini/v1/chat/completions", CHAT, NOTHING, ("total_tokens", 8)),
        (f"{GOOGLE}/imagen-4.0-generate-preview-06-06:predict", IMAGE, BEARER, ("images", 1)),
        (f"{PROJECT}/imagen-4.0-generate-preview-06-06:predict", IMAGE, NOTHING, ("images", 1)),
        (f"{GOOGLE}/veo-3.0-generate-preview:predictLongRunning", VIDEO, BEARER, ("video_seconds", None)),
    ],
)
def test_requests(
    start_proxy: StartProxy,
    simulator: Simulator,
    key_file: Path,
    auth: str,
    path: str,
    body: dict[str, Any],
    headers: dict[str, str],
    counted: tuple[str, int | None],
) -> None:
    proxy = start_proxy(
        f"vertex_auth={auth}",
        f"vertex_credentials={key_file if auth == 'service_account' else ''}",
        "openai_mode=convert",
        "gateway_base_path=/gemini,/vertex-api",
        mode=f"reverse:{simulator.url}",
        serve=True,
        env={"VERTEX_API_KEY": API_KEY},
    )
    answer = call(proxy.url, path, body, headers=headers)
    assert answer.status == 200, answer.body
    if "chat" in path:
        assert answer.json()["choices"][0]["message"]["content"] == "Hello there, this is "
    sent = simulator.seen[-1].request
    is_in_project = auth == "service_account" or path.startswith(PROJECT)
    assert sent.path.startswith("/v1/projects/test-project/locations/") == is_in_project
    row = proxy.new_row()
    name, count = counted
    assert (row["state"], row["status"], row[name]) == ("done", 200, count)


def test_vertexs_own_endpoint(start_proxy: StartProxy, simulator: Simulator, key_file: Path) -> None:
    """In this mode the model has its prefix already."""
    options = ("vertex_auth=service_account", f"vertex_credentials={key_file}", "openai_mode=compatible")
    proxy = start_proxy(*options, "gateway_base_path=/gemini", mode=f"reverse:{simulator.url}", serve=True)
    body = CHAT | {"model": "google/gemini-3-flash-preview"}
    assert call(proxy.url, "/gemini/v1/chat/completions", body, headers=NOTHING).status == 200
    sent = simulator.seen[-1].request
    assert sent.path == "/v1/projects/test-project/locations/global/endpoints/openapi/chat/completions"
    assert sent.json() == body
