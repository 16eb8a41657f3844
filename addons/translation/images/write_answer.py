"""The answer for an OpenAI client that has asked for images: one ImagesResponse out of what one or several calls made.

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
"""Code of a failure: the model has made none."""
POLICY = "CONTENT_POLICY_VIOLATION"
"""Code of a failure: the model was not allowed to. OpenAI's word."""


@dataclass(slots=True)
class MadeImages:
    """What the calls of one request have made, collected one by one."""

    images: list[Json] = field(default_factory=list)
    """Members of `data` of an ImagesResponse."""
    types: list[str | None] = field(default_factory=list)
    """The media type of each, where it is known."""
    failures: list[Failure] = field(default_factory=list)
    """Why calls have made none."""

    def add(self, picture: Media, prompt: str | None) -> None:
        """`prompt` is what the model says of the image, or the prompt as the model has changed it."""
        image: Json = {"b64_json": picture.data} if picture.data is not None else {"url": picture.uri}
        self.images.append(image | ({"revised_prompt": prompt} if prompt else {}))
        known = picture.mime_type.startswith("image/")
        self.types.append(picture.mime_type if known else media.image_type(first_bytes(picture.data or "", 64)))

    def write(self, usage: Json | None) -> Json | Failure:
        """An ImagesResponse of the images that came, even if some are missing; without any image the first failure."""
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
    """The `usage` of an ImagesResponse: the sum over all calls. None if a call told none, or if images were sent
    (`with_images`) and a call did not tell how much of its input they are, as OpenAI's usage must tell it."""
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
