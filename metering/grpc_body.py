"""The body of a gRPC request or answer: messages, each after its length.

`GrpcBody` has the methods of `JsonBody`: `feed(bytes)` returns the messages that these bytes completed, in their JSON
form, and `flush()` what a cut message still tells. If the messages carry pieces of another body in a field of the type
`bytes` (such as google.api.HttpBody, in RawPredict), the values of that body are returned instead.

The framing, with compression by message: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from functools import partial

from metering.budget import Budget
from metering.budget import Cost
from metering.decoding import Decoder
from metering.decoding import DecodingError
from metering.decoding import decoder_for
from metering.json_array import Cut
from metering.json_array import JsonBody
from metering.json_array import JsonDocument
from metering.protobuf import MessageDecoder
from metering.protobuf import ProtobufError
from metering.protobuf import Schema
from metering.sse import EventDecoder

HEAD = 5
"""The size in bytes of what stands before a message: whether it is compressed, and its length (four bytes,
big-endian)."""


class GrpcBody:
    """Reads the messages of one body, all of which are of one type."""

    def __init__(
        self, schema: Schema, message: str, coding: str, budget: Budget, wanted: frozenset[str] = frozenset()
    ) -> None:
        """`coding` is the value of the header grpc-encoding. `wanted` has the names that are kept of JSON values."""
        self._schema = schema
        self._message = message
        self._coding = coding
        self._budget = budget
        self._wanted = wanted
        self._head = b""
        self._left = 0
        self._decoder: Decoder | None = None
        self._reader: MessageDecoder | None = None
        """What reads the message that has begun; None between messages."""
        carries = any(field.type == "bytes" for field in schema.messages[message].values())
        self._content = _Content(wanted, budget) if carries else None

    def feed(self, data: bytes) -> list[object]:
        """Read the next bytes. Raises ProtobufError, DecodingError, TooMuchWork."""
        values: list[object] = []
        pos = 0
        while pos < len(data):
            if self._reader is None:
                missing = HEAD - len(self._head)
                self._head += data[pos : pos + missing]
                pos += missing
                if len(self._head) < HEAD:
                    break
                self._begin()
            end = min(len(data), pos + self._left)
            values += self._read(data[pos:end])
            self._left -= end - pos
            pos = end
            if not self._left:
                values += self._end()
        return values

    def flush(self) -> list[object]:
        """What is known of a message that the end cut off."""
        values: list[object] = []
        if self._reader and not self._content:
            values.append(Cut(self._reader.cut()))
        self._reader = None
        return values + (self._content.flush() if self._content else [])

    def _begin(self) -> None:
        flag, self._left = self._head[0], int.from_bytes(self._head[1:])
        self._head = b""
        if flag > 1:
            raise ProtobufError("a message has an invalid flag")
        if flag and self._coding in ("", "identity"):
            raise DecodingError("a message is compressed, but no coding is named")
        self._budget.spend(Cost.EVENT)
        self._decoder = decoder_for(self._coding if flag else "", self._budget)
        self._reader = MessageDecoder(self._schema, self._message, self._budget, self._wanted)

    def _read(self, data: bytes) -> list[object]:
        assert self._decoder
        assert self._reader
        values: list[object] = []
        for piece in self._decoder.decode(data) if data else ():
            self._reader.feed(piece)
            if self._content:
                values += self._content.feed(self._reader)
        return values

    def _end(self) -> list[object]:
        assert self._reader
        value, self._reader = self._reader.close(), None
        return [] if self._content else [value]


class _Content:
    """Reads the body that the messages carry in pieces: JSON, or server-sent events."""

    def __init__(self, wanted: frozenset[str], budget: Budget) -> None:
        self._wanted = wanted
        self._budget = budget
        self._parser: JsonBody | EventDecoder | None = None

    def feed(self, message: MessageDecoder) -> list[object]:
        pieces, message.payload = message.payload, []
        return [value for piece in pieces for value in self._parse(piece)]

    def flush(self) -> list[object]:
        if isinstance(self._parser, EventDecoder):
            return [event.data for event in self._parser.flush()]
        return self._parser.flush() if self._parser else []

    def _parse(self, piece: bytes) -> list[object]:
        if not self._parser and not piece.strip():
            return []
        if not self._parser:
            # The messages after the first need not tell the content type.
            is_json = piece.lstrip()[:1] in (b"{", b"[")
            document = partial(JsonDocument, self._wanted, self._budget)
            self._parser = JsonBody(self._wanted, self._budget) if is_json else EventDecoder(document, self._budget)
        if isinstance(self._parser, EventDecoder):
            return [event.data for event in self._parser.feed(piece)]
        return self._parser.feed(piece)
