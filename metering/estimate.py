"""What a call may use at most, as far as that can be told from its request: tokens of input and of output.

The input is the size of the body in bytes divided by 3, which is more than the tokens of a text in nearly any language.
Media in the body are left out there and counted by a table. The output is what the request allows, times the answers
that it asks for.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from metering.call import count

BYTES_PER_TOKEN = 3
ANSWERED = frozenset(
    {
        "generateContent",
        "streamGenerateContent",
        "rawPredict",
        "streamRawPredict",
        "chat/completions",
        "completions",
        "responses",
        "responses/compact",
        "messages",
        "interactions.create",
        "interactions.createStream",
    }
)
"""Operations that read text, and whose answer is text."""
READ = frozenset({"embeddings", "embedContent", "batchEmbedContents"})
"""Operations that read text, and answer without tokens. What others use is only known when it has been used: images,
videos, Live."""


class Media(NamedTuple):
    """How many tokens media have: so many for one, and as many more for each 1,000 characters of its base64."""

    each: int
    per_thousand: int


MEDIA = {
    "image": Media(1600, 0),
    "audio": Media(32, 6),
    "video": Media(300, 9),
    "application/pdf": Media(560, 75),
}
"""Type of media, or the part before the slash -> its tokens.

Images: the most that Claude reads of one (its page on vision); Gemini reads 258 a tile, or 1,120. Sound: 32 tokens a
second (Gemini's page on tokens), at 32 kbit/s. Video: 300 tokens a second, at 200 kbit/s. Pages of a PDF: 258 for
Gemini, up to 3,000 for Claude with its text, at 30 KB a page.
"""
OTHER_MEDIA = Media(0, 250)
"""Everything else may be text: three characters of it are four of base64."""


class Estimate(NamedTuple):
    """The most tokens that a call may use."""

    input: int
    output: int | None
    """None: the request does not say."""
    answers: int = 1
    """How many answers it asks for, if it does not say how long they may be."""


def estimate(operation: str | None, body: bytes) -> Estimate | None:
    """What a call may use; None if its request cannot tell."""
    if operation in READ:
        return Estimate(input_of(body), 0)
    if operation not in ANSWERED:
        return None
    longest, answers = _asked(body)
    return Estimate(input_of(body), None if longest is None else longest * answers, answers)


_BASE64 = rb"[A-Za-z0-9+/_=\\-]*"
_TYPE = rb'"(?:mime_?type|media_?type|format)"\s{0,64}:\s{0,64}"([\w.+-]{1,64}(?:/[\w.+-]{1,64})?)"'
_MEDIA = re.compile(
    rb'"data:(?P<url>[\w.+-]{1,64}/[\w.+-]{1,64})[^,"]{0,256},(?P<in_url>' + _BASE64 + rb')"'
    rb'|"(?:data|bytesBase64Encoded|bytes_base64_encoded)"\s{0,64}:\s{0,64}"(?P<alone>' + _BASE64 + rb')"'
)
_BEHIND = re.compile(rb"\s{0,64},\s{0,64}" + _TYPE, re.IGNORECASE)
_BEFORE = re.compile(_TYPE, re.IGNORECASE)
NEAR = 512
"""How many bytes before media are searched for their type."""


def input_of(body: bytes) -> int:
    """The most tokens that a request body has."""
    tokens, left_out = 0, 0
    for kind, size in _media(body):
        each, per_thousand = MEDIA.get(kind, MEDIA.get(kind.partition("/")[0], OTHER_MEDIA))
        tokens += each + -(-size * per_thousand // 1000)
        left_out += size
    return tokens - (-(len(body) - left_out) // BYTES_PER_TOKEN)


def _media(body: bytes) -> Iterator[tuple[str, int]]:
    """The type and the size of all media in a JSON body."""
    for found in _MEDIA.finditer(body):
        if url := found["url"]:
            yield url.decode().lower(), len(found["in_url"])
            continue
        before = _BEFORE.findall(body, max(0, found.start() - NEAR), found.start())
        behind = _BEHIND.match(body, found.end())
        kind = (behind[1] if behind else before[-1] if before else b"").decode().lower()
        # Beside sound, OpenAI has a single word, such as `wav`.
        yield kind if "/" in kind or not kind else "audio", len(found["alone"])


NOTHING = msgspec.Raw()


class _Generation(msgspec.Struct):
    """What Google's requests have in `generationConfig`, in either spelling."""

    maxOutputTokens: msgspec.Raw = NOTHING
    max_output_tokens: msgspec.Raw = NOTHING
    candidateCount: msgspec.Raw = NOTHING
    candidate_count: msgspec.Raw = NOTHING


class _Request(msgspec.Struct):
    """The members of any dialect that say how long an answer may be, and how many there are."""

    max_tokens: msgspec.Raw = NOTHING
    max_completion_tokens: msgspec.Raw = NOTHING
    max_output_tokens: msgspec.Raw = NOTHING
    n: msgspec.Raw = NOTHING
    best_of: msgspec.Raw = NOTHING
    generationConfig: _Generation | None = None
    generation_config: _Generation | None = None


_DECODER = msgspec.json.Decoder(_Request)
_LONGEST = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens")
_ANSWERS = ("n", "best_of", "candidateCount", "candidate_count")


def _asked(body: bytes) -> tuple[int | None, int]:
    """How many tokens an answer may have, None if that is not said; and how many answers are asked for."""
    try:
        request = _DECODER.decode(body)
    except (ValueError, RecursionError):
        return None, 1
    parts = [request, *filter(None, (request.generationConfig, request.generation_config))]

    def said(names: tuple[str, ...]) -> list[int]:
        values = (bytes(getattr(part, name, NOTHING)) for part in parts for name in names)
        return [number for value in values if (number := _number(value)) is not None]

    return max(said(_LONGEST), default=None), max([1, *said(_ANSWERS)])


def _number(text: bytes) -> int | None:
    return count(msgspec.json.decode(text)) if 0 < len(text) < 32 else None
