"""The families of image models on Vertex AI, and what each can do.

Sources: Google's reference of the Imagen API and its pages on the Gemini image models.
"""

import re
from typing import NamedTuple

from addons.translation.errors import InvalidRequest
from addons.translation.images.sizes import EXTREME_RATIOS
from addons.translation.images.sizes import IMAGEN_RATIOS
from addons.translation.images.sizes import RATIOS


class ImageFamily(NamedTuple):
    """What the image models of a family can do."""

    name: re.Pattern[str]
    """How the names of the models begin."""
    is_imagen: bool = False
    """Whether they are called with Imagen's `:predict`; else with Gemini's `:generateContent`."""
    ratios: tuple[str, ...] = RATIOS
    """The ratios of width to height that they take."""
    takes_tier: bool = True
    """Whether they take a size of 1K, 2K or 4K; else all their images are 1K."""
    images_a_call: int = 1
    """The most images in the answer to one request."""


FAMILIES = (
    ImageFamily(re.compile(r"gemini-2\."), takes_tier=False),
    ImageFamily(re.compile(r"gemini-3\.1-flash-image"), ratios=RATIOS + EXTREME_RATIOS),
    # A number is an endpoint of the project, with a tuned Gemini model.
    ImageFamily(re.compile(r"gemini-|\d+$")),
    ImageFamily(
        re.compile(r"imagen-4\.\d+-(?:ultra-)?generate"), is_imagen=True, ratios=IMAGEN_RATIOS, images_a_call=4
    ),
    ImageFamily(
        re.compile(r"imagegeneration(?!@00[56])"),
        is_imagen=True,
        ratios=IMAGEN_RATIOS,
        takes_tier=False,
        images_a_call=8,
    ),
    ImageFamily(
        re.compile(r"imagen|imagegeneration|imagetext"),
        is_imagen=True,
        ratios=IMAGEN_RATIOS,
        takes_tier=False,
        images_a_call=4,
    ),
)
"""A model is of the first family whose `name` its own name begins with."""


def family_of(model: str) -> ImageFamily:
    """The family of a model, by its name with or without a publisher: `google/imagen-4.0-generate-001`. Raises
    InvalidRequest for a model that makes no images."""
    name = model.rpartition("/")[2]
    family = next((family for family in FAMILIES if family.name.match(name)), None)
    if not family:
        raise InvalidRequest(
            "this model makes no images; write a Gemini or Imagen model such as gemini-3-pro-image-preview", "model"
        )
    return family
