"""A stand-in for an OpenTelemetry collector: takes OTLP over HTTP, and keeps what it was sent."""

import threading
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS: dict[str, Any] = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}


class Collector:
    """Listens on a free port of this machine. `status` is what it answers; `hangs` is whether it answers at all."""

    def __init__(self, status: int = 200, *, hangs: bool = False) -> None:
        self.status = status
        self.received: list[Any] = []
        self.raw: list[bytes] = []
        self._go_on = threading.Event()
        if not hangs:
            self._go_on.set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                assert self.headers["content-type"] == "application/x-protobuf"
                collector._go_on.wait(60)
                if collector.status == 200:
                    collector.raw.append(body)
                    collector.received.append(REQUESTS[self.path].FromString(body))
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> "Collector":
        return self

    def __exit__(self, *_: object) -> None:
        self._go_on.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for request in self.received
            if isinstance(request, ExportTraceServiceRequest)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def resources(self) -> list[dict[str, Any]]:
        return [
            attributes_of(one.resource)
            for request in self.received
            for one in getattr(request, "resource_spans", None) or request.resource_metrics
        ]

    @property
    def metrics(self) -> dict[str, Any]:
        """Name -> the metric as it was last sent."""
        return {
            metric.name: metric
            for request in self.received
            if isinstance(request, ExportMetricsServiceRequest)
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


def attributes_of(one: Any) -> dict[str, Any]:
    """The attributes of a span, a data point or a resource."""
    return {attribute.key: _value(attribute.value) for attribute in one.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind)
