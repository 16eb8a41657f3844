"""What the user's screen and files may show: nothing that was marked."""

import contextlib
import json
import socket
import sqlite3
import threading
import time
from pathlib import Path

import httpx
import pytest
from mitmproxy import io
from wsproto.events import CloseConnection
from wsproto.events import Ping

from tests.addons.marks import MARK
from tests.addons.marks import MARKED
from tests.addons.marks import assert_clean
from tests.conftest import StartProxy
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.http import PROJECT
from tests.http import call
from tests.http import comes_whole
from tests.http import connection
from tests.http import raw
from tests.http import request
from tests.loopback import client_context
from tests.process import until
from tests.vertex_simulator import Simulator
from tests.wire.test_live import SETUP
from tests.wire.test_live import live
from tests.wire.test_live import turn

LOUD = ("flow_detail=4", "termlog_verbosity=debug", "proxy_debug=true", "hardump=flows.har")
"""All that mitmproxy can tell."""


SERVE_LOUD = ("serve", "termlog_verbosity=debug", "proxy_debug=true")


@pytest.mark.parametrize("options", [(), LOUD, SERVE_LOUD], ids=["usual", "loud", "serve"])
def test_marks_are_nowhere(
    start_proxy: StartProxy, simulator: Simulator, confdir: Path, options: tuple[str, ...]
) -> None:
    serve = options[:1] == ("serve",)
    key = f"AIza{MARK}"
    simulator.credentials.api_keys.add(key)
    proxy = start_proxy(
        *options[serve:],
        mode=f"reverse:{simulator.url}",
        serve=serve,
        arguments=() if serve else ("-w", "flows"),
        env={"COLUMNS": "500", "LINES": "50"},
    )
    before = len(simulator.seen)
    token = simulator.credentials.token()
    given = f"x-{MARK}"
    headers = {"cookie": f"session={MARK}", "x-echo": key, "x-prompt": f"{MARK} said", "user-agent": f"sk-{MARK}"}

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

    context = client_context(confdir / "mitmproxy-ca-cert.pem", http2=True)
    with httpx.Client(verify=context, http2=True, trust_env=False) as client:
        url = f"https://127.0.0.1:{proxy.port}{MODEL}:generateContent?x={MARK}"
        for plan in ({}, {"status": 400}, {"cut": 0}):
            with contextlib.suppress(httpx.HTTPError):
                told = {**headers, "x-goog-api-key": key, "x-simulator": json.dumps(plan)}
                client.post(url, json=MARKED, headers=told)

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
    went = [seen.request for seen in simulator.seen[before:] if MARK.encode() in seen.request.body]
    assert len(went) >= 15
    assert any(request.query.get("key") == [key] for request in went)
    assert any(f"session={MARK}" in request.headers.get("cookie", "") for request in went)

    assert proxy.stop() == 0
    assert_clean(proxy)
    if serve:
        return
    with (proxy.folder / "flows").open("rb") as flows:
        assert len(list(io.FlowReader(flows).stream())) >= 20
    assert API_KEY.encode() not in (proxy.folder / "flows").read_bytes()


ANSWERS = {
    "whole": f"HTTP/1.1 200 {MARK}\r\nContent-Type: application/json\r\nX-Echo: {MARK}\r\nConnection: close\r\n\r\n"
    + json.dumps({"candidates": [{"content": {"parts": [{"text": f"{MARK} \\ ' \" said"}]}, "finishReason": "STOP"}]}),
    "events": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    + f'data: {{"candidates": [{{"content": {{"parts": [{{"text": "{MARK} it\'s"}}]}}}}]}}\r\n\r\n',
    "quoting": "HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    + json.dumps(
        {"error": {"code": 400, "message": f'Unknown name "{MARK}": it\'s none', "status": "INVALID_ARGUMENT"}}
    ),
    "page": f"HTTP/1.1 503 Oh\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<p>{MARK}</p>",
    "cut": f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 999\r\n\r\ndata: {MARK}",
    "garbled": f'HTTP/1.1 200 OK\r\n{MARK} "it\'s" {MARK}\r\n\r\n',
    "smuggled": f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {MARK}\r\n\r\n",
    "unchunked": f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{MARK} '{MARK}\r\n",
    "more": f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{{}}{MARK} '\"{MARK}",
    "no words": f'{MARK} it\'s "{MARK}"\r\n\r\n',
}
"""By a word in the name of the model."""


@pytest.mark.parametrize("options", [("openai_mode=convert",), (*LOUD, "openai_mode=convert")], ids=["usual", "loud"])
def test_marks_in_answers(start_proxy: StartProxy, options: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer, args=(server, ANSWERS), daemon=True).start()
        mode = f"reverse:http://127.0.0.1:{server.getsockname()[1]}"
        env = {"VERTEX_API_KEY": f"AIza{MARK}", "COLUMNS": "500"}
        proxy = start_proxy(*options, "vertex_auth=express", mode=mode, arguments=("-w", "flows"), env=env)
        headers = {"x-goog-api-key": "", "x-prompt": f"{MARK} it's \"", "cookie": f"a={MARK}"}
        for word in ANSWERS:
            native = f"/v1/publishers/google/models/gemini-{word.replace(' ', '-')}"
            chat = {"model": native.rpartition("/")[2], "messages": [{"role": "user", "content": MARK}], MARK: 1}
            for path, body in (
                (f"{native}:generateContent?x={MARK}", MARKED),
                (f"{native}:streamGenerateContent?alt=sse&x={MARK}", MARKED),
                ("/v1/chat/completions", chat),
                ("/v1/chat/completions", chat | {"stream": True}),
                ("/v1/responses", {"model": chat["model"], "input": MARK}),
                ("/v1/chat/completions", chat | {"n": 2, "response_format": MARK}),
            ):
                comes_whole(proxy.url, path, body, headers=headers)
        until(lambda: not proxy.rows("state = 'open'"))
        assert len(proxy.rows("attempts > 0")) >= 4 * len(ANSWERS)
        assert proxy.stop() == 0
    assert_clean(proxy)
    with (proxy.folder / "flows").open("rb") as flows:
        assert len(list(io.FlowReader(flows).stream())) >= 4 * len(ANSWERS)


SLOW = """
import asyncio

async def error(flow):
    await asyncio.sleep(0.5)
"""
"""A script behind ours whose hook takes a while."""


def test_more_comes_while_a_hook_runs(start_proxy: StartProxy, simulator: Simulator, tmp_path: Path) -> None:
    """What is saved stays what may be shown when the upstream goes on after the flow has ended with an error."""
    (tmp_path / "slow.py").write_text(SLOW)
    proxy = start_proxy("hardump=flows.har", mode=f"reverse:{simulator.url}", arguments=("-s", "slow.py"))
    with connection(proxy.url) as client:
        path = f"{MODEL}:streamGenerateContent?alt=sse&x={MARK}"
        request(client, path, MARKED, plan={"gate": "redact"})
        assert client.getresponse().read1(65536)
    until(lambda: proxy.rows("state = 'client_closed'"))
    for _ in range(10):
        simulator.gates["redact"].release()
    time.sleep(0.7)
    assert proxy.stop() == 0
    assert "streamGenerateContent" in (proxy.folder / "flows.har").read_text()
    assert_clean(proxy)


@pytest.mark.parametrize("options", [(), LOUD], ids=["usual", "loud"])
def test_marks_in_live_sessions(start_proxy: StartProxy, simulator: Simulator, options: tuple[str, ...]) -> None:
    proxy = start_proxy(*options, mode=f"reverse:{simulator.url}", arguments=("-w", "flows"))
    with live(proxy) as client:
        client.say(SETUP)
        client.hear()
        turn(client, f'{MARK} it\'s "{MARK}"')
        while "serverContent" not in client.hear():
            pass
        client.sock.sendall(client.connection.send(Ping(MARK.encode())))
        client.sock.sendall(client.connection.send(CloseConnection(1000, f"{MARK} it's")))
    until(lambda: proxy.rows("state <> 'open'"))
    assert proxy.stop() == 0
    assert_clean(proxy)


def test_the_listing_is_still_of_use(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy(mode=f"reverse:{simulator.url}", env={"COLUMNS": "300"})
    call(proxy.url, f"{MODEL}:generateContent?alt=json", HELLO)
    until(lambda: "<< 200" in proxy.stdout)
    assert f"POST {simulator.url}{MODEL}:generateContent\n" in proxy.stdout


def test_saved_flows(start_proxy: StartProxy) -> None:
    """What the simulator does not send: a reason in words, links with queries; and what is no HTTP."""
    answer = f"HTTP/1.1 400 {MARK}\r\nLocation: /x?{MARK}\r\nX-Auth-Token: {MARK}\r\nContent-Length: 2\r\n\r\n{{}}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer, args=(server, {"": answer}), daemon=True).start()
        upstream = f"127.0.0.1:{server.getsockname()[1]}"
        proxy = start_proxy(
            f"openai_endpoint=http://{upstream}",
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


def _answer(server: socket.socket, answers: dict[str, str]) -> None:
    """`answers` by a word in the request."""
    with contextlib.suppress(OSError):
        while True:
            client, _ = server.accept()
            with client:
                asked = client.recv(65536).decode(errors="replace")
                word = next((word for word in answers if word.replace(" ", "-") in asked), "")
                client.sendall(answers.get(word, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").encode())
