"""The stream callable: what mitmproxy hands every piece of an answer to.

Strategy: a piece is decoded, parsed and read first, once, then passed on as it came. What converts an answer gets the
parsed events from here (`share`). The call is settled (`on_end`)
before the piece with the event that ends it, or with its last counted byte, is passed on, else in the final
call, for which mitmproxy holds the end marker. Nothing raises: an exception in a stream callable would leave
the client hanging. Trouble with reading makes the usage unsupported, and so does an answer that takes more work
than its budget, as other calls would wait for it. Neither touches an answer that is passed on as it came; one that is
converted ends with an error, as it cannot be read.
"""

import copy
import logging
import time
from collections.abc import Callable
from functools import partial

from mitmproxy import http

from metering.budget import Budget
from metering.budget import TooMuchWork
from metering.decoding import DecodingError
from metering.decoding import decoder_for
from metering.grpc_body import GrpcBody
from metering.json_array import Cut
from metering.json_array import JsonBody
from metering.json_array import JsonDocument
from metering.json_array import whole
from metering.protobuf import ProtobufError
from metering.sse import Bytes
from metering.sse import EventDecoder
from metering.usage.formats import UNREAD
from metering.usage.formats import Usage
from metering.usage.grpc import SCHEMA
from metering.usage.reader import Reader

logger = logging.getLogger(__name__)

AT_ONCE = 64 * 1024
"""Bytes that are read at once of an answer that is here whole, as they would come over the network."""

MEDIA = ("audio/", "video/", "image/")
"""How the types of contents begin that tell no usage, such as those of audio/speech."""


class Tap:
    def __init__(
        self, response: http.Response, usage: Usage, on_end: Callable[[], None], message: str | None = None
    ) -> None:
        """`on_end` is called, once or more, when the answer has told all that it will tell. `message` is the name of
        the messages of a gRPC answer."""
        self.usage = usage
        self.bytes = 0
        """How many bytes of the body have come, in its content coding."""
        self.first_content: int | None = None
        """When content first came, in nanoseconds of `time.perf_counter_ns`."""
        self.last_byte: int | None = None
        self.complete = False
        """Whether the framing of the answer is complete."""
        self.is_cut = False
        """Whether the answer broke off within the event that would have ended it, whose counts are not all here."""
        kind = response.headers.get("content-type", "").strip().lower()
        self.event_stream = kind.startswith("text/event-stream")
        self._is_media = kind.startswith(MEDIA)
        self._on_end = on_end
        self._length = _content_length(response)
        self._budget = Budget()
        self._message = message
        self._coding = response.headers.get("grpc-encoding" if message else "content-encoding", "")
        self._on_event: Callable[[object], None] | None = None
        self._parts: _Parts | None = None
        self._safely(self._start)

    def share(self, on_event: Callable[[object], None]) -> None:
        """Parse events whole from now on, and hand each to `on_event` when its usage has been read; before the first
        piece has come. `on_event` never raises."""
        self._on_event = on_event
        self._safely(self._start)

    @property
    def gave_up(self) -> bool:
        """Whether the answer could not be read to its end."""
        return self._parts is None

    def __call__(self, piece: bytes) -> bytes | list[bytes]:
        if not self.complete:
            self.last_byte = time.perf_counter_ns()
        if piece:
            self.bytes += len(piece)
            self._budget.earn(len(piece))
            self._safely(self._read, piece)
            self._budget.rest()
        if not self.complete:
            self._safely(self._watch_for_end, piece)
        # An empty piece in the middle must not be sent: in chunked framing it would end the body.
        return piece or []

    def take(self, content: bytes) -> None:
        """All of an answer, at once. May be called in a thread; `end` follows."""
        self.last_byte = time.perf_counter_ns()
        self.bytes = len(content)
        self._budget = Budget(len(content))
        self._safely(self._start)
        for start in range(0, len(content), AT_ONCE):
            self._safely(self._read, content[start : start + AT_ONCE])

    def end(self) -> None:
        """The answer that was taken is whole."""
        self._safely(self._watch_for_end, b"")

    def break_off(self) -> None:
        """Read what is here of an event that has not come whole, as no more will be recorded. Nothing is changed for
        what passes on: an answer may go on when its row is closed."""
        self._safely(self._read_rest)

    def _watch_for_end(self, piece: bytes) -> None:
        self.complete = not piece or self.bytes == self._length
        if self.complete:
            self._safely(self._flush)
        reader = self.usage.reader
        if self.complete or (reader and reader.ends_with_event and reader.terminal):
            self._on_end()

    def _start(self) -> None:
        reader = self.usage.reader
        if (reader and not self._is_media) or self._on_event:
            wanted = None if self._on_event else reader
            self._parts = _Parts(
                self._coding, wanted, self._budget, event_stream=self.event_stream, message=self._message
            )

    def _read(self, piece: bytes) -> None:
        reader, parts = self.usage.reader, self._parts
        if not parts:
            return
        for data in parts.decoder.decode(piece):
            for value in parts.values(data):
                # Nothing else is an event.
                if isinstance(value, dict | bytes):
                    self._take(value)
        if self.first_content is None and reader and reader.content:
            self.first_content = self.last_byte

    def _flush(self) -> None:
        if parts := self._parts:
            for value in parts.flush():
                self._tell_cut(value)
                self._take(value)

    def _read_rest(self) -> None:
        reader, parts = self.usage.reader, self._parts
        if not reader or not parts or self.complete:
            return
        for value in parts.rest():
            if isinstance(value, bytes):
                document = JsonDocument(reader.wanted, self._budget)
                document.feed(value)
                value = document.close()
            self._tell_cut(value)
            reader.read(value)

    def _tell_cut(self, value: object) -> None:
        """Note whether the last value, which is about to be read, is cut off."""
        reader = self.usage.reader
        self.is_cut = isinstance(value, Cut) and not (reader and reader.terminal)

    def _take(self, value: object) -> None:
        reader = self.usage.reader
        if not self._on_event:
            if reader:
                reader.read(value)
        elif isinstance(value, bytes):
            event = whole(value, self._budget)
            if reader:
                reader.read(event)
            self._on_event(event)

    def _safely(self, step: Callable[..., None], *args: bytes) -> None:
        try:
            step(*args)
        except DecodingError:
            logger.warning("vertex-tap: an answer is not metered: its body does not match its content-encoding")
            self._give_up()
        except ProtobufError:
            logger.warning("vertex-tap: an answer is not metered: it is no message of its method")
            self._give_up()
        except TooMuchWork as e:
            logger.warning("vertex-tap: an answer is not metered: %s", e)
            self._give_up()
        except Exception as e:
            # The message of an exception may quote the answer; its type does not.
            logger.error("vertex-tap: an answer could not be read (%s)", type(e).__name__)
            self._give_up()

    def _give_up(self) -> None:
        self.usage, self._parts = UNREAD, None


class _Parts:
    """What reads an answer: bytes in a coding become JSON values."""

    def __init__(
        self, coding: str, reader: Reader | None, budget: Budget, *, event_stream: bool, message: str | None
    ) -> None:
        """`reader` says what is wanted of each value; without one, events come as bytes. `message` is the name of a
        gRPC answer's messages, which have `coding` each of its own. Raises DecodingError."""
        self.decoder = decoder_for("" if message else coding, budget)
        wanted = reader.wanted if reader else frozenset()
        document = partial(JsonDocument, wanted, budget) if reader else Bytes
        self._events = EventDecoder(document, budget) if event_stream else None
        self._has_begun = False
        self._body = GrpcBody(SCHEMA, message, coding, budget, wanted) if message else JsonBody(wanted, budget)

    def values(self, data: bytes) -> list[object]:
        if not self._has_begun and (text := data.lstrip()):
            self._has_begun = True
            if text.startswith((b"{", b"[")):
                # The error in place of a stream may be called a stream too, but is a document.
                self._events = None
        return [event.data for event in self._events.feed(data)] if self._events else self._body.feed(data)

    def flush(self) -> list[object]:
        return [event.data for event in self._events.flush()] if self._events else self._body.flush()

    def rest(self) -> list[object]:
        """What `flush` would give, if it came to that now."""
        if self._events:
            return [event.data for event in copy.deepcopy(self._events).flush()]
        return copy.deepcopy(self._body).flush()


def _content_length(response: http.Response) -> int | None:
    length = response.headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else None
