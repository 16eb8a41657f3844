"""Incremental decoders for content codings: gzip, deflate, br, zstd.

`decode(bytes)` yields all output that the input so far allows, in pieces of at most `LARGEST` bytes, as a few bytes may
expand to very many. The work is charged to a budget. It raises `DecodingError` for invalid data, and `TooMuchWork`;
after that the decoder must not be used.
"""

import zlib
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Protocol

import brotlicffi
import zstandard

from metering.budget import Budget
from metering.budget import Cost

LARGEST = 64 * 1024
"""The most bytes of a decoded piece."""
SLICE = 4096
"""The most bytes of input for one call of a library: zlib copies what it has not used."""
ZSTANDARD_SLICE = 256
"""The same for zstandard, whose output per call cannot be limited: 256 bytes hold at most 64 blocks of 128 KB, as the
shortest block has 4 bytes."""
ZSTANDARD_WINDOW = 8 * 1024 * 1024
"""The most bytes of memory that a frame may ask for: the largest window in HTTP (RFC 9659)."""
MOST_CODINGS = 4
"""The most codings of one body. Servers apply one, rarely two."""


class DecodingError(ValueError):
    """The bytes are not valid in the coding that the header names, or the coding is unknown."""


class Decoder(Protocol):
    """What all decoders have. `decode` gives the output for the next bytes of the body, in pieces."""

    def decode(self, data: bytes) -> Iterable[bytes]: ...


class IdentityDecoder:
    """Passes bytes on unchanged, in pieces."""

    def decode(self, data: bytes) -> Iterable[bytes]:
        return _cut(data) if len(data) > LARGEST else (data,)


class ZlibDecoder:
    """Decodes gzip (RFC 1952; a body may have several members) and deflate (RFC 9110, 8.4.1.2; some servers leave out
    the zlib header)."""

    def __init__(self, budget: Budget, *formats: int) -> None:
        """`formats` are values of zlib's `wbits`, which are tried in turn."""
        self._budget = budget
        self._formats = list(formats)
        self._stream = zlib.decompressobj(self._formats[0])
        self._at_start = False
        """Whether a gzip member has ended, so that another one may begin."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), SLICE):
            yield from self._decode(data[start : start + SLICE])

    def _decode(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._at_start:
                # Zero bytes may follow a member: RFC 1952 does not say so, but gzip(1) accepts them.
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
    """Decodes br (RFC 7932)."""

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
    """Decodes zstd (RFC 8878); a body may have several frames."""

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
    """Decodes two codings that were applied one after the other, the last one first."""

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
    """The decoder for the value of a Content-Encoding header. Raises DecodingError for unknown or too many codings."""
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
    """Decode a complete body. Raises DecodingError and TooMuchWork."""
    decoder = decoder_for(content_encoding, Budget(len(data)))
    return data if isinstance(decoder, IdentityDecoder) else b"".join(decoder.decode(data))


def _cut(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), LARGEST):
        yield data[start : start + LARGEST]


def _spend(budget: Budget, size: int) -> None:
    """Charge the budget for one call of a library that took and returned `size` bytes together."""
    budget.spend(Cost.DECODING)
    budget.spend(Cost.CODED_BYTE, size)
