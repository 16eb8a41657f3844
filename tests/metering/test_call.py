import time
import uuid
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.call import BILLED
from metering.call import COLUMNS
from metering.call import TOKENS
from metering.call import Call
from metering.call import Reading
from metering.call import count
from metering.call import including
from metering.call import is_same_model
from metering.call import uuid7
from metering.call import word


def test_uuid7_is_one_and_in_order() -> None:
    made = []
    for _ in range(1000):
        made.append(uuid7())
        time.sleep(0.000_001)
    assert made == sorted(set(made))
    assert {uuid.UUID(one).version for one in made} == {7}
    assert {uuid.UUID(one).variant for one in made} == {uuid.RFC_4122}
    assert abs(int(made[0][:8] + made[0][9:13], 16) / 1000 - time.time()) < 60


def test_take_keeps_what_is_known() -> None:
    call = Call(started_at=1, model_served="gemini", input_tokens=5)
    call.take(Reading(input_tokens=None, output_tokens=0, terminal=True))
    assert (call.model_served, call.input_tokens, call.output_tokens) == ("gemini", 5, 0)


def test_forget_counts() -> None:
    call = Call(started_at=1, model_served="gemini", status=200, attempts=2)
    counted = {*SUMMED, *MODALITIES, "usage_raw"}
    for name in counted:
        setattr(call, name, {"text": 1} if "_by_" in name or name == "usage_raw" else 1)
    call.forget_counts()
    assert {name for name in counted if getattr(call, name) is not None} == set()
    assert (call.model_served, call.status, call.attempts) == ("gemini", 200, 2)


def test_what_a_reading_tells_is_a_column() -> None:
    no_columns = {"content", "terminal", "by_tokens", "measured", "failed", "iterations"}
    told = {field.name for field in fields(Reading)} - no_columns
    assert told <= set(COLUMNS)
    assert set(BILLED) <= told


PARTS = ("input_cached_tokens", "input_cache_write_tokens", "input_tool_tokens", "output_thought_tokens")
OTHERS = ("input_items", "search_queries", "counted_tokens")
MODALITIES = ("input_by_modality", "output_by_modality")
SUMMED = ("input_tokens", "output_tokens", "total_tokens", "images", "video_seconds", *PARTS, *OTHERS)
amounts = st.none() | st.integers(0, 9)
by_modality = st.none() | st.dictionaries(st.sampled_from(["text", "image", "audio"]), st.integers(0, 9))
readings = st.builds(
    Reading, **dict.fromkeys(SUMMED, amounts), **dict.fromkeys(MODALITIES, by_modality), content=st.booleans()
)


class TestPlus:
    def test_of_two(self) -> None:
        table: list[tuple[str, Any, Any, object]] = [
            ("input_tokens", 2, 3, 5),
            ("input_tokens", 0, 3, 3),
            ("input_tokens", None, 3, None),
            ("output_tokens", 3, None, None),
            ("images", None, 1, 1),
            ("video_seconds", 8, None, 8),
            ("total_tokens", None, None, None),
            ("input_cached_tokens", None, 3, 3),
            ("output_thought_tokens", 3, None, 3),
            ("input_tool_tokens", 3, 4, 7),
            ("input_cache_write_tokens", None, None, None),
            ("input_items", 250, 50, 300),
            ("input_by_modality", {"text": 2, "image": 258}, {"text": 3}, {"text": 5, "image": 258}),
            ("output_by_modality", None, {"image": 1290}, {"image": 1290}),
            ("output_by_modality", None, None, None),
        ]

        def both(name: str, one: Any, another: Any) -> object:
            return getattr(Reading(**{name: one}).plus(Reading(**{name: another})), name)

        assert [(*row[:3], both(*row[:3])) for row in table] == table

    def test_every_count_is_summed(self) -> None:
        counts = {field.name for field in fields(Reading) if field.type == "int | None" or field.type == int | None}
        assert counts == set(SUMMED)

    def test_names_are_of_the_first(self) -> None:
        first = Reading(model_served="g", response_id="a", finish_reason="STOP", traffic_type="ON_DEMAND")
        both = first.plus(Reading(model_served="h", response_id="b", finish_reason="SAFETY"))
        assert (both.model_served, both.response_id, both.finish_reason) == ("g", "a", "STOP")

    @given(readings, readings)
    def test_tokens_are_known_if_both_told_them(self, one: Reading, another: Reading) -> None:
        both = one.plus(another)
        for name in TOKENS:
            told = [getattr(reading, name) for reading in (one, another)]
            assert getattr(both, name) == (None if None in told else sum(told))

    @given(readings, readings, readings)
    def test_order_does_not_matter(self, one: Reading, another: Reading, third: Reading) -> None:
        assert one.plus(another) == another.plus(one)
        assert one.plus(another).plus(third) == one.plus(another.plus(third))

    @given(readings, readings)
    def test_neither_is_changed(self, one: Reading, another: Reading) -> None:
        before = repr((one, another))
        one.plus(another)
        assert repr((one, another)) == before


def test_count() -> None:
    known: list[tuple[object, int | None]] = [
        (3, 3),
        (0, 0),
        ("123", 123),
        (4.0, 4),
        (10**12, 10**12),
        (None, None),
        (True, None),
        (-1, None),
        (1.5, None),
        (10**12 + 1, None),
        ("1000000000001", None),
        (1e18, None),
        (float("inf"), None),
        (2**63, None),
        ("x", None),
        ("9" * 5000, None),
        (float("nan"), None),
        ([1], None),
    ]
    assert [(value, count(value)) for value, _ in known] == known


@pytest.mark.parametrize(
    ("whole", "parts", "counted"),
    [(10, (4, 10, None), 10), (10, (11,), 21), (0, (3, 2), 5), (10, (), 10), (None, (3,), None)],
)
def test_including(whole: int | None, parts: tuple[int | None, ...], counted: int | None) -> None:
    assert including(whole, *parts) == counted


MAAS_ID = "2025-06-11|10:00:00.292195-07|9.7.144.202|-123456789"
"""The id of an answer of a model as a service on Vertex AI, such as DeepSeek's."""


def test_word_takes_names() -> None:
    names = ["gemini-2.5-flash", "claude@20241022", "projects/p/operations/1", "STOP", "a:b", MAAS_ID]
    assert [word(name) for name in names] == names


def test_word_takes_no_text() -> None:
    texts = ["two words", "", "x" * 65, "line\nbreak", 5, None, "<b>", "quote'", "M\udcfcller", "a\u202eb", "a\x1b"]
    assert {text: word(text) for text in texts} == dict.fromkeys(texts)


def test_what_makes_usage_known() -> None:
    def known(name: str) -> tuple[bool, bool]:
        told: dict[str, Any] = {name: 0}
        return Reading(**told).counted, Reading(by_tokens=True, **told).counted

    expected = {
        # of any answer, of one that is paid by tokens
        "input_tokens": (True, True),
        "output_tokens": (True, True),
        "total_tokens": (True, True),
        "images": (True, False),
        "video_seconds": (True, False),
        "search_queries": (False, False),
        "input_items": (False, False),
        "measured": (False, False),
    }
    assert {name: known(name) for name in expected} == expected


def test_a_quantity_that_is_no_count_makes_usage_known() -> None:
    measured = Reading(measured=True)
    assert measured.counted
    assert Reading(measured=True, by_tokens=True).counted
    assert Reading().plus(measured).counted
    assert measured.plus(Reading()).counted
    assert not Reading().plus(Reading()).counted


def test_names_of_one_model() -> None:
    same = {
        ("claude-opus-4-6", "claude-opus-4-6@20260205"): True,
        ("claude-opus-4-6-20260205", "claude-opus-4-6@20260205"): True,
        ("claude-opus-4-6-20260205", "claude-opus-4-6"): True,
        ("claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet-v2"): True,
        ("claude-opus-4-6@default", "claude-opus-4-6-latest"): True,
        ("claude-opus-4-6", "claude-opus-4-7"): False,
        ("claude-opus-4", "claude-opus-4-1"): False,
        ("claude-opus-4-6", None): False,
        (None, None): False,
    }
    assert {(one, other): is_same_model(one, other) for one, other in same} == same
    assert {(one, other): is_same_model(other, one) for one, other in same} == same
