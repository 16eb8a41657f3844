"""The requests that gateways' documents show, word for word, apart from host names (OpenAI's SDK: test_rewrite.py)."""

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import RunClient
from tests.clients.conftest import check_rewritten
from tests.clients.conftest import recent
from tests.conftest import StartProxy
from tests.http import API_KEY
from tests.http import call
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator import Simulator
from tests.vertex_simulator.embeddings import vector
from tests.vertex_simulator.pictures import look_at_text
from tests.vertex_simulator.pictures import png

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


OPENAI_BEARER = {"x-goog-api-key": "", "authorization": "Bearer sk-bf-your-virtual-key"}
CAT = base64.b64encode(png(64, 48)).decode()
PAINTER = {"model": "gemini-3-pro-image-preview", "n": 1}


@pytest.fixture
def gateway(start_proxy: StartProxy, simulator: Simulator, key_file: Path) -> Proxy:
    options = ("openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key_file}")
    paths = "gateway_base_path=/gemini-image,/model-api-base-path,/api"
    return start_proxy(*options, paths, mode=f"reverse:{simulator.url}", serve=True)


@pytest.mark.parametrize(
    ("path", "body", "headers", "size"),
    [
        (
            "/gemini-image/v1/images/generations",
            PAINTER | {"prompt": "A cute orange cat napping in the sunshine.", "size": "1024x1024"},
            NOTHING,
            (1024, 1024),
        ),
        (
            "/model-api-base-path/v1/images/edits",
            PAINTER
            | {
                "prompt": "Change the cat breed to Ragdoll while keeping the same pose.",
                "image_url": {"url": f"data:image/png;base64,{CAT}"},
                "size": "1024x1024",
            },
            BEARER,
            (1024, 1024),
        ),
        (
            "/model-api-base-path/v1/images/variations",
            PAINTER | {"image_url": {"url": f"data:image/png;base64,{CAT}"}, "size": "1792x1024"},
            BEARER,
            (2752, 1536),
        ),
    ],
)
def test_images_by_gemini(
    gateway: Proxy,
    simulator: Simulator,
    path: str,
    body: dict[str, Any],
    headers: dict[str, str],
    size: tuple[int, int],
) -> None:
    answer = call(gateway.url, path, body, headers=headers)
    assert answer.status == 200, answer.body
    (image,) = answer.json()["data"]
    assert look_at_text(image["b64_json"], "image/png").size == size
    sent = simulator.seen[-1].request
    model = "/publishers/google/models/gemini-3-pro-image-preview:generateContent"
    assert sent.path == f"/v1/projects/test-project/locations/global{model}"
    parts = sent.json()["contents"][0]["parts"]
    assert [part["inlineData"]["data"] for part in parts if "inlineData" in part] == [CAT] * ("image_url" in body)
    row = gateway.new_row()
    assert (row["state"], row["images"], row["attempts"]) == ("done", 1, 1)
    assert row["total_tokens"] == row["input_tokens"] + row["output_tokens"]


@pytest.mark.parametrize("base", ["/gemini-image", "/model-api-base-path"])
def test_examples_of_images(
    gateway: Proxy, simulator: Simulator, run_client: RunClient, tmp_path: Path, base: str
) -> None:
    """What the examples save."""
    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / "image-cat.png").write_bytes(png(64, 48))
    (tmp_path / "output_folder").mkdir()
    before = len(simulator.seen)
    calls = ["generation", "editing", "variation"]
    asked = {"base_url": f"{gateway.url}{base}/v1", "folder": str(tmp_path), "calls": calls}
    told = run_client("image_examples.py", asked, {"OPENAI_API_KEY": "YOUR_API_KEY"})
    assert told == {
        "generation": ["example-image-cat.png", [1024, 1024]],
        "editing": ["edited-image-cat.png", [1024, 1024]],
        "variation": ["variation-image-cat.png", [2752, 1536]],
    }
    until(lambda: not gateway.rows("state = 'open'"))
    rows, seen = recent(gateway, simulator, before)
    check_rewritten(rows, seen)
    assert [row["images"] for row in rows] == [1, 1, 1]


PLACE = {"project_id": "my-gcp-project", "region": "us-central1"}
THERE = "/v1/projects/my-gcp-project/locations/us-central1/publishers"
QUESTION = {
    "model": "vertex/claude-3-5-sonnet",
    "input": "What is AI?",
    "instructions": "You are a helpful assistant",
    **PLACE,
}
DOCUMENT = {
    "model": "text-embedding-004",
    "input": ["text to embed"],
    "dimensions": 256,
    "task_type": "RETRIEVAL_DOCUMENT",
    "title": "Document title",
    **PLACE,
    "autoTruncate": True,
}
SUNSET = {
    "model": "vertex/imagen-4.0-generate-001",
    "prompt": "A sunset over the mountains",
    "size": "1024x1024",
    "n": 2,
    **PLACE,
}


def test_responses_by_claude(gateway: Proxy, simulator: Simulator) -> None:
    answer = call(gateway.url, "/v1/responses", QUESTION, headers=OPENAI_BEARER)
    assert answer.status == 200, answer.body
    (item,) = answer.json()["output"]
    assert item["content"][0]["text"] == "Hello there, this is"
    sent = simulator.seen[-1]
    assert sent.request.path == f"{THERE}/anthropic/models/claude-3-5-sonnet:rawPredict"
    body = sent.request.json()
    assert body["anthropic_version"] == "vertex-2023-10-16"
    assert not {"project_id", "region", "model"} & body.keys()
    row = gateway.new_row()
    assert (row["project"], row["location"], row["model"]) == ("my-gcp-project", "us-central1", "claude-3-5-sonnet")
    assert sent.answer
    assert {name: row[name] for name in sent.answer.reported} == sent.answer.reported


def test_embeddings_with_a_task(gateway: Proxy, simulator: Simulator) -> None:
    answer = call(gateway.url, "/v1/embeddings", DOCUMENT, headers=OPENAI_BEARER)
    assert answer.status == 200, answer.body
    (item,) = answer.json()["data"]
    assert item["embedding"] == vector("text to embed", 256)
    sent = simulator.seen[-1].request
    assert sent.path == f"{THERE}/google/models/text-embedding-004:predict"
    assert sent.json() == {
        "instances": [{"content": "text to embed", "task_type": "RETRIEVAL_DOCUMENT", "title": "Document title"}],
        "parameters": {"outputDimensionality": 256, "autoTruncate": True},
    }
    row = gateway.new_row()
    assert (row["input_items"], row["input_tokens"]) == (1, 3)


def test_images_by_imagen(gateway: Proxy, simulator: Simulator) -> None:
    answer = call(gateway.url, "/v1/images/generations", SUNSET, headers=OPENAI_BEARER)
    assert answer.status == 200, answer.body
    assert [look_at_text(image["b64_json"]).size for image in answer.json()["data"]] == [(1024, 1024)] * 2
    sent = simulator.seen[-1].request
    assert sent.path == f"{THERE}/google/models/imagen-4.0-generate-001:predict"
    assert not PLACE.keys() & sent.json()["parameters"].keys()
    row = gateway.new_row()
    assert (row["images"], row["attempts"], row["usage_state"]) == (2, 1, "final")


ALIASED = """
services:
  prod: {{provider: vertex, auth: service_account, credentials: {key_file}, location: us-central1, openai: convert}}
routes:
  - {{service: prod}}
aliases: {{vertex-imagen: imagen-4.0-generate-001}}
"""


def test_an_alias_of_imagen(
    start_proxy: StartProxy, simulator: Simulator, key_file: Path, tmp_path: Path, run_client: RunClient
) -> None:
    """This one has no `/v1` in its base URL, and prints a URL that there is none of."""
    config = tmp_path / "gateway.yaml"
    config.write_text(ALIASED.format(key_file=key_file))
    proxy = start_proxy(f"gateway_config={config}", mode=f"reverse:{simulator.url}", serve=True)
    told = run_client("image_examples.py", {"base_url": proxy.url, "folder": str(tmp_path), "calls": ["alias"]})
    assert told == {"alias": [1, None, [1024, 1024]]}
    model = "projects/test-project/locations/us-central1/publishers/google/models/imagen-4.0-generate-001"
    assert simulator.seen[-1].request.path == f"/v1/{model}:predict"
    row = proxy.new_row()
    assert (row["operation"], row["images"], row["rewritten"]) == ("images/generations", 1, 1)


def test_an_edit_in_googles_own_format(gateway: Proxy, simulator: Simulator) -> None:
    """By a publisher of another name."""
    body = {
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "Edit this image: make the sky more blue"},
                    {"inlineData": {"mimeType": "image/png", "data": CAT}},
                ],
            }
        ],
        "generationConfig": {"maxOutputTokens": 8192, "responseModalities": ["TEXT", "IMAGE"]},
    }
    path = "/api/v1/publishers/googleVertexAI/models/gemini-3-pro-image:generateContent"
    answer = call(gateway.url, path, body, headers=BEARER)
    assert answer.status == 200, answer.body
    parts = answer.json()["candidates"][0]["content"]["parts"]
    made = [part["inlineData"] for part in parts if "inlineData" in part and not part.get("thought")]
    assert [look_at_text(image["data"], image["mimeType"]).size for image in made] == [(1024, 1024)]
    sent = simulator.seen[-1]
    model = "projects/test-project/locations/global/publishers/google/models/gemini-3-pro-image"
    assert sent.request.path == f"/v1/{model}:generateContent"
    assert sent.request.json() == body
    row = gateway.new_row()
    assert (row["publisher"], row["model"], row["images"]) == ("google", "gemini-3-pro-image", 1)
    assert sent.answer
    assert {name: row[name] for name in sent.answer.reported} == sent.answer.reported
