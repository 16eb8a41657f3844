"""The openai SDK, and LangChain on top of it, served by Gemini; what came back, as JSON.

python rewrite_calls.py '{"base_url": ..., "calls": [...]}'
"""

import asyncio
import base64
import json
import sys
from collections.abc import Callable
from typing import Any

import openai
from langchain_core.messages import HumanMessage
from langchain_core.messages import ToolMessage
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI
from openai import OpenAI
from pydantic import BaseModel

GEMINI_3 = "gemini-3-flash-preview"
GEMINI_25 = "gemini-2.5-flash"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello, who are you?"}]
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


class Reply(BaseModel):
    answer: int


def told(**plan: Any) -> dict[str, str]:
    return {"x-simulator": json.dumps(plan)}


def dump(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_none=True)


def joined(chunks: list[Any]) -> list[Any]:
    """What a stream came to: text, finish reasons, and the usage where it was told."""
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    usage = [dump(chunk.usage) for chunk in chunks if chunk.usage]
    return [text, reasons, usage, len({chunk.id for chunk in chunks})]


def chat(client: Any) -> Any:
    return dump(client.chat.completions.create(model=GEMINI_25, messages=MESSAGES))


def stream(client: Any) -> Any:
    return joined([*client.chat.completions.create(model=GEMINI_25, messages=MESSAGES, stream=True)])


def stream_usage(client: Any) -> Any:
    options = {"include_usage": True}
    asked = {"model": GEMINI_25, "messages": MESSAGES, "stream": True, "stream_options": options}
    return joined([*client.chat.completions.create(**asked)])


def parse(client: Any) -> Any:
    answer = client.chat.completions.parse(model=GEMINI_25, messages=MESSAGES, response_format=Reply)
    return answer.choices[0].message.parsed.answer


def tools(client: Any) -> Any:
    """Two rounds, with two calls at once; what the SDK gave goes back as it is."""
    asked = {"model": GEMINI_3, "tools": [WEATHER]}
    first = client.chat.completions.create(messages=MESSAGES, **asked, extra_headers=told(calls=2)).choices[0]
    calls = first.message.tool_calls
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"weather": "fine"})}
        for call in reversed(calls)
    ]
    second = client.chat.completions.create(messages=[*MESSAGES, first.message, *results], **asked).choices[0]
    cities = [json.loads(call.function.arguments)["city"] for call in calls]
    return [first.finish_reason, cities, second.finish_reason, second.message.content]


def tools_stream(client: Any) -> Any:
    asked = {"model": GEMINI_3, "tools": [WEATHER], "messages": MESSAGES, "stream": True}
    chunks = [*client.chat.completions.create(**asked, extra_headers=told(calls=3))]
    deltas = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
    return [[delta.index for delta in deltas], len({delta.id for delta in deltas}), joined(chunks)[1]]


def media(client: Any) -> Any:
    urls = (
        "https://images.example/a.jpg?size=large",
        f"data:image/png;base64,{PIXEL}",
        f"data:video/mp4;base64,{PIXEL}",
    )
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, *parts]}]
    return client.chat.completions.create(model=GEMINI_3, messages=messages).usage.prompt_tokens


def reasoning(client: Any) -> Any:
    answer = client.chat.completions.create(model=GEMINI_3, messages=MESSAGES, reasoning_effort="low")
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    return [answer.choices[0].message.reasoning_content, usage.completion_tokens_details.reasoning_tokens]


def several(client: Any) -> Any:
    choices = client.chat.completions.create(model=GEMINI_25, messages=MESSAGES, n=2).choices
    return [[choice.index, choice.finish_reason, choice.message.content] for choice in choices]


def logprobs(client: Any) -> Any:
    asked = {"model": GEMINI_25, "messages": MESSAGES, "logprobs": True, "top_logprobs": 2}
    tokens = client.chat.completions.create(**asked).choices[0].logprobs.content
    return [[token.token, token.logprob, token.bytes, len(token.top_logprobs)] for token in tokens]


def errors(client: Any) -> Any:
    """Status -> the class of the exception."""
    classes = {}
    for status in (400, 401, 403, 404, 429, 503):
        try:
            client.chat.completions.create(model=GEMINI_25, messages=MESSAGES, extra_headers=told(status=status))
        except openai.APIStatusError as e:
            classes[str(e.status_code)] = type(e).__name__
    return classes


def broken_streams(client: Any) -> Any:
    """An error in it, a cut, an end before its end: each is an exception, and never an end that looks well."""
    classes = []
    for plan in ({"error_after": 1}, {"cut": 1}, {"stop_after": 1}):
        reasons = []
        try:
            asked = {"model": GEMINI_25, "messages": MESSAGES, "stream": True, "extra_headers": told(**plan)}
            for chunk in client.chat.completions.create(**asked):
                reasons += [choice.finish_reason for choice in chunk.choices if choice.finish_reason]
        except openai.APIError as e:
            classes.append([type(e).__name__, reasons])
    return classes


def bad_input(client: Any) -> Any:
    try:
        client.chat.completions.create(model=GEMINI_25, messages=[{"role": "user", "content": [{"type": "smell"}]}])
    except openai.BadRequestError as e:
        return [e.type, e.param]
    return None


async def _parallel(base_url: str) -> Any:
    async with AsyncOpenAI(base_url=base_url, api_key="sk-nobody", max_retries=0) as client:
        asked = [client.chat.completions.create(model=GEMINI_25, messages=MESSAGES) for _ in range(5)]
        answers = [answer.choices[0].message.content for answer in await asyncio.gather(*asked)]
        stream = await client.chat.completions.create(model=GEMINI_25, messages=MESSAGES, stream=True)
        return [*answers, joined([chunk async for chunk in stream])[0]]


def parallel(client: Any) -> Any:
    return asyncio.run(_parallel(str(client.base_url)))


def langchain(client: Any) -> Any:
    model = ChatOpenAI(base_url=str(client.base_url), api_key="sk-nobody", model=GEMINI_3, max_retries=0)
    asked = [HumanMessage("Hello, who are you?")]
    bound = model.bind_tools([WEATHER])
    first = bound.invoke(asked)
    results = [ToolMessage("fine", tool_call_id=call["id"]) for call in first.tool_calls]
    second = bound.invoke([*asked, first, *results])
    streamed = "".join(str(chunk.content) for chunk in model.stream(asked))
    structured = model.with_structured_output(Reply, method="json_schema").invoke(asked)
    return [[call["args"] for call in first.tool_calls], second.content, streamed, structured.answer]


def main() -> None:
    asked = json.loads(sys.argv[1])
    calls: dict[str, Callable[[Any], Any]] = {name: globals()[name] for name in asked["calls"]}
    with OpenAI(base_url=asked["base_url"], api_key="sk-nobody", max_retries=0) as client:
        print(json.dumps({name: call(client) for name, call in calls.items()}))


if __name__ == "__main__":
    main()
