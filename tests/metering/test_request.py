import json

import pytest

from metering.json_array import SMALL
from metering.paths import parse
from metering.request import Asked
from metering.request import asked

CHAT = "/v1/chat/completions"
VERTEX_CHAT = "/v1/projects/p/locations/l/endpoints/openapi/chat/completions"
LIVE = "/ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent"
CLAUDE_COUNT = "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict"
VEO = "/v1/projects/p/locations/l/publishers/google/models/veo:predictLongRunning"


def ask(path: str, body: object, content_type: str = "application/json") -> Asked:
    target = parse("POST", path)
    assert target
    return asked(target, content_type, body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (CHAT, {"model": "gpt-4o"}, Asked(model="gpt-4o")),
        (CHAT, {"model": "vertex_ai/gemini-2.5-pro"}, Asked(model="gemini-2.5-pro")),
        (CHAT, {"model": "google/gemini-2.5-pro"}, Asked(model="gemini-2.5-pro")),
        (CHAT, {"model": "some text that is no name"}, Asked()),
        (CHAT, {"model": 5}, Asked()),
        (CHAT, [], Asked()),
        (CHAT, b"not json", Asked()),
        (CHAT, b"", Asked()),
        (VERTEX_CHAT, {"model": "google/gemini-2.5-pro"}, Asked(publisher="google", model="gemini-2.5-pro")),
        (VERTEX_CHAT, {"model": "meta/llama-4-maas"}, Asked(publisher="meta", model="llama-4-maas")),
        (CLAUDE_COUNT, {"model": "claude-sonnet-4"}, Asked(model="claude-sonnet-4")),
        (
            LIVE,
            {"setup": {"model": "projects/p/locations/us-east1/publishers/google/models/live"}},
            Asked("p", "us-east1", "google", "live"),
        ),
        (
            LIVE,
            {"setup": {"model": "publishers/google/models/live"}},
            Asked(publisher="google", model="live"),
        ),
        (LIVE, {"client_content": {}}, Asked()),
        (
            VEO,
            {"instances": [{"prompt": "x"}], "parameters": {"sampleCount": 2, "durationSeconds": 8}},
            Asked(usage_raw={"sampleCount": 2, "durationSeconds": 8}),
        ),
        (VEO, {"instances": [{"prompt": "x"}]}, Asked()),
    ],
)
def test_what_a_body_says(path: str, body: object, expected: Asked) -> None:
    assert ask(path, body) == expected


def test_a_body_of_any_size() -> None:
    body = {"messages": [{"content": "A" * 2 * SMALL}], "model": "gpt-4o"}
    assert ask(CHAT, body) == Asked(model="gpt-4o")


def test_a_form() -> None:
    form = (
        b'--B\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nmodel\r\n'
        b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\ngpt-image-1\r\n--B--\r\n'
    )
    assert ask("/v1/images/edits", form, "multipart/form-data; boundary=B") == Asked(model="gpt-image-1")
    assert ask("/v1/images/edits", b"--B--", "multipart/form-data; boundary=B") == Asked()
