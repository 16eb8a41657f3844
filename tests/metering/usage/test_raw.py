import json

from hypothesis import given

from metering.usage.raw import LARGEST
from metering.usage.raw import allowed
from tests.metering.test_json_array import json_values


def test_numbers_and_enums_under_known_names() -> None:
    usage = {
        "promptTokenCount": 3,
        "trafficType": "ON_DEMAND",
        "service_tier": "standard",
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": "3", "note": 5}],
        "unknown": 5,
        "totalTokenCount": "a text",
        "cache_creation": {"ephemeral_5m_input_tokens": 1, "x": {}},
    }
    assert allowed(usage) == {
        "promptTokenCount": 3,
        "trafficType": "ON_DEMAND",
        "service_tier": "standard",
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 3}],
        "cache_creation": {"ephemeral_5m_input_tokens": 1},
    }


def test_nothing() -> None:
    assert allowed({}) is None
    assert allowed({"unknown": 1}) is None


def test_too_much() -> None:
    detail = {"modality": "TEXT", "tokenCount": 10**12}
    lists = ("promptTokensDetails", "candidatesTokensDetails", "cacheTokensDetails")
    assert allowed({name: [detail] * 32 for name in lists}) is None


@given(value=json_values)
def test_any_shape(value: object) -> None:
    kept = allowed({"usage": value, "iterations": value, "promptTokenCount": value, "trafficType": value})
    assert len(json.dumps(kept)) <= LARGEST
