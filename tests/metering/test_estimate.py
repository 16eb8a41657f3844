import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.estimate import Estimate
from metering.estimate import estimate
from metering.estimate import input_of

TEXT = b'{"contents":[{"parts":[{"text":"' + b"word " * 100 + b'"}]}]}'
KINDS = {
    "generateContent": (True, True),
    "streamGenerateContent": (True, True),
    "rawPredict": (True, True),
    "streamRawPredict": (True, True),
    "chat/completions": (True, True),
    "completions": (True, True),
    "responses": (True, True),
    "responses/compact": (True, True),
    "messages": (True, True),
    "interactions.create": (True, True),
    "interactions.createStream": (True, True),
    "embeddings": (True, False),
    "embedContent": (True, False),
    "batchEmbedContents": (True, False),
    "predict": (False, False),
    "predictLongRunning": (False, False),
    "BidiGenerateContent": (False, False),
    "images/generations": (False, False),
    "videos": (False, False),
    "audio/speech": (False, False),
}
"""Operation -> whether the tokens of its input are known before its answer, and whether its answer has tokens."""


def test_operations() -> None:
    found = {}
    for operation in KINDS:
        told = estimate(operation, TEXT)
        found[operation] = (told is not None, told is not None and told.output is None)
    assert found == KINDS
    assert estimate(None, TEXT) is None


def test_a_text_has_a_token_for_three_bytes() -> None:
    assert input_of(b"") == 0
    assert input_of(b"x") == 1
    assert input_of(b"x" * 300) == 100
    assert input_of(TEXT) == 180
    assert input_of("語".encode() * 100) == 100


OUTPUTS = {
    '{"max_tokens": 100}': (100, 1),
    '{"max_completion_tokens": 100, "n": 3}': (300, 3),
    '{"max_tokens": 50, "max_completion_tokens": 100}': (100, 1),
    '{"max_tokens": 10, "n": 2, "best_of": 5}': (50, 5),
    '{"max_output_tokens": 100}': (100, 1),
    '{"generationConfig": {"maxOutputTokens": "100", "candidateCount": 2}}': (200, 2),
    '{"generation_config": {"max_output_tokens": 7, "candidate_count": 3}}': (21, 3),
    '{"generation_config": {"max_output_tokens": 7}, "generationConfig": {"maxOutputTokens": 9}}': (9, 1),
    '{"n": 4}': (None, 4),
    '{"n": 0, "max_tokens": 5}': (5, 1),
    '{"max_tokens": null, "generationConfig": null}': (None, 1),
    '{"max_tokens": -1}': (None, 1),
    '{"max_tokens": "many"}': (None, 1),
    '{"max_tokens": {"max_tokens": 8}}': (None, 1),
    '{"generationConfig": "x", "max_tokens": 8}': (None, 1),
    '{"messages": [{"max_tokens": 8}]}': (None, 1),
    "{": (None, 1),
    "": (None, 1),
}


def test_the_output_is_what_the_request_allows() -> None:
    found = {body: estimate("chat/completions", body.encode()) for body in OUTPUTS}
    assert {body: told and (told.output, told.answers) for body, told in found.items()} == OUTPUTS


def tokens_of(members: dict[str, object]) -> int:
    """The tokens of media with 42,000 characters, in an object with these members."""
    body = json.dumps({"parts": [members]}).replace("@", "A" * 42_000).encode()
    return input_of(body) - input_of(b"x" * (len(body) - 42_000))


MEDIA: dict[str, tuple[dict[str, object], int]] = {
    "Google": ({"inlineData": {"mimeType": "image/png", "data": "@"}}, 1600),
    "Google's SDK": ({"inlineData": {"data": "@", "mime_type": "image/jpeg"}}, 1600),
    "Google's sound": ({"inlineData": {"mimeType": "audio/mp3", "data": "@"}}, 284),
    "Google's video": ({"inlineData": {"mimeType": "video/mp4", "data": "@"}}, 678),
    "Google's PDF": ({"inlineData": {"mimeType": "application/pdf", "data": "@"}}, 3710),
    "a text": ({"inlineData": {"mimeType": "text/plain", "data": "@"}}, 10_500),
    "unknown": ({"data": "@"}, 10_500),
    "OpenAI": ({"image_url": {"url": "data:image/png;base64,@"}}, 1600),
    "OpenAI's file": ({"file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,@"}}, 3710),
    "OpenAI's sound": ({"input_audio": {"data": "@", "format": "wav"}}, 284),
    "Claude": ({"source": {"type": "base64", "media_type": "image/png", "data": "@"}}, 1600),
    "Imagen": ({"image": {"bytesBase64Encoded": "@", "mimeType": "image/png"}}, 1600),
    "Imagen's SDK": ({"image": {"bytes_base64_encoded": "@", "mime_type": "image/png"}}, 1600),
    # Spaces show that it is text, which is counted as such.
    "no base64": ({"data": "a b@"}, 14_000),
    "another member": ({"text": "@"}, 14_000),
}


def test_media_are_counted_by_a_table() -> None:
    found = {name: tokens_of(members) for name, (members, _) in MEDIA.items()}
    assert found == {name: tokens for name, (_, tokens) in MEDIA.items()}


def test_each_of_several_media_has_its_type() -> None:
    parts = [{"inlineData": {"mimeType": kind, "data": "AAAA"}} for kind in ("image/png", "video/mp4", "image/png")]
    body = json.dumps({"parts": parts}).encode()
    assert input_of(body) - input_of(b"x" * (len(body) - 12)) == 1600 + 300 + 1 + 1600


@pytest.mark.parametrize("operation", ["generateContent", "embeddings"])
@given(body=st.binary() | st.text().map(str.encode))
def test_any_body_has_an_estimate(operation: str, body: bytes) -> None:
    told = estimate(operation, body)
    assert isinstance(told, Estimate)
    assert told.input >= len(body) // 4
