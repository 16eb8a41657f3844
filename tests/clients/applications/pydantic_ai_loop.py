"""pydantic-ai: an agent with a tool, streamed. The argument: the provider, such as `openai-chat`."""

import sys

from pydantic_ai import Agent

_, model, provider = sys.argv
agent = Agent(f"{provider}:{model}")


@agent.tool_plain
def add(a: int, b: int) -> str:
    """Adds two numbers."""
    return f"result-{a + b}"


with agent.run_stream_sync(sys.stdin.read()) as run:
    print("".join(run.stream_text(delta=True)))
    assert run.usage().output_tokens
