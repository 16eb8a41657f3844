from typing import Any

import pytest
from hypothesis import given

from metering.usage.audio import AudioReader
from tests.metering.test_json_array import json_values
from tests.metering.usage.told import ANYTHING
from tests.metering.usage.told import counts
from tests.metering.usage.told import pruned
from tests.metering.usage.told import read
from tests.metering.usage.told import told

Json = dict[str, Any]
TOKENS = {
    "type": "tokens",
    "input_tokens": 114,
    "input_token_details": {"text_tokens": 14, "audio_tokens": 100},
    "output_tokens": 45,
    "total_tokens": 159,
}
COUNTS = {
    "input_tokens": 114,
    "input_by_modality": {"text": 14, "audio": 100},
    "output_tokens": 45,
    "total_tokens": 159,
}


@pytest.mark.parametrize("answer", [{"text": "Hello", "usage": TOKENS}, {"duration": 8.5, "usage": TOKENS}])
def test_tokens(answer: Json) -> None:
    assert counts(AudioReader(), answer) == COUNTS
    assert counts(AudioReader(), *pruned(AudioReader(), answer)) == COUNTS
    assert told(AudioReader(), answer)["usage_raw"] == TOKENS


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ({"text": "Hello", "usage": {"type": "duration", "seconds": 27}}, {"type": "duration", "seconds": 27}),
        ({"text": "Hello", "usage": {"type": "duration", "seconds": 8.47}}, {"type": "duration", "seconds": 8.47}),
        (
            {"duration": 8.47, "usage": {"type": "duration", "seconds": 9}},
            {"type": "duration", "seconds": 9},
        ),
        ({"task": "transcribe", "duration": 8.47, "text": "Hello"}, {"duration": 8.47}),
        # Whisper has told it as text.
        ({"task": "transcribe", "duration": "8.47", "text": "Hello"}, {"duration": 8.47}),
        ({"text": "Hello", "usage": {"type": "duration", "seconds": "27"}}, {"type": "duration", "seconds": 27}),
        ({"text": "", "usage": {"prompt_audio_seconds": 2}}, {"prompt_audio_seconds": 2}),
        # Nothing was heard.
        ({"text": "", "usage": {"type": "duration", "seconds": 0}}, {"type": "duration", "seconds": 0}),
    ],
)
def test_seconds(answer: Json, kept: Json) -> None:
    assert told(AudioReader(), answer) == {"measured": True, "usage_raw": kept}
    assert told(AudioReader(), *pruned(AudioReader(), answer)) == {"measured": True, "usage_raw": kept}


@pytest.mark.parametrize(
    "answer",
    [
        b"1\n00:00:00,000 --> 00:00:04,000\nHello",
        b"\xff\xf3\xe4\xc4",
        {"text": "Hello"},
        {"text": "Hello", "usage": {"type": "duration"}},
        {"text": "Hello", "usage": {"type": "duration", "seconds": "long"}},
        {"text": "Hello", "duration": -1.5},
    ],
)
def test_without_usage(answer: object) -> None:
    assert not told(AudioReader(), answer).get("measured")
    assert counts(AudioReader(), answer) == {}


@pytest.mark.parametrize(
    ("deltas", "done"),
    [
        (["transcript.text.delta", "transcript.text.delta"], "transcript.text.done"),
        (["transcript.text.segment"], "transcript.text.done"),
        (["speech.audio.delta"], "speech.audio.done"),
        (["transcription.text.delta"], "transcription.done"),
    ],
)
def test_streams(deltas: list[str], done: str) -> None:
    reader = AudioReader()
    for delta in deltas:
        reader.read({"type": delta, "delta": "Hello", "audio": "QUJD"})
        assert (reader.content, reader.terminal) == (True, False)
    assert counts(reader, {"type": done, "text": "Hello", "usage": TOKENS}) == COUNTS
    assert reader.terminal


def test_an_error() -> None:
    known = told(AudioReader(), {"type": "transcript.text.delta"}, {"error": {"code": "server_error"}})
    assert known == {"content": True, "failed": True, "error_type": "server_error"}


@given(value=json_values)
def test_any_shape(value: object) -> None:
    read(AudioReader(), value, {"usage": value, "duration": value}, {"usage": {"seconds": value}}, *ANYTHING)
