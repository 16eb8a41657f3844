"""Pydantic models of a request for OpenAI's Responses. Members that are not declared here are dropped.

Source: OpenAI's API reference. Members that it does not have (videos, `google`, ...) are as in `openai_chat`.
"""

from typing import Annotated
from typing import Literal

from pydantic import Discriminator
from pydantic import Field
from pydantic import Tag

from addons.translation.conversation import Json
from addons.translation.openai_chat.schema import AnyRequest
from addons.translation.openai_chat.schema import Cached
from addons.translation.openai_chat.schema import Content
from addons.translation.openai_chat.schema import FunctionDefinition
from addons.translation.openai_chat.schema import ServerTool
from addons.translation.openai_chat.schema import kind_of_choice
from addons.translation.openai_chat.schema import kind_of_content
from addons.translation.validation import Count
from addons.translation.validation import Model


class MessageItem(Cached):
    role: Literal["user", "assistant", "system", "developer"]
    content: Content


class CallItem(Cached):
    call_id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    arguments: str = ""


class OutputItem(Cached):
    call_id: str
    output: Content


class SummaryText(Model):
    text: str


class ReasoningItem(Model):
    summary: list[SummaryText] | None = None
    encrypted_content: str | None = None


class ImageItem(Model):
    result: str | None = None
    output_format: str | None = None


class OtherItem(Model):
    type: str | None = None


ITEMS = {
    "message": "message",
    "function_call": "call",
    "function_call_output": "output",
    "reasoning": "reasoning",
    "image_generation_call": "image",
}
"""Types of input items that are read -> the tags of their pydantic models."""


def _kind_of_item(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind is None:
        return "message" if isinstance(value, dict) and "role" in value else "other"
    return ITEMS.get(kind, "other") if isinstance(kind, str) else "other"


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("call")]
    | Annotated[OutputItem, Tag("output")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[ImageItem, Tag("image")]
    | Annotated[OtherItem, Tag("other")],
    Discriminator(_kind_of_item),
]

SKIPPED = frozenset(
    {
        "web_search_call",
        "code_interpreter_call",
        "file_search_call",
        "computer_call",
        "computer_call_output",
        "local_shell_call",
        "local_shell_call_output",
        "shell_call",
        "shell_call_output",
        "apply_patch_call",
        "apply_patch_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "tool_search_call",
        "tool_search_output",
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "program",
        "program_output",
        "additional_tools",
        "compaction",
        "compaction_trigger",
        "configuration_update",
    }
)
"""Types of input items that other models have no place for: their tools run at OpenAI, or only OpenAI's models know
them."""


class FlatFunctionTool(FunctionDefinition):
    type: Literal["function"]


def _kind_of_tool(value: object) -> str:
    return "flat" if isinstance(value, dict) and value.get("type") == "function" else "server"


FlatTool = Annotated[
    Annotated[FlatFunctionTool, Tag("flat")] | Annotated[ServerTool, Tag("server")], Discriminator(_kind_of_tool)
]

NOT_SERVED = frozenset(
    {
        "file_search",
        "mcp",
        "computer",
        "computer_use",
        "computer_use_preview",
        "local_shell",
        "shell",
        "apply_patch",
        "custom",
        "namespace",
        "tool_search",
        "programmatic_tool_calling",
    }
)
"""Types of tools that run at OpenAI, or that only OpenAI's models know."""


class ToolChoiceObject(Model):
    type: str
    name: str | None = None
    mode: Literal["auto", "required"] = "auto"
    tools: list[Json] | None = None


ToolChoiceField = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("mode")] | Annotated[ToolChoiceObject, Tag("named")],
    Discriminator(kind_of_choice),
]


CHOICES = ("function", "allowed_tools")
"""Types of `tool_choice` that are followed. The choice of a tool that the service runs is dropped."""


class TextFormat(Model):
    type: Literal["text", "json_object", "json_schema"]
    schema_: Json | None = Field(None, alias="schema")


class TextConfig(Model):
    format: TextFormat | None = None
    verbosity: str | None = None


Summary = Literal["auto", "concise", "detailed"]


class ReasoningConfig(Model):
    effort: str | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = None


class ResponsesRequest(AnyRequest):
    input: (
        Annotated[
            Annotated[str, Tag("text")] | Annotated[list[Item], Tag("parts")],
            Discriminator(kind_of_content),
        ]
        | None
    ) = None
    instructions: str | None = None
    max_output_tokens: Count | None = None
    text: TextConfig | None = None
    tools: list[FlatTool] | None = None
    tool_choice: ToolChoiceField | None = None
    reasoning: ReasoningConfig | None = None
    include: list[str] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: str | Json | None = None
    prompt: Json | None = None
    # These are only repeated in the Response, or ignored.
    metadata: dict[str, str] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    stream_options: Json | None = None


ENCRYPTED = "reasoning.encrypted_content"
"""The value of `include` that asks for signatures."""
LOGPROBS = "message.output_text.logprobs"
"""The value of `include` that asks for log probabilities."""
INCLUDABLE = frozenset({ENCRYPTED, LOGPROBS})
STORED = ("previous_response_id", "conversation", "prompt")
"""Members that refer to something stored at OpenAI."""
ECHOED = ("tools", "tool_choice", "text")
"""Members that a Response repeats and that may hold any JSON."""
