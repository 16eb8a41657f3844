"""The state of a call under way: what the client asks for, which service answers, and how far the call has come.

Every AI call has one `Exchange`. It is the only thing that addons share: they read it, and change it with its methods.
`docs/architecture.md` lists its fields, and for each the one module that writes it.
"""

import contextlib
import functools
import inspect
import logging
import re
import time
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import MutableMapping
from dataclasses import dataclass
from dataclasses import field
from dataclasses import fields
from dataclasses import replace
from typing import Any
from typing import TypeVar

from mitmproxy import http

from addons.attempts import Attempt
from addons.configuration.clients import Client
from addons.configuration.services import Candidate
from addons.configuration.services import Service
from addons.configuration.settings import Configuration
from addons.metered import Metered
from addons.metered import perf_counter_at
from addons.progress import MOVES
from addons.progress import Progress
from addons.translation.conversation import to_bytes
from addons.translation.errors import ERROR_DIALECTS
from addons.translation.errors import GOOGLES_ERRORS
from addons.translation.errors import ErrorDialect
from addons.translation.errors import Failure
from addons.translation.errors import code_of
from addons.translation.errors import words_for
from addons.translation.plan import Plan
from addons.upstream import Together
from metering.call import Call
from metering.call import ErrorType
from metering.call import uuid7
from metering.paths import Target
from metering.request import Asked
from metering.usage.formats import usage_of

logger = logging.getLogger(__name__)


@dataclass(slots=True, weakref_slot=True, eq=False)
class Exchange:
    """An AI call under way."""

    call: Call
    """The ledger row of this call."""
    target: Target | None
    """The parsed path of the client's request; None for an unknown path."""
    base: str
    """The configured base path that the request path began with; empty if none."""
    path: str
    """The request path, without the base path and the query."""
    credential: str | None
    """What tells this client from others, such as its API key. A secret: only its fingerprint is stored."""
    configuration: Configuration
    """The configuration when the call came. It holds until the call ends, even if another one is read meanwhile."""
    state: Progress = Progress.ASKED
    client: Client | None = None
    """The configured client that calls, if its key is valid."""
    service: Service | None = None
    """The configured service that answers; None until it is chosen, and for OpenAI calls that only pass through."""
    candidates: tuple[Candidate, ...] = ()
    """What may answer, by the route; empty if none matches. And the one of them that is tried now."""
    candidate: Candidate | None = None
    token: str | None = None
    """The proxy's own access token that the request carries."""
    attempts: list[Attempt] = field(default_factory=list)
    """All requests that were sent for this call."""
    plan: Plan | None = None
    """The requests that the call was converted to, and how their responses are converted back."""
    together: Together | None = None
    """The plan's further requests, which are sent at the same time as the first."""
    refused_as: str | None = None
    """The `error_type` of the row, if the call was refused."""
    turns: tuple["Exchange", ...] = ()
    """The responses under way on a Responses socket, each with a row of its own, except for the first, which has this
    one."""
    traceparent: str | None = None
    """The client's header of that name: the trace that the call is part of (W3C Trace Context)."""
    left: dict[str, str] = field(default_factory=dict)
    """Headers of the answer that tell what is left of the client's limits."""
    last_words: bytes = b""
    """The bytes that end the client's stream if the upstream breaks off."""
    metered: Metered = field(init=False)
    """The sizes, times and usage that are measured."""

    def __post_init__(self) -> None:
        call = self.call
        usage = usage_of(self.target, call.method or "", call.model)
        self.metered = Metered(call, usage, perf_counter_at(call.started_at / 1e6))

    # The client's dialect

    @property
    def speaks_openai(self) -> bool:
        """Whether the client expects errors in OpenAI's format."""
        return self.target.surface == "openai" if self.target else LIKE_OPENAI.match(self.path) is not None

    @property
    def errors(self) -> ErrorDialect:
        """How the client expects errors to look."""
        surface = "openai" if self.speaks_openai else self.target.surface if self.target else ""
        return ERROR_DIALECTS.get(surface, GOOGLES_ERRORS)

    def error_body(self, failure: Failure, param: str | None = None) -> bytes:
        """An error in the client's dialect. `param` names the wrong part of the client's body."""
        dialect = self.errors
        repeated = {dialect.id_member: self.call.id} if dialect.id_member else {}
        return to_bytes(dialect.write(failure, param) | repeated)

    def error_answer(self, failure: Failure, param: str | None = None) -> http.Response:
        """An answer of ours with an error in the client's dialect."""
        dialect = self.errors
        if dialect is GOOGLES_ERRORS:
            return error_response(failure.status, failure.message)
        headers = {"content-type": "application/json"}
        if dialect.id_member:
            headers[dialect.id_header] = self.call.id
        return http.Response.make(failure.status, self.error_body(failure, param), headers)

    def note_trace(self, traceparent: str | None) -> None:
        """Record the client's header `traceparent`."""
        self.traceparent = traceparent

    # Services

    def find_service(self, model: str | None) -> Service | None:
        """The service that is to be tried first for `model`; None if no route matches."""
        self.candidates = candidates_for(self, model)
        self.candidate = self.candidates[0] if self.candidates else None
        return self.configuration.gateway.services[self.candidate.service] if self.candidate else None

    def leave_out(self, candidates: Collection[Candidate]) -> None:
        """Note that these may not answer, after all."""
        self.candidates = tuple(one for one in self.candidates if one not in candidates)

    @property
    def has_fallback(self) -> bool:
        """Whether another service than the route's own may answer."""
        return len(self.candidates) > 1 or is_elsewhere(self)

    def real_name(self, model: str) -> str:
        """The model that the service is asked for if the client names `model`."""
        served_as = self.candidate.model if self.candidate else None
        return served_as or self.configuration.gateway.named(model)

    def choose(self, name: str, service: Service | None = None) -> None:
        """Record the name of what answers, and the service if it adds credentials or converts the call."""
        self.call.service, self.service = name, service

    # Progress

    @property
    def awaits_service(self) -> bool:
        """Whether a service is yet to be chosen out of several."""
        return self.state is Progress.AWAITS_SERVICE

    @property
    def awaits_body(self) -> bool:
        """Whether nothing can be sent before the request body is complete."""
        return self.state is Progress.AWAITS_BODY

    @property
    def goes_on(self) -> bool:
        """Whether the request will be sent as it came, and has not been sent yet."""
        return self.state is Progress.ASKED

    @property
    def is_held(self) -> bool:
        """Whether the response is kept until it is complete."""
        return self.state is Progress.HELD

    @property
    def is_refused(self) -> bool:
        """Whether the proxy has answered with an error. False again once the row is settled."""
        return self.state is Progress.REFUSED

    @property
    def is_over(self) -> bool:
        """Whether the call has its answer already, so that nothing may be sent upstream."""
        return self.state in (Progress.REFUSED, Progress.ANSWERED, Progress.SETTLED)

    def move(self, state: Progress) -> None:
        """Change the state. Fails an assertion if `MOVES` does not allow it."""
        if state is not self.state:
            assert state in MOVES[self.state], f"a call that is {self.state.value} cannot become {state.value}"
            self.state = state

    def refuse(self, flow: http.HTTPFlow, failure: Failure, error_type: str | None, param: str | None = None) -> None:
        """Answer the call with an error in the client's dialect.

        `error_type` is that of the ledger row. `param` names the wrong part of the client's body.
        """
        flow.response = self.error_answer(failure, param)
        if flow.request.method == "HEAD":
            # mitmproxy would send the body, which the client would take for its next answer.
            flow.response.content = b""
        self.refused_as = error_type
        self.move(Progress.REFUSED)

    def refuse_unanswered(self) -> None:
        """Record that mitmproxy answers with an error: the request is malformed, or our own response could not be
        sent."""
        self.refused_as = self.refused_as or ErrorType.BAD_REQUEST
        if not self.is_over:
            self.move(Progress.REFUSED)

    def answer(self) -> None:
        """Record that the call is answered without an upstream, and drop what was recorded about one."""
        self.attempts.clear()
        self.call.attempts, self.call.upstream_host, self.call.upstream_path = 0, None, None
        self.move(Progress.ANSWERED)

    def note_sent(self, method: str) -> None:
        """Record that the client's request is sent upstream as it is."""
        self.add_attempt(Attempt(self.target, method))

    def note_rewritten(self, attempt: Attempt, *, is_other: bool, ordered: Asked | None = None) -> None:
        """Record that the converted request is sent.

        `is_other` is whether it differs from what the client has sent. `ordered` is what its body asks for: quantity
        and variant of videos.
        """
        said = ordered or Asked()
        self.call.rewritten, self.call.usage_raw, self.call.variant = is_other, said.usage_raw, said.variant
        self.add_attempt(attempt)

    def add_attempt(self, attempt: Attempt) -> None:
        """Record a request that is sent, or one that has been answered."""
        self.attempts.append(attempt)
        self.call.attempts = len(self.attempts)
        if self.state in (Progress.ASKED, Progress.AWAITS_BODY):
            self.move(Progress.SENT)

    @property
    def current(self) -> Attempt | None:
        """The request that mitmproxy sends, or has sent last."""
        return next((attempt for attempt in reversed(self.attempts) if attempt.answer is None), None)

    @property
    def others(self) -> list[Attempt]:
        """The requests that were sent beside the current one, and have been answered."""
        return [attempt for attempt in self.attempts if attempt.answer and not attempt.row]

    # A connection that has several responses

    def add_turn(self, turn: "Exchange") -> None:
        """Note that another response is under way on this connection."""
        self.turns = (*self.turns, turn)

    def end_turn(self, turn: "Exchange") -> None:
        """Note that a response has ended."""
        self.turns = tuple(one for one in self.turns if one is not turn)

    # The ledger row

    def note_upstream(self, host: str, path: str) -> None:
        """Record which host and path the request goes to; the query is dropped."""
        self.call.upstream_host, self.call.upstream_path = host, path.partition("?")[0]

    def learn(
        self,
        project: str | None = None,
        location: str | None = None,
        publisher: str | None = None,
        model: str | None = None,
    ) -> None:
        """Put these values into the row, replacing what is there; None changes nothing."""
        call = self.call
        call.project, call.location = project or call.project, location or call.location
        call.publisher, call.model = publisher or call.publisher, model or call.model

    def suppose(self, project: str | None = None, location: str | None = None) -> None:
        """Put these values into the row where it has none yet."""
        self.learn(self.call.project or project, self.call.location or location)

    def take_body(self, said: Asked) -> None:
        """Put what the request body says into the row, where the path did not say it."""
        if said.model and self.call.model in (None, COUNT_TOKENS):
            self.learn(model=said.model, publisher=said.publisher)
        self.suppose(project=said.project, location=said.location)
        self.call.usage_raw, self.call.variant = said.usage_raw, said.variant

    @property
    def needs_body(self) -> bool:
        """Whether the request body says something that the path does not, such as the model."""
        if self.target is None:
            return False
        return self.call.model in (None, COUNT_TOKENS) or self.target.operation == "predictLongRunning"


_OF_AN_ATTEMPT = ("state", "service", "candidate", "token", "plan", "together", "refused_as")
_OF_AN_ATTEMPT_IN_ROW = (
    *("service", "upstream_host", "upstream_path", "rewritten"),
    *(one.name for one in fields(Asked)),
)
"""Fields of an `Exchange`, and of its row, that differ from attempt to attempt."""
Exchanges = MutableMapping[http.HTTPFlow, Exchange]

COUNT_TOKENS = "count-tokens"
"""The path that counts Claude's tokens has this in the place of the model."""
LIKE_OPENAI = re.compile(r"/+v1(?:/|%2f|$)(?!(?:.*/)?(?:projects|publishers)/)", re.IGNORECASE)
"""Unknown paths that an OpenAI client may have meant, such as `/v1/chat/complete`."""


def candidates_for(exchange: Exchange, model: str | None) -> tuple[Candidate, ...]:
    """What may answer a call for `model`, by the first route that matches; empty if no route does. What the client may
    not use is left out, unless it may use nothing of it: then the call is refused later."""
    call, client = exchange.call, exchange.client
    route = exchange.configuration.gateway.route_for(
        base_path=exchange.base,
        surface=call.surface or "",
        publisher=call.publisher,
        model=model,
        client=client.name if client else None,
    )
    if not route:
        return ()
    found = [one for one in route.candidates if client is None or client.may_use_service(one.service)]
    return tuple(found) or route.candidates[:1]


def is_elsewhere(exchange: Exchange) -> bool:
    """Whether another service is tried than the route's own."""
    return exchange.candidate is not None and exchange.candidate.is_elsewhere


def try_candidate(exchange: Exchange, candidate: Candidate, said: Asked) -> None:
    """Begin an attempt at another service. `said` is what the client's request says, which is put back into the
    row."""
    for name in ("service", "token", "plan", "together"):
        # They belong to the attempt before.
        setattr(exchange, name, None)
    exchange.candidate, exchange.refused_as = candidate, None
    call = exchange.call
    # Projects and locations that a client names are those of the route's own service.
    is_place_kept = not (is_elsewhere(exchange) and exchange.configuration.gateway.services[candidate.service].injects)
    call.project, call.location = (said.project, said.location) if is_place_kept else (None, None)
    call.publisher, call.model, call.rewritten = said.publisher, said.model, False
    call.usage_raw, call.variant = said.usage_raw, said.variant
    exchange.move(Progress.AWAITS_SERVICE)


def pin(exchange: Exchange, service: str) -> None:
    """Note that only this service can answer."""
    exchange.candidate = Candidate(service)
    exchange.candidates = (exchange.candidate,)


def checkpoint(exchange: Exchange) -> Callable[[], None]:
    """A function that puts everything back as it is now, except for the attempts, unless the row was settled."""
    kept = {name: getattr(exchange, name) for name in _OF_AN_ATTEMPT}
    of_call = {name: getattr(exchange.call, name) for name in _OF_AN_ATTEMPT_IN_ROW}

    def restore() -> None:
        if exchange.state is not Progress.SETTLED:
            for whole, values in ((exchange, kept), (exchange.call, of_call)):
                for name, value in values.items():
                    setattr(whole, name, value)

    return restore


def without_answer(exchange: Exchange) -> Exchange:
    """A copy for another response on the same connection: with a new row that begins now, and what is known of the
    connection."""
    call = replace(exchange.call, id=uuid7(), started_at=time.time_ns() // 1000, tries=[])
    place = exchange.target, exchange.base, exchange.path
    copy = Exchange(call, *place, exchange.credential, exchange.configuration, client=exchange.client)
    copy.note_trace(exchange.traceparent)
    copy.attempts = [Attempt(exchange.target, call.method or "")]
    return copy


def error_response(status: int, message: str) -> http.Response:
    """An error response that every SDK can read: `error.status` is Google's code, `error.type` OpenAI's."""
    error = {"code": status, "message": message, "status": code_of(status), "type": words_for(status).type}
    return http.Response.make(status, to_bytes({"error": error}), {"content-type": "application/json"})


# Decorators for hooks

Hook = TypeVar("Hook", bound=Callable[..., Any])


def fails_closed(hook: Hook) -> Hook:
    """Decorates a hook so that an exception in it answers the call with status 500. mitmproxy alone would let the call
    go on, perhaps with a credential for somebody else, or unconverted."""

    @contextlib.contextmanager
    def guard(addon: Any, flow: http.HTTPFlow) -> Iterator[None]:
        try:
            yield
        except Exception as e:
            # The message of an exception may quote the prompt, so only its type is logged.
            logger.error("vertex-tap: a call was not sent (%s in %s)", type(e).__name__, hook.__qualname__)
            failure = Failure(500, "The proxy could not send this call on.", "INTERNAL")
            exchange = addon.exchanges.get(flow)
            if exchange and Progress.REFUSED in MOVES[exchange.state]:
                exchange.refuse(flow, failure, None)
            elif not flow.response:
                flow.response = error_response(failure.status, failure.message)

    return _guarded(hook, guard)


def harmless(hook: Hook) -> Hook:
    """Decorates a hook so that an exception in it is only logged. Metering must not break traffic, and mitmproxy would
    skip the same hook of the addons that follow."""

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
