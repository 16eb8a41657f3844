import gzip
import os
import random
import tracemalloc
import zlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from metering.budget import RESERVE
from metering.budget import Budget
from metering.budget import Cost
from metering.budget import TooMuchWork
from metering.decoding import LARGEST
from metering.decoding import DecodingError
from metering.decoding import decode as decode_whole
from metering.decoding import decoder_for

MB = 1024 * 1024
ZEROS = bytes(32 * MB)
WORDS = random.Random(1).randbytes(60_000).hex(" ", 3).encode() * 2
TEXT = b"data: " + b"Hello, World! " * 200

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=1),
    "zstd": zstandard.compress,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
    "": bytes,
}


def decode(coding: str, pieces: list[bytes]) -> bytes:
    decoder = decoder_for(coding, Budget())
    return b"".join(part for piece in pieces for part in decoder.decode(piece))


@pytest.mark.parametrize("coding", CODINGS)
def test_every_coding_in_pieces(coding: str) -> None:
    data = CODINGS[coding](TEXT)
    for size in (1, 7, 1000):
        assert decode(coding, [data[n : n + size] for n in range(0, len(data), size)]) == TEXT, size


def test_members_and_frames_that_follow_each_other() -> None:
    assert decode("gzip", [gzip.compress(b"a") + gzip.compress(b"b")]) == b"ab"
    assert decode("zstd", [zstandard.compress(b"a") + zstandard.compress(b"b")]) == b"ab"


@pytest.mark.parametrize("pieces", [[b"\0\0"], [b"\0", b"\0\0"], [b"\0", gzip.compress(b"b")]])
def test_zeros_after_a_member(pieces: list[bytes]) -> None:
    assert decode("gzip", [gzip.compress(b"a"), *pieces]) in (b"a", b"ab")


def test_deflate_without_its_header() -> None:
    compressor = zlib.compressobj(wbits=-15)
    raw = compressor.compress(TEXT) + compressor.flush()
    assert decode("deflate", [raw[:5], raw[5:]]) == TEXT


def test_what_was_flushed_is_there_at_once() -> None:
    compressor = zlib.compressobj(wbits=31)
    event = compressor.compress(b"data: 1\n\n") + compressor.flush(zlib.Z_SYNC_FLUSH)
    assert decode("gzip", [event]) == b"data: 1\n\n"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@given(data=st.binary(min_size=1))
def test_garbage_raises_nothing_else(coding: str, data: bytes) -> None:
    with suppress(DecodingError):
        decode(coding, [data[:3], data[3:]])


def zstd_of(data: bytes, times: int) -> bytes:
    frame = zstandard.ZstdCompressor().compressobj()
    return b"".join([frame.compress(data) for _ in range(times)]) + frame.flush()


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: gzip.compress(ZEROS, 1),
    "deflate": lambda: zlib.compress(ZEROS, 1),
    "br": lambda: brotli.compress(ZEROS, quality=1),
    "zstd": lambda: zstd_of(bytes(MB), 32),
    "gzip, gzip": lambda: gzip.compress(gzip.compress(ZEROS, 1)),
    "br, gzip": lambda: gzip.compress(brotli.compress(ZEROS, quality=1)),
}
"""Of 32 MB, more than twice as much as the budget allows."""
HOLLOW: dict[str, tuple[str, Callable[[], bytes]]] = {
    "members of a byte": ("gzip", lambda: gzip.compress(b"a") * 100_000),
    "members of nothing": ("gzip", lambda: gzip.compress(b"") * 100_000),
    "a comment without end": (
        "gzip, gzip",
        lambda: gzip.compress(b"\x1f\x8b\x08\x10\0\0\0\0\0\xff" + b"a" * 32 * MB, 1),
    ),
    "members within": ("gzip, gzip", lambda: gzip.compress(gzip.compress(b"") * 1_000_000)),
}
"""What costs much and is little."""


@pytest.mark.parametrize("coding", BOMBS)
def test_a_few_bytes_that_stand_for_many(coding: str) -> None:
    """Decoding ends within the budget, and holds little at any time."""
    packed, size = BOMBS[coding](), 0
    tracemalloc.start()
    pieces = decoder_for(coding, Budget()).decode(packed)
    with suppress(TooMuchWork):
        for piece in pieces:
            assert len(piece) <= LARGEST
            size += len(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < RESERVE / Cost.CODED_BYTE
    assert peak < 16 * MB


@pytest.mark.parametrize("name", HOLLOW)
def test_work_that_yields_nothing(name: str) -> None:
    coding, make = HOLLOW[name]
    with pytest.raises(TooMuchWork):
        deque(decoder_for(coding, Budget()).decode(make()), maxlen=0)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_answers_as_they_are_keep_within_the_budget(coding: str) -> None:
    """Pictures hardly shrink, text by a factor of 4 to 20."""
    for packed, size in (
        (CODINGS[coding](os.urandom(4 * MB)), 4 * MB),
        (CODINGS[coding](WORDS * 10), 10 * len(WORDS)),
    ):
        budget, read = Budget(), 0
        decoder = decoder_for(coding, budget)
        for start in range(0, len(packed), 65536):
            budget.earn(len(packed[start : start + 65536]))
            read += sum(map(len, decoder.decode(packed[start : start + 65536])))
        assert read == size


@pytest.mark.parametrize(
    "frame", [zstandard.compress(b""), b"\x50\x2a\x4d\x18\x04\0\0\0abcd"], ids=["empty", "skippable"]
)
def test_zstandard_frames_without_content(frame: bytes) -> None:
    assert decode("zstd", [frame * 10_000, zstandard.compress(b"x")]) == b"x"


def test_a_zstandard_window_that_is_too_large() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=26)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(DecodingError):
        decode("zstd", [frame.compress(os.urandom(MB)) + frame.flush()])


@pytest.mark.parametrize("coding", CODINGS)
def test_a_body_that_is_here_whole(coding: str) -> None:
    assert decode_whole(coding, CODINGS[coding](TEXT)) == TEXT


def test_codings_beneath_each_other() -> None:
    decoder_for("gzip, br, deflate, zstd", Budget())
    decoder_for(", ".join(["identity"] * 10_000), Budget())
    with pytest.raises(DecodingError, match="too many"):
        decoder_for(", ".join(["gzip"] * 10_000), Budget())


def test_unknown_coding() -> None:
    with pytest.raises(DecodingError, match="aes128gcm"):
        decoder_for("gzip, aes128gcm", Budget())
