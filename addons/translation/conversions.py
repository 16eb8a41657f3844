"""A call of one dialect as calls of another: what is sent for it, and what the client gets for the answers.

Strategy: `from_openai` (for a service on Vertex AI) and `from_google` (for one that speaks OpenAI's dialect) read
what a client has sent and make a `Plan`: the requests, by resources below the service's root, and a `Conversion` that
is fed with the answers. Chats go through the neutral form: CLIENTS reads and writes what clients speak, SERVICES what
services do. Everything else is converted pairwise by the module of its operation. Nothing here knows HTTP beyond
methods, types and bodies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from functools import partial
from typing import Any
from typing import Literal
from typing import NamedTuple
from typing import Protocol
from typing import get_args
from urllib.parse import parse_qs
from urllib.parse import quote
from urllib.parse import unquote

from pydantic_core import to_json

from addons.translation import anthropic
from addons.translation import embeddings
from addons.translation import forms
from addons.translation import gemini
from addons.translation import models
from addons.translation import openai_chat
from addons.translation import openai_responses
from addons.translation import videos
from addons.translation.conversation import Answer
from addons.translation.conversation import Failure
from addons.translation.conversation import InvalidRequest
from addons.translation.conversation import Json
from addons.translation.conversation import Notes
from addons.translation.conversation import Request
from addons.translation.conversation import Written
from addons.translation.images import gemini as gemini_images
from addons.translation.images import imagen
from addons.translation.images import predict
from addons.translation.images.families import family_of
from addons.translation.images.read_request import read_request as read_image_request
from addons.translation.publishers import RAW_PUBLISHERS
from addons.translation.publishers import Model
from addons.translation.publishers import model_of
from addons.translation.validation import json_object
from addons.translation.videos import Content


class Asked(NamedTuple):
    """What a client has sent."""

    operation: str
    """In the ledger's words."""
    method: str
    path: str
    """Below `/v1/`, with its query."""
    resource: str
    """What the path names beyond the operation: a model, the id of a video; else empty."""
    content_type: str
    raw: bytes


class Sending(NamedTuple):
    """A request to a service, below its location or base URL."""

    resource: str
    body: bytes = b""
    content_type: str = "application/json"
    method: str = "POST"


class Conversion(Protocol):
    """How answers become one that the client reads."""

    streams: bool
    """Whether the client wants it piece by piece."""
    content_type: str
    """Of what the client gets piece by piece."""

    def feed(self, event: object) -> bytes:
        """An event of a stream, parsed; what the client gets for it."""
        ...

    def end(self) -> bytes: ...

    def fail(self, failure: Failure) -> bytes:
        """The last words of a stream that breaks."""
        ...

    def cut(self) -> bytes:
        """What is left to say when the upstream breaks off."""
        ...

    @property
    def failed(self) -> bool:
        """Whether the client was told an error."""
        ...

    def whole(self, documents: list[object]) -> Json | Content | Failure:
        """The client's answer for answers that are not streamed."""
        ...


@dataclass(slots=True)
class Plan:
    """What becomes of a client's call."""

    sendings: list[Sending]
    """Answered all together; empty if the conversion needs no answer."""
    conversion: Conversion | None
    """None if the answer is in the client's dialect as it comes."""
    model: Model | None = None
    notes: Notes = field(default_factory=Notes)
    headers: dict[str, str] = field(default_factory=dict)
    project: str | None = None
    location: str | None = None
    next_page: Callable[[object], Sending | None] | None = None
    """What is asked for next, after an answer that is one of many."""
    spare: str | None = None
    """What the client is told to lack if it has to be answered without the upstream, where it can be."""


# Conversions


class Reader(Protocol):
    """A service's answer, read."""

    failure: Failure | None

    @property
    def finished(self) -> bool: ...

    def read(self, document: object) -> Answer: ...


class Writer(Protocol):
    """A stream for a client, written."""

    failed: bool

    def write(self, answer: Answer) -> bytes: ...

    def end(self) -> bytes: ...

    def fail(self, failure: Failure) -> bytes: ...


class Chat:
    """An answer read in one dialect and written in another."""

    def __init__(
        self, reader: Reader, writer: Writer | None, whole: Callable[[Answer], Json], content_type: str
    ) -> None:
        self.streams = writer is not None
        self.content_type = content_type
        self._reader = reader
        self._writer = writer
        self._whole = whole

    def feed(self, event: object) -> bytes:
        assert self._writer
        written = self._writer.write(self._reader.read(event))
        return written + (self._writer.fail(self._reader.failure) if self._reader.failure else b"")

    def end(self) -> bytes:
        assert self._writer
        return self._writer.end()

    def fail(self, failure: Failure) -> bytes:
        assert self._writer
        return self._writer.fail(failure)

    def cut(self) -> bytes:
        if self._reader.finished:
            return self.end()
        return self.fail(Failure(502, "The upstream broke off its answer.", "UNAVAILABLE"))

    @property
    def failed(self) -> bool:
        return self._writer is not None and self._writer.failed

    def whole(self, documents: list[object]) -> Json | Failure:
        answer = self._reader.read(documents[0])
        return self._reader.failure or self._whole(answer)


Read = Callable[[list[object]], Json | Content | Failure]
"""The answers to all that was sent -> the client's."""


class Whole:
    """An answer that no client wants piece by piece."""

    streams = False
    content_type = ""
    failed = False

    def __init__(self, read: Read) -> None:
        self.whole = read

    def feed(self, event: object) -> bytes:
        raise TypeError("this is no stream")

    def end(self) -> bytes:
        return b""

    def fail(self, failure: Failure) -> bytes:
        return b""

    def cut(self) -> bytes:
        return b""


# Chats

EVENTS = "text/event-stream"


class Service(NamedTuple):
    """The dialect of a service."""

    write: Callable[[Request], Written]
    read: Callable[[Request], Reader]
    resource: Callable[[Model, bool], str]
    """Where a model is asked, and whether for a stream."""


def _gemini_resource(model: Model, stream: bool) -> str:
    return model.resource("streamGenerateContent") + "?alt=sse" if stream else model.resource("generateContent")


def _raw_resource(model: Model, stream: bool) -> str:
    return model.resource("streamRawPredict" if stream else "rawPredict")


def _openai_resource(model: Model, stream: bool) -> str:
    if model.publisher in RAW_PUBLISHERS:
        return _raw_resource(model, stream)
    return f"endpoints/{model.name if model.is_endpoint else 'openapi'}/chat/completions"


GEMINI = Service(gemini.write_request, lambda request: gemini.AnswerReader(request.n or 1), _gemini_resource)
CLAUDE = Service(anthropic.write_request, anthropic.reader_for, _raw_resource)
OPENAI = Service(openai_chat.write_request, lambda request: openai_chat.AnswerReader(request.n or 1), _openai_resource)
SERVICES = {None: GEMINI, "anthropic": CLAUDE}
"""Publisher -> what its models speak on Vertex AI; all others OpenAI's dialect."""


class Client(NamedTuple):
    """The dialect of a client. The functions get its request and the body that it was read from."""

    read: Callable[[Json], Request]
    whole: Callable[[Answer, Request, Json], Json]
    stream: Callable[[Request, Json], Writer]


CLIENTS = {
    "chat/completions": Client(
        openai_chat.read_request,
        lambda answer, request, body: openai_chat.write_answer(answer, request.model),
        lambda request, body: openai_chat.StreamWriter(request.model, request.include_usage),
    ),
    "responses": Client(
        openai_responses.read_request,
        lambda answer, request, body: openai_responses.write_answer(answer, request.model, body),
        lambda request, body: openai_responses.StreamWriter(request.model, body),
    ),
}
"""OpenAI's operations that are chats."""


def _chat(asked: Asked, name: Callable[[str], str], compatible: bool) -> Plan:
    body = json_object(asked.raw)
    model = model_of(name(_model(body)))
    is_openai = compatible or model.publisher not in SERVICES
    if is_openai and model.publisher != "anthropic" and asked.operation == "chat/completions":
        return _redirected(asked, body, model)
    client, service = CLIENTS[asked.operation], SERVICES.get(model.publisher, OPENAI)
    request = client.read(body)
    request.model = model.name
    if service is OPENAI:
        request.model = _openai_name(model)
    plan = _converted(request, service, client, body)
    plan.sendings = [sending._replace(resource=service.resource(model, request.stream)) for sending in plan.sendings]
    plan.model = model
    return plan


def _converted(request: Request, service: Service, client: Client, body: Json, content_type: str = EVENTS) -> Plan:
    written = service.write(request)
    writer = client.stream(request, body) if request.stream else None
    conversion = Chat(service.read(request), writer, lambda answer: client.whole(answer, request, body), content_type)
    return Plan(
        [Sending("", _json(written.body))],
        conversion,
        notes=written.notes,
        headers=written.headers,
        project=request.project,
        location=request.location,
    )


def _redirected(asked: Asked, body: Json, model: Model) -> Plan:
    """To what speaks OpenAI's dialect on Vertex: the model gets its publisher, the rest stays as it is."""
    raw = openai_chat.redirected(asked.raw, _openai_name(model), {"project_id", "region"})
    resource = _openai_resource(model, body.get("stream") is True)
    project, location = (_text(body, member) for member in ("project_id", "region"))
    return Plan([Sending(resource, raw)], None, model, project=project, location=location)


def _openai_name(model: Model) -> str:
    """What a model is called in a body of OpenAI's dialect."""
    if model.publisher in RAW_PUBLISHERS:
        return model.name.partition("@")[0]
    return model.name if model.is_endpoint else f"{model.publisher or 'google'}/{model.name}"


# Everything else that OpenAI clients ask of Vertex AI


def _images(asked: Asked, name: Callable[[str], str], compatible: bool) -> Plan:
    operation: Any = asked.operation.removeprefix("images/")
    request = read_image_request(operation, asked.content_type, asked.raw)
    model = model_of(name(request.model))
    request.model = model.name
    if family_of(model.name).is_imagen:
        return _many(request, model, "predict", imagen.write_requests(request), imagen.read_answers)
    read = partial(gemini_images.read_answers, request)
    return _many(request, model, "generateContent", gemini_images.write_requests(request), read)


def _embeddings(asked: Asked, name: Callable[[str], str], compatible: bool) -> Plan:
    request = embeddings.read_request(json_object(asked.raw))
    model = model_of(name(request.model))
    request.model = model.name
    bodies = embeddings.write_requests(request)
    return _many(request, model, embeddings.action_of(model.name), bodies, partial(embeddings.read_answers, request))


def _many(
    request: Any, model: Model, action: str, bodies: list[Json], read: Callable[[list[object]], Json | Failure]
) -> Plan:
    return Plan(
        [Sending(model.resource(action), _json(body)) for body in bodies],
        Whole(read),
        model,
        request.notes,
        project=request.project,
        location=request.location,
    )


def _video(asked: Asked, name: Callable[[str], str], compatible: bool) -> Plan:
    request = videos.read_request(asked.content_type, asked.raw)
    model = model_of(name(request.model))
    request.model = model.name
    bodies = [videos.write_request(request)]
    read = partial(videos.read_submission, request)
    return _many(request, model, "predictLongRunning", bodies, lambda documents: read(documents[0]))


def _polled(asked: Asked, name: Callable[[str], str], compatible: bool) -> Plan:
    job = f"videos/{asked.resource}"
    if not asked.resource or asked.path.partition("?")[0].rstrip("/") not in (job, f"{job}/content"):
        raise _not_served(asked)
    id = videos.read_id(asked.resource)
    is_content = asked.operation == "videos/content"
    variants = parse_qs(asked.path.partition("?")[2]).get("variant", ["video"])
    if is_content and variants != ["video"]:
        raise InvalidRequest("variant: there is the video only; leave it out", "variant")
    read = videos.read_content if is_content else partial(videos.read_poll, id)
    return Plan(
        [Sending(f"{id.resource}:fetchPredictOperation", _json(videos.write_poll(id)))],
        Whole(lambda documents: read(documents[0])),
        model_of(id.resource),
        project=id.project,
        location=id.location,
    )


SERVED = {
    ("POST", "chat/completions"): _chat,
    ("POST", "responses"): _chat,
    ("POST", "images/generations"): _images,
    ("POST", "images/edits"): _images,
    ("POST", "images/variations"): _images,
    ("POST", "embeddings"): _embeddings,
    ("POST", "videos"): _video,
    ("GET", "videos"): _polled,
    ("GET", "videos/content"): _polled,
}
"""What Vertex AI answers of OpenAI's API, beside its models."""


def from_openai(asked: Asked, name: Callable[[str], str], *, compatible: bool = False) -> Plan:
    """An OpenAI call for a service on Vertex AI. `name` gives a model's real name for an alias; `compatible` is that
    Vertex's own OpenAI endpoint answers. Raises InvalidRequest."""
    make = SERVED.get((asked.method, asked.operation))
    is_whole = asked.method != "POST" or asked.path.partition("?")[0].rstrip("/") == asked.operation
    if make is None or not is_whole or (compatible and asked.operation != "chat/completions"):
        raise _not_served(asked, compatible)
    return make(asked, name, compatible)


def listed(asked: Asked, configured: list[str], can_list: bool) -> Plan:
    """GET /v1/models: those that are configured, and, if the service can list them, the project's own."""
    if asked.method != "GET":
        raise _not_served(asked)
    if not can_list and not configured:
        raise InvalidRequest(NO_MODELS, status=404)

    def read(documents: list[object]) -> Json | Failure:
        if asked.resource:
            return models.one(asked.resource, configured, documents)
        return models.catalogue(configured, documents)

    def next_page(document: object) -> Sending | None:
        token = models.next_page(document)
        return Sending(f"models?pageToken={quote(token, safe='')}", method="GET") if token else None

    sendings = [Sending("models", method="GET")] if can_list else []
    return Plan(sendings, Whole(read), next_page=next_page, spare="models of the project" if configured else None)


def passed(asked: Asked, name: Callable[[str], str]) -> Plan:
    """An OpenAI call for a service that speaks the same: only an alias is replaced. Raises InvalidRequest."""
    if _STEPS.intersection(unquote(asked.path.partition("?")[0]).split("/")):
        raise InvalidRequest("the path leads elsewhere", status=404, code="UNKNOWN_URL")
    raw, content_type = asked.raw, asked.content_type
    if raw and "json" in content_type.lower():
        # What only another parser understands could name another model.
        json_object(raw)
    told = model_in(content_type, raw)
    model = Model(name(told)) if told else None
    if told and model and model.name != told:
        if forms.is_form(content_type):
            fields = [(key, model.name if key == "model" else value) for key, value in forms.read(content_type, raw)]
            content_type, raw = forms.write(fields)
        else:
            raw = openai_chat.redirected(raw, model.name, set())
    return Plan([Sending(asked.path, raw, content_type, asked.method)], None, model)


_STEPS = frozenset({".", ".."})


def model_in(content_type: str, raw: bytes) -> str | None:
    """The model that the body of an OpenAI call names."""
    try:
        body = forms.body_of(forms.read(content_type, raw)) if forms.is_form(content_type) else json_object(raw)
    except InvalidRequest:
        return None
    told = body.get("model")
    return told if isinstance(told, str) and told else None


NO_MODELS = (
    "No models are known: with an API key the project's own cannot be listed. Name models in the proxy's"
    " gateway_config, or give it a service account."
)


def _not_served(asked: Asked, compatible: bool = False) -> InvalidRequest:
    served = COMPATIBLE if compatible else ", ".join(f"{method} /v1/{path}" for method, path in PATHS)
    path = asked.path.partition("?")[0]
    return InvalidRequest(
        f"{asked.method} /v1/{path} is not served when Vertex AI answers OpenAI calls (openai_mode). Served are"
        f" {served}, and all of Vertex AI under its own paths.",
        status=404,
        code="UNKNOWN_URL",
    )


COMPATIBLE = "POST /v1/chat/completions, GET /v1/models (openai_mode=convert serves more)"
PATHS = (
    *((method, path) for method, path in SERVED if method == "POST"),
    ("GET", "videos/{id}"),
    ("GET", "videos/{id}/content"),
    ("GET", "models"),
    ("GET", "models/{id}"),
)


# What Google's clients ask of a service that speaks OpenAI's dialect

Action = Literal["generateContent", "streamGenerateContent", "predict"]


def from_google(asked: Asked, name: Callable[[str], str]) -> Plan:
    """A call of Vertex AI's or the Gemini API's for a service that speaks OpenAI's dialect; `asked.operation` is
    the action. Raises InvalidRequest."""
    if asked.operation not in get_args(Action) or asked.method != "POST":
        served = ", ".join(get_args(Action))
        raise InvalidRequest(
            f"{asked.operation} is not served by a service that speaks OpenAI's dialect; there are {served}", status=404
        )
    body, model = json_object(asked.raw), name(asked.resource)
    if asked.operation == "predict":
        request = predict.read_request(model, body)
        calls = predict.write_requests(request)
        sendings = [Sending(call.operation, call.body, call.content_type) for call in calls]
        return Plan(sendings, Whole(partial(predict.write_answer, request)), Model(model), request.notes)
    stream = asked.operation == "streamGenerateContent"
    as_events = "alt=sse" in asked.path.partition("?")[2].split("&")
    chat = gemini.read_request(model, body, stream=stream)
    client = Client(
        lambda document: chat,
        lambda answer, request, body: gemini.write_answer(answer, request.model),
        lambda request, body: gemini.StreamWriter(request.model, as_events),
    )
    plan = _converted(chat, OPENAI, client, body, EVENTS if as_events else "application/json")
    plan.sendings = [sending._replace(resource="chat/completions") for sending in plan.sendings]
    plan.model = Model(model)
    return plan


# Bodies


def _model(body: Json) -> str:
    asked = body.get("model")
    if not isinstance(asked, str) or not asked:
        raise InvalidRequest("model: a text is required", "model")
    return asked


def _text(body: Json, name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"{name}: write a text", name)
    return value


def _json(body: Json) -> bytes:
    return to_json(body, inf_nan_mode="null")
