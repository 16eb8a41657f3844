"""Converts calls between dialects, such as an OpenAI request to Gemini's format, and the answers back. A call that
cannot be converted is refused, never sent."""

import functools
import re
from collections.abc import Mapping

from mitmproxy import http

from addons.configuration.services import Service
from addons.credentials import Credentials
from addons.dispatch import Renew
from addons.dispatch import dispatch
from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.exchange import fails_closed
from addons.exchange import is_elsewhere
from addons.progress import Progress
from addons.recorder import Recorder
from addons.rewritten import Stream
from addons.rewritten import answer_of_ours
from addons.rewritten import is_stream
from addons.rewritten import rewrite_answer
from addons.rewritten import take_headers
from addons.rewritten import take_notes
from addons.tap import Tap
from addons.translation import conversions
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.errors import code_of
from addons.translation.plan import ClientRequest
from addons.translation.plan import Plan
from addons.upstream import OffLoop
from metering.budget import TooMuchWork
from metering.call import ErrorType
from metering.decoding import DecodingError
from metering.decoding import decode

MOST_CONTAINERS = 500_000
"""The most objects and arrays in a request body, counting brackets inside strings too. No context window holds so many,
and the JSON parser blocks the event loop while it builds them."""
_VERSION = re.compile(r"^/v1(?:(?:alpha|beta)\d*/openai)?(?=/|$)")
"""The prefix of OpenAI's paths: `/v1`, or Google's `/v1beta/openai`."""


class Rewrite:
    """Makes a `Plan` when the request body is complete, and converts the responses to the client's format."""

    def __init__(self, exchanges: Exchanges, credentials: Credentials, recorder: Recorder) -> None:
        self.exchanges = exchanges
        self._credentials = credentials
        self._recorder = recorder
        self._off_loop = OffLoop()

    @fails_closed
    async def request(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if not exchange or not exchange.awaits_body or flow.response or flow.error:
            return
        service = exchange.service
        assert service
        try:
            size = len(flow.request.raw_content or b"")
            plan = exchange.plan = await self._off_loop(size, lambda: self._plan(flow.request, exchange, service))
            if flow.error or exchange.is_over:
                # The client has disconnected.
                return
            if is_elsewhere(exchange) and service.injects:
                # What the client names is of the route's own service.
                plan.project = plan.location = None
            if plan.sendings:
                dispatch(flow, exchange, service, self._renewing(service))
            else:
                self._answer(flow, exchange)
        except InvalidRequest as e:
            if not exchange.is_over:
                failure = Failure(e.status, e.message, e.code or code_of(e.status))
                exchange.refuse(flow, failure, ErrorType.BAD_REQUEST, e.param)

    async def responseheaders(self, flow: http.HTTPFlow) -> None:
        exchange, response = self.exchanges.get(flow), flow.response
        if not exchange or not exchange.plan or not response or exchange.is_over:
            return
        plan, conversion, tap = exchange.plan, exchange.plan.conversion, response.stream
        is_well = response.status_code < 400
        if is_well and conversion is None:
            take_notes(response, exchange, plan)
            return
        # Hold the response by default, as its status may still change.
        response.stream = False
        exchange.move(Progress.HELD)
        if is_well and is_stream(response) and conversion and conversion.streams and isinstance(tap, Tap):
            failed = functools.partial(self._recorder.correct, exchange, response.status_code)
            stream = Stream(tap, conversion, failed)
            take_headers(response, exchange, plan, conversion.content_type)
            if flow.request.http_version == "HTTP/1.1":
                response.headers["transfer-encoding"] = "chunked"
            response.stream = stream
            exchange.move(Progress.STREAMED)
        elif exchange.together:
            if not is_well:
                exchange.together.stop()
            # All responses are needed before the first is metered.
            await exchange.together.wait()

    async def response(self, flow: http.HTTPFlow) -> None:
        exchange, response = self.exchanges.get(flow), flow.response
        if not exchange or not exchange.is_held or not response:
            return
        assert exchange.service
        renew = self._renewing(exchange.service)
        told = await rewrite_answer(flow, exchange, response, self._off_loop, renew)
        self._recorder.end_held(flow, told)

    def error(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if not exchange:
            return
        if exchange.together:
            exchange.together.stop()
        if exchange.plan and exchange.plan.conversion and exchange.state is Progress.STREAMED:
            exchange.last_words = exchange.plan.conversion.cut()

    def _renewing(self, service: Service) -> Renew:
        return functools.partial(self._credentials.renew, service)

    def _plan(self, request: http.Request, exchange: Exchange, service: Service) -> Plan:
        """Make the plan for a request. May run in a thread. Raises InvalidRequest."""
        target, gateway, real_name = exchange.target, exchange.configuration.gateway, exchange.real_name
        assert target
        _, mark, query = request.path.partition("?")
        told = ClientRequest(
            target.operation or exchange.path,
            request.method,
            _VERSION.sub("", exchange.path.removeprefix(target.base)).lstrip("/") + mark + query,
            _named_in(target.fields),
            request.headers.get("content-type", ""),
            _decoded(request),
            request.headers.get("anthropic-beta", ""),
        )
        is_anthropics = target.surface == "anthropic"
        if service.provider == "openai":
            return conversions.for_openai(target.surface, told, real_name)
        if told.operation == "models":
            configured = [*gateway.models, *gateway.aliases]
            can_list = _can_list(request, service)
            return conversions.list_models(told, configured, can_list, as_anthropics=is_anthropics)
        if is_anthropics:
            return conversions.from_anthropic(told, real_name)
        return conversions.from_openai(told, real_name, compatible=service.openai == "compatible")

    def _answer(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Answer a call that needs no upstream."""
        answer = answer_of_ours(exchange)
        if isinstance(answer, Failure):
            exchange.refuse(flow, answer, ErrorType.BAD_REQUEST)
        else:
            flow.response = answer
            exchange.answer()


def _named_in(fields: Mapping[str, str]) -> str:
    """The model in the path, or the id in one of OpenAI's paths, such as `video_1` in `videos/video_1`."""
    return fields.get("model") or fields.get("openai", "").partition("/")[2].partition("/")[0]


def _can_list(request: http.Request, service: Service) -> bool:
    """Whether Google can be asked for the project's models, which needs an access token rather than an API key."""
    return service.project is not None and "authorization" in request.headers


def _decoded(request: http.Request) -> bytes:
    """The request body without its content coding. Raises InvalidRequest if it cannot be decoded, or is too complex."""
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
