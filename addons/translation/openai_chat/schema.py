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
from addons.translation.function_names import NameRule
from addons.translation.openai_chat.content_schema import Cached
from addons.translation.openai_chat.content_schema import Content
from addons.translation.openai_chat.content_schema import MediaUrl
from addons.translation.openai_chat.google_settings import GoogleExtra
from addons.translation.openai_chat.google_settings import SafetySetting
from addons.translation.validation import Count
from addons.translation.validation import Int32
from addons.translation.validation import Model
from addons.translation.validation import camel_or_snake
from addons.translation.validation import lower
from addons.translation.validation import member_of_text


class ExtraBody(Model):
    """The member `extra_body`, which some clients send as it is."""

    google: GoogleExtra | None = None


SIGNED = frozenset({"extra_content", "provider_specific_fields", "thought_signature", "thoughtSignature"})
"""Members in which known gateways put Google's signature of a message or a call (see `signatures`)."""


class CalledFunction(Model):
    quiet = SIGNED

    name: str = Field(min_length=1)
    arguments: str = ""


class Call(Cached):
    quiet = SIGNED | {"index"}

    id: str | None = None
    type: Literal["function"] = "function"
    function: CalledFunction


class CalledCustom(Model):
    name: str = Field(min_length=1)
    input: str = ""


class CustomCall(Cached):
    quiet = SIGNED | {"index"}

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


class AnswerImage(Model):
    """An image of an answer, as `write_answer` writes it."""

    quiet = SIGNED | {"type", "index"}

    image_url: Annotated[MediaUrl, BeforeValidator(member_of_text("url"))]


class AssistantMessage(Cached):
    """A message of the model. What OpenAI's API does not have is as `write_answer` writes it."""

    quiet = SIGNED | {"reasoning_details"}

    role: Literal["assistant"]
    content: Content | None = None
    refusal: str | None = None
    tool_calls: list[AnyCall] | None = None
    function_call: CalledFunction | None = None
    images: list[AnswerImage] | None = None
    audio: Json | None = None
    reasoning_content: str | None = None
    thinking_blocks: list[object] | None = None


class ToolMessage(Cached):
    role: Literal["tool"]
    content: Content
    tool_call_id: str


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

    read_whole = True


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


FUNCTION_NAMES = NameRule("a-zA-Z0-9_-", "a-zA-Z0-9_-", 64)
"""The names of functions that OpenAI takes (its API reference)."""


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
    # Every service is held to the schema, `strict` or not.
    quiet = frozenset({"strict"})

    name: str | None = None
    description: str | None = None
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
