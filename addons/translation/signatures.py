"""Thought signatures, which an OpenAI client gives back at best where it keeps everything: in the id.

Nothing is stored here. Gemini's goes out as `extra_content.google.thought_signature`, as Google's own OpenAI
endpoint does it, and behind `__thought__` in the id of the tool call, as LiteLLM does it. It is taken back from
every place in which a gateway is known to put one. Claude's goes out and comes back in Anthropic's own blocks, in
`thinking_blocks` of the message, as LiteLLM does it. Responses have a place for both: the reasoning item.
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
"""LiteLLM's separator of id and signature."""
_BIFROST = "_ts_"
"""Bifrost's, where the signature is base64url without padding."""

SHORTEST = 16
"""Characters that a text must have to be taken for a signature. Real ones are much longer."""

MISSING = "skip_thought_signature_validator"
"""What Google accepts in place of a signature that got lost (on Vertex no other value)."""


def google_value(signature: Signature | None) -> str | None:
    """The signature, if it is Google's."""
    return signature.value if signature and signature.issuer == "google" else None


def with_signature(id: str, signature: str | None) -> str:
    return f"{id}{IN_ID}{signature}" if signature else id


def split_id(id: str) -> tuple[str, str | None]:
    """An id as it was made, and the signature that was put behind it."""
    bare, found, signature = id.partition(IN_ID)
    if found:
        return bare, _valid(signature)
    bare, found, signature = id.partition(_BIFROST)
    if found and (decoded := _base64url(signature)):
        return bare, decoded
    return id, None


def of_google(message: object) -> str | None:
    """The signature that a message or a tool call has beside it, in any known place."""
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
    """The signature in `reasoning_details` (OpenRouter's, Bifrost's) that belongs to a tool call."""
    details = member(message, "reasoning_details")
    for detail in details if isinstance(details, list) else []:
        is_its_own = member(detail, "id") in (id, f"tool_call_{id}")
        signature = _valid(member(detail, "signature")) or _valid(member(detail, "data"))
        if signature and is_its_own and member(detail, "type") == "reasoning.encrypted":
            return signature
    return None


def sealed(signature: Signature) -> str:
    """As the `encrypted_content` of a reasoning item: with its issuer, who alone may have it back."""
    return f"{signature.issuer}:{signature.value}"


def unsealed(encrypted: str) -> Signature | None:
    """None for what was not sealed here, such as OpenAI's own."""
    issuer, _, value = encrypted.partition(":")
    if issuer == "google" and (valid := _valid(value)):
        return Signature("google", valid)
    return Signature("anthropic", value) if issuer == "anthropic" and value else None


_BASE64 = re.compile(r"(?:[A-Za-z0-9+/_-]{4})*(?:[A-Za-z0-9+/_-]{2,3}={0,2})?")


_REDACTED = "redacted_thinking:"
"""Before the data of a thought that Claude tells to nobody but itself: there is no text, all of it is signature."""


def thinking_block(part: object) -> Json | None:
    """Anthropic's block of a thought that Claude has signed; None of anything else."""
    if not isinstance(part, Thought) or part.signature is None or part.signature.issuer != "anthropic":
        return None
    if part.signature.value.startswith(_REDACTED):
        return {"type": "redacted_thinking", "data": part.signature.value.removeprefix(_REDACTED)}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature.value}


def thought_of(block: object) -> Thought | None:
    """The thought of Anthropic's block, signed or not; None of any other block."""
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
    """The thoughts beside a message that Claude wants to see again."""
    thoughts = map(thought_of, items(member(message, "thinking_blocks")))
    return [thought for thought in thoughts if thought and thought.signature]


def _valid(signature: object) -> str | None:
    """What is no base64 is no signature; Google would refuse the whole request for it."""
    return signature if isinstance(signature, str) and signature and _BASE64.fullmatch(signature) else None


def _base64url(text: str) -> str | None:
    if len(text) < SHORTEST or not _BASE64.fullmatch(text):
        # An id may have such letters in it.
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return None
    return base64.b64encode(raw).decode() if raw else None
