import pytest

from metering.json_values import both
from metering.json_values import items
from metering.json_values import member
from metering.json_values import number_of
from metering.json_values import snake
from metering.json_values import text_of


@pytest.mark.parametrize(
    ("camel", "expected"), [("usageMetadata", "usage_metadata"), ("name", "name"), ("gcsUri", "gcs_uri")]
)
def test_snake(camel: str, expected: str) -> None:
    assert snake(camel) == expected


def test_both() -> None:
    assert both("gcsUri name") == {"gcsUri", "gcs_uri", "name"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"tokenCount": 1}, 1),
        ({"token_count": 1}, 1),
        ({"tokenCount": 0, "token_count": 1}, 0),
        ({"tokenCount": None, "token_count": 1}, None),
        ({}, None),
        (None, None),
        ([], None),
        ("tokenCount", None),
    ],
)
def test_member(value: object, expected: int | None) -> None:
    assert member(value, "tokenCount") == expected


def test_items() -> None:
    assert items([1]) == [1]
    assert items({"a": 1}) == items(None) == []


@pytest.mark.parametrize(("value", "text", "number"), [("a", "a", 7), ("", None, 7), (5, None, 5), (0, None, 0)])
def test_texts_and_numbers(value: object, text: str | None, number: int) -> None:
    assert (text_of(value), number_of(value, 7)) == (text, number)


@pytest.mark.parametrize("value", [None, True, 1.0, [], {}])
def test_what_is_neither(value: object) -> None:
    assert (text_of(value), number_of(value)) == (None, 0)
