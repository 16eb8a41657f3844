"""Measures a call as it passes: the model in its request, the usage in its answer, and the times of both."""

import functools
import time

from mitmproxy import http

from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.exchange import Progress
from addons.exchange import harmless
from addons.metered import Metered
from addons.recorder import Recorder
from addons.tap import Tap
from addons.upstream import OffLoop
from addons.upstream import content_of
from metering.call import ErrorType
from metering.outcome import Ending
from metering.paths import Target
from metering.request import Asked
from metering.request import asked
from metering.usage.errors import ErrorReader
from metering.usage.errors import rpc_code
from metering.usage.formats import UNREAD
from metering.usage.formats import Usage
from metering.usage.formats import usage_of

LARGEST_HELD = 64 * 1024 * 1024
"""Size in bytes above which a request body is streamed, and nothing is read from it."""


IN_ARRAYS = ("streamGenerateContent", "interactions.createStream", "interactions.stream")
"""Operations that stream: as server-sent events if the client asks for these, else as the elements of a JSON array."""


class Meter:
    """Measures calls. It comes before `rewrite` in the addon chain, so that it reads answers in the upstream's
    format."""

    def __init__(self, exchanges: Exchanges, recorder: Recorder) -> None:
        self._exchanges = exchanges
        self._recorder = recorder
        self._off_loop = OffLoop()

    @harmless
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        exchange, request = self._exchanges.get(flow), flow.request
        if exchange and exchange.goes_on and (_is_grpc(request) or _is_too_large(request, exchange)):
            exchange.metered.count_request(b"")
            request.stream = exchange.metered.count_request

    @harmless
    async def request(self, flow: http.HTTPFlow) -> None:
        exchange, request = self._exchanges.get(flow), flow.request
        if not exchange:
            return
        body = request.raw_content
        exchange.metered.take_request(request.timestamp_end or time.time(), None if body is None else len(body))
        is_wanted = not exchange.is_refused or exchange.refused_as == ErrorType.NO_CREDENTIALS
        if body and exchange.target and exchange.needs_body and is_wanted:
            exchange.take_body(await self._off_loop(len(body), _asked, exchange.target, request))

    @harmless
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        exchange, response = self._exchanges.get(flow), flow.response
        if not exchange or exchange.is_over or not response:
            return
        call, metered = exchange.call, exchange.metered
        if response.timestamp_end is not None:
            # The body is complete already, so another addon has answered: of an upstream's response only the headers
            # are here.
            exchange.answer()
            return
        first = exchange.attempts[0] if exchange.attempts else None
        target = (first and first.target) or exchange.target
        if first and first.target:
            metered.read_with(usage_of(first.target, first.method, call.model))
        server = flow.server_conn
        metered.begin_answer(response.status_code, server.timestamp_tls_setup or server.timestamp_tcp_setup or 0.0)
        if response.status_code == 101:
            call.streamed = True
            return
        if _is_grpc(response):
            metered.read_with(UNREAD)
        elif response.status_code >= 400:
            metered.read_with(Usage(ErrorReader(), metered.usage.state))
        tap = metered.tap = Tap(response, metered.usage, functools.partial(self._tell_end, exchange))
        in_array = target is not None and target.operation in IN_ARRAYS
        call.streamed = tap.event_stream or (in_array and response.status_code < 400)
        if not exchange.repeated:
            response.stream = tap
            exchange.move(Progress.STREAMED)

    @harmless
    async def response(self, flow: http.HTTPFlow) -> None:
        exchange, response = self._exchanges.get(flow), flow.response
        if not exchange or not response or flow.websocket:
            return
        metered = exchange.metered
        if exchange.state in (Progress.ANSWERED, Progress.REFUSED):
            metered.take_answer_of_ours(response.status_code, len(response.raw_content or b""))
            is_refused = exchange.is_refused
            self._recorder.settle(exchange, Ending.REFUSED if is_refused else Ending.COMPLETE)
        elif tap := metered.tap:
            if not tap.complete:
                # The response was not streamed: it was held, or has no body.
                content = response.raw_content or b""
                await self._off_loop(len(content), tap.take, content)
                tap.end()
            if _is_grpc(response):
                self._take_grpc_status(exchange, metered, response)
        else:
            # The connection was upgraded to another protocol.
            metered.read_with(UNREAD)
            self._recorder.settle(exchange, Ending.COMPLETE)

    def _tell_end(self, exchange: Exchange) -> None:
        """Settle the row at the end of the upstream's response, unless the client gets a converted one."""
        if not exchange.is_held:
            self._recorder.settle(exchange, Ending.COMPLETE)

    def _take_grpc_status(self, exchange: Exchange, metered: Metered, response: http.Response) -> None:
        """Record the error of a gRPC call. Its HTTP status is always 200: the status is in the trailers, or in the
        headers if there are no trailers."""
        fields = response.trailers or response.headers
        if (code := fields.get("grpc-status", "0")) != "0":
            metered.take_error(rpc_code(code))
            self._recorder.commit(exchange)


def _is_too_large(request: http.Request, exchange: Exchange) -> bool:
    """Whether the request body must be streamed: it is too large, or its size is unknown and nothing in it is
    needed."""
    length = request.headers.get("content-length", "")
    if length.isdecimal():
        return len(length) > 19 or int(length) > LARGEST_HELD
    return "transfer-encoding" in request.headers and not exchange.needs_body


def _asked(target: Target, request: http.Request) -> Asked:
    return asked(target, request.headers.get("content-type", ""), content_of(request))


def _is_grpc(message: http.Message) -> bool:
    return str(message.headers.get("content-type", "")).startswith("application/grpc")
