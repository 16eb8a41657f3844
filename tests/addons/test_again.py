"""How a request is sent again: real upstreams that fail in every way, with HTTP/1.1 and HTTP/2 on both sides. If one of
these tests fails with a new mitmproxy, its layers have changed beneath `again.py`."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from typing import NamedTuple

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest
import trustme

from tests.addons.test_fallback import attempts_of
from tests.addons.test_layers import Http2Client
from tests.addons.test_layers import chunked
from tests.http import call
from tests.http import connection
from tests.http import send
from tests.loopback import environment
from tests.loopback import server_context
from tests.process import Proxy
from tests.process import until
from tests.raw_upstream import CLOSE
from tests.raw_upstream import RawUpstream

HOOKS = """
import gc
import pathlib
from addons import again

again.DRAIN_S = 0.2


def requestheaders(flow):
    if flow.request.path == "/kept":
        gc.collect()
        streams = [one for one in gc.get_objects() if isinstance(one, again.Stream)]
        pathlib.Path("kept").write_text(str(len(streams)))
"""
"""A script beside ours: a failed answer is read for a short time only, and `/kept` notes how many requests are still in
memory."""
CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}
BODY = json.dumps(
    {"choices": [CHOICE], "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}}
).encode()
JSON = b"Content-Type: application/json\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + JSON
WHOLE = OK + b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
ERROR = b'{"error": {"message": "No.", "type": "server_error"}}'
FAILED = b"HTTP/1.1 503 Unavailable\r\n" + JSON
ROLE = b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}\n\n'
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
BROKEN: dict[str, tuple[bytes, ...]] = {
    "an error": (FAILED + b"Content-Length: %d\r\n\r\n%s" % (len(ERROR), ERROR),),
    "an error in chunks": (FAILED + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(ERROR),),
    "an error that closes": (FAILED + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}", CLOSE),
    "an error that ends with the connection": (FAILED + b"\r\n{}", CLOSE),
    "an error without a body": (FAILED + b"Content-Length: 0\r\n\r\n",),
    "a large error": (FAILED + b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000,),
    "an error that breaks off": (FAILED + b"Content-Length: 100\r\n\r\n{", CLOSE),
    "an error that does not end": (FAILED + b"Content-Length: 100\r\n\r\n{",),
    "nothing": (CLOSE,),
    "half a head": (b"HTTP/1.1 200 O", CLOSE),
    "no HTTP": (b"What is this?\r\n\r\n", CLOSE),
    "half a body": (OK + b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY[:50]), CLOSE),
    "a head": (OK + b"Content-Length: 100\r\n\r\n", CLOSE),
    "a role": (STREAM + b"%x\r\n%s\r\n" % (len(ROLE), ROLE), CLOSE),
}


class Upstreams(NamedTuple):
    first: RawUpstream
    second: RawUpstream
    http2: "Http2Upstream"


class Http2Upstream:
    """Fails each request in the way that its model names."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.reset: list[int] = []
        """The streams that the proxy has ended."""
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Http2Upstream":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), self._tls.wrap_socket(client, server_side=True) as sock:
            conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            conn.initiate_connection()
            sock.sendall(conn.data_to_send())
            bodies: dict[int, bytes] = {}
            while data := sock.recv(65536):
                for event in conn.receive_data(data):
                    if isinstance(event, h2.events.DataReceived):
                        bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                    elif isinstance(event, h2.events.StreamEnded):
                        self._fail(conn, event.stream_id, json.loads(bodies[event.stream_id])["model"])
                    elif isinstance(event, h2.events.StreamReset):
                        self.reset.append(event.stream_id)
                sock.sendall(conn.data_to_send())

    def _fail(self, conn: h2.connection.H2Connection, stream: int, how: str) -> None:
        if how == "reset":
            conn.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
            return
        is_error = how.startswith("error")
        kind = "application/json" if is_error else "text/event-stream"
        conn.send_headers(stream, [(":status", "503" if is_error else "200"), ("content-type", kind)])
        if how != "head-nothing":
            conn.send_data(stream, b"{}" if is_error else ROLE)
        if how == "error":
            conn.end_stream(stream)
        elif how.endswith("reset"):
            conn.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)


@pytest.fixture(scope="module")
def upstreams(ca: trustme.CA) -> Iterator[Upstreams]:
    tls = server_context(ca, ("localhost",), ["h2"])
    with RawUpstream() as first, RawUpstream() as second, Http2Upstream(tls) as http2:
        second.default = (WHOLE,)
        yield Upstreams(first, second, http2)


@pytest.fixture(scope="module")
def proxy(
    upstreams: Upstreams, tmp_path_factory: pytest.TempPathFactory, confdir: Path, ca_file: Path
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("again")
    (folder / "hooks.py").write_text(HOOKS)
    services = {
        "first": {"provider": "openai", "base_url": f"{upstreams.first.url}/v1", "timeout": 600},
        "second": {"provider": "openai", "base_url": f"{upstreams.second.url}/v1"},
        "http2": {"provider": "openai", "base_url": f"https://localhost:{upstreams.http2.port}/v1", "timeout": 0.3},
    }
    # The certificate is for another name.
    services["foreign"] = {"provider": "openai", "base_url": f"https://127.0.0.1:{upstreams.http2.port}/v1"}
    routes = [
        {"base_path": "/h1", "service": "first", "fallback": ["second"]},
        {"base_path": "/h2", "service": "http2", "fallback": ["second"]},
        {"base_path": "/last", "service": "second", "fallback": ["first"]},
        {"base_path": "/tls", "service": "foreign", "fallback": ["second"]},
    ]
    (folder / "gateway.yaml").write_text(json.dumps({"services": services, "routes": routes}))
    options = ("gateway_config=gateway.yaml", f"ssl_verify_upstream_trusted_ca={ca_file}")
    hooks = ("-s", str(folder / "hooks.py"))
    mode = f"reverse:{upstreams.second.url}"
    env = environment({})
    with Proxy(*options, folder=folder, confdir=confdir, mode=mode, arguments=hooks, env=env) as running:
        yield running


@pytest.fixture
def tap(proxy: Proxy, upstreams: Upstreams) -> Proxy:
    proxy.new_rows()
    upstreams.second.default = (WHOLE,)
    return proxy


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def post(request: pytest.FixtureRequest, tap: Proxy, confdir: Path) -> Iterator[Callable[..., tuple[int, bytes]]]:
    """Sends a call to a model of this name."""
    if request.param == "HTTP/2":
        with Http2Client(tap, confdir) as client:

            def over_http2(path: str, model: str, **body: Any) -> tuple[int, bytes]:
                answer = client.post(f"{path}/v1/chat/completions", json=CHAT | {"model": model} | body)
                assert answer.http_version == "HTTP/2"
                return answer.status_code, answer.content

            yield over_http2
    else:

        def over_http1(path: str, model: str, **body: Any) -> tuple[int, bytes]:
            answer = call(tap.url, f"{path}/v1/chat/completions", CHAT | {"model": model} | body)
            return answer.status, answer.body

        yield over_http1


def test_every_broken_answer(post: Callable[..., tuple[int, bytes]], tap: Proxy, upstreams: Upstreams) -> None:
    found = {}
    for number, (name, pieces) in enumerate(BROKEN.items()):
        upstreams.first.default = pieces
        status, body = post("/h1", f"model-{number}-{id(post)}", stream=name == "a role")
        row = tap.new_row()
        found[name] = (status, body == BODY, row["service"], row["attempts"], row["usage_state"])
    assert found == dict.fromkeys(BROKEN, (200, True, "second", 2, "final"))


def test_at_the_last_service(post: Callable[..., tuple[int, bytes]], tap: Proxy, upstreams: Upstreams) -> None:
    """The client gets the error that has come; if none has, one of ours, even if the head of a stream has come."""
    upstreams.second.default = BROKEN["an error"]
    found = {}
    for number, (name, pieces) in enumerate(BROKEN.items()):
        if name in ("an error that breaks off", "an error that does not end", "an error that ends with the connection"):
            continue
        upstreams.first.default = pieces
        status, body = post("/last", f"last-{number}-{id(post)}", stream=name == "a role")
        row = tap.new_row()
        found[name] = (status, row["status"], row["service"], row["attempts"])
        assert body == b"" or body.startswith((b"{", b"x" * 1000))
    expected = {name: (status := 503 if "error" in name else 502, status, "first", 2) for name in found}
    assert found == expected


def test_a_certificate_that_is_not_trusted(tap: Proxy) -> None:
    answer = call(tap.url, "/tls/v1/chat/completions", CHAT | {"model": "x"})
    row = tap.new_row()
    assert (answer.status, row["service"], row["state"]) == (200, "second", "done")
    assert [one["error_type"] for one in attempts_of(tap, row)] == ["tls_failed", None]


def test_a_connection_is_used_again(tap: Proxy, upstreams: Upstreams) -> None:
    """After an error that was read to its end."""
    upstreams.first.default = BROKEN["an error"]
    before = len(upstreams.first._connections)
    with connection(tap.url) as client:
        for number in range(3):
            assert send(client, "/h1/v1/chat/completions", CHAT | {"model": f"kept-{number}"}).status == 200
    assert len(upstreams.first._connections) == before + 1


def test_many_streams_at_once(tap: Proxy, upstreams: Upstreams, confdir: Path) -> None:
    upstreams.first.default = BROKEN["an error"]
    with Http2Client(tap, confdir) as client:
        answers = client.post_at_once(20, "/h1/v1/chat/completions", CHAT | {"model": "many"})
    assert [answer.status_code for answer in answers] == [200] * 20
    assert {row["attempts"] for row in tap.new_rows()} <= {1, 2}


STATUSES = {"reset": None, "error": 503, "role": 200, "head": 200}


@pytest.mark.parametrize("how", ["reset", "error", "error-reset", "role-reset", "head-nothing"])
def test_an_http2_upstream(tap: Proxy, confdir: Path, how: str) -> None:
    """mitmproxy speaks HTTP/2 to it if the client does."""
    body = CHAT | {"model": how, "stream": not how.startswith("error")}
    with Http2Client(tap, confdir) as client:
        answer = client.post("/h2/v1/chat/completions", body)
    assert (answer.http_version, answer.status_code, answer.content) == ("HTTP/2", 200, BODY)
    row = tap.new_row()
    assert (row["service"], row["state"], row["attempts"]) == ("second", "done", 2)
    told = attempts_of(tap, row)[0]
    assert (told["service"], told["status"]) == ("http2", STATUSES[how.partition("-")[0]])


def test_nothing_is_kept(tap: Proxy, upstreams: Upstreams) -> None:
    """Timers of ten minutes hold no request in memory, nor do failed attempts."""
    upstreams.first.default = BROKEN["an error"]
    with connection(tap.url) as client:
        for number in range(5):
            send(client, "/h1/v1/chat/completions", CHAT | {"model": f"memory-{number}"})
        upstreams.first.default = (WHOLE,)
        for number in range(5):
            send(client, "/h1/v1/chat/completions", CHAT | {"model": f"well-{number}"})

        def is_little() -> bool:
            send(client, "/kept")
            return int((tap.folder / "kept").read_text()) <= 2

        until(is_little)


HANGING: dict[str, tuple[tuple[bytes, ...], tuple[bytes, ...], list[int | None]]] = {
    "before the first answer": ((), (WHOLE,), []),
    "while the first error comes": ((FAILED + b"Content-Length: 9\r\n\r\n",), (), []),
    "before the second answer": (BROKEN["an error"], (), [503, None]),
    "while a role is held": ((STREAM + b"%x\r\n%s\r\n" % (len(ROLE), ROLE),), (WHOLE,), []),
}


@pytest.mark.parametrize("when", HANGING)
def test_a_client_that_hangs_up(tap: Proxy, upstreams: Upstreams, when: str) -> None:
    upstreams.first.default, second, tries = HANGING[when]
    upstreams.second.default = second
    seen = len(upstreams.first.seen) + len(upstreams.second.seen)
    model = when.replace(" ", "-")
    body = json.dumps(CHAT | {"model": model, "stream": True}).encode()
    with socket.create_connection(("127.0.0.1", tap.port), timeout=10) as client:
        head = b"POST /h1/v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        client.sendall(head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        until(lambda: len(upstreams.first.seen) + len(upstreams.second.seen) == seen + max(len(tries), 1))
    (row,) = until(lambda: tap.rows(f"model = '{model}' AND state <> 'open'"))
    # An error has no usage, if its head has come by then.
    expected = "not_applicable" if row["upstream_status"] == 503 else "absent"
    assert row["usage_state"] == expected, (list(row.values()), attempts_of(tap, row))
    if when != "while the first error comes":
        # An error that does not end is given up soon, and the call goes on.
        assert (row["state"], row["error_type"], row["status"]) == ("client_closed", "client_closed", None)
        assert [one["status"] for one in attempts_of(tap, row)] == tries
    assert len(tap.rows(f"model = '{model}'")) == 1
