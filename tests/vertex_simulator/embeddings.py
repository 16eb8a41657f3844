"""Embeddings: vectors that depend on their text, so that their order can be told."""

import hashlib
from typing import Any

from tests.vertex_simulator.credentials import Denied
from tests.vertex_simulator.exchange import Answer

TASKS = (
    "RETRIEVAL_QUERY",
    "RETRIEVAL_DOCUMENT",
    "SEMANTIC_SIMILARITY",
    "CLASSIFICATION",
    "CLUSTERING",
    "QUESTION_ANSWERING",
    "FACT_VERIFICATION",
    "CODE_RETRIEVAL_QUERY",
)
MOST_INSTANCES = 250
MOST_TOKENS = 20_000


def vector(text: str, size: int) -> list[float]:
    """Exact in 32 bits."""
    digest = hashlib.sha256(text.encode()).digest()
    return [((digest[n % 32] + n) % 256 - 128) / 256 for n in range(size)]


def predict_embeddings(model: str, body: dict[str, Any]) -> Answer:
    """text-embedding-* and gemini-embedding-001, which takes one text a call. Raises Denied."""
    if model.startswith("gemini-embedding-2"):
        raise Denied(400, "INVALID_ARGUMENT", "This model is served by embedContent.")
    instances, parameters = body["instances"], body.get("parameters") or {}
    most = 1 if model.startswith("gemini") else MOST_INSTANCES
    if not 1 <= len(instances) <= most:
        raise Denied(400, "INVALID_ARGUMENT", f"{len(instances)} instance(s) is not allowed; the limit is {most}.")
    for instance in instances:
        _check_instance(instance)
    if unknown := parameters.keys() - {"outputDimensionality", "autoTruncate"}:
        raise Denied(400, "INVALID_ARGUMENT", f"Unknown parameters: {unknown}")
    size = _dimensions(model, parameters.get("outputDimensionality"))
    counts = [len(instance["content"].split()) for instance in instances]
    if sum(counts) > MOST_TOKENS:
        raise Denied(400, "INVALID_ARGUMENT", f"The input token count is {sum(counts)}; {MOST_TOKENS} are supported.")
    predictions = [
        {
            "embeddings": {
                "values": vector(instance["content"], size),
                "statistics": {"token_count": float(tokens), "truncated": False},
            }
        }
        for instance, tokens in zip(instances, counts, strict=True)
    ]
    return Answer.json(
        {"predictions": predictions, "metadata": {"billableCharacterCount": 11}},
        reported={"input_tokens": sum(counts), "input_items": len(counts)},
    )


def _check_instance(instance: dict[str, Any]) -> None:
    if unknown := instance.keys() - {"content", "task_type", "title"}:
        raise Denied(400, "INVALID_ARGUMENT", f"Unknown members of an instance: {unknown}")
    if not isinstance(instance.get("content"), str) or not instance["content"].strip():
        raise Denied(400, "INVALID_ARGUMENT", "The text content is empty.")
    _check_task(instance.get("task_type"), instance.get("title"))


def _check_task(task: object, title: object) -> None:
    if task is not None and task not in TASKS:
        raise Denied(400, "INVALID_ARGUMENT", f"Unsupported task type: {task!r}")
    if title is not None and task != "RETRIEVAL_DOCUMENT":
        raise Denied(400, "INVALID_ARGUMENT", "A title goes with RETRIEVAL_DOCUMENT only.")


def _dimensions(model: str, asked: object) -> int:
    most = 3072 if model.startswith("gemini") else 768
    if asked is None:
        return most
    if not isinstance(asked, int) or not 1 <= asked <= most:
        raise Denied(400, "INVALID_ARGUMENT", f"outputDimensionality must be in the range of 1 to {most}.")
    return asked


def embed_content(model: str, body: dict[str, Any]) -> Answer:
    """gemini-embedding-*: one content, whose parts become one vector. Raises Denied."""
    if not model.startswith("gemini-embedding"):
        raise Denied(400, "INVALID_ARGUMENT", "This model is not supported by embedContent.")
    task = body.get("taskType", body.get("task_type"))
    _check_task(task, body.get("title"))
    text = " ".join(part.get("text", "") for part in body["content"].get("parts", []))
    if not text.strip():
        raise Denied(400, "INVALID_ARGUMENT", "The text content is empty.")
    tokens = len(text.split())
    size = _dimensions(model, body.get("outputDimensionality", body.get("output_dimensionality")))
    usage = {
        "promptTokenCount": tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}],
        "trafficType": "ON_DEMAND",
    }
    return Answer.json(
        {"embedding": {"values": vector(text, size)}, "usageMetadata": usage, "truncated": False},
        reported={"input_tokens": tokens, "input_items": 1},
    )
