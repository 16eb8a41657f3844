"""The URL paths of Vertex AI, the Gemini API, OpenAI and Anthropic (`parse`, `build`), and their hosts.

The table `TEMPLATES` serves both directions. In a template, `{name}` is a field of one path segment, `{name:kind}` a
field that matches a pattern of `KINDS`, and `[...]` is optional. Most templates may follow a base path such as
`/vertex`. The first template that matches wins.

Sources: Google's discovery documents of aiplatform v1 and v1beta1, the paths that google-genai and anthropic[vertex]
send, OpenAI's API reference.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from functools import cache
from functools import lru_cache
from typing import Literal
from typing import NamedTuple
from urllib.parse import quote
from urllib.parse import unquote

Api = Literal["vertex", "gemini", "openai", "anthropic"]


class Template(NamedTuple):
    """An entry of the table `TEMPLATES`: a pattern for paths, and what such a path asks for."""

    api: Api
    surface: str
    operation: str
    """The operation, or `{field}` for the field that names it. If it ends with a dot, as in `models.`, the HTTP method
    adds the verb. Empty if the operation is unknown."""
    path: str
    method: str | None = None
    """The only HTTP method that matches; None for any."""
    anywhere: bool = True
    """Whether the path may follow a base path."""


_PARENT = "[/{version}]/projects/{project:project}/locations/{location}"
_ANYWHERE = "[/{version}][/projects/{project:project}/locations/{location}]"
_PUBLISHER = "[/{version}][/projects/{project:project}/locations/{location}]/publishers/{publisher}"
_GEMINI = "/{version:gemini}"
_ACTION = "[/{version:gemini}]/{collection:collection}/{model:model}:{action:name}"
_LIVE = "{slashes:slashes}ws/google."

TEMPLATES = (
    Template("vertex", "vertex", "{action}", _PUBLISHER + "/models/{model:model}:{action:name}"),
    Template("vertex", "vertex", "{action}", _ANYWHERE + "/endpoints/{endpoint}:{action:name}"),
    Template("vertex", "vertex", "{action}", _PARENT + "/models/{model:model}:{action:name}"),
    Template("vertex", "vertex", "{action}", "/{version:v1beta1}/models/{model:model}:{action:name}"),
    Template("vertex", "vertex", "invoke", _PUBLISHER + "/models/{model}/invoke/{rest:rest}"),
    Template(
        "vertex",
        "vertex",
        "invoke",
        _ANYWHERE + "/endpoints/{endpoint}[/deployedModels/{id}]/invoke/{rest:rest}",
    ),
    Template("vertex", "vertex-openai", "{openai}", _ANYWHERE + "/endpoints/{endpoint}/{openai:openai}"),
    Template("vertex", "vertex-openai", "{openai}", _PUBLISHER + "/v1/{openai:openai}"),
    Template("vertex", "vertex", "models.", _PUBLISHER + "/models[/{model}]"),
    Template("vertex", "vertex", "models.", _PARENT + "/models[/{model}]"),
    Template("vertex", "vertex", "operations.", _PUBLISHER + "/models/{model}/operations[/{id}][:{verb:name}]"),
    Template("vertex", "vertex", "operations.", _PARENT + "/{owner}/{owned}/operations[/{id}][:{verb:name}]"),
    Template("vertex", "vertex", "models.", "/{version:v1beta1}/models[/{model}]"),
    Template("vertex", "vertex", "{resource}.", _PARENT + "/{resource:resource}[/{id}][:{verb:name}]"),
    Template("vertex", "vertex", "{resource}.", "/{version:v1beta1}/{resource:resource}[/{id}][:{verb:name}]"),
    Template("vertex", "vertex", "interactions.", _PARENT + "/interactionsHttp[/{id}][/{verb:name}]"),
    Template("vertex", "vertex-live", "{rpc}", _LIVE + "cloud.aiplatform.{version}.LlmBidiService/{rpc:live}"),
    Template("vertex", "vertex", "{rpc}", "/google.cloud.aiplatform.{version}.{rpc_service:name}/{rpc:name}"),
    Template("gemini", "gemini", "{action}", _ACTION, "POST"),
    Template("gemini", "gemini", "files.create", "/upload[/{version:gemini}]/files"),
    Template("gemini", "gemini", "fileSearchStores.", "/upload[/{version:gemini}]/fileSearchStores/{id}:{verb:name}"),
    Template("openai", "openai", "models", "/v1/models[/{model:rest}]"),
    Template("openai", "openai", "{openai}", "/v1/{openai:openai}"),
    Template("anthropic", "anthropic", "messages", "/v1/messages"),
    Template("anthropic", "anthropic", "messages/count_tokens", "/v1/messages/count_tokens"),
    Template("anthropic", "anthropic", "", "/v1/messages/{rest:rest}"),
    # The same path with any other method. Its POST is above, as OpenAI has models such as `ft:gpt-4o:acme::id`.
    Template("gemini", "gemini", "{action}", _ACTION),
    Template("gemini", "gemini", "models.", _GEMINI + "/{collection:collection}[/{model}]"),
    Template("gemini", "gemini", "operations.", _GEMINI + "/{collection:collection}/{model}/operations[/{id}]"),
    Template("gemini", "gemini", "{resource}.", _GEMINI + "/{resource:resource}[/{id}][:{verb:name}]"),
    Template("gemini", "openai", "{openai}", _GEMINI + "/openai/{openai:openai}"),
    Template("gemini", "gemini", "{rpc}", _LIVE + "ai.generativelanguage.{version}.GenerativeService.{rpc:live}"),
    # Other paths of these APIs, so that at least the host is right.
    Template("vertex", "vertex", "", _PARENT + "[:{verb:name}][/{rest:rest}]"),
    Template("gemini", "gemini", "", "/{version:beta}/{rest:rest}"),
    # Paths without a version, from clients whose base_url or api_version lacks it.
    Template("openai", "openai", "models", "/models[/{model:rest}]", anywhere=False),
    Template("openai", "openai", "{openai}", "/{openai:openai}", anywhere=False),
    Template("gemini", "gemini", "models.", "/{collection:collection}[/{model}]", anywhere=False),
    Template("gemini", "gemini", "operations.", "/{collection:collection}/{model}/operations[/{id}]", anywhere=False),
    Template("gemini", "gemini", "{resource}.", "/{resource:resource}[/{id}][:{verb:name}]", anywhere=False),
)
"""OpenAI's templates come before Google's, as `/v1/models` and `/v1/files` are OpenAI's unless the host or the
credential says otherwise. Paths that end with `:verb` are Google's."""

KINDS = {
    "": r"(?:(?!%3[Aa])[^/:?#])+",
    "project": r"(?:[^/:?#]+:)?[^/:?#]+",
    "version": r"v\d[a-z0-9]*",
    "v1beta1": r"v1beta1",
    "gemini": r"v(?!1beta1)\d[a-z0-9]*",
    "beta": r"v1(?:beta|alpha)",
    "model": r"[^/?#]+?",
    "rest": r"[^?#]+",
    "name": r"[A-Za-z]+",
    "live": r"BidiGenerateContent",
    "slashes": r"//?",
    "collection": r"models|tunedModels",
    "resource": r"cachedContents|operations|batchPredictionJobs|endpoints|tuningJobs|interactions|batches|files",
    "openai": r"(?![^?#]*(?::|%3[Aa])[A-Za-z]+$)"
    r"(?:chat|completions|responses|conversations|embeddings|images|audio|videos|moderations|realtime"
    r"|batches|files|uploads|fine_tuning|vector_stores|assistants|threads|containers"
    r"|decisions|evals|live|skills|content_provenance_checks)(?:/[^/?#]+)*/?",
}

OPENAI_WORDS = frozenset(
    "chat completions responses cancel compact input_tokens input_items conversations items embeddings images"
    " generations edits variations audio speech transcriptions translations videos content remix moderations"
    " realtime client_secrets sessions batches files uploads parts complete fine_tuning jobs events checkpoints"
    " vector_stores search file_batches assistants threads messages runs steps containers"
    " submit_tool_outputs decisions evals output_items live forks fork attach skills versions"
    " content_provenance_checks extensions characters voices voice_consents transcription_sessions calls accept reject"
    " refer hangup alpha graders run validate permissions pause resume".split()
)
"""The segments of OpenAI's paths that are fixed words. All others are ids, which are not part of an operation's
name."""

VERBS = {
    ("POST", False): "create",
    ("GET", False): "list",
    ("PATCH", True): "update",
    ("PUT", True): "update",
}
"""(HTTP method, whether the path names one resource) -> the verb of the operation; else it is the method."""

PUBLISHER_ALIASES = {"googleVertexAI": "google"}
"""Publisher name of other gateways -> Google's own name."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a path asks for: `surface` and `operation` as in the ledger, and the `path` of the template that matched."""

    api: Api
    surface: str
    operation: str | None
    template: str
    base: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    """The template's fields, percent-decoded, without those that the path leaves out."""

    @property
    def publisher(self) -> str | None:
        """The publisher of the model, by Google's name; None if the path names none."""
        publisher = self.fields.get("publisher")
        return PUBLISHER_ALIASES.get(publisher, publisher) if publisher else None


def parse(method: str, path: str, api: Api | None = None) -> Target | None:
    """Parse a path (without its query); None if no template matches. `api` restricts the search to one API's
    templates."""
    return _parse(method, path, api) if len(path) <= LONGEST_PATH else None


LONGEST_PATH = 1024
"""The most characters of a path that is parsed. No resource has a longer path, and matching takes quadratic time."""


def build(template: str, base: str = "", **fields: str) -> str:
    """The path that results from putting `fields` into `template`. Optional parts with missing fields are left out.
    Raises KeyError for any other missing field."""

    def fill(match: re.Match[str]) -> str:
        if option := match["option"]:
            names = _FIELD.findall(option)
            return _TOKEN.sub(fill, option) if all(name in fields for name, _ in names) else ""
        safe = "/@:" if match["kind"] in ("rest", "openai", "slashes") else "@:"
        return quote(fields[match["name"]], safe=safe)

    return base + _TOKEN.sub(fill, template)


_FIELD = re.compile(r"\{(\w+)(?::(\w+))?\}")
_TOKEN = re.compile(r"\[(?P<option>[^\]]*)\]|\{(?P<name>\w+)(?::(?P<kind>\w+))?\}")


@cache
def _compiled(template: str) -> re.Pattern[str]:
    def token(match: re.Match[str]) -> str:
        if option := match["option"]:
            return f"(?:{_regex(option)})?"
        kind = match["kind"] or ("version" if match["name"] == "version" else "")
        return f"(?P<{match['name']}>{KINDS[kind]})"

    def _regex(part: str) -> str:
        out, end = "", 0
        for match in _TOKEN.finditer(part):
            out += _literal(part[end : match.start()]) + token(match)
            end = match.end()
        return out + _literal(part[end:])

    # A base path must not contain these, or it could swallow a part of a project's path.
    return re.compile(r"(?P<base>(?:/(?!projects/|locations/)[^/?#]+)*?)" + _regex(template))


def _literal(text: str) -> str:
    """A pattern for fixed text of a template. Some clients send `%3A` for the colon before a verb."""
    return re.escape(text).replace(":", "(?::|%3[Aa])")


@lru_cache(maxsize=1024)
def _parse(method: str, path: str, api: Api | None) -> Target | None:
    for template in TEMPLATES:
        if api not in (None, template.api) or template.method not in (None, method):
            continue
        if (match := _compiled(template.path).fullmatch(path)) and (template.anywhere or not match["base"]):
            fields = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
            base = fields.pop("base")
            operation = _operation(method, template.operation, fields)
            return Target(template.api, template.surface, operation, template.path, base, fields)
    return None


def _operation(method: str, operation: str, fields: dict[str, str]) -> str | None:
    if not operation:
        return None
    operation = operation.format_map(fields)
    if operation.endswith("."):
        named = "id" in fields or ("model" in fields and operation == "models.")
        return operation + (fields.get("verb") or VERBS.get((method, named), method.lower()))
    if "openai" in fields:
        return "/".join(part for part in operation.split("/") if part in OPENAI_WORDS)
    if "rpc" in fields and "rpc_service" in fields:
        return operation[0].lower() + operation[1:]
    return operation


# Hosts


def vertex_host(location: str | None) -> str:
    """The host of Vertex AI for a location; None is `global`. Raises ValueError if `location` cannot be part of a host
    name.

    The hosts of regions, `global` and multi-regions are as google-genai 3.4.0 builds them. "global-aiplatform" does not
    exist: it answers 404 with HTML.
    """
    if location is None or location == "global":
        return "aiplatform.googleapis.com"
    if not _LOCATION.fullmatch(location):
        raise ValueError(f"not a Google Cloud location: {location!r}")
    if location in ("us", "eu"):
        return f"aiplatform.{location}.rep.googleapis.com"
    return f"{location}-aiplatform.googleapis.com"


GEMINI_HOST = "generativelanguage.googleapis.com"
_LOCATION = re.compile(r"[a-z][a-z0-9-]{0,40}")
_HOSTS: tuple[tuple[Api, re.Pattern[str]], ...] = (
    ("vertex", re.compile(r"(?:[a-z0-9-]+-)?aiplatform(?:\.mtls)?\.googleapis\.com")),
    ("vertex", re.compile(r"aiplatform\.[a-z0-9-]+\.rep(?:\.mtls)?\.googleapis\.com")),
    ("vertex", re.compile(r"[a-z0-9.-]+\.prediction\.vertexai\.goog")),
    ("gemini", re.compile(r"generativelanguage(?:\.mtls)?\.googleapis\.com")),
    ("openai", re.compile(r"(?:[a-z]{2}\.)?api\.openai\.com")),
)


@lru_cache(maxsize=1024)
def api_of(host: str) -> Api | None:
    """The API that a host serves; None for an unknown host."""
    host = host.lower().rstrip(".")
    return next((api for api, pattern in _HOSTS if pattern.fullmatch(host)), None)
