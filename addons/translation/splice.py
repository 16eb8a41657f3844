"""Another model name in a body of JSON that stays as it is otherwise: it is not parsed and written anew.

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
    """A body (a JSON object) with `model` for its `model`, and without the members named in `without`; all other
    bytes are as they were. A body that names no model gets none. Raises InvalidRequest."""
    try:
        text = body.decode()
        members = list(_members(text))
    except (ValueError, IndexError, RecursionError):
        raise InvalidRequest("the body is not a JSON object") from None
    written = ""
    rest = 0
    """Where the text begins that has not been written yet."""
    for number, found in enumerate(members):
        if found.name in without:
            # With the comma behind it; the last one with the comma before it.
            is_last = number == len(members) - 1
            written += text[rest : found.start]
            written = written.rstrip(" \t\r\n").removesuffix(",") if is_last else written
            rest = found.end if is_last else members[number + 1].start
        elif found.name == "model" and _DECODER.decode(text[found.value : found.end]) != model:
            written += text[rest : found.value] + json.dumps(model)
            rest = found.end
    return (written + text[rest:]).encode()


class _Member(NamedTuple):
    """A member of an object, and where it stands in the text: its name, its value, its end."""

    name: str
    start: int
    value: int
    end: int


def _members(text: str) -> Iterator[_Member]:
    """The members of the outermost object. Raises ValueError or IndexError where there is none."""
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
    """Where the next token begins, behind a sign that must be at `place`."""
    if text[place] != sign:
        raise ValueError
    return _skip_space(text, place + 1)


def _skip_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    assert match
    return match.end()
