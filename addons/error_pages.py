"""The answers that we give ourselves: one JSON body that every SDK reads."""

import json

from mitmproxy import http

STATUS_WORDS = {
    400: ("INVALID_ARGUMENT", "invalid_request_error"),
    503: ("UNAVAILABLE", "service_unavailable_error"),
}
"""HTTP status -> Google's `error.status` and OpenAI's `error.type`."""


def error_response(status: int, message: str) -> http.Response:
    google, openai = STATUS_WORDS[status]
    error = {"code": status, "message": message, "status": google, "type": openai}
    return http.Response.make(status, json.dumps({"error": error}), {"content-type": "application/json"})
