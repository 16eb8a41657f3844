"""JSON error responses, which every SDK can read, for mitmproxy's own errors. `layers.py` sends them where mitmproxy
would send HTML."""

from mitmproxy import http
from mitmproxy.net.http import http1

from addons.exchange import error_response
from addons.keys import redacted


def error_page(status: int, message: str) -> http.Response:
    """The response to a call that mitmproxy could not serve; `message` is mitmproxy's error message."""
    said = redacted(message)
    return error_response(
        status, f"The upstream could not be reached, or did not answer: {said}" if status >= 500 else said
    )


def closing_error_page(status_code: int, message: str = "") -> bytes:
    """An error response as HTTP/1.1 bytes, for a request that mitmproxy cannot parse. It closes the connection."""
    response = error_page(status_code, message)
    response.headers["connection"] = "close"
    return bytes(http1.assemble_response(response))
