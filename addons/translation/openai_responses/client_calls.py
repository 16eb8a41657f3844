"""The tools of Responses that the client runs: as what function a service gets each kind, and the items of their calls.

A call that the model makes is written as the client's own kind of item, `shell_call` for `shell`, with the events that
belong to it. When the client sends the item back, it is read as the call of the same function.

Source: OpenAI's API reference, the types of its SDK, and its pages on the tools shell, local shell, apply patch and
tool search.
"""

import json
import uuid
from collections.abc import Iterator
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from addons.translation.conversation import ClientTool
from addons.translation.conversation import Json
from addons.translation.conversation import ToolCall
from addons.translation.openai_chat.client_tools import CUSTOM
from addons.translation.openai_chat.client_tools import custom_input
from addons.translation.openai_chat.parts import call_id

Events = list[tuple[str, Json]]
"""Names of events, without `response.`, and their members."""


class Kind(NamedTuple):
    """A kind of tools that has no name of its own, and whose calls are objects."""

    description: str
    parameters: Json
    """JSON Schema of the function that a service gets."""
    item: str
    """The type of the item of a call."""
    prefix: str
    """The prefix of such items' ids."""
    member: str
    """The member of the item that has the arguments."""
    always: Mapping[str, object] = MappingProxyType({})
    """What that member has in every call; the model's arguments replace it."""
    beside: Mapping[str, object] = MappingProxyType({})
    """Further members of the item."""


def _parameters(*required: str, **properties: Json) -> Json:
    return {
        "type": "object",
        "properties": {**properties},
        "required": [*required],
        "additionalProperties": False,
    }


def _text(description: str) -> Json:
    return {"type": "string", "description": description}


def _texts(description: str) -> Json:
    return {"type": "array", "items": {"type": "string"}, "description": description}


_TIMEOUT: Json = {"type": "integer", "description": "The most milliseconds that it may take."}

KINDS = {
    "shell": Kind(
        "Runs commands in a shell and returns what each wrote and its exit code.",
        _parameters(
            "commands",
            commands=_texts("The commands, one after the other."),
            timeout_ms=_TIMEOUT,
            max_output_length={"type": "integer", "description": "The most characters of output that are returned."},
        ),
        "shell_call",
        "sh",
        "action",
        {"commands": [], "timeout_ms": None, "max_output_length": None},
    ),
    "local_shell": Kind(
        "Runs a program on the user's machine and returns what it wrote.",
        _parameters(
            "command",
            command=_texts('The program and its arguments: ["bash", "-lc", "ls"].'),
            working_directory=_text("The folder to run it in."),
            env={
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "Environment variables to set.",
            },
            timeout_ms=_TIMEOUT,
            user=_text("The user to run it as."),
        ),
        "local_shell_call",
        "lsh",
        "action",
        {"type": "exec", "command": [], "env": {}},
    ),
    "apply_patch": Kind(
        "Creates, updates or deletes one file. A diff has lines that begin with ' ', '+' or '-', as in unified diffs,"
        " in sections that begin with '@@'; that of a new file has lines with '+' only.",
        _parameters(
            "type",
            "path",
            type={"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
            path=_text("The path of the file."),
            diff=_text("The change, for create_file and update_file."),
        ),
        "apply_patch_call",
        "apc",
        "operation",
    ),
    "tool_search": Kind(
        "Searches for further tools. Those that are found can be called afterwards.",
        _parameters("query", query=_text("What the tool should do.")),
        "tool_search_call",
        "tsc",
        "arguments",
        beside={"execution": "client"},
    ),
}
"""Types of tools -> their kind."""
KINDS_OF_ITEMS = {kind.item: name for name, kind in KINDS.items()}
"""Types of the items of calls -> the types of their tools."""


def arguments_of(kind: Kind, held: object) -> Json:
    """The arguments of the function, from the member of a call's item that has them."""
    if not isinstance(held, dict):
        return {}
    fixed = kind.always.keys() - _properties(kind)
    return {name: value for name, value in held.items() if name not in fixed and value is not None}


def _properties(kind: Kind) -> Json:
    properties = kind.parameters["properties"]
    assert isinstance(properties, dict)
    return properties


class WrittenCall(NamedTuple):
    """The item of a call, as the stream tells it."""

    item: Json
    """As it begins."""
    events: Events
    told: Json
    """The members that it has when it ends."""


def write_call(call: ToolCall, tool: ClientTool | None) -> WrittenCall:
    """The item for a call of the model. `tool` is the client's tool, if the called function stands for one."""
    if tool and (kind := KINDS.get(tool.kind)):
        return _write_action(call, kind)
    is_custom = tool is not None and tool.kind == CUSTOM
    text = custom_input(call.arguments) if is_custom else json.dumps(call.arguments, ensure_ascii=False)
    name = tool.name if tool else call.name
    member, event = ("input", "custom_tool_call_input") if is_custom else ("arguments", "function_call_arguments")
    item: Json = {
        "id": f"{'ctc' if is_custom else 'fc'}_{uuid.uuid4().hex}",
        "type": "custom_tool_call" if is_custom else "function_call",
        "status": "in_progress",
        member: "",
        "call_id": call_id(call),
        "name": name,
    }
    if tool and tool.namespace:
        item["namespace"] = tool.namespace
    done: Json = {member: text} if is_custom else {"name": name, member: text}
    return WrittenCall(item, [(f"{event}.delta", {"delta": text}), (f"{event}.done", done)], {member: text})


def _write_action(call: ToolCall, kind: Kind) -> WrittenCall:
    # A type that the model gives is no part of the call where it is always the same.
    known = _properties(kind)
    given = call.arguments.get(kind.member)
    given = given if isinstance(given, dict) else call.arguments
    held: Json = {**kind.always} | {name: value for name, value in given.items() if name in known}
    if kind.member == "arguments":
        held = call.arguments
    item: Json = {
        "id": f"{kind.prefix}_{uuid.uuid4().hex}",
        "type": kind.item,
        "status": "in_progress",
        "call_id": call_id(call),
        kind.member: held,
        **kind.beside,
    }
    return WrittenCall(item, list(_command_events(held)) if kind.item == "shell_call" else [], {})


def _command_events(action: Json) -> Iterator[tuple[str, Json]]:
    commands = action["commands"]
    for index, command in enumerate(commands if isinstance(commands, list) else []):
        place: Json = {"command_index": index}
        yield "shell_call_command.added", place | {"command": ""}
        yield "shell_call_command.delta", place | {"delta": command}
        yield "shell_call_command.done", place | {"command": command}
