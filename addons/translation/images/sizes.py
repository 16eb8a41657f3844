"""Converts sizes of images: OpenAI's pixels (1024x768), Google's ratio (4:3) with a tier (1K, 2K, 4K).

Sources: OpenAI's API reference; Google's reference of the Imagen API and its page on image generation with Gemini; for
sizes that OpenAI does not have, the documentation of other gateways.
"""

import re
from collections.abc import Iterable
from math import log
from math import sqrt
from typing import Annotated
from typing import NamedTuple

from pydantic import Field


class Shape(NamedTuple):
    """A size in Google's form."""

    ratio: str
    """The ratio of width to height, such as 16:9."""
    tier: str
    """1K, 2K or 4K: roughly the length of a side, in thousands of pixels."""


LARGEST = {"1792x1024": "2K", "1024x1792": "2K", "1536x1024": "2K", "1024x1536": "2K"}
"""The largest sizes of OpenAI's models -> their tier. By area they would get a smaller tier."""
TIERS = {"1K": 1536.0, "2K": 3072.0, "4K": float("inf")}
"""Tier -> a side in pixels. An image has this tier if its area is less than that of a square with this side: 1024x768
is 1K, as it is smaller than 1536x1536."""
SIDES = {"1K": 1, "2K": 2, "4K": 4}
"""Tier -> the side of a square image, in 1024 pixels. An image of another ratio has the same area."""
RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
"""Ratios that every Gemini image model takes."""
EXTREME_RATIOS = ("1:4", "1:8", "4:1", "8:1")
"""Ratios that only some Gemini image models take."""
IMAGEN_RATIOS = ("1:1", "3:4", "4:3", "9:16", "16:9")
SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
"""Width and height in pixels."""
Ratio = Annotated[str, Field(pattern=r"^(([1-9]\d{0,3}):([1-9]\d{0,3})|auto)$")]
"""A ratio of width to height, such as 16:9; or `auto`."""


def shape_of(size: str, ratios: Iterable[str]) -> Shape:
    """A size in pixels, such as 1024x768, as a ratio and a tier. The ratio is the nearest one in `ratios`."""
    width, height = map(int, size.split("x"))
    by_area = next(tier for tier, side in TIERS.items() if sqrt(width * height) < side)
    return Shape(nearest(width / height, ratios), LARGEST.get(size, by_area))


def nearest(proportion: float, choices: Iterable[str]) -> str:
    """The ratio (16:9) or size (1792x1024) in `choices` that is nearest to a proportion: width divided by height."""
    return min(choices, key=lambda choice: abs(log(proportion / proportion_of(choice))))


def proportion_of(ratio: str) -> float:
    """Width divided by height, of a ratio (16:9) or of a size (1792x1024)."""
    width, height = map(int, re.split("[:x]", ratio))
    return width / height
