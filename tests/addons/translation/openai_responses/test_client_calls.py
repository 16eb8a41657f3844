import json
from typing import Any

import pytest

from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import ClientTool
from addons.translation.conversation import Finish
from addons.translation.conversation import Signature
from addons.translation.conversation import ToolCall
from addons.translation.openai_responses.client_calls import KINDS
from addons.translation.openai_responses.client_calls import write_call
from addons.translation.openai_responses.write_answer import StreamWriter
from addons.translation.openai_responses.write_answer import write_answer
from tests.addons.translation.openai_responses.inputs import HI
from tests.addons.translation.openai_responses.inputs import read

Json = dict[str, Any]

PATCH = "*** Begin Patch\n*** End Patch"
WRITTEN: list[tuple[ClientTool, Json, Json, list[Json]]] = [
    (
        ClientTool("function", "wait", "agents"),
        {"a": 1},
        {"type": "function_call", "name": "wait", "namespace": "agents", "arguments": '{"a": 1}'},
        [
            {"type": "response.function_call_arguments.delta", "delta": '{"a": 1}'},
            {"type": "response.function_call_arguments.done", "name": "wait", "arguments": '{"a": 1}'},
        ],
    ),
    (
        ClientTool("custom", "apply_patch"),
        {"input": PATCH},
        {"type": "custom_tool_call", "name": "apply_patch", "input": PATCH},
        [
            {"type": "response.custom_tool_call_input.delta", "delta": PATCH},
            {"type": "response.custom_tool_call_input.done", "input": PATCH},
        ],
    ),
    (
        ClientTool("custom", "sql", "db"),
        {"input": "select 1"},
        {"type": "custom_tool_call", "name": "sql", "namespace": "db", "input": "select 1"},
        [
            {"type": "response.custom_tool_call_input.delta", "delta": "select 1"},
            {"type": "response.custom_tool_call_input.done", "input": "select 1"},
        ],
    ),
    (
        ClientTool("shell", "shell"),
        {"commands": ["ls", "pwd"], "timeout_ms": 5, "made_up": 1},
        {"type": "shell_call", "action": {"commands": ["ls", "pwd"], "timeout_ms": 5, "max_output_length": None}},
        [
            {"type": f"response.shell_call_command.{step}", "command_index": index, **members}
            for index, command in enumerate(["ls", "pwd"])
            for step, members in {
                "added": {"command": ""},
                "delta": {"delta": command},
                "done": {"command": command},
            }.items()
        ],
    ),
    (
        ClientTool("shell", "shell"),
        {"commands": []},
        {"type": "shell_call", "action": {"commands": [], "timeout_ms": None, "max_output_length": None}},
        [],
    ),
    (
        ClientTool("local_shell", "local_shell"),
        {"command": ["ls"]},
        {"type": "local_shell_call", "action": {"type": "exec", "command": ["ls"], "env": {}}},
        [],
    ),
    (
        ClientTool("apply_patch", "apply_patch"),
        {"type": "create_file", "path": "a", "diff": "+x"},
        {"type": "apply_patch_call", "operation": {"type": "create_file", "path": "a", "diff": "+x"}},
        [],
    ),
    # As OpenAI has it: models have seen this.
    (
        ClientTool("apply_patch", "apply_patch"),
        {"operation": {"type": "delete_file", "path": "a"}},
        {"type": "apply_patch_call", "operation": {"type": "delete_file", "path": "a"}},
        [],
    ),
    (
        ClientTool("tool_search", "tool_search"),
        {"query": "mail", "limit": 3},
        {"type": "tool_search_call", "execution": "client", "arguments": {"query": "mail", "limit": 3}},
        [],
    ),
]
"""The client's tool, the arguments of its function, the item of the call without its ids, and the events of its own."""


@pytest.mark.parametrize(("tool", "arguments", "item", "events"), WRITTEN)
def test_a_call_is_the_clients_kind_of_item(tool: ClientTool, arguments: Json, item: Json, events: list[Json]) -> None:
    tools = {"its_function": tool}
    answer = Answer("r", "m", [Choice(0, [ToolCall("c", "its_function", arguments)], Finish.TOOL_CALLS)])
    response: Any = write_answer(answer, "m", {}, tools)
    (written,) = response["output"]
    assert (written.pop("call_id"), written.pop("status")) == ("c", "completed")
    assert written.pop("id").partition("_")[0] in ("fc", "ctc", "sh", "lsh", "apc", "tsc")
    assert written == item
    writer = StreamWriter("m", {}, tools)
    told = _events(writer.write(answer) + writer.end())
    kinds = [event["type"] for event in told]
    assert kinds[2] == "response.output_item.added"
    assert kinds[-2:] == ["response.output_item.done", "response.completed"]
    between = [
        {name: value for name, value in event.items() if name not in ("sequence_number", "item_id", "output_index")}
        for event in told[3:-2]
    ]
    assert between == events
    assert told[-2]["item"] == told[-1]["response"]["output"][0]
    assert told[2]["item"]["type"] == item["type"]
    for name in {"input", "arguments"} & item.keys():
        assert told[2]["item"][name] in ("", arguments)


def _events(raw: bytes) -> list[Json]:
    lines = raw.decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


@pytest.mark.parametrize(("tool", "arguments"), [(tool, arguments) for tool, arguments, *_ in WRITTEN])
def test_a_call_comes_back_as_it_was(tool: ClientTool, arguments: Json) -> None:
    kinds: dict[str, Json] = {
        "function": {"type": "function", "name": tool.name},
        "custom": {"type": "custom", "name": tool.name},
    }
    asked = kinds.get(tool.kind) or {"type": tool.kind, "execution": "client"}
    if tool.namespace:
        asked = {"type": "namespace", "name": tool.namespace, "tools": [asked]}
    (function,) = read(HI, tools=[asked]).functions
    signed = Signature("google", "c2lnbmVk")
    written = write_call(ToolCall("c", function.name, arguments, signed), tool)
    item = written.item | written.told
    outputs: dict[str, Json] = {
        "shell_call": {"type": "shell_call_output", "output": []},
        "tool_search_call": {"type": "tool_search_output", "tools": []},
        "apply_patch_call": {"type": "apply_patch_call_output", "status": "completed"},
    }
    output = outputs.get(str(item["type"])) or {"type": "function_call_output", "output": "x"}
    request = read(HI, item, output | {"call_id": item["call_id"]}, tools=[asked])
    (call,) = request.turns[1].parts
    assert isinstance(call, ToolCall)
    assert (call.name, call.signature) == (function.name, signed)
    held = arguments.get("operation", arguments)
    assert {name: value for name, value in held.items() if name != "made_up"}.items() <= call.arguments.items()


def test_a_function_that_stands_for_nothing() -> None:
    assert write_call(ToolCall("c", "f", {}), None).item["type"] == "function_call"


def test_kinds() -> None:
    assert {name: (kind.item, kind.prefix, kind.member) for name, kind in KINDS.items()} == {
        "shell": ("shell_call", "sh", "action"),
        "local_shell": ("local_shell_call", "lsh", "action"),
        "apply_patch": ("apply_patch_call", "apc", "operation"),
        "tool_search": ("tool_search_call", "tsc", "arguments"),
    }
    assert {name: kind.parameters["required"] for name, kind in KINDS.items()} == {
        "shell": ["commands"],
        "local_shell": ["command"],
        "apply_patch": ["type", "path"],
        "tool_search": ["query"],
    }
