"""JSON error responses for mitmproxy's own errors. `layers.py` sends them where mitmproxy would send HTML."""

from mitmproxy import http
from mitmproxy.net.http import http1

from addons.exchange import Exchange
from addons.exchange import error_response
from addons.keys import redacted
from addons.translation.errors import refusal


def error_page(status: int, message: str, exchange: Exchange | None = None) -> http.Response:
    """The response to a call that mitmproxy could not serve; `message` is mitmproxy's error message. It is in the
    client's dialect. Without `exchange` that is not known, and the response is one that every SDK can read."""
    said = redacted(message)
    if status >= 500:
        said = f"The upstream could not be reached, or did not answer: {said}"
    return exchange.error_answer(refusal(status, said)) if exchange else error_response(status, said)


def closing_error_page(status_code: int, message: str = "") -> bytes:
    """An error response as HTTP/1.1 bytes, for a request that mitmproxy cannot parse. It closes the connection."""
    response = error_page(status_code, message)
    response.headers["connection"] = "close"
    return bytes(http1.assemble_response(response))
