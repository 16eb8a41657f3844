"""Names of functions: gives those that a service does not take another name, and the client its own back."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from addons.translation.conversation import Notes
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult

_DIGITS = 8
"""Digits of the hash that keeps names apart."""


class NameRule(NamedTuple):
    """Which names a service takes."""

    first: str
    """The characters that a name may begin with, as they are written in a regular expression: `a-z_`."""
    others: str
    """The characters that may follow."""
    longest: int
    """The most characters."""

    def takes(self, name: str) -> bool:
        pattern = f"[{self.first}][{self.others}]{{0,{self.longest - 1}}}"
        return re.fullmatch(pattern, name) is not None

    def fitted(self, name: str) -> str:
        """The name with _ for each character that is not taken, and _ before it if it cannot begin so. It may still be
        too long."""
        fitting = re.sub(f"[^{self.others}]", "_", name)
        return fitting if re.match(f"[{self.first}]", fitting) else f"_{fitting}"


class Names:
    """The client's names of functions -> the names that the service gets. `21st_magic` becomes `_21st_magic`. Two names
    never become one. A request always gives the same names, so its answer can be read with another object."""

    def __init__(self, request: Request, rule: NameRule) -> None:
        names = dict.fromkeys(_names_in(request))
        self._sent = {name: name for name in names if rule.takes(name)}
        for name in names:
            if name not in self._sent:
                self._sent[name] = _free(name, rule, {*self._sent.values()})
        self._given = {sent: name for name, sent in self._sent.items() if sent != name}
        self._in_text = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, self._given))})(?!\w)")

    def applied(self, request: Request) -> Request:
        """The request with the names that the service gets. `request` is not changed."""
        if not self._given:
            return request
        choice = request.tool_choice
        return replace(
            request,
            functions=[replace(function, name=self._sent[function.name]) for function in request.functions],
            tool_choice=choice and replace(choice, names=[self._sent[name] for name in choice.names]),
            turns=[replace(turn, parts=[self._renamed(part) for part in turn.parts]) for turn in request.turns],
        )

    def given(self, name: str) -> str:
        """The client's name of a function that the service names."""
        return self._given.get(name, name)

    def given_in(self, text: str) -> str:
        """A message of the service's, with the client's names in it."""
        return self._in_text.sub(lambda found: self._given[found[0]], text) if self._given else text

    def restore(self, notes: Notes) -> None:
        """Puts the client's names into notes that were written with those of the service."""
        notes.dropped = [self.given_in(path) for path in notes.dropped]
        notes.assumed = [self.given_in(path) for path in notes.assumed]

    def _renamed(self, part: Part) -> Part:
        if isinstance(part, ToolCall | ToolResult) and self._sent[part.name] != part.name:
            return replace(part, name=self._sent[part.name])
        return part


def _names_in(request: Request) -> Iterator[str]:
    """Every name of a function in a request, those of its functions first."""
    yield from (function.name for function in request.functions)
    yield from (request.tool_choice.names if request.tool_choice else ())
    for turn in request.turns:
        yield from (part.name for part in turn.parts if isinstance(part, ToolCall | ToolResult))


def _free(name: str, rule: NameRule, taken: set[str]) -> str:
    """A name like `name` that the service takes, and that is not in `taken`. If it is cut, or taken, it ends with a
    hash of `name`."""
    free = fitting = rule.fitted(name)
    tries = 0
    while len(free) > rule.longest or free in taken:
        digest = hashlib.sha256(f"{name}{tries or ''}".encode("utf-8", "replace")).hexdigest()[:_DIGITS]
        free, tries = f"{fitting[: rule.longest - _DIGITS - 1]}_{digest}", tries + 1
    return free
