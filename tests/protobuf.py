"""Writes messages in the wire format of protocol buffers, as gRPC sends them."""

import gzip
import struct
import zlib
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    # Without the time, as tests are named after the bytes.
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "deflate": zlib.compress,
}


def message(fields: Mapping[int, Any]) -> bytes:
    """A message: field number -> value. A value is an integer, a text, a float, bytes (also of a packed list), a
    mapping for a message, or a list of these for a repeated field."""
    return b"".join(
        _field(number, one)
        for number, value in fields.items()
        for one in (value if isinstance(value, list) else [value])
    )


def _field(number: int, value: Any) -> bytes:
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = message(value) if isinstance(value, Mapping) else value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def packed(numbers: list[int]) -> bytes:
    return b"".join(map(varint, numbers))


def framed(data: bytes, coding: str = "") -> bytes:
    """A message as it stands in the body of a gRPC request or answer."""
    data = CODINGS[coding](data) if coding else data
    return bytes([bool(coding)]) + len(data).to_bytes(4) + data


def value(json: object) -> dict[int, Any]:
    """google.protobuf.Value for a JSON value."""
    if isinstance(json, dict):
        return {5: {1: [{1: name, 2: value(one)} for name, one in json.items()]}}
    if isinstance(json, list):
        return {6: {1: [value(one) for one in json]}}
    if json is None:
        return {1: 0}
    if isinstance(json, bool):
        return {4: int(json)}
    return {3: json} if isinstance(json, str) else {2: float(json)}  # type: ignore[arg-type]
