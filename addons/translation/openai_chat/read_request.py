"""Reads a client's request for OpenAI's chat completions into the neutral form.

Sources: OpenAI's API reference; for `reasoning` and `thinking`, which it does not have, the documentation of other
services and gateways.
"""

from collections.abc import Sequence

from addons.translation import signatures
from addons.translation.conversation import Json
from addons.translation.conversation import Notes
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.errors import InvalidRequest
from addons.translation.openai_chat import schema
from addons.translation.openai_chat.parts import add_parts
from addons.translation.openai_chat.parts import read_arguments
from addons.translation.openai_chat.parts import read_content
from addons.translation.openai_chat.parts import read_instructions
from addons.translation.openai_chat.parts import read_parts
from addons.translation.openai_chat.parts import read_result
from addons.translation.openai_chat.parts import sign_text
from addons.translation.openai_chat.parts import take_cache
from addons.translation.openai_chat.schema import ChatRequest
from addons.translation.openai_chat.settings import read_effort
from addons.translation.openai_chat.settings import read_format
from addons.translation.openai_chat.settings import read_server_tool
from addons.translation.openai_chat.settings import start_request
from addons.translation.openai_chat.settings import take_functions
from addons.translation.validation import validated


def read_request(body: Json) -> Request:
    """The request in a body of chat completions, parsed from JSON. Raises InvalidRequest."""
    chat = validated(ChatRequest, body)
    request = start_request(chat)
    request.names = NAMES | _names(chat)
    request.max_tokens = chat.max_completion_tokens or chat.max_tokens
    request.n = chat.n
    request.presence_penalty = chat.presence_penalty
    request.frequency_penalty = chat.frequency_penalty
    request.logprobs = chat.logprobs or bool(chat.top_logprobs)
    request.modalities = list(chat.modalities) if chat.modalities else None
    request.include_usage = bool(chat.stream_options and chat.stream_options.include_usage)
    request.audio_format = chat.audio.format if chat.audio else None
    if chat.audio and chat.audio.voice:
        request.voice = chat.audio.voice if isinstance(chat.audio.voice, str) else chat.audio.voice.id
    _read_tools(chat, request)
    if wanted := chat.response_format:
        wanted_schema = wanted.json_schema.schema_ if wanted.json_schema else None
        schema_param = "response_format.json_schema.schema"
        request.format = read_format(wanted.type, wanted_schema, "response_format", schema_param)
    request.thinking = _read_thinking(chat)
    _read_messages(chat.messages, body, request)
    return request


NAMES = {"turns": "messages", "voice": "audio", "audio_format": "audio.format", "include": "reasoning.exclude"}
"""Fields of a Request -> their paths in a body of chat completions, where these differ."""


def _names(chat: ChatRequest) -> dict[str, str]:
    """Fields of a Request that the body can give in two members -> the member that the client used."""
    names = {"max_tokens": "max_completion_tokens"} if chat.max_completion_tokens else {}
    return names | ({} if chat.logprobs else {"logprobs": "top_logprobs"})


def _read_tools(chat: ChatRequest, request: Request) -> None:
    definitions = {f"functions[{number}]": definition for number, definition in enumerate(chat.functions or [])}
    for number, tool in enumerate(chat.tools or []):
        if isinstance(tool, schema.FunctionTool):
            definitions[f"tools[{number}].function"] = tool.function
            tool.function.cache_control = tool.function.cache_control or tool.cache_control
        else:
            path, members = f"tools[{number}]", tool.model_extra or {}
            request.server_tools.setdefault(read_server_tool(members, path), path)
            if members.get("cache_control"):
                request.notes.drop(f"{path}.cache_control")
    if chat.web_search_options is not None:
        request.server_tools.setdefault("googleSearch", "web_search_options")
    take_functions(request, definitions, _read_choice(chat))


def _read_choice(chat: ChatRequest) -> ToolChoice | None:
    choice = chat.tool_choice
    if choice is None:
        legacy = chat.function_call
        if legacy is None:
            return None
        return ToolChoice("required", [legacy.name]) if isinstance(legacy, schema.Named) else ToolChoice(legacy)
    if not isinstance(choice, schema.NamedChoice):
        return ToolChoice("required" if choice == "any" else choice)
    if choice.allowed_tools:
        named = (_name_of(tool) for tool in choice.allowed_tools.tools)
        return ToolChoice(choice.allowed_tools.mode, [name for name in named if name])
    name = choice.function.name if choice.function else choice.name
    if not name:
        raise InvalidRequest('name the function: {"type": "function", "function": {"name": ...}}', "tool_choice")
    return ToolChoice("required", [name])


def _name_of(tool: Json) -> str | None:
    """The name of a function: of `{"type": "function", "function": {"name": ...}}`, or with the name beside `type`."""
    function = tool.get("function")
    name = function.get("name") if isinstance(function, dict) else tool.get("name")
    return name if isinstance(name, str) else None


def _read_thinking(chat: ChatRequest) -> Thinking | None:
    """How much to think, from any of the members that clients use for it. Google's own is read with the rest of
    `google`."""
    if chat.reasoning_effort is not None:
        return Thinking(effort=read_effort(chat.reasoning_effort, "reasoning_effort"))
    if reasoning := chat.reasoning:
        include = None if reasoning.exclude is None else not reasoning.exclude
        if reasoning.enabled is False:
            return Thinking("none", param="reasoning")
        if reasoning.max_tokens is not None:
            return Thinking(budget=max(reasoning.max_tokens, -1), include=include, param="reasoning")
        if reasoning.effort is not None:
            return Thinking(read_effort(reasoning.effort, "reasoning.effort"), include=include, param="reasoning")
        include = True if reasoning.enabled and include is None else include
        return None if include is None else Thinking(include=include, param="reasoning")
    if chat.thinking:
        if chat.thinking.type == "disabled":
            return Thinking("none", param="thinking")
        return Thinking(budget=chat.thinking.budget_tokens, include=True, param="thinking")
    return None


def _read_messages(messages: Sequence[schema.Message], body: Json, request: Request) -> None:
    """Adds the messages to the turns and instructions of the request. Instructions may stand anywhere; they are put
    together, as Gemini and Claude have one place for them. Signatures are read from `body`, as the schema does not
    declare all members that may hold one."""
    waiting = _Waiting([])
    raw = body["messages"]
    assert isinstance(raw, list)
    for number, message in enumerate(messages):
        path = f"messages[{number}]"
        if isinstance(message, schema.ToolMessage | schema.FunctionMessage):
            waiting.add(message, path, request.notes)
            continue
        waiting.settle(request.turns, path)
        if isinstance(message, schema.InstructionMessage):
            request.system += read_instructions(message, path, request.notes)
        elif isinstance(message, schema.UserMessage):
            add_parts(request.turns, "user", read_content(message, path, request.notes))
        else:
            parts = _read_assistant(message, raw[number], path, request.notes)
            waiting = _Waiting([part for part in parts if isinstance(part, ToolCall)])
            add_parts(request.turns, "assistant", parts)
    waiting.settle(request.turns, f"messages[{len(messages) - 1}]")
    if not request.turns and not request.system:
        raise InvalidRequest("the messages are empty; write a text", "messages")


class _Waiting:
    """The tool calls of an assistant message, until each has its result. The results become one turn, in the order of
    the calls."""

    def __init__(self, calls: list[ToolCall]) -> None:
        # A call without an id (OpenAI's older `function_call`) is found by its name.
        self._calls = {call.id or call.name: call for call in calls}
        self._results: dict[str, ToolResult] = {}

    def add(self, message: schema.ToolMessage | schema.FunctionMessage, path: str, notes: Notes) -> None:
        """Adds a result. Raises InvalidRequest if it has no call, or if the call has its result already."""
        if isinstance(message, schema.ToolMessage):
            key, param = signatures.split_id(message.tool_call_id)[0], f"{path}.tool_call_id"
        else:
            key, param = message.name, f"{path}.name"
        call = self._calls.get(key)
        if call is None or (call.id is None) != isinstance(message, schema.FunctionMessage):
            raise InvalidRequest("the assistant message before has no such call", param)
        if key in self._results:
            raise InvalidRequest("this call has a result already", param)
        parts = read_parts(message.content, f"{path}.content", notes) if message.content is not None else []
        self._results[key] = read_result(call, parts, message.cache)

    def settle(self, turns: list[Turn], path: str) -> None:
        """Adds the results to the turns. Raises InvalidRequest if one is missing; `path` is that of the message after
        them."""
        if len(self._results) < len(self._calls):
            raise InvalidRequest(
                "an assistant message with tool_calls must be followed by a tool message for each of them", path
            )
        if self._results:
            turns.append(Turn("user", [self._results[key] for key in self._calls]))
        self._calls, self._results = {}, {}


def _read_assistant(message: schema.AssistantMessage, raw: object, path: str, notes: Notes) -> list[Part]:
    """The parts of an assistant message. `raw` is the message as the client sent it. Raises InvalidRequest."""
    parts = read_parts(message.content, f"{path}.content", notes) if message.content is not None else []
    if message.refusal:
        parts.append(Text(message.refusal))
    sign_text(parts, raw)
    raw_calls = raw.get("tool_calls") if isinstance(raw, dict) else None
    for number, call in enumerate(message.tool_calls or []):
        raw_call = raw_calls[number] if isinstance(raw_calls, list) else None
        parts.append(_read_call(call, raw_call, raw, f"{path}.tool_calls[{number}]"))
    if message.function_call and not message.tool_calls:
        function = message.function_call
        arguments = read_arguments(function.arguments, f"{path}.function_call.arguments")
        parts.append(ToolCall(None, function.name, arguments))
    take_cache(parts, message.cache, path, notes)
    ids = [part.id for part in parts if isinstance(part, ToolCall)]
    if len(set(ids)) < len(ids):
        raise InvalidRequest("two calls have the same id; each needs its own", f"{path}.tool_calls")
    # A message with thoughts only is left out.
    return [*signatures.of_anthropic(raw), *parts] if parts else []


def _read_call(call: schema.Call, raw: object, message: object, path: str) -> ToolCall:
    """A tool call with its signature. `raw` and `message` are the call and its message as the client sent them. Raises
    InvalidRequest."""
    if not call.id:
        raise InvalidRequest("a tool call needs an id", f"{path}.id")
    bare, in_id = signatures.split_id(call.id)
    signature = signatures.of_google(raw) or in_id or signatures.of_details(message, call.id)
    return ToolCall(
        bare,
        call.function.name,
        read_arguments(call.function.arguments, f"{path}.function.arguments"),
        Signature("google", signature) if signature else None,
        cache=call.cache,
    )
