"""Calls whose proxy has no credentials: the class of the exception, and the status."""

import json
import sys
from typing import Any

import openai
from google import genai
from google.genai import errors

MODEL = "gemini-2.5-flash"
MESSAGES: Any = [{"role": "user", "content": "Hello"}]


def chat(base_url: str) -> Any:
    client = openai.OpenAI(base_url=f"{base_url}/v1", api_key="sk-any")
    try:
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    except openai.APIStatusError as e:
        return [type(e).__name__, e.status_code, "invalid_grant" in e.message]


def native(base_url: str) -> Any:
    options = genai.types.HttpOptions(base_url=base_url, retry_options=genai.types.HttpRetryOptions(attempts=3))
    client = genai.Client(vertexai=True, api_key="AIzaAny", http_options=options)
    try:
        client.models.generate_content(model=MODEL, contents="Hello")
    except errors.APIError as e:
        return [type(e).__name__, e.code, "invalid_grant" in str(e.message)]


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    known = {"chat": chat, "native": native}
    print(json.dumps({name: known[name](asked["base_url"]) for name in asked["calls"]}))
