"""A WebSocket connection whose messages are JSON."""

import json
from typing import Any

import wsproto
from wsproto.events import AcceptConnection
from wsproto.events import BytesMessage
from wsproto.events import CloseConnection
from wsproto.events import Event
from wsproto.events import Ping
from wsproto.events import TextMessage
from wsproto.extensions import PerMessageDeflate


class Socket:
    """Sans-IO: feed what came, send what is returned."""

    is_binary = False
    """Whether messages are sent in binary frames."""

    def __init__(self) -> None:
        self.connection = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        self.closed = False
        self._text = ""

    def feed(self, data: bytes) -> bytes:
        self.connection.receive_data(data)
        return b"".join(self._handle(event) for event in self.connection.events())

    def greet(self) -> bytes:
        """What is sent before the first message has come."""
        return b""

    def answer(self, message: dict[str, Any]) -> bytes:
        raise NotImplementedError

    def send(self, *messages: dict[str, Any]) -> bytes:
        events = [self._message(json.dumps(message)) for message in messages]
        return b"".join(map(self.connection.send, events))

    def close(self, code: int, reason: str) -> bytes:
        self.closed = True
        return self.connection.send(CloseConnection(code, reason))

    def drop(self) -> bytes:
        """End the connection without a word."""
        self.closed = True
        return b""

    def _message(self, text: str) -> Event:
        return BytesMessage(text.encode()) if self.is_binary else TextMessage(text)

    def _handle(self, event: Event) -> bytes:
        if isinstance(event, wsproto.events.Request):
            return self.connection.send(AcceptConnection(extensions=[PerMessageDeflate()])) + self.greet()
        if isinstance(event, Ping):
            return self.connection.send(event.response())
        if isinstance(event, CloseConnection):
            self.closed = True
            return self.connection.send(event.response())
        if isinstance(event, TextMessage | BytesMessage):
            self._text += event.data if isinstance(event.data, str) else bytes(event.data).decode(errors="replace")
            if event.message_finished:
                text, self._text = self._text, ""
                try:
                    return self.answer(json.loads(text))
                except ValueError:
                    return self.close(1007, "Invalid JSON payload received.")
        return b""
