"""What the simulator gets and gives, and how it is told to behave."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from typing import Any


@dataclass
class Plan:
    """How an answer is to be sent and to fail. Told as JSON in the request header `x-simulator`."""

    status: int = 200
    """An error status is answered instead."""
    error: str = "google"
    """Its body: google, array, html, empty."""
    retry_after: str = ""
    """The header of that name."""
    retry_delay: str = ""
    """The same as Google has it in the body of its errors, such as `7s`."""
    usage: str = "final"
    """In streams: final (only in the last event, as on Vertex), cumulative, none, traffic."""
    newline: str = "\r\n"
    encoding: str | None = None
    """The content coding; by default gzip for unary answers where it is accepted, as on Vertex."""
    split: int = 0
    """Bytes of a piece; 0 is one piece an event."""
    delay: float = 0.0
    """Seconds before the head of the answer."""
    pause: float = 0.0
    """Seconds before each piece."""
    gate: str = ""
    """Wait at the gate of this name (`Simulator.gates`) before each piece but the first."""
    cut: int | None = None
    """Close the connection after so many pieces."""
    cut_end: bool = False
    """Close the connection after the last piece, without the end of the framing."""
    error_after: int | None = None
    """Send an error event after so many events."""
    stop_after: int | None = None
    """End the answer as if it were whole after so many pieces."""
    linger: float = 0.0
    """Seconds before the end of the framing."""
    chunked: bool = False
    """Of unary answers."""
    events: int = 3
    words: int = 4
    """Of an answer's text."""
    padding: int = 0
    """Bytes of base64 that a unary answer carries."""
    hang: bool = False
    """Never answer."""
    thoughts: int = 0
    calls: int = 1
    """Function calls in an answer to a request that declares functions."""
    finish: str = "STOP"
    """Gemini's finish reason; any other than STOP comes in a candidate of its own, without content."""
    call: str = ""
    """The name of the function that is called; the first that is declared if it is empty."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """The arguments of its call; a city if there are none."""

    @classmethod
    def of(cls, headers: dict[str, str]) -> "Plan":
        return cls(**json.loads(headers.get("x-simulator", "{}")))


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    raw_headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode().lower(): value.decode() for name, value in self.raw_headers}

    def json(self) -> Any:
        return json.loads(self.body or b"null")

    def planned_for(self, name: str) -> "Request":
        """This request with the plan for the simulator of this name, or for the service that it is sent to, if its plan
        has several: `{"at": {"second-project": {"status": 503}}}`."""
        plans = json.loads(self.headers.get("x-simulator", "{}")).get("at")
        if plans is None:
            return self
        told = " ".join((name, self.path, self.headers.get("x-goog-api-key", "")))
        plan = json.dumps(next((plan for word, plan in plans.items() if word in told), {})).encode()
        headers = [(key, plan if key.lower() == b"x-simulator" else value) for key, value in self.raw_headers]
        return replace(self, raw_headers=headers)


@dataclass
class Answer:
    status: int = 200
    content_type: str = "application/json; charset=UTF-8"
    pieces: list[bytes] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    """Beside those that every answer has."""
    streamed: bool = False
    reported: dict[str, int | None] = field(default_factory=dict)
    """The usage that this answer reports, under the ledger's names: what a row must hold."""

    @classmethod
    def json(cls, value: object, status: int = 200, reported: dict[str, int | None] | None = None) -> "Answer":
        return cls(status, pieces=[json.dumps(value, indent=1).encode()], reported=reported or {})


@dataclass
class Seen:
    """A request as it arrived, and what was answered."""

    request: Request
    answer: Answer | None = None
