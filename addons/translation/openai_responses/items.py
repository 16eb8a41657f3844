"""The output items of a Response while they are written, and the stream events for them.

`Items` knows an item's index, the names of its events, and when it ends. `write_answer` decides what is in the items.

Source: OpenAI's API reference on streaming events.
"""

import copy
import uuid
from collections.abc import Generator
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

from addons.translation.conversation import Citation
from addons.translation.conversation import Json
from addons.translation.conversation import TokenLogprob
from addons.translation.openai_chat.logprobs import write_tokens


class Kind(NamedTuple):
    """A kind of items whose text arrives piece by piece. Such an item has one part, which has the text."""

    prefix: str
    """The prefix of the items' ids."""
    item: Json
    """An item that has no part yet."""
    parts: str
    """The member of an item that holds its parts."""
    number: str
    """The member of an event with the index of the part."""
    part: Json
    """A part that has no text yet."""
    text: str
    """The member of a part that holds its text."""
    part_event: str
    """The name of the part's events: `response.{part_event}.added` and `.done`."""
    text_event: str
    """The name of its text's events: `response.{text_event}.delta` and `.done`."""


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
    """An item to which more text may be added."""

    def __init__(self, kind: Kind, item: Json, place: Json) -> None:
        self.kind = kind
        self.item = item
        self.place = place
        """The members of an event with the id and the index of the item."""
        self.part: Json | None = None
        self._pieces: list[str] = []

    @property
    def part_place(self) -> Json:
        """The members of an event with the id and the index of the item, and the index of the part."""
        return {**self.place, self.kind.number: 0}

    def begin_part(self) -> Json:
        self.part = copy.deepcopy(self.kind.part)
        self.item[self.kind.parts] = [self.part]
        return self.part

    def add(self, text: str) -> None:
        self._pieces.append(text)

    def settle(self, status: str) -> None:
        """Writes the collected text and the status into the item."""
        if self.part:
            self.part[self.kind.text] = "".join(self._pieces)
        if "status" in self.item:
            self.item["status"] = status


class Items:
    """The output items of a Response. The methods that change them yield the stream events for the change. An event may
    hold an item that changes later, so it must be written out before the next event is taken."""

    def __init__(self) -> None:
        self.written: list[Json] = []
        """The items that have ended, and at most one that is open."""
        self.status = "completed"
        """The status that an item gets when it ends."""
        self._events = 0
        """The number of events so far."""
        self._open: _OpenItem | None = None
        self._texts: list[tuple[int, _OpenItem]] = []
        """The messages with text, each with the index in the answer's text at which it begins."""
        self._length = 0
        """The length of the answer's text so far, in characters."""

    def event(self, type: str, **members: object) -> Json:
        """An event with the next sequence number."""
        event: Json = {"type": type, "sequence_number": self._events, **members}
        self._events += 1
        return event

    def is_open(self, kind: Kind) -> bool:
        """Whether text of this kind would be added to the open item."""
        return self._open is not None and self._open.kind is kind

    def say(self, kind: Kind, text: str, logprobs: list[TokenLogprob] | None = None) -> Iterator[Json]:
        """Adds text to the open item, or to a new item if the open one is of another kind."""
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
        """Ends the open reasoning item, with a signature as its `encrypted_content`. If none is open, adds one."""
        opened = self._open
        if opened is None or opened.kind is not THOUGHT:
            opened = yield from self._begin(THOUGHT)
        opened.item["encrypted_content"] = sealed
        yield from self.close()

    def cite(self, citation: Citation) -> Iterator[Json]:
        """Adds a citation to the message in whose text it begins, even if that message has ended: Google sends
        citations last."""
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

    def add_whole(self, item: Json, events: Sequence[tuple[str, Json]], **told: object) -> Iterator[Json]:
        """Adds an item that is complete at once. `events` are the names and members of the events between its first and
        its last event. `told` are members that it has in the last event only."""
        yield from self.close()
        place = self._add(item)
        yield self.event("response.output_item.added", output_index=place["output_index"], item=item)
        for name, members in events:
            yield self.event(f"response.{name}", **place, **members)
        item |= {"status": "completed", **told}
        yield self._done(item, place)

    def close(self) -> Iterator[Json]:
        """Ends the open item, if there is one."""
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
        """Marks the open item as incomplete. There are no events for it."""
        if self._open:
            self._open.settle("incomplete")

    def _begin(self, kind: Kind) -> Generator[Json, None, _OpenItem]:
        yield from self.close()
        item = {"id": f"{kind.prefix}_{uuid.uuid4().hex}"} | copy.deepcopy(kind.item)
        self._open = opened = _OpenItem(kind, item, self._add(item))
        yield self.event("response.output_item.added", output_index=opened.place["output_index"], item=item)
        return opened

    def _add(self, item: Json) -> Json:
        """Adds an item. Returns the members of an event with its id and its index."""
        self.written.append(item)
        return {"item_id": item["id"], "output_index": len(self.written) - 1}

    def _done(self, item: Json, place: Json) -> Json:
        return self.event("response.output_item.done", output_index=place["output_index"], item=item)
