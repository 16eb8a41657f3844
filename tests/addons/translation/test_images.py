import base64
import contextlib
import json
import zlib
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image

from addons.translation import forms
from addons.translation.conversation import Failure
from addons.translation.conversation import InvalidRequest
from addons.translation.conversation import Media
from addons.translation.errors import openai_error
from addons.translation.forms import File
from addons.translation.images import EXTREME_RATIOS
from addons.translation.images import IMAGEN_RATIOS
from addons.translation.images import MOST_CALLS
from addons.translation.images import RATIOS
from addons.translation.images import VARIATION
from addons.translation.images import ImageRequest
from addons.translation.images import Operation
from addons.translation.images import is_imagen
from addons.translation.images import read_gemini
from addons.translation.images import read_imagen
from addons.translation.images import read_predict
from addons.translation.images import read_request
from addons.translation.images import shape_of
from addons.translation.images import write_gemini
from addons.translation.images import write_imagen
from addons.translation.images import write_openai
from addons.translation.images import write_predictions
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.vertex_simulator.schema import check_request

Json = dict[str, Any]

PRO = "gemini-3-pro-image-preview"
FLASH = "gemini-2.5-flash-image"
WIDE = "gemini-3.1-flash-image-preview"
IMAGEN = "imagen-4.0-generate-001"
EDITOR = "imagen-3.0-capability-001"
JSON = "application/json"
MODELS = "/v1/projects/p/locations/l/publishers/google/models"


def picture(mode: str = "RGB", size: tuple[int, int] = (4, 2), kind: str = "PNG", color: Any = None) -> bytes:
    written = BytesIO()
    Image.new(mode, size, color or 0).save(written, kind)
    return written.getvalue()


def chunks_of(png: bytes) -> list[tuple[bytes, bytes]]:
    """Name and data of each chunk of a PNG."""
    chunks, place = [], 8
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        chunks.append((png[place + 4 : place + 8], png[place + 8 : place + 8 + length]))
        place += 12 + length
    return chunks


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """With checksums that are right."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(raw).to_bytes(4, "big") + name + raw + zlib.crc32(name + raw).to_bytes(4, "big") for name, raw in chunks
    )


PNG = picture()
JPEG = picture(kind="JPEG")
ENCODED = base64.b64encode(PNG).decode()
URL = f"data:image/png;base64,{ENCODED}"
RAW = {
    "referenceType": "REFERENCE_TYPE_RAW",
    "referenceId": 1,
    "referenceImage": {"bytesBase64Encoded": ENCODED, "mimeType": "image/png"},
}
INLINE = {"inlineData": {"mimeType": "image/png", "data": ENCODED}}


def read(operation: Operation = "generations", **members: Any) -> ImageRequest:
    body = {"model": PRO, "prompt": "cat"} | members
    return read_request(operation, JSON, json.dumps(body).encode())


def edit(**members: Any) -> ImageRequest:
    return read("edits", **{"image": URL, **members})


def form(operation: Operation, *fields: forms.Field) -> ImageRequest:
    return read_request(operation, *forms.write([("model", PRO), *fields]))


def gemini(request: ImageRequest) -> list[Json]:
    bodies: list[Json] = write_gemini(request)
    for body in bodies:
        check_request("POST", f"{MODELS}/m:generateContent", json.loads(json.dumps(body)))
    return bodies


def imagen(request: ImageRequest) -> list[Json]:
    bodies: list[Json] = write_imagen(request)
    for body in bodies:
        check_request("POST", f"{MODELS}/m:predict", json.loads(json.dumps(body)))
    return bodies


def config(request: ImageRequest) -> Json:
    found: Json = gemini(request)[0]["generationConfig"].get("imageConfig", {})
    return found


def parameters(request: ImageRequest) -> Json:
    found: Json = imagen(request)[0]["parameters"]
    assert found.pop("sampleCount") == 1
    return found


def refused(*args: Any, **members: Any) -> InvalidRequest:
    call, *rest = args
    with pytest.raises(InvalidRequest) as caught:
        call(*rest, **members)
    return caught.value


# Models


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
    assert is_imagen(model) is expected


@pytest.mark.parametrize("model", ["dall-e-3", "gpt-image-2", "claude-sonnet-4", "4x", "", "/", "my-imagen"])
def test_models_that_make_no_images(model: str) -> None:
    assert refused(is_imagen, model).param == "model"


# Sizes


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


@pytest.mark.parametrize("size", [None, "auto", "AUTO"])
def test_no_size(size: str | None) -> None:
    assert config(read(size=size)) == {}


@pytest.mark.parametrize("size", ["", "big", "1024", "0x1024", "1024x0", "-1x5", "1x123456", "1024x1024x3", "16:9"])
def test_what_is_no_size(size: str) -> None:
    assert refused(read, size=size).param == "size"


@given(st.integers(1, 99999), st.integers(1, 99999))
def test_every_size_has_a_shape(width: int, height: int) -> None:
    for ratios in (RATIOS, RATIOS + EXTREME_RATIOS, IMAGEN_RATIOS):
        shape = shape_of(f"{width}x{height}", ratios)
        assert shape.ratio in ratios
        assert shape.tier in ("1K", "2K", "4K")


@pytest.mark.parametrize(
    ("model", "members", "expected", "assumed", "dropped"),
    [
        (PRO, {"size": "4096x1024"}, {"aspectRatio": "21:9", "imageSize": "2K"}, [], []),
        (WIDE, {"size": "4096x1024"}, {"aspectRatio": "4:1", "imageSize": "2K"}, [], []),
        (WIDE, {"size": "200x1600"}, {"aspectRatio": "1:8", "imageSize": "1K"}, [], []),
        # One size only.
        (FLASH, {"size": "1024x1024"}, {"aspectRatio": "1:1"}, [], []),
        (FLASH, {"size": "1792x1024"}, {"aspectRatio": "16:9"}, ["imageSize=1K"], []),
        (FLASH, {"imageSize": "2K"}, {}, [], ["imageSize"]),
        ("gemini-2.0-flash-preview-image-generation", {"size": "1024x768"}, {"aspectRatio": "4:3"}, [], []),
        ("google/gemini-2.5-flash-image", {"size": "1024x768"}, {"aspectRatio": "4:3"}, [], []),
        # Vertex's own words win.
        (PRO, {"size": "1024x1024", "aspect_ratio": "16:9"}, {"aspectRatio": "16:9", "imageSize": "1K"}, [], []),
        (PRO, {"size": "1024x768", "imageSize": "4k"}, {"aspectRatio": "4:3", "imageSize": "4K"}, [], []),
        (PRO, {"aspectRatio": "2:3", "image_size": "512"}, {"aspectRatio": "2:3", "imageSize": "512"}, [], []),
        (PRO, {"aspectRatio": "auto"}, {}, [], []),
        (
            PRO,
            {"image_config": {"aspect_ratio": "2:3", "imageSize": "2k"}},
            {"aspectRatio": "2:3", "imageSize": "2K"},
            [],
            [],
        ),
    ],
)
def test_shapes(model: str, members: Json, expected: Json, assumed: list[str], dropped: list[str]) -> None:
    request = read(model=model, **members)
    assert config(request) == expected
    assert (request.notes.assumed, request.notes.dropped) == (assumed, dropped)


def test_shapes_in_a_form() -> None:
    request = form("edits", ("prompt", "x"), ("image", File(PNG, "a.png")), ("aspect_ratio", "16:9"))
    assert config(request) == {"aspectRatio": "16:9"}
    request = form("edits", ("prompt", "x"), ("image", File(PNG, "a.png")), ("imageConfig", '{"imageSize": "2K"}'))
    assert config(request) == {"imageSize": "2K"}
    request = form("edits", ("prompt", "x"), ("image", File(PNG, "a.png")), ("image_config[image_size]", "2K"))
    assert config(request) == {"imageSize": "2K"}


# Reading


def test_what_openai_sends() -> None:
    """The bodies of its Python SDK."""
    made = read_request("generations", JSON, b'{"model":"m","prompt":"cat","n":1,"size":"1024x1024"}')
    assert (made.model, made.prompt, made.n, made.size, made.images) == ("m", "cat", 1, "1024x1024", [])
    edited = form(
        "edits", ("prompt", "p"), ("n", "2"), ("size", "1024x1024"), ("image", File(PNG, "a.png", "image/png"))
    )
    assert (edited.prompt, edited.n, edited.size) == ("p", 2, "1024x1024")
    assert edited.images == [Media("image/png", data=ENCODED)]
    files: list[forms.Field] = [("image[]", File(PNG, "a.png", "image/png"))] * 2
    listed = form("edits", ("prompt", "p"), *files, ("mask", File(PNG, "m.png", "image/png")))
    assert (len(listed.images), listed.mask) == (2, Media("image/png", data=ENCODED))
    varied = form("variations", ("size", "1024x1024"), ("image", File(PNG, "a.png", "image/png")))
    assert (varied.prompt, varied.images) == (VARIATION, [Media("image/png", data=ENCODED)])
    for request in (made, edited, listed, varied):
        assert request.notes.dropped == request.notes.assumed == []


INLINED = Media("image/png", data=ENCODED)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"image": URL}, [INLINED]),
        ({"image": [URL, URL]}, [INLINED, INLINED]),
        ({"images": [{"image_url": URL}]}, [INLINED]),
        ({"images": [{"image_url": {"url": URL}}, {"url": URL}, URL]}, [INLINED] * 3),
        ({"image_url": URL}, [INLINED]),
        ({"image_url": {"url": URL}}, [INLINED]),
        ({"image": URL, "image_url": [URL]}, [INLINED, INLINED]),
        ({"image": "gs://b/c.webp"}, [Media("image/webp", uri="gs://b/c.webp")]),
        ({"image": "https://a/b.png?c=d"}, [Media("image/png", uri="https://a/b.png?c=d")]),
    ],
)
def test_images(members: Json, expected: list[Media]) -> None:
    request = read("edits", **members)
    assert request.images == expected
    assert request.notes.assumed == []


def test_a_link_without_an_extension() -> None:
    request = read("edits", images=["https://a/b"])
    assert request.images == [Media("image/jpeg", uri="https://a/b")]
    assert request.notes.assumed == ["images[0]=image/jpeg"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (URL, INLINED),
        ("https://a/b.png", Media("image/png", uri="https://a/b.png")),
        (File(PNG, "", "image/png"), INLINED),
        (File(PNG, "a.jpg", "application/octet-stream"), INLINED),
        (File(PNG, "a"), INLINED),
        (File(JPEG, "upload"), Media("image/jpeg", data=base64.b64encode(JPEG).decode())),
        (File(b"x", "a.WEBP"), Media("image/webp", data="eA==")),
        (File(b"x", "a", "image/jpg"), Media("image/jpeg", data="eA==")),
    ],
)
def test_images_of_a_form(value: str | File, expected: Media) -> None:
    for name in ("image", "image[]", "images", "image_url"):
        assert form("edits", ("prompt", "x"), (name, value)).images == [expected]


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ("nothing", "image"),
        ("ftp://a", "image"),
        ("data:image/png;base64,", "image"),
        ("data:image/png;base64,!", "image"),
        ("data:text/plain,x", "image"),
        ("https://a/b.mp4", "image"),
        ({"file_id": "f"}, "image"),
        (5, "image"),
        ([URL, {}], "image[1]"),
        ([], "image"),
    ],
)
def test_what_is_no_image(value: object, param: str) -> None:
    assert refused(read, "edits", image=value).param == param


def test_files_that_are_no_images() -> None:
    for file in (File(b"", "a.png", "image/png"), File(b"x", "a.txt"), File(b"x", "a", "video/mp4")):
        assert refused(form, "edits", ("prompt", "x"), ("image", file)).param == "image"


@pytest.mark.parametrize(
    ("operation", "members", "param"),
    [
        ("generations", {"model": None}, "model"),
        ("generations", {"model": ""}, "model"),
        ("generations", {"prompt": None}, "prompt"),
        ("generations", {"prompt": ""}, "prompt"),
        ("generations", {"prompt": 5}, "prompt"),
        ("edits", {"prompt": None, "image": URL}, "prompt"),
        ("edits", {}, "image"),
        ("variations", {"prompt": None}, "image"),
        ("generations", {"n": 0}, "n"),
        ("generations", {"n": 11}, "n"),
        ("generations", {"n": "many"}, "n"),
        ("generations", {"stream": True}, "stream"),
        ("generations", {"output_format": "gif"}, "output_format"),
        ("generations", {"output_format": "jpeg", "output_compression": 101}, "output_compression"),
        ("generations", {"output_format": "png", "output_compression": 50}, "output_compression"),
        ("generations", {"output_compression": 50}, "output_compression"),
        ("generations", {"aspectRatio": "wide"}, "aspectRatio"),
        ("generations", {"aspect_ratio": "0:1"}, "aspect_ratio"),
        ("edits", {"image": URL, "maskMode": "MASK_MODE_NEW"}, "maskMode"),
        ("edits", {"image": URL, "mask_classes": "a"}, "mask_classes[0]"),
        ("edits", {"image": URL, "dilation": 2}, "dilation"),
        ("edits", {"image": URL, "type": "paint"}, "type"),
    ],
)
def test_what_is_refused(operation: Operation, members: Json, param: str) -> None:
    error = refused(read, operation, **members)
    assert (error.param, error.status) == (param, 400)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"5", b'{"model": NaN}', b"\xff"])
def test_what_is_no_json(raw: bytes) -> None:
    refused(read_request, "generations", JSON, raw)
    refused(read_request, "generations", "", raw)


def test_what_is_dropped_is_named() -> None:
    request = read(
        quality="hd", style="vivid", background="auto", user="u", moderation="low", response_format="url", stream=False
    )
    assert sorted(request.notes.dropped) == ["moderation", "quality", "response_format", "style", "user"]
    assert read(response_format="b64_json").notes.dropped == []
    assert form("variations", ("image", URL), ("input_fidelity", "high")).notes.dropped == ["input_fidelity"]
    given = read(image=URL, mask=URL, maskMode="MASK_MODE_BACKGROUND")
    assert (given.images, given.mask, given.notes.dropped) == ([], None, ["image", "mask", "maskMode"])


def test_where_it_goes() -> None:
    request = read(project_id="p", region="l")
    assert (request.project, request.location, request.notes.dropped) == ("p", "l", [])


# Gemini


def test_a_generation() -> None:
    assert gemini(read()) == [
        {
            "contents": [{"role": "user", "parts": [{"text": "cat"}]}],
            "generationConfig": {"responseModalities": ["TEXT", "IMAGE"]},
        }
    ]


def test_an_edit() -> None:
    linked = {"fileData": {"mimeType": "image/png", "fileUri": "gs://b/c.png"}}
    (body,) = gemini(read("edits", images=[URL, "gs://b/c.png"]))
    assert body["contents"] == [{"role": "user", "parts": [INLINE, linked, {"text": "cat"}]}]


def test_each_image_is_a_call() -> None:
    first, second, third = gemini(read(n=3))
    assert first == second == third
    seeds = [body["generationConfig"]["seed"] for body in gemini(read(n=3, seed=2**31 - 2))]
    assert seeds == [2**31 - 2, 2**31 - 1, 0]


@given(st.integers(), st.integers(1, 10))
def test_seeds_fit(seed: int, n: int) -> None:
    for body in write_gemini(read(seed=seed, n=n)):
        assert 0 <= body["generationConfig"]["seed"] < 2**31  # type: ignore[index]
    for body in write_imagen(read(model=IMAGEN, seed=seed, n=n)):
        assert 1 <= body["parameters"]["seed"] < 2**31  # type: ignore[index]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"output_format": "png"}, {"imageOutputOptions": {"mimeType": "image/png"}}),
        ({"output_format": "png", "output_compression": 100}, {"imageOutputOptions": {"mimeType": "image/png"}}),
        (
            {"output_format": "JPG", "output_compression": 0},
            {"imageOutputOptions": {"mimeType": "image/jpeg", "compressionQuality": 0}},
        ),
        ({"output_format": "webp"}, {"imageOutputOptions": {"mimeType": "image/webp"}}),
        ({"personGeneration": "dont_allow"}, {"personGeneration": "ALLOW_NONE"}),
        ({"person_generation": "ALLOW_ADULT"}, {"personGeneration": "ALLOW_ADULT"}),
    ],
)
def test_image_config(members: Json, expected: Json) -> None:
    assert config(read(**members)) == expected


def test_what_gemini_does_not_know() -> None:
    request = edit(
        negativePrompt="dog", add_watermark=False, type="bgswap", maskMode="mask_mode_background", dilation=0
    )
    gemini(request)
    gemini(request)
    assert sorted(request.notes.dropped) == ["add_watermark", "dilation", "maskMode", "negativePrompt", "type"]
    assert refused(gemini, edit(mask=URL)).param == "mask"


# Imagen


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
    bodies = imagen(read(model=model, n=n, seed=5))
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
    assert refused(imagen, request_).param == param


class TestImagenEdits:
    def test_without_a_mask(self) -> None:
        request = edit(images=["gs://b/c.png"], model=EDITOR, size="1024x1024", baseSteps=35, dilation=0.1)
        (body,) = imagen(request)
        linked = {"gcsUri": "gs://b/c.png", "mimeType": "image/png"}
        assert body == {
            "instances": [
                {"prompt": "cat", "referenceImages": [RAW, {**RAW, "referenceId": 2, "referenceImage": linked}]}
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
        (body,) = imagen(request)
        assert body["parameters"]["editMode"] == mode
        assert body["instances"][0]["referenceImages"] == [
            RAW,
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
        (body,) = imagen(request)
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
        reference = imagen(request)[0]["instances"][0]["referenceImages"][1]
        assert reference["referenceImage"] == {"bytesBase64Encoded": ENCODED, "mimeType": "image/png"}
        request = edit(model=EDITOR, mask="gs://b/c.png", maskMode="MASK_MODE_USER_PROVIDED")
        reference = imagen(request)[0]["instances"][0]["referenceImages"][1]
        assert reference["referenceImage"] == {"gcsUri": "gs://b/c.png", "mimeType": "image/png"}

    def test_a_mask_that_is_not_asked_for(self) -> None:
        request = edit(model=EDITOR, mask=URL, maskMode="MASK_MODE_BACKGROUND", maskClasses=[1])
        assert "referenceImage" not in imagen(request)[0]["instances"][0]["referenceImages"][1]
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
        error = refused(imagen, edit(model=EDITOR, mask=data_url(mask)))
        assert (error.param, why in error.message) == ("mask", True)

    @pytest.mark.parametrize(("side", "status"), [(5000, 413), (20000, 400)])
    def test_a_bomb_is_not_opened(self, side: int, status: int) -> None:
        bomb = bytearray(picture("LA", (1, 1)))
        bomb[16:24] = side.to_bytes(4, "big") * 2
        # Its checksum.
        bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
        assert refused(imagen, edit(model=EDITOR, mask=data_url(bytes(bomb)))).status == status

    def test_an_image_whose_size_cannot_be_told(self) -> None:
        request = edit(model=EDITOR, image=data_url(b"fake"), mask=data_url(picture("RGBA")))
        assert len(imagen(request)[0]["instances"][0]["referenceImages"]) == 2

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
        (body,) = write_imagen(edit(model=EDITOR, image="gs://b/c.png", mask=data_url(mask)))
        assert body["instances"]


def data_url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def masked(drawn: Image.Image, type: str | None = None) -> tuple[Json, Json]:
    written = BytesIO()
    drawn.save(written, "PNG")
    (body,) = imagen(edit(model=EDITOR, mask=data_url(written.getvalue()), type=type))
    return body, body["instances"][0]["referenceImages"][1]


def written_mask(reference: Json) -> Image.Image:
    assert reference["referenceImage"]["mimeType"] == "image/png"
    read = Image.open(BytesIO(base64.b64decode(reference["referenceImage"]["bytesBase64Encoded"])))
    assert (read.mode, read.size) == ("L", (4, 2))
    return read


# Answers


def answer(*parts: Json, usage: Json | None = None, **candidate: object) -> Json:
    told = {"usageMetadata": usage} if usage else {}
    return {"candidates": [{"content": {"role": "model", "parts": [*parts]}, **candidate}], **told}


USAGE = {
    "promptTokenCount": 7,
    "candidatesTokenCount": 1300,
    "thoughtsTokenCount": 5,
    "totalTokenCount": 1312,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 7}],
    "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}, {"modality": "TEXT", "tokenCount": 10}],
}


def told(found: Any) -> Json:
    assert isinstance(found, dict)
    assert isinstance(found.pop("created"), int)
    return found


def failed(found: object) -> Failure:
    assert isinstance(found, Failure)
    return found


def test_an_answer_of_gemini() -> None:
    thought = {**INLINE, "thought": True}
    documents: list[object] = [
        answer({"text": "hm", "thought": True}, thought, {"text": "A cat."}, INLINE, usage=USAGE, finishReason="STOP")
    ]
    assert told(read_gemini(read(), documents)) == {
        "data": [{"b64_json": ENCODED, "revised_prompt": "A cat."}],
        "output_format": "png",
        "size": "4x2",
        "usage": {
            "total_tokens": 1312,
            "input_tokens": 7,
            "output_tokens": 1305,
            "input_tokens_details": {"text_tokens": 7, "image_tokens": 0},
            "output_tokens_details": {"text_tokens": 15, "image_tokens": 1290},
        },
    }


def test_answers_of_several_calls() -> None:
    jpeg = {"inline_data": {"mime_type": "image/jpeg", "data": base64.b64encode(JPEG).decode()}}
    found = told(read_gemini(read(n=2), [answer(jpeg, usage=USAGE), answer(INLINE, INLINE, usage=USAGE)]))
    assert [image["b64_json"] for image in found["data"]] == [jpeg["inline_data"]["data"], ENCODED, ENCODED]
    assert (found["output_format"], found["size"]) == ("jpeg", "4x2")
    assert found["usage"]["total_tokens"] == 2624
    assert found["usage"]["output_tokens_details"] == {"text_tokens": 30, "image_tokens": 2580}


@pytest.mark.parametrize(
    ("request_", "usages", "expected"),
    [
        (read(), [USAGE, None], None),
        (read(), [{"promptTokenCount": 7, "candidatesTokenCount": 1}], (7, 0)),
        (edit(), [USAGE], (7, 0)),
        # How much of it is image is not known, and OpenAI's usage must tell.
        (edit(), [{"promptTokenCount": 7, "candidatesTokenCount": 1}], None),
        (
            edit(),
            [USAGE | {"promptTokenCount": 265, "promptTokensDetails": [{"modality": "IMAGE", "tokenCount": 258}]}],
            (7, 258),
        ),
    ],
)
def test_usage(request_: ImageRequest, usages: list[Json | None], expected: tuple[int, int] | None) -> None:
    found = told(read_gemini(request_, [answer(INLINE, usage=usage) for usage in usages])).get("usage")
    details = found and found["input_tokens_details"]
    assert (details and (details["text_tokens"], details["image_tokens"])) == expected


@pytest.mark.parametrize(
    ("document", "message", "code"),
    [
        (answer(finishReason="IMAGE_SAFETY", finishMessage="Unsafe."), "Unsafe.", "content_policy_violation"),
        (answer(finishReason="PROHIBITED_CONTENT"), "(PROHIBITED_CONTENT)", "content_policy_violation"),
        (answer({"text": "I will not."}, finishReason="STOP"), "I will not.", "no_image"),
        (answer({"text": "No."}, finishReason="SAFETY", finishMessage="m"), "No.", "content_policy_violation"),
        (answer(finishReason="NO_IMAGE", finishMessage="None."), "None.", "no_image"),
        (answer(finishReason="STOP", finishMessage="Why."), "Why.", "no_image"),
        (answer({**INLINE, "thought": True}, finishReason="MAX_TOKENS"), "(MAX_TOKENS)", "no_image"),
        (answer(finishReason="NEW_REASON"), "(NEW_REASON)", "no_image"),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, "SAFETY", "content_policy_violation"),
        (
            {"promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": "Blocked."}},
            "Blocked.",
            "content_policy_violation",
        ),
        ({}, "no image", "no_image"),
    ],
)
def test_no_image(document: Json, message: str, code: str) -> None:
    failure = failed(read_gemini(read(), [document]))
    assert message in failure.message
    assert failure.status == 400
    assert openai_error(failure)["error"]["code"] == code  # type: ignore[index]
    # Those that came are told.
    assert len(told(read_gemini(read(n=2), [document, answer(INLINE)]))["data"]) == 1


def test_an_error_instead_of_an_answer() -> None:
    error = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m"}}
    for answered in (read_gemini(read(), [error]), read_imagen([error])):
        assert failed(answered) == Failure(429, "m", "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize(
    ("part", "expected", "output_format"),
    [
        ({"fileData": {"mimeType": "image/webp", "fileUri": "gs://b"}}, {"url": "gs://b"}, "webp"),
        ({"inlineData": {"data": ENCODED}}, {"b64_json": ENCODED}, "png"),
        ({"inlineData": {"data": "eA=="}}, {"b64_json": "eA=="}, None),
        ({"inlineData": {"mimeType": "image/new", "data": "eA=="}}, {"b64_json": "eA=="}, None),
    ],
)
def test_kinds_of_images(part: Json, expected: Json, output_format: str | None) -> None:
    found = told(read_gemini(read(), [answer(part)]))
    assert (found["data"], found.get("output_format")) == ([expected], output_format)


def test_an_answer_of_imagen() -> None:
    first = {"bytesBase64Encoded": ENCODED, "mimeType": "image/png", "prompt": "A cat, in detail"}
    second = {"gcsUri": "gs://b/c.png", "mimeType": "image/png"}
    filtered = {"raiFilteredReason": "No."}
    found = told(read_imagen([{"predictions": [first, filtered]}, {"predictions": [second]}, {}]))
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
    failure = failed(read_imagen([document]))
    assert message in failure.message
    assert openai_error(failure)["error"]["code"] == code  # type: ignore[index]


# The way back


def predict(parameters: Json | None = None, model: str = "gpt-image-2", **members: Any) -> list[tuple[str, Any]]:
    """Operation and fields of each call."""
    body: Json = {"instances": [{"prompt": "cat"}], **({"parameters": parameters} if parameters else {}), **members}
    return sent(body, model)


def sent(body: Json, model: str = "gpt-image-2") -> list[tuple[str, Any]]:
    calls = write_openai(read_predict(model, body))
    return [
        (
            call.operation,
            json.loads(call.body) if call.content_type == JSON else forms.read(call.content_type, call.body),
        )
        for call in calls
    ]


def drawn(parameters: Json | None = None, model: str = "gpt-image-2", **members: Any) -> Json:
    """What is asked besides model, prompt and n."""
    ((operation, body),) = predict(parameters, model, **members)
    assert operation == "images/generations"
    assert (body.pop("model"), body.pop("prompt"), body.pop("n")) == (model, "cat", 1)
    found: Json = body
    return found


@pytest.mark.parametrize(
    ("model", "parameters", "beside", "expected"),
    [
        ("gpt-image-2", {}, {}, {}),
        # As the pages of ZenMux have it, and as google-genai sends its `extra_body`.
        ("gpt-image-2", {"imageSize": "1024x1024", "quality": "high"}, {}, {"size": "1024x1024", "quality": "high"}),
        ("gpt-image-2", {}, {"imageSize": "1920x1088", "quality": "low"}, {"size": "1920x1088", "quality": "low"}),
        ("gpt-image-2", {"image_size": "auto"}, {}, {"size": "auto"}),
        ("gpt-image-2", {"imageSize": "1024x1024", "aspectRatio": "16:9"}, {}, {"size": "1024x1024"}),
        ("gpt-image-2", {"aspectRatio": "1:1"}, {}, {"size": "1024x1024"}),
        ("gpt-image-2", {"aspectRatio": "4:3"}, {}, {"size": "1536x1024"}),
        ("gpt-image-2", {"aspect_ratio": "16:9"}, {"sampleImageSize": "2K"}, {"size": "1536x1024"}),
        ("gpt-image-1.5", {"aspectRatio": "9:16"}, {}, {"size": "1024x1536"}),
        ("gpt-image-2", {"aspectRatio": "auto"}, {}, {}),
        (
            "gpt-image-2",
            {"outputOptions": {"mimeType": "image/png", "compressionQuality": 5}},
            {},
            {"output_format": "png"},
        ),
        (
            "gpt-image-2",
            {"output_options": {"mime_type": "image/jpg", "compression_quality": 5}},
            {},
            {"output_format": "jpeg", "output_compression": 5},
        ),
        ("openai/gpt-image-2", {}, {}, {}),
        ("dall-e-3", {"aspectRatio": "16:9"}, {}, {"size": "1792x1024", "response_format": "b64_json"}),
        ("dall-e-2", {"aspectRatio": "16:9"}, {}, {"size": "1024x1024", "response_format": "b64_json"}),
        ("dall-e-3", {"outputOptions": {"mimeType": "image/jpeg"}}, {}, {"response_format": "b64_json"}),
        # Other models: pixels of tier and ratio.
        ("seedream-4", {}, {}, {"response_format": "b64_json"}),
        ("seedream-4", {"aspectRatio": "1:1"}, {}, {"size": "1024x1024", "response_format": "b64_json"}),
        ("seedream-4", {}, {"sampleImageSize": "2k"}, {"size": "2048x2048", "response_format": "b64_json"}),
        (
            "seedream-4",
            {"aspectRatio": "16:9", "sampleImageSize": "2K"},
            {},
            {"size": "2736x1536", "response_format": "b64_json"},
        ),
        ("seedream-4", {"aspectRatio": "9:16"}, {"imageSize": "3x5"}, {"size": "3x5", "response_format": "b64_json"}),
    ],
)
def test_what_openai_is_asked(model: str, parameters: Json, beside: Json, expected: Json) -> None:
    assert drawn(parameters, model, **beside) == expected


@pytest.mark.parametrize(
    ("body", "dropped"),
    [
        (
            {
                "negativePrompt": "dog",
                "seed": 5,
                "enhance_prompt": True,
                "addWatermark": False,
                "outputOptions": {"mimeType": "image/png", "compressionQuality": 5, "x": 1},
            },
            "negativePrompt seed enhance_prompt addWatermark outputOptions.x outputOptions.compressionQuality",
        ),
        ({"imageSize": "auto", "aspectRatio": "1:1"}, "aspectRatio"),
    ],
)
def test_what_openai_does_not_know(body: Json, dropped: str) -> None:
    request = read_predict("gpt-image-2", {"instances": [{"prompt": "x"}], "parameters": body})
    write_openai(request)
    write_openai(request)
    assert sorted(request.notes.dropped) == sorted(f"parameters.{name}" for name in dropped.split())


def test_tiers_of_models_with_sizes_of_their_own() -> None:
    for size in ({}, {"imageSize": "auto"}):
        request = read_predict("gpt-image-2", {"instances": [{"prompt": "x"}], "sampleImageSize": "2K", **size})
        write_openai(request)
        assert request.notes.dropped == ["sampleImageSize"]


@pytest.mark.parametrize(
    ("model", "n", "counts"),
    [("gpt-image-2", 1, [1]), ("gpt-image-2", 10, [10]), ("gpt-image-2", 13, [10, 3]), ("dall-e-3", 3, [1, 1, 1])],
)
def test_counts(model: str, n: int, counts: list[int]) -> None:
    assert [body["n"] for _, body in predict({"sampleCount": n}, model)] == counts


def test_instances_are_calls() -> None:
    calls = sent({"instances": [{"prompt": "a"}, {"prompt": "b", "image": {"bytesBase64Encoded": ENCODED}}]})
    assert [operation for operation, _ in calls] == ["images/generations", "images/edits"]


GIVEN = {"bytesBase64Encoded": ENCODED, "mimeType": "image/png"}
SENT = File(PNG, "image.png", "image/png")


@pytest.mark.parametrize(
    ("instance", "files"),
    [
        ({"image": GIVEN}, [("image", SENT)]),
        ({"image": {"bytes_base64_encoded": ENCODED}}, [("image", SENT)]),
        (
            {"image": {"bytesBase64Encoded": base64.b64encode(JPEG).decode()}},
            [("image", File(JPEG, "image.jpeg", "image/jpeg"))],
        ),
        (
            {"image": {"bytesBase64Encoded": "eA", "mimeType": "image/webp"}},
            [("image", File(b"x", "image.webp", "image/webp"))],
        ),
        ({"image": {**GIVEN, "mimeType": "image/png;\r\nx=y"}}, [("image", SENT)]),
        ({"image": GIVEN, "mask": {"image": GIVEN}}, [("image", SENT), ("mask", SENT)]),
        ({"referenceImages": [RAW]}, [("image", SENT)]),
        (
            {
                "reference_images": [
                    {
                        "reference_image": GIVEN,
                        "reference_id": 2,
                        "reference_type": "REFERENCE_TYPE_MASK",
                        "mask_image_config": {"mask_mode": "MASK_MODE_USER_PROVIDED"},
                    },
                    {"reference_image": {"bytesBase64Encoded": "eA=="}, "reference_id": 3},
                    RAW,
                ]
            },
            [("image[]", SENT), ("image[]", File(b"x", "image.png", "image/png")), ("mask", SENT)],
        ),
    ],
)
def test_edits(instance: Json, files: list[forms.Field]) -> None:
    ((operation, fields),) = sent({"instances": [{"prompt": "cat", **instance}], "parameters": {"quality": "high"}})
    assert operation == "images/edits"
    assert fields == [("model", "gpt-image-2"), ("prompt", "cat"), ("n", "1"), ("quality", "high"), *files]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "instances"),
        ({"instances": []}, "instances"),
        ({"instances": [{}]}, "instances[0].prompt"),
        ({"instances": [{"prompt": "x"}, {"prompt": ""}]}, "instances[1].prompt"),
        ({"instances": [{"prompt": "x", "image": {"gcsUri": "gs://b"}}]}, "instances[0].image"),
        ({"instances": [{"prompt": "x", "image": {}}]}, "instances[0].image"),
        (
            {"instances": [{"prompt": "x", "image": {"bytesBase64Encoded": "!"}}]},
            "instances[0].image.bytesBase64Encoded",
        ),
        (
            {"instances": [{"prompt": "x", "image": {"bytesBase64Encoded": ""}}]},
            "instances[0].image.bytesBase64Encoded",
        ),
        ({"instances": [{"prompt": "x", "mask": {"image": GIVEN}}]}, "instances[0]"),
        ({"instances": [{"prompt": "x", "referenceImages": [{}]}]}, "instances[0].referenceImages[0].referenceImage"),
        (
            {
                "instances": [
                    {
                        "prompt": "x",
                        "referenceImages": [
                            RAW,
                            {
                                "referenceType": "REFERENCE_TYPE_MASK",
                                "maskImageConfig": {"maskMode": "MASK_MODE_BACKGROUND"},
                            },
                        ],
                    }
                ]
            },
            "instances[0].referenceImages[1]",
        ),
        (
            {
                "instances": [
                    {
                        "prompt": "x",
                        "image": GIVEN,
                        "mask": {"image": GIVEN},
                        "referenceImages": [{"referenceType": "REFERENCE_TYPE_MASK", "referenceImage": GIVEN}],
                    }
                ]
            },
            "instances[0].referenceImages[0]",
        ),
        ({"instances": [{"prompt": "x"}], "parameters": {"sampleCount": 0}}, "parameters.sampleCount"),
        ({"instances": [{"prompt": "x"}] * (MOST_CALLS + 1)}, "parameters.sampleCount"),
        ({"instances": [{"prompt": "x"}], "parameters": {"aspectRatio": "wide"}}, "parameters.aspectRatio"),
        ({"instances": [{"prompt": "x"}], "sampleImageSize": "8K"}, "sampleImageSize"),
        (
            {"instances": [{"prompt": "x"}], "parameters": {"outputOptions": {"mimeType": "image/new"}}},
            "parameters.outputOptions.mimeType",
        ),
    ],
)
def test_what_of_a_prediction_is_refused(body: Any, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        write_openai(read_predict("gpt-image-2", body))
    assert caught.value.param == param


BACK = read_predict(
    "gpt-image-2", {"instances": [{"prompt": "x"}], "parameters": {"outputOptions": {"mimeType": "image/webp"}}}
)


@pytest.mark.parametrize(
    ("image", "beside", "expected"),
    [
        ({"b64_json": ENCODED}, {}, GIVEN),
        ({"b64_json": ENCODED, "revised_prompt": "y"}, {}, {**GIVEN, "prompt": "y"}),
        ({"b64_json": "eA==", "url": None}, {}, {"bytesBase64Encoded": "eA==", "mimeType": "image/webp"}),
        ({"b64_json": "eA=="}, {"output_format": "jpeg"}, {"bytesBase64Encoded": "eA==", "mimeType": "image/jpeg"}),
        ({"url": "https://a"}, {"output_format": "new"}, {"gcsUri": "https://a", "mimeType": "image/webp"}),
    ],
)
def test_predictions(image: Json, beside: Json, expected: Json) -> None:
    documents: list[object] = [{"data": [image], **beside}, {"data": [{"b64_json": ENCODED}, {}, None]}]
    assert write_predictions(BACK, documents) == {"predictions": [expected, GIVEN]}


def test_no_predictions() -> None:
    assert failed(write_predictions(BACK, [{"data": []}])).status == 502
    error = {"error": {"message": "m", "type": "server_error", "code": "c"}}
    assert failed(write_predictions(BACK, [error])).message == "m"


# Anything


IMAGES = st.sampled_from([URL, "gs://b/c", "https://a", {"url": URL}, [URL], "x", data_url(picture("RGBA")), None, 5])
MEMBERS: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {"model": st.sampled_from([PRO, FLASH, WIDE, IMAGEN, EDITOR, "imagegeneration@002"])},
    optional={
        "prompt": st.sampled_from(["x", "", None, 5]),
        "image": IMAGES,
        "images": IMAGES,
        "mask": IMAGES,
        "n": st.integers(0, 11) | st.just("3"),
        "size": st.sampled_from(["auto", "1024x1024", "30x9000", "x"]),
        "seed": st.integers(),
        "aspectRatio": st.sampled_from(["1:1", "4:1", "auto"]),
        "image_size": st.sampled_from(["1k", "4K", "512"]),
        "output_format": st.sampled_from(["png", "jpeg", "webp"]),
        "output_compression": st.integers(0, 100),
        "type": st.sampled_from(["inpainting", "bgswap"]),
        "maskMode": st.sampled_from(["MASK_MODE_USER_PROVIDED", "MASK_MODE_SEMANTIC", "mask_mode_background"]),
        "maskClasses": st.lists(st.integers(0, 9), max_size=2) | st.just("1,2"),
        "dilation": st.floats(0, 1) | st.just("0.5"),
        "addWatermark": st.booleans(),
        "personGeneration": st.sampled_from(["allow_all", "ALLOW_NONE"]),
        "quality": json_values,
    },
)


@settings(max_examples=200)
@given(st.sampled_from(["generations", "edits", "variations"]), MEMBERS)
def test_what_is_written_holds_against_googles_schema(operation: Operation, members: Json) -> None:
    try:
        request = read_request(operation, JSON, json.dumps(members).encode())
        bodies = imagen(request) if is_imagen(request.model) else gemini(request)
    except InvalidRequest:
        return
    assert bodies
    assert len(set(request.notes.dropped)) == len(request.notes.dropped)


@given(
    st.dictionaries(
        st.sampled_from(["model", "prompt", "image", "n", "seed", "maskClasses", "image_config"]), json_values
    )
)
def test_foreign_bodies_are_refused_at_most(body: Json) -> None:
    for operation in ("generations", "edits", "variations"):
        try:
            request = read_request(operation, JSON, json.dumps(body).encode())
        except InvalidRequest:
            continue
        assert request.prompt


PREDICT_NAMES = ["instances", "parameters", "prompt", "image", "referenceImages", "sampleCount", "outputOptions"]
PREDICTED = st.recursive(
    json_values, lambda inner: st.dictionaries(st.sampled_from(PREDICT_NAMES), inner | st.lists(inner, max_size=2))
)


@given(st.dictionaries(st.sampled_from(PREDICT_NAMES), PREDICTED))
def test_foreign_predictions_are_refused_at_most(body: Json) -> None:
    try:
        request = read_predict("gpt-image-2", body)
    except InvalidRequest:
        return
    assert request.drawings


NAMES = st.sampled_from(
    "candidates content parts inlineData data mimeType text predictions bytesBase64Encoded raiFilteredReason b64_json"
    " prompt url usageMetadata promptFeedback blockReason finishReason error output_format".split()
)
ANSWERS = st.recursive(
    json_values | st.sampled_from(ANYTHING),
    lambda inner: st.dictionaries(NAMES, inner | st.lists(inner, max_size=2), max_size=4),
)


@given(st.lists(ANSWERS, max_size=3))
def test_answers_of_any_shape(documents: list[object]) -> None:
    for found in (
        read_gemini(read(), documents),
        read_imagen(documents),
        write_predictions(BACK, documents),
    ):
        assert isinstance(found, Failure) or found.get("data") or found.get("predictions")
