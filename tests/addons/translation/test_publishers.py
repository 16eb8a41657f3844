import pytest

from addons.translation.conversation import InvalidRequest
from addons.translation.publishers import FAMILIES
from addons.translation.publishers import Model
from addons.translation.publishers import model_of


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("gemini-2.5-flash", Model("gemini-2.5-flash")),
        ("google/gemini-2.5-flash", Model("gemini-2.5-flash")),
        ("vertex_ai/gemini-2.5-flash", Model("gemini-2.5-flash")),
        ("vertex/gemini/gemini-2.5-flash", Model("gemini-2.5-flash")),
        ("publishers/google/models/gemini-2.5-flash", Model("gemini-2.5-flash")),
        ("1234567890", Model("1234567890")),
        ("endpoints/1234567890", Model("1234567890")),
        ("meta/llama-4-maverick-17b-128e-instruct-maas", Model("llama-4-maverick-17b-128e-instruct-maas", "meta")),
        ("llama-4-scout-maas", Model("llama-4-scout-maas", "meta")),
        ("vertex_ai/deepseek-ai/deepseek-v3.1-maas", Model("deepseek-v3.1-maas", "deepseek-ai")),
        ("qwen3-235b", Model("qwen3-235b", "qwen")),
        ("gpt-oss-120b-maas", Model("gpt-oss-120b-maas", "openai")),
        ("mistral-small-2503@001", Model("mistral-small-2503@001", "mistralai")),
        ("google/gemma-3-27b-it", Model("gemma-3-27b-it", "google")),
        ("claude-sonnet-4@20250514", Model("claude-sonnet-4@20250514", "anthropic")),
    ],
)
def test_models(text: str, model: Model) -> None:
    assert model_of(text) == model


@pytest.mark.parametrize("text", ["", "a b", "../x", "x/../y", "a/b/c", "m:predict", "m?x", "m#", "é", "x" * 200])
def test_what_is_no_model(text: str) -> None:
    with pytest.raises(InvalidRequest, match="write a model such as"):
        model_of(text)


@pytest.mark.parametrize(
    ("model", "resource"),
    [
        (Model("gemini-2.5-flash"), "publishers/google/models/gemini-2.5-flash:act"),
        (Model("claude-sonnet-4@20250514", "anthropic"), "publishers/anthropic/models/claude-sonnet-4@20250514:act"),
        (Model("1234567890"), "endpoints/1234567890:act"),
        (Model("123", "meta"), "publishers/meta/models/123:act"),
    ],
)
def test_resources(model: Model, resource: str) -> None:
    assert model.resource("act") == resource


def test_no_family_hides_another() -> None:
    names = [family.name.pattern.strip("(?:)").split("|")[0].replace("meta-)?", "") for family in FAMILIES]
    for name, family in zip(names, FAMILIES, strict=True):
        assert next(one for one in FAMILIES if one.name.match(name)) == family
