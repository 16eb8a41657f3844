"""The answers that we give ourselves: one JSON body that every SDK reads, also where mitmproxy would send HTML.

No hook can do the latter: what mitmproxy answers when an upstream fails is made after the last one. So this is the
one place that reaches into it (`HttpStream.handle_protocol_error`), and a test fails when it changes.
"""

import json
from collections.abc import Generator
from typing import Any

from mitmproxy import http
from mitmproxy.addonmanager import Loader
from mitmproxy.net.http import http1
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers.http import _events
from mitmproxy.proxy.layers.http import _http1

from addons.redact import redacted
from addons.translation.conversation import code_of
from addons.translation.errors import words_for

LAST_WORDS = "vertex-tap.last-words"
"""Key of `flow.metadata`: bytes that end a stream which its upstream has broken."""


def error_response(status: int, message: str) -> http.Response:
    """`error.status` is Google's word, `error.type` OpenAI's."""
    error = {"code": status, "message": message, "status": code_of(status), "type": words_for(status).type}
    return http.Response.make(status, json.dumps({"error": error}), {"content-type": "application/json"})


class ErrorPages:
    """JSON instead of mitmproxy's pages, and an end for streams that have none."""

    def load(self, loader: Loader) -> None:
        layers.HttpStream.handle_protocol_error = _handle_protocol_error  # type: ignore[method-assign]
        _http1.make_error_response = _make_error_response

    def done(self) -> None:
        layers.HttpStream.handle_protocol_error = _theirs  # type: ignore[method-assign]
        _http1.make_error_response = _their_response


_theirs = layers.HttpStream.handle_protocol_error
_their_response = _http1.make_error_response


def _handle_protocol_error(self: layers.HttpStream, event: Any) -> Generator[Any, Any, None]:
    """What theirs does, but for what the client gets."""
    has_begun = self.server_state == self.state_stream_response_body
    theirs: Generator[Any, Any, None] = _theirs(self, event)
    reply = None
    while True:
        try:
            command = theirs.send(reply)
        except StopIteration:
            return
        if _tells_client(self, command):
            ours = _last_words(self) if has_begun else _answer(self, command.event)
            if ours:
                yield from ours
                reply = None
                continue
        reply = yield command


def _tells_client(stream: layers.HttpStream, command: Any) -> bool:
    return (
        isinstance(command, layers.SendHttp)
        and isinstance(command.event, _events.ResponseProtocolError)
        and command.connection is stream.context.client
    )


def _last_words(stream: layers.HttpStream) -> list[layers.SendHttp] | None:
    words = stream.flow.metadata.pop(LAST_WORDS, b"")
    return _sent(stream, [_events.ResponseData(stream.stream_id, words)]) if words else None


def _answer(stream: layers.HttpStream, event: Any) -> list[layers.SendHttp] | None:
    # A number up to mitmproxy 11, an enum since.
    status = event.code if isinstance(event.code, int) else event.code.http_status_code()
    if status is None or status in (444, 499) or stream.flow.request.method == "HEAD":
        return None
    response = error_response(status, _message(status, event.message))
    head = _events.ResponseHeaders(stream.stream_id, response, False)
    return _sent(stream, [head, _events.ResponseData(stream.stream_id, response.raw_content or b"")])


def _sent(stream: layers.HttpStream, events: list[Any]) -> list[layers.SendHttp]:
    events.append(_events.ResponseEndOfMessage(stream.stream_id))
    return [layers.SendHttp(event, stream.context.client) for event in events]


def _make_error_response(status_code: int, message: str = "") -> bytes:
    """Of what cannot be parsed; mitmproxy closes the connection."""
    response = error_response(status_code, _message(status_code, message))
    response.headers["connection"] = "close"
    return bytes(http1.assemble_response(response))


def _message(status: int, message: str) -> str:
    said = redacted(message)
    return f"The upstream could not be reached, or did not answer: {said}" if status >= 500 else said
