"""Content codings, undone as the bytes arrive.

Strategy: `decode(bytes)` yields all that can be told by now, in pieces, as a few bytes may stand for very many.
It raises `DecodingError` for what is not in the coding; after that a decoder is of no use.
"""

import zlib
from collections.abc import Callable
from collections.abc import Iterator
from typing import Protocol

import brotli
import zstandard

LARGEST = 1024 * 1024
"""Bytes of a decoded piece, where the library can be told."""
SLICE = 4096
"""Bytes that are decoded at once, where it cannot."""


class DecodingError(ValueError):
    """The bytes are not in the coding that the header named, or the coding is not known."""


class Decoder(Protocol):
    def decode(self, data: bytes) -> Iterator[bytes]: ...


class IdentityDecoder:
    def decode(self, data: bytes) -> Iterator[bytes]:
        yield data


class ZlibDecoder:
    """gzip (RFC 1952), where several members may follow each other, and deflate (RFC 9110, 8.4.1.2), which some
    servers send without the zlib header."""

    def __init__(self, *formats: int) -> None:
        """`formats` are the values of zlib's `wbits` to try."""
        self._formats = list(formats)
        self._stream = zlib.decompressobj(self._formats[0])
        self._at_start = False
        """Whether a member has ended, so that another one may begin."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._at_start:
                # Zeros may follow a member (RFC 1952 leaves it open, gzip(1) takes them).
                data = data.lstrip(b"\0")
                self._at_start = not data
                continue
            try:
                piece = self._stream.decompress(data, LARGEST)
            except zlib.error as e:
                if len(self._formats) == 1:
                    raise DecodingError(str(e)) from e
                self._stream = zlib.decompressobj(self._formats.pop())
                continue
            del self._formats[1:]
            data = self._stream.unconsumed_tail
            if self._stream.eof:
                data, self._at_start = self._stream.unused_data, True
                self._stream = zlib.decompressobj(self._formats[0])
            yield piece


class BrotliDecoder:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    def decode(self, data: bytes) -> Iterator[bytes]:
        try:
            for start in range(0, len(data), SLICE):
                yield self._stream.process(data[start : start + SLICE])
        except brotli.error as e:
            raise DecodingError(str(e)) from e


class ZstandardDecoder:
    """RFC 8878; several frames may follow each other."""

    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor().decompressobj()

    def decode(self, data: bytes) -> Iterator[bytes]:
        try:
            for start in range(0, len(data), SLICE):
                part = data[start : start + SLICE]
                while part:
                    yield self._frame.decompress(part)
                    part = self._frame.unused_data
                    if self._frame.eof:
                        self._frame = zstandard.ZstdDecompressor().decompressobj()
        except zstandard.ZstdError as e:
            raise DecodingError(str(e)) from e


class MultiDecoder:
    """Codings that were applied one after the other, undone in reverse."""

    def __init__(self, first: Decoder, then: Decoder) -> None:
        self._first, self._then = first, then

    def decode(self, data: bytes) -> Iterator[bytes]:
        for piece in self._first.decode(data):
            yield from self._then.decode(piece)


CODINGS: dict[str, Callable[[], Decoder]] = {
    "identity": IdentityDecoder,
    "gzip": lambda: ZlibDecoder(zlib.MAX_WBITS | 16),
    "x-gzip": lambda: ZlibDecoder(zlib.MAX_WBITS | 16),
    "deflate": lambda: ZlibDecoder(zlib.MAX_WBITS, -zlib.MAX_WBITS),
    "br": BrotliDecoder,
    "zstd": ZstandardDecoder,
}


def decoder_for(content_encoding: str) -> Decoder:
    """The decoder for a Content-Encoding header. Raises DecodingError for a coding that is not known."""
    decoder: Decoder | None = None
    for name in content_encoding.lower().split(","):
        if coding := name.strip():
            if coding not in CODINGS:
                raise DecodingError(f"unknown coding {coding!r}")
            decoder = MultiDecoder(CODINGS[coding](), decoder) if decoder else CODINGS[coding]()
    return decoder or IdentityDecoder()
