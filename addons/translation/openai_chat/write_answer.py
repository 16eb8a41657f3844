"""Answers as clients of OpenAI's chat completions get them, whole or streamed.

Sources: OpenAI's API reference; for `extra_content` Google's pages on its own OpenAI endpoint; for thoughts and images
what other services and gateways give (they are no part of OpenAI's API).
"""

import time
import uuid
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping

from addons.translation import signatures
from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import ClientTool
from addons.translation.conversation import Finish
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import TokenLogprob
from addons.translation.conversation import ToolCall
from addons.translation.conversation import Usage
from addons.translation.conversation import to_bytes
from addons.translation.errors import Failure
from addons.translation.errors import openai_error
from addons.translation.errors import unfinished
from addons.translation.openai_chat.client_tools import CUSTOM
from addons.translation.openai_chat.client_tools import custom_input
from addons.translation.openai_chat.logprobs import write_tokens
from addons.translation.openai_chat.parts import call_id
from addons.translation.openai_chat.parts import extra_content
from addons.translation.openai_chat.parts import url_of
from addons.translation.openai_chat.parts import write_call


def write_answer(answer: Answer, model: str, tools: Mapping[str, ClientTool] | None = None) -> Json:
    """A chat.completion. `model` is the one that the client asked for; it is told where the answer names none. `tools`
    are the client's, by the names of their functions."""
    choices = answer.choices or [Choice(0)]
    completion: Json = {
        "id": _completion_id(answer),
        "object": "chat.completion",
        "created": answer.created if answer.created is not None else int(time.time()),
        "model": answer.model or model,
        "choices": [_write_choice(choice, tools or {}) for choice in choices],
    }
    if answer.usage:
        completion["usage"] = _write_usage(answer.usage)
    if answer.service_tier:
        completion["service_tier"] = answer.service_tier
    return completion


def _completion_id(answer: Answer) -> str:
    return f"chatcmpl-{answer.id or uuid.uuid4().hex}"


def _write_choice(choice: Choice, tools: Mapping[str, ClientTool]) -> Json:
    text = "".join(part.text for part in choice.parts if isinstance(part, Text))
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    empty = calls or choice.refusal or any(isinstance(part, Media) for part in choice.parts)
    message: Json = {"role": "assistant", "content": text or (None if empty else ""), "refusal": choice.refusal}
    if calls:
        message["tool_calls"] = [_write_call(call, tools) for call in calls]
    message |= _write_beside(choice.parts, _new_audio(), images=0)
    if choice.citations:
        message["annotations"] = _write_citations(choice)
    return {
        "index": choice.index,
        "message": message,
        "logprobs": _write_logprobs(choice.logprobs),
        "finish_reason": _finish_reason(choice) or (Finish.TOOL_CALLS if calls else Finish.STOP),
    }


def _finish_reason(choice: Choice) -> str | None:
    """The very word that a service of OpenAI's dialect gave, else ours."""
    return choice.native.reason if choice.native and choice.native.issuer == "openai" else choice.finish


def _new_audio() -> Json:
    """The `audio` of a message, without its data. All deltas of a message have the same."""
    return {"id": f"audio_{uuid.uuid4().hex}", "data": "", "expires_at": int(time.time()) + 3600, "transcript": ""}


def _write_beside(parts: Iterable[Part], audio: Json, images: int) -> Json:
    """The members of a message, or of a delta, beside its text and its calls: thoughts, images, sound, signatures.
    `audio` is what `_new_audio` made for the message. `images` is how many were before, in the same answer."""
    beside: Json = {}
    if thoughts := "".join(part.text for part in parts if isinstance(part, Thought)):
        beside["reasoning_content"] = thoughts
    pictures = [part for part in parts if isinstance(part, Media) and not part.mime_type.startswith("audio/")]
    if pictures:
        beside["images"] = [
            {"type": "image_url", "index": number, "image_url": {"url": url_of(picture)}}
            | extra_content(picture.signature)
            for number, picture in enumerate(pictures, images)
        ]
    for part in parts:
        if isinstance(part, Media) and part.data and part.mime_type.startswith("audio/"):
            beside["audio"] = audio | {"data": part.data} | extra_content(part.signature)
        if isinstance(part, Text | Thought):
            beside |= extra_content(part.signature)
    if blocks := [block for part in parts if (block := signatures.thinking_block(part))]:
        beside["thinking_blocks"] = blocks
    return beside


def _write_call(call: ToolCall, tools: Mapping[str, ClientTool]) -> Json:
    written = write_call(call, call_id(call))
    if (tool := tools.get(call.name)) and tool.kind == CUSTOM:
        called = {"name": tool.name, "input": custom_input(call.arguments)}
        written = {"id": written["id"], "type": CUSTOM, "custom": called}
    return written | extra_content(call.signature)


def _write_citations(choice: Choice) -> list[Json]:
    return [
        {
            "type": "url_citation",
            "url_citation": {"start_index": start, "end_index": end, "url": url, "title": title},
        }
        for start, end, url, title in choice.citations
    ]


def _write_logprobs(tokens: list[TokenLogprob] | None) -> Json | None:
    return None if tokens is None else {"content": write_tokens(tokens), "refusal": None}


MODALITIES = {"text": "text", "document": "text", "image": "image", "audio": "audio", "video": "video"}
"""Modalities, as the ledger has them -> OpenAI's: `image_tokens` are those of `image`."""


def _write_usage(usage: Usage) -> Json:
    """The total is the sum of the two counts; what was not told counts as 0."""
    prompt, completion = usage.input or 0, usage.output or 0
    written: Json = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    inputs = _write_modalities(usage.input_by_modality)
    outputs = _write_modalities(usage.output_by_modality)
    if usage.cache_written is not None:
        inputs = {"cache_write_tokens": usage.cache_written} | inputs
    if usage.cached is not None or inputs:
        written["prompt_tokens_details"] = {"cached_tokens": usage.cached or 0} | inputs
    if usage.thoughts is not None or outputs:
        written["completion_tokens_details"] = {"reasoning_tokens": usage.thoughts or 0} | outputs
    return written


def _write_modalities(counts: dict[str, int]) -> Json:
    sums: dict[str, int] = {}
    for modality, count in counts.items():
        if name := MODALITIES.get(modality):
            sums[f"{name}_tokens"] = sums.get(f"{name}_tokens", 0) + count
    return {**sums}


class StreamWriter:
    """Writes the pieces of an answer as chunks of a chat.completion.

    A choice ends when the stream does: what came last may still tell why (`end`). A stream that breaks ends with
    an error and without `[DONE]` (`fail`); nothing is said twice.
    """

    def __init__(self, model: str, include_usage: bool, tools: Mapping[str, ClientTool] | None = None) -> None:
        self._include_usage = include_usage
        self._tools = tools or {}
        self._head: Json = {
            "id": "",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        self._before, self._after = b"", b""
        """What every chunk begins and ends with, around its choices."""
        self._choices: dict[int, _ChoiceWriter] = {}
        self._usage: Usage | None = None
        self._over = False
        self.failed = False
        """Whether it has ended with an error."""

    def write(self, answer: Answer) -> bytes:
        """What is new."""
        if self._over:
            return b""
        if answer.service_tier:
            self._head["service_tier"] = answer.service_tier
            self._before = b""
        if not self._before and (self._head["id"] or answer.id or answer.choices):
            self._begin(answer)
        self._usage = answer.usage or self._usage
        return b"".join([chunk for choice in answer.choices for chunk in self._choice(choice)])

    def _begin(self, answer: Answer) -> None:
        """Writes what all chunks have."""
        head = self._head
        if not head["id"]:
            head["id"] = _completion_id(answer)
            head["model"] = answer.model or head["model"]
            head["created"] = head["created"] if answer.created is None else answer.created
        self._before = b"data: " + to_bytes(head)[:-1] + b',"choices":'
        self._after = b',"usage":null}\n\n' if self._include_usage else b"}\n\n"

    def end(self) -> bytes:
        """All has come."""
        if self._over:
            return b""
        if not self._choices or not all(choice.finish for choice in self._choices.values()):
            return self.fail(unfinished())
        self._over = True
        chunks = [
            self._chunk([{"index": index, "delta": {}, "logprobs": None, "finish_reason": choice.finish}])
            for index, choice in self._choices.items()
        ]
        if self._include_usage:
            usage = _write_usage(self._usage) if self._usage else None
            chunks.append(_write_event(self._head | {"choices": [], "usage": usage}))
        return b"".join(chunks) + b"data: [DONE]\n\n"

    def fail(self, failure: Failure) -> bytes:
        """The answer breaks off."""
        if self._over:
            return b""
        self._over = self.failed = True
        return _write_event(openai_error(failure))

    def _choice(self, choice: Choice) -> Iterator[bytes]:
        written = self._choices.get(choice.index)
        if written is None:
            written = self._choices[choice.index] = _ChoiceWriter(self._tools)
            yield self._chunk([self._delta(choice.index, {"role": "assistant", "content": ""})])
        for delta in written.deltas(choice):
            yield self._chunk([self._delta(choice.index, delta)])
        if choice.logprobs:
            logprobs = _write_logprobs(choice.logprobs)
            yield self._chunk([self._delta(choice.index, {}) | {"logprobs": logprobs}])
        written.finish = _finish_reason(choice) or written.finish

    def _delta(self, index: int, delta: Json) -> Json:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}

    def _chunk(self, choices: list[Json]) -> bytes:
        return self._before + to_bytes(choices) + self._after


class _ChoiceWriter:
    """Writes a choice over all of a stream: counts its calls and images."""

    def __init__(self, tools: Mapping[str, ClientTool]) -> None:
        self.finish: str | None = None
        self._tools = tools
        self._calls = 0
        self._images = 0
        self._audio = _new_audio()
        self._thought = ""
        """What was thought since the last signature; the next one signs all of it."""

    def deltas(self, choice: Choice) -> Iterator[Json]:
        """A delta for each part that says something, then the refusal and the citations."""
        for part in choice.parts:
            if isinstance(part, Text) and not part.signature:
                # Most parts are such.
                if part.text:
                    yield {"content": part.text}
                continue
            delta: Json = {}
            if isinstance(part, ToolCall):
                delta["tool_calls"] = [{"index": self._calls} | _write_call(part, self._tools)]
                self._calls += 1
            elif isinstance(part, Text) and part.text:
                delta["content"] = part.text
            delta |= _write_beside([part], self._audio, self._images)
            if isinstance(part, Thought):
                self._thought += part.text
                if "thinking_blocks" in delta:
                    delta["thinking_blocks"] = [signatures.thinking_block(Thought(self._thought, part.signature))]
                    self._thought = ""
            self._images += len(delta.get("images", ()))  # type: ignore[arg-type]
            if delta:
                yield delta
        if choice.refusal:
            yield {"refusal": choice.refusal}
        if choice.citations:
            yield {"annotations": _write_citations(choice)}


def _write_event(data: Json) -> bytes:
    return b"data: " + to_bytes(data) + b"\n\n"
