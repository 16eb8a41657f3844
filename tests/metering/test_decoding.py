import gzip
import zlib
from collections.abc import Callable
from contextlib import suppress

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from metering.decoding import LARGEST
from metering.decoding import DecodingError
from metering.decoding import decoder_for

TEXT = b"data: " + b"Hello, World! " * 200

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
    "": bytes,
}


def decode(coding: str, pieces: list[bytes]) -> bytes:
    decoder = decoder_for(coding)
    return b"".join(part for piece in pieces for part in decoder.decode(piece))


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_every_coding_in_pieces(coding: str, size: int) -> None:
    data = CODINGS[coding](TEXT)
    assert decode(coding, [data[n : n + size] for n in range(0, len(data), size)]) == TEXT


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


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_few_bytes_that_stand_for_many(coding: str) -> None:
    packed = CODINGS[coding](b"\0" * 50 * LARGEST)
    sizes = [len(piece) for piece in decoder_for(coding).decode(packed)]
    assert sum(sizes) == 50 * LARGEST
    assert max(sizes) <= LARGEST


def test_unknown_coding() -> None:
    with pytest.raises(DecodingError, match="aes128gcm"):
        decoder_for("gzip, aes128gcm")
