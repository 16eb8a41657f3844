"""Credentials of ours: minted, refreshed, put into calls to Google, and nowhere else."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import wsproto
from wsproto.events import RejectConnection

from tests.addons.test_tokens import WORKLOAD
from tests.addons.test_tokens import Answer
from tests.addons.test_tokens import Endpoint
from tests.addons.test_tokens import json_of
from tests.conftest import StartProxy
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.http import connection
from tests.loopback import environment
from tests.process import Proxy
from tests.process import until
from tests.vertex_simulator import Credentials
from tests.vertex_simulator import Simulator
from tests.websocket_client import Client
from tests.wire.test_live import PATH

UNARY = f"{MODEL}:generateContent"
STREAM = f"{MODEL}:streamGenerateContent?alt=sse"
CHAT = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello"}]}
NOBODY = {"x-goog-api-key": ""}
REGIONAL = "/v1/projects/test-project/locations/us-central1"


@pytest.fixture
def own() -> Iterator[Simulator]:
    """A Google of this test's own, whose tokens it may revoke."""
    with Simulator(credentials=Credentials()) as running:
        yield running


def key_for(simulator: Simulator, folder: Path, token_uri: str | None = None) -> Path:
    file = folder / "key.json"
    file.write_text(json.dumps(simulator.credentials.service_account(token_uri or simulator.token_uri)))
    return file


@pytest.fixture
def injecting(start_proxy: StartProxy, own: Simulator, tmp_path: Path) -> Proxy:
    return start_proxy(*options(key_for(own, tmp_path)), mode=f"reverse:{own.url}", serve=True)


def options(key: Path, mode: str = "convert") -> tuple[str, ...]:
    return "vertex_auth=service_account", f"vertex_credentials={key}", f"openai_mode={mode}"


class TestPlaces:
    @pytest.mark.parametrize("path", [UNARY, STREAM, f"{UNARY}?key=AIzaOfTheClient"])
    def test_exactly_one_goes_out(self, injecting: Proxy, own: Simulator, path: str) -> None:
        clients = {"authorization": "Bearer ya29.ofTheClient", "x-goog-api-key": "AIzaOfTheClient", "api-key": "x"}
        assert call(injecting.url, path, HELLO, headers=clients).status == 200
        request = own.seen[-1].request
        assert request.headers["authorization"].startswith("Bearer ya29.")
        assert "fTheClient" not in str((request.headers, request.query))
        row = injecting.new_row()
        assert (row["project"], row["location"], row["attempts"]) == ("test-project", "global", 1)
        assert row["upstream_path"].startswith("/v1beta1/projects/test-project/locations/global/publishers/google/")
        assert row["path"].startswith("/v1beta1/publishers/google/")

    def test_an_alias_is_google(self, injecting: Proxy, own: Simulator) -> None:
        path = "/v1/publishers/googleVertexAI/models/gemini-2.5-flash:generateContent"
        assert call(injecting.url, path, HELLO, headers=NOBODY).status == 200
        assert "/publishers/google/models/" in own.seen[-1].request.path

    def test_an_api_key(self, start_proxy: StartProxy, simulator: Simulator) -> None:
        given = {"VERTEX_API_KEY": API_KEY}
        proxy = start_proxy("vertex_auth=express", "openai_mode=convert", mode=f"reverse:{simulator.url}", env=given)
        for path, body in ((UNARY, HELLO), ("/v1/chat/completions", CHAT)):
            assert call(proxy.url, path, body, headers={"authorization": "Bearer sk-1"}).status == 200
            request = simulator.seen[-1].request
            assert (request.headers["x-goog-api-key"], "authorization" in request.headers) == (API_KEY, False)
            assert "/projects/" not in request.path
        assert API_KEY not in proxy.output


class TestPassthrough:
    @pytest.mark.parametrize(
        ("headers", "header"),
        [
            ({"authorization": "Bearer {token}"}, "authorization"),
            ({"authorization": f"Bearer {API_KEY}"}, "x-goog-api-key"),
            ({"api-key": API_KEY}, "x-goog-api-key"),
        ],
    )
    def test_what_is_googles_goes_on(
        self, start_proxy: StartProxy, simulator: Simulator, headers: dict[str, str], header: str
    ) -> None:
        given = ("openai_mode=convert", "vertex_project=test-project")
        proxy = start_proxy(*given, mode=f"reverse:{simulator.url}", serve=True)
        token = simulator.credentials.token()
        filled = {name: value.format(token=token) for name, value in headers.items()}
        assert call(proxy.url, "/v1/chat/completions", CHAT, headers=NOBODY | filled).status == 200
        sent = simulator.seen[-1].request.headers
        assert [name for name in ("authorization", "x-goog-api-key", "api-key") if name in sent] == [header]

    @pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer sk-openai"}, {"authorization": "Basic x"}])
    def test_anything_else_is_refused(
        self, start_proxy: StartProxy, simulator: Simulator, headers: dict[str, str]
    ) -> None:
        proxy = start_proxy("openai_mode=convert", mode=f"reverse:{simulator.url}", serve=True)
        before = len(simulator.seen)
        answer = call(proxy.url, "/v1/chat/completions", CHAT, headers=NOBODY | headers)
        assert (answer.status, answer.json()["error"]["type"]) == (401, "authentication_error")
        assert simulator.seen[before:] == []
        row = proxy.new_row()
        assert (row["state"], row["error_type"], row["attempts"]) == ("refused", "no_credentials", 0)


class TestElsewhere:
    """A client cannot make the proxy send a credential to anybody but Google."""

    @pytest.fixture
    def to_google(self, start_proxy: StartProxy, google: Simulator, key_file: Path, ca_file: Path) -> Proxy:
        trusted = f"ssl_verify_upstream_trusted_ca={ca_file}"
        return start_proxy(*options(key_file), trusted, env=environment({443: google.port}))

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/projects/p/locations/evil.com%23/publishers/google/models/g:generateContent",
            "/v1/projects/p/locations/evil.com/publishers/google/models/g:generateContent",
            "/v1/projects/p/locations/x.evil/reasoningEngines/5:query",
        ],
    )
    def test_hosts_in_the_location_of_a_path(self, to_google: Proxy, google: Simulator, path: str) -> None:
        before = len(google.seen)
        assert call(to_google.url, path, HELLO, headers=NOBODY).status == 400
        assert google.seen[before:] == []

    @pytest.mark.parametrize(
        "change",
        [
            {"region": "evil.com#"},
            {"region": "us-central1.evil"},
            {"project_id": "p/../../evil"},
            {"project_id": "p?x"},
            {"model": "../../evil"},
            {"model": "evil.com/x/y?z"},
            {"model": "gemini-2.5-flash:predict#"},
            {"region": 5},
        ],
    )
    def test_hosts_in_a_body(self, to_google: Proxy, google: Simulator, change: dict[str, Any]) -> None:
        before = len(google.seen)
        answer = call(to_google.url, "/v1/chat/completions", CHAT | change, headers=NOBODY)
        assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_request_error")
        assert google.seen[before:] == []

    @pytest.mark.parametrize(
        "head",
        [
            f"POST {UNARY} HTTP/1.1\r\nHost: localhost:9\r\n",
            f"POST http://localhost:9{UNARY} HTTP/1.1\r\nHost: localhost\r\n",
            f"POST https://127.0.0.1:9{UNARY} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-Host: evil.com\r\n",
        ],
    )
    def test_other_targets(self, to_google: Proxy, google: Simulator, head: str) -> None:
        """Those of other hosts are refused (see `access`); of our own the client has no say in where they go."""
        body = json.dumps(HELLO)
        with socket.create_connection(("127.0.0.1", to_google.port), timeout=10) as client:
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        request = google.seen[-1].request
        assert request.headers["host"] == "aiplatform.googleapis.com"
        assert to_google.new_row()["upstream_host"] == "aiplatform.googleapis.com"

    def test_connect(self, to_google: Proxy, google: Simulator) -> None:
        before = len(google.seen)
        with socket.create_connection(("127.0.0.1", to_google.port), timeout=10) as client:
            client.sendall(b"CONNECT evil.com:443 HTTP/1.1\r\nHost: evil.com:443\r\n\r\n")
            assert not client.recv(65536).startswith(b"HTTP/1.1 2")
        assert google.seen[before:] == []

    def test_a_redirect_is_the_clients_affair(self, start_proxy: StartProxy, own: Simulator, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            threading.Thread(target=_redirect, args=(server,), daemon=True).start()
            target = f"reverse:http://127.0.0.1:{server.getsockname()[1]}"
            proxy = start_proxy(*options(key_for(own, tmp_path)), mode=target, serve=True)
            answer = call(proxy.url, UNARY, HELLO, headers=NOBODY)
        assert (answer.status, answer.header("location")) == (302, "http://127.0.0.1:1/elsewhere")
        assert [seen.request.path for seen in own.seen] == ["/token"]

    def test_openai_paths_that_are_not_rewritten_get_none(
        self, start_proxy: StartProxy, own: Simulator, tmp_path: Path
    ) -> None:
        key = key_for(own, tmp_path)
        proxy = start_proxy(*options(key, "observe"), f"openai_endpoint={own.url}/v1", mode=f"reverse:{own.url}")
        call(proxy.url, "/v1/chat/completions", CHAT, headers=NOBODY)
        assert "authorization" not in own.seen[-1].request.headers


FILE = """\
services:
  default: {{auth: service_account, credentials: {folder}/first.json}}
  second:  {{auth: service_account, credentials: {folder}/second.json}}
  express: {{auth: express, api_key_env: SOME_KEY}}
  qwen:    {{provider: openai, base_url: "{openai}/compatible/v1", api_key_env: QWEN_API_KEY}}
routes:
  - {{base_path: /second, service: second}}
  - {{model: gemini-2.5-pro, service: second}}
  - {{model: "*-lite", service: express}}
  - {{model: "qwen*", service: qwen}}
"""
CLIENTS = {"authorization": "Bearer sk-OfTheClient", "x-goog-api-key": "AIzaOfTheClient"}


class TestSeveralServices:
    """Each call has the credential of the service that answers it, and no other."""

    @pytest.fixture
    def openai(self) -> Iterator[Simulator]:
        with Simulator() as running:
            yield running

    @pytest.fixture
    def several(self, start_proxy: StartProxy, own: Simulator, openai: Simulator, tmp_path: Path) -> Proxy:
        for name in ("first", "second"):
            info = own.credentials.service_account(own.token_uri, f"{name}-project")
            (tmp_path / f"{name}.json").write_text(json.dumps(info))
        (tmp_path / "gateway.yaml").write_text(FILE.format(folder=tmp_path, openai=openai.url))
        env = {"SOME_KEY": API_KEY, "QWEN_API_KEY": "sk-ofQwen"}
        return start_proxy("gateway_config=gateway.yaml", mode=f"reverse:{own.url}", serve=True, env=env)

    @pytest.mark.parametrize("rewritten", [False, True])
    def test_each_has_its_own_token(self, several: Proxy, own: Simulator, rewritten: bool) -> None:
        tokens: dict[str, set[str]] = {"first-project": set(), "second-project": set()}
        for _ in "12":
            for model in ("gemini-2.5-flash", "gemini-2.5-pro"):
                native = f"/v1/publishers/google/models/{model}:generateContent"
                path, body = ("/v1/chat/completions", CHAT | {"model": model}) if rewritten else (native, HELLO)
                assert call(several.url, path, body, headers=CLIENTS).status == 200
                request = own.seen[-1].request
                project = request.path.split("/projects/")[1].partition("/")[0]
                tokens[project].add(request.headers["authorization"])
                assert "OfTheClient" not in str(request.raw_headers)
        assert [len(one) for one in tokens.values()] == [1, 1]
        assert tokens["first-project"] != tokens["second-project"]
        assert own.credentials.minted == 2
        assert [row["service"] for row in several.new_rows()] == ["default", "second"] * 2

    def test_each_is_minted_anew_alone(self, several: Proxy, own: Simulator) -> None:
        chats = [CHAT, CHAT | {"model": "gemini-2.5-pro"}]
        for body in chats:
            call(several.url, "/v1/chat/completions", body, headers=NOBODY)
        own.credentials.revoke()
        for _ in "12":
            assert call(several.url, "/v1/chat/completions", chats[1], headers=NOBODY).status == 200
        assert own.credentials.minted == 3
        assert [row["attempts"] for row in several.new_rows()] == [1, 1, 2, 1]

    def test_a_key_beside_tokens(self, several: Proxy, own: Simulator) -> None:
        body = CHAT | {"model": "gemini-2.5-flash-lite"}
        assert call(several.url, "/v1/chat/completions", body, headers=CLIENTS).status == 200
        headers = own.seen[-1].request.headers
        assert (headers["x-goog-api-key"], "authorization" in headers) == (API_KEY, False)

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/v1/chat/completions", CHAT | {"model": "qwen-max"}),
            ("/v1/publishers/google/models/qwen-max:generateContent", HELLO),
            ("/v1beta/models/qwen-max:streamGenerateContent?alt=sse&key=AIzaOfTheClient", HELLO),
        ],
    )
    def test_a_key_of_openais_goes_to_its_base_url(
        self, several: Proxy, own: Simulator, openai: Simulator, path: str, body: dict[str, Any]
    ) -> None:
        call(several.url, path, body, headers=CLIENTS | {"api-key": "xOfTheClient"})
        (seen,) = openai.seen
        assert seen.request.path == "/compatible/v1/chat/completions"
        assert seen.request.headers["authorization"] == "Bearer sk-ofQwen"
        assert "OfTheClient" not in str((seen.request.raw_headers, seen.request.query))
        assert own.seen == []

    def test_no_credential_goes_to_another(self, several: Proxy, own: Simulator, openai: Simulator) -> None:
        models = ("gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.5-flash-lite", "qwen-max")
        for model in models:
            call(several.url, "/v1/chat/completions", CHAT | {"model": model}, headers=CLIENTS)
            call(several.url, f"/v1/publishers/google/models/{model}:generateContent", HELLO, headers=CLIENTS)
        assert "sk-ofQwen" not in str([seen.request.raw_headers for seen in own.seen])
        sent = str([seen.request.raw_headers for seen in openai.seen])
        assert "ya29." not in sent
        assert API_KEY not in sent
        assert len(openai.seen) == 2
        assert "sk-ofQwen" not in several.output


class TestOpenAiKey:
    """OPENAI_API_KEY is the proxy's, for calls that it rewrites."""

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/v1/chat/completions", CHAT),
            ("/v1/publishers/openai/models/gpt-5:generateContent", HELLO),
            (UNARY, HELLO),
            ("/v1/models", None),
        ],
    )
    def test_never_in_observe_mode(
        self, start_proxy: StartProxy, own: Simulator, path: str, body: dict[str, Any] | None
    ) -> None:
        proxy = start_proxy(
            f"openai_endpoint={own.url}/v1",
            "openai_api_key=sk-ofTheOption",
            mode=f"reverse:{own.url}",
            env={"OPENAI_API_KEY": "sk-ofTheEnvironment"},
        )
        call(proxy.url, path, body, headers=CLIENTS)
        headers = own.seen[-1].request.headers
        assert headers["authorization"] == CLIENTS["authorization"]
        assert "sk-ofThe" not in str(headers.values()).replace(CLIENTS["authorization"], "")

    def test_only_to_its_endpoint(self, start_proxy: StartProxy, own: Simulator, tmp_path: Path) -> None:
        with Simulator() as openai:
            given = (*options(key_for(own, tmp_path)), f"openai_endpoint={openai.url}/v1")
            env = {"OPENAI_API_KEY": "sk-ofTheProxy"}
            proxy = start_proxy(*given, mode=f"reverse:{own.url}", serve=True, env=env)
            call(proxy.url, "/v1/publishers/openai/models/gpt-5:generateContent", HELLO, headers=CLIENTS)
            for path, body in ((UNARY, HELLO), ("/v1/chat/completions", CHAT), ("/v1/models", None)):
                assert call(proxy.url, path, body, headers=CLIENTS | NOBODY).status == 200
        (seen,) = openai.seen
        assert seen.request.headers["authorization"] == "Bearer sk-ofTheProxy"
        assert "OfTheClient" not in str(seen.request.raw_headers)
        assert len(own.seen) > 3
        assert "sk-ofTheProxy" not in str([seen.request.raw_headers for seen in own.seen])


def _redirect(server: socket.socket) -> None:
    client, _ = server.accept()
    with client:
        client.recv(65536)
        location = b"http://127.0.0.1:1/elsewhere"
        client.sendall(b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n")


class TestRefresh:
    def test_many_expiries_under_load(self, start_proxy: StartProxy, own: Simulator, tmp_path: Path) -> None:
        own.credentials.expires_in = 1
        proxy = start_proxy(*options(key_for(own, tmp_path)), mode=f"reverse:{own.url}", serve=True)
        deadline = time.monotonic() + 6
        statuses: list[int] = []

        def load() -> None:
            while time.monotonic() < deadline:
                for path, body in ((UNARY, HELLO), ("/v1/chat/completions", CHAT)):
                    statuses.append(call(proxy.url, path, body, headers=NOBODY).status)

        with ThreadPoolExecutor(8) as threads:
            for ended in [threads.submit(load) for _ in range(8)]:
                ended.result()
        assert set(statuses) == {200}
        assert len(statuses) > 50
        # A token lives for a second and is minted anew before its end.
        assert 5 <= own.credentials.minted <= 14

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            (UNARY, HELLO),
            (STREAM, HELLO),
            ("/v1/chat/completions", CHAT),
            ("/v1/chat/completions", CHAT | {"stream": True}),
        ],
    )
    def test_a_token_that_is_revoked(self, injecting: Proxy, own: Simulator, path: str, body: dict[str, Any]) -> None:
        expected = call(injecting.url, path, body, headers=NOBODY)
        own.credentials.revoke()
        answer = call(injecting.url, path, body, headers=NOBODY)
        assert (answer.status, answer.header("content-type")) == (200, expected.header("content-type"))
        assert text_of(answer.body) == text_of(expected.body)
        assert own.credentials.minted == 2
        first, second = injecting.new_rows()
        assert (first["attempts"], second["attempts"]) == (1, 2)
        assert (second["state"], second["usage_state"], second["upstream_status"]) == ("done", "final", 200)
        assert second["total_tokens"] == first["total_tokens"]

    def test_a_token_that_a_large_request_was_refused_with(self, injecting: Proxy, own: Simulator) -> None:
        """It cannot be repeated, but the next call has a new one."""
        call(injecting.url, UNARY, HELLO, headers=NOBODY)
        own.credentials.revoke()
        with connection(injecting.url) as client:
            client.putrequest("POST", UNARY)
            client.putheader("transfer-encoding", "chunked")
            client.endheaders()
            client.send(b"2\r\n{}\r\n0\r\n\r\n")
            assert client.getresponse().status == 401
        assert (
            call(injecting.url, UNARY, HELLO, headers=NOBODY | {"x-title": "Привет".encode().decode("latin-1")}).status
            == 200
        )
        assert own.credentials.minted == 2

    def test_a_header_that_is_no_ascii(self, injecting: Proxy, own: Simulator) -> None:
        strange = NOBODY | {"x-title": "Привет".encode().decode("latin-1")}
        call(injecting.url, UNARY, HELLO, headers=NOBODY)
        own.credentials.revoke()
        assert call(injecting.url, UNARY, HELLO, headers=strange).status == 200
        assert injecting.new_rows()[-1]["attempts"] == 2

    def test_a_token_that_is_not_taken_again(self, injecting: Proxy, own: Simulator) -> None:
        answer = call(injecting.url, UNARY, HELLO, headers=NOBODY, plan={"status": 401})
        assert answer.status == 401
        row = injecting.new_row()
        assert (row["attempts"], row["status"], row["error_type"]) == (2, 401, "UNAUTHENTICATED")

    def test_a_token_endpoint_that_is_down_and_comes_back(
        self, start_proxy: StartProxy, own: Simulator, tmp_path: Path
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        key = key_for(own, tmp_path, f"http://127.0.0.1:{port}/token")
        proxy = start_proxy(*options(key), mode=f"reverse:{own.url}", serve=True)
        for path, body in ((UNARY, HELLO), ("/v1/chat/completions", CHAT)):
            answer = call(proxy.url, path, body, headers=NOBODY)
            assert (answer.status, answer.json()["error"]["type"]) == (503, "server_error")
        assert [row["error_type"] for row in proxy.new_rows()] == ["no_credentials"] * 2
        with Simulator(port=port, credentials=own.credentials):
            assert call(proxy.url, UNARY, HELLO, headers=NOBODY).status == 200


UNKNOWN = b'{"error": "invalid_grant", "error_description": "Invalid grant: account not found"}'
OPENAI_PATH = "/v1/projects/test-project/locations/us-central1/endpoints/openapi/chat/completions"


class TestRefused:
    """Google gives no token: for good, which the client is told in its own words and does not try again, or for now."""

    @pytest.mark.parametrize(
        ("path", "body", "expected"),
        [
            (UNARY, HELLO, ("gemini-2.5-flash", "google", "global")),
            (STREAM, HELLO, ("gemini-2.5-flash", "google", "global")),
            (
                f"{REGIONAL}/publishers/anthropic/models/claude-x:rawPredict",
                {},
                ("claude-x", "anthropic", "us-central1"),
            ),
            (OPENAI_PATH, CHAT | {"model": "google/gemini-2.5-pro"}, ("gemini-2.5-pro", "google", "us-central1")),
            ("/v1/chat/completions", CHAT, ("gemini-2.5-flash", "google", "global")),
            ("/v1/chat/completions", CHAT | {"stream": True}, ("gemini-2.5-flash", "google", "global")),
            (
                "/v1/chat/completions",
                CHAT | {"model": "claude-sonnet-4-5"},
                ("claude-sonnet-4-5", "anthropic", "global"),
            ),
            (
                "/v1/embeddings",
                {"model": "gemini-embedding-001", "input": "x"},
                ("gemini-embedding-001", "google", "global"),
            ),
            ("/v1/responses", {"model": "models/gemini-2.5-pro", "input": "x"}, ("gemini-2.5-pro", "google", "global")),
        ],
    )
    def test_for_good(
        self, shared: Proxy, refusing: Simulator, path: str, body: dict[str, Any], expected: tuple[str, str, str]
    ) -> None:
        shared.new_rows()
        answer = call(shared.url, path, body, headers=NOBODY)
        assert (answer.status, answer.header("x-should-retry")) == (401, "false")
        error = answer.json()["error"]
        assert "invalid_grant: Invalid grant: account not found" in error["message"]
        is_openai = path.startswith("/v1/") and "/projects/" not in path
        assert error["type" if is_openai else "status"] == ("authentication_error" if is_openai else "UNAUTHENTICATED")
        row = shared.new_row()
        assert (row["state"], row["error_type"], row["status"]) == ("refused", "no_credentials", 401)
        assert (row["attempts"], row["usage_state"], row["upstream_status"]) == (0, "not_applicable", None)
        assert (row["model"], row["publisher"], row["location"]) == expected
        assert (row["project"], row["service"]) == ("test-project", "default")
        assert "invalid_grant: Invalid grant: account not found" in shared.output
        assert "Traceback" not in shared.output
        assert {seen.request.path for seen in refusing.seen} == {"/token"}

    def test_live(self, shared: Proxy, refusing: Simulator) -> None:
        shared.new_rows()
        with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as sock:
            client = Client(sock)
            sock.sendall(client.connection.send(wsproto.events.Request(host="localhost", target=PATH)))
            rejected = client.hear()
        assert isinstance(rejected, RejectConnection)
        assert rejected.status_code == 401
        row = shared.new_row()
        assert (row["state"], row["error_type"], row["surface"]) == ("refused", "no_credentials", "vertex-live")
        assert (row["project"], row["location"]) == ("test-project", "global")

    def test_for_now(self, shared: Proxy, refusing: Simulator) -> None:
        refusing.credentials.refusal = (502, b"<html>Bad Gateway</html>")
        for path, body in ((UNARY, HELLO), ("/v1/chat/completions", CHAT)):
            answer = call(shared.url, path, body, headers=NOBODY)
            assert (answer.status, answer.header("x-should-retry")) == (503, None)
            assert "html" not in answer.json()["error"]["message"]
            row = shared.new_rows()[-1]
            assert (row["state"], row["error_type"], row["model"]) == ("refused", "no_credentials", "gemini-2.5-flash")

    def test_google_changes_its_mind(self, injecting: Proxy, own: Simulator) -> None:
        own.credentials.refusal = (400, UNKNOWN)
        for _ in "123":
            assert call(injecting.url, UNARY, HELLO, headers=NOBODY).status == 401
        assert own.credentials.refused == 3
        own.credentials.refusal = None
        assert call(injecting.url, UNARY, HELLO, headers=NOBODY).status == 200


@pytest.fixture(scope="module")
def refused_by() -> Iterator[Simulator]:
    with Simulator(credentials=Credentials()) as running:
        yield running


@pytest.fixture(scope="module")
def shared(refused_by: Simulator, confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """One proxy for many tests; it never gets a token."""
    folder = tmp_path_factory.mktemp("refused")
    given = options(key_for(refused_by, folder))
    with Proxy(*given, mode=f"reverse:{refused_by.url}", folder=folder, confdir=confdir, serve=True) as running:
        yield running


@pytest.fixture
def refusing(shared: Proxy, refused_by: Simulator) -> Iterator[Simulator]:
    refused_by.credentials.refusal, refused_by.credentials.refused = (400, UNKNOWN), 0
    refused_by.seen.clear()
    yield refused_by
    refused_by.credentials.refusal = None


def text_of(body: bytes) -> list[str]:
    """The texts of an answer, without what differs from call to call."""
    return re.findall(r'"(?:text|content)": ?"[^"]*"', body.decode())


def test_what_is_put_in_is_shown_nowhere(injecting: Proxy, own: Simulator) -> None:
    call(injecting.url, UNARY, HELLO, headers=NOBODY)
    token = own.seen[-1].request.headers["authorization"].removeprefix("Bearer ")
    until(lambda: injecting.rows("state = 'done'"))
    for file in injecting.folder.iterdir():
        assert token.encode() not in file.read_bytes() or file.name == "key.json"


def test_a_workload_that_another_provider_vouches_for(start_proxy: StartProxy, own: Simulator, tmp_path: Path) -> None:
    """Its token comes from STS, and a new one when that is rejected."""
    with Endpoint() as sts:
        sts.answer = token_of(own)
        (tmp_path / "subject").write_text("eyJsubject")
        file = tmp_path / "workload.json"
        source = {"file": str(tmp_path / "subject")}
        audience = "//iam.googleapis.com/locations/global/workforcePools/p/providers/q"
        file.write_text(
            json.dumps(WORKLOAD | {"audience": audience, "token_url": sts.url, "credential_source": source})
        )
        env = {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}
        given = ("vertex_auth=adc", "vertex_project=test-project")
        proxy = start_proxy(*given, mode=f"reverse:{own.url}", serve=True, env=env)
        for _ in "12":
            assert call(proxy.url, UNARY, HELLO, headers=NOBODY).status == 200
        assert len(sts.paths) == 1
        own.credentials.revoke()
        sts.answer = token_of(own)
        assert call(proxy.url, UNARY, HELLO, headers=NOBODY).status == 200
        assert len(sts.paths) == 2


def token_of(simulator: Simulator) -> Answer:
    """A new token, as STS answers it."""
    return Answer(200, json_of(access_token=simulator.credentials.token(), expires_in=3600, token_type="Bearer"))
