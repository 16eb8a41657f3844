"""Reads a client's request in Gemini's dialect, a GenerateContentRequest, into the neutral form.

Sources: GenerateContentRequest in the discovery document of aiplatform v1; what Google's SDKs send, as captured from
google-genai. Members may be in camelCase or snake_case, as in all proto3 JSON.
"""

from typing import Literal

from addons.translation import json_schema
from addons.translation import media
from addons.translation.conversation import Format
from addons.translation.conversation import Function
from addons.translation.conversation import Google
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.errors import InvalidRequest
from addons.translation.gemini.parts import listed
from addons.translation.gemini.parts import read_part
from addons.translation.gemini.parts import unknown_in
from addons.translation.gemini.schema import LEVELS
from addons.translation.gemini.schema import MODES
from addons.translation.gemini.schema import SAMPLING
from addons.translation.gemini.schema import FunctionDeclaration
from addons.translation.gemini.schema import GenerateContentRequest
from addons.translation.gemini.schema import GenerationConfig
from addons.translation.validation import NO_VALUE
from addons.translation.validation import GoogleModel
from addons.translation.validation import camel
from addons.translation.validation import is_finite
from addons.translation.validation import validated
from metering.json_values import member
from metering.json_values import snake

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
"""Fields of our `Request` and its parts -> their paths in a GenerateContentRequest, for messages to the client."""


def read_request(model: str, body: Json, *, stream: bool) -> Request:
    """The request in `body`, a GenerateContentRequest, parsed from JSON. `model` and `stream` come from the path of the
    HTTP request. Raises InvalidRequest."""
    asked = validated(GenerateContentRequest, body)
    if not is_finite(body):
        raise InvalidRequest(NO_VALUE)
    google = Google(_camel_case(asked.model_extra))
    request = Request(model, stream=stream, include_usage=True, google=google, names=NAMES)
    _read_instruction(member(body, "systemInstruction"), request, google)
    _read_tools(asked, request, google)
    if (config := asked.generation_config) is not None:
        _read_generation_config(config, request, google)
    _read_contents(listed(member(body, "contents")), request, google)
    if not request.turns and not request.system:
        raise InvalidRequest("the contents are empty; write a text", "contents")
    return request


def _camel_case(members: Json | None) -> Json:
    """The members with their names in camelCase. If one is given in both spellings, camelCase wins."""
    found = members or {}
    return {camel(name): value for name, value in found.items() if camel(name) == name or camel(name) not in found}


def _read_instruction(instruction: object, request: Request, google: Google) -> None:
    for number, raw in enumerate(listed(member(instruction, "parts"))):
        if not isinstance(text := member(raw, "text"), str):
            raise InvalidRequest("instructions must be text", f"systemInstruction.parts[{number}]")
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
        raise InvalidRequest("two functions have the same name; rename one", "tools")
    if asked.tool_config is None:
        return
    if rest := _camel_case(asked.tool_config.model_extra):
        google.request["toolConfig"] = rest
    if calling := asked.tool_config.function_calling_config:
        allowed = calling.allowed_function_names or []
        path = "toolConfig.functionCallingConfig"
        google.elsewhere += [f"{path}.{name}" for name in _camel_case(calling.model_extra)]
        if request.functions and not names.issuperset(allowed):
            raise InvalidRequest(
                "each name here must be that of one of the functionDeclarations", f"{path}.allowedFunctionNames"
            )
        modes = [ours for ours, theirs in MODES.items() if theirs == calling.mode]
        request.tool_choice = ToolChoice(modes[0] if modes else "auto", allowed, _as_given(calling))


def _as_given(model: GoogleModel) -> Json:
    """The members that the client gave, in camelCase."""
    return model.model_dump(by_alias=True, exclude_unset=True)


def _read_declaration(declaration: FunctionDeclaration) -> Function:
    given = _as_given(declaration)
    for name in ("name", "description"):
        given.pop(name, None)
    schema = declaration.parameters_json_schema
    if schema is None and declaration.parameters is not None:
        schema = json_schema.from_openapi(declaration.parameters)
    return Function(declaration.name, declaration.description, schema, given or None)


def _read_generation_config(config: GenerationConfig, request: Request, google: Google) -> None:
    given = _as_given(config)
    if not given:
        google.request["generationConfig"] = {}
    for ours, theirs in SAMPLING.items():
        setattr(request, ours, getattr(config, snake(theirs)))
    request.seed, request.logprobs, request.top_logprobs = config.seed, config.response_logprobs, config.logprobs
    if config.response_modalities:
        request.modalities = [modality.lower() for modality in config.response_modalities]
    google.generation_config = _camel_case(config.model_extra)
    form = {
        name: value
        for name in ("responseMimeType", "responseSchema", "responseJsonSchema")
        if (value := given.get(name)) is not None
    }
    if config.response_mime_type in (None, "application/json") and form:
        schema = config.response_json_schema
        if schema is None and config.response_schema is not None:
            schema = json_schema.from_openapi(config.response_schema)
        request.format = Format(schema, google=form)
    else:
        google.generation_config |= form
    if thinking := config.thinking_config:
        path = "generationConfig.thinkingConfig"
        google.elsewhere += [f"{path}.{name}" for name in _camel_case(thinking.model_extra)]
        request.thinking = Thinking(
            LEVELS.get(thinking.thinking_level or ""),
            thinking.thinking_budget,
            thinking.include_thoughts,
            path,
            _as_given(thinking),
        )


def _read_contents(contents: list[object], request: Request, google: Google) -> None:
    """Adds the contents to the turns of the request. Contents of the same role that follow one another become one turn:
    the chats of Google's SDKs keep each event of a stream as a content. The results of a turn's calls become one
    turn, in the order of the calls."""
    calls = _OpenCalls()
    for number, content in enumerate(contents):
        path = f"contents[{number}]"
        parts = _read_parts(listed(member(content, "parts")), path, google)
        role: Literal["user", "assistant"] = "assistant" if member(content, "role") == "model" else "user"
        if role == "assistant":
            if any(isinstance(part, ToolResult) for part in parts):
                raise InvalidRequest('a functionResponse must be in a content of role "user"', path)
            calls.add(parts, path)
        else:
            if any(isinstance(part, ToolCall) for part in parts):
                raise InvalidRequest('a functionCall must be in a content of role "model"', path)
            parts = [*calls.take_results(parts, path), *(part for part in parts if not isinstance(part, ToolResult))]
            if parts:
                calls.refuse_open(path)
        if parts and request.turns and request.turns[-1].role == role:
            request.turns[-1].parts += parts
        elif parts:
            request.turns.append(Turn(role, parts))
    calls.refuse_open(f"contents[{len(contents) - 1}]")


def _read_parts(raws: list[object], path: str, google: Google) -> list[Part]:
    """The parts of a content. The paths of those that only Gemini knows are added to `google.elsewhere`."""
    parts: list[Part] = []
    for place, raw in enumerate(raws):
        if part := read_part(raw):
            _normalize(part, raw, f"{path}.parts[{place}]")
            parts.append(part)
            if isinstance(part, Text) and part.google and not part.text:
                google.elsewhere.append(f"{path}.parts[{place}]")
            google.elsewhere += [f"{path}.parts[{place}].{name}" for name in unknown_in(raw)]
    return parts


def _normalize(part: Part, raw: object, path: str) -> None:
    """Keeps the whole Part of a thought, so that Google gets it back unchanged. Converts the base64 of media to the
    form that Google takes. Raises InvalidRequest if it is no base64."""
    if isinstance(part, Thought) and isinstance(raw, dict):
        part.google = raw
    for medium in part.media if isinstance(part, ToolResult) else [part]:
        if isinstance(medium, Media) and medium.data is not None:
            medium.data = media.base64_of(medium.data, path)


class _OpenCalls:
    """The calls of the model's last turn, and those of their results that have been read."""

    def __init__(self) -> None:
        self._calls: list[ToolCall] = []
        self._results: dict[int, ToolResult] = {}
        """Index of a call in `_calls` -> its result."""

    def add(self, parts: list[Part], path: str) -> None:
        """Adds the calls in a content of the model. Raises InvalidRequest if some, but not all, of the calls before
        have their results."""
        if self._results:
            self.refuse_open(path)
        self._calls += [part for part in parts if isinstance(part, ToolCall)]

    def take_results(self, parts: list[Part], path: str) -> list[ToolResult]:
        """Adds the results in `parts`. Returns all results in the order of their calls if the last one is among them,
        else none. A result belongs to the call with its id, else to the next call of its name. Raises InvalidRequest if
        there is no such call."""
        for result in parts:
            if not isinstance(result, ToolResult):
                continue
            open_calls = [place for place in range(len(self._calls)) if place not in self._results]
            by_id = [place for place in open_calls if result.id and self._calls[place].id == result.id]
            by_name = [place for place in open_calls if self._calls[place].name == result.name]
            if not by_id and not by_name:
                raise InvalidRequest("a functionResponse has no matching functionCall before it", path)
            self._results[(by_id or by_name)[0]] = result
        if len(self._results) < len(self._calls):
            return []
        results = [self._results[place] for place in range(len(self._calls))]
        self._calls = []
        self._results = {}
        return results

    def refuse_open(self, path: str) -> None:
        """Raises InvalidRequest if a call has no result yet."""
        if self._calls:
            raise InvalidRequest("each functionCall needs a functionResponse in the next content", path)
