"""Pydantic models of a client's request for Anthropic's Messages. Members that are not declared here are dropped.

Sources: Anthropic's reference of Messages, and the types of its Python SDK (2.14.0).
"""

from typing import Annotated
from typing import Any
from typing import ClassVar
from typing import Literal

from pydantic import Discriminator
from pydantic import Field
from pydantic import Tag

from addons.translation.conversation import Json
from addons.translation.validation import Model

# Content


class CacheControl(Model):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Block(Model):
    cache_control: CacheControl | None = None

    @property
    def cache(self) -> Json | None:
        """The `cache_control` as Claude takes it; None if there is none."""
        control = self.cache_control
        return control.model_dump(exclude_none=True, include={"type", "ttl"}) if control else None


class TextBlock(Block):
    type: Literal["text"]
    text: str


class Base64Source(Model):
    type: Literal["base64"]
    media_type: str
    data: str


class UrlSource(Model):
    type: Literal["url"]
    url: str


class FileSource(Model):
    type: Literal["file"]
    file_id: str


class PlainTextSource(Model):
    type: Literal["text"]
    media_type: Literal["text/plain"] | None = None
    data: str


class ImageBlock(Block):
    type: Literal["image"]
    source: Annotated[Base64Source | UrlSource | FileSource, Field(discriminator="type")]


class ContentSource(Model):
    type: Literal["content"]
    content: str | list[Annotated[TextBlock | ImageBlock, Field(discriminator="type")]]


class DocumentBlock(Block):
    type: Literal["document"]
    source: Annotated[
        Base64Source | UrlSource | FileSource | PlainTextSource | ContentSource, Field(discriminator="type")
    ]
    title: str | None = None
    context: str | None = None


class SearchResultBlock(Block):
    type: Literal["search_result"]
    source: str
    title: str
    content: list[TextBlock]


class ThinkingBlock(Model):
    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinkingBlock(Model):
    type: Literal["redacted_thinking"]
    data: str


class ToolUseBlock(Block):
    type: Literal["tool_use"]
    id: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    input: Json
    caller: object = None
    """Who has called the tool: the model itself, or its code. Clients repeat it."""


class ToolReferenceBlock(Block):
    type: Literal["tool_reference"]
    tool_name: str


class BrowserStateBlock(Block):
    """The open tabs of the client's browser, in which Claude's browser tools work. Only Anthropic's servers can read
    it."""

    read_whole: ClassVar[bool] = True

    type: Literal["browser_state"]


class ToolResultBlock(Block):
    type: Literal["tool_result"]
    tool_use_id: str
    content: (
        str
        | list[
            Annotated[
                TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | ToolReferenceBlock | BrowserStateBlock,
                Field(discriminator="type"),
            ]
        ]
        | None
    ) = None
    is_error: bool | None = None


class CompactionBlock(Block):
    """Claude's summary of the messages before it."""

    quiet: ClassVar[frozenset[str]] = frozenset({"encrypted_content", "signature"})

    type: Literal["compaction"]
    content: str | None = None


class ServersBlock(Model):
    """What a tool that Anthropic runs was asked, or has answered; and other blocks that only Anthropic can read."""

    read_whole: ClassVar[bool] = True

    type: Literal[
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "advisor_tool_result",
        "mcp_tool_use",
        "mcp_tool_result",
        "mcp_tool_listing",
        "container_upload",
        "fallback",
        "tool_addition",
        "tool_removal",
    ]


AnyBlock = Annotated[
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ToolResultBlock
    | CompactionBlock
    | ServersBlock,
    Field(discriminator="type"),
]


class Message(Model):
    role: Literal["user", "assistant", "system"]
    content: str | list[AnyBlock] | None = None
    """None is for messages of the role `system` only, which may hold settings instead."""


# Tools


class Tool(Block):
    """A tool of the client's own."""

    type: Literal["custom"] | None = None
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}\z")]
    description: str | None = None
    input_schema: Json


class KnownTool(Block):
    """A tool that Anthropic has defined, such as `bash_20250124` or `web_search_20250305`."""

    type: str
    name: str | None = None


def _kind_of_tool(tool: Any) -> str:
    kind = tool.get("type") if isinstance(tool, dict) else getattr(tool, "type", None)
    return "custom" if kind is None or kind == "custom" else "known"


AnyTool = Annotated[Annotated[Tool, Tag("custom")] | Annotated[KnownTool, Tag("known")], Discriminator(_kind_of_tool)]


class AnyChoice(Model):
    type: Literal["auto", "any"]
    disable_parallel_tool_use: bool | None = None


class NoChoice(Model):
    type: Literal["none"]


class NamedChoice(Model):
    type: Literal["tool"]
    name: str
    disable_parallel_tool_use: bool | None = None


# Settings


class EnabledThinking(Model):
    type: Literal["enabled"]
    budget_tokens: Annotated[int, Field(ge=1024, lt=2**31)]
    display: Literal["summarized", "omitted", "updates"] | None = None


class AdaptiveThinking(Model):
    type: Literal["adaptive"]
    display: Literal["summarized", "omitted", "updates"] | None = None


class NoThinking(Model):
    type: Literal["disabled", "between_tools"]


class OutputFormat(Model):
    type: Literal["json_schema"]
    schema_: Annotated[Json, Field(alias="schema")]


class OutputConfig(Model):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class Metadata(Model):
    user_id: str | None = None


MaxTokens = Annotated[int, Field(ge=0, lt=2**31)]
"""0 asks for no answer, only that the prompt is put into the cache."""


class CountRequest(Model):
    """A request to count tokens. It has all members of a request for a message, and needs no `max_tokens`."""

    model: Annotated[str, Field(min_length=1)]
    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: MaxTokens | None = None
    system: str | list[TextBlock] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    tools: list[AnyTool] | None = None
    tool_choice: Annotated[AnyChoice | NoChoice | NamedChoice, Field(discriminator="type")] | None = None
    thinking: Annotated[EnabledThinking | AdaptiveThinking | NoThinking, Field(discriminator="type")] | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None


class MessageRequest(CountRequest):
    max_tokens: MaxTokens
