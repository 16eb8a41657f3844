"""Finished rows as OpenTelemetry's spans and metrics, sent by OTLP (http/protobuf). Needs the extra `otel`.

The SDK reads its own environment variables: the endpoint, headers, certificates, the sampler, attributes of the
resource. Its log lines are switched off, as it writes some for each attempt to send.
"""

import logging

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Counter
from opentelemetry.metrics import Histogram
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanKind
from opentelemetry.trace import Status
from opentelemetry.trace import StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from metering import conventions
from metering.call import Call

SCOPE = "vertex-tap"
SPAN_ATTRIBUTES = {
    "gen_ai.response.id": "response_id",
    "gen_ai.request.stream": "streamed",
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
    "gen_ai.usage.reasoning.output_tokens": "output_thought_tokens",
    "gen_ai.usage.cache_read.input_tokens": "input_cached_tokens",
    "gen_ai.usage.cache_creation.input_tokens": "input_cache_write_tokens",
    "server.address": "upstream_host",
    "http.response.status_code": "status",
    "vertex_tap.call.id": "id",
    "vertex_tap.usage_state": "usage_state",
}
"""Attributes of spans -> columns, beside the common attributes, `error.type` and those that are computed."""


class Exports:
    """Makes spans and metrics, and sends them. Used by one thread."""

    def __init__(self) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
        # `create` takes the attributes from the environment, but a name that is given here would come first.
        resource = Resource.create({})
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": SCOPE}))
        self._kept = _Kept()
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        tracers.add_span_processor(self._kept)
        self._tracer = tracers.get_tracer(SCOPE)
        self._spans = OTLPSpanExporter()
        self._metrics = OTLPMetricExporter()
        self._reader = InMemoryMetricReader(preferred_temporality=self._metrics._preferred_temporality)
        meter = MeterProvider([self._reader], resource=resource, shutdown_on_exit=False).get_meter(SCOPE)
        self._instruments: dict[conventions.Instrument, Counter | Histogram] = {}
        for one in conventions.INSTRUMENTS:
            if one.buckets is None:
                made: Counter | Histogram = meter.create_counter(one.name, one.unit, one.description)
            else:
                made = meter.create_histogram(
                    one.name, one.unit, one.description, explicit_bucket_boundaries_advisory=one.buckets
                )
            self._instruments[one] = made

    def take_ended(self, call: Call, traceparent: str | None) -> None:
        """Make a span of a call that has ended, and add what is measured of it."""
        told = conventions.attributes(call)
        self._add(told, conventions.measured(call))
        context = Context()
        if traceparent:
            context = TraceContextTextMapPropagator().extract({"traceparent": traceparent}, context)
        name = " ".join(filter(None, (told.get(conventions.OPERATION), call.model))) or "call"
        span = self._tracer.start_span(
            name, context, SpanKind.CLIENT, _span_attributes(call) | told, start_time=call.started_at * 1000
        )
        if conventions.has_failed(call):
            span.set_status(Status(StatusCode.ERROR))
        ended_at = call.ended_at if call.duration_us is None else call.started_at + call.duration_us
        span.end((ended_at or call.started_at) * 1000)

    def take_completed(self, before: Call, after: Call) -> None:
        """Add what is measured of a call more than was added when it ended."""
        more = conventions.difference(conventions.measured(before), conventions.measured(after))
        self._add(conventions.attributes(after), more)

    def _add(self, told: dict[str, str], measured: conventions.Measured) -> None:
        for (instrument, value), amount in measured.items():
            attributes = told | ({instrument.told_apart_by: value} if value else {})
            metric = self._instruments[instrument]
            if isinstance(metric, Histogram):
                metric.record(amount, attributes)
            else:
                metric.add(amount, attributes)

    def send_spans(self) -> bool:
        """Send the spans, and forget them. Returns whether the collector has them. May take ten seconds."""
        spans = self._kept.take()
        return not spans or self._spans.export(spans) is SpanExportResult.SUCCESS

    def send_metrics(self) -> bool:
        """Send the metrics up to now. Returns whether the collector has them. May take ten seconds."""
        data = self._reader.get_metrics_data()
        return data is None or self._metrics.export(data) is MetricExportResult.SUCCESS


class _Kept(SpanProcessor):
    """Keeps the spans that have ended until they are sent."""

    def __init__(self) -> None:
        self._ended: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        if span.context and span.context.trace_flags.sampled:
            self._ended.append(span)

    def take(self) -> list[ReadableSpan]:
        taken, self._ended = self._ended, []
        return taken


def _span_attributes(call: Call) -> dict[str, AttributeValue]:
    """The attributes of a call's span that are not common to metrics."""
    told: dict[str, AttributeValue | None] = {name: getattr(call, column) for name, column in SPAN_ATTRIBUTES.items()}
    told["gen_ai.response.finish_reasons"] = (call.finish_reason,) if call.finish_reason else None
    told["gen_ai.response.time_to_first_chunk"] = None if call.ttft_us is None else call.ttft_us / 1e6
    told[conventions.ERROR] = conventions.error_of(call) or None
    return {name: value for name, value in told.items() if value is not None}
