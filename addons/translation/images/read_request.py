"""Reads an OpenAI client's request for images: images/generations, images/edits and images/variations.

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
    """A request for images, in the form from which the requests for Gemini and Imagen are written."""

    operation: Operation
    model: str
    prompt: str
    images: list[Media] = field(default_factory=list)
    mask: Media | None = None
    n: int = 1
    size: str | None = None
    """OpenAI's size in pixels, such as 1024x768."""
    aspect_ratio: str | None = None
    """Google's ratio of width to height, such as 16:9. It wins over `size`."""
    image_size: str | None = None
    """Google's size: 1K, 2K or 4K. It wins over `size`."""
    mime_type: str | None = None
    """The media type of the images that are to be made."""
    compression: int | None = None
    """The quality of these images, in percent."""
    seed: int | None = None
    person_generation: str | None = None
    edit: EditType | None = None
    mask_mode: MaskMode | None = None
    mask_classes: list[int] | None = None
    dilation: float | None = None
    base_steps: int | None = None
    imagen: Json = field(default_factory=dict)
    """Parameters that only Imagen has, by its own names in camelCase."""
    project: str | None = None
    location: str | None = None
    names: dict[str, str] = field(default_factory=dict)
    """Members that the client sent, in snake_case -> the client's spelling."""
    notes: Notes = field(default_factory=Notes)

    def drop(self, *names: str) -> None:
        """Adds members, named in snake_case, to `notes.dropped` if the client sent them and they are not there yet."""
        for name in names:
            if (told := self.names.get(name)) and told not in self.notes.dropped:
                self.notes.dropped.append(told)

    def assume(self, told: str) -> None:
        """Adds a value that the client did not give, such as `imageSize=1K`, to `notes.assumed`, unless it is there."""
        if told not in self.notes.assumed:
            self.notes.assumed.append(told)

    def note_only_1k(self, tier: str | None) -> None:
        """Notes, for a model that makes images of 1K only, that it cannot make the size the client wants. `tier` is
        that size: 1K, 2K or 4K."""
        if self.image_size:
            self.drop("image_size", "image_config")
        elif tier not in (None, "1K"):
            self.assume("imageSize=1K")

    def output_options(self) -> Json:
        """Type and quality of the images, as both Gemini and Imagen take them; empty if the client gives neither."""
        options = {"mimeType": self.mime_type, "compressionQuality": self.compression}
        return {name: value for name, value in options.items() if value is not None}

    def seed_of_call(self, number: int, least: int) -> Json:
        """The member `seed` of the request with this number, counted from 0; empty if the client sent no seed. Each
        request has another seed, as otherwise all would make the same image. It depends on the client's seed and the
        number only, is an int32, as Google wants it, and at least `least`."""
        if self.seed is None:
            return {}
        seed = self.seed + number
        return {"seed": seed if least <= seed < 2**31 else least + seed % (2**31 - least)}


VARIATION_PROMPT = "Create variations of the provided image."
"""The prompt for images/variations. OpenAI's clients send none there."""


def read_request(operation: Operation, content_type: str, raw: bytes) -> ImageRequest:
    """The request in the body `raw`, JSON or multipart/form-data, as `content_type` says. Raises InvalidRequest."""
    body = _read_body(content_type, raw)
    asked = validated(ImageBody, body)
    if asked.stream:
        raise InvalidRequest("Vertex AI does not stream images; leave stream out", "stream")
    prompt = asked.prompt or (VARIATION_PROMPT if operation == "variations" else None)
    if not prompt or not prompt.strip():
        raise InvalidRequest("prompt: write what the image should show", "prompt")
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
        raise InvalidRequest("image: send the image to edit", "image")
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
    """The value of `ImageRequest.names`."""
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
        raise InvalidRequest("output_compression: below 100, output_format must be jpeg or webp", "output_compression")
    return None


def _sources(body: Json) -> Iterable[tuple[str, object]]:
    """The images to edit: the path of each in the body (`image[0]`), and its value."""
    for name in SOURCES:
        value = body.get(name)
        if isinstance(value, list):
            yield from ((f"{name}[{number}]", one) for number, one in enumerate(value))
        elif value is not None:
            yield name, value


def _picture(value: object, param: str, request: ImageRequest) -> Media:
    """An image from an uploaded file, a URL, or an object with a URL. `param` is its path in the body. Raises
    InvalidRequest."""
    match value:
        case forms.FormFile():
            picture = Media(_type_of(value), data=base64.b64encode(value.data).decode("ascii"))
        case str(url) | {"url": str(url)} | {"image_url": str(url)} | {"image_url": {"url": str(url)}}:
            picture = media.from_url(url, None, param) or Media("", uri=url)
        case _:
            raise InvalidRequest(f"{param}: upload a file, or write a data:, http(s):// or gs:// URL", param)
    if picture.data == "":
        raise InvalidRequest(f"{param}: the image is empty", param)
    if not picture.mime_type:
        picture.mime_type = "image/jpeg"
        request.assume(f"{param}=image/jpeg")
    if not picture.mime_type.startswith("image/"):
        raise InvalidRequest(f"{param}: the type is {picture.mime_type}; send an image", param)
    return picture


def _type_of(file: forms.FormFile) -> str:
    """The media type of an upload: the client's, unless that is application/octet-stream or missing; then by its bytes
    or its name. Empty if it is unknown."""
    if file.mime_type and file.mime_type != "application/octet-stream":
        return media.mime_type_of(file.mime_type) or ""
    return media.image_type(file.data) or media.type_by_name(file.name) or ""
