"""Claude's answers, whole or as a stream, read into the neutral form.

Sources: Anthropic's reference of Messages, its pages on streaming messages and on stop reasons. Answers are read
leniently: any member may be missing, and any may be new.
"""

import json

from pydantic_core import from_json

from addons.translation import signatures
from addons.translation.anthropic.answer_tool import VALUE
from addons.translation.anthropic.answer_tool import AnswerTool
from addons.translation.anthropic.answer_tool import answer_tool_of
from addons.translation.anthropic.messages import TOOL_NAMES
from addons.translation.conversation import BROKEN_CALL
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Finish
from addons.translation.conversation import Json
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import usage_of
from addons.translation.errors import Failure
from addons.translation.errors import read_error
from addons.translation.function_names import Names
from metering.json_values import items
from metering.json_values import member
from metering.json_values import number_of
from metering.json_values import text_of
from metering.usage.anthropic import AnthropicReader

STOP_REASONS = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    # If the client's functions were called, STOP becomes TOOL_CALLS. A call of the answer tool does not count.
    "tool_use": Finish.STOP,
    "pause_turn": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "refusal": Finish.CONTENT_FILTER,
}
"""`stop_reason` -> `Finish`. An unknown reason is STOP if there is content, else CONTENT_FILTER."""
SERVED_TIERS = {"standard": "default", "priority": "priority"}
"""`usage.service_tier` -> OpenAI's `service_tier`."""
_WITH_USAGE = frozenset({"message", "message_start", "message_delta"})


def reader_for(request: Request) -> "AnswerReader":
    """The reader of the answer to a request that `write_request` wrote."""
    names = Names(request, TOOL_NAMES)
    return AnswerReader(answer_tool_of(names.applied(request)), names)


class AnswerReader:
    """Reads a whole answer, or a stream event by event; each event becomes an `Answer` that holds what is new."""

    def __init__(self, answer_tool: AnswerTool | None = None, names: Names | None = None) -> None:
        """A call of `answer_tool` is read as text of the answer. `names` are those of the request's functions."""
        self._answer_tool = answer_tool
        self._names = names or Names(Request(""), TOOL_NAMES)
        self.failure: Failure | None = None
        """The error that the service sent instead of an answer, or within one. None: no error."""
        self.finished = False
        """Whether the answer has been read to its end."""
        self._counts = AnthropicReader()
        self._blocks: dict[int, _Block] = {}
        """Index -> block, for blocks that have begun and not ended."""
        self._length = 0
        """Characters of the answer's text so far. Citations count from the beginning of that text."""
        self._called = False
        self._broke_call = False
        """Whether a call was left out because its arguments are no JSON object."""

    def read(self, document: object) -> Answer:
        kind = member(document, "type")
        if kind == "error" or member(document, "error"):
            self.failure = read_error(None, document)
            return Answer()
        choice = Choice(0)
        message = document if kind == "message" else member(document, "message")
        index = number_of(member(document, "index"))
        match kind:
            case "message":
                for number, block in enumerate(items(member(message, "content"))):
                    self._begin(number, block, choice)
                    self._end(number, choice)
                self._finish(message, choice)
            case "message_start":
                pass
            case "content_block_start":
                self._begin(index, member(document, "content_block"), choice)
            case "content_block_delta":
                self._go_on(index, member(document, "delta"), choice)
            case "content_block_stop":
                self._end(index, choice)
            case "message_delta":
                self._finish(member(document, "delta"), choice)
            case "message_stop":
                if not self.finished:
                    self._finish({"stop_reason": "message_stop"}, choice)
            case _:
                # ping, Vertex AI's vertex_event, and unknown types.
                return Answer()
        answer = Answer(id=text_of(member(message, "id")), model=text_of(member(message, "model")), choices=[choice])
        if kind in _WITH_USAGE:
            self._counts.read(document)
            answer.usage = usage_of(self._counts.reading)
            answer.service_tier = SERVED_TIERS.get(self._counts.reading.traffic_type or "")
        return answer

    def _begin(self, index: int, content: object, choice: Choice) -> None:
        block = self._blocks[index] = _Block(content, self._length)
        if block.kind == "text":
            self._say(member(content, "text"), choice)
            block.cited += items(member(content, "citations"))
        elif thought := signatures.thought_of(content):
            choice.parts.append(thought)

    def _go_on(self, index: int, delta: object, choice: Choice) -> None:
        block = self._blocks.setdefault(index, _Block(None, self._length))
        match member(delta, "type"):
            case "text_delta":
                self._say(member(delta, "text"), choice)
            case "citations_delta":
                block.cited.append(member(delta, "citation"))
            case "thinking_delta" if text := text_of(member(delta, "thinking")):
                choice.parts.append(Thought(text))
            case "signature_delta":
                block.signature += text_of(member(delta, "signature")) or ""
            case "input_json_delta" if text := text_of(member(delta, "partial_json")):
                block.input += text
                if self._is_answer(block) and not self._wraps:
                    self._say(text, choice)

    def _end(self, index: int, choice: Choice) -> None:
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if block.signature:
            signed = signatures.thought_of({"type": "thinking", "signature": block.signature})
            choice.parts += [signed] if signed else []
        if block.kind == "tool_use":
            self._call(block, choice)
        elif block.kind == "server_tool_use" and block.name == "web_search":
            query = text_of(member(block.arguments(), "query"))
            choice.searches += [query] if query else []
        span = (block.start, self._length)
        found = (Citation(*span, url, title) for url, title in map(_page_of, block.cited) if url)
        choice.citations += dict.fromkeys(found)

    def _call(self, block: "_Block", choice: Choice) -> None:
        arguments = block.arguments()
        if self._is_answer(block):
            if self._wraps:
                self._say(_as_json(arguments.get(VALUE)) if arguments else None, choice)
            elif not block.input:
                self._say(_as_json(arguments), choice)
        elif arguments is None:
            self._broke_call = True
        else:
            choice.parts.append(ToolCall(block.id, self._names.given(block.name), arguments))
            self._called = True

    @property
    def _wraps(self) -> bool:
        return self._answer_tool is not None and self._answer_tool.wraps

    def _is_answer(self, block: "_Block") -> bool:
        return self._answer_tool is not None and block.name == self._answer_tool.name

    def _say(self, text: object, choice: Choice) -> None:
        if isinstance(text, str) and text:
            choice.parts.append(Text(text))
            self._length += len(text)

    def _finish(self, delta: object, choice: Choice) -> None:
        """Notes the end of the answer, if `delta`, a message or a part of an event, has a `stop_reason`."""
        if not (reason := text_of(member(delta, "stop_reason"))):
            return
        self.finished = True
        content = self._called or self._length > 0
        finish = STOP_REASONS.get(reason, Finish.STOP if content else Finish.CONTENT_FILTER)
        choice.finish = Finish.TOOL_CALLS if self._called and finish is Finish.STOP else finish
        if self._broke_call and finish is Finish.STOP:
            choice.is_invalid, choice.refusal = True, BROKEN_CALL
        if choice.finish is Finish.CONTENT_FILTER and not self._length:
            choice.refusal = text_of(member(member(delta, "stop_details"), "explanation"))


class _Block:
    """A block of a message, while its events arrive."""

    def __init__(self, content: object, start: int) -> None:
        self.kind = member(content, "type")
        self.id = text_of(member(content, "id"))
        self.name = text_of(member(content, "name")) or ""
        self.start = start
        """Index in the answer's text at which the block's text begins."""
        self.cited: list[object] = []
        self.signature = ""
        self.input = ""
        """The JSON of the input, as far as it has arrived."""
        self._whole = member(content, "input")

    def arguments(self) -> Json | None:
        """The input of a tool call; None if its JSON is incomplete."""
        if not self.input:
            return self._whole if isinstance(self._whole, dict) else {}
        try:
            arguments = from_json(self.input, allow_inf_nan=False)
        except ValueError:
            return None
        return arguments if isinstance(arguments, dict) else None


def _page_of(citation: object) -> tuple[str | None, str]:
    """URL and title of a cited page. The URL is None if the citation names none."""
    return text_of(member(citation, "url")), text_of(member(citation, "title")) or ""


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
