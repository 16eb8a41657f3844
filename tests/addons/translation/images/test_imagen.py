import base64
import contextlib
import zlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from addons.translation import forms
from addons.translation.errors import InvalidRequest
from addons.translation.errors import openai_error
from addons.translation.images import imagen
from addons.translation.images.read_request import ImageRequest
from tests.addons.translation.images.samples import EDITOR
from tests.addons.translation.images.samples import ENCODED
from tests.addons.translation.images.samples import IMAGEN
from tests.addons.translation.images.samples import IMAGEN_REFERENCE
from tests.addons.translation.images.samples import PNG
from tests.addons.translation.images.samples import URL
from tests.addons.translation.images.samples import Json
from tests.addons.translation.images.samples import chunks_of
from tests.addons.translation.images.samples import data_url
from tests.addons.translation.images.samples import edit
from tests.addons.translation.images.samples import failed
from tests.addons.translation.images.samples import for_imagen
from tests.addons.translation.images.samples import form
from tests.addons.translation.images.samples import parameters
from tests.addons.translation.images.samples import picture
from tests.addons.translation.images.samples import png_of
from tests.addons.translation.images.samples import read
from tests.addons.translation.images.samples import refused
from tests.addons.translation.images.samples import told


@pytest.mark.parametrize(
    ("model", "n", "counts"),
    [
        (IMAGEN, 1, [1]),
        (IMAGEN, 4, [4]),
        (IMAGEN, 10, [4, 4, 2]),
        ("imagegeneration@002", 10, [8, 2]),
        ("imagegeneration@006", 10, [4, 4, 2]),
    ],
)
def test_samples(model: str, n: int, counts: list[int]) -> None:
    bodies = for_imagen(read(model=model, n=n, seed=5))
    assert [body["parameters"]["sampleCount"] for body in bodies] == counts
    assert [body["parameters"]["seed"] for body in bodies] == [5 + number for number in range(len(counts))]
    assert all(body["instances"] == [{"prompt": "cat"}] for body in bodies)


@pytest.mark.parametrize(
    ("model", "members", "expected", "assumed", "dropped"),
    [
        (IMAGEN, {}, {}, [], []),
        (IMAGEN, {"size": "1024x1024"}, {"aspectRatio": "1:1", "sampleImageSize": "1K"}, [], []),
        (IMAGEN, {"size": "1792x1024"}, {"aspectRatio": "16:9", "sampleImageSize": "2K"}, [], []),
        (IMAGEN, {"size": "1536x1024"}, {"aspectRatio": "4:3", "sampleImageSize": "2K"}, [], []),
        (
            IMAGEN,
            {"size": "4096x4096"},
            {"aspectRatio": "1:1", "sampleImageSize": "2K"},
            ["sampleImageSize=2K"],
            [],
        ),
        (
            IMAGEN,
            {"aspect_ratio": "9:16", "image_size": "2k"},
            {"aspectRatio": "9:16", "sampleImageSize": "2K"},
            [],
            [],
        ),
        (
            "imagen-4.0-ultra-generate-001",
            {"size": "2048x2048"},
            {"aspectRatio": "1:1", "sampleImageSize": "2K"},
            [],
            [],
        ),
        ("imagen-4.0-fast-generate-001", {"size": "1024x1024"}, {"aspectRatio": "1:1"}, [], []),
        ("imagen-3.0-generate-002", {"size": "2048x2048"}, {"aspectRatio": "1:1"}, ["imageSize=1K"], []),
        ("imagen-3.0-generate-002", {"imageSize": "2K"}, {}, [], ["imageSize"]),
        (IMAGEN, {"negative_prompt": "dog", "guidanceScale": 3}, {"negativePrompt": "dog", "guidanceScale": 3}, [], []),
        (
            IMAGEN,
            {"safetySetting": "block_only_high", "person_generation": "allow_none", "language": "en"},
            {"safetySetting": "block_only_high", "personGeneration": "dont_allow", "language": "en"},
            [],
            [],
        ),
        (
            IMAGEN,
            {
                "includeRaiReason": False,
                "includeSafetyAttributes": True,
                "enhance_prompt": False,
                "storageUri": "gs://b",
            },
            {
                "includeRaiReason": False,
                "includeSafetyAttributes": True,
                "enhancePrompt": False,
                "storageUri": "gs://b",
            },
            [],
            [],
        ),
        (IMAGEN, {"seed": 5}, {"seed": 5, "addWatermark": False}, [], []),
        (IMAGEN, {"seed": 0, "addWatermark": False}, {"seed": 1, "addWatermark": False}, [], []),
        (IMAGEN, {"addWatermark": True}, {"addWatermark": True}, [], []),
        (IMAGEN, {"output_format": "png"}, {"outputOptions": {"mimeType": "image/png"}}, [], []),
        (
            IMAGEN,
            {"output_format": "jpeg", "output_compression": 7},
            {"outputOptions": {"mimeType": "image/jpeg", "compressionQuality": 7}},
            [],
            [],
        ),
        # Imagen writes none; the answer tells what it is.
        (IMAGEN, {"output_format": "webp", "output_compression": 7}, {}, [], ["output_format", "output_compression"]),
    ],
)
def test_parameters(model: str, members: Json, expected: Json, assumed: list[str], dropped: list[str]) -> None:
    request = read(model=model, **members)
    assert parameters(request) == {"includeRaiReason": True} | expected
    assert (request.notes.assumed, request.notes.dropped) == (assumed, dropped)


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (read(model=IMAGEN, seed=5, addWatermark=True), "seed"),
        (read(model=IMAGEN, aspectRatio="21:9"), "aspectRatio"),
        (read("variations", model=EDITOR, image=URL), "model"),
        (edit(image="https://a/b.png"), "image"),
        (edit(type="inpainting"), "mask"),
        (edit(type="outpainting"), "mask"),
        (edit(maskMode="MASK_MODE_USER_PROVIDED"), "mask"),
        (edit(maskMode="MASK_MODE_SEMANTIC"), "maskClasses"),
        (edit(mask="gs://b/c.png"), "mask"),
        (edit(mask="https://a/b.png", maskMode="MASK_MODE_USER_PROVIDED"), "mask"),
    ],
)
def test_what_imagen_cannot_do(request_: ImageRequest, param: str) -> None:
    assert refused(for_imagen, request_).param == param


class TestImagenEdits:
    def test_without_a_mask(self) -> None:
        request = edit(images=["gs://b/c.png"], model=EDITOR, size="1024x1024", baseSteps=35, dilation=0.1)
        (body,) = for_imagen(request)
        linked = {"gcsUri": "gs://b/c.png", "mimeType": "image/png"}
        assert body == {
            "instances": [
                {
                    "prompt": "cat",
                    "referenceImages": [
                        IMAGEN_REFERENCE,
                        {**IMAGEN_REFERENCE, "referenceId": 2, "referenceImage": linked},
                    ],
                }
            ],
            "parameters": {
                "sampleCount": 1,
                "includeRaiReason": True,
                "editMode": "EDIT_MODE_DEFAULT",
                "editConfig": {"baseSteps": 35},
            },
        }
        assert sorted(request.notes.dropped) == ["dilation", "size"]

    @pytest.mark.parametrize(
        ("members", "mode", "expected", "assumed"),
        [
            ({"type": "bgswap"}, "EDIT_MODE_BGSWAP", {"maskMode": "MASK_MODE_BACKGROUND"}, 1),
            (
                {"maskMode": "MASK_MODE_FOREGROUND"},
                "EDIT_MODE_INPAINT_INSERTION",
                {"maskMode": "MASK_MODE_FOREGROUND"},
                0,
            ),
            (
                {"type": "Inpaint_Removal", "mask_mode": "mask_mode_semantic", "mask_classes": [1, 2], "dilation": 0.5},
                "EDIT_MODE_INPAINT_REMOVAL",
                {"maskMode": "MASK_MODE_SEMANTIC", "maskClasses": [1, 2], "dilation": 0.5},
                0,
            ),
        ],
    )
    def test_masks_that_imagen_finds(self, members: Json, mode: str, expected: Json, assumed: int) -> None:
        request = edit(model=EDITOR, **members)
        (body,) = for_imagen(request)
        assert body["parameters"]["editMode"] == mode
        assert body["instances"][0]["referenceImages"] == [
            IMAGEN_REFERENCE,
            {"referenceType": "REFERENCE_TYPE_MASK", "referenceId": 2, "maskImageConfig": expected},
        ]
        assert len(request.notes.assumed) == assumed

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ([("maskClasses", "[1, 2]")], [1, 2]),
            ([("maskClasses", "1,2")], [1, 2]),
            ([("maskClasses[]", "1"), ("maskClasses[]", "2")], [1, 2]),
            ([("maskClasses", "1"), ("maskClasses", "2")], [1, 2]),
            ([("mask_classes", "7")], [7]),
        ],
    )
    def test_classes_in_a_form(self, fields: list[forms.Field], expected: list[int]) -> None:
        request = form(
            "edits", ("prompt", "x"), ("image", URL), ("maskMode", "MASK_MODE_SEMANTIC"), ("dilation", "0.5"), *fields
        )
        (body,) = for_imagen(request)
        assert body["instances"][0]["referenceImages"][1]["maskImageConfig"] == {
            "maskMode": "MASK_MODE_SEMANTIC",
            "maskClasses": expected,
            "dilation": 0.5,
        }

    @pytest.mark.parametrize(
        ("type", "mode"),
        [
            (None, "EDIT_MODE_INPAINT_INSERTION"),
            ("inpainting", "EDIT_MODE_INPAINT_INSERTION"),
            ("outpainting", "EDIT_MODE_OUTPAINT"),
            ("inpaint_removal", "EDIT_MODE_INPAINT_REMOVAL"),
            ("bgswap", "EDIT_MODE_BGSWAP"),
        ],
    )
    def test_what_is_transparent_becomes_white(self, type: str | None, mode: str) -> None:
        drawn = Image.new("RGBA", (4, 2), (10, 20, 30, 255))
        drawn.putpixel((1, 0), (10, 20, 30, 0))
        drawn.putpixel((2, 1), (255, 255, 255, 128))
        made, reference = masked(drawn, type)
        assert made["parameters"]["editMode"] == mode
        assert reference["maskImageConfig"] == {"maskMode": "MASK_MODE_USER_PROVIDED"}
        assert [*written_mask(reference).get_flattened_data()] == [0, 255, 0, 0, 0, 0, 0, 0]

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
    def test_kinds_of_alpha(self, mode: str) -> None:
        drawn = Image.new("LA", (4, 2), (0, 255))
        drawn.putpixel((3, 1), (0, 0))
        if mode == "P":
            drawn = Image.new("P", (4, 2), 1)
            drawn.putpixel((3, 1), 0)
            drawn.info["transparency"] = 0
        _, reference = masked(drawn.convert(mode) if mode == "RGBA" else drawn)
        assert [*written_mask(reference).get_flattened_data()] == [0] * 7 + [255]

    def test_a_mask_in_imagens_own_style(self) -> None:
        request = edit(model=EDITOR, mask=URL, maskMode="MASK_MODE_USER_PROVIDED")
        reference = for_imagen(request)[0]["instances"][0]["referenceImages"][1]
        assert reference["referenceImage"] == {"bytesBase64Encoded": ENCODED, "mimeType": "image/png"}
        request = edit(model=EDITOR, mask="gs://b/c.png", maskMode="MASK_MODE_USER_PROVIDED")
        reference = for_imagen(request)[0]["instances"][0]["referenceImages"][1]
        assert reference["referenceImage"] == {"gcsUri": "gs://b/c.png", "mimeType": "image/png"}

    def test_a_mask_that_is_not_asked_for(self) -> None:
        request = edit(model=EDITOR, mask=URL, maskMode="MASK_MODE_BACKGROUND", maskClasses=[1])
        assert "referenceImage" not in for_imagen(request)[0]["instances"][0]["referenceImages"][1]
        assert sorted(request.notes.dropped) == ["mask", "maskClasses"]

    @pytest.mark.parametrize(
        ("mask", "why"),
        [
            (PNG, "alpha"),
            (picture("RGBA", (2, 4)), "width"),
            (picture("RGBA")[:45], "damaged"),
            (b"\x89PNG\r\n\x1a\nfake", "read"),
            (b"x", "read"),
            (png_of([(name, raw) for name, raw in chunks_of(picture("P")) if name != b"PLTE"]), "damaged"),
        ],
    )
    def test_masks_that_are_none(self, mask: bytes, why: str) -> None:
        error = refused(for_imagen, edit(model=EDITOR, mask=data_url(mask)))
        assert (error.param, why in error.message) == ("mask", True)

    @pytest.mark.parametrize(("side", "status"), [(5000, 413), (20000, 400)])
    def test_a_bomb_is_not_opened(self, side: int, status: int) -> None:
        bomb = bytearray(picture("LA", (1, 1)))
        bomb[16:24] = side.to_bytes(4, "big") * 2
        # Its checksum.
        bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
        assert refused(for_imagen, edit(model=EDITOR, mask=data_url(bytes(bomb)))).status == status

    def test_an_image_whose_size_cannot_be_told(self) -> None:
        request = edit(model=EDITOR, image=data_url(b"fake"), mask=data_url(picture("RGBA")))
        assert len(for_imagen(request)[0]["instances"][0]["referenceImages"]) == 2

    @given(st.binary(max_size=60), st.integers(0, 120))
    def test_foreign_bytes_as_masks(self, tail: bytes, cut: int) -> None:
        for mask in (tail, PNG[:8] + tail, picture("RGBA", (3, 3))[:cut] + tail):
            sent_as_mask(mask)

    @given(st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]), st.data())
    def test_pngs_that_are_nearly_right(self, mode: str, data: st.DataObject) -> None:
        chunks = chunks_of(picture(mode, (3, 3)))
        names = st.sampled_from([name for name, _ in chunks])
        lost = data.draw(st.sets(names, max_size=2))
        changed = data.draw(st.dictionaries(names, st.binary(max_size=20), max_size=2))
        mask = bytearray(png_of([(name, changed.get(name, raw)) for name, raw in chunks if name not in lost]))
        for place, value in data.draw(
            st.lists(st.tuples(st.integers(0, len(mask) - 1), st.integers(0, 255)), max_size=3)
        ):
            mask[place] = value
        sent_as_mask(bytes(mask))


def sent_as_mask(mask: bytes) -> None:
    """Or refused."""
    with contextlib.suppress(InvalidRequest):
        (body,) = imagen.write_requests(edit(model=EDITOR, image="gs://b/c.png", mask=data_url(mask)))
        assert body["instances"]


def masked(drawn: Image.Image, type: str | None = None) -> tuple[Json, Json]:
    written = BytesIO()
    drawn.save(written, "PNG")
    (body,) = for_imagen(edit(model=EDITOR, mask=data_url(written.getvalue()), type=type))
    return body, body["instances"][0]["referenceImages"][1]


def written_mask(reference: Json) -> Image.Image:
    assert reference["referenceImage"]["mimeType"] == "image/png"
    read = Image.open(BytesIO(base64.b64decode(reference["referenceImage"]["bytesBase64Encoded"])))
    assert (read.mode, read.size) == ("L", (4, 2))
    return read


def test_an_answer_of_imagen() -> None:
    first = {"bytesBase64Encoded": ENCODED, "mimeType": "image/png", "prompt": "A cat, in detail"}
    second = {"gcsUri": "gs://b/c.png", "mimeType": "image/png"}
    filtered = {"raiFilteredReason": "No."}
    found = told(imagen.read_answers([{"predictions": [first, filtered]}, {"predictions": [second]}, {}]))
    assert found == {
        "data": [{"b64_json": ENCODED, "revised_prompt": "A cat, in detail"}, {"url": "gs://b/c.png"}],
        "output_format": "png",
        "size": "4x2",
    }


@pytest.mark.parametrize(
    ("document", "message", "code"),
    [
        ({"predictions": [{"raiFilteredReason": "No."}]}, "No.", "content_policy_violation"),
        ({"predictions": []}, "filtered", "content_policy_violation"),
        ({}, "filtered", "content_policy_violation"),
        ({"predictions": [{}]}, "no image", "no_image"),
    ],
)
def test_no_image_of_imagen(document: Json, message: str, code: str) -> None:
    failure = failed(imagen.read_answers([document]))
    assert message in failure.message
    assert openai_error(failure)["error"]["code"] == code  # type: ignore[index]
