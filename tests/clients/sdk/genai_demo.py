"""An application that uses google-genai. Of the proxy it knows the base_url, and no more.

python genai_demo.py BASE_URL
"""

import sys

from google import genai
from google.genai import types


def weather(city: str) -> str:
    """The weather in a city."""
    return f"It rains in {city}."


def main() -> None:
    http_options = types.HttpOptions(base_url=sys.argv[1])
    with genai.Client(vertexai=True, api_key="AIzaSimulatedKey", http_options=http_options) as client:
        answer = client.models.generate_content(model="gemini-2.5-flash", contents="Hello, who are you?")
        print("generate_content:", answer.text)

        chunks = client.models.generate_content_stream(model="gemini-2.5-pro", contents="Tell me a story.")
        print("generate_content_stream:", " | ".join(chunk.text or "" for chunk in chunks))

        chat = client.chats.create(model="gemini-2.5-flash")
        print("chat:", *(chat.send_message(text).text for text in ("Hello", "And then?")))

        chat = client.chats.create(model="gemini-2.5-pro", config=types.GenerateContentConfig(tools=[weather]))
        answer = chat.send_message("The weather in Paris?")
        for part in (part for content in chat.get_history() for part in content.parts or []):
            if call := part.function_call:
                print("function calling:", f"{call.name}({call.args})", "->", weather(**(call.args or {})))
        print("function calling:", answer.text)

        counted = client.models.count_tokens(model="gemini-2.5-flash", contents="Hello there")
        print("count_tokens:", counted.total_tokens)

        embedded = client.models.embed_content(model="text-embedding-005", contents=["Hello", "you there"])
        print("embed_content:", len(embedded.embeddings or []), "vectors")

        painted = client.models.generate_images(model="imagen-4.0-generate-001", prompt="A cat")
        print("generate_images:", len(painted.generated_images or []), "images")

        try:
            client.models.generate_content(model="gemini-unknown", contents="Hello")
        except genai.errors.ClientError as e:
            print("a model that is not there:", e.code, e.status)


if __name__ == "__main__":
    main()
