import base64
import json

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from addons.translation import forms
from addons.translation.conversation import Media
from addons.translation.errors import InvalidRequest
from addons.translation.forms import FormFile
from addons.translation.images import gemini
from addons.translation.images import imagen
from addons.translation.images.families import family_of
from addons.translation.images.read_request import VARIATION_PROMPT
from addons.translation.images.read_request import Operation
from addons.translation.images.read_request import read_request
from tests.addons.translation.images.samples import EDITOR
from tests.addons.translation.images.samples import ENCODED
from tests.addons.translation.images.samples import FLASH
from tests.addons.translation.images.samples import IMAGEN
from tests.addons.translation.images.samples import JPEG
from tests.addons.translation.images.samples import JSON
from tests.addons.translation.images.samples import NEUTRAL_IMAGE
from tests.addons.translation.images.samples import PNG
from tests.addons.translation.images.samples import PRO
from tests.addons.translation.images.samples import URL
from tests.addons.translation.images.samples import WIDE
from tests.addons.translation.images.samples import Json
from tests.addons.translation.images.samples import config
from tests.addons.translation.images.samples import data_url
from tests.addons.translation.images.samples import for_gemini
from tests.addons.translation.images.samples import for_imagen
from tests.addons.translation.images.samples import form
from tests.addons.translation.images.samples import picture
from tests.addons.translation.images.samples import read
from tests.addons.translation.images.samples import refused
from tests.metering.test_json_array import json_values


@pytest.mark.parametrize("size", [None, "auto", "AUTO"])
def test_no_size(size: str | None) -> None:
    assert config(read(size=size)) == {}


@pytest.mark.parametrize("size", ["", "big", "1024", "0x1024", "1024x0", "-1x5", "1x123456", "1024x1024x3", "16:9"])
def test_what_is_no_size(size: str) -> None:
    assert refused(read, size=size).param == "size"


def test_what_openai_sends() -> None:
    """The bodies of its Python SDK."""
    made = read_request("generations", JSON, b'{"model":"m","prompt":"cat","n":1,"size":"1024x1024"}')
    assert (made.model, made.prompt, made.n, made.size, made.images) == ("m", "cat", 1, "1024x1024", [])
    edited = form(
        "edits", ("prompt", "p"), ("n", "2"), ("size", "1024x1024"), ("image", FormFile(PNG, "a.png", "image/png"))
    )
    assert (edited.prompt, edited.n, edited.size) == ("p", 2, "1024x1024")
    assert edited.images == [Media("image/png", data=ENCODED)]
    files: list[forms.Field] = [("image[]", FormFile(PNG, "a.png", "image/png"))] * 2
    listed = form("edits", ("prompt", "p"), *files, ("mask", FormFile(PNG, "m.png", "image/png")))
    assert (len(listed.images), listed.mask) == (2, Media("image/png", data=ENCODED))
    varied = form("variations", ("size", "1024x1024"), ("image", FormFile(PNG, "a.png", "image/png")))
    assert (varied.prompt, varied.images) == (VARIATION_PROMPT, [Media("image/png", data=ENCODED)])
    for request in (made, edited, listed, varied):
        assert request.notes.dropped == request.notes.assumed == []


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"image": URL}, [NEUTRAL_IMAGE]),
        ({"image": [URL, URL]}, [NEUTRAL_IMAGE, NEUTRAL_IMAGE]),
        ({"images": [{"image_url": URL}]}, [NEUTRAL_IMAGE]),
        ({"images": [{"image_url": {"url": URL}}, {"url": URL}, URL]}, [NEUTRAL_IMAGE] * 3),
        ({"image_url": URL}, [NEUTRAL_IMAGE]),
        ({"image_url": {"url": URL}}, [NEUTRAL_IMAGE]),
        ({"image": URL, "image_url": [URL]}, [NEUTRAL_IMAGE, NEUTRAL_IMAGE]),
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
        (URL, NEUTRAL_IMAGE),
        ("https://a/b.png", Media("image/png", uri="https://a/b.png")),
        (FormFile(PNG, "", "image/png"), NEUTRAL_IMAGE),
        (FormFile(PNG, "a.jpg", "application/octet-stream"), NEUTRAL_IMAGE),
        (FormFile(PNG, "a"), NEUTRAL_IMAGE),
        (FormFile(JPEG, "upload"), Media("image/jpeg", data=base64.b64encode(JPEG).decode())),
        (FormFile(b"x", "a.WEBP"), Media("image/webp", data="eA==")),
        (FormFile(b"x", "a", "image/jpg"), Media("image/jpeg", data="eA==")),
    ],
)
def test_images_of_a_form(value: str | FormFile, expected: Media) -> None:
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
    for file in (FormFile(b"", "a.png", "image/png"), FormFile(b"x", "a.txt"), FormFile(b"x", "a", "video/mp4")):
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


@given(st.integers(), st.integers(1, 10))
def test_seeds_fit(seed: int, n: int) -> None:
    for body in gemini.write_requests(read(seed=seed, n=n)):
        assert 0 <= body["generationConfig"]["seed"] < 2**31  # type: ignore[index]
    for body in imagen.write_requests(read(model=IMAGEN, seed=seed, n=n)):
        assert 1 <= body["parameters"]["seed"] < 2**31  # type: ignore[index]


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
        bodies = for_imagen(request) if family_of(request.model).is_imagen else for_gemini(request)
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
