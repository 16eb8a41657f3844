"""The answers that we give ourselves: one JSON body that every SDK reads. `layers.py` puts them where mitmproxy would
send HTML."""

import json

from mitmproxy import http
from mitmproxy.net.http import http1

from addons.redact import redacted
from addons.translation.conversation import code_of
from addons.translation.errors import words_for

LAST_WORDS = "vertex-tap.last-words"
"""Key of `flow.metadata`: bytes that end a stream which its upstream has broken."""


def error_response(status: int, message: str) -> http.Response:
    """`error.status` is Google's word, `error.type` OpenAI's."""
    error = {"code": status, "message": message, "status": code_of(status), "type": words_for(status).type}
    return http.Response.make(status, json.dumps({"error": error}), {"content-type": "application/json"})


def error_page(status: int, message: str) -> http.Response:
    """The answer to a call that mitmproxy could not serve; `message` is what mitmproxy says of it."""
    said = redacted(message)
    return error_response(
        status, f"The upstream could not be reached, or did not answer: {said}" if status >= 500 else said
    )


def closing_error_page(status_code: int, message: str = "") -> bytes:
    """The same as HTTP/1.1 bytes, for a request that mitmproxy cannot parse: it closes the connection."""
    response = error_page(status_code, message)
    response.headers["connection"] = "close"
    return bytes(http1.assemble_response(response))
