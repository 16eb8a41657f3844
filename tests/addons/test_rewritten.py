"""What becomes of whole answers and of pieces. Over sockets: tests/wire/test_rewriting.py."""

import asyncio
import json
import logging
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from addons.attempts import Attempt
from addons.configuration.settings import read
from addons.exchange import Exchange
from addons.metered import Told
from addons.progress import Progress
from addons.rewritten import Stream
from addons.rewritten import answer_of_ours
from addons.rewritten import rewrite_answer
from addons.rewritten import take_headers
from addons.tap import Tap
from addons.translation import conversions
from addons.translation.errors import Failure
from addons.translation.plan import ClientRequest
from addons.upstream import OffLoop
from metering.call import Call
from metering.paths import parse
from metering.usage.formats import Usage
from metering.usage.gemini import GeminiReader
from tests.configuration import DEFAULTS

CONFIGURATION = read(DEFAULTS | {"usage_db": "/tmp/usage.db"}, [])
CHAT: dict[str, Any] = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Hi"}]}
ANSWER = {
    "candidates": [{"content": {"parts": [{"text": "Hello"}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
}
EVENT = b"data: %b\r\n\r\n" % json.dumps(ANSWER).encode()


async def never(request: http.Request) -> bool:
    return False


def asked(body: dict[str, Any]) -> Exchange:
    """A chat that has been sent to Gemini."""
    path = "/v1/chat/completions"
    exchange = Exchange(Call(started_at=0), parse("POST", path), "", path, None, CONFIGURATION)
    told = ClientRequest(
        "chat/completions", "POST", "chat/completions", "", "application/json", json.dumps(body).encode()
    )
    exchange.plan = conversions.from_openai(told, str)
    exchange.add_attempt(Attempt(None, "POST"))
    exchange.move(Progress.HELD)
    return exchange


def rewritten(response: http.Response, body: dict[str, Any] = CHAT) -> tuple[http.Response, Told | None]:
    flow = tflow.tflow()
    told = asyncio.run(rewrite_answer(flow, asked(body), response, OffLoop(), never))
    return response, told


def test_an_answer_that_came_whole() -> None:
    headers = {"content-type": "application/json", "x-goog-secret": "x", "retry-after": "3"}
    response, told = rewritten(http.Response.make(200, json.dumps(ANSWER), headers))
    assert response.json()["choices"][0]["message"]["content"] == "Hello"
    assert told is None
    assert set(response.headers) == {"content-type", "content-length", "retry-after", "x-request-id"}


def test_an_error_in_the_clients_words() -> None:
    error = {"error": {"code": 429, "message": "Too fast.", "status": "RESOURCE_EXHAUSTED"}}
    response, told = rewritten(http.Response.make(429, json.dumps(error), {"retry-after": "7"}))
    assert (response.status_code, response.headers["retry-after"], told) == (429, "7", None)
    assert response.json()["error"]["code"] == "rate_limit_exceeded"


def test_an_error_with_the_clients_names() -> None:
    """The client knows no `_21st_magic`."""
    tools = [{"type": "function", "function": {"name": "21st_magic"}}]
    error = {"error": {"code": 400, "message": "Bad schema of _21st_magic.", "status": "INVALID_ARGUMENT"}}
    response, _ = rewritten(http.Response.make(400, json.dumps(error)), CHAT | {"tools": tools})
    assert response.json()["error"]["message"] == "Bad schema of 21st_magic."


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b""])
def test_an_answer_that_cannot_be_read(body: bytes) -> None:
    response, told = rewritten(http.Response.make(200, body))
    assert (response.status_code, told) == (502, Told(502, None, broke=True))
    assert response.json()["error"]["type"] == "server_error"


def test_an_error_with_status_200() -> None:
    """The row has the status that the client gets."""
    error = {"error": {"code": 503, "message": "Try later.", "status": "UNAVAILABLE"}}
    response, told = rewritten(http.Response.make(200, json.dumps(error)))
    assert (response.status_code, told) == (503, Told(503, None, broke=True))


@pytest.mark.parametrize("as_events", [True, False])
def test_a_stream_that_came_whole(as_events: bool) -> None:
    """After a repetition, or as an array."""
    body, content_type = (EVENT, "text/event-stream") if as_events else (json.dumps([ANSWER]), "application/json")
    response, told = rewritten(http.Response.make(200, body, {"content-type": content_type}), CHAT | {"stream": True})
    assert (response.headers["content-type"], told) == ("text/event-stream", None)
    assert response.content
    assert response.content.endswith(b"data: [DONE]\n\n")
    assert b'"content":"Hello"' in response.content


class TestStream:
    def streamed(self, *pieces: bytes, coding: str = "") -> tuple[bytes, Tap, int]:
        """What the client gets, the tap, and how often a failure was told."""
        plan = asked(CHAT | {"stream": True}).plan
        assert plan
        assert plan.conversion
        headers = {"content-type": "text/event-stream", "content-encoding": coding}
        tap = Tap(http.Response.make(200, b"", headers), Usage(GeminiReader(), None), lambda: None)
        failures: list[int] = []
        stream = Stream(tap, plan.conversion, lambda: failures.append(1))
        return b"".join(b"".join(stream(piece)) for piece in (*pieces, b"")), tap, len(failures)

    @pytest.mark.parametrize("cut", range(1, len(EVENT), 7))
    def test_pieces_of_any_size(self, cut: int) -> None:
        body, tap, failures = self.streamed(EVENT[:cut], EVENT[cut:])
        assert body.count(b'"content":"Hello"') == 1
        assert (tap.bytes, tap.complete, failures) == (len(EVENT), True, 0)
        assert tap.usage.reader
        assert tap.usage.reader.reading.total_tokens == 5

    def test_an_event_that_is_no_json(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.ERROR):
            body, _, failures = self.streamed(b"data: {secret\r\n\r\n")
        assert failures == 1
        assert b'"error"' in body
        assert "secret" not in caplog.text + body.decode()

    def test_a_coding_that_it_is_not_in(self) -> None:
        body, _, failures = self.streamed(EVENT, coding="gzip")
        assert failures == 1
        assert b'"error"' in body


def test_headers_that_tell_what_was_dropped() -> None:
    exchange = asked(CHAT | {"logit_bias": {"1": 2}, "store": True})
    response = http.Response.make(200, b"", {"server": "x", "x-other": "y"})
    assert exchange.plan
    take_headers(response, exchange, exchange.plan, "text/event-stream")
    assert "logit_bias" in response.headers["x-vertex-tap-dropped"]
    assert (response.headers["server"], response.headers["cache-control"]) == ("x", "no-cache")
    assert "x-other" not in response.headers
    assert response.headers["x-request-id"] == exchange.call.id


def test_many_notes_are_told_in_few_words() -> None:
    exchange = asked(CHAT | {"messages": [{"role": "user", "content": "x", "name": "ann"}] * 70, "store": True})
    response = http.Response.make(200, b"", {})
    assert exchange.plan
    take_headers(response, exchange, exchange.plan, "text/event-stream")
    assert response.headers["x-vertex-tap-dropped"].split(", ") == ["store", "messages[].name"]


def test_an_answer_without_an_upstream() -> None:
    path = "/v1/models"
    exchange = Exchange(Call(started_at=0), parse("GET", path), "", path, None, CONFIGURATION)
    told = ClientRequest("models", "GET", "models", "", "", b"")
    exchange.plan = conversions.list_models(told, ["gemini-2.5-flash"], False)
    answer = answer_of_ours(exchange)
    assert isinstance(answer, http.Response)
    assert [model["id"] for model in answer.json()["data"]] == ["gemini-2.5-flash"]
    exchange.plan = conversions.list_models(told._replace(resource="gpt-5"), ["gemini-2.5-flash"], False)
    missing = answer_of_ours(exchange)
    assert isinstance(missing, Failure)
    assert missing.status == 404
