"""Which services are left alone for a while, as they have just failed."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from weakref import ref

FIRST_S = 4.0
"""How many seconds a service rests after its first failure, if it does not say how long; it is doubled with each that
follows."""
FIRST_UNCONNECTED_S = 1.0
"""The same, if no connection could be made."""
SHORTEST_S = 0.5
LONGEST_S = 300.0
JITTER = 0.25
"""By how much of it a rest is shorter or longer, by chance, so that proxies do not come back all at once."""
MOST_RESTS = 10_000
"""The most rests that are remembered. Clients name the models."""

Key = tuple[str, str | None]
"""A service, and the model that rests there; None: all of its models do."""


@dataclass(slots=True)
class Rest:
    """What is known of a service that has failed. It is trusted again when one call, the probe, has got an answer."""

    until: float
    seconds: float
    """How long it rested last."""
    probe: "ref[object] | None" = None


class Cooldown:
    """The services that rest, in the memory of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rests: dict[Key, Rest] = {}

    def until(self, service: str, model: str | None, call: object) -> float:
        """Until when `call` must not be tried there, by the clock; 0.0: it may. While a probe is under way, other calls
        wait for its end."""
        if not self._rests:
            return 0.0
        return max((self._until(key, call) for key in ((service, None), (service, model))), default=0.0)

    def begin(self, service: str, model: str | None, call: object) -> None:
        """Note that a call is tried there. If the service has rested, the call is its probe."""
        for key in ((service, None), (service, model)) if self._rests else ():
            if rest := self._rests.get(key):
                rest.probe = ref(call)

    def answered(self, service: str, model: str | None, call: object) -> None:
        """Note that a call got an answer there."""
        for key in ((service, None), (service, model)) if self._rests else ():
            rest = self._rests.get(key)
            if rest and (rest.until <= self._clock() or _is_probe(rest, call)):
                del self._rests[key]

    def failed(
        self,
        service: str,
        model: str | None,
        call: object,
        *,
        retry_after: float | None = None,
        unconnected: bool = False,
    ) -> float:
        """Note that a call has failed there. `model` None: the service can answer for none of its models. Returns for
        how many seconds it rests now; 0.0 if it has rested already."""
        now, rest = self._clock(), self._rests.get((service, model))
        seconds = FIRST_UNCONNECTED_S if unconnected else FIRST_S
        if rest and rest.until > now and not _is_probe(rest, call):
            # It rests already: this call was under way then.
            if retry_after is not None:
                rest.until = max(rest.until, now + min(retry_after, LONGEST_S))
            return 0.0
        if rest:
            seconds = min(2 * rest.seconds, LONGEST_S)
        length = seconds * random.uniform(1 - JITTER, 1 + JITTER) if retry_after is None else retry_after
        length = min(max(length, SHORTEST_S), LONGEST_S)
        self._forget(now)
        self._rests[service, model] = Rest(now + length, seconds)
        return length

    def ended(self, call: object) -> None:
        """Note that a call has ended without an answer or a failure. Another one may be the probe."""
        for rest in self._rests.values():
            if _is_probe(rest, call):
                rest.probe = None

    def _until(self, key: Key, call: object) -> float:
        rest = self._rests.get(key)
        if rest is None:
            return 0.0
        now = self._clock()
        if rest.until <= now and rest.probe is not None and rest.probe() not in (None, call):
            return now + SHORTEST_S
        return rest.until if rest.until > now else 0.0

    def _forget(self, now: float) -> None:
        if len(self._rests) >= MOST_RESTS:
            self._rests = {key: rest for key, rest in self._rests.items() if rest.until > now}
        if len(self._rests) >= MOST_RESTS:
            self._rests.clear()


def _is_probe(rest: Rest, call: object) -> bool:
    return rest.probe is not None and rest.probe() is call
