"""Tools that an OpenAI client runs and that are no plain functions, as functions: every service knows those.

A *custom* tool takes a text instead of JSON: it becomes a function with one string, `input`. A function in a
*namespace* becomes one with the namespace in its name. Answers are written with the client's own kinds and names
again, by `Request.client_tools`.

Source: OpenAI's API reference, and its page on function calling.
"""

import hashlib
import json
import re

from addons.translation.conversation import ClientTool
from addons.translation.conversation import Json

CUSTOM = "custom"
INPUT = "input"
"""The only parameter of the function that a custom tool becomes."""
LONGEST = 64
"""The most characters of a function's name that all services take: OpenAI's and Gemini's limit."""
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_-]")


class ToolNames:
    """Gives each tool of a request the name of its function, which no other tool has. The same request always gets the
    same names."""

    def __init__(self, functions: set[str]) -> None:
        """`functions` are the names of the plain functions, which keep them."""
        self._functions = functions
        self._taken = {*functions}
        self._names: dict[ClientTool, str] = {}

    def of(self, tool: ClientTool) -> str:
        """The name of a tool's function: `crm__find` for `find` in the namespace `crm`."""
        if tool.is_plain:
            return tool.name
        if tool not in self._names:
            self._names[tool] = name = self._new(tool)
            self._taken.add(name)
        return self._names[tool]

    def called(self, tool: ClientTool) -> str:
        """The name of the function for a call that the client sends back. Some clients leave out the namespace."""
        if not tool.namespace and tool.name not in self._functions:
            named = [one for one in self._names if (one.kind, one.name) == (tool.kind, tool.name)]
            if len(named) == 1:
                return self._names[named[0]]
        return self.of(tool)

    def tools(self) -> dict[str, ClientTool]:
        """Names of functions -> the tools that got them. Plain functions are not in it."""
        return {name: tool for tool, name in self._names.items()}

    def _new(self, tool: ClientTool) -> str:
        asked = f"{tool.namespace.rstrip('_')}__{tool.name}" if tool.namespace else tool.name
        name = _NOT_IN_NAME.sub("_", asked)
        if not re.match(r"[a-zA-Z_]", name):
            name = f"_{name}"
        again = 0
        while name in self._taken or len(name) > LONGEST or (again == 0 and name != asked):
            told = json.dumps([tool.kind, tool.namespace, tool.name, again])
            name = f"{name[: LONGEST - 9]}_{hashlib.sha256(told.encode()).hexdigest()[:8]}"
            again += 1
        return name


def custom_parameters() -> Json:
    """JSON Schema of the function that a custom tool becomes."""
    return {
        "type": "object",
        "properties": {INPUT: {"type": "string", "description": "The whole input of this tool, as plain text."}},
        "required": [INPUT],
        "additionalProperties": False,
    }


def custom_description(description: str | None, format: Json | None) -> str | None:
    """What the model is told of a custom tool: its description, and the grammar that its input must follow. `format` is
    as in chat completions (with `grammar`) or as in Responses."""
    grammar = format.get("grammar", format) if format else None
    definition = grammar.get("definition") if isinstance(grammar, dict) else None
    if not isinstance(definition, str) or not isinstance(grammar, dict):
        return description
    rule = f"The input must follow this {grammar.get('syntax') or 'lark'} grammar:\n{definition}"
    return f"{description}\n\n{rule}" if description else rule


def custom_input(arguments: Json) -> str:
    """The text for a custom tool, from the arguments of its function. If the model gave them another form, its only
    string, else all of them as JSON."""
    given = [arguments[INPUT]] if INPUT in arguments else list(arguments.values())
    if len(given) == 1 and isinstance(given[0], str):
        return given[0]
    return json.dumps(arguments, ensure_ascii=False)
