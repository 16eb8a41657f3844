"""The Live API, and live interactions: JSON over one WebSocket connection."""

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


class LiveInteraction(Socket):
    """A live interaction of the Gemini API (`_interactions_websocket.py` of google-genai 3.6.1). Usage is that of the
    connection so far."""

    def __init__(self) -> None:
        super().__init__()
        self._is_created = False
        self._steps = 0

    def answer(self, message: dict[str, Any]) -> bytes:
        return b"".join(map(self._answer, message.get("events", [message])))

    def _answer(self, event: dict[str, Any]) -> bytes:
        kind = event["event_type"]
        if kind == "interaction.create" and isinstance(event.get("model"), str):
            self._is_created = True
            return self.send({"event_type": "interaction.created", "interaction_id": "int_live_001"})
        if not self._is_created:
            return self.send({"event_type": "error", "error": {"code": "invalid_request", "message": "no interaction"}})
        if kind == "input":
            self._steps += 1
            delta = {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "Hello there."}}
            return self.send(delta, {"event_type": "step.stop", "index": 0, "usage": self._usage()})
        if kind in ("interaction.complete", "interaction.cancel"):
            end = {"interaction.complete": "completed", "interaction.cancel": "cancelled"}[kind]
            return self.send({"event_type": f"interaction.{end}", "usage": self._usage()})
        return b""

    def _usage(self) -> dict[str, int]:
        read, written = 10 * self._steps, 4 * self._steps
        return {"total_input_tokens": read, "total_output_tokens": written, "total_tokens": read + written}
