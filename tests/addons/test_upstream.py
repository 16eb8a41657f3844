"""Requests of our own, to real sockets."""

import asyncio
import gzip
import json
import threading
from collections.abc import Awaitable
from collections.abc import Callable
from typing import Any
from typing import TypeVar

import pytest
import requests
from mitmproxy import http
from mitmproxy.test import taddons

from addons.upstream import AT_ONCE
from addons.upstream import Together
from addons.upstream import content_of
from addons.upstream import in_thread
from addons.upstream import send
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.vertex_simulator import Simulator

T = TypeVar("T")


def run(ask: Callable[[], Awaitable[T]]) -> T:
    """With mitmproxy's options, which say whom to trust."""

    async def asked() -> T:
        with taddons.context():
            return await ask()

    return asyncio.run(asked())


def hello(url: str, **headers: str) -> http.Request:
    made = http.Request.make("POST", f"{url}{MODEL}:generateContent", json.dumps(HELLO))
    made.headers.update({"content-type": "application/json", "x-goog-api-key": API_KEY} | headers)
    return made


def test_an_answer_comes_whole_and_as_it_was_sent(simulator: Simulator) -> None:
    answer = run(lambda: send(hello(simulator.url, **{"accept-encoding": "gzip"})))
    assert answer.status_code == 200
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-length"] == str(len(answer.raw_content or b""))
    assert json.loads(gzip.decompress(answer.raw_content or b""))["candidates"]
    assert json.loads(content_of(answer))["candidates"]


def test_what_cannot_be_decoded_is_looked_at_as_it_is() -> None:
    assert content_of(http.Response.make(200, b"{}")) == b"{}"
    broken = http.Response.make(200, b"{}")
    broken.headers["content-encoding"] = "gzip"
    assert content_of(broken) == b"{}"
    bomb = http.Response.make(200)
    bomb.raw_content, bomb.headers["content-encoding"] = gzip.compress(bytes(400_000_000), 1), "gzip"
    assert content_of(bomb) == b""


def test_what_is_sent_is_what_mitmproxy_would_send(simulator: Simulator) -> None:
    sent = hello(simulator.url, **{"x-team": "é"})
    run(lambda: send(sent))
    arrived = simulator.seen[-1].request
    assert arrived.body == sent.raw_content
    framing = {"host", "content-length"}
    assert {name.decode().lower() for name, _ in arrived.raw_headers} == {*map(str.lower, sent.headers)} | framing


def test_an_error_is_an_answer(simulator: Simulator) -> None:
    plan = json.dumps({"status": 429})
    assert run(lambda: send(hello(simulator.url, **{"x-simulator": plan}))).status_code == 429


def ignored(*_: object) -> None:
    pass


async def never(request: http.Request) -> bool:
    return False


def together(url: str, count: int, *plans: dict[str, Any], again: Callable[..., Any] = never) -> list[Any]:
    """The answers to so many requests, the first of which have plans."""
    told = [json.dumps(plan) for plan in plans] + ["{}"] * (count - len(plans))

    async def ask() -> list[http.Response | Exception]:
        sent = Together([hello(url, **{"x-simulator": plan}) for plan in told], again, ignored, ignored)
        await sent.wait()
        return sent.answers

    return run(ask)


def test_many_at_once_share_connections(simulator: Simulator) -> None:
    before = simulator.connections
    answers = together(simulator.url, 3 * AT_ONCE)
    assert [answer.status_code for answer in answers] == [200] * 3 * AT_ONCE
    assert simulator.connections - before <= AT_ONCE


def test_after_one_that_fails_no_more_are_sent(simulator: Simulator) -> None:
    before = len(simulator.seen)
    answers = together(simulator.url, 4 * AT_ONCE, {"status": 429})
    assert [answer.status_code for answer in answers].count(429) == 1
    assert len(answers) == len(simulator.seen) - before < 4 * AT_ONCE


def test_one_that_cannot_be_sent(simulator: Simulator) -> None:
    (answer,) = together("http://127.0.0.1:1", 1)
    assert isinstance(answer, requests.ConnectionError)


@pytest.mark.parametrize("renews", [True, False])
def test_a_token_that_is_not_taken(simulator: Simulator, renews: bool) -> None:
    async def again(request: http.Request) -> bool:
        request.headers["x-simulator"] = "{}"
        return renews

    answers = together(simulator.url, 2, {"status": 401}, again=again)
    assert [answer.status_code for answer in answers] == [200 if renews else 401, 200]


def test_only_whom_we_trust(google: Simulator) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        run(lambda: send(hello(google.url)))


def test_the_loop_goes_on() -> None:
    """What blocks does so elsewhere, and what it raises comes back."""
    released = threading.Event()

    async def wait() -> bool:
        waiting = asyncio.create_task(in_thread(released.wait, 10))
        await asyncio.sleep(0)
        released.set()
        return await waiting

    assert run(wait)

    async def fail() -> None:
        await in_thread(int, "no number")

    with pytest.raises(ValueError, match="no number"):
        run(fail)
