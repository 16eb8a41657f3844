import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from addons.keys import LONGEST_TEXT
from addons.keys import Issuer
from addons.keys import Recipient
from addons.keys import client_of
from addons.keys import holds_credential
from addons.keys import issuers
from addons.keys import issuers_of
from addons.keys import keep_googles
from addons.keys import recipient
from addons.keys import redacted
from addons.keys import strip
from addons.keys import without_credentials

Given = dict[str | bytes, str | bytes]
GOOGLE, ANTHROPIC, OTHER = Issuer.GOOGLE, Issuer.ANTHROPIC, Issuer.OTHER


def token(**claims: Any) -> str:
    """A JWT that nobody has signed."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{payload}.signature"


def asking(url: str, *headers: tuple[str, str]) -> http.Request:
    request = http.Request.make("GET", "http://x/")
    request.headers = http.Headers([(name.encode(), value.encode()) for name, value in headers])
    request.path = url
    return request


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Bearer AIzaSyX", {GOOGLE}),
        ("bearer  AQ.Ab8", {GOOGLE}),
        ("AIzaSyX", {GOOGLE}),
        ("Bearer ya29.c.x", {GOOGLE}),
        (f"Bearer {token(iss='https://accounts.google.com')}", {GOOGLE}),
        (f"Bearer {token(iss='accounts.google.com')}", {GOOGLE}),
        (f"Bearer {token(iss='a@p.iam.gserviceaccount.com', aud='x')}", {GOOGLE}),
        (f"Bearer {token(aud='https://aiplatform.googleapis.com/')}", {GOOGLE}),
        (f"Bearer {token(aud=['x', 'https://oauth2.googleapis.com/token'])}", {GOOGLE}),
        (f"Bearer {token(iss='https://google.com.evil.example', aud='notgoogle.com')}", set()),
        (f"Bearer {token(iss=5, aud=None)}", set()),
        (f"Bearer {token(iss='https://login.example')}", set()),
        ("Bearer eyJ.eyJ.x", set()),
        ("Bearer sk-proj-1", {OTHER}),
        ("Bearer sk-ant-api03-1", {ANTHROPIC}),
        (f"Basic {base64.b64encode(b'user:AIzaSyX').decode()}", {GOOGLE}),
        (f"Basic {base64.b64encode(b'sk-1:').decode()}", {OTHER}),
        ("Basic x", set()),
        ("realtime, openai-insecure-api-key.sk-1, openai-beta.realtime-v1", {OTHER}),
        ("Bearer AIzaSyX, Bearer sk-1", {GOOGLE, OTHER}),
        ("Bearer task-1 risk-2 xAIza", set()),
        ("Bearer ya29.x-sk-ant-", {GOOGLE}),
        ("", set()),
    ],
)
def test_whose_a_value_is(value: str, expected: set[Issuer]) -> None:
    assert issuers_of(value) == expected


@pytest.mark.parametrize(
    ("url", "headers", "expected"),
    [
        ("/", [("authorization", "Bearer sk-1")], {OTHER}),
        ("/", [("authorization", "Bearer x"), ("Authorization", "Bearer AIza1")], {GOOGLE}),
        ("/", [("x-goog-api-key", "any")], {GOOGLE}),
        ("/", [("X-Goog-Api-Key", "sk-1")], {GOOGLE, OTHER}),
        ("/", [("x-goog-api-key", "")], set()),
        ("/", [("api-key", "AQ.1"), ("x-api-key", "sk-ant-1")], {GOOGLE, ANTHROPIC}),
        ("/", [("x-goog-api-client", "google-genai-sdk/3.4.0")], set()),
        ("/?key=any", [], {GOOGLE}),
        ("/?%6Bey=any", [], {GOOGLE}),
        ("/?%24key=any", [], {GOOGLE}),
        ("/?KEY=any", [], {GOOGLE}),
        ("/?key=", [], set()),
        ("/?access_token=ya29.x", [], {GOOGLE}),
        ("/?api_key=sk-1", [], {OTHER}),
        ("/?monkey=AIza1", [], set()),
        ("/", [("cookie", "token=ya29.x")], {GOOGLE}),
        ("/", [("x-team-token", "sk-1")], {OTHER}),
        ("/", [("x-echo", "AIzaSyD-000000000000000000000000000000")], {GOOGLE}),
        ("/", [("x-echo", "AIza"), ("x-note", "sk-1 is a key")], set()),
        ("/", [("sec-websocket-protocol", "realtime, openai-insecure-api-key.sk-1")], {OTHER}),
        ("/", [("sec-websocket-key", "AIzaAAAAAAAAAAAAAAAAAAAA==")], set()),
    ],
)
def test_whose_a_request_carries(url: str, headers: list[tuple[str, str]], expected: set[Issuer]) -> None:
    assert issuers(asking(url, *headers)) == expected


@pytest.mark.parametrize(
    ("host", "named", "expected"),
    [
        ("aiplatform.googleapis.com", {}, Recipient.GOOGLE),
        ("US-Central1-aiplatform.googleapis.com.", {"is_target": True}, Recipient.GOOGLE),
        ("aiplatform-genai1.p.googleapis.com", {}, Recipient.GOOGLE),
        ("1.us-central1-2.prediction.vertexai.goog", {}, Recipient.GOOGLE),
        ("googleapis.com.evil.example", {}, Recipient.OPENAI),
        ("evilgoogleapis.com", {}, Recipient.OPENAI),
        ("own.example", {"is_target": True, "is_named": True}, Recipient.TARGET),
        ("api.anthropic.com", {"is_named": True}, Recipient.ANTHROPIC),
        ("api.openai.com", {}, Recipient.OPENAI),
        ("llm.example", {"is_named": True}, Recipient.OPENAI_ENDPOINT),
    ],
)
def test_what_a_host_is(host: str, named: dict[str, bool], expected: Recipient) -> None:
    assert recipient(host, **{"is_target": False, "is_named": False} | named) is expected


@pytest.mark.parametrize(
    ("url", "headers", "credential"),
    [
        ("/", [("authorization", "Bearer sk-1")], "sk-1"),
        ("/", [("authorization", f"Bearer {token(sub='a@b')}")], "a@b"),
        ("/", [("authorization", f"bearer {token(iss='c@d')}")], "c@d"),
        ("/", [("authorization", "Bearer a.b.c")], "a.b.c"),
        ("/", [("authorization", "Basic xyz")], None),
        ("/", [("x-goog-api-key", "AIza1")], "AIza1"),
        ("/", [("api-key", "k")], "k"),
        ("/", [("x-api-key", "x"), ("x-goog-api-key", "g")], "g"),
        ("/?alt=sse&key=AIza2", [], "AIza2"),
        ("/?monkey=1", [], None),
        ("/", [], None),
    ],
)
def test_what_tells_a_client(url: str, headers: list[tuple[str, str]], credential: str | None) -> None:
    assert client_of(asking(url, *headers)) == credential


@pytest.mark.parametrize(
    ("url", "headers", "found", "left"),
    [
        ("/x?alt=sse&key=AIza&b=%2F", [], ["AIza"], "/x?alt=sse&b=%2F"),
        ("/x?key=AIza", [], ["AIza"], "/x"),
        ("/x?%6Bey=AIza&access_token=t", [], ["AIza", "t"], "/x"),
        ("/x?monkey=1", [], [], "/x?monkey=1"),
        ("/x", [("api-key", "a"), ("authorization", "Bearer t"), ("x-goog-api-key", "k")], ["t", "k", "a"], "/x"),
        ("/x", [("authorization", "Basic t"), ("x-api-key", "k")], ["k"], "/x"),
        ("/x?oauth_token=t", [("cookie", "a"), ("helicone-auth", "b"), ("proxy-authorization", "c")], ["t"], "/x"),
        ("/x", [("x-echo", "sk-proj-00000000000000000000")], [], "/x"),
        ("/x", [("sec-websocket-protocol", "openai-insecure-api-key.sk-1")], [], "/x"),
    ],
)
def test_all_are_stripped(url: str, headers: list[tuple[str, str]], found: list[str], left: str) -> None:
    request = asking(url, ("X-Other", "1"), *headers, ("sec-websocket-key", "s"), ("x-other", "2"))
    assert [one for one in strip(request) if not one.startswith("openai-")] == found
    kept = ((b"X-Other", b"1"), (b"sec-websocket-key", b"s"), (b"x-other", b"2"))
    assert (request.path, request.headers.fields) == (left, kept)


@pytest.mark.parametrize(
    ("headers", "left"),
    [
        ([("authorization", "Bearer ya29.x")], (b"authorization", b"Bearer ya29.x")),
        ([("x-goog-api-key", "AIza1"), ("authorization", "Bearer sk-1")], (b"x-goog-api-key", b"AIza1")),
        ([("authorization", "Bearer AQ.1")], (b"x-goog-api-key", b"AQ.1")),
        ([("authorization", "Bearer sk-1")], None),
        ([("x-goog-api-key", "unknown")], None),
        ([("authorization", f"Bearer {token(iss='https://login.example')}")], None),
    ],
)
def test_googles_are_kept(headers: list[tuple[str, str]], left: tuple[bytes, bytes] | None) -> None:
    request = asking("/", *headers)
    assert keep_googles(request) == (left is not None)
    assert request.headers.fields == ((left,) if left else ())


def test_a_googles_jwt_is_kept() -> None:
    given = token(iss="a@p.iam.gserviceaccount.com")
    request = asking("/", ("authorization", f"Bearer {given}"))
    assert keep_googles(request)
    assert request.headers["authorization"] == f"Bearer {given}"


@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "x-amz-security-token", "cookie", "x-goog-iap-jwt-x"])
def test_names_that_hold_credentials(name: str) -> None:
    assert holds_credential(name)


@pytest.mark.parametrize("name", ["content-type", "keyboard", "x-monkey", "authority"])
def test_names_that_hold_none(name: str) -> None:
    assert not holds_credential(name)


@given(st.lists(st.tuples(st.sampled_from(["authorization", "cookie", "x-api-key", "x"]), st.binary(max_size=80))))
def test_any_bytes(headers: list[tuple[str, bytes]]) -> None:
    request = asking("/?" + "&".join(str(value) for _, value in headers))
    request.headers = http.Headers([(name.encode(), value) for name, value in headers])
    assert issuers(request) <= set(Issuer)
    client_of(request)
    strip(request)
    assert {name for name, _ in request.headers.fields} <= {b"x"}
    assert not keep_googles(request) or len(request.headers.fields) >= 1


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


@pytest.mark.parametrize("text", ["'", '"', "b'", "\\'", "?a ", "{", "-----BEGIN ", "Basic a", "'a\\"])
def test_long_texts_are_cut(text: str) -> None:
    """Before anything is looked for in them, which may take time that grows faster than they do."""
    assert len(redacted(text * 1_000_000)) <= 2 * LONGEST_TEXT


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ('{"text": "key AIzaSyAbcdefghijklmnop, sk-proj-abcdefghijkl"}', '{"text": "key …, …"}'),
        ('{"value": "ek_68af296e8e408191a1120"}', '{"value": "…"}'),
        ('{"name": "auth_tokens/0123456789abcdef"}', '{"name": "…"}'),
        ('{"authorization": "own words", "x": 1}', '{"authorization": "…", "x": 1}'),
        ('{"headers": {"Authorization":"Bearer abc"}}', '{"headers": {"Authorization":"…"}}'),
        (f"a {token(iss='x')} b", "a … b"),
        ("Bearer 0123456789abcdefghij", "Bearer …"),
        ('"server_url": "https://user:pass@h.example/sse"', '"server_url": "https://…@h.example/sse"'),
        ("-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----\\n", "…\\n"),
        ("API key not valid: my own key 77", "API key not valid: …"),
        ("no token-of-the-client here", "no … here"),
        ('{"api_key": {"type": "string"}, "task-completion-of-something": "the bearer capabilities"}', None),
        ("data:image/png;base64,iVBOR/eyJAIzaSyAbcdefghijklmnopABCDEFGHIJKLMNOP1//abcdefghijklmnop", None),
    ],
)
def test_bodies_without_credentials(body: str, shown: str | None) -> None:
    request = asking("/v1/x?key=my+own+key+77", ("authorization", "Bearer token-of-the-client"))
    assert without_credentials(body.encode(), request).decode() == (body if shown is None else shown)


@pytest.mark.parametrize(
    "text",
    ["sk-", "eyJ", "eyJa.", "eyJa. ", "a.", "AIza", "-----BEGIN PRIVATE KEY", "://", 'authorization"', "Bearer "],
)
def test_long_bodies_take_linear_time(text: str) -> None:
    body = text.encode() * (1_000_000 // len(text))
    started = time.process_time()
    without_credentials(body, asking("/"))
    assert time.process_time() - started < 2
