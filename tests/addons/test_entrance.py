"""Reverse mode and forward mode, with real host names."""

import itertools
import resource
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import certifi
import httpx
import pytest
import trustme
from mitmproxy.version import VERSION

from addons.entrance import BUNDLE
from addons.entrance import CERTIFICATE_VARIABLES
from tests.conftest import StartProxy
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.http import raw
from tests.loopback import OTHER
from tests.loopback import client_context
from tests.loopback import environment
from tests.loopback import server_context
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator import Simulator

UNARY = f"{MODEL}:generateContent"
KEY = {"x-goog-api-key": API_KEY}


@pytest.fixture(scope="module")
def stranger() -> Iterator[tuple[Simulator, trustme.CA]]:
    """A host that is none of ours, with a CA of its own."""
    ca = trustme.CA()
    with Simulator(tls=server_context(ca, OTHER)) as running:
        yield running, ca


@pytest.fixture(scope="module")
def forward(
    tmp_path_factory: pytest.TempPathFactory,
    confdir: Path,
    google: Simulator,
    ca_file: Path,
    stranger: tuple[Simulator, trustme.CA],
    simulator: Simulator,
) -> Iterator[Proxy]:
    ports = {443: google.port, 8443: stranger[0].port, 80: simulator.port}
    folder = tmp_path_factory.mktemp("forward")
    trusted = f"ssl_verify_upstream_trusted_ca={ca_file}"
    with Proxy(trusted, folder=folder, mode="regular", confdir=confdir, env=environment(ports)) as running:
        yield running


def through(proxy: Proxy, trusted: Path | ssl.SSLContext, *, http2: bool = False) -> httpx.Client:
    context = client_context(trusted, http2=http2) if isinstance(trusted, Path) else trusted
    return httpx.Client(proxy=proxy.url, verify=context, http2=http2, trust_env=False, timeout=20)


class TestForward:
    @pytest.mark.parametrize("http2", [False, True])
    @pytest.mark.parametrize(
        "host",
        [
            "aiplatform.googleapis.com",
            "europe-west4-aiplatform.googleapis.com",
            "aiplatform.eu.rep.googleapis.com",
            "aiplatform-genai1.p.googleapis.com",
            "aiplatform.us-central1.p.rep.googleapis.com",
            "7.us-central1-1.prediction.vertexai.goog",
        ],
    )
    def test_ai_hosts_are_read(self, forward: Proxy, confdir: Path, host: str, http2: bool) -> None:
        forward.new_rows()
        with through(forward, confdir / BUNDLE, http2=http2) as client:
            answer = client.post(f"https://{host}{UNARY}?key={API_KEY}", json=HELLO)
        assert (answer.status_code, answer.http_version) == (200, "HTTP/2" if http2 else "HTTP/1.1")
        row = forward.new_row()
        assert (row["state"], row["usage_state"], row["surface"]) == ("done", "final", "vertex")
        assert (row["upstream_host"], row["service"], row["path"]) == (host, None, UNARY)

    @pytest.mark.parametrize("host", ["api.openai.com", "us.api.openai.com"])
    def test_openai_too(self, forward: Proxy, confdir: Path, host: str) -> None:
        forward.new_rows()
        with through(forward, confdir / BUNDLE) as client:
            client.get(f"https://{host}/v1/models", headers={"authorization": "Bearer sk-simulated"})
        row = forward.new_row()
        assert (row["surface"], row["operation"], row["status"]) == ("openai", "models", 200)

    @pytest.mark.parametrize("door", ["private.googleapis.com", "restricted.googleapis.com"])
    @pytest.mark.parametrize(
        ("sni", "host", "surface"),
        [
            ("aiplatform.googleapis.com", "aiplatform.googleapis.com", "vertex"),
            ("", "aiplatform.googleapis.com", "vertex"),
            ("", "us-central1-aiplatform.googleapis.com:443", "vertex"),
            ("", "generativelanguage.googleapis.com", "gemini"),
            ("", "storage.googleapis.com", None),
        ],
    )
    def test_a_host_behind_a_door(
        self, forward: Proxy, confdir: Path, google: Simulator, door: str, sni: str, host: str, surface: str | None
    ) -> None:
        """`private.googleapis.com` serves all of Google's APIs: the name in TLS, or the header Host, tells which."""
        forward.new_rows()
        arrived = len(google.seen)
        context = client_context(confdir / BUNDLE)
        head = f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", forward.port), timeout=10) as tunnel:
            tunnel.sendall(f"CONNECT {door}:443 HTTP/1.1\r\n\r\n".encode())
            assert b" 200 " in tunnel.recv(1000)
            with context.wrap_socket(tunnel, server_hostname=sni or door) as client:
                client.sendall(head)
                assert client.recv(1000).startswith(b"HTTP/1.1 ")
        assert len(google.seen) == arrived + 1
        if surface:
            row = forward.new_row()
            assert (row["upstream_host"], row["path"]) == (door, "/v1/models")
            assert row["surface"] in (surface, None)
        assert forward.new_rows() == []

    def test_another_host_behind_a_door_is_not_decrypted(
        self, forward: Proxy, stranger: tuple[Simulator, trustme.CA]
    ) -> None:
        simulator, ca = stranger
        arrived = len(simulator.seen)
        context = ssl.create_default_context()
        ca.configure_trust(context)
        forward.new_rows()
        with socket.create_connection(("127.0.0.1", forward.port), timeout=10) as tunnel:
            tunnel.sendall(b"CONNECT private.googleapis.com:8443 HTTP/1.1\r\n\r\n")
            assert b" 200 " in tunnel.recv(1000)
            with context.wrap_socket(tunnel, server_hostname="example.com") as client:
                client.sendall(b"GET /v1/models HTTP/1.1\r\nHost: aiplatform.googleapis.com\r\n\r\n")
                assert client.recv(1000)
        assert len(simulator.seen) == arrived + 1
        assert forward.new_rows() == []

    @pytest.mark.parametrize(
        "host",
        [
            "evil-aiplatform.googleapis.com.example",
            "aiplatform.p.googleapis.com.evil.com",
            "xaiplatform.googleapis.com",
        ],
    )
    def test_hosts_that_look_alike_are_tunnelled(
        self, forward: Proxy, stranger: tuple[Simulator, trustme.CA], host: str
    ) -> None:
        """The client gets the host's own certificate, which is not valid for this name."""
        _, ca = stranger
        context = ssl.create_default_context()
        ca.configure_trust(context)
        forward.new_rows()
        with through(forward, context) as client, pytest.raises(httpx.ConnectError, match="Hostname mismatch"):
            client.post(f"https://{host}:8443{UNARY}", json=HELLO)
        assert forward.new_rows() == []

    def test_others_are_tunnelled(self, forward: Proxy, stranger: tuple[Simulator, trustme.CA], tmp_path: Path) -> None:
        """The client sees their certificate, not ours, and there is no row."""
        forward.new_rows()
        simulator, ca = stranger
        arrived = len(simulator.seen)
        context = ssl.create_default_context()
        ca.configure_trust(context)
        with through(forward, context) as client:
            answer = client.post(f"https://example.com:8443{UNARY}?key=MARK", json=HELLO)
        assert answer.status_code == 400
        assert len(simulator.seen) == arrived + 1
        assert forward.new_rows() == []
        assert UNARY not in forward.output

    def test_what_is_not_tls_is_tunnelled_too(self, forward: Proxy) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            threading.Thread(target=_echo, args=(server,), daemon=True).start()
            with socket.create_connection(("127.0.0.1", forward.port), timeout=10) as client:
                client.sendall(b"CONNECT example.com:%d HTTP/1.1\r\n\r\n" % server.getsockname()[1])
                assert client.recv(1000).startswith(b"HTTP/1.1 200")
                client.sendall(b"GET /odd?key=MARK HTTP/0.1\r\n\x00\xff")
                assert client.recv(1000) == b"GET /odd?key=MARK HTTP/0.1\r\n\x00\xff"
        assert "MARK" not in forward.output

    def test_plain_http_is_forwarded_without_a_row(self, forward: Proxy, simulator: Simulator) -> None:
        forward.new_rows()
        with through(forward, ssl.create_default_context()) as client:
            answer = client.post(f"http://plain.example{UNARY}?key={API_KEY}&x=MARK", json=HELLO)
        assert answer.status_code == 200
        assert simulator.seen[-1].request.query == {"key": [API_KEY], "x": ["MARK"]}
        assert forward.new_rows() == []
        assert "MARK" not in forward.output
        assert API_KEY not in forward.output

    def test_plain_http_to_an_ai_host_leaves_a_row(self, forward: Proxy) -> None:
        forward.new_rows()
        with through(forward, ssl.create_default_context()) as client:
            client.post(f"http://aiplatform.googleapis.com{UNARY}", json=HELLO, headers=KEY)
        assert forward.new_row()["upstream_host"] == "aiplatform.googleapis.com"

    def test_a_google_host_behind_another_address(self, forward: Proxy, confdir: Path) -> None:
        """What is decrypted is recorded."""
        forward.new_rows()
        context = client_context(confdir / BUNDLE)
        with socket.create_connection(("127.0.0.1", forward.port), timeout=10) as tunnel:
            tunnel.sendall(b"CONNECT example.com:443 HTTP/1.1\r\n\r\n")
            assert b" 200 " in tunnel.recv(1000)
            with context.wrap_socket(tunnel, server_hostname="aiplatform.googleapis.com") as client:
                client.sendall(b"GET /v1/x HTTP/1.1\r\nHost: aiplatform.googleapis.com\r\n\r\n")
                assert client.recv(1000)
        assert forward.new_row()["path"] == "/v1/x"

    def test_an_upstream_that_we_do_not_trust(self, forward: Proxy, confdir: Path) -> None:
        forward.new_rows()
        with through(forward, confdir / BUNDLE) as client:
            assert client.post(f"https://aiplatform.googleapis.com:8443{UNARY}", json=HELLO).status_code == 502
        row = forward.new_row()
        assert (row["state"], row["error_type"], row["status"]) == ("upstream_failed", "tls_failed", 502)

    def test_the_bundle_has_all_roots_and_ours(self, forward: Proxy, confdir: Path) -> None:
        bundle = (confdir / BUNDLE).read_text()
        assert bundle.startswith(Path(certifi.where()).read_text())
        assert (confdir / "mitmproxy-ca-cert.pem").read_text() in bundle

    def test_the_directions(self, forward: Proxy, confdir: Path) -> None:
        proxy, ledger, certificates = directions(forward)
        assert proxy.startswith(f"set HTTPS_PROXY={forward.url} ")
        assert "https_proxy" in proxy
        assert "NODE_USE_ENV_PROXY=1" in proxy
        assert ledger == f"the ledger is {forward.ledger}"
        assert f"trust {confdir / BUNDLE}: " in certificates
        for name in CERTIFICATE_VARIABLES:
            assert name in certificates

    @pytest.mark.parametrize(
        ("path", "shape"),
        [
            ("/v1/chat/completions", {"error": {"message", "type", "param", "code"}}),
            ("/v1/messages", {"type": None, "error": {"type", "message"}}),
            (UNARY, {"error": {"code", "message", "status"}}),
            ("/", {"error": {"code", "message", "status"}}),
        ],
    )
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_it_is_no_base_url(self, forward: Proxy, path: str, shape: dict[str, set[str] | None], host: str) -> None:
        """A client that takes it for one is told what to set."""
        forward.new_rows()
        with httpx.Client(trust_env=False) as client:
            answer = client.post(f"http://{host}:{forward.port}{path}", json=HELLO, headers=KEY)
        assert answer.status_code == 400
        body = answer.json()
        for name, members in shape.items():
            assert name in body
            assert (members or set()) <= (body[name].keys() if members else set())
        message = body["error"]["message"]
        assert f"http://{host}:{forward.port} is a proxy, not a base URL" in message
        assert f"HTTPS_PROXY=http://{host}:{forward.port}" in message
        row = forward.new_row()
        assert (row["state"], row["error_type"], row["status"], row["upstream_host"]) == (
            "refused",
            "bad_request",
            400,
            None,
        )


def directions(proxy: Proxy) -> list[str]:
    """What the proxy says when it starts, before the lines of calls; where mitmproxy lacks fixes, one line more says
    so."""
    outdated = "mitmproxy 11.0.2 lacks published security fixes"
    if VERSION == "11.0.2":
        until(lambda: f"{outdated} " in proxy.stdout)
    said = [line.partition("vertex-tap: ")[2] for line in proxy.stdout.splitlines() if "vertex-tap:" in line]
    lines = [*itertools.takewhile(lambda line: "generateContent" not in line, said)]
    if VERSION == "11.0.2":
        assert outdated in lines.pop()
    return lines


def _echo(server: socket.socket) -> None:
    client, _ = server.accept()
    with client:
        while data := client.recv(1000):
            client.sendall(data)


class TestReverse:
    def test_the_location_decides(self, start_proxy: StartProxy, google: Simulator, ca_file: Path) -> None:
        proxy = start_proxy(f"ssl_verify_upstream_trusted_ca={ca_file}", env=environment({443: google.port}))
        paths = {
            UNARY: "aiplatform.googleapis.com",
            "/v1/projects/p/locations/us-central1/models": "us-central1-aiplatform.googleapis.com",
            "/v1/projects/p/locations/eu/models": "aiplatform.eu.rep.googleapis.com",
            "/v1/projects/p/locations/global/models": "aiplatform.googleapis.com",
            "/v1/projects/p/locations/us-central1/reasoningEngines/5": "us-central1-aiplatform.googleapis.com",
            "/v1beta/fileSearchStores": "generativelanguage.googleapis.com",
            "/v1/models": "api.openai.com",
            "/v1/models/ft:gpt-4o:acme::Abc": "api.openai.com",
        }
        for path, host in paths.items():
            headers = {"x-goog-api-key": ""} if host == "api.openai.com" else {}
            call(proxy.url, path, HELLO if path == UNARY else None, headers=headers)
            row = proxy.new_row()
            assert (row["upstream_host"], row["upstream_path"]) == (host, path)
            assert google.seen[-1].request.headers["host"] == host
            assert row["upstream_status"] is not None

    def test_the_directions(self, start_proxy: StartProxy, simulator: Simulator) -> None:
        proxy = start_proxy("gateway_base_path=/vertex,/longer/path", mode=f"reverse:{simulator.url}")
        clients, ledger, certificates = directions(proxy)
        assert clients == f"point clients at {proxy.url}/longer/path (base_url)"
        assert ledger == f"the ledger is {proxy.ledger}"
        assert BUNDLE in certificates

    def test_the_bare_base_path(self, start_proxy: StartProxy, simulator: Simulator) -> None:
        proxy = start_proxy("gateway_base_path=/vertex", mode=f"reverse:{simulator.url}")
        call(proxy.url, "/vertex?x=1")
        row = proxy.new_row()
        assert (row["path"], row["upstream_path"]) == ("/", "/")

    def test_both_ways_at_once(self, start_proxy: StartProxy, simulator: Simulator) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            other = free.getsockname()[1]
        proxy = start_proxy(mode=f"reverse:{simulator.url}", arguments=("--mode", f"regular@127.0.0.1:{other}"))
        lines = directions(proxy)
        assert [line.split()[0] for line in lines] == ["point", "set", "the", "clients"]
        assert call(proxy.url, UNARY, HELLO).status == 200

    def test_a_tls_client(self, start_proxy: StartProxy, simulator: Simulator, confdir: Path) -> None:
        proxy = start_proxy(mode=f"reverse:{simulator.url}")
        context = client_context(confdir / "mitmproxy-ca-cert.pem", http2=True)
        with httpx.Client(verify=context, http2=True, trust_env=False) as client:
            answer = client.post(f"https://127.0.0.1:{proxy.port}{UNARY}", json=HELLO, headers=KEY)
        assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
        assert proxy.new_row()["usage_state"] == "final"

    def test_no_connection_before_a_call(self, start_proxy: StartProxy, google: Simulator) -> None:
        before = google.connections
        proxy = start_proxy(mode=f"reverse:{google.url}")
        raw(proxy.url, b"")
        assert google.connections == before

    def test_as_many_files_as_the_system_gives(self, start_proxy: StartProxy, simulator: Simulator) -> None:
        proxy = start_proxy(mode=f"reverse:{simulator.url}")
        limits = Path(f"/proc/{proxy.process.pid}/limits")
        if not limits.exists():
            pytest.skip("only Linux tells the limits of another process")
        (line,) = [line for line in limits.read_text().splitlines() if line.startswith("Max open files")]
        assert line.split()[3] == line.split()[4] == str(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
