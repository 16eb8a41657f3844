"""OpenAI's images: generations (JSON), edits and variations (multipart), as OpenAI's API reference has them."""

import re
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from typing import NamedTuple

from tests.vertex_simulator.exchange import Answer
from tests.vertex_simulator.exchange import Request
from tests.vertex_simulator.openai_errors import Refused
from tests.vertex_simulator.openai_errors import known
from tests.vertex_simulator.openai_errors import need
from tests.vertex_simulator.openai_errors import one_of
from tests.vertex_simulator.pictures import NoPicture
from tests.vertex_simulator.pictures import encoded
from tests.vertex_simulator.pictures import has_alpha
from tests.vertex_simulator.pictures import look_at

BOTH = frozenset(
    "model prompt background n output_compression output_format partial_images quality size stream user".split()
)
GENERATIONS = BOTH | {"moderation"}
EDITS = BOTH | {"image", "image[]", "mask", "input_fidelity", "moderation"}
DALL_E = frozenset("model prompt n quality response_format size style user image image[] mask".split())
NUMBERS = ("n", "output_compression", "partial_images")
SIZES = ("auto", "1024x1024", "1536x1024", "1024x1536")
DALL_E_SIZES = ("256x256", "512x512", "1024x1024", "1792x1024", "1024x1792")
FORMATS = ("png", "jpeg", "webp")
MOST = 16
"""Images to edit."""


class File(NamedTuple):
    name: str
    content_type: str
    data: bytes


def generations(body: dict[str, Any]) -> Answer:
    """Raises Refused."""
    model = body.get("model") or "gpt-image-1"
    known(body, DALL_E if model.startswith("dall-e") else GENERATIONS)
    return _made(model, body, 0)


def edits(request: Request) -> Answer:
    """Raises Refused."""
    fields, files = form(request)
    model = fields.get("model") or "gpt-image-1"
    known(fields | files, DALL_E if model.startswith("dall-e") else EDITS)
    need(len({"image", "image[]"} & files.keys()) == 1, "Missing required parameter: 'image'.", "image")
    images = files.get("image", []) + files.get("image[]", [])
    need("image[]" in files or len(images) == 1, "Duplicate parameter: 'image'.", "image", "duplicate_parameter")
    need(len(images) <= MOST, f"At most {MOST} images can be edited.", "image")
    sizes = [_looked_at(image, "image").size for image in images]
    if masks := files.get("mask"):
        mask = _looked_at(masks[0], "mask")
        need(masks[0].content_type == "image/png", "The mask must be a PNG.", "mask")
        need(has_alpha(mask), "Invalid mask image format - mask image missing alpha channel", "mask")
        need(mask.size == sizes[0], "Invalid mask image format - mask size does not match image size", "mask")
    return _made(model, fields, len(images))


def variations(request: Request) -> Answer:
    """Raises Refused."""
    fields, files = form(request)
    known(fields | files, frozenset("image model n response_format size user".split()))
    need("image" in files, "Missing required parameter: 'image'.", "image")
    _looked_at(files["image"][0], "image")
    return _made("dall-e-2", {"prompt": "x"} | fields, 1)


def form(request: Request) -> tuple[dict[str, Any], dict[str, list[File]]]:
    """The texts and the files of a multipart body. Raises Refused."""
    content_type = request.headers.get("content-type", "")
    need(content_type.startswith("multipart/form-data; boundary="), f"Unsupported content type: '{content_type}'.")
    boundary = content_type.partition("boundary=")[2].strip('"').encode()
    need(request.body.rstrip(b"\r\n").endswith(b"--" + boundary + b"--"), "The multipart body has no end.")
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + request.body)
    fields: dict[str, Any] = {}
    files: dict[str, list[File]] = {}
    for part in message.iter_parts():
        disposition = part["content-disposition"]
        need(disposition and disposition.content_disposition == "form-data", "A part is no form-data.")
        name = disposition.params.get("name")
        data = part.get_payload(decode=True)
        assert isinstance(data, bytes)
        if "filename" in disposition.params:
            files.setdefault(name, []).append(File(disposition.params["filename"], part.get_content_type(), data))
            continue
        need(name not in fields, f"Duplicate parameter: '{name}'.", name, "duplicate_parameter")
        text = data.decode()
        if name in NUMBERS:
            need(text.isdecimal(), f"Invalid type for '{name}': expected an integer.", name, "invalid_type")
        fields[name] = int(text) if name in NUMBERS else text
    return fields, files


def _looked_at(file: File, param: str) -> Any:
    try:
        return look_at(file.data, file.content_type)
    except NoPicture as e:
        raise Refused(f"Invalid image file or mode: {e}", param, "invalid_image_file") from None


def _check(model: str, body: dict[str, Any]) -> None:
    need(isinstance(body.get("prompt"), str) and body["prompt"], "Missing required parameter: 'prompt'.", "prompt")
    n = body.get("n", 1)
    need(isinstance(n, int) and 1 <= n <= 10, f"Invalid 'n': {n}. Expected a value between 1 and 10.", "n")
    need(model != "dall-e-3" or n == 1, "dall-e-3 makes one image.", "n")
    if model.startswith("dall-e"):
        one_of(body.get("size"), DALL_E_SIZES, "size")
        one_of(body.get("quality"), ("standard", "hd"), "quality")
        one_of(body.get("response_format"), ("url", "b64_json"), "response_format")
        return
    one_of(body.get("quality"), ("auto", "low", "medium", "high"), "quality")
    one_of(body.get("background"), ("auto", "transparent", "opaque"), "background")
    one_of(body.get("output_format"), FORMATS, "output_format")
    one_of(body.get("moderation"), ("auto", "low"), "moderation")
    one_of(body.get("input_fidelity"), ("high", "low"), "input_fidelity")
    size = body.get("size")
    if size not in (None, *SIZES):
        need(re.match(r"gpt-image-[2-9]", model), f"Invalid value: '{size}'.", "size", "invalid_value")
        _check_own_size(size)
    file_format = body.get("output_format", "png")
    compression = body.get("output_compression")
    if compression is not None:
        need(
            file_format != "png" or compression == 100,
            "Compression less than 100 is not supported for PNG.",
            "output_compression",
        )
        need(0 <= compression <= 100, "Invalid 'output_compression'.", "output_compression")
    transparent = body.get("background") == "transparent"
    need(not transparent or file_format != "jpeg", "Transparent background is not supported for JPEG.", "background")


def _check_own_size(size: object) -> None:
    """gpt-image-2: both sides multiples of 16, none over 3840, 3:1 at most, and neither few nor many pixels."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", str(size))
    need(match, f"Invalid value: '{size}'. Expected WIDTHxHEIGHT.", "size", "invalid_value")
    assert match
    width, height = int(match[1]), int(match[2])
    fits = width % 16 == height % 16 == 0 and max(width, height) <= 3840
    fits = fits and max(width, height) <= 3 * min(width, height) and 655_360 <= width * height <= 8_294_400
    need(fits, f"Invalid size '{size}'.", "size", "invalid_value")


def _made(model: str, body: dict[str, Any], images: int) -> Answer:
    _check(model, body)
    if "forbidden" in body["prompt"]:
        refused = Refused("Your request was rejected by the safety system.", code="moderation_blocked")
        refused.type = "image_generation_user_error"
        raise refused
    made = body.get("n") or 1
    size = body.get("size") or "auto"
    width, height = (1024, 1024) if size == "auto" else map(int, size.split("x"))
    mime_type = f"image/{body.get('output_format', 'png')}"
    texts = {"text_tokens": 5, "image_tokens": 200 * images}
    inputs, output = sum(texts.values()), 100 * made
    usage = {
        "input_tokens": inputs,
        "input_tokens_details": texts,
        "output_tokens": output,
        "total_tokens": inputs + output,
    }
    answer = {"created": 1, "data": [{"b64_json": encoded(width, height, mime_type)}] * made, "usage": usage}
    if not model.startswith("dall-e"):
        answer |= {
            "background": "opaque",
            "output_format": body.get("output_format", "png"),
            "quality": body.get("quality", "auto").replace("auto", "high"),
            "size": f"{width}x{height}",
        }
    counts = {"input_tokens": inputs, "output_tokens": output, "total_tokens": inputs + output}
    return Answer.json(answer, reported={"images": made, **counts})
