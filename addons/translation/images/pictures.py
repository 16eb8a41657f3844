"""Width and height of image files, read from their first bytes."""

import base64
import binascii
import warnings
from io import BytesIO

from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
LONGEST_HEADER = 2**20
"""Characters of base64 in which the size is looked for. Metadata may come before it."""


def open_picture(data: bytes) -> Image.Image | None:
    """An image, of which only the header is read. None if that cannot be read, or if the image has so many pixels that
    Pillow warns of a decompression bomb."""
    with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
        try:
            return Image.open(BytesIO(data), formats=FORMATS)
        except Exception:  # Pillow raises many types of exceptions for damaged files.
            return None


def size_of(data: str | None) -> tuple[int, int] | None:
    """Width and height in pixels of an image in base64; None if they cannot be read."""
    picture = open_picture(first_bytes(data)) if data else None
    return picture.size if picture else None


def first_bytes(data: str, length: int = LONGEST_HEADER) -> bytes:
    """The first `length` characters of `data`, decoded from base64; empty if they are no base64."""
    try:
        return base64.b64decode(data[:length] + "=" * (-len(data[:length]) % 4))
    except (binascii.Error, ValueError):
        return b""
