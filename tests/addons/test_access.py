"""Which callers and which requests are let in where calls get credentials that the client does not have."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from mitmproxy import exceptions
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.test import taddons

from addons.access import Access
from addons.access import misleading
from addons.classify import Classify
from addons.configuration.settings import OPTIONS
from addons.options import Options
from tests.configuration import DEFAULTS
from tests.conftest import StartProxy
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.loopback import client_context
from tests.loopback import environment
from tests.process import Proxy
from tests.process import Row
from tests.process import until
from tests.vertex_simulator import Seen
from tests.vertex_simulator import Simulator

UNARY = f"{MODEL}:generateContent"
LIVE = "/ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent"
CHAT = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello"}]}
BODY = json.dumps(HELLO).encode()


@pytest.fixture(scope="module")
def injecting(
    simulator: Simulator, key_file: Path, confdir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    options = ("vertex_auth=service_account", f"vertex_credentials={key_file}", "openai_mode=convert")
    based = (*options, "gateway_base_path=/vertex")
    folder = tmp_path_factory.mktemp("injecting")
    with Proxy(*based, mode=f"reverse:{simulator.url}", folder=folder, confdir=confdir, serve=True) as running:
        yield running


@pytest.fixture
def arrived(injecting: Proxy, simulator: Simulator) -> "Arrived":
    injecting.new_rows()
    return Arrived(simulator)


class Arrived:
    """What has arrived upstream since, without the requests for tokens."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator, self._before = simulator, len(simulator.seen)

    def __call__(self) -> list[Seen]:
        return [seen for seen in self._simulator.seen[self._before :] if seen.request.path != "/token"]


def ask(proxy: Proxy, request_line: str, *headers: str, body: bytes = BODY) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (in lower case) and body of the answer to a request that need not be a good one."""
    head = "\r\n".join([request_line, *headers, f"Content-Length: {len(body)}", "Connection: close", "", ""])
    answer = b""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        client.sendall(head.encode("utf-8", "surrogateescape") + body)
        while piece := client.recv(65536):
            answer += piece
    start, _, rest = answer.partition(b"\r\n\r\n")
    status, *fields = start.decode().split("\r\n")
    told = dict(field.lower().split(": ", 1) for field in fields)
    return int(status.split()[1]), told, rest


def settled(proxy: Proxy) -> Row:
    """The only new row, once its call has ended."""
    until(lambda: not proxy.rows("state = 'open'"))
    return proxy.new_row()


def check_refused(row: Row, error_type: str) -> None:
    assert (row["state"], row["attempts"], row["error_type"]) == ("refused", 0, error_type)
    assert (row["upstream_status"], row["usage_state"]) == (None, "not_applicable")


class TestHost:
    """After DNS rebinding a page of another site is no stranger to the browser, but Host names that site."""

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize(
        "host",
        ["evil.example", "127.0.0.1.nip.io:{port}", "localhost.evil.example", "", "a@localhost", "0.0.0.0:{port}"],
    )
    def test_another(self, injecting: Proxy, arrived: Arrived, method: str, host: str) -> None:
        line = f"{method} {UNARY} HTTP/1.1"
        status, headers, body = ask(injecting, line, f"Host: {host.format(port=injecting.port)}")
        assert (status, headers["content-type"]) == (403, "application/json")
        assert json.loads(body)["error"]["status"] == "PERMISSION_DENIED"
        row = settled(injecting)
        check_refused(row, "forbidden")
        assert (row["model"], row["path"], row["status"]) == ("gemini-2.5-flash", UNARY, 403)
        assert arrived() == []

    @pytest.mark.parametrize(
        ("line", "headers"),
        [
            ("POST {path} HTTP/1.0", []),
            ("POST {path} HTTP/1.1", []),
            ("POST {path} HTTP/1.1", ["Host: localhost", "Host: evil.example"]),
            ("POST {path} HTTP/1.1", ["Host: evil.example", "Host: localhost"]),
            ("POST {path} HTTP/1.1", ["Host: localhost", "Host: localhost"]),
            ("POST http://evil.example{path} HTTP/1.1", ["Host: localhost"]),
            ("POST http://localhost{path} HTTP/1.1", ["Host: evil.example"]),
            ("POST http://localhost@evil.example{path} HTTP/1.1", ["Host: localhost"]),
            (
                "POST {path} HTTP/1.1",
                ["Host: evil.example", "X-Forwarded-Host: localhost", "Forwarded: host=localhost"],
            ),
        ],
    )
    def test_none_or_two(self, injecting: Proxy, arrived: Arrived, line: str, headers: list[str]) -> None:
        status, _, body = ask(injecting, line.format(path=UNARY), *headers)
        assert status in (400, 403)
        assert json.loads(body)["error"]["code"] == status
        assert arrived() == []

    @pytest.mark.parametrize(
        ("line", "headers"),
        [
            ("POST {path} HTTP/1.1", ["Host: LOCALHOST:1"]),
            ("POST {path} HTTP/1.1", ["Host: [::1]:8080"]),
            ("POST {path} HTTP/1.1", ["Host: localhost", "X-Forwarded-Host: evil.example"]),
            ("POST {path} HTTP/1.0", ["Host: 127.0.0.1"]),
            ("POST http://127.0.0.1:5{path} HTTP/1.1", ["Host: 127.0.0.1:5"]),
        ],
    )
    def test_our_own(
        self, injecting: Proxy, arrived: Arrived, simulator: Simulator, line: str, headers: list[str]
    ) -> None:
        """What goes upstream names the upstream, once."""
        for path in (UNARY, f"/vertex{UNARY}"):
            assert ask(injecting, line.format(path=path), *headers)[0] == 200
        chat = json.dumps(CHAT).encode()
        assert ask(injecting, line.format(path="/v1/chat/completions"), *headers, body=chat)[0] == 200
        hosts = [[value for name, value in seen.request.raw_headers if name.lower() == b"host"] for seen in arrived()]
        assert hosts == [[simulator.url.removeprefix("http://").encode()]] * 3

    @pytest.mark.parametrize("host", ["evil.example", "localhost"])
    def test_websockets(self, injecting: Proxy, arrived: Arrived, host: str) -> None:
        status = _upgrade(injecting, f"Host: {host}")
        assert status == (101 if host == "localhost" else 403)
        if host != "localhost":
            check_refused(settled(injecting), "forbidden")
            assert arrived() == []
        else:
            assert arrived()[0].request.headers["host"].startswith("127.0.0.1:")

    def test_in_openais_words(self, injecting: Proxy, arrived: Arrived) -> None:
        line = "POST /v1/chat/completions HTTP/1.1"
        status, _, body = ask(injecting, line, "Host: evil.example", body=json.dumps(CHAT).encode())
        assert (status, json.loads(body)["error"]["type"]) == (403, "permission_error")
        check_refused(settled(injecting), "forbidden")
        assert arrived() == []

    @pytest.mark.parametrize("path", [UNARY, "/v1/chat/completions"])
    def test_http2(self, injecting: Proxy, arrived: Arrived, simulator: Simulator, confdir: Path, path: str) -> None:
        body = HELLO if path == UNARY else CHAT
        context = client_context(confdir / "mitmproxy-ca-cert.pem", http2=True)
        with httpx.Client(verify=context, http2=True, trust_env=False) as client:
            url = f"https://localhost:{injecting.port}{path}"
            answer = client.post(url, json=body)
            refused = client.post(url, json=body, headers={"host": "evil.example"})
        assert (answer.http_version, answer.status_code, refused.status_code) == ("HTTP/2", 200, 403)
        (seen,) = arrived()
        hosts = [value for name, value in seen.request.raw_headers if name.lower() == b"host"]
        assert hosts == [simulator.url.removeprefix("http://").encode()]

    def test_a_listener_with_a_name(self, start_proxy: StartProxy, simulator: Simulator, key_file: Path) -> None:
        """As `myhost` in /etc/hosts would be; here every name means this machine."""
        options = ("vertex_auth=service_account", f"vertex_credentials={key_file}")
        target = f"reverse:{simulator.url}@myhost.test:0"
        proxy = start_proxy(*options, mode=target, serve=True, env=environment({}))
        statuses = [ask(proxy, f"POST {UNARY} HTTP/1.1", f"Host: {host}:80")[0] for host in NAMES]
        assert statuses == [200, 200, 403]

    def test_who_brings_credentials_may_call_by_any_name(self, start_proxy: StartProxy, simulator: Simulator) -> None:
        proxy = start_proxy(mode=f"reverse:{simulator.url}")
        key = "x-goog-api-key: AIzaSimulatedKey"
        assert ask(proxy, f"POST {UNARY} HTTP/1.1", "Host: evil.example", key)[0] == 200
        assert ask(proxy, f"TRACE {UNARY} HTTP/1.1", "Host: evil.example", key)[0] != 405
        assert simulator.seen[-1].request.method == "TRACE"
        ask(proxy, "POST /v1beta1/publishers/google/models/../x%2e:generateContent HTTP/1.1", "Host: a", key)
        assert simulator.seen[-1].request.path == "/v1beta1/publishers/google/models/../x%2e:generateContent"

    def test_the_upstream_proves_its_own_name(
        self, start_proxy: StartProxy, google: Simulator, key_file: Path, ca_file: Path, confdir: Path
    ) -> None:
        """And not that by which the client has called us."""
        options = ("vertex_auth=service_account", f"vertex_credentials={key_file}")
        trusted = f"ssl_verify_upstream_trusted_ca={ca_file}"
        proxy = start_proxy(*options, trusted, env=environment({443: google.port}), serve=True)
        with httpx.Client(verify=client_context(confdir / "mitmproxy-ca-cert.pem"), trust_env=False) as client:
            answer = client.post(f"https://localhost:{proxy.port}{UNARY}", json=HELLO)
        assert (answer.status_code, proxy.new_row()["error_type"]) == (200, None)
        assert google.seen[-1].request.headers["host"] == "aiplatform.googleapis.com"


NAMES = ("myhost.test", "localhost", "other.test")


def _upgrade(proxy: Proxy, *headers: str) -> int:
    """The status that the request for a WebSocket gets."""
    fixed = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + "A" * 22)
    head = "\r\n".join([f"GET {LIVE} HTTP/1.1", *headers, *fixed[:3], fixed[3] + "==", "", ""])
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        client.sendall(head.encode())
        return int(client.recv(65536).split()[1])


def test_host_stays_as_it_comes(simulator: Simulator, key_file: Path) -> None:
    async def change() -> None:
        options = Options()
        with taddons.context(Proxyserver(), options) as context:
            context.options.update(mode=[f"reverse:{simulator.url}"])
            own = {"vertex_auth": "service_account", "vertex_credentials": str(key_file)}
            context.configure(options, **DEFAULTS | own)
            classify = Classify(options)
            access = Access(options, classify.exchanges, classify.identify)
            context.master.addons.add(access)
            access.configure(set(OPTIONS))
            assert context.options.keep_host_header
            with pytest.raises(exceptions.OptionsError, match="leave it"):
                context.configure(access, keep_host_header=False)

    asyncio.run(change())


class TestWebPages:
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 200),
            ({"origin": "http://localhost:3000"}, 200),
            ({"origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-origin"}, 200),
            ({"origin": "http://localhost:3000", "sec-fetch-site": "same-site"}, 200),
            ({"origin": "http://app.localhost:3000", "sec-fetch-site": "same-site"}, 200),
            ({"sec-fetch-site": "none"}, 200),
            ({"referer": "https://app.example/"}, 200),
            ({"origin": "https://evil.example"}, 403),
            ({"origin": "https://evil.example", "sec-fetch-site": "same-origin"}, 403),
            ({"origin": "https://localhost.evil.example"}, 403),
            ({"origin": "https://localhost@evil.example"}, 403),
            ({"origin": "https://evil.example, http://localhost"}, 403),
            ({"origin": "http://localhost https://evil.example"}, 403),
            ({"origin": "null"}, 403),
            ({"origin": "http://["}, 403),
            ({"origin": "localhost"}, 403),
            ({"origin": "https://evil.example", "content-type": "text/plain"}, 403),
            ({"sec-fetch-site": "cross-site"}, 403),
            ({"sec-fetch-site": "Cross-Site", "origin": "http://localhost"}, 403),
            ({"sec-fetch-site": "same-origin, cross-site"}, 403),
        ],
    )
    def test_of_others(self, injecting: Proxy, arrived: Arrived, headers: dict[str, str], status: int) -> None:
        answer = call(injecting.url, UNARY, HELLO, headers={"x-goog-api-key": "", **headers})
        assert answer.status == status
        row = settled(injecting)
        if status == 403:
            assert answer.json()["error"]["status"] == "PERMISSION_DENIED"
            check_refused(row, "forbidden")
            assert arrived() == []

    def test_a_preflight(self, injecting: Proxy, arrived: Arrived) -> None:
        asks = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        answer = call(injecting.url, UNARY, method="OPTIONS", headers=asks)
        assert (answer.status, answer.header("access-control-allow-origin")) == (403, None)
        assert arrived() == []

    def test_websockets(self, injecting: Proxy, arrived: Arrived) -> None:
        assert _upgrade(injecting, "Host: localhost", "Origin: https://evil.example") == 403
        assert arrived() == []


class TestTrace:
    @pytest.mark.parametrize(
        ("line", "headers"),
        [
            (f"TRACE {UNARY} HTTP/1.1", []),
            (f"trace {UNARY} HTTP/1.1", []),
            (f"TRACK {UNARY} HTTP/1.1", []),
            ("TRACE /v1beta1/unknown HTTP/1.1", []),
            ("TRACE /v1/chat/completions HTTP/1.1", []),
            (f"POST {UNARY} HTTP/1.1", ["X-HTTP-Method-Override: TRACE"]),
        ],
    )
    def test_is_not_sent(self, injecting: Proxy, arrived: Arrived, line: str, headers: list[str]) -> None:
        status, told, body = ask(injecting, line, "Host: localhost", *headers)
        assert (status, told["content-type"]) == (405, "application/json")
        assert "post" in told["allow"].split(", ")
        assert "trace" not in told["allow"]
        error = json.loads(body)["error"]
        assert error["message"]
        if "chat" in line:
            assert (error["type"], "status" in error) == ("invalid_request_error", False)
        check_refused(settled(injecting), "bad_request")
        assert arrived() == []

    def test_nor_connect(self, injecting: Proxy, arrived: Arrived) -> None:
        assert ask(injecting, "CONNECT localhost:443 HTTP/1.1", "Host: localhost")[0] == 400
        assert arrived() == []

    def test_what_nobody_knows_is(self, injecting: Proxy, arrived: Arrived) -> None:
        ask(injecting, f"PROPFIND {UNARY} HTTP/1.1", "Host: localhost")
        assert [seen.request.method for seen in arrived()] == ["PROPFIND"]


GOOD = [
    UNARY,
    f"{UNARY}?alt=sse&x=../..&y=%2e%2e%00",
    f"/vertex{UNARY}",
    "/v1/projects/example.com:my-project/locations/global/publishers/google/models/g-1.5:countTokens",
    f"/{LIVE}",
    f"/vertex/{LIVE}",
    "/v1/models/",
    "/v1/models/meta%2Fllama-4",
    "/v1/models/ft:gpt-4o%3Aacme%3A%3A1",
    "/v1/x/..y/y../.../a..b/.well-known",
    "/v1/a%20b",
    "/v1/h%C3%A9",
    "/v1/h\u00e9",
    "/v1/100%25",
    "*",
    "/",
    "",
]
STEPS = [
    "/..",
    "/../",
    "/.",
    "/./x",
    "/../x",
    "/%2e%2e/x",
    "/%2E%2e",
    "/.%2e/x",
    "/%2E./x",
    "/%2e/x",
    "/..;/x",
    "/..;a=b/x",
    "/..%3B/x",
    "/;/..;x/y",
    "/..\\x",
    "/..%5cx",
    "/x\\y",
    "/x%5Cy",
    "/..%2fx",
    "/x%2f..%2Fy",
    "/x%2f%2e%2e%2fy",
    "/%252e%252e/x",
    "/%25252e%25252e/x",
    "/%252e%252e%252fx",
    "/.%252e/x",
    "/x%25252fy%25252f..",
    "/..%20/x",
    "/..:x",
    "/..%3Fx",
    "/..%23x",
    "/%c0%ae%c0%ae/x",
    "/%e0%80%ae%e0%80%ae/x",
    "/\udcc0\udcae/x",
    "/%ff",
    "/%uff0e%uff0e/x",
    "/%ef%bc%8e%ef%bc%8e/x",
    "/\uff0e\uff0e/x",
    "/%E2%80%A5/x",
    "/x%EF%BC%BCy",
    "/x\x00y",
    "/x%00y",
    "/..%00/x",
    "/x%2500y",
    "/x%0d%0aHost:y",
    "/x\r\ny",
    "/x\ty",
    "/x%7f",
    "/x%1by",
    "/x%C2%85y",
    "//x",
    "/x//y",
    "/x//",
    "/x%2f%2fy",
    "/x y",
    "/x#y",
    "/x%y",
    "/x%2",
    "/x?y z",
    "/x?y\x00",
    "/" + "%25" * 3 + "2525252e",
    "/%" + "25" * 20 + "2e",
]


@pytest.mark.parametrize("path", GOOD)
def test_plain_paths(path: str) -> None:
    assert misleading(path) is None


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "template",
    ["{}", "/vertex{}", f"/vertex{MODEL.rpartition('/')[0]}{{}}:generateContent", "/v1/projects/p/locations/global{}"],
)
def test_paths_that_mislead(template: str, step: str) -> None:
    assert misleading(template.format(step))


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        [
            "/v1beta1/publishers/google/models/../../x:generateContent",
            "/v1/projects/p/locations/global/publishers/google/models/%2e%2e/%2E./x:generateContent",
            "/v1/projects/p/locations/global/publishers/google/models/..;/x:generateContent",
            "/v1/projects/p/locations/global/publishers/google/models/..\\x:generateContent",
            "/v1/projects/p/locations/global/publishers/google/models/x%2f..%2fy:generateContent",
            "/v1/projects/%252e%252e/locations/global/endpoints/1:predict",
            "/vertex/../v1beta1/publishers/google/models/x:generateContent",
            "/vertex/./v1beta1/publishers/google/models/x:generateContent",
            "/v1beta1/publishers/google/models/x%00y:generateContent",
            "/v1beta1/publishers/google/models/\x1b[2Jx:generateContent",
            "/v1beta1/publishers/google/models/\udcc0\udcae:generateContent",
            "/v1beta1//publishers/google/models/x:generateContent",
            "/v1//projects/p/locations/global/publishers/google/models/x:generateContent",
            "/v1beta1/unknown/..",
        ],
    )
    def test_are_refused(self, injecting: Proxy, arrived: Arrived, path: str) -> None:
        status, headers, body = ask(injecting, f"POST {path} HTTP/1.1", "Host: localhost")
        assert (status, headers["content-type"]) == (400, "application/json")
        assert json.loads(body)["error"]["status"] == "INVALID_ARGUMENT"
        row = settled(injecting)
        check_refused(row, "bad_request")
        assert row["path"].isprintable()
        assert row["path"].isascii()
        assert "\\" not in row["path"]
        assert arrived() == []

    @pytest.mark.parametrize("path", ["/v1/chat/../chat/completions", "/v1/videos/%2e%2e", "/v1/models/..%2f..%2fx"])
    def test_in_openais_words(self, injecting: Proxy, arrived: Arrived, path: str) -> None:
        status, _, body = ask(injecting, f"POST {path} HTTP/1.1", "Host: localhost", body=json.dumps(CHAT).encode())
        error = json.loads(body)["error"]
        assert (status, error["type"], "status" in error) == (400, "invalid_request_error", False)
        check_refused(settled(injecting), "bad_request")
        assert arrived() == []

    def test_a_websocket(self, injecting: Proxy, arrived: Arrived) -> None:
        head = ["Host: localhost", "Upgrade: websocket", "Connection: Upgrade"]
        assert ask(injecting, f"GET /v1/..{LIVE} HTTP/1.1", *head, body=b"")[0] == 400
        assert arrived() == []

    def test_what_google_knows_goes_on(self, injecting: Proxy, arrived: Arrived) -> None:
        for path in (UNARY, f"/vertex{UNARY}?x=.."):
            assert ask(injecting, f"POST {path} HTTP/1.1", "Host: localhost")[0] == 200
        assert len(arrived()) == 2
