"""Requests of clients that tests make plans for, and a check of the plans."""

import json
from typing import Any

from addons.translation.plan import ClientRequest
from addons.translation.plan import Plan
from tests.vertex_simulator.schema import check_request

Json = dict[str, Any]
JSON = "application/json"
FORM = "multipart/form-data; boundary=x"
ROOT = "/v1/projects/p/locations/l/"
GOOGLE = "publishers/google/models/"


def same(name: str) -> str:
    """The real name of a model where there are no aliases."""
    return name


def aliased(name: str) -> str:
    """The real name of a model where there are these aliases."""
    return {"gpt-4o": "gemini-2.5-pro", "opus": "claude-opus-4-1", "mine": "1234567890"}.get(name, name)


def asked(operation: str, body: Json | bytes | None = None, **more: Any) -> ClientRequest:
    """A POST of this body, or a GET without one; `more` are other members of the ClientRequest."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    given: dict[str, Any] = {"method": "GET" if body is None else "POST", "path": operation, "content_type": JSON}
    return ClientRequest(**({"operation": operation, "resource": "", "raw": raw} | given | more))


def form(**fields: str | bytes) -> bytes:
    """A multipart body; bytes are PNG files."""
    parts = b""
    for name, value in fields.items():
        file = b'; filename="a.png"\r\nContent-Type: image/png' if isinstance(value, bytes) else b""
        data = value if isinstance(value, bytes) else value.encode()
        parts += b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name.encode(), file, data)
    return parts + b"--x--\r\n"


def chat(**fields: Any) -> Json:
    """A body of chat/completions."""
    return {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello"}], **fields}


def response(**fields: Any) -> Json:
    """A body of responses."""
    return {"model": "gemini-2.5-flash", "input": "Hello", **fields}


def check(plan: Plan) -> None:
    """Raises what Google would refuse."""
    for sending in plan.sendings:
        path, _, query = sending.resource.partition("?")
        assert query in ("", "alt=sse")
        assert (sending.method, sending.content_type) == ("POST", JSON)
        check_request("POST", ROOT + path, json.loads(sending.body))


PICTURE = {"prompt": "A cat"}
"""A body of images/generations without its model."""
HELLO = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
"""A GenerateContentRequest."""
