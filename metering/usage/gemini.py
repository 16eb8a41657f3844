"""Gemini: generateContent, streamGenerateContent, embedContent, batchEmbedContents, and the Live API.

Nothing is summed over a stream: usage with a `totalTokenCount` replaces all counts that were told before it, and of
other usage the last value of each field counts. So Vertex's chunks with only a `trafficType` change no count, and AI
Studio's running totals replace each other. `totalTokenCount` = prompt + candidates + toolUsePrompt + thoughts
(discovery document of aiplatform v1).
"""

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
from metering.usage.enums import BLOCK_REASONS
from metering.usage.enums import FINISH_REASONS
from metering.usage.enums import MODALITIES
from metering.usage.enums import TRAFFIC_TYPES
from metering.usage.enums import enum_name
from metering.usage.errors import ERROR_NAMES
from metering.usage.errors import take_error
from metering.usage.reader import Reader

COUNTS = (
    "promptTokenCount",
    "cachedContentTokenCount",
    "candidatesTokenCount",
    "responseTokenCount",
    "thoughtsTokenCount",
    "toolUsePromptTokenCount",
    "totalTokenCount",
)
DETAILS = {
    "promptTokensDetails": "input",
    "promptTokenDetails": "input",
    "toolUsePromptTokensDetails": "input",
    "candidatesTokensDetails": "output",
    "responseTokensDetails": "output",
}
"""Lists of counts by modality -> what they are part of. Embeddings of the Gemini API have `promptTokenDetails`
(ai.google.dev/api/embeddings)."""


class GeminiReader(Reader):
    wanted = ERROR_NAMES | both(
        "usageMetadata trafficType modelVersion responseId candidates index content parts text thought inlineData"
        " mimeType functionCall finishReason groundingMetadata webSearchQueries promptFeedback blockReason"
        " embedding embeddings cacheTokensDetails modality tokenCount serviceTier"
        f" {' '.join(COUNTS)} {' '.join(DETAILS)}"
    )

    def __init__(self) -> None:
        super().__init__()
        self._reading.by_tokens = True
        self._usage: dict[str, object] = {}
        self._is_taken = True
        """Whether the reading has all of the usage."""
        self._beside: dict[str, object] | None = None
        """The latest event, without its candidates."""
        self._unfinished: dict[int, bool] = {}
        self._is_blocked = False
        self._searches: set[str] = set()

    @property
    def reading(self) -> Reading:
        reading = self._reading
        if not self._is_taken:
            take_usage(reading, self._usage)
            self._is_taken = True
        finished = bool(self._unfinished) and not any(self._unfinished.values())
        reading.terminal = (finished or self._is_blocked) and reading.counted
        return reading

    @property
    def terminal(self) -> bool:
        return self.reading.terminal

    def read(self, event: object) -> None:
        reading = self._reading
        if self._is_more_text(event):
            return
        take_error(reading, event)
        reading.model_served = word(member(event, "modelVersion"), LONGEST_MODEL) or reading.model_served
        reading.response_id = word(member(event, "responseId"), LONGEST_ID) or reading.response_id
        for position, candidate in enumerate(items(member(event, "candidates"))):
            self._candidate(position, candidate)
        blocked = enum_name(member(member(event, "promptFeedback"), "blockReason"), BLOCK_REASONS)
        reading.finish_reason = reading.finish_reason or blocked
        if member(event, "embedding") is not None:
            reading.input_items = 1
        elif embeddings := items(member(event, "embeddings")):
            reading.input_items = len(embeddings)
        if isinstance(usage := member(event, "usageMetadata"), dict):
            merge(self._usage, usage)
            self._is_taken = False
        self._is_blocked = blocked not in (None, BLOCK_REASONS[0])

    def _is_more_text(self, event: object) -> bool:
        """Whether an event differs from the one before it by a piece of text only, as most events of a stream do."""
        if not isinstance(event, dict):
            return False
        beside = event.copy()
        candidates = beside.pop("candidates", None)
        is_repeated, self._beside = beside == self._beside, beside
        return is_repeated and self._reading.content and 0 in self._unfinished and _is_text(candidates)

    def _candidate(self, position: int, candidate: object) -> None:
        reading = self._reading
        index = count(member(candidate, "index"))
        index = position if index is None else index
        reason = enum_name(member(candidate, "finishReason"), FINISH_REASONS)
        is_finished = reason not in (None, FINISH_REASONS[0])
        self._unfinished[index] = self._unfinished.get(index, True) and not is_finished
        if index == 0 and (is_finished or reading.finish_reason is None):
            reading.finish_reason = reason
        parts = items(member(member(candidate, "content"), "parts"))
        reading.content = reading.content or bool(parts)
        if made := sum(_is_image(part) for part in parts):
            reading.images = (reading.images or 0) + made
        if (searches := _searches(candidate)) is not None:
            self._searches |= searches
            reading.search_queries = len(self._searches)


def _is_text(candidates: object) -> bool:
    """Whether it is a list of one candidate, the first, which has a text and nothing else."""
    if not isinstance(candidates, list) or len(candidates) != 1:
        return False
    candidate = candidates[0]
    if not isinstance(candidate, dict) or not has_only_content(candidate) or candidate.get("index", 0) != 0:
        return False
    parts = member(candidate.get("content"), "parts")
    if not isinstance(parts, list) or len(parts) != 1:
        return False
    part = parts[0]
    return isinstance(part, dict) and len(part) == 1 and "text" in part


def has_only_content(candidate: dict[str, object]) -> bool:
    """Whether a candidate has no member beside its content and its index, as in most events of a stream."""
    return len(candidate) == ("content" in candidate) + ("index" in candidate)


class LiveReader(Reader):
    """Server messages of one WebSocket connection. Usage comes once a turn, for that turn: it adds up."""

    wanted = ERROR_NAMES | both(
        f"usageMetadata trafficType serviceTier modality tokenCount serverContent modelTurn parts groundingMetadata"
        f" webSearchQueries turnComplete {' '.join(COUNTS)} {' '.join(DETAILS)}"
    )

    def __init__(self) -> None:
        super().__init__()
        self._searches: set[str] = set()
        """The queries of the current turn; messages may repeat them."""
        self._searched = 0
        """How many queries the turns before had."""

    def read(self, event: object) -> None:
        take_error(self._reading, event)
        content = member(event, "serverContent")
        self._reading.content = self._reading.content or member(content, "modelTurn") is not None
        if (searches := _searches(content)) is not None:
            self._searches |= searches
            self._reading.search_queries = self._searched + len(self._searches)
        if member(content, "turnComplete"):
            self._searched += len(self._searches)
            self._searches = set()
        if isinstance(usage := member(event, "usageMetadata"), dict):
            self._add(usage)

    def _add(self, usage: dict[str, object]) -> None:
        turn = Reading()
        take_usage(turn, merge({}, usage))
        self._reading.add(turn)
        self._reading.usage_raw = turn.usage_raw


def _searches(content: object) -> set[str] | None:
    """The web searches that a candidate or a message of Live tells; None if it tells none. Google charges for each
    distinct query that is not empty."""
    queries = member(member(content, "groundingMetadata"), "webSearchQueries")
    if not isinstance(queries, list):
        return None
    return {query.strip() for query in queries if isinstance(query, str) and query.strip()}


def merge(usage: dict[str, object], new: dict[str, object]) -> dict[str, object]:
    """`usage`, with what is present in `new` on top, in camelCase. If `new` has a total, it replaces all counts."""
    if member(new, "totalTokenCount") is not None:
        for counted in _OF_COUNTS:
            usage.pop(counted, None)
    for spelling, value in new.items():
        name = _SPELLINGS.get(spelling)
        if name and value is not None and (name == spelling or new.get(name) is None):
            usage[name] = value
    return usage


_OF_COUNTS = (*COUNTS, *DETAILS, "cacheTokensDetails")
_SPELLINGS = {
    spelling: name for name in (*_OF_COUNTS, "trafficType", "serviceTier") for spelling in (snake(name), name)
}
"""Either spelling of a member -> its name in camelCase."""


def take_usage(reading: Reading, usage: dict[str, object]) -> None:
    """Put a usageMetadata object (camelCase) into the columns."""
    prompt, cached, candidates, response, thoughts, tool, total = (count(usage.get(name)) for name in COUNTS)
    visible = response if candidates is None else candidates
    traffic_type = enum_name(usage.get("trafficType"), TRAFFIC_TYPES)
    if traffic_type in (None, TRAFFIC_TYPES[0]):
        traffic_type = word(usage.get("serviceTier")) or traffic_type
    reading.traffic_type = traffic_type or reading.traffic_type
    reading.usage_raw = raw.allowed(usage) or reading.usage_raw
    reading.total_tokens = total
    reading.input_cached_tokens = cached
    reading.input_tool_tokens = tool
    reading.output_thought_tokens = thoughts
    inputs = None if prompt is None else including(prompt + (tool or 0), cached)
    if inputs is None and visible is not None and total is not None:
        # This JSON leaves out zeros, and some chunks the prompt.
        inputs = including(max(total - visible - (thoughts or 0), 0), cached, tool)
    reading.input_tokens = inputs
    modalities: dict[str, dict[str, int]] = {"input": {}, "output": {}}
    for name, side in DETAILS.items():
        for detail in items(usage.get(name)):
            modality, tokens = enum_name(member(detail, "modality"), MODALITIES), count(member(detail, "tokenCount"))
            if modality and tokens is not None:
                modality = "text" if modality == "MODALITY_UNSPECIFIED" else modality.lower()
                modalities[side][modality] = modalities[side].get(modality, 0) + tokens
    reading.input_by_modality = modalities["input"] or None
    reading.output_by_modality = modalities["output"] or None
    is_text = modalities["output"].get("text", 0) > 0 or not any(modalities["output"].values())
    reading.output_tokens = _output(inputs, visible, thoughts or 0, total, is_text=is_text)


def _output(inputs: int | None, visible: int | None, thoughts: int, total: int | None, *, is_text: bool) -> int | None:
    """All output tokens. Most surfaces count thoughts beside the candidates (`visible`), some count them in: the total
    tells, but for sound and images, and if there are more thoughts than candidates. It also tells the output where the
    field is missing, as proto3 JSON leaves out zeros."""
    if visible is None:
        if total is None or inputs is None or total < inputs:
            return None
        return including(total - inputs, thoughts)
    includes_thoughts = inputs is not None and total == inputs + visible and thoughts <= visible and is_text
    return visible if includes_thoughts else visible + thoughts


def _is_image(part: object) -> bool:
    mime_type = member(member(part, "inlineData"), "mimeType")
    return isinstance(mime_type, str) and mime_type.startswith("image/") and not member(part, "thought")
