"""Requests of our own, beside those that mitmproxy sends: it sends one for one, and once."""

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
"""Bytes beyond which reading or converting a body takes so long that other calls would wait for it."""
CONNECT_S = 10.0
"""Seconds in which a connection to an upstream must be made: its name, TCP, a proxy's CONNECT and TLS together."""
TIMEOUT_S = 300
AT_ONCE = 16
"""Requests for one call that are sent at the same time."""

R = TypeVar("R")
A = ParamSpec("A")


async def in_thread(function: Callable[A, R], *args: A.args, **kwargs: A.kwargs) -> R:
    """Runs what blocks. Not in asyncio's own threads: those are few, look up names, and are waited for at the end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[R] = loop.create_future()

    def tell(set_it: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):
            # The loop may be closed by then.
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


class Unhurried:
    """Runs a step at once, or in a thread if it has much to read; one at a time, as the event loop would have to wait
    for each of several."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)

    async def __call__(self, size: int, step: Callable[A, R], *args: A.args, **kwargs: A.kwargs) -> R:
        """`size` is how many bytes the step has to read."""
        if size <= LARGE:
            return step(*args, **kwargs)
        async with self._turn:
            return await in_thread(step, *args, **kwargs)


async def send(request: http.Request) -> http.Response:
    """The answer, whole. Raises requests.RequestException."""
    with _session(1) as session:
        return await in_thread(_send, session, request)


class Together:
    """Requests that are one call to the client, and are sent at the same time; after one that fails no more are."""

    def __init__(
        self,
        requests: Sequence[http.Request],
        renew: Callable[[http.Request], Awaitable[bool]],
        read: Callable[[http.Response], Reading | None],
        on_answer: Callable[[int, http.Response, Reading | None], None],
    ) -> None:
        """`renew` gives a request that got 401 another credential, if it can. `read` is called in a thread with each
        answer as it comes, also to one that is tried again; then `on_answer`, with when its request went out
        (microseconds since the epoch), the answer, and what was read."""
        self.answers: list[http.Response | Exception] = []
        """Once they are all here: those to the requests that were sent, in their order."""
        self._renew = renew
        self._read = read
        self._on_answer = on_answer
        self._places = asyncio.Semaphore(AT_ONCE)
        self._session = _session(AT_ONCE)
        self._stopped = False
        self._tasks = [asyncio.create_task(self._one(request)) for request in requests]

    async def wait(self) -> None:
        """Until the answers are here."""
        answers = await asyncio.gather(*self._tasks)
        self._session.close()
        self.answers = [answer for answer in answers if answer is not None]

    def stop(self) -> None:
        """What has not been sent yet is not."""
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
    # What the client has not said is not said for it.
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
        # As it came: what a few bytes may unpack to is not for `requests` to say.
        content: bytes = answer.raw.read(decode_content=False)
    headers = [(name, value) for name, value in answer.raw.headers.items() if name.lower() not in _FRAMING]
    response = http.Response.make(answer.status_code)
    response.headers = http.Headers([(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers])
    response.raw_content = content
    response.headers["content-length"] = str(len(content))
    return response


def content_of(message: http.Message) -> bytes:
    """The body of a message that is here whole, decoded to be looked at: as it is where it is not in its coding, empty
    where decoding it takes too much work."""
    body = message.raw_content or b""
    try:
        return decode(message.headers.get("content-encoding", ""), body)
    except DecodingError:
        return body
    except TooMuchWork as e:
        logger.warning("vertex-tap: a body is not read: %s", e)
        return b""


def document_of(message: http.Message) -> object:
    """The JSON of a message that is here whole; None where it is none."""
    try:
        return from_bytes(content_of(message))
    except ValueError:
        return None


def header_name(field: tuple[bytes, bytes]) -> str:
    """The name, in lower case, of one of `headers.fields`. (`headers.items()` takes time that grows with the square of
    the number of headers.)"""
    return field[0].decode("latin-1").lower()


_FRAMING = frozenset({"host", "content-length", "transfer-encoding", "connection"})
