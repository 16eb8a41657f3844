"""Reads every answer of the folder `recordings` as the proxy does, and compares the row that comes of it.

Each file is one answer, written by hand from the documentation of its format:

    {"source": "where the format is described",
     "method": "POST", "path": "/v1/...", "request": {...} or null (what metering reads of it),
     "status": 200, "headers": {"content-type": "...", "content-encoding": "gzip, br, or left out"},
     "body": ["the lines of the answer, which are joined by line breaks and then compressed"],
     "row": {the columns that must come of it, worked out by hand}}

A count that `row` does not name must be unknown, and so must `finish_reason`, `error_type` and `usage_state`; `state`
is `done` unless it is named. Other columns are compared if they are named. Where the status is 101, each line of `body`
is a message of the WebSocket.
"""

import gzip
import json
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import brotlicffi
import pytest
import zstandard

from metering.budget import Budget
from metering.call import COUNTED
from metering.call import Call
from metering.call import Reading
from metering.decoding import decoder_for
from metering.json_array import JsonBody
from metering.json_array import JsonDocument
from metering.json_array import JsonScanner
from metering.outcome import Ending
from metering.outcome import outcome
from metering.paths import parse
from metering.request import asked
from metering.sse import Bytes
from metering.sse import EventDecoder
from metering.usage.errors import ErrorReader
from metering.usage.formats import Usage
from metering.usage.formats import usage_of
from metering.usage.reader import Reader

Json = dict[str, Any]
RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.json"))
MEMBERS = {"source", "method", "path", "request", "status", "headers", "body", "row"}
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "br": brotlicffi.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
ALWAYS = (*COUNTED, "finish_reason", "error_type", "usage_state", "state")


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_the_row(path: Path) -> None:
    recording = json.loads(path.read_bytes())
    assert recording.keys() == MEMBERS
    assert recording["source"]
    expected = expected_of(recording)
    for size in (len(body_of(recording)), 7):
        call = _read(recording, partial(_values, size=size))
        assert {name: getattr(call, name) for name in expected} == expected
    pruned = _read(recording, _pruned)
    assert {name: getattr(pruned, name) for name in expected} == expected


def _read(recording: Json, values: Callable[[Json, Reader], Iterable[object]]) -> Call:
    """The closed row of the call. `values` are the JSON values of its answer."""
    target = parse(recording["method"], recording["path"])
    assert target
    model = target.fields.get("model")
    if recording["request"]:
        model = asked(target, "application/json", json.dumps(recording["request"]).encode()).model or model
    usage = usage_of(target, recording["method"], model)
    if recording["status"] >= 400:
        usage = Usage(ErrorReader(), usage.state)
    if usage.reader:
        for value in values(recording, usage.reader):
            usage.reader.read(value)
    reading = usage.reader.reading if usage.reader else Reading()
    call = Call(started_at=0)
    call.take(reading)
    ended = outcome(Ending.COMPLETE, recording["status"], usage, reading, event_stream=_is_stream(recording["headers"]))
    call.state, call.usage_state, call.error_type = ended
    return call


def expected_of(recording: Json) -> Json:
    """The columns of its row."""
    return {**dict.fromkeys(ALWAYS), "state": "done", **recording["row"]}


def body_of(recording: Json) -> bytes:
    """The body of the answer, in its content coding."""
    text = "\n".join(recording["body"]).encode()
    return CODINGS[recording["headers"].get("content-encoding", "")](text)


def _pieces(recording: Json, size: int) -> Iterator[bytes]:
    """The body, decoded, as it comes of pieces of `size` bytes."""
    body, decoder = body_of(recording), decoder_for(recording["headers"].get("content-encoding", ""), Budget())
    for start in range(0, len(body), size):
        yield from decoder.decode(body[start : start + size])


def _values(recording: Json, reader: Reader, size: int) -> Iterator[object]:
    """The JSON values of the answer, read in pieces of `size` bytes."""
    if recording["status"] == 101:
        yield from map(json.loads, recording["body"])
        return
    decoder: EventDecoder | JsonBody
    if _is_stream(recording["headers"]):
        decoder = EventDecoder(partial(JsonDocument, reader.wanted))
    else:
        decoder = JsonBody(reader.wanted)
    for piece in _pieces(recording, size):
        yield from (getattr(value, "data", value) for value in decoder.feed(piece))
    yield from (getattr(value, "data", value) for value in decoder.flush())


def _pruned(recording: Json, reader: Reader) -> Iterator[object]:
    """The same values with only the members that the reader wants, as it gets them of large documents."""
    whole = b"".join(_pieces(recording, size=4096))
    texts = [whole]
    if recording["status"] == 101:
        texts = whole.split(b"\n")
    elif _is_stream(recording["headers"]):
        decoder = EventDecoder(Bytes)
        texts = [event.data for event in (*decoder.feed(whole), *decoder.flush()) if isinstance(event.data, bytes)]
    for text in texts:
        if text == b"[DONE]":
            yield text
        else:
            scanner = JsonScanner(reader.wanted)
            yield from (*scanner.feed(text), *scanner.flush())


def _is_stream(headers: Json) -> bool:
    return str(headers["content-type"]).startswith("text/event-stream")
