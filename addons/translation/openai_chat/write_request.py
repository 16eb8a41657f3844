"""Writes a request for a service with OpenAI's chat completions, from the neutral form.

Sources: OpenAI's API reference; for `extra_content` Google's pages on its own OpenAI endpoint; for `video_url`, which
OpenAI does not have, the documentation of other services.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace

from addons.translation import json_schema
from addons.translation import media
from addons.translation.conversation import Function
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Notes
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolChoice
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Written
from addons.translation.errors import InvalidRequest
from addons.translation.function_names import Names
from addons.translation.openai_chat.parts import extra_content
from addons.translation.openai_chat.parts import url_of
from addons.translation.openai_chat.parts import write_call
from addons.translation.openai_chat.schema import FUNCTION_NAMES

_REASONS = re.compile(r"(?:.*/)?(?:o\d|gpt-[5-9])(?![a-z\d])")
"""OpenAI's models that reason: they take `max_completion_tokens` only, and any effort. All other models take
`max_tokens`, and `high` as their highest effort."""
_DOES_NOT_REASON = re.compile(r"(?:.*/)?(?:gpt-3\.5|gpt-4|chatgpt-)")
"""OpenAI's models that refuse `reasoning_effort`."""
_NEVER_SAMPLES = re.compile(r"(?:.*/)?(?:o\d|gpt-5(?!\.\d|-chat)|gpt-5\.\d-codex)(?![a-z\d])")
"""OpenAI's models that refuse SAMPLING and STEERING whatever the effort."""
_SAMPLES_UNLESS_IT_REASONS = re.compile(r"(?:.*/)?gpt-(?:5\.\d|[6-9])(?!.*-chat)")
"""OpenAI's models that refuse SAMPLING if they are given an effort."""
SAMPLING: dict[str, int | None] = {"temperature": 1, "top_p": 1, "logprobs": False, "top_logprobs": 0}
STEERING: dict[str, int | None] = {"presence_penalty": 0, "frequency_penalty": 0, "stop": None}
"""Fields of our `Request` -> the value that changes nothing (OpenAI's guide to its latest model, on which parameters
belong together, and its guide to reasoning)."""
SAME_NAMES = (
    "temperature",
    "top_p",
    "stop",
    "n",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "service_tier",
    "user",
)
"""Fields of a Request that have the same name and value in OpenAI's body."""
MOST_STOPS = 4
"""The most stop sequences that OpenAI takes."""
AUDIO_FORMATS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
}
"""Media types -> the `format` of `input_audio`."""
DETAIL_WORDS = {"low": "low", "medium": "auto", "high": "high", "ultra_high": "high"}
"""`Media.detail` -> OpenAI's `detail` of an image."""


def write_request(request: Request) -> Written:
    """The body of chat completions, and notes that name what it could not hold. `request` is not changed. Raises
    InvalidRequest for what such a service cannot do."""
    notes = Notes(assumed=[*request.notes.assumed])
    notes.drop(*request.notes.dropped)
    names = Names(request, FUNCTION_NAMES)
    request = _without_refused(names.applied(request), notes)
    messages = _Messages(request, notes).written
    if not messages:
        raise InvalidRequest(
            "there is nothing in the messages that this service reads", request.named("turns", "messages")
        )
    body: Json = {"model": request.model, "messages": messages}
    body |= {name: value for name in SAME_NAMES if (value := getattr(request, name)) is not None}
    if request.stop and len(request.stop) > MOST_STOPS:
        raise InvalidRequest(f"write at most {MOST_STOPS} stop sequences", request.named("stop"))
    if request.max_tokens is not None:
        body["max_completion_tokens" if _REASONS.match(request.model) else "max_tokens"] = request.max_tokens
    if request.top_k is not None:
        notes.drop(request.named("top_k"))
    if request.logprobs:
        body["logprobs"] = True
        if request.top_logprobs is not None:
            body["top_logprobs"] = request.top_logprobs
    if set(request.modalities or ()) - {"text"}:
        notes.drop(request.named("modalities"))
    if request.voice or request.audio_format:
        notes.drop(request.named("voice"))
    body |= _write_tools(request, notes)
    if request.format:
        body["response_format"] = {"type": "json_object"}
        if request.format.schema is not None:
            schema: Json = {"name": request.format.name or "answer", "schema": request.format.schema}
            if request.format.description:
                schema["description"] = request.format.description
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.thinking:
        body |= _write_thinking(request, request.thinking, notes)
    if request.stream:
        # Whether or not the client wants the usage: the ledger needs it.
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    notes.drop(*request.unusable("google" if "gemini" in request.model else "openai"))
    if request.google:
        notes.drop(*request.google.paths())
    if request.caches():
        # OpenAI caches by itself, and refuses `cache_control`.
        notes.drop(request.named("cache", "cache_control"))
    names.restore(notes)
    return Written(body, {}, notes)


def _without_refused(request: Request, notes: Notes) -> Request:
    """The request without what its model refuses."""
    effort = request.thinking and request.thinking.as_effort
    refused: dict[str, int | None] = {}
    if _NEVER_SAMPLES.match(request.model):
        refused = SAMPLING | STEERING
    elif _SAMPLES_UNLESS_IT_REASONS.match(request.model) and effort not in (None, "none"):
        refused = SAMPLING
    request = replace(request)
    for name, usual in refused.items():
        if getattr(request, name) not in (None, usual):
            notes.drop(request.named(name))
        setattr(request, name, None)
    return request


def _write_tools(request: Request, notes: Notes) -> Json:
    written: Json = {}
    if request.functions:
        written["tools"] = [_write_function(function, notes) for function in request.functions]
        if choice := request.tool_choice:
            written["tool_choice"] = _write_choice(choice)
        if request.parallel_tool_calls is not None:
            # Only with tools: without, OpenAI refuses it.
            written["parallel_tool_calls"] = request.parallel_tool_calls
    for name, param in request.server_tools.items():
        if name == "googleSearch":
            written["web_search_options"] = {}
        else:
            notes.drop(param)
    return written


def _write_function(function: Function, notes: Notes) -> Json:
    members: Json = {"name": function.name, "description": function.description}
    if function.parameters:
        accepted = json_schema.as_object(function.parameters)
        accepted.note(function.name, notes)
        members["parameters"] = accepted.schema
    return {"type": "function", "function": {name: value for name, value in members.items() if value is not None}}


def _write_choice(choice: ToolChoice) -> object:
    if not choice.names or choice.mode == "none":
        return choice.mode
    named = [{"type": "function", "function": {"name": name}} for name in choice.names]
    if choice.mode == "required" and len(named) == 1:
        return named[0]
    return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": named}}


def _write_thinking(request: Request, thinking: Thinking, notes: Notes) -> Json:
    effort = thinking.as_effort
    if thinking.include is not None and "include" in request.names:
        notes.drop(request.names["include"])
    if effort in ("xhigh", "max") and not _REASONS.match(request.model):
        effort = "high"
        notes.assumed.append(f"{thinking.effort_param}={effort}")
    if effort is None or not _DOES_NOT_REASON.match(request.model):
        return {"reasoning_effort": effort} if effort else {}
    if effort != "none":
        notes.drop(thinking.param)
    return {}


class _Messages:
    """Writes the messages of a request. A call that has no id gets one, which is the same in each request of the same
    conversation."""

    def __init__(self, request: Request, notes: Notes) -> None:
        self._request = request
        self._notes = notes
        self._path = request.named("turns", "messages")
        self._signs = "gemini" in request.model
        """Whether the model needs its signatures back, as Gemini does, also behind a gateway."""
        self._ids = {part.id for turn in request.turns for part in turn.parts if isinstance(part, ToolCall)}
        self._made = 0
        """The number of ids that were made for calls without one."""
        self._waiting: list[tuple[ToolCall, str]] = []
        """The calls of the last assistant turn that have no result yet, with their ids."""
        self.written: list[Json] = []
        if request.system:
            self.written.append({"role": "system", "content": self._content(request.system)})
        for turn in request.turns:
            if turn.role == "assistant":
                self._assistant(turn.parts)
            else:
                self._user(turn.parts)

    def _assistant(self, parts: list[Part]) -> None:
        text = ""
        signature: Json = {}
        self._waiting = []
        for part in parts:
            if isinstance(part, Text):
                text += part.text
                signature = self._signature(part.signature) or signature
            elif isinstance(part, ToolCall):
                self._waiting.append((part, self._give_id(part)))
            elif isinstance(part, Media):
                self._notes.drop(self._request.named("media"))
        # The content is one string: not every service takes a list of parts in an assistant message.
        message: Json = {"role": "assistant", "content": text or ("" if signature else None)}
        if self._waiting:
            message["tool_calls"] = [
                write_call(call, id) | self._signature(call.signature) for call, id in self._waiting
            ]
        if text or signature or self._waiting:
            self.written.append(message | signature)

    def _user(self, parts: list[Part]) -> None:
        rest: list[Part] = []
        for part in parts:
            if isinstance(part, ToolResult):
                self.written.append(
                    {"role": "tool", "tool_call_id": self._find_id(part), "content": _write_output(part)}
                )
                if part.is_error:
                    self._notes.drop(self._request.named("is_error"))
                rest += part.media
        rest += [part for part in parts if isinstance(part, Media) or (isinstance(part, Text) and part.text)]
        if rest:
            self.written.append({"role": "user", "content": self._content(rest)})

    def _give_id(self, call: ToolCall) -> str:
        """The call's own id, if it has one that no other call of the turn has; else a new id."""
        if call.id and call.id not in [id for _, id in self._waiting]:
            return call.id
        while (made := f"call_{self._made}") in self._ids:
            self._made += 1
        self._made += 1
        return made

    def _find_id(self, result: ToolResult) -> str:
        """The id of the call that a result belongs to. Raises InvalidRequest if there is no such call."""
        by_id = [one for one in self._waiting if result.id and one[0].id == result.id]
        by_name = [one for one in self._waiting if one[0].name == result.name]
        if not by_id and not by_name:
            raise InvalidRequest("a function result has no matching call before it", self._path)
        found = (by_id or by_name)[0]
        self._waiting.remove(found)
        return found[1]

    def _signature(self, signature: Signature | None) -> Json:
        return extra_content(signature) if self._signs else {}

    def _content(self, parts: Sequence[Part]) -> object:
        if len(parts) == 1 and isinstance(parts[0], Text):
            return parts[0].text
        return [
            {"type": "text", "text": part.text} if isinstance(part, Text) else self._media(part)
            for part in parts
            if isinstance(part, Text | Media)
        ]

    def _media(self, medium: Media) -> Json:
        kind = medium.mime_type.partition("/")[0]
        if medium.uri is not None and not (kind in ("image", "video") and medium.uri.startswith(("http:", "https:"))):
            what = f"a file of type {medium.mime_type}" if medium.uri.startswith("http") else "a URL such as gs://"
            raise InvalidRequest(
                f"this service cannot read {what}: send the data inline; images may be https:// URLs", self._path
            )
        if medium.clip:
            self._notes.drop(self._request.named("clip", "video_metadata"))
        if kind == "image":
            detail: Json = {"detail": DETAIL_WORDS[medium.detail]} if medium.detail else {}
            return {"type": "image_url", "image_url": {"url": url_of(medium)} | detail}
        if kind == "video":
            return {"type": "video_url", "video_url": {"url": url_of(medium)}}
        if kind == "audio":
            if not (format := AUDIO_FORMATS.get(medium.mime_type.partition(";")[0])):
                raise InvalidRequest("this service takes audio as audio/wav or audio/mp3 only", self._path)
            return {"type": "input_audio", "input_audio": {"data": medium.data, "format": format}}
        extensions = [name for name, mime_type in media.MIME_TYPES.items() if mime_type == medium.mime_type]
        filename = f"file.{extensions[0] if extensions else 'bin'}"
        return {"type": "file", "file": {"filename": filename, "file_data": url_of(medium)}}


def _write_output(result: ToolResult) -> str:
    return result.output if isinstance(result.output, str) else json.dumps(result.output, ensure_ascii=False)
