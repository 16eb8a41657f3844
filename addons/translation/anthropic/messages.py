"""Messages for Claude: the turns of a conversation as blocks, with ids for their calls that Claude takes.

Sources: Anthropic's reference of Messages, its pages on tool use, vision, PDF support and prompt caching. Blocks are
read where answers are, in read_answer.py.
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
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Turn
from addons.translation.errors import InvalidRequest

IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
"""Media types of images that Claude reads (page on vision)."""
TEXT_TYPES = re.compile(r"text/|application/(?:json|xml|yaml|x-yaml|javascript|x-javascript|sql)\b")
"""Media types of documents that go as text."""
OPENING = "Continue."
"""What the user says where a conversation begins with the assistant, which Claude does not take."""
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_NOT_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")


class Message(NamedTuple):
    """One of the `messages` of a request."""

    role: str
    """`user` or `assistant`."""
    content: list[Json]
    """Blocks."""


def write_messages(request: Request, family: Family) -> list[Message]:
    """The messages of a conversation: they alternate, begin with the user's, and none is empty. Raises InvalidRequest,
    without its `param`, for what Claude does not take."""
    calls = _CallIds()
    messages: list[Message] = []
    # A conversation of nothing but instructions still needs a turn.
    for turn in request.turns or [Turn("user", list(request.system))]:
        if turn.role == "user":
            content = _user_content(turn.parts, calls)
        else:
            content = _assistant_content(turn.parts, calls, family)
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
        raise InvalidRequest("there is nothing in the messages")
    if messages[-1].role == "assistant" and not family.takes_prefill:
        raise InvalidRequest("this model begins its answers itself: end with a message of the user")
    if messages[0].role == "assistant":
        messages.insert(0, Message("user", [_text_block(OPENING)]))
        request.notes.assumed.append(f"{request.named('turns', 'messages')}[0]={OPENING}")
    return messages


def _strip_end(content: list[Json]) -> bool:
    """Takes from the end of a message what Claude does not go on with: white space, and thoughts. Returns whether a
    word is left."""
    while content:
        last = content[-1]
        if isinstance(text := last.get("text"), str) and text.strip():
            last["text"] = text.rstrip()
            return True
        content.pop()
    return False


class _CallIds:
    """Gives each call an id that Claude takes (letters, digits, _ and -; each once), and each result its call's."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._waiting: dict[str, list[str]] = {}
        """The id that the client gave, else the name -> the ids here of its calls that wait for their results."""

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
        """Raises InvalidRequest if no call waits for it."""
        if not (ids := self._waiting.get(result.id or result.name)):
            raise InvalidRequest("there is a result without its call before it")
        return ids.pop(0)

    def refuse_open(self) -> None:
        """Raises InvalidRequest if a call still waits: results stand in the message behind their calls."""
        if any(self._waiting.values()):
            raise InvalidRequest("each call of a tool needs its result in the next message")
        self._waiting.clear()


def _user_content(parts: list[Part], calls: _CallIds) -> list[Json]:
    """The blocks of a turn of the user; results of calls come first."""
    results = [_tool_result(part, calls) for part in parts if isinstance(part, ToolResult)]
    calls.refuse_open()
    return results + list(write_blocks(part for part in parts if isinstance(part, Text | Media)))


def _assistant_content(parts: list[Part], calls: _CallIds, family: Family) -> list[Json]:
    calls.refuse_open()
    content: list[Json] = []
    for part in parts:
        if isinstance(part, Text) and part.text.strip():
            content.append(_text_block(part.text, part.cache))
        elif isinstance(part, Thought) and (family.takes_budgets or family.takes_efforts):
            # A thought without a signature is of no use to Claude.
            content += [block for block in [signatures.thinking_block(part)] if block]
        elif isinstance(part, ToolCall):
            check_name(part.name)
            call: Json = {"type": "tool_use", "id": calls.of_call(part), "name": part.name, "input": part.arguments}
            content.append(call | cache_control(part.cache))
        elif isinstance(part, Media):
            raise InvalidRequest("Claude takes images and files from the user only, not from the assistant")
    return content


def _tool_result(result: ToolResult, calls: _CallIds) -> Json:
    output = result.output if isinstance(result.output, str) else json.dumps(result.output, ensure_ascii=False)
    written: Json = {"type": "tool_result", "tool_use_id": calls.of_result(result)}
    if result.media:
        written["content"] = list(write_blocks([Text(output), *result.media]))
    elif output.strip():
        written["content"] = output
    return written | cache_control(result.cache)


def _text_block(text: str, cache: Json | None = None) -> Json:
    return {"type": "text", "text": text} | cache_control(cache)


def cache_control(cache: Json | None) -> Json:
    """The member `cache_control` of a block or tool, if there is something to say."""
    return {"cache_control": cache} if cache else {}


def write_blocks(parts: Iterable[Text | Media]) -> Iterator[Json]:
    """Blocks of texts and media; white space alone is left out, as Claude refuses it."""
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
            raise InvalidRequest("this is not base64") from None
        if not text.strip():
            raise InvalidRequest("there is no text in the file")
        return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}
    raise InvalidRequest(
        f"Claude does not read {media.mime_type} from {'a URL' if media.uri else 'data'}: send images as jpeg, png, gif"
        " or webp, documents as PDF, and text inline"
    )


def _source(media: Media) -> Json:
    if media.uri is None:
        return {"type": "base64", "media_type": media.mime_type, "data": media.data}
    if not media.uri.lower().startswith("https://"):
        raise InvalidRequest(
            "Claude reads https:// URLs only, none of Cloud Storage: send the file itself as a data: URL"
        )
    return {"type": "url", "url": media.uri}


def check_name(name: str, param: str | None = None) -> None:
    """Raises InvalidRequest, with `param`, for the name of a function that Claude does not take."""
    if not _TOOL_NAME.fullmatch(name):
        raise InvalidRequest("Claude takes names of functions of letters, digits, _ and -, at most 128", param)
