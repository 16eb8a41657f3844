"""Claude on Vertex: Anthropic's Messages API, by rawPredict and streamRawPredict.

What is refused, and in which words: Anthropic's API reference, its page on Vertex AI, and those on extended
thinking and on tool use. Turns must alternate here, as older models had it; newer ones put them together.
"""

import json
import re
from itertools import pairwise
from typing import Any

from tests.vertex_simulator.exchange import Answer
from tests.vertex_simulator.exchange import Plan
from tests.vertex_simulator.pictures import NoPicture
from tests.vertex_simulator.pictures import look_at_text
from tests.vertex_simulator.samples import THOUGHT
from tests.vertex_simulator.samples import WORDS
from tests.vertex_simulator.samples import sample

VERSIONS = ("vertex-2023-10-16", "2026-10-21")
"""The one that Anthropic's and Google's pages name, and the one that Anthropic's own SDK sends (2.12.0)."""
SIGNATURE = "c2lnbmVkIGJ5IENsYXVkZQ=="
MEMBERS = frozenset(
    "anthropic_version anthropic_beta messages max_tokens system metadata stop_sequences stream temperature top_k"
    " top_p tools tool_choice thinking output_config".split()
)
IDENTIFIER = re.compile(r"[a-zA-Z0-9_-]+")
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
BLOCKS = {
    "user": frozenset("text image document tool_result search_result".split()),
    "assistant": frozenset("text tool_use thinking redacted_thinking server_tool_use web_search_tool_result".split()),
}
TOOL_MEMBERS = frozenset("name description input_schema type cache_control strict input_examples".split())
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
LEAST_BUDGET = 1024
ADAPTIVE = re.compile(r"claude-(opus|sonnet)-(4-[6-9]|[5-9])")
"""These models take `thinking.type` adaptive, and `output_config.effort`."""
WITHOUT_BUDGET = re.compile(r"claude-(opus-4-[7-9]|(opus|sonnet)-[5-9])")
"""These take nothing else, and no sampling parameters."""
ONE_OF_TEMPERATURE_AND_TOP_P = re.compile(r"claude-(opus-4-[1-9]|sonnet-4-[5-9]|haiku-4-[5-9])(?!\d)")


BETAS = {
    "claude-code-20250219": "",
    "context-1m-2025-08-07": "",
    "context-management-2025-06-27": "context_management",
    "fine-grained-tool-streaming-2025-05-14": "",
    "interleaved-thinking-2025-05-14": "",
    "tool-search-tool-2025-10-19": "",
}
"""The values of `anthropic-beta` that are known here -> the member of the body that each allows. Vertex refuses any
other value."""
COMPACTION = "compact-2026-01-12"
"""The value of the body's `anthropic_beta` that allows `context_management` too."""


class Refused(Exception):
    """The message says where, as Anthropic's do."""


def claude(action: str, model: str, body: Any, plan: Plan, betas: str = "") -> Answer:
    try:
        unknown = set(betas.split(",")) - BETAS.keys() - {""}
        _need(not unknown, f"Unexpected value(s) {sorted(unknown)} for the `anthropic-beta` header.")
        if model == "count-tokens":
            return _count_tokens(body)
        _check(action, model, body, {BETAS[beta] for beta in betas.split(",") if beta})
    except Refused as e:
        error = {"type": "invalid_request_error", "message": str(e)}
        return Answer.json({"type": "error", "error": error, "request_id": "req_vrtx_01"}, 400)
    except (KeyError, TypeError, AttributeError) as e:
        error = {"type": "invalid_request_error", "message": f"The body has not the shape that it should have: {e!r}"}
        return Answer.json({"type": "error", "error": error, "request_id": "req_vrtx_01"}, 400)
    return _answer(model, body, plan)


def _count_tokens(body: dict[str, Any]) -> Answer:
    _need("model" in body, "model: Field required")
    _check_messages(body)
    tokens = _words(body["messages"])
    return Answer.json({"input_tokens": tokens}, reported={"counted_tokens": tokens})


def _need(holds: object, message: str) -> None:
    if not holds:
        raise Refused(message)


def _check(action: str, model: str, body: dict[str, Any], more: set[str]) -> None:
    _need("anthropic_version" in body, "anthropic_version: Field required")
    _need(body["anthropic_version"] in VERSIONS, f"anthropic_version: must be one of {VERSIONS}")
    if COMPACTION in body.get("anthropic_beta", []):
        more = more | {"context_management"}
    for name in body:
        _need(name in MEMBERS | more, f"{name}: Extra inputs are not permitted")
    _need("max_tokens" in body, "max_tokens: Field required")
    _need(_is_int(body["max_tokens"]) and body["max_tokens"] >= 1, "max_tokens: Input should be at least 1")
    streams = body.get("stream", False) is True
    _need(streams == (action == "streamRawPredict"), f"stream: does not go with {action}")
    _check_sampling(model, body)
    _check_thinking(model, body)
    _check_tools(body)
    _check_compaction(body)
    _check_system(body.get("system"))
    _check_messages(body)
    _need(json.dumps(body).count('"cache_control":') <= 4, "A maximum of 4 blocks with cache_control may be provided.")


def _check_sampling(model: str, body: dict[str, Any]) -> None:
    for name in ("temperature", "top_p"):
        value = body.get(name, 1)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        _need(is_number and 0 <= value <= 1, f"{name}: Input should be between 0 and 1")
    both = "temperature" in body and "top_p" in body
    _need(
        not (both and ONE_OF_TEMPERATURE_AND_TOP_P.match(model)),
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
    )
    _need("top_k" not in body or (_is_int(body["top_k"]) and body["top_k"] >= 0), "top_k: Input should be an integer")
    if WITHOUT_BUDGET.match(model):
        for name in ("temperature", "top_p", "top_k"):
            _need(body.get(name) in (None, 1), f"{name}: is not supported by this model")
    stops = body.get("stop_sequences", [])
    _need(all(isinstance(stop, str) and stop.strip() for stop in stops), "stop_sequences: each must be non-whitespace")
    _need(body.get("metadata", {}).keys() <= {"user_id"}, "metadata: Extra inputs are not permitted")


def _check_thinking(model: str, body: dict[str, Any]) -> None:
    thinking = body.get("thinking", {"type": "disabled"})
    kind = thinking.get("type")
    _need(kind in ("enabled", "disabled", "adaptive"), "thinking.type: Input should be 'enabled' or 'disabled'")
    effort = body.get("output_config", {}).get("effort")
    _need(effort in (None, "low", "medium", "high", "max", "xhigh"), "output_config.effort: unknown")
    _need(effort != "xhigh" or "-4-6" not in model, "output_config.effort: This model does not support xhigh.")
    takes_effort = ADAPTIVE.match(model) or "opus-4-5" in model
    _need(not effort or takes_effort, "output_config.effort: This model does not support the effort parameter.")
    if kind == "disabled":
        return
    if kind == "adaptive":
        _need(ADAPTIVE.match(model), "adaptive thinking is not supported on this model")
        _need(thinking.keys() <= {"type", "display"}, "thinking.adaptive: Extra inputs are not permitted")
    else:
        _need(not WITHOUT_BUDGET.match(model), "thinking.type: enabled is not supported by this model; use adaptive")
        _need(_is_thinker(model), "thinking: this model does not support thinking")
        budget = thinking.get("budget_tokens")
        _need(_is_int(budget), "thinking.enabled.budget_tokens: Field required")
        _need(
            budget >= LEAST_BUDGET,
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        )
        _need(budget < body["max_tokens"], "`max_tokens` must be greater than `thinking.budget_tokens`.")
    _need(body.get("temperature", 1) == 1, "`temperature` may only be set to 1 when thinking is enabled.")
    _need(body.get("top_p", 1) >= 0.95, "`top_p` must be greater than or equal to 0.95 when thinking is enabled.")
    _need("top_k" not in body, "`top_k` must be unset when thinking is enabled.")
    forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    _need(not forced, "Thinking may not be enabled when tool_choice forces tool use.")


def _is_thinker(model: str) -> bool:
    return re.match(r"claude-(3-7|opus-[4-9]|sonnet-[4-9]|haiku-[4-9])", model) is not None


def _check_tools(body: dict[str, Any]) -> None:
    names = [tool["name"] for tool in body.get("tools", [])]
    _need(len(set(names)) == len(names), "tools: Tool names must be unique.")
    for index, tool in enumerate(body.get("tools", [])):
        where = f"tools.{index}"
        if tool.get("type", "custom") != "custom":
            _need(re.fullmatch(r"[a-z_]+_\d{8}", tool["type"]), f"{where}: Input tag {tool['type']!r} is not known")
            _need(not tool["type"].startswith("advisor_") or "model" in tool, f"{where}.advisor.model: Field required")
            continue
        _need(TOOL_NAME.fullmatch(tool["name"]), f"{where}.custom.name: String should match pattern")
        _need(tool.keys() <= TOOL_MEMBERS, f"{where}.custom: Extra inputs are not permitted")
        schema = tool.get("input_schema")
        _need(isinstance(schema, dict), f"{where}.custom.input_schema: Field required")
        _need(schema.get("type") == "object", f"{where}.custom.input_schema.type: Input should be 'object'")
    choice = body.get("tool_choice")
    if choice is None:
        return
    kind = choice.get("type")
    _need(kind in ("auto", "any", "tool", "none"), "tool_choice.type: unknown")
    _need(names or kind == "none", "tool_choice may only be specified while providing tools.")
    known = {"type"} | ({"name"} if kind == "tool" else set())
    known |= set() if kind == "none" else {"disable_parallel_tool_use"}
    _need(choice.keys() <= known, f"tool_choice.{kind}: Extra inputs are not permitted")
    _need(kind != "tool" or choice.get("name") in names, "tool_choice.name: no such tool")


def _check_compaction(body: dict[str, Any]) -> None:
    for edit in body.get("context_management", {}).get("edits", []):
        _need(edit["type"] == "compact_20260112", "context_management.edits: unknown type")
        least = edit.get("trigger", {"value": 150_000})["value"]
        _need(least >= 50_000, "context_management.edits.0.trigger.value: Input should be at least 50000")


def _check_system(system: object) -> None:
    if isinstance(system, list):
        for index, block in enumerate(system):
            _need(block.get("type") == "text", f"system.{index}: Input should be text")
            _need(block["text"].strip(), f"system.{index}: text content blocks must be non-empty")
    else:
        _need(system is None or (isinstance(system, str) and system.strip()), "system: must be non-empty text")


def _check_messages(body: dict[str, Any]) -> None:
    messages = body.get("messages")
    _need(isinstance(messages, list) and messages, "messages: at least one message is required")
    assert messages
    roles = [message.get("role") for message in messages]
    _need(set(roles) <= {"user", "assistant"}, "messages: Unexpected role. The allowed roles are user and assistant.")
    _need(roles[0] == "user", 'messages: first message must use the "user" role')
    alternate = all(one != other for one, other in pairwise(roles))
    _need(alternate, 'messages: roles must alternate between "user" and "assistant"')
    called: list[str] = []
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        _need(message.keys() == {"role", "content"}, f"{where}: Extra inputs are not permitted")
        blocks = _blocks(message, where)
        for number, block in enumerate(blocks):
            _check_block(message["role"], block, f"{where}.content.{number}")
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        first = [block["type"] for block in blocks[: len(results)]]
        _need(set(first) <= {"tool_result"}, f"{where}: tool_result blocks must come first in the content")
        _need(
            sorted(results) == sorted(called),
            f"{where}: each `tool_use` block must have a `tool_result` block in the next message, and only those",
        )
        called = [block["id"] for block in blocks if block["type"] == "tool_use"]
        _need(len(set(called)) == len(called), f"{where}: `tool_use` ids must be unique")
    _need(not called, "messages: `tool_use` blocks must be followed by their `tool_result` blocks")
    _check_prefill(body, messages[-1])
    _check_given_back(body, messages)


def _blocks(message: dict[str, Any], where: str) -> list[dict[str, Any]]:
    content = message["content"]
    _need(content, f"{where}: all messages must have non-empty content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return list(content)


def _check_block(role: str, block: dict[str, Any], where: str) -> None:
    kind = block.get("type")
    _need(
        kind in BLOCKS[role], f"{where}: Input tag {kind!r} found using 'type' does not match any of the expected tags"
    )
    if kind == "text":
        _need(
            isinstance(block["text"], str) and block["text"].strip(), f"{where}: text content blocks must be non-empty"
        )
    elif kind == "image":
        _check_image(block["source"], where)
    elif kind == "document":
        known = ("base64", "text", "content", "url", "file")
        _need(block["source"].get("type") in known, f"{where}.document.source: Input should be one of {known}")
    elif kind == "tool_use":
        _need(IDENTIFIER.fullmatch(block["id"]), f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
        _need(TOOL_NAME.fullmatch(block["name"]), f"{where}.tool_use.name: String should match pattern")
        _need(isinstance(block.get("input"), dict), f"{where}.tool_use.input: Input should be a valid dictionary")
        known_members = {"type", "id", "name", "input", "cache_control"}
        _need(block.keys() <= known_members, f"{where}.tool_use: Extra inputs are not permitted")
    elif kind == "tool_result":
        known_members = {"type", "tool_use_id", "content", "is_error", "cache_control"}
        _need(block.keys() <= known_members, f"{where}.tool_result: Extra inputs are not permitted")
        inner = block.get("content", "")
        for part in inner if isinstance(inner, list) else []:
            _need(
                part["type"] in ("text", "image", "document", "search_result"), f"{where}.tool_result.content: unknown"
            )
    elif kind == "thinking":
        given = (block.get("thinking"), block.get("signature"))
        _need(given == (THOUGHT, SIGNATURE), f"{where}: Invalid `signature` in `thinking` block")


def _check_image(source: dict[str, Any], where: str) -> None:
    kind = source.get("type")
    _need(kind in ("base64", "url", "file"), f"{where}.image.source: unknown type")
    if kind == "url":
        _need(source["url"].startswith("https://"), f"{where}.image.source.url: Only HTTPS URLs are supported.")
    if kind == "base64":
        _need(source.get("media_type") in IMAGE_TYPES, f"{where}.image.source.base64.media_type: unknown")
        try:
            look_at_text(source["data"], source["media_type"])
        except NoPicture:
            raise Refused(f"{where}.image.source.base64.data: Could not process image") from None


def _check_prefill(body: dict[str, Any], last: dict[str, Any]) -> None:
    if last["role"] != "assistant":
        return
    _need(not _thinks(body), "messages: a prefilled answer does not go with thinking")
    text = _blocks(last, "messages")[-1].get("text", "")
    _need(text == text.rstrip(), "messages: final assistant content cannot end with trailing whitespace")


def _check_given_back(body: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    """Within a round of tools the thinking before the calls must come back."""
    if not _thinks(body) or not _is_answering(messages):
        return
    for index in range(len(messages) - 2, -1, -2):
        if not _is_answering(messages[: index + 2]):
            break
        first = messages[index]["content"][0]["type"]
        _need(
            first in ("thinking", "redacted_thinking"),
            f"messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. When"
            " `thinking` is enabled, a final `assistant` message must start with a thinking block.",
        )


def _is_answering(messages: list[dict[str, Any]]) -> bool:
    """Whether the last message carries results of tools."""
    content = messages[-1]["content"]
    return isinstance(content, list) and any(block["type"] == "tool_result" for block in content)


def _thinks(body: dict[str, Any]) -> bool:
    return body.get("thinking", {}).get("type") in ("enabled", "adaptive")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _words(messages: list[dict[str, Any]]) -> int:
    return sum(len(json.dumps(message["content"]).split()) for message in messages)


def _content(body: dict[str, Any], plan: Plan) -> tuple[list[dict[str, Any]], str]:
    """The blocks of an answer, and why it stopped."""
    blocks: list[dict[str, Any]] = []
    if _thinks(body):
        blocks.append({"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE})
    tools = body.get("tools", [])
    mine = [tool for tool in tools if tool.get("type", "custom") == "custom"]
    choice = body.get("tool_choice", {"type": "auto"})
    wanted = [tool for tool in mine if choice["type"] != "tool" or tool["name"] == choice["name"]]
    if wanted and choice["type"] != "none" and not _is_answering(body["messages"]):
        calls = 1 if choice.get("disable_parallel_tool_use") else plan.calls
        blocks += [
            {
                "type": "tool_use",
                "id": f"toolu_vrtx_{number}",
                "name": wanted[0]["name"],
                "input": sample(wanted[0]["input_schema"], number),
            }
            for number in range(calls)
        ]
        return blocks, "tool_use"
    if any(str(tool.get("type")).startswith("web_search") for tool in tools):
        blocks += _search()
    text = " ".join(WORDS[: plan.words])
    schema = (body.get("output_config", {}).get("format") or {}).get("schema")
    blocks.append({"type": "text", "text": json.dumps(sample(schema)) if schema else text})
    return blocks, "end_turn" if body["max_tokens"] >= plan.words else "max_tokens"


def _search() -> list[dict[str, Any]]:
    found = {
        "type": "web_search_result",
        "url": "https://example.com/",
        "title": "Example",
        "encrypted_content": "eA==",
    }
    return [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "example"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [found]},
    ]


def _answer(model: str, body: dict[str, Any], plan: Plan) -> Answer:
    prompt = _words(body["messages"])
    blocks, stop_reason = _content(body, plan)
    searches = sum(block["type"] == "server_tool_use" for block in blocks)
    output = 9 + (7 if _thinks(body) else 0)
    usage: dict[str, Any] = {"input_tokens": prompt, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 5}
    if searches:
        usage["server_tool_use"] = {"web_search_requests": searches}
    message = {
        "id": "msg_vrtx_01",
        "type": "message",
        "role": "assistant",
        "model": model.replace("@", "-"),
        "stop_sequence": None,
    }
    reported: dict[str, int | None] = {
        "input_tokens": prompt + 7,
        "input_cached_tokens": 5,
        "input_cache_write_tokens": 2,
        "output_tokens": output,
        "total_tokens": None,
    }
    if searches:
        reported["search_queries"] = searches
    told = {"output_tokens": output} | _iterations(body, usage, output, reported)
    if not body.get("stream"):
        whole = message | {"content": blocks, "stop_reason": stop_reason, "usage": usage | told}
        return Answer.json(whole, reported=reported)
    start: dict[str, Any] = message | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(blocks):
        events += _block_events(index, block)
    # Vertex has a kind of its own among them.
    events.insert(2, {"type": "ping"})
    events.insert(3, {"type": "vertex_event"})
    stopped = {"stop_reason": stop_reason, "stop_sequence": None}
    events += [
        {"type": "message_delta", "delta": stopped, "usage": told},
        {"type": "message_stop"},
    ]
    if plan.error_after is not None:
        error = {"type": "overloaded_error", "message": "Overloaded"}
        events = [*events[: plan.error_after], {"type": "error", "error": error}]
    pieces = [f"event: {event['type']}\ndata: {json.dumps(event)}  \n\n".encode() for event in events]
    return Answer(200, "text/event-stream; charset=utf-8", pieces, streamed=True, reported=reported)


def _iterations(
    body: dict[str, Any], usage: dict[str, Any], output: int, reported: dict[str, int | None]
) -> dict[str, Any]:
    """The usage by iterations if it takes more than one: the counts beside them leave out those of a compaction and
    those of an advisor. Adds theirs to `reported`."""
    none = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    more: list[dict[str, Any]] = []
    if body.get("context_management"):
        more.append({"type": "compaction", "input_tokens": 55_196, "output_tokens": 1_200, **none})
    advisors = [tool["model"] for tool in body.get("tools", []) if str(tool.get("type")).startswith("advisor_")]
    more += [
        {"type": "advisor_message", "model": m, "input_tokens": 823, "output_tokens": 1_612, **none} for m in advisors
    ]
    for name in ("input_tokens", "output_tokens"):
        reported[name] = (reported[name] or 0) + sum(one[name] for one in more)
    own = {name: count for name, count in usage.items() if name.endswith("_tokens")}
    return {"iterations": [*more, {"type": "message", **own, "output_tokens": output}]} if more else {}


def _block_events(index: int, block: dict[str, Any]) -> list[dict[str, Any]]:
    start: dict[str, Any] = block
    deltas: list[dict[str, Any]] = []
    if block["type"] == "text":
        first, _, rest = block["text"].partition(" ")
        start = block | {"text": ""}
        deltas = [{"type": "text_delta", "text": text} for text in (first, f" {rest}") if text.strip()]
    elif block["type"] == "thinking":
        start = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [
            *({"type": "thinking_delta", "thinking": text} for text in ("Let me ", "think.")),
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    elif block["type"] in ("tool_use", "server_tool_use"):
        start = block | {"input": {}}
        written = json.dumps(block["input"])
        halves = ("", written[: len(written) // 2], written[len(written) // 2 :])
        deltas = [{"type": "input_json_delta", "partial_json": half} for half in halves]
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]
