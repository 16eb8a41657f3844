"""Gemini: GenerateContentRequest and GenerateContentResponse, read and written.

Sources: the discovery document of aiplatform v1, Google's reference of generateContent; what Google's SDKs send, as
captured from google-genai. A request written here holds against that document; what is read may be missing, in
either case of letters, or new.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated
from typing import Literal

from pydantic import BeforeValidator
from pydantic import ConfigDict
from pydantic import Field

from addons.translation import json_schema
from addons.translation import media
from addons.translation import signatures
from addons.translation.conversation import DEFAULT_TIERS
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
from addons.translation.errors import google_error
from addons.translation.errors import read_error
from addons.translation.thinking import Family
from addons.translation.thinking import family_of
from addons.translation.thinking import settle
from addons.translation.thinking import thinking_config
from addons.translation.validation import NO_VALUE
from addons.translation.validation import GoogleModel
from addons.translation.validation import camel
from addons.translation.validation import is_finite
from addons.translation.validation import validated
from metering.call import Reading
from metering.json_values import both
from metering.json_values import items
from metering.json_values import member
from metering.json_values import number_of
from metering.json_values import snake
from metering.json_values import text_of
from metering.usage.gemini import merge
from metering.usage.gemini import take_usage

# Requests

SAMPLING = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "stop": "stopSequences",
    "n": "candidateCount",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
"""Neutral name -> GenerationConfig."""
MODES: dict[Literal["none", "auto", "required"], str] = {"none": "NONE", "auto": "AUTO", "required": "ANY"}
RESOLUTIONS = ("low", "medium", "high", "ultra_high")
"""Details of media, in order."""
TIERS = frozenset({"priority", "flex"})
TIER_HEADER = "x-vertex-ai-llm-shared-request-type"
"""What asks for one (Google's pages on Priority PayGo and Flex PayGo)."""
SEARCHES = frozenset({"googleSearch", "googleSearchRetrieval", "enterpriseWebSearch", "googleMaps", "urlContext"})
MOST_CANDIDATES = 8


def write_request(request: Request) -> Written:
    """A GenerateContentRequest. Raises InvalidRequest for what Gemini has no way to do."""
    family = family_of(request.model)
    notes = Notes([*request.notes.dropped], [*request.notes.assumed])
    # Written twice, for two services, it is not to be told twice.
    request = replace(request, notes=notes)
    body: Json = {"contents": _contents(request, family)}
    if request.system and request.turns:
        body["systemInstruction"] = {"parts": [{"text": part.text} for part in request.system]}
    if tools := _tools(request, family):
        body["tools"] = tools
    if request.tool_choice and request.functions:
        calling: Json = {"mode": MODES[request.tool_choice.mode]}
        if request.tool_choice.names and request.tool_choice.mode != "none":
            # Names may be given with ANY only; VALIDATED is ANY that may also answer in words.
            calling["mode"] = "ANY" if request.tool_choice.mode == "required" else "VALIDATED"
            calling["allowedFunctionNames"] = request.tool_choice.names
        body["toolConfig"] = {"functionCallingConfig": request.tool_choice.google or calling}
    config = _generation_config(request, family)
    if request.google:
        for name, value in request.google.request.items():
            if name == "systemInstruction" and name not in body:
                # Its role only: the instructions have become a turn.
                continue
            written = body.get(name)
            body[name] = written | value if isinstance(written, dict) and isinstance(value, dict) else value
        config |= request.google.generation_config
        if (dropped := settle(config.get("thinkingConfig"), family)) is not None:
            path = request.google.names.get("thinkingConfig", "generationConfig.thinkingConfig")
            notes.dropped.append(f"{path}.{dropped}")
    if config:
        body["generationConfig"] = config
    headers = {TIER_HEADER: request.service_tier} if request.service_tier in TIERS else {}
    if request.service_tier and request.service_tier not in TIERS | DEFAULT_TIERS:
        notes.dropped.append(request.named("service_tier"))
    if request.parallel_tool_calls is False:
        notes.dropped.append(request.named("parallel_tool_calls"))
    if request.user:
        notes.dropped.append(request.named("user"))
    if request.caches() and "cache_control" not in notes.dropped:
        # Gemini remembers unasked, or what `cached_content` names.
        notes.dropped.append("cache_control")
    return Written(body, headers, notes)


def _generation_config(request: Request, family: Family) -> Json:
    config: Json = {theirs: value for ours, theirs in SAMPLING.items() if (value := getattr(request, ours)) is not None}
    if request.n is not None and request.n > MOST_CANDIDATES:
        raise InvalidRequest(f"Gemini gives {MOST_CANDIDATES} choices at most", request.named("n"))
    if request.seed is not None:
        # An int32 for Gemini; the same seed stays the same.
        config["seed"] = request.seed if -(2**31) <= request.seed < 2**31 else request.seed % 2**31
    if request.logprobs:
        config["responseLogprobs"] = True
        if request.top_logprobs:
            config["logprobs"] = request.top_logprobs
    if request.modalities:
        config["responseModalities"] = [modality.upper() for modality in request.modalities]
    if request.voice:
        config["speechConfig"] = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": request.voice}}}
    if request.format:
        if request.format.google:
            config |= request.format.google
        elif request.functions and family.generation == 2:
            # "Function calling with a response mime type: 'application/json' is unsupported"
            request.notes.dropped.append(request.format.param)
        else:
            config["responseMimeType"] = "application/json"
            if request.format.schema is not None:
                config["responseJsonSchema"] = json_schema.for_gemini(request.format.schema)
    if request.thinking:
        thinking = request.thinking.google or thinking_config(request.thinking, family)
        if thinking:
            config["thinkingConfig"] = thinking
        elif request.thinking.effort != "none":
            request.notes.dropped.append(request.thinking.param)
    details = _details(request.turns)
    if details and family.generation == 0:
        request.notes.dropped.append(request.named("detail"))
    if details and family.generation == 2:
        level = max(details, key=RESOLUTIONS.index).upper()
        config["mediaResolution"] = f"MEDIA_RESOLUTION_{'HIGH' if level == 'ULTRA_HIGH' else level}"
    return config


def _details(turns: list[Turn]) -> list[str]:
    return [part.detail for turn in turns for part in turn.parts if isinstance(part, Media) and part.detail]


def _tools(request: Request, family: Family) -> list[Json]:
    tools: list[Json] = []
    settings = request.google.tools if request.google else {}
    if request.functions:
        tools.append({"functionDeclarations": [_declaration(function) for function in request.functions]})
    for name, param in request.server_tools.items():
        if name in SEARCHES and request.functions and family.generation < 3:
            # "Tool use with function calling is unsupported"
            request.notes.dropped.append(param)
        else:
            tools.append({name: settings.get(name, {})})
    return tools


def _declaration(function: Function) -> Json:
    declaration: Json = {"name": function.name}
    if function.description:
        declaration["description"] = function.description
    if function.google:
        declaration |= function.google
    elif function.parameters is not None and not json_schema.is_empty(function.parameters):
        declaration["parametersJsonSchema"] = json_schema.for_gemini(function.parameters)
    return declaration


def _contents(request: Request, family: Family) -> list[Json]:
    # A conversation of instructions only still needs a turn.
    turns = request.turns or [Turn("user", list(request.system))]
    contents: list[Json] = []
    for turn in turns:
        if turn.role == "user":
            contents += _user_contents(turn.parts, family)
        elif parts := _model_parts(turn.parts, family):
            # Of a turn of Claude's thoughts nothing is left.
            contents.append({"role": "model", "parts": parts})
    if not contents:
        raise InvalidRequest(
            "there is nothing in the conversation but thoughts of another model", request.named("turns", "messages")
        )
    return contents


def _user_contents(parts: list[Part], family: Family) -> list[Json]:
    """A turn of the user: one content, or two, as answers to function calls must stand alone."""
    results = [part for part in parts if isinstance(part, ToolResult)]
    rest: list[Json] = []
    if family.generation < 3:
        # Before Gemini 3 an answer to a function call holds no media.
        rest += [_media(media, family) for result in results if not result.google for media in result.media]
    rest += [_part(part, family) for part in parts if isinstance(part, Text | Media)]
    contents: list[Json] = []
    if results:
        contents.append({"role": "user", "parts": [_part(result, family) for result in results]})
    if rest:
        contents.append({"role": "user", "parts": rest})
    return contents


def _model_parts(parts: list[Part], family: Family) -> list[Json]:
    calls = [part for part in parts if isinstance(part, ToolCall)]
    lost = family.generation >= 3 and calls and not any(_signature(call.signature) for call in calls)
    return [
        _part(part, family, signatures.MISSING if lost and part is calls[0] else None)
        for part in parts
        if isinstance(part, Text | Media | ToolCall) or part.google
    ]


def _part(part: Part, family: Family, signature: str | None = None) -> Json:
    if part.google:
        return part.google
    if isinstance(part, ToolResult):
        return _result(part, family)
    if isinstance(part, Media):
        return _media(part, family)
    written: Json = {}
    if isinstance(part, Text):
        written["text"] = part.text
    elif isinstance(part, Thought):
        written |= {"text": part.text, "thought": True}
    else:
        call: Json = {"name": part.name, "args": part.arguments}
        if part.id and family.generation >= 3:
            # Older models reject the field.
            call["id"] = part.id
        written["functionCall"] = call
    if signature := _signature(part.signature) or signature:
        written["thoughtSignature"] = signature
    return written


def _signature(signature: Signature | None) -> str | None:
    return signature.value if signature and signature.issuer == "google" else None


def _media(media: Media, family: Family) -> Json:
    written: Json
    if media.uri is not None:
        written = {"fileData": {"mimeType": media.mime_type, "fileUri": media.uri}}
    else:
        written = {"inlineData": {"mimeType": media.mime_type, "data": media.data}}
    if media.clip:
        written["videoMetadata"] = media.clip
    if signature := _signature(media.signature):
        written["thoughtSignature"] = signature
    if media.detail and family.generation >= 3:
        written["mediaResolution"] = {"level": f"MEDIA_RESOLUTION_{media.detail.upper()}"}
    return written


def _result(result: ToolResult, family: Family) -> Json:
    output = result.output
    response: Json = output if isinstance(output, dict) and not _has_ref(output) else {"output": _opaque(output)}
    written: Json = {"name": result.name, "response": response}
    if family.generation >= 3:
        if result.id:
            written["id"] = result.id
        if result.media:
            written["parts"] = [_result_part(media) for media in result.media]
    return {"functionResponse": written}


def _result_part(media: Media) -> Json:
    if media.uri is not None:
        return {"fileData": {"mimeType": media.mime_type, "fileUri": media.uri}}
    return {"inlineData": {"mimeType": media.mime_type, "data": media.data}}


def _opaque(output: object) -> object:
    """Google reads `$ref` in an answer as a pointer: what has one goes as text."""
    return json.dumps(output, ensure_ascii=False) if _has_ref(output) else output


def _has_ref(value: object) -> bool:
    if isinstance(value, dict):
        return "$ref" in value or any(map(_has_ref, value.values()))
    return isinstance(value, list) and any(map(_has_ref, value))


# Requests, as clients send them. Checked by the models, read from the body itself.


def _as_list(value: object) -> object:
    """proto3 JSON takes a single value for a repeated field, and Google's own examples write so."""
    return value if isinstance(value, list) or value is None else [value]


class Extensible(GoogleModel):
    model_config = ConfigDict(extra="allow")


Number = Annotated[float, Field(strict=False)]
Integer = Annotated[int, Field(strict=False, ge=-(2**31), lt=2**31)]
"""proto3 JSON may write numbers as text, and integers with a fraction of 0."""
Positive = Annotated[Integer, Field(ge=1)]


class Blob(Extensible):
    mime_type: str = Field(min_length=1)
    data: str


class FileData(Extensible):
    mime_type: str | None = None
    file_uri: str = Field(min_length=1)


class CalledFunction(Extensible):
    id: str | None = None
    name: str = Field(min_length=1)
    args: Json | None = None


class PartOfResult(Extensible):
    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResult(Extensible):
    id: str | None = None
    name: str = Field(min_length=1)
    response: Json | None = None
    parts: Annotated[list[PartOfResult], BeforeValidator(_as_list)] | None = None


class PartOfContent(PartOfResult):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: CalledFunction | None = None
    function_response: FunctionResult | None = None
    executable_code: Json | None = None
    code_execution_result: Json | None = None
    video_metadata: Json | None = None
    media_resolution: Json | str | None = None


class Content(Extensible):
    role: Literal["user", "model", "function", "tool", "system", ""] | None = None
    parts: Annotated[list[PartOfContent], BeforeValidator(_as_list), Field(min_length=1)]


class FunctionDeclaration(Extensible):
    name: str = Field(min_length=1)
    description: str | None = None
    parameters: Json | None = None
    parameters_json_schema: Json | None = None


class Tool(Extensible):
    function_declarations: Annotated[list[FunctionDeclaration], BeforeValidator(_as_list)] | None = None


class FunctionCallingConfig(Extensible):
    mode: Literal["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"] | None = None
    allowed_function_names: Annotated[list[str], BeforeValidator(_as_list)] | None = None


class ToolConfig(Extensible):
    function_calling_config: FunctionCallingConfig | None = None


class ThinkingConfig(Extensible):
    include_thoughts: bool | None = None
    thinking_budget: Annotated[Integer, Field(ge=-1)] | None = None
    thinking_level: Literal["THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH"] | None = None


class GenerationConfig(Extensible):
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    top_k: Annotated[Number, Field(ge=0)] | None = None
    candidate_count: Positive | None = None
    max_output_tokens: Positive | None = None
    stop_sequences: Annotated[list[str], BeforeValidator(_as_list)] | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    seed: Integer | None = None
    response_logprobs: bool | None = None
    logprobs: Annotated[Integer, Field(ge=0, le=20)] | None = None
    response_modalities: Annotated[list[Literal["TEXT", "IMAGE", "AUDIO"]], BeforeValidator(_as_list)] | None = None
    response_mime_type: str | None = None
    response_schema: Json | None = None
    response_json_schema: Json | None = None
    thinking_config: ThinkingConfig | None = None


class GenerateContentRequest(Extensible):
    contents: Annotated[list[Content], BeforeValidator(_as_list), Field(min_length=1)]
    system_instruction: Content | None = None
    tools: Annotated[list[Tool], BeforeValidator(_as_list)] | None = None
    tool_config: ToolConfig | None = None
    generation_config: GenerationConfig | None = None


NAMES = {ours: f"generationConfig.{theirs}" for ours, theirs in SAMPLING.items()} | {
    "turns": "contents",
    "seed": "generationConfig.seed",
    "logprobs": "generationConfig.responseLogprobs",
    "top_logprobs": "generationConfig.logprobs",
    "modalities": "generationConfig.responseModalities",
    "format": "generationConfig.responseMimeType",
    "tool_choice": "toolConfig.functionCallingConfig",
    "include": "generationConfig.thinkingConfig.includeThoughts",
    "media": "inlineData",
    "clip": "videoMetadata",
    "detail": "mediaResolution",
}


def read_request(model: str, body: Json, *, stream: bool) -> Request:
    """A GenerateContentRequest, parsed from JSON. Raises InvalidRequest."""
    asked = validated(GenerateContentRequest, body)
    if not is_finite(body):
        raise InvalidRequest(NO_VALUE)
    google = Google(_camel_case(asked.model_extra))
    request = Request(model, stream=stream, include_usage=True, google=google, names=NAMES)
    _read_instruction(member(body, "systemInstruction"), request, google)
    _read_tools(asked, request, google)
    if (config := asked.generation_config) is not None:
        _read_generation_config(config, request, google)
    _read_contents(_listed(member(body, "contents")), request, google)
    if not request.turns and not request.system:
        raise InvalidRequest("there is nothing in the contents", "contents")
    return request


def _listed(value: object) -> list[object]:
    return items(_as_list(value))


def _camel_case(members: Json | None) -> Json:
    """camelCase wins where a member is given twice."""
    found = members or {}
    return {camel(name): value for name, value in found.items() if camel(name) == name or camel(name) not in found}


def _read_instruction(instruction: object, request: Request, google: Google) -> None:
    for number, raw in enumerate(_listed(member(instruction, "parts"))):
        if not isinstance(text := member(raw, "text"), str):
            raise InvalidRequest("instructions are text", f"systemInstruction.parts[{number}]")
        if text:
            request.system.append(Text(text))
    if (role := member(instruction, "role")) and request.system:
        google.request["systemInstruction"] = {"role": role}


def _read_tools(asked: GenerateContentRequest, request: Request, google: Google) -> None:
    for number, tool in enumerate(asked.tools or []):
        for place, declaration in enumerate(tool.function_declarations or []):
            request.functions.append(_read_declaration(declaration))
            path = f"tools[{number}].functionDeclarations[{place}]"
            google.elsewhere += [f"{path}.{name}" for name in _camel_case(declaration.model_extra)]
        for name, settings in _camel_case(tool.model_extra).items():
            if settings is not None:
                request.server_tools.setdefault(name, f"tools[{number}].{name}")
                google.tools.setdefault(name, settings)
                inside = settings if isinstance(settings, dict) else {}
                google.elsewhere += [f"tools[{number}].{name}.{setting}" for setting in inside]
    names = {function.name for function in request.functions}
    if len(names) < len(request.functions):
        raise InvalidRequest("two functions have the same name", "tools")
    if asked.tool_config is None:
        return
    if rest := _camel_case(asked.tool_config.model_extra):
        google.request["toolConfig"] = rest
    if calling := asked.tool_config.function_calling_config:
        allowed = calling.allowed_function_names or []
        if request.functions and not names.issuperset(allowed):
            path = "toolConfig.functionCallingConfig.allowedFunctionNames"
            raise InvalidRequest("a name is not among the functionDeclarations", path)
        modes = [ours for ours, theirs in MODES.items() if theirs == calling.mode]
        request.tool_choice = ToolChoice(modes[0] if modes else "auto", allowed, _said(calling))


def _said(model: GoogleModel) -> Json:
    """What the client said, in camelCase."""
    return model.model_dump(by_alias=True, exclude_unset=True)


def _read_declaration(declaration: FunctionDeclaration) -> Function:
    said = _said(declaration)
    for name in ("name", "description"):
        said.pop(name, None)
    schema = declaration.parameters_json_schema
    if schema is None and declaration.parameters is not None:
        schema = json_schema.from_openapi(declaration.parameters)
    return Function(declaration.name, declaration.description, schema, said or None)


def _read_generation_config(config: GenerationConfig, request: Request, google: Google) -> None:
    said = _said(config)
    if not said:
        google.request["generationConfig"] = {}
    for ours, theirs in SAMPLING.items():
        setattr(request, ours, getattr(config, snake(theirs)))
    request.seed, request.logprobs, request.top_logprobs = config.seed, config.response_logprobs, config.logprobs
    if config.response_modalities:
        request.modalities = [modality.lower() for modality in config.response_modalities]
    google.generation_config = _camel_case(config.model_extra)
    wanted = {
        name: value
        for name in ("responseMimeType", "responseSchema", "responseJsonSchema")
        if (value := said.get(name)) is not None
    }
    if config.response_mime_type in (None, "application/json") and wanted:
        schema = config.response_json_schema
        if schema is None and config.response_schema is not None:
            schema = json_schema.from_openapi(config.response_schema)
        request.format = Format(schema, google=wanted)
    else:
        google.generation_config |= wanted
    if thinking := config.thinking_config:
        request.thinking = Thinking(
            LEVELS.get(thinking.thinking_level or ""),
            thinking.thinking_budget,
            thinking.include_thoughts,
            "generationConfig.thinkingConfig",
            _said(thinking),
        )


LEVELS: dict[str, Effort] = {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high"}
"""`thinkingLevel` -> effort."""


def _read_contents(contents: list[object], request: Request, google: Google) -> None:
    """Turns that alternate (Google's chats keep each event of a stream as a content of its own); the results of a
    turn's calls together, in the order of the calls."""
    waiting = _Waiting()
    for number, content in enumerate(contents):
        path = f"contents[{number}]"
        parts: list[Part] = []
        for place, raw in enumerate(_listed(member(content, "parts"))):
            if part := _read_part(raw):
                _settle(part, raw, f"{path}.parts[{place}]")
                parts.append(part)
                if isinstance(part, Text) and part.google and not part.text:
                    google.elsewhere.append(f"{path}.parts[{place}]")
        if member(content, "role") == "model":
            if any(isinstance(part, ToolResult) for part in parts):
                raise InvalidRequest("write a functionResponse into a content of the user", path)
            waiting.add(parts, path)
        else:
            if any(isinstance(part, ToolCall) for part in parts):
                raise InvalidRequest('write a functionCall into a content of role "model"', path)
            parts = [*waiting.take(parts, path), *(part for part in parts if not isinstance(part, ToolResult))]
            if parts:
                waiting.refuse_to_wait(path)
        role: Literal["user", "assistant"] = "assistant" if member(content, "role") == "model" else "user"
        if parts and request.turns and request.turns[-1].role == role:
            request.turns[-1].parts += parts
        elif parts:
            request.turns.append(Turn(role, parts))
    waiting.refuse_to_wait(f"contents[{len(contents) - 1}]")


def _settle(part: Part, raw: object, path: str) -> None:
    """What a client sends must be whole. Raises InvalidRequest."""
    if isinstance(part, Thought) and isinstance(raw, dict):
        part.google = raw
    for medium in part.media if isinstance(part, ToolResult) else [part]:
        if isinstance(medium, Media) and medium.data is not None:
            medium.data = media.base64_of(medium.data, path)


class _Waiting:
    """Calls, and the results of them that have come."""

    def __init__(self) -> None:
        self._calls: list[ToolCall] = []
        self._results: dict[int, ToolResult] = {}
        """By the place of the call."""

    def add(self, parts: list[Part], path: str) -> None:
        if self._results:
            self.refuse_to_wait(path)
        self._calls += [part for part in parts if isinstance(part, ToolCall)]

    def take(self, parts: list[Part], path: str) -> list[ToolResult]:
        """All results, when the last has come. A result belongs to the call of its id, else to the next of its
        name."""
        for result in parts:
            if not isinstance(result, ToolResult):
                continue
            open_calls = [place for place in range(len(self._calls)) if place not in self._results]
            by_id = [place for place in open_calls if result.id and self._calls[place].id == result.id]
            by_name = [place for place in open_calls if self._calls[place].name == result.name]
            if not by_id and not by_name:
                raise InvalidRequest("the content of the model before it has no functionCall that waits for this", path)
            self._results[(by_id or by_name)[0]] = result
        if len(self._results) < len(self._calls):
            return []
        results = [self._results[place] for place in range(len(self._calls))]
        self._calls = []
        self._results = {}
        return results

    def refuse_to_wait(self, path: str) -> None:
        if self._calls:
            raise InvalidRequest("each functionCall needs a functionResponse in the content behind it", path)


# Answers

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
"""None, and reasons that are not here: stop if there is content, content_filter if there is none."""
SERVED_TIERS = {
    "ON_DEMAND": "default",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
    "PROVISIONED_THROUGHPUT": "scale",
}
"""`trafficType` -> OpenAI's service_tier."""


class AnswerReader:
    """Reads the one document of an answer, or the many of a stream, each into an `Answer` of what is new."""

    def __init__(self, candidates: int = 1) -> None:
        """`candidates` is how many were asked for."""
        self._wanted = candidates
        self.failure: Failure | None = None
        """The error that came instead of, or inside, the answer."""
        self._blocked = False
        self._candidates: dict[int, _Candidate] = {}
        self._usage: Json = {}

    @property
    def finished(self) -> bool:
        """Whether every choice has come to an end."""
        finished = sum(candidate.finished for candidate in self._candidates.values())
        return self._blocked or (finished == len(self._candidates) and finished >= self._wanted)

    def read(self, document: object) -> Answer:
        if member(document, "error"):
            self.failure = read_error(None, document)
            return Answer()
        answer = Answer(id=text_of(member(document, "responseId")), model=text_of(member(document, "modelVersion")))
        if isinstance(usage := member(document, "usageMetadata"), dict):
            merge(self._usage, usage)
            answer.usage = _usage(self._usage)
            answer.service_tier = SERVED_TIERS.get(text_of(member(usage, "trafficType")) or "")
        answer.google = _rest(document, _OF_ANSWERS)
        for position, candidate in enumerate(items(member(document, "candidates"))):
            index = member(candidate, "index")
            index = index if isinstance(index, int) and index >= 0 else position
            answer.choices.append(self._candidate(index).read(index, candidate))
        feedback = member(document, "promptFeedback")
        if not answer.choices and (reason := member(feedback, "blockReason")):
            why = text_of(member(feedback, "blockReasonMessage")) or f"The prompt was blocked ({reason})."
            self._blocked = True
            answer.choices.append(Choice(0, finish=Finish.CONTENT_FILTER, refusal=why))
        return answer

    def _candidate(self, index: int) -> "_Candidate":
        return self._candidates.setdefault(index, _Candidate())


class _Candidate:
    """What must be remembered of a candidate over a stream."""

    def __init__(self) -> None:
        self.finished = False
        self._called = False
        self._texts: list[str] = []
        """The text so far, which citations point into."""
        self._length = 0
        self._cited: set[Citation] = set()
        """Those that were told: the events of a stream may repeat them."""
        self._searched: set[str] = set()

    def read(self, index: int, candidate: object) -> Choice:
        choice = Choice(index, google=_rest(candidate, _OF_CANDIDATES))
        own: dict[int, tuple[int, str]] = {}
        """Of this piece: the number of a part -> where its text begins, and the text."""
        for number, part in enumerate(items(member(member(candidate, "content"), "parts"))):
            read = _read_part(part)
            if isinstance(read, Text):
                own[number] = (self._length, read.text)
                self._texts.append(read.text)
                self._length += len(read.text)
            if read:
                choice.parts.append(read)
                self._called = self._called or isinstance(read, ToolCall)
        choice.logprobs = _logprobs(member(candidate, "logprobsResult"))
        grounding = member(candidate, "groundingMetadata")
        queries = dict.fromkeys(filter(None, map(text_of, items(member(grounding, "webSearchQueries")))))
        choice.searches = [query for query in queries if query not in self._searched]
        self._searched.update(queries)
        found = self._citations(grounding, own)
        choice.citations = [citation for citation in dict.fromkeys(found) if citation not in self._cited]
        self._cited.update(found)
        if reason := text_of(member(candidate, "finishReason")):
            self.finished = True
            choice.finish, choice.native = self._finish(reason), NativeFinish("google", reason)
            if choice.finish is Finish.CONTENT_FILTER and not any(self._texts):
                choice.refusal = text_of(member(candidate, "finishMessage"))
        return choice

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
    """From which character until which. The text of the segment, where it is told, tells what is right."""
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


_OF_ANSWERS = both("candidates modelVersion responseId error")
_OF_CANDIDATES = both("content index finishReason")
_OF_PARTS = {
    "text": both("text thought thoughtSignature"),
    "functionCall": both("functionCall thoughtSignature id name args"),
    "functionResponse": both("functionResponse id name response parts"),
    "inlineData": both("inlineData thoughtSignature videoMetadata mediaResolution mimeType data"),
    "fileData": both("fileData thoughtSignature videoMetadata mediaResolution mimeType fileUri"),
}
"""Members of a kind of part, and of what is in it, that the neutral form holds."""


def _rest(value: object, known: frozenset[str]) -> Json:
    """What is not known of an object."""
    return {camel(name): value[name] for name in value.keys() - known} if isinstance(value, dict) else {}


def _read_part(part: object) -> Part | None:
    """None if there is nothing in it."""
    if not isinstance(part, dict):
        return None
    read, kind = _read_known(part)
    if isinstance(read, Text | Thought) and not read.text and not read.signature and "text" in part:
        return None
    if kind is None or part.keys() - _OF_PARTS[kind] or _rest(member(part, kind), _OF_PARTS[kind]):
        # A null is as good as nothing.
        read.google = part if any(value is not None for value in part.values()) else None
        return read if read.google else None
    return read


def _read_known(part: Json) -> tuple[Part, str | None]:
    """The part, and its kind if that is one which the neutral form holds."""
    signature = text_of(member(part, "thoughtSignature"))
    signed = Signature("google", signature) if signature else None
    is_thought = bool(member(part, "thought"))
    if isinstance(call := member(part, "functionCall"), dict):
        arguments = member(call, "args")
        return ToolCall(
            text_of(member(call, "id")),
            text_of(member(call, "name")) or "",
            arguments if isinstance(arguments, dict) else {},
            signed,
        ), "functionCall"
    if isinstance(result := member(part, "functionResponse"), dict):
        media = [one for one in map(_read_part, _listed(member(result, "parts"))) if isinstance(one, Media)]
        name, output = text_of(member(result, "name")) or "", member(result, "response")
        return ToolResult(text_of(member(result, "id")), name, output or {}, media), "functionResponse"
    if isinstance(text := member(part, "text"), str):
        return (Thought(text, signed) if is_thought else Text(text, signed)), "text"
    if is_thought:
        # A picture that the model drew while it thought is no part of its answer.
        return Thought("", signed), None
    if medium := _read_media(part):
        medium.signature = signed
        return medium, "inlineData" if medium.data is not None else "fileData"
    words = (read(value) for name, read in _IN_WORDS.items() if (value := member(part, name)) is not None)
    return Text(next(words, ""), signed), "text" if signed and len(part) == 1 else None


def _read_media(part: Json) -> Media | None:
    blob, file = member(part, "inlineData"), member(part, "fileData")
    data, uri = text_of(member(blob, "data")), text_of(member(file, "fileUri"))
    if not data and not uri:
        return None
    mime_type = text_of(member(blob if data else file, "mimeType")) or "application/octet-stream"
    clip, resolution = member(part, "videoMetadata"), member(part, "mediaResolution")
    level = text_of(member(resolution, "level")) or text_of(resolution) or ""
    detail = level.removeprefix("MEDIA_RESOLUTION_").lower()
    return Media(
        mime_type,
        data=data,
        uri=None if data else uri,
        detail=detail if detail in RESOLUTIONS else None,
        clip=clip if isinstance(clip, dict) else None,
    )


def _code_in_words(code: object) -> str:
    language = (text_of(member(code, "language")) or "").lower()
    return f"\n```{language}\n{text_of(member(code, 'code')) or ''}\n```\n"


def _output_in_words(result: object) -> str:
    output = text_of(member(result, "output"))
    return f"\n```\n{output}\n```\n" if output else ""


_IN_WORDS: dict[str, Callable[[object], str]] = {
    "executableCode": _code_in_words,
    "codeExecutionResult": _output_in_words,
}


def _logprobs(result: object) -> list[TokenLogprob] | None:
    chosen = items(member(result, "chosenCandidates"))
    tops = items(member(result, "topCandidates"))
    if not chosen:
        return None
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
    """proto3 JSON leaves out a 0, and writes an infinity as text."""
    try:
        return float(value) if isinstance(value, int | float | str) else 0.0
    except (ValueError, OverflowError):
        return 0.0


def _usage(usage: Json) -> Usage | None:
    reading = Reading()
    take_usage(reading, usage)
    return usage_of(reading)


# Answers, as Google's clients read them

_ANSWERING = family_of("gemini-3-pro")
"""Answers have all that the newest know."""
_REASONS = {
    Finish.STOP: "STOP",
    Finish.TOOL_CALLS: "STOP",
    Finish.LENGTH: "MAX_TOKENS",
    Finish.CONTENT_FILTER: "SAFETY",
}
_TRAFFIC = {tier: traffic for traffic, tier in SERVED_TIERS.items()}


def write_answer(answer: Answer, model: str) -> Json:
    """A GenerateContentResponse. `model` is what the client asked for, where the answer does not say what it got."""
    response: Json = {}
    if not _is_blocked(answer):
        response["candidates"] = [_candidate(choice) for choice in answer.choices]
    if usage := _usage_metadata(answer.usage, answer.service_tier):
        response["usageMetadata"] = usage
    response["modelVersion"] = answer.model or model
    if answer.id:
        response["responseId"] = answer.id
    return response | answer.google


def _is_blocked(answer: Answer) -> bool:
    """Whether Google refused the prompt: then there is no candidate."""
    return bool(member(answer.google.get("promptFeedback"), "blockReason"))


def _candidate(choice: Choice) -> Json:
    parts = [_part(part, _ANSWERING) for part in choice.parts]
    written: Json = {"content": {"role": "model"} | ({"parts": parts} if parts else {})}
    if reason := _finish_reason(choice):
        written["finishReason"] = reason
    written["index"] = choice.index
    if choice.refusal:
        written["finishMessage"] = choice.refusal
    if choice.logprobs is not None:
        written["logprobsResult"] = _logprobs_result(choice.logprobs)
    if choice.citations:
        texts = [part.text if isinstance(part, Text) else "" for part in choice.parts]
        written["groundingMetadata"] = _grounding_metadata(choice.citations, texts)
    return written | choice.google


def _finish_reason(choice: Choice) -> str | None:
    if choice.native and choice.native.issuer == "google":
        return choice.native.reason
    if choice.broken_call:
        return "MALFORMED_FUNCTION_CALL"
    if choice.refusal:
        return "SAFETY"
    return _REASONS[choice.finish] if choice.finish else None


def _logprobs_result(tokens: list[TokenLogprob]) -> Json:
    return {
        "chosenCandidates": [_log_probability(token) for token in tokens],
        "topCandidates": [{"candidates": [_log_probability(top) for top in token.top]} for token in tokens],
    }


def _log_probability(token: TokenLogprob) -> Json:
    return {"token": token.token, "logProbability": token.logprob}


def _grounding_metadata(citations: list[Citation], texts: list[str]) -> Json:
    """`texts` are those of the parts, "" for what is no text."""
    pages = list(dict.fromkeys((citation.url, citation.title) for citation in citations))
    spans: dict[tuple[int, int], list[int]] = {}
    for citation in citations:
        spans.setdefault((citation.start, citation.end), []).append(pages.index((citation.url, citation.title)))
    return {
        "groundingChunks": [{"web": {"uri": url} | ({"title": title} if title else {})} for url, title in pages],
        "groundingSupports": [
            {"segment": _segment(start, end, texts), "groundingChunkIndices": indices}
            for (start, end), indices in spans.items()
        ],
    }


def _segment(start: int, end: int, texts: list[str]) -> Json:
    """UTF-8 bytes, from characters: in the part that holds all of them, else in all the text. proto3 leaves out
    zeros."""
    base = 0
    number, text = 0, "".join(texts)
    for place, own in enumerate(texts):
        if base <= start < end <= base + len(own):
            number, text, start, end = place, own, start - base, end - base
            break
        base += len(own)
    counts = {
        "partIndex": number,
        "startIndex": len(text[:start].encode("utf-8", "replace")),
        "endIndex": len(text[:end].encode("utf-8", "replace")),
    }
    return {name: count for name, count in counts.items() if count} | {"text": text[start:end]}


def _usage_metadata(usage: Usage | None, tier: str | None) -> Json:
    """As Google counts: thoughts beside what can be seen. proto3 leaves out zeros."""
    written: Json = {}
    if usage:
        thoughts, output = usage.thoughts or 0, usage.output
        counts = {
            "promptTokenCount": usage.input,
            "candidatesTokenCount": None if output is None else max(output - thoughts, 0),
            "thoughtsTokenCount": thoughts,
            "cachedContentTokenCount": usage.cached,
            "totalTokenCount": None if output is None or usage.input is None else usage.input + output,
        }
        written |= {name: count for name, count in counts.items() if count}
        for name, modalities in (
            ("promptTokensDetails", usage.input_by_modality),
            ("candidatesTokensDetails", usage.output_by_modality),
        ):
            details = [{"modality": key.upper(), "tokenCount": count} for key, count in modalities.items() if count]
            written |= {name: details} if details else {}
    if traffic := _TRAFFIC.get(tier or ""):
        written["trafficType"] = traffic
    return written


class StreamWriter:
    """Writes the pieces of an answer as GenerateContentResponses: as server-sent events (`alt=sse`), else as the
    elements of one array.

    Why a choice ended is told at the very end, with the usage and all citations, as Google does it. A stream that
    breaks ends with an error (`fail`); nothing is said twice.
    """

    def __init__(self, model: str, as_events: bool) -> None:
        self._as_events = as_events
        self._head: Json = {"modelVersion": model}
        self._choices: dict[int, _WrittenCandidate] = {}
        self._usage: Usage | None = None
        self._tier: str | None = None
        self._google_usage: Json = {}
        self._blocked = False
        self._begun = False
        self._over = False
        self.failed = False
        """Whether it has ended with an error."""

    def write(self, answer: Answer) -> bytes:
        if self._over:
            return b""
        if answer.id:
            self._head["responseId"] = answer.id
        self._head["modelVersion"] = answer.model or self._head["modelVersion"]
        self._usage = answer.usage or self._usage
        self._tier = answer.service_tier or self._tier
        rest = dict(answer.google)
        if isinstance(usage := rest.pop("usageMetadata", None), dict):
            self._google_usage |= usage
        feedback = {"promptFeedback": rest.pop("promptFeedback")} if "promptFeedback" in rest else {}
        self._head |= rest
        self._blocked = self._blocked or _is_blocked(answer)
        candidates: list[Json] = []
        for choice in answer.choices if not self._blocked else []:
            candidates += self._choices.setdefault(choice.index, _WrittenCandidate(choice.index)).write(choice)
        if not candidates and not feedback:
            return b""
        return self._element(({"candidates": candidates} if candidates else {}) | feedback | self._head)

    def end(self) -> bytes:
        """All has come."""
        if self._over:
            return b""
        if not self._blocked and not (self._choices and all(one.ended for one in self._choices.values())):
            return self.fail(Failure(502, "The upstream ended its answer before its end.", "UNAVAILABLE"))
        last: Json = {"candidates": [one.end() for one in self._choices.values()]} if self._choices else {}
        if usage := self._google_usage or _usage_metadata(self._usage, self._tier):
            last["usageMetadata"] = usage
        return self._close(last | self._head)

    def fail(self, failure: Failure) -> bytes:
        """The answer breaks off."""
        if self._over:
            return b""
        self.failed = True
        return self._close(google_error(failure))

    def _close(self, document: Json) -> bytes:
        written = self._element(document)
        self._over = True
        return written if self._as_events else written + b"]"

    def _element(self, document: Json) -> bytes:
        before = b"data: " if self._as_events else b",\r\n" if self._begun else b"["
        self._begun = True
        return before + to_bytes(document) + (b"\r\n\r\n" if self._as_events else b"")


class _WrittenCandidate:
    def __init__(self, index: int) -> None:
        self._whole = Choice(index)
        """What is told at the end."""
        self._texts: list[str] = []

    @property
    def ended(self) -> bool:
        return bool(self._whole.finish)

    def write(self, choice: Choice) -> list[Json]:
        """A candidate, or none if there is nothing new to tell."""
        whole = self._whole
        whole.finish, whole.native = choice.finish or whole.finish, choice.native or whole.native
        whole.broken_call = whole.broken_call or choice.broken_call
        whole.refusal = (whole.refusal or "") + (choice.refusal or "") or None
        if "groundingMetadata" not in choice.google:
            whole.citations += choice.citations
        self._texts += [part.text for part in choice.parts if isinstance(part, Text)]
        if not choice.parts and not choice.logprobs and not choice.google:
            return []
        return [_candidate(Choice(choice.index, choice.parts, logprobs=choice.logprobs, google=choice.google))]

    def end(self) -> Json:
        # Clients take an event without parts for a broken one.
        last = _candidate(self._whole) | {"content": {"role": "model", "parts": [{"text": ""}]}}
        if self._whole.citations:
            last["groundingMetadata"] = _grounding_metadata(self._whole.citations, ["".join(self._texts)])
        return last
