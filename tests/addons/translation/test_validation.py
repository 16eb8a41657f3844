from typing import Literal

import pytest

from addons.translation.conversation import InvalidRequest
from addons.translation.validation import GoogleModel
from addons.translation.validation import Model
from addons.translation.validation import validated


class Part(Model):
    kind: Literal["a", "b"]
    size: int = 0


class Body(Model):
    parts: list[Part]


class Config(GoogleModel):
    aspect_ratio: str | None = None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "parts"),
        ({"parts": 5}, "parts"),
        ({"parts": [{"kind": "a"}, {"kind": "c"}]}, "parts[1].kind"),
        ({"parts": [{"kind": "a", "size": "5"}]}, "parts[0].size"),
        ([], ""),
    ],
)
def test_the_client_is_told_where(body: object, param: str) -> None:
    with pytest.raises(InvalidRequest) as told:
        validated(Body, body)
    assert told.value.param == param
    assert told.value.message.startswith(param)


def test_what_is_not_declared_is_kept() -> None:
    assert validated(Body, {"parts": [], "user": "x"}).model_extra == {"user": "x"}


@pytest.mark.parametrize(
    ("given", "ratio"),
    [
        ({"aspectRatio": "1:1"}, "1:1"),
        ({"aspect_ratio": "1:1"}, "1:1"),
        ({"aspect_ratio": "1:1", "aspectRatio": None}, None),
    ],
)
def test_googles_spellings(given: object, ratio: str | None) -> None:
    assert validated(Config, given).aspect_ratio == ratio


def test_what_google_would_refuse_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        validated(Config, {"aspect": "1:1"})
