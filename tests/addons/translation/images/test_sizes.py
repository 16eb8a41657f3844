import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.images.sizes import EXTREME_RATIOS
from addons.translation.images.sizes import IMAGEN_RATIOS
from addons.translation.images.sizes import RATIOS
from addons.translation.images.sizes import shape_of
from tests.addons.translation.images.samples import config
from tests.addons.translation.images.samples import read


@pytest.mark.parametrize(
    ("size", "ratio", "tier"),
    [
        ("256x256", "1:1", "1K"),
        ("512x512", "1:1", "1K"),
        ("1024x1024", "1:1", "1K"),
        ("1792x1024", "16:9", "2K"),
        ("1024x1792", "9:16", "2K"),
        ("2048x2048", "1:1", "2K"),
        ("4096x4096", "1:1", "4K"),
        ("1536x1024", "3:2", "2K"),
        ("1024x1536", "2:3", "2K"),
        ("1024x768", "4:3", "1K"),
        ("768x1024", "3:4", "1K"),
        ("1280x1024", "5:4", "1K"),
        ("1024x1280", "4:5", "1K"),
        ("2560x1080", "21:9", "2K"),
        # Not in the table.
        ("1365x1024", "4:3", "1K"),
        ("1920x1080", "16:9", "1K"),
        ("1535x1535", "1:1", "1K"),
        ("1536x1536", "1:1", "2K"),
        ("3071x3071", "1:1", "2K"),
        ("3072x3072", "1:1", "4K"),
        ("3840X2160", "16:9", "2K"),
        ("1x99999", "9:16", "1K"),
    ],
)
def test_sizes(size: str, ratio: str, tier: str) -> None:
    assert config(read(size=size)) == {"aspectRatio": ratio, "imageSize": tier}


@given(st.integers(1, 99999), st.integers(1, 99999))
def test_every_size_has_a_shape(width: int, height: int) -> None:
    for ratios in (RATIOS, RATIOS + EXTREME_RATIOS, IMAGEN_RATIOS):
        shape = shape_of(f"{width}x{height}", ratios)
        assert shape.ratio in ratios
        assert shape.tier in ("1K", "2K", "4K")
