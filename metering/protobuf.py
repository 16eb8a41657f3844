"""Protocol buffers, read as the bytes arrive and kept only where a table asks for it.

`MessageDecoder` turns one message into what its JSON form would be: `{"usageMetadata": {"promptTokenCount": 10}}`. A
`Schema` lists the fields that are read; all others are skipped without being held, so a message may have any size.
`feed(bytes)` takes the message in pieces of any size, and `close()` returns it. For any bytes at all, the only
exceptions are `ProtobufError`, if they are no such message, and `TooMuchWork`, if reading takes more than the budget.

The wire format: https://protobuf.dev/programming-guides/encoding. Groups, which proto3 does not have, are an error.
"""

import struct
from collections.abc import Mapping
from typing import NamedTuple

from metering.budget import Budget
from metering.budget import Cost

LONGEST_TEXT = 1024
"""The most bytes of a string that are kept. No name and no id is longer."""
DEEPEST = 64
"""Messages that are nested deeper are skipped."""
LONGEST_VARINT = 10
"""The most bytes of a variable-length integer of 64 bits."""


class ProtobufError(ValueError):
    """The bytes are not a message in the wire format, or end within one."""


class Field(NamedTuple):
    """A field that is read."""

    name: str
    """Its name in JSON, such as `tokenCount`."""
    type: str
    """`int`, `bool`, `double` or `string`; `seen` for True whatever the value is; `bytes` for bytes that go to
    `MessageDecoder.payload`; otherwise the name of an enum or a message of the schema."""
    is_list: bool = False


class Schema(NamedTuple):
    """The messages and enums that are read, by their names."""

    messages: Mapping[str, Mapping[int, Field]]
    """Message -> field number -> field."""
    enums: Mapping[str, Mapping[int, str]] = {}
    """Enum -> number -> name."""


VALUES: dict[str, dict[int, Field]] = {
    "Struct": {1: Field("fields", "Entry", True)},
    "Entry": {1: Field("key", "string"), 2: Field("value", "Value")},
    "ListValue": {1: Field("values", "Value", True)},
    "Value": {
        2: Field("value", "double"),
        3: Field("value", "string"),
        4: Field("value", "bool"),
        5: Field("value", "Struct"),
        6: Field("value", "ListValue"),
    },
}
"""The messages that hold any JSON value (google/protobuf/struct.proto). `MessageDecoder` returns the value itself."""

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
"""The wire types: how the value of a field is written."""
FIXED_SIZES = {FIXED64: 8, FIXED32: 4}
"""Wire type -> the size of its values in bytes."""


class _Open:
    """A message that has begun and not ended, or a packed list of numbers."""

    __slots__ = ("end", "field", "message", "node")

    def __init__(self, field: Field, message: str | None, node: dict[str, object], end: int | None) -> None:
        self.field = field
        """The field whose value it is."""
        self.message = message
        """Its name in the schema; None for a packed list, whose values go into the message around it."""
        self.node = node
        self.end = end
        """Where it ends, in bytes from the beginning of the outermost message, whose own end is not known (None)."""


class MessageDecoder:
    """Decodes one message of a schema."""

    def __init__(self, schema: Schema, message: str, budget: Budget, wanted: frozenset[str] = frozenset()) -> None:
        """`wanted` has the names of the members that are kept of JSON values (`VALUES`)."""
        self.payload: list[bytes] = []
        """The contents of fields of the type `bytes`, in pieces. The caller may take them out at any time."""
        self._schema = schema
        self._budget = budget
        self._wanted = wanted
        self._open = [_Open(Field("", message), message, {}, None)]
        self._rest = b""
        """Bytes that cannot be understood without the next ones; fewer than 20."""
        self._at = 0
        """How many bytes have been used."""
        self._left = 0
        """How many bytes are to come of the string, or of what is skipped."""
        self._field: Field | None = None
        """The field of that string; None if it is skipped."""
        self._text = bytearray()

    def feed(self, data: bytes) -> None:
        """Read the next bytes. Raises ProtobufError, TooMuchWork."""
        data = self._rest + data
        self._rest = b""
        pos = 0
        while True:
            pos = self._go_on(data, pos)
            while not self._left and self._at == self._open[-1].end:
                self._close()
            if pos == len(data):
                return
            self._budget.spend(Cost.FIELD)
            after = self._begin(data, pos) if self._open[-1].message else self._packed(data, pos)
            if after is None:
                self._rest = data[pos:]
                return
            self._at += after - pos
            pos = after

    def close(self) -> dict[str, object]:
        """The message. Raises ProtobufError if it is not complete."""
        if self._rest or self._left or len(self._open) > 1:
            raise ProtobufError("a message is cut off")
        return self._open[0].node

    def cut(self) -> dict[str, object]:
        """What is known of a message that is not complete."""
        while len(self._open) > 1:
            self._close()
        return self._open[0].node

    def _begin(self, data: bytes, pos: int) -> int | None:
        """Read the tag of a field, and its value if that is a number. Returns where the next byte is; None if more
        bytes are needed."""
        tag, after = _varint(data, pos)
        if after is None:
            return None
        number, wire = tag >> 3, tag & 7
        if not number or number >= 1 << 29:
            raise ProtobufError("a field has an invalid number")
        field = self._schema.messages[self._open[-1].message or ""].get(number)
        if wire != DELIMITED:
            return self._number(field, wire, data, after, pos)
        length, after = _varint(data, after)
        if after is None:
            return None
        at = self._at + after - pos
        self._check_end(at + length)
        self._begin_value(field, at, length)
        return after

    def _packed(self, data: bytes, pos: int) -> int | None:
        """The same for the next number of a packed list."""
        field = self._open[-1].field
        return self._number(field, FIXED64 if field.type == "double" else VARINT, data, pos, pos)

    def _number(self, field: Field | None, wire: int, data: bytes, pos: int, start: int) -> int | None:
        """Read the number at `pos`, whose field begins at `start`."""
        value, after = 0, None
        if wire == VARINT:
            value, after = _varint(data, pos)
            if after is None:
                return None
        elif wire in FIXED_SIZES:
            after = pos + FIXED_SIZES[wire]
            if after > len(data):
                return None
        else:
            raise ProtobufError("a field has an invalid wire type")
        self._check_end(self._at + after - start)
        if field and field.type == "seen":
            self._add(field, True)
        elif field and field.type == "double" and wire == FIXED64:
            self._add(field, struct.unpack_from("<d", data, pos)[0])
        elif field and wire == VARINT and self._is_varint(field):
            self._add(field, self._named(field, value))
        return after

    def _is_varint(self, field: Field) -> bool:
        return field.type in ("int", "bool") or field.type in self._schema.enums

    def _named(self, field: Field, value: int) -> object:
        """The value of a varint. Enums are named; an unknown number of an enum is a text, such as `17`."""
        if field.type == "bool":
            return value != 0
        value = value - (1 << 64) if value >= 1 << 63 else value
        return value if field.type == "int" else self._schema.enums[field.type].get(value, str(value))

    def _begin_value(self, field: Field | None, at: int, length: int) -> None:
        """Begin a value of a known length: a message, a packed list, a string, or something to be skipped."""
        around = self._open[-1]
        if around.message == "Entry" and field and field.name == "value" and around.node.get("key") not in self._wanted:
            field = None
        if field and field.type in self._schema.messages and len(self._open) < DEEPEST:
            there = None if field.is_list else around.node.get(field.name)
            node = there if isinstance(there, dict) and field.type not in VALUES else {}
            self._open.append(_Open(field, field.type, node, at + length))
        elif field and field.is_list and (field.type == "double" or self._is_varint(field)):
            self._open.append(_Open(field, None, around.node, at + length))
        else:
            is_kept = field and field.type in ("string", "bytes", "seen")
            self._field, self._left = field if is_kept else None, length
            self._text.clear()
            if self._field and not length:
                self._end_text()

    def _go_on(self, data: bytes, pos: int) -> int:
        """Read on in the string, or in what is skipped. Returns where the next byte is."""
        if not self._left:
            return pos
        end = min(len(data), pos + self._left)
        if self._field and self._field.type == "string":
            self._text += data[pos : min(end, pos + LONGEST_TEXT - len(self._text))]
        elif self._field and self._field.type == "bytes":
            self.payload.append(data[pos:end])
        self._left -= end - pos
        self._at += end - pos
        if self._field and not self._left:
            self._end_text()
        return end

    def _end_text(self) -> None:
        assert self._field
        is_text = self._field.type == "string"
        self._add(self._field, self._text.decode("utf-8", "replace") if is_text else True)
        self._field = None

    def _check_end(self, end: int) -> None:
        limit = self._open[-1].end
        if limit is not None and end > limit:
            raise ProtobufError("a value is longer than its message")

    def _add(self, field: Field, value: object) -> None:
        node = self._open[-1].node
        if field.is_list:
            values = node.setdefault(field.name, [])
            assert isinstance(values, list)
            values.append(value)
        else:
            node[field.name] = value

    def _close(self) -> None:
        ended = self._open.pop()
        if ended.message:
            self._add(ended.field, _plain(ended.message, ended.node))


def _plain(message: str, node: dict[str, object]) -> object:
    """The JSON value that one of the messages in `VALUES` stands for; any other message as it is."""
    if message == "Value":
        return node.get("value")
    if message == "ListValue":
        return node.get("values", [])
    if message == "Struct":
        entries = node.get("fields", [])
        assert isinstance(entries, list)
        return {entry.get("key", ""): entry.get("value") for entry in entries}
    return node


def _varint(data: bytes, pos: int) -> tuple[int, int | None]:
    """The variable-length integer at `pos`, and where the next byte is; None there if more bytes are needed. Raises
    ProtobufError."""
    value = 0
    for shift, byte in enumerate(data[pos : pos + LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value & (1 << 64) - 1, pos + shift + 1
    if len(data) - pos >= LONGEST_VARINT:
        raise ProtobufError("an integer is too long")
    return 0, None
