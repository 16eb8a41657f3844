"""One conversation in every dialect: requests that mean the same, and an answer as every client gets it."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from addons.translation.chats import CLIENTS
from addons.translation.chats import Writer
from addons.translation.chats import google_client
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Finish
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import Usage
from addons.translation.conversation import to_bytes

Json = dict[str, Any]
IMAGE = base64.b64encode(bytes(48_000)).decode()
ARGUMENTS = {"city": "Paris"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "unit": {"type": "string"}}}
VERTEX = "/v1/projects/p/locations/global/publishers"

PATHS = {
    "gemini": f"{VERTEX}/google/models/gemini-2.5-pro:generateContent",
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "claude": f"{VERTEX}/anthropic/models/claude-opus-4-1:rawPredict?key=secret",
    "mistral": f"{VERTEX}/mistralai/models/mistral-large:rawPredict",
}
"""Dialect, or where it is spoken -> the path of a request."""

_CHAT: Json = {
    "temperature": 0.5,
    "tools": [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}},
            ],
        },
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": json.dumps(ARGUMENTS)}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "20 degrees"},
    ],
}
_MESSAGES: Json = {
    "temperature": 0.5,
    "max_tokens": 100,
    "system": "Be brief.",
    "tools": [{"name": "weather", "input_schema": SCHEMA}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}},
            ],
        },
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": ARGUMENTS}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "20 degrees"}]},
    ],
}
REQUESTS: dict[str, Json] = {
    "gemini": {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {"temperature": 0.5},
        "tools": [{"functionDeclarations": [{"name": "weather", "parametersJsonSchema": SCHEMA}]}],
        "contents": [
            {
                "role": "user",
                "parts": [{"text": "What is this?"}, {"inlineData": {"mimeType": "image/png", "data": IMAGE}}],
            },
            {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": ARGUMENTS}}]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "weather", "response": {"output": "20 degrees"}}}],
            },
        ],
    },
    "chat": _CHAT | {"model": "gpt-5"},
    "mistral": _CHAT,
    "responses": {
        "model": "gpt-5",
        "temperature": 0.5,
        "previous_response_id": "resp_1",
        "instructions": "Be brief.",
        "tools": [{"type": "function", "name": "weather", "parameters": SCHEMA}],
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}"},
                ],
            },
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": json.dumps(ARGUMENTS)},
            {"type": "function_call_output", "call_id": "c1", "output": "20 degrees"},
        ],
    },
    "messages": _MESSAGES | {"model": "claude-opus-4-1"},
    "claude": _MESSAGES | {"anthropic_version": "vertex-2023-10-16"},
}
"""The same keys -> a request."""

EVENTS = "text/event-stream"
_REQUEST = Request("asked", stream=True, include_usage=True, thinking=Thinking(include=True))
_BODY: Json = {"model": "asked", "stream": True}


def answers(*parts: Part) -> Iterator[tuple[str, str, bytes]]:
    """An answer of these parts in every dialect, whole and as a stream of them: a name, its content type, the body."""
    usage = Usage(12, 30, 4, 20)
    whole = Answer("r1", "served", [Choice(0, [*parts], Finish.TOOL_CALLS)], usage)
    pieces = [Answer("r1", "served", [Choice(0, [part])]) for part in parts]
    pieces.append(Answer("r1", "served", [Choice(0, finish=Finish.TOOL_CALLS)], usage))
    for name, client in (CLIENTS | {"gemini": google_client("asked", True, True)}).items():
        yield f"{name} whole", "application/json", to_bytes(client.write_answer(whole, _REQUEST, _BODY))
        yield f"{name} streamed", EVENTS, _streamed(client.stream_writer(_REQUEST, _BODY), pieces)
    array = google_client("asked", True, False)
    yield "gemini in an array", array.content_type, _streamed(array.stream_writer(_REQUEST, _BODY), pieces)


def _streamed(writer: Writer, pieces: list[Answer]) -> bytes:
    return b"".join([*map(writer.write, pieces), writer.end()])


ANSWERS = [
    *answers(Thought("Let me "), Thought("think."), Text("It is "), Text("a cat."), ToolCall("c2", "weather", {}))
]
