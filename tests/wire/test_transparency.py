"""Promise 1: what arrives is what was sent, in both directions, compared with a run without the proxy."""

import json
from typing import Any

import httpx
import pytest

from tests.conftest import StartProxy
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.loopback import client_context
from tests.process import Proxy
from tests.vertex_simulator import Request
from tests.vertex_simulator import Simulator

UNARY = f"{MODEL}:generateContent"
SSE = f"{MODEL}:streamGenerateContent?alt=sse"
ARRAY = f"{MODEL}:streamGenerateContent"
FRAMING = {b"host", b"content-length", b"transfer-encoding", b"connection"}


def without_framing(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name.lower() not in FRAMING]


def arrived(request: Request) -> tuple[object, ...]:
    return request.method, request.path, request.query, without_framing(list(request.raw_headers)), request.body


KINDS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "unary": (UNARY, {}, {}),
    "unary chunked": (UNARY, {"chunked": True, "split": 7}, {}),
    "sse": (SSE, {}, {}),
    "sse in bits": (SSE, {"split": 3}, {}),
    "sse with LF": (SSE, {"newline": "\n"}, {}),
    "sse with CR": (SSE, {"newline": "\r"}, {}),
    "array": (ARRAY, {}, {}),
    "gzip": (UNARY, {}, {"accept-encoding": "gzip, deflate"}),
    "gzip sse": (SSE, {"encoding": "gzip"}, {"accept-encoding": "gzip"}),
    "br": (UNARY, {"encoding": "br"}, {"accept-encoding": "br"}),
    "zstd sse": (SSE, {"encoding": "zstd"}, {"accept-encoding": "zstd"}),
    "error": (UNARY, {"status": 429}, {}),
    "html error": (SSE, {"status": 503, "error": "html"}, {}),
    "error event": (SSE, {"error_after": 1}, {}),
    "a strange body": (UNARY, {}, {"content-encoding": "unknown"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_http1(tap: Proxy, simulator: Simulator, kind: str) -> None:
    path, plan, headers = KINDS[kind]
    headers = {"X-Odd-Case": "a,b", "user-agent": "x", **headers}
    direct = call(simulator.url, path, HELLO, plan=plan, headers=headers)
    sent = simulator.seen[-1].request
    through = call(tap.url, path, HELLO, plan=plan, headers=headers)
    assert arrived(simulator.seen[-1].request) == arrived(sent)
    assert through.status == direct.status
    assert through.body == direct.body
    assert through.headers == direct.headers


@pytest.mark.parametrize("kind", KINDS)
def test_http2(tap: Proxy, simulator: Simulator, confdir: Any, kind: str) -> None:
    path, plan, headers = KINDS[kind]
    headers = {"x-goog-api-key": API_KEY, "x-simulator": json.dumps(plan), "accept-encoding": "identity", **headers}
    direct = call(simulator.url, path, HELLO, plan=plan, headers=headers)
    context = client_context(confdir / "mitmproxy-ca-cert.pem", http2=True)
    with httpx.Client(verify=context, http2=True, trust_env=False) as client:
        request = client.build_request("POST", f"https://127.0.0.1:{tap.port}{path}", json=HELLO, headers=headers)
        answer = client.send(request, stream=True)
        body = b"".join(answer.iter_raw())
    assert (answer.http_version, answer.status_code) == ("HTTP/2", direct.status)
    assert body == direct.body
    received = [(name.lower(), value) for name, value in answer.headers.raw]
    # HTTP/2 writes names in lower case.
    expected = [(name.lower().encode(), value.encode()) for name, value in direct.headers]
    assert without_framing(received) == without_framing(expected)
    came = simulator.seen[-1].request
    assert (came.method, came.body) == ("POST", request.content)
    assert without_framing(list(came.raw_headers)) == without_framing(
        [(name.lower(), value) for name, value in request.headers.raw]
    )


@pytest.mark.parametrize("body", [b"", b"{", b'{"contents": []}', b"\xff\x00", b"[" * 10_000])
def test_bodies_that_are_refused(tap: Proxy, simulator: Simulator, body: bytes) -> None:
    direct = call(simulator.url, UNARY, body, method="POST")
    through = call(tap.url, UNARY, body, method="POST")
    assert (through.status, through.headers, through.body) == (direct.status, direct.headers, direct.body)
    assert simulator.seen[-1].request.body == body


def test_accept_encoding_is_left_alone(tap: Proxy, simulator: Simulator) -> None:
    for value in ("gzip, deflate, br, zstd", "identity", "x-odd;q=0.1"):
        call(tap.url, UNARY, HELLO, headers={"accept-encoding": value})
        assert simulator.seen[-1].request.headers["accept-encoding"] == value


def test_a_base_path_is_all_that_goes(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy("gateway_base_path=/vertex", mode=f"reverse:{simulator.url}")
    call(simulator.url, f"{UNARY}?alt=json&x=%2F", HELLO)
    sent = simulator.seen[-1].request
    call(proxy.url, f"/vertex{UNARY}?alt=json&x=%2F", HELLO)
    assert arrived(simulator.seen[-1].request) == arrived(sent)
