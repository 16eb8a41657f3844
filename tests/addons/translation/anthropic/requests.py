"""What clients send for Anthropic's Messages, and what is read of it."""

from typing import Any

import pytest

from addons.translation.anthropic.read_request import read_request
from addons.translation.conversation import Request
from addons.translation.conversation import Turn
from addons.translation.errors import InvalidRequest
from addons.translation.errors import anthropic_error
from addons.translation.errors import refusal

Json = dict[str, Any]

HI: Json = {"role": "user", "content": "Hi"}
CALL: Json = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
RESULT: Json = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}


def said(*blocks: object) -> Json:
    return {"role": "assistant", "content": [*blocks]}


def asked(*blocks: object) -> Json:
    return {"role": "user", "content": [*blocks]}


def text(written: str, **members: object) -> Json:
    return {"type": "text", "text": written, **members}


def body(*messages: object, **members: object) -> Json:
    return {"model": "gemini-2.5-flash", "max_tokens": 100, "messages": [*messages] or [HI], **members}


def read(*messages: object, **members: object) -> Request:
    return read_request(body(*messages, **members))


def turns(*messages: object) -> list[Turn]:
    return read(*messages).turns


def refused(*messages: object, **members: object) -> str:
    """The message that the client gets."""
    with pytest.raises(InvalidRequest) as caught:
        read(*messages, **members)
    error: Any = anthropic_error(refusal(caught.value.status, caught.value.message), caught.value.param)
    assert (caught.value.status, error["error"]["type"]) == (400, "invalid_request_error")
    return str(error["error"]["message"])
