"""Content codings, undone as the bytes arrive.

Strategy: `decode(bytes)` yields all that can be told by now, in pieces of at most `LARGEST` bytes, as a few bytes
may stand for very many. What it costs is taken from a budget, codings beneath others included. It raises
`DecodingError` for what is not in the coding, and `TooMuchWork`; after that a decoder is of no use.
"""

import zlib
from collections.abc import Callable
from collections.abc import Iterator
from typing import Protocol

import brotlicffi
import zstandard

from metering.budget import Budget
from metering.budget import Cost

LARGEST = 64 * 1024
"""Bytes of a decoded piece."""
SLICE = 4096
"""Bytes that a library is given at once: zlib copies what it has not used."""
ZSTANDARD_SLICE = 256
"""The same where the library cannot be told to stop: at most 64 blocks of 128 KB, the shortest of 4 bytes."""
ZSTANDARD_WINDOW = 8 * 1024 * 1024
"""Bytes of memory that a frame may ask for. RFC 9659: the largest window in HTTP."""
MOST_CODINGS = 4
"""Servers apply one, rarely two."""


class DecodingError(ValueError):
    """The bytes are not in the coding that the header named, or the coding is not known."""


class Decoder(Protocol):
    def decode(self, data: bytes) -> Iterator[bytes]: ...


class IdentityDecoder:
    def decode(self, data: bytes) -> Iterator[bytes]:
        return _cut(data)


class ZlibDecoder:
    """gzip (RFC 1952), where several members may follow each other, and deflate (RFC 9110, 8.4.1.2), which some
    servers send without the zlib header."""

    def __init__(self, budget: Budget, *formats: int) -> None:
        """`formats` are the values of zlib's `wbits` to try."""
        self._budget = budget
        self._formats = list(formats)
        self._stream = zlib.decompressobj(self._formats[0])
        self._at_start = False
        """Whether a member has ended, so that another one may begin."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), SLICE):
            yield from self._decode(data[start : start + SLICE])

    def _decode(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._at_start:
                # Zeros may follow a member (RFC 1952 leaves it open, gzip(1) takes them).
                data = data.lstrip(b"\0")
                self._at_start = not data
                continue
            given = len(data)
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
                self._budget.spend(Cost.MEMBER)
                data, self._at_start = self._stream.unused_data, True
                self._stream = zlib.decompressobj(self._formats[0])
            _spend(self._budget, given - len(data) + len(piece))
            yield piece


class BrotliDecoder:
    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._stream = brotlicffi.Decompressor()

    def decode(self, data: bytes) -> Iterator[bytes]:
        try:
            while True:
                piece = self._stream.process(data, output_buffer_limit=LARGEST)
                _spend(self._budget, len(data) + len(piece))
                yield piece
                if self._stream.can_accept_more_data():
                    return
                data = b""
        except brotlicffi.error as e:
            raise DecodingError(str(e)) from e


class ZstandardDecoder:
    """RFC 8878; several frames may follow each other."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        library = zstandard.ZstdDecompressor(max_window_size=ZSTANDARD_WINDOW)
        self._frames = library.decompressobj(write_size=LARGEST, read_across_frames=True)

    def decode(self, data: bytes) -> Iterator[bytes]:
        parts: list[bytes] = []
        size = 0
        try:
            for start in range(0, len(data), ZSTANDARD_SLICE):
                parts.append(self._frames.decompress(data[start : start + ZSTANDARD_SLICE]))
                size += len(parts[-1])
                _spend(self._budget, ZSTANDARD_SLICE + len(parts[-1]))
                if size >= LARGEST:
                    yield from _cut(b"".join(parts))
                    parts, size = [], 0
            yield b"".join(parts)
        except zstandard.ZstdError as e:
            raise DecodingError(str(e)) from e


class MultiDecoder:
    """Codings that were applied one after the other, undone in reverse."""

    def __init__(self, first: Decoder, then: Decoder) -> None:
        self._first, self._then = first, then

    def decode(self, data: bytes) -> Iterator[bytes]:
        for piece in self._first.decode(data):
            yield from self._then.decode(piece)


CODINGS: dict[str, Callable[[Budget], Decoder]] = {
    "gzip": lambda budget: ZlibDecoder(budget, zlib.MAX_WBITS | 16),
    "x-gzip": lambda budget: ZlibDecoder(budget, zlib.MAX_WBITS | 16),
    "deflate": lambda budget: ZlibDecoder(budget, zlib.MAX_WBITS, -zlib.MAX_WBITS),
    "br": BrotliDecoder,
    "zstd": ZstandardDecoder,
}


def decoder_for(content_encoding: str, budget: Budget) -> Decoder:
    """The decoder for a Content-Encoding header. Raises DecodingError for a coding that is not known, or too many."""
    names = [name.strip() for name in content_encoding.lower().split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if len(names) > MOST_CODINGS:
        raise DecodingError("too many codings")
    decoder: Decoder | None = None
    for name in names:
        if name not in CODINGS:
            raise DecodingError(f"unknown coding {name!r}")
        coding = CODINGS[name](budget)
        decoder = MultiDecoder(coding, decoder) if decoder else coding
    return decoder or IdentityDecoder()


def decode(content_encoding: str, data: bytes) -> bytes:
    """A body that is here whole. Raises DecodingError and TooMuchWork."""
    decoder = decoder_for(content_encoding, Budget(len(data)))
    return data if isinstance(decoder, IdentityDecoder) else b"".join(decoder.decode(data))


def _cut(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), LARGEST):
        yield data[start : start + LARGEST]


def _spend(budget: Budget, size: int) -> None:
    """For one call of a library that took and gave `size` bytes."""
    budget.spend(Cost.DECODING)
    budget.spend(Cost.CODED_BYTE, size)
