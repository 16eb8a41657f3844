"""An upstream that answers with given bytes, which need not be valid HTTP, and keeps the bytes of the requests."""

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from collections.abc import Sequence

Answer = Sequence[bytes] | Callable[[], Sequence[bytes]]
"""Pieces of an answer, which are sent one by one; or a function that returns them, called for each request."""
CLOSE = b""
"""A piece that stands for closing the connection."""


class RawUpstream:
    """The upstream. `answers`: request target (`/v1/x?case=1`) -> answer; all other requests get `default`."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Answer] = {}
        self.default: Answer = (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",)
        self.seen: list[bytes] = []
        self.tls = tls
        self._server = socket.create_server(("127.0.0.1", port))
        self.port = self._server.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "RawUpstream":
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone would leave `accept` waiting.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for sock in self._connections:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self.tls:
                client = self.tls.wrap_socket(client, server_side=True)
                self._connections.append(client)
            while request := _read_request(client):
                self.seen.append(request)
                answer = self.answers.get(request.split(b" ")[1].decode(), self.default)
                pieces = answer() if callable(answer) else answer
                for piece in pieces:
                    if piece == CLOSE:
                        client.shutdown(socket.SHUT_RDWR)
                        client.close()
                        return
                    client.sendall(piece)
                    if len(pieces) > 1:
                        # So that the peer reads each piece by itself.
                        time.sleep(0.001)


def _read_request(client: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
    chunked = re.search(rb"(?i)\ntransfer-encoding: *chunked", head)
    last = re.compile(rb"(?:^|\r\n)0\r\n(?:.*\r\n)?\r\n$", re.DOTALL)
    while (length and len(body) < int(length[1])) or (chunked and not last.search(body)):
        piece = client.recv(65536)
        if not piece:
            return b""
        body += piece
    return head + b"\r\n\r\n" + body
