from typing import Any

import pytest
from hypothesis import given

from metering.usage.anthropic import AnthropicReader
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.metering.usage.told import counts
from tests.metering.usage.told import pruned
from tests.metering.usage.told import read
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


NO_CACHE: Json = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
COMPACTION: Json = {"type": "compaction", "input_tokens": 55_196, "output_tokens": 3_500, **NO_CACHE}
OWN: Json = {"type": "message", "input_tokens": 220, "output_tokens": 1_000, **NO_CACHE}
ADVISOR: Json = {"type": "advisor_message", "model": "claude-fable-5-1", "input_tokens": 823, "output_tokens": 1_612}


@pytest.mark.parametrize(("thinking", "thoughts"), [(0, 0), (16, 16), (20, 16)])
def test_thoughts_are_part_of_the_output(thinking: int, thoughts: int) -> None:
    usage = UNARY["usage"] | {"output_tokens_details": {"thinking_tokens": thinking}}
    known = counts(AnthropicReader(), UNARY | {"usage": usage})
    assert (known["output_tokens"], known["output_thought_tokens"]) == (16, thoughts)


def test_iterations_are_summed() -> None:
    usage = {"input_tokens": 220, "output_tokens": 1_000, **NO_CACHE, "iterations": [COMPACTION, OWN]}
    known = told(AnthropicReader(), UNARY | {"usage": usage})
    assert (known["input_tokens"], known["output_tokens"]) == (55_416, 4_500)
    assert known["usage_raw"] == usage
    assert "iterations" not in known


def test_cached_tokens_of_iterations_are_input_too() -> None:
    read = OWN | {"cache_read_input_tokens": 270_024, "cache_creation_input_tokens": 3_496}
    again = OWN | {"cache_read_input_tokens": 273_520, "cache_creation_input_tokens": 4_635}
    usage = {"input_tokens": 4, "output_tokens": 9, "iterations": [read, ADVISOR, again]}
    known = counts(AnthropicReader(), UNARY | {"usage": usage})
    assert known["input_cached_tokens"] == 543_544
    assert known["input_cache_write_tokens"] == 8_131
    assert known["input_tokens"] == 220 + 220 + 823 + 543_544 + 8_131
    assert known["output_tokens"] == 3_612


@pytest.mark.parametrize("iterations", [[], None, "x", {}, [None, 5], [{"type": "message"}], [{"input_tokens": "x"}]])
def test_iterations_that_tell_nothing(iterations: object) -> None:
    usage = {"input_tokens": 220, "output_tokens": 7, "iterations": iterations}
    known = counts(AnthropicReader(), UNARY | {"usage": usage})
    assert (known["input_tokens"], known["output_tokens"]) == (220, 7)


def test_iterations_in_a_stream() -> None:
    start = {"type": "message_start", "message": START["message"] | {"usage": {"input_tokens": 220, **NO_CACHE}}}
    delta = {"type": "message_delta", "usage": {"output_tokens": 1_000, "iterations": [COMPACTION, OWN]}}
    known = counts(AnthropicReader(), start, delta, STOP)
    assert (known["input_tokens"], known["output_tokens"]) == (55_416, 4_500)


def test_iterations_of_message_start_have_no_output() -> None:
    usage = {"input_tokens": 220, "output_tokens": 1, "iterations": [COMPACTION, OWN | {"output_tokens": 1}]}
    start = {"type": "message_start", "message": START["message"] | {"usage": usage}}
    known = counts(AnthropicReader(), start)
    assert known["input_tokens"] == 55_416
    assert "output_tokens" not in known
    # The counts of a later event are newer than these iterations.
    restated = {"type": "message_delta", "usage": {"input_tokens": 300, "output_tokens": 9}}
    known = counts(AnthropicReader(), start, restated)
    assert (known["input_tokens"], known["output_tokens"]) == (300, 9)


def test_a_sum_that_is_no_count() -> None:
    usage = {"input_tokens": 3, "iterations": [{"input_tokens": 10**12}, {"input_tokens": 10**12}]}
    assert "input_tokens" not in counts(AnthropicReader(), UNARY | {"usage": usage})


class TestOtherModels:
    def parts(self, iterations: list[Json], served: str = "claude-opus-4-6", **usage: object) -> list[Json]:
        told = {"input_tokens": 220, "output_tokens": 1_000, "service_tier": "priority", "iterations": iterations}
        reader = AnthropicReader()
        reader.read(UNARY | {"model": served, "usage": told | usage})
        names = ("model_served", "input_tokens", "output_tokens", "output_thought_tokens", "traffic_type")
        return [{name: getattr(part, name) for name in names} for part in reader.reading.iterations or []]

    def test_an_advisor(self) -> None:
        (part,) = self.parts([OWN, ADVISOR, OWN | {"model": "claude-opus-4-6-20260205"}])
        assert part == {
            "model_served": "claude-fable-5-1",
            "input_tokens": 823,
            "output_tokens": 1_612,
            "output_thought_tokens": None,
            "traffic_type": "priority",
        }

    def test_an_advisor_of_the_same_model(self) -> None:
        assert self.parts([OWN, ADVISOR | {"model": "claude-opus-4-6"}]) == []

    def test_a_model_that_answers_instead(self) -> None:
        declined = {"type": "message", "model": "claude-fable-5", "input_tokens": 106, "output_tokens": 1}
        answered = {"type": "fallback_message", "model": "claude-opus-4-6", "input_tokens": 220, "output_tokens": 40}
        parts = self.parts([declined, answered], output_tokens_details={"thinking_tokens": 30})
        told = [(part["model_served"], part["output_tokens"], part["output_thought_tokens"]) for part in parts]
        assert told == [("claude-fable-5", 1, None), ("claude-opus-4-6", 40, 30)]

    def test_not_more_than_a_ledger_should_get(self) -> None:
        assert len(self.parts([ADVISOR] * 1_000)) == 64


def test_an_error_event() -> None:
    known = told(
        AnthropicReader(),
        START,
        {"type": "error", "error": {"type": "overloaded_error", "message": "secret"}},
    )
    assert known["failed"]
    assert known["error_type"] == "overloaded_error"
    assert "secret" not in str(known)


def test_an_error_with_usage() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error"}, "usage": {"output_tokens": 44}}
    known = told(AnthropicReader(), START, error)
    assert (known["failed"], known["output_tokens"]) == (True, 44)


EVERYTHING = UNARY | {
    "usage": UNARY["usage"]
    | {
        "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
        "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 4},
        "output_tokens_details": {"thinking_tokens": 5},
        "service_tier": "standard",
        "speed": "fast",
        "inference_geo": "us",
        "fallback_credit": {"status": {"type": "not_applied", "reason": "expired"}},
        "iterations": [ADVISOR | {"cache_creation": {"ephemeral_1h_input_tokens": 0}}],
    }
}


def test_all_of_the_usage_is_kept() -> None:
    assert told(AnthropicReader(), EVERYTHING)["usage_raw"] == EVERYTHING["usage"]


@pytest.mark.parametrize("events", [[UNARY], [EVERYTHING], [START, DELTA, STOP]])
def test_pruning_leaves_all_that_is_read(events: list[Json]) -> None:
    assert told(AnthropicReader(), *pruned(AnthropicReader(), *events)) == told(AnthropicReader(), *events)


@given(value=json_values)
def test_any_shape(value: object) -> None:
    kinds = ("message", "message_start", "message_delta", "error")
    read(
        AnthropicReader(),
        value,
        *({"type": kind, "message": value, "usage": value} for kind in kinds),
        *({"type": kind, "usage": {"iterations": value}} for kind in kinds),
        UNARY | {"usage": {"iterations": [value, {"model": value, "type": value, "input_tokens": value}]}},
        *ANYTHING,
    )
