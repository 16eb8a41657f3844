"""The list of models in OpenAI's form or Anthropic's: the models that are configured, and the project's own.

Vertex AI lists only the models that a project owns, not those of publishers: these have to be configured.

Sources: OpenAI's and Anthropic's API references; models.list in the discovery document of aiplatform v1.
"""

import re
from collections.abc import Iterator
from collections.abc import Sequence
from datetime import UTC
from datetime import datetime

from addons.translation.conversation import Json
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.publishers import model_of
from metering.json_values import items
from metering.json_values import member
from metering.json_values import number_of
from metering.json_values import text_of

_GOOGLE = re.compile(
    r"gemini|imagen|imagegeneration|imagetext|veo|lyria|chirp|text-embedding|text-multilingual-embedding"
    r"|textembedding|multimodalembedding"
)
"""How the names of Google's own models begin."""
UNKNOWN_OWNER = "system"
"""`owned_by` of a model whose owner is unknown: an alias, or an endpoint. OpenAI's word."""
WORDS = {"gpt": "GPT", "glm": "GLM", "oss": "OSS", "maas": "MaaS", "deepseek": "DeepSeek", "minimax": "MiniMax"}
"""Words in names of models -> how they are written in a display name. All others get a capital first letter."""


def catalogue(configured: Sequence[str], documents: list[object]) -> Json:
    """The answer to `GET /v1/models`: the configured models, then the project's own. `documents` are the pages of
    Vertex AI's models.list, parsed."""
    entries = [_entry(name) for name in configured]
    entries += [entry for document in documents for entry in _own(document)]
    unique: dict[object, Json] = {}
    for entry in entries:
        unique.setdefault(entry["id"], entry)
    return {"object": "list", "data": list(unique.values())}


def one(id: str, configured: Sequence[str], documents: list[object]) -> Json | Failure:
    """The answer to `GET /v1/models/{id}`: that model of the list."""
    entries = items(catalogue(configured, documents)["data"])
    found = next((entry for entry in entries if member(entry, "id") == id), None)
    return found if isinstance(found, dict) else Failure(404, f"The model `{id}` does not exist", "NOT_FOUND")


def as_anthropics(answer: Json | Failure) -> Json | Failure:
    """A list of models, or a model, in Anthropic's form; `answer` is in OpenAI's."""
    if isinstance(answer, Failure):
        return answer
    if "data" not in answer:
        return _as_anthropics(answer)
    data = [_as_anthropics(entry) for entry in items(answer["data"]) if text_of(member(entry, "id"))]
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return {"data": data, "has_more": False, **ends}


def _as_anthropics(entry: object) -> Json:
    id, created = text_of(member(entry, "id")) or "", number_of(member(entry, "created"))
    # Anthropic's reference: an epoch value if the date is unknown.
    created_at = datetime.fromtimestamp(min(max(created, 0), _LATEST), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    name = text_of(member(entry, "display_name")) or _display_name(id)
    return {"type": "model", "id": id, "display_name": name, "created_at": created_at, "lifecycle": "active"}


_LATEST = 2**32
"""The latest second since the epoch that is believed."""


def next_page(document: object) -> str | None:
    """The token of the page of models.list that follows this one. None if this is the last."""
    token = member(document, "nextPageToken")
    return token if isinstance(token, str) and token else None


def _own(document: object) -> Iterator[Json]:
    """The project's models on a page of models.list. The id of a model is the number that requests take: that of its
    endpoint; if it is not deployed, its own number."""
    for model in items(member(document, "models")):
        name = member(model, "name")
        if not isinstance(name, str) or not (match := _NAME.fullmatch(name)):
            continue
        endpoints = [member(deployed, "endpoint") for deployed in items(member(model, "deployedModels"))]
        numbers = [endpoint.rpartition("/")[2] for endpoint in endpoints if isinstance(endpoint, str)]
        said = member(model, "displayName")
        for id in list(filter(None, numbers)) or [match["id"]]:
            entry = _entry(id, match["project"], _epoch(member(model, "createTime")))
            if isinstance(said, str) and said:
                entry["display_name"] = said
            yield entry


_NAME = re.compile(r"projects/(?P<project>[^/]+)/locations/[^/]+/models/(?P<id>[^/]+)")


def _entry(id: str, owner: str | None = None, created: int = 0) -> Json:
    return {
        "id": id,
        "object": "model",
        "created": created,
        "owned_by": owner or _owner(id),
        "display_name": _display_name(id),
    }


def _owner(id: str) -> str:
    try:
        model = model_of(id)
    except InvalidRequest:
        return UNKNOWN_OWNER
    return model.publisher or ("google" if _GOOGLE.match(model.name) else UNKNOWN_OWNER)


_VERSION = re.compile(r"(?<![\w.])(\d)-(\d)(?![\w.])")


def _display_name(id: str) -> str:
    """`claude-3-5-sonnet@20241022` -> `Claude 3.5 Sonnet`."""
    name = _VERSION.sub(r"\1.\2", id.rpartition("/")[2].partition("@")[0])
    return " ".join(WORDS.get(word, word[:1].upper() + word[1:]) for word in name.split("-") if word)


def _epoch(time: object) -> int:
    """An RFC 3339 time in seconds since the epoch; 0 if it is unknown, as OpenAI's type does not allow null."""
    try:
        told = datetime.fromisoformat(time) if isinstance(time, str) else None
        return max(int(told.replace(tzinfo=told.tzinfo or UTC).timestamp()), 0) if told else 0
    except (ValueError, OverflowError):
        return 0
