"""Reads a client's request for OpenAI's Responses into the neutral form. Nothing is stored here, so a request that
refers to something stored is refused.

Source: OpenAI's API reference. Members that it does not have (videos, `google`, ...) are as in `openai_chat`.
"""

from addons.translation.conversation import Json
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import Thinking
from addons.translation.errors import InvalidRequest
from addons.translation.openai_chat.parts import add_parts
from addons.translation.openai_chat.parts import read_parts
from addons.translation.openai_chat.settings import note_undeclared
from addons.translation.openai_chat.settings import read_effort
from addons.translation.openai_chat.settings import read_format
from addons.translation.openai_chat.settings import start_request
from addons.translation.openai_responses import schema
from addons.translation.openai_responses.history import History
from addons.translation.openai_responses.schema import LOGPROBS
from addons.translation.openai_responses.schema import ResponsesRequest
from addons.translation.openai_responses.tools import read_tools
from addons.translation.validation import NO_VALUE
from addons.translation.validation import is_finite
from addons.translation.validation import validated


def read_request(body: Json) -> Request:
    """The request in a body of Responses, parsed from JSON. Raises InvalidRequest."""
    asked = validated(ResponsesRequest, body)
    for name, cure in schema.STORED.items():
        if getattr(asked, name) is not None:
            raise InvalidRequest(cure, name)
    if asked.background:
        raise InvalidRequest("there are no background responses: leave background out, or set stream", "background")
    for name in schema.ECHOED:
        if not is_finite(body.get(name)):
            raise InvalidRequest(NO_VALUE, name)
    request = start_request(asked)
    request.names = NAMES | _names(asked)
    request.notes.drop(*_without_target(asked))
    request.max_tokens = asked.max_output_tokens
    request.logprobs = LOGPROBS in (asked.include or ()) or bool(asked.top_logprobs)
    if asked.text and asked.text.format:
        wanted = asked.text.format
        request.format = read_format(wanted.type, wanted, "text.format", "text.format.schema")
    request.thinking = _read_thinking(asked)
    names = read_tools(asked, request)
    if asked.instructions:
        request.system.append(Text(asked.instructions))
    if isinstance(asked.input, str):
        add_parts(request.turns, "user", read_parts(asked.input, "input", request.notes))
    else:
        History(request, asked.input or [], names).read()
    request.client_tools = names.tools()
    note_undeclared(request, asked)
    if not request.turns and not request.system:
        raise InvalidRequest("the input is empty; write a text", "input")
    return request


NAMES = {"turns": "input", "max_tokens": "max_output_tokens"}
"""Fields of a Request -> their paths in a body of Responses, where these differ."""


def _names(asked: ResponsesRequest) -> dict[str, str]:
    """Fields of a Request that the body can give in two members -> the member that the client used."""
    include, reasoning = asked.include or [], asked.reasoning
    summary = "generate_summary" if reasoning and not reasoning.summary else "summary"
    logprobs = f"include[{include.index(LOGPROBS)}]" if LOGPROBS in include else "top_logprobs"
    return {"logprobs": logprobs, "include": f"reasoning.{summary}"}


def _without_target(asked: ResponsesRequest) -> list[str]:
    """Paths of settings that no service here can follow, though the schema declares them or the object they are in."""
    dropped = [f"include[{place}]" for place, name in enumerate(asked.include or []) if name not in schema.INCLUDABLE]
    if asked.store:
        dropped.append("store")
    if asked.truncation == "auto":
        dropped.append("truncation")
    if asked.text and asked.text.verbosity:
        dropped.append("text.verbosity")
    dropped += [name for name in REPEATED_ONLY if getattr(asked, name)]
    dropped += [f"stream_options.{name}" for name, value in (asked.stream_options or {}).items() if value]
    return dropped


REPEATED_ONLY = ("metadata", "safety_identifier", "prompt_cache_key")
"""Settings that a Response repeats, and that no service here knows."""


def _read_thinking(asked: ResponsesRequest) -> Thinking | None:
    reasoning = asked.reasoning or schema.ReasoningConfig()
    effort = read_effort(reasoning.effort, "reasoning.effort") if reasoning.effort is not None else None
    include = True if reasoning.summary or reasoning.generate_summary else None
    return Thinking(effort, include=include, param="reasoning") if effort or include else None
