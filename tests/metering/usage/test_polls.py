from typing import Any

import pytest
from hypothesis import given

from metering.call import Settlement
from metering.usage.openai import ResponsesReader
from metering.usage.polls import PolledReader
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.metering.usage.told import pruned
from tests.metering.usage.told import read
from tests.metering.usage.told import told

Json = dict[str, Any]

QUEUED: Json = {"id": "resp_1", "object": "response", "model": "gpt-5", "status": "queued", "usage": None}
USAGE: Json = {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}
DONE = QUEUED | {"status": "completed", "usage": USAGE}


def poll() -> PolledReader:
    return PolledReader(ResponsesReader())


def settlement(*events: Json) -> Settlement | None:
    reader = poll()
    for event in events:
        reader.read(event)
    return reader.settlement


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_not_done_yet(status: str) -> None:
    assert settlement(QUEUED | {"status": status}) is None


@pytest.mark.parametrize(
    ("answer", "error_type", "finish_reason", "total"),
    [
        (DONE, None, "completed", 14),
        (DONE | {"status": "cancelled", "usage": None}, None, "cancelled", None),
        (
            DONE | {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            None,
            "max_output_tokens",
            14,
        ),
        (
            QUEUED | {"status": "failed", "error": {"code": "server_error", "message": "x"}},
            "server_error",
            "failed",
            None,
        ),
    ],
)
def test_done(answer: Json, error_type: str | None, finish_reason: str, total: int | None) -> None:
    found = settlement(answer)
    assert found
    assert found.answer
    assert (found.operation, found.error_type, found.videos) == ("resp_1", error_type, None)
    assert (found.answer.finish_reason, found.answer.total_tokens) == (finish_reason, total)
    # The poll has not failed, and has used nothing.
    known = told(poll(), answer)
    assert known == {"model_served": "gpt-5", "response_id": "resp_1", "finish_reason": finish_reason}


def test_a_stream_that_is_taken_up_again() -> None:
    reader = poll()
    reader.read({"type": "response.output_text.delta", "delta": "x", "sequence_number": 4})
    assert (reader.content, reader.terminal, reader.settlement) == (True, False, None)
    reader.read({"type": "response.completed", "response": DONE, "sequence_number": 5})
    assert reader.terminal
    assert reader.ends_with_event
    assert reader.settlement
    assert reader.settlement.answer
    assert (reader.settlement.operation, reader.settlement.answer.total_tokens) == ("resp_1", 14)


def test_a_poll_that_fails() -> None:
    """Not the answer that it asks for."""
    reader = poll()
    known = told(reader, QUEUED, {"type": "error", "code": "server_error", "message": "secret"})
    assert (known["failed"], known["error_type"], reader.settlement) == (True, "server_error", None)


def test_without_an_id() -> None:
    assert settlement({"status": "completed", "usage": USAGE}) is None


def test_pruning_leaves_all_that_is_read() -> None:
    reader = poll()
    for event in pruned(reader, DONE):
        reader.read(event)
    assert reader.settlement == settlement(DONE)


@given(value=json_values)
def test_any_shape(value: object) -> None:
    read(poll(), value, {"id": value, "status": value, "usage": value}, DONE | {"error": value}, *ANYTHING)
