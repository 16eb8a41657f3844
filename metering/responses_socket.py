"""OpenAI's Responses over a WebSocket: which response a message belongs to.

The client asks with `response.create`, whose members are those of an HTTP request's body. The events are those of an
HTTP stream. Several responses may be under way: those with the same `stream_id` (or none) are answered one after the
other, others at the same time, and their events have the same `stream_id`. A response that the server begins by itself,
after `response.steer`, begins with `response.created` as well. (OpenAI's guide to the WebSocket mode.)
"""

from dataclasses import dataclass
from typing import Any
from typing import Generic
from typing import TypeVar

import msgspec

from metering.call import LONGEST_ID
from metering.call import word
from metering.json_values import member

CREATE = "response.create"
CREATED = "response.created"
ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})
"""The events that end a response. An `error` ends one that has not begun, or breaks one off."""
NAMES = frozenset({"stream_id"})
"""The members of events that `Responses` reads, beside those of their reader."""


class Asked(msgspec.Struct):
    """What is read of a client's message; all else is skipped."""

    type: Any = None
    model: Any = None
    stream_id: Any = None


_DECODER = msgspec.json.Decoder(Asked)


def asked_in(message: bytes) -> Asked | None:
    """The `response.create` that a message of the client is; None if it is any other."""
    if CREATE.encode() not in message:
        return None
    try:
        asked = _DECODER.decode(message)
    except (ValueError, RecursionError):
        return None
    return asked if asked.type == CREATE else None


Call = TypeVar("Call")


@dataclass(slots=True)
class _Response(Generic[Call]):
    call: Call
    stream: str | None
    id: str | None = None
    """The id of the response; None until its first event with one."""


class Responses(Generic[Call]):
    """The responses under way on one connection, each with a call of the caller's."""

    def __init__(self) -> None:
        self._responses: list[_Response[Call]] = []

    @property
    def calls(self) -> list[Call]:
        """The calls of all responses under way, in the order in which they were asked for."""
        return [one.call for one in self._responses]

    def begin(self, call: Call, stream_id: object, response_id: object = None) -> None:
        """Note that a response was asked for, or has begun by itself."""
        self._responses.append(_Response(call, word(stream_id, LONGEST_ID), word(response_id, LONGEST_ID)))

    def call_of(self, event: object) -> Call | None:
        """The call of the response that an event belongs to; None if it belongs to none that is known."""
        stream, id = (
            word(member(event, "stream_id"), LONGEST_ID),
            word(member(member(event, "response"), "id"), LONGEST_ID),
        )
        if id and (known := next((one for one in self._responses if one.id == id), None)):
            return known.call
        in_stream = [one for one in self._responses if one.stream == stream]
        if stream is None and not in_stream:
            # Some servers do not repeat the stream.
            in_stream = self._responses
        has_not_begun = [one for one in in_stream if one.id is None]
        if id:
            in_stream = has_not_begun
        elif member(event, "type") == "error" and member(event, "status") is not None:
            # What has an HTTP status refuses a request.
            in_stream = has_not_begun or in_stream
        if not in_stream:
            return None
        in_stream[0].id = in_stream[0].id or id
        return in_stream[0].call

    def end(self, call: Call) -> None:
        """Note that a response has ended."""
        self._responses = [one for one in self._responses if one.call is not call]
