import base64
import io
import wave
from typing import Any

import pytest

from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Turn
from addons.translation.gemini.read_answer import reader_for
from addons.translation.gemini.speech import is_given
from addons.translation.gemini.speech import joined
from addons.translation.gemini.speech import wants_wav
from addons.translation.gemini.write_request import write_request
from tests.addons.translation.gemini.examples import candidate
from tests.vertex_simulator.gemini_rules import VOICES


def sound(samples: bytes, mime_type: str = "audio/L16;codec=pcm;rate=24000") -> Media:
    return Media(mime_type, data=base64.b64encode(samples).decode())


PNG = Media("image/png", data="AAAA")
MP3 = Media("audio/mpeg", data="AAAA")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], []),
        ([sound(b"ab")], [sound(b"ab")]),
        # The padding of base64 ends before its pieces are put together.
        ([sound(b"ab"), sound(b"cdef"), sound(b"gh")], [sound(b"abcdefgh")]),
        ([Text("x"), sound(b"ab"), sound(b"cd")], [Text("x"), sound(b"abcd")]),
        ([sound(b"ab"), Text("x"), sound(b"cd")], [sound(b"ab"), Text("x"), sound(b"cd")]),
        # Files cannot be put together like this.
        ([MP3, MP3, PNG, PNG], [MP3, MP3, PNG, PNG]),
        ([sound(b"ab"), MP3], [sound(b"ab"), MP3]),
        ([Media("audio/L16", data="A"), sound(b"ab")], [Media("audio/L16", data="A"), sound(b"ab")]),
    ],
)
def test_samples_are_joined(parts: list[Part], expected: list[Part]) -> None:
    assert joined(parts, as_wav=False) == expected


def test_the_signature_stays() -> None:
    first = Media("audio/pcm;rate=8000", data="YWI=", signature=Signature("google", "AAAA"))
    (whole,) = joined([first, sound(b"cd", "audio/pcm;rate=8000")], as_wav=True)
    assert isinstance(whole, Media)
    assert whole.signature == Signature("google", "AAAA")


@pytest.mark.parametrize(
    ("mime_type", "rate"),
    [
        ("audio/L16;codec=pcm;rate=24000", 24000),
        ("audio/L16; rate=16000; codec=pcm", 16000),
        ("audio/pcm;rate=8000", 8000),
        ("audio/l16", 24000),
        ("audio/L16;rate=0", 24000),
    ],
)
def test_a_wav_file(mime_type: str, rate: int) -> None:
    (part, text) = joined([sound(b"abcd", mime_type), Text("x")], as_wav=True)
    assert isinstance(part, Media)
    assert (part.mime_type, text) == ("audio/wav", Text("x"))
    with wave.open(io.BytesIO(base64.b64decode(part.data or ""))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, rate)
        assert file.readframes(9) == b"abcd"


@pytest.mark.parametrize("mime_type", ["audio/wav", "audio/x-wav", "audio/WAV;rate=24000", "audio/vnd.wave"])
def test_a_wav_file_of_the_models_own(mime_type: str) -> None:
    """As Gemini 3.8 gives it: one that wants samples gets these."""
    (own,) = joined([sound(b"abcd", "audio/L16;rate=16000")], as_wav=True)
    assert isinstance(own, Media)
    given = Media(mime_type, data=own.data)
    assert joined([given, given], as_wav=False) == [sound(b"abcdabcd", "audio/L16;codec=pcm;rate=16000")]
    assert joined([given], as_wav=True) == [own]
    for broken in (sound(b"RIFF", mime_type), sound(b"ID3 of something else", mime_type), Media(mime_type, data="A")):
        assert joined([broken], as_wav=False) == [broken]


@pytest.mark.parametrize(
    ("asked", "voice"),
    [
        ("alloy", "Kore"),
        ("ash", "Orus"),
        ("ballad", "Enceladus"),
        ("cedar", "Iapetus"),
        ("coral", "Aoede"),
        ("echo", "Puck"),
        ("fable", "Umbriel"),
        ("marin", "Sulafat"),
        ("nova", "Leda"),
        ("onyx", "Charon"),
        ("sage", "Vindemiatrix"),
        ("shimmer", "Achernar"),
        ("verse", "Fenrir"),
        ("Alloy", "Kore"),
        # Names of Gemini's own, and of voices that were made by the user.
        ("Kore", "Kore"),
        ("puck", "puck"),
        ("voice_1234", "voice_1234"),
    ],
)
def test_voices(asked: str, voice: str) -> None:
    assert voice.lower() in VOICES or voice == "voice_1234"
    request = Request("gemini-3.8-flash-tts", voice=asked, turns=[Turn("user", [Text("x")])], names={"voice": "audio"})
    written = write_request(request)
    config: Any = written.body["generationConfig"]
    assert config["speechConfig"] == {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}}
    changed = [f"audio.voice={voice}"] if voice != asked else []
    assert [path for path in written.notes.assumed if "voice" in path] == changed


@pytest.mark.parametrize(
    ("format", "stream", "given", "wav"),
    [
        (None, False, True, False),
        ("pcm16", True, True, False),
        ("wav", False, True, True),
        ("wav", True, False, False),
        ("mp3", False, False, False),
        ("opus", True, False, False),
    ],
)
def test_formats(format: str | None, stream: bool, given: bool, wav: bool) -> None:
    request = Request("gemini-2.5-flash-preview-tts", audio_format=format, stream=stream)
    assert (is_given(request), wants_wav(request)) == (given, wav)
    blob = {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "YWI="}}
    answer = reader_for(request).read({"candidates": [candidate(blob, blob)]})
    (part,) = answer.choices[0].parts
    assert isinstance(part, Media)
    assert (part.mime_type == "audio/wav") == wav
    if not wav:
        assert base64.b64decode(part.data or "") == b"abab"
