from collections.abc import Iterator
from typing import Any

import pytest

from addons.otlp import Exports
from metering.call import Call
from tests.collector import Collector
from tests.collector import attributes_of
from tests.metering.test_conventions import call

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
STARTED = 1_700_000_000_123_456


def ended(**fields: Any) -> Call:
    defaults: dict[str, Any] = {"started_at": STARTED, "streamed": True, "finish_reason": "STOP", "response_id": "r1"}
    return call(**defaults | fields)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        yield running


def test_a_span(collector: Collector) -> None:
    exports, one = Exports(), ended()
    exports.take_ended(one, TRACEPARENT)
    assert exports.send_spans()
    (span,) = collector.spans
    assert (span.name, span.kind, span.status.code) == ("generate_content gemini-2.5-flash", 3, 0)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.start_time_unix_nano == STARTED * 1000
    assert span.end_time_unix_nano == (STARTED + 2_500_000) * 1000
    assert attributes_of(span) == {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "gcp.vertex_ai",
        "gen_ai.request.model": "gemini-2.5-flash",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "gemini-2.5-flash-001",
        "gen_ai.response.id": "r1",
        "gen_ai.response.finish_reasons": ["STOP"],
        "gen_ai.response.time_to_first_chunk": 0.3,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 30,
        "gen_ai.usage.reasoning.output_tokens": 10,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "server.address": "us-central1-aiplatform.googleapis.com",
        "http.response.status_code": 200,
        "vertex_tap.call.id": one.id,
        "vertex_tap.usage_state": "final",
    }
    # They are sent once.
    assert exports.send_spans()
    assert len(collector.spans) == 1


def test_an_error(collector: Collector) -> None:
    exports = Exports()
    counts = {"input_tokens": None, "output_tokens": None}
    exports.take_ended(ended(status=429, error_type="RESOURCE_EXHAUSTED", usage_state="not_applicable", **counts), None)
    exports.take_ended(ended(state="lost", status=None, duration_us=None, ended_at=None, **counts), None)
    exports.send_spans()
    told = [attributes_of(span) for span in collector.spans]
    assert [one["error.type"] for one in told] == ["RESOURCE_EXHAUSTED", "lost"]
    assert not any("gen_ai.usage.input_tokens" in one for one in told)
    assert [span.status.code for span in collector.spans] == [2, 2]


@pytest.mark.parametrize("header", [None, "", "00-1-2-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x" * 5000])
def test_without_a_trace(collector: Collector, header: str | None) -> None:
    exports = Exports()
    exports.take_ended(ended(), header)
    exports.send_spans()
    (span,) = collector.spans
    assert span.parent_span_id == b""
    assert any(span.trace_id)


def test_a_trace_that_is_not_sampled(collector: Collector) -> None:
    """The client's tracer has decided that nobody keeps it."""
    exports = Exports()
    exports.take_ended(ended(), TRACEPARENT[:-2] + "00")
    assert exports.send_spans()
    assert collector.spans == []


def test_a_call_that_is_not_known(collector: Collector) -> None:
    exports = Exports()
    exports.take_ended(Call(started_at=STARTED, state="done", usage_state="unsupported", status=404), None)
    exports.send_spans()
    assert [span.name for span in collector.spans] == ["call"]


def test_metrics(collector: Collector) -> None:
    exports = Exports()
    for _ in range(2):
        exports.take_ended(ended(), None)
    before = ended(usage_state="absent", output_tokens=None, output_by_modality=None, model="veo")
    exports.take_completed(before, ended(output_by_modality=None, model="veo"))
    assert exports.send_metrics()
    metrics = collector.metrics
    usage = "gen_ai.client.inference.usage"
    (text, image) = metrics[f"{usage}.input_tokens"].sum.data_points
    assert (text.as_int, attributes_of(text)["gen_ai.token.modality"]) == (120, "text")
    assert (image.as_int, attributes_of(image)["gen_ai.token.modality"]) == (80, "image")
    assert metrics[f"{usage}.input_tokens"].unit == "{token}"
    found = {
        (attributes_of(point)["gen_ai.request.model"], attributes_of(point)["gen_ai.token.modality"]): point.as_int
        for point in metrics[f"{usage}.output_tokens"].sum.data_points
    }
    assert found == {("gemini-2.5-flash", "text"): 40, ("gemini-2.5-flash", "unknown"): 20, ("veo", "unknown"): 30}
    for name in ("inference", "operation"):
        (point,) = metrics[f"gen_ai.client.{name}.duration"].histogram.data_points
        assert (point.count, point.sum, point.explicit_bounds[0]) == (2, 5, 0.01)
        assert "error.type" not in attributes_of(point)
    points = metrics["gen_ai.client.token.usage"].histogram.data_points
    assert {attributes_of(point)["gen_ai.token.type"]: point.sum for point in points if point.count == 2} == {
        "input": 200,
        "output": 60,
    }


def test_who_sends(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    exports = Exports()
    exports.take_ended(ended(), None)
    exports.send_spans()
    monkeypatch.setenv("OTEL_SERVICE_NAME", "gateway")
    exports = Exports()
    exports.take_ended(ended(), None)
    exports.send_spans()
    assert [one["service.name"] for one in collector.resources] == ["vertex-tap", "gateway"]


def test_a_collector_that_refuses(collector: Collector) -> None:
    collector.status = 400
    exports = Exports()
    exports.take_ended(ended(), None)
    assert not exports.send_spans()
    assert not exports.send_metrics()


def test_clients_cannot_make_up_any_number_of_series(collector: Collector) -> None:
    """The SDK adds up what is beyond its limit."""
    exports = Exports()
    for number in range(2100):
        exports.take_ended(ended(model=f"m{number}", input_by_modality=None), None)
    assert exports.send_metrics()
    points = collector.metrics["gen_ai.client.inference.usage.input_tokens"].sum.data_points
    assert len(points) <= 2001
    assert sum(point.as_int for point in points) == 2100 * 100
