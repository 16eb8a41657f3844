import json
from typing import Any

import pytest

from metering.responses_socket import ENDS
from metering.responses_socket import NAMES
from metering.responses_socket import Responses
from metering.responses_socket import asked_in


@pytest.mark.parametrize(
    ("message", "model", "stream_id"),
    [
        ({"type": "response.create", "model": "gpt-5.5", "input": "x"}, "gpt-5.5", None),
        ({"input": [{"type": "message", "model": "no"}], "stream_id": "a", "type": "response.create"}, None, "a"),
        ({"type": "response.create", "model": {"a": 1}, "stream_id": 5}, {"a": 1}, 5),
    ],
)
def test_a_response_is_asked_for(message: object, model: object, stream_id: object) -> None:
    asked = asked_in(json.dumps(message).encode())
    assert asked
    assert (asked.model, asked.stream_id) == (model, stream_id)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"response.create",
        b'["response.create"]',
        b'{"type": "response.create"',
        b'{"type": ["response.create"]}',
        b'{"type": "response.steer", "input": "response.create"}',
        b'{"response": {"type": "response.create"}}',
        b"[" * 100_000 + b"response.create",
        b'{"type": "response.create", "model": "\xff"}',
    ],
)
def test_none_is_asked_for(message: bytes) -> None:
    assert asked_in(message) is None


def created(id: str, stream_id: str | None = None, kind: str = "response.created") -> dict[str, Any]:
    return {"type": kind, "response": {"id": id}} | ({"stream_id": stream_id} if stream_id else {})


def test_what_is_read_of_events() -> None:
    """A response ends with one of these, by the types of OpenAI's SDK (`ResponseStreamEvent`)."""
    assert {"response.completed", "response.incomplete", "response.failed", "error"} == ENDS
    # Of responses that are made at the same time, each event names its own.
    assert {"stream_id"} == NAMES


DELTA = {"type": "response.output_text.delta", "delta": "x"}


def test_one_after_the_other() -> None:
    responses: Responses[str] = Responses()
    responses.begin("first", None)
    responses.begin("second", None)
    assert responses.calls == ["first", "second"]
    assert responses.call_of(created("1")) == responses.call_of(DELTA) == "first"
    responses.end("first")
    assert responses.call_of(created("1")) == "second"
    assert responses.calls == ["second"]


def test_streams_are_answered_side_by_side() -> None:
    responses: Responses[str] = Responses()
    for name in ("a", "b", None):
        responses.begin(f"of {name}", name)
    assert responses.call_of(created("1", "b")) == "of b"
    assert responses.call_of({**DELTA, "stream_id": "b"}) == "of b"
    assert responses.call_of({**DELTA, "stream_id": "a"}) == "of a"
    assert responses.call_of(DELTA) == "of None"
    assert responses.call_of({**DELTA, "stream_id": "c"}) is None


def test_ids_tell_responses_apart() -> None:
    responses: Responses[str] = Responses()
    responses.begin("first", None)
    responses.begin("second", None)
    assert responses.call_of(created("1")) == "first"
    assert responses.call_of(created("2")) == "second"
    assert responses.call_of(created("2", kind="response.completed")) == "second"
    assert responses.call_of(created("1", kind="response.completed")) == "first"
    assert responses.call_of(created("3")) is None


@pytest.mark.parametrize(("status", "expected"), [(429, "second"), (None, "first")])
def test_an_error_refuses_a_request_or_breaks_a_response_off(status: int | None, expected: str) -> None:
    responses: Responses[str] = Responses()
    responses.begin("first", None)
    responses.call_of(created("1"))
    responses.begin("second", None)
    assert responses.call_of({"type": "error", "status": status, "error": {}}) == expected
    responses.end("second")
    assert responses.call_of({"type": "error", "status": status, "error": {}}) == "first"


def test_a_server_that_does_not_repeat_the_stream() -> None:
    responses: Responses[str] = Responses()
    responses.begin("first", "a")
    assert responses.call_of(created("1")) == responses.call_of(DELTA) == "first"


def test_a_response_that_has_begun_by_itself() -> None:
    responses: Responses[str] = Responses()
    assert responses.call_of(created("1", "a")) is None
    responses.begin("first", "a", "1")
    assert responses.call_of(created("1", kind="response.completed")) == "first"


@pytest.mark.parametrize("event", [None, [], "x", b"[DONE]", 5, {"response": 5}, {"stream_id": {}}, {"response": []}])
def test_events_of_any_shape(event: object) -> None:
    responses: Responses[str] = Responses()
    assert responses.call_of(event) is None
    responses.begin("first", None)
    assert responses.call_of(event) == "first"
