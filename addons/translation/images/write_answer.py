"""Writes the answer for an OpenAI client that asks for images: one ImagesResponse from the answers of all requests.

Source: OpenAI's API reference.
"""

import time
from dataclasses import dataclass
from dataclasses import field

from addons.translation import media
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Usage
from addons.translation.errors import Failure
from addons.translation.images.pictures import first_bytes
from addons.translation.images.pictures import size_of

NO_IMAGE = "NO_IMAGE"
"""The code of a Failure if the model made no image."""
POLICY = "CONTENT_POLICY_VIOLATION"
"""The code of a Failure if the image would violate a policy. OpenAI's word."""


@dataclass(slots=True)
class MadeImages:
    """Collects the images that the answers contain."""

    images: list[Json] = field(default_factory=list)
    """Elements of `data` of the ImagesResponse."""
    types: list[str | None] = field(default_factory=list)
    """The media type of each image; None if it is unknown."""
    failures: list[Failure] = field(default_factory=list)
    """The errors of requests that made no image."""

    def add(self, picture: Media, prompt: str | None) -> None:
        """Adds an image. `prompt` is the model's text about it, or the prompt as the model revised it."""
        image: Json = {"b64_json": picture.data} if picture.data is not None else {"url": picture.uri}
        self.images.append(image | ({"revised_prompt": prompt} if prompt else {}))
        known = picture.mime_type.startswith("image/")
        self.types.append(picture.mime_type if known else media.image_type(first_bytes(picture.data or "", 64)))

    def write(self, usage: Json | None) -> Json | Failure:
        """An ImagesResponse with all images, even if some requests made none. If there is no image, the first error."""
        if not self.images:
            return self.failures[0] if self.failures else Failure(400, "The model gave no image.", NO_IMAGE)
        response: Json = {"created": int(time.time()), "data": self.images}
        if (output_format := media.IMAGE_FORMATS.get(self.types[0] or "")) is not None:
            response["output_format"] = output_format
        data = self.images[0].get("b64_json")
        if size := size_of(data if isinstance(data, str) else None):
            response["size"] = "{}x{}".format(*size)
        if usage:
            response["usage"] = usage
        return response


def write_usage(usages: list[Usage | None], with_images: bool) -> Json | None:
    """The `usage` of an ImagesResponse: the sum over all answers. None if an answer has no usage. Also None if the
    client sent images (`with_images`) and an answer does not count their tokens separately, as OpenAI's usage must."""
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
