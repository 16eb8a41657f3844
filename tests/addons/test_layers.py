"""What mitmproxy's layers do wrong, without our script (`bare`) and with it (`tap`), in one process each."""

import asyncio
import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
import trustme

from addons.entrance import BUNDLE
from tests.addons import guarded as g
from tests.conftest import StartProxy
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.http import connection
from tests.http import send
from tests.loopback import client_context
from tests.loopback import environment
from tests.loopback import server_context
from tests.process import Proxy
from tests.process import until
from tests.raw_upstream import CLOSE
from tests.raw_upstream import RawUpstream

UNARY = f"{MODEL}:generateContent"
STREAM = f"{MODEL}:streamGenerateContent?alt=sse"
HOST = "aiplatform.googleapis.com"
BODY = json.dumps(
    {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Hi."}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6},
    }
).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)

HOOKS = """
import pathlib
from addons import layers
from mitmproxy import ctx

layers.CONNECT_S = 1.0


def sizes(layer):
    yield len(getattr(layer, "connections", ()))
    inside = [getattr(layer, name, None) for name in ("child_layer", "layer")]
    for child in [*inside, *getattr(layer, "streams", {}).values()]:
        if child:
            yield from sizes(child)


def requestheaders(flow):
    if flow.request.path == "/kept":
        handler = ctx.master.addons.get("proxyserver").connections[flow.client_conn.id]
        pathlib.Path("kept").write_text(str(max(len(handler.transports), *sizes(handler.layer))))
    elif flow.request.path == "/nowhere":
        flow.request.host = "x" * 64 + ".example"
"""
"""A script beside ours: a connection may take a second; `/kept` notes how many are kept for a client, `/nowhere` goes
to a host that cannot be."""


def chunked(body: bytes, trailers: bytes = b"") -> bytes:
    chunks = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    return chunks + b"0\r\n" + trailers + b"\r\n"


def letters(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, confdir: Path, upstream: RawUpstream) -> Iterator[Proxy]:
    with Proxy(folder=tmp_path_factory.mktemp("tap"), confdir=confdir, mode=f"reverse:{upstream.url}") as running:
        yield running


@pytest.fixture
def tap(shared: Proxy) -> Proxy:
    shared.new_rows()
    return shared


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, confdir: Path, upstream: RawUpstream) -> Iterator[Proxy]:
    folder, mode = tmp_path_factory.mktemp("bare"), f"reverse:{upstream.url}"
    with Proxy("connection_strategy=lazy", folder=folder, confdir=confdir, mode=mode, bare=True) as running:
        yield running


@pytest.fixture(scope="module")
def forward(
    tmp_path_factory: pytest.TempPathFactory, confdir: Path, ca: trustme.CA, ca_file: Path
) -> Iterator[tuple[Proxy, RawUpstream]]:
    trusted = f"ssl_verify_upstream_trusted_ca={ca_file}"
    with RawUpstream(tls=server_context(ca, (HOST,))) as google:
        folder, env = tmp_path_factory.mktemp("forward"), environment({443: google.port})
        with Proxy(trusted, folder=folder, confdir=confdir, mode="regular", env=env) as running:
            yield running, google


class Http2Client:
    """A client of a reverse mode listener: one HTTP/2 connection to the proxy, which speaks HTTP/1.1 to its upstream.

    All in one thread: threads that share a connection of httpx now and then send the stream numbers out of order.
    """

    def __init__(self, proxy: Proxy, confdir: Path, trusted: str = BUNDLE) -> None:
        context = client_context(confdir / trusted, http2=True)
        url = proxy.url.replace("http://127.0.0.1", "https://localhost")
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(base_url=url, verify=context, http2=True, trust_env=False, timeout=20)

    def __enter__(self) -> "Http2Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()

    def get(self, path: str) -> httpx.Response:
        return self._runner.run(self._client.get(path))

    def post(self, path: str, json: object) -> httpx.Response:
        return self.post_at_once(1, path, json)[0]

    def post_at_once(self, number: int, path: str, json: object) -> list[httpx.Response]:
        async def posts() -> list[httpx.Response]:
            return await asyncio.gather(*[self._client.post(path, json=json) for _ in range(number)])

        return self._runner.run(posts())


def through(proxy: Proxy, confdir: Path) -> httpx.Client:
    """A client of a forward mode listener."""
    context = client_context(confdir / BUNDLE)
    return httpx.Client(base_url=f"https://{HOST}", proxy=proxy.url, verify=context, trust_env=False, timeout=20)


def hangs(url: str, data: bytes) -> bool:
    """Whether a request gets no whole answer within two seconds, on a connection that stays open."""
    with connection(url, timeout=2) as client:
        client.connect()
        client.sock.sendall(data)
        answer = http.client.HTTPResponse(client.sock)
        try:
            answer.begin()
            answer.read()
        except TimeoutError:
            return True
        return False


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


TRAILERS = {
    "one": b"X-Checksum: 1\r\n",
    "several": b"X-Checksum: 1\r\nServer-Timing: total;dur=3\r\nGrpc-Status: 0\r\n",
    "many": b"".join(b"X-%d: y\r\n" % n for n in range(50_000)),
    "not a field": b"what is this?\r\n",
    "not text": b"\x00\xff: \x80\r\n : \r\n",
    "folded": b"X-Checksum: 1\r\n  2\r\n",
    "with bare line feeds": b"X-Checksum: 1\nX-Other: 2\r\n",
}


class TestBodiesOfStrangers:
    @pytest.mark.parametrize("key", ["vt-nobody-0123456789", g.A])
    def test_are_not_kept(self, guarded: Proxy, key: str) -> None:
        """mitmproxy reads the whole request before it sends an answer that an addon has given."""
        guarded.new_rows()
        body = json.dumps({"contents": [{"role": "user", "parts": [{"text": "x" * 3_000_000}]}]}).encode()
        status = call(guarded.url, g.NATIVE, body, headers=g.bearer(key)).status
        kept = guarded.new_row()["request_bytes"]
        assert (status, kept) == ((200, len(body)) if key == g.A else (401, 0))


class TestTrailers:
    def test_without_us(self, bare: Proxy, upstream: RawUpstream) -> None:
        upstream.answers["/trailers"] = [HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(BODY, TRAILERS["one"])]
        assert hangs(bare.url, get("/trailers"))
        assert hangs(
            bare.url, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"{}", b"X: 1\r\n")
        )

    @pytest.mark.parametrize("trailers", TRAILERS.values(), ids=TRAILERS)
    @pytest.mark.parametrize("method", ["unary", "stream"])
    def test_of_an_answer(self, tap: Proxy, upstream: RawUpstream, trailers: bytes, method: str) -> None:
        head = HEAD + b"Trailer: X-Checksum\r\nTransfer-Encoding: chunked\r\n\r\n"
        path, body = UNARY, BODY
        if method == "stream":
            path, body, head = (
                STREAM,
                b"data: " + BODY + b"\n\n",
                head.replace(b"application/json", b"text/event-stream"),
            )
        upstream.answers[path] = [head + chunked(body, trailers)]
        with connection(tap.url) as client:
            # Twice, as the connection stays.
            for _ in range(2):
                answer = send(client, path, HELLO)
                assert (answer.status, answer.body, answer.header("trailer")) == (200, body, "X-Checksum")
        for row in tap.new_rows():
            assert (row["state"], row["usage_state"], row["output_tokens"]) == ("done", "final", 2)

    @pytest.mark.parametrize("data", [BODY, b""], ids=["with a body", "empty"])
    def test_in_pieces(self, tap: Proxy, upstream: RawUpstream, data: bytes) -> None:
        upstream.answers["/pieces"] = letters(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(data, TRAILERS["several"])
        )
        with connection(tap.url) as client:
            for _ in range(2):
                assert send(client, "/pieces").body == data
        assert [row["state"] for row in tap.new_rows()] == ["done"] * 2

    def test_of_an_answer_for_http2(self, tap: Proxy, upstream: RawUpstream, confdir: Path) -> None:
        upstream.answers[UNARY] = [HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(BODY, TRAILERS["several"])]
        with Http2Client(tap, confdir) as client:
            for _ in range(2):
                answer = client.post(UNARY, json=HELLO)
                assert (answer.http_version, answer.status_code, answer.content) == ("HTTP/2", 200, BODY)
        assert [row["usage_state"] for row in tap.new_rows()] == ["final"] * 2

    def test_through_a_tunnel(self, forward: tuple[Proxy, RawUpstream], confdir: Path) -> None:
        proxy, google = forward
        proxy.new_rows()
        google.answers[UNARY] = [HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(BODY, TRAILERS["several"])]

        def body() -> Iterator[bytes]:
            yield json.dumps(HELLO).encode()

        with through(proxy, confdir) as client:
            for _ in range(2):
                answer = client.post(UNARY, content=body(), headers={"content-type": "application/json"})
                assert (answer.status_code, answer.content) == (200, BODY)
        assert [row["usage_state"] for row in proxy.new_rows()] == ["final"] * 2

    def test_a_line_without_end(self, tap: Proxy, upstream: RawUpstream) -> None:
        upstream.answers["/endless"] = [
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(BODY)[:-2] + b"X: " + b"x" * 100_000
        ]
        with connection(tap.url) as client, pytest.raises((http.client.HTTPException, OSError)):
            send(client, "/endless")
        row = tap.new_row()
        assert (row["state"], row["error_type"]) == ("upstream_failed", "upstream_cut")

    @pytest.mark.parametrize("trailers", TRAILERS.values(), ids=TRAILERS)
    @pytest.mark.parametrize(
        ("path", "body"),
        [(UNARY, json.dumps(HELLO).encode()), ("/streamed", b"x" * 1000), ("/empty", b"")],
        ids=["held", "streamed", "empty"],
    )
    def test_of_a_request(self, tap: Proxy, upstream: RawUpstream, trailers: bytes, path: str, body: bytes) -> None:
        upstream.answers[path] = [WHOLE]
        upstream.seen.clear()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        with connection(tap.url) as client:
            client.connect()
            for _ in range(2):
                client.sock.sendall(head.encode() + chunked(body, trailers))
                answer = http.client.HTTPResponse(client.sock)
                answer.begin()
                assert (answer.status, answer.read()) == (200, BODY)
        for seen in upstream.seen:
            assert seen.partition(b"\r\n\r\n")[2] == chunked(body)
        assert [(row["state"], row["request_bytes"]) for row in tap.new_rows()] == [("done", len(body))] * 2

    def test_of_a_request_over_http2(self, tap: Proxy, upstream: RawUpstream, confdir: Path) -> None:
        """An HTTP/1.1 upstream cannot be sent them either."""
        upstream.answers[UNARY] = [WHOLE]
        with http2_connection(tap, confdir) as (conn, sock):
            body = json.dumps(HELLO).encode()
            head = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", UNARY)]
            conn.send_headers(1, [*head, ("content-length", str(len(body)))])
            conn.send_data(1, body)
            conn.send_headers(1, [("x-checksum", "1")], end_stream=True)
            sock.sendall(conn.data_to_send())
            assert _read_http2(conn, sock) == (200, BODY)
        assert until(tap.new_rows)[0]["usage_state"] == "final"

    def test_of_a_refused_request(self, tap: Proxy) -> None:
        """A request that mitmproxy refuses once its head is here."""
        head = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n"
        with connection(tap.url) as client:
            client.connect()
            client.sock.sendall(head + chunked(b"{}", TRAILERS["several"]))
            answer = http.client.HTTPResponse(client.sock)
            answer.begin()
            assert answer.status == 400


@contextlib.contextmanager
def http2_connection(proxy: Proxy, confdir: Path) -> Iterator[tuple[h2.connection.H2Connection, ssl.SSLSocket]]:
    context = client_context(confdir / BUNDLE, http2=True)
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    with context.wrap_socket(plain, server_hostname="localhost") as sock:
        conn = h2.connection.H2Connection()
        conn.initiate_connection()
        sock.sendall(conn.data_to_send())
        yield conn, sock


def _read_http2(conn: h2.connection.H2Connection, sock: ssl.SSLSocket) -> tuple[int, bytes]:
    status, body = 0, b""
    while data := sock.recv(65536):
        for event in conn.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                status = int(dict(event.headers)[b":status"])
            elif isinstance(event, h2.events.DataReceived):
                body += event.data
            elif isinstance(event, h2.events.StreamEnded):
                return status, body
    raise AssertionError("the connection was closed")


class Http2Upstream:
    """Answers every request with the same pieces, each a DATA frame."""

    def __init__(self, tls: ssl.SSLContext, pieces: Sequence[bytes], content_type: str) -> None:
        self._tls, self._pieces, self._type = tls, pieces, content_type
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> "Http2Upstream":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _serve(self) -> None:
        client, _ = self._server.accept()
        with self._tls.wrap_socket(client, server_side=True) as sock:
            conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            conn.initiate_connection()
            sock.sendall(conn.data_to_send())
            while data := sock.recv(65536):
                for event in conn.receive_data(data):
                    if isinstance(event, h2.events.StreamEnded):
                        assert event.stream_id
                        conn.send_headers(event.stream_id, [(":status", "200"), ("content-type", self._type)])
                        for piece in self._pieces:
                            conn.send_data(event.stream_id, piece)
                        conn.end_stream(event.stream_id)
                sock.sendall(conn.data_to_send())


@pytest.mark.parametrize("is_stream", [False, True])
def test_empty_frames_of_http2(
    start_proxy: StartProxy, confdir: Path, ca: trustme.CA, ca_file: Path, *, is_stream: bool
) -> None:
    """An empty DATA frame is no end of an answer."""
    body = b"data: %s\r\n\r\n" % BODY if is_stream else BODY
    pieces = [b"", body[:20], b"", b"", body[20:50], b"", body[50:], b""]
    tls = server_context(ca, (HOST,), ["h2"])
    with Http2Upstream(tls, pieces, "text/event-stream" if is_stream else "application/json") as google:
        trusted = f"ssl_verify_upstream_trusted_ca={ca_file}"
        running = start_proxy(trusted, mode=f"reverse:https://{HOST}", env=environment({443: google.port}))
        with Http2Client(running, confdir) as client:
            answer = client.post(STREAM if is_stream else UNARY, json=HELLO)
        assert (answer.status_code, answer.content) == (200, body)
        row = running.new_row()
        assert (row["state"], row["usage_state"], row["total_tokens"]) == ("done", "final", 6)


INTERIM = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103 with headers": b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\nX-Other: 1\r\n\r\n",
    "one that nobody knows": b"HTTP/1.1 199 Whatever\r\n\r\n",
    "several": b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
    "a thousand": b"HTTP/1.1 102 Processing\r\n\r\n" * 1000,
    "without a reason": b"HTTP/1.1 100\r\n\r\n",
    "with bare line feeds": b"HTTP/1.1 103 Early Hints\nLink: </x>\n\n",
    "what is no header": b"HTTP/1.1 103 Early Hints\r\n\xff what is this?\r\n\r\n",
    "an empty line behind": b"HTTP/1.1 100 Continue\r\n\r\n\r\n",
    "HTTP/1.0": b"HTTP/1.0 100 Continue\r\n\r\n",
    "that claims a body": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n",
}


class TestInterim:
    def test_without_us(self, bare: Proxy, upstream: RawUpstream) -> None:
        upstream.answers["/interim"] = [INTERIM["100"] + WHOLE]
        assert hangs(bare.url, get("/interim"))

    @pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM)
    @pytest.mark.parametrize("pieces", ["at once", "by themselves"])
    def test_is_not_the_answer(self, tap: Proxy, upstream: RawUpstream, interim: bytes, pieces: str) -> None:
        upstream.answers[UNARY] = [interim + WHOLE] if pieces == "at once" else [interim, WHOLE]
        with connection(tap.url) as client:
            for _ in range(2):
                answer = send(client, UNARY, HELLO)
                assert (answer.status, answer.body, answer.header("link")) == (200, BODY, None)
        for row in tap.new_rows():
            assert (row["state"], row["usage_state"], row["upstream_status"]) == ("done", "final", 200)

    def test_in_pieces(self, tap: Proxy, upstream: RawUpstream) -> None:
        upstream.answers[UNARY] = letters(INTERIM["several"] + WHOLE)
        with connection(tap.url) as client:
            assert send(client, UNARY, HELLO).body == BODY

    def test_for_http2(self, tap: Proxy, upstream: RawUpstream, confdir: Path) -> None:
        upstream.answers[UNARY] = [INTERIM["several"], WHOLE]
        with Http2Client(tap, confdir) as client:
            for _ in range(2):
                assert client.post(UNARY, json=HELLO).content == BODY

    def test_through_a_tunnel(self, forward: tuple[Proxy, RawUpstream], confdir: Path) -> None:
        proxy, google = forward
        google.answers[UNARY] = [INTERIM["several"], WHOLE]
        with through(proxy, confdir) as client:
            for _ in range(2):
                assert client.post(UNARY, json=HELLO).content == BODY

    def test_before_a_stream(self, tap: Proxy, upstream: RawUpstream) -> None:
        head = HEAD.replace(b"application/json", b"text/event-stream") + b"Transfer-Encoding: chunked\r\n\r\n"
        upstream.answers[STREAM] = [INTERIM["103 with headers"], head, chunked(b"data: " + BODY + b"\n\n")]
        with connection(tap.url) as client:
            assert send(client, STREAM, HELLO).body == b"data: " + BODY + b"\n\n"
        assert tap.new_row()["usage_state"] == "final"

    def test_of_a_streamed_request(self, tap: Proxy, upstream: RawUpstream) -> None:
        upstream.answers["/streamed"] = [INTERIM["100"], WHOLE]
        with connection(tap.url) as client:
            client.request("POST", "/streamed", iter([b"x" * 1000] * 3), encode_chunked=True)
            assert client.getresponse().read() == BODY

    def test_a_client_that_expects_it(self, tap: Proxy, upstream: RawUpstream) -> None:
        """mitmproxy tells the client to go on; what the upstream says to that goes nowhere."""
        upstream.answers[UNARY] = [INTERIM["100"], WHOLE]
        body = json.dumps(HELLO).encode()
        head = f"POST {UNARY} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
        with connection(tap.url) as client:
            client.connect()
            for _ in range(2):
                client.sock.sendall(head.encode())
                assert client.sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
                client.sock.sendall(body)
                answer = http.client.HTTPResponse(client.sock)
                answer.begin()
                assert (answer.status, answer.read()) == (200, BODY)

    def test_before_an_upgrade(self, tap: Proxy, upstream: RawUpstream) -> None:
        """101 is final."""
        switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\nhello"
        upstream.answers["/upgrade"] = [INTERIM["several"], switched]
        with connection(tap.url) as client:
            client.connect()
            client.sock.sendall(b"GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n")
            received = b""
            while not received.endswith(b"hello"):
                piece = client.sock.recv(1000)
                assert piece
                received += piece
        assert received.startswith(b"HTTP/1.1 101 ")

    @pytest.mark.parametrize(
        "answer",
        [
            [INTERIM["several"], CLOSE],
            [INTERIM["100"] + b"HTTP/1.1 103 Early", CLOSE],
            [INTERIM["100"] + b"HTTP/1.1 103 Early Hints\r\nLink: ", CLOSE],
            [INTERIM["100"] + b"HTTP/1.1 20", CLOSE],
        ],
        ids=["between", "in a status line", "in headers", "in the answer"],
    )
    def test_then_a_cut(self, tap: Proxy, upstream: RawUpstream, answer: list[bytes]) -> None:
        upstream.answers[UNARY] = answer
        with connection(tap.url) as client:
            assert send(client, UNARY, HELLO).status == 502
        row = tap.new_row()
        assert (row["state"], row["error_type"], row["status"]) == ("upstream_failed", "upstream_cut", 502)

    @pytest.mark.parametrize("line", [b"HTTP/1.1 1xx What", b"HTTP/1.1 100Continue", b"HTTP/x.1 100 Continue"])
    def test_what_is_no_interim_answer(self, tap: Proxy, upstream: RawUpstream, line: bytes) -> None:
        upstream.answers[UNARY] = [line + b"\r\n\r\n" + WHOLE]
        with connection(tap.url) as client:
            assert send(client, UNARY, HELLO).status == 502


def nobody() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def hooks(tmp_path: Path) -> tuple[str, str]:
    script = tmp_path / "hooks.py"
    script.write_text(HOOKS)
    return "-s", str(script)


class TestConnections:
    def test_without_us(self, start_proxy: StartProxy, confdir: Path) -> None:
        port = nobody()
        proxy = start_proxy("connection_strategy=lazy", mode=f"reverse:http://127.0.0.1:{port}", bare=True)
        # Over HTTP/1.1 mitmproxy closes the connection with its own error page.
        with Http2Client(proxy, confdir, "mitmproxy-ca-cert.pem") as client:
            assert client.get("/").status_code == 502
            with RawUpstream(port):
                assert client.get("/").status_code == 502

    @pytest.mark.parametrize("serve", [False, True])
    def test_an_upstream_that_is_back(self, start_proxy: StartProxy, confdir: Path, serve: bool) -> None:
        port = nobody()
        proxy = start_proxy(mode=f"reverse:http://127.0.0.1:{port}", serve=serve)
        with connection(proxy.url) as plain, Http2Client(proxy, confdir) as http2:
            for _ in range(2):
                assert send(plain, UNARY, HELLO).status == 502
                answers = http2.post_at_once(8, UNARY, json=HELLO)
                assert [answer.status_code for answer in answers] == [502] * 8
                assert {row["error_type"] for row in proxy.new_rows()} == {"connect_failed"}
                with RawUpstream(port) as upstream:
                    upstream.default = [WHOLE]
                    assert send(plain, UNARY, HELLO).status == 200
                    assert http2.post(UNARY, json=HELLO).status_code == 200
                assert {row["usage_state"] for row in proxy.new_rows()} == {"final"}

    def test_tls_that_is_right_again(
        self, start_proxy: StartProxy, confdir: Path, ca: trustme.CA, ca_file: Path
    ) -> None:
        right, wrong = (server_context(one, (HOST,)) for one in (ca, trustme.CA()))
        with RawUpstream(tls=wrong) as google:
            google.default = [WHOLE]
            env, trusted = environment({443: google.port}), f"ssl_verify_upstream_trusted_ca={ca_file}"
            proxy = start_proxy(trusted, env=env)
            with connection(proxy.url) as plain, Http2Client(proxy, confdir) as http2:
                for _ in range(3):
                    assert send(plain, UNARY, HELLO).status == 502
                    assert http2.post(UNARY, json=HELLO).status_code == 502
                assert {row["error_type"] for row in proxy.new_rows()} == {"tls_failed"}
                google.tls = right
                assert send(plain, UNARY, HELLO).status == 200
                assert http2.post(UNARY, json=HELLO).status_code == 200

    def test_through_a_tunnel(self, forward: tuple[Proxy, RawUpstream], confdir: Path, ca: trustme.CA) -> None:
        proxy, google = forward
        google.answers[UNARY] = [WHOLE]
        right, google.tls = google.tls, server_context(trustme.CA(), (HOST,))
        with through(proxy, confdir) as client:
            assert [client.post(UNARY, json=HELLO).status_code for _ in range(3)] == [502] * 3
            google.tls = right
            assert client.post(UNARY, json=HELLO).status_code == 200

    def test_none_is_kept(
        self, start_proxy: StartProxy, confdir: Path, hooks: tuple[str, str], ca: trustme.CA, ca_file: Path
    ) -> None:
        """Neither attempts that failed nor connections that have ended, by way of a tunnel or without."""
        with RawUpstream(tls=server_context(ca, (HOST,))) as google, socket.create_server(("127.0.0.1", 0)) as free:
            env = environment({443: google.port, 8443: nobody()})
            trusted, modes = f"ssl_verify_upstream_trusted_ca={ca_file}", ("--mode", f"regular@{free.getsockname()[1]}")
            free.close()
            proxy = start_proxy(trusted, env=env, arguments=(*hooks, *modes))
            tunnel = f"http://127.0.0.1:{modes[1].partition('@')[2]}"
            google.answers[UNARY] = [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"]
            right, wrong = google.tls, server_context(trustme.CA(), (HOST,))
            context = client_context(confdir / BUNDLE)
            outside = httpx.Client(base_url=f"https://{HOST}", proxy=tunnel, verify=context, trust_env=False)
            with connection(proxy.url) as plain, Http2Client(proxy, confdir) as http2, outside:
                for google.tls, status in ((wrong, 502), (right, 200)):
                    for _ in range(20):
                        assert send(plain, UNARY, HELLO).status == status
                        assert http2.post(UNARY, json=HELLO).status_code == status
                        assert outside.post(UNARY, json=HELLO).status_code == status
                for get in (lambda path: send(plain, path), http2.get, outside.get):
                    get("/kept")
                    assert int((proxy.folder / "kept").read_text()) < 5

    def test_a_name_that_is_none(self, start_proxy: StartProxy, upstream: RawUpstream, hooks: tuple[str, str]) -> None:
        """mitmproxy would wait for ever for the end of an attempt that raises no OSError."""
        proxy = start_proxy(mode=f"reverse:{upstream.url}", arguments=hooks)
        with connection(proxy.url) as client:
            for _ in range(2):
                answer = send(client, "/nowhere")
                assert answer.status == 502
                assert "name is not valid" in answer.json()["error"]["message"]
        assert {row["error_type"] for row in proxy.new_rows()} == {"connect_failed"}
        assert "Traceback" not in proxy.output


IDLE = """
from mitmproxy import ctx
from mitmproxy.proxy import server

server.TCP_TIMEOUT = 1

def load(loader):
    # Of mitmproxy 12.
    if "tcp_timeout" in ctx.options:
        ctx.options.update(tcp_timeout=1)
"""
"""A connection is closed when a second has passed without a byte; without this after ten minutes."""


class TestIdle:
    @pytest.fixture(params=[False, True], ids=["tap", "bare"])
    def bare(self, request: pytest.FixtureRequest) -> bool:
        return bool(request.param)

    def test_a_call_that_takes_long(
        self, start_proxy: StartProxy, upstream: RawUpstream, tmp_path: Path, bare: bool
    ) -> None:
        def later() -> list[bytes]:
            time.sleep(4)
            return [WHOLE]

        upstream.answers["/later"] = later
        (tmp_path / "idle.py").write_text(IDLE)
        arguments = ("-s", str(tmp_path / "idle.py"))
        proxy = start_proxy(mode=f"reverse:{upstream.url}", arguments=arguments, bare=bare)
        with connection(proxy.url) as client:
            if bare:
                with pytest.raises((OSError, http.client.HTTPException)):
                    send(client, "/later")
                return
            assert send(client, "/later").status == 200
            # Then it is idle.
            assert client.sock.recv(1) == b""
        assert proxy.new_row()["state"] == "done"


class BlackHole:
    """A host that answers no SYN: its queue of connections is full."""

    def __init__(self) -> None:
        self._server = socket.socket()
        self._server.bind(("127.0.0.1", 0))
        self._server.listen(0)
        self.port = self._server.getsockname()[1]
        self._queued = socket.create_connection(("127.0.0.1", self.port))
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", self.port), timeout=0.2)

    def __enter__(self) -> "BlackHole":
        return self

    def __exit__(self, *_: object) -> None:
        self._queued.close()
        self._server.close()


class TestDeadline:
    """A connection may take a second here."""

    def check(self, proxy: Proxy, confdir: Path) -> None:
        """Each of several calls gets its 502, in time; so does the next."""
        with connection(proxy.url) as plain, Http2Client(proxy, confdir) as http2:
            for _ in range(2):
                answer = send(plain, UNARY, HELLO)
                assert (answer.status, answer.header("content-type")) == (502, "application/json")
                assert "no connection within 1 seconds" in answer.json()["error"]["message"]
                answers = http2.post_at_once(8, UNARY, json=HELLO)
                assert [answer.status_code for answer in answers] == [502] * 8
        rows = proxy.new_rows()
        assert len(rows) == 18
        for row in rows:
            assert (row["state"], row["error_type"], row["status"]) == ("upstream_failed", "connect_failed", 502)
        assert "Traceback" not in proxy.output

    def test_without_us(self, start_proxy: StartProxy) -> None:
        with BlackHole() as upstream:
            proxy = start_proxy("connection_strategy=lazy", mode=f"reverse:http://127.0.0.1:{upstream.port}", bare=True)
            with connection(proxy.url, timeout=12) as client, pytest.raises(TimeoutError):
                send(client, UNARY, HELLO)

    def test_no_answer_to_a_connect(self, start_proxy: StartProxy, confdir: Path, hooks: tuple[str, str]) -> None:
        with BlackHole() as upstream:
            proxy = start_proxy(mode=f"reverse:http://127.0.0.1:{upstream.port}", arguments=hooks)
            self.check(proxy, confdir)

    def test_tls_that_does_not_come_about(self, start_proxy: StartProxy, confdir: Path, hooks: tuple[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            proxy = start_proxy(mode=f"reverse:https://127.0.0.1:{silent.getsockname()[1]}", arguments=hooks)
            self.check(proxy, confdir)

    def test_a_proxy_that_says_nothing(self, start_proxy: StartProxy, confdir: Path, hooks: tuple[str, str]) -> None:
        """It takes connections, and answers no CONNECT."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            proxy = start_proxy(mode=f"upstream:http://127.0.0.1:{silent.getsockname()[1]}", arguments=hooks)
            with through(proxy, confdir) as client:
                for _ in range(2):
                    assert client.post(UNARY, json=HELLO).status_code == 502
            assert {row["error_type"] for row in proxy.new_rows()} == {"connect_failed"}

    def test_calls_may_take_longer(self, start_proxy: StartProxy, confdir: Path, hooks: tuple[str, str]) -> None:
        """More than mitmproxy sends at a time: the others wait without a connection."""

        def later() -> list[bytes]:
            time.sleep(1.5)
            return [WHOLE]

        with RawUpstream() as upstream:
            upstream.answers[UNARY] = later
            proxy = start_proxy(mode=f"reverse:{upstream.url}", arguments=hooks)
            with connection(proxy.url) as plain, Http2Client(proxy, confdir) as http2:
                answers = http2.post_at_once(12, UNARY, json=HELLO)
                assert [answer.status_code for answer in answers] == [200] * 12
                assert send(plain, UNARY, HELLO).status == 200
        assert {row["state"] for row in proxy.new_rows()} == {"done"}
