"""Sends the requests of a plan: mitmproxy sends the first, others go out beside it at the same time, and further pages
of a list are fetched afterwards."""

import functools
import re
from collections.abc import Awaitable
from collections.abc import Callable

from mitmproxy import http

from addons.addressing import NOT_TRUSTED
from addons.addressing import VERSION
from addons.addressing import go_to
from addons.addressing import may_have_credentials
from addons.addressing import parent
from addons.addressing import vertex_upstream
from addons.attempts import Attempt
from addons.configuration import values
from addons.configuration.services import Service
from addons.configuration.settings import Settings
from addons.configuration.values import Endpoint
from addons.exchange import Exchange
from addons.metered import read_answer
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.errors import read_error
from addons.translation.errors import refusal
from addons.translation.plan import Plan
from addons.translation.plan import Sending
from addons.upstream import Together
from addons.upstream import document_of
from addons.upstream import header_name
from addons.upstream import send
from metering.call import ErrorType
from metering.call import Reading
from metering.paths import parse
from metering.request import asked

DROPPED_HEADERS = re.compile(
    r"openai-.*|anthropic-.*|x-app|x-claude-.*|x-stainless-.*|x-goog-api-client|sec-.*|origin|referer|accept|accept-encoding|content-type"
    r"|content-encoding|content-length|transfer-encoding|expect"
)
"""Request headers that are dropped: they belong to the client's dialect, to a browser, or to the body that is
replaced."""
MOST_PAGES = 100
"""The most pages of a list that are fetched for one call."""
UNREADABLE = refusal(502, "The upstream's answer cannot be read.")

Renew = Callable[[http.Request], Awaitable[bool]]
"""Puts a new credential into a request that got 401; returns whether it could."""


def dispatch(flow: http.HTTPFlow, exchange: Exchange, service: Service, renew: Renew) -> None:
    """Put the first request of the plan on the flow, and start sending the others. Raises InvalidRequest."""
    plan, request, settings = exchange.plan, flow.request, exchange.configuration.settings
    assert plan
    upstream, root = _root(flow, service, settings, plan)
    first, *others = plan.sendings
    is_vertex = service.provider == "vertex"
    if plan.conversion or is_vertex:
        _prepare(request)
    request.headers.update(plan.headers)
    copies = [_copy(request, upstream, root, sending) for sending in others]
    _put(request, upstream, root, first)
    if is_vertex and not may_have_credentials(flow, settings):
        exchange.refuse(flow, refusal(502, NOT_TRUSTED), ErrorType.NO_CREDENTIALS)
        return
    exchange.note_upstream(request.host, request.path)
    # For an OpenAI service, its base URL replaces the leading `/v1`.
    path = (root if is_vertex else "/v1/") + first.resource.partition("?")[0]
    target = parse(first.method, path, service.provider)
    ordered = asked(target, first.content_type, first.body) if target else None
    is_other = bool(plan.conversion) or is_vertex
    exchange.note_rewritten(Attempt(target, first.method), is_other=is_other, ordered=ordered)
    if plan.model:
        exchange.learn(model=plan.model.name, publisher=plan.model.publisher)
    if target:
        exchange.learn(project=target.fields.get("project"), location=target.fields.get("location"))
        exchange.learn(publisher=target.publisher)
    if copies:
        read = functools.partial(read_answer, target, first.method, exchange.call.model)

        def note(started_at: int, answer: http.Response, reading: Reading | None) -> None:
            exchange.add_attempt(Attempt(target, first.method, started_at=started_at).answered(answer, reading))

        exchange.together = Together(copies, renew, read, note)


def _root(flow: http.HTTPFlow, service: Service, settings: Settings, plan: Plan) -> tuple[Endpoint, str]:
    """The upstream of a service, and the path that the plan's resources are relative to. Raises InvalidRequest."""
    if service.base_url:
        return service.base_url, "/"
    is_keyed = "x-goog-api-key" in flow.request.headers
    if is_keyed and not plan.project and plan.sendings[0].resource.startswith("publishers/google/"):
        # An API key has no location, so the global endpoint is used.
        plan.notes.dropped += ["region"] if plan.location else []
        return vertex_upstream(flow, settings, "global"), f"/{VERSION}/"
    for name, said, check in (
        ("project_id", plan.project, values.project),
        ("region", plan.location, values.location),
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
    return vertex_upstream(flow, settings, location), f"/{VERSION}{above}/"


async def next_pages(flow: http.HTTPFlow, exchange: Exchange, documents: list[object], renew: Renew) -> Failure | None:
    """Fetch the further pages of a list, and append each to `documents`.

    Returns the failure if a page cannot be fetched. Raises requests.RequestException, TokenError.
    """
    plan, request = exchange.plan, flow.request
    assert plan
    assert plan.next_page

    async def ask(request: http.Request) -> http.Response:
        current = exchange.current
        attempt = Attempt(current.target if current else None, request.method)
        page = await send(request)
        exchange.add_attempt(attempt.answered(page))
        return page

    while sending := plan.next_page(documents[-1]):
        if len(documents) == MOST_PAGES or flow.error:
            return UNREADABLE
        request = _next(request, sending)
        page = await ask(request)
        if page.status_code == 401 and await renew(request):
            page = await ask(request)
        document = document_of(page)
        if page.status_code >= 400:
            return read_error(page.status_code, document)
        if not isinstance(document, dict):
            return UNREADABLE
        documents.append(document)
    return None


def _prepare(request: http.Request) -> None:
    """Drop headers that do not fit the new body, and ask for an answer without a content coding."""
    fields = request.headers.fields
    request.headers.fields = tuple(field for field in fields if not DROPPED_HEADERS.fullmatch(header_name(field)))
    request.headers["accept"] = "*/*"
    request.headers["accept-encoding"] = "identity"
    request.trailers = None


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
    """A copy of a request that asks for the next page."""
    copy = request.copy()
    copy.path = request.path.partition("?")[0] + "?" + sending.resource.partition("?")[2]
    return copy
