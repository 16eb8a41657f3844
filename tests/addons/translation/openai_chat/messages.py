"""What clients send as a chat completion, and what is read of it."""

import base64
from typing import Any

import pytest

from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Turn
from addons.translation.errors import InvalidRequest
from addons.translation.gemini.write_request import write_request as for_gemini
from addons.translation.openai_chat.read_request import read_request
from tests.addons.translation.chats import check

Json = dict[str, Any]

HI = {"role": "user", "content": "Hi"}


def read(*messages: object, **members: object) -> Request:
    return read_request({"model": "gemini-2.5-flash", "messages": [*messages] or [HI], **members})


def refused(*messages: object, **members: object) -> str | None:
    """Which member is wrong."""
    with pytest.raises(InvalidRequest) as caught:
        read(*messages, **members)
    assert (caught.value.status, bool(caught.value.message)) == (400, True)
    return caught.value.param


def converted(*messages: object, **members: object) -> Json | None:
    """The body for Gemini, which it must take; None if it was refused."""
    try:
        body = for_gemini(read(*messages, **members)).body
    except InvalidRequest:
        return None
    check(body)
    return body


def message(role: str, content: object = None, **members: object) -> Json:
    return {"role": role, "content": content, **members}


def user(*parts: Part) -> Turn:
    return Turn("user", [*parts])


def assistant(*parts: Part) -> Turn:
    return Turn("assistant", [*parts])


def call(id: str, name: str = "f", arguments: str = "{}", **members: Any) -> Json:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **members}


def calls(*made: Json, content: object = None, **members: object) -> Json:
    return message("assistant", content, tool_calls=[*made], **members)


def result(id: str, content: object = "x", **members: object) -> Json:
    return message("tool", content, tool_call_id=id, **members)


SIGNATURE = base64.b64encode(bytes(range(90))).decode()


def part(kind: str, **members: object) -> Json:
    return {"type": kind, kind: members}


PNG = "data:image/png;base64,AAAA"

SHORT: Json = {"type": "ephemeral"}


def tool(name: str = "f", **members: object) -> Json:
    return {"type": "function", "function": {"name": name, **members}}
