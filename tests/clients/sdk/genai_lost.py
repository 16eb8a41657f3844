"""A google-genai client with a base_url and nothing else: it posts to the bare URL."""

import json
import sys

from google import genai


def main() -> None:
    asked = json.loads(sys.argv[1])
    client = genai.Client(vertexai=True, http_options={"base_url": asked["base_url"]})
    try:
        client.models.generate_content(model="gemini-2.5-flash", contents="Hello")
    except genai.errors.ClientError as e:
        print(json.dumps({"lost": [e.code, e.message]}))


if __name__ == "__main__":
    main()
