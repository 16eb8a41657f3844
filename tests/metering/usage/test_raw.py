import json
from typing import Any
from typing import ClassVar

import pytest
from hypothesis import given

from metering.usage.raw import LARGEST
from metering.usage.raw import WORDS
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


GEMINI = {
    "promptTokenCount": 1,
    "candidatesTokenCount": 2,
    "responseTokenCount": 3,
    "totalTokenCount": 4,
    "cachedContentTokenCount": 5,
    "thoughtsTokenCount": 6,
    "toolUsePromptTokenCount": 7,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1}],
    "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 1}],
    "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 1}],
    "responseTokensDetails": [{"modality": "TEXT", "tokenCount": 1}],
    "toolUsePromptTokensDetails": [{"modality": "TEXT", "tokenCount": 1}],
    "trafficType": "ON_DEMAND",
    "serviceTier": "flex",
    "billableCharacterCount": 8,
    "promptTokenDetails": [{"modality": "TEXT", "tokenCount": 1}],
}
GEMINI_IN_SNAKE_CASE = {
    "prompt_token_count": 1,
    "candidates_token_count": 2,
    "response_token_count": 3,
    "total_token_count": 4,
    "cached_content_token_count": 5,
    "thoughts_token_count": 6,
    "tool_use_prompt_token_count": 7,
    "prompt_tokens_details": [{"modality": "TEXT", "token_count": 1}],
    "candidates_tokens_details": [{"modality": "TEXT", "token_count": 1}],
    "cache_tokens_details": [{"modality": "TEXT", "token_count": 1}],
    "response_tokens_details": [{"modality": "TEXT", "token_count": 1}],
    "tool_use_prompt_tokens_details": [{"modality": "TEXT", "token_count": 1}],
    "traffic_type": "ON_DEMAND",
}
ANTHROPIC = {
    "input_tokens": 1,
    "cache_creation_input_tokens": 2,
    "cache_read_input_tokens": 3,
    "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5},
    "output_tokens": 6,
    "output_tokens_details": {"thinking_tokens": 7},
    "server_tool_use": {"web_search_requests": 8, "web_fetch_requests": 9},
    "service_tier": "standard",
    "speed": "fast",
    "inference_geo": "us",
    "iterations": [{"type": "message", "input_tokens": 1}, {"type": "advisor_message", "model": "claude-3.5"}],
    "fallback_credit": {"status": {"type": "not_applied", "reason": "expired"}},
}
OPENAI = {
    "prompt_tokens": 1,
    "completion_tokens": 2,
    "total_tokens": 3,
    "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 5, "audio_tokens": 6},
    "completion_tokens_details": {
        "reasoning_tokens": 7,
        "accepted_prediction_tokens": 8,
        "rejected_prediction_tokens": 9,
        "image_tokens": 10,
        "text_tokens": 11,
    },
    "input_tokens_details": {"cached_tokens": 4},
    "prompt_cache_hit_tokens": 12,
    "prompt_cache_miss_tokens": 13,
    "extra_properties": {"google": {"traffic_type": "ON_DEMAND"}},
    "num_server_side_tools_used": 14,
    "num_sources_used": 15,
}
SOUND = {
    "type": "tokens",
    "input_token_details": {"audio_tokens": 1, "text_tokens": 2, "cached_tokens_details": {"cached_audio_tokens": 3}},
    "output_token_details": {"audio_tokens": 4},
    "prompt_token_details": {"cached_tokens": 5},
    "num_cached_tokens": 6,
    "num_search_queries": 7,
    "prompt_audio_seconds": 8,
    "duration": 8.47,
}
TOOLS = {
    "cache_write_tokens_details": {"ttl_30m_tokens": 1, "ttl_12h_tokens": 2},
    "tool_usage": {
        "image_gen": {"cached_tokens_details": {"cached_text_tokens": 3, "cached_image_tokens": 4}},
        "web_search": {"num_requests": 5},
    },
    "svg_usage": {"input_tokens": 6},
}
OCR = {"pages_processed": 3, "pages_processed_annotation": 1, "doc_size_bytes": 4096}
OF_BATCHES = {
    "total": 1,
    "completed": 2,
    "failed": 3,
    "successfulCount": 4,
    "failedCount": 5,
    "incompleteCount": 6,
    "requestCount": 7,
    "successfulRequestCount": 8,
    "failedRequestCount": 9,
    "pendingRequestCount": 10,
}
INTERACTION = {
    "total_input_tokens": 1,
    "total_output_tokens": 2,
    "total_thought_tokens": 3,
    "total_cached_tokens": 4,
    "total_tool_use_tokens": 5,
    "total_tokens": 6,
    "initial_input_tokens": 7,
    "input_tokens_by_modality": [{"modality": "text", "tokens": 8}],
    "output_tokens_by_modality": [{"modality": "image", "tokens": 9}],
    "cached_tokens_by_modality": [{"modality": "audio", "tokens": 10}],
    "tool_use_tokens_by_modality": [{"modality": "document", "tokens": 11}],
    "grounding_tool_count": [{"type": "google_search", "count": 12, "search_query_count": 13}],
}
INTERACTION_IN_CAMEL_CASE = {
    "totalInputTokens": 1,
    "totalOutputTokens": 2,
    "totalThoughtTokens": 3,
    "totalCachedTokens": 4,
    "totalToolUseTokens": 5,
    "totalTokens": 6,
    "initialInputTokens": 7,
    "inputTokensByModality": [{"modality": "TEXT", "tokens": 8}],
    "outputTokensByModality": [{"modality": "IMAGE", "tokens": 9}],
    "cachedTokensByModality": [{"modality": "AUDIO", "tokens": 10}],
    "toolUseTokensByModality": [{"modality": "DOCUMENT", "tokens": 11}],
    "groundingToolCount": [{"type": "GOOGLE_SEARCH", "count": 12, "searchQueryCount": 13}],
}
VEO = {"sampleCount": 2, "durationSeconds": 8, "videos": 1, "raiMediaFilteredCount": 1}


@pytest.mark.parametrize(
    "usage",
    [
        *(GEMINI, GEMINI_IN_SNAKE_CASE, ANTHROPIC, OPENAI, SOUND, TOOLS, OCR, OF_BATCHES),
        *(INTERACTION, INTERACTION_IN_CAMEL_CASE, VEO),
    ],
)
def test_all_that_the_references_describe(usage: dict[str, object]) -> None:
    assert allowed(usage) == usage


@pytest.mark.parametrize(
    ("seconds", "kept"),
    [
        (27, 27),
        (8.0, 8),
        (8.47, 8.47),
        (0.0, 0),
        (-1.5, None),
        (1e13, None),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_seconds(seconds: float, kept: float | None) -> None:
    assert allowed({"seconds": seconds}) == (None if kept is None else {"seconds": kept})


def test_nothing() -> None:
    assert allowed({}) is None
    assert allowed({"unknown": 1}) is None


class TestTooLong:
    ITERATION: ClassVar = {"type": "advisor_message", "model": "claude-fable-5-1", "input_tokens": 10**12}

    def test_lists_lose_their_last_elements(self) -> None:
        usage: dict[str, Any] = {
            "iterations": [self.ITERATION | {"output_tokens": n} for n in range(100)],
            "input_tokens": 9,
            "speed": "fast",
        }
        kept = allowed(usage)
        assert kept
        assert (kept["input_tokens"], kept["speed"]) == (9, "fast")
        iterations = kept["iterations"]
        assert isinstance(iterations, list)
        assert iterations == usage["iterations"][: len(iterations)]
        # As many as fit: one more would be too much.
        assert LARGEST - 120 < stored(kept) <= LARGEST

    def test_a_long_list_of_short_elements_is_whole(self) -> None:
        usage: dict[str, object] = {"iterations": [{"type": "message"}] * 100}
        assert allowed(usage) == usage

    def test_all_lists_are_shortened_alike(self) -> None:
        detail = {"modality": "TEXT", "tokenCount": 10**12}
        lists = ("promptTokensDetails", "candidatesTokensDetails", "cacheTokensDetails")
        kept = allowed({name: [detail] * 60 for name in lists})
        assert kept
        lengths = {name: len(kept[name]) for name in lists}  # type: ignore[arg-type]
        assert len(set(lengths.values())) == 1
        assert stored(kept) <= LARGEST

    def test_members_that_are_too_long_without_lists(self) -> None:
        many = dict.fromkeys(WORDS, 10**12)
        kept = allowed({"iterations": many, "cache_creation": many, "input_tokens": 9})
        assert kept is not None
        assert kept["input_tokens"] == 9
        assert stored(kept) <= LARGEST


def stored(value: object) -> int:
    """The characters of the JSON in the ledger."""
    return len(json.dumps(value, separators=(",", ":")))


@given(value=json_values)
def test_any_shape(value: object) -> None:
    kept = allowed({"usage": value, "iterations": value, "promptTokenCount": value, "trafficType": value})
    assert stored(kept) <= LARGEST
