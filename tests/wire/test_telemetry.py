"""What an OpenTelemetry collector gets of calls through a real proxy, and what one that is away costs."""

import time

from tests.collector import Collector
from tests.collector import attributes_of
from tests.conftest import StartProxy
from tests.http import API_KEY
from tests.http import HELLO
from tests.http import MODEL
from tests.http import call
from tests.process import until
from tests.vertex_simulator import Simulator

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ASKED = {"x-goog-api-key": API_KEY, "traceparent": TRACEPARENT, "tracestate": "a=b"}
STREAMED = f"{MODEL}:streamGenerateContent?alt=sse"


def test_spans_and_metrics(start_proxy: StartProxy, simulator: Simulator) -> None:
    with Collector() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        proxy = start_proxy(mode=f"reverse:{simulator.url}", env=env)
        assert call(proxy.url, STREAMED, HELLO, headers=ASKED).status == 200
        # In observe mode the client's headers are passed on as they are.
        sent = simulator.seen[-1].request.raw_headers
        assert [value for name, value in sent if name.lower() == b"traceparent"] == [TRACEPARENT.encode()]
        (span,) = until(lambda: collector.spans)
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == tuple(TRACEPARENT.split("-")[1:3])
        row, told = proxy.new_row(), attributes_of(span)
        assert (told["vertex_tap.call.id"], told["gen_ai.operation.name"]) == (row["id"], "generate_content")
        assert told["gen_ai.provider.name"] == "gcp.vertex_ai"
        assert told["gen_ai.request.model"] == "gemini-2.5-flash"
        assert told["gen_ai.response.model"] == row["model_served"]
        assert told["gen_ai.usage.input_tokens"] == row["input_tokens"]
        assert told["gen_ai.usage.output_tokens"] == row["output_tokens"]
        assert span.start_time_unix_nano == row["started_at"] * 1000
        assert span.end_time_unix_nano - span.start_time_unix_nano == row["duration_us"] * 1000
        assert proxy.stop() == 0
        # What is left is sent at the end.
        points = collector.metrics["gen_ai.client.token.usage"].histogram.data_points
        assert {attributes_of(point)["gen_ai.token.type"]: point.sum for point in points} == {
            "input": row["input_tokens"],
            "output": row["output_tokens"],
        }
        said = b"".join(collector.raw)
        for content in (b"Hello, who are you?", API_KEY.encode()):
            assert content not in said


def test_a_collector_that_hangs(start_proxy: StartProxy, simulator: Simulator) -> None:
    with Collector(hangs=True) as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "10"}
        proxy = start_proxy(mode=f"reverse:{simulator.url}", env=env)
        for _ in range(5):
            assert call(proxy.url, STREAMED, HELLO, headers=ASKED).status == 200
        assert [row["state"] for row in proxy.rows()] == ["done"] * 5
        began = time.monotonic()
        assert proxy.stop() == 0
        assert time.monotonic() - began < 9


def test_what_clients_send_breaks_nothing(start_proxy: StartProxy, simulator: Simulator) -> None:
    with Collector() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "10"}
        proxy = start_proxy(mode=f"reverse:{simulator.url}", env=env)
        for traceparent in ("nonsense", "x" * 5000):
            headers = {**ASKED, "traceparent": traceparent}
            assert call(proxy.url, STREAMED, HELLO, headers=headers).status == 200
        until(lambda: len(collector.spans) == 2)
        assert {span.parent_span_id for span in collector.spans} == {b""}
