"""Names of functions: gives those that Gemini does not take another name, and the client its own back.

Source: FunctionDeclaration in the discovery document of aiplatform v1. It allows 128 characters; the error message of
Google's servers says "with a maximum length of 64".
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace

from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult

LONGEST = 64
"""The most characters of a function's name."""
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]*")
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_.:-]")
_DIGITS = 8
"""Digits of the hash that keeps names apart."""


class Names:
    """The client's names of functions -> the names that Gemini gets. `21st_magic` becomes `_21st_magic`. Two names
    never become one. A request always gives the same names, so its answer can be read with another object."""

    def __init__(self, request: Request) -> None:
        names = dict.fromkeys(_names_in(request))
        self._sent = {name: name for name in names if _fits(name)}
        for name in names:
            if name not in self._sent:
                self._sent[name] = _free(name, {*self._sent.values()})
        self._given = {sent: name for name, sent in self._sent.items() if sent != name}
        self._in_text = re.compile(
            "|".join(rf"(?<![a-zA-Z0-9_]){re.escape(sent)}(?![a-zA-Z0-9_])" for sent in self._given)
        )

    def sent(self, name: str) -> str:
        """The name that Gemini gets for a function of the client's."""
        return self._sent.get(name, name)

    def renamed(self, part: Part) -> Part:
        """A part with the name that Gemini gets, if it is a call or a result."""
        if isinstance(part, ToolCall | ToolResult) and self.sent(part.name) != part.name:
            return replace(part, name=self.sent(part.name))
        return part

    def given(self, name: str) -> str:
        """The client's name of a function that Gemini names."""
        return self._given.get(name, name)

    def given_in(self, text: str) -> str:
        """A message of Google's, with the client's names in it."""
        return self._in_text.sub(lambda found: self._given[found[0]], text) if self._given else text


def _names_in(request: Request) -> Iterator[str]:
    """Every name of a function in a request, those of its functions first."""
    yield from (function.name for function in request.functions)
    yield from (request.tool_choice.names if request.tool_choice else ())
    for turn in request.turns:
        yield from (part.name for part in turn.parts if isinstance(part, ToolCall | ToolResult))


def _fits(name: str) -> bool:
    return len(name) <= LONGEST and _NAME.fullmatch(name) is not None


def _free(name: str, taken: set[str]) -> str:
    """A name like `name` that Gemini takes, and that is not in `taken`. If it is cut, or taken, it ends with a hash of
    `name`."""
    fitting = _NOT_IN_NAME.sub("_", name)
    if not _NAME.match(fitting):
        fitting = f"_{fitting}"
    tries = 0
    free = fitting
    while len(free) > LONGEST or free in taken:
        digest = hashlib.sha256(f"{name}{tries or ''}".encode("utf-8", "replace")).hexdigest()[:_DIGITS]
        free, tries = f"{fitting[: LONGEST - _DIGITS - 1]}_{digest}", tries + 1
    return free
