"""Parts of error messages about what users wrote: what to write instead."""

import difflib
import re
from collections.abc import Iterable

from pydantic_core import ErrorDetails


def suggestion(name: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name, such as `; did you mean vertex_auth?`."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]}?" if near else f"; choose from {', '.join(names)}"


_SHAPES = {
    "missing": "is missing",
    "string_type": "write text",
    "string_too_short": "write text, or leave it out",
    "dict_type": "write names and values, such as {name: value}",
    "model_type": "write names and values, such as {name: value}",
    "float_parsing": "write a number",
    "float_type": "write a number",
    "tuple_type": "write a list, such as [first, second]",
}
"""Type of a pydantic error -> the message for it."""


def explain(error: ErrorDetails) -> str:
    """A pydantic error as a message that says what to write instead."""
    message = error["msg"].removeprefix("Value error, ")
    return _SHAPES.get(error["type"]) or re.sub(r"^Input should be (.*)$", r"write \1", message)
