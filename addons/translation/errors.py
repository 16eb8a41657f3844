"""Errors: `InvalidRequest`, if the client's request is wrong, and `Failure`, an error that is sent to a client.

Error bodies of any service are read into a `Failure`, which is written in OpenAI's, Anthropic's or Google's form.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from addons.translation.conversation import Json
from metering.json_values import items
from metering.json_values import member
from metering.json_values import number_of
from metering.json_values import text_of
from metering.usage.errors import HTTP_CODES
from metering.usage.errors import RPC_CODES


class InvalidRequest(Exception):
    """The client's request cannot be converted."""

    def __init__(self, message: str, param: str | None = None, status: int = 400, code: str | None = None) -> None:
        """`param` is the path of the wrong value in the client's body, such as `messages[0].content`. `status` is the
        HTTP status. `code` is a word of ours, such as UNKNOWN_URL; None: the google.rpc.Code of the status."""
        super().__init__(message)
        self.message = message
        self.param = param
        self.status = status
        self.code = code


@dataclass(slots=True)
class Failure:
    """An error that is sent to a client: an upstream's, or one of ours."""

    status: int
    """The HTTP status."""
    message: str
    code: str
    """A name of google.rpc.Code, such as NOT_FOUND, or a word of ours."""
    retry_after: int | None = None
    """Seconds after which the client may try again."""


def refusal(status: int, message: str) -> Failure:
    """An error of ours, with the google.rpc.Code of the HTTP status as its code."""
    return Failure(status, message, code_of(status))


def unfinished() -> Failure:
    """The error for a stream that ended before its answer was complete."""
    return refusal(502, "The upstream ended its answer before its end.")


def code_of(status: int) -> str:
    """The google.rpc.Code of an HTTP status, by name: NOT_FOUND for 404."""
    return HTTP_CODES.get(status, "INVALID_ARGUMENT" if status < 500 else "UNAVAILABLE")


# Reading

STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""Anthropic's error types -> HTTP status (Anthropic's page on errors, and `error_type.py` of its Python SDK 2.14.0)."""


def read_error(status: int | None, body: object) -> Failure:
    """The error in a parsed body: Google's, alone or in an array, or that of another publisher (Anthropic, Mistral,
    OpenAI). `status` is the HTTP status of the answer; None for an error within a stream."""
    if isinstance(body, list) and body:
        body = body[0]
    error = member(body, "error")
    if error is None:
        error = body
    code = number_of(member(error, "code"), STATUSES.get(text_of(member(error, "type")) or "", 0))
    status = status or (code if 400 <= code < 600 else 502)
    named = text_of(member(error, "status"))
    message = text_of(member(error, "message")) or text_of(error) or _detail(body)
    message = message or f"The upstream answered with status {status} and no reason."
    failure = Failure(status, message, named if named and named.isupper() else code_of(status))
    for detail in items(member(error, "details")):
        if violations := items(member(detail, "fieldViolations")):
            told = ((text_of(member(one, "field")), text_of(member(one, "description"))) for one in violations)
            failure.message += "".join(f"\n{field or 'request'}: {why or ''}" for field, why in told)
        if delay := text_of(member(detail, "retryDelay")):
            failure.retry_after = _seconds(delay)
    return failure


def _detail(body: object) -> str:
    """The message of a validation error in FastAPI's form, which Mistral uses: `{"detail": [{"msg": ...}]}`."""
    detail = member(body, "detail")
    if isinstance(detail, str):
        return detail
    return "; ".join(filter(None, (text_of(member(problem, "msg")) for problem in items(detail))))


def _seconds(delay: str) -> int | None:
    """A google.protobuf.Duration ("12.5s"), rounded up."""
    try:
        return -int(-float(delay.removesuffix("s")) // 1)
    except (ValueError, OverflowError):
        return None


# Writing


class ErrorWords(NamedTuple):
    type: str
    code: str | None


ERRORS = {
    401: ErrorWords("authentication_error", "invalid_api_key"),
    403: ErrorWords("permission_error", "permission_denied"),
    404: ErrorWords("invalid_request_error", "model_not_found"),
    409: ErrorWords("conflict_error", "conflict"),
    413: ErrorWords("invalid_request_error", "request_too_large"),
    429: ErrorWords("rate_limit_error", "rate_limit_exceeded"),
    500: ErrorWords("server_error", "internal_error"),
    502: ErrorWords("server_error", "bad_gateway"),
    503: ErrorWords("server_error", "service_unavailable"),
    504: ErrorWords("server_error", "timeout"),
}
"""HTTP status -> OpenAI's `type` and `code`. With any other status, such as 400, the code is the failure's own in lower
case."""
_TOO_LONG = re.compile(
    r"(?i)token count.*exceeds|exceeds the maximum number of tokens|(?:input|prompt).*too long"
    r"|token count is \d+ but model only supports|maximum context length"
)
"""How Gemini, Vertex AI, and services with OpenAI's dialect say that a prompt has too many tokens."""
_COUNTS = re.compile(r"(?i)token count (?:is )?\(?(\d+)\)? [a-z ]+ \(?(\d+)")
"""Where Gemini and Vertex AI tell the tokens of the prompt, and the most that the model takes."""


def words_for(status: int) -> ErrorWords:
    return ERRORS.get(status, ErrorWords("server_error" if status >= 500 else "invalid_request_error", None))


def openai_error(failure: Failure, param: str | None = None) -> Json:
    type, code = words_for(failure.status)
    if failure.code not in RPC_CODES:
        code = None
    if failure.status == 400 and _TOO_LONG.search(failure.message):
        code = "context_length_exceeded"
    return {
        "error": {
            "message": failure.message,
            "type": type,
            "param": param,
            "code": code or failure.code.lower(),
        }
    }


def anthropic_error(failure: Failure, param: str | None = None) -> Json:
    """Anthropic's messages begin with the path of what is wrong, with dots: `messages.0.content: ...`."""
    usual = "api_error" if failure.status >= 500 else "invalid_request_error"
    message = failure.message
    if param:
        message = message.removeprefix(f"{param}: ")
        path = _INDEX.sub(r".\1", param).removeprefix(".")
        message = f"{path}: {message[:1].upper()}{message[1:]}"
    elif failure.status == 400 and _TOO_LONG.search(message):
        message = _too_long(message)
    error: Json = {"type": _TYPES.get(failure.status, usual), "message": message}
    if failure.code == NO_THREAD:
        error["details"] = {"error_code": NO_THREAD.lower()}
    return {"type": "error", "error": error}


def _too_long(message: str) -> str:
    """The message in Anthropic's words, by which Claude Code knows that it has to shorten the conversation."""
    counts = _COUNTS.search(message)
    told = f"{counts[1]} tokens > {counts[2]} maximum" if counts else message
    return f"prompt is too long: {told}"


NO_THREAD = "THREAD_UNSUPPORTED_REQUEST"
"""The code of the error for a request with `thread`. In lower case it is Anthropic's: its SDKs then send the whole
conversation (`thread_unsupported_request_error.py` of the package anthropic 2.14.0)."""
_INDEX = re.compile(r"\[(\d+)\]")
_TYPES = {status: type for type, status in STATUSES.items()}


def google_error(failure: Failure, param: str | None = None) -> Json:
    return {"error": {"code": failure.status, "message": failure.message, "status": failure.code}}


class ErrorDialect(NamedTuple):
    """How errors look in a client's dialect."""

    write: Callable[[Failure, str | None], Json]
    """Writes an error. The text is the path of what is wrong in the client's body, if it is known."""
    is_own: Callable[[object], bool]
    """Whether a service's error, parsed, is in this dialect already."""
    id_header: str = "x-request-id"
    """The header of an answer that holds the id of the call."""
    id_member: str | None = None
    """The member of an error that repeats the id. None: there is none."""


def _is_openais(document: object) -> bool:
    error = member(document, "error")
    return isinstance(member(error, "message"), str) and isinstance(member(error, "type"), str)


def _is_anthropics(document: object) -> bool:
    return member(document, "type") == "error" and _is_openais(document)


ERROR_DIALECTS = {
    "openai": ErrorDialect(openai_error, _is_openais),
    "anthropic": ErrorDialect(anthropic_error, _is_anthropics, "request-id", "request_id"),
}
"""Surface -> the dialect of its errors."""
GOOGLES_ERRORS = ErrorDialect(google_error, lambda document: False)
"""The dialect of errors of all other surfaces."""
