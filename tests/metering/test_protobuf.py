import struct
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf import descriptor_pool
from google.protobuf import json_format
from google.protobuf import message_factory
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from metering.budget import Budget
from metering.budget import TooMuchWork
from metering.protobuf import VALUES
from metering.protobuf import Field
from metering.protobuf import MessageDecoder
from metering.protobuf import ProtobufError
from metering.protobuf import Schema
from tests.protobuf import message
from tests.protobuf import packed
from tests.protobuf import value
from tests.protobuf import varint

NODE = {
    1: Field("count", "int"),
    2: Field("name", "string"),
    3: Field("child", "Node"),
    4: Field("children", "Node", True),
    5: Field("ids", "int", True),
    6: Field("colour", "Colour"),
    7: Field("flag", "bool"),
    8: Field("ratio", "double"),
    9: Field("names", "string", True),
    10: Field("there", "seen"),
    11: Field("data", "bytes"),
    12: Field("any", "Value"),
    13: Field("ratios", "double", True),
}
SCHEMA = Schema({"Node": NODE, **VALUES}, {"Colour": {0: "NONE", 1: "RED"}})


def decoded(data: bytes, size: int = 0, wanted: str = "") -> dict[str, object]:
    decoder = MessageDecoder(SCHEMA, "Node", Budget(), frozenset(wanted.split()))
    for start in range(0, len(data), size or len(data) or 1):
        decoder.feed(data[start : start + (size or len(data))])
    return decoder.close()


def test_unknown_fields_are_skipped() -> None:
    """Of each wire type: varint, eight bytes, delimited, four bytes."""
    unknown = b"\xa0\x06\x05" + b"\xa1\x06" + b"\x0b" * 8 + b"\xa2\x06\x02\x08\x09" + b"\xa5\x06" + b"\x0b" * 4
    for size in (0, 1):
        assert decoded(unknown + b"\x08\x07", size) == {"count": 7}


CASES: dict[str, tuple[dict[int, Any], dict[str, object]]] = {
    "nothing": ({}, {}),
    "int": ({1: 300}, {"count": 300}),
    "negative int": ({1: -1}, {"count": -1}),
    "last int wins": ({1: [1, 2]}, {"count": 2}),
    "string": ({2: "café"}, {"name": "café"}),
    "empty string": ({2: ""}, {"name": ""}),
    "message": ({3: {1: 5}}, {"child": {"count": 5}}),
    "empty message": ({3: {}}, {"child": {}}),
    "merged message": ({3: [{1: 5}, {2: "a"}]}, {"child": {"count": 5, "name": "a"}}),
    "messages": ({4: [{1: 1}, {}]}, {"children": [{"count": 1}, {}]}),
    "packed": ({5: packed([1, 300, 2])}, {"ids": [1, 300, 2]}),
    "not packed": ({5: [1, 300]}, {"ids": [1, 300]}),
    "both": ({5: [1, packed([2])]}, {"ids": [1, 2]}),
    "packed doubles": ({13: struct.pack("<2d", 1.5, -2.0)}, {"ratios": [1.5, -2.0]}),
    "enum": ({6: 1}, {"colour": "RED"}),
    "unknown enum": ({6: 17}, {"colour": "17"}),
    "bool": ({7: 1}, {"flag": True}),
    "false": ({7: 0}, {"flag": False}),
    "double": ({8: 0.5}, {"ratio": 0.5}),
    "strings": ({9: ["a", "b"]}, {"names": ["a", "b"]}),
    "seen": ({10: b"x" * 5000}, {"there": True}),
    "seen number": ({10: 7}, {"there": True}),
    "other fields": ({99: "skipped", 98: 5, 97: 0.5, 1: 1}, {"count": 1}),
    "other wire type": ({1: "text", 2: 5, 3: 7, 8: 1}, {}),
    "long string": ({2: "a" * 5000}, {"name": "a" * 1024}),
}


@pytest.mark.parametrize("size", [0, 1, 2, 7])
def test_message(size: int) -> None:
    found = {name: decoded(message(fields), size) for name, (fields, _) in CASES.items()}
    assert found == {name: expected for name, (_, expected) in CASES.items()}


@pytest.mark.parametrize("size", [0, 1, 5])
def test_json_values(size: int) -> None:
    told = {"a": {"b": [1, "x", True, None, {"c": 2.5}]}, "skipped": {"a": 1}}
    data = message({12: value(told)})
    assert decoded(data, size, "a b c") == {"any": {"a": {"b": [1.0, "x", True, None, {"c": 2.5}]}, "skipped": None}}


def test_bytes_are_given_out_in_pieces() -> None:
    decoder = MessageDecoder(SCHEMA, "Node", Budget())
    data = message({11: b"one two", 1: 1})
    decoder.feed(data[:5])
    assert decoder.payload == [b"one"]
    decoder.feed(data[5:])
    assert decoder.payload == [b"one", b" two"]
    assert decoder.close() == {"data": True, "count": 1}


@pytest.mark.parametrize("size", [0, 1])
def test_what_is_no_message(size: int) -> None:
    for data in (
        b"\x00\x00",  # no field has the number 0
        b"\x0b",  # a group begins
        b"\x0f\x01",  # no such wire type
        b"\xff" * 11,
        b"\x08",  # cut off
        b"\x12\x05ab",
        b"\x1a\x05\x08\x01",
        b"\x1a\x02\x12\x05abcde",  # longer than the message around it
        b"\x1a\x01\x08\x01",
        varint(1 << 33) + b"\x01",
    ):
        with pytest.raises(ProtobufError):
            pytest.fail(f"{data!r} is {decoded(data, size)}")


def test_what_is_known_of_a_cut_message() -> None:
    data = message({1: 5, 3: {1: 7, 2: "name"}})
    decoder = MessageDecoder(SCHEMA, "Node", Budget())
    decoder.feed(data[:-2])
    assert decoder.cut() == {"count": 5, "child": {"count": 7}}


def test_depth_has_a_limit() -> None:
    data = b""
    for _ in range(500):
        data = message({3: data})
    node: Any = decoded(data)
    depth = 0
    while node := node.get("child"):
        depth += 1
    assert depth == 62


def test_work_has_a_limit() -> None:
    with pytest.raises(TooMuchWork):
        decoded(message({5: packed([1]) * 1_000_000}))
    with pytest.raises(TooMuchWork):
        decoded(b"\x1a\x00" * 1_000_000)


def test_large_values_cost_nothing() -> None:
    assert decoded(message({99: b"x" * 50_000_000, 1: 1}), 65536) == {"count": 1}


# Any bytes, and any message, by Google's own library


@given(st.binary(max_size=200), st.integers(1, 7))
def test_any_bytes(data: bytes, size: int) -> None:
    """The result does not depend on how the bytes are cut, and nothing but ProtobufError is raised."""

    def result(size: int) -> object:
        try:
            return decoded(data, size, "a")
        except ProtobufError:
            return ProtobufError

    # As texts, as NaN is not equal to itself.
    assert repr(result(size)) == repr(result(0))


def node_class() -> Any:
    """The message `Node` of SCHEMA in Google's library."""
    kinds = descriptor_pb2.FieldDescriptorProto
    types = {"int": kinds.TYPE_INT64, "string": kinds.TYPE_STRING, "bool": kinds.TYPE_BOOL, "double": kinds.TYPE_DOUBLE}
    file = descriptor_pb2.FileDescriptorProto(name="node.proto", package="test", syntax="proto3")
    node = file.message_type.add(name="Node")
    for number, field in NODE.items():
        if field.type in types or field.type == "Node":
            label = kinds.LABEL_REPEATED if field.is_list else kinds.LABEL_OPTIONAL
            told = node.field.add(name=field.name, number=number, label=label)
            told.type = types.get(field.type, kinds.TYPE_MESSAGE)
            if field.type == "Node":
                told.type_name = ".test.Node"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("test.Node"))


NODE_CLASS = node_class()
SCALARS = {
    "count": st.integers(-(2**63), 2**63 - 1).filter(bool),
    "name": st.text(min_size=1, max_size=20),
    "ids": st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4),
    "flag": st.just(True),
    "ratio": st.floats(allow_nan=False).filter(bool),
    "names": st.lists(st.text(max_size=5), min_size=1, max_size=3),
    "ratios": st.lists(st.floats(allow_nan=False), min_size=1, max_size=3),
}
NODES = st.recursive(
    st.fixed_dictionaries({}, optional=SCALARS),
    lambda nodes: st.fixed_dictionaries(
        {}, optional={**SCALARS, "child": nodes, "children": st.lists(nodes, min_size=1, max_size=3)}
    ),
    max_leaves=6,
)


@given(NODES, st.integers(1, 50))
def test_what_googles_library_writes(node: dict[str, Any], size: int) -> None:
    assert decoded(NODE_CLASS(**node).SerializeToString(), size) == node


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.sampled_from("abc"), values, max_size=3),
    max_leaves=8,
)


@given(JSON, st.integers(1, 50))
def test_any_json_value(told: object, size: int) -> None:
    written = json_format.ParseDict(told, struct_pb2.Value())
    data = message({12: written.SerializeToString()})
    assert decoded(data, size, "a b c") == {"any": told}
