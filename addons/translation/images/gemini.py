"""Gemini's image models: writes a client's request as GenerateContentRequests, and reads the answers.

Sources: the discovery document of aiplatform v1; Google's pages on the Gemini image models.
"""

from addons.translation.conversation import Answer
from addons.translation.conversation import Finish
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Text
from addons.translation.conversation import Usage
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.gemini.parts import write_data
from addons.translation.gemini.read_answer import FINISH_REASONS
from addons.translation.gemini.read_answer import AnswerReader
from addons.translation.images.families import family_of
from addons.translation.images.read_request import ImageRequest
from addons.translation.images.schema import EDIT_PARAMETERS
from addons.translation.images.schema import IMAGEN_PARAMETERS
from addons.translation.images.sizes import shape_of
from addons.translation.images.write_answer import NO_IMAGE
from addons.translation.images.write_answer import POLICY
from addons.translation.images.write_answer import MadeImages
from addons.translation.images.write_answer import write_usage
from metering.json_values import items
from metering.json_values import member

PERSONS = {
    "allow_all": "ALLOW_ALL",
    "allow_adult": "ALLOW_ADULT",
    "allow_none": "ALLOW_NONE",
    "dont_allow": "ALLOW_NONE",
}
"""`person_generation` of clients, with Imagen's values -> Gemini's `personGeneration`."""


def write_requests(request: ImageRequest) -> list[Json]:
    """GenerateContentRequests, one for each image: Gemini makes one image per request. Raises InvalidRequest."""
    if request.mask:
        raise InvalidRequest("Gemini takes no mask; use an Imagen model, such as imagen-3.0-capability-001", "mask")
    request.drop(*IMAGEN_PARAMETERS, *EDIT_PARAMETERS)
    parts = [write_data(picture) for picture in request.images]
    contents: list[Json] = [{"role": "user", "parts": [*parts, {"text": request.prompt}]}]
    config: Json = {"responseModalities": ["TEXT", "IMAGE"]}
    if image_config := _image_config(request):
        config["imageConfig"] = image_config
    return [
        {"contents": contents, "generationConfig": config | request.seed_of_call(number, least=0)}
        for number in range(request.n)
    ]


def _image_config(request: ImageRequest) -> Json:
    family = family_of(request.model)
    shape = shape_of(request.size, family.ratios) if request.size else None
    tier = request.image_size or (shape.tier if shape else None)
    if not family.takes_tier:
        request.note_only_1k(tier)
        tier = None
    config = {
        "aspectRatio": request.aspect_ratio or (shape.ratio if shape else None),
        "imageSize": tier,
        "personGeneration": PERSONS[request.person_generation] if request.person_generation else None,
        "imageOutputOptions": request.output_options() or None,
    }
    return {name: value for name, value in config.items() if value is not None}


UNFILTERED = frozenset({"NO_IMAGE", "IMAGE_OTHER", "LANGUAGE"})
"""Finish reasons that chats report as CONTENT_FILTER, although the image violates no policy."""


def read_answers(request: ImageRequest, documents: list[object]) -> Json | Failure:
    """OpenAI's ImagesResponse. `documents` are the parsed GenerateContentResponses, one for each image."""
    made = MadeImages()
    usages: list[Usage | None] = []
    for document in documents:
        reader = AnswerReader()
        answer = reader.read(document)
        usages.append(answer.usage)
        before = len(made.images)
        for choice in answer.choices:
            text = "".join(part.text for part in choice.parts if isinstance(part, Text)).strip()
            for part in choice.parts:
                if isinstance(part, Media) and part.mime_type.startswith(("image/", "application/octet-stream")):
                    made.add(part, text or None)
        if len(made.images) == before:
            made.failures.append(reader.failure or _no_image(document, answer))
    return made.write(write_usage(usages, bool(request.images)))


def _no_image(document: object, answer: Answer) -> Failure:
    """Why there is no image in an answer: the model's text, else Google's message."""
    candidates = items(member(document, "candidates"))
    reasons = [reason for one in candidates if isinstance(reason := member(one, "finishReason"), str)]
    texts = [part.text for choice in answer.choices for part in choice.parts if isinstance(part, Text)]
    refusals = [choice.refusal for choice in answer.choices if choice.refusal]
    messages = [text for one in candidates if isinstance(text := member(one, "finishMessage"), str)]
    why = "".join(texts).strip() or " ".join(messages if candidates else refusals)
    filtered = [one for one in reasons if FINISH_REASONS.get(one) is Finish.CONTENT_FILTER and one not in UNFILTERED]
    blocked = member(member(document, "promptFeedback"), "blockReason")
    named = f" ({reasons[0]})" if reasons else ""
    return Failure(400, why or f"The model gave no image{named}.", POLICY if filtered or blocked else NO_IMAGE)
