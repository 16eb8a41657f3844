"""Prometheus metrics of what the recorder writes, in the order of docs/metrics.md.

They count from the start of this process. Prometheus notices when a counter begins again from 0, so nothing is kept
over a restart.
"""

import operator
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from itertools import chain

import prometheus_client
from mitmproxy import http
from prometheus_client import CollectorRegistry
from prometheus_client import Counter
from prometheus_client import Gauge
from prometheus_client import Histogram
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import choose_encoder

from addons.exchange import Exchange
from addons.recorder import Listener
from addons.recorder import Recorder
from metering import conventions
from metering.call import Call
from metering.call import UsageState
from metering.written import Kept

MOST_VALUES = 100
"""The most values of a label. Calls that fail may take half of them only: they need no key, so anybody can make names
up. Further values are `OTHER`."""
LONGEST_VALUE = 128
MOST_SERIES = 2000
"""The most combinations of labels that calls are told apart by. All labels of further ones are `OTHER`."""
OTHER = "other"
COMMIT_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)

# Otherwise each counter has a second one, `..._created`.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


def label(name: str) -> str:
    """The name of an OpenTelemetry metric or attribute in Prometheus."""
    return name.replace(".", "_")


class Values:
    """The values that a label has had."""

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._most = most
        self._known: set[str] = set()

    def bounded(self, value: str | None, *, is_earned: bool) -> str:
        """The value, or `OTHER` if there are too many; '' if it is unknown. `is_earned` is whether the call was
        successful."""
        if not value or value in self._known:
            return value or ""
        if len(value) > LONGEST_VALUE or len(self._known) >= (self._most if is_earned else self._most // 2):
            return OTHER
        self._known.add(value)
        return value


@dataclass(slots=True)
class Series:
    """The metrics of calls that have the same labels, so that these are looked up once."""

    calls: Counter
    common: Sequence[str]
    """The values of `conventions.COMMON`."""
    is_failed: bool
    add: dict[tuple[conventions.Instrument, str], Callable[[float], None]] = field(default_factory=dict)
    """What is measured -> the function that adds an amount."""


_LABELLED = operator.attrgetter(
    "model", "model_served", "operation", "service", "client", "state", "status", "error_type"
)
"""The columns from which labels are made, together with `provider_of`."""


class Metrics(Listener):
    """The metrics of the calls that a recorder writes."""

    CALL = ("model", "operation", "service", "client", "state", "status_class")

    def __init__(self, recorder: Recorder, cost_of: Callable[[Call], float | None] = lambda call: None) -> None:
        """`cost_of` gives the cost of a call in US dollars; None if it has no known price."""
        self._cost_of = cost_of
        self._registry = registry = CollectorRegistry()
        self._calls = Counter("vertex_tap_calls", "Calls that have ended.", self.CALL, registry=registry)
        self._rows = Counter(
            "vertex_tap_rows", "Rows of calls that have ended, by where they are kept.", ["how"], registry=registry
        )
        self._commits = Histogram(
            "vertex_tap_commit_seconds", "How long it takes to write a row.", buckets=COMMIT_BUCKETS, registry=registry
        )
        Gauge("vertex_tap_calls_open", "Calls under way.", registry=registry).set_function(lambda: recorder.open_rows)
        self._usage = Counter(
            "vertex_tap_usage",
            "Calls that have ended, by how complete their counts are.",
            ["usage_state"],
            registry=registry,
        )
        self._cost = Counter(
            "vertex_tap_cost_usd", "What the calls cost, as far as prices are known.", registry=registry
        )
        self._instruments = {one: _metric(one, registry) for one in conventions.INSTRUMENTS}
        self._values: dict[str, Values] = {}
        """Label -> the values that it has."""
        self._combinations: set[tuple[str, ...]] = set()
        """The values of all labels together."""
        self._series: dict[tuple[object, ...], Series] = {}
        for kept in Kept:
            self._rows.labels(kept)
        for state in UsageState:
            self._usage.labels(state)
        recorder.listeners.append(self)

    def metrics_text(self, accept: str) -> tuple[bytes, str]:
        """All metrics, and their content type. `accept` is the request's header: OpenMetrics if it asks for that, else
        Prometheus's text."""
        try:
            encode, content_type = choose_encoder(accept)
        except (ValueError, TypeError):
            # It asks for a version that is no number.
            encode, content_type = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
        return encode(self._registry), content_type

    def wrote(self, seconds: float) -> None:
        self._commits.observe(seconds)

    def ended(self, exchange: Exchange, kept: Kept, flow: http.HTTPFlow | None) -> None:
        call = exchange.call
        series = self._series_of(call)
        series.calls.inc()
        self._rows.labels(kept).inc()
        self._usage.labels(call.usage_state).inc()
        self._cost.inc(max(0.0, self._cost_of(call) or 0.0))
        self._add(series, conventions.measured(call))

    def completed(self, before: Call, after: Call) -> None:
        if after.usage_state != before.usage_state:
            self._usage.labels(after.usage_state).inc()
        self._cost.inc(max(0.0, (self._cost_of(after) or 0.0) - (self._cost_of(before) or 0.0)))
        more = conventions.difference(conventions.measured(before), conventions.measured(after))
        self._add(self._series_of(after), more)

    def _add(self, series: Series, measured: conventions.Measured) -> None:
        for key, amount in measured.items():
            add = series.add.get(key) or series.add.setdefault(key, self._adder(series, *key))
            add(amount)

    def _adder(self, series: Series, instrument: conventions.Instrument, value: str) -> Callable[[float], None]:
        told = self._value(instrument.told_apart_by, value, is_earned=not series.is_failed)
        metric = self._instruments[instrument].labels(*series.common, told)
        return metric.observe if isinstance(metric, Histogram) else metric.inc

    def _series_of(self, call: Call) -> Series:
        key = (*_LABELLED(call), conventions.provider_of(call))
        if series := self._series.get(key):
            return series
        if len(self._series) >= MOST_SERIES:
            self._series.clear()
        return self._series.setdefault(key, self._new_series(call))

    def _new_series(self, call: Call) -> Series:
        is_failed = conventions.has_failed(call)
        status_class = f"{call.status // 100}xx" if call.status else ""
        told = conventions.attributes(call)
        calls = (call.model, call.operation, call.service, call.client, call.state, status_class)
        common = [told.get(name) for name in conventions.COMMON]
        bounded = [
            self._value(name, value, is_earned=not is_failed)
            for name, value in zip((*self.CALL, *conventions.COMMON), (*calls, *common), strict=True)
        ]
        if tuple(bounded) not in self._combinations and len(self._combinations) >= MOST_SERIES:
            bounded = [OTHER] * len(bounded)
        self._combinations.add(tuple(bounded))
        return Series(self._calls.labels(*bounded[: len(calls)]), bounded[len(calls) :], is_failed)

    def _value(self, name: str, value: str | None, *, is_earned: bool) -> str:
        known = self._values.get(name) or self._values.setdefault(name, Values())
        return known.bounded(value, is_earned=is_earned)


def _metric(instrument: conventions.Instrument, registry: CollectorRegistry) -> Counter | Histogram:
    labels = [label(name) for name in chain(conventions.COMMON, [instrument.told_apart_by])]
    name = label(instrument.name)
    if instrument.buckets is None:
        return Counter(name, instrument.description, labels, registry=registry)
    return Histogram(name, instrument.description, labels, buckets=instrument.buckets, registry=registry)
