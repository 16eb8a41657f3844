"""Imagen: writes a client's request as bodies of `:predict`, and reads the answers.

Sources: Google's reference of the Imagen API (generate, edit, output resolution), and what google-genai sends.
"""

import base64
from io import BytesIO

from PIL import Image

from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.errors import read_error
from addons.translation.images.families import family_of
from addons.translation.images.pictures import open_picture
from addons.translation.images.pictures import size_of
from addons.translation.images.read_request import ImageRequest
from addons.translation.images.schema import EditType
from addons.translation.images.sizes import shape_of
from addons.translation.images.write_answer import POLICY
from addons.translation.images.write_answer import MadeImages
from metering.json_values import items
from metering.json_values import member

EDIT_MODES: dict[EditType, str] = {
    "inpainting": "EDIT_MODE_INPAINT_INSERTION",
    "outpainting": "EDIT_MODE_OUTPAINT",
    "inpaint_removal": "EDIT_MODE_INPAINT_REMOVAL",
    "bgswap": "EDIT_MODE_BGSWAP",
}
"""The client's `type` of an edit -> Imagen's `editMode`."""
MOST_PIXELS = 2**24
"""The most pixels of a mask: 4096x4096. A limit of ours."""


def write_requests(request: ImageRequest) -> list[Json]:
    """Bodies of `:predict`, as many as are needed to get all images. Raises InvalidRequest."""
    if request.operation == "variations":
        raise InvalidRequest("Imagen makes no variations; use a Gemini image model, or call images/edits", "model")
    instance: Json = {"prompt": request.prompt}
    parameters = {"includeRaiReason": True} | request.imagen | _shape(request)
    if request.images:
        references = [_reference(*one) for one in enumerate(request.images, 1)]
        mask = _mask_reference(request)
        instance["referenceImages"] = [*references, mask] if mask else references
        edit = request.edit or ("inpainting" if mask else None)
        parameters["editMode"] = EDIT_MODES[edit] if edit else "EDIT_MODE_DEFAULT"
        if request.base_steps is not None:
            parameters["editConfig"] = {"baseSteps": request.base_steps}
    if request.person_generation:
        parameters["personGeneration"] = request.person_generation.replace("allow_none", "dont_allow")
    if request.mime_type == "image/webp":
        request.drop("output_format", "output_compression")
    elif output := request.output_options():
        parameters["outputOptions"] = output
    if request.seed is not None and parameters.setdefault("addWatermark", False):
        raise InvalidRequest("Imagen takes a seed only without a watermark; write addWatermark=false", "seed")
    most = family_of(request.model).images_a_call
    counts = [min(most, request.n - made) for made in range(0, request.n, most)]
    return [
        {
            "instances": [instance],
            "parameters": parameters | {"sampleCount": count} | request.seed_of_call(number, least=1),
        }
        for number, count in enumerate(counts)
    ]


def _shape(request: ImageRequest) -> Json:
    """The parameters `aspectRatio` and `sampleImageSize`."""
    family = family_of(request.model)
    if request.aspect_ratio and request.aspect_ratio not in family.ratios:
        raise InvalidRequest(
            f"Imagen takes the aspect ratios {', '.join(family.ratios)}", request.names.get("aspect_ratio")
        )
    shape = shape_of(request.size, family.ratios) if request.size else None
    if shape and request.images:
        # An edited image is as large as the original.
        request.drop("size")
        shape = None
    tier = request.image_size or (shape.tier if shape else None)
    if not family.takes_tier:
        request.note_only_1k(tier)
        tier = None
    elif tier == "4K":
        # Imagen makes 1K and 2K.
        request.assume("sampleImageSize=2K")
        tier = "2K"
    found = {"aspectRatio": request.aspect_ratio or (shape.ratio if shape else None), "sampleImageSize": tier}
    return {name: value for name, value in found.items() if value is not None}


def _reference(number: int, picture: Media) -> Json:
    """An image to edit, as a reference image of Imagen. The numbers of these begin with 1."""
    return {
        "referenceType": "REFERENCE_TYPE_RAW",
        "referenceId": number,
        "referenceImage": _image(picture, "image"),
    }


def _image(picture: Media, param: str) -> Json:
    if picture.uri is None:
        return {"bytesBase64Encoded": picture.data, "mimeType": picture.mime_type}
    if not picture.uri.startswith("gs://"):
        raise InvalidRequest("Imagen does not load http(s) URLs: upload the image, or write a gs:// URL", param)
    return {"gcsUri": picture.uri, "mimeType": picture.mime_type}


def _mask_reference(request: ImageRequest) -> Json | None:
    """The reference image that says where to edit: a mask, or a mode in which Imagen makes the mask itself. None if it
    is to edit everywhere. Raises InvalidRequest."""
    mode = request.mask_mode or ("MASK_MODE_USER_PROVIDED" if request.mask else None)
    if mode is None and request.edit == "bgswap":
        mode = "MASK_MODE_BACKGROUND"
        request.assume(f"maskMode={mode}")
    if mode is None and request.edit:
        raise InvalidRequest(f"{request.edit} needs a mask, or a maskMode such as MASK_MODE_FOREGROUND", "mask")
    if mode is None:
        request.drop("mask_classes", "dilation")
        return None
    config: Json = {"maskMode": mode}
    if request.dilation is not None:
        config["dilation"] = request.dilation
    reference: Json = {
        "referenceType": "REFERENCE_TYPE_MASK",
        "referenceId": len(request.images) + 1,
        "maskImageConfig": config,
    }
    if mode == "MASK_MODE_SEMANTIC":
        if not request.mask_classes:
            raise InvalidRequest("maskClasses: MASK_MODE_SEMANTIC needs a list of class numbers", "maskClasses")
        config["maskClasses"] = request.mask_classes
    else:
        request.drop("mask_classes")
    if mode != "MASK_MODE_USER_PROVIDED":
        request.drop("mask")
    elif request.mask:
        reference["referenceImage"] = _mask(request, request.mask)
    else:
        raise InvalidRequest(f"{mode} needs a mask", "mask")
    return reference


def _mask(request: ImageRequest, mask: Media) -> Json:
    """The mask in Imagen's form: white where to edit, black elsewhere. OpenAI's is transparent where to edit. With
    MASK_MODE_USER_PROVIDED, the client may send one that is in Imagen's form already. Raises InvalidRequest."""
    if mask.data is None:
        if request.mask_mode:
            return _image(mask, "mask")
        raise InvalidRequest("upload the mask as a file: its transparent pixels say where to edit", "mask")
    picture = open_picture(base64.b64decode(mask.data))
    if picture is None:
        raise InvalidRequest("the mask cannot be read as an image; send a PNG", "mask")
    if picture.width * picture.height > MOST_PIXELS:
        raise InvalidRequest(f"the mask has more than {MOST_PIXELS} pixels; send a smaller one", "mask", 413)
    size = size_of(request.images[0].data)
    if size not in (None, picture.size):
        raise InvalidRequest("the mask must have the width and the height of the image", "mask")
    alpha = _alpha_of(picture)
    if alpha is None:
        if request.mask_mode:
            return _image(mask, "mask")
        raise InvalidRequest(
            "the mask has no alpha channel: its transparent pixels say where to edit. If its white pixels say it, write"
            " maskMode=MASK_MODE_USER_PROVIDED",
            "mask",
        )
    written = BytesIO()
    alpha.point([255] + [0] * 255).save(written, "PNG", compress_level=1)
    return {"bytesBase64Encoded": base64.b64encode(written.getvalue()).decode("ascii"), "mimeType": "image/png"}


def _alpha_of(picture: Image.Image) -> Image.Image | None:
    """The alpha channel of an image; None if it has no transparency. Raises InvalidRequest if it is damaged."""
    try:
        if not picture.has_transparency_data:
            return None
        return (picture if "A" in picture.getbands() else picture.convert("RGBA")).getchannel("A")
    except Exception:  # Pillow raises many types of exceptions for damaged files.
        raise InvalidRequest("the mask is a damaged image file", "mask") from None


def read_answers(documents: list[object]) -> Json | Failure:
    """OpenAI's ImagesResponse. `documents` are the parsed answers to `:predict`. It has no usage, as Imagen reports
    none."""
    made = MadeImages()
    for document in documents:
        if member(document, "error"):
            made.failures.append(read_error(None, document))
            continue
        predictions = items(member(document, "predictions"))
        for prediction in predictions:
            if picture := _predicted(prediction):
                prompt = member(prediction, "prompt")
                made.add(picture, prompt if isinstance(prompt, str) else None)
        reasons = [reason for one in predictions if isinstance(reason := member(one, "raiFilteredReason"), str)]
        if reasons or not predictions:
            why = reasons[0] if reasons else "All images were filtered, as they may violate Google's policies."
            made.failures.append(Failure(400, why, POLICY))
    return made.write(None)


def _predicted(prediction: object) -> Media | None:
    """The image in a prediction; None if it has none."""
    data, uri = (member(prediction, name) for name in ("bytesBase64Encoded", "gcsUri"))
    said = member(prediction, "mimeType")
    mime_type = said if isinstance(said, str) else ""
    if isinstance(data, str) and data:
        return Media(mime_type, data=data)
    return Media(mime_type, uri=uri) if isinstance(uri, str) and uri else None
