"""A client's request in Gemini's dialect, read into the neutral form.

Sources: GenerateContentRequest in the discovery document of aiplatform v1; what Google's SDKs send, as captured from
google-genai. Members may come in camelCase and in snake_case, as proto3 JSON has it.
"""

from typing import Literal

from addons.translation import json_schema
from addons.translation import media
from addons.translation.conversation import Effort
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
"""Members of our `Request` and its parts -> where a client that speaks Gemini has them, for what it is told."""
LEVELS: dict[str, Effort] = {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high"}
"""`thinkingLevel` -> effort."""


def read_request(model: str, body: Json, *, stream: bool) -> Request:
    """The request in `body`, a GenerateContentRequest that was parsed from JSON. `model` and `stream` are what its
    path says. Raises InvalidRequest."""
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
        raise InvalidRequest("there is nothing in the contents", "contents")
    return request


def _camel_case(members: Json | None) -> Json:
    """Members by their names in camelCase, which wins where one is given in both ways."""
    found = members or {}
    return {camel(name): value for name, value in found.items() if camel(name) == name or camel(name) not in found}


def _read_instruction(instruction: object, request: Request, google: Google) -> None:
    for number, raw in enumerate(listed(member(instruction, "parts"))):
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
        request.tool_choice = ToolChoice(modes[0] if modes else "auto", allowed, _as_given(calling))


def _as_given(model: GoogleModel) -> Json:
    """The members that the client gave, and no others, in camelCase."""
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
        request.thinking = Thinking(
            LEVELS.get(thinking.thinking_level or ""),
            thinking.thinking_budget,
            thinking.include_thoughts,
            "generationConfig.thinkingConfig",
            _as_given(thinking),
        )


def _read_contents(contents: list[object], request: Request, google: Google) -> None:
    """Fills the turns of the request. They alternate: neighbours of one role become one turn, as Google's chats keep
    each event of a stream as a content of its own. The results of a turn's calls stand together, in the order of the
    calls."""
    calls = _OpenCalls()
    for number, content in enumerate(contents):
        path = f"contents[{number}]"
        parts = _read_parts(listed(member(content, "parts")), path, google)
        role: Literal["user", "assistant"] = "assistant" if member(content, "role") == "model" else "user"
        if role == "assistant":
            if any(isinstance(part, ToolResult) for part in parts):
                raise InvalidRequest("write a functionResponse into a content of the user", path)
            calls.add(parts, path)
        else:
            if any(isinstance(part, ToolCall) for part in parts):
                raise InvalidRequest('write a functionCall into a content of role "model"', path)
            parts = [*calls.take_results(parts, path), *(part for part in parts if not isinstance(part, ToolResult))]
            if parts:
                calls.refuse_open(path)
        if parts and request.turns and request.turns[-1].role == role:
            request.turns[-1].parts += parts
        elif parts:
            request.turns.append(Turn(role, parts))
    calls.refuse_open(f"contents[{len(contents) - 1}]")


def _read_parts(raws: list[object], path: str, google: Google) -> list[Part]:
    """The parts of a content. Those that mean nothing to others than Gemini are named in `google.elsewhere`."""
    parts: list[Part] = []
    for place, raw in enumerate(raws):
        if part := read_part(raw):
            _normalize(part, raw, f"{path}.parts[{place}]")
            parts.append(part)
            if isinstance(part, Text) and part.google and not part.text:
                google.elsewhere.append(f"{path}.parts[{place}]")
    return parts


def _normalize(part: Part, raw: object, path: str) -> None:
    """Keeps a thought as it came, to give it back as it was; makes the base64 of media what Google takes. Raises
    InvalidRequest for what is no base64."""
    if isinstance(part, Thought) and isinstance(raw, dict):
        part.google = raw
    for medium in part.media if isinstance(part, ToolResult) else [part]:
        if isinstance(medium, Media) and medium.data is not None:
            medium.data = media.base64_of(medium.data, path)


class _OpenCalls:
    """The calls of the last turn of the model that wait for their results, and the results that have come."""

    def __init__(self) -> None:
        self._calls: list[ToolCall] = []
        self._results: dict[int, ToolResult] = {}
        """Place of a call in `_calls` -> its result."""

    def add(self, parts: list[Part], path: str) -> None:
        """Takes the calls of a content of the model. Raises InvalidRequest if only some results of the calls before
        have come."""
        if self._results:
            self.refuse_open(path)
        self._calls += [part for part in parts if isinstance(part, ToolCall)]

    def take_results(self, parts: list[Part], path: str) -> list[ToolResult]:
        """All results in the order of their calls, once the last has come; until then none. A result belongs to the
        call with its id, else to the next with its name. Raises InvalidRequest if there is none."""
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

    def refuse_open(self, path: str) -> None:
        """Raises InvalidRequest if a call still waits."""
        if self._calls:
            raise InvalidRequest("each functionCall needs a functionResponse in the content behind it", path)
