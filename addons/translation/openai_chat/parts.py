"""Parts of messages, for chat completions and Responses: reads content, arguments and results of function calls; writes
ids, signatures and URLs.

Sources: OpenAI's API reference; for `extra_content` Google's pages on its own OpenAI endpoint; for video and files by
URL what other gateways take (they are no part of OpenAI's API).
"""

import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal
from typing import Protocol
from typing import assert_never

from pydantic_core import from_json

from addons.translation import media
from addons.translation import signatures
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Notes
from addons.translation.conversation import Part
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.errors import InvalidRequest
from addons.translation.openai_chat import content_schema
from addons.translation.validation import DEEPEST
from addons.translation.validation import is_finite
from metering.json_values import member
from metering.json_values import text_of

# Reading


class Message(Protocol):
    """A message with content, of chat completions or Responses."""

    cache_control: content_schema.CacheControl | None
    prompt_cache_breakpoint: content_schema.CacheBreakpoint | None

    @property
    def content(self) -> content_schema.Content: ...

    @property
    def cache(self) -> Json | None: ...


def read_content(message: Message, path: str, notes: Notes) -> list[Part]:
    """The parts of a message that has content only. `path` is its path in the body: `messages[0]`. Raises
    InvalidRequest."""
    parts = read_parts(message.content, f"{path}.content", notes)
    take_cache(parts, message, path, notes)
    return parts


def read_instructions(message: Message, path: str, notes: Notes) -> list[Text]:
    """The texts of a system or developer message. Raises InvalidRequest if it has anything but text."""
    parts = read_content(message, path, notes)
    if not all(isinstance(part, Text) for part in parts):
        raise InvalidRequest("instructions must be text", f"{path}.content")
    return [part for part in parts if isinstance(part, Text)]


def read_parts(content: content_schema.Content, path: str, notes: Notes) -> list[Part]:
    """The parts of content, which is a string or a list of parts. Empty texts are left out. Raises InvalidRequest."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    parts: list[Part] = []
    for number, written in enumerate(content):
        part = _read_part(written, f"{path}[{number}]", notes)
        read = [part] if part else []
        take_cache(read, written, f"{path}[{number}]", notes)
        parts += read
    return parts


def take_cache(parts: Sequence[Part], holder: Message | content_schema.Cached, path: str, notes: Notes) -> None:
    """Gives the `cache_control` of a message or part at `path` to the last of its `parts`, unless that has its own."""
    if not (cache := holder.cache):
        return
    if parts and not isinstance(parts[-1], Thought):
        parts[-1].cache = parts[-1].cache or cache
    else:
        notes.drop(f"{path}.{'cache_control' if holder.cache_control else 'prompt_cache_breakpoint'}")


def sign_message(parts: list[Part], message: object) -> None:
    """Gives Google's signature of a message, which stands beside its content, to the part that it belongs to. `message`
    is the message as it came.

    That is the last text. If there is an image, and no image has its own signature, it is the last image, which comes
    after the text. If there is nothing to sign, an empty text is added."""
    if not (value := signatures.of_google(message)):
        return
    media = [part for part in parts if isinstance(part, Media)]
    texts = [part for part in parts if isinstance(part, Text)]
    signed: Text | Media
    if media and not any(part.signature for part in media):
        signed = media[-1]
    elif texts:
        signed = texts[-1]
    else:
        signed = Text("")
        parts.append(signed)
    signed.signature = Signature("google", value)


_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)[^,]{0,99};base64,")


def read_image(image: object) -> list[Media]:
    """The image of an answer, from the `image_url` of its `images`, as a list of one; empty if it is none."""
    url = text_of(member(image, "url")) or text_of(image) or ""
    if match := _DATA_URL.match(url):
        return [Media(match[1], data=url[match.end() :])]
    is_link = url.startswith(("http://", "https://", "gs://"))
    return [Media(media.type_by_name(url.partition("?")[0]) or "image/png", uri=url)] if is_link else []


def sound_type(data: str) -> str:
    """The media type of sound in an answer, by how its base64 begins: WAV has RIFF, MP3 has ID3 or its sync bits."""
    beginnings = {"UklGR": "audio/wav", "SUQz": "audio/mpeg", "//": "audio/mpeg"}
    known = (mime_type for beginning, mime_type in beginnings.items() if data.startswith(beginning))
    return next(known, "audio/L16;codec=pcm;rate=24000")


def add_parts(turns: list[Turn], role: Literal["user", "assistant"], parts: list[Part]) -> None:
    """Adds parts to the last turn if that has the same role, else as a new turn."""
    if not parts:
        return
    if turns and turns[-1].role == role:
        turns[-1].parts += parts
    else:
        turns.append(Turn(role, parts))


def read_arguments(text: str, param: str) -> Json:
    """The arguments of a function call, parsed from JSON; {} for an empty string. Raises InvalidRequest."""
    try:
        arguments = from_json(text, allow_inf_nan=False) if text.strip() else {}
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict) or not is_finite(arguments):
        raise InvalidRequest(f"the arguments must be a JSON object, at most {DEEPEST} levels deep", param)
    return arguments


def read_result(call: ToolCall, parts: list[Part], cache: Json | None) -> ToolResult:
    """The result of a function call, from the parts of its content. `cache` is the message's. Claude can only cache a
    result as a whole, so without it the last `cache` of the parts is used."""
    text = "".join(part.text for part in parts if isinstance(part, Text))
    caches = [part.cache for part in parts if isinstance(part, Text | Media) and part.cache]
    media = [replace(part, cache=None) for part in parts if isinstance(part, Media)]
    return ToolResult(call.id, call.name, _read_output(text), media, cache=cache or (caches[-1] if caches else None))


def _read_output(text: str) -> object:
    """The output of a function: a JSON object is parsed, any other text is returned as it is."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        output = from_json(text, allow_inf_nan=False)
    except ValueError:
        return text
    return output if is_finite(output) else text


def _read_part(part: content_schema.ContentPart, path: str, notes: Notes) -> Part | None:
    """A part of content in the neutral form; None for an empty text. Raises InvalidRequest."""
    match part:
        case content_schema.TextPart():
            return Text(part.text) if part.text else None
        case content_schema.RefusalPart():
            return Text(part.refusal) if part.refusal else None
        case content_schema.ImagePart():
            return _read_link(part.image_url, f"{path}.image_url", notes, default="image/jpeg")
        case content_schema.VideoPart():
            linked = _read_link(part.video_url, f"{path}.video_url", notes)
            linked.clip = _read_clip(part.video_metadata) or linked.clip
            return linked
        case content_schema.AudioUrlPart():
            linked = _read_link(part.audio_url, f"{path}.audio_url", notes)
            # Some file extensions are used for both audio and video.
            linked.mime_type = linked.mime_type.replace("video/", "audio/")
            return linked
        case content_schema.AudioPart():
            return _read_audio(part.input_audio, f"{path}.input_audio")
        case content_schema.FilePart():
            return _read_file(part.file, f"{path}.file", notes)
        case content_schema.InputImagePart():
            if part.image_url is None:
                raise InvalidRequest(
                    "no files are stored here: send the image itself in image_url",
                    f"{path}.file_id",
                )
            link = content_schema.MediaUrl(url=part.image_url, detail=part.detail)
            return _read_link(link, f"{path}.image_url", notes, default="image/jpeg", param=f"{path}.image_url")
        case content_schema.InputFilePart():
            return _read_file(part, path, notes)
    assert_never(part)


def _read_link(
    link: content_schema.MediaUrl, path: str, notes: Notes, default: str | None = None, param: str | None = None
) -> Media:
    """The media at a URL. `default` is the type if it is unknown; `param` is the path of the URL if not `path`.url."""
    param = param or f"{path}.url"
    mime_type = _read_type(link.mime_type or link.format, path)
    linked = media.from_url(link.url, mime_type, param)
    if linked is None:
        linked = Media("", uri=link.url)
    if not linked.mime_type:
        if default is None:
            raise InvalidRequest("the type of this URL is unknown; write it in `mime_type`", param)
        linked.mime_type = default
        notes.assumed.append(f"{path}={default}")
    linked.detail = content_schema.DETAILS.get(link.detail, link.detail) if link.detail else None
    linked.clip = _read_clip(link.video_metadata)
    return linked


def _read_type(text: str | None, path: str) -> str | None:
    """The media type that a client gives; None if it gives none. Raises InvalidRequest if it is no media type."""
    if text is None:
        return None
    if mime_type := media.mime_type_of(text):
        return mime_type
    raise InvalidRequest("this is not a media type; write one such as image/png", path)


def _read_clip(clip: content_schema.VideoMetadata | None) -> Json | None:
    return clip.model_dump(by_alias=True, exclude_none=True) or None if clip else None


def _read_audio(audio: content_schema.InputAudio, path: str) -> Media:
    mime_type = media.mime_type_of(audio.format, media.AUDIO_TYPES)
    if not mime_type or not mime_type.startswith("audio/"):
        raise InvalidRequest("this is not an audio format; write one such as wav or mp3", f"{path}.format")
    if audio.data.startswith("data:"):
        read = media.from_url(audio.data, mime_type, f"{path}.data")
        assert read
        return read
    return Media(mime_type, data=media.base64_of(audio.data, f"{path}.data"))


def _read_file(file: content_schema.File, path: str, notes: Notes) -> Media:
    given = _read_type(file.mime_type or file.format, path)
    by_name = media.type_by_name(file.filename) if file.filename else None
    read = _read_bytes(file, given, path) if file.file_data is not None else None
    if read is None:
        param = f"{path}.file_url" if file.file_url else f"{path}.file_id"
        url = file.file_url or file.file_id
        if not url or "://" not in url:
            raise InvalidRequest(
                "no files are stored here: send file_data, or a gs:// or https:// URL as file_url", param
            )
        read = media.from_url(url, given or by_name, param)
        if read is None:
            raise InvalidRequest("the type of this URL is unknown; write it in `mime_type`", param)
        told = by_name if not given else None
    else:
        told = by_name if not read.mime_type else None
        read.mime_type = read.mime_type or by_name or "application/pdf"
    if file.filename and not told:
        # A name is of use only if it tells the type.
        notes.drop(f"{path}.filename")
    return read


def _read_bytes(file: content_schema.File, mime_type: str | None, path: str) -> Media:
    """The file in `file_data`. Its type is empty if neither `mime_type` nor a data URL tells it."""
    assert file.file_data is not None
    param = f"{path}.file_data"
    if file.file_data.startswith("data:"):
        read = media.from_url(file.file_data, mime_type, param)
        assert read
        return read
    return Media(mime_type or "", data=media.base64_of(file.file_data, param))


# Writing


def url_of(medium: Media) -> str:
    """The URI of media; for inline media, a data URL with their bytes."""
    return medium.uri if medium.uri is not None else f"data:{medium.mime_type};base64,{medium.data}"


def write_call(call: ToolCall, id: str) -> Json:
    """A tool call in the form of chat completions, without its signature."""
    function = {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}
    return {"id": id, "type": "function", "function": function}


def call_id(call: ToolCall) -> str:
    """The id of a tool call, or a new one, with Google's signature appended (see `signatures`)."""
    id = call.id or f"call_{uuid.uuid4().hex[:24]}"
    return signatures.with_signature(id, signatures.google_value(call.signature))


def extra_content(signature: Signature | None) -> Json:
    """The member `extra_content`, in which Google's own OpenAI endpoint puts a signature. Empty if there is none of
    Google's."""
    value = signatures.google_value(signature)
    return {"extra_content": {"google": {"thought_signature": value}}} if value else {}
