"""Calls with real SDKs that are told nothing but keys: where they call is in the environment.

python plain_calls.py '{"token": ..., "calls": [...]}'
"""

import json
import sys
from typing import Any

ASKED = "Hello, who are you?"
MESSAGES: Any = [{"role": "user", "content": ASKED}]


# Each SDK takes seconds to import, so only those that are used are.


def gemini(token: str) -> Any:
    from google import genai

    with genai.Client(vertexai=True, api_key="AIzaSimulatedKey") as client:
        return client.models.generate_content(model="gemini-2.5-flash", contents=ASKED).text


def chat(token: str) -> Any:
    from openai import OpenAI

    with OpenAI(api_key="sk-simulated", max_retries=0) as client:
        return client.chat.completions.create(model="gpt-4o", messages=MESSAGES).choices[0].message.content


def claude(token: str) -> Any:
    from anthropic import AnthropicVertex

    place = {"project_id": "test-project", "region": "us-central1"}
    with AnthropicVertex(access_token=token, max_retries=0, **place) as client:
        answer = client.messages.create(model="claude-sonnet-4@20250514", max_tokens=10, messages=MESSAGES)
        return answer.model_dump()["content"][0]["text"]


def messages(token: str) -> Any:
    from anthropic import Anthropic

    with Anthropic(api_key="sk-ant-simulated", max_retries=0) as client:
        answer = client.messages.create(model="gemini-2.5-flash", max_tokens=10, messages=MESSAGES)
        return answer.model_dump()["content"][0]["text"]


def main() -> None:
    asked = json.loads(sys.argv[1])
    print(json.dumps({name: globals()[name](asked["token"]) for name in asked["calls"]}))


if __name__ == "__main__":
    main()
