"""Reads OpenAI's formats: chat completions, completions, embeddings, decisions, Responses, images.

Vertex uses them too (`endpoints/openapi`, `endpoints/{id}`, the partners' rawPredict), with different rules: for
Gemini, `completion_tokens` may leave out reasoning tokens. `total_tokens` tells whether they do.
"""

from metering.call import LONGEST_ID
from metering.call import LONGEST_MODEL
from metering.call import Reading
from metering.call import count
from metering.call import including
from metering.call import word
from metering.json_values import items
from metering.json_values import member
from metering.usage import raw
from metering.usage.errors import ERROR_NAMES
from metering.usage.errors import take_error
from metering.usage.reader import Reader

INPUTS = ("prompt_tokens", "input_tokens")
OUTPUTS = ("completion_tokens", "output_tokens")
INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "prompt_token_details", "input_token_details")
OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details", "output_token_details")
CACHED = ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens")
"""Members of a usage object that have the cached tokens if its details do not: DeepSeek's, Mistral's, Moonshot's."""
MODALITIES = {"text_tokens": "text", "image_tokens": "image", "audio_tokens": "audio"}
USAGE_NAMES = frozenset(
    "usage total_tokens cache_write_tokens reasoning_tokens prompt_audio_seconds server_tool_use web_search_requests"
    " num_search_queries extra_properties google traffic_type service_tier".split()
).union(INPUTS, OUTPUTS, INPUT_DETAILS, OUTPUT_DETAILS, CACHED, MODALITIES)
LEAVE_THOUGHTS_OUT = ("gemini", "grok")
"""How the names of models begin whose `completion_tokens` may leave out thoughts although no `reasoning_tokens` tell
them: Google's AI Studio and xAI answer so."""


class ChatReader(Reader):
    """Reads chat/completions, completions, embeddings, decisions, and Mistral's OCR. A stream ends with `[DONE]`."""

    wanted = (
        ERROR_NAMES
        | USAGE_NAMES
        | frozenset(
            "id model choices index finish_reason delta text data content message tool_calls reasoning_content"
            " annotations usage_info pages_processed pages_processed_annotation doc_size_bytes".split()
        )
    )
    ends_with_event = True

    def __init__(self) -> None:
        super().__init__()
        self._usage: dict[str, object] = {}
        """The usage object that counts."""
        self._cites = False
        """Whether the answer cites a web page."""

    @property
    def reading(self) -> Reading:
        reading = self._reading
        take_usage(reading, self._usage)
        if self._cites and reading.search_queries is None:
            # What cites a page has searched; chat completions do not tell how often.
            reading.search_queries = 1
        return reading

    def read(self, event: object) -> None:
        reading = self._reading
        if event == b"[DONE]":
            reading.terminal = True
        take_error(reading, event)
        take_names(reading, event)
        for position, choice in enumerate(items(member(event, "choices"))):
            reason, index = word(member(choice, "finish_reason")), count(member(choice, "index"))
            if reason and (position if index is None else index) == 0:
                reading.finish_reason = reason
            take_error(reading, choice)
            # Moonshot's streams have it there.
            self._usage = _newer(self._usage, member(choice, "usage"))
            delta = member(choice, "delta")
            if member(choice, "text") or (
                isinstance(delta, dict) and any(delta[name] for name in delta.keys() - {"role"})
            ):
                reading.content = True
            self._cites = self._cites or _cites(delta) or _cites(member(choice, "message"))
        if isinstance(data := member(event, "data"), list):
            reading.input_items = len(data)
        _take_pages(reading, member(event, "usage_info"))
        self._usage = _newer(self._usage, member(event, "usage") or member(member(event, "error"), "usage"))


def _newer(usage: dict[str, object], new: object) -> dict[str, object]:
    """`new` if it has counts, else `usage` with what `new` has on top: of Vertex AI's chunks only one has counts, the
    others have only a traffic type, and other services' have counts that are null."""
    if not isinstance(new, dict):
        return usage
    if any(count(new.get(name)) is not None for name in (*INPUTS, *OUTPUTS, "total_tokens")):
        return new
    return usage | {name: value for name, value in new.items() if value is not None}


def _cites(message: object) -> bool:
    return any(member(note, "type") == "url_citation" for note in items(member(message, "annotations")))


def _take_pages(reading: Reading, usage_info: object) -> None:
    """Put the pages that Mistral's OCR has read into `reading`. It is billed by pages, and its answer has
    `{"usage_info": {"pages_processed": 3, "doc_size_bytes": 4096}}` (Mistral's API reference)."""
    pages = count(member(usage_info, "pages_processed"))
    if pages is not None and isinstance(usage_info, dict):
        reading.input_items, reading.measured = pages, True
        reading.usage_raw = raw.allowed(usage_info)


BILLED_CALLS = ("web_search_call", "image_generation_call")
"""The types of the calls of tools that are counted in a response."""


class ResponsesReader(Reader):
    """Reads responses, and what responses/compact answers, which has no status. A stream ends with
    `response.completed`, `.incomplete` or `.failed`, which contain the full response."""

    wanted = (
        ERROR_NAMES
        | USAGE_NAMES
        | frozenset(
            "id model type object response status incomplete_details reason output action queries query tool_usage"
            " web_search num_requests image_gen item".split()
        )
    )
    ends_with_event = True

    def __init__(self) -> None:
        super().__init__()
        self._output: list[object] = []
        """What a stream has told of the calls of tools that are billed."""

    def read(self, event: object) -> None:
        reading = self._reading
        kind = member(event, "type")
        response = member(event, "response") if isinstance(kind, str) and kind.startswith("response.") else event
        take_error(reading, response)
        if isinstance(kind, str) and kind.endswith(".delta"):
            reading.content = True
        if kind == "response.output_item.done" and member(member(event, "item"), "type") in BILLED_CALLS:
            self._output.append(member(event, "item"))
        take_names(reading, response)
        status = word(member(response, "status")) or str(kind).removeprefix("response.")
        if response is event and status in ("queued", "in_progress"):
            # It goes on in the background: a poll tells what it has used in the end.
            return
        take_usage(reading, member(response, "usage"), tool_usage=member(response, "tool_usage"))
        if status not in ("completed", "incomplete", "failed", "cancelled"):
            return
        reading.terminal = reading.terminal or response is not event
        reading.failed = reading.failed or status == "failed"
        reading.finish_reason = word(member(member(response, "incomplete_details"), "reason")) or status
        # Some services leave out of the last event what the events before it have told.
        output = items(member(response, "output")) or self._output
        images = [member(item, "type") for item in output].count("image_generation_call")
        reading.images = images or reading.images
        billed = count(member(member(member(response, "tool_usage"), "web_search"), "num_requests"))
        searches = _searches(output) if billed is None else billed
        reading.search_queries = reading.search_queries if searches is None else searches


def _searches(output: list[object]) -> int | None:
    """The number of web searches of a response; None if it has no `web_search_call`.

    A query counts once, however often it is asked, and an empty one not at all. A call that tells no query is one
    search. To open a page or to find something in it is none.
    """
    calls = [item for item in output if member(item, "type") == "web_search_call"]
    queries: set[str] = set()
    untold = 0
    for call in calls:
        action = member(call, "action")
        if member(action, "type") in (None, "search") and member(call, "status") != "failed":
            told = [*items(member(action, "queries")), member(action, "query")]
            texts = [query.strip() for query in told if isinstance(query, str)]
            queries.update(filter(None, texts))
            untold += not texts
    return len(queries) + untold if calls else None


class ImagesReader(Reader):
    """Reads images/generations, edits and variations. A stream has one `.completed` event for each image."""

    wanted = ERROR_NAMES | USAGE_NAMES | frozenset("data model svg_usage".split())

    ends_with_event = True

    def read(self, event: object) -> None:
        reading = self._reading
        is_error = take_error(reading, event)
        kind = member(event, "type")
        if isinstance(kind, str) and not is_error:
            reading.content = True
            reading.terminal = kind.endswith(".completed")
            if reading.terminal:
                reading.images = (reading.images or 0) + 1
        elif isinstance(data := member(event, "data"), list):
            reading.images = len(data)
        take_names(reading, event)
        take_usage(reading, member(event, "usage"), svg_usage=member(event, "svg_usage"))


def take_names(reading: Reading, answer: object) -> None:
    """Put the model, the id and the service tier of a response into `reading`."""
    served = word(member(answer, "model"), LONGEST_MODEL)
    reading.model_served = served.rpartition("/")[2] if served else reading.model_served
    reading.response_id = word(member(answer, "id"), LONGEST_ID) or reading.response_id
    reading.traffic_type = word(member(answer, "service_tier")) or reading.traffic_type


def take_usage(reading: Reading, usage: object, **beside: object) -> None:
    """Put a `usage` object, of any of these formats, into `reading`. `beside` are the answer's other usage objects, by
    name: what tools and other models have used. `usage_raw` has them too.

    Counts are made inclusive. `total_tokens` tells the tokens that stand beside the others: thoughts if
    `reasoning_tokens` are just as many, or if nothing tells them and the model is known for that; else what `_is_input`
    knows. What is more than the count that it should be part of stands beside it too.
    """
    if not isinstance(usage, dict) or not usage:
        return

    def either(*names: str) -> object:
        return next((usage[name] for name in names if usage.get(name) is not None), None)

    details, made = either(*INPUT_DETAILS), either(*OUTPUT_DETAILS)
    inputs, output = count(either(*INPUTS)), count(either(*OUTPUTS))
    total = count(usage.get("total_tokens"))
    cached = count(member(details, "cached_tokens"))
    cached = count(either(*CACHED)) if cached is None else cached
    written = count(member(details, "cache_write_tokens"))
    thoughts = count(member(made, "reasoning_tokens"))
    if inputs is not None and output is not None:
        rest = 0 if total is None else max(0, total - inputs - output)
        if rest and thoughts is None and (reading.model_served or "").lower().startswith(LEAVE_THOUGHTS_OUT):
            thoughts = rest
        thinking = thoughts or 0
        if rest == thinking:
            output += thinking
        elif _is_input(rest, inputs, usage, details):
            inputs += rest
        elif _is_input(rest - thinking, inputs, usage, details):
            inputs, output = inputs + rest - thinking, output + thinking
    elif inputs is not None and total is not None and total > inputs:
        # Google's JSON leaves out zeros: all of the output may be thoughts.
        output = total - inputs
    reading.input_tokens = including(inputs, cached, written)
    reading.output_tokens = including(output, thoughts)
    reading.total_tokens = total
    reading.input_cached_tokens = cached
    reading.input_cache_write_tokens = written
    reading.output_thought_tokens = thoughts
    reading.input_by_modality = _modalities(details)
    reading.output_by_modality = _modalities(made)
    told = (member(usage.get("server_tool_use"), "web_search_requests"), usage.get("num_search_queries"))
    searches = next((number for number in map(count, told) if number is not None), None)
    reading.search_queries = reading.search_queries if searches is None else searches
    google = member(usage.get("extra_properties"), "google")
    reading.traffic_type = word(member(google, "traffic_type")) or reading.traffic_type
    reading.usage_raw = raw.allowed({**usage, **beside})


def _is_input(rest: int, inputs: int, usage: dict[str, object], details: object) -> bool:
    """Whether tokens that are part of the total, and of neither count, belong to the input: its details tell just as
    many, or the prompt had sound. Mistral counts sound in the total only: prompt 9, completion 248, total 632, of which
    `audio_tokens` 375."""
    parts = [count(member(details, name)) for name in (*MODALITIES, "cached_tokens", "cache_write_tokens")]
    all_modalities = sum((_modalities(details) or {}).values())
    seconds = count(usage.get("prompt_audio_seconds"))
    return rest > 0 and (bool(seconds) or rest in parts or all_modalities in (rest, inputs + rest))


def _modalities(details: object) -> dict[str, int] | None:
    counts = ((modality, count(member(details, name))) for name, modality in MODALITIES.items())
    return {modality: tokens for modality, tokens in counts if tokens is not None} or None
