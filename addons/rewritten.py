"""Answers that are converted: a stream event by event, others when they are whole, errors in the client's words."""

import json
import logging
import re
from collections.abc import Callable

from mitmproxy import http

from addons.dispatch import UNREADABLE
from addons.dispatch import Renew
from addons.dispatch import next_pages
from addons.exchange import Exchange
from addons.faces import phrase_of
from addons.metered import Told
from addons.tap import Tap
from addons.translation.conversation import to_bytes
from addons.translation.errors import Failure
from addons.translation.errors import read_error
from addons.translation.errors import refusal
from addons.translation.plan import AnswerBody
from addons.translation.plan import Conversion
from addons.translation.plan import Plan
from addons.upstream import OffLoop
from addons.upstream import content_of
from addons.upstream import document_of
from addons.upstream import header_name
from metering.budget import Budget
from metering.call import ErrorType
from metering.json_array import whole
from metering.sse import Bytes
from metering.sse import EventDecoder

logger = logging.getLogger(__name__)

SERVICE_HEADER = "x-vertex-tap-service"
"""The header of an answer that names the service that it comes from, on routes with a `fallback`."""
KEPT_HEADERS = frozenset({"date", "server", "retry-after", "connection", SERVICE_HEADER})
"""Headers of the upstream's answer that a converted answer keeps."""
UNREACHED = refusal(502, "The upstream did not answer one of the calls that this one became.")
BROKE = Told(502, None, broke=True)


def is_stream(response: http.Response) -> bool:
    """Whether it is one of server-sent events."""
    return str(response.headers.get("content-type", "")).lower().startswith("text/event-stream")


def answer_of_ours(exchange: Exchange) -> http.Response | Failure:
    """The answer to a call for which no upstream is needed."""
    plan = exchange.plan
    assert plan
    assert plan.conversion
    document = plan.conversion.whole([])
    if isinstance(document, Failure):
        return document
    assert isinstance(document, dict)
    response = http.Response.make(200, to_bytes(document), {"content-type": "application/json"})
    take_notes(response, exchange, plan)
    return response


async def rewrite_answer(
    flow: http.HTTPFlow, exchange: Exchange, response: http.Response, off_loop: OffLoop, renew: Renew
) -> Told | None:
    """Put the client's answer in place of the upstream's, which is here whole. Gives back what the client is told
    where that is not what the upstream has answered."""
    try:
        return await _rewrite_answer(flow, exchange, response, off_loop, renew)
    except Exception as e:
        logger.error("vertex-tap: an answer could not be rewritten (%s)", type(e).__name__)
        _tell(response, exchange, UNREADABLE)
        return BROKE


async def _rewrite_answer(
    flow: http.HTTPFlow, exchange: Exchange, response: http.Response, off_loop: OffLoop, renew: Renew
) -> Told | None:
    plan, beside = exchange.plan, exchange.together.answers if exchange.together else []
    assert plan
    answers = [response, *(answer for answer in beside if isinstance(answer, http.Response))]
    size = sum(len(answer.raw_content or b"") for answer in answers)
    documents = await off_loop(size, lambda: [document_of(answer) for answer in answers])
    failed = next((answer for answer in answers if answer.status_code >= 400), None)
    failure = None
    if failed:
        failure = read_error(failed.status_code, documents[answers.index(failed)])
    elif len(answers) < 1 + len(beside):
        logger.warning("vertex-tap: one of several calls got no answer")
        _tell(response, exchange, UNREACHED)
        return BROKE
    elif plan.next_page:
        failure = await next_pages(flow, exchange, documents, renew)
    if failure and plan.conversion:
        failure = plan.conversion.told(failure)
    if failure and not plan.spare:
        return _tell_failure(exchange, response, failed, failure, documents[0])
    if failure and plan.spare:
        plan.notes.dropped.append(plan.spare)
        documents = []
    told = await _convert(exchange, response, documents, size, off_loop)
    return told or (Told(200, None) if failure else None)


def _tell_failure(
    exchange: Exchange, response: http.Response, failed: http.Response | None, failure: Failure, first: object
) -> Told | None:
    """The client gets the error of an upstream; as it is if that is in the client's dialect already."""
    plan = exchange.plan
    assert plan
    if plan.conversion is None and exchange.errors.is_own(first):
        take_notes(response, exchange, plan)
        return None
    if failed and failed is not response and (retry_after := failed.headers.get("retry-after")):
        response.headers["retry-after"] = retry_after
    _tell(response, exchange, failure)
    is_another = len(exchange.others) > 0 or failed is None
    return Told(failure.status, failure.code, of_another=is_another) if is_another else None


async def _convert(
    exchange: Exchange, response: http.Response, documents: list[object], size: int, off_loop: OffLoop
) -> Told | None:
    assert exchange.plan
    assert exchange.plan.conversion
    plan, conversion = exchange.plan, exchange.plan.conversion
    if conversion.streams:
        body = _as_events(response, conversion)
        take_headers(response, exchange, plan, conversion.content_type)
        response.content = body
        return Told(response.status_code, None, broke=True) if conversion.failed else None
    if not all(isinstance(document, dict) for document in documents):
        _tell(response, exchange, UNREADABLE)
        return BROKE
    written = await off_loop(size, lambda: _written(conversion, documents))
    if isinstance(written, Failure):
        _tell(response, exchange, written)
        told = Told(written.status, ErrorType.BAD_REQUEST)
        return told if written.status < 500 else BROKE._replace(status=written.status)
    take_headers(response, exchange, plan, written.mime_type)
    response.status_code, response.reason = 200, phrase_of(200)
    response.content = written.data
    return None


def _tell(response: http.Response, exchange: Exchange, failure: Failure) -> None:
    """The client gets an error in its own words."""
    assert exchange.plan
    retry_after = response.headers.get("retry-after")
    take_headers(response, exchange, exchange.plan, "application/json")
    if failure.retry_after is not None and retry_after is None:
        response.headers["retry-after"] = str(failure.retry_after)
    response.status_code, response.reason = failure.status, phrase_of(failure.status)
    response.content = exchange.error_body(failure)


def take_headers(response: http.Response, exchange: Exchange, plan: Plan, content_type: str) -> None:
    response.headers.fields = tuple(field for field in response.headers.fields if header_name(field) in KEPT_HEADERS)
    response.headers["content-type"] = content_type
    if content_type == "text/event-stream":
        response.headers["cache-control"] = "no-cache"
    take_notes(response, exchange, plan)


class Stream:
    """The stream callable of an answer that is rewritten: each event is read for its usage, then converted. Never
    raises."""

    def __init__(self, tap: Tap, conversion: Conversion, on_failure: Callable[[], None] = lambda: None) -> None:
        """`on_failure` is called if the client is told an error that the tap may not have seen."""
        self._on_failure: Callable[[], None] | None = on_failure
        self._tap = tap
        self._conversion = conversion
        self._converted: list[bytes] = []
        tap.share(self._convert)

    def __call__(self, piece: bytes) -> list[bytes]:
        self._tap(piece)
        if not piece and not self._tap.gave_up:
            self._safely(self._conversion.end)
        if self._tap.gave_up:
            self._fail()
        whole = b"".join(self._converted)
        self._converted.clear()
        if self._conversion.failed and self._on_failure:
            self._on_failure()
            self._on_failure = None
        return [whole] if whole else []

    def _convert(self, data: object) -> None:
        self._safely(self._feed, data)

    def _feed(self, data: object) -> bytes:
        return self._conversion.feed(data if isinstance(data, dict) else event_of(data))

    def _safely(self, step: Callable[..., bytes], *args: object) -> None:
        try:
            self._converted.append(step(*args))
        except Exception as e:
            logger.error("vertex-tap: an answer could not be rewritten (%s)", type(e).__name__)
            self._fail()

    def _fail(self) -> None:
        failure = Failure(502, "The proxy could not rewrite this answer.", "INTERNAL")
        self._converted.append(self._conversion.fail(failure))


def _written(conversion: Conversion, documents: list[object]) -> AnswerBody | Failure:
    converted = conversion.whole(documents)
    return AnswerBody("application/json", to_bytes(converted)) if isinstance(converted, dict) else converted


def _as_events(response: http.Response, conversion: Conversion) -> bytes:
    """A stream that came whole: after a repetition, or as a JSON array."""
    content = content_of(response)
    if is_stream(response):
        budget = Budget(len(content))
        decoder = EventDecoder(Bytes, budget)
        events = [*decoder.feed(content), *decoder.flush()]
        documents = [event_of(whole(event.data, budget)) for event in events if isinstance(event.data, bytes)]
    else:
        document = json.loads(content)
        documents = document if isinstance(document, list) else [document]
    return b"".join([*map(conversion.feed, documents), conversion.end()])


def event_of(data: object) -> object:
    """What a conversion is fed with: the JSON of an event; None for `[DONE]` and for one without data. Raises
    ValueError."""
    if not isinstance(data, bytes):
        return data
    if data.strip() in (b"", b"[DONE]"):
        return None
    raise ValueError("an event is not JSON")


NOTES = {"x-vertex-tap-dropped": "dropped", "x-vertex-tap-assumed": "assumed"}
"""Headers of an answer that tell what became of its request."""
MOST_NOTES = 64
"""The most paths in such a header."""
_UNSAFE = re.compile(r"[^\x21-\x7e]+")
_INDEX = re.compile(r"\[\d+\]")


def _folded(notes: list[str]) -> list[str]:
    """The paths in `notes`. If there are too many, those that differ in their indexes only become one: a long
    conversation has `messages[].name`."""
    return notes if len(notes) <= MOST_NOTES else list(dict.fromkeys(_INDEX.sub("[]", one) for one in notes))


def take_notes(response: http.Response, exchange: Exchange, plan: Plan) -> None:
    header = exchange.errors.id_header
    if plan.conversion:
        response.headers[header] = exchange.call.id
    else:
        response.headers.setdefault(header, exchange.call.id)
    response.headers.update(exchange.left)
    for header, name in NOTES.items():
        if noted := getattr(plan.notes, name):
            response.headers[header] = ", ".join(_UNSAFE.sub("_", one)[:128] for one in _folded(noted)[:MOST_NOTES])
