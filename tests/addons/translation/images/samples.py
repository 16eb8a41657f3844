"""Requests for images, pictures and answers that the tests of this folder share."""

import base64
import json
import zlib
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from addons.translation import forms
from addons.translation.conversation import Media
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.images import gemini
from addons.translation.images import imagen
from addons.translation.images import predict
from addons.translation.images.read_request import ImageRequest
from addons.translation.images.read_request import Operation
from addons.translation.images.read_request import read_request
from tests.vertex_simulator.schema import check_request

Json = dict[str, Any]
PRO = "gemini-3-pro-image-preview"
FLASH = "gemini-2.5-flash-image"
WIDE = "gemini-3.1-flash-image-preview"
IMAGEN = "imagen-4.0-generate-001"
EDITOR = "imagen-3.0-capability-001"
JSON = "application/json"
"""PRO, WIDE and FLASH are models of Gemini: FLASH makes one size, WIDE has extreme ratios. EDITOR edits by masks."""
MODELS = "/v1/projects/p/locations/l/publishers/google/models"


def picture(mode: str = "RGB", size: tuple[int, int] = (4, 2), kind: str = "PNG", color: Any = None) -> bytes:
    """A file of one color."""
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
    """The PNG of these chunks, with checksums that are right."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(raw).to_bytes(4, "big") + name + raw + zlib.crc32(name + raw).to_bytes(4, "big") for name, raw in chunks
    )


PNG = picture()
JPEG = picture(kind="JPEG")
ENCODED = base64.b64encode(PNG).decode()
URL = f"data:image/png;base64,{ENCODED}"
IMAGEN_REFERENCE = {
    "referenceType": "REFERENCE_TYPE_RAW",
    "referenceId": 1,
    "referenceImage": {"bytesBase64Encoded": ENCODED, "mimeType": "image/png"},
}
GEMINI_IMAGE = {"inlineData": {"mimeType": "image/png", "data": ENCODED}}


def read(operation: Operation = "generations", **members: Any) -> ImageRequest:
    """A JSON body, read."""
    body = {"model": PRO, "prompt": "cat"} | members
    return read_request(operation, JSON, json.dumps(body).encode())


def edit(**members: Any) -> ImageRequest:
    """A JSON body of images/edits, read."""
    return read("edits", **{"image": URL, **members})


def form(operation: Operation, *fields: forms.Field) -> ImageRequest:
    """A form, read."""
    return read_request(operation, *forms.write([("model", PRO), *fields]))


def for_gemini(request: ImageRequest) -> list[Json]:
    """Its GenerateContentRequests, held against Google's discovery document."""
    bodies: list[Json] = gemini.write_requests(request)
    for body in bodies:
        check_request("POST", f"{MODELS}/m:generateContent", json.loads(json.dumps(body)))
    return bodies


def for_imagen(request: ImageRequest) -> list[Json]:
    """Its bodies of `:predict`, held against Google's discovery document."""
    bodies: list[Json] = imagen.write_requests(request)
    for body in bodies:
        check_request("POST", f"{MODELS}/m:predict", json.loads(json.dumps(body)))
    return bodies


def config(request: ImageRequest) -> Json:
    """Its `imageConfig` for Gemini."""
    found: Json = for_gemini(request)[0]["generationConfig"].get("imageConfig", {})
    return found


def parameters(request: ImageRequest) -> Json:
    """Its `parameters` for Imagen, of one image."""
    found: Json = for_imagen(request)[0]["parameters"]
    assert found.pop("sampleCount") == 1
    return found


def refused(*args: Any, **members: Any) -> InvalidRequest:
    """What a call (the first argument) with the other arguments is refused with."""
    call, *rest = args
    with pytest.raises(InvalidRequest) as caught:
        call(*rest, **members)
    return caught.value


NEUTRAL_IMAGE = Media("image/png", data=ENCODED)


def data_url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def answer(*parts: Json, usage: Json | None = None, **candidate: object) -> Json:
    """A GenerateContentResponse."""
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
    """An ImagesResponse without its time."""
    assert isinstance(found, dict)
    assert isinstance(found.pop("created"), int)
    return found


def failed(found: object) -> Failure:
    assert isinstance(found, Failure)
    return found


PREDICTED_IMAGE = {"bytesBase64Encoded": ENCODED, "mimeType": "image/png"}
WEBP_PREDICTION = predict.read_request(
    "gpt-image-2", {"instances": [{"prompt": "x"}], "parameters": {"outputOptions": {"mimeType": "image/webp"}}}
)
