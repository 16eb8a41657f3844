"""Reads polls: requests for the answer of a model that answers in the background.

The call that began it got an answer without usage, such as `{"id": "resp_1", "status": "queued"}`. The first poll that
sees the answer done completes the row of that call (`Settlement`), whoever polls, and whether the poll is a document or
a stream. Polls themselves use nothing.
"""

from dataclasses import replace

from metering.call import Reading
from metering.call import Settlement
from metering.usage.reader import Reader


class PolledReader(Reader):
    """Reads a poll in the format of `answer`, whose reading has an id, and a finish reason as soon as it is done."""

    def __init__(self, answer: Reader) -> None:
        super().__init__()
        self._answer = answer
        self.wanted = answer.wanted
        self.ends_with_event = answer.ends_with_event

    def read(self, event: object) -> None:
        self._answer.read(event)

    @property
    def settlement(self) -> Settlement | None:
        answer = self._answer.reading
        if answer.response_id is None or answer.finish_reason is None:
            return None
        return Settlement(answer.response_id, error_type=answer.error_type, answer=replace(answer))

    @property
    def reading(self) -> Reading:
        """What is told of the poll: none of the counts. If the answer that it asks for has failed, the poll has not."""
        answer = self._answer.reading
        failed = answer.failed and answer.finish_reason is None
        return Reading(
            model_served=answer.model_served,
            response_id=answer.response_id,
            error_type=answer.error_type if failed else None,
            finish_reason=answer.finish_reason,
            content=answer.content,
            terminal=answer.terminal,
            failed=failed,
        )

    @property
    def content(self) -> bool:
        return self._answer.content

    @property
    def terminal(self) -> bool:
        return self._answer.terminal
