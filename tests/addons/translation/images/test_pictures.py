import base64

import pytest

from addons.translation.images.pictures import FORMATS
from addons.translation.images.pictures import first_bytes
from addons.translation.images.pictures import open_picture
from addons.translation.images.pictures import size_of
from tests.addons.translation.images.samples import JPEG
from tests.addons.translation.images.samples import PNG
from tests.addons.translation.images.samples import chunks_of
from tests.addons.translation.images.samples import picture
from tests.addons.translation.images.samples import png_of


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_sizes_of_files(kind: str) -> None:
    assert kind in FORMATS
    assert size_of(encoded(picture(size=(40, 20), kind=kind))) == (40, 20)


@pytest.mark.parametrize(
    "data", [None, "", "!", "eA==", encoded(PNG[:20]), encoded(picture(kind="BMP")), encoded(picture(kind="TIFF"))]
)
def test_sizes_that_cannot_be_told(data: str | None) -> None:
    assert size_of(data) is None


def test_metadata_before_the_size() -> None:
    metadata = b"\xff\xe1\xff\xff" + b"x" * 65533
    assert size_of(encoded(JPEG[:2] + metadata * 10 + JPEG[2:])) == (4, 2)


def test_no_more_is_read_than_the_header() -> None:
    opened = open_picture(png_of([chunk for chunk in chunks_of(PNG) if chunk[0] != b"IEND"]))
    assert opened
    assert opened.size == (4, 2)


def test_a_bomb_is_no_picture() -> None:
    (header, raw), *rest = chunks_of(PNG)
    assert open_picture(png_of([(header, (20000).to_bytes(4, "big") * 2 + raw[8:]), *rest])) is None


@pytest.mark.parametrize(
    ("data", "length", "expected"), [("eHl6", 4, b"xyz"), ("eHl6eHl6", 4, b"xyz"), ("eHl6", 2, b"x"), ("e", 4, b"")]
)
def test_first_bytes(data: str, length: int, expected: bytes) -> None:
    assert first_bytes(data, length) == expected
