"""The items of a Response as they grow, and the events that tell of them: `Items` knows where an item stands, what its
events are called, and when it ends. What the items say is up to `write_answer`.

Source: OpenAI's API reference on streaming events.
"""

import copy
import uuid
from collections.abc import Generator
from collections.abc import Iterator
from typing import NamedTuple

from addons.translation.conversation import Citation
from addons.translation.conversation import Json
from addons.translation.conversation import TokenLogprob
from addons.translation.openai_chat.logprobs import write_tokens


class Kind(NamedTuple):
    """A kind of items that are told piece by piece, each with one part."""

    prefix: str
    """What the ids of the items begin with."""
    item: Json
    """An item with no part yet."""
    parts: str
    """The member of the item that holds its parts."""
    number: str
    """The member of an event that says which part it is about."""
    part: Json
    """A part with no text yet."""
    text: str
    """The member of the part that holds its text."""
    part_event: str
    """What the part's events are called: `response.{part_event}.added` and `.done`."""
    text_event: str
    """What those of its text are called: `response.{text_event}.delta` and `.done`."""


_MESSAGE: Json = {"type": "message", "status": "in_progress", "role": "assistant", "content": []}
TEXT = Kind(
    prefix="msg",
    item=_MESSAGE,
    parts="content",
    number="content_index",
    part={"type": "output_text", "text": "", "annotations": [], "logprobs": []},
    text="text",
    part_event="content_part",
    text_event="output_text",
)
REFUSAL = Kind(
    prefix="msg",
    item=_MESSAGE,
    parts="content",
    number="content_index",
    part={"type": "refusal", "refusal": ""},
    text="refusal",
    part_event="content_part",
    text_event="refusal",
)
THOUGHT = Kind(
    prefix="rs",
    item={"type": "reasoning", "summary": []},
    parts="summary",
    number="summary_index",
    part={"type": "summary_text", "text": ""},
    text="text",
    part_event="reasoning_summary_part",
    text_event="reasoning_summary_text",
)


class _OpenItem:
    """An item that more text may come for."""

    def __init__(self, kind: Kind, item: Json, place: Json) -> None:
        self.kind = kind
        self.item = item
        self.place = place
        """The members of an event that say which item it is about."""
        self.part: Json | None = None
        self._pieces: list[str] = []

    @property
    def part_place(self) -> Json:
        """The members of an event that say which part it is about."""
        return {**self.place, self.kind.number: 0}

    def begin_part(self) -> Json:
        self.part = copy.deepcopy(self.kind.part)
        self.item[self.kind.parts] = [self.part]
        return self.part

    def add(self, text: str) -> None:
        self._pieces.append(text)

    def settle(self, status: str) -> None:
        """Write the text that has come, and how the item ended, into the item."""
        if self.part:
            self.part[self.kind.text] = "".join(self._pieces)
        if "status" in self.item:
            self.item["status"] = status


class Items:
    """The items of a Response. All methods that add to them give the events that tell of it, each of which is to be
    used before the next is taken."""

    def __init__(self) -> None:
        self.written: list[Json] = []
        """Those that have ended, and at most one that is open."""
        self.status = "completed"
        """The status of items that have ended."""
        self._events = 0
        """How many there have been."""
        self._open: _OpenItem | None = None
        self._texts: list[tuple[int, _OpenItem]] = []
        """The messages with text, each with the character of the answer that it begins at."""
        self._length = 0
        """The length of the answer's text so far, in characters."""

    def event(self, type: str, **members: object) -> Json:
        """The next event, with its number."""
        event: Json = {"type": type, "sequence_number": self._events, **members}
        self._events += 1
        return event

    def is_open(self, kind: Kind) -> bool:
        """Whether what comes of this kind would be added to the last item."""
        return self._open is not None and self._open.kind is kind

    def say(self, kind: Kind, text: str, logprobs: list[TokenLogprob] | None = None) -> Iterator[Json]:
        """Add text to the open item, or to a new one if that is of another kind."""
        opened = self._open
        if opened is None or opened.kind is not kind:
            opened = yield from self._begin(kind)
        if opened.part is None:
            part = opened.begin_part()
            if kind is TEXT:
                self._texts.append((self._length, opened))
            yield self.event(f"response.{kind.part_event}.added", **opened.part_place, part=part)
        opened.add(text)
        if kind is TEXT:
            self._length += len(text)
        delta: Json = {"delta": text}
        if "logprobs" in kind.part:
            delta["logprobs"] = tokens = write_tokens(logprobs or [])
            opened.part["logprobs"] += tokens  # type: ignore[operator, index]
        yield self.event(f"response.{kind.text_event}.delta", **opened.part_place, **delta)

    def seal(self, sealed: str) -> Iterator[Json]:
        """End the open thought with a signature in its `encrypted_content`, or add a thought of nothing with it."""
        opened = self._open
        if opened is None or opened.kind is not THOUGHT:
            opened = yield from self._begin(THOUGHT)
        opened.item["encrypted_content"] = sealed
        yield from self.close()

    def cite(self, citation: Citation) -> Iterator[Json]:
        """Tell a citation with the message whose text it begins in, also when that has ended: Google tells its sources
        last."""
        found = next((found for found in reversed(self._texts) if found[0] <= citation.start), None)
        if found is None:
            return
        begin, cited = found
        end = min((start for start, _ in self._texts if start > begin), default=self._length)
        annotation = {
            "type": "url_citation",
            "start_index": min(citation.start, end) - begin,
            "end_index": min(citation.end, end) - begin,
            "url": citation.url,
            "title": citation.title,
        }
        annotations = cited.part and cited.part["annotations"]
        assert isinstance(annotations, list)
        annotations.append(annotation)
        yield self.event(
            "response.output_text.annotation.added",
            **cited.part_place,
            annotation_index=len(annotations) - 1,
            annotation=annotation,
        )

    def add_whole(self, item: Json, events: dict[str, Json], **told: object) -> Iterator[Json]:
        """Add an item that comes at once. `events` are the names and members of those between its beginning and its
        end; `told` is what it has at its end."""
        yield from self.close()
        place = self._add(item)
        yield self.event("response.output_item.added", output_index=place["output_index"], item=item)
        for name, members in events.items():
            yield self.event(f"response.{name}", **place, **members)
        item |= {"status": "completed", **told}
        yield self._done(item, place)

    def close(self) -> Iterator[Json]:
        """End the item that is open."""
        opened, self._open = self._open, None
        if opened is None:
            return
        opened.settle(self.status)
        kind, part = opened.kind, opened.part
        if part:
            told = {name: part[name] for name in (kind.text, "logprobs") if name in part}
            yield self.event(f"response.{kind.text_event}.done", **opened.part_place, **told)
            yield self.event(f"response.{kind.part_event}.done", **opened.part_place, part=part)
        yield self._done(opened.item, opened.place)

    def break_off(self) -> None:
        """Leave the item that is open as it is, without a word of its end."""
        if self._open:
            self._open.settle("incomplete")

    def _begin(self, kind: Kind) -> Generator[Json, None, _OpenItem]:
        yield from self.close()
        item = {"id": f"{kind.prefix}_{uuid.uuid4().hex}"} | copy.deepcopy(kind.item)
        self._open = opened = _OpenItem(kind, item, self._add(item))
        yield self.event("response.output_item.added", output_index=opened.place["output_index"], item=item)
        return opened

    def _add(self, item: Json) -> Json:
        """The members of an event that say which item it is about."""
        self.written.append(item)
        return {"item_id": item["id"], "output_index": len(self.written) - 1}

    def _done(self, item: Json, place: Json) -> Json:
        return self.event("response.output_item.done", output_index=place["output_index"], item=item)
