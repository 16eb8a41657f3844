"""Reads Claude's responses to rawPredict and streamRawPredict on Vertex, in the format of Anthropic's Messages API.

In this format `input_tokens` excludes both kinds of cache tokens; in the ledger it includes them. In a stream,
`message_start` has the input and a placeholder for the output. The `output_tokens` of `message_delta` are cumulative,
and the last one counts.

A response may take several iterations, which `iterations` lists with their usage. The counts beside that list leave out
those that compact the conversation (`compaction`) and those of an advisor, which is another model (`advisor_message`).
So the sums over the list are what was used. If the model declines and another one answers instead, the iterations of
the latter end with one of the type `fallback_message`. (The types of the package anthropic 2.14.0, `beta_usage.py` and
`beta_*_iteration_usage.py`.)
"""

from collections.abc import Sequence

from metering.call import LONGEST_ID
from metering.call import LONGEST_MODEL
from metering.call import Reading
from metering.call import count
from metering.call import is_same_model
from metering.call import word
from metering.json_values import items
from metering.json_values import member
from metering.usage import raw
from metering.usage.errors import ERROR_NAMES
from metering.usage.errors import take_error
from metering.usage.reader import Reader


class AnthropicReader(Reader):
    """Reads a complete message, or the events of a stream."""

    wanted = ERROR_NAMES | frozenset(
        "type message id model usage delta stop_reason content_block input_tokens cache_creation_input_tokens"
        " cache_read_input_tokens cache_creation ephemeral_5m_input_tokens ephemeral_1h_input_tokens output_tokens"
        " output_tokens_details thinking_tokens server_tool_use web_search_requests web_fetch_requests"
        " service_tier speed inference_geo iterations fallback_credit status reason".split()
    )
    ends_with_event = True

    def __init__(self) -> None:
        super().__init__()
        self._usage: dict[str, object] = {}
        self._is_taken = True
        """Whether the reading contains all usage that has come."""

    @property
    def reading(self) -> Reading:
        if not self._is_taken:
            take_usage(self._reading, self._usage)
            self._is_taken = True
        return self._reading

    def read(self, event: object) -> None:
        reading = self._reading
        is_error = take_error(reading, event)
        kind = member(event, "type")
        if kind == "message":
            self._message(event)
            self._take_usage(member(event, "usage"))
        elif kind == "message_start":
            self._message(member(event, "message"))
            usage = member(member(event, "message"), "usage")
            self._take_usage(_begun(usage) if isinstance(usage, dict) else None)
        elif kind == "content_block_start" or kind == "content_block_delta":
            reading.content = True
        elif kind == "message_delta" or is_error:
            reading.finish_reason = word(member(member(event, "delta"), "stop_reason")) or reading.finish_reason
            self._take_usage(member(event, "usage"))
        elif kind == "message_stop":
            reading.terminal = True

    def _message(self, message: object) -> None:
        self._reading.model_served = word(member(message, "model"), LONGEST_MODEL)
        self._reading.response_id = word(member(message, "id"), LONGEST_ID)
        self._reading.finish_reason = word(member(message, "stop_reason"))

    def _take_usage(self, usage: object) -> None:
        if isinstance(usage, dict):
            if usage.get("input_tokens") is not None:
                # These counts are newer than the iterations that were listed before.
                self._usage.pop("iterations", None)
            self._usage |= {name: value for name, value in usage.items() if value is not None}
            self._is_taken = False


def _begun(usage: dict[str, object]) -> dict[str, object]:
    """The usage of `message_start`, without the output, which is a placeholder."""
    iterations = [{**one, "output_tokens": None} for one in items(usage.get("iterations")) if isinstance(one, dict)]
    return {**usage, "output_tokens": None, "iterations": iterations or None}


def take_usage(reading: Reading, usage: dict[str, object]) -> None:
    """Put a `usage` object into `reading`."""
    iterations = [one for one in items(usage.get("iterations")) if isinstance(one, dict)]
    _take_counts(reading, iterations, usage)
    thoughts = count(member(usage.get("output_tokens_details"), "thinking_tokens"))
    if thoughts is not None and reading.output_tokens is not None:
        # The output is what is billed (`beta_usage.py`), and thoughts are a part of it.
        thoughts = min(thoughts, reading.output_tokens)
    reading.output_thought_tokens = thoughts
    reading.search_queries = count(member(usage.get("server_tool_use"), "web_search_requests"))
    reading.traffic_type = word(usage.get("service_tier"))
    reading.usage_raw = raw.allowed(usage)
    reading.iterations = _of_others(reading, iterations) or None


def _take_counts(reading: Reading, iterations: Sequence[dict[str, object]], usage: dict[str, object]) -> None:
    """Put the sums over iterations into `reading`; counts that none of them has are those of `usage`."""
    sums: list[int | None] = []
    for name in COUNTS:
        known = [tokens for one in iterations if (tokens := count(one.get(name))) is not None]
        sums.append(count(sum(known)) if known else count(usage.get(name)))
    fresh, written, cached, output = sums
    reading.input_tokens = None if fresh is None else fresh + (written or 0) + (cached or 0)
    reading.input_cache_write_tokens = written
    reading.input_cached_tokens = cached
    reading.output_tokens = output


def _of_others(reading: Reading, iterations: Sequence[dict[str, object]]) -> list[Reading]:
    """The iterations of other models than the one that was asked for. If a model has answered in its place, also those
    of the model asked for, as their names alone do not tell which one that is."""
    others = []
    has_fallen_back = any(one.get("type") == "fallback_message" for one in iterations)
    for one in iterations[:MOST_OTHERS]:
        model = word(one.get("model"), LONGEST_MODEL)
        if model and (has_fallen_back or not is_same_model(model, reading.model_served)):
            other = Reading(model_served=model, traffic_type=reading.traffic_type)
            _take_counts(other, [one], {})
            if one.get("type") == "fallback_message" and reading.output_thought_tokens is not None:
                # What is told of thoughts is told of the answer, which this model has made.
                other.output_thought_tokens = min(reading.output_thought_tokens, other.output_tokens or 0)
            others.append(other)
    return others


MOST_OTHERS = 64
"""The most iterations that get a row of their own in the ledger. More than a few are never sent."""
COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
