"""The Live API: JSON over one WebSocket connection."""

import json
from typing import Any

import wsproto
from wsproto.events import AcceptConnection
from wsproto.events import BytesMessage
from wsproto.events import CloseConnection
from wsproto.events import Event
from wsproto.events import Ping
from wsproto.events import TextMessage

TURN = {"promptTokenCount": 10, "candidatesTokenCount": 4, "totalTokenCount": 14, "trafficType": "ON_DEMAND"}


class Live:
    """Sans-IO: feed what came, send what is returned. A turn that says "fail" is closed with 1011, one that
    says "drop" ends the connection without a word."""

    def __init__(self, *, in_project: bool) -> None:
        """`in_project` is how models are named for clients with access tokens."""
        self._in_project = in_project
        self.connection = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        self.closed = False
        self.turns = 0
        self._text = ""

    def feed(self, data: bytes) -> bytes:
        self.connection.receive_data(data)
        return b"".join(self._handle(event) for event in self.connection.events())

    def _handle(self, event: Event) -> bytes:
        if isinstance(event, wsproto.events.Request):
            return self.connection.send(AcceptConnection())
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
                    return self._answer(json.loads(text))
                except ValueError:
                    self.closed = True
                    return self.connection.send(CloseConnection(1007, "Invalid JSON payload received."))
        return b""

    def _answer(self, message: dict[str, Any]) -> bytes:
        if "setup" in message:
            model = message["setup"].get("model", "")
            if not model.count("/") or (self._in_project and not model.startswith("projects/")):
                return self.connection.send(CloseConnection(1007, "setup.model is missing"))
            return self._send({"setupComplete": {}})
        content = message.get("client_content") or message.get("clientContent")
        if not content:
            return b""
        said = json.dumps(content)
        if "fail" in said:
            self.closed = True
            return self.connection.send(CloseConnection(1011, "Internal error"))
        if "drop" in said:
            self.closed = True
            return b""
        self.turns += 1
        part = {"serverContent": {"modelTurn": {"role": "model", "parts": [{"text": "Hello there."}]}}}
        return self._send(part) + self._send({"serverContent": {"turnComplete": True}, "usageMetadata": TURN})

    def _send(self, message: dict[str, Any]) -> bytes:
        # Google sends its JSON in binary frames.
        return self.connection.send(BytesMessage(json.dumps(message).encode()))
