"""OpenAI's WebSockets: Responses, and the Realtime API.

What a request says decides how it is answered: "fail", "incomplete", "error" (an error event), "drop" (the connection
ends without a word), "close" (it is closed with 1011), "wait" (the response goes on when the next one has ended).
"""

import json
from typing import Any

from tests.vertex_simulator.socket import Socket

USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 3},
    "output_tokens": 6,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 16,
}
SPOKEN = {
    "input_tokens": 30,
    "input_token_details": {
        "text_tokens": 10,
        "audio_tokens": 20,
        "cached_tokens": 12,
        "cached_tokens_details": {"text_tokens": 4, "audio_tokens": 8},
    },
    "output_tokens": 15,
    "output_token_details": {"text_tokens": 5, "audio_tokens": 10},
    "total_tokens": 45,
}
WRITTEN = {
    "type": "tokens",
    "input_tokens": 7,
    "input_token_details": {"text_tokens": 0, "audio_tokens": 7},
    "output_tokens": 2,
    "total_tokens": 9,
}


class ResponsesSocket(Socket):
    """`GET /v1/responses`."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._waiting: list[list[dict[str, Any]]] = []
        self._last: tuple[str, str | None] = ("", None)

    def answer(self, message: dict[str, Any]) -> bytes:
        if message["type"] == "response.steer":
            return self._steer(message)
        if message["type"] != "response.create":
            return b""
        stream_id, model = message.get("stream_id"), message.get("model")
        # By OpenAI's guide, `stream` and `background` are not used here; Codex sends the one.
        if not model:
            return self.send(self._error("invalid_request_error", "model is missing", 400, stream_id))
        said = _last_text(message.get("input", ""))
        if "error" in said:
            return self.send(self._error("rate_limit_error", "Slow down.", 429, stream_id))
        events = self._events(model, stream_id, said)
        if "wait" in said:
            self._waiting.append(events[2:])
            return self.send(*events[:2])
        if "drop" in said or "close" in said:
            began = self.send(*events[:2])
            return began + (self.drop() if "drop" in said else self.close(1011, "Internal error"))
        waiting, self._waiting = self._waiting, []
        if message.get("generate") is False:
            events = [events[0], {**events[-1], "response": {**events[-1]["response"], "output": [], "usage": None}}]
        return self.send(*events, *(event for rest in waiting for event in rest))

    def _steer(self, message: dict[str, Any]) -> bytes:
        id, stream_id = message["previous_response_id"], self._last[1]
        rest = self._waiting.pop()
        details = {"reason": "steered"}
        ended = {**rest[-1]["response"], "status": "incomplete", "incomplete_details": details}
        accepted = {"type": "response.steer.accepted", "steer": {"id": "steer_1", "previous_response_id": id}}
        incomplete = _in({"type": "response.incomplete", "response": ended}, stream_id)
        return self.send(_in(accepted, stream_id), incomplete, *self._events(ended["model"], stream_id, ""))

    def _events(self, model: str, stream_id: str | None, said: str) -> list[dict[str, Any]]:
        self._count += 1
        id = f"resp_{self._count}"
        self._last = id, stream_id
        begun = {"id": id, "object": "response", "created_at": 1, "model": model, "output": [], "tools": []}
        begun |= {"parallel_tool_calls": True, "tool_choice": "auto", "status": "in_progress", "usage": None}
        text = {"type": "output_text", "text": "Hello there.", "annotations": []}
        item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [text]}
        whole = {**begun, "status": "completed", "output": [item], "usage": USAGE}
        end = "completed"
        if "fail" in said:
            end, whole = "failed", {**begun, "status": "failed", "error": {"code": "server_error", "message": "x"}}
        elif "incomplete" in said:
            end = "incomplete"
            whole |= {"status": end, "incomplete_details": {"reason": "max_output_tokens"}}
        delta = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "Hello there.", "logprobs": []}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": begun},
            {"type": "response.output_text.delta", **delta},
            {"type": f"response.{end}", "response": whole},
        ]
        return [_in({**event, "sequence_number": number}, stream_id) for number, event in enumerate(events)]

    def _error(self, kind: str, message: str, status: int, stream_id: str | None) -> dict[str, Any]:
        error = {"type": kind, "code": None, "message": message}
        return _in({"type": "error", "status": status, "error": error}, stream_id)


def _last_text(asked: Any) -> str:
    """What an input says at last, if that is short: agents put long instructions before it, or send these alone."""
    said = json.dumps(asked[-1] if isinstance(asked, list) and asked else asked)
    return said if len(said) < 300 else ""


def _in(event: dict[str, Any], stream_id: str | None) -> dict[str, Any]:
    return event if stream_id is None else {**event, "stream_id": stream_id}


class RealtimeSocket(Socket):
    """`GET /v1/realtime` and `/v1/realtime/translations`."""

    def __init__(self, model: str | None, *, translates: bool) -> None:
        super().__init__()
        self._model = model
        self._translates = translates
        self._count = 0

    def greet(self) -> bytes:
        session: dict[str, Any] = {"id": "sess_1", "object": "realtime.session", "type": "realtime"}
        session["model"] = self._model
        transcription = {"model": "gpt-4o-transcribe"}
        session["audio"] = {"input": {"transcription": transcription}}
        if self._model is None:
            session["type"] = "transcription"
        return self._event({"type": "session.created", "session": session})

    def answer(self, message: dict[str, Any]) -> bytes:
        kind = message["type"]
        if kind == "session.update":
            return self._event({"type": "session.updated", "session": {"id": "sess_1", "model": self._model}})
        if kind == "input_audio_buffer.commit":
            return self._event(self._transcribed())
        if kind == "session.close":
            return self._event({"type": "session.closed"}) + self.close(1000, "")
        if kind == "response.create":
            return self._respond(json.dumps(message))
        if kind in ("input_audio_buffer.append", "session.input_audio_buffer.append") and self._translates:
            return self._event({"type": "session.output_transcript.delta", "delta": "Bonjour"})
        if kind in ("conversation.item.create", "input_audio_buffer.append"):
            return b""
        error = {"type": "invalid_request_error", "code": "unknown", "message": f"No such event: {kind}"}
        return self._event({"type": "error", "error": error})

    def _respond(self, said: str) -> bytes:
        if "drop" in said:
            return self.drop()
        if "close" in said:
            return self.close(1011, "Internal error")
        begun = {"id": "resp_1", "object": "realtime.response", "status": "in_progress", "output": []}
        done: dict[str, Any] = {**begun, "status": "completed", "status_details": None, "usage": SPOKEN}
        if "fail" in said:
            details = {"type": "failed", "error": {"type": "server_error", "code": None}}
            done |= {"status": "failed", "status_details": details, "usage": None}
        delta = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0, "delta": "UklG"}
        return (
            self._event({"type": "response.created", "response": begun})
            + self._event({"type": "response.output_audio.delta", **delta})
            + self._event({"type": "response.done", "response": done})
        )

    def _transcribed(self) -> dict[str, Any]:
        done = {"type": "conversation.item.input_audio_transcription.completed", "item_id": "item_2"}
        return {**done, "content_index": 0, "transcript": "Hello", "usage": WRITTEN}

    def _event(self, event: dict[str, Any]) -> bytes:
        self._count += 1
        return self.send({"event_id": f"event_{self._count}", **event})


def openai_socket(path: str, query: dict[str, list[str]]) -> Socket | None:
    """What answers at a path; None if there is nothing."""
    model = query["model"][0] if "model" in query else None
    if path == "/v1/responses":
        return ResponsesSocket()
    if path in ("/v1/realtime", "/v1/realtime/translations"):
        return RealtimeSocket(model, translates=path.endswith("translations"))
    return None
