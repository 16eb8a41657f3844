"""Calls with the real anthropic[vertex] SDK, in an environment of its own; what came back, as JSON.

python anthropic_calls.py '{"base_url": ..., "token": ..., "calls": [...]}'
"""

import json
import sys
from typing import Any

from anthropic import AnthropicVertex

MODEL = "claude-sonnet-4@20250514"
MESSAGES = [{"role": "user", "content": "Hello, who are you?"}]


def dump(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_none=True)


def unary(client: Any) -> Any:
    return dump(client.messages.create(model=MODEL, max_tokens=10, messages=MESSAGES))


def stream(client: Any) -> Any:
    with client.messages.stream(model=MODEL, max_tokens=10, messages=MESSAGES) as events:
        return [dump(event) for event in events]


def raw_stream(client: Any) -> Any:
    return [dump(e) for e in client.messages.create(model=MODEL, max_tokens=10, messages=MESSAGES, stream=True)]


def count(client: Any) -> Any:
    return dump(client.messages.count_tokens(model=MODEL, messages=MESSAGES))


def main() -> None:
    asked = json.loads(sys.argv[1])
    place = {"project_id": "test-project", "region": "us-central1"}
    base = {"base_url": asked["base_url"]} if asked.get("base_url") else {}
    with AnthropicVertex(access_token=asked["token"], max_retries=0, **place, **base) as client:
        print(json.dumps({name: globals()[name](client) for name in asked["calls"]}))


if __name__ == "__main__":
    main()
