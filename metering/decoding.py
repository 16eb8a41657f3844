"""Content codings, undone as the bytes arrive.

Strategy: a decoder has `decode(bytes) -> bytes`, which returns all that can be told by now, and `flush()`
for the end. Both raise `DecodingError` for what is not in their coding; after that a decoder is of no use.
"""

import zlib
from collections.abc import Callable
from typing import Protocol

import brotli
import zstandard


class DecodingError(ValueError):
    """The bytes are not in the coding that the header named, or the coding is not known."""


class Decoder(Protocol):
    def decode(self, data: bytes) -> bytes: ...
    def flush(self) -> bytes: ...


class IdentityDecoder:
    def decode(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


class GzipDecoder:
    """RFC 1952; several members may follow each other."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def decode(self, data: bytes) -> bytes:
        out = b""
        try:
            while data:
                out += self._member.decompress(data)
                data = self._member.unused_data
                if self._member.eof:
                    self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        except zlib.error as e:
            raise DecodingError(str(e)) from e
        return out

    def flush(self) -> bytes:
        return self._member.flush()


class DeflateDecoder:
    """RFC 9110 8.4.1.2: zlib's format; some servers send it without the zlib header."""

    def __init__(self) -> None:
        self._first = True
        self._stream = zlib.decompressobj()

    def decode(self, data: bytes) -> bytes:
        first, self._first = self._first and bool(data), self._first and not data
        try:
            return self._stream.decompress(data)
        except zlib.error as e:
            if not first:
                raise DecodingError(str(e)) from e
            self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
            return self.decode(data)

    def flush(self) -> bytes:
        return self._stream.flush()


class BrotliDecoder:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    def decode(self, data: bytes) -> bytes:
        try:
            return bytes(self._stream.process(data)) if data else b""
        except brotli.error as e:
            raise DecodingError(str(e)) from e

    def flush(self) -> bytes:
        return b""


class ZstandardDecoder:
    """RFC 8878; several frames may follow each other."""

    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor().decompressobj()

    def decode(self, data: bytes) -> bytes:
        out = b""
        try:
            while data:
                out += self._frame.decompress(data)
                data = self._frame.unused_data
                if self._frame.eof:
                    self._frame = zstandard.ZstdDecompressor().decompressobj()
        except zstandard.ZstdError as e:
            raise DecodingError(str(e)) from e
        return out

    def flush(self) -> bytes:
        return b""


class MultiDecoder:
    """Codings that were applied one after the other, undone in reverse."""

    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders

    def decode(self, data: bytes) -> bytes:
        for decoder in self._decoders:
            data = decoder.decode(data)
        return data

    def flush(self) -> bytes:
        data = b""
        for decoder in self._decoders:
            data = decoder.decode(data) + decoder.flush()
        return data


CODINGS: dict[str, Callable[[], Decoder]] = {
    "identity": IdentityDecoder,
    "gzip": GzipDecoder,
    "x-gzip": GzipDecoder,
    "deflate": DeflateDecoder,
    "br": BrotliDecoder,
    "zstd": ZstandardDecoder,
}


def decoder_for(content_encoding: str) -> Decoder:
    """The decoder for a Content-Encoding header. Raises DecodingError for a coding that is not known."""
    names = [name.strip().lower() for name in content_encoding.split(",") if name.strip()]
    try:
        decoders = [CODINGS[name]() for name in reversed(names)]
    except KeyError as e:
        raise DecodingError(f"unknown coding {e.args[0]!r}") from None
    return decoders[0] if len(decoders) == 1 else MultiDecoder(decoders)
