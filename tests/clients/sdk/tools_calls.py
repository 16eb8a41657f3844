"""The openai SDK with tools that are no plain functions, served by Gemini; what came back, as JSON.

python tools_calls.py '{"base_url": ..., "calls": [...]}'
"""

import json
import sys
from typing import Any

import openai

asked = json.loads(sys.argv[1])
client = openai.OpenAI(base_url=asked["base_url"], api_key="sk-nobody", max_retries=0)
MODEL = "gemini-3-flash-preview"
PATCH = "*** Begin Patch"
RESPONSE_TOOLS: Any = [
    {"type": "namespace", "name": "agents", "description": "Agents.", "tools": [{"type": "function", "name": "wait"}]},
    {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "s: X"}},
    {"type": "shell"},
    {"type": "file_search", "vector_store_ids": ["v"]},
]
CHAT_TOOLS: Any = [{"type": "custom", "custom": {"name": "apply_patch", "description": "Edits files."}}]


def told(call: str, **arguments: object) -> dict[str, str]:
    return {"x-simulator": json.dumps({"call": call, "arguments": arguments})}


def rounds(headers: dict[str, str], output: dict[str, Any]) -> Any:
    """A call in a stream, and what is said when its item and its result are sent back."""
    items: list[Any] = [{"role": "user", "content": "Go on."}]
    with client.responses.stream(
        model=MODEL,
        input=items,
        tools=RESPONSE_TOOLS,
        store=False,
        include=["reasoning.encrypted_content"],
        extra_headers=headers,
    ) as stream:
        kinds = [event.type for event in stream]
        response = stream.get_final_response()
    called = [item.to_dict() for item in response.output]
    result = output | {"call_id": called[-1]["call_id"]}
    again = client.responses.create(model=MODEL, input=[*items, *called, result], tools=RESPONSE_TOOLS, store=False)
    kept = {name: called[-1].get(name) for name in ("type", "name", "namespace", "input", "arguments", "action")}
    between = [kind for kind in kinds if "call" in kind]
    return [{name: value for name, value in kept.items() if value is not None}, between, again.output_text]


def namespace() -> Any:
    return rounds(told("agents__wait", id="a"), {"type": "function_call_output", "output": "done"})


def custom() -> Any:
    return rounds(told("apply_patch", input=PATCH), {"type": "custom_tool_call_output", "output": "Done!"})


def shell() -> Any:
    ended = {"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}
    return rounds(told("shell", commands=["ls"]), {"type": "shell_call_output", "output": [ended]})


def chat_custom() -> Any:
    messages: list[Any] = [{"role": "user", "content": "Go on."}]
    headers = told("apply_patch", input=PATCH)
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=CHAT_TOOLS, extra_headers=headers)
    message = answer.choices[0].message
    call: Any = (message.tool_calls or [])[0]
    messages += [message.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": "Done!"}]
    again = client.chat.completions.create(model=MODEL, messages=messages, tools=CHAT_TOOLS)
    return [call.type, call.custom.name, call.custom.input, again.choices[0].message.content]


def dropped() -> Any:
    raw = client.responses.with_raw_response.create(model=MODEL, input="Hi", tools=RESPONSE_TOOLS, store=False)
    return [raw.headers["x-vertex-tap-dropped"], raw.headers["x-vertex-tap-assumed"]]


print(json.dumps({name: globals()[name]() for name in asked["calls"]}))
