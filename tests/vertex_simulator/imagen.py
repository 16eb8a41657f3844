"""Imagen: `:predict` of images, as Google's Imagen API reference has it.

Members that the reference does not name are refused; Google may be silent about them.
"""

from typing import Any

from tests.vertex_simulator.credentials import Denied
from tests.vertex_simulator.exchange import Answer
from tests.vertex_simulator.pictures import NoPicture
from tests.vertex_simulator.pictures import encoded
from tests.vertex_simulator.pictures import is_black_and_white
from tests.vertex_simulator.pictures import look_at_text

SIZES = {"1:1": (1024, 1024), "3:4": (896, 1280), "4:3": (1280, 896), "9:16": (768, 1408), "16:9": (1408, 768)}
PARAMETERS = frozenset(
    "sampleCount aspectRatio sampleImageSize negativePrompt seed guidanceScale safetySetting personGeneration"
    " includeRaiReason includeSafetyAttributes language outputOptions addWatermark storageUri enhancePrompt"
    " editMode editConfig mode upscaleConfig".split()
)
CHOICES = {
    "aspectRatio": tuple(SIZES),
    "sampleImageSize": ("1K", "2K"),
    "safetySetting": (
        "block_low_and_above",
        "block_medium_and_above",
        "block_only_high",
        "block_none",
    ),
    "personGeneration": ("dont_allow", "allow_adult", "allow_all"),
    "language": ("auto", "en", "zh", "zh-CN", "zh-TW", "hi", "ja", "ko", "pt", "es"),
    "editMode": (
        "EDIT_MODE_DEFAULT",
        "EDIT_MODE_INPAINT_REMOVAL",
        "EDIT_MODE_INPAINT_INSERTION",
        "EDIT_MODE_OUTPAINT",
        "EDIT_MODE_CONTROLLED_EDITING",
        "EDIT_MODE_STYLE",
        "EDIT_MODE_BGSWAP",
        "EDIT_MODE_PRODUCT_IMAGE",
    ),
}
IN_ANY_CASE = ("safetySetting", "personGeneration")
MASKED = (
    "EDIT_MODE_INPAINT_REMOVAL",
    "EDIT_MODE_INPAINT_INSERTION",
    "EDIT_MODE_OUTPAINT",
    "EDIT_MODE_BGSWAP",
)
"""These modes need a mask."""
REFERENCES = {
    f"REFERENCE_TYPE_{kind}": config
    for kind, config in (
        ("RAW", None),
        ("MASK", "maskImageConfig"),
        ("CONTROL", "controlImageConfig"),
        ("STYLE", "styleImageConfig"),
        ("SUBJECT", "subjectImageConfig"),
        ("CONTENT", None),
    )
}
MASK_MODES = ("USER_PROVIDED", "BACKGROUND", "FOREGROUND", "SEMANTIC")
RAI_REASON = "Unable to show generated images: all of them were filtered out for their content."


def predict_images(model: str, body: dict[str, Any]) -> Answer:
    """Raises Denied."""
    instances, parameters = body["instances"], body.get("parameters") or {}
    if len(instances) != 1:
        raise Denied(400, "INVALID_ARGUMENT", "Only one instance is supported.")
    instance = instances[0]
    _check_parameters(parameters)
    references = instance.get("referenceImages")
    if references is not None:
        _check_references(model, references, parameters)
    elif "editMode" in parameters or "editConfig" in parameters:
        raise Denied(400, "INVALID_ARGUMENT", "Image editing needs reference images.")
    prompt = instance.get("prompt")
    is_optional = "upscaleConfig" in parameters or parameters.get("editMode") == "EDIT_MODE_INPAINT_REMOVAL"
    if not isinstance(prompt, str) or not (prompt or is_optional):
        raise Denied(400, "INVALID_ARGUMENT", "Image generation needs a prompt.")
    if "forbidden" in prompt:
        filtered = [{"raiFilteredReason": RAI_REASON}] if parameters.get("includeRaiReason") else []
        return Answer.json({"predictions": filtered} if filtered else {}, reported={"images": 0})
    made = parameters.get("sampleCount", 1)
    mime_type = parameters.get("outputOptions", {}).get("mimeType", "image/png")
    width, height = _size(references, parameters)
    image: dict[str, Any] = {"bytesBase64Encoded": encoded(width, height, mime_type), "mimeType": mime_type}
    if parameters.get("enhancePrompt"):
        image["prompt"] = f"{prompt}, in great detail"
    return Answer.json({"predictions": [image] * made}, reported={"images": made})


def _size(references: list[dict[str, Any]] | None, parameters: dict[str, Any]) -> tuple[int, int]:
    """An edit is as large as what it edits."""
    raw = next((item for item in references or [] if item["referenceType"] == "REFERENCE_TYPE_RAW"), None)
    if raw and "gcsUri" not in raw["referenceImage"]:
        size: tuple[int, int] = _decoded(raw).size
        return size
    width, height = SIZES[parameters.get("aspectRatio", "1:1")]
    scale = int(parameters.get("sampleImageSize", "1K")[0])
    return width * scale, height * scale


def _check_parameters(parameters: dict[str, Any]) -> None:
    if unknown := parameters.keys() - PARAMETERS:
        raise Denied(400, "INVALID_ARGUMENT", f"Unknown parameters: {', '.join(sorted(unknown))}")
    for name, known in CHOICES.items():
        value = parameters.get(name, known[0])
        if (str(value).lower() if name in IN_ANY_CASE else value) not in known:
            raise Denied(400, "INVALID_ARGUMENT", f"{name} must be one of {', '.join(known)}")
    if not _is_within(parameters.get("sampleCount", 1), 1, 4):
        raise Denied(400, "INVALID_ARGUMENT", "sampleCount must be in the range of 1 to 4 inclusive.")
    output = parameters.get("outputOptions", {})
    if (
        output.keys() - {"mimeType", "compressionQuality"}
        or output.get("mimeType", "image/png") not in ("image/png", "image/jpeg")
        or not _is_within(output.get("compressionQuality", 75), 0, 100)
    ):
        raise Denied(400, "INVALID_ARGUMENT", "outputOptions are not valid.")
    if "seed" in parameters:
        if not _is_within(parameters["seed"], 0, 2**32 - 1):
            raise Denied(400, "INVALID_ARGUMENT", "seed must be an unsigned 32-bit integer.")
        if parameters.get("addWatermark", True):
            raise Denied(400, "INVALID_ARGUMENT", "Seed is not supported when watermark is enabled.")
    if not _is_within(parameters.get("editConfig", {}).get("baseSteps", 35), 1, 100):
        raise Denied(400, "INVALID_ARGUMENT", "editConfig.baseSteps must be in the range of 1 to 100.")
    for name in ("addWatermark", "enhancePrompt", "includeRaiReason", "includeSafetyAttributes"):
        if not isinstance(parameters.get(name, True), bool):
            raise Denied(400, "INVALID_ARGUMENT", f"{name} must be a boolean.")


def _check_references(model: str, references: list[dict[str, Any]], parameters: dict[str, Any]) -> None:
    if not ("capability" in model or model.startswith("imagegeneration")):
        raise Denied(400, "INVALID_ARGUMENT", "Image editing is not supported by this model.")
    kinds = [reference.get("referenceType") for reference in references]
    if unknown := set(kinds) - REFERENCES.keys():
        raise Denied(400, "INVALID_ARGUMENT", f"Unknown referenceType: {unknown}")
    raws, masks = kinds.count("REFERENCE_TYPE_RAW"), kinds.count("REFERENCE_TYPE_MASK")
    if not kinds or raws > 1 or masks > min(raws, 1):
        raise Denied(400, "INVALID_ARGUMENT", "One raw reference image, and one mask for it, can be given.")
    ids = [reference.get("referenceId") for reference in references]
    if not all(isinstance(number, int) for number in ids):
        raise Denied(400, "INVALID_ARGUMENT", "referenceId must be an integer.")
    if parameters.get("editMode") in MASKED and not masks:
        raise Denied(400, "INVALID_ARGUMENT", f"{parameters['editMode']} needs a mask.")
    sizes = set()
    for reference in references:
        known = {"referenceType", "referenceId", "referenceImage", REFERENCES[reference["referenceType"]]}
        if reference.keys() - known:
            raise Denied(400, "INVALID_ARGUMENT", f"Unknown members of a reference: {reference.keys() - known}")
        if reference["referenceType"] == "REFERENCE_TYPE_MASK":
            sizes |= _mask_sizes(reference)
        elif "gcsUri" not in reference.get("referenceImage", {}):
            size = _decoded(reference).size
            sizes |= {size} if reference["referenceType"] == "REFERENCE_TYPE_RAW" else set()
    if len(sizes) > 1:
        raise Denied(400, "INVALID_ARGUMENT", "The mask must have the size of the image.")


def _mask_sizes(reference: dict[str, Any]) -> set[tuple[int, int]]:
    """The size of a mask; nothing where the model makes it itself."""
    config = reference.get("maskImageConfig", {})
    mode = str(config.get("maskMode", "")).removeprefix("MASK_MODE_")
    if mode not in MASK_MODES or config.keys() - {"maskMode", "dilation", "maskClasses"}:
        raise Denied(400, "INVALID_ARGUMENT", "maskImageConfig is not valid.")
    dilation = config.get("dilation", 0.0)
    if not isinstance(dilation, int | float) or not 0 <= dilation <= 1:
        raise Denied(400, "INVALID_ARGUMENT", "dilation must be in the range of 0 to 1.")
    classes = config.get("maskClasses")
    if (classes is not None) != (mode == "SEMANTIC") or not all(_is_within(n, 0, 194) for n in classes or []):
        raise Denied(400, "INVALID_ARGUMENT", "maskClasses go with MASK_MODE_SEMANTIC.")
    if mode != "USER_PROVIDED":
        return set()
    mask = _decoded(reference)
    if not is_black_and_white(mask):
        raise Denied(400, "INVALID_ARGUMENT", "The mask must be black and white, without transparency.")
    return {mask.size}


def _decoded(reference: dict[str, Any]) -> Any:
    image = reference.get("referenceImage") or {}
    try:
        return look_at_text(image.get("bytesBase64Encoded"), image.get("mimeType"))
    except NoPicture as e:
        raise Denied(400, "INVALID_ARGUMENT", f"Reference image {reference.get('referenceId')}: {e}") from None


def _is_within(value: object, least: int, most: int) -> bool:
    """Whether it is an integer in this range."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
