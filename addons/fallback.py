"""Sends a call again: to the next service of its route when one has failed, and to the same one with a new access token
when Google has rejected the old one.

Each attempt is made anew from a copy of the client's request, by the addons that prepare any other call. `again.py`
holds the answers meanwhile, `gate.py` judges them, `cooldown.py` remembers which services have failed.
"""

import logging
from collections.abc import MutableMapping
from operator import itemgetter
from weakref import WeakKeyDictionary

from mitmproxy import http

from addons import gate
from addons.again import Failed
from addons.again import Verdict
from addons.again import Watch
from addons.again import watch
from addons.attempts import Attempt
from addons.configuration.services import Candidate
from addons.cooldown import Cooldown
from addons.credentials import Credentials
from addons.exchange import Exchange
from addons.exchange import Exchanges
from addons.exchange import checkpoint
from addons.exchange import fails_closed
from addons.exchange import harmless
from addons.exchange import try_candidate
from addons.jobs import Jobs
from addons.meter import IN_ARRAYS
from addons.progress import Progress
from addons.recorder import Recorder
from addons.repeatable import KeptRequest
from addons.repeatable import is_kept
from addons.repeatable import is_safe_after
from addons.repeatable import may_go_elsewhere
from addons.rewrite import Rewrite
from addons.rewritten import SERVICE_HEADER
from addons.route import aim
from addons.tokens import TokenError
from metering.call import ErrorType
from metering.request import Asked

logger = logging.getLogger(__name__)


class Fallback:
    """Tries services in turn. It comes after the addons that prepare a request, which it calls for each service, and
    before those that record it."""

    def __init__(
        self, exchanges: Exchanges, credentials: Credentials, rewrite: Rewrite, recorder: Recorder, jobs: Jobs
    ) -> None:
        self.exchanges = exchanges
        self._jobs = jobs
        self._credentials = credentials
        self._rewrite = rewrite
        self._recorder = recorder
        self._cooldown = Cooldown()
        self._tries: MutableMapping[http.HTTPFlow, Try] = WeakKeyDictionary()

    @fails_closed
    async def request(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if not exchange or flow.error or flow.response or exchange.is_over:
            return
        service = exchange.service
        if not exchange.awaits_service and not exchange.token and not (service and service.timeout):
            return
        one = Try(exchange, self._cooldown)
        if exchange.awaits_service:
            self._jobs.pin(exchange, flow.request)
            one.choose(flow.request)
            if not await self._next(flow, exchange, one):
                return
        else:
            one.timeout = service.timeout if service else None
        if (one.has_others or exchange.token or one.timeout) and is_kept(flow.request):
            self._tries[flow] = one
            watch(flow, one)

    async def attempt_failed(self, flow: http.HTTPFlow) -> None:
        exchange, one = self.exchanges.get(flow), self._tries.get(flow)
        if not exchange or not one or exchange.is_over:
            return
        answer = flow.response
        if answer and one.failure is not Failed.ANSWERED:
            # Its head is all that has come.
            exchange.metered.take_upstream_status(answer.status_code)
        try:
            one.again = await self._goes_on(flow, exchange, one)
        except Exception as e:
            # The client gets what has come.
            logger.error("vertex-tap: a call could not be tried again (%s)", type(e).__name__)
        if not one.again and one.shortest is not None and answer and answer.status_code in gate.FAILED:
            answer.headers["retry-after"] = str(-int(-one.shortest // 1))

    @harmless
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.get(flow)
        if exchange and exchange.has_fallback and exchange.attempts and exchange.call.service and flow.response:
            flow.response.headers[SERVICE_HEADER] = exchange.call.service

    @harmless
    def response(self, flow: http.HTTPFlow) -> None:
        # Consoles keep flows, and the request must not be kept with them.
        self._tries.pop(flow, None)

    @harmless
    def error(self, flow: http.HTTPFlow) -> None:
        exchange, one = self.exchanges.get(flow), self._tries.pop(flow, None)
        if exchange and one:
            if one.held_status is not None:
                exchange.metered.take_upstream_status(one.held_status)
            one.note_reading()
            self._cooldown.ended(one)

    async def _goes_on(self, flow: http.HTTPFlow, exchange: Exchange, one: "Try") -> bool:
        """Put the next request of a call on the flow, as an attempt has failed. Returns whether there is one."""
        request, answer = flow.request, flow.response
        told = one.note_reading()
        status, error = answer.status_code if answer else None, self._error_of(flow, one, told)
        if one.is_rejected(answer) and await self._renew(flow, exchange, one):
            current = exchange.current
            assert current
            current.replaced(exchange.call, status, error)
            exchange.add_attempt(Attempt(current.target, current.method))
            flow.response = None
            self._sends(exchange)
            return True
        one.note_failure(answer, error)
        if not one.may_go_on(status):
            return False
        if exchange.together:
            exchange.together.stop()
            await exchange.together.wait()
        restore, failed = checkpoint(exchange), [attempt for attempt in exchange.attempts if not attempt.row]
        for attempt in failed:
            attempt.replaced(exchange.call, status, error)
        flow.response, is_ready = None, False
        try:
            is_ready = await self._next(flow, exchange, one)
        finally:
            if not is_ready:
                for attempt in failed:
                    attempt.stays()
                restore()
                flow.request, flow.response = request, answer
        if is_ready:
            self._sends(exchange)
        return is_ready

    def _sends(self, exchange: Exchange) -> None:
        exchange.metered.mark_tried_again()
        self._recorder.commit(exchange)

    async def _renew(self, flow: http.HTTPFlow, exchange: Exchange, one: "Try") -> bool:
        """Put a new access token into the request. Returns False if there is none."""
        try:
            await self._credentials.renew_call(exchange, flow.request)
        except TokenError:
            return False
        one.renewed()
        return not exchange.is_over

    async def _next(self, flow: http.HTTPFlow, exchange: Exchange, one: "Try") -> bool:
        """Prepare the call for the next service that can have it. Returns whether there is one. If nothing was sent to
        any, the call is refused as it was for the first."""
        refused = None
        while candidate := one.take():
            if one.template and (refused or exchange.attempts):
                flow.request = one.template.copy()
            try_candidate(exchange, candidate, one.said)
            await self._prepare(flow, exchange, one)
            if flow.error or exchange.state is Progress.SETTLED:
                # The client has gone.
                return False
            if not exchange.is_refused:
                return True
            one.note_refusal()
            refused = refused or (checkpoint(exchange), flow.request, flow.response)
            flow.response = None
        if refused:
            restore, flow.request, flow.response = refused
            restore()
        return False

    async def _prepare(self, flow: http.HTTPFlow, exchange: Exchange, one: "Try") -> None:
        """Have the addons prepare the request that a call meets on its way to its service."""
        assert exchange.candidate
        service = exchange.configuration.gateway.services[exchange.candidate.service]
        one.timeout = service.timeout
        aim(flow, exchange, service)
        if exchange.goes_on:
            await self._credentials.requestheaders(flow)
        elif exchange.awaits_body:
            await self._credentials.request(flow)
            await self._rewrite.request(flow)
        if exchange.goes_on:
            exchange.note_sent(flow.request.method)

    def _error_of(self, flow: http.HTTPFlow, one: "Try", told: str | None) -> str | None:
        """The `error_type` of an attempt that has failed. `told` is that of an error within an answer."""
        if one.failure is Failed.UNCONNECTED:
            return self._recorder.why_unconnected(flow, one.message)
        if one.failure is Failed.TIMED_OUT:
            return ErrorType.TIMED_OUT
        if one.failure is Failed.ANSWERED and flow.response and flow.response.status_code >= 400:
            return gate.error_in(flow.response)
        return told or ErrorType.UPSTREAM_CUT


class Try(Watch):
    """A call that may be sent again: what is left to try, and the answer that has come."""

    def __init__(self, exchange: Exchange, cooldown: Cooldown) -> None:
        self.template: KeptRequest | None = None
        """The client's request, if more than one service may be tried, and in `said` what the row says of it."""
        self.said = Asked()
        self.has_others = False
        """Whether more than one service may be tried."""
        self.shortest: float | None = None
        """The shortest time after which one of them may be asked again, as they say, in seconds."""
        self._exchange = exchange
        self._cooldown = cooldown
        self._left: list[Candidate] = []
        self._renewed: str | None = None
        """The access token that took the place of a rejected one."""
        self._gate: gate.Gate | None = None
        self.held_status: int | None = None
        """The status of the answer that is held."""

    def choose(self, request: http.Request) -> None:
        """Note which services may be tried, now that the request is complete."""
        exchange, call, gateway = self._exchange, self._exchange.call, self._exchange.configuration.gateway
        self.said = Asked(call.project, call.location, call.publisher, call.model, call.usage_raw, call.variant)
        self._left = list(exchange.candidates)
        if not may_go_elsewhere(request, exchange.target, call.model and gateway.named(call.model)):
            del self._left[1:]
        self.has_others = len(self._left) > 1
        if self.has_others:
            self.template = KeptRequest(request)

    def take(self) -> Candidate | None:
        """The next service to be tried; None if there is none."""
        rests = [(self._cooldown.until(one.service, self._model(one), self), one) for one in self._left]
        found = next((one for until, one in rests if not until), None)
        if rests and not found and not self._exchange.attempts:
            # All rest. The client should not wait for nothing.
            found = min(rests, key=itemgetter(0))[1]
        if found:
            self._left.remove(found)
        if found and self.has_others:
            # Of other calls it is not noted whether they got an answer.
            self._cooldown.begin(found.service, self._model(found), self)
        return found

    # What is noted of an attempt

    def is_rejected(self, answer: http.Response | None) -> bool:
        """Whether Google has rejected an access token that may have been revoked. A new one can be had once."""
        token = self._exchange.token
        is_401 = self.failure is Failed.ANSWERED and answer is not None and answer.status_code == 401
        return is_401 and token not in (None, self._renewed)

    def renewed(self) -> None:
        self._renewed = self._exchange.token

    def note_reading(self) -> str | None:
        """Note what was used for an answer that the client does not get. Returns the code of the error in it."""
        read, self._gate = self._gate and self._gate.reading, None
        self.held_status = None
        if read and read.counted and (current := self._exchange.current):
            current.read(read)
        return read.error_type if read else None

    def note_failure(self, answer: http.Response | None, error: str | None) -> None:
        """Let the service rest after an attempt that has failed with an `error_type`."""
        candidate = self._exchange.candidate
        if not self.has_others or not candidate:
            return
        told = gate.retry_after(answer) if answer else None
        if told is not None:
            self.shortest = told if self.shortest is None else min(told, self.shortest)
        unconnected = self.failure is Failed.UNCONNECTED
        is_all = unconnected or (answer is not None and answer.status_code == 401)
        model = None if is_all else self._model(candidate)
        seconds = self._cooldown.failed(candidate.service, model, self, retry_after=told, unconnected=unconnected)
        _tell_rest(candidate.service, model, error, seconds)

    def note_refusal(self) -> None:
        """Let the service rest if the call was refused as it has no usable credentials."""
        exchange, candidate = self._exchange, self._exchange.candidate
        has_none = exchange.refused_as == ErrorType.NO_CREDENTIALS and exchange.service and exchange.service.injects
        if candidate and has_none and self.has_others:
            seconds = self._cooldown.failed(candidate.service, None, self)
            _tell_rest(candidate.service, None, exchange.refused_as, seconds)
        else:
            self._cooldown.ended(self)

    def may_go_on(self, status: int | None) -> bool:
        """Whether the call may be tried elsewhere after the failure of an attempt."""
        assert self.failure
        return bool(self._left) and is_safe_after(self._exchange.target, self.failure, status)

    # How `again.py` asks

    def head(self, response: http.Response) -> Verdict:
        status = self.held_status = response.status_code
        if status == 401 and self._exchange.token:
            return Verdict.FAILED
        if not self.has_others or (status >= 300 and status not in gate.FAILED):
            return Verdict.PASS
        if status >= 400:
            return Verdict.FAILED
        current = self._exchange.current
        assert current
        operation = current.target.operation if current.target else None
        self._gate = gate.Gate(response, current, self._exchange.call.model, in_parts=operation in IN_ARRAYS)
        return Verdict.WAIT

    def piece(self, data: bytes) -> Verdict:
        return self._gate.piece(data) if self._gate else Verdict.PASS

    def end(self) -> Verdict:
        return self._gate.end() if self._gate else Verdict.PASS

    def passed(self) -> None:
        self._gate = self.held_status = None
        if (candidate := self._exchange.candidate) and self.has_others and self.failure is None:
            self._cooldown.answered(candidate.service, self._model(candidate), self)

    def _model(self, candidate: Candidate) -> str:
        """The model that a service is asked for; empty if it is not known."""
        named = self._exchange.configuration.gateway.named
        return candidate.model or (named(self.said.model) if self.said.model else "")


def _tell_rest(service: str, model: str | None, error: str | None, seconds: float) -> None:
    if seconds:
        whom = f"{service} ({model})" if model else service
        logger.warning("vertex-tap: %s has failed (%s), and is not tried for %.1f s", whom, error or "error", seconds)
