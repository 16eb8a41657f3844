"""Claude on Vertex: the body of rawPredict and streamRawPredict written, Anthropic's messages and events read.

Sources: Anthropic's reference of Messages, its pages on streaming, thinking, tool use, vision, PDF and prompt caching,
what is new in each model, and Claude on Vertex AI (the model is in the path, `anthropic_version` in the body).
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import replace
from itertools import dropwhile
from typing import Any
from typing import NamedTuple

from pydantic_core import from_json

from addons.translation import json_schema
from addons.translation import signatures
from addons.translation.conversation import DEFAULT_TIERS
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Effort
from addons.translation.conversation import Failure
from addons.translation.conversation import Finish
from addons.translation.conversation import Function
from addons.translation.conversation import InvalidRequest
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Notes
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.conversation import Written
from addons.translation.conversation import usage_of
from addons.translation.errors import read_error
from metering.json_values import items
from metering.json_values import member
from metering.json_values import number_of
from metering.json_values import text_of
from metering.usage.anthropic import AnthropicReader

# Models


class Family(NamedTuple):
    name: re.Pattern[str]
    most: int
    """Tokens of an answer, thoughts among them."""
    budgets: bool = False
    """Whether it thinks when told how many tokens for (`thinking.type: enabled`)."""
    efforts: bool = False
    """Whether it thinks as much as it likes (`adaptive`), which `output_config.effort` guides."""
    unasked: bool = False
    """Whether it thinks when nothing is said of it."""
    stop: str | None = None
    """The `thinking.type` that stops it from thinking unasked; None if nothing does."""
    sampling: bool = True
    """Whether it takes temperature, top_p and top_k."""
    prefill: bool = True
    """Whether it goes on with the words of a last turn that is its own."""
    forced: bool = True
    """Whether it may be made to call a tool."""


def _family(name: str, most: int, **how: object) -> Family:
    return Family(re.compile(name), most, **how)  # type: ignore[arg-type]


_5: Json = {"efforts": True, "unasked": True, "sampling": False, "prefill": False}
FAMILIES = (
    _family(r"claude-3-(?:opus|sonnet|haiku)", 4096),
    _family(r"claude-3-5", 8192),
    _family(r"claude-3-7", 64000, budgets=True),
    _family(r"claude-opus-4-6", 128000, efforts=True, prefill=False),
    _family(r"claude-sonnet-4-6", 64000, efforts=True, prefill=False),
    _family(r"claude-\w+-4-[789]", 128000, efforts=True, sampling=False, prefill=False),
    _family(r"claude-opus-4-5|claude-(?:sonnet|haiku)-4", 64000, budgets=True),
    _family(r"claude-opus-4", 32000, budgets=True),
    _family(r"claude-haiku-5-5", 128000, **_5, stop="disabled", forced=False),
    _family(r"claude-sonnet-5-5", 128000, **_5, stop="between_tools", forced=False),
    _family(r"claude-(?:opus|sonnet|haiku)-5(?!-\d\b)", 128000, **_5, stop="disabled"),
    _family(r"claude-", 128000, **_5, forced=False),
    # A tuned model, by its number: what every Claude takes.
    _family(r"", 4096, sampling=False, prefill=False, forced=False),
)
"""The first whose name begins a model's."""

BUDGETS: dict[Effort, int] = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 16384}
"""Effort -> tokens."""
LEAST_BUDGET = 1024
DEFAULT_MAX_TOKENS = 8192
"""Claude wants to be told; models that think unasked get twice as much."""


def family_of(model: str) -> Family:
    return next(family for family in FAMILIES if family.name.match(model))


# Requests

VERSION = "vertex-2023-10-16"
WITHOUT_TARGET = ("presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "voice")
"""Members of a request."""
SERVER_TOOLS: dict[str, Json] = {"googleSearch": {"type": "web_search_20250305", "name": "web_search"}}
IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
TEXT_TYPES = re.compile(r"text/|application/(?:json|xml|yaml|x-yaml|javascript|x-javascript|sql)\b")
OPENING = "Continue."
"""What the user says where a conversation begins with the assistant, which Claude does not take."""
LONGEST_USER = 256
"""Characters of `metadata.user_id`."""
LEAST_TOP_P = 0.95
"""With thinking."""
MOST_CACHES = 4
"""Places up to which Claude is told to remember."""
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_NOT_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")


def write_request(request: Request) -> Written:
    """The body of a call; its `stream` is true if the path must be streamRawPredict. Raises InvalidRequest for what
    Claude has no way to do."""
    family = family_of(request.model)
    notes = Notes([*request.notes.dropped], [*request.notes.assumed])
    # Written twice, for two services, it is not to be told twice.
    request = replace(request, notes=notes)
    if request.n is not None and request.n > 1:
        raise InvalidRequest(
            "Claude gives one choice: leave n out and ask as often as choices are wanted", request.named("n")
        )
    try:
        messages = _messages(request, family)
    except InvalidRequest as e:
        # Where exactly is not known here.
        e.param = request.named("turns", "messages")
        raise
    _drop(request)
    thinking = _thinking(request, family, messages)
    answer_tool = _answer_tool(request) if family.forced and not thinking.on else None
    body: Json = {"anthropic_version": VERSION, "messages": [message._asdict() for message in messages]}
    body["max_tokens"] = _max_tokens(request, family, thinking.budget)
    system = [text for text in request.system if request.turns]
    if request.format and not answer_tool:
        system.append(Text(_instruction(request.format.schema)))
    if instructions := list(_blocks(system)):
        body["system"] = instructions
    body |= thinking.members
    body |= _sampling(request, family, thinking.on)
    body |= _tools(request, messages, answer_tool, forced=family.forced and not thinking.on)
    if request.user:
        if len(request.user) <= LONGEST_USER:
            body["metadata"] = {"user_id": request.user}
        else:
            notes.dropped.append(request.named("user"))
    if request.stream:
        body["stream"] = True
    _settle_caches(
        request, [*items(body.get("tools")), *instructions, *(block for one in messages for block in one.content)]
    )
    notes.dropped = list(dict.fromkeys(notes.dropped))
    return Written(body, {}, notes)


def _drop(request: Request) -> None:
    dropped = request.notes.dropped
    dropped += [request.named(name) for name in WITHOUT_TARGET if getattr(request, name)]
    if request.seed is not None:
        dropped.append(request.named("seed"))
    if set(request.modalities or ()) - {"text"}:
        dropped.append(request.named("modalities"))
    if request.service_tier and request.service_tier not in DEFAULT_TIERS:
        dropped.append(request.named("service_tier"))
    if any(isinstance(part, Media) and part.detail for turn in request.turns for part in turn.parts):
        dropped.append(request.named("detail"))
    if request.google:
        dropped += request.google.paths()


def _settle_caches(request: Request, blocks: list[Any]) -> None:
    """`blocks` are in the order in which Claude reads them: where it is told more often to remember than it can be, the
    last places count, and none may be for an hour behind one that is for five minutes."""
    cached = [block for block in blocks if "cache_control" in block]
    dropped = request.notes.dropped
    for block in cached[:-MOST_CACHES]:
        del block["cache_control"]
    if min(len(cached), MOST_CACHES) < len(request.caches()) and "cache_control" not in dropped:
        dropped.append("cache_control")
    behind = dropwhile(_is_for_an_hour, cached[-MOST_CACHES:])
    if late := [block for block in behind if _is_for_an_hour(block)]:
        dropped.append("cache_control.ttl")
    for block in late:
        block["cache_control"] = {"type": "ephemeral"}


def _is_for_an_hour(block: Any) -> bool:
    return bool(block["cache_control"].get("ttl") == "1h")


def _max_tokens(request: Request, family: Family, budget: int) -> int:
    most = request.max_tokens or DEFAULT_MAX_TOKENS * (1 + family.unasked)
    if most <= budget:
        most += budget
    most = min(most, family.most)
    if most != request.max_tokens:
        request.notes.assumed.append(f"{request.named('max_tokens')}={most}")
    return most


def _sampling(request: Request, family: Family, thinks: bool) -> Json:
    sampling: Json = {}
    dropped = request.notes.dropped
    if request.temperature is not None:
        if thinks or not family.sampling:
            dropped.append(request.named("temperature"))
        else:
            sampling["temperature"] = min(request.temperature, 1)
            if request.temperature > 1:
                request.notes.assumed.append(f"{request.named('temperature')}=1")
    if request.top_p is not None:
        # Newer models take one of the two.
        if not family.sampling or sampling or (thinks and request.top_p < LEAST_TOP_P):
            dropped.append(request.named("top_p"))
        else:
            sampling["top_p"] = request.top_p
    if request.top_k is not None:
        if thinks or not family.sampling:
            dropped.append(request.named("top_k"))
        else:
            sampling["top_k"] = int(request.top_k)
    if request.stop:
        if stop := [text for text in request.stop if text.strip()]:
            sampling["stop_sequences"] = stop
        if len(stop) < len(request.stop):
            dropped.append(request.named("stop"))
    return sampling


# Thinking


class _Thinking(NamedTuple):
    members: Json
    on: bool
    budget: int = 0


def _thinking(request: Request, family: Family, messages: "list[_Message]") -> _Thinking:
    asked = request.thinking or Thinking()
    off = asked.effort == "none" or asked.budget == 0
    if not off and (asked.effort or asked.budget is not None or asked.include):
        if family.efforts:
            return _Thinking(_adaptive(asked), on=True)
        if family.budgets and _may_think(messages):
            budget = _budget(asked, family, request.notes)
            if asked.include is False:
                request.notes.dropped.append(request.named("include", asked.param))
            return _Thinking({"thinking": {"type": "enabled", "budget_tokens": budget}}, on=True, budget=budget)
        request.notes.dropped.append(asked.param)
    elif family.unasked and family.stop and (off or (family.forced and _wants_a_call(request))):
        return _Thinking({"thinking": {"type": family.stop}}, on=family.stop != "disabled")
    elif family.unasked and off:
        return _Thinking({"output_config": {"effort": "low"}}, on=True)
    return _Thinking({}, on=family.unasked)


def _adaptive(asked: Thinking) -> Json:
    # Newer models tell their thoughts only when asked to.
    display = "omitted" if asked.include is False else "summarized"
    members: Json = {"thinking": {"type": "adaptive", "display": display}}
    effort = asked.effort
    if effort is None and asked.budget is not None and asked.budget > 0:
        effort = next((name for name in ("low", "medium") if asked.budget <= BUDGETS[name]), "high")
    if effort:
        members["output_config"] = {"effort": "low" if effort == "minimal" else effort}
    return members


def _budget(asked: Thinking, family: Family, notes: Notes) -> int:
    said = asked.budget if asked.budget is not None and asked.budget > 0 else None
    budget = said or BUDGETS[asked.effort or "medium"]
    budget = max(LEAST_BUDGET, min(budget, family.most - LEAST_BUDGET))
    if budget != said and not asked.effort:
        notes.assumed.append(f"{asked.param}={budget}")
    return budget


def _may_think(messages: "list[_Message]") -> bool:
    """Manual thinking takes no words in its mouth, and after calls only a turn that began with a thought."""
    begin = None
    for message in reversed(messages):
        if message.role == "assistant":
            begin = message
        elif not any(block["type"] == "tool_result" for block in message.content):
            break
    return messages[-1].role == "user" and (begin is None or begin.content[0]["type"] in _THOUGHTS)


_THOUGHTS = frozenset({"thinking", "redacted_thinking"})


def _wants_a_call(request: Request) -> bool:
    return _is_required(request) or _answer_tool(request) is not None


# Messages


class _Message(NamedTuple):
    role: str
    content: list[Json]


def _messages(request: Request, family: Family) -> list[_Message]:
    """Turns that alternate and begin with the user's, none of them empty."""
    calls = _Calls()
    messages: list[_Message] = []
    # A conversation of instructions only still needs a turn.
    for turn in request.turns or [Turn("user", list(request.system))]:
        if turn.role == "user":
            content = _user_content(turn.parts, calls)
        else:
            content = _assistant_content(turn.parts, calls, family)
        if not content:
            continue
        if messages and messages[-1].role == turn.role:
            messages[-1].content.extend(content)
        else:
            messages.append(_Message(turn.role, content))
    calls.settle()
    if messages and messages[-1].role == "assistant" and not _strip(messages[-1].content):
        messages.pop()
    if not messages:
        raise InvalidRequest("there is nothing in the messages")
    if messages[-1].role == "assistant" and not family.prefill:
        raise InvalidRequest("this model begins its answers itself: end with a message of the user")
    if messages[0].role == "assistant":
        messages.insert(0, _Message("user", [_text(OPENING)]))
        request.notes.assumed.append(f"{request.named('turns', 'messages')}[0]={OPENING}")
    return messages


def _strip(content: list[Json]) -> bool:
    """Claude goes on behind a word: not behind white space, and not behind a thought. Whether any is left."""
    while content:
        last = content[-1]
        if isinstance(text := last.get("text"), str) and text.strip():
            last["text"] = text.rstrip()
            return True
        content.pop()
    return False


class _Calls:
    """The ids of calls as Claude takes them, each once, and the calls that wait for their results."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._waiting: dict[str, list[str]] = {}
        """What a result names -> the ids that its calls got, in their order."""

    def call(self, call: ToolCall) -> str:
        name = call.id or call.name
        fitting = _NOT_IN_ID.sub("_", name)
        if fitting != name:
            fitting += "_" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
        id, again = fitting, 2
        while id in self._taken:
            id, again = f"{fitting}_{again}", again + 1
        self._taken.add(id)
        self._waiting.setdefault(name, []).append(id)
        return id

    def result(self, result: ToolResult) -> str:
        if not (ids := self._waiting.get(result.id or result.name)):
            raise InvalidRequest("there is a result without its call before it")
        return ids.pop(0)

    def settle(self) -> None:
        """The next turn has come."""
        if any(self._waiting.values()):
            raise InvalidRequest("each call of a tool needs its result in the next message")
        self._waiting.clear()


def _user_content(parts: list[Part], calls: _Calls) -> list[Json]:
    """Results come first."""
    results = [_result(part, calls) for part in parts if isinstance(part, ToolResult)]
    calls.settle()
    return results + list(_blocks(part for part in parts if isinstance(part, Text | Media)))


def _assistant_content(parts: list[Part], calls: _Calls, family: Family) -> list[Json]:
    calls.settle()
    content: list[Json] = []
    for part in parts:
        if isinstance(part, Text) and part.text.strip():
            content.append(_text(part.text, part.cache))
        elif isinstance(part, Thought) and (family.budgets or family.efforts):
            # Without a signature it is of no use.
            content += [block for block in [signatures.thinking_block(part)] if block]
        elif isinstance(part, ToolCall):
            _check_name(part.name)
            call: Json = {"type": "tool_use", "id": calls.call(part), "name": part.name, "input": part.arguments}
            content.append(call | _cache(part.cache))
        elif isinstance(part, Media):
            raise InvalidRequest("Claude takes images and files from the user only, not from the assistant")
    return content


def _result(result: ToolResult, calls: _Calls) -> Json:
    output = result.output if isinstance(result.output, str) else json.dumps(result.output, ensure_ascii=False)
    written: Json = {"type": "tool_result", "tool_use_id": calls.result(result)}
    if result.media:
        written["content"] = list(_blocks([Text(output), *result.media]))
    elif output.strip():
        written["content"] = output
    return written | _cache(result.cache)


def _text(text: str, cache: Json | None = None) -> Json:
    return {"type": "text", "text": text} | _cache(cache)


def _cache(cache: Json | None) -> Json:
    return {"cache_control": cache} if cache else {}


def _blocks(parts: Iterable[Text | Media]) -> Iterator[Json]:
    for part in parts:
        if isinstance(part, Media):
            yield _media(part) | _cache(part.cache)
        elif part.text.strip():
            yield _text(part.text, part.cache)


def _media(media: Media) -> Json:
    if media.mime_type in IMAGE_TYPES:
        return {"type": "image", "source": _source(media)}
    if media.mime_type == "application/pdf":
        return {"type": "document", "source": _source(media)}
    if TEXT_TYPES.match(media.mime_type) and media.data:
        try:
            text = base64.b64decode(media.data).decode("utf-8", "replace")
        except ValueError:
            raise InvalidRequest("this is not base64") from None
        if not text.strip():
            raise InvalidRequest("there is no text in the file")
        return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}
    raise InvalidRequest(
        f"Claude does not read {media.mime_type} from {'a URL' if media.uri else 'data'}: send images as jpeg, png, gif"
        " or webp, documents as PDF, and text inline"
    )


def _source(media: Media) -> Json:
    if media.uri is None:
        return {"type": "base64", "media_type": media.mime_type, "data": media.data}
    if not media.uri.lower().startswith("https://"):
        raise InvalidRequest(
            "Claude reads https:// URLs only, none of Cloud Storage: send the file itself as a data: URL"
        )
    return {"type": "url", "url": media.uri}


# Tools


class AnswerTool(NamedTuple):
    """A tool that Claude must call with the JSON that is wanted, where it cannot be told to answer in JSON.

    (Its structured outputs are off on Vertex until an organization allows them.)
    """

    name: str
    schema: Json
    wraps: bool
    """Whether the answer is the member VALUE of what it is called with, as it need not be an object."""


VALUE = "value"


def _answer_tool(request: Request) -> AnswerTool | None:
    """None if no schema is given, or if a function has to be called first."""
    if request.format is None or request.format.schema is None or _is_required(request):
        return None
    schema = request.format.schema
    name = "answer"
    while any(function.name == name for function in request.functions):
        name += "_"
    if json_schema.is_object(schema):
        return AnswerTool(name, schema, wraps=False)
    return AnswerTool(name, json_schema.inside(schema, VALUE), wraps=True)


def _is_required(request: Request) -> bool:
    return bool(request.functions and request.tool_choice and request.tool_choice.mode == "required")


def _instruction(schema: Json | None) -> str:
    said = "Answer with a JSON object and with nothing else: no words around it, no code fence."
    if schema is None:
        return said
    said = said.replace("a JSON object", "JSON")
    return f"{said} It must hold against this JSON Schema:\n{json.dumps(schema, ensure_ascii=False)}"


def _tools(request: Request, messages: list[_Message], answer_tool: AnswerTool | None, forced: bool) -> Json:
    """`tools` and `tool_choice`; `forced` is whether a call may be wanted."""
    choice = request.tool_choice
    names = choice.names if choice and choice.mode != "none" else []
    functions = [function for function in request.functions if not names or function.name in names]
    tools = [_tool(function, request.notes) for function in functions]
    for name, param in request.server_tools.items():
        tool = SERVER_TOOLS.get(name)
        if tool and not any(function.name == tool["name"] for function in functions):
            tools.append(tool)
        else:
            request.notes.dropped.append(param)
    mode: Json | None = None
    if answer_tool:
        alone = not tools or (choice is not None and choice.mode == "none")
        mode = {"type": "tool", "name": answer_tool.name} if alone else {"type": "any"}
        if alone:
            mode["disable_parallel_tool_use"] = True
        tools.append({"name": answer_tool.name, "description": "Gives the answer.", "input_schema": answer_tool.schema})
    elif not tools:
        # "Requests which include tool_use or tool_result blocks must define tools"
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in _called(messages)]
        mode = {"type": "none"} if tools else None
    elif request.functions and choice:
        mode = {"type": choice.mode}
        if choice.mode == "required":
            mode = {"type": "tool", "name": names[0]} if len(names) == 1 else {"type": "any"}
            if not forced:
                mode = {"type": "auto"}
                request.notes.dropped.append(request.named("tool_choice"))
    if request.functions and request.parallel_tool_calls is False and (mode is None or mode["type"] != "none"):
        mode = (mode or {"type": "auto"}) | {"disable_parallel_tool_use": True}
    return ({"tools": tools} if tools else {}) | ({"tool_choice": mode} if mode else {})


def _called(messages: list[_Message]) -> list[object]:
    """The names of the tools that were called so far."""
    blocks = (block for message in messages for block in message.content)
    return list(dict.fromkeys(block["name"] for block in blocks if block["type"] == "tool_use"))


def _tool(function: Function, notes: Notes) -> Json:
    _check_name(function.name, "tools")
    schema, lost = json_schema.for_claude(function.parameters)
    notes.dropped += [f"tools.{function.name}.parameters.{name}" for name in lost]
    written: Json = {"name": function.name}
    if function.description:
        written["description"] = function.description
    return written | {"input_schema": schema} | _cache(function.cache)


def _check_name(name: str, param: str | None = None) -> None:
    if not _TOOL_NAME.fullmatch(name):
        raise InvalidRequest("Claude takes names of functions of letters, digits, _ and -, at most 128", param)


# Answers

STOP_REASONS = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    # Of calls it makes a finish of calls; that of the answer tool is none.
    "tool_use": Finish.STOP,
    "pause_turn": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "refusal": Finish.CONTENT_FILTER,
}
"""Others: stop if there is content, content_filter if there is none."""
SERVED_TIERS = {"standard": "default", "priority": "priority"}
"""`usage.service_tier` -> OpenAI's."""
_WITH_USAGE = frozenset({"message", "message_start", "message_delta"})


def reader_for(request: Request) -> "AnswerReader":
    """Of the answer to a request that `write_request` has written."""
    return AnswerReader(_answer_tool(request))


class AnswerReader:
    """Reads the one message of an answer, or the many events of a stream, each into an `Answer` of what is new."""

    def __init__(self, answer_tool: AnswerTool | None = None) -> None:
        """What `answer_tool` is called with is the text of the answer."""
        self._answer_tool = answer_tool
        self.failure: Failure | None = None
        """The error that came instead of, or inside, the answer."""
        self.finished = False
        """Whether the answer has come to its end."""
        self._counts = AnthropicReader()
        self._blocks: dict[int, _Block] = {}
        """Those that are open."""
        self._length = 0
        """Of the text so far, in characters; citations point into it."""
        self._called = False

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
                # ping, Vertex's vertex_event, and what is new.
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
        found = (Citation(*span, url, title) for url, title in map(_page, block.cited) if url)
        choice.citations += dict.fromkeys(found)

    def _call(self, block: "_Block", choice: Choice) -> None:
        arguments = block.arguments()
        if self._is_answer(block):
            if self._wraps:
                self._say(_json(arguments.get(VALUE)) if arguments else None, choice)
            elif not block.input:
                self._say(_json(arguments), choice)
        elif arguments is not None:
            # What was cut is no call.
            choice.parts.append(ToolCall(block.id, block.name, arguments))
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
        """`delta` is what has a `stop_reason`."""
        if not (reason := text_of(member(delta, "stop_reason"))):
            return
        self.finished = True
        content = self._called or self._length > 0
        finish = STOP_REASONS.get(reason, Finish.STOP if content else Finish.CONTENT_FILTER)
        choice.finish = Finish.TOOL_CALLS if self._called and finish is Finish.STOP else finish
        if choice.finish is Finish.CONTENT_FILTER and not self._length:
            choice.refusal = text_of(member(member(delta, "stop_details"), "explanation"))


class _Block:
    """What must be remembered of a block until it is whole."""

    def __init__(self, content: object, start: int) -> None:
        self.kind = member(content, "type")
        self.id = text_of(member(content, "id"))
        self.name = text_of(member(content, "name")) or ""
        self.start = start
        """Where its text begins in that of the answer."""
        self.cited: list[object] = []
        self.signature = ""
        self.input = ""
        """JSON, so far."""
        self._whole = member(content, "input")

    def arguments(self) -> Json | None:
        """None if they were cut."""
        if not self.input:
            return self._whole if isinstance(self._whole, dict) else {}
        try:
            arguments = from_json(self.input, allow_inf_nan=False)
        except ValueError:
            return None
        return arguments if isinstance(arguments, dict) else None


def _page(citation: object) -> tuple[str | None, str]:
    return text_of(member(citation, "url")), text_of(member(citation, "title")) or ""


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
