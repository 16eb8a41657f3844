"""Filters usage objects for the column `usage_raw`: only numbers and enum values under the names in `WORDS` are
kept."""

import json
import re

from metering.call import LARGEST_COUNT
from metering.call import count

WORDS = frozenset(
    # Gemini, Live
    " promptTokenCount candidatesTokenCount responseTokenCount totalTokenCount cachedContentTokenCount"
    " thoughtsTokenCount toolUsePromptTokenCount promptTokensDetails candidatesTokensDetails cacheTokensDetails"
    " responseTokensDetails toolUsePromptTokensDetails modality tokenCount trafficType billableCharacterCount"
    " prompt_token_count candidates_token_count response_token_count total_token_count cached_content_token_count"
    " serviceTier thoughts_token_count tool_use_prompt_token_count prompt_tokens_details candidates_tokens_details"
    " cache_tokens_details response_tokens_details tool_use_prompt_tokens_details token_count traffic_type"
    # Anthropic
    " input_tokens cache_creation_input_tokens cache_read_input_tokens cache_creation ephemeral_5m_input_tokens"
    " ephemeral_1h_input_tokens output_tokens output_tokens_details thinking_tokens server_tool_use"
    " web_search_requests web_fetch_requests service_tier speed inference_geo iterations type"
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
    # Veo
    " sampleCount durationSeconds videos raiMediaFilteredCount".split()
)
LARGEST = 4096
"""The most characters of the stored JSON."""

_ENUM = re.compile(r"[A-Z][A-Z0-9_]{0,40}|[a-z][a-z0-9_-]{0,24}")


def allowed(usage: dict[str, object]) -> dict[str, object] | None:
    """The part of a usage object that may be stored; None if nothing is left, or far too much."""
    kept = _allowed(usage, depth=4)
    if not isinstance(kept, dict) or not kept or len(json.dumps(kept)) > LARGEST:
        return None
    return kept


def _allowed(value: object, depth: int) -> object:
    if isinstance(value, dict) and depth:
        members = ((name, _allowed(member, depth - 1)) for name, member in value.items() if name in WORDS)
        return {name: member for name, member in members if member is not None}
    if isinstance(value, list) and depth:
        return [item for item in (_allowed(item, depth - 1) for item in value[:32]) if item is not None]
    if isinstance(value, str) and _ENUM.fullmatch(value):
        return value
    return _number(value)


def _number(value: object) -> int | float | None:
    """A count, or seconds such as 8.47."""
    number = count(value)
    return value if number is None and isinstance(value, float) and 0 <= value <= LARGEST_COUNT else number
