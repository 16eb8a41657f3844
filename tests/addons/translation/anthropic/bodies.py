"""What is written for Claude, held against what Anthropic takes of each model."""

import json
import re
from typing import Any

import pytest
from pydantic_core import from_json
from pydantic_core import to_json

from addons.translation.anthropic.write_request import write_request
from addons.translation.conversation import Function
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import Turn
from addons.translation.errors import InvalidRequest

Json = dict[str, Any]

OLD = "claude-3-5-sonnet-v2@20241022"
MANUAL = "claude-sonnet-4-5@20250929"
ADAPTIVE = "claude-opus-4-6"
STRICT = "claude-opus-4-7"
UNASKED = "claude-opus-5"
ALWAYS = "claude-opus-5-5"
NUMBER = "4611686018427387904"
MOST = {
    "claude-3-haiku@20240307": 4096,
    OLD: 8192,
    "claude-3-7-sonnet@20250219": 64000,
    "claude-opus-4-1@20250805": 32000,
    MANUAL: 64000,
    "claude-opus-4-5@20251101": 64000,
    ADAPTIVE: 128000,
    "claude-sonnet-4-6": 64000,
    STRICT: 128000,
    UNASKED: 128000,
    "claude-haiku-5-5": 128000,
    "claude-sonnet-5-5": 128000,
    ALWAYS: 128000,
    "claude-fable-5": 128000,
    NUMBER: 4096,
}
"""Models -> tokens of their longest answers (Anthropic's overview of models)."""
MANUAL_ONLY = frozenset({"claude-3-7-sonnet@20250219", "claude-opus-4-1@20250805", MANUAL, "claude-opus-4-5@20251101"})
NO_THINKING = frozenset({"claude-3-haiku@20240307", OLD, NUMBER})
SAMPLING = frozenset({*MANUAL_ONLY, *NO_THINKING, ADAPTIVE, "claude-sonnet-4-6"}) - {NUMBER}
PREFILL = frozenset({*MANUAL_ONLY, *NO_THINKING}) - {NUMBER}
STOPS = {UNASKED: "disabled", "claude-haiku-5-5": "disabled", "claude-sonnet-5-5": "between_tools"}
ALWAYS_ON = frozenset({ALWAYS, "claude-fable-5"})
NEVER_FORCED = frozenset({ALWAYS, "claude-fable-5", "claude-haiku-5-5", "claude-sonnet-5-5", NUMBER})
NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
MEMBERS = frozenset(
    "anthropic_version messages max_tokens system thinking output_config temperature top_p top_k stop_sequences tools"
    " tool_choice metadata stream".split()
)


def check(body: Json, model: str) -> None:
    """Raises what is wrong with a body for Claude."""
    sent = from_json(to_json(body), allow_inf_nan=False)
    assert sent.keys() <= MEMBERS
    assert sent["anthropic_version"] == "vertex-2023-10-16"
    assert 1 <= sent["max_tokens"] <= MOST[model]
    for text in sent.get("system", ["x"]):
        assert text == "x" or text["text"].strip()
    _check_messages(sent, model)
    _check_tools(sent, model)
    _check_thinking(sent, model)
    assert all(text.strip() for text in sent.get("stop_sequences", []))
    assert len(sent.get("metadata", {}).get("user_id", "")) <= 256
    caches = [block["cache_control"] for block in blocks_of(sent) if "cache_control" in block]
    assert len(caches) == json.dumps(sent).count('"cache_control": {"') <= 4
    assert all(one["type"] == "ephemeral" and one.keys() <= {"type", "ttl"} for one in caches)
    ttls = [one.get("ttl", "5m") for one in caches]
    assert ttls == sorted(ttls), "an hour behind five minutes"


def blocks_of(body: Json) -> list[Json]:
    """All that may be remembered, in the order in which Claude reads it."""
    said = [block for message in body["messages"] for block in message["content"]]
    return [*body.get("tools", []), *body.get("system", []), *said]


def _check_messages(sent: Json, model: str) -> None:
    owed: list[str] = []
    seen: set[str] = set()
    roles = [message["role"] for message in sent["messages"]]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"] * (len(roles) % 2), "roles do not alternate"
    for message in sent["messages"]:
        content = message["content"]
        assert content, "a message of nothing"
        kinds = [block["type"] for block in content]
        results = [block["tool_use_id"] for block in content if block["type"] == "tool_result"]
        assert results == owed, "calls and their results differ"
        assert kinds[: len(results)] == ["tool_result"] * len(results), "results do not come first"
        owed = [block["id"] for block in content if block["type"] == "tool_use"]
        assert len(set(owed)) == len(owed), "an id twice in a turn"
        assert not seen & set(owed), "an id twice"
        seen.update(owed)
        assert all(NAME.fullmatch(id) for id in owed), "an id that does not fit"
        allowed = {"text", "tool_use", "thinking", "redacted_thinking"}
        assert set(kinds) <= (
            allowed if message["role"] == "assistant" else {"text", "image", "document", "tool_result"}
        )
        for block in content:
            _check_block(block)
    assert not owed, "a call without its result"
    if roles[-1] == "assistant":
        last = sent["messages"][-1]["content"][-1]
        assert model in PREFILL
        assert last["text"] == last["text"].rstrip()
        assert "thinking" not in sent


def _check_block(block: Json) -> None:
    match block["type"]:
        case "text":
            assert block["text"].strip(), "an empty text"
        case "image" | "document":
            source = block["source"]
            assert source["type"] in ("base64", "url", "text")
            assert source["type"] != "url" or source["url"].startswith("https://")
        case "tool_use":
            assert NAME.fullmatch(block["name"])
            assert isinstance(block["input"], dict)
        case "tool_result" if isinstance(block.get("content"), list):
            for inner in block["content"]:
                assert inner["type"] in ("text", "image", "document")
                _check_block(inner)
        case "thinking":
            assert block["signature"]


def _check_tools(sent: Json, model: str) -> None:
    tools = sent.get("tools", [])
    names = [tool["name"] for tool in tools]
    assert len(set(names)) == len(names)
    for tool in tools:
        assert NAME.fullmatch(tool["name"])
        if "type" not in tool:
            schema = tool["input_schema"]
            assert schema["type"] == "object"
            assert not {"anyOf", "oneOf", "allOf", "$ref"} & schema.keys()
    choice = sent.get("tool_choice", {"type": "auto"})
    assert "tool_choice" not in sent or tools
    assert choice["type"] in ("auto", "any", "tool", "none")
    assert (choice["type"] == "tool") == ("name" in choice)
    assert choice.get("name") in (None, *names)
    assert choice["type"] != "none" or choice.keys() == {"type"}
    forced = choice["type"] in ("any", "tool")
    assert not (forced and model in NEVER_FORCED)
    assert not (forced and _thinks(sent, model)), "a forced call of a model that thinks"
    called = any(block["type"] == "tool_use" for message in sent["messages"] for block in message["content"])
    assert tools or not called


def _thinks(sent: Json, model: str) -> bool:
    kind = sent.get("thinking", {}).get("type")
    return kind in ("enabled", "adaptive", "between_tools") or (kind is None and model in STOPS.keys() | ALWAYS_ON)


def _check_thinking(sent: Json, model: str) -> None:
    thinking = sent.get("thinking", {})
    kind = thinking.get("type")
    assert kind is None or model not in NO_THINKING
    if kind == "enabled":
        assert model in MANUAL_ONLY
        assert 1024 <= thinking["budget_tokens"] < sent["max_tokens"]
        begun = None
        for message in reversed(sent["messages"]):
            if message["role"] == "assistant":
                begun = message["content"][0]["type"]
            elif message["content"][0]["type"] != "tool_result":
                break
        assert begun in (None, "thinking", "redacted_thinking")
    elif kind == "adaptive":
        assert model not in MANUAL_ONLY
        assert thinking["display"] in ("summarized", "omitted")
    elif kind:
        assert kind == STOPS[model]
    assert "output_config" not in sent or model not in MANUAL_ONLY | NO_THINKING
    efforts = {"low", "medium", "high", "max"} | (set() if "-4-6" in model else {"xhigh"})
    assert sent.get("output_config", {}).get("effort", "low") in efforts
    if model not in SAMPLING:
        assert not {"temperature", "top_p", "top_k"} & sent.keys()
    if _thinks(sent, model):
        assert not {"temperature", "top_k"} & sent.keys()
        assert sent.get("top_p", 1) >= 0.95
    assert 0 <= sent.get("temperature", 1) <= 1
    assert not {"temperature", "top_p"} <= sent.keys()


def user(*parts: Part) -> Turn:
    return Turn("user", [*parts])


def assistant(*parts: Part) -> Turn:
    return Turn("assistant", [*parts])


def asked(*turns: Turn, model: str = MANUAL, **members: Any) -> Request:
    return Request(model, turns=[*turns] or [user(Text("Hi"))], **members)


def written(*turns: Turn, model: str = MANUAL, **members: Any) -> Json:
    body = write_request(asked(*turns, model=model, **members)).body
    check(body, model)
    return body


def dropped(*turns: Turn, model: str = MANUAL, **members: Any) -> list[str]:
    body, headers, notes = write_request(asked(*turns, model=model, **members))
    check(body, model)
    assert headers == {}
    return notes.dropped


def refused(*turns: Turn, **members: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        written(*turns, **members)
    assert (caught.value.status, bool(caught.value.param)) == (400, True)
    return caught.value


def text(text: str) -> Json:
    return {"type": "text", "text": text}


def called(id: str, name: str = "f", **arguments: object) -> Json:
    return {"type": "tool_use", "id": id, "name": name, "input": arguments}


F, G = Function("f"), Function("g", "d", {"type": "object", "properties": {"a": {"type": "string"}}})
FUNCTIONS = [F, G]


OBJECT: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
LIST: Json = {"type": "array", "items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"type": "string"}}}
