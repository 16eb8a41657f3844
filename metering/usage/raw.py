"""Filters usage objects for the column `usage_raw`: only numbers and enum values under the names in `WORDS` are
kept, and at most `LARGEST` characters of JSON.

A larger object is shortened: each of its lists keeps its first elements, the same number in every list, as many as fit.
`{"input_tokens": 9, "iterations": [... 90 elements]}` keeps its number, and perhaps 25 elements. If it is too large
without any elements, its longest members go. So what is stored is a part of the object, and always valid JSON.
"""

import bisect
import json
import re
from collections.abc import Iterator

from metering.call import LARGEST_COUNT
from metering.call import count
from metering.call import word

WORDS = frozenset(
    # Gemini, Live
    " promptTokenCount candidatesTokenCount responseTokenCount totalTokenCount cachedContentTokenCount"
    " thoughtsTokenCount toolUsePromptTokenCount promptTokensDetails candidatesTokensDetails cacheTokensDetails"
    " responseTokensDetails toolUsePromptTokensDetails modality tokenCount trafficType billableCharacterCount"
    " prompt_token_count candidates_token_count response_token_count total_token_count cached_content_token_count"
    " serviceTier thoughts_token_count tool_use_prompt_token_count prompt_tokens_details candidates_tokens_details"
    " cache_tokens_details response_tokens_details tool_use_prompt_tokens_details token_count traffic_type"
    " promptTokenDetails"
    # Anthropic
    " input_tokens cache_creation_input_tokens cache_read_input_tokens cache_creation ephemeral_5m_input_tokens"
    " ephemeral_1h_input_tokens output_tokens output_tokens_details thinking_tokens server_tool_use"
    " web_search_requests web_fetch_requests service_tier speed inference_geo iterations type model fallback_credit"
    " status reason"
    # OpenAI
    " prompt_tokens completion_tokens total_tokens prompt_tokens_details completion_tokens_details"
    " input_tokens_details cached_tokens cache_write_tokens audio_tokens image_tokens text_tokens"
    " reasoning_tokens accepted_prediction_tokens rejected_prediction_tokens prompt_cache_hit_tokens"
    " prompt_cache_miss_tokens extra_properties google num_server_side_tools_used num_sources_used"
    " input_token_details output_token_details prompt_token_details num_cached_tokens num_search_queries"
    " cached_tokens_details cached_text_tokens cached_image_tokens cached_audio_tokens cache_write_tokens_details"
    " ttl_12h_tokens ttl_30m_tokens tool_usage image_gen web_search num_requests svg_usage seconds duration"
    " input_audio_transcription active_seconds paused_seconds"
    # Mistral
    " prompt_audio_seconds pages_processed pages_processed_annotation doc_size_bytes"
    # Batches
    " total completed failed successfulCount failedCount incompleteCount requestCount successfulRequestCount"
    " failedRequestCount pendingRequestCount"
    # Interactions
    " total_input_tokens total_output_tokens total_thought_tokens total_cached_tokens total_tool_use_tokens"
    " initial_input_tokens input_tokens_by_modality output_tokens_by_modality cached_tokens_by_modality"
    " tool_use_tokens_by_modality tokens grounding_tool_count count"
    " totalInputTokens totalOutputTokens totalThoughtTokens totalCachedTokens totalToolUseTokens totalTokens"
    " initialInputTokens inputTokensByModality outputTokensByModality cachedTokensByModality toolUseTokensByModality"
    " groundingToolCount searchQueryCount search_query_count"
    # Veo
    " sampleCount durationSeconds videos raiMediaFilteredCount".split()
)
LARGEST = 4096
"""The most characters of the stored JSON."""
USUAL = 32
"""The elements of a list that are looked at first. Hardly any list is longer."""
MOST = 512
"""The most elements of a list that are kept, whatever their size."""

_JSON = json.JSONEncoder(separators=(",", ":"))
_ENUM = re.compile(r"[A-Z][A-Z0-9_]{0,40}|[a-z][a-z0-9_-]{0,24}")


def allowed(usage: dict[str, object]) -> dict[str, object] | None:
    """The part of a usage object that may be stored, shortened if need be; None if nothing is left."""
    kept = _object(usage, USUAL)
    if _size(kept) > LARGEST or any(len(one) == USUAL for one in _lists(kept)):
        most = bisect.bisect_right(range(MOST), LARGEST, key=lambda most: _size(_object(usage, most)))
        kept = _object(usage, max(most - 1, 0))
    while _size(kept) > LARGEST:
        del kept[max(kept, key=lambda name: _size(kept[name]))]
    return kept or None


def _size(value: object) -> int:
    """The number of characters of its JSON, as the ledger stores it."""
    return len(_JSON.encode(value))


def _lists(value: object) -> Iterator[list[object]]:
    """All lists in a value, at any depth."""
    if isinstance(value, list):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _lists(part)


def _object(usage: dict[str, object], most: int) -> dict[str, object]:
    """What may be stored, with at most `most` elements of each list."""
    kept = _allowed(usage, 4, most)
    return kept if isinstance(kept, dict) else {}


def _allowed(value: object, depth: int, most: int) -> object:
    if isinstance(value, dict) and depth:
        members = ((name, _member(name, member, depth - 1, most)) for name, member in value.items() if name in WORDS)
        return {name: member for name, member in members if member is not None}
    if isinstance(value, list) and depth:
        elements = (_allowed(item, depth - 1, most) for item in value[:most])
        return [element for element in elements if element is not None]
    if isinstance(value, str) and _ENUM.fullmatch(value):
        return value
    return _number(value)


def _number(value: object) -> int | float | None:
    """A count, or seconds such as 8.47."""
    number = count(value)
    return value if number is None and isinstance(value, float) and 0 <= value <= LARGEST_COUNT else number


def _member(name: str, value: object, depth: int, most: int) -> object:
    return word(value) if name == "model" else _allowed(value, depth, most)
