"""Reads what only the body of a request says: the model of an OpenAI request, the quantity of a Veo job."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import msgspec

from metering.budget import Budget
from metering.budget import TooMuchWork
from metering.call import count
from metering.call import word
from metering.json_array import JsonScanner
from metering.json_values import both
from metering.json_values import member
from metering.paths import Target
from metering.usage import raw

WANTED = both(
    "model setup parameters sampleCount durationSeconds resolution generateAudio agent interaction modelInteraction"
    " agentInteraction"
)
_FORM_NAME = re.compile(rb'name="?model"?\r\n')
_FORM_VALUE = re.compile(rb"(?:[\w-]{1,64}+:[^\r\n]{0,1024}+\r\n){0,8}+\r\n([^\r\n]{1,200})\r\n")
MOST_NAMES = 64
"""The most places in a form that are tried as the field `model`: a prompt may contain text that looks like it."""
LONGEST = 1024
"""The most bytes of a value that is read: no name and no number is longer."""
BEGINNING = 16 * 1024
"""How many bytes are searched in a body that is not valid JSON."""
AT_ONCE = 16 * 1024 * 1024
"""The most bytes of JSON for the C parser, which blocks all other threads while it runs. Larger bodies hold media,
which the scanner skips as quickly."""
PIECE = 64 * 1024
_RESOURCE = re.compile(
    r"(?:projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/)?"
    r"(?:publishers/(?P<publisher>[^/]+)/)?(?:(?:models|endpoints|agents)/)?(?P<model>[^/].*)"
)
PREFIXES = ("vertex_ai/", "vertex/", "gemini/", "google/", "models/", "publishers/google/models/")
"""Prefixes that OpenAI clients put before the name of a Gemini model."""


@dataclass(slots=True)
class Asked:
    """What a request body says."""

    project: str | None = None
    location: str | None = None
    publisher: str | None = None
    model: str | None = None
    usage_raw: dict[str, object] | None = None
    """What a Veo submission asks for, such as `{"sampleCount": 2}`; its poll needs it to settle the row."""
    variant: str | None = None
    """What the price of its videos depends on, such as `1080p+audio`."""


def asked(target: Target, content_type: str, body: bytes) -> Asked:
    """Read a request body of any size and any content."""
    if content_type.strip().lower().startswith("multipart/form-data"):
        names = islice(_FORM_NAME.finditer(body), MOST_NAMES)
        form = next(filter(None, (_FORM_VALUE.match(body, name.end()) for name in names)), None)
        return named(target, form[1].decode("utf-8", "replace").strip() if form else None)
    value = _members(body)
    if target.operation in INTERACTIONS:
        return named(target, _answering(value))
    found = named(target, member(value, "model") or member(member(value, "setup"), "model"))
    if target.operation == "predictLongRunning":
        parameters = member(value, "parameters")
        ordered = {name: count(member(parameters, name)) for name in ("sampleCount", "durationSeconds")}
        found.usage_raw = raw.allowed({name: value for name, value in ordered.items() if value is not None})
        found.variant = _variant(target, parameters)
    return found


def _variant(target: Target, parameters: object) -> str | None:
    """Resolution and sound of videos, such as `720p` or `1080p+audio`; None if it is unknown whether they have sound.

    Without a resolution, 720p is made. Veo 2 makes no sound. Later ones do if `generateAudio` says so, on the Gemini
    API always: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/veo-video-generation,
    https://ai.google.dev/gemini-api/docs/video.
    """
    resolution = member(parameters, "resolution") or "720p"
    if not isinstance(resolution, str) or not _RESOLUTION.fullmatch(resolution.lower()):
        return None
    has_sound: object = target.api == "gemini"
    if target.fields.get("model", "").startswith("veo-2"):
        has_sound = False
    elif not has_sound:
        has_sound = member(parameters, "generateAudio")
    return resolution.lower() + ("+audio" if has_sound else "") if isinstance(has_sound, bool) else None


_RESOLUTION = re.compile(r"\d{3,4}p|\dk")
INTERACTIONS = ("interactions.create", "interactions.createStream")


def _answering(value: object) -> object:
    """The model or the agent that is to answer, in either form of the Interactions API: `{"model": ...}`, or
    `{"interaction": {"modelInteraction": {"model": ...}}}`."""
    interaction = member(value, "interaction") or value
    places = {"model": "modelInteraction", "agent": "agentInteraction"}
    named = (member(interaction, one) or member(member(interaction, other), one) for one, other in places.items())
    return next(filter(None, named), None)


NOTHING = msgspec.Raw()


class _Members(msgspec.Struct):
    """The undecoded text of each wanted member; all others are skipped."""

    model: msgspec.Raw = NOTHING
    setup: msgspec.Raw = NOTHING
    agent: msgspec.Raw = NOTHING
    interaction: msgspec.Raw = NOTHING
    modelInteraction: msgspec.Raw = NOTHING
    model_interaction: msgspec.Raw = NOTHING
    agentInteraction: msgspec.Raw = NOTHING
    agent_interaction: msgspec.Raw = NOTHING
    parameters: msgspec.Raw = NOTHING
    sampleCount: msgspec.Raw = NOTHING
    sample_count: msgspec.Raw = NOTHING
    durationSeconds: msgspec.Raw = NOTHING
    duration_seconds: msgspec.Raw = NOTHING
    resolution: msgspec.Raw = NOTHING
    generateAudio: msgspec.Raw = NOTHING
    generate_audio: msgspec.Raw = NOTHING


_DECODER = msgspec.json.Decoder(_Members)


def _members(body: bytes) -> object:
    """The wanted members of a JSON object, and of the objects in them. If the body is not valid JSON, only its
    beginning is searched."""
    if len(body) > AT_ONCE:
        return _scanned(body)
    try:
        return _built(_DECODER.decode(body), depth=3)
    except (ValueError, RecursionError):
        return _scanned(body[:BEGINNING])


def _scanned(body: bytes) -> object:
    """The wanted members by the scanner, in pieces, so that other threads can run in between. If it takes too much
    work, what was found until then."""
    scanner = JsonScanner(WANTED, Budget())
    found: list[object] = []
    with suppress(TooMuchWork):
        for start in range(0, len(body), PIECE):
            found += scanner.feed(body[start : start + PIECE])
    found += scanner.flush()
    return found[0] if found else None


def _built(members: _Members, depth: int) -> dict[str, object]:
    built: dict[str, object] = {}
    for name in members.__struct_fields__:
        text = bytes(getattr(members, name))
        if depth > 1 and text.startswith(b"{"):
            built[name] = _built(_DECODER.decode(text), depth - 1)
        elif 0 < len(text) <= LONGEST:
            built[name] = json.loads(text)
    return built


def named(target: Target, model: object) -> Asked:
    """The parts of a model name. It may be a resource name, such as `publishers/google/models/gemini-2.5-flash`,
    `publisher/model`, or just the model."""
    name = word(model, 400)
    if not name:
        return Asked()
    publisher, slash, rest = name.partition("/")
    if target.surface == "vertex-openai" and slash and publisher not in ("projects", "publishers", "models"):
        return Asked(publisher=publisher, model=rest)
    if target.surface in ("openai", "anthropic"):
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        return Asked(model=name)
    if match := _RESOURCE.fullmatch(name):
        return Asked(match["project"], match["location"], match["publisher"], match["model"])
    return Asked(model=name)
