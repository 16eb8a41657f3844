import pytest

from addons.translation.images.families import family_of
from tests.addons.translation.images.samples import IMAGEN
from tests.addons.translation.images.samples import PRO
from tests.addons.translation.images.samples import refused


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (IMAGEN, True),
        ("google/imagen-4.0-fast-generate-001", True),
        ("imagegeneration@006", True),
        ("imagetext@001", True),
        (PRO, False),
        ("vertex_ai/gemini-2.5-flash-image", False),
        ("gemini-9-new", False),
        ("4611686018427387904", False),
        ("endpoints/4611686018427387904", False),
    ],
)
def test_who_answers(model: str, expected: bool) -> None:
    assert family_of(model).is_imagen is expected


@pytest.mark.parametrize("model", ["dall-e-3", "gpt-image-2", "claude-sonnet-4", "4x", "", "/", "my-imagen"])
def test_models_that_make_no_images(model: str) -> None:
    assert refused(family_of, model).param == "model"
