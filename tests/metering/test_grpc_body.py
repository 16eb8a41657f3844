import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.budget import Budget
from metering.budget import TooMuchWork
from metering.decoding import DecodingError
from metering.grpc_body import GrpcBody
from metering.json_array import Cut
from metering.protobuf import Field
from metering.protobuf import ProtobufError
from metering.protobuf import Schema
from tests.protobuf import framed
from tests.protobuf import message

SCHEMA = Schema(
    {"Answer": {1: Field("tokens", "int"), 2: Field("name", "string")}, "Content": {2: Field("b", "bytes")}}
)
WANTED = frozenset({"usage", "input_tokens"})


def read(data: bytes, size: int = 0, coding: str = "", of: str = "Answer") -> list[object]:
    body = GrpcBody(SCHEMA, of, coding, Budget(), WANTED)
    size = size or len(data) or 1
    values = [value for start in range(0, len(data), size) for value in body.feed(data[start : start + size])]
    return values + body.flush()


FRAMES = [message({1: 5, 2: "one"}), b"", message({1: 300})]
VALUES = [{"tokens": 5, "name": "one"}, {}, {"tokens": 300}]


@pytest.mark.parametrize("coding", ["", "gzip", "deflate"])
@given(size=st.integers(1, 80))
def test_messages_cut_anywhere(coding: str, size: int) -> None:
    assert read(b"".join(framed(one, coding) for one in FRAMES), size, coding) == VALUES


def test_a_message_that_is_cut_is_marked() -> None:
    data = framed(FRAMES[0])
    assert [type(value) for value in read(data + data[:-1])] == [dict, Cut]


def test_each_message_says_whether_it_is_compressed() -> None:
    data = framed(FRAMES[0]) + framed(FRAMES[2], "gzip") + framed(FRAMES[0])
    assert read(data, coding="gzip") == [VALUES[0], VALUES[2], VALUES[0]]


def test_nothing() -> None:
    assert read(b"") == []
    assert read(b"\0\0") == []


def test_messages_come_as_soon_as_they_are_complete() -> None:
    body = GrpcBody(SCHEMA, "Answer", "", Budget())
    data = framed(FRAMES[0])
    assert body.feed(data[:-1]) == []
    assert body.feed(data[-1:] + data[:3]) == [VALUES[0]]


def test_what_a_cut_message_tells() -> None:
    assert read(framed(FRAMES[0])[:-2]) == [{"tokens": 5}]


@pytest.mark.parametrize(
    ("data", "coding", "error"),
    [
        (b"\x02\0\0\0\0", "", ProtobufError),
        (b"\x80\0\0\0\x0f", "gzip", ProtobufError),  # the trailers of gRPC-Web
        (framed(b"\x0b"), "", ProtobufError),
        (framed(b"\x08"), "", ProtobufError),
        (framed(FRAMES[0], "gzip"), "", DecodingError),
        (framed(FRAMES[0], "gzip"), "identity", DecodingError),
        (framed(FRAMES[0], "gzip"), "snappy", DecodingError),
        (b"\x01\0\0\0\x04abcd", "gzip", DecodingError),
    ],
)
def test_what_cannot_be_read(data: bytes, coding: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        read(data, coding=coding)


@given(st.binary(max_size=100), st.integers(1, 9), st.sampled_from(["", "gzip"]))
def test_any_bytes(data: bytes, size: int, coding: str) -> None:
    with suppress(ProtobufError, DecodingError):
        read(data, size, coding)


def test_a_message_that_unpacks_to_very_much() -> None:
    """32 MB, more than twice as much as the budget allows."""
    data = framed(b"\x1a\x80\x80\x80\x10" + b"\0" * (1 << 25), "gzip")
    with pytest.raises(TooMuchWork):
        read(data, 65536, "gzip")


def test_many_tiny_messages() -> None:
    with pytest.raises(TooMuchWork):
        read(b"\0" * 5 * 100_000)


# Messages that carry pieces of another body

USAGE = {"usage": {"input_tokens": 7}}


def pieces(text: str, size: int) -> bytes:
    content = text.encode()
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    return b"".join(framed(message({1: "application/json", 2: part})) for part in parts)


@given(size=st.integers(1, 80))
def test_json(size: int) -> None:
    assert read(pieces(json.dumps(USAGE), size), of="Content") == [USAGE]


@given(size=st.integers(1, 80))
def test_events(size: int) -> None:
    text = "event: a\ndata: " + json.dumps(USAGE) + "\n\ndata: [DONE]\n\n"
    assert read(pieces(text, size), of="Content") == [USAGE, b"[DONE]"]


def test_events_after_blank_lines() -> None:
    assert read(pieces("\n\n", 9) + pieces("data: {}\n\n", 99), of="Content") == [{}]


def test_a_cut_body() -> None:
    assert read(pieces('{"usage": {"input_tokens": 7}, "text": "ab', 99), of="Content") == [USAGE]
    assert read(pieces('data: {"usage": {"input_tokens": 7}}\n', 99), of="Content") == [USAGE]
