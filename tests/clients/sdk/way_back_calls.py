"""google-genai, served by an OpenAI-compatible upstream; what came back, as JSON.

python way_back_calls.py '{"base_url": ..., "folder": ..., "calls": [...]}'
"""

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from google import genai
from google.genai import types

IMAGES = "openai/gpt-image-2"
CHAT = "openai/gpt-5"
asked = json.loads(sys.argv[1])
os.chdir(asked["folder"])


def told(**plan: Any) -> types.HttpOptions:
    return types.HttpOptions(headers={"x-simulator": json.dumps(plan)})


def picture(data: bytes) -> list[Any]:
    return [data[1:4].decode(), int.from_bytes(data[16:20]), int.from_bytes(data[20:24])]


def pictures(response: Any) -> list[Any]:
    return [[picture(made.image.image_bytes), made.image.mime_type] for made in response.generated_images]


def generate_images(client: Any) -> Any:
    """As ZenMux's page has it."""
    response = client.models.generate_images(
        model="openai/gpt-image-2",
        prompt="A cute cat wearing a tiny hat",
        config=types.GenerateImagesConfig(
            number_of_images=1,
            http_options=types.HttpOptions(
                extra_body={
                    "imageSize": "1024x1024",
                    "quality": "high",
                }
            ),
        ),
    )

    for i, img in enumerate(response.generated_images):
        img.image.save(f"generated_{i}.png")
    return [picture(path.read_bytes()) for path in sorted(Path().glob("generated_*.png"))]


def edit_image(client: Any) -> Any:
    """As ZenMux's page has it."""
    with open("input_image.png", "rb") as f:
        image_bytes = f.read()

    original_image = types.Image(image_bytes=image_bytes, mime_type="image/png")

    response = client.models.edit_image(
        model="openai/gpt-image-2",
        prompt="Transform this image into watercolor painting style",
        reference_images=[types.RawReferenceImage(reference_id=1, reference_image=original_image)],
    )

    for i, img in enumerate(response.generated_images):
        img.image.save(f"edited_{i}.png")
    return [picture(path.read_bytes()) for path in sorted(Path().glob("edited_*.png"))]


def edit_masked(client: Any) -> Any:
    images = [types.Image(image_bytes=Path(name).read_bytes(), mime_type="image/png") for name in asked["masked"]]
    mode = types.MaskReferenceConfig(mask_mode="MASK_MODE_USER_PROVIDED")
    references = [
        types.RawReferenceImage(reference_id=1, reference_image=images[0]),
        types.MaskReferenceImage(reference_id=2, reference_image=images[1], config=mode),
    ]
    config = types.EditImageConfig(number_of_images=2, output_mime_type="image/png")
    given = {"model": IMAGES, "prompt": "A hat", "reference_images": references}
    return pictures(client.models.edit_image(**given, config=config))


def images_shaped(client: Any) -> Any:
    """By ratio instead of by size, and several at once, as JPEG."""
    config = types.GenerateImagesConfig(
        number_of_images=3, aspect_ratio="1:1", output_mime_type="image/jpeg", output_compression_quality=80
    )
    made = client.models.generate_images(model=IMAGES, prompt="A cat", config=config).generated_images
    return [[one.image.mime_type, one.image.image_bytes[:2].hex()] for one in made]


def images_failed(client: Any) -> Any:
    config = types.GenerateImagesConfig(http_options=types.HttpOptions(extra_body={"imageSize": "17x17"}))
    return failure(lambda: client.models.generate_images(model=IMAGES, prompt="A cat", config=config))


def failure(call: Any) -> Any:
    try:
        call()
    except genai.errors.APIError as e:
        return [type(e).__name__, e.code, e.status]
    return None


def usage(answer: Any) -> Any:
    counts = answer.usage_metadata
    return [counts.prompt_token_count, counts.candidates_token_count, counts.total_token_count]


def generate(client: Any) -> Any:
    config = types.GenerateContentConfig(system_instruction="Be brief.", max_output_tokens=100)
    answer = client.models.generate_content(model=CHAT, contents="Hello, who are you?", config=config)
    return [answer.text, answer.candidates[0].finish_reason.value, answer.model_version, usage(answer)]


def stream(client: Any) -> Any:
    chunks = [*client.models.generate_content_stream(model=CHAT, contents="Hello, who are you?")]
    text = "".join(chunk.text or "" for chunk in chunks)
    return [len(chunks) > 1, text, chunks[-1].candidates[0].finish_reason.value, usage(chunks[-1])]


def chat(client: Any) -> Any:
    conversation = client.chats.create(model=CHAT)
    return [conversation.send_message(text).text for text in ("Hello", "And then?")]


def weather(city: str) -> str:
    """The weather in a city."""
    return f"It rains in {city}."


def functions(client: Any) -> Any:
    """Google's SDK calls them itself."""
    config = types.GenerateContentConfig(tools=[weather], http_options=told(calls=2))
    answer = client.models.generate_content(model=CHAT, contents="The weather in two cities?", config=config)
    history = [part for content in answer.automatic_function_calling_history for part in content.parts]
    called = [part.function_call.args["city"] for part in history if part.function_call]
    results = [part.function_response.response["result"] for part in history if part.function_response]
    return [called, results, answer.text]


def functions_stream(client: Any) -> Any:
    disabled = types.AutomaticFunctionCallingConfig(disable=True)
    config = types.GenerateContentConfig(
        tools=[weather], automatic_function_calling=disabled, http_options=told(calls=2)
    )
    chunks = client.models.generate_content_stream(model=CHAT, contents="The weather?", config=config)
    return [call.args["city"] for chunk in chunks for call in chunk.function_calls or []]


def structured(client: Any) -> Any:
    schema = {"type": "OBJECT", "properties": {"answer": {"type": "INTEGER"}}, "required": ["answer"]}
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=schema)
    return json.loads(client.models.generate_content(model=CHAT, contents="6 times 7?", config=config).text)


def media(client: Any) -> Any:
    part = types.Part.from_bytes(data=Path("input_image.png").read_bytes(), mime_type="image/png")
    return client.models.generate_content(model=CHAT, contents=["What is it?", part]).text


def failed(client: Any) -> Any:
    configs = [types.GenerateContentConfig(http_options=told(status=status)) for status in (429, 503)]
    given = {"model": CHAT, "contents": "Hello"}
    return [failure(partial(client.models.generate_content, **given, config=config)) for config in configs]


def main() -> None:
    with genai.Client(
        api_key="sk-zenmux",
        vertexai=True,
        http_options=types.HttpOptions(api_version="v1", base_url=asked["base_url"]),
    ) as client:
        print(json.dumps({name: globals()[name](client) for name in asked["calls"]}))


if __name__ == "__main__":
    main()
