from typing import Any

import pytest
from hypothesis import given

from metering.usage.counting import CountReader
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.metering.usage.told import counts
from tests.metering.usage.told import pruned
from tests.metering.usage.told import read

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        ({"totalTokens": 31, "totalBillableCharacters": 96}, 31),
        ({"total_tokens": 31}, 31),
        ({"totalTokens": 0}, 0),
        ({"input_tokens": 12}, 12),
        ({"tokensInfo": [{"tokenIds": ["1", "2"], "tokens": ["YQ=="]}, {"tokenIds": ["3"]}]}, 3),
        ({}, None),
    ],
)
def test_answers(answer: Json, counted: int | None) -> None:
    expected = {} if counted is None else {"counted_tokens": counted}
    assert counts(CountReader(), answer) == expected
    assert counts(CountReader(), *pruned(CountReader(), answer)) == expected


@given(value=json_values)
def test_any_shape(value: object) -> None:
    read(
        CountReader(),
        value,
        {"totalTokens": value},
        {"tokensInfo": value},
        {"tokensInfo": [value]},
        *ANYTHING,
    )
