"""Reads a client's request for OpenAI's chat completions into the neutral form.

Sources: OpenAI's API reference; for `reasoning` and `thinking`, which it does not have, the documentation of other
services and gateways.
"""

from collections.abc import Iterator
from collections.abc import Sequence

from addons.translation import signatures
from addons.translation.conversation import ClientTool
from addons.translation.conversation import Json
from addons.translation.conversation import Media
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
from addons.translation.openai_chat.client_tools import CUSTOM
from addons.translation.openai_chat.client_tools import INPUT
from addons.translation.openai_chat.client_tools import ToolNames
from addons.translation.openai_chat.client_tools import custom_description
from addons.translation.openai_chat.client_tools import custom_parameters
from addons.translation.openai_chat.parts import add_parts
from addons.translation.openai_chat.parts import read_arguments
from addons.translation.openai_chat.parts import read_content
from addons.translation.openai_chat.parts import read_image
from addons.translation.openai_chat.parts import read_instructions
from addons.translation.openai_chat.parts import read_parts
from addons.translation.openai_chat.parts import read_result
from addons.translation.openai_chat.parts import sign_message
from addons.translation.openai_chat.parts import sound_type
from addons.translation.openai_chat.parts import take_cache
from addons.translation.openai_chat.schema import ChatRequest
from addons.translation.openai_chat.schema import FunctionDefinition
from addons.translation.openai_chat.settings import note_undeclared
from addons.translation.openai_chat.settings import read_effort
from addons.translation.openai_chat.settings import read_format
from addons.translation.openai_chat.settings import read_server_tool
from addons.translation.openai_chat.settings import start_request
from addons.translation.openai_chat.settings import take_functions
from addons.translation.validation import NOTHING
from addons.translation.validation import validated
from metering.json_values import items
from metering.json_values import member


def read_request(body: Json) -> Request:
    """The request in a body of chat completions, parsed from JSON. Raises InvalidRequest."""
    chat = validated(ChatRequest, body)
    request = start_request(chat)
    request.names = NAMES | _names(chat)
    request.max_tokens = chat.max_completion_tokens or chat.max_tokens
    if chat.max_tokens and chat.max_completion_tokens and chat.max_tokens != chat.max_completion_tokens:
        request.notes.drop("max_tokens")
    if chat.tool_choice is not None and chat.function_call is not None:
        request.notes.drop("function_call")
    request.n = chat.n
    request.presence_penalty = chat.presence_penalty
    request.frequency_penalty = chat.frequency_penalty
    request.logprobs = chat.logprobs or bool(chat.top_logprobs)
    request.modalities = list(chat.modalities) if chat.modalities else None
    request.include_usage = bool(chat.stream_options and chat.stream_options.include_usage)
    request.audio_format = chat.audio.format if chat.audio else None
    if chat.audio and chat.audio.voice:
        request.voice = chat.audio.voice if isinstance(chat.audio.voice, str) else chat.audio.voice.id
    names = _read_tools(chat, request)
    if wanted := chat.response_format:
        schema_param = "response_format.json_schema.schema"
        request.format = read_format(wanted.type, wanted.json_schema, "response_format", schema_param)
    request.thinking = _read_thinking(chat, request.notes)
    _read_messages(chat.messages, body, request, names)
    request.client_tools = names.tools()
    note_undeclared(request, chat)
    return request


NAMES = {"turns": "messages", "voice": "audio", "audio_format": "audio.format", "include": "reasoning.exclude"}
"""Fields of a Request -> their paths in a body of chat completions, where these differ."""


def _names(chat: ChatRequest) -> dict[str, str]:
    """Fields of a Request that the body can give in two members -> the member that the client used."""
    names = {"max_tokens": "max_completion_tokens"} if chat.max_completion_tokens else {}
    return names | ({} if chat.logprobs else {"logprobs": "top_logprobs"})


def _read_tools(chat: ChatRequest, request: Request) -> ToolNames:
    """Reads tools and tool choice. Returns the names that the client's tools got as functions. Raises
    InvalidRequest."""
    definitions = {f"functions[{number}]": definition for number, definition in enumerate(chat.functions or [])}
    tools = chat.tools or []
    plain = {tool.function.name for tool in tools if isinstance(tool, schema.FunctionTool)}
    names = ToolNames(plain | {definition.name for definition in definitions.values()})
    not_served: dict[str, str] = {}
    for number, tool in enumerate(tools):
        path = f"tools[{number}]"
        if isinstance(tool, schema.FunctionTool):
            definitions[f"{path}.function"] = tool.function
            tool.function.cache_control = tool.function.cache_control or tool.cache_control
        elif isinstance(tool, schema.CustomTool):
            definitions[f"{path}.custom"] = _read_custom(tool, names, f"{path}.custom", request.notes)
        elif (kind := str((tool.model_extra or {}).get("type"))) in schema.NOT_SERVED:
            not_served[path] = kind
        else:
            members = tool.model_extra or {}
            request.server_tools.setdefault(read_server_tool(members, path), path)
            request.notes.drop(*_options(members, path))
    if chat.web_search_options is not None:
        request.server_tools.setdefault("googleSearch", "web_search_options")
        request.notes.drop(*_options(chat.web_search_options, "web_search_options"))
    choice = _read_choice(chat, names)
    if not_served and not definitions and choice and choice.mode == "required":
        raise InvalidRequest(
            f"tools of type {', '.join(not_served.values())} run at OpenAI only, so they cannot be called here: leave"
            " tool_choice out",
            "tool_choice",
        )
    take_functions(request, definitions, choice)
    request.notes.drop(*not_served)
    return names


def _options(tool: Json, path: str) -> Iterator[str]:
    """Paths of the settings of a tool that the service runs. `{"googleSearch": {...}}` has them one level deeper."""
    for name, value in tool.items():
        if isinstance(value, dict) and name in schema.SERVER_TOOLS:
            yield from (f"{path}.{name}.{option}" for option in value)
        elif name not in ("type", "container") and value not in (*NOTHING, "auto"):
            yield f"{path}.{name}"


def _read_custom(tool: schema.CustomTool, names: ToolNames, path: str, notes: Notes) -> FunctionDefinition:
    """The function that a custom tool becomes. `path` is that of its definition: `tools[0].custom`."""
    given = tool.custom
    if given.format and given.format.get("type") == "grammar":
        notes.assumed.append(f"{path}.format=description")
    return FunctionDefinition(
        name=names.of(ClientTool(CUSTOM, given.name)),
        description=custom_description(given.description, given.format),
        parameters=custom_parameters(),
        cache_control=tool.cache_control,
    )


def _read_choice(chat: ChatRequest, names: ToolNames) -> ToolChoice | None:
    choice = chat.tool_choice
    if choice is None:
        legacy = chat.function_call
        if legacy is None:
            return None
        return ToolChoice("required", [legacy.name]) if isinstance(legacy, schema.Named) else ToolChoice(legacy)
    if not isinstance(choice, schema.NamedChoice):
        return ToolChoice("required" if choice == "any" else choice)
    if choice.allowed_tools:
        named = (_name_of(tool, names) for tool in choice.allowed_tools.tools)
        return ToolChoice(choice.allowed_tools.mode, [name for name in named if name])
    name = _name_of(choice.model_dump(), names)
    if not name:
        raise InvalidRequest('name the function: {"type": "function", "function": {"name": ...}}', "tool_choice")
    return ToolChoice("required", [name])


def _name_of(tool: Json, names: ToolNames) -> str | None:
    """The name of a tool's function: of `{"type": "function", "function": {"name": ...}}`, or with the name beside
    `type`. In place of `function` there may be `custom`."""
    kind = "custom" if tool.get("type") == "custom" else "function"
    within = tool.get(kind)
    name = within.get("name") if isinstance(within, dict) else tool.get("name")
    return names.of(ClientTool(kind, name)) if isinstance(name, str) else None


def _read_thinking(chat: ChatRequest, notes: Notes) -> Thinking | None:
    """How much to think, from any of the members that clients use for it. Google's own is read with the rest of
    `google`."""
    if chat.reasoning_effort is not None:
        notes.drop(*(name for name in ("reasoning", "thinking") if getattr(chat, name)))
        return Thinking(effort=read_effort(chat.reasoning_effort, "reasoning_effort"))
    if chat.reasoning and chat.thinking:
        notes.drop("thinking")
    if reasoning := chat.reasoning:
        include = None if reasoning.exclude is None else not reasoning.exclude
        if reasoning.enabled is False:
            return Thinking("none", param="reasoning")
        if reasoning.max_tokens is not None:
            if reasoning.effort:
                notes.drop("reasoning.effort")
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


def _read_messages(messages: Sequence[schema.Message], body: Json, request: Request, names: ToolNames) -> None:
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
            parts = _read_assistant(message, raw[number], path, request, names)
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


def _read_assistant(
    message: schema.AssistantMessage, raw: object, path: str, request: Request, names: ToolNames
) -> list[Part]:
    """The parts of an assistant message. `raw` is the message as the client sent it. Raises InvalidRequest."""
    notes = request.notes
    parts = read_parts(message.content, f"{path}.content", notes) if message.content is not None else []
    if any(isinstance(part, Media) for part in parts):
        request.names.setdefault("media", f"{path}.content")
    if message.refusal:
        parts.append(Text(message.refusal))
    parts += _read_media(message, raw, path, request)
    sign_message(parts, raw)
    raw_calls = raw.get("tool_calls") if isinstance(raw, dict) else None
    for number, call in enumerate(message.tool_calls or []):
        raw_call = raw_calls[number] if isinstance(raw_calls, list) else None
        parts.append(_read_call(call, raw_call, raw, f"{path}.tool_calls[{number}]", names))
    if message.function_call:
        function = message.function_call
        if message.tool_calls:
            notes.drop(f"{path}.function_call")
        else:
            arguments = read_arguments(function.arguments, f"{path}.function_call.arguments")
            parts.append(ToolCall(None, function.name, arguments))
    take_cache(parts, message, path, notes)
    ids = [part.id for part in parts if isinstance(part, ToolCall)]
    if len(set(ids)) < len(ids):
        raise InvalidRequest("two calls have the same id; each needs its own", f"{path}.tool_calls")
    thoughts = signatures.of_anthropic(raw)
    if thoughts and parts:
        request.names.setdefault("thoughts", f"{path}.thinking_blocks")
    elif message.thinking_blocks:
        notes.drop(f"{path}.thinking_blocks")
    if message.reasoning_content and not (thoughts and parts):
        # No service takes thoughts that it has not signed.
        notes.drop(f"{path}.reasoning_content")
    _note_signatures(parts, raw, path, request)
    # A message with thoughts only is left out.
    return [*thoughts, *parts] if parts else []


def _read_media(message: schema.AssistantMessage, raw: object, path: str, request: Request) -> list[Part]:
    """The images and the sound of an answer, as `write_answer` writes them, each with its signature. `raw` is the
    message as the client sent it."""
    media: list[Part] = []
    for number, image in enumerate(items(member(raw, "images"))):
        read = read_image(member(image, "image_url"))
        for one in read:
            value = signatures.of_google(image)
            one.signature = Signature("google", value) if value else None
        if not read:
            request.notes.drop(f"{path}.images[{number}]")
        media += read
    if message.audio:
        data = message.audio.get("data")
        if isinstance(data, str) and data:
            value = signatures.of_google(message.audio)
            media.append(Media(sound_type(data), data=data, signature=Signature("google", value) if value else None))
        else:
            # It has an id only. Nothing is stored here.
            request.notes.drop(f"{path}.audio")
    if media:
        request.names.setdefault("media", f"{path}.{'images' if message.images else 'audio'}")
    return media


def _note_signatures(parts: list[Part], raw: object, path: str, request: Request) -> None:
    """Notes where the signatures of a message are. A member for signatures that has none is dropped."""
    signed = any(part.signature for part in parts if not isinstance(part, ToolResult))
    for name in sorted(schema.SIGNED | {"reasoning_details"}):
        if isinstance(raw, dict) and raw.get(name) not in NOTHING:
            if signed:
                request.names.setdefault("signatures", f"{path}.{name}")
            else:
                request.notes.drop(f"{path}.{name}")


def _read_call(call: schema.AnyCall, raw: object, message: object, path: str, names: ToolNames) -> ToolCall:
    """A tool call with its signature. `raw` and `message` are the call and its message as the client sent them. Raises
    InvalidRequest."""
    if not call.id:
        raise InvalidRequest("a tool call needs an id", f"{path}.id")
    bare, in_id = signatures.split_id(call.id)
    signature = signatures.of_google(raw) or in_id or signatures.of_details(message, call.id)
    if isinstance(call, schema.CustomCall):
        name = names.of(ClientTool(CUSTOM, call.custom.name))
        arguments: Json = {INPUT: call.custom.input}
    else:
        name = call.function.name
        arguments = read_arguments(call.function.arguments, f"{path}.function.arguments")
    return ToolCall(bare, name, arguments, Signature("google", signature) if signature else None, cache=call.cache)
