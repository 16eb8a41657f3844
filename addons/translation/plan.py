"""What a plan is: the requests to a service that a client's call becomes, and the way back of their answers.

Nothing here knows HTTP beyond methods, types and bodies.
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
    """What a client has sent."""

    operation: str
    """In the ledger's words: `chat/completions`, or of Google's clients the action, such as `generateContent`."""
    method: str
    path: str
    """Below `/v1/`, with its query."""
    resource: str
    """What the path names beyond the operation: a model, the id of a video; else empty."""
    content_type: str
    raw: bytes
    """The body."""


class Sending(NamedTuple):
    """A request to a service."""

    resource: str
    """The path of what is asked, below the service's location or base URL."""
    body: bytes = b""
    content_type: str = "application/json"
    method: str = "POST"

    @classmethod
    def of_json(cls, resource: str, body: Json) -> Self:
        return cls(resource, to_json(body, inf_nan_mode="null"))


class AnswerBody(NamedTuple):
    """An answer that may be other than JSON, such as a video."""

    mime_type: str
    data: bytes


class Conversion(Protocol):
    """How the service's answers become the one that the client reads."""

    streams: bool
    """Whether the client wants it piece by piece."""
    content_type: str
    """The media type of what the client gets piece by piece."""

    def feed(self, event: object) -> bytes:
        """What the client gets for an event of the service's stream, parsed from JSON."""
        ...

    def end(self) -> bytes:
        """What the client gets when the service's stream has ended."""
        ...

    def fail(self, failure: Failure) -> bytes:
        """The last words of a stream in which something goes wrong."""
        ...

    def cut(self) -> bytes:
        """What is left to say when the service breaks off its stream."""
        ...

    @property
    def failed(self) -> bool:
        """Whether the client was told an error."""
        ...

    def whole(self, documents: list[object]) -> Json | AnswerBody | Failure:
        """The client's answer for answers that are not streamed, one document for each request."""
        ...


ReadAnswers = Callable[[list[object]], Json | AnswerBody | Failure]
"""The answers to all requests of a plan -> the client's."""


class WholeConversion:
    """A conversion of answers that no client wants piece by piece."""

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


@dataclass(slots=True)
class Plan:
    """What becomes of a client's call."""

    sendings: list[Sending]
    """All are sent at the same time. Empty if the conversion needs no answer."""
    conversion: Conversion | None
    """None if the service's answer is in the client's dialect already."""
    model: ServedModel | None = None
    notes: Notes = field(default_factory=Notes)
    headers: dict[str, str] = field(default_factory=dict)
    """What the service is to get beside its usual headers."""
    project: str | None = None
    """Where the client wants it to be answered, as far as it says so."""
    location: str | None = None
    next_page: Callable[[object], Sending | None] | None = None
    """Takes an answer, and gives the request for the next page if there is one."""
    spare: str | None = None
    """What the client is told to lack if it is answered without the service; None if it cannot be."""


RealName = Callable[[str], str]
"""A model's name as a client writes it, maybe an alias -> its real name."""
