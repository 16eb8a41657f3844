"""The openai SDK's other clients, and its chat with Claude, served by Vertex AI; what came back, as JSON.

python surface_calls.py '{"base_url": ..., "asynchronous": false, "calls": [...]}'
"""

import asyncio
import base64
import inspect
import json
import struct
import sys
import time
import zlib
from collections.abc import Callable
from collections.abc import Iterator
from functools import partial
from typing import Any

import openai
from openai import AsyncOpenAI
from openai import OpenAI
from pydantic import BaseModel

GEMINI_3 = "gemini-3-flash-preview"
GEMINI_25 = "gemini-2.5-flash"
CLAUDE = "claude-sonnet-4-5@20250929"
PAINTER = "gemini-3-pro-image-preview"
IMAGEN = "imagen-4.0-generate-001"
VEO = "veo-3.0-generate-001"
HELLO = "Hello, who are you?"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": HELLO}]
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {"type": "function", "name": "weather", "description": "The weather in a city.", "parameters": PARAMETERS}
CHAT_WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "The weather in a city.", "parameters": PARAMETERS},
}


class Reply(BaseModel):
    answer: int


class Waiting:
    """What is asynchronous, as if it were not: every call runs to its end."""

    def __init__(self, it: Any, run: Callable[[Any], Any]) -> None:
        self._it, self._run = it, run

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._it, name)
        is_part = callable(value) or type(value).__name__.startswith("Async")
        return Waiting(value, self._run) if is_part else value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        value = self._it(*args, **kwargs)
        if inspect.isawaitable(value):
            value = self._run(value)
        still = hasattr(value, "__aiter__") or hasattr(value, "__aenter__")
        return Waiting(value, self._run) if still else value

    def __iter__(self) -> Iterator[Any]:
        async def collected() -> list[Any]:
            return [item async for item in self._it]

        return iter(self._run(collected()))

    def __enter__(self) -> "Waiting":
        return Waiting(self._run(self._it.__aenter__()), self._run)

    def __exit__(self, *error: Any) -> None:
        self._run(self._it.__aexit__(*error))


def dump(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_none=True)


def told(**plan: Any) -> dict[str, str]:
    return {"x-simulator": json.dumps(plan)}


def png(width: int, height: int, hole: int = 0) -> bytes:
    """A picture; with a hole its left columns are transparent."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + b"\x80\x40\x20\x00" * hole + b"\x80\x40\x20\xff" * (width - hole)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    data = zlib.compress(row * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def file(width: int = 64, height: int = 48, hole: int = 0) -> tuple[str, bytes, str]:
    return ("a.png", png(width, height, hole), "image/png")


def pictures(answer: Any) -> list[str]:
    """The format and the size of each."""
    return [picture(base64.b64decode(image.b64_json)) for image in answer.data]


def picture(data: bytes) -> str:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png {}x{}".format(*struct.unpack(">II", data[16:24]))
    return {b"\xff\xd8": "jpeg", b"RI": "webp"}[data[:2]]


def failure(call: Callable[[], Any]) -> Any:
    try:
        call()
    except openai.APIStatusError as e:
        return [type(e).__name__, isinstance(e.body, dict) and bool(e.body.get("message"))]
    return None


# Images


def image(client: Any) -> Any:
    answer = client.images.generate(model=PAINTER, prompt="A cute cat", size="1024x1024", n=1)
    usage = answer.usage
    return [pictures(answer), usage.input_tokens, usage.output_tokens, usage.total_tokens]


def image_sizes(client: Any) -> Any:
    asked = [(PAINTER, size) for size in ("auto", "1792x1024", "1024x1536", "2560x1080")]
    asked += [("gemini-2.5-flash-image", "1536x1024"), (IMAGEN, "1024x1024")]
    return [pictures(client.images.generate(model=model, prompt="A cat", size=size))[0] for model, size in asked]


def images_several(client: Any) -> Any:
    """More than one call makes."""
    asked = ((PAINTER, 3), (IMAGEN, 6))
    return [len(pictures(client.images.generate(model=model, prompt="A cat", n=n))) for model, n in asked]


def image_format(client: Any) -> Any:
    asked = {"prompt": "A cat", "output_format": "jpeg", "output_compression": 80}
    return [pictures(client.images.generate(model=model, **asked))[0] for model in (PAINTER, IMAGEN)]


def image_refused(client: Any) -> Any:
    asked = ({"model": model, "prompt": "A forbidden cat"} for model in (PAINTER, IMAGEN))
    return [failure(partial(client.images.generate, **body)) for body in asked]


def edit(client: Any) -> Any:
    return pictures(client.images.edit(model=PAINTER, prompt="As a painting", image=file(), size="1024x1024", n=1))


def edit_several(client: Any) -> Any:
    return pictures(client.images.edit(model=PAINTER, prompt="Both in one", image=[file(), file(32, 32)]))


def edit_masked(client: Any) -> Any:
    asked = {"model": "imagen-3.0-capability-001", "prompt": "A hat", "image": file(), "mask": file(hole=16)}
    return pictures(client.images.edit(**asked))


def variation(client: Any) -> Any:
    return pictures(client.images.create_variation(model=PAINTER, image=file(), size="1792x1024", n=1))


# Embeddings


def vectors(answer: Any) -> Any:
    return [[item.index, len(item.embedding), item.embedding[:2]] for item in answer.data]


def embed(client: Any) -> Any:
    answer = client.embeddings.create(model="text-embedding-005", input="Hello there")
    return [vectors(answer), dump(answer.usage)]


def embed_list(client: Any) -> Any:
    texts = ["one", "two words", "three words here"]
    answer = client.embeddings.create(model="text-embedding-005", input=texts, dimensions=64)
    return [vectors(answer), dump(answer.usage)]


def embed_floats(client: Any) -> Any:
    asked = {"input": ["one", "two"], "dimensions": 8, "encoding_format": "float"}
    answer = client.embeddings.with_raw_response.create(model="text-embedding-005", **asked)
    return [item["embedding"][:2] for item in json.loads(answer.text)["data"]]


def embed_base64(client: Any) -> Any:
    asked = {"input": "one", "dimensions": 2, "encoding_format": "base64"}
    answer = client.embeddings.with_raw_response.create(model="text-embedding-005", **asked)
    return struct.unpack("<2f", base64.b64decode(json.loads(answer.text)["data"][0]["embedding"]))


def embed_one_by_one(client: Any) -> Any:
    """These models take one text a call."""
    return [
        vectors(client.embeddings.create(model=model, input=["one", "two words"], dimensions=16))
        for model in ("gemini-embedding-001", "gemini-embedding-2-preview")
    ]


def embed_many(client: Any) -> Any:
    texts = [f"text {n}" for n in range(300)]
    answer = client.embeddings.create(model="text-embedding-005", input=texts, dimensions=4)
    return [len(answer.data), vectors(answer)[299], answer.usage.prompt_tokens]


# Responses


def respond(client: Any) -> Any:
    answer = client.responses.create(model=GEMINI_25, input=HELLO, instructions="Be brief.")
    usage = answer.usage
    return [answer.status, answer.output_text, usage.input_tokens, usage.output_tokens, usage.total_tokens]


def respond_stream(client: Any) -> Any:
    events = [*client.responses.create(model=GEMINI_25, input=HELLO, stream=True)]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    in_order = [event.sequence_number for event in events] == list(range(len(events)))
    return [events[0].type, events[-1].type, text, in_order, events[-1].response.output_text]


def respond_events(client: Any) -> Any:
    """The SDK's own reader of events."""
    with client.responses.stream(model=GEMINI_25, input=HELLO) as events:
        kinds = [event.type for event in events]
        return [kinds[0], kinds[-1], events.get_final_response().output_text]


def respond_parse(client: Any) -> Any:
    answer = client.responses.parse(model=GEMINI_25, input="6 times 7?", text_format=Reply)
    return answer.output_parsed.answer


def _rounds(client: Any, model: str, **asked: Any) -> Any:
    """Two rounds, with two calls at once; what the SDK gave goes back as it is."""
    asked = {"model": model, "tools": [WEATHER], **asked}
    history: list[Any] = [{"role": "user", "content": "The weather in two cities?"}]
    first = client.responses.create(input=history, **asked, extra_headers=told(calls=2))
    calls = [item for item in first.output if item.type == "function_call"]
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "fine"} for call in calls]
    second = client.responses.create(input=[*history, *first.output, *results], **asked)
    return [[json.loads(call.arguments)["city"] for call in calls], second.output_text, first]


def respond_tools(client: Any) -> Any:
    return [_rounds(client, model)[:2] for model in (GEMINI_3, CLAUDE)]


def respond_reasoning(client: Any) -> Any:
    """The reasoning comes encrypted, and must go back for the second round."""
    asked = {
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "max_output_tokens": 4096,
    }
    answers = []
    for model in (GEMINI_3, CLAUDE):
        cities, text, first = _rounds(client, model, **asked)
        reasoning = [item for item in first.output if item.type == "reasoning"]
        summaries = [part.text for item in reasoning for part in item.summary]
        answers.append([cities, text, summaries, any(item.encrypted_content for item in reasoning)])
    return answers


def respond_search(client: Any) -> Any:
    answer = client.responses.create(model=GEMINI_25, input="What is new?", tools=[{"type": "web_search"}])
    contents = [part for item in answer.output if item.type == "message" for part in item.content]
    citations = [[note.url, note.title] for part in contents for note in part.annotations]
    return [answer.output_text, answer.output[0].type, citations]


def respond_claude(client: Any) -> Any:
    answer = client.responses.create(model=CLAUDE, input=HELLO)
    events = [*client.responses.create(model=CLAUDE, input=HELLO, stream=True)]
    return [answer.status, answer.output_text, events[-1].type, events[-1].response.output_text]


def respond_previous(client: Any) -> Any:
    return failure(lambda: client.responses.create(model=GEMINI_25, input="And?", previous_response_id="resp_1"))


# Chat with Claude


def claude(client: Any) -> Any:
    answer = client.chat.completions.create(model=CLAUDE, messages=MESSAGES)
    choice, usage = answer.choices[0], answer.usage
    total = usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    return [choice.message.content, choice.finish_reason, usage.prompt_tokens_details.cached_tokens, total]


def claude_stream(client: Any) -> Any:
    asked = {"model": CLAUDE, "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
    chunks = [*client.chat.completions.create(**asked)]
    choices = [choice for chunk in chunks for choice in chunk.choices]
    text = "".join(choice.delta.content or "" for choice in choices)
    return [text, [c.finish_reason for c in choices if c.finish_reason], chunks[-1].usage.completion_tokens]


def claude_parse(client: Any) -> Any:
    answer = client.chat.completions.parse(model=CLAUDE, messages=MESSAGES, response_format=Reply)
    return answer.choices[0].message.parsed.answer


def _chat_rounds(client: Any, **asked: Any) -> Any:
    asked = {"model": CLAUDE, "tools": [CHAT_WEATHER], **asked}
    first = client.chat.completions.create(messages=MESSAGES, **asked, extra_headers=told(calls=2)).choices[0]
    calls = first.message.tool_calls
    results = [{"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in reversed(calls)]
    second = client.chat.completions.create(messages=[*MESSAGES, first.message, *results], **asked).choices[0]
    cities = [json.loads(call.function.arguments)["city"] for call in calls]
    thought = getattr(first.message, "reasoning_content", None)
    return [first.finish_reason, cities, second.finish_reason, second.message.content, thought]


def claude_tools(client: Any) -> Any:
    return _chat_rounds(client)


def claude_thinking(client: Any) -> Any:
    return _chat_rounds(client, reasoning_effort="low", max_completion_tokens=4096)


def claude_tools_stream(client: Any) -> Any:
    asked = {"model": CLAUDE, "tools": [CHAT_WEATHER], "messages": MESSAGES, "stream": True}
    chunks = [*client.chat.completions.create(**asked, extra_headers=told(calls=2))]
    choices = [choice for chunk in chunks for choice in chunk.choices]
    deltas = [call for choice in choices for call in choice.delta.tool_calls or []]
    arguments = {d.index: "" for d in deltas}
    for delta in deltas:
        arguments[delta.index] += delta.function.arguments or ""
    cities = [json.loads(arguments[index])["city"] for index in sorted(arguments)]
    return [cities, [choice.finish_reason for choice in choices if choice.finish_reason]]


# Videos


def _finished(client: Any, video: Any) -> Any:
    while video.status in ("queued", "in_progress"):
        time.sleep(0.01)
        video = client.videos.retrieve(video.id)
    return video


def video(client: Any) -> Any:
    made = client.videos.create(model=VEO, prompt="A cat", seconds="8", size="1280x720")
    assert made.object == "video"
    done = _finished(client, made)
    content = client.videos.download_content(done.id).content
    return [done.id == made.id, done.status, done.model, done.seconds, done.size, base64.b64encode(content).decode()]


def video_of_image(client: Any) -> Any:
    asked = {"prompt": "It moves", "seconds": "4", "size": "720x1280", "input_reference": file()}
    return _finished(client, client.videos.create(model=VEO, **asked)).status


def video_polled(client: Any) -> Any:
    return client.videos.create_and_poll(model=VEO, prompt="A cat", seconds="8", poll_interval_ms=10).status


def video_refused(client: Any) -> Any:
    done = _finished(client, client.videos.create(model=VEO, prompt="A forbidden cat", seconds="8"))
    return [done.status, bool(done.error.message), failure(lambda: client.videos.download_content(done.id))]


# Models, and what there is none of


def models(client: Any) -> Any:
    return sorted(model.id for model in client.models.list())


def model(client: Any) -> Any:
    found = client.models.retrieve("gemini-2.5-flash")
    return [found.id, found.object, failure(lambda: client.models.retrieve("gemini-unknown"))]


def unsupported(client: Any) -> Any:
    calls: dict[str, Callable[[], Any]] = {
        "completions": lambda: client.completions.create(model=GEMINI_25, prompt="Hello"),
        "speech": lambda: client.audio.speech.create(model=GEMINI_25, voice="alloy", input="Hello"),
        "transcriptions": lambda: client.audio.transcriptions.create(model=GEMINI_25, file=("a.wav", b"RIFF")),
        "files": lambda: client.files.create(file=("a.jsonl", b"{}"), purpose="batch"),
        "files_list": lambda: client.files.list(),
        "batches": lambda: client.batches.create(
            completion_window="24h", endpoint="/v1/chat/completions", input_file_id="file-1"
        ),
        "batches_list": lambda: client.batches.list(),
        "videos_delete": lambda: client.videos.delete("video_1"),
        "videos_list": lambda: client.videos.list(),
        "videos_remix": lambda: client.videos.remix("video_1", prompt="Again"),
    }
    return {name: failure(call) for name, call in calls.items()}


def main() -> None:
    asked = json.loads(sys.argv[1])
    given = {"base_url": asked["base_url"], "api_key": "sk-nobody", "max_retries": 0}
    if asked.get("asynchronous"):
        loop = asyncio.new_event_loop()
        client: Any = Waiting(AsyncOpenAI(**given), loop.run_until_complete)
    else:
        client = OpenAI(**given)
    print(json.dumps({name: globals()[name](client) for name in asked["calls"]}))
    client.close()


if __name__ == "__main__":
    main()
