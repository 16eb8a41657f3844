"""Reads the body of a chat, whatever its dialect, into the neutral form. The path tells the dialect of a request; an
answer is told by its members, as the answer of a converted call is in another dialect than its request.
"""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from typing import NamedTuple

from pydantic_core import from_json

from addons.translation.anthropic.read_answer import AnswerReader as ClaudeReader
from addons.translation.anthropic.read_request import read_count as read_messages
from addons.translation.chats import CLIENTS
from addons.translation.chats import Reader
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Json
from addons.translation.conversation import Request
from addons.translation.conversation import from_bytes
from addons.translation.errors import Failure
from addons.translation.errors import read_error
from addons.translation.gemini.read_answer import AnswerReader as GeminiReader
from addons.translation.gemini.read_request import read_request as read_gemini
from addons.translation.openai_chat.read_answer import AnswerReader as ChatReader
from addons.translation.openai_responses.read_answer import AnswerReader as ResponsesReader
from addons.translation.openai_responses.schema import STORED
from metering.budget import Budget
from metering.budget import TooMuchWork
from metering.json_values import member
from metering.json_values import text_of
from metering.paths import Target
from metering.paths import parse
from metering.sse import EventDecoder

AT_ONCE = 64 * 1024
"""Bytes of a stream of events that are read at once."""


# Requests


def chat_of(method: str, path: str) -> Target | None:
    """What the path of a request asks for, if it is a chat; None if not. The path may have a query."""
    target = parse(method, path.partition("?")[0])
    return target if target and target.operation in CHATS else None


def read_request(target: Target, body: Json) -> Request:
    """The request in a body, for a chat that `chat_of` has found. Raises InvalidRequest."""
    return CHATS[target.operation or ""](target, body)


def _gemini(target: Target, body: Json) -> Request:
    inner = member(body, "generateContentRequest")
    model = target.fields.get("model") or target.fields.get("endpoint") or ""
    body = inner if isinstance(inner, dict) else body
    return read_gemini(model, body, stream=target.operation == "streamGenerateContent")


def _raw(target: Target, body: Json) -> Request:
    """Vertex AI's path for the models of other publishers, each of which has its own dialect."""
    body = {"model": target.fields.get("model", "")} | body
    return read_messages(body) if target.publisher == "anthropic" else CLIENTS["chat/completions"].read_request(body)


def _responses(target: Target, body: Json) -> Request:
    # What is stored at OpenAI can be named in calls that pass through.
    there = {name: value for name, value in body.items() if name not in (*STORED, "background")}
    return CLIENTS["responses"].read_request(there)


CHATS: dict[str, Callable[[Target, Json], Request]] = {
    "generateContent": _gemini,
    "streamGenerateContent": _gemini,
    "countTokens": _gemini,
    "rawPredict": _raw,
    "streamRawPredict": _raw,
    "chat/completions": lambda target, body: CLIENTS["chat/completions"].read_request(body),
    "responses": _responses,
    "messages": lambda target, body: read_messages(body),
    "messages/count_tokens": lambda target, body: read_messages(body),
}
"""Operation -> what reads its requests."""


# Answers


@dataclass(slots=True)
class Assembled:
    """An answer, put together from its documents."""

    answer: Answer = field(default_factory=Answer)
    failure: Failure | None = None
    is_whole: bool = False
    """Whether the answer has come to its end."""

    def add(self, piece: Answer) -> None:
        """Add a piece. Its parts go behind those that the choice has."""
        whole = self.answer
        whole.id, whole.model = piece.id or whole.id, piece.model or whole.model
        whole.usage, whole.service_tier = piece.usage or whole.usage, piece.service_tier or whole.service_tier
        for new in piece.choices:
            choice = next((one for one in whole.choices if one.index == new.index), None)
            if choice is None:
                choice = Choice(new.index)
                whole.choices.append(choice)
            choice.parts += new.parts
            choice.citations += new.citations
            choice.searches += new.searches
            choice.finish, choice.native = new.finish or choice.finish, new.native or choice.native
            choice.refusal = new.refusal or choice.refusal


def read_answer(documents: list[object], status: int | None = None) -> Assembled | None:
    """The answer in its one document, or in the events of its stream. `status` is the HTTP status, if it is an error's.
    None if it is in no dialect of chats."""
    made = Assembled()
    reader: Reader | None = None
    for document in documents:
        reader = reader or _reader_for(document)
        if reader:
            made.add(reader.read(document))
        elif member(document, "error"):
            made.failure = read_error(status, document)
    if reader:
        made.failure, made.is_whole = reader.failure, reader.finished
    return made if reader or made.failure else None


_CLAUDES = frozenset({"message", "message_start"})
"""Types of Anthropic's documents: of a whole answer, and of the first event of a stream."""
_GEMINIS = ("candidates", "usageMetadata", "promptFeedback")
"""Members of Gemini's answers, one of which is in the first event of a stream too."""


def _reader_for(document: object) -> Reader | None:
    kind = text_of(member(document, "type")) or ""
    if kind.startswith("response.") or member(document, "object") == "response":
        return ResponsesReader()
    if kind in _CLAUDES:
        return ClaudeReader()
    if isinstance(member(document, "choices"), list):
        return ChatReader()
    return GeminiReader() if any(member(document, name) is not None for name in _GEMINIS) else None


# Documents


class Documents(NamedTuple):
    """The JSON values of a body: one, the elements of an array, or the data of events."""

    values: list[object]
    is_broken: bool
    """Whether something in it could not be read, such as an end that is missing."""


def read_documents(data: bytes, content_type: str) -> Documents | None:
    """The JSON values of a body; None if it is no JSON."""
    if content_type.lower().startswith("text/event-stream") or data.startswith((b"data:", b"event:")):
        return _events(data)
    value, is_broken = _value(data)
    if value is None:
        return None
    return Documents(value if isinstance(value, list) else [value], is_broken)


def _events(data: bytes) -> Documents:
    decoder = EventDecoder(budget=Budget(len(data)))
    values: list[object] = []
    is_broken = False
    try:
        events = [event for at in range(0, len(data), AT_ONCE) for event in decoder.feed(data[at : at + AT_ONCE])]
        events += decoder.flush()
    except TooMuchWork:
        return Documents([], True)
    for event in events:
        if isinstance(event.data, bytes) and event.data.strip() not in (b"", b"[DONE]"):
            value, was_broken = _value(event.data)
            is_broken = is_broken or was_broken
            values += [] if value is None else [value]
    return Documents(values, is_broken)


def _value(data: bytes) -> tuple[object, bool]:
    """A JSON value, and whether its end is missing; None if it is no JSON."""
    try:
        return from_bytes(data), False
    except (ValueError, RecursionError):
        pass
    try:
        return from_json(data, allow_partial="trailing-strings"), True
    except ValueError:
        return None, True
