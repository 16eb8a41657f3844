"""Judges an answer that could still be replaced by that of another service: whether the client gets it.

The client gets a stream when its first content has come. Events before it, such as a role, are held. It gets any other
answer when that is whole, or has become too large to be held; an empty one is none. An answer has failed by its status,
or by the error that it begins with; in how many seconds its service may be asked again is read from it.
"""

import contextlib
import email.utils
import json
import re
import time
from functools import partial

from mitmproxy import http

from addons.again import Verdict
from addons.attempts import Attempt
from addons.tap import Tap
from addons.translation.errors import STATUSES
from addons.upstream import content_of
from metering.call import Reading
from metering.usage.errors import HTTP_CODES
from metering.usage.errors import ErrorReader
from metering.usage.errors import http_code
from metering.usage.formats import usage_of

LARGEST_HELD = 16 * 1024 * 1024
"""The most bytes of a whole answer, and in `MOST_EVENTS` those of the first events of a stream, that are held."""
MOST_EVENTS = 1024 * 1024
LARGEST_ERROR = 4 * 1024
"""The most bytes of a whole answer that may be an error in spite of its status. Larger ones are not read for it."""
FAILED = frozenset({408, 429, *range(500, 600)})
"""Statuses after which another service may answer."""
PERMANENT = frozenset({code for status, code in HTTP_CODES.items() if status not in FAILED}) | frozenset(
    {type for type, status in STATUSES.items() if status not in FAILED}
)
"""Codes of errors for which the request is to blame. All others are taken for the upstream's."""


class Gate:
    """Judges one answer."""

    def __init__(self, response: http.Response, attempt: Attempt, model: str | None, *, in_parts: bool) -> None:
        """`in_parts` is whether the body is a stream although it is none of server-sent events."""
        kind = str(response.headers.get("content-type", "")).strip().lower()
        is_stream = in_parts or kind.startswith("text/event-stream")
        self._new_tap = partial(_tap, response, attempt, model)
        self._is_stream = is_stream
        self._tap: Tap | None = None
        """What reads a stream, if its first piece is not plain."""
        self._is_held = not is_stream and "json" in kind
        self._is_coded = response.headers.get("content-encoding", "identity") != "identity"
        self._size = 0
        self._pieces: list[bytes] = []

    def piece(self, data: bytes) -> Verdict:
        """Judge the answer by the next piece of its body."""
        self._size += len(data)
        if self._is_held:
            self._pieces.append(data)
            if self._size <= LARGEST_ERROR:
                # So that no word is cut in two.
                self._pieces = [b"".join(self._pieces)]
            return Verdict.PASS if self._size > LARGEST_HELD else Verdict.WAIT
        if not self._is_stream or (not self._tap and _has_plain_content(data)):
            return Verdict.PASS
        self._tap = self._tap or self._new_tap()
        self._tap(data)
        return Verdict.PASS if self._size > MOST_EVENTS else self._judged()

    def end(self) -> Verdict:
        """Judge the answer now that it is whole."""
        if not self._size:
            return Verdict.FAILED
        if not self._tap:
            return Verdict.FAILED if self._is_held and self._is_bad() else Verdict.PASS
        self._tap(b"")
        verdict = self._judged()
        # A stream that has told nothing.
        return Verdict.FAILED if verdict is Verdict.WAIT else verdict

    def _judged(self) -> Verdict:
        assert self._tap
        reader = self._tap.usage.reader
        if reader is None or self._tap.gave_up or reader.content:
            return Verdict.PASS
        told = reader.reading
        if told.failed:
            return Verdict.FAILED if _is_upstreams(told) else Verdict.PASS
        # An answer without content may be whole, such as a refusal.
        return Verdict.PASS if told.terminal or told.finish_reason else Verdict.WAIT

    def _is_bad(self) -> bool:
        """Whether a document is incomplete, or an error of the upstream's."""
        last = next((piece for piece in reversed(self._pieces) if piece.strip()), b"")
        if not self._is_coded and not last.rstrip().endswith((b"}", b"]")):
            return True
        if self._size > LARGEST_ERROR or not (self._is_coded or any(b'"error"' in piece for piece in self._pieces)):
            return False
        read = self.reading
        return read is not None and read.failed and _is_upstreams(read)

    @property
    def reading(self) -> Reading | None:
        """What was read of an answer that the client does not get."""
        tap = self._tap or self._new_tap()
        for piece in self._pieces:
            tap(piece)
        tap.break_off()
        reader = tap.usage.reader
        return reader.reading if reader else None


_TEXT = re.compile(rb'"(?:text|content)"\s*:\s*"[^"]')
_MORE = re.compile(rb'"(?:error|response|item)"')


def _has_plain_content(piece: bytes) -> bool:
    """Whether the first piece of a stream certainly has content, without reading it: a text that is not empty, in an
    event that is whole, and nothing in which a text could be anything else. Most streams begin so."""
    end = max(piece.rfind(b"\n\n"), piece.rfind(b"\n\r\n"))
    return end > 0 and _TEXT.search(piece, 0, end) is not None and _MORE.search(piece) is None


def _is_upstreams(read: Reading) -> bool:
    """Whether the upstream is to blame for the error that was read."""
    return read.error_type not in PERMANENT


def _tap(response: http.Response, attempt: Attempt, model: str | None) -> Tap:
    return Tap(response, usage_of(attempt.target, attempt.method, model), lambda: None)


def error_in(response: http.Response) -> str | None:
    """The code of the error that a failed response has, by its body or its status."""
    reader = ErrorReader()
    with contextlib.suppress(ValueError, RecursionError):
        document = json.loads(content_of(response))
        reader.read(document[0] if isinstance(document, list) and document else document)
    return reader.reading.error_type or http_code(response.status_code)


def retry_after(response: http.Response) -> float | None:
    """In how many seconds a failed response says that its upstream may be asked again; None if it does not. It says so
    in the header Retry-After, as seconds or as a date, or as google.rpc.RetryInfo in its body."""
    told = response.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(told):
        return float(told)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(told).timestamp() - time.time())
    found = _RETRY_INFO.search(content_of(response))
    return float(found[1]) if found else None


_SECONDS = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,9})?")
_RETRY_INFO = re.compile(rb'"retryDelay"\s*:\s*"([0-9]{1,18}(?:\.[0-9]{1,9})?)s"')
