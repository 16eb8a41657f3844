"""The neutral form of a chat: what each dialect is read into and written from.

Strategy: a dialect's module reads its own form into these classes, or writes these classes in its own form, and
knows no other dialect. The form is a superset: what only one dialect knows is kept (signatures at the very part
they belong to, the detail of one image, the log probabilities of one choice), and a writer that has no place
for something says so in `Notes`. What a client got wrong is `InvalidRequest`, raised before anything is sent.

A piece of a streamed answer is an `Answer` too: its parts are what is new.
"""

from dataclasses import dataclass
from dataclasses import field
from enum import StrEnum
from typing import Literal
from typing import NamedTuple

from metering.usage.errors import HTTP_CODES

Json = dict[str, object]


class InvalidRequest(Exception):
    """The client's request cannot be converted; `param` is the path of what is wrong in its body, `status` HTTP's,
    `code` a word of ours where a name of google.rpc.Code says too little."""

    def __init__(self, message: str, param: str | None = None, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.status = status
        self.code = code


@dataclass(slots=True)
class Notes:
    """What a client should know of the conversion of its request, by the paths of its own body."""

    dropped: list[str] = field(default_factory=list)
    """Parameters without a target."""
    assumed: list[str] = field(default_factory=list)
    """`path=value` of what was not said and had to be."""


# Parts


class Signature(NamedTuple):
    """What a model wants to see again with the part that it gave it with; of no use to anybody else."""

    issuer: Literal["google", "anthropic", "openai"]
    value: str


@dataclass(slots=True)
class Text:
    text: str
    signature: Signature | None = None


@dataclass(slots=True)
class Thought:
    text: str
    signature: Signature | None = None


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
    """Of a video: fps, startOffset, endOffset."""
    signature: Signature | None = None


@dataclass(slots=True)
class ToolCall:
    id: str | None
    name: str
    arguments: Json
    signature: Signature | None = None


@dataclass(slots=True)
class ToolResult:
    id: str | None
    name: str
    output: object
    """Text, or any JSON."""
    media: list[Media] = field(default_factory=list)


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


@dataclass(slots=True)
class ToolChoice:
    mode: Literal["none", "auto", "required"]
    names: list[str] = field(default_factory=list)
    """Which functions may be called; empty for all."""


@dataclass(slots=True)
class Format:
    """JSON is wanted, of this schema if there is one."""

    schema: Json | None = None


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
    stream: bool = False
    include_usage: bool = False
    """Whether a stream ends with its usage."""
    google: "Google | None" = None
    project: str | None = None
    location: str | None = None
    notes: Notes = field(default_factory=Notes)


@dataclass(slots=True)
class Google:
    """What only Gemini knows, in its own camelCase."""

    request: Json = field(default_factory=dict)
    """Members of a GenerateContentRequest."""
    generation_config: Json = field(default_factory=dict)


# Answers


class Finish(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


class Citation(NamedTuple):
    """Which characters of an answer's text (from, until) rest on which page."""

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


@dataclass(slots=True)
class Usage:
    """Token counts; None for what was not told. All input, all output; the others are parts of these."""

    input: int | None
    output: int | None
    cached: int | None = None
    thoughts: int | None = None
    input_by_modality: dict[str, int] = field(default_factory=dict)
    output_by_modality: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Answer:
    id: str | None = None
    model: str | None = None
    choices: list[Choice] = field(default_factory=list)
    usage: Usage | None = None
    service_tier: str | None = None


@dataclass(slots=True)
class Failure:
    """An error of an upstream, or of ours."""

    status: int
    """HTTP."""
    message: str
    code: str
    """A name of google.rpc.Code, or a word of ours."""
    retry_after: int | None = None
    """Seconds."""


def code_of(status: int) -> str:
    """Google's word for an HTTP status."""
    return HTTP_CODES.get(status, "INVALID_ARGUMENT" if status < 500 else "UNAVAILABLE")
