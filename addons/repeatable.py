"""Which calls may be tried at another service, as far as the request tells.

A call may not if its body is not kept (it is streamed, or the connection becomes a WebSocket), if it names something
that only one service has, or if it would begin the same job twice.
"""

import copy
import re

from mitmproxy import http

from addons.again import Failed
from addons.upstream import content_of
from metering.paths import Target

LARGEST_HELD = 64 * 1024 * 1024
"""Size in bytes above which a request body is streamed, and nothing is read from it."""
REPEATABLE = frozenset(
    # Google's actions of models
    "generateContent streamGenerateContent countTokens computeTokens embedContent batchEmbedContents predict rawPredict"
    " streamRawPredict"
    # OpenAI's API
    " chat/completions completions responses embeddings moderations images/generations images/edits images/variations"
    " audio/speech audio/transcriptions audio/translations"
    # Anthropic's
    " messages messages/count_tokens".split()
)
"""Operations that may be tried at another service after any failure, if the method is POST. With others, such as polls,
clients ask for what one service has."""
JOBS = frozenset({"predictLongRunning", "videos"})
"""Operations that begin a job: tried at another service only if it is certain that none has begun."""
NAMED = re.compile(
    rb'(?<!\\)"(?:(?:cachedContent|cached_content|fileUri|file_uri|file_id|gcsUri|gcs_uri|previous_response_id'
    rb'|conversation)"\s*:\s*"[^"]|conversation"\s*:\s*\{\s*"id"\s*:\s*")'
)
"""A member of a body that names what only one service has. (In a text, its quotation marks have backslashes.)"""


def is_grpc(message: http.Message) -> bool:
    return str(message.headers.get("content-type", "")).startswith("application/grpc")


def goes_out_at_once(request: http.Request, *, needs_body: bool) -> bool:
    """Whether the request body is streamed: it is gRPC's, or too large."""
    return is_grpc(request) or is_too_large(request, needs_body)


def is_too_large(request: http.Request, needs_body: bool) -> bool:
    """Whether the request body is too large to be held, or may be, as its size is unknown and nothing in it is
    needed."""
    length = request.headers.get("content-length", "")
    if length.isdecimal():
        return len(length) > 19 or int(length) > LARGEST_HELD
    return "transfer-encoding" in request.headers and not needs_body


class KeptRequest:
    """A request as it is now. Only copying it takes time, as few requests are sent again."""

    def __init__(self, request: http.Request) -> None:
        self._request = request
        self._data = copy.copy(request.data)
        # The object is changed in place; this is a tuple.
        self._fields = request.headers.fields

    def copy(self) -> http.Request:
        again = copy.copy(self._request)
        again.data = copy.copy(self._data)
        again.data.headers = http.Headers(self._fields)
        return again


def is_kept(request: http.Request) -> bool:
    """Whether the request can be sent again as it is."""
    return not request.stream and request.raw_content is not None and "upgrade" not in request.headers


def may_go_elsewhere(request: http.Request, target: Target | None, model: str | None) -> bool:
    """Whether a complete request may be tried at another service. `model` is the one that it asks for."""
    is_one = target is not None and target.operation in REPEATABLE | JOBS and request.method == "POST"
    if not target or not is_one or not is_kept(request):
        return False
    if target.fields.get("endpoint", "openapi") != "openapi" or (model or "").isdecimal():
        # An endpoint of one project
        return False
    if target.fields.get("collection") == "tunedModels":
        # A tuned model of the Gemini API
        return False
    return not NAMED.search(content_of(request))


def is_safe_after(target: Target | None, failed: Failed, status: int | None) -> bool:
    """Whether such a call may be tried elsewhere after a failure, given the upstream's status, if there was one."""
    if target and target.operation in JOBS:
        return failed is Failed.UNCONNECTED or status == 429
    return True
