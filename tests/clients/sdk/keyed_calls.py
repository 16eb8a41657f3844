"""Calls with the keys of a proxy's clients, where the real SDKs put keys; what came back, as JSON.

python keyed_calls.py '{"base_url": ..., "keys": [...], "calls": [...]}'

Without `base_url` the proxy is that of HTTPS_PROXY, and the keys are those of the upstreams.
"""

import json
import sys
from typing import Any

import anthropic
import openai
from google import genai
from google.genai import errors

HELLO = "Hello, who are you?"
asked = json.loads(sys.argv[1])
root = asked.get("base_url")


def with_openai(key: str) -> Any:
    client = openai.OpenAI(base_url=root and f"{root}/v1", api_key=key, max_retries=0)
    try:
        chat = client.chat.completions.create(model=asked["model"], messages=[{"role": "user", "content": HELLO}])
    except openai.APIStatusError as e:
        return type(e).__name__
    return bool(chat.choices[0].message.content)


def models(key: str) -> Any:
    client = openai.OpenAI(base_url=f"{root}/v1", api_key=key, max_retries=0)
    try:
        return [model.id for model in client.models.list()]
    except openai.APIStatusError as e:
        return type(e).__name__


def with_genai(key: str) -> Any:
    client = genai.Client(vertexai=True, api_key=key, http_options={"base_url": root} if root else None)
    try:
        return bool(client.models.generate_content(model="gemini-2.5-flash", contents=HELLO).text)
    except errors.APIError as e:
        return e.status


def with_anthropic(key: str) -> Any:
    client = anthropic.Anthropic(base_url=root, api_key=key, max_retries=0)
    messages = [{"role": "user", "content": HELLO}]
    try:
        return bool(client.messages.create(model="gemini-2.5-flash", max_tokens=100, messages=messages).content)
    except anthropic.APIStatusError as e:
        return type(e).__name__


CALLS = {"openai": with_openai, "models": models, "genai": with_genai, "anthropic": with_anthropic}
print(json.dumps({name: [CALLS[name](key) for key in asked["keys"]] for name in asked["calls"]}))
