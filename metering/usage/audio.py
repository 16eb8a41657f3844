"""Reads OpenAI's answers to audio/transcriptions, audio/translations and audio/speech (OpenAI's API reference).

Some models are billed by tokens, others by seconds: `{"type": "duration", "seconds": 27}`; `verbose_json` has them as
`duration` too, and Mistral's answers as `prompt_audio_seconds`. No column is for seconds of sound, so only `usage_raw`
has them. Subtitles, plain text and sound tell no usage.
"""

import re

from metering.json_values import member
from metering.usage import raw
from metering.usage.errors import ERROR_NAMES
from metering.usage.errors import take_error
from metering.usage.openai import USAGE_NAMES
from metering.usage.openai import take_names
from metering.usage.openai import take_usage
from metering.usage.reader import Reader


class AudioReader(Reader):
    """Reads a complete answer, or the events of a stream, which ends with `transcript.text.done` or
    `speech.audio.done`."""

    wanted = ERROR_NAMES | USAGE_NAMES | frozenset("model seconds duration".split())
    ends_with_event = True

    def read(self, event: object) -> None:
        reading = self._reading
        take_error(reading, event)
        kind = member(event, "type")
        if isinstance(kind, str):
            reading.content = reading.content or kind.endswith((".delta", ".segment"))
            reading.terminal = kind.endswith(".done")
        take_names(reading, event)
        usage = member(event, "usage")
        take_usage(reading, usage)
        for told, name in ((usage, "seconds"), (usage, "prompt_audio_seconds"), (event, "duration")):
            seconds = _seconds(member(told, name))
            if seconds is not None and not reading.counted:
                reading.measured = True
                reading.usage_raw = reading.usage_raw or raw.allowed({name: seconds})


def _seconds(value: object) -> float | None:
    """A duration, which older answers have as text: `"8.47"`."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
        return None
    return value


_DECIMAL = re.compile(r"\d{1,9}(?:\.\d{1,18})?", re.ASCII)
