"""An application that uses the openai SDK, answered by Gemini, Claude, Imagen and Veo.

python openai_demo.py BASE_URL
"""

import base64
import sys

from openai import BadRequestError
from openai import OpenAI
from pydantic import BaseModel


class Reply(BaseModel):
    answer: int


def main() -> None:
    with OpenAI(base_url=f"{sys.argv[1]}/v1", api_key="AIzaSimulatedKey") as client:
        chunks = client.chat.completions.create(
            model="gemini-3-flash-preview", messages=[{"role": "user", "content": "Tell me a story."}], stream=True
        )
        print("chat, streamed:", " | ".join(chunk.choices[0].delta.content or "" for chunk in chunks))

        parsed = client.responses.parse(model="gemini-2.5-flash", input="The answer?", text_format=Reply)
        print("responses.parse:", parsed.output_parsed)

        painted = client.images.generate(model="gemini-3-pro-image-preview", prompt="A cat", size="1792x1024", n=2)
        sizes = [len(base64.b64decode(image.b64_json or "")) for image in painted.data or []]
        print("images.generate:", len(sizes), "images of", sizes[0], "bytes")

        embedded = client.embeddings.create(model="text-embedding-005", input=["Hello", "you there"], dimensions=64)
        print("embeddings:", len(embedded.data), "vectors of", len(embedded.data[0].embedding))

        try:
            client.responses.create(model="gemini-2.5-flash", input="And then?", previous_response_id="resp_1")
        except BadRequestError as e:
            print("what is not stored here:", e.body["message"] if isinstance(e.body, dict) else e.body)


if __name__ == "__main__":
    main()
