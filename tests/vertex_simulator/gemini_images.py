"""Gemini's image models: what they refuse, and the parts of their answers.

Sizes and limits: Google's pages on image generation with Gemini, and of the models.
"""

import re
from typing import Any

from tests.vertex_simulator.credentials import Denied
from tests.vertex_simulator.pictures import NoPicture
from tests.vertex_simulator.pictures import encoded
from tests.vertex_simulator.pictures import look_at_text

SIZES = {
    "1:1": (1024, 1024),
    "2:3": (848, 1264),
    "3:2": (1264, 848),
    "3:4": (896, 1200),
    "4:3": (1200, 896),
    "4:5": (928, 1152),
    "5:4": (1152, 928),
    "9:16": (768, 1376),
    "16:9": (1376, 768),
    "21:9": (1584, 672),
}
SIZES_25 = SIZES | {
    "2:3": (832, 1248),
    "3:2": (1248, 832),
    "3:4": (864, 1184),
    "4:3": (1184, 864),
    "4:5": (896, 1152),
    "5:4": (1152, 896),
    "9:16": (768, 1344),
    "16:9": (1344, 768),
    "21:9": (1536, 672),
}
SIZES_31 = SIZES | {"1:4": (512, 2064), "4:1": (2064, 512), "1:8": (352, 2928), "8:1": (2928, 352)}
TIERS = {"1K": 1.0, "2K": 2.0, "4K": 4.0}
FORMATS = ("image/png", "image/jpeg", "image/webp")
IMAGE_TOKENS = {"512": 747, "1K": 1120, "2K": 1120, "4K": 2000}
REFUSALS = {
    "forbidden": ("IMAGE_SAFETY", "Unable to show the generated image: it was filtered out for its content."),
    "impossible": ("NO_IMAGE", "Unable to generate an image for this prompt."),
}
"""Word in a prompt -> finishReason and finishMessage."""
SIGNATURE = "aW1hZ2Ugb2YgdGhlIHNpbXVsYXRvcg=="


def is_image_model(model: str) -> bool:
    return re.match(r"gemini-.*image", model) is not None


def _is_25(model: str) -> bool:
    return model.startswith("gemini-2")


def _sizes(model: str) -> dict[str, tuple[int, int]]:
    if _is_25(model):
        return SIZES_25
    return SIZES_31 if model.startswith("gemini-3.1") else SIZES


def _tiers(model: str) -> dict[str, float]:
    if _is_25(model):
        return {}
    return TIERS | ({"512": 0.5} if model.startswith("gemini-3.1") else {})


def member(value: dict[str, Any], camel: str) -> Any:
    """proto3 JSON has two spellings of a name."""
    return value.get(camel, value.get(re.sub(r"([A-Z])", r"_\1", camel).lower()))


def check_image_request(model: str, body: dict[str, Any]) -> None:
    """Raises Denied."""
    config = member(body, "generationConfig") or {}
    asked = member(config, "imageConfig") or {}
    if (member(config, "candidateCount") or 1) > 1:
        raise Denied(400, "INVALID_ARGUMENT", "Multiple candidates is not enabled for this model.")
    modalities = set(member(config, "responseModalities") or ["TEXT", "IMAGE"])
    if "IMAGE" not in modalities:
        raise Denied(400, "INVALID_ARGUMENT", "The model does not support the requested response modalities: text")
    ratio, tier = member(asked, "aspectRatio"), member(asked, "imageSize")
    if ratio is not None and ratio not in _sizes(model):
        raise Denied(400, "INVALID_ARGUMENT", "aspect_ratio must be one of " + ", ".join(_sizes(model)))
    if tier is not None and tier not in _tiers(model):
        known = ", ".join(_tiers(model)) or "left out for this model"
        raise Denied(400, "INVALID_ARGUMENT", f"image_size must be {known}")
    output = member(asked, "imageOutputOptions") or {}
    quality = member(output, "compressionQuality")
    if member(output, "mimeType") not in (None, *FORMATS) or not (quality is None or 0 <= quality <= 100):
        raise Denied(400, "INVALID_ARGUMENT", "image_output_options are not valid.")
    if _is_25(model) and member(config, "thinkingConfig"):
        raise Denied(400, "INVALID_ARGUMENT", "Thinking is not supported by this model.")
    for part in (part for content in body["contents"] for part in content["parts"]):
        if blob := member(part, "inlineData"):
            try:
                look_at_text(blob["data"], member(blob, "mimeType"))
            except NoPicture:
                raise Denied(400, "INVALID_ARGUMENT", "Provided image is not valid.") from None


def refusal(said: str) -> tuple[str, str] | None:
    """finishReason and finishMessage where no image is to be made."""
    return next((told for word, told in REFUSALS.items() if word in said), None)


def image_answer(model: str, body: dict[str, Any], prompt: int, padding: int = 0) -> list[dict[str, Any]]:
    """The events of an answer, one a part, to a prompt of so many tokens."""
    texts = [part["text"] for content in body["contents"] for part in content["parts"] if "text" in part]
    counts: dict[str, Any] = {"promptTokenCount": prompt, "trafficType": "ON_DEMAND"}
    if refused := refusal(" ".join(texts)):
        candidate = {"finishReason": refused[0], "finishMessage": refused[1]}
        return [{"candidates": [candidate], "usageMetadata": counts | {"totalTokenCount": prompt}}]
    parts, tokens = _image_parts(model, body, padding)
    events: list[dict[str, Any]] = [
        {"candidates": [{"content": {"role": "model", "parts": [part]}}], "usageMetadata": {"trafficType": "ON_DEMAND"}}
        for part in parts
    ]
    words = sum(len(part.get("text", "").split()) for part in parts if not part.get("thought"))
    thoughts = 11 if parts[0].get("thought") else 0
    said = sum(len(text.split()) for text in texts)
    counts |= {
        "candidatesTokenCount": words + tokens,
        "totalTokenCount": prompt + words + tokens + thoughts,
        "promptTokensDetails": _details({"TEXT": said, "IMAGE": prompt - said}),
        "candidatesTokensDetails": _details({"IMAGE": tokens, "TEXT": words}),
    }
    if thoughts:
        counts["thoughtsTokenCount"] = thoughts
    events[-1]["candidates"][0]["finishReason"] = "STOP"
    events[-1]["usageMetadata"] = counts
    return events


def _details(tokens: dict[str, int]) -> list[dict[str, Any]]:
    return [{"modality": modality, "tokenCount": number} for modality, number in tokens.items() if number]


def _image_parts(model: str, body: dict[str, Any], padding: int) -> tuple[list[dict[str, Any]], int]:
    """The parts of an answer, with a sketch among the thoughts of Gemini 3, and the tokens of its image."""
    config = member(body, "generationConfig") or {}
    asked = member(config, "imageConfig") or {}
    tier = member(asked, "imageSize") or "1K"
    width, height = _sizes(model)[member(asked, "aspectRatio") or "1:1"]
    scale = (TIERS | {"512": 0.5})[tier]
    mime_type = member(member(asked, "imageOutputOptions") or {}, "mimeType") or "image/png"
    data = encoded(int(width * scale), int(height * scale), mime_type, padding)
    image: dict[str, Any] = {"inlineData": {"mimeType": mime_type, "data": data}}
    parts: list[dict[str, Any]] = []
    if not _is_25(model):
        parts = [
            {"text": "A sketch first.", "thought": True},
            {"inlineData": {"mimeType": "image/png", "data": encoded(64, 64)}, "thought": True},
        ]
        image["thoughtSignature"] = SIGNATURE
    if "TEXT" in (member(config, "responseModalities") or ["TEXT", "IMAGE"]):
        parts.append({"text": "Here it is."})
    return [*parts, image], 1290 if _is_25(model) else IMAGE_TOKENS[tier]
