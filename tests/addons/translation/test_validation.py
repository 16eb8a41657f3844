from typing import Annotated
from typing import Literal

import pytest
from pydantic import Field

from addons.translation.errors import InvalidRequest
from addons.translation.validation import GoogleModel
from addons.translation.validation import Model
from addons.translation.validation import camel
from addons.translation.validation import is_finite
from addons.translation.validation import json_object
from addons.translation.validation import lower
from addons.translation.validation import member_of_text
from addons.translation.validation import upper
from addons.translation.validation import validated


class Part(Model):
    kind: Literal["a", "b"]
    size: int = 0


class Named(Model):
    name: str


class Said(Model):
    type: Literal["text"]
    text: str | Named
    part: Part | None = None


class Seen(Model):
    type: Literal["image"]


class Call(Model):
    type: Literal["text"]
    text: Named


class Body(Model):
    parts: list[Part]
    said: list[Annotated[Said | Seen, Field(discriminator="type")]] | None = None
    calls: list[Call] | None = None


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
        # Branches are called what members are.
        ({"parts": [], "said": [{"type": "text", "text": "a", "part": {"kind": "c"}}]}, "said[0].part.kind"),
        ({"parts": [], "said": [{"type": "text", "part": {"kind": "a"}}]}, "said[0].text"),
        ({"parts": [], "said": [{"type": "text", "text": {"name": 5}}]}, "said[0].text.name"),
        ({"parts": [], "calls": [{"type": "text", "text": {"name": 5}}]}, "calls[0].text.name"),
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


@pytest.mark.parametrize(
    ("name", "expected"),
    [("max_items", "maxItems"), ("maxItems", "maxItems"), ("$ref", "$ref"), ("_x", "X"), ("a_1", "a1"), ("", "")],
)
def test_camel_case(name: str, expected: str) -> None:
    assert camel(name) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 0.5, "x", None]}, True),
        ({"a": [{"b": float("inf")}]}, False),
        ([float("-inf")], False),
        (float("nan"), False),
        (10**400, True),
    ],
)
def test_numbers_that_json_has_no_word_for(value: object, expected: bool) -> None:
    assert is_finite(value) is expected


@pytest.mark.parametrize("value", [None, 5, ["a"], {"a": "B"}])
def test_what_is_no_text_is_left_as_it_is(value: object) -> None:
    assert lower(value) == upper(value) == member_of_text("url")(value) == value


def test_texts_in_other_words() -> None:
    assert (lower("aB"), upper("aB"), member_of_text("url")("aB")) == ("ab", "AB", {"url": "aB"})


def test_a_body() -> None:
    assert json_object(b'{"a": [1]}') == {"a": [1]}


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b"\xff", "not JSON"),
        (b"null", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b'"a"', "not a JSON object"),
        (b"5", "not a JSON object"),
    ],
)
def test_what_is_no_body(raw: bytes, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        json_object(raw)
