import pytest

from addons.translation.errors import InvalidRequest
from addons.translation.publishers import PUBLISHERS
from addons.translation.publishers import ServedModel
from addons.translation.publishers import model_of


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("gemini-2.5-flash", ServedModel("gemini-2.5-flash")),
        ("google/gemini-2.5-flash", ServedModel("gemini-2.5-flash")),
        ("vertex_ai/gemini-2.5-flash", ServedModel("gemini-2.5-flash")),
        ("vertex/gemini/gemini-2.5-flash", ServedModel("gemini-2.5-flash")),
        ("publishers/google/models/gemini-2.5-flash", ServedModel("gemini-2.5-flash")),
        ("1234567890", ServedModel("1234567890")),
        ("endpoints/1234567890", ServedModel("1234567890")),
        (
            "meta/llama-4-maverick-17b-128e-instruct-maas",
            ServedModel("llama-4-maverick-17b-128e-instruct-maas", "meta"),
        ),
        ("llama-4-scout-maas", ServedModel("llama-4-scout-maas", "meta")),
        ("vertex_ai/deepseek-ai/deepseek-v3.1-maas", ServedModel("deepseek-v3.1-maas", "deepseek-ai")),
        ("qwen3-235b", ServedModel("qwen3-235b", "qwen")),
        ("gpt-oss-120b-maas", ServedModel("gpt-oss-120b-maas", "openai")),
        ("mistral-small-2503@001", ServedModel("mistral-small-2503@001", "mistralai")),
        ("google/gemma-3-27b-it", ServedModel("gemma-3-27b-it", "google")),
        ("claude-sonnet-4@20250514", ServedModel("claude-sonnet-4@20250514", "anthropic")),
    ],
)
def test_models(text: str, model: ServedModel) -> None:
    assert model_of(text) == model


@pytest.mark.parametrize("text", ["", "a b", "../x", "x/../y", "a/b/c", "m:predict", "m?x", "m#", "é", "x" * 200])
def test_what_is_no_model(text: str) -> None:
    with pytest.raises(InvalidRequest, match="write one such as"):
        model_of(text)


@pytest.mark.parametrize(
    ("model", "resource"),
    [
        (ServedModel("gemini-2.5-flash"), "publishers/google/models/gemini-2.5-flash:act"),
        (
            ServedModel("claude-sonnet-4@20250514", "anthropic"),
            "publishers/anthropic/models/claude-sonnet-4@20250514:act",
        ),
        (ServedModel("1234567890"), "endpoints/1234567890:act"),
        (ServedModel("123", "meta"), "publishers/meta/models/123:act"),
    ],
)
def test_resources(model: ServedModel, resource: str) -> None:
    assert model.resource("act") == resource


NAMES = {
    "anthropic": "claude-opus-4-6",
    "mistralai": "mistral-large ministral-3b codestral-2 pixtral-12b magistral-small devstral-2",
    "ai21": "jamba-1.5-mini",
    "meta": "llama-4-scout meta-llama-3",
    "deepseek-ai": "deepseek-v3.1-maas",
    "qwen": "qwen3-235b",
    "openai": "gpt-oss-120b-maas",
    "minimaxai": "minimax-m2-maas",
    "moonshotai": "kimi-k2-thinking-maas",
    "zai-org": "glm-4.7-maas",
    "google": "gemma-3-27b-it",
    "xai": "grok-4",
    None: "gemini-3-pro imagen-4.0 veo-3 somebodys-claude",
}


@pytest.mark.parametrize("publisher", NAMES)
def test_publishers(publisher: str | None) -> None:
    for name in NAMES[publisher].split():
        assert model_of(name) == ServedModel(name, publisher)


def test_each_publisher_is_tested() -> None:
    assert {*PUBLISHERS.values(), None} == NAMES.keys()
