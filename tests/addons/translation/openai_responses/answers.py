"""Answers written for clients of responses, and any parts to write."""

import json
from typing import Any

from hypothesis import strategies as st

from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Finish
from addons.translation.conversation import Media
from addons.translation.conversation import Part
from addons.translation.conversation import Text
from addons.translation.conversation import Thought
from addons.translation.conversation import ToolCall
from addons.translation.errors import Failure
from addons.translation.openai_responses.write_answer import StreamWriter
from addons.translation.openai_responses.write_answer import write_answer
from tests.addons.translation import chats
from tests.addons.translation.openai_responses.inputs import CLAUDES
from tests.addons.translation.openai_responses.inputs import SEALED
from tests.addons.translation.openai_responses.inputs import SIGNATURE

Json = dict[str, Any]


def items_of(response: Json) -> list[Json]:
    output = response["output"]
    assert isinstance(output, list)
    return output


def told(*parts: Part, finish: Finish | None = Finish.STOP, body: Json | None = None, **members: Any) -> Json:
    return write_answer(Answer("r", "served", [Choice(0, [*parts], finish, **members)]), "asked", body or {})


def without(item: Json, *names: str) -> Json:
    return {name: value for name, value in item.items() if name not in names}


class Stream:
    """What a client reads of a stream."""

    def __init__(self, body: Json | None = None) -> None:
        self.writer = StreamWriter("asked", body or {})
        self.sent = b""

    def write(self, *answers: Answer) -> "Stream":
        for answer in answers:
            self.sent += self.writer.write(answer)
        return self

    def end(self) -> "Stream":
        self.sent += self.writer.end()
        return self

    def fail(self, status: int = 503) -> "Stream":
        self.sent += self.writer.fail(Failure(status, "gone", "UNAVAILABLE"))
        return self

    @property
    def events(self) -> list[Json]:
        events: list[Json] = []
        for piece in self.sent.split(b"\n\n")[:-1]:
            name, data = piece.split(b"\n")
            event = json.loads(data.removeprefix(b"data: "))
            assert name.decode() == f"event: {event['type']}"
            assert event["sequence_number"] == len(events)
            events.append(event)
        return events

    @property
    def types(self) -> list[str]:
        return [event["type"].removeprefix("response.") for event in self.events]


def piece(*parts: Part, finish: Finish | None = None, **members: Any) -> Answer:
    return Answer("r", "served", [Choice(0, [*parts], finish, **members)])


BEGIN = ["created", "in_progress"]

signed = st.none() | st.sampled_from([SIGNATURE, CLAUDES])

said_parts: st.SearchStrategy[Part] = (
    st.builds(Text, st.text(max_size=4), signed)
    | st.builds(Thought, st.text(max_size=4), signed)
    | st.builds(ToolCall, st.none() | chats.words, chats.words, chats.objects, signed)
    | st.builds(Media, st.sampled_from(["image/png", "audio/wav"]), data=chats.encoded, signature=signed)
)

bodies = st.sampled_from([{}, {"include": SEALED}])
