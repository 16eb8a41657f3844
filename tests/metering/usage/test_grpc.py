"""The recordings in `messages` were made by hand: `fields` is a message as field number -> value, the numbers from
Google's proto files, and `row` has the columns that must come out, worked out by hand.

    {"source": ..., "operation": ..., "publisher": ..., "model": ..., "coding": "gzip" or "", "fields": [message, ...],
     "row": {...}}

A value is a number, a text, a message, a list for a repeated field; `{"packed": [1, 2]}`, `{"json": value}` for
google.protobuf.Value and `{"bytes": "text"}` are written as these. tests/clients/test_grpc.py holds the tables
against Google's library.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from metering.budget import Budget
from metering.grpc_body import GrpcBody
from metering.outcome import Ending
from metering.outcome import outcome
from metering.protobuf import Field
from metering.usage.anthropic import AnthropicReader
from metering.usage.counting import CountReader
from metering.usage.gemini import GeminiReader
from metering.usage.grpc import ANSWERS
from metering.usage.grpc import ENUMS
from metering.usage.grpc import MESSAGES
from metering.usage.grpc import READERS
from metering.usage.grpc import REQUESTS
from metering.usage.grpc import SCHEMA
from metering.usage.grpc import STREAMED
from metering.usage.grpc import usage_of_grpc
from metering.usage.openai import ChatReader
from metering.usage.predict import PredictReader
from metering.usage.reader import Reader
from tests.protobuf import framed
from tests.protobuf import message
from tests.protobuf import packed
from tests.protobuf import value

RECORDINGS = sorted((Path(__file__).parent / "messages").glob("*.json"))


def written(told: Any) -> Any:
    """A value of a recording as `message` takes it."""
    if isinstance(told, list):
        return [written(one) for one in told]
    if not isinstance(told, dict):
        return told
    if "packed" in told:
        return packed(told["packed"])
    if "json" in told:
        return value(told["json"])
    if "bytes" in told:
        return told["bytes"].encode()
    return {int(number): written(one) for number, one in told.items()}


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recordings(path: Path) -> None:
    recording = json.loads(path.read_text())
    data = b"".join(framed(message(written(one)), recording["coding"]) for one in recording["fields"])
    for size in (1, 7, 100_000):
        row = row_of(recording, data, size)
        assert {name: row[name] for name in recording["row"]} == recording["row"], size


def row_of(recording: dict[str, Any], data: bytes, size: int) -> dict[str, Any]:
    """What is known of a recorded answer that comes in pieces of this size."""
    coding, operation = recording["coding"], recording["operation"]
    usage = usage_of_grpc(operation, recording["model"], recording["publisher"])
    assert usage.reader
    body = GrpcBody(SCHEMA, ANSWERS[operation], coding, Budget(), usage.reader.wanted)
    values = [read for start in range(0, len(data), size) for read in body.feed(data[start : start + size])]
    for read in [*values, *body.flush()]:
        usage.reader.read(read)
    reading = usage.reader.reading
    ended = outcome(Ending.COMPLETE, 200, usage, reading, event_stream=False)
    return {**ended._asdict(), **{name: getattr(reading, name) for name in reading.__dataclass_fields__}}


@pytest.mark.parametrize("operation", ["rawPredict", "streamRawPredict", "directRawPredict", "streamDirectRawPredict"])
@pytest.mark.parametrize(
    ("publisher", "reader"), [("anthropic", AnthropicReader), ("mistralai", ChatReader), ("other", PredictReader)]
)
def test_raw_predict_is_in_the_format_of_the_publisher(operation: str, publisher: str, reader: type[Reader]) -> None:
    usage = usage_of_grpc(operation, "m", publisher)
    assert type(usage.reader) is reader
    assert usage.state == ("unsupported" if publisher == "other" else None)


def test_claudes_tokens_are_only_counted() -> None:
    usage = usage_of_grpc("rawPredict", "count-tokens", "anthropic")
    assert (type(usage.reader), usage.state) == (CountReader, "not_applicable")


PROTO = (Path(__file__).parent / "grpc.proto").read_text()
TYPES = {"int32": "int"}


def blocks(kind: str) -> dict[str, str]:
    return dict(re.findall(rf"^{kind} (\w+) {{\n(.*?)^}}", PROTO, re.MULTILINE | re.DOTALL))


def test_fields_are_those_of_the_proto_files() -> None:
    line = re.compile(r"  (repeated )?(\w+) (\w+) = (\d+);(  // only whether it is there)?\n")
    messages = {
        name: {
            int(number): Field(camel(field), "seen" if seen else TYPES.get(kind, kind), bool(repeated))
            for repeated, kind, field, number, seen in line.findall(lines)
        }
        for name, lines in blocks("message").items()
    }
    assert messages == MESSAGES


def camel(name: str) -> str:
    return re.sub("_([a-z])", lambda match: match[1].upper(), name)


def test_enums_are_those_of_the_proto_files() -> None:
    line = re.compile(r"  (\w+) = (\d+);\n")
    enums = {
        name: {int(number): word for word, number in line.findall(lines)} for name, lines in blocks("enum").items()
    }
    assert enums == ENUMS


def test_methods_are_those_of_the_proto_files() -> None:
    methods = re.findall(r"  rpc (\w+)\((\w+)\) returns \((stream )?(\w+)\);", blocks("service")["PredictionService"])
    named = [(name[0].lower() + name[1:], request, streamed, answer) for name, request, streamed, answer in methods]
    assert {name: request for name, request, *_ in named} == REQUESTS
    assert {name: answer for name, _, _, answer in named if answer in blocks("message")} == ANSWERS
    assert {name for name, _, streamed, _ in named if streamed} == STREAMED


@pytest.mark.parametrize(
    ("operation", "reader"),
    [
        ("generateContent", GeminiReader),
        ("streamGenerateContent", GeminiReader),
        ("embedContent", GeminiReader),
        ("countTokens", CountReader),
        ("computeTokens", CountReader),
        ("chatCompletions", ChatReader),
        ("predict", PredictReader),
        ("explain", PredictReader),
    ],
)
def test_what_reads_what(operation: str, reader: type[Reader]) -> None:
    assert type(usage_of_grpc(operation, "m", None).reader) is reader


def test_the_tables_agree() -> None:
    assert {*REQUESTS.values(), *ANSWERS.values()} <= MESSAGES.keys()
    assert READERS.keys() <= ANSWERS.keys() <= REQUESTS.keys()
    assert REQUESTS.keys() >= STREAMED
    named = {field.type for fields in SCHEMA.messages.values() for field in fields.values()}
    scalars = {"int", "bool", "double", "string", "bytes", "seen"}
    assert named - scalars <= SCHEMA.messages.keys() | SCHEMA.enums.keys()


def test_requests_name_the_model_or_the_endpoint() -> None:
    for request in REQUESTS.values():
        numbers = {field.name: number for number, field in MESSAGES[request].items()}
        told = message({number: f"the {name}" for name, number in numbers.items()} | {99: "skipped"})
        body = GrpcBody(SCHEMA, request, "", Budget())
        assert body.feed(framed(told)) == [{name: f"the {name}" for name in numbers}], request
        assert numbers.keys() <= {"model", "endpoint"}, request
