"""Measures how long small calls wait while the proxy handles a call that is costly to read: vertex-tap and, for
comparison, mitmdump without addons.

python -m tests.starve [--mutations 200] [--seed 1] [--only NAME]

Each input is one call through each proxy. Meanwhile small calls are made, one after the other, on another connection.
For each input are printed: the longest small call with vertex-tap and with mitmdump, their ratio, the memory that the
proxies need, and whether bytes are missing. The exit status is 1 if a small call takes longer than 0.5 s and 5 times
as long as with mitmdump, if an answer needs more than 100 MB, or if bytes are missing.
"""

import argparse
import base64
import contextlib
import gzip
import hashlib
import json
import random
import socket
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import brotli
import zstandard

from tests.bench import Contestant
from tests.bench import bare
from tests.bench import peak_memory
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.process import Proxy
from tests.process import Row

MB = 1024 * 1024
LONGEST_WAIT_S = 0.5
MOST_TIMES = 5
MOST_MEMORY = 100 * MB
PAUSE_S = 0.01
CALL_S = 120.0
"""The time limit of an input, in seconds."""
UNARY, STREAM = f"{MODEL}:generateContent", f"{MODEL}:streamGenerateContent?alt=sse"
LIVE = "/ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent"
CHAT = "/v1/chat/completions"
JSON, EVENTS = "application/json", "text/event-stream"
USAGE = b'"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":1,"totalTokenCount":4}'
QUIET = b'{"candidates":[{"finishReason":"STOP"}],%b}' % USAGE
Headers = list[tuple[str, str]]


class Input(NamedTuple):
    """A call: the client's request, and the upstream's answer."""

    name: str
    path: str = UNARY
    body: bytes = json.dumps(HELLO).encode()
    headers: Headers = []  # noqa: RUF012 - it is never changed
    answer: bytes = QUIET
    answer_headers: Headers = [("content-type", JSON)]  # noqa: RUF012
    status: int = 200
    converts: bool = False
    """Whether it goes to a proxy that converts. Then the client's answer is not the upstream's."""


def zstd(data: bytes) -> bytes:
    frame = zstandard.ZstdCompressor().compressobj()
    return b"".join(frame.compress(data[n : n + MB]) for n in range(0, len(data), MB)) + frame.flush()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": partial(gzip.compress, compresslevel=6),
    "deflate": zlib.compress,
    "br": partial(brotli.compress, quality=2),
    "zstd": zstd,
}
CHUNK = (
    b'{"candidates":[{"content":{"role":"model","parts":[{"text":"Hello, here is more of it."}]}}],"usageMetadata":'
    b'{"promptTokenCount":10,"candidatesTokenCount":20,"totalTokenCount":30,"trafficType":"ON_DEMAND"},'
    b'"modelVersion":"gemini-2.5-flash","responseId":"abc"}'
)
VECTOR = b"".join(b"%.9f," % random.Random(number).random() for number in range(10_000))
DOCUMENTS: dict[str, Callable[[int], bytes]] = {
    "zeros": bytes,
    "spaces": lambda size: b" " * size,
    "arrays": lambda size: _filled(b'{"candidates":[', b"[],", b"[]]}", size),
    "arrays at the top": lambda size: _filled(b"[", b"[],", b"[]]", size),
    "skipped arrays": lambda size: _filled(b'{"x":[', b"[],", b"[]]}", size),
    "candidates": lambda size: _filled(b'{"candidates":[', b"{},", b"{}]}", size),
    "parts": lambda size: _filled(b'{"candidates":[{"content":{"parts":[', b"{},", b"{}]}}]}", size),
    "strings": lambda size: _filled(b'{"candidates":[', b'"",', b'""]}', size),
    "members": lambda size: _filled(b'{"x":1', b',"x":1', b"}", size),
    "numbers": lambda size: _filled(b"[", b"1,", b"1]", size),
    "a number": lambda size: _filled(b'{"x":1', b"1", b"}", size),
    "escapes": lambda size: _filled(b'{"text":"', b"\\n", b'"}', size),
    "openings": lambda size: b"[" * size,
    "vectors": lambda size: _filled(b'{"predictions":[{"embeddings":{"values":[', VECTOR, b"1]}}]}", size),
    "base64": lambda size: _filled(b'{"candidates":[{"content":{"parts":[{"text":"', b"AAAA", b'"}]}}]}', size),
    "chunks": lambda size: _filled(b"[", CHUNK + b",\r\n", CHUNK + b"]", size),
}
STREAMS: dict[str, Callable[[int], bytes]] = {
    "chunks": lambda size: _filled(b"", b"data: " + CHUNK + b"\r\n\r\n", b"", size),
    "tiny events": lambda size: _filled(b"", b"data: 1\n\n", b"", size),
    "empty events": lambda size: _filled(b"", b"data\n\n", b"", size),
    "counted events": lambda size: _filled(b"", b"data:{%b}\n\n" % USAGE, b"", size),
    "one event": lambda size: _filled(b'data: {"x":"', b"AAAA", b'"}\n\n', size),
    "one event of arrays": lambda size: _filled(b'data: {"candidates":[', b"[],", b"[]]}\n\n", size),
    "one event of lines": lambda size: _filled(b"data: [\n", b"data:1\ndata:,\n", b"data:1]\n\n", size),
    "blank lines": lambda size: b"\n" * size,
    "carriage returns": lambda size: b"\r" * size,
    "no lines": lambda size: b"d" * size,
    "comments": lambda size: _filled(b"", b":\n", b"", size),
    "fields": lambda size: _filled(b"", b"id:1\n", b"", size),
    "event fields": lambda size: _filled(b"", b"event:e\n", b"", size),
}


def _filled(start: bytes, unit: bytes, end: bytes, size: int) -> bytes:
    return start + unit * (size // len(unit)) + end


def answer_of(kind: str, name: str, size: int, coding: str, status: int = 200) -> Input:
    documents, path, content_type = (STREAMS, STREAM, EVENTS) if kind == "stream" else (DOCUMENTS, UNARY, JSON)
    body = documents[name](size)
    for one in coding.split(", "):
        body = PACK[one](body)
    headers = [("content-type", content_type)] + ([("content-encoding", coding)] if coding != "identity" else [])
    title = f"{kind}: {name}, {size / MB:.1f} MB, {coding}" + (f", {status}" if status != 200 else "")
    return Input(title, path, answer=body, answer_headers=headers, status=status)


def request_of(name: str, size: int, coding: str = "identity", *, converts: bool = False) -> Input:
    inner = DOCUMENTS[name](size)
    body = b'{"model":"gemini-2.5-flash","messages":[{"role":"user","content":"Hello."}],"x":%b}' % inner
    headers = [("content-encoding", coding)] if coding != "identity" else []
    title = f"request{', converted' if converts else ''}: {name}, {size / MB:.1f} MB, {coding}"
    return Input(title, CHAT, PACK[coding](body), headers, converts=converts)


def inputs() -> Iterator[Input]:
    """Calls that are costly to read, by their size, their form or their compression."""
    many = [(f"x-header-{n}", "v") for n in range(10_000)]
    yield Input("request of 10,000 headers", headers=many)
    yield Input("answer of 10,000 headers", answer_headers=[("content-type", JSON), *many])
    for name in ("arrays", "numbers", "members", "strings", "base64", "openings", "escapes", "a number"):
        yield request_of(name, 10 * MB)
    yield request_of("arrays", 60 * MB)
    yield request_of("base64", 60 * MB)
    yield request_of("zeros", 400 * MB, "gzip")
    yield request_of("arrays", 10 * MB, converts=True)
    yield request_of("base64", 10 * MB, converts=True)
    form = b"--B\r\n" + b'x:name="model"\r\n' * (10 * MB // 16)
    yield Input(
        "form of 10 MB of names", "/v1/images/edits", form, [("content-type", "multipart/form-data; boundary=B")]
    )
    for coding in ("br", "zstd", "gzip", "deflate", "gzip, gzip", "gzip, br"):
        yield answer_of("answer", "zeros", 400 * MB, coding)
    yield answer_of("answer", "base64", 2000 * MB, "gzip, gzip")
    for coding in ("gzip", "zstd"):
        yield answer_of("stream", "tiny events", 180 * MB, coding)
        yield answer_of("answer", "arrays", 50 * MB, coding)
        yield answer_of("answer", "skipped arrays", 50 * MB, coding)
    for name in DOCUMENTS:
        yield answer_of("answer", name, 10 * MB, "identity")
    for name in STREAMS:
        yield answer_of("stream", name, 10 * MB, "identity")
    yield answer_of("stream", "one event", 100 * MB, "identity")
    yield answer_of("stream", "chunks", 10 * MB, "gzip")
    yield answer_of("answer", "vectors", 50 * MB, "gzip")
    yield answer_of("answer", "arrays", 10 * MB, "gzip", 400)
    for name, unit in (("gzip", gzip.compress(b"")), ("zstd", zstandard.compress(b"")), ("zstd", SKIPPABLE)):
        headers = [("content-type", JSON), ("content-encoding", name)]
        yield Input(f"answer: {name}, of parts without content", answer=unit * 200_000, answer_headers=headers)
    for field in ("content-type", "content-encoding", "x-other"):
        yield Input(f"answer with a {field} of 60 KB", answer_headers=[(field, "gzip, " * 10_000 + "x")])
        yield Input(f"request with a {field} of 60 KB", headers=[(field, "gzip, " * 10_000 + "x")])
    yield Input("request with a user-agent of 60 KB", headers=[("user-agent", "a/1 " * 15_000)])
    yield Input("path of 60 KB", "/v1/" + "projects/a/" * 5_500 + "models/x:generateContent")
    for name, message, times in (
        ("tiny messages", b'{"error":0}', 10_000),
        ("counted messages", b"{%b}" % USAGE, 5_000),
        ("a message of arrays", DOCUMENTS["arrays"](10 * MB), 3),
        ("a message of base64", DOCUMENTS["base64"](10 * MB), 3),
    ):
        yield Input(f"live: {name}", LIVE, answer=_frame(message) * times)


SKIPPABLE = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
"""A skippable frame of zstd, which has no content (RFC 8878, 3.1.2)."""


def mutations(count: int, seed: int) -> Iterator[Input]:
    chance = random.Random(seed)
    for number in range(count):
        size = int(2 ** chance.uniform(12, 24.5))
        kind = chance.choice(("answer", "stream", "answer", "stream", "request", "headers"))
        if kind == "headers":
            many = [(f"x-{n}", "v" * chance.randrange(4)) for n in range(chance.randrange(100, 12_000))]
            made = chance.choice((Input("", headers=many), Input("", answer_headers=[("content-type", JSON), *many])))
            made = made._replace(name=f"{len(many)} headers")
        elif kind == "request":
            made = request_of(chance.choice(list(DOCUMENTS)), size, chance.choice(("identity", "identity", "gzip")))
            made = made._replace(body=_damaged(made.body, chance))
        else:
            names = list(STREAMS if kind == "stream" else DOCUMENTS)
            coding = ", ".join(chance.choice(list(PACK)) for _ in range(chance.choice((1, 1, 2))))
            size *= 1 if coding == "identity" else 8
            made = answer_of(kind, chance.choice(names), size, coding, chance.choice((200, 200, 200, 429)))
            made = made._replace(answer=_damaged(made.answer, chance))
        yield made._replace(name=f"{number}: {made.name}")


def _damaged(body: bytes, chance: random.Random) -> bytes:
    """The body; in some cases cut off, doubled, or with a few bytes changed."""
    place, how = chance.randrange(len(body)), chance.randrange(8)
    if how == 0:
        return body[:place]
    if how == 1:
        return body * 2
    if how == 2:
        return body[:place] + chance.randbytes(3) + body[place + 3 :]
    return body


class Upstream:
    """An upstream that answers each call with the answer of the current input, and small calls with QUIET. It keeps the
    body of the last request."""

    def __init__(self) -> None:
        self.current = Input("none")
        self.came: bytes | None = None
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._server.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as stream, contextlib.suppress(OSError, ValueError):
            while line := stream.readline():
                fields = {}
                while (field := stream.readline()) not in (b"\r\n", b""):
                    name, _, value = field.partition(b":")
                    fields[name.lower()] = value.strip()
                body = stream.read(int(fields.get(b"content-length", b"0")))
                if b"quiet" in line or b"token" in line.split(b"?")[0]:
                    client.sendall(_head(200, [("content-type", JSON)], len(QUIET)) + QUIET)
                elif b"upgrade" in fields:
                    accept = base64.b64encode(hashlib.sha1(fields[b"sec-websocket-key"] + WEBSOCKET).digest()).decode()
                    upgrade = [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-accept", accept)]
                    client.sendall(_head(101, upgrade, None) + self.current.answer + CLOSING)
                    return
                else:
                    current, self.came = self.current, body
                    client.sendall(_head(current.status, current.answer_headers, len(current.answer)))
                    client.sendall(current.answer)


WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""The constant with which `sec-websocket-accept` is computed (RFC 6455, 1.3)."""


def _frame(payload: bytes) -> bytes:
    """A WebSocket frame with a text message from a server (RFC 6455, 5.2)."""
    if len(payload) < 126:
        return bytes((0x81, len(payload))) + payload
    return b"\x81\x7f" + len(payload).to_bytes(8, "big") + payload


CLOSING = b"\x88\x02\x03\xe8"


def _head(status: int, headers: Headers, length: int | None) -> bytes:
    sized = [*headers, ("content-length", str(length))] if length is not None else headers
    return "\r\n".join([f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in sized), "", ""]).encode()


def send(url: str, given: Input) -> bytes:
    """Sends the request of an input. Returns the body of the answer."""
    host, _, port = url.removeprefix("http://").partition(":")
    method = "GET" if given.path == LIVE else "POST"
    headers = [("host", f"{host}:{port}"), ("x-goog-api-key", API_KEY)]
    if given.path == LIVE:
        headers += [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")]
        headers += [("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]
    else:
        headers += [("content-length", str(len(given.body))), ("connection", "close")]
    lines = [
        f"{method} {given.path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers + given.headers),
        "",
        "",
    ]
    with socket.create_connection((host, int(port)), timeout=CALL_S) as client, client.makefile("rb") as stream:
        client.sendall("\r\n".join(lines).encode() + (b"" if given.path == LIVE else given.body))
        while stream.readline() not in (b"\r\n", b""):
            pass
        return stream.read(len(given.answer)) if given.path == LIVE else stream.read()


class Quiet:
    """Makes small calls, one after the other, in a thread, and measures the longest."""

    def __init__(self, contestant: Contestant) -> None:
        self._url = contestant.url
        self._clock = Path(f"/proc/{contestant.pid}/schedstat")
        self.longest = 0.0
        self.busy = 0.0
        """The most CPU time that the proxy's main thread, which runs the event loop, used during a small call. On a
        busy machine this says more than the elapsed time."""
        self.calls = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Quiet":
        self._thread.start()
        self.wait_for_more()
        self.longest = self.busy = 0.0
        return self

    def __exit__(self, *_: object) -> None:
        self.wait_for_more()
        self._over.set()
        self._thread.join()

    def wait_for_more(self) -> None:
        seen, deadline = self.calls, time.monotonic() + CALL_S
        while self.calls < seen + 3 and time.monotonic() < deadline:
            time.sleep(PAUSE_S)

    def _cpu(self) -> float:
        return int(self._clock.read_text().split()[0]) / 1e9

    def _run(self) -> None:
        host, _, port = self._url.removeprefix("http://").partition(":")
        call = f"POST {MODEL}:generateContent?quiet HTTP/1.1\r\nhost: {host}\r\nx-goog-api-key: {API_KEY}\r\n"
        call += "content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
        with socket.create_connection((host, int(port)), timeout=CALL_S) as client:
            while not self._over.wait(PAUSE_S):
                began, busy, received = time.monotonic(), self._cpu(), b""
                client.sendall(call.encode())
                while not received.endswith(QUIET):
                    received += client.recv(65536)
                self.longest = max(self.longest, time.monotonic() - began)
                self.busy = max(self.busy, self._cpu() - busy)
                self.calls += 1


class Measured(NamedTuple):
    wait: float
    busy: float
    memory: int
    sound: bool


def measure(contestant: Contestant, upstream: Upstream, given: Input) -> Measured:
    upstream.current, upstream.came = given, None
    Path(f"/proc/{contestant.pid}/clear_refs").write_text("5")
    before = peak_memory(contestant.pid)
    with Quiet(contestant) as quiet:
        got = send(contestant.url, given)
    sound = got == given.answer and (given.path == LIVE or upstream.came == given.body)
    return Measured(quiet.longest, quiet.busy, peak_memory(contestant.pid) - before, sound)


def start(stack: ExitStack, upstream: Upstream, *options: str) -> tuple[Contestant, Proxy]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    proxy = stack.enter_context(
        Proxy(*options, folder=folder, confdir=folder / "confdir", mode=f"reverse:{upstream.url}")
    )
    return Contestant("vertex-tap", proxy.process.pid, proxy.url), proxy


def row_of(proxy: Proxy) -> Row:
    rows = proxy.rows("path NOT LIKE '%quiet%' AND request_bytes IS NOT 2")
    return rows[-1] if rows else {"state": None, "usage_state": None}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench starve", description=__doc__)
    parser.add_argument("--mutations", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="part of a name")
    args = parser.parse_args()
    failed = 0
    with ExitStack() as stack:
        upstream = Upstream()
        ours, proxy = start(stack, upstream)
        converting, _ = start(stack, upstream, "openai_mode=convert")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        theirs = bare(stack, folder, upstream)
        chosen = mutations(args.mutations, args.seed) if args.mutations else inputs()
        for given in (one for one in chosen if args.only in one.name):
            here = measure(converting if given.converts else ours, upstream, given)
            there = measure(theirs, upstream, given)
            row = row_of(proxy)
            problems = []
            if here.wait > max(LONGEST_WAIT_S, MOST_TIMES * there.wait):
                problems.append("WAITS")
            if here.memory > MOST_MEMORY and len(given.body) < MB:
                problems.append("MEMORY")
            if not here.sound and there.sound and not given.converts:
                problems.append("BYTES")
            failed += bool(problems)
            waits = f"{here.wait * 1000:.0f} ms ({here.busy * 1000:.0f} of CPU)"
            beside = f"mitmdump {there.wait * 1000:.0f} ms ({there.busy * 1000:.0f}), {here.wait / there.wait:.1f} x"
            memory = f"{here.memory / MB:+.0f} MB (mitmdump {there.memory / MB:+.0f})"
            states = f"{row['state']}, {row['usage_state']}"
            print(f"{given.name}: {waits}, {beside}; {memory}: {states} {' '.join(problems)}", flush=True)
    print(f"starve: {failed} inputs starve others" if failed else "starve: sound")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
