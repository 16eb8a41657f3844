"""Finds out whose call it is: takes the key of a client out of its request, so that it never goes upstream."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import MutableMapping
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote_plus
from weakref import WeakKeyDictionary

from mitmproxy import connection
from mitmproxy import http
from mitmproxy.proxy import mode_specs

from addons import keys
from addons.addressing import names_listener
from addons.configuration.clients import Callers
from addons.configuration.clients import Client
from addons.configuration.clients import digest_of
from addons.exchange import Exchanges
from addons.exchange import error_response
from addons.exchange import fails_closed
from addons.options import Options
from addons.translation.errors import Failure
from addons.translation.errors import refusal
from metering.call import ErrorType

HEADER = "x-vertex-tap-key"
"""The header for the key of a client that has to send a credential of its own in the usual places."""
PROXY_HEADER = "proxy-authorization"
MOST_PLACES = 32
"""How many places of a request are looked at, as each takes time. What stands in further ones is removed unseen."""
IN_PROTOCOL = "openai-insecure-api-key."
"""What OpenAI's browser clients put before a key in `Sec-WebSocket-Protocol`."""

UNAUTHORIZED = refusal(
    401,
    "This proxy needs the key of one of its clients, and this call has none that is valid. Send it as the API key of"
    f" your SDK, or in the header {HEADER}.",
)
NO_PROXY_KEY = Failure(
    407,
    "This proxy needs the key of one of its clients as the password: HTTPS_PROXY=http://user:KEY@host:port",
    "UNAUTHENTICATED",
)
OTHER_NETWORK = refusal(403, "This proxy takes no calls from the network that this one comes from.")


class Refusal(NamedTuple):
    """Why a caller is not let in."""

    failure: Failure
    error_type: ErrorType
    headers: dict[str, str]


class Identify:
    """Tells which client a call is of, and whether its caller is let in. `access` refuses those that are not."""

    def __init__(self, options: Options) -> None:
        self.exchanges: Exchanges = {}
        """None: a tunnel is no call."""
        self._options = options
        self._clients: MutableMapping[http.HTTPFlow, Client | None] = WeakKeyDictionary()
        """The client of each call under way."""
        self._tunnels: MutableMapping[connection.Client, list[bytes]] = WeakKeyDictionary()
        """Connection on which a client has opened a tunnel -> the SHA-256 of the key that it gave. The key may be
        removed from the configuration while the tunnel is open."""

    @fails_closed
    def http_connect(self, flow: http.HTTPFlow) -> None:
        given = [digest_of(key) for key in keys_in(flow.request.headers.get(PROXY_HEADER, ""))]
        client = self.client_of(flow)
        if refused := self.refusal(flow):
            failure, _, headers = refused
            flow.response = error_response(failure.status, failure.message)
            flow.response.headers.update(headers)
        elif client:
            self._tunnels[flow.client_conn] = given

    def client_of(self, flow: http.HTTPFlow) -> Client | None:
        """The client that a call is of; None if it has no valid key. The first time, its keys are removed."""
        if flow not in self._clients:
            callers = self._callers()
            take = take_proxy_key if _is_forward(flow) else take_key
            client = take(flow.request, callers) if callers.clients else None
            # Also where it is not looked at: it is for this proxy only.
            flow.request.headers.pop(HEADER, None)
            in_tunnel = map(callers.client_with, self._tunnels.get(flow.client_conn, ()))
            self._clients[flow] = client or next(filter(None, in_tunnel), None)
        return self._clients[flow]

    def refusal(self, flow: http.HTTPFlow) -> Refusal | None:
        """Why the caller is not let in, by its key and its network; None if it is."""
        callers, client = self._callers(), self.client_of(flow)
        if callers.need_key and not client:
            if _is_forward(flow):
                headers = {"proxy-authenticate": 'Basic realm="vertex-tap"'}
                if flow.client_conn in self._tunnels and not flow.request.is_http2:
                    # Only a new tunnel can have another key.
                    headers["connection"] = "close"
                return Refusal(NO_PROXY_KEY, ErrorType.UNAUTHORIZED, headers)
            return Refusal(UNAUTHORIZED, ErrorType.UNAUTHORIZED, {"www-authenticate": "Bearer"})
        if not callers.let_in(callers.address_of(*origin_of(flow)), client):
            return Refusal(OTHER_NETWORK, ErrorType.FORBIDDEN, {})
        return None

    def _callers(self) -> Callers:
        return self._options.configuration.gateway.callers


def origin_of(flow: http.HTTPFlow) -> tuple[str, Sequence[str]]:
    """The address that a connection comes from, and what its request says of the addresses before it."""
    return flow.client_conn.peername[0], flow.request.headers.get_all("x-forwarded-for")


def _is_forward(flow: http.HTTPFlow) -> bool:
    """Whether the client uses this proxy as its HTTP proxy. A client may also take the address of such a listener for a
    base URL; then it is told so, and its key may be anywhere."""
    is_reverse = isinstance(flow.client_conn.proxy_mode, mode_specs.ReverseMode)
    return not is_reverse and not (flow.request.method != "CONNECT" and names_listener(flow))


# The places of keys


def take_key(request: http.Request, callers: Callers) -> Client | None:
    """Remove all keys of clients from a request, wherever SDKs put keys. Returns the client of the first; the header
    for these keys alone comes before all others. Passwords are removed too, but are for pages and HTTP proxies."""
    found: dict[str, Client] = {}
    left = MOST_PLACES

    def is_kept(name: str, key: str) -> bool:
        nonlocal left
        if not key:
            return True
        left -= 1
        client = callers.client_of(key) if left >= 0 else None
        if client and name != PROXY_HEADER:
            found.setdefault(name, client)
        return client is None and left >= 0

    request.headers.fields = tuple(_kept(request.headers.fields, is_kept))
    path, mark, query = request.path.partition("?")
    if mark:
        parts = [part for part in query.split("&") if is_kept("?", _queried(part))]
        if len(parts) < query.count("&") + 1:
            request.path = path + "?" * bool(parts) + "&".join(parts)
    return found.get(HEADER) or next(iter(found.values()), None)


def take_proxy_key(request: http.Request, callers: Callers) -> Client | None:
    """Remove the credentials for this proxy itself from a request. Returns the client that they are of."""
    said = request.headers.pop(PROXY_HEADER, "")
    found = [callers.client_of(key) for key in keys_in(said)]
    return next(filter(None, found), None)


def keys_in(authorization: str) -> list[str]:
    """The keys in a value of Authorization: a Bearer token, or a password."""
    scheme, _, rest = authorization.strip().partition(" ")
    if scheme.lower() == "basic":
        return keys.basic(rest)[1:]
    return [rest.strip()] if scheme.lower() == "bearer" else []


def _kept(fields: Sequence[tuple[bytes, bytes]], is_kept: Callable[[str, str], bool]) -> Iterator[tuple[bytes, bytes]]:
    """The fields of headers without the keys in them."""
    for field, value in fields:
        name, text = field.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape").strip()
        if name == "sec-websocket-protocol":
            parts = [part.strip() for part in text.split(",")]
            rest = [part for part in parts if is_kept(name, _after(part, IN_PROTOCOL))]
            if len(rest) == len(parts):
                yield field, value
            elif rest:
                yield field, ", ".join(rest).encode("utf-8", "surrogateescape")
        elif name in ("authorization", PROXY_HEADER) and (password := _password(text)):
            if is_kept(PROXY_HEADER, password):
                yield field, value
        elif name not in (HEADER, *keys.HEADERS) or is_kept(name, _bare(text)):
            yield field, value


def _password(value: str) -> str:
    """The password in a value of Authorization; empty if it has none."""
    return next(iter(keys_in(value)), "") if value.lower().startswith("basic ") else ""


def _bare(value: str) -> str:
    """The key in a header: its value, or what follows `Bearer`."""
    scheme, space, rest = value.partition(" ")
    return rest.strip() if space and scheme.lower() == "bearer" else value


def _after(text: str, beginning: str) -> str:
    """What follows the beginning of a text; empty if it begins otherwise."""
    return text.removeprefix(beginning) if text.startswith(beginning) else ""


def _queried(part: str) -> str:
    """The key in a field of a query; empty if the field is not for keys."""
    name, _, value = part.partition("=")
    return unquote_plus(value) if unquote_plus(name).lower() in keys.QUERY else ""
