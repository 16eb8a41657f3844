"""Makes a `Plan` for each client request: chooses the conversion by API and operation.

Strategy: `from_openai` and `from_anthropic` plan a client's request for Vertex AI. `for_openai` plans one for a service
with OpenAI's dialect: `pass_on` an OpenAI client's, `from_google` a Google client's. Chats go through the neutral
form (`chats.py`). Every other operation has a module of its own, which converts it directly. Of HTTP, only methods,
paths, content types and bodies are known here.
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs
from urllib.parse import quote
from urllib.parse import unquote

from addons.translation import embeddings
from addons.translation import forms
from addons.translation import models
from addons.translation import splice
from addons.translation import videos
from addons.translation.chats import cannot_count
from addons.translation.chats import plan_count
from addons.translation.chats import plan_google_chat
from addons.translation.chats import plan_messages
from addons.translation.chats import plan_messages_for_openai
from addons.translation.chats import plan_openai_chat
from addons.translation.conversation import Json
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.errors import refusal
from addons.translation.images import gemini as gemini_images
from addons.translation.images import imagen
from addons.translation.images import predict
from addons.translation.images.families import family_of
from addons.translation.images.read_request import ImageRequest
from addons.translation.images.read_request import read_request as read_image_request
from addons.translation.plan import ClientRequest
from addons.translation.plan import Plan
from addons.translation.plan import RealName
from addons.translation.plan import Sending
from addons.translation.plan import WholeConversion
from addons.translation.publishers import ServedModel
from addons.translation.publishers import model_of
from addons.translation.validation import json_object

# Requests of OpenAI clients for Vertex AI


def _plan_images(asked: ClientRequest, real_name: RealName, compatible: bool) -> Plan:
    operation: Any = asked.operation.removeprefix("images/")
    request = read_image_request(operation, asked.content_type, asked.raw)
    model = model_of(real_name(request.model))
    request.model = model.name
    if family_of(model.name).is_imagen:
        return _plan_all(request, model, "predict", imagen.write_requests(request), imagen.read_answers)
    read = partial(gemini_images.read_answers, request)
    return _plan_all(request, model, "generateContent", gemini_images.write_requests(request), read)


def _plan_embeddings(asked: ClientRequest, real_name: RealName, compatible: bool) -> Plan:
    request = embeddings.read_request(json_object(asked.raw))
    model = model_of(real_name(request.model))
    request.model = model.name
    read = partial(embeddings.read_answers, request)
    return _plan_all(request, model, embeddings.action_of(model.name), embeddings.write_requests(request), read)


def _plan_video(asked: ClientRequest, real_name: RealName, compatible: bool) -> Plan:
    request = videos.read_request(asked.content_type, asked.raw)
    model = model_of(real_name(request.model))
    request.model = model.name
    bodies = [videos.write_request(request)]
    read = partial(videos.read_submission, request)
    return _plan_all(request, model, "predictLongRunning", bodies, lambda documents: read(documents[0]))


def _plan_all(
    request: ImageRequest | embeddings.EmbeddingRequest | videos.VideoRequest,
    model: ServedModel,
    action: str,
    bodies: list[Json],
    read: Callable[[list[object]], Json | Failure],
) -> Plan:
    """A plan with one request for each body, all to the same action of the same model."""
    return Plan(
        [Sending.of_json(model.resource(action), body) for body in bodies],
        WholeConversion(read),
        model,
        request.notes,
        project=request.project,
        location=request.location,
    )


def _plan_poll(asked: ClientRequest, real_name: RealName, compatible: bool) -> Plan:
    """The plan that gets the status of a video job, or the video itself."""
    job = f"videos/{asked.resource}"
    if not asked.resource or asked.path.partition("?")[0].rstrip("/") not in (job, f"{job}/content"):
        raise _not_served(asked)
    id = videos.read_id(asked.resource)
    is_content = asked.operation == "videos/content"
    variants = parse_qs(asked.path.partition("?")[2]).get("variant", ["video"])
    if is_content and variants != ["video"]:
        raise InvalidRequest("variant: only the video itself can be downloaded; leave variant out", "variant")
    read = videos.read_content if is_content else partial(videos.read_poll, id)
    return Plan(
        [Sending.of_json(f"{id.resource}:fetchPredictOperation", videos.write_poll(id))],
        WholeConversion(lambda documents: read(documents[0])),
        model_of(id.resource),
        project=id.project,
        location=id.location,
    )


SERVED = {
    ("POST", "chat/completions"): plan_openai_chat,
    ("POST", "responses"): plan_openai_chat,
    ("POST", "images/generations"): _plan_images,
    ("POST", "images/edits"): _plan_images,
    ("POST", "images/variations"): _plan_images,
    ("POST", "embeddings"): _plan_embeddings,
    ("POST", "videos"): _plan_video,
    ("GET", "videos"): _plan_poll,
    ("GET", "videos/content"): _plan_poll,
}
"""Method and operation of OpenAI's API -> the function that plans it for Vertex AI. The list of models is not among
them, as it needs other arguments: see `list_models`."""


def from_openai(asked: ClientRequest, real_name: RealName, *, compatible: bool = False) -> Plan:
    """The plan for an OpenAI client's request to Vertex AI. `compatible`: Vertex AI's own OpenAI endpoint is to answer.
    Raises InvalidRequest."""
    make = SERVED.get((asked.method, asked.operation))
    is_whole = asked.method != "POST" or asked.path.partition("?")[0].rstrip("/") == asked.operation
    if make is None or not is_whole or (compatible and asked.operation != "chat/completions"):
        raise _not_served(asked, compatible)
    return make(asked, real_name, compatible)


def list_models(asked: ClientRequest, configured: list[str], can_list: bool, *, as_anthropics: bool = False) -> Plan:
    """The plan for GET /v1/models or /v1/models/{id} on Vertex AI: the `configured` models and, with `can_list`, the
    project's own, which the service lists. `as_anthropics`: the client is Anthropic's. Raises InvalidRequest if there
    are none."""
    if asked.method != "GET":
        raise _not_served_to_anthropics(asked) if as_anthropics else _not_served(asked)
    if not can_list and not configured:
        raise InvalidRequest(NO_MODELS, status=404)

    def read(documents: list[object]) -> Json | Failure:
        if asked.resource:
            found = models.one(asked.resource, configured, documents)
        else:
            found = models.catalogue(configured, documents)
        return models.as_anthropics(found) if as_anthropics else found

    def next_page(document: object) -> Sending | None:
        token = models.next_page(document)
        return Sending(f"models?pageToken={quote(token, safe='')}", method="GET") if token else None

    sendings = [Sending("models", method="GET")] if can_list else []
    spare = "models of the project" if configured else None
    return Plan(sendings, WholeConversion(read), next_page=next_page, spare=spare)


NO_MODELS = (
    "There are no models to list: with an API key, the models of the project cannot be read. Name models in the"
    " proxy's gateway_config, or give the proxy a service account."
)


def _not_served(asked: ClientRequest, compatible: bool = False) -> InvalidRequest:
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
"""Methods and paths that the error for an unknown path lists as available."""


# Requests of Anthropic clients

MESSAGES = {
    ("POST", "messages"): plan_messages,
    ("POST", "messages/count_tokens"): plan_count,
}
"""Method and operation of Anthropic's API -> the function that plans it for Vertex AI."""


def from_anthropic(asked: ClientRequest, real_name: RealName) -> Plan:
    """The plan for an Anthropic client's request to Vertex AI. Raises InvalidRequest."""
    if make := MESSAGES.get((asked.method, asked.operation)):
        return make(asked, real_name)
    raise _not_served_to_anthropics(asked)


def _anthropic_for_openai(asked: ClientRequest, real_name: RealName) -> Plan:
    match asked.method, asked.operation:
        case "POST", "messages":
            return plan_messages_for_openai(asked, real_name)
        case "POST", "messages/count_tokens":
            raise cannot_count(real_name(model_in(asked.content_type, asked.raw) or "this model"))
        case "GET", "models":
            resource = f"models/{quote(asked.resource, safe='')}" if asked.resource else "models"
            read = WholeConversion(lambda documents: models.as_anthropics(_listed(documents[0])))
            return Plan([Sending(resource, method="GET")], read)
    raise _not_served_to_anthropics(asked)


def _listed(document: object) -> Json | Failure:
    return document if isinstance(document, dict) else refusal(502, "The upstream has no list of models.")


def _not_served_to_anthropics(asked: ClientRequest) -> InvalidRequest:
    path = asked.path.partition("?")[0]
    served = ", ".join(f"{method} /v1/{operation}" for method, operation in MESSAGES)
    message = f"{asked.method} /v1/{path} is not served here. Served are {served}, GET /v1/models."
    return InvalidRequest(message, status=404, code="UNKNOWN_URL")


# Requests for a service with OpenAI's dialect


def for_openai(surface: str, asked: ClientRequest, real_name: RealName) -> Plan:
    """The plan for the request of a client of any dialect, by its surface, to a service with OpenAI's dialect. Raises
    InvalidRequest."""
    return _FOR_OPENAI.get(surface, from_google)(asked, real_name)


def pass_on(asked: ClientRequest, real_name: RealName) -> Plan:
    """The plan for an OpenAI client's request to a service with the same API: only an alias of a model is replaced by
    its real name. Raises InvalidRequest."""
    if _STEPS.intersection(unquote(asked.path.partition("?")[0]).split("/")):
        raise InvalidRequest("the path must not have . or .. as a segment", status=404, code="UNKNOWN_URL")
    raw, content_type = asked.raw, asked.content_type
    if raw and "json" in content_type.lower():
        # Refuses invalid JSON: the service's parser might accept it, and find another model in it than ours.
        json_object(raw)
    told = model_in(content_type, raw)
    model = ServedModel(real_name(told)) if told else None
    if told and model and model.name != told:
        if forms.is_form(content_type):
            fields = [(key, model.name if key == "model" else value) for key, value in forms.read(content_type, raw)]
            content_type, raw = forms.write(fields)
        else:
            raw = splice.replace_model(raw, model.name, set())
    return Plan([Sending(asked.path, raw, content_type, asked.method)], None, model)


_STEPS = frozenset({".", ".."})
"""Path segments with which a path could leave the base URL of the service."""


def model_in(content_type: str, raw: bytes) -> str | None:
    """The model that the body of an OpenAI request (JSON or a form) names. None: it names none, or cannot be read."""
    try:
        body = forms.body_of(forms.read(content_type, raw)) if forms.is_form(content_type) else json_object(raw)
    except InvalidRequest:
        return None
    told = body.get("model")
    return told if isinstance(told, str) and told else None


# Requests of Google clients for a service with OpenAI's dialect


def _plan_predict(asked: ClientRequest, real_name: RealName) -> Plan:
    body, model = json_object(asked.raw), real_name(asked.resource)
    request = predict.read_request(model, body)
    calls = predict.write_requests(request)
    sendings = [Sending(call.operation, call.body, call.content_type) for call in calls]
    read = partial(predict.write_answer, request)
    return Plan(sendings, WholeConversion(read), ServedModel(model), request.notes)


ACTIONS = {
    "generateContent": plan_google_chat,
    "streamGenerateContent": plan_google_chat,
    "predict": _plan_predict,
}
"""Actions of a Google model (`models/x:predict`) -> the functions that plan them."""


def from_google(asked: ClientRequest, real_name: RealName) -> Plan:
    """The plan for a Google client's request (Vertex AI or Gemini API) to a service with OpenAI's dialect. Raises
    InvalidRequest."""
    make = ACTIONS.get(asked.operation)
    if make is None or asked.method != "POST":
        raise InvalidRequest(
            f"{asked.operation} cannot be converted for a service with OpenAI's API; only {', '.join(ACTIONS)} can",
            status=404,
        )
    return make(asked, real_name)


_FOR_OPENAI = {"openai": pass_on, "anthropic": _anthropic_for_openai}
"""Surface -> the function that plans a request for a service with OpenAI's dialect. All others are Google's."""
