"""Gemini: GenerateContentRequest written, GenerateContentResponse and Google's errors read.

Sources: the discovery document of aiplatform v1, Google's reference of generateContent. A request written here
holds against that document; what an answer holds may be missing, in either case of letters, or new.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from addons.translation import json_schema
from addons.translation import signatures
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Failure
from addons.translation.conversation import Finish
from addons.translation.conversation import Function
from addons.translation.conversation import InvalidRequest
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Notes
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import TokenLogprob
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.conversation import Usage
from addons.translation.errors import read_error
from addons.translation.thinking import Family
from addons.translation.thinking import family_of
from addons.translation.thinking import settle
from addons.translation.thinking import thinking_config
from metering.call import Reading
from metering.usage.gemini import merge
from metering.usage.gemini import take_usage
from metering.usage.google import items
from metering.usage.google import member

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
MODES = {"none": "NONE", "auto": "AUTO", "required": "ANY"}
RESOLUTIONS = ("low", "medium", "high", "ultra_high")
"""Details of media, in order."""
TIERS = frozenset({"priority", "flex"})
TIER_HEADER = "x-vertex-ai-llm-shared-request-type"
"""What asks for one (Google's pages on Priority PayGo and Flex PayGo)."""
DEFAULT_TIERS = frozenset({"auto", "default", "standard"})
SEARCHES = frozenset({"googleSearch", "googleSearchRetrieval", "enterpriseWebSearch", "googleMaps", "urlContext"})
MOST_CANDIDATES = 8


class Written(NamedTuple):
    body: Json
    headers: dict[str, str]
    notes: Notes


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
        body["toolConfig"] = {"functionCallingConfig": calling}
    config = _generation_config(request, family)
    if request.google:
        body |= request.google.request
        config |= request.google.generation_config
        if (dropped := settle(config.get("thinkingConfig"), family)) is not None:
            notes.dropped.append(f"google.thinking_config.{dropped}")
    if config:
        body["generationConfig"] = config
    headers = {TIER_HEADER: request.service_tier} if request.service_tier in TIERS else {}
    if request.service_tier and request.service_tier not in TIERS | DEFAULT_TIERS:
        notes.dropped.append("service_tier")
    return Written(body, headers, notes)


def _generation_config(request: Request, family: Family) -> Json:
    config: Json = {theirs: value for ours, theirs in SAMPLING.items() if (value := getattr(request, ours)) is not None}
    if request.n is not None and request.n > MOST_CANDIDATES:
        raise InvalidRequest(f"Gemini gives {MOST_CANDIDATES} choices at most", "n")
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
        if request.functions and family.generation == 2:
            # "Function calling with a response mime type: 'application/json' is unsupported"
            request.notes.dropped.append("response_format")
        else:
            config["responseMimeType"] = "application/json"
            if request.format.schema is not None:
                config["responseJsonSchema"] = json_schema.for_gemini(request.format.schema)
    if request.thinking:
        thinking = thinking_config(request.thinking, family)
        if thinking:
            config["thinkingConfig"] = thinking
        elif request.thinking.effort != "none":
            request.notes.dropped.append(request.thinking.param)
    details = _details(request.turns)
    if details and family.generation == 0:
        request.notes.dropped.append("detail")
    if details and family.generation == 2:
        level = max(details, key=RESOLUTIONS.index).upper()
        config["mediaResolution"] = f"MEDIA_RESOLUTION_{'HIGH' if level == 'ULTRA_HIGH' else level}"
    return config


def _details(turns: list[Turn]) -> list[str]:
    return [part.detail for turn in turns for part in turn.parts if isinstance(part, Media) and part.detail]


def _tools(request: Request, family: Family) -> list[Json]:
    tools: list[Json] = []
    if request.functions:
        tools.append({"functionDeclarations": [_declaration(function) for function in request.functions]})
    for name, param in request.server_tools.items():
        if name in SEARCHES and request.functions and family.generation < 3:
            # "Tool use with function calling is unsupported"
            request.notes.dropped.append(param)
        else:
            tools.append({name: {}})
    return tools


def _declaration(function: Function) -> Json:
    declaration: Json = {"name": function.name}
    if function.description:
        declaration["description"] = function.description
    if function.parameters is not None and not json_schema.is_empty(function.parameters):
        declaration["parametersJsonSchema"] = json_schema.for_gemini(function.parameters)
    return declaration


def _contents(request: Request, family: Family) -> list[Json]:
    # A conversation of instructions only still needs a turn.
    turns = request.turns or [Turn("user", list(request.system))]
    contents: list[Json] = []
    for turn in turns:
        if turn.role == "user":
            contents += _user_contents(turn.parts, family)
        else:
            contents.append({"role": "model", "parts": _model_parts(turn.parts, family)})
    return contents


def _user_contents(parts: list[Part], family: Family) -> list[Json]:
    """A turn of the user: one content, or two, as answers to function calls must stand alone."""
    results = [part for part in parts if isinstance(part, ToolResult)]
    rest: list[Json] = []
    if family.generation < 3:
        # Before Gemini 3 an answer to a function call holds no media.
        rest += [_media(media, family) for result in results for media in result.media]
    rest += [_part(part, family) for part in parts if isinstance(part, Text | Media)]
    contents: list[Json] = []
    if results:
        contents.append({"role": "user", "parts": [_result(result, family) for result in results]})
    if rest:
        contents.append({"role": "user", "parts": rest})
    return contents


def _model_parts(parts: list[Part], family: Family) -> list[Json]:
    calls = [part for part in parts if isinstance(part, ToolCall)]
    lost = family.generation >= 3 and calls and not any(_signature(call.signature) for call in calls)
    return [
        _part(part, family, signatures.MISSING if lost and part is calls[0] else None)
        for part in parts
        if isinstance(part, Text | Media | ToolCall)
    ]


def _part(part: Text | Media | ToolCall, family: Family, signature: str | None = None) -> Json:
    if isinstance(part, Media):
        return _media(part, family)
    written: Json = {}
    if isinstance(part, Text):
        written["text"] = part.text
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
        answer = Answer(id=_text(member(document, "responseId")), model=_text(member(document, "modelVersion")))
        if isinstance(usage := member(document, "usageMetadata"), dict):
            merge(self._usage, usage)
            answer.usage = _usage(self._usage)
            answer.service_tier = SERVED_TIERS.get(_text(member(usage, "trafficType")) or "")
        for position, candidate in enumerate(items(member(document, "candidates"))):
            index = member(candidate, "index")
            index = index if isinstance(index, int) and index >= 0 else position
            answer.choices.append(self._candidate(index).read(index, candidate))
        feedback = member(document, "promptFeedback")
        if not answer.choices and (reason := member(feedback, "blockReason")):
            why = _text(member(feedback, "blockReasonMessage")) or f"The prompt was blocked ({reason})."
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
        self._cited: set[Citation] = set()
        """Those that were told: the events of a stream may repeat them."""

    def read(self, index: int, candidate: object) -> Choice:
        choice = Choice(index)
        own: dict[int, tuple[int, str]] = {}
        """Of this piece: the number of a part -> where its text begins, and the text."""
        for number, part in enumerate(items(member(member(candidate, "content"), "parts"))):
            read = _read_part(part)
            if isinstance(read, Text):
                own[number] = (sum(map(len, self._texts)), read.text)
                self._texts.append(read.text)
            if read:
                choice.parts.append(read)
                self._called = self._called or isinstance(read, ToolCall)
        choice.logprobs = _logprobs(member(candidate, "logprobsResult"))
        found = self._citations(member(candidate, "groundingMetadata"), own)
        choice.citations = [citation for citation in dict.fromkeys(found) if citation not in self._cited]
        self._cited.update(found)
        if reason := _text(member(candidate, "finishReason")):
            self.finished = True
            choice.finish = self._finish(reason)
            if choice.finish is Finish.CONTENT_FILTER and not any(self._texts):
                choice.refusal = _text(member(candidate, "finishMessage"))
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
            span = _span(segment, own.get(_number(member(segment, "partIndex"))), whole)
            for number in items(member(support, "groundingChunkIndices")):
                chunk = chunks[number] if isinstance(number, int) and 0 <= number < len(chunks) else None
                page = next(filter(None, (member(chunk, kind) for kind in ("web", "maps", "retrievedContext"))), None)
                if span and (url := _text(member(page, "uri"))):
                    citations.append(Citation(*span, url, _text(member(page, "title")) or ""))
        return citations


def _span(segment: object, part: tuple[int, str] | None, whole: str) -> tuple[int, int] | None:
    """From which character until which. The text of the segment, where it is told, tells what is right."""
    start, end, said = (
        _number(member(segment, "startIndex")),
        _number(member(segment, "endIndex")),
        _text(member(segment, "text")),
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


def _read_part(part: object) -> Part | None:
    signature = _text(member(part, "thoughtSignature"))
    signed = Signature("google", signature) if signature else None
    if call := member(part, "functionCall"):
        arguments = member(call, "args")
        return ToolCall(
            _text(member(call, "id")),
            _text(member(call, "name")) or "",
            arguments if isinstance(arguments, dict) else {},
            signed,
        )
    if isinstance(text := member(part, "text"), str):
        if member(part, "thought"):
            return Thought(text, signed) if text or signed else None
        return Text(text, signed) if text or signed else None
    for name, read in _PARTS.items():
        if (value := member(part, name)) is not None:
            written = None if member(part, "thought") else read(value)
            if signed and isinstance(written, Text | Media):
                written.signature = signed
            return written
    return Text("", signed) if signed else None


def _read_blob(blob: object) -> Part | None:
    data, mime_type = _text(member(blob, "data")), _text(member(blob, "mimeType"))
    return Media(mime_type or "application/octet-stream", data=data) if data else None


def _read_file(file: object) -> Part | None:
    uri, mime_type = _text(member(file, "fileUri")), _text(member(file, "mimeType"))
    return Media(mime_type or "application/octet-stream", uri=uri) if uri else None


def _read_code(code: object) -> Part | None:
    language = (_text(member(code, "language")) or "").lower()
    return Text(f"\n```{language}\n{_text(member(code, 'code')) or ''}\n```\n")


def _read_code_result(result: object) -> Part | None:
    output = _text(member(result, "output"))
    return Text(f"\n```\n{output}\n```\n") if output else None


_PARTS: dict[str, Callable[[object], Part | None]] = {
    "inlineData": _read_blob,
    "fileData": _read_file,
    "executableCode": _read_code,
    "codeExecutionResult": _read_code_result,
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
        _text(member(token, "token")) or "",
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
    """Counts as the ledger has them: all input with tool use, all output with thoughts."""
    reading = Reading()
    take_usage(reading, usage)
    if reading.input_tokens is None and reading.output_tokens is None:
        return None
    return Usage(
        reading.input_tokens,
        reading.output_tokens,
        reading.input_cached_tokens,
        reading.output_thought_tokens,
        reading.input_by_modality or {},
        reading.output_by_modality or {},
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object, default: int = 0) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default
