"""Every method of Vertex AI, as Google's discovery documents list them."""

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any
from typing import NamedTuple

VERSIONS = ("v1", "v1beta1")


class Method(NamedTuple):
    """A method, with an example of its path."""

    http: str
    path: str


@cache
def document(version: str) -> dict[str, Any]:
    folder = resources.files("googleapiclient") / "discovery_cache" / "documents"
    found: dict[str, Any] = json.loads((folder / f"aiplatform.{version}.json").read_text())
    return found


@cache
def methods() -> list[Method]:
    """All methods, each once."""
    found: dict[Method, None] = {}
    for version in VERSIONS:
        for method in _methods(document(version)):
            path = re.sub(r"\{\w+\}", "7", method.get("flatPath", method["path"]))
            found[Method(method["httpMethod"], f"/{path}")] = None
    return list(found)


def _methods(owner: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from owner.get("methods", {}).values()
    for resource in owner.get("resources", {}).values():
        yield from _methods(resource)
