"""Access tokens for the proxy's own credentials: fetched in a thread, renewed before they expire, and errors
explained."""

import asyncio
import logging
import re
import time
import unicodedata
from collections.abc import Mapping
from datetime import UTC
from datetime import datetime
from typing import Any

from google.auth import exceptions
from google.auth.transport import Response
from google.auth.transport.requests import Request as Transport

from addons import keys
from addons.configuration.identity import Identity
from addons.translation.conversation import from_bytes
from addons.upstream import in_thread
from metering.json_values import member
from metering.json_values import text_of

logger = logging.getLogger(__name__)

MINT_TIMEOUT_S = 10
LIFETIME_S = 3600.0
"""How long a token without an expiry time is used."""
AHEAD_S = 300.0
"""How long before its expiry a token is renewed; at most a quarter of its lifetime."""
PAUSE_S = 5.0
"""How long to wait after a renewal has failed while the old token is still valid."""


class TokenError(Exception):
    """No access token can be got. The message quotes nothing but Google's reason."""

    def __init__(self, message: str, *, permanent: bool, retry_after: int | None = None) -> None:
        """`permanent` is whether asking again will not help; `retry_after` is the number of seconds after which it
        may."""
        super().__init__(message)
        self.permanent = permanent
        self.status = 401 if permanent else 503
        """The HTTP status for the client."""
        self.headers: dict[str, str] = {"x-should-retry": "false"} if permanent else {}
        """Headers for the client's response. OpenAI's clients know `x-should-retry`."""
        if retry_after is not None:
            self.headers["retry-after"] = str(retry_after)


class TokenSource:
    """The access tokens of one credential.

    Only one request for a token is under way at a time, and all calls wait for it. After an error each call asks again,
    so that a repaired configuration works at once. A credential that Google refuses may have been replaced by another:
    it is then read again where it was found.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        """The credential, as it was last read."""
        self._is_rejected = False
        """Whether Google has rejected the last token."""
        self._transport = _Transport()
        self._token = ""
        self._stale_at = 0.0
        """When to renew the token, and in `_dead_at` when it expires, both by `time.monotonic`."""
        self._dead_at = 0.0
        self._minting: asyncio.Task[None] | None = None

    async def token(self) -> str:
        """A valid access token. Raises TokenError."""
        now = time.monotonic()
        if now >= self._dead_at:
            # Shielded: if this call is cancelled, others may still wait for the token.
            await asyncio.shield(self._mint())
        elif now >= self._stale_at:
            self._mint()
        return self._token

    def taking_over(self, earlier: "TokenSource") -> "TokenSource":
        """The source to use from now on in place of an earlier one: that one itself if its credential is the same.

        Another key of the same account gets its token, to be renewed at once: Google may know a new key only a minute
        later.
        """
        if earlier.identity == self.identity:
            return earlier
        if self.identity.account and earlier.identity.account == self.identity.account:
            self._token, self._dead_at = earlier._token, earlier._dead_at
        return self

    def reject(self, token: str) -> None:
        """Drop a token that Google has rejected."""
        if token == self._token:
            self._dead_at, self._is_rejected = 0.0, True

    def _mint(self) -> "asyncio.Task[None]":
        if self._minting is None:
            self._minting = asyncio.get_running_loop().create_task(self._refresh())
            self._minting.add_done_callback(self._minted)
        return self._minting

    async def _refresh(self) -> None:
        while True:
            began, is_rejected = time.monotonic(), self._is_rejected
            self.identity = await in_thread(self._fetch, self.identity, is_rejected)
            if is_rejected == self._is_rejected:
                break
            # The last token was rejected meanwhile. So this one may be of the same key that is no longer valid.
        credentials, self._is_rejected = self.identity.credentials, False
        life = LIFETIME_S
        if expiry := credentials.expiry:
            # `expiry` is UTC without a time zone. The duration of the request is subtracted, to be on the safe side.
            life = (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds() - (time.monotonic() - began)
        self._token = str(credentials.token)
        self._dead_at = began + max(life - min(5.0, life / 10), 0.0)
        self._stale_at = began + life - min(AHEAD_S, life / 4)

    def _fetch(self, identity: Identity, is_rejected: bool) -> Identity:
        """Have a credential fetch a token, or the one that has replaced it. Returns the one that did. Runs in a thread.
        Raises TokenError."""
        if is_rejected:
            identity = _read_again(identity)
        try:
            self._refresh_with(identity)
        except TokenError as e:
            replaced = _read_again(identity) if e.permanent and not is_rejected else identity
            if replaced is identity:
                raise
            identity = replaced
            self._refresh_with(identity)
        return identity

    def _refresh_with(self, identity: Identity) -> None:
        self._transport.forget()
        try:
            identity.credentials.refresh(self._transport)
        except Exception as e:
            raise _token_error(e, self._transport) from e

    def _minted(self, task: "asyncio.Task[None]") -> None:
        self._minting = None
        if not task.cancelled() and (error := task.exception()):
            logger.warning("vertex-tap: %s", error)
            self._stale_at = time.monotonic() + PAUSE_S


def _read_again(identity: Identity) -> Identity:
    """The credential that is now where this one was found; this one itself if it is still there, or if what is there
    cannot be used."""
    try:
        found = identity.origin.read()
    except ValueError as e:
        logger.warning("vertex-tap: a credential could not be read again, and stays as it was: %s", e)
        return identity
    return identity if found == identity else found


class _Transport(Transport):
    """google-auth's transport, which also keeps the last response: google-auth's errors do not tell its status."""

    answer: Response | None = None
    failed = False
    """Whether the last request got no response."""

    def forget(self) -> None:
        """Forget the last response, before a new request."""
        self.answer, self.failed = None, False

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = MINT_TIMEOUT_S,
        **kwargs: Any,
    ) -> Response:
        self.answer, self.failed = None, True
        self.answer = super().__call__(url, method, body, headers, timeout, **kwargs)  # type: ignore[no-untyped-call]
        self.failed = False
        return self.answer


PASSING = frozenset({408, 425, 429})
"""Statuses below 500 after which a retry may succeed."""


def _token_error(error: Exception, transport: _Transport) -> TokenError:
    """The TokenError for an error of google-auth.

    A response with an error is permanent, unless its status or google-auth says that a retry may help. Without a
    response, an error in the credentials is permanent, and a failed connection is not.
    """
    answer = transport.answer
    passing = transport.failed or getattr(error, "retryable", False)
    if answer:
        passing = passing or answer.status >= 500 or answer.status in PASSING
    else:
        passing = passing or isinstance(error, exceptions.TransportError | OSError | RuntimeError)
    if passing:
        message = "Google's token endpoint gives no access token now; the proxy will ask it again."
        return TokenError(message, permanent=False, retry_after=_retry_after(answer))
    if answer:
        reason = reason_of(answer.data) or f"it answers with status {answer.status}, and no reason that can be read"
        message = f"Google gives no access token for the proxy's credentials: {reason}"
    else:
        known = isinstance(error, exceptions.GoogleAuthError) and error.args and isinstance(error.args[0], str)
        reason = _cleaned(error.args[0]) if known else type(error).__name__
        message = f"The proxy's credentials cannot be used: {reason}"
    return TokenError(message, permanent=True)


def _retry_after(answer: Response | None) -> int | None:
    told = str(answer.headers.get("retry-after", "")) if answer else ""
    return int(told) if re.fullmatch(r"[0-9]{1,4}", told) else None


LONGEST_BODY = 64 * 1024
LONGEST_REASON = 300
"""The most characters of a reason."""


def reason_of(body: bytes | str) -> str | None:
    """Google's error code and description on one line, without anything that may be a secret; None if there are none.

    Reads OAuth 2.0 errors (RFC 6749, section 5.2; the token endpoint and STS) and google.rpc.Status (IAM).
    """
    if len(body) > LONGEST_BODY:
        return None
    try:
        document = from_bytes(body if isinstance(body, bytes) else body.encode())
    except (ValueError, RecursionError):
        return None
    error = member(document, "error")
    if isinstance(error, str):
        code, subtype = error, text_of(member(document, "error_subtype"))
        code += f" ({subtype})" if subtype else ""
        description = text_of(member(document, "error_description"))
    else:
        code, description = text_of(member(error, "status")) or "", text_of(member(error, "message"))
    return _cleaned(": ".join(filter(None, (code, description)))) or None


_QUOTES = re.compile(r"""(?<!\w)['"`]+|['"`]+(?!\w)""")
_LIKE_A_SECRET = re.compile(r"(?<=[?=])\S+|[\w+/=-]{32,}")
"""Query strings, values, and strings too long to be a word, a name or an address."""


def _cleaned(text: str) -> str:
    printable = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text[: 4 * LONGEST_REASON])
    # Log redaction would drop what is in quotes.
    told = " ".join(_LIKE_A_SECRET.sub("…", keys.SECRET.sub("…", _QUOTES.sub("", printable))).split())
    return told if len(told) <= LONGEST_REASON else told[: LONGEST_REASON - 1] + "…"
