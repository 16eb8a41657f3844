"""The transport: HTTP/1.1, with TLS or without, on real sockets, in a thread of its own."""

import asyncio
import socket
import ssl
import threading
import zlib
from collections import defaultdict
from collections.abc import Callable
from urllib.parse import parse_qs

import brotli
import h11
import zstandard

from tests.vertex_simulator.background import Background
from tests.vertex_simulator.credentials import Credentials
from tests.vertex_simulator.credentials import Denied
from tests.vertex_simulator.exchange import Answer
from tests.vertex_simulator.exchange import Plan
from tests.vertex_simulator.exchange import Request
from tests.vertex_simulator.exchange import Seen
from tests.vertex_simulator.files import Files
from tests.vertex_simulator.live import Live
from tests.vertex_simulator.live import LiveInteraction
from tests.vertex_simulator.openai import KEY
from tests.vertex_simulator.openai import openai_answer
from tests.vertex_simulator.openai_sockets import openai_socket
from tests.vertex_simulator.socket import Socket
from tests.vertex_simulator.vertex import Vertex

GOOGLES = ("/v1/publishers", "/v1/projects", "/v1/interactions")
"""The beginnings of Google's paths among those that begin as OpenAI's do."""


class _Encoder:
    """A content coding that gives out every piece as it comes."""

    def __init__(self, coding: str) -> None:
        if coding == "br":
            compressor = brotli.Compressor(quality=4)
            self.encode: Callable[[bytes], bytes] = lambda piece: compressor.process(piece) + compressor.flush()
            self.end: Callable[[], bytes] = compressor.finish
        elif coding == "zstd":
            frame = zstandard.ZstdCompressor().compressobj()
            flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
            self.encode = lambda piece: frame.compress(piece) + frame.flush(flush)
            self.end = frame.flush
        elif coding in ("gzip", "deflate"):
            stream = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
            self.encode = lambda piece: stream.compress(piece) + stream.flush(zlib.Z_SYNC_FLUSH)
            self.end = stream.flush
        else:
            self.encode, self.end = bytes, bytes


class Simulator:
    """A strict stand-in for Vertex AI, the Gemini API's embeddings and the like, and api.openai.com.

    `seen` lists the requests that arrived, with what was answered. `host` and `port` 0 choose an address.
    """

    def __init__(
        self,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        credentials: Credentials | None = None,
        name: str = "",
    ) -> None:
        self.name = name
        self.credentials = credentials or Credentials()
        self.seen: list[Seen] = []
        self.gates: defaultdict[str, threading.Semaphore] = defaultdict(lambda: threading.Semaphore(0))
        self.sent = 0
        """Pieces of streams that have been sent."""
        self.connections = 0
        self._vertex = Vertex(self.credentials)
        self._files = Files(self.credentials)
        self._background = Background()
        self._socket = socket.create_server((host, port), backlog=512)
        self._tls = tls
        self.port: int = self._socket.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}"
        self.token_uri = f"{self.url}/token"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="vertex simulator", daemon=True)

    def __enter__(self) -> "Simulator":
        started = threading.Event()
        self._started = started
        self._thread.start()
        started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, sock=self._socket, ssl=self._tls)
        self._started.set()
        await self._stop.wait()
        # A connection that was accepted just now gets its task in one of the next turns of the loop; asyncio forgets to
        # close it if the server is closed before.
        self._loop.remove_reader(self._socket)
        await _turns()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await _turns()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        # asyncio does so for sockets that it makes itself only.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections += 1
        try:
            await self._connection(reader, writer)
        except (ConnectionError, h11.RemoteProtocolError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except asyncio.CancelledError:
                # What the client has not taken yet would keep it open.
                writer.transport.abort()
            except (OSError, ssl.SSLError):
                pass
            self._tasks.discard(task)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER)
        while True:
            request = await _read_request(http, reader)
            if request is None:
                return
            request = request.planned_for(self.name)
            seen = Seen(request)
            self.seen.append(seen)
            socket = self._socket_for(request) if request.headers.get("upgrade", "").lower() == "websocket" else None
            if socket:
                await self._talk(socket, request, reader, writer)
                return
            seen.answer = self._answer(request)
            if not await self._send(http, writer, request, seen.answer):
                return
            if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                return
            http.start_next_cycle()

    def _answer(self, request: Request) -> Answer:
        try:
            if request.path == "/token":
                if refusal := self.credentials.refusal:
                    self.credentials.refused += 1
                    return Answer(refusal[0], pieces=[refusal[1]])
                return Answer.json(self.credentials.mint(request.body, self.token_uri))
            if self._files.are_asked(request):
                return self._files.answer(request)
            if request.path.startswith("/v1/") and not request.path.startswith(GOOGLES):
                return openai_answer(request, self._background)
            return self._vertex.answer(request)
        except Denied as e:
            if request.path == "/token":
                # RFC 6749, section 5.2
                return Answer.json({"error": e.word, "error_description": e.message}, e.status)
            error = {"code": e.status, "message": e.message, "status": e.word, "type": e.word}
            return Answer.json({"error": error}, e.status)

    def _socket_for(self, request: Request) -> Socket | None:
        """What answers a WebSocket; None if the request is answered over HTTP, such as one without a key."""
        if request.path.startswith("/v1/"):
            is_known = request.headers.get("authorization") == f"Bearer {KEY}"
            return openai_socket(request.path, request.query) if is_known else None
        self.credentials.check(request.headers, request.query)
        if request.path.endswith("/interactions/live"):
            return LiveInteraction()
        return Live(in_project="authorization" in request.headers)

    async def _talk(
        self, live: Socket, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = [f"{request.method} {request.path} HTTP/1.1".encode()]
        head += [name + b": " + value for name, value in request.raw_headers]
        writer.write(live.feed(b"\r\n".join(head) + b"\r\n\r\n"))
        while not live.closed and (data := await reader.read(65536)):
            writer.write(live.feed(data))
            await writer.drain()

    async def _send(self, http: h11.Connection, writer: asyncio.StreamWriter, request: Request, answer: Answer) -> bool:
        """Whether the answer was sent to its end, and the connection may go on."""
        plan = Plan.of(request.headers)
        if plan.hang:
            await asyncio.sleep(3600)
        await asyncio.sleep(plan.delay)
        coding = _coding(plan, request, answer)
        pieces = _pieces(answer, plan, coding)[: plan.stop_after]
        chunked = answer.streamed or plan.chunked
        headers = [("Content-Type", answer.content_type), ("Vary", "X-Origin"), ("Vary", "Referer"), *answer.headers]
        if plan.retry_after and answer.status >= 400:
            headers.append(("Retry-After", plan.retry_after))
        if coding != "identity":
            headers.append(("Content-Encoding", coding))
        size = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(sum(map(len, pieces))))
        headers += [size, ("X-Simulated", "yes"), ("Server", "scaffolding on HTTPServer2")]
        writer.write(http.send(h11.Response(status_code=answer.status, headers=headers, reason="OK")) or b"")
        for number, piece in enumerate(pieces if request.method != "HEAD" else []):
            if plan.cut == number:
                return _reset(writer)
            if number and plan.gate:
                await self._pass(plan.gate)
            if plan.pause:
                await asyncio.sleep(plan.pause)
            writer.write(http.send(h11.Data(piece)) or b"")
            await writer.drain()
            self.sent += 1
        if plan.cut_end or plan.cut is not None:
            return _reset(writer)
        if plan.linger:
            await asyncio.sleep(plan.linger)
        writer.write(http.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        return True

    async def _pass(self, gate: str) -> None:
        while not self.gates[gate].acquire(blocking=False):
            await asyncio.sleep(0.001)


async def _turns() -> None:
    """Let the loop do what it has begun."""
    for _ in range(5):
        await asyncio.sleep(0)


async def _read_request(http: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    head: h11.Request | None = None
    pieces: list[bytes] = []
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(2**20))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            pieces.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            assert head
            target, _, query = head.target.decode().partition("?")
            return Request(
                head.method.decode(), target, parse_qs(query), list(head.headers.raw_items()), b"".join(pieces)
            )
        elif isinstance(event, h11.ConnectionClosed):
            return None


def _coding(plan: Plan, request: Request, answer: Answer) -> str:
    if plan.encoding:
        return plan.encoding
    accepted = request.headers.get("accept-encoding", "")
    return "gzip" if "gzip" in accepted and not answer.streamed and answer.pieces else "identity"


def _pieces(answer: Answer, plan: Plan, coding: str) -> list[bytes]:
    encoder = _Encoder(coding)
    pieces = [encoder.encode(piece) for piece in answer.pieces] + [encoder.end()]
    if plan.split:
        whole = b"".join(pieces)
        pieces = [whole[n : n + plan.split] for n in range(0, len(whole), plan.split)]
    elif not answer.streamed:
        pieces = [b"".join(pieces)]
    return [piece for piece in pieces if piece]


def _reset(writer: asyncio.StreamWriter) -> bool:
    """Close without a word (RST)."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()
    return False
