"""Reads OpenAI's formats: chat completions, completions, embeddings, Responses, images.

Vertex uses them too (`endpoints/openapi`, `endpoints/{id}`, Mistral's rawPredict), with different rules: for Gemini,
`completion_tokens` may leave out reasoning tokens. `total_tokens` tells whether they do.
"""

from metering.call import Reading
from metering.call import count
from metering.call import word
from metering.json_values import items
from metering.json_values import member
from metering.usage import raw
from metering.usage.errors import ERROR_NAMES
from metering.usage.errors import take_error
from metering.usage.reader import Reader

USAGE_NAMES = frozenset(
    "usage prompt_tokens completion_tokens total_tokens input_tokens output_tokens prompt_tokens_details"
    " completion_tokens_details input_tokens_details output_tokens_details cached_tokens cache_write_tokens"
    " prompt_cache_hit_tokens reasoning_tokens audio_tokens image_tokens text_tokens extra_properties google"
    " traffic_type service_tier".split()
)
MODALITIES = {"text_tokens": "text", "image_tokens": "image", "audio_tokens": "audio"}


class ChatReader(Reader):
    """Reads chat/completions, completions and embeddings. A stream ends with `[DONE]`."""

    wanted = (
        ERROR_NAMES
        | USAGE_NAMES
        | frozenset(
            "id model choices index finish_reason delta text data content message tool_calls reasoning_content".split()
        )
    )
    ends_with_event = True

    def __init__(self) -> None:
        super().__init__()
        self._usage: object = None
        """The latest usage object, until `reading` has taken it."""

    @property
    def reading(self) -> Reading:
        take_usage(self._reading, self._usage)
        self._usage = None
        return self._reading

    def read(self, event: object) -> None:
        reading = self._reading
        if event == b"[DONE]":
            reading.terminal = True
        if take_error(reading, event):
            return
        take_names(reading, event)
        for position, choice in enumerate(items(member(event, "choices"))):
            reason, index = word(member(choice, "finish_reason")), count(member(choice, "index"))
            if reason and (position if index is None else index) == 0:
                reading.finish_reason = reason
            delta = member(choice, "delta")
            if member(choice, "text") or (
                isinstance(delta, dict) and any(delta[name] for name in delta.keys() - {"role"})
            ):
                reading.content = True
        if isinstance(data := member(event, "data"), list):
            reading.input_items = len(data)
        self._usage = member(event, "usage") or self._usage


class ResponsesReader(Reader):
    """Reads responses. A stream ends with `response.completed`, `.incomplete` or `.failed`, which contain the full
    response."""

    wanted = (
        ERROR_NAMES
        | USAGE_NAMES
        | frozenset("id model type object response status incomplete_details reason output".split())
    )
    ends_with_event = True

    def read(self, event: object) -> None:
        reading = self._reading
        kind = member(event, "type")
        response = member(event, "response") if isinstance(kind, str) and kind.startswith("response.") else event
        take_error(reading, response)
        if isinstance(kind, str) and kind.endswith(".delta"):
            reading.content = True
        status = word(member(response, "status"))
        if status not in ("completed", "incomplete", "failed", "cancelled"):
            take_names(reading, response)
            return
        reading.terminal = reading.terminal or response is not event
        reading.failed = reading.failed or status == "failed"
        take_names(reading, response)
        reading.finish_reason = word(member(member(response, "incomplete_details"), "reason")) or status
        kinds = [member(item, "type") for item in items(member(response, "output"))]
        reading.search_queries = kinds.count("web_search_call") or reading.search_queries
        reading.images = kinds.count("image_generation_call") or reading.images
        take_usage(reading, member(response, "usage"))


class ImagesReader(Reader):
    """Reads images/generations, edits and variations. A stream has one `.completed` event for each image."""

    wanted = ERROR_NAMES | USAGE_NAMES | frozenset("data model".split())

    ends_with_event = True

    def read(self, event: object) -> None:
        reading = self._reading
        if take_error(reading, event):
            return
        kind = member(event, "type")
        if isinstance(kind, str):
            reading.content = True
            reading.terminal = kind.endswith(".completed")
            if reading.terminal:
                reading.images = (reading.images or 0) + 1
        elif isinstance(data := member(event, "data"), list):
            reading.images = len(data)
        take_names(reading, event)
        take_usage(reading, member(event, "usage"))


def take_names(reading: Reading, answer: object) -> None:
    """Put the model, the id and the service tier of a response into `reading`."""
    served = word(member(answer, "model"), 128)
    reading.model_served = served.rpartition("/")[2] if served else reading.model_served
    reading.response_id = word(member(answer, "id"), 128) or reading.response_id
    reading.traffic_type = word(member(answer, "service_tier")) or reading.traffic_type


def take_usage(reading: Reading, usage: object) -> None:
    """Put a `usage` object, of any of these formats, into `reading`."""
    if not isinstance(usage, dict) or not usage:
        return

    def either(*names: str) -> object:
        return next((usage[name] for name in names if usage.get(name) is not None), None)

    details = either("prompt_tokens_details", "input_tokens_details")
    made = either("completion_tokens_details", "output_tokens_details")
    inputs = count(either("prompt_tokens", "input_tokens"))
    output = count(either("completion_tokens", "output_tokens"))
    total = count(usage.get("total_tokens"))
    reasoning = count(member(made, "reasoning_tokens"))
    if inputs is not None and output is not None and total is not None and total > inputs + output:
        left_out = total - inputs - output
        if reasoning is None or reasoning == left_out:
            reasoning, output = left_out, output + left_out
    reading.input_tokens, reading.output_tokens, reading.total_tokens = inputs, output, total
    cached = count(member(details, "cached_tokens"))
    reading.input_cached_tokens = count(usage.get("prompt_cache_hit_tokens")) if cached is None else cached
    reading.input_cache_write_tokens = count(member(details, "cache_write_tokens"))
    reading.output_thought_tokens = reasoning
    reading.input_by_modality = _modalities(details)
    reading.output_by_modality = _modalities(made)
    google = member(usage.get("extra_properties"), "google")
    reading.traffic_type = word(member(google, "traffic_type")) or reading.traffic_type
    reading.usage_raw = raw.allowed(usage)


def _modalities(details: object) -> dict[str, int] | None:
    counts = ((modality, count(member(details, name))) for name, modality in MODALITIES.items())
    return {modality: tokens for modality, tokens in counts if tokens is not None} or None
