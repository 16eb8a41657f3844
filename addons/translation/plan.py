"""A `Plan`: the requests to a service that a client's request becomes, and the conversion of their answers.

Of HTTP, only methods, paths, content types and bodies are known here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from typing import NamedTuple
from typing import Protocol
from typing import Self

from pydantic_core import to_json

from addons.translation.conversation import Json
from addons.translation.conversation import Notes
from addons.translation.errors import Failure
from addons.translation.publishers import ServedModel


class ClientRequest(NamedTuple):
    """A request of a client."""

    operation: str
    """The operation, as the ledger names it: `chat/completions`; for Google's clients the action: `generateContent`."""
    method: str
    path: str
    """The path below `/v1/`, with its query."""
    resource: str
    """What the path names beside the operation: a model, or the id of a video. Empty if nothing."""
    content_type: str
    raw: bytes
    """The body."""
    betas: str = ""
    """The value of the header `anthropic-beta`."""


class Sending(NamedTuple):
    """A request to a service."""

    resource: str
    """The path, below the service's location or base URL, with its query."""
    body: bytes = b""
    content_type: str = "application/json"
    method: str = "POST"

    @classmethod
    def of_json(cls, resource: str, body: Json) -> Self:
        return cls(resource, to_json(body, inf_nan_mode="null"))


class AnswerBody(NamedTuple):
    """The body of an answer that is not JSON, such as a video."""

    mime_type: str
    data: bytes


class Conversion(Protocol):
    """Converts the service's answers into the client's answer: a stream event by event, or all of it at once."""

    streams: bool
    """Whether the client wants a stream."""
    content_type: str
    """The media type of the client's stream."""

    def feed(self, event: object) -> bytes:
        """The bytes for the client that an event of the service's stream becomes. `event` is parsed JSON."""
        ...

    def end(self) -> bytes:
        """The last bytes of the client's stream, when the service's stream has ended."""
        ...

    def fail(self, failure: Failure) -> bytes:
        """The last bytes of the client's stream, when it ends with an error."""
        ...

    def cut(self) -> bytes:
        """The last bytes of the client's stream, when the connection to the service breaks: an error, unless the answer
        was complete."""
        ...

    @property
    def failed(self) -> bool:
        """Whether an error was sent to the client."""
        ...

    def told(self, failure: Failure) -> Failure:
        """An error of the service's, with the client's names for the functions in it."""
        ...

    def whole(self, documents: list[object]) -> Json | AnswerBody | Failure:
        """The client's answer, if it is not a stream. `documents` are the parsed answers, one for each request."""
        ...


ReadAnswers = Callable[[list[object]], Json | AnswerBody | Failure]
"""The parsed answers to all requests of a plan -> the client's answer."""


class WholeConversion:
    """The `Conversion` of operations that are never streamed, such as images."""

    streams = False
    content_type = ""
    failed = False

    def __init__(self, read: ReadAnswers) -> None:
        self.whole = read

    def feed(self, event: object) -> bytes:
        raise TypeError("this is no stream")

    def end(self) -> bytes:
        return b""

    def fail(self, failure: Failure) -> bytes:
        return b""

    def cut(self) -> bytes:
        return b""

    def told(self, failure: Failure) -> Failure:
        return failure


@dataclass(slots=True)
class Plan:
    """The requests that a client's request becomes, and the conversion of their answers."""

    sendings: list[Sending]
    """The requests, all sent at the same time. Empty: the client is answered without the service."""
    conversion: Conversion | None
    """None: the service's answer is in the client's dialect already, and is passed on."""
    model: ServedModel | None = None
    notes: Notes = field(default_factory=Notes)
    headers: dict[str, str] = field(default_factory=dict)
    """Headers that the requests get beside the usual ones."""
    project: str | None = None
    """The Google Cloud project that the client names in its body; None: none."""
    location: str | None = None
    """The location that the client names in its body; None: none."""
    next_page: Callable[[object], Sending | None] | None = None
    """A parsed answer -> the request for the next page; None: there is no further page."""
    spare: str | None = None
    """If the service fails, the client can be answered without it; then this names what the answer lacks, such as
    `models of the project`. None: the client needs the service's answer."""


RealName = Callable[[str], str]
"""A model's name as the client writes it, maybe an alias -> its real name."""
