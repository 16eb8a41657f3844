"""OpenAI Agents: an agent with a tool, streamed. The argument: `chat_completions` or `responses`."""

import asyncio
import sys

from agents import Agent
from agents import ModelSettings
from agents import Runner
from agents import function_tool
from agents import set_default_openai_api
from agents import set_tracing_disabled


def add(a: int, b: int) -> str:
    """Adds two numbers."""
    return f"result-{a + b}"


async def main() -> None:
    _, model, api = sys.argv
    set_tracing_disabled(True)
    set_default_openai_api(api)
    settings = ModelSettings(include_usage=True)
    agent = Agent(name="adder", model=model, model_settings=settings, tools=[function_tool(add)])
    run = Runner.run_streamed(agent, sys.stdin.read())
    async for _event in run.stream_events():
        pass
    print(run.final_output)
    assert run.context_wrapper.usage.output_tokens


asyncio.run(main())
