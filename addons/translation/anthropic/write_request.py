"""Writes a request for Claude on Vertex AI: the body of rawPredict or streamRawPredict, from the neutral form.

Sources: Anthropic's reference of Messages, and its pages on thinking, tool use, prompt caching and Claude on Vertex AI
(which says that the model is in the path, and `anthropic_version` in the body).
"""

from dataclasses import replace
from itertools import dropwhile
from typing import Any

from addons.translation import json_schema
from addons.translation.anthropic.answer_tool import AnswerTool
from addons.translation.anthropic.answer_tool import answer_tool_of
from addons.translation.anthropic.families import Family
from addons.translation.anthropic.families import family_of
from addons.translation.anthropic.messages import TOOL_NAMES
from addons.translation.anthropic.messages import Message
from addons.translation.anthropic.messages import cache_control
from addons.translation.anthropic.messages import write_blocks
from addons.translation.anthropic.messages import write_messages
from addons.translation.anthropic.thinking import write_thinking
from addons.translation.conversation import DEFAULT_TIERS
from addons.translation.conversation import Function
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Notes
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import Written
from addons.translation.errors import InvalidRequest
from addons.translation.function_names import Names
from metering.json_values import items

VERSION = "vertex-2023-10-16"
"""The value of `anthropic_version` (Anthropic's page on Claude on Vertex AI)."""
WITHOUT_TARGET = ("presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "voice", "audio_format")
"""Fields of our `Request` that Claude has no parameter for."""
SERVER_TOOLS: dict[str, Json] = {"googleSearch": {"type": "web_search_20250305", "name": "web_search"}}
"""Google's names of tools that the service runs itself -> Claude's tools."""
LONGEST_USER = 256
"""The most characters of `metadata.user_id` (reference of Messages)."""
LEAST_TOP_P = 0.95
"""The least `top_p` while a model thinks (page on extended thinking)."""
MOST_CACHES = 4
"""The most blocks with `cache_control` in a request (page on prompt caching)."""
DEFAULT_MAX_TOKENS = 8192
"""`max_tokens` if the client gives none; Claude needs one. Twice as many for a family that thinks unasked. The number
is ours."""


def write_request(request: Request) -> Written:
    """The body for Claude, and notes that name what it could not hold. `request` is not changed. Raises InvalidRequest
    for what Claude cannot do."""
    family = family_of(request.model)
    # The notes are copied: the request may be written for another service too, which drops other things.
    notes = Notes([*request.notes.dropped], [*request.notes.assumed])
    names = Names(request, TOOL_NAMES)
    request = names.applied(replace(request, notes=notes))
    if request.n is not None and request.n > 1:
        raise InvalidRequest(
            "Claude returns one choice: leave n out, and send a request for each choice", request.named("n")
        )
    try:
        messages = write_messages(request, family)
    except InvalidRequest as e:
        # Which message is wrong is not known here.
        e.param = request.named("turns", "messages")
        raise
    _note_dropped(request)
    thinking = write_thinking(request, family, messages)
    answer_tool = answer_tool_of(request) if family.takes_forced_calls and not thinking.on else None
    body: Json = {"anthropic_version": VERSION, "messages": [message._asdict() for message in messages]}
    body["max_tokens"] = _max_tokens(request, family, thinking.budget)
    system = [text for text in request.system if request.turns]
    if request.format and not answer_tool:
        system.append(Text(json_schema.instruction(request.format.described)))
        notes.assumed.append(f"{request.format.param}=instruction")
    if instructions := list(write_blocks(system)):
        body["system"] = instructions
    body |= thinking.members
    body |= _sampling(request, family, thinking.on)
    body |= _tools(request, messages, answer_tool, forced=family.takes_forced_calls and not thinking.on)
    if request.user:
        if len(request.user) <= LONGEST_USER:
            body["metadata"] = {"user_id": request.user}
        else:
            notes.dropped.append(request.named("user"))
    if request.stream:
        body["stream"] = True
    _limit_caches(
        request, [*items(body.get("tools")), *instructions, *(block for one in messages for block in one.content)]
    )
    names.restore(notes)
    notes.dropped = list(dict.fromkeys(notes.dropped))
    return Written(body, {}, notes)


def _note_dropped(request: Request) -> None:
    dropped = request.notes.dropped
    request.notes.drop(*request.unusable("anthropic"))
    dropped += [request.named(name) for name in WITHOUT_TARGET if getattr(request, name)]
    if request.seed is not None:
        dropped.append(request.named("seed"))
    if set(request.modalities or ()) - {"text"}:
        dropped.append(request.named("modalities"))
    if request.service_tier and request.service_tier not in DEFAULT_TIERS:
        dropped.append(request.named("service_tier"))
    if any(isinstance(part, Media) and part.detail for turn in request.turns for part in turn.parts):
        dropped.append(request.named("detail"))
    if request.google:
        dropped += request.google.paths()


def _limit_caches(request: Request, blocks: list[Any]) -> None:
    """Changes each `cache_control` that Claude would refuse. Only the last MOST_CACHES are kept. One for an hour that
    comes after one for five minutes becomes one for five minutes. `blocks` are all tools, instructions and message
    blocks of a request, in this order, in which Claude reads them."""
    cached = [block for block in blocks if "cache_control" in block]
    name = request.named("cache", "cache_control")
    for block in cached[:-MOST_CACHES]:
        del block["cache_control"]
    if min(len(cached), MOST_CACHES) < len(request.caches()):
        request.notes.drop(name)
    behind = dropwhile(_is_for_an_hour, cached[-MOST_CACHES:])
    if late := [block for block in behind if _is_for_an_hour(block)]:
        request.notes.drop(f"{name}.ttl")
    for block in late:
        block["cache_control"] = {"type": "ephemeral"}


def _is_for_an_hour(block: Any) -> bool:
    return bool(block["cache_control"].get("ttl") == "1h")


def _max_tokens(request: Request, family: Family, budget: int) -> int:
    most = request.max_tokens or DEFAULT_MAX_TOKENS * (1 + family.thinks_unasked)
    if most <= budget:
        most += budget
    most = min(most, family.most_tokens)
    if most != request.max_tokens:
        request.notes.assumed.append(f"{request.named('max_tokens')}={most}")
    return most


def _sampling(request: Request, family: Family, thinks: bool) -> Json:
    sampling: Json = {}
    dropped = request.notes.dropped
    if request.temperature is not None:
        if thinks or not family.takes_sampling:
            dropped.append(request.named("temperature"))
        else:
            sampling["temperature"] = min(request.temperature, 1)
            if request.temperature > 1:
                request.notes.assumed.append(f"{request.named('temperature')}=1")
    if request.top_p is not None:
        # Newer models take either temperature or top_p.
        if not family.takes_sampling or sampling or (thinks and request.top_p < LEAST_TOP_P):
            dropped.append(request.named("top_p"))
        else:
            sampling["top_p"] = request.top_p
    if request.top_k is not None:
        if thinks or not family.takes_sampling:
            dropped.append(request.named("top_k"))
        else:
            sampling["top_k"] = int(request.top_k)
    if request.stop:
        if stop := [text for text in request.stop if text.strip()]:
            sampling["stop_sequences"] = stop
        if len(stop) < len(request.stop):
            dropped.append(request.named("stop"))
    return sampling


def _tools(request: Request, messages: list[Message], answer_tool: AnswerTool | None, forced: bool) -> Json:
    """The members `tools` and `tool_choice`. `forced` is whether the model can be made to call a tool."""
    choice = request.tool_choice
    names = choice.names if choice and choice.mode != "none" else []
    functions = [function for function in request.functions if not names or function.name in names]
    tools = [_tool(function, request.notes) for function in functions]
    for name, param in request.server_tools.items():
        tool = SERVER_TOOLS.get(name)
        if tool and not any(function.name == tool["name"] for function in functions):
            tools.append(tool)
        else:
            request.notes.dropped.append(param)
    mode: Json | None = None
    if answer_tool:
        alone = not tools or (choice is not None and choice.mode == "none")
        mode = {"type": "tool", "name": answer_tool.name} if alone else {"type": "any"}
        if alone:
            mode["disable_parallel_tool_use"] = True
        tools.append({"name": answer_tool.name, "description": "Gives the answer.", "input_schema": answer_tool.schema})
    elif not tools:
        # Claude's error says: "Requests which include tool_use or tool_result blocks must define tools".
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in _called_names(messages)]
        mode = {"type": "none"} if tools else None
    elif request.functions and choice:
        mode = {"type": choice.mode}
        if choice.mode == "required":
            mode = {"type": "tool", "name": names[0]} if len(names) == 1 else {"type": "any"}
            if not forced:
                mode = {"type": "auto"}
                request.notes.dropped.append(request.named("tool_choice"))
    if request.functions and request.parallel_tool_calls is False and (mode is None or mode["type"] != "none"):
        mode = (mode or {"type": "auto"}) | {"disable_parallel_tool_use": True}
    return ({"tools": tools} if tools else {}) | ({"tool_choice": mode} if mode else {})


def _called_names(messages: list[Message]) -> list[object]:
    """The names of the tools that the conversation has calls of."""
    blocks = (block for message in messages for block in message.content)
    return list(dict.fromkeys(block["name"] for block in blocks if block["type"] == "tool_use"))


def _tool(function: Function, notes: Notes) -> Json:
    accepted = json_schema.as_object(function.parameters)
    accepted.note(function.name, notes)
    written: Json = {"name": function.name}
    if function.description:
        written["description"] = function.description
    return written | {"input_schema": accepted.schema} | cache_control(function.cache)
