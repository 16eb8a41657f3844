"""Parts of Gemini's contents: writes them from the parts of the neutral form, and reads them into these.

If a Part has members that the neutral form has no place for, the whole Part is kept in the field `google`, and is
written again as it was.

Source: Part in the discovery document of aiplatform v1.
"""

import json
from collections.abc import Callable

from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from addons.translation.gemini.families import Family
from addons.translation.gemini.schema import as_list
from addons.translation.signatures import google_value
from addons.translation.validation import NOTHING
from addons.translation.validation import camel
from metering.json_values import both
from metering.json_values import items
from metering.json_values import member
from metering.json_values import text_of

RESOLUTIONS = ("low", "medium", "high", "ultra_high")
"""Resolutions at which Gemini can read media, the lowest first. `low` stands for MEDIA_RESOLUTION_LOW."""
RESULT_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"})
"""Media types that a `functionResponse` may have in its `parts` (Google's page on function calling)."""


def write_part(part: Part, family: Family, signature: str | None = None) -> Json:
    """Gemini's Part for a part of the neutral form. `signature` is the thought signature that it gets if `part` has
    none of Google's."""
    if part.google:
        return part.google
    if isinstance(part, ToolResult):
        return _write_result(part, family)
    if isinstance(part, Media):
        return write_media(part, family)
    written: Json = {}
    if isinstance(part, Text):
        written["text"] = part.text
    elif isinstance(part, Thought):
        written |= {"text": part.text, "thought": True}
    else:
        call: Json = {"name": part.name, "args": part.arguments}
        if part.id and family.takes_call_ids:
            call["id"] = part.id
        written["functionCall"] = call
    if signature := google_value(part.signature) or signature:
        written["thoughtSignature"] = signature
    return written


def write_media(media: Media, family: Family) -> Json:
    """A Part with `inlineData` or `fileData`, and the members that belong to it, such as `videoMetadata`."""
    written = write_data(media)
    if media.clip:
        written["videoMetadata"] = media.clip
    if signature := google_value(media.signature):
        written["thoughtSignature"] = signature
    if media.detail and family.resolution_per == "part":
        written["mediaResolution"] = {"level": f"MEDIA_RESOLUTION_{media.detail.upper()}"}
    return written


def _write_result(result: ToolResult, family: Family) -> Json:
    output = result.output
    if _has_ref(output):
        # Google would read a `$ref` in a function's result as a reference to one of its `parts`.
        output = json.dumps(output, ensure_ascii=False)
    if result.is_error:
        response: object = {"error": output}
    else:
        response = output if isinstance(output, dict) else {"output": output}
    written: Json = {"name": result.name, "response": response}
    if result.id and family.takes_call_ids:
        written["id"] = result.id
    if parts := [write_data(medium) for medium in result.media if stands_in_result(medium, family)]:
        written["parts"] = parts
    return {"functionResponse": written}


def stands_in_result(medium: Media, family: Family) -> bool:
    """Whether a function result of a family can have this medium in its `parts`."""
    return family.media_in_results and medium.mime_type in RESULT_TYPES


def write_data(media: Media) -> Json:
    """A Part with `inlineData` or `fileData` only, as function results and requests for images take it."""
    if media.uri is not None:
        return {"fileData": {"mimeType": media.mime_type, "fileUri": media.uri}}
    return {"inlineData": {"mimeType": media.mime_type, "data": media.data}}


def _has_ref(value: object) -> bool:
    """Whether there is a member `$ref` at any depth."""
    if isinstance(value, dict):
        return "$ref" in value or any(map(_has_ref, value.values()))
    return isinstance(value, list) and any(map(_has_ref, value))


_KNOWN = {
    "text": both("text thought thoughtSignature"),
    "functionCall": both("functionCall thoughtSignature id name args"),
    "functionResponse": both("functionResponse id name response parts"),
    "inlineData": both("inlineData thoughtSignature videoMetadata mediaResolution mimeType data"),
    "fileData": both("fileData thoughtSignature videoMetadata mediaResolution mimeType fileUri"),
}
"""Kind of Part -> the members that the neutral form has a place for: those of the Part, and those of the object in it
(`functionCall.name`). Each in both spellings."""


def unknown_members(value: object, known: frozenset[str]) -> Json:
    """The members of an object that are not in `known`, in camelCase. Empty if `value` is no object."""
    if not isinstance(value, dict) or value.keys() <= known:
        return {}
    return {camel(name): inner for name, inner in value.items() if name not in known}


def unknown_in(part: object) -> list[str]:
    """The members of a Part that the neutral form has no place for and that ask for something, such as
    `functionResponse.scheduling`. Empty if its whole kind is unknown."""
    kind = next((kind for kind in _KNOWN if member(part, kind) is not None), None)
    if kind is None:
        return []
    inside = unknown_members(member(part, kind), _KNOWN[kind])
    found = unknown_members(part, _KNOWN[kind]) | {f"{kind}.{name}": value for name, value in inside.items()}
    return [name for name, value in found.items() if value not in NOTHING]


def read_part(part: object) -> Part | None:
    """The neutral form of a Part, parsed from JSON, with names in camelCase or snake_case. None if it is empty."""
    if not isinstance(part, dict):
        return None
    if len(part) == 1 and isinstance(text := part.get("text"), str):
        # Most parts of a stream.
        return Text(text) if text else None
    read, kind = _read_known(part)
    if isinstance(read, Text | Thought) and not read.text and not read.signature and "text" in part:
        return None
    if kind is None or part.keys() - _KNOWN[kind] or unknown_members(member(part, kind), _KNOWN[kind]):
        # A Part whose members are all null is empty.
        read.google = part if any(value is not None for value in part.values()) else None
        return read if read.google else None
    return read


def _read_known(part: Json) -> tuple[Part, str | None]:
    """The neutral form of a Part, and its kind in `_KNOWN`; None for a kind that is not there."""
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
        media = [one for one in map(read_part, listed(member(result, "parts"))) if isinstance(one, Media)]
        name, output = text_of(member(result, "name")) or "", member(result, "response")
        return ToolResult(text_of(member(result, "id")), name, output or {}, media), "functionResponse"
    if isinstance(text := member(part, "text"), str):
        return (Thought(text, signed) if is_thought else Text(text, signed)), "text"
    if is_thought:
        # An image that is part of a thought is no part of the answer: it is kept in `google` only.
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
"""Member of a Part -> the text that clients of other dialects get instead."""


def listed(value: object) -> list[object]:
    """The values of a repeated field as a list. proto3 JSON allows a single value in place of a list."""
    return items(as_list(value))
