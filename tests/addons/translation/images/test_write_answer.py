import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.translation.errors import Failure
from addons.translation.images import gemini
from addons.translation.images import imagen
from addons.translation.images import predict
from addons.translation.images.read_request import ImageRequest
from tests.addons.translation.images.samples import ENCODED
from tests.addons.translation.images.samples import GEMINI_IMAGE
from tests.addons.translation.images.samples import JPEG
from tests.addons.translation.images.samples import USAGE
from tests.addons.translation.images.samples import WEBP_PREDICTION
from tests.addons.translation.images.samples import Json
from tests.addons.translation.images.samples import answer
from tests.addons.translation.images.samples import edit
from tests.addons.translation.images.samples import failed
from tests.addons.translation.images.samples import read
from tests.addons.translation.images.samples import told
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING


def test_answers_of_several_calls() -> None:
    jpeg = {"inline_data": {"mime_type": "image/jpeg", "data": base64.b64encode(JPEG).decode()}}
    found = told(
        gemini.read_answers(read(n=2), [answer(jpeg, usage=USAGE), answer(GEMINI_IMAGE, GEMINI_IMAGE, usage=USAGE)])
    )
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
    found = told(gemini.read_answers(request_, [answer(GEMINI_IMAGE, usage=usage) for usage in usages])).get("usage")
    details = found and found["input_tokens_details"]
    assert (details and (details["text_tokens"], details["image_tokens"])) == expected


def test_an_error_instead_of_an_answer() -> None:
    error = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m"}}
    for answered in (gemini.read_answers(read(), [error]), imagen.read_answers([error])):
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
    found = told(gemini.read_answers(read(), [answer(part)]))
    assert (found["data"], found.get("output_format")) == ([expected], output_format)


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
        gemini.read_answers(read(), documents),
        imagen.read_answers(documents),
        predict.write_answer(WEBP_PREDICTION, documents),
    ):
        assert isinstance(found, Failure) or found.get("data") or found.get("predictions")
