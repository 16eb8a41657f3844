"""Veo: videos by long-running operations, as Google's Veo API reference has it."""

import base64
from typing import Any

from tests.vertex_simulator.credentials import Denied
from tests.vertex_simulator.exchange import Answer
from tests.vertex_simulator.pictures import NoPicture
from tests.vertex_simulator.pictures import look_at_text

VIDEO = b"\0\0\0\x18ftypmp42simulated"
KIND = "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse"
RAI_REASON = "The prompt could not be submitted: it goes against the guidelines."
PARAMETERS = frozenset(
    "sampleCount durationSeconds aspectRatio resolution generateAudio negativePrompt personGeneration seed storageUri"
    " enhancePrompt fps compressionQuality resizeMode pubsubTopic".split()
)


class Videos:
    """The operations, each done when it is polled for the second time."""

    def __init__(self) -> None:
        self._asked: dict[str, dict[str, Any]] = {}
        self._polls: dict[str, int] = {}

    def submit(self, parent: str, body: dict[str, Any]) -> Answer:
        """Raises Denied."""
        model = parent.rpartition("/")[2]
        instances, parameters = body["instances"], body.get("parameters") or {}
        if not model.startswith("veo"):
            raise Denied(400, "INVALID_ARGUMENT", f"{model} is not supported in this API.")
        if len(instances) != 1:
            raise Denied(400, "INVALID_ARGUMENT", "Only one instance is supported.")
        _check_parameters(model, parameters)
        instance = instances[0]
        if unknown := instance.keys() - {"prompt", "image", "lastFrame", "video", "referenceImages", "mask"}:
            raise Denied(400, "INVALID_ARGUMENT", f"Unknown members of the instance: {unknown}")
        if not instance.get("prompt") and not instance.get("image"):
            raise Denied(400, "INVALID_ARGUMENT", "instances[0].prompt is missing")
        for frame in filter(None, (instance.get("image"), instance.get("lastFrame"))):
            _check_frame(frame)
        name = f"{parent}/operations/{len(self._asked) + 1}-0000-4000"
        self._asked[name] = {"prompt": "", "sampleCount": 1} | instance | parameters
        self._polls[name] = 0
        return Answer.json({"name": name})

    def fetch(self, parent: str, body: dict[str, Any]) -> Answer:
        """`:fetchPredictOperation` of the model that the operation is of. Raises Denied."""
        name = body["operationName"]
        if name.partition("/operations/")[0] != parent:
            raise Denied(400, "INVALID_ARGUMENT", f"Operation {name} is not of {parent}.")
        return self.poll(name)

    def poll(self, name: str) -> Answer:
        """Raises Denied."""
        if name not in self._asked:
            raise Denied(404, "NOT_FOUND", f"Operation not found: {name}")
        self._polls[name] += 1
        if self._polls[name] < 2:
            return Answer.json({"name": name})
        asked = self._asked[name]
        if "broken" in asked["prompt"]:
            return Answer.json({"name": name, "done": True, "error": {"code": 13, "message": "Simulated."}})
        response: dict[str, Any] = {"@type": KIND}
        if "forbidden" in asked["prompt"]:
            response |= {"raiMediaFilteredCount": asked["sampleCount"], "raiMediaFilteredReasons": [RAI_REASON]}
        else:
            where: dict[str, str] = {"bytesBase64Encoded": base64.b64encode(VIDEO).decode()}
            if "storageUri" in asked:
                where = {"gcsUri": asked["storageUri"] + "sample_0.mp4"}
            videos = [{**where, "mimeType": "video/mp4"}] * asked["sampleCount"]
            response |= {"raiMediaFilteredCount": 0, "videos": videos}
        return Answer.json({"name": name, "done": True, "response": response})


def _check_parameters(model: str, parameters: dict[str, Any]) -> None:
    if unknown := parameters.keys() - PARAMETERS:
        raise Denied(400, "INVALID_ARGUMENT", f"Unknown parameters: {', '.join(sorted(unknown))}")
    is_2, is_31 = model.startswith("veo-2"), model.startswith("veo-3.1")
    choices: dict[str, tuple[object, ...]] = {
        "durationSeconds": (5, 6, 7, 8) if is_2 else (4, 6, 8),
        "aspectRatio": ("16:9", "9:16"),
        "resolution": ("720p",) if is_2 else ("720p", "1080p", *(("4k",) if is_31 else ())),
        "sampleCount": (1, 2, 3, 4),
        "personGeneration": ("allow_adult", "dont_allow", "disallow", "allow_all"),
        "generateAudio": (False,) if is_2 else (True, False),
        "enhancePrompt": (True, False) if is_2 else (True,),
        "compressionQuality": ("optimized", "lossless"),
        "resizeMode": ("pad", "crop"),
    }
    for name, known in choices.items():
        if name in parameters and not any(
            parameters[name] == one and type(one) is type(parameters[name]) for one in known
        ):
            raise Denied(400, "INVALID_ARGUMENT", f"{name} must be one of {known}; got {parameters[name]!r}")


def _check_frame(frame: dict[str, Any]) -> None:
    if "gcsUri" not in frame:
        try:
            look_at_text(frame.get("bytesBase64Encoded"), frame.get("mimeType"))
        except NoPicture as e:
            raise Denied(400, "INVALID_ARGUMENT", f"image: {e}") from None
    if frame.get("mimeType") not in ("image/png", "image/jpeg"):
        raise Denied(400, "INVALID_ARGUMENT", "image.mimeType must be image/png or image/jpeg.")
