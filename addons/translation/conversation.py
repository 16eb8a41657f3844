"""The neutral form of a chat: classes that every dialect is read into and written from.

Strategy: the modules of a dialect read requests or answers into these classes, or write them from these classes. They
know no other dialect. The classes have a place for everything that any dialect can say, such as the signature of a
part, the detail of an image or the log probabilities of a choice. A writer whose dialect has no place for something
names it in `Notes`. What only Gemini has is kept in fields named `google`, in Google's own words, and is sent to Google
only. If a client's request is wrong, the reader or writer raises `InvalidRequest` (`errors.py`); nothing is sent then.

A piece of a streamed answer is an `Answer` too: it holds only what is new.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from enum import StrEnum
from itertools import chain
from typing import Literal
from typing import NamedTuple

from pydantic_core import from_json
from pydantic_core import to_json

from metering.call import Reading

Json = dict[str, object]


@dataclass(slots=True)
class Notes:
    """What the client is told about the conversion of its request. Paths are those of the client's own body."""

    dropped: list[str] = field(default_factory=list)
    """Paths of parameters that the service has no place for, such as `seed` or `tools[0].strict`."""
    assumed: list[str] = field(default_factory=list)
    """Values that the service needs and the client did not give, as `path=value`: `max_tokens=8192`."""

    def drop(self, *names: str) -> None:
        """Add paths to `dropped`; a path that is in it already is not added again."""
        self.dropped += [name for name in dict.fromkeys(names) if name not in self.dropped]


# Parts


Issuer = Literal["google", "anthropic", "openai"]


class Signature(NamedTuple):
    """An opaque text that a model sends with a part of its answer and needs back with that part in the next request.
    Only models of the same issuer can use it."""

    issuer: Issuer
    value: str


@dataclass(slots=True)
class Text:
    text: str
    signature: Signature | None = None
    google: Json | None = None
    """In every class of parts: Google's whole Part, if the other fields do not hold all of it (executable code, ...).
    None: they do."""
    cache: Json | None = None
    """In every class of parts, and in `Function`: Anthropic's `cache_control`. Claude caches the request up to and
    including this part, for `ttl` (5m, 1h)."""


@dataclass(slots=True)
class Thought:
    text: str
    signature: Signature | None = None
    google: Json | None = None


@dataclass(slots=True)
class Media:
    """An image, video, audio or document: inline (`data`) or by `uri`; the other of the two is None."""

    mime_type: str
    data: str | None = None
    """Base64."""
    uri: str | None = None
    detail: str | None = None
    """The resolution at which the model reads it: low, medium, high, ultra_high. None: the model's default."""
    clip: Json | None = None
    """The section of a video, and the frames per second to read: Google's startOffset, endOffset, fps."""
    signature: Signature | None = None
    google: Json | None = None
    cache: Json | None = None


@dataclass(slots=True)
class ToolCall:
    id: str | None
    name: str
    arguments: Json
    signature: Signature | None = None
    google: Json | None = None
    cache: Json | None = None


@dataclass(slots=True)
class ToolResult:
    id: str | None
    name: str
    output: object
    """A str, or any JSON value."""
    media: list[Media] = field(default_factory=list)
    google: Json | None = None
    cache: Json | None = None
    is_error: bool = False
    """Whether the tool has failed, and `output` says why."""


Part = Text | Thought | Media | ToolCall | ToolResult


@dataclass(slots=True)
class Turn:
    role: Literal["user", "assistant"]
    parts: list[Part]


CONTINUE = "Continue."
"""What the user says in a turn that is put before a conversation that the assistant begins, or behind one that it ends,
if the service wants one there."""


# Requests


@dataclass(slots=True)
class Function:
    name: str
    description: str | None = None
    parameters: Json | None = None
    """JSON Schema of the arguments."""
    google: Json | None = None
    """The other members of Google's FunctionDeclaration, without name and description, if a Google client sent it."""
    cache: Json | None = None


class ClientTool(NamedTuple):
    """A tool that the client runs, as the client's dialect has it. Services get it as a function."""

    kind: str
    """The client's word for its kind: `function`, `custom`, `shell`, ..."""
    name: str
    namespace: str | None = None
    """The name of the group that it belongs to."""

    @property
    def is_plain(self) -> bool:
        """Whether it is a function in no group: services get it under its own name."""
        return self.kind == "function" and not self.namespace


@dataclass(slots=True)
class ToolChoice:
    mode: Literal["none", "auto", "required"]
    names: list[str] = field(default_factory=list)
    """The names of the functions that may be called; empty for all."""
    google: Json | None = None
    """Google's FunctionCallingConfig, as a Google client sent it."""


@dataclass(slots=True)
class Format:
    """The answer is to be JSON."""

    schema: Json | None = None
    """The JSON Schema of the answer. None: any JSON object."""
    param: str = "response_format"
    """The path of this setting in the client's body."""
    google: Json | None = None
    """The members of Google's GenerationConfig that ask for it, if a Google client sent them."""
    name: str | None = None
    """The name of the schema."""
    description: str | None = None

    @property
    def described(self) -> Json | None:
        """The schema with its name and description as members, for services that have no other place for them."""
        if self.schema is None:
            return None
        told = {"title": self.name, "description": self.description}
        return {name: text for name, text in told.items() if text} | self.schema


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
EFFORTS_BY_RANK: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""All efforts, the lowest first."""


@dataclass(slots=True)
class Thinking:
    effort: Effort | None = None
    budget: int | None = None
    """The most tokens to think with. 0: do not think; -1: the model decides."""
    include: bool | None = None
    """Whether the answer is to contain the thoughts. None: the client does not say."""
    param: str = "reasoning_effort"
    """The path of this setting in the client's body."""
    google: Json | None = None
    """Google's ThinkingConfig, as a Google client sent it."""

    @property
    def is_off(self) -> bool:
        return self.effort == "none" or self.budget == 0

    @property
    def effort_param(self) -> str:
        """The path of the effort in the client's body."""
        return "reasoning.effort" if self.param == "reasoning" else self.param

    @property
    def as_effort(self) -> Effort | None:
        """The effort, or the one that the budget amounts to; None leaves it to the model."""
        if self.effort or self.budget is None or self.budget < 0:
            return self.effort
        return next((effort for effort, most in BUDGETS_OF_EFFORTS.items() if self.budget <= most), "high")


BUDGETS_OF_EFFORTS: dict[Effort, int] = {"none": 0, "low": 1024, "medium": 8192}
"""Effort -> the most tokens of thought that it stands for (Google's page on OpenAI compatibility); more is `high`."""

DEFAULT_TIERS = frozenset({"auto", "default", "standard"})
"""OpenAI's names of the usual service tier: a request with one of them asks for nothing special."""


@dataclass(slots=True)
class Request:
    model: str
    system: list[Text] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    client_tools: dict[str, ClientTool] = field(default_factory=dict)
    """Names of functions -> the tools of the client that they stand for, if these are no plain functions."""
    server_tools: dict[str, str] = field(default_factory=dict)
    """Tools that the service runs itself, by Google's names (googleSearch, codeExecution, ...) -> the path in the
    client's body (`tools[0]`)."""
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    """False: at most one tool call in an answer. None: the client does not say."""
    format: Format | None = None
    thinking: Thinking | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None
    n: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    modalities: list[str] | None = None
    voice: str | None = None
    audio_format: str | None = None
    """The format in which the client wants sound, by OpenAI's name: pcm16, wav, mp3, ..."""
    service_tier: str | None = None
    """OpenAI's name of the tier: priority, flex, ..."""
    user: str | None = None
    """The end user on whose behalf the client asks, as the client names them."""
    stream: bool = False
    include_usage: bool = False
    """Whether the client wants token counts at the end of a stream."""
    google: "Google | None" = None
    project: str | None = None
    location: str | None = None
    names: dict[str, str] = field(default_factory=dict)
    """Fields of this class -> their paths in the client's body, where these differ: `{"turns": "messages"}`."""
    notes: Notes = field(default_factory=Notes)

    def named(self, member: str, default: str | None = None) -> str:
        """The path of a field in the client's body; if `names` does not have it, `default` or the field's own name."""
        return self.names.get(member, default or member)

    def unusable(self, issuer: Issuer) -> list[str]:
        """Paths of the signatures and signed thoughts in the client's body that models of `issuer` cannot use."""
        parts = [part for turn in self.turns for part in turn.parts if not isinstance(part, ToolResult)]
        foreign = [part for part in parts if part.signature and part.signature.issuer != issuer]
        thoughts = any(isinstance(part, Thought) for part in foreign)
        others = any(not isinstance(part, Thought) for part in foreign)
        found = {"thoughts": thoughts, "signatures": others}
        return [self.names[name] for name, is_there in found.items() if is_there and name in self.names]

    def caches(self) -> list[Json]:
        """Every `cache` that functions, instructions and parts have."""
        parts = chain(self.system, *(turn.parts for turn in self.turns))
        kept = chain(self.functions, (part for part in parts if not isinstance(part, Thought)))
        return [one.cache for one in kept if one.cache]


@dataclass(slots=True)
class Google:
    """Settings of a request that only Gemini has, in its own camelCase."""

    request: Json = field(default_factory=dict)
    """Members of a GenerateContentRequest. An object is merged into the one that the writer makes."""
    generation_config: Json = field(default_factory=dict)
    """Members of its GenerationConfig."""
    tools: Json = field(default_factory=dict)
    """Google's name of a server tool -> its settings."""
    elsewhere: list[str] = field(default_factory=list)
    """Paths in the client's body of further settings that only Gemini has. Their values are in `tools`, and in the
    `google` of parts and functions."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Members of `request` and `generation_config` -> their paths in the client's body, where these differ."""

    def paths(self) -> list[str]:
        """The paths of all these settings, which a service other than Google's has to drop. The role of
        `systemInstruction` is not among them: it changes nothing."""
        paths = {name: name for name, value in self.request.items() if value and name != "systemInstruction"}
        paths |= {
            name: f"generationConfig.{name}" for name, value in self.generation_config.items() if value is not None
        }
        return [self.names.get(name, path) for name, path in paths.items()] + self.elsewhere


class Written(NamedTuple):
    """A request, written in the dialect of a service."""

    body: Json
    headers: dict[str, str]
    notes: Notes


# Answers


class Finish(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


class NativeFinish(NamedTuple):
    """The service's own finish reason, more exact than `Finish`. Only clients of the issuer's dialect get it."""

    issuer: Issuer
    reason: str


class Citation(NamedTuple):
    """A web page that the answer cites for a span of its text: the characters from `start` up to `end`."""

    start: int
    end: int
    url: str
    title: str


class TokenLogprob(NamedTuple):
    token: str
    logprob: float
    top: "list[TokenLogprob]"


BROKEN_CALL = "The model called a function without a name, or with arguments that are no JSON object."
"""Why an answer with such a call is not valid."""


@dataclass(slots=True)
class Choice:
    index: int
    parts: list[Part] = field(default_factory=list)
    finish: Finish | None = None
    refusal: str | None = None
    is_invalid: bool = False
    """Whether what the model made is no valid answer, such as a tool call with invalid JSON. `refusal` says why."""
    citations: list[Citation] = field(default_factory=list)
    logprobs: list[TokenLogprob] | None = None
    searches: list[str] = field(default_factory=list)
    """Queries of the web searches that the service ran."""
    native: NativeFinish | None = None
    stop_sequence: str | None = None
    """The stop sequence that ended the answer; None if there was none, or the service does not say."""
    google: Json = field(default_factory=dict)
    """Google's Candidate, as it came."""


@dataclass(slots=True)
class Usage:
    """Token counts; None for one that the service did not report. `input` and `output` are totals, which include all
    other counts."""

    input: int | None
    output: int | None
    cached: int | None = None
    thoughts: int | None = None
    input_by_modality: dict[str, int] = field(default_factory=dict)
    output_by_modality: dict[str, int] = field(default_factory=dict)
    cache_written: int | None = None
    """Tokens of the input that were written to a cache. Claude charges more for them."""


def usage_of(reading: Reading) -> Usage | None:
    """The token counts of a `Reading`. None if it has neither input nor output tokens."""
    if reading.input_tokens is None and reading.output_tokens is None:
        return None
    return Usage(
        reading.input_tokens,
        reading.output_tokens,
        reading.input_cached_tokens,
        reading.output_thought_tokens,
        reading.input_by_modality or {},
        reading.output_by_modality or {},
        reading.input_cache_write_tokens,
    )


@dataclass(slots=True)
class Answer:
    id: str | None = None
    model: str | None = None
    choices: list[Choice] = field(default_factory=list)
    usage: Usage | None = None
    service_tier: str | None = None
    created: int | None = None
    """Seconds since the epoch."""
    google: Json = field(default_factory=dict)
    """Google's GenerateContentResponse, as it came."""


def from_bytes(raw: bytes) -> object:
    """JSON from an upstream, parsed; its strings may contain lone surrogates. Raises ValueError if it is no JSON."""
    try:
        return from_json(raw)
    except ValueError:
        # Either a lone surrogate, which json.loads accepts, or no JSON at all.
        return json.loads(raw)


def to_bytes(document: Json | list[Json]) -> bytes:
    """A document as JSON in UTF-8. A lone surrogate in a string from an upstream becomes `?`."""
    try:
        return to_json(document, inf_nan_mode="null")
    except ValueError:
        # A lone surrogate.
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
