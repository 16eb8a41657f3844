"""Reads a client's request for Anthropic's Messages into the neutral form.

Sources: Anthropic's reference of Messages, its pages on extended and adaptive thinking, effort, structured outputs and
tool use.
"""

import re

from addons.translation.anthropic import schema
from addons.translation.anthropic.known_tools import KNOWN_TOOLS
from addons.translation.anthropic.known_tools import SERVER_TOOLS
from addons.translation.anthropic.read_messages import read_messages
from addons.translation.anthropic.read_messages import read_system
from addons.translation.conversation import Format
from addons.translation.conversation import Function
from addons.translation.conversation import Json
from addons.translation.conversation import Request
from addons.translation.conversation import Thinking
from addons.translation.conversation import ToolChoice
from addons.translation.errors import InvalidRequest
from addons.translation.validation import NO_VALUE
from addons.translation.validation import NOTHING
from addons.translation.validation import is_finite
from addons.translation.validation import undeclared
from addons.translation.validation import validated

NAMES = {
    "stop": "stop_sequences",
    "user": "metadata.user_id",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "is_error": "tool_result.is_error",
}
"""Fields of a Request -> their paths in a body of Messages, where these differ. `thinking.display` is not among them:
whatever a service sends, the client gets its thoughts only if it asks for them."""
TIERS = {"auto": "auto", "standard_only": "default"}
"""Anthropic's `service_tier` of a request -> OpenAI's."""
_DATE = re.compile(r"_\d{8}$")
"""The version at the end of a known tool's type."""


def read_request(body: Json) -> Request:
    """The request in a body of Messages, parsed from JSON. Raises InvalidRequest."""
    return _read(validated(schema.MessageRequest, body))


def read_count(body: Json) -> Request:
    """The request in a body that asks to count its tokens. Raises InvalidRequest."""
    return _read(validated(schema.CountRequest, body))


def _read(asked: schema.CountRequest) -> Request:
    request = Request(
        model=asked.model,
        max_tokens=asked.max_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=asked.stop_sequences or None,
        stream=bool(asked.stream),
        include_usage=True,
        user=(asked.metadata and asked.metadata.user_id) or None,
        service_tier=TIERS[asked.service_tier] if asked.service_tier else None,
        names=dict(NAMES),
    )
    request.notes.drop(*(name for name, value in (asked.model_extra or {}).items() if value not in NOTHING))
    request.notes.drop(*undeclared(asked))
    if asked.max_tokens == 0:
        # Only Claude can be asked to fill its cache and to say nothing.
        request.max_tokens = 1
        request.notes.assumed.append("max_tokens=1")
    request.format = _read_format(asked)
    request.thinking = _read_thinking(asked)
    _read_tools(asked, request)
    spoken, request.turns = read_messages(asked.messages, request.notes)
    request.system = read_system(asked.system, request.notes) + spoken
    if not request.turns and not request.system:
        raise InvalidRequest("at least one message is required", "messages")
    return request


def _read_format(asked: schema.CountRequest) -> Format | None:
    told = {
        "output_config.format": asked.output_config and asked.output_config.format,
        "output_format": asked.output_format,
    }
    for path, wanted in told.items():
        if wanted:
            if not is_finite(wanted.schema_):
                raise InvalidRequest(NO_VALUE, f"{path}.schema")
            return Format(wanted.schema_, path)
    return None


def _read_thinking(asked: schema.CountRequest) -> Thinking | None:
    """How much to think. Who does not ask for thinking gets no thoughts, but may say an effort."""
    effort = asked.output_config.effort if asked.output_config else None
    param = "output_config.effort" if effort else "thinking"
    match asked.thinking:
        case schema.EnabledThinking(budget_tokens=budget, display=display):
            return Thinking(effort, budget, display != "omitted", param)
        case schema.AdaptiveThinking(display=display):
            return Thinking(effort, include=display != "omitted", param=param)
        case schema.NoThinking():
            return Thinking("none", include=False, param="thinking")
    return Thinking(effort, include=False, param=param) if effort else None


def _read_tools(asked: schema.CountRequest, request: Request) -> None:
    served: set[str | None] = set()
    for number, tool in enumerate(asked.tools or []):
        path = f"tools[{number}]"
        if isinstance(tool, schema.Tool):
            if not is_finite(tool.input_schema):
                raise InvalidRequest(NO_VALUE, f"{path}.input_schema")
            request.functions.append(Function(tool.name, tool.description, tool.input_schema, cache=tool.cache))
            continue
        kind = _DATE.sub("", tool.type)
        if known := KNOWN_TOOLS.get(kind):
            name = tool.name or known.name
            request.functions.append(Function(name, known.description, known.input_schema, cache=tool.cache))
            continue
        if kind in SERVER_TOOLS:
            request.server_tools.setdefault(SERVER_TOOLS[kind], path)
            served.add(tool.name)
        else:
            request.notes.drop(path)
        if tool.cache_control:
            request.notes.drop(f"{path}.cache_control")
    names = [function.name for function in request.functions]
    if len(set(names)) < len(names):
        raise InvalidRequest("Tool names must be unique.", "tools")
    _read_choice(asked, request, names, served)


def _read_choice(asked: schema.CountRequest, request: Request, names: list[str], served: set[str | None]) -> None:
    """`names` are those of functions, `served` those of tools that the service runs. Raises InvalidRequest."""
    choice = asked.tool_choice
    match choice:
        case schema.NamedChoice(name=name) if name in names:
            request.tool_choice = ToolChoice("required", [name])
        case schema.NamedChoice(name=name) if name in served:
            # Claude Code forces its searches so. Gemini cannot be made to call a tool that it runs itself.
            request.notes.drop("tool_choice")
        case schema.NamedChoice(name=name):
            raise InvalidRequest(f"Tool '{name}' not found in provided tools, or is not run here", "tool_choice")
        case schema.AnyChoice(type="any"):
            if not names and served:
                request.notes.drop("tool_choice")
                return
            if not names:
                raise InvalidRequest("`tool_choice` needs tools that can be called here", "tool_choice")
            request.tool_choice = ToolChoice("required")
        case schema.AnyChoice():
            request.tool_choice = ToolChoice("auto")
        case schema.NoChoice():
            request.tool_choice = ToolChoice("none")
    if isinstance(choice, schema.AnyChoice | schema.NamedChoice) and choice.disable_parallel_tool_use:
        request.parallel_tool_calls = False
