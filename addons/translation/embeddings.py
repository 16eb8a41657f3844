"""Embeddings for OpenAI clients, made by Vertex AI: converts the request to Vertex AI's, and the answer to OpenAI's.

Each text gives one vector, in the same order. Vertex AI takes fewer texts in a request than OpenAI, some models only
one. So one request of a client may become several.

Sources: OpenAI's API reference; Google's reference of the text embeddings API, the discovery document of
aiplatform v1, and what google-genai 3.4.0 sends.
"""

import base64
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from math import isfinite
from typing import Annotated
from typing import Literal

from pydantic import AliasChoices
from pydantic import BeforeValidator
from pydantic import Field

from addons.translation.conversation import Json
from addons.translation.conversation import Notes
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.errors import code_of
from addons.translation.errors import read_error
from addons.translation.validation import Count
from addons.translation.validation import Model
from addons.translation.validation import camel_or_snake
from addons.translation.validation import upper
from addons.translation.validation import validated
from metering.call import count
from metering.json_values import items
from metering.json_values import member

Action = Literal["predict", "embedContent"]

MOST_TEXTS = 2048
"""The most texts in one request to OpenAI (OpenAI's API reference)."""
BATCH_TEXTS = 250
"""The most texts in one request to Vertex AI (Google's reference of the text embeddings API)."""
BATCH_BYTES = 40_000
"""The most bytes of text in one request to Vertex AI. Google's limit is 20,000 tokens; a token seldom has less than two
bytes."""

# Requests


TaskType = Literal[
    "RETRIEVAL_QUERY",
    "RETRIEVAL_DOCUMENT",
    "SEMANTIC_SIMILARITY",
    "CLASSIFICATION",
    "CLUSTERING",
    "QUESTION_ANSWERING",
    "FACT_VERIFICATION",
    "CODE_RETRIEVAL_QUERY",
]


class EmbeddingBody(Model):
    model: str = Field(min_length=1)
    input: object
    dimensions: Count | None = None
    encoding_format: Literal["float", "base64"] | None = None
    task_type: Annotated[TaskType, BeforeValidator(upper)] | None = Field(
        None, validation_alias=AliasChoices("task_type", "taskType", "input_type")
    )
    title: str | None = None
    auto_truncate: bool | None = Field(None, validation_alias=camel_or_snake("auto_truncate"))
    project_id: str | None = None
    region: str | None = None


@dataclass(slots=True)
class EmbeddingRequest:
    model: str
    texts: list[str]
    dimensions: int | None = None
    as_base64: bool = False
    """Whether a vector is written as base64 of little-endian float32, instead of as a list of numbers."""
    task_type: str | None = None
    title: str | None = None
    """The title of the document. Only the task type RETRIEVAL_DOCUMENT takes one."""
    auto_truncate: bool | None = None
    """Whether a text that is too long is cut. None: Google's default, which is to cut it."""
    project: str | None = None
    location: str | None = None
    notes: Notes = field(default_factory=Notes)


def read_request(body: Json) -> EmbeddingRequest:
    """The request in a body of OpenAI's, parsed from JSON. Raises InvalidRequest."""
    asked = validated(EmbeddingBody, body)
    dropped = [name for name, value in (asked.model_extra or {}).items() if value not in (None, False, [], {})]
    title = asked.title or None
    if title and asked.task_type != "RETRIEVAL_DOCUMENT":
        title = None
        dropped.append("title")
    return EmbeddingRequest(
        model=asked.model,
        texts=_texts(asked.input),
        dimensions=asked.dimensions,
        as_base64=asked.encoding_format == "base64",
        task_type=asked.task_type,
        title=title,
        auto_truncate=asked.auto_truncate,
        project=asked.project_id,
        location=asked.region,
        notes=Notes(dropped=dropped),
    )


def _texts(given: object) -> list[str]:
    if given == "" or given == []:
        raise InvalidRequest("input: write a string that is not empty", "input")
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list):
        raise InvalidRequest("input: write a string or a list of strings", "input")
    if len(given) > MOST_TEXTS:
        raise InvalidRequest(f"input: write at most {MOST_TEXTS} strings", "input")
    texts: list[str] = []
    for number, text in enumerate(given):
        if isinstance(text, int | list):
            raise InvalidRequest(
                "input: write strings; Vertex AI does not take token numbers (in langchain_openai's OpenAIEmbeddings,"
                " set check_embedding_ctx_length=False)",
                "input",
            )
        if not isinstance(text, str) or not text:
            param = f"input[{number}]"
            raise InvalidRequest(f"{param}: write a string that is not empty", param)
        texts.append(text)
    return texts


ACTIONS: tuple[tuple[str, Action], ...] = (
    # Google's SDK calls embedContent for this model, but Vertex AI has refused that; predict works.
    ("gemini-embedding-001", "predict"),
    ("gemini-embedding-exp", "predict"),
    ("gemini", "embedContent"),
    ("maas", "embedContent"),
)
"""A part of the model's name -> the action that makes embeddings; the first part found counts. For all other models,
and for tuned endpoints, it is predict."""


_EMBEDS = re.compile(r"(?!multimodal).*(?:embedding|gecko|e5-)|\d+$")
"""Names of models that make text embeddings, and the numbers of tuned endpoints."""


def action_of(model: str) -> Action:
    """The action of a model that makes embeddings. Raises InvalidRequest for a model that makes none."""
    if not _EMBEDS.match(model):
        raise InvalidRequest("this model makes no text embeddings; write one such as gemini-embedding-001", "model")
    return next((action for part, action in ACTIONS if part in model), "predict")


def write_requests(request: EmbeddingRequest) -> list[Json]:
    """The bodies of the requests to Vertex AI, in the order of the texts. Raises InvalidRequest."""
    write = _predict if action_of(request.model) == "predict" else _embed_content
    return [write(request, texts) for texts in _batches(request)]


def _batches(request: EmbeddingRequest) -> Iterator[list[str]]:
    # Gemini's embedding models take one text per request, with either action.
    most = 1 if any(part in request.model for part, _ in ACTIONS) else BATCH_TEXTS
    batch: list[str] = []
    size = 0
    for text in request.texts:
        length = len(text.encode(errors="replace"))
        if batch and (len(batch) == most or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += length
    yield batch


def _predict(request: EmbeddingRequest, texts: list[str]) -> Json:
    hints = _given({"task_type": request.task_type, "title": request.title})
    parameters = _given({"autoTruncate": request.auto_truncate, "outputDimensionality": request.dimensions})
    body: Json = {"instances": [{"content": text, **hints} for text in texts]}
    return body | {"parameters": parameters} if parameters else body


def _embed_content(request: EmbeddingRequest, texts: list[str]) -> Json:
    body: Json = {"content": {"role": "user", "parts": [{"text": text} for text in texts]}}
    return body | _given(
        {
            "taskType": request.task_type,
            "title": request.title,
            "autoTruncate": request.auto_truncate,
            "outputDimensionality": request.dimensions,
        }
    )


def _given(members: Json) -> Json:
    return {name: value for name, value in members.items() if value is not None}


# Answers


def read_answers(request: EmbeddingRequest, documents: list[object]) -> Json | Failure:
    """OpenAI's CreateEmbeddingResponse. `documents` are the parsed answers to `write_requests`, in the same order.

    Its usage is the sum of the token counts in the answers. If there are none, it is 0, as OpenAI's type does not allow
    null; `request.notes.assumed` says so then.
    """
    batches = list(_batches(request))
    if len(documents) != len(batches):
        return _unreadable(f"{len(batches)} requests got {len(documents)} answers.")
    data: list[Json] = []
    told: list[int | None] = []
    for texts, document in zip(batches, documents, strict=True):
        if member(document, "error"):
            return read_error(None, document)
        answered = list(_vectors(document))
        if len(answered) != len(texts):
            return _unreadable(f"{len(texts)} texts got {len(answered)} vectors.")
        for values, tokens in answered:
            packed = _packed(values)
            if not packed:
                return _unreadable("A vector cannot be read.")
            embedding = base64.b64encode(packed).decode("ascii") if request.as_base64 else values
            data.append({"object": "embedding", "index": len(data), "embedding": embedding})
            told.append(count(tokens))
    known = [tokens for tokens in told if tokens is not None]
    if not known:
        request.notes.assumed.append("usage.prompt_tokens=0")
    usage = {"prompt_tokens": sum(known), "total_tokens": sum(known)}
    return {"object": "list", "data": data, "model": request.model, "usage": usage}


def _vectors(document: object) -> Iterator[tuple[object, object]]:
    """The vectors in an answer to predict or embedContent: the numbers of each, and the tokens of its text."""
    for prediction in items(member(document, "predictions")):
        embeddings = member(prediction, "embeddings")
        yield member(embeddings, "values"), member(member(embeddings, "statistics"), "tokenCount")
    if embedding := member(document, "embedding"):
        yield member(embedding, "values"), member(member(document, "usageMetadata"), "promptTokenCount")


def _packed(values: object) -> bytes | None:
    """A vector as little-endian float32. None if it is no list of finite numbers."""
    if not isinstance(values, list):
        return None
    try:
        packed = struct.pack(f"<{len(values)}f", *values)
    except (OverflowError, struct.error):
        return None
    return packed if isfinite(sum(values)) else None


def _unreadable(reason: str) -> Failure:
    return Failure(502, f"The upstream's answer cannot be read: {reason}", code_of(502))
