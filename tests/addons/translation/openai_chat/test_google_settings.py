import pytest

from addons.translation.errors import InvalidRequest
from addons.translation.openai_chat.google_settings import GoogleExtra
from addons.translation.validation import validated


def test_members_in_either_spelling() -> None:
    written = {"thinking_config": {"thinking_level": "low"}, "imageConfig": {"aspectRatio": "1:1"}, "new": 1}
    extra = validated(GoogleExtra, written)
    assert extra.model_dump(by_alias=True, exclude_none=True) == {
        "thinkingConfig": {"thinkingLevel": "LOW"},
        "imageConfig": {"aspectRatio": "1:1"},
        "new": 1,
    }


@pytest.mark.parametrize(
    ("extra", "param"),
    [
        ({"thinking_config": {"thinking_budget": -2}}, "thinkingConfig.thinkingBudget"),
        ({"image_config": {"person_generation": "ALL"}}, "imageConfig.personGeneration"),
        ({"safety_settings": [{"category": "x", "threshold": "OFF"}]}, "safetySettings[0].category"),
    ],
)
def test_what_is_wrong_is_named(extra: dict[str, object], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        validated(GoogleExtra, extra)
    assert caught.value.param == param
