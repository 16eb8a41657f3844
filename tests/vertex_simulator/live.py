"""The Live API: JSON over one WebSocket connection."""

import json
from typing import Any

from tests.vertex_simulator.socket import Socket

TURN = {"promptTokenCount": 10, "candidatesTokenCount": 4, "totalTokenCount": 14, "trafficType": "ON_DEMAND"}


class Live(Socket):
    """A turn that says "fail" is closed with 1011, one that says "drop" ends the connection without a word."""

    is_binary = True
    """As Google sends its JSON."""

    def __init__(self, *, in_project: bool) -> None:
        """`in_project` is how models are named for clients with access tokens."""
        super().__init__()
        self._in_project = in_project
        self.turns = 0

    def answer(self, message: dict[str, Any]) -> bytes:
        if "setup" in message:
            model = message["setup"].get("model", "")
            if not model.count("/") or (self._in_project and not model.startswith("projects/")):
                return self.close(1007, "setup.model is missing")
            return self.send({"setupComplete": {}})
        content = message.get("client_content") or message.get("clientContent")
        if not content:
            return b""
        said = json.dumps(content)
        if "fail" in said:
            return self.close(1011, "Internal error")
        if "drop" in said:
            return self.drop()
        self.turns += 1
        part = {"serverContent": {"modelTurn": {"role": "model", "parts": [{"text": "Hello there."}]}}}
        return self.send(part, {"serverContent": {"turnComplete": True}, "usageMetadata": TURN})
