"""pydantic-ai: an agent with a tool, streamed. The argument: the provider, such as `openai-chat`."""

import sys
from collections.abc import AsyncIterable

from pydantic_ai import Agent


def add(a: int, b: int) -> str:
    """Adds two numbers."""
    return f"result-{a + b}"


async def stream(context: object, events: AsyncIterable[object]) -> None:
    """Each turn is streamed because this is there."""
    async for _event in events:
        pass


_, model, provider = sys.argv
run = Agent(f"{provider}:{model}", tools=[add]).run_sync(sys.stdin.read(), event_stream_handler=stream)
print(run.output)
assert run.usage.output_tokens
