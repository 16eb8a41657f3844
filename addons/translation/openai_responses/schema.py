"""Pydantic models of a request for OpenAI's Responses. Members that are not declared here are dropped.

Source: OpenAI's API reference. Members that it does not have (videos, `google`, ...) are as in `openai_chat`.
"""

from typing import Annotated
from typing import Literal

from pydantic import Discriminator
from pydantic import Field
from pydantic import Tag

from addons.translation.conversation import Json
from addons.translation.openai_chat.content_schema import Cached
from addons.translation.openai_chat.content_schema import Content
from addons.translation.openai_chat.content_schema import kind_of_content
from addons.translation.openai_chat.schema import AnyRequest
from addons.translation.openai_chat.schema import FunctionDefinition
from addons.translation.openai_chat.schema import ServerTool
from addons.translation.openai_chat.schema import kind_of_choice
from addons.translation.validation import Count
from addons.translation.validation import Model

_OF_ITEMS = frozenset({"type", "id", "status", "created_by"})
"""Members of all items that the services have no use for."""


class MessageItem(Cached):
    quiet = _OF_ITEMS

    role: Literal["user", "assistant", "system", "developer"]
    content: Content


class CallItem(Cached):
    quiet = _OF_ITEMS

    call_id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    arguments: str = ""
    namespace: str | None = None


class CustomCallItem(Cached):
    quiet = _OF_ITEMS

    call_id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    input: str = ""
    namespace: str | None = None


class ActionItem(Cached):
    """A call of a tool of the client's that has no name, such as a shell. What is called is in one of the members."""

    quiet = _OF_ITEMS | {"execution"}

    type: str
    call_id: str = Field(min_length=1)
    id: str | None = None
    action: Json | None = None
    operation: Json | None = None
    arguments: object = None


class AgentText(Model):
    type: str
    text: str | None = None
    encrypted_content: str | None = None


class AgentMessageItem(Model):
    """What another agent of the client says to the model. Codex has such items. Parts that OpenAI has encrypted have no
    `text`."""

    quiet = _OF_ITEMS | {"recipient"}

    author: str | None = None
    content: list[AgentText]


class Result(Cached):
    """The result of a call. Local shells give the id of the call in `id`."""

    quiet = _OF_ITEMS | {"name", "namespace", "max_output_length", "execution", "role"}

    call_id: str | None = None
    id: str | None = None

    @property
    def call(self) -> str:
        return self.call_id or self.id or ""


class OutputItem(Result):
    output: Content


class ShellOutputItem(Result):
    output: list[Json]
    """What each command wrote, and how it ended."""


class PatchOutputItem(Result):
    status: str | None = None
    output: str | None = None


class SummaryText(Model):
    quiet = frozenset({"type"})

    text: str


class ReasoningItem(Model):
    quiet = _OF_ITEMS

    summary: list[SummaryText] | None = None
    encrypted_content: str | None = None


class ImageItem(Model):
    quiet = _OF_ITEMS

    result: str | None = None
    output_format: str | None = None


class OtherItem(Model):
    read_whole = True

    type: str | None = None


ITEMS = {
    "message": "message",
    "agent_message": "agent message",
    "function_call": "call",
    "function_call_output": "output",
    "custom_tool_call": "custom",
    "custom_tool_call_output": "output",
    "shell_call": "action",
    "shell_call_output": "shell output",
    "local_shell_call": "action",
    "local_shell_call_output": "output",
    "apply_patch_call": "action",
    "apply_patch_call_output": "patch output",
    "tool_search_call": "action",
    "tool_search_output": "loaded",
    "additional_tools": "loaded",
    "reasoning": "reasoning",
    "image_generation_call": "image",
}
"""Types of input items that are read -> the tags of their pydantic models."""


def _kind_of_item(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(value, dict) and kind in ("tool_search_call", "tool_search_output") and not value.get("call_id"):
        # OpenAI searched for the tools, not the client.
        return "other"
    if kind is None:
        return "message" if isinstance(value, dict) and "role" in value else "other"
    return ITEMS.get(kind, "other") if isinstance(kind, str) else "other"


SKIPPED = frozenset(
    {
        "web_search_call",
        "code_interpreter_call",
        "file_search_call",
        "computer_call",
        "computer_call_output",
        "tool_search_call",
        "tool_search_output",
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "program",
        "program_output",
        "compaction",
        "compaction_summary",
        "compaction_trigger",
        "context_compaction",
        "configuration_update",
    }
)
"""Types of input items that other models have no place for: their tools run at OpenAI, or only OpenAI's models know
them."""


class FlatFunctionTool(FunctionDefinition):
    type: Literal["function"]


class FlatCustomTool(Cached):
    type: Literal["custom"]
    name: str = Field(min_length=1)
    description: str | None = None
    format: Json | None = None


def _kind_of_tool(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    return _TAGS_OF_TOOLS.get(kind, "server") if isinstance(kind, str) else "server"


_TAGS_OF_TOOLS = {"function": "flat", "custom": "flat custom", "namespace": "namespace"}
"""Types of tools that have a name -> the tags of their pydantic models. A tag is no type: paths of errors have none."""


class NamespaceTool(Model):
    """A group of tools of the client."""

    type: Literal["namespace"]
    name: str = Field(min_length=1)
    description: str | None = None
    tools: list[
        Annotated[
            Annotated[FlatFunctionTool, Tag("flat")] | Annotated[FlatCustomTool, Tag("flat custom")],
            Discriminator(_kind_of_tool),
        ]
    ]


FlatTool = Annotated[
    Annotated[FlatFunctionTool, Tag("flat")]
    | Annotated[FlatCustomTool, Tag("flat custom")]
    | Annotated[NamespaceTool, Tag("namespace")]
    | Annotated[ServerTool, Tag("server")],
    Discriminator(_kind_of_tool),
]


class LoadedTools(Result):
    """Tools that the client adds within the input: what its own search has found, or without one."""

    type: str
    tools: list[FlatTool]


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[AgentMessageItem, Tag("agent message")]
    | Annotated[CallItem, Tag("call")]
    | Annotated[CustomCallItem, Tag("custom")]
    | Annotated[ActionItem, Tag("action")]
    | Annotated[OutputItem, Tag("output")]
    | Annotated[ShellOutputItem, Tag("shell output")]
    | Annotated[PatchOutputItem, Tag("patch output")]
    | Annotated[LoadedTools, Tag("loaded")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[ImageItem, Tag("image")]
    | Annotated[OtherItem, Tag("other")],
    Discriminator(_kind_of_item),
]


class ToolChoiceObject(Model):
    type: str
    name: str | None = None
    namespace: str | None = None
    mode: Literal["auto", "required"] = "auto"
    tools: list[Json] | None = None


ToolChoiceField = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("mode")] | Annotated[ToolChoiceObject, Tag("named")],
    Discriminator(kind_of_choice),
]


CHOICES = ("function", "custom", "namespace", "shell", "local_shell", "apply_patch", "tool_search")
"""Types of `tool_choice` that name tools of the client."""


class TextFormat(Model):
    # Every service is held to the schema, `strict` or not.
    quiet = frozenset({"strict"})

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
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
STORED = {
    "previous_response_id": "nothing is stored here, so there is no previous response: leave previous_response_id out"
    " and send the whole input each time, the items of earlier answers too (store: false)",
    "conversation": "nothing is stored here, so there are no conversations: leave conversation out and send the whole"
    " input each time, the items of earlier answers too (store: false)",
    "prompt": "nothing is stored here, so there are no stored prompts: leave prompt out and send its text as"
    " instructions",
}
"""Members that refer to something stored at OpenAI -> what to do instead."""
REFERENCE = (
    "nothing is stored here, so items cannot be referred to by their id: send each item itself. With the AI SDK, set"
    " providerOptions.openai.store to false, or use openai.chat(model); with other clients, set store to false"
)
"""What to do instead of an `item_reference`. The AI SDK sends these if it is not told that nothing is stored."""
IMAGE_REFERENCE = "nothing is stored here, so images cannot be referred to by their id: send the image as result"
ECHOED = ("tools", "tool_choice", "text")
"""Members that a Response repeats and that may hold any JSON."""
