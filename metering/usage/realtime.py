"""Reads OpenAI's Realtime API and its relatives, which are spoken over one WebSocket connection (OpenAI's API
reference, realtime server events; the types of openai-python 3.57.0).

There are three kinds of usage. `response.done` has the tokens of that response, which add up. So do those of
`conversation.item.input_audio_transcription.completed`, where another model has written down what was said: it tells
tokens, or seconds. `session.usage.updated` and `session.closed` have the seconds of the whole session so far, which do
not add up. A translation session tells none.
"""

from metering.call import LONGEST_ID
from metering.call import LONGEST_MODEL
from metering.call import Reading
from metering.call import word
from metering.json_values import member
from metering.usage import raw
from metering.usage.errors import ERROR_NAMES
from metering.usage.errors import take_error
from metering.usage.openai import USAGE_NAMES
from metering.usage.openai import take_usage
from metering.usage.reader import Reader

TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
TRANSCRIPTION = "input_audio_transcription"
"""The member of `usage_raw` with what transcriptions have used. They are billed by another model's prices."""
DONE = "response.done"
SUMMED = (TRANSCRIBED, DONE)
"""The events whose usage adds up."""
SESSIONS = (
    "session.created",
    "session.started",
    "session.updated",
    "transcription_session.created",
    "transcription_session.updated",
)
"""The events that name the model."""


class RealtimeReader(Reader):
    """Reads the server's events of one connection."""

    wanted = (
        ERROR_NAMES
        | USAGE_NAMES
        | frozenset(
            "id model session response status_details reason audio input transcription input_audio_transcription"
            " cached_tokens_details seconds active_seconds paused_seconds".split()
        )
    )

    def __init__(self) -> None:
        super().__init__()
        self._usage: dict[str, object] = {}
        """The sum of all usage objects."""
        self._transcriber: str | None = None
        """The model that writes down what is said."""
        self._transcribed: dict[str, Reading] = {}
        """What each of these models has used."""

    def read(self, event: object) -> None:
        reading = self._reading
        kind = member(event, "type")
        if not isinstance(kind, str):
            return
        reading.content = reading.content or kind.endswith(".delta")
        if kind in SESSIONS:
            self._take_session(member(event, "session"))
        if kind == DONE:
            self._take_response(member(event, "response"))
        elif isinstance(usage := member(event, "usage"), dict):
            self._take_usage(kind, usage)
        if kind == "error" or kind.endswith(".failed"):
            self._take_error(event)

    def _take_session(self, session: object) -> None:
        reading = self._reading
        transcription = member(member(member(session, "audio"), "input"), "transcription")
        # Older sessions have it at the top.
        transcription = transcription or member(session, TRANSCRIPTION)
        self._transcriber = word(member(transcription, "model"), LONGEST_MODEL) or self._transcriber
        served = word(member(session, "model"), LONGEST_MODEL) or self._transcriber
        reading.model_served = served or reading.model_served
        reading.response_id = word(member(session, "id"), LONGEST_ID) or reading.response_id

    def _take_response(self, response: object) -> None:
        reading = self._reading
        details = member(response, "status_details")
        status = word(member(response, "status"))
        reading.content = True
        reading.finish_reason = word(member(details, "reason")) or status or reading.finish_reason
        self._take_error(details)
        if isinstance(usage := member(response, "usage"), dict):
            self._take_usage(DONE, usage)

    def _take_error(self, event: object) -> None:
        """Take the code of an error. The connection goes on: most errors are about one message of the client's."""
        told = Reading()
        take_error(told, event)
        self._reading.error_type = told.error_type or self._reading.error_type

    def _take_usage(self, kind: str, usage: dict[str, object]) -> None:
        reading = self._reading
        if kind in SUMMED:
            one = Reading()
            take_usage(one, usage)
            reading.add(one)
            if kind == TRANSCRIBED and self._transcriber and one.counted:
                self._transcribed.setdefault(self._transcriber, Reading(self._transcriber)).add(one)
                reading.iterations = list(self._transcribed.values())
            told: dict[str, object] = {TRANSCRIPTION: usage} if kind == TRANSCRIBED else usage
            self._usage = _sum(self._usage, told)
        else:
            self._usage = self._usage | usage
        reading.measured = reading.measured or "seconds" in usage
        reading.usage_raw = raw.allowed(self._usage)


def _sum(usage: dict[str, object], more: dict[str, object]) -> dict[str, object]:
    """The sum of two usage objects, number by number."""
    return usage | {name: _plus(usage.get(name), value) for name, value in more.items()}


def _plus(one: object, another: object) -> object:
    if isinstance(another, dict):
        return _sum(one if isinstance(one, dict) else {}, another)
    if isinstance(one, int | float) and isinstance(another, int | float):
        return one + another
    return another
