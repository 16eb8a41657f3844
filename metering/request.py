"""What a request says that its path does not: the model of an OpenAI body, the quantity of a Veo job."""

import re
from dataclasses import dataclass

from metering.call import count
from metering.call import word
from metering.json_array import JsonDocument
from metering.paths import Target
from metering.usage import raw
from metering.usage.google import both
from metering.usage.google import member

WANTED = both("model parameters sampleCount durationSeconds setup instances")
_FORM_MODEL = re.compile(rb'name="?model"?\r\n(?:[\w-]+:[^\r\n]*\r\n)*\r\n([^\r\n]{1,200})\r\n')
_RESOURCE = re.compile(
    r"(?:projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/)?"
    r"(?:publishers/(?P<publisher>[^/]+)/)?(?:(?:models|endpoints)/)?(?P<model>[^/].*)"
)
PREFIXES = ("vertex_ai/", "vertex/", "gemini/", "google/", "models/", "publishers/google/models/")
"""What OpenAI clients put before the name of a Gemini model."""


@dataclass(slots=True)
class Asked:
    project: str | None = None
    location: str | None = None
    publisher: str | None = None
    model: str | None = None
    usage_raw: dict[str, object] | None = None
    """Of a Veo submission: what was ordered, for the poll that settles it."""


def asked(target: Target, content_type: str, body: bytes) -> Asked:
    """Read a request body. It may be of any size and any shape."""
    if content_type.startswith("multipart/form-data"):
        form = _FORM_MODEL.search(body)
        return named(target, form[1].decode("utf-8", "replace").strip() if form else None)
    document = JsonDocument(WANTED)
    document.feed(body)
    value = document.close()
    found = named(target, member(value, "model") or member(member(value, "setup"), "model"))
    if target.operation == "predictLongRunning":
        parameters = member(value, "parameters")
        ordered = {name: count(member(parameters, name)) for name in ("sampleCount", "durationSeconds")}
        found.usage_raw = raw.allowed({name: value for name, value in ordered.items() if value is not None})
    return found


def named(target: Target, model: object) -> Asked:
    """The parts of a model name: a resource name, `publisher/model`, or just the model."""
    name = word(model, 400)
    if not name:
        return Asked()
    publisher, slash, rest = name.partition("/")
    if target.surface == "vertex-openai" and slash and publisher not in ("projects", "publishers", "models"):
        return Asked(publisher=publisher, model=rest)
    if target.surface == "openai":
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        return Asked(model=name)
    if match := _RESOURCE.fullmatch(name):
        return Asked(match["project"], match["location"], match["publisher"], match["model"])
    return Asked(model=name)
