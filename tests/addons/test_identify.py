"""Whose call it is: keys in every place, and what comes of a call without one."""

import base64
import json
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import closing
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from addons.configuration.clients import Callers
from addons.configuration.clients import Client
from addons.configuration.clients import digest_of
from addons.identify import keys_in
from addons.identify import take_key
from tests.addons import guarded as g
from tests.addons.guarded import CHAT
from tests.addons.guarded import GEMINI
from tests.addons.guarded import MESSAGES
from tests.addons.guarded import NATIVE
from tests.addons.guarded import NOBODY
from tests.addons.guarded import A
from tests.addons.guarded import ask
from tests.addons.guarded import bearer
from tests.http import HELLO
from tests.http import call
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator import Simulator
from tests.websocket_client import connected

OLD = g.KEYS["OLD_KEY"]
SOCKET = "/v1/realtime?model=gpt-realtime"
PLACES: dict[str, tuple[str, dict[str, str]]] = {
    "bearer": (NATIVE, {"authorization": f"Bearer {A}"}),
    "lower case": (NATIVE, {"Authorization": f"bearer  {A}"}),
    "no scheme": (NATIVE, {"authorization": A}),
    "anthropic": (MESSAGES, {"x-api-key": A, "anthropic-version": "2023-06-01"}),
    "azure": (CHAT, {"api-key": A}),
    "google": (NATIVE, {"x-goog-api-key": A}),
    "query": (f"{NATIVE}?alt=sse&key={A}", {}),
    "other query": (f"{NATIVE}?%24key={quote(A)}&alt=sse", {}),
    "ours": (CHAT, {"x-vertex-tap-key": A}),
    "rotated": (CHAT, {"authorization": f"Bearer {OLD}"}),
    "ours beside another": (CHAT, {"x-vertex-tap-key": A, "authorization": f"Bearer {g.PRO}"}),
}


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"user:{key}".encode()).decode()


class TestPlaces:
    @pytest.mark.parametrize("place", PLACES)
    def test_a_key_in(self, guarded: Proxy, simulator: Simulator, place: str) -> None:
        path, headers = PLACES[place]
        guarded.new_rows()
        answer = call(guarded.url, path, HELLO if path.startswith(NATIVE) else _chat(path), headers=NOBODY | headers)
        assert answer.status == 200
        row = guarded.new_row()
        assert (row["client"], row["service"], row["state"]) == ("team-a", "prod", "done")
        sent = simulator.seen[-1].request
        assert "vt-" not in f"{sent.raw_headers} {sent.path} {sent.query}"
        assert A not in guarded.output

    def test_a_key_in_a_websockets_protocol(self, guarded: Proxy, simulator: Simulator) -> None:
        guarded.new_rows()
        protocol = f"realtime, openai-insecure-api-key.{A}, openai-beta.realtime-v1"
        with connected(guarded.port, SOCKET, {"sec-websocket-protocol": protocol}):
            pass
        assert until(lambda: guarded.rows()[-1]["state"] != "open")
        assert guarded.new_row()["client"] == "team-a"
        assert simulator.seen[-1].request.headers["sec-websocket-protocol"] == "realtime, openai-beta.realtime-v1"

    def test_beside_a_token_of_googles(self, guarded: Proxy, simulator: Simulator) -> None:
        """With passthrough, the usual places hold what Google is to get."""
        guarded.new_rows()
        answer = call(guarded.url, f"/own{NATIVE}", HELLO, headers={"x-vertex-tap-key": A})
        assert (answer.status, guarded.new_row()["client"]) == (200, "team-a")
        sent = simulator.seen[-1].request
        assert sent.headers["x-goog-api-key"] == "AIzaSimulatedKey"
        assert "vt-" not in str(sent.raw_headers)

    def test_the_header_of_ours_never_goes_on(self, guarded: Proxy, simulator: Simulator) -> None:
        headers = {"api-key": A, "x-vertex-tap-key": "vt-nobody-0123456789"}
        assert call(guarded.url, f"/own{NATIVE}", HELLO, headers=headers).status == 200
        assert "vt-" not in str(simulator.seen[-1].request.raw_headers)

    @pytest.mark.parametrize("header", ["authorization", "proxy-authorization"])
    def test_a_password_beside_it_never_goes_on(self, guarded: Proxy, simulator: Simulator, header: str) -> None:
        """Such as that of a base URL `http://user:KEY@host`. A password of somebody else's is not the proxy's."""
        other = "Basic " + base64.b64encode(b"user:other").decode()
        for said, is_sent in ((basic(A), False), (other, True)):
            before = len(simulator.seen)
            call(guarded.url, f"/own{NATIVE}", HELLO, headers={"x-vertex-tap-key": A, header: said})
            assert len(simulator.seen) == before + 1
            assert (said in str(simulator.seen[-1].request.raw_headers)) == is_sent

    def test_whose_key_is_removed_is_not_judged(self, guarded: Proxy) -> None:
        """`/v1/models` follows the credential that would be forwarded: the client's key is none."""
        guarded.new_rows()
        call(guarded.url, "/v1/models", headers={"x-goog-api-key": A})
        assert guarded.new_row()["surface"] == "openai"


def _chat(path: str) -> object:
    return g.said("gemini-2.5-flash", **({"max_tokens": 10} if path == MESSAGES else {}))


WRONG = {
    "missing": {},
    "wrong": {"authorization": "Bearer vt-nobody-0123456789"},
    "beginning": {"authorization": f"Bearer {A[:-1]}"},
    "another case": {"authorization": f"Bearer {A.upper()}"},
    "basic": {"authorization": "Basic " + base64.b64encode(f"x:{A}".encode()).decode()},
    "digest": {"authorization": f"Bearer {digest_of(A).hex()}"},
    "empty": {"x-vertex-tap-key": ""},
    "googles": {"x-goog-api-key": "AIzaSimulatedKey"},
    "elsewhere": {"x-other": A},
}


class TestWithoutAKey:
    @pytest.mark.parametrize(
        ("path", "said"),
        [
            (CHAT, {"type": "authentication_error", "code": "invalid_api_key"}),
            (MESSAGES, {"type": "authentication_error"}),
            (NATIVE, {"status": "UNAUTHENTICATED"}),
            (GEMINI, {"status": "UNAUTHENTICATED"}),
            ("/nobodys", {"status": "UNAUTHENTICATED"}),
        ],
    )
    def test_the_answer_is_always_the_same(
        self, guarded: Proxy, simulator: Simulator, path: str, said: dict[str, str]
    ) -> None:
        before, told = len(simulator.seen), set()
        guarded.new_rows()
        for headers in WRONG.values():
            answer = ask(guarded, path, "gemini-2.5-flash", NOBODY | headers)
            told.add((answer.status, answer.body, str(answer.headers)))
        ((status, body, headers_told),) = told
        assert (status, json.loads(body)["error"].items() >= said.items()) == (401, True)
        assert "www-authenticate" in headers_told.lower()
        assert len(simulator.seen) == before
        kinds = {(row["state"], row["error_type"], row["client"], row["status"]) for row in guarded.new_rows()}
        assert kinds == {("refused", "unauthorized", None, 401)}
        assert "vt-" not in guarded.output

    def test_head_and_a_websocket(self, guarded: Proxy) -> None:
        assert call(guarded.url, CHAT, method="HEAD", headers=NOBODY).status == 401
        with connected(guarded.port, SOCKET, {}) as (_, answer):
            assert answer.status_code == 401


class TestNetworks:
    """The simulated clients come through a proxy at 127.0.0.1, which is trusted."""

    @pytest.mark.parametrize(
        ("key", "forwarded", "status"),
        [
            (A, None, 200),
            (A, "10.2.3.4", 200),
            (A, "192.168.1.1", 403),
            (A, "10.2.3.4, 192.168.1.1", 403),
            # What a client itself has written stands before what the proxies have.
            (A, "192.168.1.1, 10.2.3.4", 200),
            (A, "192.168.1.1, 10.0.0.1", 403),
            (A, "10.2.3.4, 10.0.0.1", 200),
            (A, "10.2.3.4:55000", 200),
            (A, "unknown", 403),
            (A, "::ffff:10.2.3.4", 200),
            (A, "2001:db8::1", 403),
            (g.FAR, None, 403),
            (g.FAR, "10.1.9.9", 200),
            (g.FAR, "10.2.9.9", 403),
        ],
    )
    def test_from(self, guarded: Proxy, key: str, forwarded: str | None, status: int) -> None:
        guarded.new_rows()
        headers = bearer(key) | ({"x-forwarded-for": forwarded} if forwarded else {})
        answer = call(guarded.url, NATIVE, HELLO, headers=headers)
        row = guarded.new_row()
        name = "team-a" if key == A else "far"
        assert (answer.status, row["client"]) == (status, name)
        if status == 403:
            assert answer.json()["error"]["status"] == "PERMISSION_DENIED"
            assert (row["state"], row["error_type"]) == ("refused", "forbidden")

    def test_a_wrong_key_from_anywhere(self, guarded: Proxy) -> None:
        headers = bearer("vt-nobody-0123456789") | {"x-forwarded-for": "192.168.1.1"}
        assert call(guarded.url, NATIVE, HELLO, headers=headers).status == 401


class TestHostAndOrigin:
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"host": "llm.example"}, 200),
            ({"origin": "https://evil.example"}, 403),
            ({"sec-fetch-site": "cross-site"}, 403),
        ],
    )
    def test_with_a_key(self, guarded: Proxy, headers: dict[str, str], status: int) -> None:
        assert call(guarded.url, NATIVE, HELLO, headers=bearer(A) | headers).status == status


@pytest.fixture(scope="module")
def forward(simulator: Simulator, confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("forward")
    (folder / "gateway.yaml").write_text(g.CLIENTS.replace("services: [qwen]", "services: [openai]"))
    sets = ["gateway_config=gateway.yaml", f"openai_endpoint={simulator.url}/v1"]
    with Proxy(*sets, mode="regular", folder=folder, confdir=confdir, serve=True, env=g.KEYS) as proxy:
        yield proxy


@contextmanager
def tunnel(proxy: Proxy, host: str, line: str) -> Iterator[tuple[socket.socket, bytes]]:
    """A connection on which a client has asked for a tunnel, and the head of the answer."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        client.sendall(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{line}\r\n".encode())
        told = b""
        while b"\r\n\r\n" not in told:
            piece = client.recv(65536)
            assert piece, told
            told += piece
        yield client, told


class TestForward:
    @pytest.mark.parametrize("said", [None, basic("vt-nobody-0123456789"), "Basic !", f"Basic {A}"])
    def test_a_tunnel_without_a_key(self, forward: Proxy, said: str | None) -> None:
        line = f"Proxy-Authorization: {said}\r\n" if said else ""
        with tunnel(forward, "other.example:443", line) as (_, head):
            assert head.split()[1] == b"407"
            assert b"proxy-authenticate: basic" in head.lower()

    def test_a_tunnel_from_elsewhere(self, forward: Proxy) -> None:
        with tunnel(forward, "other.example:443", f"Proxy-Authorization: {basic(g.FAR)}\r\n") as (_, head):
            assert head.split()[1] == b"403"

    @pytest.mark.parametrize(("said", "status", "client"), [(basic(A), 200, "team-a"), (f"Bearer {A}", 200, "team-a")])
    def test_a_request(self, forward: Proxy, simulator: Simulator, said: str, status: int, client: str) -> None:
        forward.new_rows()
        answer = call(forward.url, f"{simulator.url}{NATIVE}", HELLO, headers={"proxy-authorization": said})
        assert answer.status == status
        assert forward.new_row()["client"] == client
        sent = simulator.seen[-1].request
        assert "vt-" not in str(sent.raw_headers)
        assert sent.headers["x-goog-api-key"] == "AIzaSimulatedKey"

    def test_requests_without_a_key(self, forward: Proxy, simulator: Simulator) -> None:
        """Neither calls nor anything else; a key for the upstream is none for the proxy."""
        forward.new_rows()
        before = len(simulator.seen)
        for url in (f"{simulator.url}{NATIVE}", "http://other.invalid/x"):
            answer = call(forward.url, url, HELLO, headers=bearer(A))
            assert (answer.status, answer.header("proxy-authenticate")) == (407, 'Basic realm="vertex-tap"')
        assert len(simulator.seen) == before
        assert [(row["error_type"], row["client"]) for row in forward.new_rows()] == [("unauthorized", None)]

    def test_all_in_a_tunnel_is_its_clients(self, forward: Proxy, simulator: Simulator) -> None:
        forward.new_rows()
        at, body = simulator.url.removeprefix("http://"), json.dumps(HELLO)
        with tunnel(forward, at, f"Proxy-Authorization: {basic(A)}\r\n") as (client, told):
            assert told.split()[1] == b"200"
            head = f"POST {NATIVE} HTTP/1.1\r\nHost: {at}\r\nx-goog-api-key: AIzaSimulatedKey\r\n"
            client.sendall(f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            assert b"".join(iter(lambda: client.recv(65536), b"")).split()[1] == b"200"
        assert forward.new_row()["client"] == "team-a"

    def test_a_key_that_is_removed_ends_with_it(self, confdir: Path, simulator: Simulator, tmp_path: Path) -> None:
        """Also on a tunnel that was opened with it, as a connection may be open for days."""
        file, at, body = tmp_path / "gateway.yaml", simulator.url.removeprefix("http://"), json.dumps(HELLO)
        asked = f"POST {NATIVE} HTTP/1.1\r\nHost: {at}\r\nx-goog-api-key: AIzaSimulatedKey\r\n"
        asked += f"Content-Length: {len(body)}\r\n\r\n{body}"
        old, new = (f"clients: [{{name: a, key_env: {keys}}}]" for keys in ("[OLD_KEY, NEW_KEY]", "NEW_KEY"))
        file.write_text(old)
        sets = [f"gateway_config={file}", f"openai_endpoint={simulator.url}/v1"]
        with Proxy(*sets, mode="regular", folder=tmp_path, confdir=confdir, serve=True, env=g.KEYS) as proxy:
            with ExitStack() as stack:
                lines = [f"Proxy-Authorization: {basic(key)}\r\n" for key in (OLD, A)]
                tunnels = [stack.enter_context(tunnel(proxy, at, line))[0] for line in lines]
                assert [_answered(client, asked) for client in tunnels] == [(200, False), (200, False)]
                file.write_text(new)
                proxy.process.send_signal(signal.SIGHUP)
                until(lambda: "read the configuration again: clients changed" in proxy.output)
                # A client whose key was replaced opens another tunnel, with the new key.
                assert [_answered(client, asked) for client in tunnels] == [(407, True), (200, False)]
            rows = proxy.rows()
        assert [(row["client"], row["status"]) for row in rows] == [("a", 200), ("a", 200), (None, 407), ("a", 200)]


def _answered(client: socket.socket, asked: str) -> tuple[int, bool]:
    """The status of an answer, and whether it ends the connection."""
    client.sendall(asked.encode())
    with closing(HTTPResponse(client)) as answer:
        answer.begin()
        answer.read()
        return answer.status, answer.will_close


def test_more_places_than_any_client_fills() -> None:
    """Each costs a comparison with all keys, and whoever sends them may be a stranger."""
    request = http.Request.make("POST", "http://x/v1/y?" + "&".join(["key=nobodys"] * 1000 + [f"key={A}", "x=1"]))
    assert take_key(request, CALLERS) is None
    assert request.path.count("nobodys") == 32
    assert A not in request.path
    assert request.path.endswith("&x=1")


def test_keys_in_authorization() -> None:
    assert keys_in(f"Bearer {A}") == keys_in(basic(A)) == keys_in(f"bearer  {A} ") == [A]
    assert keys_in("Basic !") == keys_in("Basic dXNlcg==") == keys_in("") == keys_in(A) == []
    assert keys_in(basic("a:b")) == ["a:b"]


CALLERS = Callers((Client("a", (digest_of(A),)), Client("b", (digest_of("b" * 16),))))
KEY = A.encode()
PROTOCOL = b"x, openai-insecure-api-key." + KEY
FOUND = {
    (b"Authorization", KEY),
    (b"Authorization", b"Bearer " + KEY),
    (b"x-api-key", KEY),
    (b"x-api-key", b"Bearer " + KEY),
    (b"x-vertex-tap-key", KEY),
    (b"x-vertex-tap-key", b"Bearer " + KEY),
    (b"Sec-WebSocket-Protocol", PROTOCOL),
    (b"key", KEY),
    (b"api_key", KEY),
}
"""Where a key is found: name of a header or a query parameter, and value."""
header_names = st.sampled_from(
    [b"Authorization", b"x-api-key", b"x-vertex-tap-key", b"Sec-WebSocket-Protocol", b"X-Other"]
)
header_values = st.one_of(st.binary(max_size=12), st.sampled_from([KEY, b"Bearer " + KEY, PROTOCOL, b"Bearer", b""]))
query_names, query_values = st.sampled_from([b"key", b"api_key", b"x", b"%zz"]), st.sampled_from([KEY, b"1", b"", b"%"])


@given(
    st.lists(st.tuples(header_names, header_values), max_size=6),
    st.lists(st.tuples(query_names, query_values), min_size=1, max_size=4),
)
def test_any_request(fields: list[tuple[bytes, bytes]], query: list[tuple[bytes, bytes]]) -> None:
    """A key is found, and removed, if and only if it stands in a place for keys; all else stays as it is."""
    request = http.Request.make("POST", "http://x/v1/y")
    request.headers.fields = tuple(fields)
    request.path = "/v1/y?" + "&".join(f"{name.decode()}={value.decode()}" for name, value in query)
    client = take_key(request, CALLERS)
    assert (client and client.name) == ("a" if FOUND.intersection([*fields, *query]) else None)
    rest = [(name, b"x" if (name, value) in FOUND and value == PROTOCOL else value) for name, value in fields]
    assert [*request.headers.fields] == [one for one in rest if one not in FOUND]
    left = "&".join(f"{name.decode()}={value.decode()}" for name, value in query if (name, value) not in FOUND)
    assert request.path == "/v1/y" + "?" * bool(left) + left
    assert take_key(request, CALLERS) is None
