"""Sends requests that mitmproxy cannot send itself, as it sends exactly one request for each client request."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Sequence
from typing import ParamSpec
from typing import TypeVar

import requests
from mitmproxy import ctx
from mitmproxy import http
from requests.adapters import HTTPAdapter
from urllib3.util import SKIP_HEADER

from addons.translation.conversation import from_bytes
from metering.budget import TooMuchWork
from metering.call import Reading
from metering.decoding import DecodingError
from metering.decoding import decode

logger = logging.getLogger(__name__)

LARGE = 256 * 1024
"""Size in bytes above which a body is read or converted in a thread, as other calls would have to wait too long."""
CONNECT_S = 10.0
"""Seconds to make a connection to an upstream: name lookup, TCP, an HTTP proxy's CONNECT and TLS together."""
TIMEOUT_S = 300
AT_ONCE = 16
"""The most requests of one call that are sent at the same time."""

R = TypeVar("R")
A = ParamSpec("A")


async def in_thread(function: Callable[A, R], *args: A.args, **kwargs: A.kwargs) -> R:
    """Run a blocking function in a new thread, and await its result.

    asyncio's own threads are not used: they are few, are needed for name lookups, and would delay the end of the
    process.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[R] = loop.create_future()

    def tell(set_it: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):
            # The event loop may be closed by now.
            loop.call_soon_threadsafe(lambda: None if future.done() else set_it())

    def run() -> None:
        try:
            result = function(*args, **kwargs)
        except Exception as e:
            error = e
            tell(lambda: future.set_exception(error))
        else:
            tell(lambda: future.set_result(result))

    threading.Thread(target=run, name="vertex-tap", daemon=True).start()
    return await future


class OffLoop:
    """Runs a function directly, or in a thread if it has much to read. Only one such thread runs at a time, as each of
    them slows down the event loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)

    async def __call__(self, size: int, step: Callable[A, R], *args: A.args, **kwargs: A.kwargs) -> R:
        """Run `step`; `size` is how many bytes it has to read."""
        if size <= LARGE:
            return step(*args, **kwargs)
        async with self._turn:
            return await in_thread(step, *args, **kwargs)


async def send(request: http.Request) -> http.Response:
    """Send a request, and return the complete response. Raises requests.RequestException."""
    with _session(1) as session:
        return await in_thread(_send, session, request)


class Together:
    """Sends several requests at the same time, which are one call to the client. After one fails, no more are
    started."""

    def __init__(
        self,
        requests: Sequence[http.Request],
        renew: Callable[[http.Request], Awaitable[bool]],
        read: Callable[[http.Response], Reading | None],
        on_answer: Callable[[int, http.Response, Reading | None], None],
    ) -> None:
        """`renew` puts a new credential into a request that got 401, and returns whether it could.

        `read` is called in a thread for each response, including a 401 that is then retried. `on_answer` follows, with
        when the request was sent (microseconds since the epoch), the response, and what was read from it.
        """
        self.answers: list[http.Response | Exception] = []
        """After `wait`: the responses to the requests that were sent, in their order; an exception where there was
        none."""
        self._renew = renew
        self._read = read
        self._on_answer = on_answer
        self._places = asyncio.Semaphore(AT_ONCE)
        self._session = _session(AT_ONCE)
        self._stopped = False
        self._tasks = [asyncio.create_task(self._one(request)) for request in requests]

    async def wait(self) -> None:
        """Wait until all responses are here."""
        answers = await asyncio.gather(*self._tasks)
        self._session.close()
        self.answers = [answer for answer in answers if answer is not None]

    def stop(self) -> None:
        """Start no further requests; those under way go on."""
        self._stopped = True

    async def _one(self, request: http.Request) -> http.Response | Exception | None:
        async with self._places:
            if self._stopped:
                return None
            try:
                answer = await self._try(request)
                if answer.status_code == 401 and await self._renew(request):
                    answer = await self._try(request)
            except Exception as e:
                self.stop()
                return e
            if answer.status_code >= 400:
                self.stop()
            return answer

    async def _try(self, request: http.Request) -> http.Response:
        started_at = time.time_ns() // 1000

        def send_and_read() -> tuple[http.Response, Reading | None]:
            answer = _send(self._session, request)
            return answer, self._read(answer)

        answer, reading = await in_thread(send_and_read)
        self._on_answer(started_at, answer, reading)
        return answer


def _session(size: int) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers.clear()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=size))
    return session


def _send(session: requests.Session, request: http.Request) -> http.Response:
    options = ctx.options
    trusted = options.ssl_verify_upstream_trusted_ca or options.ssl_verify_upstream_trusted_confdir
    # SKIP_HEADER keeps urllib3 from adding these headers if the client has not sent them.
    fields: dict[str, str | bytes] = dict.fromkeys(("accept-encoding", "user-agent"), SKIP_HEADER)
    for field, value in request.headers.fields:
        name = field.decode("latin-1").lower()
        earlier = fields.get(name)
        if name not in _FRAMING:
            fields[name] = earlier + b", " + value if isinstance(earlier, bytes) else value
    with session.request(
        request.method,
        request.url,
        headers=fields,
        data=request.raw_content,
        timeout=(CONNECT_S, TIMEOUT_S),
        allow_redirects=False,
        verify=trusted or True,
        stream=True,
    ) as answer:
        # Not decoded here: `content_of` limits how far a compressed body may expand.
        content: bytes = answer.raw.read(decode_content=False)
    headers = [(name, value) for name, value in answer.raw.headers.items() if name.lower() not in _FRAMING]
    response = http.Response.make(answer.status_code)
    response.headers = http.Headers([(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers])
    response.raw_content = content
    response.headers["content-length"] = str(len(content))
    return response


def content_of(message: http.Message) -> bytes:
    """The decoded body of a complete message. Undecoded if it is not in the coding that its headers name; empty if
    decoding takes too much work."""
    body = message.raw_content or b""
    try:
        return decode(message.headers.get("content-encoding", ""), body)
    except DecodingError:
        return body
    except TooMuchWork as e:
        logger.warning("vertex-tap: a body is not read: %s", e)
        return b""


def document_of(message: http.Message) -> object:
    """The JSON value of a complete message; None if its body is not JSON."""
    try:
        return from_bytes(content_of(message))
    except ValueError:
        return None


def header_name(field: tuple[bytes, bytes]) -> str:
    """The lowercase name of an entry of `headers.fields`. (`headers.items()` takes quadratic time.)"""
    return field[0].decode("latin-1").lower()


_FRAMING = frozenset({"host", "content-length", "transfer-encoding", "connection"})
