from typing import Any

import pytest
from hypothesis import given

from metering.usage.anthropic import AnthropicReader
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.metering.usage.told import counts
from tests.metering.usage.told import pruned
from tests.metering.usage.told import told

Json = dict[str, Any]

# Recorded on Vertex, March 2026.
UNARY: Json = {
    "model": "claude-3-7-sonnet-20250219",
    "id": "msg_vrtx_011e",
    "type": "message",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 16,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 16,
    },
}
START: Json = {
    "type": "message_start",
    "message": {
        "id": "msg_vrtx_01UZ",
        "model": "claude-sonnet-4",
        "stop_reason": None,
        "usage": {
            "input_tokens": 16,
            "cache_creation_input_tokens": 2,
            "cache_read_input_tokens": 30,
            "output_tokens": 5,
        },
    },
}
DELTA: Json = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}
STOP: Json = {"type": "message_stop"}


def test_recorded_unary() -> None:
    assert counts(AnthropicReader(), UNARY) == {
        "model_served": "claude-3-7-sonnet-20250219",
        "response_id": "msg_vrtx_011e",
        "finish_reason": "end_turn",
        "input_tokens": 16,
        "input_cached_tokens": 0,
        "input_cache_write_tokens": 0,
        "output_tokens": 16,
    }


def test_stream() -> None:
    reader = AnthropicReader()
    begun = counts(reader, START, {"type": "ping"})
    # The output of message_start is a placeholder.
    assert begun == {
        "model_served": "claude-sonnet-4",
        "response_id": "msg_vrtx_01UZ",
        "input_tokens": 48,
        "input_cached_tokens": 30,
        "input_cache_write_tokens": 2,
    }
    assert not reader.reading.content
    reader.read({"type": "content_block_delta", "delta": {"text": "Hi"}})
    assert reader.reading.content
    ended = counts(reader, DELTA)
    assert ended == {**begun, "finish_reason": "end_turn", "output_tokens": 7}
    assert not reader.reading.terminal
    assert counts(reader, STOP) == ended
    assert reader.reading.terminal


def test_a_delta_may_restate_the_input() -> None:
    delta = {
        "type": "message_delta",
        "usage": {
            "input_tokens": 20,
            "cache_read_input_tokens": None,
            "output_tokens": 9,
            "output_tokens_details": {"thinking_tokens": 4},
            "server_tool_use": {"web_search_requests": 2},
            "service_tier": "priority",
        },
    }
    known = counts(AnthropicReader(), START, delta)
    assert (known["input_tokens"], known["input_cached_tokens"], known["output_tokens"]) == (52, 30, 9)
    assert (known["output_thought_tokens"], known["search_queries"], known["traffic_type"]) == (
        4,
        2,
        "priority",
    )


def test_an_error_event() -> None:
    known = told(
        AnthropicReader(),
        START,
        {"type": "error", "error": {"type": "overloaded_error", "message": "secret"}},
    )
    assert known["failed"]
    assert known["error_type"] == "overloaded_error"
    assert "secret" not in str(known)


@pytest.mark.parametrize("events", [[UNARY], [START, DELTA, STOP]])
def test_pruning_leaves_all_that_is_read(events: list[Json]) -> None:
    assert told(AnthropicReader(), *pruned(AnthropicReader(), *events)) == told(AnthropicReader(), *events)


@given(value=json_values)
def test_any_shape(value: object) -> None:
    kinds = ("message", "message_start", "message_delta", "error")
    told(
        AnthropicReader(),
        value,
        *({"type": kind, "message": value, "usage": value} for kind in kinds),
        *ANYTHING,
    )
