"""The stream callable: what mitmproxy hands every piece of an answer to.

Strategy: a piece is decoded, parsed and read first, then passed on as it came. The call is settled (`on_end`)
before the piece with the event that ends it, or with its last counted byte, is passed on, else in the final
call, for which mitmproxy holds the end marker. Nothing raises: an exception in a stream callable would leave
the client hanging. Trouble with reading makes the usage unsupported and never touches traffic.
"""

import logging
import time
from collections.abc import Callable

from mitmproxy import http

from addons.translation.conversation import from_bytes
from metering.call import UsageState
from metering.decoding import DecodingError
from metering.decoding import decoder_for
from metering.json_array import JsonBody
from metering.json_array import JsonDocument
from metering.sse import EventDecoder
from metering.usage import Usage

logger = logging.getLogger(__name__)


class Tap:
    def __init__(self, response: http.Response, usage: Usage, on_end: Callable[[], None]) -> None:
        """`on_end` is called, once or more, when the answer has told all that it will tell."""
        self.usage = usage
        self.bytes = 0
        """Of the body, as it came."""
        self.first_content: int | None = None
        """When content first came, in nanoseconds of `time.perf_counter_ns`."""
        self.last_byte: int | None = None
        self.complete = False
        """Whether the framing of the answer is complete."""
        self.event_stream = response.headers.get("content-type", "").strip().lower().startswith("text/event-stream")
        self._on_end = on_end
        self._length = _content_length(response)
        try:
            self._decoder = decoder_for(response.headers.get("content-encoding", "identity"))
        except DecodingError:
            self._give_up()
        if reader := self.usage.reader:
            wanted = reader.wanted
            self._events = EventDecoder(lambda: JsonDocument(wanted))
            self._json = JsonBody(wanted)

    def __call__(self, piece: bytes) -> bytes | list[bytes]:
        if not self.complete:
            self.last_byte = time.perf_counter_ns()
        if piece:
            self.bytes += len(piece)
            self._safely(self._read, piece)
        if not self.complete:
            self._safely(self._watch_for_end, piece)
        # An empty piece in the middle must not be sent: in chunked framing it would end the body.
        return piece or []

    def take(self, content: bytes) -> None:
        """All of an answer, at once: a document is not scanned for what is wanted, which takes longer."""
        self.last_byte = time.perf_counter_ns()
        self.bytes = len(content)
        self._safely(self._read if self.event_stream else self._read_whole, content)
        self._safely(self._watch_for_end, b"")

    def flush(self) -> None:
        """Read what is left: of an answer that was cut, or that has just ended."""
        self._safely(self._flush)

    def _watch_for_end(self, piece: bytes) -> None:
        self.complete = not piece or self.bytes == self._length
        if self.complete:
            self.flush()
        reader = self.usage.reader
        if self.complete or (reader and reader.ends_with_event and reader.reading.terminal):
            self._on_end()

    def _read(self, piece: bytes) -> None:
        reader = self.usage.reader
        if not reader:
            return
        for data in self._decoder.decode(piece):
            values = [event.data for event in self._events.feed(data)] if self.event_stream else self._json.feed(data)
            for value in values:
                reader.read(value)
        if self.first_content is None and reader.reading.content:
            self.first_content = self.last_byte

    def _read_whole(self, content: bytes) -> None:
        if reader := self.usage.reader:
            try:
                value = from_bytes(b"".join(self._decoder.decode(content)))
            except ValueError:
                return
            for one in value if isinstance(value, list) else [value]:
                reader.read(one)

    def _flush(self) -> None:
        reader = self.usage.reader
        if not reader:
            return
        values = [event.data for event in self._events.flush()] if self.event_stream else self._json.flush()
        for value in values:
            reader.read(value)

    def _safely(self, step: Callable[..., None], *args: bytes) -> None:
        try:
            step(*args)
        except DecodingError:
            self._give_up()
        except Exception as e:
            # The message of an exception may quote the answer; its type does not.
            logger.error("vertex-tap: an answer could not be read (%s)", type(e).__name__)
            self._give_up()

    def _give_up(self) -> None:
        self.usage = Usage(None, UsageState.UNSUPPORTED)


def _content_length(response: http.Response) -> int | None:
    length = response.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None
