from typing import Any

import pytest
from hypothesis import given

from metering.usage.interactions import WRAPPED
from metering.usage.interactions import InteractionsReader
from metering.usage.interactions import LiveInteractionsReader
from tests.camel_case import camel
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.metering.usage.told import counts
from tests.metering.usage.told import pruned
from tests.metering.usage.told import read
from tests.metering.usage.told import told

Json = dict[str, Any]

USAGE: Json = {
    "total_input_tokens": 100,
    "input_tokens_by_modality": [{"modality": "text", "tokens": 70}, {"modality": "image", "tokens": 30}],
    "total_cached_tokens": 20,
    "cached_tokens_by_modality": [{"modality": "text", "tokens": 20}],
    "total_output_tokens": 40,
    "output_tokens_by_modality": [{"modality": "text", "tokens": 40}],
    "total_tool_use_tokens": 11,
    "tool_use_tokens_by_modality": [{"modality": "text", "tokens": 11}],
    "total_thought_tokens": 5,
    "total_tokens": 156,
    "initial_input_tokens": 100,
    "grounding_tool_count": [{"type": "google_search", "count": 3}, {"type": "google_maps", "count": 2}],
}
WHOLE: Json = {
    "id": "v1_ChdZ",
    "object": "interaction",
    "model": "gemini-3.5-flash",
    "status": "completed",
    "service_tier": "flex",
    "steps": [{"type": "model_output", "content": [{"type": "text", "text": "Hi"}]}],
    "usage": USAGE,
}
KNOWN: Json = {
    "model_served": "gemini-3.5-flash",
    "response_id": "v1_ChdZ",
    "finish_reason": "completed",
    "input_tokens": 111,
    "input_cached_tokens": 20,
    "input_tool_tokens": 11,
    "output_tokens": 45,
    "output_thought_tokens": 5,
    "total_tokens": 156,
    "input_by_modality": {"text": 81, "image": 30},
    "output_by_modality": {"text": 40},
    "search_queries": 3,
    "traffic_type": "flex",
}


def of_usage(usage: Json) -> Json:
    known = counts(InteractionsReader(), {"status": "completed", "usage": usage})
    return {name: value for name, value in known.items() if name != "finish_reason"}


def search(*queries: str, **fields: str) -> Json:
    return {"type": "google_search_call", "arguments": {"queries": list(queries)}, **fields}


class TestWhole:
    def test_all_of_it(self) -> None:
        known = told(InteractionsReader(), WHOLE)
        assert known.pop("usage_raw") == USAGE
        assert known == KNOWN

    def test_in_camel_case(self) -> None:
        whole = camel(WHOLE) | {"serviceTier": "SERVICE_TIER_FLEX", "modelInteraction": {"model": "gemini-3.5-flash"}}
        del whole["model"]
        known = told(InteractionsReader(), whole)
        assert known.pop("usage_raw") == camel(USAGE)
        assert known == KNOWN | {"finish_reason": "COMPLETED", "traffic_type": "SERVICE_TIER_FLEX"}

    def test_an_agent(self) -> None:
        agent = {"agent": "deep-research-pro-preview-12-2025"}
        for whole in (agent, {"agentInteraction": agent}, {"model": None} | agent):
            assert told(InteractionsReader(), whole) == {"model_served": agent["agent"]}

    @pytest.mark.parametrize("name", ["models/gemini-3.5-flash", "publishers/google/models/gemini-3.5-flash"])
    def test_a_resource_name(self, name: str) -> None:
        assert told(InteractionsReader(), {"model": name}) == {"model_served": "gemini-3.5-flash"}

    @pytest.mark.parametrize(
        "status",
        ["completed", "requires_action", "incomplete", "budget_exceeded", "cancelled", "requires_continuation"],
    )
    def test_how_it_is_done(self, status: str) -> None:
        assert counts(InteractionsReader(), WHOLE | {"status": status}) == KNOWN | {"finish_reason": status}

    @pytest.mark.parametrize("status", ["queued", "in_progress", "IN_PROGRESS", "UNSPECIFIED", None])
    def test_it_is_under_way(self, status: str | None) -> None:
        assert "finish_reason" not in counts(InteractionsReader(), WHOLE | {"status": status})

    def test_it_has_failed(self) -> None:
        errors = [{"message": "secret"}, {"code": "internal", "message": "secret"}]
        known = told(InteractionsReader(), WHOLE | {"status": "failed", "errors": errors})
        assert (known["failed"], known["error_type"], known["total_tokens"]) == (True, "internal", 156)
        assert "secret" not in str(known)

    def test_images(self) -> None:
        drawn = [{"type": "image", "data": "eA=="}, {"type": "text", "text": "x"}, {"type": "image"}]
        steps = [{"type": "user_input", "content": drawn}, {"type": "model_output", "content": drawn}]
        assert counts(InteractionsReader(), WHOLE | {"steps": steps})["images"] == 2
        wrapped: list[Json] = [
            {"userInput": {"content": [{"image": {}}]}},
            {"modelOutput": {"content": [{"image": {}}, {}]}},
        ]
        assert counts(InteractionsReader(), WHOLE | {"steps": wrapped})["images"] == 1

    def test_numbers_for_words(self) -> None:
        usage = {
            "totalInputTokens": 12,
            "inputTokensByModality": [{"modality": 1, "tokens": 3}, {"modality": 3, "tokens": 9}],
            "groundingToolCount": [{"type": 1, "count": 2}, {"type": 2, "count": 5}],
        }
        known = counts(InteractionsReader(), {"status": 3, "serviceTier": 1, "usage": usage})
        assert (known["finish_reason"], known["traffic_type"]) == ("COMPLETED", "SERVICE_TIER_FLEX")
        assert (known["input_by_modality"], known["search_queries"]) == ({"text": 3, "audio": 9}, 2)
        assert "finish_reason" not in counts(InteractionsReader(), {"status": 8, "usage": usage})

    def test_searches_that_usage_does_not_tell(self) -> None:
        steps = [search("a", "", "b "), search("b"), search("c", search_type="image_search"), {"type": "thought"}]
        used = {name: value for name, value in USAGE.items() if name != "grounding_tool_count"}
        assert counts(InteractionsReader(), WHOLE | {"steps": steps, "usage": used})["search_queries"] == 2
        assert counts(InteractionsReader(), WHOLE | {"steps": steps})["search_queries"] == 3
        wrapped = [{"toolCall": {"googleSearchCall": {"arguments": {"queries": ["a", "b"]}}}}]
        assert counts(InteractionsReader(), WHOLE | {"steps": wrapped, "usage": used})["search_queries"] == 2


@pytest.mark.parametrize("status", ["in_progress", "queued", "IN_PROGRESS"])
def test_what_goes_on_in_the_background_has_no_usage_yet(status: str) -> None:
    none = {"total_input_tokens": 0, "total_output_tokens": 0, "total_tokens": 0}
    reader = InteractionsReader()
    reader.read(WHOLE | {"status": status, "usage": none, "steps": []})
    assert not reader.reading.counted
    assert (reader.reading.response_id, reader.reading.finish_reason) == (WHOLE["id"], None)


def test_a_voice_tells_what_making_it_has_used() -> None:
    voice = {"id": "voice_7", "type": "prompted", "model": "gemini-3.5-flash-voice", "usage": USAGE}
    known = counts(InteractionsReader(), voice)
    assert (known["model_served"], known["response_id"], known["total_tokens"]) == (voice["model"], "voice_7", 156)


class TestUsage:
    @pytest.mark.parametrize(
        ("tool", "thoughts", "total", "expected"),
        [
            # Both beside: the rule.
            (11, 5, 156, (111, 45)),
            (None, 5, 145, (100, 45)),
            (11, None, 151, (111, 40)),
            # The thoughts inside, the tools inside, both inside.
            (11, 5, 151, (111, 40)),
            (11, 5, 145, (100, 45)),
            (11, 5, 140, (100, 40)),
            # More than there is cannot be inside.
            (None, 50, 140, (100, 90)),
            # No total, or one that fits nothing.
            (11, 5, None, (111, 45)),
            (11, 5, 999, (111, 45)),
        ],
    )
    def test_the_total_tells_what_is_inside(
        self, tool: int | None, thoughts: int | None, total: int | None, expected: tuple[int, int]
    ) -> None:
        usage = {"total_input_tokens": 100, "total_output_tokens": 40, "total_tokens": total}
        known = of_usage(usage | {"total_tool_use_tokens": tool, "total_thought_tokens": thoughts})
        assert (known["input_tokens"], known["output_tokens"]) == expected

    def test_zeros_are_left_out(self) -> None:
        usage = {"total_input_tokens": 100, "total_thought_tokens": 5, "total_tokens": 105}
        assert of_usage(usage)["output_tokens"] == 5
        assert of_usage({"total_input_tokens": 100, "total_tokens": 100})["output_tokens"] == 0
        assert of_usage({"total_output_tokens": 40, "total_tokens": 40})["input_tokens"] == 0

    def test_parts_are_never_more_than_the_whole(self) -> None:
        usage = {"total_input_tokens": 10, "total_cached_tokens": 40, "total_thought_tokens": 15, "total_tokens": 10}
        known = of_usage(usage)
        assert (known["input_tokens"], known["output_tokens"]) == (50, 15)

    def test_unknown_is_not_zero(self) -> None:
        assert of_usage({"total_output_tokens": 40}) == {"output_tokens": 40}
        assert of_usage({"total_input_tokens": 9, "total_tokens": 5}) == {"input_tokens": 9, "total_tokens": 5}
        assert of_usage({}) == {}

    @pytest.mark.parametrize(
        ("tools", "searches"),
        [
            ([], None),
            ([{"type": "google_maps", "count": 2}], None),
            ([{"type": "google_search", "count": 0}], 0),
            ([{"type": "google_search"}], None),
            ([{"type": "google_search", "count": 2, "search_query_count": 5}], 5),
            ([{"type": "google_search", "count": 1}, {"type": "GOOGLE_SEARCH", "count": 2}], 3),
        ],
    )
    def test_searches(self, tools: list[Json], searches: int | None) -> None:
        assert of_usage({"grounding_tool_count": tools}).get("search_queries") == searches


CREATED: Json = {
    "event_type": "interaction.created",
    "interaction": {"id": "v1_ChdZ", "status": "in_progress", "model": "gemini-3.5-flash", "service_tier": "flex"},
}
UPDATE: Json = {
    "event_type": "interaction.status_update",
    "interaction_id": "v1_ChdZ",
    "status": "in_progress",
    "usage": {"total_input_tokens": 100},
}
START: Json = {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}}
DELTA: Json = {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "Hi"}}
STOPPED: Json = {"event_type": "step.stop", "index": 0, "usage": USAGE, "step_usage": {"total_output_tokens": 2}}
COMPLETED: Json = {
    "event_type": "interaction.completed",
    "interaction": {"id": "v1_ChdZ", "status": "completed", "model": "gemini-3.5-flash", "usage": USAGE},
}
EVENTS = [CREATED, UPDATE, START, DELTA, STOPPED, COMPLETED]


class TestStream:
    def test_all_of_it(self) -> None:
        reader = InteractionsReader()
        for event in EVENTS[:3]:
            reader.read(event)
        assert (reader.content, reader.terminal, reader.reading.input_tokens) == (False, False, 100)
        reader.read(DELTA)
        assert (reader.content, reader.terminal) == (True, False)
        reader.read(STOPPED)
        assert (reader.terminal, reader.reading.finish_reason, reader.reading.total_tokens) == (False, None, 156)
        reader.read(COMPLETED)
        assert reader.terminal
        assert counts(reader) == KNOWN

    def test_in_members_of_their_own(self) -> None:
        names = {kind: name for name, kind in WRAPPED.items()}
        inner = [{name: value for name, value in event.items() if name != "event_type"} for event in EVENTS]
        wrapped = [
            {names[event["event_type"]]: camel(one), "eventId": "x"} for event, one in zip(EVENTS, inner, strict=True)
        ]
        reader = InteractionsReader()
        known = counts(reader, *wrapped)
        assert known == KNOWN | {"finish_reason": "COMPLETED"}
        assert reader.terminal
        assert reader.content

    def test_the_earlier_names(self) -> None:
        reader = InteractionsReader()
        reader.read(CREATED | {"event_type": "interaction.start"})
        reader.read({"event_type": "content.delta", "delta": {"type": "text"}})
        assert (reader.content, reader.terminal) == (True, False)
        reader.read(COMPLETED | {"event_type": "interaction.complete"})
        assert reader.terminal
        assert counts(reader) == KNOWN

    def test_totals_run(self) -> None:
        """They are not added up, and come in any event."""
        more = DELTA | {"metadata": {"total_usage": {"total_input_tokens": 100, "total_output_tokens": 2}}}
        last = DELTA | {"metadata": {"total_usage": {"total_input_tokens": 100, "total_output_tokens": 7}}}
        known = counts(InteractionsReader(), CREATED, UPDATE, more, last)
        assert (known["input_tokens"], known["output_tokens"]) == (100, 7)

    def test_an_end_without_usage(self) -> None:
        end = {"event_type": "interaction.completed", "interaction": {"id": "v1_ChdZ", "status": "completed"}}
        assert counts(InteractionsReader(), CREATED, STOPPED, end) == KNOWN

    def test_it_is_to_be_continued(self) -> None:
        update = UPDATE | {"status": "requires_continuation", "usage": USAGE, "continuation_token": "secret"}
        known = told(InteractionsReader(), CREATED, update)
        assert (known["finish_reason"], known["total_tokens"]) == ("requires_continuation", 156)
        assert "secret" not in str(known)

    @pytest.mark.parametrize(
        "error",
        [
            {"event_type": "error", "error": {"code": "gateway_timeout", "message": "secret"}},
            {"errorEvent": {"error": {"code": "gateway_timeout", "message": "secret"}}},
        ],
    )
    def test_an_error(self, error: Json) -> None:
        known = told(InteractionsReader(), CREATED, UPDATE, error)
        assert (known["failed"], known["error_type"], known["input_tokens"]) == (True, "gateway_timeout", 100)
        assert "secret" not in str(known)

    def test_an_error_with_usage(self) -> None:
        used = {"total_usage": {"total_input_tokens": 100, "total_output_tokens": 7}}
        known = told(InteractionsReader(), CREATED, {"event_type": "error", "error": {"code": "x"}, "metadata": used})
        assert (known["failed"], known["input_tokens"], known["output_tokens"]) == (True, 100, 7)

    def test_searches(self) -> None:
        start = START | {"step": search("a")}
        delta = DELTA | {"delta": search("a", "b")}
        wrapped = {"stepDelta": {"delta": {"serverToolCall": {"googleSearchCall": {"arguments": {"queries": ["c"]}}}}}}
        reader = InteractionsReader()
        for event, searches in ((start, 1), (delta, 2), (wrapped, 3)):
            (left,) = pruned(InteractionsReader(), event)
            assert counts(reader, left)["search_queries"] == searches

    def test_images(self) -> None:
        image = DELTA | {"delta": {"type": "image", "data": "eA=="}}
        assert counts(InteractionsReader(), CREATED, DELTA, image, image)["images"] == 2

    def test_the_word_after_the_last_event(self) -> None:
        assert told(InteractionsReader(), b"[DONE]") == {"terminal": True}


LIVE: list[Json] = [
    {"event_type": "interaction.created", "interaction_id": "int_live_001"},
    {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}},
    {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "Hi"}},
    {"event_type": "step.stop", "index": 0, "usage": USAGE},
]


class TestLive:
    """The events of google-genai 3.6.1, `_gaos/types/interactions/serverevent.py`."""

    @pytest.mark.parametrize("is_batch", [False, True])
    @pytest.mark.parametrize("end", ["completed", "cancelled", "canceled"])
    def test_the_last_usage_counts(self, end: str, is_batch: bool) -> None:
        last = USAGE | {"total_output_tokens": 50, "total_tokens": 166}
        events = [*LIVE, {"event_type": f"interaction.{end}", "usage": last}]
        messages = [{"events": events}] if is_batch else events
        for some in (messages, pruned(LiveInteractionsReader(), *messages)):
            known = told(LiveInteractionsReader(), *some)
            assert (known["response_id"], known["finish_reason"], known["terminal"]) == ("int_live_001", end, True)
            assert (known["input_tokens"], known["output_tokens"], known["total_tokens"]) == (111, 55, 166)

    def test_a_connection_that_is_cut(self) -> None:
        known = told(LiveInteractionsReader(), *LIVE)
        assert (known["total_tokens"], known.get("terminal")) == (156, None)


@pytest.mark.parametrize("events", [[WHOLE], [camel(WHOLE)], EVENTS, [{"interactionCompletedEvent": COMPLETED}]])
def test_pruning_leaves_all_that_is_read(events: list[Json]) -> None:
    assert told(InteractionsReader(), *pruned(InteractionsReader(), *events)) == told(InteractionsReader(), *events)


@given(value=json_values)
def test_any_shape(value: object) -> None:
    kinds = ("interaction.completed", "interaction.status_update", "step.delta", "step.stop", "error", None)
    events = [
        {"event_type": kind, "interaction": value, "usage": value, "delta": value, "metadata": value} for kind in kinds
    ]
    wrapped = [{name: value} for name in (*WRAPPED, "errorEvent")]
    whole = [{"status": "failed", name: value} for name in ("id", "status", "steps", "errors", "usage", "model")]
    details = ("input_tokens_by_modality", "grounding_tool_count", "total_input_tokens", "total_tokens")
    usages = [{"usage": {name: value}} for name in details] + [{"usage": {name: [value]}} for name in details]
    read(InteractionsReader(), value, *events, *wrapped, *whole, *usages, *ANYTHING)
