"""The state of a call under way: what it asks, what answers it, and how far it has come.

Every AI call has one `Exchange`. Addons share nothing else: they ask it, and move it on with its methods.
`docs/architecture.md` has the table of its fields, with the one room that writes each.
"""

import contextlib
import functools
import inspect
import logging
import re
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import MutableMapping
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from enum import Enum
from typing import Any
from typing import TypeVar

from mitmproxy import http

from addons.configuration.services import Service
from addons.configuration.settings import Configuration
from addons.metered import Metered
from addons.metered import perf_counter_at
from addons.translation.conversation import to_bytes
from addons.translation.errors import Failure
from addons.translation.errors import anthropic_error
from addons.translation.errors import code_of
from addons.translation.errors import openai_error
from addons.translation.errors import words_for
from addons.translation.plan import Plan
from addons.upstream import Together
from metering.call import Call
from metering.call import ErrorType
from metering.call import Reading
from metering.paths import Target
from metering.request import Asked
from metering.usage.formats import usage_of

logger = logging.getLogger(__name__)


class State(Enum):
    """How far a call has come."""

    ASKED = "asked"
    """Its head is here."""
    AWAITS_BODY = "awaits body"
    """What answers it, or what it becomes, its body tells. Until then it can go nowhere."""
    SENT = "sent"
    """Its request goes upstream."""
    STREAMED = "streamed"
    """Its answer passes on as it comes."""
    HELD = "held"
    """Its answer is kept until it is whole, as the client gets another one."""
    REFUSED = "refused"
    """We have answered it with an error, and nothing was sent."""
    ANSWERED = "answered"
    """We, or another addon, have answered it without an upstream."""
    SETTLED = "settled"
    """Its row says how it has ended."""


MOVES: dict[State, frozenset[State]] = {
    State.ASKED: frozenset({State.AWAITS_BODY, State.SENT, State.REFUSED, State.ANSWERED, State.SETTLED}),
    State.AWAITS_BODY: frozenset({State.ASKED, State.SENT, State.REFUSED, State.ANSWERED, State.SETTLED}),
    State.SENT: frozenset({State.STREAMED, State.HELD, State.ANSWERED, State.SETTLED}),
    State.STREAMED: frozenset({State.HELD, State.SETTLED}),
    State.HELD: frozenset({State.STREAMED, State.SETTLED}),
    State.REFUSED: frozenset({State.SETTLED}),
    State.ANSWERED: frozenset({State.SETTLED}),
    State.SETTLED: frozenset(),
}
"""Which states may follow each. To stay in a state is no move."""


@dataclass(slots=True, eq=False)
class Attempt:
    """One request to one upstream, and what it answered."""

    target: Target | None
    """What it asks there; None for a path that is not known."""
    method: str
    answer: http.Response | None = None
    """If we have sent it. The answer to what mitmproxy sends is on its flow."""
    reading: Reading | None = None
    """What that answer tells, if it is one of several that make up the answer."""
    is_repetition: bool = False
    """Whether its answer takes the place of an earlier one; else it is one of several that make up the answer."""
    started_at: int = field(default_factory=lambda: time.time_ns() // 1000)
    """Microseconds since the epoch, and `ended_at` when its answer was here, if that has been noted."""
    ended_at: int | None = None

    @property
    def is_error(self) -> bool:
        return self.answer is not None and self.answer.status_code >= 400

    def answered(
        self, answer: http.Response, reading: Reading | None = None, *, is_repetition: bool = False
    ) -> "Attempt":
        """The same attempt, of which the answer is here now."""
        ended_at = time.time_ns() // 1000
        return replace(self, answer=answer, reading=reading, is_repetition=is_repetition, ended_at=ended_at)


@dataclass(slots=True, weakref_slot=True, eq=False)
class Exchange:
    """An AI call under way."""

    call: Call
    """The row that it will leave."""
    target: Target | None
    """What the client asks; None for a path that is not known."""
    base: str
    """The configured base path that it came with; empty without one."""
    path: str
    """The path, without the base path and the query."""
    credential: str | None
    """What tells its client from others. A secret: only its fingerprint is kept."""
    configuration: Configuration
    """What the proxy was told to do when the call came; it holds until the call ends, whatever is read later."""
    state: State = State.ASKED
    service: Service | None = None
    """What answers it, if that is one of ours."""
    token: str | None = None
    """The access token of ours that it goes with."""
    attempts: list[Attempt] = field(default_factory=list)
    """The first is what mitmproxy sends."""
    plan: Plan | None = None
    """What it has become, if it was converted."""
    together: Together | None = None
    """The requests that are sent beside the first, if it has become several."""
    refused_as: str | None = None
    """The `error_type` of its row, if it was refused."""
    last_words: bytes = b""
    """What the client still gets after its stream has broken off."""
    metered: Metered = field(init=False)
    """What is measured of it."""

    def __post_init__(self) -> None:
        call = self.call
        usage = usage_of(self.target, call.method or "", call.model)
        self.metered = Metered(call, usage, perf_counter_at(call.started_at / 1e6))

    # Its client

    @property
    def speaks_openai(self) -> bool:
        """Whether its client reads errors in OpenAI's words, and nobody else's."""
        return self.target.surface == "openai" if self.target else LIKE_OPENAI.match(self.path) is not None

    @property
    def speaks_anthropic(self) -> bool:
        return self.target is not None and self.target.surface == "anthropic"

    # What may answer it

    def service_for(self, model: str | None) -> Service | None:
        """The service of the first route that matches the call, if it is for this model; None if none does."""
        call, gateway = self.call, self.configuration.gateway
        return gateway.service_for(
            base_path=self.base, surface=call.surface or "", publisher=call.publisher, model=model
        )

    def choose(self, name: str, service: Service | None = None) -> None:
        """Note what answers it: its name, and the service if that is to put credentials in, or to convert."""
        self.call.service, self.service = name, service

    # How far it has come

    @property
    def awaits_body(self) -> bool:
        """Whether nothing can go out before its body is here."""
        return self.state is State.AWAITS_BODY

    @property
    def goes_on(self) -> bool:
        """Whether it goes on as it came, and has not gone yet."""
        return self.state is State.ASKED

    @property
    def is_held(self) -> bool:
        """Whether its answer is kept until it is whole."""
        return self.state is State.HELD

    @property
    def is_refused(self) -> bool:
        return self.state is State.REFUSED

    @property
    def is_over(self) -> bool:
        """Whether no upstream is asked: it is answered already."""
        return self.state in (State.REFUSED, State.ANSWERED, State.SETTLED)

    def move(self, state: State) -> None:
        """Go on to another state."""
        if state is not self.state:
            assert state in MOVES[self.state], f"a call that is {self.state.value} cannot become {state.value}"
            self.state = state

    def refuse(self, flow: http.HTTPFlow, failure: Failure, error_type: str | None, param: str | None = None) -> None:
        """Answer the call with an error in its own dialect; `param` is what is wrong in its body."""
        if self.speaks_openai or self.speaks_anthropic:
            body = to_bytes(openai_error(failure, param) if self.speaks_openai else anthropic_error(failure))
            flow.response = http.Response.make(failure.status, body, {"content-type": "application/json"})
        else:
            flow.response = error_response(failure.status, failure.message)
        self.refused_as = error_type
        self.move(State.REFUSED)

    def refuse_unanswered(self) -> None:
        """mitmproxy answers it: it is malformed, or our own answer did not go out."""
        self.refused_as = self.refused_as or ErrorType.BAD_REQUEST
        if not self.is_over:
            self.move(State.REFUSED)

    def answer(self) -> None:
        """The call is answered without an upstream; what was noted of one is no more."""
        self.attempts.clear()
        self.call.attempts, self.call.upstream_host, self.call.upstream_path = 0, None, None
        self.move(State.ANSWERED)

    def send_on(self, method: str) -> None:
        """The client's request goes upstream, and asks there what the client has asked."""
        self.send(Attempt(self.target, method))

    def send_rewritten(self, attempt: Attempt, *, is_other: bool, ordered: dict[str, object] | None = None) -> None:
        """What it has become goes upstream; `is_other` unless its body is what the client has sent. `ordered` is the
        quantity that its body asks for, as `usage_raw` has it."""
        self.call.rewritten, self.call.usage_raw = is_other, ordered
        self.send(attempt)

    def send(self, attempt: Attempt) -> None:
        """A request goes upstream, or its answer is here."""
        self.attempts.append(attempt)
        self.call.attempts = len(self.attempts)
        if self.state in (State.ASKED, State.AWAITS_BODY):
            self.move(State.SENT)

    @property
    def repeated(self) -> http.Response | None:
        """The answer that takes the place of the first one's."""
        return next((attempt.answer for attempt in self.attempts if attempt.is_repetition), None)

    @property
    def others(self) -> list[Attempt]:
        """The requests that were sent beside the first, and are answered."""
        return [attempt for attempt in self.attempts if attempt.answer and not attempt.is_repetition]

    # What its row says of it

    def go_to(self, host: str, path: str) -> None:
        """Note where its request goes; the query is not kept."""
        self.call.upstream_host, self.call.upstream_path = host, path.partition("?")[0]

    def learn(
        self,
        project: str | None = None,
        location: str | None = None,
        publisher: str | None = None,
        model: str | None = None,
    ) -> None:
        """Take what is certain; None is not."""
        call = self.call
        call.project, call.location = project or call.project, location or call.location
        call.publisher, call.model = publisher or call.publisher, model or call.model

    def suppose(self, project: str | None = None, location: str | None = None) -> None:
        """Take these where nothing is known yet."""
        self.learn(self.call.project or project, self.call.location or location)

    def take_body(self, said: Asked) -> None:
        """Take what its body says and its path does not."""
        if said.model and self.call.model in (None, COUNT_TOKENS):
            self.learn(model=said.model, publisher=said.publisher)
        self.suppose(project=said.project, location=said.location)
        self.call.usage_raw = said.usage_raw

    @property
    def needs_body(self) -> bool:
        """Whether its body says what its path does not."""
        if self.target is None:
            return False
        return self.call.model in (None, COUNT_TOKENS) or self.target.operation == "predictLongRunning"


Exchanges = MutableMapping[http.HTTPFlow, Exchange]

COUNT_TOKENS = "count-tokens"
"""Claude's tokens are counted at a path that names this for the model."""
LIKE_OPENAI = re.compile(r"/+v1(?:/|%2f|$)(?!(?:.*/)?(?:projects|publishers)/)", re.IGNORECASE)
"""Paths that OpenAI's clients may mean, of those that are not known."""


def error_response(status: int, message: str) -> http.Response:
    """An error that every SDK reads: `error.status` is Google's word, `error.type` OpenAI's."""
    error = {"code": status, "message": message, "status": code_of(status), "type": words_for(status).type}
    return http.Response.make(status, to_bytes({"error": error}), {"content-type": "application/json"})


# Hooks that keep the promises when they fail

Hook = TypeVar("Hook", bound=Callable[..., Any])


def fails_closed(hook: Hook) -> Hook:
    """After an exception in a hook mitmproxy lets a call go on as it is. Where that could send a credential to
    somebody, or a call unconverted, it is answered instead."""

    @contextlib.contextmanager
    def guard(addon: Any, flow: http.HTTPFlow) -> Iterator[None]:
        try:
            yield
        except Exception as e:
            # The message of an exception may quote the prompt; its type does not.
            logger.error("vertex-tap: a call was not sent (%s in %s)", type(e).__name__, hook.__qualname__)
            failure = Failure(500, "The proxy could not send this call on.", "INTERNAL")
            exchange = addon.exchanges.get(flow)
            if exchange and State.REFUSED in MOVES[exchange.state]:
                exchange.refuse(flow, failure, None)
            elif not flow.response:
                flow.response = error_response(failure.status, failure.message)

    return _guarded(hook, guard)


def harmless(hook: Hook) -> Hook:
    """Trouble with metering never breaks traffic: an exception would also keep the hooks after ours from running."""

    @contextlib.contextmanager
    def guard(*_: Any) -> Iterator[None]:
        try:
            yield
        except Exception as e:
            logger.error("vertex-tap: metering failed in %s (%s)", hook.__name__, type(e).__name__)

    return _guarded(hook, guard)


def _guarded(hook: Hook, guard: Callable[..., contextlib.AbstractContextManager[None]]) -> Hook:
    @functools.wraps(hook)
    def guarded(addon: Any, *args: Any) -> None:
        with guard(addon, *args):
            hook(addon, *args)

    @functools.wraps(hook)
    async def guarded_async(addon: Any, *args: Any) -> None:
        with guard(addon, *args):
            await hook(addon, *args)

    return guarded_async if inspect.iscoroutinefunction(hook) else guarded  # type: ignore[return-value]
