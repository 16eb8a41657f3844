"""Reads answers of services with OpenAI's chat completions, whole or streamed, into the neutral form.

Sources: OpenAI's API reference; for thoughts and images, which it does not have, the answers of other services.
"""

import json

from addons.translation import signatures
from addons.translation.conversation import BROKEN_CALL
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Finish
from addons.translation.conversation import Media
from addons.translation.conversation import NativeFinish
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import usage_of
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.errors import read_error
from addons.translation.function_names import Names
from addons.translation.openai_chat.logprobs import read_tokens
from addons.translation.openai_chat.parts import read_arguments
from addons.translation.openai_chat.parts import read_image
from addons.translation.openai_chat.parts import sign_message
from addons.translation.openai_chat.schema import FUNCTION_NAMES
from metering.call import Reading
from metering.json_values import items
from metering.json_values import member
from metering.json_values import text_of
from metering.usage.openai import take_names
from metering.usage.openai import take_usage

FINISH_REASONS = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "tool_calls": Finish.TOOL_CALLS,
    "function_call": Finish.TOOL_CALLS,
    "content_filter": Finish.CONTENT_FILTER,
}
"""OpenAI's `finish_reason` -> `Finish`. An unknown reason is STOP if there is content, else CONTENT_FILTER."""


class AnswerReader:
    """Reads a chat.completion, or a stream chunk by chunk; each chunk becomes an `Answer` that holds what is new.

    The fragments of tool calls are collected, as those of several calls may be mixed. The complete calls are in the
    `Answer` that has the finish reason of their choice.
    """

    def __init__(self, candidates: int = 1, names: Names | None = None) -> None:
        """`candidates` is the number of choices that the request asks for. `names` are those of its functions."""
        self._wanted = candidates
        self._names = names or Names(Request(""), FUNCTION_NAMES)
        self.failure: Failure | None = None
        """The error that the service sent instead of an answer, or within one. None: no error."""
        self._choices: dict[int, _ChoiceReader] = {}

    @property
    def finished(self) -> bool:
        """Whether all choices have been read to their end."""
        finished = sum(choice.finished for choice in self._choices.values())
        return finished == len(self._choices) and finished >= self._wanted

    def read(self, document: object) -> Answer:
        """The answer in a chat.completion or a chunk, parsed from JSON; any member may be missing or wrong. An error is
        put into `failure`."""
        if member(document, "error"):
            self.failure = read_error(None, document)
            return Answer()
        created = member(document, "created")
        answer = Answer(
            id=(text_of(member(document, "id")) or "").removeprefix("chatcmpl-") or None,
            model=text_of(member(document, "model")),
            service_tier=text_of(member(document, "service_tier")),
            created=created if isinstance(created, int) and not isinstance(created, bool) else None,
        )
        reading = Reading()
        take_names(reading, document)
        take_usage(reading, member(document, "usage"))
        answer.usage = usage_of(reading)
        for position, choice in enumerate(items(member(document, "choices"))):
            index = member(choice, "index")
            index = index if isinstance(index, int) and not isinstance(index, bool) and index >= 0 else position
            answer.choices.append(self._choices.setdefault(index, _ChoiceReader(self._names)).read(index, choice))
        return answer


def reader_for(request: Request) -> AnswerReader:
    """The reader of the answer to a request that `write_request` wrote."""
    return AnswerReader(request.n or 1, Names(request, FUNCTION_NAMES))


class _CallReader:
    """Collects the fragments of a tool call."""

    def __init__(self, index: object) -> None:
        self.index = index
        self.id: str | None = None
        self.name = ""
        self.arguments = ""
        self.signature: str | None = None

    def add(self, fragment: object) -> None:
        function = member(fragment, "function")
        self.id = self.id or text_of(member(fragment, "id"))
        self.name = self.name or text_of(member(function, "name")) or ""
        arguments = member(function, "arguments")
        self.arguments += json.dumps(arguments) if isinstance(arguments, dict) else text_of(arguments) or ""
        self.signature = self.signature or signatures.of_google(fragment)

    def call(self, names: Names) -> ToolCall | None:
        """The complete call; None if it has no name, or if its arguments are no JSON object."""
        try:
            arguments = read_arguments(self.arguments, "")
        except InvalidRequest:
            return None
        bare, in_id = signatures.split_id(self.id) if self.id else (None, None)
        signature = self.signature or in_id
        signed = Signature("google", signature) if signature else None
        return ToolCall(bare, names.given(self.name), arguments, signed) if self.name else None


class _ChoiceReader:
    """Reads one choice of an answer, chunk by chunk."""

    def __init__(self, names: Names) -> None:
        self.finished = False
        self._names = names
        self._calls: list[_CallReader] = []
        self._spoke = False
        """Whether the choice has had content."""

    def read(self, index: int, raw: object) -> Choice:
        whole = member(raw, "message")
        message = whole if isinstance(whole, dict) else member(raw, "delta")
        choice = Choice(index, _read_message(message), refusal=text_of(member(message, "refusal")))
        self._spoke = self._spoke or bool(choice.parts)
        for annotation in items(member(message, "annotations")):
            choice.citations += _read_citation(member(annotation, "url_citation"))
        choice.logprobs = read_tokens(member(member(raw, "logprobs"), "content"))
        for fragment in items(member(message, "tool_calls")):
            self._add(fragment)
        if isinstance(legacy := member(message, "function_call"), dict):
            self._add({"index": 0, "function": legacy})
        # vLLM's and SGLang's names of it.
        choice.stop_sequence = text_of(member(raw, "stop_reason")) or text_of(member(raw, "matched_stop"))
        reason = text_of(member(raw, "finish_reason"))
        if reason or isinstance(whole, dict):
            self._finish(choice, reason)
        return choice

    def _add(self, fragment: object) -> None:
        """Adds a fragment to its call, which is known by the index. Some services give all calls the same index, so a
        fragment with another id and a name begins a new call."""
        index, id = member(fragment, "index"), member(fragment, "id")
        own = [call for call in self._calls if call.index == index and index is not None]
        is_new = id and own and own[-1].id not in (None, id) and member(member(fragment, "function"), "name")
        if not own or is_new:
            own = [_CallReader(index)]
            self._calls += own
        own[-1].add(fragment)

    def _finish(self, choice: Choice, reason: str | None) -> None:
        calls = [made.call(self._names) for made in self._calls]
        choice.parts += [call for call in calls if call]
        self._calls = []
        if reason is None:
            return
        self.finished = True
        choice.native = NativeFinish("openai", reason)
        finish = FINISH_REASONS.get(reason) or (Finish.STOP if self._spoke or calls else Finish.CONTENT_FILTER)
        if finish in (Finish.STOP, Finish.TOOL_CALLS):
            finish = Finish.TOOL_CALLS if any(calls) else Finish.STOP
            if not all(calls):
                choice.native, choice.is_invalid = None, True
                choice.refusal = choice.refusal or BROKEN_CALL
        choice.finish = finish


def _read_message(message: object) -> list[Part]:
    """The parts of a message or a delta, without its tool calls."""
    thoughts = text_of(member(message, "reasoning_content")) or text_of(member(message, "reasoning"))
    parts: list[Part] = [Thought(thoughts)] if thoughts else []
    content = member(message, "content")
    for part in [{"type": "text", "text": content}] if isinstance(content, str) else items(content):
        if text := text_of(member(part, "text")):
            parts.append(Text(text))
        # Mistral puts its thoughts here.
        parts += [Thought(text) for one in items(member(part, "thinking")) if (text := text_of(member(one, "text")))]
    for image in items(member(message, "images")):
        for picture in read_image(member(image, "image_url")):
            value = signatures.of_google(image)
            picture.signature = Signature("google", value) if value else None
            parts.append(picture)
    if data := text_of(member(member(message, "audio"), "data")):
        parts.append(Media("audio/wav", data=data))
    sign_message(parts, message)
    return parts


def _read_citation(cited: object) -> list[Citation]:
    start, end, url = member(cited, "start_index"), member(cited, "end_index"), text_of(member(cited, "url"))
    start, end = (value if isinstance(value, int) and value >= 0 else 0 for value in (start, end))
    return [Citation(start, end, url, text_of(member(cited, "title")) or "")] if url and start <= end else []
