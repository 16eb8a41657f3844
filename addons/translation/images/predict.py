"""Google's `:predict` for OpenAI's image models: converts the request to OpenAI's, and the answers to Google's.

Sources: Google's reference of the Imagen API and what google-genai sends; OpenAI's API reference.
"""

import base64
import re
from dataclasses import dataclass
from dataclasses import field
from math import sqrt
from typing import Annotated
from typing import Literal
from typing import NamedTuple

from pydantic import BeforeValidator
from pydantic import ConfigDict
from pydantic import Field
from pydantic_core import to_json

from addons.translation import forms
from addons.translation import media
from addons.translation.conversation import Json
from addons.translation.conversation import Notes
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.errors import read_error
from addons.translation.images.pictures import first_bytes
from addons.translation.images.schema import MOST_IMAGES
from addons.translation.images.schema import Percent
from addons.translation.images.sizes import SIDES
from addons.translation.images.sizes import Ratio
from addons.translation.images.sizes import nearest
from addons.translation.images.sizes import proportion_of
from addons.translation.validation import Count
from addons.translation.validation import GoogleModel
from addons.translation.validation import upper
from addons.translation.validation import validated
from metering.json_values import items
from metering.json_values import member

# The request of a Google client


class GoogleObject(GoogleModel):
    """An object in the body. Members that are not declared are dropped, and the client is told their names."""

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
    """One of `instances`. google-genai sends `referenceImages`, other clients send `image` and `mask`."""

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
    """The body. OpenAI's parameters may be at its top, where google-genai puts its `extra_body`, or in `parameters`."""

    instances: list[ImageInstance] = Field(min_length=1)
    parameters: ImageParameters | None = None
    image_size: str | None = None
    sample_image_size: Annotated[Literal["1K", "2K", "4K"], BeforeValidator(upper)] | None = None
    quality: str | None = None


@dataclass(slots=True)
class Drawing:
    """One of `instances`, read: a prompt, and images to edit."""

    prompt: str
    images: list[forms.FormFile] = field(default_factory=list)
    mask: forms.FormFile | None = None
    """An image that is transparent where to edit, as OpenAI wants it."""


@dataclass(slots=True)
class PredictRequest:
    """A body of `:predict`, read."""

    model: str
    drawings: list[Drawing]
    n: int = 1
    """The number of images for each drawing."""
    size: str | None = None
    """OpenAI's size: 1024x1024 or auto. If it is given, `aspect_ratio` and `tier` are dropped."""
    aspect_ratio: str | None = None
    tier: str | None = None
    """1K, 2K or 4K."""
    quality: str | None = None
    mime_type: str | None = None
    compression: int | None = None
    notes: Notes = field(default_factory=Notes)

    def drop(self, name: str) -> None:
        """Adds a parameter to `notes.dropped`, unless it is there already."""
        if name not in self.notes.dropped:
            self.notes.dropped.append(name)


# OpenAI's image models


class OpenAiCall(NamedTuple):
    """A request to OpenAI's API."""

    operation: Literal["images/generations", "images/edits"]
    content_type: str
    body: bytes


class OpenAiFamily(NamedTuple):
    """What OpenAI's image models of a family take."""

    name: re.Pattern[str]
    """How the names of the models begin."""
    sizes: tuple[str, ...] = ()
    """The sizes that they take; empty if they take any."""
    images_a_call: int = MOST_IMAGES
    """The most images in the answer to one request."""
    response_format: bool = True
    """Whether they need `response_format` to answer in base64."""
    output_format: bool = True
    """Whether they take `output_format`, the format of the images."""


FAMILIES = (
    OpenAiFamily(
        re.compile(r"gpt-image|chatgpt-image"), ("1024x1024", "1536x1024", "1024x1536"), response_format=False
    ),
    OpenAiFamily(
        re.compile(r"dall-e-3"), ("1024x1024", "1792x1024", "1024x1792"), images_a_call=1, output_format=False
    ),
    OpenAiFamily(re.compile(r"dall-e-2"), ("1024x1024",), output_format=False),
    OpenAiFamily(re.compile(r"")),
)
"""A model is of the first family whose `name` its own name begins with."""
MOST_CALLS = 16
"""The most requests to OpenAI for one `:predict`. A limit of ours."""


# Reading Google's request


def read_request(model: str, body: Json) -> PredictRequest:
    """The request in a body of `:predict`, parsed from JSON. Raises InvalidRequest."""
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
    """The paths of an object's members that are dropped: `parameters.seed`. `path` is that of the object."""
    extra = (given.model_extra or {}).items()
    return [f"{path}.{name}".lstrip(".") for name, value in extra if value not in (None, [], {})]


def _read_instance(instance: ImageInstance, path: str, notes: Notes) -> Drawing:
    notes.dropped += _extras(instance, path)
    if not instance.prompt:
        raise InvalidRequest(f"{path}.prompt: write what the image should show", f"{path}.prompt")
    drawing = Drawing(instance.prompt)
    if instance.image:
        drawing.images.append(_file(instance.image, f"{path}.image"))
    if instance.mask and instance.mask.image:
        drawing.mask = _file(instance.mask.image, f"{path}.mask.image")
    references = list(enumerate(instance.reference_images or []))
    for number, reference in sorted(references, key=lambda one: one[1].reference_id or 0):
        _take_reference(drawing, reference, f"{path}.referenceImages[{number}]", notes)
    if drawing.mask and not drawing.images:
        raise InvalidRequest("a mask needs an image to edit; send one", path)
    return drawing


def _take_reference(drawing: Drawing, reference: ReferenceImage, path: str, notes: Notes) -> None:
    """Adds a reference image to the drawing, as an image or as the mask. Raises InvalidRequest."""
    notes.dropped += _extras(reference, path)
    config = reference.mask_image_config or MaskImageConfig()
    notes.dropped += _extras(config, f"{path}.maskImageConfig")
    if reference.reference_type != "REFERENCE_TYPE_MASK":
        if not reference.reference_image:
            raise InvalidRequest("write an image with bytesBase64Encoded", f"{path}.referenceImage")
        drawing.images.append(_file(reference.reference_image, f"{path}.referenceImage"))
    elif (
        config.mask_mode not in (None, "MASK_MODE_DEFAULT", "MASK_MODE_USER_PROVIDED") or not reference.reference_image
    ):
        raise InvalidRequest("OpenAI makes no masks: send one, with maskMode MASK_MODE_USER_PROVIDED", path)
    elif drawing.mask:
        raise InvalidRequest("there are two masks; send one", path)
    else:
        drawing.mask = _file(reference.reference_image, f"{path}.referenceImage")


def _file(image: GoogleImage, path: str) -> forms.FormFile:
    """An image as a file to upload. `path` is its path in the body. Raises InvalidRequest."""
    if image.bytes_base64_encoded is None:
        raise InvalidRequest("write the image itself as bytesBase64Encoded; a gcsUri cannot be read here", path)
    data = _decoded(image.bytes_base64_encoded, f"{path}.bytesBase64Encoded")
    said = media.mime_type_of(image.mime_type) if image.mime_type else None
    # Without parameters, as it becomes the value of a header.
    mime_type = said.partition(";")[0] if said else media.image_type(data) or "image/png"
    return forms.FormFile(data, f"image.{mime_type.rpartition('/')[2]}", mime_type)


def _decoded(encoded: str, param: str) -> bytes:
    try:
        # The fast way first: the data may have many megabytes, and is nearly always valid.
        return base64.b64decode(encoded, validate=True) or base64.b64decode(media.base64_of(encoded, param))
    except ValueError:
        return base64.b64decode(media.base64_of(encoded, param))


# Writing OpenAI's requests


def write_requests(request: PredictRequest) -> list[OpenAiCall]:
    """The requests to OpenAI: for each drawing as many as are needed to get all its images. Raises InvalidRequest."""
    name = request.model.rpartition("/")[2]
    family = next(family for family in FAMILIES if family.name.match(name))
    options = _options(request, family)
    most = family.images_a_call
    counts = [min(most, request.n - made) for made in range(0, request.n, most)]
    if len(counts) * len(request.drawings) > MOST_CALLS:
        raise InvalidRequest(
            f"too many images: they need more than {MOST_CALLS} requests to OpenAI", "parameters.sampleCount"
        )
    return [_call(drawing, {"n": count, **options}, request.model) for drawing in request.drawings for count in counts]


def _options(request: PredictRequest, family: OpenAiFamily) -> Json:
    """The parameters that all requests have beside model, prompt and number of images."""
    options: Json = {"size": _size(request, family), "quality": request.quality}
    if family.response_format:
        options["response_format"] = "b64_json"
    lossy = request.mime_type in ("image/jpeg", "image/webp")
    if family.output_format:
        options["output_format"] = media.IMAGE_FORMATS[request.mime_type] if request.mime_type else None
        options["output_compression"] = request.compression if lossy else None
    elif lossy:
        request.drop("parameters.outputOptions.mimeType")
    if request.compression is not None and options.get("output_compression") is None:
        request.drop("parameters.outputOptions.compressionQuality")
    return {name: value for name, value in options.items() if value is not None}


def _size(request: PredictRequest, family: OpenAiFamily) -> str | None:
    """OpenAI's `size`, such as 1024x1024."""
    if request.size:
        if request.aspect_ratio:
            request.drop("parameters.aspectRatio")
        if request.tier:
            request.drop("sampleImageSize")
        return request.size
    if family.sizes:
        if request.tier:
            request.drop("sampleImageSize")
        return nearest(proportion_of(request.aspect_ratio), family.sizes) if request.aspect_ratio else None
    if not request.aspect_ratio and not request.tier:
        return None
    side, stretch = 1024 * SIDES[request.tier or "1K"], sqrt(proportion_of(request.aspect_ratio or "1:1"))
    # Models that take any size want width and height to be multiples of 16.
    width, height = (max(16, round(length / 16) * 16) for length in (side * stretch, side / stretch))
    return f"{width}x{height}"


def _call(drawing: Drawing, options: Json, model: str) -> OpenAiCall:
    options = {"model": model, "prompt": drawing.prompt} | options
    if not drawing.images:
        return OpenAiCall("images/generations", "application/json", to_json(options))
    fields: list[forms.Field] = [(name, str(value)) for name, value in options.items()]
    fields += [("image" if len(drawing.images) == 1 else "image[]", image) for image in drawing.images]
    if drawing.mask:
        fields.append(("mask", drawing.mask))
    return OpenAiCall("images/edits", *forms.write(fields))


# The answer


def write_answer(request: PredictRequest, documents: list[object]) -> Json | Failure:
    """The answer to `:predict`. `documents` are OpenAI's ImagesResponses, parsed."""
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
        # The type by the bytes wins over the type that was asked for.
        prediction = {"bytesBase64Encoded": data, "mimeType": media.image_type(first_bytes(data, 64)) or mime_type}
    elif isinstance(url, str) and url:
        prediction["gcsUri"] = url
    else:
        return None
    return prediction | ({"prompt": prompt} if isinstance(prompt, str) and prompt else {})
