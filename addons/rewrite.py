"""A call of one dialect answered by a service of another. It fails closed: what cannot be rewritten is not sent."""

import functools
import json
import logging
import re
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import MutableMapping
from typing import NamedTuple
from typing import Protocol
from weakref import WeakKeyDictionary

from mitmproxy import http
from pydantic_core import from_json
from pydantic_core import to_json

from addons.classify import Classify
from addons.classify import Exchange
from addons.classify import fails_closed
from addons.credentials import NOT_TRUSTED
from addons.credentials import may_have_credentials
from addons.error_pages import LAST_WORDS
from addons.meter import Meter
from addons.options import Options
from addons.redact import reason_of
from addons.route import VERSION
from addons.route import go_to
from addons.route import parent
from addons.route import vertex_upstream
from addons.services import Service
from addons.translation import gemini
from addons.translation import openai_chat
from addons.translation.conversation import Failure
from addons.translation.conversation import InvalidRequest
from addons.translation.conversation import Json
from addons.translation.conversation import Notes
from addons.translation.conversation import Request
from addons.translation.conversation import code_of
from addons.translation.errors import openai_error
from addons.translation.errors import read_error
from metering.call import ErrorType
from metering.decoding import Decoder
from metering.decoding import decoder_for
from metering.paths import parse
from metering.request import PREFIXES
from metering.sse import EventDecoder

logger = logging.getLogger(__name__)


class Family(NamedTuple):
    name: re.Pattern[str]
    publisher: str
    raw: bool = False
    """Whether the publisher's own path (rawPredict) is used; else it is Vertex's OpenAI endpoint."""


FAMILIES = (
    Family(re.compile(r"(?:mistral|ministral|codestral|pixtral|magistral|devstral)"), "mistralai", raw=True),
    Family(re.compile(r"jamba"), "ai21", raw=True),
    Family(re.compile(r"(?:meta-)?llama"), "meta"),
    Family(re.compile(r"deepseek"), "deepseek-ai"),
    Family(re.compile(r"qwen"), "qwen"),
    Family(re.compile(r"gpt-oss"), "openai"),
    Family(re.compile(r"minimax"), "minimaxai"),
    Family(re.compile(r"kimi"), "moonshotai"),
    Family(re.compile(r"glm"), "zai-org"),
    Family(re.compile(r"gemma"), "google"),
    Family(re.compile(r"grok"), "xai"),
)
"""Models of others than Google's Gemini, by how their names begin; they speak OpenAI's dialect."""
RAW_PUBLISHERS = frozenset(family.publisher for family in FAMILIES if family.raw)
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,127}")
_PUBLISHER = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class Model(NamedTuple):
    name: str
    publisher: str | None = None
    """None for Gemini's own dialect, and for endpoints of the project (then the name is a number)."""


def model_of(text: str) -> Model:
    """Which model an OpenAI client means. Raises InvalidRequest: its parts become parts of a path."""
    name = text
    while prefix := next((prefix for prefix in PREFIXES if name.startswith(prefix)), None):
        name = name.removeprefix(prefix)
    publisher, slash, rest = name.removeprefix("publishers/").replace("/models/", "/").partition("/")
    if slash and publisher == "endpoints" and rest.isdecimal() and rest.isascii():
        return Model(rest)
    if slash:
        if not _PUBLISHER.fullmatch(publisher) or not _MODEL.fullmatch(rest):
            raise InvalidRequest("write a model such as gemini-2.5-flash or meta/llama-4-scout-maas", "model")
        return Model(rest, publisher)
    if not _MODEL.fullmatch(name):
        raise InvalidRequest("write a model such as gemini-2.5-flash or meta/llama-4-scout-maas", "model")
    if name.startswith("claude"):
        return Model(name, "anthropic")
    family = next((family for family in FAMILIES if family.name.match(name)), None)
    return Model(name, family.publisher if family else None)


NOT_SERVED = (
    "is not served when Vertex AI answers OpenAI calls (openai_mode); there is POST /v1/chat/completions, and all of"
    " Vertex AI under its own paths."
)
NO_CLAUDE = "Claude is not served here yet; call its own path, publishers/anthropic/models/...:rawPredict."
DROPPED_HEADERS = re.compile(
    r"openai-.*|x-stainless-.*|sec-.*|origin|referer|accept|accept-encoding|content-type|content-encoding"
    r"|content-length|transfer-encoding|expect"
)
"""Of a request: what speaks to OpenAI, of a browser, or of the body that is no more."""
KEPT_HEADERS = frozenset({"date", "server", "retry-after", "connection"})
"""Of an answer that is rewritten."""


class Conversion(Protocol):
    """How an answer becomes one that the client reads."""

    streams: bool
    """Whether the client wants events."""

    def feed(self, event: object) -> bytes:
        """An event of a stream, parsed; the client's events for it."""
        ...

    def end(self) -> bytes: ...

    def fail(self, failure: Failure) -> bytes:
        """The last event of a stream that breaks."""
        ...

    def cut(self) -> bytes:
        """What is left to say when the upstream breaks off."""
        ...

    @property
    def failed(self) -> bool:
        """Whether the client was told an error."""
        ...

    def whole(self, document: object) -> Json | Failure:
        """The client's body for an answer that is not streamed."""
        ...


class FromGemini:
    def __init__(self, request: Request) -> None:
        self.streams = request.stream
        self._model = request.model
        self._reader = gemini.AnswerReader(request.n or 1)
        self._writer = openai_chat.StreamWriter(request.model, request.include_usage)

    def feed(self, event: object) -> bytes:
        answer = self._reader.read(event)
        written = self._writer.write(answer)
        return written + (self._writer.fail(self._reader.failure) if self._reader.failure else b"")

    def end(self) -> bytes:
        return self._writer.end()

    def fail(self, failure: Failure) -> bytes:
        return self._writer.fail(failure)

    def cut(self) -> bytes:
        if self._reader.finished:
            return self.end()
        return self.fail(Failure(502, "The upstream broke off its answer.", "UNAVAILABLE"))

    @property
    def failed(self) -> bool:
        return self._writer.failed

    def whole(self, document: object) -> Json | Failure:
        answer = self._reader.read(document)
        return self._reader.failure or openai_chat.write_answer(answer, self._model)


class Rewriting(NamedTuple):
    notes: Notes
    conversion: Conversion | None
    """None if the upstream speaks the client's dialect: then only errors are converted."""


class Rewrite:
    def __init__(self, options: Options, classify: Classify, meter: Meter) -> None:
        self._options = options
        self.exchanges = classify.exchanges
        self._meter = meter
        self._rewritings: MutableMapping[http.HTTPFlow, Rewriting] = WeakKeyDictionary()

    @fails_closed
    def request(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if not exchange or not exchange.is_rewritten or not exchange.service or flow.response or flow.error:
            return
        try:
            self._rewritings[flow] = self._rewrite(flow, exchange, exchange.service)
        except InvalidRequest as e:
            failure = Failure(e.status, e.message, e.code or code_of(e.status))
            ours = ErrorType.BAD_REQUEST if e.status < 500 else ErrorType.NO_CREDENTIALS
            exchange.refuse(flow, _error(failure, e.param), ours)
        self._meter.let_go(flow)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        rewriting, response = self._rewritings.get(flow), flow.response
        if not rewriting or not response:
            return
        is_stream = response.headers.get("content-type", "").lower().startswith("text/event-stream")
        conversion = rewriting.conversion
        if response.status_code < 400 and conversion is None:
            _take_notes(response, self.exchanges[flow], rewriting.notes)
        elif (
            is_stream and response.status_code < 400 and conversion and conversion.streams and callable(response.stream)
        ):
            tap = response.stream
            failed = functools.partial(self._meter.correct, flow, response.status_code)
            response.stream = _Stream(tap, conversion, response.headers.get("content-encoding", ""), failed)
            self._take_headers(flow, response, rewriting, "text/event-stream")
            if flow.request.http_version == "HTTP/1.1":
                response.headers["transfer-encoding"] = "chunked"
        else:
            # Held until it is whole: its status may still change.
            response.stream = False

    def response(self, flow: http.HTTPFlow) -> None:
        rewriting, response = self._rewritings.get(flow), flow.response
        if not rewriting or not response or response.stream:
            return
        if response.status_code < 400 and rewriting.conversion is None:
            return
        try:
            status, content_type, body = _whole(response, rewriting.conversion)
        except Exception as e:
            logger.error("vertex-tap: an answer could not be rewritten (%s)", type(e).__name__)
            status, content_type, body = UNREADABLE.status, "application/json", UNREADABLE
        if status != response.status_code or (rewriting.conversion and rewriting.conversion.failed):
            self._meter.correct(flow, status)
        retry_after = response.headers.get("retry-after")
        self._take_headers(flow, response, rewriting, content_type)
        response.status_code, response.reason = status, reason_of(status)
        if isinstance(body, Failure):
            if body.retry_after is not None and retry_after is None:
                response.headers["retry-after"] = str(body.retry_after)
            body = to_json(openai_error(body))
        response.content = body

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """A Live client that is meant for an API key names its model without a project."""
        exchange = self.exchanges.get(flow)
        if not exchange or not exchange.service or not exchange.service.credentials or not flow.websocket:
            return
        message = flow.websocket.messages[-1]
        if message.from_client and b'"setup"' in message.content[:64]:
            try:
                document = json.loads(message.content)
                model = document["setup"]["model"]
                if isinstance(model, str) and model.startswith("publishers/"):
                    model = model.replace("publishers/googleVertexAI/", "publishers/google/")
                    document["setup"]["model"] = f"{parent(exchange.service)}/{model}".removeprefix("/")
                    message.content = json.dumps(document).encode()
                    exchange.call.project, exchange.call.location = exchange.service.project, exchange.service.location
            except Exception as e:
                # Google will say what is wrong with it.
                logger.warning("vertex-tap: a Live setup could not be read (%s)", type(e).__name__)

    def error(self, flow: http.HTTPFlow) -> None:
        rewriting, response = self._rewritings.get(flow), flow.response
        if rewriting and rewriting.conversion and response and isinstance(response.stream, _Stream):
            flow.metadata[LAST_WORDS] = rewriting.conversion.cut()

    def _rewrite(self, flow: http.HTTPFlow, exchange: Exchange, service: Service) -> Rewriting:
        request, target = flow.request, exchange.target
        assert target
        is_whole = target.fields.get("openai", "").rstrip("/") == target.operation
        if target.operation != "chat/completions" or request.method != "POST" or not is_whole:
            raise InvalidRequest(f"{request.method} {exchange.call.path} {NOT_SERVED}", status=404, code="UNKNOWN_URL")
        raw = _decoded(request)
        body = _parsed(raw)
        asked = body.get("model")
        if not isinstance(asked, str) or not asked:
            raise InvalidRequest("model: a text is required", "model")
        model = model_of(asked)
        if model.publisher == "anthropic":
            raise InvalidRequest(NO_CLAUDE, "model")
        if service.openai == "compatible" or model.publisher:
            return self._redirect(flow, exchange, service, raw, body, model)
        chat = openai_chat.read_request(body)
        chat.model = exchange.call.model = model.name
        written = gemini.write_request(chat)
        action = "streamGenerateContent" if chat.stream else "generateContent"
        if "x-goog-api-key" in request.headers and not chat.project and not model.name.isdecimal():
            # A key is not of a location.
            path, location = f"/{VERSION}/publishers/google/models/{model.name}:{action}", "global"
            written.notes.dropped += ["region"] if chat.location else []
        else:
            path, location = _gemini_path(service, chat, model, action), chat.location or service.location
        self._send(flow, exchange, path, location)
        if chat.stream:
            request.path += "?alt=sse"
        _put(request, _json(written.body))
        request.headers.update(written.headers)
        return Rewriting(written.notes, FromGemini(chat))

    def _redirect(
        self, flow: http.HTTPFlow, exchange: Exchange, service: Service, raw: bytes, body: Json, model: Model
    ) -> Rewriting:
        """To what speaks OpenAI's dialect on Vertex: the model gets its publisher, the rest stays as it is."""
        project, location = (_text(body, name) for name in ("project_id", "region"))
        above = _checked(parent, service, project, location)
        if model.publisher in RAW_PUBLISHERS:
            action = "streamRawPredict" if body.get("stream") is True else "rawPredict"
            path = f"/{VERSION}{above}/publishers/{model.publisher}/models/{model.name}:{action}"
            name = model.name.partition("@")[0]
        elif model.publisher is None and model.name.isdecimal():
            path = f"/{VERSION}{above}/endpoints/{model.name}/chat/completions"
            name = model.name
        else:
            path = f"/{VERSION}{above}/endpoints/openapi/chat/completions"
            name = f"{model.publisher or 'google'}/{model.name}"
        self._send(flow, exchange, path, location or service.location)
        exchange.call.model, exchange.call.publisher = model.name, model.publisher or exchange.call.publisher
        _put(flow.request, openai_chat.redirected(raw, name, {"project_id", "region"}))
        return Rewriting(Notes(), None)

    def _send(self, flow: http.HTTPFlow, exchange: Exchange, path: str, location: str) -> None:
        request, call = flow.request, exchange.call
        upstream = vertex_upstream(flow, self._options.settings, location)
        go_to(request, upstream, path)
        if not may_have_credentials(flow, self._options.settings):
            raise InvalidRequest(NOT_TRUSTED, status=502)
        call.rewritten, call.upstream_host, call.upstream_path = True, request.host, request.path
        exchange.answered_by = parse("POST", path)
        if exchange.answered_by:
            fields = exchange.answered_by.fields
            call.project, call.location = fields.get("project"), fields.get("location")
            call.publisher = exchange.answered_by.publisher or call.publisher

    def _take_headers(
        self, flow: http.HTTPFlow, response: http.Response, rewriting: Rewriting, content_type: str
    ) -> None:
        for name in {name.lower() for name in response.headers} - KEPT_HEADERS:
            del response.headers[name]
        response.headers["content-type"] = content_type
        if content_type == "text/event-stream":
            response.headers["cache-control"] = "no-cache"
        _take_notes(response, self.exchanges[flow], rewriting.notes)


class _Stream:
    """The stream callable of an answer that is rewritten: the tap sees it first, as it came. Never raises."""

    def __init__(
        self,
        tap: Callable[[bytes], object],
        conversion: Conversion,
        coding: str,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_failure` is called if the client is told an error that the tap may not have seen."""
        self._on_failure: Callable[[], None] | None = on_failure
        self._tap = tap
        self._conversion = conversion
        self._coding = coding
        self._decoder: Decoder | None = None
        self._events = EventDecoder()

    def __call__(self, piece: bytes) -> list[bytes]:
        self._tap(piece)
        try:
            written = b"".join(self._converted(piece))
        except Exception as e:
            logger.error("vertex-tap: an answer could not be rewritten (%s)", type(e).__name__)
            written = self._conversion.fail(Failure(502, "The proxy could not rewrite this answer.", "INTERNAL"))
        if self._conversion.failed and self._on_failure:
            self._on_failure()
            self._on_failure = None
        return [written] if written else []

    def _converted(self, piece: bytes) -> Iterator[bytes]:
        self._decoder = self._decoder or decoder_for(self._coding)
        for data in self._decoder.decode(piece) if piece else ():
            for event in self._events.feed(data):
                yield self._conversion.feed(_event(event.data))
        if not piece:
            for event in self._events.flush():
                yield self._conversion.feed(_event(event.data))
            yield self._conversion.end()


def _event(data: object) -> object:
    assert isinstance(data, bytes)
    return json.loads(data) if data.strip() else None


def _whole(response: http.Response, conversion: Conversion | None) -> tuple[int, str, bytes | Failure]:
    """Status, type and body of an answer that was held."""
    status = response.status_code
    content = response.get_content(strict=False) or b""
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if status >= 400:
        if conversion is None and _is_openai_error(document):
            return status, response.headers.get("content-type", "application/json"), content
        return status, "application/json", read_error(status, document)
    assert conversion
    if conversion.streams:
        return status, "text/event-stream", _as_events(response, content, conversion)
    if not isinstance(document, dict):
        return UNREADABLE.status, "application/json", UNREADABLE
    converted = conversion.whole(document)
    if isinstance(converted, Failure):
        return converted.status, "application/json", converted
    return status, "application/json", openai_chat.to_bytes(converted)


UNREADABLE = Failure(502, "The upstream's answer cannot be read.", "UNAVAILABLE")


def _as_events(response: http.Response, content: bytes, conversion: Conversion) -> bytes:
    """A stream that came whole: after a repetition, or as a JSON array."""
    if response.headers.get("content-type", "").lower().startswith("text/event-stream"):
        stream = _Stream(lambda _: None, conversion, "")
        return b"".join([*stream(content), *stream(b"")])
    documents = json.loads(content)
    documents = documents if isinstance(documents, list) else [documents]
    return b"".join([*map(conversion.feed, documents), conversion.end()])


def _is_openai_error(document: object) -> bool:
    error = document.get("error") if isinstance(document, dict) else None
    return isinstance(error, dict) and isinstance(error.get("message"), str) and isinstance(error.get("type"), str)


def _decoded(request: http.Request) -> bytes:
    try:
        return request.get_content(strict=True) or b""
    except ValueError:
        raise InvalidRequest("the body is not in the coding that content-encoding names") from None


def _parsed(raw: bytes) -> Json:
    try:
        body = from_json(raw, allow_inf_nan=False)
    except ValueError as e:
        raise InvalidRequest(f"the body is not JSON: {e}") from None
    if not isinstance(body, dict):
        raise InvalidRequest("the body is not a JSON object")
    return body


def _text(body: Json, name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"{name}: write a text", name)
    return value


def _gemini_path(service: Service, chat: Request, model: Model, action: str) -> str:
    above = _checked(parent, service, chat.project, chat.location)
    owner = "endpoints" if model.name.isdecimal() else "publishers/google/models"
    return f"/{VERSION}{above}/{owner}/{model.name}:{action}"


def _checked(make: Callable[..., str], *args: object) -> str:
    try:
        return make(*args)
    except ValueError as e:
        raise InvalidRequest(str(e)) from None


def _put(request: http.Request, body: bytes) -> None:
    """A body of ours instead of the client's."""
    for name in [name for name in request.headers if DROPPED_HEADERS.fullmatch(name.lower())]:
        request.headers.pop(name, None)
    request.headers["accept"] = "*/*"
    request.headers["accept-encoding"] = "identity"
    request.headers["content-type"] = "application/json"
    request.trailers = None
    request.content = body


def _json(body: Json) -> bytes:
    return to_json(body, inf_nan_mode="null")


def _error(failure: Failure, param: str | None = None) -> http.Response:
    body = to_json(openai_error(failure, param))
    return http.Response.make(failure.status, body, {"content-type": "application/json"})


NOTES = {"x-vertex-tap-dropped": "dropped", "x-vertex-tap-assumed": "assumed"}
"""Headers of an answer that tell what became of its request."""
_UNSAFE = re.compile(r"[^\x21-\x7e]+")


def _take_notes(response: http.Response, exchange: Exchange, notes: Notes) -> None:
    response.headers["x-request-id"] = exchange.call.id
    for header, name in NOTES.items():
        if noted := getattr(notes, name):
            response.headers[header] = ", ".join(_UNSAFE.sub("_", one)[:128] for one in noted[:64])
