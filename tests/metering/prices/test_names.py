import pytest

from metering.prices.names import is_of


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gemini-2.5-pro", "gemini-2.5-pro"),
        ("Gemini-2.5-Pro", "gemini-2.5-pro"),
        ("gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-opus-4-6@default", "claude-opus-4-6"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gemini-9", "gemini-*"),
        ("imagegeneration@006", "imagegeneration"),
    ],
)
def test_the_same_model(model: str, name: str) -> None:
    assert is_of(model, name)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gemini-2.5-pro-next", "gemini-2.5-pro"),
        ("gemini-2.5-flash-lite", "gemini-2.5-flash"),
        ("gemini-2.5-flash-preview-04-17", "gemini-2.5-flash"),
        ("claude-opus-4-10", "claude-opus-4-1"),
        ("claude-opus-5-5", "claude-opus-5"),
        ("my-gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini", "gemini-2.5-pro"),
        ("claude-9", "gemini-*"),
    ],
)
def test_another_model(model: str, name: str) -> None:
    assert not is_of(model, name)
