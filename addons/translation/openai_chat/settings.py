"""Reads the settings of a request, for chat completions and Responses: sampling, functions, tools that the service
runs, formats, effort, and what only Gemini has.

Sources: OpenAI's API reference; Google's pages on its own OpenAI endpoint.
"""

import re
from typing import Protocol

from addons.translation.conversation import Effort
from addons.translation.conversation import Format
from addons.translation.conversation import Function
from addons.translation.conversation import Google
from addons.translation.conversation import Json
from addons.translation.conversation import Notes
from addons.translation.conversation import Request
from addons.translation.conversation import ToolChoice
from addons.translation.errors import InvalidRequest
from addons.translation.openai_chat.content_schema import Cached
from addons.translation.openai_chat.google_settings import GoogleExtra
from addons.translation.openai_chat.schema import EFFORTS
from addons.translation.openai_chat.schema import SERVER_TOOLS
from addons.translation.openai_chat.schema import TIERS
from addons.translation.openai_chat.schema import AnyRequest
from addons.translation.openai_chat.schema import FunctionDefinition
from addons.translation.validation import NO_VALUE
from addons.translation.validation import NOTHING
from addons.translation.validation import is_finite
from addons.translation.validation import models_in
from addons.translation.validation import undeclared
from metering.json_values import snake


def start_request(asked: AnyRequest) -> Request:
    """A Request with the settings that `AnyRequest` declares; the caller adds the others. Members of the body that are
    not declared are added to the notes as dropped. Raises InvalidRequest."""
    request = Request(
        model=asked.model,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=asked.stop or None,
        seed=asked.seed,
        top_logprobs=asked.top_logprobs,
        parallel_tool_calls=asked.parallel_tool_calls,
        service_tier=TIERS.get(asked.service_tier, asked.service_tier) if asked.service_tier else None,
        user=asked.user or None,
        stream=bool(asked.stream),
        project=asked.project_id,
        location=asked.region,
    )
    for name, value in (asked.model_extra or {}).items():
        if value not in NOTHING:
            request.notes.drop(name)
    request.google = _read_google(asked, request.notes)
    return request


def take_functions(request: Request, definitions: dict[str, FunctionDefinition], choice: ToolChoice | None) -> None:
    """Sets the functions of a request and its tool choice. `definitions` are the functions by their paths in the body:
    `tools[0].function`. Raises InvalidRequest."""
    names = {definition.name for definition in definitions.values()}
    if len(names) < len(definitions):
        raise InvalidRequest("two functions have the same name; rename one", "tools")
    for path, definition in definitions.items():
        if not is_finite(definition.parameters):
            raise InvalidRequest(NO_VALUE, f"{path}.parameters")
    for name in choice.names if choice else []:
        if name not in names:
            raise InvalidRequest(f"there is no function named {name} in tools", "tool_choice")
    request.functions = [
        Function(one.name, one.description, one.parameters, cache=one.cache) for one in definitions.values()
    ]
    request.tool_choice = choice


def read_server_tool(tool: Json, param: str) -> str:
    """Google's name of a tool that the service runs: `googleSearch`. Raises InvalidRequest for an unknown tool."""
    kind = tool.get("type")
    names = [kind] if isinstance(kind, str) else list(tool)
    if len(names) == 1 and names[0] in SERVER_TOOLS:
        return SERVER_TOOLS[names[0]]
    raise InvalidRequest(f"write a tool of type function, or one of {', '.join(SERVER_TOOLS)}", param)


class NamedSchema(Protocol):
    """A JSON Schema with a name."""

    @property
    def name(self) -> str | None: ...

    @property
    def description(self) -> str | None: ...

    @property
    def schema_(self) -> Json | None: ...


def read_format(kind: str, given: NamedSchema | None, param: str, schema_param: str) -> Format | None:
    """The format of an answer, of type `kind`: text, json_object or json_schema; None for text. `given` has its schema.
    `param` and `schema_param` are the paths of the format and its schema in the body. Raises InvalidRequest."""
    if kind == "text":
        return None
    if kind == "json_object":
        return Format(param=param)
    schema = given.schema_ if given else None
    if given is None or schema is None:
        raise InvalidRequest("a format of type json_schema needs a schema", schema_param)
    if not is_finite(schema):
        raise InvalidRequest(NO_VALUE, schema_param)
    return Format(schema, param, name=given.name, description=given.description)


def note_undeclared(request: Request, asked: AnyRequest) -> None:
    """Adds to the notes what the client said in members that are not read, at any depth, and how the client names the
    places at which Claude caches."""
    request.notes.drop(*undeclared(asked))
    caches = [(path, model) for path, model in models_in(asked) if isinstance(model, Cached)]
    breakpoints = [(path, model.prompt_cache_breakpoint) for path, model in caches if model.prompt_cache_breakpoint]
    if breakpoints and not any(model.cache_control for _, model in caches):
        request.names["cache"] = "prompt_cache_breakpoint"
    # Claude keeps what it caches for an hour at most.
    request.notes.drop(*(f"{path}.prompt_cache_breakpoint.ttl" for path, one in breakpoints if one.ttl == "12h"))


def read_effort(text: str, param: str) -> Effort:
    """The effort for a word of `EFFORTS`, in upper or lower case. Raises InvalidRequest for any other word."""
    try:
        return EFFORTS[text.lower()]
    except KeyError:
        raise InvalidRequest(f"{param}: write one of {', '.join(EFFORTS)}", param) from None


_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")


def _read_google(asked: AnyRequest, notes: Notes) -> Google | None:
    """Settings that only Gemini has, from `extra_body.google`, from `google` and from the top of the body. If one is
    given in several places, the last of these wins. None if there are none. Raises InvalidRequest."""
    names: dict[str, str] = {}
    google = Google(names=names)
    sources = {"extra_body.google": asked.extra_body and asked.extra_body.google, "google": asked.google}
    for path, extra in sources.items():
        if extra is None:
            continue
        written = extra.model_dump(by_alias=True, exclude_none=True, include=set(GoogleExtra.model_fields))
        names |= {name: f"{path}.{snake(name)}" for name in written}
        for name in ("thinkingConfig", "imageConfig", "audioTimestamp"):
            if name in written:
                google.generation_config[name] = written.pop(name)
        google.request |= written
        notes.drop(*(f"{path}.{name}" for name in extra.model_extra or {}))
    if asked.safety_settings is not None:
        names["safetySettings"] = "safety_settings"
        google.request["safetySettings"] = [
            setting.model_dump(by_alias=True, exclude_none=True) for setting in asked.safety_settings
        ]
    if asked.cached_content is not None:
        names["cachedContent"] = "cached_content"
        google.request["cachedContent"] = asked.cached_content
    if asked.labels is not None:
        names["labels"] = "labels"
        google.request["labels"] = asked.labels
    labels = google.request.get("labels")
    for key, value in labels.items() if isinstance(labels, dict) else ():
        if not _LABEL.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise InvalidRequest(
                "keys and values of labels must be lower-case letters, digits, - and _, at most 63; keys begin with a"
                " letter",
                "labels",
            )
    return google if google.request or google.generation_config else None
