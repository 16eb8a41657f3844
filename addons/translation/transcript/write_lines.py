"""Writes requests and answers, in the neutral form, as lines that people read."""

from collections.abc import Iterable
from collections.abc import Iterator
from itertools import groupby
from typing import Literal
from typing import NamedTuple

from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Function
from addons.translation.conversation import Json
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Request
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.conversation import ToolResult
from addons.translation.conversation import Usage
from addons.translation.errors import Failure
from addons.translation.transcript.fold import compact_json
from addons.translation.transcript.fold import data_in_words
from addons.translation.transcript.fold import folded_json

Style = Literal["role", "text", "note", "error"]


class Line(NamedTuple):
    text: str
    """Without a line break; it may have other control characters."""
    style: Style = "text"


INDENT = "  "
SETTINGS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max tokens",
    "n": "answers",
    "seed": "seed",
    "stop": "stop at",
    "modalities": "modalities",
    "voice": "voice",
    "service_tier": "tier",
}
"""Fields of a Request that are told in its first line -> how."""


def request_lines(request: Request) -> Iterator[Line]:
    """A request: its settings and tools, then the conversation."""
    yield from _split(", ".join(_settings(request)), "note")
    tools = [*map(_function, request.functions), *request.server_tools]
    if tools:
        yield from _split(f"tools: {', '.join(tools)}", "note")
    if request.system:
        yield from _turn("system", request.system)
    for turn in request.turns:
        yield from _turn(turn.role, turn.parts)


def answer_lines(answer: Answer, failure: Failure | None, *, is_whole: bool) -> Iterator[Line]:
    """An answer: what the model says, how it ended, and the tokens."""
    for choice in answer.choices:
        number = f" {choice.index + 1}" if len(answer.choices) > 1 else ""
        yield from _turn(f"assistant{number}", choice.parts)
        for told in _ending(choice):
            yield from _indented(_split(told, "note"))
    if failure:
        yield from _split(f"error {failure.status} {failure.code}: {failure.message}", "error")
    elif not is_whole:
        yield Line("(The answer breaks off here.)", "error")
    if answer.usage:
        yield Line(f"tokens: {tokens_in_words(answer.usage)}", "note")
    about = [f"model {answer.model}" if answer.model else "", f"id {answer.id}" if answer.id else ""]
    if any(about):
        yield from _split(", ".join(filter(None, about)), "note")


def json_lines(value: object) -> Iterator[Line]:
    """A JSON value, indented, with its base64 folded. Raises RecursionError if it is nested too deep."""
    yield from _split(folded_json(value))


def tokens_in_words(usage: Usage) -> str:
    """`12 input (4 cached), 30 output (20 thoughts)`."""
    inputs = _count(usage.input, "input", {"cached": usage.cached, "written to a cache": usage.cache_written})
    return f"{inputs}, {_count(usage.output, 'output', {'thoughts': usage.thoughts})}"


def _count(number: int | None, name: str, parts: dict[str, int | None]) -> str:
    told = ", ".join(f"{part:,} {of}" for of, part in parts.items() if part)
    return f"{'unknown' if number is None else f'{number:,}'} {name}" + (f" ({told})" if told else "")


def _settings(request: Request) -> Iterator[str]:
    if request.model:
        yield request.model
    if request.stream:
        yield "streamed"
    for name, word in SETTINGS.items():
        if (value := getattr(request, name)) is not None:
            yield f"{word} {', '.join(map(str, value)) if isinstance(value, list) else value}"
    if (thinking := request.thinking) is not None:
        amount = thinking.effort or (f"{thinking.budget} tokens" if thinking.budget is not None else None)
        yield f"thinking {amount}" if amount else "thinking"
    if request.format:
        yield "answer in JSON with a schema" if request.format.schema else "answer in JSON"
    if choice := request.tool_choice:
        yield f"tool choice {' '.join((choice.mode, *choice.names))}"


def _function(function: Function) -> str:
    properties = (function.parameters or {}).get("properties")
    return f"{function.name}({', '.join(map(str, properties)) if isinstance(properties, dict) else ''})"


def _turn(role: str, parts: Iterable[Part]) -> Iterator[Line]:
    yield Line(role, "role")
    for part in _merged(parts):
        yield from _indented(_part(part))


def _indented(lines: Iterable[Line]) -> Iterator[Line]:
    return (Line(INDENT + line, style) for line, style in lines)


def _split(text: str, style: Style = "text") -> Iterator[Line]:
    return (Line(line, style) for line in text.split("\n"))


def _merged(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts, with texts that follow one another in one: a stream has one of every few words."""
    for kind, group in groupby(parts, _kind_of_text):
        if kind:
            yield kind("".join(part.text for part in group if isinstance(part, kind)))
        else:
            yield from group


def _kind_of_text(part: Part) -> type[Text] | type[Thought] | None:
    """The class of a part that has text only; None for others."""
    if isinstance(part, Text | Thought) and (part.text or not part.google):
        return type(part)
    return None


def _part(part: Part) -> Iterator[Line]:
    match part:
        case Text(text=""):
            if part.google:
                yield Line(compact_json(_unsigned(part.google)))
        case Text():
            yield from _split(part.text)
        case Thought():
            yield from (Line(f"[thought] {line}", "note") for line in part.text.split("\n") if part.text)
        case Media():
            yield from _split(media_in_words(part))
        case ToolCall():
            yield from _split(f"[call] {part.name} {compact_json(part.arguments)}")
        case ToolResult():
            output = part.output if isinstance(part.output, str) else compact_json(part.output)
            failed = "failed: " if part.is_error else ""
            yield from _split("\n".join((f"[result] {part.name} {failed}{output}", *map(media_in_words, part.media))))


def _unsigned(google: Json) -> Json:
    return {name: value for name, value in google.items() if name not in ("thoughtSignature", "thought_signature")}


def media_in_words(media: Media) -> str:
    """`<image/png, 48 kB>`, or `<video/mp4 at gs://bucket/film.mp4>`."""
    if media.data is None:
        return f"<{media.mime_type} at {media.uri}>"
    return data_in_words(media.mime_type, media.data)


def _ending(choice: Choice) -> Iterator[str]:
    if choice.refusal:
        yield f"[refusal] {choice.refusal}"
    yield from (f"[search] {query}" for query in dict.fromkeys(choice.searches))
    pages = dict.fromkeys((one.title, one.url) for one in choice.citations)
    yield from (f"[cites] {title} {url}".replace("  ", " ") for title, url in pages)
    if choice.finish or choice.native:
        yield f"[end] {choice.native.reason if choice.native else choice.finish}"
