"""Reads the connections of tests/metering/usage/sockets whose names begin with `responses`; their form is described in
tests/metering/usage/test_realtime.py. The whole is in tests/wire/test_openai_sockets.py."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http

from addons.responses_socket import ResponsesSocket
from metering.outcome import Ending
from tests.addons.test_recorder import started
from tests.metering.usage.test_realtime import FOLDER
from tests.process import Row
from tests.process import rows_of

RECORDINGS = sorted(FOLDER.glob("responses-*.json"))
CREATE = {"type": "response.create", "model": "gpt-5.5", "input": "x"}
DELTA = {"type": "response.output_text.delta", "delta": "x"}
USAGE = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}


class Connection:
    """A connection whose upgrade was accepted."""

    def __init__(self, ledger: Path) -> None:
        self.ledger = ledger
        request = http.Request.make("GET", "http://127.0.0.1/v1/responses", headers=[(b"upgrade", b"websocket")])
        self.flow, self.exchange, _, self.recorder = started(ledger, request)
        self.recorder.request(self.flow)
        self.exchange.metered.begin_answer(101, 0.0)
        self.socket = ResponsesSocket(self.exchange, self.recorder)

    def take(self, messages: list[Any]) -> None:
        for who, message in messages:
            take = self.socket.take_asked if who == "client" else self.socket.take_event
            take(json.dumps(message).encode())

    @property
    def rows(self) -> list[Row]:
        return rows_of(self.ledger)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    opened = Connection(tmp_path / "usage.db")
    yield opened
    opened.recorder.close()


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recordings(connection: Connection, path: Path) -> None:
    recording = json.loads(path.read_text())
    connection.take(recording["messages"])
    connection.socket.close(Ending.COMPLETE, None, by_client=False)
    rows = connection.rows
    assert [{name: row[name] for name in expected} for row, expected in zip(rows, recording["rows"], strict=True)] == (
        recording["rows"]
    )
    assert "MARK" not in str(rows)


def completed(id: str) -> dict[str, Any]:
    return {"type": "response.completed", "response": {"id": id, "status": "completed", "usage": USAGE}}


def test_the_open_row_comes_first(connection: Connection) -> None:
    """Before the message is sent on."""
    assert [(row["state"], row["model"]) for row in connection.rows] == [("open", None)]
    connection.take([["client", CREATE]])
    assert [(row["state"], row["model"]) for row in connection.rows] == [("open", "gpt-5.5")]
    connection.take([["server", completed("1")], ["client", CREATE]])
    assert [row["state"] for row in connection.rows] == ["done", "open"]


def test_the_end_of_each_response_is_told(connection: Connection) -> None:
    """The first when the connection ends, as it has the flow's row."""
    told: list[tuple[bool, str]] = []
    connection.recorder.on_end(lambda flow, call: told.append((flow is connection.flow, call.state)))
    for id in ("1", "2", "3"):
        connection.take([["client", CREATE], ["server", completed(id)]])
    connection.take([["client", CREATE]])
    assert told == [(False, "done"), (False, "done")]
    connection.socket.close(Ending.CLIENT_GONE, None, by_client=True)
    connection.recorder.websocket_end(connection.flow)
    assert told[2:] == [(False, "client_closed"), (True, "done")]


def test_times_and_sizes_are_those_of_the_response(connection: Connection) -> None:
    connection.take([["client", CREATE], ["server", DELTA], ["server", DELTA], ["server", completed("1")]])
    (row,) = connection.rows
    assert row["request_bytes"] == len(json.dumps(CREATE))
    assert row["response_bytes"] == 2 * len(json.dumps(DELTA)) + len(json.dumps(completed("1")))
    assert 0 < row["ttft_us"] <= row["upstream_us"] <= row["duration_us"]
    assert row["overhead_us"] >= 0


def test_nothing_is_kept_of_what_has_ended(connection: Connection) -> None:
    for number in range(5):
        connection.take([["client", CREATE], ["server", completed(str(number))]])
    assert connection.exchange.turns == ()
    assert len(connection.rows) == 5


@pytest.mark.parametrize("by_client", [True, False])
def test_an_end_in_the_middle(connection: Connection, by_client: bool) -> None:
    connection.take([["client", {**CREATE, "stream_id": name}] for name in "ab"])
    connection.socket.close(Ending.COMPLETE, None, by_client=by_client)
    state = "client_closed" if by_client else "upstream_failed"
    assert [(row["state"], row["usage_state"]) for row in connection.rows] == [(state, "absent")] * 2


def test_what_the_recorder_settles(connection: Connection) -> None:
    """When the process ends, or mitmproxy's layers have crashed."""
    connection.take([["client", CREATE], ["server", completed("1")]])
    connection.take([["client", {**CREATE, "stream_id": name}] for name in "ab"])
    connection.recorder.interrupt()
    assert [row["state"] for row in connection.rows] == ["done", "interrupted", "interrupted"]


def test_too_much_work(connection: Connection, caplog: pytest.LogCaptureFixture) -> None:
    connection.take([["client", CREATE]])
    with caplog.at_level(logging.WARNING):
        connection.socket.take_event(b'{"response": [' + b"{}," * 100_000 + b"{}]}")
    assert "no longer metered" in caplog.text
    connection.take([["server", completed("1")], ["client", CREATE]])
    connection.socket.close(Ending.COMPLETE, None, by_client=True)
    rows = [(row["state"], row["usage_state"], row["total_tokens"]) for row in connection.rows]
    assert rows == [("done", "unsupported", None)] * 2
