"""Writes answers for clients of Gemini's dialect, whole or as a stream, from the neutral form.

Source: GenerateContentResponse in the discovery document of aiplatform v1.
"""

from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Finish
from addons.translation.conversation import Json
from addons.translation.conversation import Text
from addons.translation.conversation import TokenLogprob
from addons.translation.conversation import Usage
from addons.translation.conversation import to_bytes
from addons.translation.errors import Failure
from addons.translation.errors import google_error
from addons.translation.errors import unfinished
from addons.translation.gemini.families import NEWEST
from addons.translation.gemini.parts import unknown_members
from addons.translation.gemini.parts import write_part
from addons.translation.gemini.schema import SERVED_TIERS
from metering.json_values import both
from metering.json_values import member

_REASONS = {
    Finish.STOP: "STOP",
    Finish.TOOL_CALLS: "STOP",
    Finish.LENGTH: "MAX_TOKENS",
    Finish.CONTENT_FILTER: "SAFETY",
}
"""Our `Finish` -> Google's `finishReason`."""
_WRITTEN_OF_ANSWERS = both("candidates modelVersion responseId error")
_WRITTEN_OF_CANDIDATES = both("content index finishReason")
"""Members that are written from the neutral form; the others are Google's own words."""
_TRAFFIC_TYPES = {tier: traffic for traffic, tier in SERVED_TIERS.items()}


def write_answer(answer: Answer, model: str) -> Json:
    """A GenerateContentResponse. `model` is the client's; it is used if the answer names none."""
    response: Json = {}
    if not _is_blocked(answer):
        response["candidates"] = [_candidate(choice) for choice in answer.choices]
    if usage := _usage_metadata(answer.usage, answer.service_tier):
        response["usageMetadata"] = usage
    response["modelVersion"] = answer.model or model
    if answer.id:
        response["responseId"] = answer.id
    return response | unknown_members(answer.google, _WRITTEN_OF_ANSWERS)


def _is_blocked(answer: Answer) -> bool:
    """Whether Google refused the prompt; then the response must not have candidates."""
    return bool(member(member(answer.google, "promptFeedback"), "blockReason"))


def _candidate(choice: Choice) -> Json:
    parts = [write_part(part, NEWEST) for part in choice.parts]
    written: Json = {"content": {"role": "model"} | ({"parts": parts} if parts else {})}
    if reason := _finish_reason(choice):
        written["finishReason"] = reason
    written["index"] = choice.index
    if choice.refusal:
        written["finishMessage"] = choice.refusal
    if choice.logprobs is not None:
        written["logprobsResult"] = _logprobs_result(choice.logprobs)
    if choice.citations:
        texts = [part.text if isinstance(part, Text) else "" for part in choice.parts]
        written["groundingMetadata"] = _grounding_metadata(choice.citations, texts)
    return written | unknown_members(choice.google, _WRITTEN_OF_CANDIDATES)


def _finish_reason(choice: Choice) -> str | None:
    if choice.native and choice.native.issuer == "google":
        return choice.native.reason
    if choice.is_invalid:
        return "MALFORMED_FUNCTION_CALL"
    if choice.refusal:
        return "SAFETY"
    return _REASONS[choice.finish] if choice.finish else None


def _logprobs_result(tokens: list[TokenLogprob]) -> Json:
    return {
        "chosenCandidates": [_log_probability(token) for token in tokens],
        "topCandidates": [{"candidates": [_log_probability(top) for top in token.top]} for token in tokens],
    }


def _log_probability(token: TokenLogprob) -> Json:
    return {"token": token.token, "logProbability": token.logprob}


def _grounding_metadata(citations: list[Citation], texts: list[str]) -> Json:
    """Google's GroundingMetadata: the pages that an answer cites, and the spans of its text that cite them. `texts` are
    the texts of the answer's parts, "" for a part that is no text."""
    pages = list(dict.fromkeys((citation.url, citation.title) for citation in citations))
    spans: dict[tuple[int, int], list[int]] = {}
    for citation in citations:
        spans.setdefault((citation.start, citation.end), []).append(pages.index((citation.url, citation.title)))
    return {
        "groundingChunks": [{"web": {"uri": url} | ({"title": title} if title else {})} for url, title in pages],
        "groundingSupports": [
            {"segment": _segment(start, end, texts), "groundingChunkIndices": indices}
            for (start, end), indices in spans.items()
        ],
    }


def _segment(start: int, end: int, texts: list[str]) -> Json:
    """Google's Segment for the characters from `start` up to `end` of the answer's text. Its indices are UTF-8 bytes
    within the part that contains the whole span; if no part does, within all the text. Zeros are left out, as in
    proto3 JSON."""
    base = 0
    number, text = 0, "".join(texts)
    for place, own in enumerate(texts):
        if base <= start < end <= base + len(own):
            number, text, start, end = place, own, start - base, end - base
            break
        base += len(own)
    counts = {
        "partIndex": number,
        "startIndex": len(text[:start].encode("utf-8", "replace")),
        "endIndex": len(text[:end].encode("utf-8", "replace")),
    }
    return {name: count for name, count in counts.items() if count} | {"text": text[start:end]}


def _usage_metadata(usage: Usage | None, tier: str | None) -> Json:
    """Google's UsageMetadata. Its candidatesTokenCount does not include thoughts. Zeros are left out, as in proto3
    JSON."""
    written: Json = {}
    if usage:
        thoughts, output = usage.thoughts or 0, usage.output
        counts = {
            "promptTokenCount": usage.input,
            "candidatesTokenCount": None if output is None else max(output - thoughts, 0),
            "thoughtsTokenCount": thoughts,
            "cachedContentTokenCount": usage.cached,
            "totalTokenCount": None if output is None or usage.input is None else usage.input + output,
        }
        written |= {name: count for name, count in counts.items() if count}
        for name, modalities in (
            ("promptTokensDetails", usage.input_by_modality),
            ("candidatesTokensDetails", usage.output_by_modality),
        ):
            details = [{"modality": key.upper(), "tokenCount": count} for key, count in modalities.items() if count]
            written |= {name: details} if details else {}
    if traffic := _TRAFFIC_TYPES.get(tier or ""):
        written["trafficType"] = traffic
    return written


class StreamWriter:
    """Writes a streamed answer as GenerateContentResponses, which are server-sent events (`alt=sse`) or the elements of
    one JSON array.

    The finish reason, the usage and all citations are in the last one, as Google does it. A stream that breaks ends
    with an error (`fail`). After `end` or `fail` nothing more is written.
    """

    def __init__(self, model: str, as_events: bool) -> None:
        self._as_events = as_events
        self._head: Json = {"modelVersion": model}
        self._choices: dict[int, _WrittenCandidate] = {}
        self._usage: Usage | None = None
        self._tier: str | None = None
        self._google_usage: Json = {}
        self._blocked = False
        self._has_begun = False
        self._has_ended = False
        self.failed = False
        """Whether the stream has ended with an error."""

    def write(self, answer: Answer) -> bytes:
        """The bytes for a piece of the answer; empty if it has nothing that the client gets now."""
        if self._has_ended:
            return b""
        if answer.id:
            self._head["responseId"] = answer.id
        self._head["modelVersion"] = answer.model or self._head["modelVersion"]
        self._usage = answer.usage or self._usage
        self._tier = answer.service_tier or self._tier
        rest = unknown_members(answer.google, _WRITTEN_OF_ANSWERS)
        if isinstance(usage := rest.pop("usageMetadata", None), dict):
            self._google_usage |= usage
        feedback = {"promptFeedback": rest.pop("promptFeedback")} if "promptFeedback" in rest else {}
        self._head |= rest
        self._blocked = self._blocked or _is_blocked(answer)
        candidates: list[Json] = []
        for choice in answer.choices if not self._blocked else []:
            candidates += self._choices.setdefault(choice.index, _WrittenCandidate(choice.index)).write(choice)
        if not candidates and not feedback:
            return b""
        return self._element(({"candidates": candidates} if candidates else {}) | feedback | self._head)

    def end(self) -> bytes:
        """The last bytes, when the whole answer has been written; an error if a choice has no finish reason."""
        if self._has_ended:
            return b""
        if not self._blocked and not (self._choices and all(one.ended for one in self._choices.values())):
            return self.fail(unfinished())
        last: Json = {"candidates": [one.end() for one in self._choices.values()]} if self._choices else {}
        if usage := self._google_usage or _usage_metadata(self._usage, self._tier):
            last["usageMetadata"] = usage
        return self._close(last | self._head)

    def fail(self, failure: Failure) -> bytes:
        """The last bytes of an answer that breaks off: an error."""
        if self._has_ended:
            return b""
        self.failed = True
        return self._close(google_error(failure))

    def _close(self, document: Json) -> bytes:
        written = self._element(document)
        self._has_ended = True
        return written if self._as_events else written + b"]"

    def _element(self, document: Json) -> bytes:
        before = b"data: " if self._as_events else b",\r\n" if self._has_begun else b"["
        self._has_begun = True
        return before + to_bytes(document) + (b"\r\n\r\n" if self._as_events else b"")


class _WrittenCandidate:
    """A choice of a stream, and what its last candidate will say."""

    def __init__(self, index: int) -> None:
        self._whole = Choice(index)
        """What the last candidate will say: the finish reason, the refusal, the citations."""
        self._texts: list[str] = []

    @property
    def ended(self) -> bool:
        return bool(self._whole.finish)

    def write(self, choice: Choice) -> list[Json]:
        """A list of one candidate, or of none if the choice has nothing that the client gets now."""
        whole = self._whole
        whole.finish, whole.native = choice.finish or whole.finish, choice.native or whole.native
        whole.is_invalid = whole.is_invalid or choice.is_invalid
        whole.refusal = (whole.refusal or "") + (choice.refusal or "") or None
        google = unknown_members(choice.google, _WRITTEN_OF_CANDIDATES)
        if "groundingMetadata" not in google:
            whole.citations += choice.citations
        self._texts += [part.text for part in choice.parts if isinstance(part, Text)]
        if not choice.parts and not choice.logprobs and not google:
            return []
        return [_candidate(Choice(choice.index, choice.parts, logprobs=choice.logprobs, google=google))]

    def end(self) -> Json:
        # Clients treat an event without parts as broken.
        last = _candidate(self._whole) | {"content": {"role": "model", "parts": [{"text": ""}]}}
        if self._whole.citations:
            last["groundingMetadata"] = _grounding_metadata(self._whole.citations, ["".join(self._texts)])
        return last
