from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.sse import Event
from metering.sse import EventDecoder


def decode(*pieces: bytes) -> list[Event]:
    decoder = EventDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.flush()


def test_streams() -> None:
    table: list[tuple[bytes, list[tuple[str, bytes]]]] = [
        (b"data: 1\n\n", [("", b"1")]),
        (b"data:1\n\n", [("", b"1")]),
        (b"data:  1\n\n", [("", b" 1")]),
        (b"event: ping\ndata: 1\n\ndata: 2\n\n", [("ping", b"1"), ("", b"2")]),
        (b"data: a\ndata: b\n\n", [("", b"a\nb")]),
        (b"data\n\n", [("", b"")]),
        (b": a comment\nid: 7\nretry: 10\ndata: x\n\n", [("", b"x")]),
        (b"\xef\xbb\xbfdata: x\n\n", [("", b"x")]),
        (b"event: nothing\n\n", []),
        (b"\n\n\n", []),
        (b"data: [DONE]", [("", b"[DONE]")]),
        (b"data: a:b: c\n\n", [("", b"a:b: c")]),
        (b"x" * 200 + b"data: 1\n\n", []),
        (b'data: 1\n\n{\n  "error": {}\n}\n', [("", b"1"), ("", b'{\n  "error": {}\n}')]),
        (b'{"a": 1}\n\ndata: 2\n\n', [("", b'{"a": 1}'), ("", b"2")]),
    ]
    assert [(stream, decode(stream)) for stream, _ in table] == table


@pytest.mark.parametrize("newline", [b"\n", b"\r", b"\r\n"])
def test_every_newline_cut_at_every_byte(newline: bytes) -> None:
    stream = newline.join([b"\xef\xbb\xbfevent: e", b"data: one", b"data: two", b"", b": c", b"data:three", b"", b""])
    assert decode(*(bytes([byte]) for byte in stream)) == [("e", b"one\ntwo"), ("", b"three")]


@pytest.mark.parametrize("newline", [b"\n", b"\r", b"\r\n"])
def test_an_event_does_not_wait_for_the_next(newline: bytes) -> None:
    assert EventDecoder().feed(b"data: 1" + 2 * newline) == [("", b"1")]


_lines = st.lists(
    st.sampled_from([b"data: x", b"data:", b"event: e", b": c", b"", b"data: y:z", b"junk", b"\xff", b"{", b"  z"])
)


@given(lines=_lines, newline=st.sampled_from([b"\n", b"\r", b"\r\n"]), cuts=st.lists(st.integers(0, 200)))
def test_cuts_change_nothing(lines: list[bytes], newline: bytes, cuts: list[int]) -> None:
    stream = newline.join(lines)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    assert decode(*(stream[a:b] for a, b in pairwise(edges))) == decode(stream)


@given(st.lists(st.binary()))
def test_any_bytes(pieces: list[bytes]) -> None:
    assert decode(*pieces) == decode(b"".join(pieces))


def test_a_document_gets_data_as_it_arrives() -> None:
    fed: list[bytes] = []

    class Document:
        def feed(self, data: bytes) -> None:
            fed.append(data)

        def close(self) -> object:
            return len(fed)

    decoder = EventDecoder(Document)
    assert decoder.feed(b"data: ab") == []
    assert fed == [b"ab"]
    assert decoder.feed(b"cd\n\n") == [("", 2)]
