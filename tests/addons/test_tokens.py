"""Access tokens of our own, by google-auth itself, from a token endpoint on loopback."""

import asyncio
import http.server
import json
import threading
import time
import warnings
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any
from typing import NamedTuple

import google.auth
import pytest
from google.auth import compute_engine
from google.auth import impersonated_credentials
from google.auth.credentials import Credentials as AnyCredentials
from google.auth.exceptions import MalformedError
from google.auth.exceptions import RefreshError
from google.auth.exceptions import TransportError
from google.oauth2 import service_account
from google.oauth2.credentials import Credentials as UserCredentials

from addons.configuration.identity import SCOPE
from addons.configuration.identity import DefaultCredentials
from addons.configuration.identity import Identity
from addons.tokens import TokenError
from addons.tokens import TokenSource
from addons.tokens import reason_of
from tests.vertex_simulator import Credentials


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str] = {}  # noqa: RUF012 - nobody changes it


def json_of(**members: object) -> bytes:
    return json.dumps(members).encode()


TOKEN = Answer(200, json_of(access_token="ya29.good", expires_in=3600, token_type="Bearer"))


class Endpoint:
    """Answers every request with `answer`, and knows how many came."""

    def __init__(self) -> None:
        endpoint = self
        self.answer = TOKEN
        self.answers: dict[str, Answer] = {}
        """Path -> what it answers instead of `answer`."""
        self.paths: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endpoint.paths.append(self.path)
                self.rfile.read(int(self.headers.get("content-length", 0)))
                answer = endpoint.answers.get(self.path.partition("?")[0], endpoint.answer)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_POST

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> "Endpoint":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    # google-auth waits between its own tries.
    monkeypatch.setattr("google.auth._exponential_backoff.time.sleep", lambda seconds: None)
    with Endpoint() as running:
        yield running


ACCOUNT = Credentials().service_account("https://oauth2.googleapis.com/token")
USER = {
    "type": "authorized_user",
    "client_id": "client.apps.googleusercontent.com",
    "client_secret": "GOCSPX-secret",
    "refresh_token": "1//secret",
}


def of_account(endpoint: Endpoint, folder: Path) -> AnyCredentials:
    info = ACCOUNT | {"token_uri": endpoint.url}
    made: AnyCredentials = service_account.Credentials.from_service_account_info(info, scopes=[SCOPE])
    return made


def _loaded(info: dict[str, Any], folder: Path) -> AnyCredentials:
    file = folder / "adc.json"
    file.write_text(json.dumps(info))
    with warnings.catch_warnings():
        # That such files are to be trusted.
        warnings.simplefilter("ignore")
        return google.auth.load_credentials_from_file(str(file), scopes=[SCOPE])[0]  # type: ignore[no-any-return]


def of_user(endpoint: Endpoint, folder: Path) -> AnyCredentials:
    made = _loaded(USER, folder)
    made._token_uri = endpoint.url  # type: ignore[attr-defined]
    return made


def of_federation(endpoint: Endpoint, folder: Path) -> AnyCredentials:
    (folder / "subject").write_text("eyJsubject")
    info = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/locations/global/workforcePools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": endpoint.url,
        "credential_source": {"file": str(folder / "subject")},
    }
    return _loaded(info, folder)


def of_impersonation(endpoint: Endpoint, folder: Path) -> AnyCredentials:
    source = UserCredentials("ya29.source")
    return impersonated_credentials.Credentials(
        source, "other@p.iam.gserviceaccount.com", [SCOPE], iam_endpoint_override=endpoint.url
    )


@dataclass(frozen=True)
class Places:
    """Where credentials are found: those of the list, one after the other, the last for ever."""

    found: list[AnyCredentials] = field(hash=False)

    def read(self) -> Identity:
        if not self.found:
            raise ValueError("what is here is no key")
        first = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        return Identity(self, str(id(first)), None, first, getattr(first, "service_account_email", None))


def source_of(*credentials: AnyCredentials) -> TokenSource:
    """The first is there at the start, the others at later looks."""
    return TokenSource(Places([*credentials]).read())


KINDS: dict[str, Callable[[Endpoint, Path], AnyCredentials]] = {
    "account": of_account,
    "user": of_user,
    "federation": of_federation,
    "impersonation": of_impersonation,
}
IAM = {"code": 403, "message": "Permission 'iam.serviceAccounts.getAccessToken' denied.", "status": "PERMISSION_DENIED"}
SHORT_LIVED = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
FOR_GOOD = [
    (400, json_of(error="invalid_grant", error_description="Invalid JWT Signature."), "invalid_grant: Invalid JWT Sig"),
    (400, json_of(error="invalid_grant", error_description="Account has been deleted"), "Account has been deleted"),
    (400, json_of(error="invalid_grant", error_description=SHORT_LIVED), SHORT_LIVED),
    (400, json_of(error="invalid_grant", error_subtype="invalid_rapt"), "invalid_grant (invalid_rapt)"),
    (400, json_of(error="invalid_grant"), "invalid_grant"),
    (401, json_of(error="invalid_client", error_description="The OAuth client was not found."), "invalid_client: The"),
    (401, json_of(error="unauthorized_client", error_description="Client is unauthorized"), "unauthorized_client: Cl"),
    (401, json_of(error="disabled_client", error_description="The OAuth client was disabled."), "disabled_client: The"),
    (
        400,
        json_of(error="invalid_scope", error_description="Invalid OAuth scope"),
        "invalid_scope: Invalid OAuth scope",
    ),
    (403, json_of(error="access_denied", error_description="Account restricted"), "access_denied: Account restricted"),
    (400, json_of(error="org_internal"), "org_internal"),
    (400, json_of(error="unsupported_grant_type", error_description="Invalid grant_type"), "unsupported_grant_type: "),
    (403, json_of(error=IAM), "PERMISSION_DENIED: Permission iam.serviceAccounts.getAccessToken denied."),
    (403, b"<html>Forbidden</html>", "status 403"),
    (400, b"", "status 400"),
    (404, b"<html>Not Found</html>", "status 404"),
    (401, b"[]", "status 401"),
    (400, b'"text"', "status 400"),
    (200, b"{}", "status 200"),
]
FOR_NOW = [
    (408, b"{}"),
    (429, json_of(error="rate_limit_exceeded", error_description="Too many")),
    (429, b"<html>"),
    (500, json_of(error="internal_failure")),
    (502, b"<html>Bad Gateway</html>"),
    (502, b""),
    (503, json_of(error={"code": 503, "message": "busy", "status": "UNAVAILABLE"})),
    (504, b""),
]


def refusal(credentials: AnyCredentials) -> TokenError:
    async def ask() -> TokenError:
        with pytest.raises(TokenError) as told:
            await source_of(credentials).token()
        return told.value

    return asyncio.run(ask())


class TestRefused:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(("status", "body", "reason"), FOR_GOOD)
    def test_for_good(
        self, endpoint: Endpoint, tmp_path: Path, kind: str, status: int, body: bytes, reason: str
    ) -> None:
        endpoint.answer = Answer(status, body)
        error = refusal(KINDS[kind](endpoint, tmp_path))
        assert (error.status, error.headers) == (401, {"x-should-retry": "false"})
        assert reason in str(error)
        assert "html" not in str(error)
        assert len(endpoint.paths) == 1

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(("status", "body"), FOR_NOW)
    def test_for_now(self, endpoint: Endpoint, tmp_path: Path, kind: str, status: int, body: bytes) -> None:
        endpoint.answer = Answer(status, body, {"retry-after": "7"})
        error = refusal(KINDS[kind](endpoint, tmp_path))
        assert (error.status, error.headers) == (503, {"retry-after": "7"})
        assert "html" not in str(error)

    def test_what_google_auth_would_try_again(self, endpoint: Endpoint, tmp_path: Path) -> None:
        """It asks three times, and says so whatever the status is."""
        endpoint.answer = Answer(400, json_of(error="temporarily_unavailable"), {"retry-after": "soon"})
        error = refusal(of_account(endpoint, tmp_path))
        assert (error.status, error.headers, len(endpoint.paths)) == (503, {}, 3)

    @pytest.mark.parametrize("kind", KINDS)
    def test_nobody_is_there(self, tmp_path: Path, kind: str) -> None:
        with Endpoint() as gone:
            pass
        error = refusal(KINDS[kind](gone, tmp_path))
        assert (error.status, error.headers) == (503, {})

    def test_no_tls(self, endpoint: Endpoint, tmp_path: Path) -> None:
        made = of_account(endpoint, tmp_path)
        made._token_uri = endpoint.url.replace("http:", "https:")  # type: ignore[attr-defined]
        assert refusal(made).status == 503

    @pytest.mark.parametrize(("status", "expected"), [(404, 401), (403, 401), (503, 503)])
    def test_the_metadata_server(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, status: int, expected: int
    ) -> None:
        monkeypatch.setattr("google.auth.compute_engine._metadata._GCE_METADATA_HOST", endpoint.host)
        endpoint.answer = Answer(status, b"no account here")
        assert refusal(compute_engine.Credentials()).status == expected
        assert endpoint.paths

    def test_no_metadata_server(self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
        with Endpoint() as gone:
            monkeypatch.setattr("google.auth.compute_engine._metadata._GCE_METADATA_HOST", gone.host)
        assert refusal(compute_engine.Credentials()).status == 503

    @pytest.mark.parametrize(
        ("error", "status", "told"),
        [
            (TransportError("a secret"), 503, None),
            (RefreshError("down", retryable=True), 503, None),
            (OSError("no such file"), 503, None),
            (RuntimeError("can't start new thread"), 503, None),
            (RefreshError("File '/run/token' was not found."), 401, "cannot be used: File /run/token was not found."),
            (MalformedError("no subject_token"), 401, "cannot be used: no subject_token"),
            (ValueError("a secret"), 401, "cannot be used: ValueError"),
            (KeyError("a secret"), 401, "cannot be used: KeyError"),
        ],
    )
    def test_before_google_is_asked(self, error: Exception, status: int, told: str | None) -> None:
        def mint() -> None:
            raise error

        told_error = refusal(account(mint))
        assert told_error.status == status
        assert "secret" not in str(told_error)
        if told:
            assert told in str(told_error)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (json_of(error="a", error_description="b"), "a: b"),
        (json_of(error="", error_description="b"), "b"),
        (json_of(error={"status": "A", "message": "b"}), "A: b"),
        (json_of(error={"message": "b"}), "b"),
        (json_of(error={}), None),
        (json_of(error=None), None),
        (json_of(error=["x"]), None),
        (json_of(error="a", error_description={"x": "y"}), "a"),
        (b"", None),
        (b"\xff", None),
        (b"[" * 50000, None),
        (b"[" * 100000, None),
        (json_of(error="a", error_description="x\r\nHost: y\t\x1b[31m\x00z\u202e\u2028w"), "a: x Host: y [31m z w"),
        (json_of(error="a", error_description="it's 'quoted' and \"so\" on"), "a: it's quoted and so on"),
        (
            json_of(error="a", error_description="token ya29.abc-def, key AIzaSy1 and eyJhbG.eyJ.x"),
            "a: token … key … and …",
        ),
        (json_of(error="a", error_description="1//0gSecret GOCSPX-x Bearer abc"), "a: … … Bearer …"),
        (json_of(error="a", error_description=f"kid {'0123456789abcdef' * 3} unknown"), "a: kid … unknown"),
        (json_of(error="a", error_description="https://x.example/y?key=v&z a=b"), "a: https://x.example/y?… a=…"),
    ],
)
def test_reason_of(body: bytes, reason: str | None) -> None:
    assert reason_of(body) == reason
    assert reason_of(body.decode("latin-1")) == reason or not body.isascii()


def test_a_long_reason_is_cut() -> None:
    told = reason_of(json_of(error="a", error_description="word " * 20000)) or reason_of(
        json_of(error="a", error_description="word " * 200)
    )
    assert told
    assert len(told) == 300
    assert told.endswith("…")


class Account(service_account.Credentials):
    """Counts how often it mints, and how often at once."""

    def watch(self, mint: Callable[[], None]) -> "Account":
        self.mint, self.minted, self.at_once, self._now = mint, 0, 0, 0
        return self

    def refresh(self, request: object) -> None:
        self._now += 1
        self.at_once = max(self.at_once, self._now)
        self.minted += 1
        time.sleep(0.05)
        self.mint()
        self.token, self.expiry = f"token-{self.minted}", None
        self._now -= 1


def account(mint: Callable[[], None] = lambda: None) -> Account:
    made: Account = Account.from_service_account_info(ACCOUNT, scopes=[SCOPE])  # type: ignore[no-untyped-call]
    return made.watch(mint)


class TestTokenSource:
    def test_one_mints_for_all(self) -> None:
        made = account()

        async def ask() -> list[str]:
            source = source_of(made)
            return await asyncio.gather(*[source.token() for _ in range(20)])

        assert asyncio.run(ask()) == ["token-1"] * 20
        assert (made.minted, made.at_once) == (1, 1)

    def test_a_rejected_token_is_minted_anew_once(self) -> None:
        made = account()

        async def ask() -> list[str]:
            source = source_of(made)
            token = await source.token()
            for _ in range(20):
                source.reject(token)
            first = await asyncio.gather(*[source.token() for _ in range(5)])
            source.reject(token)
            return [*first, await source.token()]

        assert asyncio.run(ask()) == ["token-2"] * 6

    def test_one_that_gives_up_waiting_leaves_the_others(self) -> None:
        made = account()

        async def ask() -> str:
            source = source_of(made)
            impatient = asyncio.create_task(source.token())
            patient = asyncio.create_task(source.token())
            await asyncio.sleep(0.01)
            impatient.cancel()
            return await patient

        assert asyncio.run(ask()) == "token-1"

    def test_trouble_is_told_and_ends(self) -> None:
        failing = [True]

        def mint() -> None:
            if failing:
                failing.clear()
                raise TransportError("a secret")

        made = account(mint)

        async def ask() -> str:
            source = source_of(made)
            with pytest.raises(TokenError, match="no access token now") as told:
                await source.token()
            assert told.value.status == 503
            assert "secret" not in str(told.value)
            return await source.token()

        assert asyncio.run(ask()) == "token-2"

    def test_a_refusal_is_for_all_that_wait(self, endpoint: Endpoint, tmp_path: Path) -> None:
        endpoint.answer = Answer(400, json_of(error="invalid_grant"))

        async def ask() -> list[str | BaseException]:
            source = source_of(of_account(endpoint, tmp_path))
            return await asyncio.gather(*[source.token() for _ in range(30)], return_exceptions=True)

        assert {type(told) for told in asyncio.run(ask())} == {TokenError}
        assert len(endpoint.paths) == 1

    def test_what_is_taken_again_at_once_is_noticed_at_once(self, endpoint: Endpoint, tmp_path: Path) -> None:
        async def ask() -> str:
            source = source_of(of_account(endpoint, tmp_path))
            endpoint.answer = Answer(400, json_of(error="invalid_grant"))
            with pytest.raises(TokenError):
                await source.token()
            endpoint.answer = TOKEN
            return await source.token()

        assert asyncio.run(ask()) == "ya29.good"

    def test_the_old_token_serves_while_google_refuses(self, endpoint: Endpoint, tmp_path: Path) -> None:
        endpoint.answer = Answer(200, json_of(access_token="ya29.old", expires_in=40))

        async def ask() -> list[str]:
            source = source_of(of_account(endpoint, tmp_path))
            tokens = [await source.token()]
            source._stale_at = 0.0
            endpoint.answer = Answer(400, json_of(error="invalid_grant"))
            tokens.append(await source.token())
            while len(endpoint.paths) < 2:
                await asyncio.sleep(0.01)
            return [*tokens, await source.token()]

        assert asyncio.run(ask()) == ["ya29.old"] * 3


REFUSED = Answer(400, json_of(error="invalid_grant"))


class TestReplaced:
    """A credential that Google refuses is read again where it was found."""

    def test_after_a_rejected_token(self) -> None:
        old, new = account(), account()

        async def ask() -> list[str]:
            source = source_of(old, new)
            tokens = [await source.token()]
            source.reject(tokens[0])
            tokens += await asyncio.gather(*[source.token() for _ in range(5)])
            assert source.identity.credentials is new
            # The new one stays, without another look.
            source.identity.origin.found.clear()  # type: ignore[attr-defined]
            return [*tokens, await source.token()]

        assert asyncio.run(ask()) == ["token-1"] * 7
        assert (old.minted, new.minted) == (1, 1)

    def test_a_token_that_is_rejected_during_a_renewal(self) -> None:
        """What the renewal brings may be of the key that has been replaced."""
        old, new = account(), account()

        async def ask() -> list[str]:
            source = source_of(old, new)
            tokens = [await source.token()]
            source._stale_at = 0.0
            tokens.append(await source.token())
            for _ in range(3):
                await asyncio.sleep(0)
                source.reject(tokens[0])
            return [*tokens, *await asyncio.gather(*[source.token() for _ in range(5)])]

        assert asyncio.run(ask()) == ["token-1"] * 7
        assert (old.minted, new.minted) == (2, 1)

    @pytest.mark.parametrize("known", [False, True])
    def test_when_it_gets_no_token(self, endpoint: Endpoint, tmp_path: Path, known: bool) -> None:
        """At once, whether the old one ever got a token or not."""
        new = account()

        async def ask() -> str:
            source = source_of(of_account(endpoint, tmp_path), new)
            if known:
                await source.token()
                source._dead_at = 0.0
            endpoint.answer = REFUSED
            return await source.token()

        assert asyncio.run(ask()) == "token-1"
        assert len(endpoint.paths) == 1 + known

    def test_not_while_google_is_away(self, endpoint: Endpoint, tmp_path: Path) -> None:
        endpoint.answer = Answer(503, b"")

        async def ask() -> TokenSource:
            source = source_of(of_account(endpoint, tmp_path), account())
            with pytest.raises(TokenError):
                await source.token()
            return source

        assert len(asyncio.run(ask()).identity.origin.found) == 1  # type: ignore[attr-defined]

    def test_a_new_one_that_is_refused_too(self, endpoint: Endpoint, tmp_path: Path) -> None:
        """It is asked for once, and then for each further call, as the old one was."""
        endpoint.answer = REFUSED

        async def ask() -> str:
            source = source_of(of_account(endpoint, tmp_path), of_account(endpoint, tmp_path), account())
            with pytest.raises(TokenError, match="invalid_grant"):
                await source.token()
            assert len(endpoint.paths) == 2
            return await source.token()

        assert asyncio.run(ask()) == "token-1"

    def test_one_that_cannot_be_read_again(self, caplog: pytest.LogCaptureFixture) -> None:
        """The old one is kept, and its tokens are used as long as Google takes them."""
        made = account()

        async def ask() -> list[str]:
            source = source_of(made)
            tokens = [await source.token()]
            source.identity.origin.found.clear()  # type: ignore[attr-defined]
            source.reject(tokens[0])
            return [*tokens, await source.token()]

        assert asyncio.run(ask()) == ["token-1", "token-2"]
        assert "could not be read again, and stays as it was: what is here is no key" in caplog.text


class TestTakenOver:
    """What a service whose credentials were read again has of the tokens from before."""

    def test_the_same_key(self) -> None:
        source = source_of(account())
        assert TokenSource(source.identity.origin.read()).taking_over(source) is source

    def test_another_key_of_the_account(self, endpoint: Endpoint, tmp_path: Path) -> None:
        """Google does not know it yet: the token is used as long as it is valid. Then it knows it."""
        endpoint.answer = REFUSED

        async def ask() -> list[str]:
            old = source_of(account())
            tokens = [await old.token()]
            new = source_of(of_account(endpoint, tmp_path)).taking_over(old)
            tokens.append(await new.token())
            while len(endpoint.paths) < 1:
                await asyncio.sleep(0.01)
            while new._minting:
                await asyncio.sleep(0.01)
            endpoint.answer = TOKEN
            tokens.append(await new.token())
            new.reject(tokens[0])
            return [*tokens, await new.token()]

        assert asyncio.run(ask()) == ["token-1"] * 3 + ["ya29.good"]

    def test_a_key_of_another_account(self, endpoint: Endpoint, tmp_path: Path) -> None:
        async def ask() -> list[str]:
            tokens = []
            for other in (of_account(endpoint, tmp_path), of_user(endpoint, tmp_path)):
                old = source_of(account())
                await old.token()
                other._service_account_email = "other@p.iam.gserviceaccount.com"  # type: ignore[attr-defined]
                tokens.append(await source_of(other).taking_over(old).token())
            return tokens

        assert asyncio.run(ask()) == ["ya29.good"] * 2


WORKLOAD = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/p/providers/q",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
}
IMPERSONATED = Answer(200, json_of(accessToken="ya29.other", expireTime="2099-01-01T00:00:00Z"))
IMPERSONATION = "/v1/projects/-/serviceAccounts/other@p.iam.gserviceaccount.com:generateAccessToken"
MACHINE = "/computeMetadata/v1/instance"


class TestDefaultCredentials:
    """Each kind that google-auth finds, from where it is found to its token."""

    @pytest.fixture(autouse=True)
    def nothing_else(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
        # A gcloud of this machine would be asked for its project.
        monkeypatch.setenv("PATH", str(tmp_path))
        # Resource Manager is not here.
        monkeypatch.setattr("google.auth.external_account.Credentials.get_project_id", lambda *_, **__: None)

    def of_file(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **info: object) -> Identity:
        (folder / "adc.json").write_text(json.dumps(info))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(folder / "adc.json"))
        return DefaultCredentials().read()

    def token(self, identity: Identity) -> str:
        assert identity.origin.read() == identity
        source = TokenSource(identity)
        return asyncio.run(source.token())

    def test_a_workload_that_a_file_vouches_for(
        self, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "subject").write_text("eyJsubject")
        source = {"file": str(tmp_path / "subject")}
        found = self.of_file(tmp_path, monkeypatch, **WORKLOAD, token_url=endpoint.url, credential_source=source)
        assert self.token(found) == "ya29.good"
        assert endpoint.paths == ["/token"]

    def test_a_workload_that_acts_as_an_account(
        self, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its own token comes from a URL on the machine, as with Azure."""
        endpoint.answers = {"/subject": Answer(200, b"eyJsubject"), IMPERSONATION: IMPERSONATED}
        base = endpoint.url.removesuffix("/token")
        found = self.of_file(
            tmp_path,
            monkeypatch,
            **WORKLOAD,
            token_url=endpoint.url,
            credential_source={"url": f"{base}/subject"},
            service_account_impersonation_url=base + IMPERSONATION,
        )
        assert self.token(found) == "ya29.other"
        assert endpoint.paths == ["/subject", "/token", IMPERSONATION]

    def test_an_account_that_acts_as_another(
        self, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        endpoint.answers = {IMPERSONATION: IMPERSONATED}
        url = endpoint.url.removesuffix("/token") + IMPERSONATION
        found = self.of_file(
            tmp_path,
            monkeypatch,
            type="impersonated_service_account",
            service_account_impersonation_url=url,
            source_credentials=ACCOUNT | {"token_uri": endpoint.url},
        )
        # Else google-auth asks Google's own host, whatever the file says.
        monkeypatch.setattr(found.credentials, "_iam_endpoint_override", url)
        assert self.token(found) == "ya29.other"
        assert endpoint.paths == ["/token", IMPERSONATION]

    def test_a_user_of_gcloud(self, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "gcloud").mkdir()
        file = tmp_path / "gcloud" / "application_default_credentials.json"
        file.write_text(json.dumps(USER | {"quota_project_id": "test-project"}))
        found = DefaultCredentials().read()
        monkeypatch.setattr(found.credentials, "_token_uri", endpoint.url)
        assert self.token(found) == "ya29.good"
        assert endpoint.paths == ["/token"]
        file.write_text(json.dumps(USER | {"refresh_token": "1//other"}))
        assert found.origin.read() != found

    def test_the_machine(self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("google.auth.compute_engine._metadata._GCE_METADATA_HOST", endpoint.host)
        monkeypatch.setenv("GCE_METADATA_IP", endpoint.host)
        endpoint.answer = Answer(200, b"googleapis.com", {"metadata-flavor": "Google"})
        account = {"email": "default", "scopes": [SCOPE], "aliases": ["default"]}
        as_json, as_text = {"content-type": "application/json"}, {"content-type": "application/text"}
        endpoint.answers = {
            "/computeMetadata/v1/project/project-id": Answer(200, b"test-project", as_text),
            f"{MACHINE}/service-accounts/default/": Answer(200, json_of(**account), as_json),
            f"{MACHINE}/service-accounts/default/token": Answer(200, TOKEN.body, as_json),
        }
        found = DefaultCredentials().read()
        assert found.project == "test-project"
        assert self.token(found) == "ya29.good"

    def test_a_workload_that_gets_no_token_at_the_start(
        self, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """google-auth asks at once, to find the project."""
        monkeypatch.undo()
        endpoint.answer = Answer(400, json_of(error="invalid_target"))
        (tmp_path / "subject").write_text("eyJsubject")
        source = {"file": str(tmp_path / "subject")}
        with pytest.raises(ValueError, match="Google gives no access token now for these application default"):
            self.of_file(tmp_path, monkeypatch, **WORKLOAD, token_url=endpoint.url, credential_source=source)
        assert endpoint.paths
