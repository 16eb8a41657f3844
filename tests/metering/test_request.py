import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.json_array import SMALL
from metering.paths import parse
from metering.request import Asked
from metering.request import asked

CHAT = "/v1/chat/completions"
VERTEX_CHAT = "/v1/projects/p/locations/l/endpoints/openapi/chat/completions"
LIVE = "/ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent"
CLAUDE_COUNT = "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict"
INTERACTIONS = "/v1beta1/projects/p/locations/l/interactions"
VEO = "/v1/projects/p/locations/l/publishers/google/models/veo-3.1-generate-001:predictLongRunning"
VEO_2 = "/v1/projects/p/locations/l/publishers/google/models/veo-2.0-generate-001:predictLongRunning"
GEMINI_VEO = "/v1beta/models/veo-3.1-generate-preview:predictLongRunning"


def ask(path: str, body: object, content_type: str = "application/json") -> Asked:
    target = parse("POST", path)
    assert target
    return asked(target, content_type, body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize("at_once", [1_000_000, -1], ids=["parsed", "scanned"])
def test_what_a_body_says(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.request.AT_ONCE", at_once)
    table: list[tuple[str, object, Asked]] = [
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
        (VEO, {"parameters": {"generateAudio": True}}, Asked(variant="720p+audio")),
        (VEO, {"parameters": {"generate_audio": False, "resolution": "1080p"}}, Asked(variant="1080p")),
        (VEO, {"parameters": {"generateAudio": True, "resolution": "4K"}}, Asked(variant="4k+audio")),
        (VEO, {"parameters": {"generateAudio": True, "resolution": "a secret"}}, Asked()),
        (VEO, {"parameters": {"generateAudio": "yes", "resolution": "1080p"}}, Asked()),
        (VEO, {"parameters": {"generateAudio": True, "resolution": 1080}}, Asked()),
        (VEO_2, {"parameters": {"durationSeconds": 5}}, Asked(usage_raw={"durationSeconds": 5}, variant="720p")),
        (GEMINI_VEO, {"parameters": {"resolution": "1080p"}}, Asked(variant="1080p+audio")),
        (INTERACTIONS, {"model": "gemini-3.5-flash", "input": "x"}, Asked(model="gemini-3.5-flash")),
        (INTERACTIONS, {"model": "models/gemini-3.5-flash"}, Asked(model="gemini-3.5-flash")),
        (
            INTERACTIONS,
            {"agent": "deep-research-pro-preview-12-2025"},
            Asked(model="deep-research-pro-preview-12-2025"),
        ),
        (INTERACTIONS, {"model": {"model": "x"}, "input": [{"model": "y"}]}, Asked()),
        ("/v1beta/interactions", {"input": "x", "model": "gemini-3.5-flash"}, Asked(model="gemini-3.5-flash")),
        (f"{INTERACTIONS}:create", {"interaction": {"modelInteraction": {"model": "g"}}}, Asked(model="g")),
        (f"{INTERACTIONS}:createStream", {"interaction": {"agent_interaction": {"agent": "a"}}}, Asked(model="a")),
        (f"{INTERACTIONS}:create", {"agent": "projects/p/locations/l/agents/a"}, Asked("p", "l", model="a")),
        # Nothing else is answered by an agent.
        (CHAT, {"agent": "x"}, Asked()),
    ]
    assert [(path, body, ask(path, body)) for path, body, _ in table] == table


def test_a_body_of_any_size() -> None:
    body = {"messages": [{"content": "A" * 2 * SMALL}], "model": "gpt-4o"}
    assert ask(CHAT, body) == Asked(model="gpt-4o")


@pytest.mark.parametrize(
    "many",
    [b"[]," * 3_000_000 + b"[]", b'"a",' * 2_000_000 + b"1", b"1," * 4_000_000 + b"1", b"[" * 1000 + b"]" * 1000],
    ids=["arrays", "texts", "numbers", "nested"],
)
def test_many_small_values(many: bytes) -> None:
    """They are skipped, and not built."""
    body = b'{"messages":[' + many + b'],"model":"gpt-4o"}'
    tracemalloc.start()
    assert ask(CHAT, body) == Asked(model="gpt-4o")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_body_that_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.request.AT_ONCE", 10)
    monkeypatch.setattr("metering.request.PIECE", 7)
    assert ask(LIVE, {"x": "A" * SMALL, "setup": {"model": "models/live"}}) == Asked(model="live")
    assert ask(CHAT, b"nothing like JSON") == Asked()
    assert ask(CHAT, b'{"model": [' + b"[]," * 200_000) == Asked()


@pytest.mark.parametrize("value", [b"1" * 100_000, b"[" * 100_000, b'"' + b"a" * 2000 + b'"', b"{" * 100_000, b"\xff"])
def test_a_model_that_is_none(value: bytes) -> None:
    assert ask(CHAT, b'{"model":' + value + b"}") in (Asked(), Asked(model="a"))


@given(st.binary())
def test_any_bytes(body: bytes) -> None:
    ask(CHAT, body)
    ask(CHAT, b'{"model": "m", ' + body)


def test_a_video_whose_body_is_no_json() -> None:
    """It is searched by the scanner; what comes before the mistake is read."""
    target = parse("POST", "/v1/publishers/google/models/veo-3.0-generate-001:predictLongRunning")
    assert target
    body = b'{"parameters": {"sampleCount": 2, "durationSeconds": 8, "other": 1}, "instances": [nonsense]}'
    assert asked(target, "application/json", body).usage_raw == {"sampleCount": 2, "durationSeconds": 8}


def test_a_form_with_many_names() -> None:
    """Each is looked at once: header lines without end are not searched again from every one of them."""
    form = b"--B\r\n" + b'x:name="model"\r\n' * 500_000
    assert ask("/v1/images/edits", form, "multipart/form-data; boundary=B") == Asked()


def test_a_form() -> None:
    form = (
        b'--B\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nmodel\r\n'
        b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\ngpt-image-1\r\n--B--\r\n'
    )
    assert ask("/v1/images/edits", form, "multipart/form-data; boundary=B") == Asked(model="gpt-image-1")
    assert ask("/v1/images/edits", form, "Multipart/Form-Data; boundary=B") == Asked(model="gpt-image-1")
    assert ask("/v1/images/edits", b"--B--", "multipart/form-data; boundary=B") == Asked()
