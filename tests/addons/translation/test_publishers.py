import pytest

from addons.translation.conversation import InvalidRequest
from addons.translation.publishers import FAMILIES
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
    with pytest.raises(InvalidRequest, match="write a model such as"):
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


def test_no_family_hides_another() -> None:
    names = [family.name.pattern.strip("(?:)").split("|")[0].replace("meta-)?", "") for family in FAMILIES]
    for name, family in zip(names, FAMILIES, strict=True):
        assert next(one for one in FAMILIES if one.name.match(name)) == family
