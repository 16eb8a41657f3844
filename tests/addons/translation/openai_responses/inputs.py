"""What clients send as a request for a Response, and what is read of it."""

from typing import Any

import pytest

from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.errors import InvalidRequest
from addons.translation.openai_responses.read_request import read_request

Json = dict[str, Any]

HI = {"role": "user", "content": "Hi"}

SEALED = ["reasoning.encrypted_content"]

SIGNATURE = Signature("google", "c2lnbmVk")

CLAUDES = Signature("anthropic", "Y2xhdWRl")


def read(*items: object, **members: object) -> Request:
    return read_request({"model": "gemini-3-flash-preview", "input": [*items] or [HI], **members})


def refused(*items: object, **members: object) -> str | None:
    """Which member is wrong."""
    with pytest.raises(InvalidRequest) as caught:
        read(*items, **members)
    assert (caught.value.status, bool(caught.value.message)) == (400, True)
    return caught.value.param


def message(*parts: object, role: str = "user") -> Json:
    return {"type": "message", "role": role, "content": [*parts]}


def said(text: str) -> Json:
    part: Json = {"type": "output_text", "text": text, "annotations": [], "logprobs": None}
    return {"id": "msg_1", "status": "completed", **message(part, role="assistant")}


def call(id: str = "c", name: str = "f", arguments: str = "{}") -> Json:
    return {"type": "function_call", "id": "fc_1", "call_id": id, "name": name, "arguments": arguments}


def output(id: str = "c", output: object = "x") -> Json:
    return {"type": "function_call_output", "call_id": id, "output": output}


def reasoning(encrypted: object = None, *summary: str) -> Json:
    texts = [{"type": "summary_text", "text": text} for text in summary]
    return {"type": "reasoning", "id": "rs_1", "summary": texts, "encrypted_content": encrypted, "content": None}


def tool(name: str = "f", **members: object) -> Json:
    return {"type": "function", "name": name, **members}
