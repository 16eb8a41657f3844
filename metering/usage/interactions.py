"""Reads Google's Interactions API, which models and agents answer, at once or in the background (`polls.py`).

An interaction has the usage of its request, in counts of their own names: `total_input_tokens` leave out those of tools
(`total_tool_use_tokens`), `total_output_tokens` those of thoughts; `total_tokens` tells where they do not. In a stream,
some events have running totals: `interaction.status_update`, `step.stop`, and `metadata` of any event. The last one
counts, or that of the event that ends the stream, `interaction.completed`. `step_usage` is a part of them.

What is answered to `voices` and `decisions`, which make a voice and decide a question, has such a usage too.

Three spellings are in use. google-genai sends and gets snake_case with small letters, such as `"status": "completed"`.
The methods `interactions:create` and `:createStream` have camelCase with capitals (`COMPLETED`), the model in
`modelInteraction`, and events in a member of their own (`{"interactionCompletedEvent": {...}}`). Earlier versions of
google-genai called the events `interaction.start`, `content.delta` and `interaction.complete`.

Sources: google-genai 3.6.1 (`_gaos/types`, `_interactions_websocket.py`), and the discovery documents of aiplatform v1
and v1beta1 (`GenaiVertexV1Interaction...`).
"""

from itertools import product

from metering.call import LONGEST_ID
from metering.call import LONGEST_MODEL
from metering.call import Reading
from metering.call import count
from metering.call import including
from metering.call import word
from metering.json_values import both
from metering.json_values import items
from metering.json_values import member
from metering.json_values import snake
from metering.usage import raw
from metering.usage.enums import GROUNDING_TOOLS
from metering.usage.enums import INTERACTION_MODALITIES
from metering.usage.enums import INTERACTION_STATUSES
from metering.usage.enums import INTERACTION_TIERS
from metering.usage.enums import SEARCH_TYPES
from metering.usage.enums import enum_name
from metering.usage.errors import ERROR_NAMES
from metering.usage.errors import take_error
from metering.usage.reader import Reader

WRAPPED = {
    "interactionCreatedEvent": "interaction.created",
    "interactionStatusUpdate": "interaction.status_update",
    "interactionCompletedEvent": "interaction.completed",
    "stepStart": "step.start",
    "stepDelta": "step.delta",
    "stepStop": "step.stop",
}
"""The member that has an event -> the event's type in the other spelling."""
LAST = ("interaction.completed", "interaction.complete", "interaction.cancelled", "interaction.canceled")
"""The types of the event that ends a stream."""
UNDER_WAY = ("queued", "in_progress", "unspecified")
"""The values of `status`, in small letters, of an interaction whose usage is not complete. With any other value, such
as `requires_action`, this request is done."""
DETAILS = {
    "inputTokensByModality": "input_by_modality",
    "toolUseTokensByModality": "input_by_modality",
    "outputTokensByModality": "output_by_modality",
}
SEARCH = "google_search"
"""The tool in `grounding_tool_count` whose count is a number of searches in the web."""
SEARCH_CALL = "googleSearchCall"
"""The kind of a step that searches."""


class InteractionsReader(Reader):
    """Reads an interaction, or the events of a stream."""

    wanted = ERROR_NAMES | both(
        "id model agent modelInteraction agentInteraction serviceTier errors steps content delta usage eventType"
        " interaction interactionId metadata totalUsage totalInputTokens totalOutputTokens totalThoughtTokens"
        " totalCachedTokens totalToolUseTokens totalTokens initialInputTokens inputTokensByModality"
        " outputTokensByModality cachedTokensByModality toolUseTokensByModality modality tokens groundingToolCount"
        " count step modelOutput image toolCall serverToolCall googleSearchCall searchType arguments queries"
        " searchQueryCount"
        f" errorEvent {' '.join(WRAPPED)}"
    )
    ends_with_event = True

    def __init__(self) -> None:
        super().__init__()
        self._reading.by_tokens = True
        self._usage: object = None
        """The latest usage object, until `reading` has taken it."""
        self._queries: set[str] = set()
        """What was searched for in the web."""

    @property
    def reading(self) -> Reading:
        take_usage(self._reading, self._usage)
        self._usage = None
        return self._reading

    def read(self, event: object) -> None:
        reading = self._reading
        if event == b"[DONE]":
            reading.terminal = True
        kind, event = _unwrapped(event)
        take_error(reading, member(event, "errorEvent") or event)
        self._usage = member(event, "usage") or member(member(event, "metadata"), "totalUsage") or self._usage
        if kind is None or kind.startswith("interaction."):
            interaction = event if kind is None else member(event, "interaction") or event
            self._take(interaction)
        elif kind.endswith(".delta"):
            reading.content = True
            delta = member(event, "delta")
            self._take_search(delta)
            if _part(delta, "image") is not None:
                reading.images = (reading.images or 0) + 1
        elif kind == "step.start":
            self._take_search(member(event, "step"))
        if kind is None and str(_status(event)).lower() in UNDER_WAY:
            # It goes on in the background: a poll tells what it has used in the end.
            self._usage = None
        if kind in LAST:
            reading.terminal = True
            reading.finish_reason = reading.finish_reason or kind.removeprefix("interaction.")

    def _take(self, interaction: object) -> None:
        reading = self._reading
        model = member(member(interaction, "modelInteraction"), "model") or member(interaction, "model")
        agent = member(member(interaction, "agentInteraction"), "agent") or member(interaction, "agent")
        served = word(model, LONGEST_MODEL) or word(agent, LONGEST_MODEL)
        reading.model_served = served.rpartition("/")[2] if served else reading.model_served
        id = word(member(interaction, "id") or member(interaction, "interactionId"), LONGEST_ID)
        reading.response_id = id or reading.response_id
        tier = enum_name(member(interaction, "serviceTier"), INTERACTION_TIERS)
        reading.traffic_type = tier or reading.traffic_type
        status = _status(interaction)
        if status and status.lower() not in UNDER_WAY:
            reading.finish_reason = status
            if status.lower() == "failed":
                reading.failed = True
                codes = (word(member(error, "code")) for error in items(member(interaction, "errors")))
                reading.error_type = next(filter(None, codes), reading.error_type)
        self._usage = member(interaction, "usage") or self._usage
        steps = items(member(interaction, "steps"))
        for step in steps:
            self._take_search(step)
        made = [part for step in steps for part in items(member(_part(step, "modelOutput"), "content"))]
        reading.images = sum(_part(part, "image") is not None for part in made) or reading.images

    def _take_search(self, step: object) -> None:
        """Take what a step, or a piece of one, searches for. Usage may tell how many searches that were."""
        call = _part(member(step, "toolCall") or member(step, "serverToolCall") or step, SEARCH_CALL)
        queries = member(member(call, "arguments"), "queries")
        searched = enum_name(member(call, "searchType"), SEARCH_TYPES) or ""
        if isinstance(queries, list) and not searched.lower().endswith("image_search"):
            self._queries |= {query.strip() for query in queries if isinstance(query, str) and query.strip()}
            self._reading.search_queries = len(self._queries)


class LiveInteractionsReader(InteractionsReader):
    """Reads the server's messages of a live interaction, which is one WebSocket connection. A message is an event, or
    several: `{"events": [...]}`."""

    wanted = InteractionsReader.wanted | {"events"}

    def read(self, event: object) -> None:
        events = member(event, "events")
        for one in events if isinstance(events, list) else [event]:
            super().read(one)


def _unwrapped(event: object) -> tuple[str | None, object]:
    """The type of an event, and the event without what it is wrapped in. The type of an interaction is None."""
    for name, kind in WRAPPED.items():
        if isinstance(inner := member(event, name), dict):
            return kind, inner
    return word(member(event, "eventType")), event


def _part(value: object, kind: str) -> object:
    """What `value` tells of a `kind` of step or content, such as `modelOutput`; None if it is of another kind. It is
    `{"type": "model_output", ...}`, or `{"modelOutput": {...}}`."""
    return value if member(value, "type") == snake(kind) else member(value, kind)


def _status(interaction: object) -> str | None:
    return enum_name(member(interaction, "status"), INTERACTION_STATUSES)


def take_usage(reading: Reading, usage: object) -> None:
    """Put a `usage` object into `reading`."""
    if not isinstance(usage, dict) or not usage:
        return
    names = ("Input", "ToolUse", "Output", "Thought", "Cached")
    prompt, tool, visible, thoughts, cached = (count(member(usage, f"total{name}Tokens")) for name in names)
    total = count(member(usage, "totalTokens"))
    reading.total_tokens = total
    reading.input_tool_tokens = tool
    reading.input_cached_tokens = cached
    reading.output_thought_tokens = thoughts
    beside = _beside(total, prompt or 0, visible or 0, tool or 0, thoughts or 0)
    inputs = None if prompt is None else prompt + beside[0]
    output = None if visible is None else visible + beside[1]
    # This JSON leaves out zeros: the total tells which count is one.
    if total is not None and output is None and inputs is not None and total >= inputs:
        output = total - inputs
    elif total is not None and inputs is None and output is not None and total >= output:
        inputs = total - output
    reading.input_tokens = including(inputs, cached, tool)
    reading.output_tokens = including(output, thoughts)
    for name in ("input_by_modality", "output_by_modality"):
        setattr(reading, name, _modalities(usage, name))
    told = [one for one in items(member(usage, "groundingToolCount")) if _type(one) == SEARCH]
    searches = [number for one in told if (number := _searches(one)) is not None]
    reading.search_queries = sum(searches) if searches else reading.search_queries
    reading.usage_raw = raw.allowed(usage)


def _beside(total: int | None, prompt: int, visible: int, tool: int, thoughts: int) -> tuple[int, int]:
    """The tokens of tools that are not in the prompt's, and those of thoughts that are not in the visible ones: all or
    none, as the total tells. Without one that fits, they are all beside."""
    tools_beside = (tool, 0) if tool <= prompt else (tool,)
    thoughts_beside = (thoughts, 0) if thoughts <= visible else (thoughts,)
    found = (one for one in product(tools_beside, thoughts_beside) if prompt + visible + sum(one) == total)
    return next(found, (tool, thoughts))


def _modalities(usage: dict[str, object], side: str) -> dict[str, int] | None:
    sums: dict[str, int] = {}
    for name in (name for name, of in DETAILS.items() if of == side):
        for detail in items(member(usage, name)):
            told = enum_name(member(detail, "modality"), INTERACTION_MODALITIES)
            tokens = count(member(detail, "tokens"))
            if told and tokens is not None:
                modality = told.lower()
                sums[modality] = sums.get(modality, 0) + tokens
    return sums or None


def _searches(tool: object) -> int | None:
    """How many distinct queries the tool was asked; how often it was asked, if that alone is told."""
    queries = count(member(tool, "searchQueryCount"))
    return count(member(tool, "count")) if queries is None else queries


def _type(tool: object) -> str:
    return (enum_name(member(tool, "type"), GROUNDING_TOOLS) or "").lower()
