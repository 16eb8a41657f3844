"""The SDKs of two providers behind one proxy, which tries the other one: what came back in each round, as JSON.

python fallback_calls.py '{"base_url": ..., "rounds": [{"models": [...], "plan": {...}}], "calls": ["genai", "openai"]}'
"""

import json
import sys
from typing import Any

from google import genai
from google.genai import types
from openai import OpenAI

asked = json.loads(sys.argv[1])
HELLO = "Hello, who are you?"


def with_genai(models: list[str], plan: dict[str, str]) -> Any:
    options = types.HttpOptions(base_url=asked["base_url"], headers=plan)
    client = genai.Client(vertexai=True, api_key="unused", http_options=options)
    for model in models:
        chunks = list(client.models.generate_content_stream(model=model, contents=HELLO))
        answer = client.models.generate_content(model=model, contents=HELLO)
        counts = [one.usage_metadata and one.usage_metadata.total_token_count for one in (chunks[-1], answer)]
        yield ["".join(chunk.text or "" for chunk in chunks), answer.text, *counts]


def with_openai(models: list[str], plan: dict[str, str]) -> Any:
    client = OpenAI(base_url=f"{asked['base_url']}/v1", api_key="unused", max_retries=0, default_headers=plan)
    create: Any = client.chat.completions.create
    for model in models:
        body = {"model": model, "messages": [{"role": "user", "content": HELLO}]}
        chunks = list(create(**body, stream=True, stream_options={"include_usage": True}))
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        answer = create(**body)
        counts = [one.usage and one.usage.total_tokens for one in (chunks[-1], answer)]
        yield [text, answer.choices[0].message.content, *counts]


told: dict[str, Any] = {}
for name in asked["calls"]:
    calls = {"genai": with_genai, "openai": with_openai}[name]
    told[name] = [list(calls(one["models"], {"x-simulator": json.dumps(one["plan"])})) for one in asked["rounds"]]
print(json.dumps(told))
