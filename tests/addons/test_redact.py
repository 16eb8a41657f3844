"""What the user's screen and files may show: nothing that was marked."""

import contextlib
import json
import socket
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import io

from addons.redact import redacted
from tests.conftest import StartProxy
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.http import PROJECT
from tests.http import call
from tests.http import comes_whole
from tests.http import raw
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator import Simulator

MARK = "MaRk7f3Q"
"""In prompts, keys, queries, URIs and answers."""
MARKED: dict[str, Any] = {
    "contents": [
        {"role": "user", "parts": [{"text": f"{MARK} prompt"}, {"fileData": {"fileUri": f"gs://{MARK}/x"}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"x": MARK}}}]},
    ]
}


def test_marks_are_nowhere(start_proxy: StartProxy, simulator: Simulator) -> None:
    key = f"AIza{MARK}"
    simulator.credentials.api_keys.add(key)
    proxy = start_proxy(
        mode=f"reverse:{simulator.url}", arguments=("-w", "flows"), env={"COLUMNS": "500", "LINES": "50"}
    )
    token = simulator.credentials.token()
    given = f"x-{MARK}"
    headers = {"cookie": f"session={MARK}"}

    # Calls of every kind and end; each is marked wherever a client can put something.
    for path in (f"{MODEL}:generateContent", f"{MODEL}:streamGenerateContent?alt=sse", f"{MODEL}:countTokens"):
        mark = "&" if "?" in path else "?"
        call(proxy.url, f"{path}{mark}key={key}&x={MARK}", MARKED, headers={"x-goog-api-key": "", **headers})
        call(proxy.url, path, MARKED, headers={"x-goog-api-key": key})
        call(proxy.url, path, MARKED, headers={"x-goog-api-key": "", "authorization": f"Bearer {token}"})
        call(proxy.url, path, {**MARKED, MARK: given}, headers={"x-goog-api-key": key})
    call(proxy.url, f"{MODEL}:generateContent?key={MARK}", MARKED, plan={"status": 429}, headers=headers)
    comes_whole(proxy.url, f"{MODEL}:streamGenerateContent?alt=sse&key={MARK}", MARKED, plan={"cut": 1})
    call(proxy.url, f"/unknown?{MARK}", None, headers=headers)
    call(proxy.url, f"/?{MARK}", MARKED, headers={"authorization": f"Bearer {MARK}"})
    claude = {"anthropic_version": "x", "messages": [{"role": "user", "content": MARK}]}
    call(proxy.url, f"{PROJECT}/publishers/anthropic/models/claude:rawPredict?key={MARK}", claude)
    call(proxy.url, "/v1/chat/completions", {"model": MARK + " x", "messages": []}, headers={"authorization": MARK})

    # What is no HTTP.
    for text in (
        f"GET /x?key={MARK} bad\r\nHost: x\r\n\r\n",
        f"POST /x?key={MARK} HTTP/1.1\r\nAuthorization {MARK}\r\n\r\n",
        f"POST /x?key={MARK} HTTP/1.1\r\nContent-Length: x\r\nAuthorization: {MARK}\r\n\r\n",
        f"POST /x?key={MARK} HTTP/1.1\r\nTransfer-Encoding: x\r\nAuthorization: {MARK}\r\n\r\n",
        f"POST /x?key={MARK} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{MARK}\r\n",
        f"POST /x?key={MARK} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {MARK}",
        f"POST /x?key={MARK} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{MARK}",
        f"{MARK}: '{MARK}\" \\' {MARK}\r\n\r\n",
        f"GET http://{MARK}@x/?{MARK} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"CONNECT {MARK} HTTP/1.1\r\n\r\n",
    ):
        raw(proxy.url, text.encode())

    # A row that waits in the spill file.
    lock = sqlite3.connect(proxy.ledger, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    call(proxy.url, f"{MODEL}:generateContent?key={MARK}", MARKED, plan={"status": 503})
    (spill,) = until(lambda: list(proxy.folder.glob("usage.db.spill-*")))
    assert MARK not in spill.read_text()
    lock.close()
    until(lambda: not spill.exists())
    assert_clean(proxy)

    # What went upstream had the marks.
    went = [seen.request for seen in simulator.seen if MARK.encode() in seen.request.body]
    assert len(went) >= 15
    assert any(request.query.get("key") == [key] for request in went)
    assert any(f"session={MARK}" in request.headers.get("cookie", "") for request in went)

    assert proxy.stop() == 0
    assert_clean(proxy)
    with (proxy.folder / "flows").open("rb") as flows:
        assert len(list(io.FlowReader(flows).stream())) >= 20
    assert API_KEY.encode() not in (proxy.folder / "flows").read_bytes()


def assert_clean(proxy: Proxy) -> None:
    for file in proxy.folder.iterdir():
        assert MARK.encode() not in file.read_bytes(), (file.name, context_of(file))
    assert "Traceback" not in proxy.output


def context_of(file: Path) -> list[bytes]:
    data = file.read_bytes()
    return [data[max(0, n - 150) : n + 50] for n in range(len(data)) if data.startswith(MARK.encode(), n)][:3]


def test_the_listing_is_still_of_use(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy(mode=f"reverse:{simulator.url}", env={"COLUMNS": "300"})
    call(proxy.url, f"{MODEL}:generateContent?alt=json", HELLO)
    until(lambda: "200" in proxy.stdout)
    assert f"POST {simulator.url}{MODEL}:generateContent\n" in proxy.stdout


def test_saved_flows(start_proxy: StartProxy) -> None:
    """What the simulator does not send: a reason in words, links with queries; and what is no HTTP."""
    answer = f"HTTP/1.1 400 {MARK}\r\nLocation: /x?{MARK}\r\nX-Auth-Token: {MARK}\r\nContent-Length: 2\r\n\r\n{{}}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer, args=(server, answer.encode()), daemon=True).start()
        upstream = f"127.0.0.1:{server.getsockname()[1]}"
        proxy = start_proxy(
            f"vertex_endpoint=http://{upstream}",
            mode="regular",
            arguments=("-w", "flows"),
            env={"COLUMNS": "500"},
        )
        headers = f"Host: {upstream}\r\nReferer: http://x/?{MARK}\r\nX-Goog-Iam-Authorization-Token: {MARK}\r\n"
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
            client.sendall(f"GET http://{upstream}/v1/x HTTP/1.1\r\n{headers}\r\n".encode())
            assert client.recv(1000).startswith(f"HTTP/1.1 400 {MARK}".encode())
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
            client.sendall(f"CONNECT {upstream} HTTP/1.1\r\n\r\n".encode())
            assert b" 200 " in client.recv(1000)
            client.sendall(f"\0\1{MARK}".encode())
            assert MARK.encode() in client.recv(1000)
        until(lambda: proxy.rows("state = 'done'"))
        assert proxy.stop() == 0
    assert (proxy.folder / "flows").read_bytes()
    assert_clean(proxy)


def _answer(server: socket.socket, answer: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = server.accept()
            with client:
                client.recv(65536)
                client.sendall(answer)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bad HTTP request line: b'GET /?key=x bad'", "Bad HTTP request line: …"),
        ("""Invalid header line: b"a 'quoted' secret" and more""", "Invalid header line: … and more"),
        (r"""x: b'it\'s secret' y""", "x: … y"),
        ("chunk: bytearray(b'secret')", "chunk: …"),
        ("server connect aiplatform.googleapis.com:443 (127.0.0.1:443)", None),
        ("mitmproxy's limit and the client's own", None),
        ("GET http://x/y?key=secret&alt=sse HTTP/1.1", "GET http://x/y?… HTTP/1.1"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer …"),
        ("tokens ya29.abc AIzaSyX sk-proj-1 AQ.Ab8 eyJhbGciOi", "tokens … … … … …"),
        ("vertex-tap: point clients at http://127.0.0.1:8080/vertex (base_url)", None),
    ],
)
def test_redacted(text: str, shown: str | None) -> None:
    assert redacted(text) == (text if shown is None else shown)


def test_json_quotes_are_quotes() -> None:
    assert "secret" not in redacted(f"unexpected server response: {json.dumps({'a': 'secret'})!r}")
