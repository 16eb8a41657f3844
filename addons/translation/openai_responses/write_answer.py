"""Writes answers for clients of OpenAI's Responses, whole or streamed, from the neutral form.

Strategy: one class, `_Response`, makes the items of an answer and the stream events for them. A whole answer is the
Response in the last event, so it cannot differ from a stream.

Source: OpenAI's API reference.
"""

import time
import uuid
from collections import deque
from collections.abc import Iterator
from collections.abc import Mapping
from itertools import chain

from addons.translation import media
from addons.translation import signatures
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import ClientTool
from addons.translation.conversation import Finish
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import Usage
from addons.translation.conversation import to_bytes
from addons.translation.errors import Failure
from addons.translation.errors import refusal
from addons.translation.errors import unfinished
from addons.translation.openai_responses.client_calls import Events
from addons.translation.openai_responses.client_calls import write_call
from addons.translation.openai_responses.echo import echo_of
from addons.translation.openai_responses.items import REFUSAL
from addons.translation.openai_responses.items import TEXT
from addons.translation.openai_responses.items import THOUGHT
from addons.translation.openai_responses.items import Items
from addons.translation.openai_responses.schema import ENCRYPTED

INCOMPLETE = {Finish.LENGTH: "max_output_tokens", Finish.CONTENT_FILTER: "content_filter"}
"""Our `Finish` -> OpenAI's reason why a Response is incomplete."""
ERRORS = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
"""HTTP status -> the error code of a failed Response. For all others it is `server_error`."""


def write_answer(answer: Answer, model: str, body: Json, tools: Mapping[str, ClientTool] | None = None) -> Json:
    """A Response. `model` is the client's; it is used if the answer names none. `body` is the client's request, some
    members of which a Response repeats. `tools` are the client's, by the names of their functions."""
    response = _Response(model, body, tools or {})
    last = deque(chain(response.add(answer), response.end()), maxlen=1).pop()
    written = last["response"]
    assert isinstance(written, dict)
    return written


class StreamWriter:
    """Writes a streamed answer as the events of a Response.

    The last events are written by `end`, as more pieces may come after the finish reason. A stream that breaks ends
    with a failed Response (`fail`). After `end` or `fail` nothing more is written.
    """

    def __init__(self, model: str, body: Json, tools: Mapping[str, ClientTool] | None = None) -> None:
        self._response = _Response(model, body, tools or {})
        self._over = False
        self.failed = False
        """Whether the stream has ended with an error."""

    def write(self, answer: Answer) -> bytes:
        """The events for a piece of the answer."""
        return b"" if self._over else _write_events(self._response.add(answer))

    def end(self) -> bytes:
        """The last events, when the whole answer has been written; an error if it has no finish reason."""
        if self._over:
            return b""
        if not self._response.finish:
            return self.fail(unfinished())
        self._over = True
        return _write_events(self._response.end())

    def fail(self, failure: Failure) -> bytes:
        """The last events of an answer that breaks off: an error."""
        if self._over:
            return b""
        self._over = self.failed = True
        return _write_events(self._response.fail(failure))


def _write_events(events: Iterator[Json]) -> bytes:
    return b"".join(b"event: %s\ndata: %s\n\n" % (str(event["type"]).encode(), to_bytes(event)) for event in events)


class _Response:
    """A Response while it is written, and its stream events. Each event must be used before the next is taken, as it
    may hold an item that changes."""

    def __init__(self, model: str, body: Json, tools: Mapping[str, ClientTool]) -> None:
        self._id = ""
        self._created = int(time.time())
        self._model = model
        self._echo = echo_of(body)
        self._tools = tools
        include = body.get("include")
        self._seals = isinstance(include, list) and ENCRYPTED in include
        """Whether the client wants signatures."""
        self._items = Items()
        self._signature: Signature | None = None
        """The latest signature that came when the text had begun. It is written when the next item begins or the answer
        ends: it must not break the message in two, and citations of the message may come before."""
        self._searches: list[str] = []
        """Queries of searches that have not been written yet."""
        self._usage: Usage | None = None
        self._service_tier: str | None = None
        self.finish: Finish | None = None
        self._fault: str | None = None
        """Why there is no valid answer."""

    def add(self, answer: Answer) -> Iterator[Json]:
        """The events for a piece of the answer, or for all of it."""
        yield from self._begin(answer)
        self._usage = answer.usage or self._usage
        self._service_tier = answer.service_tier or self._service_tier
        for choice in answer.choices:
            if choice.index == 0:
                yield from self._choice(choice)

    def end(self) -> Iterator[Json]:
        """The last events, when the whole answer has been added."""
        if self._fault:
            yield from self._tell_signature()
            yield from self.fail(refusal(502, self._fault))
            return
        reason = INCOMPLETE.get(self.finish or Finish.STOP)
        status = self._items.status = "incomplete" if reason else "completed"
        yield from self._tell_signature()
        yield from self._items.close()
        yield from self._tell_searches()
        details = {"incomplete_details": {"reason": reason}} if reason else {"completed_at": int(time.time())}
        yield self._items.event(f"response.{status}", response=self._write(status, **details))

    def fail(self, failure: Failure) -> Iterator[Json]:
        """The last event of an answer that breaks off. The open item stays incomplete."""
        yield from self._begin(Answer())
        self._items.break_off()
        error = {"code": ERRORS.get(failure.status, "server_error"), "message": failure.message}
        yield self._items.event("response.failed", response=self._write("failed", error=error))

    def _begin(self, answer: Answer) -> Iterator[Json]:
        if self._id:
            return
        self._id = f"resp_{answer.id or uuid.uuid4().hex}"
        self._model = answer.model or self._model
        for name in ("created", "in_progress"):
            yield self._items.event(f"response.{name}", response=self._write("in_progress"))

    def _choice(self, choice: Choice) -> Iterator[Json]:
        self._searches += choice.searches
        if not self._items.is_open(TEXT):
            yield from self._tell_searches()
        logprobs = choice.logprobs or []
        for part in choice.parts:
            if isinstance(part, Text) and part.text:
                if self._items.is_open(TEXT):
                    self._signature = part.signature or self._signature
                else:
                    yield from self._tell_signature()
                    yield from self._sign(part.signature)
                yield from self._items.say(TEXT, part.text, logprobs)
                logprobs = []
            else:
                yield from self._part(part)
        if logprobs and self._items.is_open(TEXT):
            yield from self._items.say(TEXT, "", logprobs)
        if choice.is_invalid:
            self._fault = choice.refusal
        elif choice.refusal:
            yield from self._items.say(REFUSAL, choice.refusal)
        for citation in choice.citations:
            yield from self._items.cite(citation)
        self.finish = choice.finish or self.finish

    def _part(self, part: Part) -> Iterator[Json]:
        """The events for a part that is not text, or for an empty text."""
        if isinstance(part, Text):
            if part.signature:
                yield from self._tell_signature()
                self._signature = part.signature
            return
        if isinstance(part, ToolCall | Media) and not part.signature:
            # It would be read back as the signature of this part. Of texts, Gemini does not need them.
            self._signature = None
        yield from self._tell_signature()
        match part:
            case Thought():
                if part.text:
                    yield from self._items.say(THOUGHT, part.text)
                if part.signature:
                    yield from self._sign(part.signature)
                    if self._items.is_open(THOUGHT):
                        # A thought that follows is another one.
                        yield from self._items.close()
            case ToolCall():
                yield from self._sign(part.signature)
                yield from self._call(part)
            case Media(mime_type=mime_type, data=str(data)) if mime_type.startswith("image/"):
                yield from self._sign(part.signature)
                yield from self._image(mime_type, data)
            case Media():
                self._fault = f"The model answered with {part.mime_type}, which a Response cannot hold."

    # Signatures

    def _tell_signature(self) -> Iterator[Json]:
        signature, self._signature = self._signature, None
        yield from self._sign(signature)

    def _sign(self, signature: Signature | None) -> Iterator[Json]:
        """Writes a signature into the reasoning item before the part: the one of the thoughts before it, or an empty
        one."""
        if signature and self._seals:
            yield from self._items.seal(signatures.sealed(signature))

    # Items that come whole

    def _call(self, call: ToolCall) -> Iterator[Json]:
        written = write_call(call, self._tools.get(call.name))
        yield from self._items.add_whole(written.item, written.events, **written.told)

    def _image(self, mime_type: str, data: str) -> Iterator[Json]:
        item: Json = {
            "id": f"ig_{uuid.uuid4().hex}",
            "type": "image_generation_call",
            "status": "in_progress",
            "result": None,
        }
        format = media.IMAGE_FORMATS.get(mime_type)
        known = {"output_format": format} if format else {}
        yield from self._items.add_whole(item, _steps("image_generation_call", "generating"), result=data, **known)

    def _tell_searches(self) -> Iterator[Json]:
        queries, self._searches = self._searches, []
        if not queries:
            return
        item: Json = {
            "id": f"ws_{uuid.uuid4().hex}",
            "type": "web_search_call",
            "status": "in_progress",
            "action": {"type": "search", "query": queries[0], "queries": queries},
        }
        yield from self._items.add_whole(item, _steps("web_search_call", "searching"))

    # The Response itself

    def _write(self, status: str, **members: object) -> Json:
        response: Json = {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self._model,
            "output": [*self._items.written],
            "usage": _write_usage(self._usage) if self._usage and status != "in_progress" else None,
            "service_tier": self._service_tier,
        }
        return response | self._echo | members


def _steps(kind: str, between: str) -> Events:
    """The events of a tool that the service ran. They have no members of their own."""
    return [(f"{kind}.{step}", {}) for step in ("in_progress", between, "completed")]


def _write_usage(usage: Usage) -> Json:
    """OpenAI's ResponseUsage. A count that the service did not report is 0, as the types of OpenAI's SDK require all of
    them. The total is the sum of input and output."""
    inputs, outputs = usage.input or 0, usage.output or 0
    return {
        "input_tokens": inputs,
        "input_tokens_details": {"cached_tokens": usage.cached or 0, "cache_write_tokens": usage.cache_written or 0},
        "output_tokens": outputs,
        "output_tokens_details": {"reasoning_tokens": usage.thoughts or 0},
        "total_tokens": inputs + outputs,
    }
