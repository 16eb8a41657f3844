"""Copies of bodies for mitmproxy's screens and saved flows, with the option `gateway_keep_content`.

Strategy: a body that is streamed is copied as it passes (`KeptStream`), so that nothing waits for it; any other body is
on its message anyway. A copy has no content coding, no credentials and at most `LARGEST` bytes. All copies together
have at most `MOST` bytes: beyond that, the oldest ones are dropped (`Shelf`).
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import MutableMapping
from typing import NamedTuple
from weakref import ReferenceType
from weakref import WeakKeyDictionary
from weakref import ref

from mitmproxy import http

from addons import keys
from metering.budget import Budget
from metering.budget import TooMuchWork
from metering.decoding import DecodingError
from metering.decoding import decoder_for

LARGEST = 1024 * 1024
"""The most bytes of a body that are kept."""
MOST = 256 * 1024 * 1024
"""The most bytes of all bodies together that are kept."""

StreamCallable = Callable[[bytes], bytes | Iterable[bytes]]


class KeptStream:
    """A stream callable of mitmproxy: passes on what another one does, at once, and copies it."""

    def __init__(self, stream: StreamCallable | bool) -> None:
        """`stream` is what mitmproxy would use without this."""
        self._stream = stream if callable(stream) else _pass_on
        self.copy = bytearray()
        """The beginning of what was passed on, at most `LARGEST` bytes."""
        self.size = 0
        """How many bytes were passed on."""

    def __call__(self, piece: bytes) -> bytes | list[bytes]:
        passed = self._stream(piece)
        pieces = [passed] if isinstance(passed, bytes) else [*passed]
        for one in pieces:
            self.size += len(one)
            self.copy += one[: LARGEST - len(self.copy)]
        return passed if isinstance(passed, bytes) else pieces


def _pass_on(piece: bytes) -> bytes | list[bytes]:
    # An empty piece would end a chunked body.
    return piece or []


class Kept(NamedTuple):
    """A body that may be shown."""

    content: bytes
    is_cut: bool
    """Whether `content` is only the beginning of the body."""


_of_held: MutableMapping[http.Message, tuple[bytes, Kept]] = WeakKeyDictionary()
"""Messages that are held -> the body, and what may be shown of it. Consoles show a call at each step."""


def kept_body(message: http.Message, request: http.Request) -> Kept:
    """The body of a message of a call, as it may be shown. `request` is the call's."""
    stream, coding = message.stream, message.headers.get("content-encoding", "")
    if isinstance(stream, KeptStream):
        return _kept(bytes(stream.copy), stream.size, coding, request)
    body = message.raw_content or b""
    known = _of_held.get(message)
    if not known or known[0] is not body:
        known = _of_held[message] = (body, _kept(body[:LARGEST], len(body), coding, request))
    return known[1]


def _kept(raw: bytes, size: int, coding: str, request: http.Request) -> Kept:
    """`raw` is the beginning of a body of `size` bytes."""
    content, is_whole = _decoded(raw, coding)
    return Kept(keys.without_credentials(content, request), size > len(raw) or not is_whole)


def _decoded(raw: bytes, coding: str) -> tuple[bytes, bool]:
    """The beginning of a body without its content coding, and whether that is all of it. What cannot be decoded is left
    out, as credentials could not be found in it."""
    decoded = bytearray()
    try:
        for piece in decoder_for(coding, Budget(len(raw))).decode(raw):
            decoded += piece
            if len(decoded) > LARGEST:
                return bytes(decoded[:LARGEST]), False
    except (DecodingError, TooMuchWork):
        return bytes(decoded), False
    return bytes(decoded), True


class Shelf:
    """The messages that are shown with their bodies, oldest first, and how many bytes these have together."""

    def __init__(self, most: int = MOST) -> None:
        """`most` is how many bytes may be kept."""
        self._most = most
        self._sizes: dict[ReferenceType[http.Message], int] = {}
        self.size = 0

    def add(self, message: http.Message) -> None:
        """Count the body of a message, for as long as the message lives. Drops the bodies of older messages if there is
        too much."""
        size = len(message.data.content or b"")
        if not size:
            return
        self._sizes[ref(message, self._forget)] = size
        self.size += size
        while self.size > self._most and len(self._sizes) > 1:
            oldest = next(iter(self._sizes))
            if (old := oldest()) is not None:
                old.data.content = None
            self._forget(oldest)

    def _forget(self, message: ReferenceType[http.Message]) -> None:
        self.size -= self._sizes.pop(message, 0)
