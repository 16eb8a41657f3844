"""Calls with the real openai SDK, in an environment of its own; what came back, as JSON.

python openai_calls.py '{"base_url": ..., "calls": [...]}'
"""

import asyncio
import json
import sys
from typing import Any

import openai
from openai import AsyncOpenAI
from openai import OpenAI

MODEL = "gpt-4o"
MESSAGES = [{"role": "user", "content": "Hello, who are you?"}]
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c494441"
    "54789c636870500000022400e1ab5962270000000049454e44ae426082"
)


def dump(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_none=True)


def chat(client: Any) -> Any:
    return dump(client.chat.completions.create(model=MODEL, messages=MESSAGES))


def stream(client: Any) -> Any:
    return [dump(chunk) for chunk in client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)]


def stream_usage(client: Any) -> Any:
    options = {"include_usage": True}
    chunks = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, stream_options=options)
    return [dump(chunk) for chunk in chunks]


def responses(client: Any) -> Any:
    return dump(client.responses.create(model="gpt-5", input="Hello there"))


def responses_stream(client: Any) -> Any:
    return [dump(event) for event in client.responses.create(model="gpt-5", input="Hello there", stream=True)]


def background(client: Any) -> Any:
    """Asked for until it is done, and once more; a second one is cancelled, and a third one is streamed."""
    begun, other = (client.responses.create(model="gpt-5", input="Hello there", background=True) for _ in "12")
    polled = [client.responses.retrieve(begun.id) for _ in "123"]
    cancelled = client.responses.cancel(other.id)
    events = list(client.responses.create(model="gpt-5", input="Hello there", background=True, stream=True))
    again = list(client.responses.retrieve(events[-1].response.id, stream=True, starting_after=1))
    assert [event.type for event in again] == [event.type for event in events[2:]]
    answers = [begun, *polled, cancelled, events[-1].response, again[-1].response]
    return [[answer.status, answer.usage and dump(answer.usage)] for answer in answers]


def embeddings(client: Any) -> Any:
    return dump(client.embeddings.create(model="text-embedding-3-small", input=["Hello", "you there"]))


def images(client: Any) -> Any:
    return dump(client.images.generate(model="gpt-image-1", prompt="A cat", n=2))


def edit(client: Any) -> Any:
    return dump(client.images.edit(model="gpt-image-1", prompt="As a painting", image=("a.png", PNG, "image/png")))


def models(client: Any) -> Any:
    return [model.id for model in client.models.list()]


async def _parallel(base_url: str) -> Any:
    async with AsyncOpenAI(base_url=base_url, api_key="sk-simulated") as client:
        asked = [client.chat.completions.create(model=MODEL, messages=MESSAGES) for _ in range(5)]
        return [dump(answer) for answer in await asyncio.gather(*asked)]


def parallel(client: Any) -> Any:
    return asyncio.run(_parallel(str(client.base_url)))


def unauthorised(client: Any) -> Any:
    try:
        client.with_options(api_key="sk-wrong").chat.completions.create(model=MODEL, messages=MESSAGES)
    except openai.AuthenticationError as e:
        return [e.status_code, e.code, e.message]
    return None


def main() -> None:
    asked = json.loads(sys.argv[1])
    with OpenAI(base_url=asked["base_url"], api_key="sk-simulated", max_retries=0) as client:
        print(json.dumps({name: globals()[name](client) for name in asked["calls"]}))


if __name__ == "__main__":
    main()
