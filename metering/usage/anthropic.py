"""Reads Claude's responses to rawPredict and streamRawPredict on Vertex, in the format of Anthropic's Messages API.

In this format `input_tokens` excludes both kinds of cache tokens; in the ledger it includes them. In a stream,
`message_start` has the input and a placeholder for the output. The `output_tokens` of `message_delta` are cumulative,
and the last one counts.
"""

from metering.call import Reading
from metering.call import count
from metering.call import word
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
        " service_tier".split()
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
        if take_error(self._reading, event):
            return
        reading = self._reading
        kind = member(event, "type")
        if kind == "message":
            self._message(event)
            self._take_usage(member(event, "usage"))
        elif kind == "message_start":
            self._message(member(event, "message"))
            usage = member(member(event, "message"), "usage")
            self._take_usage({**usage, "output_tokens": None} if isinstance(usage, dict) else None)
        elif kind == "content_block_start" or kind == "content_block_delta":
            reading.content = True
        elif kind == "message_delta":
            reading.finish_reason = word(member(member(event, "delta"), "stop_reason")) or reading.finish_reason
            self._take_usage(member(event, "usage"))
        elif kind == "message_stop":
            reading.terminal = True

    def _message(self, message: object) -> None:
        self._reading.model_served = word(member(message, "model"), 128)
        self._reading.response_id = word(member(message, "id"), 128)
        self._reading.finish_reason = word(member(message, "stop_reason"))

    def _take_usage(self, usage: object) -> None:
        if isinstance(usage, dict):
            self._usage |= {name: value for name, value in usage.items() if value is not None}
            self._is_taken = False


def take_usage(reading: Reading, usage: dict[str, object]) -> None:
    """Put a `usage` object into `reading`."""
    fresh, written, cached, output = (count(usage.get(name)) for name in COUNTS)
    reading.input_tokens = None if fresh is None else fresh + (written or 0) + (cached or 0)
    reading.input_cache_write_tokens = written
    reading.input_cached_tokens = cached
    reading.output_tokens = output
    reading.output_thought_tokens = count(member(usage.get("output_tokens_details"), "thinking_tokens"))
    reading.search_queries = count(member(usage.get("server_tool_use"), "web_search_requests"))
    reading.traffic_type = word(usage.get("service_tier"))
    reading.usage_raw = raw.allowed(usage)


COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
