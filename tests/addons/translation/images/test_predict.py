import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation import forms
from addons.translation.errors import InvalidRequest
from addons.translation.forms import FormFile
from addons.translation.images import predict
from addons.translation.images.predict import MOST_CALLS
from tests.addons.translation.images.samples import ENCODED
from tests.addons.translation.images.samples import IMAGEN_REFERENCE
from tests.addons.translation.images.samples import JPEG
from tests.addons.translation.images.samples import JSON
from tests.addons.translation.images.samples import PNG
from tests.addons.translation.images.samples import PREDICTED_IMAGE
from tests.addons.translation.images.samples import WEBP_PREDICTION
from tests.addons.translation.images.samples import Json
from tests.addons.translation.images.samples import failed
from tests.metering.test_json_array import json_values


def predicted(parameters: Json | None = None, model: str = "gpt-image-2", **members: Any) -> list[tuple[str, Any]]:
    """Operation and fields of each call."""
    body: Json = {"instances": [{"prompt": "cat"}], **({"parameters": parameters} if parameters else {}), **members}
    return sent(body, model)


def sent(body: Json, model: str = "gpt-image-2") -> list[tuple[str, Any]]:
    calls = predict.write_requests(predict.read_request(model, body))
    return [
        (
            call.operation,
            json.loads(call.body) if call.content_type == JSON else forms.read(call.content_type, call.body),
        )
        for call in calls
    ]


def drawn(parameters: Json | None = None, model: str = "gpt-image-2", **members: Any) -> Json:
    """What is asked besides model, prompt and n."""
    ((operation, body),) = predicted(parameters, model, **members)
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
        ("chatgpt-image-latest", {"aspectRatio": "9:16"}, {}, {"size": "1024x1536"}),
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
        ("seedream-4", {}, {"sampleImageSize": "4k"}, {"size": "4096x4096", "response_format": "b64_json"}),
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
    request = predict.read_request("gpt-image-2", {"instances": [{"prompt": "x"}], "parameters": body})
    predict.write_requests(request)
    predict.write_requests(request)
    assert sorted(request.notes.dropped) == sorted(f"parameters.{name}" for name in dropped.split())


def test_tiers_of_models_with_sizes_of_their_own() -> None:
    for size in ({}, {"imageSize": "auto"}):
        request = predict.read_request("gpt-image-2", {"instances": [{"prompt": "x"}], "sampleImageSize": "2K", **size})
        predict.write_requests(request)
        assert request.notes.dropped == ["sampleImageSize"]


@pytest.mark.parametrize(
    ("model", "n", "counts"),
    [("gpt-image-2", 1, [1]), ("gpt-image-2", 10, [10]), ("gpt-image-2", 13, [10, 3]), ("dall-e-3", 3, [1, 1, 1])],
)
def test_counts(model: str, n: int, counts: list[int]) -> None:
    assert [body["n"] for _, body in predicted({"sampleCount": n}, model)] == counts


def test_instances_are_calls() -> None:
    calls = sent({"instances": [{"prompt": "a"}, {"prompt": "b", "image": {"bytesBase64Encoded": ENCODED}}]})
    assert [operation for operation, _ in calls] == ["images/generations", "images/edits"]


SENT = FormFile(PNG, "image.png", "image/png")


@pytest.mark.parametrize(
    ("instance", "files"),
    [
        ({"image": PREDICTED_IMAGE}, [("image", SENT)]),
        ({"image": {"bytes_base64_encoded": ENCODED}}, [("image", SENT)]),
        (
            {"image": {"bytesBase64Encoded": base64.b64encode(JPEG).decode()}},
            [("image", FormFile(JPEG, "image.jpeg", "image/jpeg"))],
        ),
        (
            {"image": {"bytesBase64Encoded": "eA", "mimeType": "image/webp"}},
            [("image", FormFile(b"x", "image.webp", "image/webp"))],
        ),
        ({"image": {**PREDICTED_IMAGE, "mimeType": "image/png;\r\nx=y"}}, [("image", SENT)]),
        ({"image": PREDICTED_IMAGE, "mask": {"image": PREDICTED_IMAGE}}, [("image", SENT), ("mask", SENT)]),
        ({"referenceImages": [IMAGEN_REFERENCE]}, [("image", SENT)]),
        (
            {
                "reference_images": [
                    {
                        "reference_image": PREDICTED_IMAGE,
                        "reference_id": 2,
                        "reference_type": "REFERENCE_TYPE_MASK",
                        "mask_image_config": {"mask_mode": "MASK_MODE_USER_PROVIDED"},
                    },
                    {"reference_image": {"bytesBase64Encoded": "eA=="}, "reference_id": 3},
                    IMAGEN_REFERENCE,
                ]
            },
            [("image[]", SENT), ("image[]", FormFile(b"x", "image.png", "image/png")), ("mask", SENT)],
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
        ({"instances": [{"prompt": "x", "mask": {"image": PREDICTED_IMAGE}}]}, "instances[0]"),
        ({"instances": [{"prompt": "x", "referenceImages": [{}]}]}, "instances[0].referenceImages[0].referenceImage"),
        (
            {
                "instances": [
                    {
                        "prompt": "x",
                        "referenceImages": [
                            IMAGEN_REFERENCE,
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
                        "image": PREDICTED_IMAGE,
                        "mask": {"image": PREDICTED_IMAGE},
                        "referenceImages": [
                            {"referenceType": "REFERENCE_TYPE_MASK", "referenceImage": PREDICTED_IMAGE}
                        ],
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
        predict.write_requests(predict.read_request("gpt-image-2", body))
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("image", "beside", "expected"),
    [
        ({"b64_json": ENCODED}, {}, PREDICTED_IMAGE),
        ({"b64_json": ENCODED, "revised_prompt": "y"}, {}, {**PREDICTED_IMAGE, "prompt": "y"}),
        ({"b64_json": "eA==", "url": None}, {}, {"bytesBase64Encoded": "eA==", "mimeType": "image/webp"}),
        ({"b64_json": "eA=="}, {"output_format": "jpeg"}, {"bytesBase64Encoded": "eA==", "mimeType": "image/jpeg"}),
        ({"url": "https://a"}, {"output_format": "new"}, {"gcsUri": "https://a", "mimeType": "image/webp"}),
    ],
)
def test_predictions(image: Json, beside: Json, expected: Json) -> None:
    documents: list[object] = [{"data": [image], **beside}, {"data": [{"b64_json": ENCODED}, {}, None]}]
    assert predict.write_answer(WEBP_PREDICTION, documents) == {"predictions": [expected, PREDICTED_IMAGE]}


def test_no_predictions() -> None:
    assert failed(predict.write_answer(WEBP_PREDICTION, [{"data": []}])).status == 502
    error = {"error": {"message": "m", "type": "server_error", "code": "c"}}
    assert failed(predict.write_answer(WEBP_PREDICTION, [error])).message == "m"


PREDICT_NAMES = ["instances", "parameters", "prompt", "image", "referenceImages", "sampleCount", "outputOptions"]
PREDICTED = st.recursive(
    json_values, lambda inner: st.dictionaries(st.sampled_from(PREDICT_NAMES), inner | st.lists(inner, max_size=2))
)


@given(st.dictionaries(st.sampled_from(PREDICT_NAMES), PREDICTED))
def test_foreign_predictions_are_refused_at_most(body: Json) -> None:
    try:
        request = predict.read_request("gpt-image-2", body)
    except InvalidRequest:
        return
    assert request.drawings
