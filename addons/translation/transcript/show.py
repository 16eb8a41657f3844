"""A body of a chat, as lines that people read."""

from typing import NamedTuple

from addons.translation.conversation import Json
from addons.translation.errors import InvalidRequest
from addons.translation.transcript.read_body import chat_of
from addons.translation.transcript.read_body import read_answer
from addons.translation.transcript.read_body import read_documents
from addons.translation.transcript.read_body import read_request
from addons.translation.transcript.write_lines import Line
from addons.translation.transcript.write_lines import answer_lines
from addons.translation.transcript.write_lines import json_lines
from addons.translation.transcript.write_lines import request_lines


class Body(NamedTuple):
    """The body of a request or of its answer."""

    data: bytes
    """Without a content coding."""
    method: str
    path: str
    """The method and the path of the request; the path may have a query."""
    content_type: str = ""
    is_answer: bool = False
    status: int | None = None
    """The HTTP status of an answer."""
    is_cut: bool = False
    """Whether `data` is only the beginning of the body."""


CUT = "(Only the beginning of this body was kept.)"


def is_chat(method: str, path: str) -> bool:
    """Whether a request with this path is a chat, whose bodies can be shown."""
    return chat_of(method, path) is not None


def shown(body: Body) -> list[Line]:
    """The body of a chat as a conversation. What is no conversation is shown as JSON, and what is no JSON as text.
    Never raises."""
    try:
        lines = _shown(body)
    except Exception as e:
        # Whoever looks at a body wants to see it, whatever is wrong with it.
        lines = [Line(f"(This body could not be read: {type(e).__name__}.)", "error"), *_text(body)]
    return [*lines, Line(CUT, "error")] if body.is_cut else lines


def _shown(body: Body) -> list[Line]:
    documents = read_documents(body.data, body.content_type)
    if documents is None or not documents.values:
        return _text(body)
    if body.is_answer:
        is_error = body.status is not None and body.status >= 400
        made = read_answer(documents.values, body.status if is_error else None)
        if made:
            return [*answer_lines(made.answer, made.failure, is_whole=made.is_whole and not documents.is_broken)]
    elif len(documents.values) == 1 and isinstance(documents.values[0], dict):
        return _request(body, documents.values[0])
    values = documents.values
    return [*json_lines(values[0] if len(values) == 1 else values)]


def _request(body: Body, document: Json) -> list[Line]:
    target = chat_of(body.method, body.path)
    assert target
    try:
        return [*request_lines(read_request(target, document))]
    except InvalidRequest as e:
        where = f"{e.param}: " if e.param and not e.message.startswith(e.param) else ""
        note = Line(f"(Shown as it is. It is no conversation that can be read: {where}{e.message})", "note")
        return [note, *json_lines(document)]


def _text(body: Body) -> list[Line]:
    return [*map(Line, body.data.decode("utf-8", "replace").split("\n"))]
