"""One connection of OpenAI's Responses over a WebSocket. Every response on it has a row of its own."""

import logging

from addons.exchange import Exchange
from addons.exchange import without_answer
from addons.recorder import Recorder
from metering.budget import TooMuchWork
from metering.call import UsageState
from metering.json_array import JsonDocument
from metering.json_values import member
from metering.outcome import Ending
from metering.request import named
from metering.responses_socket import CREATED
from metering.responses_socket import ENDS
from metering.responses_socket import NAMES
from metering.responses_socket import Responses
from metering.responses_socket import asked_in
from metering.usage.formats import UNREAD
from metering.usage.formats import Usage
from metering.usage.openai import ResponsesReader

logger = logging.getLogger(__name__)

WORDS = (b'"response"', b'"error"', b'"response.output_item.done"')
"""When the content of all responses has begun, only messages with one of these are parsed."""


class ResponsesSocket:
    """Opens a row when the client asks for a response, before the message is sent on, and settles it before the client
    gets the event that ends the response.

    The connection's own row becomes that of the first response. If nothing is asked, it stays `not_applicable`.
    """

    def __init__(self, connection: Exchange, recorder: Recorder) -> None:
        self._connection = connection
        self._recorder = recorder
        self._responses: Responses[Exchange] = Responses()
        self._template = without_answer(connection)
        self._is_first = True
        self._is_read = True
        """Whether the events are still read. If reading them takes too much work, they are not."""
        connection.metered.read_with(Usage(None, UsageState.NOT_APPLICABLE))

    def take_asked(self, message: bytes) -> None:
        """Take a message of the client, before it is sent on."""
        asked = asked_in(message)
        if asked:
            self._begin(asked.model, asked.stream_id, len(message))

    def take_event(self, message: bytes) -> None:
        """Take a message of the server, before it is sent on."""
        under_way = self._responses.calls
        if not self._is_read:
            return
        if len(under_way) == 1 and self._has_content(under_way[0]) and not any(word in message for word in WORDS):
            under_way[0].metered.count_message(len(message), from_client=False)
            return
        event = self._parsed(message)
        kind = member(event, "type")
        call = self._responses.call_of(event)
        if call is None and kind == CREATED:
            response = member(event, "response")
            call = self._begin(member(response, "model"), member(event, "stream_id"), 0, member(response, "id"))
        if call is None:
            return
        metered = call.metered
        metered.count_message(len(message), from_client=False)
        if reader := metered.usage.reader:
            reader.read(event)
            metered.take_turn(reader.reading)
        if kind in ENDS:
            self._recorder.settle(call, Ending.COMPLETE)
            self._end(call)

    def close(self, ending: Ending, error_type: str | None, *, by_client: bool) -> None:
        """Settle what is under way when the connection ends. `ending` and `error_type` are the connection's; a response
        that has not ended is broken off, however well the connection is closed."""
        cut = Ending.CLIENT_GONE if by_client else Ending.CUT
        for call in self._responses.calls:
            if error_type and call.metered.usage.reader:
                call.metered.usage.reader.reading.error_type = error_type
            self._recorder.settle(call, cut if self._is_read else ending)
            self._end(call)
        self._recorder.settle(self._connection, ending)

    def _begin(self, model: object, stream_id: object, size: int, response_id: object = None) -> Exchange:
        call = self._connection
        if not self._is_first:
            call = without_answer(self._template)
            self._connection.add_turn(call)
        self._is_first = False
        call.metered.restart(Usage(ResponsesReader(), None) if self._is_read else UNREAD, size)
        assert call.target
        call.take_body(named(call.target, model))
        self._responses.begin(call, stream_id, response_id)
        self._recorder.commit(call)
        call.metered.mark_released()
        return call

    def _end(self, call: Exchange) -> None:
        self._responses.end(call)
        self._connection.end_turn(call)
        self._recorder.end_turn(call)

    def _has_content(self, call: Exchange) -> bool:
        reader = call.metered.usage.reader
        return reader is not None and reader.content

    def _parsed(self, message: bytes) -> object:
        budget = self._connection.metered.budget
        budget.earn(len(message))
        document = JsonDocument(ResponsesReader.wanted | NAMES, budget)
        try:
            document.feed(message)
            return document.close()
        except TooMuchWork as e:
            logger.warning("vertex-tap: a Responses connection is no longer metered: %s", e)
            self._is_read = False
            for call in self._responses.calls:
                call.metered.read_with(UNREAD)
            return None
        finally:
            budget.rest()
