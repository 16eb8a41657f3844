"""Responses that are made in the background (`background: true`), as OpenAI's guide has it.

Each is in progress when it is asked for once, and completed when it is asked for again. A stream of one can be taken up
again at any event.
"""

import json
from dataclasses import dataclass
from typing import Any

from tests.vertex_simulator.exchange import Answer
from tests.vertex_simulator.exchange import Request
from tests.vertex_simulator.openai_errors import Refused

PREFIX = "/v1/responses/"


@dataclass
class _Running:
    begun: Answer
    """The answer to the request that began it. What it reports is known when it is done."""
    whole: dict[str, Any]
    events: list[dict[str, Any]]
    reported: dict[str, int | None]
    status: str = "queued"

    @property
    def response(self) -> dict[str, Any]:
        if self.status == "completed":
            return self.whole
        return self.whole | {"status": self.status, "output": [], "usage": None}

    def finish(self) -> None:
        if self.status != "cancelled":
            self.status = "completed"
            self.begun.reported = self.reported


class Background:
    """The responses that have been begun, by their ids."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}

    def begin(self, body: dict[str, Any], answer: Answer) -> Answer:
        """Put a response that is made at once into the background. Raises Refused."""
        if body.get("store") is False:
            raise Refused("Background mode requires `store` to be true.", code="invalid_request")
        id = f"resp_{len(self._running) + 1:04}"
        events = [json.loads(piece.partition(b"data: ")[2]) for piece in answer.pieces] if answer.streamed else []
        for event in events:
            if "response" in event:
                event["response"] |= {"id": id, "background": True}
        whole = events[-1]["response"] if events else json.loads(answer.pieces[0]) | {"id": id, "background": True}
        running = _Running(answer, whole, events, answer.reported)
        self._running[id] = running
        if events:
            answer.pieces = _pieces(events)
            running.finish()
        else:
            answer.pieces, answer.reported = Answer.json(running.response).pieces, {}
        return answer

    def answer(self, request: Request) -> Answer:
        """A poll, or a cancellation. Raises Refused."""
        id, _, action = request.path.removeprefix(PREFIX).partition("/")
        running = self._running.get(id)
        if running is None:
            raise Refused(f"Response with id '{id}' not found.", status=404)
        if (request.method, action) == ("POST", "cancel"):
            if running.status != "completed":
                running.status = "cancelled"
        elif (request.method, action) != ("GET", ""):
            raise Refused(f"Unknown request URL: {request.method} {request.path}.", code="unknown_url", status=404)
        elif request.query.get("stream") == ["true"]:
            after = int(request.query.get("starting_after", ["-1"])[0])
            events = [event for event in running.events if event["sequence_number"] > after]
            return Answer(200, "text/event-stream; charset=utf-8", _pieces(events), streamed=True)
        elif running.status == "queued":
            running.status = "in_progress"
        else:
            running.finish()
        return Answer.json(running.response)


def _pieces(events: list[dict[str, Any]]) -> list[bytes]:
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]
