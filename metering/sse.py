"""Server-sent events, taken apart as the bytes arrive (WHATWG HTML, section 9.2).

Strategy: `feed(bytes)` returns the events that these bytes completed, wherever the pieces were cut and
whichever of LF, CR and CRLF ends the lines; `flush()` returns an event that was not ended by a blank line.
Nothing raises. One thing is not of the standard: a line that begins with a brace, and the lines after it up to a blank
one, are data, as Google sends the error that breaks off a stream without `data:` (google-genai 3.6.1,
`_iter_response_stream`). The data of an event goes into a document as it arrives, so that an event of any size need
not be held; by default a document is the plain bytes. Lines and events are paid from a budget, beyond which
`TooMuchWork` is raised.
"""

from collections.abc import Callable
from typing import NamedTuple
from typing import Protocol

from metering.budget import Budget
from metering.budget import Cost


class Document(Protocol):
    def feed(self, data: bytes) -> None: ...
    def close(self) -> object: ...


class Event(NamedTuple):
    type: str
    """The `event` field; empty where there was none."""
    data: object
    """What the document made of the data."""


class Bytes:
    """The document that keeps everything."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        self._data += data

    def close(self) -> bytes:
        return bytes(self._data)


_BOM = b"\xef\xbb\xbf"
_LONGEST_NAME = 64
"""No field has a longer name; what is longer is a field to ignore and need not be kept."""


class EventDecoder:
    def __init__(self, document: Callable[[], Document] = Bytes, budget: Budget | None = None) -> None:
        self._budget = budget or Budget()
        self._new_document = document
        self._document: Document | None = None
        self._type = b""
        self._at_start = True
        self._after_cr = False
        self._name: bytes | None = None
        """The field of the current line; None until its colon has come."""
        self._head = b""
        """The current line up to its colon, or the value of its `event` field."""
        self._is_bare = False
        """Whether the lines of the event are data without `data:`."""
        self._trim = False
        """Whether the next byte of the value is dropped if it is a space."""

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        if not data:
            return events
        if self._after_cr:
            data = data.removeprefix(b"\n")
        lines = data.splitlines(keepends=True)
        self._budget.spend(Cost.LINE, len(lines))
        for line in lines:
            text = line.rstrip(b"\r\n")
            is_whole = len(text) < len(line)
            if is_whole and self._name is None and not self._head and not self._at_start:
                self._whole_line(text, events)
                continue
            self._text(text)
            if is_whole:
                self._end_line(events)
        self._after_cr = data.endswith(b"\r")
        return events

    def flush(self) -> list[Event]:
        events: list[Event] = []
        self._end_line(events)
        self._end_event(events)
        return events

    def _whole_line(self, text: bytes, events: list[Event]) -> None:
        """A line that came in one piece, as most do."""
        if not text:
            self._end_event(events)
        elif self._is_bare or text.startswith((b"data:", b"{")):
            self._is_bare = self._is_bare or text.startswith(b"{")
            if self._document is None:
                self._document = self._new_document()
            else:
                self._document.feed(b"\n")
            if value := text if self._is_bare else text[5:].removeprefix(b" "):
                self._document.feed(value)
        else:
            self._text(text)
            self._end_line(events)

    def _text(self, text: bytes) -> None:
        if self._name is None and text:
            self._head += text
            if self._at_start and _BOM.startswith(self._head[:3]) and len(self._head) < 3:
                return
            if self._at_start:
                self._head = self._head.removeprefix(_BOM)
                self._at_start = False
            self._is_bare = self._is_bare or self._head.startswith(b"{")
            name, colon, text = (b"data", b":", self._head) if self._is_bare else self._head.partition(b":")
            if not colon:
                self._head = self._head[: _LONGEST_NAME + 1]
                return
            self._start_value(name)
            self._trim = not self._is_bare
        if self._trim and text:
            self._trim = False
            text = text.removeprefix(b" ")
        if self._name == b"data" and text:
            assert self._document
            self._document.feed(text)
        elif self._name == b"event":
            self._head = (self._head + text)[:_LONGEST_NAME]

    def _start_value(self, name: bytes) -> None:
        self._name, self._head, self._trim = name, b"", True
        if name == b"data":
            if self._document is None:
                self._document = self._new_document()
            else:
                self._document.feed(b"\n")

    def _end_line(self, events: list[Event]) -> None:
        if self._name is None and not self._head:
            self._end_event(events)
        elif self._name is None and self._head == b"data":
            self._start_value(b"data")
        elif self._name == b"event":
            self._type = self._head
        self._name, self._head, self._trim = None, b"", False

    def _end_event(self, events: list[Event]) -> None:
        if self._document is not None:
            self._budget.spend(Cost.EVENT)
            events.append(Event(self._type.decode(errors="replace"), self._document.close()))
        self._document, self._type, self._is_bare = None, b"", False
