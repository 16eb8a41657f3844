"""Tools that Anthropic has defined. Claude knows their input; other models have to be told it.

Sources: Anthropic's pages on the bash tool, the text editor tool, the memory tool, web search, web fetch and code
execution.
"""

from typing import Any
from typing import NamedTuple

from addons.translation.conversation import Json

SERVER_TOOLS = {"web_search": "googleSearch", "web_fetch": "urlContext", "code_execution": "codeExecution"}
"""Types, without their date, of tools that the service runs itself -> Google's names of such tools."""


class KnownTool(NamedTuple):
    """A tool that the client runs."""

    name: str
    """The name that it has if the client gives none."""
    description: str
    input_schema: Json


def _input(required: list[str], **properties: Any) -> Json:
    return {"type": "object", "properties": properties, "required": required}


def _text(description: str) -> Json:
    return {"type": "string", "description": description}


def _commands(*names: str) -> Json:
    return {"type": "string", "enum": list(names), "description": "The command to run."}


_RANGE: Json = {
    "type": "array",
    "items": {"type": "integer"},
    "description": "For view: the first and the last line to show, counted from 1. A last line of -1 is the end.",
}
_LINE: Json = {"type": "integer", "description": "For insert: the line after which to insert. 0 is the beginning."}

KNOWN_TOOLS = {
    "bash": KnownTool(
        "bash",
        "Runs a command in a bash session that is kept between calls.",
        _input(
            [],
            command=_text("The command to run. Required unless restart is true."),
            restart={"type": "boolean", "description": "Whether to restart the session."},
        ),
    ),
    "text_editor": KnownTool(
        "str_replace_based_edit_tool",
        "Shows, creates and changes text files.",
        _input(
            ["command", "path"],
            command=_commands("view", "create", "str_replace", "insert"),
            path=_text("The path of the file or folder."),
            file_text=_text("For create: the text of the file."),
            old_str=_text("For str_replace: the text to replace. It must be in the file exactly once."),
            new_str=_text("For str_replace: the new text."),
            insert_line=_LINE,
            insert_text=_text("For insert: the text to insert."),
            view_range=_RANGE,
        ),
    ),
    "memory": KnownTool(
        "memory",
        "Keeps notes in files below /memories. Look at that folder before you begin.",
        _input(
            ["command"],
            command=_commands("view", "create", "str_replace", "insert", "delete", "rename"),
            path=_text("The path of the file or folder, below /memories."),
            file_text=_text("For create: the text of the file."),
            old_str=_text("For str_replace: the text to replace. It must be in the file exactly once."),
            new_str=_text("For str_replace: the new text."),
            insert_line=_LINE,
            insert_text=_text("For insert: the text to insert."),
            view_range=_RANGE,
            old_path=_text("For rename: the path to rename."),
            new_path=_text("For rename: the new path."),
        ),
    ),
}
"""Types, without their date, of tools that the client runs -> what other models are told of them."""
