"""LangChain: ChatOpenAI with a tool, each turn streamed. The argument: `chat` or `responses`."""

import sys

from langchain_core.messages import HumanMessage
from langchain_core.messages import ToolMessage
from langchain_openai import ChatOpenAI


def add(a: int, b: int) -> str:
    """Adds two numbers."""
    return f"result-{a + b}"


_, model, api = sys.argv
chat = ChatOpenAI(model=model, stream_usage=True, use_responses_api=api == "responses").bind_tools([add])
messages = [HumanMessage(sys.stdin.read())]
while True:
    pieces = list(chat.stream(messages))
    answer = pieces[0]
    for piece in pieces[1:]:
        answer += piece
    messages.append(answer)
    if not answer.tool_calls:
        break
    messages += [ToolMessage(add(**call["args"]), tool_call_id=call["id"]) for call in answer.tool_calls]
print(answer.text)
assert answer.usage_metadata["output_tokens"], answer
