"""Pydantic models of what messages contain: texts, images, sound, video, files. They are the same in chat completions
and in Responses.

Sources: OpenAI's API reference; for video and files by URL, which OpenAI does not have, the documentation of other
gateways; for `cache_control` Anthropic's page on prompt caching, and LiteLLM's on where it takes it.
"""

from typing import Annotated
from typing import Literal

from pydantic import BeforeValidator
from pydantic import Discriminator
from pydantic import Field
from pydantic import Tag

from addons.translation.conversation import Json
from addons.translation.validation import GoogleModel
from addons.translation.validation import Model
from addons.translation.validation import lower
from addons.translation.validation import member_of_text


class VideoMetadata(GoogleModel):
    fps: Annotated[float, Field(gt=0, le=24)] | None = None
    start_offset: Annotated[str, Field(pattern=r"^\d{1,9}(\.\d{1,9})?s$")] | None = None
    end_offset: Annotated[str, Field(pattern=r"^\d{1,9}(\.\d{1,9})?s$")] | None = None


class CacheControl(Model):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class CacheBreakpoint(Model):
    mode: Literal["explicit"] = "explicit"
    ttl: str | None = None


class Cached(Model):
    """An object that may have a `cache_control`: Claude caches the request up to and including it. That of a message
    counts for its last part. OpenAI's name of it is `prompt_cache_breakpoint`."""

    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None

    @property
    def cache(self) -> Json | None:
        known = {"type", "ttl"}
        if self.cache_control:
            return self.cache_control.model_dump(include=known, exclude_none=True)
        if self.prompt_cache_breakpoint:
            # Claude keeps what it caches for five minutes, or for an hour.
            lasting: Json = {"ttl": "1h"} if self.prompt_cache_breakpoint.ttl else {}
            return {"type": "ephemeral"} | lasting
        return None


Detail = Annotated[Literal["auto", "original", "low", "medium", "high", "ultra_high"], BeforeValidator(lower)]
DETAILS = {"auto": None, "original": "ultra_high"}
"""OpenAI's words for a detail -> `Media.detail`. All other words are the same."""


class MediaUrl(Model):
    url: str
    detail: Detail | None = None
    format: str | None = None
    mime_type: str | None = None
    video_metadata: VideoMetadata | None = None


class TextPart(Cached):
    type: Literal["text", "input_text", "output_text"]
    text: str


class RefusalPart(Cached):
    type: Literal["refusal"]
    refusal: str


class ImagePart(Cached):
    type: Literal["image_url"]
    image_url: Annotated[MediaUrl, BeforeValidator(member_of_text("url"))]


class VideoPart(Cached):
    type: Literal["video_url", "input_video"]
    video_url: Annotated[MediaUrl, BeforeValidator(member_of_text("url"))]
    video_metadata: VideoMetadata | None = None


class AudioUrlPart(Cached):
    type: Literal["audio_url"]
    audio_url: Annotated[MediaUrl, BeforeValidator(member_of_text("url"))]


class InputAudio(Model):
    data: str
    format: str


class AudioPart(Cached):
    type: Literal["input_audio"]
    input_audio: InputAudio


class File(Model):
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None
    format: str | None = None
    mime_type: str | None = None


class FilePart(Cached):
    type: Literal["file"]
    file: File


class InputImagePart(Cached):
    """An image as Responses have it: its members stand beside its type."""

    type: Literal["input_image"]
    image_url: str | None = None
    file_id: str | None = None
    detail: Detail | None = None


class InputFilePart(File, Cached):
    """A file as Responses have it: its members stand beside its type."""

    type: Literal["input_file"]


ContentPart = Annotated[
    TextPart
    | RefusalPart
    | ImagePart
    | VideoPart
    | AudioUrlPart
    | AudioPart
    | FilePart
    | InputImagePart
    | InputFilePart,
    Field(discriminator="type"),
]


def kind_of_content(value: object) -> str:
    return "text" if isinstance(value, str) else "parts"


Content = Annotated[
    Annotated[str, Tag("text")] | Annotated[list[ContentPart], Tag("parts")], Discriminator(kind_of_content)
]
