"""What a reader makes of events."""

import json
from dataclasses import asdict
from typing import Any

from metering.call import Reading
from metering.json_array import JsonScanner
from metering.usage.reader import Reader


def read(reader: Reader, *events: object) -> Reading:
    for event in events:
        reader.read(event)
    return reader.reading


def told(reader: Reader, *events: object) -> dict[str, Any]:
    """All that the reader knows after the events."""
    reading = read(reader, *events)
    known = {name: value for name, value in asdict(reading).items() if value is not None and value is not False}
    known.pop("by_tokens", None)
    return known


def counts(reader: Reader, *events: object) -> dict[str, Any]:
    """The same, without flags and the stored raw object."""
    hidden = ("usage_raw", "content", "terminal", "failed")
    return {name: value for name, value in told(reader, *events).items() if name not in hidden}


def pruned(reader: Reader, *events: object) -> list[object]:
    """The events as `JsonScanner` leaves them: a reader must see all that it needs in them. Each stands alone, as small
    elements of an array are parsed whole."""
    return [left for event in events for left in JsonScanner(reader.wanted).feed(json.dumps(event).encode())]


ANYTHING: list[object] = [
    None,
    [],
    {},
    5,
    "text",
    b"[DONE]",
    [1],
    {"error": None},
    {"usage": 5},
    {"usageMetadata": []},
]
"""Shapes that no reader may raise on."""
