"""Messages for Claude: writes the turns of a conversation as Anthropic's messages, which consist of blocks.

Sources: Anthropic's reference of Messages, its pages on tool use, vision, PDF support and prompt caching.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from collections.abc import Iterator
from typing import NamedTuple

from addons.translation import signatures
from addons.translation.anthropic.families import Family
from addons.translation.conversation import CONTINUE
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Notes
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.errors import InvalidRequest
from addons.translation.function_names import NameRule

IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
"""Media types of images that Claude takes (page on vision)."""
TEXT_TYPES = re.compile(r"text/|application/(?:json|xml|yaml|x-yaml|javascript|x-javascript|sql)\b")
"""Media types of documents that are sent as plain text."""
TOOL_NAMES = NameRule("a-zA-Z0-9_-", "a-zA-Z0-9_-", 128)
"""The names of tools that Claude takes (reference of Messages)."""
_NOT_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")


class Message(NamedTuple):
    """One of the `messages` of a request."""

    role: str
    """`user` or `assistant`."""
    content: list[Json]
    """Blocks."""


def write_messages(request: Request, family: Family) -> list[Message]:
    """The messages of a conversation. User and assistant alternate, the user comes first, and no message is empty.
    Raises InvalidRequest, without its `param`, for what Claude does not take."""
    calls = _CallIds()
    messages: list[Message] = []
    # If there are only instructions, they become the user's message: Claude needs one.
    for turn in request.turns or [Turn("user", list(request.system))]:
        if turn.role == "user":
            content = _user_content(turn.parts, calls)
        else:
            content = _assistant_content(turn.parts, calls, family, request.notes, request.named("media"))
        if not content:
            continue
        if messages and messages[-1].role == turn.role:
            messages[-1].content.extend(content)
        else:
            messages.append(Message(turn.role, content))
    calls.refuse_open()
    if messages and messages[-1].role == "assistant" and not _strip_end(messages[-1].content):
        messages.pop()
    if not messages:
        raise InvalidRequest("the messages are empty; write a text")
    path = request.named("turns", "messages")
    if messages[0].role == "assistant":
        messages.insert(0, Message("user", [_text_block(CONTINUE)]))
        request.notes.assumed.append(f"{path}[0]={CONTINUE}")
    if messages[-1].role == "assistant" and not family.takes_prefill:
        messages.append(Message("user", [_text_block(CONTINUE)]))
        request.notes.assumed.append(f"{path}[-1]={CONTINUE}")
    return messages


def _strip_end(content: list[Json]) -> bool:
    """Removes from the end of an assistant message what Claude cannot continue: white space, and blocks that are not
    text. Returns whether any text is left."""
    while content:
        last = content[-1]
        if isinstance(text := last.get("text"), str) and text.strip():
            last["text"] = text.rstrip()
            return True
        content.pop()
    return False


class _CallIds:
    """Gives each tool call a unique id of letters, digits, _ and -, as Claude wants it, and each result the id of its
    call."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._waiting: dict[str, list[str]] = {}
        """The client's id of a call, or the function's name if it has none -> the new ids of such calls that have no
        result yet."""

    def of_call(self, call: ToolCall) -> str:
        name = call.id or call.name
        fitting = _NOT_IN_ID.sub("_", name)
        if fitting != name:
            fitting += "_" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
        id, again = fitting, 2
        while id in self._taken:
            id, again = f"{fitting}_{again}", again + 1
        self._taken.add(id)
        self._waiting.setdefault(name, []).append(id)
        return id

    def of_result(self, result: ToolResult) -> str:
        """Raises InvalidRequest if there is no such call, or it has its result already."""
        if not (ids := self._waiting.get(result.id or result.name)):
            raise InvalidRequest("a tool result has no matching tool call before it")
        return ids.pop(0)

    def refuse_open(self) -> None:
        """Raises InvalidRequest if a call has no result yet: Claude wants results in the message after their calls."""
        if any(self._waiting.values()):
            raise InvalidRequest("each tool call needs its tool result in the next message")
        self._waiting.clear()


def _user_content(parts: list[Part], calls: _CallIds) -> list[Json]:
    """The blocks of a user turn, tool results first."""
    results = [_tool_result(part, calls) for part in parts if isinstance(part, ToolResult)]
    calls.refuse_open()
    return results + list(write_blocks(part for part in parts if isinstance(part, Text | Media)))


def _assistant_content(parts: list[Part], calls: _CallIds, family: Family, notes: Notes, name: str) -> list[Json]:
    """The blocks of an assistant turn. `name` is the path of its media, which are dropped."""
    calls.refuse_open()
    content: list[Json] = []
    for part in parts:
        if isinstance(part, Text) and part.text.strip():
            content.append(_text_block(part.text, part.cache))
        elif isinstance(part, Thought) and (family.takes_budgets or family.takes_efforts):
            # A thought that Claude has not signed is of no use to it, and is left out.
            content += [block for block in [signatures.thinking_block(part)] if block]
        elif isinstance(part, ToolCall):
            call: Json = {"type": "tool_use", "id": calls.of_call(part), "name": part.name, "input": part.arguments}
            content.append(call | cache_control(part.cache))
        elif isinstance(part, Media):
            # Claude takes images and files in user messages only.
            notes.drop(name)
    return content


def _tool_result(result: ToolResult, calls: _CallIds) -> Json:
    output = result.output if isinstance(result.output, str) else json.dumps(result.output, ensure_ascii=False)
    written: Json = {"type": "tool_result", "tool_use_id": calls.of_result(result)}
    if result.is_error:
        written["is_error"] = True
    if result.media:
        written["content"] = list(write_blocks([Text(output), *result.media]))
    elif output.strip():
        written["content"] = output
    return written | cache_control(result.cache)


def _text_block(text: str, cache: Json | None = None) -> Json:
    return {"type": "text", "text": text} | cache_control(cache)


def cache_control(cache: Json | None) -> Json:
    """The member `cache_control` of a block or tool; empty if `cache` is None."""
    return {"cache_control": cache} if cache else {}


def write_blocks(parts: Iterable[Text | Media]) -> Iterator[Json]:
    """Blocks of texts and media. Texts of white space only are left out, as Claude refuses them."""
    for part in parts:
        if isinstance(part, Media):
            yield _media_block(part) | cache_control(part.cache)
        elif part.text.strip():
            yield _text_block(part.text, part.cache)


def _media_block(media: Media) -> Json:
    if media.mime_type in IMAGE_TYPES:
        return {"type": "image", "source": _source(media)}
    if media.mime_type == "application/pdf":
        return {"type": "document", "source": _source(media)}
    if TEXT_TYPES.match(media.mime_type) and media.data:
        try:
            text = base64.b64decode(media.data).decode("utf-8", "replace")
        except ValueError:
            raise InvalidRequest("a file's data is not valid base64") from None
        if not text.strip():
            raise InvalidRequest("a text file is empty")
        return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}
    raise InvalidRequest(
        f"Claude does not take {media.mime_type} {'by URL' if media.uri else 'inline'}: send images as JPEG, PNG, GIF"
        " or WebP, documents as PDF, and text files inline"
    )


def _source(media: Media) -> Json:
    if media.uri is None:
        return {"type": "base64", "media_type": media.mime_type, "data": media.data}
    if not media.uri.lower().startswith("https://"):
        raise InvalidRequest(
            "Claude loads https:// URLs only, not http:// or gs://: send the file itself as a data: URL"
        )
    return {"type": "url", "url": media.uri}
