"""Calls with the real google-genai SDK, in an environment of its own; what came back, as JSON.

python genai_calls.py '{"base_url": ..., "auth": "key" | "service_account" | "gemini", "calls": [...]}'
"""

import asyncio
import io
import json
import sys
import time
from typing import Any

from google import genai
from google.genai import types

MODEL = "gemini-2.5-flash"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c494441"
    "54789c636870500000022400e1ab5962270000000049454e44ae426082"
)


def weather(city: str) -> str:
    """The weather in a city."""
    return f"It rains in {city}."


def dump(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_none=True, exclude={"sdk_http_response", "parsed"})


def generate(client: Any) -> Any:
    return dump(client.models.generate_content(model=MODEL, contents="Hello, who are you?"))


def think(client: Any) -> Any:
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=100)
    config = types.GenerateContentConfig(thinking_config=thinking, system_instruction="Be short.")
    return dump(client.models.generate_content(model=MODEL, contents="Hello", config=config))


def picture(client: Any) -> Any:
    part = types.Part.from_bytes(data=PNG, mime_type="image/png")
    config = types.GenerateContentConfig(response_modalities=["TEXT", "IMAGE"])
    model = "gemini-2.5-flash-image"
    return dump(client.models.generate_content(model=model, contents=["What is it?", part], config=config))


def stream(client: Any) -> Any:
    return [dump(chunk) for chunk in client.models.generate_content_stream(model=MODEL, contents="Hello")]


def chat(client: Any) -> Any:
    conversation = client.chats.create(model=MODEL)
    return [dump(conversation.send_message(text)) for text in ("Hello", "And then?")]


def functions(client: Any) -> Any:
    config = types.GenerateContentConfig(tools=[weather])
    answer = client.models.generate_content(model=MODEL, contents="The weather in Paris?", config=config)
    return dump(answer)


def structured(client: Any) -> Any:
    schema = {"type": "OBJECT", "properties": {"answer": {"type": "INTEGER"}}}
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=schema)
    return client.models.generate_content(model=MODEL, contents="6 times 7?", config=config).text


def count(client: Any) -> Any:
    return dump(client.models.count_tokens(model=MODEL, contents="Hello there"))


def compute(client: Any) -> Any:
    return dump(client.models.compute_tokens(model=MODEL, contents="Hello there"))


def embed_predict(client: Any) -> Any:
    return dump(client.models.embed_content(model="text-embedding-005", contents=["Hello", "you there"]))


def embed_content(client: Any) -> Any:
    return dump(client.models.embed_content(model="gemini-embedding-2-preview", contents="Hello there"))


def images(client: Any) -> Any:
    config = types.GenerateImagesConfig(number_of_images=2)
    return dump(client.models.generate_images(model="imagen-4.0-generate-001", prompt="A cat", config=config))


def edit_image(client: Any) -> Any:
    reference = types.RawReferenceImage(
        reference_id=1, reference_image=types.Image(image_bytes=PNG, mime_type="image/png")
    )
    model = "imagen-3.0-capability-001"
    return dump(client.models.edit_image(model=model, prompt="As a painting", reference_images=[reference]))


def videos(client: Any) -> Any:
    config = types.GenerateVideosConfig(number_of_videos=1, duration_seconds=8)
    operation = client.models.generate_videos(model="veo-3.0-generate-001", prompt="A cat", config=config)
    while not operation.done:
        time.sleep(0.01)
        operation = client.operations.get(operation)
    return dump(operation)["response"]


def models(client: Any) -> Any:
    return [model.name for model in client.models.list(config={"query_base": True})]


def caches(client: Any) -> Any:
    config = types.CreateCachedContentConfig(contents="A long text", display_name="mine", ttl="60s")
    cache = client.caches.create(model=MODEL, config=config)
    used = types.GenerateContentConfig(cached_content=cache.name)
    answer = client.models.generate_content(model=MODEL, contents="Hello", config=used)
    got = client.caches.get(name=cache.name)
    updated = client.caches.update(name=cache.name, config=types.UpdateCachedContentConfig(ttl="120s"))
    listed = len(list(client.caches.list())) > 0
    client.caches.delete(name=cache.name)
    return [got.display_name, updated.expire_time.isoformat(), listed, dump(answer)]


def files(client: Any, http_options: Any = None) -> Any:
    config = types.UploadFileConfig(
        name="files/report", mime_type="text/plain", display_name="Report", http_options=http_options
    )
    sent = client.files.upload(file=io.BytesIO(b"A long text. " * 1000), config=config)
    got = client.files.get(name=sent.name)
    client.files.delete(name=sent.name)
    return [dump(sent), dump(got)]


def files_of_call(client: Any) -> Any:
    """With the base URL told again: that of the client is not used for the bytes."""
    return files(client, {"base_url": json.loads(sys.argv[1])["base_url"]})


async def _live(client: Any) -> Any:
    heard = []
    config = {"response_modalities": ["TEXT"]}
    async with client.aio.live.connect(model="gemini-live-2.5-flash", config=config) as session:
        for text in ("Hello", "And then?"):
            await session.send_client_content(turns=types.Content(role="user", parts=[types.Part(text=text)]))
            heard += [dump(message) async for message in session.receive()]
    return heard


def live(client: Any) -> Any:
    return asyncio.run(_live(client))


def interactions(client: Any) -> Any:
    """At once, streamed, and with a tool; without the ids, which grow."""
    search = client.interactions.create(
        model=MODEL, input="Who won?", tools=[{"type": "google_search"}], service_tier="flex"
    )
    answers = [client.interactions.create(model=MODEL, input="Hello, who are you?"), search]
    events = list(client.interactions.create(model=MODEL, input="Hello", stream=True))
    assert events[-1].event_type == "interaction.completed"
    client.interactions.delete(id=answers[0].id)
    told = [*answers, events[-1].interaction]
    return [[one.status, one.model, dump(one.usage)] for one in told] + [event.event_type for event in events]


def background(client: Any) -> Any:
    """Asked for until it is done, and once more; another one is cancelled, and a third one is streamed."""
    begun = [client.interactions.create(model=MODEL, input="Hello there", background=True) for _ in "123"]
    polled = [client.interactions.get(id=begun[0].id) for _ in "123"]
    cancelled = client.interactions.cancel(id=begun[1].id)
    events = list(client.interactions.get(id=begun[2].id, stream=True))
    agent = client.interactions.create(agent="deep-research-pro-preview-12-2025", input="Dig", background=True)
    dug = [client.interactions.get(id=agent.id) for _ in "12"]
    answers = [*begun, *polled, cancelled, events[-1].interaction, agent, *dug]
    return [[one.status, one.usage and dump(one.usage)] for one in answers]


def error(client: Any) -> Any:
    try:
        client.models.generate_content(model=MODEL, contents=[])
    except (genai.errors.APIError, ValueError) as e:
        return type(e).__name__
    return None


def main() -> None:
    asked = json.loads(sys.argv[1])
    http_options = {"base_url": asked["base_url"]} if asked.get("base_url") else None
    given: dict[str, dict[str, Any]] = {
        "key": {"api_key": "AIzaSimulatedKey"},
        "service_account": {"project": "test-project", "location": "us-central1"},
        # The Gemini API's client, not Vertex AI's.
        "gemini": {"api_key": "AIzaSimulatedKey", "vertexai": False},
    }
    told = {}
    options: dict[str, Any] = {"vertexai": True, "http_options": http_options, **given[asked["auth"]]}
    with genai.Client(**options) as client:
        for name in asked["calls"]:
            told[name] = globals()[name](client)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
