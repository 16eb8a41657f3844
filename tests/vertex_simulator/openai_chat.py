"""OpenAI's chat completions: of an OpenAI upstream (strict, `check_chat`), and of Vertex's own endpoint (`gemini`).

What is refused, and in which words: OpenAI's API reference, and its page on structured outputs.
"""

import json
import re
from typing import Any

from tests.vertex_simulator.credentials import Denied
from tests.vertex_simulator.exchange import Answer
from tests.vertex_simulator.exchange import Plan
from tests.vertex_simulator.openai_errors import known
from tests.vertex_simulator.openai_errors import need
from tests.vertex_simulator.openai_errors import one_of
from tests.vertex_simulator.samples import THOUGHT
from tests.vertex_simulator.samples import sample

MEMBERS = frozenset(
    "messages model audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens"
    " max_tokens metadata modalities moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key"
    " prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier stop store stream"
    " stream_options temperature tool_choice tools top_logprobs top_p user verbosity web_search_options".split()
)
RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "top_logprobs": (0, 20),
    "n": (1, 128),
    "max_tokens": (1, 2**31),
    "max_completion_tokens": (1, 2**31),
}
ROLES = {
    "developer": frozenset({"role", "content", "name"}),
    "system": frozenset({"role", "content", "name"}),
    "user": frozenset({"role", "content", "name"}),
    "assistant": frozenset("role content name refusal audio tool_calls function_call annotations".split()),
    "tool": frozenset({"role", "content", "tool_call_id"}),
}
"""Role -> the members of its messages."""
PARTS = {
    "developer": ("text",),
    "system": ("text",),
    "user": ("text", "image_url", "input_audio", "file"),
    "assistant": ("text", "refusal"),
    "tool": ("text",),
}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
LONGEST_ID = 40
REASONING = re.compile(r"(o\d|gpt-5(?!\.\d|-chat)|gpt-5\.\d-codex)")
"""These models take no sampling parameters."""
NEWER = re.compile(r"(o\d|gpt-[5-9])")
"""These know `max_tokens` by its new name only."""
ALWAYS = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "stop", "logit_bias")


def check_chat(body: dict[str, Any]) -> None:
    """Raises Refused."""
    known(body, MEMBERS)
    for name in ("model", "messages"):
        need(name in body, f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    for name, (least, most) in RANGES.items():
        value = body.get(name)
        if value is not None:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            need(is_number and least <= value <= most, f"Invalid '{name}': {value!r}.", name, "invalid_value")
    one_of(body.get("reasoning_effort"), EFFORTS, "reasoning_effort")
    one_of(body.get("verbosity"), ("low", "medium", "high"), "verbosity")
    _check_of_model(body)
    need(
        "stream_options" not in body or body.get("stream"),
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        "stream_options",
    )
    stop = body.get("stop")
    stops = stop if isinstance(stop, list) else [stop] if stop else []
    need(len(stops) <= 4 and all(isinstance(one, str) for one in stops), "Invalid 'stop': at most 4.", "stop")
    need("top_logprobs" not in body or body.get("logprobs"), "'top_logprobs' needs 'logprobs'.", "top_logprobs")
    _check_tools(body)
    _check_format(body.get("response_format"))
    _check_messages(body["messages"])


def _check_of_model(body: dict[str, Any]) -> None:
    model = str(body["model"])
    if NEWER.match(model):
        text = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        need("max_tokens" not in body, text, "max_tokens", "unsupported_parameter")
    if REASONING.match(model):
        for name in ALWAYS:
            text = f"Unsupported value: '{name}' does not support {body.get(name)!r} with this model."
            need(body.get(name) in (None, 1, False), text, name, "unsupported_value")


def _check_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools")
    need(tools is None or tools, "Invalid 'tools': empty array. Expected an array with minimum length 1.", "tools")
    for index, tool in enumerate(tools or []):
        where = f"tools[{index}]"
        one_of(tool.get("type"), ("function", "custom"), f"{where}.type")
        function = tool.get("function")
        need(isinstance(function, dict), f"Missing required parameter: '{where}.function'.", f"{where}.function")
        known(function, frozenset({"name", "description", "parameters", "strict"}), f"{where}.function.")
        need(NAME.fullmatch(function.get("name", "")), f"Invalid '{where}.function.name'.", f"{where}.function.name")
        parameters = function.get("parameters")
        if parameters is not None:
            is_object = isinstance(parameters, dict) and parameters.get("type") == "object"
            need(
                is_object and not {"oneOf", "anyOf", "allOf", "enum", "not"} & parameters.keys(),
                f"Invalid schema for function {function['name']!r}: schema must have type 'object' and not have"
                " 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level.",
                f"{where}.function.parameters",
            )
            if function.get("strict"):
                _check_strict(parameters, f"{where}.function.parameters")
            _check_schema(parameters, f"{where}.function.parameters")
    for name in ("tool_choice", "parallel_tool_calls"):
        need(tools or body.get(name) in (None, "none"), f"'{name}' is only allowed when 'tools' are specified.", name)
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "function":
        names = [tool["function"]["name"] for tool in tools or []]
        need(choice.get("function", {}).get("name") in names, "Tool choice is not among the tools.", "tool_choice")
    elif not isinstance(choice, dict):
        one_of(choice, ("none", "auto", "required"), "tool_choice")


def _check_schema(schema: object, where: str) -> None:
    """JSON Schema has lower-case types."""
    if isinstance(schema, dict):
        kind = schema.get("type")
        for one in kind if isinstance(kind, list) else [kind]:
            if isinstance(one, str):
                types = ("object", "array", "string", "number", "integer", "boolean", "null")
                need(one in types, f"Invalid schema: '{one}' is not valid under any of the given schemas.", where)
        for name in ("properties", "$defs"):
            several = schema.get(name) or {}
            need(isinstance(several, dict), f"Invalid schema: '{name}' is not an object.", where)
            for inner in several.values():
                _check_schema(inner, where)
        any_of = schema.get("anyOf") or []
        need(isinstance(any_of, list), "Invalid schema: 'anyOf' is not an array.", where)
        for inner in [schema.get("items"), *any_of]:
            _check_schema(inner, where)


def _check_strict(schema: object, where: str) -> None:
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object":
        closed = schema.get("additionalProperties") is False
        need(closed, "Invalid schema: 'additionalProperties' is required to be supplied and to be false.", where)
        names = set(schema.get("properties", {}))
        need(names == set(schema.get("required", [])), "Invalid schema: 'required' must include every property.", where)
    for inner in [*schema.get("properties", {}).values(), schema.get("items"), *schema.get("anyOf", [])]:
        _check_strict(inner, where)


def _check_format(form: Any) -> None:
    if form is None:
        return
    one_of(form.get("type"), ("text", "json_object", "json_schema"), "response_format.type")
    if form["type"] == "json_schema":
        asked = form.get("json_schema")
        need(isinstance(asked, dict), "Missing required parameter: 'response_format.json_schema'.", "response_format")
        known(asked, frozenset({"name", "description", "schema", "strict"}), "response_format.json_schema.")
        need(
            NAME.fullmatch(asked.get("name", "")),
            "Invalid 'response_format.json_schema.name'.",
            "response_format.json_schema.name",
        )
        schema = asked.get("schema")
        need(
            isinstance(schema, dict),
            "Missing required parameter: 'response_format.json_schema.schema'.",
            "response_format",
        )
        _check_schema(schema, "response_format.json_schema.schema")
        if asked.get("strict"):
            _check_strict(schema, "response_format.json_schema.schema")


def _check_messages(messages: Any) -> None:
    need(isinstance(messages, list) and messages, "Invalid 'messages': empty array.", "messages", "empty_array")
    open_calls: list[str] = []
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        role = message.get("role")
        one_of(role or "", tuple(ROLES), f"{where}.role")
        known(message, ROLES[role], f"{where}.")
        if role == "tool":
            text = "Messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
            need(message.get("tool_call_id") in open_calls, text, f"{where}.role")
            open_calls.remove(message["tool_call_id"])
        else:
            text = "An assistant message with 'tool_calls' must be followed by one message for each 'tool_call_id'."
            need(not open_calls, f"{text} Missing: {', '.join(open_calls)}", f"{where}.role")
        _check_content(role, message, where)
        open_calls = open_calls if role == "tool" else _check_calls(message.get("tool_calls"), where)
    need(not open_calls, "An assistant message with 'tool_calls' must be followed by tool messages.", "messages")


def _check_content(role: str, message: dict[str, Any], where: str) -> None:
    content = message.get("content")
    if content is None:
        said = role == "assistant" and (message.get("tool_calls") or message.get("refusal"))
        need(said, "Invalid value for 'content': expected a string, got null.", f"{where}.content")
        return
    need(isinstance(content, str | list), f"Invalid type for '{where}.content'.", f"{where}.content", "invalid_type")
    if isinstance(content, str):
        return
    need(content, f"Invalid '{where}.content': empty array.", f"{where}.content", "empty_array")
    for number, part in enumerate(content):
        at = f"{where}.content[{number}]"
        one_of(part.get("type", ""), PARTS[role], f"{at}.type")
        if part["type"] == "text":
            known(part, frozenset({"type", "text"}), f"{at}.")
            need(isinstance(part.get("text"), str), f"Missing required parameter: '{at}.text'.", f"{at}.text")
        elif part["type"] == "image_url":
            image = part.get("image_url")
            need(isinstance(image, dict), f"Invalid type for '{at}.image_url': expected an object.", f"{at}.image_url")
            known(image, frozenset({"url", "detail"}), f"{at}.image_url.")
            one_of(image.get("detail"), ("auto", "low", "high", "original"), f"{at}.image_url.detail")
            need(
                re.match(r"https?://|data:image/\w+;base64,", image.get("url", "")),
                "Invalid image URL.",
                f"{at}.image_url.url",
            )
        elif part["type"] == "input_audio":
            one_of(part["input_audio"].get("format", ""), ("wav", "mp3"), f"{at}.input_audio.format")
        elif part["type"] == "file":
            known(part["file"], frozenset({"file_data", "file_id", "filename"}), f"{at}.file.")


def _check_calls(calls: Any, where: str) -> list[str]:
    need(calls is None or calls, f"Invalid '{where}.tool_calls': empty array.", f"{where}.tool_calls", "empty_array")
    ids = []
    for number, call in enumerate(calls or []):
        at = f"{where}.tool_calls[{number}]"
        known(call, frozenset({"id", "type", "function"}), f"{at}.")
        one_of(call.get("type", ""), ("function",), f"{at}.type")
        need(isinstance(call.get("id"), str) and call["id"], f"Missing required parameter: '{at}.id'.", f"{at}.id")
        need(
            len(call["id"]) <= LONGEST_ID,
            f"Invalid '{at}.id': string too long. Expected a string with maximum length 40.",
            f"{at}.id",
        )
        need(NAME.fullmatch(call["function"].get("name", "")), f"Invalid '{at}.function.name'.", f"{at}.function.name")
        arguments = call["function"].get("arguments")
        need(isinstance(arguments, str), f"Invalid type for '{at}.function.arguments'.", f"{at}.function.arguments")
        ids.append(call["id"])
    need(len(set(ids)) == len(ids), "Duplicate value for 'tool_call_id'.", where)
    return ids


def chat(body: dict[str, Any], plan: Plan, *, gemini: bool = False) -> Answer:
    """Raises Denied for what Vertex refuses."""
    if gemini and "/" not in body["model"]:
        raise Denied(400, "INVALID_ARGUMENT", "Malformed publisher model name: expected format '<publisher>/<model>'")
    prompt = sum(len(json.dumps(message.get("content")).split()) for message in body["messages"])
    reasoning = plan.thoughts
    choices = [_choice(index, body, plan) for index in range(body.get("n") or 1)]
    made = 6 * len(choices)
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": made if gemini else made + reasoning,
        "total_tokens": prompt + made + reasoning,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    if gemini:
        usage["extra_properties"] = {"google": {"traffic_type": "ON_DEMAND"}}
    reported: dict[str, int | None] = {
        "input_tokens": prompt,
        "output_tokens": made + reasoning,
        "output_thought_tokens": reasoning,
        "total_tokens": prompt + made + reasoning,
    }
    common = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
    if not body.get("stream"):
        whole = {**common, "object": "chat.completion", "choices": choices, "usage": usage}
        return Answer.json(whole, reported=reported)
    deltas = [(choice["index"], *told) for choice in choices for told in _deltas(choice)]
    wants_usage = (body.get("stream_options") or {}).get("include_usage")
    none_yet = {"usage": None} if wants_usage and not gemini else {}
    events: list[dict[str, Any]] = [
        {
            **common,
            "object": "chat.completion.chunk",
            "choices": [{"index": index, "delta": delta, "finish_reason": reason}],
            **none_yet,
        }
        for index, delta, reason in deltas
    ]
    if gemini:
        events[-1]["usage"] = usage
    elif wants_usage:
        events.append({**common, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    else:
        reported = {"input_tokens": None, "output_tokens": None, "total_tokens": None}
    if plan.error_after is not None:
        events = [*events[: plan.error_after], {"error": {"type": "server_error", "message": "Simulated."}}]
        return Answer(200, "text/event-stream", [_data(event) for event in events], streamed=True)
    pieces = [*map(_data, events), b"data: [DONE]\n\n"]
    return Answer(200, "text/event-stream; charset=utf-8", pieces, streamed=True, reported=reported)


def _choice(index: int, body: dict[str, Any], plan: Plan) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "Hello there."}
    reason = "stop"
    if plan.thoughts and not re.match(r"gpt-|o\d", body["model"]):
        # OpenAI keeps it; those that are compatible show it.
        message["reasoning_content"] = THOUGHT
    choice, answering = body.get("tool_choice"), body["messages"][-1]["role"] == "tool"
    functions = [tool["function"] for tool in body.get("tools") or [] if tool.get("type") == "function"]
    form = body.get("response_format") or {"type": "text"}
    if functions and choice != "none" and not answering:
        wanted = choice["function"]["name"] if isinstance(choice, dict) else functions[0]["name"]
        function = next(one for one in functions if one["name"] == wanted)
        calls = 1 if body.get("parallel_tool_calls") is False else plan.calls
        message |= {"content": None, "tool_calls": [_call(function, index, number) for number in range(calls)]}
        reason = "tool_calls"
    elif form["type"] == "json_schema":
        message["content"] = json.dumps(sample(form["json_schema"]["schema"]))
    elif form["type"] == "json_object":
        message["content"] = '{"answer": 42}'
    elif (body.get("max_completion_tokens") or body.get("max_tokens") or 6) < 2:
        message["content"], reason = "Hello", "length"
    return {"index": index, "finish_reason": reason, "message": message, "logprobs": None}


def _call(function: dict[str, Any], index: int, number: int) -> dict[str, Any]:
    arguments = json.dumps(sample(function.get("parameters") or {}, number))
    called = {"name": function["name"], "arguments": arguments}
    return {"id": f"call_simulated_{index}{number}", "type": "function", "function": called}


def _deltas(choice: dict[str, Any]) -> list[tuple[dict[str, Any], str | None]]:
    """What the chunks of a choice add, each with its finish reason."""
    message = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "" if message["content"] else None}]
    if "reasoning_content" in message:
        deltas += [{"reasoning_content": text} for text in ("Let me ", "think.")]
    for number, call in enumerate(message.get("tool_calls", [])):
        arguments = call["function"]["arguments"]
        deltas.append({"tool_calls": [{"index": number, **call, "function": {**call["function"], "arguments": ""}}]})
        deltas += [
            {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}
            for piece in (arguments[:3], arguments[3:])
        ]
    if content := message["content"]:
        middle = content.find(" ") + 1
        deltas += [{"content": piece} for piece in (content[:middle], content[middle:]) if piece]
    return [(delta, None) for delta in deltas] + [({}, choice["finish_reason"])]


def _data(event: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()
