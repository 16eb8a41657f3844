"""Reads the connections of the folder `sockets` whose names begin with `realtime` or `live`. Each was written by hand
from the documentation:

    {"source": "where it is described", "path": "/v1/realtime",
     "messages": [["client" or "server", message], ...], "rows": [the columns that must come, worked out by hand]}

tests/addons/test_responses_socket.py reads the others.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from metering.json_array import JsonDocument
from metering.outcome import Ending
from metering.outcome import outcome
from metering.paths import parse
from metering.usage.formats import OPENAI_SOCKETS
from metering.usage.formats import Usage
from metering.usage.realtime import DONE
from metering.usage.realtime import SESSIONS
from metering.usage.realtime import TRANSCRIBED
from metering.usage.realtime import RealtimeReader
from metering.usage.spending import may_spend
from tests.metering.usage.told import ANYTHING
from tests.metering.usage.told import pruned
from tests.metering.usage.told import told

FOLDER = Path(__file__).parent / "sockets"
KINDS = (DONE, TRANSCRIBED, *SESSIONS, "error", "session.closed")
NAMES = ("response", "session", "usage", "error")
RECORDINGS = [path for path in sorted(FOLDER.glob("*.json")) if path.stem.startswith(("realtime", "live"))]


def read(messages: list[Any]) -> RealtimeReader:
    reader = RealtimeReader()
    for _, message in messages:
        document = JsonDocument(reader.wanted)
        document.feed(json.dumps(message).encode())
        reader.read(document.close())
    return reader


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recordings(path: Path) -> None:
    recording = json.loads(path.read_text())
    assert recording["path"].removeprefix("/v1/") in OPENAI_SOCKETS
    reader = read(recording["messages"])
    reading = reader.reading
    ended = outcome(Ending.COMPLETE, 101, Usage(reader, None), reading, event_stream=False)
    row = {name: getattr(reading, name) for name in reading.__dataclass_fields__} | ended._asdict()
    (expected,) = recording["rows"]
    assert {name: row[name] for name in expected} == expected
    assert "MARK" not in str(row)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_pruned(path: Path) -> None:
    """The reader sees all that it needs in what `JsonScanner` leaves of long messages."""
    messages = [message for _, message in json.loads(path.read_text())["messages"]]
    assert told(RealtimeReader(), *pruned(RealtimeReader(), *messages)) == told(RealtimeReader(), *messages)


@pytest.mark.parametrize("place", ["audio", "input_audio_transcription"])
def test_transcriptions_are_those_of_another_model(place: str) -> None:
    usage = {"type": "tokens", "input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    seconds = {"type": "duration", "seconds": 3}
    model = {"model": "gpt-4o-transcribe"}
    session = {place: {"input": {"transcription": model}} if place == "audio" else model, "model": "gpt-realtime"}
    reader = RealtimeReader()
    reader.read({"type": TRANSCRIBED, "usage": usage})
    assert reader.reading.iterations is None
    reader.read({"type": "session.updated", "session": session})
    for one in (usage, seconds, usage):
        reader.read({"type": TRANSCRIBED, "usage": one})
    assert reader.reading.iterations
    (part,) = reader.reading.iterations
    assert (part.model_served, part.input_tokens, part.total_tokens) == ("gpt-4o-transcribe", 10, 14)
    assert (reader.reading.model_served, reader.reading.total_tokens) == ("gpt-realtime", 21)


@pytest.mark.parametrize("kind", ["session.created", "session.started", "session.updated"])
@pytest.mark.parametrize("prefix", ["", "transcription_"])
def test_the_session_names_the_model(prefix: str, kind: str) -> None:
    event = {"type": prefix + kind, "session": {"id": "s", "model": "gpt-realtime"}}
    expected = {"model_served": "gpt-realtime", "response_id": "s"}
    assert told(RealtimeReader(), event) == ({} if prefix and kind == "session.started" else expected)


@pytest.mark.parametrize(
    "path", ["realtime", "realtime/translations", "live", "live/sessions/s/attach", "live/sessions/s/fork"]
)
def test_the_paths_of_such_connections(path: str) -> None:
    target = parse("GET", f"/v1/{path}")
    assert target
    assert OPENAI_SOCKETS[target.operation or ""] is RealtimeReader
    # A session is forked by a POST too.
    assert may_spend(target, "GET") == (not path.endswith("fork"))


def test_any_shape() -> None:
    shapes = [{"type": kind, name: what} for kind in KINDS for name in NAMES for what in ANYTHING]
    assert "input_tokens" not in told(RealtimeReader(), *ANYTHING, *shapes)


def test_a_connection_that_is_cut() -> None:
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    reader = read([["server", {"type": "response.done", "response": {"status": "completed", "usage": usage}}]])
    ended = outcome(Ending.CUT, 101, Usage(reader, None), reader.reading, event_stream=False)
    assert tuple(ended) == ("upstream_failed", "partial", "upstream_cut")
