"""A WebSocket client whose messages are JSON."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import wsproto
from wsproto.events import AcceptConnection
from wsproto.events import BytesMessage
from wsproto.events import CloseConnection
from wsproto.events import RejectConnection
from wsproto.events import RejectData
from wsproto.events import TextMessage
from wsproto.extensions import PerMessageDeflate


class Client:
    """A client on a socket that is open."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.connection = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._body = b""

    def connect(self, target: str, headers: dict[str, str], *, compressed: bool = False) -> Any:
        """Ask for the upgrade. Returns AcceptConnection or RejectConnection."""
        extra = [(name.encode(), value.encode()) for name, value in headers.items()]
        extensions = [PerMessageDeflate()] if compressed else []
        request = wsproto.events.Request(host="x", target=target, extra_headers=extra, extensions=extensions)
        self.sock.sendall(self.connection.send(request))
        return self.hear()

    def say(self, message: object, *, binary: bool = False) -> None:
        text = json.dumps(message)
        event = BytesMessage(text.encode()) if binary else TextMessage(text)
        self.sock.sendall(self.connection.send(event))

    def hear(self) -> Any:
        """The next message (or the body of a refusal), or the event that is none."""
        while True:
            for event in self.connection.events():
                if isinstance(event, TextMessage | BytesMessage | RejectData):
                    self._body += event.data.encode() if isinstance(event.data, str) else bytes(event.data)
                    if event.body_finished if isinstance(event, RejectData) else event.message_finished:
                        body, self._body = self._body, b""
                        return json.loads(body)
                if isinstance(event, AcceptConnection | RejectConnection | CloseConnection):
                    return event
            self.connection.receive_data(self.sock.recv(65536) or None)

    def close(self) -> None:
        self.sock.sendall(self.connection.send(CloseConnection(1000)))
        assert isinstance(self.hear(), CloseConnection)


@contextmanager
def connected(
    port: int, target: str, headers: dict[str, str], *, compressed: bool = False
) -> Iterator[tuple[Client, Any]]:
    """A client of a port of this machine, and what its request for an upgrade was answered with."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        client = Client(sock)
        yield client, client.connect(target, headers, compressed=compressed)
