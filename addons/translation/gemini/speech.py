"""Sound that Gemini speaks: the voices, and the format that the client wants.

Gemini gives samples of 16 bits each, one channel: `audio/L16;codec=pcm;rate=24000`, or `audio/pcm;rate=24000` (Google's
page on speech generation). OpenAI calls this format pcm16. From Gemini 3.8 on, an answer that is not streamed is a wav
file of such samples (Google's page on migrating to Gemini 3.8 TTS).
"""

import base64
import io
import re
import wave
from dataclasses import replace

from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Request

DEFAULT_RATE = 24000
"""Samples a second, if the media type does not tell it."""
_SAMPLES = re.compile(r"audio/(?:L16|pcm)\b", re.IGNORECASE)
_WAV = re.compile(r"audio/(?:x-|vnd\.)?wave?\b", re.IGNORECASE)
_RATE = re.compile(r"\brate=([1-9]\d{0,5})\b")


VOICES = {
    "alloy": "Kore",
    "ash": "Orus",
    "ballad": "Enceladus",
    "cedar": "Iapetus",
    "coral": "Aoede",
    "echo": "Puck",
    "fable": "Umbriel",
    "marin": "Sulafat",
    "nova": "Leda",
    "onyx": "Charon",
    "sage": "Vindemiatrix",
    "shimmer": "Achernar",
    "verse": "Fenrir",
}
"""OpenAI's voices -> those of Gemini's prebuilt voices that stand for them; Gemini refuses names that it does not know.
The choice is ours. No two have the same."""


def is_given(request: Request) -> bool:
    """Whether the client gets sound in the format that it wants. A wav file begins with its length, so it cannot be
    streamed."""
    return request.audio_format in (None, "pcm16") or wants_wav(request)


def wants_wav(request: Request) -> bool:
    """Whether the samples are to be put into a wav file."""
    return request.audio_format == "wav" and not request.stream


def joined(parts: list[Part], as_wav: bool) -> list[Part]:
    """The parts of an answer, with all sound as samples. Those that follow one another become one part; a wav file if
    `as_wav`."""
    out: list[Part] = []
    for part in map(_out_of_wav, parts):
        last, samples = out[-1] if out else None, _samples(part)
        before = _samples(last)
        if isinstance(last, Media) and before is not None and samples is not None:
            out[-1] = replace(last, data=base64.b64encode(before + samples).decode())
        else:
            out.append(part)
    return [_in_wav(part) for part in out] if as_wav else out


def _samples(part: Part | None) -> bytes | None:
    """The samples in a part; None if it has none."""
    if not isinstance(part, Media) or not part.data or not _SAMPLES.match(part.mime_type):
        return None
    try:
        return base64.b64decode(part.data)
    except ValueError:
        return None


def _out_of_wav(part: Part) -> Part:
    """A part with a wav file as its samples; any other part as it is."""
    if not isinstance(part, Media) or not part.data or not _WAV.match(part.mime_type):
        return part
    try:
        with wave.open(io.BytesIO(base64.b64decode(part.data))) as file:
            rate, samples = file.getframerate(), file.readframes(file.getnframes())
    except (ValueError, EOFError, wave.Error):
        return part
    return replace(part, mime_type=f"audio/L16;codec=pcm;rate={rate}", data=base64.b64encode(samples).decode())


def _in_wav(part: Part) -> Part:
    """A part with its samples as a wav file; any other part as it is."""
    samples = _samples(part)
    if samples is None or not isinstance(part, Media):
        return part
    rate = _RATE.search(part.mime_type)
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(int(rate[1]) if rate else DEFAULT_RATE)
        file.writeframes(samples)
    return replace(part, mime_type="audio/wav", data=base64.b64encode(written.getvalue()).decode())
