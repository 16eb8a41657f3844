"""Answers, piece by piece: when they pass. Those of every dialect are in `test_fallback.py`, on the wire."""

import gzip
import json
import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from addons import gate
from addons.again import Verdict
from addons.attempts import Attempt
from addons.gate import Gate
from addons.gate import error_in
from addons.gate import retry_after
from metering.paths import parse

PATH = "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-flash:"
SSE = "text/event-stream"
WAIT, PASS, FAILED = Verdict.WAIT, Verdict.PASS, Verdict.FAILED


def answer(content_type: str, status: int = 200, body: bytes = b"", **headers: str) -> http.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.Response.make(status, body, {"content-type": content_type} | names)


def gate_for(content_type: str, path: str = f"{PATH}streamGenerateContent", *, in_parts: bool = False) -> Gate:
    return Gate(answer(content_type), Attempt(parse("POST", path), "POST"), "m", in_parts=in_parts)


def event(**told: object) -> bytes:
    return f"data: {json.dumps(told)}\r\n\r\n".encode()


CONTENT = event(candidates=[{"content": {"parts": [{"text": "Hi"}]}}])
USAGE = event(usageMetadata={"promptTokenCount": 4, "totalTokenCount": 4})


ERROR = b'{"error": {"code": 503, "status": "UNAVAILABLE"}}'


@pytest.mark.parametrize(
    ("body", "end"),
    [
        (b"", FAILED),
        (b"{}", PASS),
        (b'[{"a":1}]\r\n\r\n', PASS),
        (b'{"candidates": [{"con', FAILED),
        (ERROR, FAILED),
        (ERROR.replace(b"503", b"400").replace(b"UNAVAILABLE", b"INVALID_ARGUMENT"), PASS),
        # A document that is not for reading
        (b'{"a": "' + b"x" * 5000 + b'", "error": {"code": 503}}', PASS),
        (b'{"a": "' + b"x" * 5000, FAILED),
    ],
)
def test_a_whole_answer(body: bytes, end: Verdict) -> None:
    one = gate_for("application/json", f"{PATH}generateContent")
    assert [one.piece(body[start : start + 9]) for start in range(0, len(body), 9)] == [WAIT] * -(-len(body) // 9)
    assert one.end() is end


@pytest.mark.parametrize(("body", "end"), [(b"{}", PASS), (ERROR, FAILED)])
def test_a_whole_answer_in_a_coding(body: bytes, end: Verdict) -> None:
    head = answer("application/json", content_encoding="gzip")
    one = Gate(head, Attempt(parse("POST", f"{PATH}generateContent"), "POST"), "m", in_parts=False)
    assert (one.piece(gzip.compress(body)), one.end()) == (WAIT, end)


def test_nothing_at_all_is_no_answer() -> None:
    assert gate_for("", f"{PATH}generateContent").end() is FAILED


@pytest.mark.parametrize(
    ("pieces", "verdicts", "end"),
    [
        ([], [], FAILED),
        ([USAGE], [WAIT], FAILED),
        ([USAGE, CONTENT], [WAIT, PASS], PASS),
        ([CONTENT[:20], CONTENT[20:]], [WAIT, PASS], PASS),
        ([CONTENT[:-4]], [WAIT], PASS),
        ([event(error={"code": 503, "status": "UNAVAILABLE"})], [FAILED], FAILED),
        ([event(error={"code": 429, "status": "RESOURCE_EXHAUSTED"})], [FAILED], FAILED),
        ([event(error={"code": 400, "status": "INVALID_ARGUMENT"})], [PASS], PASS),
        ([event(error={"type": "overloaded_error"})], [FAILED], FAILED),
        ([event(error={"type": "permission_error"})], [PASS], PASS),
        ([event(error={"message": "?"})], [FAILED], FAILED),
        ([event(promptFeedback={"blockReason": "SAFETY"})], [PASS], PASS),
        ([event(candidates=[{"finishReason": "SAFETY"}])], [PASS], PASS),
        ([b"\xff\xfe", b"data"], [WAIT, WAIT], FAILED),
    ],
)
def test_a_stream(pieces: list[bytes], verdicts: list[Verdict], end: Verdict) -> None:
    one = gate_for(SSE)
    assert [one.piece(piece) for piece in pieces] == verdicts
    assert one.end() is end


def test_an_array() -> None:
    one = gate_for("application/json", in_parts=True)
    assert [one.piece(piece) for piece in (b"[", b'{"candidates": [{"content": {"parts": [{"text": "x"}]}}]}')] == [
        WAIT,
        PASS,
    ]


def test_a_whole_answer_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "LARGEST_HELD", 8)
    one = gate_for("application/json; charset=UTF-8", f"{PATH}generateContent")
    assert [one.piece(b'{"a": '), one.piece(b"1}"), one.end(), one.piece(b" ")] == [WAIT, WAIT, PASS, PASS]


@pytest.mark.parametrize("content_type", ["audio/mpeg", "text/html", ""])
def test_anything_else_passes_with_its_first_byte(content_type: str) -> None:
    assert gate_for(content_type, "/v1/audio/speech").piece(b"x") is PASS


def test_first_events_of_any_size_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "MOST_EVENTS", 100)
    one = gate_for(SSE)
    assert [one.piece(b": " + b"x" * 50), one.piece(b"x" * 50)] == [WAIT, PASS]


@pytest.mark.parametrize(
    ("content_type", "action", "pieces"),
    [
        (SSE, "streamGenerateContent", [USAGE]),
        (SSE, "streamGenerateContent", [USAGE[:-4]]),
        ("application/json", "generateContent", [b'{"usageMetadata": {"promptTokenCount": 4}, "candi']),
    ],
)
def test_what_was_used(content_type: str, action: str, pieces: list[bytes]) -> None:
    """Of an answer that broke off, too."""
    one = gate_for(content_type, PATH + action)
    for piece in pieces:
        one.piece(piece)
    assert one.reading
    assert one.reading.input_tokens == 4


@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_are_judged(pieces: list[bytes]) -> None:
    for one in (gate_for(SSE), gate_for("application/json", in_parts=True), gate_for("application/json")):
        assert {*map(one.piece, pieces), one.end()} <= set(Verdict)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error": {"status": "UNAVAILABLE"}}', "UNAVAILABLE"),
        (b'[{"error": {"status": "INTERNAL"}}]', "INTERNAL"),
        (b'{"error": {"type": "overloaded_error"}}', "overloaded_error"),
        (b"<html>", "UNAVAILABLE"),
        (b"[" * 100_000, "UNAVAILABLE"),
    ],
)
def test_the_code_of_an_error(body: bytes, expected: str) -> None:
    assert error_in(answer("application/json", 503, body)) == expected


@pytest.mark.parametrize(
    ("told", "body", "expected"),
    [
        ("7", b"", 7),
        ("1.5", b"", 1.5),
        ("", b'{"error": {"details": [{"retryDelay": "12.5s"}]}}', 12.5),
        ("", b'{"error": {"details": [{"retryDelay" : "3s"}]}}', 3),
        ("2", b'{"retryDelay": "9s"}', 2),
        ("soon", b"", None),
        ("99999999999", b"", 99999999999),
        ("-5", b"", None),
        ("", b'{"retryDelay": "-9s"}', None),
    ],
)
def test_when_it_may_be_asked_again(told: str, body: bytes, expected: float | None) -> None:
    assert retry_after(answer("application/json", 429, body, retry_after=told)) == expected


def test_a_date() -> None:
    for seconds, expected in ((100, 100), (-100, 0)):
        told = retry_after(answer("", 503, retry_after=formatdate(time.time() + seconds, usegmt=True)))
        assert told is not None
        assert expected - 20 <= told <= expected
