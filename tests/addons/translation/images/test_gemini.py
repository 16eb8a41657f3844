import pytest

from addons.translation.errors import openai_error
from addons.translation.images import gemini
from tests.addons.translation.images.samples import ENCODED
from tests.addons.translation.images.samples import FLASH
from tests.addons.translation.images.samples import GEMINI_IMAGE
from tests.addons.translation.images.samples import PRO
from tests.addons.translation.images.samples import URL
from tests.addons.translation.images.samples import USAGE
from tests.addons.translation.images.samples import WIDE
from tests.addons.translation.images.samples import Json
from tests.addons.translation.images.samples import answer
from tests.addons.translation.images.samples import config
from tests.addons.translation.images.samples import edit
from tests.addons.translation.images.samples import failed
from tests.addons.translation.images.samples import for_gemini
from tests.addons.translation.images.samples import read
from tests.addons.translation.images.samples import refused
from tests.addons.translation.images.samples import told


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


def test_a_generation() -> None:
    assert for_gemini(read()) == [
        {
            "contents": [{"role": "user", "parts": [{"text": "cat"}]}],
            "generationConfig": {"responseModalities": ["TEXT", "IMAGE"]},
        }
    ]


def test_an_edit() -> None:
    linked = {"fileData": {"mimeType": "image/png", "fileUri": "gs://b/c.png"}}
    (body,) = for_gemini(read("edits", images=[URL, "gs://b/c.png"]))
    assert body["contents"] == [{"role": "user", "parts": [GEMINI_IMAGE, linked, {"text": "cat"}]}]


def test_each_image_is_a_call() -> None:
    first, second, third = for_gemini(read(n=3))
    assert first == second == third
    seeds = [body["generationConfig"]["seed"] for body in for_gemini(read(n=3, seed=2**31 - 2))]
    assert seeds == [2**31 - 2, 2**31 - 1, 0]


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
        ({"personGeneration": "allow_all"}, {"personGeneration": "ALLOW_ALL"}),
        ({"personGeneration": "allow_none"}, {"personGeneration": "ALLOW_NONE"}),
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
    for_gemini(request)
    for_gemini(request)
    assert sorted(request.notes.dropped) == ["add_watermark", "dilation", "maskMode", "negativePrompt", "type"]
    assert refused(for_gemini, edit(mask=URL)).param == "mask"


def test_an_answer_of_gemini() -> None:
    thought = {**GEMINI_IMAGE, "thought": True}
    documents: list[object] = [
        answer(
            {"text": "hm", "thought": True}, thought, {"text": "A cat."}, GEMINI_IMAGE, usage=USAGE, finishReason="STOP"
        )
    ]
    assert told(gemini.read_answers(read(), documents)) == {
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


@pytest.mark.parametrize(
    ("document", "message", "code"),
    [
        (answer(finishReason="IMAGE_SAFETY", finishMessage="Unsafe."), "Unsafe.", "content_policy_violation"),
        (answer(finishReason="PROHIBITED_CONTENT"), "(PROHIBITED_CONTENT)", "content_policy_violation"),
        (answer({"text": "I will not."}, finishReason="STOP"), "I will not.", "no_image"),
        (answer({"text": "No."}, finishReason="SAFETY", finishMessage="m"), "No.", "content_policy_violation"),
        (answer(finishReason="NO_IMAGE", finishMessage="None."), "None.", "no_image"),
        (answer(finishReason="IMAGE_OTHER", finishMessage="None."), "None.", "no_image"),
        (answer(finishReason="LANGUAGE", finishMessage="None."), "None.", "no_image"),
        (answer(finishReason="STOP", finishMessage="Why."), "Why.", "no_image"),
        (answer({**GEMINI_IMAGE, "thought": True}, finishReason="MAX_TOKENS"), "(MAX_TOKENS)", "no_image"),
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
    failure = failed(gemini.read_answers(read(), [document]))
    assert message in failure.message
    assert failure.status == 400
    assert openai_error(failure)["error"]["code"] == code  # type: ignore[index]
    # Those that came are told.
    assert len(told(gemini.read_answers(read(n=2), [document, answer(GEMINI_IMAGE)]))["data"]) == 1
