"""Chat requests of any client dialect, converted for any service dialect, and the answers converted back.

Strategy: a `ClientDialect` reads the client's body into the neutral form (`conversation.py`) and writes answers from
it. A `ServiceDialect` writes the service's body from the neutral form and reads answers into it. So each dialect is
implemented once, and any service can answer any client. If both use the same dialect, the body is sent as it is.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple
from typing import Protocol

from addons.translation import splice
from addons.translation.anthropic.for_vertex import COUNTING
from addons.translation.anthropic.for_vertex import betas_for_vertex
from addons.translation.anthropic.for_vertex import body_for_vertex
from addons.translation.anthropic.for_vertex import name_at_vertex
from addons.translation.anthropic.messages import TOOL_NAMES as CLAUDE_NAMES
from addons.translation.anthropic.read_answer import reader_for as reader_for_claude
from addons.translation.anthropic.read_request import read_count
from addons.translation.anthropic.read_request import read_request as read_messages
from addons.translation.anthropic.write_answer import StreamWriter as MessageWriter
from addons.translation.anthropic.write_answer import write_answer as write_message
from addons.translation.anthropic.write_request import write_request as write_for_claude
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Json
from addons.translation.conversation import Notes
from addons.translation.conversation import Request
from addons.translation.conversation import Written
from addons.translation.errors import NO_THREAD
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.errors import refusal
from addons.translation.errors import unfinished
from addons.translation.function_names import NameRule
from addons.translation.function_names import Names
from addons.translation.gemini.read_answer import reader_for as reader_for_gemini
from addons.translation.gemini.read_request import read_request as read_gemini
from addons.translation.gemini.schema import FUNCTION_NAMES as GEMINI_NAMES
from addons.translation.gemini.write_answer import StreamWriter as GeminiWriter
from addons.translation.gemini.write_answer import write_answer as write_gemini
from addons.translation.gemini.write_request import write_request as write_for_gemini
from addons.translation.openai_chat.read_answer import reader_for as reader_for_chat
from addons.translation.openai_chat.read_request import read_request as read_chat
from addons.translation.openai_chat.schema import FUNCTION_NAMES as OPENAI_NAMES
from addons.translation.openai_chat.write_answer import StreamWriter as ChatWriter
from addons.translation.openai_chat.write_answer import write_answer as write_chat
from addons.translation.openai_chat.write_request import write_request as write_for_chat
from addons.translation.openai_responses.read_request import read_request as read_response
from addons.translation.openai_responses.write_answer import StreamWriter as ResponseWriter
from addons.translation.openai_responses.write_answer import write_answer as write_response
from addons.translation.plan import ClientRequest
from addons.translation.plan import Plan
from addons.translation.plan import RealName
from addons.translation.plan import Sending
from addons.translation.plan import WholeConversion
from addons.translation.publishers import RAW_PUBLISHERS
from addons.translation.publishers import ServedModel
from addons.translation.publishers import model_of
from addons.translation.validation import json_object
from metering.json_values import member


class Reader(Protocol):
    """Reads a service's answer: a whole one, or a stream event by event."""

    failure: Failure | None
    """The error that the service sent instead of an answer, or within one. None: no error."""

    @property
    def finished(self) -> bool:
        """Whether the answer has been read to its end."""
        ...

    def read(self, document: object) -> Answer: ...


class Writer(Protocol):
    """Writes a stream for a client."""

    failed: bool
    """Whether an error was sent to the client."""

    def write(self, answer: Answer) -> bytes: ...

    def end(self) -> bytes: ...

    def fail(self, failure: Failure) -> bytes: ...


class ChatConversion:
    """The `Conversion` of a chat: reads the answer in the service's dialect, writes it in the client's."""

    def __init__(
        self, reader: Reader, writer: Writer | None, whole: Callable[[Answer], Json], content_type: str, names: Names
    ) -> None:
        """`writer` is None if the client wants no stream. `whole` writes an answer that is not streamed. `names` are
        those of the functions of the request."""
        self.streams = writer is not None
        self.content_type = content_type
        self._reader = reader
        self._writer = writer
        self._whole = whole
        self._names = names

    def feed(self, event: object) -> bytes:
        assert self._writer
        written = self._writer.write(self._reader.read(event))
        return written + (self._writer.fail(self.told(self._reader.failure)) if self._reader.failure else b"")

    def end(self) -> bytes:
        assert self._writer
        return self._writer.end()

    def fail(self, failure: Failure) -> bytes:
        assert self._writer
        return self._writer.fail(failure)

    def cut(self) -> bytes:
        if self._reader.finished:
            return self.end()
        return self.fail(refusal(502, "The upstream broke off its answer."))

    @property
    def failed(self) -> bool:
        return self._writer is not None and self._writer.failed

    def told(self, failure: Failure) -> Failure:
        return replace(failure, message=self._names.given_in(failure.message))

    def whole(self, documents: list[object]) -> Json | Failure:
        answer = self._reader.read(documents[0])
        if self._reader.failure:
            return self.told(self._reader.failure)
        return self._whole(answer) if any(map(_says_something, answer.choices)) else unfinished()


def _says_something(choice: Choice) -> bool:
    """Whether a choice has content, or an end, or a reason why there is none."""
    return bool(choice.parts or choice.finish or choice.refusal)


# Dialects of services


class ServiceDialect(NamedTuple):
    write_request: Callable[[Request], Written]
    reader: Callable[[Request], Reader]
    names: NameRule
    """The names of functions that its models take."""
    resource: Callable[[ServedModel, bool], str]
    """Model, whether a stream is wanted -> the path of a chat on Vertex AI, below the location:
    `publishers/google/models/gemini-2.5-flash:generateContent`."""


def _gemini_resource(model: ServedModel, stream: bool) -> str:
    return model.resource("streamGenerateContent") + "?alt=sse" if stream else model.resource("generateContent")


def _raw_resource(model: ServedModel, stream: bool) -> str:
    return model.resource("streamRawPredict" if stream else "rawPredict")


def _openai_resource(model: ServedModel, stream: bool) -> str:
    if model.publisher in RAW_PUBLISHERS:
        return _raw_resource(model, stream)
    return f"endpoints/{model.name if model.is_endpoint else 'openapi'}/chat/completions"


GEMINI = ServiceDialect(write_for_gemini, reader_for_gemini, GEMINI_NAMES, _gemini_resource)
CLAUDE = ServiceDialect(write_for_claude, reader_for_claude, CLAUDE_NAMES, _raw_resource)
OPENAI = ServiceDialect(write_for_chat, reader_for_chat, OPENAI_NAMES, _openai_resource)
SERVICES = {None: GEMINI, "anthropic": CLAUDE}
"""Publisher -> the dialect of its models on Vertex AI. None: Google's own models, and tuned endpoints. The models of
all other publishers use OpenAI's dialect."""


# Dialects of clients

EVENTS = "text/event-stream"


class ClientDialect(NamedTuple):
    """A client's dialect. The functions that write answers also get the request, and the body it was read from."""

    read_request: Callable[[Json], Request]
    write_answer: Callable[[Answer, Request, Json], Json]
    stream_writer: Callable[[Request, Json], Writer]
    content_type: str = EVENTS
    """The media type of streams in this dialect."""


CLIENTS = {
    "chat/completions": ClientDialect(
        read_chat,
        lambda answer, request, body: write_chat(answer, request.model, request.client_tools),
        lambda request, body: ChatWriter(request.model, request.include_usage, request.client_tools),
    ),
    "responses": ClientDialect(
        read_response,
        lambda answer, request, body: write_response(answer, request.model, body, request.client_tools),
        lambda request, body: ResponseWriter(request.model, body, request.client_tools),
    ),
    "messages": ClientDialect(
        read_messages,
        lambda answer, request, body: write_message(answer, request),
        lambda request, body: MessageWriter(request),
    ),
}
"""Chat operations of OpenAI's API and Anthropic's -> the dialect of their clients."""


def google_client(model: str, stream: bool, as_events: bool) -> ClientDialect:
    """The dialect of Google's clients. Model and stream are named in the path of the request, not in its body. The
    path also says whether the stream is server-sent events (`as_events`) or a JSON array."""
    return ClientDialect(
        lambda body: read_gemini(model, body, stream=stream),
        lambda answer, request, body: write_gemini(answer, request.model),
        lambda request, body: GeminiWriter(request.model, as_events),
        EVENTS if as_events else "application/json",
    )


# Plans


def convert(
    request: Request, body: Json, client: ClientDialect, service: ServiceDialect, resource: str, model: ServedModel
) -> Plan:
    """The plan for a chat. `request` was read from `body`; `resource` is the path of the service that answers it.
    Raises InvalidRequest."""
    written = service.write_request(request)
    return Plan(
        [Sending.of_json(resource, written.body)],
        ChatConversion(
            service.reader(request),
            client.stream_writer(request, body) if request.stream else None,
            lambda answer: client.write_answer(answer, request, body),
            client.content_type,
            Names(request, service.names),
        ),
        model,
        written.notes,
        written.headers,
        request.project,
        request.location,
    )


def plan_openai_chat(asked: ClientRequest, real_name: RealName, compatible: bool) -> Plan:
    """The plan for a chat of an OpenAI client that goes to Vertex AI. `compatible`: use Vertex AI's own OpenAI endpoint
    for every model that it serves. Raises InvalidRequest."""
    body = json_object(asked.raw)
    model = model_of(real_name(_model_name(body)))
    is_openai = compatible or model.publisher not in SERVICES
    if is_openai and model.publisher != "anthropic" and asked.operation == "chat/completions":
        return _send_as_it_is(asked, body, model)
    return _for_vertex(asked, body, model)


def plan_messages(asked: ClientRequest, real_name: RealName) -> Plan:
    """The plan for a chat of an Anthropic client that goes to Vertex AI. Raises InvalidRequest."""
    body = _message_body(asked)
    model = model_of(real_name(_model_name(body)))
    if model.publisher == "anthropic":
        model = model._replace(name=name_at_vertex(model.name))
        resource = _raw_resource(model, body.get("stream") is True)
        return _for_claude(asked, resource, body_for_vertex(asked.raw, body), model)
    return _for_vertex(asked, body, model)


def plan_count(asked: ClientRequest, real_name: RealName) -> Plan:
    """The plan for an Anthropic client's request to count tokens on Vertex AI. Raises InvalidRequest."""
    body = json_object(asked.raw)
    model = model_of(real_name(_model_name(body)))
    if model.publisher == "anthropic":
        model = model._replace(name=name_at_vertex(model.name))
        resource = ServedModel(COUNTING, "anthropic").resource("rawPredict")
        return _for_claude(asked, resource, body_for_vertex(asked.raw, body, model.name), model)
    if model.publisher is not None:
        raise cannot_count(model.name)
    request = read_count(body)
    request.model = model.name
    written = write_for_gemini(request)
    counted = {name: written.body[name] for name in COUNTED if name in written.body}
    sending = Sending.of_json(model.resource("countTokens"), counted)
    return Plan([sending], WholeConversion(_read_count), model, written.notes)


COUNTED = ("contents", "systemInstruction", "tools")
"""Members of a GenerateContentRequest that a CountTokensRequest has too."""


def _read_count(documents: list[object]) -> Json | Failure:
    total = member(documents[0], "totalTokens")
    if not isinstance(total, int):
        return refusal(502, "The upstream has not counted the tokens.")
    return {"input_tokens": total}


def cannot_count(model: str) -> InvalidRequest:
    return InvalidRequest(f"The tokens of {model} cannot be counted: its service has no such operation.", status=404)


def _for_claude(asked: ClientRequest, resource: str, raw: bytes, model: ServedModel) -> Plan:
    """The plan for a request that is in the model's own dialect, Anthropic's."""
    betas, dropped = betas_for_vertex(asked.betas)
    headers = {"anthropic-beta": betas} if betas else {}
    return Plan([Sending(resource, raw)], None, model, Notes(dropped), headers)


def plan_messages_for_openai(asked: ClientRequest, real_name: RealName) -> Plan:
    """The plan for a chat of an Anthropic client that goes to a service with OpenAI's dialect. Raises
    InvalidRequest."""
    body = _message_body(asked)
    name, client = real_name(_model_name(body)), CLIENTS[asked.operation]
    request = client.read_request(body)
    request.model = name
    return convert(request, body, client, OPENAI, "chat/completions", ServedModel(name))


def _message_body(asked: ClientRequest) -> Json:
    """The body of an Anthropic client's request for a message. Raises InvalidRequest, also for one that relies on the
    server to hold the conversation: clients then send all of it (`thread` in the package anthropic 2.14.0)."""
    body = json_object(asked.raw)
    if body.get("thread") is not None:
        raise InvalidRequest(NO_THREADS, "thread", code=NO_THREAD)
    return body


NO_THREADS = "no conversations are held here: send all messages, without `thread`"


def plan_google_chat(asked: ClientRequest, real_name: RealName) -> Plan:
    """The plan for a chat of a Google client (`generateContent`, `streamGenerateContent`) that goes to a service with
    OpenAI's dialect. Raises InvalidRequest."""
    body, model = json_object(asked.raw), real_name(asked.resource)
    as_events = "alt=sse" in asked.path.partition("?")[2].split("&")
    client = google_client(model, asked.operation == "streamGenerateContent", as_events)
    return convert(client.read_request(body), body, client, OPENAI, "chat/completions", ServedModel(model))


def _for_vertex(asked: ClientRequest, body: Json, model: ServedModel) -> Plan:
    """The plan for a chat whose model, on Vertex AI, has another dialect than the client."""
    client, service = CLIENTS[asked.operation], SERVICES.get(model.publisher, OPENAI)
    request = client.read_request(body)
    request.model = _name_in_openai_bodies(model) if service is OPENAI else model.name
    return convert(request, body, client, service, service.resource(model, request.stream), model)


def _send_as_it_is(asked: ClientRequest, body: Json, model: ServedModel) -> Plan:
    """The plan for a chat that is in the model's own dialect, OpenAI's. In the body, the model's name is replaced, and
    `project_id` and `region` are taken out."""
    raw = splice.replace_model(asked.raw, _name_in_openai_bodies(model), {"project_id", "region"})
    resource = _openai_resource(model, body.get("stream") is True)
    project, location = (_text(body, member) for member in ("project_id", "region"))
    return Plan([Sending(resource, raw)], None, model, project=project, location=location)


def _name_in_openai_bodies(model: ServedModel) -> str:
    if model.publisher in RAW_PUBLISHERS:
        return model.name.partition("@")[0]
    return model.name if model.is_endpoint else f"{model.publisher or 'google'}/{model.name}"


def _model_name(body: Json) -> str:
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise InvalidRequest("model: write the name of a model, such as gemini-2.5-flash", "model")
    return name


def _text(body: Json, name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"{name}: write a string", name)
    return value
