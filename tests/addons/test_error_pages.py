"""One JSON body for every error that is not an upstream's, whoever made it."""

import socket
from pathlib import Path

import httpx
import pytest

from addons.entrance import BUNDLE
from tests.conftest import StartProxy
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.http import comes_whole
from tests.http import connection
from tests.http import raw
from tests.http import send
from tests.loopback import client_context
from tests.vertex_simulator import Simulator

UNARY = f"{MODEL}:generateContent"


@pytest.fixture
def nobody() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("serve", [True, False])
def test_an_upstream_that_is_not_there(start_proxy: StartProxy, nobody: str, serve: bool) -> None:
    proxy = start_proxy(mode=f"reverse:{nobody}", serve=serve)
    with connection(proxy.url) as client:
        # Twice, as the connection stays.
        for _ in range(2):
            answer = send(client, UNARY, HELLO)
            assert (answer.status, answer.header("content-type")) == (502, "application/json")
            error = answer.json()["error"]
            assert (error["code"], error["status"], error["type"]) == (502, "UNAVAILABLE", "server_error")
            assert "could not be reached" in error["message"]
    assert [row["error_type"] for row in proxy.new_rows()] == ["connect_failed"] * 2


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/v1/chat/completions", {"type": "server_error", "code": "bad_gateway", "param": None}),
        ("/v1/messages", {"type": "api_error"}),
    ],
)
def test_the_error_is_in_the_clients_words(
    start_proxy: StartProxy, nobody: str, path: str, error: dict[str, object]
) -> None:
    options = ("openai_mode=convert", f"vertex_endpoint={nobody}", "vertex_project=test-project")
    proxy = start_proxy(*options, mode=f"reverse:{nobody}")
    body = {"model": "gemini-2.5-flash", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    answer = call(proxy.url, path, body)
    told = answer.json()
    assert "could not be reached" in told["error"].pop("message")
    assert (answer.status, told["error"]) == (502, error)
    row = proxy.new_row()
    if path == "/v1/messages":
        assert (told["type"], told["request_id"], answer.header("request-id")) == ("error", row["id"], row["id"])


def test_the_same_over_http2(start_proxy: StartProxy, nobody: str, confdir: Path) -> None:
    proxy = start_proxy(mode=f"reverse:{nobody}")
    url = proxy.url.replace("http://127.0.0.1", "https://localhost")
    with httpx.Client(verify=client_context(confdir / BUNDLE, http2=True), http2=True, trust_env=False) as client:
        answer = client.post(url + UNARY, json=HELLO)
        assert answer.http_version == "HTTP/2"
        assert (answer.status_code, answer.headers["content-type"]) == (502, "application/json")
        assert answer.json()["error"]["status"] == "UNAVAILABLE"


def test_an_answer_that_is_cut_before_its_head(start_proxy: StartProxy, simulator: Simulator) -> None:
    proxy = start_proxy(mode=f"reverse:{simulator.url}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = start_proxy(mode=f"reverse:http://127.0.0.1:{server.getsockname()[1]}", folder=_folder(proxy.folder))
        with connection(proxy.url) as client:
            client.request("POST", UNARY, b"{}")
            upstream, _ = server.accept()
            upstream.close()
            answer = client.getresponse()
            assert (answer.status, answer.getheader("content-type")) == (502, "application/json")
    row = proxy.new_row()
    assert (row["state"], row["error_type"], row["status"]) == ("upstream_failed", "upstream_cut", 502)


def _folder(beside: Path) -> Path:
    folder = beside / "other"
    folder.mkdir()
    return folder


def test_a_request_that_is_no_http(start_proxy: StartProxy, nobody: str) -> None:
    proxy = start_proxy(mode=f"reverse:{nobody}")
    head, _, body = raw(proxy.url, b"GET /x?key=secret bad\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"application/json" in head
    assert b"INVALID_ARGUMENT" in body
    assert b"secret" not in body


def test_an_answer_that_has_begun_stays_as_it_is(start_proxy: StartProxy, simulator: Simulator) -> None:
    """What is not rewritten is cut as the upstream cut it."""
    proxy = start_proxy(mode=f"reverse:{simulator.url}")
    assert not comes_whole(proxy.url, f"{MODEL}:streamGenerateContent?alt=sse", HELLO, plan={"cut": 1})
    assert call(proxy.url, UNARY, HELLO).status == 200
