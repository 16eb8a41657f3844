"""OpenAI's chat completions: requests, answers and streams, read and written.

Sources: OpenAI's API reference; for `extra_content` Google's pages on its own OpenAI endpoint; for reasoning, images
and video what other services and gateways take and give (they are no part of OpenAI's API).
"""

import json
import re
import time
import uuid
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from typing import Literal
from typing import NamedTuple

from pydantic_core import from_json

from addons.translation import media
from addons.translation import signatures
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Effort
from addons.translation.conversation import Failure
from addons.translation.conversation import Finish
from addons.translation.conversation import Format
from addons.translation.conversation import Function
from addons.translation.conversation import Google
from addons.translation.conversation import InvalidRequest
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import NativeFinish
from addons.translation.conversation import Notes
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import Thought
from addons.translation.conversation import TokenLogprob
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.conversation import Usage
from addons.translation.conversation import Written
from addons.translation.conversation import to_bytes
from addons.translation.conversation import usage_of
from addons.translation.errors import openai_error
from addons.translation.errors import read_error
from addons.translation.openai_chat_request import DETAILS
from addons.translation.openai_chat_request import EFFORTS
from addons.translation.openai_chat_request import SERVER_TOOLS
from addons.translation.openai_chat_request import AnyRequest
from addons.translation.openai_chat_request import AssistantMessage
from addons.translation.openai_chat_request import AudioPart
from addons.translation.openai_chat_request import AudioUrlPart
from addons.translation.openai_chat_request import Cached
from addons.translation.openai_chat_request import Call
from addons.translation.openai_chat_request import ChatRequest
from addons.translation.openai_chat_request import File
from addons.translation.openai_chat_request import FilePart
from addons.translation.openai_chat_request import FunctionDefinition
from addons.translation.openai_chat_request import FunctionMessage
from addons.translation.openai_chat_request import FunctionTool
from addons.translation.openai_chat_request import GoogleExtra
from addons.translation.openai_chat_request import ImagePart
from addons.translation.openai_chat_request import InputAudio
from addons.translation.openai_chat_request import InputFilePart
from addons.translation.openai_chat_request import InputImagePart
from addons.translation.openai_chat_request import InstructionMessage
from addons.translation.openai_chat_request import MediaUrl
from addons.translation.openai_chat_request import Named
from addons.translation.openai_chat_request import NamedChoice
from addons.translation.openai_chat_request import RefusalPart
from addons.translation.openai_chat_request import ServerTool
from addons.translation.openai_chat_request import TextPart
from addons.translation.openai_chat_request import ToolMessage
from addons.translation.openai_chat_request import UserMessage
from addons.translation.openai_chat_request import VideoMetadata
from addons.translation.openai_chat_request import VideoPart
from addons.translation.thinking import effort_of
from addons.translation.validation import DEEPEST
from addons.translation.validation import NO_VALUE
from addons.translation.validation import is_finite
from addons.translation.validation import validated
from metering.call import Reading
from metering.json_values import items
from metering.json_values import member
from metering.json_values import snake
from metering.json_values import text_of
from metering.usage.openai import take_usage

# Reading


def read_request(body: Json) -> Request:
    """A body, parsed from JSON. Raises InvalidRequest."""
    chat = validated(ChatRequest, body)
    request = begun(chat)
    request.names = NAMES | _spellings(chat)
    request.max_tokens = chat.max_completion_tokens or chat.max_tokens
    request.n = chat.n
    request.presence_penalty = chat.presence_penalty
    request.frequency_penalty = chat.frequency_penalty
    request.logprobs = chat.logprobs or bool(chat.top_logprobs)
    request.modalities = list(chat.modalities) if chat.modalities else None
    request.include_usage = bool(chat.stream_options and chat.stream_options.include_usage)
    if chat.audio and chat.audio.format not in (None, "pcm16"):
        request.notes.dropped.append("audio.format")
    if chat.audio and chat.audio.voice:
        request.voice = chat.audio.voice if isinstance(chat.audio.voice, str) else chat.audio.voice.id
    _read_tools(chat, request)
    _read_format(chat, request)
    request.thinking = _read_thinking(chat)
    _read_messages(chat.messages, body, request)
    return request


NAMES = {"turns": "messages", "voice": "audio", "include": "reasoning.exclude"}
"""Members of a Request -> chat's own words for them."""


def _spellings(chat: ChatRequest) -> dict[str, str]:
    """Where there are two words for one thing, those that the client said."""
    said = {"max_tokens": "max_completion_tokens"} if chat.max_completion_tokens else {}
    return said | ({} if chat.logprobs else {"logprobs": "top_logprobs"})


def begun(asked: AnyRequest) -> Request:
    """With what all requests have. Raises InvalidRequest."""
    dropped = [name for name, value in (asked.model_extra or {}).items() if value not in (None, False, [], {})]
    request = Request(
        model=asked.model,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=asked.stop or None,
        seed=asked.seed,
        top_logprobs=asked.top_logprobs,
        parallel_tool_calls=asked.parallel_tool_calls,
        service_tier=asked.service_tier,
        user=asked.user or None,
        stream=bool(asked.stream),
        project=asked.project_id,
        location=asked.region,
        notes=Notes(dropped=dropped),
    )
    request.google = _read_google(asked, request.notes)
    return request


def _read_tools(chat: ChatRequest, request: Request) -> None:
    definitions = {f"functions[{number}]": definition for number, definition in enumerate(chat.functions or [])}
    for number, tool in enumerate(chat.tools or []):
        if isinstance(tool, FunctionTool):
            definitions[f"tools[{number}].function"] = tool.function
            tool.function.cache_control = tool.function.cache_control or tool.cache_control
        else:
            request.server_tools.setdefault(server_tool(tool, f"tools[{number}]"), f"tools[{number}]")
            if (tool.model_extra or {}).get("cache_control"):
                request.notes.dropped.append(f"tools[{number}].cache_control")
    if chat.web_search_options is not None:
        request.server_tools.setdefault("googleSearch", "web_search_options")
    take_functions(request, definitions, _read_choice(chat))


def take_functions(request: Request, definitions: dict[str, FunctionDefinition], choice: ToolChoice | None) -> None:
    """Functions, by where they stand in the body, and the choice among them. Raises InvalidRequest."""
    names = {definition.name for definition in definitions.values()}
    if len(names) < len(definitions):
        raise InvalidRequest("two functions have the same name", "tools")
    for path, definition in definitions.items():
        if not is_finite(definition.parameters):
            raise InvalidRequest(NO_VALUE, f"{path}.parameters")
    for name in choice.names if choice else []:
        if name not in names:
            raise InvalidRequest(f"there is no function {name} among the tools", "tool_choice")
    request.functions = [
        Function(one.name, one.description, one.parameters, cache=one.cache) for one in definitions.values()
    ]
    request.tool_choice = choice


def server_tool(tool: ServerTool, param: str) -> str:
    """Google's name of it. Raises InvalidRequest."""
    extra = tool.model_extra or {}
    kind = extra.get("type")
    names = [kind] if isinstance(kind, str) else list(extra)
    if len(names) == 1 and names[0] in SERVER_TOOLS:
        return SERVER_TOOLS[names[0]]
    raise InvalidRequest(f"write a tool of type function, or one of {', '.join(SERVER_TOOLS)}", param)


def _read_choice(chat: ChatRequest) -> ToolChoice | None:
    choice = chat.tool_choice
    if choice is None:
        legacy = chat.function_call
        if legacy is None:
            return None
        return ToolChoice("required", [legacy.name]) if isinstance(legacy, Named) else ToolChoice(legacy)
    if not isinstance(choice, NamedChoice):
        return ToolChoice("required" if choice == "any" else choice)
    if choice.allowed_tools:
        named = (_name_of(tool) for tool in choice.allowed_tools.tools)
        return ToolChoice(choice.allowed_tools.mode, [name for name in named if name])
    name = choice.function.name if choice.function else choice.name
    if not name:
        raise InvalidRequest('name the function: {"type": "function", "function": {"name": ...}}', "tool_choice")
    return ToolChoice("required", [name])


def _name_of(tool: Json) -> str | None:
    function = tool.get("function")
    name = function.get("name") if isinstance(function, dict) else tool.get("name")
    return name if isinstance(name, str) else None


def _read_format(chat: ChatRequest, request: Request) -> None:
    if wanted := chat.response_format:
        schema = wanted.json_schema.schema_ if wanted.json_schema else None
        request.format = format_of(wanted.type, schema, "response_format", "response_format.json_schema.schema")


def format_of(kind: str, schema: Json | None, param: str, schema_param: str) -> Format | None:
    """None for text. Raises InvalidRequest."""
    if kind == "text":
        return None
    if kind == "json_object":
        return Format(param=param)
    if schema is None:
        raise InvalidRequest("there is no schema", schema_param)
    if not is_finite(schema):
        raise InvalidRequest(NO_VALUE, schema_param)
    return Format(schema, param)


def _read_thinking(chat: ChatRequest) -> Thinking | None:
    """The many spellings of how much to think; Google's own is read with the rest of `google`."""
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


def read_effort(text: str, param: str) -> Effort:
    """Raises InvalidRequest."""
    try:
        return EFFORTS[text.lower()]
    except KeyError:
        raise InvalidRequest(f"{param}: write one of {', '.join(EFFORTS)}", param) from None


_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")


def _read_google(asked: AnyRequest, notes: Notes) -> Google | None:
    names: dict[str, str] = {}
    google = Google(names=names)
    sources = {"extra_body.google": asked.extra_body and asked.extra_body.google, "google": asked.google}
    for path, extra in sources.items():
        if extra is None:
            continue
        written = extra.model_dump(by_alias=True, exclude_none=True, include=set(GoogleExtra.model_fields))
        names |= {name: f"{path}.{snake(name)}" for name in written}
        for name in ("thinkingConfig", "imageConfig", "audioTimestamp"):
            if name in written:
                google.generation_config[name] = written.pop(name)
        google.request |= written
        notes.dropped += [f"{path}.{name}" for name in extra.model_extra or {}]
    if asked.safety_settings is not None:
        names["safetySettings"] = "safety_settings"
        google.request["safetySettings"] = [
            setting.model_dump(by_alias=True, exclude_none=True) for setting in asked.safety_settings
        ]
    if asked.cached_content is not None:
        names["cachedContent"] = "cached_content"
        google.request["cachedContent"] = asked.cached_content
    if asked.labels is not None:
        names["labels"] = "labels"
        google.request["labels"] = asked.labels
    labels = google.request.get("labels")
    for key, value in labels.items() if isinstance(labels, dict) else ():
        if not _LABEL.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise InvalidRequest("labels are lower-case letters, digits, - and _, at most 63", "labels")
    return google if google.request or google.generation_config else None


_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")


def redirected(body: bytes, model: str, without: set[str]) -> bytes:
    """A body (a JSON object) with another model and without some members; all other bytes are as they were. Raises
    InvalidRequest."""
    try:
        text = body.decode()
        spans = list(_members(text))
    except (ValueError, IndexError, RecursionError):
        raise InvalidRequest("the body is not a JSON object") from None
    written = ""
    begin = 0
    """Of what has not been written yet."""
    for number, span in enumerate(spans):
        if span.name in without:
            # With the comma behind it, or, of the last one, with that before it.
            is_last = number == len(spans) - 1
            written += text[begin : span.start]
            written = written.rstrip(" \t\r\n").removesuffix(",") if is_last else written
            begin = span.end if is_last else spans[number + 1].start
        elif span.name == "model" and _DECODER.decode(text[span.value : span.end]) != model:
            written += text[begin : span.value] + json.dumps(model)
            begin = span.end
    return (written + text[begin:]).encode()


class _Span(NamedTuple):
    name: str
    start: int
    value: int
    end: int


def _members(text: str) -> Iterator[_Span]:
    """The members of an object at the top, and where they stand."""
    place = _expected(text, "{", _space(text, 0))
    while text[place] != "}":
        start = place
        name, place = _DECODER.raw_decode(text, place)
        value = _expected(text, ":", _space(text, place))
        _, end = _DECODER.raw_decode(text, value)
        yield _Span(str(name), start, value, end)
        place = _space(text, end)
        if text[place] != "}":
            place = _expected(text, ",", place)


def _expected(text: str, sign: str, place: int) -> int:
    """Where the next token is, behind a sign that must be here."""
    if text[place] != sign:
        raise ValueError
    return _space(text, place + 1)


def _space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    assert match
    return match.end()


# Messages


def _read_messages(messages: list[Any], body: Json, request: Request) -> None:
    """Turns that alternate; instructions go together wherever they stand, as Gemini and Claude know one place."""
    waiting = _Waiting([])
    raw = body["messages"]
    assert isinstance(raw, list)
    for number, message in enumerate(messages):
        path = f"messages[{number}]"
        if isinstance(message, ToolMessage | FunctionMessage):
            waiting.take(message, path, request.notes)
            continue
        waiting.settle(request.turns, path)
        if isinstance(message, InstructionMessage):
            request.system += read_instructions(message, path, request.notes)
        elif isinstance(message, UserMessage):
            add_parts(request.turns, "user", read_content(message, path, request.notes))
        else:
            parts = _assistant_parts(message, raw[number], path, request.notes)
            waiting = _Waiting([part for part in parts if isinstance(part, ToolCall)])
            add_parts(request.turns, "assistant", parts)
    waiting.settle(request.turns, f"messages[{len(messages) - 1}]")
    if not request.turns and not request.system:
        raise InvalidRequest("there is nothing in the messages", "messages")


class _Waiting:
    """The calls of an assistant's turn, which wait for their results. Each gets one, and together they are a turn,
    in the order of the calls."""

    def __init__(self, calls: list[ToolCall]) -> None:
        # A function that is called without an id (as OpenAI had it before tools) goes by its name.
        self._calls = {call.id or call.name: call for call in calls}
        self._results: dict[str, ToolResult] = {}

    def take(self, message: ToolMessage | FunctionMessage, path: str, notes: Notes) -> None:
        if isinstance(message, ToolMessage):
            key, param = signatures.split_id(message.tool_call_id)[0], f"{path}.tool_call_id"
        else:
            key, param = message.name, f"{path}.name"
        call = self._calls.get(key)
        if call is None or (call.id is None) != isinstance(message, FunctionMessage):
            raise InvalidRequest("the assistant message before it has no such call", param)
        if key in self._results:
            raise InvalidRequest("there is a result of this call already", param)
        parts = read_parts(message.content, f"{path}.content", notes) if message.content is not None else []
        self._results[key] = tool_result(call, parts, message)

    def settle(self, turns: list[Turn], path: str) -> None:
        if len(self._results) < len(self._calls):
            raise InvalidRequest(
                "an assistant message with tool_calls must be followed by a tool message for each of them", path
            )
        if self._results:
            turns.append(Turn("user", [self._results[key] for key in self._calls]))
        self._calls, self._results = {}, {}


def tool_result(call: ToolCall, parts: list[Part], told: Cached) -> ToolResult:
    """`told` is what tells it. It is remembered as a whole, wherever in it that is asked for."""
    text = "".join(part.text for part in parts if isinstance(part, Text))
    caches = [part.cache for part in parts if isinstance(part, Text | Media) and part.cache]
    media = [replace(part, cache=None) for part in parts if isinstance(part, Media)]
    return ToolResult(call.id, call.name, _output(text), media, cache=told.cache or (caches[-1] if caches else None))


def add_parts(turns: list[Turn], role: Literal["user", "assistant"], parts: list[Part]) -> None:
    if not parts:
        return
    if turns and turns[-1].role == role:
        turns[-1].parts += parts
    else:
        turns.append(Turn(role, parts))


def _output(text: str) -> object:
    """JSON objects as such, anything else as the text it is."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        output = from_json(text, allow_inf_nan=False)
    except ValueError:
        return text
    return output if is_finite(output) else text


def read_instructions(message: Any, path: str, notes: Notes) -> list[Text]:
    """Raises InvalidRequest."""
    parts = read_content(message, path, notes)
    if not all(isinstance(part, Text) for part in parts):
        raise InvalidRequest("instructions are text", f"{path}.content")
    return [part for part in parts if isinstance(part, Text)]


def _assistant_parts(message: AssistantMessage, raw: object, path: str, notes: Notes) -> list[Part]:
    parts = read_parts(message.content, f"{path}.content", notes) if message.content is not None else []
    if message.refusal:
        parts.append(Text(message.refusal))
    if signature := signatures.of_google(raw):
        texts = [part for part in parts if isinstance(part, Text)]
        if not texts:
            parts.append(Text(""))
            texts = parts[-1:]  # type: ignore[assignment]
        texts[-1].signature = Signature("google", signature)
    raw_calls = raw.get("tool_calls") if isinstance(raw, dict) else None
    for number, call in enumerate(message.tool_calls or []):
        raw_call = raw_calls[number] if isinstance(raw_calls, list) else None
        parts.append(_tool_call(call, raw_call, raw, f"{path}.tool_calls[{number}]"))
    if message.function_call and not message.tool_calls:
        function = message.function_call
        arguments = parsed_arguments(function.arguments, f"{path}.function_call.arguments")
        parts.append(ToolCall(None, function.name, arguments))
    remember(parts, message, path, notes)
    ids = [part.id for part in parts if isinstance(part, ToolCall)]
    if len(set(ids)) < len(ids):
        raise InvalidRequest("two calls have the same id", f"{path}.tool_calls")
    # Thoughts of nothing else are of no use.
    return [*signatures.of_anthropic(raw), *parts] if parts else []


def _tool_call(call: Call, raw: object, message: object, path: str) -> ToolCall:
    if not call.id:
        raise InvalidRequest("a call needs an id", f"{path}.id")
    bare, in_id = signatures.split_id(call.id)
    signature = signatures.of_google(raw) or in_id or signatures.of_details(message, call.id)
    return ToolCall(
        bare,
        call.function.name,
        parsed_arguments(call.function.arguments, f"{path}.function.arguments"),
        Signature("google", signature) if signature else None,
        cache=call.cache,
    )


def parsed_arguments(text: str, param: str) -> Json:
    """Raises InvalidRequest."""
    try:
        arguments = from_json(text, allow_inf_nan=False) if text.strip() else {}
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict) or not is_finite(arguments):
        raise InvalidRequest(f"the arguments of a call are a JSON object, at most {DEEPEST} levels deep", param)
    return arguments


def read_content(message: Any, path: str, notes: Notes) -> list[Part]:
    """The parts of a message that has nothing else. Raises InvalidRequest."""
    parts = read_parts(message.content, f"{path}.content", notes)
    remember(parts, message, path, notes)
    return parts


def remember(parts: Sequence[Part], told: Cached, path: str, notes: Notes) -> None:
    """Where a message is to be remembered, so is its last part."""
    if not told.cache:
        return
    if parts and not isinstance(parts[-1], Thought):
        parts[-1].cache = parts[-1].cache or told.cache
    else:
        notes.dropped.append(f"{path}.cache_control")


def read_parts(content: Any, path: str, notes: Notes) -> list[Part]:
    """Raises InvalidRequest."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    parts: list[Part] = []
    for number, said in enumerate(content):
        part = _part(said, f"{path}[{number}]", notes)
        parts += [part] if part else []
        remember([part] if part else [], said, f"{path}[{number}]", notes)
    return parts


def _part(part: Any, path: str, notes: Notes) -> Part | None:
    match part:
        case TextPart():
            return Text(part.text) if part.text else None
        case RefusalPart():
            return Text(part.refusal) if part.refusal else None
        case ImagePart():
            return _linked_media(part.image_url, f"{path}.image_url", notes, default="image/jpeg")
        case VideoPart():
            linked = _linked_media(part.video_url, f"{path}.video_url", notes)
            linked.clip = _clip(part.video_metadata) or linked.clip
            return linked
        case AudioUrlPart():
            linked = _linked_media(part.audio_url, f"{path}.audio_url", notes)
            # Some formats of sound are also of video.
            linked.mime_type = linked.mime_type.replace("video/", "audio/")
            return linked
        case AudioPart():
            return _audio(part.input_audio, f"{path}.input_audio")
        case FilePart():
            return _file_media(part.file, f"{path}.file")
        case InputImagePart(image_url=str(url)):
            link = MediaUrl(url=url, detail=part.detail)
            return _linked_media(link, f"{path}.image_url", notes, default="image/jpeg", param=f"{path}.image_url")
        case InputImagePart():
            raise InvalidRequest("no files are stored here: give image_url", f"{path}.file_id")
        case InputFilePart():
            return _file_media(part, path)
    raise AssertionError(part)


def _linked_media(
    link: MediaUrl, path: str, notes: Notes, default: str | None = None, param: str | None = None
) -> Media:
    param = param or f"{path}.url"
    said = _said(link.mime_type or link.format, path)
    linked = media.from_url(link.url, said, param)
    if linked is None:
        linked = Media("", uri=link.url)
    if not linked.mime_type:
        if default is None:
            raise InvalidRequest("its type cannot be told; say it in `mime_type`", param)
        linked.mime_type = default
        notes.assumed.append(f"{path}={default}")
    linked.detail = DETAILS.get(link.detail, link.detail) if link.detail else None
    linked.clip = _clip(link.video_metadata)
    return linked


def _said(text: str | None, path: str) -> str | None:
    if text is None:
        return None
    if mime_type := media.mime_type_of(text):
        return mime_type
    raise InvalidRequest("this is no media type; write one such as image/png", path)


def _clip(clip: VideoMetadata | None) -> Json | None:
    return clip.model_dump(by_alias=True, exclude_none=True) or None if clip else None


def _audio(audio: InputAudio, path: str) -> Media:
    mime_type = media.mime_type_of(audio.format, media.AUDIO_TYPES)
    if not mime_type or not mime_type.startswith("audio/"):
        raise InvalidRequest("this is no audio format; write one such as wav or mp3", f"{path}.format")
    if audio.data.startswith("data:"):
        read = media.from_url(audio.data, mime_type, f"{path}.data")
        assert read
        return read
    return Media(mime_type, data=media.base64_of(audio.data, f"{path}.data"))


def _file_media(file: File, path: str) -> Media:
    said = _said(file.mime_type or file.format, path)
    by_name = media.type_by_name(file.filename) if file.filename else None
    if file.file_data is not None:
        param = f"{path}.file_data"
        if file.file_data.startswith("data:"):
            read = media.from_url(file.file_data, said, param)
            assert read
            read.mime_type = read.mime_type or by_name or "application/pdf"
            return read
        return Media(said or by_name or "application/pdf", data=media.base64_of(file.file_data, param))
    param = f"{path}.file_url" if file.file_url else f"{path}.file_id"
    url = file.file_url or file.file_id
    if not url or "://" not in url:
        raise InvalidRequest("no files are stored here: give file_data, or a gs:// or https:// URL as file_url", param)
    linked = media.from_url(url, said or by_name, param)
    if linked is None:
        raise InvalidRequest("its type cannot be told; say it in `mime_type`", param)
    return linked


# Requests, for a service


_REASONS = re.compile(r"(?:.*/)?(?:o\d|gpt-[5-9])(?![a-z\d])")
"""OpenAI's models that refuse `max_tokens`. All others, and other services' models, take that name."""
_DOES_NOT_REASON = re.compile(r"(?:.*/)?(?:gpt-3\.5|gpt-4|chatgpt-)")
"""OpenAI's models that refuse `reasoning_effort`."""
SAMPLING = (
    "temperature",
    "top_p",
    "stop",
    "n",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "service_tier",
    "user",
)
"""Neutral names that are OpenAI's."""
MOST_STOPS = 4
AUDIO_FORMATS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
}
DETAIL_WORDS = {"low": "low", "medium": "auto", "high": "high", "ultra_high": "high"}


def write_request(request: Request) -> Written:
    """The body of a chat completion, for any service that speaks this. Raises InvalidRequest for what it has no way
    to do."""
    notes = Notes([*request.notes.dropped], [*request.notes.assumed])
    messages = _Messages(request, notes).written
    if not messages:
        raise InvalidRequest("there is nothing in it that this service reads", request.named("turns", "messages"))
    body: Json = {"model": request.model, "messages": messages}
    body |= {name: value for name in SAMPLING if (value := getattr(request, name)) is not None}
    if request.stop and len(request.stop) > MOST_STOPS:
        raise InvalidRequest(f"give {MOST_STOPS} stop sequences at most", request.named("stop"))
    if request.max_tokens is not None:
        body["max_completion_tokens" if _REASONS.match(request.model) else "max_tokens"] = request.max_tokens
    if request.top_k is not None:
        notes.dropped.append(request.named("top_k"))
    if request.logprobs:
        body["logprobs"] = True
        if request.top_logprobs is not None:
            body["top_logprobs"] = request.top_logprobs
    if set(request.modalities or ()) - {"text"}:
        notes.dropped.append(request.named("modalities"))
    if request.voice:
        notes.dropped.append(request.named("voice"))
    body |= _written_tools(request, notes)
    if request.format:
        body["response_format"] = {"type": "json_object"}
        if request.format.schema is not None:
            schema: Json = {"name": "answer", "schema": request.format.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.thinking:
        body |= _written_thinking(request, request.thinking, notes)
    if request.stream:
        # Whoever asks: the ledger needs it.
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if request.google:
        notes.dropped += request.google.paths()
    if request.caches():
        # OpenAI remembers unasked, and refuses to be asked.
        notes.dropped.append("cache_control")
    notes.dropped = list(dict.fromkeys(notes.dropped))
    return Written(body, {}, notes)


def _written_tools(request: Request, notes: Notes) -> Json:
    written: Json = {}
    if request.functions:
        written["tools"] = [_definition(function) for function in request.functions]
        if choice := request.tool_choice:
            written["tool_choice"] = _written_choice(choice)
        if request.parallel_tool_calls is not None:
            # OpenAI refuses it alone.
            written["parallel_tool_calls"] = request.parallel_tool_calls
    for name, param in request.server_tools.items():
        if name == "googleSearch":
            written["web_search_options"] = {}
        else:
            notes.dropped.append(param)
    return written


def _definition(function: Function) -> Json:
    members = {"name": function.name, "description": function.description, "parameters": function.parameters}
    return {"type": "function", "function": {name: value for name, value in members.items() if value is not None}}


def _written_choice(choice: ToolChoice) -> object:
    if not choice.names or choice.mode == "none":
        return choice.mode
    named = [{"type": "function", "function": {"name": name}} for name in choice.names]
    if choice.mode == "required" and len(named) == 1:
        return named[0]
    return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": named}}


def _written_thinking(request: Request, thinking: Thinking, notes: Notes) -> Json:
    effort = thinking.effort or effort_of(thinking.budget)
    if thinking.include is not None:
        notes.dropped.append(request.named("include", thinking.param))
    if effort is None or not _DOES_NOT_REASON.match(request.model):
        return {"reasoning_effort": effort} if effort else {}
    if effort != "none":
        notes.dropped.append(thinking.param)
    return {}


class _Messages:
    """The messages of a request. Calls that have no id get one, always the same in the same conversation."""

    def __init__(self, request: Request, notes: Notes) -> None:
        self._request = request
        self._notes = notes
        self._path = request.named("turns", "messages")
        self._signs = "gemini" in request.model
        """Whether the model wants its signatures back: Gemini, behind Google's own OpenAI endpoint or a gateway."""
        self._ids = {part.id for turn in request.turns for part in turn.parts if isinstance(part, ToolCall)}
        self._made = 0
        self._waiting: list[tuple[ToolCall, str]] = []
        """The calls of the last turn, and their ids."""
        self.written: list[Json] = []
        if request.system:
            self.written.append({"role": "system", "content": self._content(request.system)})
        for turn in request.turns:
            if turn.role == "assistant":
                self._assistant(turn.parts)
            else:
                self._user(turn.parts)

    def _assistant(self, parts: list[Part]) -> None:
        text = ""
        signature: Json = {}
        self._waiting = []
        for part in parts:
            if isinstance(part, Text):
                text += part.text
                signature = self._signature(part.signature) or signature
            elif isinstance(part, ToolCall):
                self._waiting.append((part, self._id(part)))
            elif isinstance(part, Media):
                self._notes.dropped.append(self._request.named("media"))
        # One text: not every service takes parts of an assistant.
        message: Json = {"role": "assistant", "content": text or ("" if signature else None)}
        if self._waiting:
            message["tool_calls"] = [self._call(call, id) for call, id in self._waiting]
        if text or signature or self._waiting:
            self.written.append(message | signature)

    def _user(self, parts: list[Part]) -> None:
        rest: list[Part] = []
        for part in parts:
            if isinstance(part, ToolResult):
                self.written.append({"role": "tool", "tool_call_id": self._called(part), "content": _as_text(part)})
                rest += part.media
        rest += [part for part in parts if isinstance(part, Media) or (isinstance(part, Text) and part.text)]
        if rest:
            self.written.append({"role": "user", "content": self._content(rest)})

    def _id(self, call: ToolCall) -> str:
        if call.id and call.id not in [id for _, id in self._waiting]:
            return call.id
        while (made := f"call_{self._made}") in self._ids:
            self._made += 1
        self._made += 1
        return made

    def _called(self, result: ToolResult) -> str:
        """The id of the call that a result belongs to."""
        by_id = [one for one in self._waiting if result.id and one[0].id == result.id]
        by_name = [one for one in self._waiting if one[0].name == result.name]
        if not by_id and not by_name:
            raise InvalidRequest("there is a result of a call that was not made", self._path)
        found = (by_id or by_name)[0]
        self._waiting.remove(found)
        return found[1]

    def _call(self, call: ToolCall, id: str) -> Json:
        function = {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}
        return {"id": id, "type": "function", "function": function} | self._signature(call.signature)

    def _signature(self, signature: Signature | None) -> Json:
        value = _google(signature) if self._signs else None
        return {"extra_content": _extra_content(value)} if value else {}

    def _content(self, parts: Sequence[Part]) -> object:
        if len(parts) == 1 and isinstance(parts[0], Text):
            return parts[0].text
        return [
            {"type": "text", "text": part.text} if isinstance(part, Text) else self._medium(part)
            for part in parts
            if isinstance(part, Text | Media)
        ]

    def _medium(self, medium: Media) -> Json:
        kind = medium.mime_type.partition("/")[0]
        if medium.uri is not None and not (kind in ("image", "video") and medium.uri.startswith(("http:", "https:"))):
            what = f"a file of type {medium.mime_type}" if medium.uri.startswith("http") else "a URL such as gs://"
            raise InvalidRequest(
                f"this service cannot read {what}: send it inline, or an image by an https:// URL", self._path
            )
        if medium.clip:
            self._notes.dropped.append(self._request.named("clip", "video_metadata"))
        if kind == "image":
            detail: Json = {"detail": DETAIL_WORDS[medium.detail]} if medium.detail else {}
            return {"type": "image_url", "image_url": {"url": _url(medium)} | detail}
        if kind == "video":
            return {"type": "video_url", "video_url": {"url": _url(medium)}}
        if kind == "audio":
            if not (format := AUDIO_FORMATS.get(medium.mime_type.partition(";")[0])):
                raise InvalidRequest("this service hears audio/wav and audio/mp3 only", self._path)
            return {"type": "input_audio", "input_audio": {"data": medium.data, "format": format}}
        extensions = [name for name, mime_type in media.MIME_TYPES.items() if mime_type == medium.mime_type]
        filename = f"file.{extensions[0] if extensions else 'bin'}"
        return {"type": "file", "file": {"filename": filename, "file_data": _url(medium)}}


def _as_text(result: ToolResult) -> str:
    return result.output if isinstance(result.output, str) else json.dumps(result.output, ensure_ascii=False)


# Answers, as services give them

FINISH_REASONS = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "tool_calls": Finish.TOOL_CALLS,
    "function_call": Finish.TOOL_CALLS,
    "content_filter": Finish.CONTENT_FILTER,
}
"""Reasons that are not here: stop if there is content, content_filter if there is none."""


class AnswerReader:
    """Reads a chat.completion, or the many chunks of one, each into an `Answer` of what is new.

    A call comes in fragments, which services may mix: calls are given, whole, with the reason why their choice
    ended.
    """

    def __init__(self, candidates: int = 1) -> None:
        """`candidates` is how many were asked for."""
        self._wanted = candidates
        self.failure: Failure | None = None
        """The error that came instead of, or inside, the answer."""
        self._choices: dict[int, _ReadChoice] = {}

    @property
    def finished(self) -> bool:
        """Whether every choice has come to an end."""
        finished = sum(choice.finished for choice in self._choices.values())
        return finished == len(self._choices) and finished >= self._wanted

    def read(self, document: object) -> Answer:
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
        take_usage(reading, member(document, "usage"))
        answer.usage = usage_of(reading)
        for position, choice in enumerate(items(member(document, "choices"))):
            index = member(choice, "index")
            index = index if isinstance(index, int) and not isinstance(index, bool) and index >= 0 else position
            answer.choices.append(self._choices.setdefault(index, _ReadChoice()).read(index, choice))
        return answer


class _Fragments:
    """A call, as far as it has come."""

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

    def call(self) -> ToolCall | None:
        """None if it is none: without a name, or with arguments that are no object."""
        try:
            arguments = parsed_arguments(self.arguments, "")
        except InvalidRequest:
            return None
        bare, in_id = signatures.split_id(self.id) if self.id else (None, None)
        signature = self.signature or in_id
        signed = Signature("google", signature) if signature else None
        return ToolCall(bare, self.name, arguments, signed) if self.name else None


class _ReadChoice:
    """What must be remembered of a choice over a stream."""

    def __init__(self) -> None:
        self.finished = False
        self._calls: list[_Fragments] = []
        self._spoke = False

    def read(self, index: int, raw: object) -> Choice:
        whole = member(raw, "message")
        message = whole if isinstance(whole, dict) else member(raw, "delta")
        choice = Choice(index, _read_message(message), refusal=text_of(member(message, "refusal")))
        self._spoke = self._spoke or bool(choice.parts)
        for annotation in items(member(message, "annotations")):
            choice.citations += _citation(member(annotation, "url_citation"))
        choice.logprobs = _read_logprobs(member(member(raw, "logprobs"), "content"))
        for fragment in items(member(message, "tool_calls")):
            self._add(fragment)
        if isinstance(legacy := member(message, "function_call"), dict):
            self._add({"index": 0, "function": legacy})
        reason = text_of(member(raw, "finish_reason"))
        if reason or isinstance(whole, dict):
            self._finish(choice, reason)
        return choice

    def _add(self, fragment: object) -> None:
        """Some services count all calls as the first: another id with another name is another call."""
        index, id = member(fragment, "index"), member(fragment, "id")
        own = [call for call in self._calls if call.index == index and index is not None]
        is_new = id and own and own[-1].id not in (None, id) and member(member(fragment, "function"), "name")
        if not own or is_new:
            own = [_Fragments(index)]
            self._calls += own
        own[-1].add(fragment)

    def _finish(self, choice: Choice, reason: str | None) -> None:
        calls = [made.call() for made in self._calls]
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
                choice.native, choice.broken_call = None, True
        choice.finish = finish


def _read_message(message: object) -> list[Part]:
    """Of a message, or of a delta: all but its calls."""
    thoughts = text_of(member(message, "reasoning_content")) or text_of(member(message, "reasoning"))
    parts: list[Part] = [Thought(thoughts)] if thoughts else []
    content = member(message, "content")
    for part in [{"type": "text", "text": content}] if isinstance(content, str) else items(content):
        if text := text_of(member(part, "text")):
            parts.append(Text(text))
        # Mistral's.
        parts += [Thought(text) for one in items(member(part, "thinking")) if (text := text_of(member(one, "text")))]
    for image in items(member(message, "images")):
        parts += _picture(member(image, "image_url"))
    if data := text_of(member(member(message, "audio"), "data")):
        parts.append(Media("audio/wav", data=data))
    if signature := signatures.of_google(message):
        if not any(isinstance(part, Text) for part in parts):
            parts.append(Text(""))
        [part for part in parts if isinstance(part, Text)][-1].signature = Signature("google", signature)
    return parts


_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)[^,]{0,99};base64,")


def _picture(image: object) -> list[Part]:
    url = text_of(member(image, "url")) or text_of(image) or ""
    if match := _DATA_URL.match(url):
        return [Media(match[1], data=url[match.end() :])]
    is_link = url.startswith(("http://", "https://"))
    return [Media(media.type_by_name(url.partition("?")[0]) or "image/png", uri=url)] if is_link else []


def _citation(cited: object) -> list[Citation]:
    start, end, url = member(cited, "start_index"), member(cited, "end_index"), text_of(member(cited, "url"))
    start, end = (value if isinstance(value, int) and value >= 0 else 0 for value in (start, end))
    return [Citation(start, end, url, text_of(member(cited, "title")) or "")] if url and start <= end else []


def _read_logprobs(tokens: object) -> list[TokenLogprob] | None:
    return [_read_token(token) for token in tokens] if isinstance(tokens, list) else None


def _read_token(token: object) -> TokenLogprob:
    logprob = member(token, "logprob")
    return TokenLogprob(
        text_of(member(token, "token")) or "",
        max(float(logprob), LEAST_LOGPROB) if isinstance(logprob, int | float) and abs(logprob) < 1e9 else 0.0,
        [_read_token(top) for top in items(member(token, "top_logprobs"))],
    )


# Answers, for clients


def write_answer(answer: Answer, model: str) -> Json:
    """A chat.completion. `model` is what the client asked for, where the answer does not say what it got."""
    choices = answer.choices or [Choice(0)]
    completion: Json = {
        "id": _completion_id(answer),
        "object": "chat.completion",
        "created": answer.created if answer.created is not None else int(time.time()),
        "model": answer.model or model,
        "choices": [_choice(choice) for choice in choices],
    }
    if answer.usage:
        completion["usage"] = _usage(answer.usage)
    if answer.service_tier:
        completion["service_tier"] = answer.service_tier
    return completion


def _completion_id(answer: Answer) -> str:
    return f"chatcmpl-{answer.id or uuid.uuid4().hex}"


def _choice(choice: Choice) -> Json:
    text = "".join(part.text for part in choice.parts if isinstance(part, Text))
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    empty = calls or choice.refusal or any(isinstance(part, Media) for part in choice.parts)
    message: Json = {"role": "assistant", "content": text or (None if empty else ""), "refusal": choice.refusal}
    if calls:
        message["tool_calls"] = [_written_call(call) for call in calls]
    message |= _beside_text(choice.parts, images=0)
    if choice.citations:
        message["annotations"] = _annotations(choice)
    return {
        "index": choice.index,
        "message": message,
        "logprobs": _logprobs(choice.logprobs),
        "finish_reason": _finish_reason(choice) or (Finish.TOOL_CALLS if calls else Finish.STOP),
    }


def _finish_reason(choice: Choice) -> str | None:
    return choice.native.reason if choice.native and choice.native.issuer == "openai" else choice.finish


def _beside_text(parts: Iterable[Part], images: int) -> Json:
    """Members of a message, or of a delta, for which OpenAI has no place or another one. `images` are those that
    were before."""
    beside: Json = {}
    if thoughts := "".join(part.text for part in parts if isinstance(part, Thought)):
        beside["reasoning_content"] = thoughts
    pictures = [part for part in parts if isinstance(part, Media) and not part.mime_type.startswith("audio/")]
    if pictures:
        beside["images"] = [
            {"type": "image_url", "index": number, "image_url": {"url": _url(picture)}}
            for number, picture in enumerate(pictures, images)
        ]
    for part in parts:
        if isinstance(part, Media) and part.data and part.mime_type.startswith("audio/"):
            expires = int(time.time()) + 3600
            beside["audio"] = {
                "id": f"audio_{uuid.uuid4().hex}",
                "data": part.data,
                "expires_at": expires,
                "transcript": "",
            }
        if isinstance(part, Text | Thought | Media) and (signature := _google(part.signature)):
            beside["extra_content"] = _extra_content(signature)
    if blocks := [block for part in parts if (block := signatures.thinking_block(part))]:
        beside["thinking_blocks"] = blocks
    return beside


def _url(picture: Media) -> str:
    return picture.uri if picture.uri is not None else f"data:{picture.mime_type};base64,{picture.data}"


def _google(signature: Signature | None) -> str | None:
    return signature.value if signature and signature.issuer == "google" else None


def _extra_content(signature: str) -> Json:
    return {"google": {"thought_signature": signature}}


def call_id(call: ToolCall) -> str:
    """With the signature behind it."""
    id = call.id or f"call_{uuid.uuid4().hex[:24]}"
    return signatures.with_signature(id, _google(call.signature))


def _written_call(call: ToolCall) -> Json:
    written: Json = {
        "id": call_id(call),
        "type": "function",
        "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
    }
    if signature := _google(call.signature):
        written["extra_content"] = _extra_content(signature)
    return written


def _annotations(choice: Choice) -> list[Json]:
    return [
        {
            "type": "url_citation",
            "url_citation": {"start_index": start, "end_index": end, "url": url, "title": title},
        }
        for start, end, url, title in choice.citations
    ]


def _logprobs(tokens: list[TokenLogprob] | None) -> Json | None:
    if tokens is None:
        return None
    return {
        "content": written_tokens(tokens),
        "refusal": None,
    }


def written_tokens(tokens: list[TokenLogprob]) -> list[Json]:
    return [_token(token) | {"top_logprobs": [_token(top) for top in token.top]} for token in tokens]


LEAST_LOGPROB = -9999.0
"""What OpenAI writes for a token that is next to impossible."""


def _token(token: TokenLogprob) -> Json:
    return {
        "token": token.token,
        "logprob": max(token.logprob, LEAST_LOGPROB),
        "bytes": list(token.token.encode("utf-8", "replace")),
    }


MODALITIES = {"text": "text", "document": "text", "image": "image", "audio": "audio", "video": "video"}
"""Modalities, as the ledger has them -> what OpenAI calls the tokens of one."""


def _usage(usage: Usage) -> Json:
    """Adds up: prompt_tokens and completion_tokens are all there is."""
    prompt, completion = usage.input or 0, usage.output or 0
    written: Json = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    inputs = _modalities(usage.input_by_modality)
    outputs = _modalities(usage.output_by_modality)
    if usage.cached is not None or inputs:
        written["prompt_tokens_details"] = {"cached_tokens": usage.cached or 0} | inputs
    if usage.thoughts is not None or outputs:
        written["completion_tokens_details"] = {"reasoning_tokens": usage.thoughts or 0} | outputs
    return written


def _modalities(counts: dict[str, int]) -> Json:
    sums: dict[str, int] = {}
    for modality, count in counts.items():
        if name := MODALITIES.get(modality):
            sums[f"{name}_tokens"] = sums.get(f"{name}_tokens", 0) + count
    return {**sums}


class StreamWriter:
    """Writes the pieces of an answer as chunks of a chat.completion.

    A choice ends when the stream does: what came last may still tell why (`end`). A stream that breaks ends with
    an error and without `[DONE]` (`fail`); nothing is said twice.
    """

    def __init__(self, model: str, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._head: Json = {
            "id": "",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        self._choices: dict[int, _WrittenChoice] = {}
        self._usage: Usage | None = None
        self._over = False
        self.failed = False
        """Whether it has ended with an error."""

    def write(self, answer: Answer) -> bytes:
        if self._over:
            return b""
        if not self._head["id"] and (answer.id or answer.choices):
            self._head["id"] = _completion_id(answer)
            self._head["model"] = answer.model or self._head["model"]
            if answer.created is not None:
                self._head["created"] = answer.created
        self._usage = answer.usage or self._usage
        if answer.service_tier:
            self._head["service_tier"] = answer.service_tier
        return b"".join(chunk for choice in answer.choices for chunk in self._choice(choice))

    def end(self) -> bytes:
        """All has come."""
        if self._over:
            return b""
        if not self._choices or not all(choice.finish for choice in self._choices.values()):
            return self.fail(Failure(502, "The upstream ended its answer before its end.", "UNAVAILABLE"))
        self._over = True
        chunks = [
            self._chunk([{"index": index, "delta": {}, "logprobs": None, "finish_reason": choice.finish}])
            for index, choice in self._choices.items()
        ]
        if self._include_usage:
            usage = _usage(self._usage) if self._usage else None
            chunks.append(_event(self._head | {"choices": [], "usage": usage}))
        return b"".join(chunks) + b"data: [DONE]\n\n"

    def fail(self, failure: Failure) -> bytes:
        """The answer breaks off."""
        if self._over:
            return b""
        self._over = self.failed = True
        return _event(openai_error(failure))

    def _choice(self, choice: Choice) -> Iterator[bytes]:
        written = self._choices.get(choice.index)
        if written is None:
            written = self._choices[choice.index] = _WrittenChoice()
            yield self._chunk([self._delta(choice.index, {"role": "assistant", "content": ""})])
        for delta in written.deltas(choice):
            yield self._chunk([self._delta(choice.index, delta)])
        if choice.logprobs:
            logprobs = _logprobs(choice.logprobs)
            yield self._chunk([self._delta(choice.index, {}) | {"logprobs": logprobs}])
        written.finish = _finish_reason(choice) or written.finish

    def _delta(self, index: int, delta: Json) -> Json:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}

    def _chunk(self, choices: list[Json]) -> bytes:
        return _event(self._head | {"choices": choices} | ({"usage": None} if self._include_usage else {}))


class _WrittenChoice:
    def __init__(self) -> None:
        self.finish: str | None = None
        self._calls = 0
        self._images = 0
        self._thought = ""
        """What was thought since the last signature, which is of all of it."""

    def deltas(self, choice: Choice) -> Iterator[Json]:
        for part in choice.parts:
            delta: Json = {}
            if isinstance(part, ToolCall):
                delta["tool_calls"] = [{"index": self._calls} | _written_call(part)]
                self._calls += 1
            elif isinstance(part, Text) and part.text:
                delta["content"] = part.text
            delta |= _beside_text([part], self._images)
            if isinstance(part, Thought):
                self._thought += part.text
                if "thinking_blocks" in delta:
                    delta["thinking_blocks"] = [signatures.thinking_block(Thought(self._thought, part.signature))]
                    self._thought = ""
            self._images += len(delta.get("images", ()))  # type: ignore[arg-type]
            if delta:
                yield delta
        if choice.refusal:
            yield {"refusal": choice.refusal}
        if choice.citations:
            yield {"annotations": _annotations(choice)}


def _event(data: Json) -> bytes:
    return b"data: " + to_bytes(data) + b"\n\n"
