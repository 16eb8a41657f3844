"""Reads error codes in every dialect. Messages are never kept, as they may quote a prompt."""

from metering.call import Reading
from metering.call import count
from metering.call import word
from metering.usage.reader import Reader

RPC_CODES = (
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED"
    " RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS"
    " UNAUTHENTICATED".split()
)
"""The names of google.rpc.Code, by number (googleapis, google/rpc/code.proto). They are in operations and gRPC
trailers."""


ERROR_NAMES = frozenset({"error", "status", "type", "code", "object"})
"""The members of a response that `take_error` reads."""


class ErrorReader(Reader):
    """Reads the body of a 4xx or 5xx response, which may be in an array (streamGenerateContent)."""

    wanted = ERROR_NAMES

    def read(self, event: object) -> None:
        take_error(self._reading, event)


def take_error(reading: Reading, event: object) -> bool:
    """Put the code of an error into `reading`. Returns whether `event` is an error.

    Google: `{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}`; OpenAI: `{"error": {"type", "code"}}`;
    Anthropic: `{"type": "error", "error": {"type"}}`; OpenAI Responses and Mistral: the code at the top level.
    """
    if not isinstance(event, dict):
        return False
    error = event.get("error")
    if error is None and (event.get("type") == "error" or event.get("object") == "error"):
        error = {**event, "type": None if event.get("type") == "error" else event.get("type")}
    if not error:
        return False
    reading.failed = True
    if isinstance(error, dict):
        names = (word(error.get(name)) for name in ("status", "type", "code"))
        reading.error_type = next(filter(None, names), reading.error_type or http_code(error.get("code")))
    return True


HTTP_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""HTTP status -> the google.rpc.Code that Google's errors have with it."""


def http_code(status: object) -> str | None:
    """The google.rpc.Code for an HTTP status, such as `NOT_FOUND` for 404; None if there is none."""
    return HTTP_CODES.get(count(status) or 0)


def rpc_code(number: object) -> str:
    """The name of a google.rpc.Code, such as `NOT_FOUND` for 5; `UNKNOWN` for an invalid number."""
    code = count(number)
    return RPC_CODES[code] if code is not None and code < len(RPC_CODES) else "UNKNOWN"
