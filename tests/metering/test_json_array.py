import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.budget import Budget
from metering.json_array import LONGEST_TEXT
from metering.json_array import SMALL
from metering.json_array import Cut
from metering.json_array import JsonBody
from metering.json_array import JsonDocument
from metering.json_array import JsonScanner

WANTED = frozenset({"a", "b", "usage"})


def scan(data: bytes, cuts: list[int] | None = None) -> list[object]:
    scanner = JsonScanner(WANTED)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts or []), len(data)]
    values = [v for start, end in pairwise(edges) for v in scanner.feed(data[start:end])]
    return values + scanner.flush()


def prune(value: Any) -> Any:
    """What the scanner must build of a value."""
    if isinstance(value, dict):
        return {name: prune(member) for name, member in value.items() if name in WANTED}
    if isinstance(value, list):
        return [prune(item) for item in value]
    return value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*WANTED, "x", "é", ""]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(
    value=st.dictionaries(st.sampled_from([*WANTED, "x", "y"]), json_values),
    cuts=st.lists(st.integers(0, 400), max_size=6),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_a_value_cut_anywhere(value: dict[str, Any], cuts: list[int], ascii_only: bool, indent: int | None) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert scan(data, cuts) == [prune(value)]


@pytest.mark.parametrize(
    ("text", "is_cut"),
    [
        ('{"a": {"b": 1}}', False),
        ('{"a": {"b": 1}', True),
        ('[{"a": 1}, {"a": 2}', False),
        ('[{"a": 1}, {"a": 2', True),
    ],
)
def test_what_is_cut_is_marked(text: str, is_cut: bool) -> None:
    assert isinstance(scan(text.encode())[-1], Cut) == is_cut


@given(values=st.lists(json_values, max_size=5), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_the_elements_of_an_array(values: list[Any], cuts: list[int]) -> None:
    data = json.dumps(values, indent=1).encode()
    assert prune(scan(data, cuts)) == prune(values)


@given(st.lists(st.binary()))
def test_any_bytes(pieces: list[bytes]) -> None:
    scanner = JsonScanner(WANTED)
    for piece in pieces:
        scanner.feed(piece)
    scanner.flush()


@pytest.mark.parametrize(
    ("cut", "values"),
    [
        (b'{"usage": {"a": 12, "b": 34', [{"usage": {"a": 12}}]),
        (b'{"usage": {"a": 12, "b": "te', [{"usage": {"a": 12}}]),
        (b'{"usage": {"a": 12}, "x": {"usa', [{"usage": {"a": 12}}]),
        (b'[{"a": 1}, {"a": 2', [{"a": 1}, {}]),
        (b'{"a": [1, {"b": 2}', [{"a": [1, {"b": 2}]}]),
        (b"", []),
        (b"   ", []),
    ],
)
def test_what_a_cut_value_still_tells(cut: bytes, values: list[object]) -> None:
    assert scan(cut) == values


def test_an_element_comes_as_soon_as_it_is_complete() -> None:
    scanner = JsonScanner(WANTED)
    assert scanner.feed(b'[{"a": 1}') == [{"a": 1}]
    assert scanner.feed(b',\r\n{"a": 2}]') == [{"a": 2}]


def test_long_strings_are_known_but_not_kept() -> None:
    (value,) = scan(b'{"a": "' + b"A" * 10_000_000 + b'", "usage": {"b": 3}}')
    assert isinstance(value, dict)
    assert len(value["a"]) == LONGEST_TEXT
    assert value["usage"] == {"b": 3}


def test_names_that_only_look_wanted() -> None:
    assert scan(b'{"x": {"usage": {"a": 1}}, "a": "usage", "usage": 2}') == [{"a": "usage", "usage": 2}]


def test_deep_nesting_is_skipped() -> None:
    assert scan(b"[" * 5_000 + b"]" * 5_000) != []
    assert scan(b'{"x": ' + b"[" * 5_000 + b"]" * 5_000 + b', "a": 1}') == [{"a": 1}]


def test_endless_garbage_is_not_held() -> None:
    scanner = JsonScanner(WANTED)
    for _ in range(100):
        scanner.feed(b"A" * 100_000)
    assert len(scanner._rest) <= LONGEST_TEXT


class TestDocument:
    def test_small_values_are_parsed_whole(self) -> None:
        document = JsonDocument(WANTED)
        document.feed(b'{"anything": ')
        document.feed(b"[1]}")
        assert document.close() == {"anything": [1]}

    def test_large_values_are_scanned(self) -> None:
        document = JsonDocument(WANTED)
        document.feed(b'{"x": "' + b"A" * SMALL)
        document.feed(b'", "a": 1}')
        assert document.close() == {"a": 1}

    @pytest.mark.parametrize("text", [b"[DONE]", b"", b"nothing like it"])
    def test_what_is_not_json(self, text: bytes) -> None:
        document = JsonDocument(WANTED)
        document.feed(text)
        assert document.close() == text

    @pytest.mark.parametrize("text", [b"\xff\xf3", b"1\n00:00:00,000 --> [", b'"text" {', b'[{"a": 1}, '])
    def test_what_is_large_and_no_object(self, text: bytes) -> None:
        budget = Budget()
        document = JsonDocument(WANTED, budget)
        for _ in range(50):
            document.feed(text * 40_000)
        beginning = document.close()
        assert isinstance(beginning, bytes)
        assert beginning == (text * 40_000)[: len(beginning)]

    def test_a_cut_object(self) -> None:
        document = JsonDocument(WANTED)
        document.feed(b'{"a": {"b": 1}, "x')
        assert document.close() == {"a": {"b": 1}}


class TestBody:
    def test_an_object_comes_at_the_end(self) -> None:
        body = JsonBody(WANTED)
        assert body.feed(b" \n") == []
        assert body.feed(b'{"a": 1}') == []
        assert body.flush() == [{"a": 1}]

    def test_an_array_comes_element_by_element(self) -> None:
        body = JsonBody(WANTED)
        assert body.feed(b' [{"a": 1}, ') == [{"a": 1}]
        assert body.feed(b'{"a": 2}]') == [{"a": 2}]
        assert body.flush() == []

    def test_nothing(self) -> None:
        assert JsonBody(WANTED).flush() == []
