from typing import Any

import pytest
from pydantic.alias_generators import to_camel

from addons.translation.errors import InvalidRequest
from addons.translation.forms import FormFile
from addons.translation.images.schema import EDIT_PARAMETERS
from addons.translation.images.schema import IMAGEN_PARAMETERS
from addons.translation.images.schema import SOURCES
from addons.translation.images.schema import ImageBody
from addons.translation.validation import validated
from tests.addons.translation.images.samples import PNG
from tests.addons.translation.images.samples import config
from tests.addons.translation.images.samples import form


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("n", "3", 3),
        ("stream", "False", False),
        ("addWatermark", "true", True),
        ("guidance_scale", "1.5", 1.5),
        ("output_compression", "100", 100),
        ("mask_classes", "1, 2", [1, 2]),
        ("mask_classes", "[1,2]", [1, 2]),
        ("maskClasses", ["1", 2, "3,4"], [1, 2, 3, 4]),
        ("maskMode", "mask_mode_semantic", "MASK_MODE_SEMANTIC"),
        ("output_format", "PNG", "png"),
        # What is no number is a text.
        ("size", "1024x1024", "1024x1024"),
        ("prompt", "5", "5"),
    ],
)
def test_what_members_become(name: str, value: object, expected: object) -> None:
    body = validated(ImageBody, {"model": "m", name: value})
    (found,) = body.model_dump(exclude_none=True, exclude={"model"}).values()
    assert (found, type(found)) == (expected, type(expected))
    assert not body.model_extra


@pytest.mark.parametrize(
    ("name", "value"),
    [("n", "many"), ("n", "1.5"), ("n", True), ("stream", "yes"), ("dilation", "NaN"), ("maskClasses", "1;2")],
)
def test_what_is_no_value(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        validated(ImageBody, {"model": "m", name: value})
    assert str(refused.value.param).startswith(name)


def test_the_tables_name_members() -> None:
    assert {*SOURCES, *IMAGEN_PARAMETERS, *EDIT_PARAMETERS} <= set(ImageBody.model_fields)
    assert {name: to_camel(name) for name in IMAGEN_PARAMETERS} == IMAGEN_PARAMETERS


def test_shapes_in_a_form() -> None:
    request = form("edits", ("prompt", "x"), ("image", FormFile(PNG, "a.png")), ("aspect_ratio", "16:9"))
    assert config(request) == {"aspectRatio": "16:9"}
    request = form("edits", ("prompt", "x"), ("image", FormFile(PNG, "a.png")), ("imageConfig", '{"imageSize": "2K"}'))
    assert config(request) == {"imageSize": "2K"}
    request = form("edits", ("prompt", "x"), ("image", FormFile(PNG, "a.png")), ("image_config[image_size]", "2K"))
    assert config(request) == {"imageSize": "2K"}
