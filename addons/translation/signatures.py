"""Thought signatures in OpenAI's dialect: where they are written for clients, and where they are read from.

Gemini and Claude need their signatures back in the next request. Nothing is stored here, so clients have to return
them. Gemini's signature is written as `extra_content.google.thought_signature`, as Google's own OpenAI endpoint does
it. As most clients return only members that they know, it is also appended to the id of the tool call, after
`__thought__`, as LiteLLM does it. It is read from every place in which a known gateway puts it. Claude's signature is
written and read in Anthropic's own blocks, in the message's `thinking_blocks`, as LiteLLM does it. OpenAI's Responses
have a member for both: `encrypted_content` of the reasoning item.

Clients of Anthropic's Messages return thinking blocks with their `signature`, and ids of tool calls. Gemini's signature
is put into these: `google:...` in a thinking block, and in an id as above, in letters that Anthropic allows there.
"""

import base64
import binascii
import re

from addons.translation.conversation import Json
from addons.translation.conversation import Signature
from addons.translation.conversation import Thought
from metering.json_values import items
from metering.json_values import member

IN_ID = "__thought__"
"""LiteLLM's separator between id and signature."""
_BIFROST = "_ts_"
"""Bifrost's separator between id and signature. Its signature is base64url without padding."""

SHORTEST = 16
"""The least characters of a text after `_ts_` that is taken for a signature. Real ones are much longer."""

MISSING = "skip_thought_signature_validator"
"""A value that Google accepts in place of a lost signature. Vertex AI accepts no other (Google's page on thought
signatures)."""


def google_value(signature: Signature | None) -> str | None:
    """The value of a signature that Google issued; None for any other."""
    return signature.value if signature and signature.issuer == "google" else None


def with_signature(id: str, signature: str | None) -> str:
    return f"{id}{IN_ID}{signature}" if signature else id


def with_signature_in_letters(id: str, signature: str | None) -> str:
    """The same, if only letters, digits, `_` and `-` are allowed: the signature is base64url without padding."""
    return with_signature(id, signature and signature.translate(_TO_URL).rstrip("="))


def split_id(id: str) -> tuple[str, str | None]:
    """The id of a tool call without a signature, and the signature of Google's that was appended to it, if any."""
    bare, found, signature = id.partition(IN_ID)
    if found:
        return bare, _standard(_valid(signature))
    bare, found, signature = id.partition(_BIFROST)
    if found and (decoded := _base64url(signature)):
        return bare, decoded
    return id, None


def of_google(message: object) -> str | None:
    """Google's signature in a message or a tool call of a client, in any member where a known gateway puts it."""
    for holder in (message, member(message, "function")):
        for place in (
            member(member(holder, "extra_content"), "google"),
            member(holder, "provider_specific_fields"),
            holder,
        ):
            if signature := _valid(member(place, "thoughtSignature")):
                return signature
    return None


def of_details(message: object, id: str) -> str | None:
    """Google's signature of the tool call `id` in the message's `reasoning_details` (of OpenRouter and Bifrost)."""
    details = member(message, "reasoning_details")
    for detail in details if isinstance(details, list) else []:
        is_its_own = member(detail, "id") in (id, f"tool_call_{id}")
        signature = _valid(member(detail, "signature")) or _valid(member(detail, "data"))
        if signature and is_its_own and member(detail, "type") == "reasoning.encrypted":
            return signature
    return None


def sealed(signature: Signature) -> str:
    """A signature as the `encrypted_content` of a reasoning item: `google:...`. The issuer is in it, as only the issuer
    may get it back."""
    return f"{signature.issuer}:{signature.value}"


def unsealed(encrypted: str) -> Signature | None:
    """The signature in an `encrypted_content`. None if `sealed` did not write it, such as OpenAI's own."""
    issuer, _, value = encrypted.partition(":")
    if issuer == "google" and (valid := _valid(value)):
        return Signature("google", valid)
    return Signature("anthropic", value) if issuer == "anthropic" and value else None


UNSIGNED = "unsigned:"
"""The `signature` of a thinking block that no model has signed. Anthropic's blocks must have one."""


def in_block(signature: Signature | None) -> str:
    """The `signature` of a thinking block: Claude's as it is, another one with its issuer."""
    if signature is None:
        return UNSIGNED
    return signature.value if signature.issuer == "anthropic" else sealed(signature)


def is_claudes(signature: object) -> bool:
    """Whether the `signature` of a thinking block is one of Claude's. Those are base64, and have no colon."""
    return isinstance(signature, str) and ":" not in signature


_BASE64 = re.compile(r"(?:[A-Za-z0-9+/_-]{4})*(?:[A-Za-z0-9+/_-]{2,3}={0,2})?")


_REDACTED = "redacted_thinking:"
"""How the signature of a redacted thought begins here. Such a thought has no text, only data that Claude can read
(Anthropic's page on extended thinking)."""


def thinking_block(part: object) -> Json | None:
    """Anthropic's block for a thought that Claude has signed; None for any other part."""
    if not isinstance(part, Thought) or part.signature is None or part.signature.issuer != "anthropic":
        return None
    if part.signature.value.startswith(_REDACTED):
        return {"type": "redacted_thinking", "data": part.signature.value.removeprefix(_REDACTED)}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature.value}


def thought_of(block: object) -> Thought | None:
    """The thought in a block of Anthropic's, signed or not; None for any other block."""
    match member(block, "type"):
        case "thinking":
            text, signature = member(block, "thinking"), member(block, "signature")
            text = text if isinstance(text, str) else ""
            signed = Signature("anthropic", signature) if isinstance(signature, str) and signature else None
            return Thought(text, signed) if text or signed else None
        case "redacted_thinking":
            data = member(block, "data")
            return Thought("", Signature("anthropic", _REDACTED + data)) if isinstance(data, str) and data else None
    return None


def of_anthropic(message: object) -> list[Thought]:
    """Claude's signed thoughts in the `thinking_blocks` of a message."""
    thoughts = map(thought_of, items(member(message, "thinking_blocks")))
    return [thought for thought in thoughts if thought and thought.signature]


def _valid(signature: object) -> str | None:
    """The signature if it is base64, else None: Google would refuse the whole request for any other text."""
    return signature if isinstance(signature, str) and signature and _BASE64.fullmatch(signature) else None


_TO_URL = str.maketrans("+/", "-_")
_FROM_URL = str.maketrans("-_", "+/")


def _standard(signature: str | None) -> str | None:
    """A signature in base64 or base64url, padded or not, as base64 with its padding."""
    if not signature:
        return None
    bare = signature.translate(_FROM_URL).rstrip("=")
    return bare + "=" * (-len(bare) % 4)


def _base64url(text: str) -> str | None:
    if len(text) < SHORTEST or not _BASE64.fullmatch(text):
        # An id may have `_ts_` in it without a signature.
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return None
    return base64.b64encode(raw).decode() if raw else None
