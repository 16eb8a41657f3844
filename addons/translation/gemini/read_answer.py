"""Gemini's answers, whole or as a stream, read into the neutral form.

Source: GenerateContentResponse in the discovery document of aiplatform v1. Answers are read leniently: anything may be
missing, in either case of letters, or new.
"""

from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Finish
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import NativeFinish
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import TokenLogprob
from addons.translation.conversation import ToolCall
from addons.translation.conversation import Usage
from addons.translation.conversation import usage_of
from addons.translation.errors import Failure
from addons.translation.errors import read_error
from addons.translation.function_names import Names
from addons.translation.gemini.parts import read_part
from addons.translation.gemini.schema import FUNCTION_NAMES
from addons.translation.gemini.schema import SERVED_TIERS
from addons.translation.gemini.schema import SERVICE_TIERS
from addons.translation.gemini.speech import joined
from addons.translation.gemini.speech import wants_wav
from metering.call import Reading
from metering.json_values import both
from metering.json_values import items
from metering.json_values import member
from metering.json_values import number_of
from metering.json_values import text_of
from metering.usage.gemini import COUNTS
from metering.usage.gemini import DETAILS
from metering.usage.gemini import has_only_content
from metering.usage.gemini import merge
from metering.usage.gemini import take_usage

FINISH_REASONS: dict[str, Finish | None] = {
    "STOP": Finish.STOP,
    "FINISH_REASON_UNSPECIFIED": Finish.STOP,
    "MAX_TOKENS": Finish.LENGTH,
    "CONTINUATION": Finish.LENGTH,
    "SAFETY": Finish.CONTENT_FILTER,
    "RECITATION": Finish.CONTENT_FILTER,
    "LANGUAGE": Finish.CONTENT_FILTER,
    "BLOCKLIST": Finish.CONTENT_FILTER,
    "PROHIBITED_CONTENT": Finish.CONTENT_FILTER,
    "SPII": Finish.CONTENT_FILTER,
    "MODEL_ARMOR": Finish.CONTENT_FILTER,
    "ESCALATION": Finish.CONTENT_FILTER,
    "IMAGE_SAFETY": Finish.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": Finish.CONTENT_FILTER,
    "IMAGE_RECITATION": Finish.CONTENT_FILTER,
    "IMAGE_OTHER": Finish.CONTENT_FILTER,
    "NO_IMAGE": Finish.CONTENT_FILTER,
    "MALFORMED_FUNCTION_CALL": Finish.STOP,
    "UNEXPECTED_TOOL_CALL": Finish.STOP,
    "TOO_MANY_TOOL_CALLS": Finish.STOP,
    "MALFORMED_RESPONSE": Finish.STOP,
    "MISSING_THOUGHT_SIGNATURE": Finish.STOP,
    "OTHER": None,
}
"""`finishReason` -> how the answer ended. None, and reasons that are not here: STOP if there is content, CONTENT_FILTER
if there is none."""
FAULTS = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
        "TOO_MANY_TOOL_CALLS",
        "UNEXPECTED_TOOL_CALL",
    }
)
"""Values of `finishReason` that say that the model made something that is no answer."""
_COUNTED = both(" ".join((*COUNTS, *DETAILS)))
"""Members of `usageMetadata` that are counts, or hold some."""


class AnswerReader:
    """Reads the one document of an answer, or the many of a stream, each into an `Answer` of what is new."""

    def __init__(self, candidates: int = 1, names: Names | None = None, as_wav: bool = False) -> None:
        """`candidates` is how many the request asked for (`candidateCount`). `names` are those of its functions. Sound
        is put into a wav file if `as_wav`."""
        self._wanted = candidates
        self._names = names or Names(Request(""), FUNCTION_NAMES)
        self._as_wav = as_wav
        self.failure: Failure | None = None
        """The error that came instead of, or inside, the answer."""
        self._blocked = False
        self._candidates: dict[int, _Candidate] = {}
        self._usage: Json = {}
        self._beside: Json | None = None
        """The latest document, without its candidates."""

    @property
    def finished(self) -> bool:
        """Whether every choice has come to an end."""
        finished = sum(candidate.finished for candidate in self._candidates.values())
        return self._blocked or (finished == len(self._candidates) and finished >= self._wanted)

    def read(self, document: object) -> Answer:
        if not isinstance(document, dict):
            return Answer()
        answer, beside = Answer(google=document), document.copy()
        candidates = items(beside.pop("candidates", None))
        # Most events of a stream repeat all but their text.
        if beside != self._beside:
            self._read_beside(answer, beside)
            self._beside = beside
        if self.failure:
            return Answer()
        for position, candidate in enumerate(candidates):
            index = number_of(member(candidate, "index"), position)
            index = index if index >= 0 else position
            answer.choices.append(self._candidate(index).read(index, candidate))
        if not candidates:
            self._read_block(answer, member(document, "promptFeedback"))
        return answer

    def _read_beside(self, answer: Answer, beside: Json) -> None:
        """Reads what stands beside the candidates."""
        if member(beside, "error"):
            self.failure = read_error(None, beside)
        answer.id, answer.model = text_of(member(beside, "responseId")), text_of(member(beside, "modelVersion"))
        if isinstance(usage := member(beside, "usageMetadata"), dict):
            merge(self._usage, usage)
            # Most events of a stream tell a traffic type and no count.
            answer.usage = _usage(self._usage) if usage.keys() & _COUNTED else None
            traffic, tier = (text_of(member(usage, name)) or "" for name in ("trafficType", "serviceTier"))
            answer.service_tier = SERVED_TIERS.get(traffic) or SERVICE_TIERS.get(tier.lower())

    def _read_block(self, answer: Answer, feedback: object) -> None:
        """Gives an answer without candidates a refusal if the prompt was blocked."""
        if reason := member(feedback, "blockReason"):
            why = text_of(member(feedback, "blockReasonMessage")) or f"The prompt was blocked ({reason})."
            self._blocked = True
            answer.choices.append(Choice(0, finish=Finish.CONTENT_FILTER, refusal=why))

    def _candidate(self, index: int) -> "_Candidate":
        if index not in self._candidates:
            self._candidates[index] = _Candidate(self._names, self._as_wav)
        return self._candidates[index]


def reader_for(request: Request) -> AnswerReader:
    """A reader of the answer to a request."""
    return AnswerReader(request.n or 1, Names(request, FUNCTION_NAMES), wants_wav(request))


class _Candidate:
    """What is remembered of a candidate while its stream goes on."""

    def __init__(self, names: Names, as_wav: bool) -> None:
        self._names = names
        self._as_wav = as_wav
        self.finished = False
        self._called = False
        self._texts: list[str] = []
        """The text so far, which citations point into."""
        self._length = 0
        """Characters of the text so far."""
        self._cited: set[Citation] = set()
        """Citations that were told, as the events of a stream may repeat them."""
        self._searched: set[str] = set()

    def read(self, index: int, candidate: object) -> Choice:
        choice = Choice(index)
        if not isinstance(candidate, dict):
            return choice
        choice.google = candidate
        own: dict[int, tuple[int, str]] = {}
        """Number of a part in this piece -> where its text begins in the whole answer, and the text."""
        for number, part in enumerate(items(member(member(candidate, "content"), "parts"))):
            read = read_part(part)
            if isinstance(read, ToolCall):
                read.name = self._names.given(read.name)
            if isinstance(read, Text):
                own[number] = (self._length, read.text)
                self._texts.append(read.text)
                self._length += len(read.text)
            if read:
                choice.parts.append(read)
                self._called = self._called or isinstance(read, ToolCall)
        if any(isinstance(part, Media) for part in choice.parts):
            choice.parts = joined(choice.parts, self._as_wav)
        if has_only_content(candidate):
            return choice
        if logprobs := member(candidate, "logprobsResult"):
            choice.logprobs = _logprobs(logprobs)
        if grounding := member(candidate, "groundingMetadata"):
            self._read_grounding(choice, grounding, own)
        if reason := text_of(member(candidate, "finishReason")):
            self.finished = True
            choice.finish, choice.native = self._finish(reason), NativeFinish("google", reason)
            self._explain(choice, reason, text_of(member(candidate, "finishMessage")))
        return choice

    def _explain(self, choice: Choice, reason: str, message: str | None) -> None:
        """Says why there is no answer, or no valid one, with Google's message if there is one."""
        choice.is_invalid = reason in FAULTS
        if choice.is_invalid or (choice.finish is Finish.CONTENT_FILTER and not any(self._texts)):
            why = "The model gave no valid answer." if choice.is_invalid else "The model gave no answer."
            choice.refusal = f"{reason}: {self._names.given_in(message or why)}"

    def _read_grounding(self, choice: Choice, grounding: object, own: dict[int, tuple[int, str]]) -> None:
        queries = dict.fromkeys(filter(None, map(text_of, items(member(grounding, "webSearchQueries")))))
        choice.searches = [query for query in queries if query not in self._searched]
        self._searched.update(queries)
        found = self._citations(grounding, own)
        choice.citations = [citation for citation in dict.fromkeys(found) if citation not in self._cited]
        self._cited.update(found)

    def _finish(self, reason: str) -> Finish:
        finish = FINISH_REASONS.get(reason)
        if finish is None:
            finish = Finish.STOP if self._called or any(self._texts) else Finish.CONTENT_FILTER
        return Finish.TOOL_CALLS if self._called and finish is Finish.STOP else finish

    def _citations(self, metadata: object, own: dict[int, tuple[int, str]]) -> list[Citation]:
        """Google counts UTF-8 bytes in a part, and in a stream in all the text; here it is characters in all."""
        chunks = items(member(metadata, "groundingChunks"))
        whole = "".join(self._texts) if chunks else ""
        citations: list[Citation] = []
        for support in items(member(metadata, "groundingSupports")):
            segment = member(support, "segment")
            span = _span(segment, own.get(number_of(member(segment, "partIndex"))), whole)
            for number in items(member(support, "groundingChunkIndices")):
                chunk = chunks[number] if isinstance(number, int) and 0 <= number < len(chunks) else None
                page = next(filter(None, (member(chunk, kind) for kind in ("web", "maps", "retrievedContext"))), None)
                if span and (url := text_of(member(page, "uri"))):
                    citations.append(Citation(*span, url, text_of(member(page, "title")) or ""))
        return citations


def _span(segment: object, part: tuple[int, str] | None, whole: str) -> tuple[int, int] | None:
    """From which character until which of all the text. The text that the segment tells, if any, decides which of the
    ways to count is right. `part` is where the text of its part begins, and that text."""
    start, end, said = (
        number_of(member(segment, "startIndex")),
        number_of(member(segment, "endIndex")),
        text_of(member(segment, "text")),
    )
    for base, text in ([part] if part else []) + [(0, whole)]:
        raw = text.encode("utf-8", "replace")
        cut = raw[start:end].decode("utf-8", "ignore")
        if end <= len(raw) and (said is None or cut == said):
            first = base + len(raw[:start].decode("utf-8", "ignore"))
            return first, first + len(cut)
    if said and (found := whole.find(said)) >= 0:
        return found, found + len(said)
    return None


def _logprobs(result: object) -> list[TokenLogprob] | None:
    chosen = items(member(result, "chosenCandidates"))
    if not chosen:
        return None
    tops = items(member(result, "topCandidates"))
    return [
        _token(token, items(member(tops[place], "candidates")) if place < len(tops) else [])
        for place, token in enumerate(chosen)
    ]


def _token(token: object, top: list[object]) -> TokenLogprob:
    return TokenLogprob(
        text_of(member(token, "token")) or "",
        _logprob(member(token, "logProbability")),
        [_token(one, []) for one in top],
    )


def _logprob(value: object) -> float:
    """A log probability. proto3 JSON leaves out a 0, and writes an infinity as text."""
    try:
        return float(value) if isinstance(value, int | float | str) else 0.0
    except (ValueError, OverflowError):
        return 0.0


def _usage(usage: Json) -> Usage | None:
    reading = Reading()
    take_usage(reading, usage)
    return usage_of(reading)
