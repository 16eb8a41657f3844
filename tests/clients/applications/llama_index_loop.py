"""LlamaIndex: an agent with a tool, streamed."""

import asyncio
import os
import sys

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai_like import OpenAILike


def add(a: int, b: int) -> str:
    """Adds two numbers."""
    return f"result-{a + b}"


async def main() -> None:
    llm = OpenAILike(
        model=sys.argv[1],
        api_base=os.environ["OPENAI_BASE_URL"],
        api_key=os.environ["OPENAI_API_KEY"],
        is_chat_model=True,
        is_function_calling_model=True,
    )
    print(await FunctionAgent(tools=[add], llm=llm).run(sys.stdin.read()))


asyncio.run(main())
