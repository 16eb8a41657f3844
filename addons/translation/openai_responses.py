"""OpenAI's responses: requests read; answers and streams written.

Strategy: one machine (`_Response`) makes the items of an answer and the events that tell of them, so that a stream
and a whole answer cannot differ. Nothing is stored: what refers to something stored is refused.

Source: OpenAI's API reference. What is no part of it (videos, `google`, `safety_settings`, ...) is as in chats.
"""

import copy
import json
import time
import uuid
from collections import deque
from collections.abc import Generator
from collections.abc import Iterator
from itertools import chain
from typing import Annotated
from typing import Any
from typing import Literal
from typing import NamedTuple

from pydantic import Discriminator
from pydantic import Field
from pydantic import Tag

from addons.translation import media
from addons.translation import signatures
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Failure
from addons.translation.conversation import Finish
from addons.translation.conversation import InvalidRequest
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import Thought
from addons.translation.conversation import TokenLogprob
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import Usage
from addons.translation.conversation import to_bytes
from addons.translation.openai_chat import add_parts
from addons.translation.openai_chat import begun
from addons.translation.openai_chat import call_id
from addons.translation.openai_chat import format_of
from addons.translation.openai_chat import parsed_arguments
from addons.translation.openai_chat import read_content
from addons.translation.openai_chat import read_effort
from addons.translation.openai_chat import read_instructions
from addons.translation.openai_chat import read_parts
from addons.translation.openai_chat import server_tool
from addons.translation.openai_chat import take_functions
from addons.translation.openai_chat import tool_result
from addons.translation.openai_chat import written_tokens
from addons.translation.openai_chat_request import EFFORTS
from addons.translation.openai_chat_request import AnyRequest
from addons.translation.openai_chat_request import Cached
from addons.translation.openai_chat_request import Content
from addons.translation.openai_chat_request import FunctionDefinition
from addons.translation.openai_chat_request import ServerTool
from addons.translation.openai_chat_request import kind_of_choice
from addons.translation.openai_chat_request import kind_of_content
from addons.translation.validation import NO_VALUE
from addons.translation.validation import Count
from addons.translation.validation import Model
from addons.translation.validation import is_finite
from addons.translation.validation import validated
from metering.json_values import items

# The request, as clients send it


class MessageItem(Cached):
    role: Literal["user", "assistant", "system", "developer"]
    content: Content


class CallItem(Cached):
    call_id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    arguments: str = ""


class OutputItem(Cached):
    call_id: str
    output: Content


class SummaryText(Model):
    text: str


class ReasoningItem(Model):
    summary: list[SummaryText] | None = None
    encrypted_content: str | None = None


class ImageItem(Model):
    result: str | None = None
    output_format: str | None = None


class OtherItem(Model):
    type: str | None = None


ITEMS = {
    "message": "message",
    "function_call": "call",
    "function_call_output": "output",
    "reasoning": "reasoning",
    "image_generation_call": "image",
}


def _kind_of_item(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind is None:
        return "message" if isinstance(value, dict) and "role" in value else "other"
    return ITEMS.get(kind, "other") if isinstance(kind, str) else "other"


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("call")]
    | Annotated[OutputItem, Tag("output")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[ImageItem, Tag("image")]
    | Annotated[OtherItem, Tag("other")],
    Discriminator(_kind_of_item),
]

SKIPPED = frozenset(
    {
        "web_search_call",
        "code_interpreter_call",
        "file_search_call",
        "computer_call",
        "computer_call_output",
        "local_shell_call",
        "local_shell_call_output",
        "shell_call",
        "shell_call_output",
        "apply_patch_call",
        "apply_patch_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "tool_search_call",
        "tool_search_output",
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "program",
        "program_output",
        "additional_tools",
        "compaction",
        "compaction_trigger",
        "configuration_update",
    }
)
"""Items of tools that run at OpenAI, or know its models only; other models have no place for them."""


class FlatFunctionTool(FunctionDefinition):
    type: Literal["function"]


def _kind_of_tool(value: object) -> str:
    return "flat" if isinstance(value, dict) and value.get("type") == "function" else "server"


FlatTool = Annotated[
    Annotated[FlatFunctionTool, Tag("flat")] | Annotated[ServerTool, Tag("server")], Discriminator(_kind_of_tool)
]

NOT_SERVED = frozenset(
    {
        "file_search",
        "mcp",
        "computer",
        "computer_use",
        "computer_use_preview",
        "local_shell",
        "shell",
        "apply_patch",
        "custom",
        "namespace",
        "tool_search",
        "programmatic_tool_calling",
    }
)
"""Types of tools that run at OpenAI, or know its models only."""


class ToolChoiceObject(Model):
    type: str
    name: str | None = None
    mode: Literal["auto", "required"] = "auto"
    tools: list[Json] | None = None


ToolChoiceField = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("mode")] | Annotated[ToolChoiceObject, Tag("named")],
    Discriminator(kind_of_choice),
]


CHOICES = ("function", "allowed_tools")
"""Types of choices that can be kept."""


class TextFormat(Model):
    type: Literal["text", "json_object", "json_schema"]
    schema_: Json | None = Field(None, alias="schema")


class TextConfig(Model):
    format: TextFormat | None = None
    verbosity: str | None = None


Summary = Literal["auto", "concise", "detailed"]


class ReasoningConfig(Model):
    effort: str | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = None


class ResponsesRequest(AnyRequest):
    input: (
        Annotated[
            Annotated[str, Tag("text")] | Annotated[list[Item], Tag("parts")],
            Discriminator(kind_of_content),
        ]
        | None
    ) = None
    instructions: str | None = None
    max_output_tokens: Count | None = None
    text: TextConfig | None = None
    tools: list[FlatTool] | None = None
    tool_choice: ToolChoiceField | None = None
    reasoning: ReasoningConfig | None = None
    include: list[str] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: str | Json | None = None
    prompt: Json | None = None
    # These are echoed, or mean nothing here.
    metadata: dict[str, str] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    stream_options: Json | None = None


ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
INCLUDABLE = frozenset({ENCRYPTED, LOGPROBS})
STORED = ("previous_response_id", "conversation", "prompt")
ECHOED = ("tools", "tool_choice", "text")
"""Of any JSON."""


# Reading


def read_request(body: Json) -> Request:
    """A body, parsed from JSON. Raises InvalidRequest."""
    asked = validated(ResponsesRequest, body)
    for name in STORED:
        if getattr(asked, name) is not None:
            raise InvalidRequest("nothing is stored here: send the whole input, and instructions, each time", name)
    if asked.background:
        raise InvalidRequest("answers are given at once: leave background out, or stream", "background")
    for name in ECHOED:
        if not is_finite(body.get(name)):
            raise InvalidRequest(NO_VALUE, name)
    request = begun(asked)
    request.names = NAMES | _spellings(asked)
    request.notes.dropped += _without_target(asked)
    request.max_tokens = asked.max_output_tokens
    request.logprobs = LOGPROBS in (asked.include or ()) or bool(asked.top_logprobs)
    if asked.service_tier == "fast":
        # OpenAI's newer word.
        request.service_tier = "priority"
    if asked.text and asked.text.format:
        request.format = format_of(
            asked.text.format.type, asked.text.format.schema_, "text.format", "text.format.schema"
        )
    request.thinking = _read_thinking(asked)
    _read_tools(asked, request)
    if asked.instructions:
        request.system.append(Text(asked.instructions))
    if isinstance(asked.input, str):
        add_parts(request.turns, "user", read_parts(asked.input, "input", request.notes))
    else:
        _History(request, asked.input or []).read()
    if not request.turns and not request.system:
        raise InvalidRequest("there is nothing in the input", "input")
    return request


NAMES = {"turns": "input", "max_tokens": "max_output_tokens"}
"""Members of a Request -> Responses' own words for them."""


def _spellings(asked: ResponsesRequest) -> dict[str, str]:
    """Of what can be said in two ways the one that the client took."""
    include, reasoning = asked.include or [], asked.reasoning
    summary = "generate_summary" if reasoning and not reasoning.summary else "summary"
    logprobs = f"include[{include.index(LOGPROBS)}]" if LOGPROBS in include else "top_logprobs"
    return {"logprobs": logprobs, "include": f"reasoning.{summary}"}


def _without_target(asked: ResponsesRequest) -> list[str]:
    dropped = [f"include[{place}]" for place, name in enumerate(asked.include or []) if name not in INCLUDABLE]
    if asked.store:
        dropped.append("store")
    if asked.truncation == "auto":
        dropped.append("truncation")
    if asked.text and asked.text.verbosity:
        dropped.append("text.verbosity")
    if asked.reasoning:
        dropped += [f"reasoning.{name}" for name, value in (asked.reasoning.model_extra or {}).items() if value]
    return dropped


def _read_thinking(asked: ResponsesRequest) -> Thinking | None:
    reasoning = asked.reasoning or ReasoningConfig()
    effort = read_effort(reasoning.effort, "reasoning.effort") if reasoning.effort is not None else None
    include = True if reasoning.summary or reasoning.generate_summary else None
    return Thinking(effort, include=include, param="reasoning") if effort or include else None


def _read_tools(asked: ResponsesRequest, request: Request) -> None:
    functions: dict[str, FunctionDefinition] = {}
    hosted: dict[str, str] = {}
    """Where they are -> their types."""
    for number, tool in enumerate(asked.tools or []):
        if isinstance(tool, FlatFunctionTool):
            functions[f"tools[{number}]"] = tool
        else:
            hosted[f"tools[{number}]"] = _type_of(tool.model_extra or {})
    choice, allowed = _read_choice(asked, {*hosted.values()}, request)
    if choice and choice.mode == "required" and not functions:
        request.notes.dropped.append("tool_choice")
    take_functions(request, functions, choice)
    for number, tool in enumerate(asked.tools or []):
        path = f"tools[{number}]"
        if path in hosted:
            _read_hosted(tool, hosted[path], path, allowed is None or hosted[path] in allowed, request)


def _type_of(tool: Json) -> str:
    kind = tool.get("type")
    return kind if isinstance(kind, str) else ""


def _read_hosted(tool: Any, kind: str, path: str, allowed: bool, request: Request) -> None:
    if kind in NOT_SERVED:
        served = "function, web_search, code_interpreter or image_generation"
        raise InvalidRequest(f"{kind} is not served here; write a tool of type {served}", f"{path}.type")
    name = None if kind == "image_generation" else server_tool(tool, path)
    if not allowed:
        return
    if name:
        request.server_tools.setdefault(name, path)
    else:
        request.modalities = ["text", "image"]
        request.names.setdefault("modalities", path)
    if kind:
        # A container is what OpenAI wants for every code interpreter.
        options = {option: value for option, value in tool.model_extra.items() if option not in ("type", "container")}
        request.notes.dropped += [
            f"{path}.{option}" for option, value in options.items() if value not in (None, "auto")
        ]


def _read_choice(
    asked: ResponsesRequest, hosted: set[str], request: Request
) -> tuple[ToolChoice | None, set[str] | None]:
    """The choice among functions, and which other tools there are to be; None for all."""
    choice = asked.tool_choice
    if choice is None:
        return None, None
    if not isinstance(choice, ToolChoiceObject):
        return ToolChoice(choice), set() if choice == "none" else None
    if choice.type == "allowed_tools":
        tools = choice.tools or []
        names = [name for tool in tools if tool.get("type") == "function" and isinstance(name := tool.get("name"), str)]
        # No function at all is not every function.
        return ToolChoice(choice.mode, names) if names else ToolChoice("none"), {_type_of(tool) for tool in tools}
    if choice.type == "function":
        if not choice.name:
            raise InvalidRequest('name the function: {"type": "function", "name": ...}', "tool_choice.name")
        return ToolChoice("required", [choice.name]), None
    if choice.type not in hosted:
        raise InvalidRequest("there is no tool of this type among the tools", "tool_choice.type")
    # Nothing makes Gemini search.
    request.notes.dropped.append("tool_choice")
    return None, None


# Items


class _History:
    """Reads items into turns.

    What a model said and called is one turn; the results of its calls, wherever they stand behind it, are one turn
    next to it, in the order of the calls. A signature of Google's belongs to the part behind its reasoning item.
    """

    def __init__(self, request: Request, items: list[Any]) -> None:
        self._request = request
        self._items = items
        self._outputs: dict[str, list[int]] = {}
        """Ids of calls -> the numbers of the items with their results."""
        for number, item in enumerate(items):
            if isinstance(item, OutputItem):
                self._outputs.setdefault(signatures.split_id(item.call_id)[0], []).append(number)
        self._calls: dict[str, tuple[int, ToolCall]] = {}
        """Of the turn so far: ids -> the number of the item, and the call."""
        self._signature: Signature | None = None
        """Which waits for its part."""

    def read(self) -> None:
        for number, item in enumerate(self._items):
            path = f"input[{number}]"
            match item:
                case MessageItem(role="assistant"):
                    self._say(read_content(item, path, self._request.notes))
                case MessageItem(role="user"):
                    self._end_turn()
                    add_parts(self._request.turns, "user", read_content(item, path, self._request.notes))
                case MessageItem():
                    self._request.system += read_instructions(item, path, self._request.notes)
                case CallItem():
                    self._call(item, number, path)
                case OutputItem():
                    self._end_turn()
                case ReasoningItem():
                    self._reason(item)
                case ImageItem():
                    self._image(item, path)
                case OtherItem():
                    self._other(item, path)
        self._end_turn()
        if left := sorted(number for numbers in self._outputs.values() for number in numbers):
            raise InvalidRequest("there is no function_call with this call_id before it", f"input[{left[0]}].call_id")

    def _say(self, parts: list[Part]) -> None:
        if parts and self._signature:
            parts[0].signature = self._signature  # type: ignore[union-attr]
            self._signature = None
        add_parts(self._request.turns, "assistant", parts)

    def _call(self, item: CallItem, number: int, path: str) -> None:
        id, in_id = signatures.split_id(item.call_id)
        if id in self._calls:
            raise InvalidRequest("two calls have the same id", f"{path}.call_id")
        call = ToolCall(id, item.name, parsed_arguments(item.arguments, f"{path}.arguments"), cache=item.cache)
        self._say([call])
        if in_id:
            call.signature = Signature("google", in_id)
        self._calls[id] = (number, call)

    def _reason(self, item: ReasoningItem) -> None:
        signature = signatures.unsealed(item.encrypted_content or "")
        if signature is None:
            # Without a signature thoughts are of no use.
            return
        self._let_go()
        if signature.issuer == "google":
            self._signature = signature
        else:
            summary = "".join(part.text for part in item.summary or [])
            add_parts(self._request.turns, "assistant", [Thought(summary, signature)])

    def _image(self, item: ImageItem, path: str) -> None:
        if item.result:
            mime_type = media.mime_type_of(item.output_format or "png") or "image/png"
            self._say([Media(mime_type, data=media.base64_of(item.result, f"{path}.result"))])

    def _other(self, item: OtherItem, path: str) -> None:
        if item.type in (None, "item_reference"):
            raise InvalidRequest("nothing is stored here: send the item itself", path)
        if item.type not in SKIPPED:
            raise InvalidRequest(
                "write a message, a function_call, a function_call_output or a reasoning item", f"{path}.type"
            )
        if item.type != "web_search_call":
            # What a search has found is in the text behind it.
            self._request.notes.dropped.append(path)

    def _let_go(self) -> None:
        """There is no part for the signature: it came with a part of nothing."""
        if self._signature:
            self._say([Text("")])

    def _end_turn(self) -> None:
        self._let_go()
        results: list[Part] = []
        for id, (number, call) in self._calls.items():
            behind = [place for place in self._outputs.get(id, ()) if place > number]
            if not behind:
                raise InvalidRequest(
                    "a function_call must be followed by a function_call_output with its call_id", f"input[{number}]"
                )
            self._outputs[id].remove(behind[0])
            item = self._items[behind[0]]
            output = read_parts(item.output, f"input[{behind[0]}].output", self._request.notes)
            results.append(tool_result(call, output, item))
        self._calls = {}
        add_parts(self._request.turns, "user", results)


# Answers


def write_answer(answer: Answer, model: str, body: Json) -> Json:
    """A Response. `model` is what the client asked for, `body` its request, which a Response repeats in part."""
    response = _Response(model, body)
    last = deque(chain(response.take(answer), response.end()), maxlen=1).pop()
    written = last["response"]
    assert isinstance(written, dict)
    return written


class _Kind(NamedTuple):
    """Of items that are told piece by piece."""

    prefix: str
    item: Json
    parts: str
    """Where the parts of an item are, and how they are counted."""
    number: str
    part: Json
    text: str
    """Where the text of a part is."""
    part_event: str
    text_event: str


_MESSAGE: Json = {"type": "message", "status": "in_progress", "role": "assistant", "content": []}
TEXT = _Kind(
    "msg",
    _MESSAGE,
    "content",
    "content_index",
    {"type": "output_text", "text": "", "annotations": [], "logprobs": []},
    "text",
    "content_part",
    "output_text",
)
REFUSAL = _Kind(
    "msg",
    _MESSAGE,
    "content",
    "content_index",
    {"type": "refusal", "refusal": ""},
    "refusal",
    "content_part",
    "refusal",
)
THOUGHT = _Kind(
    "rs",
    {"type": "reasoning", "summary": []},
    "summary",
    "summary_index",
    {"type": "summary_text", "text": ""},
    "text",
    "reasoning_summary_part",
    "reasoning_summary_text",
)

INCOMPLETE = {Finish.LENGTH: "max_output_tokens", Finish.CONTENT_FILTER: "content_filter"}
"""Why an answer is not whole."""
ERRORS = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
"""HTTP status -> one of the codes that a Response may fail with."""


class _Open:
    """An item that more text may come for."""

    def __init__(self, kind: _Kind, item: Json, at: Json) -> None:
        self.kind = kind
        self.item = item
        self.at = at
        self.part: Json | None = None
        self._pieces: list[str] = []

    @property
    def part_at(self) -> Json:
        return {**self.at, self.kind.number: 0}

    def begin(self) -> Json:
        self.part = copy.deepcopy(self.kind.part)
        self.item[self.kind.parts] = [self.part]
        return self.part

    def add(self, text: str) -> None:
        self._pieces.append(text)

    def settle(self, status: str) -> None:
        """Write down what was told."""
        if self.part:
            self.part[self.kind.text] = "".join(self._pieces)
        if "status" in self.item:
            self.item["status"] = status


class _Response:
    """A Response as it grows, and the events that tell of it. Each event is to be used before the next is taken."""

    def __init__(self, model: str, body: Json) -> None:
        self._id = ""
        self._created = int(time.time())
        self._model = model
        self._echo = _echo(body)
        include = body.get("include")
        self._seals = isinstance(include, list) and ENCRYPTED in include
        """Whether signatures are wanted."""
        self._number = 0
        """Of the next event."""
        self._output: list[Json] = []
        self._open: _Open | None = None
        self._signature: Signature | None = None
        """Which came with no text: told when the message ends, as citations may still come for it."""
        self._searches: list[str] = []
        """Not told yet."""
        self._texts: list[tuple[int, _Open]] = []
        """At which character of the answer which message begins."""
        self._length = 0
        self._usage: Usage | None = None
        self._service_tier: str | None = None
        self._status = "completed"
        """Of items that end."""
        self.finish: Finish | None = None

    def take(self, answer: Answer) -> Iterator[Json]:
        """A piece of the answer, or all of it."""
        yield from self._begin(answer)
        self._usage = answer.usage or self._usage
        self._service_tier = answer.service_tier or self._service_tier
        for choice in answer.choices:
            if choice.index == 0:
                yield from self._choice(choice)

    def end(self) -> Iterator[Json]:
        """All has come."""
        reason = INCOMPLETE.get(self.finish or Finish.STOP)
        status = self._status = "incomplete" if reason else "completed"
        yield from self._let_go()
        yield from self._close()
        yield from self._search()
        details = {"incomplete_details": {"reason": reason}} if reason else {"completed_at": int(time.time())}
        yield self._event(f"response.{status}", response=self._response(status, **details))

    def fail(self, failure: Failure) -> Iterator[Json]:
        """The answer breaks off: what is open stays so."""
        yield from self._begin(Answer())
        if self._open:
            self._open.settle("incomplete")
        error = {"code": ERRORS.get(failure.status, "server_error"), "message": failure.message}
        yield self._event("response.failed", response=self._response("failed", error=error))

    def _begin(self, answer: Answer) -> Iterator[Json]:
        if self._id:
            return
        self._id = f"resp_{answer.id or uuid.uuid4().hex}"
        self._model = answer.model or self._model
        for name in ("created", "in_progress"):
            yield self._event(f"response.{name}", response=self._response("in_progress"))

    def _choice(self, choice: Choice) -> Iterator[Json]:
        self._searches += choice.searches
        if self._open is None or self._open.kind is not TEXT:
            yield from self._search()
        logprobs = choice.logprobs or []
        for part in choice.parts:
            if isinstance(part, Text) and part.text:
                yield from self._text(part, logprobs)
                logprobs = []
            else:
                yield from self._part(part)
        if logprobs and self._open and self._open.kind is TEXT:
            yield from self._say(TEXT, "", logprobs)
        if choice.refusal:
            yield from self._say(REFUSAL, choice.refusal)
        for citation in choice.citations:
            yield from self._cite(citation)
        self.finish = choice.finish or self.finish

    def _text(self, part: Text, logprobs: list[TokenLogprob]) -> Iterator[Json]:
        yield from self._let_go()
        yield from self._sign(part.signature)
        yield from self._say(TEXT, part.text, logprobs)
        self._length += len(part.text)

    def _part(self, part: Part) -> Iterator[Json]:
        if isinstance(part, Text) and not part.signature:
            return
        yield from self._let_go()
        match part:
            case Text():
                self._signature = part.signature
            case Thought():
                if part.text:
                    yield from self._say(THOUGHT, part.text)
                if part.signature:
                    yield from self._sign(part.signature)
                    if self._open and self._open.kind is THOUGHT:
                        # What follows is a thought of its own.
                        yield from self._close()
            case ToolCall():
                yield from self._sign(part.signature)
                yield from self._call(part)
            case Media(mime_type=mime_type, data=str(data)) if mime_type.startswith("image/"):
                yield from self._sign(part.signature)
                yield from self._image(mime_type, data)

    # Signatures

    def _let_go(self) -> Iterator[Json]:
        signature, self._signature = self._signature, None
        yield from self._sign(signature)

    def _sign(self, signature: Signature | None) -> Iterator[Json]:
        """Told by the reasoning item before the part: that of the thoughts before it, or one of its own."""
        if not signature or not self._seals:
            return
        if self._open is None or self._open.kind is not THOUGHT:
            yield from self._begin_item(THOUGHT)
        assert self._open
        self._open.item["encrypted_content"] = signatures.sealed(signature)
        yield from self._close()

    # Items that are told piece by piece

    def _begin_item(self, kind: _Kind) -> Generator[Json, None, _Open]:
        yield from self._close()
        item = {"id": f"{kind.prefix}_{uuid.uuid4().hex}"} | copy.deepcopy(kind.item)
        self._open = opened = _Open(kind, item, self._add(item))
        yield self._event("response.output_item.added", output_index=opened.at["output_index"], item=item)
        return opened

    def _say(self, kind: _Kind, text: str, logprobs: list[TokenLogprob] | None = None) -> Iterator[Json]:
        opened = self._open
        if opened is None or opened.kind is not kind:
            opened = yield from self._begin_item(kind)
        if opened.part is None:
            part = opened.begin()
            if kind is TEXT:
                self._texts.append((self._length, opened))
            yield self._event(f"response.{kind.part_event}.added", **opened.part_at, part=part)
        opened.add(text)
        delta: Json = {"delta": text}
        if "logprobs" in kind.part:
            delta["logprobs"] = tokens = written_tokens(logprobs or [])
            opened.part["logprobs"] += tokens  # type: ignore[operator, index]
        yield self._event(f"response.{kind.text_event}.delta", **opened.part_at, **delta)

    def _close(self) -> Iterator[Json]:
        """End the item that is open."""
        opened, self._open = self._open, None
        if opened is None:
            return
        opened.settle(self._status)
        kind, part = opened.kind, opened.part
        if part:
            told = {name: part[name] for name in (kind.text, "logprobs") if name in part}
            yield self._event(f"response.{kind.text_event}.done", **opened.part_at, **told)
            yield self._event(f"response.{kind.part_event}.done", **opened.part_at, part=part)
        yield self._done(opened.item, opened.at)

    def _cite(self, citation: Citation) -> Iterator[Json]:
        """Told with the message whose text it begins in, also when that has ended: Google tells its sources last."""
        place = next((place for place in reversed(self._texts) if place[0] <= citation.start), None)
        if place is None:
            return
        begin, cited = place
        end = min((start for start, _ in self._texts if start > begin), default=self._length)
        annotation = {
            "type": "url_citation",
            "start_index": min(citation.start, end) - begin,
            "end_index": min(citation.end, end) - begin,
            "url": citation.url,
            "title": citation.title,
        }
        annotations = cited.part and cited.part["annotations"]
        assert isinstance(annotations, list)
        annotations.append(annotation)
        yield self._event(
            "response.output_text.annotation.added",
            **cited.part_at,
            annotation_index=len(annotations) - 1,
            annotation=annotation,
        )

    # Items that come whole

    def _call(self, call: ToolCall) -> Iterator[Json]:
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        item: Json = {
            "id": f"fc_{uuid.uuid4().hex}",
            "type": "function_call",
            "status": "in_progress",
            "arguments": "",
            "call_id": call_id(call),
            "name": call.name,
        }
        events: dict[str, Json] = {
            "function_call_arguments.delta": {"delta": arguments},
            "function_call_arguments.done": {"name": call.name, "arguments": arguments},
        }
        yield from self._whole(item, events, arguments=arguments)

    def _image(self, mime_type: str, data: str) -> Iterator[Json]:
        item: Json = {
            "id": f"ig_{uuid.uuid4().hex}",
            "type": "image_generation_call",
            "status": "in_progress",
            "result": None,
        }
        format = media.IMAGE_FORMATS.get(mime_type)
        known = {"output_format": format} if format else {}
        yield from self._whole(item, _steps("image_generation_call", "generating"), result=data, **known)

    def _search(self) -> Iterator[Json]:
        queries, self._searches = self._searches, []
        if not queries:
            return
        item: Json = {
            "id": f"ws_{uuid.uuid4().hex}",
            "type": "web_search_call",
            "status": "in_progress",
            "action": {"type": "search", "query": queries[0], "queries": queries},
        }
        yield from self._whole(item, _steps("web_search_call", "searching"))

    def _whole(self, item: Json, events: dict[str, Json], **told: object) -> Iterator[Json]:
        """An item, the events of its becoming, and what it then has."""
        yield from self._close()
        at = self._add(item)
        yield self._event("response.output_item.added", output_index=at["output_index"], item=item)
        for name, members in events.items():
            yield self._event(f"response.{name}", **at, **members)
        item |= {"status": "completed", **told}
        yield self._done(item, at)

    # Writing

    def _add(self, item: Json) -> Json:
        """Where it is."""
        self._output.append(item)
        return {"item_id": item["id"], "output_index": len(self._output) - 1}

    def _done(self, item: Json, at: Json) -> Json:
        return self._event("response.output_item.done", output_index=at["output_index"], item=item)

    def _event(self, type: str, **members: object) -> Json:
        event: Json = {"type": type, "sequence_number": self._number, **members}
        self._number += 1
        return event

    def _response(self, status: str, **members: object) -> Json:
        response: Json = {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self._model,
            "output": [*self._output],
            "usage": _usage(self._usage) if self._usage and status != "in_progress" else None,
            "service_tier": self._service_tier,
        }
        return response | self._echo | members


def _steps(kind: str, between: str) -> dict[str, Json]:
    return {f"{kind}.{step}": {} for step in ("in_progress", between, "completed")}


def _echo(body: Json) -> Json:
    """What a Response says of its request. A client may have left out what is not null here."""
    reasoning = body.get("reasoning")
    config = reasoning if isinstance(reasoning, dict) else {}
    effort = config.get("effort")
    text = body.get("text")
    wanted = text.get("format") if isinstance(text, dict) else None
    echo: Json = {
        name: body.get(name)
        for name in (
            "instructions",
            "max_output_tokens",
            "max_tool_calls",
            "temperature",
            "top_p",
            "user",
            "safety_identifier",
            "prompt_cache_key",
        )
    }
    return echo | {
        "background": False,
        "metadata": body.get("metadata") or {},
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "reasoning": {
            "effort": EFFORTS.get(effort.lower()) if isinstance(effort, str) else None,
            "summary": config.get("summary") or config.get("generate_summary"),
        },
        "store": False,
        "text": {"format": wanted or {"type": "text"}},
        "tool_choice": _echoed_choice(body.get("tool_choice")),
        "tools": [_echoed_tool(tool) for tool in items(body.get("tools"))],
        "top_logprobs": body.get("top_logprobs") or 0,
        "truncation": "disabled",
    }


def _echoed_choice(choice: object) -> object:
    """One of a tool that the service runs is a wish: `_read_choice` lets it go."""
    honoured = isinstance(choice, str) or (isinstance(choice, dict) and choice.get("type") in CHOICES)
    return choice if honoured else "auto"


def _echoed_tool(tool: object) -> object:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, "strict": False} | tool


def _usage(usage: Usage) -> Json:
    """Adds up. The types of OpenAI's SDK want all of these."""
    inputs, outputs = usage.input or 0, usage.output or 0
    return {
        "input_tokens": inputs,
        "input_tokens_details": {"cached_tokens": usage.cached or 0, "cache_write_tokens": 0},
        "output_tokens": outputs,
        "output_tokens_details": {"reasoning_tokens": usage.thoughts or 0},
        "total_tokens": inputs + outputs,
    }


class StreamWriter:
    """Writes the pieces of an answer as the events of a Response.

    The answer ends when the stream does: what came last may still tell why (`end`). A stream that breaks ends with
    a Response that failed (`fail`); nothing is said twice.
    """

    def __init__(self, model: str, body: Json) -> None:
        self._response = _Response(model, body)
        self._over = False
        self.failed = False
        """Whether it has ended with an error."""

    def write(self, answer: Answer) -> bytes:
        return b"" if self._over else _sent(self._response.take(answer))

    def end(self) -> bytes:
        """All has come."""
        if self._over:
            return b""
        if not self._response.finish:
            return self.fail(Failure(502, "The upstream ended its answer before its end.", "UNAVAILABLE"))
        self._over = True
        return _sent(self._response.end())

    def fail(self, failure: Failure) -> bytes:
        """The answer breaks off."""
        if self._over:
            return b""
        self._over = self.failed = True
        return _sent(self._response.fail(failure))


def _sent(events: Iterator[Json]) -> bytes:
    return b"".join(b"event: %s\ndata: %s\n\n" % (str(event["type"]).encode(), to_bytes(event)) for event in events)
