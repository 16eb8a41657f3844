"""When two names are of one model, as far as prices are concerned."""

import re
from fnmatch import fnmatchcase

_VERSION = re.compile(r"(?:@[\w.-]*|-\d{3}|-\d{8}|-\d{4}-\d{2}-\d{2})+")


def is_version(rest: str) -> bool:
    """Whether the end of a name only says which version of a model is meant: `-001`, `@20250929`, `-2024-08-06`.
    Anything else, such as `-lite` or `-preview`, is another model, whose price may be different."""
    return not rest or _VERSION.fullmatch(rest) is not None


def is_of(model: str, name: str) -> bool:
    """Whether the price of `name` is that of `model`. In `name`, `*` is any text."""
    model, name = model.lower(), name.lower()
    if "*" in name:
        return fnmatchcase(model, name)
    return model.startswith(name) and is_version(model.removeprefix(name))
