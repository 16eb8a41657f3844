"""Answers as clients of Anthropic's Messages get them, whole or streamed.

Sources: Anthropic's reference of Messages, its pages on streaming messages, stop reasons, extended thinking and
citations.
"""

import json
import re
import uuid
from collections.abc import Iterator

from addons.translation import signatures
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Citation
from addons.translation.conversation import Finish
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Usage
from addons.translation.conversation import to_bytes
from addons.translation.errors import Failure
from addons.translation.errors import anthropic_error
from addons.translation.errors import unfinished
from metering.json_values import items

STOP_REASONS = {
    Finish.STOP: "end_turn",
    Finish.LENGTH: "max_tokens",
    Finish.TOOL_CALLS: "tool_use",
    Finish.CONTENT_FILTER: "refusal",
}
SERVED_TIERS = {"priority": "priority"}
"""OpenAI's `service_tier` of an answer -> Anthropic's; any other is `standard`."""
_NOT_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")


def write_answer(answer: Answer, request: Request) -> Json:
    """A whole message."""
    choice = answer.choices[0] if answer.choices else Choice(0)
    content = _write_content(choice, _shows_thoughts(request))
    called = any(isinstance(part, ToolCall) for part in choice.parts)
    finish = choice.finish or Finish.STOP
    usage = _write_usage(answer.usage, choice.searches) | {"service_tier": _tier(answer.service_tier)}
    return _head(answer, request) | {"content": content} | _write_stop(choice, finish, called) | {"usage": usage}


def _shows_thoughts(request: Request) -> bool:
    """Whether the client has asked for thinking. Only then can it be expected to know thinking blocks."""
    thinking = request.thinking
    return thinking is not None and not thinking.is_off and thinking.include is not False


def _head(answer: Answer, request: Request) -> Json:
    """What a message begins with."""
    id = _NOT_IN_ID.sub("_", answer.id or uuid.uuid4().hex)
    return {
        "id": id if id.startswith("msg_") else f"msg_{id}",
        "type": "message",
        "role": "assistant",
        "model": answer.model or request.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _write_stop(choice: Choice, finish: Finish, called: bool) -> Json:
    """Why the answer has ended. `called` is whether it has a tool call."""
    if finish is Finish.STOP and choice.stop_sequence:
        return {"stop_reason": "stop_sequence", "stop_sequence": choice.stop_sequence}
    finish = Finish.TOOL_CALLS if finish is Finish.STOP and called else finish
    stop: Json = {"stop_reason": STOP_REASONS[finish], "stop_sequence": None}
    if finish is Finish.CONTENT_FILTER and choice.refusal:
        stop["stop_details"] = {"type": "refusal", "category": None, "explanation": choice.refusal}
    return stop


def _write_usage(usage: Usage | None, searches: list[str]) -> Json:
    """Anthropic's `input_tokens` do not include what was read from a cache or written to one. A count that is not known
    is 0, as clients expect a number."""
    usage = usage or Usage(None, None)
    cached, cache_written = usage.cached or 0, usage.cache_written or 0
    written: Json = {
        "input_tokens": max((usage.input or 0) - cached - cache_written, 0),
        "cache_creation_input_tokens": cache_written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.output or 0,
    }
    if usage.thoughts is not None:
        written["output_tokens_details"] = {"thinking_tokens": usage.thoughts}
    if searches:
        written["server_tool_use"] = {"web_search_requests": len(searches), "web_fetch_requests": 0}
    return written


def _tier(tier: str | None) -> str:
    return SERVED_TIERS.get(tier or "", "standard")


# Content


def _write_content(choice: Choice, thinks: bool) -> list[Json]:
    """The blocks of a whole message. `thinks` is whether the client gets thoughts, and with them the signatures of
    texts: the thinking block before a text holds its signature."""
    content: list[Json] = []
    length = 0
    for part in _spoken(choice):
        last: Json = content[-1] if content else {}
        if isinstance(part, Thought):
            if thinks:
                if last.get("type") != "thinking":
                    content.append(last := _thinking())
                last["thinking"] = f"{last['thinking']}{part.text}"
                if part.signature:
                    last["signature"] = signatures.in_block(part.signature)
            continue
        if isinstance(part, ToolCall):
            content.append(_tool_use(part) | {"input": part.arguments})
            continue
        if text := _in_words(part):
            if last.get("type") != "text":
                last = {"type": "text", "text": ""}
                content.append(last)
            last["text"] = f"{last['text']}{text}"
        if thinks and (signature := _signature_of(part)):
            _sign(content, signature)
        if own := [one for one in choice.citations if length <= one.start < length + len(text)]:
            whole = _whole_text(choice)
            last["citations"] = [*items(last.get("citations")), *(_write_citation(one, whole) for one in own)]
        length += len(text)
    return content


def _signature_of(part: Part) -> Signature | None:
    return part.signature if isinstance(part, Text | Media) else None


def _sign(content: list[Json], signature: Signature) -> None:
    """Puts the signature of the last text into the thinking block before it. If there is none, or it has a signature,
    an empty one is added."""
    place = len(content) - (content[-1:] != [] and content[-1]["type"] == "text")
    if place == 0 or content[place - 1].get("signature") != signatures.UNSIGNED:
        content.insert(place, _thinking())
        place += 1
    content[place - 1]["signature"] = signatures.in_block(signature)


def _spoken(choice: Choice) -> Iterator[Part]:
    """The parts of a choice. A refusal in words is a text, if it did not end the answer."""
    yield from choice.parts
    if choice.refusal and choice.finish is not Finish.CONTENT_FILTER:
        yield Text(choice.refusal)


def _thinking() -> Json:
    return {"type": "thinking", "thinking": "", "signature": signatures.UNSIGNED}


def _tool_use(call: ToolCall) -> Json:
    """The block of a call, as it begins. Its id holds Google's signature."""
    id = _NOT_IN_ID.sub("_", call.id or f"toolu_{uuid.uuid4().hex[:24]}")
    written = signatures.with_signature_in_letters(id, signatures.google_value(call.signature))
    return {"type": "tool_use", "id": written, "name": call.name, "input": {}}


def _in_words(part: Text | Media | ToolResult) -> str:
    """The text of a part. Answers of Anthropic's have no images: they are shown as Markdown does it."""
    if isinstance(part, Text):
        return part.text
    if isinstance(part, Media):
        url = part.uri if part.uri is not None else f"data:{part.mime_type};base64,{part.data}"
        return f"\n![{part.mime_type}]({url})\n"
    return ""


def _whole_text(choice: Choice) -> str:
    return "".join(part.text for part in choice.parts if isinstance(part, Text))


def _write_citation(citation: Citation, text: str) -> Json:
    return {
        "type": "web_search_result_location",
        "cited_text": text[citation.start : citation.end],
        "encrypted_index": signatures.UNSIGNED,
        "title": citation.title,
        "url": citation.url,
    }


# Streams

_DELTAS = {"text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking")}
"""Type of a block -> type of the deltas that add text to it, and the member that holds the text."""


class StreamWriter:
    """Writes the pieces of an answer as the events of a message. Only one block is open at a time. A stream that breaks
    ends with an error event."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._thinks = _shows_thoughts(request)
        self._usage: Usage | None = None
        self._tier: str | None = None
        self._searches: list[str] = []
        self._choice = Choice(0)
        """What is known of the end of the answer."""
        self._texts: list[str] = []
        """The text so far, which citations point into."""
        self._blocks = 0
        """The number of blocks so far."""
        self._open: str | None = None
        """The type of the open block."""
        self._signature: Signature | None = None
        """The signature of the open thinking block."""
        self._called = False
        self._begun = False
        self._over = False
        self.failed = False
        """Whether it has ended with an error."""

    def write(self, answer: Answer) -> bytes:
        """What is new."""
        if self._over:
            return b""
        self._usage = answer.usage or self._usage
        self._tier = answer.service_tier or self._tier
        events = [] if self._begun or not (answer.id or answer.choices) else [self._begin(answer)]
        for choice in answer.choices[:1]:
            events += self._go_on(choice)
        return b"".join(events)

    def end(self) -> bytes:
        """All has come."""
        if self._over:
            return b""
        if self._choice.finish is None:
            return self.fail(unfinished())
        stop = _write_stop(self._choice, self._choice.finish, self._called)
        events = [*self._close()]
        events.append(_event("message_delta", delta=stop, usage=_write_usage(self._usage, self._searches)))
        self._over = True
        return b"".join(events) + _event("message_stop")

    def fail(self, failure: Failure) -> bytes:
        """The answer breaks off."""
        if self._over:
            return b""
        self._over = self.failed = True
        return b"event: error\ndata: " + to_bytes(anthropic_error(failure)) + b"\n\n"

    def _begin(self, answer: Answer) -> bytes:
        self._begun = True
        usage = _write_usage(self._usage, []) | {"service_tier": _tier(self._tier)}
        message = _head(answer, self._request) | {"usage": usage}
        return _event("message_start", message=message) + _event("ping")

    def _go_on(self, choice: Choice) -> Iterator[bytes]:
        if choice.finish:
            self._choice.finish = choice.finish
        self._choice.refusal = choice.refusal or self._choice.refusal
        self._choice.stop_sequence = choice.stop_sequence or self._choice.stop_sequence
        self._searches += choice.searches
        for part in _spoken(choice):
            if isinstance(part, ToolCall):
                yield from self._call(part)
            elif isinstance(part, Thought):
                if self._thinks:
                    yield from self._say("thinking", part.text)
                    self._signature = part.signature or self._signature
            else:
                yield from self._sign(part)
                if text := _in_words(part):
                    self._texts.append(text)
                    yield from self._say("text", text)
        if choice.citations and self._open == "text":
            whole = "".join(self._texts)
            for citation in choice.citations:
                yield self._delta(type="citations_delta", citation=_write_citation(citation, whole))

    def _sign(self, part: Part) -> Iterator[bytes]:
        """Puts the signature of a text that begins into the thinking block before it. If there is none, or it has a
        signature, an empty one is added. A signature that comes when the text has begun is lost: Google recommends to
        give back those of texts, but does not require it."""
        signature = _signature_of(part)
        if signature is None or not self._thinks or self._open == "text":
            return
        if self._signature:
            yield from self._close()
        yield from self._say("thinking", "")
        self._signature = signature

    def _say(self, kind: str, text: str) -> Iterator[bytes]:
        """Adds text to the open block, or to a new one if the open one is of another type."""
        if self._open != kind:
            yield from self._close()
            block: Json = {"type": "text", "text": ""}
            if kind == "thinking":
                block = {"type": "thinking", "thinking": "", "signature": ""}
            yield self._start(block)
            self._open = kind
        delta, member = _DELTAS[kind]
        if text:
            yield self._delta(**{"type": delta, member: text})

    def _call(self, call: ToolCall) -> Iterator[bytes]:
        yield from self._close()
        yield self._start(_tool_use(call))
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        yield self._delta(type="input_json_delta", partial_json=arguments)
        self._open = "tool_use"
        self._called = True
        yield from self._close()

    def _start(self, block: Json) -> bytes:
        return _event("content_block_start", index=self._blocks, content_block=block)

    def _delta(self, **delta: object) -> bytes:
        return _event("content_block_delta", index=self._blocks, delta=delta)

    def _close(self) -> Iterator[bytes]:
        if self._open is None:
            return
        if self._open == "thinking":
            yield self._delta(type="signature_delta", signature=signatures.in_block(self._signature))
            self._signature = None
        yield _event("content_block_stop", index=self._blocks)
        self._blocks += 1
        self._open = None


def _event(kind: str, **members: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), to_bytes({"type": kind, **members}))
