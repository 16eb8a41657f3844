"""Google's Interactions API in camelCase, as its generated clients spell it."""

from typing import Any


def camel(value: Any) -> Any:
    """The same in camelCase, with values in capitals."""
    if isinstance(value, dict):
        words = {name: name.split("_") for name in value}
        return {words[name][0] + "".join(map(str.title, words[name][1:])): camel(value[name]) for name in value}
    if isinstance(value, list):
        return [camel(item) for item in value]
    return value.upper() if value in ("completed", "in_progress", "text", "image", "google_search") else value
