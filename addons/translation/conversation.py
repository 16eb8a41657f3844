"""The neutral form of a chat: what each dialect is read into and written from.

Strategy: a dialect's module reads its own form into these classes, or writes these classes in its own form, and
knows no other dialect. The form is a superset: what only one dialect knows is kept (signatures at the very part
they belong to, the detail of one image, the log probabilities of one choice), and a writer that has no place
for something says so in `Notes`. What only Gemini knows is kept in members named `google`, in Google's own words;
they go to nobody else. What a client got wrong is an `InvalidRequest` (`errors.py`), raised before anything is sent.

A piece of a streamed answer is an `Answer` too: its parts are what is new.
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
    """What a client should know of the conversion of its request, by the paths of its own body."""

    dropped: list[str] = field(default_factory=list)
    """Parameters without a target."""
    assumed: list[str] = field(default_factory=list)
    """`path=value` of what was not said and had to be."""

    def drop(self, *names: str) -> None:
        """Add parameters without a target; one that is there already is not added again."""
        self.dropped += [name for name in dict.fromkeys(names) if name not in self.dropped]


# Parts


Issuer = Literal["google", "anthropic", "openai"]


class Signature(NamedTuple):
    """What a model wants to see again with the part that it gave it with; of no use to anybody else."""

    issuer: Issuer
    value: str


@dataclass(slots=True)
class Text:
    text: str
    signature: Signature | None = None
    google: Json | None = None
    """Of any part: the whole of it, where what is here does not hold all of it (executable code, ...)."""
    cache: Json | None = None
    """Of any part and function: Claude is to remember all that ends with it, for `ttl` (5m, 1h); Anthropic's
    `cache_control`."""


@dataclass(slots=True)
class Thought:
    text: str
    signature: Signature | None = None
    google: Json | None = None


@dataclass(slots=True)
class Media:
    """An image, a video, a sound, a document: inline or by URI."""

    mime_type: str
    data: str | None = None
    """Base64."""
    uri: str | None = None
    detail: str | None = None
    """How closely to look: low, medium, high, ultra_high."""
    clip: Json | None = None
    """Which part of a video, and how many pictures a second: Google's fps, startOffset, endOffset."""
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
    """Text, or any JSON."""
    media: list[Media] = field(default_factory=list)
    google: Json | None = None
    cache: Json | None = None


Part = Text | Thought | Media | ToolCall | ToolResult


@dataclass(slots=True)
class Turn:
    role: Literal["user", "assistant"]
    parts: list[Part]


# Requests


@dataclass(slots=True)
class Function:
    name: str
    description: str | None = None
    parameters: Json | None = None
    """JSON Schema of the arguments."""
    google: Json | None = None
    """Members of its FunctionDeclaration beside name and description."""
    cache: Json | None = None


@dataclass(slots=True)
class ToolChoice:
    mode: Literal["none", "auto", "required"]
    names: list[str] = field(default_factory=list)
    """The names of the functions that may be called; empty for all."""
    google: Json | None = None
    """Google's FunctionCallingConfig, as it came."""


@dataclass(slots=True)
class Format:
    """JSON is wanted, of this schema if there is one."""

    schema: Json | None = None
    param: str = "response_format"
    """What the client calls it."""
    google: Json | None = None
    """What asks for it in a GenerationConfig."""


Effort = Literal["none", "minimal", "low", "medium", "high"]


@dataclass(slots=True)
class Thinking:
    effort: Effort | None = None
    budget: int | None = None
    """In tokens; 0 for none, -1 for as many as the model likes."""
    include: bool | None = None
    """Whether thoughts are to be told."""
    param: str = "reasoning_effort"
    """What the client calls it."""
    google: Json | None = None
    """Google's ThinkingConfig, as it came."""

    @property
    def is_off(self) -> bool:
        return self.effort == "none" or self.budget == 0

    @property
    def as_effort(self) -> Effort | None:
        """The effort, or the one that the budget amounts to; None leaves it to the model."""
        if self.effort or self.budget is None or self.budget < 0:
            return self.effort
        return next((effort for effort, most in BUDGETS_OF_EFFORTS.items() if self.budget <= most), "high")


BUDGETS_OF_EFFORTS: dict[Effort, int] = {"none": 0, "low": 1024, "medium": 8192}
"""Effort -> the most tokens of thought that it stands for (Google's page on OpenAI compatibility); more is `high`."""

DEFAULT_TIERS = frozenset({"auto", "default", "standard"})
"""Service tiers that ask for nothing."""


@dataclass(slots=True)
class Request:
    model: str
    system: list[Text] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    server_tools: dict[str, str] = field(default_factory=dict)
    """Tools that the service runs itself, under Google's names (googleSearch, codeExecution, ...) -> where in its
    body the client asks for them."""
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    """False: one call at a time."""
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
    service_tier: str | None = None
    """In OpenAI's words."""
    user: str | None = None
    """Whom the client asks for, in its own words."""
    stream: bool = False
    include_usage: bool = False
    """Whether a stream ends with its usage."""
    google: "Google | None" = None
    project: str | None = None
    location: str | None = None
    names: dict[str, str] = field(default_factory=dict)
    """Members of this class -> what the client calls them, where it has another word."""
    notes: Notes = field(default_factory=Notes)

    def named(self, member: str, default: str | None = None) -> str:
        """What the client calls a member."""
        return self.names.get(member, default or member)

    def caches(self) -> list[Json]:
        """What is to be remembered: the `cache` of functions, instructions and parts."""
        parts = chain(self.system, *(turn.parts for turn in self.turns))
        kept = chain(self.functions, (part for part in parts if not isinstance(part, Thought)))
        return [one.cache for one in kept if one.cache]


@dataclass(slots=True)
class Google:
    """What only Gemini knows, in its own camelCase."""

    request: Json = field(default_factory=dict)
    """Members of a GenerateContentRequest; objects add to what is written anyway."""
    generation_config: Json = field(default_factory=dict)
    tools: Json = field(default_factory=dict)
    """Settings of server tools."""
    elsewhere: list[str] = field(default_factory=list)
    """Paths of what is kept in the `google` of parts, functions and tools and has no meaning to others."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Members of the two -> what the client calls them, where that is not the path in Google's own request."""

    def paths(self) -> list[str]:
        """What others have to leave out. The role of instructions says nothing."""
        paths = {name: name for name, value in self.request.items() if value and name != "systemInstruction"}
        paths |= {
            name: f"generationConfig.{name}" for name, value in self.generation_config.items() if value is not None
        }
        return [self.names.get(name, path) for name, path in paths.items()] + self.elsewhere


class Written(NamedTuple):
    """A request in the form of the service that is asked."""

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
    """A more exact word than `Finish`, for those who speak the same."""

    issuer: Issuer
    reason: str


class Citation(NamedTuple):
    """A page that characters of an answer's text rest on, from `start` until `end`."""

    start: int
    end: int
    url: str
    title: str


class TokenLogprob(NamedTuple):
    token: str
    logprob: float
    top: "list[TokenLogprob]"


@dataclass(slots=True)
class Choice:
    index: int
    parts: list[Part] = field(default_factory=list)
    finish: Finish | None = None
    refusal: str | None = None
    citations: list[Citation] = field(default_factory=list)
    logprobs: list[TokenLogprob] | None = None
    searches: list[str] = field(default_factory=list)
    """What was searched for."""
    native: NativeFinish | None = None
    broken_call: bool = False
    """Whether a call has come that cannot be read."""
    google: Json = field(default_factory=dict)
    """Members of a Candidate beside its content, index and finishReason."""


@dataclass(slots=True)
class Usage:
    """Token counts; None for what was not told. All input, all output; the others are parts of these."""

    input: int | None
    output: int | None
    cached: int | None = None
    thoughts: int | None = None
    input_by_modality: dict[str, int] = field(default_factory=dict)
    output_by_modality: dict[str, int] = field(default_factory=dict)


def usage_of(reading: Reading) -> Usage | None:
    """None if neither count is known."""
    if reading.input_tokens is None and reading.output_tokens is None:
        return None
    return Usage(
        reading.input_tokens,
        reading.output_tokens,
        reading.input_cached_tokens,
        reading.output_thought_tokens,
        reading.input_by_modality or {},
        reading.output_by_modality or {},
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
    """Members of a GenerateContentResponse beside candidates, modelVersion and responseId."""


def from_bytes(raw: bytes) -> object:
    """JSON of an upstream, whatever texts are in it. Raises ValueError."""
    try:
        return from_json(raw)
    except ValueError:
        # Half of a surrogate pair, or no JSON at all.
        return json.loads(raw)


def to_bytes(document: Json) -> bytes:
    """JSON in UTF-8, whatever texts an upstream has sent."""
    try:
        return to_json(document, inf_nan_mode="null")
    except ValueError:
        # Half of a surrogate pair.
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
