"""Promise 1: what arrives is what was sent, in both directions, compared with a run without the proxy."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
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


HEAD = (
    b"Date: Sat, 28 Nov 2026 00:00:00 GMT\r\nX-Goog-Upload-URL: https://upload.example/upload?upload_id=AIzaAbC&x=1\r\n"
    b"Location: /there?key=AIzaAbC#x\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\nX-Api-Key: AIzaAbC\r\n"
    b'WWW-Authenticate: Bearer realm="x"\r\nX-Echo: a prompt\r\n'
)
WITHOUT_BODY = {
    "an empty body": ("POST", b"HTTP/1.1 200 Fine by me\r\nContent-Length: 0\r\n" + HEAD + b"\r\n"),
    "an empty body in chunks": (
        "POST",
        b"HTTP/1.1 200 Fine by me\r\nTransfer-Encoding: chunked\r\n" + HEAD + b"\r\n0\r\n\r\n",
    ),
    "no content": ("DELETE", b"HTTP/1.1 204 Gone it is\r\n" + HEAD + b"\r\n"),
    "not modified": ("GET", b'HTTP/1.1 304 As it was\r\nETag: "x"\r\n' + HEAD + b"\r\n"),
    "HEAD": ("HEAD", b"HTTP/1.1 200 Fine by me\r\nContent-Length: 1000\r\n" + HEAD + b"\r\n"),
    "a redirection": ("GET", b"HTTP/1.1 307 That way\r\nContent-Length: 0\r\n" + HEAD + b"\r\n"),
    "refused": ("POST", b"HTTP/1.1 401 Not you\r\nContent-Length: 0\r\n" + HEAD + b"\r\n"),
    "a body": ("POST", b"HTTP/1.1 200 Fine by me\r\nContent-Length: 2\r\n" + HEAD + b"\r\n{}"),
    "another protocol": (
        "GET",
        b"HTTP/1.1 101 Change it\r\nUpgrade: other\r\nConnection: upgrade\r\n" + HEAD + b"\r\nother bytes",
    ),
}


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The URL of a server that answers all requests so."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer, args=(server, answer), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def _answer(server: socket.socket, answer: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = server.accept()
            with client:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += client.recv(65536)
                client.sendall(answer)
                client.shutdown(socket.SHUT_WR)
                client.recv(65536)


def exchange(proxy: Proxy, asked: str) -> bytes:
    """All that comes back, on a connection of its own."""
    received = b""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as sock:
        sock.sendall(asked.encode())
        while piece := sock.recv(65536):
            received += piece
    return received


@pytest.mark.parametrize("kind", WITHOUT_BODY)
def test_answers_without_a_body(start_proxy: StartProxy, confdir: Any, kind: str) -> None:
    """mitmproxy sends their headers after the last hook, in which they are redacted for its listing."""
    method, answer = WITHOUT_BODY[kind]
    with answering(answer) as upstream:
        proxy = start_proxy(mode=f"reverse:{upstream}", arguments=("-w", "flows", "--set", "flow_detail=4"))
        came = exchange(proxy, f"{method} /v1beta/files HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert came == answer
        if kind == "another protocol":
            return
        context = client_context(confdir / "mitmproxy-ca-cert.pem", http2=True)
        with httpx.Client(verify=context, http2=True, trust_env=False) as client:
            over_http2 = client.request(method, f"https://127.0.0.1:{proxy.port}/v1beta/files")
    assert over_http2.http_version == "HTTP/2"
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = [line.split(b": ", 1) for line in head.split(b"\r\n")[1:]]
    sent = without_framing([(name.lower(), value) for name, value in fields])
    assert without_framing([(name.lower(), value) for name, value in over_http2.headers.raw]) == sent
    assert over_http2.content == (body if kind == "a body" else b"")


@pytest.mark.parametrize("options", [("flow_detail=4",), ("flow_detail=0", "hardump=flows.har")])
def test_requests_and_answers_of_very_many_headers(start_proxy: StartProxy, options: tuple[str, ...]) -> None:
    many = "".join(f"X-{n}: AIza{n}\r\n" for n in range(3000))
    cookies = "; ".join(f"c{n}={n}" for n in range(1000))
    answer = f"HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n{many}\r\n".encode()
    with answering(answer) as upstream:
        proxy = start_proxy(*options, mode=f"reverse:{upstream}", arguments=("-w", "flows"))
        query = "&".join(f"q{n}={n}" for n in range(1000))
        asked = f"GET /v1beta/files?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: {cookies}\r\n{many}\r\n"
        assert exchange(proxy, asked) == answer
        assert proxy.stop() == 0
    assert b"AIza" not in (proxy.folder / "flows").read_bytes()
