"""The image models on Vertex AI: which there are, and what each can do.

Sources: Google's reference of the Imagen API and its pages on the Gemini image models.
"""

import re
from typing import NamedTuple

from addons.translation.errors import InvalidRequest
from addons.translation.images.sizes import EXTREME_RATIOS
from addons.translation.images.sizes import IMAGEN_RATIOS
from addons.translation.images.sizes import RATIOS


class ImageFamily(NamedTuple):
    """What image models can do whose names begin alike."""

    name: re.Pattern[str]
    """How their names begin."""
    is_imagen: bool = False
    """Whether they are asked by Imagen's `:predict`; else by Gemini's `:generateContent`."""
    ratios: tuple[str, ...] = RATIOS
    takes_tier: bool = True
    """Whether they make images of several sizes and can be told which (1K, 2K, 4K); else all they make is 1K."""
    images_a_call: int = 1


FAMILIES = (
    ImageFamily(re.compile(r"gemini-2\."), takes_tier=False),
    ImageFamily(re.compile(r"gemini-3\.1-flash-image"), ratios=RATIOS + EXTREME_RATIOS),
    # A number is an endpoint of the project: a tuned Gemini.
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
"""The first whose name begins a model's is the model's."""


def family_of(model: str) -> ImageFamily:
    """The family of a model, whatever stands before its name: of `google/imagen-4.0-generate-001`, too. Raises
    InvalidRequest for a model that makes no images."""
    name = model.rpartition("/")[2]
    family = next((family for family in FAMILIES if family.name.match(name)), None)
    if not family:
        raise InvalidRequest(
            "images are made by Gemini and Imagen models only; write one such as gemini-3-pro-image-preview", "model"
        )
    return family
