import gc
import gzip
from collections.abc import Iterable

import pytest
from mitmproxy import http

from addons.kept import LARGEST
from addons.kept import KeptStream
from addons.kept import Shelf
from addons.kept import kept_body

REQUEST = http.Request.make("POST", "https://host.example/v1/x", b"", ((b"x-api-key", b"0123456789"),))


def answer(body: bytes, **headers: str) -> http.Response:
    response = http.Response.make(200)
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    response.headers = http.Headers(fields)
    response.raw_content = body
    return response


def test_a_stream_passes_on_what_it_gets_and_is_copied() -> None:
    response = answer(b"")
    stream = response.stream = KeptStream(lambda piece: [piece, b"!"] if piece else [])
    assert [stream(b"a"), stream(b"b"), stream(b"")] == [[b"a", b"!"], [b"b", b"!"], []]
    assert kept_body(response, REQUEST) == (b"a!b!", False)


def test_a_stream_of_any_iterable() -> None:
    def pieces(piece: bytes) -> Iterable[bytes]:
        yield piece
        yield b"!"

    stream = KeptStream(pieces)
    assert stream(b"a") == [b"a", b"!"]
    assert bytes(stream.copy) == b"a!"


def test_a_stream_that_was_only_streamed() -> None:
    stream = KeptStream(True)
    assert [stream(b"a"), stream(b"")] == [b"a", []]


def test_the_beginning_of_what_is_large() -> None:
    response = answer(b"")
    stream = response.stream = KeptStream(True)
    for _ in range(20):
        assert len(stream(b"x" * 100_000)) == 100_000
    assert (len(stream.copy), stream.size) == (LARGEST, 2_000_000)
    assert kept_body(response, REQUEST) == (b"x" * LARGEST, True)
    assert kept_body(answer(b"x" * (LARGEST + 1)), REQUEST) == (b"x" * LARGEST, True)
    assert kept_body(answer(b"x" * LARGEST), REQUEST).is_cut is False


@pytest.mark.parametrize(
    ("body", "coding", "kept", "is_cut"),
    [
        (gzip.compress(b"said", mtime=0), "gzip", b"said", False),
        (gzip.compress(b"x" * LARGEST * 2, mtime=0), "gzip", b"x" * LARGEST, True),
        (b"no gzip", "gzip", b"", True),
        (b"said", "unknown", b"", True),
        (b"", "", b"", False),
    ],
)
def test_codings(body: bytes, coding: str, kept: bytes, is_cut: bool) -> None:
    assert kept_body(answer(body, content_encoding=coding), REQUEST) == (kept, is_cut)


def test_credentials_are_hidden() -> None:
    assert kept_body(answer(b"no such key: 0123456789."), REQUEST).content == "no such key: ….".encode()
    coded = answer(gzip.compress(b'{"x": "AIzaSyAbcdefghijklmnop"}'), content_encoding="gzip")
    assert kept_body(coded, REQUEST).content == '{"x": "…"}'.encode()


def test_a_body_that_is_replaced() -> None:
    response = answer(b"one")
    assert kept_body(response, REQUEST) is kept_body(response, REQUEST)
    response.raw_content = b"two"
    assert kept_body(response, REQUEST).content == b"two"


def test_the_oldest_bodies_are_dropped() -> None:
    shelf = Shelf(250)
    messages = [answer(b"x" * 100) for _ in range(4)]
    for message in messages:
        shelf.add(message)
    assert [message.raw_content for message in messages] == [None, None, b"x" * 100, b"x" * 100]
    assert shelf.size == 200
    del message, messages[3]
    gc.collect()
    assert shelf.size == 100
    large = answer(b"x" * 300)
    shelf.add(large)
    assert (large.raw_content, messages[2].raw_content, shelf.size) == (b"x" * 300, None, 300)
    shelf.add(answer(b""))
    assert shelf.size == 300
