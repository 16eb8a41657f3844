"""Reads answers of OpenAI's Responses, whole or streamed, into the neutral form. No service is asked in this dialect:
these are the answers that pass through, or that `write_answer` has written.

Source: OpenAI's API reference. Answers are read leniently: any member may be missing, and any may be new.
"""

import json
from collections.abc import Callable

from addons.translation import media
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Finish
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import NativeFinish
from addons.translation.conversation import Part
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import usage_of
from addons.translation.errors import Failure
from addons.translation.errors import read_error
from metering.call import Reading
from metering.json_values import items
from metering.json_values import member
from metering.json_values import number_of
from metering.json_values import text_of
from metering.usage.openai import take_usage

DELTAS: dict[str, Callable[[str], Part]] = {
    "response.output_text.delta": Text,
    "response.refusal.delta": Text,
    "response.reasoning_summary_text.delta": Thought,
    "response.reasoning_text.delta": Thought,
}
"""Events with a piece of text -> the part that it becomes."""
FINISHES = {"max_output_tokens": Finish.LENGTH, "content_filter": Finish.CONTENT_FILTER}
"""`incomplete_details.reason` -> `Finish`."""
ENDED = frozenset({"completed", "incomplete", "failed", "cancelled"})
"""Values of `status` of a Response that has ended."""
_BESIDE = frozenset({"type", "id", "call_id", "name", "status"})
"""Members of a call that are not its arguments."""


class AnswerReader:
    """Reads a Response, or a stream event by event; each event becomes an `Answer` that holds what is new."""

    def __init__(self) -> None:
        self.failure: Failure | None = None
        """The error that the service sent instead of an answer, or within one. None: no error."""
        self.finished = False
        """Whether the answer has been read to its end."""
        self._told: set[object] = set()
        """The indexes of items of which some text, or the whole, has been read. None: of any, as events had no
        index."""

    def read(self, document: object) -> Answer:
        """The answer in a Response or an event, parsed from JSON."""
        kind = text_of(member(document, "type")) or ""
        place = member(document, "output_index")
        place = place if isinstance(place, int) else None
        if kind == "error" or (not kind and member(document, "error")):
            told = document if member(document, "error") else {"error": document}
            self.failure = read_error(None, told)
            return Answer()
        if kind in DELTAS and (text := text_of(member(document, "delta"))):
            self._told.add(place)
            return Answer(choices=[Choice(0, [DELTAS[kind](text)])])
        if kind == "response.output_item.done":
            return Answer(choices=[self._item(place, member(document, "item"))])
        if kind.startswith("response."):
            response = member(document, "response")
            is_over = text_of(member(response, "status")) in ENDED
        else:
            response, is_over = document, text_of(member(document, "object")) == "response"
        return self._response(response, is_over=is_over) if isinstance(response, dict) else Answer()

    def _response(self, response: Json, *, is_over: bool) -> Answer:
        """`is_over` is whether nothing more will come: it is whole, or is one that is made in the background."""
        reading = Reading(model_served=text_of(member(response, "model")))
        take_usage(reading, member(response, "usage"))
        answer = Answer(
            id=text_of(member(response, "id")),
            model=reading.model_served,
            usage=usage_of(reading),
            service_tier=text_of(member(response, "service_tier")),
        )
        if not is_over:
            return answer
        status = text_of(member(response, "status"))
        if error := member(response, "error"):
            self.failure = read_error(None, {"error": error})
        self.finished = True
        choice = Choice(0)
        for place, item in enumerate(items(member(response, "output"))):
            made = self._item(place, item)
            choice.parts += made.parts
            choice.citations += made.citations
            choice.searches += made.searches
        reason = text_of(member(member(response, "incomplete_details"), "reason"))
        choice.finish = FINISHES.get(reason or "", Finish.STOP) if status in ENDED else None
        choice.native = NativeFinish("openai", told) if (told := reason or status) else None
        answer.choices.append(choice)
        return answer

    def _item(self, place: int | None, item: object) -> Choice:
        """What is new in a whole item. Its text is not, if it has come piece by piece."""
        choice, kind = Choice(0), text_of(member(item, "type")) or ""
        is_new = not self._told & {place, None}
        self._told.add(place)
        if kind == "message":
            for part in items(member(item, "content")):
                for note in items(member(part, "annotations")):
                    choice.citations += _citation(note)
                if is_new and (text := text_of(member(part, "text")) or text_of(member(part, "refusal"))):
                    choice.parts.append(Text(text))
        elif not is_new:
            return choice
        elif kind == "reasoning":
            texts = (member(part, "text") for name in ("summary", "content") for part in items(member(item, name)))
            choice.parts += [Thought(text) for text in texts if isinstance(text, str) and text]
        elif kind == "image_generation_call" and (data := text_of(member(item, "result"))):
            form = text_of(member(item, "output_format")) or "png"
            choice.parts.append(Media(media.mime_type_of(form) or "image/png", data=data))
        elif kind == "web_search_call":
            query = text_of(member(member(item, "action"), "query"))
            choice.searches += [query] if query else []
        elif kind.endswith("_call") and isinstance(item, dict):
            choice.parts.append(_call(kind, item))
        return choice


def _call(kind: str, item: Json) -> ToolCall:
    """Any call of a tool: of a function, with arguments in JSON, or of another kind, with what else its item has."""
    name = text_of(member(item, "name")) or kind.removesuffix("_call")
    arguments: object = member(item, "arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            arguments = {"arguments": arguments}
    if not isinstance(arguments, dict):
        arguments = {key: value for key, value in item.items() if key not in _BESIDE and value is not None}
    return ToolCall(text_of(member(item, "call_id")), name, arguments)


def _citation(note: object) -> list[Citation]:
    url = text_of(member(note, "url"))
    start, end = number_of(member(note, "start_index")), number_of(member(note, "end_index"))
    return [Citation(start, end, url, text_of(member(note, "title")) or "")] if url else []
