"""Reads the messages of a client's request for Anthropic's Messages into turns of the neutral form.

Sources: Anthropic's reference of Messages, its pages on tool use, vision, PDF support and extended thinking.
"""

import re
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal
from typing import NamedTuple

from addons.translation import media
from addons.translation import signatures
from addons.translation.anthropic import schema
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Notes
from addons.translation.conversation import Part
from addons.translation.conversation import Signature
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.errors import InvalidRequest
from addons.translation.validation import NO_VALUE
from addons.translation.validation import Model
from addons.translation.validation import is_finite

NO_FILES = "no files are stored here: send the data itself as base64, or a URL"
EMPTY = "text content blocks must be non-empty"


def read_messages(messages: Sequence[schema.Message], notes: Notes) -> tuple[list[Text], list[Turn]]:
    """The instructions among the messages, and the turns. Messages of one role that follow each other are one turn.
    Raises InvalidRequest."""
    system: list[Text] = []
    turns: list[Turn] = []
    waiting: dict[str, ToolCall] = {}
    """The calls of the assistant's last turn, by their ids."""
    for group in _groups(messages):
        if group.role == "system":
            system += [text for placed in group.blocks for text in _read_instruction(placed, notes)]
        elif group.role == "assistant":
            _refuse_open(waiting, group)
            parts = _read_assistant(group, notes)
            calls = [part for part in parts if isinstance(part, ToolCall)]
            waiting = {call.id or "": call for call in calls}
            if len(waiting) < len(calls):
                raise InvalidRequest("`tool_use` ids must be unique", group.path)
            _add(turns, "assistant", parts)
        else:
            parts = _read_user(group, waiting, notes)
            waiting = {}
            if not parts:
                raise InvalidRequest("user messages must have non-empty content", f"{group.path}.content")
            _add(turns, "user", parts)
    _refuse_open(waiting, _Group("user", f"messages[{len(messages) - 1}]", []))
    return system, turns


class _Placed(NamedTuple):
    """A block, and its path in the body."""

    path: str
    block: Model


class _Group(NamedTuple):
    """Messages of one role that follow each other."""

    role: Literal["user", "assistant", "system"]
    path: str
    """The path of the first of them."""
    blocks: list[_Placed]


def _groups(messages: Sequence[schema.Message]) -> Iterator[_Group]:
    """Raises InvalidRequest if a message has no content."""
    group: _Group | None = None
    for number, message in enumerate(messages):
        path = f"messages[{number}]"
        if isinstance(message.content, str):
            text = schema.TextBlock(type="text", text=message.content)
            placed = [_Placed(f"{path}.content", text)] if message.content else []
        else:
            if message.content is None and message.role != "system":
                raise InvalidRequest("field required", f"{path}.content")
            blocks = enumerate(message.content or [])
            placed = [_Placed(f"{path}.content[{place}]", block) for place, block in blocks]
        if group and group.role == message.role:
            group.blocks.extend(placed)
        else:
            if group:
                yield group
            group = _Group(message.role, path, placed)
    if group:
        yield group


def _add(turns: list[Turn], role: Literal["user", "assistant"], parts: list[Part]) -> None:
    """Adds parts as a turn, or to the last one if that has the same role: what was between them had nothing in it."""
    if turns and turns[-1].role == role:
        turns[-1].parts += parts
    elif parts:
        turns.append(Turn(role, parts))


def _refuse_open(waiting: dict[str, ToolCall], group: _Group) -> None:
    """Raises InvalidRequest if calls have no results where `group` comes."""
    if waiting:
        raise InvalidRequest(
            f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(waiting)}. Each"
            " `tool_use` block must have a corresponding `tool_result` block in the next message.",
            group.path,
        )


# The assistant


def _read_assistant(group: _Group, notes: Notes) -> list[Part]:
    parts: list[Part] = []
    signature: Signature | None = None
    """Google's signature in a thinking block: it belongs to the part after it."""
    for path, block in group.blocks:
        match block:
            case schema.TextBlock():
                if block.text:
                    parts.append(Text(block.text, signature, cache=block.cache))
                    signature = None
            case schema.ToolUseBlock():
                if not is_finite(block.input):
                    raise InvalidRequest(NO_VALUE, f"{path}.input")
                bare, in_id = signatures.split_id(block.id)
                signed = Signature("google", in_id) if in_id else signature
                parts.append(ToolCall(bare, block.name, block.input, signed, cache=block.cache))
                signature = None
            case schema.ThinkingBlock():
                if signatures.is_claudes(block.signature):
                    thought = signatures.thought_of(block.model_dump())
                else:
                    thought = Thought(block.thinking) if block.thinking else None
                    signature = signatures.unsealed(block.signature) or signature
                parts += [thought] if thought else []
            case schema.RedactedThinkingBlock():
                thought = signatures.thought_of(block.model_dump())
                parts += [thought] if thought else []
            case schema.CompactionBlock():
                parts += read_block(block, path, notes)
            case schema.ServersBlock():
                notes.drop(path)
            case _:
                raise InvalidRequest("this block does not belong into an assistant message", path)
    # A message with thoughts only is left out.
    return parts if any(not isinstance(part, Thought) for part in parts) else []


# The user


def _read_user(group: _Group, calls: dict[str, ToolCall], notes: Notes) -> list[Part]:
    """The parts of a user turn: the results of `calls`, in the order of these, then the rest. Raises InvalidRequest."""
    results: dict[str, ToolResult] = {}
    rest: list[Part] = []
    for path, block in group.blocks:
        if isinstance(block, schema.ToolResultBlock):
            id = signatures.split_id(block.tool_use_id)[0]
            if id not in calls:
                raise InvalidRequest(
                    f"unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have"
                    " a corresponding `tool_use` block in the previous message.",
                    path,
                )
            if id in results:
                raise InvalidRequest("each `tool_use` must have a single result", path)
            results[id] = _read_result(block, calls[id], path, notes)
        elif isinstance(block, schema.ThinkingBlock | schema.RedactedThinkingBlock | schema.ToolUseBlock):
            raise InvalidRequest("this block does not belong into a user message", path)
        else:
            rest += read_block(block, path, notes)
    _refuse_open({id: call for id, call in calls.items() if id not in results}, group)
    return [*(results[id] for id in calls if id in results), *rest]


def _read_result(block: schema.ToolResultBlock, call: ToolCall, path: str, notes: Notes) -> ToolResult:
    """The result of a call. Its texts are one string, which is not parsed, as it may be a file that is to be changed.
    Claude can only cache a result as a whole, so the last `cache_control` in it is its own."""
    parts: list[Text | Media] = []
    if isinstance(block.content, str):
        parts.append(Text(block.content))
    for number, one in enumerate(block.content if isinstance(block.content, list) else []):
        parts += read_block(one, f"{path}.content[{number}]", notes)
    caches = [part.cache for part in parts if part.cache]
    return ToolResult(
        call.id,
        call.name,
        "\n".join(part.text for part in parts if isinstance(part, Text)),
        [replace(part, cache=None) for part in parts if isinstance(part, Media)],
        cache=block.cache or (caches[-1] if caches else None),
        is_error=bool(block.is_error),
    )


def read_block(block: Model, path: str, notes: Notes) -> list[Text | Media]:
    """The parts of a block that says the same in a message of any role, or in a tool's result. Raises
    InvalidRequest."""
    match block:
        case schema.TextBlock():
            return [_read_text(block, path)]
        case schema.ImageBlock():
            return [_read_media(block.source, "image/jpeg", block.cache, f"{path}.source", notes)]
        case schema.DocumentBlock():
            return _read_document(block, path, notes)
        case schema.SearchResultBlock():
            texts = "\n".join(text.text for text in block.content)
            return [Text(f"{block.title}\n{block.source}\n{texts}", cache=block.cache)]
        case schema.ToolReferenceBlock():
            return [Text(block.tool_name, cache=block.cache)]
        case schema.CompactionBlock():
            return [Text(block.content, cache=block.cache)] if block.content else []
    notes.drop(path)
    return []


def _read_text(block: schema.TextBlock, path: str) -> Text:
    """The text of a block. Raises InvalidRequest if it is empty."""
    if not block.text:
        raise InvalidRequest(EMPTY, f"{path}.text")
    return Text(block.text, cache=block.cache)


def _read_instruction(placed: _Placed, notes: Notes) -> list[Text]:
    """The text of a block of a message of the role `system`. Raises InvalidRequest."""
    path, block = placed
    if isinstance(block, schema.TextBlock):
        return [_read_text(block, path)]
    if not isinstance(block, schema.ServersBlock):
        raise InvalidRequest("instructions must be text", path)
    notes.drop(path)
    return []


def read_system(system: str | list[schema.TextBlock] | None, notes: Notes) -> list[Text]:
    """The instructions of a request. Empty ones are left out."""
    blocks = [schema.TextBlock(type="text", text=system)] if isinstance(system, str) else system or []
    texts: list[Text] = []
    for number, block in enumerate(blocks):
        text = _BILLING.sub("", block.text)
        if text != block.text:
            notes.drop("system" if isinstance(system, str) else f"system[{number}]")
        texts += [Text(text, cache=block.cache)] if text else []
    return texts


_BILLING = re.compile(r"\Ax-anthropic-billing-header:.*\s*")
"""What Claude Code tells Anthropic's billing, at the beginning of its instructions. It is another in each request, so
that services which cache what is the same at the beginning of requests would never find it again."""


def _read_document(block: schema.DocumentBlock, path: str, notes: Notes) -> list[Text | Media]:
    """A document. Its title and context, and what it has of text, are texts."""
    source = block.source
    heads = [Text(text) for text in (block.title, block.context) if text]
    parts: list[Text | Media] = [*heads]
    if isinstance(source, schema.PlainTextSource):
        parts += [Text(source.data)] if source.data else []
    elif isinstance(source, schema.ContentSource):
        if isinstance(source.content, str):
            parts += [Text(source.content)] if source.content else []
        else:
            for number, one in enumerate(source.content):
                parts += read_block(one, f"{path}.source.content[{number}]", notes)
    else:
        parts.append(_read_media(source, "application/pdf", None, f"{path}.source", notes))
    if not parts:
        raise InvalidRequest("the document is empty", f"{path}.source")
    if block.cache:
        parts[-1].cache = parts[-1].cache or block.cache
    return parts


def _read_media(
    source: schema.Base64Source | schema.UrlSource | schema.FileSource,
    default: str,
    cache: Json | None,
    path: str,
    notes: Notes,
) -> Media:
    """An image or a file. `default` is its type if its URL does not tell one."""
    if isinstance(source, schema.FileSource):
        raise InvalidRequest(NO_FILES, f"{path}.file_id")
    if isinstance(source, schema.Base64Source):
        mime_type = media.mime_type_of(source.media_type)
        if mime_type is None:
            raise InvalidRequest("this is not a media type; write one such as image/png", f"{path}.media_type")
        return Media(mime_type, data=media.base64_of(source.data, f"{path}.data"), cache=cache)
    read = media.from_url(source.url, None, f"{path}.url") or Media("", uri=source.url)
    if not read.mime_type:
        read.mime_type = default
        notes.assumed.append(f"{path}.url={default}")
    read.cache = cache
    return read
