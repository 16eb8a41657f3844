"""Videos for OpenAI clients, made by Veo: converts requests to Veo's, and Veo's operations to OpenAI's video jobs.

A video job is a long-running operation at Google. The job's id contains the operation's name, the length and the size,
so nothing is stored here, and any proxy can answer for the job later.

Sources: OpenAI's API reference and what openai-python 3.52.0 sends; Google's reference of Veo on Vertex AI, and the
discovery document of aiplatform v1.
"""

import base64
import re
import time
from dataclasses import dataclass
from dataclasses import field
from typing import Annotated
from typing import NamedTuple

from pydantic import AliasChoices
from pydantic import BeforeValidator
from pydantic import ConfigDict
from pydantic import Field

from addons.translation import forms
from addons.translation import media
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Notes
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.errors import code_of
from addons.translation.errors import read_error
from addons.translation.forms import FormFile
from addons.translation.plan import AnswerBody
from addons.translation.validation import Count
from addons.translation.validation import Model
from addons.translation.validation import camel_or_snake
from addons.translation.validation import json_object
from addons.translation.validation import member_of_text
from addons.translation.validation import validated
from metering.call import count
from metering.json_values import items
from metering.json_values import member
from metering.usage.errors import rpc_code

# Requests


class Picture(NamedTuple):
    """A video's size in Veo's parameters."""

    aspect_ratio: str
    resolution: str | None
    """None: Veo's default, 720p."""


SIZES = {
    "1280x720": Picture("16:9", "720p"),
    "720x1280": Picture("9:16", "720p"),
    "1920x1080": Picture("16:9", "1080p"),
    "1080x1920": Picture("9:16", "1080p"),
    "1792x1024": Picture("16:9", None),
    "1024x1792": Picture("9:16", None),
    "3840x2160": Picture("16:9", "4k"),
    "2160x3840": Picture("9:16", "4k"),
}
"""OpenAI's size -> Veo's parameters."""
DEFAULT_SIZE = "1280x720"


class VeoFamily(NamedTuple):
    name: str
    seconds: tuple[int, ...]
    resolutions: tuple[str, ...]
    """Empty: the models have no such parameter, and all their videos have 720p."""


FAMILIES = (
    VeoFamily("veo-2", (5, 6, 7, 8), ()),
    VeoFamily("veo-3.1", (4, 6, 8), ("720p", "1080p", "4k")),
    VeoFamily("veo-3", (4, 6, 8), ("720p", "1080p")),
)
"""The first family counts whose name begins the model's. What other models can do is left to Google to check."""
DEFAULT_SECONDS = 8
"""Veo's own default, which every family allows."""


def _url(value: object) -> object:
    """Accepts `{"url": ...}`, as in chats, in place of the URL."""
    return value.get("url") if isinstance(value, dict) else value


class Reference(Model):
    image_url: Annotated[str | None, BeforeValidator(_url)] = None
    file_id: str | None = None
    mime_type: str | None = Field(None, validation_alias=camel_or_snake("mime_type"))


class VideoBody(Model):
    """The body of POST /v1/videos. Not strict, as in a form all values are strings."""

    model_config = ConfigDict(strict=False)

    model: str = Field(min_length=1)
    prompt: str | None = None
    seconds: Count | None = Field(None, validation_alias=AliasChoices("seconds", "durationSeconds", "duration_seconds"))
    size: str | None = None
    input_reference: Annotated[Reference | None, BeforeValidator(member_of_text("image_url"))] = None
    aspect_ratio: str | None = Field(None, validation_alias=camel_or_snake("aspect_ratio"))
    resolution: str | None = None
    negative_prompt: str | None = Field(None, validation_alias=camel_or_snake("negative_prompt"))
    generate_audio: bool | None = Field(None, validation_alias=camel_or_snake("generate_audio"))
    person_generation: str | None = Field(None, validation_alias=camel_or_snake("person_generation"))
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    storage_uri: Annotated[str, Field(pattern="^gs://[^/]")] | None = Field(
        None, validation_alias=camel_or_snake("storage_uri")
    )
    enhance_prompt: bool | None = Field(None, validation_alias=camel_or_snake("enhance_prompt"))
    fps: Count | None = None
    compression_quality: str | None = Field(None, validation_alias=camel_or_snake("compression_quality"))
    resize_mode: str | None = Field(None, validation_alias=camel_or_snake("resize_mode"))
    project_id: str | None = None
    region: str | None = None


PARAMETERS = {
    "negative_prompt": "negativePrompt",
    "generate_audio": "generateAudio",
    "person_generation": "personGeneration",
    "seed": "seed",
    "storage_uri": "storageUri",
    "enhance_prompt": "enhancePrompt",
    "fps": "fps",
    "compression_quality": "compressionQuality",
    "resize_mode": "resizeMode",
}
"""Fields of VideoBody -> Veo's parameters, for values that are passed on as they are."""


@dataclass(slots=True)
class VideoRequest:
    model: str
    prompt: str | None = None
    image: Media | None = None
    """The first frame of the video."""
    seconds: int = DEFAULT_SECONDS
    size: str = DEFAULT_SIZE
    aspect_ratio: str = "16:9"
    resolution: str | None = None
    parameters: Json = field(default_factory=dict)
    """Other parameters of Veo, by Veo's names."""
    project: str | None = None
    location: str | None = None
    notes: Notes = field(default_factory=Notes)


def read_request(content_type: str, raw: bytes) -> VideoRequest:
    """The request in a body of OpenAI's, JSON or multipart/form-data. Raises InvalidRequest."""
    files: dict[str, FormFile] = {}
    if forms.is_form(content_type):
        body = forms.body_of(forms.read(content_type, raw))
        files = {name: value for name, value in body.items() if isinstance(value, FormFile)}
        for name in files:
            del body[name]
    else:
        body = json_object(raw)
    asked = validated(VideoBody, body)
    file = files.pop("input_reference", None)
    image = _file(file) if file else _image(asked.input_reference)
    if not asked.prompt and image is None:
        raise InvalidRequest("prompt: write what the video should show", "prompt")
    if asked.size is not None and asked.size not in SIZES:
        raise InvalidRequest(f"size: write one of {', '.join(SIZES)}", "size")
    picture = SIZES[asked.size or DEFAULT_SIZE]
    wanted = Picture(asked.aspect_ratio or picture.aspect_ratio, asked.resolution or picture.resolution)
    size = asked.size if asked.size and wanted == picture else _size_of(wanted)
    notes = Notes(dropped=[name for name, value in (asked.model_extra or {}).items() if _is_said(name, value)])
    notes.dropped += files
    if asked.seconds is None:
        notes.assumed.append(f"seconds={DEFAULT_SECONDS}")
    if asked.size is None:
        notes.assumed.append(f"size={size}")
    return VideoRequest(
        model=asked.model,
        prompt=asked.prompt or None,
        image=image,
        seconds=asked.seconds or DEFAULT_SECONDS,
        size=size,
        aspect_ratio=wanted.aspect_ratio,
        resolution=wanted.resolution,
        parameters={
            theirs: value for ours, theirs in PARAMETERS.items() if (value := getattr(asked, ours)) is not None
        },
        project=asked.project_id,
        location=asked.region,
        notes=notes,
    )


def _size_of(wanted: Picture) -> str:
    return next((size for size, picture in SIZES.items() if picture == wanted), DEFAULT_SIZE)


def _is_said(name: str, value: object) -> bool:
    """Whether to name a parameter as dropped. If it asks for one video, it is not: the client gets one."""
    return value not in (None, False, [], {}) and (name, str(value)) not in (("n", "1"), ("sampleCount", "1"))


def _file(file: FormFile) -> Media:
    if not file.data:
        raise InvalidRequest("input_reference: the file is empty", "input_reference")
    said = media.mime_type_of(file.mime_type or "")
    named = media.type_by_name(file.name)
    # openai-python sends bytes without a file name as application/octet-stream.
    kinds = (said, named, media.image_type(file.data))
    mime_type = next((kind for kind in kinds if kind and kind.startswith("image/")), None)
    if not mime_type:
        raise InvalidRequest("input_reference: the type is unknown; send a PNG or JPEG image", "input_reference")
    return Media(mime_type, data=base64.b64encode(file.data).decode("ascii"))


def _image(reference: Reference | None) -> Media | None:
    if reference is None:
        return None
    param = "input_reference"
    if reference.file_id or not reference.image_url:
        raise InvalidRequest(f'{param}: send the image itself, or {{"image_url": "data:image/png;base64,..."}}', param)
    param = "input_reference.image_url"
    if reference.image_url.lower().startswith("http"):
        raise InvalidRequest(f"{param}: Veo does not load http(s) URLs; write a data: or gs:// URL", param)
    image = media.from_url(reference.image_url, reference.mime_type, param)
    if not image or not image.mime_type.startswith("image/"):
        raise InvalidRequest(f"{param}: the type is unknown; write it as mime_type, such as image/png", param)
    return image


def write_request(request: VideoRequest) -> Json:
    """The body of predictLongRunning. Raises InvalidRequest for what the model cannot do."""
    if not request.model.startswith("veo") and not request.model.isdecimal():
        raise InvalidRequest("this model makes no videos; write one such as veo-3.1-generate-001", "model")
    family = next((family for family in FAMILIES if request.model.startswith(family.name)), None)
    resolution = request.resolution
    if family:
        if request.seconds not in family.seconds:
            seconds = _listed(family.seconds)
            raise InvalidRequest(f"seconds: {request.model} makes videos of {seconds} seconds", "seconds")
        possible = family.resolutions or ("720p",)
        if resolution is not None and resolution not in possible:
            raise InvalidRequest(f"size: {request.model} makes videos in {_listed(possible)}", "size")
        resolution = resolution if family.resolutions else None
    instance: Json = {"prompt": request.prompt} if request.prompt else {}
    if image := request.image:
        where = {"gcsUri": image.uri} if image.uri else {"bytesBase64Encoded": image.data}
        instance["image"] = {**where, "mimeType": image.mime_type}
    parameters: Json = {
        "sampleCount": 1,
        "durationSeconds": request.seconds,
        "aspectRatio": request.aspect_ratio,
        **({"resolution": resolution} if resolution else {}),
        **request.parameters,
    }
    return {"instances": [instance], "parameters": parameters}


def _listed(values: tuple[object, ...]) -> str:
    *others, last = map(str, values)
    return f"{', '.join(others)} or {last}" if others else last


# Ids

_OPERATION = re.compile(
    r"(?:projects/(?P<project>(?:[a-z][a-z0-9.-]{1,61}:)?[a-z0-9][a-z0-9-]{0,62})/locations/(?P<location>[a-z][a-z0-9-]{0,40})/)?"
    r"(?P<resource>publishers/[a-z0-9][a-z0-9-]{0,63}/models/(?P<model>[A-Za-z0-9][A-Za-z0-9_.@-]{0,127})"
    r"|endpoints/(?P<endpoint>[0-9]{1,32}))"
    r"/operations/[A-Za-z0-9][A-Za-z0-9_-]{0,127}"
)
_ID = re.compile(r"(?P<operation>[^|]+)\|(?P<seconds>\d{1,4})\|(?P<size>[0-9x]{1,16})\|(?P<created>\d{1,12})")
_WORDS = {"projects/": "~", "/locations/": "!", "/publishers/google/models/": "*", "/operations/": "$"}
"""Phrases that every operation's name has -> the characters that stand for them in an id, to keep it short."""
NO_VIDEO = "There is no such video: write an id that POST /v1/videos returned."


class VideoId(NamedTuple):
    operation: str
    """The operation's full name. It was checked: it can stand in a path."""
    resource: str
    """The path of the model or endpoint that runs the operation, below the location."""
    model: str
    project: str | None
    location: str | None
    seconds: int
    size: str
    created: int
    """Seconds since the epoch."""


def id_of(operation: str, seconds: int = DEFAULT_SECONDS, size: str = DEFAULT_SIZE, created: int = 0) -> str:
    """The id of a video job, safe in URLs. It contains the arguments; `read_id` reads them."""
    text = operation
    for word, sign in _WORDS.items():
        text = text.replace(word, sign)
    encoded = base64.urlsafe_b64encode(f"{text}|{seconds}|{size}|{created}".encode())
    return "video_" + encoded.decode("ascii").rstrip("=")


def read_id(id: str) -> VideoId:
    """What a video job's id contains. Raises InvalidRequest (status 404) if `id_of` did not write it."""
    encoded = id.removeprefix("video_")
    try:
        text = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode("ascii")
    except ValueError:
        raise InvalidRequest(NO_VIDEO, "video_id", 404) from None
    for word, sign in _WORDS.items():
        text = text.replace(sign, word)
    ordered = _ID.fullmatch(text)
    operation = _OPERATION.fullmatch(ordered["operation"]) if ordered else None
    if not ordered or not operation:
        raise InvalidRequest(NO_VIDEO, "video_id", 404)
    read = VideoId(
        operation=operation[0],
        resource=operation["resource"],
        model=operation["model"] or operation["endpoint"],
        project=operation["project"],
        location=operation["location"],
        seconds=int(ordered["seconds"]),
        size=ordered["size"],
        created=int(ordered["created"]),
    )
    if id_of(read.operation, read.seconds, read.size, read.created) != id:
        raise InvalidRequest(NO_VIDEO, "video_id", 404)
    return read


def model_in(id: str) -> str | None:
    """The model in a video job's id. None if `id_of` did not write it."""
    try:
        return read_id(id).model
    except InvalidRequest:
        return None


def write_poll(id: VideoId) -> Json:
    """The body of fetchPredictOperation."""
    return {"operationName": id.operation}


# Answers


def read_submission(request: VideoRequest, document: object) -> Json | Failure:
    """OpenAI's Video for a job that was just started. `document` is the answer to predictLongRunning."""
    if member(document, "error"):
        return read_error(None, document)
    name = member(document, "name")
    if not isinstance(name, str) or not _OPERATION.fullmatch(name):
        return Failure(502, "The upstream's answer names no operation.", code_of(502))
    created = int(time.time())
    id = id_of(name, request.seconds, request.size, created)
    return {
        "id": id,
        "object": "video",
        "created_at": created,
        "status": "queued",
        "progress": 0,
        "model": request.model,
        "prompt": request.prompt,
        "seconds": str(request.seconds),
        "size": request.size,
    }


def read_poll(id: VideoId, document: object) -> Json | Failure:
    """OpenAI's Video with the status of a job. `document` is the answer to fetchPredictOperation."""
    state = _state(document)
    if isinstance(state, Failure):
        return state
    job: Json = {
        "id": id_of(id.operation, id.seconds, id.size, id.created),
        "object": "video",
        "created_at": id.created,
        "status": state.status,
        "progress": 100 if state.status == "completed" else 0,
        "model": id.model,
        "seconds": str(id.seconds),
        "size": id.size,
    }
    if state.code:
        job["error"] = {"code": state.code, "message": state.message}
    return job


def read_content(document: object) -> AnswerBody | Failure:
    """The video itself. `document` is the answer to fetchPredictOperation. A Failure if there is no video yet."""
    state = _state(document)
    if isinstance(state, Failure):
        return state
    if state.status == "in_progress":
        return _not_now("The video is not ready yet: GET /v1/videos/{video_id} returns its status.")
    if state.status == "failed":
        return _not_now(f"There is no video: {state.message}")
    encoded, uri = member(state.video, "bytesBase64Encoded"), member(state.video, "gcsUri")
    if isinstance(encoded, str) and encoded:
        try:
            data = base64.b64decode(encoded, validate=True)
        except ValueError:
            return Failure(502, "The upstream's video cannot be read.", code_of(502))
        said = member(state.video, "mimeType")
        return AnswerBody(said if isinstance(said, str) and _VIDEO.fullmatch(said) else "video/mp4", data)
    if isinstance(uri, str) and uri:
        return _not_now(f"The video was stored at {uri}, as storageUri asked for: fetch it there.")
    return Failure(502, "The upstream's answer holds no video.", code_of(502))


_VIDEO = re.compile(r"video/[\w.+-]{1,64}", re.ASCII)


def _not_now(reason: str) -> Failure:
    # Status 400: with 404 the error would be about a model, and SDKs repeat a request that gets 409.
    return Failure(400, reason, "FAILED_PRECONDITION")


class _State(NamedTuple):
    status: str
    """OpenAI's word: in_progress, completed, failed."""
    video: object = None
    code: str | None = None
    message: str = ""
    """Why the job failed."""


def _state(document: object) -> _State | Failure:
    """How far an operation is. A Failure if its answer is an error or cannot be read."""
    if not isinstance(document, dict):
        return Failure(502, "The upstream's answer cannot be read.", code_of(502))
    error = member(document, "error")
    if member(document, "done") is not True:
        return read_error(None, document) if error else _State("in_progress")
    if error:
        named = member(error, "status")
        code = named if isinstance(named, str) and named else rpc_code(member(error, "code"))
        return _State("failed", None, code.lower(), read_error(None, document).message)
    response = member(document, "response")
    if videos := items(member(response, "videos")):
        return _State("completed", videos[0])
    if count(member(response, "raiMediaFilteredCount")):
        reasons = [reason for reason in items(member(response, "raiMediaFilteredReasons")) if isinstance(reason, str)]
        return _State("failed", None, "content_filtered", " ".join(reasons) or "The video was filtered.")
    return _State("failed", None, "no_video", "No video was made, and no reason was given.")
