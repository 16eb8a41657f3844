"""What gateways' documents show of images with the openai SDK, word for word, apart from host names.

python image_examples.py '{"base_url": ..., "folder": ..., "calls": [...]}'
"""

import base64
import contextlib
import json
import os
import sys
from io import BytesIO
from typing import Any

from openai import OpenAI
from PIL import Image

asked = json.loads(sys.argv[1])
os.chdir(asked["folder"])


def saved(name: str) -> Any:
    with Image.open(f"output_folder/{name}") as image:
        return [name, list(image.size)]


def generation() -> Any:
    # Create a client pointing to the AI Gateway address
    client = OpenAI(base_url=asked["base_url"])

    # Call the image generation interface
    response = client.images.generate(
        model="gemini-3-pro-image-preview",  # Gemini Nano Banana Pro model
        prompt="A cute orange cat napping in the sunshine.",
        size="1024x1024",
        n=1,
    )

    # Get the generated image (Base64 encoded)
    image_data = response.data[0].b64_json
    if image_data:
        # Decode and save the image locally
        image = Image.open(BytesIO(base64.b64decode(image_data)))
        image.save("output_folder/example-image-cat.png")
        print("Image saved to output_folder/example-image-cat.png")
    return saved("example-image-cat.png")


def editing() -> Any:
    client = OpenAI(base_url=asked["base_url"], api_key="YOUR_API_KEY")

    # Upload the original image using the file upload method (recommended by OpenAI SDK)
    with open("assets/image-cat.png", "rb") as image_file:
        response = client.images.edit(
            model="gemini-3-pro-image-preview",
            prompt="Change the cat breed to Ragdoll while keeping the same pose.",
            image=image_file,
            size="1024x1024",
            n=1,
        )

    image_data = response.data[0].b64_json
    if image_data:
        image = Image.open(BytesIO(base64.b64decode(image_data)))
        image.save("output_folder/edited-image-cat.png")
        print("Image editing completed. Saved to output_folder/edited-image-cat.png")
    return saved("edited-image-cat.png")


def variation() -> Any:
    client = OpenAI(base_url=asked["base_url"], api_key="YOUR_API_KEY")

    with open("assets/image-cat.png", "rb") as image_file:
        response = client.images.create_variation(
            model="gemini-3-pro-image-preview",
            image=image_file,
            size="1792x1024",
            n=1,
        )

    image_data = response.data[0].b64_json
    if image_data:
        image = Image.open(BytesIO(base64.b64decode(image_data)))
        image.save("output_folder/variation-image-cat.png")
        print("Image variation completed. Saved to output_folder/variation-image-cat.png")
    return saved("variation-image-cat.png")


def alias() -> Any:
    # Initialize client with your proxy URL
    client = OpenAI(
        base_url=asked["base_url"],  # Your proxy URL
        api_key="your-proxy-api-key",  # Your proxy API key
    )

    # Generate image
    response = client.images.generate(
        model="vertex-imagen",
        prompt="An olympic size swimming pool with crystal clear water and modern architecture",
    )

    print(response.data[0].url)
    image = Image.open(BytesIO(base64.b64decode(response.data[0].b64_json)))
    return [len(response.data), response.data[0].url, list(image.size)]


def main() -> None:
    told = {}
    for name in asked["calls"]:
        # What the examples print is not for us.
        with contextlib.redirect_stdout(sys.stderr):
            told[name] = globals()[name]()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
