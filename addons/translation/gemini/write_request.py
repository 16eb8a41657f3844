"""Writes a request for Gemini, a GenerateContentRequest, from the neutral form.

Sources: GenerateContentRequest in the discovery document of aiplatform v1; Google's reference of generateContent.
"""

from dataclasses import replace

from addons.translation import json_schema
from addons.translation import signatures
from addons.translation.conversation import DEFAULT_TIERS
from addons.translation.conversation import Function
from addons.translation.conversation import Google
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Notes
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.conversation import Written
from addons.translation.errors import InvalidRequest
from addons.translation.gemini.families import Family
from addons.translation.gemini.families import family_of
from addons.translation.gemini.parts import RESOLUTIONS
from addons.translation.gemini.parts import write_media
from addons.translation.gemini.parts import write_part
from addons.translation.gemini.schema import MODES
from addons.translation.gemini.schema import SAMPLING
from addons.translation.gemini.thinking import drop_budget_or_level
from addons.translation.gemini.thinking import thinking_config

TIERS = frozenset({"priority", "flex"})
"""OpenAI's service tiers that Vertex AI has too, under the same names."""
TIER_HEADER = "x-vertex-ai-llm-shared-request-type"
"""The header that asks for one of TIERS (Google's pages on Priority PayGo and Flex PayGo)."""
SEARCHES = frozenset({"googleSearch", "googleSearchRetrieval", "enterpriseWebSearch", "googleMaps", "urlContext"})
"""Server tools that search. Not every family takes them together with functions."""
MOST_CANDIDATES = 8
"""The largest `candidateCount` (Google's reference of generateContent)."""


def write_request(request: Request) -> Written:
    """A GenerateContentRequest, headers to send with it, and notes that name what it could not hold. `request` is not
    changed. Raises InvalidRequest for what Gemini cannot do."""
    family = family_of(request.model)
    # The notes are copied: the request may be written for another service too, which drops other things.
    notes = Notes([*request.notes.dropped], [*request.notes.assumed])
    request = replace(request, notes=notes)
    body: Json = {"contents": _contents(request, family)}
    if request.system and request.turns:
        body["systemInstruction"] = {"parts": [{"text": part.text} for part in request.system]}
    if tools := _tools(request, family):
        body["tools"] = tools
    if request.tool_choice and request.functions:
        body["toolConfig"] = {"functionCallingConfig": request.tool_choice.google or _calling(request.tool_choice)}
    config = _generation_config(request, family)
    if request.google:
        _add_google(request.google, body, config)
        if (gone := drop_budget_or_level(config.get("thinkingConfig"), family)) is not None:
            path = request.google.names.get("thinkingConfig", "generationConfig.thinkingConfig")
            notes.dropped.append(f"{path}.{gone}")
    if config:
        body["generationConfig"] = config
    headers = {TIER_HEADER: request.service_tier} if request.service_tier in TIERS else {}
    _note_dropped(request)
    return Written(body, headers, notes)


def _calling(choice: ToolChoice) -> Json:
    """A FunctionCallingConfig."""
    if not choice.names or choice.mode == "none":
        return {"mode": MODES[choice.mode]}
    # Names are allowed with ANY and VALIDATED only. With VALIDATED the model may also answer with text.
    mode = "ANY" if choice.mode == "required" else "VALIDATED"
    return {"mode": mode, "allowedFunctionNames": choice.names}


def _add_google(google: Google, body: Json, config: Json) -> None:
    """Adds settings that only Gemini has to a body and its GenerationConfig. Objects are merged into those there."""
    for name, value in google.request.items():
        if name == "systemInstruction" and name not in body:
            # This holds the role only. The instructions were written as a turn, so there is nothing to add it to.
            continue
        written = body.get(name)
        body[name] = written | value if isinstance(written, dict) and isinstance(value, dict) else value
    config |= google.generation_config


def _note_dropped(request: Request) -> None:
    dropped = request.notes.dropped
    request.notes.drop(*request.unusable("google"))
    if request.service_tier and request.service_tier not in TIERS | DEFAULT_TIERS:
        dropped.append(request.named("service_tier"))
    if request.parallel_tool_calls is False:
        dropped.append(request.named("parallel_tool_calls"))
    if request.user:
        dropped.append(request.named("user"))
    if request.caches():
        # Gemini caches by itself, or uses what `cached_content` names.
        request.notes.drop(request.named("cache", "cache_control"))


def _generation_config(request: Request, family: Family) -> Json:
    config: Json = {theirs: value for ours, theirs in SAMPLING.items() if (value := getattr(request, ours)) is not None}
    if request.n is not None and request.n > MOST_CANDIDATES:
        raise InvalidRequest(f"Gemini returns at most {MOST_CANDIDATES} choices", request.named("n"))
    if request.seed is not None:
        # Gemini's seed is an int32. Equal seeds of clients stay equal.
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
        elif request.functions and not family.json_with_functions:
            request.notes.dropped.append(request.format.param)
        else:
            config["responseMimeType"] = "application/json"
            if request.format.described is not None:
                config["responseJsonSchema"] = json_schema.for_gemini(request.format.described)
    if request.thinking:
        thinking = request.thinking.google or thinking_config(request.thinking, family, request.notes)
        if thinking:
            config["thinkingConfig"] = thinking
        elif request.thinking.effort != "none":
            request.notes.dropped.append(request.thinking.param)
    details = _details(request.turns)
    if details and family.resolution_per is None:
        request.notes.dropped.append(request.named("detail"))
    if details and family.resolution_per == "request":
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
        if name in SEARCHES and request.functions and not family.search_with_functions:
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
    # If there are only instructions, they become the user's turn: Gemini needs one.
    turns = request.turns or [Turn("user", list(request.system))]
    contents: list[Json] = []
    for turn in turns:
        if turn.role == "user":
            contents += _user_contents(turn.parts, family)
        elif parts := _model_parts(turn.parts, family):
            # A turn that has only Claude's thoughts has no parts for Gemini, and is left out.
            contents.append({"role": "model", "parts": parts})
    if not contents:
        raise InvalidRequest(
            "the conversation has only thoughts of another model; write a text", request.named("turns", "messages")
        )
    return contents


def _user_contents(parts: list[Part], family: Family) -> list[Json]:
    """The contents of a user turn: one, or two if it has function results and other parts. Gemini wants function
    results in a content of their own."""
    results = [part for part in parts if isinstance(part, ToolResult)]
    rest: list[Json] = []
    if not family.media_in_results:
        # Media of results go into the second content.
        rest += [write_media(media, family) for result in results if not result.google for media in result.media]
    rest += [write_part(part, family) for part in parts if isinstance(part, Text | Media)]
    contents: list[Json] = []
    if results:
        contents.append({"role": "user", "parts": [write_part(result, family) for result in results]})
    if rest:
        contents.append({"role": "user", "parts": rest})
    return contents


def _model_parts(parts: list[Part], family: Family) -> list[Json]:
    """The parts of a turn of the model. Thoughts are among them only if a Gemini client sent them. If the calls have
    lost their signatures, the first call gets a value that Google accepts instead."""
    calls = [part for part in parts if isinstance(part, ToolCall)]
    lost = family.needs_signatures and calls and not any(signatures.google_value(call.signature) for call in calls)
    return [
        write_part(part, family, signatures.MISSING if lost and part is calls[0] else None)
        for part in parts
        if isinstance(part, Text | Media | ToolCall) or part.google
    ]
