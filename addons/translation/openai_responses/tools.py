"""Reads the tools of a request for Responses, and the choice among them.

There are three sorts. Tools that the *client* runs become functions, whatever their kind. Tools that the *service* runs
and has itself, such as a web search, become its own. Tools that only OpenAI runs are dropped and named; a request that
forces the use of one is refused.

Source: OpenAI's API reference.
"""

from collections.abc import Iterator
from typing import NamedTuple

from addons.translation.conversation import ClientTool
from addons.translation.conversation import Json
from addons.translation.conversation import Request
from addons.translation.conversation import ToolChoice
from addons.translation.errors import InvalidRequest
from addons.translation.openai_chat.client_tools import CUSTOM
from addons.translation.openai_chat.client_tools import ToolNames
from addons.translation.openai_chat.client_tools import custom_description
from addons.translation.openai_chat.client_tools import custom_parameters
from addons.translation.openai_chat.schema import NOT_SERVED
from addons.translation.openai_chat.schema import FunctionDefinition
from addons.translation.openai_chat.schema import ServerTool
from addons.translation.openai_chat.settings import read_server_tool
from addons.translation.openai_chat.settings import take_functions
from addons.translation.openai_responses import schema
from addons.translation.openai_responses.client_calls import KINDS
from addons.translation.validation import NOTHING


class _Found(NamedTuple):
    """A tool in a request."""

    path: str
    """`tools[0]`; in a namespace `tools[0].tools[1]`."""
    tool: schema.FlatTool
    namespace: str | None = None
    about: str | None = None
    """What is said of the namespace: its first tool tells it."""


def read_tools(asked: schema.ResponsesRequest, request: Request) -> ToolNames:
    """Reads tools and tool choice into `request`. Returns the names that the tools of the client got as functions.
    Raises InvalidRequest."""
    tools = _Tools(asked, request)
    choice, allowed = tools.choice(asked.tool_choice)
    if choice and choice.mode == "required" and not tools.functions:
        if not tools.hosted and tools.not_served:
            raise InvalidRequest(_NOT_FORCED.format(", ".join(tools.not_served.values())), "tool_choice")
        request.notes.drop("tool_choice")
    take_functions(request, tools.functions, choice)
    for path, members in tools.hosted.items():
        _read_hosted(members, path, allowed is None or type_of(members) in allowed, request)
    request.notes.drop(*tools.not_served)
    return tools.names


_NOT_FORCED = "tools of type {} run at OpenAI only, so they cannot be called here: leave tool_choice out"


def type_of(tool: Json) -> str:
    """The type of a tool; empty if it has none."""
    kind = tool.get("type")
    return kind if isinstance(kind, str) else ""


class _Tools:
    """The tools of a request, by sort."""

    def __init__(self, asked: schema.ResponsesRequest, request: Request) -> None:
        self._request = request
        self.functions: dict[str, FunctionDefinition] = {}
        """Path in the body -> a tool of the client, as a function."""
        self.hosted: dict[str, Json] = {}
        """Path in the body -> a tool that the service runs."""
        self.not_served: dict[str, str] = {}
        """Path in the body -> the type of a tool that only OpenAI runs."""
        self._declared: dict[ClientTool, str] = {}
        """Tool of the client -> the name of its function."""
        found = [*_found(asked)]
        self.names = ToolNames(
            {one.tool.name for one in found if isinstance(one.tool, schema.FlatFunctionTool) and not one.namespace}
        )
        for one in found:
            self._add(one)

    def _add(self, found: _Found) -> None:
        path, tool = found.path, found.tool
        if isinstance(tool, schema.FlatFunctionTool):
            self._declare(found, ClientTool("function", tool.name, found.namespace), tool)
        elif isinstance(tool, schema.FlatCustomTool):
            if tool.format and tool.format.get("type") == "grammar":
                self._request.notes.assumed.append(f"{path}.format=description")
            definition = FunctionDefinition(
                name=tool.name,
                description=custom_description(tool.description, tool.format),
                parameters=custom_parameters(),
                cache_control=tool.cache_control,
            )
            self._declare(found, ClientTool(CUSTOM, tool.name, found.namespace), definition)
        elif isinstance(tool, ServerTool):
            self._add_unnamed(found, tool.model_extra or {})

    def _add_unnamed(self, found: _Found, members: Json) -> None:
        """Adds a tool that has no name: of a kind that the client, the service or OpenAI runs."""
        path, name = found.path, type_of(members)
        if (kind := KINDS.get(name)) and _runs_at_client(members):
            given, description = members.get("parameters"), members.get("description")
            definition = FunctionDefinition(
                name=name,
                description=description if isinstance(description, str) and description else kind.description,
                parameters=given if isinstance(given, dict) else kind.parameters,
            )
            self._declare(found, ClientTool(name, name), definition)
            known = ("type", "environment", "execution", "parameters", "description")
            named = [one for one, value in members.items() if value not in NOTHING and one not in known]
            environment = members.get("environment")
            if isinstance(environment, dict):
                named += [f"environment.{one}" for one, value in environment.items() if value and one != "type"]
            self._request.notes.drop(*(f"{path}.{one}" for one in named))
        elif name in NOT_SERVED or kind:
            self.not_served[path] = name
        else:
            self.hosted[path] = members

    def _declare(self, found: _Found, tool: ClientTool, definition: FunctionDefinition) -> None:
        name = self.names.of(tool)
        if tool in self._declared and not found.path.startswith("tools["):
            # The client sends in its input what it has loaded, maybe twice.
            return
        self._declared[tool] = name
        about = [text for text in (found.about, definition.description) if text]
        self.functions[found.path] = definition.model_copy(
            update={"name": name, "description": "\n\n".join(about) or definition.description}
        )

    def choice(self, choice: schema.ToolChoiceField | None) -> tuple[ToolChoice | None, set[str] | None]:
        """The choice among functions, and the types of hosted tools that may be used (None for all of them). Raises
        InvalidRequest."""
        if choice is None:
            return None, None
        if not isinstance(choice, schema.ToolChoiceObject):
            return ToolChoice(choice), set() if choice == "none" else None
        if choice.type == "allowed_tools":
            tools = choice.tools or []
            names = list(dict.fromkeys(name for tool in tools for name in self._chosen(tool)))
            types = {type_of(tool) for tool in tools}
            served = {type_of(tool) for tool in self.hosted.values()} & types
            if choice.mode == "required" and not names and not served and (lost := types & {*self.not_served.values()}):
                raise InvalidRequest(_NOT_FORCED.format(", ".join(sorted(lost))), "tool_choice")
            # If no function is allowed, the mode must be none: an empty list of names would allow all functions.
            return ToolChoice(choice.mode, names) if names else ToolChoice("none"), types
        if choice.type in schema.CHOICES:
            if choice.type not in KINDS and not choice.name:
                raise InvalidRequest('name the tool: {"type": "function", "name": ...}', "tool_choice.name")
            if names := self._chosen(choice.model_dump()):
                return ToolChoice("required", names), None
        if choice.type in self.not_served.values():
            raise InvalidRequest(_NOT_FORCED.format(choice.type), "tool_choice")
        if choice.type not in {type_of(tool) for tool in self.hosted.values()}:
            raise InvalidRequest("there is no tool of this type in tools", "tool_choice.type")
        # Gemini cannot be made to call a tool that it runs itself.
        self._request.notes.drop("tool_choice")
        return None, None

    def _chosen(self, asked: Json) -> list[str]:
        """The functions of the tools that a choice names. Raises InvalidRequest if the client has no such tool."""
        kind = type_of(asked)
        names = self._named(asked)
        if not names and kind in schema.CHOICES and kind not in self.not_served.values():
            raise InvalidRequest(f"there is no {kind} named {asked.get('name') or kind} in tools", "tool_choice")
        return names

    def _named(self, asked: Json) -> list[str]:
        """The functions of the tools that a choice names, by type, name and namespace."""
        kind, name, namespace = type_of(asked), asked.get("name"), asked.get("namespace")
        if kind in KINDS:
            return [function for tool, function in self._declared.items() if tool.kind == kind]
        if kind == "namespace":
            return [function for tool, function in self._declared.items() if tool.namespace == name]
        fitting = {tool: of for tool, of in self._declared.items() if (tool.kind, tool.name) == (kind, name)}
        exact = [function for tool, function in fitting.items() if tool.namespace == namespace]
        # A choice may leave the namespace out.
        return exact or ([] if namespace else [*fitting.values()])


def _found(asked: schema.ResponsesRequest) -> Iterator[_Found]:
    """All tools of a request, those of its input too, with the tools of namespaces in place of these."""
    lists = {"tools": asked.tools or []}
    for number, item in enumerate(asked.input if isinstance(asked.input, list) else []):
        if isinstance(item, schema.LoadedTools):
            lists[f"input[{number}].tools"] = item.tools
    for path, tools in lists.items():
        for number, tool in enumerate(tools):
            if isinstance(tool, schema.NamespaceTool):
                about = f"About {tool.name}: {tool.description}" if tool.description else None
                for place, inner in enumerate(tool.tools):
                    yield _Found(f"{path}[{number}].tools[{place}]", inner, tool.name, about if place == 0 else None)
            else:
                yield _Found(f"{path}[{number}]", tool)


def _runs_at_client(tool: Json) -> bool:
    """Whether the client runs a tool of `KINDS`: a shell in no container of OpenAI's, a search of its own."""
    if type_of(tool) == "tool_search":
        return tool.get("execution") == "client"
    environment = tool.get("environment")
    return not isinstance(environment, dict) or environment.get("type") in (None, "local")


def _read_hosted(tool: Json, path: str, allowed: bool, request: Request) -> None:
    """Reads a tool that the service runs. `allowed` is whether the tool choice allows its use. Raises InvalidRequest
    for an unknown tool."""
    kind = type_of(tool)
    name = None if kind == "image_generation" else read_server_tool(tool, path)
    if not allowed:
        return
    if name:
        request.server_tools.setdefault(name, path)
    else:
        request.modalities = ["text", "image"]
        request.names.setdefault("modalities", path)
    if kind:
        # `container` is not named as dropped: OpenAI requires it for each code interpreter.
        options = {option: value for option, value in tool.items() if option not in ("type", "container")}
        request.notes.drop(*(f"{path}.{option}" for option, value in options.items() if value not in (None, "auto")))
