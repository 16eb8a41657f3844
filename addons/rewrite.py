"""A call of one dialect answered by a service of another. It fails closed: what cannot be rewritten is not sent."""

import asyncio
import functools
import json
import logging
import re
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import MutableMapping
from typing import NamedTuple
from typing import TypeVar
from weakref import WeakKeyDictionary

from mitmproxy import http

from addons import services
from addons.classify import Classify
from addons.classify import Exchange
from addons.classify import fails_closed
from addons.credentials import NOT_TRUSTED
from addons.credentials import Credentials
from addons.credentials import may_have_credentials
from addons.error_pages import LAST_WORDS
from addons.meter import Meter
from addons.metered import Told
from addons.options import Options
from addons.redact import reason_of
from addons.route import VERSION
from addons.route import go_to
from addons.route import parent
from addons.route import vertex_upstream
from addons.services import Endpoint
from addons.services import Service
from addons.translation import conversions
from addons.translation.conversation import Failure
from addons.translation.conversation import InvalidRequest
from addons.translation.conversation import code_of
from addons.translation.conversation import from_bytes
from addons.translation.conversation import refusal
from addons.translation.conversation import to_bytes
from addons.translation.errors import google_error
from addons.translation.errors import openai_error
from addons.translation.errors import read_error
from addons.translation.plan import AnswerBody
from addons.translation.plan import ClientRequest
from addons.translation.plan import Conversion
from addons.translation.plan import Plan
from addons.translation.plan import Sending
from addons.upstream import LARGE
from addons.upstream import Together
from addons.upstream import content_of
from addons.upstream import in_thread
from addons.upstream import send
from metering.budget import Budget
from metering.budget import TooMuchWork
from metering.call import ErrorType
from metering.decoding import Decoder
from metering.decoding import DecodingError
from metering.decoding import decode
from metering.decoding import decoder_for
from metering.paths import parse
from metering.request import asked
from metering.sse import EventDecoder

logger = logging.getLogger(__name__)

T = TypeVar("T")

DROPPED_HEADERS = re.compile(
    r"openai-.*|x-stainless-.*|x-goog-api-client|sec-.*|origin|referer|accept|accept-encoding|content-type"
    r"|content-encoding|content-length|transfer-encoding|expect"
)
"""Of a request: what speaks of the other dialect's client, of a browser, or of the body that is no more."""
KEPT_HEADERS = frozenset({"date", "server", "retry-after", "connection"})
"""Of an answer that is rewritten."""


class Rewriting(NamedTuple):
    """A call that has become others. mitmproxy sends the first, we the rest."""

    plan: Plan
    service: Service
    others: Together | None
    answers: list[http.Response | Exception]
    """To the others, in the order of the plan."""


class Rewrite:
    def __init__(self, options: Options, classify: Classify, credentials: Credentials, meter: Meter) -> None:
        self._options = options
        self.exchanges = classify.exchanges
        self._credentials = credentials
        self._meter = meter
        self._rewritings: MutableMapping[http.HTTPFlow, Rewriting] = WeakKeyDictionary()
        self._thread = asyncio.Semaphore(1)

    @fails_closed
    async def request(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if not exchange or not exchange.is_rewritten or not exchange.service or flow.response or flow.error:
            return
        try:
            service, size = exchange.service, len(flow.request.raw_content or b"")
            plan = await self._unhurried(size, lambda: self._plan(flow, exchange, service))
            if flow.error:
                return
            if plan.sendings:
                self._send(flow, exchange, service, plan)
            else:
                self._answer(flow, exchange, plan)
        except InvalidRequest as e:
            failure = Failure(e.status, e.message, e.code or code_of(e.status))
            exchange.refuse(flow, failure, ErrorType.BAD_REQUEST, e.param)
        self._meter.let_go(flow)

    async def responseheaders(self, flow: http.HTTPFlow) -> None:
        rewriting, response = self._rewritings.get(flow), flow.response
        if not rewriting or not response or self.exchanges[flow].answered:
            return
        exchange, conversion, tap = self.exchanges[flow], rewriting.plan.conversion, response.stream
        is_well = response.status_code < 400
        if is_well and conversion is None:
            _take_notes(response, exchange, rewriting.plan)
            return
        # Held until it is whole, whatever happens here: its status may still change.
        response.stream, exchange.held = False, True
        is_stream = response.headers.get("content-type", "").lower().startswith("text/event-stream")
        if is_well and is_stream and conversion and conversion.streams and callable(tap):
            failed = functools.partial(self._meter.correct, flow, response.status_code)
            stream = _Stream(tap, conversion, response.headers.get("content-encoding", ""), failed)
            _take_headers(response, exchange, rewriting.plan, conversion.content_type)
            if flow.request.http_version == "HTTP/1.1":
                response.headers["transfer-encoding"] = "chunked"
            response.stream, exchange.held = stream, False
        elif rewriting.others:
            if not is_well:
                rewriting.others.stop()
            # So that all are metered together.
            rewriting.answers.extend(await rewriting.others.answers())

    async def response(self, flow: http.HTTPFlow) -> None:
        rewriting, response = self._rewritings.get(flow), flow.response
        exchange = self.exchanges.get(flow)
        if not rewriting or not response or not exchange or not exchange.held:
            return
        told: Told | None = BROKE
        try:
            told = await self._convert(flow, exchange, rewriting, response)
        except Exception as e:
            logger.error("vertex-tap: an answer could not be rewritten (%s)", type(e).__name__)
            _tell(response, exchange, rewriting.plan, UNREADABLE)
        finally:
            self._meter.end_held(flow, told)

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
        if not rewriting:
            return
        if rewriting.others:
            rewriting.others.stop()
        if rewriting.plan.conversion and response and isinstance(response.stream, _Stream):
            flow.metadata[LAST_WORDS] = rewriting.plan.conversion.cut()

    async def _unhurried(self, size: int, step: Callable[[], T]) -> T:
        """What is large goes into a thread, one at a time: of several the loop would have to wait for each."""
        if size <= LARGE:
            return step()
        async with self._thread:
            return await in_thread(step)

    def _plan(self, flow: http.HTTPFlow, exchange: Exchange, service: Service) -> Plan:
        """Raises InvalidRequest."""
        request, target, gateway = flow.request, exchange.target, self._options.gateway
        assert target
        _, mark, query = request.path.partition("?")
        told = ClientRequest(
            target.operation or exchange.path,
            request.method,
            _VERSION.sub("", exchange.path.removeprefix(target.base)).lstrip("/") + mark + query,
            _named(target.fields),
            request.headers.get("content-type", ""),
            _decoded(request),
        )
        if service.provider == "openai":
            if target.surface == "openai":
                return conversions.pass_on(told, gateway.named)
            return conversions.from_google(told, gateway.named)
        if told.operation == "models":
            configured = [*gateway.models, *gateway.aliases]
            return conversions.list_models(told, configured, _can_list(request, service))
        return conversions.from_openai(told, gateway.named, compatible=service.openai == "compatible")

    def _answer(self, flow: http.HTTPFlow, exchange: Exchange, plan: Plan) -> None:
        """What no upstream is needed for."""
        assert plan.conversion
        document = plan.conversion.whole([])
        if isinstance(document, Failure):
            exchange.refuse(flow, document, ErrorType.BAD_REQUEST)
            return
        assert isinstance(document, dict)
        flow.response = http.Response.make(200, to_bytes(document), {"content-type": "application/json"})
        _take_notes(flow.response, exchange, plan)
        exchange.answered = True

    def _send(self, flow: http.HTTPFlow, exchange: Exchange, service: Service, plan: Plan) -> None:
        """Raises InvalidRequest."""
        request, call = flow.request, exchange.call
        upstream, root = self._root(flow, service, plan)
        first, *others = plan.sendings
        if plan.conversion or service.provider == "vertex":
            _prepare(request)
        request.headers.update(plan.headers)
        copies = [_copy(request, upstream, root, sending) for sending in others]
        _put(request, upstream, root, first)
        if service.provider == "vertex" and not may_have_credentials(flow, self._options.settings):
            exchange.refuse(flow, refusal(502, NOT_TRUSTED), ErrorType.NO_CREDENTIALS)
            return
        call.upstream_host, call.upstream_path = request.host, request.path.partition("?")[0]
        # Of an OpenAI service the base URL takes the place of `/v1`.
        answers = (root if service.provider == "vertex" else "/v1/") + first.resource.partition("?")[0]
        exchange.answered_by = parse(first.method, answers, service.provider)
        exchange.answered_with = first.method
        call.rewritten = bool(plan.conversion) or service.provider == "vertex"
        if plan.model:
            call.model, call.publisher = plan.model.name, plan.model.publisher or call.publisher
        if exchange.answered_by:
            fields = exchange.answered_by.fields
            call.project = fields.get("project") or call.project
            call.location = fields.get("location") or call.location
            call.publisher = exchange.answered_by.publisher or call.publisher
            call.usage_raw = asked(exchange.answered_by, first.content_type, first.body).usage_raw

        def count(answer: http.Response) -> None:
            exchange.others.append(answer)
            call.attempts += 1

        renew = functools.partial(self._credentials.renew, service)
        together = Together(copies, renew, count) if copies else None
        self._rewritings[flow] = Rewriting(plan, service, together, [])

    def _root(self, flow: http.HTTPFlow, service: Service, plan: Plan) -> tuple[Endpoint, str]:
        """Where a service is, and the path that resources are below. Raises InvalidRequest."""
        if service.base_url:
            return service.base_url, "/"
        is_keyed = "x-goog-api-key" in flow.request.headers
        if is_keyed and not plan.project and plan.sendings[0].resource.startswith("publishers/google/"):
            # A key is not of a location.
            plan.notes.dropped += ["region"] if plan.location else []
            return vertex_upstream(flow, self._options.settings, "global"), f"/{VERSION}/"
        for name, said, check in (
            ("project_id", plan.project, services.project),
            ("region", plan.location, services.location),
        ):
            try:
                check(said or "global")
            except ValueError as e:
                raise InvalidRequest(f"{name}: {e}", name) from None
        try:
            above = parent(service, plan.project, plan.location)
        except ValueError as e:
            raise InvalidRequest(str(e)) from None
        location = plan.location or service.location
        return vertex_upstream(flow, self._options.settings, location), f"/{VERSION}{above}/"

    async def _convert(
        self, flow: http.HTTPFlow, exchange: Exchange, rewriting: Rewriting, response: http.Response
    ) -> Told | None:
        """Puts the client's answer in place of the upstream's."""
        plan = rewriting.plan
        answers = [response, *(answer for answer in rewriting.answers if isinstance(answer, http.Response))]
        size = sum(len(answer.raw_content or b"") for answer in answers)
        documents = await self._unhurried(size, lambda: [_document(answer) for answer in answers])
        conversion, spared = plan.conversion, False
        failed = next((number for number, answer in enumerate(answers) if answer.status_code >= 400), None)
        failure = None
        if failed is not None:
            failure = read_error(answers[failed].status_code, documents[failed])
        elif len(answers) < 1 + len(rewriting.answers):
            logger.warning("vertex-tap: one of several calls got no answer")
            _tell(response, exchange, plan, UNREACHED)
            return BROKE
        elif plan.next_page:
            failure = await self._pages(flow, exchange, rewriting, documents)
        if failure and plan.spare:
            plan.notes.dropped.append(plan.spare)
            documents, spared = [], True
        elif failure:
            if conversion is None and _is_openai_error(documents[0]):
                _take_notes(response, exchange, plan)
                return None
            if failed and (retry_after := answers[failed].headers.get("retry-after")):
                response.headers["retry-after"] = retry_after
            _tell(response, exchange, plan, failure)
            is_another = len(exchange.others) > 0 or failed is None
            return Told(failure.status, failure.code, of_another=is_another) if is_another else None
        assert conversion
        if conversion.streams:
            body = _as_events(response, conversion)
            _take_headers(response, exchange, plan, conversion.content_type)
            response.content = body
            return Told(response.status_code, None, broke=True) if conversion.failed else None
        if not all(isinstance(document, dict) for document in documents):
            _tell(response, exchange, plan, UNREADABLE)
            return BROKE
        written = await self._unhurried(size, lambda: _written(conversion, documents))
        if isinstance(written, Failure):
            _tell(response, exchange, plan, written)
            return Told(written.status, ErrorType.BAD_REQUEST) if written.status < 500 else BROKE
        _take_headers(response, exchange, plan, written.mime_type)
        response.status_code, response.reason = 200, reason_of(200)
        response.content = written.data
        return Told(200, None) if spared else None

    async def _pages(
        self, flow: http.HTTPFlow, exchange: Exchange, rewriting: Rewriting, documents: list[object]
    ) -> Failure | None:
        """Adds the pages of a list that follow the first."""
        plan, request = rewriting.plan, flow.request
        assert plan.next_page
        while sending := plan.next_page(documents[-1]):
            if len(documents) == MOST_PAGES or flow.error:
                return UNREADABLE
            request = _next(request, sending)
            page = await send(request)
            exchange.call.attempts += 1
            if page.status_code == 401 and await self._credentials.renew(rewriting.service, request):
                page = await send(request)
                exchange.call.attempts += 1
            document = _document(page)
            if page.status_code >= 400 or not isinstance(document, dict):
                return read_error(page.status_code, document) if page.status_code >= 400 else UNREADABLE
            documents.append(document)
        return None


MOST_PAGES = 100
MOST_CONTAINERS = 500_000
"""Objects and arrays in a request, counting brackets in texts. No context window holds so many, and the parser does
not let other calls go on while it builds them."""
_VERSION = re.compile(r"^/v1(?:(?:alpha|beta)\d*/openai)?(?=/|$)")
"""What stands before OpenAI's paths."""
UNREADABLE = Failure(502, "The upstream's answer cannot be read.", "UNAVAILABLE")
UNREACHED = Failure(502, "The upstream did not answer one of the calls that this one became.", "UNAVAILABLE")
BROKE = Told(502, None, broke=True)


def _tell(response: http.Response, exchange: Exchange, plan: Plan, failure: Failure) -> None:
    """The client gets an error in its own words."""
    retry_after = response.headers.get("retry-after")
    _take_headers(response, exchange, plan, "application/json")
    if failure.retry_after is not None and retry_after is None:
        response.headers["retry-after"] = str(failure.retry_after)
    response.status_code, response.reason = failure.status, reason_of(failure.status)
    response.content = to_bytes(openai_error(failure) if exchange.speaks_openai else google_error(failure))


def _take_headers(response: http.Response, exchange: Exchange, plan: Plan, content_type: str) -> None:
    response.headers.fields = tuple(field for field in response.headers.fields if _name(field) in KEPT_HEADERS)
    response.headers["content-type"] = content_type
    if content_type == "text/event-stream":
        response.headers["cache-control"] = "no-cache"
    _take_notes(response, exchange, plan)


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
        self._budget = Budget()
        self._events = EventDecoder(budget=self._budget)

    def __call__(self, piece: bytes) -> list[bytes]:
        self._tap(piece)
        converted: list[bytes] = []
        try:
            for written in self._converted(piece):
                converted.append(written)
        except Exception as e:
            logger.error("vertex-tap: an answer could not be rewritten (%s)", type(e).__name__)
            failure = Failure(502, "The proxy could not rewrite this answer.", "INTERNAL")
            converted.append(self._conversion.fail(failure))
        whole = b"".join(converted)
        if self._conversion.failed and self._on_failure:
            self._on_failure()
            self._on_failure = None
        return [whole] if whole else []

    def _converted(self, piece: bytes) -> Iterator[bytes]:
        self._decoder = self._decoder or decoder_for(self._coding, self._budget)
        self._budget.earn(len(piece))
        for data in self._decoder.decode(piece) if piece else ():
            for event in self._events.feed(data):
                yield self._conversion.feed(_event(event.data))
        self._budget.rest()
        if not piece:
            for event in self._events.flush():
                yield self._conversion.feed(_event(event.data))
            yield self._conversion.end()


def _event(data: object) -> object:
    assert isinstance(data, bytes)
    return json.loads(data) if data.strip() not in (b"", b"[DONE]") else None


def _document(response: http.Response) -> object:
    try:
        return from_bytes(content_of(response))
    except ValueError:
        return None


def _written(conversion: Conversion, documents: list[object]) -> AnswerBody | Failure:
    converted = conversion.whole(documents)
    return AnswerBody("application/json", to_bytes(converted)) if isinstance(converted, dict) else converted


def _as_events(response: http.Response, conversion: Conversion) -> bytes:
    """A stream that came whole: after a repetition, or as a JSON array."""
    content = content_of(response)
    if response.headers.get("content-type", "").lower().startswith("text/event-stream"):
        stream = _Stream(lambda _: None, conversion, "")
        return b"".join([*stream(content), *stream(b"")])
    documents = json.loads(content)
    documents = documents if isinstance(documents, list) else [documents]
    return b"".join([*map(conversion.feed, documents), conversion.end()])


def _is_openai_error(document: object) -> bool:
    error = document.get("error") if isinstance(document, dict) else None
    return isinstance(error, dict) and isinstance(error.get("message"), str) and isinstance(error.get("type"), str)


def _named(fields: Mapping[str, str]) -> str:
    """What a path names: the model, or the id in one of OpenAI's."""
    return fields.get("model") or fields.get("openai", "").partition("/")[2].partition("/")[0]


def _can_list(request: http.Request, service: Service) -> bool:
    """Whether the models of a project can be asked for: not with an API key."""
    return service.project is not None and "authorization" in request.headers


def _decoded(request: http.Request) -> bytes:
    try:
        body = decode(request.headers.get("content-encoding", ""), request.raw_content or b"")
    except TooMuchWork as e:
        raise InvalidRequest(f"the body cannot be read: {e}", status=413) from None
    except DecodingError:
        raise InvalidRequest("the body is not in the coding that content-encoding names") from None
    is_form = request.headers.get("content-type", "").startswith("multipart/")
    if not is_form and body.count(b"{") + body.count(b"[") > MOST_CONTAINERS:
        raise InvalidRequest(f"the body has more than {MOST_CONTAINERS:,} objects and arrays", status=413)
    return body


def _prepare(request: http.Request) -> None:
    """For a body of ours instead of the client's."""
    fields = request.headers.fields
    request.headers.fields = tuple(field for field in fields if not DROPPED_HEADERS.fullmatch(_name(field)))
    request.headers["accept"] = "*/*"
    request.headers["accept-encoding"] = "identity"
    request.trailers = None


def _name(field: tuple[bytes, bytes]) -> str:
    """Of a header; `headers.items()` would take time that grows with the square of their number."""
    return field[0].decode("latin-1").lower()


def _put(request: http.Request, upstream: Endpoint, root: str, sending: Sending) -> None:
    go_to(request, upstream, root + sending.resource)
    request.method = sending.method
    if sending.body:
        request.headers["content-type"] = sending.content_type
        request.content = sending.body
    elif request.raw_content:
        request.content = b""


def _copy(request: http.Request, upstream: Endpoint, root: str, sending: Sending) -> http.Request:
    copy = request.copy()
    _put(copy, upstream, root, sending)
    return copy


def _next(request: http.Request, sending: Sending) -> http.Request:
    """The next page of what a request asks for."""
    copy = request.copy()
    copy.path = request.path.partition("?")[0] + "?" + sending.resource.partition("?")[2]
    return copy


NOTES = {"x-vertex-tap-dropped": "dropped", "x-vertex-tap-assumed": "assumed"}
"""Headers of an answer that tell what became of its request."""
_UNSAFE = re.compile(r"[^\x21-\x7e]+")


def _take_notes(response: http.Response, exchange: Exchange, plan: Plan) -> None:
    if plan.conversion:
        response.headers["x-request-id"] = exchange.call.id
    else:
        response.headers.setdefault("x-request-id", exchange.call.id)
    for header, name in NOTES.items():
        if noted := getattr(plan.notes, name):
            response.headers[header] = ", ".join(_UNSAFE.sub("_", one)[:128] for one in noted[:64])
