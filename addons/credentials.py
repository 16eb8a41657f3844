"""Google credentials: tokens minted off the event loop, refreshed ahead, and put into calls to Google only."""

import asyncio
import functools
import logging
import re
import time
from collections.abc import MutableMapping
from datetime import UTC
from datetime import datetime
from urllib.parse import unquote_plus
from weakref import WeakKeyDictionary

import google.auth.credentials
from google.auth import exceptions
from google.auth.transport.requests import Request as Transport
from mitmproxy import http
from mitmproxy.proxy import mode_specs

from addons.classify import Classify
from addons.classify import Exchange
from addons.classify import fails_closed
from addons.options import Options
from addons.options import Settings
from addons.options import holds_credential
from addons.options import is_start
from addons.services import Service
from addons.translation.conversation import refusal
from addons.upstream import in_thread
from addons.upstream import send
from metering.call import ErrorType
from metering.paths import api_of

logger = logging.getLogger(__name__)

MINT_TIMEOUT_S = 10
LIFETIME_S = 3600.0
"""Of a token that does not tell it."""
AHEAD_S = 300.0
"""How long before its end a token is minted anew, at most a quarter of its life."""
PAUSE_S = 5.0
"""After minting ahead has failed; the old token still serves."""


class TokenError(Exception):
    """No token can be had now. The message quotes nothing."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class TokenSource:
    """The access tokens of one identity. One is minted at a time, whoever waits for it."""

    def __init__(self, credentials: google.auth.credentials.Credentials) -> None:
        self._credentials = credentials
        self._transport = functools.partial(Transport(), timeout=MINT_TIMEOUT_S)
        self._token = ""
        self._stale_at = 0.0
        """When it is time to mint anew, by `time.monotonic`, and `_dead_at` when the token has ended."""
        self._dead_at = 0.0
        self._minting: asyncio.Task[None] | None = None

    async def token(self) -> str:
        """Raises TokenError."""
        now = time.monotonic()
        if now >= self._dead_at:
            # Not this call's own: another may wait for it as well.
            await asyncio.shield(self._mint())
        elif now >= self._stale_at:
            self._mint()
        return self._token

    def reject(self, token: str) -> None:
        """Google does not take this token."""
        if token == self._token:
            self._dead_at = 0.0

    def _mint(self) -> "asyncio.Task[None]":
        if self._minting is None:
            self._minting = asyncio.get_running_loop().create_task(self._refresh())
            self._minting.add_done_callback(self._minted)
        return self._minting

    async def _refresh(self) -> None:
        began = time.monotonic()
        try:
            await in_thread(self._credentials.refresh, self._transport)
        except Exception as e:
            raise _token_error(e) from e
        life = LIFETIME_S
        if expiry := self._credentials.expiry:
            # google-auth gives UTC without a zone; what the request took is lost.
            life = (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds() - (time.monotonic() - began)
        self._token = str(self._credentials.token)
        self._dead_at = began + max(life - min(5.0, life / 10), 0.0)
        self._stale_at = began + life - min(AHEAD_S, life / 4)

    def _minted(self, task: "asyncio.Task[None]") -> None:
        self._minting = None
        if not task.cancelled() and (error := task.exception()):
            logger.warning("vertex-tap: %s", error)
            self._stale_at = time.monotonic() + PAUSE_S


_WORD = re.compile(r"[a-z_]{1,40}")


def _token_error(error: Exception) -> TokenError:
    reason = str(error.args[0]).partition(":")[0] if error.args else ""
    if isinstance(error, exceptions.RefreshError) and not error.retryable and _WORD.fullmatch(reason):
        return TokenError(502, f"Google gives no access token for the proxy's credentials ({reason}).")
    return TokenError(503, "Google's token endpoint gives no access token now; the proxy will ask it again.")


class Credentials:
    """Takes a client's credentials out of calls that get others, and puts exactly one in.

    Native calls get it as soon as their head is here, as a large body is passed on as it comes; those that are
    rewritten when the body is.
    """

    def __init__(self, options: Options, classify: Classify) -> None:
        self._options = options
        self.exchanges = classify.exchanges
        self._sources: dict[str, TokenSource] = {}
        """By service."""
        self._injected: MutableMapping[http.HTTPFlow, str] = WeakKeyDictionary()
        """The token that a call went with."""

    def configure(self, updated: set[str]) -> None:
        # Before the listener opens.
        for service in self._options.gateway.services.values() if is_start(updated) else ():
            if service.credentials and service.name not in self._sources:
                self._sources[service.name] = TokenSource(service.credentials)

    @fails_closed
    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if exchange and exchange.service and not exchange.is_rewritten:
            await self._put_in(flow, exchange, exchange.service)

    @fails_closed
    async def request(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if exchange and exchange.service and exchange.is_rewritten:
            await self._put_in(flow, exchange, exchange.service)

    async def responseheaders(self, flow: http.HTTPFlow) -> None:
        """A token that Google does not take is minted anew, and the call repeated once."""
        token = self._injected.pop(flow, None)
        if not token or not flow.response or flow.response.status_code != 401:
            return
        exchange, request = self.exchanges[flow], flow.request
        assert exchange.service
        self._sources[exchange.service.name].reject(token)
        if request.raw_content is None or "upgrade" in request.headers:
            return
        try:
            await self.renew(exchange.service, request)
            answer = await send(request)
        except Exception as e:
            # The client gets the 401.
            logger.warning("vertex-tap: a call that got 401 could not be repeated (%s)", type(e).__name__)
            return
        exchange.call.attempts += 1
        exchange.repeated = answer
        flow.response.status_code, flow.response.reason = answer.status_code, answer.reason
        flow.response.headers = answer.headers

    def response(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if exchange and exchange.repeated and flow.response:
            flow.response.raw_content = exchange.repeated.raw_content

    async def renew(self, service: Service, request: http.Request) -> bool:
        """Puts a new token in place of one that Google does not take; false if it is not one of ours. Raises
        TokenError."""
        source = self._sources.get(service.name)
        if source is None:
            return False
        source.reject(request.headers.get("authorization", "").removeprefix("Bearer "))
        request.headers["authorization"] = f"Bearer {await source.token()}"
        return True

    async def _put_in(self, flow: http.HTTPFlow, exchange: Exchange, service: Service) -> None:
        request = flow.request
        if flow.response or flow.error:
            return
        if service.provider == "vertex" and not service.injects:
            if exchange.is_rewritten and not _pass_on(request):
                exchange.refuse(flow, refusal(401, UNKNOWN_KEY), ErrorType.NO_CREDENTIALS)
            return
        strip(request)
        for name in BESIDE:
            request.headers.pop(name, None)
        if not exchange.is_rewritten and not may_have_credentials(flow, self._options.settings):
            exchange.refuse(flow, refusal(502, NOT_TRUSTED), ErrorType.NO_CREDENTIALS)
        elif service.api_key:
            name, value = KEY_HEADERS[service.provider]
            request.headers[name] = value.format(service.api_key)
        elif service.credentials:
            try:
                token = await self._sources[service.name].token()
            except TokenError as e:
                exchange.refuse(flow, refusal(e.status, str(e)), ErrorType.NO_CREDENTIALS)
                return
            request.headers["authorization"] = f"Bearer {token}"
            if service.quota_project:
                request.headers["x-goog-user-project"] = service.quota_project
            self._injected[flow] = token


NOT_TRUSTED = "The upstream is no host of Google's with TLS, so nothing was sent there."
UNKNOWN_KEY = (
    "Vertex AI takes Google's access tokens and API keys. Send one of these, or set vertex_auth so that the proxy has"
    " credentials of its own."
)
PLACES = ("authorization", "x-goog-api-key", "api-key", "x-api-key")
"""Headers in which clients send credentials."""
KEY_HEADERS = {"vertex": ("x-goog-api-key", "{}"), "openai": ("authorization", "Bearer {}")}
"""Provider -> the header that holds an API key of ours."""
BESIDE = ("x-goog-user-project",)
"""Headers that are of no use with another's credentials."""
QUERY = frozenset({"key", "api_key", "access_token", "oauth_token"})
_TOKEN = re.compile(r"ya29\.\S+|eyJ[\w-]+\.[\w-]+\.[\w-]*")
_KEY = re.compile(r"(?:AIza|AQ\.)\S+")


def strip(request: http.Request) -> list[str]:
    """Take out all that is, or may be, a credential of the client; returns what it was."""
    found = [request.headers.pop(name, "") for name in PLACES]
    found[0] = found[0].partition(" ")[2] if found[0].lower().startswith("bearer ") else ""
    for name in {name.lower() for name in request.headers}:
        # `sec-websocket-key` is no secret.
        if holds_credential(name) and not name.startswith("sec-"):
            del request.headers[name]
    path, mark, query = request.path.partition("?")
    if mark:
        kept = []
        for field in query.split("&"):
            name, _, value = field.partition("=")
            if unquote_plus(name).lower() in QUERY:
                found.append(unquote_plus(value))
            else:
                kept.append(field)
        request.path = path + "?" * bool(kept) + "&".join(kept)
    return [credential for credential in found if credential]


def _pass_on(request: http.Request) -> bool:
    """Whether the client has a credential that is Google's; it then is in its place, alone."""
    found = strip(request)
    if token := next((one for one in found if _TOKEN.fullmatch(one)), None):
        request.headers["authorization"] = f"Bearer {token}"
        return True
    if key := next((one for one in found if _KEY.fullmatch(one)), None):
        request.headers["x-goog-api-key"] = key
        return True
    return False


def may_have_credentials(flow: http.HTTPFlow, settings: Settings) -> bool:
    """Whether a request goes to Vertex AI over TLS, or to where the user wants Vertex calls to go."""
    request, mode = flow.request, flow.client_conn.proxy_mode
    if api_of(request.host):
        return request.scheme == "https" and api_of(request.host) == "vertex"
    named = [settings.vertex_endpoint and settings.vertex_endpoint[1:3]]
    named += [mode.address] if isinstance(mode, mode_specs.ReverseMode) else []
    return (request.host, request.port) in named
