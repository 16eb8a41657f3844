"""Credentials that clients send: where they are in a request, who issued them, and who may get them.

`HEADERS` and `QUERY` list the places, `FORMS` the prefixes that tell the issuer, `MAY_GO` the permitted recipients. All
functions take time linear in the size of the request.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple
from urllib.parse import unquote_plus

from mitmproxy import http

from metering.hosts import api_of


class Issuer(Enum):
    """Who issued a credential, as far as its prefix or its place tells."""

    GOOGLE = "Google"
    ANTHROPIC = "Anthropic"
    OTHER = "OpenAI, or a gateway that gives out keys like OpenAI's"


HEADERS: dict[str, Issuer | None] = {
    "authorization": None,
    "x-goog-api-key": Issuer.GOOGLE,
    "api-key": None,
    "x-api-key": None,
    # As OpenAI's browser clients send it: `realtime, openai-insecure-api-key.sk-...`
    "sec-websocket-protocol": None,
}
"""Headers in which SDKs send credentials -> the issuer of all credentials there (None: the value tells)."""
QUERY: dict[str, Issuer | None] = {
    "key": Issuer.GOOGLE,
    "$key": Issuer.GOOGLE,
    "api_key": None,
    "access_token": None,
    "oauth_token": None,
}
"""Query parameters in which SDKs send credentials -> the issuer (None: the value tells). They are Google's system
parameters, and `api_key`."""
FORMS = {
    "AIza": Issuer.GOOGLE,
    "AQ.": Issuer.GOOGLE,
    "ya29.": Issuer.GOOGLE,
    "sk-ant-": Issuer.ANTHROPIC,
    "sk-": Issuer.OTHER,
}
"""Prefix of a credential -> its issuer; the first match counts. JWTs name their issuer in their claims."""
PASSED_ON = ("x-goog-user-project",)
"""Headers that only make sense with the client's own Google credentials."""

UNSENT = ("GOCSPX-", "GOOG1", "1//")
"""Prefixes of secrets that are not sent with requests: Google's client secrets, HMAC keys and refresh tokens."""
SECRET = re.compile(
    r"(?i:(?<=\bbearer )\S+|(?<=\bbasic )[A-Za-z0-9+/]{8,}=*)"
    r"|(?<=://)[^\s/@]+(?=@)"
    rf"|AIza\S+|(?<![\w/.])(?:eyJ|{'|'.join(map(re.escape, (*FORMS, *UNSENT)))})\S+"
    r"|-----BEGIN .*?(?:-----END [A-Z ]*-----|\Z)",
    re.DOTALL,
)
"""What is replaced in any text that is shown: credentials of every form, user info in URLs, and private keys."""
_CREDENTIAL_NAME = re.compile(
    r"(?:^|-)(?:auth|authorization|tokens?|(?:api)?keys?|secrets?|cookie|jwt|credentials?|password|assertion)(?:-|$)"
)
_JWT = r"eyJ[\w-]+\.[\w-]+\.[\w-]*"
_CREDENTIAL = re.compile(rf"(?<![\w-])(?:{_JWT}|(?:{'|'.join(map(re.escape, FORMS))})[^\s,;\"']*)")
_LEAST = 20
"""Characters of the shortest key. A shorter value counts as a credential only where one is expected."""
_GOOGLES_NAME = re.compile(
    r"(?:(?:https?:)?//)?(?:[\w.+@-]+[.@])?(?:google|googleapis|gserviceaccount)\.com(?:[:/].*)?", re.DOTALL
)
"""Names in a JWT that belong to Google: `https://accounts.google.com`, `name@project.iam.gserviceaccount.com`."""


def holds_credential(header: str) -> bool:
    """Whether a header of this name may hold a secret."""
    return _CREDENTIAL_NAME.search(header.lower()) is not None


# Issuers


def issuers(request: http.Request) -> set[Issuer]:
    """The issuers of all credentials in a request; empty if it has none, or none whose issuer can be told."""
    found = set()
    for credential in _credentials(request):
        found |= {credential.issuer} if credential.issuer else set()
        found |= issuers_of(credential.value)
    return found


def issuers_of(value: str) -> set[Issuer]:
    """The issuers of the credentials in one value, such as that of an `authorization` header."""
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == "basic":
        value = ", ".join(basic(rest))
    found = (_issuer(match.group()) for match in _CREDENTIAL.finditer(value))
    return {issuer for issuer in found if issuer}


def _issuer(credential: str) -> Issuer | None:
    if issuer := next((issuer for start, issuer in FORMS.items() if credential.startswith(start)), None):
        return issuer
    claims = claims_of(credential)
    audience = claims.get("aud")
    names = [claims.get("iss"), *(audience if isinstance(audience, list) else [audience])]
    is_googles = any(isinstance(name, str) and _GOOGLES_NAME.fullmatch(name) for name in names)
    return Issuer.GOOGLE if is_googles else None


def claims_of(token: str) -> dict[str, object]:
    """The claims of a JWT, without verifying its signature; empty if `token` is not a JWT."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def basic(encoded: str) -> list[str]:
    """The user and password of `authorization: Basic ...` (RFC 7617); empty if they cannot be decoded."""
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode("utf-8", "replace").split(":", 1)
    except (binascii.Error, ValueError):
        return []


def client_of(request: http.Request) -> str | None:
    """What tells a client from others: its credential, or the subject of a JWT, as Google's tokens change every hour.
    None if there is no credential. A secret: store only its fingerprint."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        claims = claims_of(token)
        return str(claims.get("sub") or claims.get("iss") or token)
    given = {name: value for name, value in _headers(request) if name in HEADERS and name.endswith("key")}
    keys = [given[name] for name in HEADERS if given.get(name)]
    keys += [value for name, value in _query(request) if name == "key" and value]
    return keys[0] if keys else None


# Recipients


class Recipient(Enum):
    """What kind of host an upstream is."""

    GOOGLE = "a host of Google's"
    TARGET = "a host of the user's own, named in `reverse:` or `vertex_endpoint`"
    ANTHROPIC = "a host of Anthropic's"
    OPENAI_ENDPOINT = "a host of the user's own, named in `openai_endpoint`"
    OPENAI = "the default of `openai_endpoint`"


MAY_GO = {
    Issuer.GOOGLE: {Recipient.GOOGLE, Recipient.TARGET},
    Issuer.ANTHROPIC: {Recipient.ANTHROPIC, Recipient.TARGET, Recipient.OPENAI_ENDPOINT},
    Issuer.OTHER: {Recipient.TARGET, Recipient.ANTHROPIC, Recipient.OPENAI_ENDPOINT, Recipient.OPENAI},
}
"""Issuer -> who may get its credentials. A credential of unknown issuer may go wherever the path leads."""
_GOOGLE = re.compile(r"(?:[a-z0-9-]+\.)+(?:googleapis\.com|vertexai\.goog)")
_ANTHROPIC = re.compile(r"(?:[a-z0-9-]+\.)*anthropic\.com")


def recipient(host: str, *, is_target: bool, is_named: bool) -> Recipient:
    """The kind of a host.

    `is_target` is whether the user has named it in `reverse:` or `vertex_endpoint`; `is_named` is whether the user has
    set `openai_endpoint`.
    """
    host = host.lower().rstrip(".")
    if _GOOGLE.fullmatch(host) or api_of(host) in ("vertex", "gemini"):
        return Recipient.GOOGLE
    if is_target:
        return Recipient.TARGET
    if _ANTHROPIC.fullmatch(host):
        return Recipient.ANTHROPIC
    return Recipient.OPENAI_ENDPOINT if is_named else Recipient.OPENAI


# Removal from requests


def strip(request: http.Request) -> list[str]:
    """Remove everything from a request that is or may be a credential of the client. Returns the removed values,
    without `Bearer`."""
    found = [_bare(one.value) for one in _credentials(request) if one.place in HEADERS or one.place in QUERY]
    fields = zip(request.headers.fields, list(_headers(request)), strict=True)
    request.headers.fields = tuple(field for field, (name, value) in fields if not _is_place(name, value))
    path, mark, query = request.path.partition("?")
    if mark:
        kept = [field for field in query.split("&") if unquote_plus(field.partition("=")[0]).lower() not in QUERY]
        request.path = path + "?" * bool(kept) + "&".join(kept)
    return [value for value in found if value]


def keep_googles(request: http.Request) -> bool:
    """Remove all credentials from a request, then put the first Google credential back into its proper header. Returns
    whether there was one."""
    found = strip(request)
    tokens = (one for one in found if re.fullmatch(rf"ya29\.\S+|{_JWT}", one) and issuers_of(one) == {Issuer.GOOGLE})
    if token := next(tokens, None):
        request.headers["authorization"] = f"Bearer {token}"
        return True
    if key := next((one for one in found if re.fullmatch(r"(?:AIza|AQ\.)\S+", one)), None):
        request.headers["x-goog-api-key"] = key
        return True
    return False


def _bare(value: str) -> str:
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    return value if not rest else ""


class _Credential(NamedTuple):
    place: str
    """The name of the header or the query parameter."""
    value: str
    issuer: Issuer | None
    """The issuer, as far as the place tells."""


def _credentials(request: http.Request) -> list[_Credential]:
    """Everything in a request that is or may be a credential: first from the known headers, in the order of
    `HEADERS`."""
    order = {name: place for place, name in enumerate(HEADERS)}
    given = [(name, value) for name, value in _headers(request) if value and _is_place(name, value)]
    given.sort(key=lambda field: order.get(field[0], len(order)))
    found = [_Credential(name, value, HEADERS.get(name)) for name, value in given]
    return found + [_Credential(name, value, QUERY[name]) for name, value in _query(request) if value and name in QUERY]


def _is_place(name: str, value: str) -> bool:
    """Whether a header may hold a credential, by its name, or because its whole value is one."""
    if name.startswith("sec-"):
        # `sec-websocket-key` is no secret, and `sec-websocket-protocol` is one only where it carries a key.
        return name in HEADERS and _CREDENTIAL.search(value) is not None
    if name in HEADERS or holds_credential(name):
        return True
    return len(value) >= _LEAST and _CREDENTIAL.fullmatch(value) is not None


def _headers(request: http.Request) -> Iterator[tuple[str, str]]:
    for name, value in request.headers.fields:
        yield name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape").strip()


def _query(request: http.Request) -> Iterable[tuple[str, str]]:
    _, _, query = request.path.partition("?")
    for field in query.split("&"):
        name, _, value = field.partition("=")
        yield unquote_plus(name).lower(), unquote_plus(value)


# Removal from text

LONGEST_TEXT = 4096
"""The most characters of a log record or an error that are shown."""
_QUERY = re.compile(r"(?<=\?)[^\s'\"]+")
_QUOTE = re.compile(r"""(?:bytearray\()?\bb(?=['"])|"|(?<!\w)'|\{""")
_LITERAL = re.compile(r"""(?:bytearray\()?b?(['"])(?:\\.|(?!\1)[^\\])*\1\)?(?!\w)""", re.DOTALL)


def redacted(text: str) -> str:
    """`text` without query strings, credentials and quotations.

    mitmproxy quotes what it could not parse, such as request lines, headers and bodies. If a quotation is cut off, or
    there is more than one, everything from the first quotation on is dropped.
    """
    text = text[:LONGEST_TEXT]
    if quote := _QUOTE.search(text):
        literal = _LITERAL.match(text, quote.start())
        rest = text[literal.end() :] if literal else ""
        text = text[: quote.start()] + "…" + ("" if '"' in rest or "'" in rest else rest)
    return without_secrets(text)


def without_secrets(text: str) -> str:
    """`text`, with query strings and credentials replaced by `…`."""
    return SECRET.sub("…", _QUERY.sub("…", text))


# Removal from bodies

IN_ANSWERS = ("ek_", "auth_tokens/")
"""Prefixes of short-lived credentials in answers: OpenAI's client secrets, the Gemini API's ephemeral tokens."""
MEMBERS = ("authorization", "Authorization", "access_token", "refresh_token", "client_secret", "api_key", "apiKey")
"""Members of JSON bodies whose texts are credentials, such as `authorization` of OpenAI's MCP tools."""
_SHORTEST = 8
"""The fewest bytes of a credential of this very call that are looked for in its bodies."""


def _of_form(form: str) -> re.Pattern[bytes]:
    # A lookbehind after the literal, as a literal at the beginning is found fast. Base64 may contain some of these.
    literal = re.escape(form.encode())
    return re.compile(rb"(%b(?<![\w/+.-]%b)[\w.~+/=-]{12,})" % (literal, literal))


_IN_BODIES: list[re.Pattern[bytes]] = [
    *map(_of_form, (*FORMS, *UNSENT, *IN_ANSWERS)),
    re.compile(rb"(eyJ(?<![\w/+-]eyJ)[\w-]++\.[\w-]++\.[\w-]*)"),
    re.compile(rb"(-----BEGIN [A-Z ]*PRIVATE KEY.*?(?:-----END [A-Z ]*-----|\Z))", re.DOTALL),
    *(re.compile(rb"%b ([\w.~+/=-]{16,})" % scheme) for scheme in (b"Bearer", b"bearer", b"Basic")),
    re.compile(rb"://([^\s/@\"\\]{1,256})@"),
    *(re.compile(rb'%b"\s*:\s*"([^"\\]+)' % name.encode()) for name in MEMBERS),
]
"""Patterns of credentials; group 1 is the credential. They are looked for one by one, as that takes 15 ms for a
megabyte, and a single pattern for all takes a second."""


def without_credentials(body: bytes, request: http.Request) -> bytes:
    """A body of the call that `request` is of, with every credential replaced by `…`: those of a known form, and those
    that the request has, which upstreams quote in errors."""
    hidden = "…".encode()
    for one in {_bare(credential.value) or credential.value for credential in _credentials(request)}:
        if len(value := one.encode("utf-8", "surrogateescape")) >= _SHORTEST:
            body = body.replace(value, hidden)
    for pattern in _IN_BODIES:
        body = pattern.sub(lambda match: match[0].replace(match[1], hidden), body)
    return body
