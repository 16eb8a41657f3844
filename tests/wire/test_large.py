"""Bodies of any size: answers are read without being held, large requests pass through."""

import gzip
import re
import socket
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest
import zstandard

from tests.conftest import StartProxy
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.http import connection
from tests.http import request
from tests.process import Proxy
from tests.vertex_simulator import Simulator

MB = 1024 * 1024
UNARY = f"{MODEL}:generateContent"
DECODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


def peak(proxy: Proxy) -> int:
    """The largest resident size so far, in MB."""
    status = Path(f"/proc/{proxy.process.pid}/status")
    if not status.exists():
        pytest.skip("only Linux tells the memory of another process")
    match = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
    assert match
    return int(match[1]) // 1024


@pytest.mark.parametrize(
    ("path", "plan"),
    [
        (UNARY, {}),
        (UNARY, {"chunked": True, "split": MB}),
        (f"{MODEL}:streamGenerateContent?alt=sse", {"split": MB}),
        (f"{MODEL}:streamGenerateContent", {"split": MB}),
    ],
)
def test_a_large_answer(proxy: Proxy, path: str, plan: dict[str, object]) -> None:
    call(proxy.url, path, HELLO)
    before = peak(proxy)
    with connection(proxy.url) as client:
        request(client, path, HELLO, plan={"padding": 100 * MB, **plan})
        answer = client.getresponse()
        size = 0
        while piece := answer.read1(MB):
            size += len(piece)
    assert size > 100 * MB
    row = proxy.rows()[-1]
    assert (row["state"], row["usage_state"], row["input_tokens"], row["images"]) == ("done", "final", 4, 1)
    assert peak(proxy) - before < 30


@pytest.mark.parametrize("coding", DECODE)
def test_a_few_bytes_that_stand_for_many(proxy: Proxy, coding: str) -> None:
    """They reach the client as they are, and are not metered."""
    call(proxy.url, UNARY, HELLO)
    proxy.new_row()
    before = peak(proxy)
    packed = call(proxy.url, UNARY, HELLO, plan={"padding": 30 * MB, "encoding": coding})
    assert len(packed.body) < MB
    assert len(DECODE[coding](packed.body)) > 30 * MB
    row = proxy.new_row()
    assert (row["state"], row["usage_state"], row["total_tokens"], row["images"]) == ("done", "unsupported", None, None)
    assert row["response_bytes"] == len(packed.body)
    assert peak(proxy) - before < 60
    assert proxy.output.count("an answer is not metered: it unpacks to far more than its size") == 1


@pytest.mark.parametrize("coding", DECODE)
def test_a_coded_answer_as_they_are(proxy: Proxy, coding: str) -> None:
    packed = call(proxy.url, UNARY, HELLO, plan={"padding": 2 * MB, "encoding": coding})
    assert len(DECODE[coding](packed.body)) > 2 * MB
    assert proxy.new_row()["usage_state"] == "final"


def test_a_request_of_many_small_values(proxy: Proxy, simulator: Simulator) -> None:
    """Its model is found in a thread, and the row is there before it goes on."""
    body = b'{"messages":[' + b"[]," * (1 * MB) + b'[]],"model":"gpt-4o"}'
    call(proxy.url, "/v1/chat/completions", body, headers={"authorization": "Bearer x", "x-goog-api-key": ""})
    assert simulator.seen[-1].request.body == body
    assert proxy.new_row()["model"] == "gpt-4o"


def test_a_request_that_unpacks_to_far_more(proxy: Proxy, simulator: Simulator) -> None:
    body = gzip.compress(b'{"model":"gpt-4o","messages":"' + b"A" * 100 * MB)
    before = peak(proxy)
    call(proxy.url, "/v1/chat/completions", body, headers={"content-encoding": "gzip", "x-goog-api-key": ""})
    assert simulator.seen[-1].request.body == body
    assert proxy.new_row()["model"] is None
    assert peak(proxy) - before < 60
    assert "a body is not read: it unpacks to far more than its size" in proxy.output


def test_a_large_request_is_passed_on_as_it_comes(start_proxy: StartProxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = start_proxy(mode=f"reverse:http://127.0.0.1:{server.getsockname()[1]}")
        before = peak(proxy)
        size = 150 * MB
        counted: list[int] = []
        upstream = threading.Thread(target=_swallow, args=(server, size, counted))
        upstream.start()
        with connection(proxy.url) as client:
            client.putrequest("POST", UNARY)
            client.putheader("content-length", str(size))
            client.endheaders()
            for _ in range(150):
                client.send(b"x" * MB)
            assert client.getresponse().read() == b"{}"
        upstream.join()
    assert counted == [size]
    row = proxy.new_row()
    assert (row["state"], row["model"], row["request_bytes"]) == ("done", "gemini-2.5-flash", size)
    assert peak(proxy) - before < 30


def _swallow(server: socket.socket, size: int, counted: list[int]) -> None:
    connection, _ = server.accept()
    with connection:
        received = len(connection.recv(65536).partition(b"\r\n\r\n")[2])
        while received < size:
            received += len(connection.recv(MB))
        counted.append(received)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")


def test_a_picture_in_a_request(proxy: Proxy, simulator: Simulator) -> None:
    part = {"inlineData": {"mimeType": "image/png", "data": "AAAA" * (5 * MB)}}
    body = {"contents": [{"role": "user", "parts": [{"text": "What is it?"}, part]}]}
    assert call(proxy.url, UNARY, body).status == 200
    assert simulator.seen[-1].request.json() == body
    assert proxy.new_row()["input_tokens"] == 3 + 258


def test_a_large_request_that_is_refused(start_proxy: StartProxy) -> None:
    proxy = start_proxy()
    assert call(proxy.url, "/", b" " * 70 * MB).status == 400
    assert proxy.new_row()["state"] == "refused"
    assert "Traceback" not in proxy.output
