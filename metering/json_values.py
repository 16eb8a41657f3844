"""Values of JSON that somebody else wrote: each function takes any value, and raises on none.

Google's JSON is camelCase by the book and snake_case from its own SDKs, often both in one body: `member` reads either.
"""

import re
from functools import cache

_MISSING = object()
_HUMP = re.compile(r"(?<!^)(?=[A-Z])")


@cache
def snake(name: str) -> str:
    return _HUMP.sub("_", name).lower()


def both(names: str) -> frozenset[str]:
    """The names (separated by spaces), in both spellings."""
    return frozenset(names.split()) | frozenset(map(snake, names.split()))


def member(value: object, name: str) -> object:
    """The member `name` of an object in either spelling, camelCase first; None if there is none."""
    if not isinstance(value, dict):
        return None
    found = value.get(name, _MISSING)
    return value.get(snake(name)) if found is _MISSING else found


def items(value: object) -> list[object]:
    """`value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text_of(value: object) -> str | None:
    """`value` if it is a text with something in it."""
    return value if isinstance(value, str) and value else None


def number_of(value: object, default: int = 0) -> int:
    """`value` if it is an integer."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default
