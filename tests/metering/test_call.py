import time
import uuid
from dataclasses import fields

import pytest

from metering.call import BILLED
from metering.call import COLUMNS
from metering.call import Call
from metering.call import Reading
from metering.call import count
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


def test_what_a_reading_tells_is_a_column() -> None:
    told = {field.name for field in fields(Reading)} - {"content", "terminal", "failed"}
    assert told <= set(COLUMNS)
    assert set(BILLED) <= told


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (3, 3),
        (0, 0),
        ("123", 123),
        (4.0, 4),
        (2**53, 2**53),
        (None, None),
        (True, None),
        (-1, None),
        (1.5, None),
        (2**53 + 1, None),
        ("x", None),
        ("9" * 5000, None),
        (float("nan"), None),
        ([1], None),
    ],
)
def test_count(value: object, known: int | None) -> None:
    assert count(value) == known


@pytest.mark.parametrize("text", ["gemini-2.5-flash", "claude@20241022", "projects/p/operations/1", "STOP", "a:b"])
def test_word_takes_names(text: str) -> None:
    assert word(text) == text


@pytest.mark.parametrize("text", ["two words", "", "x" * 65, "line\nbreak", 5, None, "<b>", "quote'"])
def test_word_takes_no_text(text: object) -> None:
    assert word(text) is None
