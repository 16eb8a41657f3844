"""A request for images of an OpenAI client, read: images/generations, images/edits and images/variations.

Sources: OpenAI's API reference and its Python SDK.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field
from typing import Literal

from addons.translation import forms
from addons.translation import media
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Notes
from addons.translation.errors import InvalidRequest
from addons.translation.images.schema import EDIT_PARAMETERS
from addons.translation.images.schema import IMAGEN_PARAMETERS
from addons.translation.images.schema import SOURCES
from addons.translation.images.schema import EditType
from addons.translation.images.schema import ImageBody
from addons.translation.images.schema import ImageConfig
from addons.translation.images.schema import MaskMode
from addons.translation.images.sizes import SIZE
from addons.translation.validation import camel_or_snake
from addons.translation.validation import json_object
from addons.translation.validation import validated

Operation = Literal["generations", "edits", "variations"]


@dataclass(slots=True)
class ImageRequest:
    """A request in the form that those for Gemini and Imagen are written from."""

    operation: Operation
    model: str
    prompt: str
    images: list[Media] = field(default_factory=list)
    mask: Media | None = None
    n: int = 1
    size: str | None = None
    """Pixels, such as 1024x768."""
    aspect_ratio: str | None = None
    image_size: str | None = None
    """1K, 2K or 4K. These two are Google's words; where they are given, they win over `size`."""
    mime_type: str | None = None
    """The type of the images that are to be made."""
    compression: int | None = None
    """Their quality, in percent."""
    seed: int | None = None
    person_generation: str | None = None
    edit: EditType | None = None
    mask_mode: MaskMode | None = None
    mask_classes: list[int] | None = None
    dilation: float | None = None
    base_steps: int | None = None
    imagen: Json = field(default_factory=dict)
    """Parameters that only Imagen knows, in its own camelCase."""
    project: str | None = None
    location: str | None = None
    names: dict[str, str] = field(default_factory=dict)
    """Members that the client sent, in snake_case -> in its own spelling."""
    notes: Notes = field(default_factory=Notes)

    def drop(self, *names: str) -> None:
        """Notes that these members go nowhere, if the client sent them; once each, however often it is called."""
        for name in names:
            if (told := self.names.get(name)) and told not in self.notes.dropped:
                self.notes.dropped.append(told)

    def assume(self, told: str) -> None:
        """Notes what the client did not say and had to be, such as `imageSize=1K`; once."""
        if told not in self.notes.assumed:
            self.notes.assumed.append(told)

    def note_only_1k(self, tier: str | None) -> None:
        """Notes, for a model that makes 1K only, that the tier which the client wanted goes nowhere."""
        if self.image_size:
            self.drop("image_size", "image_config")
        elif tier not in (None, "1K"):
            self.assume("imageSize=1K")

    def output_options(self) -> Json:
        """Type and quality of the images, in the words of both Gemini and Imagen; empty if the client wants none."""
        options = {"mimeType": self.mime_type, "compressionQuality": self.compression}
        return {name: value for name, value in options.items() if value is not None}

    def seed_of_call(self, number: int, least: int) -> Json:
        """The member `seed` for one of several calls, counted from 0; empty if the client sent none. Each call has
        another seed, as else all would make the same image. It is an int32, as Google wants, and not below `least`; the
        same for the same seed of the client."""
        if self.seed is None:
            return {}
        seed = self.seed + number
        return {"seed": seed if least <= seed < 2**31 else least + seed % (2**31 - least)}


VARIATION_PROMPT = "Create variations of the provided image."
"""The prompt for variations, for which OpenAI's clients send none."""


def read_request(operation: Operation, content_type: str, raw: bytes) -> ImageRequest:
    """`raw` is JSON or multipart/form-data, as `content_type` says. Raises InvalidRequest."""
    body = _read_body(content_type, raw)
    asked = validated(ImageBody, body)
    if asked.stream:
        raise InvalidRequest("streaming of images is not supported by Vertex AI", "stream")
    prompt = asked.prompt or (VARIATION_PROMPT if operation == "variations" else None)
    if not prompt or not prompt.strip():
        raise InvalidRequest("prompt: a text is required", "prompt")
    config = asked.image_config or ImageConfig()
    ratio, tier = asked.aspect_ratio or config.aspect_ratio, asked.image_size or config.image_size
    extra = asked.model_extra or {}
    request = ImageRequest(
        operation,
        asked.model,
        prompt,
        n=asked.n or 1,
        size=_read_size(asked.size),
        aspect_ratio=None if ratio == "auto" else ratio,
        image_size=tier.upper() if tier else None,
        mime_type=media.mime_type_of(asked.output_format) if asked.output_format else None,
        compression=_read_compression(asked),
        seed=asked.seed,
        person_generation=asked.person_generation,
        imagen={
            theirs: value for ours, theirs in IMAGEN_PARAMETERS.items() if (value := getattr(asked, ours)) is not None
        },
        project=asked.project_id,
        location=asked.region,
        names=_names(asked, body),
        notes=Notes([name for name, value in extra.items() if value not in (None, False, "", "auto", [], {})]),
    )
    if asked.response_format == "url":
        request.drop("response_format")
    if operation == "generations":
        request.drop(*SOURCES, "mask", *EDIT_PARAMETERS)
        return request
    request.images = [_picture(value, param, request) for param, value in _sources(body)]
    if not request.images:
        raise InvalidRequest("image: an image is required", "image")
    if operation == "variations":
        request.drop("mask", *EDIT_PARAMETERS)
        return request
    if asked.mask is not None:
        request.mask = _picture(asked.mask, "mask", request)
    request.edit, request.mask_mode, request.mask_classes = asked.type, asked.mask_mode, asked.mask_classes
    request.dilation, request.base_steps = asked.dilation, asked.base_steps
    return request


def _read_body(content_type: str, raw: bytes) -> Json:
    if forms.is_form(content_type):
        return forms.body_of((name, value) for name, value in forms.read(content_type, raw) if value != "")
    return json_object(raw)


def _names(asked: ImageBody, body: Json) -> dict[str, str]:
    """`names` of the request."""
    given = (name for name in ImageBody.model_fields if getattr(asked, name) is not None)
    return {name: next(told for told in camel_or_snake(name).choices if told in body) for name in given}


def _read_size(size: str | None) -> str | None:
    if size is None or size.lower() == "auto":
        return None
    if not SIZE.fullmatch(size.lower()):
        raise InvalidRequest("size: write width and height such as 1024x1024, or auto", "size")
    return size.lower()


def _read_compression(asked: ImageBody) -> int | None:
    if asked.output_compression is None or asked.output_format not in (None, "png"):
        return asked.output_compression
    if asked.output_compression < 100:
        raise InvalidRequest("output_compression: less than 100 is for jpeg and webp only", "output_compression")
    return None


def _sources(body: Json) -> Iterable[tuple[str, object]]:
    """The images to edit: where each is in the body (`image[0]`), and what is there."""
    for name in SOURCES:
        value = body.get(name)
        if isinstance(value, list):
            yield from ((f"{name}[{number}]", one) for number, one in enumerate(value))
        elif value is not None:
            yield name, value


def _picture(value: object, param: str, request: ImageRequest) -> Media:
    """An image out of an uploaded file, a URL, or an object that holds a URL; `param` is where it is in the body."""
    match value:
        case forms.FormFile():
            picture = Media(_type_of(value), data=base64.b64encode(value.data).decode("ascii"))
        case str(url) | {"url": str(url)} | {"image_url": str(url)} | {"image_url": {"url": str(url)}}:
            picture = media.from_url(url, None, param) or Media("", uri=url)
        case _:
            raise InvalidRequest(f"{param}: upload a file, or write a data:, http(s):// or gs:// URL", param)
    if picture.data == "":
        raise InvalidRequest(f"{param}: there is no data", param)
    if not picture.mime_type:
        picture.mime_type = "image/jpeg"
        request.assume(f"{param}=image/jpeg")
    if not picture.mime_type.startswith("image/"):
        raise InvalidRequest(f"{param}: this is no image, but {picture.mime_type}", param)
    return picture


def _type_of(file: forms.FormFile) -> str:
    """The media type of an upload: as the client says, unless that tells nothing; else by its bytes or its name."""
    if file.mime_type and file.mime_type != "application/octet-stream":
        return media.mime_type_of(file.mime_type) or ""
    return media.image_type(file.data) or media.type_by_name(file.name) or ""
