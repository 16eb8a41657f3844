"""Answers as clients of OpenAI's responses get them, whole or streamed.

Strategy: one machine (`_Response`) makes the items of an answer and the events that tell of them, so that a stream
and a whole answer cannot differ.

Source: OpenAI's API reference.
"""

import json
import time
import uuid
from collections import deque
from collections.abc import Iterator
from itertools import chain

from addons.translation import media
from addons.translation import signatures
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
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
from addons.translation.errors import unfinished
from addons.translation.openai_chat.parts import call_id
from addons.translation.openai_responses.echo import echo_of
from addons.translation.openai_responses.items import REFUSAL
from addons.translation.openai_responses.items import TEXT
from addons.translation.openai_responses.items import THOUGHT
from addons.translation.openai_responses.items import Items
from addons.translation.openai_responses.schema import ENCRYPTED

INCOMPLETE = {Finish.LENGTH: "max_output_tokens", Finish.CONTENT_FILTER: "content_filter"}
"""Why an answer is not whole, in OpenAI's words."""
ERRORS = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
"""HTTP status -> one of the codes that a Response may fail with; `server_error` for all others."""


def write_answer(answer: Answer, model: str, body: Json) -> Json:
    """A Response. `model` is the one that the client asked for; it is told where the answer names none. `body` is the
    client's request, which a Response repeats in part."""
    response = _Response(model, body)
    last = deque(chain(response.add(answer), response.end()), maxlen=1).pop()
    written = last["response"]
    assert isinstance(written, dict)
    return written


class StreamWriter:
    """Writes the pieces of an answer as the events of a Response.

    The answer ends when the stream does: what came last may still tell why (`end`). A stream that breaks ends with
    a Response that failed (`fail`); nothing is said twice.
    """

    def __init__(self, model: str, body: Json) -> None:
        self._response = _Response(model, body)
        self._over = False
        self.failed = False
        """Whether it has ended with an error."""

    def write(self, answer: Answer) -> bytes:
        """What is new."""
        return b"" if self._over else _write_events(self._response.add(answer))

    def end(self) -> bytes:
        """All has come."""
        if self._over:
            return b""
        if not self._response.finish:
            return self.fail(unfinished())
        self._over = True
        return _write_events(self._response.end())

    def fail(self, failure: Failure) -> bytes:
        """The answer breaks off."""
        if self._over:
            return b""
        self._over = self.failed = True
        return _write_events(self._response.fail(failure))


def _write_events(events: Iterator[Json]) -> bytes:
    return b"".join(b"event: %s\ndata: %s\n\n" % (str(event["type"]).encode(), to_bytes(event)) for event in events)


class _Response:
    """A Response as it grows, and the events that tell of it. Each event is to be used before the next is taken."""

    def __init__(self, model: str, body: Json) -> None:
        self._id = ""
        self._created = int(time.time())
        self._model = model
        self._echo = echo_of(body)
        include = body.get("include")
        self._seals = isinstance(include, list) and ENCRYPTED in include
        """Whether signatures are wanted."""
        self._items = Items()
        self._signature: Signature | None = None
        """One that came with no text: told when the message ends, as citations may still come for it."""
        self._searches: list[str] = []
        """What was searched for, and has not been told."""
        self._usage: Usage | None = None
        self._service_tier: str | None = None
        self.finish: Finish | None = None

    def add(self, answer: Answer) -> Iterator[Json]:
        """A piece of the answer, or all of it."""
        yield from self._begin(answer)
        self._usage = answer.usage or self._usage
        self._service_tier = answer.service_tier or self._service_tier
        for choice in answer.choices:
            if choice.index == 0:
                yield from self._choice(choice)

    def end(self) -> Iterator[Json]:
        """All has come."""
        reason = INCOMPLETE.get(self.finish or Finish.STOP)
        status = self._items.status = "incomplete" if reason else "completed"
        yield from self._tell_signature()
        yield from self._items.close()
        yield from self._tell_searches()
        details = {"incomplete_details": {"reason": reason}} if reason else {"completed_at": int(time.time())}
        yield self._items.event(f"response.{status}", response=self._write(status, **details))

    def fail(self, failure: Failure) -> Iterator[Json]:
        """The answer breaks off: what is open stays so."""
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
                yield from self._tell_signature()
                yield from self._sign(part.signature)
                yield from self._items.say(TEXT, part.text, logprobs)
                logprobs = []
            else:
                yield from self._part(part)
        if logprobs and self._items.is_open(TEXT):
            yield from self._items.say(TEXT, "", logprobs)
        if choice.refusal:
            yield from self._items.say(REFUSAL, choice.refusal)
        for citation in choice.citations:
            yield from self._items.cite(citation)
        self.finish = choice.finish or self.finish

    def _part(self, part: Part) -> Iterator[Json]:
        """A part that is no text, or a text of nothing."""
        if isinstance(part, Text) and not part.signature:
            return
        yield from self._tell_signature()
        match part:
            case Text():
                self._signature = part.signature
            case Thought():
                if part.text:
                    yield from self._items.say(THOUGHT, part.text)
                if part.signature:
                    yield from self._sign(part.signature)
                    if self._items.is_open(THOUGHT):
                        # What follows is a thought of its own.
                        yield from self._items.close()
            case ToolCall():
                yield from self._sign(part.signature)
                yield from self._call(part)
            case Media(mime_type=mime_type, data=str(data)) if mime_type.startswith("image/"):
                yield from self._sign(part.signature)
                yield from self._image(mime_type, data)

    # Signatures

    def _tell_signature(self) -> Iterator[Json]:
        signature, self._signature = self._signature, None
        yield from self._sign(signature)

    def _sign(self, signature: Signature | None) -> Iterator[Json]:
        """Told by the reasoning item before the part: that of the thoughts before it, or one of its own."""
        if signature and self._seals:
            yield from self._items.seal(signatures.sealed(signature))

    # Items that come whole

    def _call(self, call: ToolCall) -> Iterator[Json]:
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        item: Json = {
            "id": f"fc_{uuid.uuid4().hex}",
            "type": "function_call",
            "status": "in_progress",
            "arguments": "",
            "call_id": call_id(call),
            "name": call.name,
        }
        events: dict[str, Json] = {
            "function_call_arguments.delta": {"delta": arguments},
            "function_call_arguments.done": {"name": call.name, "arguments": arguments},
        }
        yield from self._items.add_whole(item, events, arguments=arguments)

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


def _steps(kind: str, between: str) -> dict[str, Json]:
    """The events of a tool that the service ran, which say nothing but how far it is."""
    return {f"{kind}.{step}": {} for step in ("in_progress", between, "completed")}


def _write_usage(usage: Usage) -> Json:
    """The total is the sum of the two counts; what was not told counts as 0. The types of OpenAI's SDK want all of
    these."""
    inputs, outputs = usage.input or 0, usage.output or 0
    return {
        "input_tokens": inputs,
        "input_tokens_details": {"cached_tokens": usage.cached or 0, "cache_write_tokens": 0},
        "output_tokens": outputs,
        "output_tokens_details": {"reasoning_tokens": usage.thoughts or 0},
        "total_tokens": inputs + outputs,
    }
