"""Measures a call as it passes: the model in its request, the usage in its answer, and the times of both."""

import contextlib
import functools
import time
from collections.abc import Callable
from collections.abc import Mapping

from mitmproxy import http

from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.exchange import Progress
from addons.exchange import harmless
from addons.permit import must_be_read_first
from addons.recorder import Recorder
from addons.tap import Tap
from addons.upstream import OffLoop
from addons.upstream import content_of
from metering.budget import Budget
from metering.budget import TooMuchWork
from metering.call import ErrorType
from metering.call import UsageState
from metering.decoding import DecodingError
from metering.grpc_body import GrpcBody
from metering.json_values import member
from metering.outcome import Ending
from metering.paths import Target
from metering.protobuf import ProtobufError
from metering.request import Asked
from metering.request import asked
from metering.request import named
from metering.usage.errors import ErrorReader
from metering.usage.formats import UNREAD
from metering.usage.formats import Usage
from metering.usage.formats import usage_of
from metering.usage.grpc import ANSWERS
from metering.usage.grpc import REQUESTS
from metering.usage.grpc import SCHEMA
from metering.usage.grpc import STREAMED
from metering.usage.grpc import usage_of_grpc

LARGEST_HELD = 64 * 1024 * 1024
"""Size in bytes above which a request body is streamed, and nothing is read from it."""

WITH_MODEL = (ErrorType.NO_CREDENTIALS, ErrorType.NO_ROUTE)
"""The `error_type` of refused calls whose rows name the model that they ask for."""

IN_ARRAYS = (
    *("streamGenerateContent", "interactions.createStream", "interactions.stream"),
    *("serverStreamingPredict", "reasoningEngines.streamQuery", "runtimeRevisions.streamQuery"),
)
"""Operations that stream: as server-sent events if the client asks for these, else as the elements of a JSON array or,
`streamQuery`, as one JSON document after the other."""


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
        if not exchange or not exchange.goes_on:
            return
        if (_is_grpc(request) and not must_be_read_first(exchange)) or _is_too_large(request, exchange):
            exchange.metered.count_request(b"")
            request.stream = self._grpc_request(exchange, request) or exchange.metered.count_request

    @harmless
    async def request(self, flow: http.HTTPFlow) -> None:
        exchange, request = self._exchanges.get(flow), flow.request
        if not exchange:
            return
        body = request.raw_content
        is_grpc = _is_grpc(request)
        if body and is_grpc and not exchange.is_over and (read := self._grpc_request(exchange, request)):
            # It was held.
            read(body)
        exchange.metered.take_request(request.timestamp_end or time.time(), None if body is None else len(body))
        is_wanted = not exchange.is_refused or exchange.refused_as in WITH_MODEL
        if body and exchange.target and exchange.needs_body and is_wanted and not is_grpc:
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
        operation = target.operation or "" if target else ""
        message: str | None = None
        if _is_grpc(response):
            message = _message_in(response, ANSWERS, operation)
            unread = Usage(None, metered.usage.state or UsageState.UNSUPPORTED)
            metered.read_with(usage_of_grpc(operation, call.model, call.publisher) if message else unread)
        elif response.status_code >= 400:
            metered.read_with(Usage(ErrorReader(), metered.usage.state))
        on_end = functools.partial(self._tell_end, exchange, response)
        tap = metered.tap = Tap(response, metered.usage, on_end, message)
        has_parts = operation in IN_ARRAYS or (_is_grpc(response) and operation in STREAMED)
        call.streamed = tap.event_stream or (has_parts and response.status_code < 400)
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
        else:
            # The connection was upgraded to another protocol.
            metered.read_with(UNREAD)
            self._recorder.settle(exchange, Ending.COMPLETE)

    def _tell_end(self, exchange: Exchange, response: http.Response) -> None:
        """Settle the row at the end of the upstream's response, unless the client gets a converted one."""
        if _is_grpc(response):
            # The HTTP status is always 200: gRPC's is in the trailers, or in the headers if there are no trailers.
            status = (response.trailers or response.headers).get("grpc-status", "0")
            exchange.metered.take_grpc_status(status)
        if not exchange.is_held:
            self._recorder.settle(exchange, Ending.COMPLETE)

    def _grpc_request(self, exchange: Exchange, request: http.Request) -> Callable[[bytes], bytes | list[bytes]] | None:
        """A stream callable of mitmproxy that reads the model of a gRPC request as it passes; None if none is read."""
        target = exchange.target
        message = _message_in(request, REQUESTS, target.operation or "") if target else None
        if not target or not message:
            return None
        budget = Budget()
        body = GrpcBody(SCHEMA, message, request.headers.get("grpc-encoding", ""), budget)

        def read(piece: bytes) -> bytes | list[bytes]:
            if exchange.call.model is None:
                budget.earn(len(piece))
                with contextlib.suppress(ProtobufError, DecodingError, TooMuchWork):
                    for value in body.feed(piece):
                        exchange.take_body(named(target, member(value, "model") or member(value, "endpoint")))
                budget.rest()
                if exchange.call.model and exchange.attempts:
                    self._recorder.commit(exchange)
            return exchange.metered.count_request(piece)

        return read


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


def _message_in(body: http.Message, names: Mapping[str, str], operation: str) -> str | None:
    """The name of the protobuf messages in the body of a gRPC request or answer, which is that of `names`; None if they
    are not read. In gRPC-Web bodies they are framed differently."""
    kind = body.headers.get("content-type", "").partition(";")[0].strip().lower()
    return names.get(operation) if kind in ("application/grpc", "application/grpc+proto") else None
