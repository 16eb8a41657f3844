"""Every method of Vertex AI, as Google's discovery documents list them."""

import json
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any
from typing import NamedTuple

DOCUMENTS = ("aiplatform.v1", "aiplatform.v1beta1")


class Method(NamedTuple):
    """A method, with an example of its path."""

    http: str
    path: str


def methods() -> list[Method]:
    """All methods, each once."""
    found: dict[Method, None] = {}
    folder = resources.files("googleapiclient") / "discovery_cache" / "documents"
    for name in DOCUMENTS:
        document = json.loads((folder / f"{name}.json").read_text())
        for method in _methods(document):
            path = re.sub(r"\{\w+\}", "7", method.get("flatPath", method["path"]))
            found[Method(method["httpMethod"], f"/{path}")] = None
    return list(found)


def _methods(owner: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from owner.get("methods", {}).values()
    for resource in owner.get("resources", {}).values():
        yield from _methods(resource)
