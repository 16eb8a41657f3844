import base64

import pytest

from addons.translation.transcript.fold import LEAST
from addons.translation.transcript.fold import compact_json
from addons.translation.transcript.fold import data_in_words
from addons.translation.transcript.fold import folded
from addons.translation.transcript.fold import folded_json
from addons.translation.transcript.fold import size_in_words

DATA = base64.b64encode(bytes(48_000)).decode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"mimeType": "image/png", "data": DATA}, {"mimeType": "image/png", "data": "<image/png, 48 kB>"}),
        ({"mime_type": "image/png", "data": DATA}, {"mime_type": "image/png", "data": "<image/png, 48 kB>"}),
        ({"media_type": "audio/wav", "data": DATA}, {"media_type": "audio/wav", "data": "<audio/wav, 48 kB>"}),
        ([{"url": f"data:image/jpeg;base64,{DATA}"}], [{"url": "<image/jpeg, 48 kB>"}]),
        ({"url": f"data:;base64,{DATA}"}, {"url": "<text/plain, 48 kB>"}),
        ({"b64_json": DATA, "n": 1}, {"b64_json": "<base64, 48 kB>", "n": 1}),
        ({"mimeType": "text/plain", "text": "said " * 100}, {"mimeType": "text/plain", "text": "said " * 100}),
        ({"id": "a" * (LEAST - 1), "x": None, "y": 1.5}, {"id": "a" * (LEAST - 1), "x": None, "y": 1.5}),
        ("a" * LEAST, "<base64, 192 bytes>"),
    ],
)
def test_base64_is_folded(value: object, expected: object) -> None:
    assert folded(value) == expected


def test_forms() -> None:
    assert folded_json({"é": [1]}) == '{\n  "é": [\n    1\n  ]\n}'
    assert compact_json({"é": [1]}) == '{"é": [1]}'


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 bytes"), (999, "999 bytes"), (48_000, "48 kB"), (3_150_000, "3.1 MB")]
)
def test_sizes(size: int, words: str) -> None:
    assert size_in_words(size) == words


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_padding_is_not_counted(size: int) -> None:
    encoded = base64.b64encode(bytes(size)).decode()
    assert data_in_words("x/y", encoded) == f"<x/y, {size} bytes>"
