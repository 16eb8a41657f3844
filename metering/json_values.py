"""Accessors for untrusted JSON values. Each function accepts any value, and never raises.

Google's JSON is camelCase by its specification and snake_case from its own SDKs, often both in one body. `member` reads
either.
"""

import re
from functools import cache

_MISSING = object()
_HUMP = re.compile(r"(?<!^)(?=[A-Z])")


@cache
def snake(name: str) -> str:
    """The snake_case form of a camelCase name: `tokenCount` -> `token_count`."""
    return _HUMP.sub("_", name).lower()


def both(names: str) -> frozenset[str]:
    """The names (separated by spaces) in camelCase and in snake_case."""
    return frozenset(names.split()) | frozenset(map(snake, names.split()))


def member(value: object, name: str) -> object:
    """The member `name` of an object, in camelCase or else in snake_case; None if there is none."""
    if not isinstance(value, dict):
        return None
    found = value.get(name, _MISSING)
    return value.get(snake(name)) if found is _MISSING else found


def items(value: object) -> list[object]:
    """`value` if it is a list, otherwise an empty list."""
    return value if isinstance(value, list) else []


def text_of(value: object) -> str | None:
    """`value` if it is a non-empty string, otherwise None."""
    return value if isinstance(value, str) and value else None


def number_of(value: object, default: int = 0) -> int:
    """`value` if it is an integer, otherwise `default`."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default
