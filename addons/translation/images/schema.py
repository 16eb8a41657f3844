"""Pydantic model of the body of an OpenAI client's request for images.

The body is JSON, or a form in which numbers, booleans and objects are strings. Beside OpenAI's members it may have
those of Gemini and Imagen, in camelCase or snake_case. Members that are not declared here are dropped, and the client
is told their names.

Sources: OpenAI's API reference and its Python SDK; Google's reference of the Imagen API; for `type` the documentation
of other gateways.
"""

from typing import Annotated
from typing import Any
from typing import Literal

from pydantic import AliasGenerator
from pydantic import BeforeValidator
from pydantic import ConfigDict
from pydantic import Field
from pydantic_core import from_json

from addons.translation.images.sizes import Ratio
from addons.translation.validation import Model
from addons.translation.validation import camel_or_snake
from addons.translation.validation import lower
from addons.translation.validation import upper


def _parsed(value: object) -> object:
    """A string that is JSON, parsed: `"5"` becomes 5. Any other value is returned as it is."""
    if not isinstance(value, str):
        return value
    try:
        return from_json(value, allow_inf_nan=False)
    except ValueError:
        return value


def _parsed_flag(value: object) -> object:
    """Like `_parsed`, but in any case of letters, as forms may write `True`."""
    return _parsed(value.lower()) if isinstance(value, str) else value


def _parsed_numbers(value: object) -> object:
    """A list of numbers: from the list `[1, 2]`, or from a form the string `1,2` or one field for each number."""
    numbers: list[object] = []
    for one in value if isinstance(value, list) else [value]:
        read = _parsed(f"[{one.strip().strip('[]')}]") if isinstance(one, str) else one
        numbers += read if isinstance(read, list) else [read]
    return numbers


Flag = Annotated[bool, BeforeValidator(_parsed_flag)]
Integer = Annotated[int, BeforeValidator(_parsed)]
Float = Annotated[float, BeforeValidator(_parsed)]
Percent = Annotated[Integer, Field(ge=0, le=100)]
EditType = Literal["inpainting", "outpainting", "inpaint_removal", "bgswap"]
MaskMode = Literal["MASK_MODE_USER_PROVIDED", "MASK_MODE_BACKGROUND", "MASK_MODE_FOREGROUND", "MASK_MODE_SEMANTIC"]
MOST_IMAGES = 10
"""The largest `n` (OpenAI's API reference)."""


class ImageConfig(Model):
    """Gemini's `imageConfig`."""

    model_config = ConfigDict(alias_generator=AliasGenerator(validation_alias=camel_or_snake))

    aspect_ratio: Ratio | None = None
    image_size: str | None = None


class ImageBody(Model):
    """The body of images/generations, images/edits and images/variations."""

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
    image_config: Annotated[ImageConfig, BeforeValidator(_parsed)] | None = None
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
    mask_classes: Annotated[list[int], BeforeValidator(_parsed_numbers)] | None = None
    dilation: Annotated[Float, Field(ge=0, le=1)] | None = None
    base_steps: Annotated[Integer, Field(ge=1)] | None = None
    project_id: str | None = None
    region: str | None = None


SOURCES = ("image", "images", "image_url")
"""Members with images to edit."""
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
"""Members that only Imagen has -> Imagen's names of them."""
EDIT_PARAMETERS = ("type", "mask_mode", "mask_classes", "dilation", "base_steps")
"""Members that only Imagen has, and for edits only."""
