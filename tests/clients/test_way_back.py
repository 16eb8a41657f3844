"""google-genai's clients served by an OpenAI-compatible upstream: images by `:predict`, and chat."""

import base64
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.clients.conftest import RunClient
from tests.clients.conftest import check_rewritten
from tests.clients.conftest import recent
from tests.conftest import StartProxy
from tests.http import call
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator import OPENAI_KEY
from tests.vertex_simulator import Simulator
from tests.vertex_simulator.pictures import look_at_text
from tests.vertex_simulator.pictures import png

BASE = "/api/vertex-ai"
TEXT = "Hello there."
SQUARE = ["PNG", 1024, 1024]
IMAGES: dict[str, Any] = {
    "generate_images": [SQUARE],
    "edit_image": [SQUARE],
    "edit_masked": [[SQUARE, "image/png"]] * 2,
    "images_shaped": [["image/jpeg", "ffd8"]] * 3,
}
CHAT: dict[str, Any] = {
    "chat": [TEXT, TEXT],
    "functions": [["Paris", "Oslo"], ["It rains in Paris.", "It rains in Oslo."], TEXT],
    "functions_stream": ["Paris", "Oslo"],
    "structured": {"answer": 42},
    "media": TEXT,
}
SCRIPTS = ["way_back_calls.py", "way_back_calls.mjs"]
ERROR = {"way_back_calls.py": ("ClientError", "ServerError"), "way_back_calls.mjs": ("ApiError", "ApiError")}
"""The classes of what the client did wrong, and of what went wrong at the other end."""


@pytest.fixture
def proxy(start_proxy: StartProxy, simulator: Simulator) -> Proxy:
    options = ("openai_mode=convert", f"openai_endpoint={simulator.url}/v1", f"gateway_base_path={BASE}")
    env = {"OPENAI_API_KEY": OPENAI_KEY}
    return start_proxy(*options, mode=f"reverse:{simulator.url}", serve=True, env=env)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the client finds an image, and a mask for it whose left half is transparent."""
    here = tmp_path / "client"
    here.mkdir()
    (here / "input_image.png").write_bytes(png(64, 48))
    mask = Image.new("RGBA", (64, 48), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 32, 48))
    mask.save(here / "mask.png")
    return here


@pytest.mark.parametrize("script", SCRIPTS)
def test_images(proxy: Proxy, simulator: Simulator, run_client: RunClient, folder: Path, script: str) -> None:
    before = len(simulator.seen)
    masked = ["input_image.png", "mask.png"]
    asked = {"base_url": proxy.url + BASE, "folder": str(folder), "masked": masked, "calls": [*IMAGES]}
    assert run_client(script, asked) == IMAGES
    until(lambda: not proxy.rows("state = 'open'"))
    rows, seen = recent(proxy, simulator, before)
    check_rewritten(rows, seen)
    assert [row["images"] for row in rows] == [1, 1, 2, 3]
    assert {(row["operation"], row["publisher"], row["model"]) for row in rows} == {
        ("predict", "openai", "gpt-image-2")
    }
    assert {call.request.headers["authorization"] for call in seen} == {f"Bearer {OPENAI_KEY}"}
    paths = ["/v1/images/generations", "/v1/images/edits", "/v1/images/edits", "/v1/images/generations"]
    assert [call.request.path for call in seen] == paths
    first = seen[0].request.json()
    assert (first["model"], first["size"], first["quality"]) == ("gpt-image-2", "1024x1024", "high")
    # OpenAI's mask is transparent where it is to be edited, as this one already was.
    assert (folder / "mask.png").read_bytes() in seen[2].request.body


@pytest.mark.parametrize("script", SCRIPTS)
def test_chat(proxy: Proxy, simulator: Simulator, run_client: RunClient, folder: Path, script: str) -> None:
    before = len(simulator.seen)
    names = ["generate", "stream", *CHAT]
    answers = run_client(script, {"base_url": proxy.url + BASE, "folder": str(folder), "calls": names})
    until(lambda: not proxy.rows("state = 'open'"))
    rows, seen = recent(proxy, simulator, before)
    check_rewritten(rows, seen)
    text, reason, model, counts = answers.pop("generate")
    assert (text, reason, model) == (TEXT, "STOP", "gpt-5")
    assert counts == [rows[0][name] for name in ("input_tokens", "output_tokens", "total_tokens")]
    is_streamed, text, reason, counts = answers.pop("stream")
    assert (is_streamed, text, reason) == (True, TEXT, "STOP")
    assert counts == [rows[1][name] for name in ("input_tokens", "output_tokens", "total_tokens")]
    assert answers == CHAT
    assert {row["usage_state"] for row in rows} == {"final"}
    assert {call.request.path for call in seen} == {"/v1/chat/completions"}
    first = seen[0].request.json()
    assert (first["model"], first["max_completion_tokens"]) == ("gpt-5", 100)
    assert [message["role"] for message in first["messages"]] in (["system", "user"], ["developer", "user"])


@pytest.mark.parametrize("script", SCRIPTS)
def test_errors_are_googles(
    proxy: Proxy, run_client: RunClient, simulator: Simulator, folder: Path, script: str
) -> None:
    before = len(simulator.seen)
    asked = {"base_url": proxy.url + BASE, "folder": str(folder)}
    ours, theirs = ERROR[script]
    answers = run_client(script, asked | {"calls": ["failed", "images_failed"]})
    unavailable = [theirs, 503, "UNAVAILABLE"]
    assert answers["failed"] == [[ours, 429, "RESOURCE_EXHAUSTED"], unavailable]
    assert answers["images_failed"] == [ours, 400, "INVALID_ARGUMENT"]
    assert [row["status"] for row in recent(proxy, simulator, before)[0]] == [429, 503, 400]


def test_an_edit_without_its_image(proxy: Proxy, simulator: Simulator, run_client: RunClient, folder: Path) -> None:
    """What the JavaScript example of an edit sends is refused, and not made up."""
    before = len(simulator.seen)
    asked = {"base_url": proxy.url + BASE, "folder": str(folder), "calls": ["edit_image_as_written"]}
    told = run_client("way_back_calls.mjs", asked)
    assert told == {"edit_image_as_written": ["ApiError", 400, "INVALID_ARGUMENT"]}
    assert simulator.seen[before:] == []
    assert proxy.new_row()["state"] == "refused"


BEARER = {"x-goog-api-key": "", "authorization": "Bearer ZENMUX_API_KEY"}
PREDICT = f"{BASE}/v1/publishers/openai/models/gpt-image-2:predict"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (
            {
                "instances": [{"prompt": "A cute cat wearing a tiny hat"}],
                "parameters": {"sampleCount": 1, "imageSize": "1024x1024", "quality": "high"},
            },
            "/v1/images/generations",
        ),
        (
            {
                "instances": [
                    {
                        "prompt": "Transform this image into watercolor painting style",
                        "image": {
                            "bytesBase64Encoded": base64.b64encode(png(64, 48)).decode(),
                            "mimeType": "image/png",
                        },
                    }
                ],
                "parameters": {"sampleCount": 1},
            },
            "/v1/images/edits",
        ),
    ],
)
def test_curl(proxy: Proxy, simulator: Simulator, body: dict[str, Any], path: str) -> None:
    """As ZenMux's page has it."""
    answer = call(proxy.url, PREDICT, body, headers=BEARER)
    assert answer.status == 200, answer.body
    (prediction,) = answer.json()["predictions"]
    assert prediction["mimeType"] == "image/png"
    assert look_at_text(prediction["bytesBase64Encoded"], "image/png").size == (1024, 1024)
    sent = simulator.seen[-1]
    assert sent.request.path == path
    assert sent.request.headers["authorization"] == f"Bearer {OPENAI_KEY}"
    row = proxy.new_row()
    assert (row["state"], row["images"], row["rewritten"]) == ("done", 1, 1)
