"""Writes a request for Gemini, a GenerateContentRequest, from the neutral form.

Sources: GenerateContentRequest in the discovery document of aiplatform v1; Google's reference of generateContent.
"""

from dataclasses import replace

from addons.translation import json_schema
from addons.translation.conversation import DEFAULT_TIERS
from addons.translation.conversation import Function
from addons.translation.conversation import Google
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Notes
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import Turn
from addons.translation.conversation import Written
from addons.translation.errors import InvalidRequest
from addons.translation.function_names import Names
from addons.translation.gemini.contents import write_contents
from addons.translation.gemini.families import Family
from addons.translation.gemini.families import family_of
from addons.translation.gemini.parts import RESOLUTIONS
from addons.translation.gemini.schema import FUNCTION_NAMES
from addons.translation.gemini.schema import MODES
from addons.translation.gemini.schema import SAMPLING
from addons.translation.gemini.speech import VOICES
from addons.translation.gemini.speech import is_given
from addons.translation.gemini.thinking import beside_own
from addons.translation.gemini.thinking import fit_config
from addons.translation.gemini.thinking import thinking_config

TIERS = frozenset({"priority", "flex"})
"""OpenAI's service tiers that Vertex AI has too, under the same names."""
TIER_HEADER = "x-vertex-ai-llm-shared-request-type"
"""The header that asks for one of TIERS (Google's pages on Priority PayGo and Flex PayGo)."""
SEARCHES = frozenset({"googleSearch", "googleSearchRetrieval", "enterpriseWebSearch", "googleMaps", "urlContext"})
"""Server tools that search. Not every family takes them together with functions."""
MOST_CANDIDATES = 8
"""The largest `candidateCount` (Google's reference of generateContent)."""
REFUSED = {
    "temperature": "takes_sampling",
    "top_p": "takes_sampling",
    "top_k": "takes_sampling",
    "presence_penalty": "takes_penalties",
    "frequency_penalty": "takes_penalties",
    "logprobs": "takes_logprobs",
    "top_logprobs": "takes_logprobs",
}
"""Fields of our `Request` -> the field of a Family that tells whether its models take them."""


def write_request(request: Request) -> Written:
    """A GenerateContentRequest, headers to send with it, and notes that name what it could not hold. `request` is not
    changed. Raises InvalidRequest for what Gemini cannot do."""
    family = family_of(request.model)
    # The notes are copied: the request may be written for another service too, which drops other things.
    notes = Notes([*request.notes.dropped], [*request.notes.assumed])
    own = request.google.generation_config.get("thinkingConfig") if request.google else None
    request = replace(request, notes=notes, thinking=beside_own(request.thinking, own, notes))
    request = _without_refused(request, family)
    request = Names(request, FUNCTION_NAMES).applied(request)
    body: Json = {"contents": write_contents(request, family)}
    if request.system and request.turns:
        body["systemInstruction"] = {"parts": [{"text": part.text} for part in request.system]}
    if tools := _tools(request):
        body["tools"] = tools
    if request.tool_choice and request.functions:
        body["toolConfig"] = {"functionCallingConfig": request.tool_choice.google or _calling(request.tool_choice)}
    config = _generation_config(request, family)
    if request.google:
        _add_google(request.google, body, config)
        path = request.google.names.get("thinkingConfig", "generationConfig.thinkingConfig")
        fit_config(config.get("thinkingConfig"), family, path, notes)
    if config:
        body["generationConfig"] = config
    headers = {TIER_HEADER: request.service_tier} if request.service_tier in TIERS else {}
    _note_dropped(request)
    return Written(body, headers, notes)


def _without_refused(request: Request, family: Family) -> Request:
    """The request without what the family refuses, which is named in its notes, and with what it gets instead."""
    for name, flag in REFUSED.items():
        value = getattr(request, name)
        if value is not None and not getattr(family, flag):
            # Without penalties and log probabilities the model does what 0 and False ask for.
            if value or flag == "takes_sampling":
                request.notes.drop(request.named(name))
            setattr(request, name, None)
    if request.functions and not family.takes_functions:
        if request.tool_choice and request.tool_choice.mode == "required":
            raise InvalidRequest("this model calls no functions: leave tool_choice out", request.named("tool_choice"))
        request.notes.drop("tools")
        request = replace(request, functions=[], tool_choice=None)
    if request.functions and not family.search_with_functions:
        searches = {name: param for name, param in request.server_tools.items() if name in SEARCHES}
        request.notes.dropped += searches.values()
        kept = {name: param for name, param in request.server_tools.items() if name not in SEARCHES}
        request = replace(request, server_tools=kept)
    return _with_instructions(_with_modalities(request, family), family)


def _with_instructions(request: Request, family: Family) -> Request:
    """The request with an instruction to answer in JSON if the family takes no other, and with its instructions where
    the family takes them."""
    form, notes = request.format, request.notes
    takes_json = family.takes_json and (family.json_with_tools or not (request.functions or request.server_tools))
    if form and not form.google and not takes_json:
        request = replace(request, format=None)
        if "text" not in (family.gives or ("text",)):
            notes.drop(form.param)
        else:
            notes.assumed.append(f"{form.param}=instruction")
            request = replace(request, system=[*request.system, Text(json_schema.instruction(form.schema))])
    if request.system and request.turns and not family.takes_instructions:
        notes.assumed.append(f"{request.named('turns', 'messages')}[0]=instructions")
        first, *others = request.turns
        said = [first] if first.role == "assistant" else []
        begun = Turn("user", [*request.system, *([] if said else first.parts)])
        request = replace(request, system=[], turns=[begun, *said, *others])
    return request


def _with_modalities(request: Request, family: Family) -> Request:
    """The request with the modalities that the family gives, and with a voice only if it gives sound."""
    gives, asked = family.gives, request.modalities
    if gives is None:
        return request
    if request.voice and "audio" not in gives:
        request.notes.drop(request.named("voice"))
        request = replace(request, voice=None, audio_format=None)
    if (not asked and "text" in gives) or (asked and set(asked) <= {*gives} and gives[-1] in asked):
        return request
    if not {*(asked or ())} <= {*gives, "text"}:
        request.notes.drop(request.named("modalities"))
    # A model that gives images or sound must be asked for them. A model that gives text only need not be asked.
    modalities: list[str] | None = [*gives] if gives != ("text",) else None
    if modalities:
        request.notes.assumed.append(f"{request.named('modalities')}={'+'.join(modalities)}")
    return replace(request, modalities=modalities)


def _calling(choice: ToolChoice) -> Json:
    """A FunctionCallingConfig."""
    if not choice.names or choice.mode == "none":
        return {"mode": MODES[choice.mode]}
    # Names are allowed with ANY and VALIDATED only. With VALIDATED the model may also answer with text.
    mode = "ANY" if choice.mode == "required" else "VALIDATED"
    return {"mode": mode, "allowedFunctionNames": choice.names}


def _add_google(google: Google, body: Json, config: Json) -> None:
    """Adds settings that only Gemini has to a body and its GenerationConfig. Objects are merged into those there."""
    for members, added in ((body, google.request), (config, google.generation_config)):
        for name, value in added.items():
            if name == "systemInstruction" and name not in body:
                # This holds the role only. The instructions were written as a turn, so there is nothing to add it to.
                continue
            written = members.get(name)
            members[name] = written | value if isinstance(written, dict) and isinstance(value, dict) else value


def _note_dropped(request: Request) -> None:
    dropped = request.notes.dropped
    request.notes.drop(*request.unusable("google"))
    if request.service_tier and request.service_tier not in TIERS | DEFAULT_TIERS:
        dropped.append(request.named("service_tier"))
    if request.audio_format and not is_given(request):
        dropped.append(request.named("audio_format"))
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
        voice = VOICES.get(request.voice.lower(), request.voice)
        config["speechConfig"] = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}}
        if voice != request.voice:
            request.notes.assumed.append(f"{request.named('voice')}.voice={voice}")
    if request.format:
        if request.format.google:
            config |= request.format.google
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


def _tools(request: Request) -> list[Json]:
    settings = request.google.tools if request.google else {}
    declared = [_declaration(function) for function in request.functions]
    tools: list[Json] = [{"functionDeclarations": declared}] if declared else []
    return tools + [{name: settings.get(name, {})} for name in request.server_tools]


def _declaration(function: Function) -> Json:
    declaration: Json = {"name": function.name}
    if function.description:
        declaration["description"] = function.description
    if function.google:
        declaration |= function.google
    elif function.parameters is not None and not json_schema.is_empty(function.parameters):
        declaration["parametersJsonSchema"] = json_schema.for_gemini(function.parameters)
    return declaration
