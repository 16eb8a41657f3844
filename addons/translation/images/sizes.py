"""Sizes of images: OpenAI's pixels (1024x768) and Google's ratio (4:3) with a tier (1K, 2K, 4K).

Sources: OpenAI's API reference; Google's reference of the Imagen API and its page on image generation with Gemini; for
sizes that are not OpenAI's own the pages of gateways that do the same.
"""

import re
from collections.abc import Iterable
from math import log
from math import sqrt
from typing import Annotated
from typing import NamedTuple

from pydantic import Field


class Shape(NamedTuple):
    """A size in Google's words."""

    ratio: str
    """Width to height, such as 16:9."""
    tier: str
    """1K, 2K or 4K: about how many pixels a side has."""


LARGEST = {"1792x1024": "2K", "1024x1792": "2K", "1536x1024": "2K", "1024x1536": "2K"}
"""The largest sizes of OpenAI's models -> their tier. By their area they would get a smaller one."""
TIERS = {"1K": 1536.0, "2K": 3072.0, "4K": float("inf")}
"""Tier -> images of less than a square of this side, in pixels, are in it. An example: 1024x768 has less area than
1536x1536, so it is 1K."""
SIDES = {"1K": 1024, "2K": 2048, "4K": 4096}
"""Tier -> the side of a square image, in pixels. An image of another ratio has the same area."""
RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
"""What every Gemini image model takes."""
EXTREME_RATIOS = ("1:4", "1:8", "4:1", "8:1")
"""What some Gemini image models take as well."""
IMAGEN_RATIOS = ("1:1", "3:4", "4:3", "9:16", "16:9")
SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
"""Width and height in pixels."""
Ratio = Annotated[str, Field(pattern=r"^(([1-9]\d{0,3}):([1-9]\d{0,3})|auto)$")]
"""A ratio of width to height, such as 16:9; or `auto`."""


def shape_of(size: str, ratios: Iterable[str]) -> Shape:
    """A size, such as 1024x768, in Google's words, for a model that takes these ratios."""
    width, height = map(int, size.split("x"))
    by_area = next(tier for tier, side in TIERS.items() if sqrt(width * height) < side)
    return Shape(nearest(width / height, ratios), LARGEST.get(size, by_area))


def nearest(proportion: float, choices: Iterable[str]) -> str:
    """The ratio (16:9) or size (1792x1024) among `choices` that is nearest to a proportion of width to height."""
    return min(choices, key=lambda choice: abs(log(proportion / proportion_of(choice))))


def proportion_of(ratio: str) -> float:
    """Width divided by height, of a ratio (16:9) or of a size (1792x1024)."""
    width, height = map(int, re.split("[:x]", ratio))
    return width / height
