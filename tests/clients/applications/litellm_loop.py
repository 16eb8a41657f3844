"""LiteLLM's SDK with a tool, each turn streamed. The argument: the provider, `openai` or `gemini`."""

import json
import os
import sys

import litellm


def add(a: int, b: int) -> str:
    return f"result-{a + b}"


_, model, provider = sys.argv
number = {"type": "integer"}
parameters = {"type": "object", "properties": {"a": number, "b": number}, "required": ["a", "b"]}
tools = [{"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": parameters}}]
messages = [{"role": "user", "content": sys.stdin.read()}]
while True:
    stream = litellm.completion(
        f"{provider}/{model}",
        messages,
        tools=tools,
        stream=True,
        stream_options={"include_usage": True},
        api_base=os.environ["API_BASE"],
        api_key=os.environ["OPENAI_API_KEY"],
    )
    answer = litellm.stream_chunk_builder(list(stream), messages=messages)
    message = answer.choices[0].message
    messages.append(message.model_dump(exclude_none=True))
    if not message.tool_calls:
        break
    for call in message.tool_calls:
        result = add(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
print(message.content)
assert answer.usage.completion_tokens
