"""Replaces the model's name in a JSON body, or adds a member, and leaves all other bytes as they are.

Example: `replace_model(b'{ "model": "a", "x": 1e5 }', "m", set())` is `b'{ "model": "m", "x": 1e5 }'`.
"""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from addons.translation.errors import InvalidRequest

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")


def replace_model(body: bytes, model: str, without: set[str]) -> bytes:
    """A JSON object with the value of its member `model` replaced, and without the members named in `without`. A body
    without that member does not get one. Raises InvalidRequest if the body is no JSON object."""
    try:
        text = body.decode()
        members = list(_members(text))
    except (ValueError, IndexError, RecursionError):
        raise InvalidRequest("the body is not a JSON object") from None
    written = ""
    rest = 0
    """Index of the first character that has not been written yet."""
    for number, found in enumerate(members):
        if found.name in without:
            # The comma after the member goes too; for the last member, the comma before it.
            is_last = number == len(members) - 1
            written += text[rest : found.start]
            written = written.rstrip(" \t\r\n").removesuffix(",") if is_last else written
            rest = found.end if is_last else members[number + 1].start
        elif found.name == "model" and _DECODER.decode(text[found.value : found.end]) != model:
            written += text[rest : found.value] + json.dumps(model)
            rest = found.end
    return (written + text[rest:]).encode()


def add_member(body: bytes, name: str, value: str) -> bytes:
    """A JSON object with a member put first, unless it has one of that name. Raises InvalidRequest if the body is no
    JSON object."""
    try:
        text = body.decode()
        members = list(_members(text))
    except (ValueError, IndexError, RecursionError):
        raise InvalidRequest("the body is not a JSON object") from None
    if any(found.name == name for found in members):
        return body
    place = text.index("{") + 1
    comma = "," if members else ""
    return f"{text[:place]}{json.dumps(name)}:{json.dumps(value)}{comma}{text[place:]}".encode()


class _Member(NamedTuple):
    """A member of a JSON object: its name, and the indices in the text where name and value begin and where it ends."""

    name: str
    start: int
    value: int
    end: int


def _members(text: str) -> Iterator[_Member]:
    """The members of the outermost object. Raises ValueError or IndexError if the text is no JSON object."""
    place = _skip_sign(text, "{", _skip_space(text, 0))
    while text[place] != "}":
        start = place
        name, place = _DECODER.raw_decode(text, place)
        value = _skip_sign(text, ":", _skip_space(text, place))
        _, end = _DECODER.raw_decode(text, value)
        yield _Member(str(name), start, value, end)
        place = _skip_space(text, end)
        if text[place] != "}":
            place = _skip_sign(text, ",", place)


def _skip_sign(text: str, sign: str, place: int) -> int:
    """The index of the next token after the character `sign`. Raises ValueError if that is not at `place`."""
    if text[place] != sign:
        raise ValueError
    return _skip_space(text, place + 1)


def _skip_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    assert match
    return match.end()
