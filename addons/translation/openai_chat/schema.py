"""Pydantic models of a request for chat completions. Members that are not declared here are dropped.

Sources: OpenAI's API reference; for `google` Google's pages on its own OpenAI endpoint; for video, files by URL,
`reasoning` and `thinking`, which OpenAI does not have, the documentation of other gateways; for `cache_control`
Anthropic's page on prompt caching, and LiteLLM's on where it takes it.
"""

from typing import Annotated
from typing import Literal

from pydantic import BeforeValidator
from pydantic import Discriminator
from pydantic import Field
from pydantic import Tag

from addons.translation.conversation import Effort
from addons.translation.conversation import Json
from addons.translation.openai_chat.google_settings import GoogleExtra
from addons.translation.openai_chat.google_settings import SafetySetting
from addons.translation.validation import Count
from addons.translation.validation import GoogleModel
from addons.translation.validation import Int32
from addons.translation.validation import Model
from addons.translation.validation import camel_or_snake
from addons.translation.validation import lower
from addons.translation.validation import member_of_text


class ExtraBody(Model):
    google: GoogleExtra | None = None


class VideoMetadata(GoogleModel):
    fps: Annotated[float, Field(gt=0, le=24)] | None = None
    start_offset: Annotated[str, Field(pattern=r"^\d{1,9}(\.\d{1,9})?s$")] | None = None
    end_offset: Annotated[str, Field(pattern=r"^\d{1,9}(\.\d{1,9})?s$")] | None = None


class CacheControl(Model):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Cached(Model):
    """An object that may have a `cache_control`: Claude caches the request up to and including it. That of a message
    counts for its last part."""

    cache_control: CacheControl | None = None

    @property
    def cache(self) -> Json | None:
        known = {"type", "ttl"}
        return self.cache_control.model_dump(include=known, exclude_none=True) if self.cache_control else None


Detail = Annotated[Literal["auto", "original", "low", "medium", "high", "ultra_high"], BeforeValidator(lower)]
DETAILS = {"auto": None, "original": "ultra_high"}
"""OpenAI's words for a detail -> `Media.detail`. All other words are the same."""


class MediaUrl(Model):
    url: str
    detail: Detail | None = None
    format: str | None = None
    mime_type: str | None = None
    video_metadata: VideoMetadata | None = None


class TextPart(Cached):
    type: Literal["text", "input_text", "output_text"]
    text: str


class RefusalPart(Cached):
    type: Literal["refusal"]
    refusal: str


class ImagePart(Cached):
    type: Literal["image_url"]
    image_url: Annotated[MediaUrl, BeforeValidator(member_of_text("url"))]


class VideoPart(Cached):
    type: Literal["video_url", "input_video"]
    video_url: Annotated[MediaUrl, BeforeValidator(member_of_text("url"))]
    video_metadata: VideoMetadata | None = None


class AudioUrlPart(Cached):
    type: Literal["audio_url"]
    audio_url: Annotated[MediaUrl, BeforeValidator(member_of_text("url"))]


class InputAudio(Model):
    data: str
    format: str


class AudioPart(Cached):
    type: Literal["input_audio"]
    input_audio: InputAudio


class File(Model):
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None
    format: str | None = None
    mime_type: str | None = None


class FilePart(Cached):
    type: Literal["file"]
    file: File


class InputImagePart(Cached):
    """An image as Responses have it: its members stand beside its type."""

    type: Literal["input_image"]
    image_url: str | None = None
    file_id: str | None = None
    detail: Detail | None = None


class InputFilePart(File, Cached):
    """A file as Responses have it: its members stand beside its type."""

    type: Literal["input_file"]


ContentPart = Annotated[
    TextPart
    | RefusalPart
    | ImagePart
    | VideoPart
    | AudioUrlPart
    | AudioPart
    | FilePart
    | InputImagePart
    | InputFilePart,
    Field(discriminator="type"),
]


def kind_of_content(value: object) -> str:
    return "text" if isinstance(value, str) else "parts"


Content = Annotated[
    Annotated[str, Tag("text")] | Annotated[list[ContentPart], Tag("parts")], Discriminator(kind_of_content)
]


class CalledFunction(Model):
    name: str = Field(min_length=1)
    arguments: str = ""


class Call(Cached):
    id: str | None = None
    type: Literal["function"] = "function"
    function: CalledFunction


class CalledCustom(Model):
    name: str = Field(min_length=1)
    input: str = ""


class CustomCall(Cached):
    id: str | None = None
    type: Literal["custom"]
    custom: CalledCustom


def _kind_of_call(value: object) -> str:
    return "custom call" if isinstance(value, dict) and value.get("type") == "custom" else "call"


AnyCall = Annotated[
    Annotated[Call, Tag("call")] | Annotated[CustomCall, Tag("custom call")], Discriminator(_kind_of_call)
]


class InstructionMessage(Cached):
    role: Literal["system", "developer"]
    content: Content


class UserMessage(Cached):
    role: Literal["user"]
    content: Content


class AssistantMessage(Cached):
    role: Literal["assistant"]
    content: Content | None = None
    refusal: str | None = None
    tool_calls: list[AnyCall] | None = None
    function_call: CalledFunction | None = None


class ToolMessage(Cached):
    role: Literal["tool"]
    content: Content
    tool_call_id: str
    name: str | None = None


class FunctionMessage(Cached):
    role: Literal["function"]
    content: Content | None = None
    name: str


Message = Annotated[
    InstructionMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage, Field(discriminator="role")
]


class FunctionDefinition(Cached):
    name: str = Field(min_length=1)
    description: str | None = None
    parameters: Json | None = None


class FunctionTool(Cached):
    type: Literal["function"]
    function: FunctionDefinition


class ServerTool(Model):
    """A tool that the service runs: `{"type": "web_search"}`, or LiteLLM's `{"googleSearch": {}}`."""


SERVER_TOOLS = {
    "web_search": "googleSearch",
    "web_search_2025_08_26": "googleSearch",
    "web_search_preview": "googleSearch",
    "web_search_preview_2025_03_11": "googleSearch",
    "google_search": "googleSearch",
    "googleSearch": "googleSearch",
    "google_search_retrieval": "googleSearchRetrieval",
    "googleSearchRetrieval": "googleSearchRetrieval",
    "enterprise_web_search": "enterpriseWebSearch",
    "enterpriseWebSearch": "enterpriseWebSearch",
    "google_maps": "googleMaps",
    "googleMaps": "googleMaps",
    "url_context": "urlContext",
    "urlContext": "urlContext",
    "code_interpreter": "codeExecution",
    "code_execution": "codeExecution",
    "codeExecution": "codeExecution",
}
"""Clients' names of tools that the service runs -> Google's names."""


NOT_SERVED = frozenset(
    {
        "file_search",
        "mcp",
        "computer",
        "computer_use",
        "computer_use_preview",
        "tool_search",
        "programmatic_tool_calling",
    }
)
"""Types of tools that run at OpenAI, or that only OpenAI's models know."""


class CustomDefinition(Model):
    name: str = Field(min_length=1)
    description: str | None = None
    format: Json | None = None


class CustomTool(Cached):
    """A tool of the client whose input is a text."""

    type: Literal["custom"]
    custom: CustomDefinition


def _kind_of_tool(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return kind if kind in ("function", "custom") else "server"


Tool = Annotated[
    Annotated[FunctionTool, Tag("function")]
    | Annotated[CustomTool, Tag("custom")]
    | Annotated[ServerTool, Tag("server")],
    Discriminator(_kind_of_tool),
]


class Named(Model):
    name: str


class AllowedTools(Model):
    mode: Literal["auto", "required"]
    tools: list[Json]


class NamedChoice(Model):
    type: Literal["function", "custom", "allowed_tools"] = "function"
    function: Named | None = None
    custom: Named | None = None
    name: str | None = None
    allowed_tools: AllowedTools | None = None


def kind_of_choice(value: object) -> str:
    return "mode" if isinstance(value, str) else "named"


ToolChoiceField = Annotated[
    Annotated[Literal["none", "auto", "required", "any"], Tag("mode")] | Annotated[NamedChoice, Tag("named")],
    Discriminator(kind_of_choice),
]
CallChoiceField = Annotated[
    Annotated[Literal["none", "auto"], Tag("mode")] | Annotated[Named, Tag("named")], Discriminator(kind_of_choice)
]


class SchemaFormat(Model):
    name: str | None = None
    schema_: Json | None = Field(None, alias="schema")


class ResponseFormat(Model):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaFormat | None = None


class StreamOptions(Model):
    include_usage: bool | None = None


class Reasoning(Model):
    effort: str | None = None
    max_tokens: Int32 | None = None
    exclude: bool | None = None
    enabled: bool | None = None


class AnthropicThinking(Model):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Int32 | None = None


class Voice(Model):
    id: str


class Audio(Model):
    voice: str | Voice | None = None
    format: str | None = None


EFFORTS: dict[str, Effort] = {
    "none": "none",
    "disable": "none",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
"""Clients' words for an effort -> our `Effort`."""


TIERS = {"fast": "priority"}
"""Clients' words for a service tier -> `Request.service_tier`. All other words are the same. OpenAI answers `fast` with
`priority` (its API reference)."""


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class AnyRequest(Model):
    """The members that requests for chat completions and for Responses have in common."""

    model: str = Field(min_length=1)
    stream: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[float, Field(ge=0)] | None = None
    stop: Annotated[list[str], BeforeValidator(_as_list), Field(max_length=5)] | None = None
    seed: int | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    parallel_tool_calls: bool | None = None
    service_tier: str | None = None
    user: str | None = None
    safety_settings: list[SafetySetting] | None = Field(None, validation_alias=camel_or_snake("safety_settings"))
    cached_content: str | None = Field(None, validation_alias=camel_or_snake("cached_content"))
    labels: dict[str, str] | None = None
    google: GoogleExtra | None = None
    extra_body: ExtraBody | None = None
    project_id: str | None = None
    region: str | None = None


class ChatRequest(AnyRequest):
    messages: list[Message] = Field(min_length=1)
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    n: Count | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logprobs: bool | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoiceField | None = None
    functions: list[FunctionDefinition] | None = None
    function_call: CallChoiceField | None = None
    web_search_options: Json | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    reasoning: Reasoning | None = None
    thinking: AnthropicThinking | None = None
    modalities: list[Annotated[Literal["text", "image", "audio"], BeforeValidator(lower)]] | None = None
    audio: Audio | None = None
