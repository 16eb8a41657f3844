"""pydantic-ai: an agent with a tool, streamed. The argument: the provider, such as `openai-chat`."""

import sys

from pydantic_ai import Agent


def add(a: int, b: int) -> str:
    """Adds two numbers."""
    return f"result-{a + b}"


_, model, provider = sys.argv
with Agent(f"{provider}:{model}", tools=[add]).run_stream_sync(sys.stdin.read()) as run:
    print("".join(run.stream_text(delta=True)))
    assert run.usage.output_tokens
