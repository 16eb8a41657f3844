"""HTTP clients that give all headers in order, and bodies as they arrive."""

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from typing import NamedTuple

API_KEY = "AIzaSimulatedKey"
MODEL = "/v1beta1/publishers/google/models/gemini-2.5-flash"
PROJECT = "/v1/projects/test-project/locations/us-central1"
HELLO = {"contents": [{"role": "user", "parts": [{"text": "Hello, who are you?"}]}]}


class Response(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


def call(
    url: str,
    path: str,
    body: object = None,
    *,
    method: str | None = None,
    headers: dict[str, str] | None = None,
    plan: dict[str, Any] | None = None,
) -> Response:
    """Makes one call on a new connection. `plan` tells the simulator how to answer; it is the header `x-simulator`."""
    with connection(url) as client:
        return send(client, path, body, method=method, headers=headers, plan=plan)


@contextlib.contextmanager
def connection(url: str, timeout: float = 20) -> Iterator[http.client.HTTPConnection]:
    host, _, port = url.removeprefix("http://").partition(":")
    client = http.client.HTTPConnection(host, int(port), timeout=timeout)
    try:
        yield client
    finally:
        client.close()


def request(
    client: http.client.HTTPConnection,
    path: str,
    body: object = None,
    *,
    method: str | None = None,
    headers: dict[str, str] | None = None,
    plan: dict[str, Any] | None = None,
) -> None:
    given = {"content-type": "application/json", "x-goog-api-key": API_KEY} | (headers or {})
    if plan:
        given["x-simulator"] = json.dumps(plan)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    client.request(method or ("GET" if data is None else "POST"), path, data, {k: v for k, v in given.items() if v})


def send(client: http.client.HTTPConnection, path: str, body: object = None, **options: Any) -> Response:
    request(client, path, body, **options)
    answer = client.getresponse()
    return Response(answer.status, answer.getheaders(), answer.read())


def comes_whole(url: str, path: str, body: object, **options: Any) -> bool:
    """Whether the answer to a request is complete: has all bytes of its content-length, or its last chunk."""
    with connection(url) as client:
        request(client, path, body, **options)
        try:
            client.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
    return True


def read_until(answer: http.client.HTTPResponse, text: bytes) -> bytes:
    """Reads a body until it has `text`. Returns the bytes read so far."""
    received = b""
    while text not in received:
        piece = answer.read1(65536)
        assert piece, f"the answer ended without {text!r}"
        received += piece
    return received


def raw(url: str, data: bytes) -> bytes:
    """Sends bytes, which need not be valid HTTP. Returns all bytes that come back."""
    host, _, port = url.removeprefix("http://").partition(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while piece := sock.recv(65536):
                received += piece
    return received
