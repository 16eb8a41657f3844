"""Images, both ways: OpenAI's images/generations, edits and variations answered by Gemini's image models or by
Imagen on Vertex AI; and Vertex's `:predict` answered by OpenAI's images.

Sources: OpenAI's API reference and its Python SDK; the discovery document of aiplatform v1; Google's reference of the
Imagen API (generate, edit, output resolution) and what google-genai sends; for sizes, types of edits and the way back
the pages of gateways that do the same.
"""

import base64
import binascii
import re
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field
from io import BytesIO
from math import log
from math import sqrt
from typing import Annotated
from typing import Any
from typing import Literal
from typing import NamedTuple

from PIL import Image
from pydantic import AliasGenerator
from pydantic import BeforeValidator
from pydantic import ConfigDict
from pydantic import Field
from pydantic_core import from_json
from pydantic_core import to_json

from addons.translation import forms
from addons.translation import media
from addons.translation.conversation import Answer
from addons.translation.conversation import Failure
from addons.translation.conversation import Finish
from addons.translation.conversation import InvalidRequest
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Notes
from addons.translation.conversation import Text
from addons.translation.conversation import Usage
from addons.translation.errors import read_error
from addons.translation.gemini import FINISH_REASONS
from addons.translation.gemini import AnswerReader
from addons.translation.validation import Count
from addons.translation.validation import GoogleModel
from addons.translation.validation import Model
from addons.translation.validation import camel_or_snake
from addons.translation.validation import json_object
from addons.translation.validation import lower
from addons.translation.validation import upper
from addons.translation.validation import validated
from metering.json_values import items
from metering.json_values import member

# Sizes


class Shape(NamedTuple):
    ratio: str
    tier: str


SIZES = {
    "256x256": Shape("1:1", "1K"),
    "512x512": Shape("1:1", "1K"),
    "1024x1024": Shape("1:1", "1K"),
    "1792x1024": Shape("16:9", "2K"),
    "1024x1792": Shape("9:16", "2K"),
    "2048x2048": Shape("1:1", "2K"),
    "4096x4096": Shape("1:1", "4K"),
    "1536x1024": Shape("3:2", "2K"),
    "1024x1536": Shape("2:3", "2K"),
    "1024x768": Shape("4:3", "1K"),
    "768x1024": Shape("3:4", "1K"),
    "1280x1024": Shape("5:4", "1K"),
    "1024x1280": Shape("4:5", "1K"),
    "2560x1080": Shape("21:9", "2K"),
}
"""OpenAI's `size` -> Vertex's. Others go to the nearest ratio, and to a tier by their area."""
TIERS = {"1K": 1536.0, "2K": 3072.0, "4K": float("inf")}
"""Each is for squares of the same area with less than so many pixels a side."""
RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
EXTREME_RATIOS = ("1:4", "1:8", "4:1", "8:1")
IMAGEN_RATIOS = ("1:1", "3:4", "4:3", "9:16", "16:9")
_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
_RATIO = re.compile(r"([1-9]\d{0,3}):([1-9]\d{0,3})")


def shape_of(size: str, ratios: Iterable[str]) -> Shape:
    """What `size`, such as 1024x768, is among these ratios."""
    width, height = map(int, size.split("x"))
    known = SIZES.get(size)
    tier = known.tier if known else next(tier for tier, side in TIERS.items() if sqrt(width * height) < side)
    return Shape(known.ratio if known and known.ratio in ratios else _nearest(width / height, ratios), tier)


def _nearest(proportion: float, ratios: Iterable[str]) -> str:
    return min(ratios, key=lambda ratio: abs(log(proportion / _proportion(ratio))))


def _proportion(ratio: str) -> float:
    """Of a ratio (16:9), or of a size (1792x1024)."""
    width, height = map(int, re.split("[:x]", ratio))
    return width / height


# Models

_IMAGEN = re.compile(r"imagen|imagegeneration|imagetext")
_GEMINI = re.compile(r"gemini-|\d+$")
_EXTREME = re.compile(r"gemini-3\.1-flash-image")
_ONE_SIZE = re.compile(r"gemini-2\.")
"""They take no imageSize."""
_TWO_SIZES = re.compile(r"imagen-4\.\d+-(?:ultra-)?generate")
"""Of Imagen only these take a sampleImageSize."""
_EIGHT_SAMPLES = re.compile(r"imagegeneration(?!@00[56])")


def _bare(model: str) -> str:
    return model.rpartition("/")[2]


def is_imagen(model: str) -> bool:
    """Whether Imagen answers, else Gemini. Raises InvalidRequest for models that make no images."""
    if _IMAGEN.match(_bare(model)):
        return True
    if not _GEMINI.match(_bare(model)):
        raise InvalidRequest(
            "images are made by Gemini and Imagen models only; write one such as gemini-3-pro-image-preview", "model"
        )
    return False


# The request of an OpenAI client, as it is sent. What is not declared here has no target.


def _plain(value: object) -> object:
    """In a form numbers, truths and objects are text."""
    if not isinstance(value, str):
        return value
    try:
        return from_json(value, allow_inf_nan=False)
    except ValueError:
        return value


def _flag(value: object) -> object:
    return _plain(value.lower()) if isinstance(value, str) else value


def _numbers(value: object) -> object:
    """`[1, 2]`, or of a form `1,2`, or one field each."""
    numbers: list[object] = []
    for one in value if isinstance(value, list) else [value]:
        read = _plain(f"[{one.strip().strip('[]')}]") if isinstance(one, str) else one
        numbers += read if isinstance(read, list) else [read]
    return numbers


Flag = Annotated[bool, BeforeValidator(_flag)]
Integer = Annotated[int, BeforeValidator(_plain)]
Float = Annotated[float, BeforeValidator(_plain)]
Percent = Annotated[Integer, Field(ge=0, le=100)]
Ratio = Annotated[str, Field(pattern=rf"^({_RATIO.pattern}|auto)$")]
EditType = Literal["inpainting", "outpainting", "inpaint_removal", "bgswap"]
MaskMode = Literal["MASK_MODE_USER_PROVIDED", "MASK_MODE_BACKGROUND", "MASK_MODE_FOREGROUND", "MASK_MODE_SEMANTIC"]
MOST_IMAGES = 10
"""That OpenAI makes at once."""


class ImageConfig(Model):
    model_config = ConfigDict(alias_generator=AliasGenerator(validation_alias=camel_or_snake))

    aspect_ratio: Ratio | None = None
    image_size: str | None = None


class ImageBody(Model):
    model_config = ConfigDict(alias_generator=AliasGenerator(validation_alias=camel_or_snake))

    model: str = Field(min_length=1)
    prompt: str | None = None
    image: Any = None
    images: Any = None
    image_url: Any = None
    mask: Any = None
    n: Annotated[Integer, Field(ge=1, le=MOST_IMAGES)] | None = None
    size: str | None = None
    stream: Flag | None = None
    response_format: str | None = None
    output_format: Annotated[Literal["png", "jpeg", "jpg", "webp"], BeforeValidator(lower)] | None = None
    output_compression: Percent | None = None
    aspect_ratio: Ratio | None = None
    image_size: str | None = None
    image_config: Annotated[ImageConfig, BeforeValidator(_plain)] | None = None
    seed: Integer | None = None
    person_generation: (
        Annotated[Literal["allow_all", "allow_adult", "allow_none", "dont_allow"], BeforeValidator(lower)] | None
    ) = None
    negative_prompt: str | None = None
    guidance_scale: Float | None = None
    safety_setting: str | None = None
    include_rai_reason: Flag | None = None
    include_safety_attributes: Flag | None = None
    language: str | None = None
    add_watermark: Flag | None = None
    enhance_prompt: Flag | None = None
    storage_uri: Annotated[str, Field(pattern="^gs://")] | None = None
    type: Annotated[EditType, BeforeValidator(lower)] | None = None
    mask_mode: Annotated[MaskMode, BeforeValidator(upper)] | None = None
    mask_classes: Annotated[list[int], BeforeValidator(_numbers)] | None = None
    dilation: Annotated[Float, Field(ge=0, le=1)] | None = None
    base_steps: Annotated[Integer, Field(ge=1)] | None = None
    project_id: str | None = None
    region: str | None = None


IMAGEN_PARAMETERS = {
    "negative_prompt": "negativePrompt",
    "guidance_scale": "guidanceScale",
    "safety_setting": "safetySetting",
    "include_rai_reason": "includeRaiReason",
    "include_safety_attributes": "includeSafetyAttributes",
    "language": "language",
    "add_watermark": "addWatermark",
    "enhance_prompt": "enhancePrompt",
    "storage_uri": "storageUri",
}
"""Ours -> those of Imagen's that Gemini has no place for."""
EDIT_PARAMETERS = ("type", "mask_mode", "mask_classes", "dilation", "base_steps")
"""Of Imagen too, for edits."""
SOURCES = ("image", "images", "image_url")
"""Where clients put the images to edit."""

# The neutral form

Operation = Literal["generations", "edits", "variations"]


@dataclass(slots=True)
class ImageRequest:
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
    """Vertex's own words, which win over the size."""
    mime_type: str | None = None
    """Of what is to be made."""
    compression: int | None = None
    """A quality, in percent."""
    seed: int | None = None
    person_generation: str | None = None
    edit: EditType | None = None
    mask_mode: MaskMode | None = None
    mask_classes: list[int] | None = None
    dilation: float | None = None
    base_steps: int | None = None
    imagen: Json = field(default_factory=dict)
    """What only Imagen knows, in its own camelCase."""
    project: str | None = None
    location: str | None = None
    names: dict[str, str] = field(default_factory=dict)
    """What was given, in snake_case -> in the client's own spelling."""
    notes: Notes = field(default_factory=Notes)

    def drop(self, *names: str) -> None:
        """Of what was given, these have no target. Once each, however often the request is written."""
        for name in names:
            if (told := self.names.get(name)) and told not in self.notes.dropped:
                self.notes.dropped.append(told)

    def assume(self, told: str) -> None:
        if told not in self.notes.assumed:
            self.notes.assumed.append(told)


VARIATION = "Create variations of the provided image."
"""The prompt of who sends none."""


def read_request(operation: Operation, content_type: str, raw: bytes) -> ImageRequest:
    """A body, JSON or multipart. Raises InvalidRequest."""
    body = _read_body(content_type, raw)
    asked = validated(ImageBody, body)
    if asked.stream:
        raise InvalidRequest("streaming of images is not supported by Vertex AI", "stream")
    prompt = asked.prompt or (VARIATION if operation == "variations" else None)
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
    given = (name for name in ImageBody.model_fields if getattr(asked, name) is not None)
    return {name: next(told for told in camel_or_snake(name).choices if told in body) for name in given}


def _read_size(size: str | None) -> str | None:
    if size is None or size.lower() == "auto":
        return None
    if not _SIZE.fullmatch(size.lower()):
        raise InvalidRequest("size: write width and height such as 1024x1024, or auto", "size")
    return size.lower()


def _read_compression(asked: ImageBody) -> int | None:
    if asked.output_compression is None or asked.output_format not in (None, "png"):
        return asked.output_compression
    if asked.output_compression < 100:
        raise InvalidRequest("output_compression: less than 100 is for jpeg and webp only", "output_compression")
    return None


def _sources(body: Json) -> Iterable[tuple[str, object]]:
    """Path and value of each image."""
    for name in SOURCES:
        value = body.get(name)
        if isinstance(value, list):
            yield from ((f"{name}[{number}]", one) for number, one in enumerate(value))
        elif value is not None:
            yield name, value


def _picture(value: object, param: str, request: ImageRequest) -> Media:
    match value:
        case forms.File():
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


def _type_of(file: forms.File) -> str:
    """What it was said to be, unless that is no more than a file."""
    if file.mime_type and file.mime_type != "application/octet-stream":
        return media.mime_type_of(file.mime_type) or ""
    return media.image_type(file.data) or media.type_by_name(file.name) or ""


# To Gemini

PERSONS = {
    "allow_all": "ALLOW_ALL",
    "allow_adult": "ALLOW_ADULT",
    "allow_none": "ALLOW_NONE",
    "dont_allow": "ALLOW_NONE",
}
"""Imagen's words -> Gemini's."""


def write_gemini(request: ImageRequest) -> list[Json]:
    """GenerateContentRequests, one an image: the models make one a call. Raises InvalidRequest."""
    if request.mask:
        raise InvalidRequest("masks need an Imagen model, such as imagen-3.0-capability-001", "mask")
    request.drop(*IMAGEN_PARAMETERS, *EDIT_PARAMETERS)
    parts: list[Json] = [_gemini_part(picture) for picture in request.images]
    contents: list[Json] = [{"role": "user", "parts": [*parts, {"text": request.prompt}]}]
    config: Json = {"responseModalities": ["TEXT", "IMAGE"]}
    if image_config := _image_config(request):
        config["imageConfig"] = image_config
    return [
        {"contents": contents, "generationConfig": config | _seed(request, number, least=0)}
        for number in range(request.n)
    ]


def _gemini_part(picture: Media) -> Json:
    if picture.uri is not None:
        return {"fileData": {"mimeType": picture.mime_type, "fileUri": picture.uri}}
    return {"inlineData": {"mimeType": picture.mime_type, "data": picture.data}}


def _image_config(request: ImageRequest) -> Json:
    model = _bare(request.model)
    ratios = RATIOS + EXTREME_RATIOS if _EXTREME.match(model) else RATIOS
    shape = shape_of(request.size, ratios) if request.size else None
    tier = request.image_size or (shape.tier if shape else None)
    if _ONE_SIZE.match(model):
        _only_1k(request, tier)
        tier = None
    output = _output_options(request)
    config = {
        "aspectRatio": request.aspect_ratio or (shape.ratio if shape else None),
        "imageSize": tier,
        "personGeneration": PERSONS[request.person_generation] if request.person_generation else None,
        "imageOutputOptions": output or None,
    }
    return {name: value for name, value in config.items() if value is not None}


def _only_1k(request: ImageRequest, tier: str | None) -> None:
    """Of a model that makes one size."""
    if request.image_size:
        request.drop("image_size", "image_config")
    elif tier not in (None, "1K"):
        request.assume("imageSize=1K")


def _output_options(request: ImageRequest) -> Json:
    options = {"mimeType": request.mime_type, "compressionQuality": request.compression}
    return {name: value for name, value in options.items() if value is not None}


def _seed(request: ImageRequest, number: int, least: int) -> Json:
    """A seed for each call, for else all would make the same; an int32 for Google, the same for the same."""
    if request.seed is None:
        return {}
    seed = request.seed + number
    return {"seed": seed if least <= seed < 2**31 else least + seed % (2**31 - least)}


# To Imagen

EDIT_MODES: dict[EditType, str] = {
    "inpainting": "EDIT_MODE_INPAINT_INSERTION",
    "outpainting": "EDIT_MODE_OUTPAINT",
    "inpaint_removal": "EDIT_MODE_INPAINT_REMOVAL",
    "bgswap": "EDIT_MODE_BGSWAP",
}
MOST_PIXELS = 2**24
"""Of a mask: 4096x4096."""


def write_imagen(request: ImageRequest) -> list[Json]:
    """Bodies of `:predict`, as many as it takes. Raises InvalidRequest."""
    if request.operation == "variations":
        raise InvalidRequest("Imagen makes no variations; take a Gemini image model, or images/edits", "model")
    instance: Json = {"prompt": request.prompt}
    parameters = {"includeRaiReason": True} | request.imagen | _imagen_shape(request)
    if request.images:
        references = [_raw_reference(*one) for one in enumerate(request.images, 1)]
        mask = _mask_reference(request)
        instance["referenceImages"] = [*references, mask] if mask else references
        edit = request.edit or ("inpainting" if mask else None)
        parameters["editMode"] = EDIT_MODES[edit] if edit else "EDIT_MODE_DEFAULT"
        if request.base_steps is not None:
            parameters["editConfig"] = {"baseSteps": request.base_steps}
    if request.person_generation:
        parameters["personGeneration"] = request.person_generation.replace("allow_none", "dont_allow")
    if request.mime_type == "image/webp":
        request.drop("output_format", "output_compression")
    elif output := _output_options(request):
        parameters["outputOptions"] = output
    if request.seed is not None and parameters.setdefault("addWatermark", False):
        raise InvalidRequest("Imagen takes a seed only without a watermark; write addWatermark=false", "seed")
    most = 8 if _EIGHT_SAMPLES.match(_bare(request.model)) else 4
    return [
        {
            "instances": [instance],
            "parameters": parameters | {"sampleCount": min(most, request.n - made)} | _seed(request, number, least=1),
        }
        for number, made in enumerate(range(0, request.n, most))
    ]


def _imagen_shape(request: ImageRequest) -> Json:
    """`aspectRatio`, `sampleImageSize`."""
    if request.aspect_ratio and request.aspect_ratio not in IMAGEN_RATIOS:
        raise InvalidRequest(f"Imagen's ratios are {', '.join(IMAGEN_RATIOS)}", request.names.get("aspect_ratio"))
    shape = shape_of(request.size, IMAGEN_RATIOS) if request.size else None
    if shape and request.images:
        # An edit is as large as what is edited.
        request.drop("size")
        shape = None
    tier = request.image_size or (shape.tier if shape else None)
    if not _TWO_SIZES.match(_bare(request.model)):
        _only_1k(request, tier)
        tier = None
    elif tier == "4K":
        request.assume("sampleImageSize=2K")
        tier = "2K"
    found = {"aspectRatio": request.aspect_ratio or (shape.ratio if shape else None), "sampleImageSize": tier}
    return {name: value for name, value in found.items() if value is not None}


def _raw_reference(number: int, picture: Media) -> Json:
    return {
        "referenceType": "REFERENCE_TYPE_RAW",
        "referenceId": number,
        "referenceImage": _imagen_image(picture, "image"),
    }


def _imagen_image(picture: Media, param: str) -> Json:
    if picture.uri is None:
        return {"bytesBase64Encoded": picture.data, "mimeType": picture.mime_type}
    if not picture.uri.startswith("gs://"):
        raise InvalidRequest("Imagen loads no http URLs: upload the image, or write a gs:// URL", param)
    return {"gcsUri": picture.uri, "mimeType": picture.mime_type}


def _mask_reference(request: ImageRequest) -> Json | None:
    """Where to edit: an image of it, or how Imagen finds it."""
    mode = request.mask_mode or ("MASK_MODE_USER_PROVIDED" if request.mask else None)
    if mode is None and request.edit == "bgswap":
        mode = "MASK_MODE_BACKGROUND"
        request.assume(f"maskMode={mode}")
    if mode is None and request.edit:
        raise InvalidRequest(f"{request.edit} needs a mask, or a maskMode such as MASK_MODE_FOREGROUND", "mask")
    if mode is None:
        request.drop("mask_classes", "dilation")
        return None
    config: Json = {"maskMode": mode}
    if request.dilation is not None:
        config["dilation"] = request.dilation
    reference: Json = {
        "referenceType": "REFERENCE_TYPE_MASK",
        "referenceId": len(request.images) + 1,
        "maskImageConfig": config,
    }
    if mode == "MASK_MODE_SEMANTIC":
        if not request.mask_classes:
            raise InvalidRequest("maskClasses: MASK_MODE_SEMANTIC needs the numbers of classes", "maskClasses")
        config["maskClasses"] = request.mask_classes
    else:
        request.drop("mask_classes")
    if mode != "MASK_MODE_USER_PROVIDED":
        request.drop("mask")
    elif request.mask:
        reference["referenceImage"] = _imagen_mask(request, request.mask)
    else:
        raise InvalidRequest(f"{mode} needs a mask", "mask")
    return reference


def _imagen_mask(request: ImageRequest, mask: Media) -> Json:
    """White where OpenAI's mask is transparent, black elsewhere. Who names the mode may send it like that."""
    if mask.data is None:
        if request.mask_mode:
            return _imagen_image(mask, "mask")
        raise InvalidRequest("upload the mask: what is transparent in it is what is edited", "mask")
    picture = _opened(base64.b64decode(mask.data))
    if picture is None:
        raise InvalidRequest("the mask is no image that can be read; write a PNG", "mask")
    if picture.width * picture.height > MOST_PIXELS:
        raise InvalidRequest("the mask has too many pixels", "mask", 413)
    size = _size_of(request.images[0].data)
    if size not in (None, picture.size):
        raise InvalidRequest("the mask must have the width and the height of the image", "mask")
    alpha = _alpha_of(picture)
    if alpha is None:
        if request.mask_mode:
            return _imagen_image(mask, "mask")
        raise InvalidRequest(
            "the mask has no alpha channel: what is transparent in it is what is edited. For one that is white there,"
            " write maskMode=MASK_MODE_USER_PROVIDED",
            "mask",
        )
    written = BytesIO()
    alpha.point([255] + [0] * 255).save(written, "PNG", compress_level=1)
    return {"bytesBase64Encoded": base64.b64encode(written.getvalue()).decode("ascii"), "mimeType": "image/png"}


def _alpha_of(picture: Image.Image) -> Image.Image | None:
    """How opaque each pixel is; None if nothing says so. Raises InvalidRequest."""
    try:
        if not picture.has_transparency_data:
            return None
        return (picture if "A" in picture.getbands() else picture.convert("RGBA")).getchannel("A")
    except Exception:  # As many kinds as there are ways to break a file.
        raise InvalidRequest("the mask is damaged", "mask") from None


FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
HEAD = 2**20
"""Characters of base64 in which a header is looked for: metadata may come before it."""


def _opened(data: bytes) -> Image.Image | None:
    """An image of which no more is read than its header; None if that cannot be read."""
    with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
        try:
            return Image.open(BytesIO(data), formats=FORMATS)
        except Exception:  # As many kinds as there are ways to break a file.
            return None


def _size_of(data: str | None) -> tuple[int, int] | None:
    """Width and height of an image in base64, if they can be told."""
    picture = _opened(_head(data)) if data else None
    return picture.size if picture else None


def _head(data: str, length: int = HEAD) -> bytes:
    try:
        return base64.b64decode(data[:length] + "=" * (-len(data[:length]) % 4))
    except (binascii.Error, ValueError):
        return b""


# Answers for an OpenAI client


@dataclass(slots=True)
class _Made:
    """What came of one call, or of several."""

    images: list[Json] = field(default_factory=list)
    types: list[str | None] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def add(self, picture: Media, prompt: str | None) -> None:
        image: Json = {"b64_json": picture.data} if picture.data is not None else {"url": picture.uri}
        self.images.append(image | ({"revised_prompt": prompt} if prompt else {}))
        known = picture.mime_type.startswith("image/")
        self.types.append(picture.mime_type if known else media.image_type(_head(picture.data or "", 64)))

    def written(self, usage: Json | None) -> Json | Failure:
        """An ImagesResponse. Where some images are missing, it is those that came."""
        if not self.images:
            return self.failures[0] if self.failures else Failure(400, "The model gave no image.", NO_IMAGE)
        response: Json = {"created": int(time.time()), "data": self.images}
        if (output_format := media.IMAGE_FORMATS.get(self.types[0] or "")) is not None:
            response["output_format"] = output_format
        data = self.images[0].get("b64_json")
        if size := _size_of(data if isinstance(data, str) else None):
            response["size"] = "{}x{}".format(*size)
        if usage:
            response["usage"] = usage
        return response


NO_IMAGE = "NO_IMAGE"
POLICY = "CONTENT_POLICY_VIOLATION"
"""OpenAI's word."""
NO_POLICY = frozenset({"NO_IMAGE", "IMAGE_OTHER", "LANGUAGE"})
"""Of the reasons to stop that stand for a filter, those that are none."""


def read_gemini(request: ImageRequest, documents: list[object]) -> Json | Failure:
    """An ImagesResponse out of GenerateContentResponses."""
    made = _Made()
    usages: list[Usage | None] = []
    for document in documents:
        reader = AnswerReader()
        answer = reader.read(document)
        usages.append(answer.usage)
        before = len(made.images)
        for choice in answer.choices:
            text = "".join(part.text for part in choice.parts if isinstance(part, Text)).strip()
            for part in choice.parts:
                if isinstance(part, Media) and part.mime_type.startswith(("image/", "application/octet-stream")):
                    made.add(part, text or None)
        if len(made.images) == before:
            made.failures.append(reader.failure or _no_image(document, answer))
    return made.written(_usage(usages, bool(request.images)))


def _no_image(document: object, answer: Answer) -> Failure:
    """Why a model gave none: in its own words, or in Google's."""
    candidates = items(member(document, "candidates"))
    reasons = [reason for one in candidates if isinstance(reason := member(one, "finishReason"), str)]
    texts = [part.text for choice in answer.choices for part in choice.parts if isinstance(part, Text)]
    refusals = [choice.refusal for choice in answer.choices if choice.refusal]
    messages = [text for one in candidates if isinstance(text := member(one, "finishMessage"), str)]
    why = "".join(texts).strip() or " ".join(refusals or messages)
    filtered = [one for one in reasons if FINISH_REASONS.get(one) is Finish.CONTENT_FILTER and one not in NO_POLICY]
    blocked = member(member(document, "promptFeedback"), "blockReason")
    named = f" ({reasons[0]})" if reasons else ""
    return Failure(400, why or f"The model gave no image{named}.", POLICY if filtered or blocked else NO_IMAGE)


def _usage(usages: list[Usage | None], with_images: bool) -> Json | None:
    """The sum; None if a call told none, or not what OpenAI's usage must tell."""
    inputs = outputs = input_images = output_images = 0
    details = True
    for usage in usages:
        if usage is None or usage.input is None or usage.output is None:
            return None
        if with_images and not usage.input_by_modality:
            return None
        inputs, outputs = inputs + usage.input, outputs + usage.output
        input_images += usage.input_by_modality.get("image", 0)
        output_images += usage.output_by_modality.get("image", 0)
        details = details and bool(usage.output_by_modality)
    told: Json = {
        "total_tokens": inputs + outputs,
        "input_tokens": inputs,
        "output_tokens": outputs,
        "input_tokens_details": {"text_tokens": inputs - input_images, "image_tokens": input_images},
    }
    if details:
        told["output_tokens_details"] = {"text_tokens": outputs - output_images, "image_tokens": output_images}
    return told


def read_imagen(documents: list[object]) -> Json | Failure:
    """An ImagesResponse out of the answers to `:predict`. Imagen tells no usage."""
    made = _Made()
    for document in documents:
        if member(document, "error"):
            made.failures.append(read_error(None, document))
            continue
        predictions = items(member(document, "predictions"))
        for prediction in predictions:
            if picture := _predicted(prediction):
                prompt = member(prediction, "prompt")
                made.add(picture, prompt if isinstance(prompt, str) else None)
        reasons = [reason for one in predictions if isinstance(reason := member(one, "raiFilteredReason"), str)]
        if reasons or not predictions:
            why = reasons[0] if reasons else "All images were filtered, as they may violate Google's policies."
            made.failures.append(Failure(400, why, POLICY))
    return made.written(None)


def _predicted(prediction: object) -> Media | None:
    data, uri = (member(prediction, name) for name in ("bytesBase64Encoded", "gcsUri"))
    said = member(prediction, "mimeType")
    mime_type = said if isinstance(said, str) else ""
    if isinstance(data, str) and data:
        return Media(mime_type, data=data)
    return Media(mime_type, uri=uri) if isinstance(uri, str) and uri else None


# The way back: the request of a Google client, as it is sent


class GoogleObject(GoogleModel):
    """What has no target is left, to be named."""

    model_config = ConfigDict(extra="allow")


class GoogleImage(GoogleObject):
    bytes_base64_encoded: str | None = None
    gcs_uri: str | None = None
    mime_type: str | None = None


class MaskImageConfig(GoogleObject):
    mask_mode: str | None = None


class ReferenceImage(GoogleObject):
    reference_type: str | None = None
    reference_id: int | None = None
    reference_image: GoogleImage | None = None
    mask_image_config: MaskImageConfig | None = None


class MaskInstance(GoogleObject):
    image: GoogleImage | None = None


class ImageInstance(GoogleObject):
    """google-genai sends `referenceImages`, other clients `image` and `mask`."""

    prompt: str | None = None
    image: GoogleImage | None = None
    mask: MaskInstance | None = None
    reference_images: list[ReferenceImage] | None = None


class OutputOptions(GoogleObject):
    mime_type: str | None = None
    compression_quality: Percent | None = None


class ImageParameters(GoogleObject):
    sample_count: Count | None = None
    aspect_ratio: Ratio | None = None
    output_options: OutputOptions | None = None
    image_size: str | None = None
    sample_image_size: Annotated[Literal["1K", "2K", "4K"], BeforeValidator(upper)] | None = None
    quality: str | None = None


class PredictBody(GoogleObject):
    """`extra_body` of google-genai ends up beside `parameters`, where others write it inside."""

    instances: list[ImageInstance] = Field(min_length=1)
    parameters: ImageParameters | None = None
    image_size: str | None = None
    sample_image_size: Annotated[Literal["1K", "2K", "4K"], BeforeValidator(upper)] | None = None
    quality: str | None = None


@dataclass(slots=True)
class Drawing:
    """What one instance asks for."""

    prompt: str
    images: list[forms.File] = field(default_factory=list)
    mask: forms.File | None = None
    """Transparent where to edit, as OpenAI has it."""


@dataclass(slots=True)
class PredictRequest:
    model: str
    drawings: list[Drawing]
    n: int = 1
    """Of each."""
    size: str | None = None
    """The upstream's own words."""
    aspect_ratio: str | None = None
    tier: str | None = None
    quality: str | None = None
    mime_type: str | None = None
    compression: int | None = None
    notes: Notes = field(default_factory=Notes)


class OpenAiCall(NamedTuple):
    operation: Literal["images/generations", "images/edits"]
    content_type: str
    body: bytes


class ImageModel(NamedTuple):
    name: re.Pattern[str]
    sizes: tuple[str, ...] = ()
    """Those for a ratio; none if any size will do."""
    most: int = MOST_IMAGES
    """Images at once."""
    response_format: bool = True
    """Whether it must be told to answer in base64."""
    output_format: bool = True
    """Whether it can be told a format."""


IMAGE_MODELS = (
    ImageModel(re.compile(r"gpt-image|chatgpt-image"), ("1024x1024", "1536x1024", "1024x1536"), response_format=False),
    ImageModel(re.compile(r"dall-e-3"), ("1024x1024", "1792x1024", "1024x1792"), most=1, output_format=False),
    ImageModel(re.compile(r"dall-e-2"), ("1024x1024",), output_format=False),
    ImageModel(re.compile(r"")),
)
"""The first whose name begins a model's."""
MOST_CALLS = 16
SIDES = {"1K": 1024, "2K": 2048, "4K": 4096}
"""Of a square of each tier, in pixels; others have its area."""


def read_predict(model: str, body: Json) -> PredictRequest:
    """A body of `:predict`, parsed from JSON. Raises InvalidRequest."""
    asked = validated(PredictBody, body)
    parameters = asked.parameters or ImageParameters()
    output = parameters.output_options or OutputOptions()
    notes = Notes(_extras(asked) + _extras(parameters, "parameters") + _extras(output, "parameters.outputOptions"))
    ratio = parameters.aspect_ratio
    mime_type = output.mime_type and media.mime_type_of(output.mime_type)
    if output.mime_type and mime_type not in media.IMAGE_FORMATS:
        raise InvalidRequest("write image/png, image/jpeg or image/webp", "parameters.outputOptions.mimeType")
    return PredictRequest(
        model,
        [_read_instance(instance, f"instances[{number}]", notes) for number, instance in enumerate(asked.instances)],
        n=parameters.sample_count or 1,
        size=asked.image_size or parameters.image_size,
        aspect_ratio=None if ratio == "auto" else ratio,
        tier=asked.sample_image_size or parameters.sample_image_size,
        quality=asked.quality or parameters.quality,
        mime_type=mime_type,
        compression=output.compression_quality,
        notes=notes,
    )


def _extras(given: GoogleObject, path: str = "") -> list[str]:
    """What has no target, by its path."""
    extra = (given.model_extra or {}).items()
    return [f"{path}.{name}".lstrip(".") for name, value in extra if value not in (None, [], {})]


def _read_instance(instance: ImageInstance, path: str, notes: Notes) -> Drawing:
    notes.dropped += _extras(instance, path)
    if not instance.prompt:
        raise InvalidRequest(f"{path}.prompt: a text is required", f"{path}.prompt")
    drawing = Drawing(instance.prompt)
    if instance.image:
        drawing.images.append(_file(instance.image, f"{path}.image"))
    if instance.mask and instance.mask.image:
        drawing.mask = _file(instance.mask.image, f"{path}.mask.image")
    references = list(enumerate(instance.reference_images or []))
    for number, reference in sorted(references, key=lambda one: one[1].reference_id or 0):
        _take_reference(drawing, reference, f"{path}.referenceImages[{number}]", notes)
    if drawing.mask and not drawing.images:
        raise InvalidRequest("a mask needs an image", path)
    return drawing


def _take_reference(drawing: Drawing, reference: ReferenceImage, path: str, notes: Notes) -> None:
    notes.dropped += _extras(reference, path)
    config = reference.mask_image_config or MaskImageConfig()
    notes.dropped += _extras(config, f"{path}.maskImageConfig")
    if reference.reference_type != "REFERENCE_TYPE_MASK":
        if not reference.reference_image:
            raise InvalidRequest("an image is required", f"{path}.referenceImage")
        drawing.images.append(_file(reference.reference_image, f"{path}.referenceImage"))
    elif (
        config.mask_mode not in (None, "MASK_MODE_DEFAULT", "MASK_MODE_USER_PROVIDED") or not reference.reference_image
    ):
        raise InvalidRequest("OpenAI finds no masks: provide one (MASK_MODE_USER_PROVIDED)", path)
    elif drawing.mask:
        raise InvalidRequest("there is a mask already", path)
    else:
        drawing.mask = _file(reference.reference_image, f"{path}.referenceImage")


def _file(image: GoogleImage, path: str) -> forms.File:
    if image.bytes_base64_encoded is None:
        raise InvalidRequest("write the image itself as bytesBase64Encoded; a gcsUri cannot be read here", path)
    data = _decoded(image.bytes_base64_encoded, f"{path}.bytesBase64Encoded")
    said = media.mime_type_of(image.mime_type) if image.mime_type else None
    # Without parameters: it becomes a line of a header.
    mime_type = said.partition(";")[0] if said else media.image_type(data) or "image/png"
    return forms.File(data, f"image.{mime_type.rpartition('/')[2]}", mime_type)


def _decoded(encoded: str, param: str) -> bytes:
    try:
        # Many megabytes, and nearly always right.
        return base64.b64decode(encoded, validate=True) or base64.b64decode(media.base64_of(encoded, param))
    except ValueError:
        return base64.b64decode(media.base64_of(encoded, param))


# To OpenAI


def write_openai(request: PredictRequest) -> list[OpenAiCall]:
    """For each instance as many calls as it takes. Raises InvalidRequest."""
    model = next(one for one in IMAGE_MODELS if one.name.match(_bare(request.model)))
    options = _options(request, model)
    counts = [min(model.most, request.n - made) for made in range(0, request.n, model.most)]
    if len(counts) * len(request.drawings) > MOST_CALLS:
        raise InvalidRequest(
            f"these are too many images: {MOST_CALLS} calls are made at most", "parameters.sampleCount"
        )
    return [_call(drawing, {"n": count, **options}, request.model) for drawing in request.drawings for count in counts]


def _options(request: PredictRequest, model: ImageModel) -> Json:
    options: Json = {"size": _size(request, model), "quality": request.quality}
    if model.response_format:
        options["response_format"] = "b64_json"
    lossy = request.mime_type in ("image/jpeg", "image/webp")
    if model.output_format:
        options["output_format"] = media.IMAGE_FORMATS[request.mime_type] if request.mime_type else None
        options["output_compression"] = request.compression if lossy else None
    elif lossy:
        _drop(request, "parameters.outputOptions.mimeType")
    if request.compression is not None and options.get("output_compression") is None:
        _drop(request, "parameters.outputOptions.compressionQuality")
    return {name: value for name, value in options.items() if value is not None}


def _size(request: PredictRequest, model: ImageModel) -> str | None:
    if request.size:
        if request.aspect_ratio:
            _drop(request, "parameters.aspectRatio")
        if request.tier:
            _drop(request, "sampleImageSize")
        return request.size
    if model.sizes:
        if request.tier:
            _drop(request, "sampleImageSize")
        return _nearest(_proportion(request.aspect_ratio), model.sizes) if request.aspect_ratio else None
    if not request.aspect_ratio and not request.tier:
        return None
    side, stretch = SIDES[request.tier or "1K"], sqrt(_proportion(request.aspect_ratio or "1:1"))
    # Models of this kind want multiples of 16.
    width, height = (max(16, round(length / 16) * 16) for length in (side * stretch, side / stretch))
    return f"{width}x{height}"


def _drop(request: PredictRequest, name: str) -> None:
    if name not in request.notes.dropped:
        request.notes.dropped.append(name)


def _call(drawing: Drawing, options: Json, model: str) -> OpenAiCall:
    options = {"model": model, "prompt": drawing.prompt} | options
    if not drawing.images:
        return OpenAiCall("images/generations", "application/json", to_json(options))
    fields: list[forms.Field] = [(name, str(value)) for name, value in options.items()]
    fields += [("image" if len(drawing.images) == 1 else "image[]", image) for image in drawing.images]
    if drawing.mask:
        fields.append(("mask", drawing.mask))
    return OpenAiCall("images/edits", *forms.write(fields))


def write_predictions(request: PredictRequest, documents: list[object]) -> Json | Failure:
    """The answer to `:predict` out of ImagesResponses."""
    predictions: list[Json] = []
    for document in documents:
        said = member(document, "output_format")
        mime_type = (media.mime_type_of(said) if isinstance(said, str) else None) or request.mime_type or "image/png"
        predictions += filter(None, (_prediction(one, mime_type) for one in items(member(document, "data"))))
    if predictions:
        return {"predictions": predictions}
    error = next((one for one in documents if member(one, "error")), None)
    return read_error(None, error) if error else Failure(502, "The upstream answered without an image.", "UNAVAILABLE")


def _prediction(image: object, mime_type: str) -> Json | None:
    data, url, prompt = (member(image, name) for name in ("b64_json", "url", "revised_prompt"))
    prediction: Json = {"mimeType": mime_type}
    if isinstance(data, str) and data:
        # The bytes know best.
        prediction = {"bytesBase64Encoded": data, "mimeType": media.image_type(_head(data, 64)) or mime_type}
    elif isinstance(url, str) and url:
        prediction["gcsUri"] = url
    else:
        return None
    return prediction | ({"prompt": prompt} if isinstance(prompt, str) and prompt else {})
