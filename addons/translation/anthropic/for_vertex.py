"""Requests of Anthropic's clients for Claude on Vertex AI, which speaks the same dialect: bytes pass, except for what
is different there.

Sources: Anthropic's page on Claude on Vertex AI (the model is in the path, `anthropic_version` in the body, counting
tokens is a model of its own), and the reports of what Vertex AI answers to values of `anthropic-beta`: it refuses the
whole request for one that it does not know ("Unexpected value(s) ... for the `anthropic-beta` header").
"""

import re

from pydantic_core import to_json

from addons.translation import signatures
from addons.translation import splice
from addons.translation.anthropic.write_request import VERSION
from addons.translation.conversation import Json
from metering.json_values import items
from metering.json_values import member

COUNTING = "count-tokens"
"""The model that counts tokens. The body names the one that is asked about."""
BETAS = {
    "claude-code-20250219": "claude-code-20250219",
    "compact-2026-01-12": "compact-2026-01-12",
    "computer-use-2024-10-22": "computer-use-2024-10-22",
    "computer-use-2025-01-24": "computer-use-2025-01-24",
    "computer-use-2025-11-24": "computer-use-2025-11-24",
    "context-1m-2025-08-07": "context-1m-2025-08-07",
    "context-management-2025-06-27": "context-management-2025-06-27",
    "fine-grained-tool-streaming-2025-05-14": "fine-grained-tool-streaming-2025-05-14",
    "interleaved-thinking-2025-05-14": "interleaved-thinking-2025-05-14",
    "output-128k-2025-02-19": "output-128k-2025-02-19",
    "token-efficient-tools-2025-02-19": "token-efficient-tools-2025-02-19",
    "tool-search-tool-2025-10-19": "tool-search-tool-2025-10-19",
    "advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19",
}
"""Values of `anthropic-beta` that Vertex AI knows -> their names there."""
_DATE = re.compile(r"-(\d{8})$")
_OURS = (b"google:", b"unsigned:", b"__thought__")
"""A body without any of these has no signature that we wrote."""


def name_at_vertex(model: str) -> str:
    """Vertex AI's name of a Claude model: `claude-opus-4-5@20251101` for `claude-opus-4-5-20251101`."""
    return _DATE.sub(r"@\1", model)


def betas_for_vertex(header: str) -> tuple[str, list[str]]:
    """The value of `anthropic-beta` for Vertex AI, and the names of what is left out of it."""
    asked = [beta.strip() for beta in header.split(",") if beta.strip()]
    kept = dict.fromkeys(BETAS[beta] for beta in asked if beta in BETAS)
    return ",".join(kept), [f"anthropic-beta.{beta}" for beta in asked if beta not in BETAS]


def body_for_vertex(raw: bytes, body: Json, counted: str | None = None) -> bytes:
    """The body for Vertex AI. `raw` is the client's, `body` the same, parsed. `counted` is the model whose tokens are
    to be counted; None if the body is a request for an answer. Raises InvalidRequest."""
    if any(mark in raw for mark in _OURS) and (own := _without_foreign(body)):
        raw = to_json(own)
    raw = splice.replace_model(raw, counted or "", set() if counted else {"model"})
    return splice.add_member(raw, "anthropic_version", VERSION)


def _without_foreign(body: Json) -> Json | None:
    """A body without what only other models can read: their thoughts, their signatures in ids, the places of what they
    have cited. None if there is nothing of that. A message that has nothing else is left out: Claude refuses empty
    ones."""
    messages = items(body.get("messages"))
    owns = [(_own_message(message), message) for message in messages]
    kept = [own for own, message in owns if own == message or member(own, "content")]
    return body | {"messages": kept} if kept != messages else None


def _own_message(message: object) -> object:
    content = member(message, "content")
    if not isinstance(message, dict) or not isinstance(content, list):
        return message
    return message | {"content": [_own_block(block) for block in content if not _is_foreign(block)]}


def _is_foreign(block: object) -> bool:
    return member(block, "type") == "thinking" and not signatures.is_claudes(member(block, "signature"))


def _own_block(block: object) -> object:
    if not isinstance(block, dict):
        return block
    own = dict(block)
    for name in ("id", "tool_use_id"):
        if isinstance(id := own.get(name), str) and signatures.IN_ID in id:
            own[name] = signatures.split_id(id)[0]
    if citations := items(own.get("citations")):
        own["citations"] = [one for one in citations if member(one, "encrypted_index") != signatures.UNSIGNED]
    return own
