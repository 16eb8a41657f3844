"""Pictures: made in any size and format, and looked at."""

import base64
import struct
import zlib
from functools import cache
from io import BytesIO

from PIL import Image

FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}


class NoPicture(Exception):
    """Bytes that are no picture of a format that is taken."""


def png(width: int = 2, height: int = 2) -> bytes:
    """A valid picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x80\x40\x20" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@cache
def encoded(width: int, height: int, mime_type: str = "image/png", padding: int = 0) -> str:
    """A picture as base64 text, and zeros behind it that stand for so much base64."""
    data = png(width, height)
    if mime_type != "image/png":
        made = BytesIO()
        Image.new("RGB", (width, height), (128, 64, 32)).save(made, FORMATS[mime_type])
        data = made.getvalue()
    return base64.b64encode(data + bytes(padding // 4 * 3)).decode()


def look_at(data: bytes, mime_type: str | None = None) -> Image.Image:
    """Decodes the whole picture, which is of `mime_type` if that is given. Raises NoPicture."""
    try:
        with Image.open(BytesIO(data), formats=tuple(FORMATS.values())) as image:
            image.load()
            if mime_type and image.format != FORMATS.get(mime_type):
                raise NoPicture(f"It is {image.format}, and not {mime_type}.")
            return image.copy()
    except (OSError, SyntaxError, ValueError) as e:
        raise NoPicture("The image cannot be decoded.") from e


def look_at_text(text: object, mime_type: str | None = None) -> Image.Image:
    """The same for base64 text."""
    try:
        data = base64.b64decode(str(text), validate=True)
    except ValueError:
        raise NoPicture("The image is no base64.") from None
    return look_at(data, mime_type)


def has_alpha(image: Image.Image) -> bool:
    return "A" in image.getbands() or "transparency" in image.info


def is_black_and_white(image: Image.Image) -> bool:
    """Nothing but pure black and pure white, and nothing transparent."""
    colours = image.convert("RGB").getcolors(2)
    return not has_alpha(image) and {colour for _, colour in colours or [(0, None)]} <= {(0,) * 3, (255,) * 3}
