"""Answers written for clients of chat completions, and those of services read."""

import json
from typing import Any

from addons.translation.conversation import Answer
from addons.translation.conversation import Choice
from addons.translation.conversation import Finish
from addons.translation.conversation import Part
from addons.translation.errors import Failure
from addons.translation.openai_chat.read_answer import AnswerReader as ChatReader
from addons.translation.openai_chat.write_answer import StreamWriter
from addons.translation.openai_chat.write_answer import write_answer

Json = dict[str, Any]


def told(*parts: Part, finish: Finish | None = Finish.STOP, **members: Any) -> Json:
    """The only choice of an answer."""
    answer = json.loads(json.dumps(write_answer(Answer(choices=[Choice(0, [*parts], finish, **members)]), "m")))
    (choice,) = answer["choices"]
    assert choice.keys() == {"index", "message", "logprobs", "finish_reason"}
    assert choice["message"]["role"] == "assistant"
    return dict(choice)


def said(*parts: Part, **members: Any) -> Json:
    """What its message says beside its role and a refusal of None."""
    message = told(*parts, **members)["message"]
    return {name: value for name, value in message.items() if name != "role" and (name, value) != ("refusal", None)}


class Stream:
    """What a client reads of a stream."""

    def __init__(self, include_usage: bool = False) -> None:
        self.writer = StreamWriter("asked", include_usage)
        self.sent = b""

    def write(self, *answers: Answer) -> "Stream":
        for answer in answers:
            self.sent += self.writer.write(answer)
        return self

    def end(self) -> "Stream":
        self.sent += self.writer.end()
        return self

    def fail(self) -> "Stream":
        self.sent += self.writer.fail(Failure(503, "gone", "UNAVAILABLE"))
        return self

    @property
    def events(self) -> list[Any]:
        assert not self.sent or self.sent.endswith(b"\n\n")
        pieces = self.sent.split(b"\n\n")[:-1]
        assert all(piece.startswith(b"data: ") for piece in pieces)
        return [piece[6:].decode() if piece == b"data: [DONE]" else json.loads(piece[6:]) for piece in pieces]

    @property
    def deltas(self) -> list[Json]:
        """Of the chunks with a choice, without the first (the role) and the last (the end)."""
        choices = [event["choices"][0] for event in self.events if event != "[DONE]"]
        return [choice["delta"] for choice in choices][1:-1]


def piece(*parts: Part, index: int = 0, finish: Finish | None = None, **members: Any) -> Answer:
    return Answer("r", "served", [Choice(index, [*parts], finish, **members)])


def gotten(*documents: object) -> list[Answer]:
    reader = ChatReader()
    answers = [reader.read(document) for document in documents]
    assert reader.failure is None
    return answers


def choice_of(message: object, finish: str | None = "stop", **members: object) -> Choice:
    """What is made of the only choice of a whole answer."""
    ((choice,),) = (
        answer.choices
        for answer in gotten({"choices": [{"index": 0, "message": message, "finish_reason": finish, **members}]})
    )
    return choice
