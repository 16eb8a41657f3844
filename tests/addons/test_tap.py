import gzip
import json
import logging
import random

import brotli
import pytest
from mitmproxy import http

from addons.tap import Tap
from metering.call import UsageState
from metering.usage.audio import AudioReader
from metering.usage.errors import ErrorReader
from metering.usage.formats import Usage
from metering.usage.gemini import GeminiReader
from metering.usage.openai import ChatReader

ANSWER = json.dumps({"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 3}}).encode()
EVENT = b"data: " + ANSWER + b"\r\n\r\n"


def tap(usage: Usage, ends: list[int], **headers: str) -> Tap:
    response = http.Response.make()
    response.headers = http.Headers([(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()])
    made = Tap(response, usage, lambda: ends.append(made.bytes))
    return made


def test_pieces_pass_as_they_are() -> None:
    made = tap(Usage(GeminiReader(), None), [], content_type="text/event-stream")
    assert [made(piece) for piece in (EVENT[:5], EVENT[5:], b"")] == [EVENT[:5], EVENT[5:], []]


def test_the_end_is_told_before_the_last_counted_byte() -> None:
    ends: list[int] = []
    reader = GeminiReader()
    made = tap(Usage(reader, None), ends, content_type="application/json", content_length=str(len(ANSWER)))
    made(ANSWER[:-1])
    assert ends == []
    made(ANSWER[-1:])
    assert (ends, made.complete, reader.reading.input_tokens) == ([len(ANSWER)], True, 3)
    made(b"")
    assert ends == [len(ANSWER)]


def test_the_end_is_told_in_the_final_call() -> None:
    ends: list[int] = []
    made = tap(Usage(GeminiReader(), None), ends, content_type="text/event-stream")
    made(EVENT)
    assert ends == []
    made(b"")
    assert ends == [len(EVENT)]
    # mitmproxy 11 may call twice at the end.
    made(b"")
    assert ends == [len(EVENT)]


def test_the_end_is_told_with_the_event_that_ends_it() -> None:
    ends: list[int] = []
    made = tap(Usage(ChatReader(), None), ends, content_type="text/event-stream; charset=utf-8")
    made(b'data: {"choices": []}\n\n')
    assert ends == []
    made(b"data: [DONE]\n\n")
    assert len(ends) == 1


@pytest.mark.parametrize("content_type", ["audio/mpeg", "Audio/PCM", "video/mp4", "image/png"])
def test_sound_is_not_read(content_type: str) -> None:
    ends: list[int] = []
    reader = AudioReader()
    made = tap(Usage(reader, None), ends, content_type=content_type)
    piece = b'{"usage": {"input_tokens": 5}}'
    assert [made(piece), made(b"")] == [piece, []]
    assert (ends, made.complete, reader.reading.counted) == ([len(piece)], True, False)


def test_content_is_timed() -> None:
    made = tap(Usage(GeminiReader(), None), [], content_type="text/event-stream")
    made(b'data: {"usageMetadata": {"trafficType": "ON_DEMAND"}}\n\n')
    assert made.first_content is None
    made(b'data: {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}\n\n')
    assert made.first_content is not None
    assert made.first_content == made.last_byte


def test_a_cut_answer_still_tells() -> None:
    reader = GeminiReader()
    made = tap(Usage(reader, None), [], content_type="application/json")
    made(b'{"usageMetadata": {"promptTokenCount": 3, "cand')
    made.break_off()
    assert reader.reading.input_tokens == 3


@pytest.mark.parametrize(
    ("content_type", "body", "is_cut"),
    [
        ("application/json", ANSWER[:-1], True),
        ("application/json", ANSWER, False),
        ("application/json", b"[" + ANSWER[:-1], True),
        ("application/json", b"[" + ANSWER, False),
        ("application/json", b"[" + ANSWER + b"," + ANSWER[:-1], False),
        ("text/event-stream", EVENT.rstrip()[:-1], True),
        ("text/event-stream", EVENT.rstrip(), False),
        ("text/event-stream", EVENT + EVENT.rstrip()[:-1], False),
    ],
)
def test_whether_the_last_event_was_cut(content_type: str, body: bytes, is_cut: bool) -> None:
    made = tap(Usage(GeminiReader(), None), [], content_type=content_type)
    made(body)
    made.break_off()
    assert made.is_cut == is_cut


def test_the_error_that_breaks_off_a_stream() -> None:
    """Google sends it as a document of several lines."""
    reader = GeminiReader()
    made = tap(Usage(reader, None), [], content_type="text/event-stream")
    made(EVENT)
    made(json.dumps({"error": {"code": 503, "status": "UNAVAILABLE"}}, indent=2).encode())
    made(b"")
    assert (reader.reading.failed, reader.reading.error_type, reader.reading.input_tokens) == (True, "UNAVAILABLE", 3)


@pytest.mark.parametrize("body", [b'{"error": {"status": "X"}}', b'\r\n[{"error": {"status": "X"}}]'])
def test_a_document_that_is_called_a_stream(body: bytes) -> None:
    reader = ErrorReader()
    made = tap(Usage(reader, None), [], content_type="text/event-stream")
    for position in range(len(body)):
        made(body[position : position + 1])
    made(b"")
    assert reader.reading.error_type == "X"


CUT = b'data: {"usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}, "cand'


def test_a_row_that_is_closed_in_the_middle_of_an_event() -> None:
    """Its stream may go on, as at the reload of a script: what is converted gets the event whole, and once."""
    reader, events = GeminiReader(), list[object]()
    made = tap(Usage(reader, None), [], content_type="text/event-stream")
    made.share(events.append)
    made(CUT)
    made.break_off()
    assert (reader.reading.input_tokens, events) == (3, [])
    made(b'idates": []}\n\n')
    assert events == [{"usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}, "candidates": []}]


def test_what_has_come_whole_is_counted_once() -> None:
    reader = GeminiReader()
    made = tap(Usage(reader, None), [], content_type="application/json")
    picture = {"inlineData": {"mimeType": "image/png", "data": "x"}}
    made.take(json.dumps({"candidates": [{"content": {"parts": [picture]}}]}).encode())
    made.end()
    made.break_off()
    assert reader.reading.images == 1


@pytest.mark.parametrize("headers", [{"content_encoding": "gzip"}, {"content_encoding": "made-up"}])
def test_what_cannot_be_decoded_passes(headers: dict[str, str]) -> None:
    ends: list[int] = []
    made = tap(Usage(GeminiReader(), None), ends, content_type="application/json", **headers)
    assert made(ANSWER) == ANSWER
    assert made(b"") == []
    assert (made.usage.state, ends) == (UsageState.UNSUPPORTED, [len(ANSWER)])


def test_a_gzip_that_breaks_off() -> None:
    reader = GeminiReader()
    made = tap(Usage(reader, None), [], content_type="application/json", content_encoding="gzip")
    packed = gzip.compress(ANSWER)
    made(packed[: len(packed) // 2])
    made(b"\0" * 50)
    made(b"")
    assert made.complete


BOMB = brotli.compress(bytes(50_000_000), quality=1)
TOO_MUCH = {
    "few bytes that stand for many": (BOMB, {"content_type": "application/json", "content_encoding": "br"}),
    "tiny events": (b"data: 1\n\n" * 50_000, {"content_type": "text/event-stream"}),
    "lines": (b"\n" * 200_000, {"content_type": "text/event-stream"}),
    "arrays": (b'{"candidates": [' + b"[]," * 100_000, {"content_type": "application/json"}),
    "numbers": (b"[" + b"1," * 100_000, {"content_type": "application/json"}),
    "objects in few events": (
        (b'data: {"candidates": [' + b"{}," * 20_000 + b"0]}\n\n") * 5,
        {"content_type": "text/event-stream"},
    ),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_an_answer_that_is_too_much_work(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """It passes, is not metered, and costs nothing from then on."""
    body, headers = TOO_MUCH[name]
    ends: list[int] = []
    made = tap(Usage(GeminiReader(), None), ends, **headers)
    if made.event_stream:
        made(EVENT)
    with caplog.at_level(logging.WARNING):
        assert made(body) == body
        assert made(body) == body
    assert made(b"") == []
    assert (made.usage, len(ends)) == (Usage(None, UsageState.UNSUPPORTED), 1)
    assert made._parts is None
    assert [record.message for record in caplog.records] == [
        "vertex-tap: an answer is not metered: it unpacks to far more than its size, or has far too many tiny parts"
    ]


CHUNK = json.dumps(
    {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Hello, here is more of it."}]}}],
        "usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 30, "trafficType": "ON_DEMAND"},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "abc",
    }
).encode()
AS_THEY_ARE = {
    "a long stream": (b"data: " + CHUNK + b"\r\n\r\n") * 20_000,
    "a long array": b"[" + (CHUNK + b",\r\n") * 20_000 + CHUNK + b"]",
    "a picture": b'{"candidates":[{"content":{"parts":[{"inlineData":{"data":"'
    + b"A" * 50_000_000
    + b'"}}]}}],%b}' % b'"usageMetadata":{"promptTokenCount":10}',
    "vectors": b'{"x":[' + b"0.0123456," * 2_000_000 + b'1],"usageMetadata":{"promptTokenCount":10}}',
}


@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_answers_of_any_size_as_they_are(name: str) -> None:
    body = AS_THEY_ARE[name]
    reader = GeminiReader()
    made = tap(Usage(reader, None), [], content_type="text/event-stream" if "stream" in name else "application/json")
    for start in range(0, len(body), 65536):
        made(body[start : start + 65536])
    made(b"")
    assert (made.usage.reader, reader.reading.input_tokens) == (reader, 10)


def test_a_long_chat_that_comes_compressed_and_at_once() -> None:
    chance = random.Random(1)
    events = [b"data: " + CHUNK.replace(b"Hello", chance.randbytes(15).hex().encode()) + b"\n\n" for _ in range(4_000)]
    packed = gzip.compress(b"".join(events))
    reader = GeminiReader()
    made = tap(Usage(reader, None), [], content_type="text/event-stream", content_encoding="gzip")
    for start in range(0, len(packed), 65536):
        made(packed[start : start + 65536])
    made(b"")
    assert (made.usage.reader, reader.reading.input_tokens) == (reader, 10)


def test_what_is_here_whole_is_read_as_if_it_had_come() -> None:
    ends: list[int] = []
    reader = GeminiReader()
    made = tap(Usage(reader, None), ends, content_type="text/event-stream", content_encoding="gzip")
    made.take(gzip.compress(EVENT * 100))
    assert (ends, reader.reading.input_tokens) == ([], 3)
    made.end()
    assert (made.complete, len(ends)) == (True, 1)


def test_a_length_that_is_no_number() -> None:
    made = tap(Usage(GeminiReader(), None), [], content_type="application/json", content_length="1" * 100_000)
    assert made(ANSWER) == ANSWER
    assert not made.complete


class BrokenReader(GeminiReader):
    def read(self, event: object) -> None:
        raise ValueError("the prompt says: secret")


def test_trouble_with_reading_does_not_touch_traffic(caplog: pytest.LogCaptureFixture) -> None:
    ends: list[int] = []
    made = tap(Usage(BrokenReader(), None), ends, content_type="text/event-stream")
    with caplog.at_level(logging.ERROR):
        assert made(EVENT) == EVENT
        assert made(b"") == []
    assert ends == [len(EVENT)]
    assert made.usage.state == UsageState.UNSUPPORTED
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text
