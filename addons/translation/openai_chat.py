"""OpenAI's chat completions: requests read; answers, streams and errors written.

Sources: OpenAI's API reference; for `google` and `extra_content` Google's pages on its own OpenAI endpoint; for
video, files by URL, `reasoning` and `thinking` what other gateways take (they are no part of OpenAI's API).
"""

import json
import re
import time
import uuid
from collections.abc import Iterable
from collections.abc import Iterator
from math import isfinite
from typing import Annotated
from typing import Any
from typing import Literal
from typing import NamedTuple

from pydantic import BeforeValidator
from pydantic import ConfigDict
from pydantic import Discriminator
from pydantic import Field
from pydantic import Tag
from pydantic_core import from_json

from addons.translation import media
from addons.translation import signatures
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Effort
from addons.translation.conversation import Failure
from addons.translation.conversation import Finish
from addons.translation.conversation import Format
from addons.translation.conversation import Function
from addons.translation.conversation import Google
from addons.translation.conversation import InvalidRequest
from addons.translation.conversation import Json
from addons.translation.conversation import Media
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
from addons.translation.errors import openai_error
from addons.translation.validation import Count
from addons.translation.validation import GoogleModel
from addons.translation.validation import Int32
from addons.translation.validation import Model
from addons.translation.validation import camel_or_snake
from addons.translation.validation import validated

# The request, as clients send it. What is declared here is read; what is not has no target.


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


HarmCategory = Literal[
    "HARM_CATEGORY_UNSPECIFIED",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_CIVIC_INTEGRITY",
    "HARM_CATEGORY_IMAGE_HATE",
    "HARM_CATEGORY_IMAGE_DANGEROUS_CONTENT",
    "HARM_CATEGORY_IMAGE_HARASSMENT",
    "HARM_CATEGORY_IMAGE_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_JAILBREAK",
]
Threshold = Literal["BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF"]


class SafetySetting(GoogleModel):
    category: HarmCategory
    threshold: Threshold
    method: Literal["SEVERITY", "PROBABILITY"] | None = None


class ThinkingConfig(GoogleModel):
    include_thoughts: bool | None = None
    thinking_budget: Annotated[Int32, Field(ge=-1)] | None = None
    thinking_level: Annotated[Literal["MINIMAL", "LOW", "MEDIUM", "HIGH"], BeforeValidator(_upper)] | None = None


class ImageConfig(GoogleModel):
    aspect_ratio: str | None = None
    image_size: str | None = None
    person_generation: Literal["ALLOW_ALL", "ALLOW_ADULT", "ALLOW_NONE"] | None = None


class GoogleExtra(GoogleModel):
    """`google`, or `extra_body.google`: what Google's OpenAI endpoint takes there, and the rest of what chats use.
    Other members go nowhere: they are named as dropped."""

    model_config = ConfigDict(extra="allow")

    thinking_config: ThinkingConfig | None = None
    image_config: ImageConfig | None = None
    safety_settings: list[SafetySetting] | None = None
    cached_content: str | None = None
    labels: dict[str, str] | None = None
    audio_timestamp: bool | None = None


class ExtraBody(Model):
    google: GoogleExtra | None = None


class VideoMetadata(GoogleModel):
    fps: Annotated[float, Field(gt=0, le=24)] | None = None
    start_offset: Annotated[str, Field(pattern=r"^\d{1,9}(\.\d{1,9})?s$")] | None = None
    end_offset: Annotated[str, Field(pattern=r"^\d{1,9}(\.\d{1,9})?s$")] | None = None


class MediaUrl(Model):
    url: str
    detail: Annotated[Literal["auto", "low", "medium", "high", "ultra_high"], BeforeValidator(_lower)] | None = None
    format: str | None = None
    mime_type: str | None = None
    video_metadata: VideoMetadata | None = None


class TextPart(Model):
    type: Literal["text", "input_text", "output_text"]
    text: str


class RefusalPart(Model):
    type: Literal["refusal"]
    refusal: str


def _as_object(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


class ImagePart(Model):
    type: Literal["image_url"]
    image_url: Annotated[MediaUrl, BeforeValidator(_as_object)]


class VideoPart(Model):
    type: Literal["video_url"]
    video_url: Annotated[MediaUrl, BeforeValidator(_as_object)]
    video_metadata: VideoMetadata | None = None


class AudioUrlPart(Model):
    type: Literal["audio_url"]
    audio_url: Annotated[MediaUrl, BeforeValidator(_as_object)]


class InputAudio(Model):
    data: str
    format: str


class AudioPart(Model):
    type: Literal["input_audio"]
    input_audio: InputAudio


class File(Model):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None
    format: str | None = None
    mime_type: str | None = None


class FilePart(Model):
    type: Literal["file"]
    file: File


ContentPart = Annotated[
    TextPart | RefusalPart | ImagePart | VideoPart | AudioUrlPart | AudioPart | FilePart, Field(discriminator="type")
]


def _kind_of_content(value: object) -> str:
    return "text" if isinstance(value, str) else "parts"


Content = Annotated[
    Annotated[str, Tag("text")] | Annotated[list[ContentPart], Tag("parts")], Discriminator(_kind_of_content)
]


class CalledFunction(Model):
    name: str = Field(min_length=1)
    arguments: str = ""


class Call(Model):
    id: str | None = None
    type: Literal["function"] = "function"
    function: CalledFunction


class InstructionMessage(Model):
    role: Literal["system", "developer"]
    content: Content


class UserMessage(Model):
    role: Literal["user"]
    content: Content


class AssistantMessage(Model):
    role: Literal["assistant"]
    content: Content | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: CalledFunction | None = None


class ToolMessage(Model):
    role: Literal["tool"]
    content: Content
    tool_call_id: str
    name: str | None = None


class FunctionMessage(Model):
    role: Literal["function"]
    content: Content | None = None
    name: str


Message = Annotated[
    InstructionMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage, Field(discriminator="role")
]


class FunctionDefinition(Model):
    name: str = Field(min_length=1)
    description: str | None = None
    parameters: Json | None = None


class FunctionTool(Model):
    type: Literal["function"]
    function: FunctionDefinition


class ServerTool(Model):
    """A tool that the service runs: `{"type": "web_search"}`, or LiteLLM's `{"googleSearch": {}}`."""


SERVER_TOOLS = {
    "web_search": "googleSearch",
    "web_search_preview": "googleSearch",
    "google_search": "googleSearch",
    "googleSearch": "googleSearch",
    "google_search_retrieval": "googleSearchRetrieval",
    "googleSearchRetrieval": "googleSearchRetrieval",
    "enterprise_web_search": "enterpriseWebSearch",
    "enterpriseWebSearch": "enterpriseWebSearch",
    "google_maps": "googleMaps",
    "googleMaps": "googleMaps",
    "url_context": "urlContext",
    "urlContext": "urlContext",
    "code_interpreter": "codeExecution",
    "code_execution": "codeExecution",
    "codeExecution": "codeExecution",
}
"""What clients call the tools that the service runs -> Google's names."""


def _kind_of_tool(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "function" if kind == "function" else "server"


Tool = Annotated[
    Annotated[FunctionTool, Tag("function")] | Annotated[ServerTool, Tag("server")], Discriminator(_kind_of_tool)
]


class Named(Model):
    name: str


class AllowedTools(Model):
    mode: Literal["auto", "required"]
    tools: list[Json]


class NamedChoice(Model):
    type: Literal["function", "allowed_tools"] = "function"
    function: Named | None = None
    name: str | None = None
    allowed_tools: AllowedTools | None = None


def _kind_of_choice(value: object) -> str:
    return "mode" if isinstance(value, str) else "named"


ToolChoiceField = Annotated[
    Annotated[Literal["none", "auto", "required", "any"], Tag("mode")] | Annotated[NamedChoice, Tag("named")],
    Discriminator(_kind_of_choice),
]
CallChoiceField = Annotated[
    Annotated[Literal["none", "auto"], Tag("mode")] | Annotated[Named, Tag("named")], Discriminator(_kind_of_choice)
]


class SchemaFormat(Model):
    name: str | None = None
    schema_: Json | None = Field(None, alias="schema")


class ResponseFormat(Model):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaFormat | None = None


class StreamOptions(Model):
    include_usage: bool | None = None


class Reasoning(Model):
    effort: str | None = None
    max_tokens: Int32 | None = None
    exclude: bool | None = None
    enabled: bool | None = None


class AnthropicThinking(Model):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Int32 | None = None


class Voice(Model):
    id: str


class Audio(Model):
    voice: str | Voice | None = None
    format: str | None = None


EFFORTS: dict[str, Effort] = {
    "none": "none",
    "disable": "none",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
"""What clients write for an effort -> the efforts there are."""


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class ChatRequest(Model):
    model: str = Field(min_length=1)
    messages: list[Message] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[float, Field(ge=0)] | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    stop: Annotated[list[str], BeforeValidator(_as_list), Field(max_length=5)] | None = None
    n: Count | None = None
    seed: int | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoiceField | None = None
    functions: list[FunctionDefinition] | None = None
    function_call: CallChoiceField | None = None
    parallel_tool_calls: bool | None = None
    web_search_options: Json | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    reasoning: Reasoning | None = None
    thinking: AnthropicThinking | None = None
    modalities: list[Annotated[Literal["text", "image", "audio"], BeforeValidator(_lower)]] | None = None
    audio: Audio | None = None
    service_tier: str | None = None
    safety_settings: list[SafetySetting] | None = Field(None, validation_alias=camel_or_snake("safety_settings"))
    cached_content: str | None = Field(None, validation_alias=camel_or_snake("cached_content"))
    labels: dict[str, str] | None = None
    google: GoogleExtra | None = None
    extra_body: ExtraBody | None = None
    project_id: str | None = None
    region: str | None = None


# Reading


def read_request(body: object) -> Request:
    """A body, parsed from JSON. Raises InvalidRequest."""
    if not isinstance(body, dict):
        raise InvalidRequest("the body is not a JSON object")
    chat = validated(ChatRequest, body)
    notes = Notes(dropped=_without_target(chat))
    request = Request(
        model=chat.model,
        temperature=chat.temperature,
        top_p=chat.top_p,
        top_k=chat.top_k,
        max_tokens=chat.max_completion_tokens or chat.max_tokens,
        stop=chat.stop or None,
        n=chat.n,
        seed=chat.seed,
        presence_penalty=chat.presence_penalty,
        frequency_penalty=chat.frequency_penalty,
        logprobs=chat.logprobs or bool(chat.top_logprobs),
        top_logprobs=chat.top_logprobs,
        modalities=list(chat.modalities) if chat.modalities else None,
        service_tier=chat.service_tier,
        stream=bool(chat.stream),
        include_usage=bool(chat.stream_options and chat.stream_options.include_usage),
        project=chat.project_id,
        location=chat.region,
        notes=notes,
    )
    if chat.audio and chat.audio.voice:
        request.voice = chat.audio.voice if isinstance(chat.audio.voice, str) else chat.audio.voice.id
    _read_tools(chat, request)
    _read_format(chat, request)
    request.thinking = _read_thinking(chat)
    request.google = _read_google(chat, request)
    _read_messages(chat.messages, body, request)
    return request


def _without_target(chat: ChatRequest) -> list[str]:
    dropped = [name for name, value in (chat.model_extra or {}).items() if value not in (None, False, [], {})]
    if chat.parallel_tool_calls is False:
        dropped.append("parallel_tool_calls")
    if chat.audio and chat.audio.format not in (None, "pcm16"):
        dropped.append("audio.format")
    return dropped


def _read_tools(chat: ChatRequest, request: Request) -> None:
    definitions = list(chat.functions or [])
    for number, tool in enumerate(chat.tools or []):
        if isinstance(tool, FunctionTool):
            definitions.append(tool.function)
        else:
            request.server_tools.setdefault(_server_tool(tool, f"tools[{number}]"), f"tools[{number}]")
    if chat.web_search_options is not None:
        request.server_tools.setdefault("googleSearch", "web_search_options")
    names = {definition.name for definition in definitions}
    if len(names) < len(definitions):
        raise InvalidRequest("two functions have the same name", "tools")
    for number, definition in enumerate(definitions):
        if not _is_finite(definition.parameters):
            raise InvalidRequest(
                NO_VALUE,
                f"tools[{number}].function.parameters",
            )
    request.functions = [Function(one.name, one.description, one.parameters) for one in definitions]
    request.tool_choice = _read_choice(chat)
    for name in request.tool_choice.names if request.tool_choice else []:
        if name not in names:
            raise InvalidRequest(f"there is no function {name} among the tools", "tool_choice")


def _server_tool(tool: ServerTool, param: str) -> str:
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
    wanted = chat.response_format
    if wanted is None or wanted.type == "text":
        return
    if wanted.type == "json_object":
        request.format = Format()
    elif wanted.json_schema is None or wanted.json_schema.schema_ is None:
        raise InvalidRequest("there is no schema", "response_format.json_schema.schema")
    elif not _is_finite(wanted.json_schema.schema_):
        raise InvalidRequest(
            NO_VALUE,
            "response_format.json_schema.schema",
        )
    else:
        request.format = Format(wanted.json_schema.schema_)


def _read_thinking(chat: ChatRequest) -> Thinking | None:
    """The many spellings of how much to think; Google's own is read with the rest of `google`."""
    if chat.reasoning_effort is not None:
        return Thinking(effort=_effort(chat.reasoning_effort, "reasoning_effort"))
    if reasoning := chat.reasoning:
        include = None if reasoning.exclude is None else not reasoning.exclude
        if reasoning.enabled is False:
            return Thinking("none", param="reasoning")
        if reasoning.max_tokens is not None:
            return Thinking(budget=max(reasoning.max_tokens, -1), include=include, param="reasoning")
        if reasoning.effort is not None:
            return Thinking(_effort(reasoning.effort, "reasoning.effort"), include=include, param="reasoning")
        include = True if reasoning.enabled and include is None else include
        return None if include is None else Thinking(include=include, param="reasoning")
    if chat.thinking:
        if chat.thinking.type == "disabled":
            return Thinking("none", param="thinking")
        return Thinking(budget=chat.thinking.budget_tokens, include=True, param="thinking")
    return None


def _effort(text: str, param: str) -> Effort:
    try:
        return EFFORTS[text.lower()]
    except KeyError:
        raise InvalidRequest(f"{param}: write one of {', '.join(EFFORTS)}", param) from None


_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")


def _read_google(chat: ChatRequest, request: Request) -> Google | None:
    google = Google()
    sources = [chat.extra_body and chat.extra_body.google, chat.google]
    for extra in filter(None, sources):
        written = extra.model_dump(by_alias=True, exclude_none=True, include=set(GoogleExtra.model_fields))
        for name in ("thinkingConfig", "imageConfig", "audioTimestamp"):
            if name in written:
                google.generation_config[name] = written.pop(name)
        google.request |= written
        request.notes.dropped += [f"google.{name}" for name in extra.model_extra or {}]
    if chat.safety_settings is not None:
        google.request["safetySettings"] = [
            setting.model_dump(by_alias=True, exclude_none=True) for setting in chat.safety_settings
        ]
    if chat.cached_content is not None:
        google.request["cachedContent"] = chat.cached_content
    if chat.labels is not None:
        google.request["labels"] = chat.labels
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
            request.system += _instructions(message.content, path)
        elif isinstance(message, UserMessage):
            _add(request.turns, "user", _parts(message.content, f"{path}.content", request.notes))
        else:
            parts = _assistant_parts(message, raw[number], path, request.notes)
            waiting = _Waiting([part for part in parts if isinstance(part, ToolCall)])
            _add(request.turns, "assistant", parts)
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
        parts = _parts(message.content, f"{path}.content", notes) if message.content is not None else []
        text = "".join(part.text for part in parts if isinstance(part, Text))
        media = [part for part in parts if isinstance(part, Media)]
        self._results[key] = ToolResult(call.id, call.name, _output(text), media)

    def settle(self, turns: list[Turn], path: str) -> None:
        if len(self._results) < len(self._calls):
            raise InvalidRequest(
                "an assistant message with tool_calls must be followed by a tool message for each of them", path
            )
        if self._results:
            turns.append(Turn("user", [self._results[key] for key in self._calls]))
        self._calls, self._results = {}, {}


def _add(turns: list[Turn], role: Literal["user", "assistant"], parts: list[Part]) -> None:
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
    return output if _is_finite(output) else text


DEEPEST = 90
"""Levels of a JSON value; Google's parser stops at 100 for the whole request."""
NO_VALUE = f"a number in it is too large, or it is more than {DEEPEST} levels deep"


def _is_finite(value: object, levels: int = DEEPEST) -> bool:
    """Whether a JSON value is not too deep, and no number in it too large for a float: JSON has no word for it."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return levels > 0 and all(_is_finite(one, levels - 1) for one in inner)
    return not isinstance(value, float) or isfinite(value)


def _instructions(content: Any, path: str) -> list[Text]:
    parts = _parts(content, f"{path}.content", Notes())
    if not all(isinstance(part, Text) for part in parts):
        raise InvalidRequest("instructions are text", f"{path}.content")
    return [part for part in parts if isinstance(part, Text)]


def _assistant_parts(message: AssistantMessage, raw: object, path: str, notes: Notes) -> list[Part]:
    parts = _parts(message.content, f"{path}.content", notes) if message.content is not None else []
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
        arguments = _arguments(function.arguments, f"{path}.function_call.arguments")
        parts.append(ToolCall(None, function.name, arguments))
    ids = [part.id for part in parts if isinstance(part, ToolCall)]
    if len(set(ids)) < len(ids):
        raise InvalidRequest("two calls have the same id", f"{path}.tool_calls")
    return parts


def _tool_call(call: Call, raw: object, message: object, path: str) -> ToolCall:
    if not call.id:
        raise InvalidRequest("a call needs an id", f"{path}.id")
    bare, in_id = signatures.split_id(call.id)
    signature = signatures.of_google(raw) or in_id or signatures.of_details(message, call.id)
    return ToolCall(
        bare,
        call.function.name,
        _arguments(call.function.arguments, f"{path}.function.arguments"),
        Signature("google", signature) if signature else None,
    )


def _arguments(text: str, param: str) -> Json:
    try:
        arguments = from_json(text, allow_inf_nan=False) if text.strip() else {}
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict) or not _is_finite(arguments):
        raise InvalidRequest(f"the arguments of a call are a JSON object, at most {DEEPEST} levels deep", param)
    return arguments


def _parts(content: Any, path: str, notes: Notes) -> list[Part]:
    if isinstance(content, str):
        return [Text(content)] if content else []
    parts = (_part(part, f"{path}[{number}]", notes) for number, part in enumerate(content))
    return [part for part in parts if part]


def _part(part: Any, path: str, notes: Notes) -> Part | None:
    match part:
        case TextPart():
            return Text(part.text) if part.text else None
        case RefusalPart():
            return Text(part.refusal) if part.refusal else None
        case ImagePart():
            return _linked(part.image_url, f"{path}.image_url", notes, default="image/jpeg")
        case VideoPart():
            linked = _linked(part.video_url, f"{path}.video_url", notes)
            linked.clip = _clip(part.video_metadata) or linked.clip
            return linked
        case AudioUrlPart():
            linked = _linked(part.audio_url, f"{path}.audio_url", notes)
            # Some formats of sound are also of video.
            linked.mime_type = linked.mime_type.replace("video/", "audio/")
            return linked
        case AudioPart():
            return _audio(part.input_audio, f"{path}.input_audio")
        case FilePart():
            return _file(part.file, f"{path}.file")
    raise AssertionError(part)


def _linked(link: MediaUrl, path: str, notes: Notes, default: str | None = None) -> Media:
    said = _said(link.mime_type or link.format, path)
    linked = media.from_url(link.url, said, f"{path}.url")
    if linked is None:
        linked = Media("", uri=link.url)
    if not linked.mime_type:
        if default is None:
            raise InvalidRequest("its type cannot be told; say it in `mime_type`", f"{path}.url")
        linked.mime_type = default
        notes.assumed.append(f"{path}={default}")
    linked.detail = link.detail if link.detail != "auto" else None
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


def _file(file: File, path: str) -> Media:
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
    param = f"{path}.file_id"
    if not file.file_id or "://" not in file.file_id:
        raise InvalidRequest("no files are stored here: give file_data, or a gs:// or https:// URL as file_id", param)
    linked = media.from_url(file.file_id, said or by_name, param)
    if linked is None:
        raise InvalidRequest("its type cannot be told; say it in `mime_type`", param)
    return linked


# Answers


def write_answer(answer: Answer, model: str) -> Json:
    """A chat.completion. `model` is what the client asked for, where the answer does not say what it got."""
    choices = answer.choices or [Choice(0)]
    completion: Json = {
        "id": _completion_id(answer),
        "object": "chat.completion",
        "created": int(time.time()),
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
        "finish_reason": choice.finish or (Finish.TOOL_CALLS if calls else Finish.STOP),
    }


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
        if isinstance(part, Text | Thought | Media) and part.signature:
            beside["extra_content"] = _extra_content(part.signature)
    return beside


def _url(picture: Media) -> str:
    return picture.uri if picture.uri is not None else f"data:{picture.mime_type};base64,{picture.data}"


def _extra_content(signature: Signature) -> Json:
    return {signature.issuer: {"thought_signature": signature.value}}


def _written_call(call: ToolCall) -> Json:
    id = signatures.with_signature(
        call.id or f"call_{uuid.uuid4().hex[:24]}", call.signature.value if call.signature else None
    )
    written: Json = {
        "id": id,
        "type": "function",
        "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
    }
    if call.signature:
        written["extra_content"] = _extra_content(call.signature)
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
        "content": [_token(token) | {"top_logprobs": [_token(top) for top in token.top]} for token in tokens],
        "refusal": None,
    }


LEAST_LOGPROB = -9999.0
"""What OpenAI writes for a token that is next to impossible."""


def _token(token: TokenLogprob) -> Json:
    return {
        "token": token.token,
        "logprob": max(token.logprob, LEAST_LOGPROB),
        "bytes": list(token.token.encode("utf-8", "replace")),
    }


MODALITIES = {"text": "text", "document": "text", "image": "image", "audio": "audio", "video": "video"}
"""Google's modalities -> what OpenAI calls the tokens of one."""


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
        if not self._head["id"]:
            self._head["id"] = _completion_id(answer)
            self._head["model"] = answer.model or self._head["model"]
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
        written.finish = choice.finish or written.finish

    def _delta(self, index: int, delta: Json) -> Json:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}

    def _chunk(self, choices: list[Json]) -> bytes:
        return _event(self._head | {"choices": choices} | ({"usage": None} if self._include_usage else {}))


class _WrittenChoice:
    def __init__(self) -> None:
        self.finish: Finish | None = None
        self._calls = 0
        self._images = 0

    def deltas(self, choice: Choice) -> Iterator[Json]:
        for part in choice.parts:
            delta: Json = {}
            if isinstance(part, ToolCall):
                delta["tool_calls"] = [{"index": self._calls} | _written_call(part)]
                self._calls += 1
            elif isinstance(part, Text) and part.text:
                delta["content"] = part.text
            delta |= _beside_text([part], self._images)
            self._images += len(delta.get("images", ()))  # type: ignore[arg-type]
            if delta:
                yield delta
        if choice.refusal:
            yield {"refusal": choice.refusal}
        if choice.citations:
            yield {"annotations": _annotations(choice)}


def to_bytes(document: Json) -> bytes:
    """JSON in UTF-8, whatever texts an upstream has sent."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _event(data: Json) -> bytes:
    return b"data: " + to_bytes(data) + b"\n\n"
